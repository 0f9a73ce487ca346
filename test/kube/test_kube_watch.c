/* test_kube_watch.c — list and watch against a scripted server: WatchList, pages, bookmarks, 410 in all its forms,
 * broken streams */
#include "kube_rig.h"

#include <stdio.h>

#include "base/json.h"
#include "http_rig.h"
#include "kube/watch.h"

struct rig {
	struct http_rig *http;
	struct kube_rig kube;
	struct kube_watch *watch;
	struct buf log;		/* "begin +a ~a -a synced:5 progress:6 lost skipped " */
	const char *want;	/* on_… stops waiting once the log contains it */
	bool met;
	const char *free_at, *restart_at;	/* free or restart the watch when the log ends with this */
	char reason[256];
};

static void note(struct rig *r, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void note(struct rig *r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	buf_addv(&r->log, fmt, ap);
	va_end(ap);
	r->met = r->want && strstr(r->log.data, r->want);
	if (r->free_at && str_has_suffix(r->log.data, r->free_at)) {
		kube_watch_free(take(r->watch));
		r->free_at = NULL;
	}
	if (r->restart_at && str_has_suffix(r->log.data, r->restart_at)) {
		kube_watch_stop(r->watch);
		kube_watch_start(r->watch);
		r->restart_at = NULL;
	}
}

static void on_sync_begin(void *arg) { note(arg, "begin "); }
static void on_synced(void *arg, const char *version) { note(arg, "synced:%s ", version); }
static void on_progress(void *arg, const char *version) { note(arg, "progress:%s ", version); }
static void on_rewound(void *arg, const char *reason) { (void)reason; note(arg, "rewound "); }
static void on_skipped(void *arg, const char *reason) { (void)reason; note(arg, "skipped "); }

static void on_object(void *arg, enum kube_change change, json_object *obj)
{
	note(arg, "%c%s ", "+~-"[change], str_or(json_get_str(obj, "metadata.name"), "?"));
}

static void on_lost(void *arg, const char *reason)
{
	struct rig *r = arg;

	(void)str_copy(r->reason, sizeof(r->reason), reason);
	note(arg, "lost ");
}

static int setup(void **state)
{
	struct rig *r = mem_new(struct rig);

	r->http = http_rig_new(NULL);
	kube_rig_init(&r->kube, http_rig_url(r->http));
	*state = r;
	return 0;
}

static int teardown(void **state)
{
	struct rig *r = *state;

	kube_watch_free(r->watch);
	kube_rig_fini(&r->kube);
	http_rig_free(r->http);
	buf_fini(&r->log);
	free(r);
	return 0;
}

#define CHECK "/api/v1/pods?limit=1"

static void start(struct rig *r, struct kube_watch_params p)
{
	const struct kube_watch_handlers h = {
		.arg = r, .on_sync_begin = on_sync_begin, .on_object = on_object, .on_synced = on_synced,
		.on_progress = on_progress, .on_lost = on_lost, .on_skipped = on_skipped, .on_rewound = on_rewound,
	};
	/* asked before a stream is taken up again; what a test scripts itself comes first */
	const struct rig_step check = { .want = CHECK, .body = "{\"metadata\":{\"resourceVersion\":\"1000\"},\"items\":[]}",
					.forever = true };

	http_rig_add(r->http, &check);
	p.path = "/api/v1/pods";
	r->watch = kube_watch_new(r->kube.client, &p, &h);
	kube_watch_start(r->watch);
}

static void wait_log(struct rig *r, const char *want)
{
	r->want = want;
	r->met = r->log.data && strstr(r->log.data, want);
	if (!loop_run_until(r->kube.loop, &r->met, WAIT_MS))
		fail_msg("waited for \"%s\", got \"%s\" (%s)", want, str_or(r->log.data, ""), r->reason);
}

#define STEP(...) http_rig_add(r->http, &(struct rig_step){ __VA_ARGS__ })
#define OBJECT(name, rv) "{\"metadata\":{\"name\":\"" name "\",\"resourceVersion\":\"" rv "\"}}"
#define EVENT(type, name, rv) "{\"type\":\"" type "\",\"object\":" OBJECT(name, rv) "}\n"
#define MARK(rv) "{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"" rv "\"}}}\n"
#define END_MARK(rv) "{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"" rv "\"," \
	"\"annotations\":{\"k8s.io/initial-events-end\":\"true\"}}}}\n"
#define EXPIRED "{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{}," \
	"\"status\":\"Failure\",\"message\":\"too old resource version: 5 (108)\",\"reason\":\"Expired\",\"code\":410}}\n"
#define LIST(rv, more, items)                                                                                          \
	"{\"kind\":\"PodList\",\"metadata\":{\"resourceVersion\":\"" rv "\"" more "},\"items\":[" items "]}"
#define INITIAL "sendInitialEvents=true&resourceVersionMatch=NotOlderThan"
#define FROM(rv) "&resourceVersion=" rv " "

static void a_watch_list_syncs_and_goes_on(void **state)
{
	struct rig *r = *state;

	STEP(.want = INITIAL, .body = EVENT("ADDED", "a", "3") EVENT("ADDED", "b", "1") MARK("4") END_MARK("9"),
	     .cut = 5, .gate = true, .tail = EVENT("MODIFIED", "a", "10") EVENT("DELETED", "b", "11") MARK("12"),
	     .end = RIG_HOLD);
	start(r,
	      (struct kube_watch_params){.label_selector = "app=web,tier in (x)", .field_selector = "spec.nodeName=n"});
	assert_false(kube_watch_is_synced(r->watch));
	wait_log(r, "synced:9 ");
	assert_true(kube_watch_is_synced(r->watch));
	assert_true(kube_watch_is_open(r->watch));
	http_rig_release(r->http);
	wait_log(r, "progress:12 ");
	assert_string_equal(r->log.data, "begin +a +b synced:9 ~a -b progress:12 ");
	assert_string_equal(kube_watch_version(r->watch), "12");
	assert_non_null(strstr(http_rig_request(r->http, 0),
			       "&labelSelector=app%3Dweb%2Ctier%20in%20%28x%29&fieldSelector=spec.nodeName%3Dn "));
	assert_non_null(
	    strstr(http_rig_request(r->http, 0), "/api/v1/pods?watch=1&allowWatchBookmarks=true&timeoutSeconds="));
}

static void an_ended_watch_goes_on_where_it_was(void **state)
{
	struct rig *r = *state;

	STEP(.want = INITIAL, .body = EVENT("ADDED", "a", "3") END_MARK("9") EVENT("MODIFIED", "a", "10"), .end = RIG_OK);
	STEP(.want = FROM("10"), .body = EVENT("ADDED", "b", "11"), .end = RIG_CLOSE);
	STEP(.want = FROM("11"), .body = EVENT("ADDED", "c", "12") "{\"type\":\"ADDED\",\"obj",
	     .end = RIG_CUT); /* half a line */
	STEP(.want = FROM("12"), .body = EVENT("ADDED", "d", "13"), .end = RIG_HOLD);
	start(r, (struct kube_watch_params){ 0 });
	wait_log(r, "+d ");
	assert_string_equal(r->log.data, "begin +a synced:9 ~a +b +c lost +d ");
	assert_true(kube_watch_is_synced(r->watch));
}

static void pages_where_watch_list_is_refused(void **state)
{
	static const int refusals[] = { 400, 403, 422 };

	for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
		struct rig *r;

		(void)setup((void **)&r);
		STEP(.want = INITIAL, .status = refusals[i], .body = "{}");
		STEP(.want = "?limit=2 ",
		     .body = LIST("50", ",\"continue\":\"c/1\"", OBJECT("a", "1") "," OBJECT("b", "2")), .cut = 3);
		STEP(.want = "?limit=2&continue=c%2F1 ", .body = LIST("51", ",\"continue\":\"c2\"", OBJECT("c", "3")));
		STEP(.want = "?limit=2&continue=c2 ", .body = LIST("52", "", OBJECT("d", "4")));
		STEP(.want = FROM("50"), .body = EVENT("DELETED", "a", "60"),
		     .end = RIG_HOLD); /* the first page's version */
		start(r, (struct kube_watch_params){ .page = 2 });
		wait_log(r, "-a ");
		assert_string_equal(r->log.data, "begin +a +b +c +d synced:50 -a ");
		(void)teardown((void **)&r);
	}
	(void)state;
}

