/* gate.c — when kubelet's way to the API server is closed
 *
 *   something of ours starts or ends    it closes: offline, and for the addresses that swallow what is sent to them, only
 *   it is proven, or takes too long     it opens, though the outage goes on: closed for long it makes kubelet's client
 *                                       back off, and the node would come back half a minute after the uplink
 *   any address answers, link changes   it opens at once
 *   stop                                it opens; after a kill -9 it opens by itself (node/gate.h)
 *
 * At most GATE_START_MS for a start, GATE_END_MS for a removal, GATE_BUDGET_MS of any GATE_WINDOW_MS. In mode observe it
 * is only told.
 *
 * Failures are told once an outage and counted; readiness tells what cannot work at all.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent_int.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "ways.h"

/* ---- closing and opening ---- */

static void note_state(struct agent *a)
{
	bool closed = a->gate.gate && gate_is_closed(a->gate.gate);

	a->gate.since = loop_now(a->loop);
	metric_set(METRIC_GATE_CLOSED, 0, closed);
}

/* Once an outage; false: it was told before. */
static bool tell_first(struct agent *a)
{
	bool first = !a->gate.told;

	a->gate.told = true;
	return first;
}

static void on_renew(void *arg, const char *fault)
{
	(void)arg;
	if (fault) {
		metric_inc(METRIC_GATE_ERRORS);
		log_error(LOG_NODE, "gate not renewed", "fault=\"%s\": tried again in %d ms", fault, GATE_RENEW_MS);
	} else {
		log_info(LOG_NODE, "gate renewed again", "%s", "");
	}
}

static bool is_closed(const struct agent *a)
{
	return a->gate.gate && gate_is_closed(a->gate.gate);
}

static void reopen(struct agent *a, const char *reason)
{
	struct agent_gate *g = &a->gate;
	int r;

	for (int i = 0; i < GATE_NEEDS; i++)
		g->until[i] = (struct mono){ 0 };
	if (!is_closed(a))
		return;
	timer_stop(g->timer);
	g->spells[(g->spell_count - 1) % GATE_SPELLS_MAX].to = loop_now(a->loop);
	r = gate_open(g->gate);
	note_state(a);
	if (r != 0) {
		metric_inc(METRIC_GATE_ERRORS);
		log_error(LOG_NODE, "gate not opened", "fault=\"%s\": it opens by itself within %d s",
			  str_or(gate_fault(g->gate), ""), GATE_EXPIRY_S);
	}
	tell(a, &(struct tale){ .event = "gate opened", .node = a->self }, "reason=\"%s\"", reason);
}

/* How long it has been closed in the window that ends now. */
static int64_t spent_ms(const struct agent *a)
{
	const struct agent_gate *g = &a->gate;
	struct mono now = loop_now(a->loop), begin = mono_add_ms(now, -GATE_WINDOW_MS);
	size_t kept = g->spell_count < GATE_SPELLS_MAX ? g->spell_count : GATE_SPELLS_MAX;
	int64_t ms = 0;

	for (size_t i = 0; i < kept; i++) {
		struct mono from = g->spells[i].from;
		struct mono to = mono_is_set(g->spells[i].to) ? g->spells[i].to : now;

		if (to.ns > begin.ns)
			ms += mono_since_ms(to, from.ns > begin.ns ? from : begin);
	}
	return ms;
}

static bool has_spell_left(const struct agent *a)
{
	const struct agent_gate *g = &a->gate;
	struct mono oldest = g->spells[g->spell_count % GATE_SPELLS_MAX].from;

	return g->spell_count < GATE_SPELLS_MAX || mono_since_ms(loop_now(a->loop), oldest) > GATE_WINDOW_MS;
}

