#include "script_box.h"

#include "script_arg.h"

/* clang-format off */
const struct script_class *const script_classes[] = {
	&script_conn, &script_peer, &script_server, &script_tls, &script_certificate, &script_tx, &script_rcpt, &script_msg, &script_attempt, &script_result,
	&script_bounce, &script_vars, &script_map_object, &script_verdict_object, NULL,
};
/* clang-format on */

void script_push_str(lua_State *L, struct str s)
{
	lua_pushlstring(L, s.n ? s.p : "", s.n);
}

void script_push_str_or_nil(lua_State *L, struct str s)
{
	if (s.n)
		lua_pushlstring(L, s.p, s.n);
	else
		lua_pushnil(L);
}

void *script_as(lua_State *L, int index, const struct script_class *class)
{
	struct script_object *object =
		lua_type(L, index) == LUA_TUSERDATA ? lua_touserdata(L, index) : NULL;

	return object && object->class == class ? object : NULL;
}

/* raises */
void *script_self(lua_State *L, int index, const struct script_class *class)
{
	struct script_box *box = script_as(L, index, class);

	if (!box)
		luaL_typeerror(L, index, class->name);
	else if (!box->handle.target)
		luaL_error(L, "%s", class->over);
	return box ? box->handle.target : NULL;
}

/* raises */
void script_push(lua_State *L, const struct script_class *class, void *target, struct list *handles)
{
	struct script_box *box;

	if (!target) {
		lua_pushnil(L);
		return;
	}
	lua_rawgeti(L, LUA_REGISTRYINDEX, script_vm_of(L)->boxes);
	lua_rawgetp(L, -1, target);
	box = script_as(L, -1, class);
	if (box && box->handle.target == target) {
		lua_remove(L, -2);
		return;
	}
	lua_pop(L, 1);
	box = lua_newuserdatauv(L, sizeof *box, 0);
	*box = (struct script_box){ .object.class = class };
	list_init(&box->handle.node);
	lua_rawgetp(L, LUA_REGISTRYINDEX, class);
	lua_setmetatable(L, -2);
	lua_pushvalue(L, -1);
	lua_rawsetp(L, -3, target);
	lua_remove(L, -2);
	if (!handles->next) /* zeroed memory is an empty list */
		list_init(handles);
	list_append(handles, &box->handle.node);
	box->handle.target = target;
}

static int collected(lua_State *L)
{
	struct script_box *box = lua_touserdata(L, 1);

	list_remove(&box->handle.node);
	box->handle.target = NULL;
	return 0;
}

/* unknown_field - raises, naming the field that was meant */
static int unknown_field(lua_State *L, const struct script_class *class)
{
	struct script_near near = { 0 };
	const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : NULL;

	if (!name)
		return luaL_error(L, "%s has no field [%s]", class->name, luaL_typename(L, 2));
	near.word = str_of(name);
	for (const struct script_field *f = class->fields; f && f->name; f++)
		script_near_try(&near, f->name);
	for (const luaL_Reg *m = class->methods; m && m->name; m++)
		script_near_try(&near, m->name);
	return luaL_error(L, "%s has no field \"%s\"%s", class->name, name,
			  script_near_text(L, &near));
}

/* upvalue 1: name -> method or struct script_field; raises */
static int index_member(lua_State *L)
{
	struct script_box *box = lua_touserdata(L, 1);
	const struct script_field *field;
	int type;

	lua_pushvalue(L, 2);
	type = lua_rawget(L, lua_upvalueindex(1));
	if (type == LUA_TFUNCTION)
		return 1;
	if (type != LUA_TLIGHTUSERDATA)
		return unknown_field(L, box->object.class);
	if (!box->handle.target)
		return luaL_error(L, "%s", box->object.class->over);
	field = lua_touserdata(L, -1);
	field->push(L, box->handle.target);
	return 1;
}

/* raises */
static int refuse_write(lua_State *L)
{
	const struct script_object *object = lua_touserdata(L, 1);

	return luaL_error(L,
			  "the fields of %s are read only; what may be changed is changed by its "
			  "methods, or kept in .vars",
			  object->class->name);
}

static int to_text(lua_State *L)
{
	const struct script_box *box = lua_touserdata(L, 1);

	lua_pushfstring(L, "%s%s", box->object.class->name, box->handle.target ? "" : " (over)");
	return 1;
}

static void set_function(lua_State *L, const char *name, lua_CFunction f)
{
	lua_pushcfunction(L, f);
	lua_setfield(L, -2, name);
}

/* pushes the table of members; raises */
static void members_push(lua_State *L, const struct script_class *class)
{
	lua_newtable(L);
	for (const struct script_field *f = class->fields; f && f->name; f++) {
		lua_pushlightuserdata(L, (void *)(uintptr_t)f);
		lua_setfield(L, -2, f->name);
	}
	for (const luaL_Reg *m = class->methods; m && m->name; m++)
		set_function(L, m->name, m->func);
}

static void class_open(lua_State *L, const struct script_class *class)
{
	lua_newtable(L);
	if (class->index) {
		set_function(L, "__index", class->index);
	} else {
		members_push(L, class);
		lua_pushcclosure(L, index_member, 1);
		lua_setfield(L, -2, "__index");
	}
	set_function(L, "__newindex", class->newindex ? class->newindex : refuse_write);
	set_function(L, "__tostring", class->tostring ? class->tostring : to_text);
	if (class->pairs)
		set_function(L, "__pairs", class->pairs);
	if (class->over)
		set_function(L, "__gc", collected);
	lua_pushstring(L, class->name);
	lua_setfield(L, -2, "__name");
	lua_pushboolean(L, 0);
	lua_setfield(L, -2, "__metatable");
	lua_rawsetp(L, LUA_REGISTRYINDEX, class);
}

void script_classes_open(lua_State *L)
{
	for (size_t i = 0; script_classes[i]; i++)
		class_open(L, script_classes[i]);
}
