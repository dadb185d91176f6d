#include "check.h"
#include "smtp_client.h"

/*
 * A script is a list of steps:
 *   "< text"   the server sends that (octets as they stand; \r\n written out)
 *   "> text"   exactly that is in the output buffer; it is taken out
 *   "! what"   an event: mail, quit, timeout, lost, body
 *   else       the text of the next todo
 */
struct script {
	const char *name;
	unsigned rcpts;
	uint64_t size;
	unsigned first;                 /* of the addresses */
	bool is_8bit, is_lmtp, is_lockstep, is_whole;   /* is_whole: what it shows cannot be seen octet by octet */
	const char *sender, *body;
	const char *steps[40];
};

#define HELLO_ALL                                                                                  \
	"wait greeting", "< 220 mx\r\n", "wait hello", "> EHLO me.example\r\n",                    \
		"< 250-mx\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250 8BITMIME\r\n"
#define HELLO_NONE "wait greeting", "< 220 mx\r\n", "wait hello", "> EHLO me.example\r\n", "< 250 mx\r\n"
#define GROUP_1                                                                                    \
	"wait mail", "> MAIL FROM:<s@example.org> SIZE=100\r\nRCPT TO:<r0@example.com>\r\nDATA\r\n"
#define GROUP_2                                                                                    \
	"wait mail",                                                                               \
		"> MAIL FROM:<s@example.org> SIZE=100\r\nRCPT TO:<r0@example.com>\r\n"             \
		"RCPT TO:<r1@example.com>\r\nDATA\r\n"

