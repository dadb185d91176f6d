/*
 *            connect        hello         MAIL         RCPT         DATA         end of data
 *   GREETING -------> START -----> READY ------> MAIL ------> RCPT ------> BODY -----------> ENDED
 *      | refused                     ^ ^           |          | ^ |                            |
 *      v                             | +--- RSET --+----------+ +-+ RCPT                       |
 *   DENIED -- QUIT --> OVER          +--------------- every reply that was owed is said -------+
 *
 *   GREETING --implicit--> SECURING --secured()--> START     then the greeting
 *   READY ----STARTTLS---> SECURING --secured()--> START     as if it had just connected
 *                               | refused
 *                               +----------------> DENIED
 *
 *   OVER comes by QUIT, a limit, a drop or abort from everywhere.
 *
 * smtp_server_command() and smtp_server_verdict() walk the upper row by the table `rules`;
 * begun(), secured_no() and smtp_server_secured() walk the two below it;
 * smtp_server_end() leaves BODY; owed_one() leaves ENDED; over() is every way into OVER. enter()
 * is the only setter.
 *
 * True in       GREETING, START   no hello, no transaction
 *               READY             a hello, no transaction: recipients == 0
 *               MAIL              a hello, recipients == 0
 *               RCPT, BODY        recipients > 0
 *               ENDED             owed > 0, ASK_MESSAGE is open
 *               SECURING          no transaction
 *               OVER              no question is open
 */
#include "smtp_server.h"

#include <assert.h>

const struct smtp_limits smtp_limits_default = {
	.commands = 10000,
	.errors = 20,
	.refusals = 100,
	.junk = 100,
	.messages = 1000,
	.recipients = 1000,
	.size = 50 * 1024 * 1024,
};

enum move { STAY, TO_READY, TO_MAIL, TO_RCPT, TO_BODY, TO_OVER, TO_SECURING, DROP_MAIL };

#define IN(phase) (1u << (phase))
#define OPEN      (IN(SMTP_START) | IN(SMTP_READY) | IN(SMTP_MAIL) | IN(SMTP_RCPT))
#define NEVER     0u
#define JUNK      true

/* clang-format off */
static const struct rule {
	unsigned allowed;
	enum smtp_question ask;
	uint16_t ok;
	const char *esc, *text;
	enum move move;
	bool is_junk;
} rules[VERBS] = {       /* allowed in                     ask             ok   esc      text                        then        (RFC 5321 4.1.4) */
	[VERB_HELO]     = { OPEN,                          SMTP_ASK_HELLO, 250, "",      "",                         TO_READY,  JUNK  },
	[VERB_EHLO]     = { OPEN,                          SMTP_ASK_HELLO, 250, "",      "",                         TO_READY,  JUNK  },
	[VERB_LHLO]     = { OPEN,                          SMTP_ASK_HELLO, 250, "",      "",                         TO_READY,  JUNK  },
	[VERB_MAIL]     = { IN(SMTP_READY),                SMTP_ASK_MAIL,  250, "2.1.0", "sender ok",                TO_MAIL,   false },
	[VERB_RCPT]     = { IN(SMTP_MAIL) | IN(SMTP_RCPT), SMTP_ASK_RCPT,  250, "2.1.5", "recipient ok",             TO_RCPT,   false },
	[VERB_DATA]     = { IN(SMTP_RCPT),                 SMTP_ASK_DATA,  354, "",      "end with CRLF . CRLF",     TO_BODY,   false },
	[VERB_RSET]     = { OPEN,                          SMTP_ASK_NONE,  250, "2.0.0", "ok",                       DROP_MAIL, JUNK  },
	[VERB_NOOP]     = { OPEN,                          SMTP_ASK_NONE,  250, "2.0.0", "ok",                       STAY,      JUNK  },
	[VERB_VRFY]     = { OPEN,                          SMTP_ASK_NONE,  252, "2.0.0", "send mail and see",        STAY,      JUNK  },
	[VERB_HELP]     = { OPEN,                          SMTP_ASK_NONE,  214, "2.0.0", "see RFC 5321",             STAY,      JUNK  },
	[VERB_QUIT]     = { OPEN | IN(SMTP_DENIED),        SMTP_ASK_NONE,  221, "2.0.0", "bye",                      TO_OVER,   false },
	[VERB_STARTTLS] = { IN(SMTP_READY),                SMTP_ASK_STARTTLS, 220, "2.0.0", "ready to start TLS",   TO_SECURING, false },
	[VERB_EXPN]     = { NEVER }, [VERB_AUTH] = { NEVER }, [VERB_BDAT] = { NEVER }, [VERB_OTHER] = { NEVER },
	[VERB_UNKNOWN]  = { NEVER }, [VERB_FOREIGN]  = { NEVER },
};

