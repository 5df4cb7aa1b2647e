#pragma once
/*
 * The cache's directory, and what may wait for its disk: called on the worker's thread (worker.h),
 * and by the store before there is one.
 *
 *   blobs/TENANT-SHA256   whole contents, mode 0644; a file gets this name when its bytes are
 *                         verified, and never changes afterwards
 *   sets/SET/...          input sets: hard links to blobs under the paths of a request; copies
 * where the mode is another. The spawner shows one of these as a lower layer tmp/ what is not whole
 * yet boot                  the boot of the machine in which all this was written
 *
 * TENANT is a hash of the tenant, 16 bytes in hexadecimal. Nothing is synced to the disk: after a
 * crash of the machine nothing in here is believed, and it is emptied.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BLOB_TENANT    16
#define BLOB_SHA256    32
#define BLOB_NAME_SIZE (2 * BLOB_TENANT + 1 + 2 * BLOB_SHA256 + 1)
#define BLOB_SET_SIZE  (2 * BLOB_SHA256 + 1) /* name of a set, NUL included */

struct err;

struct blob_key {
    uint8_t tenant[BLOB_TENANT];
    uint8_t sha256[BLOB_SHA256];
};

struct blob_dirs {
    int root, blobs, sets, tmp; /* O_DIRECTORY; -EBADF: none */
};

void blob_name(const struct blob_key *key, char ret[BLOB_NAME_SIZE]);
/** blob_name_parse() - Return: whether @name is one that blob_name() makes. */
bool blob_name_parse(const char *name, struct blob_key *ret);
/** blob_hex() - @len bytes as 2 * @len digits and a NUL. */
void blob_hex(const uint8_t *bytes, size_t len, char *ret);

/**
 * blob_dirs_open() - the directory @root and what belongs into it; locked as long as it is open
 * @root must be there, be ours alone (mode 0700), and be no symbolic link. What another boot of the
 * machine has left is removed. -EBUSY: another process has it.
 */
int blob_dirs_open(const char *root, struct blob_dirs *ret, struct err *err);
void blob_dirs_close(struct blob_dirs *dirs);

/** blob_dirs_clean() - remove unfinished files, and all sets: nobody shows them any more. */
void blob_dirs_clean(const struct blob_dirs *dirs);

struct blob_found {
    struct blob_key key;
    uint64_t size;
    int64_t modified_ns;
};

/** blob_dirs_scan() - all whole blobs, oldest first; malloc'd into @ret. Anything else in there is
 * removed. */
int blob_dirs_scan(const struct blob_dirs *dirs, struct blob_found **ret, size_t *ret_n,
                   struct err *err);

struct blob_set_file {
    const char *path; /* relative, checked by run_request_check() */
    struct blob_key key;
    bool executable;
};

/** blob_set_make() - the directory sets/@name. On failure nothing is left. */
int blob_set_make(const struct blob_dirs *dirs, const char *name, const struct blob_set_file *files,
                  size_t n_files, struct err *err);
/** blob_set_remove() - not there: fine. */
void blob_set_remove(const struct blob_dirs *dirs, const char *name);
