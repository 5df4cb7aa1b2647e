#include "sandbox/inner_setup.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "sandbox/caps.h"
#include "sandbox/host_facts.h"
#include "sandbox/inner.h"
#include "sandbox/inputs.h"
#include "sandbox/stage.h"

/* What the spawner keeps: namespaces and mounts, lo of a new network, and what init gets. */
#define SPAWNER_CAPS (INIT_CAPS | CAP(SYS_ADMIN) | CAP(SYS_CHROOT) | CAP(NET_ADMIN))
/* And to lay a workspace over an input set: an overlay works in a directory of mode 0000. */
#define LAYER_CAPS CAP(DAC_OVERRIDE)

static struct sbx_filter filters[2];

/* Numbers below INNER_FDS_LOW are what children get as stdio: ours must not be among them. */
static int move_up(int fd, struct err *err)
{
    int up = fcntl(fd, F_DUPFD_CLOEXEC, INNER_FDS_LOW);
    if (up < 0)
        return err_set(err, -errno, "move descriptor %d up: %m", fd);
    return up;
}

static int take_descriptors(int *ret_config, int *ret_client, struct err *err)
{
    int r = *ret_config = move_up(INNER_FD_CONFIG, err);
    if (r >= 0)
        r = *ret_client = move_up(INNER_FD_CLIENT, err);
    AUTO_CLOSE int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (r >= 0 && null < 0)
        r = err_set(err, -errno, "open /dev/null: %m");
    for (int fd = 0; r >= 0 && fd < INNER_FDS_LOW; fd++) {
        if (fd == STDERR_FILENO || fd == null)
            continue;
        if (dup3(null, fd, fd <= STDERR_FILENO ? 0 : O_CLOEXEC) < 0)
            r = err_set(err, -errno, "reserve descriptor %d: %m", fd);
    }
    if (r >= 0 && null < INNER_FDS_LOW)
        null = -EBADF; /* it is one of the reserved ones now */
    return r < 0 ? r : 0;
}

/* What whoever started us ignores would stay ignored in every program, where `yes | head` would not
 * end. Here once, and not 64 calls in each run. */
static void default_signals(void)
{
    for (int signo = 1; signo < NSIG; signo++)
        signal(signo, SIG_DFL);
}

/* A slot keeps about 20 descriptors open on cgroup v1, and a soft limit is often 1024. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static int read_config(int fd, struct node_config *ret, struct err *err)
{
    ssize_t n = pread(fd, ret, sizeof(*ret), 0);
    fd_close(fd);
    if (n != (ssize_t)sizeof(*ret))
        return err_set(err, -EIO, "read the configuration from outer: %zd bytes", n);
    return 0;
}

static int enter_cgroups(struct node_config *config, struct cg_tree **ret, struct err *err)
{
    *ret = NULL;
    if (config->cgroups[0]) {
        int r = cg_tree_open(config->cgroups, ret, err);
        if (r == 0)
            r = cg_tree_enter(*ret, err);
        if (r < 0)
            return r;
    }
    /*
     * On v2 this process stands in a leaf. A namespace rooted there would make the slots' groups
     * unreachable on a host that mounts cgroup2 with nsdelegate (systemd does): clone3 into them
     * says ENOENT. Every run makes its own.
     */
    bool rooted_in_tree = !*ret || cg_tree_version(*ret) != CG_V2;
    if ((config->layers & LAYER_BIT(LAYER_CGROUP_NS)) && rooted_in_tree &&
        unshare(CLONE_NEWCGROUP) < 0)
        return err_set(err, -errno, "layer cgroup-namespace: unshare: %m");
    return 0;
}

static int drop_capabilities(const struct node_config *config, struct err *err)
{
    uint64_t init = INIT_CAPS, own = SPAWNER_CAPS | (config->inputs_fault[0] ? 0 : LAYER_CAPS);
    if (!(config->layers & LAYER_BIT(LAYER_NO_NEW_PRIVS)))
        init |= CAP(SYS_ADMIN); /* without no_new_privs, loading a filter needs it */
    if (!config->many_uids) {
        init &= ~(CAP(SETUID) | CAP(SETGID));
        own &= ~(CAP(SETUID) | CAP(SETGID));
    }
    int r = caps_keep(own, init);
    return r < 0 ? err_set(err, r, "layer capabilities: drop: %m") : 0;
}

