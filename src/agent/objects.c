/* objects.c — the ConfigMaps and Secrets that mirrored pods refer to, each with a watch of its own
 *
 * No namespace is listed whole: what is not referred to is never asked for, and the API server can be told to allow no
 * more.
 *
 *   1. a content of pods is new (specs.c): what it needs is noted, and whether it can be rendered is judged (objects_note)
 *   2. a moment later the wanted set is made anew: the references of ReplicaSets that want pods, at most OBJECTS_MAX
 *   3. once the three big watches are in sync a watch is opened for each (fieldSelector metadata.name); one that is no longer
 *      wanted is closed and its row deleted
 *   4. an object comes, changes or goes: its row is written (Secrets sealed), the contents that use it are judged again
 *
 * A deleted object stays in the mirror as "gone": that it does not exist is knowledge too. An immutable one needs no
 * watch after it was seen; with the next link it is looked at again. Only the state of an object is kept in memory;
 * its document is read from the store when something is rendered, and wiped afterwards (objects_forget_docs).
 *
 * What can fail: no answer (RBAC, link) → the object stays as it was, or unknown with the reason; a row that does not
 * open → unknown, fetched again; the store does not take it → store_failed, everything is synced anew when it does.
 */
#include "objects.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "kube/codec.h"
#include "node/refs.h"

struct objects {
	struct map *all;		/* key → struct object */
	struct map *needs;		/* workload uid → struct needs */
	struct map *docs;		/* key → json_object, while something is rendered */
	struct timer *timer;
	bool online, told_beyond;
};

/* The fields that we keep; the rest (above all the annotation last-applied-configuration) may hold a Secret in the clear. */
static const char *const kept_fields[] = { "data", "binaryData", "immutable" };

/* ---- one object ---- */

static struct object *object_get(struct agent *a, const struct ref *ref)
{
	char key[REF_KEY_SIZE];
	struct object *o;

	ref_key(ref, key);
	o = map_get(a->objects->all, key);
	if (o)
		return o;
	o = mem_new(struct object);
	o->a = a;
	o->ref = (struct ref){ ref->kind, intern(ref->ns), intern(ref->name), false };
	(void)str_copy(o->key, sizeof(o->key), key);
	(void)map_put(a->objects->all, o->key, o);
	return o;
}

static void object_free(struct object *o)
{
	(void)map_remove(o->a->objects->all, o->key);
	kube_watch_free(o->watch);
	free(o);
}

/* All contents that use it are judged again. */
static void object_changed(struct object *o)
{
	map_for_each(struct needs, n, o->a->objects->needs)
		for (size_t i = 0; i < n->object_count; i++)
			n->dirty = n->dirty || n->objects[i] == o;
	objects_soon(o->a);
}

static void object_store(struct object *o, const json_object *doc)
{
	struct agent *a = o->a;
	const char *text = doc ? json_text(doc) : NULL;
	const struct object_row row = { .ref = o->ref, .version = o->version, .gone = o->state == OBJECT_GONE, .doc = text,
					.len = text ? strlen(text) : 0 };

	if (store_batch_begin(a) == 0 && store_put_object(a->store, &row) < 0)
		a->store_failed = true;
	if (text)
		explicit_bzero((char *)(uintptr_t)text, row.len);
}

static void object_set_gone(struct object *o)
{
	if (o->state == OBJECT_GONE && !o->a->store_failed)
		return;
	o->state = OBJECT_GONE;
	o->version = 0;
	o->immutable = false;
	object_store(o, NULL);
	object_changed(o);
}

/* What is known to be gone is written from memory, the others when they are seen again. */
void objects_rewrite(struct agent *a)
{
	if (!a->objects)
		return;
	map_for_each(struct object, o, a->objects->all) {
		o->version = 0;
		o->seen = false;
		if (o->state == OBJECT_GONE)
			object_store(o, NULL);
	}
}

