/* abandon.c — see the header */
#include "heal/abandon.h"

bool abandon_look(struct abandon *b, bool answers, enum abandon_pods pods, int64_t after_ms, struct mono now)
{
	bool gap = mono_is_set(b->last) && mono_since_ms(now, b->last) > ABANDON_GAP_MS;

	b->last = now;
	if (!answers || pods != ABANDON_POD_NONE) {
		b->since = (struct mono){ 0 };
		return false;
	}
	if (gap || !mono_is_set(b->since))
		b->since = now;
	return mono_since_ms(now, b->since) >= after_ms;
}
