/* think.c — facts together, a plan out of heal/, each action to the one who can do it
 *
 * agent_may_act() is the only function that looks at `mode: observe`. In that mode an effect is told and counted, and nothing else
 * happens. Probes and witness questions are no effects, they only ask.
 */
#include <stdlib.h>

#include "agent_int.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "freshness.h"

/* ---- the clock ---- */

static void tilt(struct agent *a, const char *why, int64_t ms)
{
	a->tilted_until = mono_add_ms(loop_now(a->loop), TILT_MS);
	metric_inc(METRIC_TILT);
	tell(a, &(struct tale){ .event = "tilt", .node = a->self }, "reason=\"%s\" by_ms=%lld observing_for_ms=%d", why,
	     (long long)ms, TILT_MS);
}

/* How long this machine has slept since its boot: the monotonic clock stands still then. */
int64_t think_slept_ms(void)
{
	return boottime_read_ms() - mono_read().ns / NS_PER_MS;
}

/* A suspend is noticed with the first answer of the agent after it, not with the next thing that is due: timers stood still. */
bool think_has_slept(const struct agent *a)
{
	return mono_is_set(a->last_tick) && think_slept_ms() - a->boot_offset_ms > SLEEP_MIN_MS;
}

/* A step of the wall clock, a suspend, or a process that was stopped: what we believe may be old. A lease has run on meanwhile,
 * however short the sleep was. */
void think_note_clock(struct agent *a)
{
	struct mono now = loop_now(a->loop), until = heal_lease_until(a->heal);
	int64_t wall = loop_wall(a->loop).ns - now.ns, boot = think_slept_ms();
	int64_t step = (wall - a->wall_offset_ns) / NS_PER_MS, slept = boot - a->boot_offset_ms;
	bool first = !mono_is_set(a->last_tick);

	a->wall_offset_ns = wall;
	a->boot_offset_ms = boot;
	a->last_tick = now;
	if (first)
		return;
	if (mono_is_set(until) && slept > SLEEP_MIN_MS)
		heal_set_lease(a->heal, mono_add_ms(until, -slept));
	if (llabs(slept) > TILT_STEP_MS)
		tilt(a, "suspend", slept);
	else if (llabs(step) > TILT_STEP_MS)
		tilt(a, "clock step", step);
}

/* ---- effects and questions ---- */

bool agent_may_act(const struct agent *a)
{
	return a->conf->mode != CONF_MODE_OBSERVE;
}

static bool is_question(enum action_kind k)
{
	switch (k) {
	case ACTION_PROBE:
	case ACTION_WITNESS:
	case ACTION_REFUSE:
	case ACTION_READ_LEASE:
	case ACTION_ASK_MINE:
	case ACTION_ASK_GRANT:
	case ACTION_ASK_FENCE:
	case ACTION_ASK_RUNS:
	case ACTION_ASK_UNUSED:
	case ACTION_ASK_BLANK:
	case ACTION_ASK_FATE:
		return true;
	default:
		return false;
	}
}

static void name_pod(const struct agent *a, const struct action *act, struct tale *t)
{
	const struct pod *p = view_pod(a->view, act->pod_uid);
	const struct copy *c = map_get(a->copies, act->pod_uid);

	t->ns = p ? p->ns : c ? c->ns : NULL;
	t->pod = p ? p->name : c ? c->name : act->pod_uid;
	t->uid = act->pod_uid;
	t->node = act->node;
}

/* What would be done again with every tick is told once, until the link changes. */
static bool was_told(struct agent *a, const struct action *act)
{
	char *key = str_format("%s %s", action_name(act->kind), act->pod_uid[0] ? act->pod_uid : str_or(act->node, ""));

	if (map_get(a->observed, key) || map_count(a->observed) >= OBSERVED_MAX) {
		free(key);
		return true;
	}
	(void)map_put(a->observed, key, key);
	return false;
}

void observed_clear(struct agent *a)
{
	map_for_each(char, key, a->observed) {
		(void)map_remove(a->observed, key);
		free(key);
	}
}

static void observe(struct agent *a, const struct action *act)
{
	struct tale t = { .event = "would act" };
	struct copy *c = map_get(a->copies, act->pod_uid);

	if ((c && c->told) || was_told(a, act))
		return;
	if (c)
		c->told = true;
	name_pod(a, act, &t);
	metric_inc(METRIC_EFFECTS_OBSERVED);
	tell(a, &t, "action=%s rank=%u epoch=%u reason=\"%s\"", action_name(act->kind), act->rank, act->epoch, act->reason);
	if (act->kind == ACTION_RESTORE)
		agent_gate_observe(a);
	heal_on_observed(a->heal, act->pod_uid);
}

static void refuse(struct agent *a, const struct action *act)
{
	struct tale t = { .event = "refused", .kube_reason = "RestoreRefused", .warning = true };

	name_pod(a, act, &t);
	metric_add(METRIC_REFUSED, act->node ? 1 : 0, 1);
	tell(a, &t, "reason=\"%s\"", act->reason);
}

