/* The walk of a message begins here: `moongate serve` -> master.c -> role.c -> role_edge.c. */
#include "cli.h"

int main(int argc, char **argv)
{
	return cli_main(argc, argv);
}
