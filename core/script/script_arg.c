#include "script_arg.h"

#include <math.h>
#include <string.h>

#define SECOND        UINT64_C(1000000)
#define DURATION_MOST (UINT64_C(3650) * 86400 * SECOND)
#define NEAR          3 /* a slip of more letters is another word */

void script_near_try(struct script_near *near, const char *candidate)
{
	struct str word = str_of(candidate);
	unsigned distance = str_distance(near->word, word);

	if (near->best.p && distance >= near->distance)
		return;
	near->best = word;
	near->distance = distance;
}

const char *script_near_text(lua_State *L, const struct script_near *near)
{
	if (!near->best.p || near->distance > NEAR || near->distance >= near->word.n)
		return "";
	return lua_pushfstring(L, "; did you mean \"%s\"?", near->best.p);
}

/* unit_take - the unit in front of text, in microseconds; 0: none */
static uint64_t unit_take(struct str *text)
{
	static const struct {
		struct str name;
		uint64_t us;
	} units[] = {
		{ STR("ms"), 1000 },          { STR("s"), SECOND },
		{ STR("m"), 60 * SECOND },    { STR("h"), 3600 * SECOND },
		{ STR("d"), 86400 * SECOND }, { STR("w"), 7 * 86400 * SECOND },
	};

	for (size_t i = 0; i < sizeof units / sizeof *units; i++)
		if (str_has_prefix(*text, units[i].name)) {
			*text = str_drop(*text, units[i].name.n);
			return units[i].us;
		}
	return 0;
}

/* duration = 1*( 1*DIGIT ( "ms" / "s" / "m" / "h" / "d" / "w" ) ) */
bool script_duration_parse(struct str text, uint64_t *us)
{
	uint64_t sum = 0, number, unit;

	if (text.n == 0)
		return false;
	while (text.n > 0) {
		size_t n = 0;

		while (n < text.n && text.p[n] >= '0' && text.p[n] <= '9')
			n++;
		if (!str_u64(str_head(text, n), DURATION_MOST, &number))
			return false;
		text = str_drop(text, n);
		unit = unit_take(&text);
		if (unit == 0 || number > (DURATION_MOST - sum) / unit)
			return false;
		sum += number * unit;
	}
	*us = sum;
	return true;
}

uint64_t script_duration(lua_State *L, int index, const char *what)
{
	uint64_t us = 0;
	lua_Number seconds;

	if (lua_type(L, index) == LUA_TNUMBER) {
		seconds = lua_tonumber(L, index);
		if (!(seconds >= 0 && seconds <= (lua_Number)(DURATION_MOST / SECOND)))
			luaL_error(L, "%s: %f is no number of seconds", what, seconds);
		return (uint64_t)llround(seconds * (lua_Number)SECOND);
	}
	if (lua_type(L, index) != LUA_TSTRING)
		luaL_error(L,
			   "%s: a duration like \"5m\" or a number of seconds is expected, got %s",
			   what, luaL_typename(L, index));
	if (!script_duration_parse(script_str(L, index), &us))
		luaL_error(L,
			   "%s: \"%s\" is no duration; write it like \"500ms\", \"2s\", "
			   "\"5m\", \"1h30m\", \"35d\"",
			   what, lua_tostring(L, index));
	return us;
}

void script_options_check(lua_State *L, int index, const char *const *names, const char *what)
{
	if (lua_isnoneornil(L, index))
		return;
	luaL_argexpected(L, lua_istable(L, index), index, "table");
	for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
		struct script_near near = { 0 };
		const char *const *known = names;

		if (lua_type(L, -2) != LUA_TSTRING)
			luaL_error(L, "%s: options have names, got [%s]", what,
				   luaL_typename(L, -2));
		near.word = str_of(lua_tostring(L, -2));
		while (*known && strcmp(*known, near.word.p) != 0)
			script_near_try(&near, *known++);
		if (!*known)
			luaL_error(L, "%s: unknown option \"%s\"%s", what, near.word.p,
				   script_near_text(L, &near));
	}
}

struct str script_option_str(lua_State *L, int index, const char *name)
{
	if (lua_isnoneornil(L, index)) {
		lua_pushnil(L);
		return STR_NONE;
	}
	if (lua_getfield(L, index, name) == LUA_TNIL)
		return STR_NONE;
	if (lua_type(L, -1) != LUA_TSTRING)
		luaL_error(L, "%s: a string is expected, got %s", name, luaL_typename(L, -1));
	return script_str(L, -1);
}

struct str script_str(lua_State *L, int index)
{
	size_t n;
	const char *p = luaL_checklstring(L, index, &n);

	return (struct str){ p, n };
}