static void close_it(struct agent *a, const struct endpoint *list, size_t n)
{
	struct agent_gate *g = &a->gate;
	cleanup(buf_fini) struct buf text = BUF_INIT;
	bool again = gate_is_closed(g->gate);
	size_t destroyed = 0;
	int r = gate_close(g->gate, list, n, &destroyed);

	if (r != 0) {
		metric_inc(METRIC_GATE_ERRORS);
		if (tell_first(a))
			log_error(LOG_NODE, r == GATE_E_HANGING ? "gate closed only half" : "gate not closed", "fault=\"%s\"",
				  str_or(gate_fault(g->gate), ""));
	}
	if (!gate_is_closed(g->gate) || again)
		return;
	g->spells[g->spell_count % GATE_SPELLS_MAX].from = loop_now(a->loop);
	g->spells[g->spell_count++ % GATE_SPELLS_MAX].to = (struct mono){ 0 };
	note_state(a);
	ways_format(list, n, &text);
	tell(a, &(struct tale){ .event = "gate closed", .node = a->self }, "addresses=\"%s\" connections_ended=%zu", text.data,
	     destroyed);
}

void agent_gate_need(struct agent *a, enum gate_need need)
{
	static const int64_t limits[] = { [GATE_FOR_START] = GATE_START_MS, [GATE_FOR_END] = GATE_END_MS };
	struct agent_gate *g = &a->gate;
	struct mono now = loop_now(a->loop), until = mono_add_ms(now, limits[need]);
	struct endpoint list[WAYS_MAX];
	int64_t left = GATE_BUDGET_MS - spent_ms(a);
	size_t n;

	if (a->link.state != LINK_OFFLINE || !g->gate || !gate_can_close(g->gate))
		return;
	n = ways_to_close(a, list);
	if (!n)
		return;
	if (!is_closed(a) && (left <= 0 || !has_spell_left(a))) {
		if (tell_first(a))
			log_warn(LOG_NODE, "gate not closed", "it was closed for %d s of the last %d: kubelet may hang",
				 GATE_BUDGET_MS / 1000, GATE_WINDOW_MS / 1000);
		return;
	}
	close_it(a, list, n);
	if (!is_closed(a))
		return;
	g->until[need] = until;
	for (int i = 0; i < GATE_NEEDS; i++)
		until = until.ns > g->until[i].ns ? until : g->until[i];
	timer_start_at(g->timer, mono_min(until, mono_add_ms(now, left > 0 ? left : 1)));
}

void agent_gate_over(struct agent *a, enum gate_need need)
{
	struct agent_gate *g = &a->gate;

	g->until[need] = (struct mono){ 0 };
	for (int i = 0; i < GATE_NEEDS; i++)
		if (mono_is_set(g->until[i]))
			return;
	reopen(a, "done");
}

static void on_timer(void *arg)
{
	reopen(arg, "it has taken too long");
}

void agent_gate_observe(struct agent *a)
{
	struct endpoint list[WAYS_MAX];
	cleanup(buf_fini) struct buf text = BUF_INIT;
	size_t n = ways_to_close(a, list);

	if (a->conf->kubelet_gate == CONF_GATE_OFF || a->link.state != LINK_OFFLINE || !n || !tell_first(a))
		return;
	ways_format(list, n, &text);
	metric_inc(METRIC_EFFECTS_OBSERVED);
	tell(a, &(struct tale){ .event = "would act", .node = a->self }, "action=\"close the gate\" addresses=\"%s\"", text.data);
}

void agent_gate_on_link(struct agent *a)
{
	if (a->link.state != LINK_OFFLINE) {
		reopen(a, link_state_name(a->link.state));
		return;
	}
	a->gate.told = false;
	if (a->gate.gate && !gate_can_close(a->gate.gate))
		metric_inc(METRIC_GATE_ERRORS);		/* said at the start */
	if (copies_any(a, COPY_STARTING))		/* of before a restart of ours */
		agent_gate_need(a, GATE_FOR_START);
}

void agent_gate_on_answer(struct agent *a)
{
	reopen(a, "the API server answers");
}

/* ---- life ---- */

