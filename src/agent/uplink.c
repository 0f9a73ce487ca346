/* uplink.c — the link to the API server: what is heard of it, and what its state means for the others
 *
 * Reach comes from the ways (way_probe.c) and from every answer to a request. What the API server is worth is told by
 * our requests; when nothing else was asked for READ_MS, by a quorum read of our own Node, which etcd must answer. In
 * `failing` a write is tried too: an Event about our Node, always the same one.
 *
 * While the link is offline only such reads lead out of it, on connections of their own, by whichever way answers.
 * Going offline closes all connections: what hangs in a black hole would hang for minutes. Coming back syncs the mirror
 * anew: what happened meanwhile must be known before anything is reconciled.
 *
 * Credentials are read again while anything is wrong: another kubeconfig may name another server.
 */
#include "uplink.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "kube/write.h"
#include "ways.h"

enum { CREDENTIALS_ERROR_SIZE = 512 };

struct uplink {
	struct agent *a;
	struct timer *read_timer, *tick_timer;
	struct op *read, *write;
	struct mono read_began; /* of the read under way */
	bool read_overdue;
	int64_t read_slowest_ms;
	struct mono replied;     /* the last reply of any kind */
	struct mono looked;      /* credentials and addresses were read again */
	struct mono doubt_since; /* of suspect or offline; 0 = neither */
	unsigned generation;     /* of the credentials in use */
	char *server;            /* that they name */
};

static void read_schedule(struct uplink *u);

/* ---- the state ---- */

static void tell_state(struct agent *a, enum link_state before)
{
	static const struct {
		const char *event, *kube_reason;
		bool warning;
	} rows[] = {
	    [LINK_ONLINE] = {"link online", NULL, false},
	    [LINK_OFFLINE] = {"link offline", NULL, false},
	    [LINK_FAILING] = {"link failing", "LinkFailing", true},
	    [LINK_DENIED] = {"link denied", "LinkDenied", true},
	};
	enum link_state now = a->link.state;
	const struct tale t = {.event = rows[now].event,
			       .kube_reason = rows[now].kube_reason,
			       .warning = rows[now].warning,
			       .node = a->self};

	if (now == LINK_SUSPECT || (now == LINK_ONLINE && before == LINK_SUSPECT))
		return;
	tell(a, &t, "reason=\"%s\"", now == LINK_ONLINE ? "" : a->link.reason);
	if (now == LINK_DENIED)
		log_error(LOG_KUBE, "credentials are not accepted",
			  "server=%s source=\"%s\": nothing is healed until they are", kube_client_server(a->kube),
			  kube_credentials_source(a->credentials));
}

static void on_link_changed(struct agent *a, enum link_state before)
{
	struct uplink *u = a->uplink;
	enum link_state now = a->link.state;

	for (int s = LINK_SUSPECT; s <= LINK_DENIED; s++)
		metric_set(METRIC_LINK_STATE, s, (int)now == s);
	log_info(LOG_KUBE, "link", "from=%s to=%s reason=\"%s\"", link_state_name(before), link_state_name(now),
		 a->link.reason);
	if (now != LINK_SUSPECT && now != LINK_OFFLINE)
		u->doubt_since = (struct mono){0};
	else if (!mono_is_set(u->doubt_since))
		u->doubt_since = loop_now(a->loop);
	if (before == LINK_ONLINE)
		kubelet_note(a);
	if (now == LINK_OFFLINE) {
		mirror_stop(a);
		op_cancelp(&u->write);
		kube_client_drop_connections(a->kube);
	} else if (now == LINK_ONLINE && before != LINK_SUSPECT) {
		mirror_start(a);
	} else if (now == LINK_ONLINE && !mono_is_set(a->synced_at) && !a->anonymous) {
		kube_watch_kick(a->watches[WATCH_NODES].watch);
	}
	tell_state(a, before);
	observed_clear(a);
	gossip_tell_link(a);
	local_look_soon(a);
	agent_gate_on_link(a);
	gossip_tags_soon(a);
	tell_send_events(a);
	think_soon(a);
	ways_reschedule(a);
	read_schedule(u);
}

static bool peer_has_answers(const struct agent *a)
{
	const struct peer *self = peers_find(&a->peers, a->self);

	for (size_t i = 0; self && i < a->peers.count; i++) {
		const struct peer *p = &a->peers.items[i];

		if (p != self && p->standing == PEER_MEMBER && p->status == PEER_ALIVE && p->api && p->site == self->site)
			return true;
	}
	return false;
}

static void tick_schedule(struct uplink *u)
{
	struct mono due = link_due(&u->a->link), soon = mono_add_ms(loop_now(u->a->loop), TICK_MS);

	if (due.ns == MONO_NEVER.ns)
		timer_stop(u->tick_timer);
	else
		timer_start_at(u->tick_timer, due.ns > soon.ns ? due : soon);
}

