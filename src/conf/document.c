/* document.c — libyaml's document tree into JSON
 *
 * The tree keeps an alias as a reference: a short file can stand for a very large value, or for itself. Depth and the
 * number of values made are bounded, and what is beyond is refused.
 */
#include "conf/document.h"

#include <errno.h>
#include <yaml.h>

#include "base/mem.h"

struct walk {
	yaml_document_t *doc;
	size_t made;
};

static json_object *scalar(const yaml_node_t *n)
{
	cleanup(json_putp) json_object *holder = json_new_object();
	const char *text = (const char *)n->data.scalar.value;
	bool plain = n->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	int64_t v;

	if (plain && (!*text || str_eq(text, "null") || str_eq(text, "~")))
		return NULL;
	if (plain && (str_eq(text, "true") || str_eq(text, "false")))
		json_set_bool(holder, "v", *text == 't');
	else if (plain && num_parse_i64(text, INT64_MIN, INT64_MAX, &v) == 0)
		json_set_i64(holder, "v", v);
	else
		json_set_str(holder, "v", text);
	return json_ref(json_get_key(holder, "v"));
}

static int value_of(struct walk *w, int id, int depth, json_object **out);

static int mapping(struct walk *w, const yaml_node_t *n, int depth, json_object *out)
{
	int r = 0;

	for (yaml_node_pair_t *p = n->data.mapping.pairs.start; r == 0 && p < n->data.mapping.pairs.top; p++) {
		const yaml_node_t *key = yaml_document_get_node(w->doc, p->key);
		json_object *v = NULL;

		if (key->type != YAML_SCALAR_NODE)
			return -EINVAL;
		r = value_of(w, p->value, depth + 1, &v);
		if (r == 0)
			json_set(out, (const char *)key->data.scalar.value, v);
	}
	return r;
}

static int sequence(struct walk *w, const yaml_node_t *n, int depth, json_object *out)
{
	int r = 0;

	for (yaml_node_item_t *i = n->data.sequence.items.start; r == 0 && i < n->data.sequence.items.top; i++) {
		json_object *v = NULL;

		r = value_of(w, *i, depth + 1, &v);
		if (r == 0)
			json_append(out, v);
	}
	return r;
}

/* Bounded recursion: the depth of what an operator wrote, at most DOCUMENT_DEPTH_MAX. */
static int value_of(struct walk *w, int id, int depth, json_object **out)
{
	const yaml_node_t *n = yaml_document_get_node(w->doc, id);
	cleanup(json_putp) json_object *v = NULL;
	int r = 0;

	if (depth > DOCUMENT_DEPTH_MAX || ++w->made > DOCUMENT_NODES_MAX)
		return -E2BIG;
	switch (n->type) {
	case YAML_MAPPING_NODE:
		v = json_new_object();
		r = mapping(w, n, depth, v);
		break;
	case YAML_SEQUENCE_NODE:
		v = json_new_array();
		r = sequence(w, n, depth, v);
		break;
	default:
		v = scalar(n);
		break;
	}
	if (r == 0)
		*out = take(v);
	return r;
}

/* One document; *out_end at the end of the text. */
static int read_one(yaml_parser_t *parser, json_object *list, struct buf *why, bool *out_end)
{
	yaml_document_t doc;
	struct walk w = { .doc = &doc };
	json_object *v = NULL;
	int r = 0;

	if (!yaml_parser_load(parser, &doc)) {
		buf_addf(why, "line %zu: %s", parser->problem_mark.line + 1, str_or(parser->problem, "no YAML"));
		return -EINVAL;
	}
	*out_end = !yaml_document_get_root_node(&doc);
	if (!*out_end)
		r = value_of(&w, 1, 0, &v);
	yaml_document_delete(&doc);
	if (r < 0) {
		buf_adds(why, r == -E2BIG ? "nested too deeply, or too much of it" : "keys must be text");
		return -EINVAL;
	}
	if (v)
		json_append(list, v);
	return 0;
}

int document_read(const char *text, size_t n, json_object **out_list, struct buf *why)
{
	cleanup(json_putp) json_object *list = json_new_array();
	yaml_parser_t parser;
	bool end = false;
	int r = 0;

	if (!yaml_parser_initialize(&parser))
		return -ENOMEM;
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, n);
	while (r == 0 && !end)
		r = read_one(&parser, list, why, &end);
	yaml_parser_delete(&parser);
	if (r == 0)
		*out_list = take(list);
	return r;
}
