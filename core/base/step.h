/*
 * step - the one return code of everything that can be resumed.
 *
 * DONE   the work is finished; outputs are filled, input is consumed.
 * MORE   not enough yet; nothing was consumed, nothing changed.
 * ERROR  it will never succeed; the object says why, where it has a place for that.
 */
#ifndef STEP_H
#define STEP_H

#include <stddef.h>

enum step { STEP_DONE, STEP_MORE, STEP_ERROR };

#define COUNT(array) (sizeof(array) / sizeof *(array))

#define container_of(pointer, type, member)                                                        \
	((type *)(void *)((char *)(pointer) - offsetof(type, member)))

#endif
