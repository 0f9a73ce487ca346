/* keys.c — every key, its default, its bounds and what it means; setting and printing one */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "conf_int.h"

static const char *const bool_names[] = { "false", "true", NULL };
static const char *const mode_names[] = { "observe", "heal", NULL };
static const char *const format_names[] = { "text", "json", NULL };
static const char *const loopback_names[] = { "open", "token", NULL };
static const char *const policy_names[] = { "at-least-once", "at-most-once", "never", NULL };
static const char *const gate_names[] = { "auto", "on", "off", NULL };
static const char *const pulled_names[] = { "verified", "trusted", NULL };
static const char *const standby_names[] = { "auto", "on", "off", NULL };
static const char *const minority_names[] = { "passive", "active", NULL };
static const char *const secret_env_names[] = { "literal", "refuse", NULL };
static const char *const own_account_names[] = { "warn", "refuse", NULL };
static const char *const reconcile_names[] = { "best", "keep_original", "keep_replacement", "longest", NULL };

#define DAY INT64_C(86400000)
#define AT(field) offsetof(struct conf, field)
/* MUST: may not be empty. */
#define TEXT(path, field, def, form, help) { path, CONF_TEXT, AT(field), def, 0, 0, NULL, false, help, form, false }
#define MUST(path, field, def, form, help) { path, CONF_TEXT, AT(field), def, 0, 0, NULL, false, help, form, true }
#define LATER(path, field, def, help) { path, CONF_TEXT, AT(field), def, 0, 0, NULL, true, help, NULL, false }
#define LIST(path, field, def, form, help) { path, CONF_LIST, AT(field), def, 0, 0, NULL, false, help, form, false }
#define DUR(path, field, def, lo, hi, late, help) \
	{ path, CONF_DURATION, AT(field), def, lo, hi, NULL, late, help, NULL, false }
#define INT(path, field, def, lo, hi, help) { path, CONF_INT, AT(field), def, lo, hi, NULL, false, help, NULL, false }
#define ENUM(path, field, def, names, late, help) \
	{ path, CONF_ENUM, AT(field), def, 0, 0, names, late, help, NULL, false }

