/* agent/specs.h — private to agent/: what the admitted pods of each ReplicaSet were made of
 *
 * A copy is made from the content of the pod that was lost, as the cluster admitted it: a ReplicaSet's template may ask for
 * what admission would have refused, and lacks what admission adds.
 */
#pragma once
#include "agent_int.h"
#include "base/uuid.h"

#define SPECS_MAX 20			/* contents kept of one ReplicaSet: the newest ones */
#define SPEC_NONE "no admitted pod of it is stored yet"
#define SPEC_NEEDS_TOKEN "annotation " ANNOTATION_NEEDS_TOKEN ": a service account token needs the API server"
#define SPEC_DOC_MAX ((size_t)1024 * 1024)	/* bytes of one; etcd's own limit for an object is 1.5 MiB */

struct spec_owner {
	char uid[UID_SIZE];		/* of the ReplicaSet */
	struct list specs;		/* struct spec, the newest last */
	size_t count;
	uint64_t seed;			/* of their marks; random */
};

struct spec {
	struct list link;
	struct spec_owner *owner;
	char hash[UUID_TEXT_SIZE];	/* of owner and content: unique among all */
	uint64_t mark;			/* json_hash() of the content; 0 = not made by this process yet */
	int64_t id;			/* its row in the store; 0 = not stored */
	int64_t made;			/* creation of the newest pod that has it, seconds since 1970 */
	size_t pods;			/* that have it */
};

void specs_new(struct agent *a);
void specs_free(struct agent *a);
int specs_load(struct agent *a);	/* when ReplicaSets and pods are loaded */
/* The pod as the API server shows it, about to be put into the view in place of `known` (NULL = new): sets p->spec. */
void specs_note_pod(struct agent *a, struct pod *p, const struct pod *known, const json_object *doc);
void specs_forget_pod(struct agent *a, const struct pod *p);		/* it is about to leave the view */
void specs_forget_workload(struct agent *a, const char *uid);		/* it has left the view */
/* Hand the workload what its newest content says: images, pull Secrets, whether it can be rendered. */
void specs_apply(struct agent *a, struct workload *w);
void specs_rewrite(struct agent *a);	/* rows were lost: each is written when its pods are seen again */
struct spec *specs_newest(const struct agent *a, const char *workload_uid);	/* NULL = none */
json_object *spec_doc(const struct agent *a, const struct spec *s);	/* from the store; NULL = it is not there; caller owns */
