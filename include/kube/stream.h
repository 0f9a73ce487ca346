/* kube/stream.h — cut a watch stream or a list body into objects while it arrives
 *
 * Bytes go in, cut anywhere; one complete JSON object at a time comes out: each event of a watch, or each element of a
 * list's top-level "items". Nothing but the current object is kept, so a list of 100,000 pods never sits in memory. The
 * value of metadata.managedFields (half of a real pod) is dropped on the way, before any JSON parser sees it.
 *
 * The splitter counts brackets and knows strings; it does not check JSON: the parser behind it does. No recursion.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#define KUBE_OBJECT_MAX ((size_t)4 * 1024 * 1024) /* bytes of one object without managedFields; etcd's own limit is 1.5 MiB */
#define KUBE_VERSION_SIZE 64			/* a resourceVersion and its end */
#define KUBE_CONTINUE_MAX 4096			/* bytes of a continue token */

struct kube_stream;

enum kube_stream_mode { KUBE_STREAM_WATCH, KUBE_STREAM_LIST };
enum kube_skip { KUBE_SKIP_SIZE, KUBE_SKIP_DEPTH };

struct kube_stream_handlers {
	void *arg;
	/* One event or item; `json` is borrowed. Non-zero ends the feed, which returns that value. */
	int (*on_value)(void *arg, const char *json, size_t n);
	/* An object beyond a limit was passed over (may be NULL). */
	void (*on_skipped)(void *arg, enum kube_skip why);
};

/* `metadata` of a list. */
struct kube_list_meta {
	char version[KUBE_VERSION_SIZE];
	char cont[KUBE_CONTINUE_MAX + 1];	/* "" = the last page */
	int64_t remaining;			/* remainingItemCount; -1 = not said */
};

struct kube_stream *kube_stream_new(const struct kube_stream_handlers *handlers);
void kube_stream_free(struct kube_stream *s);			/* NULL-safe */
void kube_stream_freep(struct kube_stream **s);
void kube_stream_reset(struct kube_stream *s, enum kube_stream_mode mode);	/* before the first byte of each body */

/* 0, -EPROTO (this is no such stream; only a reset helps), or what on_value returned. */
int kube_stream_feed(struct kube_stream *s, const char *data, size_t n);
/* The body is over: 0, or KUBE_E_TRUNCATED when it ended inside an object or before the end of the list. */
int kube_stream_end(const struct kube_stream *s);
/* Of a list that ended; zeroes when it had none. Borrowed. */
const struct kube_list_meta *kube_stream_list_meta(const struct kube_stream *s);
uint64_t kube_stream_skipped(const struct kube_stream *s);	/* objects passed over since the stream was made */
