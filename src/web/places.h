/* web/places.h — who holds the connections, and who must go when there is no room for one more
 *
 * Each origin has places of its own: what comes from elsewhere cannot take those of this machine, and neither those of
 * root's socket. Within an origin a newcomer gets the place of one that does not need it: answered and only kept open,
 * or silent for WEB_STALE_MS. If there is none, the address that holds most loses one, so whoever opens many closes his
 * own. Who has not been heard yet is spared, or many clients in a hurry would push out each other before anybody is
 * answered.
 */
#pragma once
#include <netinet/in.h>
#include <sys/socket.h>
#include "base/clock.h"
#include "base/list.h"
#include "web/server.h"

struct place {
	struct list link;
	enum web_origin origin;
	uint64_t address[2]; /* of the client; IPv6: its /64, which is one customer */
	int fd;              /* libmicrohttpd's; open as long as the place is there */
	struct mono since;   /* opened, asked, or answered */
	bool fresh;          /* there was no time to hear it yet */
	bool answered;       /* at least once */
	bool answering, large;
	bool leaving; /* shut down already: counts no more */
};

struct places {
	struct list all;
};

void places_init(struct places *p);
enum web_origin place_origin(const struct sockaddr *sa); /* AF_UNIX: WEB_SOCKET */
struct place *place_new(struct places *p, int fd, const struct sockaddr *sa, struct mono now);
void place_free(struct place *pl); /* NULL-safe */
/* Who must leave so that this newcomer (which has its place already) fits: it may be the newcomer. NULL = nobody. */
struct place *places_victim(const struct places *p, struct place *newcomer);
size_t places_count(const struct places *p, enum web_origin origin); /* without those that are leaving */
/* Since when it waits too long: an unfinished request, an answer that is not taken. */
bool place_is_late(const struct place *pl, struct mono now);