static const struct script scripts[] = {
	{ "one message, pipelined, then another", 2, .steps = {
		HELLO_ALL, GROUP_2, "< 250 ok\r\n250 ok\r\n550-5.1.1 no\r\n550 5.1.1 such user\r\n354 go\r\n",
		"result 1 failed rcpt 550 5.1.1 no such user", "body", "! body", "wait final",
		"> Subject: x\r\n\r\n..dot\r\n.\r\n", "< 250 2.0.0 queued\r\n", "result 0 delivered final 250 2.0.0 queued",
		"done", "ready", "! mail", GROUP_2, "< 450 4.7.1 not now\r\n", "result 0 deferred mail 450 4.7.1 not now",
		"result 1 deferred mail 450 4.7.1 not now", "wait rcpt", "< 503 no\r\n503 no\r\n503 no\r\n", "done", "ready",
		"! quit", "wait quit", "> QUIT\r\n", "< 221 bye\r\n", "close" } },
	{ "in lockstep without PIPELINING", 2, .steps = {
		HELLO_NONE, "wait mail", "> MAIL FROM:<s@example.org>\r\n", "< 250 ok\r\n", "wait rcpt",
		"> RCPT TO:<r0@example.com>\r\n", "< 250 ok\r\n", "wait rcpt", "> RCPT TO:<r1@example.com>\r\n", "< 251 ok\r\n",
		"wait data", "> DATA\r\n", "< 354 go\r\n", "body", "! body", "wait final", "> Subject: x\r\n\r\n..dot\r\n.\r\n",
		"< 550 5.7.1 spam\r\n", "result 0 failed final 550 5.7.1 spam", "result 1 failed final 550 5.7.1 spam", "done",
		"ready" } },
	{ "lockstep where we want it", 1, .is_lockstep = true, .steps = {
		HELLO_ALL, "wait mail", "> MAIL FROM:<s@example.org> SIZE=100\r\n", "< 550 no\r\n", "result 0 failed mail 550 no",
		"done", "ready" } },
	{ "no recipient accepted, in lockstep: RSET", 1, .steps = {
		HELLO_NONE, "wait mail", "> MAIL FROM:<s@example.org>\r\n", "< 250 ok\r\n", "wait rcpt",
		"> RCPT TO:<r0@example.com>\r\n", "< 550 no\r\n", "result 0 failed rcpt 550 no", "done", "wait rset", "> RSET\r\n",
		"< 250 ok\r\n", "ready" } },
	{ "no recipient accepted, DATA refused: RSET", 1, .steps = {
		HELLO_ALL, GROUP_1, "< 250 ok\r\n550 no\r\n503 no\r\n", "result 0 failed rcpt 550 no", "done", "wait rset",
		"> RSET\r\n", "! mail", "< 250 ok\r\n", GROUP_1 } },
	{ "no recipient accepted, DATA accepted: a single dot", 1, .steps = {
		HELLO_ALL, GROUP_1, "< 250 ok\r\n450 no\r\n354 go\r\n", "result 0 deferred rcpt 450 no", "wait final", "> .\r\n",
		"< 554 no recipients\r\n", "done", "ready" } },
	{ "sender refused, recipient and DATA accepted: no empty message", 1, .steps = {
		HELLO_ALL, GROUP_1, "< 550 no\r\n250 ok\r\n354 go\r\n", "result 0 failed mail 550 no", "done", "close" } },
	{ "DATA refused", 1, .steps = {
		HELLO_ALL, GROUP_1, "< 250 ok\r\n250 ok\r\n451 4.3.0 later\r\n", "result 0 deferred data 451 4.3.0 later", "done",
		"wait rset", "> RSET\r\n", "< 500 what\r\n", "close" } },
	{ "RSET fails while a mail waits", 1, .steps = {
		HELLO_ALL, GROUP_1, "< 250 ok\r\n250 ok\r\n451 later\r\n", "result 0 deferred data 451 later", "done", "! mail",
		"wait rset", "> RSET\r\n", "< 500 what\r\n", "result 0 deferred rset 500 what", "done", "close" } },
	{ "DATA answered 250", 1, .steps = {
		HELLO_ALL, GROUP_1, "< 250 ok\r\n250 ok\r\n250 ok\r\n",
		"result 0 deferred data 0 4.5.0 neither 354 nor a refusal came for DATA", "done", "close" } },
	{ "552 for too many recipients is temporary", 2, .steps = {
		HELLO_ALL, GROUP_2, "< 250 ok\r\n552 too many\r\n552 5.2.2 full\r\n503 no\r\n", "result 0 deferred rcpt 552 too many",
		"result 1 failed rcpt 552 5.2.2 full", "done" } },
	{ "421 behind one of two recipients", 2, .steps = {
		HELLO_ALL, GROUP_2, "< 250 ok\r\n550 no\r\n421 4.3.2 going\r\n", "result 0 failed rcpt 550 no",
		"result 1 deferred rcpt 421 4.3.2 going", "done", "close" } },
	{ "closed before 354", 1, .steps = {
		HELLO_ALL, GROUP_1, "< 250 ok\r\n250 o", "wait rcpt", "! lost", "result 0 deferred rcpt 0 4.4.2 connection lost", "done",
		"close" } },
	{ "closed within the body", 1, .steps = {
		HELLO_ALL, GROUP_1, "< 250 ok\r\n250 ok\r\n354 go\r\n", "body", "! lost",
		"result 0 deferred body 0 4.4.2 connection lost", "done", "close" } },
	{ "closed behind the body: nobody knows", 1, .steps = {
		HELLO_ALL, GROUP_1, "< 250 ok\r\n250 ok\r\n354 go\r\n", "body", "! body", "wait final", "! timeout",
		"result 0 deferred unsure final 0 4.4.2 timed out", "done", "close" } },
	{ "421 behind the body: it was not taken", 1, .steps = {
		HELLO_ALL, GROUP_1, "< 250 ok\r\n250 ok\r\n354 go\r\n", "body", "! body", "wait final", "< 421 full\r\n",
		"result 0 deferred final 421 full", "done", "close" } },
	{ "refused within the body", 1, .steps = {
		HELLO_ALL, GROUP_1, "< 250 ok\r\n250 ok\r\n354 go\r\n", "body", "< 552 5.3.4 too big\r\n",
		"result 0 failed body 552 5.3.4 too big", "done", "close" } },
	{ "accepted within the body: not believed", 1, .steps = {
		HELLO_ALL, GROUP_1, "< 250 ok\r\n250 ok\r\n354 go\r\n", "body", "< 250 ok\r\n",
		"result 0 deferred body 0 4.5.0 the server spoke out of turn", "done", "close" } },
	{ "354 behind the body", 1, .steps = {
		HELLO_ALL, GROUP_1, "< 250 ok\r\n250 ok\r\n354 go\r\n", "body", "! body", "wait final", "< 354 more\r\n",
		"result 0 deferred unsure final 0 4.5.0 354 came for a whole message", "done", "close" } },
	{ "greeting of refusal", 1, .steps = {
		"wait greeting", "< 554-5.7.1 go\r\n554 5.7.1 away\r\n", "result 0 failed greeting 554 5.7.1 go away", "done", "close" } },
	{ "greeting of delay", 1, .steps = {
		"wait greeting", "< 421 busy\r\n", "result 0 deferred greeting 421 busy", "done", "close" } },
	{ "no greeting", 1, .steps = {
		"wait greeting", "! timeout", "result 0 deferred greeting 0 4.4.2 timed out", "done", "close" } },
	{ "HELO for those who do not know EHLO", 1, .steps = {
		"wait greeting", "< 220 mx\r\n", "wait hello", "> EHLO me.example\r\n", "< 502 what\r\n", "wait hello",
		"> HELO me.example\r\n", "< 250 mx\r\n", "wait mail", "> MAIL FROM:<s@example.org>\r\n" } },
	{ "EHLO and HELO refused", 1, .steps = {
		"wait greeting", "< 220 mx\r\n", "wait hello", "> EHLO me.example\r\n", "< 502 what\r\n", "wait hello",
		"> HELO me.example\r\n", "< 550 not you\r\n", "result 0 failed hello 550 not you", "done", "close" } },
	{ "554 to EHLO is an answer", 1, .steps = {
		"wait greeting", "< 220 mx\r\n", "wait hello", "> EHLO me.example\r\n", "< 554 not you\r\n",
		"result 0 failed hello 554 not you", "done", "close" } },
	{ "garbage instead of a greeting", 1, .steps = {
		"wait greeting", "< SSH-2.0-OpenSSH\r\n", "result 0 deferred greeting 0 4.5.0 a reply without a code", "done", "close" } },
	{ "octets behind the greeting", 1, .is_whole = true, .steps = {
		"wait greeting", "< 220 mx\r\n250 ok\r\n", "result 0 deferred greeting 0 4.5.0 the server spoke out of turn", "done",
		"close" } },
	{ "octets behind the hello", 1, .is_whole = true, .steps = {
		"wait greeting", "< 220 mx\r\n", "wait hello", "> EHLO me.example\r\n", "< 250 mx\r\n250 ok\r\n",
		"result 0 deferred mail 0 4.5.0 the server spoke out of turn", "done", "close" } },
	{ "a reply too many", 1, .is_whole = true, .steps = {
		HELLO_NONE, "wait mail", "> MAIL FROM:<s@example.org>\r\n", "< 250 ok\r\n250 ok\r\n",
		"result 0 deferred rcpt 0 4.5.0 the server spoke out of turn", "> ", "done", "close" } },
	{ "421 between two commands", 1, .is_whole = true, .steps = {
		HELLO_NONE, "wait mail", "> MAIL FROM:<s@example.org>\r\n", "< 250 ok\r\n421 bye\r\n",
		"result 0 deferred rcpt 421 bye", "> ", "done", "close" } },
	{ "a leave taken while idle", 1, .steps = {
		HELLO_ALL, GROUP_1, "< 550 no\r\n503 no\r\n503 no\r\n", "result 0 failed mail 550 no", "done", "ready",
		"< 421 idle too long\r\n", "close" } },
	{ "8-bit mail to a peer without 8BITMIME", 1, .is_8bit = true, .steps = {
		HELLO_NONE, "result 0 failed mail 0 5.6.3 the next host does not take 8-bit mail", "done", "ready", "> " } },
	{ "8-bit mail to a peer with 8BITMIME", 1, .is_8bit = true, .steps = {
		HELLO_ALL, "wait mail",
		"> MAIL FROM:<s@example.org> SIZE=100 BODY=8BITMIME\r\nRCPT TO:<r0@example.com>\r\nDATA\r\n" } },
	{ "too big for the peer", 1, 1001, .steps = {
		HELLO_ALL, "result 0 failed mail 0 5.3.4 the message is too big for the next host", "done", "ready", "> " } },
	{ "exactly as big as the peer takes", 1, 1000, .steps = {
		HELLO_ALL, "wait mail", "> MAIL FROM:<s@example.org> SIZE=1000\r\nRCPT TO:<r0@example.com>\r\nDATA\r\n" } },
	{ "the null sender", 1, .sender = "", .steps = {
		HELLO_ALL, "wait mail", "> MAIL FROM:<> SIZE=100\r\nRCPT TO:<r0@example.com>\r\nDATA\r\n" } },
	{ "a sender that would break the line", 2, .sender = "a@b>\r\nRCPT TO:<x", .steps = {
		HELLO_ALL, "result 0 failed mail 0 5.1.7 the sender's address cannot be sent",
		"result 1 failed mail 0 5.1.7 the sender's address cannot be sent", "done", "ready", "> " } },
	{ "a recipient that would break the line", 3, .steps = {
		HELLO_ALL, "result 2 failed rcpt 0 5.1.3 the recipient's address cannot be sent", GROUP_2,
		"< 250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n", "body", "! body", "wait final", "> Subject: x\r\n\r\n..dot\r\n.\r\n",
		"< 250 ok\r\n", "result 0 delivered final 250 ok", "result 1 delivered final 250 ok", "done", "ready" } },
	{ "nobody to whom it can be sent", 1, .first = 2, .steps = {
		HELLO_ALL, "result 0 failed rcpt 0 5.1.3 the recipient's address cannot be sent", "done", "ready", "> " } },
	{ "closed between two results: the reply still decides", 2, .steps = {
		HELLO_ALL, GROUP_2, "< 550 no\r\n", "result 0 failed mail 550 no", "! lost", "result 1 failed mail 550 no", "done",
		"close" } },
	{ "a body that would smuggle", 1, .is_whole = true, .body = "a\n.\nMAIL FROM:<>\r\n", .steps = {
		HELLO_ALL, GROUP_1, "< 250 ok\r\n250 ok\r\n354 go\r\n", "body", "! body",
		"result 0 failed body 0 5.6.0 the message holds a bare CR, a bare LF or a NUL", "> ", "done", "close" } },
	{ "a body that ends in CR", 1, .body = "a\r", .steps = {
		HELLO_ALL, GROUP_1, "< 250 ok\r\n250 ok\r\n354 go\r\n", "body", "! body",
		"result 0 failed body 0 5.6.0 the message holds a bare CR, a bare LF or a NUL", "> a\r", "done", "close" } },
	{ "LMTP: one reply for each", 2, .is_lmtp = true, .steps = {
		"wait greeting", "< 220 mx\r\n", "wait hello", "> LHLO me.example\r\n", "< 250-mx\r\n250-SIZE\r\n250 PIPELINING\r\n",
		GROUP_2, "< 250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n", "body", "! body", "wait final",
		"> Subject: x\r\n\r\n..dot\r\n.\r\n", "< 250 2.0.0 in\r\n452 4.2.2 full\r\n", "result 0 delivered final 250 2.0.0 in",
		"result 1 deferred final 452 4.2.2 full", "done", "ready" } },
	{ "LMTP: lost between two replies", 3, .is_lmtp = true, .steps = {
		"wait greeting", "< 220 mx\r\n", "wait hello", "> LHLO me.example\r\n", "< 250-mx\r\n250-SIZE\r\n250 PIPELINING\r\n",
		"result 2 failed rcpt 0 5.1.3 the recipient's address cannot be sent",
		GROUP_2, "< 250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n", "body", "! body", "wait final",
		"> Subject: x\r\n\r\n..dot\r\n.\r\n", "< 250 2.0.0 in\r\n", "result 0 delivered final 250 2.0.0 in", "wait final",
		"! lost", "result 1 deferred unsure final 0 4.4.2 connection lost", "done", "close" } },
	{ "LMTP: nobody accepted, DATA accepted", 1, .is_lmtp = true, .steps = {
		"wait greeting", "< 220 mx\r\n", "wait hello", "> LHLO me.example\r\n", "< 250-mx\r\n250-SIZE\r\n250 PIPELINING\r\n",
		GROUP_1, "< 250 ok\r\n550 no\r\n354 go\r\n", "result 0 failed rcpt 550 no", "done", "close" } },
	{ "LMTP has no HELO", 1, .is_lmtp = true, .steps = {
		"wait greeting", "< 220 mx\r\n", "wait hello", "> LHLO me.example\r\n", "< 500 what\r\n",
		"result 0 failed hello 500 what", "done", "close" } },
};

