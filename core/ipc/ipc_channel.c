#define _GNU_SOURCE /* memfd_create, F_ADD_SEALS */

#include "ipc_channel.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * The memory: ipc_ring_shared of A->B, that of B->A, up to IPC_CONTENT; then the bytes of A->B,
 * those of B->A.
 */
#define IPC_CONTENT 4096

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

_Static_assert(2 * sizeof(struct ipc_ring_shared) <= IPC_CONTENT, "the indexes have a page");
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2 && ATOMIC_INT_LOCK_FREE == 2,
	       "a lock would live in the other process");

enum channel_state {
	CHANNEL_OPEN,
	CHANNEL_SENSELESS, /* the ring made no sense; broken() is due */
	CHANNEL_BROKEN,    /* told */
	CHANNEL_CLOSED     /* no owner; memory goes at the end of the turn */
};

struct ipc_channel {
	struct net_loop *loop;
	const struct ipc_channel_ops *ops;
	void *owner;
	char *memory;
	size_t mapped;
	struct ipc_ring in, out;
	struct net_watch wake; /* ours */
	int wake_other;
	struct net_deferred inward, outward, death;
	struct net_timer nap;
	uint64_t patience_us;
	bool has_taken;  /* frames since the last nap */
	enum channel_state state;
	bool is_paused;
	bool is_waiting; /* a send was refused; writable() is due */
	size_t refused;  /* the largest payload that was */
};

