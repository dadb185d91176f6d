/* layer: smtp */
/*
 * Whole sessions against a reference model. The input is a list of moves; each names a line of the table below (and how it is
 * cut), and the verdicts come from the input as well. The machine and the model see the same; codes and questions must agree.
 * The model knows of the table's lines only what stands beside them, and nothing of the machine.
 */
#include "smtp_reply.h"
#include "smtp_server.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool holds)
{
	if (!holds)
		abort();
}

enum kind { HELO, EHLO, LHLO, MAIL, RCPT, DATA, RSET, NOOP, VRFY, HELP, QUIT, OTHER, LONG, BROKEN, FOREIGN };

/* clang-format off */
static const struct move {
	struct str line;
	enum kind kind;
	int form;               /* what its form earns; 0: nothing is wrong with it */
	bool has_params;        /* of extensions */
} moves[] = {
	{ STR("HELO c\r\n"), HELO, 0, 0 }, { STR("HELO\r\n"), HELO, 501, 0 }, { STR("EHLO c\r\n"), EHLO, 0, 0 },
	{ STR("EHLO a\x01\r\n"), EHLO, 501, 0 }, { STR("LHLO c\r\n"), LHLO, 0, 0 },
	{ STR("MAIL FROM:<a@b.example>\r\n"), MAIL, 0, 0 }, { STR("MAIL FROM:<>\r\n"), MAIL, 0, 0 },
	{ STR("MAIL FROM:<> SIZE=5 BODY=7BIT\r\n"), MAIL, 0, 1 }, { STR("MAIL FROM:<> SIZE=101\r\n"), MAIL, 552, 1 },
	{ STR("MAIL FROM:<> X=1\r\n"), MAIL, 555, 0 }, { STR("MAIL FROM:a\r\n"), MAIL, 501, 0 },
	{ STR("MAIL FROM:<\xc3\xa9@b.example>\r\n"), MAIL, 553, 0 },
	{ STR("RCPT TO:<a@b.example>\r\n"), RCPT, 0, 0 }, { STR("RCPT TO:<postmaster>\r\n"), RCPT, 0, 0 },
	{ STR("RCPT TO:<a%c@b.example>\r\n"), RCPT, 550, 0 }, { STR("RCPT TO:<>\r\n"), RCPT, 501, 0 },
	{ STR("RCPT TO:<a@b.example> SIZE=1\r\n"), RCPT, 555, 0 },
	{ STR("DATA\r\n"), DATA, 0, 0 }, { STR("DATA x\r\n"), DATA, 501, 0 },
	{ STR("RSET\r\n"), RSET, 0, 0 }, { STR("NOOP\r\n"), NOOP, 0, 0 }, { STR("VRFY x\r\n"), VRFY, 0, 0 }, { STR("VRFY\r\n"), VRFY, 501, 0 },
	{ STR("HELP\r\n"), HELP, 0, 0 }, { STR("QUIT\r\n"), QUIT, 0, 0 }, { STR("QUIT x\r\n"), QUIT, 501, 0 },
	{ STR(".\r\n"), OTHER, 500, 0 }, { STR("..\r\n"), OTHER, 500, 0 }, { STR("what\r\n"), OTHER, 500, 0 }, { STR("\r\n"), OTHER, 500, 0 },
	{ STR("EXPN x\r\n"), OTHER, 502, 0 }, { STR("STARTTLS\r\n"), OTHER, 502, 0 }, { STR("GET /\r\n"), FOREIGN, 500, 0 },
	{ STR("NOOP 0123456789012345678901234567890123456789012345678901234567890\r\n"), LONG, 500, 0 },
	{ STR("NOOP\n.\r\n"), BROKEN, 500, 0 }, { STR(".\n"), BROKEN, 500, 0 }, { STR("NO\rOP\r\n"), BROKEN, 500, 0 }, { STR("NO\0OP\r\n"), BROKEN, 500, 0 },
};
/* clang-format on */

#define MOVES (sizeof moves / sizeof moves[0])
#define LINE 64
#define DATA_LINE 40
static const struct smtp_limits limits = {
	.commands = 30, .errors = 6, .refusals = 4, .junk = 5, .messages = 3, .recipients = 2, .size = 100,
};

