#include "cli/service.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "api/client.h"
#include "base/cleanup.h"

const char *service_socket(const char *given)
{
    if (given)
        return given;
    const char *named = getenv("CLOISTER_SOCKET");
    return named && named[0] ? named : CLIENT_SOCKET_DEFAULT;
}

/* gRPC's words for a failed connection help nobody: try it once more by hand. Return: 0 or an
 * errno. */
static int probe(const char *socket_path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(socket_path) >= sizeof(address.sun_path))
        return ENAMETOOLONG;
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", socket_path);
    AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return errno;
    return connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? errno : 0;
}

static void explain_unavailable(const char *socket, const struct rpc_status *status, char *buf,
                                size_t size)
{
    int fault = probe(socket);
    switch (fault) {
    case ENOENT:
    case ECONNREFUSED:
    case ENOTDIR:
        snprintf(buf, size,
                 "no service at %s (%s). Start it with `systemctl start cloister` (in the source "
                 "tree: ./dev up), or name its socket with --socket or CLOISTER_SOCKET",
                 socket, strerror(fault));
        return;
    case EACCES:
    case EPERM:
        snprintf(buf, size,
                 "you may not use %s (%s). Its group may: ask for membership (usually of "
                 "'cloister') and log in again",
                 socket, strerror(fault));
        return;
    case 0:
    case EAGAIN:
        snprintf(buf, size, "the service at %s ended the call: %s", socket, status->message);
        return;
    default:
        snprintf(buf, size, "%s: %s", socket, strerror(fault));
        return;
    }
}

void service_explain(const char *socket, const struct rpc_status *status, char *buf, size_t size)
{
    if (status->code == RPC_UNAVAILABLE) {
        explain_unavailable(socket, status, buf, size);
        return;
    }
    int n = snprintf(buf, size, "%s",
                     status->message[0] ? status->message : rpc_code_name((int)status->code));
    if (status->retry_ms > 0 && n > 0 && (size_t)n < size)
        snprintf(buf + n, size - (size_t)n, " (try again in %u ms)", status->retry_ms);
}
