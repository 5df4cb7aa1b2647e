/*
 * Two parties that may not talk: put() runs in one sandbox, run() in another, beside it or after
 * it. What is in scope is everything that can be named, locked, counted or listened to; timing and
 * page cache channels are not (docs/SECURITY.md).
 */

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "probe.h"

#define KEY         0x636c6f69 /* SysV */
#define NAME        "cloister-covert"
#define TCP_PORT    20911
#define SHARED_FILE "/usr/bin/env" /* every sandbox shows it */
#define SHARED_DIR  "/usr/bin"

static enum outcome cannot_send(const char *what)
{
    return contained("the sender can not even %s: %s", what, strerror(errno));
}

/* ---- System V IPC ---- */

static enum outcome put_shm(void)
{
    return shmget(KEY, 4096, IPC_CREAT | 0666) < 0 ? cannot_send("shmget") : CONTAINED;
}

static enum outcome get_shm(void)
{
    int id = shmget(KEY, 0, 0);
    return id >= 0 ? escaped("shared memory segment %d", id)
                   : contained("shmget: %s", strerror(errno));
}

static enum outcome put_sem(void)
{
    return semget(KEY, 1, IPC_CREAT | 0666) < 0 ? cannot_send("semget") : CONTAINED;
}

static enum outcome get_sem(void)
{
    int id = semget(KEY, 0, 0);
    return id >= 0 ? escaped("semaphore %d", id) : contained("semget: %s", strerror(errno));
}

static enum outcome put_msg(void)
{
    return msgget(KEY, IPC_CREAT | 0666) < 0 ? cannot_send("msgget") : CONTAINED;
}

static enum outcome get_msg(void)
{
    int id = msgget(KEY, 0);
    return id >= 0 ? escaped("message queue %d", id) : contained("msgget: %s", strerror(errno));
}

/* The host's own segment: seen when the IPC namespace is the host's. */
static enum outcome host_shm(void)
{
    long key = argument_number("shm_key", 0);
    if (!key)
        return broken("no shm_key=");
    int id = shmget((key_t)key, 0, 0);
    return id >= 0 || errno != ENOENT ? escaped("the host's shared memory segment is seen")
                                      : contained("the host's segment: %s", strerror(errno));
}

/* ---- POSIX IPC and files ---- */

static enum outcome put_mqueue(void)
{
    struct mq_attr attr = {.mq_maxmsg = 1, .mq_msgsize = 8};
    return mq_open("/" NAME, O_CREAT | O_RDWR, 0666, &attr) < 0 ? cannot_send("mq_open")
                                                                : CONTAINED;
}

static enum outcome get_mqueue(void)
{
    mqd_t queue = mq_open("/" NAME, O_RDWR);
    return queue >= 0 ? escaped("the message queue is there")
                      : contained("mq_open: %s", strerror(errno));
}

static enum outcome put_file(const char *path)
{
    return open(path, O_CREAT | O_RDWR, 0666) < 0 ? cannot_send("create a file") : CONTAINED;
}

static enum outcome get_file(const char *path)
{
    return access(path, F_OK) == 0 ? escaped("%s is there", path)
                                   : contained("%s: %s", path, strerror(errno));
}

static enum outcome put_dev_shm(void)
{
    return put_file("/dev/shm/" NAME);
}

static enum outcome get_dev_shm(void)
{
    return get_file("/dev/shm/" NAME);
}

static enum outcome put_tmp(void)
{
    return put_file("/tmp/" NAME);
}

static enum outcome get_tmp(void)
{
    return get_file("/tmp/" NAME);
}

static enum outcome put_workspace(void)
{
    return put_file("/workspace/" NAME);
}

static enum outcome get_workspace(void)
{
    return get_file("/workspace/" NAME);
}

static enum outcome put_var_tmp(void)
{
    put_file("/var/tmp/" NAME);
    put_file("/run/" NAME);
    return CONTAINED;
}

static enum outcome get_var_tmp(void)
{
    return get_file("/run/" NAME) == ESCAPED ? ESCAPED : get_file("/var/tmp/" NAME);
}

/* ---- sockets ---- */

static socklen_t abstract_address(struct sockaddr_un *ret)
{
    *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(ret->sun_path + 1, NAME, sizeof(NAME));
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + sizeof(NAME));
}

