#include "base/notify.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"

static struct sockaddr_un address = {.sun_family = AF_UNIX};
static socklen_t address_len; /* 0: nobody listens */

void notify_take(void)
{
    const char *path = getenv("NOTIFY_SOCKET");
    size_t len = path ? strlen(path) : 0;
    if (len > 1 && len < sizeof(address.sun_path) && (path[0] == '/' || path[0] == '@')) {
        memcpy(address.sun_path, path, len + 1);
        address_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
        if (path[0] == '@')
            address.sun_path[0] = '\0'; /* abstract: no file */
    }
    unsetenv("NOTIFY_SOCKET");
}

void notify_send(const char *text)
{
    if (!address_len)
        return;
    AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0)
        (void)!sendto(fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT,
                      (struct sockaddr *)&address, address_len);
}
