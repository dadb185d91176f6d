#include "script_log.h"

#include <string.h>

#include "script_arg.h"
#include "script_gate.h"
#include "script_hook.h"

struct json *script_log_open(const struct script_task *t, enum log_level level, const char *event)
{
	const struct policy_question *q = t->q;
	struct json *j = log_open(level, event);
	char id[ID_TEXT + 1];

	json_str(j, "rule", t->handler->name);
	json_str(j, "hook", str_of(policy_hook_name[q->hook]));
	if (t->vm->generation)
		json_str(j, "generation", str_of(t->vm->generation->name));
	if (q->conn)
		json_str(j, "session", str_of(id_text(&q->conn->id, id)));
	if (q->tx)
		json_str(j, "id", str_of(id_text(&q->tx->id, id)));
	return j;
}

static bool level_find(const char *name, enum log_level *out)
{
	static const char *const names[] = { "debug", "info", "warn", "error" };

	for (size_t i = 0; i < COUNT(names); i++)
		if (strcmp(name, names[i]) == 0) {
			*out = (enum log_level)i;
			return true;
		}
	return false;
}

/* fields_check - afterwards fields_write cannot fail; raises */
static void fields_check(lua_State *L, int index)
{
	unsigned n = 0;

	luaL_argexpected(L, lua_istable(L, index), index, "table");
	for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
		int type = lua_type(L, -1);

		if (lua_type(L, -2) != LUA_TSTRING)
			luaL_error(L, "log: fields have names, got [%s]", luaL_typename(L, -2));
		if (type != LUA_TSTRING && type != LUA_TNUMBER && type != LUA_TBOOLEAN)
			luaL_error(L,
				   "log: field \"%s\" is a %s; strings, numbers and booleans can "
				   "be logged",
				   lua_tostring(L, -2), luaL_typename(L, -1));
		if (++n > SCRIPT_LOG_FIELDS)
			luaL_error(L, "log: more than %d fields", SCRIPT_LOG_FIELDS);
	}
}

/*
 * fields_write - raises nothing: only the types that fields_check let through, and lua_next over
 * keys that exist
 */
static void fields_write(lua_State *L, int index, struct json *j)
{
	json_open(j, "fields", '{');
	for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
		const char *name = lua_tostring(L, -2);
		size_t n;

		if (lua_type(L, -1) == LUA_TSTRING) {
			const char *p = lua_tolstring(L, -1, &n);

			json_str(j, name,
				 (struct str){ p, n < SCRIPT_LOG_VALUE ? n : SCRIPT_LOG_VALUE });
		} else if (lua_isinteger(L, -1)) {
			json_int(j, name, lua_tointeger(L, -1));
		} else if (lua_isboolean(L, -1)) {
			json_bool(j, name, lua_toboolean(L, -1));
		} else {
			json_num(j, name, lua_tonumber(L, -1));
		}
	}
	json_close(j, '}');
}

/* write_line - `fields` is a checked index, or 0 */
static void write_line(lua_State *L, enum log_level level, struct str text, int fields)
{
	struct script_vm *vm = script_vm_of(L);
	struct script_task *t = vm->running;
	struct json *j;

	if (!vm->loop || (t && t->logged++ >= SCRIPT_LOG_LINES))
		return;
	j = t ? script_log_open(t, level, "policy.log") : log_open(level, "policy.log");
	json_str(j, "text", str_head(text, SCRIPT_LOG_TEXT));
	if (fields)
		fields_write(L, fields, j);
	if (t && t->logged == SCRIPT_LOG_LINES)
		json_bool(j, "last", true); /* of this handler: more are dropped */
	log_close();
}

/* gate.log([level,] text [, fields]) */
int script_gate_log(lua_State *L)
{
	enum log_level level = LOG_LEVEL_INFO;
	int at = 1, fields = 0;

	luaL_checkstring(L, 1);
	if (lua_type(L, 2) == LUA_TSTRING) {
		if (!level_find(lua_tostring(L, 1), &level))
			return luaL_error(L, "log: \"%s\" is no level: debug, info, warn, error",
					  lua_tostring(L, 1));
		at = 2;
	}
	if (!lua_isnoneornil(L, at + 1)) {
		fields = at + 1;
		fields_check(L, fields);
	}
	luaL_checkstack(L, 4, NULL);
	write_line(L, level, script_str(L, at), fields);
	return 0;
}

/* print(...) - as a line of the log, its arguments parted by blanks */
int script_gate_print(lua_State *L)
{
	int n = lua_gettop(L);
	luaL_Buffer b;

	luaL_buffinit(L, &b);
	for (int i = 1; i <= n; i++) {
		if (i > 1)
			luaL_addchar(&b, ' ');
		luaL_tolstring(L, i, NULL);
		luaL_addvalue(&b);
	}
	luaL_pushresult(&b);
	write_line(L, LOG_LEVEL_INFO, script_str(L, -1), 0);
	return 0;
}
