/* test_store_tables.c — every table there and back; transactions; history; migrations */
#include "../support.h"

#include <errno.h>
#include <sqlite3.h>

#include "base/file.h"
#include "model/constraint.h"
#include "store/store.h"

static char dir[TMP_SIZE], path[TMP_SIZE + 8], aside[STORE_PATH_SIZE];
static struct store *s;
static struct buf seen;

static void open_store(void)
{
	assert_int_equal(store_open(path, &s, aside), 0);
	assert_string_equal(aside, "");
}

static void open_again(void)
{
	store_close(s);
	open_store();
}

static int setup(void **state)
{
	(void)state;
	tmp_new(dir);
	(void)snprintf(path, sizeof(path), "%s/s.db", dir);
	open_store();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	store_close(s);
	s = NULL;
	buf_fini(&seen);
	tmp_free(dir);
	return 0;
}

static void see_doc(void *arg, const char *doc)
{
	(void)arg;
	buf_addf(&seen, "%s;", doc);
}

static void test_docs(void **state)
{
	cleanup(freep) char *doc = NULL;

	(void)state;
	assert_int_equal(store_put_doc(s, STORE_WORKLOAD, "w1", "one"), 0);
	assert_int_equal(store_put_doc(s, STORE_WORKLOAD, "w2", "two"), 0);
	assert_int_equal(store_put_doc(s, STORE_WORKLOAD, "w1", "newer"), 0);
	assert_int_equal(store_put_doc(s, STORE_NODE, "w1", "a node"), 0);
	assert_int_equal(store_delete_doc(s, STORE_WORKLOAD, "w2"), 0);
	assert_int_equal(store_delete_doc(s, STORE_WORKLOAD, "w2"), 0);
	open_again();
	assert_int_equal(store_each_doc(s, STORE_WORKLOAD, see_doc, NULL), 0);
	assert_string_equal(seen.data, "newer;");
	doc = store_get_doc(s, STORE_NODE, "w1");
	assert_string_equal(doc, "a node");
	assert_null(store_get_doc(s, STORE_NODE, "none"));
}

static struct pod pod_of(const char *uid)
{
	struct pod p = {.name = (char *)(uintptr_t) "web-0",
			.ns = "default",
			.node = "n1",
			.owner = "w1",
			.original_uid = "o1",
			.copy_of = "w1",
			.version = INT64_MAX,
			.phase = POD_RUNNING,
			.ready = true,
			.default_scheduler = true,
			.priority = -5,
			.request = {250, INT64_C(64) << 20, 1},
			.created = {INT64_C(1700000000) * MS_PER_S * NS_PER_MS},
			.ready_since = {123456789}};

	(void)str_copy(p.uid, sizeof(p.uid), uid);
	return p;
}

struct pods {
	struct pod *items[8];
	char *constraints[8];
	size_t n;
};

static void keep_pod(void *arg, struct pod *p, const char *constraints)
{
	struct pods *pods = arg;

	assert_true(pods->n < ARRAY_LEN(pods->items));
	pods->constraints[pods->n] = str_dup(constraints);
	pods->items[pods->n++] = p;
}

static void pods_fini(struct pods *pods)
{
	for (size_t i = 0; i < pods->n; i++) {
		pod_free(pods->items[i]);
		free(pods->constraints[i]);
	}
}

