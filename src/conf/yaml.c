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
	size_t *lines;			/* one a key: where it was set first; 0 = not yet */
	size_t *sections;		/* the same for the section that begins with this key */
};

static void complain(const struct walk *w, const yaml_node_t *at, const char *path, const char *what)
{
	size_t begin = w->errors->len;

	buf_addf(w->errors, "%s:%zu: %s: %s", w->file, at->start_mark.line + 1, path, what);
	conf_end_line(w->errors, begin);
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

/* The first key of this section; NULL = no section has this name. */
static const struct conf_key *section_find(const char *name)
{
	size_t n = strlen(name);

	for (size_t i = 0; i < conf_key_count; i++)
		if (strncmp(conf_keys[i].path, name, n) == 0 && conf_keys[i].path[n] == '.')
			return &conf_keys[i];
	return NULL;
}

/* False, and told, when `first` has a line already: YAML readers differ in which of two counts. */
static bool note_first(const struct walk *w, size_t *first, const yaml_node_t *at, const char *path, const char *what)
{
	if (*first) {
		buf_addf(w->errors, "%s:%zu: %s: %s, the first is in line %zu: keep one of them\n", w->file,
			 at->start_mark.line + 1, path, what, *first);
		return false;
	}
	*first = at->start_mark.line + 1;
	return true;
}

/* What C would cut off, or YAML readers take for "nothing is given". */
static const char *scalar_fault(const yaml_node_t *n)
{
	static const char *const nulls[] = { "null", "Null", "NULL", "~" };
	const char *text = (const char *)n->data.scalar.value;

	if (strlen(text) != n->data.scalar.length)
		return "the value contains a NUL: take it out";
	for (size_t i = 0; n->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && i < ARRAY_LEN(nulls); i++)
		if (str_eq(text, nulls[i]))
			return "the value is null: write one, or leave the key out for the default";
	return NULL;
}

/* A refused value, at its line. */
static void refuse(const struct walk *w, const yaml_node_t *at, const struct conf_key *k, const char *what)
{
	complain(w, at, k->path, what);
	conf_mark_bad(w->c, k);
}

static void set_sequence(const struct walk *w, const struct conf_key *k, const yaml_node_t *seq)
{
	conf_key_clear(w->c, k);
	for (yaml_node_item_t *i = seq->data.sequence.items.start; i < seq->data.sequence.items.top; i++) {
		const yaml_node_t *item = yaml_document_get_node(w->doc, *i);
		cleanup(buf_fini) struct buf why = BUF_INIT;

		if (item->type != YAML_SCALAR_NODE)
			refuse(w, item, k, "items must be text");
		else if (scalar_fault(item))
			refuse(w, item, k, scalar_fault(item));
		else if (conf_key_add(w->c, k, (const char *)item->data.scalar.value, &why) < 0)
			refuse(w, item, k, why.data);
	}
}

static void set_scalar(const struct walk *w, const struct conf_key *k, const yaml_node_t *value)
{
	cleanup(buf_fini) struct buf why = BUF_INIT;

	if (scalar_fault(value))
		refuse(w, value, k, scalar_fault(value));
	else if (conf_key_set(w->c, k, (const char *)value->data.scalar.value, &why) < 0)
		refuse(w, value, k, why.data);
}

static void set_leaf(const struct walk *w, const char *path, const yaml_node_t *key, const yaml_node_t *value)
{
	const struct conf_key *k = conf_key_find(path);

	if (!k) {
		unknown_key(w, key, path);
		return;
	}
	if (!note_first(w, &w->lines[k - conf_keys], key, path, "set a second time"))
		return;
	conf_set_line(w->c, k, key->start_mark.line + 1);
	if (value->type == YAML_SEQUENCE_NODE && k->type == CONF_LIST)
		set_sequence(w, k, value);
	else if (value->type != YAML_SCALAR_NODE)
		refuse(w, value, k, k->type == CONF_LIST ? "must be a list" : "must be one value");
	else
		set_scalar(w, k, value);
	if (k->pending)
		buf_addf(w->warnings, "%s:%zu: %s: accepted, but has no effect in this version\n", w->file,
			 key->start_mark.line + 1, path);
}

/* "heal:" with all its keys commented out. */
static bool is_empty_section(const yaml_node_t *value, const char *path)
{
	return value->type == YAML_SCALAR_NODE && value->data.scalar.length == 0 && section_find(path);
}

static void walk_mapping(const struct walk *w, const yaml_node_t *map, const char *prefix);

/* False when the key is no section, or one that is empty. */
static bool walk_section(const struct walk *w, const char *name, const yaml_node_t *key, const yaml_node_t *value)
{
	const struct conf_key *first = section_find(name);

	if (!first || (value->type != YAML_MAPPING_NODE && !is_empty_section(value, name)))
		return false;
	(void)note_first(w, &w->sections[first - conf_keys], key, name, "a second block of this name");
	if (value->type == YAML_MAPPING_NODE)
		walk_mapping(w, value, name);
	return true;
}

static void walk_mapping(const struct walk *w, const yaml_node_t *map, const char *prefix)
{
	for (yaml_node_pair_t *p = map->data.mapping.pairs.start; p < map->data.mapping.pairs.top; p++) {
		const yaml_node_t *key = yaml_document_get_node(w->doc, p->key);
		const yaml_node_t *value = yaml_document_get_node(w->doc, p->value);
		cleanup(freep) char *path = NULL;

		if (key->type != YAML_SCALAR_NODE ||
		    strlen((const char *)key->data.scalar.value) != key->data.scalar.length) {
			complain(w, key, *prefix ? prefix : "(top)", "keys must be text");
			continue;
		}
		path = str_format("%s%s%s", prefix, *prefix ? "." : "", (const char *)key->data.scalar.value);
		if (*prefix || !walk_section(w, path, key, value))
			set_leaf(w, path, key, value);
	}
}

static bool is_empty_document(const yaml_node_t *root)
{
	return !root || (root->type == YAML_SCALAR_NODE && root->data.scalar.length == 0);
}

static void read_document(struct walk *w, yaml_document_t *doc)
{
	const yaml_node_t *root = yaml_document_get_root_node(doc);

	w->doc = doc;
	if (is_empty_document(root))
		return;			/* an empty file is all defaults */
	if (root->type != YAML_MAPPING_NODE)
		complain(w, root, "(top)", "must be a mapping of keys to values");
	else
		walk_mapping(w, root, "");
}

/* All that is behind the first document. */
static bool read_next(struct walk *w, yaml_parser_t *parser, size_t number)
{
	yaml_document_t doc;
	const yaml_node_t *root;
	bool more;

	if (!yaml_parser_load(parser, &doc)) {
		buf_addf(w->errors, "%s:%zu: not YAML: %s\n", w->file, parser->problem_mark.line + 1,
			 str_or(parser->problem, "?"));
		return false;
	}
	root = yaml_document_get_root_node(&doc);
	more = root != NULL;
	if (number == 0)
		read_document(w, &doc);
	else if (!is_empty_document(root))
		complain(w, root, "(top)",
			 "a second document begins here, and one is read only: make it one, without ---");
	more = more && (number == 0 || is_empty_document(root));	/* once is enough */
	yaml_document_delete(&doc);
	w->doc = NULL;
	return more;
}

void conf_yaml_read(struct conf *c, const char *path, const char *text, size_t n, struct buf *errors, struct buf *warnings)
{
	cleanup(freep) void *lines = mem_new_n(size_t, conf_key_count), *sections = mem_new_n(size_t, conf_key_count);
	struct walk w = {
	    .c = c, .file = path, .errors = errors, .warnings = warnings, .lines = lines, .sections = sections};
	yaml_parser_t parser;

	if (!yaml_parser_initialize(&parser))
		return;
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, n);
	for (size_t i = 0; read_next(&w, &parser, i); i++)
		continue;
	yaml_parser_delete(&parser);
}
