/* main.c — sim: one seed with its timeline, a batch of seeds, or a file of regressions
 *
 *   sim --seed N [--nodes N] [--for 30m] [--drop 3,5]    one run; exit 1 and the invariant's name when one broke
 *   sim --batch COUNT [--from N] [--stop-at 3,7]         COUNT seeds; one line for each that fails; the end at the first that
 *                                                        breaks one of these invariants
 *   sim --flap --batch COUNT --for 1h                    nothing dies, but the network flaps: no restore is right
 *   sim --liar --batch COUNT                             one member of each cluster always says "I see it"
 *   sim --file regressions.txt                           the arguments of a run in each line
 *
 * --drop leaves faults out by their number: it finds those that matter.
 */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "sim.h"

enum { LINE_SIZE = 512, ARGS_MAX = 16 };

struct options { struct sim_args run; int64_t batch; const char *file; uint64_t stop_at; };

struct totals { uint64_t passed, failed, events, restores; int64_t virtual_ns; };

static int64_t number(const char *text)
{
	int64_t n = 0;

	if (num_parse_i64(text, 0, INT64_MAX, &n) < 0) {
		(void)fprintf(stderr, "sim: %s is no number\n", text);
		exit(2);
	}
	return n;
}

static uint64_t number_list(const char *text)
{
	cleanup(freep) char *copy = str_dup(text);
	uint64_t mask = 0;

	for (char *save = NULL, *p = strtok_r(copy, ",", &save); p; p = strtok_r(NULL, ",", &save))
		mask |= UINT64_C(1) << (number(p) & 63);
	return mask;
}

static void parse(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {
		{ "seed", 1, NULL, 's' }, { "nodes", 1, NULL, 'n' }, { "for", 1, NULL, 'f' }, { "drop", 1, NULL, 'd' },
		{ "batch", 1, NULL, 'b' }, { "from", 1, NULL, 's' }, { "file", 1, NULL, 'i' }, { "quiet", 0, NULL, 'q' },
		{ "flap", 0, NULL, 'l' }, { "liar", 0, NULL, 'y' },
		{ "stop-at", 1, NULL, 't' }, { 0 },
	};
	int64_t ms;

	*o = (struct options){ 0 };
	optind = 0;
	for (int c; (c = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
		if (c == 's') {
			o->run.seed = (uint64_t)number(optarg);
		} else if (c == 'n') {
			o->run.nodes = (int)number(optarg);
		} else if (c == 'f' && duration_parse_ms(optarg, &ms) == 0) {
			o->run.for_ns = MS(ms);
		} else if (c == 'd') {
			o->run.drop = number_list(optarg);
		} else if (c == 'b') {
			o->batch = number(optarg);
		} else if (c == 'i') {
			o->file = optarg;
		} else if (c == 't') {
			o->stop_at = number_list(optarg);
		} else if (c == 'l') {
			o->run.flap = true;
		} else if (c == 'y') {
			o->run.liar = true;
		} else if (c == 'q') {
			o->run.quiet = true;
		} else {
			exit(2);
		}
	}
	if (o->run.nodes > SIM_NODES) {
		(void)fprintf(stderr, "sim: at most %d nodes\n", SIM_NODES);
		exit(2);
	}
}

static void print_head(const struct world *w)
{
	char text[128];

	printf("seed %llu: %d nodes, %d site%s, %d workloads, loss %d %%, stop_after %lld s%s%s%s\n", (unsigned long long)w->args.seed,
	       w->nodes, w->sites, w->sites > 1 ? "s" : "", w->api.rs_count, w->loss_pct, (long long)w->conf.stop_after_ms / 1000,
	       w->only_api ? ", only the API fails" : w->api.host >= 0 ? ", the API on n1" : "", w->all_observe ? ", mode observe" : "",
	       w->conf.minority_active ? ", minority active" : "");
	for (int k = 0; k < w->fault_count; k++)
		printf("  fault %2d at %8.3f %s\n", k, (double)w->faults[k].at / 1e9, fault_text(w, &w->faults[k], text, sizeof(text)));
}

/* The number of the invariant that broke, or -1. */
static int run_one(const struct sim_args *args, struct totals *t)
{
	struct world *w = mem_new(struct world);
	int invariant;
	bool ok;

	world_run(w, args);
	ok = !w->broken;
	t->passed += ok;
	t->failed += !ok;
	t->events += w->events;
	t->restores += w->restores;
	t->virtual_ns += w->now;
	if (!args->quiet) {
		print_head(w);
		printf("%s: %s\n", ok ? "ok" : "FAILED", ok ? "all invariants held" : w->reason);
	} else if (!ok) {
		printf("FAILED --seed %llu", (unsigned long long)args->seed);
		if (args->nodes)
			printf(" --nodes %d", args->nodes);
		if (args->for_ns)
			printf(" --for %llds", (long long)(args->for_ns / SEC(1)));
		printf(" (%.0f s): %s\n", (double)w->now / 1e9, w->reason);
		(void)fflush(stdout);
	}
	invariant = ok ? -1 : w->invariant;
	world_fini(w);
	free(w);
	return invariant;
}

static void run_file(const char *path, struct totals *t)
{
	FILE *f = fopen(path, "re");
	char line[LINE_SIZE];

	if (!f) {
		perror(path);
		exit(2);
	}
	while (fgets(line, sizeof(line), f)) {
		char *argv[ARGS_MAX] = { line }, *save = NULL;
		int argc = 1;
		struct options o;

		line[strcspn(line, "#\n")] = '\0';
		for (char *p = strtok_r(line, " \t", &save); p && argc < ARGS_MAX - 1; p = strtok_r(NULL, " \t", &save))
			argv[argc++] = p;
		if (argc == 1)
			continue;
		parse(argc, argv, &o);
		o.run.quiet = true;
		(void)run_one(&o.run, t);
	}
	(void)fclose(f);
}

int main(int argc, char **argv)
{
	struct totals t = { 0 };
	struct options o;

	parse(argc, argv, &o);
	if (o.file)
		run_file(o.file, &t);
	for (int64_t k = 0; k < o.batch; k++) {
		struct sim_args args = o.run;

		args.seed += (uint64_t)k;
		args.quiet = true;
		k = (o.stop_at >> (run_one(&args, &t) & 63) & 1) ? o.batch : k;
	}
	if (!o.file && !o.batch)
		(void)run_one(&o.run, &t);
	else
		printf("%llu events, %llu restores, %.1f hours of virtual time\n%llu passed, %llu failed\n", (unsigned long long)t.events,
		       (unsigned long long)t.restores, (double)t.virtual_ns / 3.6e12, (unsigned long long)t.passed,
		       (unsigned long long)t.failed);
	constraints_fini();
	intern_fini();
	return t.failed ? 1 : 0;
}
