/*
 * ipc_ring - one direction of a channel: frames in shared memory, one writer, one reader.
 *
 * What        a ring of bytes, indexes on cache lines of their own, and the two announcements ("I
 *             sleep", "I wait for room") by which either side learns that a system call is due.
 *             No system call is made here.
 * Why         apart from its descriptors, everything a hostile neighbour can touch is in this file.
 * Invariants  each side keeps its own index in private memory and never reads it back. The
 *             other's index is read once, then checked. A frame is copied out before it is looked
 *             at. Frames start at multiples of IPC_RING_ALIGN, so a head never wraps; a payload
 *             may.
 * Ownership   borrows the memory. A frame taken lives in the reader's `frame` until the next take.
 * Fails       STEP_ERROR: the other side's index or frame is nonsense; nothing good will come of
 *             this ring any more.
 */
#ifndef IPC_RING_H
#define IPC_RING_H

#include "step.h"
#include "str.h"

#define IPC_FRAME_MAX  (1024 * 1024) /* head and payload; half a ring when that is less */
#define IPC_RING_ALIGN 16
#define IPC_RING_LEAST (64 * 1024)
#define IPC_RING_MOST  (64 * 1024 * 1024)
#define IPC_HEAD       16 /* u32 size with head, u16 type, u16 flags, u64 tag */

struct ipc_frame {
	uint16_t type, flags;
	uint64_t tag;
	struct str payload;
};

/* In shared memory; zeroed memory is an empty ring whose both sides are awake. */
struct ipc_ring_shared {
	_Alignas(64) _Atomic uint64_t written; /* bytes ever, by the writer */
	_Alignas(64) _Atomic uint64_t taken;   /* bytes ever, by the reader */
	_Alignas(64) _Atomic uint32_t sleeps;  /* set by the reader; cleared by who wakes it */
	_Alignas(64) _Atomic uint32_t wants;   /* bytes of room the writer waits for, or 0 */
};

/* One side's view of a ring. */
struct ipc_ring {
	struct ipc_ring_shared *shared;
	char *data;
	uint64_t size; /* a power of two, IPC_RING_LEAST..IPC_RING_MOST */
	uint64_t at;   /* our own index */
	char *frame;   /* reader: private room for ipc_ring_frame_max(size) bytes */
};

bool ipc_ring_is_size(uint64_t size);
size_t ipc_ring_frame_max(uint64_t size);

/*
 * The writer. MORE: no room, nothing was written. A frame beyond ipc_ring_frame_max is the caller's
 * bug.
 */
enum step ipc_ring_put(struct ipc_ring *r, const struct ipc_frame *head, const struct str *parts,
		       unsigned nparts);
/* Bytes of frames, heads included. */
enum step ipc_ring_room(const struct ipc_ring *r, size_t *room);
/* After puts: the reader sleeps (said once): wake it. */
bool ipc_ring_wakes_reader(struct ipc_ring *r);
/* Wait for room for that payload. DONE: it has come after all; MORE: the reader will wake us. */
enum step ipc_ring_wait(struct ipc_ring *r, size_t payload);

/* The reader. MORE: empty. */
enum step ipc_ring_take(struct ipc_ring *r, struct ipc_frame *out);
/* Announce sleep. false: frames have come, stay awake. */
bool ipc_ring_sleeps(struct ipc_ring *r);
/* After takes: the writer waits and has its room (said once): wake it. */
bool ipc_ring_wakes_writer(struct ipc_ring *r);

#endif
