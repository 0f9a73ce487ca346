/* test_agent_blank.c — a member without a mirror: what it answers, and what others make of that */
#include "../heal/heal_rig.h"

#include "../../src/agent/blank.h"
#include "agent/agent_int.h"
#include "agent/wire.h"
#include "node/render.h"

#define ONE "11111111-0000-4000-8000-000000000001"
#define TWO "22222222-0000-4000-8000-000000000002"
#define OTHER "33333333-0000-4000-8000-000000000003"

struct rig_a { struct rig g; struct agent a; };

static void put_pod(struct rig *g, const char *uid, const char *node)
{
	struct pod *p = rig_pod(g, uid, "web", node), *own = pod_new();

	(void)str_copy(own->uid, sizeof(own->uid), uid);
	own->name = str_dup(uid);
	own->ns = p->ns;
	own->node = p->node;
	own->owner = p->owner;
	own->phase = POD_RUNNING;
	own->request = p->request;
	own->constraints = p->constraints;
	view_remove_pod(g->view, p->uid);
	view_put_pod(g->view, own, g->now);
}

/* We are n1; n5 has no mirror, two pods of its own, and n2 one. Its Node has boot id "before". */
static void init(struct rig_a *r)
{
	struct rig *g = &r->g;

	rig_init(g, 5);
	rig_only_me(g);
	rig_rs(g, "web", 3);
	put_pod(g, ONE, "n5");
	put_pod(g, TWO, "n5");
	put_pod(g, OTHER, "n2");
	rig_node(g, "n5")->boot_id = intern("before");
	rig_tick(g);
	rig_after(g, HEAL_BLANK_SETTLE_MS);
	rig_peer(g, "n5")->blank = true;
	rig_tick(g);
	r->a = (struct agent){ .self = intern("n1"), .view = g->view, .heal = g->heal,
			       .loop = loop_new_virtual(g->now, (struct wall){ INT64_C(1700000000) * 1000000000 }, 1) };
}

static void fini(struct rig_a *r)
{
	loop_free(r->a.loop);
	rig_fini(&r->g);
}

static size_t lost_after(struct rig_a *r, const char *boot_id, const char *const *uids, size_t n)
{
	cleanup(buf_fini) struct buf b = BUF_INIT;
	struct wire_running w = { 0 };

	(void)str_copy(w.boot_id, sizeof(w.boot_id), boot_id);
	for (size_t i = 0; i < n; i++)
		assert_true(wire_short_uid(uids[i], &w.uids[w.count++]));
	wire_put_running(&b, &w);
	assert_true(blank_on_answer(&r->a, "n5", b.data, b.len));
	rig_after(&r->g, 1);
	return rig_count(&r->g, ACTION_RESTORE);
}

