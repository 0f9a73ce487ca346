/* forget.c — edge-healer forget NODE: through the socket of this node only */
#include <stdio.h>

#include "base/json.h"
#include "base/mem.h"
#include "cli_int.h"

int cli_forget(int argc, char **argv)
{
	struct cli_options o = {.args_max = 1};
	cleanup(buf_fini) struct buf path = BUF_INIT, why = BUF_INIT;
	cleanup(json_putp) json_object *v = NULL;
	int r = cli_parse(argc, argv, &o);

	if (r)
		return r;
	if (o.arg_count != 1) {
		fprintf(stderr, "edge-healer %s: name the node. See edge-healer %s --help.\n", o.verb, o.verb);
		return CLI_USAGE;
	}
	buf_adds(&path, "/v1/forget");
	client_query(&path, "node", o.args[0]);
	if (client_post(&o, path.data, &v, &why) != CLI_OK) {
		fprintf(stderr, "edge-healer %s: %s\n", o.verb, why.data);
		return CLI_FAILED;
	}
	printf("%s does not count here until it is back. Say so on each remaining node of its site.\n", o.args[0]);
	return CLI_OK;
}
