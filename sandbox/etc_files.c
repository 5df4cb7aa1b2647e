#include "sandbox/etc_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "sandbox/node.h"

#define COPY_MAX (4u << 20)

static int write_file(int etc, const char *name, const void *bytes, size_t len, struct err *err)
{
    AUTO_CLOSE int fd = openat(etc, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0)
        return err_set(err, -errno, "create /etc/%s: %m", name);
    int r = fd_write_all(fd, bytes, len);
    return r < 0 ? err_set(err, r, "write /etc/%s: %m", name) : 0;
}

static int write_text(int etc, const char *name, const char *text, struct err *err)
{
    return write_file(etc, name, text, strlen(text), err);
}

/* Every slot's uid has a name, so that getpass.getuser() and their kin work. */
static int write_users(int etc, const struct node_config *config, struct err *err)
{
    AUTO_FREE char *passwd = NULL;
    AUTO_FREE char *group = NULL;
    size_t passwd_len, group_len;
    FILE *p = open_memstream(&passwd, &passwd_len);
    FILE *g = open_memstream(&group, &group_len);
    if (p && g) {
        fprintf(p, "root:x:0:0:root:/:/usr/sbin/nologin\n");
        fprintf(g, "root:x:0:\n");
        for (uint32_t i = 0; i < config->slots_max; i++) {
            fprintf(p, "sandbox:x:%u:%u:sandbox:" SBX_WORKSPACE ":/bin/sh\n", NODE_SLOT_UID + i,
                    NODE_SLOT_UID + i);
            fprintf(g, "sandbox:x:%u:\n", NODE_SLOT_UID + i);
        }
        fprintf(p, "nobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n");
        fprintf(g, "nogroup:x:65534:\n");
    }
    bool written = p && g;
    if (p && fclose(p) != 0)
        written = false;
    if (g && fclose(g) != 0)
        written = false;
    if (!written)
        return err_set(err, -ENOMEM, "no memory for /etc/passwd");
    int r = write_file(etc, "passwd", passwd, passwd_len, err);
    return r < 0 ? r : write_file(etc, "group", group, group_len, err);
}

/* Missing or unreadable files are none of our business: this is a convenience, not a layer. */
static int copy_file(int etc, const char *name, struct err *err)
{
    char path[128];
    snprintf(path, sizeof(path), "/etc/%s", name);
    struct stat st;
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > COPY_MAX)
        return 0;
    AUTO_CLOSE int to = openat(etc, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (to < 0)
        return err_set(err, -errno, "create /etc/%s: %m", name);
    for (off_t left = st.st_size; left > 0;) {
        ssize_t n = sendfile(to, fd, NULL, (size_t)left);
        if (n < 0)
            return err_set(err, -errno, "copy /etc/%s: %m", name);
        if (n == 0)
            break;
        left -= n;
    }
    return 0;
}

int etc_files_make(int root_fd, const struct node_config *config, unsigned flags, struct err *err)
{
    static const char *const copies[] = {"ld.so.cache", "localtime",      "timezone",
                                         "services",    "protocols",      "matplotlibrc",
                                         "mime.types",  "debian_version", "os-release",
                                         "inputrc",     "magic",          "fonts/fonts.conf"};
    AUTO_CLOSE int etc = openat(root_fd, "etc", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (etc < 0)
        return err_set(err, -errno, "open the skeleton's /etc: %m");
    int r = write_users(etc, config, err);
    if (r == 0)
        r = write_text(etc, "hosts", "127.0.0.1 localhost\n::1 localhost\n127.0.1.1 cloister\n",
                       err);
    if (r == 0)
        r = write_text(etc, "nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n", err);
    if (r == 0)
        r = write_text(etc, "hostname", "cloister\n", err);
    if (!(flags & ETC_HOST_COPIES))
        return r;
    if (r == 0 && mkdirat(etc, "fonts", 0755) < 0) /* matplotlib's fontconfig asks */
        r = err_set(err, -errno, "mkdir /etc/fonts: %m");
    for (size_t i = 0; r == 0 && i < sizeof(copies) / sizeof(copies[0]); i++)
        r = copy_file(etc, copies[i], err);
    return r;
}
