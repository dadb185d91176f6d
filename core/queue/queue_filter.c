#include "queue_filter.h"

#include <stdio.h>
#include <string.h>

#include "codec.h"
#include "policy_vars.h"
#include "step.h"

/* ---- words ----------------------------------------------------------------------------------- */

enum kind { KIND_TEXT, KIND_SECONDS, KIND_BYTES, KIND_COUNT, KIND_VARIABLE };

/* clang-format off */
static const struct field {
	const char *name;
	enum kind kind;
	bool is_deep;
} fields[FIELDS] = {
	[FIELD_STATE] =       { "state",       KIND_TEXT,     false },
	[FIELD_DESTINATION] = { "destination", KIND_TEXT,     false },
	[FIELD_REASON] =      { "reason",      KIND_TEXT,     false },
	[FIELD_BUCKET] =      { "bucket",      KIND_TEXT,     false },
	[FIELD_AGE] =         { "age",         KIND_SECONDS,  false },
	[FIELD_ATTEMPTS] =    { "attempts",    KIND_COUNT,    false },
	[FIELD_FROM] =        { "from",        KIND_TEXT,     true },
	[FIELD_TO] =          { "to",          KIND_TEXT,     true },
	[FIELD_DOMAIN] =      { "domain",      KIND_TEXT,     true },
	[FIELD_SIZE] =        { "size",        KIND_BYTES,    true },
	[FIELD_VARS] =        { "vars.",       KIND_VARIABLE, true },
};

static const struct unit {
	const char *name;
	uint64_t factor;
} seconds_units[] = { { "", 1 }, { "s", 1 }, { "m", 60 }, { "h", 3600 }, { "d", 86400 }, { "w", 604800 } },
  bytes_units[] = { { "", 1 }, { "b", 1 }, { "kib", 1 << 10 }, { "mib", 1 << 20 }, { "gib", 1 << 30 }, { "k", 1 << 10 }, { "m", 1 << 20 }, { "g", 1 << 30 } },
  count_units[] = { { "", 1 } };

static const struct {
	const struct unit *units;
	unsigned n;
	const char *expected;
} numbers[] = {
	[KIND_SECONDS] = { seconds_units, COUNT(seconds_units), "a time like 90s, 15m, 2h or 3d" },
	[KIND_BYTES] =   { bytes_units,   COUNT(bytes_units),   "a size like 500, 10KiB or 2MiB" },
	[KIND_COUNT] =   { count_units,   COUNT(count_units),   "a number" },
};

static const struct {
	char sign;
	enum queue_compare compare;
	bool is_for_text, is_for_numbers;
} signs[] = {
	{ '=', COMPARE_EQUAL, true,  true },
	{ '~', COMPARE_HAS,   true,  false },
	{ '>', COMPARE_MORE,  false, true },
	{ '<', COMPARE_LESS,  false, true },
};
/* clang-format on */

static bool is_number(enum kind kind)
{
	return kind == KIND_SECONDS || kind == KIND_BYTES || kind == KIND_COUNT;
}

/* number = 1*DIGIT [ unit ] */
static bool read_number(struct str text, enum kind kind, uint64_t *out)
{
	size_t digits = 0;
	uint64_t n;

	while (digits < text.n && text.p[digits] >= '0' && text.p[digits] <= '9')
		digits++;
	if (!str_u64(str_head(text, digits), UINT32_MAX, &n))
		return false;
	for (unsigned i = 0; i < numbers[kind].n; i++)
		if (str_ieq(str_drop(text, digits), str_of(numbers[kind].units[i].name))) {
			*out = n * numbers[kind].units[i].factor;
			return true;
		}
	return false;
}

bool queue_filter_duration(struct str text, uint64_t *seconds)
{
	return read_number(text, KIND_SECONDS, seconds);
}

static struct str nearest_field(struct str name)
{
	struct str_near near = { name, 4, STR_NONE };

	for (unsigned i = 0; i < FIELDS; i++)
		str_near_try(&near, str_of(fields[i].name));
	return near.found;
}

