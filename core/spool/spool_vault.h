/*
 * spool_vault - data keys in memory, by number: of segments, of slots.
 *
 * Why         thousands of them, each used from other threads too while others come and go: their
 *             places never move.
 * Ownership   init/fini: caller's memory. A place is the spool's from put to wipe; there is memory
 *             for SPOOL_VAULT_GROUP of them at a time (spool_secret_new).
 */
#ifndef SPOOL_VAULT_H
#define SPOOL_VAULT_H

#include "spool_key.h"

#define SPOOL_VAULT_GROUP 256
#define SPOOL_VAULT_MOST  65536

struct spool_vault {
	unsigned char *groups[SPOOL_VAULT_MOST / SPOOL_VAULT_GROUP];
};

void spool_vault_fini(struct spool_vault *v);
unsigned char *spool_vault_at(struct spool_vault *v, unsigned number); /* SPOOL_CIPHER_KEY bytes */
void spool_vault_wipe(struct spool_vault *v, unsigned number);

#endif
