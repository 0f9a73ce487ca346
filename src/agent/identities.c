/* identities.c — by what each member is recognised, and where it says it is
 *
 * A node lives when its kubelet or its healer shows that it is the node (node/identity.h). kubelet's certificate mostly
 * names it; where it does not its fingerprint is known: it is taken while the node is an alive member of our site, renewed
 * now and then, and stored, for a healer that starts again in the middle of an outage. One handshake in IDENTITY_PACE_MS
 * at most, whatever the size of the site, and one of each member in IDENTITY_RENEW_MS.
 *
 * Gossip can be a minute late with a new address. Who comes back with another one than last time tells it
 * (WIRE_HERE_EVENT); it is looked for there too, and believed when it shows itself there.
 */
#include <stdlib.h>

#include "agent/wire.h"
#include "agent_int.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"

#define META_PRINT "kubelet-certificate/%s" /* keys of the store: its node's name … */
#define META_ADDR "address"                 /* … and our own address, as it was told last */
#define HERE_FIRST_MS 1000                  /* a new address is told at once, after this … */
#define HERE_TIMES 5                        /* … and three times as long each time, so often in all */
#define HERE_SPACING_MS 1000                /* a node that tells its address more often is not heard */

struct face {
	const char *node; /* interned */
	char print[IDENTITY_PRINT_SIZE];
	bool kept;                  /* the store has it */
	char told[PEER_ADDR_SIZE];  /* where it says it is by now; "" = nowhere else … */
	struct mono told_at;        /* … since then */
	struct mono due;            /* when it is looked at next; 0 = now */
	struct mono sought_at;      /* when somebody was looked for there last; 0 = never … */
	enum probe_answer found;    /* … and what was found */
};

struct identities {
	struct agent *a;
	struct map *faces; /* node name → struct face */
	struct timer *timer;
	struct op *op;
	struct face *shown; /* to whom `op` belongs … */
	char addr[PEER_ADDR_SIZE]; /* … and where it looks */
	char self[PEER_ADDR_SIZE]; /* our own address */
	struct timer *here_timer;
	int64_t here_ms;
	int here_left;
};

/* ---- what is known ---- */

static struct face *face_of(struct agent *a, const char *node)
{
	struct face *f = map_get(a->identities->faces, node);
	cleanup(freep) char *key = NULL, *print = NULL;

	if (f)
		return f;
	key = str_format(META_PRINT, node);
	print = store_get_meta(a->store, key);
	f = mem_new(struct face);
	f->node = intern(node);
	f->kept = print != NULL;
	(void)str_copy(f->print, sizeof(f->print), str_or(print, ""));
	(void)map_put(a->identities->faces, f->node, f);
	return f;
}

static void put_meta(struct agent *a, const char *key, const char *value)
{
	if (store_batch_begin(a) < 0 || store_put_meta(a->store, key, value) < 0)
		a->store_failed = true;
}

static void face_keep(struct agent *a, struct face *f)
{
	cleanup(freep) char *key = str_format(META_PRINT, f->node);

	put_meta(a, key, f->print);
	f->kept = true;
}

void identities_forget(struct agent *a, const char *node)
{
	struct identities *all = a->identities;
	cleanup(freep) char *key = str_format(META_PRINT, node);
	struct face *f = map_remove(all->faces, node);

	if (store_batch_begin(a) < 0 || store_delete_meta(a->store, key) < 0)
		a->store_failed = true;
	if (f && all->shown == f) {
		op_cancelp(&all->op);
		all->shown = NULL;
	}
	free(f);
}

void identities_rewrite(struct agent *a)
{
	map_for_each (struct face, f, a->identities->faces)
		if (f->print[0])
			face_keep(a, f);
	if (a->identities->self[0])
		put_meta(a, META_ADDR, a->identities->self);
}

const char *identities_print(const struct agent *a, const char *node)
{
	const struct face *f = map_get(a->identities->faces, node);

	return f && f->print[0] ? f->print : NULL;
}

/* ---- renewing ---- */

static bool is_our_neighbour(const struct agent *a, const struct peer *p)
{
	const struct peer *self = peers_find(&a->peers, a->self);

	return self && p != self && p->standing == PEER_MEMBER && p->status == PEER_ALIVE && p->site == self->site &&
	       p->addr[0];
}

