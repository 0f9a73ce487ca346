/* effects.c — plans into effects, in the order of src/agent/think.c, copies.c and effect.c
 *
 * A batch of restores: one commit (claim and copy row of each), the claims are told, then the manifests. Between any two steps the
 * healer may be killed: agent_step() says so, and then nothing of its memory may be touched any more.
 */
#include <stdio.h>
#include <string.h>

#include "model/stamp.h"
#include "sim.h"

/* ---- the store ---- */

static struct copy *copy_clone(const struct copy *c)
{
	struct copy *n = copy_new();

	*n = *c;
	n->ns = str_dup(c->ns);
	n->name = str_dup(c->name);
	n->workload = str_dup(c->workload);
	n->lost_node = str_dup(c->lost_node);
	n->file = str_dup(c->file);
	return n;
}

static void row_save(struct world *w, int i, const struct copy *c)
{
	struct sagent *a = &w->n[i].a;
	struct copy *row;

	if (w->n[i].disk_full)
		return;
	row = copy_clone(c);
	copy_free(map_remove(a->rows, c->pod_uid));
	(void)map_put(a->rows, row->pod_uid, row);
}

static void row_delete(struct world *w, int i, const char *uid)
{
	if (!w->n[i].disk_full)
		copy_free(map_remove(w->n[i].a.rows, uid));
}

/* As store_put_claim(): the best claim of a pod, and who gave it up in the same epoch. */
static bool claim_is_over(const struct claim *row, const struct claim *c)
{
	if (!str_eq(row->pod_uid, c->pod_uid))
		return false;
	return row->epoch < c->epoch || str_eq(row->node, c->node) ||
	       (row->epoch == c->epoch && row->state != CLAIM_WITHDRAWN && c->state != CLAIM_WITHDRAWN);
}

void claim_save(struct world *w, int i, const struct claim *c)
{
	struct sagent *a = &w->n[i].a;
	struct claim_row *row;

	if (w->n[i].disk_full)
		return;
	map_for_each(struct claim_row, old, a->claims)
		if (claim_is_over(&old->c, c))
			free(map_remove(a->claims, old->key));
	row = mem_new(struct claim_row);
	row->c = *c;
	(void)snprintf(row->key, sizeof(row->key), "%s %s", c->pod_uid, c->node);
	(void)map_put(a->claims, row->key, row);
}

void claim_forget(struct world *w, int i, const char *uid)
{
	map_for_each(struct claim_row, row, w->n[i].a.claims)
		if (str_eq(row->c.pod_uid, uid))
			free(map_remove(w->n[i].a.claims, row->key));
}

static void claims_load(struct world *w, int i)
{
	struct sagent *a = &w->n[i].a;

	for (int withdrawn = 0; withdrawn < 2; withdrawn++)
		map_for_each(struct claim_row, row, a->claims)
			if ((row->c.state == CLAIM_WITHDRAWN) == withdrawn)
				(void)heal_on_claim(a->heal, &row->c, node_mono(w, i));
}

static struct claim claim_of(const struct world *w, int i, const struct copy *c, enum claim_state state)
{
	struct claim claim = { .epoch = c->epoch, .rank = c->rank, .mirror = stamp_for_claim(w->n[i].a.mirror_version), .state = state,
			       .at = node_wall(w, i) };

	(void)str_copy(claim.pod_uid, sizeof(claim.pod_uid), c->pod_uid);
	(void)str_copy(claim.node, sizeof(claim.node), w->n[i].name);
	return claim;
}

static void claim_end(struct world *w, int i, const struct copy *c, enum claim_state state)
{
	struct claim claim = claim_of(w, i, c, state);

	(void)heal_on_claim(w->n[i].a.heal, &claim, node_mono(w, i));
	claim_save(w, i, &claim);
	tell_claims(w, i, &claim, 1);
	claims_repeat_soon(w, i);
}

/* ---- the end of a copy ---- */

static void copy_forget(struct world *w, int i, struct copy *c)
{
	row_delete(w, i, c->pod_uid);
	(void)map_remove(w->n[i].a.copies, c->pod_uid);
	copy_free(c);
	tags_soon(w, i);
	agent_soon(w, i);
}

static bool is_once(const struct world *w, const struct copy *c)
{
	int r = rs_find(w, c->workload_uid);

	return r >= 0 && w->api.rs[r].policy == POLICY_AT_MOST_ONCE;
}

/* What may run once only is held still before its end is told; what kubelet cannot end is held still as well. */
static void hold_still(struct world *w, int i, const struct copy *c)
{
	if (is_once(w, c) || (w->n[i].started_offline && !api_ok(w, i)))
		run_freeze(w, i, c->pod_uid, true);
}

