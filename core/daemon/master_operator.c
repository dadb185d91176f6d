#include "master.h"

#include "ipc_carry.h"
#include "log.h"

/*
 * An operator who carries messages into the queue (moongate spool import, adopt) gets what an edge
 * gets: a channel to the spool, which trusts neither of them. His end travels with the answer over
 * the control socket; as long as that connection lasts, he is there.
 */
#define RING (4 * 1024 * 1024)

static void to_spool(struct master_role *spool, const struct ipc_channel_fds *fds)
{
	struct role_message word = {
		.word = WORD_CHANNEL,
		.peer = { ROLE_EDGE, IPC_OPERATOR },
		.a = IPC_END_B,
	};

	if (fds) {
		word.fds[0] = fds->memory;
		word.fds[1] = fds->wake_a;
		word.fds[2] = fds->wake_b;
		word.nfds = 3;
	}
	(void)master_role_tell(spool, &word);
}

/* to_operator - his end, by way of control; the answer is not over before he leaves */
static void to_operator(struct master *m, uint64_t tag, const struct ipc_channel_fds *fds)
{
	struct role_message word = {
		.word = WORD_ANSWER,
		.a = tag,
		.b = 255,
		.fds = { fds->memory, fds->wake_a, fds->wake_b },
		.nfds = 3,
	};

	(void)master_role_tell(master_role_find(m, ROLE_CONTROL, 0), &word);
}

void master_operator_comes(struct master *m, uint64_t tag, struct str version)
{
	struct master_role *spool = master_role_find(m, ROLE_SPOOL, 0);
	struct ipc_channel_fds fds;
	struct fault why;

	if (!str_eq(version, STR(MOONGATE_VERSION))) {
		master_answer(m, tag, 75,
			      STR("moongate: the daemon is version " MOONGATE_VERSION
				  ", use the program of the same version\n"));
	} else if (m->phase != MASTER_SERVING || spool->state != MASTER_ROLE_READY) {
		master_answer(m, tag, 75, STR("moongate: the spool is not ready, try again\n"));
	} else if (ipc_channel_make(&fds, RING, &why) < 0) {
		log_fault(LOG_LEVEL_ERROR, "channel.failed", "operator", &why);
		master_answer(m, tag, 75, STR("moongate: no memory for that now\n"));
	} else {
		to_spool(spool, &fds);
		to_operator(m, tag, &fds);
		ipc_channel_fds_close(&fds);
	}
}

void master_operator_leaves(struct master *m)
{
	to_spool(master_role_find(m, ROLE_SPOOL, 0), NULL);
}
