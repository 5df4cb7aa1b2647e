/*
 * Our stdin on its way to the program. It is read only when the message before is on its way (a
 * slow program slows its feeder down); a file or /dev/null cannot be polled and is simply read at
 * those moments.
 */

#include "cli/run_session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"

void run_stdin_stop(struct run_session *s)
{
    loop_io_remove(&s->stdin_io);
    s->stdin_open = false;
    s->stdin_polled = false;
}

/* Return: false when it must wait for on_writable. */
static bool send_input(struct run_session *s)
{
    if (s->input_len == 0)
        return true;
    int rc = client_run_input(s->run, s->input, s->input_len);
    if (rc == -EAGAIN)
        return false;
    s->input_len = 0;
    if (rc < 0)
        run_stdin_stop(s); /* the run is over */
    return rc == 0;
}

/* Read once. Return: false when there will be no more. */
static bool read_input(struct run_session *s)
{
    char typed[RUN_INPUT_CHUNK];
    ssize_t n;
    do {
        n = read(STDIN_FILENO, typed, sizeof(typed));
    } while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EAGAIN)
        return true;
    if (n <= 0) {
        run_stdin_stop(s);
        client_run_close_input(s->run);
        return false;
    }
    if (!s->terminal.raw) {
        memcpy(s->input, typed, (size_t)n);
        s->input_len = (size_t)n;
        return true;
    }
    n = run_terminal_escape(&s->terminal, typed, (size_t)n, s->input);
    if (n < 0 && run_may_leave(s))
        run_leave(s, 0);
    else if (n < 0)
        client_run_cancel(s->run);
    s->input_len = n > 0 ? (size_t)n : 0;
    return true;
}

static void on_stdin(struct loop_io *io, uint32_t events)
{
    (void)events;
    struct run_session *s = container_of(io, struct run_session, stdin_io);
    /* Leaving the loop is the only way to wait: a hang-up is reported whatever was asked for, and
     * reading on would overwrite what has not been sent. */
    if (!s->run || (read_input(s) && !send_input(s)))
        loop_io_remove(&s->stdin_io);
}

static void pump_file(struct run_session *s)
{
    while (s->stdin_open && !s->stdin_polled && send_input(s) && s->run && read_input(s))
        ;
}

void run_stdin_go_on(struct run_session *s)
{
    if (!s->stdin_begun)
        return;
    if (!s->stdin_open && s->input_len == 0) /* perhaps it was lost with a connection */
        client_run_close_input(s->run);
    if (!send_input(s) || !s->stdin_open)
        return;
    if (!s->stdin_polled)
        pump_file(s);
    else if (!s->stdin_io.loop)
        (void)loop_io_add(s->loop, &s->stdin_io, STDIN_FILENO, EPOLLIN, on_stdin, NULL);
}

void run_stdin_begin(struct run_session *s)
{
    const struct run_options *o = &s->options;
    bool wanted =
        o->input == 1 || o->terminal || (o->input == -1 && !o->attach && !isatty(STDIN_FILENO));
    if (!wanted && o->attach && o->input != 0)
        return; /* it stays as it was left */
    s->stdin_begun = true;
    if (!wanted) {
        client_run_close_input(s->run);
        return;
    }
    s->stdin_open = true;
    s->stdin_polled =
        loop_io_add(s->loop, &s->stdin_io, STDIN_FILENO, EPOLLIN, on_stdin, NULL) == 0;
    if (!s->stdin_polled) /* EPERM: a file */
        pump_file(s);
}

int run_buffer_add(struct run_buffer *buffer, const void *data, size_t len)
{
    if (len > buffer->size - buffer->len) {
        size_t size = buffer->size ? buffer->size : 4096;
        while (size - buffer->len < len)
            size *= 2;
        uint8_t *bytes = realloc(buffer->bytes, size);
        if (!bytes)
            return -ENOMEM;
        buffer->bytes = bytes;
        buffer->size = size;
    }
    memcpy(buffer->bytes + buffer->len, data, len);
    buffer->len += len;
    return 0;
}

int run_stdin_all(struct run_buffer *ret, struct err *err)
{
    char bytes[RUN_INPUT_CHUNK];
    for (;;) {
        ssize_t n = read(STDIN_FILENO, bytes, sizeof(bytes));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_set(err, -errno, "read stdin: %m");
        if (n == 0)
            return 0;
        if (ret->len + (size_t)n > MODEL_STDIN_BYTES_MAX)
            return err_set(err, -E2BIG, "with --detach, stdin is at most 1 MiB");
        if (run_buffer_add(ret, bytes, (size_t)n) < 0)
            return err_set(err, -ENOMEM, "read stdin: %m");
    }
}
