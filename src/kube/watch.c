/* watch.c — list, then watch, for ever
 *
 *   idle → opening → syncing (WatchList) ──────────────→ watching → opening → checking → watching …
 *             │          │ refused or ignored
 *             └→ listing ┴→ listing (page after page) → opening (from the list's version)
 *   any → waiting → opening                                                          (trouble: jittered backoff)
 *
 * A stream that ended is taken up again from its last version, and before that the server is asked for a list of one object: a
 * quorum read, whose version tells whether there is still a history in which ours lies.
 *
 * Failure modes:
 *   - 410, as an answer or as an ERROR event: the version is forgotten and everything is listed again. Deletes are not
 *     lost: the caller compares with what it holds at on_synced. In the middle of the pages: first page again, the third
 *     time without pages.
 *   - history goes back (etcd was restored from a backup): the list of one object is older than what we have seen, or an event on
 *     an open stream is. A watch from a version of the future would be silent for ever, and is never opened. on_rewound, and
 *     everything is listed again.
 *   - WatchList refused (400, 403, 422) or ignored (open, but twice no end of the initial objects): lists, for the life
 *     of this watch.
 *   - silence: bookmarks come each minute, so a stream that is silent for longer is closed and opened anew.
 *   - a server that closes again and again without an event: treated as trouble, so it cannot make us spin.
 *   - an object that cannot be taken (size, depth, no JSON): on_skipped, and on.
 *
 * All opening happens in the timer, never inside a handler: handlers may stop, start or free the watch. Freeing is put
 * off until the handler has returned; `run` tells a parse in progress that what it works for is over.
 */
#include "kube/watch.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/str.h"
#include "kube/client.h"
#include "kube/kube_int.h"
#include "kube/stream.h"
#include "loop/loop.h"

enum { WATCH_MAGIC = 0x3a7c4001, SHORT_MS = 1000, LIST_RESTARTS_MAX = 2, EARLY_ENDS_MAX = 2, TIMEOUT_MIN_S = 1 };

enum watch_state { WATCH_IDLE, WATCH_OPENING, WATCH_SYNCING, WATCH_LISTING, WATCH_CHECKING, WATCH_WATCHING, WATCH_WAITING };

struct kube_watch {
	unsigned magic, run;		/* run grows when what is under way is given up */
	struct loop *loop;
	struct kube_client *client;
	struct kube_watch_handlers fn;
	char *path, *label_selector, *field_selector;
	int64_t timeout_ms, silence_ms, sync_silence_ms;
	int page;

	enum watch_state state;
	struct op *op;
	struct timer *timer;		/* opening: next round; waiting: backoff */
	struct kube_stream *stream;
	struct mono opened_at, confirmed;
	struct wall date, stamp;	/* the server's: when it opened (of a list: its first page), and of `confirmed` */
	char version[KUBE_VERSION_SIZE];	/* to watch from; "" = sync first */
	char *cont;			/* next page */
	int64_t backoff_ms, retry_after_ms;
	int list_restarts, relists, early_ends;	/* in a row */
	bool no_watch_list, synced, open, sync_begun, progressed;
	bool expired;			/* an ERROR event said 410 */
	bool checked;			/* the server has just shown that it has our version */
	bool behind;			/* what it sends is older than our version */
	char *trouble;			/* an ERROR event said something else */
	uint64_t bad_json;
};

/* ---- states ---- */

static void watch_give_up(struct kube_watch *w)
{
	w->run++;
	w->open = false;
	op_cancelp(&w->op);
	timer_stop(w->timer);
}

static void open_soon(struct kube_watch *w)
{
	w->state = WATCH_OPENING;
	timer_start_ms(w->timer, 0);
}

static void lose(struct kube_watch *w, const char *reason)
{
	int64_t pause;

	watch_give_up(w);
	w->sync_begun = w->checked = false;
	if (w->progressed || !w->backoff_ms)
		w->backoff_ms = KUBE_WATCH_BACKOFF_MIN_MS;
	else if (w->backoff_ms < KUBE_WATCH_BACKOFF_MAX_MS / 2)
		w->backoff_ms *= 2;
	else
		w->backoff_ms = KUBE_WATCH_BACKOFF_MAX_MS;
	w->progressed = false;
	pause = loop_jitter_ms(w->loop, w->backoff_ms);
	w->state = WATCH_WAITING;
	timer_start_ms(w->timer, w->retry_after_ms > pause ? w->retry_after_ms : pause);
	w->retry_after_ms = 0;
	if (w->fn.on_lost)
		w->fn.on_lost(w->fn.arg, reason);
}

