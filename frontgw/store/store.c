#include "frontgw/store/store.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static int open_parts(const struct gw_store_options *options, struct gw_store *store,
                      int *ret_migrated, struct err *err)
{
    char path[4096];
    struct db_options db = options->db;
    if (mkdir(options->state_dir, 0700) < 0 && errno != EEXIST)
        return err_set(err, -errno, "make %s: %m", options->state_dir);
    store->directory = strdup(options->state_dir);
    if (!store->directory)
        return err_set(err, -ENOMEM, "store: %m");
    if (!db.url && !db.sqlite_path) {
        if (snprintf(path, sizeof(path), "%s/frontgw.db", options->state_dir) >= (int)sizeof(path))
            return err_set(err, -ENAMETOOLONG, "%s: %m", options->state_dir);
        db.sqlite_path = path;
    }
    int r = db_open(&db, &store->db, err);
    if (!r)
        r = db_migrate(store->db, ret_migrated, err);
    if (r)
        return r;
    if (options->blobs_in_database)
        return blobs_open(NULL, &store->blobs, err);
    if (snprintf(path, sizeof(path), "%s/blobs", options->state_dir) >= (int)sizeof(path))
        return err_set(err, -ENAMETOOLONG, "%s: %m", options->state_dir);
    return blobs_open(path, &store->blobs, err);
}

int gw_store_open(const struct gw_store_options *options, struct gw_store **ret, int *ret_migrated,
                  struct err *err)
{
    struct gw_store *store = calloc(1, sizeof(*store));
    if (!store)
        return err_set(err, -ENOMEM, "store: %m");
    int r = open_parts(options, store, ret_migrated, err);
    if (r) {
        gw_store_close(store);
        return r;
    }
    *ret = store;
    return 0;
}

struct gw_store *gw_store_close(struct gw_store *store)
{
    if (!store)
        return NULL;
    blobs_close(store->blobs);
    db_close(store->db);
    free(store->directory);
    free(store);
    return NULL;
}

bool gw_unavailable(int fault)
{
    return fault == -ENOTCONN || fault == -EAGAIN || fault == -ETIMEDOUT;
}
