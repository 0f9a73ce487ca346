/* fuzz_proc_net.c — any bytes as /proc/net/tcp, and as the tables of routes */
#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "node/gateway.h"
#include "node/listener.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_listeners(const char *ip, uint8_t *data, size_t size)
{
	struct endpoint at;
	uint64_t inode = 0;
	FILE *f = fmemopen(data, size, "r");

	if (!f || endpoint_of(ip, 6443, &at) < 0)
		abort();
	(void)listener_find(f, &at, &inode);
	(void)fclose(f);
}

static void read_routes(const char *ipv4, const char *ipv6)
{
	char out[GATEWAY_ADDR_SIZE];
	struct in6_addr addr;

	if (gateway_parse(ipv4, ipv6, out) && inet_pton(strchr(out, ':') ? AF_INET6 : AF_INET, out, &addr) != 1)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup(freep) char *text = str_ndup((const char *)data, size);
	cleanup(freep) uint8_t *copy = mem_calloc(size + 1, 1);

	if (!size)
		return 0;
	memcpy(copy, data, size);
	read_listeners("127.0.0.1", copy, size);
	read_listeners("fd00::1", copy, size);
	read_routes(text, NULL);
	read_routes(NULL, text);
	return 0;
}
