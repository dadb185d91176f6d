/*
 * header - the header block of a message: find its end, walk its fields, write an edited one.
 *
 * What        a block is the fields, each with its CRLF, without the empty line. A field is a name,
 *             optional blanks (RFC 5322 4.5), a colon, a value with folds.
 * Why         policies read and edit fields; a message that no edit touches keeps every byte.
 * Invariants  a line that is neither a field nor a fold ends the block, and the body begins right
 *             there (a message may have no header at all). Lines end at CRLF only. How the bytes
 *             arrive never changes the answer.
 * Bounds      HEADER_FIELDS fields, HEADER_BLOCK bytes; lines over HEADER_LINE are counted, not
 *             refused.
 * Ownership   fields are slices of the block.
 */
#ifndef HEADER_H
#define HEADER_H

#include "arena.h"
#include "buf.h"
#include "step.h"

#define HEADER_FIELDS 1000
#define HEADER_BLOCK (256 * 1024)
#define HEADER_LINE 998                 /* RFC 5322 2.1.1, without CRLF */
#define HEADER_WIDTH 78                 /* what we write is folded there where it can be */
#define HEADER_NAME 76                  /* of a name that we write */

/* ---- where it ends */

enum header_fault { HEADER_OK, HEADER_MANY_FIELDS, HEADER_BIG };

struct header_scan {
	size_t end;                     /* of the last complete field; when DONE, of the block */
	/* DONE: end, or end + 2 where an empty line stands between */
	size_t body;
	size_t line;                    /* where the line begins that is looked at next */
	size_t seen;                    /* bytes of that line already searched for its end */
	unsigned fields, long_lines;
	enum header_fault fault;        /* ERROR: which */
};

void header_scan_init(struct header_scan *s);
/*
 * `all` is the message from its first byte on, longer from call to call; nothing is read twice but
 * the last line.
 */
enum step header_scan(struct header_scan *s, struct str all);
/* The message ends here: DONE, or ERROR. */
enum step header_scan_finish(struct header_scan *s, struct str all);

/* ---- what is in it */

struct header_field {
	struct str whole;               /* with its folds and last CRLF */
	struct str name;
	/* all between the colon and the last CRLF: with its first blank, with folds */
	struct str value;
};

/* consume one field; false: none is left */
bool header_take(struct str *block, struct header_field *out);
/* nth counts from 1 at the top; names compare without case. */
bool header_find(struct str block, struct str name, unsigned nth, struct header_field *out);
unsigned header_count(struct str block, struct str name);
unsigned header_hops(struct str block);                         /* Received fields: RFC 5321 6.3 */
/*
 * header_unfold - a value on one line, without blanks at both ends; .p is NULL when the arena's cap
 * is reached
 */
struct str header_unfold(struct arena *a, struct str value);

/* ---- a new one */

/* printable ASCII without a colon, at most HEADER_NAME */
bool header_name_is_valid(struct str name);
/*
 * One line: no control byte but TAB, and no word so long that the line could not be folded under
 * HEADER_LINE.
 */
bool header_value_is_valid(struct str value);
/* valid ones; folded; false: b is full */
bool header_write(struct buf *b, struct str name, struct str value);

enum header_edit_kind {
	HEADER_ADD_TOP,                 /* above all; a later edit above an earlier one */
	HEADER_ADD_END,                 /* below all; a later edit below an earlier one */
	HEADER_REMOVE,                  /* the nth of that name, or all of them */
	/* the nth; 0: the first takes the value, the others go, where there is none it is added */
	HEADER_REPLACE,
};

struct header_edit {
	enum header_edit_kind kind;
	struct str name, value;         /* valid in the sense of the two predicates */
	unsigned nth;                   /* from 1, in the original block; 0: all */
	struct header_edit *next;
	unsigned seen;                  /* header_edit's own: fields of that name so far */
};

/*
 * header_edit - write the block with all edits applied. The order is fixed: what is added at the
 * top; then the original fields, kept byte for byte, removed or replaced; then what is added at the
 * end. REMOVE and REPLACE see the original block, never an addition; where several hit the same
 * field, the last one decides. False: out is full, its content is void.
 */
bool header_edit(struct str block, struct header_edit *edits, struct buf *out);

#endif