static void test_pods(void **state)
{
	struct constraints one = {.key = "one"}, two = {.key = "two"};
	struct pod a = pod_of("a"), b = pod_of("b"), c = pod_of("c"), bare = {.name = a.name, .ns = "x", .uid = "d"};
	cleanup(pods_fini) struct pods got = {.n = 0};
	const struct pod *p;

	(void)state;
	a.constraints = b.constraints = &one;
	c.constraints = &two;
	b.deleting = b.gated = b.is_mirror = b.has_claims = b.pull_secrets = true;
	b.ready = b.default_scheduler = false;
	assert_int_equal(store_put_pod(s, &c), 0);
	assert_int_equal(store_put_pod(s, &b), 0);
	assert_int_equal(store_put_pod(s, &a), 0);
	assert_int_equal(store_put_pod(s, &bare), 0);
	open_again();
	assert_int_equal(store_each_pod(s, keep_pod, &got), 0);
	assert_int_equal(got.n, 4);
	for (size_t i = 0; i < 4; i++)
		assert_string_equal(got.items[i]->uid, ((const char *const[]){"a", "b", "c", "d"})[i]);
	p = got.items[0];
	assert_string_equal(p->name, "web-0");
	assert_string_equal(p->node, "n1");
	assert_string_equal(p->owner, "w1");
	assert_string_equal(p->original_uid, "o1");
	assert_string_equal(p->copy_of, "w1");
	assert_true(p->version == INT64_MAX && p->phase == POD_RUNNING && p->priority == -5);
	assert_true(p->request.cpu_milli == 250 && p->request.mem_bytes == INT64_C(64) << 20 && p->request.pods == 1);
	assert_true(p->ready_since.ns == 123456789);
	assert_true(p->created.ns == INT64_C(1700000000) * MS_PER_S * NS_PER_MS);
	assert_true(p->ready && p->default_scheduler && !p->deleting && !p->gated && !p->is_mirror && !p->has_claims &&
		    !p->pull_secrets);
	p = got.items[1];
	assert_true(!p->ready && !p->default_scheduler && p->deleting && p->gated && p->is_mirror && p->has_claims &&
		    p->pull_secrets);
	assert_true(p->created.ns == got.items[0]->created.ns && got.items[3]->created.ns == 0);
	assert_null(got.items[3]->node);
	assert_null(got.items[3]->owner);
	assert_string_equal(got.constraints[0], "one");
	assert_string_equal(got.constraints[1], "one");
	assert_string_equal(got.constraints[2], "two");
	assert_null(got.constraints[3]);
}

/* A rollback also undoes the ids under which constraints were remembered. */
static void test_rolled_back_constraints(void **state)
{
	struct constraints one = {.key = "one"}, two = {.key = "two"};
	struct pod a = pod_of("a"), b = pod_of("b");
	cleanup(pods_fini) struct pods got = {.n = 0};

	(void)state;
	a.constraints = &one;
	b.constraints = &two;
	assert_int_equal(store_begin(s, false), 0);
	assert_int_equal(store_put_pod(s, &a), 0);
	store_rollback(s);
	assert_int_equal(store_put_pod(s, &b), 0); /* takes the id that "one" had */
	assert_int_equal(store_put_pod(s, &a), 0);
	assert_int_equal(store_each_pod(s, keep_pod, &got), 0);
	assert_int_equal(got.n, 2);
	assert_string_equal(got.constraints[0], "one");
	assert_string_equal(got.constraints[1], "two");
}

static void see_claim(void *arg, const struct claim *c)
{
	*(struct claim *)arg = *c;
	buf_addf(&seen, "%s;", c->pod_uid);
}

static void test_claims(void **state)
{
	struct claim c = {.pod_uid = "p1",
			  .node = "n1",
			  .epoch = UINT32_MAX,
			  .rank = 3,
			  .mirror = UINT64_MAX - 1,
			  .state = CLAIM_WITHDRAWN,
			  .at = {77}},
		     got;

	(void)state;
	assert_int_equal(store_put_claim(s, &c), 0);
	c.state = CLAIM_DONE;
	assert_int_equal(store_put_claim(s, &c), 0);
	open_again();
	assert_int_equal(store_each_claim(s, see_claim, &got), 0);
	assert_string_equal(seen.data, "p1;");
	assert_string_equal(got.node, "n1");
	assert_true(got.epoch == UINT32_MAX && got.rank == 3 && got.mirror == UINT64_MAX - 1 &&
		    got.state == CLAIM_DONE && got.at.ns == 77);
	assert_int_equal(store_delete_claim(s, "p1"), 0);
	buf_clear(&seen);
	assert_int_equal(store_each_claim(s, see_claim, &got), 0);
	assert_int_equal(seen.len, 0);
}

