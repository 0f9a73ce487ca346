/* test_heal_goodbye.c — a healer said that it goes: its loss is delayed, once, and no longer than it takes to see that it is down */
#include "heal_rig.h"

#define STEP_MS 50
#define FOREVER_MS (3 * HEAL_GOODBYE_MS)
#define SLACK_MS 1000			/* a probe, the question to the peers, their answers */

/* Five nodes, n5 fails: every probe of it is answered by `answer`, and everybody confirms. */
struct scene {
	struct rig g;
	enum probe_answer answer;
	int64_t again_ms;		/* somebody sends its goodbye this often; 0 = nobody does */
};

static void begin(struct scene *s, enum probe_answer answer)
{
	*s = (struct scene){ .answer = answer };
	rig_init(&s->g, 5);
	rig_tick(&s->g);
}

static void fail_n5(struct scene *s)
{
	rig_status(&s->g, "n5", PEER_FAILED);
	rig_tick(&s->g);
}

static void step(struct scene *s)
{
	struct rig *g = &s->g;

	if (rig_find(g, ACTION_PROBE, "n5"))
		heal_on_probe(g->heal, "n5", s->answer, g->now);
	if (rig_find(g, ACTION_WITNESS, "n5")) {
		rig_voice(g, "n5", "n2", false);
		rig_voice(g, "n5", "n3", false);
		rig_voice(g, "n5", "n4", false);
		heal_on_witness_end(g->heal, "n5");
	}
	rig_after(g, STEP_MS);
}

/* After so long it is lost; -1 = not within most_ms. */
static int64_t lost_after_ms(struct scene *s, int64_t most_ms)
{
	struct mono began = s->g.now;
	struct suspect_view v;

	for (int64_t ms = 0; ms < most_ms; ms += STEP_MS) {
		if (s->again_ms && ms % s->again_ms == 0)
			heal_on_goodbye(s->g.heal, "n5", GOODBYE_STOPPING, s->g.now);
		step(s);
		if (rig_view(&s->g, "n5", &v) && v.state == SUSPECT_LOST)
			return mono_since_ms(s->g.now, began);
	}
	return -1;
}

static int64_t silence_ms(const struct scene *s)
{
	return HEAL_GOODBYE_SILENT * s->g.conf.node_grace_ms;
}

static void without_one_a_dead_node_is_lost_after_its_grace(void **state)
{
	struct scene s;

	(void)state;
	begin(&s, PROBE_SILENT);
	fail_n5(&s);
	assert_in_range(lost_after_ms(&s, FOREVER_MS), s.g.conf.node_grace_ms, s.g.conf.node_grace_ms + SLACK_MS);
	rig_fini(&s.g);
}

static void who_is_down_after_it_is_lost_once_its_ports_were_silent_long_enough(void **state)
{
	struct suspect_view v;
	struct scene s;

	(void)state;
	begin(&s, PROBE_SILENT);
	heal_on_goodbye(s.g.heal, "n5", GOODBYE_STOPPING, s.g.now);
	fail_n5(&s);
	assert_int_equal(lost_after_ms(&s, silence_ms(&s) - SLACK_MS), -1);
	assert_true(rig_view(&s.g, "n5", &v));
	assert_non_null(strstr(v.note, "goodbye"));
	assert_in_range(lost_after_ms(&s, FOREVER_MS), STEP_MS, 2 * SLACK_MS);
	rig_fini(&s.g);
}

/* A machine shuts down: kubelet goes last. The silence counts from then. */
static void the_silence_counts_from_the_last_answer(void **state)
{
	struct scene s;

	(void)state;
	begin(&s, PROBE_SILENT);
	s.g.conf.node_grace_ms = 4000;
	rig_reconf(&s.g);
	assert_true(silence_ms(&s) > HEAL_FLAP_MS + 2 * SLACK_MS);	/* it is not that which delays */
	heal_on_goodbye(s.g.heal, "n5", GOODBYE_STOPPING, s.g.now);
	fail_n5(&s);
	assert_int_equal(lost_after_ms(&s, silence_ms(&s) - 2 * SLACK_MS), -1);
	s.answer = PROBE_KUBELET;
	assert_int_equal(lost_after_ms(&s, 20000), -1);
	s.answer = PROBE_SILENT;
	assert_in_range(lost_after_ms(&s, FOREVER_MS), silence_ms(&s), silence_ms(&s) + HEAL_REFUTED_RETRY_MS + SLACK_MS);
	rig_fini(&s.g);
}

/* Where node_grace is long the minute is over first. */
static void it_is_good_for_a_minute_at_most(void **state)
{
	static const int64_t again_ms[] = { 0, STEP_MS, 10000 };	/* replayed or forged meanwhile: no longer */

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(again_ms); i++) {
		struct scene s;
		int64_t at = -1, ms = 0;

		begin(&s, PROBE_SILENT);
		heal_on_goodbye(s.g.heal, "n5", GOODBYE_STOPPING, s.g.now);
		s.g.conf.node_grace_ms = HEAL_GOODBYE_MS / 2;		/* silent for long enough only after the minute */
		rig_reconf(&s.g);
		s.again_ms = again_ms[i];
		fail_n5(&s);
		at = lost_after_ms(&s, FOREVER_MS);
		ms = HEAL_GOODBYE_MS;
		assert_in_range(at, ms, ms + SLACK_MS);
		rig_fini(&s.g);
	}
}

