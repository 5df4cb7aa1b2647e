/* A workspace's nodes in memory: a few thousand at most, so that paths, subtrees and the past are
 * plain C. */
#include "frontgw/files/files.h"
#include "frontgw/files/node_row.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static struct gw_node *grow(struct gw_tree *tree)
{
    if ((tree->n & (tree->n - 1)) == 0) { /* full at every power of two */
        void *grown = realloc(tree->nodes, (tree->n ? tree->n * 2 : 1) * sizeof(struct gw_node));
        if (!grown)
            return NULL;
        tree->nodes = grown;
    }
    return &tree->nodes[tree->n++];
}

void gw_tree_done(struct gw_tree *tree)
{
    free(tree->nodes);
    *tree = (struct gw_tree){0};
}

static int no_memory(struct err *err)
{
    return err_set(err, -ENOMEM, "workspace: %m");
}

static int load_now(struct db_tx *tx, const char *workspace, struct gw_tree *tree, struct err *err)
{
    AUTO_ROWS struct db_rows rows = {0};
    db_query(tx, SQL_NODE_LIST, &rows, DB_T(workspace));
    while (db_next(&rows)) {
        struct gw_node *node = grow(tree);
        if (!node)
            return no_memory(err);
        gw_node_of_row(&rows, node);
    }
    return db_fault(tx, err);
}

/* Of each node the last placement before the time; those that were not live are taken out again. */
static int load_places(struct db_tx *tx, const char *workspace, uint64_t at_ms,
                       struct gw_tree *tree, struct err *err)
{
    AUTO_ROWS struct db_rows rows = {0};
    db_query(tx, SQL_PLACEMENT_AT, &rows, DB_T(workspace), DB_I(at_ms));
    while (db_next(&rows)) {
        bool same = tree->n && !strcmp(tree->nodes[tree->n - 1].id, db_text(&rows, 0));
        struct gw_node *node = same ? &tree->nodes[tree->n - 1] : grow(tree);
        if (!node)
            return no_memory(err);
        memset(node, 0, sizeof(*node));
        gw_text_copy(node->id, sizeof(node->id), db_text(&rows, 0));
        gw_text_copy(node->workspace, sizeof(node->workspace), workspace);
        gw_text_copy(node->parent, sizeof(node->parent), db_text(&rows, 1));
        gw_text_copy(node->name, sizeof(node->name), db_text(&rows, 2));
        node->deleted_ms = !db_i64(&rows, 3);
        gw_text_copy(node->author, sizeof(node->author), db_text(&rows, 4));
        node->modified_ms = db_i64(&rows, 5);
        node->is_dir = db_i64(&rows, 6) != 0;
        node->created_ms = db_i64(&rows, 7);
    }
    size_t live = 0;
    for (size_t i = 0; i < tree->n; i++)
        if (!tree->nodes[i].deleted_ms)
            tree->nodes[live++] = tree->nodes[i];
    tree->n = live;
    return db_fault(tx, err);
}

/* Rows come in order of node and version: the last one of each node is what it held. */
static int load_contents(struct db_tx *tx, const char *workspace, uint64_t at_ms,
                         struct gw_tree *tree, struct err *err)
{
    AUTO_ROWS struct db_rows rows = {0};
    db_query(tx, SQL_VERSION_AT, &rows, DB_T(workspace), DB_I(at_ms));
    while (db_next(&rows)) {
        struct gw_node *node = (struct gw_node *)gw_tree_find(tree, db_text(&rows, 0));
        if (!node)
            continue;
        node->seq = db_i64(&rows, 1);
        gw_text_copy(node->hash, sizeof(node->hash), db_text(&rows, 2));
        node->size = db_i64(&rows, 3);
        gw_text_copy(node->author, sizeof(node->author), db_text(&rows, 4));
        node->modified_ms = db_i64(&rows, 5);
    }
    return db_fault(tx, err);
}

