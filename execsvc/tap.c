#include "execsvc/tap.h"

#include <errno.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"

#define TERMINAL_AGAIN_US UINT64_C(100000)
#define READS_PER_TURN    4 /* then the other descriptors of the loop have theirs */

static void on_io(struct loop_io *io, uint32_t events);

static void on_again(struct loop_timer *timer);

/* In its last words a tap does not wait for events: there may be none, if somebody still holds the
 * other end. */
static void watch(struct tap *tap)
{
    if (tap->paused || tap->fd < 0 || tap->last_words)
        loop_io_remove(&tap->io);
    else if (!tap->io.loop && !tap->again.loop)
        loop_io_add(tap->loop, &tap->io, tap->fd, EPOLLIN, on_io, NULL);
    if (!tap->paused && tap->fd >= 0 && tap->last_words)
        loop_timer_set(tap->loop, &tap->again, clock_us(), on_again);
}

int tap_open(struct tap *tap, struct loop *loop, int fd, bool terminal)
{
    tap->loop = loop;
    tap->fd = fd;
    tap->terminal = terminal;
    tap->io = (struct loop_io){0};
    tap->again = (struct loop_timer){0};
    tap->last_words = false;
    int r = fd_set_nonblock(fd);
    if (r < 0)
        return r;
    return tap->paused ? 0 : loop_io_add(loop, &tap->io, fd, EPOLLIN, on_io, NULL);
}

void tap_close(struct tap *tap)
{
    loop_io_remove(&tap->io);
    loop_timer_cancel(&tap->again);
    tap->fd = fd_close(tap->fd);
}

static void end(struct tap *tap)
{
    tap_close(tap);
    if (tap->on_end)
        tap->on_end(tap);
}

/* A master reads EIO while no process has the terminal open; one may open it again. */
static void hung_up(struct tap *tap)
{
    if (tap->last_words) {
        end(tap);
        return;
    }
    loop_io_remove(&tap->io);
    if (loop_timer_set(tap->loop, &tap->again, clock_us() + TERMINAL_AGAIN_US, on_again) < 0)
        end(tap);
}

static void read_some(struct tap *tap)
{
    static _Thread_local uint8_t bytes[TAP_READ_MAX];
    for (int i = 0; i < READS_PER_TURN && tap->fd >= 0 && !tap->paused; i++) {
        ssize_t n = read(tap->fd, bytes, sizeof(bytes));
        if (n > 0) {
            tap->on_bytes(tap, bytes, (size_t)n);
            continue;
        }
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN && !tap->last_words)
            return;
        if (n < 0 && errno == EIO && tap->terminal)
            hung_up(tap);
        else
            end(tap);
        return;
    }
    if (tap->last_words)
        watch(tap);
}

static void on_again(struct loop_timer *timer)
{
    struct tap *tap = container_of(timer, struct tap, again);
    if (tap->last_words)
        read_some(tap);
    else
        watch(tap);
}

static void on_io(struct loop_io *io, uint32_t events)
{
    (void)events;
    read_some(container_of(io, struct tap, io));
}

void tap_pause(struct tap *tap, bool paused)
{
    tap->paused = paused;
    if (tap->fd < 0)
        return;
    watch(tap);
}

void tap_last_words(struct tap *tap)
{
    tap->last_words = true;
    watch(tap);
}
