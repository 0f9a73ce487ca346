/* listener.c — the listeners of this network namespace, from /proc/net/tcp and tcp6
 *
 * The kernel lists listeners first (tcp_seq_start()), so reading stops at the first other socket: ten thousand connections cost
 * nothing. An address is hexadecimal, 32 bits at a time in the machine's own byte order.
 */
#include "node/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"

#define LISTEN 0x0A			/* TCP_LISTEN, as /proc/net/tcp shows it */
#define WORD 8				/* hexadecimal digits of 32 bits */

static void file_closep(FILE **f)
{
	if (*f)
		(void)fclose(*f);
}

static bool parse_address(const char *hex, uint8_t out[16], size_t *out_n)
{
	size_t n = strlen(hex);

	if (n != WORD && n != 4 * WORD)
		return false;
	for (size_t i = 0; i < n / WORD; i++) {
		uint32_t word;

		if (sscanf(hex + i * WORD, "%8" SCNx32, &word) != 1)
			return false;
		memcpy(out + i * sizeof(word), &word, sizeof(word));
	}
	*out_n = n / 2;
	return true;
}

/* Does whoever listens at this address answer at `e`? Every address of IPv6 takes IPv4 as well, unless told not to. */
static bool is_at(const uint8_t *addr, size_t n, const struct endpoint *e)
{
	static const uint8_t any[16], mapped[12] = { [10] = 0xff, [11] = 0xff };

	if (memcmp(addr, any, n) == 0)
		return n == 16 || e->family == AF_INET;
	if (n == 16 && e->family == AF_INET)
		return memcmp(addr, mapped, sizeof(mapped)) == 0 && memcmp(addr + 12, e->addr, 4) == 0;
	return n == (e->family == AF_INET ? 4U : 16U) && memcmp(addr, e->addr, n) == 0;
}

int listener_find(FILE *f, const struct endpoint *at, uint64_t *out_inode)
{
	char line[512], hex[33];
	uint8_t addr[16];

	while (fgets(line, sizeof(line), f)) {
		unsigned port, state;
		uint64_t inode;
		size_t n;

		/* sl local remote st tx:rx tr:tm->when retrnsmt uid timeout inode … */
		if (sscanf(line, " %*u: %32[0-9A-F]:%4x %*[0-9A-F]:%*x %2x %*x:%*x %*x:%*x %*x %*u %*u %" SCNu64, hex, &port,
			   &state, &inode) != 4)
			continue;
		if (state != LISTEN)
			break;
		if (port == at->port && parse_address(hex, addr, &n) && is_at(addr, n, at)) {
			*out_inode = inode;
			return 0;
		}
	}
	return ferror(f) ? -EIO : -ENOENT;
}

static int search(const char *path, const struct endpoint *at, uint64_t *out_inode)
{
	cleanup(file_closep) FILE *f = fopen(path, "re");

	return f ? listener_find(f, at, out_inode) : -errno;	/* ENOENT: no IPv6 in this kernel */
}

int listener_inode(const char *tables, const struct endpoint *at, uint64_t *out_inode)
{
	cleanup(freep) char *tcp = str_format("%s/tcp", tables), *tcp6 = str_format("%s/tcp6", tables);
	int r = search(tcp, at, out_inode);

	return r == -ENOENT ? search(tcp6, at, out_inode) : r;
}
