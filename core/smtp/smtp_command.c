#include "smtp_command.h"

/* What stands behind a verb. */
enum grammar { NOTHING, ANYTHING, SOMETHING, HELLO, FROM_PATH, TO_PATH, UNREAD };

/* clang-format off */
static const struct row {
	const char *name;
	enum smtp_verb verb;
	enum grammar grammar;
} rows[] = {
	{ "MAIL",     VERB_MAIL,     FROM_PATH },       /* the frequent ones first */
	{ "RCPT",     VERB_RCPT,     TO_PATH   },
	{ "DATA",     VERB_DATA,     NOTHING   },
	{ "EHLO",     VERB_EHLO,     HELLO     },
	{ "QUIT",     VERB_QUIT,     NOTHING   },
	{ "RSET",     VERB_RSET,     NOTHING   },
	{ "HELO",     VERB_HELO,     HELLO     },
	{ "LHLO",     VERB_LHLO,     HELLO     },
	{ "NOOP",     VERB_NOOP,     ANYTHING  },
	{ "VRFY",     VERB_VRFY,     SOMETHING },
	{ "EXPN",     VERB_EXPN,     SOMETHING },
	{ "HELP",     VERB_HELP,     ANYTHING  },
	{ "STARTTLS", VERB_STARTTLS, NOTHING   },
	{ "AUTH",     VERB_AUTH,     SOMETHING },
	{ "BDAT",     VERB_BDAT,     SOMETHING },
	{ "TURN",     VERB_OTHER,    UNREAD    },
	{ "ETRN",     VERB_OTHER,    UNREAD    },
	{ "ATRN",     VERB_OTHER,    UNREAD    },
	{ "SEND",     VERB_OTHER,    UNREAD    },
	{ "SOML",     VERB_OTHER,    UNREAD    },
	{ "SAML",     VERB_OTHER,    UNREAD    },
	{ "BURL",     VERB_OTHER,    UNREAD    },
	{ "XCLIENT",  VERB_OTHER,    UNREAD    },
	{ "XFORWARD", VERB_OTHER,    UNREAD    },
	{ "GET",      VERB_FOREIGN,  UNREAD    },       /* a browser made to speak to port 25 */
	{ "HEAD",     VERB_FOREIGN,  UNREAD    },
	{ "POST",     VERB_FOREIGN,  UNREAD    },
	{ "PUT",      VERB_FOREIGN,  UNREAD    },
	{ "OPTIONS",  VERB_FOREIGN,  UNREAD    },
	{ "CONNECT",  VERB_FOREIGN,  UNREAD    },
};
/* clang-format on */

static const struct row *find(struct str name)
{
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		if (str_ieq(name, str_of(rows[i].name)))
			return &rows[i];
	return NULL;
}

const char *smtp_verb_name(enum smtp_verb verb)
{
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		if (rows[i].verb == verb && rows[i].grammar != UNREAD)
			return rows[i].name;
	return "command";
}

static bool is_printable(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < ' ' || s.p[i] > '~')
			return false;
	return true;
}

/*
 * parse_hello - RFC 5321 4.1.1.1
 *
 *   ehlo = "EHLO" SP ( Domain / address-literal ) CRLF
 *
 * What is neither is common and says something about the client: a fact for policy, not an error.
 * Bytes that could break a trace field are an error; and so is a name that is longer than any
 * name.
 */
static enum smtp_flaw parse_hello(struct smtp_command *c)
{
	enum address_domain kind;

	if (c->argument.n == 0)
		return FLAW_NO_ARGUMENT;
	if (c->argument.n > ADDRESS_DOMAIN)
		c->why = "longer than any name";
	if (!is_printable(c->argument) || c->argument.n > ADDRESS_DOMAIN)
		return FLAW_BYTES;
	c->is_domain = address_domain_parse(c->argument, &kind) == ADDRESS_OK;
	return FLAW_NONE;
}

