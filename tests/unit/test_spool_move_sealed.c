/* layer: spool */
/* The same on a sealed spool. */
#include "spool_world.h"

__attribute__((constructor)) static void seal_all(void)
{
	world_is_sealed = true;
}

#include "test_spool_move.c"