struct refusal {
	uint16_t code;
	const char *esc, *text;
};

static const struct refusal flaws[FLAWS] = {
	[FLAW_BYTES]         = { 501, "5.5.2", "only printable ASCII is allowed here" },
	[FLAW_NO_ARGUMENT]   = { 501, "5.5.4", "an argument is missing" },
	[FLAW_ARGUMENT]      = { 501, "5.5.4", "no argument is allowed" },
	[FLAW_KEYWORD]       = { 501, "5.5.4", "MAIL FROM:<address> or RCPT TO:<address> was expected" },
	[FLAW_SPACE]         = { 501, "5.5.4", "no space is allowed behind the colon" },
	[FLAW_SENDER]        = { 501, "5.1.7", "syntax error in address" },
	[FLAW_RECIPIENT]     = { 501, "5.1.3", "syntax error in address" },
	[FLAW_8BIT]          = { 553, "5.6.7", "the address needs SMTPUTF8" },
	[FLAW_PARAMS]        = { 501, "5.5.4", "syntax error in parameters" },
	[FLAW_PARAM_UNKNOWN] = { 555, "5.5.4", "parameter not recognized" },
};

static const struct refusal line_flaws[SMTP_LINE_FLAWS] = {
	[SMTP_LINE_TOO_LONG] = { 500, "5.5.2", "line too long" },
	[SMTP_LINE_BARE_CR]  = { 500, "5.5.2", "a CR without LF" },
	[SMTP_LINE_BARE_LF]  = { 500, "5.5.2", "a LF without CR" },
	[SMTP_LINE_NUL]      = { 500, "5.5.2", "a NUL" },
};

static const struct data_refusal {
	struct refusal refusal;
	bool closes;            /* a client that may mean two messages by one is not talked to any more */
} data_flaws[SMTP_DATA_FLAWS] = {
	[SMTP_DATA_BARE_CR]       = { { 554, "5.6.0", "the message holds a CR without LF" }, true },
	[SMTP_DATA_BARE_LF]       = { { 554, "5.6.0", "the message holds a LF without CR" }, true },
	[SMTP_DATA_NUL]           = { { 554, "5.6.0", "the message holds a NUL" },           true },
	[SMTP_DATA_LINE_TOO_LONG] = { { 554, "5.6.0", "a line of the message is too long" }, false },
	[SMTP_DATA_TOO_BIG]       = { { 552, "5.3.4", "the message is too big" },            false },
};

static const struct refusal stops[SMTP_STOPS] = {
	[SMTP_STOP_TIMEOUT] = { 421, "4.4.2", "nothing came for too long" },
	[SMTP_STOP_DRAIN]   = { 421, "4.3.2", "shutting down, try again soon" },
	[SMTP_STOP_TROUBLE] = { 421, "4.3.0", "trouble here, try again later" },
};

static const struct refusal too_many_commands   = { 421, "4.7.0", "too many commands" };
static const struct refusal too_many_errors     = { 421, "4.7.0", "too many errors" };
static const struct refusal too_many_refusals   = { 421, "4.7.0", "too many refused addresses" };
static const struct refusal too_much_junk       = { 421, "4.7.0", "too many commands without mail" };
static const struct refusal too_many_messages   = { 421, "4.7.0", "too many messages, connect again" };
static const struct refusal too_many_recipients = { 452, "4.5.3", "too many recipients" };
static const struct refusal too_big             = { 552, "5.3.4", "the message is too big" };
static const struct refusal routed              = { 550, "5.7.1", "relaying by characters in the local part is denied" };
static const struct refusal unknown             = { 500, "5.5.1", "unknown command" };
static const struct refusal foreign             = { 500, "5.5.1", "this is a mail server" };
static const struct refusal unsupported         = { 502, "5.5.1", "command not implemented" };
static const struct refusal out_of_order        = { 503, "5.5.1", "bad sequence of commands" };
static const struct refusal insecure            = { 530, "5.7.0", "must issue a STARTTLS command first" };
static const struct refusal secure_already      = { 503, "5.5.1", "TLS is active already" };
static const struct refusal no_recipients       = { 503, "5.5.1", "no valid recipients" };