static void pages_where_watch_list_is_ignored(void **state)
{
	struct rig *r = *state;

	STEP(.want = INITIAL, .body = EVENT("ADDED", "ghost", "3"), .end = RIG_HOLD);
	STEP(.want = INITIAL, .body = EVENT("ADDED", "ghost", "3"), .end = RIG_HOLD);
	STEP(.want = "?limit=", .body = LIST("50", "", OBJECT("a", "1")));
	STEP(.want = FROM("50"), .end = RIG_HOLD);
	start(r, (struct kube_watch_params){ .sync_silence_ms = 60 });
	wait_log(r, "synced:50 ");
	assert_string_equal(
	    r->log.data, "begin +ghost lost begin +ghost begin +a synced:50 "); /* each begin voids what was before */
}

static void an_empty_list_is_a_truth_too(void **state)
{
	struct rig *r = *state;

	STEP(.want = "?limit=", .body = "{\"kind\":\"PodList\",\"metadata\":{\"resourceVersion\":\"7\"},\"items\":null}");
	STEP(.want = FROM("7"), .end = RIG_HOLD);
	start(r, (struct kube_watch_params){ .no_watch_list = true });
	wait_log(r, "synced:7 ");
	assert_string_equal(r->log.data, "begin synced:7 ");
}

static void an_expired_continue_starts_over_and_finally_without_pages(void **state)
{
	struct rig *r = *state;

	for (int i = 0; i < 3; i++) {
		STEP(.want = "?limit=1 ", .body = LIST("50", ",\"continue\":\"c\"", OBJECT("a", "1")));
		STEP(.want = "&continue=c ", .status = 410,
		     .body = "{\"kind\":\"Status\",\"reason\":\"Expired\",\"code\":410}");
	}
	STEP(.want = "/api/v1/pods ", .body = LIST("70", "", OBJECT("a", "1") "," OBJECT("b", "2")));
	STEP(.want = FROM("70"), .end = RIG_HOLD);
	start(r, (struct kube_watch_params){ .no_watch_list = true, .page = 1 });
	wait_log(r, "synced:70 ");
	assert_string_equal(r->log.data, "begin +a begin +a begin +a begin +a +b synced:70 ");
}