static int64_t version_of(const json_object *doc)
{
	const char *text = json_get_str(doc, "metadata.resourceVersion");
	int64_t v = 0;

	if (text)
		(void)num_parse_i64(text, 0, INT64_MAX, &v);
	return v;
}

static void object_put(struct object *o, const json_object *seen)
{
	int64_t version = version_of(seen);
	json_object *kept;

	o->seen = true;
	o->trouble[0] = '\0';
	if (o->state == OBJECT_PRESENT && version && o->version == version && !o->a->store_failed)
		return;
	o->state = OBJECT_PRESENT;
	o->version = version;
	o->immutable = json_get_bool(seen, "immutable", false);
	kept = json_new_object();
	for (size_t i = 0; i < ARRAY_LEN(kept_fields); i++)
		if (json_get_key(seen, kept_fields[i]))
			json_set(kept, kept_fields[i], json_ref(json_get_key(seen, kept_fields[i])));
	object_store(o, kept);
	json_putp(&kept);
	object_changed(o);
}

/* ---- its watch ---- */

static void on_sync_begin(void *arg)
{
	((struct object *)arg)->seen = false;
}

static void on_object(void *arg, enum kube_change change, json_object *seen)
{
	struct object *o = arg;

	metric_add(METRIC_WATCH_EVENTS, o->ref.kind == REF_SECRET ? 4 : 3, 1);
	if (!str_eq(json_get_str(seen, "metadata.name"), o->ref.name))
		return;			/* a server that does not know the selector */
	if (change == KUBE_DELETED)
		object_set_gone(o);
	else
		object_put(o, seen);
	if (o->ref.kind == REF_SECRET)
		json_wipe(seen);	/* nobody looks at it after us */
}

static void on_synced(void *arg, const char *version)
{
	struct object *o = arg;

	(void)version;
	o->synced = true;
	o->trouble[0] = '\0';
	if (!o->seen)
		object_set_gone(o);
	if (o->immutable && o->seen)
		kube_watch_stop(o->watch);
	readiness_soon(o->a);
}

static void on_lost(void *arg, const char *reason)
{
	struct object *o = arg;

	log_debug(LOG_KUBE, "watch lost", "object=%s reason=%s", o->key, reason);
	if (!str_eq(o->trouble, reason)) {
		(void)str_copy(o->trouble, sizeof(o->trouble), reason);
		if (o->state == OBJECT_UNKNOWN)
			object_changed(o);
	}
}

static void on_skipped(void *arg, const char *reason)
{
	struct object *o = arg;

	metric_inc(METRIC_OBJECTS_SKIPPED);
	log_warn(LOG_KUBE, "object skipped", "object=%s reason=%s", o->key, reason);
	o->seen = true;			/* what we hold of it must not count as gone */
}

static void watch_new(struct object *o)
{
	cleanup(buf_fini) struct buf path = BUF_INIT, selector = BUF_INIT;
	struct kube_watch_params p = { .page = 1, .watch_timeout_ms = o->a->conf->kube_watch_timeout_ms };
	const struct kube_watch_handlers h = { .arg = o, .on_sync_begin = on_sync_begin, .on_object = on_object,
					       .on_synced = on_synced, .on_lost = on_lost, .on_skipped = on_skipped };

	buf_adds(&path, "/api/v1/namespaces/");
	kube_escape(&path, o->ref.ns);
	buf_adds(&path, o->ref.kind == REF_SECRET ? "/secrets" : "/configmaps");
	buf_addf(&selector, "metadata.name=%s", o->ref.name);
	p.path = path.data;
	p.field_selector = selector.data;
	o->watch = kube_watch_new(o->a->kube, &p, &h);
}

/* True when it was opened now. */
static bool watch_open(struct object *o)
{
	if (o->watch || !o->wanted || (o->ref.kind == REF_SECRET && !store_has_seal(o->a->store)))
		return false;
	watch_new(o);
	o->synced = false;
	o->asked = loop_now(o->a->loop);
	kube_watch_start(o->watch);
	return true;
}

