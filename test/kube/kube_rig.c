/* kube_rig.c — see kube_rig.h */
#include "kube_rig.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"

static void on_contact(void *arg, const struct kube_contact *c)
{
	struct kube_rig *r = arg;

	r->last = c->kind;
	if (c->kind != KUBE_CONTACT_NONE && c->kind != KUBE_CONTACT_UNANSWERED) {
		r->contacts++;
		return;
	}
	r->failures++;
	(void)str_copy(r->last_failure, sizeof(r->last_failure), c->reason);
}

static void rig_start(struct kube_rig *r, const struct kube_credentials_conf *conf)
{
	char err[512] = "";
	struct kube_client_conf cc;

	*r = (struct kube_rig){ .loop = loop_new() };
	if (kube_credentials_load(conf, &r->credentials, err, sizeof(err)) < 0)
		fail_msg("%s", err);
	cc = (struct kube_client_conf){
	    .loop = r->loop,
	    .credentials = r->credentials,
	    .on_contact = on_contact,
	    .arg = r,
	    .connect_timeout_ms = 2000,
	};
	assert_int_equal(kube_client_new(&cc, &r->client), 0);
}

void kube_rig_init(struct kube_rig *r, const char *url)
{
	const struct kube_credentials_conf conf = { .server = url };

	(void)unsetenv("KUBERNETES_SERVICE_HOST");
	(void)unsetenv("KUBECONFIG");
	rig_start(r, &conf);
}

void kube_rig_init_from(struct kube_rig *r, const char *kubeconfig)
{
	const struct kube_credentials_conf conf = { .kubeconfig = kubeconfig };

	rig_start(r, &conf);
}

void kube_rig_fini(struct kube_rig *r)
{
	kube_client_free(r->client);
	kube_credentials_free(r->credentials);
	loop_free(r->loop);
}

void got_answer(void *arg, const struct kube_answer *a)
{
	struct got *g = arg;
	int count = g->count;

	got_fini(g);
	*g = (struct got){
	    .done = true,
	    .count = count + 1,
	    .outcome = a->outcome,
	    .status = a->status,
	    .http_version = a->http_version,
	    .attempts = a->attempts,
	    .retry_after_ms = a->retry_after_ms,
	    .body = str_dup(a->body),
	    .reason = str_dup(a->reason),
	    .message = str_dup(a->message),
	};
}

void got_fini(struct got *g)
{
	free(g->body);
	free(g->reason);
	free(g->message);
	*g = (struct got){ 0 };
}

void rig_wait(struct kube_rig *r, const bool *done)
{
	if (!loop_run_until(r->loop, done, WAIT_MS))
		fail_msg("it did not happen within %d ms", WAIT_MS);
}

struct condition { struct kube_rig *rig; bool (*is_true)(void *arg); void *arg; struct timer *timer; bool met; };

/* Conditions that other threads make true cannot wake the loop: it looks each few milliseconds. */
static void look(void *arg)
{
	struct condition *c = arg;

	c->met = c->is_true(c->arg);
	if (!c->met)
		timer_start_ms(c->timer, 2);
}

void rig_wait_for(struct kube_rig *r, bool (*is_true)(void *arg), void *arg)
{
	struct condition c = { .rig = r, .is_true = is_true, .arg = arg };

	c.timer = timer_new(r->loop, "condition", look, &c);
	timer_start_ms(c.timer, 0);
	rig_wait(r, &c.met);
	timer_free(c.timer);
}

struct got rig_get(struct kube_rig *r, const char *path, int retries)
{
	const struct kube_request_params p = { .path = path, .retries = retries };
	struct got g = { 0 };

	(void)kube_request(r->client, &p, got_answer, &g);
	assert_false(g.done);
	rig_wait(r, &g.done);
	return g;
}

/* ---- files ---- */

char *rig_dir_new(void)
{
	char *dir = str_format("%s/kube-test-XXXXXX", str_or(getenv("TMPDIR"), "/tmp"));

	assert_non_null(mkdtemp(dir));
	return dir;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

void rig_dir_remove(char *dir)
{
	(void)nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	free(dir);
}

char *rig_write(const char *dir, const char *name, const char *text)
{
	char *path = str_format("%s/%s", dir, name);

	assert_int_equal(file_write_atomic(path, text, strlen(text), 0600), 0);
	return path;
}

void got_probe(void *found, const struct kube_probe_result *r)
{
	struct found *f = found;

	*f = (struct found){ .done = true, .outcome = r->outcome, .at = r->at };
	(void)str_copy(f->reason, sizeof(f->reason), r->reason);
}