static void a_list_cut_short_is_no_truth(void **state)
{
	struct rig *r = *state;

	STEP(.want = "?limit=", .body = "{\"metadata\":{\"resourceVersion\":\"5\"},\"items\":[" OBJECT("a", "1") ",",
	     .end = RIG_CUT);
	STEP(.want = "?limit=", .body = "{\"metadata\":{\"resourceVersion\":\"6\"},\"items\":[" OBJECT("a", "1") ",",
	     .end = RIG_OK);
	STEP(.want = "?limit=", .body = "{\"items\":[" OBJECT("a", "1") "]}", .end = RIG_OK);	/* no version */
	STEP(.want = "?limit=", .body = LIST("7", "", OBJECT("a", "1")));
	STEP(.want = FROM("7"), .end = RIG_HOLD);
	start(r, (struct kube_watch_params){ .no_watch_list = true });
	wait_log(r, "synced:7 ");
	assert_string_equal(r->log.data, "begin +a lost begin +a lost begin +a lost begin +a synced:7 ");
}

static void gone_as_an_event_lists_again(void **state)
{
	struct rig *r = *state;

	STEP(.want = INITIAL, .body = EVENT("ADDED", "a", "3") EVENT("ADDED", "b", "3") END_MARK("9"), .end = RIG_OK);
	STEP(.want = FROM("9"), .body = EXPIRED, .end = RIG_OK);
	STEP(.want = INITIAL, .body = EVENT("ADDED", "b", "3") END_MARK("90"),
	     .end = RIG_HOLD); /* a was deleted meanwhile */
	start(r, (struct kube_watch_params){ 0 });
	wait_log(r, "synced:90 ");
	assert_string_equal(r->log.data, "begin +a +b synced:9 begin +b synced:90 ");
}

