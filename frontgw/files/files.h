#pragma once
/*
 * Workspaces: directories, files, versions, trash, submissions. Everything blocks: worker threads
 * only. Outcomes are positive enum gw_problem (frontgw/people/actor.h).
 *
 * A file is a node with versions; a directory is a node with none. Whatever changes in a workspace
 * happens under the lock of its quota row, so that two savers of one file are one after the other
 * on both databases.
 */

#include "frontgw/files/name.h"
#include "frontgw/people/courses.h"

#define FILE_MAX_BYTES (10u << 20)
#define LABEL_MAX      100

struct gw_files {
    struct gw_store *store;
    struct gw_people *people;
};

int gw_files_new(struct gw_store *store, struct gw_people *people, struct gw_files **ret,
                 struct err *err);
struct gw_files *gw_files_free(struct gw_files *files);

/* A node as it is (or, with a time, as it was). */
struct gw_node {
    char id[ULID_SIZE];
    char workspace[ULID_SIZE];
    char parent[ULID_SIZE]; /* "" at the root */
    char name[NAME_MAX_BYTES + 1];
    bool is_dir;
    int64_t seq; /* of the current version: the entity tag; 0 for a directory */
    char hash[SHA256_SIZE];
    int64_t size;
    char author[ULID_SIZE];
    int64_t created_ms, modified_ms, deleted_ms;
};

enum gw_cause {
    GW_CAUSE_AUTOSAVE,
    GW_CAUSE_SAVE,
    GW_CAUSE_RUN,
    GW_CAUSE_SUBMIT,
    GW_CAUSE_RESTORE,
    GW_CAUSE_UPLOAD,
    GW_CAUSE_COPY,
    GW_CAUSE_COUNT
};
const char *gw_cause_name(enum gw_cause cause);
/** gw_cause_by_name() - -1 for any other word. */
int gw_cause_by_name(const char *name);

/* ---- workspaces (workspace.c) ---- */
enum gw_need { GW_NEED_READ, GW_NEED_WRITE };
struct gw_workspace {
    char id[ULID_SIZE];
    char owner[ULID_SIZE];  /* "" for a section's */
    char course[ULID_SIZE]; /* "" for a home without a course */
    char section[ULID_SIZE];
    char quota[ULID_SIZE];
    enum gw_role role; /* of the actor towards it */
    bool can_write;
};
/** gw_workspace_open() - looked up and permitted in @tx, or GW_PROBLEM_NOT_FOUND / FORBIDDEN /
 * CONFLICT (archived). */
int gw_workspace_open(struct db_tx *tx, const struct gw_actor *actor, const char *id,
                      enum gw_need need, struct gw_workspace *ret, struct err *err);
/** gw_workspaces_list() - the actor's own; with @course, those of its people (staff). */
int gw_workspaces_list(struct gw_files *files, const struct gw_actor *actor, const char *course,
                       json_t **ret, struct err *err);
int gw_workspace_get(struct gw_files *files, const struct gw_actor *actor, const char *id,
                     json_t **ret, struct err *err);

/* The charge of a change: locked by quota_lock(), written back by quota_commit(). */
struct gw_quota {
    char id[ULID_SIZE];
    int64_t bytes, files, history_bytes, bytes_max, files_max;
};
int gw_quota_lock(struct db_tx *tx, const char *id, struct gw_quota *ret, struct err *err);
/** gw_quota_charge() - GW_PROBLEM_QUOTA when it grows beyond its limit; nothing is refused that
 * shrinks. */
int gw_quota_charge(struct gw_quota *quota, int64_t bytes, int64_t n_files, int64_t history_bytes,
                    struct err *err);
void gw_quota_write(struct db_tx *tx, const struct gw_quota *quota);

/* ---- nodes (node.c, tree.c) ---- */
/** gw_node_load() - by id, deleted ones too; GW_PROBLEM_NOT_FOUND. */
int gw_node_load(struct db_tx *tx, const char *id, struct gw_node *ret, struct err *err);
/** gw_node_lookup() - by path. @depth parts of @path are walked. GW_PROBLEM_NOT_FOUND. */
int gw_node_lookup(struct db_tx *tx, const char *workspace, const struct gw_path *path,
                   size_t depth, struct gw_node *ret, struct err *err);
/** gw_node_open() - by id, with the right to it; a deleted one is not found unless @trash. */
int gw_node_open(struct db_tx *tx, const struct gw_actor *actor, const char *id, enum gw_need need,
                 bool trash, struct gw_node *ret, struct gw_workspace *ret_ws, struct err *err);
json_t *gw_node_json(const struct gw_node *node);

