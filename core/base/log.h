/*
 * log - one event is one JSON line.
 *
 * What        log_open starts a line with time, level, event, role, index; the caller adds fields
 *             with json_*; log_close hands the line to the process's sink (the ring to the control
 *             role, or standard error until there is one).
 * Why         injection-proof by construction: json.c escapes, nothing else writes lines.
 * Invariants  one line open at a time; only a role's loop thread logs. A line beyond LOG_LINE bytes
 *             is cut to its head and marked "cut":true. Pure layers never log.
 */
#ifndef LOG_H
#define LOG_H

#include "fault.h"
#include "json.h"

#define LOG_LINE (32 * 1024)

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };

/* role: borrowed for ever */
void log_init(const char *role, unsigned index, enum log_level lowest);
/*
 * `sink` must not block; the line ends with its newline; false means that it was dropped (counted
 * by the sink's owner). NULL: standard error.
 */
void log_sink(bool (*sink)(void *owner, struct str line), void *owner);

struct json *log_open(enum log_level level, const char *event);
void log_close(void);
/* A line with one text field, and the fault's. */
void log_fault(enum log_level level, const char *event, const char *what, const struct fault *why);

#endif
