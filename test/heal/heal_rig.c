/* heal_rig.c — facts by hand */
#include "heal_rig.h"

#include "base/json.h"

void rig_init(struct rig *g, size_t nodes)
{
	*g = (struct rig){ .now = { 1000 * MS_PER_S * NS_PER_MS }, .view = view_new(), .copies = map_new() };
	g->peers = (struct peers){ .items = g->items, .count = nodes };
	for (size_t i = 0; i < nodes; i++) {
		char name[32];
		struct node *n = node_new();

		(void)snprintf(name, sizeof(name), "n%zu", i + 1);
		n->name = intern(name);
		n->ready = true;
		n->allocatable = (struct resources){ 4000, 8 * GIB, 110 };
		g->items[i] = (struct peer){ .name = n->name, .status = PEER_ALIVE, .status_since = g->now, .site = intern(""),
					     .free = n->allocatable, .has_capacity = true, .protocol = PEER_PROTOCOL };
		view_put_node(g->view, n);
	}
	g->conf = (struct heal_conf){ .self = intern("n1"), .site = intern(""), .namespaces = { "*", "!kube-system" },
				      .namespace_count = 2, .bind_grace_ms = 200, .node_grace_ms = 1000, .claim_timeout_ms = 500,
				      .start_timeout_ms = 10000, .peer_ttl_ms = 2000, .gone_grace_ms = 60000, .witnesses = 2,
				      .local_grace_ms = 5000, .doubt_ms = 60000, .stop_after_ms = 20000,
				      .max_lost_percent = 50, .restores_per_minute = 120 };
	g->heal = heal_new(&g->conf);
	g->f = (struct heal_facts){ .view = g->view, .peers = &g->peers, .copies = g->copies, .link = LINK_OFFLINE,
				    .link_since = g->now, .local_free = { 4000, 8 * GIB, 110 } };
}

void rig_fini(struct rig *g)
{
	heal_free(g->heal);
	map_for_each(struct copy, c, g->copies)
		copy_free(c);
	map_free(g->copies);
	view_free(g->view);
	plan_fini(&g->plan);
	constraints_fini();
}

void rig_reconf(struct rig *g)
{
	heal_set_conf(g->heal, &g->conf);
}

struct peer *rig_peer(struct rig *g, const char *name)
{
	for (size_t i = 0; i < g->peers.count; i++)
		if (str_eq(g->items[i].name, name))
			return &g->items[i];
	fail_msg("no peer %s", name);
	return NULL;
}

struct node *rig_node(struct rig *g, const char *name)
{
	return view_node(g->view, name);
}

struct workload *rig_rs(struct rig *g, const char *name, int32_t replicas)
{
	struct workload *w = workload_new();

	(void)snprintf(w->uid, sizeof(w->uid), "rs-%s", name);
	w->name = str_dup(name);
	w->ns = intern("default");
	w->replicas = replicas;
	view_put_workload(g->view, w);
	return w;
}

struct pod *rig_pod(struct rig *g, const char *name, const char *rs, const char *node)
{
	struct pod *p = pod_new();
	char owner[UID_SIZE];

	(void)snprintf(p->uid, sizeof(p->uid), "uid-%s", name);
	(void)snprintf(owner, sizeof(owner), "rs-%s", rs);
	p->name = str_dup(name);
	p->ns = intern("default");
	p->owner = intern(owner);
	p->node = intern(node);
	p->phase = node ? POD_RUNNING : POD_PENDING;
	p->ready = node != NULL;
	p->ready_since.ns = node ? 1 : 0;
	p->request = (struct resources){ 100, GIB / 8, 1 };
	p->constraints = constraints_find("none");
	if (!p->constraints)
		p->constraints = constraints_intern("none", mem_new(struct constraints));
	view_put_pod(g->view, p, g->now);
	return p;
}

struct copy *rig_copy(struct rig *g, const char *uid, enum copy_state state)
{
	const struct pod *p = view_pod(g->view, uid);
	struct copy *c = copy_new();

	(void)str_copy(c->pod_uid, sizeof(c->pod_uid), uid);
	(void)str_copy(c->workload_uid, sizeof(c->workload_uid), p->owner);
	c->lost_node = str_dup(p->node);
	c->epoch = 1;
	c->state = state;
	c->claimed.ns = 1000;
	c->request = p->request;
	(void)map_put(g->copies, c->pod_uid, c);
	(void)rig_claim(g, uid, g->conf.self, 1, CLAIM_LIVE);
	return c;
}

void rig_copy_gone(struct rig *g, const char *uid)
{
	copy_free(map_remove(g->copies, uid));
}

enum claim_news rig_claim(struct rig *g, const char *uid, const char *node, uint32_t epoch, enum claim_state state)
{
	struct claim c = { .epoch = epoch, .state = state };

	(void)str_copy(c.pod_uid, sizeof(c.pod_uid), uid);
	(void)str_copy(c.node, sizeof(c.node), node);
	return heal_on_claim(g->heal, &c, g->now);
}

void rig_status(struct rig *g, const char *node, enum peer_status s)
{
	rig_peer(g, node)->status = s;
	rig_peer(g, node)->status_since = g->now;
}

void rig_link(struct rig *g, enum link_state s)
{
	g->f.link = s;
	g->f.link_since = g->now;
	g->f.synced_at = s == LINK_ONLINE ? g->now : (struct mono){ 0 };
}

void rig_tick(struct rig *g)
{
	struct tick t = { .now = g->now, .tilted = g->tilted };

	g->peers.as_of = g->now;
	heal_tick(g->heal, &t, &g->f, &g->plan);
	if (mono_is_set(g->plan.next_due) && mono_reached(g->now, g->plan.next_due))
		fail_msg("the plan spins: next_due is %lld ns ago", (long long)(g->now.ns - g->plan.next_due.ns));
}

