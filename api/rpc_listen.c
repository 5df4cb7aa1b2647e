/* Unix sockets that we accept ourselves, and the door to the network; why so is in rpc_conns.c. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "api/rpc_door.h"
#include "api/rpc_internal.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"

#define ACCEPT_BATCH    16     /* a turn, so that one listener cannot hold the loop */
#define ACCEPT_PAUSE_US 100000 /* without descriptors or memory */
#define BACKLOG         512

struct rpc_listener {
    struct rpc_listener *next;
    struct rpc_server *server;
    struct loop_io io;
    struct loop_timer pause;
    int fd, lock_fd;
    char *path; /* ours to unlink; NULL */
};

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
            rpc_conns_take_unix(listener->server->conns, fd);
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

static void on_door(struct loop_io *io, uint32_t events)
{
    (void)events;
    struct rpc_server *server = container_of(io, struct rpc_server, door_io);
    struct door_news news;
    while (door_next(server->door, &news)) {
        if (news.kind == DOOR_ARRIVAL)
            rpc_conns_take_tls(server->conns, news.fd, news.identity);
        else if (server->options.on_peer_event)
            server->options.on_peer_event(server->options.on_peer_event_arg, &news.event);
    }
}

int rpc_server_listen_tls(struct rpc_server *server, const struct rpc_tls_options *options,
                          struct err *err)
{
    if (server->door)
        return err_set(err, -EEXIST, "the server listens on TCP already");
    return door_new(options, &server->door, err);
}

uint16_t rpc_server_tls_port(const struct rpc_server *server)
{
    return server->door ? door_port(server->door) : 0;
}

void rpc_server_tls_reload(struct rpc_server *server)
{
    if (server->door)
        door_reload(server->door);
}

int rpc_listeners_start(struct rpc_server *server, struct err *err)
{
    for (struct rpc_listener *l = server->listeners; l; l = l->next) {
        int rc = loop_io_add(server->loop, &l->io, l->fd, EPOLLIN, on_connect, err);
        if (rc < 0)
            return rc;
    }
    int rc = rpc_conns_start(server->conns, err);
    if (rc < 0 || !server->door)
        return rc;
    rc = loop_io_add(server->loop, &server->door_io, door_fd(server->door), EPOLLIN, on_door, err);
    return rc < 0 ? rc : door_start(server->door, err);
}

void rpc_listeners_stop(struct rpc_server *server)
{
    if (server->door)
        door_stop(server->door);
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
    loop_io_remove(&server->door_io);
    server->door = door_free(server->door);
    while (server->listeners) {
        struct rpc_listener *next = server->listeners->next;
        listener_free(server->listeners);
        server->listeners = next;
    }
}
