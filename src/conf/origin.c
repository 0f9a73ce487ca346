/* origin.c — where each key was set, for the place in front of a complaint */
#include <ctype.h>
#include <stdlib.h>

#include "base/mem.h"
#include "conf_int.h"

struct origin {
	size_t line; /* of the file; 0 = not there */
	char *env;   /* the variable, which wins; NULL = none */
	bool bad;
};

struct conf_origins {
	char *file;
	struct origin *items; /* one a key */
};

struct conf_origins *conf_origins_new(const char *file)
{
	struct conf_origins *o = mem_new(struct conf_origins);

	o->file = str_dup(file);
	o->items = mem_new_n(struct origin, conf_key_count);
	return o;
}

void conf_origins_free(struct conf_origins *o)
{
	if (!o)
		return;
	for (size_t i = 0; i < conf_key_count; i++)
		free(o->items[i].env);
	free(o->items);
	free(o->file);
	free(o);
}

static struct origin *origin_of(const struct conf *c, const struct conf_key *k)
{
	return &c->origins->items[k - conf_keys];
}

void conf_set_line(struct conf *c, const struct conf_key *k, size_t line)
{
	origin_of(c, k)->line = line;
}

void conf_set_env(struct conf *c, const struct conf_key *k, const char *name)
{
	str_set(&origin_of(c, k)->env, name);
}

void conf_mark_bad(struct conf *c, const struct conf_key *k)
{
	origin_of(c, k)->bad = true;
}

bool conf_is_bad(const struct conf *c, const char *key)
{
	return origin_of(c, conf_key_find(key))->bad;
}

bool conf_is_set(const struct conf *c, const char *key)
{
	const struct origin *o = origin_of(c, conf_key_find(key));

	return o->line || o->env;
}

void conf_end_line(struct buf *errors, size_t begin)
{
	for (size_t i = begin; i < errors->len; i++)
		if (iscntrl((unsigned char)errors->data[i]))
			errors->data[i] = '?';
	buf_addc(errors, '\n');
}

void conf_complain(const struct conf *c, const char *key, struct buf *errors, const char *fmt, ...)
{
	const struct origin *o = origin_of(c, conf_key_find(key));
	size_t begin = errors->len;
	va_list ap;

	if (o->env)
		buf_addf(errors, "environment %s: ", o->env);
	else if (o->line)
		buf_addf(errors, "%s:%zu: ", c->origins->file, o->line);
	buf_addf(errors, "%s: ", key);
	va_start(ap, fmt);
	buf_addv(errors, fmt, ap);
	va_end(ap);
	conf_end_line(errors, begin);
}

void conf_add_value(const struct conf *c, const char *key, struct buf *out)
{
	const struct conf_key *k = conf_key_find(key);
	const struct origin *o = origin_of(c, k);

	buf_addf(out, "%s ", key);
	conf_key_format(c, k, out);
	if (o->env)
		buf_addf(out, " (%s in the environment)", o->env);
	else if (o->line)
		buf_addf(out, " (%s:%zu)", c->origins->file, o->line);
	else
		buf_adds(out, " (the default)");
}