/* The server confirms all that was shown; on a stream that was opened a while ago its own time has moved on as ours has. */
static void confirm(struct kube_watch *w, struct mono asked)
{
	w->confirmed = loop_now(w->loop);
	w->stamp = w->date;
	if (w->date.ns)
		w->stamp.ns += asked.ns - w->opened_at.ns;
}

/* Versions of one kind are numbers that grow; what is no number says nothing. */
static bool is_older(const char *version, const char *than)
{
	int64_t v, t;

	return num_parse_i64(version, 0, INT64_MAX, &v) == 0 && num_parse_i64(than, 0, INT64_MAX, &t) == 0 && v < t;
}

/* The server has forgotten our version. */
static void relist(struct kube_watch *w, const char *reason)
{
	w->version[0] = '\0';
	w->synced = w->sync_begun = false;
	if (++w->relists > 1) {
		lose(w, reason);	/* it forgets what it has just said: do not spin */
		return;
	}
	watch_give_up(w);
	open_soon(w);
}

/* The server's newest version is older than ours: another history, in which our version means something else or nothing. */
static void history_went_back(struct kube_watch *w, const char *reason)
{
	unsigned run = w->run;

	if (w->fn.on_rewound)
		w->fn.on_rewound(w->fn.arg, reason);
	if (w->run == run)
		relist(w, reason);
}

static void sync_begin(struct kube_watch *w)
{
	w->synced = false;
	w->sync_begun = true;
	w->fn.on_sync_begin(w->fn.arg);
}

static void sync_end(struct kube_watch *w, const char *version)
{
	(void)str_copy(w->version, sizeof(w->version), version);
	w->synced = true;
	w->checked = true;
	confirm(w, w->opened_at);	/* as fresh as the question was */
	w->progressed = true;
	w->sync_begun = false;
	w->list_restarts = 0;
	w->fn.on_synced(w->fn.arg, w->version);
}

/* ---- what the stream brings ---- */

static void skip_object(struct kube_watch *w, const char *why)
{
	if (w->fn.on_skipped && w->state != WATCH_CHECKING)
		w->fn.on_skipped(w->fn.arg, why);
}

static void on_stream_skipped(void *arg, enum kube_skip why)
{
	skip_object(arg, why == KUBE_SKIP_SIZE ? "object too big" : "object nested too deeply");
}

static void on_error_event(struct kube_watch *w, const json_object *status)
{
	const char *reason = str_or(json_get_str(status, "reason"), "");
	int code = (int)json_get_i64(status, "code", 500);

	if (kube_outcome_of(code < 400 ? 500 : code, reason) == KUBE_E_GONE)
		w->expired = true;
	str_set(&w->trouble, str_or(json_get_str(status, "message"), reason));
}

static void on_bookmark(struct kube_watch *w, const json_object *obj, const char *version)
{
	const json_object *notes = json_get(obj, "metadata.annotations");

	if (w->state == WATCH_SYNCING) {
		if (!str_eq(json_str(json_get_key(notes, "k8s.io/initial-events-end")), "true"))
			return;
		w->state = WATCH_WATCHING;
		w->early_ends = 0;
		sync_end(w, version);
		return;
	}
	if (is_older(version, w->version)) {
		w->behind = true;
		return;
	}
	(void)str_copy(w->version, sizeof(w->version), version);
	confirm(w, loop_now(w->loop));
	w->relists = 0;
	if (w->fn.on_progress)
		w->fn.on_progress(w->fn.arg, w->version);
}

static void on_change(struct kube_watch *w, enum kube_change change, json_object *obj, const char *version)
{
	if (w->state == WATCH_WATCHING) {
		w->behind = is_older(version, w->version);
		if (w->behind)
			return;
		(void)str_copy(w->version, sizeof(w->version), version);
		confirm(w, loop_now(w->loop));
		w->relists = 0;
	}
	w->fn.on_object(w->fn.arg, change, obj);
}

