/* tell.c — every step of a healing can be read afterwards: in the log, in the history, as a Kubernetes Event
 *
 * Events wait in a bounded queue until the link is online and go out one at a time; while the queue is full new ones are
 * dropped and counted: the log and the history have them.
 */
#include <stdio.h>
#include <stdlib.h>

#include "agent_int.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "kube/write.h"

struct waiting_event {
	struct list link;
	char *ns, *pod, *workload, *uid, *node, *message;
	const char *reason;
	bool warning;
	struct wall at;
};

static void waiting_free(struct waiting_event *e)
{
	list_remove(&e->link);
	free(e->ns);
	free(e->pod);
	free(e->workload);
	free(e->uid);
	free(e->node);
	free(e->message);
	free(e);
}

static void on_event_sent(void *arg, const struct kube_answer *answer)
{
	struct agent *a = arg;
	struct waiting_event *e = list_first(&a->events, struct waiting_event, link);

	a->event_op = NULL;
	if (answer->outcome == KUBE_E_UNREACHABLE || answer->outcome == KUBE_E_SERVER || answer->outcome == KUBE_E_TOO_MANY)
		return;			/* kept; the next change of the link sends it */
	if (answer->outcome != KUBE_OK && answer->outcome != KUBE_E_ALREADY_EXISTS)
		log_debug(LOG_KUBE, "event refused", "reason=%s message=%s", e->reason, answer->message);
	if (e) {
		a->event_count--;
		waiting_free(e);
	}
	tell_send_events(a);
}

void tell_send_events(struct agent *a)
{
	struct waiting_event *e = list_first(&a->events, struct waiting_event, link);
	struct kube_event_params p;

	if (!e || a->event_op || a->link.state != LINK_ONLINE || a->anonymous || !agent_may_act(a))
		return;
	p = (struct kube_event_params){
		.api_version = e->workload ? "apps/v1" : "v1", .ns = e->ns,
		.kind = e->workload ? "ReplicaSet" : e->pod ? "Pod" : "Node",
		.name = e->workload ? e->workload : e->pod ? e->pod : e->node,
		.uid = e->uid, .type = e->warning ? "Warning" : "Normal", .reason = e->reason, .message = e->message,
		.instance = a->self, .at = e->at,
	};
	fault_pass(FAULT_EVENT_SEND);
	a->event_op = kube_event_create(a->kube, &p, on_event_sent, a);
}

static void queue_event(struct agent *a, const struct tale *t, const char *message)
{
	struct waiting_event *e;

	if (a->event_count == EVENTS_MAX) {	/* those that wait tell more than the next of the same storm */
		metric_inc(METRIC_EVENTS_DROPPED);
		return;
	}
	e = mem_new(struct waiting_event);
	*e = (struct waiting_event){ .ns = str_dup(t->ns), .pod = str_dup(t->pod), .uid = str_dup(t->uid), .node = str_dup(t->node),
				     .workload = str_dup(t->workload), .message = str_dup(message), .reason = t->kube_reason,
				     .warning = t->warning, .at = loop_wall(a->loop) };
	list_add_tail(&a->events, &e->link);
	a->event_count++;
	tell_send_events(a);
}

static void write_history(struct agent *a, const struct tale *t, const char *detail)
{
	struct history_row row = { .at = loop_wall(a->loop), .event = t->event, .ns = t->ns, .pod = t->pod ? t->pod : t->workload,
				   .node = t->node, .detail = detail };

	if (store_batch_begin(a) == 0 && store_add_history(a->store, &row) < 0)
		a->store_failed = true;
}

void tell(struct agent *a, const struct tale *t, const char *fmt, ...)
{
	cleanup(buf_fini) struct buf detail = BUF_INIT;
	const char *name = t->pod ? t->pod : t->workload, *slash = t->ns && name ? "/" : "";
	va_list ap;

	va_start(ap, fmt);
	buf_addv(&detail, fmt, ap);
	va_end(ap);
	buf_adds(&detail, "");
	log_info(LOG_HEAL, t->event, "%s%s%s%s%s%s%s%s", t->pod ? "pod=" : name ? "replicaset=" : "", str_or(t->ns, ""), slash,
		 str_or(name, ""), t->node ? " node=" : "", str_or(t->node, ""), detail.len ? " " : "", detail.data);
	write_history(a, t, detail.data);
	if (t->kube_reason)
		queue_event(a, t, detail.data);
}

void tell_free(struct agent *a)
{
	op_cancelp(&a->event_op);
	list_for_each_safe(e, &a->events, struct waiting_event, link)
		waiting_free(e);
}
