/* places.c — see the header: a table small enough to be looked through */
#include "places.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static const size_t places_max[WEB_ORIGINS] = {
	[WEB_REMOTE] = WEB_PLACES_REMOTE, [WEB_LOOPBACK] = WEB_PLACES_LOOPBACK, [WEB_SOCKET] = WEB_PLACES_SOCKET
};

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
	return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr) ? WEB_LOOPBACK : WEB_REMOTE;
}

struct place *place_new(struct places *p, int fd, const struct sockaddr *sa, struct mono now)
{
	struct place *pl = mem_new(struct place);
	uint32_t v4;

	*pl = (struct place){ .origin = place_origin(sa), .fd = fd, .since = now };
	if (sa->sa_family == AF_INET || sa->sa_family == AF_INET6) {
		if (as_v4(sa, &v4))
			pl->address[1] = (UINT64_C(1) << 32) | v4;
		else
			memcpy(&pl->address[0], &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr, sizeof(pl->address[0]));
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

/* Should `a` go rather than `b`? */
static bool goes_before(const struct place *a, const struct place *b)
{
	return a->answering != b->answering ? !a->answering : a->since.ns < b->since.ns;
}

static struct place *oldest_of(const struct places *p, const struct place *like, const struct place *spare)
{
	struct place *found = NULL;

	list_for_each(pl, &p->all, struct place, link)
		if (pl != spare && is_of(pl, like) && (!found || goes_before(pl, found)))
			found = pl;
	return found;
}

/* Of the address that holds most; of several such the one with the place that goes first. */
static struct place *most_of(const struct places *p, const struct place *spare)
{
	struct place *found = NULL;
	size_t most = 0;

	list_for_each(pl, &p->all, struct place, link) {
		size_t n;

		if (pl == spare || pl->leaving || pl->origin != spare->origin)
			continue;
		n = count_of(p, pl);
		if (n > most || (n == most && goes_before(pl, found)))
			found = pl;
		most = n > most ? n : most;
	}
	return found;
}

struct place *places_victim(const struct places *p, const struct place *newcomer)
{
	if (newcomer->origin != WEB_SOCKET && count_of(p, newcomer) > WEB_PLACES_PER_ADDRESS)
		return oldest_of(p, newcomer, newcomer);
	return places_count(p, newcomer->origin) > places_max[newcomer->origin] ? most_of(p, newcomer) : NULL;
}

bool place_is_late(const struct place *pl, struct mono now)
{
	int64_t most_s = pl->answering && pl->large ? WEB_LARGE_S : WEB_REQUEST_S;

	return !pl->leaving && mono_since_ms(now, pl->since) > most_s * MS_PER_S;
}
