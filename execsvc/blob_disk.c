#include "execsvc/blob_disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"

#define BOOT_ID_PATH "/proc/sys/kernel/random/boot_id"
#define BOOT_ID_MAX  64
#define TREE_DEPTH   40 /* a set is as deep as a path may be */

/* ---- names ---- */

void blob_hex(const uint8_t *bytes, size_t len, char *ret)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < len; i++) {
        ret[2 * i] = digits[bytes[i] >> 4];
        ret[2 * i + 1] = digits[bytes[i] & 15];
    }
    ret[2 * len] = 0;
}

static int digit_of(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool parse_hex(const char *text, size_t len, uint8_t *ret)
{
    for (size_t i = 0; i < len; i++) {
        int high = digit_of(text[2 * i]);
        int low = high < 0 ? -1 : digit_of(text[2 * i + 1]);
        if (low < 0)
            return false;
        ret[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

void blob_name(const struct blob_key *key, char ret[BLOB_NAME_SIZE])
{
    blob_hex(key->tenant, BLOB_TENANT, ret);
    ret[2 * BLOB_TENANT] = '-';
    blob_hex(key->sha256, BLOB_SHA256, ret + 2 * BLOB_TENANT + 1);
}

bool blob_name_parse(const char *name, struct blob_key *ret)
{
    return strlen(name) == BLOB_NAME_SIZE - 1 && parse_hex(name, BLOB_TENANT, ret->tenant) &&
           name[2 * BLOB_TENANT] == '-' &&
           parse_hex(name + 2 * BLOB_TENANT + 1, BLOB_SHA256, ret->sha256);
}

/* ---- trees that we have made ---- */

static void remove_below(int dir_fd, const char *name, unsigned depth);

/* Every entry of the directory that @fd is; @fd moves in. */
static void empty(int fd, unsigned depth)
{
    AUTO_DIR DIR *dir = fdopendir(fd);
    if (!dir) {
        fd_close(fd);
        return;
    }
    for (struct dirent *entry; (entry = readdir(dir));)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            remove_below(dirfd(dir), entry->d_name, depth);
}

static void remove_below(int dir_fd, const char *name, unsigned depth)
{
    if (unlinkat(dir_fd, name, 0) == 0 || (errno != EISDIR && errno != EPERM) ||
        depth == TREE_DEPTH)
        return;
    int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return;
    empty(fd, depth + 1);
    unlinkat(dir_fd, name, AT_REMOVEDIR);
}

static void empty_dir(int dir_fd)
{
    int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0)
        empty(fd, 0);
}

/* ---- the directory ---- */

static int open_part(const struct blob_dirs *dirs, const char *name, int *ret, struct err *err)
{
    struct stat st;
    if (mkdirat(dirs->root, name, 0700) < 0 && errno != EEXIST)
        return err_set(err, -errno, "blob cache: mkdir %s: %m", name);
    *ret = openat(dirs->root, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (*ret < 0 || fstat(*ret, &st) < 0)
        return err_set(err, -errno, "blob cache: open %s: %m", name);
    if (st.st_uid != geteuid())
        return err_set(err, -EPERM, "blob cache: %s belongs to uid %u, not to us", name, st.st_uid);
    return 0;
}

/* Another boot: what was written may not have reached the disk, whatever its name says. */
static int check_boot(const struct blob_dirs *dirs, struct err *err)
{
    char now[BOOT_ID_MAX] = "", then[BOOT_ID_MAX] = "";
    AUTO_CLOSE int id = open(BOOT_ID_PATH, O_RDONLY | O_CLOEXEC);
    AUTO_CLOSE int mark =
        openat(dirs->root, "boot", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (id < 0 || mark < 0)
        return err_set(err, -errno, "blob cache: which boot this is: %m");
    ssize_t n = fd_pread_text(id, now, sizeof(now));
    if (n <= 0)
        return err_set(err, n < 0 ? (int)n : -EIO, "read %s: %m", BOOT_ID_PATH);
    if (fd_pread_text(mark, then, sizeof(then)) == n && strcmp(now, then) == 0)
        return 0;
    empty_dir(dirs->blobs);
    if (ftruncate(mark, 0) < 0 || pwrite(mark, now, (size_t)n, 0) != n)
        return err_set(err, -errno, "blob cache: write boot: %m");
    return 0;
}

int blob_dirs_open(const char *root, struct blob_dirs *ret, struct err *err)
{
    struct stat st;
    *ret = (struct blob_dirs){-EBADF, -EBADF, -EBADF, -EBADF};
    ret->root = open(root, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int r = ret->root < 0 || fstat(ret->root, &st) < 0
                ? err_set(err, -errno, "blob cache: open %s: %m", root)
                : 0;
    if (r == 0 && (st.st_uid != geteuid() || (st.st_mode & 077)))
        r = err_set(err, -EPERM, "blob cache: %s must be ours, and ours alone (mode 0700)", root);
    if (r == 0 && flock(ret->root, LOCK_EX | LOCK_NB) < 0)
        r = err_set(err, errno == EWOULDBLOCK ? -EBUSY : -errno,
                    "blob cache: %s is in use by another service", root);
    if (r == 0)
        r = open_part(ret, "blobs", &ret->blobs, err);
    if (r == 0)
        r = open_part(ret, "sets", &ret->sets, err);
    if (r == 0)
        r = open_part(ret, "tmp", &ret->tmp, err);
    if (r == 0)
        r = check_boot(ret, err);
    if (r < 0)
        blob_dirs_close(ret);
    return r;
}

void blob_dirs_close(struct blob_dirs *dirs)
{
    dirs->tmp = fd_close(dirs->tmp);
    dirs->sets = fd_close(dirs->sets);
    dirs->blobs = fd_close(dirs->blobs);
    dirs->root = fd_close(dirs->root);
}

void blob_dirs_clean(const struct blob_dirs *dirs)
{
    empty_dir(dirs->tmp);
    empty_dir(dirs->sets);
}

static int compare_found(const void *a, const void *b)
{
    const struct blob_found *x = a, *y = b;
    return x->modified_ns < y->modified_ns ? -1 : x->modified_ns > y->modified_ns;
}

static bool is_whole(const struct blob_dirs *dirs, const char *name, struct blob_found *ret)
{
    struct stat st;
    if (!blob_name_parse(name, &ret->key) ||
        fstatat(dirs->blobs, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode) ||
        st.st_uid != geteuid())
        return false;
    ret->size = (uint64_t)st.st_size;
    ret->modified_ns = st.st_mtim.tv_sec * INT64_C(1000000000) + st.st_mtim.tv_nsec;
    return true;
}

int blob_dirs_scan(const struct blob_dirs *dirs, struct blob_found **ret, size_t *ret_n,
                   struct err *err)
{
    int fd = openat(dirs->blobs, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    AUTO_DIR DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        fd_close(fd);
        return err_set(err, -errno, "blob cache: read blobs: %m");
    }
    AUTO_FREE struct blob_found *found = NULL;
    size_t n = 0, room = 0;
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (n == room) {
            room = room ? 2 * room : 64;
            struct blob_found *more = realloc(found, room * sizeof(*found));
            if (!more)
                return err_set(err, -ENOMEM, "blob cache: read blobs: %m");
            found = more;
        }
        if (is_whole(dirs, entry->d_name, &found[n]))
            n++;
        else
            remove_below(dirs->blobs, entry->d_name, 0);
    }
    if (n)
        qsort(found, n, sizeof(*found), compare_found);
    *ret = take_ptr(found);
    *ret_n = n;
    return 0;
}

/* ---- sets ---- */

static int make_parents(int set_fd, const char *path)
{
    char part[4097];
    for (size_t i = 1; path[i]; i++) {
        if (path[i] != '/')
            continue;
        if (i >= sizeof(part))
            return -ENAMETOOLONG;
        memcpy(part, path, i);
        part[i] = 0;
        if (mkdirat(set_fd, part, 0755) == 0) {
            if (fchmodat(set_fd, part, 0755, 0) < 0) /* whatever the umask */
                return -errno;
        } else if (errno != EEXIST) {
            return -errno;
        }
    }
    return 0;
}

static int copy_blob(int from, int set_fd, const char *path)
{
    AUTO_CLOSE int to = openat(set_fd, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
    if (to < 0 || fchmod(to, 0755) < 0)
        return -errno;
    ssize_t n;
    do {
        n = copy_file_range(from, NULL, to, NULL, (size_t)1 << 30, 0);
    } while (n > 0 || (n < 0 && errno == EINTR));
    return n < 0 ? -errno : 0;
}

static int add_file(const struct blob_dirs *dirs, int set_fd, const struct blob_set_file *file)
{
    char name[BLOB_NAME_SIZE];
    blob_name(&file->key, name);
    int r = make_parents(set_fd, file->path);
    if (r < 0)
        return r;
    if (!file->executable)
        return linkat(dirs->blobs, name, set_fd, file->path, 0) < 0 ? -errno : 0;
    AUTO_CLOSE int from = openat(dirs->blobs, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    return from < 0 ? -errno : copy_blob(from, set_fd, file->path);
}

int blob_set_make(const struct blob_dirs *dirs, const char *name, const struct blob_set_file *files,
                  size_t n_files, struct err *err)
{
    int r = mkdirat(dirs->tmp, name, 0755) < 0 ? -errno : 0;
    AUTO_CLOSE int set = openat(dirs->tmp, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (r == 0 && (set < 0 || fchmod(set, 0755) < 0))
        r = -errno;
    for (size_t i = 0; r == 0 && i < n_files; i++)
        r = add_file(dirs, set, &files[i]);
    if (r == 0 && renameat(dirs->tmp, name, dirs->sets, name) < 0)
        r = -errno;
    if (r == 0)
        return 0;
    remove_below(dirs->tmp, name, 0);
    return err_set(err, r, "make the input set: %m");
}

void blob_set_remove(const struct blob_dirs *dirs, const char *name)
{
    remove_below(dirs->sets, name, 0);
}
