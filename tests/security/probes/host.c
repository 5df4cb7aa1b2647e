/* Outside of the sandbox: what probes look for, set up in one process that ends with its standard
 * input. */

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "probe.h"

static int listen_on(int family, const void *address, socklen_t len)
{
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, address, len) < 0 || listen(fd, 64) < 0)
        return -1;
    return fd;
}

static int failed(const char *what)
{
    fprintf(stderr, "probe host: %s: %s\n", what, strerror(errno));
    return BROKEN;
}

int host_serve(const char *dir)
{
    char file[512], name[64], hostname[256];
    snprintf(file, sizeof(file), "%s/host-file", dir);
    int fd = open(file, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0 || fchmod(fd, 0666) < 0 || write(fd, "host's own\n", 11) != 11)
        return failed(file);

    struct sockaddr_un by_path = {.sun_family = AF_UNIX};
    snprintf(by_path.sun_path, sizeof(by_path.sun_path), "%s/socket", dir);
    unlink(by_path.sun_path);
    if (listen_on(AF_UNIX, &by_path, sizeof(by_path)) < 0 || chmod(by_path.sun_path, 0666) < 0)
        return failed(by_path.sun_path);

    struct sockaddr_un abstract = {.sun_family = AF_UNIX};
    snprintf(name, sizeof(name), "cloister-probe-%d", (int)getpid());
    memcpy(abstract.sun_path + 1, name, strlen(name));
    if (listen_on(AF_UNIX, &abstract,
                  (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name))) < 0)
        return failed(name);

    struct sockaddr_in tcp = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(tcp);
    int listener = listen_on(AF_INET, &tcp, sizeof(tcp));
    if (listener < 0 || getsockname(listener, (struct sockaddr *)&tcp, &len) < 0)
        return failed("tcp");

    key_t key = (key_t)(0x70000000 + getpid());
    int segment = shmget(key, 4096, IPC_CREAT | IPC_EXCL | 0666);
    if (segment < 0)
        return failed("shmget");
    if (gethostname(hostname, sizeof(hostname)) < 0)
        return failed("gethostname");

    printf("host_pid=%d host_file=%s unix=%s abstract=%s port=%d shm_key=%d hostname=%s\n",
           (int)getpid(), file, by_path.sun_path, name, ntohs(tcp.sin_port), (int)key, hostname);
    fflush(stdout);
    char byte;
    while (read(0, &byte, 1) > 0)
        ;
    shmctl(segment, IPC_RMID, NULL);
    unlink(file);
    unlink(by_path.sun_path);
    return 0;
}