/* Who was not looked at for the longest time. What the store knows of one is read when it is its turn: not of all at once. */
static const struct peer *next_to_look_at(const struct agent *a, struct mono *out_due)
{
	const struct peer *next = NULL;

	for (size_t i = 0; i < a->peers.count; i++) {
		const struct peer *p = &a->peers.items[i];
		const struct face *f = map_get(a->identities->faces, p->name);
		struct mono due = f ? f->due : (struct mono){0};

		if (!is_our_neighbour(a, p) || (next && due.ns >= out_due->ns))
			continue;
		next = p;
		*out_due = due;
	}
	return next;
}

static void on_shown(void *arg, const struct identity *id)
{
	struct identities *all = arg;
	struct agent *a = all->a;
	struct face *f = take(all->shown);
	const struct peer *p = peers_find(&a->peers, f->node);

	all->op = NULL;
	f->due = mono_add_ms(loop_now(a->loop),
			     loop_jitter_ms(a->loop, id->print[0] ? IDENTITY_RENEW_MS : IDENTITY_RETRY_MS));
	if (!id->print[0] || !p || !is_our_neighbour(a, p) || !str_eq(p->addr, all->addr))
		return; /* what was there is not the member's */
	f->told[0] = '\0'; /* gossip is right */
	if (f->kept && str_eq(f->print, id->print))
		return;
	log_debug(LOG_HEAL, "kubelet certificate", "node=%s sha256=%s names_node=%d", f->node, id->print, id->kubelet);
	(void)str_copy(f->print, sizeof(f->print), id->print);
	face_keep(a, f);
}

static void on_look_due(void *arg)
{
	struct identities *all = arg;
	struct agent *a = all->a;
	struct mono due = {0}, now = loop_now(a->loop), later = mono_add_ms(now, IDENTITY_LOOK_MS);
	const struct peer *p = next_to_look_at(a, &due);

	if (!p || !mono_reached(now, due)) {
		timer_start_at(all->timer, p && due.ns < later.ns ? due : later);
		return;
	}
	timer_start_ms(all->timer, loop_jitter_ms(a->loop, IDENTITY_PACE_MS));
	if (all->op)
		return;
	all->shown = face_of(a, p->name);
	(void)str_copy(all->addr, sizeof(all->addr), p->addr);
	all->op = identity_start(a->loop,
				 &(struct identity_params){.addr = p->addr,
							   .node = p->name,
							   .print = all->shown->print,
							   .kubelet_port = (uint16_t)a->conf->kubelet_port,
							   .accept_ms = DIAL_TIMEOUT_MS,
							   .show_ms = IDENTITY_SHOW_MS},
				 on_shown, all);
	if (!all->op) /* no usable address */
		take(all->shown)->due = mono_add_ms(now, IDENTITY_RENEW_MS);
}

/* ---- where we are ---- */

static void on_here_due(void *arg)
{
	struct identities *all = arg;
	struct agent *a = all->a;
	cleanup(buf_fini) struct buf b = BUF_INIT;

	if (wire_put_here(&b, a->self, all->self) == 0)
		(void)serf_client_event(a->serf, WIRE_HERE_EVENT, b.data, b.len);
	if (--all->here_left > 0)
		timer_start_ms(all->here_timer, all->here_ms);
	else
		put_meta(a, META_ADDR, all->self);
	all->here_ms *= 3;
}

/* The first address ever is told by gossip in time. */
void identities_on_members(struct agent *a)
{
	struct identities *all = a->identities;
	const struct peer *self = peers_find(&a->peers, a->self);
	cleanup(freep) char *before = NULL;

	if (!self || !self->addr[0] || str_eq(all->self, self->addr))
		return;
	before = store_get_meta(a->store, META_ADDR);
	(void)str_copy(all->self, sizeof(all->self), self->addr);
	if (!before)
		put_meta(a, META_ADDR, all->self);
	if (!before || str_eq(before, all->self))
		return;
	log_info(LOG_SERF, "another address", "before=%s now=%s", before, all->self);
	all->here_left = HERE_TIMES;
	all->here_ms = HERE_FIRST_MS;
	timer_start_ms(all->here_timer, 0);
}

void identities_on_here(struct agent *a, const void *payload, size_t n)
{
	char node[NODE_NAME_SIZE], addr[PEER_ADDR_SIZE];
	const struct peer *p;
	struct face *f;

	if (wire_get_here(payload, n, node, addr) < 0) {
		metric_inc(METRIC_GOSSIP_DROPPED);
		return;
	}
	p = peers_find(&a->peers, node);
	if (!p || p->standing != PEER_MEMBER || p->name == a->self)
		return;
	f = face_of(a, p->name);
	if (str_eq(p->addr, addr) || str_eq(f->told, addr))
		return; /* known */
	if (mono_is_set(f->told_at) && mono_since_ms(loop_now(a->loop), f->told_at) < HERE_SPACING_MS) {
		metric_inc(METRIC_GOSSIP_DROPPED);
		return;
	}
	log_info(LOG_HEAL, "member has another address", "node=%s address=%s gossip=%s", p->name, addr, p->addr);
	(void)str_copy(f->told, PEER_ADDR_SIZE, addr);
	f->told_at = loop_now(a->loop);
	if (p->status == PEER_FAILED)
		witness_dial(a, p->name);
}

