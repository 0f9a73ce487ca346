/* machine.c — boot id, load and capacity of this machine */
#include "node/machine.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"

#define LOAD_WEIGHT 0.3			/* of the newest sample */

int machine_boot_id(const char *file, char out[BOOT_ID_SIZE])
{
	return file_read_line(file, out, BOOT_ID_SIZE);
}

struct resources machine_capacity(void)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN), pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);

	return (struct resources){ .cpu_milli = cpus > 0 ? cpus * 1000L : 0,
				   .mem_bytes = pages > 0 ? (int64_t)pages * size : 0, .pods = 110 };
}

int cpu_load_feed(struct cpu_load *l, const char *line)
{
	long long v[8];		/* user nice system idle iowait irq softirq steal: proc(5) */
	int64_t total = 0, busy;
	double share;

	if (!str_has_prefix(line, "cpu ") ||
	    sscanf(line, "cpu %lld %lld %lld %lld %lld %lld %lld %lld", &v[0], &v[1], &v[2], &v[3], &v[4], &v[5], &v[6],
		   &v[7]) != 8)
		return -EINVAL;
	for (int i = 0; i < 8; i++)
		total += v[i];
	busy = total - v[3] - v[4];
	if (l->total && total > l->total) {
		share = (double)(busy - l->busy) / (double)(total - l->total);
		share = share < 0 ? 0 : share > 1 ? 1 : share;	/* iowait may go backwards: proc(5) */
		l->used = l->used < 0 ? share : (1 - LOAD_WEIGHT) * l->used + LOAD_WEIGHT * share;
	}
	l->total = total;
	l->busy = busy;
	return 0;
}

int cpu_load_sample(struct cpu_load *l)
{
	char line[256];
	int r = file_read_line("/proc/stat", line, sizeof(line));

	return r < 0 ? r : cpu_load_feed(l, line);
}

int64_t cpu_load_milli(const struct cpu_load *l, int64_t capacity_milli)
{
	return l->used <= 0 ? 0 : (int64_t)(l->used * (double)capacity_milli);
}
