#include "smtp_params.h"

#define SIZE_DIGITS 20

/*
 * size - RFC 1870 5
 *
 *   size-value = 1*20DIGIT
 *
 * Twenty digits may exceed 64 bits: then it is the largest number, and too big for everybody.
 */
static bool parse_size(struct smtp_params *p, struct str value)
{
	if (value.n == 0 || value.n > SIZE_DIGITS)
		return false;
	for (size_t i = 0; i < value.n; i++)
		if (value.p[i] < '0' || value.p[i] > '9')
			return false;
	if (!str_u64(value, UINT64_MAX, &p->size))
		p->size = UINT64_MAX;
	return true;
}

/*
 * body - RFC 6152 2 (8); "BINARYMIME" belongs to an extension that is not offered
 *
 *   body-value = "7BIT" / "8BITMIME"
 */
static bool parse_body(struct smtp_params *p, struct str value)
{
	bool is_8bit = str_ieq(value, STR("8BITMIME"));

	p->body = is_8bit ? SMTP_BODY_8BITMIME : SMTP_BODY_7BIT;
	return is_8bit || str_ieq(value, STR("7BIT"));
}

/* clang-format off */
static const struct row {
	const char *key;
	enum smtp_params_of verb;
	enum smtp_extension extension;
	bool (*parse)(struct smtp_params *, struct str value);
} rows[] = {
	{ "SIZE", SMTP_PARAMS_MAIL, SMTP_EXTENSION_SIZE,     parse_size },
	{ "BODY", SMTP_PARAMS_MAIL, SMTP_EXTENSION_8BITMIME, parse_body },
};
/* clang-format on */

static const struct row *find(struct str key)
{
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		if (str_ieq(key, str_of(rows[i].key)))
			return &rows[i];
	return NULL;
}

static bool is_alnum(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/*
 * split - RFC 5321 4.1.2
 *
 *   esmtp-param   = esmtp-keyword ["=" esmtp-value]
 *   esmtp-keyword = (ALPHA / DIGIT) *(ALPHA / DIGIT / "-")
 *   esmtp-value   = 1*(%d33-60 / %d62-126)
 */
static bool split(struct str text, struct smtp_param *out)
{
	bool has_value = str_take(&text, '=', &out->key);

	if (!has_value)
		out->key = text;
	out->value = has_value ? text : STR_NONE;
	if (out->key.n == 0 || !is_alnum(out->key.p[0]) || (has_value && text.n == 0))
		return false;
	for (size_t i = 0; i < out->key.n; i++)
		if (!is_alnum(out->key.p[i]) && out->key.p[i] != '-')
			return false;
	for (size_t i = 0; i < out->value.n; i++)
		if (out->value.p[i] < '!' || out->value.p[i] > '~' || out->value.p[i] == '=')
			return false;
	return true;
}

static bool is_there(const struct smtp_params *p, struct str key)
{
	for (unsigned i = 0; i < p->n; i++)
		if (str_ieq(p->list[i].key, key))
			return true;
	return false;
}

/*
 * collect - RFC 5321 4.1.1.2: all parameters as given, before any is judged
 *
 *   [SP Mail-parameters]      Mail-parameters = esmtp-param *(SP esmtp-param)
 *
 * Several spaces between two parameters are taken for one: harmless, and met in the wild.
 */
static enum smtp_params_verdict collect(struct str text, struct smtp_params *out)
{
	if (text.n > 0 && text.p[0] != ' ')
		return SMTP_PARAMS_SYNTAX;
	while (text.n > 0) {
		struct smtp_param param;
		struct str one;

		if (!str_take(&text, ' ', &one)) {
			one = text;
			text = STR_NONE;
		}
		if (one.n == 0)
			continue;
		if (!split(one, &param))
			return SMTP_PARAMS_SYNTAX;
		if (out->n == SMTP_PARAMS)
			return SMTP_PARAMS_MANY;
		if (is_there(out, param.key))
			return SMTP_PARAMS_TWICE;
		out->list[out->n++] = param;
	}
	return SMTP_PARAMS_OK;
}

enum smtp_params_verdict smtp_params_parse(struct str text, enum smtp_params_of verb,
					   const struct smtp_offers *offers,
					   struct smtp_params *out)
{
	enum smtp_params_verdict verdict;

	out->size = 0;
	out->body = SMTP_BODY_7BIT;
	out->n = 0;
	verdict = collect(text, out);
	for (unsigned i = 0; i < out->n && !verdict; i++) {
		const struct row *row = find(out->list[i].key);

		if (!row || row->verb != verb || !smtp_offers_has(offers, row->extension))
			verdict = SMTP_PARAMS_UNKNOWN;
		else if (!row->parse(out, out->list[i].value))
			verdict = SMTP_PARAMS_VALUE;
	}
	return verdict;
}
