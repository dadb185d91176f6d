#include "cli.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "admin_wire.h"
#include "fault.h"
#include "json.h"
#include "settings_eval.h"

/* Bytes of an answer that may wait for a slow reader of ours, like a pager. */
#define AHEAD (64 * 1024 * 1024)

/* ---- where ---------------------------------------------------------------------------------- */

static bool take_path(char *path, size_t size, struct str value)
{
	if (str_copy(path, size, value) == value.n)
		return true;
	(void)fprintf(stderr, "moongate: the path of the control socket is too long\n");
	return false;
}

bool cli_settings(const struct cli *c, struct settings *settings, struct arena *arena)
{
	static struct settings_source source;
	struct buf errors;
	bool good;

	buf_init(&errors, 1024 * 1024);
	good = settings_source_read(&source, str_of(c->settings), arena) &&
	       settings_eval(settings, &source);
	if (!good) {
		settings_source_report(&source, &errors);
		(void)fprintf(stderr, "%.*s", STR_ARG(buf_str(&errors)));
	}
	buf_fini(&errors);
	return good;
}

bool cli_control_path(const struct cli *c, char *path, size_t size)
{
	static struct settings settings;
	struct arena arena;
	bool good;

	if (c->control)
		return take_path(path, size, str_of(c->control));
	if (!c->has_settings && access(c->settings, R_OK) < 0)
		return take_path(path, size, STR(CLI_CONTROL));
	arena_init(&arena, CLI_SETTINGS_MEMORY);
	good = cli_settings(c, &settings, &arena) && take_path(path, size, settings.control);
	arena_fini(&arena);
	return good;
}

static int connect_to(const char *path, int *code)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd = -1;

	if (!take_path(to.sun_path, sizeof to.sun_path, str_of(path))) {
		*code = EX_CONFIG;
		return -1;
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (const struct sockaddr *)&to, sizeof to) == 0)
		return fd;
	*code = errno == EACCES || errno == EPERM ? EX_NOPERM : EX_UNAVAILABLE;
	(void)fprintf(stderr, "moongate: no daemon at %s: %s\n", path, strerror(errno));
	if (fd >= 0)
		(void)close(fd);
	return -1;
}

/* ---- the question --------------------------------------------------------------------------- */

static bool make_request(const struct cli *c, struct buf *out)
{
	struct str words[CLI_ARGS + 3];
	unsigned n = 0;

	words[n++] = str_of(c->command->noun);
	if (c->command->verb)
		words[n++] = str_of(c->command->verb);
	for (unsigned i = 0; i < c->nargs; i++)
		words[n++] = str_of(c->args[i]);
	if (c->json)
		words[n++] = STR("--json");
	return admin_wire_request(out, words, n);
}

/* is_one - a single message, by its id, or nothing at all */
static bool is_one(const struct cli *c)
{
	bool is_many = c->nargs != 1;

	for (unsigned i = 0; i < c->nargs; i++) {
		if (strcmp(c->args[i], "--dry-run") == 0)
			return true;
		is_many |= strcmp(c->args[i], "all") == 0 || strpbrk(c->args[i], "=~<>") != NULL;
	}
	return !is_many;
}

/* is_meant - what cannot be undone and has no single name is asked for twice */
static bool is_meant(const struct cli *c)
{
	char reply[8] = "";

	if (c->yes || strcmp(c->command->verb ? c->command->verb : "", "drop") != 0 || is_one(c))
		return true;
	if (!isatty(STDIN_FILENO)) {
		(void)fprintf(
			stderr,
			"moongate: this drops messages for good; say --yes if it is meant, or "
			"--dry-run to see which\n");
		return false;
	}
	(void)fprintf(stderr, "moongate: drop all messages that match, for good? [y/N] ");
	return fgets(reply, sizeof reply, stdin) && (reply[0] == 'y' || reply[0] == 'Y');
}

