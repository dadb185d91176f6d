/*
 * loader - reads settings, policy and maps from disk into a snapshot, and proves that they load.
 *
 * What        evaluates moongate.lua in an empty environment (only env()), checks it against the
 *             schema, reads every *.lua under the policy's folder once, compiles the maps, loads
 *             the policy in a throw-away state, runs the policy's own tests, writes the snapshot.
 * Why         the only place where settings are evaluated; runs in a short-lived child of the
 *             master (loader_spawn) or in the process of `moongate check`.
 * Fails       every problem is one line "file:line:column: message" in `errors`, not only the
 *             first.
 */
#ifndef LOADER_H
#define LOADER_H

#include "buf.h"
#include "fault.h"
#include "trial_test.h"

/* secret: seals private keys (snapshot_secret.h); NULL leaves them out. */

/* loader_run - here and now; the memfd, or -1 with at least one line in errors */
int loader_run(const char *settings_path, const unsigned char *secret, struct buf *errors);

/*
 * loader_test - the policy's own tests alone, with a line per case in `told`; failures are in
 * errors, as they are of loader_run
 */
struct trial_count loader_test(const char *settings_path, struct buf *told, struct buf *errors);

/* loader_try - a trial of what the settings name; false: it does not load, errors has the lines */
bool loader_try(const char *settings_path, void (*with)(void *owner, struct trial *trial),
		void *owner, struct buf *errors);

/*
 * loader_spawn - loader_run in a child under rlimits: *pid is to be waited for; the descriptor
 * turns readable at its end, then loader_collect gives the memfd, or -1 with errors
 */
int loader_spawn(const char *settings_path, const unsigned char *secret, int *pid,
		 struct fault *why);
int loader_collect(int fd, struct buf *errors);

#endif
