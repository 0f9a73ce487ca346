/* outcome.c — HTTP statuses and Status reasons as outcomes */
#include "kube/outcome.h"

#include "base/mem.h"
#include "base/str.h"

static const char *const names[] = {
	[KUBE_OK] = "ok",
	[KUBE_E_NOT_FOUND] = "not found",
	[KUBE_E_CONFLICT] = "conflict",
	[KUBE_E_ALREADY_EXISTS] = "already exists",
	[KUBE_E_GONE] = "gone",
	[KUBE_E_FORBIDDEN] = "forbidden",
	[KUBE_E_UNAUTHORIZED] = "unauthorized",
	[KUBE_E_TOO_MANY] = "too many requests",
	[KUBE_E_INVALID] = "invalid",
	[KUBE_E_SERVER] = "server error",
	[KUBE_E_UNREACHABLE] = "unreachable",
	[KUBE_E_TOO_BIG] = "too big",
	[KUBE_E_TRUNCATED] = "truncated",
};

const char *kube_outcome_name(enum kube_outcome outcome)
{
	return (size_t)outcome < ARRAY_LEN(names) ? names[outcome] : "unknown";
}

enum kube_outcome kube_outcome_of(int status, const char *reason)
{
	if (status >= 200 && status < 300)
		return KUBE_OK;
	switch (status) {
	case 401:
		return KUBE_E_UNAUTHORIZED;
	case 403:
		return KUBE_E_FORBIDDEN;
	case 404:
		return KUBE_E_NOT_FOUND;
	case 409:
		return str_eq(reason, "AlreadyExists") ? KUBE_E_ALREADY_EXISTS : KUBE_E_CONFLICT;
	case 410:
		return KUBE_E_GONE;
	case 429:
		return KUBE_E_TOO_MANY;
	default:
		break;
	}
	if (str_eq(reason, "Expired") || str_eq(reason, "Gone"))
		return KUBE_E_GONE;
	return status >= 400 && status < 500 ? KUBE_E_INVALID : KUBE_E_SERVER;
}
