#!/usr/bin/python3
"""Runs suites of tests/vm/guest on pure cgroup v2 in a virtual machine.

The disk image is made anew from the build directory, Debian's cloud kernel boots it under qemu's own
translator, the guest reports names on a serial port, and the set of names is compared with an expected
one: a name that is missing or failed is a failure. There are two machines:

  cgroup-v2   process 1 is a script that runs programs of the build (guest/init, guest/suites)
  systemd     process 1 is Debian's systemd, and the service is installed as OPERATIONS.md says (guest/systemd)

usage: run.py --build BUILD_DIR [--machine NAME] [--seconds N] [--keep] [--only PREFIX,PREFIX]
"""

import argparse
import glob
import os
import shutil
import subprocess
import sys
import tempfile
import time

from machine import HERE, HOST_PROGRAMS, TOP, Staging, add_modules, boot, make_image, read_results
from staging_systemd import SYSTEMD, stage_systemd


class Machine:
    def __init__(self, init, suites, expected, stage):
        self.init, self.suites, self.expected, self.stage = init, suites, expected, stage


def stage(root, build, ready, machine):
    staging = Staging(root)
    staging.add(os.path.join(ready, "busybox"), "/bin/busybox", 0o755)
    for name in HOST_PROGRAMS:
        source = shutil.which(name, path="/usr/bin:/bin:/usr/sbin:/sbin")
        if source is None:
            raise SystemExit("run.py: the host has no " + name)
        staging.add(os.path.realpath(source), "/usr/bin/" + name, os.stat(source).st_mode & 0o7755)
    staging.add_python()
    for name in ("init", "vm-suites", "report.sh"):
        staging.add(os.path.join(HERE, "guest", name), "/usr/lib/vm/" + name)
    for source in glob.glob(os.path.join(HERE, "guest", machine.suites, "*")):
        staging.add(source, "/suites/" + os.path.basename(source))
    staging.write("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\nsomeone:x:1000:1000::/home/someone:/bin/sh\n")
    staging.write("/etc/group", "root:x:0:\nsomeone:x:1000:\n")
    staging.write("/etc/shadow", "root:!:1::::::\n", 0o600)
    staging.write("/etc/subuid", "root:100000:65536\n")
    staging.write("/etc/subgid", "root:100000:65536\n")
    staging.write("/root/secret", "host root's own\n", 0o600)
    staging.write("/home/someone/diary", "somebody's own\n")
    staging.write("/var/lib/someones-state", "not for programs\n")
    shutil.copyfile("/etc/ld.so.cache", staging.path("/etc/ld.so.cache"))
    machine.stage(staging, build, ready)


def stage_programs(staging, build, ready):
    """Programs of the build and tests of them."""
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
    with open(os.path.join(ready, "KERNEL")) as f:
        add_modules(staging, os.path.join(ready, "modules", f.read().strip()))
    staging.write("/etc/group", "root:x:0:\nsomeone:x:1000:\ncloister:x:900:\n")


MACHINES = {"cgroup-v2": Machine("/usr/lib/vm/init", "suites", "expected.txt", stage_programs),
            "systemd": Machine(SYSTEMD, "systemd", "expected-systemd.txt", stage_systemd)}


def read_expected(name):
    with open(os.path.join(HERE, name)) as f:
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
        print("new, add it to what is expected:", name)
    return bad


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    parser.add_argument("--machine", choices=MACHINES, default="cgroup-v2")
    parser.add_argument("--seconds", type=int, default=420)
    parser.add_argument("--keep", action="store_true", help="keep the image and the logs")
    parser.add_argument("--only", default="", help="PREFIX,PREFIX of suites, for work on them: names are not compared")
    options = parser.parse_args()
    machine = MACHINES[options.machine]

    ready = subprocess.run([os.path.join(HERE, "prepare")], stdout=subprocess.PIPE, text=True,
                           check=True).stdout.strip()
    work = tempfile.mkdtemp(prefix="cloister-vm.")
    try:
        root, image = os.path.join(work, "root"), os.path.join(work, "root.img")
        console, results = os.path.join(work, "console"), os.path.join(work, "results")
        os.mkdir(root)
        began = time.monotonic()
        stage(root, options.build, ready, machine)
        if options.only:
            for suite in os.listdir(os.path.join(root, "suites")):
                if not suite.startswith((*options.only.split(","), "00-")):
                    os.unlink(os.path.join(root, "suites", suite))
        make_image(root, image)
        shutil.rmtree(root)
        print("image made in %.1f s" % (time.monotonic() - began), flush=True)
        took = boot(ready, image, machine.init, console, results, options.seconds)
        names, times, ended = read_results(results)
        for line in times:
            print(line)
        bad = judge(names, set() if options.only else read_expected(machine.expected))
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
