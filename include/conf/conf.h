/* conf/conf.h — the configuration: one table of keys, YAML file and environment
 *
 * Order: defaults, then the file, then the environment (EDGE_HEALER_<KEY>, dots as '_': EDGE_HEALER_SERF_RPC; and the plain
 * names NODE_NAME, GOSSIP_ADDR, CACHE_PATH, METRICS_PORT, LOG_LEVEL). All errors are reported at once, each with its place
 * (file:line or the variable) and what would be right. `check-config --reference` prints the same table. What only this
 * machine can tell (credentials, files that must be there) is checked by agent/preflight.h.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/str.h"

#define CONF_FILE_MAX (256 * 1024)
#define CONF_LIST_MAX 64

struct conf_list { char *items[CONF_LIST_MAX]; size_t count; };

enum conf_mode { CONF_MODE_OBSERVE, CONF_MODE_HEAL };
enum conf_minority { CONF_MINORITY_PASSIVE, CONF_MINORITY_ACTIVE };
enum conf_gate { CONF_GATE_AUTO, CONF_GATE_ON, CONF_GATE_OFF };
enum conf_pulled_images { CONF_PULLED_VERIFIED, CONF_PULLED_TRUSTED };
enum conf_standby { CONF_STANDBY_AUTO, CONF_STANDBY_ON, CONF_STANDBY_OFF };
enum conf_loopback { CONF_LOOPBACK_OPEN, CONF_LOOPBACK_TOKEN };
enum conf_secret_env { CONF_SECRET_ENV_LITERAL, CONF_SECRET_ENV_REFUSE };
enum conf_own_account { CONF_OWN_ACCOUNT_WARN, CONF_OWN_ACCOUNT_REFUSE };
enum conf_log_format { CONF_LOG_TEXT, CONF_LOG_JSON };

struct conf_origins;		/* where each key was set: conf_complain() */

struct conf {
	struct conf_origins *origins;
	char *node, *site;
	int mode;			/* enum conf_mode */
	char *log_level;
	int log_format;			/* enum conf_log_format */

	char *serf_rpc, *serf_auth_key_file;
	int64_t serf_poll_ms, serf_peer_ttl_ms;
	struct conf_list serf_join;

	char *kube_kubeconfig, *kube_server;
	int64_t kube_offline_after_ms, kube_hung_after_ms, kube_probe_ms, kube_watch_timeout_ms;
	int64_t kube_page;

	char *store_path, *store_key_file;
	char *http_listen, *http_socket, *http_token_file;
	int http_loopback;		/* enum conf_loopback */
	int metrics_offline_ready;	/* 0 or 1 */

	char *kubelet_static_pod_path, *kubelet_cgroup_root, *kubelet_pod_logs, *kubelet_bundle_dir, *kubelet_healthz;
	char *kubelet_boot_id_file;
	char *kubelet_kubeconfig;
	char *kubelet_cluster_domain;
	int64_t kubelet_port;
	int kubelet_gate;		/* enum conf_gate */
	int kubelet_pulled_images;	/* enum conf_pulled_images */
	struct conf_list kubelet_gate_addresses;

	char *pod_name, *pod_namespace, *pod_container;
	int pod_standby;		/* enum conf_standby */
	int64_t pod_standby_alone_ms;

	struct conf_list heal_namespaces;
	char *heal_selector;
	int heal_policy;		/* enum heal_policy of model/workload.h, same order */
	int64_t heal_bind_grace_ms, heal_node_grace_ms, heal_witnesses, heal_claim_timeout_ms, heal_start_timeout_ms;
	int64_t heal_local_grace_ms, heal_stop_after_ms, heal_lease_grace_ms, heal_doubt_ms;
	int heal_minority;		/* enum conf_minority */
	int heal_secret_env;		/* enum conf_secret_env */
	int heal_own_account;		/* enum conf_own_account */

	int reconcile_policy;		/* enum keep_policy of model/workload.h, same order */
	int64_t reconcile_gone_grace_ms;
	int64_t budget_max_lost_nodes, budget_restores_per_minute;
};

/* What a configuration is read from. */
struct conf_source {
	const char *path;			/* the file; NULL = none */
	const char *text;			/* what it holds (`path` is only its name); NULL = read it */
	const char *const *environ_like;	/* "NAME=value", NULL-terminated; NULL = none */
	/* The file is for another machine: node need not be set, and paths are compared as they are written. */
	bool alone;
};
/* The one set of checks of values. As conf_load(), but *out_conf is made whatever is wrong (-EINVAL then), so that more
 * can be checked and told at once: never run with it. The caller frees it. */
int conf_read(const struct conf_source *src, struct conf **out_conf, struct buf *errors, struct buf *warnings);
/* The value of this key was refused; what the field holds means nothing. */
bool conf_is_bad(const struct conf *c, const char *key);
/* Append "<file:line or variable>: <key>: <text>", a line. */
void conf_complain(const struct conf *c, const char *key, struct buf *errors, const char *fmt, ...) PRINTF_LIKE(4, 5);

/* Load. `path` NULL = no file. `environ_like` = "NAME=value" strings, NULL-terminated (the process's, or a test's).
 * 0, or -EINVAL with one line per error in *errors. *out_conf is untouched on failure. Warnings (keys that have no effect yet)
 * go to *warnings. */
int conf_load(const char *path, const char *const *environ_like, struct conf **out_conf, struct buf *errors,
	      struct buf *warnings);
void conf_free(struct conf *c);
void conf_freep(struct conf **c);

/* The effective configuration as YAML, and the table of keys as Markdown. */
void conf_print(const struct conf *c, struct buf *out);
void conf_print_reference(struct buf *out);
