#include "frontgw/http/net_http.h"

#include <assert.h>
#include <errno.h>
#include <libwebsockets.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "frontgw/http/net_internal.h"

#define LOOPS_MAX 64

/* Do certificate and key belong together? OpenSSL says so before a running server is touched. */
static int check_pair(const char *cert_file, const char *key_file, struct err *err)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    int r = 0;

    if (!ctx)
        return err_set(err, -ENOMEM, "OpenSSL context");
    if (SSL_CTX_use_certificate_chain_file(ctx, cert_file) != 1)
        r = err_set(err, -EINVAL, "no certificate can be read from %s", cert_file);
    else if (SSL_CTX_use_PrivateKey_file(ctx, key_file, SSL_FILETYPE_PEM) != 1 ||
             SSL_CTX_check_private_key(ctx) != 1)
        r = err_set(err, -EINVAL, "%s is not the key of %s", key_file, cert_file);
    SSL_CTX_free(ctx);
    return r;
}

static char *copy_of(const char *text)
{
    return text && *text ? strdup(text) : NULL;
}

static int set_up(struct net_server *server, const struct net_config *config, struct err *err)
{
    int r = 0;

    server->config = *config;
    server->port = config->port;
    server->bind = copy_of(config->bind);
    server->cert_file = copy_of(config->cert_file);
    server->key_file = copy_of(config->key_file);
    server->n_loops = config->threads < LOOPS_MAX ? config->threads : LOOPS_MAX;
    server->loops = calloc(server->n_loops ? server->n_loops : 1, sizeof(*server->loops));
    if (!server->bind || !server->loops || !server->n_loops)
        return err_set(err, -ENOMEM, "server: %m");
    for (unsigned i = 0; i < server->n_loops; i++) {
        server->loops[i].server = server;
        server->loops[i].index = i;
        server->loops[i].listen_fd = -EBADF;
    }
    if (!server->cert_file != !server->key_file)
        return err_set(err, -EINVAL, "a certificate and its key are configured together or not");
    if (server->cert_file)
        r = check_pair(server->cert_file, server->key_file, err);
    if (r == 0 && RAND_bytes(server->ticket_key, sizeof(server->ticket_key)) != 1)
        r = err_set(err, -EIO, "no random bytes");
    server->no_client = SSL_CTX_new(TLS_client_method());
    if (r == 0 && !server->no_client)
        r = err_set(err, -ENOMEM, "OpenSSL context");
    if (r == 0)
        r = addresses_new(&server->addresses, err);
    if (r == 0)
        r = net_listen(server, err);
    for (unsigned i = 0; r == 0 && i < server->n_loops; i++)
        r = net_loop_init(&server->loops[i], err);
    return r;
}

int net_server_new(const struct net_config *config, struct net_server **ret, struct err *err)
{
    struct net_server *server = calloc(1, sizeof(*server));

    if (!server)
        return err_set(err, -ENOMEM, "server: %m");
    int r = set_up(server, config, err);
    if (r < 0)
        return r; /* the process is about to end; half-made event loops are left to it */
    *ret = server;
    return 0;
}

int net_server_start(struct net_server *server, struct err *err)
{
    sigset_t all, before;
    int r = 0;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (unsigned i = 0; i < server->n_loops && r == 0; i++) {
        struct net_loop *loop = &server->loops[i];
        r = -pthread_create(&loop->thread, NULL, net_loop_main, loop);
        loop->running = r == 0;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return r < 0 ? err_set(err, r, "start a server thread: %m") : 0;
}

void net_server_stop_listening(struct net_server *server)
{
    for (unsigned i = 0; i < server->n_loops; i++) {
        atomic_store(&server->loops[i].stop_listening, true);
        net_wake(&server->loops[i]);
    }
}

void net_server_stop(struct net_server *server)
{
    for (unsigned i = 0; i < server->n_loops; i++) {
        if (!server->loops[i].running)
            continue;
        atomic_store(&server->loops[i].stop, true);
        net_wake(&server->loops[i]);
        pthread_join(server->loops[i].thread, NULL);
        server->loops[i].running = false;
    }
}

struct net_server *net_server_free(struct net_server *server)
{
    if (!server)
        return NULL;
    net_server_stop(server);
    for (unsigned i = 0; i < server->n_loops; i++)
        net_loop_done(&server->loops[i]);
    addresses_free(server->addresses);
    SSL_CTX_free(server->no_client);
    free(server->loops);
    free(server->bind);
    free(server->cert_file);
    free(server->key_file);
    OPENSSL_cleanse(server->ticket_key, sizeof(server->ticket_key));
    free(server);
    return NULL;
}

int net_server_reload_tls(struct net_server *server, struct err *err)
{
    if (!server->cert_file)
        return 0;
    int r = check_pair(server->cert_file, server->key_file, err);
    if (r < 0)
        return r;
    for (unsigned i = 0; i < server->n_loops; i++) {
        atomic_store(&server->loops[i].reload, true);
        net_wake(&server->loops[i]);
    }
    return 0;
}

uint16_t net_server_port(const struct net_server *server)
{
    return server->port;
}

unsigned net_server_loops(const struct net_server *server)
{
    return server->n_loops;
}

struct net_loop *net_server_loop(struct net_server *server, unsigned i)
{
    return &server->loops[i];
}

void net_server_counts(struct net_server *server, struct net_counts *ret)
{
    *ret = (struct net_counts){.open = atomic_load(&server->open)};
    for (unsigned i = 0; i < server->n_loops; i++) {
        ret->accepted += atomic_load(&server->loops[i].accepted);
        ret->refused_address += atomic_load(&server->loops[i].refused_address);
        ret->refused_total += atomic_load(&server->loops[i].refused_total);
        ret->tls_failed += atomic_load(&server->loops[i].tls_failed);
    }
}

void *net_loop_arg(struct net_loop *loop)
{
    return loop->server->config.arg;
}

unsigned net_loop_index(const struct net_loop *loop)
{
    return loop->index;
}

struct net_conn *net_loop_first(struct net_loop *loop)
{
    return loop->conns;
}

void net_wake(struct net_loop *loop)
{
    uv_async_send(&loop->wake);
}

int net_write(struct net_conn *conn, const void *bytes, size_t len)
{
    unsigned char *at = conn->loop->scratch + LWS_PRE;

    assert(len <= NET_WRITE_MAX);
    memcpy(at, bytes, len);
    return lws_write(conn->wsi, at, len, LWS_WRITE_RAW) < (int)len ? -1 : 0;
}

void net_want_write(struct net_conn *conn)
{
    lws_callback_on_writable(conn->wsi);
}

void net_pause(struct net_conn *conn)
{
    lws_rx_flow_control(conn->wsi, 0);
}

void net_resume(struct net_conn *conn)
{
    lws_rx_flow_control(conn->wsi, 1);
}

void net_finish(struct net_conn *conn)
{
    SSL *ssl = lws_get_ssl(conn->wsi);

    if (ssl && SSL_is_init_finished(ssl))
        SSL_shutdown(ssl);
    shutdown(lws_get_socket_fd(conn->wsi), SHUT_WR);
}

void net_close(struct net_conn *conn)
{
    lws_set_timeout(conn->wsi, PENDING_TIMEOUT_USER_REASON_BASE, LWS_TO_KILL_SYNC);
}

bool net_is_tls(const struct net_conn *conn)
{
    return conn->loop->server->cert_file != NULL;
}
