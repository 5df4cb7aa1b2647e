/* Network: a loopback of one's own and nothing else. */

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "probe.h"

static enum outcome interfaces(void)
{
    char text[8192];
    if (read_text("/proc/net/dev", text, sizeof(text)) < 0)
        return broken("/proc/net/dev: %s", strerror(errno));
    char *rest = text, *line;
    while ((line = strsep(&rest, "\n"))) {
        char name[64];
        if (strchr(line, ':') && sscanf(line, " %63[^:]", name) == 1 && strcmp(name, "lo") != 0)
            return escaped("there is an interface %s", name);
    }
    return contained("no interface but lo");
}

static enum outcome routes(void)
{
    char text[8192];
    if (read_text("/proc/net/route", text, sizeof(text)) < 0)
        return broken("/proc/net/route: %s", strerror(errno));
    char *second = strchr(text, '\n');
    if (second && second[1] != '\0')
        return escaped("there is a route: %s", second + 1);
    return contained("no route");
}

/* Connects with a short patience. Return: 0 or errno. */
static int try_connect(int family, const void *address, socklen_t len, int type)
{
    int fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return errno;
    int error = 0;
    if (connect(fd, address, len) < 0)
        error = errno;
    if (error == EINPROGRESS || error == EAGAIN) {
        struct pollfd watch = {.fd = fd, .events = POLLOUT};
        socklen_t size = sizeof(error);
        if (poll(&watch, 1, 500) == 1)
            getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
        else
            error = ETIMEDOUT;
    }
    close(fd);
    return error;
}

static int try_inet(const char *host, int port, int type)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    inet_pton(AF_INET, host, &to.sin_addr);
    return try_connect(AF_INET, &to, sizeof(to), type);
}

static enum outcome host_loopback(void)
{
    long port = argument_number("port", 0);
    if (port <= 0)
        return broken("no port=");
    int error = try_inet("127.0.0.1", (int)port, SOCK_STREAM);
    if (error == 0)
        return escaped("connected to the host's port %ld", port);
    struct sockaddr_in6 to = {.sin6_family = AF_INET6,
                              .sin6_port = htons((uint16_t)port),
                              .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    if (try_connect(AF_INET6, &to, sizeof(to), SOCK_STREAM) == 0)
        return escaped("connected to the host's IPv6 port %ld", port);
    return contained("connect to the host's loopback: %s", strerror(error));
}

static enum outcome host_abstract(void)
{
    const char *name = argument("abstract");
    if (!name)
        return broken("no abstract=");
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    int n = snprintf(to.sun_path + 1, sizeof(to.sun_path) - 1, "%s", name);
    int error = try_connect(AF_UNIX, &to,
                            (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n),
                            SOCK_STREAM);
    if (error == 0)
        return escaped("connected to the host's abstract socket %s", name);
    return contained("connect to the host's abstract socket: %s", strerror(error));
}

static enum outcome host_unix_socket(void)
{
    const char *path = argument("unix");
    if (!path)
        return broken("no unix=");
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    snprintf(to.sun_path, sizeof(to.sun_path), "%s", path);
    int error = try_connect(AF_UNIX, &to, sizeof(to), SOCK_STREAM);
    if (error == 0)
        return escaped("connected to the host's socket %s", path);
    static const char *const well_known[] = {"/run/docker.sock",
                                             "/var/run/docker.sock",
                                             "/run/systemd/private",
                                             "/run/dbus/system_bus_socket",
                                             "/run/cloister/cloister.sock",
                                             "/run/containerd/containerd.sock",
                                             "/dev/log"};
    for (size_t i = 0; i < sizeof(well_known) / sizeof(*well_known); i++)
        if (access(well_known[i], F_OK) == 0)
            return escaped("%s is there", well_known[i]);
    return contained("connect to the host's socket: %s", strerror(error));
}

static enum outcome outside_world(void)
{
    static const struct {
        const char *host;
        int port, type;
    } places[] = {
        {"192.0.2.1", 80, SOCK_STREAM},  {"169.254.169.254", 80, SOCK_STREAM},
        {"192.0.2.1", 53, SOCK_DGRAM},   {"10.0.0.1", 53, SOCK_DGRAM},
        {"172.17.0.1", 80, SOCK_STREAM}, {"224.0.0.251", 5353, SOCK_DGRAM},
    };
    int error = 0;
    for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
        error = try_inet(places[i].host, places[i].port, places[i].type);
        if (error != ENETUNREACH && !is_refusal(error))
            return escaped("%s: %s", places[i].host, error ? strerror(error) : "reached");
    }
    return contained("any address outside: %s", strerror(error));
}

static enum outcome sockets_of_host(void)
{
    static char text[1 << 18];
    const char *name = argument("abstract");
    if (!name)
        return broken("no abstract=");
    if (read_text("/proc/net/unix", text, sizeof(text)) < 0)
        return contained("/proc/net/unix: %s", strerror(errno));
    if (strstr(text, name))
        return escaped("/proc/net/unix lists the host's sockets");
    if (read_text("/proc/net/tcp", text, sizeof(text)) >= 0) {
        char *second = strchr(text, '\n');
        if (second && second[1] != '\0')
            return escaped("/proc/net/tcp lists connections: %.80s", second + 1);
    }
    return contained("/proc/net tells of no socket of the host");
}

/* RTM_NEWLINK of a dummy interface: the program must not even configure its own network. */
static enum outcome make_interface(void)
{
    struct {
        struct nlmsghdr head;
        struct ifinfomsg info;
        struct rtattr link;
        struct rtattr kind;
        char name[8];
    } ask = {
        .head = {.nlmsg_len = sizeof(ask),
                 .nlmsg_type = RTM_NEWLINK,
                 .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL},
        .link = {.rta_len = sizeof(struct rtattr) * 2 + 8, .rta_type = IFLA_LINKINFO},
        .kind = {.rta_len = sizeof(struct rtattr) + 6, .rta_type = IFLA_INFO_KIND},
        .name = "dummy",
    };
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (fd < 0)
        return contained("netlink: %s", strerror(errno));
    struct {
        struct nlmsghdr head;
        struct nlmsgerr error;
        char rest[256];
    } answer = {0};
    if (send(fd, &ask, sizeof(ask), 0) < 0 || recv(fd, &answer, sizeof(answer), 0) < 0)
        return contained("netlink: %s", strerror(errno));
    close(fd);
    if (answer.error.error == 0)
        return escaped("an interface was made");
    if (!is_refusal(-answer.error.error))
        return escaped("making an interface reached the kernel: %s", strerror(-answer.error.error));
    return contained("RTM_NEWLINK: %s", strerror(-answer.error.error));
}

static const struct probe probes[] = {
    {.name = "net.interfaces", .layer = "net-namespace", .run = interfaces},
    {.name = "net.routes", .run = routes},
    {.name = "net.host-loopback", .run = host_loopback, .flags = PROBE_CONTROL},
    {.name = "net.host-abstract-socket", .run = host_abstract, .flags = PROBE_CONTROL},
    {.name = "net.host-unix-socket", .run = host_unix_socket, .flags = PROBE_CONTROL},
    {.name = "net.outside", .run = outside_world},
    {.name = "net.sockets-of-host", .run = sockets_of_host, .flags = PROBE_CONTROL},
    {.name = "net.make-interface", .run = make_interface},
};

const struct probe_table network_probes = {probes, sizeof(probes) / sizeof(*probes)};