static void on_event(struct kube_watch *w, const json_object *event)
{
	static const char *const changes[] = {
	    [KUBE_ADDED] = "ADDED", [KUBE_MODIFIED] = "MODIFIED", [KUBE_DELETED] = "DELETED"};
	const char *type = json_str(json_get_key(event, "type"));
	json_object *obj = json_get_key(event, "object");
	const char *version = json_get_str(obj, "metadata.resourceVersion");

	if (str_eq(type, "ERROR")) {
		on_error_event(w, obj);
		return;
	}
	if (!type || !json_is_object(obj) || str_is_empty(version) || strlen(version) >= KUBE_VERSION_SIZE) {
		skip_object(w, "an event without a type, an object or a version");
		return;
	}
	w->progressed = true;
	if (str_eq(type, "BOOKMARK")) {
		on_bookmark(w, obj, version);
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(changes); i++)
		if (str_eq(type, changes[i]))
			on_change(w, (enum kube_change)i, obj, version);
}

/* One watch event or one list item. */
static int on_value(void *arg, const char *json, size_t n)
{
	struct kube_watch *w = arg;
	cleanup(json_putp) json_object *o = NULL;
	unsigned run = w->run;

	if (w->state == WATCH_CHECKING)
		return 0;		/* only the list's version is wanted */
	if (json_parse(json, n, &o) < 0) {
		w->bad_json++;
		skip_object(w, "object is no JSON");
	} else if (w->state == WATCH_LISTING) {
		w->fn.on_object(w->fn.arg, KUBE_ADDED, o);
	} else {
		on_event(w, o);
	}
	return w->run != run || w->expired || w->trouble || w->behind ? -ECANCELED : 0;
}

static void on_data(void *arg, const char *data, size_t n)
{
	struct kube_watch *w = arg;
	unsigned run = w->run;
	int r = kube_stream_feed(w->stream, data, n);

	if (w->run != run)
		return;
	if (w->behind)
		history_went_back(w, "an event is older than what was shown before it");
	else if (w->expired)
		relist(w, str_or(w->trouble, "version expired"));
	else if (w->trouble)
		lose(w, w->trouble);
	else if (r < 0)
		lose(w, "the answer is no watch stream or list");
}

/* ---- opening and closing ---- */

static void on_open(void *arg)
{
	struct kube_watch *w = arg;

	if (w->state == WATCH_CHECKING)
		return;
	w->open = true;
	w->opened_at = loop_now(w->loop);
	if (!w->cont)
		w->date = kube_client_date(w->client);
	if (w->state == WATCH_WATCHING)	/* the server has our version, and sends at once what came after it */
		confirm(w, w->opened_at);
	if (w->state == WATCH_SYNCING || (w->state == WATCH_LISTING && !w->sync_begun))
		sync_begin(w);
}

static void use_lists(struct kube_watch *w)
{
	w->no_watch_list = true;
	w->sync_begun = false;
	watch_give_up(w);
	open_soon(w);
}

/* It broke off: was WatchList itself the trouble? Only a server that answers can be too old for it. */
static bool is_watch_list_refused(struct kube_watch *w, const struct kube_answer *a)
{
	if (w->state != WATCH_SYNCING)
		return false;
	if (a->outcome == KUBE_E_INVALID || a->outcome == KUBE_E_FORBIDDEN)
		return true;
	if (w->open && (a->outcome == KUBE_OK || a->stalled))
		w->early_ends++;	/* once may be a restart of the server */
	return w->early_ends >= EARLY_ENDS_MAX;
}

static void on_watch_done(void *arg, const struct kube_answer *a)
{
	struct kube_watch *w = arg;
	bool was_short = mono_since_ms(loop_now(w->loop), w->opened_at) < SHORT_MS;
	bool refused = is_watch_list_refused(w, a);

	w->op = NULL;
	w->open = w->checked = false;
	w->retry_after_ms = a->retry_after_ms;
	if (refused) {
		use_lists(w);
	} else if (a->outcome == KUBE_E_GONE) {
		relist(w, a->message);
	} else if (a->outcome != KUBE_OK) {
		lose(w, a->message);
	} else if (was_short && !w->progressed) {
		lose(w, "the server closes the watch at once");
	} else if (w->state == WATCH_SYNCING) {
		lose(w, "the server closed the stream before all objects were sent");
	} else {
		watch_give_up(w);
		w->progressed = !was_short;
		open_soon(w);
	}
}

