/*
 * Unix sockets that we accept ourselves.
 *
 * Theory of operation: gRPC's own listener knows no peer credentials, takes over a live socket path
 * and never accepts again after EMFILE. So we bind, accept, read SO_PEERCRED and give the
 * connection to gRPC, which from then on calls it "fd:N"; that number leads back to the
 * credentials. N is reused when gRPC has closed it, and a call of the old connection might still be
 * waiting to be looked at. Therefore (a) connections get descriptor numbers in turn, from a window
 * of their own, so that a number comes back only after thousands of others, and (b) a number is
 * believed only while the socket behind it is the one that was accepted (same inode).
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <grpc/grpc_posix.h>
#include <grpc/grpc_security.h>

#include "api/rpc_internal.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"

#define WINDOW_MAX      16384
#define ACCEPT_BATCH    16     /* a turn, so that one listener cannot hold the loop */
#define ACCEPT_PAUSE_US 100000 /* without descriptors or memory */
#define BACKLOG         512

struct conn {
    bool open;
    ino_t inode;
    struct ucred cred;
    uint64_t number;
};

struct rpc_conns {
    struct rpc_server *server;
    grpc_server_credentials *creds;
    int first, cursor, window; /* descriptor numbers [first, first + window) */
    struct conn *table;        /* of window entries */
    uint32_t n_open;
    uint64_t total, refused;
};

struct rpc_listener {
    struct rpc_listener *next;
    struct rpc_server *server;
    struct loop_io io;
    struct loop_timer pause;
    int fd, lock_fd;
    char *path; /* ours to unlink; NULL */
};

/* ---- connections -------------------------------------------------------------------------- */

int rpc_conns_new(struct rpc_server *server, struct rpc_conns **ret, struct err *err)
{
    struct rlimit nofile = {.rlim_cur = 1024};
    (void)getrlimit(RLIMIT_NOFILE, &nofile);
    int top = nofile.rlim_cur > 2 * WINDOW_MAX ? 2 * WINDOW_MAX : (int)nofile.rlim_cur;
    struct rpc_conns *conns = calloc(1, sizeof(*conns));
    if (conns) {
        conns->window = top / 2;
        conns->first = conns->cursor = top - conns->window;
        conns->table = calloc((size_t)conns->window, sizeof(*conns->table));
    }
    if (!conns || !conns->table) {
        free(conns);
        return err_set(err, -ENOMEM, "connection table: %m");
    }
    conns->server = server;
    conns->creds = grpc_insecure_server_credentials_create();
    *ret = conns;
    return 0;
}

struct rpc_conns *rpc_conns_free(struct rpc_conns *conns)
{
    if (!conns)
        return NULL;
    grpc_server_credentials_release(conns->creds);
    free(conns->table);
    free(conns);
    return NULL;
}

static bool conn_is_open(const struct rpc_conns *conns, int index)
{
    const struct conn *conn = &conns->table[index];
    struct stat st;
    return conn->open && fstat(conns->first + index, &st) == 0 && S_ISSOCK(st.st_mode) &&
           st.st_ino == conn->inode;
}

/* gRPC does not tell when it closes a connection: look. Return: how many of @uid are left. */
static uint32_t conns_sweep(struct rpc_conns *conns, uid_t uid)
{
    uint32_t mine = 0, left = conns->n_open;
    for (int i = 0; i < conns->window && left > 0; i++) {
        struct conn *conn = &conns->table[i];
        if (!conn->open)
            continue;
        left--;
        if (!conn_is_open(conns, i)) {
            conn->open = false;
            conns->n_open--;
        } else if (conn->cred.uid == uid) {
            mine++;
        }
    }
    return mine;
}

/* Move @fd to the next number of the window. */
static int conns_number(struct rpc_conns *conns, int fd)
{
    for (int round = 0; round < 2; round++) {
        int moved = fcntl(fd, F_DUPFD_CLOEXEC, conns->cursor);
        if (moved >= 0 && moved < conns->first + conns->window) {
            conns->cursor = moved + 1;
            if (conns->cursor >= conns->first + conns->window)
                conns->cursor = conns->first;
            return moved;
        }
        fd_close(moved);
        conns->cursor = conns->first;
    }
    return -EMFILE;
}

static bool conns_admit(struct rpc_conns *conns, uid_t uid)
{
    uint32_t mine = conns_sweep(conns, uid);
    if (conns->n_open >= conns->server->options.connections_max)
        return false;
    return uid == 0 || mine < conns->server->options.connections_per_uid_max;
}

