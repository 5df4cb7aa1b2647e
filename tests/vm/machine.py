"""The virtual machine: a root directory filled file by file, an image of it, a boot, and what the guest reported."""

import os
import re
import shutil
import subprocess
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
            self.add_libraries(source)

    def add_libraries(self, path):
        for library in libraries_of(path):
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


def boot(ready, image, init, console, results, seconds):
    """Runs the machine until it powers off; returns the seconds it took, or None when it did not end."""
    # tsc=reliable: the translator's clock is one for both CPUs, which Linux does not believe; without a TSC the
    # scheduler counts CPU time in ticks of 4 ms, and a short run uses none.
    command = ["qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-smp", "2", "-m", "1G", "-nodefaults",
               "-display", "none", "-no-reboot", "-kernel", os.path.join(ready, "vmlinuz"),
               "-append", "root=/dev/nvme0n1 rw rootfstype=ext4 init=" + init + " console=ttyS0 quiet panic=-1 "
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
    """{name: (ok, detail)}, [lines to print], and whether the guest came to its end."""
    names, times, ended = {}, [], False
    with open(path, errors="replace") as f:
        for line in f:
            words = line.strip().split(" ", 3)
            if words[0] == "VM" and len(words) >= 3:
                names[words[1]] = (words[2] == "ok", words[3] if len(words) > 3 else "")
            elif words[0] in ("TIME", "NOTE"):
                times.append(line.strip())
            elif words[0] == "END":
                ended = True
    return names, times, ended
