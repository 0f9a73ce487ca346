/* kube/outcome.h — what became of a request, in words that a caller can switch on */
#pragma once

/* 0 = a 2xx answer. All others are documented outcomes (the positive lane of base/err.h). */
enum kube_outcome {
	KUBE_OK,
	KUBE_E_NOT_FOUND,	/* 404 */
	KUBE_E_CONFLICT,	/* 409: a precondition failed, or somebody else was first */
	KUBE_E_ALREADY_EXISTS,	/* 409 with reason AlreadyExists */
	KUBE_E_GONE,		/* 410, reason Expired or Gone: list again */
	KUBE_E_FORBIDDEN,	/* 403 */
	KUBE_E_UNAUTHORIZED,	/* 401, also with freshly read credentials */
	KUBE_E_TOO_MANY,	/* 429: a budget (eviction) or flow control; see retry_after_ms */
	KUBE_E_INVALID,		/* any other 4xx: the request is wrong and will stay wrong */
	KUBE_E_SERVER,		/* 5xx, or an answer that is no HTTP API answer (3xx) */
	KUBE_E_UNREACHABLE,	/* no HTTP answer: refused, timed out, TLS, cut short */
	KUBE_E_TOO_BIG,		/* the body is larger than KUBE_BODY_MAX */
	KUBE_E_TRUNCATED,	/* a list or a watch event ended in the middle */
};

const char *kube_outcome_name(enum kube_outcome outcome);	/* "conflict"; static */
/* From an HTTP status (100 to 599) and the `reason` of the Status object in the body (NULL = none). Pure. */
enum kube_outcome kube_outcome_of(int status, const char *reason);
