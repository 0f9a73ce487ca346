/* status.c — edge-healer status: the page of a technician without kubectl */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli_int.h"

#define CLEAR_HOME "\033[H" /* cursor to the top left */
#define CLEAR_LINE "\033[K" /* rest of the line */
#define CLEAR_BELOW "\033[J"

enum paint { PLAIN, GOOD = 32, BAD = 31, DOUBTFUL = 33 };

struct page {
	struct buf *out;
	bool color;
	struct wall now;
};

static void add_painted(const struct page *p, enum paint paint, const char *text)
{
	if (p->color && paint != PLAIN)
		buf_addf(p->out, "\033[%dm", (int)paint);
	add_clean(p->out, text);
	if (p->color && paint != PLAIN)
		buf_adds(p->out, "\033[0m");
}

static void add_label(const struct page *p, const char *label)
{
	buf_addf(p->out, "%-11s ", label);
}

static void add_line(const struct page *p, const char *label, enum paint paint, const char *text)
{
	add_label(p, label);
	add_painted(p, paint, str_or(text, "<none>"));
	buf_addc(p->out, '\n');
}

static void add_head(const struct page *p, const json_object *s)
{
	bool observe = str_eq(json_get_str(s, "mode"), "observe");
	char up[AGE_TEXT_SIZE];

	age_of(s, "started", p->now, up);
	add_line(p, "Node:", PLAIN, json_get_str(s, "node"));
	if (str_eq(json_get_str(s, "role"), "standby"))
		add_line(p, "Role:", DOUBTFUL, "standby: the DaemonSet's pod is not there");
	add_label(p, "Version:");
	add_clean(p->out, str_or(json_get_str(s, "version"), "<none>"));
	buf_addf(p->out, "%s%s\n", *up ? ", up " : "", up);
	add_line(p, "Mode:", observe ? DOUBTFUL : PLAIN,
		 observe ? "observe (reports everything, does nothing)" : json_get_str(s, "mode"));
}

static void add_link(const struct page *p, const json_object *s)
{
	const char *state = str_or(json_get_str(s, "link.state"), "<none>"), *reason = json_get_str(s, "link.reason");
	const char *server = json_get_str(s, "link.server");
	char since[AGE_TEXT_SIZE];

	age_of(s, "link.since", p->now, since);
	add_label(p, "Link:");
	add_painted(p, str_eq(state, "online") ? GOOD : DOUBTFUL, state);
	buf_addf(p->out, "%s%s", *since ? " for " : "", since);
	if (!str_is_empty(reason)) {
		buf_adds(p->out, ": ");
		add_clean(p->out, reason);
	}
	if (!str_is_empty(server)) {
		buf_adds(p->out, " (");
		add_clean(p->out, server);
		buf_addc(p->out, ')');
	}
	buf_addc(p->out, '\n');
}

static void add_gate(const struct page *p, const json_object *s)
{
	const char *state = json_get_str(s, "gate.state"), *note = json_get_str(s, "gate.note");
	char since[AGE_TEXT_SIZE];

	if (!state)
		return;
	age_of(s, "gate.since", p->now, since);
	add_label(p, "Gate:");
	add_painted(p, str_eq(state, "closed") || str_eq(state, "unable") ? DOUBTFUL : PLAIN, state);
	buf_addf(p->out, "%s%s", *since ? " for " : "", since);
	buf_adds(p->out, str_is_empty(note) ? "" : ": ");
	add_clean(p->out, str_or(note, ""));
	buf_addc(p->out, '\n');
}

static void add_mirror(const struct page *p, const json_object *s)
{
	bool in_sync = json_get_bool(s, "mirror.inSync", false);
	char confirmed[AGE_TEXT_SIZE];

	age_of(s, "mirror.confirmed", p->now, confirmed);
	add_label(p, "Mirror:");
	buf_addf(p->out, "%lld nodes, %lld ReplicaSets, %lld pods; ", (long long)json_get_i64(s, "mirror.nodes", 0),
		 (long long)json_get_i64(s, "mirror.replicaSets", 0), (long long)json_get_i64(s, "mirror.pods", 0));
	if (in_sync)
		add_painted(p, GOOD, "in sync");
	else if (*confirmed)
		buf_addf(p->out, "last confirmed %s ago", confirmed);
	else
		add_painted(p, DOUBTFUL, "not confirmed since the start");
	buf_addc(p->out, '\n');
}

static void add_checks(const struct page *p, const json_object *s)
{
	const json_object *list = json_get(s, "checks");

	buf_adds(p->out, "Checks:\n");
	for (size_t i = 0; i < json_len(list); i++) {
		const json_object *c = json_at(list, i);
		bool ok = json_get_bool(c, "ok", false);

		buf_adds(p->out, "  ");
		add_painted(p, ok ? GOOD : BAD, ok ? "ok    " : "FAILED");
		buf_adds(p->out, "  ");
		buf_addf(p->out, "%-7s ", str_or(json_get_str(c, "name"), "?"));
		add_clean(p->out, str_or(json_get_str(c, "note"), ""));
		buf_addc(p->out, '\n');
	}
}

static void add_power(const struct page *p, const json_object *s)
{
	bool majority = json_get_bool(s, "majority", false), open = json_get_bool(s, "breakerOpen", false);

	add_line(p, "Majority:", majority ? PLAIN : DOUBTFUL,
		 majority ? "yes" : "no: too few members of the site answer to act for lost nodes");
	add_line(p, "Breaker:", open ? BAD : PLAIN, open ? "OPEN: a mass loss keeps us from acting" : "closed");
	if (json_get_bool(s, "tilted", false))
		add_line(p, "Clock:", DOUBTFUL, "jumped: only observing for a moment");
	if (json_get(s, "readiness")) {
		int64_t bad = json_get_i64(s, "readiness.notReady", 0);
		cleanup(freep) char *text = str_format("%lld workloads could be restored here offline, %lld not%s",
						       (long long)json_get_i64(s, "readiness.ready", 0), (long long)bad,
						       bad ? ": see edge-healer readiness" : "");

		add_line(p, "Readiness:", bad ? DOUBTFUL : PLAIN, text);
	}
	add_label(p, "Copies:");
	buf_addf(p->out, "%lld on this node\n", (long long)json_get_i64(s, "copies", 0));
}