static const char *const phase_names[SMTP_PHASES] = {
	[SMTP_GREETING] = "greeting", [SMTP_START] = "start", [SMTP_READY] = "ready", [SMTP_MAIL] = "mail", [SMTP_RCPT] = "rcpt",
	[SMTP_BODY] = "body", [SMTP_ENDED] = "ended", [SMTP_SECURING] = "securing", [SMTP_DENIED] = "denied", [SMTP_OVER] = "over",
};
/* clang-format on */

const char *smtp_phase_name(enum smtp_phase phase)
{
	return phase_names[phase];
}

static struct smtp_offers offers_of(const struct smtp_server *s)
{
	bool has_starttls =
		!s->is_secure && (s->tls == SMTP_TLS_OFFERED || s->tls == SMTP_TLS_REQUIRED);
	uint32_t without = has_starttls ? 0 : SMTP_OFFER(SMTP_EXTENSION_STARTTLS);

	return (struct smtp_offers){ SMTP_OFFER_ALL & ~without, s->limits->size };
}

void smtp_server_init(struct smtp_server *s, struct str host, const struct smtp_limits *limits,
		      bool is_lmtp)
{
	*s = (struct smtp_server){
		.phase = SMTP_GREETING,
		.is_lmtp = is_lmtp,
		.limits = limits,
		.host = host,
	};
	s->offers = offers_of(s);
}

void smtp_server_tls(struct smtp_server *s, enum smtp_tls tls)
{
	s->tls = tls;
	if (s->phase == SMTP_GREETING)
		s->offers = offers_of(s);
}

/* enter - the only setter; a transaction ends with the phases that hold it */
static void enter(struct smtp_server *s, enum smtp_phase phase)
{
	s->phase = phase;
	if (phase != SMTP_RCPT && phase != SMTP_BODY && phase != SMTP_ENDED)
		s->recipients = 0;
}

static struct smtp_todo say(uint16_t code, struct str esc, struct str text)
{
	return (struct smtp_todo){
		.what = SMTP_REPLY, .code = code, .times = 1, .esc = esc, .text = text
	};
}

static struct smtp_todo say_refusal(const struct refusal *r)
{
	return say(r->code, str_of(r->esc), str_of(r->text));
}

/* say_verdict - what policy refused, with a default for what it left open */
static struct smtp_todo say_verdict(const struct smtp_verdict *v)
{
	bool is_passing = v->code < 500;
	struct str esc = is_passing ? STR("4.7.0") : STR("5.7.1");
	struct str text = is_passing ? STR("not now, try again later") : STR("refused");

	return say(v->code, v->esc.n ? v->esc : esc, v->text.n ? v->text : text);
}

static void deny_later(struct smtp_server *s, struct smtp_todo todo)
{
	s->denial.code = todo.code;
	s->denial.text = todo.text;
	(void)str_copy(s->denial.esc, sizeof s->denial.esc, todo.esc);
}

static struct smtp_todo say_denial(const struct smtp_server *s)
{
	return say(s->denial.code, str_of(s->denial.esc), s->denial.text);
}

/* over - every way into OVER that says something */
static struct smtp_todo over(struct smtp_server *s, struct smtp_todo last)
{
	enter(s, SMTP_OVER);
	s->asking = SMTP_ASK_NONE;
	s->owed = 0;
	last.what = SMTP_REPLY_CLOSE;
	return last;
}

/* fault - the client's mistake: its reply, unless it was one too many */
static struct smtp_todo fault(struct smtp_server *s, const struct refusal *r)
{
	if (++s->errors >= s->limits->errors)
		return over(s, say_refusal(&too_many_errors));
	return say_refusal(r);
}

static struct smtp_todo ask(struct smtp_server *s, enum smtp_question question, enum smtp_verb verb)
{
	s->asking = question;
	s->verb = verb;
	return (struct smtp_todo){ .what = SMTP_ASK };
}

struct smtp_todo smtp_server_connect(struct smtp_server *s)
{
	assert(s->phase == SMTP_GREETING && s->asking == SMTP_ASK_NONE);
	return ask(s, SMTP_ASK_CONNECT, VERB_UNKNOWN);
}

const struct smtp_offers *smtp_server_offers(const struct smtp_server *s)
{
	static const struct smtp_offers none = { 0 };

	return s->hello == VERB_EHLO || s->hello == VERB_LHLO ? &s->offers : &none;
}

