#pragma once
/* Where the service is, and what to tell a person when it does not answer. */

#include <stdbool.h>
#include <stddef.h>

#include "api/client.h"
#include "api/rpc_status.h"

struct err;

/* As given on the command line, NULL where it was not; then as service_find() completes it. */
struct service_place {
    const char *socket;
    const char *connect, *ca, *cert, *key; /* HOST:PORT, and PEM files */
};

/* For getopt_long: the options of every command that talks to the service. */
enum {
    OPT_SERVICE = 512,
    OPT_SERVICE_SOCKET = OPT_SERVICE,
    OPT_SERVICE_CONNECT,
    OPT_SERVICE_CA,
    OPT_SERVICE_CERT,
    OPT_SERVICE_KEY,
    OPT_SERVICE_END
};
#define SERVICE_OPTIONS                                                                            \
    {"socket", required_argument, NULL, OPT_SERVICE_SOCKET},                                       \
        {"connect", required_argument, NULL, OPT_SERVICE_CONNECT},                                 \
        {"ca", required_argument, NULL, OPT_SERVICE_CA},                                           \
        {"cert", required_argument, NULL, OPT_SERVICE_CERT},                                       \
    {                                                                                              \
        "key", required_argument, NULL, OPT_SERVICE_KEY                                            \
    }
#define SERVICE_HELP                                                                               \
    "  --socket PATH       of the service; default: CLOISTER_SOCKET or\n"                          \
    "                      /run/cloister/execsvc.sock\n"                                           \
    "  --connect HOST:PORT   of a service elsewhere, with mutual TLS:\n"                           \
    "  --ca FILE --cert FILE --key FILE   who vouches for it, and who you are; or\n"               \
    "                      CLOISTER_CONNECT, CLOISTER_CA, CLOISTER_CERT, CLOISTER_KEY\n"

/** service_option() - @option was one of SERVICE_OPTIONS. Return: false when it was not. */
bool service_option(struct service_place *place, int option, const char *value);

/**
 * service_find() - command line, then environment, then the default
 * Return: 0, or -EINVAL: TCP without its three files.
 */
int service_find(struct service_place *place, struct err *err);
/** service_client() - as client_new() takes it; strings are borrowed. */
struct client_options service_client(const struct service_place *place, const char *subject);

/**
 * service_explain() - what happened and what to do, for a call that ended with @status
 * Looks at the socket itself when the service is unavailable. Always NUL-terminated.
 */
void service_explain(const struct service_place *place, const struct rpc_status *status, char *buf,
                     size_t size);
