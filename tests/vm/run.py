#!/usr/bin/python3
"""Runs the suites of tests/vm/guest/suites on pure cgroup v2 in a virtual machine.

The disk image is made anew from the build directory, Debian's cloud kernel boots it under qemu's own
translator, the guest reports names on a serial port, and the set of names is compared with
expected.txt: a name that is missing or failed is a failure.

usage: run.py --build BUILD_DIR [--seconds N] [--keep] [--only SUITE-PREFIX]
"""

import argparse
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))

# Host programs that tests and sandboxed programs use inside; with every library they link.
HOST_PROGRAMS = """
bash cat cp dd chmod echo env false head id kill ls mkdir mkfifo ln mv printf ps pwd rm rmdir seq sh sleep sort stat
tail tee test timeout touch tr true truncate uname wc yes bwrap unshare python3.11
""".split()
PYTHON_LEFT_OUT = ("test", "idlelib", "tkinter", "lib2to3", "ensurepip", "distutils", "pydoc_data", "dist-packages",
                   "config-3.11-x86_64-linux-gnu")
IMAGE_MIB = 400


def is_elf(path):
    with open(path, "rb") as f:
        return f.read(4) == b"\x7fELF"


def libraries_of(path):
    """Absolute paths of the shared libraries (and the loader) that @path links."""
    out = subprocess.run(["ldd", path], capture_output=True, text=True).stdout
    return re.findall(r"(?:=> |^\s*)(/\S+) \(0x", out, re.M)


class Staging:
    """A root directory with a merged /usr, filled file by file."""

    def __init__(self, root):
        self.root = root
        self.seen = set()
        for path in ("dev proc sys run tmp root home/someone mnt etc opt/busybox opt/cloister/bin opt/cloister/tests "
                     "usr/bin usr/sbin usr/lib usr/lib64 modules/order suites var/lib var/tmp workspace").split():
            os.makedirs(os.path.join(root, path))
        for name in ("bin", "sbin", "lib", "lib64"):
            os.symlink("usr/" + name, os.path.join(root, name))

    def path(self, inside):
        """Where @inside stands in the staging directory: /lib and /bin are links into /usr."""
        inside = re.sub(r"^/(bin|sbin|lib|lib64)/", r"/usr/\1/", inside)
        return self.root + inside

    def add(self, source, inside=None, mode=None):
        inside = inside or source
        target = self.path(inside)
        if target in self.seen:
            return
        self.seen.add(target)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.copyfile(source, target)
        os.chmod(target, mode if mode is not None else os.stat(source).st_mode & 0o7755)
        if is_elf(source):
            for library in libraries_of(source):
                self.add(library)

    def write(self, inside, text, mode=0o644):
        target = self.path(inside)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "w") as f:
            f.write(text)
        os.chmod(target, mode)

    def add_python(self):
        base = "/usr/lib/python3.11"
        for folder, folders, files in os.walk(base):
            folders[:] = [d for d in folders if d not in PYTHON_LEFT_OUT and d != "tests"]
            for name in files:
                source = os.path.join(folder, name)
                if os.path.exists(source) and not name.endswith(".opt-1.pyc") and not name.endswith(".opt-2.pyc"):
                    self.add(source)
        os.symlink("python3.11", self.path("/usr/bin/python3"))


def stage(root, build, ready):
    staging = Staging(root)
    staging.add(os.path.join(ready, "busybox"), "/bin/busybox", 0o755)
    for name in HOST_PROGRAMS:
        source = shutil.which(name, path="/usr/bin:/bin:/usr/sbin:/sbin")
        if source is None:
            raise SystemExit("run.py: the host has no " + name)
        staging.add(os.path.realpath(source), "/usr/bin/" + name, os.stat(source).st_mode & 0o7755)
    staging.add_python()
    for source in glob.glob(os.path.join(build, "bin", "*")):
        if os.path.isfile(source):
            staging.add(source, "/opt/cloister/bin/" + os.path.basename(source))
    for pattern in ("test_integration_*", "probe", "limit_program"):
        for source in glob.glob(os.path.join(build, "tests", pattern)):
            if os.access(source, os.X_OK):
                staging.add(source, "/opt/cloister/tests/" + os.path.basename(source))
    for source in glob.glob(os.path.join(TOP, "tests", "security", "*.py")):
        staging.add(source, "/opt/cloister/security/" + os.path.basename(source))
    for source in glob.glob(os.path.join(TOP, "tests", "integration", "verdicts", "*.py")):
        staging.add(source, "/opt/cloister/verdicts/" + os.path.basename(source))
    staging.add(os.path.join(HERE, "guest", "init"), "/sbin/vm-init", 0o755)
    for source in glob.glob(os.path.join(HERE, "guest", "suites", "*")):
        staging.add(source, "/suites/" + os.path.basename(source))
    with open(os.path.join(ready, "KERNEL")) as f:
        add_modules(staging, os.path.join(ready, "modules", f.read().strip()))
    staging.write("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\nsomeone:x:1000:1000::/home/someone:/bin/sh\n")
    staging.write("/etc/group", "root:x:0:\nsomeone:x:1000:\ncloister:x:900:\n")
    staging.write("/etc/shadow", "root:!:1::::::\n", 0o600)
    staging.write("/etc/subuid", "root:100000:65536\n")
    staging.write("/etc/subgid", "root:100000:65536\n")
    staging.write("/root/secret", "host root's own\n", 0o600)
    staging.write("/home/someone/diary", "somebody's own\n")
    staging.write("/var/lib/someones-state", "not for programs\n")
    shutil.copyfile("/etc/ld.so.cache", staging.path("/etc/ld.so.cache"))


