/* object.c — making and freeing pods, ReplicaSets, nodes and copies; names of their states */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/str.h"
#include "model/claim.h"
#include "model/copy.h"
#include "model/node.h"
#include "model/peer.h"
#include "model/pod.h"
#include "model/workload.h"

struct pod *pod_new(void)
{
	struct pod *p = mem_new(struct pod);

	p->request.pods = 1;
	p->default_scheduler = true;
	list_init(&p->by_node);
	list_init(&p->by_owner);
	list_init(&p->unbound);
	return p;
}

void pod_free(struct pod *p)
{
	if (!p)
		return;
	free(p->name);
	free(p);
}

void pod_freep(struct pod **p)
{
	pod_free(*p);
}

bool pod_is_active(const struct pod *p)
{
	return p->node && p->phase != POD_SUCCEEDED && p->phase != POD_FAILED;
}

static const char *const policy_names[] = {
	[POLICY_AT_LEAST_ONCE] = "at-least-once",
	[POLICY_AT_MOST_ONCE] = "at-most-once",
	[POLICY_NEVER] = "never",
	[POLICY_DEFAULT] = "default",
};

enum heal_policy heal_policy_parse(const char *text, bool *out_known)
{
	*out_known = true;
	for (int i = 0; text && i < POLICY_DEFAULT; i++)
		if (str_eq(text, policy_names[i]))
			return (enum heal_policy)i;
	*out_known = !text;
	return POLICY_DEFAULT;
}

const char *heal_policy_name(enum heal_policy p)
{
	return policy_names[p];
}

enum keep_policy keep_policy_parse(const char *text, bool *out_known)
{
	static const char *const names[] = {
		[KEEP_BEST] = "best", [KEEP_ORIGINAL] = "keep_original", [KEEP_REPLACEMENT] = "keep_replacement",
		[KEEP_LONGEST] = "longest",
	};

	*out_known = true;
	for (int i = 0; text && i < KEEP_DEFAULT; i++)
		if (str_eq(text, names[i]))
			return (enum keep_policy)i;
	*out_known = !text;
	return KEEP_DEFAULT;
}

struct workload *workload_new(void)
{
	struct workload *w = mem_new(struct workload);

	w->policy = POLICY_DEFAULT;
	w->keep = KEEP_DEFAULT;
	list_init(&w->pods);
	return w;
}

void workload_free(struct workload *w)
{
	if (!w)
		return;
	free(w->name);
	free(w->fault);
	free(w->images);
	free(w);
}

bool workload_is_ready_on(const struct workload *w, const char *node)
{
	list_for_each(p, &w->pods, struct pod, by_owner)
		if (p->node == node && p->ready)
			return true;
	return false;
}

void workload_freep(struct workload **w)
{
	workload_free(*w);
}

struct node *node_new(void)
{
	struct node *n = mem_new(struct node);

	list_init(&n->pods);
	return n;
}

void node_free(struct node *n)
{
	if (!n)
		return;
	free(n->labels);
	free(n->taints);
	image_list_fini(&n->images);
	free(n);
}

void node_freep(struct node **n)
{
	node_free(*n);
}

int32_t kubelet_version(const char *text)
{
	int major, minor;

	if (!text || sscanf(text, "v%4d.%3d", &major, &minor) != 2 || major < 0 || minor < 0)
		return 0;
	return KUBELET_VERSION(major, minor);
}

const char *node_label(const struct node *n, const char *key)
{
	for (size_t i = 0; i < n->label_count; i++)
		if (str_eq(n->labels[i].key, key))
			return n->labels[i].value;
	return NULL;
}

const struct peer *peers_find(const struct peers *p, const char *name)
{
	for (size_t i = 0; i < p->count; i++)
		if (str_eq(p->items[i].name, name))
			return &p->items[i];
	return NULL;
}

int claim_compare(const struct claim *a, const struct claim *b)
{
	if (a->epoch != b->epoch)
		return a->epoch > b->epoch ? -1 : 1;
	if (a->mirror != b->mirror)
		return a->mirror > b->mirror ? -1 : 1;
	if (a->rank != b->rank)
		return a->rank < b->rank ? -1 : 1;
	return strcmp(a->node, b->node);
}

const char *claim_state_name(enum claim_state s)
{
	return s == CLAIM_LIVE ? "live" : s == CLAIM_DONE ? "done" : "withdrawn";
}

struct copy *copy_new(void)
{
	return mem_new(struct copy);
}

void copy_free(struct copy *c)
{
	if (!c)
		return;
	free(c->ns);
	free(c->name);
	free(c->workload);
	free(c->lost_node);
	free(c->file);
	free(c->containers);
	free(c);
}

void copy_freep(struct copy **c)
{
	copy_free(*c);
}

const char *copy_state_name(enum copy_state s)
{
	static const char *const names[] = { "claimed", "starting", "running", "dropping" };

	return names[s];
}
