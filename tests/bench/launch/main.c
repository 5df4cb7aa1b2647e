/* See bench.h. As root. Exit status: 0; 1 when something failed, a layer was missing, or a bar was
 * missed with --strict; 2 misuse. */

#include <errno.h>
#include <ftw.h>
#include <getopt.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "bench.h"
#include "sandbox/node.h"

/*
 * Launchers of other people, with one isolation as far as each has it: the file system read-only,
 * /proc, a tmpfs on /tmp, new pid, mount, network, ipc and uts namespaces. No cgroups (crun, runc:
 * what they do by default), most have no seccomp filter here: they do less than ours.
 */
struct peer {
    const char *name, *program;
    const char *args[24];
    bool bundle; /* ends with the path of an OCI bundle and an id, instead of the program */
};

static const struct peer peers[] = {
    {"bubblewrap",
     "bwrap",
     {"--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--unshare-all",
      "--die-with-parent", "--"},
     false},
    {"firejail",
     "firejail",
     {"--quiet", "--noprofile", "--net=none", "--private-tmp", "--read-only=/", "--ipc-namespace",
      "--caps.drop=all", "--nonewprivs", "--seccomp", "--"},
     false},
    {"crun", "crun", {"--cgroup-manager=disabled", "run", "-b"}, true},
    {"runc", "runc", {"run", "-b"}, true},
    {"nsjail",
     "nsjail",
     {"-Mo", "-Q", "--chroot", "/", "-T", "/tmp", "--disable_rlimits", "--"},
     false},
    {"isolate", "isolate", {"--run", "--"}, false},
    {"minijail0",
     "minijail0",
     {"-p", "-v", "-l", "-e", "-N", "--uts", "-n", "-r", "-t", "--"},
     false},
};
enum { PEERS = sizeof(peers) / sizeof(peers[0]) };

static void usage(FILE *out)
{
    fputs("usage: bench_launch [options]   as root\n\n"
          "  --rounds N          rounds without a gap, tiny program (150); python3 takes a fifth\n"
          "  --gap-rounds N      rounds with a gap, tiny program (40); python3 takes half\n"
          "  --gap MS            the gap (50); 0: none is measured\n"
          "  --rate MS           how long each rate is measured (700); 0: none\n"
          "  --peer NAME=PATH    where a launcher is: bubblewrap firejail crun runc nsjail\n"
          "                      isolate minijail0; NAME= leaves it out\n"
          "  --only NAME         bare and this one alone: spawner, gRPC, one-shot, or a peer\n"
          "  --bin DIR           where cloister and execsvc are\n"
          "  --floor             also a gRPC call in which nothing is run; it leaves warm caches\n"
          "                      to the others of its kind\n"
          "  --strict            a missed bar is a failure\n",
          out);
}

static int parse_peer(struct bench *bench, const char *text)
{
    for (size_t i = 0; i < PEERS; i++) {
        size_t len = strlen(peers[i].name);
        if (strncmp(text, peers[i].name, len) != 0 || text[len] != '=')
            continue;
        bench->peers[i] = text + len + 1;
        return 0;
    }
    fprintf(stderr, "bench_launch: --peer %s: no such launcher\n", text);
    return -EINVAL;
}

static int parse(struct bench *bench, int argc, char **argv)
{
    static const struct option options[] = {
        {"rounds", required_argument, NULL, 'r'}, {"gap-rounds", required_argument, NULL, 'R'},
        {"gap", required_argument, NULL, 'g'},    {"rate", required_argument, NULL, 'a'},
        {"peer", required_argument, NULL, 'p'},   {"bin", required_argument, NULL, 'b'},
        {"strict", no_argument, NULL, 's'},       {"floor", no_argument, NULL, 'f'},
        {"only", required_argument, NULL, 'o'},   {NULL, 0, NULL, 0}};
    unsigned rounds = 150, gap_rounds = 40;
    int option;
    bench->gap_ms = 50;
    bench->rate_ms = 700;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        unsigned number = optarg ? (unsigned)strtoul(optarg, NULL, 10) : 0;
        if (option == 'r')
            rounds = number;
        else if (option == 'R')
            gap_rounds = number;
        else if (option == 'g')
            bench->gap_ms = number;
        else if (option == 'a')
            bench->rate_ms = number;
        else if (option == 'b')
            snprintf(bench->bin, sizeof(bench->bin), "%s", optarg);
        else if (option == 's')
            bench->strict = true;
        else if (option == 'f')
            bench->floor = true;
        else if (option == 'o')
            bench->only = optarg;
        else if (option != 'p' || parse_peer(bench, optarg) < 0)
            return -EINVAL;
    }
    bench->rounds[PROGRAM_TINY] = rounds;
    bench->rounds[PROGRAM_PYTHON] = (rounds + 4) / 5;
    bench->gap_rounds[PROGRAM_TINY] = gap_rounds;
    bench->gap_rounds[PROGRAM_PYTHON] = (gap_rounds + 1) / 2;
    return optind == argc && rounds < 100000 && gap_rounds < 100000 && bench->gap_ms < 1000
               ? 0
               : -EINVAL;
}

