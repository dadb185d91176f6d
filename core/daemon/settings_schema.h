/*
 * settings_schema - the table of every setting.
 *
 * What        per setting: its path in moongate.lua, type, default, bounds, whether a change needs
 *             a restart, one line of help.
 * Why         reading, checking, writing, comparing and documenting settings are loops over one
 *             table.
 * Invariants  the order of the table is the order of the canonical text. A default passes its own
 *             bounds.
 * Read next   settings.c, which loops over it; settings_eval.c, which fills it from Lua.
 */
#ifndef SETTINGS_SCHEMA_H
#define SETTINGS_SCHEMA_H

#include "settings.h"

#define SETTINGS_TEXT 1024 /* bytes of one string */
#define SETTINGS_NAME 64   /* bytes of the name of a listener that was given one, or of a map */

/* clang-format off */
enum setting_type {             /* in struct settings       in moongate.lua */
	SETTING_TEXT,           /* struct str               string */
	SETTING_HOST,           /* struct str               string: a domain name or an address literal */
	SETTING_PATH,           /* struct str, absolute     string, relative to the settings file */
	SETTING_KEY,            /* struct str, absolute     string: a path, or "credential:NAME" */
	SETTING_HOP,            /* struct str               string: a next hop */
	SETTING_EVENTS,         /* struct str               "stdout", "syslog", "none", "file:PATH" */
	SETTING_LEVEL,          /* struct str               "debug", "info", "warn", "error" */
	SETTING_FLAG,           /* bool                     boolean */
	SETTING_COUNT,          /* uint32_t                 integer */
	SETTING_SIZE,           /* uint64_t bytes           "25MiB", or a number of bytes */
	SETTING_DURATION,       /* uint64_t microseconds    "1h30m", or a number of seconds */
	SETTING_DOMAINS,        /* struct str *, unsigned   list of domain names */
	SETTING_DOMAINS_ALL,    /* the same                 or "*" */
	SETTING_ROUTES,         /* settings_pair *, count   map of domain or "*" to next hop */
	SETTING_PATHS,          /* settings_pair *, count   map of name to path */
	SETTING_CERTIFICATES,   /* settings_certificate *, count   list of { cert=, key=, ocsp= } */
	SETTING_LISTENERS,      /* array and its count      list of addresses, or of { address=, name= } */
	SETTING_TYPES
};
/* clang-format on */

struct setting {
	const char *path; /* "limits.message" */
	enum setting_type type;
	size_t at, count_at; /* offsets in struct settings; count_at for lists */
	/* As a string in moongate.lua would give it; NULL: empty, or found out when it is read. */
	const char *preset;
	uint64_t least, most; /* of a number; `most` of a list: its length */
	bool restart;
	const char *help;
};

extern const struct setting settings_schema[];
extern const unsigned settings_schema_count;

const struct setting *setting_find(struct str path);
/* setting_is_group - is it "limits", "relay", ...: a table of settings? */
bool setting_is_group(struct str path);
/* setting_nearest - the setting or group that path may have meant, or NULL */
struct str setting_nearest(struct str path);
bool setting_is_list(enum setting_type type);
const char *setting_expected(enum setting_type type); /* "a size like \"25MiB\"" */

void *setting_field(const struct setting *row, struct settings *s);
const void *setting_value(const struct setting *row, const struct settings *s);
unsigned *setting_count(const struct setting *row, struct settings *s);

/*
 * setting_parse - store what `text` says; borrows it. For every type but lists. -1 and why:
 * "expected a size like ...", "must be between 1 and 100".
 */
int setting_parse(const struct setting *row, struct settings *s, struct str text,
		  struct fault *why);
/* setting_number - store a number in the field's own unit, within its bounds */
int setting_number(const struct setting *row, struct settings *s, uint64_t value,
		   struct fault *why);

/* The parts of lists. Whoever stores them has checked them with these. */
int setting_domain_check(struct str text, bool or_all, struct fault *why);
int setting_name_check(struct str text, struct fault *why);
int setting_address_check(struct str text, struct fault *why);
int setting_hop_check(struct str text, struct fault *why);
/* setting_text_check - no byte that could break a line or a terminal */
int setting_text_check(struct str text, struct fault *why);

#endif
