/* The operator's commands. They work beside a serving frontgw: the database does the excluding. */
#include "frontgw/rest/commands.h"

#include "frontgw/ops/settings.h"
#include "frontgw/people/audit.h"
#include "frontgw/people/people.h"
#include "frontgw/rest/rest.h"
#include "frontgw/store/backup.h"

#include "base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define EXIT_USAGE 2

static int failed(const struct err *err)
{
    fprintf(stderr, "frontgw: %s\n", err->text);
    return EXIT_FAILURE;
}

static int usage(const char *words)
{
    fprintf(stderr, "usage: frontgw %s\n", words);
    return EXIT_USAGE;
}

static void close_store(struct gw_store **store)
{
    *store = gw_store_close(*store);
}
#define AUTO_STORE CLEANUP(close_store)

static int open_store(const struct gw_settings *settings, struct gw_store **ret, int *ret_migrated,
                      struct err *err)
{
    AUTO_FREE char *url = NULL;
    int r = rest_database_url(settings, &url, err);
    if (r)
        return r;
    const struct gw_store_options options = {
        .state_dir = settings->data_directory,
        .db = {.url = url, .pool_min = 1, .pool_max = 2, .statement_timeout_ms = 10 * 60 * 1000},
        .blobs_in_database = url != NULL};
    return gw_store_open(&options, ret, ret_migrated, err);
}

static struct gw_actor operator(void)
{
    return (struct gw_actor){
        .account = "operator", .admin = true, .session = "", .ip = "", .now_ms = clock_wall_ms()};
}

int command_migrate(const struct gw_settings *settings, int argc, char **argv)
{
    AUTO_STORE struct gw_store *store = NULL;
    struct err err = {0};
    int migrated = 0;
    (void)argv;
    if (argc != 1)
        return usage("--migrate-only");
    if (open_store(settings, &store, &migrated, &err))
        return failed(&err);
    printf("%d migrations applied; the schema is up to date\n", migrated);
    return EXIT_SUCCESS;
}

/* A one-time password is printed; the first login has to choose another. */
int command_admin(const struct gw_settings *settings, int argc, char **argv)
{
    AUTO_STORE struct gw_store *store = NULL;
    struct gw_people *people = NULL;
    struct err err = {0};
    char id[ULID_SIZE], password[PASSWORD_ONE_TIME_SIZE];
    if (argc < 3 || argc > 4 || strcmp(argv[1], "create") != 0)
        return usage("admin create LOGIN [NAME]");
    const struct gw_account_new account = {.login = argv[2],
                                           .name = argc > 3 ? argv[3] : argv[2],
                                           .admin = true};
    const struct gw_people_options options = {.password_threads = 1};
    const struct gw_actor actor = operator();
    int r = open_store(settings, &store, NULL, &err);
    if (!r)
        r = gw_people_new(store, &options, &people, &err);
    if (!r)
        r = gw_account_create(people, &actor, &account, id, password, &err);
    gw_people_free(people);
    if (r)
        return failed(&err);
    printf("%s\n", password);
    fprintf(stderr, "admin %s was made; the line above is the one-time password\n", account.login);
    return EXIT_SUCCESS;
}

static int print_line(void *arg, const char *line)
{
    return fprintf(arg, "%s\n", line) < 0 ? -EIO : 0;
}

static int audit_check(struct gw_store *store, const char *anchor)
{
    struct err err = {0};
    char head[AUDIT_HEAD_SIZE];
    int r = audit_verify(store->db, anchor, head, &err);
    if (r)
        return failed(&err);
    printf("%s\n", head);
    fprintf(stderr, "the chain is whole; keep the line above and give it to the next check\n");
    return EXIT_SUCCESS;
}

int command_audit(const struct gw_settings *settings, int argc, char **argv)
{
    static const char words[] = "audit verify [SEQ:HASH] | audit export";
    AUTO_STORE struct gw_store *store = NULL;
    struct err err = {0};
    bool verify = argc >= 2 && argc <= 3 && !strcmp(argv[1], "verify");
    bool export = argc == 2 && !strcmp(argv[1], "export");
    if (!verify && !export)
        return usage(words);
    if (open_store(settings, &store, NULL, &err))
        return failed(&err);
    if (verify)
        return audit_check(store, argc == 3 ? argv[2] : NULL);
    if (audit_export(store->db, 0, 0, print_line, stdout, &err))
        return failed(&err);
    return fflush(stdout) ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int copy_all(const struct gw_settings *settings, int argc, char **argv, bool restore)
{
    AUTO_STORE struct gw_store *store = NULL;
    struct backup_counts counts = {0};
    struct err err = {0};
    if (argc != 2)
        return usage(restore ? "restore FILE" : "backup FILE");
    int r = open_store(settings, &store, NULL, &err);
    if (!r && restore)
        r = backup_read(store, argv[1], clock_wall_ms(), &counts, &err);
    else if (!r)
        r = backup_write(store, argv[1], clock_wall_ms(), &counts, &err);
    if (r)
        return failed(&err);
    printf("%llu rows, %llu contents, %llu bytes\n", (unsigned long long)counts.rows,
           (unsigned long long)counts.blobs, (unsigned long long)counts.bytes);
    return EXIT_SUCCESS;
}

int command_backup(const struct gw_settings *settings, int argc, char **argv)
{
    return copy_all(settings, argc, argv, false);
}

int command_restore(const struct gw_settings *settings, int argc, char **argv)
{
    return copy_all(settings, argc, argv, true);
}
