/* gossip.c — members into peers, tags out, claims both ways
 *
 * A claim of ours goes out as a user event and is repeated every CLAIMS_REPEAT_MS while it lives, for those who were cut off, and
 * at once when a healer says hello: it may have missed it, and would take the pod for unclaimed. What comes in is bounded by
 * rates.c, in the name of each member and in all.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/wire.h"
#include "agent_int.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "blank.h"
#include "rates.h"

#define AUTH_KEY_MAX 4096
#define TAG_TEXT_SIZE 32
#define MIB (INT64_C(1) << 20)

/* ---- members ---- */

/* An agent that has just started has no tags for a moment: its site is what it was. */
static const char *site_of(const struct agent *a, const struct serf_member *m)
{
	const char *name = gossip_node_name(a, m->name);
	const char *tag = intern_stranger(serf_member_tag(m, "site"));
	const char *before = tag ? NULL : intern_stranger(roster_site(a, name));
	const struct node *n = tag || before ? NULL : view_node(a->view, name);

	return tag ? tag : before ? before : intern(n ? str_or(node_label(n, LABEL_ZONE), "") : "");
}

/* What is out of range is no tag. */
static bool tag_number(const struct serf_member *m, const char *key, int64_t most, int64_t *out)
{
	return num_parse_i64(serf_member_tag(m, key), -most, most, out) == 0;
}

/* Kubelet writes its node's name in small letters, serf does not. The exact spelling wins where both are Nodes. */
const char *gossip_node_name(const struct agent *a, const char *serf_name)
{
	char small[NODE_NAME_SIZE];

	if (view_node(a->view, serf_name) || str_eq(serf_name, a->self) || !str_copy(small, sizeof(small), serf_name))
		return serf_name;
	for (char *p = small; *p; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p - 'A' + 'a');
	if (str_eq(small, a->self))
		return a->self;
	return view_node(a->view, small) ? view_node(a->view, small)->name : serf_name;
}

/* False: it is no Node, and there were too many of those; it is not shown either. */
static bool peer_fill(const struct agent *a, const struct serf_member *m, struct peer *p)
{
	static const enum peer_status statuses[] = {
		[SERF_ALIVE] = PEER_ALIVE, [SERF_LEAVING] = PEER_LEAVING, [SERF_LEFT] = PEER_LEFT,
		[SERF_FAILED] = PEER_FAILED, [SERF_NONE] = PEER_UNKNOWN,
	};
	const char *name = intern_stranger(gossip_node_name(a, m->name));
	int64_t cpu = 0, mem = 0, pods = 0, protocol = 0;

	if (!name)
		return false;
	*p = (struct peer){ .name = name, .port = m->port, .status = statuses[m->status],
			    .status_since = m->status_since, .site = site_of(a, m) };
	(void)str_copy(p->addr, sizeof(p->addr), m->addr);
	p->left = p->status == PEER_LEFT || p->status == PEER_LEAVING;
	p->has_capacity = tag_number(m, "cpu", TAG_CPU_MAX, &cpu) && tag_number(m, "mem", TAG_MEM_MAX, &mem) &&
			  tag_number(m, "pods", TAG_PODS_MAX, &pods);
	p->free = (struct resources){ .cpu_milli = cpu, .mem_bytes = mem * MIB, .pods = pods };
	p->blank = str_eq(serf_member_tag(m, "mirror"), "none");
	p->api = str_eq(serf_member_tag(m, "api"), "1");
	p->protocol = tag_number(m, "v", UINT8_MAX, &protocol) && protocol > 0 ? (int)protocol : 0;
	return true;
}

void gossip_fill_peers(struct agent *a, const struct serf_members *m)
{
	free(a->peers.items);
	a->peers.items = mem_new_n(struct peer, m->count);
	a->peers.count = 0;
	for (size_t i = 0; i < m->count; i++)
		if (peer_fill(a, &m->items[i], &a->peers.items[a->peers.count]))
			a->peers.count++;
		else
			metric_inc(METRIC_GOSSIP_DROPPED);
}

static void count_members(const struct agent *a)
{
	double n[4] = { 0 };

	for (size_t i = 0; i < a->peers.count; i++)
		if (a->peers.items[i].status < PEER_UNKNOWN)
			n[a->peers.items[i].status]++;
	for (int i = 0; i < 4; i++)
		metric_set(METRIC_MEMBERS, i, n[i]);
}

