#include "log.h"

#include "clock.h"

#include <assert.h>
#include <string.h>
#include <unistd.h>

#define DEPTH 16           /* brackets that a cut line may leave open */
#define TAIL  (DEPTH + 16) /* kept free for their ends and the mark */

static const char *const level_names[] = {
	[LOG_LEVEL_DEBUG] = "debug",
	[LOG_LEVEL_INFO] = "info",
	[LOG_LEVEL_WARN] = "warn",
	[LOG_LEVEL_ERROR] = "error",
};

static bool to_stderr(void *owner, struct str text)
{
	(void)owner;
	return write(STDERR_FILENO, text.p, text.n) == (ssize_t)text.n;
}

static struct {
	const char *role;
	unsigned index;
	enum log_level lowest;
	bool (*sink)(void *owner, struct str line);
	void *owner;
	enum { LOG_CLOSED, LOG_WRITING, LOG_SKIPPING } line;
} logger = { .role = "none", .sink = to_stderr };

static char storage[LOG_LINE];
static struct buf text = { .p = storage, .cap = LOG_LINE - TAIL, .max = LOG_LINE - TAIL };
static struct json writer;

void log_init(const char *role, unsigned index, enum log_level lowest)
{
	logger.role = role;
	logger.index = index;
	logger.lowest = lowest;
}

void log_sink(bool (*sink)(void *owner, struct str line), void *owner)
{
	logger.sink = sink ? sink : to_stderr;
	logger.owner = owner;
}

struct json *log_open(enum log_level level, const char *event)
{
	assert(logger.line == LOG_CLOSED);
	buf_reset(&text);
	json_init(&writer, &text);
	if (level < logger.lowest) {
		logger.line = LOG_SKIPPING;
		writer.full = true;
		return &writer;
	}
	logger.line = LOG_WRITING;
	json_open(&writer, NULL, '{');
	json_time(&writer, "time", clock_wall());
	json_str(&writer, "level", str_of(level_names[level]));
	json_str(&writer, "event", str_of(event));
	json_str(&writer, "role", str_of(logger.role));
	json_int(&writer, "index", logger.index);
	return &writer;
}

/*
 * still_open - the closing brackets that a cut line still owes, innermost first, but the outermost
 * one
 */
static size_t still_open(struct str line, char owed[DEPTH])
{
	size_t depth = 0, n = 0;
	bool quoted = false;
	char stack[DEPTH];

	for (size_t i = 0; i < line.n; i++) {
		char c = line.p[i];

		if (quoted && c == '\\')
			i++;
		else if (c == '"')
			quoted = !quoted;
		else if (!quoted && (c == '{' || c == '[')) {
			if (depth < DEPTH)
				stack[depth] = c == '{' ? '}' : ']';
			depth++;
		} else if (!quoted && (c == '}' || c == ']'))
			depth--;
	}
	assert(depth > 0 && depth <= DEPTH);
	while (depth > 1)
		owed[n++] = stack[--depth];
	return n;
}

/* finish - json.c wrote whole values only, so that a cut line lacks nothing but its ends */
static void finish(void)
{
	char owed[DEPTH];
	size_t n = writer.full ? still_open(buf_str(&text), owed) : 0;

	text.cap = text.max = LOG_LINE;
	(void)buf_add(&text, (struct str){ owed, n });
	if (writer.full)
		(void)buf_add(&text, STR(",\"cut\":true"));
	(void)buf_add(&text, STR("}\n"));
	text.cap = text.max = LOG_LINE - TAIL;
}

void log_close(void)
{
	assert(logger.line != LOG_CLOSED);
	if (logger.line == LOG_WRITING) {
		finish();
		(void)logger.sink(logger.owner, buf_str(&text));
	}
	logger.line = LOG_CLOSED;
}

void log_fault(enum log_level level, const char *event, const char *what, const struct fault *why)
{
	struct json *j = log_open(level, event);

	json_str(j, "text", str_of(what));
	if (why) {
		json_str(j, "fault", str_of(why->text));
		if (why->sys)
			json_int(j, "errno", why->sys);
	}
	log_close();
}