static void gone_as_an_answer_lists_again(void **state)
{
	struct rig *r = *state;

	STEP(.want = INITIAL, .body = EVENT("ADDED", "a", "3") END_MARK("9"), .end = RIG_OK);
	STEP(.want = FROM("9"), .status = 410, .body = "{\"kind\":\"Status\",\"reason\":\"Expired\",\"code\":410}");
	STEP(.want = INITIAL, .body = END_MARK("90") MARK("91"), .end = RIG_HOLD);
	start(r, (struct kube_watch_params){ 0 });
	wait_log(r, "progress:91 ");
	assert_string_equal(r->log.data, "begin +a synced:9 begin synced:90 progress:91 ");
}

static void gone_again_and_again_does_not_spin(void **state)
{
	struct rig *r = *state;

	STEP(.want = INITIAL, .body = END_MARK("9") EXPIRED, .forever = true);
	start(r, (struct kube_watch_params){ 0 });
	wait_log(r, "lost begin synced:9 lost begin synced:9 lost ");
	assert_true(http_rig_requests(r->http) < 8);
	assert_string_equal(r->reason, "too old resource version: 5 (108)");
}

static void trouble_is_told_and_tried_again(void **state)
{
	struct rig *r = *state;

	STEP(.want = INITIAL, .status = 503, .end = RIG_CLOSE);	/* libcurl itself retries on a reused connection */
	STEP(.want = INITIAL, .end = RIG_NOTHING, .forever = false);
	STEP(.want = INITIAL, .body = "<html>login</html>");
	STEP(.want = INITIAL,
	     .body =
		 "{\"type\":\"ERROR\",\"object\":{\"code\":500,\"reason\":\"InternalError\",\"message\":\"etcd\"}}");
	STEP(.want = INITIAL, .body = EVENT("ADDED", "a", "3") END_MARK("9"), .end = RIG_HOLD);
	start(r, (struct kube_watch_params){ 0 });
	wait_log(r, "synced:9 ");
	assert_string_equal(r->log.data, "lost lost begin lost begin lost begin +a synced:9 ");
	assert_string_equal(r->reason, "etcd");
}

static void a_silent_watch_is_reopened(void **state)
{
	struct rig *r = *state;

	STEP(.want = INITIAL, .body = END_MARK("9"), .end = RIG_OK);
	STEP(.want = FROM("9"), .body = MARK("10"), .end = RIG_HOLD);
	STEP(.want = FROM("10"), .body = MARK("11"), .end = RIG_HOLD);
	start(r, (struct kube_watch_params){ .silence_ms = 100 });
	wait_log(r, "progress:11 ");
	assert_string_equal(r->log.data, "begin synced:9 progress:10 lost progress:11 ");
	assert_int_equal(r->kube.failures, 0);
}

static void a_server_that_closes_at_once_does_not_make_us_spin(void **state)
{
	struct rig *r = *state;

	STEP(.want = INITIAL, .body = END_MARK("9"), .end = RIG_OK);
	STEP(.want = FROM("9"), .forever = true);
	start(r, (struct kube_watch_params){ 0 });
	wait_log(r, "lost lost lost ");
	assert_true(http_rig_requests(r->http) < 8);
}

