#include "api/rpc_relay.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <openssl/err.h>

#include "base/cleanup.h"
#include "base/clock.h"

#define BUFFER_SIZE       ((size_t)32 << 10)
#define ROUNDS            8 /* a turn, so that one connection cannot hold the thread */
#define LINGER_US         UINT64_C(5000000)

#define HTTP2_PREFACE_LEN 24 /* whether it is one is for the guard to say (rpc_tap.h) */

static void relay_step(struct relay *relay);

static void relay_end(struct relay *relay, const char *why)
{
    relay->events->on_end(relay, why);
}

static void on_deadline(struct loop_timer *timer)
{
    struct relay *relay = container_of(timer, struct relay, deadline);
    relay_end(relay, relay->pair_eof ? NULL : "too slow");
}

static void on_again(struct loop_timer *timer)
{
    relay_step(container_of(timer, struct relay, again));
}

static void on_tcp(struct loop_io *io, uint32_t events)
{
    struct relay *relay = container_of(io, struct relay, tcp_io);
    if (events & EPOLLERR)
        relay_end(relay, NULL);
    else
        relay_step(relay);
}

static void on_pair(struct loop_io *io, uint32_t events)
{
    (void)events;
    relay_step(container_of(io, struct relay, pair_io));
}

struct relay *relay_new(struct loop *loop, SSL_CTX *ctx, int tcp, uint64_t handshake_us,
                        const struct relay_events *events, void *owner)
{
    struct relay *relay = calloc(1, sizeof(*relay));
    if (!relay)
        return NULL;
    *relay = (struct relay){.owner = owner,
                            .identity = RELAY_NOBODY,
                            .events = events,
                            .loop = loop,
                            .ssl = SSL_new(ctx),
                            .tcp = -EBADF,
                            .pair = -EBADF};
    if (!relay->ssl || SSL_set_fd(relay->ssl, tcp) != 1 ||
        loop_io_add(loop, &relay->tcp_io, tcp, EPOLLIN, on_tcp, NULL) < 0 ||
        loop_timer_set(loop, &relay->deadline, handshake_us, on_deadline) < 0) {
        relay_free(relay);
        return NULL;
    }
    SSL_set_accept_state(relay->ssl);
    relay->tcp = tcp;
    return relay;
}

void relay_free(struct relay *relay)
{
    loop_io_remove(&relay->tcp_io);
    loop_io_remove(&relay->pair_io);
    loop_timer_cancel(&relay->deadline);
    loop_timer_cancel(&relay->again);
    SSL_free(relay->ssl);
    ERR_clear_error();
    fd_close(relay->tcp);
    fd_close(relay->pair);
    free(relay->in.bytes);
    free(relay->out.bytes);
    free(relay);
}

/* ---- what is waited for ------------------------------------------------------------------- */

/* A descriptor of which nothing is wanted is not watched: it would report its hang-up for ever. */
static bool watch(struct relay *relay, struct loop_io *io, int fd, uint32_t events, loop_io_fn *fn)
{
    if (!events) {
        loop_io_remove(io);
        return true;
    }
    if (!io->loop)
        return loop_io_add(relay->loop, io, fd, events, fn, NULL) == 0;
    return io->events == events || loop_io_change(io, events) == 0;
}

static bool has_bytes(const struct relay_buffer *buffer)
{
    return buffer->at < buffer->len;
}

static void relay_wait(struct relay *relay)
{
    uint32_t tcp = 0, pair = 0;
    if (!relay->shaken || (!has_bytes(&relay->in) && !relay->peer_eof))
        tcp |= EPOLLIN;
    if (relay->tls_wants_write || has_bytes(&relay->out))
        tcp |= EPOLLOUT;
    if (relay->shaken && !has_bytes(&relay->out) && !relay->pair_eof)
        pair |= EPOLLIN;
    if (has_bytes(&relay->in))
        pair |= EPOLLOUT;
    if (!watch(relay, &relay->tcp_io, relay->tcp, tcp, on_tcp) ||
        !watch(relay, &relay->pair_io, relay->pair, pair, on_pair))
        relay_end(relay, "out of memory");
}

/* ---- the handshake ------------------------------------------------------------------------ */

