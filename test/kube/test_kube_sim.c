/* test_kube_sim.c — every call of kube/ against the test API server of test/kubesim/ */
#include "kube_rig.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/json.h"
#include "kube/codec.h"
#include "kube/watch.h"
#include "kube/write.h"
#include "model/pod.h"

static pid_t sim;
static struct kube_rig kube;

static int start_sim(void **state)
{
	char line[256] = "", *url;
	int out[2];
	FILE *f;

	(void)state;
	if (pipe(out) < 0)
		return -1;
	sim = fork();
	if (sim == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)dup2(out[1], 1);
		(void)close(out[0]);
		execl("/usr/bin/python3", "/usr/bin/python3", "test/kubesim/apiserver.py", "--listen", "127.0.0.1:0", "--bare",
		      (char *)NULL);
		_exit(127);
	}
	(void)close(out[1]);
	f = fdopen(out[0], "r");
	url = fgets(line, sizeof(line), f) ? strstr(line, "http://") : NULL;
	if (!url)
		return -1;
	url[strcspn(url, "\n")] = '\0';
	(void)fclose(f);
	kube_rig_init(&kube, url);
	return 0;
}

static int stop_sim(void **state)
{
	(void)state;
	kube_rig_fini(&kube);
	(void)kill(sim, SIGTERM);
	(void)waitpid(sim, NULL, 0);
	return 0;
}

static struct got wait_got(struct got *g)
{
	rig_wait(&kube, &g->done);
	return *g;
}

static struct got request(const char *method, const char *path, const char *body)
{
	const struct kube_request_params p = { .method = method, .path = path, .body = body };
	struct got g = { 0 };

	(void)kube_request(kube.client, &p, got_answer, &g);
	return wait_got(&g);
}

/* Create; returns the uid. */
static char *create(const char *path, const char *body)
{
	struct got g = request("POST", path, body);
	cleanup(json_putp) json_object *o = NULL;
	char *uid;

	if (g.outcome != KUBE_OK)
		fail_msg("POST %s: %d %s", path, g.status, g.message);
	assert_int_equal(json_parse(g.body, strlen(g.body), &o), 0);
	uid = str_dup(json_get_str(o, "metadata.uid"));
	got_fini(&g);
	return uid;
}

#define PODS "/api/v1/namespaces/default/pods"
static char *create_pod(const char *name)
{
	cleanup(freep) char *body = str_format(
	    "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"%s\",\"labels\":{\"app\":\"%s\"}},"
	    "\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"i\",\"resources\":{\"requests\":{\"cpu\":\"100m\"}}}"
	    "]}}",
	    name, name);

	return create(PODS, body);
}

static void check_outcome(struct got g, enum kube_outcome outcome)
{
	if (g.outcome != outcome)
		fail_msg("%s instead of %s: %d %s", kube_outcome_name(g.outcome), kube_outcome_name(outcome), g.status,
			 g.message);
	got_fini(&g);
}

static void a_probe_is_answered(void **state)
{
	struct found f = { 0 };

	(void)state;
	(void)kube_probe(kube.client, NULL, 1000, got_probe, &f);
	rig_wait(&kube, &f.done);
	assert_int_equal(f.outcome, KUBE_PROBE_ANSWERS);
}

static struct got bind_to(const char *name, const char *uid, const char *node)
{
	struct got g = { 0 };

	(void)kube_bind(kube.client, &(struct kube_ref){ "default", name, uid }, node, got_answer, &g);
	return wait_got(&g);
}

static void a_pod_is_bound_once(void **state)
{
	cleanup(freep) char *uid = create_pod("bind"), *node = NULL;
	struct got g;

	(void)state;
	node = create("/api/v1/nodes", "{\"apiVersion\":\"v1\",\"kind\":\"Node\",\"metadata\":{\"name\":\"n1\"}}");
	check_outcome(bind_to("bind", "11111111-2222-3333-4444-555555555555", "n1"), KUBE_E_CONFLICT);
	check_outcome(bind_to("bind", uid, "n1"), KUBE_OK);
	g = bind_to("bind", uid, "n1");
	assert_int_equal(g.outcome, KUBE_E_CONFLICT);
	assert_non_null(strstr(g.message, "already assigned to node \"n1\""));
	got_fini(&g);
	check_outcome(bind_to("nobody", uid, "n1"), KUBE_E_NOT_FOUND);
}

