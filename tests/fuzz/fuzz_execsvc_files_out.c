/*
 * The stream of files that comes back from a sandbox, through parser and collector. The first byte
 * chooses in which steps it arrives, the second the caps. What comes out must keep the promises of
 * collect.h whatever goes in.
 */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "execsvc/collect.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition)
{
    if (!condition)
        abort();
}

static void check_path(const char *path, size_t len)
{
    require(len > 0 && len <= FS_PATH_MAX && path[len] == 0 && strlen(path) == len);
    require(path[0] != '/' && path[len - 1] != '/');
    require(!strstr(path, "//") && strcmp(path, "..") != 0 && strncmp(path, "../", 3) != 0);
    require(!strstr(path, "/../") && (len < 3 || strcmp(path + len - 3, "/..") != 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    static const struct collect_bytes pattern = {"*", 1};
    size_t step = data[0] ? data[0] : 4096;
    const struct collect_rules rules = {.patterns = &pattern,
                                        .n_patterns = data[1] & 1,
                                        .max_files = (data[1] >> 1) & 7,
                                        .max_bytes = (uint64_t)data[1] << 4};
    struct collect *collect = NULL;
    require(collect_new(&rules, &collect, NULL) == 0);
    uint64_t bytes = 0, offset = 0;
    int r = COLLECT_MORE;
    for (size_t i = 2; i < size && r >= 0; i += step) {
        const uint8_t *at = data + i;
        size_t left = size - i < step ? size - i : step;
        struct collect_chunk chunk;
        struct err err = {0};
        while ((r = collect_next(collect, &at, &left, &chunk, &err)) == COLLECT_CHUNK) {
            check_path(chunk.path, chunk.path_len);
            require(chunk.len <= COLLECT_CHUNK_MAX &&
                    (chunk.offset == 0 || chunk.offset == offset));
            offset = chunk.offset + chunk.len;
            require(offset <= chunk.size && (!chunk.last || offset == chunk.size));
            bytes += chunk.last ? chunk.size : 0;
            require(bytes <= rules.max_bytes);
        }
        require(r >= 0 || *err.text);
    }
    struct collect_list list;
    collect_stop(collect);
    collect_list(collect, &list);
    require(list.n_files <= rules.max_files && list.n_skipped <= COLLECT_SKIPPED_MAX);
    for (size_t i = 0; i < list.n_files; i++)
        check_path(list.files[i].path, list.files[i].path_len);
    for (size_t i = 0; i < list.n_skipped; i++)
        check_path(list.skipped[i].path, list.skipped[i].path_len);
    collect_free(collect);
    return 0;
}
