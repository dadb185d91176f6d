/*
 * queue_filter - which messages an operator means: terms that must all be true. Pure.
 *
 *     state=waiting  from~@news.example  to~smith  domain=example.org  destination~10.0.0.
 *     reason~refused bucket=spam  age>2h  size>10MiB  attempts>3  vars.campaign=spring
 *
 *     term  = field ( "=" / "~" / ">" / "<" ) value
 *     "="   equal, whatever the case; "~" contains, whatever the case; ">" and "<" for numbers:
 *           seconds or with s m h d, bytes or with KiB MiB GiB
 *
 * What        a term from its word; the terms over what is known of a message.
 * Why         the words of `queue list` and of every verb that changes many are the same ones.
 * Invariants  what the index knows is asked first: only a filter that names sender, recipient,
 *             size or variables needs the message itself, which is read from the disk.
 * Ownership   words are copied; nothing to release.
 * Bounds      QUEUE_TERMS terms of QUEUE_TERM_TEXT bytes.
 */
#ifndef QUEUE_FILTER_H
#define QUEUE_FILTER_H

#include "envelope.h"

#define QUEUE_TERMS      16
#define QUEUE_TERM_TEXT  256
#define QUEUE_FILTER_WHY 256

/* clang-format off */
enum queue_field {
	FIELD_STATE, FIELD_DESTINATION, FIELD_REASON, FIELD_BUCKET, FIELD_AGE, FIELD_ATTEMPTS,
	FIELD_FROM, FIELD_TO, FIELD_DOMAIN, FIELD_SIZE, FIELD_VARS,
	FIELDS
};
/* clang-format on */

enum queue_compare { COMPARE_EQUAL, COMPARE_HAS, COMPARE_MORE, COMPARE_LESS };

struct queue_term {
	enum queue_field field;
	enum queue_compare compare;
	uint64_t number;      /* seconds, bytes, a count */
	uint16_t name, value; /* their lengths in text; name: of a variable */
	char text[QUEUE_TERM_TEXT];
};

struct queue_filter {
	unsigned n;
	bool is_deep; /* it needs the message itself */
	struct queue_term terms[QUEUE_TERMS];
};

/* What the index knows of one of a message's ways. */
struct queue_way {
	struct str state, destination;
	unsigned attempts;
};

struct queue_brief {
	const struct queue_way *ways;
	unsigned nways;
	struct str reason, bucket;
	uint64_t age; /* seconds */
};

struct queue_deep { /* what the message says itself */
	const struct envelope *envelope;
	struct str vars; /* packed, as last stored */
	uint64_t size;
};

/* queue_filter_add - false: `why` says what was found, where, and what was expected */
bool queue_filter_add(struct queue_filter *f, struct str word, char why[QUEUE_FILTER_WHY]);
/* One way of the message answers all terms about state, destination and attempts. */
bool queue_filter_takes(const struct queue_filter *f, const struct queue_brief *b);
bool queue_filter_takes_deep(const struct queue_filter *f, const struct queue_deep *d);

/* queue_filter_duration - "90", "90s", "15m", "2h", "3d"; false: it is none */
bool queue_filter_duration(struct str text, uint64_t *seconds);

#endif