const struct conf_key conf_keys[] = {
	TEXT("node", node, "", form_node, "name of this node as Kubernetes knows it (NODE_NAME)"),
	TEXT("site", site, "", form_site,
	     "losses, witnesses and bidders are those of this site; empty = the node's zone label"),
	ENUM("mode", mode, "heal", mode_names, false, "observe: report everything, do nothing"),
	TEXT("log.level", log_level, "info", form_log_levels,
	     "error, warn, info or debug; also per subsystem: info,serf=debug"),
	ENUM("log.format", log_format, "text", format_names, false, "text or json lines on stderr"),

	MUST("serf.rpc", serf_rpc, "127.0.0.1:7373", form_rpc, "RPC address of the serf agent (GOSSIP_ADDR)"),
	TEXT("serf.auth_key_file", serf_auth_key_file, "", form_file, "file with the RPC auth key; empty = no auth"),
	DUR("serf.poll", serf_poll_ms, "250ms", 50, 60000, false, "how often members are asked for"),
	DUR("serf.peer_ttl", serf_peer_ttl_ms, "2s", 200, 600000, false, "older answers are not acted upon"),
	LIST("serf.join", serf_join, "", form_join, "addresses to join when the agent knows nobody else"),

	TEXT("kube.kubeconfig", kube_kubeconfig, "", form_file, "kubeconfig file; empty = in-cluster credentials"),
	TEXT("kube.server", kube_server, "", form_server, "overrides the API server's URL"),
	DUR("kube.offline_after", kube_offline_after_ms, "3s", 500, 600000, false, "failures only, for this long = offline"),
	DUR("kube.hung_after", kube_hung_after_ms, "20s", 5000, 600000, false,
	    "it answers, but no read or write works for this long = failing"),
	DUR("kube.probe", kube_probe_ms, "1s", 100, 60000, false, "how often a doubtful API server is probed"),
	DUR("kube.watch_timeout", kube_watch_timeout_ms, "5m", 5000, 3600000, false, "a watch is renewed after about this"),
	INT("kube.page", kube_page, "500", 1, 10000, "objects per page of a list"),

	MUST("store.path", store_path, "/data/desired.db", form_file, "the SQLite file (CACHE_PATH)"),
	TEXT("store.key_file", store_key_file, "", form_file,
	     "keys that encrypt Secrets at rest, made if missing; empty = <store.path>.key"),
	MUST("http.listen", http_listen, "0.0.0.0:8000", form_listen,
	     "address of /metrics, /healthz and /v1 (METRICS_PORT sets the port)"),
	TEXT("http.socket", http_socket, "/run/edge-healer.sock", form_socket,
	     "Unix socket of root's own (mode 0600), which the client verbs use first; empty = none"),
	ENUM("http.loopback", http_loopback, "open", loopback_names, false,
	     "/v1 for processes of this machine: open, or with the token of http.token_file"),
	TEXT("http.token_file", http_token_file, "", form_file,
	     "bearer token for /v1 from elsewhere; empty = /v1 is for this machine only"),
	ENUM("metrics.offline_ready", metrics_offline_ready, "false", bool_names, false,
	     "a series edge_healer_offline_ready for each workload, at most 500"),

	MUST("kubelet.static_pod_path", kubelet_static_pod_path, "/etc/kubernetes/manifests", form_folder,
	     "kubelet's static-pod folder"),
	MUST("kubelet.cgroup_root", kubelet_cgroup_root, "/sys/fs/cgroup", form_folder,
	     "folder that holds kubepods or *kubepods.slice, or the controllers' folders that hold it (cgroup v1)"),
	MUST("kubelet.pod_logs", kubelet_pod_logs, "/var/log/pods", form_folder, "kubelet's pod log folder"),
	MUST("kubelet.bundle_dir", kubelet_bundle_dir, "/var/lib/edge-healer/bundles", form_folder,
	     "files of the ConfigMaps and Secrets of copies; the same path on the host"),
	TEXT("kubelet.healthz", kubelet_healthz, "http://127.0.0.1:10248/healthz", form_health,
	     "kubelet's own health endpoint, by number: a restart of kubelet is seen by who listens there; empty = not looked at"),
	MUST("kubelet.boot_id_file", kubelet_boot_id_file, "/proc/sys/kernel/random/boot_id", form_file,
	     "file whose text changes with every boot"),
	INT("kubelet.port", kubelet_port, "10250", 1, 65535, "kubelet's port, tried by witnesses"),
	ENUM("kubelet.gate", kubelet_gate, "auto", gate_names, false,
	     "make kubelet's API calls fail fast while offline; auto: where we may, on: an error where we may not"),
	LIST("kubelet.gate_addresses", kubelet_gate_addresses, "", form_gate_address,
	     "further API server addresses (IP:port) for the gate"),
	MUST("kubelet.cluster_domain", kubelet_cluster_domain, "cluster.local", form_object,
	     "kubelet's clusterDomain: with it and setHostnameAsFQDN a hostname may be too long to start"),
	ENUM("kubelet.pulled_images", kubelet_pulled_images, "verified", pulled_names, false,
	     "images pulled with an imagePullSecret: verified as kubelet 1.35 and above does; trusted: its "
	     "imagePullCredentialsVerificationPolicy is NeverVerify, or they were preloaded"),
	TEXT("kubelet.kubeconfig", kubelet_kubeconfig, "", form_file,
	     "kubelet's kubeconfig, for the gate; empty = the usual places"),

	TEXT("pod.name", pod_name, "", form_object, "name of our own pod (POD_NAME): the standby is made of it"),
	TEXT("pod.namespace", pod_namespace, "", form_label, "its namespace (POD_NAMESPACE)"),
	TEXT("pod.container", pod_container, "edge-healer", form_label,
	     "our container in it; of no matter when it is the only one"),
	ENUM("pod.standby", pod_standby, "auto", standby_names, false,
	     "keep a static pod of our own pod for cold boots; auto: where it can be, on: an error where not, off: remove it"),
	DUR("pod.standby_alone", pod_standby_alone_ms, "5m", 5000, DAY, false,
	    "a standby that works removes itself when the API server has answered for this long and no pod of our "
	    "DaemonSet was here"),

	LIST("heal.namespaces", heal_namespaces, "*,!kube-system", form_namespace,
	     "globs; '!' excludes; the last match decides"),
	LATER("heal.selector", heal_selector, "", "label selector of workloads to heal"),
	ENUM("heal.policy", heal_policy, "at-least-once", policy_names, false,
	     "of workloads without the annotation edge-healer.io/policy"),
	DUR("heal.bind_grace", heal_bind_grace_ms, "200ms", 0, 600000, false, "the scheduler's head start on a Pending pod"),
	DUR("heal.node_grace", heal_node_grace_ms, "1s", 0, 600000, false, "how long gossip must report a node as failed"),
	INT("heal.witnesses", heal_witnesses, "2", 1, 16, "peers that must confirm a lost node; all others in a smaller site"),
	DUR("heal.claim_timeout", heal_claim_timeout_ms, "500ms", 50, 60000, false, "rank k acts after k times this"),
	DUR("heal.start_timeout", heal_start_timeout_ms, "10s", 1000, 600000, false,
	    "a copy must be seen running within this; 60s if kubelet is at work on it"),
	DUR("heal.doubt", heal_doubt_ms, "60s", 1000, 3600000, false, "how long an open port or one peer's word delays a loss"),
	DUR("heal.local_grace", heal_local_grace_ms, "5s", 0, 600000, false, "kubelet's head start on a pod that vanished here"),
	DUR("heal.lease_grace", heal_lease_grace_ms, "0s", 0, 600000, false,
	    "a lost node's Lease must be this old before its pods are replaced while online; 12s: it has missed a renewal"),
	DUR("heal.stop_after", heal_stop_after_ms, "20s", 3000, 600000, false, "a cut-off node stops at-most-once pods after this"),
	ENUM("heal.secret_env", heal_secret_env, "literal", secret_env_names, false,
	     "variables from Secrets: literal in the copy's manifest and mirror pod, or refuse such workloads offline"),
	ENUM("heal.own_service_account", heal_own_account, "warn", own_account_names, false,
	     "pods with a token of a ServiceAccount other than default: a copy has none; restore offline and warn, or refuse"),
	ENUM("heal.minority", heal_minority, "passive", minority_names, false,
	     "what the smaller part of a split site does; active needs a budget.max_lost_nodes above 50%"),

	ENUM("reconcile.policy", reconcile_policy, "best", reconcile_names, false,
	     "which one stays when the original and our copy both run; also edge-healer.io/reconcile"),
	DUR("reconcile.gone_grace", reconcile_gone_grace_ms, "60s", 0, DAY, false,
	    "a copy outlives its ReplicaSet for this long: a stale mirror looks the same"),
	{ "budget.max_lost_nodes", CONF_PERCENT, AT(budget_max_lost_nodes), "50%", 1, 100, NULL, false,
	  "more lost members of the site than this trip the breaker", NULL, false },
	INT("budget.restores_per_minute", budget_restores_per_minute, "120", 1, 100000, "restores of this node per minute"),
};
const size_t conf_key_count = ARRAY_LEN(conf_keys);

