/* agent.c — start, reload, stop
 *
 * Order of starting: store, mirror as the last run knew it, claims and copies (finish or undo what was open), HTTP, uplink,
 * gossip. Stopping is the reverse; copies keep running, the next start finds them.
 */
#include "agent/agent.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "agent_int.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "freshness.h"
#include "specs.h"
#include "surface.h"

extern char **environ;

static struct heal_conf heal_conf_of(const struct agent *a)
{
	const struct conf *c = a->conf;
	const struct node *n = a->view ? view_node(a->view, a->self) : NULL;
	struct heal_conf h = {
		.self = a->self,
		.policy = (enum heal_policy)c->heal_policy,
		.bind_grace_ms = c->heal_bind_grace_ms,
		.node_grace_ms = c->heal_node_grace_ms,
		.claim_timeout_ms = c->heal_claim_timeout_ms,
		.start_timeout_ms = c->heal_start_timeout_ms,
		.peer_ttl_ms = c->serf_peer_ttl_ms,
		.gone_grace_ms = c->reconcile_gone_grace_ms,
		.witnesses = (int)c->heal_witnesses,
		.max_lost_percent = (int)c->budget_max_lost_nodes,
		.restores_per_minute = (int)c->budget_restores_per_minute,
		.keep = (enum keep_policy)c->reconcile_policy,
		.local_grace_ms = c->heal_local_grace_ms, .doubt_ms = c->heal_doubt_ms,
		.stop_after_ms = c->heal_stop_after_ms,
		.lease_grace_ms = c->heal_lease_grace_ms,
		.minority_active = c->heal_minority == CONF_MINORITY_ACTIVE,
	};

	h.site = intern(!str_is_empty(c->site) ? c->site : n ? str_or(node_label(n, LABEL_ZONE), "") : "");
	for (size_t i = 0; i < c->heal_namespaces.count && i < HEAL_NAMESPACES_MAX; i++)
		h.namespaces[h.namespace_count++] = intern(c->heal_namespaces.items[i]);
	return h;
}

void agent_refresh_heal(struct agent *a)
{
	struct heal_conf h = heal_conf_of(a);

	heal_set_conf(a->heal, &h);
}

bool agent_wants_namespace(const struct agent *a, const char *ns)
{
	struct heal_conf h = heal_conf_of(a);

	return heal_wants_namespace(&h, ns);
}

static void apply_log(const struct conf *c)
{
	log_setup(LOG_LEVEL_INFO, c->log_format == CONF_LOG_JSON ? LOG_FORMAT_JSON : LOG_FORMAT_TEXT);
	(void)log_set_levels(c->log_level);
}

static void log_lines(const struct buf *text, bool as_error)
{
	for (const char *p = text->len ? text->data : ""; *p;) {
		size_t n = strcspn(p, "\n");

		if (as_error)
			log_error(LOG_CONF, "config", "%.*s", (int)n, p);
		else
			log_warn(LOG_CONF, "config", "%.*s", (int)n, p);
		p += n + (p[n] == '\n');
	}
}

/* ---- timers ---- */

static void on_flush_due(void *arg)
{
	store_batch_flush(arg);
}

static void on_think_due(void *arg)
{
	think_now(arg);
}

static void on_store_due(void *arg)
{
	struct agent *a = arg;

	rescue_look(a);
	mirror_look(a);
	removal_look(a);
	timer_start_ms(a->store_timer, STORE_LOOK_MS);
}

static void on_idle(void *arg)
{
	struct agent *a = arg;

	store_batch_flush(a);
	store_idle(a->store);
	mirror_check_store(a);
	gossip_forget_claims(a);
	standby_check(a);
	a->isolated_before = false;	/* alone still? then join again */
	if (roster_misses_somebody(a))
		roster_join(a);
	timer_start_ms(a->idle_timer, IDLE_MS);
}

/* ---- reload ---- */

static bool same(const char *x, const char *y)
{
	return str_eq(str_or(x, ""), str_or(y, ""));
}