static void watch_close(struct object *o)
{
	kube_watch_free(take(o->watch));
	o->synced = false;
	o->asked = (struct mono){ 0 };
}

/* ---- what contents need ---- */

static void needs_free(struct needs *n)
{
	for (size_t i = 0; i < n->object_count; i++)
		n->objects[i]->users--;
	free(n->objects);
	free(n->images);
	free(n);
}

struct collect { struct agent *a; struct needs *n; };

static void collect_ref(void *arg, const struct ref *ref)
{
	struct collect *ctx = arg;
	struct object *o = object_get(ctx->a, ref);
	struct needs *n = ctx->n;

	for (size_t i = 0; i < n->object_count; i++)
		if (n->objects[i] == o)
			return;
	n->objects = mem_resize(n->objects, n->object_count + 1, sizeof(n->objects[0]));
	n->objects[n->object_count++] = o;
	o->users++;
}

static void collect_images(struct needs *n, const json_object *containers)
{
	for (size_t i = 0; i < json_len(containers); i++) {
		const char *image = json_get_str(json_at(containers, i), "image");

		if (str_is_empty(image))
			continue;
		n->images = mem_resize(n->images, n->image_count + 1, sizeof(n->images[0]));
		n->images[n->image_count++] = intern(image);
	}
}

void objects_set_rules(const struct agent *a, struct render_params *p)
{
	const struct node *self = view_node(a->view, a->self);

	p->cluster_domain = a->conf->kubelet_cluster_domain;
	p->no_own_account = a->conf->heal_own_account == CONF_OWN_ACCOUNT_REFUSE;
	p->no_secret_env = a->conf->heal_secret_env == CONF_SECRET_ENV_REFUSE;
	p->relaxed_env = self && self->kubelet >= KUBELET_VERSION(1, 34);
}

/* What the ReplicaSet's newest content says is what it says. */
static void pass_on(struct agent *a, const struct needs *n)
{
	struct workload *w = view_workload(a->view, n->spec->owner->uid);
	const char *before = w ? w->refusal : NULL;

	if (!w || specs_newest(a, w->uid) != n->spec)
		return;
	specs_apply(a, w);
	if (w->refusal != before)
		think_soon(a);
}

static void judge(struct agent *a, struct needs *n, const json_object *content)
{
	struct render_params p = { .ns = n->ns, .lookup = objects_lookup, .lookup_arg = a };
	char reason[REASON_SIZE];

	objects_set_rules(a, &p);
	n->refusal = render_check_template(content, &p, reason) == 0 ? NULL : intern(reason);
}

void objects_note(struct agent *a, struct spec *s, const char *ns, const json_object *content)
{
	const json_object *spec = json_get_key(content, "spec");
	struct needs *n = mem_new(struct needs);

	(void)str_copy(n->key, sizeof(n->key), s->hash);
	n->spec = s;
	n->ns = intern(ns);
	(void)refs_each(content, n->ns, collect_ref, &(struct collect){ a, n });
	collect_images(n, json_get_key(spec, "initContainers"));
	collect_images(n, json_get_key(spec, "containers"));
	n->account = intern(render_own_account(json_get_key(content, "metadata"), spec));
	n->ruled = n->object_count || n->account || json_get_bool(spec, "setHostnameAsFQDN", false);
	n->pull_secrets = json_len(json_get_key(spec, "imagePullSecrets")) > 0;
	n->constraints = kube_pod_constraints(spec);
	kube_pod_request(spec, NULL, &n->request);
	(void)map_put(a->objects->needs, n->key, n);
	judge(a, n, content);
	objects_soon(a);
}

void objects_forget(struct agent *a, const char *hash)
{
	struct needs *n = map_remove(a->objects->needs, hash);

	if (!n)
		return;
	needs_free(n);
	objects_soon(a);
}

const struct needs *objects_needs(const struct agent *a, const char *workload_uid)
{
	const struct spec *s = specs_newest(a, workload_uid);

	return s ? map_get(a->objects->needs, s->hash) : NULL;
}

