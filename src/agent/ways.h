/* agent/ways.h — private to agent/: the ways to the API server, each an address of its own, and which of them answers
 *
 * Our own server (kubeconfig, or the Service when we run in the cluster), the one that kubelet's kubeconfig names, the Service
 * "kubernetes" with its EndpointSlices, and kubelet.gate_addresses. One is in use; ways.c knows them, way_probe.c looks at them.
 */
#pragma once
#include "agent_int.h"

#define WAYS_MAX GATE_ENDPOINTS_MAX
#define WAY_NAME "kubernetes.default.svc"	/* every API server's certificate names it */
#define WAY_ANSWER_MS 3000		/* no handshake within this, or twice as late as earlier ones were, is a failure */
#define WAY_PATIENCE_MS 15000		/* a slow one is learnt of by the first try of an address, and by each … */
#define WAY_PATIENT_EVERY 20		/* … of its failures in a row: these are waited for so long */
#define WAY_OTHERS_MS 300000		/* while all is well those not in use are looked at this often */
#define WAY_TROUBLE_MS 10000		/* the same while requests by the one in use end in errors */
#define WAY_BACK_MS 30000		/* our own server is used again when it has answered for this long */
#define WAY_QUIET 3			/* the one in use is tried when nothing was heard for this many times kube.probe */
#define WAY_SICK_MS 60000		/* one whose requests end in errors is not chosen again for this long, while others answer */
#define WAY_HOST_SIZE 256

enum way_source { WAY_OWN, WAY_KUBELET, WAY_SERVICE, WAY_SLICE, WAY_CONFIG };
enum way_state {
	WAY_UNTRIED,
	WAY_ANSWERS,
	WAY_FAILS,			/* whoever tries it knows at once: refused, no route, a stranger's certificate */
	WAY_SILENT,			/* packets vanish, or it is accepted and nothing is said: who tries it hangs */
};

struct way {
	struct list link;
	struct agent *a;
	enum way_source source;
	char host[WAY_HOST_SIZE], name[WAY_HOST_SIZE];	/* where to connect; whom its certificate must name ("" = host) */
	uint16_t port;
	bool tls;
	bool closable;			/* the gate may be closed for it: see ways.c */
	bool known;			/* mark of gathering */
	struct endpoint at;		/* port 0 = a name whose address is not known */

	enum way_state state;
	struct mono judged;		/* of the last verdict */
	struct mono answering_since;	/* 0 = it does not */
	struct mono sick_until;
	int64_t slowest_ms;		/* how late answers were lately */
	unsigned failures;		/* in a row */
	char reason[LINK_REASON_SIZE];	/* why it does not answer */

	struct op *probe;
	struct timer *timer;		/* the next probe; while one is under way, when it is late */
	struct mono began;		/* the probe under way, or the last one */
	bool doubted, overdue;		/* it is later than an answer usually is; later than it may be */
};

struct ways {
	struct agent *a;
	struct list all;		/* struct way; our own first */
	size_t count;
	struct way *used;		/* requests take it; never NULL after ways_new() */
	struct kube_endpoints service, slices;	/* of the Service "kubernetes", as last told by the API server */
	struct kube_endpoints fetched;	/* the service's addresses, until its slices are there too */
	struct op *fetch;
	struct endpoint server;		/* what our server's name stood for; port 0 = no name, or unknown */
	bool told_name, told_many;
};

/* ---- ways.c ---- */
/* What kubelet's kubeconfig says of its cluster: 0 and *out (kube_cluster_fini()), or -errno. */
int ways_kubelet_cluster(const struct agent *a, struct kube_cluster *out);
void ways_format(const struct endpoint *list, size_t n, struct buf *out);	/* appends "10.0.0.1:6443 [fd00::1]:6443" */
void ways_new(struct agent *a);			/* when the client is there */
void ways_free(struct agent *a);
void ways_gather(struct agent *a);		/* all anew, from what there is; what is known of each stays */
void ways_fetch(struct agent *a);		/* ask the API server where it is */
void ways_note_server(struct agent *a, const struct way *w);	/* it answered: which address is our server's name? */
/* Use another way if ours does not answer, or our own if that is back. True when it changed. */
bool ways_choose(struct agent *a);
void ways_avoid_used(struct agent *a);		/* its requests end in errors */
void way_format(const struct way *w, char out[WAY_HOST_SIZE + 8]);	/* "10.0.0.1:6443" */
const char *way_source_name(enum way_source s);
const char *way_state_name(enum way_state s);
json_object *ways_json(const struct agent *a);

/* ---- way_probe.c ---- */
void way_start(struct way *w);			/* it is new */
void way_stop(struct way *w);
void way_probe_now(struct way *w);		/* unless one is under way */
void ways_probe_all(struct agent *a);
void ways_reschedule(struct agent *a);		/* the link's state changed */
void way_answered(struct way *w);		/* a request of ours was answered */
/* Has every way been tried since then in vain? */
bool ways_all_fail(const struct agent *a, struct mono since);
bool ways_any_answers(const struct agent *a);
/* Those that the gate may be closed for now: of those that may be, whoever tries them hangs. */
size_t ways_to_close(const struct agent *a, struct endpoint out[WAYS_MAX]);
bool ways_any_silent(const struct agent *a);

/* ---- uplink.c: what it hears from them ---- */
void uplink_on_way(struct way *w, bool answered);	/* a verdict; not asked of it: from a probe */
void uplink_on_doubt(struct way *w);		/* the answer of the way in use is late */
