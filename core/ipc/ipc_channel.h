/*
 * ipc_channel - bounded frames between two roles, through shared memory.
 *
 * What        one memfd with a byte ring each way and an eventfd for each reader. A frame is {size, type, flags, tag} and a
 *             payload, written whole or not at all.
 * Why         a system call only when the other side sleeps; no descriptor, no lock and no pointer crosses.
 * Invariants  the other side may be hostile: indexes are read once, checked against the ring's size, and a frame is copied
 *             out before it is looked at (copy first, then check). A ring that makes no sense ends the channel, never us.
 * Ownership   the master makes the descriptors and hands each end to its role; open takes them. Payload slices die when
 *             the callback returns.
 * Fails       ipc_channel_send false: no room now; nothing was written, writable() comes when a quarter is free.
 */
#ifndef IPC_CHANNEL_H
#define IPC_CHANNEL_H

#include "codec.h"
#include "net_loop.h"

#define IPC_FRAME_MAX (1024 * 1024)     /* header and payload; a ring must be at least twice that, or the frames smaller */
#define IPC_FRAMES_A_TURN 256

enum ipc_end { IPC_END_A, IPC_END_B };

struct ipc_channel_fds {
	int memory, wake_a, wake_b;     /* wake_a wakes the role at end A */
};

/* For the master: close-on-exec descriptors; ring_size a power of two of at least 64 KiB. */
int ipc_channel_make(struct ipc_channel_fds *out, size_t ring_size, struct fault *why);
void ipc_channel_fds_close(struct ipc_channel_fds *fds);

struct ipc_frame {
	uint16_t type, flags;
	uint64_t tag;
	struct str payload;
};

struct ipc_channel;

struct ipc_channel_ops {
	void (*frame)(void *owner, const struct ipc_frame *frame);
	void (*writable)(void *owner);                          /* may be NULL */
	void (*broken)(void *owner, const struct fault *why);   /* nonsense in the ring: tell the master, close */
};

struct ipc_channel *ipc_channel_open(struct net_loop *loop, struct ipc_channel_fds *fds, enum ipc_end end,
				     const struct ipc_channel_ops *ops, void *owner, struct fault *why);
void ipc_channel_close(struct ipc_channel **c);

/* The payload is the parts one after the other; copied before return. */
bool ipc_channel_send(struct ipc_channel *c, const struct ipc_frame *head, const struct str *parts, unsigned nparts);
size_t ipc_channel_room(const struct ipc_channel *c);           /* the largest payload that would be taken now */
/* Stops frame() until resumed: back-pressure by the reader. */
void ipc_channel_pause(struct ipc_channel *c);
void ipc_channel_resume(struct ipc_channel *c);

#endif
