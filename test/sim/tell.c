/* tell.c — the timeline: what happened to whom, and the verdict */
#include <stdio.h>

#include "sim.h"

enum { LINE_SIZE = 400 };

const char *invariant_name(int invariant)
{
	static const char *const names[] = {
		"it converges", "never on one piece of evidence", "one live claim per lost pod", "at most once never runs twice",
		"make before break", "only what is ours", "only what fits", "a minority is passive, a mass loss trips the breaker",
		"a crash loses nothing and repeats nothing", "mode observe has no effects", "tilted: observe, do not act",
		"an API loss with healthy pods causes no action", "another site is never a loss of ours", "the thinking does not spin",
		"what is lost offline runs again",
	};

	return names[invariant];
}

void tell(struct world *w, int node, const char *fmt, ...)
{
	char line[LINE_SIZE];
	va_list ap;

	if (w->args.quiet)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	printf("%9.3f  %-4s %s\n", (double)w->now / 1e9, node < 0 ? "-" : w->n[node].name, line);
}

void broken(struct world *w, int invariant, const char *fmt, ...)
{
	char what[SIM_REASON / 2];
	va_list ap;

	if (w->broken)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	w->broken = true;
	w->invariant = invariant;
	(void)snprintf(w->reason, sizeof(w->reason), "invariant %d, %s: %s", invariant, invariant_name(invariant), what);
	tell(w, -1, "BROKEN %s", w->reason);
}

const char *fault_text(const struct world *w, const struct fault *f, char *buf, size_t size)
{
	static const char *const names[] = {
		"crash", "api-cut", "api-down", "split", "one-way", "pair", "serf-restart", "flap", "agent-kill", "agent-kill-at-step",
		"clock-jump", "suspend", "slow-kubelet", "refusing-kubelet", "disk-full", "pod-vanishes", "conf", "scale", "rollout",
		"delete", "gateway-lost",
	};
	size_t n = (size_t)snprintf(buf, size, "%s %s", names[f->kind], w->n[f->node].name);

	if (f->kind == FAULT_ONE_WAY || f->kind == FAULT_PAIR)
		n += (size_t)snprintf(buf + n, size - n, " %s", w->n[f->other].name);
	if (f->kind == FAULT_SPLIT)
		n += (size_t)snprintf(buf + n, size - n, " mask=%x", f->mask);
	if (f->n)
		n += (size_t)snprintf(buf + n, size - n, " n=%lld", (long long)f->n);
	if (f->for_ns)
		(void)snprintf(buf + n, size - n, " for %.1f s", (double)f->for_ns / 1e9);
	return buf;
}
