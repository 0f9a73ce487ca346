/* probe.c — is the API server there? One connection of its own for each question
 *
 * Over TLS libcurl stops after the handshake. On plain HTTP a request is sent, and the first line of whatever comes
 * back is the answer. When all connections are dropped meanwhile it begins again: that says nothing about the address.
 */
#include <stdlib.h>

#include "base/list.h"
#include "base/mem.h"
#include "base/str.h"
#include "kube/client.h"
#include "kube/kube_int.h"
#include "kube/transport.h"
#include "loop/loop.h"

#define PLAIN_PATH "/version" /* answered without credentials, from memory */

struct probe {
	struct op op; /* first: the caller's handle */
	struct kube_client *client;
	struct kube_route route; /* host NULL = none; its texts are ours */
	struct transfer *transfer;
	struct timer *again;
	struct mono began;
	int64_t timeout_ms;
	kube_probe_fn done;
	void *arg;
};

static void probe_free(struct probe *p)
{
	if (p->transfer)
		transfer_cancel(take(p->transfer));
	timer_free(p->again);
	free((char *)(uintptr_t)p->route.host);
	free((char *)(uintptr_t)p->route.name);
	free(p);
}

static void probe_cancel(struct op *op)
{
	probe_free(container_of(op, struct probe, op));
}

static void cancel_nothing(struct op *op)
{
	(void)op;
}

static void finish(struct probe *p, struct kube_probe_result *result)
{
	result->began = p->began;
	p->op.cancel = cancel_nothing;
	timer_stop(p->again);
	p->done(p->arg, result);
	probe_free(p);
}

static enum kube_probe_outcome outcome_of(const struct transfer_end *end)
{
	if (end->complete || end->status)
		return KUBE_PROBE_ANSWERS;
	return end->refused ? KUBE_PROBE_REFUSED : end->stranger ? KUBE_PROBE_STRANGER : KUBE_PROBE_SILENT;
}

static void on_end(void *arg, const struct transfer_end *end)
{
	struct probe *p = arg;
	struct kube_probe_result result = {.outcome = outcome_of(end), .reason = end->error};

	p->transfer = NULL;
	if (end->dropped) {
		timer_start_ms(p->again, 0);
		return;
	}
	if (result.outcome == KUBE_PROBE_ANSWERS) {
		result.reason = "";
		(void)endpoint_of(end->peer_ip, end->peer_port, &result.at);
	}
	finish(p, &result);
}

static void on_open(void *arg, int status, struct wall date)
{
	(void)arg;
	(void)status;
	(void)date;
}

static void on_data(void *arg, int status, const char *data, size_t n)
{
	(void)arg;
	(void)status;
	(void)data;
	(void)n;
}

static void start(void *arg)
{
	struct probe *p = arg;
	int64_t left = p->timeout_ms - mono_since_ms(loop_now(kube_client_loop(p->client)), p->began);
	const struct transfer_params t = {
	    .method = "GET",
	    .path = PLAIN_PATH,
	    .timeout_ms = left > 0 ? left : 1,
	    .fresh = true,
	    .handshake = true,
	    .route = p->route.host ? &p->route : NULL,
	    .arg = p,
	    .on_open = on_open,
	    .on_data = on_data,
	    .on_end = on_end,
	};

	p->transfer = transport_start(kube_client_transport(p->client), &t);
}

struct op *kube_probe(struct kube_client *c, const struct kube_route *route, int64_t timeout_ms, kube_probe_fn done,
		      void *arg)
{
	struct probe *p = mem_new(struct probe);

	*p = (struct probe){.op.cancel = probe_cancel,
			    .client = c,
			    .timeout_ms = timeout_ms,
			    .done = done,
			    .arg = arg,
			    .began = loop_now(kube_client_loop(c))};
	if (route)
		p->route = (struct kube_route){
		    .host = str_dup(route->host), .port = route->port, .name = str_dup(route->name), .tls = route->tls};
	p->again = timer_new(kube_client_loop(c), "kube-probe", start, p);
	start(p);
	return &p->op;
}
