/*
 * queue_ask - one question of an operator, from its words to the end of its answer.
 *
 * What        words and options; the text of the answer as it grows; then it goes out as the ring
 *             has room.
 * Invariants  each question is answered once, or forgotten with its channel: an answer to an old
 *             one reaches nobody. While QUEUE_ASKS are open, the channel is paused.
 * Ownership   queue_answer() takes the text; a struct queue_ask may be copied until then, and is
 *             dead after it.
 * Bounds      QUEUE_ANSWER_MAX bytes an answer.
 */
#ifndef QUEUE_ASK_H
#define QUEUE_ASK_H

#include "queue_core.h"

#define QUEUE_ANSWER_MAX (8 * 1024 * 1024)
#define QUEUE_WORDS      16

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
	bool json, reroute;
	struct buf out;
};

/* queue_answer.c */
void queue_ask_begin(struct queue *q, struct queue_ask *a, struct ipc_channel *c,
		     const struct ipc_frame *frame);
void queue_answer(struct queue_ask *a, enum queue_exit code);
void queue_answer_say(struct queue_ask *a, enum queue_exit code, const char *text);

/* "ID" or "ID.variant"; variant -1: none was named */
bool queue_ask_name(struct str text, struct id *id, int *variant);
/*
 * Of that name, or the first variant of that id that is there; what is over is not. NULL: there is
 * none.
 */
struct queue_message *queue_ask_find(const struct queue_ask *a, const struct id *id, int variant);

/*
 * queue_errand.c: apply a change to one message, or to all of them piece by piece, and say how many
 */
enum queue_change { QUEUE_CHANGED, QUEUE_NOTHING, QUEUE_BUSY };
typedef enum queue_change queue_change(struct queue_ask *a, struct queue_message *m);
void queue_errand(struct queue_ask *a, queue_change *apply, const char *done);

/* queue_show.c */
void queue_show(struct queue_ask *a);
void queue_show_row(struct queue_ask *a, const struct queue_message *m);

#endif