/* After each word to the link. */
static void settle(struct agent *a, bool changed, enum link_state before)
{
	if (changed)
		on_link_changed(a, before);
	tick_schedule(a->uplink);
}

static void on_tick(void *arg)
{
	struct uplink *u = arg;
	enum link_state before = u->a->link.state;

	settle(u->a, link_tick(&u->a->link, peer_has_answers(u->a), loop_now(u->a->loop)), before);
}

static void on_reply(struct agent *a, enum link_reply reply, const char *reason)
{
	struct mono now = loop_now(a->loop), errors = a->link.errors_since;
	enum link_state before = a->link.state;

	a->uplink->replied = now;
	settle(a, link_replied(&a->link, reply, now, reason), before);
	if (reply != LINK_ERROR)
		return;
	if (!mono_is_set(errors))
		ways_probe_all(a); /* another one may do better */
	else if (mono_since_ms(now, errors) >= AVOID_MS)
		ways_avoid_used(a);
}

/* ---- credentials, and the addresses that files name ---- */

/* What runs on an older token or certificate was let in and may go on; what runs on another server ends. */
static void note_credentials(struct agent *a)
{
	struct uplink *u = a->uplink;

	if (kube_credentials_generation(a->credentials) == u->generation)
		return;
	u->generation = kube_credentials_generation(a->credentials);
	log_info(LOG_KUBE, "credentials", "source=\"%s\" server=%s: read anew", kube_credentials_source(a->credentials),
		 kube_credentials_server(a->credentials));
	if (str_eq(u->server, kube_credentials_server(a->credentials)))
		return;
	str_set(&u->server, kube_credentials_server(a->credentials));
	ways_gather(a);
	ways_probe_all(a);
	kube_client_drop_connections(a->kube);
}

static void look_again(struct agent *a)
{
	struct mono now = loop_now(a->loop);

	if (mono_is_set(a->uplink->looked) && mono_since_ms(now, a->uplink->looked) < LOOK_MS)
		return;
	a->uplink->looked = now;
	(void)kube_credentials_refresh(a->credentials, now, true);
	note_credentials(a);
	ways_gather(a);
}

void uplink_reload(struct agent *a)
{
	a->link.conf.offline_after_ms = a->conf->kube_offline_after_ms;
	a->link.conf.hung_after_ms = a->conf->kube_hung_after_ms;
	a->uplink->looked = (struct mono){0};
	look_again(a);
	tick_schedule(a->uplink);
}

/* ---- what is heard ---- */

static void on_contact(void *arg, const struct kube_contact *c)
{
	static const enum link_reply replies[] = {
	    [KUBE_CONTACT_READ] = LINK_READ,           [KUBE_CONTACT_WRITTEN] = LINK_WRITTEN,
	    [KUBE_CONTACT_THROTTLED] = LINK_THROTTLED, [KUBE_CONTACT_REFUSED] = LINK_REFUSED,
	    [KUBE_CONTACT_ERROR] = LINK_ERROR,         [KUBE_CONTACT_UNANSWERED] = LINK_ERROR,
	};
	struct agent *a = arg;
	enum link_state before = a->link.state;

	note_credentials(a);
	if (a->link.state == LINK_OFFLINE)
		return; /* only our own reads lead out of it, and they are told apart */
	if (c->kind == KUBE_CONTACT_NONE || c->kind == KUBE_CONTACT_UNANSWERED)
		way_probe_now(a->ways->used);
	else
		way_answered(a->ways->used);
	if (c->kind == KUBE_CONTACT_NONE)
		return; /* the probe will tell */
	if (c->kind == KUBE_CONTACT_REFUSED)
		look_again(a);
	if (c->kind != KUBE_CONTACT_UNANSWERED)
		settle(a, link_reached(&a->link, loop_now(a->loop)), before);
	if (c->kind != KUBE_CONTACT_STREAM && c->kind != KUBE_CONTACT_OTHER)
		on_reply(a, replies[c->kind], c->reason);
}

bool uplink_has_answers(const struct agent *a)
{
	return a->link.state == LINK_ONLINE && (a->anonymous || link_is_useful(&a->link, USEFUL_MS, loop_now(a->loop)));
}

static const char *reason_of(const struct agent *a)
{
	return a->ways->used->reason[0] ? a->ways->used->reason : "no answer";
}

