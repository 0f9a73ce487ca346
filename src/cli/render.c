/* render.c — edge-healer render: a Pod from a file or stdin, a static pod on stdout
 *
 * The input is checked strictly: what would be read otherwise than it looks is refused with its line. Exit code 1: it
 * cannot be read; 3: it can, but is no Pod, or one that cannot be rendered.
 *
 * With --objects the ConfigMaps and Secrets of a file are what the API server has: the pod's values come from there, what is not
 * in it is missing. The files that a copy would get are listed on stderr, without their contents.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/json_check.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "conf/document.h"
#include "model/node.h"
#include "node/bundle.h"
#include "node/machine.h"
#include "node/manifest.h"
#include "node/render.h"

#define BUNDLE_DIR_DEFAULT "/var/lib/edge-healer/bundles"

enum { IMAGES_MAX = 256, OBJECTS_FILE_MAX = 64 * 1024 * 1024 };

struct options {
	const char *file;		/* NULL = stdin */
	const char *node, *objects, *bundle_dir, *cluster_domain;
	const char *images[IMAGES_MAX];
	size_t image_count;
	struct resources capacity;
	int64_t epoch;
	int32_t kubelet;
};

static int usage(const char *what)
{
	fprintf(stderr, "edge-healer render: %s. See edge-healer render --help.\n", what);
	return CLI_USAGE;
}

static int set_quantity(const char *name, const char *value, int (*parse)(const char *, int64_t *), int64_t *out)
{
	int64_t v;

	if (parse(value, &v) < 0 || v < 0) {
		fprintf(stderr, "edge-healer render: %s: invalid quantity \"%.40s\". See edge-healer render --help.\n",
			name, value);
		return CLI_USAGE;
	}
	*out = v;
	return CLI_OK;
}

static int set_option(struct options *o, const char *name, const char *value)
{
	if (str_eq(name, "--node"))
		o->node = value;
	else if (str_eq(name, "--image") && o->image_count < IMAGES_MAX)
		o->images[o->image_count++] = value;
	else if (str_eq(name, "--objects"))
		o->objects = value;
	else if (str_eq(name, "--bundle-dir"))
		o->bundle_dir = value;
	else if (str_eq(name, "--cluster-domain"))
		o->cluster_domain = value;
	else if (str_eq(name, "--cpu"))
		return set_quantity(name, value, quantity_parse_milli, &o->capacity.cpu_milli);
	else if (str_eq(name, "--memory"))
		return set_quantity(name, value, quantity_parse, &o->capacity.mem_bytes);
	else if (str_eq(name, "--epoch"))
		return num_parse_i64(value, 1, UINT32_MAX, &o->epoch) < 0 ? usage("--epoch: no number") : CLI_OK;
	else if (str_eq(name, "--kubelet-version"))
		return (o->kubelet = kubelet_version(value)) ? CLI_OK : usage("--kubelet-version: write v1.36.2");
	else
		return usage("unknown option");
	return CLI_OK;
}

static int parse(int argc, char **argv, struct options *o)
{
	for (int i = 1; i < argc; i++) {
		char name[32];
		size_t n = strcspn(argv[i], "=");
		bool joined = argv[i][n] == '=';
		int r;

		if (argv[i][0] != '-' || str_eq(argv[i], "-")) {
			if (o->file)
				return usage("more than one FILE");
			o->file = argv[i];
			continue;
		}
		if (n >= sizeof(name) || (!joined && i + 1 == argc))
			return usage(i + 1 == argc ? "an option without its value" : "unknown option");
		memcpy(name, argv[i], n);
		name[n] = '\0';
		r = set_option(o, name, joined ? argv[i] + n + 1 : argv[i + 1]);
		if (r)
			return r;
		i += !joined;
	}
	o->file = str_eq(o->file, "-") ? NULL : o->file;
	return o->node ? CLI_OK : usage("--node is required: the name of the node it will run on");
}

/* ---- the pod ---- */

