#include "settings_tls.h"

#include "settings_schema.h"
#include "step.h"

#define WORDS_MAX 4

enum key { KEY_TLS, KEY_FLOOR, KEY_CLIENTS, KEY_CIPHERS, KEYS };

const char *const settings_tls_keys[] = {
	[KEY_TLS] = "tls",
	[KEY_FLOOR] = "tls_floor",
	[KEY_CLIENTS] = "client_certificates",
	[KEY_CIPHERS] = "tls_ciphers",
	[KEYS] = NULL,
};

/* clang-format off */
static const struct choice {
	const char *words[WORDS_MAX];
	unsigned preset;
	const char *expected;
} choices[KEYS] = {
	[KEY_TLS] = {
		{ [SMTP_TLS_OFF] = "off", [SMTP_TLS_OFFERED] = "starttls", [SMTP_TLS_REQUIRED] = "required",
		  [SMTP_TLS_IMPLICIT] = "implicit" },
		SMTP_TLS_OFF, "\"starttls\", \"required\", \"implicit\" or \"off\"" },
	[KEY_FLOOR] = {
		{ [TLS_FLOOR_1_2] = "1.2", [TLS_FLOOR_1_3] = "1.3" }, TLS_FLOOR_1_2, "\"1.2\" or \"1.3\"" },
	[KEY_CLIENTS] = {
		{ [TLS_CLIENTS_OFF] = "off", [TLS_CLIENTS_REQUEST] = "request", [TLS_CLIENTS_REQUIRE] = "require" },
		TLS_CLIENTS_OFF, "\"request\", \"require\" or \"off\"" },
};
/* clang-format on */

static int chosen(enum key key, struct str value, unsigned *out, struct fault *why)
{
	for (unsigned i = 0; i < WORDS_MAX && choices[key].words[i]; i++)
		if (str_eq(value, str_of(choices[key].words[i]))) {
			*out = i;
			return 0;
		}
	return fault_set(why, "%s: expected %s, found \"%.*s\"", settings_tls_keys[key],
			 choices[key].expected, STR_ARG(str_head(value, 80)));
}

/* set_ciphers - one word: OpenSSL takes ':' between names; what they mean, the loader tries */
static int set_ciphers(struct settings_listener *l, struct str value, struct fault *why)
{
	if (setting_text_check(value, why) < 0)
		return -1;
	if (value.n == 0 || str_find(value, ' ') >= 0)
		return fault_set(why,
				 "tls_ciphers: expected names with \":\" between, found "
				 "\"%.*s\"",
				 STR_ARG(str_head(value, 80)));
	l->ciphers = value;
	return 0;
}

static int set(struct settings_listener *l, enum key key, struct str value, struct fault *why)
{
	unsigned choice = 0;

	if (key == KEY_CIPHERS)
		return set_ciphers(l, value, why);
	if (chosen(key, value, &choice, why) < 0)
		return -1;
	if (key == KEY_TLS)
		l->tls = (enum smtp_tls)choice;
	if (key == KEY_FLOOR)
		l->floor = (enum tls_floor)choice;
	if (key == KEY_CLIENTS)
		l->clients = (enum tls_clients)choice;
	return 0;
}

int settings_tls_set(struct settings_listener *l, struct str key, struct str value,
		     struct fault *why)
{
	for (unsigned k = 0; k < KEYS; k++)
		if (str_eq(key, str_of(settings_tls_keys[k])))
			return set(l, (enum key)k, value, why);
	return fault_set(why, "a listener has no `%.*s`", STR_ARG(str_head(key, 80)));
}

bool settings_tls_write(const struct settings_listener *l, struct buf *out)
{
	const unsigned now[] = {
		[KEY_TLS] = l->tls, [KEY_FLOOR] = l->floor, [KEY_CLIENTS] = l->clients
	};

	for (unsigned k = 0; k < COUNT(now); k++)
		if (now[k] != choices[k].preset &&
		    !buf_printf(out, " %s=%s", settings_tls_keys[k], choices[k].words[now[k]]))
			return false;
	return l->ciphers.n == 0 ||
	       buf_printf(out, " %s=%.*s", settings_tls_keys[KEY_CIPHERS], STR_ARG(l->ciphers));
}

int settings_tls_read(struct settings_listener *l, struct str words, struct fault *why)
{
	while (words.n) {
		struct str word, key;

		if (!str_take(&words, ' ', &word)) {
			word = words;
			words = STR_NONE;
		}
		if (!str_take(&word, '=', &key))
			return fault_set(why, "expected key=value, found \"%.*s\"",
					 STR_ARG(str_head(word, 80)));
		if (settings_tls_set(l, key, word, why) < 0)
			return -1;
	}
	return 0;
}

bool settings_certificate_write(const struct settings_certificate *c, struct buf *out)
{
	return buf_printf(out, "%.*s\t%.*s\t%.*s", STR_ARG(c->certificate), STR_ARG(c->key),
			  STR_ARG(c->staple));
}

int settings_certificate_read(struct settings_certificate *c, struct str line, struct fault *why)
{
	if (!str_take(&line, '\t', &c->certificate) || !str_take(&line, '\t', &c->key))
		return fault_set(why, "expected the paths of a certificate and its key");
	c->staple = line;
	return setting_text_check(c->certificate, why) < 0 || setting_text_check(c->key, why) < 0
		       ? -1
		       : setting_text_check(c->staple, why);
}
