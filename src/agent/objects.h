/* agent/objects.h — private to agent/: what the pods of mirrored ReplicaSets need, and the ConfigMaps and Secrets among it */
#pragma once
#include "agent_int.h"
#include "node/render.h"
#include "specs.h"

#define OBJECTS_MAX 1000		/* ConfigMaps and Secrets that are mirrored, one watch each */
#define OBJECTS_SOON_MS 100		/* after a change of templates or objects the set is looked at anew */
#define OBJECTS_START_BATCH 50		/* watches opened in one such round */
#define OBJECT_TROUBLE_SIZE 96

enum object_state {
	OBJECT_UNKNOWN,			/* not asked for, or no answer yet */
	OBJECT_PRESENT,
	OBJECT_GONE,			/* it does not exist */
	OBJECT_UNREADABLE,		/* sealed with a key that we do not have, or damaged */
};

struct object {
	struct agent *a;
	char key[REF_KEY_SIZE];
	struct ref ref;			/* interned */
	struct kube_watch *watch;
	enum object_state state;
	int64_t version;
	size_t users;			/* contents that refer to it */
	bool wanted, beyond;		/* beyond: it is, but there are too many */
	bool immutable, seen, synced;	/* synced: confirmed since the link came */
	struct mono asked;		/* since when we wait for that */
	char trouble[OBJECT_TROUBLE_SIZE];	/* why there is no answer */
};

/* What one content needs of a node; kept as long as the content. */
struct needs {
	char key[UUID_TEXT_SIZE];	/* the hash of the content */
	struct spec *spec;
	const char *ns;			/* interned */
	struct object **objects;
	size_t object_count;
	const char **images;		/* interned, as the content names them */
	size_t image_count;
	const struct constraints *constraints;
	struct resources request;
	bool pull_secrets;		/* it has imagePullSecrets */
	const char *account;		/* interned; as render_own_account() */
	const char *refusal;		/* as in struct workload */
	bool ruled;			/* what the configuration allows matters to it */
	bool dirty;			/* to be judged again */
};

/* Of a content that is new; `content` as render_content() makes it. */
void objects_note(struct agent *a, struct spec *s, const char *ns, const json_object *content);
void objects_forget(struct agent *a, const char *hash);
/* Of the ReplicaSet's newest content; NULL = not known. */
const struct needs *objects_needs(const struct agent *a, const char *workload_uid);
/* Does this ReplicaSet count: it wants pods, and heal.namespaces wants it? */
bool objects_wants(const struct agent *a, const struct workload *w);
