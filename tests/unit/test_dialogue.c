/* layer: smtp */
#include "check.h"
#include "smtp_server.h"

#include <dirent.h>
#include <unistd.h>

/*
 * Plays tests/dialogue/<case>.smtp (README.md there has the format) against the pure machines: a session with its policy, and
 * no socket. Each file twice: group by group, and octet by octet.
 */

#define LINES 256
#define ANSWERS 32
#define BYTES (256 * 1024)

enum hook { CONNECT, EHLO, MAIL, RCPT, DATA, MESSAGE, MESSAGE_RCPT, HOOKS };
static const char *const hook_names[HOOKS] = { "connect", "ehlo", "mail", "rcpt", "data", "message", "message_rcpt" };

struct dialogue {
	const char *name;
	struct str lines[LINES];
	size_t n;
	struct smtp_limits limits;
	size_t command_line, data_line;
	bool is_lmtp;
	struct smtp_verdict answers[HOOKS][ANSWERS];
	size_t answered[HOOKS], written[HOOKS];
};

struct session {
	struct dialogue *d;
	struct smtp_server server;
	struct smtp_data data;
	struct buf in, out;
	struct buf body, message;       /* what comes, and what was accepted last */
	size_t budget;                  /* of a line that is skipped; 0: none is */
	bool is_closed;
	size_t at;                      /* line of the dialogue */
};

#define FAIL(s, ...)                                                                               \
	do {                                                                                       \
		print_error("%s:%zu: ", (s)->d->name, (s)->at + 1);                                \
		fail_msg(__VA_ARGS__);                                                             \
	} while (0)

/* ---- the file ---- */

static bool is_letter(struct str line, char c)
{
	return line.n >= 2 && line.p[0] == c && line.p[1] == ':';
}

static struct str text_of(struct str line)
{
	return str_drop(line, line.n > 2 && line.p[2] == ' ' ? 3 : 2);
}

static unsigned hex(char c)
{
	return (unsigned)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
}

/* repeat - "\{70000 x}": what follows the brace; returns its length */
static size_t repeat(struct str text, struct buf *to)
{
	struct str number, rest = text;
	uint64_t times = 0;

	assert_true(str_take(&rest, ' ', &number) && str_u64(number, BYTES, &times) && rest.n >= 2 && rest.p[1] == '}');
	while (times-- > 0)
		assert_true(buf_byte(to, rest.p[0]));
	return number.n + 3;
}

/* unescape - the octets of a C: or M: line, CRLF behind them */
static void unescape(struct str text, struct buf *to)
{
	for (size_t i = 0; i < text.n; i++) {
		const char *known;
		static const char letters[] = "rnt0\\", octets[] = "\r\n\t\0\\";

		if (text.p[i] != '\\') {
			assert_true(buf_byte(to, text.p[i]));
			continue;
		}
		if (++i == text.n)
			return;
		known = memchr(letters, text.p[i], sizeof letters - 1);
		if (known) {
			assert_true(buf_byte(to, octets[known - letters]));
		} else if (text.p[i] == 'x' && i + 2 < text.n) {
			assert_true(buf_byte(to, (char)(hex(text.p[i + 1]) * 16 + hex(text.p[i + 2]))));
			i += 2;
		} else {
			assert_int_equal(text.p[i], '{');
			i += repeat(str_drop(text, i + 1), to);
		}
	}
	assert_true(buf_add(to, STR("\r\n")));
}

static void read_limit(struct dialogue *d, struct str text)
{
	const struct {
		const char *name;
		uint32_t *small;
		uint64_t *big;
		size_t *size;
		bool *flag;
	} table[] = {
		{ "commands", &d->limits.commands, NULL, NULL, NULL },
		{ "errors", &d->limits.errors, NULL, NULL, NULL },
		{ "refusals", &d->limits.refusals, NULL, NULL, NULL },
		{ "junk", &d->limits.junk, NULL, NULL, NULL },
		{ "messages", &d->limits.messages, NULL, NULL, NULL },
		{ "recipients", &d->limits.recipients, NULL, NULL, NULL },
		{ "message", NULL, &d->limits.size, NULL, NULL },
		{ "command_line", NULL, NULL, &d->command_line, NULL },
		{ "data_line", NULL, NULL, &d->data_line, NULL },
		{ "routing_characters", NULL, NULL, NULL, &d->limits.routing },
		{ "lmtp", NULL, NULL, NULL, &d->is_lmtp },
	};
	uint64_t value = 0;
	struct str name;

	assert_true(str_take(&text, ' ', &name));
	assert_true(str_eq(text, STR("yes")) || str_u64(text, UINT32_MAX, &value));
	for (size_t i = 0; i < COUNT(table); i++) {
		if (!str_eq(name, str_of(table[i].name)))
			continue;
		if (table[i].small)
			*table[i].small = (uint32_t)value;
		if (table[i].big)
			*table[i].big = value;
		if (table[i].size)
			*table[i].size = (size_t)value;
		if (table[i].flag)
			*table[i].flag = true;
		return;
	}
	fail_msg("%s: no limit %.*s", d->name, STR_ARG(name));
}