/* The whole list was seen, from version `cont`-free page one on. */
static void list_page_done(struct kube_watch *w)
{
	const struct kube_list_meta *meta = kube_stream_list_meta(w->stream);

	if (!w->version[0]) /* of the first page: later ones may be newer, and a watch from there would miss changes */
		(void)str_copy(w->version, sizeof(w->version), meta->version);
	w->progressed = true;
	str_set(&w->cont, meta->cont[0] ? meta->cont : NULL);
	watch_give_up(w);
	if (w->cont) {
		w->state = WATCH_LISTING;
		timer_start_ms(w->timer, 0);
		return;
	}
	open_soon(w);
	sync_end(w, w->version);
}

static void list_restart(struct kube_watch *w)
{
	w->version[0] = '\0';
	w->sync_begun = false;
	free(take(w->cont));
}

static void on_list_done(void *arg, const struct kube_answer *a)
{
	struct kube_watch *w = arg;

	w->op = NULL;
	w->open = false;
	w->retry_after_ms = a->retry_after_ms;
	if (a->outcome == KUBE_OK && kube_stream_end(w->stream) == 0 && kube_stream_list_meta(w->stream)->version[0]) {
		list_page_done(w);
		return;
	}
	if (a->outcome == KUBE_E_GONE && w->cont && w->list_restarts <= LIST_RESTARTS_MAX) {
		w->list_restarts++;
		list_restart(w);
		watch_give_up(w);
		open_soon(w);
		return;
	}
	list_restart(w);
	lose(w, a->outcome == KUBE_OK ? "the list was cut short" : a->message);
}

/* The list of one object: is our version part of the server's history? */
static void on_checked(void *arg, const struct kube_answer *a)
{
	struct kube_watch *w = arg;
	const struct kube_list_meta *meta = kube_stream_list_meta(w->stream);

	w->op = NULL;
	w->retry_after_ms = a->retry_after_ms;
	if (a->outcome != KUBE_OK || kube_stream_end(w->stream) != 0 || !meta->version[0]) {
		lose(w, a->outcome == KUBE_OK ? "the list was cut short" : a->message);
	} else if (is_older(meta->version, w->version)) {
		history_went_back(w, "the server's version is older than what was shown before");
	} else {
		w->checked = true;
		watch_give_up(w);
		open_soon(w);
	}
}

static void add_query(struct buf *q, const char *key, const char *value)
{
	if (str_is_empty(value))
		return;
	buf_addf(q, "%s%s=", q->len ? "&" : "", key);
	kube_escape(q, value);
}

static void add_query_num(struct buf *q, const char *key, int64_t value)
{
	buf_addf(q, "%s%s=%lld", q->len ? "&" : "", key, (long long)value);
}

static void send(struct kube_watch *w, struct buf *query, kube_done_fn done, int64_t stall_ms)
{
	struct kube_request_params p = {
		.path = w->path, .timeout_ms = -1, .stall_ms = stall_ms, .on_open = on_open, .on_data = on_data,
	};

	add_query(query, "labelSelector", w->label_selector);
	add_query(query, "fieldSelector", w->field_selector);
	p.query = query->data;
	w->op = kube_request(w->client, &p, done, w);
}

static void send_watch(struct kube_watch *w)
{
	struct buf q = BUF_INIT;
	int64_t timeout_s = loop_jitter_ms(w->loop, w->timeout_ms) / MS_PER_S;

	add_query_num(&q, "watch", 1);
	add_query(&q, "allowWatchBookmarks", "true");
	add_query_num(&q, "timeoutSeconds", timeout_s < TIMEOUT_MIN_S ? TIMEOUT_MIN_S : timeout_s);
	if (w->state == WATCH_SYNCING) {
		add_query(&q, "sendInitialEvents", "true");
		add_query(&q, "resourceVersionMatch", "NotOlderThan");
	} else {
		add_query(&q, "resourceVersion", w->version);
	}
	kube_stream_reset(w->stream, KUBE_STREAM_WATCH);
	send(w, &q, on_watch_done, w->state == WATCH_SYNCING ? w->sync_silence_ms : w->silence_ms);
	buf_fini(&q);
}

static void send_check(struct kube_watch *w)
{
	struct buf q = BUF_INIT;

	add_query_num(&q, "limit", 1);
	kube_stream_reset(w->stream, KUBE_STREAM_LIST);
	send(w, &q, on_checked, w->sync_silence_ms);
	buf_fini(&q);
}

