/*
 * Connections that gRPC got from us, and who is behind them.
 *
 * Theory of operation: gRPC's own listener knows no peer credentials, takes over a live socket path
 * and never accepts again after EMFILE. So rpc_listen.c and rpc_door.c accept; here the connection
 * is given to gRPC, which from then on calls it "fd:N"; that number leads back to the peer. N is
 * reused when gRPC has closed it, and a call of the old connection might still be waiting to be
 * looked at. Therefore (a) connections get descriptor numbers in turn, from a window of their own,
 * so that a number comes back only after thousands of others, and (b) a number is believed only
 * while the socket behind it is the one that was accepted (same inode).
 */

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <grpc/grpc_posix.h>
#include <grpc/grpc_security.h>

#include "api/rpc_internal.h"
#include "api/rpc_tap.h"
#include "base/cleanup.h"
#include "base/err.h"

#define WINDOW_MAX (RPC_TAP_FDS / 2)
#define PEER_SHARE 2 /* no peer may have more than this part of all calls */

/* One who is known by a name, while he has connections or calls. */
struct rpc_account {
    struct rpc_account *prev, *next;
    char identity[sizeof(((struct rpc_peer *)0)->identity)];
    uint32_t refs; /* connections and calls */
    uint32_t calls;
};

struct conn {
    bool open;
    struct rpc_account *account; /* while it is open */
    ino_t inode;
    struct rpc_peer peer;
    struct rpc_tap tap;
    uint32_t calls;
    bool told; /* that the guard has ended it */
};

struct rpc_conns {
    struct rpc_server *server;
    grpc_server_credentials *creds;
    int first, cursor, window; /* descriptor numbers [first, first + window) */
    struct conn *table;        /* of window entries */
    struct rpc_account *accounts;
    uint32_t n_open, n_unix;
    uint64_t total, refused, abuses;
    int poke_fd; /* the guard has ended a connection: look which */
    struct loop_io poke_io;
};

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
    conns->poke_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    conns->creds = grpc_insecure_server_credentials_create();
    *ret = conns;
    return 0;
}

/* Of each connection that the guard has ended, once. */
static void conn_tell(struct rpc_conns *conns, struct conn *conn)
{
    const struct rpc_server_options *options = &conns->server->options;
    const char *why = atomic_load(&conn->tap.why);
    if (!why || conn->told)
        return;
    conn->told = true;
    conns->abuses++;
    struct rpc_peer_event event = {.kind = RPC_PEER_ABUSE};
    snprintf(event.identity, sizeof(event.identity), "%s", conn->peer.identity);
    snprintf(event.words, sizeof(event.words), "%s", why);
    if (options->on_peer_event)
        options->on_peer_event(options->on_peer_event_arg, &event);
}

static void on_poke(struct loop_io *io, uint32_t events)
{
    (void)events;
    struct rpc_conns *conns = container_of(io, struct rpc_conns, poke_io);
    uint64_t count;
    (void)!read(conns->poke_fd, &count, sizeof(count));
    for (int i = 0; i < conns->window; i++)
        conn_tell(conns, &conns->table[i]);
}

int rpc_conns_start(struct rpc_conns *conns, struct err *err)
{
    if (conns->poke_fd < 0)
        return err_set(err, -EMFILE, "eventfd: %m");
    return loop_io_add(conns->server->loop, &conns->poke_io, conns->poke_fd, EPOLLIN, on_poke, err);
}

static bool conn_is_open(const struct rpc_conns *conns, int index)
{
    const struct conn *conn = &conns->table[index];
    struct stat st;
    return conn->open && fstat(conns->first + index, &st) == 0 && S_ISSOCK(st.st_mode) &&
           st.st_ino == conn->inode;
}

static struct rpc_account *account_get(struct rpc_conns *conns, const char *identity)
{
    struct rpc_account *account = conns->accounts;
    while (account && strcmp(account->identity, identity) != 0)
        account = account->next;
    if (!account) {
        account = calloc(1, sizeof(*account));
        if (!account)
            return NULL;
        snprintf(account->identity, sizeof(account->identity), "%s", identity);
        account->next = conns->accounts;
        if (account->next)
            account->next->prev = account;
        conns->accounts = account;
    }
    account->refs++;
    return account;
}

static void account_put(struct rpc_conns *conns, struct rpc_account *account)
{
    if (!account || --account->refs > 0)
        return;
    if (account->prev)
        account->prev->next = account->next;
    else
        conns->accounts = account->next;
    if (account->next)
        account->next->prev = account->prev;
    free(account);
}

static void conn_close(struct rpc_conns *conns, struct conn *conn)
{
    if (!conn->open)
        return;
    conn->open = false;
    conns->n_open--;
    conns->n_unix -= conn->peer.transport == RPC_TRANSPORT_UNIX;
    account_put(conns, take_ptr(conn->account));
}

struct rpc_conns *rpc_conns_free(struct rpc_conns *conns)
{
    if (!conns)
        return NULL;
    for (int i = 0; i < conns->window; i++)
        if (conns->table[i].inode)
            rpc_tap_set(conns->first + i, NULL);
    loop_io_remove(&conns->poke_io);
    fd_close(conns->poke_fd);
    grpc_server_credentials_release(conns->creds);
    for (int i = 0; i < conns->window; i++)
        conn_close(conns, &conns->table[i]);
    free(conns->table);
    free(conns);
    return NULL;
}