static void execute_one(struct agent *a, const struct action *act)
{
	switch (act->kind) {
	case ACTION_PROBE:
		witness_dial(a, act->node);
		break;
	case ACTION_WITNESS:
		witness_ask(a, act->node);
		break;
	case ACTION_BIND:
		effect_bind(a, act);
		break;
	case ACTION_REPLACE:
		effect_replace(a, act);
		break;
	case ACTION_WITHDRAW:
	case ACTION_DROP:
		copy_end(a, act);
		break;
	case ACTION_REFUSE:
		refuse(a, act);
		break;
	case ACTION_EVICT:
		effect_evict(a, act);
		break;
	case ACTION_TAINT:
	case ACTION_UNTAINT:
		node_taint(a, act);
		break;
	case ACTION_READ_LEASE:
		node_read_lease(a, act->node);
		break;
	case ACTION_STOP:
		hold_stop(a, act);
		break;
	case ACTION_RESUME:
		hold_resume(a, act);
		break;
	case ACTION_ASK_MINE:
		ask_mine(a);
		break;
	case ACTION_ASK_GRANT:
		ask_grant(a, act);
		break;
	case ACTION_ASK_FENCE:
		ask_fence(a, act);
		break;
	case ACTION_ASK_RUNS:
		ask_runs(a);
		break;
	case ACTION_ASK_UNUSED:
		ask_unused(a, act);
		break;
	case ACTION_ASK_BLANK:
		ask_blank(a, act->node);
		break;
	case ACTION_ASK_FATE:
		ask_fate(a);
		break;
	case ACTION_RESTORE:		/* collected: all of one plan are written together */
		break;
	}
}

static void plan_execute(struct agent *a, const struct plan *plan)
{
	cleanup(freep) const struct action **restores = plan->count ? mem_new_n(const struct action *, plan->count) : NULL;
	size_t n = 0;

	for (size_t i = 0; i < plan->count; i++) {
		const struct action *act = &plan->items[i];

		if (removal_is_under_way(a)) {
			if (act->kind == ACTION_RESTORE)
				heal_on_restore_failed(a->heal, act->pod_uid, loop_now(a->loop));
			continue;
		}
		if (!is_question(act->kind) && !agent_may_act(a))
			observe(a, act);
		else if (act->kind == ACTION_RESTORE)
			restores[n++] = act;
		else
			execute_one(a, act);
	}
	if (n)
		copies_restore(a, restores, n);
}

/* ---- thinking ---- */

/* Who says against a majority that he sees it: a liar, or somebody with a view of his own. Either is to be looked into. */
static void note_dissenters(struct agent *a, const struct suspect_view *s)
{
	for (size_t i = 0; i < s->dissenter_count; i++) {
		metric_inc(METRIC_WITNESS_OVERRULED);
		tell(a, &(struct tale){ .event = "witness overruled", .kube_reason = "WitnessOverruled", .warning = true,
					.node = s->dissenters[i] }, "says=\"it sees %s\" found=lost", s->node);
	}
}

static void note_suspect(void *arg, const struct suspect_view *s)
{
	struct agent *a = arg;
	struct peer *p = (struct peer *)(uintptr_t)peers_find(&a->peers, s->node);

	if (s->healer_dead.ns == loop_now(a->loop).ns)
		tell(a, &(struct tale){ .event = "healer dead", .kube_reason = "HealerDead", .warning = true, .node = s->node },
		     "note=\"its kubelet answers, its healer and its serf do not: nothing is started for it\"");
	if (s->state != SUSPECT_LOST || s->since.ns != loop_now(a->loop).ns)
		return;
	note_dissenters(a, s);
	if (p)
		metric_observe(METRIC_STAGE_DETECT, 0, (double)mono_since_ms(s->since, p->status_since) / 1e3);
	tell(a, &(struct tale){ .event = "node lost", .kube_reason = "NodeLost", .warning = true, .node = s->node },
	     "note=\"%s\"", s->note);
}

static void note_breaker(struct agent *a)
{
	bool open = heal_breaker_is_open(a->heal);

	metric_set(METRIC_BREAKER_OPEN, 0, open);
	if (open == a->breaker_told)
		return;
	a->breaker_told = open;
	tell(a, &(struct tale){ .event = open ? "breaker open" : "breaker closed",
				.kube_reason = open ? "BreakerOpen" : "BreakerClosed", .warning = open, .node = a->self },
	     "budget.max_lost_nodes=%d%%", (int)a->conf->budget_max_lost_nodes);
}

void think_now(struct agent *a)
{
	struct tick t = { .now = loop_now(a->loop) };
	struct heal_facts f = {
		.view = a->view, .peers = &a->peers, .copies = a->copies,
		.link = link_for_healing(a->link.state), .link_since = a->link.since,
		.synced_at = a->synced_at, .local_free = local_free(a), .mirror_version = freshness_stamp(a),
		.wall = loop_wall(a->loop), .cold_boot = a->cold_boot, .gateway = a->gateway, .running = a->running,
		.running_at = a->running_at, .stopped = a->stopped,
	};
	struct plan plan = { 0 };

	think_note_clock(a);
	t.tilted = freshness_is_rewound(a) || (mono_is_set(a->tilted_until) && !mono_reached(t.now, a->tilted_until));
	heal_tick(a->heal, &t, &f, &a->plan);
	local_save_lease(a);
	(void)fences_save(a);
	heal_each_suspect(a->heal, note_suspect, a);
	note_breaker(a);
	/* Executing may make us think again: keep this plan apart. */
	plan = a->plan;
	a->plan = (struct plan){ .next_due = plan.next_due };
	plan_execute(a, &plan);
	plan_fini(&plan);
	if (t.tilted && !freshness_is_rewound(a))
		a->plan.next_due = mono_min(a->plan.next_due, a->tilted_until);
	if (mono_is_set(a->plan.next_due) && !timer_is_running(a->think_timer))
		timer_start_at(a->think_timer, a->plan.next_due);
}

void think_soon(struct agent *a)
{
	timer_start_ms(a->think_timer, 0);
}

void think_within(struct agent *a, int64_t ms)
{
	struct mono due = mono_add_ms(loop_now(a->loop), ms);

	if (!timer_is_running(a->think_timer) || timer_due(a->think_timer).ns > due.ns)
		timer_start_at(a->think_timer, due);
}
