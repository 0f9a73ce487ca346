/* cli/cli_int.h — shared by the client verbs: asking the daemon, tables, ages */
#pragma once
#include "base/clock.h"
#include "base/json.h"
#include "base/str.h"
#include "cli/cli.h"

#define CLI_SERVER_ENV "EDGE_HEALER_URL"

/* ---- client.c ---- */

/* Append "?name=value", or "&name=value" to a path that has a '?' already; percent-encoded. Empty value: nothing. */
void client_query(struct buf *path, const char *name, const char *value);
/* GET, again while the daemon says that it is busy. 0 and *out_value (owned by the caller), or CLI_FAILED and one line for people in *why. */
/* POST without a body, through the socket of the node (or --server unix:PATH) only. As client_get(). */
int client_post(const struct cli_options *o, const char *path, json_object **out_value, struct buf *why);
int client_get(const struct cli_options *o, const char *path, json_object **out_value, struct buf *why);
/* What a path answers with. */
enum client_answer {
	CLIENT_OBJECT,
	CLIENT_PAGE,			/* a list: its first page, as an array */
	CLIENT_LIST,			/* a list: all its pages, as one array */
};
/* GET, printed as JSON or handed to `print`. An exit code; says on stderr what failed. */
int client_show(const struct cli_options *o, const char *path, enum client_answer kind,
		void (*print)(const struct cli_options *o, const json_object *v));

/* ---- output.c ---- */

struct table;

/* `heads` are borrowed. A head that begins with '+' is a column of -o wide only. */
struct table *table_new(const char *const *heads, size_t n, bool wide);
void table_freep(struct table **t);
/* The next cell of the current row; NULL or "" becomes <none>. Control characters become '?'. */
void table_add(struct table *t, const char *text);
void table_addf(struct table *t, const char *fmt, ...) PRINTF_LIKE(2, 3);
void table_sort(struct table *t); /* rows by their cells, left to right */
void table_render(const struct table *t, const char *indent, struct buf *out);
/* To stdout; an empty table says "no <what> found" on stderr. */
void table_print(const struct table *t, const char *what);

#define AGE_TEXT_SIZE 48
/* A span as kubectl prints it: 5s, 3m12s, 47m, 2h, 3d4h. */
void age_format(int64_t ms, char out[AGE_TEXT_SIZE]);
/* The age of an RFC 3339 time in a field; "" when it is absent or no time. */
void age_of(const json_object *o, const char *key, struct wall now, char out[AGE_TEXT_SIZE]);
/* Text with control characters replaced: what a peer sent cannot steer the terminal. */
void add_clean(struct buf *out, const char *text);
/* A boolean field as yes, no, or NULL when absent. */
const char *yes_no(const json_object *o, const char *key);
