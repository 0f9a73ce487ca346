/* tags.c — our own tags: what they shall be, and when to write them
 *
 * The members show what they are. A write is due when that differs from what we want; it goes out in the next
 * round when nothing was written lately, else when SERF_TAGS_MIN_INTERVAL_MS are over. The answer to a write
 * says little (the agent may time out waiting for its broadcast and have set them all the same), so the next
 * poll decides whether anything is left to do.
 */
#include <errno.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "serf/client_int.h"

/* Our tags in the members, or NULL while they are not known or older than the last write. */
static const struct serf_member *tags_shown(const struct serf_client *c)
{
	if (!mono_is_set(c->members.as_of) || c->members.as_of.ns < c->tags_answered.ns)
		return NULL;
	return serf_members_find(&c->members, serf_client_self(c));
}

static bool tags_differ(const struct serf_client *c, const struct serf_member *self)
{
	for (size_t i = 0; i < c->want_count; i++)
		if (!str_eq(serf_member_tag(self, c->want[i].key), c->want[i].value))
			return true;
	return false;
}

static void on_tags(void *arg, const struct serf_reply *reply)
{
	struct serf_client *c = arg;

	c->tags_op = NULL;
	c->tags_answered = loop_now(c->loop);
	if (reply->r != 0)
		log_debug(LOG_SERF, "tags", "result=%d error=%s", reply->r, reply->error);
}

static void on_tags_due(void *arg)
{
	struct serf_client *c = arg;
	const struct serf_member *self = tags_shown(c);
	cleanup(freep) struct serf_pair *set = mem_new_n(struct serf_pair, c->want_count);
	cleanup(freep) const char **gone = mem_new_n(const char *, c->want_count);
	struct serf_request req = { .cmd = SERF_CMD_TAGS, .u.tags = { .set = set, .remove = gone } };

	if (!self || !c->up || c->tags_op)
		return;
	for (size_t i = 0; i < c->want_count; i++) {
		const struct serf_tag *t = &c->want[i];

		if (str_eq(serf_member_tag(self, t->key), t->value))
			continue;
		if (t->value)
			set[req.u.tags.n++] = (struct serf_pair){ t->key, t->value };
		else
			gone[req.u.tags.remove_n++] = t->key;
	}
	if (req.u.tags.n + req.u.tags.remove_n == 0)
		return;
	c->tags_sent = loop_now(c->loop);
	c->tags_op = serf_rpc_call(c->slow, &req, SERF_SLOW_MS, on_tags, c);
}

void tags_check(struct serf_client *c)
{
	const struct serf_member *self = tags_shown(c);

	if (!self || !c->up || c->tags_op || timer_is_running(c->tags_timer) || !tags_differ(c, self))
		return;
	if (mono_is_set(c->tags_sent))
		timer_start_at(c->tags_timer, mono_add_ms(c->tags_sent, SERF_TAGS_MIN_INTERVAL_MS));
	else
		timer_start_ms(c->tags_timer, 0);
}

static struct serf_tag *want_find(struct serf_client *c, const char *key)
{
	for (size_t i = 0; i < c->want_count; i++)
		if (str_eq(c->want[i].key, key))
			return &c->want[i];
	return NULL;
}

/* What all our tags would take, those of others (set when the agent started) included. */
static size_t tags_size(struct serf_client *c, const char *key, const char *value)
{
	const struct serf_member *self = serf_members_find(&c->members, serf_client_self(c));
	size_t shown = self ? self->tag_count : 0, n = 0;
	cleanup(freep) struct serf_pair *all = mem_new_n(struct serf_pair, shown + c->want_count + 1);

	for (size_t i = 0; i < shown; i++)
		if (!str_eq(self->tags[i].key, key) && !want_find(c, self->tags[i].key))
			all[n++] = (struct serf_pair){ self->tags[i].key, self->tags[i].value };
	for (size_t i = 0; i < c->want_count; i++)
		if (!str_eq(c->want[i].key, key) && c->want[i].value)
			all[n++] = (struct serf_pair){ c->want[i].key, c->want[i].value };
	if (value)
		all[n++] = (struct serf_pair){ key, value };
	return serf_tags_encoded_size(all, n);
}

int serf_client_set_tag(struct serf_client *c, const char *key, const char *value)
{
	struct serf_tag *t = want_find(c, key);

	if (value && tags_size(c, key, value) > SERF_TAGS_MAX)
		return -EMSGSIZE;
	if (!t) {
		c->want = mem_resize(c->want, c->want_count + 1, sizeof(c->want[0]));
		t = &c->want[c->want_count++];
		*t = (struct serf_tag){ .key = str_dup(key) };
	}
	str_set(&t->value, value);
	tags_check(c);
	return 0;
}

void tags_init(struct serf_client *c)
{
	c->tags_timer = timer_new(c->loop, "serf-tags", on_tags_due, c);
}

void tags_fini(struct serf_client *c)
{
	timer_free(c->tags_timer);
	op_cancelp(&c->tags_op);
	for (size_t i = 0; i < c->want_count; i++) {
		free(c->want[i].key);
		free(c->want[i].value);
	}
	free(c->want);
	c->want = NULL;
	c->want_count = 0;
}
