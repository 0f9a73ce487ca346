/* forget.c — POST /v1/forget: boxes were carried away while the API server is away
 *
 * What is left of the site may be no majority of its last known members, and nobody can delete a Node now. Root of each
 * remaining node can say that a member does not count; its pods are then lost by the same evidence as any node's. It
 * counts again when it is back.
 */
#include "surface.h"

#include "base/mem.h"
#include "base/json.h"

void on_forget(void *arg, const struct web_request *rq, struct web_response *rs)
{
	struct agent *a = arg;
	const char *node = web_query(rq, "node"), *why;
	json_object *o;

	if (rq->origin != WEB_SOCKET) {
		web_error(rs, 403, "only http.socket of this node may do this");
		return;
	}
	if (str_is_empty(node)) {
		web_error(rs, 400, "?node= is missing: the name of the member");
		return;
	}
	why = roster_forget(a, node);
	if (why) {
		web_error(rs, 409, "%s: %s", node, why);
		return;
	}
	tell(a, &(struct tale){.event = "member forgotten", .kube_reason = "MemberForgotten", .warning = true, .node = node},
	     "by=\"edge-healer forget\" note=\"it does not count until it is back\"");
	think_soon(a);
	o = json_new_object();
	json_set_str(o, "forgotten", node);
	surface_json(rs, o);
}