int ipc_channel_make(struct ipc_channel_fds *out, size_t ring_size, struct fault *why)
{
	assert(ipc_ring_is_size(ring_size));
	*out = (struct ipc_channel_fds){ -1, -1, -1 };
	out->memory = memfd_create("moongate-channel", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (out->memory < 0) {
		fault_sys(why, "no memory for a channel");
		goto failed;
	}
	if (ftruncate(out->memory, (off_t)(IPC_CONTENT + 2 * ring_size)) < 0 ||
	    fcntl(out->memory, F_ADD_SEALS, SEALS) < 0) {
		fault_sys(why, "cannot give a channel its size of 2 * %zu bytes", ring_size);
		goto failed;
	}
	out->wake_a = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	out->wake_b = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (out->wake_a < 0 || out->wake_b < 0) {
		fault_sys(why, "no eventfd for a channel");
		goto failed;
	}
	return 0;
failed:
	ipc_channel_fds_close(out);
	return -1;
}

void ipc_channel_fds_close(struct ipc_channel_fds *fds)
{
	int *all[] = { &fds->memory, &fds->wake_a, &fds->wake_b };

	for (size_t i = 0; i < COUNT(all); i++) {
		if (*all[i] >= 0)
			close(*all[i]);
		*all[i] = -1;
	}
}

static void fail(struct ipc_channel *c)
{
	if (c->state != CHANNEL_OPEN)
		return;
	c->state = CHANNEL_SENSELESS;
	net_loop_defer(c->loop, &c->inward);
}

static void tell_broken(struct ipc_channel *c)
{
	struct fault why;

	c->state = CHANNEL_BROKEN;
	net_watch_want(&c->wake, 0);
	fault_set(&why, "the other end of a channel wrote nonsense");
	c->ops->broken(c->owner, &why);
}

/*
 * poke - the counter can only be full when the other side has not looked for 2^64 wake-ups: it is
 * awake
 */
static void poke(struct ipc_channel *c)
{
	uint64_t one = 1;

	while (write(c->wake_other, &one, sizeof one) < 0 && errno == EINTR)
		;
}

static void look_for_room(struct ipc_channel *c)
{
	switch (ipc_ring_wait(&c->out, c->refused)) {
	case STEP_DONE:
		c->is_waiting = false;
		c->refused = 0;
		if (c->ops->writable)
			c->ops->writable(c->owner);
		break;
	case STEP_MORE:
		break;
	case STEP_ERROR:
		fail(c);
		break;
	}
}

/* outward - once a turn, however many frames were sent or refused in it */
static void outward(struct net_deferred *d)
{
	struct ipc_channel *c = container_of(d, struct ipc_channel, outward);

	if (ipc_ring_wakes_reader(&c->out))
		poke(c);
	if (c->is_waiting && c->state == CHANNEL_OPEN)
		look_for_room(c);
}

/*
 * nap - the ring is empty, but what came last suggests that more will: look again a little later,
 * and do not have us woken until then. All naps of a process end together.
 */
static bool nap(struct ipc_channel *c)
{
	if (c->patience_us == 0 || !c->has_taken)
		return false;
	c->has_taken = false;
	net_timer_start(&c->nap, c->patience_us - net_loop_now(c->loop) % c->patience_us);
	return true;
}

static void wake_up(struct net_timer *t)
{
	struct ipc_channel *c = container_of(t, struct ipc_channel, nap);

	net_loop_defer(c->loop, &c->inward);
}

/*
 * take_frames - true: the other side may have more; false: it will wake us, or we are not to look
 */
static bool take_frames(struct ipc_channel *c)
{
	for (unsigned i = 0; i < IPC_FRAMES_A_TURN; i++) {
		struct ipc_frame frame;

		if (c->is_paused || c->state != CHANNEL_OPEN)
			return false;
		switch (ipc_ring_take(&c->in, &frame)) {
		case STEP_DONE:
			c->has_taken = true;
			c->ops->frame(c->owner, &frame);
			break;
		case STEP_MORE:
			if (nap(c) || ipc_ring_sleeps(&c->in))
				return false;
			break;
		case STEP_ERROR:
			fail(c);
			return false;
		}
	}
	return true;
}

static void inward(struct net_deferred *d)
{
	struct ipc_channel *c = container_of(d, struct ipc_channel, inward);
	bool is_more = take_frames(c);

	if (c->state == CHANNEL_SENSELESS)
		tell_broken(c);
	if (c->state != CHANNEL_OPEN)
		return;
	if (ipc_ring_wakes_writer(&c->in))
		poke(c);
	if (is_more)
		net_loop_defer_next(c->loop, &c->inward);
}

static void ready(struct net_watch *w, int events)
{
	struct ipc_channel *c = container_of(w, struct ipc_channel, wake);
	uint64_t times;

	(void)events;
	if (read(w->ev.fd, &times, sizeof times) != sizeof times)
		return;
	net_loop_defer(c->loop, &c->inward);
	if (c->is_waiting)
		net_loop_defer(c->loop, &c->outward);
}

static void bury(struct net_deferred *d)
{
	struct ipc_channel *c = container_of(d, struct ipc_channel, death);

	munmap(c->memory, c->mapped);
	free(c->in.frame);
	free(c);
}

/*
 * map - the seals make sure that the size which is checked here stays: no fault can come from
 * touching the memory
 */
static int map(struct ipc_channel *c, int fd, struct fault *why)
{
	struct stat st;
	int seals = fcntl(fd, F_GET_SEALS);

	if (fstat(fd, &st) < 0)
		return fault_sys(why, "cannot look at the memory of a channel");
	if (st.st_size <= IPC_CONTENT ||
	    !ipc_ring_is_size((uint64_t)(st.st_size - IPC_CONTENT) / 2) ||
	    (st.st_size - IPC_CONTENT) % 2 || seals < 0 || (seals & SEALS) != SEALS)
		return fault_set(why, "this is not the memory of a channel");
	c->mapped = (size_t)st.st_size;
	c->memory = mmap(NULL, c->mapped, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (c->memory == MAP_FAILED)
		return fault_sys(why, "cannot map the memory of a channel");
	return 0;
}

static struct ipc_ring ring_of(const struct ipc_channel *c, unsigned number)
{
	size_t size = (c->mapped - IPC_CONTENT) / 2;

	return (struct ipc_ring){
		.shared = (struct ipc_ring_shared *)(void *)c->memory + number,
		.data = c->memory + IPC_CONTENT + number * size,
		.size = size,
	};
}

struct ipc_channel *ipc_channel_open(struct net_loop *loop, struct ipc_channel_fds *fds,
				     enum ipc_end end, const struct ipc_channel_ops *ops,
				     void *owner, struct fault *why)
{
	struct ipc_channel *c = calloc(1, sizeof *c);

	if (!c)
		abort();
	if (map(c, fds->memory, why) < 0) {
		ipc_channel_fds_close(fds);
		free(c);
		return NULL;
	}
	c->loop = loop;
	c->ops = ops;
	c->owner = owner;
	c->out = ring_of(c, end == IPC_END_A ? 0 : 1);
	c->in = ring_of(c, end == IPC_END_A ? 1 : 0);
	c->in.frame = malloc(ipc_ring_frame_max(c->in.size));
	if (!c->in.frame)
		abort();
	c->inward.run = inward;
	c->outward.run = outward;
	c->death.run = bury;
	net_timer_init(&c->nap, loop, wake_up);
	net_watch_init(&c->wake, loop, end == IPC_END_A ? fds->wake_a : fds->wake_b, ready);
	net_watch_want(&c->wake, EV_READ);
	c->wake_other = end == IPC_END_A ? fds->wake_b : fds->wake_a;
	close(fds->memory);
	*fds = (struct ipc_channel_fds){ -1, -1, -1 };
	net_loop_defer(loop, &c->inward); /* frames sent before we came were not announced */
	return c;
}

void ipc_channel_close(struct ipc_channel **owned)
{
	struct ipc_channel *c = *owned;

	*owned = NULL;
	if (!c)
		return;
	if (c->outward.queued && ipc_ring_wakes_reader(&c->out))
		poke(c);
	net_deferred_cancel(&c->inward);
	net_deferred_cancel(&c->outward);
	net_timer_stop(&c->nap);
	net_watch_want(&c->wake, 0);
	close(c->wake.ev.fd);
	close(c->wake_other);
	c->state = CHANNEL_CLOSED;
	net_loop_defer(c->loop, &c->death);
}

void ipc_channel_want(struct ipc_channel *c, size_t payload)
{
	c->is_waiting = true;
	c->refused = payload > c->refused ? payload : c->refused;
	net_loop_defer(c->loop, &c->outward);
}

bool ipc_channel_send(struct ipc_channel *c, const struct ipc_frame *head, const struct str *parts,
		      unsigned nparts)
{
	size_t payload = 0;

	if (c->state != CHANNEL_OPEN)
		return false;
	net_loop_defer(c->loop, &c->outward);
	switch (ipc_ring_put(&c->out, head, parts, nparts)) {
	case STEP_DONE:
		return true;
	case STEP_MORE:
		for (unsigned i = 0; i < nparts; i++)
			payload += parts[i].n;
		ipc_channel_want(c, payload);
		return false;
	case STEP_ERROR:
		fail(c);
		return false;
	}
	return false;
}

size_t ipc_channel_max(const struct ipc_channel *c)
{
	return ipc_ring_frame_max(c->out.size) - IPC_HEAD;
}

size_t ipc_channel_room(struct ipc_channel *c)
{
	size_t room, most = ipc_ring_frame_max(c->out.size);

	if (c->state != CHANNEL_OPEN)
		return 0;
	if (ipc_ring_room(&c->out, &room) == STEP_ERROR)
		fail(c);
	if (room > most)
		room = most;
	return room > IPC_HEAD ? room - IPC_HEAD : 0;
}

void ipc_channel_patience(struct ipc_channel *c, uint64_t us)
{
	c->patience_us = us;
}

void ipc_channel_pause(struct ipc_channel *c)
{
	c->is_paused = true;
}

void ipc_channel_resume(struct ipc_channel *c)
{
	c->is_paused = false;
	net_loop_defer(c->loop, &c->inward);
}
