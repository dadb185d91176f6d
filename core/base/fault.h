/*
 * fault - why something in our environment failed.
 *
 * What        one line of text and the errno behind it, filled by the callee, read by whoever
 *             decides.
 * Why         -1 without a reason cannot be explained to an operator; a peer's mistakes are data,
 *             never a fault.
 * Ownership   caller's memory; the last parameter of every function that can fail.
 */
#ifndef FAULT_H
#define FAULT_H

struct fault {
	int sys;                /* errno, or 0 */
	char text[512];         /* no trailing newline */
};

/*
 * Both return -1, so that a failing function may end in `return fault_set(...)`. `why` may be NULL.
 */
int fault_set(struct fault *why, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Keeps errno and appends its description. */
int fault_sys(struct fault *why, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