/* word - the next one of a P: line; empty at its end */
static struct str word(struct str *text)
{
	struct str head;

	if (str_take(text, ' ', &head))
		return head;
	head = *text;
	*text = STR_NONE;
	return head;
}

static void read_answer(struct dialogue *d, struct str text)
{
	struct str hook = word(&text), verdict = word(&text), code = word(&text);
	struct smtp_verdict v = { .is_drop = str_eq(verdict, STR("drop")) };
	uint64_t number = 0;
	size_t i = 0;

	while (i < HOOKS && !str_eq(hook, str_of(hook_names[i])))
		i++;
	if (i == HOOKS || d->written[i] == ANSWERS)
		fail_msg("%s: hook %.*s", d->name, STR_ARG(hook));
	if (!str_eq(verdict, STR("pass"))) {
		assert_true(str_u64(code, 599, &number) && number >= 400);
		v.code = (uint16_t)number;
		v.esc = word(&text);
		v.text = text;
	}
	d->answers[i][d->written[i]++] = v;
}

static void read_dialogue(struct dialogue *d, struct str text)
{
	struct str line;

	d->limits = smtp_limits_default;
	d->command_line = SMTP_LINE_MAX;
	d->data_line = SMTP_DATA_LINE;
	while (str_take(&text, '\n', &line)) {
		assert_true(d->n < LINES);
		d->lines[d->n++] = line;
		if (is_letter(line, 'L'))
			read_limit(d, text_of(line));
		else if (is_letter(line, 'P'))
			read_answer(d, text_of(line));
		else if (line.n && line.p[0] != '#' && !is_letter(line, 'C') && !is_letter(line, 'S') && !is_letter(line, 'M'))
			fail_msg("%s:%zu: what is this?", d->name, d->n);
	}
	assert_int_equal(text.n, 0);
}

/* ---- the session: what session/ does, without a connection ---- */

static struct smtp_verdict ask(struct dialogue *d, enum hook hook)
{
	if (d->answered[hook] == d->written[hook])
		return (struct smtp_verdict){ 0 };
	return d->answers[hook][d->answered[hook]++];
}

static enum hook hook_of(enum smtp_question asking)
{
	static const enum hook hooks[] = {
		[SMTP_ASK_CONNECT] = CONNECT, [SMTP_ASK_HELLO] = EHLO, [SMTP_ASK_MAIL] = MAIL,
		[SMTP_ASK_RCPT] = RCPT,       [SMTP_ASK_DATA] = DATA,  [SMTP_ASK_MESSAGE] = MESSAGE,
	};

	return hooks[asking];
}

/* commit - the message is "durable": it is what M: lines are compared with */
static struct smtp_todo commit(struct session *s)
{
	buf_reset(&s->message);
	assert_true(buf_add(&s->message, buf_str(&s->body)));
	return smtp_server_durable(&s->server, STR("queued"));
}

static struct smtp_todo answer(struct session *s)
{
	bool is_message = s->server.asking == SMTP_ASK_MESSAGE;
	bool is_first = s->server.owed == (s->d->is_lmtp ? s->server.recipients : 1);
	struct smtp_verdict v = { 0 };

	if (!is_message || is_first)
		v = ask(s->d, hook_of(s->server.asking));
	if (is_message && v.code == 0 && s->d->is_lmtp)
		v = ask(s->d, MESSAGE_RCPT);
	return is_message && v.code == 0 ? commit(s) : smtp_server_verdict(&s->server, &v);
}

/* carry_out - a todo, and the questions that follow from it */
static void carry_out(struct session *s, struct smtp_todo todo)
{
	do {
		smtp_server_check(&s->server);
		if (todo.what == SMTP_ASK)
			todo = answer(s);
		smtp_server_check(&s->server);
		assert_true(smtp_server_write(&s->server, &todo, &s->out));
		if (todo.what == SMTP_REPLY_BODY) {
			buf_reset(&s->body);
			smtp_data_init(&s->data, s->d->data_line, s->d->limits.size);
		}
		s->is_closed = todo.what == SMTP_REPLY_CLOSE;
		todo.what = SMTP_ASK;
	} while (s->server.asking == SMTP_ASK_MESSAGE);
}

