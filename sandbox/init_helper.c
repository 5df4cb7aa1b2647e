#include "sandbox/init_helper.h"

#include <linux/mman.h>

#include "sandbox/init_files.h"
#include "sandbox/init_walk.h"

/* As many files as a workspace can have at the shipped ceiling; what is never touched costs
 * nothing. */
#define SNAPSHOT_CAPACITY 65536

static const char workspace[] = "/workspace";

struct files_shared {
    struct files_fault fault;
    struct files_snapshot snapshot;
};

struct files_shared *files_shared_new(void)
{
    size_t size = sizeof(struct files_shared) + files_snapshot_size(SNAPSHOT_CAPACITY);
    struct files_shared *shared =
        raw_mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (raw_is_error(shared))
        return NULL;
    shared->snapshot.capacity = SNAPSHOT_CAPACITY;
    return shared;
}

const char *files_shared_fault(const struct files_shared *shared)
{
    return shared->fault.text;
}

static int open_dir(int dir_fd, const char *path)
{
    return raw_openat(dir_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);
}

int files_unpack_workspace(int pipe_fd, struct files_shared *shared)
{
    /* The workspace's own size and inode limits are the bound. */
    const struct files_caps caps = {.max_files = UINT32_MAX, .max_bytes = UINT64_MAX};
    int fd = open_dir(AT_FDCWD, workspace);
    if (fd < 0)
        return fault_set(&shared->fault, fd, "can't open the workspace", NULL);
    int r = files_unpack(pipe_fd, fd, &caps, &shared->snapshot, &shared->fault);
    raw_close(fd);
    return r;
}

int files_pack_workspace(int pipe_fd, int upper, struct files_shared *shared, uint32_t max_files,
                         uint64_t max_bytes)
{
    const struct files_caps caps = {.max_files = max_files, .max_bytes = max_bytes};
    int fd = upper < 0 ? open_dir(AT_FDCWD, workspace) : open_dir(upper, ".");
    if (fd < 0)
        return fd;
    int r = files_pack(pipe_fd, fd, &caps, &shared->snapshot);
    raw_close(fd);
    return r;
}

int files_find_size(int dir_fd, const char *dir, uint64_t size)
{
    int fd = open_dir(dir_fd, dir);
    if (fd < 0)
        return 0;
    int r = files_find(fd, size);
    raw_close(fd);
    return r > 0;
}