static bool is_isolated(const struct agent *a)
{
	for (size_t i = 0; i < a->peers.count; i++)
		if (a->peers.items[i].name != a->self && a->peers.items[i].status == PEER_ALIVE)
			return false;
	return true;
}

static size_t count_alive(const struct agent *a)
{
	size_t n = 0;

	for (size_t i = 0; i < a->peers.count; i++)
		n += a->peers.items[i].status == PEER_ALIVE;
	return n;
}

static void on_members(void *arg, const struct serf_members *m, bool changed)
{
	struct agent *a = arg;

	a->peers.as_of = m->as_of;
	if (changed) {
		size_t alive = count_alive(a);

		gossip_fill_peers(a, m);
		metric_inc(METRIC_PEER_UPDATES);
		roster_apply(a);
		if (count_alive(a) > alive && a->link_repeats == 0)
			a->link_repeats = 1;	/* who comes back may have missed it */
		count_members(a);
		identities_on_members(a);
		witness_look(a);
		local_mark_silent(a);
		local_look_soon(a);
		think_soon(a);
	}
	if (is_isolated(a) && !a->isolated_before)
		roster_join(a);		/* at once; then with the idle timer */
	a->isolated_before = is_isolated(a);
	if ((mono_is_set(a->plan.next_due) && mono_reached(loop_now(a->loop), a->plan.next_due)) || think_has_slept(a))
		think_soon(a);
}

/* ---- tags ---- */

struct resources local_free(const struct agent *a)
{
	const struct node *n = view_node(a->view, a->self);
	struct resources left = n ? n->allocatable : (struct resources){ 0 };

	if (!n)
		return left;
	if (removal_is_under_way(a))
		return (struct resources){ 0 };
	list_for_each(p, &n->pods, struct pod, by_node)
		if (pod_is_active(p) && !(p->is_mirror && p->original_uid) && !map_get(a->copies, p->uid))
			resources_sub(&left, &p->request);
	map_for_each(struct copy, c, a->copies)		/* counted here, not by their picture in the API */
		resources_sub(&left, &c->request);
	return left;
}

static void set_number_tag(struct agent *a, const char *key, int64_t v)
{
	char text[TAG_TEXT_SIZE];

	(void)snprintf(text, sizeof(text), "%lld", (long long)v);
	(void)serf_client_set_tag(a->serf, key, text);
}

/* Small changes are not worth a broadcast to the whole cluster. */
static void set_stepped_tag(struct agent *a, const char *key, int64_t v, int64_t *last, int64_t step)
{
	if (*last != INT64_MIN && llabs(v - *last) < step && !(v <= 0 && *last > 0))
		return;
	*last = v;
	set_number_tag(a, key, v);
}

/* Free = allocatable − the larger of what is requested and what is in use. Load is told in coarse steps, with slack: while a
 * tag is under way two nodes may rank differently, and most changes of load mean nothing. For the same reason it rests while
 * the link is away. */
static void tags_update(struct agent *a)
{
	const struct node *n = view_node(a->view, a->self);
	struct resources left = local_free(a);
	int64_t idle;
	const char *site = a->conf->site;

	if (str_is_empty(site))
		site = n ? str_or(node_label(n, LABEL_ZONE), "") : NULL;
	if (site)			/* not known without our Node: the others remember which it was */
		(void)serf_client_set_tag(a->serf, "site", site);
	(void)serf_client_set_tag(a->serf, "mirror", blank_is(a) ? "none" : NULL);
	(void)serf_client_set_tag(a->serf, "api", uplink_has_answers(a) ? "1" : "0");
	set_number_tag(a, "v", PEER_PROTOCOL);
	if (!n)
		return;			/* without our own Node we cannot bid */
	if (a->link.state == LINK_ONLINE && fabs(a->load.used - a->load_told) > LOAD_SLACK)
		a->load_told = round(a->load.used * LOAD_STEPS) / LOAD_STEPS;
	idle = n->allocatable.cpu_milli - (int64_t)(a->load_told * (double)n->allocatable.cpu_milli);
	left.cpu_milli = idle < left.cpu_milli ? idle : left.cpu_milli;
	set_stepped_tag(a, "cpu", left.cpu_milli, &a->cpu_tag, CPU_TAG_STEP);
	set_stepped_tag(a, "mem", left.mem_bytes >> 20, &a->mem_tag, MEM_TAG_STEP);
	set_number_tag(a, "pods", left.pods);
}

