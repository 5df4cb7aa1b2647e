#include "cli/run_terminal.h"

#include <errno.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/err.h"

void run_terminal_size(uint32_t *ret_rows, uint32_t *ret_cols)
{
    struct winsize size = {0};
    *ret_rows = 24;
    *ret_cols = 80;
    if (ioctl(STDIN_FILENO, TIOCGWINSZ, &size) < 0)
        return;
    if (size.ws_row > 0 && size.ws_row <= 1000)
        *ret_rows = size.ws_row;
    if (size.ws_col > 0 && size.ws_col <= 1000)
        *ret_cols = size.ws_col;
}

int run_terminal_raw(struct run_terminal *terminal, struct err *err)
{
    terminal->at_line_start = true;
    terminal->tilde = false;
    if (tcgetattr(STDIN_FILENO, &terminal->before) < 0)
        return err_set(err, -errno, "--terminal needs a terminal on stdin: %m");
    struct termios raw = terminal->before;
    cfmakeraw(&raw);
    if (tcsetattr(STDIN_FILENO, TCSANOW, &raw) < 0)
        return err_set(err, -errno, "raw mode of the terminal: %m");
    terminal->raw = true;
    return 0;
}

void run_terminal_restore(struct run_terminal *terminal)
{
    if (!terminal->raw)
        return;
    terminal->raw = false;
    (void)tcsetattr(STDIN_FILENO, TCSADRAIN, &terminal->before);
}

ssize_t run_terminal_escape(struct run_terminal *terminal, const char *typed, size_t len, char *out)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        char c = typed[i];
        if (!terminal->tilde && c == '~' && terminal->at_line_start) {
            terminal->tilde = true; /* held back until the next key */
            continue;
        }
        if (terminal->tilde && c == '.')
            return -1;
        if (terminal->tilde && c != '~')
            out[n++] = '~';
        terminal->tilde = false;
        terminal->at_line_start = c == '\r' || c == '\n';
        out[n++] = c;
    }
    return (ssize_t)n;
}