static void see_claimant(void *arg, const struct claim *c)
{
	(void)arg;
	buf_addf(&seen, "%s %u %s;", c->node, c->epoch, claim_state_name(c->state));
}

static void put_claim(const char *node, uint32_t epoch, enum claim_state state)
{
	struct claim c = { .pod_uid = "p1", .epoch = epoch, .state = state };

	(void)str_copy(c.node, sizeof(c.node), node);
	assert_int_equal(store_put_claim(s, &c), 0);
}

static void see_claimants(const char *wanted)
{
	buf_clear(&seen);
	assert_int_equal(store_each_claim(s, see_claimant, NULL), 0);
	assert_string_equal(seen.len ? seen.data : "", wanted);
}

static void test_claims_given_up(void **state)
{
	(void)state;
	put_claim("n1", 1, CLAIM_LIVE);
	put_claim("n1", 1, CLAIM_WITHDRAWN);
	put_claim("n3", 1, CLAIM_LIVE);
	open_again();
	see_claimants("n3 1 live;n1 1 withdrawn;");
	put_claim("n2", 1, CLAIM_WITHDRAWN);		/* it does not end what n3 holds */
	see_claimants("n3 1 live;n1 1 withdrawn;n2 1 withdrawn;");
	put_claim("n3", 1, CLAIM_DONE);
	see_claimants("n3 1 done;n1 1 withdrawn;n2 1 withdrawn;");
	put_claim("n4", 2, CLAIM_LIVE);			/* a new loss: nothing of the old one counts */
	see_claimants("n4 2 live;");
	put_claim("n1", 1, CLAIM_WITHDRAWN);		/* told late */
	put_claim("n5", 2, CLAIM_LIVE);			/* it took over from n4 */
	see_claimants("n5 2 live;");
}

static void keep_copy(void *arg, struct copy *c)
{
	copy_free(*(struct copy **)arg);
	*(struct copy **)arg = c;
	buf_addf(&seen, "%s;", c->pod_uid);
}

static void test_copies(void **state)
{
	cleanup(copy_freep) struct copy *c = copy_new(), *got = NULL;

	(void)state;
	(void)str_copy(c->pod_uid, sizeof(c->pod_uid), "p1");
	(void)str_copy(c->static_uid, sizeof(c->static_uid), "s1");
	(void)str_copy(c->workload_uid, sizeof(c->workload_uid), "w1");
	c->ns = str_dup("default");
	c->name = str_dup("web-0");
	c->workload = str_dup("web");
	c->lost_node = str_dup("n2");
	c->file = str_dup("edge-healer-web.json");
	c->epoch = 4;
	c->rank = 2;
	c->state = COPY_STARTING;
	c->declared.ns = 1;
	c->claimed.ns = 2;
	c->written.ns = 3;
	c->running.ns = 4;
	assert_int_equal(store_put_copy(s, c), 0);
	open_again();
	assert_int_equal(store_each_copy(s, keep_copy, &got), 0);
	assert_string_equal(seen.data, "p1;");
	assert_string_equal(got->static_uid, "s1");
	assert_string_equal(got->workload_uid, "w1");
	assert_string_equal(got->ns, "default");
	assert_string_equal(got->name, "web-0");
	assert_string_equal(got->workload, "web");
	assert_string_equal(got->lost_node, "n2");
	assert_string_equal(got->file, "edge-healer-web.json");
	assert_true(got->epoch == 4 && got->rank == 2 && got->state == COPY_STARTING);
	assert_true(got->declared.ns == 1 && got->claimed.ns == 2 && got->written.ns == 3 && got->running.ns == 4);
	assert_int_equal(store_delete_copy(s, "p1"), 0);
	buf_clear(&seen);
	assert_int_equal(store_each_copy(s, keep_copy, &got), 0);
	assert_int_equal(seen.len, 0);
}

