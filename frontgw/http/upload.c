#include "frontgw/http/upload.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/fd.h"
#include "frontgw/http/internal.h"

int gw_upload_begin(struct gw_exchange *x)
{
    x->req.body_fd = openat(x->http->tmp_dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    return x->req.body_fd < 0 ? -errno : 0;
}

int gw_upload_write(struct gw_exchange *x, const char *bytes, size_t len)
{
    /* Into the page cache; the disk is the kernel's business. */
    return fd_write_all(x->req.body_fd, bytes, len);
}
