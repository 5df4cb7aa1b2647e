#include "frontgw/http/http.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "frontgw/context.h"
#include "frontgw/http/internal.h"
#include "frontgw/ops/settings.h"

static struct mailbox *mailbox_of(struct net_loop *loop)
{
    struct gw_http *http = net_loop_arg(loop);

    return &http->mail[net_loop_index(loop)];
}

void gw_http_return(struct gw_exchange *x)
{
    struct mailbox *box = mailbox_of(x->loop);

    pthread_mutex_lock(&box->lock);
    x->next = box->done;
    box->done = x;
    bool first = x->next == NULL;
    pthread_mutex_unlock(&box->lock);
    if (first)
        net_wake(x->loop);
}

static void close_session(struct net_loop *loop, const char *session)
{
    for (struct net_conn *net = net_loop_first(loop), *next; net; net = next) {
        struct gw_conn *conn = (struct gw_conn *)net;
        next = net->next;
        if (strcmp(conn->session, session) != 0)
            continue;
        /* What is just being answered is answered: it may be the logout itself. */
        if (conn->state == CONN_HEAD || conn->state == CONN_BODY)
            net_close(net);
        else
            conn->close_after = true;
    }
}

static void on_woken(struct net_loop *loop)
{
    struct mailbox *box = mailbox_of(loop);

    pthread_mutex_lock(&box->lock);
    struct gw_exchange *done = take_ptr(box->done);
    struct revocation *revoked = take_ptr(box->revoked);
    pthread_mutex_unlock(&box->lock);
    while (done) {
        struct gw_exchange *x = done;
        done = x->next;
        gw_conn_done(x);
    }
    while (revoked) {
        struct revocation *r = revoked;
        revoked = r->next;
        close_session(loop, r->session);
        free(r);
    }
}

static void on_tick(struct net_loop *loop)
{
    uint64_t now = clock_ms();

    for (struct net_conn *net = net_loop_first(loop), *next; net; net = next) {
        next = net->next;
        gw_conn_tick((struct gw_conn *)net, now);
    }
}

static const struct net_events events = {
    .conn_size = sizeof(struct gw_conn),
    .opened = gw_conn_opened,
    .received = gw_conn_received,
    .writable = gw_conn_writable,
    .closed = gw_conn_closed,
    .ticked = on_tick,
    .woken = on_woken,
};

void gw_close_session(struct gw_context *context, const char *session)
{
    struct gw_http *http = context->http;

    for (unsigned i = 0; http && *session && i < net_server_loops(http->net); i++) {
        struct revocation *r = calloc(1, sizeof(*r));
        if (!r)
            return; /* the session is gone from the store anyway: its next request is nobody's */
        snprintf(r->session, sizeof(r->session), "%s", session);
        pthread_mutex_lock(&http->mail[i].lock);
        r->next = http->mail[i].revoked;
        http->mail[i].revoked = r;
        pthread_mutex_unlock(&http->mail[i].lock);
        net_wake(net_server_loop(http->net, i));
    }
}

static unsigned thread_count(const struct gw_settings *s)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);

    if (s->threads)
        return (unsigned)s->threads;
    return cores < 1 ? 1 : cores > 4 ? 4 : (unsigned)cores;
}

static int open_tmp(struct gw_http *http, struct err *err)
{
    AUTO_CLOSE int data = open(http->settings->data_directory, O_PATH | O_DIRECTORY | O_CLOEXEC);

    if (data < 0)
        return err_set(err, -errno, "data directory %s: %m", http->settings->data_directory);
    if (mkdirat(data, "tmp", 0700) < 0 && errno != EEXIST)
        return err_set(err, -errno, "make %s/tmp: %m", http->settings->data_directory);
    http->tmp_dir = openat(data, "tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (http->tmp_dir < 0)
        return err_set(err, -errno, "open %s/tmp: %m", http->settings->data_directory);
    AUTO_CLOSE int probe = openat(http->tmp_dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (probe < 0)
        return err_set(err, -errno, "unnamed files in %s/tmp: %m", http->settings->data_directory);
    return 0;
}

static int open_net(struct gw_http *http, struct err *err)
{
    const struct gw_settings *s = http->settings;
    struct net_config config = {
        .bind = s->listen_address,
        .port = (uint16_t)s->listen_port,
        .threads = thread_count(s),
        .cert_file = *s->certificate ? s->certificate : NULL,
        .key_file = *s->key ? s->key : NULL,
        .connections_max = (unsigned)s->connections,
        .connections_per_address = (unsigned)s->connections_per_address,
        .events = &events,
        .arg = http,
    };

    http->mail = calloc(config.threads, sizeof(*http->mail));
    if (!http->mail)
        return err_set(err, -ENOMEM, "server: %m");
    for (unsigned i = 0; i < config.threads; i++)
        pthread_mutex_init(&http->mail[i].lock, NULL);
    return net_server_new(&config, &http->net, err);
}

int gw_http_new(const struct gw_http_parts *parts, struct gw_http **ret, struct err *err)
{
    struct gw_http *http = calloc(1, sizeof(*http));
    unsigned char random[6];

    if (!http || getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random)) {
        free(http);
        return err_set(err, -ENOMEM, "server: %m");
    }
    http->parts = *parts;
    http->settings = parts->context->settings;
    http->tmp_dir = -EBADF;
    for (size_t i = 0; i < sizeof(random); i++)
        snprintf(http->id_prefix + 2 * i, 3, "%02x", random[i]);
    int r = ip_nets_new(http->settings->trusted_proxies, &http->trusted, err);
    if (r == 0)
        r = open_tmp(http, err);
    if (r == 0)
        r = open_net(http, err);
    if (r < 0) {
        gw_http_free(http);
        return r;
    }
    *ret = http;
    return 0;
}

int gw_http_start(struct gw_http *http, struct err *err)
{
    return net_server_start(http->net, err);
}

bool gw_http_drain(struct gw_http *http, uint64_t max_ms)
{
    uint64_t until = clock_ms() + max_ms;
    struct net_counts counts;

    atomic_store(&http->draining, true);
    net_server_stop_listening(http->net);
    for (;;) {
        net_server_counts(http->net, &counts);
        if (counts.open == 0)
            return true;
        if (clock_ms() >= until)
            return atomic_load(&http->exchanges) == 0;
        nanosleep(&(struct timespec){.tv_nsec = 20 * 1000 * 1000}, NULL);
    }
}

void gw_http_stop(struct gw_http *http)
{
    net_server_stop(http->net);
}

struct gw_http *gw_http_free(struct gw_http *http)
{
    if (!http)
        return NULL;
    for (unsigned i = 0; http->net && i < net_server_loops(http->net); i++) {
        struct mailbox *box = &http->mail[i];
        while (box->done) {
            struct gw_exchange *x = box->done;
            box->done = x->next;
            gw_exchange_free(x);
        }
        while (box->revoked) {
            struct revocation *r = box->revoked;
            box->revoked = r->next;
            free(r);
        }
        pthread_mutex_destroy(&box->lock);
    }
    net_server_free(http->net);
    ip_nets_free(http->trusted);
    fd_close(http->tmp_dir);
    free(http->mail);
    free(http);
    return NULL;
}

uint16_t gw_http_port(const struct gw_http *http)
{
    return net_server_port(http->net);
}

int gw_http_reload_tls(struct gw_http *http, struct err *err)
{
    return net_server_reload_tls(http->net, err);
}

void gw_http_counts(struct gw_http *http, struct net_counts *ret)
{
    net_server_counts(http->net, ret);
}
