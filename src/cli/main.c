/* main.c — the table of verbs */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "cli/cli.h"

#define CLIENT_HELP \
	"  -s, --server URL   the daemon: http://HOST:PORT or unix:PATH\n" \
	"                     (default $EDGE_HEALER_URL, else http.socket, else http.listen)\n" \
	"      --token-file FILE   the bearer token (http.token_file) that a daemon on another node asks for\n" \
	"  -o, --output FORM  table (default), wide or json\n"

const struct cli_verb cli_verbs[] = {
	{ "agent", "[--config FILE] [--standby]", "run the daemon", cli_agent,
	  "  -c, --config FILE  configuration (default $EDGE_HEALER_CONFIG, else none)\n"
	  "      --standby      wait until no other agent works on store.path, and yield when one wants to\n" },
	{ "status", "[--watch]", "how it stands: link, mirror, losses, copies", cli_status,
	  CLIENT_HELP "  -w, --watch        again every second\n" },
	{ "members", "", "the nodes as gossip shows them, and what they bid with", cli_members, CLIENT_HELP },
	{ "pods", "[--node NODE] [--namespace NS]", "mirrored pods, and whether they can be restored offline", cli_pods,
	  CLIENT_HELP "      --node NODE    only on this node\n  -n, --namespace NS only in this namespace\n" },
	{ "readiness", "[--namespace NS]", "what this node could restore while the API server is away, or why not", cli_readiness,
	  CLIENT_HELP "  -n, --namespace NS only in this namespace\n" },
	{ "claims", "", "who restores what; the copies on this node", cli_claims, CLIENT_HELP },
	{ "history", "[POD|NODE] [--limit N]", "what happened, newest first", cli_history,
	  CLIENT_HELP "      --limit N      at most N rows (default 100)\n" },
	{ "forget", "NODE", "while the API server is away: a member that is gone for good does not count any more", cli_forget,
	  "Majorities are counted from the last known members. When boxes were carried away, what is left may be none, and no\n"
	  "Node can be deleted. Say so as root on each remaining node; a member that comes back counts again.\n\n"
	  "  -s, --server unix:PATH   the daemon's socket (default http.socket; nothing else may do this)\n" },
	{ "goodbye", "", "tells the site that this healer goes: for preStop hooks, within 2 s", cli_goodbye,
	  "Run by the preStop hooks of the serf and the edge-healer container. A node that is stopping is not called lost for\n"
	  "60 s, or until its ports have been silent for three times heal.node_grace.\n\n"
	  "  -s, --server unix:PATH   the daemon's socket (default http.socket; nothing else may do this)\n" },
	{ "render", "--node NAME [--objects FILE] [--image NAME]... [FILE]",
	  "a Pod as a self-contained static pod, or exit 3 and why not", cli_render,
	  "FILE is one Pod as JSON, as `kubectl get pod NAME -o json` prints it; none or -: stdin.\n"
	  "It is rendered as it is given: a Pod that was never in the cluster may be admitted with other fields.\n\n"
	  "      --node NAME    where it will run\n"
	  "      --objects FILE ConfigMaps and Secrets (YAML or JSON) to take values from; what is not in it is missing\n"
	  "      --bundle-dir DIR   where the files of a copy would be (default /var/lib/edge-healer/bundles)\n"
	  "      --image NAME   an image that is on the node (repeatable; none given: not checked)\n"
	  "      --cpu QUANTITY, --memory QUANTITY   what the node has (default: this machine)\n"
	  "      --cluster-domain NAME   kubelet's clusterDomain (default cluster.local)\n"
	  "      --epoch N      of the claim (default 1)\n"
	  "      --kubelet-version V   from v1.34 on every printable key of envFrom is a variable (default: the strict rule)\n" },
	{ "check-config", "[FILE|-]", "check a configuration as the agent's start does; prints every error",
	  cli_check_config,
	  "Without FILE: $EDGE_HEALER_CONFIG, else the defaults; - is stdin. The environment counts as for the agent.\n"
	  "What the file names is checked on this machine: the credentials are loaded as the agent loads them\n"
	  "(kubeconfig, or the service account in a pod), key and token files must be readable, the folder of the\n"
	  "store writable, the address to listen on one of this machine. So run it on the node, or in its pod;\n"
	  "elsewhere with --syntax-only.\n\n"
	  "      --syntax-only  the file is for another machine: check its keys, values and how they go together, and\n"
	  "                     neither the environment nor any other file of this machine; node may be missing\n"
	  "      --print        print the effective configuration\n"
	  "      --reference    print all keys as a Markdown table\n\n"
	  "Exit codes: 0 an agent would start, 1 it would not (each error on stderr, with file and line), 2 wrong usage.\n" },
	{ "remove-standby", "[--config FILE]", "remove the standby of this node from kubelet's folder", cli_remove_standby,
	  "  -c, --config FILE  names kubelet.static_pod_path (default $EDGE_HEALER_CONFIG, else none)\n" },
	{ "hold", "--lock FILE -- COMMAND [ARGUMENT]...", "run a command only while the standby works", cli_hold,
	  "      --lock FILE    <store.path>.standby\n" },
	{ "completion", "bash", "print a completion script", cli_completion, "" },
	{ "version", "", "print the version", cli_version_verb, "" },
};
const size_t cli_verb_count = ARRAY_LEN(cli_verbs);

