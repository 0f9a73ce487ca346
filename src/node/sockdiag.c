/* sockdiag.c — SOCK_DESTROY of connections to some destinations
 *
 * One dump per family over a netlink socket: the kernel lists every TCP connection of this network namespace, we keep those to
 * our endpoints (an IPv6 socket with an IPv4-mapped address counts as IPv4). When a dump is complete each is destroyed by its
 * identity and cookie, so that a port reused meanwhile is not hit. Connections that end by themselves in between are no error.
 *
 * Synchronous: the kernel answers from memory. 16000 connections were looked through in 5 to 15 ms; RECEIVE_MS bounds what
 * else may be.
 */
#include "node/sockdiag.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/mem.h"

enum { RECEIVE_MS = 500, ANSWER_SIZE = 32 * 1024,
       FOREIGN_MAX = 64 };		/* datagrams of others, while one answer is waited for */

/* What can hang, and what may still be closing: not listeners, not TIME_WAIT, not half-made connections to our own ports. */
#define STATES (1u << TCP_ESTABLISHED | 1u << TCP_SYN_SENT | 1u << TCP_FIN_WAIT1 | 1u << TCP_FIN_WAIT2 | \
		1u << TCP_CLOSE_WAIT | 1u << TCP_LAST_ACK | 1u << TCP_CLOSING)

struct request {
	struct nlmsghdr head;
	struct inet_diag_req_v2 body;
};

struct found { uint8_t family; struct inet_diag_sockid id; };

struct search {
	const struct endpoint *endpoints;
	size_t count;
	uint32_t spare_mark;
	struct found *found;
	size_t found_count, found_cap;
};

static int diag_open(int *out_fd)
{
	struct timeval limit = { .tv_usec = RECEIVE_MS * 1000 };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);

	if (fd < 0)
		return -errno;
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	*out_fd = fd;
	return 0;
}

static int diag_send(int fd, uint16_t type, uint16_t flags, const struct inet_diag_req_v2 *body)
{
	struct request rq = {
		.head = { .nlmsg_len = sizeof(rq), .nlmsg_type = type, .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags) },
		.body = *body,
	};

	return send(fd, &rq, sizeof(rq), 0) == sizeof(rq) ? 0 : -errno;
}

static uint32_t mark_of(const struct nlmsghdr *m)
{
	const struct inet_diag_msg *d = NLMSG_DATA(m);
	const struct rtattr *a = (const struct rtattr *)(const void *)(d + 1);
	int left = (int)(m->nlmsg_len - NLMSG_LENGTH(sizeof(*d)));
	uint32_t mark = 0;

	for (; RTA_OK(a, left); a = RTA_NEXT(a, left))
		if (a->rta_type == INET_DIAG_MARK && RTA_PAYLOAD(a) >= sizeof(mark))
			memcpy(&mark, RTA_DATA(a), sizeof(mark));
	return mark;
}

static bool is_wanted(const struct search *s, const struct inet_diag_msg *d)
{
	struct endpoint e = { .family = d->idiag_family, .port = ntohs(d->id.idiag_dport) };
	struct in6_addr v6;

	memcpy(&v6, d->id.idiag_dst, sizeof(v6));
	if (e.family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&v6)) {
		e.family = AF_INET;
		memcpy(e.addr, &v6.s6_addr[12], sizeof(struct in_addr));
	} else {
		memcpy(e.addr, d->id.idiag_dst, e.family == AF_INET ? sizeof(struct in_addr) : sizeof(v6));
	}
	for (size_t i = 0; i < s->count; i++)
		if (endpoint_eq(&s->endpoints[i], &e))
			return true;
	return false;
}

static void note(struct search *s, const struct nlmsghdr *m)
{
	const struct inet_diag_msg *d = NLMSG_DATA(m);

	if (m->nlmsg_len < NLMSG_LENGTH(sizeof(*d)) || !is_wanted(s, d) || s->found_count == SOCKDIAG_DESTROY_MAX ||
	    (s->spare_mark && mark_of(m) == s->spare_mark))
		return;
	if (s->found_count == s->found_cap) {
		s->found_cap = s->found_cap ? s->found_cap * 2 : 64;
		s->found = mem_resize(s->found, s->found_cap, sizeof(*s->found));
	}
	s->found[s->found_count++] = (struct found){ .family = d->idiag_family, .id = d->id };
}

enum { MORE = 1 };			/* no end yet */

static int error_of(const struct nlmsghdr *m)
{
	const struct nlmsgerr *e = NLMSG_DATA(m);

	return m->nlmsg_len < NLMSG_LENGTH(sizeof(*e)) || e->error > 0 ? -EBADMSG : e->error;
}

