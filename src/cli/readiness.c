/* readiness.c — edge-healer readiness */
#include "base/mem.h"
#include "cli_int.h"

static const char *const heads[] = {"NAMESPACE", "REPLICASET", "READY", "REASON", "+DEPLOYMENT", "+REPLICAS", "+SINCE", "+UID"};

static void add_workload(struct table *t, const json_object *w, struct wall now)
{
	char since[AGE_TEXT_SIZE];

	age_of(w, "since", now, since);
	table_add(t, json_get_str(w, "namespace"));
	table_add(t, json_get_str(w, "workload"));
	table_add(t, yes_no(w, "ready"));
	table_add(t, json_get_str(w, "reason"));
	table_add(t, json_get_str(w, "deployment"));
	table_addf(t, "%lld", (long long)json_get_i64(w, "replicas", 0));
	table_add(t, since);
	table_add(t, json_get_str(w, "uid"));
}

static void print(const struct cli_options *o, const json_object *list)
{
	cleanup(table_freep) struct table *t = table_new(heads, ARRAY_LEN(heads), o->form == CLI_WIDE);

	for (size_t i = 0; i < json_len(list); i++)
		add_workload(t, json_at(list, i), wall_read());
	table_sort(t);
	table_print(t, "workloads");
}

int cli_readiness(int argc, char **argv)
{
	const char *ns = NULL;
	const struct cli_flag flags[] = {{"--namespace", "-n", &ns}};
	struct cli_options o = {.flags = flags, .flag_count = ARRAY_LEN(flags)};
	cleanup(buf_fini) struct buf path = BUF_INIT;
	int r = cli_parse(argc, argv, &o);

	if (r)
		return r;
	buf_adds(&path, "/v1/readiness");
	client_query(&path, "namespace", ns);
	return client_show(&o, path.data, CLIENT_LIST, print);
}
