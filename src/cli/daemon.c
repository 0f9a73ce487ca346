/* daemon.c — edge-healer agent, with and without --standby; edge-healer remove-standby
 *
 * Primary: take the seat (node/seat.h), run. Standby: wait for the seat with as little as possible, run, and when a primary shows
 * up stop in order and begin anew as a fresh process: the memory of a daemon is not kept by one that waits. A standby that was left
 * alone for good (agent/removal.c) removes what is ours and waits for kubelet to end its pod.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "agent/agent.h"
#include "agent/preflight.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "cli/cli.h"
#include "model/constraint.h"
#include "node/manifest.h"
#include "node/seat.h"
#include "node/standby.h"

#define REMOVED_LOOK_S 5		/* how often a removed standby looks whether it is wanted again */

extern char **environ;

/* One run of the daemon. */
struct run {
	const char *config_path;
	bool standby, yielding, removed;
	bool file_left;			/* removed, but its manifest could not be */
	char *static_pods;		/* the folder of it; set when removed */
	struct seat seat;
	struct loop *loop;
	struct agent *agent;
	struct timer *look;
};

static void on_stopped(void *arg)
{
	loop_stop(arg);
}

static void on_stop(void *arg, int signo)
{
	struct run *run = arg;

	log_info(LOG_AGENT, "stopping", "signal=%d", signo);
	agent_stop(run->agent, on_stopped, run->loop);
}

static void on_reload(void *arg, int signo)
{
	struct run *run = arg;

	(void)signo;
	agent_reload(run->agent);
}

static void on_look(void *arg)
{
	struct run *run = arg;

	if (!seat_is_wanted(&run->seat)) {
		timer_start_ms(run->look, SEAT_LOOK_MS);
		return;
	}
	run->yielding = true;
	agent_note_yield(run->agent);
	loop_stop(run->loop);
}

static void on_removed(void *arg)
{
	struct run *run = arg;

	run->removed = true;
	loop_stop(run->loop);
}

static int run_agent(struct run *run, struct conf *conf)
{
	struct agent_params params = { .config_path = run->config_path, .version = cli_version(), .standby = run->standby };
	int r;

	params.loop = run->loop = loop_new();
	r = agent_new(&params, conf, &run->agent);
	if (r < 0) {
		conf_free(conf);
		loop_free(run->loop);
		return r;
	}
	(void)loop_on_signal(run->loop, SIGTERM, on_stop, run);
	(void)loop_on_signal(run->loop, SIGINT, on_stop, run);
	(void)loop_on_signal(run->loop, SIGHUP, on_reload, run);
	agent_on_removed(run->agent, on_removed, run);
	run->look = timer_new(run->loop, "seat", on_look, run);
	if (run->standby)
		timer_start_ms(run->look, SEAT_LOOK_MS);
	r = loop_run(run->loop);
	timer_free(run->look);
	if (run->removed && !run->yielding)
		run->file_left = agent_remove(run->agent, &run->static_pods) < 0;
	else
		agent_free(run->agent);
	loop_free(run->loop);
	metric_fini();
	constraints_fini();
	intern_fini();
	return r;
}

/* With all checks that check-config makes. */
static int load(const struct run *run, struct conf **out_conf)
{
	cleanup(buf_fini) struct buf errors = BUF_INIT, warnings = BUF_INIT;
	cleanup(conf_freep) struct conf *c = NULL;
	const struct conf_source src = { .path = run->config_path, .environ_like = (const char *const *)environ };

	(void)conf_read(&src, &c, &errors, &warnings);
	preflight_check(c, run->standby, &errors);
	if (warnings.len)
		fputs(warnings.data, stderr);
	if (errors.len) {
		fputs(errors.data, stderr);
		return -EINVAL;
	}
	*out_conf = take(c);
	return 0;
}

/* The values alone: what removes a file needs no credentials. */
static int load_values(const char *path, struct conf **out_conf)
{
	cleanup(buf_fini) struct buf errors = BUF_INIT, warnings = BUF_INIT;
	int r = conf_load(path, (const char *const *)environ, out_conf, &errors, &warnings);

	if (r < 0)
		fputs(errors.data, stderr);
	return r;
}

/* ---- the seat ---- */

/* As process 1 of a container, signals without a handler are ignored. */
static void on_stop_waiting(int signo)
{
	(void)signo;
	_exit(CLI_OK);
}

static void stop_at_once(void)
{
	(void)signal(SIGTERM, on_stop_waiting);
	(void)signal(SIGINT, on_stop_waiting);
}

static void say_cannot_lock(const char *store, int r)
{
	log_error(LOG_STORE, "cannot lock", "store.path=%s error=%s: the folder must exist and be writable", store, err_str(r));
}

static int take_seat(struct run *run, const char *store)
{
	int64_t pid = 0;
	int r = seat_take(&run->seat, store, &pid);

	if (r == SEAT_E_TAKEN)
		log_error(LOG_AGENT, "another agent is there",
			  "store.path=%s pid=%lld: one agent for one store; a second one only with " STANDBY_OPTION, store,
			  (long long)pid);
	else if (r == SEAT_E_BUSY)
		log_error(LOG_AGENT, "the standby does not yield", "store.path=%s pid=%lld waited=%d ms", store, (long long)pid,
			  SEAT_YIELD_MS);
	else if (r < 0)
		say_cannot_lock(store, r);
	return r ? -EBUSY : 0;
}

