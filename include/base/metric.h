/* base/metric.h — the registry of metrics; the rows are in base/metrics.def
 *
 * `label` is the index of a series: first label's value index × number of the second's values + its index, see METRIC_AT2. One
 * thread writes and reads.
 */
#pragma once
#include <stdbool.h>
#include "base/str.h"

enum metric_id {
#define X(id, ...) METRIC_##id,
#include "base/metrics.def"
#undef X
	METRIC_COUNT
};

#define METRIC_AT2(first, second, second_values) ((first) * (second_values) + (second))

void metric_add(enum metric_id id, int label, double v);	/* counters: v > 0 */
void metric_set(enum metric_id id, int label, double v);
void metric_observe(enum metric_id id, int label, double seconds);
double metric_get(enum metric_id id, int label);		/* histograms: the number of observations */
static inline void metric_inc(enum metric_id id) { metric_add(id, 0, 1); }

/* Text exposition: Prometheus 0.0.4, or OpenMetrics 1.0 (with # EOF and unsuffixed counter names). Includes process_* and
 * edge_healer_build_info. */
void metric_render(struct buf *out, bool openmetrics, const char *version);
/* Series with labels that no closed list holds: `fn` appends them, with their HELP and TYPE, at each rendering. NULL: none. */
void metric_set_more(void (*fn)(void *arg, struct buf *out), void *arg);
void metric_fini(void);
