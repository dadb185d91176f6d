/*
 * admin_control - the control socket: an operator's words in, an answer out.
 *
 * What        a Unix stream socket, one request per connection. Words go on to the master or to the
 *             spool by the table in admin_control.c, or are answered here; answers come back in
 *             chunks with an exit code at the last.
 * Why         the role that talks to operators decides nothing and holds nothing: it carries.
 * Invariants  only root and our own user are heard. A request gets one answer, or its connection
 *             ends. An answer to somebody who has left is dropped. One request may last: that of an
 *             operator who carries messages; one at a time, without a deadline.
 * Ownership   owns its clients; owner and ops are borrowed for ever.
 * Bounds      ADMIN_CLIENTS; a request of ADMIN_REQUEST bytes within ADMIN_REQUEST_WAIT; ADMIN_OUT
 *             bytes waiting per client, then the source is paused; a client that reads nothing for
 *             ADMIN_ANSWER_WAIT is cut.
 * Read next   admin_wire.h, the bytes on the socket.
 */
#ifndef ADMIN_CONTROL_H
#define ADMIN_CONTROL_H

#include "admin_metrics.h"
#include "admin_wire.h"
#include "net_listen.h"

#define ADMIN_CLIENTS      32
#define ADMIN_OUT          (1024 * 1024)
#define ADMIN_REQUEST_WAIT (5 * UINT64_C(1000000))
#define ADMIN_ANSWER_WAIT  (150 * UINT64_C(1000000)) /* a reload may take long */

struct admin_ops {
	/* Pass the words on; the answer comes by admin_control_answer with this tag. false: nobody
	 * is there. */
	bool (*to_master)(void *owner, uint64_t tag, struct str words);
	bool (*to_spool)(void *owner, uint64_t tag, struct str words);
	/* Answers of the spool pile up: take no more of them until false. */
	void (*spool_pause)(void *owner, bool paused);
	unsigned (*slabs)(void *owner, struct admin_slab out[ADMIN_SLABS]);
};

struct admin_control;

struct admin_control *admin_control_new(struct net_loop *loop, const struct admin_ops *ops,
					void *owner);
/* Takes a listening socket, which replaces the former; an accepted one. */
void admin_control_listen(struct admin_control *a, int fd);
void admin_control_deafen(struct admin_control *a); /* nobody new; clients stay */
void admin_control_accept(struct admin_control *a, int fd);
/* A piece of an answer: code ADMIN_MORE, or the exit code with the last. Unknown tags are
 * ignored. */
void admin_control_answer(struct admin_control *a, uint64_t tag, unsigned code, struct str text);
/*
 * Descriptors for who asked, on a connection that lasts until he leaves: then "spool leave" goes to
 * the master. They stay the caller's.
 */
void admin_control_pass(struct admin_control *a, uint64_t tag, const int *fds, unsigned nfds);
void admin_control_spool_gone(struct admin_control *a); /* what it still owed is answered with 75 */
unsigned admin_control_clients(const struct admin_control *a);
void admin_control_free(struct admin_control **a);

#endif