const struct conf_key *conf_key_find(const char *path)
{
	for (size_t i = 0; i < conf_key_count; i++)
		if (str_eq(conf_keys[i].path, path))
			return &conf_keys[i];
	return NULL;
}

static void *field(const struct conf *c, const struct conf_key *k)
{
	return (char *)(uintptr_t)c + k->offset;
}

static int set_duration(struct conf *c, const struct conf_key *k, const char *value, struct buf *why)
{
	char lo[DURATION_TEXT_SIZE], hi[DURATION_TEXT_SIZE];
	int64_t ms;

	if (duration_parse_ms(value, &ms) < 0) {
		buf_addf(why, "\"%s\" is no duration: write 250ms, 2s, 5m or 1h30m", value);
		return -EINVAL;
	}
	if (ms < k->min || ms > k->max) {
		duration_format_ms(k->min, lo);
		duration_format_ms(k->max, hi);
		buf_addf(why, "%s is out of range: use %s to %s", value, lo, hi);
		return -EINVAL;
	}
	*(int64_t *)field(c, k) = ms;
	return 0;
}

static int set_int(struct conf *c, const struct conf_key *k, const char *value, struct buf *why)
{
	cleanup(freep) char *text = str_dup(value);
	size_t n = strlen(text);
	int64_t v;

	if (k->type == CONF_PERCENT && n && text[n - 1] == '%')
		text[n - 1] = '\0';
	if (num_parse_i64(text, k->min, k->max, &v) < 0) {
		buf_addf(why, "\"%s\" is not a whole number from %lld to %lld%s", value, (long long)k->min, (long long)k->max,
			 k->type == CONF_PERCENT ? " (percent)" : "");
		return -EINVAL;
	}
	*(int64_t *)field(c, k) = v;
	return 0;
}