static bool complain(char why[QUEUE_FILTER_WHY], struct str word, size_t at, const char *expected)
{
	(void)snprintf(why, QUEUE_FILTER_WHY, "`%.*s`: at %zu: expected %.150s",
		       (int)(word.n < 80 ? word.n : 80), word.p, at + 1, expected);
	return false;
}

static bool unknown_field(char why[QUEUE_FILTER_WHY], struct str word, struct str name)
{
	struct str near = nearest_field(name);
	char text[QUEUE_FILTER_WHY];

	if (near.n)
		(void)snprintf(text, sizeof text,
			       "a field, and `%.*s` is none; did you mean `%.*s`?",
			       (int)(name.n < 40 ? name.n : 40), name.p, STR_ARG(near));
	else
		(void)snprintf(text, sizeof text,
			       "a field: state destination reason bucket age attempts from to "
			       "domain size vars.NAME");
	return complain(why, word, 0, text);
}

static bool find_field(struct str name, enum queue_field *out)
{
	for (unsigned i = 0; i < FIELDS; i++) {
		bool is_prefix = fields[i].kind == KIND_VARIABLE;
		struct str want = str_of(fields[i].name);

		if (is_prefix ? str_has_prefix(name, want) && name.n > want.n
			      : str_eq(name, want)) {
			*out = (enum queue_field)i;
			return true;
		}
	}
	return false;
}

static bool read_sign(struct queue_term *t, struct str word, size_t at, char why[QUEUE_FILTER_WHY])
{
	bool number = is_number(fields[t->field].kind);

	for (size_t i = 0; i < COUNT(signs); i++)
		if (signs[i].sign == word.p[at]) {
			t->compare = signs[i].compare;
			if (number ? signs[i].is_for_numbers : signs[i].is_for_text)
				return true;
		}
	return complain(why, word, at, number ? "=, > or <" : "= or ~");
}

/* keep - the value, and before it the name of a variable */
static void keep(struct queue_term *t, struct str field, struct str value)
{
	struct str name = t->field == FIELD_VARS ? str_drop(field, strlen(fields[FIELD_VARS].name))
						 : STR_NONE;

	t->name = (uint16_t)name.n;
	t->value = (uint16_t)value.n;
	if (name.n)
		memcpy(t->text, name.p, name.n);
	memcpy(t->text + name.n, value.p, value.n);
}

bool queue_filter_add(struct queue_filter *f, struct str word, char why[QUEUE_FILTER_WHY])
{
	ptrdiff_t at = str_find_any(word, "=~<>");
	struct str name = str_head(word, at < 0 ? word.n : (size_t)at), value;
	struct queue_term *t = &f->terms[f->n];

	if (f->n == QUEUE_TERMS || word.n > QUEUE_TERM_TEXT)
		return complain(why, word, 0, "at most 16 terms of 256 bytes");
	if (!find_field(name, &t->field))
		return unknown_field(why, word, name);
	if (at < 0)
		return complain(why, word, word.n, "=, ~, > or <, and a value");
	if (!read_sign(t, word, (size_t)at, why))
		return false;
	value = str_drop(word, (size_t)at + 1);
	if (value.n == 0)
		return complain(why, word, (size_t)at + 1, "a value");
	if (is_number(fields[t->field].kind) &&
	    !read_number(value, fields[t->field].kind, &t->number))
		return complain(why, word, (size_t)at + 1, numbers[fields[t->field].kind].expected);
	keep(t, name, value);
	f->is_deep |= fields[t->field].is_deep;
	f->n++;
	return true;
}

/* ---- comparing ------------------------------------------------------------------------------- */

static struct str value_of(const struct queue_term *t)
{
	return (struct str){ t->text + t->name, t->value };
}

static bool takes_text(const struct queue_term *t, struct str text)
{
	struct str want = value_of(t);

	if (t->compare == COMPARE_EQUAL)
		return str_ieq(text, want);
	for (; text.n >= want.n; text = str_drop(text, 1))
		if (str_has_iprefix(text, want))
			return true;
	return false;
}

