#pragma once
/*
 * A sign of life for the supervisor, which reads nothing else from us.
 *
 * A process that looks healthy may be deaf: a listener that accepts no more, a socket whose file
 * somebody has removed, a loop that hangs. So a thread connects to the socket as any client would,
 * by its path, asks for the health of the service, and, when it got an answer, writes one byte into
 * the pipe that the supervisor gave us. What the supervisor does without one is in
 * sandbox/spawner_main.c. It begins when the runtimes have answered: the first byte says that the
 * service is ready. The thread uses neither gRPC nor the loop: both are what it watches.
 */

#include <stdint.h>

struct err;
struct heartbeat;

/* "FD:MILLISECONDS": the pipe, and how often. Not set: nobody listens, and there is no thread. */
#define HEARTBEAT_VARIABLE "CLOISTER_HEARTBEAT"

int heartbeat_start(const char *socket_path, struct heartbeat **ret, struct err *err);
/** heartbeat_free() - NULL is fine. */
struct heartbeat *heartbeat_free(struct heartbeat *heartbeat);

/** heartbeat_ask() - one question, answered within @timeout_ms, or given up when @stop_fd (-1:
 * none) can be read. Return: 0 or a negative errno. */
int heartbeat_ask(const char *socket_path, uint32_t timeout_ms, int stop_fd);