static struct launcher *add(struct bench *bench, const char *name, bool ours, void *data)
{
    struct launcher *l = &bench->launchers[bench->n++];
    *l = (struct launcher){
        .name = name, .ours = ours, .run = command_run, .rate = command_rate, .data = data};
    return l;
}

static void absent(const char *name, const char *words)
{
    printf("%s: not measured: %s\n", name, words);
}

static const char *find_program(const char *given, const char *name, char *buf, size_t size)
{
    static const char *const dirs[] = {"/usr/bin", "/usr/sbin", "/usr/local/bin",
                                       "/usr/local/sbin"};
    if (given)
        return *given && access(given, X_OK) == 0 ? given : NULL;
    for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
        snprintf(buf, size, "%s/%s", dirs[i], name);
        if (access(buf, X_OK) == 0)
            return buf;
    }
    return NULL;
}

static int bundle_command(const struct bench *bench, const struct peer *peer, const char *path,
                          struct command **ret, struct err *err)
{
    static const char *const nothing[] = {NULL};
    struct command *c = command_new(nothing, "");
    if (!c)
        return err_set(err, -ENOMEM, "no memory");
    static char bundles[PROGRAMS][128];
    *ret = c;
    for (int p = 0; p < PROGRAMS; p++) {
        int r = oci_bundle(bench, (enum program)p, bundles[p], sizeof(bundles[p]), err);
        if (r < 0)
            return r;
        size_t n = 0;
        memset(c->argv[p], 0, sizeof(c->argv[p]));
        c->argv[p][n++] = path;
        for (size_t i = 0; peer->args[i]; i++)
            c->argv[p][n++] = peer->args[i];
        c->argv[p][n++] = bundles[p];
        c->argv[p][n++] = "%ID%";
    }
    return 0;
}

static bool works_here(struct launcher *launcher, struct err *err)
{
    return launcher->run(launcher, PROGRAM_TINY, err) == 0 &&
           launcher->run(launcher, PROGRAM_PYTHON, err) == 0;
}

/* Tried once before it is counted on; what does not work on this host is left out, and said. */
static int add_peer(struct bench *bench, size_t i, struct err *err)
{
    static char paths[PEERS][PATH_MAX];
    static char tiny[PATH_MAX + 8];
    const struct peer *peer = &peers[i];
    const char *path = find_program(bench->peers[i], peer->program, paths[i], sizeof(paths[i]));
    if (!path) {
        absent(peer->name, "no such program here");
        return 0;
    }
    snprintf(tiny, sizeof(tiny), "%s/tiny", bench->tiny_dir);
    const char *prefix[sizeof(peer->args) / sizeof(peer->args[0]) + 2] = {path};
    memcpy(prefix + 1, peer->args, sizeof(peer->args));
    struct command *command = NULL;
    int r = 0;
    if (peer->bundle)
        r = bundle_command(bench, peer, path, &command, err);
    else if (!(command = command_new(prefix, tiny)))
        r = err_set(err, -ENOMEM, "no memory");
    if (r < 0) {
        free(command);
        return r;
    }
    struct launcher *launcher = add(bench, peer->name, false, command);
    struct err why = {0};
    bool works = works_here(launcher, &why);
    if (!works && peer->bundle) {
        command->without_v2 = true;
        works = works_here(launcher, &why);
    }
    if (!works) {
        absent(peer->name, why.text);
        free(command);
        bench->n--;
    }
    return 0;
}