struct play {
	const struct script *script;
	struct smtp_client client;
	struct smtp_mail mail;
	struct smtp_mail_rcpt rcpts[3];
	struct buf in, out;
	size_t hidden;          /* octets of `in` that have not come yet */
	bool is_trickle;
};

static void give(struct play *p)
{
	static const char *const addresses[] = { "r0@example.com", "r1@example.com", "evil@example.com>\r\nDATA" };

	for (unsigned i = 0; i < p->script->rcpts; i++)
		p->rcpts[i] = (struct smtp_mail_rcpt){ .address = str_of(addresses[p->script->first + i]) };
	p->mail = (struct smtp_mail){
		.sender = str_of(p->script->sender ? p->script->sender : "s@example.org"),
		.rcpts = p->rcpts,
		.n = p->script->rcpts,
		.size = p->script->size ? p->script->size : 100,
		.is_8bit = p->script->is_8bit,
	};
	smtp_client_give(&p->client, &p->mail);
}

static void send_body(struct play *p)
{
	struct str body = str_of(p->script->body ? p->script->body : "Subject: x\r\n\r\n.dot\r\n");

	while (body.n > 0 && p->client.phase == CLIENT_BODY) {
		struct str piece = p->is_trickle ? str_head(body, 1) : body, rest = piece;

		smtp_client_body(&p->client, &rest, &p->out);
		body = str_drop(body, piece.n - rest.n);
	}
	if (p->client.phase == CLIENT_BODY)
		assert_true(smtp_client_body_end(&p->client, &p->out));
}