static bool listen_abstract(void)
{
    struct sockaddr_un address;
    socklen_t len = abstract_address(&address);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    return fd >= 0 && bind(fd, (struct sockaddr *)&address, len) == 0 && listen(fd, 5) == 0;
}

static enum outcome put_abstract(void)
{
    return listen_abstract() ? CONTAINED : cannot_send("listen");
}

static enum outcome get_abstract(void)
{
    struct sockaddr_un address;
    socklen_t len = abstract_address(&address);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr *)&address, len) == 0)
        return escaped("connected to the other's abstract socket");
    return contained("connect: %s", strerror(errno));
}

/* A process that outlives the main one, with a socket that the next run may find. */
static enum outcome put_daemon(void)
{
    fflush(stdout);
    pid_t pid = fork();
    if (pid < 0)
        return cannot_send("fork");
    if (pid == 0) {
        setsid();
        if (listen_abstract())
            for (;;)
                pause();
        _exit(1);
    }
    struct timespec moment = {.tv_nsec = 50000000};
    nanosleep(&moment, NULL);
    return CONTAINED;
}

static enum outcome put_tcp(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(TCP_PORT),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 5) < 0)
        return cannot_send("listen");
    return CONTAINED;
}

static enum outcome get_tcp(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(TCP_PORT),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        return escaped("connected to the other's port %d", TCP_PORT);
    return contained("connect: %s", strerror(errno));
}

/* ---- shared inodes ---- */

static enum outcome put_flock(void)
{
    int fd = open(SHARED_FILE, O_RDONLY);
    return fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0 ? cannot_send("flock") : CONTAINED;
}

static enum outcome get_flock(void)
{
    int fd = open(SHARED_FILE, O_RDONLY);
    if (fd < 0)
        return broken("%s: %s", SHARED_FILE, strerror(errno));
    if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        return escaped("%s is locked by the other: %s", SHARED_FILE, strerror(errno));
    return contained("nobody holds a lock on %s", SHARED_FILE);
}

static enum outcome put_fcntl_lock(void)
{
    struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_len = 1};
    int fd = open(SHARED_FILE, O_RDONLY);
    return fd < 0 || fcntl(fd, F_SETLK, &lock) < 0 ? cannot_send("lock") : CONTAINED;
}

static enum outcome get_fcntl_lock(void)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};
    int fd = open(SHARED_FILE, O_RDONLY);
    if (fd < 0 || fcntl(fd, F_GETLK, &lock) < 0)
        return broken("%s: %s", SHARED_FILE, strerror(errno));
    if (lock.l_type != F_UNLCK)
        return escaped("%s carries a record lock of pid %d", SHARED_FILE, (int)lock.l_pid);
    return contained("no record lock on %s", SHARED_FILE);
}

static enum outcome put_ofd_lock(void)
{
    struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 7, .l_len = 1};
    int fd = open(SHARED_FILE, O_RDONLY);
    return fd < 0 || fcntl(fd, F_OFD_SETLK, &lock) < 0 ? cannot_send("lock") : CONTAINED;
}

static enum outcome get_ofd_lock(void)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 7, .l_len = 1};
    int fd = open(SHARED_FILE, O_RDONLY);
    if (fd < 0 || fcntl(fd, F_OFD_GETLK, &lock) < 0)
        return broken("%s: %s", SHARED_FILE, strerror(errno));
    if (lock.l_type != F_UNLCK)
        return escaped("%s carries an open file lock", SHARED_FILE);
    return contained("no open file lock on %s", SHARED_FILE);
}

static enum outcome put_dir_lock(void)
{
    int fd = open(SHARED_DIR, O_RDONLY | O_DIRECTORY);
    return fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0 ? cannot_send("flock") : CONTAINED;
}

/* Every directory that any sandbox shows, the roots of mounts among them. */
static enum outcome get_dir_lock(void)
{
    static const char *const dirs[] = {SHARED_DIR, "/",    "/usr",  "/usr/lib",
                                       "/etc",     "/dev", "/proc", "/tmp"};
    for (size_t i = 0; i < sizeof(dirs) / sizeof(*dirs); i++) {
        int fd = open(dirs[i], O_RDONLY | O_DIRECTORY);
        if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0)
            return escaped("%s is locked by the other: %s", dirs[i], strerror(errno));
    }
    return contained("no directory is locked");
}