enum { PLAIN_COLUMNS = 3 };

/* A list of objects whose fields are shown as they are. */
struct plain_list {
	const char *title, *list;
	const char *heads[PLAIN_COLUMNS], *fields[PLAIN_COLUMNS];
};

static void add_plain(const struct page *p, const json_object *s, const struct plain_list *l)
{
	cleanup(table_freep) struct table *t = table_new(l->heads, PLAIN_COLUMNS, false);
	const json_object *list = json_get(s, l->list);

	if (!json_len(list)) {
		add_line(p, l->title, PLAIN, NULL);
		return;
	}
	for (size_t i = 0; i < json_len(list); i++)
		for (size_t k = 0; k < PLAIN_COLUMNS; k++)
			table_add(t, json_get_str(json_at(list, i), l->fields[k]));
	buf_addf(p->out, "%s\n", l->title);
	table_render(t, "  ", p->out);
}

static const struct plain_list suspects = {
	"Suspects:", "suspects", {"NODE", "STATE", "NOTE"}, {"node", "state", "note"}};
static const struct plain_list left_alone = {
	"Left alone:", "leftAlone", {"NAMESPACE", "POD", "REASON"}, {"namespace", "pod", "reason"}};

static void add_loss(struct table *t, const json_object *l, struct wall now)
{
	cleanup(buf_fini) struct buf ranks = BUF_INIT;
	const json_object *list = json_get(l, "ranks");
	char age[AGE_TEXT_SIZE];

	for (size_t i = 0; i < json_len(list); i++)
		buf_addf(&ranks, "%s%s", i ? "," : "", str_or(json_str(json_at(list, i)), "?"));
	age_of(l, "declared", now, age);
	table_add(t, json_get_str(l, "namespace"));
	table_add(t, str_or(json_get_str(l, "pod"), json_get_str(l, "uid")));
	table_add(t, json_get_str(l, "cause"));
	table_add(t, json_get_str(l, "state"));
	table_add(t, json_get_str(l, "lostNode"));
	table_add(t, age);
	table_add(t, json_get_str(l, "note"));
	table_add(t, ranks.data);
}

static void add_losses(const struct page *p, const json_object *s, bool wide)
{
	static const char *const heads[] = {"NAMESPACE", "POD", "CAUSE", "STATE", "LOST NODE", "AGE", "NOTE", "+RANKS"};
	cleanup(table_freep) struct table *t = table_new(heads, ARRAY_LEN(heads), wide);
	const json_object *list = json_get(s, "losses");

	if (!json_len(list)) {
		add_line(p, "Losses:", PLAIN, NULL);
		return;
	}
	for (size_t i = 0; i < json_len(list); i++)
		add_loss(t, json_at(list, i), p->now);
	buf_adds(p->out, "Losses:\n");
	table_render(t, "  ", p->out);
}

static void build_page(const struct cli_options *o, const json_object *s, struct buf *out)
{
	const struct page p = {.out = out, .now = wall_read(), .color = isatty(STDOUT_FILENO) && !getenv("NO_COLOR")};

	add_head(&p, s);
	add_link(&p, s);
	add_gate(&p, s);
	add_mirror(&p, s);
	add_power(&p, s);
	add_checks(&p, s);
	add_plain(&p, s, &suspects);
	add_losses(&p, s, o->form == CLI_WIDE);
	if (json_len(json_get(s, "leftAlone")))
		add_plain(&p, s, &left_alone);
}

static void print(const struct cli_options *o, const json_object *s)
{
	cleanup(buf_fini) struct buf out = BUF_INIT;

	build_page(o, s, &out);
	(void)fwrite(out.data, 1, out.len, stdout);
}

/* Over the old page instead of after it: no flicker, and nothing is left of longer lines. */
static void redraw(const struct buf *page)
{
	fputs(CLEAR_HOME, stdout);
	for (const char *p = page->data; *p; p++) {
		if (*p == '\n')
			fputs(CLEAR_LINE, stdout);
		putchar(*p);
	}
	fputs(CLEAR_BELOW, stdout);
}

static int watch(const struct cli_options *o)
{
	bool tty = isatty(STDOUT_FILENO);

	if (tty)
		fputs(CLEAR_HOME CLEAR_BELOW, stdout);
	for (;;) {
		cleanup(json_putp) json_object *s = NULL;
		cleanup(buf_fini) struct buf page = BUF_INIT;

		if (client_get(o, "/v1/status", &s, &page) != CLI_OK)
			buf_addc(&page, '\n'); /* it may come back: keep watching */
		else if (o->form == CLI_JSON)
			buf_addf(&page, "%s\n", json_text_pretty(s));
		else
			build_page(o, s, &page);
		if (tty)
			redraw(&page);
		else
			printf("%s\n", page.data);
		if (fflush(stdout) == EOF)
			return CLI_FAILED;
		(void)sleep(1);
	}
}

int cli_status(int argc, char **argv)
{
	struct cli_options o = {.can_watch = true};
	int r = cli_parse(argc, argv, &o);

	return r ? r : o.watch ? watch(&o) : client_show(&o, "/v1/status", CLIENT_OBJECT, print);
}
