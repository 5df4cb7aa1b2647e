#pragma once
/* Who acts, and how a domain function says no. */

#include "base/err.h"
#include "frontgw/http/problem.h"
#include "frontgw/people/permit.h"

#include <stdbool.h>
#include <stdint.h>

/* Borrowed strings: they belong to the request (or to the command line) for as long as the call
 * lasts. */
struct gw_actor {
    const char *account; /* id; "" for nobody, "cli" for the operator's command line */
    bool admin;
    const char *session; /* public id of the session; "" for an API key */
    const char *ip;
    uint64_t now_ms; /* the one "now" of the whole operation */
};

/**
 * gw_refuse() - an expected outcome: a positive enum gw_problem, with words for the caller in @err
 *
 * Domain functions return 0, such a problem, or a negative errno (our fault).
 */
#define gw_refuse(err, problem, ...) (err_set((err), 0, __VA_ARGS__), (int)(problem))

/** gw_role_of() - an admin is an admin in every course. */
static inline enum gw_role gw_role_of(const struct gw_actor *actor, enum gw_role enrolled)
{
    return actor->admin ? GW_ROLE_ADMIN : enrolled;
}