struct gw_tree {
    struct gw_node *nodes; /* sorted by id */
    size_t n;
};
#define AUTO_TREE CLEANUP(gw_tree_done)
/** gw_tree_load() - the live nodes of a workspace; @at_ms not 0: as they were then. */
int gw_tree_load(struct db_tx *tx, const char *workspace, uint64_t at_ms, struct gw_tree *ret,
                 struct err *err);
void gw_tree_done(struct gw_tree *tree);
const struct gw_node *gw_tree_find(const struct gw_tree *tree, const char *id);
/** gw_tree_within() - is @node (or an ancestor of it) the node @root? "" is within everything's
 * root. */
bool gw_tree_within(const struct gw_tree *tree, const struct gw_node *node, const char *root);
/** gw_tree_path() - relative to @root ("" for the workspace). Return: parts, or 0 when it hangs
 * nowhere (its directory is gone). */
size_t gw_tree_path(const struct gw_tree *tree, const struct gw_node *node, const char *root,
                    char ret[PATH_MAX_BYTES + 1]);
int gw_tree_get(struct gw_files *files, const struct gw_actor *actor, const char *workspace,
                uint64_t at_ms, json_t **ret, struct err *err);
int gw_trash_list(struct gw_files *files, const struct gw_actor *actor, const char *workspace,
                  json_t **ret, struct err *err);
int gw_node_get(struct gw_files *files, const struct gw_actor *actor, const char *id, json_t **ret,
                struct err *err);

/* ---- changes of the tree (change.c, move.c) ---- */
/* One change under way: everything that a change needs, locked. */
struct gw_change {
    struct gw_files *files;
    const struct gw_actor *actor;
    struct db_tx *tx;
    struct gw_workspace ws;
    struct gw_quota quota;
};
void gw_change_done(struct gw_change *change);
#define AUTO_CHANGE CLEANUP(gw_change_done)
int gw_change_begin(struct gw_files *files, const struct gw_actor *actor, const char *workspace,
                    struct gw_change *ret, struct err *err);
/** gw_change_begin_node() - of a node's workspace; the node is loaded under the lock. */
int gw_change_begin_node(struct gw_files *files, const struct gw_actor *actor, const char *node,
                         bool trash, struct gw_change *ret, struct gw_node *ret_node,
                         struct err *err);
int gw_change_commit(struct gw_change *change, struct err *err);

/** gw_node_insert() - a new node (id is made here) and its first placement, charged.
 * GW_PROBLEM_EXISTS when the name is taken. */
int gw_node_insert(struct gw_change *c, struct gw_node *node, struct err *err);
void gw_node_place(struct gw_change *c, const struct gw_node *node, bool live);
/** gw_parents() - the directory of @path, made as far as it is missing when @make. */
int gw_parents(struct gw_change *c, const struct gw_path *path, bool make,
               char ret_parent[ULID_SIZE], struct err *err);

int gw_dir_create(struct gw_files *files, const struct gw_actor *actor, const char *workspace,
                  const char *path, struct gw_node *ret, struct err *err);
/** gw_node_move() - rename, move or both: to @path in the same workspace; its directory must exist.
 */
int gw_node_move(struct gw_files *files, const struct gw_actor *actor, const char *id,
                 const char *path, struct gw_node *ret, struct err *err);
/** gw_node_copy() - with everything below, to @path of @workspace (any that the actor may write).
 */
int gw_node_copy(struct gw_files *files, const struct gw_actor *actor, const char *id,
                 const char *workspace, const char *path, struct gw_node *ret, struct err *err);
/** gw_node_delete() - with everything below, to the trash. @if_seq >= 0: only that version of a
 * file. */
int gw_node_delete(struct gw_files *files, const struct gw_actor *actor, const char *id,
                   int64_t if_seq, struct err *err);
/** gw_node_undelete() - out of the trash, with what was deleted together with it; GW_PROBLEM_EXISTS
 * when its name is taken. */
int gw_node_undelete(struct gw_files *files, const struct gw_actor *actor, const char *id,
                     struct gw_node *ret, struct err *err);

/* ---- contents (content.c) ---- */
struct gw_save {
    const void *bytes;
    size_t len;
    enum gw_cause cause;
    const char *label; /* may be NULL */
    int64_t base_seq;  /* the version that the saver began with; -1: whatever is there (restore) */
};
/** gw_file_create() - a new file at @path (directories are made); GW_PROBLEM_EXISTS. */
int gw_file_create(struct gw_files *files, const struct gw_actor *actor, const char *workspace,
                   const char *path, const struct gw_save *save, struct gw_node *ret,
                   struct err *err);
struct gw_conflict {
    struct gw_node current;
    int64_t base_seq; /* newest kept version that both come from; 0: none */
    char base_hash[SHA256_SIZE];
};
/**
 * gw_file_save() - a new version of a file
 *
 * The same content again is no save: 0, with the version that is there. GW_PROBLEM_EDIT_CONFLICT
 * fills
 * @ret_conflict: somebody saved since base_seq.
 */