static void copy_remove_file(struct world *w, int i, struct copy *c)
{
	c->state = COPY_DROPPING;
	row_save(w, i, c);
	if (!agent_step(w, i))
		return;
	file_remove(w, i, c->pod_uid);
	agent_soon(w, i);
}

static void copy_end(struct world *w, int i, const struct action *act)
{
	struct copy *c = map_get(w->n[i].a.copies, act->pod_uid);
	bool withdrawn = act->kind == ACTION_WITHDRAW;

	if (!c || c->state == COPY_DROPPING)
		return;
	check_end(w, i, act);
	tell(w, i, "%s the copy of %s: %s", withdrawn ? "withdraws" : "hands over", c->name, act->reason);
	hold_still(w, i, c);
	if (!withdrawn || !str_has_prefix(act->reason, "lost the claim"))
		claim_end(w, i, c, withdrawn ? CLAIM_WITHDRAWN : CLAIM_DONE);
	if (agent_step(w, i))
		copy_remove_file(w, i, c);
}

/* Did they start, are they gone? */
void copies_look(struct world *w, int i)
{
	map_for_each(struct copy, c, w->n[i].a.copies) {
		struct run *r = run_find(w, i, c->pod_uid, true);

		if (c->state == COPY_STARTING && r && r->epoch == c->epoch) {
			c->state = COPY_RUNNING;
			c->deadline = (struct mono){ 0 };
			c->running = node_wall(w, i);
			row_save(w, i, c);
			tell(w, i, "restored %s", c->name);
		} else if (c->state == COPY_DROPPING && !r && !file_find(w, i, c->pod_uid)) {
			tell(w, i, "the copy of %s is gone", c->name);
			copy_forget(w, i, c);
		} else if (c->state == COPY_DROPPING && r) {
			hold_still(w, i, c);
		}
	}
}

/* ---- a batch of restores ---- */

static struct copy *copy_make(const struct world *w, int i, const struct action *act)
{
	const struct sagent *a = &w->n[i].a;
	const struct pod *p = view_pod(a->view, act->pod_uid);
	struct copy *c;

	if (!p || !p->owner || map_get(a->copies, p->uid))
		return NULL;
	c = copy_new();
	(void)str_copy(c->pod_uid, sizeof(c->pod_uid), p->uid);
	(void)str_copy(c->workload_uid, sizeof(c->workload_uid), p->owner);
	c->ns = str_dup(p->ns);
	c->name = str_dup(p->name);
	c->workload = str_dup("");
	c->lost_node = str_dup(act->node);
	c->file = str_dup(p->name);
	c->epoch = act->epoch;
	c->rank = act->rank;
	c->request = p->request;
	c->declared_mono = act->declared;
	c->claimed = node_wall(w, i);
	if (act->wait_ms)
		c->deadline = mono_add_ms(node_mono(w, i), act->wait_ms);
	return c;
}

static bool batch_commit(struct world *w, int i, struct copy **items, size_t n)
{
	if (w->n[i].disk_full) {
		tell(w, i, "the store takes no intent");
		for (size_t k = 0; k < n; k++) {
			heal_on_restore_failed(w->n[i].a.heal, items[k]->pod_uid, node_mono(w, i));
			copy_free(items[k]);
		}
		agent_soon(w, i);
		return false;
	}
	for (size_t k = 0; k < n; k++) {
		struct claim claim = claim_of(w, i, items[k], CLAIM_LIVE);

		claim_save(w, i, &claim);
		row_save(w, i, items[k]);
	}
	if (agent_step(w, i))
		return true;
	for (size_t k = 0; k < n; k++)
		copy_free(items[k]);
	return false;
}

static void batch_claim(struct world *w, int i, struct copy **items, size_t n)
{
	struct claim *claims = mem_new_n(struct claim, n);

	for (size_t k = 0; k < n; k++) {
		claims[k] = claim_of(w, i, items[k], CLAIM_LIVE);
		(void)heal_on_claim(w->n[i].a.heal, &claims[k], node_mono(w, i));
		(void)map_put(w->n[i].a.copies, items[k]->pod_uid, items[k]);
	}
	tell_claims(w, i, claims, n);
	claims_repeat_soon(w, i);
	free(claims);
}

