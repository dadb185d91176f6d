#include "ipc_ring.h"

#include <assert.h>
#include <stdatomic.h>
#include <string.h>

/*
 * No wake-up is lost, for each announcement is a store, a full fence and a look at what the other
 * side stores first:
 *
 *   reader, going to sleep            writer
 *     sleeps = 1                        written = ...
 *     fence                             fence
 *     look at written                   look at sleeps
 *
 * Whatever the order, one of them sees the other's store: the reader stays awake, or the writer
 * wakes it. The writer's wait for room is the same with `wants` and `taken`. Both flags are cleared
 * by an exchange, so that one announcement earns one wake-up.
 */

static uint64_t aligned(uint64_t n)
{
	return (n + IPC_RING_ALIGN - 1) & ~(uint64_t)(IPC_RING_ALIGN - 1);
}

bool ipc_ring_is_size(uint64_t size)
{
	return size >= IPC_RING_LEAST && size <= IPC_RING_MOST && (size & (size - 1)) == 0;
}

size_t ipc_ring_frame_max(uint64_t size)
{
	return size / 2 < IPC_FRAME_MAX ? size / 2 : IPC_FRAME_MAX;
}

/* copy_in, copy_out - n bytes at ring index `at`, in two pieces where they pass the end */
static void copy_in(const struct ipc_ring *r, uint64_t at, const char *from, size_t n)
{
	uint64_t offset = at & (r->size - 1), first = r->size - offset;

	if (n < first)
		first = n;
	memcpy(r->data + offset, from, first);
	memcpy(r->data, from + first, n - first);
}

static void copy_out(const struct ipc_ring *r, uint64_t at, char *to, size_t n)
{
	uint64_t offset = at & (r->size - 1), first = r->size - offset;

	if (n < first)
		first = n;
	memcpy(to, r->data + offset, first);
	memcpy(to + first, r->data, n - first);
}

/*
 * The two words of a head. It lies in memory that may change while we look: each is stored and
 * loaded once, whole.
 */
static uint64_t *head_at(const struct ipc_ring *r, uint64_t at)
{
	return (uint64_t *)(void *)(r->data + (at & (r->size - 1)));
}

enum step ipc_ring_room(const struct ipc_ring *r, size_t *room)
{
	uint64_t used = r->at - atomic_load_explicit(&r->shared->taken, memory_order_acquire);

	*room = 0;
	if (used > r->size || used % IPC_RING_ALIGN)
		return STEP_ERROR;
	*room = r->size - used;
	return STEP_DONE;
}

enum step ipc_ring_put(struct ipc_ring *r, const struct ipc_frame *head, const struct str *parts,
		       unsigned nparts)
{
	uint64_t size = IPC_HEAD, at = r->at, *words;
	size_t room;

	for (unsigned i = 0; i < nparts; i++)
		size += parts[i].n;
	assert(size <= ipc_ring_frame_max(r->size));
	if (ipc_ring_room(r, &room) == STEP_ERROR)
		return STEP_ERROR;
	if (aligned(size) > room)
		return STEP_MORE;
	words = head_at(r, at);
	__atomic_store_n(&words[0], size | (uint64_t)head->type << 32 | (uint64_t)head->flags << 48,
			 __ATOMIC_RELAXED);
	__atomic_store_n(&words[1], head->tag, __ATOMIC_RELAXED);
	at += IPC_HEAD;
	for (unsigned i = 0; i < nparts; i++) {
		if (parts[i].n > 0)
			copy_in(r, at, parts[i].p, parts[i].n);
		at += parts[i].n;
	}
	r->at += aligned(size);
	atomic_store_explicit(&r->shared->written, r->at, memory_order_release);
	return STEP_DONE;
}

bool ipc_ring_wakes_reader(struct ipc_ring *r)
{
	atomic_thread_fence(memory_order_seq_cst);
	return atomic_load_explicit(&r->shared->sleeps, memory_order_relaxed) &&
	       atomic_exchange(&r->shared->sleeps, 0);
}

enum step ipc_ring_wait(struct ipc_ring *r, size_t payload)
{
	uint64_t wants = aligned(IPC_HEAD + payload);
	size_t room;

	if (wants < r->size / 4)
		wants = r->size / 4;
	atomic_store_explicit(&r->shared->wants, (uint32_t)wants, memory_order_relaxed);
	atomic_thread_fence(memory_order_seq_cst);
	if (ipc_ring_room(r, &room) == STEP_ERROR)
		return STEP_ERROR;
	if (room < wants)
		return STEP_MORE;
	atomic_store_explicit(&r->shared->wants, 0, memory_order_relaxed);
	return STEP_DONE;
}

enum step ipc_ring_take(struct ipc_ring *r, struct ipc_frame *out)
{
	uint64_t waiting = atomic_load_explicit(&r->shared->written, memory_order_acquire) - r->at;
	uint64_t first, tag, size;

	if (waiting == 0)
		return STEP_MORE;
	if (waiting > r->size)
		return STEP_ERROR;
	first = __atomic_load_n(&head_at(r, r->at)[0], __ATOMIC_RELAXED);
	tag = __atomic_load_n(&head_at(r, r->at)[1], __ATOMIC_RELAXED);
	size = first & UINT32_MAX;
	if (size < IPC_HEAD || size > ipc_ring_frame_max(r->size) || aligned(size) > waiting)
		return STEP_ERROR;
	copy_out(r, r->at + IPC_HEAD, r->frame, size - IPC_HEAD);
	r->at += aligned(size);
	atomic_store_explicit(&r->shared->taken, r->at, memory_order_release);
	*out = (struct ipc_frame){
		.type = (uint16_t)(first >> 32),
		.flags = (uint16_t)(first >> 48),
		.tag = tag,
		.payload = { r->frame, size - IPC_HEAD },
	};
	return STEP_DONE;
}

bool ipc_ring_sleeps(struct ipc_ring *r)
{
	atomic_store_explicit(&r->shared->sleeps, 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load_explicit(&r->shared->written, memory_order_acquire) == r->at)
		return true;
	atomic_store_explicit(&r->shared->sleeps, 0, memory_order_relaxed);
	return false;
}

bool ipc_ring_wakes_writer(struct ipc_ring *r)
{
	uint64_t written, wants;

	atomic_thread_fence(memory_order_seq_cst);
	wants = atomic_load_explicit(&r->shared->wants, memory_order_relaxed);
	if (wants == 0)
		return false;
	written = atomic_load_explicit(&r->shared->written, memory_order_acquire);
	return r->size - (written - r->at) >= wants && atomic_exchange(&r->shared->wants, 0);
}
