/* base/log.h — one line per event: subsystem, stable event word, key=value
 *
 *   log_info(LOG_HEAL, "won bid", "pod=%s rank=%d", pod, rank);
 *
 * Levels: error = a human must act; warn = we coped; info = the state changed; debug = the rest. A function either logs or
 * returns; adapters return, the agent logs. A site that logs more than LOG_BURST lines in LOG_WINDOW_MS is
 * silenced for the rest of the window and reported with "suppressed=N". Secrets are never passed to a formatter.
 */
#pragma once
#include <stdbool.h>
#include "base/str.h"

#define LOG_SUBSYSTEMS(X) \
	X(AGENT, "agent") X(SERF, "serf") X(KUBE, "kube") X(STORE, "store") X(HEAL, "heal") X(NODE, "node") \
	X(WEB, "web") X(CONF, "conf") X(LOOP, "loop")
enum log_subsystem {
#define X(id, name) LOG_##id,
	LOG_SUBSYSTEMS(X)
#undef X
	LOG_SUBSYSTEM_COUNT
};
enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };
enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

#define LOG_BURST 50
#define LOG_WINDOW_MS 10000

/* Counts the lines of one call site in the current window. */
struct log_site { int64_t window_ms; unsigned count, suppressed; };

void log_setup(enum log_level level, enum log_format format);
/* "info", or "info,serf=debug,heal=debug": 0 or -EINVAL (nothing changed). */
int log_set_levels(const char *spec);
int log_check_levels(const char *spec);		/* only whether it could be set */
/* Where lines go; the default is stderr. For tests. NULL restores the default. */
void log_set_sink(void (*sink)(const char *line, void *arg), void *arg);
bool log_is_on(enum log_subsystem sub, enum log_level level);
void log_write(struct log_site *site, enum log_subsystem sub, enum log_level level, const char *event,
	       const char *fmt, ...) PRINTF_LIKE(5, 6);

#define log_at(sub, level, event, ...) \
	do { \
		static struct log_site log_site_; \
		if (log_is_on(sub, level)) \
			log_write(&log_site_, sub, level, event, __VA_ARGS__); \
	} while (0)
#define log_error(sub, event, ...) log_at(sub, LOG_LEVEL_ERROR, event, __VA_ARGS__)
#define log_warn(sub, event, ...) log_at(sub, LOG_LEVEL_WARN, event, __VA_ARGS__)
#define log_info(sub, event, ...) log_at(sub, LOG_LEVEL_INFO, event, __VA_ARGS__)
#define log_debug(sub, event, ...) log_at(sub, LOG_LEVEL_DEBUG, event, __VA_ARGS__)
