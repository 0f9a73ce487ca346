/* test_agent_hold.c — what an agent sees and does on its own machine: pods held still, copies proven, kubelet restarted
 *
 * Without an API server and without gossip; on plain folders and a virtual clock.
 */
#include "../support.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "agent/agent_int.h"
#include "agent/specs.h"

#define POD "bdedc685-793f-415f-80c0-fdb7fddfd6e1"
#define OTHER "bdedc685-793f-415f-80c0-fdb7fddfd6e2"
#define BOOT "b3f1c0de-0000-4000-8000-000000000001"
#define START_S 1000

struct rig {
	struct agent a;
	char dir[TMP_SIZE];
	char *told;			/* events of the history, newest first */
};

static void on_nothing(void *arg)
{
	(void)arg;
}

static void on_flush(void *arg)
{
	store_batch_flush(arg);
}

static struct conf *conf_of(const char *dir, uint16_t healthz)
{
	static const char *const keys[][2] = {{"KUBELET_CGROUP_ROOT", "cgroup"}, {"KUBELET_STATIC_POD_PATH", "manifests"},
					      {"KUBELET_POD_LOGS", "logs"}, {"KUBELET_BUNDLE_DIR", "bundles"},
					      {"KUBELET_BOOT_ID_FILE", "boot_id"}};
	struct buf errors = BUF_INIT, warnings = BUF_INIT;
	const char *environ_like[ARRAY_LEN(keys) + 3] = {"NODE_NAME=n1"};
	struct conf *conf = NULL;

	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		environ_like[i + 1] = str_format("EDGE_HEALER_%s=%s/%s", keys[i][0], dir, keys[i][1]);
	environ_like[ARRAY_LEN(keys) + 1] = str_format("EDGE_HEALER_KUBELET_HEALTHZ=http://127.0.0.1:%u/healthz", healthz);
	assert_int_equal(conf_load(NULL, environ_like, &conf, &errors, &warnings), 0);
	for (size_t i = 1; i < ARRAY_LEN(environ_like) - 1; i++)
		free((char *)(uintptr_t)environ_like[i]);
	buf_fini(&errors);
	buf_fini(&warnings);
	return conf;
}

static void make(const char *path)
{
	assert_int_equal(file_make_dirs(path, 0700), 0);
}

/* As agent_new() does it, without the parts that talk to others. */
static void open_agent(struct rig *g, enum link_state link, uint16_t healthz)
{
	struct heal_conf h = {.self = intern("n1"), .site = intern(""), .stop_after_ms = 20000};
	struct agent *a = &g->a;
	char aside[STORE_PATH_SIZE];

	*a = (struct agent){.self = intern("n1"), .config_fd = -1, .anonymous = true};
	a->loop = loop_new_virtual((struct mono){START_S * MS_PER_S * NS_PER_MS}, (struct wall){INT64_C(1700000000) * 1000000000}, 1);
	a->conf = conf_of(g->dir, healthz);
	a->view = view_new();
	a->copies = map_new();
	specs_new(a);
	list_init(&a->events);
	list_init(&a->silences);
	assert_int_equal(store_open(tmp_path(g->dir, "db"), &a->store, aside), 0);
	assert_int_equal(tell_load(a), 0);
	a->flush = timer_new(a->loop, "flush", on_flush, a);
	a->think_timer = timer_new(a->loop, "think", on_nothing, a);
	a->tags_timer = timer_new(a->loop, "tags", on_nothing, a);
	a->heal = heal_new(&h);
	a->link.state = link;
	a->link.since = loop_now(a->loop);
	a->synced_at = loop_now(a->loop);
	(void)local_new(a);
	local_load(a);
}

static void close_agent(struct rig *g)
{
	struct agent *a = &g->a;

	tell_free(a);
	local_free_all(a);
	if (a->proof_timer)
		copies_free_all(a);
	else
		map_free(a->copies);
	specs_free(a);
	view_free(a->view);
	heal_free(a->heal);
	store_batch_flush(a);
	store_close(a->store);
	timer_free(a->flush);
	timer_free(a->think_timer);
	timer_free(a->tags_timer);
	conf_free(a->conf);
	loop_free(a->loop);
}

