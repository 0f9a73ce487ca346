/* check_config.c — edge-healer check-config: what the start of an agent would say to a configuration
 *
 * The checks are those of the start itself (conf_read(), preflight_check()). With --syntax-only the file is for another
 * machine: neither the environment nor the files of this one are looked at.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/preflight.h"
#include "base/mem.h"
#include "cli/cli.h"

extern char **environ;

static const char verb[] = "check-config";
static const char stdin_name[] = "stdin";

struct order {
	const char *path; /* "-" = stdin; NULL = none */
	bool print, reference, syntax_only;
};

static int usage(const char *what, const char *word)
{
	fprintf(stderr, "edge-healer %s: %s \"%s\". See edge-healer %s --help.\n", verb, what, word, verb);
	return CLI_USAGE;
}

static int unknown_option(const char *word)
{
	static const char *const names[] = {"--print", "--reference", "--syntax-only", "--help"};
	const char *near = strlen(word) > 2 ? str_nearest(word, names, ARRAY_LEN(names)) : NULL;

	fprintf(stderr, "edge-healer %s: unknown option \"%s\".%s%s%s See edge-healer %s --help.\n", verb, word,
		near ? " Did you mean " : "", near ? near : "", near ? "?" : "", verb);
	return CLI_USAGE;
}

static int parse(int argc, char **argv, struct order *o)
{
	bool words_only = false, named = false;

	for (int i = 1; i < argc; i++) {
		if (words_only || argv[i][0] != '-' || str_eq(argv[i], "-")) {
			if (named)
				return usage("one file at a time; unexpected argument", argv[i]);
			o->path = words_only && str_eq(argv[i], "-") ? "./-" : argv[i];
			named = true;
		} else if (str_eq(argv[i], "--")) {
			words_only = true;
		} else if (str_eq(argv[i], "--print")) {
			o->print = true;
		} else if (str_eq(argv[i], "--reference")) {
			o->reference = true;
		} else if (str_eq(argv[i], "--syntax-only")) {
			o->syntax_only = true;
		} else {
			return unknown_option(argv[i]);
		}
	}
	if (named && !*o->path)
		return usage("name a file, - for stdin, instead of", o->path);
	if (o->syntax_only && str_is_empty(o->path))
		return usage("a FILE is needed with", "--syntax-only");
	return CLI_OK;
}

/* 0, or -errno; what is beyond CONF_FILE_MAX is refused by conf_read(). */
static int read_stdin(struct buf *out)
{
	char chunk[16384];
	ssize_t n;

	buf_adds(out, "");
	while (out->len <= CONF_FILE_MAX && (n = read(STDIN_FILENO, chunk, sizeof(chunk))) != 0) {
		if (n > 0)
			buf_add(out, chunk, (size_t)n);
		else if (errno != EINTR)
			return -errno;
	}
	if (strlen(out->data) < out->len) /* no text: as YAML would say */
		out->data[strlen(out->data)] = '\x01';
	return 0;
}

static void show(const struct order *o, const struct conf *c)
{
	cleanup(buf_fini) struct buf text = BUF_INIT;

	if (!o->print) {
		printf("%s: ok%s\n",
		       !o->path               ? "defaults and environment"
		       : str_eq(o->path, "-") ? stdin_name
					      : o->path,
		       o->syntax_only ? " (this file alone; credentials and files were not looked at)" : "");
		return;
	}
	conf_print(c, &text);
	fputs(text.data, stdout);
}

static int check(const struct order *o)
{
	cleanup(buf_fini) struct buf errors = BUF_INIT, here = BUF_INIT, warnings = BUF_INIT, text = BUF_INIT;
	cleanup(conf_freep) struct conf *c = NULL;
	struct conf_source src = {.path = o->path, .alone = o->syntax_only};

	if (str_eq(o->path, "-")) {
		int r = read_stdin(&text);

		if (r < 0) {
			fprintf(stderr, "edge-healer %s: stdin: %s\n", verb, strerror(-r));
			return CLI_FAILED;
		}
		src.path = stdin_name;
		src.text = text.data;
	}
	if (!o->syntax_only)
		src.environ_like = (const char *const *)environ;
	(void)conf_read(&src, &c, &errors, &warnings);
	if (!o->syntax_only)
		preflight_check(c, false, &here);
	fputs(warnings.len ? warnings.data : "", stderr);
	fputs(errors.len ? errors.data : "", stderr);
	fputs(here.len ? here.data : "", stderr);
	if (o->path && (here.len || (!o->syntax_only && str_is_empty(c->node))))
		fprintf(stderr,
			"edge-healer %s: this was checked for an agent on this machine. For another one: "
			"edge-healer %s --syntax-only %s\n",
			verb, verb, o->path);
	if (errors.len || here.len)
		return CLI_FAILED;
	show(o, c);
	return CLI_OK;
}

int cli_check_config(int argc, char **argv)
{
	cleanup(buf_fini) struct buf text = BUF_INIT;
	struct order o = {.path = getenv("EDGE_HEALER_CONFIG")};
	int r = parse(argc, argv, &o);

	if (r || !o.reference)
		return r ? r : check(&o);
	conf_print_reference(&text);
	fputs(text.data, stdout);
	return CLI_OK;
}