static uint32_t missing_layers(const struct node_config *config, const struct cg_tree *tree)
{
    uint32_t missing = 0;
    uint32_t controllers = tree ? cg_tree_controllers(tree) : 0;
    if (!(controllers & CG_MEMORY))
        missing |= LAYER_BIT(LAYER_CG_MEMORY);
    if (!(controllers & CG_PIDS))
        missing |= LAYER_BIT(LAYER_CG_PIDS);
    if (!(controllers & CG_CPUACCT))
        missing |= LAYER_BIT(LAYER_CG_CPU);
    if (!config->many_uids)
        missing |= LAYER_BIT(LAYER_SLOT_UID);
    if (!config->user_ns)
        missing |= LAYER_BIT(LAYER_USER_NS);
    return missing;
}

static int check_missing(const struct node_config *config, uint32_t missing, struct err *err)
{
    uint32_t refused = missing & config->layers & ~config->allow_missing;
    char names[160] = "";
    for (int i = 0; i < LAYER_COUNT; i++)
        if (refused & LAYER_BIT(i)) {
            size_t used = strlen(names);
            snprintf(names + used, sizeof(names) - used, " %s", layer_name((enum layer)i));
        }
    if (!refused)
        return 0;
    return err_set(err, -EPERM,
                   "these layers can't be had here:%s (see `cloister doctor`; --allow-missing "
                   "LAYER goes on without one)",
                   names);
}

/* A service has both at hand; a single run builds the one that it needs, which takes a millisecond.
 */
static int build_filters(const struct node_config *config, struct run_env *env, struct err *err)
{
    env->filters = filters;
    env->notify = true;
    int r = 0;
    for (uint32_t policy = 0; r == 0 && !config->one_shot && policy < 2; policy++)
        r = inner_filter_build(policy, err);
    return r;
}

int inner_filter_build(uint32_t policy, struct err *err)
{
    struct sbx_filter *filter = &filters[policy & SBX_POLICY_NO_SUBPROCESS ? 1 : 0];
    return filter->n_insns ? 0 : sbx_filter_build(policy, filter, err);
}

static int give_up_rights(const struct node_config *config, struct err *err)
{
    int r = drop_capabilities(config, err);
    if (r < 0)
        return r;
    if ((config->layers & LAYER_BIT(LAYER_NO_NEW_PRIVS)) &&
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return err_set(err, -errno, "layer no-new-privs: %m");
    if ((config->layers & LAYER_BIT(LAYER_SECCOMP)) && config->launcher == SBX_LAUNCHER_NATIVE)
        r = sbx_filter_spawner_install(err);
    return r;
}

int inner_setup(struct node_config *ret_config, int *ret_client, struct cg_tree **ret_tree,
                struct run_env *ret_env, struct err *err)
{
    AUTO_CLOSE int config_fd = -EBADF;
    int r = take_descriptors(&config_fd, ret_client, err);
    if (r == 0)
        r = read_config(take_fd(&config_fd), ret_config, err);
    if (r < 0)
        return r;
    const struct node_config *config = ret_config;
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    umask(022);
    default_signals();
    raise_descriptor_limit();
    r = enter_cgroups(ret_config, ret_tree, err);
    if (r < 0)
        return r;
    *ret_env = (struct run_env){.cpus = host_cpus(),
                                .tmpfs_owner = config->many_uids,
                                .proc = true,
                                .launcher = config->launcher};
    ret_env->missing = missing_layers(config, *ret_tree);
    r = check_missing(config, ret_env->missing, err);
    if (r == 0 && (config->layers & LAYER_BIT(LAYER_UTS_NS)) && sethostname("cloister", 8) < 0)
        r = err_set(err, -errno, "layer uts-namespace: sethostname: %m");
    if (r == 0 && !config->staging[0])
        r = stage_build(ret_config, err);
    if (r == 0 && (config->layers & LAYER_BIT(LAYER_MOUNT_NS)))
        r = base_tree_build(config, err);
    if (r == 0)
        r = inputs_keep(config, &ret_env->inputs, err);
    ret_env->open_inputs = inputs_open;
    if (r == 0)
        r = build_filters(config, ret_env, err);
    if (r == 0)
        r = host_proc_masks(&ret_env->masks, err);
    if (r < 0)
        return r;
    ret_env->init_fd = init_image_open();
    if (ret_env->init_fd < 0)
        return err_set(err, ret_env->init_fd, "make init's image: %m");
    return give_up_rights(config, err);
}
