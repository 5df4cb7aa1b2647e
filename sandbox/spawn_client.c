#include "sandbox/spawn_client.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "sandbox/spawn_wire.h"

#define HELLO_WAIT_MS 5000

struct spawn_client {
    int fd;
    struct spawn_events events;
    void *arg;
    struct spawn_node node;
    _Alignas(8) uint8_t buf[SPAWN_MESSAGE_MAX];
};

struct incoming {
    uint32_t type;
    uint64_t run;
    struct wire_reader payload;
    int fd; /* owned; -EBADF: none */
};

static int receive(struct spawn_client *c, struct incoming *ret, struct err *err)
{
    int fds[FD_PASS_MAX];
    size_t n_fds = 0;
    ssize_t n = fd_recv(c->fd, c->buf, sizeof(c->buf), fds, &n_fds);
    if (n == -EAGAIN)
        return 0;
    if (n <= 0)
        return err_set(err, -EPIPE, "the spawner is gone");
    ret->fd = n_fds ? fds[0] : -EBADF;
    for (size_t i = 1; i < n_fds; i++)
        fd_close(fds[i]);
    wire_reader_init(&ret->payload, c->buf, (size_t)n);
    uint32_t magic = wire_u32(&ret->payload);
    ret->type = wire_u32(&ret->payload);
    ret->run = wire_u64(&ret->payload);
    if (ret->payload.bad || magic != SPAWN_MAGIC) {
        fd_close(ret->fd);
        return err_set(err, -EPIPE, "the spawner speaks another version of the protocol");
    }
    return 1;
}

static int take_struct(struct wire_reader *r, void *to, size_t size)
{
    const void *bytes = wire_bytes(r, size);
    if (!bytes)
        return -EBADMSG;
    memcpy(to, bytes, size);
    return 0;
}

static int deliver(struct spawn_client *c, struct incoming *m)
{
    struct run_result result;
    struct err refused;
    struct run_usage usage;
    struct spawn_node_stats stats;
    AUTO_CLOSE int fd = m->fd;
    switch (m->type) {
    case SPAWN_STARTED:
        c->events.on_started(c->arg, m->run, take_fd(&fd));
        return 0;
    case SPAWN_RESULT:
        if (take_struct(&m->payload, &result, sizeof(result)) < 0)
            return -EBADMSG;
        c->events.on_result(c->arg, m->run, &result);
        return 0;
    case SPAWN_REFUSED:
        if (take_struct(&m->payload, &refused, sizeof(refused)) < 0)
            return -EBADMSG;
        c->events.on_refused(c->arg, m->run, &refused);
        return 0;
    case SPAWN_USAGE:
        if (take_struct(&m->payload, &usage, sizeof(usage)) < 0)
            return -EBADMSG;
        if (c->events.on_usage)
            c->events.on_usage(c->arg, m->run, &usage, wire_u32(&m->payload) != 0);
        return 0;
    case SPAWN_NODE_STATS:
        if (take_struct(&m->payload, &stats, sizeof(stats)) < 0)
            return -EBADMSG;
        if (c->events.on_node_stats)
            c->events.on_node_stats(c->arg, &stats);
        return 0;
    default:
        return -EBADMSG;
    }
}

static int await_hello(struct spawn_client *c, struct err *err)
{
    struct pollfd p = {.fd = c->fd, .events = POLLIN};
    int n;
    do {
        n = poll(&p, 1, HELLO_WAIT_MS);
    } while (n < 0 && errno == EINTR);
    if (n == 0)
        return err_set(err, -ETIMEDOUT, "the spawner did not answer within %d s",
                       HELLO_WAIT_MS / 1000);
    struct incoming m;
    int r = n < 0 ? err_set(err, -errno, "poll: %m") : receive(c, &m, err);
    if (r < 0)
        return r;
    fd_close(m.fd);
    struct err sorry;
    if (r > 0 && m.type == SPAWN_REFUSED && take_struct(&m.payload, &sorry, sizeof(sorry)) == 0) {
        if (err)
            *err = sorry;
        return sorry.code < 0 ? sorry.code : -EPERM;
    }
    if (r == 0 || m.type != SPAWN_HELLO || take_struct(&m.payload, &c->node, sizeof(c->node)) < 0)
        return err_set(err, -EPIPE, "the spawner did not say hello");
    return 0;
}

int spawn_client_new(int fd, const struct spawn_events *events, void *arg,
                     struct spawn_client **ret, struct err *err)
{
    struct spawn_client *c = calloc(1, sizeof(*c));
    if (!c) {
        fd_close(fd);
        return err_set(err, -ENOMEM, "no memory for the spawner's client");
    }
    c->fd = fd;
    c->events = *events;
    c->arg = arg;
    int r = await_hello(c, err);
    if (r == 0 && (r = fd_set_nonblock(fd)) < 0)
        err_set(err, r, "set O_NONBLOCK: %m");
    if (r < 0) {
        spawn_client_free(c);
        return r;
    }
    *ret = c;
    return 0;
}

struct spawn_client *spawn_client_free(struct spawn_client *client)
{
    if (client) {
        fd_close(client->fd);
        free(client);
    }
    return NULL;
}

int spawn_client_fd(const struct spawn_client *client)
{
    return client->fd;
}

const struct spawn_node *spawn_client_node(const struct spawn_client *client)
{
    return &client->node;
}

int spawn_client_dispatch(struct spawn_client *client, struct err *err)
{
    struct incoming m;
    int r;
    while ((r = receive(client, &m, err)) > 0)
        if (deliver(client, &m) < 0)
            return err_set(err, -EPIPE, "the spawner sent a malformed message");
    return r;
}

int spawn_client_run(struct spawn_client *client, uint64_t run, const struct sbx_spec *spec,
                     const struct spawn_fds *fds, struct err *err)
{
    int passed[SPAWN_FDS];
    size_t n_passed;
    int n = spawn_wire_run_write(client->buf, sizeof(client->buf), run, spec, fds, passed,
                                 &n_passed, err);
    if (n < 0)
        return n;
    int r = fd_send(client->fd, client->buf, (size_t)n, passed, n_passed);
    return r < 0 ? err_set(err, r, "send a run to the spawner: %m") : 0;
}

static int send_plain(struct spawn_client *client, enum spawn_type type, uint64_t run, uint32_t arg,
                      struct err *err)
{
    uint8_t buf[64];
    int n = spawn_wire_plain_write(buf, sizeof(buf), type, run, arg);
    int r = fd_send(client->fd, buf, (size_t)n, NULL, 0);
    return r < 0 ? err_set(err, r, "send an order to the spawner: %m") : 0;
}

int spawn_client_end(struct spawn_client *client, uint64_t run, enum spawn_end why, struct err *err)
{
    return send_plain(client, SPAWN_END, run, why, err);
}

int spawn_client_signal(struct spawn_client *client, uint64_t run, int signo, struct err *err)
{
    return send_plain(client, SPAWN_SIGNAL, run, (uint32_t)signo, err);
}

int spawn_client_query(struct spawn_client *client, uint64_t run, struct err *err)
{
    return send_plain(client, SPAWN_QUERY, run, 0, err);
}

int spawn_client_query_node(struct spawn_client *client, struct err *err)
{
    return send_plain(client, SPAWN_QUERY_NODE, 0, 0, err);
}