static enum smtp_flaw params_flaw(struct smtp_command *c, enum smtp_params_verdict verdict)
{
	static const char *const why[SMTP_PARAMS_VERDICTS] = {
		[SMTP_PARAMS_SYNTAX] = "syntax error in parameters",
		[SMTP_PARAMS_MANY] = "too many parameters",
		[SMTP_PARAMS_TWICE] = "a parameter stands there twice",
		[SMTP_PARAMS_UNKNOWN] = "parameter not recognized",
		[SMTP_PARAMS_VALUE] = "bad value of a parameter",
	};

	c->why = why[verdict];
	return verdict == SMTP_PARAMS_OK        ? FLAW_NONE
	       : verdict == SMTP_PARAMS_UNKNOWN ? FLAW_PARAM_UNKNOWN
						: FLAW_PARAMS;
}

/*
 * parse_path - RFC 5321 4.1.1.2, 4.1.1.3
 *
 *   mail = "MAIL FROM:" Reverse-path [SP Mail-parameters] CRLF
 *   rcpt = "RCPT TO:" ( "<Postmaster@" Domain ">" / "<Postmaster>" / Forward-path )
 *          [SP Rcpt-parameters] CRLF
 */
static enum smtp_flaw parse_path(struct smtp_command *c, const struct smtp_offers *offers)
{
	bool is_mail = c->verb == VERB_MAIL;
	struct str keyword = is_mail ? STR("FROM:") : STR("TO:");
	struct str rest = c->argument;
	enum address_verdict verdict;

	if (!str_has_iprefix(rest, keyword))
		return rest.n == 0 ? FLAW_NO_ARGUMENT : FLAW_KEYWORD;
	rest = str_drop(rest, keyword.n);
	if (rest.n > 0 && rest.p[0] == ' ')
		return FLAW_SPACE;
	verdict = address_take(&rest, is_mail ? ADDRESS_REVERSE : ADDRESS_FORWARD, &c->path);
	if (verdict != ADDRESS_OK) {
		c->why = address_reason(verdict);
		return verdict == ADDRESS_8BIT ? FLAW_8BIT : is_mail ? FLAW_SENDER : FLAW_RECIPIENT;
	}
	c->has_routing = !is_mail && address_has_routing(&c->path);
	return params_flaw(c, smtp_params_parse(rest, is_mail ? SMTP_PARAMS_MAIL : SMTP_PARAMS_RCPT,
						offers, &c->params));
}

static enum smtp_flaw parse_argument(struct smtp_command *c, enum grammar grammar,
				     const struct smtp_offers *offers)
{
	switch (grammar) {
	case NOTHING:
		return c->argument.n ? FLAW_ARGUMENT : FLAW_NONE;
	case SOMETHING:
		if (c->argument.n == 0)
			return FLAW_NO_ARGUMENT;
		return is_printable(c->argument) ? FLAW_NONE : FLAW_BYTES;
	case ANYTHING:
		return is_printable(c->argument) ? FLAW_NONE : FLAW_BYTES;
	case HELLO:
		return parse_hello(c);
	case FROM_PATH:
	case TO_PATH:
		return parse_path(c, offers);
	case UNREAD:
		break;
	}
	return FLAW_NONE;
}

/*
 * smtp_command_parse - RFC 5321 4.1.1: verbs in any case; "receivers SHOULD tolerate trailing
 * white space"
 */
void smtp_command_parse(struct str line, const struct smtp_offers *offers, struct smtp_command *out)
{
	const struct row *row;
	struct str name;

	*out = (struct smtp_command){ .verb = VERB_UNKNOWN };
	while (line.n > 0 && (line.p[line.n - 1] == ' ' || line.p[line.n - 1] == '\t'))
		line.n--;
	if (!str_take(&line, ' ', &name)) {
		name = line;
		line = STR_NONE;
	}
	row = find(name);
	if (!row)
		return;
	out->verb = row->verb;
	while (line.n > 0 && line.p[0] == ' ')
		line = str_drop(line, 1);
	out->argument = line;
	out->flaw = parse_argument(out, row->grammar, offers);
}
