/*
 * ipc_control - event lines to the control role; questions of an operator to spool and back;
 * files for the maildir helper.
 *
 * What        the frame types of three small conversations.
 * Bounds      a query of 4 KiB; answers in chunks of 60 KiB; lines of LOG_LINE.
 */
#ifndef IPC_CONTROL_H
#define IPC_CONTROL_H

#include "ipc_channel.h"

#define IPC_QUERY_MAX    4096
#define IPC_ANSWER_CHUNK (60 * 1024)

/* clang-format off */
enum ipc_control_type {
	IPC_EVENT = 64,         /* role -> control: one JSON line without its newline */
	IPC_QUERY,              /* control -> spool: words, NUL between: "queue" NUL "list" ... */
	IPC_ANSWER,             /* spool -> control: u8 exit code (255: more follows), then text */

	IPC_MAILDIR_BEGIN = 80, /* deliver -> maildir: str mailbox path, str unique name part, u64
				 * length; the tag is the file's name from here on */
	IPC_MAILDIR_DATA,       /* -> bytes */
	IPC_MAILDIR_END,        /* -> empty: sync, rename, answer */
	IPC_MAILDIR_ABORT,      /* -> empty */
	IPC_MAILDIR_RESULT,     /* <- u8 enum ipc_outcome (DONE, DEFER, FAIL), str text */
	IPC_MAILDIR_ACK,        /* <- u64 bytes taken so far: the window is IPC_SLOT_WINDOW */
};
/* clang-format on */

#endif
