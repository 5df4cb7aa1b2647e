/*
 * Traps for the collector of output files. A probe prints what a right collector must bring ("must
 * PATH SIZE") and what it may bring ("may PATH"), paths in hex; run.py holds the outputs against
 * that: everything else, a missing file, a hang or INTERNAL is a failure.
 */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "probe.h"

static void print_hex(const char *text)
{
    for (const unsigned char *at = (const unsigned char *)text; *at; at++)
        printf("%02x", *at);
}

static void may(const char *path)
{
    printf("may ");
    print_hex(path);
    putchar('\n');
}

/* Writes a file that must come back. */
static void must(const char *path, const char *content)
{
    int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0600);
    size_t len = strlen(content);
    if (fd < 0 || write(fd, content, len) != (ssize_t)len) {
        printf("could not write %s: %s\n", path, strerror(errno));
        fflush(stdout);
        _exit(BROKEN);
    }
    close(fd);
    printf("must ");
    print_hex(path);
    printf(" %zu\n", len);
}

static enum outcome done(const char *what)
{
    must("good.txt", "good\n");
    return contained("left %s", what);
}

static enum outcome symlinks(void)
{
    const char *host = argument("host_file");
    bool made = symlink("/etc/passwd", "passwd") == 0 && symlink("/etc", "etc") == 0 &&
                symlink("/proc/self/environ", "environ") == 0 &&
                symlink("/proc/1/root", "root") == 0 &&
                symlink("../../../../etc/shadow", "shadow") == 0 && symlink("loop", "loop") == 0 &&
                symlink(host ? host : "/etc/hostname", "host") == 0 && symlink("/", "slash") == 0;
    if (!made)
        return broken("symlink: %s", strerror(errno));
    must("real.txt", "real\n");
    if (symlink("real.txt", "inside") < 0)
        return broken("symlink: %s", strerror(errno));
    return done("symbolic links to everywhere");
}

static enum outcome fifos(void)
{
    if (mkfifo("pipe", 0600) < 0 || mkdir("d", 0700) < 0 || mkfifo("d/pipe", 0666) < 0)
        return broken("mkfifo: %s", strerror(errno));
    return done("FIFOs");
}

static enum outcome sockets(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "socket"};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 1) < 0)
        return broken("socket: %s", strerror(errno));
    return done("a listening socket");
}

static enum outcome devices(void)
{
    /* Refused, most likely; if one of them were made it must not be read. */
    (void)!mknod("zero", S_IFCHR | 0666, makedev(1, 5));
    (void)!mknod("whiteout", S_IFCHR | 0666, makedev(0, 0));
    (void)!mknod("disk", S_IFBLK | 0666, makedev(254, 0));
    return done("device nodes, if it could");
}

static enum outcome odd_names(void)
{
    char longest[256];
    memset(longest, 'n', 255);
    longest[255] = '\0';
    must("with space", "1");
    must("-rf", "333");
    must("quote'\"\\", "4444");
    must("\xff\xfe not UTF-8", "666666");
    must("gr\xc3\xbc\xc3\x9f\x65", "7777777");
    must("...", "88888888");
    must(longest, "999999999");
    /* The contract's paths have no control characters: these may be left out, but hurt nobody. */
    static const char *const control[] = {"new\nline", "\x1b[31mred", "\r", "bell\a"};
    for (size_t i = 0; i < sizeof(control) / sizeof(*control); i++) {
        close(open(control[i], O_CREAT | O_WRONLY, 0600));
        may(control[i]);
    }
    if (mkdir("sub dir", 0700) < 0)
        return broken("mkdir: %s", strerror(errno));
    must("sub dir/..a", "a");
    return done("odd names");
}

static enum outcome deep_tree(void)
{
    int depth = 0;
    must("good.txt", "good\n");
    for (; depth < 3000; depth++)
        if (mkdir("dddddddd", 0700) < 0 || chdir("dddddddd") < 0)
            break;
    int fd = open("bottom", O_CREAT | O_WRONLY, 0600);
    if (fd >= 0 && write(fd, "x", 1) != 1)
        return broken("write: %s", strerror(errno));
    return contained("left a tree %d deep", depth);
}

