#include "smtp_extension.h"
#include "smtp_reply.h"

#define NUMBER_MAX    20 /* digits of a 64-bit number */
#define LINE_MAX_TEXT 64 /* longest line of ours: keyword, space, argument */

struct line {
	char text[LINE_MAX_TEXT];
	size_t n;
};

static void add(struct line *l, struct str s)
{
	l->n += str_copy(l->text + l->n, sizeof l->text - l->n, s);
}

static void add_number(struct line *l, uint64_t value)
{
	char digits[NUMBER_MAX];
	size_t at = sizeof digits;

	do {
		digits[--at] = (char)('0' + value % 10);
		value /= 10;
	} while (value > 0);
	add(l, (struct str){ digits + at, sizeof digits - at });
}

/* size - RFC 1870 4: "SIZE" [SP size]; 0 and no argument both mean that there is no fixed limit */
static void size_say(struct line *l, const struct smtp_offers *offers)
{
	if (offers->size == 0)
		return;
	add(l, STR(" "));
	add_number(l, offers->size);
}

static void size_learn(struct smtp_offers *peer, struct str argument)
{
	struct str number;

	if (!str_take(&argument, ' ', &number))
		number = argument;
	if (!str_u64(number, UINT64_MAX, &peer->size))
		peer->size = 0;
}

/* clang-format off */
static const struct row {
	const char *keyword;
	/* What stands behind the keyword, and what is learnt from it; NULL: the keyword says it all. */
	void (*say)(struct line *, const struct smtp_offers *);
	void (*learn)(struct smtp_offers *, struct str argument);
} rows[SMTP_EXTENSIONS] = {
	[SMTP_EXTENSION_PIPELINING]          = { "PIPELINING",          NULL,     NULL       },
	[SMTP_EXTENSION_SIZE]                = { "SIZE",                size_say, size_learn },
	[SMTP_EXTENSION_8BITMIME]            = { "8BITMIME",            NULL,     NULL       },
	[SMTP_EXTENSION_ENHANCEDSTATUSCODES] = { "ENHANCEDSTATUSCODES", NULL,     NULL       },
	[SMTP_EXTENSION_STARTTLS]            = { "STARTTLS",            NULL,     NULL       },
};
/* clang-format on */

const char *smtp_extension_keyword(enum smtp_extension extension)
{
	return rows[extension].keyword;
}

bool smtp_extension_find(struct str keyword, enum smtp_extension *out)
{
	for (unsigned i = 0; i < SMTP_EXTENSIONS; i++) {
		if (str_ieq(keyword, str_of(rows[i].keyword))) {
			*out = (enum smtp_extension)i;
			return true;
		}
	}
	return false;
}

bool smtp_extension_hello(struct buf *out, struct str host, const struct smtp_offers *offers)
{
	struct line store[SMTP_EXTENSIONS];
	struct str lines[SMTP_EXTENSIONS + 1] = { host };
	size_t n = 1;

	for (unsigned i = 0; i < SMTP_EXTENSIONS; i++) {
		struct line *l = &store[i];

		if (!smtp_offers_has(offers, (enum smtp_extension)i))
			continue;
		l->n = 0;
		add(l, str_of(rows[i].keyword));
		if (rows[i].say)
			rows[i].say(l, offers);
		lines[n++] = (struct str){ l->text, l->n };
	}
	return smtp_reply_list(out, 250, lines, n);
}

void smtp_extension_learn(struct smtp_offers *peer, struct str line)
{
	enum smtp_extension extension;
	struct str keyword;

	line = str_trim(line);
	if (!str_take(&line, ' ', &keyword)) {
		keyword = line;
		line = STR_NONE;
	}
	if (!smtp_extension_find(keyword, &extension))
		return;
	peer->set |= SMTP_OFFER(extension);
	if (rows[extension].learn)
		rows[extension].learn(peer, str_trim(line));
}
