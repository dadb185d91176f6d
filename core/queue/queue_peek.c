#include "queue_peek.h"

#include "codec.h"

#define VERSION_FIRST 2 /* all since then begin alike: the jobs */
#define VERSION_LAST  3
#define ALL           UINT16_MAX

const char *const queue_peek_name[QUEUE_PEEKS] = {
	[QUEUE_PEEK_DUE] = "due",         [QUEUE_PEEK_WAITING] = "waiting",
	[QUEUE_PEEK_HELD] = "held",       [QUEUE_PEEK_QUARANTINED] = "quarantined",
	[QUEUE_PEEK_UNKNOWN] = "unknown",
};

/* peek_job - u8(kept) u32(due) u16(destination) u16(count / ALL) *( u16(index) u16(attempts) ) */
static enum queue_peek peek_job(struct wire *w)
{
	unsigned kept = wire_get_u8(w);
	uint32_t due = wire_get_u32(w);
	unsigned count;

	(void)wire_get_u16(w);
	count = wire_get_u16(w);
	for (unsigned i = 0; count != ALL && i < count && !w->bad; i++)
		(void)wire_get_u32(w);
	switch (kept) {
	case 0:
		return due ? QUEUE_PEEK_WAITING : QUEUE_PEEK_DUE;
	case 1:
		return QUEUE_PEEK_HELD;
	case 2:
		return QUEUE_PEEK_QUARANTINED;
	}
	return QUEUE_PEEK_UNKNOWN;
}

enum queue_peek queue_peek(struct str blob)
{
	struct wire w = { .rest = blob };
	enum queue_peek most = QUEUE_PEEK_DUE, job;
	unsigned version, jobs;

	if (!blob.n)
		return QUEUE_PEEK_DUE;
	version = wire_get_u8(&w);
	jobs = wire_get_u16(&w);
	if (version < VERSION_FIRST || version > VERSION_LAST)
		return QUEUE_PEEK_UNKNOWN;
	for (unsigned i = 0; i < jobs && !w.bad; i++) {
		job = peek_job(&w);
		most = job > most ? job : most;
	}
	return w.bad ? QUEUE_PEEK_UNKNOWN : most;
}
