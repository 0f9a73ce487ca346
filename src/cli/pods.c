/* pods.c — edge-healer pods */
#include "base/mem.h"
#include "cli_int.h"

static const char *const heads[] = {"NAMESPACE", "NAME",        "READY", "STATUS",  "NODE",
				    "OFFLINE",   "+REPLICASET", "+UID",  "+COPY OF"};

static void add_pod(struct table *t, const json_object *p)
{
	const char *refusal = json_get_str(p, "offlineRefusal");

	table_add(t, json_get_str(p, "namespace"));
	table_add(t, json_get_str(p, "pod"));
	table_add(t, yes_no(p, "ready"));
	table_add(t, json_get_str(p, "phase"));
	table_add(t, json_get_str(p, "node"));
	if (refusal)
		table_addf(t, "no: %s", refusal);
	else /* only pods of a ReplicaSet are restored */
		table_add(t, json_get_str(p, "copyOf")       ? "copy"
			     : json_get_str(p, "replicaSet") ? "yes"
							     : "no: not of a ReplicaSet");
	table_add(t, json_get_str(p, "replicaSet"));
	table_add(t, json_get_str(p, "uid"));
	table_add(t, json_get_str(p, "copyOf"));
}

static void print(const struct cli_options *o, const json_object *list)
{
	cleanup(table_freep) struct table *t = table_new(heads, ARRAY_LEN(heads), o->form == CLI_WIDE);

	for (size_t i = 0; i < json_len(list); i++)
		add_pod(t, json_at(list, i));
	table_sort(t);
	table_print(t, "pods");
}

int cli_pods(int argc, char **argv)
{
	const char *node = NULL, *ns = NULL;
	const struct cli_flag flags[] = {{"--node", NULL, &node}, {"--namespace", "-n", &ns}};
	struct cli_options o = {.flags = flags, .flag_count = ARRAY_LEN(flags)};
	cleanup(buf_fini) struct buf path = BUF_INIT;
	int r = cli_parse(argc, argv, &o);

	if (r)
		return r;
	buf_adds(&path, "/v1/pods");
	client_query(&path, "node", node);
	client_query(&path, "namespace", ns);
	return client_show(&o, path.data, CLIENT_LIST, print);
}
