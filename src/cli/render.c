/* render.c — edge-healer render: a Pod on stdin, a static pod on stdout */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "node/machine.h"
#include "node/manifest.h"
#include "node/render.h"

enum { IMAGES_MAX = 256 };

struct options {
	const char *node;
	const char *images[IMAGES_MAX];
	size_t image_count;
	struct resources capacity;
	int64_t epoch;
};

static int usage(const char *what)
{
	fprintf(stderr, "edge-healer render: %s. See edge-healer render --help.\n", what);
	return CLI_USAGE;
}

static int set_option(struct options *o, const char *name, const char *value)
{
	if (str_eq(name, "--node"))
		o->node = value;
	else if (str_eq(name, "--image") && o->image_count < IMAGES_MAX)
		o->images[o->image_count++] = value;
	else if (str_eq(name, "--cpu"))
		return quantity_parse_milli(value, &o->capacity.cpu_milli) < 0 ? usage("--cpu: no quantity") : CLI_OK;
	else if (str_eq(name, "--memory"))
		return quantity_parse(value, &o->capacity.mem_bytes) < 0 ? usage("--memory: no quantity") : CLI_OK;
	else if (str_eq(name, "--epoch"))
		return num_parse_i64(value, 1, UINT32_MAX, &o->epoch) < 0 ? usage("--epoch: no number") : CLI_OK;
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

		if (n >= sizeof(name) || (!joined && i + 1 == argc))
			return usage(i + 1 == argc ? "an option without its value" : "unknown option");
		memcpy(name, argv[i], n);
		name[n] = '\0';
		r = set_option(o, name, joined ? argv[i] + n + 1 : argv[i + 1]);
		if (r)
			return r;
		i += !joined;
	}
	return o->node ? CLI_OK : usage("--node is required: the name of the node it will run on");
}

static int read_stdin(struct buf *out)
{
	char chunk[16384];
	ssize_t n;

	while ((n = read(STDIN_FILENO, chunk, sizeof(chunk))) > 0 || (n < 0 && errno == EINTR))
		if (n > 0 && buf_try_add(out, chunk, (size_t)n, MANIFEST_MAX) < 0)
			return -E2BIG;
	return 0;
}

int cli_render(int argc, char **argv)
{
	struct options o = { .capacity = machine_capacity(), .epoch = 1 };
	cleanup(json_putp) json_object *pod = NULL, *out = NULL;
	cleanup(buf_fini) struct buf text = BUF_INIT;
	struct render_params params;
	char reason[REASON_SIZE];
	int r = parse(argc, argv, &o);

	if (r)
		return r;
	if (read_stdin(&text) < 0 || json_parse(text.data ? text.data : "", text.len, &pod) < 0) {
		fprintf(stderr, "edge-healer render: stdin is not one JSON object of at most %d bytes\n", MANIFEST_MAX);
		return CLI_FAILED;
	}
	params = (struct render_params){ .node = o.node, .epoch = (uint32_t)o.epoch, .capacity = &o.capacity,
					 .images = o.image_count ? o.images : NULL, .image_count = o.image_count };
	if (render_static_pod(pod, &params, &out, reason) != 0) {
		fprintf(stderr, "%s\n", reason);
		return CLI_REFUSED;
	}
	printf("%s\n", json_text_pretty(out));
	return CLI_OK;
}
