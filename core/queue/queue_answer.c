#include "queue_ask.h"

#include <stdlib.h>

#include "json.h"

/* An answer under way: it goes out as the ring has room. */
struct answer {
	struct list node;
	uint64_t tag;
	enum queue_exit code;
	struct buf text;
};

static bool send_chunk(struct queue *q, struct answer *p)
{
	struct ipc_frame head = { .type = IPC_ANSWER, .tag = p->tag };
	struct str text = str_head(buf_str(&p->text), IPC_ANSWER_CHUNK);
	char first = (char)(text.n < buf_len(&p->text) ? QUEUE_EXIT_MORE : p->code);
	struct str parts[2] = { { &first, 1 }, text };

	if (!ipc_channel_send(q->control, &head, parts, 2))
		return false;
	buf_take(&p->text, text.n);
	return true;
}

/* push - true: all of it is sent */
static bool push(struct queue *q, struct answer *p)
{
	do
		if (!send_chunk(q, p))
			return false;
	while (buf_len(&p->text) > 0);
	return true;
}

static void forget(struct answer **pp)
{
	list_remove(&(*pp)->node);
	buf_fini(&(*pp)->text);
	free(*pp);
	*pp = NULL;
}

/* answered - the next question may come */
static void answered(struct queue *q)
{
	if (q->asks-- == QUEUE_ASKS)
		ipc_channel_resume(q->control);
}

void queue_control_writable(struct queue *q)
{
	while (q->control && !list_is_empty(&q->answers)) {
		struct answer *p = LIST_ITEM(q->answers.next, struct answer, node);

		if (!push(q, p))
			return;
		forget(&p);
		answered(q);
	}
}

void queue_answer_fini(struct queue *q)
{
	while (!list_is_empty(&q->answers)) {
		struct answer *p = LIST_ITEM(q->answers.next, struct answer, node);

		forget(&p);
	}
}

void queue_control_lost(struct queue *q)
{
	queue_answer_fini(q);
	q->control = NULL;
	q->control_epoch++;
	q->asks = 0;
}

/* legible - a message may hold what steers a terminal; JSON has escaped it already */
static void legible(struct buf *b)
{
	for (size_t i = b->head; i < b->tail; i++) {
		unsigned char c = (unsigned char)b->p[i];

		if ((c < ' ' && c != '\n' && c != '\t' && c != '\r') || c == 0x7f ||
		    (c >= 0x80 && c < 0xa0 && i > b->head && (unsigned char)b->p[i - 1] == 0xc2))
			b->p[i] = '?';
	}
}

void queue_answer(struct queue_ask *a, enum queue_exit code)
{
	struct queue *q = a->queue;
	struct answer *p = a->epoch == q->control_epoch ? calloc(1, sizeof *p) : NULL;

	if (!p) {
		buf_fini(&a->out);
		if (a->epoch == q->control_epoch)
			answered(q);
		return;
	}
	if (!a->json)
		legible(&a->out);
	p->tag = a->tag;
	p->code = code;
	p->text = a->out;
	a->out = (struct buf){ 0 };
	list_append(&q->answers, &p->node);
	queue_control_writable(q);
}

void queue_answer_say(struct queue_ask *a, enum queue_exit code, const char *text)
{
	struct json j;

	if (a->json) {
		json_init(&j, &a->out);
		json_open(&j, NULL, '{');
		json_str(&j, "error", str_of(text));
		json_close(&j, '}');
		buf_byte(&a->out, '\n');
	} else {
		buf_printf(&a->out, "%s\n", text);
	}
	queue_answer(a, code);
}

/* ---- questions ------------------------------------------------------------------------------- */

static void split(struct queue_ask *a, struct str text)
{
	struct str word;

	while (text.n && a->nwords < QUEUE_WORDS) {
		if (!str_take(&text, '\0', &word)) {
			word = text;
			text.n = 0;
		}
		if (str_eq(word, STR("--json")))
			a->json = true;
		else if (str_eq(word, STR("--reroute")))
			a->reroute = true;
		else
			a->words[a->nwords++] = word;
	}
}

void queue_ask_begin(struct queue *q, struct queue_ask *a, struct ipc_channel *c,
		     const struct ipc_frame *frame)
{
	if (q->control != c)
		queue_control_lost(q);
	q->control = c;
	if (++q->asks == QUEUE_ASKS)
		ipc_channel_pause(c);
	*a = (struct queue_ask){ .queue = q, .epoch = q->control_epoch, .tag = frame->tag };
	buf_init(&a->out, QUEUE_ANSWER_MAX);
	split(a, frame->payload);
}

bool queue_ask_name(struct str text, struct id *id, int *variant)
{
	struct str head;
	uint64_t n = 0;

	*variant = -1;
	if (str_take(&text, '.', &head)) {
		if (!str_u64(text, UINT16_MAX, &n))
			return false;
		*variant = (int)n;
		text = head;
	}
	return id_parse(text, id);
}

struct queue_message *queue_ask_find(const struct queue_ask *a, const struct id *id, int variant)
{
	int last = variant < 0 ? IPC_VARIANTS - 1 : variant;

	for (int i = variant < 0 ? 0 : variant; i <= last; i++) {
		struct queue_message *m = queue_message_find(&a->queue->index, id, (uint16_t)i);

		if (m && !m->is_over)
			return m;
	}
	return NULL;
}
