/*
 * role_secrets - what the master makes at its start and tells the edges alone.
 *
 * What        the key under which private keys lie in the snapshot, and where the keys of session
 *             tickets begin: one text in a WORD_SECRETS, as it lies in memory.
 * Ownership   sodium_malloc()'s memory at both ends.
 */
#ifndef ROLE_SECRETS_H
#define ROLE_SECRETS_H

#include "snapshot_secret.h"
#include "tls_tickets.h"

struct role_secrets {
	unsigned char key[SNAPSHOT_SECRET];
	struct tls_tickets tickets;
};

#endif