/* gRPC does not tell when it closes a connection: look. Return: how many of @uid are left on unix
 * sockets. */
static uint32_t conns_sweep(struct rpc_conns *conns, uid_t uid)
{
    uint32_t mine = 0, left = conns->n_open;
    for (int i = 0; i < conns->window && left > 0; i++) {
        struct conn *conn = &conns->table[i];
        if (!conn->open)
            continue;
        left--;
        if (!conn_is_open(conns, i)) {
            conn_close(conns, conn);
        } else if (conn->peer.transport == RPC_TRANSPORT_UNIX && conn->peer.uid == uid) {
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

/* Our own connections (the watchdog's) are let in always: they are what finds out that nobody is.
 */
static bool conns_admit(struct rpc_conns *conns, const struct ucred *cred)
{
    uint32_t mine = conns_sweep(conns, cred->uid);
    if (conns->server->options.admit_self && cred->pid == getpid())
        return true;
    if (conns->n_unix >= conns->server->options.connections_max)
        return false;
    return cred->uid == 0 || mine < conns->server->options.connections_per_uid_max;
}

/* Takes @accepted. */
static void conns_take(struct rpc_conns *conns, int accepted, const struct rpc_peer *peer)
{
    AUTO_CLOSE int fd = accepted;
    struct stat st;
    int numbered = fstat(fd, &st) < 0 ? -errno : conns_number(conns, fd);
    struct rpc_account *account = numbered < 0 ? NULL : account_get(conns, peer->identity);
    if (!account) {
        fd_close(numbered);
        conns->refused++;
        return;
    }
    struct conn *conn = &conns->table[numbered - conns->first];
    conn_tell(conns, conn);
    conn_close(conns, conn); /* the number was free: it is closed, and nobody had looked yet */
    *conn = (struct conn){.account = account,
                          .open = true,
                          .inode = st.st_ino,
                          .peer = *peer,
                          .tap.poke_fd = conns->poke_fd};
    conn->peer.connection = ++conns->total;
    conn->peer.slot = (uint32_t)(numbered - conns->first);
    rpc_tap_set(numbered, &conn->tap);
    conns->n_open++;
    conns->n_unix += peer->transport == RPC_TRANSPORT_UNIX;
    grpc_server_add_channel_from_fd(conns->server->server, numbered, conns->creds);
}

void rpc_conns_take_unix(struct rpc_conns *conns, int accepted)
{
    struct ucred cred;
    socklen_t len = sizeof(cred);
    if (getsockopt(accepted, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0 ||
        !conns_admit(conns, &cred)) {
        conns->refused++;
        fd_close(accepted);
        return;
    }
    struct rpc_peer peer = {.transport = RPC_TRANSPORT_UNIX,
                            .uid = cred.uid,
                            .gid = cred.gid,
                            .pid = cred.pid};
    snprintf(peer.identity, sizeof(peer.identity), "uid:%u", (unsigned)cred.uid);
    conns_take(conns, accepted, &peer);
}

void rpc_conns_take_tls(struct rpc_conns *conns, int line, const char *identity)
{
    struct rpc_peer peer = {.transport = RPC_TRANSPORT_TLS,
                            .uid = (uid_t)-1,
                            .gid = (gid_t)-1,
                            .pid = -1};
    snprintf(peer.identity, sizeof(peer.identity), "%s", identity);
    conns_take(conns, line, &peer);
}

int rpc_conns_call(struct rpc_conns *conns, const char *peer_text, struct rpc_peer *ret,
                   struct rpc_account **ret_account)
{
    if (strncmp(peer_text, "fd:", 3) != 0)
        return RPC_CONNS_UNKNOWN;
    char *end;
    long fd = strtol(peer_text + 3, &end, 10);
    if (end == peer_text + 3 || *end || fd < conns->first || fd >= conns->first + conns->window)
        return RPC_CONNS_UNKNOWN;
    int index = (int)fd - conns->first;
    if (!conn_is_open(conns, index))
        return RPC_CONNS_UNKNOWN;
    struct conn *conn = &conns->table[index];
    /* gRPC itself counts only for peers that have acknowledged its settings. */
    if (conn->calls >= conns->server->options.streams_per_connection_max)
        return RPC_CONNS_FULL;
    if (conn->account->calls >= conns->server->options.calls_max / PEER_SHARE)
        return RPC_CONNS_PEER_FULL;
    conn->calls++;
    conn->account->calls++;
    conn->account->refs++;
    *ret_account = conn->account;
    *ret = conn->peer;
    return 0;
}

void rpc_conns_call_done(struct rpc_conns *conns, const struct rpc_peer *peer,
                         struct rpc_account *account)
{
    account->calls--;
    account_put(conns, account);
    struct conn *conn = &conns->table[peer->slot];
    if (conn->peer.connection == peer->connection) /* else the number is another's already */
        conn->calls--;
}

void rpc_conns_stats(struct rpc_conns *conns, struct rpc_server_stats *ret)
{
    conns_sweep(conns, 0);
    ret->connections = conns->n_open;
    ret->connections_total = conns->total;
    ret->connections_refused = conns->refused;
    ret->abuses = conns->abuses;
}
