/* layer: ipc */
#include "ipc_ring.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/*
 * Both ends of one ring, and a neighbour between them that writes what it likes. The input is a
 * list of moves: a byte that says which, then eight bytes of argument.
 */
#define SIZE IPC_RING_LEAST

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum move {
	WRITTEN,
	WRITTEN_NEAR,
	TAKEN,
	TAKEN_NEAR,
	FLAGS,
	HEAD,
	BYTE,
	TAKE,
	PUT,
	WAIT,
	SLEEP,
	JUMP,
	MOVES
};

struct game {
	struct ipc_ring_shared *shared;
	struct ipc_ring writer, reader;
};

static void *room_for(size_t n)
{
	void *p = aligned_alloc(64, n);

	if (!p)
		abort();
	memset(p, 0, n);
	return p;
}

static void check(bool holds)
{
	if (!holds)
		abort();
}

static void take(struct game *g)
{
	struct ipc_frame frame;
	unsigned sum = 0;

	if (ipc_ring_take(&g->reader, &frame) != STEP_DONE)
		return;
	check(frame.payload.n <= ipc_ring_frame_max(SIZE) - IPC_HEAD);
	for (size_t i = 0; i < frame.payload.n; i += 61)
		sum += (unsigned char)frame.payload.p[i];
	check(sum < 256 * SIZE);
	(void)ipc_ring_wakes_writer(&g->reader);
}

static void put(struct game *g, size_t n)
{
	static const char bytes[SIZE / 2];
	struct str parts[] = { { bytes, n / 2 }, { bytes, n - n / 2 } };
	size_t room;

	if (ipc_ring_room(&g->writer, &room) == STEP_DONE)
		check(room <= SIZE);
	(void)ipc_ring_put(&g->writer, &(struct ipc_frame){ .type = 1 }, parts, COUNT(parts));
	(void)ipc_ring_wakes_reader(&g->writer);
}

static void move(struct game *g, enum move which, uint64_t value)
{
	int64_t near = (int64_t)(int8_t)value;

	switch (which) {
	case WRITTEN:
		atomic_store(&g->shared->written, value);
		break;
	case WRITTEN_NEAR:
		atomic_store(&g->shared->written, g->reader.at + (uint64_t)(near * IPC_RING_ALIGN));
		break;
	case TAKEN:
		atomic_store(&g->shared->taken, value);
		break;
	case TAKEN_NEAR:
		atomic_store(&g->shared->taken, g->writer.at + (uint64_t)near);
		break;
	case FLAGS:
		atomic_store(&g->shared->sleeps, (uint32_t)value);
		atomic_store(&g->shared->wants, (uint32_t)(value >> 32));
		break;
	case HEAD:
		memcpy(g->reader.data + (g->reader.at & (SIZE - 1)), &value, sizeof value);
		break;
	case BYTE:
		g->reader.data[value & (SIZE - 1)] = (char)(value >> 32);
		break;
	case TAKE:
		take(g);
		break;
	case PUT:
		put(g, value % (SIZE / 2 - IPC_HEAD + 1));
		break;
	case WAIT:
		(void)ipc_ring_wait(&g->writer, value % (SIZE / 2 - IPC_HEAD + 1));
		break;
	case SLEEP:
		(void)ipc_ring_sleeps(&g->reader);
		break;
	case JUMP:
		g->writer.at = g->reader.at = value / IPC_RING_ALIGN * IPC_RING_ALIGN;
		break;
	case MOVES:
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct game g = { .shared = room_for(sizeof *g.shared) };

	g.writer = (struct ipc_ring){ .shared = g.shared, .data = room_for(SIZE), .size = SIZE };
	g.reader = g.writer;
	g.reader.frame = room_for(ipc_ring_frame_max(SIZE));
	for (; n >= 9; data += 9, n -= 9) {
		uint64_t value;

		memcpy(&value, data + 1, sizeof value);
		move(&g, (enum move)(data[0] % MOVES), value);
	}
	free(g.reader.frame);
	free(g.writer.data);
	free(g.shared);
	return 0;
}
