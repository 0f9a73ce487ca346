/* local.c — this machine while the link is away: which pods run here, does the gateway answer
 *
 * Looked at every LOCAL_LOOK_MS while the link is not online (and while pods are frozen: hold.c), never when all is well.
 *
 * A boot without the API server is a cold boot until the mirror has been in sync: only then the boot id is stored.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent_int.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "node/cgroup.h"
#include "node/dial.h"
#include "node/gateway.h"

#define META_LEASE "lease"
#define META_BOOT "boot_id"

static void uids_free(struct map *m)
{
	if (!m)
		return;
	map_for_each(char, uid, m)
		free(uid);
	map_free(m);
}

static void uids_add(struct map *m, const char *uid)
{
	char *own = map_get(m, uid) ? NULL : str_dup(uid);

	if (own)
		(void)map_put(m, own, own);
}

/* ---- where the pod cgroups are ---- */

/* kubelet makes them when it starts, perhaps after us. */
static void find_cgroups(struct agent *a)
{
	int r;

	cgroups_free(take(a->cgroups));
	r = cgroups_find(a->conf->kubelet_cgroup_root, NULL, &a->cgroups);
	if (r == 0) {
		log_info(LOG_NODE, "pod cgroups", "folder=%s", cgroups_folder(a->cgroups));
		agent_set_node_fault(a, NODE_FAULT_CGROUPS, NULL);
		return;
	}
	(void)snprintf(a->cgroups_note, sizeof(a->cgroups_note), "no pod cgroups below kubelet.cgroup_root %s%s%s",
		       a->conf->kubelet_cgroup_root, r == -ENOENT ? "" : ": ", r == -ENOENT ? "" : err_str(r));
	if (!a->node_faults[NODE_FAULT_CGROUPS])
		log_warn(LOG_NODE, "pod cgroups", "%s: no copy can be proven to run, none can be stopped", a->cgroups_note);
	agent_set_node_fault(a, NODE_FAULT_CGROUPS, a->cgroups_note);
	timer_start_ms(a->cgroups_timer, LOCAL_LOOK_MS);
}

static void on_cgroups_due(void *arg)
{
	find_cgroups(arg);
}

void local_reload(struct agent *a)
{
	timer_stop(a->cgroups_timer);
	find_cgroups(a);
}

bool local_is_fine(const struct agent *a, const char **out_note)
{
	*out_note = a->cgroups ? cgroups_folder(a->cgroups) : a->cgroups_note;
	return a->cgroups != NULL;
}

/* ---- which pods run here ---- */

static void on_running(void *arg, const char *uid)
{
	uids_add(arg, uid);
}

static bool same_uids(const struct map *x, const struct map *y)
{
	if (!x || !y || map_count(x) != map_count(y))
		return x == y;
	map_for_each(char, uid, y)
		if (!map_get(x, uid))
			return false;
	return true;
}

static void note_running(struct agent *a, struct map *seen)
{
	struct map *before = a->running;

	if (!same_uids(before, seen))
		think_soon(a);
	a->running = seen;
	metric_set(METRIC_LOCAL_PODS, 0, seen ? (double)map_count(seen) : 0);
	a->running_at = loop_now(a->loop);
	uids_free(before);
}

static void look_at_pods(struct agent *a)
{
	struct map *seen = map_new();
	int r = cgroup_each_pod(a->cgroups, on_running, seen);

	if (r == 0) {
		note_running(a, seen);
		return;
	}
	uids_free(seen);		/* what is not there may only not have been read: nothing is known */
	note_running(a, NULL);
	if (r == -ENOENT)		/* kubelet began anew, perhaps elsewhere */
		find_cgroups(a);
	else if (r != -ENODATA)
		log_warn(LOG_NODE, "pod cgroups cannot be read", "folder=%s error=%s: not known what runs here",
			 cgroups_folder(a->cgroups), err_str(r));
}

/* ---- the gateway ---- */