void uplink_on_way(struct way *w, bool answered)
{
	struct agent *a = w->a;
	struct uplink *u = a->uplink;
	enum link_state before = a->link.state;
	struct mono now = loop_now(a->loop);

	if (answered) {
		ways_note_server(a, w);
		agent_gate_on_answer(a);
		(void)ways_choose(a);
		settle(a, link_reached(&a->link, now), before);
		read_schedule(u);
		return;
	}
	if (w == a->ways->used && a->link.state == LINK_ONLINE && !ways_choose(a))
		uplink_on_doubt(w);
	if (a->link.state == LINK_SUSPECT || a->link.state == LINK_OFFLINE)
		look_again(a);
	if (!ways_all_fail(a, u->doubt_since))
		return;
	before = a->link.state;
	settle(a, link_unreached(&a->link, w->began, now, reason_of(a)), before);
}

void uplink_on_doubt(struct way *w)
{
	struct agent *a = w->a;
	enum link_state before = a->link.state;

	(void)ways_choose(a);
	if (before != LINK_ONLINE || w != a->ways->used)
		return;
	settle(a,
	       link_unreached(&a->link, w->began, loop_now(a->loop),
			      w->state == WAY_ANSWERS ? "no answer yet" : w->reason),
	       before);
	ways_probe_all(a);
}

/* ---- our own reads and writes ---- */

static bool reads_now(const struct agent *a)
{
	switch (a->link.state) {
	case LINK_ONLINE:
	case LINK_FAILING:
	case LINK_DENIED:
		return !a->anonymous;
	case LINK_OFFLINE:
		return !a->anonymous && ways_any_answers(a);
	case LINK_SUSPECT:
		break;
	}
	return false;
}

static int64_t overdue_ms(const struct uplink *u)
{
	return 2 * u->read_slowest_ms > READ_LATE_MS ? 2 * u->read_slowest_ms : READ_LATE_MS;
}

static void read_schedule(struct uplink *u)
{
	struct agent *a = u->a;
	struct mono due = mono_add_ms(u->replied, a->link.state == LINK_OFFLINE ? a->conf->kube_probe_ms : READ_MS);

	if (!reads_now(a))
		timer_stop(u->read_timer);
	else if (u->read && !u->read_overdue)
		timer_start_at(u->read_timer, mono_add_ms(u->read_began, overdue_ms(u)));
	else if (!u->read)
		timer_start_at(u->read_timer, due);
}

static enum link_reply reply_of(const struct kube_answer *answer)
{
	switch (answer->outcome) {
	case KUBE_OK:
	case KUBE_E_NOT_FOUND:
	case KUBE_E_CONFLICT:
	case KUBE_E_ALREADY_EXISTS:
	case KUBE_E_TOO_BIG:
		return LINK_READ;
	case KUBE_E_TOO_MANY:
		return LINK_THROTTLED;
	case KUBE_E_FORBIDDEN:
	case KUBE_E_UNAUTHORIZED:
		return LINK_REFUSED;
	case KUBE_E_GONE:
	case KUBE_E_INVALID:
	case KUBE_E_SERVER:
	case KUBE_E_UNREACHABLE:
	case KUBE_E_TRUNCATED:
		break;
	}
	return LINK_ERROR;
}

static void on_read(void *arg, const struct kube_answer *answer)
{
	struct uplink *u = arg;
	struct agent *a = u->a;
	enum link_reply reply = reply_of(answer);

	u->read = NULL;
	if (reply == LINK_READ)
		u->read_slowest_ms = mono_since_ms(loop_now(a->loop), u->read_began);
	if (a->link.state == LINK_OFFLINE) /* the other states hear of it by on_contact() */
		on_reply(a, reply, answer->message);
	else
		u->replied = loop_now(a->loop);
	read_schedule(u);
}

static void on_written(void *arg, const struct kube_answer *answer)
{
	struct uplink *u = arg;

	(void)answer;
	u->write = NULL; /* on_contact() has told what became of it */
}

/* Its name is always the same: while it is there the API server answers 409, which etcd has to say as well. */
static void write_now(struct uplink *u)
{
	struct agent *a = u->a;
	const struct node *self = view_node(a->view, a->self);
	const struct kube_event_params e = {
	    .api_version = "v1",
	    .kind = "Node",
	    .name = a->self,
	    .uid = self ? self->uid : NULL,
	    .type = "Warning",
	    .reason = "LinkFailing",
	    .message = "The API server answers, but reads and writes fail; this Event shows that one works",
	    .instance = a->self,
	    .key = str_hash(STR_HASH_INIT, a->self, strlen(a->self)),
	    .at = loop_wall(a->loop),
	};

	if (!u->write)
		u->write = kube_event_create(a->kube, &e, on_written, u);
}

