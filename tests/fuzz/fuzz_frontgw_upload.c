/*
 * Uploads whose bytes mean something to us: archives, unpacked into a real workspace (SQLite,
 * contents in a directory). Whatever they hold, they are taken or refused, and then not half: a
 * fault of ours is a crash of this program.
 */
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "tests/unit/frontgw/world.h"

/* The workspace's quota fills up: a new world from time to time. */
#define UPLOADS_PER_WORLD 500

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct world world;
static unsigned uploads;

static void close_world(void)
{
    if (uploads)
        world_close(&world);
    uploads = 0;
}

static void next_world(void)
{
    static int registered;
    if (!registered++)
        atexit(close_world);
    if (uploads == UPLOADS_PER_WORLD)
        close_world();
    if (uploads++ == 0)
        world_open(&world, FIXTURE_SQLITE);
}

static json_int_t files_now(void)
{
    struct err err = {0};
    json_t *json = NULL;
    if (gw_workspace_get(world.files, &world.ann.actor, world.ann.workspace, &json, &err))
        abort();
    json_int_t n = json_integer_value(json_object_get(json, "files"));
    json_decref(json);
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    next_world();
    AUTO_CLOSE int fd = memfd_create("upload", MFD_CLOEXEC);
    if (fd < 0 || fd_write_all(fd, data, size) < 0 || lseek(fd, 0, SEEK_SET) < 0)
        return 0;
    struct err err = {0};
    json_t *taken = NULL;
    json_int_t before = files_now();
    int r =
        gw_archive_in(world.files, &world.ann.actor, world.ann.workspace, "in", fd, &taken, &err);
    json_decref(taken);
    if (r < 0)
        abort(); /* not the uploader's fault, then whose? */
    if (r > 0 && files_now() != before)
        abort(); /* all or nothing */
    return 0;
}
