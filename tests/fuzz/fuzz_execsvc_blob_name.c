/* Names in the cache's directory: what is taken for a blob is written back as it was read. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "execsvc/blob_disk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int condition)
{
    if (!condition)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char name[256], again[BLOB_NAME_SIZE]; /* a directory entry has 255 bytes */
    struct blob_key key;
    if (size >= sizeof(name) || memchr(data, 0, size))
        return 0;
    memcpy(name, data, size);
    name[size] = 0;
    if (!blob_name_parse(name, &key))
        return 0;
    blob_name(&key, again);
    must(strcmp(name, again) == 0);
    must(!strchr(name, '/'));
    return 0;
}