static int set_enum(struct conf *c, const struct conf_key *k, const char *value, struct buf *why)
{
	for (int i = 0; k->names[i]; i++) {
		if (str_eq(k->names[i], value)) {
			*(int *)field(c, k) = i;
			return 0;
		}
	}
	buf_addf(why, "\"%s\" is not one of", value);
	for (int i = 0; k->names[i]; i++)
		buf_addf(why, "%s %s", i ? "," : "", k->names[i]);
	return -EINVAL;
}

/* Nothing puts a value in its place, and as it is it would be used. */
static bool is_template(const struct conf_key *k, const char *value, struct buf *why)
{
	static const char *const marks[] = { "${", "$(", "{{" };
	char env[ENV_NAME_SIZE];

	for (size_t i = 0; i < ARRAY_LEN(marks); i++) {
		if (!strstr(value, marks[i]))
			continue;
		conf_env_name(k->path, env);
		buf_addf(
		    why,
		    "\"%s\": nothing is expanded here: write the value itself, or leave the key out and set %s in the "
		    "environment",
		    value, env);
		return true;
	}
	return false;
}

static int check_text(const struct conf_key *k, const char *value, struct buf *why)
{
	if (!*value) {
		if (!k->needed)
			return 0;
		buf_addf(why, "it may not be empty: leave the key out for the default (%s)", k->fallback);
		return -EINVAL;
	}
	return is_template(k, value, why) || (k->form && !k->form(value, why)) ? -EINVAL : 0;
}

int conf_key_add(struct conf *c, const struct conf_key *k, const char *value, struct buf *why)
{
	struct conf_list *l = field(c, k);

	if (k->type != CONF_LIST) {
		buf_addf(why, "takes one value, not a list");
		return -EINVAL;
	}
	if (l->count == CONF_LIST_MAX) {
		buf_addf(why, "more than %d items", CONF_LIST_MAX);
		return -EINVAL;
	}
	if (!*value) {
		buf_adds(why, "an item is empty: take it out");
		return -EINVAL;
	}
	if (check_text(k, value, why) < 0)
		return -EINVAL;
	l->items[l->count++] = str_dup(value);
	return 0;
}

void conf_key_clear(struct conf *c, const struct conf_key *k)
{
	struct conf_list *l = field(c, k);

	if (k->type == CONF_TEXT)
		str_set(field(c, k), NULL);
	if (k->type != CONF_LIST)
		return;
	for (size_t i = 0; i < l->count; i++)
		free(l->items[i]);
	l->count = 0;
}

