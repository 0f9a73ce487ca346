/* specs.c — contents of admitted pods, each kept once
 *
 *   1. a pod of a ReplicaSet is mirrored: its content (node/content.c) is made and hashed; a new one is stored, and what it
 *      needs is noted (objects.c)
 *   2. the pod's row names its content; when the last pod of one is gone the content goes, but for the newest one of a
 *      ReplicaSet that is there: it says what its next pods will be like
 *   3. more than SPECS_MAX of one ReplicaSet (each pod has values of its own): the newest stay. The pods of the others have
 *      none any more and are not restored; never with another's content
 *
 * A store of an older schema has no place for them: until the mirror was in sync once no pod has a content, and none is
 * restored. Only hashes are in memory; documents are read from the store when something is rendered.
 */
#include "specs.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/log.h"
#include "base/mem.h"
#include "model/image.h"
#include "node/render.h"
#include "objects.h"

/* ---- one ReplicaSet's ---- */

static struct spec_owner *owner_find(const struct agent *a, const char *uid)
{
	return uid ? map_get(a->specs, uid) : NULL;
}

static struct spec_owner *owner_get(struct agent *a, const char *uid)
{
	struct spec_owner *o = owner_find(a, uid);

	if (o)
		return o;
	o = mem_new(struct spec_owner);
	(void)str_copy(o->uid, sizeof(o->uid), uid);
	list_init(&o->specs);
	if (getrandom(&o->seed, sizeof(o->seed), GRND_NONBLOCK) != sizeof(o->seed))
		o->seed = STR_HASH_INIT;	/* too early after a boot: then it is no secret */
	(void)map_put(a->specs, o->uid, o);
	return o;
}

static struct spec *spec_find(const struct spec_owner *o, const char *hash)
{
	list_for_each(s, &o->specs, struct spec, link)
		if (str_eq(s->hash, hash))
			return s;
	return NULL;
}

static struct spec *newest(const struct spec_owner *o)
{
	return list_is_empty(&o->specs) ? NULL : container_of(o->specs.prev, struct spec, link);
}

struct spec *specs_newest(const struct agent *a, const char *workload_uid)
{
	const struct spec_owner *o = owner_find(a, workload_uid);

	return o ? newest(o) : NULL;
}

/* Behind those that are not newer. */
static void place(struct spec *s, int64_t made)
{
	struct spec_owner *o = s->owner;
	struct list *before;

	list_remove(&s->link);
	s->made = made;
	for (before = o->specs.prev; before != &o->specs; before = before->prev)
		if (container_of(before, struct spec, link)->made <= made)
			break;
	list_add_tail(before->next, &s->link);
}

static void wrote(struct agent *a, int r)
{
	if (r < 0)
		a->store_failed = true;
}

/* Nobody has it any more. The owner goes with its last one. */
static void spec_drop(struct agent *a, struct spec *s)
{
	struct spec_owner *o = s->owner;

	objects_forget(a, s->hash);
	if (s->id && store_batch_begin(a) == 0)
		wrote(a, store_delete_spec(a->store, s->id));
	list_remove(&s->link);
	free(s);
	if (--o->count)
		return;
	(void)map_remove(a->specs, o->uid);
	free(o);
}

static void spec_release(struct agent *a, struct spec *s)
{
	if (!s || --s->pods)
		return;
	if (s == newest(s->owner) && view_workload(a->view, s->owner->uid))
		return;
	spec_drop(a, s);
}

/* There are too many of the ReplicaSet: the pods of the oldest have none any more. */
static void drop_oldest(struct agent *a, struct spec_owner *o)
{
	struct spec *s = list_first(&o->specs, struct spec, link);

	map_for_each(struct pod, p, a->view->pods) {
		if (p->spec != s)
			continue;
		p->spec = NULL;
		if (store_batch_begin(a) == 0)
			wrote(a, store_put_pod_spec(a->store, p->uid, 0));
	}
	spec_drop(a, s);
}

