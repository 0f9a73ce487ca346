/* agent_rig.h — real serf agents as children of a test program
 *
 * Every program gets a loopback address of its own, made from its pid; agents on it differ by port. So several
 * test programs may run at the same time. Agents die with the program, however it ends. `-profile=local` unless
 * told otherwise.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct loop;
struct rig_agent;

struct rig_agent_conf {
	const char *name;		/* node name; required */
	const char *auth_key;		/* of its RPC port */
	const char *encrypt;		/* base64 of the gossip key */
	const char *const *tags;	/* "key=value" …, NULL at the end */
	const char *profile;
	bool leave_on_terminate;
};

bool rig_has_serf(void);
/* Started, and its RPC port answers. Aborts the program when it does not. */
struct rig_agent *rig_agent_start(const struct rig_agent_conf *conf);
void rig_agent_kill(struct rig_agent *a, int signo);	/* and wait until it is gone */
void rig_agent_restart(struct rig_agent *a);		/* after a kill: same name, addresses and configuration */
void rig_agent_free(struct rig_agent *a);		/* kill -9; NULL-safe */
const char *rig_agent_rpc(const struct rig_agent *a);	/* "127.x.y.z:port", borrowed */
const char *rig_agent_gossip(const struct rig_agent *a);
void rig_agent_dump(const struct rig_agent *a);		/* its log, to stderr */

/* The loopback address of this program, as "127.x.y.z". */
void rig_address(char *out, size_t size);

/* Run the loop until `is_true(arg)`; false when it did not become so in time. */
bool rig_until(struct loop *loop, bool (*is_true)(void *arg), void *arg, int64_t timeout_ms);
