#include "queue_index.h"

#include <stdlib.h>
#include <string.h>

static struct str said_in(const struct queue_note *n, unsigned what)
{
	size_t at = 0;

	if (!n)
		return STR_NONE;
	for (unsigned i = 0; i < what; i++)
		at += n->length[i];
	return (struct str){ n->text + at, n->length[what] };
}

struct str queue_said(const struct queue_message *m, enum queue_said what)
{
	return said_in(m->note, what);
}

static bool is_note(const struct map_node *node, const void *parts)
{
	const struct queue_note *n = container_of(node, struct queue_note, node);

	for (unsigned i = 0; i < SAIDS; i++)
		if (!str_eq(said_in(n, i), ((const struct str *)parts)[i]))
			return false;
	return true;
}

static uint64_t hash_parts(const struct str parts[SAIDS])
{
	uint64_t h = 0;

	for (unsigned i = 0; i < SAIDS; i++)
		h = h * 31 + (parts[i].n ? map_hash(parts[i]) : 0);
	return h;
}

static struct queue_note *note_new(struct queue_index *x, const struct str parts[SAIDS],
				   uint64_t hash)
{
	struct queue_note *n;
	size_t size = 0;
	char *to;

	for (unsigned i = 0; i < SAIDS; i++)
		size += parts[i].n;
	n = calloc(1, sizeof *n + size);
	if (!n)
		return NULL;
	to = n->text;
	for (unsigned i = 0; i < SAIDS; i++) {
		n->length[i] = (uint32_t)parts[i].n;
		if (parts[i].n)
			memcpy(to, parts[i].p, parts[i].n);
		to += parts[i].n;
	}
	map_put(&x->notes, &n->node, hash);
	return n;
}

static struct queue_note *note_get(struct queue_index *x, const struct str parts[SAIDS])
{
	uint64_t hash = hash_parts(parts);
	struct map_node *node = map_get(&x->notes, hash, is_note, parts);
	struct queue_note *n =
		node ? container_of(node, struct queue_note, node) : note_new(x, parts, hash);

	if (n)
		n->refs++;
	return n;
}

void queue_note_release(struct queue_index *x, struct queue_note **np)
{
	struct queue_note *n = *np;

	*np = NULL;
	if (!n || --n->refs > 0)
		return;
	map_remove(&x->notes, &n->node);
	free(n);
}

static struct str legible(const struct queue_index *x, struct str text, char to[QUEUE_LAST])
{
	size_t most = x->notes.count < QUEUE_NOTES ? QUEUE_LAST : QUEUE_LAST_SHORT + 1;
	size_t n = str_copy(to, most, text);

	for (size_t i = 0; i < n; i++)
		if (to[i] < ' ' || to[i] > '~')
			to[i] = '?';
	return (struct str){ to, n };
}

void queue_say(struct queue_index *x, struct queue_message *m, enum queue_said what,
	       struct str text)
{
	struct str parts[SAIDS];
	char last[QUEUE_LAST];
	struct queue_note *n = NULL;
	bool is_any = false;

	if (what == SAID_LAST)
		text = legible(x, text, last);
	for (unsigned i = 0; i < SAIDS; i++) {
		parts[i] = i == what ? text : queue_said(m, i);
		is_any |= parts[i].n > 0;
	}
	if (is_any && !(n = note_get(x, parts)))
		return;
	queue_note_release(x, &m->note);
	m->note = n;
}
