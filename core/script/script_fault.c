#include "script_fault.h"

#include <stdio.h>
#include <string.h>

#include "script_hook.h"
#include "script_log.h"

#define LEVELS  12
#define MESSAGE 512

struct report {
	struct script_task *task;
	char message[MESSAGE];
};

/* script_fault_trace - may run when memory is out and hooks are off: it allocates nothing */
int script_fault_trace(lua_State *L)
{
	struct script_task *t = script_vm_of(L)->running;
	size_t n = 0;
	lua_Debug ar;

	for (int level = 1; level < LEVELS && n < sizeof t->trace && lua_getstack(L, level, &ar);
	     level++) {
		if (!lua_getinfo(L, "Sln", &ar) || ar.currentline < 0)
			continue;
		n += (size_t)snprintf(t->trace + n, sizeof t->trace - n, "%s%s:%d%s%s",
				      n ? ", " : "", ar.short_src, ar.currentline,
				      ar.name ? " in " : "", ar.name ? ar.name : "");
	}
	return 1;
}

static void suspended(struct report *r)
{
	if (!r->task->is_expired)
		(void)str_copy(r->message, sizeof r->message,
			       STR("it suspended itself without waiting for anything"));
	else
		(void)snprintf(r->message, sizeof r->message,
			       "it waited longer than its timeout of %.3g s",
			       (double)r->task->handler->timeout_us / 1e6);
}

/* message_of - the error's own text if it has one */
static void message_of(struct report *r, int status)
{
	lua_State *L = r->task->L;
	enum script_doom doom = (enum script_doom)r->task->budget.doom;
	size_t n = 0;
	const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &n) : NULL;

	if (status == LUA_YIELD && doom == DOOM_NONE) {
		suspended(r);
	} else if (doom != DOOM_NONE &&
		   !(status == LUA_ERRRUN && text && strstr(text, script_doom_text(doom)))) {
		(void)str_copy(r->message, sizeof r->message, str_of(script_doom_text(doom)));
	} else if (text) {
		(void)str_copy(r->message, sizeof r->message, (struct str){ text, n });
	} else {
		(void)snprintf(r->message, sizeof r->message,
			       "error() was called with a %s instead of a text",
			       lua_typename(L, lua_type(L, -1)));
	}
}

void script_fault_report(struct script_task *t, int status)
{
	struct report r = { .task = t };
	struct json *j;

	if (status == LUA_OK)
		(void)str_copy(r.message, sizeof r.message,
			       str_of(script_doom_text((enum script_doom)t->budget.doom)));
	else
		message_of(&r, status);
	j = script_log_open(t, LOG_LEVEL_ERROR, "policy.error");
	json_str(j, "message", str_of(r.message));
	json_str(j, "where", t->handler->where);
	if (t->trace[0])
		json_str(j, "trace", str_of(t->trace));
	log_close();
}
