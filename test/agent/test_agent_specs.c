/* test_agent_specs.c — what of admitted pods is kept, for how long, and what their ReplicaSet is told by it
 *
 * A real store, no API server: pods are noted as the mirror would.
 */
#include "../support.h"

#include "agent/agent_int.h"
#include "agent/objects.h"
#include "agent/specs.h"
#include "kube/codec.h"

#define RS "bdedc685-793f-415f-80c0-000000000001"

struct rig {
	struct agent a;
	char dir[TMP_SIZE];
};

static void on_flush(void *arg)
{
	store_batch_flush(arg);
}

static void on_nothing(void *arg)
{
	(void)arg;
}

static void open_rig(struct rig *g)
{
	static const char *const environ_like[] = { "NODE_NAME=n1", NULL };
	struct buf errors = BUF_INIT, warnings = BUF_INIT;
	char path[TMP_SIZE + 8], aside[STORE_PATH_SIZE];
	struct agent *a = &g->a;

	(void)snprintf(path, sizeof(path), "%s/db", g->dir);
	*a = (struct agent){ .self = intern("n1"), .config_fd = -1, .anonymous = true };
	a->loop = loop_new_virtual((struct mono){ NS_PER_MS }, (struct wall){ INT64_C(1700000000) * 1000000000 }, 1);
	assert_int_equal(conf_load(NULL, environ_like, &a->conf, &errors, &warnings), 0);
	buf_fini(&errors);
	buf_fini(&warnings);
	a->view = view_new();
	assert_int_equal(store_open(path, &a->store, aside), 0);
	a->flush = timer_new(a->loop, "flush", on_flush, a);
	a->think_timer = timer_new(a->loop, "think", on_nothing, a);
	specs_new(a);
	objects_new(a);
}

static void close_rig(struct rig *g)
{
	struct agent *a = &g->a;

	store_batch_flush(a);
	objects_free(a);
	specs_free(a);
	view_free(a->view);
	store_close(a->store);
	timer_free(a->flush);
	timer_free(a->think_timer);
	conf_free(a->conf);
	loop_free(a->loop);
}

static int setup(void **state)
{
	struct rig *g = mem_new(struct rig);

	tmp_new(g->dir);
	open_rig(g);
	*state = g;
	return 0;
}

static int teardown(void **state)
{
	struct rig *g = *state;

	close_rig(g);
	tmp_free(g->dir);
	free(g);
	return 0;
}

static struct workload *put_rs(struct rig *g)
{
	cleanup(freep) char *text = str_format("{\"metadata\":{\"name\":\"web\",\"namespace\":\"shop\",\"uid\":\"" RS "\"},"
					       "\"spec\":{\"replicas\":2}}");
	json_object *o = NULL;
	struct workload *w = NULL;

	assert_int_equal(json_parse(text, strlen(text), &o), 0);
	assert_int_equal(kube_decode_workload(o, &w), 0);
	specs_apply(&g->a, w);
	assert_int_equal(store_batch_begin(&g->a), 0);
	assert_int_equal(store_put_doc(g->a.store, STORE_WORKLOAD, RS, text), 0);
	view_put_workload(g->a.view, w);
	json_putp(&o);
	return w;
}

/* The uid of the pod of that name. */
static void uid_of(const char *name, char uid[UID_SIZE])
{
	(void)snprintf(uid, UID_SIZE, "bdedc685-793f-415f-80c0-%012llx",
		       (unsigned long long)str_hash(STR_HASH_INIT, name, strlen(name)) & 0xffffffffffff);
}

/* As the mirror does it. `image` makes the content, `age` the time of creation. */
static struct pod *put_pod(struct rig *g, const char *name, const char *image, int age)
{
	char uid[UID_SIZE];

	uid_of(name, uid);
	cleanup(freep) char *text =
		str_format("{\"metadata\":{\"name\":\"%s\",\"namespace\":\"shop\",\"uid\":\"%s\",\"resourceVersion\":\"1\","
			   "\"creationTimestamp\":\"2026-01-01T00:%02d:00Z\",\"ownerReferences\":[{\"controller\":true,"
			   "\"kind\":\"ReplicaSet\",\"uid\":\"" RS "\"}]},\"spec\":{\"nodeName\":\"n-%s\","
			   "\"containers\":[{\"name\":\"c\",\"image\":\"%s\"}]}}",
			   name, uid, 59 - age, name, image);
	const struct pod *known;
	json_object *o = NULL;
	struct pod *p = NULL;

	assert_int_equal(json_parse(text, strlen(text), &o), 0);
	assert_int_equal(kube_decode_pod(o, &p), 0);
	known = view_pod(g->a.view, p->uid);
	assert_int_equal(store_batch_begin(&g->a), 0);
	assert_int_equal(store_put_pod(g->a.store, p), 0);
	specs_note_pod(&g->a, p, known, o);
	view_put_pod(g->a.view, p, loop_now(g->a.loop));
	json_putp(&o);
	return p;
}

static void remove_pod(struct rig *g, const char *name)
{
	char uid[UID_SIZE];

	uid_of(name, uid);
	specs_forget_pod(&g->a, view_pod(g->a.view, uid));
	assert_int_equal(store_batch_begin(&g->a), 0);
	assert_int_equal(store_delete_pod(g->a.store, uid), 0);
	view_remove_pod(g->a.view, uid);
}

static void count_spec(void *arg, const struct spec_row *row)
{
	(void)row;
	++*(size_t *)arg;
}

static size_t stored(struct rig *g)
{
	size_t n = 0;

	store_batch_flush(&g->a);
	assert_int_equal(store_each_spec(g->a.store, count_spec, &n), 0);
	return n;
}

