/*
 * ipc_channel - bounded frames between two roles, through shared memory.
 *
 * What        one memfd with a ring each way (ipc_ring) and an eventfd for each reader. A frame
 *             is {size, type, flags, tag} and a payload, written whole or not at all.
 * Why         a system call only when the other side sleeps; no descriptor, no lock and no
 *             pointer crosses.
 * Invariants  the other side may be hostile: a ring that makes no sense ends the channel, never
 *             us. Callbacks run at the end of the turn, at most IPC_FRAMES_A_TURN frames of them;
 *             the other side is woken at the end of the turn, once.
 *             The eventfds are shared, and so is their O_NONBLOCK: no role may be able to clear it
 *             (fcntl F_SETFL, ioctl FIONBIO: the sandbox's part), or a neighbour makes us wait.
 * Ownership   the master makes the descriptors and hands each end to its role; open takes them.
 *             Payload slices die when the callback returns.
 * Fails       ipc_channel_send false: no room now; nothing was written. writable() comes when a
 *             quarter is free, and enough for the frame that was refused.
 * Read next   ipc_ring.h
 */
#ifndef IPC_CHANNEL_H
#define IPC_CHANNEL_H

#include "codec.h"
#include "ipc_ring.h"
#include "net_loop.h"

#define IPC_FRAMES_A_TURN 256

enum ipc_end { IPC_END_A, IPC_END_B };

struct ipc_channel_fds {
	int memory, wake_a, wake_b; /* wake_a wakes the role at end A */
};

/*
 * For the master: close-on-exec descriptors; ring_size a power of two,
 * IPC_RING_LEAST..IPC_RING_MOST.
 */
int ipc_channel_make(struct ipc_channel_fds *out, size_t ring_size, struct fault *why);
void ipc_channel_fds_close(struct ipc_channel_fds *fds); /* each one that is not -1; leaves -1 */

struct ipc_channel;

struct ipc_channel_ops {
	void (*frame)(void *owner, const struct ipc_frame *frame);
	void (*writable)(void *owner); /* may be NULL */
	/* Once; nonsense in the ring: tell the master, close. */
	void (*broken)(void *owner, const struct fault *why);
};

/* NULL and why; the descriptors are taken either way. */
struct ipc_channel *ipc_channel_open(struct net_loop *loop, struct ipc_channel_fds *fds,
				     enum ipc_end end, const struct ipc_channel_ops *ops,
				     void *owner, struct fault *why);
/* What was sent stays readable for the other side. */
void ipc_channel_close(struct ipc_channel **c);

/*
 * The payload is the parts one after the other; copied before return. head->payload is not looked
 * at. More than ipc_channel_max() is the caller's bug. A broken channel takes nothing.
 */
bool ipc_channel_send(struct ipc_channel *c, const struct ipc_frame *head, const struct str *parts,
		      unsigned nparts);
size_t ipc_channel_max(const struct ipc_channel *c); /* the largest payload that can ever be sent */
size_t ipc_channel_room(struct ipc_channel *c); /* the largest payload that would be taken now */
/* Asks for writable() without a frame to send: when a payload of that size would be taken. */
void ipc_channel_want(struct ipc_channel *c, size_t payload);
/*
 * Frames may wait that long: under load the other side then wakes us once in so many microseconds,
 * not for each. 0, as in the beginning: never. The ring must hold what comes meanwhile.
 */
void ipc_channel_patience(struct ipc_channel *c, uint64_t us);
/* Stops frame() until resumed: back-pressure by the reader. */
void ipc_channel_pause(struct ipc_channel *c);
void ipc_channel_resume(struct ipc_channel *c);

#endif
