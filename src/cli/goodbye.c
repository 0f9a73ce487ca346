/* goodbye.c — edge-healer goodbye: a preStop hook, through the socket of this node only
 *
 * Said GOODBYE_TIMES, GOODBYE_EVERY_MS apart; after the last one there is as much time for gossip to carry it on before Serf
 * leaves. All of it takes less than 2 s, whatever the daemon does: it may be gone when it has heard the first.
 */
#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "cli_int.h"

enum { GOODBYE_TIMES = 3, GOODBYE_EVERY_MS = 250, GOODBYE_POST_MS = 400 };
_Static_assert(GOODBYE_TIMES * (GOODBYE_POST_MS + GOODBYE_EVERY_MS) < 2000, "the site waits for nobody's goodbye");

static void pause_a_little(void)
{
	const struct timespec t = { .tv_nsec = GOODBYE_EVERY_MS * NS_PER_MS };

	(void)nanosleep(&t, NULL);
}

static int say(const struct cli_options *o, bool first)
{
	cleanup(buf_fini) struct buf why = BUF_INIT;
	cleanup(json_putp) json_object *v = NULL;
	int r = client_post(o, "/v1/goodbye", &v, &why);

	if (r == CLI_OK && first)
		printf("The site is told: %s.\n", str_or(json_get_str(v, "goodbye"), "goodbye"));
	else if (r != CLI_OK && first)
		fprintf(stderr, "edge-healer %s: %s\n", o->verb, why.data);
	return r;
}

int cli_goodbye(int argc, char **argv)
{
	struct cli_options o = { .timeout_ms = GOODBYE_POST_MS };
	int r = cli_parse(argc, argv, &o);

	if (!r)
		r = say(&o, true);
	if (r)
		return r;
	for (int i = 1; i < GOODBYE_TIMES; i++) {
		pause_a_little();
		if (say(&o, false) != CLI_OK)
			break;
	}
	pause_a_little();
	return CLI_OK;
}