/* Nothing but the store's path is kept while waiting. */
static int wait_for_seat(struct run *run, struct conf **conf)
{
	cleanup(freep) char *store = str_dup((*conf)->store_path);
	int r;

	log_info(LOG_AGENT, "standby waits", "store.path=%s pid=%d", store, (int)getpid());
	conf_free(take(*conf));
	intern_fini();
	mem_trim();
	r = seat_wait(&run->seat, store);
	if (r < 0)
		say_cannot_lock(store, r);
	return r < 0 ? r : load(run, conf);
}

/* Begin anew with the same words; returns only when that fails. */
static int again(int argc, char **argv)
{
	char **words = mem_new_n(char *, (size_t)argc + 2);
	static char name[] = "edge-healer";

	words[0] = name;
	for (int i = 0; i < argc; i++)
		words[i + 1] = argv[i];
	(void)execv("/proc/self/exe", words);
	log_error(LOG_AGENT, "cannot begin anew", "error=%s", err_str(-errno));
	free(words);
	return CLI_FAILED;
}

/* Removed: kubelet ends this pod. An end of our own would only make it start the container again, and that begin a new store. A
 * primary that came back writes the manifest anew, perhaps before kubelet has seen it go: then this is its standby again. */
static int wait_for_end(struct run *run, int argc, char **argv)
{
	struct timespec pause = { .tv_sec = REMOVED_LOOK_S };

	stop_at_once();
	do {
		(void)nanosleep(&pause, NULL);
		if (run->file_left)
			run->file_left = agent_remove_standby(run->static_pods) < 0;
	} while (run->file_left || !manifest_exists(run->static_pods, STANDBY_FILE));
	free(run->static_pods);
	return again(argc, argv);
}

static int parse(int argc, char **argv, struct run *run)
{
	run->config_path = getenv("EDGE_HEALER_CONFIG");
	for (int i = 1; i < argc; i++) {
		if ((str_eq(argv[i], "--config") || str_eq(argv[i], "-c")) && i + 1 < argc) {
			run->config_path = argv[++i];
		} else if (str_has_prefix(argv[i], "--config=")) {
			run->config_path = argv[i] + strlen("--config=");
		} else if (str_eq(argv[i], STANDBY_OPTION)) {
			run->standby = true;
		} else {
			fprintf(stderr, "edge-healer agent: unknown argument \"%s\". See edge-healer agent --help.\n", argv[i]);
			return CLI_USAGE;
		}
	}
	return CLI_OK;
}

int cli_agent(int argc, char **argv)
{
	struct run run = { .seat = SEAT_INIT };
	struct conf *conf = NULL;
	int r = parse(argc, argv, &run);

	if (r)
		return r;
	(void)umask(077);		/* the store and its companions are ours alone */
	if (fault_arm(getenv(FAULT_ENV)) < 0) {
		(void)fprintf(stderr, "edge-healer: %s: no such fault point\n", FAULT_ENV);
		return CLI_USAGE;
	}
	if (load(&run, &conf) < 0)
		return CLI_FAILED;
	stop_at_once();
	r = run.standby ? wait_for_seat(&run, &conf) : take_seat(&run, conf->store_path);
	if (r < 0) {
		conf_free(conf);
		return CLI_FAILED;
	}
	r = run_agent(&run, conf);
	seat_leave(&run.seat);
	if (run.yielding)
		return again(argc, argv);
	if (run.removed)
		return wait_for_end(&run, argc, argv);
	return r < 0 ? CLI_FAILED : CLI_OK;
}

/* By hand, for a node that could not ask its API server when the DaemonSet went. */
int cli_remove_standby(int argc, char **argv)
{
	struct run run = { .seat = SEAT_INIT };
	cleanup(conf_freep) struct conf *conf = NULL;
	struct standby_mark mark;
	int r = parse(argc, argv, &run);

	if (r)
		return r;
	if (load_values(run.config_path, &conf) < 0)
		return CLI_FAILED;
	r = standby_identify(conf->kubelet_static_pod_path, &mark);
	if (r == 0)
		r = manifest_remove(conf->kubelet_static_pod_path, STANDBY_FILE);
	if (r == 0)
		printf("%s/" STANDBY_FILE " of DaemonSet %s/%s removed\n", conf->kubelet_static_pod_path, mark.ns, mark.set);
	else if (r == -ENOENT)
		printf("%s has no standby\n", conf->kubelet_static_pod_path);
	else
		fprintf(stderr, "edge-healer: %s/" STANDBY_FILE ": %s\n", conf->kubelet_static_pod_path,
			r == -EINVAL ? "it has no mark of ours; left alone" : err_str(r));
	return r == 0 || r == -ENOENT ? CLI_OK : CLI_FAILED;
}