static int setup(void **state)
{
	struct rig *g = mem_new(struct rig);

	tmp_new(g->dir);
	make(tmp_path(g->dir, "manifests"));
	make(tmp_path(g->dir, "logs"));
	make(tmp_path(g->dir, "cgroup/kubepods"));
	tmp_write(tmp_path(g->dir, "boot_id"), BOOT "\n");
	*state = g;
	return 0;
}

static int teardown(void **state)
{
	struct rig *g = *state;

	tmp_free(g->dir);
	free(g->told);
	free(g);
	intern_fini();
	return 0;
}

/* ---- the pod ---- */

static const char *pod_at(const struct rig *g, const char *uid, const char *file)
{
	cleanup(freep) char *folder = str_format("%s/cgroup/kubepods/pod%s", g->dir, uid);

	return tmp_path(folder, file);
}

static void pod_put(const struct rig *g, const char *uid, const char *file, const char *text)
{
	FILE *f;

	make(pod_at(g, uid, ""));
	f = fopen(pod_at(g, uid, file), "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static char *pod_get(const struct rig *g, const char *uid, const char *file)
{
	char line[64] = "";

	return file_read_line(pod_at(g, uid, file), line, sizeof(line)) == 0 ? str_dup(line) : NULL;
}

/* Of version 2: it runs, and is frozen when the kernel says so. */
static void pod_runs(const struct rig *g, const char *uid)
{
	pod_put(g, uid, "cgroup.events", "populated 1\nfrozen 0\n");
	pod_put(g, uid, "cgroup.freeze", "0\n");
}

static void assert_file(const struct rig *g, const char *uid, const char *file, const char *expected)
{
	cleanup(freep) char *got = pod_get(g, uid, file);

	assert_non_null(got);
	assert_string_equal(got, expected);
}

static void add_pod(struct rig *g, const char *uid, bool deleting)
{
	struct pod *p = pod_new();

	(void)str_copy(p->uid, sizeof(p->uid), uid);
	p->name = str_dup("web-0");
	p->ns = intern("default");
	p->node = intern("n1");
	p->phase = POD_RUNNING;
	p->deleting = deleting;
	view_put_pod(g->a.view, p, loop_now(g->a.loop));
}

/* ---- what was told ---- */

static void add_event(void *arg, const struct history_row *h)
{
	buf_addf(arg, "%s%s", ((struct buf *)arg)->len ? ", " : "", h->event);
}

static const char *told(struct rig *g)
{
	struct buf text = BUF_INIT;

	store_batch_flush(&g->a);
	assert_int_equal(store_each_history(g->a.store, NULL, 0, 100, add_event, &text), 0);
	free(g->told);
	g->told = buf_take(&text);
	return g->told;
}

static void stop(struct rig *g, const char *uid)
{
	struct action act = {.kind = ACTION_STOP};

	(void)str_copy(act.pod_uid, sizeof(act.pod_uid), uid);
	(void)str_copy(act.reason, sizeof(act.reason), "no lease");
	hold_stop(&g->a, &act);
}

/* As local.c looks each second. */
static void looks(struct rig *g, int n)
{
	for (int i = 0; i < n; i++) {
		loop_advance_ms(g->a.loop, LOCAL_LOOK_MS);
		hold_look(&g->a);
	}
}

/* ---- holding still ---- */

static void test_stopped_is_told_when_it_is_proven(void **state)
{
	struct rig *g = *state;

	open_agent(g, LINK_OFFLINE, 1);
	add_pod(g, POD, false);
	pod_runs(g, POD);
	stop(g, POD);
	assert_file(g, POD, "cgroup.freeze", "1");
	loop_advance_ms(g->a.loop, HOLD_PROOF_MS / 2);
	assert_string_equal(told(g), "");
	pod_put(g, POD, "cgroup.events", "populated 1\nfrozen 1\n");
	loop_advance_ms(g->a.loop, 2 * HOLD_LOOK_MS);
	assert_string_equal(told(g), "pod stopped");
	looks(g, 5);
	assert_string_equal(told(g), "pod stopped");
	close_agent(g);
}

static void test_not_stopped_is_told_and_tried_again(void **state)
{
	struct rig *g = *state;

	open_agent(g, LINK_OFFLINE, 1);
	add_pod(g, POD, false);
	pod_runs(g, POD);
	stop(g, POD);
	loop_advance_ms(g->a.loop, HOLD_PROOF_MS + HOLD_LOOK_MS);
	assert_string_equal(told(g), "pod not stopped");
	looks(g, 5);
	assert_string_equal(told(g), "pod not stopped");
	pod_put(g, POD, "cgroup.freeze", "0\n");	/* a container that is new */
	pod_put(g, POD, "cgroup.events", "populated 1\nfrozen 1\n");
	looks(g, 1);
	assert_file(g, POD, "cgroup.freeze", "1");
	assert_string_equal(told(g), "pod stopped, pod not stopped");
	close_agent(g);
}

/* It runs, and no freezer can be found for it: that is no proof. */
static void test_no_freezer_is_told(void **state)
{
	struct rig *g = *state;

	open_agent(g, LINK_OFFLINE, 1);
	pod_put(g, POD, "pids.current", "3\n");
	stop(g, POD);
	loop_advance_ms(g->a.loop, HOLD_PROOF_MS + HOLD_LOOK_MS);
	assert_string_equal(told(g), "pod not stopped");
	pod_put(g, POD, "pids.current", "0\n");
	looks(g, 1);
	assert_string_equal(told(g), "pod stopped, pod not stopped");
	stop(g, OTHER);					/* it has no cgroup: nothing to be stopped */
	assert_string_equal(told(g), "pod stopped, pod stopped, pod not stopped");
	close_agent(g);
}

static void test_what_moves_again_is_told_only_if_it_goes_on(void **state)
{
	struct rig *g = *state;

	open_agent(g, LINK_OFFLINE, 1);
	pod_runs(g, POD);
	pod_put(g, POD, "cgroup.events", "populated 1\nfrozen 1\n");
	stop(g, POD);
	assert_string_equal(told(g), "pod stopped");
	pod_put(g, POD, "cgroup.events", "populated 1\nfrozen 0\n");
	hold_look(&g->a);
	loop_advance_ms(g->a.loop, HOLD_PROOF_MS / 2);
	pod_put(g, POD, "cgroup.events", "populated 1\nfrozen 1\n");
	looks(g, 2);
	assert_string_equal(told(g), "pod stopped");
	pod_put(g, POD, "cgroup.events", "populated 1\nfrozen 0\n");
	looks(g, 3);
	assert_string_equal(told(g), "pod not stopped, pod stopped");
	close_agent(g);
}

/* ---- where the pod cgroups are ---- */

static void test_without_pod_cgroups_nothing_is_known(void **state)
{
	struct rig *g = *state;
	const char *note = NULL;

	assert_int_equal(rmdir(tmp_path(g->dir, "cgroup/kubepods")), 0);
	open_agent(g, LINK_OFFLINE, 1);
	loop_advance_ms(g->a.loop, 1);
	assert_null(g->a.running);
	assert_false(local_is_fine(&g->a, &note));
	assert_non_null(strstr(note, "no pod cgroups below kubelet.cgroup_root"));
	assert_ptr_equal(g->a.node_faults[NODE_FAULT_CGROUPS], note);
	stop(g, POD);
	loop_advance_ms(g->a.loop, HOLD_PROOF_MS + HOLD_LOOK_MS);
	assert_string_equal(told(g), "pod not stopped");
	make(tmp_path(g->dir, "cgroup/kubepods"));	/* kubelet starts after us */
	loop_advance_ms(g->a.loop, 3 * LOCAL_LOOK_MS);
	assert_true(local_is_fine(&g->a, &note));
	assert_null(g->a.node_faults[NODE_FAULT_CGROUPS]);
	assert_non_null(g->a.running);
	assert_int_equal(map_count(g->a.running), 0);
	assert_string_equal(told(g), "pod stopped, pod not stopped");
	close_agent(g);
}

static void test_pods_that_cannot_be_read_have_not_vanished(void **state)
{
	struct rig *g = *state;

	pod_runs(g, POD);
	open_agent(g, LINK_OFFLINE, 1);
	loop_advance_ms(g->a.loop, 1);
	assert_int_equal(map_count(g->a.running), 1);
	assert_int_equal(symlink("besteffort", tmp_path(g->dir, "cgroup/kubepods/besteffort")), 0);
	loop_advance_ms(g->a.loop, LOCAL_LOOK_MS);
	assert_null(g->a.running);
	close_agent(g);
}

/* ---- version 1: what is frozen cannot be killed ---- */

static void pod_runs_v1(const struct rig *g, const char *uid)
{
	pod_put(g, uid, "pids.current", "1\n");
	pod_put(g, uid, "freezer.state", "THAWED\n");
}

static void test_v1_a_held_pod_that_is_deleted_is_let_go(void **state)
{
	struct rig *g = *state;
	int64_t grace_s = 30;

	open_agent(g, LINK_ONLINE, 1);
	add_pod(g, POD, false);
	pod_runs_v1(g, POD);
	stop(g, POD);
	assert_string_equal(told(g), "pod stopped");
	looks(g, 100);
	assert_file(g, POD, "freezer.state", "FROZEN");
	add_pod(g, POD, true);
	looks(g, (int)(grace_s + KILL_SLACK_MS / MS_PER_S));
	assert_file(g, POD, "freezer.state", "FROZEN");
	looks(g, 3);
	assert_file(g, POD, "freezer.state", "THAWED");
	assert_string_equal(told(g), "pod let go, pod stopped");
	looks(g, 3);
	assert_file(g, POD, "freezer.state", "THAWED");
	assert_string_equal(told(g), "pod let go, pod stopped");
	close_agent(g);
}

/* Nobody can have told kubelet. */
static void test_v1_a_held_pod_stays_while_the_link_is_away(void **state)
{
	struct rig *g = *state;

	open_agent(g, LINK_OFFLINE, 1);
	add_pod(g, POD, true);
	pod_runs_v1(g, POD);
	stop(g, POD);
	looks(g, 300);
	assert_file(g, POD, "freezer.state", "FROZEN");
	g->a.link.state = LINK_ONLINE;			/* kubelet may come back later than we do */
	g->a.link.since = loop_now(g->a.loop);
	looks(g, (int)(KUBELET_LAG_MS / MS_PER_S) + 30);
	assert_file(g, POD, "freezer.state", "FROZEN");
	looks(g, 10);
	assert_file(g, POD, "freezer.state", "THAWED");
	close_agent(g);
}

static struct copy dropping_copy(const struct rig *g, bool once)
{
	struct copy c = {.state = COPY_DROPPING, .ns = (char *)"default", .name = (char *)"web-0", .file = (char *)"edge-healer-x.json",
			 .lost_node = (char *)"n2", .ending = loop_now(g->a.loop), .grace_ms = 30000, .once = once};

	(void)str_copy(c.pod_uid, sizeof(c.pod_uid), POD);
	(void)str_copy(c.static_uid, sizeof(c.static_uid), OTHER);
	return c;
}

/* When it is thawed after its file is gone and the link is there, in seconds; -1 = not within five minutes. */
static int seconds_until_thawed(struct rig *g, struct copy *c)
{
	for (int s = 0; s < 300; s++) {
		cleanup(freep) char *state = pod_get(g, c->static_uid, "freezer.state");

		if (str_eq(state, "THAWED"))
			return s;
		loop_advance_ms(g->a.loop, 1000);
		hold_copy_if_stuck(&g->a, c);
		hold_copy_let_go(&g->a, c);
	}
	return -1;
}

static void test_v1_a_frozen_copy_is_let_go(void **state)
{
	struct rig *g = *state;
	struct copy c;

	open_agent(g, LINK_OFFLINE, 1);
	pod_runs_v1(g, OTHER);
	c = dropping_copy(g, false);
	hold_copy(&g->a, &c, "it must end");
	assert_true(c.frozen);
	assert_file(g, OTHER, "freezer.state", "FROZEN");
	assert_int_equal(seconds_until_thawed(g, &c), -1);	/* the link is away */
	g->a.link.state = LINK_ONLINE;
	g->a.link.since = loop_now(g->a.loop);
	tmp_write(tmp_path(g->dir, "manifests/edge-healer-x.json"), "{}");
	assert_int_equal(seconds_until_thawed(g, &c), -1);	/* its file is there */
	assert_int_equal(unlink(tmp_path(g->dir, "manifests/edge-healer-x.json")), 0);
	g->a.link.since = loop_now(g->a.loop);
	assert_in_range(seconds_until_thawed(g, &c), 35, 36);
	assert_string_equal(told(g), "copy let go, copy frozen");
	assert_int_equal(seconds_until_thawed(g, &c), 0);
	close_agent(g);
}

/* At most once: kubelet's longest pause is waited for too, so that nothing of it runs again. */
static void test_v1_an_at_most_once_copy_waits_for_kubelet(void **state)
{
	struct rig *g = *state;
	struct copy c;

	open_agent(g, LINK_ONLINE, 1);
	pod_runs_v1(g, OTHER);
	c = dropping_copy(g, true);
	hold_copy(&g->a, &c, "at most once");
	assert_in_range(seconds_until_thawed(g, &c), 65, 66);
	close_agent(g);
}

static void test_v2_a_frozen_copy_stays_frozen(void **state)
{
	struct rig *g = *state;
	struct copy c;

	open_agent(g, LINK_ONLINE, 1);
	pod_runs(g, OTHER);
	c = dropping_copy(g, true);
	hold_copy(&g->a, &c, "at most once");
	assert_false(c.frozen);
	pod_put(g, OTHER, "cgroup.events", "populated 1\nfrozen 1\n");
	hold_copy(&g->a, &c, "at most once");
	assert_true(c.frozen);
	assert_int_equal(seconds_until_thawed(g, &c), -1);
	assert_file(g, OTHER, "cgroup.freeze", "1");
	close_agent(g);
}

static void test_a_copy_that_cannot_be_frozen_is_told(void **state)
{
	struct rig *g = *state;
	struct copy c;

	open_agent(g, LINK_OFFLINE, 1);
	pod_runs(g, OTHER);
	c = dropping_copy(g, true);
	for (int i = 0; i < 10; i++) {
		hold_copy(&g->a, &c, "at most once");
		assert_string_equal(told(g), i * 250 < HOLD_PROOF_MS ? "" : "copy not frozen");
		loop_advance_ms(g->a.loop, 250);
	}
	pod_put(g, OTHER, "cgroup.events", "populated 1\nfrozen 1\n");
	hold_copy(&g->a, &c, "at most once");
	assert_string_equal(told(g), "copy frozen, copy not frozen");
	close_agent(g);
}

/* ---- proof that a copy runs ---- */

/* A copy whose file is there, as a healer that is started again finds it. */
static const struct copy *start_copy(struct rig *g)
{
	static const char manifest[] = "{\"metadata\":{\"name\":\"web-0\"},\"spec\":{\"initContainers\":[{\"name\":\"init\"}],"
				       "\"containers\":[{\"name\":\"web\"},{\"name\":\"side\"}]}}";
	struct copy *c = copy_new();

	open_agent(g, LINK_OFFLINE, 1);
	(void)str_copy(c->pod_uid, sizeof(c->pod_uid), POD);
	(void)str_copy(c->static_uid, sizeof(c->static_uid), OTHER);
	(void)str_copy(c->workload_uid, sizeof(c->workload_uid), "rs");
	c->ns = str_dup("default");
	c->name = str_dup("web-0");
	c->workload = str_dup("web");
	c->lost_node = str_dup("n2");
	c->file = str_dup("edge-healer-web-0-bdedc685.json");
	c->epoch = 1;
	c->state = COPY_STARTING;
	tmp_write(tmp_path(g->dir, "manifests/edge-healer-web-0-bdedc685.json"), manifest);
	assert_int_equal(store_put_copy(g->a.store, c), 0);
	copy_free(c);
	assert_int_equal(copies_load(&g->a), 0);
	loop_advance_ms(g->a.loop, 1);
	c = map_get(g->a.copies, POD);
	assert_non_null(c);
	return c;
}

static void log_put(const struct rig *g, const char *container)
{
	cleanup(freep) char *folder = str_format("%s/logs/default_web-0-n1_%s/%s", g->dir, OTHER, container);

	make(folder);
	tmp_write(tmp_path(folder, "0.log"), "");
}

static bool is_late(const struct rig *g, const struct copy *c)
{
	return mono_reached(loop_now(g->a.loop), c->deadline);
}

static void test_an_init_container_is_no_proof(void **state)
{
	struct rig *g = *state;
	const struct copy *c = start_copy(g);

	pod_runs(g, OTHER);
	loop_advance_ms(g->a.loop, 1000);
	assert_int_equal(c->state, COPY_STARTING);
	log_put(g, "init");
	loop_advance_ms(g->a.loop, 1000);
	assert_int_equal(c->state, COPY_STARTING);
	log_put(g, "side");
	loop_advance_ms(g->a.loop, 2 * PROOF_MS);
	assert_int_equal(c->state, COPY_RUNNING);
	assert_string_equal(told(g), "restored");
	close_agent(g);
}

/* An init container that takes long, and one that hangs. */
static void test_what_kubelet_is_at_work_on_has_a_minute(void **state)
{
	struct rig *g = *state;
	const struct copy *c = start_copy(g);
	int s;

	pod_runs(g, OTHER);
	log_put(g, "init");
	for (s = 0; s < 100 && !is_late(g, c); s++)
		loop_advance_ms(g->a.loop, 1000);
	assert_in_range(s, START_MAX_MS / MS_PER_S - 1, START_MAX_MS / MS_PER_S);
	close_agent(g);
}

/* kubelet has not begun; or it has a sandbox and lacks the image; or it gave up. */
static void test_what_kubelet_is_not_at_work_on_has_start_timeout(void **state)
{
	struct rig *g = *state;
	const struct copy *c = start_copy(g);

	loop_advance_ms(g->a.loop, 9900);
	assert_false(is_late(g, c));
	loop_advance_ms(g->a.loop, 100);
	assert_true(is_late(g, c));
	close_agent(g);
}

static void test_a_sandbox_without_containers_has_start_timeout(void **state)
{
	struct rig *g = *state;
	const struct copy *c = start_copy(g);

	pod_runs(g, OTHER);
	loop_advance_ms(g->a.loop, 10000);
	assert_true(is_late(g, c));
	close_agent(g);
}

static void test_a_pod_that_goes_again_has_start_timeout_from_then(void **state)
{
	struct rig *g = *state;
	const struct copy *c = start_copy(g);

	pod_put(g, OTHER, "cgroup.events", "populated 0\nfrozen 0\n");	/* its volumes take time */
	loop_advance_ms(g->a.loop, 20000);
	assert_false(is_late(g, c));
	assert_int_equal(unlink(pod_at(g, OTHER, "cgroup.events")), 0);
	assert_int_equal(rmdir(pod_at(g, OTHER, "")), 0);
	loop_advance_ms(g->a.loop, 10000);
	assert_true(is_late(g, c));
	close_agent(g);
}

/* ---- kubelet ---- */

static int listen_at(uint16_t *port)
{
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(*port)};
	socklen_t n = sizeof(sa);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, n), 0);
	assert_int_equal(listen(fd, 5), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &n), 0);
	*port = ntohs(sa.sin_port);
	return fd;
}

