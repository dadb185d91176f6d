/*
 * The chains: what was registered, in the order in which it will run, and how `moongate policy
 * order` shows it.
 */
#include "script_hook.h"

#include <stdlib.h>

#include "counter.h"

static int by_order(const void *a, const void *b)
{
	const struct script_handler *x = *(struct script_handler *const *)a,
				    *y = *(struct script_handler *const *)b;

	if (x->priority != y->priority)
		return x->priority < y->priority ? -1 : 1;
	return x->order < y->order ? -1 : 1;
}

/* names_differ - two handlers of one hook with one name could not be told apart in any event */
static bool names_differ(struct script_vm *vm, const struct script_chain *chain)
{
	unsigned before = vm->nproblems;

	for (unsigned i = 1; i < chain->n; i++)
		for (unsigned k = 0; k < i; k++) {
			const struct script_handler *later = chain->handlers[i],
						    *first = chain->handlers[k];

			if (!str_eq(later->name, first->name))
				continue;
			if (later->order < first->order) {
				later = chain->handlers[k];
				first = chain->handlers[i];
			}
			script_problem(vm, later->where.p,
				       "the name \"%s\" is taken at \"%s\" by %s; give one of them "
				       "another name",
				       later->name.p, policy_hook_name[later->hook],
				       first->where.p);
			break;
		}
	return vm->nproblems == before;
}

static bool chain_build(struct script_vm *vm, enum policy_hook hook)
{
	struct script_chain *chain = &vm->chains[hook];
	unsigned n = 0;

	for (struct script_handler *h = vm->registered; h; h = h->next)
		n += h->hook == hook;
	chain->handlers = n ? arena_alloc(&vm->arena, n * sizeof(struct script_handler *)) : NULL;
	if (n && !chain->handlers)
		return false;
	for (struct script_handler *h = vm->registered; h; h = h->next)
		if (h->hook == hook)
			chain->handlers[chain->n++] = h;
	if (n)
		qsort(chain->handlers, n, sizeof *chain->handlers, by_order);
	return names_differ(vm, chain);
}

bool script_chains_build(struct script_vm *vm)
{
	bool fine = true;

	for (enum policy_hook hook = 0; hook < HOOKS; hook++)
		fine = chain_build(vm, hook) && fine;
	for (struct script_handler *h = vm->registered; h && vm->loop; h = h->next)
		h->slot = rule_slot(h->name);
	return fine;
}

static bool handler_print(const struct script_handler *h, struct buf *out)
{
	static const char *const on_error[] = { "", " on_error=pass", " on_error=reject" };
	bool fits;

	fits = buf_printf(out, "  %4d  %-32.*s %.*s%s%s%s", h->priority, STR_ARG(h->name),
			  STR_ARG(h->where), h->is_monitor ? " monitor" : "",
			  h->skip_trusted ? " skip_trusted" : "", on_error[h->on_error]);
	for (unsigned i = 0; i < h->nlisteners; i++)
		fits = fits &&
		       buf_printf(out, "%s%.*s", i ? "," : " listener=", STR_ARG(h->listeners[i]));
	return fits && buf_printf(out, " timeout=%gs\n", (double)h->timeout_us / 1e6);
}

bool script_order(const struct policy_generation *g, struct buf *out)
{
	const struct script_vm *vm = g->self;

	for (enum policy_hook hook = 0; vm && hook < HOOKS; hook++) {
		const struct script_chain *chain = &vm->chains[hook];

		if (chain->n && !buf_printf(out, "%s\n", policy_hook_name[hook]))
			return false;
		for (unsigned i = 0; i < chain->n; i++)
			if (!handler_print(chain->handlers[i], out))
				return false;
	}
	return true;
}
