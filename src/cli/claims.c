/* claims.c — edge-healer claims */
#include "base/mem.h"
#include "cli_int.h"

static const char *const heads[] = {"NAMESPACE", "POD",       "NODE", "EPOCH", "RANK", "STATE",
				    "COPY",      "LOST NODE", "AGE",  "+FILE", "+UID", "+COPY UID"};

static void add_claim(struct table *t, const json_object *c, struct wall now)
{
	char age[AGE_TEXT_SIZE];

	age_of(c, "at", now, age);
	table_add(t, json_get_str(c, "namespace"));
	table_add(t, json_get_str(c, "pod"));
	table_add(t, json_get_str(c, "node"));
	table_addf(t, "%lld", (long long)json_get_i64(c, "epoch", 0));
	table_addf(t, "%lld", (long long)json_get_i64(c, "rank", 0));
	table_add(t, json_get_str(c, "state"));
	table_add(t, json_get_str(c, "copy"));
	table_add(t, json_get_str(c, "lostNode"));
	table_add(t, age);
	table_add(t, json_get_str(c, "file"));
	table_add(t, json_get_str(c, "uid"));
	table_add(t, json_get_str(c, "copyUid"));
}

static void print(const struct cli_options *o, const json_object *list)
{
	cleanup(table_freep) struct table *t = table_new(heads, ARRAY_LEN(heads), o->form == CLI_WIDE);

	for (size_t i = 0; i < json_len(list); i++)
		add_claim(t, json_at(list, i), wall_read());
	table_sort(t);
	table_print(t, "claims");
}

int cli_claims(int argc, char **argv)
{
	struct cli_options o = {0};
	int r = cli_parse(argc, argv, &o);

	return r ? r : client_show(&o, "/v1/claims", CLIENT_LIST, print);
}
