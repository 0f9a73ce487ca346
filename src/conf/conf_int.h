/* conf/conf_int.h — the table of keys; shared by the files of conf/ only */
#pragma once
#include "conf/conf.h"

enum conf_type { CONF_TEXT, CONF_DURATION, CONF_INT, CONF_PERCENT, CONF_ENUM, CONF_LIST };

struct conf_key {
	const char *path;		/* "serf.rpc" */
	enum conf_type type;
	size_t offset;			/* in struct conf */
	const char *fallback;		/* default, as one would write it; lists separated by ',' */
	int64_t min, max;		/* durations in ms */
	const char *const *names;	/* of an enum, NULL-terminated */
	bool pending;			/* accepted, but without effect yet */
	const char *help;
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

/* yaml.c: walk a document; every leaf is set, errors are appended as "path:line: key: …". */
void conf_yaml_read(struct conf *c, const char *path, const char *text, size_t n, struct buf *errors, struct buf *warnings);
