/* cli/cli.h — one binary, one row per verb
 *
 * Exit codes: 0 done; 1 the daemon or an operation failed; 2 wrong usage; 3 render: refused, with the reason on stderr.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

enum { CLI_OK = 0, CLI_FAILED = 1, CLI_USAGE = 2, CLI_REFUSED = 3 };

enum cli_form { CLI_TABLE, CLI_WIDE, CLI_JSON };

/* An option with a value that one verb has besides the common ones. */
struct cli_flag {
	const char *name, *alias;	/* "--namespace", "-n" or NULL */
	const char **value;		/* where its text goes */
};

/* What a client verb was told. The verb fills in the first group, cli_parse() the second. */
struct cli_options {
	const struct cli_flag *flags;
	size_t flag_count;
	int args_max;			/* words that are no options */
	bool can_watch;
	long timeout_ms;		/* of one request; 0 = as always */

	const char *verb;		/* argv[0] */
	const char *server;		/* URL of the daemon, host:port, or unix:PATH; NULL = the one of this node */
	const char *token_file;		/* its bearer token; NULL = none */
	const char *output;		/* table, wide, json */
	enum cli_form form;
	bool watch;
	char **args;			/* the words; points into argv, which is reordered */
	int arg_count;
};

struct cli_verb {
	const char *name, *args, *help;
	int (*run)(int argc, char **argv);	/* argv[0] is the verb */
	const char *more;		/* further help */
};
extern const struct cli_verb cli_verbs[];
extern const size_t cli_verb_count;

bool cli_verb_is_listed(const struct cli_verb *v);	/* false: for manifests, not for people */
const char *cli_version(void);
/* Parse -s/--server, -o/--output, -w/--watch and the verb's own. 0, or CLI_USAGE after having said why. */
int cli_parse(int argc, char **argv, struct cli_options *out);
void cli_print_help(const char *verb);

int cli_agent(int argc, char **argv);
int cli_remove_standby(int argc, char **argv);
int cli_hold(int argc, char **argv);
int cli_status(int argc, char **argv);
int cli_members(int argc, char **argv);
int cli_pods(int argc, char **argv);
int cli_readiness(int argc, char **argv);
int cli_claims(int argc, char **argv);
int cli_forget(int argc, char **argv);
int cli_goodbye(int argc, char **argv);
int cli_history(int argc, char **argv);
int cli_render(int argc, char **argv);
int cli_check_config(int argc, char **argv);
int cli_version_verb(int argc, char **argv);
int cli_completion(int argc, char **argv);
