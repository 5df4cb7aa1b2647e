/* Rename, move, copy, delete, take back out of the trash. */
#include "frontgw/files/files.h"
#include "frontgw/files/node_row.h"

#include <errno.h>
#include <string.h>

/* Everything below @root must still be a valid path when @root lies @depth deep at a path of @len
 * bytes. */
static int fits(const struct gw_tree *tree, const struct gw_node *root, const struct gw_path *path,
                const char *text, struct err *err)
{
    for (size_t i = 0; i < tree->n; i++) {
        const struct gw_node *node = &tree->nodes[i];
        char below[PATH_MAX_BYTES + 1];
        if (node == root || !gw_tree_within(tree, node, root->id))
            continue;
        size_t depth = gw_tree_path(tree, node, root->id, below);
        if (!depth || depth + path->depth > PATH_DEPTH_MAX ||
            strlen(below) + 1 + strlen(text) > PATH_MAX_BYTES)
            return gw_refuse(err, GW_PROBLEM_INVALID_VALUE,
                             "what is below would lie too deep or have too long a path");
    }
    return 0;
}

static int taken(struct gw_change *c, const char *parent, const char *name, const char *but,
                 struct err *err)
{
    AUTO_ROWS struct db_rows rows = {0};
    db_query(c->tx, SQL_NODE_BY_NAME, &rows, DB_T(c->ws.id), DB_T(parent), DB_T(name));
    if (db_next(&rows) && strcmp(db_text(&rows, 0), but) != 0)
        return gw_refuse(err, GW_PROBLEM_EXISTS, "there is a file or directory of this name");
    return db_fault(c->tx, err);
}

int gw_node_move(struct gw_files *files, const struct gw_actor *actor, const char *id,
                 const char *text, struct gw_node *node, struct err *err)
{
    AUTO_CHANGE struct gw_change c = {0};
    AUTO_TREE struct gw_tree tree = {0};
    struct gw_path path;
    char parent[ULID_SIZE];
    int r = gw_path_parse(text, &path, err);
    if (!r)
        r = gw_change_begin_node(files, actor, id, false, &c, node, err);
    if (!r)
        r = gw_tree_load(c.tx, c.ws.id, 0, &tree, err);
    if (!r)
        r = gw_parents(&c, &path, false, parent, err);
    if (r)
        return r;
    const struct gw_node *here = gw_tree_find(&tree, id);
    const struct gw_node *into = *parent ? gw_tree_find(&tree, parent) : NULL;
    if (into && gw_tree_within(&tree, into, id))
        return gw_refuse(err, GW_PROBLEM_CONFLICT, "a directory cannot be moved into itself");
    r = fits(&tree, here, &path, text, err);
    if (!r)
        r = taken(&c, parent, path.parts[path.depth - 1], id, err);
    if (r)
        return r;
    gw_text_copy(node->parent, sizeof(node->parent), parent);
    gw_text_copy(node->name, sizeof(node->name), path.parts[path.depth - 1]);
    db_exec(c.tx, SQL_NODE_MOVE, DB_T(node->parent), DB_T(node->name), DB_T(node->id));
    gw_node_place(&c, node, true);
    return gw_change_commit(&c, err);
}

/* Old and new ids of directories that were copied. */
struct copied {
    const char *from;
    char to[ULID_SIZE];
};

struct copy {
    struct gw_change *c;
    const struct gw_tree *tree;
    const struct gw_node *root;
    struct copied *dirs;
    size_t n_dirs;
};

static int copy_one(struct copy *copy, const struct gw_node *from, const char *parent,
                    const char *name, struct gw_node *ret, struct err *err)
{
    struct gw_change *c = copy->c;
    *ret = (struct gw_node){.is_dir = from->is_dir};
    gw_text_copy(ret->parent, sizeof(ret->parent), parent);
    gw_text_copy(ret->name, sizeof(ret->name), name);
    int r = gw_node_insert(c, ret, err);
    if (r || from->is_dir) {
        if (!r) {
            copy->dirs[copy->n_dirs].from = from->id;
            gw_text_copy(copy->dirs[copy->n_dirs++].to, ULID_SIZE, ret->id);
        }
        return r;
    }
    const struct gw_save save = {.cause = GW_CAUSE_COPY, .base_seq = -1};
    db_exec(c->tx, SQL_BLOB_TOUCH, DB_T(from->hash), DB_I(from->size), DB_I(c->actor->now_ms));
    return gw_version_add(c, ret, from->hash, from->size, &save, err);
}

static const char *copy_of(const struct copy *copy, const char *from)
{
    for (size_t i = 0; i < copy->n_dirs; i++)
        if (!strcmp(copy->dirs[i].from, from))
            return copy->dirs[i].to;
    return NULL;
}

/* Level by level, so that a directory is there before what it holds. */
static int copy_below(struct copy *copy, struct err *err)
{
    const struct gw_tree *tree = copy->tree;
    for (size_t level = 1; level <= PATH_DEPTH_MAX; level++) {
        for (size_t i = 0; i < tree->n; i++) {
            const struct gw_node *node = &tree->nodes[i];
            char below[PATH_MAX_BYTES + 1];
            struct gw_node made;
            const char *parent = copy_of(copy, node->parent);
            if (!parent || node == copy->root || !gw_tree_within(tree, node, copy->root->id) ||
                gw_tree_path(tree, node, copy->root->id, below) != level)
                continue;
            int r = copy_one(copy, node, parent, node->name, &made, err);
            if (r)
                return r;
        }
    }
    return 0;
}

