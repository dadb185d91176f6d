/*
 * smtp_extension - the extensions of SMTP that are spoken here, in either direction.
 *
 * What        one table: keyword, what its line in an EHLO reply says behind it, what is learnt
 *             from that line.
 * Why         offering, parsing and learning an extension must not drift apart: a new one is a
 *             row here, and rows in smtp_params.c for the parameters it brings.
 * Invariants  what is not offered is not understood: a parameter or verb of it is refused.
 * Read next   smtp_params.c, smtp_server.c, smtp_client.c.
 */
#ifndef SMTP_EXTENSION_H
#define SMTP_EXTENSION_H

#include "buf.h"

/* In the order of the EHLO reply. */
enum smtp_extension {
	SMTP_EXTENSION_PIPELINING,              /* RFC 2920 */
	SMTP_EXTENSION_SIZE,                    /* RFC 1870 */
	SMTP_EXTENSION_8BITMIME,                /* RFC 6152 */
	SMTP_EXTENSION_ENHANCEDSTATUSCODES,     /* RFC 2034 */
	SMTP_EXTENSION_STARTTLS,                /* RFC 3207 */
	SMTP_EXTENSIONS
};

#define SMTP_OFFER(extension) (UINT32_C(1) << (extension))
#define SMTP_OFFER_ALL (SMTP_OFFER(SMTP_EXTENSIONS) - 1)

/* What one side offers: ours before it is announced, a peer's after its EHLO reply was read. */
struct smtp_offers {
	uint32_t set;           /* of SMTP_OFFER() */
	uint64_t size;          /* SIZE: octets a message may have; 0: no limit was named */
};

static inline bool smtp_offers_has(const struct smtp_offers *o, enum smtp_extension extension)
{
	return (o->set & SMTP_OFFER(extension)) != 0;
}

const char *smtp_extension_keyword(enum smtp_extension extension);
bool smtp_extension_find(struct str keyword, enum smtp_extension *out);

/*
 * smtp_extension_hello - the whole reply to EHLO or LHLO; false: `out` is too full, nothing was
 * added
 */
bool smtp_extension_hello(struct buf *out, struct str host, const struct smtp_offers *offers);

/*
 * smtp_extension_learn - one line of a peer's EHLO reply, behind its code; what nobody knows is
 * ignored
 *
 *   ehlo-line    = ehlo-keyword *( SP ehlo-param )            RFC 5321 4.1.1.1
 *   ehlo-keyword = (ALPHA / DIGIT) *(ALPHA / DIGIT / "-")
 */
void smtp_extension_learn(struct smtp_offers *peer, struct str line);

#endif