static enum outcome sparse(void)
{
    int fd = open("huge", O_CREAT | O_WRONLY, 0600);
    if (fd < 0 || ftruncate(fd, 1000L << 20) < 0)
        return broken("ftruncate: %s", strerror(errno));
    may("huge");
    return done("a sparse file of 1000 MiB");
}

static enum outcome unreadable(void)
{
    int fd = open("secret", O_CREAT | O_WRONLY, 0000);
    if (fd < 0 || write(fd, "x", 1) != 1 || mkdir("closed", 0700) < 0)
        return broken("open: %s", strerror(errno));
    close(fd);
    fd = open("closed/inside", O_CREAT | O_WRONLY, 0600);
    if (fd < 0 || chmod("closed", 0000) < 0)
        return broken("chmod: %s", strerror(errno));
    may("secret");
    may("closed/inside");
    return done("files that can't be read");
}

static enum outcome closed_workspace(void)
{
    may("good.txt");
    int fd = open("good.txt", O_CREAT | O_WRONLY, 0600);
    if (fd < 0)
        return broken("open: %s", strerror(errno));
    if (chmod("/workspace", 0000) < 0)
        return contained("chmod of the workspace: %s", strerror(errno));
    return contained("closed the workspace itself");
}

static enum outcome hard_links(void)
{
    must("one", "same\n");
    if (link("one", "two") < 0)
        return broken("link: %s", strerror(errno));
    must("two", "same\n");
    return done("two names of one file");
}

static enum outcome many_files(void)
{
    char name[32];
    for (int i = 0; i < 2000; i++) {
        snprintf(name, sizeof(name), "f%04d", i);
        int fd = open(name, O_CREAT | O_WRONLY, 0600);
        if (fd < 0)
            return broken("open: %s", strerror(errno));
        close(fd);
        may(name);
    }
    return contained("left 2000 files");
}

/* A process that outlives the main one swaps a directory for a link, for as long as it is let. */
static enum outcome swapper(void)
{
    if (mkdir("d", 0700) < 0 || symlink("/etc", "l") < 0)
        return broken("mkdir: %s", strerror(errno));
    int fd = open("d/passwd", O_CREAT | O_WRONLY, 0600);
    if (fd < 0 || write(fd, "mine\n", 5) != 5)
        return broken("open: %s", strerror(errno));
    may("d/passwd");
    may("l/passwd");
    may("t/passwd");
    must("good.txt", "good\n");
    fflush(stdout);
    pid_t pid = fork();
    if (pid < 0)
        return broken("fork: %s", strerror(errno));
    if (pid == 0) {
        setsid();
        for (;;) {
            rename("d", "t");
            rename("l", "d");
            rename("d", "l");
            rename("t", "d");
        }
    }
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    return contained("left a process that swaps a directory and a link");
}

#define COLLECT(n, function)                                                                       \
    {                                                                                              \
        .name = "collect." n, .run = function, .flags = PROBE_COLLECT                              \
    }

static const struct probe probes[] = {
    COLLECT("symlinks", symlinks),
    COLLECT("fifos", fifos),
    COLLECT("sockets", sockets),
    COLLECT("devices", devices),
    COLLECT("odd-names", odd_names),
    COLLECT("deep-tree", deep_tree),
    {.name = "collect.sparse", .run = sparse, .flags = PROBE_COLLECT, .limits = "file-size=1G"},
    COLLECT("unreadable", unreadable),
    COLLECT("closed-workspace", closed_workspace),
    COLLECT("hard-links", hard_links),
    COLLECT("many-files", many_files),
    COLLECT("swapper", swapper),
};

const struct probe_table collector_probes = {probes, sizeof(probes) / sizeof(*probes)};
