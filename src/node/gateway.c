/* gateway.c — reading the kernel's routes, and asking the gateway whether it is there
 *
 * Most gateways answer a ping; those that do not mostly refuse or accept a TCP connection. One that swallows both looks like none:
 * then a site of two stays passive.
 */
#include "node/gateway.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "node/dial.h"

enum { ROUTES_MAX = 1024 * 1024, RTF_GATEWAY_FLAG = 2, ECHO_ID = 0x4548, PACKET_MAX = 512 };

static const uint16_t usual_ports[] = { 53, 80, 443, 22 };

/* "Iface Destination Gateway Flags …" with hexadecimal addresses in host byte order. */
static bool parse_ipv4(const char *text, char out[GATEWAY_ADDR_SIZE])
{
	for (const char *line = text; line && *line; line = strchr(line, '\n'), line = line ? line + 1 : NULL) {
		unsigned destination, gateway, flags;
		struct in_addr a;

		if (sscanf(line, "%*31s %8x %8x %8x", &destination, &gateway, &flags) != 3 || destination || !gateway ||
		    !(flags & RTF_GATEWAY_FLAG))
			continue;
		a.s_addr = gateway;
		return inet_ntop(AF_INET, &a, out, GATEWAY_ADDR_SIZE) != NULL;
	}
	return false;
}

static bool parse_hex16(const char *hex, unsigned char out[16])
{
	for (int i = 0; i < 16; i++) {
		unsigned v;

		if (sscanf(hex + 2 * i, "%2x", &v) != 1)
			return false;
		out[i] = (unsigned char)v;
	}
	return true;
}

/* "destination length source length next-hop metric … flags device", all hexadecimal. */
static bool parse_ipv6(const char *text, char out[GATEWAY_ADDR_SIZE])
{
	for (const char *line = text; line && *line; line = strchr(line, '\n'), line = line ? line + 1 : NULL) {
		char destination[33], hop[33];
		unsigned length;
		unsigned char raw[16];

		if (sscanf(line, "%32s %2x %*32s %*2x %32s", destination, &length, hop) != 3 || length ||
		    strspn(destination, "0") != 32 || strspn(hop, "0") == 32 || str_has_prefix(hop, "fe80"))
			continue;	/* a link-local hop needs its interface to be reached */
		if (strlen(hop) == 32 && parse_hex16(hop, raw))
			return inet_ntop(AF_INET6, raw, out, GATEWAY_ADDR_SIZE) != NULL;
	}
	return false;
}

bool gateway_parse(const char *ipv4, const char *ipv6, char out[GATEWAY_ADDR_SIZE])
{
	return parse_ipv4(ipv4, out) || parse_ipv6(ipv6, out);
}

static bool gateway_find(char out[GATEWAY_ADDR_SIZE])
{
	cleanup(buf_fini) struct buf v4 = BUF_INIT, v6 = BUF_INIT;

	(void)file_read("/proc/net/route", ROUTES_MAX, &v4);
	(void)file_read("/proc/net/ipv6_route", ROUTES_MAX, &v6);
	return gateway_parse(v4.data, v6.data, out);
}

struct probe {
	struct op op;
	struct loop *loop;
	struct op *dial;
	struct io *io;
	int fd;
	struct in_addr addr;
	void (*done)(void *arg, bool answers);
	void *arg;
};

static void probe_cancel(struct op *op)
{
	struct probe *p = container_of(op, struct probe, op);

	op_cancelp(&p->dial);
	io_free(p->io);
	p->io = NULL;
	fd_closep(&p->fd);
	loop_free_later(p->loop, p, free);
}

static void probe_finish(struct probe *p, bool answers)
{
	void (*done)(void *arg, bool answers) = p->done;
	void *arg = p->arg;

	probe_cancel(&p->op);
	done(arg, answers);
}

static void on_dialed(void *arg, bool reachable)
{
	struct probe *p = arg;

	p->dial = NULL;
	probe_finish(p, reachable);
}

/* Any packet from the gateway's address proves it: raw sockets see all ICMP, datagram ones their own. */
static void on_packet(void *arg, int events)
{
	struct probe *p = arg;
	struct sockaddr_in from = { 0 };
	char packet[PACKET_MAX];

	(void)events;
	for (;;) {
		socklen_t len = sizeof(from);

		if (recvfrom(p->fd, packet, sizeof(packet), MSG_DONTWAIT, (struct sockaddr *)&from, &len) < 0)
			return;
		if (from.sin_addr.s_addr == p->addr.s_addr) {
			probe_finish(p, true);
			return;
		}
	}
}

static uint16_t checksum(const void *data, size_t n)
{
	uint32_t sum = 0;

	for (size_t i = 0; i + 1 < n; i += 2) {
		uint16_t word;

		memcpy(&word, (const char *)data + i, sizeof(word));
		sum += word;
	}
	sum = (sum >> 16) + (sum & 0xffff);
	return (uint16_t)~(sum + (sum >> 16));
}

static void ping(struct probe *p)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr = p->addr };
	struct icmphdr echo;

	memset(&echo, 0, sizeof(echo));
	echo.type = ICMP_ECHO;
	echo.un.echo.id = htons(ECHO_ID);
	echo.checksum = checksum(&echo, sizeof(echo));
	p->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_ICMP);
	if (p->fd < 0)
		p->fd = socket(AF_INET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_ICMP);
	if (p->fd < 0 || sendto(p->fd, &echo, sizeof(echo), 0, (struct sockaddr *)&to, sizeof(to)) < 0)
		return;			/* not permitted, or no route: TCP alone */
	p->io = io_new(p->loop, p->fd, on_packet, p);
	io_watch(p->io, IO_READ);
}

struct op *gateway_probe(struct loop *loop, int64_t timeout_ms, void (*done)(void *arg, bool answers), void *arg)
{
	char addr[GATEWAY_ADDR_SIZE];
	struct probe *p;

	if (!gateway_find(addr))
		return NULL;
	p = mem_new(struct probe);
	*p = (struct probe){ .op.cancel = probe_cancel, .loop = loop, .fd = -1, .done = done, .arg = arg };
	p->dial = dial_start(loop, &(struct dial_params){ addr, usual_ports, ARRAY_LEN(usual_ports), timeout_ms, true }, on_dialed,
			     p);
	if (inet_pton(AF_INET, addr, &p->addr) == 1)
		ping(p);
	return &p->op;
}