/* What was opened with a key cannot change under it. */
static void warn_of_restart(const struct conf *old, const struct conf *fresh)
{
	if (!same(old->node, fresh->node) || !same(old->serf_rpc, fresh->serf_rpc) ||
	    !same(old->store_path, fresh->store_path) || !same(old->http_listen, fresh->http_listen) ||
	    !same(old->http_socket, fresh->http_socket) ||
	    !same(old->kube_kubeconfig, fresh->kube_kubeconfig) || !same(old->kube_server, fresh->kube_server))
		log_warn(LOG_CONF, "needs a restart", "node, serf.rpc, store.path, http.listen, http.socket, kube.kubeconfig and "
						      "kube.server take effect at the next start");
}

void agent_reload(struct agent *a)
{
	cleanup(buf_fini) struct buf errors = BUF_INIT, warnings = BUF_INIT;
	struct conf *fresh = NULL;
	bool could_act = agent_may_act(a);

	if (conf_load(a->config_path, (const char *const *)environ, &fresh, &errors, &warnings) < 0) {
		log_lines(&errors, true);
		log_error(LOG_CONF, "reload refused", "the old configuration stays");
		return;
	}
	log_lines(&warnings, false);
	warn_of_restart(a->conf, fresh);
	conf_free(a->conf);
	a->conf = fresh;
	apply_log(fresh);
	surface_reload(a);
	agent_refresh_heal(a);
	if (!could_act && agent_may_act(a))
		heal_lease_anew(a->heal);
	uplink_reload(a);
	agent_gate_reload(a);
	local_reload(a);
	secrets_open(a);
	(void)objects_load(a);
	objects_judge_again(a);
	standby_reload(a);
	readiness_soon(a);
	gossip_tags_soon(a);
	think_soon(a);
	log_info(LOG_CONF, "reloaded", "mode=%s", fresh->mode == CONF_MODE_OBSERVE ? "observe" : "heal");
}

static void on_config_changed(void *arg, int events)
{
	struct agent *a = arg;
	char sink[4096];
	bool any = false;

	(void)events;
	while (read(a->config_fd, sink, sizeof(sink)) > 0)
		any = true;
	if (any)			/* whoever writes may not be done: look when it is quiet */
		timer_start_ms(a->config_timer, CONFIG_QUIET_MS);
}

static void on_config_quiet(void *arg)
{
	agent_reload(arg);
}

/* The folder is watched, not the file: editors and ConfigMap mounts replace it. */
static void watch_config(struct agent *a)
{
	cleanup(freep) char *dir = NULL;
	char *slash;

	a->config_fd = -1;
	if (!a->config_path)
		return;
	dir = str_dup(a->config_path);
	slash = strrchr(dir, '/');
	if (slash)
		*slash = '\0';
	a->config_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (a->config_fd < 0 ||
	    inotify_add_watch(a->config_fd, slash ? (*dir ? dir : "/") : ".", IN_CLOSE_WRITE | IN_MOVED_TO) < 0)
		return;			/* SIGHUP still works */
	a->config_timer = timer_new(a->loop, "config", on_config_quiet, a);
	a->config_io = io_new(a->loop, a->config_fd, on_config_changed, a);
	io_watch(a->config_io, IO_READ);
}

/* ---- start ---- */

static int open_store(struct agent *a)
{
	char aside[STORE_PATH_SIZE];
	int r = store_open(a->conf->store_path, &a->store, aside);

	if (r < 0) {
		log_error(LOG_STORE, "cannot open", "store.path=%s error=%s: the folder must exist and be writable",
			  a->conf->store_path, err_str(r));
		return r;
	}
	if (aside[0])
		log_error(LOG_STORE, "store was corrupt",
			  "set_aside=%s: begun anew; until the API server answers there is nothing to heal from", aside);
	a->flush = timer_new(a->loop, "flush", on_flush_due, a);
	metric_set(METRIC_STORE_OK, 0, 1);
	return 0;
}

