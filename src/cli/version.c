/* version.c — edge-healer version; completion */
#include <stdio.h>

#include "base/str.h"
#include "cli/cli.h"

#ifndef EDGE_HEALER_VERSION
#define EDGE_HEALER_VERSION "unknown"
#endif

const char *cli_version(void)
{
	return EDGE_HEALER_VERSION;
}

int cli_version_verb(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	printf("edge-healer %s\n", cli_version());
	return CLI_OK;
}

int cli_completion(int argc, char **argv)
{
	if (argc != 2 || !str_eq(argv[1], "bash")) {
		fprintf(stderr, "edge-healer completion: which shell? Write: edge-healer completion bash\n");
		return CLI_USAGE;
	}
	printf("# source <(edge-healer completion bash)\n_edge_healer() {\n\tlocal verbs=\"");
	for (size_t i = 0; i < cli_verb_count; i++)
		if (cli_verb_is_listed(&cli_verbs[i]))
			printf("%s%s", i ? " " : "", cli_verbs[i].name);
	printf("\"\n\tlocal options=\"--server --token-file --output --watch --help --node --namespace --limit --config --objects "
	       "--bundle-dir --kubelet-version --standby --syntax-only --print --reference\"\n"
	       "\tif [ \"$COMP_CWORD\" = 1 ]; then\n\t\tmapfile -t COMPREPLY < <(compgen -W \"$verbs\" -- \"$2\")\n"
	       "\telif [[ $2 == -* ]]; then\n\t\tmapfile -t COMPREPLY < <(compgen -W \"$options\" -- \"$2\")\n"
	       "\telse\n\t\tmapfile -t COMPREPLY < <(compgen -f -- \"$2\")\n\tfi\n}\ncomplete -F _edge_healer edge-healer\n");
	return CLI_OK;
}
