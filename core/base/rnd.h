/*
 * rnd - random bytes from the kernel's generator, by libsodium. rnd_init once per process, before
 * any sandbox.
 */
#ifndef RND_H
#define RND_H

#include <stddef.h>
#include <stdint.h>

void rnd_init(void);                            /* aborts when the system has no randomness */
void rnd_fill(void *to, size_t n);
uint64_t rnd_below(uint64_t bound);             /* uniform in [0, bound); bound > 0 */

#endif
