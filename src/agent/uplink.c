/* uplink.c — the link to the API server
 *
 * Every contact of the client (an answer, or none) is fed to the link's hysteresis. While the link is doubtful or offline a
 * probe on a fresh connection goes out every kube.probe; while it is online a probe goes out only when nothing was heard for
 * PROBE_QUIET times that long. Going offline closes all connections: what hangs in a black hole would hang for minutes. Coming
 * back syncs the mirror anew: what happened meanwhile must be known before anything is reconciled.
 */
#include <stdlib.h>

#include "agent_int.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"

enum { PROBE_QUIET = 3, CREDENTIALS_ERROR_SIZE = 512 };

static void on_link_changed(struct agent *a, enum link_state before)
{
	for (int s = LINK_SUSPECT; s <= LINK_OFFLINE; s++)
		metric_set(METRIC_LINK_STATE, s, (int)a->link.state == s);
	log_info(LOG_KUBE, "link", "from=%s to=%s reason=\"%s\"", link_state_name(before), link_state_name(a->link.state),
		 a->link.reason);
	if (before == LINK_ONLINE)
		kubelet_note(a);
	if (a->link.state == LINK_OFFLINE) {
		mirror_stop(a);
		kube_client_drop_connections(a->kube);
		tell(a, &(struct tale){ .event = "link offline", .node = a->self }, "reason=\"%s\"", a->link.reason);
	} else if (a->link.state == LINK_ONLINE && before == LINK_OFFLINE) {
		mirror_start(a);
		tell(a, &(struct tale){ .event = "link online", .node = a->self }, "%s", "");
	} else if (a->link.state == LINK_ONLINE && !mono_is_set(a->synced_at) && !a->anonymous) {
		kube_watch_kick(a->watches[WATCH_NODES].watch);
	}
	observed_clear(a);
	gossip_tell_link(a);
	local_look_soon(a);
	agent_gate_on_link(a);
	gossip_tags_soon(a);
	tell_send_events(a);
	think_soon(a);
}

static void link_feed(struct agent *a, bool answered, const char *reason)
{
	enum link_state before = a->link.state;

	if (link_observe(&a->link, loop_now(a->loop), answered, reason))
		on_link_changed(a, before);
	/* The first failure brings the next probe forward; a probe itself is rescheduled when it ends. */
	if (!answered && !a->probe)
		timer_start_ms(a->probe_timer, before == LINK_ONLINE ? 0 : a->conf->kube_probe_ms);
}

static void on_contact(void *arg, const struct kube_contact *c)
{
	struct agent *a = arg;

	if (c->answered && a->link.state == LINK_OFFLINE)
		return;			/* only probes lead out of offline: they use fresh connections */
	a->link_hangs = !c->answered && !c->refused;
	link_feed(a, c->answered, c->reason);
}

static void on_probed(void *arg, const struct kube_answer *answer)
{
	struct agent *a = arg;
	bool quiet, answered = answer->outcome != KUBE_E_UNREACHABLE && answer->outcome != KUBE_E_SERVER;

	a->probe = NULL;
	if (answered)
		agent_gate_on_probe(a, true);
	/* Unreachable was fed by on_contact already; a 5xx is an answer that says "not ready". */
	if (answer->outcome != KUBE_E_UNREACHABLE)
		a->link_hangs = false;
	if (answer->outcome == KUBE_E_SERVER)
		link_feed(a, false, "the API server answers 5xx");
	else if (answer->outcome != KUBE_E_UNREACHABLE && a->link.state == LINK_OFFLINE)
		link_feed(a, true, NULL);
	if (!answered)
		agent_gate_on_probe(a, false);
	quiet = a->link.state == LINK_ONLINE;
	timer_start_ms(a->probe_timer,
		       loop_jitter_ms(a->loop, quiet ? PROBE_QUIET * a->conf->kube_probe_ms : a->conf->kube_probe_ms));
}

static void on_probe_due(void *arg)
{
	struct agent *a = arg;
	int64_t heard_ms = mono_is_set(a->link.last_answer) ? mono_since_ms(loop_now(a->loop), a->link.last_answer) : INT64_MAX;
	int64_t quiet_ms = PROBE_QUIET * a->conf->kube_probe_ms;

	if (a->probe)
		return;
	if (a->link.state == LINK_ONLINE && heard_ms < quiet_ms) {
		timer_start_ms(a->probe_timer, quiet_ms - heard_ms);
		return;
	}
	a->probe = kube_probe(a->kube, a->conf->kube_probe_ms, on_probed, a);
}

/* A static pod has no service account. Its standby still has to know when the API server is back: kubelet then starts the
 * DaemonSet's pod, and until then offline must not be mistaken. It asks where kubelet does: without kube-proxy, as after a cold
 * boot, the Service's address leads nowhere. */
static int load_anonymous(struct agent *a, char *err, size_t err_size)
{
	cleanup(freep) char *kubelet = gate_list_kubelet_server(a), *service = NULL;
	const char *host = getenv("KUBERNETES_SERVICE_HOST"), *server = a->conf->kube_server;
	struct kube_credentials_conf cc = { .anonymous = true };
	int r;

	if (host && *host)
		service = str_format(strchr(host, ':') ? "https://[%s]:%s" : "https://%s:%s", host,
				     str_or(getenv("KUBERNETES_SERVICE_PORT"), "443"));
	cc.server = !str_is_empty(server) ? server : kubelet ? kubelet : service;
	r = kube_credentials_load(&cc, &a->credentials, err, err_size);
	a->anonymous = r == 0;
	return r;
}

int uplink_new(struct agent *a)
{
	struct kube_credentials_conf cc = { .kubeconfig = a->conf->kube_kubeconfig, .server = a->conf->kube_server };
	struct kube_client_conf conf = { .loop = a->loop, .on_contact = on_contact, .arg = a,
					 .packet_mark = GATE_MARK };
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
	conf.credentials = a->credentials;
	link_init(&a->link, a->conf->kube_offline_after_ms, loop_now(a->loop));
	a->probe_timer = timer_new(a->loop, "probe", on_probe_due, a);
	return kube_client_new(&conf, &a->kube);
}

void uplink_start(struct agent *a)
{
	mirror_start(a);
	timer_start_ms(a->probe_timer, 0);
}

void uplink_free(struct agent *a)
{
	op_cancelp(&a->probe);
	timer_free(a->probe_timer);
	kube_client_free(a->kube);
	kube_credentials_free(a->credentials);
}