static void set_link(struct rig *g, enum link_state link)
{
	g->a.link.state = link;
	g->a.link.since = loop_now(g->a.loop);
}

static void test_kubelet_restarted_in_the_outage(void **state)
{
	struct rig *g = *state;
	uint16_t port = 0;
	int fd = listen_at(&port);
	struct copy c;
	const char *note;

	open_agent(g, LINK_ONLINE, port);
	kubelet_is_online(&g->a);
	if (!g->a.kubelet.inode) {
		print_message("no listeners to be seen in /proc/net here\n");
		(void)close(fd);
		close_agent(g);
		skip();
	}
	(void)close(fd);				/* while the link is there it may restart as it likes */
	fd = listen_at(&port);
	kubelet_note(&g->a);				/* the outage begins */
	set_link(g, LINK_OFFLINE);
	kubelet_look(&g->a);
	assert_true(kubelet_removes(&g->a, &note));
	(void)close(fd);
	kubelet_look(&g->a);				/* gone, not yet back */
	assert_true(kubelet_removes(&g->a, &note));
	fd = listen_at(&port);
	kubelet_look(&g->a);
	assert_false(kubelet_removes(&g->a, &note));
	assert_non_null(strstr(note, "restarted"));
	kubelet_look(&g->a);
	assert_string_equal(told(g), "kubelet restarted");
	pod_runs(g, OTHER);
	c = dropping_copy(g, false);
	hold_copy_if_stuck(&g->a, &c);
	assert_file(g, OTHER, "cgroup.freeze", "1");
	set_link(g, LINK_ONLINE);
	kubelet_is_online(&g->a);
	assert_true(kubelet_removes(&g->a, &note));
	set_link(g, LINK_OFFLINE);
	kubelet_look(&g->a);
	assert_true(kubelet_removes(&g->a, &note));
	(void)close(fd);
	close_agent(g);
}