static size_t site_members(const struct agent *a, size_t *out_alive)
{
	const struct peer *self = peers_find(&a->peers, a->self);
	size_t n = 0;

	*out_alive = 0;
	for (size_t i = 0; self && i < a->peers.count; i++) {
		const struct peer *p = &a->peers.items[i];

		if (p->standing != PEER_MEMBER || p->site != self->site || p->forgotten)
			continue;
		n++;
		*out_alive += p->status == PEER_ALIVE;
	}
	return n;
}

static void on_gateway(void *arg, bool answers)
{
	struct agent *a = arg;
	int before = a->gateway;

	a->gateway_op = NULL;
	a->gateway = answers ? 1 : -1;
	if (a->gateway != before) {
		log_info(LOG_NODE, "gateway", "answers=%d", answers);
		think_soon(a);
	}
}

/* Only where it decides: one of two is away. */
static void look_at_gateway(struct agent *a)
{
	size_t alive;

	if (site_members(a, &alive) != 2 || alive == 2) {
		a->gateway = 0;
		return;
	}
	if (!a->gateway_op)
		a->gateway_op = gateway_probe(a->loop, GATEWAY_TIMEOUT_MS, on_gateway, a);
}

/* ---- healers that are dead while their serf lives ---- */

struct silence {
	struct list link;
	struct agent *a;
	const char *node;
	int misses;
	struct op *op;
};

static struct silence *silence_find(struct agent *a, const char *node)
{
	list_for_each(s, &a->silences, struct silence, link)
		if (s->node == node)
			return s;
	return NULL;
}

static void silence_free(struct silence *s)
{
	op_cancelp(&s->op);
	list_remove(&s->link);
	free(s);
}

static void on_healer(void *arg, bool reachable)
{
	struct silence *s = arg;
	struct agent *a = s->a;

	s->op = NULL;
	s->misses = reachable ? 0 : s->misses + 1;
	if (s->misses == SILENT_MISSES)
		log_warn(LOG_HEAL, "healer is silent", "node=%s: alive in gossip, but its port does not answer", s->node);
	local_mark_silent(a);
	if (!s->misses)
		silence_free(s);
}

/* After every change of the members too. */
void local_mark_silent(struct agent *a)
{
	bool changed = false;

	for (size_t i = 0; i < a->peers.count; i++) {
		const struct silence *s = silence_find(a, a->peers.items[i].name);
		bool silent = s && s->misses >= SILENT_MISSES;

		changed = changed || silent != a->peers.items[i].silent;
		a->peers.items[i].silent = silent;
	}
	if (changed)
		think_soon(a);
}

static void look_at_healers(struct agent *a)
{
	const struct peer *self = peers_find(&a->peers, a->self);
	uint16_t port = witness_http_port(a);

	for (size_t i = 0; self && i < a->peers.count; i++) {
		const struct peer *p = &a->peers.items[i];
		struct silence *s = silence_find(a, p->name);

		if (p == self || p->standing != PEER_MEMBER || p->site != self->site || p->status != PEER_ALIVE ||
		    p->protocol < 1 || (s && s->op))
			continue;
		if (!s) {
			s = mem_new(struct silence);
			*s = (struct silence){ .a = a, .node = p->name };
			list_add_tail(&a->silences, &s->link);
		}
		s->op = dial_start(a->loop, &(struct dial_params){ p->addr, &port, 1, DIAL_TIMEOUT_MS, false }, on_healer, s);
	}
}

/* Nobody counts as silent any more. */
static void silences_clear(struct agent *a)
{
	list_for_each(s, &a->silences, struct silence, link)
		s->misses = 0;
	local_mark_silent(a);
	list_for_each_safe(s, &a->silences, struct silence, link)
		silence_free(s);
}

/* ---- looking ---- */

/* Copies of pods of this node: whether the originals run again is to be seen here. */
static bool has_own_copies(const struct agent *a)
{
	map_for_each(struct copy, c, a->copies)
		if (str_eq(c->lost_node, a->self))
			return true;
	return false;
}