static struct got delete_pod(const char *name, const char *uid)
{
	struct got g = { 0 };

	(void)kube_delete_pod(kube.client, &(struct kube_ref){ "default", name, uid }, 0, got_answer, &g);
	return wait_got(&g);
}

static void a_pod_is_deleted_by_its_uid_only(void **state)
{
	cleanup(freep) char *uid = create_pod("delete");

	(void)state;
	check_outcome(delete_pod("delete", ""), KUBE_E_INVALID);
	check_outcome(delete_pod("delete", "11111111-2222-3333-4444-555555555555"), KUBE_E_CONFLICT);
	check_outcome(delete_pod("delete", uid), KUBE_OK);
	check_outcome(delete_pod("delete", uid), KUBE_E_NOT_FOUND);
}

static struct got patch(enum kube_patch_type type, const char *sub, const char *text)
{
	cleanup(json_putp) json_object *o = NULL;
	struct kube_patch_params p = { .type = type, .resource = "/api/v1/nodes", .name = "patched", .subresource = sub };
	struct got g = { 0 };

	assert_int_equal(json_parse(text, strlen(text), &o), 0);
	p.patch = o;
	(void)kube_patch(kube.client, &p, got_answer, &g);
	return wait_got(&g);
}

static void patches_merge(void **state)
{
	struct got g;

	(void)state;
	free(create("/api/v1/nodes", "{\"apiVersion\":\"v1\",\"kind\":\"Node\",\"metadata\":{\"name\":\"patched\"}}"));
	check_outcome(patch(KUBE_PATCH_STRATEGIC, "status",
			    "{\"status\":{\"conditions\":[{\"type\":\"A\",\"status\":\"True\"}]}}"),
		      KUBE_OK);
	check_outcome(patch(KUBE_PATCH_STRATEGIC, "status",
			    "{\"status\":{\"conditions\":[{\"type\":\"B\",\"status\":\"True\"}]}}"),
		      KUBE_OK);
	g = patch(KUBE_PATCH_MERGE, NULL, "{\"spec\":{\"unschedulable\":true}}");
	assert_int_equal(g.outcome, KUBE_OK);
	assert_non_null(strstr(g.body, "\"A\""));
	assert_non_null(strstr(g.body, "\"B\""));
	assert_non_null(strstr(g.body, "\"unschedulable\""));
	got_fini(&g);
}

/* A Pending pod may always be evicted: make it run. */
static void make_run(const char *name)
{
	static const char text[] =
	    "{\"status\":{\"phase\":\"Running\",\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"}]}}";
	cleanup(json_putp) json_object *o = NULL;
	struct got g = { 0 };

	assert_int_equal(json_parse(text, strlen(text), &o), 0);
	(void)kube_patch(kube.client, &(struct kube_patch_params){
		.type = KUBE_PATCH_STRATEGIC, .resource = "/api/v1/pods", .ns = "default", .name = name,
		.subresource = "status", .patch = o }, got_answer, &g);
	check_outcome(wait_got(&g), KUBE_OK);
}

static void an_eviction_respects_the_budget(void **state)
{
	cleanup(freep) char *uid = create_pod("evict"), *free_uid = create_pod("evict-free");
	struct got g = { 0 };

	(void)state;
	make_run("evict");
	make_run("evict-free");
	free(create("/apis/policy/v1/namespaces/default/poddisruptionbudgets",
		    "{\"apiVersion\":\"policy/v1\",\"kind\":\"PodDisruptionBudget\",\"metadata\":{\"name\":\"b\"},"
		    "\"spec\":{\"minAvailable\":1,\"selector\":{\"matchLabels\":{\"app\":\"evict\"}}}}"));
	(void)kube_evict(kube.client, &(struct kube_ref){ "default", "evict", uid }, -1, got_answer, &g);
	check_outcome(wait_got(&g), KUBE_E_TOO_MANY);
	g = (struct got){ 0 };
	(void)kube_evict(kube.client, &(struct kube_ref){ "default", "evict-free", free_uid }, 0, got_answer, &g);
	check_outcome(wait_got(&g), KUBE_OK);
}