static void take_body(struct session *s, struct str *in)
{
	struct str out;

	while (smtp_data_next(&s->data, in, &out))
		assert_true(buf_add(&s->body, out));
	if (smtp_data_is_over(&s->data))
		carry_out(s, smtp_server_end(&s->server, s->data.flaw));
}

/* take_line - one command; false: there is none yet */
static bool take_line(struct session *s, struct str *in)
{
	struct smtp_command command;
	struct smtp_line line;
	enum step got;

	if (s->budget > 0) {
		got = smtp_line_skip(in, &s->budget);
		if (got == STEP_ERROR)
			carry_out(s, smtp_server_stop(&s->server, SMTP_STOP_TROUBLE));
		s->budget = got == STEP_MORE ? s->budget : 0;
		return got != STEP_MORE;
	}
	got = smtp_line_take(in, s->d->command_line, &line);
	if (got == STEP_DONE) {
		smtp_command_parse(line.text, smtp_server_offers(&s->server), &command);
		carry_out(s, smtp_server_command(&s->server, &command));
	} else if (got == STEP_ERROR) {
		s->budget = line.flaw == SMTP_LINE_TOO_LONG ? SMTP_LINE_SKIP : 0;
		carry_out(s, smtp_server_line(&s->server, line.flaw));
	}
	return got != STEP_MORE;
}

static void pump(struct session *s)
{
	for (;;) {
		struct str whole = heap_copy(buf_str(&s->in)), in = whole;
		bool again = !s->is_closed && in.n > 0;

		if (again && s->server.phase == SMTP_BODY)
			take_body(s, &in);
		else if (again)
			again = take_line(s, &in);
		buf_take(&s->in, whole.n - in.n);
		heap_free(whole);
		if (!again)
			return;
	}
}

/* ---- the play ---- */

/* reply_take - the lines of the server's next reply, its last CRLF included */
static bool reply_take(struct session *s, struct str *reply)
{
	struct str out = buf_str(&s->out), line;

	*reply = out;
	while (str_take(&out, '\n', &line)) {
		assert_true(line.n >= 4 && str_has_suffix(line, STR("\r")));
		reply->n = (size_t)(out.p - reply->p);
		if (line.p[3] == ' ')
			return true;
	}
	return false;
}

static void expect_some_line(struct session *s, struct str reply, struct str want)
{
	struct str line;

	while (str_take(&reply, '\n', &line))
		if (str_has_prefix(line, str_head(want, 3)) && str_has_prefix(str_drop(line, 4), str_drop(want, 4)))
			return;
	FAIL(s, "no line of the reply begins with '%.*s'", STR_ARG(want));
}

static void expect(struct session *s, struct str want)
{
	struct str reply, last, rest;

	if (str_eq(want, STR("closed"))) {
		if (!s->is_closed || buf_len(&s->out) > 0)
			FAIL(s, "not closed, or something is left: '%.*s'", STR_ARG(buf_str(&s->out)));
		return;
	}
	if (!reply_take(s, &reply))
		FAIL(s, "no reply, but '%.*s' was expected", STR_ARG(want));
	if (want.n > 3 && want.p[3] == '-') {
		expect_some_line(s, reply, want);
		return;
	}
	for (rest = reply; str_take(&rest, '\n', &last);)
		;
	if (!str_has_prefix(last, want))
		FAIL(s, "'%.*s' was said, but '%.*s' was expected", STR_ARG(last), STR_ARG(want));
	buf_take(&s->out, reply.n);
}

/* send - a group of C: lines in one write, or octet by octet */
static void send(struct session *s, bool is_trickle)
{
	struct buf group;
	struct str all;

	buf_init(&group, BYTES);
	while (s->at < s->d->n && is_letter(s->d->lines[s->at], 'C'))
		unescape(text_of(s->d->lines[s->at++]), &group);
	s->at--;
	for (all = buf_str(&group); all.n > 0;) {
		struct str piece = is_trickle ? str_head(all, 1) : all;

		if (!s->is_closed)
			assert_true(buf_add(&s->in, piece));
		all = str_drop(all, piece.n);
		pump(s);
	}
	buf_fini(&group);
}