/* Takes @accepted. */
static void conns_take(struct rpc_conns *conns, int accepted)
{
    AUTO_CLOSE int fd = accepted;
    struct ucred cred;
    socklen_t len = sizeof(cred);
    struct stat st;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0 || fstat(fd, &st) < 0 ||
        !conns_admit(conns, cred.uid)) {
        conns->refused++;
        return;
    }
    int numbered = conns_number(conns, fd);
    if (numbered < 0) {
        conns->refused++;
        return;
    }
    conns->table[numbered - conns->first] =
        (struct conn){.open = true, .inode = st.st_ino, .cred = cred, .number = ++conns->total};
    conns->n_open++;
    grpc_server_add_channel_from_fd(conns->server->server, numbered, conns->creds);
}

bool rpc_conns_peer(struct rpc_conns *conns, const char *peer_text, struct rpc_peer *ret)
{
    if (strncmp(peer_text, "fd:", 3) != 0)
        return false;
    char *end;
    long fd = strtol(peer_text + 3, &end, 10);
    if (end == peer_text + 3 || *end || fd < conns->first || fd >= conns->first + conns->window)
        return false;
    int index = (int)fd - conns->first;
    if (!conn_is_open(conns, index))
        return false;
    const struct conn *conn = &conns->table[index];
    *ret = (struct rpc_peer){
        .transport = RPC_TRANSPORT_UNIX,
        .uid = conn->cred.uid,
        .gid = conn->cred.gid,
        .pid = conn->cred.pid,
        .connection = conn->number,
    };
    snprintf(ret->identity, sizeof(ret->identity), "uid:%u", (unsigned)conn->cred.uid);
    return true;
}

void rpc_conns_stats(struct rpc_conns *conns, struct rpc_server_stats *ret)
{
    conns_sweep(conns, 0);
    ret->connections = conns->n_open;
    ret->connections_total = conns->total;
    ret->connections_refused = conns->refused;
}

/* ---- listeners ---------------------------------------------------------------------------- */

static void on_pause_over(struct loop_timer *timer)
{
    struct rpc_listener *listener = container_of(timer, struct rpc_listener, pause);
    (void)loop_io_change(&listener->io, EPOLLIN);
}

/* The backlog holds the others meanwhile; without a pause the loop would spin. */
static void listener_pause(struct rpc_listener *listener)
{
    (void)loop_io_change(&listener->io, 0);
    (void)loop_timer_set(listener->server->loop, &listener->pause, clock_us() + ACCEPT_PAUSE_US,
                         on_pause_over);
}

static void on_connect(struct loop_io *io, uint32_t events)
{
    (void)events;
    struct rpc_listener *listener = container_of(io, struct rpc_listener, io);
    for (int i = 0; i < ACCEPT_BATCH; i++) {
        int fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0) {
            conns_take(listener->server->conns, fd);
            continue;
        }
        if (errno == EINTR || errno == ECONNABORTED)
            continue;
        if (errno != EAGAIN)
            listener_pause(listener);
        return;
    }
}

static struct rpc_listener *listener_free(struct rpc_listener *listener)
{
    loop_io_remove(&listener->io);
    loop_timer_cancel(&listener->pause);
    if (listener->path)
        unlink(listener->path);
    free(listener->path);
    fd_close(listener->fd);
    fd_close(listener->lock_fd);
    free(listener);
    return NULL;
}

static int listener_new(struct rpc_server *server, struct rpc_listener **ret, struct err *err)
{
    struct rpc_listener *listener = calloc(1, sizeof(*listener));
    if (!listener)
        return err_set(err, -ENOMEM, "listener: %m");
    listener->server = server;
    listener->fd = listener->lock_fd = -EBADF;
    *ret = listener;
    return 0;
}

static void listener_add(struct rpc_listener *listener)
{
    listener->next = listener->server->listeners;
    listener->server->listeners = listener;
}

static int make_directory(const struct rpc_unix_options *options, struct err *err)
{
    AUTO_FREE char *dir = strdup(options->path);
    if (!dir)
        return err_set(err, -ENOMEM, "%s: %m", options->path);
    char *slash = strrchr(dir, '/');
    if (!slash || slash == dir)
        return 0;
    *slash = '\0';
    mode_t mode = options->dir_mode ? options->dir_mode : 0750;
    if (mkdir(dir, mode) < 0)
        return errno == EEXIST ? 0 : err_set(err, -errno, "make directory %s: %m", dir);
    if (chmod(dir, mode) < 0)
        return err_set(err, -errno, "mode of %s: %m", dir);
    if (options->gid != (gid_t)-1 && chown(dir, (uid_t)-1, options->gid) < 0)
        return err_set(err, -errno, "group of %s: %m", dir);
    return 0;
}