static struct spec *spec_add(struct agent *a, const char *owner, const char *hash, int64_t made)
{
	struct spec *s = mem_new(struct spec);

	s->owner = owner_get(a, owner);
	s->owner->count++;
	(void)str_copy(s->hash, sizeof(s->hash), hash);
	list_init(&s->link);
	place(s, made);
	return s;
}

static void spec_store(struct agent *a, struct spec *s, const char *text)
{
	struct spec_row row = { .hash = s->hash, .owner = s->owner->uid, .made = s->made, .doc = text };

	if (store_batch_begin(a) < 0)
		return;
	wrote(a, store_put_spec(a->store, &row));
	s->id = row.id;
}

/* ---- pods ---- */

static int64_t made_of(const json_object *doc)
{
	const char *text = json_get_str(doc, "metadata.creationTimestamp");
	struct wall t = { 0 };

	if (text)
		(void)wall_parse(text, &t);
	return t.ns / (MS_PER_S * NS_PER_MS);
}

/* Nearly all pods of a ReplicaSet are made of the same: to know that no text is made. */
static struct spec *find_marked(const struct spec_owner *o, const json_object *content)
{
	uint64_t mark = o ? json_hash(content, o->seed) : 0;

	if (o)
		list_for_each(s, &o->specs, struct spec, link)
			if (s->mark == mark && s->id)
				return s;
	return NULL;
}

/* The content of a pod, found or made. NULL: it is too large to be kept. */
static struct spec *spec_of(struct agent *a, const struct pod *p, const json_object *doc)
{
	cleanup(json_putp) json_object *content = render_content(doc);
	const struct spec_owner *o = owner_find(a, p->owner);
	struct spec *s = find_marked(o, content);
	int64_t made = made_of(doc);
	const char *text = s ? NULL : json_text(content);
	char hash[UUID_TEXT_SIZE];

	if (!s && strlen(text) > SPEC_DOC_MAX)
		return NULL;
	if (!s) {
		uuid5(p->owner, text, hash);
		s = o ? spec_find(o, hash) : NULL;
	}
	if (s && made > s->made)
		place(s, made);
	if (s && s->id && s->mark)
		return s;
	if (!s) {
		s = spec_add(a, p->owner, hash, made);
		objects_note(a, s, p->ns, content);
	}
	s->mark = json_hash(content, s->owner->seed);
	if (s->id)
		return s;
	spec_store(a, s, text);
	return s;
}

void specs_note_pod(struct agent *a, struct pod *p, const struct pod *known, const json_object *doc)
{
	struct spec *before = known ? known->spec : NULL, *top = specs_newest(a, p->owner);
	struct workload *w = p->owner ? view_workload(a->view, p->owner) : NULL;

	p->spec = p->owner && !p->is_mirror ? spec_of(a, p, doc) : NULL;
	if (p->spec)
		p->spec->pods++;
	spec_release(a, before);
	if (p->spec && p->spec->owner->count > SPECS_MAX && p->spec != list_first(&p->spec->owner->specs, struct spec, link))
		drop_oldest(a, p->spec->owner);
	else if (p->spec && p->spec->owner->count > SPECS_MAX) {
		spec_release(a, p->spec);	/* it is itself the oldest */
		p->spec = NULL;
	}
	if ((p->spec || before) && store_batch_begin(a) == 0)
		wrote(a, store_put_pod_spec(a->store, p->uid, p->spec ? p->spec->id : 0));
	if (w && specs_newest(a, p->owner) != top)
		specs_apply(a, w);
}

void specs_forget_pod(struct agent *a, const struct pod *p)
{
	if (!p->spec)
		return;
	if (store_batch_begin(a) == 0)
		wrote(a, store_put_pod_spec(a->store, p->uid, 0));
	spec_release(a, p->spec);
}

