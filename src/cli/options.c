/* options.c — options of the client verbs */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "cli_int.h"

static int usage(const struct cli_options *o, const char *what, const char *word)
{
	fprintf(stderr, "edge-healer %s: %s \"%s\". See edge-healer %s --help.\n", o->verb, what, word, o->verb);
	return CLI_USAGE;
}

static int unknown_option(const struct cli_options *o, const char *word)
{
	const char *names[32] = {"--server", "--token-file", "--output", "--help"};
	size_t n = 4;
	cleanup(freep) char *name = str_ndup(word, strcspn(word, "="));
	const char *near;

	if (o->can_watch)
		names[n++] = "--watch";
	for (size_t i = 0; i < o->flag_count && n < ARRAY_LEN(names); i++)
		names[n++] = o->flags[i].name;
	near = strlen(name) > 2 ? str_nearest(name, names, n) : NULL;
	fprintf(stderr, "edge-healer %s: unknown option \"%s\".%s%s%s See edge-healer %s --help.\n", o->verb, name,
		near ? " Did you mean " : "", near ? near : "", near ? "?" : "", o->verb);
	return CLI_USAGE;
}

/* Where the value of option `name` (n bytes) goes; NULL = no such option. */
static const char **value_of(struct cli_options *o, const char *name, size_t n)
{
	const struct cli_flag common[] = {
	    {"--server", "-s", &o->server}, {"--output", "-o", &o->output}, {"--token-file", NULL, &o->token_file}};

	for (size_t i = 0; i < ARRAY_LEN(common) + o->flag_count; i++) {
		const struct cli_flag *f = i < ARRAY_LEN(common) ? &common[i] : &o->flags[i - ARRAY_LEN(common)];

		if ((strlen(f->name) == n && strncmp(f->name, name, n) == 0) ||
		    (f->alias && strlen(f->alias) == n && strncmp(f->alias, name, n) == 0))
			return f->value;
	}
	return NULL;
}

static int set_form(struct cli_options *o)
{
	static const char *const forms[] = {[CLI_TABLE] = "table", [CLI_WIDE] = "wide", [CLI_JSON] = "json"};

	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		if (str_eq(o->output, forms[i])) {
			o->form = (enum cli_form)i;
			return CLI_OK;
		}
	}
	return usage(o, "--output: write table, wide or json instead of", o->output);
}

static int set_defaults(struct cli_options *o)
{
	const char *env = getenv(CLI_SERVER_ENV);

	if (str_is_empty(o->server))
		o->server = str_is_empty(env) ? NULL : env;
	if (o->server && strstr(o->server, "://") && !str_has_prefix(o->server, "http://") &&
	    !str_has_prefix(o->server, "https://"))
		return usage(o, "--server: write http://HOST:PORT instead of", o->server);
	return o->output ? set_form(o) : CLI_OK;
}

int cli_parse(int argc, char **argv, struct cli_options *o)
{
	bool words_only = false;

	o->verb = argv[0];
	o->args = argv + 1;
	for (int i = 1; i < argc; i++) {
		size_t n = strcspn(argv[i], "=");
		const char **value;

		if (words_only || argv[i][0] != '-') {
			if (o->arg_count == o->args_max)
				return usage(o, "unexpected argument", argv[i]);
			o->args[o->arg_count++] = argv[i];
			continue;
		}
		if (str_eq(argv[i], "--")) {
			words_only = true;
			continue;
		}
		if (o->can_watch && (str_eq(argv[i], "--watch") || str_eq(argv[i], "-w"))) {
			o->watch = true;
			continue;
		}
		value = value_of(o, argv[i], n);
		if (!value)
			return unknown_option(o, argv[i]);
		if (argv[i][n] == '=')
			*value = argv[i] + n + 1;
		else if (i + 1 < argc)
			*value = argv[++i];
		else
			return usage(o, "a value is missing behind", argv[i]);
	}
	return set_defaults(o);
}
