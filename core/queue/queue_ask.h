/*
 * queue_ask - one question of an operator, from its words to the end of its answer.
 *
 * What        words and options; the text of the answer, which goes out piece by piece as the ring
 *             has room, and at last an exit code.
 * Invariants  each question is answered once, or forgotten with its channel: an answer to an old
 *             one reaches nobody. While QUEUE_ASKS are open, the channel is paused.
 * Ownership   queue_answer() takes the text; a struct queue_ask may be copied until then, and is
 *             dead after it.
 * Bounds      QUEUE_ANSWER_MAX bytes a piece; who makes a long answer stops at QUEUE_PENDING bytes
 *             that are not sent.
 */
#ifndef QUEUE_ASK_H
#define QUEUE_ASK_H

#include "address.h"
#include "queue_core.h"
#include "queue_filter.h"

#define QUEUE_ANSWER_MAX (8 * 1024 * 1024)
#define QUEUE_PENDING    (256 * 1024)
#define QUEUE_WORDS      24

enum queue_exit {
	QUEUE_EXIT_DONE = 0,
	QUEUE_EXIT_NO = 1,
	QUEUE_EXIT_USE = 64,
	QUEUE_EXIT_BUSY = 75,
	QUEUE_EXIT_MORE = 255
};

struct queue_ask {
	struct queue *queue;
	uint32_t epoch; /* of the control channel */
	uint64_t tag;
	struct str words[QUEUE_WORDS]; /* of the frame: not after the call */
	unsigned nwords;
	/* what --to, --for and --reason named; of the frame, too */
	struct str to, span, reason;
	bool json, reroute, is_dry, lacks_value;
	bool is_quarantine;          /* the noun: it is about the messages there, and no others */
	struct queue_answer *answer; /* begun; NULL: not yet, or its channel is gone */
	struct buf out;
};

/* queue_answer.c */
void queue_ask_begin(struct queue *q, struct queue_ask *a, struct ipc_channel *c,
		     const struct ipc_frame *frame);
void queue_answer_more(struct queue_ask *a);            /* what is in `out` goes ahead */
size_t queue_answer_pending(const struct queue_ask *a); /* bytes that are not sent yet */
void queue_answer(struct queue_ask *a, enum queue_exit code);
void queue_answer_say(struct queue_ask *a, enum queue_exit code, const char *text);

/* "ID" or "ID.variant"; variant -1: none was named */
bool queue_ask_name(struct str text, struct id *id, int *variant);
/*
 * Of that name, or the first variant of that id that is there; what is over is not. NULL: there is
 * none.
 */
struct queue_message *queue_ask_find(const struct queue_ask *a, const struct id *id, int variant);

/* queue_errand.c: from message to message, piece by piece */
enum queue_change { QUEUE_CHANGED, QUEUE_NOTHING, QUEUE_BUSY, QUEUE_CHANGES };

struct queue_errand {
	struct list node;
	struct queue_ask ask;
	const struct queue_work *work;
	struct queue_filter filter;
	size_t cursor;
	bool is_swept;
	unsigned loading; /* messages that are being read for the filter */
	unsigned seen;    /* that the filter took */
	unsigned count[QUEUE_CHANGES];
	char to[ADDRESS_TEXT]; /* of a release */
	void *own;             /* the work's */
};

struct queue_work {
	const char *name, *done; /* the verb; what has become of a message: "held" */
	bool is_view;            /* it changes nothing: no name and no filter mean all */
	/* whether that message is meant depends on the noun and on it */
	enum queue_change (*apply)(struct queue_errand *e, struct queue_message *m);
	bool (*begin)(struct queue_errand *e); /* or NULL; false: it has answered */
	void (*end)(struct queue_errand *e);   /* or NULL: the counts are told */
	void (*fini)(struct queue_errand *e);  /* or NULL: gives up `own` */
};
/* The words behind noun and verb: an id, `all`, or the terms of a filter. */
void queue_errand(struct queue_ask *a, const struct queue_work *work);

/* queue_show.c */
void queue_show(struct queue_ask *a);
void queue_show_head(struct queue_ask *a);
void queue_show_row(struct queue_ask *a, const struct queue_message *m);

/* queue_shape.c: how old what waits is, by destination */
extern const struct queue_work queue_shape_work;

#endif
