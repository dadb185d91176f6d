#include "queue_ask.h"

#include <stdlib.h>

#include "json.h"

/* An answer under way: it goes out as the ring has room. */
struct queue_answer {
	struct list node;
	uint64_t tag;
	bool is_whole; /* `code` goes with its last piece */
	enum queue_exit code;
	struct buf text;
};

static bool send_chunk(struct queue *q, struct queue_answer *p)
{
	struct ipc_frame head = { .type = IPC_ANSWER, .tag = p->tag };
	struct str text = str_head(buf_str(&p->text), IPC_ANSWER_CHUNK);
	bool is_last = p->is_whole && text.n == buf_len(&p->text);
	char first = (char)(is_last ? p->code : QUEUE_EXIT_MORE);
	struct str parts[2] = { { &first, 1 }, text };

	if (!ipc_channel_send(q->control, &head, parts, 2))
		return false;
	buf_take(&p->text, text.n);
	return true;
}

enum push { PUSH_FULL, PUSH_OPEN, PUSH_DONE };

static enum push push(struct queue *q, struct queue_answer *p)
{
	while (p->is_whole || buf_len(&p->text) > 0) {
		bool is_last = p->is_whole && buf_len(&p->text) <= IPC_ANSWER_CHUNK;

		if (!send_chunk(q, p))
			return PUSH_FULL;
		if (is_last)
			return PUSH_DONE;
	}
	return PUSH_OPEN;
}

static void forget(struct queue_answer **pp)
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
	if (!q->control)
		return;
	LIST_EACH(node, &q->answers)
	{
		struct queue_answer *p = LIST_ITEM(node, struct queue_answer, node);
		enum push how = push(q, p);

		if (how == PUSH_FULL)
			return;
		if (how == PUSH_OPEN)
			continue;
		forget(&p);
		answered(q);
	}
	if (!list_is_empty(&q->errands))
		queue_soon(q); /* they may go on */
}

void queue_answer_fini(struct queue *q)
{
	while (!list_is_empty(&q->answers)) {
		struct queue_answer *p = LIST_ITEM(q->answers.next, struct queue_answer, node);

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

static bool is_heard(const struct queue_ask *a)
{
	return a->epoch == a->queue->control_epoch;
}

size_t queue_answer_pending(const struct queue_ask *a)
{
	return is_heard(a) && a->answer ? buf_len(&a->answer->text) : 0;
}

/* begin - NULL: nobody hears it any more, or no memory */
static struct queue_answer *begin(struct queue_ask *a)
{
	struct queue_answer *p;

	if (!is_heard(a))
		return NULL;
	if (a->answer)
		return a->answer;
	p = calloc(1, sizeof *p);
	if (!p)
		return NULL;
	p->tag = a->tag;
	buf_init(&p->text, QUEUE_ANSWER_MAX);
	list_append(&a->queue->answers, &p->node);
	a->answer = p;
	return p;
}

/* keep - what is in `out` becomes part of the answer; NULL: of nobody's */
static struct queue_answer *keep(struct queue_ask *a)
{
	struct queue_answer *p = begin(a);

	if (!a->json)
		legible(&a->out);
	if (p)
		(void)buf_add(&p->text, buf_str(&a->out)); /* who makes it stops at QUEUE_PENDING */
	buf_reset(&a->out);
	return p;
}

void queue_answer_more(struct queue_ask *a)
{
	struct queue_answer *p = keep(a);

	if (p)
		(void)push(a->queue, p);
}

void queue_answer(struct queue_ask *a, enum queue_exit code)
{
	struct queue *q = a->queue;
	struct queue_answer *p = keep(a);

	if (p) {
		p->is_whole = true;
		p->code = code;
		queue_control_writable(q);
	} else if (is_heard(a)) {
		answered(q);
	}
	buf_fini(&a->out);
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

static bool take_next(struct str *text, struct str *word)
{
	if (!text->n)
		return false;
	if (!str_take(text, '\0', word)) {
		*word = *text;
		text->n = 0;
	}
	return true;
}

static void take_word(struct queue_ask *a, struct str word, struct str *rest)
{
	const struct {
		const char *name;
		bool *flag;
		struct str *value;
	} options[] = {
		{ "--json", &a->json, NULL },      { "--reroute", &a->reroute, NULL },
		{ "--dry-run", &a->is_dry, NULL }, { "--to", NULL, &a->to },
		{ "--for", NULL, &a->span },       { "--reason", NULL, &a->reason },
	};

	for (size_t i = 0; i < COUNT(options); i++) {
		if (!str_eq(word, str_of(options[i].name)))
			continue;
		if (options[i].flag)
			*options[i].flag = true;
		else
			a->lacks_value |= !take_next(rest, options[i].value);
		return;
	}
	if (a->nwords < QUEUE_WORDS)
		a->words[a->nwords++] = word;
}

static void split(struct queue_ask *a, struct str text)
{
	struct str word;

	while (take_next(&text, &word))
		take_word(a, word, &text);
	a->is_quarantine = a->nwords > 0 && str_eq(a->words[0], STR("quarantine"));
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
