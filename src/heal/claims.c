/* claims.c — one entry per pod: the best claim, and who gave up */
#include "heal/claims.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/str.h"

struct entry {
	struct claim best;
	struct mono heard;		/* when its claimant told it last; 0 = not yet by this process */
	const char *gone[RANK_GONE];	/* interned; withdrew in epoch best.epoch */
};

struct claims {
	struct map *by_pod;
};

struct claims *claims_new(void)
{
	struct claims *c = mem_new(struct claims);

	c->by_pod = map_new();
	return c;
}

void claims_free(struct claims *c)
{
	if (!c)
		return;
	map_for_each(struct entry, e, c->by_pod)
		free(e);
	map_free(c->by_pod);
	free(c);
}

static void entry_note_gone(struct entry *e, const char *node)
{
	node = intern(node);
	for (size_t i = 0; i < RANK_GONE; i++) {
		if (e->gone[i] == node)
			return;
		if (!e->gone[i]) {
			e->gone[i] = node;
			return;
		}
	}
}

/* A claim of a newer loss replaces all that was known of older ones. */
static enum claim_news entry_renew(struct entry *e, const struct claim *claim)
{
	bool held = e->best.state == CLAIM_LIVE && e->best.pod_uid[0];

	*e = (struct entry){ .best = *claim };
	if (claim->state == CLAIM_LIVE)
		return held ? CLAIM_NEWS_TAKEN_OVER : CLAIM_NEWS_FIRST;
	if (claim->state == CLAIM_WITHDRAWN)
		entry_note_gone(e, claim->node);
	return held ? CLAIM_NEWS_WITHDRAWN : CLAIM_NEWS_NONE;
}

static enum claim_news entry_end(struct entry *e, const struct claim *claim)
{
	if (claim->state == CLAIM_WITHDRAWN)
		entry_note_gone(e, claim->node);
	if (e->best.state != CLAIM_LIVE)
		return CLAIM_NEWS_NONE;
	/* The end of a claim that beats the one we know: we have missed its beginning. */
	if (!str_eq(e->best.node, claim->node) && (claim->state != CLAIM_DONE || claim_compare(claim, &e->best) > 0))
		return CLAIM_NEWS_NONE;
	e->best = *claim;
	return CLAIM_NEWS_WITHDRAWN;
}

static bool entry_has_gone(const struct entry *e, const char *node)
{
	for (size_t i = 0; i < RANK_GONE && e->gone[i]; i++)
		if (str_eq(e->gone[i], node))
			return true;
	return false;
}

static enum claim_news entry_put(struct entry *e, const struct claim *claim)
{
	if (claim->epoch < e->best.epoch)
		return CLAIM_NEWS_NONE;
	if (claim->epoch > e->best.epoch)
		return entry_renew(e, claim);
	if (claim->state != CLAIM_LIVE)
		return entry_end(e, claim);
	if (entry_has_gone(e, claim->node) || e->best.state == CLAIM_DONE)
		return CLAIM_NEWS_NONE;		/* an old message overtaken by its own end */
	if (e->best.state == CLAIM_WITHDRAWN) {
		e->best = *claim;
		return CLAIM_NEWS_FIRST;
	}
	if (str_eq(e->best.node, claim->node))
		return CLAIM_NEWS_NONE;
	if (claim_compare(claim, &e->best) > 0)
		return CLAIM_NEWS_BEATEN;
	e->best = *claim;
	return CLAIM_NEWS_TAKEN_OVER;
}

enum claim_news claims_put(struct claims *c, const struct claim *claim)
{
	struct entry *e = map_get(c->by_pod, claim->pod_uid);

	if (e)
		return entry_put(e, claim);
	e = mem_new(struct entry);
	e->best = *claim;
	(void)map_put(c->by_pod, e->best.pod_uid, e);
	if (claim->state == CLAIM_WITHDRAWN)
		entry_note_gone(e, claim->node);
	return claim->state == CLAIM_LIVE ? CLAIM_NEWS_FIRST : CLAIM_NEWS_NONE;
}

const struct claim *claims_live(const struct claims *c, const char *pod_uid)
{
	const struct entry *e = map_get(c->by_pod, pod_uid);

	return e && e->best.state == CLAIM_LIVE ? &e->best : NULL;
}

const struct claim *claims_best(const struct claims *c, const char *pod_uid)
{
	const struct entry *e = map_get(c->by_pod, pod_uid);

	return e ? &e->best : NULL;
}

uint32_t claims_epoch(const struct claims *c, const char *pod_uid)
{
	const struct entry *e = map_get(c->by_pod, pod_uid);

	return e ? e->best.epoch : 0;
}

uint32_t claims_next_epoch(const struct claims *c, const char *pod_uid)
{
	const struct entry *e = map_get(c->by_pod, pod_uid);

	if (!e)
		return 1;
	return e->best.state == CLAIM_WITHDRAWN || e->best.epoch == UINT32_MAX ? e->best.epoch : e->best.epoch + 1;
}

void claims_withdrawn(const struct claims *c, const char *pod_uid, uint32_t epoch, const char *exclude[RANK_GONE])
{
	const struct entry *e = map_get(c->by_pod, pod_uid);

	for (size_t i = 0; i < RANK_GONE; i++)
		exclude[i] = e && e->best.epoch == epoch ? e->gone[i] : NULL;
}

bool claims_has_given_up(const struct claims *c, const char *pod_uid, const char *node)
{
	const struct entry *e = map_get(c->by_pod, pod_uid);

	return e && !str_eq(e->best.node, node) && entry_has_gone(e, node);
}

void claims_heard(struct claims *c, const struct claim *claim, struct mono now)
{
	struct entry *e = map_get(c->by_pod, claim->pod_uid);

	if (e && e->best.state == CLAIM_LIVE && e->best.epoch == claim->epoch && str_eq(e->best.node, claim->node))
		e->heard = now;
}

void claims_expire(struct claims *c, claim_test_fn *is_over, void *arg)
{
	map_for_each(struct entry, e, c->by_pod)
		if (e->best.state == CLAIM_LIVE && is_over(arg, &e->best, e->heard))
			e->best.state = CLAIM_DONE;
}

const struct claim *claims_settle(struct claims *c, const char *pod_uid)
{
	struct entry *e = map_get(c->by_pod, pod_uid);

	if (!e || e->best.state != CLAIM_WITHDRAWN)
		return NULL;
	e->best.state = CLAIM_DONE;
	return &e->best;
}

void claims_remove(struct claims *c, const char *pod_uid)
{
	free(map_remove(c->by_pod, pod_uid));
}

size_t claims_count(const struct claims *c)
{
	return map_count(c->by_pod);
}

void claims_each(const struct claims *c, void (*fn)(void *arg, const struct claim *claim), void *arg)
{
	map_for_each(struct entry, e, c->by_pod)
		fn(arg, &e->best);
}
