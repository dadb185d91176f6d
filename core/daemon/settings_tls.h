/*
 * settings_tls - what TLS is to be at a listener, and which certificates there are, as text.
 *
 * What        the words behind a listener's address ("tls=starttls floor=1.3"), and the line of a
 *             certificate (its paths with a TAB between: no path may have one).
 * Invariants  what is as by default is not written: two texts are equal when they mean the same.
 * Read next   settings.c, which reads and writes the lines; loader_tls.c, which reads the files.
 */
#ifndef SETTINGS_TLS_H
#define SETTINGS_TLS_H

#include "settings.h"

/* The keys of a listener in moongate.lua that are about TLS; NULL at the end. */
extern const char *const settings_tls_keys[];

/* -1 and why: no such key, or no such value. */
int settings_tls_set(struct settings_listener *l, struct str key, struct str value,
		     struct fault *why);
bool settings_tls_write(const struct settings_listener *l, struct buf *out);
int settings_tls_read(struct settings_listener *l, struct str words, struct fault *why);

bool settings_certificate_write(const struct settings_certificate *c, struct buf *out);
int settings_certificate_read(struct settings_certificate *c, struct str line, struct fault *why);

#endif
