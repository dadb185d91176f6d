/*
 * script_log - what policies and the bridge itself write into the log.
 *
 * Invariants  each line names rule, hook, generation and, where there is one, message or
 *             connection. Between open and log_close nothing that may raise is called.
 * Bounds      SCRIPT_LOG_LINES a handler's run; fields and lengths below.
 */
#ifndef SCRIPT_LOG_H
#define SCRIPT_LOG_H

#include "log.h"
#include "script_task.h"

#define SCRIPT_LOG_LINES  32
#define SCRIPT_LOG_TEXT   1024
#define SCRIPT_LOG_FIELDS 16
#define SCRIPT_LOG_VALUE  256

/* Opens a line; the caller adds to it and calls log_close. */
struct json *script_log_open(const struct script_task *t, enum log_level level, const char *event);

#endif