/* What one side did: codes it said, questions it asked. */
struct trace {
	int codes[64];
	size_t ncodes;
	char asked[64];
	size_t nasked;
	bool closed;
};

/* Verdicts: a byte of the input each; the same list for both sides. */
struct verdicts {
	const uint8_t *p;
	size_t n, at;
};

static struct smtp_verdict next_verdict(struct verdicts *v)
{
	uint8_t b = v->at < v->n ? v->p[v->at++] : 0;
	static const uint16_t codes[] = { 0, 0, 0, 0, 550, 450, 421, 554 };

	return (struct smtp_verdict){ .code = codes[b & 7], .is_drop = codes[b & 7] && b & 8 };
}

/* ---- the model ---- */

struct model {
	bool lmtp, denied, hello, esmtp, sender, body, at_start, spoilt, big, heavy;
	unsigned rcpts, commands, errors, refusals, junk, messages;
	size_t octets;
	struct verdicts v;
	struct trace t;
};

static void says(struct model *m, int code, bool close)
{
	m->t.codes[m->t.ncodes++] = code;
	m->t.closed = close;
}

static void wrong(struct model *m, int code)
{
	m->errors++;
	says(m, m->errors == limits.errors ? 421 : code, m->errors == limits.errors);
}

/* asks - true: yes; else the refusal was said */
static bool asks(struct model *m, char what)
{
	struct smtp_verdict v = next_verdict(&m->v);
	bool close = v.is_drop || v.code == 421;

	m->t.asked[m->t.nasked++] = what;
	if (v.code == 0)
		return true;
	if (!close && v.code >= 500 && (what == 'm' || what == 'r') && ++m->refusals == limits.refusals) {
		says(m, 421, true);
		return false;
	}
	says(m, v.code, close);
	return false;
}

static void refuses(struct model *m, int code)
{
	if (code >= 500 && ++m->refusals == limits.refusals)
		says(m, 421, true);
	else
		says(m, code, false);
}

static void forget(struct model *m)
{
	m->sender = false;
	m->rcpts = 0;
}

static void model_hello(struct model *m, const struct move *mv)
{
	if (mv->form)
		wrong(m, mv->form);
	else if (asks(m, 'h')) {
		m->hello = true;
		m->esmtp = mv->kind != HELO;
		forget(m);
		says(m, 250, false);
	}
}

static void model_mail(struct model *m, const struct move *mv)
{
	if (!m->hello || m->sender)
		wrong(m, 503);
	else if (mv->has_params && !m->esmtp)
		wrong(m, 555);
	else if (mv->form && mv->form != 552)
		wrong(m, mv->form);
	else if (m->messages == limits.messages)
		says(m, 421, true);
	else if (mv->form)
		refuses(m, mv->form);
	else if (asks(m, 'm')) {
		m->messages++;
		m->sender = true;
		says(m, 250, false);
	}
}

static void model_rcpt(struct model *m, const struct move *mv)
{
	if (!m->sender)
		wrong(m, 503);
	else if (mv->form && mv->form != 550)
		wrong(m, mv->form);
	else if (mv->form)
		refuses(m, mv->form);
	else if (m->rcpts == limits.recipients)
		refuses(m, 452);
	else if (asks(m, 'r')) {
		m->rcpts++;
		says(m, 250, false);
	}
}

static void model_data(struct model *m, const struct move *mv)
{
	if (m->rcpts == 0)
		wrong(m, 503);
	else if (mv->form)
		wrong(m, mv->form);
	else if (asks(m, 'd')) {
		m->body = m->at_start = true;
		m->spoilt = m->big = m->heavy = false;
		m->octets = 0;
		says(m, 354, false);
	}
}

/* model_end - the replies behind the data; LMTP: one each */
static void model_end(struct model *m)
{
	unsigned replies = m->lmtp ? m->rcpts : 1;

	m->body = false;
	for (unsigned i = 0; i < replies && !m->t.closed; i++) {
		if (m->spoilt || m->big || m->heavy)
			says(m, m->heavy ? 552 : 554, m->spoilt && i + 1 == replies);
		else if (asks(m, 'e')) {
			m->junk = 0;
			says(m, 250, false);
		}
	}
	forget(m);
}

