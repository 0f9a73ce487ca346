/* conf/conf_int.h — the table of keys; shared by the files of conf/ only */
#pragma once
#include "conf/conf.h"

enum conf_type { CONF_TEXT, CONF_DURATION, CONF_INT, CONF_PERCENT, CONF_ENUM, CONF_LIST };

/* The form of a text, or of one item of a list (never empty): true, or what is wrong and the fix in *why. */
typedef bool (*conf_form)(const char *value, struct buf *why);

struct conf_key {
	const char *path;		/* "serf.rpc" */
	enum conf_type type;
	size_t offset;			/* in struct conf */
	const char *fallback;		/* default, as one would write it; lists separated by ',' */
	int64_t min, max;		/* durations in ms */
	const char *const *names;	/* of an enum, NULL-terminated */
	bool pending;			/* accepted, but without effect yet */
	const char *help;
	conf_form form;			/* of a text or list; NULL = any text */
	bool needed;			/* a text that may not be empty */
};

extern const struct conf_key conf_keys[];
extern const size_t conf_key_count;

const struct conf_key *conf_key_find(const char *path);		/* NULL = no such key */
/* Parse and store one value. 0, or -EINVAL and what is wrong with it in *why. */
int conf_key_set(struct conf *c, const struct conf_key *k, const char *value, struct buf *why);
/* One item of a list key. */
int conf_key_add(struct conf *c, const struct conf_key *k, const char *value, struct buf *why);
void conf_key_clear(struct conf *c, const struct conf_key *k);
void conf_key_format(const struct conf *c, const struct conf_key *k, struct buf *out);

/* ---- forms.c ---- */

bool form_node(const char *value, struct buf *why);
bool form_object(const char *value, struct buf *why);		/* the name of a pod */
bool form_label(const char *value, struct buf *why);		/* of a namespace or container */
bool form_site(const char *value, struct buf *why);
bool form_log_levels(const char *value, struct buf *why);
bool form_file(const char *value, struct buf *why);
bool form_folder(const char *value, struct buf *why);
bool form_socket(const char *value, struct buf *why);
bool form_listen(const char *value, struct buf *why);
bool form_rpc(const char *value, struct buf *why);
bool form_gate_address(const char *value, struct buf *why);
bool form_health(const char *value, struct buf *why);
bool form_server(const char *value, struct buf *why);
bool form_join(const char *value, struct buf *why);
bool form_namespace(const char *value, struct buf *why);

/* ---- origin.c: where each key was set ---- */

struct conf_origins *conf_origins_new(const char *file);
void conf_origins_free(struct conf_origins *o);
void conf_set_line(struct conf *c, const struct conf_key *k, size_t line);
void conf_set_env(struct conf *c, const struct conf_key *k, const char *name);	/* `name` is copied */
void conf_mark_bad(struct conf *c, const struct conf_key *k);
bool conf_is_set(const struct conf *c, const char *key);	/* not the default */
/* "kube.probe 5s (c.yaml:4)", "(NODE_NAME in the environment)" or "(the default)" */
void conf_add_value(const struct conf *c, const char *key, struct buf *out);
/* End a line that began at `begin`; control characters of what it repeats become '?'. */
void conf_end_line(struct buf *errors, size_t begin);
/* "serf.rpc" → "EDGE_HEALER_SERF_RPC" */
enum { ENV_NAME_SIZE = 128 };
void conf_env_name(const char *path, char out[ENV_NAME_SIZE]);

/* ---- cross.c ---- */

/* Checks that need more than one key. `alone`: the files of this machine are not looked at. */
void conf_check_cross(const struct conf *c, bool alone, struct buf *errors, struct buf *warnings);
/* paths.c: which path may not be in or at which. */
void conf_check_paths(const struct conf *c, bool alone, struct buf *errors);

/* yaml.c: walk a document; every leaf is set, errors are appended as "path:line: key: …". */
void conf_yaml_read(struct conf *c, const char *path, const char *text, size_t n, struct buf *errors, struct buf *warnings);