bool gossip_is_member(const struct agent *a, const char *node)
{
	const struct peer *p = peers_find(&a->peers, node);

	return p && p->standing == PEER_MEMBER;
}

static void send_link(struct agent *a)
{
	cleanup(buf_fini) struct buf b = BUF_INIT;

	wire_put_link(&b, a->self, uplink_has_answers(a));
	(void)serf_client_event(a->serf, WIRE_LINK_EVENT, b.data, b.len);
}

void gossip_tell_link(struct agent *a)
{
	a->link_repeats = LINK_REPEATS;
	a->claims_wait_ms = CLAIMS_SOON_MS;	/* what we claimed or ended before a restart may not have been told */
	timer_start_ms(a->claims_timer, CLAIMS_SOON_MS);
	gossip_tags_soon(a);
}

static void on_link_told(struct agent *a, const void *payload, size_t n)
{
	char node[NODE_NAME_SIZE];
	bool api;

	if (wire_get_link(payload, n, node, &api) < 0) {
		metric_inc(METRIC_GOSSIP_DROPPED);
	} else if (!str_eq(node, a->self) && gossip_is_member(a, node)) {
		heal_on_link(a->heal, node, api, loop_now(a->loop));
		think_soon(a);
	}
}

static void on_tags_due(void *arg)
{
	struct agent *a = arg;

	(void)cpu_load_sample(&a->load);
	tags_update(a);
	if (a->link_repeats > 0 && serf_client_is_up(a->serf)) {
		a->link_repeats--;
		send_link(a);
	}
	timer_start_ms(a->tags_timer, TAGS_MS);
}

void gossip_tags_soon(struct agent *a)
{
	struct mono soon = mono_add_ms(loop_now(a->loop), TAGS_SOON_MS);

	if (!timer_is_running(a->tags_timer) || timer_due(a->tags_timer).ns > soon.ns)
		timer_start_at(a->tags_timer, soon);
}

/* ---- claims ---- */

/* What travels together lies together. */
static int claim_order(const void *x, const void *y)
{
	const struct claim *a = x, *b = y;

	if (a->mirror != b->mirror)
		return a->mirror < b->mirror ? -1 : 1;
	if (a->epoch != b->epoch)
		return a->epoch < b->epoch ? -1 : 1;
	return a->rank != b->rank ? (a->rank < b->rank ? -1 : 1) : (int)a->state - (int)b->state;
}

void gossip_tell_claims(struct agent *a, struct claim *claims, size_t n)
{
	qsort(claims, n, sizeof(claims[0]), claim_order);
	for (size_t i = 0; i < n;) {
		cleanup(buf_fini) struct buf b = BUF_INIT;
		size_t told = wire_put_claims(&b, claims + i, n - i);
		int r;

		fault_pass(FAULT_CLAIM_SEND);
		r = told ? serf_client_event(a->serf, WIRE_CLAIM_EVENT, b.data, b.len) : -EINVAL;

		if (r < 0) {		/* repeated later; until then the others see no claim */
			metric_add(METRIC_EFFECT_ERRORS, EFFECT_CLAIM, 1);
			log_warn(LOG_SERF, "claim not told", "error=%s", err_str(r));
		}
		i += told ? told : 1;
	}
}

/* Claims that have just been made: told again soon. */
void gossip_new_claims(struct agent *a, struct claim *claims, size_t n)
{
	gossip_tell_claims(a, claims, n);
	a->claims_wait_ms = CLAIMS_SOON_MS;
	timer_start_ms(a->claims_timer, CLAIMS_SOON_MS);
}

static bool ended_long_ago(const struct agent *a, const struct claim *c)
{
	return c->state != CLAIM_LIVE && llabs(loop_wall(a->loop).ns - c->at.ns) > CLAIMS_ENDED_MS * NS_PER_MS;
}

