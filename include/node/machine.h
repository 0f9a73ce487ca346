/* node/machine.h — this machine: boot id, CPU load, total capacity */
#pragma once
#include <stdbool.h>
#include "model/resource.h"

#define BOOT_ID_SIZE 40

/* The text of `file` (/proc/sys/kernel/random/boot_id), which changes with every boot. 0 or -errno. */
int machine_boot_id(const char *file, char out[BOOT_ID_SIZE]);
/* All CPUs and memory of the machine (not what Kubernetes may allocate of it). */
struct resources machine_capacity(void);

/* CPU in use, measured between two calls and smoothed. */
struct cpu_load {
	int64_t busy, total;		/* of the last reading, in ticks */
	double used;			/* smoothed share of all CPUs, 0 … 1; < 0 = not known yet */
};
#define CPU_LOAD_INIT { 0, 0, -1 }
/* Read /proc/stat and update. 0 or -errno. */
int cpu_load_sample(struct cpu_load *l);
/* "cpu 1 2 3 …" of /proc/stat; pure. 0 or -EINVAL. */
int cpu_load_feed(struct cpu_load *l, const char *stat_line);
/* Milli-CPU in use of `capacity_milli`; 0 while unknown. */
int64_t cpu_load_milli(const struct cpu_load *l, int64_t capacity_milli);