static int start_all(struct agent *a)
{
	struct heal_conf h;
	int r = open_store(a);

	if (r < 0)
		return r;
	a->view = view_new();
	a->copies = map_new();
	a->observed = map_new();
	a->think_timer = timer_new(a->loop, "think", on_think_due, a);
	a->idle_timer = timer_new(a->loop, "idle", on_idle, a);
	a->store_timer = timer_new(a->loop, "store", on_store_due, a);
	(void)local_new(a);
	freshness_new(a);
	r = tell_load(a);
	specs_new(a);
	objects_new(a);
	secrets_open(a);
	r = r < 0 ? r : readiness_load(a);
	r = r < 0 ? r : objects_load(a);
	r = r < 0 ? r : mirror_load(a);
	h = heal_conf_of(a);
	a->heal = heal_new(&h);
	r = r < 0 ? r : copies_load(a);
	r = r < 0 ? r : roster_load(a);
	identities_new(a);
	if (r == 0)
		bundles_load(a);
	r = r < 0 ? r : surface_start(a);
	r = r < 0 ? r : uplink_new(a);
	r = r < 0 ? r : gossip_new(a);
	if (r < 0)
		return r;
	agent_gate_start(a);
	standby_start(a);
	log_info(LOG_AGENT, "started", "version=%s node=%s mode=%s mirror: nodes=%zu replicasets=%zu pods=%zu copies=%zu",
		 a->version, a->self, agent_may_act(a) ? "heal" : "observe", map_count(a->view->nodes),
		 map_count(a->view->workloads), map_count(a->view->pods), map_count(a->copies));
	local_load(a);
	watch_config(a);
	uplink_start(a);
	timer_start_ms(a->idle_timer, IDLE_MS);
	timer_start_ms(a->store_timer, STORE_LOOK_MS);
	return 0;
}

int agent_new(const struct agent_params *params, struct conf *conf, struct agent **out_agent)
{
	struct agent *a = mem_new(struct agent);
	int r;

	a->loop = params->loop;
	a->conf = conf;
	a->config_path = str_dup(params->config_path);
	a->version = params->version;
	a->is_standby = params->standby;
	a->self = intern(conf->node);
	a->started = loop_wall(a->loop);
	a->config_fd = -1;
	list_init(&a->events);
	list_init(&a->effects);
	list_init(&a->dials);
	list_init(&a->witnesses);
	list_init(&a->questions);
	list_init(&a->asks);
	list_init(&a->restores);
	answers_new(a);
	list_init(&a->node_ops);
	list_init(&a->silences);
	apply_log(conf);
	secrets_harden();
	r = start_all(a);
	if (r < 0) {
		a->conf = NULL;		/* stays the caller's */
		agent_free(a);
		return r;
	}
	*out_agent = a;
	return 0;
}

void agent_free(struct agent *a)
{
	if (!a)
		return;
	web_free(a->web);
	agent_gate_free(a);
	standby_free(a);
	tell_free(a);
	effects_free(a);
	node_ops_free(a);
	answers_free(a);
	asks_free(a);
	gossip_free(a);
	identities_free(a);
	if (a->stopped)
		local_free_all(a);
	if (a->roster)
		roster_free(a);
	io_free(a->config_io);
	timer_free(a->config_timer);
	fd_closep(&a->config_fd);
	objects_free(a);
	readiness_free(a);
	specs_free(a);
	freshness_free(a);
	if (a->view)
		mirror_free(a);
	uplink_free(a);
	if (a->copies) {
		restores_free(a);
		copies_free_all(a);
	}
	if (a->observed)
		observed_clear(a);
	map_free(a->observed);
	heal_free(a->heal);
	plan_fini(&a->plan);
	if (a->store && store_in_transaction(a->store))
		(void)store_commit(a->store);
	store_close(a->store);
	timer_free(a->flush);
	timer_free(a->think_timer);
	timer_free(a->idle_timer);
	timer_free(a->store_timer);
	conf_free(a->conf);
	free(a->config_path);
	free(a->http_token);
	free(a);
}
