/* What was run of a file. Rows come with part 6; the table and its list are here. */
#include "frontgw/files/files.h"
#include "frontgw/store/db_json.h"

#include <errno.h>

int gw_execution_add(struct gw_files *files, const struct gw_execution *e, struct err *err)
{
    AUTO_TX struct db_tx *tx = NULL;
    struct db_arg exit_code = DB_I(e->exit_code);
    exit_code.is_null = !e->has_exit_code;
    int r = db_begin(files->store->db, DB_WRITE, &tx, err);
    if (r)
        return r;
    db_exec(tx, SQL_EXECUTION_INSERT, DB_T(e->id), DB_T(e->account), DB_T(e->node), DB_I(e->seq),
            DB_T(e->verdict), exit_code, DB_I(e->cpu_ms), DB_I(e->wall_ms),
            DB_I(e->memory_peak_bytes), DB_I(e->started_ms), DB_I(e->ended_ms));
    return db_commit(&tx, err);
}

int gw_executions_list(struct gw_files *files, const struct gw_actor *actor, const char *node,
                       uint64_t limit, json_t **ret, struct err *err)
{
    AUTO_TX struct db_tx *tx = NULL;
    AUTO_ROWS struct db_rows rows = {0};
    struct gw_workspace ws = {0};
    struct gw_node n;
    int r = db_begin(files->store->db, DB_READ, &tx, err);
    if (!r)
        r = gw_node_open(tx, actor, node, GW_NEED_READ, true, &n, &ws, err);
    if (r)
        return r;
    db_query(tx, SQL_EXECUTION_LIST, &rows, DB_T(node), DB_I(limit));
    return db_rows_json(&rows,
                        "id:s account:s seq:i verdict:s exit_code:N cpu_ms:i wall_ms:i "
                        "memory_peak_bytes:i started_ms:i ended_ms:i",
                        ret, err);
}