static int add_commands(struct bench *bench, struct err *err)
{
    static const char *const nothing[] = {NULL};
    static char program[PATH_MAX + 16], bind[PATH_MAX + 32], tiny[PATH_MAX + 8];
    snprintf(tiny, sizeof(tiny), "%s/tiny", bench->tiny_dir);
    snprintf(program, sizeof(program), "%s/cloister", bench->bin);
    snprintf(bind, sizeof(bind), "%s:" INSIDE_DIR ":ro", bench->tiny_dir);
    const char *once[] = {program, "sandbox", "run", "--bind", bind, "--", NULL};
    struct command *bare = command_new(nothing, tiny);
    struct command *oneshot = command_new(once, INSIDE_DIR "/tiny");
    if (!bare || !oneshot) {
        free(bare);
        free(oneshot);
        return err_set(err, -ENOMEM, "no memory");
    }
    add(bench, "bare vfork + exec", false, bare);
    add(bench, "one-shot sandbox run", true, oneshot);
    return 0;
}

/* What bare is compared with, and what was asked for. */
static void keep_only(struct bench *bench)
{
    size_t kept = 0;
    for (size_t i = 0; i < bench->n; i++) {
        struct launcher *l = &bench->launchers[i];
        bool wanted =
            i == 0 || !bench->only || strncmp(l->name, bench->only, strlen(bench->only)) == 0;
        if (wanted)
            bench->launchers[kept++] = *l;
        else if (l->run == command_run)
            free(l->data);
    }
    bench->n = kept;
}

static void add_resident(struct bench *bench, const char *name, struct resident *resident)
{
    struct launcher *l = add(bench, name, true, resident);
    l->run = resident_run;
    l->rate = resident_rate;
    l->timing = resident_timing;
}

static int run(struct bench *bench, struct err *err)
{
    struct resident *resident = NULL, *unready = NULL;
    struct grpc *grpc = NULL;
    int r = add_commands(bench, err);
    for (size_t i = 0; r == 0 && i < PEERS; i++)
        r = add_peer(bench, i, err);
    absent("go-judge", "it is a server of its own, without a command that starts one program");
    if (r == 0)
        r = oneshot_attest(bench, err);
    if (r == 0)
        r = resident_start(bench, "ready", true, &resident, err);
    if (r == 0)
        r = resident_start(bench, "unready", false, &unready, err);
    if (r == 0)
        r = grpc_start(bench, &grpc, err);
    if (r == 0)
        r = grpc_connect(grpc, err); /* threads from here on */
    if (r == 0) {
        add_resident(bench, "spawner", resident);
        add_resident(bench, "spawner, ready_max 0", unready);
        struct launcher *l = add(bench, "gRPC Execute", true, grpc);
        l->run = grpc_run;
        l->rate = grpc_rate;
        l->timing = grpc_timing;
        if (bench->floor) {
            l = add(bench, "gRPC health check, no run", false, grpc);
            l->run = grpc_ask;
            l->rate = NULL;
        }
        keep_only(bench);
        r = measure_all(bench, err);
    }
    grpc_stop(grpc);
    resident_stop(resident);
    resident_stop(unready);
    for (size_t i = 0; i < bench->n; i++)
        if (bench->launchers[i].run == command_run)
            free(bench->launchers[i].data);
    return r;
}

static int find_ourselves(struct bench *bench, struct err *err)
{
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    if (n <= 0)
        return err_set(err, -errno, "/proc/self/exe: %m");
    self[n] = 0;
    const char *dir = dirname(self); /* build/<preset>/tests */
    snprintf(bench->tiny_dir, sizeof(bench->tiny_dir), "%.4000s/bench_launch.d", dir);
    if (!bench->bin[0])
        snprintf(bench->bin, sizeof(bench->bin), "%.4000s/../bin", dir);
    snprintf(bench->work, sizeof(bench->work), "/run/cloister-bench-%d", getpid());
    return mkdir(bench->work, 0755) == 0 ? 0 : err_set(err, -errno, "mkdir %s: %m", bench->work);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static void remove_work(const struct bench *bench)
{
    nftw(bench->work, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

int main(int argc, char **argv)
{
    if (node_is_inner(argc, argv))
        return node_inner_main();
    static struct bench bench;
    struct err err = {0};
    if (parse(&bench, argc, argv) < 0) {
        usage(stderr);
        return 2;
    }
    int r = geteuid() == 0 ? 0 : err_set(&err, -EPERM, "needs root, as the service does");
    if (r == 0)
        r = find_ourselves(&bench, &err);
    if (r == 0) {
        r = run(&bench, &err);
        remove_work(&bench);
    }
    if (r < 0)
        fprintf(stderr, "bench_launch: %s\n", err.text);
    return r == 0 ? 0 : 1;
}