/* ---- looking for a suspect ---- */

/* At the address that gossip knows, and at the one that it told. */
struct seek {
	struct op op; /* first: the caller's handle */
	struct agent *a;
	const char *node; /* interned */
	struct op *at[2];
	enum probe_answer answer;
	seek_fn done;
	void *arg;
};

static void seek_cancel(struct op *op)
{
	struct seek *k = container_of(op, struct seek, op);

	op_cancelp(&k->at[0]);
	op_cancelp(&k->at[1]);
	loop_free_later(k->a->loop, k, free);
}

static void seek_found(const struct seek *k)
{
	struct face *f = face_of(k->a, k->node);

	f->sought_at = loop_now(k->a->loop);
	f->found = k->answer;
}

bool identities_found(const struct agent *a, const char *node, int64_t within_ms, enum probe_answer *out_answer)
{
	const struct face *f = map_get(a->identities->faces, node);

	if (!f || !mono_is_set(f->sought_at) || mono_since_ms(loop_now(a->loop), f->sought_at) >= within_ms)
		return false;
	*out_answer = f->found;
	return true;
}

static void seek_note(struct seek *k, enum probe_answer answer)
{
	bool lives = answer == PROBE_HEALER || answer == PROBE_KUBELET;

	k->answer = lives || k->answer == PROBE_SILENT ? answer : k->answer;
	if (lives || (!k->at[0] && !k->at[1])) {
		seek_found(k);
		seek_cancel(&k->op);
		k->done(k->arg, k->answer);
	}
}

static enum probe_answer who_lives(const struct identity *id)
{
	return id->healer ? PROBE_HEALER : id->kubelet ? PROBE_KUBELET : PROBE_SILENT;
}

static void on_gossiped(void *arg, const struct identity *id)
{
	struct seek *k = arg;
	enum probe_answer answer = who_lives(id);

	k->at[0] = NULL;
	if (answer == PROBE_SILENT && id->accepts && !id->other)
		answer = PROBE_ACCEPTS;
	seek_note(k, answer);
}

/* There it must show itself: anybody can tell an address. */
static void on_told(void *arg, const struct identity *id)
{
	struct seek *k = arg;

	k->at[1] = NULL;
	seek_note(k, who_lives(id));
}

struct op *identities_seek(struct agent *a, const char *node, int64_t show_ms, seek_fn done, void *arg)
{
	const struct peer *p = peers_find(&a->peers, node);
	const struct face *f = p ? face_of(a, node) : NULL;
	struct identity_params params = {.node = node,
					 .print = f ? f->print : "",
					 .kubelet_port = (uint16_t)a->conf->kubelet_port,
					 .healer_port = witness_http_port(a),
					 .accept_ms = DIAL_TIMEOUT_MS,
					 .show_ms = show_ms};
	struct seek *k;

	if (!p)
		return NULL;
	k = mem_new(struct seek);
	*k = (struct seek){.op.cancel = seek_cancel, .a = a, .node = f->node, .done = done, .arg = arg};
	params.addr = p->addr;
	k->at[0] = identity_start(a->loop, &params, on_gossiped, k);
	params.addr = f->told;
	if (f->told[0] && !str_eq(f->told, p->addr))
		k->at[1] = identity_start(a->loop, &params, on_told, k);
	if (k->at[0] || k->at[1])
		return &k->op;
	free(k);
	return NULL;
}

/* ---- beginning and end ---- */

void identities_new(struct agent *a)
{
	struct identities *all = mem_new(struct identities);

	*all = (struct identities){.a = a, .faces = map_new()};
	all->timer = timer_new(a->loop, "identities", on_look_due, all);
	all->here_timer = timer_new(a->loop, "here", on_here_due, all);
	timer_start_ms(all->timer, loop_jitter_ms(a->loop, IDENTITY_PACE_MS));
	a->identities = all;
}

void identities_free(struct agent *a)
{
	struct identities *all = take(a->identities);

	if (!all)
		return;
	op_cancelp(&all->op);
	timer_free(all->timer);
	timer_free(all->here_timer);
	map_for_each (struct face, f, all->faces)
		free(f);
	map_free(all->faces);
	free(all);
}
