"""A machine that Debian's systemd runs, with the service installed on it as OPERATIONS.md says: what vm.systemd boots."""

import glob
import os
import re
import shutil
import subprocess

from machine import HERE, TOP

SYSTEMD = "/usr/lib/systemd/systemd"
PROGRAMS = """
journalctl systemctl systemd-analyze systemd-sysusers /usr/lib/systemd/systemd-journald /usr/lib/systemd/systemd
date find install usermod
""".split()
# Nothing that needs a device manager, a login or a network.
UNITS = """
basic.target final.target graphical.target local-fs-pre.target local-fs.target multi-user.target network.target
paths.target poweroff.target shutdown.target slices.target sockets.target sysinit.target timers.target umount.target
swap.target time-set.target time-sync.target
systemd-journald-dev-log.socket systemd-journald.service systemd-journald.socket
""".split()
WANTS = {"sysinit.target": ["systemd-journald.service"],
         "sockets.target": ["systemd-journald.socket", "systemd-journald-dev-log.socket"],
         "multi-user.target": ["vm-suites.service"]}
# gRPC, OpenSSL and libwebsockets look for these by themselves.
PLUGINS = ["/usr/lib/x86_64-linux-gnu/libwebsockets-evlib_uv.so"]


def add_systemd(staging):
    for name in PROGRAMS:
        source = shutil.which(name, path="/usr/bin:/usr/sbin:/bin:/sbin")
        if source is None:
            raise SystemExit("staging_systemd.py: the host has no %s (package systemd)" % name)
        staging.add(os.path.realpath(source), name if name.startswith("/") else "/usr/bin/" + name)
    for name in UNITS:
        staging.add("/usr/lib/systemd/system/" + name)
    staging.add(os.path.join(HERE, "guest", "vm-suites.service"), "/usr/lib/systemd/system/vm-suites.service")
    for target, units in WANTS.items():
        folder = staging.path("/usr/lib/systemd/system/%s.wants" % target)
        os.makedirs(folder)
        for unit in units:
            os.symlink("../" + unit, os.path.join(folder, unit))
    os.symlink("multi-user.target", staging.path("/usr/lib/systemd/system/default.target"))
    staging.add("/etc/os-release")
    staging.add("/etc/login.defs")
    staging.write("/etc/machine-id", "c1015732c1015732c1015732c1015732\n")
    staging.write("/etc/hostname", "cloister-vm\n")
    for folder in ("tmp", "var/tmp"):
        os.chmod(os.path.join(staging.root, folder), 0o1777)


def install_service(staging, build):
    """By the command of the manual, then the libraries of what it has put there."""
    subprocess.run(["cmake", "--install", build, "--prefix", "/usr"], check=True, stdout=subprocess.DEVNULL,
                   env=dict(os.environ, DESTDIR=staging.root))
    for program in glob.glob(staging.root + "/usr/bin/*"):
        staging.add_libraries(program)
    for plugin in PLUGINS:
        staging.add(plugin)


def add_modules_to_load(staging, folder, busybox):
    """Where the kernel finds them by itself when a file system is asked for: nothing is loaded by hand."""
    version = os.path.basename(folder)
    for here, _, files in os.walk(os.path.join(folder, "kernel")):
        for name in files:
            source = os.path.join(here, name)
            staging.add(source, "/usr/lib/modules/%s/%s" % (version, os.path.relpath(source, folder)))
    os.symlink("busybox", staging.path("/bin/modprobe"))
    os.symlink("../bin/busybox", staging.path("/sbin/modprobe"))
    subprocess.run([busybox, "depmod", "-b", staging.root, version], check=True)


def stage_systemd(staging, build, ready):
    add_systemd(staging)
    install_service(staging, build)
    with open(os.path.join(ready, "KERNEL")) as f:
        add_modules_to_load(staging, os.path.join(ready, "modules", f.read().strip()), os.path.join(ready, "busybox"))
    with open(staging.path("/etc/passwd"), "a") as passwd, open(staging.path("/etc/group"), "a") as group:
        passwd.write("grader:x:1001:1001::/home/grader:/bin/sh\n")
        group.write("grader:x:1001:\n")
    staging.add(os.path.join(TOP, "examples", "hello.py"), "/home/grader/hello.py")
