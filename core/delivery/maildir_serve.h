/*
 * maildir_serve - the maildir helper: frames of the deliver processes become files in mailboxes.
 *
 * What        IPC_MAILDIR_* frames of each deliver process drive one maildir_write per tag; each
 *             file ends with one RESULT.
 * Why         deliver has no file system and must not wait for a disk; this process has nothing
 *             but one, and may wait.
 * Invariants  BEGIN is answered by exactly one RESULT, whatever happens, unless its channel ends
 *             or it is aborted. Frames about a tag that is not open are ignored: they follow an
 *             early RESULT. Nothing that fails here is final: the message is kept and tried
 *             again, because a full disk or a wrong mode is ours to repair.
 * Ownership   new/free; channels are borrowed.
 * Bounds      MAILDIR_SERVE_CHANNELS deliver processes, MAILDIR_SERVE_FILES open files each; a
 *             sender is at most IPC_SLOT_WINDOW ahead of the last ACK.
 * Read next   delivery_maildir.c, the other end.
 */
#ifndef MAILDIR_SERVE_H
#define MAILDIR_SERVE_H

#include "ipc_control.h"
#include "maildir_write.h"

#define MAILDIR_SERVE_CHANNELS 32
#define MAILDIR_SERVE_FILES    64

struct maildir_serve;

/*
 * Before the sandbox is closed: the roots are opened now. They are the delivery_hop_root() of
 * each maildir: next hop in the settings; what a policy names must be below one of them.
 */
struct maildir_serve *maildir_serve_new(const struct str *roots, unsigned nroots,
					const struct maildir_disk *disk);
/* maildir_serve_root - one more, after a reload */
int maildir_serve_root(struct maildir_serve *s, struct str root, struct fault *why);
/* NULL: gone; its files are aborted. */
void maildir_serve_channel(struct maildir_serve *s, unsigned deliver, struct ipc_channel *c);
void maildir_serve_frame(struct maildir_serve *s, unsigned deliver, const struct ipc_frame *frame);
void maildir_serve_writable(struct maildir_serve *s, unsigned deliver);
bool maildir_serve_is_idle(const struct maildir_serve *s);
void maildir_serve_free(struct maildir_serve **s);

#endif
