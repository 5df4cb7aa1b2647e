#include "sandbox/direct.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "sandbox/direct_child.h"
#include "sandbox/etc_files.h"
#include "sandbox/host_facts.h"
#include "sandbox/inner.h"
#include "sandbox/launch.h"
#include "sandbox/mounts.h"
#include "sandbox/plan.h"
#include "sandbox/stage.h"

/* What layers are made of. A run that is alone needs no weight beside others, and what is frozen to
 * be killed elsewhere goes with its pid namespace here. */
#define CONTROLLERS (CG_MEMORY | CG_PIDS | CG_CPUACCT)

struct direct {
    const struct node_config *config;
    struct direct_events events;
    struct run_env env;
    struct plan_tree tree;
    int writable_root; /* the root once more, to fill its /etc while the child is on its way */
    struct cg_host *host;
    struct cg_tree *cgroups;
    struct slot slot;
    struct run *run;
    bool swept; /* somebody else clears up */
    bool told;  /* the result is out */
    const char *root_paths[NODE_ROOT_PATHS_MAX + 1];
};

bool direct_fits(const struct node_config *config)
{
    return geteuid() == 0 && config->launcher == SBX_LAUNCHER_NATIVE &&
           config->layers == LAYERS_ALL && config->allow_missing == 0;
}

/* The numbers that become the sandbox's first descriptors: nothing of ours may stand there. */
static int reserve_low(struct err *err)
{
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    while (fd >= 0 && fd < INNER_FDS_LOW)
        fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (fd < 0)
        return err_set(err, -errno, "reserve descriptors: %m");
    fd_close(fd);
    return 0;
}

/* ---- the tree, as far as it can be made outside ---- */

static int open_binds(struct direct *d, bool *is_dir, struct err *err)
{
    const struct node_config *c = d->config;
    int r = 0;
    for (uint32_t i = 0; r == 0 && i < c->n_binds; i++) {
        const struct node_bind *bind = &c->binds[i];
        struct stat st;
        if (stat(bind->source, &st) < 0)
            return err_set(err, -errno, "bind: %s: %m", bind->source);
        is_dir[i] = S_ISDIR(st.st_mode);
        d->tree.binds[i].target = bind->target;
        r = view_open(bind->source, bind->writable ? VIEW_WRITABLE : VIEW_READ_ONLY,
                      &d->tree.binds[i].fd, err);
        d->tree.n_binds += r == 0;
    }
    return r;
}

/* As the uid that is 0 inside: everything in it belongs to the sandbox's root. */
static void be_its_root(const struct direct *d, bool yes)
{
    setfsgid(yes ? d->config->uid_base : 0);
    setfsuid(yes ? d->config->uid_base : 0);
}

static int make_etc(const struct direct *d, int root, struct err *err)
{
    be_its_root(d, true);
    int r = etc_files_make(root, d->config, ETC_HOST_COPIES, err);
    be_its_root(d, false);
    return r;
}

static bool binds_in_etc(const struct node_config *config)
{
    for (uint32_t i = 0; i < config->n_binds; i++)
        if (strncmp(config->binds[i].target, "/etc", 4) == 0)
            return true;
    return false;
}

/* The child attaches the root long before its program looks into /etc. A kernel that copies no
 * detached mounts (before 6.15) has it filled at once. */
static int make_root(struct direct *d, const bool *bind_is_dir, struct err *err)
{
    char owner[16];
    snprintf(owner, sizeof(owner), "%u", d->config->uid_base);
    const char *const options[][2] = {
        {"mode", "0755"}, {"size", "16m"}, {"uid", owner}, {"gid", owner}, {NULL, NULL}};
    int r = tmpfs_open(options, VIEW_READ_ONLY, &d->tree.root_fd, err);
    if (r < 0)
        return r;
    if (!binds_in_etc(d->config))
        d->writable_root = view_again(d->tree.root_fd);
    be_its_root(d, true);
    r = skeleton_make(d->tree.root_fd, d->config, err);
    be_its_root(d, false);
    if (r == 0 && d->writable_root < 0)
        r = make_etc(d, d->tree.root_fd, err);
    be_its_root(d, true);
    for (uint32_t i = 0; r == 0 && i < d->config->n_binds; i++)
        r = make_mount_point(d->tree.root_fd, d->config->binds[i].target, bind_is_dir[i], err);
    be_its_root(d, false);
    return r < 0 ? r : view_lock(d->tree.root_fd, err);
}

