#pragma once
/*
 * GET /metrics over HTTP/1 on an address of this machine alone. On the loop, so that what is
 * counted needs no lock: a few connections at a time, one small request each, answered and closed.
 */

#include <stdint.h>

struct err;
struct exs;
struct metrics_http;

/** metrics_http_address() - is @text "off" or a loopback ADDRESS:PORT? -EINVAL names what is
 * wrong. */
int metrics_http_address(const char *text, struct err *err);
/** metrics_http_new() - listen on @address ("127.0.0.1:9465", "[::1]:9465"; port 0: any). */
int metrics_http_new(struct exs *exs, const char *address, struct metrics_http **ret,
                     struct err *err);
uint16_t metrics_http_port(const struct metrics_http *http);
struct metrics_http *metrics_http_free(struct metrics_http *http);