static void on_look(void *arg)
{
	struct agent *a = arg;
	bool away = a->link.state != LINK_ONLINE;

	if (away || has_own_copies(a))
		look_at_pods(a);
	if (away) {
		if (a->looks++ % HEALER_LOOKS == 0)
			look_at_healers(a);
	} else {
		silences_clear(a);
	}
	if (!away && !has_own_copies(a)) {
		uids_free(a->running);
		a->running = NULL;
	}
	look_at_gateway(a);
	kubelet_look(a);
	hold_look(a);
	if (away || map_count(a->stopped) || a->gateway_op || has_own_copies(a))
		timer_start_ms(a->look_timer, LOCAL_LOOK_MS);
}

void local_look_soon(struct agent *a)
{
	if (!timer_is_running(a->look_timer))
		timer_start_ms(a->look_timer, 0);
}

/* ---- what outlives the process ---- */

/* "<boot id> <nanoseconds>" of the clock that runs on in sleep: that of another boot means nothing. */
static void lease_load(struct agent *a)
{
	cleanup(freep) char *text = store_get_meta(a->store, META_LEASE);
	size_t n = strlen(a->boot_id);
	struct mono until = { 0 };

	if (text && n && strncmp(text, a->boot_id, n) == 0 && text[n] == ' ' &&
	    num_parse_i64(text + n + 1, 0, INT64_MAX, &until.ns) == 0)
		until.ns -= think_slept_ms() * NS_PER_MS;
	if (until.ns > 0)
		heal_set_lease(a->heal, until);
	a->lease_saved = until;
}

static int lease_put(struct agent *a)
{
	char text[BOOT_ID_SIZE + 32];

	(void)snprintf(text, sizeof(text), "%s %" PRId64, a->boot_id, a->lease_saved.ns + think_slept_ms() * NS_PER_MS);
	return store_put_meta(a->store, META_LEASE, text);
}

void local_save_lease(struct agent *a)
{
	struct mono until = heal_lease_until(a->heal);

	if (until.ns == a->lease_saved.ns)
		return;
	a->lease_saved = until;
	if (store_batch_begin(a) == 0 && lease_put(a) < 0)
		a->store_failed = true;
}

/* A boot that is still cold must be one to the next process too: any other text than the boot id says so. */
int local_rewrite(struct agent *a)
{
	int r = hold_put(a);

	r = r < 0 ? r : lease_put(a);
	r = r < 0 ? r : kubelet_put(a);
	return r < 0 ? r : store_put_meta(a->store, META_BOOT, a->cold_boot ? "cold" : a->boot_id);
}

int local_new(struct agent *a)
{
	cleanup(freep) char *before = store_get_meta(a->store, META_BOOT);

	hold_new(a);
	a->cgroups_timer = timer_new(a->loop, "cgroups", on_cgroups_due, a);
	find_cgroups(a);
	a->look_timer = timer_new(a->loop, "local", on_look, a);
	if (machine_boot_id(a->conf->kubelet_boot_id_file, a->boot_id) < 0)
		return 0;
	a->cold_boot = before && !str_eq(before, a->boot_id);
	if (a->cold_boot)
		log_info(LOG_NODE, "booted", "boot_id=%s before=%s: cold until the API server answers", a->boot_id, before);
	return 0;
}

void local_load(struct agent *a)
{
	lease_load(a);
	fences_load(a);
	hold_load(a);
	kubelet_load(a);
	local_look_soon(a);
}

/* The mirror is in sync: kubelet reaches the API server as well and starts what belongs here. */
void local_is_online(struct agent *a)
{
	cleanup(freep) char *before = store_get_meta(a->store, META_BOOT);

	a->cold_boot = false;
	kubelet_is_online(a);
	if (!str_eq(before, a->boot_id) && store_batch_begin(a) == 0 && store_put_meta(a->store, META_BOOT, a->boot_id) < 0)
		a->store_failed = true;
	local_look_soon(a);
}

void local_free_all(struct agent *a)
{
	op_cancelp(&a->gateway_op);
	list_for_each_safe(s, &a->silences, struct silence, link)
		silence_free(s);
	timer_free(a->look_timer);
	timer_free(a->cgroups_timer);
	uids_free(a->running);
	hold_free(a);
	cgroups_free(a->cgroups);
}