/* moved - the successor of a phase */
static enum smtp_phase moved(enum smtp_phase phase, enum move move)
{
	switch (move) {
	case STAY:
		return phase;
	case TO_READY:
		return SMTP_READY;
	case TO_MAIL:
		return SMTP_MAIL;
	case TO_RCPT:
		return SMTP_RCPT;
	case TO_BODY:
		return SMTP_BODY;
	case TO_OVER:
		return SMTP_OVER;
	case TO_SECURING:
		return SMTP_SECURING;
	case DROP_MAIL:
		return phase == SMTP_START ? SMTP_START : SMTP_READY;
	}
	return phase;
}

/* done - the command is granted: move, count, and its reply */
static struct smtp_todo done(struct smtp_server *s, enum smtp_verb verb, struct str text)
{
	const struct rule *rule = &rules[verb];
	struct smtp_todo todo =
		say(rule->ok, str_of(rule->esc), text.n ? text : str_of(rule->text));

	if (rule->move == TO_OVER)
		return over(s, todo);
	enter(s, moved(s->phase, rule->move));
	if (rule->move == TO_READY) {
		s->hello = verb;
		todo.is_hello = verb != VERB_HELO;
	}
	if (rule->move == TO_MAIL)
		s->messages++;
	if (rule->move == TO_RCPT)
		s->recipients++;
	if (rule->move == TO_BODY)
		todo.what = SMTP_REPLY_BODY;
	if (rule->move == TO_SECURING)
		todo.what = SMTP_REPLY_SECURE;
	return todo;
}

/* form - what is wrong with a command before its order matters: NULL if nothing is */
static const struct refusal *form(const struct smtp_server *s, enum smtp_verb verb)
{
	bool is_other_hello =
		s->is_lmtp ? verb == VERB_HELO || verb == VERB_EHLO : verb == VERB_LHLO;

	if (verb == VERB_UNKNOWN || is_other_hello)
		return &unknown;
	if (verb == VERB_FOREIGN)
		return &foreign;
	if (verb == VERB_STARTTLS && s->is_secure)
		return &secure_already;
	if (verb == VERB_STARTTLS && !smtp_offers_has(&s->offers, SMTP_EXTENSION_STARTTLS))
		return &unsupported;
	return rules[verb].allowed == NEVER ? &unsupported : NULL;
}

/* bound - what our limits say to a command that is in form and in order */
static const struct refusal *bound(const struct smtp_server *s, const struct smtp_command *c)
{
	const struct smtp_limits *l = s->limits;

	if (c->verb == VERB_MAIL && s->tls == SMTP_TLS_REQUIRED && !s->is_secure)
		return &insecure;
	if (c->verb == VERB_MAIL && s->messages >= l->messages)
		return &too_many_messages;
	if (c->verb == VERB_MAIL && l->size > 0 && c->params.size > l->size)
		return &too_big;
	if (c->verb == VERB_RCPT && c->has_routing && !l->routing)
		return &routed;
	if (c->verb == VERB_RCPT && s->recipients >= l->recipients)
		return &too_many_recipients;
	return NULL;
}

static struct smtp_todo flawed(struct smtp_server *s, const struct smtp_command *c)
{
	struct smtp_todo todo = fault(s, &flaws[c->flaw]);

	if (todo.what == SMTP_REPLY && c->why)
		todo.text = str_of(c->why);
	return todo;
}

/*
 * refused - a sender or recipient was refused; for good ones are counted, a harvester collects
 * them
 */
static struct smtp_todo refused(struct smtp_server *s, struct smtp_todo todo)
{
	if (todo.code >= 500 && ++s->refusals >= s->limits->refusals)
		return over(s, say_refusal(&too_many_refusals));
	return todo;
}

/* denied - a refusal that could not be said when it was made is said now, to whatever comes */
static struct smtp_todo denied(struct smtp_server *s)
{
	struct smtp_todo todo = fault(s, &out_of_order);

	return todo.what == SMTP_REPLY ? say_denial(s) : todo;
}

/* is_junk - a command that brings no mail nearer; the first hello does */
static bool is_junk(const struct smtp_server *s, enum smtp_verb verb)
{
	return rules[verb].is_junk && !(rules[verb].move == TO_READY && s->hello == VERB_UNKNOWN);
}

/*
 * smtp_server_command - form, order, grammar, limits, and only then policy
 *
 * Order stands before grammar: a client that is out of step is told so, whatever it wrote.
 */
struct smtp_todo smtp_server_command(struct smtp_server *s, const struct smtp_command *c)
{
	const struct rule *rule = &rules[c->verb];
	const struct refusal *r;

