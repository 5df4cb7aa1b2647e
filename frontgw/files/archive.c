#include "frontgw/files/archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <sys/mman.h>
#include <sys/stat.h>

struct utf8_locale {
    locale_t mine, before;
};

void utf8_locale_enter(struct utf8_locale **ret)
{
    struct utf8_locale *l = calloc(1, sizeof(*l));
    *ret = l;
    if (!l)
        return;
    l->mine = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    if (l->mine)
        l->before = uselocale(l->mine);
}

void utf8_locale_leave(struct utf8_locale **entered)
{
    struct utf8_locale *l = *entered;
    if (l && l->mine) {
        uselocale(l->before);
        freelocale(l->mine);
    }
    free(l);
    *entered = NULL;
}

/* On disk, not in memory: it may be as large as a course. */
static int temporary_file(const char *directory, struct err *err)
{
    int fd = open(directory ? directory : "/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0)
        fd = memfd_create("archive", MFD_CLOEXEC);
    return fd < 0 ? err_set(err, -errno, "temporary file: %m") : fd;
}

int zip_begin(struct zip *zip, const char *directory, struct err *err)
{
    zip->fd = temporary_file(directory, err);
    if (zip->fd < 0)
        return zip->fd;
    zip->archive = archive_write_new();
    if (!zip->archive)
        return err_set(err, -ENOMEM, "zip: %m");
    if (archive_write_set_format_zip(zip->archive) != ARCHIVE_OK ||
        archive_write_set_options(zip->archive, "zip:hdrcharset=UTF-8") != ARCHIVE_OK ||
        archive_write_open_fd(zip->archive, zip->fd) != ARCHIVE_OK)
        return err_set(err, -EIO, "zip: %s", archive_error_string(zip->archive));
    return 0;
}

int zip_add(struct zip *zip, const char *path, bool is_dir, const void *bytes, size_t len,
            int64_t modified_ms, struct err *err)
{
    struct archive_entry *entry = archive_entry_new();
    if (!entry)
        return err_set(err, -ENOMEM, "zip: %m");
    archive_entry_set_pathname_utf8(entry, path);
    archive_entry_set_filetype(entry, is_dir ? AE_IFDIR : AE_IFREG);
    archive_entry_set_perm(entry, is_dir ? 0755 : 0644);
    archive_entry_set_size(entry, is_dir ? 0 : (la_int64_t)len);
    archive_entry_set_mtime(entry, modified_ms / 1000, 0);
    int code = archive_write_header(zip->archive, entry);
    archive_entry_free(entry);
    if (code != ARCHIVE_OK)
        return err_set(err, -EIO, "zip: %s", archive_error_string(zip->archive));
    if (len && archive_write_data(zip->archive, bytes, len) != (la_ssize_t)len)
        return err_set(err, -EIO, "zip: %s", archive_error_string(zip->archive));
    return 0;
}

int zip_end(struct zip *zip, int *ret_fd, uint64_t *ret_size, struct err *err)
{
    struct stat st;
    if (archive_write_close(zip->archive) != ARCHIVE_OK)
        return err_set(err, -EIO, "zip: %s", archive_error_string(zip->archive));
    if (fstat(zip->fd, &st) < 0 || lseek(zip->fd, 0, SEEK_SET) < 0)
        return err_set(err, -errno, "zip: %m");
    *ret_size = (uint64_t)st.st_size;
    *ret_fd = take_fd(&zip->fd);
    return 0;
}

void zip_done(struct zip *zip)
{
    if (zip->archive)
        archive_write_free(zip->archive);
    zip->archive = NULL;
    zip->fd = fd_close(zip->fd);
}
