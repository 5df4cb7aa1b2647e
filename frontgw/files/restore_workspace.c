/* A workspace as it was: files take their old contents as new versions, what came later goes to the
 * trash, what was deleted since comes back. Nothing is lost by it: the state before is in the
 * history as well. */
#include "frontgw/files/files.h"
#include "frontgw/files/node_row.h"
#include "frontgw/people/audit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct counts {
    int64_t changed, removed, returned;
};

static int remove_later(struct gw_change *c, const struct gw_tree *now, const struct gw_tree *then,
                        struct counts *counts, struct err *err)
{
    int r = 0;
    for (size_t i = 0; !r && i < now->n; i++) {
        const struct gw_node *node = &now->nodes[i];
        if (gw_tree_find(then, node->id))
            continue;
        db_exec(c->tx, SQL_NODE_SET_DELETED, DB_I(c->actor->now_ms), DB_T(node->id));
        gw_node_place(c, node, false);
        r = gw_quota_charge(&c->quota, -node->size, -1, 0, err);
        counts->removed++;
    }
    return r;
}

static int bring_content(struct gw_change *c, const struct gw_node *was, struct gw_node *node,
                         struct err *err)
{
    const struct gw_save save = {.cause = GW_CAUSE_RESTORE, .base_seq = -1};
    if (was->is_dir || !*was->hash || !strcmp(node->hash, was->hash))
        return 0;
    db_exec(c->tx, SQL_BLOB_TOUCH, DB_T(was->hash), DB_I(was->size), DB_I(c->actor->now_ms));
    return gw_version_add(c, node, was->hash, was->size, &save, err);
}

/* One node that was there then: live, in its old place, with its old content. */
static int bring_one(struct gw_change *c, const struct gw_node *was, struct counts *counts,
                     struct err *err)
{
    struct gw_node node;
    int r = gw_node_load(c->tx, was->id, &node, err);
    if (r)
        return r;
    if (node.deleted_ms < 0) /* purged: there is nothing left to bring back */
        return 0;
    bool moved = strcmp(node.parent, was->parent) != 0 || strcmp(node.name, was->name) != 0;
    int64_t seq = node.seq;
    /* Moved while it is still in the trash: the name that it has there may be taken. */
    if (moved)
        db_exec(c->tx, SQL_NODE_MOVE, DB_T(was->parent), DB_T(was->name), DB_T(node.id));
    if (node.deleted_ms) {
        db_exec(c->tx, SQL_NODE_SET_DELETED, DB_I(0), DB_T(node.id));
        r = gw_quota_charge(&c->quota, node.size, 1, 0, err);
        counts->returned++;
    }
    if (moved || node.deleted_ms)
        gw_node_place(c, was, true);
    if (!r)
        r = bring_content(c, was, &node, err);
    counts->changed += moved || node.seq != seq;
    return r;
}

/* Names may have changed hands: first everything that moves is put aside under its id. */
static void put_aside(struct gw_change *c, const struct gw_tree *now, const struct gw_tree *then)
{
    for (size_t i = 0; i < then->n; i++) {
        const struct gw_node *was = &then->nodes[i];
        const struct gw_node *is = gw_tree_find(now, was->id);
        if (is && (strcmp(is->parent, was->parent) != 0 || strcmp(is->name, was->name) != 0))
            db_exec(c->tx, SQL_NODE_MOVE, DB_T("aside"), DB_T(is->id), DB_T(is->id));
    }
}

int gw_workspace_restore(struct gw_files *files, const struct gw_actor *actor,
                         const char *workspace, uint64_t at_ms, json_t **ret, struct err *err)
{
    AUTO_CHANGE struct gw_change c = {0};
    AUTO_TREE struct gw_tree now = {0};
    AUTO_TREE struct gw_tree then = {0};
    AUTO_HOLD struct blobs *held = files->store->blobs;
    struct counts counts = {0};
    char details[80];
    blobs_hold(held);
    if (!at_ms || at_ms > actor->now_ms)
        return gw_refuse(err, GW_PROBLEM_INVALID_VALUE, "at_ms lies in the past");
    int r = gw_change_begin(files, actor, workspace, &c, err);
    if (!r)
        r = gw_tree_load(c.tx, workspace, 0, &now, err);
    if (!r)
        r = gw_tree_load(c.tx, workspace, at_ms, &then, err);
    if (!r)
        r = remove_later(&c, &now, &then, &counts, err);
    if (!r)
        put_aside(&c, &now, &then);
    for (size_t i = 0; !r && i < then.n; i++)
        r = bring_one(&c, &then.nodes[i], &counts, err);
    if (r)
        return r;
    gw_quota_write(c.tx, &c.quota);
    snprintf(details, sizeof(details), "{\"at_ms\":%llu}", (unsigned long long)at_ms);
    AUDIT(c.tx, actor, .action = AUDIT_RESTORE, .object = workspace, .course = c.ws.course,
          .role = c.ws.role, .details = details);
    r = db_commit(&c.tx, err);
    if (r)
        return r;
    *ret = json_pack("{sI sI sI}", "changed", (json_int_t)counts.changed, "removed",
                     (json_int_t)counts.removed, "returned", (json_int_t)counts.returned);
    return *ret ? 0 : err_set(err, -ENOMEM, "restore: %m");
}