/* False: killed. */
static bool copy_write(struct world *w, int i, struct copy *c)
{
	struct sagent *a = &w->n[i].a;

	if (!file_add(w, i, c->pod_uid, c->epoch, rs_find(w, c->workload_uid))) {
		claim_end(w, i, c, CLAIM_WITHDRAWN);
		heal_on_restore_failed(a->heal, c->pod_uid, node_mono(w, i));
		copy_forget(w, i, c);
		return true;
	}
	if (!agent_step(w, i))
		return false;
	c->state = COPY_STARTING;
	c->written = node_wall(w, i);
	c->written_mono = node_mono(w, i);
	c->deadline = mono_add_ms(c->written_mono, a->conf.start_timeout_ms);
	row_save(w, i, c);
	return true;
}

struct waiting { char uid[UID_SIZE]; uint32_t epoch; };

/* No better claim was heard. */
static void on_waited(struct world *w, const struct event *e)
{
	const struct waiting *x = e->a.data;
	struct sagent *a = &w->n[e->a.node].a;
	struct copy *c = a->up && a->life == e->a.life ? map_get(a->copies, x->uid) : NULL;

	if (c && c->state == COPY_CLAIMED && c->epoch == x->epoch)
		(void)copy_write(w, e->a.node, c);
	if (a->up && a->life == e->a.life)
		agent_soon(w, e->a.node);
}

/* False: killed. */
static bool copy_go_on(struct world *w, int i, struct copy *c)
{
	struct waiting *x;

	if (!mono_is_set(c->deadline))
		return copy_write(w, i, c);
	x = mem_new(struct waiting);
	*x = (struct waiting){ .epoch = c->epoch };
	(void)str_copy(x->uid, sizeof(x->uid), c->pod_uid);
	after_ms(w, mono_since_ms(c->deadline, node_mono(w, i)), on_waited,
		 (struct about){ .node = i, .life = w->n[i].a.life, .data = x });
	return true;
}

static void copies_restore(struct world *w, int i, const struct plan *plan)
{
	struct copy **items = mem_new_n(struct copy *, plan->count);
	size_t n = 0;

	for (size_t k = 0; k < plan->count; k++) {
		const struct action *act = &plan->items[k];
		struct copy *c = act->kind == ACTION_RESTORE ? copy_make(w, i, act) : NULL;

		if (!c)
			continue;
		check_restore(w, i, act);
		tell(w, i, "restores %s of %s, epoch %u, rank %u", c->name, act->node, act->epoch, act->rank);
		items[n++] = c;
	}
	if (n && batch_commit(w, i, items, n)) {
		batch_claim(w, i, items, n);
		for (size_t k = 0; k < n && agent_step(w, i); k++)
			if (!copy_go_on(w, i, items[k]))
				break;
		tags_soon(w, i);
		agent_soon(w, i);
	}
	free(items);
}

/* ---- the API server ---- */

static void on_request(struct world *w, const struct event *e)
{
	const struct action *act = e->a.data;
	int i = e->a.node, p = api_pod(w, act->pod_uid);
	struct sagent *a = &w->n[i].a;
	bool done = false, denied = w->denied && w->now < w->calm_at && act->kind == ACTION_REPLACE;

	if (!api_ok(w, i))
		return;			/* lost on the way; heal/ asks again */
	switch (denied ? ACTION_REFUSE : act->kind) {
	case ACTION_BIND:
		done = api_bind(w, act->pod_uid, i);
		tell(w, i, "binds %.8s%s", act->pod_uid, done ? "" : ": conflict");
		break;
	case ACTION_REPLACE:
	case ACTION_EVICT:
		if (p >= 0 && (act->kind == ACTION_REPLACE || !w->api.pods[p].deleting))
			api_pod_delete(w, p, act->kind == ACTION_REPLACE);
		break;
	case ACTION_TAINT:
	case ACTION_UNTAINT:
		api_taint(w, node_index(w, act->node), act->kind == ACTION_TAINT);
		break;
	default:
		break;
	}
	if ((act->kind != ACTION_BIND && act->kind != ACTION_REPLACE) || !a->up || a->life != e->a.life)
		return;
	if (act->kind == ACTION_BIND)
		heal_on_bind(a->heal, act->pod_uid, done, node_mono(w, i));
	else
		heal_on_replaced(a->heal, act->pod_uid, act->node, !denied, node_mono(w, i));
	agent_soon(w, i);
}

static void request(struct world *w, int i, const struct action *act)
{
	struct action *copy = mem_new(struct action);

	check_api_effect(w, i, act);
	tell(w, i, "%s %.8s %s %s", action_name(act->kind), act->pod_uid, str_or(act->node, ""), act->reason);
	if (w->n[i].disk_full && act->pod_uid[0]) {	/* no intent, no effect */
		free(copy);
		return;
	}
	*copy = *act;
	after_ms(w, roll_in(w, 5, 60), on_request, (struct about){ .node = i, .life = w->n[i].a.life, .data = copy });
}

