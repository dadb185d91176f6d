/*
 * admin_wire - the bytes on the control socket.
 *
 * What        request = word *(NUL word) LF
 *             answer  = *chunk
 *             chunk  = code SP length LF text  ; code 255: more follows; else the exit code, and
 *             this is the last
 * Why         an answer that was cut short is told from one that is complete, and the exit code of
 *             a long one comes when it is known.
 * Invariants  MORE consumes nothing. A word has no NUL and no LF in it; --json is a word like any
 *             other.
 */
#ifndef ADMIN_WIRE_H
#define ADMIN_WIRE_H

#include "buf.h"
#include "step.h"

#define ADMIN_REQUEST 4096 /* bytes with the LF */
#define ADMIN_WORDS   32
#define ADMIN_CHUNK   (60 * 1024) /* bytes of text in one chunk */
#define ADMIN_MORE    255

/* false: too long, or a word that cannot be */
bool admin_wire_request(struct buf *out, const struct str *words, unsigned nwords);
/* admin_wire_request_take - the words with their NULs, without the LF; ERROR: too long, empty, too
 * many words */
enum step admin_wire_request_take(struct str *in, struct str *words);
/* admin_wire_words - split; more than fit are dropped */
unsigned admin_wire_words(struct str request, struct str words[ADMIN_WORDS]);

/* text of at most ADMIN_CHUNK */
bool admin_wire_chunk(struct buf *out, unsigned code, struct str text);
enum step admin_wire_chunk_take(struct str *in, unsigned *code, struct str *text);

#endif
