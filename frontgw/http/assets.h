#pragma once
/*
 * The page's files, read once at the start: no request ever opens a file by a name from outside.
 * x.br and x.gz beside x are its precompressed forms. Files under /assets/ have their hash in their
 * name and may be kept for ever; the others are asked for again by entity tag.
 */

#include <stdbool.h>
#include <stddef.h>

struct err;
struct gw_assets;
struct gw_request;
struct gw_response;

/** gw_assets_load() - @directory "" or NULL: an empty table. */
int gw_assets_load(const char *directory, struct gw_assets **ret, struct err *err);
struct gw_assets *gw_assets_free(struct gw_assets *assets);
size_t gw_assets_count(const struct gw_assets *assets);
/** gw_assets_answer() - @path exactly as sent ("/" is index.html). Return: false when there is
 * none. Any thread. */
bool gw_assets_answer(const struct gw_assets *assets, const char *path,
                      const struct gw_request *req, struct gw_response *res);
