/* places.c — see the header: a table small enough to be looked through */
#include "places.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static const size_t places_max[WEB_ORIGINS] = {
    [WEB_REMOTE] = WEB_PLACES_REMOTE, [WEB_LOOPBACK] = WEB_PLACES_LOOPBACK, [WEB_SOCKET] = WEB_PLACES_SOCKET};
static const size_t address_max[WEB_ORIGINS] = {[WEB_REMOTE] = WEB_PLACES_PER_ADDRESS,
						[WEB_LOOPBACK] = WEB_PLACES_PER_LOCAL_ADDRESS,
						[WEB_SOCKET] = WEB_PLACES_SOCKET};

void places_init(struct places *p)
{
	list_init(&p->all);
}

static bool v4_is_loopback(uint32_t address)
{
	return address >> 24 == 127;
}

/* The IPv4 address in network order, also of ::ffff:a.b.c.d; false = an IPv6 address. */
static bool as_v4(const struct sockaddr *sa, uint32_t *out_address)
{
	const struct in6_addr *in6;

	if (sa->sa_family == AF_INET) {
		*out_address = ((const struct sockaddr_in *)(const void *)sa)->sin_addr.s_addr;
		return true;
	}
	in6 = &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr;
	if (!IN6_IS_ADDR_V4MAPPED(in6))
		return false;
	memcpy(out_address, &in6->s6_addr[12], sizeof(*out_address));
	return true;
}

enum web_origin place_origin(const struct sockaddr *sa)
{
	uint32_t v4;

	if (sa->sa_family == AF_UNIX)
		return WEB_SOCKET;
	if (sa->sa_family != AF_INET && sa->sa_family != AF_INET6)
		return WEB_REMOTE;
	if (as_v4(sa, &v4))
		return v4_is_loopback(ntohl(v4)) ? WEB_LOOPBACK : WEB_REMOTE;
	return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr) ? WEB_LOOPBACK
												 : WEB_REMOTE;
}

struct place *place_new(struct places *p, int fd, const struct sockaddr *sa, struct mono now)
{
	struct place *pl = mem_new(struct place);
	uint32_t v4;

	*pl = (struct place){.origin = place_origin(sa), .fd = fd, .since = now, .fresh = true};
	if (sa->sa_family == AF_INET || sa->sa_family == AF_INET6) {
		if (as_v4(sa, &v4))
			pl->address[1] = (UINT64_C(1) << 32) | v4;
		else
			memcpy(&pl->address[0], &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr,
			       sizeof(pl->address[0]));
	}
	list_add_tail(&p->all, &pl->link);
	return pl;
}

void place_free(struct place *pl)
{
	if (!pl)
		return;
	list_remove(&pl->link);
	free(pl);
}

static bool is_of(const struct place *pl, const struct place *other)
{
	return !pl->leaving && pl->origin == other->origin && pl->address[0] == other->address[0] &&
	       pl->address[1] == other->address[1];
}

static size_t count_of(const struct places *p, const struct place *like)
{
	size_t n = 0;

	list_for_each(pl, &p->all, struct place, link)
		n += is_of(pl, like);
	return n;
}

size_t places_count(const struct places *p, enum web_origin origin)
{
	size_t n = 0;

	list_for_each(pl, &p->all, struct place, link)
		n += !pl->leaving && pl->origin == origin;
	return n;
}

enum worth { NOT_NEEDED, SILENT, ANSWERING, SPARED };

static enum worth worth(const struct place *pl, struct mono now)
{
	int64_t age = mono_since_ms(now, pl->since);

	if (pl->answering)
		return ANSWERING;
	return pl->answered || age > WEB_STALE_MS ? NOT_NEEDED : pl->fresh ? SPARED : SILENT;
}

/* Of those whose place is not needed, the oldest. `like`: of its address only. */
static struct place *idlest(const struct places *p, const struct place *newcomer, const struct place *like)
{
	struct place *found = NULL;

	list_for_each(pl, &p->all, struct place, link)
		if (pl != newcomer && !pl->leaving && pl->origin == newcomer->origin && (!like || is_of(pl, like)) &&
		    worth(pl, newcomer->since) == NOT_NEEDED && (!found || pl->since.ns < found->since.ns))
			found = pl;
	return found;
}

/* Should `a` go rather than `b`? */
static bool goes_before(const struct place *a, const struct place *b, struct mono now)
{
	enum worth x = worth(a, now), y = worth(b, now);

	return x != y ? x < y : a->since.ns < b->since.ns;
}

/* Of this address the one that is needed least, the oldest of several; NULL = all are spared. */
static struct place *least_of(const struct places *p, const struct place *newcomer, const struct place *like)
{
	struct place *found = NULL;

	list_for_each(pl, &p->all, struct place, link)
		if (pl != newcomer && is_of(pl, like) && worth(pl, newcomer->since) != SPARED &&
		    (!found || goes_before(pl, found, newcomer->since)))
			found = pl;
	return found;
}

/* Of the address that holds most, if one of its places can be taken. */
static struct place *most_of(const struct places *p, const struct place *newcomer)
{
	struct place *found = NULL;
	size_t most = 0;

	list_for_each(pl, &p->all, struct place, link) {
		size_t n;

		if (pl == newcomer || pl->leaving || pl->origin != newcomer->origin ||
		    worth(pl, newcomer->since) == SPARED)
			continue;
		n = count_of(p, pl);
		if (n > most || (found && n == most && goes_before(pl, found, newcomer->since)))
			found = pl;
		most = n > most ? n : most;
	}
	return found ? least_of(p, newcomer, found) : NULL;
}

struct place *places_victim(const struct places *p, struct place *newcomer)
{
	struct place *victim;

	if (count_of(p, newcomer) > address_max[newcomer->origin]) {
		victim = idlest(p, newcomer, newcomer);
		victim = victim ? victim : least_of(p, newcomer, newcomer);
		return victim ? victim : newcomer;
	}
	if (places_count(p, newcomer->origin) <= places_max[newcomer->origin])
		return NULL;
	victim = idlest(p, newcomer, NULL);
	victim = victim ? victim : most_of(p, newcomer);
	return victim ? victim : newcomer;
}

bool place_is_late(const struct place *pl, struct mono now)
{
	int64_t most_s = pl->answering && pl->large ? WEB_LARGE_S : WEB_REQUEST_S;

	return !pl->leaving && mono_since_ms(now, pl->since) > most_s * MS_PER_S;
}
