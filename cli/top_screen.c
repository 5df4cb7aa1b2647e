#include "cli/top_screen.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"

#define OTHER_SCREEN "\033[?1049h"
#define FIRST_SCREEN "\033[?1049l"
#define HIDE_CURSOR  "\033[?25l"
#define SHOW_CURSOR  "\033[?25h"
#define HOME         "\033[H"

static int say(const char *text)
{
    return fd_write_all(STDOUT_FILENO, text, strlen(text));
}

int top_screen_open(struct top_screen *screen, struct err *err)
{
    *screen = (struct top_screen){0};
    if (tcgetattr(STDIN_FILENO, &screen->before) == 0) {
        struct termios keys = screen->before;
        keys.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
        /* Ctrl-C still ends us, through its signal; being stopped would leave the screen behind. */
        keys.c_cc[VSUSP] = keys.c_cc[VQUIT] = _POSIX_VDISABLE;
        if (tcsetattr(STDIN_FILENO, TCSANOW, &keys) < 0)
            return err_set(err, -errno, "the terminal: %m");
        screen->keys = true;
    }
    screen->open = true;
    return say(OTHER_SCREEN HIDE_CURSOR);
}

void top_screen_close(struct top_screen *screen)
{
    if (!screen->open)
        return;
    screen->open = false;
    (void)say(SHOW_CURSOR FIRST_SCREEN);
    if (screen->keys)
        (void)tcsetattr(STDIN_FILENO, TCSADRAIN, &screen->before);
}

void top_screen_size(uint32_t *ret_rows, uint32_t *ret_cols)
{
    struct winsize size = {0};
    bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0;
    *ret_rows = known && size.ws_row > 0 ? size.ws_row : 24;
    *ret_cols = known && size.ws_col > 0 ? size.ws_col : 80;
}

int top_screen_draw(const char *text, size_t len)
{
    int rc = say(HOME);
    return rc < 0 ? rc : fd_write_all(STDOUT_FILENO, text, len);
}
