#include "spool_recent.h"

#include <assert.h>
#include <stdlib.h>

#include "map.h"

static uint32_t *head_of(const struct spool_recent *r, const struct id *id)
{
	return &r->heads[map_hash((struct str){ (const char *)id->b, sizeof id->b }) & r->mask];
}

int spool_recent_init(struct spool_recent *r, uint32_t cap, struct fault *why)
{
	uint32_t heads = 1;

	assert(cap > 0 && cap <= UINT32_MAX / 2);
	while (heads < cap)
		heads *= 2;
	*r = (struct spool_recent){ .cap = cap, .mask = heads - 1 };
	r->ids = calloc(cap, sizeof *r->ids);
	r->links = calloc(cap, sizeof *r->links);
	r->heads = calloc(heads, sizeof *r->heads);
	if (r->ids && r->links && r->heads)
		return 0;
	spool_recent_fini(r);
	return fault_set(why, "no memory to remember %u ids", cap);
}

void spool_recent_fini(struct spool_recent *r)
{
	free(r->ids);
	free(r->links);
	free(r->heads);
	*r = (struct spool_recent){ 0 };
}

static void forget_oldest(struct spool_recent *r)
{
	uint32_t place = r->oldest + 1, *link = head_of(r, &r->ids[r->oldest]);

	while (*link != place)
		link = &r->links[*link - 1];
	*link = r->links[r->oldest];
	r->oldest = (r->oldest + 1) % r->cap;
	r->count--;
}

void spool_recent_add(struct spool_recent *r, const struct id *id)
{
	uint32_t place, *head;

	if (spool_recent_has(r, id))
		return;
	if (r->count == r->cap)
		forget_oldest(r);
	place = (uint32_t)(((uint64_t)r->oldest + r->count) % r->cap);
	head = head_of(r, id);
	r->ids[place] = *id;
	r->links[place] = *head;
	*head = place + 1;
	r->count++;
}

bool spool_recent_has(const struct spool_recent *r, const struct id *id)
{
	for (uint32_t place = *head_of(r, id); place != 0; place = r->links[place - 1])
		if (id_is_eq(&r->ids[place - 1], id))
			return true;
	return false;
}
