/* lists.c — /v1/pods, members, claims, readiness and history: {"items": […], "metadata": {"continue": "…"}}
 *
 * A page holds keys, not objects: while it is sent in slices the mirror goes on changing, and each object is looked up
 * when its turn comes. One that is gone by then is left out.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "objects.h"
#include "surface.h"
#include "web/page.h"

#define LIST_SMALL 100 /* more objects than this are a large answer, one at a time */
#define HISTORY_DEFAULT 100
#define HISTORY_STEP 50 /* rows read at once */

struct filter {
	const char *node, *ns;
}; /* "" or NULL = all */

/* One kind of list. */
struct list_kind {
	const char *name; /* in tokens */
	size_t (*count)(const struct agent *a);
	void (*offer)(const struct agent *a, const struct filter *f, struct page *p);
	json_object *(*show)(const struct agent *a, const char *key); /* NULL = it is gone */
};

struct listing {
	const struct agent *a;
	const struct list_kind *kind;
	struct page page;
	size_t at;
	bool begun, any;
};

/* ---- a page, slice after slice ---- */

static void add_begin(struct buf *out, bool *begun)
{
	if (!*begun)
		buf_adds(out, "{\"items\":[");
	*begun = true;
}

static void add_item(struct buf *out, bool *any, json_object *o)
{
	if (*any)
		buf_adds(out, ",\n");
	*any = true;
	surface_add_json(out, o);
}

/* `key`: the last one of this page if there is more behind it, else NULL. remaining < 0: not known. */
static void add_end(struct buf *out, const char *kind, const char *key, int64_t remaining)
{
	buf_adds(out, "],\"metadata\":{");
	if (key) {
		buf_adds(out, "\"continue\":\"");
		page_token_add(out, kind, key);
		buf_addc(out, '"');
		if (remaining >= 0)
			buf_addf(out, ",\"remainingItemCount\":%lld", (long long)remaining);
	}
	buf_adds(out, "}}\n");
}

static bool listing_next(void *state, struct buf *out)
{
	struct listing *l = state;
	const struct page *p = &l->page;

	add_begin(out, &l->begun);
	while (l->at < p->count && out->len < WEB_SLICE) {
		json_object *o = l->kind->show(l->a, p->keys[l->at++]);

		if (o)
			add_item(out, &l->any, o);
	}
	if (l->at < p->count)
		return true;
	add_end(out, l->kind->name, p->beyond ? p->keys[p->count - 1] : NULL, (int64_t)p->beyond);
	return false;
}

static void listing_free(void *state)
{
	struct listing *l = state;

	page_fini(&l->page);
	free(l);
}

/* ?limit= and ?continue=. False: *rs says what is wrong. */
static bool read_page(const struct web_request *rq, struct web_response *rs, const char *kind, int64_t *limit,
		      char after[PAGE_KEY_MAX])
{
	const char *text = web_query(rq, "limit"), *token = web_query(rq, "continue");

	after[0] = '\0';
	if (text && num_parse_i64(text, 1, PAGE_LIMIT_MAX, limit) < 0)
		web_error(rs, 400, "limit: write a number from 1 to %d", PAGE_LIMIT_MAX);
	else if (!str_is_empty(token) && page_token_read(token, kind, after) < 0)
		web_error(rs, 400, "continue: this is no token of this list; ask without it for the beginning");
	else
		return true;
	return false;
}

static void list(const struct agent *a, const struct list_kind *kind, const struct web_request *rq,
		 struct web_response *rs)
{
	const struct filter f = {web_query(rq, "node"), web_query(rq, "namespace")};
	int64_t limit = PAGE_LIMIT_DEFAULT;
	char after[PAGE_KEY_MAX];
	struct listing *l;
	size_t count = kind->count(a);

	if (!read_page(rq, rs, kind->name, &limit, after))
		return;
	if ((count < (size_t)limit ? count : (size_t)limit) > LIST_SMALL && !web_large(rq, rs))
		return;
	l = mem_new(struct listing);
	*l = (struct listing){.a = a, .kind = kind};
	page_init(&l->page, (size_t)limit);
	(void)str_copy(l->page.after, sizeof(l->page.after), after);
	kind->offer(a, &f, &l->page);
	page_pick(&l->page);
	rs->stream = (struct web_stream){listing_next, listing_free, l};
}

static bool is_wanted(const char *wanted, const char *value)
{
	return str_is_empty(wanted) || str_eq(wanted, value);
}

