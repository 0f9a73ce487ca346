/* agent/agent.h — the daemon: facts from the adapters to heal/, its plans to effects */
#pragma once
#include "conf/conf.h"
#include "loop/loop.h"

struct agent;

struct agent_params {
	struct loop *loop;
	const char *config_path;	/* NULL = none; read again at SIGHUP and when it changes */
	const char *version;
	bool standby;			/* in the place of the DaemonSet's pod, until that is back */
};

/* Open the store, load the mirror, resume what was left open, listen, connect. `conf` moves in on success. 0, or -errno after
 * having logged what failed and what to do. */
int agent_new(const struct agent_params *params, struct conf *conf, struct agent **out_agent);
/* Before the loop stops for good: the standby goes if our DaemonSet is gone. `done` is called once, from the loop or
 * inside this call, within AGENT_STOP_MS. A second call asks nothing again and calls its own `done` at once. */
#define AGENT_STOP_MS 2000
void agent_stop(struct agent *a, void (*done)(void *arg), void *arg);
void agent_note_yield(struct agent *a);		/* a standby that is about to stop because the primary is there */
/* A standby that works was left alone for good and has ended its copies: `removed` is called once, from the loop. Whoever gets it
 * stops the loop and calls agent_remove() instead of agent_free(). Never called for a primary. */
void agent_on_removed(struct agent *a, void (*removed)(void *arg), void *arg);
/* agent_free(), then remove the store, and the standby's file last: kubelet ends this pod then. 0, or -errno (logged): the file is
 * still there, try again with agent_remove_standby(). *out_static_pod_path (the caller frees it) is set either way. */
int agent_remove(struct agent *a, char **out_static_pod_path);
int agent_remove_standby(const char *static_pod_path);
void agent_free(struct agent *a);		/* NULL-safe; leaves copies running */
/* Read the configuration again; a bad one is logged and the old one kept. */
void agent_reload(struct agent *a);
