/*
 * The file helper that runs in every sandbox. The input is a stream that claims to be input files:
 * unpacking it must stay within its directory and its caps; and what was unpacked must then pack as
 * "nothing new", and without the snapshot as a stream that parses.
 */

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sandbox/init_files.h"
#include "tests/support/fs_stream.h"

#define CAPACITY 256

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct files_caps caps = {.max_files = 64, .max_bytes = 65536};

static void require(int condition)
{
    if (!condition)
        abort();
}

static size_t entries_in(const char *path)
{
    size_t n = 0;
    DIR *dir = opendir(path);
    require(dir != NULL);
    while (readdir(dir))
        n++;
    closedir(dir);
    return n - 2; /* without . and .. */
}

/* Return: files in the stream that packing produced. */
static size_t pack(int dir_fd, const struct files_snapshot *snapshot)
{
    static struct fs_record record;
    size_t len, n = 0;
    int r, out = memfd_create("out", MFD_CLOEXEC);
    require(files_pack(out, dir_fd, &(struct files_caps){UINT32_MAX, UINT64_MAX}, snapshot) == 0);
    uint8_t *bytes = fs_read_all(out, &len);
    struct fs_cursor cursor = {bytes, len, 0};
    while ((r = fs_next(&cursor, &record)) == 1) {
        require(record.header.type == FS_FILE);
        n++;
    }
    require(r == 0 && record.header.status == 0);
    free(bytes);
    close(out);
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char outer[64], inner[80];
    struct files_fault fault = {0};
    struct fs_stream stream = {0};
    int outer_fd = scratch_new(outer);
    snprintf(inner, sizeof(inner), "%s/inner", outer);
    require(mkdir(inner, 0700) == 0);
    int inner_fd = open(inner, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct files_snapshot *snapshot = calloc(1, files_snapshot_size(CAPACITY));
    require(snapshot != NULL);
    snapshot->capacity = CAPACITY;

    fs_put_bytes(&stream, data, size);
    int in = fs_stream_fd(&stream);
    int r = files_unpack(in, inner_fd, &caps, snapshot, &fault);
    require(r <= 0 && r == fault.code && (r == 0) == (fault.text[0] == 0));
    require(snapshot->n <= caps.max_files);
    require(entries_in(outer) == 1);
    if (r == 0) {
        require(pack(inner_fd, snapshot) == 0);
        require(pack(inner_fd, NULL) == snapshot->n);
    }
    close(in);
    close(inner_fd);
    close(outer_fd);
    free(snapshot);
    fs_stream_done(&stream);
    scratch_remove(outer);
    return 0;
}
