/* serf/member.h — the members of the gossip cluster as one agent sees them */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/clock.h"

enum {
	SERF_NAME_MAX = 128,		/* bytes of a node's name; Serf's own limit */
	SERF_ADDR_SIZE = 46,		/* an IPv6 address as text */
	SERF_TAGS_MAX = 512,		/* bytes of all tags of one member, encoded */
};

enum serf_status { SERF_ALIVE, SERF_LEAVING, SERF_LEFT, SERF_FAILED, SERF_NONE };

struct serf_tag { char *key, *value; };

struct serf_member {
	char *name;
	char addr[SERF_ADDR_SIZE];	/* "" when the agent gave none */
	uint16_t port;
	enum serf_status status;
	struct serf_tag *tags;
	size_t tag_count;
	struct mono status_since;	/* when we first saw this status */
};

/* Sorted by name, names are unique. Zero-initialise. */
struct serf_members {
	struct serf_member *items;
	size_t count;
	struct mono as_of;		/* when the last answer came; 0 = never */
	uint64_t version;		/* one more whenever anything changed */
};

void serf_members_fini(struct serf_members *m);
const struct serf_member *serf_members_find(const struct serf_members *m, const char *name);	/* NULL = absent */
const char *serf_member_tag(const struct serf_member *m, const char *key);			/* NULL = absent */
const char *serf_status_name(enum serf_status s);	/* "alive", …; the agent's own words */

/* Move `fresh` into `m`: status_since is kept where the status is the same, version grows by one. `fresh` is
 * emptied. */
void serf_members_replace(struct serf_members *m, struct serf_members *fresh, struct mono now);
/* Sort by name; of members with the same name the first stays. */
void serf_members_sort(struct serf_members *m);