static void event(struct play *p, const char *what)
{
	if (strcmp(what, "mail") == 0)
		give(p);
	else if (strcmp(what, "quit") == 0)
		smtp_client_quit(&p->client, &p->out);
	else if (strcmp(what, "timeout") == 0)
		smtp_client_timeout(&p->client);
	else if (strcmp(what, "lost") == 0)
		smtp_client_lost(&p->client, STR("connection lost"));
	else if (strcmp(what, "body") == 0)
		send_body(p);
	else
		fail_msg("%s: no event %s", p->script->name, what);
}

static void text_of(const struct play *p, struct smtp_client_todo t, char *text, size_t size)
{
	static const char *const outcomes[] = { "delivered", "deferred", "failed" };
	const struct smtp_reply *r = &p->client.reply;

	switch (t.what) {
	case SMTP_CLIENT_WAIT:
		(void)snprintf(text, size, "wait %s", smtp_stage_name(t.stage));
		assert_true(smtp_stage_seconds(t.stage) > 0);
		break;
	case SMTP_CLIENT_RESULT:
		(void)snprintf(text, size, "result %u %s%s %s %d %s%s%s", t.rcpt, outcomes[t.outcome],
			       t.is_unsure ? " unsure" : "", smtp_stage_name(t.stage), r->code, r->esc,
			       r->esc[0] ? " " : "", r->text);
		break;
	case SMTP_CLIENT_READY:
		(void)snprintf(text, size, "ready");
		break;
	case SMTP_CLIENT_BODY:
		(void)snprintf(text, size, "body");
		break;
	case SMTP_CLIENT_DONE:
		(void)snprintf(text, size, "done");
		break;
	case SMTP_CLIENT_CLOSE:
		(void)snprintf(text, size, "close");
		break;
	}
}

