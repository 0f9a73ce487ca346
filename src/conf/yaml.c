/* yaml.c — a YAML file into keys, with the line of every complaint
 *
 * libyaml builds the document; we walk it with an explicit path instead of recursion: two levels (section, key) are all that
 * there is, a deeper mapping is an unknown key.
 */
#include <stdio.h>
#include <yaml.h>

#include "base/mem.h"
#include "conf_int.h"

struct walk {
	struct conf *c;
	yaml_document_t *doc;
	const char *file;
	struct buf *errors, *warnings;
};

static void complain(const struct walk *w, const yaml_node_t *at, const char *path, const char *what)
{
	buf_addf(w->errors, "%s:%zu: %s: %s\n", w->file, at->start_mark.line + 1, path, what);
}

static void unknown_key(const struct walk *w, const yaml_node_t *at, const char *path)
{
	cleanup(buf_fini) struct buf what = BUF_INIT;
	const char *names[128];
	const char *near;
	size_t n = 0;

	for (; n < conf_key_count && n < ARRAY_LEN(names); n++)
		names[n] = conf_keys[n].path;
	near = str_nearest(path, names, n);
	buf_adds(&what, "unknown key");
	if (near)
		buf_addf(&what, "; did you mean %s?", near);
	complain(w, at, path, what.data);
}

static bool is_section(const char *name)
{
	size_t n = strlen(name);

	for (size_t i = 0; i < conf_key_count; i++)
		if (strncmp(conf_keys[i].path, name, n) == 0 && conf_keys[i].path[n] == '.')
			return true;
	return false;
}

static void set_sequence(const struct walk *w, const struct conf_key *k, const yaml_node_t *seq)
{
	conf_key_clear(w->c, k);
	for (yaml_node_item_t *i = seq->data.sequence.items.start; i < seq->data.sequence.items.top; i++) {
		const yaml_node_t *item = yaml_document_get_node(w->doc, *i);
		cleanup(buf_fini) struct buf why = BUF_INIT;

		if (item->type != YAML_SCALAR_NODE)
			complain(w, item, k->path, "items must be text");
		else if (conf_key_add(w->c, k, (const char *)item->data.scalar.value, &why) < 0)
			complain(w, item, k->path, why.data);
	}
}

static void set_leaf(const struct walk *w, const char *path, const yaml_node_t *key, const yaml_node_t *value)
{
	const struct conf_key *k = conf_key_find(path);
	cleanup(buf_fini) struct buf why = BUF_INIT;

	if (!k) {
		unknown_key(w, key, path);
		return;
	}
	if (value->type == YAML_SEQUENCE_NODE && k->type == CONF_LIST)
		set_sequence(w, k, value);
	else if (value->type != YAML_SCALAR_NODE)
		complain(w, value, path, k->type == CONF_LIST ? "must be a list" : "must be one value");
	else if (conf_key_set(w->c, k, (const char *)value->data.scalar.value, &why) < 0)
		complain(w, value, path, why.data);
	if (k->pending)
		buf_addf(w->warnings, "%s:%zu: %s: accepted, but has no effect in this version\n", w->file,
			 key->start_mark.line + 1, path);
}

/* "heal:" with all its keys commented out. */
static bool is_empty_section(const yaml_node_t *value, const char *path)
{
	return value->type == YAML_SCALAR_NODE && value->data.scalar.length == 0 && is_section(path);
}

static void walk_mapping(const struct walk *w, const yaml_node_t *map, const char *prefix)
{
	for (yaml_node_pair_t *p = map->data.mapping.pairs.start; p < map->data.mapping.pairs.top; p++) {
		const yaml_node_t *key = yaml_document_get_node(w->doc, p->key);
		const yaml_node_t *value = yaml_document_get_node(w->doc, p->value);
		cleanup(freep) char *path = NULL;

		if (key->type != YAML_SCALAR_NODE) {
			complain(w, key, *prefix ? prefix : "(top)", "keys must be text");
			continue;
		}
		path = str_format("%s%s%s", prefix, *prefix ? "." : "", (const char *)key->data.scalar.value);
		if (!*prefix && value->type == YAML_MAPPING_NODE && is_section(path))
			walk_mapping(w, value, path);
		else if (*prefix || !is_empty_section(value, path))
			set_leaf(w, path, key, value);
	}
}

static void read_document(struct walk *w, yaml_document_t *doc)
{
	const yaml_node_t *root = yaml_document_get_root_node(doc);

	w->doc = doc;
	if (!root || (root->type == YAML_SCALAR_NODE && root->data.scalar.length == 0))
		return;			/* an empty file is all defaults */
	if (root->type != YAML_MAPPING_NODE)
		complain(w, root, "(top)", "must be a mapping of keys to values");
	else
		walk_mapping(w, root, "");
}

void conf_yaml_read(struct conf *c, const char *path, const char *text, size_t n, struct buf *errors, struct buf *warnings)
{
	struct walk w = { .c = c, .file = path, .errors = errors, .warnings = warnings };
	yaml_parser_t parser;
	yaml_document_t doc;

	if (!yaml_parser_initialize(&parser))
		return;
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, n);
	if (!yaml_parser_load(&parser, &doc)) {
		buf_addf(errors, "%s:%zu: not YAML: %s\n", path, parser.problem_mark.line + 1, str_or(parser.problem, "?"));
	} else {
		read_document(&w, &doc);
		yaml_document_delete(&doc);
	}
	yaml_parser_delete(&parser);
}
