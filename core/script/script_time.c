/* gate.sleep, gate.now, gate.seconds. */
#include "script_await.h"

#include "clock.h"
#include "script_arg.h"
#include "script_gate.h"

#define SLEEP_MOST (UINT64_C(600) * CLOCK_SECOND) /* as long as any timeout of a handler */

struct sleep_op {
	struct script_op op;
	struct net_timer timer;
};

static void cancel(struct script_op *op)
{
	net_timer_stop(&LIST_ITEM(op, struct sleep_op, op)->timer);
}

static void woken(struct net_timer *timer)
{
	script_op_done(&LIST_ITEM(timer, struct sleep_op, timer)->op);
}

static int no_results(lua_State *L, struct script_op *op)
{
	(void)L, (void)op;
	return 0;
}

int script_gate_sleep(lua_State *L)
{
	uint64_t us = script_duration(L, 1, "sleep");
	struct sleep_op *s;

	luaL_argcheck(L, us <= SLEEP_MOST, 1, "at most ten minutes");
	s = lua_newuserdatauv(L, sizeof *s, 0);
	*s = (struct sleep_op){ .op = { .cancel = cancel, .results = no_results } };
	script_op_begin(L, &s->op, "gate.sleep");
	net_timer_init(&s->timer, script_vm_of(L)->loop, woken);
	net_timer_start(&s->timer, us && !script_vm_of(L)->is_trial ? us : 1);
	return script_await(L, &s->op);
}

/* gate.now() - seconds since 1970, the same within a turn of the loop */
int script_gate_now(lua_State *L)
{
	const struct script_vm *vm = script_vm_of(L);
	uint64_t us = vm->loop ? net_loop_wall(vm->loop) : clock_wall();

	lua_pushnumber(L, (lua_Number)us / (lua_Number)CLOCK_SECOND);
	return 1;
}

/* gate.seconds("5m") - 300 */
int script_gate_seconds(lua_State *L)
{
	uint64_t us = script_duration(L, 1, "seconds");

	if (us % CLOCK_SECOND == 0)
		lua_pushinteger(L, (lua_Integer)(us / CLOCK_SECOND));
	else
		lua_pushnumber(L, (lua_Number)us / (lua_Number)CLOCK_SECOND);
	return 1;
}
