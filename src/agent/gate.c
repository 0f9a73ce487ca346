/* gate.c — when kubelet's way to the API server is closed
 *
 *   start, reload, mirror in sync   the addresses are gathered anew (gate_list.c)
 *   the link goes offline           the gate closes; in mode observe that is only told
 *   a probe is answered             it opens at once, before two answers in a row make the link online
 *   a probe fails, still offline    it closes again
 *   stop                            it opens; after a kill -9 it opens by itself (node/gate.h)
 *
 * A closed gate draws a breath each GATE_BREATH_MS: it opens for one probe. If we keep somebody out whom our own probe needs
 * (gate_list.c knows the usual cases), that is how we notice that the API server is back.
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

static void close_it(struct agent *a)
{
	struct agent_gate *g = &a->gate;
	cleanup(buf_fini) struct buf list = BUF_INIT;
	bool again = gate_is_closed(g->gate);
	size_t destroyed = 0;
	int r = gate_close(g->gate, g->list, g->count, &destroyed);

	if (r != 0) {
		metric_inc(METRIC_GATE_ERRORS);
		if (tell_first(a))
			log_error(LOG_NODE, r == GATE_E_HANGING ? "gate closed only half" : "gate not closed", "fault=\"%s\"",
				  str_or(gate_fault(g->gate), ""));
	}
	if (!gate_is_closed(g->gate) || (again && r != 0))
		return;
	note_state(a);
	gate_list_format(g->list, g->count, &list);
	tell(a, &(struct tale){ .event = "gate closed", .node = a->self }, "addresses=\"%s\" connections_ended=%zu", list.data,
	     destroyed);
}

static void shut(struct agent *a)
{
	cleanup(buf_fini) struct buf list = BUF_INIT;

	if (a->conf->kubelet_gate == CONF_GATE_OFF || (a->gate.gate && !gate_can_close(a->gate.gate)))
		return;
	gate_list_gather(a);
	if (a->gate.count == 0) {
		if (tell_first(a))
			log_warn(LOG_NODE, "gate not closed", "there is no address to close: kubelet may hang");
	} else if (a->gate.gate) {
		close_it(a);
	} else if (tell_first(a)) {
		gate_list_format(a->gate.list, a->gate.count, &list);
		metric_inc(METRIC_EFFECTS_OBSERVED);
		tell(a, &(struct tale){ .event = "would act", .node = a->self }, "action=\"close the gate\" addresses=\"%s\"",
		     list.data);
	}
}

static void reopen(struct agent *a, const char *reason)
{
	int r;

	if (!a->gate.gate || !gate_is_closed(a->gate.gate))
		return;
	r = gate_open(a->gate.gate);
	note_state(a);
	if (r != 0) {
		metric_inc(METRIC_GATE_ERRORS);
		log_error(LOG_NODE, "gate not opened", "fault=\"%s\": it opens by itself within %d s",
			  str_or(gate_fault(a->gate.gate), ""), GATE_EXPIRY_S);
	}
	tell(a, &(struct tale){ .event = "gate opened", .node = a->self }, "reason=\"%s\"", reason);
}

void agent_gate_on_link(struct agent *a)
{
	if (a->link.state == LINK_OFFLINE) {
		a->gate.told = false;
		if (a->gate.gate && !gate_can_close(a->gate.gate))
			metric_inc(METRIC_GATE_ERRORS);		/* said at the start */
		shut(a);
	} else if (a->link.state == LINK_ONLINE) {
		reopen(a, "online");
	}
}

void agent_gate_on_probe(struct agent *a, bool answered)
{
	bool closed = a->gate.gate && gate_is_closed(a->gate.gate);

	if (answered) {
		gate_list_note_server(a);
		reopen(a, "the API server answers");
	} else if (a->link.state == LINK_OFFLINE && !closed) {
		shut(a);
	} else if (closed && mono_since_ms(loop_now(a->loop), a->gate.since) >= GATE_BREATH_MS) {
		reopen(a, "a breath, in case somebody we depend on is kept out");
	}
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
	gate_list_recall(a);
	apply(a);
	gate_list_gather(a);
	note_state(a);
}

/* Different addresses take effect now when it is closed, and at the next failed probe when it could be. */
void agent_gate_reload(struct agent *a)
{
	struct endpoint before[GATE_ENDPOINTS_MAX];
	size_t n = a->gate.count;
	bool changed;

	memcpy(before, a->gate.list, sizeof(before));
	a->gate.told = a->gate.told_name = false;
	apply(a);
	gate_list_gather(a);
	changed = n != a->gate.count;
	for (size_t i = 0; !changed && i < n; i++)
		changed = !endpoint_eq(&before[i], &a->gate.list[i]);
	if (!a->gate.gate || !gate_is_closed(a->gate.gate) || !changed)
		return;
	if (a->gate.count)
		close_it(a);
	else
		reopen(a, "configuration");
}

void agent_gate_free(struct agent *a)
{
	op_cancelp(&a->gate.fetch);
	reopen(a, "stopping");
	gate_free(take(a->gate.gate));
}

/* ---- telling ---- */

/* A closed gate refuses kubelet's calls at once; so does an API server that is only not running. Half closed (what hung before
 * hangs on) it is no help. */
int64_t agent_gate_hang_ms(const struct agent *a)
{
	bool shut_well = a->gate.gate && gate_is_closed(a->gate.gate) && !gate_fault(a->gate.gate);

	return a->link_hangs && !shut_well ? GATE_HANG_MS : 0;
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
	char text[ENDPOINT_TEXT_SIZE];

	for (size_t i = 0; i < a->gate.count; i++) {
		endpoint_format(&a->gate.list[i], text);
		json_append_str(list, text);
	}
	json_set_str(o, "state", state_name(a));
	(void)snprintf(text, sizeof(text), "%zu address%s of the API server known", a->gate.count, a->gate.count == 1 ? "" : "es");
	json_set_str(o, "note", fault ? fault : text);
	json_set(o, "addresses", list);
	json_set_i64(o, "hangMs", agent_gate_hang_ms(a));
	return o;
}