static int make_dev(struct direct *d, struct err *err)
{
    static const char *const options[][2] = {{"mode", "0755"},
                                             {"size", "64k"},
                                             {"nr_inodes", "64"},
                                             {NULL, NULL}};
    int r = tmpfs_open(options, VIEW_DEVICES, &d->tree.dev_fd, err);
    if (r < 0)
        return r;
    mode_t old = umask(0);
    r = make_device_nodes(d->tree.dev_fd, err);
    umask(old);
    return r < 0 ? r : view_lock(d->tree.dev_fd, err);
}

static int make_tree(struct direct *d, struct err *err)
{
    static const char *const places[] = {"/mnt", "/media", "/srv", "/opt", "/tmp"};
    for (size_t i = 0; !d->tree.place && i < sizeof(places) / sizeof(places[0]); i++)
        if (access(places[i], X_OK) == 0)
            d->tree.place = places[i];
    if (!d->tree.place)
        return err_set(err, -ENOENT, "no directory to build the sandbox's tree on");
    bool is_dir[SBX_BINDS_MAX] = {false};
    int r = open_binds(d, is_dir, err);
    if (r == 0)
        r = make_root(d, is_dir, err);
    if (r == 0)
        r = make_dev(d, err);
    for (uint32_t i = 0; i < d->config->n_root_paths; i++)
        d->root_paths[i] = d->config->root_paths[i];
    d->tree.root_paths = d->root_paths;
    d->tree.hostname = "cloister";
    d->tree.init_caps = INIT_CAPS;
    return r < 0 ? r : host_proc_masks(&d->tree.masks, err);
}

/* ---- the rest ---- */

static int make_group(struct direct *d, struct err *err)
{
    int r = cg_host_read(CONTROLLERS, &d->host, err);
    if (r < 0 || cg_host_version(d->host) == CG_V2 ||
        (cg_host_controllers(d->host) & CONTROLLERS) != CONTROLLERS)
        return DIRECT_E_CGROUPS;
    char name[80];
    node_tree_name(d->config, name, sizeof(name));
    return cg_group_alone(d->host, name, &d->cgroups, &d->slot.group, err);
}

static int map_users(const struct direct *d, pid_t pid, struct err *err)
{
    static const char *const files[] = {"uid_map", "gid_map"};
    char path[64], text[64];
    snprintf(text, sizeof(text), "0 %u %u", d->config->uid_base, d->config->uid_count);
    int r = 0;
    for (int i = 0; r == 0 && i < 2; i++) {
        snprintf(path, sizeof(path), "/proc/%d/%s", pid, files[i]);
        r = file_write_text(path, text, err);
    }
    return r;
}

static int begin_child(struct direct *d, struct err *err)
{
    static struct plan plan;
    pid_t pid;
    int r = plan_build_tree(&d->tree, &plan, err);
    if (r == 0)
        r = direct_helper_user_ns(&pid, err);
    if (r == 0)
        r = map_users(d, pid, err);
    if (r == 0)
        direct_helper_clone(&plan);
    return r;
}

static int start(void *arg, const struct plan *plan, struct err *err)
{
    struct direct *d = arg;
    direct_helper_go_on(plan);
    int r = d->writable_root < 0 ? 0 : make_etc(d, d->writable_root, err);
    int pidfd;
    if (r < 0 && direct_helper_finish(&pidfd, NULL) == 0) {
        launch_end(pidfd);
        fd_close(pidfd);
    }
    return r;
}

static int finish(void *arg, int *ret_pidfd, struct err *err)
{
    struct direct *d = arg;
    int r = direct_helper_finish(ret_pidfd, err);
    d->swept = r == 0 && direct_sweeper_start(*ret_pidfd, d->slot.group);
    return r;
}

static int make_env(struct direct *d, struct err *err)
{
    d->slot.uid = NODE_SLOT_UID;
    d->env = (struct run_env){
        .available = LAYERS_ALL,
        .cpus = host_cpus(),
        .tmpfs_owner = true,
        .proc = true,
        .notify = true,
        .alone = true,
        .launcher = SBX_LAUNCHER_NATIVE,
        .filters = sbx_ready_filters,
        .tree = &d->tree,
        .start = start,
        .finish = finish,
        .start_arg = d,
        .init_fd = init_image_open(),
    };
    if (d->env.init_fd < 0)
        return err_set(err, d->env.init_fd, "make init's image: %m");
    d->env.masks = d->tree.masks;
    return loop_new(&d->env.loop, err);
}