/* The healer was restarted too; or nobody listened when the outage began. */
static void test_kubelet_restarted_while_nobody_looked(void **state)
{
	struct rig *g = *state;
	uint16_t port = 0;
	int fd = listen_at(&port);
	const char *note;
	bool seen;

	open_agent(g, LINK_ONLINE, port);
	kubelet_is_online(&g->a);
	seen = g->a.kubelet.inode;
	close_agent(g);
	(void)close(fd);
	if (!seen)
		skip();
	fd = listen_at(&port);
	open_agent(g, LINK_SUSPECT, port);
	kubelet_look(&g->a);				/* the API server may answer yet: nothing is said */
	assert_true(kubelet_removes(&g->a, &note));
	set_link(g, LINK_OFFLINE);
	kubelet_look(&g->a);
	assert_false(kubelet_removes(&g->a, &note));
	kubelet_is_online(&g->a);
	(void)close(fd);
	kubelet_note(&g->a);
	kubelet_look(&g->a);
	assert_true(kubelet_removes(&g->a, &note));
	fd = listen_at(&port);
	kubelet_look(&g->a);
	assert_false(kubelet_removes(&g->a, &note));
	(void)close(fd);
	close_agent(g);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    IN_FOLDER(test_stopped_is_told_when_it_is_proven),
	    IN_FOLDER(test_not_stopped_is_told_and_tried_again),
	    IN_FOLDER(test_no_freezer_is_told),
	    IN_FOLDER(test_what_moves_again_is_told_only_if_it_goes_on),
	    IN_FOLDER(test_without_pod_cgroups_nothing_is_known),
	    IN_FOLDER(test_pods_that_cannot_be_read_have_not_vanished),
	    IN_FOLDER(test_v1_a_held_pod_that_is_deleted_is_let_go),
	    IN_FOLDER(test_v1_a_held_pod_stays_while_the_link_is_away),
	    IN_FOLDER(test_v1_a_frozen_copy_is_let_go),
	    IN_FOLDER(test_v1_an_at_most_once_copy_waits_for_kubelet),
	    IN_FOLDER(test_v2_a_frozen_copy_stays_frozen),
	    IN_FOLDER(test_a_copy_that_cannot_be_frozen_is_told),
	    IN_FOLDER(test_an_init_container_is_no_proof),
	    IN_FOLDER(test_what_kubelet_is_at_work_on_has_a_minute),
	    IN_FOLDER(test_what_kubelet_is_not_at_work_on_has_start_timeout),
	    IN_FOLDER(test_a_sandbox_without_containers_has_start_timeout),
	    IN_FOLDER(test_a_pod_that_goes_again_has_start_timeout_from_then),
	    IN_FOLDER(test_kubelet_restarted_in_the_outage),
	    IN_FOLDER(test_kubelet_restarted_while_nobody_looked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