	assert(s->asking == SMTP_ASK_NONE && ((OPEN | IN(SMTP_DENIED)) & IN(s->phase)));
	if (++s->commands > s->limits->commands)
		return over(s, say_refusal(&too_many_commands));
	if (is_junk(s, c->verb) && ++s->junk > s->limits->junk)
		return over(s, say_refusal(&too_much_junk));
	r = form(s, c->verb);
	if (c->verb == VERB_FOREIGN)
		return over(s, say_refusal(r));
	if (r)
		return fault(s, r);
	if (!(rule->allowed & IN(s->phase)) && s->denial.code)
		return denied(s);
	if (!(rule->allowed & IN(s->phase)))
		return fault(s, c->verb == VERB_DATA && s->phase == SMTP_MAIL ? &no_recipients
									      : &out_of_order);
	if (c->flaw)
		return flawed(s, c);
	r = bound(s, c);
	if (r)
		return r->code == 421 ? over(s, say_refusal(r)) : refused(s, say_refusal(r));
	if (rule->ask == SMTP_ASK_HELLO)
		s->offers = offers_of(s); /* what policy took away last time is back */
	if (rule->ask)
		return ask(s, rule->ask, c->verb);
	return done(s, c->verb, STR_NONE);
}

/*
 * smtp_server_line - bytes that are no line
 *
 * One that is too long is a mistake: the driver finds the next one. The others could be read as
 * two commands by somebody else, so the session ends: what follows them is not believed.
 */
struct smtp_todo smtp_server_line(struct smtp_server *s, enum smtp_line_flaw flaw)
{
	assert(s->asking == SMTP_ASK_NONE && flaw != SMTP_LINE_CLEAN);
	if (++s->commands > s->limits->commands)
		return over(s, say_refusal(&too_many_commands));
	if (flaw != SMTP_LINE_TOO_LONG) {
		s->errors++;
		return over(s, say_refusal(&line_flaws[flaw]));
	}
	return fault(s, &line_flaws[flaw]);
}

/* owed_one - one of the replies behind the data is said; the last one ends the transaction */
static struct smtp_todo owed_one(struct smtp_server *s, struct smtp_todo todo)
{
	assert(s->phase == SMTP_ENDED && s->owed > 0);
	if (--s->owed > 0)
		return todo;
	s->asking = SMTP_ASK_NONE;
	enter(s, SMTP_READY);
	return todo;
}

/* secured_no - policy refused what has to be said through TLS, or at a time when nobody listens */
static struct smtp_todo secured_no(struct smtp_server *s, struct smtp_todo todo)
{
	if (!s->is_secure) {
		deny_later(s, todo);
		enter(s, SMTP_SECURING);
		return (struct smtp_todo){ .what = SMTP_SECURE };
	}
	enter(s, SMTP_DENIED);
	if (s->tls == SMTP_TLS_IMPLICIT)
		return todo;
	deny_later(s, todo);
	return (struct smtp_todo){ .what = SMTP_NOTHING };
}

/* no - policy refused: the reply, and where that leaves us */
static struct smtp_todo no(struct smtp_server *s, const struct smtp_verdict *v)
{
	enum smtp_question asked = s->asking;
	bool is_mute = asked == SMTP_ASK_CONNECT && s->tls == SMTP_TLS_IMPLICIT;
	struct smtp_todo todo = say_verdict(v);

	assert(v->code >= 400 && v->code <= 599);
	if (v->is_drop || v->code == 421 || v->code == 521)
		return is_mute ? smtp_server_abort(s) : over(s, todo);
	if (asked == SMTP_ASK_MESSAGE)
		return owed_one(s, todo);
	s->asking = SMTP_ASK_NONE;
	if (is_mute || asked == SMTP_ASK_TLS)
		return secured_no(s, todo);
	if (asked == SMTP_ASK_CONNECT)
		enter(s, SMTP_DENIED);
	if (asked == SMTP_ASK_MAIL || asked == SMTP_ASK_RCPT)
		return refused(s, todo);
	return todo;
}

/* begun - connected, and secured if that comes first; behind STARTTLS the client speaks first */
static struct smtp_todo begun(struct smtp_server *s, struct str text)
{
	bool is_greeted = s->is_secure && s->tls != SMTP_TLS_IMPLICIT;

