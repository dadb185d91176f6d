/*
 * smtp_params - the parameters behind the path of MAIL and RCPT.
 *
 * What        splits them, checks each against its grammar, and keeps them as given for whoever
 *             wants to look (policies do).
 * Invariants  OK means: every parameter is known, belongs to this verb, to an extension that was
 *             offered, stands there once, and its value fits its grammar.
 * Ownership   slices borrow from the command line.
 * Bounds      SMTP_PARAMS; the line bounds the rest.
 * Read next   smtp_extension.h; a new parameter is a row in smtp_params.c and a field here.
 */
#ifndef SMTP_PARAMS_H
#define SMTP_PARAMS_H

#include "smtp_extension.h"

#define SMTP_PARAMS 16

enum smtp_params_verdict {
	SMTP_PARAMS_OK,
	SMTP_PARAMS_SYNTAX,             /* not key or key=value */
	SMTP_PARAMS_MANY,
	SMTP_PARAMS_TWICE,
	SMTP_PARAMS_UNKNOWN,            /* or known and not offered, or of the other verb */
	SMTP_PARAMS_VALUE,              /* its value does not fit */
	SMTP_PARAMS_VERDICTS
};

enum smtp_params_of { SMTP_PARAMS_MAIL = 1, SMTP_PARAMS_RCPT = 2 };

enum smtp_body { SMTP_BODY_7BIT, SMTP_BODY_8BITMIME };

struct smtp_params {
	uint64_t size;                  /* SIZE=, octets the client means to send; 0: not said */
	enum smtp_body body;            /* BODY= */
	unsigned n;
	struct smtp_param {
		struct str key, value;  /* as written; a value may be empty: "KEY" */
	} list[SMTP_PARAMS];
};

/* smtp_params_parse - `text` is empty, or begins with the space behind the path */
enum smtp_params_verdict smtp_params_parse(struct str text, enum smtp_params_of verb,
                                           const struct smtp_offers *offers,
                                           struct smtp_params *out);

#endif
