/* freshness.h — how fresh our mirror is, and what becomes of it when the API server's history goes back; see freshness.c */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct agent;

void freshness_new(struct agent *a);		/* the store is open: what it says */
void freshness_free(struct agent *a);
int freshness_put(struct agent *a);		/* in the open transaction, if it has changed; 0 or -errno */
int freshness_rewrite(struct agent *a);		/* the same, whatever is stored */
void freshness_confirmed(struct agent *a);	/* a watch was confirmed */
/* The mirror is of a history that is no more: nothing acts until everything has been listed anew, which begins here. */
void freshness_rewound(struct agent *a, const char *why);
void freshness_listed(struct agent *a);		/* it has been */
bool freshness_is_rewound(const struct agent *a);
uint64_t freshness_stamp(const struct agent *a);	/* of model/stamp.h; what is told to peers */