	if (s->tls == SMTP_TLS_IMPLICIT && !s->is_secure) {
		enter(s, SMTP_SECURING);
		return (struct smtp_todo){ .what = SMTP_SECURE };
	}
	enter(s, SMTP_START);
	return is_greeted ? (struct smtp_todo){ .what = SMTP_NOTHING } : say(220, STR_NONE, text);
}

struct smtp_todo smtp_server_verdict(struct smtp_server *s, const struct smtp_verdict *v)
{
	enum smtp_question asked = s->asking;

	assert(asked != SMTP_ASK_NONE);
	if (v->code != 0)
		return no(s, v);
	assert(asked != SMTP_ASK_MESSAGE); /* only smtp_server_durable() says yes to a message */
	s->asking = SMTP_ASK_NONE;
	if (asked == SMTP_ASK_CONNECT || asked == SMTP_ASK_TLS)
		return begun(s, v->text);
	return done(s, s->verb, v->text);
}

struct smtp_todo smtp_server_secured(struct smtp_server *s)
{
	struct smtp_todo todo;

	assert(s->phase == SMTP_SECURING && s->asking == SMTP_ASK_NONE && !s->is_secure);
	s->is_secure = true;
	s->hello = VERB_UNKNOWN;
	s->offers = offers_of(s);
	if (!s->denial.code)
		return ask(s, SMTP_ASK_TLS, VERB_STARTTLS);
	enter(s, SMTP_DENIED);
	todo = say_denial(s);
	s->denial.code = 0;
	return todo;
}

struct smtp_todo smtp_server_end(struct smtp_server *s, enum smtp_data_flaw flaw)
{
	const struct data_refusal *r = &data_flaws[flaw];
	struct smtp_todo todo;

	assert(s->phase == SMTP_BODY && s->asking == SMTP_ASK_NONE);
	s->owed = s->is_lmtp ? s->recipients : 1;
	enter(s, SMTP_ENDED);
	if (flaw == SMTP_DATA_CLEAN)
		return ask(s, SMTP_ASK_MESSAGE, VERB_DATA);
	todo = say_refusal(&r->refusal);
	todo.times = s->owed;
	s->owed = 0;
	if (r->closes)
		return over(s, todo);
	enter(s, SMTP_READY);
	return todo;
}

struct smtp_todo smtp_server_durable(struct smtp_server *s, struct str text)
{
	assert(s->asking == SMTP_ASK_MESSAGE);
	s->junk = 0;
	return owed_one(s, say(250, STR("2.6.0"), text.n ? text : STR("ok")));
}

struct smtp_todo smtp_server_stop(struct smtp_server *s, enum smtp_stop why)
{
	assert(s->phase != SMTP_OVER);
	return over(s, say_refusal(&stops[why]));
}

struct smtp_todo smtp_server_abort(struct smtp_server *s)
{
	(void)over(s, (struct smtp_todo){ 0 });
	return (struct smtp_todo){ .what = SMTP_CLOSE };
}

void smtp_server_check(const struct smtp_server *s)
{
	bool has_transaction = s->phase == SMTP_MAIL || s->phase == SMTP_RCPT ||
			       s->phase == SMTP_BODY || s->phase == SMTP_ENDED;
	bool has_recipient =
		s->phase == SMTP_RCPT || s->phase == SMTP_BODY || s->phase == SMTP_ENDED;

	assert(has_recipient == (s->recipients > 0));
	assert(s->recipients <= s->limits->recipients);
	assert((s->phase == SMTP_ENDED) == (s->owed > 0));
	assert((s->phase == SMTP_ENDED) == (s->asking == SMTP_ASK_MESSAGE));
	assert(!has_transaction || s->hello != VERB_UNKNOWN);
	assert(s->phase != SMTP_READY || s->hello != VERB_UNKNOWN);
	assert(s->phase != SMTP_GREETING || s->commands == 0);
	assert(s->phase != SMTP_OVER || s->asking == SMTP_ASK_NONE);
	assert(s->asking != SMTP_ASK_CONNECT || s->phase == SMTP_GREETING);
	assert(s->asking != SMTP_ASK_RCPT || s->phase == SMTP_MAIL || s->phase == SMTP_RCPT);
	assert(s->asking != SMTP_ASK_DATA || s->phase == SMTP_RCPT);
	assert(s->asking != SMTP_ASK_STARTTLS || (s->phase == SMTP_READY && !s->is_secure));
	assert(s->asking != SMTP_ASK_TLS || (s->phase == SMTP_SECURING && s->is_secure));
	assert(!s->is_secure || s->tls != SMTP_TLS_OFF);
}