static void check_message(struct session *s, struct buf *want)
{
	if (buf_len(want) > 0 && !str_eq(buf_str(want), buf_str(&s->message)))
		FAIL(s, "the message is '%.*s'", STR_ARG(buf_str(&s->message)));
	buf_reset(want);
}

static void play_line(struct session *s, struct buf *want, bool is_trickle)
{
	struct str line = s->d->lines[s->at];

	if (is_letter(line, 'C')) {
		check_message(s, want);
		if (buf_len(&s->out) > 0)
			FAIL(s, "nobody asked for '%.*s'", STR_ARG(buf_str(&s->out)));
		send(s, is_trickle);
	} else if (is_letter(line, 'S')) {
		expect(s, text_of(line));
	} else if (is_letter(line, 'M')) {
		unescape(text_of(line), want);
	}
}

static void play(struct dialogue *d, bool is_trickle)
{
	struct session s = { .d = d };
	struct buf want;

	memset(d->answered, 0, sizeof d->answered);
	buf_init(&s.in, BYTES);
	buf_init(&s.out, BYTES);
	buf_init(&s.body, BYTES);
	buf_init(&s.message, BYTES);
	buf_init(&want, BYTES);
	smtp_server_init(&s.server, STR("mx.example"), &d->limits, d->is_lmtp);
	carry_out(&s, smtp_server_connect(&s.server));
	for (s.at = 0; s.at < d->n; s.at++)
		play_line(&s, &want, is_trickle);
	check_message(&s, &want);
	if (buf_len(&s.out) > 0)
		FAIL(&s, "nobody asked for '%.*s'", STR_ARG(buf_str(&s.out)));
	for (size_t i = 0; i < HOOKS; i++)
		if (d->answered[i] != d->written[i])
			FAIL(&s, "hook %s was asked %zu times", hook_names[i], d->answered[i]);
	buf_fini(&s.in);
	buf_fini(&s.out);
	buf_fini(&s.body);
	buf_fini(&s.message);
	buf_fini(&want);
}

static struct str file_read(const char *path)
{
	static char text[64 * 1024];
	FILE *file = fopen(path, "rb");
	size_t n;

	assert_non_null(file);
	n = fread(text, 1, sizeof text, file);
	assert_true(n < sizeof text);
	(void)fclose(file);
	return (struct str){ text, n };
}

TEST(every_dialogue_goes_as_written)
{
	DIR *dir = opendir(TESTS "/dialogue");
	unsigned played = 0;

	assert_non_null(dir);
	for (struct dirent *entry; (entry = readdir(dir));) {
		static struct dialogue d;
		char path[1024];

		if (!str_has_suffix(str_of(entry->d_name), STR(".smtp")))
			continue;
		(void)snprintf(path, sizeof path, TESTS "/dialogue/%s", entry->d_name);
		d = (struct dialogue){ .name = entry->d_name };
		read_dialogue(&d, file_read(path));
		play(&d, false);
		play(&d, true);
		played++;
	}
	(void)closedir(dir);
	assert_true(played >= 25);
}

/* The raw input that found something in another server: every line one reply, no second message, no crash. */
TEST(raw_input_of_the_corpus_gets_its_replies)
{
	unsigned played = 0;

	for (unsigned i = 1; i <= 6; i++) {
		static struct dialogue d;
		struct session s = { .d = &d };
		char path[1024];

		(void)snprintf(path, sizeof path, TESTS "/../../shared/corpora/smtp-input-seeds/seed-%02u.txt", i);
		if (access(path, R_OK) != 0)
			continue;
		d = (struct dialogue){ .name = path };
		read_dialogue(&d, STR_NONE);
		buf_init(&s.in, BYTES);
		buf_init(&s.out, BYTES);
		buf_init(&s.body, BYTES);
		buf_init(&s.message, BYTES);
		smtp_server_init(&s.server, STR("mx.example"), &d.limits, false);
		carry_out(&s, smtp_server_connect(&s.server));
		assert_true(buf_add(&s.in, file_read(path)));
		pump(&s);
		CHECK(i, s.is_closed);          /* they all use bare LF */
		CHECK_STR(i, buf_str(&s.out), STR("220 mx.example ESMTP\r\n500 5.5.2 a LF without CR\r\n"));
		buf_fini(&s.in);
		buf_fini(&s.out);
		buf_fini(&s.body);
		buf_fini(&s.message);
		played++;
	}
	if (played == 0) {
		print_message("no corpus: smtp-input-seeds\n");
		skip();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_dialogue_goes_as_written),
		cmocka_unit_test(raw_input_of_the_corpus_gets_its_replies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
