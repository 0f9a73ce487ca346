/* node/seat.h — who is the agent of this node: the DaemonSet's (primary) or the standby
 *
 * Three lock files beside the store, taken with flock(2): they work between containers that share the folder, and the kernel
 * gives them back when their holder dies, however it dies.
 *
 *   <store>.lock      the one agent that works on the store
 *   <store>.primary   the DaemonSet's agent is there, or starting: a standby that works yields
 *   <store>.standby   a standby works: what belongs to it (edge-healer hold) may run
 *
 * A look at a lock takes it shared for an instant, so whoever wants it alone tries more than once.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#define SEAT_POLL_MS 50			/* how often a primary that starts tries, and a standby in its grace looks */
#define SEAT_LOOK_MS 250		/* how often a standby that works looks for a primary, and hold for a standby */
#define SEAT_GRACE_MS 500		/* a primary that restarts within this finds its seat empty */
#define SEAT_TAKEN_MS 1000		/* a second primary gives up after this */
#define SEAT_YIELD_MS 15000		/* a standby must have yielded within this */
#define SEAT_STANDBY_SUFFIX ".standby"

enum {
	SEAT_E_TAKEN = 1,		/* another primary is there */
	SEAT_E_BUSY,			/* a standby works and does not yield */
};

struct seat { int lock, primary, standby; };	/* descriptors, closed on exec; -1 = not open */
#define SEAT_INIT { -1, -1, -1 }

/* As the primary; waits up to SEAT_YIELD_MS for a standby to yield. 0, SEAT_E_TAKEN or SEAT_E_BUSY with the holder's pid as it
 * knows it itself (0 = not told), or -errno of the lock files. */
int seat_take(struct seat *s, const char *store, int64_t *out_holder);
/* As the standby: blocks until nobody else works and no primary came within SEAT_GRACE_MS. 0 or -errno. */
int seat_wait(struct seat *s, const char *store);
/* For a standby that works: a primary is there. */
bool seat_is_wanted(const struct seat *s);
void seat_leave(struct seat *s);	/* what was not taken is no error */
/* Does a standby work? `lock_file` is <store>.standby. False also when that cannot be read. */
bool seat_standby_works(const char *lock_file);
