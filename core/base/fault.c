#include "fault.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* keep - the text is made apart and copied: an argument may be the old text of the same fault */
static void keep(struct fault *why, int sys, const char *text)
{
	size_t n = strlen(text);

	while (n > 0 && text[n - 1] == '\n')
		n--;
	memcpy(why->text, text, n);
	why->text[n] = '\0';
	why->sys = sys;
}

int fault_set(struct fault *why, const char *format, ...)
{
	char text[sizeof why->text];
	va_list arguments;

	if (!why)
		return -1;
	va_start(arguments, format);
	(void)vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	keep(why, 0, text);
	return -1;
}

int fault_sys(struct fault *why, const char *format, ...)
{
	int sys = errno;
	char text[sizeof why->text], reason[128];
	size_t n;
	va_list arguments;

	if (!why)
		return -1;
	va_start(arguments, format);
	(void)vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	if (strerror_r(sys, reason, sizeof reason) != 0)
		(void)snprintf(reason, sizeof reason, "error %d", sys);
	n = strlen(text);
	(void)snprintf(text + n, sizeof text - n, ": %s", reason);
	keep(why, sys, text);
	errno = sys;
	return -1;
}