struct own_claims { const struct agent *a; struct claim *items; size_t count; };

/* We gave the pod up and somebody else has taken it: the end of ours is told as well. */
static void add_given_up(struct own_claims *own, const struct claim *c)
{
	struct claim *mine = &own->items[own->count++];

	*mine = *c;
	mine->state = CLAIM_WITHDRAWN;
	(void)str_copy(mine->node, sizeof(mine->node), own->a->self);
}

static void collect_own(void *arg, const struct claim *c)
{
	struct own_claims *own = arg;
	const struct copy *copy = map_get(own->a->copies, c->pod_uid);

	if (ended_long_ago(own->a, c))
		return;			/* everybody knows */
	if (copy && copy->end_untold)
		return;			/* it may not have stopped yet */
	if (str_eq(c->node, own->a->self))	/* ended ones too: somebody who was away may wait for the end */
		own->items[own->count++] = *c;
	else if (claims_has_given_up(heal_claims(own->a->heal), c->pod_uid, own->a->self))
		add_given_up(own, c);
}

static void on_claims_due(void *arg)
{
	struct agent *a = arg;
	size_t known = claims_count(heal_claims(a->heal));
	struct own_claims own = { .a = a };

	a->claims_wait_ms = 5 * a->claims_wait_ms < CLAIMS_REPEAT_MS ? 5 * a->claims_wait_ms : CLAIMS_REPEAT_MS;
	timer_start_ms(a->claims_timer, loop_jitter_ms(a->loop, a->claims_wait_ms));
	if (!known || !serf_client_is_up(a->serf))
		return;
	own.items = mem_new_n(struct claim, known);
	claims_each(heal_claims(a->heal), collect_own, &own);
	if (own.count)
		gossip_tell_claims(a, own.items, own.count);
	free(own.items);
}

/* A claim is one of a member's, and follows what is known of its pod: a forged epoch at the end of the range would decide
 * for ever. */
static bool is_believable(const struct agent *a, const struct claim *c)
{
	uint32_t known = claims_epoch(heal_claims(a->heal), c->pod_uid);

	return gossip_is_member(a, c->node) && (c->epoch <= known || c->epoch - known <= EPOCH_JUMP_MAX);
}

static void on_claim(struct agent *a, const struct claim *c)
{
	enum claim_news news;

	if (claims_count(heal_claims(a->heal)) >= CLAIMS_MAX || !is_believable(a, c) ||
	    !rates_may(a->rates, RATE_CHANGES, c->node, loop_now(a->loop))) {
		metric_inc(METRIC_GOSSIP_DROPPED);
		return;
	}
	news = heal_on_claim(a->heal, c, loop_now(a->loop));
	if (news == CLAIM_NEWS_NONE)
		return;
	(void)rates_take(a->rates, RATE_CHANGES, c->node, loop_now(a->loop));
	log_debug(LOG_HEAL, "claim", "pod=%s by=%s epoch=%u rank=%u state=%s", c->pod_uid, c->node, c->epoch, c->rank,
		  claim_state_name(c->state));
	if (news == CLAIM_NEWS_TAKEN_OVER || news == CLAIM_NEWS_BEATEN)
		metric_add(METRIC_CLAIMS, 3, 1);
	if (news != CLAIM_NEWS_BEATEN && store_batch_begin(a) == 0 && store_put_claim(a->store, c) < 0)
		a->store_failed = true;
	think_soon(a);
}

struct old_claims { const struct agent *a; struct claim *items; size_t count; };

static void collect_old(void *arg, const struct claim *c)
{
	struct old_claims *old = arg;

	if (!map_get(old->a->copies, c->pod_uid) && (ended_long_ago(old->a, c) || !heal_claim_is_in_use(old->a->view, c)))
		old->items[old->count++] = *c;
}

/* Once neither the pod nor a copy of it is there nobody needs to know any more. As long as there is one its epoch counts on. */
static int claim_tidy(struct agent *a, const struct claim *c)
{
	const struct claim *settled;

	if (heal_claim_is_in_use(a->view, c)) {
		settled = heal_settle_claim(a->heal, c->pod_uid);
		return settled && (store_batch_begin(a) < 0 || store_put_claim(a->store, settled) < 0) ? -EIO : 0;
	}
	heal_forget_claim(a->heal, c->pod_uid);
	return store_batch_begin(a) < 0 || store_delete_claim(a->store, c->pod_uid) < 0 ? -EIO : 0;
}