static bool is_patient(enum smtp_client_what what)
{
	return what == SMTP_CLIENT_WAIT || what == SMTP_CLIENT_BODY || what == SMTP_CLIENT_READY;
}

/* next - the next todo; in a trickle, the server's octets come one by one as long as the client is patient */
static struct smtp_client_todo next(struct play *p)
{
	for (;;) {
		struct str whole = heap_copy(str_head(buf_str(&p->in), buf_len(&p->in) - p->hidden)), in = whole;
		struct smtp_client_todo todo = smtp_client_next(&p->client, &in, &p->out);

		buf_take(&p->in, whole.n - in.n);
		heap_free(whole);
		if (!is_patient(todo.what) || p->hidden == 0)
			return todo;
		p->hidden--;
	}
}

static void play(const struct script *script, bool is_trickle)
{
	const struct smtp_client_options options = {
		.hello = STR("me.example"),
		.is_lmtp = script->is_lmtp,
		.is_lockstep = script->is_lockstep,
	};
	struct play p = { .script = script, .is_trickle = is_trickle };

	buf_init(&p.in, 64 * 1024);
	buf_init(&p.out, SMTP_CLIENT_OUT);
	smtp_client_init(&p.client, &options);
	give(&p);
	for (size_t i = 0; i < COUNT(script->steps) && script->steps[i]; i++) {
		const char *step = script->steps[i];
		char text[700];

		if (step[0] == '<') {
			assert_true(buf_add(&p.in, str_of(step + 2)));
			p.hidden += is_trickle ? strlen(step + 2) : 0;
		} else if (step[0] == '>') {
			if (!str_eq(buf_str(&p.out), str_of(step + 2)))
				fail_msg("%s, step %zu: sends '%.*s', not '%s'", script->name, i,
					 STR_ARG(buf_str(&p.out)), step + 2);
			buf_reset(&p.out);
		} else if (step[0] == '!') {
			event(&p, step + 2);
		} else {
			text_of(&p, next(&p), text, sizeof text);
			if (strcmp(text, step) != 0)
				fail_msg("%s, step %zu: '%s', not '%s'", script->name, i, text, step);
		}
	}
	buf_fini(&p.in);
	buf_fini(&p.out);
}

