/* model/constraint.h — where a pod may run: node selector, required node affinity, tolerations, host ports
 *
 * Pods of one ReplicaSet have equal constraints, so they are shared: constraints_intern() keeps one copy per distinct
 * content for the life of the process (100,000 pods of 100 ReplicaSets have 100 of them).
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONSTRAINT_LIST_MAX 256		/* entries of any one list that we accept */

struct label { const char *key, *value; };	/* interned */

/* k8s.io/api/core/v1 NodeSelectorOperator */
enum match_op { MATCH_IN, MATCH_NOT_IN, MATCH_EXISTS, MATCH_DOES_NOT_EXIST, MATCH_GT, MATCH_LT };
struct match_expr {
	const char *key;		/* interned; for a field term: "metadata.name" */
	enum match_op op;
	const char **values;		/* interned */
	size_t value_count;
	bool is_field;			/* matchFields */
};
struct match_term { struct match_expr *exprs; size_t count; };	/* all must hold; an empty term matches nothing */

enum taint_effect { TAINT_NONE, TAINT_NO_SCHEDULE, TAINT_PREFER_NO_SCHEDULE, TAINT_NO_EXECUTE };
struct taint { const char *key, *value; enum taint_effect effect; };	/* interned; TAINT_NONE in a toleration = any */
struct toleration {
	const char *key, *value;	/* key NULL with `exists` = tolerates everything */
	bool exists;			/* operator Exists, else Equal */
	enum taint_effect effect;
};
struct host_port { int32_t port; const char *protocol, *ip; };	/* interned; ip "" = any */

struct constraints {
	const char *key;		/* the text it is shared under; set by constraints_intern() */
	struct label *selector;
	size_t selector_count;
	bool has_affinity;		/* then at least one term must match */
	struct match_term *terms;
	size_t term_count;
	struct toleration *tolerations;
	size_t toleration_count;
	struct host_port *ports;
	size_t port_count;
	bool unsupported;		/* pod (anti-)affinity, hard spread, devices: judged by kube-scheduler alone */
};

/* `key` is any text that is equal exactly when the content is equal (the JSON it was decoded from). Returns the shared copy if
 * `key` is known (then *c is freed), else keeps *c. Borrowed for the life of the process. */
const struct constraints *constraints_find(const char *key);
const struct constraints *constraints_intern(const char *key, struct constraints *c);
void constraints_free(struct constraints *c);
void constraints_fini(void);		/* frees all shared ones */