static void dropped_watches_come_back_from_their_version(void **state)
{
	struct rig *r = *state;

	STEP(.want = INITIAL, .body = EVENT("ADDED", "a", "3") END_MARK("9"), .end = RIG_HOLD);
	STEP(.want = FROM("9"), .body = EVENT("ADDED", "b", "10"), .end = RIG_HOLD);
	start(r, (struct kube_watch_params){ 0 });
	wait_log(r, "synced:9 ");
	kube_client_drop_connections(r->kube.client);
	wait_log(r, "lost ");
	assert_string_equal(r->reason, "connection dropped");
	kube_watch_kick(r->watch);
	wait_log(r, "+b ");
	assert_int_equal(http_rig_connections(r->http), 2);
}

static void bad_objects_are_passed_over(void **state)
{
	struct rig *r = *state;

	STEP(.want = INITIAL,
	     .body = EVENT("ADDED", "a", "3") "{\"type\":\"ADDED\",\"object\":{nonsense}}\n{\"type\":\"ADDED\"}\n"
					      "{\"type\":\"NEWTYPE\",\"object\":" OBJECT("x", "1") "}\n" EVENT(
						  "ADDED", "b", "4") END_MARK("9"),
	     .end = RIG_HOLD);
	start(r, (struct kube_watch_params){ 0 });
	wait_log(r, "synced:9 ");
	assert_string_equal(r->log.data, "begin +a skipped skipped +b synced:9 ");
	assert_int_equal(kube_watch_skipped(r->watch), 1);
}

static void a_handler_may_free_the_watch(void **state)
{
	static const char *const moments[] = { "begin ", "+a ", "synced:9 ", "progress:10 ", "lost " };

	for (size_t i = 0; i < ARRAY_LEN(moments); i++) {
		struct rig *r;

		(void)setup((void **)&r);
		r->free_at = moments[i];
		STEP(.want = INITIAL, .body = EVENT("ADDED", "a", "3") END_MARK("9") MARK("10") EXPIRED EXPIRED,
		     .end = RIG_HOLD);
		STEP(.want = INITIAL, .end = RIG_NOTHING, .forever = true);
		start(r, (struct kube_watch_params){ 0 });
		wait_log(r, moments[i]);
		assert_null(r->watch);
		assert_true(str_has_suffix(r->log.data, moments[i]));
		assert_int_equal(kube_client_in_flight(r->kube.client), 0);
		(void)teardown((void **)&r);
	}
	(void)state;
}

static void a_handler_may_restart_the_watch(void **state)
{
	struct rig *r = *state;

	r->restart_at = "+a ";
	STEP(.want = INITIAL, .body = EVENT("ADDED", "a", "3") EVENT("ADDED", "b", "3") END_MARK("9"), .end = RIG_HOLD);
	STEP(.want = INITIAL, .body = EVENT("ADDED", "c", "3") END_MARK("10"), .end = RIG_HOLD);
	start(r, (struct kube_watch_params){ 0 });
	wait_log(r, "synced:10 ");
	assert_string_equal(r->log.data, "begin +a begin +c synced:10 ");
}

static void stop_forgets(void **state)
{
	struct rig *r = *state;

	STEP(.want = INITIAL, .body = END_MARK("9"), .end = RIG_HOLD, .forever = true);
	start(r, (struct kube_watch_params){ 0 });
	wait_log(r, "synced:9 ");
	kube_watch_stop(r->watch);
	assert_false(kube_watch_is_synced(r->watch));
	assert_false(kube_watch_is_open(r->watch));
	assert_string_equal(kube_watch_version(r->watch), "");
	assert_int_equal(kube_client_in_flight(r->kube.client), 0);
	kube_watch_kick(r->watch);	/* nothing to kick */
	kube_watch_start(r->watch);
	wait_log(r, "begin synced:9 begin synced:9 ");
}

/* ---- history goes back ---- */

