/* forms.c — the form of each text: names, paths, addresses, URLs
 *
 * Pure, but for no file: what is on this machine is looked at elsewhere (paths.c, agent/preflight.c). Each complaint
 * repeats the value and says what would be right. The parsers are those that the agent itself uses.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/endpoint.h"
#include "base/log.h"
#include "conf_int.h"

#define SOCKET_PATH_MAX 107 /* unix(7): sun_path has 108 bytes */
#define NAME_MAX_1123 253   /* RFC 1123 subdomain, as Kubernetes checks names of Nodes and Pods */
#define LABEL_MAX_1123 63   /* RFC 1123 label; also the longest value of a label */

static bool wrong(struct buf *why, const char *value, const char *fix)
{
	buf_addf(why, "\"%s\": %s", value, fix);
	return false;
}

/* ---- names ---- */

/* `n` bytes of lower-case letters, digits and '-', which is neither first nor last. */
static bool is_label(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!islower((unsigned char)s[i]) && !isdigit((unsigned char)s[i]) && s[i] != '-')
			return false;
	return n > 0 && s[0] != '-' && s[n - 1] != '-';
}

static bool is_subdomain(const char *s)
{
	size_t n;

	if (strlen(s) > NAME_MAX_1123)
		return false;
	for (;; s += n + 1) {
		n = strcspn(s, ".");
		if (!is_label(s, n))
			return false;
		if (!s[n])
			return true;
	}
}

bool form_node(const char *value, struct buf *why)
{
	return is_subdomain(value) ||
	       wrong(why, value,
		     "no Node has such a name: write it as kubectl get nodes shows it (lower-case letters, digits, '-' "
		     "and '.', at most 253)");
}

bool form_object(const char *value, struct buf *why)
{
	return is_subdomain(value) ||
	       wrong(why, value,
		     "no Pod has such a name: use lower-case letters, digits, '-' and '.', at most 253 (POD_NAME by "
		     "the downward API)");
}

bool form_label(const char *value, struct buf *why)
{
	size_t n = strlen(value);

	return (n <= LABEL_MAX_1123 && is_label(value, n)) ||
	       wrong(why, value, "use lower-case letters, digits and '-', at most 63");
}

/* It travels in a tag of Serf, and all tags of a member have 512 bytes. */
bool form_site(const char *value, struct buf *why)
{
	return strlen(value) <= LABEL_MAX_1123 || wrong(why, value, "use at most 63 bytes, as a zone label has");
}

bool form_log_levels(const char *value, struct buf *why)
{
	return log_check_levels(value) == 0 ||
	       wrong(why, value, "write error, warn, info or debug, or info,serf=debug");
}

/* str_glob() knows '*' alone; a namespace is an RFC 1123 label. */
bool form_namespace(const char *value, struct buf *why)
{
	const char *glob = value + (*value == '!');

	if (!*glob)
		return wrong(why, value, "nothing is behind the '!': write !kube-system");
	for (const char *p = glob; *p; p++)
		if (!islower((unsigned char)*p) && !isdigit((unsigned char)*p) && *p != '-' && *p != '*')
			return wrong(why, value,
				     "no namespace is matched by this: use lower-case letters, digits, '-', and '*' "
				     "for any text, one namespace an item");
	return true;
}

/* ---- paths ---- */

static bool is_path(const char *value, struct buf *why)
{
	if (value[0] != '/')
		return wrong(why, value, "write a whole path, from / on");
	if (strlen(value) >= PATH_MAX)
		return wrong(why, value, "the path is too long");
	for (const char *p = value; *p; p++)
		if (iscntrl((unsigned char)*p))
			return wrong(why, value, "the path contains a control character: take it out");
	return true;
}

bool form_file(const char *value, struct buf *why)
{
	const char *last = strrchr(value, '/');

	if (!is_path(value, why))
		return false;
	if (!last[1] || strcmp(last, "/.") == 0 || strcmp(last, "/..") == 0)
		return wrong(why, value, "this is a folder: name a file in it");
	return true;
}

bool form_folder(const char *value, struct buf *why)
{
	if (!is_path(value, why))
		return false;
	return value[strspn(value, "/.")] != '\0' || wrong(why, value, "this is the root folder: name one below it");
}

bool form_socket(const char *value, struct buf *why)
{
	if (value[0] != '/' || strlen(value) > SOCKET_PATH_MAX)
		return wrong(why, value, "write a whole path, from / on, of at most 107 bytes");
	return form_file(value, why);
}

/* ---- addresses ---- */

bool form_listen(const char *value, struct buf *why)
{
	struct sockaddr_storage at;
	size_t n;

	if (!strchr(value, ':'))
		return wrong(why, value, "it has no port: write 0.0.0.0:8000");
	return endpoint_listen_parse(value, &at, &n) == 0 ||
	       wrong(why, value, "write an IP address and a port by number (0 to 65535): 0.0.0.0:8000 or [::]:8000");
}

/* What this takes serf_addr_parse() takes too (test_agent_preflight.c). */
bool form_rpc(const char *value, struct buf *why)
{
	struct endpoint e;

	if (!strchr(value, ':'))
		return wrong(why, value, "it has no port: write 127.0.0.1:7373");
	return endpoint_parse(value, &e) == 0 ||
	       wrong(why, value,
		     "write an IP address or localhost and a port from 1 to 65535: 127.0.0.1:7373 or [::1]:7373");
}

bool form_gate_address(const char *value, struct buf *why)
{
	struct endpoint e;

	return endpoint_parse(value, &e) == 0 ||
	       wrong(why, value, "write an IP address and a port from 1 to 65535: 10.0.0.1:6443 or [fd00::1]:6443");
}

bool form_health(const char *value, struct buf *why)
{
	struct endpoint e;

	return endpoint_of_url(value, &e) == 0 ||
	       wrong(why, value,
		     "write it with an IP address and a port from 1 to 65535: http://127.0.0.1:10248/healthz");
}

bool form_server(const char *value, struct buf *why)
{
	const char *fault = endpoint_url_fault(value);

	if (!fault)
		return true;
	if (strchr(value, '@')) /* a password is not repeated */
		buf_adds(why, fault);
	else
		(void)wrong(why, value, fault);
	return false;
}

/* HOST, HOST:PORT, [V6]:PORT, a bare IPv6 address; NODE/ before any of them (Serf takes it for the name to expect). */
bool form_join(const char *value, struct buf *why)
{
	const char *slash = strchr(value, '/'), *host = slash ? slash + 1 : value, *end = host + strcspn(host, ":");
	struct endpoint e;
	struct in6_addr v6;
	char text[INET6_ADDRSTRLEN + 16];

	if (strpbrk(value, " \t\r\n,;"))
		return wrong(why, value, "one address an item: make a list of them, [a, \"b:7946\"]");
	if (host[0] == '[') {
		(void)snprintf(text, sizeof(text), "%s%s", host, host[strlen(host) - 1] == ']' ? ":7946" : "");
		if (strlen(host) < INET6_ADDRSTRLEN + 8 && endpoint_parse(text, &e) == 0)
			return true;
	} else if (inet_pton(AF_INET6, host, &v6) == 1) {
		return true;
	} else {
		size_t legal = strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_");
		int64_t port;

		if (end > host && legal == (size_t)(end - host) &&
		    (!*end || num_parse_i64(end + 1, 1, UINT16_MAX, &port) == 0))
			return true;
	}
	return wrong(why, value,
		     "write a host and perhaps a port from 1 to 65535: 10.0.0.1, node2:7946 or [fd00::1]:7946");
}
