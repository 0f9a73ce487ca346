/* model/resource.h — amounts of CPU, memory and pod slots, in Kubernetes' terms */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct resources {
	int64_t cpu_milli;	/* thousandths of a core */
	int64_t mem_bytes;
	int64_t pods;		/* slots; a pod takes 1 */
};

/* A Kubernetes quantity ("250m", "1.5", "64Mi", "1e3") in thousandths (`milli`) or units, rounded up as the scheduler does.
 * What 64 bits do not hold is INT64_MAX, or -INT64_MAX. 0 or -EINVAL (not a quantity); *out untouched on failure. */
int quantity_parse_milli(const char *text, int64_t *out_milli);
int quantity_parse(const char *text, int64_t *out_units);

/* Sums and differences stay within 64 bits: what is beyond is INT64_MAX or INT64_MIN. */
void resources_add(struct resources *a, const struct resources *b);
void resources_sub(struct resources *a, const struct resources *b);
void resources_max(struct resources *a, const struct resources *b);	/* per field */
bool resources_fit(const struct resources *want, const struct resources *have);