void gossip_forget_claims(struct agent *a)
{
	struct old_claims old = { .a = a };

	if (a->link.state != LINK_ONLINE || !mono_is_set(a->synced_at) || !claims_count(heal_claims(a->heal)))
		return;
	old.items = mem_new_n(struct claim, claims_count(heal_claims(a->heal)));
	claims_each(heal_claims(a->heal), collect_old, &old);
	for (size_t i = 0; i < old.count; i++)
		a->store_failed |= claim_tidy(a, &old.items[i]) < 0;
	free(old.items);
}

/* A message names pods by half their uid; these are the pods that may be meant. */
struct inbox {
	struct agent *a;
	struct claim *items;
	size_t count, known;
	struct map *by_prefix;		/* half a uid → struct claim in items */
};

static void inbox_add(void *arg, const struct claim *c)
{
	struct inbox *in = arg;

	if (str_eq(c->node, in->a->self))
		return;			/* our own event comes back to us */
	in->items[in->count] = *c;
	(void)map_put(in->by_prefix, in->items[in->count].pod_uid, &in->items[in->count]);
	in->count++;
}

static void inbox_offer(struct inbox *in, const char *uid)
{
	char prefix[WIRE_UID_LEN + 1];
	struct claim *c, whole;

	(void)str_copy(prefix, sizeof(prefix), uid);
	c = map_get(in->by_prefix, prefix);
	if (!c)
		return;
	whole = *c;
	(void)map_remove(in->by_prefix, prefix);
	(void)str_copy(whole.pod_uid, sizeof(whole.pod_uid), uid);
	in->known++;
	on_claim(in->a, &whole);
}

static void offer_claimed(void *arg, const struct claim *c)
{
	char uid[UID_SIZE];

	(void)str_copy(uid, sizeof(uid), c->pod_uid);	/* what it says may change the claim under us */
	inbox_offer(arg, uid);
}

/* A lost pod is deleted while its copy still runs: the end of a claim must be understood then too. */
static void inbox_resolve(struct inbox *in)
{
	struct map_entry *e, *next;

	for (e = map_first(in->a->copies); e && in->known < in->count; e = next) {
		next = map_next(e);
		inbox_offer(in, map_key(e));
	}
	if (in->known < in->count)
		claims_each(heal_claims(in->a->heal), offer_claimed, in);
	for (e = map_first(in->a->view->pods); e && in->known < in->count; e = map_next(e))
		inbox_offer(in, map_key(e));
}

static void on_claims_told(struct agent *a, const void *payload, size_t n)
{
	struct inbox in = { .a = a };

	in.items = mem_new_n(struct claim, UINT8_MAX);
	in.by_prefix = map_new();
	if (wire_get_claims(payload, n, inbox_add, &in) < 0)
		metric_inc(METRIC_GOSSIP_DROPPED);
	inbox_resolve(&in);		/* a new claim on a pod that nobody here knows is of no use to us */
	map_free(in.by_prefix);
	free(in.items);
}

/* Never later than they would be told anyway: else a stream of hellos puts it off for ever. */
static void on_hello(struct agent *a, const void *payload, size_t n)
{
	struct mono due = mono_add_ms(loop_now(a->loop), (int64_t)(loop_random(a->loop) % HELLO_SPREAD_MS));

	(void)payload;
	(void)n;
	if (!timer_is_running(a->claims_timer) || due.ns < timer_due(a->claims_timer).ns)
		timer_start_at(a->claims_timer, due);
}

static const struct {
	const char *name;
	void (*on_told)(struct agent *a, const void *payload, size_t n);
} events[] = {
	{ WIRE_CLAIM_EVENT, on_claims_told },
	{ WIRE_HELLO_EVENT, on_hello },
	{ WIRE_LINK_EVENT, on_link_told },
	{ WIRE_HERE_EVENT, identities_on_here },
	{ WIRE_GOODBYE_EVENT, goodbye_on_told },
};

