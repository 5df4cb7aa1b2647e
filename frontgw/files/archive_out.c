#include "frontgw/files/archive.h"
#include "frontgw/files/node_row.h"

#include <errno.h>

static int add_tree(struct gw_files *files, struct db_tx *tx, const struct gw_tree *tree,
                    struct zip *zip, struct err *err)
{
    int r = 0;
    for (size_t i = 0; !r && i < tree->n; i++) {
        const struct gw_node *node = &tree->nodes[i];
        AUTO_FREE char *bytes = NULL;
        char path[PATH_MAX_BYTES + 1];
        size_t len = 0;
        if (!gw_tree_path(tree, node, "", path))
            continue;
        if (!node->is_dir && !*node->hash)
            continue; /* a file before its first version */
        if (!node->is_dir)
            r = blob_read(files->store->blobs, tx, node->hash, &bytes, &len, err);
        if (!r)
            r = zip_add(zip, path, node->is_dir, bytes, len, node->modified_ms, err);
    }
    return r;
}

int gw_archive_out(struct gw_files *files, const struct gw_actor *actor, const char *workspace,
                   uint64_t at_ms, int *ret_fd, uint64_t *ret_size, struct err *err)
{
    AUTO_LOCALE struct utf8_locale *locale = NULL;
    AUTO_ZIP struct zip zip = {.fd = -EBADF};
    AUTO_TREE struct gw_tree tree = {0};
    AUTO_TX struct db_tx *tx = NULL;
    struct gw_workspace ws = {0};
    utf8_locale_enter(&locale);
    int r = db_begin(files->store->db, DB_SNAPSHOT, &tx, err);
    if (!r)
        r = gw_workspace_open(tx, actor, workspace, GW_NEED_READ, &ws, err);
    if (!r)
        r = gw_tree_load(tx, workspace, at_ms, &tree, err);
    if (!r)
        r = zip_begin(&zip, files->store->directory, err);
    if (!r)
        r = add_tree(files, tx, &tree, &zip, err);
    db_rollback(&tx);
    if (!r)
        r = gw_note_staff_read(files, actor, &ws, workspace, err);
    return r ? r : zip_end(&zip, ret_fd, ret_size, err);
}