bool objects_wants(const struct agent *a, const struct workload *w)
{
	return w->replicas > 0 && !w->deleting && agent_wants_namespace(a, w->ns);
}

void objects_judge_again(struct agent *a)
{
	map_for_each(struct needs, n, a->objects->needs)
		n->dirty = n->dirty || n->ruled;
	objects_soon(a);
}

static void judge_again(struct agent *a, struct needs *n)
{
	cleanup(json_putp) json_object *content = spec_doc(a, n->spec);

	n->dirty = false;
	if (!content)
		return;			/* not in the store: it comes again with the next sync */
	judge(a, n, content);
	pass_on(a, n);
}

/* ---- the wanted set ---- */

static void want(struct agent *a)
{
	size_t count = 0, beyond = 0;

	map_for_each(struct object, o, a->objects->all)
		o->wanted = o->beyond = false;
	map_for_each(struct needs, n, a->objects->needs) {
		const struct workload *w = n->object_count ? view_workload(a->view, n->spec->owner->uid) : NULL;
		bool wants = w && objects_wants(a, w);

		for (size_t i = 0; wants && i < n->object_count; i++) {
			struct object *o = n->objects[i];

			if (o->wanted || o->beyond)
				continue;
			o->wanted = count < OBJECTS_MAX;
			o->beyond = !o->wanted;
			count += o->wanted;
			beyond += o->beyond;
		}
	}
	metric_set(METRIC_OBJECTS_BEYOND, 0, (double)beyond);
	if (beyond && !a->objects->told_beyond)
		log_warn(LOG_KUBE, "too many ConfigMaps and Secrets", "limit=%d beyond=%zu: readiness tells whose", OBJECTS_MAX,
			 beyond);
	a->objects->told_beyond = beyond > 0;
}

void objects_forget_versions(struct agent *a)
{
	map_for_each(struct object, o, a->objects->all)
		o->version = 0;
}

/* Close and forget what is no longer wanted, once we know all pods. */
static void drop_unwanted(struct agent *a)
{
	if (!a->objects->online || !a->watches[WATCH_WORKLOADS].synced || !a->watches[WATCH_PODS].synced)
		return;
	map_for_each(struct object, o, a->objects->all) {
		if (o->wanted)
			continue;
		watch_close(o);
		if (o->state != OBJECT_UNKNOWN && store_batch_begin(a) == 0 && store_delete_object(a->store, &o->ref) < 0)
			a->store_failed = true;
		o->state = OBJECT_UNKNOWN;
		o->version = 0;
		if (!o->users)
			object_free(o);
	}
}

static void on_due(void *arg)
{
	struct agent *a = arg;
	int opened = 0;

	objects_forget_docs(a);
	want(a);
	drop_unwanted(a);
	map_for_each(struct needs, n, a->objects->needs)
		if (n->dirty)
			judge_again(a, n);
	objects_forget_docs(a);
	map_for_each(struct object, o, a->objects->all)
		if (a->objects->online && opened < OBJECTS_START_BATCH)
			opened += watch_open(o);
	if (opened == OBJECTS_START_BATCH)
		objects_soon(a);
	readiness_soon(a);
}

void objects_soon(struct agent *a)
{
	if (!timer_is_running(a->objects->timer))
		timer_start_ms(a->objects->timer, OBJECTS_SOON_MS);
}

void objects_start(struct agent *a)
{
	a->objects->online = true;
	timer_start_ms(a->objects->timer, 0);
}

void objects_stop(struct agent *a)
{
	a->objects->online = false;
	map_for_each(struct object, o, a->objects->all)
		watch_close(o);
}

void objects_count(const struct agent *a, size_t *out_config_maps, size_t *out_secrets)
{
	*out_config_maps = *out_secrets = 0;
	map_for_each(struct object, o, a->objects->all)
		if (o->state == OBJECT_PRESENT)
			++*(o->ref.kind == REF_SECRET ? out_secrets : out_config_maps);
}