/* Whoever says it without end for a node that lives, and goes on when it is dead. */
static void one_that_is_forged_delays_each_loss_once(void **state)
{
	struct scene s;

	(void)state;
	begin(&s, PROBE_SILENT);
	for (int64_t ms = 0; ms < FOREVER_MS; ms += 10000) {
		heal_on_goodbye(s.g.heal, "n5", GOODBYE_STOPPING, s.g.now);
		rig_after(&s.g, 10000);
	}
	s.again_ms = STEP_MS;
	fail_n5(&s);
	assert_in_range(lost_after_ms(&s, FOREVER_MS), STEP_MS, silence_ms(&s) + SLACK_MS);
	assert_int_equal(rig_suspect(&s.g, "n5"), SUSPECT_LOST);
	heal_on_goodbye(s.g.heal, "n5", GOODBYE_STOPPING, s.g.now);	/* what is lost stays so */
	step(&s);
	assert_int_equal(rig_suspect(&s.g, "n5"), SUSPECT_LOST);
	rig_fini(&s.g);
}

static void who_is_back_has_none(void **state)
{
	struct scene s;

	(void)state;
	begin(&s, PROBE_SILENT);
	heal_on_goodbye(s.g.heal, "n5", GOODBYE_STOPPING, s.g.now);
	fail_n5(&s);
	for (int i = 0; i < 20; i++)
		step(&s);
	rig_status(&s.g, "n5", PEER_ALIVE);
	step(&s);
	fail_n5(&s);
	assert_in_range(lost_after_ms(&s, FOREVER_MS), s.g.conf.node_grace_ms, s.g.conf.node_grace_ms + SLACK_MS);
	rig_fini(&s.g);
}

static void an_old_one_delays_nothing(void **state)
{
	struct scene s;

	(void)state;
	begin(&s, PROBE_SILENT);
	heal_on_goodbye(s.g.heal, "n5", GOODBYE_STOPPING, s.g.now);
	rig_after(&s.g, HEAL_GOODBYE_MS);
	fail_n5(&s);
	assert_in_range(lost_after_ms(&s, FOREVER_MS), s.g.conf.node_grace_ms, s.g.conf.node_grace_ms + SLACK_MS);
	rig_fini(&s.g);

	begin(&s, PROBE_SILENT);	/* nor does it take the place of one that comes late */
	heal_on_goodbye(s.g.heal, "n5", GOODBYE_STOPPING, s.g.now);
	rig_after(&s.g, HEAL_GOODBYE_MS);
	fail_n5(&s);
	step(&s);
	heal_on_goodbye(s.g.heal, "n5", GOODBYE_STOPPING, s.g.now);
	assert_in_range(lost_after_ms(&s, FOREVER_MS), silence_ms(&s) - SLACK_MS, silence_ms(&s) + SLACK_MS);
	rig_fini(&s.g);
}

/* Of a node that nobody knows, and of one that lives: nothing happens. */
static void one_of_nobody_does_nothing(void **state)
{
	struct scene s;

	(void)state;
	begin(&s, PROBE_SILENT);
	heal_on_goodbye(s.g.heal, "n9", GOODBYE_STOPPING, s.g.now);
	heal_on_goodbye(s.g.heal, "n4", GOODBYE_REMOVAL, s.g.now);
	rig_after(&s.g, STEP_MS);
	assert_int_equal(rig_effects(&s.g), 0);
	fail_n5(&s);
	assert_in_range(lost_after_ms(&s, FOREVER_MS), s.g.conf.node_grace_ms, s.g.conf.node_grace_ms + SLACK_MS);
	rig_fini(&s.g);
}

static void an_operator_at_work_is_no_loss_while_kubelet_shows_itself(void **state)
{
	static const enum goodbye reasons[] = { GOODBYE_ROLLOUT, GOODBYE_REMOVAL };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(reasons); i++) {
		struct scene s;

		begin(&s, PROBE_KUBELET);
		heal_on_goodbye(s.g.heal, "n5", reasons[i], s.g.now);
		fail_n5(&s);
		assert_int_equal(lost_after_ms(&s, FOREVER_MS), -1);
		rig_fini(&s.g);

		begin(&s, PROBE_SILENT);	/* its machine is gone too: no delay */
		heal_on_goodbye(s.g.heal, "n5", reasons[i], s.g.now);
		fail_n5(&s);
		assert_in_range(lost_after_ms(&s, FOREVER_MS), s.g.conf.node_grace_ms, s.g.conf.node_grace_ms + SLACK_MS);
		rig_fini(&s.g);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_one_a_dead_node_is_lost_after_its_grace),
		cmocka_unit_test(who_is_down_after_it_is_lost_once_its_ports_were_silent_long_enough),
		cmocka_unit_test(the_silence_counts_from_the_last_answer),
		cmocka_unit_test(it_is_good_for_a_minute_at_most),
		cmocka_unit_test(one_that_is_forged_delays_each_loss_once),
		cmocka_unit_test(who_is_back_has_none),
		cmocka_unit_test(an_old_one_delays_nothing),
		cmocka_unit_test(one_of_nobody_does_nothing),
		cmocka_unit_test(an_operator_at_work_is_no_loss_while_kubelet_shows_itself),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