static void what_it_does_not_name_after_a_boot_is_lost(void **state)
{
	static const char *const uids[] = { ONE, TWO };
	static const struct { const char *boot_id; size_t named, lost; } rows[] = {
		{ "after", 0, 2 }, { "after", 1, 1 }, { "after", 2, 0 }, { "before", 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct rig_a r;

		init(&r);
		assert_int_equal(lost_after(&r, rows[i].boot_id, uids, rows[i].named), rows[i].lost);
		fini(&r);
	}
}

/* A Node that has not told its boot id: the answer must be given twice. */
static void without_a_known_boot_id_it_is_the_same_boot(void **state)
{
	struct rig_a r;

	(void)state;
	init(&r);
	rig_node(&r.g, "n5")->boot_id = NULL;
	assert_int_equal(lost_after(&r, "after", NULL, 0), 0);
	fini(&r);
}

/* Its own copy of ONE runs under another uid, and so does that of n2's pod: its claims live on, although it repeats none. */
static void its_copies_run_under_their_own_uids(void **state)
{
	char copies[2][UUID_TEXT_SIZE];
	const char *const uids[] = { copies[0], copies[1], TWO };
	struct rig_a r;

	(void)state;
	init(&r);
	render_uid(ONE, 1, copies[0]);
	render_uid(OTHER, 1, copies[1]);
	(void)rig_claim(&r.g, ONE, "n5", 1, CLAIM_LIVE);
	(void)rig_claim(&r.g, OTHER, "n5", 1, CLAIM_LIVE);
	for (int64_t ms = 0; ms < 2 * HEAL_CLAIM_HOLD_MS; ms += 2000) {
		assert_int_equal(lost_after(&r, "after", uids, 3), 0);
		r.g.now = mono_add_ms(r.g.now, 2000);
		loop_advance_ms(r.a.loop, 2001);
	}
	assert_non_null(claims_live(heal_claims(r.g.heal), OTHER));
	assert_int_equal(lost_after(&r, "after", uids + 1, 2), 1);	/* its copy of ONE has ended */
	assert_non_null(rig_find(&r.g, ACTION_RESTORE, ONE));
	fini(&r);
}

static void what_is_malformed_is_not_heard(void **state)
{
	struct rig_a r;

	(void)state;
	init(&r);
	assert_false(blank_on_answer(&r.a, "n5", "EH", 2));
	rig_after(&r.g, 1);
	assert_int_equal(rig_effects(&r.g), 0);
	fini(&r);
}

/* ---- being one ---- */

static void only_who_has_no_mirror_and_knows_what_runs_answers(void **state)
{
	(void)state;
	for (int i = 0; i < 6; i++) {
		struct agent a = { .self = intern("n5"), .view = view_new(), .running = map_new(), .boot_id = "boot" };
		cleanup(buf_fini) struct buf b = BUF_INIT;
		struct map *running = a.running;
		struct wire_running w;

		a.link.state = i == 1 ? LINK_ONLINE : i == 2 ? LINK_SUSPECT : LINK_OFFLINE;
		(void)map_put(a.running, ONE, (void *)(uintptr_t)ONE);
		if (i == 3) {
			struct node *n = node_new();

			n->name = intern("n5");
			view_put_node(a.view, n);
		}
		if (i == 4)
			a.running = NULL;
		assert_int_equal(blank_is(&a), i == 0 || i >= 4);
		blank_answer(&a, i == 5 ? "n4" : "n5", &b);
		assert_int_equal(b.len > 0, i == 0);
		if (i == 0) {
			assert_int_equal(wire_get_running(b.data, b.len, &w), 0);
			assert_string_equal(w.boot_id, "boot");
			assert_int_equal(w.count, 1);
			assert_int_equal(w.uids[0], 0x11111111);
		}
		(void)map_remove(running, ONE);
		map_free(running);
		view_free(a.view);
	}
}

/* What it does not name counts as lost: it names all, or says nothing. */
static void more_than_fit_are_not_named_in_part(void **state)
{
	static char uids[WIRE_RUNNING_MAX + 1][16];
	struct agent a = { .self = intern("n5"), .view = view_new(), .running = map_new(), .boot_id = "boot" };
	cleanup(buf_fini) struct buf b = BUF_INIT;

	(void)state;
	a.link.state = LINK_OFFLINE;
	for (size_t i = 0; i <= WIRE_RUNNING_MAX; i++) {
		(void)snprintf(uids[i], sizeof(uids[i]), "%08zx", i);
		(void)map_put(a.running, uids[i], uids[i]);
	}
	blank_answer(&a, "n5", &b);
	assert_int_equal(b.len, 0);
	(void)map_remove(a.running, uids[0]);
	blank_answer(&a, "n5", &b);
	assert_true(b.len > 0);
	for (size_t i = 1; i <= WIRE_RUNNING_MAX; i++)
		(void)map_remove(a.running, uids[i]);
	map_free(a.running);
	view_free(a.view);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_it_does_not_name_after_a_boot_is_lost),
		cmocka_unit_test(without_a_known_boot_id_it_is_the_same_boot),
		cmocka_unit_test(its_copies_run_under_their_own_uids), cmocka_unit_test(what_is_malformed_is_not_heard),
		cmocka_unit_test(only_who_has_no_mirror_and_knows_what_runs_answers),
		cmocka_unit_test(more_than_fit_are_not_named_in_part),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