void specs_forget_workload(struct agent *a, const char *uid)
{
	const struct spec_owner *o = owner_find(a, uid);
	struct spec *unused[SPECS_MAX + 1];
	size_t n = 0;

	readiness_forget(a, uid);
	if (!o)
		return;
	list_for_each(s, &o->specs, struct spec, link)
		if (!s->pods && n < ARRAY_LEN(unused))	/* the others go with the last of their pods */
			unused[n++] = s;
	for (size_t i = 0; i < n; i++)		/* the owner may go with the last one */
		spec_drop(a, unused[i]);
}

/* ---- ReplicaSets ---- */

void specs_apply(struct agent *a, struct workload *w)
{
	const struct needs *n = objects_needs(a, w->uid);
	const struct spec *s = specs_newest(a, w->uid);

	free(take(w->images));
	w->image_count = 0;
	w->refusal = w->needs_token ? SPEC_NEEDS_TOKEN : !s || !s->id ? SPEC_NONE : n ? n->refusal : NULL;
	if (!n)
		return;
	w->pull_secrets = n->pull_secrets;
	w->images = n->image_count ? mem_new_n(uint32_t, n->image_count) : NULL;
	for (size_t i = 0; i < n->image_count && w->image_count < WORKLOAD_IMAGES_MAX; i++)
		w->images[w->image_count++] = image_hash(n->images[i]);
}

/* ---- the store ---- */

json_object *spec_doc(const struct agent *a, const struct spec *s)
{
	cleanup(freep) char *text = s && s->id ? store_get_spec(a->store, s->id) : NULL;
	json_object *doc = NULL;

	return text && json_parse(text, strlen(text), &doc) == 0 ? doc : NULL;
}

void specs_rewrite(struct agent *a)
{
	map_for_each(struct spec_owner, o, a->specs)
		list_for_each(s, &o->specs, struct spec, link)
			s->id = 0;
}

struct loading { struct agent *a; struct map *by_id; };
struct by_id { char key[24]; struct spec *spec; };

static void id_key(char key[24], int64_t id)
{
	(void)snprintf(key, 24, "%lld", (long long)id);
}

static void load_spec(void *arg, const struct spec_row *row)
{
	struct loading *l = arg;
	struct agent *a = l->a;
	struct workload *w = view_workload(a->view, row->owner);
	cleanup(json_putp) json_object *doc = NULL;
	struct by_id *b;

	if (json_parse(row->doc, strlen(row->doc), &doc) < 0)
		return;			/* it comes again with the next sync */
	b = mem_new(struct by_id);
	b->spec = spec_add(a, row->owner, row->hash, row->made);
	b->spec->id = row->id;
	id_key(b->key, row->id);
	(void)map_put(l->by_id, b->key, b);
	objects_note(a, b->spec, w ? w->ns : "", doc);
}

static void load_pod_spec(void *arg, const char *pod_uid, int64_t spec)
{
	struct loading *l = arg;
	struct pod *p = view_pod(l->a->view, pod_uid);
	char key[24];
	const struct by_id *b;

	id_key(key, spec);
	b = p ? map_get(l->by_id, key) : NULL;
	if (!b || !str_eq(b->spec->owner->uid, p->owner))
		return;
	p->spec = b->spec;
	b->spec->pods++;
}

int specs_load(struct agent *a)
{
	struct loading l = { a, map_new() };
	int r = store_each_spec(a->store, load_spec, &l);

	r = r < 0 ? r : store_each_pod_spec(a->store, load_pod_spec, &l);
	map_for_each(struct by_id, b, l.by_id)
		free(b);
	map_free(l.by_id);
	map_for_each(struct workload, w, a->view->workloads)
		specs_apply(a, w);
	return r;
}

/* ---- life ---- */

void specs_new(struct agent *a)
{
	a->specs = map_new();
}

void specs_free(struct agent *a)
{
	if (!a->specs)
		return;
	map_for_each(struct spec_owner, o, a->specs) {
		list_for_each_safe(s, &o->specs, struct spec, link)
			free(s);
		free(o);
	}
	map_free(take(a->specs));
}