/* ---- reading ---- */

static void take_doc(void *arg, const struct object_row *row)
{
	if (!row->gone && !row->state)
		(void)json_parse(row->doc, row->len, arg);
}

static enum render_lookup unknown(const struct agent *a, const struct ref *ref, const struct object *o, const char **out_why)
{
	*out_why = o && o->beyond				      ? "there are too many"
		   : ref->kind == REF_SECRET && !store_has_seal(a->store)  ? "there is no usable key file"
		   : o && o->state == OBJECT_UNREADABLE		      ? "what is stored of it does not open"
		   : o && o->trouble[0]				      ? o->trouble
								      : "no answer yet";
	return LOOKUP_UNKNOWN;
}

enum render_lookup objects_lookup(void *arg, const struct ref *ref, const json_object **out_object, const char **out_why)
{
	struct agent *a = arg;
	json_object *doc = NULL;
	char key[REF_KEY_SIZE];
	const struct object *o;

	ref_key(ref, key);
	o = map_get(a->objects->all, key);
	if (o && o->state == OBJECT_GONE)
		return LOOKUP_MISSING;
	if (!o || o->state != OBJECT_PRESENT)
		return unknown(a, ref, o, out_why);
	doc = map_get(a->objects->docs, key);
	if (!doc) {
		(void)store_get_object(a->store, &o->ref, take_doc, &doc);
		if (!doc) {
			*out_why = "what is stored of it cannot be read";
			return LOOKUP_UNKNOWN;
		}
		(void)map_put(a->objects->docs, o->key, doc);
	}
	*out_object = doc;
	return LOOKUP_FOUND;
}

void objects_forget_docs(struct agent *a)
{
	struct map *docs = a->objects->docs;

	map_for_each(json_object, doc, docs) {
		(void)map_remove(docs, map_key(doc_e));
		json_wipe_putp(&doc);
	}
}

/* ---- what the last run knew ---- */

static void load_object(void *arg, const struct object_row *row)
{
	struct agent *a = arg;
	struct object *o = object_get(a, &row->ref);
	cleanup(json_wipe_putp) json_object *doc = NULL;

	o->state = row->gone ? OBJECT_GONE : row->state ? OBJECT_UNREADABLE : OBJECT_PRESENT;
	o->version = row->state ? 0 : row->version;	/* what does not open is taken anew */
	if (row->state)
		log_warn(LOG_STORE, "secret does not open", "object=%s reason=\"%s\"", o->key,
			 row->state == STORE_E_NO_KEY ? "its key is not in the key file" : "damaged, or not sealed for this name");
	take_doc(&doc, row);
	o->immutable = json_get_bool(doc, "immutable", false);
}

int objects_load(struct agent *a)
{
	size_t unreadable = 0;
	int r = store_each_object(a->store, load_object, a);

	map_for_each(struct object, o, a->objects->all) {
		unreadable += o->state == OBJECT_UNREADABLE;
		if (o->state == OBJECT_UNREADABLE)
			watch_close(o);		/* opened again, and with it comes the object */
		object_changed(o);
	}
	metric_set(METRIC_SECRETS_UNREADABLE, 0, (double)unreadable);
	return r;
}

void objects_new(struct agent *a)
{
	a->objects = mem_new(struct objects);
	a->objects->all = map_new();
	a->objects->needs = map_new();
	a->objects->docs = map_new();
	a->objects->timer = timer_new(a->loop, "objects", on_due, a);
}

void objects_free(struct agent *a)
{
	struct objects *s = a->objects;

	if (!s)
		return;
	objects_forget_docs(a);
	map_for_each(struct needs, n, s->needs)
		needs_free(n);
	map_for_each(struct object, o, s->all)
		object_free(o);
	map_free(s->docs);
	map_free(s->needs);
	map_free(s->all);
	timer_free(s->timer);
	free(s);
	a->objects = NULL;
}
