/* blank.c — a member that lives and has no mirror (see heal/blank.c)
 *
 * Such a member answers with its boot id and the first eight hex digits of the uids of its pod cgroups. It says nothing when more
 * run than fit into one answer, because what it does not name counts as lost; nor while it does not know what runs, because the
 * cgroups cannot be read; nor while its link is not offline.
 */
#include "blank.h"

#include <stdlib.h>

#include "agent/wire.h"
#include "agent_int.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/uuid.h"
#include "node/render.h"

bool blank_is(const struct agent *a)
{
	return map_count(a->view->nodes) == 0 && link_for_healing(a->link.state) == LINK_OFFLINE;
}

/* ---- being one ---- */

void blank_answer(struct agent *a, const char *node, struct buf *out)
{
	struct wire_running w = { .count = 0 };

	if (!str_eq(node, a->self) || !blank_is(a) || !a->running || !a->boot_id[0])
		return;
	(void)str_copy(w.boot_id, sizeof(w.boot_id), a->boot_id);
	map_for_each(char, uid, a->running) {
		if (w.count == WIRE_RUNNING_MAX) {
			log_warn(LOG_HEAL, "too many pods",
				 "%zu run here: too many to name without a mirror, none is healed elsewhere",
				 map_count(a->running));
			return;
		}
		w.count += wire_short_uid(uid, &w.uids[w.count]);
	}
	wire_put_running(out, &w);
}

/* ---- hearing one ---- */

struct hearing {
	const struct agent *a;
	const char *from;
	const struct wire_running *says;
	const char **missing;		/* uids; borrowed from the mirror and the claims */
	size_t count;
	struct claim *running;		/* its claims whose copies run: it does not know them any more and repeats none */
	size_t running_count;
};

static bool names(const struct wire_running *w, const char *uid)
{
	uint32_t want;

	for (size_t i = 0; wire_short_uid(uid, &want) && i < w->count; i++)
		if (w->uids[i] == want)
			return true;
	return false;
}

/* Its own pod, or its copy of one, which runs under another uid. */
static bool runs_there(const struct hearing *x, const char *pod_uid, const struct claim *c)
{
	char copy[UUID_TEXT_SIZE];

	if (names(x->says, pod_uid))
		return true;
	if (!c)
		return false;
	render_uid(pod_uid, c->epoch, copy);
	return names(x->says, copy);
}

static void hear(struct hearing *x, const char *pod_uid, const struct claim *c)
{
	if (!runs_there(x, pod_uid, c)) {
		x->missing = mem_resize(x->missing, x->count + 1, sizeof(x->missing[0]));
		x->missing[x->count++] = pod_uid;
	} else if (c) {
		x->running = mem_resize(x->running, x->running_count + 1, sizeof(x->running[0]));
		x->running[x->running_count++] = *c;
	}
}

static void hear_claim(void *arg, const struct claim *c)
{
	struct hearing *x = arg;

	if (c->state == CLAIM_LIVE && str_eq(c->node, x->from) && view_pod(x->a->view, c->pod_uid))
		hear(x, c->pod_uid, c);
}

static void hear_node(struct hearing *x, const struct node *n)
{
	const struct claims *claims = heal_claims(x->a->heal);

	list_for_each(p, &n->pods, struct pod, by_node)
		if (pod_is_active(p) && !p->deleting && !p->is_mirror && !claims_live(claims, p->uid))
			hear(x, p->uid, NULL);
	claims_each(claims, hear_claim, x);
}

bool blank_on_answer(struct agent *a, const char *from, const void *payload, size_t n)
{
	const struct node *node = view_node(a->view, from);
	struct wire_running says;
	struct hearing x = { .a = a, .from = from, .says = &says };
	struct blank_answer answer;

	if (wire_get_running(payload, n, &says) < 0)
		return false;
	if (!node)
		return true;
	hear_node(&x, node);
	answer = (struct blank_answer){ node->boot_id && !str_eq(node->boot_id, says.boot_id), x.missing, x.count };
	if (heal_on_blank(a->heal, from, &answer, loop_now(a->loop)))
		log_warn(LOG_HEAL, "member without a mirror", "node=%s another_boot=%d runs=%zu not_running=%zu", from,
			 answer.rebooted, says.count, x.count);
	for (size_t i = 0; i < x.running_count; i++)
		(void)heal_on_claim(a->heal, &x.running[i], loop_now(a->loop));
	free(x.missing);
	free(x.running);
	return true;
}
