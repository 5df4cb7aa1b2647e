#include "frontgw/files/files.h"
#include "frontgw/files/node_row.h"

#include <errno.h>
#include <string.h>

static const char *const causes[GW_CAUSE_COUNT] = {"autosave", "save",   "run", "submit",
                                                   "restore",  "upload", "copy"};

const char *gw_cause_name(enum gw_cause cause)
{
    return causes[cause];
}

int gw_cause_by_name(const char *name)
{
    for (int i = 0; i < GW_CAUSE_COUNT; i++)
        if (!strcmp(causes[i], name))
            return i;
    return -1;
}

void gw_text_copy(char *to, size_t size, const char *from)
{
    size_t len = strlen(from);
    len = len < size ? len : size - 1;
    memcpy(to, from, len);
    to[len] = 0;
}

void gw_node_of_row(const struct db_rows *rows, struct gw_node *n)
{
    gw_text_copy(n->id, sizeof(n->id), db_text(rows, 0));
    gw_text_copy(n->workspace, sizeof(n->workspace), db_text(rows, 1));
    gw_text_copy(n->parent, sizeof(n->parent), db_text(rows, 2));
    gw_text_copy(n->name, sizeof(n->name), db_text(rows, 3));
    n->is_dir = db_i64(rows, 4) != 0;
    n->seq = db_i64(rows, 5);
    gw_text_copy(n->hash, sizeof(n->hash), db_text(rows, 6));
    n->size = db_i64(rows, 7);
    gw_text_copy(n->author, sizeof(n->author), db_text(rows, 8));
    n->created_ms = db_i64(rows, 9);
    n->modified_ms = db_i64(rows, 10);
    n->deleted_ms = db_i64(rows, 11);
}

static int one(struct db_rows *rows, struct gw_node *ret, struct err *err)
{
    if (db_next(rows)) {
        gw_node_of_row(rows, ret);
        return 0;
    }
    int r = db_fault(rows->tx, err);
    return r ? r : gw_refuse(err, GW_PROBLEM_NOT_FOUND, "there is no such file or directory");
}

int gw_node_load(struct db_tx *tx, const char *id, struct gw_node *ret, struct err *err)
{
    AUTO_ROWS struct db_rows rows = {0};
    db_query(tx, SQL_NODE_GET, &rows, DB_T(id));
    return one(&rows, ret, err);
}

int gw_node_lookup(struct db_tx *tx, const char *workspace, const struct gw_path *path,
                   size_t depth, struct gw_node *ret, struct err *err)
{
    char parent[ULID_SIZE] = "";
    for (size_t i = 0; i < depth; i++) {
        AUTO_ROWS struct db_rows rows = {0};
        db_query(tx, SQL_NODE_BY_NAME, &rows, DB_T(workspace), DB_T(parent), DB_T(path->parts[i]));
        int r = one(&rows, ret, err);
        if (r)
            return r;
        gw_text_copy(parent, sizeof(parent), ret->id);
    }
    return 0;
}

int gw_node_open(struct db_tx *tx, const struct gw_actor *actor, const char *id, enum gw_need need,
                 bool trash, struct gw_node *ret, struct gw_workspace *ret_ws, struct err *err)
{
    int r = gw_node_load(tx, id, ret, err);
    if (!r && (ret->deleted_ms < 0 || (ret->deleted_ms && !trash))) /* negative: purged */
        r = gw_refuse(err, GW_PROBLEM_NOT_FOUND, "there is no such file or directory");
    if (!r)
        r = gw_workspace_open(tx, actor, ret->workspace, need, ret_ws, err);
    if (r == GW_PROBLEM_NOT_FOUND)
        return gw_refuse(err, GW_PROBLEM_NOT_FOUND, "there is no such file or directory");
    return r;
}

json_t *gw_node_json(const struct gw_node *n)
{
    json_t *json =
        json_pack("{ss ss ss? ss ss sI sI ss}", "id", n->id, "workspace", n->workspace, "parent",
                  *n->parent ? n->parent : NULL, "name", n->name, "kind",
                  n->is_dir ? "directory" : "file", "created_ms", (json_int_t)n->created_ms,
                  "modified_ms", (json_int_t)n->modified_ms, "author", n->author);
    if (json && !n->is_dir) {
        json_object_set_new(json, "seq", json_integer(n->seq));
        json_object_set_new(json, "size", json_integer(n->size));
        json_object_set_new(json, "sha256", json_string(n->hash));
        json_object_set_new(json, "type", json_string(gw_mime_of(n->name)));
    }
    if (json && n->deleted_ms)
        json_object_set_new(json, "deleted_ms", json_integer(n->deleted_ms));
    return json;
}

int gw_node_get(struct gw_files *files, const struct gw_actor *actor, const char *id, json_t **ret,
                struct err *err)
{
    AUTO_TX struct db_tx *tx = NULL;
    AUTO_TREE struct gw_tree tree = {0};
    struct gw_node node;
    struct gw_workspace ws = {0};
    char path[PATH_MAX_BYTES + 1];
    int r = db_begin(files->store->db, DB_READ, &tx, err);
    if (!r)
        r = gw_node_open(tx, actor, id, GW_NEED_READ, true, &node, &ws, err);
    if (!r)
        r = gw_tree_load(tx, node.workspace, 0, &tree, err);
    if (r)
        return r;
    *ret = gw_node_json(&node);
    if (!*ret)
        return err_set(err, -ENOMEM, "file: %m");
    json_object_set_new(*ret, "can_write", json_boolean(ws.can_write));
    if (!node.deleted_ms && gw_tree_path(&tree, &node, "", path))
        json_object_set_new(*ret, "path", json_string(path));
    return 0;
}