static const char *image_of(struct rig *g, const struct spec *s)
{
	static char image[64];
	json_object *doc = spec_doc(&g->a, s);

	(void)str_copy(image, sizeof(image), str_or(json_get_str(json_at(json_get(doc, "spec.containers"), 0), "image"), ""));
	json_putp(&doc);
	return image;
}

static void pods_that_are_alike_share_one(void **state)
{
	struct rig *g = *state;
	struct workload *w = put_rs(g);
	const struct pod *a, *b, *c;

	assert_string_equal(w->refusal, SPEC_NONE);	/* its template is never taken for it */
	a = put_pod(g, "a", "web:1", 9);
	b = put_pod(g, "b", "web:1", 8);
	c = put_pod(g, "c", "web:2", 7);
	assert_ptr_equal(a->spec, b->spec);
	assert_ptr_not_equal(a->spec, c->spec);
	assert_int_equal(stored(g), 2);
	assert_string_equal(image_of(g, a->spec), "web:1");
	assert_string_equal(image_of(g, c->spec), "web:2");
	assert_null(w->refusal);
	assert_int_equal(w->image_count, 1);
	assert_int_equal(w->images[0], image_hash("web:2"));	/* what its next pods will need */
}

static void the_newest_stays_as_long_as_its_replicaset(void **state)
{
	struct rig *g = *state;

	(void)put_rs(g);
	(void)put_pod(g, "old", "web:1", 9);
	(void)put_pod(g, "new", "web:2", 1);
	remove_pod(g, "new");
	assert_int_equal(stored(g), 2);
	assert_string_equal(image_of(g, specs_newest(&g->a, RS)), "web:2");
	remove_pod(g, "old");
	assert_int_equal(stored(g), 1);
	view_remove_workload(g->a.view, RS);
	specs_forget_workload(&g->a, RS);
	assert_int_equal(stored(g), 0);
	assert_null(specs_newest(&g->a, RS));
}

static void a_pod_that_outlives_its_replicaset_keeps_its_own(void **state)
{
	struct rig *g = *state;
	const struct pod *p;

	(void)put_rs(g);
	p = put_pod(g, "a", "web:1", 9);
	view_remove_workload(g->a.view, RS);
	specs_forget_workload(&g->a, RS);
	assert_string_equal(image_of(g, p->spec), "web:1");
	remove_pod(g, "a");
	assert_int_equal(stored(g), 0);
}

/* A pod that is changed (an image was set) has the content of now. */
static void a_pod_that_changes_has_another(void **state)
{
	struct rig *g = *state;

	(void)put_rs(g);
	(void)put_pod(g, "a", "web:1", 9);
	assert_string_equal(image_of(g, put_pod(g, "a", "web:1-hotfix", 9)->spec), "web:1-hotfix");
	assert_int_equal(stored(g), 1);
}

/* Each pod has values of its own: the newest are kept, never one taken for another. */
static void too_many_different_ones(void **state)
{
	struct rig *g = *state;
	char name[16], image[16], uid[UID_SIZE];

	(void)put_rs(g);
	for (int i = 0; i < SPECS_MAX + 5; i++) {
		(void)snprintf(name, sizeof(name), "p%d", i);
		(void)snprintf(image, sizeof(image), "web:%d", i);
		(void)put_pod(g, name, image, SPECS_MAX + 5 - i);
	}
	assert_int_equal(stored(g), SPECS_MAX);
	for (int i = 0; i < SPECS_MAX + 5; i++) {
		const struct pod *p;

		(void)snprintf(name, sizeof(name), "p%d", i);
		uid_of(name, uid);
		(void)snprintf(image, sizeof(image), "web:%d", i);
		p = view_pod(g->a.view, uid);
		assert_int_equal(p->spec != NULL, i >= 5);
		if (p->spec)
			assert_string_equal(image_of(g, p->spec), image);
	}
	assert_null(put_pod(g, "ancient", "web:ancient", 59)->spec);	/* itself the oldest */
	assert_int_equal(stored(g), SPECS_MAX);
}

static void it_is_all_there_after_a_restart(void **state)
{
	struct rig *g = *state;
	struct workload *w;
	const struct pod *a;

	(void)put_rs(g);
	(void)put_pod(g, "a", "web:1", 9);
	(void)put_pod(g, "b", "web:2", 1);
	close_rig(g);
	open_rig(g);
	w = put_rs(g);
	a = put_pod(g, "b", "web:2", 1);	/* only to have them in the view again, as mirror_load() does */
	remove_pod(g, "b");
	(void)a;
	close_rig(g);
	open_rig(g);
	w = put_rs(g);
	assert_string_equal(w->refusal, SPEC_NONE);
	assert_int_equal(specs_load(&g->a), 0);
	assert_null(w->refusal);
	assert_string_equal(image_of(g, specs_newest(&g->a, RS)), "web:2");
}

static void rows_that_were_lost_are_written_again(void **state)
{
	struct rig *g = *state;
	const struct pod *p;

	(void)put_rs(g);
	p = put_pod(g, "a", "web:1", 9);
	assert_int_equal(stored(g), 1);
	assert_int_equal(store_batch_begin(&g->a), 0);
	assert_int_equal(store_delete_spec(g->a.store, p->spec->id), 0);
	assert_int_equal(stored(g), 0);
	specs_rewrite(&g->a);
	p = put_pod(g, "a", "web:1", 9);
	assert_int_equal(stored(g), 1);
	assert_string_equal(image_of(g, p->spec), "web:1");
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(pods_that_are_alike_share_one),      T(the_newest_stays_as_long_as_its_replicaset),
		T(a_pod_that_outlives_its_replicaset_keeps_its_own), T(a_pod_that_changes_has_another),
		T(too_many_different_ones),	       T(it_is_all_there_after_a_restart),
		T(rows_that_were_lost_are_written_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
