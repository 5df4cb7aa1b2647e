#pragma once
/* What the archives of this folder share. */

#include "frontgw/files/files.h"

struct archive;

/* Names in archives are UTF-8 whatever the process's locale: libarchive asks the thread's locale.
 */
struct utf8_locale;
void utf8_locale_enter(struct utf8_locale **ret);
void utf8_locale_leave(struct utf8_locale **entered);
#define AUTO_LOCALE CLEANUP(utf8_locale_leave)

/* A zip that is being written into an unlinked file. */
struct zip {
    struct archive *archive;
    int fd;
};
/** zip_begin() - @directory: where the unlinked file lies; NULL: /tmp */
int zip_begin(struct zip *zip, const char *directory, struct err *err);
int zip_add(struct zip *zip, const char *path, bool is_dir, const void *bytes, size_t len,
            int64_t modified_ms, struct err *err);
/** zip_end() - the descriptor at offset 0 and its size. */
int zip_end(struct zip *zip, int *ret_fd, uint64_t *ret_size, struct err *err);
void zip_done(struct zip *zip);
#define AUTO_ZIP CLEANUP(zip_done)