/* All that is wrong with any of the items; "" is an empty list. */
static int set_list(struct conf *c, const struct conf_key *k, const char *value, struct buf *why)
{
	int r = 0;

	conf_key_clear(c, k);
	for (const char *p = value; p && *value;) {
		size_t n = strcspn(p, ",");
		cleanup(freep) char *item = str_ndup(p, n);

		buf_adds(why, why->len ? "; " : "");
		r = conf_key_add(c, k, item, why) < 0 ? -EINVAL : r;
		p = p[n] ? p + n + 1 : NULL;
	}
	return r;
}

static int set_text(struct conf *c, const struct conf_key *k, const char *value, struct buf *why)
{
	if (check_text(k, value, why) < 0)
		return -EINVAL;
	str_set(field(c, k), value);
	return 0;
}

int conf_key_set(struct conf *c, const struct conf_key *k, const char *value, struct buf *why)
{
	switch (k->type) {
	case CONF_TEXT:
		return set_text(c, k, value, why);
	case CONF_DURATION:
		return set_duration(c, k, value, why);
	case CONF_INT:
	case CONF_PERCENT:
		return set_int(c, k, value, why);
	case CONF_ENUM:
		return set_enum(c, k, value, why);
	case CONF_LIST:
		return set_list(c, k, value, why);
	}
	return -EINVAL;
}

/* The code point at s (valid UTF-8) and its length; 1 byte of anything else stands for itself. */
static uint32_t code_point(const char *s, size_t *out_len)
{
	const unsigned char *p = (const unsigned char *)s;
	size_t n = *p < 0xc0 ? 1 : *p < 0xe0 ? 2 : *p < 0xf0 ? 3 : 4;
	uint32_t c = n == 1 ? *p : *p & (0xffu >> (n + 1));

	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80) {
			*out_len = 1;
			return *p;
		}
		c = c << 6 | (p[i] & 0x3f);
	}
	*out_len = n;
	return c;
}

/* What YAML does not allow as it is, or takes for the end of a line. */
static bool needs_escape(uint32_t c)
{
	return c < 0x20 || c == '"' || c == '\\' || (c >= 0x7f && c < 0xa0) || c == 0x2028 || c == 0x2029 || c == 0xfeff ||
	       c == 0xfffe || c == 0xffff;
}

/* As a double-quoted YAML scalar. */
static void add_quoted(struct buf *out, const char *s)
{
	size_t n;

	buf_addc(out, '"');
	for (; *s; s += n) {
		uint32_t c = code_point(s, &n);

		if (needs_escape(c))
			buf_addf(out, "\\U%08x", (unsigned)c);
		else
			buf_add(out, s, n);
	}
	buf_addc(out, '"');
}

void conf_key_format(const struct conf *c, const struct conf_key *k, struct buf *out)
{
	const struct conf_list *l = field(c, k);
	char text[DURATION_TEXT_SIZE];

	switch (k->type) {
	case CONF_TEXT:
		add_quoted(out, str_or(*(char **)field(c, k), ""));
		break;
	case CONF_DURATION:
		duration_format_ms(*(int64_t *)field(c, k), text);
		buf_adds(out, text);
		break;
	case CONF_INT:
	case CONF_PERCENT:
		buf_addf(out, "%lld%s", (long long)*(int64_t *)field(c, k), k->type == CONF_PERCENT ? "%" : "");
		break;
	case CONF_ENUM:
		buf_adds(out, k->names[*(int *)field(c, k)]);
		break;
	case CONF_LIST:
		buf_addc(out, '[');
		for (size_t i = 0; i < l->count; i++) {
			buf_adds(out, i ? ", " : "");
			add_quoted(out, l->items[i]);
		}
		buf_addc(out, ']');
		break;
	}
}
