/* model/workload.h — what we keep of a ReplicaSet */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/list.h"
#include "model/pod.h"

enum heal_policy { POLICY_AT_LEAST_ONCE, POLICY_AT_MOST_ONCE, POLICY_NEVER, POLICY_DEFAULT };
enum heal_policy heal_policy_parse(const char *text, bool *out_known);	/* NULL → POLICY_DEFAULT */
const char *heal_policy_name(enum heal_policy p);

/* Which of the two stays when both the original and our copy run. */
enum keep_policy { KEEP_BEST, KEEP_ORIGINAL, KEEP_REPLACEMENT, KEEP_LONGEST, KEEP_DEFAULT };
enum keep_policy keep_policy_parse(const char *text, bool *out_known);		/* NULL → KEEP_DEFAULT */

#define WORKLOAD_IMAGES_MAX 64		/* of one pod; what is beyond is not looked at */

struct workload {
	char uid[UID_SIZE];
	char *name;
	const char *ns;			/* interned */
	const char *deployment;		/* interned name of the owning Deployment, or NULL */
	int64_t version;		/* resourceVersion */
	int32_t replicas, ready_replicas;
	enum heal_policy policy;	/* annotation on the ReplicaSet or its template */
	enum keep_policy keep;		/* the same */
	char *fault;			/* NULL, or an annotation of ours that has no such value: the policy is "never" then */
	bool needs_token;		/* annotation on the ReplicaSet: its containers talk to the API server */
	uint32_t generation;		/* of the list that last showed it; set by the agent */
	const char *refusal;		/* why its pods cannot become static pods; NULL = they can. Not owned; set by the agent */
	uint32_t *images;		/* image_hash() of what its pods need, init containers too. Set by the agent */
	size_t image_count;
	bool pull_secrets;		/* its pods have imagePullSecrets. Set by the agent */
	bool deleting;
	struct list pods;		/* struct pod.by_owner */
};

struct workload *workload_new(void);
void workload_free(struct workload *w);
void workload_freep(struct workload **w);
bool workload_is_ready_on(const struct workload *w, const char *node);	/* a Ready pod of it is there; node: interned */
