/* members.c — edge-healer members */
#include "base/mem.h"
#include "cli_int.h"

static const char *const heads[] = {"NODE", "STATUS", "SITE", "API",   "BIDS",
				    "CPU",  "MEMORY", "PODS", "SINCE", "+ADDRESS"};

/* As kubectl has it: Ready,SchedulingDisabled. */
static void add_status(struct table *t, const json_object *m)
{
	const char *status = json_get_str(m, "status"), *standing = json_get_str(m, "standing");
	const char *more = standing && !str_eq(standing, "member") ? standing : json_get_bool(m, "left", false) ? "left" : NULL;

	if (more && !str_eq(more, status))
		table_addf(t, "%s,%s", status, more);
	else
		table_add(t, status);
}

static void add_member(struct table *t, const json_object *m, struct wall now)
{
	bool capacity = json_get(m, "cpuMilli") != NULL;
	char since[AGE_TEXT_SIZE];

	age_of(m, "since", now, since);
	table_add(t, json_get_str(m, "node"));
	add_status(t, m);
	table_add(t, json_get_str(m, "site"));
	table_add(t, yes_no(m, "api"));
	table_add(t, yes_no(m, "canBid"));
	if (capacity) {
		table_addf(t, "%lldm", (long long)json_get_i64(m, "cpuMilli", 0));
		table_addf(t, "%lldMi", (long long)json_get_i64(m, "memoryMiB", 0));
		table_addf(t, "%lld", (long long)json_get_i64(m, "pods", 0));
	} else {
		for (int i = 0; i < 3; i++)
			table_add(t, NULL);
	}
	table_add(t, since);
	table_add(t, json_get_str(m, "address"));
}

static void print(const struct cli_options *o, const json_object *list)
{
	cleanup(table_freep) struct table *t = table_new(heads, ARRAY_LEN(heads), o->form == CLI_WIDE);

	for (size_t i = 0; i < json_len(list); i++)
		add_member(t, json_at(list, i), wall_read());
	table_sort(t);
	table_print(t, "members");
}

int cli_members(int argc, char **argv)
{
	struct cli_options o = {0};
	int r = cli_parse(argc, argv, &o);

	return r ? r : client_show(&o, "/v1/members", CLIENT_LIST, print);
}