static int read_stdin(struct buf *out)
{
	char chunk[16384];
	ssize_t n;

	while ((n = read(STDIN_FILENO, chunk, sizeof(chunk))) > 0 || (n < 0 && errno == EINTR))
		if (n > 0 && buf_try_add(out, chunk, (size_t)n, MANIFEST_MAX) < 0)
			return -E2BIG;
	return n < 0 ? -errno : 0;
}

/* Does it look like YAML? Behind comments, with which JSON may begin, too: a mark of YAML, or a key without quotes. */
static bool is_yaml(const char *text)
{
	const char *p = text;

	while (*p && (strchr(" \t\r\n", *p) || *p == '#'))
		p += *p == '#' ? strcspn(p, "\n") : 1;
	if (str_has_prefix(p, "---") || str_has_prefix(p, "%YAML") || str_has_prefix(p, "- "))
		return true;
	p += strspn(p, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_");
	return p > text && *p == ':' && strchr(" \r\n", p[1]);
}

static int read_pod(const char *name, const struct buf *text, json_object **out_pod)
{
	cleanup(buf_fini) struct buf why = BUF_INIT;
	const char *data = str_or(text->data, "");

	if (is_yaml(data)) {
		buf_adds(&why, "is YAML: give it as JSON (kubectl create --dry-run=client -o json -f FILE)");
	} else if (json_check(data, text->len, &why) == 0) {
		if (json_parse(data, text->len, out_pod) == 0)
			return CLI_OK;
		buf_adds(&why, "cannot be read as JSON");
	} else if (str_has_suffix(why.data, "is empty")) {
		buf_adds(&why, ": give one Pod as JSON (kubectl get pod NAME -o json)");
	}
	fprintf(stderr, "edge-healer render: %s: %s\n", name, why.data);
	return CLI_FAILED;
}

/* What has pods inside it is no Pod: say where to take one. */
static int check_kind(const json_object *pod)
{
	static const char *const makers[] = { "Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "Job", "CronJob",
					      "ReplicationController", "PodTemplate" };
	const char *kind = json_get_str(pod, "kind");

	if (json_is_array(pod) || (kind && str_has_suffix(kind, "List"))) {
		fprintf(stderr, "kind: %s is not a Pod: give one item of it\n", kind ? kind : "a list");
		return CLI_REFUSED;
	}
	for (size_t i = 0; i < ARRAY_LEN(makers); i++) {
		if (str_eq(kind, makers[i])) {
			fprintf(stderr, "kind: %s is not a Pod: give one of its pods (kubectl get pod NAME -o json)\n",
				kind);
			return CLI_REFUSED;
		}
	}
	return CLI_OK;
}

static int read_input(const char *file, json_object **out_pod)
{
	cleanup(buf_wipe) struct buf text = BUF_INIT;
	int r = file ? file_read(file, MANIFEST_MAX, &text) : read_stdin(&text);

	file = file ? file : "stdin";
	if (r == -E2BIG)
		fprintf(stderr, "edge-healer render: %s: has more than %d bytes, which kubelet does not read\n", file,
			MANIFEST_MAX);
	else if (r < 0)
		fprintf(stderr, "edge-healer render: %s: %s\n", file, strerror(-r));
	if (r < 0)
		return CLI_FAILED;
	r = read_pod(file, &text, out_pod);
	return r ? r : check_kind(*out_pod);
}

/* ---- objects from a file ---- */

static bool is_object(const json_object *o, const struct ref *r)
{
	return str_eq(json_get_str(o, "kind"), ref_kind_name(r->kind)) && str_eq(json_get_str(o, "metadata.name"), r->name) &&
	       str_eq(str_or(json_get_str(o, "metadata.namespace"), r->ns), r->ns);
}

/* The documents, and the items of those that are lists. */
static enum render_lookup lookup(void *arg, const struct ref *r, const json_object **out_object, const char **out_why)
{
	const json_object *docs = arg;

	(void)out_why;
	for (size_t i = 0; i < json_len(docs); i++) {
		const json_object *doc = json_at(docs, i), *items = json_is_array(doc) ? doc : json_get(doc, "items");

		if (is_object(doc, r)) {
			*out_object = doc;
			return LOOKUP_FOUND;
		}
		for (size_t k = 0; k < json_len(items); k++)
			if (is_object(json_at(items, k), r)) {
				*out_object = json_at(items, k);
				return LOOKUP_FOUND;
			}
	}
	return LOOKUP_MISSING;
}

static int read_objects(const char *path, json_object **out_docs)
{
	cleanup(buf_wipe) struct buf text = BUF_INIT;
	cleanup(buf_fini) struct buf why = BUF_INIT;
	int r = file_read(path, OBJECTS_FILE_MAX, &text);

	if (r < 0) {
		fprintf(stderr, "edge-healer render: --objects %s: %s\n", path, strerror(-r));
		return CLI_FAILED;
	}
	if (document_read(text.data ? text.data : "", text.len, out_docs, &why) < 0) {
		fprintf(stderr, "edge-healer render: --objects %s: %s\n", path, str_or(why.data, "cannot be read"));
		return CLI_FAILED;
	}
	return CLI_OK;
}

static void list_files(const struct bundle *b)
{
	for (size_t i = 0; i < b->count; i++)
		fprintf(stderr, "%04o %8zu %s%s\n", (unsigned)b->items[i].mode, b->items[i].len, b->items[i].path,
			b->items[i].is_dir ? "/" : "");
}

/* Only what the API server has stored is what it admitted. */
static void note_admission(const json_object *pod)
{
	if (!json_get(pod, "metadata.resourceVersion"))
		fprintf(stderr, "edge-healer render: this is rendered as it is given; the cluster may admit something "
			"else (defaults, webhooks, limits, sidecars)\n");
}

/* For people with spaces, unless kubelet could not read that. */
static void print_pod(const json_object *pod)
{
	const char *text = json_text_pretty(pod);

	printf("%s\n", strlen(text) < MANIFEST_MAX ? text : json_text(pod));
}

static void note_account(const json_object *pod)
{
	const char *account = render_own_account(json_get_key(pod, "metadata"), json_get_key(pod, "spec"));

	if (account)
		fprintf(stderr,
			"edge-healer render: spec.serviceAccountName: a token of %s is mounted, a copy has none "
			"(needs-token, heal.own_service_account)\n", account);
}

static int render(const struct options *o, const json_object *pod)
{
	cleanup(json_wipe_putp) json_object *docs = NULL, *out = NULL;
	cleanup(bundle_fini) struct bundle bundle = { 0 };
	struct render_params params = { .node = o->node, .epoch = (uint32_t)o->epoch, .capacity = &o->capacity,
					.images = o->image_count ? o->images : NULL, .image_count = o->image_count,
					.bundle_dir = str_or(o->bundle_dir, BUNDLE_DIR_DEFAULT), .bundle = &bundle,
					.cluster_domain = o->cluster_domain,
					.relaxed_env = o->kubelet >= KUBELET_VERSION(1, 34) };
	char reason[REASON_SIZE];
	int r = o->objects ? read_objects(o->objects, &docs) : CLI_OK;

	if (r)
		return r;
	note_admission(pod);
	note_account(pod);
	params.lookup = docs ? lookup : NULL;
	params.lookup_arg = docs;
	if (render_static_pod(pod, &params, &out, reason) != 0) {
		fprintf(stderr, "%s\n", reason);
		return CLI_REFUSED;
	}
	print_pod(out);
	list_files(&bundle);
	return CLI_OK;
}

int cli_render(int argc, char **argv)
{
	struct options o = { .capacity = machine_capacity(), .epoch = 1 };
	cleanup(json_putp) json_object *pod = NULL;
	int r = parse(argc, argv, &o);

	r = r ? r : read_input(o.file, &pod);
	return r ? r : render(&o, pod);
}