int direct_ahead(struct err *err)
{
    if (direct_helper_is_there())
        return 0;
    umask(022);
    int r = reserve_low(err);
    return r < 0 ? r : direct_helper_start(&sbx_ready_spawner_filter, err);
}

void direct_call_off(void)
{
    direct_helper_end();
}

int direct_begin(const struct node_config *config, struct direct **ret, struct err *err)
{
    static struct direct the_one;
    struct direct *d = &the_one;
    *d = (struct direct){.config = config};
    d->tree.root_fd = d->tree.dev_fd = d->writable_root = d->env.init_fd = -EBADF;
    d->slot = (struct slot){.net_fd = -EBADF, .pty_master = -EBADF};
    d->slot.views[0] = (struct slot_view){-EBADF, -EBADF};
    int r = direct_ahead(err);
    if (r == 0)
        r = make_tree(d, err);
    if (r == 0)
        r = begin_child(d, err);
    if (r == 0)
        r = make_group(d, err);
    if (r == 0)
        r = make_env(d, err);
    if (r != 0) {
        direct_free(d);
        return r;
    }
    *ret = d;
    return 0;
}

static void on_started(void *arg, struct run *run)
{
    (void)arg, (void)run;
}

static void on_result(void *arg, struct run *run, const struct run_result *result)
{
    struct direct *d = arg;
    (void)run;
    d->told = true;
    d->events.result(d->events.arg, result);
}

static void on_gone(void *arg, struct run *run)
{
    struct direct *d = arg;
    d->run = run_free(run);
}

int direct_run(struct direct *d, const struct sbx_spec *spec, const int *fds,
               const struct direct_events *events, struct err *err)
{
    const struct run_events mine = {.started = on_started,
                                    .result = on_result,
                                    .gone = on_gone,
                                    .arg = d};
    d->events = *events;
    struct sbx_spec resolved = *spec;
    int r = limits_resolve(&spec->limits, &d->config->defaults, &d->config->ceilings,
                           &resolved.limits, err);
    /* Standard input may be any number, also one that is about to become another descriptor. */
    int copies[SPAWN_FDS] = {0};
    for (int i = 0; i < SPAWN_FDS; i++)
        copies[i] = r == 0 && fds[i] >= 0 ? fcntl(fds[i], F_DUPFD_CLOEXEC, INNER_FDS_LOW) : -EBADF;
    if (r == 0)
        r = run_start(&d->env, &mine, &d->slot, 1, &resolved, copies, 0, &d->run, err);
    for (int i = 0; i < SPAWN_FDS; i++)
        fd_close(copies[i]);
    return r;
}

int direct_fd(const struct direct *direct)
{
    return loop_fd(direct->env.loop);
}

int direct_dispatch(struct direct *direct, struct err *err)
{
    int r = loop_step(direct->env.loop, 0, err);
    return r < 0 ? r : loop_arm(direct->env.loop, err);
}

void direct_end(struct direct *direct, enum end_cause cause)
{
    if (!direct->run)
        return;
    run_end(direct->run, cause);
    loop_arm(direct->env.loop, NULL);
}

void direct_signal(struct direct *direct, int signo)
{
    if (direct->run)
        run_signal(direct->run, signo);
}

struct direct *direct_free(struct direct *direct)
{
    if (!direct)
        return NULL;
    if (!direct->told)
        direct_end(direct, END_CANCELLED);
    while (direct->run && !(direct->told && direct->swept) &&
           loop_step(direct->env.loop, -1, NULL) == 0)
        ;
    if (direct->swept) /* descriptors and all: they are the sweeper's as well */
        return NULL;
    loop_free(direct->env.loop);
    direct_helper_end();
    for (size_t i = 0; i < direct->tree.n_binds; i++)
        fd_close(direct->tree.binds[i].fd);
    fd_close(direct->tree.root_fd);
    fd_close(direct->writable_root);
    fd_close(direct->tree.dev_fd);
    fd_close(direct->env.init_fd);
    cg_group_free(direct->slot.group);
    if (direct->host)
        node_leftovers_remove(direct->host);
    cg_tree_free(direct->cgroups);
    cg_host_free(direct->host);
    return NULL;
}
