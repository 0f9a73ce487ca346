/* tell.c — every step of a healing can be read afterwards: in the log, in the history, as a Kubernetes Event
 *
 * Events wait in a bounded queue until the link is online and go out one at a time; while the queue is full new ones are
 * dropped and counted: the log and the history have them. Each is a row too, written with that of the history and deleted when
 * it was sent, so that what an outage leaves is sent by whoever works next: a standby without credentials sends nothing. kill -9
 * between the two sends an Event twice, under the same name: the API server says that it is there.
 *
 * One that the API server does not take now (5xx, 429, no answer) is sent again after EVENT_RETRY_MS and when the link changes;
 * what it refuses for good is dropped.
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
	char *ns, *pod, *workload, *uid, *node, *reason, *message;
	bool warning;
	int64_t key;
	struct wall at;
};

/* ---- the queue and its rows ---- */

static void waiting_add(struct agent *a, const struct event_row *r)
{
	struct waiting_event *e = mem_new(struct waiting_event);

	*e = (struct waiting_event){ .ns = str_dup(r->ns), .pod = str_dup(r->pod), .uid = str_dup(r->uid), .node = str_dup(r->node),
				     .workload = str_dup(r->workload), .reason = str_dup(r->reason), .warning = r->warning,
				     .message = str_dup(r->message), .key = r->key, .at = r->at };
	list_add_tail(&a->events, &e->link);
	a->event_count++;
}

static void waiting_free(struct agent *a, struct waiting_event *e)
{
	list_remove(&e->link);
	a->event_count--;
	free(e->ns);
	free(e->pod);
	free(e->workload);
	free(e->uid);
	free(e->node);
	free(e->reason);
	free(e->message);
	free(e);
}

static void row_add(struct agent *a, const struct event_row *r)
{
	if (store_batch_begin(a) == 0 && store_add_event(a->store, r) < 0)
		a->store_failed = true;
}

static void row_delete(struct agent *a, int64_t key)
{
	if (store_batch_begin(a) == 0 && store_delete_event(a->store, key) < 0)
		a->store_failed = true;
}

void tell_rewrite(struct agent *a)
{
	if (store_batch_begin(a) < 0)
		return;
	if (store_clear_events(a->store) < 0)
		a->store_failed = true;
	list_for_each(e, &a->events, struct waiting_event, link)
		row_add(a, &(struct event_row){ e->key, e->at, e->ns, e->pod, e->workload, e->uid, e->node, e->reason, e->message,
						e->warning });
}

/* ---- sending ---- */

static void send_next(struct agent *a);

/* Not for good: the API server is not well, does not want so many, or there is none. */
static bool is_passing(enum kube_outcome o)
{
	return o == KUBE_E_UNREACHABLE || o == KUBE_E_SERVER || o == KUBE_E_TOO_MANY || o == KUBE_E_UNAUTHORIZED;
}

static void retry_later(struct agent *a, int64_t wanted_ms)
{
	int64_t ms = wanted_ms > EVENT_RETRY_MS ? wanted_ms : EVENT_RETRY_MS;

	timer_start_ms(a->event_timer, loop_jitter_ms(a->loop, ms < EVENT_RETRY_MAX_MS ? ms : EVENT_RETRY_MAX_MS));
}

static void on_event_sent(void *arg, const struct kube_answer *answer)
{
	struct agent *a = arg;
	struct waiting_event *e = list_first(&a->events, struct waiting_event, link);

	a->event_op = NULL;
	if (is_passing(answer->outcome)) {
		retry_later(a, answer->retry_after_ms);
		return;
	}
	if (answer->outcome != KUBE_OK && answer->outcome != KUBE_E_ALREADY_EXISTS)
		log_debug(LOG_KUBE, "event refused", "reason=%s message=%s", e->reason, answer->message);
	fault_pass(FAULT_EVENT_SENT);
	row_delete(a, e->key);
	waiting_free(a, e);
	send_next(a);
}

static void send_next(struct agent *a)
{
	struct waiting_event *e = list_first(&a->events, struct waiting_event, link);
	struct kube_event_params p;

	if (!e || a->event_op || timer_is_running(a->event_timer))
		return;
	if (a->link.state != LINK_ONLINE || a->anonymous || !agent_may_act(a))
		return;
	p = (struct kube_event_params){
		.api_version = e->workload ? "apps/v1" : "v1", .ns = e->ns,
		.kind = e->workload ? "ReplicaSet" : e->pod ? "Pod" : "Node",
		.name = e->workload ? e->workload : e->pod ? e->pod : e->node,
		.uid = e->uid, .type = e->warning ? "Warning" : "Normal", .reason = e->reason, .message = e->message,
		.instance = a->self, .key = (uint64_t)e->key, .at = e->at,
	};
	fault_pass(FAULT_EVENT_SEND);
	a->event_op = kube_event_create(a->kube, &p, on_event_sent, a);
}

static void on_retry_due(void *arg)
{
	send_next(arg);
}

void tell_send_events(struct agent *a)
{
	timer_stop(a->event_timer);
	send_next(a);
}

/* ---- telling ---- */

/* kubectl describe finds the Events of an object by its uid; of a Node also by its name in that place, as kubelet writes it. */
static const char *uid_of(const struct agent *a, const struct tale *t)
{
	const struct node *n;

	if (t->uid || t->pod || t->workload || !t->node)
		return t->uid;
	n = view_node(a->view, t->node);
	return n && n->uid[0] ? n->uid : t->node;
}

static void queue_event(struct agent *a, const struct tale *t, const char *message)
{
	const struct event_row row = { .key = (int64_t)loop_random(a->loop), .at = loop_wall(a->loop), .ns = t->ns, .pod = t->pod,
				       .workload = t->workload, .uid = uid_of(a, t), .node = t->node, .reason = t->kube_reason,
				       .message = message, .warning = t->warning };

	if (a->event_count >= EVENTS_MAX) {	/* those that wait tell more than the next of the same storm */
		metric_inc(METRIC_EVENTS_DROPPED);
		return;
	}
	row_add(a, &row);
	waiting_add(a, &row);
	send_next(a);
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

/* ---- start and stop ---- */

static void load_event(void *arg, const struct event_row *e)
{
	waiting_add(arg, e);
}

int tell_load(struct agent *a)
{
	a->event_timer = timer_new(a->loop, "event", on_retry_due, a);
	return store_each_event(a->store, EVENTS_MAX, load_event, a);
}

void tell_free(struct agent *a)
{
	op_cancelp(&a->event_op);
	list_for_each_safe(e, &a->events, struct waiting_event, link)
		waiting_free(a, e);
	timer_free(a->event_timer);
}