static void an_event_is_recorded(void **state)
{
	cleanup(freep) char *uid = create_pod("event"), *message = mem_calloc(2000, 1);
	struct got g = { 0 };

	(void)state;
	memset(message, 'm', 1999);
	memcpy(message + 1023, "\xc3\xa4", 2);	/* the limit is in the middle of this character */
	(void)kube_event_create(kube.client, &(struct kube_event_params){
		.api_version = "v1", .kind = "Pod", .ns = "default", .name = "event", .uid = uid, .type = "Normal",
		.reason = "Restored", .message = message, .instance = "n1", .key = 0xabc, .at = loop_wall(kube.loop) }, got_answer, &g);
	g = wait_got(&g);
	if (g.outcome != KUBE_OK)
		fail_msg("%d %s", g.status, g.message);
	assert_non_null(strstr(g.body, "\"edge-healer\""));
	assert_null(strstr(g.body, "\xc3"));
	assert_non_null(strstr(g.body, "\"event.0000000000000abc\""));
	got_fini(&g);
	(void)kube_event_create(kube.client, &(struct kube_event_params){	/* the same, sent again after a crash */
		.api_version = "v1", .kind = "Pod", .ns = "default", .name = "event", .uid = uid, .type = "Normal",
		.reason = "Restored", .message = "m", .instance = "n1", .key = 0xabc, .at = loop_wall(kube.loop) }, got_answer, &g);
	check_outcome(wait_got(&g), KUBE_E_ALREADY_EXISTS);
	g = (struct got){ 0 };
	(void)kube_event_create(kube.client, &(struct kube_event_params){
		.api_version = "v1", .kind = "Node", .name = "n1", .type = "Warning", .reason = "Lost", .message = "m", .key = 1,
		.at = loop_wall(kube.loop) }, got_answer, &g);
	check_outcome(wait_got(&g), KUBE_OK);
}

static void a_lease_is_taken_and_kept(void **state)
{
	struct kube_lease l =
			      {
				  .ns = "default",
				  .name = "l",
				  .holder = "a",
				  .duration_s = 15,
				  .transitions = 2,
				  .acquired = {1767225600000000000},
				  .renewed = {1767225601500000000},
			      },
			  seen;
	cleanup(json_putp) json_object *o = NULL;
	struct got g = { 0 }, body;

	(void)state;
	(void)kube_lease_get(kube.client, "default", "l", got_answer, &g);
	check_outcome(wait_got(&g), KUBE_E_NOT_FOUND);
	g = (struct got){ 0 };
	(void)kube_lease_create(kube.client, &l, got_answer, &g);
	check_outcome(wait_got(&g), KUBE_OK);
	g = (struct got){ 0 };
	(void)kube_lease_create(kube.client, &l, got_answer, &g);
	check_outcome(wait_got(&g), KUBE_E_ALREADY_EXISTS);
	g = (struct got){ 0 };
	(void)kube_lease_get(kube.client, "default", "l", got_answer, &g);
	body = wait_got(&g);
	assert_int_equal(json_parse(body.body, strlen(body.body), &o), 0);
	assert_int_equal(kube_lease_decode(o, &seen), 0);
	assert_string_equal(seen.holder, "a");
	assert_int_equal(seen.duration_s, 15);
	assert_int_equal(seen.transitions, 2);
	assert_int_equal(seen.renewed.ns, l.renewed.ns);
	got_fini(&body);
	seen.holder = "b";
	g = (struct got){ 0 };
	(void)kube_lease_update(kube.client, &seen, got_answer, &g);
	check_outcome(wait_got(&g), KUBE_OK);
	g = (struct got){ 0 };
	(void)kube_lease_update(kube.client, &seen, got_answer, &g);	/* its version is old now */
	check_outcome(wait_got(&g), KUBE_E_CONFLICT);
}