void rig_after(struct rig *g, int64_t ms)
{
	g->now = mono_add_ms(g->now, ms);
	rig_tick(g);
}

void rig_lose_evidence(struct rig *g, const char *node)
{
	rig_status(g, node, PEER_FAILED);
	rig_tick(g);
	assert_non_null(rig_find(g, ACTION_PROBE, node));
	heal_on_probe(g->heal, node, PROBE_SILENT, g->now);
	rig_after(g, g->conf.node_grace_ms);
	assert_non_null(rig_find(g, ACTION_WITNESS, node));
	heal_on_probe(g->heal, node, PROBE_SILENT, g->now);		/* the second one */
	for (size_t i = 0; i < g->peers.count; i++)
		if (g->items[i].status == PEER_ALIVE)
			rig_voice(g, node, g->items[i].name, false);
}

void rig_lose(struct rig *g, const char *node)
{
	rig_lose_evidence(g, node);
	rig_after(g, 1);
}

void rig_voice(struct rig *g, const char *node, const char *from, bool sees)
{
	heal_on_witness(g->heal, node, from, (struct witness){ .sees = sees }, g->now);
}

size_t rig_effects(const struct rig *g)
{
	return g->plan.count - rig_count(g, ACTION_PROBE) - rig_count(g, ACTION_WITNESS) - rig_count(g, ACTION_READ_LEASE) -
	       rig_count(g, ACTION_ASK_BLANK);
}

size_t rig_count(const struct rig *g, enum action_kind kind)
{
	size_t n = 0;

	for (size_t i = 0; i < g->plan.count; i++)
		n += g->plan.items[i].kind == kind;
	return n;
}

const struct action *rig_find(const struct rig *g, enum action_kind kind, const char *what)
{
	for (size_t i = 0; i < g->plan.count; i++) {
		const struct action *a = &g->plan.items[i];

		if (a->kind == kind && (str_eq(a->pod_uid, what) || str_eq(a->node, what)))
			return a;
	}
	return NULL;
}

struct loss_wanted { const char *uid; struct loss_view v; bool found; };

static void find_loss(void *arg, const struct loss_view *l)
{
	struct loss_wanted *w = arg;

	if (!str_eq(l->pod_uid, w->uid))
		return;
	w->v = *l;
	w->found = true;
}

bool rig_loss(const struct rig *g, const char *uid, struct loss_view *out)
{
	struct loss_wanted w = { .uid = uid };

	heal_each_loss(g->heal, find_loss, &w);
	*out = w.v;
	return w.found;
}

const char *rig_rank(const struct rig *g, const char *uid, size_t k)
{
	struct loss_view v;

	return rig_loss(g, uid, &v) && k < v.rank_count ? v.ranks[k] : NULL;
}

struct suspect_wanted { const char *node; struct suspect_view v; bool found; };

static void find_suspect(void *arg, const struct suspect_view *s)
{
	struct suspect_wanted *w = arg;

	if (!str_eq(s->node, w->node))
		return;
	w->v = *s;
	w->found = true;
}

bool rig_view(const struct rig *g, const char *node, struct suspect_view *out)
{
	struct suspect_wanted w = { .node = node };

	heal_each_suspect(g->heal, find_suspect, &w);
	*out = w.v;
	return w.found;
}

enum suspect_state rig_suspect(const struct rig *g, const char *node)
{
	struct suspect_view v;

	if (!rig_view(g, node, &v))
		fail_msg("%s is no suspect", node);
	return v.state;
}

void rig_only_me(struct rig *g)
{
	for (size_t i = 1; i < g->peers.count; i++)
		g->items[i].has_capacity = false;
}

void rig_rank_first(struct rig *g, const char *first)
{
	rig_peer(g, first)->free.cpu_milli = 3000;
	for (size_t i = 0; i < g->peers.count; i++)
		if (!str_eq(g->items[i].name, first))
			g->items[i].free.cpu_milli = g->items[i].name == g->conf.self ? 1000 : 2000 + (int64_t)i;
}

void rig_lists(struct node *n, const char *const *images, size_t count)
{
	cleanup(json_putp) json_object *list = json_new_array();

	for (size_t i = 0; i < count; i++) {
		json_object *o = json_new_object(), *names = json_new_array();

		json_append_str(names, images[i]);
		json_set(o, "names", names);
		json_append(list, o);
	}
	image_list_fini(&n->images);
	image_list_read(&n->images, list);
}

void rig_needs(struct workload *w, const char *image)
{
	w->images = mem_resize(w->images, w->image_count + 1, sizeof(w->images[0]));
	w->images[w->image_count++] = image_hash(image);
}

/* ---- at most once ---- */

struct workload *rig_once_rs(struct rig *g, int32_t replicas)
{
	struct workload *w = rig_rs(g, "one", replicas);

	w->policy = POLICY_AT_MOST_ONCE;
	return w;
}

size_t rig_asked_by(struct rig *g, const char *node, const char *fenced[HEAL_MINE_MAX])
{
	return heal_asked_grant(g->heal, &(struct grant_question){ node, g->conf.stop_after_ms }, fenced, g->now);
}

size_t rig_fenced_for(struct rig *g, const char *node)
{
	const char *fenced[HEAL_MINE_MAX];

	return rig_asked_by(g, node, fenced);
}

void rig_all_ask(struct rig *g)
{
	for (size_t i = 1; i < g->peers.count; i++)
		(void)rig_fenced_for(g, g->items[i].name);
}

bool rig_ask_fence(struct rig *g, const char *node, const char *asker)
{
	struct fence_question q = { "uid-one-1", node, asker, g->f.mirror_version + 1 };

	return heal_asked_fence(g->heal, g->view, &g->peers, &q, g->now);
}