def add_modules(staging, folder):
    """Modules in the order in which they can be loaded: modules.dep lists dependencies after their user."""
    ordered = []
    with open(os.path.join(folder, "modules.dep")) as f:
        deps = [line.replace(":", "").split() for line in f]
    for line in deps:
        for path in reversed(line):
            path = re.sub(r"^/?lib/modules/[^/]*/", "", path)
            if os.path.exists(os.path.join(folder, line[0])) and path not in ordered:
                ordered.append(path)
    for number, path in enumerate(ordered):
        name = os.path.basename(path)
        staging.add(os.path.join(folder, path), "/modules/" + name)
        os.symlink("../" + name, staging.path("/modules/order/%02d-%s" % (number, name)))


def make_image(root, image):
    with open(image, "wb") as f:
        f.truncate(IMAGE_MIB << 20)
    subprocess.run(["/usr/sbin/mkfs.ext4", "-q", "-F", "-O", "^has_journal", "-E", "root_owner=0:0",
                    "-d", root, image], check=True)


def boot(ready, image, console, results, seconds):
    """Runs the machine until it powers off; returns the seconds it took, or None when it did not end."""
    # tsc=reliable: the translator's clock is one for both CPUs, which Linux does not believe; without a TSC the
    # scheduler counts CPU time in ticks of 4 ms, and a short run uses none.
    command = ["qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-smp", "2", "-m", "1G", "-nodefaults",
               "-display", "none", "-no-reboot", "-kernel", os.path.join(ready, "vmlinuz"),
               "-append", "root=/dev/nvme0n1 rw rootfstype=ext4 init=/sbin/vm-init console=ttyS0 quiet panic=-1 "
                          "mitigations=off random.trust_cpu=on swapaccount=1 tsc=reliable",
               "-drive", "if=none,id=disk,format=raw,cache=unsafe,file=" + image,
               "-device", "nvme,drive=disk,serial=cloister",
               "-device", "virtio-rng-pci",
               "-serial", "file:" + console, "-serial", "file:" + results]
    began = time.monotonic()
    machine = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    try:
        machine.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        return None
    finally:
        if machine.poll() is None:
            machine.kill()
            machine.wait()
    return time.monotonic() - began


def read_results(path):
    """{name: (ok, detail)}, [lines about time], and whether the guest came to its end."""
    names, times, ended = {}, [], False
    with open(path, errors="replace") as f:
        for line in f:
            words = line.strip().split(" ", 3)
            if words[0] == "VM" and len(words) >= 3:
                names[words[1]] = (words[2] == "ok", words[3] if len(words) > 3 else "")
            elif words[0] == "TIME":
                times.append(line.strip())
            elif words[0] == "END":
                ended = True
    return names, times, ended


def read_expected():
    with open(os.path.join(HERE, "expected.txt")) as f:
        return {line.strip() for line in f if line.strip() and not line.startswith("#")}


def judge(names, expected):
    """Prints every name that is not as it must be; returns how many."""
    bad = 0
    for name in sorted(expected - set(names)):
        print("MISSING", name)
        bad += 1
    for name, (ok, detail) in sorted(names.items()):
        if not ok:
            print("FAILED ", name, detail)
            bad += 1
    for name in sorted(set(names) - expected):
        print("new, add to expected.txt:", name)
    return bad


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    parser.add_argument("--seconds", type=int, default=220)
    parser.add_argument("--keep", action="store_true", help="keep the image and the logs")
    parser.add_argument("--only", default="", help="for work on one suite: names are not compared")
    options = parser.parse_args()

    ready = subprocess.run([os.path.join(HERE, "prepare")], stdout=subprocess.PIPE, text=True,
                           check=True).stdout.strip()
    work = tempfile.mkdtemp(prefix="cloister-vm.")
    try:
        root, image = os.path.join(work, "root"), os.path.join(work, "root.img")
        console, results = os.path.join(work, "console"), os.path.join(work, "results")
        os.mkdir(root)
        began = time.monotonic()
        stage(root, options.build, ready)
        if options.only:
            for suite in os.listdir(os.path.join(root, "suites")):
                if not suite.startswith((options.only, "00-")):
                    os.unlink(os.path.join(root, "suites", suite))
        make_image(root, image)
        shutil.rmtree(root)
        print("image made in %.1f s" % (time.monotonic() - began), flush=True)
        took = boot(ready, image, console, results, options.seconds)
        names, times, ended = read_results(results)
        for line in times:
            print(line)
        bad = judge(names, set() if options.only else read_expected())
        passed = sum(ok for ok, _ in names.values())
        print("%d names ok, %d bad, machine ran %s" %
              (passed, bad, "%.0f s" % took if took else "into its %d s limit" % options.seconds))
        if bad or not ended or options.keep:
            print("---- console of the guest, its end ----")
            with open(console, errors="replace") as f:
                sys.stdout.write("".join(f.readlines()[-400:]))
        return 0 if ended and not bad and passed else 1
    finally:
        if options.keep:
            print("kept", work)
        else:
            shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