/* One datagram. 0 or -errno: that was the end of a dump, or an answer of its own. MORE: there will be another.
 * NLMSG_NEXT() is not used: behind a last message whose length is not aligned it counts below zero, and reads on. */
static int diag_take(const char *bytes, size_t n, struct search *s)
{
	for (size_t at = 0; n > at && n - at >= sizeof(struct nlmsghdr);) {
		const struct nlmsghdr *m = (const void *)(bytes + at);

		if (m->nlmsg_len < sizeof(*m) || m->nlmsg_len > n - at)
			return -EBADMSG;
		if (m->nlmsg_type == NLMSG_DONE)
			return 0;
		if (m->nlmsg_type == NLMSG_ERROR)
			return error_of(m);
		if (s && m->nlmsg_type == SOCK_DIAG_BY_FAMILY)
			note(s, m);
		at += NLMSG_ALIGN(m->nlmsg_len);
	}
	return MORE;
}

int sockdiag_read(const void *answer, size_t n, const struct endpoint *endpoints, size_t count, uint32_t spare_mark,
		  size_t *out_found)
{
	struct search s = { .endpoints = endpoints, .count = count, .spare_mark = spare_mark };
	int r = diag_take(answer, n, &s);

	*out_found = s.found_count;
	free(s.found);
	return r == MORE ? -EAGAIN : r;
}

/* Messages until the end of a dump or an answer of our own: 0 or -errno. `s` NULL = there is no dump to read. Who has
 * CAP_NET_ADMIN here may write to our socket as well: the kernel's own port is 0, and what others send is passed over. */
static int diag_receive(int fd, struct search *s)
{
	cleanup(freep) char *answer = mem_calloc(1, ANSWER_SIZE);

	for (int foreign = 0; foreign < FOREIGN_MAX;) {
		struct sockaddr_nl from = { 0 };
		socklen_t len = sizeof(from);
		ssize_t got = recvfrom(fd, answer, ANSWER_SIZE, MSG_TRUNC, (struct sockaddr *)&from, &len);
		int r = MORE;

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0 || got > ANSWER_SIZE)
			return got < 0 ? -errno : got ? -EMSGSIZE : -EPIPE;
		if (from.nl_pid == 0)
			r = diag_take(answer, (size_t)got, s);
		else
			foreign++;
		if (r != MORE)
			return r;
	}
	return -EBUSY;
}

static int dump(int fd, uint8_t family, struct search *s)
{
	struct inet_diag_req_v2 rq = { .sdiag_family = family, .sdiag_protocol = IPPROTO_TCP, .idiag_states = STATES };
	int r = diag_send(fd, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, &rq);

	return r < 0 ? r : diag_receive(fd, s);
}

static int destroy_one(int fd, const struct found *f)
{
	struct inet_diag_req_v2 rq = { .sdiag_family = f->family, .sdiag_protocol = IPPROTO_TCP, .idiag_states = STATES,
				       .id = f->id };
	int r = diag_send(fd, SOCK_DESTROY, NLM_F_ACK, &rq);

	return r < 0 ? r : diag_receive(fd, NULL);
}

static int outcome_of(int r)
{
	return r == -EOPNOTSUPP ? SOCKDIAG_E_UNSUPPORTED : r == -EPERM || r == -EACCES ? SOCKDIAG_E_RIGHTS : r;
}

int sockdiag_can_destroy(void)
{
	struct found none = { .family = AF_INET };	/* port 0: there is no such connection */
	cleanup(fd_closep) int fd = -1;
	int r = diag_open(&fd);

	r = r < 0 ? r : destroy_one(fd, &none);
	return r == -ENOENT ? 0 : outcome_of(r);
}

int sockdiag_destroy(const struct endpoint *endpoints, size_t n, uint32_t spare_mark, size_t *out_destroyed)
{
	struct search s = { .endpoints = endpoints, .count = n, .spare_mark = spare_mark };
	cleanup(fd_closep) int fd = -1;
	int r = diag_open(&fd), failed = 0;

	*out_destroyed = 0;
	r = r < 0 ? r : dump(fd, AF_INET, &s);
	if (r == 0) {
		r = dump(fd, AF_INET6, &s);
		r = r == -ENOENT || r == -EAFNOSUPPORT ? 0 : r;		/* a kernel without IPv6 */
	}
	for (size_t i = 0; i < s.found_count; i++) {
		int one = destroy_one(fd, &s.found[i]);

		if (one == 0)
			++*out_destroyed;
		else if (one != -ENOENT && one != -ESTALE)
			failed = one;
	}
	free(s.found);
	return outcome_of(r < 0 ? r : failed);
}
