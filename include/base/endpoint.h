/* base/endpoint.h — a TCP destination by number: "10.0.0.1:6443", "[fd00::1]:6443"
 *
 * No name is ever looked up: that may take longer than an outage.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ENDPOINT_TEXT_SIZE 64		/* the longest IPv6 address, brackets, port and NUL */

/* Compare with endpoint_eq() only; an IPv4-mapped IPv6 address is kept as the IPv4 address it means. */
struct endpoint {
	int family;			/* AF_INET or AF_INET6 */
	uint8_t addr[16];		/* network order; IPv4: the first four */
	uint16_t port;			/* host order; never 0 */
};

/* 0, or -EINVAL when it is no IP address with a port. "localhost" is 127.0.0.1. */
int endpoint_parse(const char *text, struct endpoint *out);
/* From an IP address alone (no brackets; NULL is none) and a port: 0 or -EINVAL. */
int endpoint_of(const char *ip, uint16_t port, struct endpoint *out);
/* From "https://host[:port][/path]"; the port defaults to the scheme's. 0, or -EINVAL when the host is a name or it is no URL. */
int endpoint_of_url(const char *url, struct endpoint *out);
/* What is wrong with the URL of an API server, as an instruction, or NULL: it takes http:// or https://, a host (a name
 * or a number), perhaps a port from 1 to 65535 and a path, and nothing else. */
const char *endpoint_url_fault(const char *url);
#define ENDPOINT_URL_MAX 2048		/* bytes of such a URL */
/* Where to listen: "10.0.0.1:8000", "[fd00::1]:8000", ":8000" (all addresses); port 0 = any. 0 and *out_addr, or
 * -EINVAL. */
struct sockaddr_storage;
int endpoint_listen_parse(const char *text, struct sockaddr_storage *out_addr, size_t *out_len);
void endpoint_ip(const struct endpoint *e, char out[ENDPOINT_TEXT_SIZE]);	/* without the port */
void endpoint_format(const struct endpoint *e, char out[ENDPOINT_TEXT_SIZE]);
bool endpoint_eq(const struct endpoint *a, const struct endpoint *b);
/* Adds it unless it is there. False when the list is full (`max`). */
bool endpoint_add(struct endpoint *list, size_t *count, size_t max, const struct endpoint *e);
