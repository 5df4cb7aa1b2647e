/*
 * Replays a corpus under the ordinary suite: each file of the directories that are named goes to
 * LLVMFuzzerTestOneInput(), as libFuzzer would hand it over. With libFuzzer this file is not built.
 */

#include <dirent.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"

#define INPUT_MAX (4 * 1024 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *path)
{
    struct err err = {0};
    AUTO_FREE char *text = NULL;
    ssize_t len = file_read_text(path, INPUT_MAX, &text, &err);
    if (len < 0) {
        fprintf(stderr, "%s\n", err.text);
        return -1;
    }
    /* A copy of exactly this size, so that a sanitizer sees a read beyond its end. */
    AUTO_FREE uint8_t *data = malloc(len ? (size_t)len : 1);
    if (!data)
        return -1;
    memcpy(data, text, (size_t)len);
    return LLVMFuzzerTestOneInput(data, (size_t)len);
}

/* Return: files replayed, or -1. */
static int replay_directory(const char *path)
{
    AUTO_DIR DIR *dir = opendir(path);
    if (!dir) {
        perror(path);
        return -1;
    }
    int n = 0;
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (entry->d_name[0] == '.')
            continue;
        char file[PATH_MAX];
        if (snprintf(file, sizeof(file), "%s/%s", path, entry->d_name) >= (int)sizeof(file) ||
            replay_file(file) != 0)
            return -1;
        n++;
    }
    printf("%s: %d inputs\n", path, n);
    return n;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: %s CORPUS-DIRECTORY...\n", argv[0]);
        return 2;
    }
    for (int i = 1; i < argc; i++) {
        if (replay_directory(argv[i]) < 1) {
            fprintf(stderr, "%s: nothing was replayed\n", argv[i]);
            return 1;
        }
    }
    return 0;
}
