/*
 * One loop: a thread, a libuv loop that is ours (a foreign one, for libwebsockets: its own would
 * install signal handlers), a context and a vhost. Timeouts are kept by the tick, not by
 * libwebsockets, whose timers in a foreign loop are only armed when a socket has an event.
 */

#include <errno.h>
#include <libwebsockets.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "frontgw/http/net_internal.h"

#define TICK_MS 250

static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                    size_t len);

static const struct lws_protocols *protocols_for(size_t conn_size)
{
    /* One configuration per process: the first server decides; sizes are checked below. */
    static struct lws_protocols protocols[2];

    protocols[0] = (struct lws_protocols){
        .name = "cloister",
        .callback = on_event,
        .per_session_data_size = conn_size,
        .rx_buffer_size = NET_READ_MAX,
        .tx_packet_size = NET_WRITE_MAX,
    };
    return protocols;
}

/* What the adopting call hands to LWS_CALLBACK_RAW_ADOPT. */
struct birth {
    struct net_loop *loop;
    const char *address;
    bool done;
};

static void forget_address(struct net_server *server, const char *address)
{
    struct ip ip;

    atomic_fetch_sub(&server->open, 1);
    if (ip_parse(address, &ip) == 0)
        addresses_leave(server->addresses, &ip);
}

static int born(struct lws *wsi, struct net_conn *conn)
{
    struct birth *birth = lws_get_opaque_user_data(wsi);

    lws_set_opaque_user_data(wsi, NULL);
    if (!birth || !conn)
        return -1;
    birth->done = true;
    conn->wsi = wsi;
    conn->loop = birth->loop;
    conn->counted = true;
    memcpy(conn->address, birth->address, strlen(birth->address) + 1);
    conn->next = birth->loop->conns;
    if (conn->next)
        conn->next->prev = conn;
    birth->loop->conns = conn;
    return birth->loop->server->config.events->opened(conn);
}

static void dead(struct net_conn *conn)
{
    struct net_loop *loop = conn->loop;

    if (!loop || !conn->counted)
        return;
    conn->counted = false;
    loop->server->config.events->closed(conn);
    if (conn->prev)
        conn->prev->next = conn->next;
    else
        loop->conns = conn->next;
    if (conn->next)
        conn->next->prev = conn->prev;
    conn->wsi = NULL;
    forget_address(loop->server, conn->address);
}

static void set_up_tls(SSL_CTX *ctx, struct net_server *server)
{
    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_tlsext_ticket_keys(ctx, server->ticket_key, sizeof(server->ticket_key));
}

static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                    size_t len)
{
    struct net_conn *conn = user;

    switch (reason) {
    case LWS_CALLBACK_OPENSSL_LOAD_EXTRA_SERVER_VERIFY_CERTS: {
        struct net_loop *loop = lws_context_user(lws_get_context(wsi));
        set_up_tls(user, loop->server);
        return 0;
    }
    case LWS_CALLBACK_RAW_ADOPT:
        return born(wsi, conn);
    case LWS_CALLBACK_RAW_RX:
        if (!conn || !conn->counted)
            return -1;
        if (!conn->settled) { /* after the TLS handshake a timer of libwebsockets still runs */
            conn->settled = true;
            lws_set_timeout(wsi, NO_PENDING_TIMEOUT, 0);
        }
        return conn->loop->server->config.events->received(conn, in, len);
    case LWS_CALLBACK_RAW_WRITEABLE:
        if (!conn || !conn->counted)
            return -1;
        return conn->loop->server->config.events->writable(conn);
    case LWS_CALLBACK_RAW_CLOSE:
        if (conn)
            dead(conn);
        return 0;
    case LWS_CALLBACK_HTTP:
    case LWS_CALLBACK_ESTABLISHED:
    case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE:
        return -1; /* not reached: no connection is ever given to those roles */
    default:
        return 0;
    }
}

void net_adopt(struct net_loop *loop, int fd, const char *address)
{
    struct birth birth = {.loop = loop, .address = address};
    struct lws_adopt_desc desc = {
        .vh = loop->vhost,
        .type = LWS_ADOPT_SOCKET | LWS_ADOPT_ALLOW_SSL,
        .fd.sockfd = fd,
        .vh_prot_name = "cloister",
        .opaque = &birth,
    };

    /* On failure libwebsockets closes fd. */
    if (!lws_adopt_descriptor_vhost_via_info(&desc) && !birth.done)
        forget_address(loop->server, address);
}