/* ---- watches ---- */

struct seen { int objects, added, modified, deleted, syncs, lost; struct kube_watch *watch; };

static void on_sync_begin(void *arg) { ((struct seen *)arg)->objects = 0; }
static void on_synced(void *arg, const char *version) { (void)version; ((struct seen *)arg)->syncs++; }
static void on_lost(void *arg, const char *reason) { (void)reason; ((struct seen *)arg)->lost++; }

static void on_object(void *arg, enum kube_change change, json_object *obj)
{
	struct seen *s = arg;
	cleanup(pod_freep) struct pod *p = NULL;

	assert_int_equal(kube_decode_pod(obj, &p), 0);
	assert_int_equal(p->request.cpu_milli, 100);
	assert_null(json_get(obj, "metadata.managedFields"));
	s->objects++;
	s->added += change == KUBE_ADDED;
	s->modified += change == KUBE_MODIFIED;
	s->deleted += change == KUBE_DELETED;
}

static bool is_synced(void *arg)
{
	return ((struct seen *)arg)->syncs == 1 && kube_watch_is_open(((struct seen *)arg)->watch);
}
static bool has_changes(void *arg)
{
	struct seen *s = arg;

	return s->added == 6 && s->modified >= 1 && s->deleted == 1;
}

static void follow_pods(bool lists)
{
	struct seen s = { 0 };
	const struct kube_watch_handlers h = {
	    .arg = &s,
	    .on_sync_begin = on_sync_begin,
	    .on_object = on_object,
	    .on_synced = on_synced,
	    .on_lost = on_lost,
	};
	cleanup(freep) char *uid = NULL;

	for (int i = 0; i < 5; i++) {
		cleanup(freep) char *name = str_format("watch-%d-%d", lists, i);

		free(create_pod(name));
	}
	s.watch = kube_watch_new(
	    kube.client,
	    &(struct kube_watch_params){.path = "/api/v1/pods",
					.label_selector =
					    lists ? "app in (watch-1-0,watch-1-1,watch-1-2,watch-1-3,watch-1-4,late-1)"
						  : "app in (watch-0-0,watch-0-1,watch-0-2,watch-0-3,watch-0-4,late-0)",
					.page = 2,
					.no_watch_list = lists},
	    &h);
	kube_watch_start(s.watch);
	rig_wait_for(&kube, is_synced, &s);
	assert_int_equal(s.objects, 5);
	uid = create_pod(lists ? "late-1" : "late-0");
	check_outcome(bind_to(lists ? "late-1" : "late-0", uid, "n1"), KUBE_OK);
	check_outcome(delete_pod(lists ? "late-1" : "late-0", uid), KUBE_OK);
	rig_wait_for(&kube, has_changes, &s);
	assert_int_equal(s.lost, 0);
	kube_watch_free(s.watch);
}

static void pods_are_followed_by_watch_list(void **state) { (void)state; follow_pods(false); }
static void pods_are_followed_by_pages(void **state) { (void)state; follow_pods(true); }

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_probe_is_answered),
		cmocka_unit_test(a_pod_is_bound_once),
		cmocka_unit_test(a_pod_is_deleted_by_its_uid_only),
		cmocka_unit_test(patches_merge),
		cmocka_unit_test(an_eviction_respects_the_budget),
		cmocka_unit_test(an_event_is_recorded),
		cmocka_unit_test(a_lease_is_taken_and_kept),
		cmocka_unit_test(pods_are_followed_by_watch_list),
		cmocka_unit_test(pods_are_followed_by_pages),
	};

	return cmocka_run_group_tests(tests, start_sim, stop_sim);
}
