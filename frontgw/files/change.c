/* What every change of a workspace has in common: the lock, the charge, the place in the tree. */
#include "frontgw/files/files.h"
#include "frontgw/files/node_row.h"

#include <errno.h>
#include <string.h>

void gw_change_done(struct gw_change *change)
{
    db_rollback(&change->tx);
}

static int lock(struct gw_change *c, const char *workspace, struct err *err)
{
    int r = gw_workspace_open(c->tx, c->actor, workspace, GW_NEED_WRITE, &c->ws, err);
    return r ? r : gw_quota_lock(c->tx, c->ws.quota, &c->quota, err);
}

int gw_change_begin(struct gw_files *files, const struct gw_actor *actor, const char *workspace,
                    struct gw_change *c, struct err *err)
{
    *c = (struct gw_change){.files = files, .actor = actor};
    int r = db_begin(files->store->db, DB_WRITE, &c->tx, err);
    return r ? r : lock(c, workspace, err);
}

int gw_change_begin_node(struct gw_files *files, const struct gw_actor *actor, const char *id,
                         bool trash, struct gw_change *c, struct gw_node *node, struct err *err)
{
    *c = (struct gw_change){.files = files, .actor = actor};
    int r = db_begin(files->store->db, DB_WRITE, &c->tx, err);
    if (!r)
        r = gw_node_open(c->tx, actor, id, GW_NEED_WRITE, true, node, &c->ws, err);
    if (!r)
        r = lock(c, node->workspace, err);
    if (!r)
        r = gw_node_load(c->tx, id, node, err); /* again: it may have changed before the lock */
    if (!r && (node->deleted_ms < 0 || (node->deleted_ms && !trash)))
        r = gw_refuse(err, GW_PROBLEM_NOT_FOUND, "there is no such file or directory");
    return r;
}

int gw_change_commit(struct gw_change *c, struct err *err)
{
    gw_quota_write(c->tx, &c->quota);
    return db_commit(&c->tx, err);
}

void gw_node_place(struct gw_change *c, const struct gw_node *node, bool live)
{
    db_exec(c->tx, SQL_PLACEMENT_ADD, DB_T(node->id), DB_T(node->workspace), DB_T(node->parent),
            DB_T(node->name), DB_I(live), DB_T(c->actor->account), DB_I(c->actor->now_ms),
            DB_T(node->id));
}

int gw_node_insert(struct gw_change *c, struct gw_node *node, struct err *err)
{
    int r = gw_quota_charge(&c->quota, 0, 1, 0, err);
    if (r)
        return r;
    ulid_make(c->actor->now_ms, node->id);
    gw_text_copy(node->workspace, sizeof(node->workspace), c->ws.id);
    gw_text_copy(node->author, sizeof(node->author), c->actor->account);
    node->created_ms = node->modified_ms = (int64_t)c->actor->now_ms;
    node->deleted_ms = 0;
    int n = db_exec(c->tx, SQL_NODE_INSERT, DB_T(node->id), DB_T(node->workspace),
                    DB_T(node->parent), DB_T(node->name), DB_I(node->is_dir), DB_T(node->author),
                    DB_I(node->created_ms), DB_I(node->modified_ms));
    if (n == 0)
        return gw_refuse(err, GW_PROBLEM_EXISTS, "there is a file or directory of this name");
    gw_node_place(c, node, true);
    return db_fault(c->tx, err);
}

int gw_parents(struct gw_change *c, const struct gw_path *path, bool make,
               char ret_parent[ULID_SIZE], struct err *err)
{
    ret_parent[0] = 0;
    for (size_t i = 0; i + 1 < path->depth; i++) {
        AUTO_ROWS struct db_rows rows = {0};
        struct gw_node node = {.is_dir = true};
        db_query(c->tx, SQL_NODE_BY_NAME, &rows, DB_T(c->ws.id), DB_T(ret_parent),
                 DB_T(path->parts[i]));
        if (db_next(&rows)) {
            gw_node_of_row(&rows, &node);
            if (!node.is_dir)
                return gw_refuse(err, GW_PROBLEM_CONFLICT, "%s is a file", path->parts[i]);
        } else if (db_fault(c->tx, err)) {
            return db_fault(c->tx, err);
        } else if (!make) {
            return gw_refuse(err, GW_PROBLEM_NOT_FOUND, "there is no directory %s", path->parts[i]);
        } else {
            gw_text_copy(node.parent, sizeof(node.parent), ret_parent);
            gw_text_copy(node.name, sizeof(node.name), path->parts[i]);
            int r = gw_node_insert(c, &node, err);
            if (r)
                return r;
        }
        gw_text_copy(ret_parent, ULID_SIZE, node.id);
    }
    return 0;
}

int gw_dir_create(struct gw_files *files, const struct gw_actor *actor, const char *workspace,
                  const char *text, struct gw_node *ret, struct err *err)
{
    AUTO_CHANGE struct gw_change c = {0};
    struct gw_path path;
    int r = gw_path_parse(text, &path, err);
    if (!r)
        r = gw_change_begin(files, actor, workspace, &c, err);
    if (r)
        return r;
    *ret = (struct gw_node){.is_dir = true};
    r = gw_parents(&c, &path, true, ret->parent, err);
    if (r)
        return r;
    gw_text_copy(ret->name, sizeof(ret->name), path.parts[path.depth - 1]);
    r = gw_node_insert(&c, ret, err);
    return r ? r : gw_change_commit(&c, err);
}
