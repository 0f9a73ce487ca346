/* way_probe.c — looking at the ways to the API server, each for itself and one handshake at a time
 *
 *   all is well     the way in use when nothing was heard for WAY_QUIET × kube.probe; the others now and then
 *   in doubt        (suspect, offline) all of them, kube.probe after the last try began
 *
 * How long a probe may take is not how often it is made: WAY_ANSWER_MS at least, longer where answers came later than
 * that. A late answer still counts when it comes, and teaches how late answers may be.
 */
#include <stdlib.h>

#include "base/log.h"
#include "ways.h"

#define LATER 2           /* an answer may be twice as late as the latest before it */
#define FORGET_PERCENT 90 /* of the latest, with each that is earlier */

static int64_t at_least(int64_t ms, int64_t least)
{
	return ms > least ? ms : least;
}

/* Later than this an answer is unusual: time to look at the other ways. */
static int64_t doubt_ms(const struct way *w)
{
	return at_least(LATER * w->slowest_ms, w->a->conf->kube_probe_ms);
}

static int64_t answer_ms(const struct way *w)
{
	int64_t ms = at_least(LATER * w->slowest_ms, WAY_ANSWER_MS);

	return ms < WAY_PATIENCE_MS ? ms : WAY_PATIENCE_MS;
}

static bool is_in_doubt(const struct agent *a)
{
	return a->link.state == LINK_SUSPECT || a->link.state == LINK_OFFLINE;
}

/* ---- when ---- */

static struct mono quiet_until(const struct way *w)
{
	struct mono heard = kube_client_heard(w->a->kube), last = heard.ns > w->judged.ns ? heard : w->judged;

	return mono_add_ms(last, WAY_QUIET * w->a->conf->kube_probe_ms);
}

static struct mono next_probe(const struct way *w)
{
	struct agent *a = w->a;
	int64_t ms = mono_is_set(a->link.errors_since) ? WAY_TROUBLE_MS : WAY_OTHERS_MS;

	if (w->state == WAY_UNTRIED)
		return loop_now(a->loop);
	if (is_in_doubt(a))
		return mono_add_ms(w->began, loop_jitter_ms(a->loop, a->conf->kube_probe_ms));
	if (w == a->ways->used)
		return quiet_until(w);
	if (w->source == WAY_OWN)
		ms = WAY_BACK_MS;
	return mono_add_ms(w->judged, loop_jitter_ms(a->loop, ms));
}

static void schedule(struct way *w)
{
	struct mono due = next_probe(w);

	if (w->probe) {
		int64_t ms = w->overdue ? WAY_PATIENCE_MS : w->doubted ? answer_ms(w) : doubt_ms(w);

		due = mono_add_ms(w->began, ms);
	}
	timer_start_at(w->timer, due);
}

/* ---- verdicts ---- */

static void judge(struct way *w, enum way_state state, const char *reason)
{
	struct mono now = loop_now(w->a->loop);

	if (state != WAY_ANSWERS) {
		w->answering_since = (struct mono){0};
		w->failures++;
	} else if (w->state != WAY_ANSWERS) {
		w->answering_since = now;
		w->failures = 0;
	}
	if (w->state != state || !str_eq(w->reason, reason))
		log_debug(LOG_KUBE, "way", "host=%s port=%u from=%s state=%s reason=\"%s\"", w->host, w->port,
			  way_source_name(w->source), way_state_name(state), reason);
	w->state = state;
	w->judged = now;
	(void)str_copy(w->reason, sizeof(w->reason), reason);
}

static void learn(struct way *w, int64_t took_ms)
{
	int64_t faded = w->slowest_ms * FORGET_PERCENT / 100;

	w->slowest_ms = took_ms > faded ? took_ms : faded;
}