/* The copies refer to contents of the source: it is read first, and its contents cannot be swept
 * while they are referred to there. */
int gw_node_copy(struct gw_files *files, const struct gw_actor *actor, const char *id,
                 const char *workspace, const char *text, struct gw_node *ret, struct err *err)
{
    AUTO_CHANGE struct gw_change c = {0};
    AUTO_TREE struct gw_tree tree = {0};
    AUTO_FREE struct copied *dirs = NULL;
    AUTO_HOLD struct blobs *held = files->store->blobs;
    struct gw_workspace from = {0};
    struct gw_node node;
    struct gw_path path;
    char parent[ULID_SIZE];
    blobs_hold(held);
    int r = gw_path_parse(text, &path, err);
    if (!r)
        r = gw_change_begin(files, actor, workspace, &c, err);
    if (!r)
        r = gw_node_open(c.tx, actor, id, GW_NEED_READ, false, &node, &from, err);
    if (!r)
        r = gw_tree_load(c.tx, node.workspace, 0, &tree, err);
    if (!r)
        r = gw_parents(&c, &path, true, parent, err);
    if (r)
        return r;
    const struct gw_node *root = gw_tree_find(&tree, id);
    dirs = calloc(tree.n, sizeof(*dirs));
    if (!root || !dirs)
        return err_set(err, -ENOMEM, "copy: %m");
    struct copy copy = {.c = &c, .tree = &tree, .root = root, .dirs = dirs};
    r = fits(&tree, root, &path, text, err);
    if (!r)
        r = copy_one(&copy, root, parent, path.parts[path.depth - 1], ret, err);
    if (!r)
        r = copy_below(&copy, err);
    return r ? r : gw_change_commit(&c, err);
}

int gw_node_delete(struct gw_files *files, const struct gw_actor *actor, const char *id,
                   int64_t if_seq, struct err *err)
{
    AUTO_CHANGE struct gw_change c = {0};
    AUTO_TREE struct gw_tree tree = {0};
    struct gw_node node;
    int r = gw_change_begin_node(files, actor, id, false, &c, &node, err);
    if (!r && if_seq >= 0 && if_seq != node.seq)
        r = gw_refuse(err, GW_PROBLEM_EDIT_CONFLICT, "the file has version %lld now",
                      (long long)node.seq);
    if (!r)
        r = gw_tree_load(c.tx, c.ws.id, 0, &tree, err);
    if (r)
        return r;
    for (size_t i = 0; !r && i < tree.n; i++) {
        const struct gw_node *n = &tree.nodes[i];
        if (!gw_tree_within(&tree, n, id))
            continue;
        /* The time names the deletion: what went together comes back together. */
        db_exec(c.tx, SQL_NODE_SET_DELETED, DB_I(actor->now_ms), DB_T(n->id));
        gw_node_place(&c, n, false);
        r = gw_quota_charge(&c.quota, -n->size, -1, 0, err);
    }
    return r ? r : gw_change_commit(&c, err);
}

static int parent_is_live(struct gw_change *c, const struct gw_node *node, struct err *err)
{
    struct gw_node parent;
    if (!*node->parent)
        return 0;
    int r = gw_node_load(c->tx, node->parent, &parent, err);
    if (!r && parent.deleted_ms)
        return gw_refuse(err, GW_PROBLEM_CONFLICT, "its directory %s is in the trash itself",
                         parent.name);
    return r;
}

/* Nodes that were deleted in the same moment: those of them that hang below @node come back with
 * it. */
static int bring_back(struct gw_change *c, struct gw_node *node, struct err *err)
{
    AUTO_TREE struct gw_tree tree = {0};
    AUTO_ROWS struct db_rows rows = {0};
    int r = 0;
    db_query(c->tx, SQL_NODE_DELETED_AT, &rows, DB_T(c->ws.id), DB_I(node->deleted_ms));
    while (db_next(&rows)) {
        void *grown = realloc(tree.nodes, (tree.n + 1) * sizeof(*tree.nodes));
        if (!grown)
            return err_set(err, -ENOMEM, "trash: %m");
        tree.nodes = grown;
        gw_node_of_row(&rows, &tree.nodes[tree.n++]);
    }
    db_rows_done(&rows);
    for (size_t i = 0; !r && i < tree.n; i++) {
        const struct gw_node *n = &tree.nodes[i];
        if (!gw_tree_within(&tree, n, node->id))
            continue;
        db_exec(c->tx, SQL_NODE_SET_DELETED, DB_I(0), DB_T(n->id));
        gw_node_place(c, n, true);
        r = gw_quota_charge(&c->quota, n->size, 1, 0, err);
    }
    node->deleted_ms = 0;
    return r ? r : db_fault(c->tx, err);
}

int gw_node_undelete(struct gw_files *files, const struct gw_actor *actor, const char *id,
                     struct gw_node *node, struct err *err)
{
    AUTO_CHANGE struct gw_change c = {0};
    int r = gw_change_begin_node(files, actor, id, true, &c, node, err);
    if (!r && !node->deleted_ms)
        return 0;
    if (!r)
        r = parent_is_live(&c, node, err);
    if (!r)
        r = taken(&c, node->parent, node->name, node->id, err);
    if (!r)
        r = bring_back(&c, node, err);
    return r ? r : gw_change_commit(&c, err);
}