/* Whoever holds the lock is the one instance; a socket without a holder is a dead one's. */
static int take_lock(struct rpc_listener *listener, const char *path, struct err *err)
{
    char lock_path[sizeof(((struct sockaddr_un *)0)->sun_path) + 8];
    snprintf(lock_path, sizeof(lock_path), "%s.lock", path);
    listener->lock_fd = open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (listener->lock_fd < 0)
        return err_set(err, -errno, "open %s: %m", lock_path);
    if (flock(listener->lock_fd, LOCK_EX | LOCK_NB) == 0)
        return 0;
    if (errno == EWOULDBLOCK)
        return err_set(err, -EADDRINUSE, "%s is served by another instance", path);
    return err_set(err, -errno, "lock %s: %m", lock_path);
}

static int clear_path(const char *path, struct err *err)
{
    struct stat st;
    if (lstat(path, &st) < 0)
        return errno == ENOENT ? 0 : err_set(err, -errno, "%s: %m", path);
    if (!S_ISSOCK(st.st_mode))
        return err_set(err, -EEXIST, "%s exists and is not a socket: remove it", path);
    if (unlink(path) < 0)
        return err_set(err, -errno, "remove the dead socket %s: %m", path);
    return 0;
}

static int bind_path(struct rpc_listener *listener, const struct rpc_unix_options *options,
                     struct err *err)
{
    const char *path = options->path;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(address.sun_path))
        return err_set(err, -ENAMETOOLONG, "socket path %s is longer than %zu bytes", path,
                       sizeof(address.sun_path) - 1);
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    int rc = make_directory(options, err);
    if (rc == 0)
        rc = take_lock(listener, path, err);
    if (rc == 0)
        rc = clear_path(path, err);
    if (rc < 0)
        return rc;
    mode_t mode = options->mode ? options->mode : 0660;
    listener->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    /* The mode before bind() is the one that the new file gets: no moment of more. */
    if (listener->fd < 0 || fchmod(listener->fd, mode) < 0)
        return err_set(err, -errno, "socket: %m");
    if (bind(listener->fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        return err_set(err, -errno, "bind %s: %m", path);
    listener->path = strdup(path);
    if (!listener->path)
        return err_set(err, -ENOMEM, "%s: %m", path);
    if (options->gid != (gid_t)-1 && chown(path, (uid_t)-1, options->gid) < 0)
        return err_set(err, -errno, "group of %s: %m", path);
    if (chmod(path, mode) < 0)
        return err_set(err, -errno, "mode of %s: %m", path);
    if (listen(listener->fd, BACKLOG) < 0)
        return err_set(err, -errno, "listen on %s: %m", path);
    return 0;
}

int rpc_server_listen_unix(struct rpc_server *server, const struct rpc_unix_options *options,
                           struct err *err)
{
    struct rpc_listener *listener;
    int rc = listener_new(server, &listener, err);
    if (rc < 0)
        return rc;
    rc = bind_path(listener, options, err);
    if (rc < 0) {
        listener_free(listener);
        return rc;
    }
    listener_add(listener);
    return 0;
}

int rpc_server_listen_fd(struct rpc_server *server, int fd, struct err *err)
{
    struct rpc_listener *listener;
    int rc = listener_new(server, &listener, err);
    if (rc < 0) {
        fd_close(fd);
        return rc;
    }
    listener->fd = fd;
    if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) {
        rc = err_set(err, -errno, "listening descriptor %d: %m", fd);
        listener_free(listener);
        return rc;
    }
    listener_add(listener);
    return 0;
}

int rpc_listeners_start(struct rpc_server *server, struct err *err)
{
    for (struct rpc_listener *l = server->listeners; l; l = l->next) {
        int rc = loop_io_add(server->loop, &l->io, l->fd, EPOLLIN, on_connect, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

void rpc_listeners_stop(struct rpc_server *server)
{
    for (struct rpc_listener *l = server->listeners; l; l = l->next) {
        loop_io_remove(&l->io);
        loop_timer_cancel(&l->pause);
        if (l->path)
            unlink(l->path); /* new clients go elsewhere at once */
        free(take_ptr(l->path));
        l->fd = fd_close(l->fd);
    }
}

void rpc_listeners_free(struct rpc_server *server)
{
    while (server->listeners) {
        struct rpc_listener *next = server->listeners->next;
        listener_free(server->listeners);
        server->listeners = next;
    }
}