static void on_tick(uv_timer_t *timer)
{
    struct net_loop *loop = timer->data;

    if (loop->listening && !uv_is_active((uv_handle_t *)&loop->listen_poll))
        uv_poll_start(&loop->listen_poll, UV_READABLE, net_accept_ready);
    loop->server->config.events->ticked(loop);
}

static void stop_listening(struct net_loop *loop)
{
    if (!loop->listening)
        return;
    loop->listening = false;
    uv_poll_stop(&loop->listen_poll);
    uv_close((uv_handle_t *)&loop->listen_poll, NULL);
    close(loop->listen_fd);
    loop->listen_fd = -EBADF;
}

static void on_wake(uv_async_t *async)
{
    struct net_loop *loop = async->data;
    struct net_server *server = loop->server;

    if (atomic_load(&loop->stop_listening))
        stop_listening(loop);
    if (atomic_exchange(&loop->reload, false))
        lws_tls_cert_updated(loop->context, server->cert_file, server->key_file, NULL, 0, NULL, 0);
    server->config.events->woken(loop);
    if (atomic_load(&loop->stop))
        uv_stop(&loop->uv);
}

static int make_context(struct net_loop *loop, struct err *err)
{
    struct net_server *server = loop->server;
    void *loops[1] = {&loop->uv};
    struct lws_context_creation_info info = {
        .port = CONTEXT_PORT_NO_LISTEN_SERVER,
        .protocols = protocols_for(server->config.events->conn_size),
        .options = LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_EXPLICIT_VHOSTS |
                   LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT,
        .foreign_loops = loops,
        .user = loop,
        .pt_serv_buf_size = NET_READ_MAX,
        .gid = -1,
        .uid = -1,
        .timeout_secs = 60, /* ours are shorter */
        /* Ours, and empty: otherwise every context reads the system's list of authorities. */
        .provided_client_ssl_ctx = server->no_client,
    };

    lws_set_log_level(0, NULL);
    loop->context = lws_create_context(&info);
    if (!loop->context)
        return err_set(err, -EIO, "libwebsockets context: is libwebsockets-evlib-uv installed?");
    info.options &= ~(uint64_t)LWS_SERVER_OPTION_EXPLICIT_VHOSTS;
    info.vhost_name = "frontgw";
    if (server->cert_file) {
        info.ssl_cert_filepath = server->cert_file;
        info.ssl_private_key_filepath = server->key_file;
        info.alpn = "http/1.1";
    }
    loop->vhost = lws_create_vhost(loop->context, &info);
    if (!loop->vhost)
        return err_set(err, -EIO, "TLS with certificate %s and key %s",
                       server->cert_file ? server->cert_file : "(none)",
                       server->key_file ? server->key_file : "(none)");
    return 0;
}

int net_loop_init(struct net_loop *loop, struct err *err)
{
    int r = uv_loop_init(&loop->uv);

    if (r < 0)
        return err_set(err, r, "event loop: %s", uv_strerror(r));
    loop->scratch = malloc(LWS_PRE + NET_WRITE_MAX);
    if (!loop->scratch)
        return err_set(err, -ENOMEM, "event loop: %m");
    loop->wake.data = loop;
    loop->tick.data = loop;
    loop->listen_poll.data = loop;
    uv_async_init(&loop->uv, &loop->wake, on_wake);
    uv_timer_init(&loop->uv, &loop->tick);
    r = make_context(loop, err);
    if (r < 0)
        return r;
    uv_poll_init(&loop->uv, &loop->listen_poll, loop->listen_fd);
    loop->listening = true;
    return 0;
}

void *net_loop_main(void *arg)
{
    struct net_loop *loop = arg;

    uv_timer_start(&loop->tick, on_tick, TICK_MS, TICK_MS);
    uv_poll_start(&loop->listen_poll, UV_READABLE, net_accept_ready);
    uv_run(&loop->uv, UV_RUN_DEFAULT);

    while (loop->conns)
        net_close(loop->conns);
    stop_listening(loop);
    uv_timer_stop(&loop->tick);
    uv_close((uv_handle_t *)&loop->tick, NULL);
    uv_close((uv_handle_t *)&loop->wake, NULL);
    lws_context_destroy(loop->context);
    for (int i = 0; i < 100 && uv_run(&loop->uv, UV_RUN_NOWAIT); i++)
        ;
    lws_context_destroy(loop->context);
    loop->context = NULL;
    uv_run(&loop->uv, UV_RUN_NOWAIT);
    uv_loop_close(&loop->uv);
    return NULL;
}

void net_loop_done(struct net_loop *loop)
{
    free(loop->scratch);
    loop->scratch = NULL;
}
