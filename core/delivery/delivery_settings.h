/*
 * delivery_settings - the options of delivery, kept, with a table from domain to next hop.
 *
 * Why         a reload frees the settings that the options pointed into, and a route is looked up
 *             per recipient.
 * Invariants  a domain's own route wins, then relay_to for relay domains, then the route of "*".
 * Ownership   init/fini; every string is a copy. Nothing may keep one across
 *             delivery_settings_set().
 */
#ifndef DELIVERY_SETTINGS_H
#define DELIVERY_SETTINGS_H

#include "arena.h"
#include "delivery.h"
#include "map.h"

struct delivery_settings {
	struct arena arena;
	struct delivery_options o; /* hostname and numbers; the lists are in the map */
	struct map domains;
	struct str any; /* next hop of whatever is not in the map; empty: none */
};

void delivery_settings_init(struct delivery_settings *s, const struct delivery_options *o);
void delivery_settings_set(struct delivery_settings *s, const struct delivery_options *o);
void delivery_settings_fini(struct delivery_settings *s);

/* delivery_settings_route - the next hop of a domain; empty: nobody said */
struct str delivery_settings_route(const struct delivery_settings *s, struct str domain);

#endif
