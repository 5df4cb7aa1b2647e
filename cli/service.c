#include "cli/service.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/trace.h"

bool service_option(struct service_place *place, int option, const char *value)
{
    const char **const where[] = {&place->socket, &place->connect, &place->ca, &place->cert,
                                  &place->key};
    if (option < OPT_SERVICE || option >= OPT_SERVICE_END)
        return false;
    *where[option - OPT_SERVICE] = value;
    return true;
}

static const char *or_environment(const char *given, const char *variable)
{
    const char *named = given ? given : getenv(variable);
    return named && named[0] ? named : NULL;
}

int service_find(struct service_place *place, struct err *err)
{
    if (place->socket && !place->connect)
        return 0;
    place->connect = or_environment(place->connect, "CLOISTER_CONNECT");
    if (!place->connect) {
        place->socket = or_environment(place->socket, "CLOISTER_SOCKET");
        if (!place->socket)
            place->socket = CLIENT_SOCKET_DEFAULT;
        return 0;
    }
    place->ca = or_environment(place->ca, "CLOISTER_CA");
    place->cert = or_environment(place->cert, "CLOISTER_CERT");
    place->key = or_environment(place->key, "CLOISTER_KEY");
    if (place->ca && place->cert && place->key)
        return 0;
    return err_set(err, -EINVAL,
                   "--connect %s takes --ca, --cert and --key too (or CLOISTER_CA, CLOISTER_CERT "
                   "and CLOISTER_KEY): TCP is only with mutual TLS",
                   place->connect);
}

/* As others do who pass a trace on to what they start. One that is malformed counts as none. */
static const char *traceparent(void)
{
    char trace_id[TRACE_ID_SIZE];
    const char *text = getenv("TRACEPARENT");
    return text && trace_parse(text, strlen(text), trace_id) ? text : NULL;
}

struct client_options service_client(const struct service_place *place, const char *subject)
{
    struct client_options options = {.subject = subject, .traceparent = traceparent()};
    if (!place->connect) {
        options.socket = place->socket;
        return options;
    }
    options.target = place->connect;
    options.ca = place->ca;
    options.certificate = place->cert;
    options.key = place->key;
    return options;
}

/* gRPC's words for a failed connection help nobody: try it once more by hand. Return: 0 or an
 * errno. */
static int probe(const char *socket_path)
{
    struct stat st;
    if (stat(socket_path, &st) == 0 && !S_ISSOCK(st.st_mode))
        return ENOTSOCK;
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
    case ENOTSOCK:
        snprintf(buf, size, "%s is not a socket; the service's is usually " CLIENT_SOCKET_DEFAULT,
                 socket);
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

void service_explain(const struct service_place *place, const struct rpc_status *status, char *buf,
                     size_t size)
{
    if (status->code == RPC_UNAVAILABLE && place->connect) {
        snprintf(buf, size,
                 "the service at %s can't be reached: %s. Is it there, does its certificate name "
                 "this host, and is the name in yours among its tls_allowed? Its log says why",
                 place->connect, status->message);
        return;
    }
    if (status->code == RPC_UNAVAILABLE) {
        explain_unavailable(place->socket, status, buf, size);
        return;
    }
    int n = snprintf(buf, size, "%s",
                     status->message[0] ? status->message : rpc_code_name((int)status->code));
    if (status->retry_ms > 0 && n > 0 && (size_t)n < size)
        snprintf(buf + n, size - (size_t)n, " (try again in %u ms)", status->retry_ms);
}