static void on_probed(void *arg, const struct kube_probe_result *r)
{
	static const enum way_state states[] = {[KUBE_PROBE_ANSWERS] = WAY_ANSWERS,
						[KUBE_PROBE_REFUSED] = WAY_FAILS,
						[KUBE_PROBE_STRANGER] = WAY_FAILS,
						[KUBE_PROBE_SILENT] = WAY_SILENT};
	struct way *w = arg;
	bool answers = r->outcome == KUBE_PROBE_ANSWERS, known = w->overdue && !answers;

	w->probe = NULL;
	if (answers) {
		learn(w, mono_since_ms(loop_now(w->a->loop), w->began));
		if (r->at.port)
			w->at = r->at;
	}
	if (!known) { /* else it is what has been said when it was overdue */
		judge(w, states[r->outcome], r->reason);
		uplink_on_way(w, answers);
	}
	schedule(w);
}

/* ---- looking ---- */

void way_probe_now(struct way *w)
{
	const struct kube_route route = {.host = w->host, .port = w->port, .name = w->name, .tls = w->tls};
	bool patient = w->state == WAY_UNTRIED || (w->failures && w->failures % WAY_PATIENT_EVERY == 0);

	if (w->probe)
		return;
	w->began = loop_now(w->a->loop);
	w->doubted = w->overdue = false;
	w->probe = kube_probe(w->a->kube, w->source == WAY_OWN ? NULL : &route,
			      patient ? WAY_PATIENCE_MS : answer_ms(w), on_probed, w);
	schedule(w);
}

static void on_timer(void *arg)
{
	struct way *w = arg;
	int64_t ms = mono_since_ms(loop_now(w->a->loop), w->began);

	if (!w->probe) {
		if (mono_reached(loop_now(w->a->loop), next_probe(w)) || is_in_doubt(w->a))
			way_probe_now(w);
		else
			schedule(w); /* something was heard meanwhile */
		return;
	}
	if (!w->doubted && ms >= doubt_ms(w)) {
		w->doubted = true;
		if (w == w->a->ways->used)
			uplink_on_doubt(w);
	}
	if (!w->overdue && ms >= answer_ms(w)) {
		w->overdue = true;
		judge(w, WAY_SILENT, "no answer in time");
		uplink_on_way(w, false);
	}
	if (w->probe)
		schedule(w);
}

void ways_probe_all(struct agent *a)
{
	list_for_each (w, &a->ways->all, struct way, link)
		way_probe_now(w);
}

void ways_reschedule(struct agent *a)
{
	list_for_each (w, &a->ways->all, struct way, link)
		if (!w->probe)
			schedule(w);
}

void way_answered(struct way *w)
{
	judge(w, WAY_ANSWERS, "");
}

void way_start(struct way *w)
{
	w->timer = timer_new(w->a->loop, "way", on_timer, w);
	schedule(w);
}

void way_stop(struct way *w)
{
	op_cancelp(&w->probe);
	timer_free(take(w->timer));
}

/* ---- all of them ---- */

bool ways_all_fail(const struct agent *a, struct mono since)
{
	list_for_each (w, &a->ways->all, struct way, link)
		if (w->state == WAY_ANSWERS || w->state == WAY_UNTRIED || w->judged.ns < since.ns)
			return false;
	return true;
}

bool ways_any_answers(const struct agent *a)
{
	list_for_each (w, &a->ways->all, struct way, link)
		if (w->state == WAY_ANSWERS)
			return true;
	return false;
}

size_t ways_to_close(const struct agent *a, struct endpoint out[WAYS_MAX])
{
	size_t n = 0;

	list_for_each (w, &a->ways->all, struct way, link)
		if (w->closable && w->state == WAY_SILENT && w->at.port)
			(void)endpoint_add(out, &n, WAYS_MAX, &w->at);
	return n;
}

bool ways_any_silent(const struct agent *a)
{
	if (!a->ways) /* nothing has been tried yet */
		return false;
	list_for_each (w, &a->ways->all, struct way, link)
		if (w->state == WAY_SILENT)
			return true;
	return false;
}
