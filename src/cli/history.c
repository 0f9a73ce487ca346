/* history.c — edge-healer history */
#include "base/mem.h"
#include "cli_int.h"

static const char *const heads[] = {"AGE", "EVENT", "NAMESPACE", "POD", "NODE", "DETAIL", "+TIME", "+ID"};

static void print(const struct cli_options *o, const json_object *list)
{
	cleanup(table_freep) struct table *t = table_new(heads, ARRAY_LEN(heads), o->form == CLI_WIDE);

	for (size_t i = 0; i < json_len(list); i++) {
		const json_object *h = json_at(list, i);
		char age[AGE_TEXT_SIZE];

		age_of(h, "at", wall_read(), age);
		table_add(t, age);
		table_add(t, json_get_str(h, "event"));
		table_add(t, json_get_str(h, "namespace"));
		table_add(t, json_get_str(h, "pod"));
		table_add(t, json_get_str(h, "node"));
		table_add(t, json_get_str(h, "detail"));
		table_add(t, json_get_str(h, "at"));
		table_addf(t, "%lld", (long long)json_get_i64(h, "id", 0));
	}
	table_print(t, "history");
}

int cli_history(int argc, char **argv)
{
	const char *limit = NULL;
	const struct cli_flag flags[] = {{"--limit", NULL, &limit}};
	struct cli_options o = {.flags = flags, .flag_count = ARRAY_LEN(flags), .args_max = 1};
	cleanup(buf_fini) struct buf path = BUF_INIT;
	int r = cli_parse(argc, argv, &o);

	if (r)
		return r;
	buf_adds(&path, "/v1/history");
	client_query(&path, "limit", limit);
	client_query(&path, "for", o.arg_count ? o.args[0] : NULL);
	return client_show(&o, path.data, CLIENT_PAGE, print);
}