static bool takes_number(const struct queue_term *t, uint64_t n)
{
	if (t->compare == COMPARE_EQUAL)
		return n == t->number;
	return t->compare == COMPARE_MORE ? n > t->number : n < t->number;
}

static bool takes_way(const struct queue_filter *f, const struct queue_way *w)
{
	for (unsigned i = 0; i < f->n; i++) {
		const struct queue_term *t = &f->terms[i];

		if ((t->field == FIELD_STATE && !takes_text(t, w->state)) ||
		    (t->field == FIELD_DESTINATION && !takes_text(t, w->destination)) ||
		    (t->field == FIELD_ATTEMPTS && !takes_number(t, w->attempts)))
			return false;
	}
	return true;
}

bool queue_filter_takes(const struct queue_filter *f, const struct queue_brief *b)
{
	bool has_way = false;

	for (unsigned i = 0; i < f->n; i++) {
		const struct queue_term *t = &f->terms[i];

		if ((t->field == FIELD_REASON && !takes_text(t, b->reason)) ||
		    (t->field == FIELD_BUCKET && !takes_text(t, b->bucket)) ||
		    (t->field == FIELD_AGE && !takes_number(t, b->age)))
			return false;
	}
	for (unsigned i = 0; i < b->nways && !has_way; i++)
		has_way = takes_way(f, &b->ways[i]);
	return has_way;
}

static struct str domain_of(struct str address)
{
	ptrdiff_t at = str_rfind(address, '@');

	return at < 0 ? STR_NONE : str_drop(address, (size_t)at + 1);
}

static bool takes_rcpts(const struct queue_term *t, const struct envelope *e)
{
	for (unsigned i = 0; i < e->nrcpts; i++) {
		struct str address = e->rcpts[i].address;

		if (takes_text(t, t->field == FIELD_DOMAIN ? domain_of(address) : address))
			return true;
	}
	return false;
}

/* takes_list - one of its strings is the one */
static bool takes_list(const struct queue_term *t, struct str packed)
{
	struct wire w = { .rest = packed };
	bool takes = false;

	while (w.rest.n > 0 && !w.bad && !takes)
		takes = takes_text(t, wire_get_str(&w, packed.n));
	return takes && !w.bad;
}

static bool takes_variable(const struct queue_term *t, const struct policy_var *v)
{
	char text[64];

	switch (v->type) {
	case VAR_STRING:
		return takes_text(t, v->text);
	case VAR_LIST:
		return takes_list(t, v->text);
	case VAR_INTEGER:
		(void)snprintf(text, sizeof text, "%lld", (long long)v->integer);
		return takes_text(t, str_of(text));
	case VAR_NUMBER:
		(void)snprintf(text, sizeof text, "%.14g", v->number);
		return takes_text(t, str_of(text));
	case VAR_BOOLEAN:
		return takes_text(t, v->integer ? STR("true") : STR("false"));
	case VAR_NONE:
	case VAR_TYPES:
		break;
	}
	return false;
}

static bool takes_vars(const struct queue_term *t, struct str packed)
{
	struct policy_vars vars = { .count = 0 };
	struct policy_var v;
	bool takes;

	(void)policy_vars_unpack(&vars, packed); /* empty, when it makes no sense */
	v = policy_vars_get(&vars, (struct str){ t->text, t->name });
	takes = takes_variable(t, &v);
	policy_vars_fini(&vars);
	return takes;
}

static bool takes_deep(const struct queue_term *t, const struct queue_deep *d)
{
	if (t->field == FIELD_FROM)
		return takes_text(t, d->envelope->sender);
	if (t->field == FIELD_TO || t->field == FIELD_DOMAIN)
		return takes_rcpts(t, d->envelope);
	if (t->field == FIELD_SIZE)
		return takes_number(t, d->size);
	return takes_vars(t, d->vars);
}

bool queue_filter_takes_deep(const struct queue_filter *f, const struct queue_deep *d)
{
	for (unsigned i = 0; i < f->n; i++)
		if (fields[f->terms[i].field].is_deep && !takes_deep(&f->terms[i], d))
			return false;
	return true;
}