static void see_intent(void *arg, const struct intent *i)
{
	(void)arg;
	buf_addf(&seen, "%lld:%s:%s:%u:%s;", (long long)i->id, action_name(i->kind), i->pod_uid, i->epoch, i->target);
}

static void test_intents(void **state)
{
	struct intent a = {.kind = ACTION_RESTORE, .pod_uid = "p1", .epoch = 1, .target = "f1"};
	struct intent b = {.kind = ACTION_BIND, .pod_uid = "p2", .epoch = 2, .target = "n1"};
	cleanup(freep) char *want = NULL;

	(void)state;
	assert_int_equal(store_open_intent(s, &a, (struct wall){1}), 0);
	assert_int_equal(store_open_intent(s, &b, (struct wall){1}), 0);
	assert_true(b.id > a.id);
	assert_int_equal(store_close_intent(s, a.id), 0);
	open_again();
	assert_int_equal(store_each_intent(s, see_intent, NULL), 0);
	want = str_format("%lld:%s:p2:2:n1;", (long long)b.id, action_name(ACTION_BIND));
	assert_string_equal(seen.data, want);
	assert_int_equal(store_clear_intents(s), 0);
	assert_int_equal(store_open_intent(s, &a, (struct wall){1}), 0);
	assert_true(a.id > b.id); /* ids are never used again */
}

static void see_peer(void *arg, const struct store_peer *p)
{
	(void)arg;
	buf_addf(&seen, "%s=%s:%u@%s;", p->name, p->addr, p->port, p->site);
}

static void test_peers_and_meta(void **state)
{
	cleanup(freep) char *value = NULL;

	(void)state;
	assert_int_equal(store_put_peer(s, &(struct store_peer){"n2", "10.0.0.2", "west", 7946}, (struct wall){1}), 0);
	assert_int_equal(store_put_peer(s, &(struct store_peer){"n1", "10.0.0.1", "west", 65535}, (struct wall){1}), 0);
	assert_int_equal(store_put_peer(s, &(struct store_peer){"n2", "10.0.0.9", "west", 7946}, (struct wall){2}), 0);
	assert_int_equal(store_put_peer(s, &(struct store_peer){"n3", "10.0.0.3", "west", 1}, (struct wall){2}), 0);
	assert_int_equal(store_delete_peer(s, "n3"), 0);
	assert_int_equal(store_put_meta(s, "k", "v1"), 0);
	assert_int_equal(store_put_meta(s, "k", "v2"), 0);
	open_again();
	assert_int_equal(store_each_peer(s, see_peer, NULL), 0);
	assert_string_equal(seen.data, "n1=10.0.0.1:65535@west;n2=10.0.0.9:7946@west;");
	value = store_get_meta(s, "k");
	assert_string_equal(value, "v2");
	assert_null(store_get_meta(s, "none"));
	assert_int_equal(store_delete_meta(s, "k"), 0);
	assert_int_equal(store_delete_meta(s, "none"), 0);
	assert_null(store_get_meta(s, "k"));
}

static void see_row(void *arg, const struct history_row *row)
{
	(void)arg;
	buf_addf(&seen, "%s/%s/%s;", row->event, str_or(row->pod, "-"), str_or(row->node, "-"));
}

static const char *history(const char *filter, int limit)
{
	buf_clear(&seen);
	assert_int_equal(store_each_history(s, filter, 0, limit, see_row, NULL), 0);
	return seen.len ? seen.data : "";
}

