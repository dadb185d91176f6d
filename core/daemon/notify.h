/*
 * notify - what we tell the service manager: one datagram to $NOTIFY_SOCKET (sd_notify(3)), nothing
 * where there is none.
 */
#ifndef NOTIFY_H
#define NOTIFY_H

void notify(const char *state); /* "READY=1\nSTATUS=...\n" */

#endif