bool cli_verb_is_listed(const struct cli_verb *v)
{
	return v->run != cli_hold;
}

static const struct cli_verb *verb_find(const char *name)
{
	for (size_t i = 0; i < cli_verb_count; i++)
		if (str_eq(cli_verbs[i].name, name))
			return &cli_verbs[i];
	return NULL;
}

void cli_print_help(const char *name)
{
	const struct cli_verb *v = name ? verb_find(name) : NULL;

	if (v) {
		printf("usage: edge-healer %s %s\n\n%s.\n%s%s", v->name, v->args, v->help, *v->more ? "\n" : "", v->more);
		return;
	}
	printf("edge-healer keeps workloads alive on Kubernetes edge clusters, also while the control plane is out of reach.\n\n"
	       "usage: edge-healer VERB [options]\n\n");
	for (size_t i = 0; i < cli_verb_count; i++)
		if (cli_verb_is_listed(&cli_verbs[i]))
			printf("  %-14s %s\n", cli_verbs[i].name, cli_verbs[i].help);
	printf("\nedge-healer VERB --help tells more of each.\n");
}

static int unknown_verb(const char *name)
{
	const char *names[ARRAY_LEN(cli_verbs)];
	const char *near;

	for (size_t i = 0; i < cli_verb_count; i++)
		names[i] = cli_verbs[i].name;
	near = str_nearest(name, names, cli_verb_count);
	fprintf(stderr, "edge-healer: unknown verb \"%s\"%s%s%s. See edge-healer --help.\n", name,
		near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
	return CLI_USAGE;
}

int main(int argc, char **argv)
{
	const struct cli_verb *v;

	if (argc < 2) {
		cli_print_help(NULL);
		return CLI_USAGE;
	}
	if (str_eq(argv[1], "--help") || str_eq(argv[1], "-h") || str_eq(argv[1], "help")) {
		cli_print_help(argc > 2 ? argv[2] : NULL);
		return CLI_OK;
	}
	if (str_eq(argv[1], "--version"))
		return cli_version_verb(argc - 1, argv + 1);
	v = verb_find(argv[1]);
	if (!v)
		return unknown_verb(argv[1]);
	for (int i = 2; i < argc && !str_eq(argv[i], "--"); i++) {
		if (str_eq(argv[i], "--help") || str_eq(argv[i], "-h")) {
			cli_print_help(v->name);
			return CLI_OK;
		}
	}
	return v->run(argc - 1, argv + 1);
}