static void test_history(void **state)
{
	static const struct history_row rows[] = {
	    {.at = {1}, .event = "a", .pod = "p1", .node = "n1"},
	    {.at = {2}, .event = "b", .pod = "p2", .node = "n1"},
	    {.at = {3}, .event = "c", .node = "n2"},
	    {.at = {4}, .event = "d", .pod = "n2", .detail = "k=v"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(store_add_history(s, &rows[i]), 0);
	open_again();
	assert_string_equal(history(NULL, 100), "d/n2/-;c/-/n2;b/p2/n1;a/p1/n1;");
	assert_string_equal(history(NULL, 2), "d/n2/-;c/-/n2;");
	assert_string_equal(history("n1", 100), "b/p2/n1;a/p1/n1;");
	assert_string_equal(history("n2", 100), "d/n2/-;c/-/n2;");
	assert_string_equal(history("p1", 100), "a/p1/n1;");
	assert_string_equal(history("' OR 1=1 --", 100), "");
}

static void count_row(void *arg, const struct history_row *row)
{
	int64_t *n = arg;

	n[0]++;
	n[1] = row->id; /* newest first: the last one is the oldest */
}

static void test_history_trim(void **state)
{
	int64_t n[2] = {0, 0};

	(void)state;
	assert_int_equal(store_begin(s, false), 0);
	for (int i = 0; i < STORE_HISTORY_MAX + 50; i++)
		assert_int_equal(store_add_history(s, &(struct history_row){.event = "x"}), 0);
	assert_int_equal(store_commit(s), 0);
	store_idle(s);
	assert_int_equal(store_each_history(s, NULL, 0, 2 * STORE_HISTORY_MAX, count_row, n), 0);
	assert_int_equal(n[0], STORE_HISTORY_MAX);
	assert_int_equal(n[1], 51);
}

static void test_transactions(void **state)
{
	(void)state;
	assert_int_equal(store_commit(s), -EINVAL);
	store_rollback(s);
	assert_int_equal(store_begin(s, true), 0);
	assert_true(store_in_transaction(s));
	assert_int_equal(store_begin(s, false), -EBUSY);
	assert_int_equal(store_put_meta(s, "a", "1"), 0);
	assert_int_equal(store_commit(s), 0);
	assert_false(store_in_transaction(s));
	assert_int_equal(store_begin(s, false), 0);
	assert_int_equal(store_put_meta(s, "b", "1"), 0);
	store_rollback(s);
	assert_null(store_get_meta(s, "b"));
	assert_int_equal(store_begin(s, false), 0);
	assert_int_equal(store_put_meta(s, "c", "1"), 0);
	open_again(); /* closing rolls back */
	assert_null(store_get_meta(s, "c"));
	free(store_get_meta(s, "a"));
	assert_false(store_in_transaction(s));
}

static void run_sql(const char *sql)
{
	sqlite3 *db = NULL;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
		fail_msg("%s: %s", sql, sqlite3_errmsg(db));
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void test_migrations(void **state)
{
	struct store *other = NULL;
	char *value;

	(void)state;
	assert_int_equal(store_put_meta(s, "k", "v"), 0);
	for (int i = 0; i < 3; i++)
		open_again();
	store_close(s);
	s = NULL;
	run_sql("PRAGMA user_version=1000");
	assert_true(store_open(path, &other, aside) < 0); /* written by a newer one: hands off */
	assert_null(other);
	assert_string_equal(aside, "");
	assert_true(access(path, F_OK) == 0);
	run_sql("PRAGMA user_version=5");
	open_store();
	value = store_get_meta(s, "k");
	assert_string_equal(value, "v");
	free(value);
}

/* One entry after the other: what a store of an older version has stays. */
static void test_migration_to_events(void **state)
{
	cleanup(freep) char *kept = NULL, *images = NULL;

	(void)state;
	assert_int_equal(store_put_meta(s, "k", "v"), 0);
	assert_int_equal(store_put_meta(s, "images", "[]"), 0);
	store_close(s);
	s = NULL;
	run_sql("DROP TABLE events; PRAGMA user_version=4");
	open_store();
	kept = store_get_meta(s, "k");
	images = store_get_meta(s, "images");
	assert_string_equal(kept, "v");
	assert_null(images);
	assert_int_equal(store_delete_event(s, 1), 0);
}

static void see_spec(void *arg, const struct spec_row *row)
{
	(void)arg;
	buf_addf(&seen, "%s %s %lld %s;", row->hash, row->owner, (long long)row->made, row->doc);
}

static void see_pod_spec(void *arg, const char *pod_uid, int64_t spec)
{
	(void)arg;
	buf_addf(&seen, "%s:%lld;", pod_uid, (long long)spec);
}

static void test_specs(void **state)
{
	struct spec_row a = { .hash = "h1", .owner = "w1", .made = 5, .doc = "{1}" };
	struct spec_row b = { .hash = "h2", .owner = "w1", .made = 3, .doc = "{2}" };
	struct spec_row again = { .hash = "h1", .owner = "w1", .made = 9, .doc = "{other}" };
	cleanup(freep) char *doc = NULL, *none = NULL;

	(void)state;
	assert_int_equal(store_put_spec(s, &a), 0);
	assert_int_equal(store_put_spec(s, &b), 0);
	assert_int_equal(store_put_spec(s, &again), 0);
	assert_true(a.id > 0 && a.id != b.id && again.id == a.id);
	doc = store_get_spec(s, a.id);
	none = store_get_spec(s, 99);
	assert_string_equal(doc, "{1}");	/* the same hash is the same content */
	assert_null(none);
	assert_int_equal(store_put_pod_spec(s, "p1", a.id), 0);
	assert_int_equal(store_put_pod_spec(s, "p2", b.id), 0);
	assert_int_equal(store_put_pod_spec(s, "p2", 0), 0);
	open_again();
	buf_clear(&seen);
	assert_int_equal(store_each_spec(s, see_spec, NULL), 0);
	assert_int_equal(store_each_pod_spec(s, see_pod_spec, NULL), 0);
	assert_string_equal(seen.data, "h2 w1 3 {2};h1 w1 9 {1};p1:1;");
	assert_int_equal(store_sweep_specs(s), 0);	/* neither pods nor ReplicaSets are there */
	buf_clear(&seen);
	buf_adds(&seen, "");
	assert_int_equal(store_each_spec(s, see_spec, NULL), 0);
	assert_int_equal(store_each_pod_spec(s, see_pod_spec, NULL), 0);
	assert_string_equal(seen.data, "");
}

/* What a rollout that never synced has opened the version before it can still open. */
static void test_a_store_of_an_older_schema_works_and_is_moved_on_when_told(void **state)
{
	struct spec_row a = { .hash = "h1", .owner = "w1", .made = 5, .doc = "{1}" };

	(void)state;
	assert_false(store_is_behind(s));
	assert_int_equal(store_put_meta(s, "k", "v"), 0);
	store_close(s);
	s = NULL;
	run_sql("DROP TABLE specs; DROP TABLE pod_specs; PRAGMA user_version=5");
	open_again();
	assert_true(store_is_behind(s));
	assert_int_equal(store_put_spec(s, &a), 0);
	assert_int_equal(a.id, 0);
	assert_int_equal(store_put_pod_spec(s, "p1", 7), 0);
	assert_int_equal(store_each_spec(s, see_spec, NULL), 0);
	assert_int_equal(store_each_pod_spec(s, see_pod_spec, NULL), 0);
	assert_int_equal(store_sweep_specs(s), 0);
	assert_null(store_get_spec(s, 1));
	assert_null(store_fault(s));
	assert_int_equal(store_begin(s, false), 0);
	assert_int_equal(store_migrate(s), -EBUSY);
	assert_int_equal(store_commit(s), 0);
	assert_int_equal(store_migrate(s), 0);
	assert_int_equal(store_migrate(s), 0);
	assert_false(store_is_behind(s));
	assert_int_equal(store_put_spec(s, &a), 0);
	assert_true(a.id > 0);
	open_again();
	assert_false(store_is_behind(s));
}

static void see_event(void *arg, const struct event_row *e)
{
	(void)arg;
	buf_addf(&seen, "%lld %lld %s/%s %s %s %s %s \"%s\" %d;", (long long)e->key, (long long)e->at.ns, str_or(e->ns, "-"),
		 str_or(e->pod, "-"), str_or(e->workload, "-"), str_or(e->uid, "-"), str_or(e->node, "-"), e->reason, e->message,
		 e->warning);
}

static void check_events(int limit, const char *want)
{
	buf_clear(&seen);
	buf_adds(&seen, "");
	assert_int_equal(store_each_event(s, limit, see_event, NULL), 0);
	assert_string_equal(seen.data, want);
}

static void test_events(void **state)
{
	static const struct event_row rows[] = {
		{ INT64_MIN, { 3 }, "shop", "web-1", NULL, "u1", "n3", "Restored", "won bid", false },
		{ 7, { 2 }, NULL, NULL, NULL, NULL, "n3", "NodeLost", "it's \"dead\"", true },
		{ 9, { 1 }, "shop", NULL, "web", "u2", "n1", "OfflineReady", "", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(store_add_event(s, &rows[i]), 0);
	open_again();
	check_events(2, "-9223372036854775808 3 shop/web-1 - u1 n3 Restored \"won bid\" 0;"
			"7 2 -/- - - n3 NodeLost \"it's \"dead\"\" 1;");
	assert_int_equal(store_delete_event(s, INT64_MIN), 0);
	assert_int_equal(store_delete_event(s, 7), 0);
	assert_int_equal(store_delete_event(s, 7), 0);
	check_events(10, "9 1 shop/- web u2 n1 OfflineReady \"\" 0;");
	assert_int_equal(store_clear_events(s), 0);
	check_events(10, "");
}

static void test_reset(void **state)
{
	(void)state;
	assert_int_equal(store_put_meta(s, "k", "v"), 0);
	assert_int_equal(store_reset(s, aside), 0);
	assert_true(access(aside, F_OK) == 0);
	assert_null(store_get_meta(s, "k"));
	assert_int_equal(store_put_meta(s, "k", "w"), 0);
}

/* Text with quotes and bytes that are no UTF-8 comes back as it was. */
static void test_odd_text(void **state)
{
	static const char odd[] = "'; DROP TABLE meta; --\xff\xc3(\n";
	cleanup(freep) char *value = NULL;

	(void)state;
	assert_int_equal(store_put_meta(s, odd, odd), 0);
	open_again();
	value = store_get_meta(s, odd);
	assert_string_equal(value, odd);
}

/* All of a store that is needed no more, and nothing of its neighbours. */
static void test_removed_with_what_was_set_aside(void **state)
{
	static const char *const others[] = { "s.db.lock", "s.db2", "old-s.db.corrupt-1" };
	char file[TMP_SIZE + 64];

	(void)state;
	assert_int_equal(store_reset(s, aside), 0);
	assert_true(strlen(aside) > 0);
	store_close(s);
	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		(void)snprintf(file, sizeof(file), "%s/%s", dir, others[i]);
		assert_int_equal(file_write_atomic(file, "x", 1, 0600), 0);
	}
	assert_true(tmp_count(dir) > (int)ARRAY_LEN(others) + 1);
	assert_int_equal(store_remove_files(path), 0);
	assert_int_equal(tmp_count(dir), ARRAY_LEN(others));
	assert_int_equal(store_remove_files(path), 0);	/* again: nothing is there any more */
	open_store();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_docs, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_pods, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_rolled_back_constraints, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_claims, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_claims_given_up, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_copies, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_intents, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_peers_and_meta, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_history, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_history_trim, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_transactions, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_migrations, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_migration_to_events, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_specs, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_a_store_of_an_older_schema_works_and_is_moved_on_when_told, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_events, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_reset, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_odd_text, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_removed_with_what_was_set_aside, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
