/* agent/agent.h — the daemon: facts from the adapters to heal/, its plans to effects */
#pragma once
#include "conf/conf.h"
#include "loop/loop.h"

struct agent;

struct agent_params {
	struct loop *loop;
	const char *config_path;	/* NULL = none; read again at SIGHUP and when it changes */
	const char *version;
};

/* Open the store, load the mirror, resume what was left open, listen, connect. `conf` moves in on success. 0, or -errno after
 * having logged what failed and what to do. */
int agent_new(const struct agent_params *params, struct conf *conf, struct agent **out_agent);
void agent_free(struct agent *a);		/* NULL-safe; leaves copies running */
/* Read the configuration again; a bad one is logged and the old one kept. */
void agent_reload(struct agent *a);
