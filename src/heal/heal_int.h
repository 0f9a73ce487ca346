/* heal/heal_int.h — shared by the files of heal/ only */
#pragma once
#include "heal/heal.h"

#define SUSPECT_WITNESSES_MAX 16

struct suspect {
	const char *node;		/* interned */
	enum suspect_state state;
	struct mono since;		/* of the state */
	struct mono due;		/* when to look again */
	bool probing, probed, reachable;
	bool ended;			/* nobody else will answer our question */
	struct mono probed_at;
	const char *confirmed[SUSPECT_WITNESSES_MAX];	/* interned */
	size_t confirm_count, refute_count;
	bool scanned;			/* its pods have been turned into losses */
	char note[REASON_SIZE];
};

struct loss {
	char uid[UID_SIZE];
	enum loss_cause cause;
	enum loss_state state;
	const char *lost_node;		/* interned; NULL for unbound */
	struct mono declared;		/* when ranked first */
	struct mono due;		/* when this node acts, or looks again */
	uint32_t epoch;
	const char *ranks[RANK_DEPTH];
	size_t rank_count;
	struct resources request;
	bool told;			/* the refusal has been told */
	char note[REASON_SIZE];
};

struct heal {
	struct heal_conf conf;
	struct map *suspects;		/* node name → struct suspect */
	struct map *losses;		/* pod uid → struct loss */
	struct map *replaced;		/* pod uid → struct replaced */
	struct claims *claims;
	bool breaker_open;
	double tokens;			/* of the restore budget */
	struct mono tokens_at;
	struct resources local_left;	/* of facts.local_free, within one tick */
};

/* suspect.c */
void suspects_tick(struct heal *h, const struct tick *t, const struct heal_facts *f, struct plan *plan);
void suspects_free(struct heal *h);
bool suspect_is_lost(const struct heal *h, const char *node);
bool in_my_site(const struct heal *h, const struct peer *p);

/* loss.c */
void losses_tick(struct heal *h, const struct tick *t, const struct heal_facts *f, struct plan *plan);
void losses_free(struct heal *h);

/* reconcile.c */
void copies_tick(struct heal *h, const struct tick *t, const struct heal_facts *f, struct plan *plan);
void copies_free(struct heal *h);