/* The other's locks on everything that could be one inode for two sandboxes. */
static enum outcome put_many_locks(void)
{
    static const char *const paths[] = {"/",
                                        "/usr",
                                        "/etc",
                                        "/etc/passwd",
                                        "/dev",
                                        "/dev/null",
                                        "/proc",
                                        "/dev/zero",
                                        "/lib64",
                                        "/usr/lib",
                                        "/dev/full",
                                        "/dev/urandom",
                                        "/etc/group",
                                        "/proc/version",
                                        "/etc/ld.so.cache",
                                        "/dev/random",
                                        "/proc/sys",
                                        "/etc/hosts",
                                        "/etc/nsswitch.conf",
                                        "/dev/pts",
                                        "/dev/shm"};
    for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
        int fd = open(paths[i], O_RDONLY | O_NONBLOCK);
        if (fd >= 0)
            flock(fd, LOCK_EX | LOCK_NB);
    }
    return CONTAINED;
}

static enum outcome get_many_locks(void)
{
    static const char *const paths[] = {"/",
                                        "/usr",
                                        "/etc",
                                        "/etc/passwd",
                                        "/dev",
                                        "/dev/null",
                                        "/proc",
                                        "/dev/zero",
                                        "/lib64",
                                        "/usr/lib",
                                        "/dev/full",
                                        "/dev/urandom",
                                        "/etc/group",
                                        "/proc/version",
                                        "/etc/ld.so.cache",
                                        "/dev/random",
                                        "/proc/sys",
                                        "/etc/hosts",
                                        "/etc/nsswitch.conf",
                                        "/dev/pts",
                                        "/dev/shm"};
    int tried = 0;
    for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
        int fd = open(paths[i], O_RDONLY | O_NONBLOCK);
        if (fd < 0)
            continue;
        tried++;
        if (flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK)
            return escaped("%s is locked by the other", paths[i]);
        close(fd);
    }
    return contained("none of %d files and devices is locked", tried);
}

static enum outcome get_proc_locks(void)
{
    char text[4096];
    if (read_text("/proc/locks", text, sizeof(text)) < 0)
        return contained("/proc/locks: %s", strerror(errno));
    return text[0] ? escaped("/proc/locks lists %.100s", text) : contained("/proc/locks is empty");
}

/* Opening a shared file over and over, for somebody who watches it. */
static enum outcome put_opens(void)
{
    fflush(stdout);
    pid_t pid = fork();
    if (pid < 0)
        return cannot_send("fork");
    if (pid > 0)
        return CONTAINED;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) {
        struct timespec pause_ms = {.tv_nsec = 10000000};
        int fd = open(SHARED_FILE, O_RDONLY);
        char byte;
        if (fd >= 0 && read(fd, &byte, 1) == 1)
            close(fd);
        nanosleep(&pause_ms, NULL);
    }
}

static enum outcome get_opens(void)
{
    int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (fd < 0)
        return contained("inotify: %s", strerror(errno));
    if (inotify_add_watch(fd, SHARED_FILE, IN_ALL_EVENTS) < 0)
        return contained("inotify_add_watch: %s", strerror(errno));
    inotify_add_watch(fd, SHARED_DIR, IN_ALL_EVENTS);
    struct pollfd watch = {.fd = fd, .events = POLLIN};
    if (poll(&watch, 1, 300) > 0)
        return escaped("inotify tells when the other opens %s", SHARED_FILE);
    return contained("inotify on %s tells nothing", SHARED_FILE);
}

/* ---- the rest ---- */

static enum outcome put_key(void)
{
    if (syscall(SYS_add_key, "user", NAME, "x", 1, -4 /* the user's */) < 0 &&
        syscall(SYS_add_key, "user", NAME, "x", 1, -3 /* the session's */) < 0)
        return CONTAINED;
    return CONTAINED;
}

static enum outcome get_key(void)
{
    char text[4096];
    if (syscall(SYS_request_key, "user", NAME, NULL, 0) >= 0)
        return escaped("the key was found");
    int error = errno;
    if (read_text("/proc/keys", text, sizeof(text)) > 0)
        return escaped("/proc/keys lists %.100s", text);
    return contained("request_key: %s", strerror(error));
}

static enum outcome put_hostname(void)
{
    (void)!sethostname(NAME, strlen(NAME));
    return CONTAINED;
}

