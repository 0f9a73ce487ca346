/* clock.c — random numbers, the queue of events, and the clocks of the nodes
 *
 * Events of one instant run in the order in which they were made. A node's monotonic clock runs at `ppm` millionths of true time and
 * stands still while the machine sleeps.
 */
#include <string.h>

#include "sim.h"

#define PPM INT64_C(1000000)

/* SplitMix64 */
uint64_t roll_next(uint64_t *state)
{
	uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

int64_t roll(struct world *w, int64_t below)
{
	return (int64_t)(roll_next(&w->rng) % (uint64_t)below);
}

int64_t roll_in(struct world *w, int64_t lo, int64_t hi)
{
	return lo + roll(w, hi - lo + 1);
}

bool chance(struct world *w, int pct)
{
	return roll(w, 100) < pct;
}

static bool before(const struct event *a, const struct event *b)
{
	return a->at != b->at ? a->at < b->at : a->seq < b->seq;
}

void at(struct world *w, int64_t when, event_fn *fn, struct about a)
{
	struct queue *q = &w->q;
	struct event e = { .at = when > w->now ? when : w->now, .seq = ++q->seq, .fn = fn, .a = a };
	size_t i = q->count++;

	if (i == q->cap) {
		q->cap = q->cap ? 2 * q->cap : 256;
		q->items = mem_resize(q->items, q->cap, sizeof(q->items[0]));
	}
	for (; i && before(&e, &q->items[(i - 1) / 2]); i = (i - 1) / 2)
		q->items[i] = q->items[(i - 1) / 2];
	q->items[i] = e;
}

void after_ms(struct world *w, int64_t ms, event_fn *fn, struct about a)
{
	at(w, w->now + MS(ms), fn, a);
}

bool queue_pop(struct queue *q, struct event *out)
{
	struct event last;
	size_t i = 0;

	if (!q->count)
		return false;
	*out = q->items[0];
	last = q->items[--q->count];
	for (size_t k = 1; k < q->count; k = 2 * i + 1) {
		if (k + 1 < q->count && before(&q->items[k + 1], &q->items[k]))
			k++;
		if (!before(&q->items[k], &last))
			break;
		q->items[i] = q->items[k];
		i = k;
	}
	q->items[i] = last;
	return true;
}

void queue_fini(struct queue *q)
{
	for (size_t i = 0; i < q->count; i++)
		free(q->items[i].a.data);
	free(q->items);
}

struct mono node_mono(const struct world *w, int i)
{
	const struct snode *n = &w->n[i];
	int64_t t = n->suspended ? n->slept_at : w->now;

	return (struct mono){ n->mono_base + (t - n->mono_at) / PPM * n->ppm + (t - n->mono_at) % PPM * n->ppm / PPM };
}

/* Runs as fast as the monotonic clock, and on through sleep. */
struct wall node_wall(const struct world *w, int i)
{
	const struct snode *n = &w->n[i];

	return (struct wall){ SEC(1700000000) + n->wall_off + node_mono(w, i).ns + n->slept };
}

int64_t node_true(const struct world *w, int i, struct mono local)
{
	const struct snode *n = &w->n[i];
	int64_t gone = local.ns - node_mono(w, i).ns;

	if (gone <= 0)
		return w->now;
	return w->now + gone / n->ppm * PPM + (gone % n->ppm) * PPM / n->ppm + 2;
}
