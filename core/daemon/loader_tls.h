/*
 * loader_tls - certificates, keys and authorities: read from disk, tried, put into the snapshot.
 *
 * What        every file that `tls` in the settings names; they must fit together, and every
 *             listener's TLS must come to be with them, as it will in the edges.
 * Why         a reload that would leave listeners without a certificate is refused, saying why.
 * Invariants  the snapshot holds keys sealed only (snapshot_secret.h), or not at all when there is
 *             nobody to read them. No message shows a byte of a file.
 */
#ifndef LOADER_TLS_H
#define LOADER_TLS_H

#include "settings.h"
#include "settings_source.h"

#define LOADER_PEM (256 * 1024) /* bytes of one file */
#define LOADER_KEY (16 * 1024)

/* secret: NULL leaves the keys out. Problems and notes go to `source`. */
void loader_tls(const struct settings *s, const unsigned char *secret,
		struct settings_source *source, struct buf *sections);

#endif
