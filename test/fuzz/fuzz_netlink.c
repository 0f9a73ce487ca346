/* fuzz_netlink.c — any bytes as a datagram of sock_diag, and as what libnftables says of a failure */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "node/gate_int.h"
#include "node/sockdiag.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup(freep) char *text = str_ndup((const char *)data, size);
	struct endpoint at[2];
	char fault[64];
	size_t found = 0;

	if (endpoint_of("10.0.0.1", 6443, &at[0]) < 0 || endpoint_of("fd00::1", 6443, &at[1]) < 0)
		abort();
	if (sockdiag_read(data, size, at, 2, GATE_MARK, &found) > 0 || found > size / sizeof(uint64_t))
		abort();
	gate_text_fault("cannot close", text, fault, sizeof(fault));
	if (strlen(fault) >= sizeof(fault) || strchr(fault, '\n'))
		abort();
	return 0;
}
