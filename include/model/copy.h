/* model/copy.h — a pod that we started: its static-pod file and what became of it */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/clock.h"
#include "model/claim.h"
#include "model/pod.h"

enum copy_state {
	COPY_CLAIMED,			/* row and claim written, no file yet: not before its deadline */
	COPY_STARTING,			/* manifest renamed, not proven to run */
	COPY_RUNNING,			/* its pod cgroup is populated */
	COPY_DROPPING,			/* file removed, waiting for the pod to be gone */
};

struct copy {
	char pod_uid[UID_SIZE];		/* the lost pod */
	char static_uid[UID_SIZE];	/* UUIDv5 of (pod uid, epoch) */
	char *ns, *name;		/* of the lost pod */
	char workload_uid[UID_SIZE];
	char *workload;			/* its name, for people */
	char *lost_node;
	char *file;			/* name in the static-pod folder */
	uint32_t epoch, rank;
	enum copy_state state;
	struct wall declared, claimed, written, running;	/* for display; 0 = not yet */
	struct resources request;	/* what it takes of this node */
	struct mono declared_mono, written_mono;	/* of this process; 0 = before it */
	bool told;			/* mode observe: its end was reported already */
	struct mono deadline;		/* of the current state; 0 = none */
	/* starting */
	char *containers;		/* names of its containers, with spaces between; NULL = not read yet */
	struct mono start_limit;	/* its deadline is not moved beyond this */
	/* dropping */
	struct mono ending;		/* since when its file is to be gone */
	int64_t grace_ms;		/* what kubelet gives it */
	struct mono freeze_asked;	/* it shall be held still; 0 = it need not */
	bool frozen;			/* it is, and that was told */
	bool not_frozen;		/* it is not, and that was told */
	bool let_go;			/* thawed, so that it can be killed */
	bool once;			/* at most once */
	bool end_untold;		/* that its claim has ended: not before it stands still */
	struct claim end;		/* what is to be told then */
};

struct copy *copy_new(void);
void copy_free(struct copy *c);
void copy_freep(struct copy **c);
const char *copy_state_name(enum copy_state s);