/* Return: false when the relay is gone, or must wait. */
static bool relay_shake(struct relay *relay)
{
    ERR_clear_error();
    relay->tls_wants_write = false;
    int n = SSL_do_handshake(relay->ssl);
    if (n != 1) {
        int what = SSL_get_error(relay->ssl, n);
        relay->tls_wants_write = what == SSL_ERROR_WANT_WRITE;
        if (what == SSL_ERROR_WANT_READ || what == SSL_ERROR_WANT_WRITE) {
            relay_wait(relay);
            return false;
        }
        char words[128];
        relay_end(relay, tls_fault(words, sizeof(words)));
        return false;
    }
    const unsigned char *alpn;
    unsigned int alpn_len;
    SSL_get0_alpn_selected(relay->ssl, &alpn, &alpn_len);
    if (alpn_len == 0) {
        relay_end(relay, "no ALPN");
        return false;
    }
    relay->in.bytes = malloc(BUFFER_SIZE);
    relay->out.bytes = malloc(BUFFER_SIZE);
    if (!relay->in.bytes || !relay->out.bytes) {
        relay_end(relay, "out of memory");
        return false;
    }
    relay->pair = relay->events->on_peer(relay);
    if (relay->pair < 0) {
        relay_end(relay, NULL);
        return false;
    }
    relay->shaken = true;
    return true;
}

/* ---- carrying ----------------------------------------------------------------------------- */

/* Each: 1 something was done, 0 not now, -1 the relay is gone. */

static int from_peer(struct relay *relay)
{
    if (has_bytes(&relay->in) || relay->peer_eof)
        return 0;
    ERR_clear_error();
    int n = SSL_read(relay->ssl, relay->in.bytes, (int)BUFFER_SIZE);
    if (n > 0) {
        relay->in = (struct relay_buffer){relay->in.bytes, 0, (size_t)n};
        if (relay->n_read < HTTP2_PREFACE_LEN && !relay->pair_eof) {
            relay->n_read += (size_t)n;
            if (relay->n_read >= HTTP2_PREFACE_LEN)
                loop_timer_cancel(&relay->deadline);
        }
        return 1;
    }
    int what = SSL_get_error(relay->ssl, n);
    relay->tls_wants_write |= what == SSL_ERROR_WANT_WRITE;
    if (what != SSL_ERROR_WANT_READ && what != SSL_ERROR_WANT_WRITE)
        relay->peer_eof = true;
    return 0;
}

static int to_server(struct relay *relay)
{
    struct relay_buffer *in = &relay->in;
    if (!has_bytes(in))
        return 0;
    ssize_t n = send(relay->pair, in->bytes + in->at, in->len - in->at, MSG_NOSIGNAL);
    if (n > 0) {
        in->at += (size_t)n;
        return 1;
    }
    if (errno != EAGAIN && errno != EINTR)
        in->at = in->len; /* gRPC has closed: what it said last is still to be read */
    return 0;
}

static int from_server(struct relay *relay)
{
    if (has_bytes(&relay->out) || relay->pair_eof)
        return 0;
    ssize_t n = recv(relay->pair, relay->out.bytes, BUFFER_SIZE, 0);
    if (n > 0) {
        relay->out = (struct relay_buffer){relay->out.bytes, 0, (size_t)n};
        return 1;
    }
    if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        relay->pair_eof = true;
        (void)loop_timer_set(relay->loop, &relay->deadline, clock_us() + LINGER_US, on_deadline);
    }
    return 0;
}

static int to_peer(struct relay *relay)
{
    struct relay_buffer *out = &relay->out;
    if (!has_bytes(out))
        return 0;
    ERR_clear_error();
    int n = SSL_write(relay->ssl, out->bytes + out->at, (int)(out->len - out->at));
    if (n > 0) {
        out->at += (size_t)n;
        return 1;
    }
    int what = SSL_get_error(relay->ssl, n);
    if (what == SSL_ERROR_WANT_READ || what == SSL_ERROR_WANT_WRITE)
        return 0;
    relay_end(relay, NULL);
    return -1;
}

static void relay_step(struct relay *relay)
{
    static int (*const parts[])(struct relay *) = {from_peer, to_server, from_server, to_peer};
    if (!relay->shaken && !relay_shake(relay))
        return;
    int done = 1;
    relay->tls_wants_write = false;
    for (int round = 0; round < ROUNDS && done > 0; round++) {
        done = 0;
        for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
            int r = parts[i](relay);
            if (r < 0)
                return;
            done += r;
        }
    }
    if (relay->pair_eof && !has_bytes(&relay->out)) {
        (void)SSL_shutdown(relay->ssl); /* says goodbye; nobody waits for the answer */
        relay_end(relay, NULL);
        return;
    }
    if (relay->peer_eof && !has_bytes(&relay->in)) {
        relay_end(relay, NULL);
        return;
    }
    if (done > 0) /* OpenSSL may hold bytes of which epoll knows nothing */
        (void)loop_timer_set(relay->loop, &relay->again, clock_us(), on_again);
    relay_wait(relay);
}
