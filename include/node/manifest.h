/* node/manifest.h — kubelet's static-pod folder: what we write there, and what is provably ours
 *
 * Whoever can write there is root on the node: nothing but rendered templates goes in, and nothing comes out that does not
 * carry our prefix. kubelet ignores dotfiles, so a file appears whole (rename) or not at all.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include "base/json.h"
#include "base/str.h"

#define MANIFEST_PREFIX "edge-healer-"
/* The largest file that kubelet reads: k8s.io/kubernetes/pkg/kubelet/config, maxConfigLength (10 MiB), where
 * ReadAtMost() of k8s.io/utils/io already fails when it has read that much. */
#define MANIFEST_MAX (10 * 1024 * 1024 - 1)
#define MANIFEST_NAME_SIZE 256

/* One file to write. */
struct manifest {
	const char *file;		/* name in the folder */
	const char *text;
	int result;			/* 0 or -errno, filled in */
	int fd;				/* between prepare and publish */
};

/* "edge-healer-<name, cut>-<first 8 of uid>.json" */
void manifest_name(const char *pod_name, const char *static_uid, char out[MANIFEST_NAME_SIZE]);

/* Writing has two halves, so that the intents can be committed between them: a dotfile is no effect yet, its rename is.
 * prepare: all dotfiles, and their data on its way to the disk. publish: their fsync, the renames, one fsync of the folder;
 * returns how many were written. abandon: instead of publish. Each item gets its own result; a failed one leaves nothing behind. */
void manifest_prepare(const char *dir, struct manifest *items, size_t n);
size_t manifest_publish(const char *dir, struct manifest *items, size_t n);
void manifest_abandon(const char *dir, struct manifest *items, size_t n);
/* 0 (also when it was not there), -EPERM (not our prefix) or -errno. The folder is synced. */
int manifest_remove(const char *dir, const char *file);
bool manifest_exists(const char *dir, const char *file);
/* Visit our files (not the temporary ones, which are removed on the way). 0 or -errno. */
int manifest_each(const char *dir, void (*fn)(void *arg, const char *file), void *arg);
/* The original pod uid and epoch that a pod, or a file of ours, names in its annotations, to prove whose it is: its own
 * uid follows from both. 0, -EINVAL (not one of ours) or -errno. */
int manifest_mark_of(const json_object *pod, char *out_uid, size_t size, unsigned *out_epoch);
int manifest_identify(const char *dir, const char *file, char *out_uid, size_t size, unsigned *out_epoch);
/* The names of a pod's containers (not of its init containers) that are RFC 1123 labels, for they become paths, with spaces
 * between; of a file of ours: NULL = it cannot be read. The caller frees them. */
char *manifest_containers_of(const json_object *pod);
char *manifest_containers(const char *dir, const char *file);