/* ---- members ---- */

static size_t members_count(const struct agent *a)
{
	return a->peers.count;
}

static void members_offer(const struct agent *a, const struct filter *f, struct page *p)
{
	(void)f;
	for (size_t i = 0; i < a->peers.count; i++)
		page_offer(p, a->peers.items[i].name);
}

static json_object *member_show(const struct agent *a, const char *name)
{
	static const char *const statuses[] = {"alive", "leaving", "left", "failed", "unknown"};
	static const char *const standings[] = {"member", "newcomer", "stranger"};
	const struct peer *p = peers_find(&a->peers, name);
	json_object *o;

	if (!p)
		return NULL;
	o = json_new_object();
	json_set_str(o, "node", p->name);
	json_set_str(o, "address", p->addr);
	json_set_str(o, "status", statuses[p->status]);
	json_set_bool(o, "left", p->left);
	json_set_bool(o, "forgotten", p->forgotten);
	json_set_str(o, "standing", standings[p->standing]);
	json_set_str(o, "site", p->site);
	json_set_str(o, "kubeletCertificate", identities_print(a, p->name));
	json_set_bool(o, "api", p->api);
	json_set_bool(o, "canBid", p->status == PEER_ALIVE && p->has_capacity && !p->blank && view_node(a->view, p->name));
	if (p->blank)
		json_set_str(o, "mirror", "none");
	if (p->has_capacity) {
		json_set_i64(o, "cpuMilli", p->free.cpu_milli);
		json_set_i64(o, "memoryMiB", p->free.mem_bytes >> 20);
		json_set_i64(o, "pods", p->free.pods);
	}
	surface_set_mono(a, o, "since", p->status_since);
	return o;
}

void list_members(void *arg, const struct web_request *rq, struct web_response *rs)
{
	static const struct list_kind kind = {"members", members_count, members_offer, member_show};

	list(arg, &kind, rq, rs);
}

/* ---- pods ---- */

static size_t pods_count(const struct agent *a)
{
	return map_count(a->view->pods);
}

static void pods_offer(const struct agent *a, const struct filter *f, struct page *p)
{
	map_for_each(struct pod, pod, a->view->pods)
		if (is_wanted(f->node, pod->node) && is_wanted(f->ns, pod->ns))
			page_offer(p, pod->uid);
}

static const char *phase_name(const struct pod *p)
{
	static const char *const phases[] = {"Pending", "Running", "Succeeded", "Failed", "Unknown"};

	return p->deleting ? "Terminating" : phases[p->phase];
}

static json_object *pod_show(const struct agent *a, const char *uid)
{
	const struct pod *p = view_pod(a->view, uid);
	const struct workload *w = p && p->owner ? view_workload(a->view, p->owner) : NULL;
	json_object *o;

	if (!p)
		return NULL;
	o = json_new_object();
	json_set_str(o, "namespace", p->ns);
	json_set_str(o, "pod", p->name);
	json_set_str(o, "uid", p->uid);
	json_set_str(o, "node", p->node);
	json_set_str(o, "replicaSet", w ? w->name : NULL);
	json_set_str(o, "phase", phase_name(p));
	json_set_bool(o, "ready", p->ready);
	json_set_str(o, "copyOf", p->original_uid);
	json_set_str(o, "offlineRefusal", w ? w->refusal : NULL);
	return o;
}

void list_pods(void *arg, const struct web_request *rq, struct web_response *rs)
{
	static const struct list_kind kind = {"pods", pods_count, pods_offer, pod_show};

	list(arg, &kind, rq, rs);
}

/* ---- claims ---- */

static size_t claim_count(const struct agent *a)
{
	return claims_count(heal_claims(a->heal));
}

static void offer_claim(void *arg, const struct claim *c)
{
	page_offer(arg, c->pod_uid);
}

static void claims_offer(const struct agent *a, const struct filter *f, struct page *p)
{
	(void)f;
	claims_each(heal_claims(a->heal), offer_claim, p);
}

