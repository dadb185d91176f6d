/* layer: smtp */
/*
 * A hostile server. Each byte of the input is a move: a reply of the table, an event, or raw octets. Whatever it does, each
 * recipient of each mail gets one result, "delivered" only behind the end of the message, and what is sent is well formed.
 */
#include "smtp_client.h"

#include <stdlib.h>
#include <string.h>

#define RCPTS 3
#define ROOM 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool holds)
{
	if (!holds)
		abort();
}

/* clang-format off */
static const char *const replies[] = {
	"220 mx\r\n", "250 ok\r\n", "250 2.0.0 ok\r\n", "250-mx\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 100\r\n", "250-mx\r\n250 PIPELINING\r\n",
	"250-more\r\n", "354 go\r\n", "421 4.3.2 bye\r\n", "450 4.7.1 later\r\n", "550 5.1.1 no\r\n", "552 full\r\n", "503 what\r\n", "221 bye\r\n",
	"554 no\r\n", "502 EHLO?\r\n", "garbage\r\n", "250 bare\n", "250", " ", "\r\n", "250 o\rk\r\n", "251-a\r\n250 b\r\n", "999 x\r\n",
};
/* clang-format on */
#define REPLIES (sizeof replies / sizeof replies[0])

enum { TIMEOUT = REPLIES, LOST, FLUSH, RAW, MOVES };

struct host {
	struct smtp_client c;
	struct smtp_mail mail;
	struct smtp_mail_rcpt rcpts[RCPTS];
	bool has_result[RCPTS];
	bool is_sent;           /* the end of this mail's body was sent */
	bool is_over;
	unsigned mails;
	struct buf in, out;
	uint8_t flags;
};

static void give(struct host *h)
{
	static const char *const addresses[RCPTS] = { "a@example.com", "\"b c\"@example.com", "postmaster" };

	if (h->mails++ == 3)
		return;
	memset(h->has_result, 0, sizeof h->has_result);
	for (unsigned i = 0; i < RCPTS; i++)
		h->rcpts[i] = (struct smtp_mail_rcpt){ .address = str_of(addresses[i]) };
	if (h->flags & 8)
		h->rcpts[1].address = STR("x@example.com>\r\nDATA");
	h->mail = (struct smtp_mail){
		.sender = h->flags & 16 ? STR("") : STR("s@example.org"),
		.rcpts = h->rcpts,
		.n = 1 + h->flags / 32 % RCPTS,
		.size = 50,
		.is_8bit = h->flags & 4,
	};
	h->is_sent = false;
	smtp_client_give(&h->c, &h->mail);
}

/* what was sent: whole lines, CRLF, no NUL, no bare CR or LF */
static void is_well_formed(const struct buf *out)
{
	struct str s = buf_str(out);

	for (size_t i = 0; i < s.n; i++) {
		check(s.p[i] != '\0');
		check(s.p[i] != '\n' || (i > 0 && s.p[i - 1] == '\r'));
		check(s.p[i] != '\r' || (i + 1 < s.n && s.p[i + 1] == '\n'));
	}
	check(s.n == 0 || s.p[s.n - 1] == '\n');
}

static void body(struct host *h)
{
	struct str text = STR("Subject: x\r\n\r\n.\r\n..\r\nend\r\n");

	smtp_client_body(&h->c, &text, &h->out);
	if (text.n == 0 && h->c.phase == CLIENT_BODY)
		h->is_sent = smtp_client_body_end(&h->c, &h->out);
}

static void result(struct host *h, const struct smtp_client_todo *t)
{
	int code = h->c.reply.code;

	check(t->rcpt < h->mail.n && !h->has_result[t->rcpt]);
	h->has_result[t->rcpt] = true;
	check(t->outcome != SMTP_DELIVERED || (h->is_sent && t->stage == SMTP_STAGE_FINAL && code / 100 == 2));
	check(t->outcome != SMTP_FAILED || code == 0 || code / 100 == 5);
	check(!t->is_unsure || (h->is_sent && t->outcome == SMTP_DEFERRED));
	check(code != 0 || h->c.reply.esc[0] != '\0');
}

static void done(struct host *h)
{
	for (unsigned i = 0; i < h->mail.n; i++)
		check(h->has_result[i]);
	check(!smtp_client_has_mail(&h->c));
	if (h->c.phase != CLIENT_OVER)
		give(h);
}

/* turn - until the client waits; the number of things to do in a row is bounded */
static void turn(struct host *h)
{
	for (unsigned i = 0; !h->is_over; i++) {
		size_t n = buf_len(&h->in);
		char *copy = malloc(n ? n : 1);
		struct str in = { copy, n };
		struct smtp_client_todo t;

		check(copy && i < 100);
		if (n)
			memcpy(copy, buf_str(&h->in).p, n);
		t = smtp_client_next(&h->c, &in, &h->out);
		buf_take(&h->in, n - in.n);
		free(copy);
		switch (t.what) {
		case SMTP_CLIENT_RESULT:
			result(h, &t);
			break;
		case SMTP_CLIENT_DONE:
			done(h);
			break;
		case SMTP_CLIENT_CLOSE:
			check(!smtp_client_has_mail(&h->c));
			h->is_over = true;
			break;
		case SMTP_CLIENT_BODY:
			if (h->c.phase != CLIENT_BODY || buf_room(&h->out) < ROOM / 2)
				return;
			body(h);
			break;
		case SMTP_CLIENT_READY:
			if (h->mails <= 3 || buf_room(&h->out) < ROOM / 2)
				return;
			smtp_client_quit(&h->c, &h->out);
			break;
		case SMTP_CLIENT_WAIT:
			return;
		}
	}
}

static void move(struct host *h, uint8_t what)
{
	if (what % MOVES < REPLIES)
		(void)buf_add(&h->in, str_of(replies[what % MOVES]));
	else if (what % MOVES == TIMEOUT && what > 128)
		smtp_client_timeout(&h->c);
	else if (what % MOVES == LOST && what > 128)
		smtp_client_lost(&h->c, STR("reset"));
	else if (what % MOVES == FLUSH) {
		is_well_formed(&h->out);
		buf_reset(&h->out);
	} else
		(void)buf_byte(&h->in, (char)what);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	uint8_t flags = n > 0 ? data[0] : 0;
	const struct smtp_client_options options = { .hello = STR("me"), .is_lmtp = flags & 1, .is_lockstep = flags & 2 };
	struct host h = { .flags = flags };

	buf_init(&h.in, 64 * 1024);
	buf_init(&h.out, ROOM);
	smtp_client_init(&h.c, &options);
	give(&h);
	for (size_t i = 1; i < n && !h.is_over; i++) {
		move(&h, data[i]);
		turn(&h);
		if (i % 3 == 0) {
			is_well_formed(&h.out);
			buf_reset(&h.out);
		}
	}
	if (!h.is_over) {
		smtp_client_lost(&h.c, STR("end"));
		turn(&h);
		check(h.is_over);
	}
	buf_fini(&h.in);
	buf_fini(&h.out);
	return 0;
}
