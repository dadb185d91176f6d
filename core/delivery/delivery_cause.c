#include "delivery_cause.h"

/* names_greylisting - in one of its spellings, whatever the case */
static bool names_greylisting(struct str text)
{
	static const char *const names[] = { "greylist", "graylist", "grey list", "gray list",
					     "grey-list" };

	for (; text.n; text = str_drop(text, 1))
		for (size_t i = 0; i < COUNT(names); i++)
			if (str_has_iprefix(text, str_of(names[i])))
				return true;
	return false;
}

/*
 * of_reply - RFC 3463 has no status for a greylister: most say so in their text, and the rest use
 * 4.7.1. What else is 4.7.x, 4.3.2 (system not accepting messages) or 421 asks for less.
 */
static enum ipc_cause of_reply(uint16_t code, struct str esc, struct str text)
{
	if (names_greylisting(text))
		return IPC_CAUSE_GREYLIST;
	if (code != 421 && str_eq(esc, STR("4.7.1")))
		return IPC_CAUSE_GREYLIST;
	if (code == 421 || str_has_prefix(esc, STR("4.7.")) || str_eq(esc, STR("4.3.2")))
		return IPC_CAUSE_RATE;
	return IPC_CAUSE_OTHER;
}

enum ipc_cause delivery_cause(bool is_reply, bool by_policy, uint16_t code, struct str esc,
			      struct str text)
{
	if (is_reply)
		return of_reply(code, esc, text);
	if (by_policy)
		return IPC_CAUSE_POLICY;
	if (str_eq(esc, STR("4.4.2")))
		return IPC_CAUSE_BROKEN;
	if (str_has_prefix(esc, STR("4.4.")))
		return IPC_CAUSE_CONNECT;
	return IPC_CAUSE_OTHER;
}
