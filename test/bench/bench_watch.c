/* bench_watch.c — watch events through splitter, parser, decoder, view and store on one core
 *
 * Takes a recorded watch stream of a real API server, repeats its pods under fresh uids, and feeds all of it as the network would,
 * in pieces of 16 KiB. Prints {"watch_events_per_s": …}.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "kube/codec.h"
#include "kube/stream.h"
#include "model/view.h"
#include "store/store.h"

enum { COPIES = 2000, PIECE = 16384, BATCH = 500 };

struct sink {
	struct view *view;
	struct store *store;
	long events, rows;
};

static int on_value(void *arg, const char *json, size_t n)
{
	struct sink *s = arg;
	cleanup(json_putp) json_object *event = NULL;
	struct pod *p = NULL;
	int r = json_parse(json, n, &event);

	if (r < 0)
		return r;
	if (kube_decode_pod(json_get(event, "object"), &p) < 0)
		return 0;		/* a bookmark */
	if (!store_in_transaction(s->store))
		r = store_begin(s->store, false);
	r = r < 0 ? r : store_put_pod(s->store, p);
	view_put_pod(s->view, p, (struct mono){ 1 });
	s->events++;
	if (++s->rows % BATCH == 0)
		r = r < 0 ? r : store_commit(s->store);
	return r;
}

/* Every line of the recording, COPIES times, each with a uid of its own. */
static void build_input(const struct buf *recorded, struct buf *out)
{
	for (int i = 0; i < COPIES; i++) {
		for (const char *p = recorded->data; *p;) {
			size_t n = strcspn(p, "\n");
			const char *uid = strstr(p, "\"uid\":\"");
			size_t at = uid ? (size_t)(uid - p) + 7 : n;
			size_t end = out->len + at;

			buf_add(out, p, n);
			buf_addc(out, '\n');
			if (at + 8 < n) {
				char text[9];

				(void)snprintf(text, sizeof(text), "%08x", i);
				memcpy(out->data + end, text, 8);
			}
			p += n + (p[n] == '\n');
		}
	}
}

int main(int argc, char **argv)
{
	cleanup(buf_fini) struct buf recorded = BUF_INIT, input = BUF_INIT;
	struct sink s = { .view = view_new() };
	struct kube_stream_handlers h = { .arg = &s, .on_value = on_value };
	struct kube_stream *stream = kube_stream_new(&h);
	char aside[STORE_PATH_SIZE];
	struct mono began;
	double seconds;

	if (argc != 3 || file_read(argv[1], 64 << 20, &recorded) < 0 || store_open(argv[2], &s.store, aside) < 0)
		return 2;
	build_input(&recorded, &input);
	began = mono_read();
	kube_stream_reset(stream, KUBE_STREAM_WATCH);
	for (size_t at = 0; at < input.len; at += PIECE)
		if (kube_stream_feed(stream, input.data + at, input.len - at < PIECE ? input.len - at : PIECE) != 0)
			return 1;
	if (store_in_transaction(s.store) && store_commit(s.store) < 0)
		return 1;
	seconds = (double)(mono_read().ns - began.ns) / 1e9;
	printf("{\"watch_events_per_s\": %.0f}\n", (double)s.events / seconds);
	kube_stream_free(stream);
	view_free(s.view);
	store_close(s.store);
	return 0;
}