/* model_body - a line of the message: the first flaw is the one that counts */
static void model_body(struct model *m, const struct move *mv)
{
	size_t n = mv->line.n, stuffed = m->at_start && mv->line.p[0] == '.';
	bool flawed = m->spoilt || m->big || m->heavy;

	if (m->at_start && str_eq(mv->line, STR(".\r\n"))) {
		model_end(m);
		return;
	}
	if (!flawed && mv->kind == BROKEN) {
		size_t good = str_eq(mv->line, STR("NOOP\n.\r\n")) ? 4 : str_eq(mv->line, STR(".\n")) ? 1 : mv->line.p[2] == '\r' ? 3 : 2;

		m->heavy = m->octets + good - stuffed > limits.size;
		m->spoilt = !m->heavy;
	} else if (!flawed) {
		m->big = n - stuffed > DATA_LINE && limits.size - m->octets >= DATA_LINE;
		m->heavy = !m->big && m->octets + n - stuffed > limits.size;
		m->octets += n - stuffed;
	}
	m->at_start = mv->line.p[n - 2] == '\r';
}

static void model_move(struct model *m, const struct move *mv)
{
	bool other_hello = m->lmtp ? mv->kind == HELO || mv->kind == EHLO : mv->kind == LHLO;
	bool junk = (mv->kind <= LHLO && m->hello) || mv->kind == RSET || mv->kind == NOOP || mv->kind == VRFY || mv->kind == HELP;
	static const int yes[] = { [RSET] = 250, [NOOP] = 250, [VRFY] = 252, [HELP] = 214, [QUIT] = 221 };

	if (m->body) {
		model_body(m, mv);
		return;
	}
	if (++m->commands > limits.commands || (junk && ++m->junk > limits.junk))
		says(m, 421, true);
	else if (mv->kind == BROKEN || mv->kind == FOREIGN)
		says(m, 500, true);
	else if (mv->kind == LONG || mv->kind == OTHER || other_hello)
		wrong(m, other_hello ? 500 : mv->form);
	else if (m->denied && mv->kind != QUIT)
		wrong(m, 503);
	else if (mv->kind <= LHLO)
		model_hello(m, mv);
	else if (mv->kind == MAIL)
		model_mail(m, mv);
	else if (mv->kind == RCPT)
		model_rcpt(m, mv);
	else if (mv->kind == DATA)
		model_data(m, mv);
	else if (mv->form)
		wrong(m, mv->form);
	else {
		if (mv->kind == RSET)
			forget(m);
		says(m, yes[mv->kind], mv->kind == QUIT);
	}
}

/* ---- the machine ---- */

struct machine {
	struct smtp_server s;
	struct smtp_data d;
	struct verdicts v;
	struct trace t;
	struct buf in, out;
	size_t skipping;
};

static void note_replies(struct machine *m)
{
	struct str out = buf_str(&m->out), line;

	while (str_take(&out, '\n', &line)) {
		check(line.n >= 5 && line.p[line.n - 1] == '\r' && line.n < SMTP_REPLY_WIDTH);
		if (line.p[3] == ' ')
			m->t.codes[m->t.ncodes++] = (line.p[0] - '0') * 100 + (line.p[1] - '0') * 10 + (line.p[2] - '0');
	}
	check(out.n == 0);
	buf_reset(&m->out);
}