static void a_version_of_the_future_is_not_watched_from(void **state)
{
	struct rig *r = *state;

	STEP(.want = INITIAL, .body = EVENT("ADDED", "a", "3") END_MARK("90"), .end = RIG_OK);
	STEP(.want = CHECK, .body = LIST("50", ",\"continue\":\"c\"", OBJECT("b", "2")));
	STEP(.want = INITIAL, .body = EVENT("ADDED", "b", "2") END_MARK("51"), .end = RIG_HOLD);
	start(r, (struct kube_watch_params){ 0 });
	wait_log(r, "synced:51 ");
	assert_string_equal(r->log.data, "begin +a synced:90 rewound begin +b synced:51 ");
	assert_string_equal(kube_watch_version(r->watch), "51");
	assert_int_equal(http_rig_requests(r->http), 3);
}

/* Another server of a cluster with several may lag: it has our version in its future, but not the store. */
static void a_server_that_has_our_version_is_watched_from_it(void **state)
{
	struct rig *r = *state;

	STEP(.want = INITIAL, .body = END_MARK("9"), .end = RIG_OK);
	STEP(.want = CHECK, .status = 503, .body = "{}");	/* then no watch: it might be silent for ever */
	STEP(.want = CHECK, .body = LIST("9", "", ""));
	STEP(.want = FROM("9"), .status = 504, .body = "{\"kind\":\"Status\",\"reason\":\"Timeout\",\"code\":504,"
						       "\"message\":\"Too large resource version: 9, current: 8\"}");
	STEP(.want = CHECK, .body = LIST("9", "", ""));
	STEP(.want = FROM("9"), .body = EVENT("ADDED", "a", "10"), .end = RIG_HOLD);
	start(r, (struct kube_watch_params){ 0 });
	wait_log(r, "+a ");
	assert_string_equal(r->log.data, "begin synced:9 lost lost +a ");
}

static void what_is_older_on_an_open_stream_lists_again(void **state)
{
	static const char *const older[] = { EVENT("MODIFIED", "a", "8"), EVENT("DELETED", "a", "8"), MARK("8") };

	for (size_t i = 0; i < ARRAY_LEN(older); i++) {
		struct rig *r;

		(void)setup((void **)&r);
		STEP(.want = INITIAL, .body = EVENT("ADDED", "a", "3") END_MARK("9"), .gate = true, .tail = older[i],
		     .end = RIG_HOLD);
		STEP(.want = INITIAL, .body = EVENT("ADDED", "a", "8") END_MARK("8"), .end = RIG_HOLD);
		start(r, (struct kube_watch_params){ 0 });
		wait_log(r, "synced:9 ");
		http_rig_release(r->http);
		wait_log(r, "synced:8 ");
		assert_string_equal(r->log.data, "begin +a synced:9 rewound begin +a synced:8 ");
		(void)teardown((void **)&r);
	}
	(void)state;
}

/* Two servers behind one address, each with its own history. */
static void a_history_that_goes_back_again_and_again_does_not_spin(void **state)
{
	struct rig *r = *state;

	STEP(.want = INITIAL, .body = END_MARK("90"), .forever = true);
	STEP(.want = CHECK, .body = LIST("50", "", ""), .forever = true);
	start(r, (struct kube_watch_params){ 0 });
	wait_log(r, "lost begin synced:90 rewound lost ");
	assert_true(http_rig_requests(r->http) < 12);
}

static void a_handler_may_end_or_restart_what_went_back(void **state)
{
	for (int i = 0; i < 2; i++) {
		struct rig *r;

		(void)setup((void **)&r);
		*(i ? &r->free_at : &r->restart_at) = "rewound ";
		STEP(.want = INITIAL, .body = END_MARK("90"), .end = RIG_OK);
		STEP(.want = CHECK, .body = LIST("50", "", ""));
		STEP(.want = INITIAL, .body = END_MARK("51"), .end = RIG_HOLD);
		start(r, (struct kube_watch_params){ 0 });
		wait_log(r, i ? "rewound " : "synced:51 ");
		assert_string_equal(r->log.data, i ? "begin synced:90 rewound " : "begin synced:90 rewound begin synced:51 ");
		(void)teardown((void **)&r);
	}
	(void)state;
}

