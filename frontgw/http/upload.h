#pragma once
/* Large bodies go to a temporary file that never has a name: nothing is left behind, whatever
 * happens. */

#include <stddef.h>

struct gw_exchange;

/** gw_upload_begin() - open x->req.body_fd. Loop thread. */
int gw_upload_begin(struct gw_exchange *x);
int gw_upload_write(struct gw_exchange *x, const char *bytes, size_t len);
