/*
 * spool_prefix - what a spool may hold after a crash, told without knowing how it works.
 *
 * What        the log as a list of events in the order in which the owner caused them; what a
 *             recovery gave back must be the replay of some prefix of it (I4) that has everything
 *             acknowledged in it (I1).
 * Why         the reference of the model: sixty lines that share nothing with core/spool.
 * Bounds      PREFIX_LETTERS messages, PREFIX_EVENTS events between two recoveries.
 */
#ifndef SPOOL_PREFIX_H
#define SPOOL_PREFIX_H

#include <stdbool.h>
#include <stdint.h>

#define PREFIX_LETTERS 96
#define PREFIX_EVENTS  96

struct prefix_fact { /* about one message: alive, and in what state */
	bool is_there;
	uint32_t version;
};

enum prefix_what { PREFIX_ARRIVES = 1, PREFIX_FINISHES, PREFIX_REACHES };

struct prefix_change {
	enum prefix_what what;
	unsigned letter;
	uint32_t version; /* REACHES */
};

struct prefix_event { /* up to two changes that are made together or not at all */
	struct prefix_change change[2];
};

struct prefix {
	struct prefix_fact base[PREFIX_LETTERS]; /* before the first event */
	struct prefix_event events[PREFIX_EVENTS];
	unsigned nevents;
	unsigned least;                 /* events that were acknowledged */
	bool is_afloat[PREFIX_LETTERS]; /* not in the log yet as far as we know: there or not */
};

void prefix_add(struct prefix *p, struct prefix_change one, struct prefix_change other);
/* all so far is durable, or up to the event in which that letter arrives */
void prefix_settled(struct prefix *p);
void prefix_durable(struct prefix *p, unsigned letter);
/* is what was found the replay of an allowed prefix? */
bool prefix_allows(const struct prefix *p, const struct prefix_fact found[PREFIX_LETTERS]);
/* begin again with what was found */
void prefix_rebase(struct prefix *p, const struct prefix_fact found[PREFIX_LETTERS]);

#endif
