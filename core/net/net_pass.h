/*
 * net_pass - descriptors over a Unix socket.
 *
 * What        bytes with descriptors, at once, beside a net_conn whose output is empty.
 * Ownership   the descriptors stay the caller's.
 * Fails       false: the peer takes nothing now.
 */
#ifndef NET_PASS_H
#define NET_PASS_H

#include "step.h"
#include "str.h"

#define NET_PASS 4 /* descriptors at once */

bool net_pass(int to, struct str bytes, const int *fds, unsigned nfds);

#endif
