/*
 * smtp_stuff - a message on its way out: dots that begin a line are doubled, and the end is marked.
 *
 * What        slices of the message in, slices for the wire out; then the end mark, behind a CRLF
 *             in any case.
 * Why         the counterpart of smtp_data. What we accepted is clean; what a rule added may not
 *             be, so the last place before the wire checks once more: no smuggling form ever
 *             leaves, whoever wrote it.
 * Invariants  output is what smtp_data turns back into the input, wherever the input was cut.
 *             After a flaw nothing comes out: the driver closes without the end mark, and the
 *             peer throws away what it has.
 * Ownership   embedded by value; slices borrow from the input or are static.
 * Read next   smtp_client.c.
 */
#ifndef SMTP_STUFF_H
#define SMTP_STUFF_H

#include "str.h"

enum smtp_stuff_at { SMTP_STUFF_START, SMTP_STUFF_LINE, SMTP_STUFF_CR };

struct smtp_stuff {
	enum smtp_stuff_at at;
	bool has_dot;           /* the dot that begins this line was doubled */
	bool is_flawed;         /* a bare CR, a bare LF or a NUL was among the octets */
};

void smtp_stuff_init(struct smtp_stuff *s);

/*
 * smtp_stuff_next - true: *out holds octets for the wire, call again; false: the input is used
 * up, or flawed
 */
bool smtp_stuff_next(struct smtp_stuff *s, struct str *in, struct str *out);

/*
 * smtp_stuff_end - the end mark; not after a flaw. A message that ends in a bare CR is flawed:
 * then is_flawed and empty
 */
struct str smtp_stuff_end(struct smtp_stuff *s);

#endif