TEST(each_dialogue_ends_as_it_should)
{
	for (size_t i = 0; i < COUNT(scripts); i++)
		play(&scripts[i], false);
}

TEST(chunking_never_changes_the_answer)
{
	for (size_t i = 0; i < COUNT(scripts); i++)
		if (!scripts[i].is_whole)
			play(&scripts[i], true);
}

/* More commands than the output buffer holds: they go out in turns, and every recipient gets its result. */
TEST(a_thousand_recipients_pass_through_a_small_buffer)
{
	static struct smtp_mail_rcpt rcpts[1000];
	struct smtp_mail mail = { .sender = STR("s@example.org"), .rcpts = rcpts, .n = COUNT(rcpts), .size = 5 };
	struct smtp_client_todo todo = { .what = SMTP_CLIENT_WAIT };
	const struct smtp_client_options options = { .hello = STR("me") };
	struct str in = STR("220 mx\r\n");
	unsigned failed = 0, delivered = 0, commands = 0;
	struct smtp_client c;
	struct buf out, replies;

	for (size_t i = 0; i < COUNT(rcpts); i++)
		rcpts[i].address = STR("somebody.with.a.name@mail.example.com");
	buf_init(&out, SMTP_CLIENT_OUT);
	buf_init(&replies, 64 * 1024);
	smtp_client_init(&c, &options);
	smtp_client_give(&c, &mail);
	(void)smtp_client_next(&c, &in, &out);
	buf_reset(&out);
	assert_true(buf_add(&replies, STR("250-mx\r\n250 PIPELINING\r\n")));
	for (unsigned turns = 0; todo.what != SMTP_CLIENT_DONE; turns++) {
		struct str line, sent;

		assert_true(turns < 10000);
		in = buf_str(&replies);
		todo = smtp_client_next(&c, &in, &out);
		buf_take(&replies, buf_len(&replies) - in.n);
		if (todo.what == SMTP_CLIENT_RESULT)
			*(todo.outcome == SMTP_DELIVERED ? &delivered : &failed) += 1;
		if (todo.what == SMTP_CLIENT_BODY) {
			struct str body = STR("x\r\n");

			smtp_client_body(&c, &body, &out);
			assert_true(smtp_client_body_end(&c, &out));
		}
		for (sent = buf_str(&out); str_take(&sent, '\n', &line); commands++) {
			if (str_eq(line, STR("x\r")))
				continue;
			assert_true(buf_add(&replies, str_eq(line, STR("DATA\r")) ? STR("354 go\r\n")
						      : commands % 3 == 2	  ? STR("550 no\r\n")
										  : STR("250 ok\r\n")));
		}
		buf_reset(&out);
	}
	assert_int_equal(failed, 333);
	assert_int_equal(delivered, 667);
	buf_fini(&out);
	buf_fini(&replies);
}

TEST(a_body_waits_for_room)
{
	struct str body = STR(".\r\n.\r\n.\r\n"), end = STR("..\r\n..\r\n..\r\n.\r\n");
	struct smtp_client c = { .phase = CLIENT_BODY };
	char sent[64];
	size_t n = 0;
	struct buf out;

	smtp_stuff_init(&c.stuff);
	buf_init(&out, 4);
	for (unsigned turns = 0; c.phase == CLIENT_BODY; turns++) {
		assert_true(turns < 20);
		smtp_client_body(&c, &body, &out);
		if (body.n == 0)
			(void)smtp_client_body_end(&c, &out);
		memcpy(sent + n, buf_str(&out).p, buf_len(&out));
		n += buf_len(&out);
		buf_reset(&out);
	}
	CHECK_STR(0, ((struct str){ sent, n }), end);
	assert_int_equal(c.phase, CLIENT_FINAL);
	buf_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_dialogue_ends_as_it_should),
		cmocka_unit_test(chunking_never_changes_the_answer),
		cmocka_unit_test(a_thousand_recipients_pass_through_a_small_buffer),
		cmocka_unit_test(a_body_waits_for_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
