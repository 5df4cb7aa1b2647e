#pragma once
/*
 * What a service tells whoever supervises it, by the protocol of sd_notify(3): one datagram to the
 * socket that NOTIFY_SOCKET names. By hand, because that is all of libsystemd that we need.
 */

/** notify_take() - takes the variable out of the environment: it is nobody else's. Call once,
 * before there are threads. */
void notify_take(void);
/** notify_send() - @text as in sd_notify(3): "READY=1". That nobody listens is fine. */
void notify_send(const char *text);
