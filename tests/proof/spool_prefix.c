#include "spool_prefix.h"

#include <assert.h>
#include <string.h>

void prefix_add(struct prefix *p, struct prefix_change one, struct prefix_change other)
{
	assert(p->nevents < PREFIX_EVENTS);
	assert(one.letter < PREFIX_LETTERS && other.letter < PREFIX_LETTERS);
	p->events[p->nevents++] = (struct prefix_event){ { one, other } };
}

void prefix_settled(struct prefix *p)
{
	p->least = p->nevents;
}

static bool arrives(const struct prefix_event *e, unsigned letter)
{
	return (e->change[0].what == PREFIX_ARRIVES && e->change[0].letter == letter) ||
	       (e->change[1].what == PREFIX_ARRIVES && e->change[1].letter == letter);
}

void prefix_durable(struct prefix *p, unsigned letter)
{
	for (unsigned i = p->least; i < p->nevents; i++)
		if (arrives(&p->events[i], letter))
			p->least = i + 1;
}

static void replay(struct prefix_fact facts[PREFIX_LETTERS], const struct prefix_event *e)
{
	for (unsigned i = 0; i < 2; i++) {
		struct prefix_fact *f = &facts[e->change[i].letter];

		if (e->change[i].what == PREFIX_ARRIVES)
			f->is_there = true;
		if (e->change[i].what == PREFIX_FINISHES)
			f->is_there = false;
		if (e->change[i].what == PREFIX_REACHES)
			f->version = e->change[i].version;
	}
}

static bool is_same(const struct prefix *p, const struct prefix_fact *a,
		    const struct prefix_fact *b)
{
	for (unsigned i = 0; i < PREFIX_LETTERS; i++) {
		if (p->is_afloat[i])
			continue;
		if (a[i].is_there != b[i].is_there ||
		    (a[i].is_there && a[i].version != b[i].version))
			return false;
	}
	return true;
}

bool prefix_allows(const struct prefix *p, const struct prefix_fact found[PREFIX_LETTERS])
{
	struct prefix_fact facts[PREFIX_LETTERS];

	memcpy(facts, p->base, sizeof facts);
	for (unsigned i = 0; i <= p->nevents; i++) {
		if (i >= p->least && is_same(p, facts, found))
			return true;
		if (i < p->nevents)
			replay(facts, &p->events[i]);
	}
	return false;
}

void prefix_rebase(struct prefix *p, const struct prefix_fact found[PREFIX_LETTERS])
{
	memcpy(p->base, found, sizeof p->base);
	memset(p->is_afloat, 0, sizeof p->is_afloat);
	p->nevents = p->least = 0;
}