static void carry_out(struct machine *m, struct smtp_todo todo)
{
	static const char letters[] = { [SMTP_ASK_CONNECT] = 'c', [SMTP_ASK_HELLO] = 'h', [SMTP_ASK_MAIL] = 'm', [SMTP_ASK_RCPT] = 'r', [SMTP_ASK_DATA] = 'd', [SMTP_ASK_MESSAGE] = 'e' };

	do {
		smtp_server_check(&m->s);
		if (todo.what == SMTP_ASK) {
			struct smtp_verdict v = next_verdict(&m->v);

			m->t.asked[m->t.nasked++] = letters[m->s.asking];
			todo = m->s.asking == SMTP_ASK_MESSAGE && v.code == 0 ? smtp_server_durable(&m->s, STR_NONE) : smtp_server_verdict(&m->s, &v);
		}
		smtp_server_check(&m->s);
		check(smtp_server_write(&m->s, &todo, &m->out));
		if (todo.what == SMTP_REPLY_BODY)
			smtp_data_init(&m->d, DATA_LINE, limits.size);
		m->t.closed = todo.what == SMTP_REPLY_CLOSE;
		check(m->t.closed == (m->s.phase == SMTP_OVER));
		todo.what = SMTP_ASK;
	} while (m->s.asking == SMTP_ASK_MESSAGE);
	note_replies(m);
}

static bool take_line(struct machine *m, struct str *in)
{
	struct smtp_command c;
	struct smtp_line line;
	enum step got;

	if (m->skipping) {
		got = smtp_line_skip(in, &m->skipping);
		check(got != STEP_ERROR);
		m->skipping = got == STEP_DONE ? 0 : m->skipping;
		return got == STEP_DONE;
	}
	got = smtp_line_take(in, LINE, &line);
	if (got == STEP_DONE) {
		smtp_command_parse(line.text, smtp_server_offers(&m->s), &c);
		carry_out(m, smtp_server_command(&m->s, &c));
	} else if (got == STEP_ERROR) {
		m->skipping = line.flaw == SMTP_LINE_TOO_LONG ? 1000 : 0;
		carry_out(m, smtp_server_line(&m->s, line.flaw));
	}
	return got != STEP_MORE;
}

static void pump(struct machine *m)
{
	bool again = true;

	while (again && !m->t.closed && buf_len(&m->in) > 0) {
		size_t n = buf_len(&m->in);
		char *copy = malloc(n);
		struct str in = { copy, n }, out;

		check(copy);
		memcpy(copy, buf_str(&m->in).p, n);
		if (m->s.phase == SMTP_BODY) {
			while (smtp_data_next(&m->d, &in, &out))
				;
			if (smtp_data_is_over(&m->d))
				carry_out(m, smtp_server_end(&m->s, m->d.flaw));
		} else {
			again = take_line(m, &in);
		}
		buf_take(&m->in, n - in.n);
		free(copy);
	}
}

static void feed(struct machine *m, struct str line, size_t piece)
{
	while (line.n > 0 && !m->t.closed) {
		struct str part = str_head(line, piece);

		check(buf_add(&m->in, part));
		line = str_drop(line, part.n);
		pump(m);
	}
}

static void agree(struct trace *a, struct trace *b)
{
	check(a->ncodes == b->ncodes && memcmp(a->codes, b->codes, a->ncodes * sizeof a->codes[0]) == 0);
	check(a->nasked == b->nasked && memcmp(a->asked, b->asked, a->nasked) == 0);
	check(a->closed == b->closed);
	a->ncodes = b->ncodes = a->nasked = b->nasked = 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const size_t pieces[] = { 1000, 1, 3, 7 };
	size_t half = n / 2;
	struct verdicts v = { data, half, 0 };
	bool lmtp = n > 0 && data[n - 1] & 1;
	struct model model = { .lmtp = lmtp, .v = v };
	struct machine m = { .v = v };

	buf_init(&m.in, 4096);
	buf_init(&m.out, 16 * 1024);
	smtp_server_init(&m.s, STR("mx.example"), &limits, lmtp);
	carry_out(&m, smtp_server_connect(&m.s));
	if (asks(&model, 'c'))
		says(&model, 220, false);
	else
		model.denied = true;
	agree(&model.t, &m.t);
	for (size_t i = half; i < n && !m.t.closed; i++) {
		const struct move *mv = &moves[data[i] % MOVES];

		model_move(&model, mv);
		feed(&m, mv->line, pieces[data[i] / MOVES % 4]);
		agree(&model.t, &m.t);
	}
	buf_fini(&m.in);
	buf_fini(&m.out);
	return 0;
}