#define DATE(day) "Date: Sun, " day " Nov 2024 08:49:37 GMT\r\n"

/* 2024-11-03T08:49:37Z */
static const int64_t day_3_s = 1730623777;

static void its_time_is_the_servers(void **state)
{
	struct rig *r = *state;
	int64_t later;

	STEP(.want = "?limit=2 ", .headers = DATE("03"), .body = LIST("50", ",\"continue\":\"c\"", OBJECT("a", "1")));
	STEP(.want = "?limit=2&continue=c ", .headers = DATE("10"), .body = LIST("50", "", OBJECT("b", "2")));
	STEP(.want = FROM("50"), .headers = DATE("03"), .gate = true, .tail = MARK("51"), .end = RIG_HOLD);
	start(r, (struct kube_watch_params){ .no_watch_list = true, .page = 2 });
	assert_true(kube_watch_stamp(r->watch).ns == 0);
	wait_log(r, "synced:50 ");
	assert_true(kube_watch_stamp(r->watch).ns == day_3_s * MS_PER_S * NS_PER_MS);	/* of the first page */
	http_rig_release(r->http);
	wait_log(r, "progress:51 ");
	later = kube_watch_stamp(r->watch).ns - day_3_s * MS_PER_S * NS_PER_MS;
	assert_true(later >= 0 && later < WAIT_MS * NS_PER_MS);
	kube_watch_stop(r->watch);
	assert_true(kube_watch_stamp(r->watch).ns == 0);
}

static void a_server_without_a_clock_gives_no_stamp(void **state)
{
	static const char *const headers[] = { "", "Date: nonsense\r\n", "Date: Sun, 03 Nov 9999 08:49:37 GMT\r\n" };

	for (size_t i = 0; i < ARRAY_LEN(headers); i++) {
		struct rig *r;

		(void)setup((void **)&r);
		STEP(.want = INITIAL, .headers = headers[i], .body = END_MARK("9") MARK("10"), .end = RIG_HOLD);
		start(r, (struct kube_watch_params){ 0 });
		wait_log(r, "progress:10 ");
		assert_true(kube_watch_stamp(r->watch).ns == 0);
		(void)teardown((void **)&r);
	}
	(void)state;
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(a_watch_list_syncs_and_goes_on), T(an_ended_watch_goes_on_where_it_was),
		cmocka_unit_test(pages_where_watch_list_is_refused), T(pages_where_watch_list_is_ignored),
		T(an_empty_list_is_a_truth_too), T(an_expired_continue_starts_over_and_finally_without_pages),
		T(a_list_cut_short_is_no_truth), T(gone_as_an_event_lists_again), T(gone_as_an_answer_lists_again),
		T(gone_again_and_again_does_not_spin), T(trouble_is_told_and_tried_again), T(a_silent_watch_is_reopened),
		T(a_server_that_closes_at_once_does_not_make_us_spin), T(dropped_watches_come_back_from_their_version),
		T(bad_objects_are_passed_over), cmocka_unit_test(a_handler_may_free_the_watch),
		T(a_handler_may_restart_the_watch), T(stop_forgets),
		T(a_version_of_the_future_is_not_watched_from), T(a_server_that_has_our_version_is_watched_from_it),
		cmocka_unit_test(what_is_older_on_an_open_stream_lists_again),
		T(a_history_that_goes_back_again_and_again_does_not_spin),
		cmocka_unit_test(a_handler_may_end_or_restart_what_went_back), T(its_time_is_the_servers),
		cmocka_unit_test(a_server_without_a_clock_gives_no_stamp),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