static void on_user_event(void *arg, const char *name, const void *payload, size_t n)
{
	struct agent *a = arg;
	char node[NODE_NAME_SIZE] = "";
	bool named = wire_event_node(name, payload, n, node);

	if (named && str_eq(node, a->self))
		return;			/* our own comes back to us */
	for (size_t i = 0; i < ARRAY_LEN(events); i++) {
		if (!str_eq(name, events[i].name))
			continue;
		if (rates_take(a->rates, RATE_MESSAGES, named && gossip_is_member(a, node) ? node : NULL, loop_now(a->loop)))
			events[i].on_told(a, payload, n);
		else
			metric_inc(METRIC_GOSSIP_DROPPED);
	}
}

static void on_query(void *arg, uint64_t id, const char *name, const void *payload, size_t n)
{
	struct agent *a = arg;

	if (rates_take(a->rates, RATE_QUESTIONS, NULL, loop_now(a->loop)))
		witness_on_query(a, id, name, payload, n);
	else
		metric_inc(METRIC_GOSSIP_DROPPED);
}

/* ---- the connection ---- */

static void on_up(void *arg)
{
	struct agent *a = arg;
	const char *name = serf_client_self(a->serf);

	metric_set(METRIC_SERF_UP, 0, 1);
	if (!str_eq(gossip_node_name(a, name), a->self))
		log_error(LOG_SERF, "wrong agent", "serf calls itself %s, we are %s: start it with -node=%s", name, a->self,
			  a->self);
	log_info(LOG_SERF, "connected", "agent=%s", name);
	a->isolated_before = false;
	a->link_repeats = LINK_REPEATS;
	(void)serf_client_event(a->serf, WIRE_HELLO_EVENT, "", 0);	/* what we missed while we were not there */
	gossip_tags_soon(a);
}

static void on_down(void *arg, const char *reason)
{
	struct agent *a = arg;

	metric_set(METRIC_SERF_UP, 0, 0);
	log_warn(LOG_SERF, "agent is away", "reason=\"%s\" acting=stopped", reason);
	witness_forget_questions(a);	/* their ids were of that connection */
}

int gossip_read_auth_key(const char *path, char *out, size_t size)
{
	int r = 0;

	out[0] = '\0';
	if (!str_is_empty(path))
		r = file_read_line(path, out, size);
	return r == 0 && !str_is_empty(path) && !out[0] ? -EINVAL : r;
}

int gossip_new(struct agent *a)
{
	char key[AUTH_KEY_MAX];
	struct serf_client_conf conf = { .rpc_addr = a->conf->serf_rpc, .auth_key = key, .poll_ms = a->conf->serf_poll_ms };
	struct serf_handlers h = { .arg = a, .on_up = on_up, .on_down = on_down, .on_members = on_members,
				   .on_user_event = on_user_event, .on_query = on_query };
	int r = gossip_read_auth_key(a->conf->serf_auth_key_file, key, sizeof(key));

	if (r < 0) {
		log_error(LOG_SERF, "auth key", "serf.auth_key_file=%s: %s", a->conf->serf_auth_key_file, err_str(r));
		return r;
	}
	conf.request_timeout_ms = a->conf->serf_peer_ttl_ms;	/* an answer later than this is of no use */
	a->rates = rates_new();
	a->cpu_tag = a->mem_tag = INT64_MIN;
	a->load = (struct cpu_load)CPU_LOAD_INIT;
	a->tags_timer = timer_new(a->loop, "tags", on_tags_due, a);
	a->claims_timer = timer_new(a->loop, "claims", on_claims_due, a);
	r = serf_client_new(a->loop, &conf, &h, &a->serf);
	explicit_bzero(key, sizeof(key));
	if (r < 0)
		log_error(LOG_SERF, "address", "serf.rpc=%s is no host:port", a->conf->serf_rpc);
	timer_start_ms(a->tags_timer, 0);
	a->claims_wait_ms = CLAIMS_REPEAT_MS;
	timer_start_ms(a->claims_timer, CLAIMS_REPEAT_MS);
	return r;
}

void gossip_free(struct agent *a)
{
	op_cancelp(&a->join);
	witness_free(a);
	timer_free(a->tags_timer);
	timer_free(a->claims_timer);
	serf_client_free(a->serf);
	rates_free(a->rates);
	free(a->peers.items);
}
