/* endpoint.c — TCP destinations as text and as bytes
 *
 * Pure. What is no number is refused with -EINVAL; the caller says what that means.
 */
#include "base/endpoint.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/str.h"

int endpoint_of(const char *ip, uint16_t port, struct endpoint *out)
{
	struct endpoint e = { .family = AF_INET, .port = port };
	struct in6_addr v6;

	if (!ip || !port)
		return -EINVAL;
	if (inet_pton(AF_INET, str_eq(ip, "localhost") ? "127.0.0.1" : ip, e.addr) == 1) {
		*out = e;
		return 0;
	}
	if (inet_pton(AF_INET6, ip, &v6) != 1)
		return -EINVAL;
	if (IN6_IS_ADDR_V4MAPPED(&v6)) {
		memcpy(e.addr, &v6.s6_addr[12], sizeof(struct in_addr));
	} else {
		e.family = AF_INET6;
		memcpy(e.addr, &v6, sizeof(v6));
	}
	*out = e;
	return 0;
}

/* "host", "host:port", "[v6]" or "[v6]:port" of `n` bytes; default_port 0 = a port must be there. */
static int parse(const char *text, size_t n, uint16_t default_port, struct endpoint *out)
{
	char host[INET6_ADDRSTRLEN + 1], port_text[8] = "";
	const char *end = text[0] == '[' ? memchr(text, ']', n) : memchr(text, ':', n);
	const char *begin = text + (text[0] == '['), *rest;
	int64_t port = default_port;

	if (!end && text[0] == '[')
		return -EINVAL;
	end = end ? end : text + n;
	rest = end + (*text == '[');
	if ((size_t)(end - begin) >= sizeof(host))
		return -EINVAL;
	memcpy(host, begin, (size_t)(end - begin));
	host[end - begin] = '\0';
	if (rest < text + n) {
		size_t digits = (size_t)(text + n - rest) - 1;

		if (*rest != ':' || digits == 0 || digits >= sizeof(port_text))
			return -EINVAL;
		memcpy(port_text, rest + 1, digits);
		port_text[digits] = '\0';
		if (num_parse_i64(port_text, 1, UINT16_MAX, &port) < 0)
			return -EINVAL;
	}
	if ((text[0] == '[') != (strchr(host, ':') != NULL))
		return -EINVAL;		/* brackets are for IPv6, and IPv6 needs them */
	return endpoint_of(host, (uint16_t)port, out);
}

int endpoint_parse(const char *text, struct endpoint *out)
{
	return str_is_empty(text) ? -EINVAL : parse(text, strlen(text), 0, out);
}

int endpoint_of_url(const char *url, struct endpoint *out)
{
	static const struct { const char *prefix; uint16_t port; } schemes[] = { { "https://", 443 }, { "http://", 80 } };

	for (size_t i = 0; url && i < sizeof(schemes) / sizeof(schemes[0]); i++) {
		const char *host = url + strlen(schemes[i].prefix);

		if (str_has_prefix(url, schemes[i].prefix) && *host)
			return parse(host, strcspn(host, "/?#"), schemes[i].port, out);
	}
	return -EINVAL;
}

static bool is_port(const char *text, size_t n)
{
	char digits[8];
	int64_t port;

	if (n == 0 || n >= sizeof(digits))
		return false;
	memcpy(digits, text, n);
	digits[n] = '\0';
	return num_parse_i64(digits, 1, UINT16_MAX, &port) == 0;
}

const char *endpoint_url_fault(const char *url)
{
	const char *host = strstr(url, "://"), *end, *port;

	for (const char *p = url; *p; p++)
		if ((unsigned char)*p <= ' ' || *p == 0x7f)
			return "it contains a space or a control character: take that out";
	if (strlen(url) > ENDPOINT_URL_MAX)
		return "it is longer than 2048 bytes: shorten it";
	if (!str_has_prefix(url, "https://") && !str_has_prefix(url, "http://"))
		return "give a URL with https:// or http://";
	host += strlen("://");
	end = host + strcspn(host, "/");
	if (*host == '[') {
		port = memchr(host, ']', (size_t)(end - host));
		if (!port)
			return "close the bracket: https://[fd00::1]:6443";
		port++;
	} else {
		port = host + strcspn(host, ":/");
	}
	if (port == host || strchr(url, '@') || strpbrk(host, "?#"))
		return "give https://HOST[:PORT][/PATH], without a user, ? or #";
	if (port < end && (*port != ':' || !is_port(port + 1, (size_t)(end - port) - 1)))
		return "the port must be a number from 1 to 65535, and an IPv6 address in brackets";
	return NULL;
}

int endpoint_listen_parse(const char *text, struct sockaddr_storage *out_addr, size_t *out_len)
{
	const char *colon = strrchr(text, ':');
	cleanup(freep) char *host = colon ? str_ndup(text, (size_t)(colon - text)) : NULL;
	struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
	struct addrinfo *ai = NULL;
	char *bare = host;
	int64_t port;

	if (!colon || num_parse_i64(colon + 1, 0, UINT16_MAX, &port) < 0) /* getaddrinfo() cuts 99999 to 34463 */
		return -EINVAL;
	if (*bare == '[' && bare[strlen(bare) - 1] == ']') {
		bare[strlen(bare) - 1] = '\0';
		bare++;
	}
	if (getaddrinfo(*bare ? bare : NULL, colon + 1, &hints, &ai) != 0)
		return -EINVAL;
	memcpy(out_addr, ai->ai_addr, ai->ai_addrlen);
	*out_len = ai->ai_addrlen;
	freeaddrinfo(ai);
	return 0;
}

void endpoint_ip(const struct endpoint *e, char out[ENDPOINT_TEXT_SIZE])
{
	if (!inet_ntop(e->family, e->addr, out, ENDPOINT_TEXT_SIZE))
		(void)str_copy(out, ENDPOINT_TEXT_SIZE, "?");
}

void endpoint_format(const struct endpoint *e, char out[ENDPOINT_TEXT_SIZE])
{
	char ip[ENDPOINT_TEXT_SIZE];

	endpoint_ip(e, ip);
	(void)snprintf(out, ENDPOINT_TEXT_SIZE, e->family == AF_INET6 ? "[%.46s]:%u" : "%.46s:%u", ip, e->port);
}

bool endpoint_eq(const struct endpoint *a, const struct endpoint *b)
{
	return a->family == b->family && a->port == b->port && memcmp(a->addr, b->addr, sizeof(a->addr)) == 0;
}

bool endpoint_add(struct endpoint *list, size_t *count, size_t max, const struct endpoint *e)
{
	for (size_t i = 0; i < *count; i++)
		if (endpoint_eq(&list[i], e))
			return true;
	if (*count == max)
		return false;
	list[(*count)++] = *e;
	return true;
}