static void send_list(struct kube_watch *w)
{
	struct buf q = BUF_INIT;

	if (w->list_restarts <= LIST_RESTARTS_MAX)
		add_query_num(&q, "limit", w->page);
	add_query(&q, "continue", w->cont);
	kube_stream_reset(w->stream, KUBE_STREAM_LIST);
	send(w, &q, on_list_done, w->sync_silence_ms);
	buf_fini(&q);
}

static void watch_open(struct kube_watch *w)
{
	w->expired = w->behind = false;
	free(take(w->trouble));
	if (w->version[0] && !w->cont && !w->checked) {
		w->state = WATCH_CHECKING;
		send_check(w);
		return;
	}
	if (w->cont || (!w->version[0] && w->no_watch_list)) {
		w->state = WATCH_LISTING;
		send_list(w);
		return;
	}
	w->state = w->version[0] ? WATCH_WATCHING : WATCH_SYNCING;
	w->checked = false;
	send_watch(w);
}

static void on_timer(void *arg)
{
	struct kube_watch *w = arg;

	assert(w->magic == WATCH_MAGIC);
	watch_open(w);
}

/* ---- the handle ---- */

static int64_t or_default(int64_t ms, int64_t fallback)
{
	return ms > 0 ? ms : fallback;
}

struct kube_watch *kube_watch_new(struct kube_client *client, const struct kube_watch_params *params,
				  const struct kube_watch_handlers *handlers)
{
	struct kube_watch *w = mem_new(struct kube_watch);
	const struct kube_stream_handlers sh = { .arg = w, .on_value = on_value, .on_skipped = on_stream_skipped };

	w->magic = WATCH_MAGIC;
	w->loop = kube_client_loop(client);
	w->client = client;
	w->fn = *handlers;
	w->path = str_dup(params->path);
	w->label_selector = str_dup(params->label_selector);
	w->field_selector = str_dup(params->field_selector);
	w->timeout_ms = or_default(params->watch_timeout_ms, KUBE_WATCH_TIMEOUT_MS);
	w->silence_ms = or_default(params->silence_ms, KUBE_WATCH_SILENCE_MS);
	w->sync_silence_ms = or_default(params->sync_silence_ms, KUBE_WATCH_SYNC_SILENCE_MS);
	w->page = params->page > 0 ? params->page : KUBE_WATCH_PAGE;
	w->no_watch_list = params->no_watch_list;
	w->stream = kube_stream_new(&sh);
	w->timer = timer_new(w->loop, "kube-watch", on_timer, w);
	return w;
}

static void watch_destroy(void *obj)
{
	struct kube_watch *w = obj;

	assert(w->magic == WATCH_MAGIC && !w->op);
	timer_free(w->timer);
	kube_stream_free(w->stream);
	free(w->path);
	free(w->label_selector);
	free(w->field_selector);
	free(w->cont);
	free(w->trouble);
	w->magic = 0;
	free(w);
}

void kube_watch_free(struct kube_watch *w)
{
	if (!w)
		return;
	kube_watch_stop(w);
	loop_free_later(w->loop, w, watch_destroy);
}

void kube_watch_start(struct kube_watch *w)
{
	assert(w->magic == WATCH_MAGIC);
	if (w->state == WATCH_IDLE)
		open_soon(w);
}

void kube_watch_stop(struct kube_watch *w)
{
	assert(w->magic == WATCH_MAGIC);
	watch_give_up(w);
	list_restart(w);
	w->state = WATCH_IDLE;
	w->synced = false;
	w->confirmed = (struct mono){ 0 };
	w->stamp = (struct wall){ 0 };
	w->backoff_ms = 0;
	w->relists = w->list_restarts = 0;
}

void kube_watch_kick(struct kube_watch *w)
{
	assert(w->magic == WATCH_MAGIC);
	if (w->state != WATCH_WAITING)
		return;
	w->backoff_ms = 0;
	open_soon(w);
}

bool kube_watch_is_synced(const struct kube_watch *w)
{
	return w->synced;
}

bool kube_watch_is_open(const struct kube_watch *w)
{
	return w->open;
}

struct mono kube_watch_confirmed(const struct kube_watch *w)
{
	return w->confirmed;
}

struct wall kube_watch_stamp(const struct kube_watch *w)
{
	return w->stamp;
}

const char *kube_watch_version(const struct kube_watch *w)
{
	return w->synced ? w->version : "";
}

uint64_t kube_watch_skipped(const struct kube_watch *w)
{
	return kube_stream_skipped(w->stream) + w->bad_json;
}