/* Bring the handle in line with the configuration. */
static void adjust(struct agent *a)
{
	bool wanted = a->conf->kubelet_gate != CONF_GATE_OFF && agent_may_act(a);
	const struct gate_conf conf = { .loop = a->loop, .on_renew = on_renew, .arg = a };
	const char *fault;

	if (!wanted) {
		reopen(a, "configuration");
		gate_free(take(a->gate.gate));
		return;
	}
	if (a->gate.gate)
		return;
	a->gate.gate = gate_new(&conf);
	note_state(a);
	fault = gate_fault(a->gate.gate);
	if (!fault)
		return;
	metric_inc(METRIC_GATE_ERRORS);
	if (a->conf->kubelet_gate == CONF_GATE_ON)
		log_error(LOG_NODE, "gate", "kubelet.gate is on, but: %s", fault);
	else
		log_warn(LOG_NODE, "gate", "%s: while the uplink is cut kubelet may hang before it starts a pod", fault);
}

/* Asked for by name and impossible: nothing is ready then. */
static void apply(struct agent *a)
{
	bool unable;

	adjust(a);
	unable = a->conf->kubelet_gate == CONF_GATE_ON && a->gate.gate && !gate_can_close(a->gate.gate);
	agent_set_node_fault(a, NODE_FAULT_GATE,
			     unable ? "the gate cannot be closed: kubelet may hang while the uplink is cut" : NULL);
	readiness_soon(a);
}

void agent_gate_start(struct agent *a)
{
	a->gate.timer = timer_new(a->loop, "gate", on_timer, a);
	apply(a);
	note_state(a);
}

void agent_gate_reload(struct agent *a)
{
	a->gate.told = false;
	apply(a);
}

void agent_gate_free(struct agent *a)
{
	if (a->gate.timer)
		reopen(a, "stopping");
	gate_free(take(a->gate.gate));
	timer_free(take(a->gate.timer));
}

/* ---- telling ---- */

/* A closed gate refuses kubelet's calls at once; so does an address where nobody listens. Half closed (what hung before
 * hangs on) it is no help, and an API server that accepts and does not answer is none either. */
int64_t agent_gate_hang_ms(const struct agent *a)
{
	bool shut_well = is_closed(a) && !gate_fault(a->gate.gate);

	bool may_hang = a->link.state != LINK_ONLINE && (a->link.state != LINK_OFFLINE || ways_any_silent(a));

	return may_hang && !shut_well ? GATE_HANG_MS : 0;
}

static const char *state_name(const struct agent *a)
{
	if (a->conf->kubelet_gate == CONF_GATE_OFF)
		return "off";
	if (!a->gate.gate)
		return "observing";
	if (!gate_can_close(a->gate.gate))
		return "unable";
	return gate_is_closed(a->gate.gate) ? "closed" : "open";
}

bool agent_gate_is_fine(const struct agent *a, bool *out_degraded, const char **out_note)
{
	const char *fault = a->gate.gate ? gate_fault(a->gate.gate) : NULL;

	*out_note = fault ? fault : state_name(a);
	*out_degraded = fault != NULL;
	return !fault || a->conf->kubelet_gate != CONF_GATE_ON;
}

json_object *agent_gate_json(const struct agent *a)
{
	json_object *o = json_new_object(), *list = json_new_array();
	const char *fault = a->gate.gate ? gate_fault(a->gate.gate) : NULL;
	struct endpoint silent[WAYS_MAX];
	size_t n = ways_to_close(a, silent);
	char text[ENDPOINT_TEXT_SIZE];

	for (size_t i = 0; i < n; i++) {
		endpoint_format(&silent[i], text);
		json_append_str(list, text);
	}
	json_set_str(o, "state", state_name(a));
	(void)snprintf(text, sizeof(text), "%zu address%s would be closed now", n, n == 1 ? "" : "es");
	json_set_str(o, "note", fault ? fault : text);
	json_set(o, "addresses", list);
	json_set_i64(o, "hangMs", agent_gate_hang_ms(a));
	return o;
}