static void read_now(struct uplink *u)
{
	struct agent *a = u->a;
	cleanup(buf_fini) struct buf path = BUF_INIT;
	struct kube_request_params p = {
	    .accept = READ_ACCEPT, .timeout_ms = READ_TIMEOUT_MS, .fresh = a->link.state == LINK_OFFLINE};

	buf_adds(&path, "/api/v1/nodes/");
	kube_escape(&path, a->self);
	p.path = path.data;
	u->read_began = loop_now(a->loop);
	u->read_overdue = false;
	u->read = kube_request(a->kube, &p, on_read, u);
	if (a->link.state == LINK_FAILING)
		write_now(u);
}

static void on_read_due(void *arg)
{
	struct uplink *u = arg;

	if (!reads_now(u->a))
		return;
	if (!u->read) {
		if (u->a->link.state == LINK_DENIED || u->a->link.state == LINK_OFFLINE)
			look_again(u->a);
		read_now(u);
	} else if (!u->read_overdue) { /* it may still come; until then it is none */
		u->read_overdue = true;
		on_reply(u->a, LINK_ERROR, "accepted, and no answer comes");
	}
	read_schedule(u);
}

/* ---- life ---- */

/* A static pod has no service account. Its standby still has to know when the API server is back: kubelet then starts
 * the DaemonSet's pod, and until then offline must not be mistaken. It asks where kubelet does: without kube-proxy, as
 * after a cold boot, the Service's address leads nowhere. Who answers must have kubelet's CA behind him. */
static int load_anonymous(struct agent *a, char *err, size_t err_size)
{
	struct kube_cluster kubelet = {0};
	cleanup(freep) char *service = NULL;
	const char *host = getenv("KUBERNETES_SERVICE_HOST"), *server = a->conf->kube_server;
	struct kube_credentials_conf cc = {.anonymous = true};
	int r;

	if (host && *host)
		service = str_format(strchr(host, ':') ? "https://[%s]:%s" : "https://%s:%s", host,
				     str_or(getenv("KUBERNETES_SERVICE_PORT"), "443"));
	(void)ways_kubelet_cluster(a, &kubelet);
	cc.server = !str_is_empty(server) ? server : kubelet.server ? kubelet.server : service;
	r = kube_credentials_load(&cc, &a->credentials, err, err_size);
	kube_cluster_fini(&kubelet);
	a->anonymous = r == 0;
	return r;
}

static int load_credentials(struct agent *a)
{
	struct kube_credentials_conf cc = {.kubeconfig = a->conf->kube_kubeconfig, .server = a->conf->kube_server};
	char err[CREDENTIALS_ERROR_SIZE];
	int r = kube_credentials_load(&cc, &a->credentials, err, sizeof(err));

	if (r < 0 && a->is_standby) {
		log_info(LOG_KUBE, "standby: no credentials", "%s: it only sees whether the API server answers", err);
		r = load_anonymous(a, err, sizeof(err));
	}
	if (r < 0) {
		log_error(LOG_KUBE, "credentials", "%s", err);
		return r;
	}
	log_info(LOG_KUBE, "credentials", "source=\"%s\" server=%s", kube_credentials_source(a->credentials),
		 kube_credentials_server(a->credentials));
	return 0;
}

int uplink_new(struct agent *a)
{
	struct kube_client_conf conf = {.loop = a->loop, .on_contact = on_contact, .arg = a, .packet_mark = GATE_MARK};
	int r = load_credentials(a);

	if (r < 0)
		return r;
	link_init(&a->link,
		  &(struct link_conf){.offline_after_ms = a->conf->kube_offline_after_ms,
				      .hung_after_ms = a->conf->kube_hung_after_ms,
				      .anonymous = a->anonymous},
		  loop_now(a->loop));
	conf.credentials = a->credentials;
	r = kube_client_new(&conf, &a->kube);
	if (r < 0)
		return r;
	a->uplink = mem_new(struct uplink);
	a->uplink->a = a;
	a->uplink->doubt_since = loop_now(a->loop);
	a->uplink->generation = kube_credentials_generation(a->credentials);
	a->uplink->server = str_dup(kube_credentials_server(a->credentials));
	a->uplink->read_timer = timer_new(a->loop, "link-read", on_read_due, a->uplink);
	a->uplink->tick_timer = timer_new(a->loop, "link", on_tick, a->uplink);
	ways_new(a);
	return 0;
}

void uplink_start(struct agent *a)
{
	mirror_start(a);
}

void uplink_free(struct agent *a)
{
	struct uplink *u = a->uplink;

	ways_free(a);
	if (u) {
		op_cancelp(&u->read);
		op_cancelp(&u->write);
		timer_free(u->read_timer);
		timer_free(u->tick_timer);
		free(u->server);
		free(take(a->uplink));
	}
	kube_client_free(a->kube);
	kube_credentials_free(a->credentials);
}