int gw_tree_load(struct db_tx *tx, const char *workspace, uint64_t at_ms, struct gw_tree *ret,
                 struct err *err)
{
    *ret = (struct gw_tree){0};
    if (!at_ms)
        return load_now(tx, workspace, ret, err);
    int r = load_places(tx, workspace, at_ms, ret, err);
    return r ? r : load_contents(tx, workspace, at_ms, ret, err);
}

const struct gw_node *gw_tree_find(const struct gw_tree *tree, const char *id)
{
    size_t low = 0, high = tree->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(tree->nodes[middle].id, id);
        if (order == 0)
            return &tree->nodes[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

bool gw_tree_within(const struct gw_tree *tree, const struct gw_node *node, const char *root)
{
    for (size_t depth = 0; node && depth <= PATH_DEPTH_MAX; depth++) {
        if (!strcmp(node->id, root) || (!*root && !*node->parent))
            return true;
        node = gw_tree_find(tree, node->parent);
    }
    return false;
}

size_t gw_tree_path(const struct gw_tree *tree, const struct gw_node *node, const char *root,
                    char ret[PATH_MAX_BYTES + 1])
{
    const struct gw_node *chain[PATH_DEPTH_MAX];
    size_t depth = 0, len = 0;
    for (;;) {
        if (depth == PATH_DEPTH_MAX)
            return 0;
        chain[depth++] = node;
        if (!strcmp(node->parent, root))
            break;
        node = gw_tree_find(tree, node->parent);
        if (!node)
            return 0;
    }
    for (size_t i = depth; i-- > 0;) {
        int n =
            snprintf(ret + len, PATH_MAX_BYTES + 1 - len, "%s%s", len ? "/" : "", chain[i]->name);
        if (n < 0 || len + (size_t)n > PATH_MAX_BYTES)
            return 0;
        len += (size_t)n;
    }
    return depth;
}

int gw_tree_get(struct gw_files *files, const struct gw_actor *actor, const char *workspace,
                uint64_t at_ms, json_t **ret, struct err *err)
{
    AUTO_TX struct db_tx *tx = NULL;
    AUTO_TREE struct gw_tree tree = {0};
    struct gw_workspace ws = {0};
    int r = db_begin(files->store->db, DB_SNAPSHOT, &tx, err);
    if (!r)
        r = gw_workspace_open(tx, actor, workspace, GW_NEED_READ, &ws, err);
    if (!r)
        r = gw_tree_load(tx, workspace, at_ms, &tree, err);
    if (r)
        return r;
    json_t *list = json_array();
    for (size_t i = 0; list && i < tree.n; i++) {
        char path[PATH_MAX_BYTES + 1];
        if (!gw_tree_path(&tree, &tree.nodes[i], "", path))
            continue;
        json_t *node = gw_node_json(&tree.nodes[i]);
        json_object_set_new(node, "path", json_string(path));
        json_array_append_new(list, node);
    }
    *ret = list;
    return list ? 0 : no_memory(err);
}

int gw_trash_list(struct gw_files *files, const struct gw_actor *actor, const char *workspace,
                  json_t **ret, struct err *err)
{
    AUTO_TX struct db_tx *tx = NULL;
    struct gw_workspace ws = {0};
    int r = db_begin(files->store->db, DB_READ, &tx, err);
    if (!r)
        r = gw_workspace_open(tx, actor, workspace, GW_NEED_READ, &ws, err);
    if (r)
        return r;
    AUTO_ROWS struct db_rows rows = {0};
    json_t *list = json_array();
    db_query(tx, SQL_NODE_TRASH, &rows, DB_T(workspace), DB_I(5000));
    while (list && db_next(&rows)) {
        struct gw_node node;
        gw_node_of_row(&rows, &node);
        json_array_append_new(list, gw_node_json(&node));
    }
    r = list ? db_fault(tx, err) : no_memory(err);
    if (r) {
        json_decref(list);
        return r;
    }
    *ret = list;
    return 0;
}