static bool send_all(int fd, struct str s)
{
	while (s.n) {
		ssize_t n = send(fd, s.p, s.n, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		s = str_drop(s, (size_t)n);
	}
	return true;
}

/* ---- the answer ----------------------------------------------------------------------------- */

struct answer {
	int fd, to; /* to: standard output, or error for a refusal */
	unsigned code;
	bool is_complete, is_eof;
	bool wants_json, is_begun, is_words; /* words: kept whole until they can be told as JSON */
	struct buf in, out;
};

static void begin(struct answer *a, struct str text)
{
	if (a->is_begun || !text.n)
		return;
	a->is_begun = true;
	a->is_words = a->wants_json && text.p[0] != '{' && text.p[0] != '[';
}

/* tell_words - an answer that is a sentence, as {"exit":0,"text":"1 held"} */
static void tell_words(struct answer *a)
{
	struct str text = buf_str(&a->out);
	struct buf line;
	struct json j;

	buf_init(&line, AHEAD);
	if (text.p[text.n - 1] == '\n')
		text.n--;
	json_init(&j, &line);
	json_open(&j, NULL, '{');
	json_int(&j, "exit", a->code);
	json_str(&j, "text", text);
	json_close(&j, '}');
	(void)buf_byte(&line, '\n');
	buf_reset(&a->out);
	(void)buf_add(&a->out, buf_str(&line));
	buf_fini(&line);
}

static bool take_chunks(struct answer *a)
{
	enum step step = STEP_DONE;

	while (!a->is_complete && step == STEP_DONE) {
		struct str rest = buf_str(&a->in), text;

		step = admin_wire_chunk_take(&rest, &a->code, &text);
		if (step == STEP_ERROR)
			return false;
		if (step == STEP_MORE)
			break;
		begin(a, text);
		(void)buf_add(&a->out, text);
		buf_take(&a->in, buf_len(&a->in) - rest.n);
		a->is_complete = a->code != ADMIN_MORE;
	}
	if (a->is_complete && a->is_words)
		tell_words(a);
	return true;
}

static bool read_some(struct answer *a)
{
	char *to = buf_space(&a->in, 4096);
	ssize_t n;

	if (!to)
		return false;
	n = read(a->fd, to, 4096);
	if (n < 0)
		return errno == EINTR;
	buf_wrote(&a->in, (size_t)n);
	a->is_eof = n == 0;
	return take_chunks(a);
}

static bool write_some(struct answer *a)
{
	struct str s = str_head(buf_str(&a->out), PIPE_BUF);
	ssize_t n = write(a->to, s.p, s.n);

	if (n < 0)
		return errno == EINTR || errno == EAGAIN;
	buf_take(&a->out, (size_t)n);
	return true;
}

/* copy - the daemon is read on while our own reader is slow, up to AHEAD */
static bool copy(struct answer *a)
{
	while (!(a->is_complete || a->is_eof) || buf_len(&a->out)) {
		bool is_over = a->is_complete || a->is_eof;
		bool reads = !is_over && buf_room(&a->out) > ADMIN_CHUNK;
		bool writes = is_over || !a->is_words;
		struct pollfd p[2] = {
			{ reads ? a->fd : -1, POLLIN, 0 },
			{ buf_len(&a->out) && writes ? a->to : -1, POLLOUT, 0 },
		};

		if (poll(p, 2, -1) < 0 && errno != EINTR)
			return false;
		if (p[0].revents && !read_some(a))
			return false;
		if (p[1].revents && !write_some(a))
			return false;
	}
	return a->is_complete;
}

int cli_ask(const struct cli *c)
{
	struct answer a = {
		.to = STDOUT_FILENO,
		.code = EX_UNAVAILABLE,
		.wants_json = c->json,
	};
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	struct buf request;
	int code = EX_CONFIG;

	buf_init(&request, ADMIN_REQUEST);
	buf_init(&a.in, 2 * ADMIN_CHUNK + 4096);
	buf_init(&a.out, AHEAD);
	if (!make_request(c, &request)) {
		(void)fprintf(stderr, "moongate: these words cannot be sent\n");
		code = EX_USAGE;
		goto out;
	}
	if (!is_meant(c)) {
		code = EX_USAGE;
		goto out;
	}
	if (!cli_control_path(c, path, sizeof path) || (a.fd = connect_to(path, &code)) < 0)
		goto out;
	if (send_all(a.fd, buf_str(&request)) && copy(&a)) {
		code = (int)a.code;
	} else {
		(void)fprintf(stderr, "moongate: the answer ended too early\n");
		code = EX_IOERR;
	}
	(void)close(a.fd);
out:
	buf_fini(&request);
	buf_fini(&a.in);
	buf_fini(&a.out);
	return code;
}
