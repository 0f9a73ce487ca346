/* kube/watch.h — keep a mirror of one resource: list, then watch, for ever
 *
 * Normal course:
 *   1. on_sync_begin
 *   2. on_object(ADDED) for everything there is: one streaming WatchList where the server has it, else paged lists
 *   3. on_synced: what was not seen since on_sync_begin does not exist; the caller deletes it
 *   4. on_object(ADDED | MODIFIED | DELETED) as things happen, on_progress with each bookmark
 * A stream that ends normally is reopened at once from the last version. When the server no longer has that version
 * (410 as answer or as event) steps 1 to 3 come again. A sync that breaks off begins again with a new on_sync_begin,
 * which voids the earlier one. Anything else that goes wrong is told with on_lost and tried again after a jittered
 * 100 ms … 10 s.
 *
 * History can go back: etcd is restored from a backup, and the server's versions are lower than those that were shown. That is
 * told with on_rewound, and steps 1 to 3 come again.
 *
 * Handlers run from the loop. Each may stop or free the watch.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/clock.h"
#include "base/json.h"

#define KUBE_WATCH_PAGE 500
#define KUBE_WATCH_TIMEOUT_MS 300000		/* asked from the server, jittered */
#define KUBE_WATCH_SILENCE_MS 75000		/* bookmarks come about each minute: silent for longer is dead */
#define KUBE_WATCH_SYNC_SILENCE_MS 30000	/* the same while the initial objects are due */
#define KUBE_WATCH_BACKOFF_MIN_MS 100
#define KUBE_WATCH_BACKOFF_MAX_MS 10000

struct kube_client;
struct kube_watch;

enum kube_change { KUBE_ADDED, KUBE_MODIFIED, KUBE_DELETED };

struct kube_watch_params {
	const char *path;			/* "/api/v1/pods"; copied, like all texts here */
	const char *label_selector, *field_selector;	/* NULL = all */
	int page;				/* objects a page; 0 = KUBE_WATCH_PAGE */
	int64_t watch_timeout_ms;		/* 0 = KUBE_WATCH_TIMEOUT_MS */
	int64_t silence_ms, sync_silence_ms;	/* 0 = the named defaults */
	bool no_watch_list;			/* go straight to paged lists */
};

struct kube_watch_handlers {
	void *arg;
	void (*on_sync_begin)(void *arg);
	void (*on_object)(void *arg, enum kube_change change, json_object *obj); /* borrowed; without managedFields */
	void (*on_synced)(void *arg, const char *version);
	void (*on_progress)(void *arg, const char *version);	/* may be NULL */
	void (*on_lost)(void *arg, const char *reason);		/* may be NULL; once per failed attempt */
	/* May be NULL. What was shown so far is no part of the server's history any more: a sync follows, unless the handler
	 * stops, frees or restarts the watch. */
	void (*on_rewound)(void *arg, const char *reason);
	/* May be NULL. One object was too big, too deep or no JSON: what is held of it must not count as deleted. */
	void (*on_skipped)(void *arg, const char *reason);
};

struct kube_watch *kube_watch_new(struct kube_client *client, const struct kube_watch_params *params,
				  const struct kube_watch_handlers *handlers);	/* never NULL; idle */
void kube_watch_free(struct kube_watch *w);		/* NULL-safe */
void kube_watch_start(struct kube_watch *w);
void kube_watch_stop(struct kube_watch *w);		/* forgets the version: the next start syncs anew */
void kube_watch_kick(struct kube_watch *w);		/* if it waits to try again: now */
bool kube_watch_is_synced(const struct kube_watch *w);	/* was synced, and has not been told to sync anew since */
bool kube_watch_is_open(const struct kube_watch *w);	/* a stream is open right now */
/* When the server last confirmed that what this watch has shown is all there is: with the end of a sync, an event, a bookmark.
 * 0 = not since it was started. */
struct mono kube_watch_confirmed(const struct kube_watch *w);
/* The same by the server's own clock (its `Date` header, and the time that has passed here since then); 0 = it said none. */
struct wall kube_watch_stamp(const struct kube_watch *w);
const char *kube_watch_version(const struct kube_watch *w);	/* the last one seen, "" = none; borrowed */
uint64_t kube_watch_skipped(const struct kube_watch *w);
