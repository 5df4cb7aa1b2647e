#pragma once
/*
 * GET /metrics on a listener of its own, apart from what people reach: one thread, one connection
 * at a time. On an address that is not loopback it needs a token (Authorization: Bearer ...).
 */

#include <stdint.h>

struct err;
struct gw_metrics;
struct scrape;

/** scrape_new() - listen; @port 0: any. -EPERM: not loopback and no token. */
int scrape_new(const char *address, uint16_t port, const char *token_file,
               struct gw_metrics *metrics, struct scrape **ret, struct err *err);
int scrape_start(struct scrape *scrape, struct err *err);
uint16_t scrape_port(const struct scrape *scrape);
struct scrape *scrape_free(struct scrape *scrape);