static json_object *claim_show(const struct agent *a, const char *uid)
{
	const struct claim *c = claims_best(heal_claims(a->heal), uid);
	const struct pod *p = view_pod(a->view, uid);
	const struct copy *own = map_get(a->copies, uid);
	json_object *o;

	if (!c)
		return NULL;
	o = json_new_object();
	json_set_str(o, "uid", c->pod_uid);
	json_set_str(o, "namespace", own ? own->ns : p ? p->ns : NULL);
	json_set_str(o, "pod", own ? own->name : p ? p->name : NULL);
	json_set_str(o, "node", c->node);
	json_set_i64(o, "epoch", c->epoch);
	json_set_i64(o, "rank", c->rank);
	json_set_str(o, "state", claim_state_name(c->state));
	surface_set_time(o, "at", c->at);
	if (own) {
		json_set_str(o, "copy", copy_state_name(own->state));
		json_set_str(o, "lostNode", own->lost_node);
		json_set_str(o, "file", own->file);
		json_set_str(o, "copyUid", own->static_uid);
		surface_set_time(o, "declared", own->declared);
		surface_set_time(o, "written", own->written);
		surface_set_time(o, "running", own->running);
	}
	return o;
}

void list_claims(void *arg, const struct web_request *rq, struct web_response *rs)
{
	static const struct list_kind kind = {"claims", claim_count, claims_offer, claim_show};

	list(arg, &kind, rq, rs);
}

/* ---- readiness ---- */

static size_t workloads_count(const struct agent *a)
{
	return map_count(a->view->workloads);
}

static void readiness_offer(const struct agent *a, const struct filter *f, struct page *p)
{
	map_for_each(struct workload, w, a->view->workloads)
		if (objects_wants(a, w) && is_wanted(f->ns, w->ns))
			page_offer(p, w->uid);
}

static json_object *readiness_show(const struct agent *a, const char *uid)
{
	const struct workload *w = view_workload(a->view, uid);

	return w ? readiness_json(a, w) : NULL;
}

void list_readiness(void *arg, const struct web_request *rq, struct web_response *rs)
{
	static const struct list_kind kind = {"readiness", workloads_count, readiness_offer, readiness_show};

	list(arg, &kind, rq, rs);
}

/* ---- history: rows of the store, the newest first ---- */

struct telling {
	const struct agent *a;
	char *filter;       /* NULL = all */
	int64_t left, last; /* rows of this page; the id that was told last, 0 = none yet */
	bool begun, any;
};

struct rows {
	struct telling *t;
	struct buf *out;
	int got;
};

static void add_row(void *arg, const struct history_row *h)
{
	struct rows *r = arg;
	json_object *o = json_new_object();

	json_set_i64(o, "id", h->id);
	surface_set_time(o, "at", h->at);
	json_set_str(o, "event", h->event);
	json_set_str(o, "namespace", h->ns);
	json_set_str(o, "pod", h->pod);
	json_set_str(o, "node", h->node);
	json_set_str(o, "detail", h->detail);
	add_item(r->out, &r->t->any, o);
	r->t->last = h->id;
	r->t->left--;
	r->got++;
}

static void see_row(void *arg, const struct history_row *h)
{
	(void)h;
	*(bool *)arg = true;
}

static bool telling_next(void *state, struct buf *out)
{
	struct telling *t = state;
	struct rows r = {t, out, 0};
	bool more = false;
	char key[32];
	int step = t->left < HISTORY_STEP ? (int)t->left : HISTORY_STEP;

	add_begin(out, &t->begun);
	(void)store_each_history(t->a->store, t->filter, t->last, step, add_row, &r);
	if (t->left > 0 && r.got == step)
		return true;
	if (r.got == step)
		(void)store_each_history(t->a->store, t->filter, t->last, 1, see_row, &more);
	(void)snprintf(key, sizeof(key), "%lld", (long long)t->last);
	add_end(out, "history", more ? key : NULL, -1);
	return false;
}

static void telling_free(void *state)
{
	struct telling *t = state;

	free(t->filter);
	free(t);
}

void list_history(void *arg, const struct web_request *rq, struct web_response *rs)
{
	const char *filter = web_query(rq, "for");
	int64_t limit = HISTORY_DEFAULT, last = 0;
	char after[PAGE_KEY_MAX];
	struct telling *t;

	if (!read_page(rq, rs, "history", &limit, after))
		return;
	if (after[0] && num_parse_i64(after, 1, INT64_MAX, &last) < 0) {
		web_error(rs, 400, "continue: this is no token of this list; ask without it for the beginning");
		return;
	}
	if (limit > LIST_SMALL && !web_large(rq, rs))
		return;
	t = mem_new(struct telling);
	*t = (struct telling){
	    .a = arg, .filter = str_is_empty(filter) ? NULL : str_dup(filter), .left = limit, .last = last};
	rs->stream = (struct web_stream){telling_next, telling_free, t};
}
