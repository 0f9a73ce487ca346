/* model/node.h — what we keep of a Node */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/list.h"
#include "model/constraint.h"
#include "model/image.h"
#include "model/pod.h"
#include "model/resource.h"

#define LABEL_ZONE "topology.kubernetes.io/zone"

/* A kubelet's version as a number: 1036 for "v1.36.2". 0 = not known, or no version. */
#define KUBELET_VERSION(major, minor) ((major) * 1000 + (minor))
int32_t kubelet_version(const char *text);

struct node {
	const char *name;		/* interned */
	char uid[UID_SIZE];
	int64_t version;
	struct resources allocatable;
	struct label *labels;
	size_t label_count;
	struct taint *taints;
	size_t taint_count;
	const char *address;		/* interned InternalIP, or NULL */
	const char *boot_id;		/* interned, or NULL */
	struct image_list images;	/* those it lists */
	int32_t kubelet;		/* kubelet_version() */
	uint32_t generation;		/* of the list that last showed it; set by the agent */
	bool unschedulable, ready;	/* ready: condition Ready is True */
	struct list pods;		/* struct pod.by_node */
};

struct node *node_new(void);
void node_free(struct node *n);
void node_freep(struct node **n);
const char *node_label(const struct node *n, const char *key);	/* NULL = absent */
