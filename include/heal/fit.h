/* heal/fit.h — may this pod run on this node? The scheduler's filters, as pure functions
 *
 * Source: k8s.io/kubernetes/pkg/scheduler/framework/plugins: nodeunschedulable, tainttoleration, nodeaffinity, nodeports,
 * noderesources. Required pod (anti-)affinity and hard topology spread need every pod's labels: those pods are left to
 * kube-scheduler (FIT_UNSUPPORTED).
 */
#pragma once
#include "model/constraint.h"
#include "model/node.h"
#include "model/pod.h"
#include "model/resource.h"
#include "model/workload.h"

enum fit {
	FIT_OK, FIT_UNSUPPORTED, FIT_UNSCHEDULABLE, FIT_TAINT, FIT_SELECTOR, FIT_AFFINITY, FIT_IMAGE, FIT_PORT, FIT_CPU, FIT_MEMORY,
	FIT_PODS,
};

/* Everything but resources and ports. `ignore_outage`: do not count the taints not-ready and unreachable, which only say that
 * the control plane did not hear of the node. */
enum fit fit_constraints(const struct constraints *c, const struct node *n, bool ignore_outage);
/* Offline nothing can be pulled: the images of the template, where the node lists all that it has. A Ready pod of the ReplicaSet
 * there proves them: the list is up to a minute late. w NULL: nothing is known. */
enum fit fit_images(const struct workload *w, const struct node *n);
/* Host ports against the active pods on the node. */
enum fit fit_ports(const struct constraints *c, const struct node *n);
bool fit_ports_clash(const struct constraints *a, const struct constraints *b);
enum fit fit_resources(const struct resources *want, const struct resources *have);
const char *fit_reason(enum fit f);		/* for people */
