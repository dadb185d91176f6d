/*
 * snapshot - one committed state of everything that rules: settings, policy files, maps; read once,
 * sealed, hashed.
 *
 * What        a sealed memfd with a header and sections, made by the loader, mapped read-only by
 *             every role.
 * Why         all roles run the same bytes; a respawned role gets the committed ones, not whatever
 *             lies in the folder.
 * Invariants  the hash covers every section; sections are found by kind and name; the reader checks
 *             all offsets. A descriptor that is not sealed against writing, growing and shrinking
 *             is not mapped.
 * Ownership   snapshot_map maps, snapshot_unmap unmaps; slices live as long as the mapping.
 */
#ifndef SNAPSHOT_H
#define SNAPSHOT_H

#include "buf.h"
#include "fault.h"

#define SNAPSHOT_MAX      ((size_t)1 << 30) /* bytes of a snapshot */
#define SNAPSHOT_SECTIONS 4096

enum snapshot_kind {
	SNAPSHOT_SETTINGS, /* name "": canonical text */
	SNAPSHOT_SOURCE,   /* name: of the module, "main" the entry file; data: path, NUL, text */
	SNAPSHOT_MAP,      /* name: of the map; data: state/state_map.h image */
	SNAPSHOT_ORDER,    /* name "": text of `moongate policy order` */
	SNAPSHOT_CERTIFICATE, /* name: its place in tls.certificates, from 0; data: PEM */
	SNAPSHOT_STAPLE,      /* the same; data: DER, or nothing */
	SNAPSHOT_KEY,         /* the same; data: PEM, sealed: snapshot_secret.h */
	SNAPSHOT_AUTHORITIES, /* name "": PEM */
	SNAPSHOT_KINDS
};

struct snapshot {
	const char *p;
	size_t n;
	char hash[17]; /* first 16 hex digits of the BLAKE2b */
	unsigned nsections;
};

/* Writing: sections in any order into b, then seal into a memfd. */
bool snapshot_add(struct buf *b, enum snapshot_kind kind, struct str name, struct str data);
int snapshot_seal(struct str sections, struct fault *why); /* the memfd, or -1 */

int snapshot_map(int fd, struct snapshot *out, struct fault *why); /* fd stays the caller's */
void snapshot_unmap(struct snapshot *s);
/* snapshot_find - .p NULL: there is none */
struct str snapshot_find(const struct snapshot *s, enum snapshot_kind kind, struct str name);
bool snapshot_next(const struct snapshot *s, size_t *at, enum snapshot_kind *kind, struct str *name,
		   struct str *data);

#endif