static enum outcome get_hostname(void)
{
    char name[256];
    if (gethostname(name, sizeof(name)) < 0)
        return broken("gethostname: %s", strerror(errno));
    return strcmp(name, NAME) == 0 ? escaped("the other named this machine")
                                   : contained("this machine is called %s", name);
}

static enum outcome put_pty(void)
{
    int fd = open("/dev/ptmx", O_RDWR | O_NOCTTY);
    if (fd >= 0) {
        grantpt(fd);
        unlockpt(fd);
    }
    return CONTAINED;
}

static enum outcome get_pty(void)
{
    DIR *dir = opendir("/dev/pts");
    if (!dir)
        return contained("/dev/pts: %s", strerror(errno));
    struct dirent *entry;
    while ((entry = readdir(dir)))
        if (entry->d_name[0] >= '0' && entry->d_name[0] <= '9' && !argument("terminal"))
            return escaped("/dev/pts/%s belongs to somebody else", entry->d_name);
    closedir(dir);
    return contained("/dev/pts is empty");
}

static enum outcome put_process(void)
{
    return prctl(PR_SET_NAME, NAME) < 0 ? cannot_send("set a name") : CONTAINED;
}

static enum outcome get_process(void)
{
    char path[64], text[64];
    for (int pid = 1; pid < 65536; pid++) {
        snprintf(path, sizeof(path), "/proc/%d/comm", pid);
        if (pid != getpid() && read_text(path, text, sizeof(text)) > 0 &&
            strncmp(text, NAME, 15) == 0)
            return escaped("process %d is the other's", pid);
    }
    return contained("the other's process is not to be seen");
}

static const struct probe probes[] = {
    {.name = "covert.sysv-shm", .run = get_shm, .put = put_shm, .flags = PROBE_CONTROL},
    {.name = "covert.sysv-sem", .run = get_sem, .put = put_sem},
    {.name = "covert.sysv-msg", .run = get_msg, .put = put_msg},
    {.name = "covert.host-shm", .layer = "ipc-namespace", .run = host_shm, .flags = PROBE_CONTROL},
    {.name = "covert.posix-mqueue", .run = get_mqueue, .put = put_mqueue},
    {.name = "covert.dev-shm", .run = get_dev_shm, .put = put_dev_shm, .flags = PROBE_CONTROL},
    {.name = "covert.tmp", .run = get_tmp, .put = put_tmp, .flags = PROBE_CONTROL},
    {.name = "covert.workspace", .run = get_workspace, .put = put_workspace},
    {.name = "covert.var-tmp-and-run", .run = get_var_tmp, .put = put_var_tmp},
    {.name = "covert.abstract-socket",
     .run = get_abstract,
     .put = put_abstract,
     .flags = PROBE_CONTROL},
    {.name = "covert.daemon", .run = get_abstract, .put = put_daemon, .flags = PROBE_CONTROL},
    {.name = "covert.tcp-loopback", .run = get_tcp, .put = put_tcp, .flags = PROBE_CONTROL},
    {.name = "covert.flock",
     .layer = "root-overlay",
     .run = get_flock,
     .put = put_flock,
     .flags = PROBE_CONTROL},
    {.name = "covert.fcntl-lock",
     .run = get_fcntl_lock,
     .put = put_fcntl_lock,
     .flags = PROBE_CONTROL},
    {.name = "covert.ofd-lock", .run = get_ofd_lock, .put = put_ofd_lock, .flags = PROBE_CONTROL},
    {.name = "covert.directory-lock",
     .run = get_dir_lock,
     .put = put_dir_lock,
     .flags = PROBE_CONTROL},
    {.name = "covert.many-locks",
     .run = get_many_locks,
     .put = put_many_locks,
     .flags = PROBE_CONTROL},
    {.name = "covert.proc-locks", .run = get_proc_locks, .put = put_flock, .flags = PROBE_CONTROL},
    {.name = "covert.inotify", .run = get_opens, .put = put_opens, .flags = PROBE_CONTROL},
    {.name = "covert.keyring", .run = get_key, .put = put_key},
    {.name = "covert.hostname", .run = get_hostname, .put = put_hostname},
    {.name = "covert.pty", .run = get_pty, .put = put_pty, .flags = PROBE_CONTROL},
    {.name = "covert.process-name", .run = get_process, .put = put_process, .flags = PROBE_CONTROL},
};

const struct probe_table covert_probes = {probes, sizeof(probes) / sizeof(*probes)};
