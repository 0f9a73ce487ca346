/* fuzz_kube_stream.c — bytes from an API server: splitter, JSON parser and codec behind it
 *
 * The first byte picks the mode (bit 0) and the size of the pieces. Feeding in pieces must give the same as feeding at
 * once.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/mem.h"
#include "kube/codec.h"
#include "kube/stream.h"
#include "kube/write.h"
#include "model/node.h"
#include "model/pod.h"
#include "model/workload.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct sink { struct buf all; bool decode; };

static void decode(const json_object *o)
{
	cleanup(pod_freep) struct pod *pod = NULL;
	cleanup(workload_freep) struct workload *workload = NULL;
	cleanup(node_freep) struct node *node = NULL;
	struct kube_lease lease;

	(void)kube_decode_pod(o, &pod);
	(void)kube_decode_workload(o, &workload);
	(void)kube_decode_node(o, &node);
	(void)kube_lease_decode(o, &lease);
}

static int on_value(void *arg, const char *json, size_t n)
{
	struct sink *s = arg;
	cleanup(json_putp) json_object *o = NULL;

	buf_add(&s->all, json, n);
	buf_addc(&s->all, '\n');
	if (!s->decode || json_parse(json, n, &o) < 0)
		return 0;
	decode(o);
	decode(json_get(o, "object"));
	return 0;
}

static int run(const uint8_t *data, size_t size, enum kube_stream_mode mode, size_t step, struct sink *sink)
{
	const struct kube_stream_handlers h = { .arg = sink, .on_value = on_value };
	cleanup(kube_stream_freep) struct kube_stream *s = kube_stream_new(&h);
	int r = 0;

	kube_stream_reset(s, mode);
	for (size_t at = 0; at < size && r == 0; at += step)
		r = kube_stream_feed(s, (const char *)data + at, step < size - at ? step : size - at);
	return r ? r : kube_stream_end(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sink whole = { .decode = true }, cut = { 0 };
	enum kube_stream_mode mode;
	int r;

	if (size < 2)
		return 0;
	mode = data[0] & 1 ? KUBE_STREAM_LIST : KUBE_STREAM_WATCH;
	r = run(data + 1, size - 1, mode, size, &whole);
	if (run(data + 1, size - 1, mode, (size_t)(data[0] >> 1) + 1, &cut) != r || whole.all.len != cut.all.len ||
	    (cut.all.len && memcmp(whole.all.data, cut.all.data, cut.all.len) != 0))
		abort();
	buf_fini(&whole.all);
	buf_fini(&cut.all);
	constraints_fini();
	intern_fini();
	return 0;
}
