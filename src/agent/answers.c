/* answers.c — an answer that promises something waits until that is stored
 *
 * A grant and a permitted fence outlive the process: they are stored before they are told. A sync costs what the disk takes, and
 * anybody in the gossip can ask: all that is asked within ANSWERS_WAIT_MS shares one.
 */
#include <stdlib.h>

#include "agent/wire.h"
#include "agent_int.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"

struct waiting {
	struct list link;
	uint64_t id;			/* of the query */
	struct buf out;
	struct wire_fence permitted;	/* pod_uid "": no fence */
};

struct answers { struct list waiting; size_t count; struct timer *due; };

static void waiting_free(struct waiting *w)
{
	list_remove(&w->link);
	buf_fini(&w->out);
	free(w);
}

static void tell_permitted(struct agent *a, const struct wire_fence *f)
{
	tell(a, &(struct tale){ .event = "fence permitted", .uid = f->pod_uid, .node = intern(f->node) },
	     "pod=%s for=%s start_delay_ms=%lld", f->pod_uid, f->asker,
	     (long long)heal_start_delay_ms(a->conf->heal_stop_after_ms));
}

static void on_due(void *arg)
{
	struct agent *a = arg;
	bool stored = fences_save(a) == 0;

	list_for_each_safe(w, &a->answers->waiting, struct waiting, link) {
		if (stored)
			(void)serf_client_respond(a->serf, w->id, w->out.data, w->out.len);
		if (stored && w->permitted.pod_uid[0])
			tell_permitted(a, &w->permitted);
		waiting_free(w);
	}
	a->answers->count = 0;
}

void answers_new(struct agent *a)
{
	a->answers = mem_new(struct answers);
	list_init(&a->answers->waiting);
	a->answers->due = timer_new(a->loop, "answers", on_due, a);
}

void answers_free(struct agent *a)
{
	if (!a->answers)
		return;
	list_for_each_safe(w, &a->answers->waiting, struct waiting, link)
		waiting_free(w);
	timer_free(a->answers->due);
	free(a->answers);
	a->answers = NULL;
}

void answers_put(struct agent *a, uint64_t id, const struct buf *out, const struct wire_fence *permitted)
{
	struct waiting *w;

	if (a->answers->count >= ANSWERS_MAX) {
		metric_inc(METRIC_GOSSIP_DROPPED);	/* whoever needs it asks again */
		return;
	}
	w = mem_new(struct waiting);
	w->id = id;
	buf_add(&w->out, out->data, out->len);
	if (permitted)
		w->permitted = *permitted;
	list_add_tail(&a->answers->waiting, &w->link);
	a->answers->count++;
	if (heal_fences_version(a->heal) == a->fences_saved && a->answers->count == 1)
		on_due(a);		/* nothing new to store, and nobody waits */
	else if (!timer_is_running(a->answers->due))
		timer_start_ms(a->answers->due, ANSWERS_WAIT_MS);
}