int gw_file_save(struct gw_files *files, const struct gw_actor *actor, const char *id,
                 const struct gw_save *save, struct gw_node *ret, struct gw_conflict *ret_conflict,
                 struct err *err);
/** gw_version_add() - in a change: the next version of @node (which is updated), charged; the blob
 * is linked already. */
int gw_version_add(struct gw_change *c, struct gw_node *node, const char *hash, int64_t size,
                   const struct gw_save *save, struct err *err);
/**
 * gw_file_open() - for sending
 * @seq: 0: the current version. @at_ms: not 0: the version of that time
 * @ret: its name, type, size and seq; AUTO_CONTENT @ret_content
 */
int gw_file_open(struct gw_files *files, const struct gw_actor *actor, const char *id, int64_t seq,
                 uint64_t at_ms, struct gw_node *ret, struct blob_content *ret_content,
                 struct err *err);
int gw_versions_list(struct gw_files *files, const struct gw_actor *actor, const char *id,
                     int64_t before_seq, uint64_t limit, json_t **ret, struct err *err);
/** gw_version_restore() - the old content becomes a new version. */
int gw_version_restore(struct gw_files *files, const struct gw_actor *actor, const char *id,
                       int64_t seq, struct gw_node *ret, struct err *err);
/** gw_workspace_restore() - every file as it was at @at_ms; what came later goes to the trash. */
int gw_workspace_restore(struct gw_files *files, const struct gw_actor *actor,
                         const char *workspace, uint64_t at_ms, json_t **ret, struct err *err);

/* ---- housekeeping (keep.c) ---- */
/** gw_versions_thin() - the files whose versions came of age since @since_ms. */
int gw_versions_thin(struct gw_files *files, uint64_t since_ms, uint64_t now_ms,
                     uint64_t *ret_dropped, struct err *err);
/** gw_trash_purge() - what was deleted a month ago loses its versions for good; that it was there
 * stays known. */
int gw_trash_purge(struct gw_files *files, uint64_t now_ms, uint64_t *ret_purged, struct err *err);
/** gw_files_keep() - thin, purge, sweep contents: called every few minutes; remembers how far it
 * came. */
int gw_files_keep(struct gw_files *files, uint64_t now_ms, struct err *err);

/* ---- archives (archive_in.c, archive_out.c) ---- */
/** gw_archive_out() - a zip of the workspace (as it was at @at_ms, or 0), in an unlinked file at
 * offset 0. */
int gw_archive_out(struct gw_files *files, const struct gw_actor *actor, const char *workspace,
                   uint64_t at_ms, int *ret_fd, uint64_t *ret_size, struct err *err);
/**
 * gw_archive_in() - unpack a zip or tar (gzip, xz) below @directory ("" for the root), all or
 * nothing
 *
 * Refused: links and devices, names that gw_path_parse() refuses, more than the quota holds, a file
 * above FILE_MAX_BYTES, encryption, more than 100 times its packed size. @ret: {files, directories,
 * unchanged}
 */
int gw_archive_in(struct gw_files *files, const struct gw_actor *actor, const char *workspace,
                  const char *directory, int fd, json_t **ret, struct err *err);

/* ---- submissions (submit.c) ---- */
/** gw_submit() - freeze the actor's workspace of the section's course (or its directory @path). */
int gw_submit(struct gw_files *files, const struct gw_actor *actor, const char *course,
              const char *section, const char *path, char ret_id[ULID_SIZE], struct err *err);
int gw_submissions_list(struct gw_files *files, const struct gw_actor *actor, const char *course,
                        const char *section, json_t **ret, struct err *err);
int gw_submission_get(struct gw_files *files, const struct gw_actor *actor, const char *id,
                      json_t **ret, struct err *err);
int gw_submission_archive(struct gw_files *files, const struct gw_actor *actor, const char *id,
                          int *ret_fd, uint64_t *ret_size, struct err *err);
int gw_submission_grade(struct gw_files *files, const struct gw_actor *actor, const char *id,
                        const char *grade, const char *feedback, struct err *err);

/* ---- execution history (executions.c) ---- */
struct gw_execution {
    const char *id, *account, *node, *verdict;
    int64_t seq, exit_code, cpu_ms, wall_ms, memory_peak_bytes, started_ms, ended_ms;
    bool has_exit_code;
};
int gw_execution_add(struct gw_files *files, const struct gw_execution *execution, struct err *err);
int gw_executions_list(struct gw_files *files, const struct gw_actor *actor, const char *node,
                       uint64_t limit, json_t **ret, struct err *err);
