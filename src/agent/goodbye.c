/* goodbye.c — POST /v1/goodbye: this healer goes, and the site is told why; and what others say of themselves
 *
 * preStop hooks say it (edge-healer goodbye), before Serf leaves: kubelet does not tell a container why it ends. A reason is
 * named only when the API server gave it, that is when our own pod is being deleted or our DaemonSet is gone; all else is
 * "stopping". Nothing is kept here, and the verb repeats: each POST is one user event.
 */
#include "surface.h"

#include "agent/wire.h"
#include "base/err.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"

static bool own_pod_is_deleted(const struct agent *a)
{
	cleanup(freep) char *uid = a->is_standby ? NULL : store_get_meta(a->store, META_OWN_POD);
	const struct pod *p = uid ? view_pod(a->view, uid) : NULL;

	return p && p->deleting;
}

static enum goodbye reason_of(const struct agent *a)
{
	if (removal_is_under_way(a))
		return GOODBYE_REMOVAL;
	return a->link.state == LINK_ONLINE && own_pod_is_deleted(a) ? GOODBYE_ROLLOUT : GOODBYE_STOPPING;
}

void on_goodbye(void *arg, const struct web_request *rq, struct web_response *rs)
{
	struct agent *a = arg;
	enum goodbye reason = reason_of(a);
	cleanup(buf_fini) struct buf b = BUF_INIT;
	json_object *o;
	int r;

	if (rq->origin != WEB_SOCKET) {
		web_error(rs, 403, "only http.socket of this node may do this");
		return;
	}
	if (!serf_client_is_up(a->serf)) {
		web_error(rs, 503, "the serf agent of this node is away: nobody can be told");
		return;
	}
	wire_put_goodbye(&b, a->self, reason);
	r = serf_client_event(a->serf, WIRE_GOODBYE_EVENT, b.data, b.len);
	if (r < 0) {
		web_error(rs, 503, "the serf agent of this node did not take it: %s", err_str(r));
		return;
	}
	log_info(LOG_SERF, "goodbye", "reason=%s", goodbye_name(reason));
	o = json_new_object();
	json_set_str(o, "goodbye", goodbye_name(reason));
	surface_json(rs, o);
}

void goodbye_on_told(struct agent *a, const void *payload, size_t n)
{
	char node[NODE_NAME_SIZE];
	enum goodbye reason;

	if (wire_get_goodbye(payload, n, node, &reason) < 0) {
		metric_inc(METRIC_GOSSIP_DROPPED);
	} else if (!str_eq(node, a->self) && gossip_is_member(a, node)) {
		log_debug(LOG_SERF, "a member says goodbye", "node=%s reason=%s", node, goodbye_name(reason));
		heal_on_goodbye(a->heal, node, reason, loop_now(a->loop));
		think_soon(a);
	}
}
