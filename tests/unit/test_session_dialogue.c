/* layer: session */
#include <dirent.h>

#include "session_bed.h"

/*
 * Plays tests/dialogue/<case>.smtp (README.md there has the format) against the real session, over
 * a socket: whole groups, octets one by one, and with every answer of policy a turn late.
 * test_dialogue.c plays them against the pure machine.
 */

#define LINES   256
#define ANSWERS 32
#define BYTES   (256 * 1024)

struct dialogue {
	const char *name;
	struct str lines[LINES];
	size_t n, at;
	bool is_skipped; /* of a kind of session, or with a limit, that has no setting here */
	struct verdict answers[HOOKS][ANSWERS];
	size_t answered[HOOKS], written[HOOKS];
};

static struct dialogue d;

#define FAIL(...)                                                                                  \
	do {                                                                                       \
		print_error("%s:%zu: ", d.name, d.at + 1);                                         \
		fail_msg(__VA_ARGS__);                                                             \
	} while (0)

/* ---- the file */

static bool is_letter(struct str line, char c)
{
	return line.n >= 2 && line.p[0] == c && line.p[1] == ':';
}

static struct str text_of(struct str line)
{
	return str_drop(line, line.n > 2 && line.p[2] == ' ' ? 3 : 2);
}

static struct str word(struct str *text)
{
	struct str head;

	if (str_take(text, ' ', &head))
		return head;
	head = *text;
	*text = STR_NONE;
	return head;
}

/* one_escape - behind the backslash: its octets, and what is left of the line */
static struct str one_escape(struct str text, struct buf *to)
{
	static const char letters[] = "rnt0\\", octets[] = "\r\n\t\0\\";
	const char *known = memchr(letters, text.p[0], sizeof letters - 1);
	struct str number;
	uint64_t times = 0;
	char hex[3] = "";

	if (known) {
		assert_true(buf_byte(to, octets[known - letters]));
		return str_drop(text, 1);
	}
	if (text.p[0] == 'x') {
		(void)str_copy(hex, sizeof hex, str_drop(text, 1));
		assert_true(buf_byte(to, (char)strtoul(hex, NULL, 16)));
		return str_drop(text, 3);
	}
	text = str_drop(text, 1); /* "{70000 x}" */
	assert_true(str_take(&text, ' ', &number) && str_u64(number, BYTES, &times));
	while (times-- > 0)
		assert_true(buf_byte(to, text.p[0]));
	return str_drop(text, 2);
}

static void unescape(struct str text, struct buf *to)
{
	while (text.n > 0) {
		if (text.p[0] != '\\') {
			assert_true(buf_byte(to, text.p[0]));
			text = str_drop(text, 1);
			continue;
		}
		text = str_drop(text, 1);
		if (text.n == 0)
			return;
		text = one_escape(text, to);
	}
	assert_true(buf_add(to, STR("\r\n")));
}

static void read_limit(struct str text)
{
	const struct {
		const char *name;
		uint32_t *small;
		uint64_t *big;
	} table[] = {
		{ "commands", &bed.o.commands, NULL },
		{ "errors", &bed.o.errors, NULL },
		{ "messages", &bed.o.messages, NULL },
		{ "recipients", &bed.o.recipients, NULL },
		{ "command_line", &bed.o.command_line, NULL },
		{ "data_line", &bed.o.data_line, NULL },
		{ "message", NULL, &bed.o.message },
	};
	struct str name = word(&text);
	uint64_t value = 0;

	if (str_eq(name, STR("routing_characters"))) {
		bed.o.routing_characters = true;
		return;
	}
	for (size_t i = 0; i < COUNT(table); i++) {
		if (!str_eq(name, str_of(table[i].name)))
			continue;
		assert_true(str_u64(text, UINT32_MAX, &value));
		if (table[i].small)
			*table[i].small = (uint32_t)value;
		else
			*table[i].big = value;
		return;
	}
	d.is_skipped = true;
}

static void read_answer(struct str text)
{
	static const enum verdict_kind kinds[] = { VERDICT_PASS, VERDICT_DEFER, VERDICT_REJECT,
						   VERDICT_DROP };
	enum policy_hook hook;
	struct str verdict;
	struct verdict v = { .rule = STR("dialogue") };
	uint64_t code = 0;

	assert_true(policy_hook_find(word(&text), &hook));
	assert_true(d.written[hook] < ANSWERS);
	verdict = word(&text);
	for (size_t i = 0; i < COUNT(kinds); i++)
		if (str_eq(verdict, str_of(verdict_name[kinds[i]])))
			v.kind = kinds[i];
	assert_true(v.kind || str_eq(verdict, STR("pass")));
	if (v.kind) {
		assert_true(str_u64(word(&text), 599, &code));
		v.code = (uint16_t)code;
		(void)str_copy(v.esc, sizeof v.esc, word(&text));
		v.text = text;
	}
	d.answers[hook][d.written[hook]++] = v;
}

static void read_dialogue(const char *name, struct str text)
{
	struct str line;

	d = (struct dialogue){ .name = name };
	while (str_take(&text, '\n', &line)) {
		assert_true(d.n < LINES);
		d.lines[d.n++] = line;
		if (is_letter(line, 'L'))
			read_limit(text_of(line));
		if (is_letter(line, 'P'))
			read_answer(text_of(line));
	}
}

/* ---- the play */

