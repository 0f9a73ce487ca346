/* addr.c — the address of an agent's RPC port */
#include "serf/addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "base/str.h"

static int addr_fail(const char **out_why, const char *why)
{
	if (out_why)
		*out_why = why;
	return -EINVAL;
}

/* Cut "host:port" or "[host]:port" in two. NULL, or what is wrong. */
static const char *addr_split(const char *text, char *host, size_t size, const char **out_port)
{
	const char *end, *colon;
	size_t n;

	if (text[0] == '[') {
		end = strchr(++text, ']');
		if (!end || end[1] != ':')
			return "an IPv6 address is written [::1]:7373";
		colon = end + 1;
	} else {
		end = colon = strrchr(text, ':');
		if (!colon)
			return "the port is missing: write host:port";
		if (memchr(text, ':', (size_t)(end - text)))
			return "an IPv6 address is written [::1]:7373";
	}
	n = (size_t)(end - text);
	if (n == 0 || n >= size)
		return "the host is empty or too long";
	memcpy(host, text, n);
	host[n] = '\0';
	*out_port = colon + 1;
	return NULL;
}

int serf_addr_parse(const char *text, struct serf_addr *out_addr, const char **out_why)
{
	struct serf_addr a = { .len = 0 };
	struct sockaddr_in *v4 = (struct sockaddr_in *)&a.sa;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&a.sa;
	char host[INET6_ADDRSTRLEN + 1];
	const char *port_text = NULL, *why;
	int64_t port = 0;

	if (str_is_empty(text))
		return addr_fail(out_why, "the address is empty: write host:port");
	why = addr_split(text, host, sizeof(host), &port_text);
	if (why)
		return addr_fail(out_why, why);
	if (num_parse_i64(port_text, 1, UINT16_MAX, &port) < 0)
		return addr_fail(out_why, "the port must be a number from 1 to 65535");
	if (inet_pton(AF_INET, str_eq(host, "localhost") ? "127.0.0.1" : host, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons((uint16_t)port);
		a.len = sizeof(*v4);
	} else if (inet_pton(AF_INET6, host, &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons((uint16_t)port);
		a.len = sizeof(*v6);
	} else {
		return addr_fail(out_why, "the host must be an IP address or localhost");
	}
	*out_addr = a;
	return 0;
}
