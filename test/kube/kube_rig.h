/* kube_rig.h — a loop, a client and one request's answer, for the tests of kube/ */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>

#include "../patience.h"
#include "base/mem.h"
#include "base/str.h"
#include "kube/client.h"
#include "kube/credentials.h"
#include "loop/loop.h"

#define WAIT_MS patient_ms(20000)	/* for what must happen; never reached when all is well */

struct kube_rig {
	struct loop *loop;
	struct kube_credentials *credentials;
	struct kube_client *client;
	int contacts, failures;		/* on_contact: answers of any kind, and none */
	enum kube_contact_kind last;
	char last_failure[256];
};

/* A copy of an answer. */
struct got {
	bool done;
	int count;
	enum kube_outcome outcome;
	int status, http_version, attempts;
	int64_t retry_after_ms;
	char *body, *reason, *message;
};

void kube_rig_init(struct kube_rig *r, const char *url);		/* no credentials */
void kube_rig_init_from(struct kube_rig *r, const char *kubeconfig);	/* a file */
void kube_rig_fini(struct kube_rig *r);
/* A copy of what a probe found. */
struct found { bool done; enum kube_probe_outcome outcome; struct endpoint at; char reason[256]; };
void got_probe(void *found, const struct kube_probe_result *r);	/* a kube_probe_fn */
void got_answer(void *got, const struct kube_answer *a);		/* a kube_done_fn */
void got_fini(struct got *g);
void rig_wait(struct kube_rig *r, const bool *done);			/* fails the test when it takes WAIT_MS */
/* Run the loop until `is_true(arg)`. */
void rig_wait_for(struct kube_rig *r, bool (*is_true)(void *arg), void *arg);
/* One GET, waited for. */
struct got rig_get(struct kube_rig *r, const char *path, int retries);

/* Files in a folder of the test's own, removed by rig_dir_remove(). */
char *rig_dir_new(void);
void rig_dir_remove(char *dir);
char *rig_write(const char *dir, const char *name, const char *text);	/* returns the path; caller frees */