/* answer - the next of this hook's queue; "at `rcpt` a `pass` permits the recipient" */
static void answer(struct policy_question *q)
{
	if (d.answered[q->hook] < d.written[q->hook])
		q->verdict = d.answers[q->hook][d.answered[q->hook]++];
	if (q->hook == HOOK_RCPT && q->verdict.kind == VERDICT_PASS)
		q->verdict.kind = VERDICT_ACCEPT;
}

/* reply_length - of the whole reply at the front, 0: it is not there yet */
static size_t reply_length(struct bed_client *c)
{
	struct str all, rest, line;

	client_read(c);
	all = rest = buf_str(&c->got);
	while (str_take(&rest, '\n', &line))
		if (line.n >= 4 && line.p[3] == ' ')
			return all.n - rest.n;
	return 0;
}

static void expect(struct bed_client *c, struct str want)
{
	bool is_any = want.n > 3 && want.p[3] == '-', is_found = false;
	struct str reply, line = STR_NONE;

	if (str_eq(want, STR("closed"))) {
		UNTIL(bed.loop, has_line(c));
		if (!c->is_over || buf_len(&c->got) > 0)
			FAIL("not closed: '%.*s'", STR_ARG(buf_str(&c->got)));
		return;
	}
	UNTIL(bed.loop, reply_length(c) > 0 || c->is_over);
	reply = str_head(buf_str(&c->got), reply_length(c));
	for (struct str rest = reply; str_take(&rest, '\n', &line);) {
		no_false_250(line);
		is_found |= is_any && str_has_prefix(line, str_head(want, 3)) &&
			    str_has_prefix(str_drop(line, 4), str_drop(want, 4));
	}
	if (is_any ? !is_found : !str_has_prefix(line, want))
		FAIL("'%.*s' was said, '%.*s' expected", STR_ARG(reply), STR_ARG(want));
	if (!is_any)
		buf_take(&c->got, reply.n);
}

static void group(struct bed_client *c, size_t piece)
{
	struct buf all;

	buf_init(&all, BYTES);
	while (d.at < d.n && is_letter(d.lines[d.at], 'C'))
		unescape(text_of(d.lines[d.at++]), &all);
	d.at--;
	if (buf_len(&all) > 8192)
		piece = SIZE_MAX;
	for (struct str rest = buf_str(&all); rest.n > 0; rest = str_drop(rest, piece)) {
		say_str(c, str_head(rest, piece));
		turn(bed.loop);
	}
	buf_fini(&all);
}

/* check_message - as it leaves behind our field, with the last one that was answered 250 */
static void check_message(struct buf *want)
{
	struct bed_message *m;
	struct header_field trace;
	struct str header;
	struct buf got;

	if (buf_len(want) == 0)
		return;
	assert_true(bed.spool.nstored > 0);
	m = &bed.spool.stored[bed.spool.nstored - 1];
	header = m->submit.variants[0].header;
	buf_init(&got, BYTES);
	assert_true(buf_add(&got, header) && buf_add(&got, STR("\r\n")) && buf_add(&got, m->body));
	header = buf_str(&got);
	assert_true(header_take(&header, &trace));
	if (!str_eq(header, buf_str(want)))
		FAIL("the message is '%.*s', not '%.*s'", STR_ARG(header), STR_ARG(buf_str(want)));
	buf_fini(&got);
	buf_reset(want);
}

static void play_line(struct bed_client *c, struct buf *want, size_t piece)
{
	struct str line = d.lines[d.at];

	if (is_letter(line, 'C')) {
		check_message(want);
		if (buf_len(&c->got) > 0)
			FAIL("nobody asked for '%.*s'", STR_ARG(buf_str(&c->got)));
		group(c, piece);
	} else if (is_letter(line, 'S')) {
		expect(c, text_of(line));
	} else if (is_letter(line, 'M')) {
		unescape(text_of(line), want);
	}
}

static void play(void **state, const char *name, struct str text, size_t piece, bool is_late)
{
	struct bed_client c;
	struct buf want;

	bed_begin(state);
	read_dialogue(name, text);
	if (d.is_skipped) {
		bed_end(state);
		return;
	}
	for (enum policy_hook hook = 0; hook <= HOOK_MESSAGE_RCPT; hook++)
		bed.policy.act[hook] = answer;
	bed.policy.is_late = is_late;
	bed_options();
	buf_init(&want, BYTES);
	c = client_open();
	for (d.at = 0; d.at < d.n; d.at++)
		play_line(&c, &want, piece);
	check_message(&want);
	if (buf_len(&c.got) > 0)
		FAIL("nobody asked for '%.*s'", STR_ARG(buf_str(&c.got)));
	client_close(&c);
	buf_fini(&want);
	bed_end(state);
}

static struct str file_read(const char *name)
{
	static char text[64 * 1024], path[1024];
	FILE *file;
	size_t n;

	(void)snprintf(path, sizeof path, TESTS "/dialogue/%s", name);
	file = fopen(path, "rb");
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
		struct str text;

		if (!str_has_suffix(str_of(entry->d_name), STR(".smtp")))
			continue;
		text = file_read(entry->d_name);
		play(state, entry->d_name, text, SIZE_MAX, false);
		play(state, entry->d_name, text, 1, false);
		play(state, entry->d_name, text, SIZE_MAX, true);
		if (d.is_skipped)
			print_message("skipped: %s\n", entry->d_name);
		played += !d.is_skipped;
	}
	(void)closedir(dir);
	assert_true(played >= 25);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(every_dialogue_goes_as_written) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
