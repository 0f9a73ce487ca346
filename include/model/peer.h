/* model/peer.h — another node as gossip shows it */
#pragma once
#include <stdbool.h>
#include "base/clock.h"
#include "model/resource.h"

#define PEER_ADDR_SIZE 46
/* The tag `v`. 1: claims and witness questions. 2: also grants, fences and the question of a rebooted node. 3: also what became of
 * lost pods, and a mirror's freshness is told as a stamp (model/stamp.h), not as a version. A healer ranks every peer of 1 and
 * above: how ranks are found has not changed. */
#define PEER_PROTOCOL 3
#define PEER_PROTOCOL_STAMPS 3
#define PEER_PROTOCOL_FATE 3

enum peer_status { PEER_ALIVE, PEER_LEAVING, PEER_LEFT, PEER_FAILED, PEER_UNKNOWN };

/* Who belongs to the site is said by the API server, not by gossip: anybody may join that. */
enum peer_standing {
	PEER_MEMBER,			/* a Node of that name is mirrored, or it is us */
	PEER_NEWCOMER,			/* a healer that came after the last confirmed list of Nodes: it may be one by now */
	PEER_STRANGER,			/* shown, and counts for nothing */
};

struct peer {
	const char *name;		/* interned node name */
	enum peer_standing standing;
	char addr[PEER_ADDR_SIZE];
	uint16_t port;
	enum peer_status status;
	struct mono status_since;	/* when we first saw this status */
	const char *site;		/* interned tag, "" = none */
	struct resources free;		/* tags cpu, mem, pods */
	bool has_capacity;		/* the tags were there and valid: without them it cannot bid */
	bool api;			/* its own link is online, says its tag */
	bool left;			/* gossip says that it left: that proves nothing, it counts as failed */
	bool blank;			/* it has no mirror, says its tag: it can neither bid nor bring its own pods back */
	bool forgotten;			/* away, and an operator said that it does not count (edge-healer forget) */
	bool silent;			/* its healer is dead, whatever gossip says: it does not know the API server */
	int protocol;			/* tag v; 0 = none */
};

/* All peers as of one answer of the agent. */
struct peers {
	struct peer *items;
	size_t count;
	struct mono as_of;		/* 0 = never */
};
const struct peer *peers_find(const struct peers *p, const char *name);
