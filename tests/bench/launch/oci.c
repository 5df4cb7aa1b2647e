/* A bundle for OCI runtimes with the isolation that the others get: /usr read-only, /proc, a tmpfs
 * on /tmp, pid, mount, network, ipc and uts namespaces, no capability, no_new_privs. */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "bench.h"

static const char head[] =
    "{\"ociVersion\":\"1.0.2\",\"process\":{\"terminal\":false,\"user\":{\"uid\":0,\"gid\":0},"
    "\"cwd\":\"/\",\"env\":[\"PATH=/usr/bin:/bin\"],\"noNewPrivileges\":true,"
    "\"capabilities\":{\"bounding\":[],\"effective\":[],\"permitted\":[]},\"args\":[";
static const char middle[] =
    "]},\"root\":{\"path\":\"rootfs\",\"readonly\":true},\"hostname\":\"bench\",\"mounts\":["
    "{\"destination\":\"/proc\",\"type\":\"proc\",\"source\":\"proc\"},"
    "{\"destination\":\"/dev\",\"type\":\"tmpfs\",\"source\":\"tmpfs\","
    "\"options\":[\"nosuid\",\"mode=755\",\"size=64k\"]},"
    "{\"destination\":\"/tmp\",\"type\":\"tmpfs\",\"source\":\"tmpfs\"},"
    "{\"destination\":\"/usr\",\"type\":\"bind\",\"source\":\"/"
    "usr\",\"options\":[\"rbind\",\"ro\"]},"
    "{\"destination\":\"" INSIDE_DIR "\",\"type\":\"bind\",\"options\":[\"rbind\",\"ro\"],"
    "\"source\":\"";
static const char tail[] =
    "\"}],\"linux\":{\"namespaces\":[{\"type\":\"pid\"},{\"type\":\"mount\"},"
    "{\"type\":\"network\"},{\"type\":\"ipc\"},{\"type\":\"uts\"}]}}\n";

static int make_root(const char *bundle, struct err *err)
{
    static const char *const dirs[] = {"", "/proc", "/dev", "/tmp", "/usr", INSIDE_DIR};
    static const char *const links[] = {"bin", "sbin", "lib", "lib64"};
    char path[PATH_MAX], target[32];
    for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
        snprintf(path, sizeof(path), "%s/rootfs%s", bundle, dirs[i]);
        if (mkdir(path, 0755) < 0)
            return err_set(err, -errno, "mkdir %.150s: %m", path);
    }
    for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
        snprintf(path, sizeof(path), "%s/rootfs/%s", bundle, links[i]);
        snprintf(target, sizeof(target), "usr/%s", links[i]);
        if (symlink(target, path) < 0)
            return err_set(err, -errno, "symlink %.150s: %m", path);
    }
    return 0;
}

int oci_bundle(const struct bench *bench, enum program program, char *ret, size_t size,
               struct err *err)
{
    char path[PATH_MAX];
    snprintf(ret, size, "%s/bundle-%d", bench->work, program);
    struct stat st;
    if (stat(ret, &st) == 0)
        return 0;
    if (mkdir(ret, 0755) < 0)
        return err_set(err, -errno, "mkdir %.150s: %m", ret);
    int r = make_root(ret, err);
    if (r < 0)
        return r;
    snprintf(path, sizeof(path), "%.*s/config.json", (int)size, ret);
    AUTO_FCLOSE FILE *out = fopen(path, "we");
    if (!out)
        return err_set(err, -errno, "%.150s: %m", path);
    fputs(head, out);
    const char *const *argv = program_argv(program, INSIDE_DIR "/tiny");
    for (size_t i = 0; argv[i]; i++)
        fprintf(out, "%s\"%s\"", i ? "," : "", argv[i]);
    fprintf(out, "%s%s%s", middle, bench->tiny_dir, tail);
    return fflush(out) == 0 ? 0 : err_set(err, -errno, "%.150s: %m", path);
}
