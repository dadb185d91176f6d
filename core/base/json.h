/*
 * json - writes JSON into a buf; never reads it.
 *
 * What        objects and arrays, commas placed by itself; every string is escaped here and nowhere
 *             else: control bytes, quotes and invalid UTF-8 (as \ufffd) cannot break a line or a
 *             terminal.
 * Invariants  one value is one line. When the buf is full `full` is set and the rest is dropped.
 */
#ifndef JSON_H
#define JSON_H

#include "buf.h"

struct json {
	struct buf *out;
	bool comma, full;
};

void json_init(struct json *j, struct buf *out);
/* `key` is NULL inside arrays and at the top. */
void json_open(struct json *j, const char *key, char bracket);  /* '{' or '[' */
void json_close(struct json *j, char bracket);                  /* '}' or ']' */
void json_str(struct json *j, const char *key, struct str value);
void json_int(struct json *j, const char *key, int64_t value);
void json_num(struct json *j, const char *key, double value);
void json_bool(struct json *j, const char *key, bool value);
void json_raw(struct json *j, const char *key, struct str value); /* already JSON */
void json_time(struct json *j, const char *key, uint64_t wall_us); /* RFC 3339, UTC, milliseconds */

#endif
