/*
 * queue_note - what is said of messages beyond where they are.
 *
 * What        the last failure, the reason of a hold, variables: stored once for all messages of
 *             which the same is said, and gone with the last of them.
 * Why         a million messages that wait for one dead host have one text.
 * Bounds      QUEUE_NOTES distinct ones with texts of QUEUE_LAST bytes; beyond, shorter texts.
 * Fails       without memory the old one stays: it is a text for people, the mail goes on.
 */
#ifndef QUEUE_NOTE_H
#define QUEUE_NOTE_H

#include "map.h"

#define QUEUE_LAST       160 /* bytes of the last failure's text that are remembered, with NUL */
#define QUEUE_LAST_SHORT 24  /* the same, when there are too many different ones */
#define QUEUE_NOTES      65536
#define QUEUE_BUCKET     32

struct queue_index;
struct queue_message;

enum queue_said {
	SAID_LAST,      /* text of the last failure, or the reason of a hold; printable */
	SAID_BUCKET,    /* of the quarantine it is or was in */
	SAID_TO,        /* the address it was released to, instead of its recipients */
	SAID_SCHEDULE,  /* u32(first) u32(longest) u32(expire), in seconds; 0: as settings say */
	SAID_VARS,      /* packed, as delivery hooks left them */
	SAID_RCPT_VARS, /* *( u16(index) str(packed) ), by index */
	SAIDS
};

struct queue_note { /* shared by all messages of which the same is said */
	struct map_node node;
	uint32_t refs;
	uint32_t length[SAIDS];
	char text[];
};

/*
 * queue_say - instead of what was said before; an empty text takes it away. Without memory the old
 * one stays. In SAID_LAST, what could steer a terminal becomes '?'.
 */
void queue_say(struct queue_index *x, struct queue_message *m, enum queue_said what,
	       struct str text);
struct str queue_said(const struct queue_message *m,
		      enum queue_said what); /* until it is changed */

void queue_note_release(struct queue_index *x, struct queue_note **n);

#endif