/* ---- one plan ---- */

static bool is_question(enum action_kind k)
{
	return k == ACTION_PROBE || k == ACTION_WITNESS || k == ACTION_REFUSE || k == ACTION_READ_LEASE || k == ACTION_ASK_MINE ||
	       k == ACTION_ASK_GRANT || k == ACTION_ASK_FENCE || k == ACTION_ASK_RUNS ||
	       k == ACTION_ASK_UNUSED || k == ACTION_ASK_BLANK || k == ACTION_ASK_FATE;
}

static void ask(struct world *w, int i, const struct action *act)
{
	switch (act->kind) {
	case ACTION_PROBE:
		ask_probe(w, i, act->node);
		break;
	case ACTION_WITNESS:
		ask_witness(w, i, act->node);
		break;
	case ACTION_READ_LEASE:
		ask_lease(w, i, act->node);
		break;
	case ACTION_ASK_MINE:
		ask_mine(w, i);
		break;
	case ACTION_ASK_GRANT:
		if (w->n[i].a.observe)	/* it stops nothing: nobody shall count on it */
			heal_on_grant_end(w->n[i].a.heal, act->declared);
		else
			ask_grant(w, i, act);
		break;
	case ACTION_ASK_FENCE:
		ask_fence(w, i, act);
		break;
	case ACTION_ASK_RUNS:
		ask_runs(w, i);
		break;
	case ACTION_ASK_UNUSED:
		ask_unused(w, i, act);
		break;
	case ACTION_ASK_BLANK:
		ask_blank(w, i, act->node);
		break;
	case ACTION_ASK_FATE:
		ask_fate(w, i);
		break;
	default:
		tell(w, i, "refuses %.8s: %s", act->pod_uid, act->reason);
		break;
	}
}

static void execute(struct world *w, int i, const struct action *act)
{
	switch (act->kind) {
	case ACTION_WITHDRAW:
	case ACTION_DROP:
		copy_end(w, i, act);
		break;
	case ACTION_STOP:
	case ACTION_RESUME:
		tell(w, i, "%s %.8s: %s", action_name(act->kind), act->pod_uid, act->reason);
		run_freeze(w, i, act->pod_uid, act->kind == ACTION_STOP);
		break;
	case ACTION_RESTORE:		/* collected */
		break;
	default:
		request(w, i, act);
		break;
	}
}

void plan_run(struct world *w, int i, const struct plan *plan)
{
	struct sagent *a = &w->n[i].a;
	unsigned life = a->life;
	bool restores = false;

	for (size_t k = 0; k < plan->count && a->up && a->life == life; k++) {
		const struct action *act = &plan->items[k];

		w->actions++;
		restores |= act->kind == ACTION_RESTORE;
		if (is_question(act->kind))
			ask(w, i, act);
		else if (a->observe)
			heal_on_observed(a->heal, act->pod_uid);
		else if (agent_step(w, i))
			execute(w, i, act);
	}
	if (restores && a->up && a->life == life && !a->observe)
		copies_restore(w, i, plan);
}

/* ---- after a start ---- */

static void resume_copy(struct world *w, int i, struct copy *c)
{
	const struct sfile *f = file_find(w, i, c->pod_uid);
	bool there = f && f->epoch == c->epoch;
	struct mono now = node_mono(w, i);

	if (c->state == COPY_CLAIMED || c->state == COPY_STARTING) {
		c->state = COPY_STARTING;
		c->deadline = there ? mono_add_ms(now, w->n[i].a.conf.start_timeout_ms) : now;
	} else if (c->state == COPY_RUNNING && !there) {
		c->state = COPY_DROPPING;
		claim_end(w, i, c, CLAIM_DONE);
	} else if (c->state == COPY_DROPPING) {
		file_remove(w, i, c->pod_uid);
	}
}

void copies_load(struct world *w, int i)
{
	struct sagent *a = &w->n[i].a;

	claims_load(w, i);
	map_for_each(struct copy, row, a->rows) {
		struct copy *c = copy_clone(row);

		c->declared_mono = c->written_mono = (struct mono){ 0 };
		(void)map_put(a->copies, c->pod_uid, c);
		resume_copy(w, i, c);
	}
	for (int k = 0; k < SIM_FILES; k++) {
		struct sfile *f = &w->n[i].files[k];
		const struct copy *c = f->used ? map_get(a->copies, f->uid) : NULL;

		if (f->used && (!c || c->epoch != f->epoch))
			file_remove(w, i, f->uid);
	}
}
