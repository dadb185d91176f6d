/*
 * clock - the two times.
 *
 * Monotonic for every wait and deadline; wall time for what people and other hosts read. Both in microseconds.
 * Pure layers never call these: time arrives as an argument.
 */
#ifndef CLOCK_H
#define CLOCK_H

#include <stdint.h>

#define CLOCK_SECOND UINT64_C(1000000)

uint64_t clock_mono(void);
uint64_t clock_wall(void);

#endif
