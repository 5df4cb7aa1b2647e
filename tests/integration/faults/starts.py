"""Every system call of `cloister sandbox run` fails once: set-up, run and end in one short life.

It ends with the program's output and status 0, or with 125 and words; nothing of it is left. The calls that the dynamic
linker makes before main() are left alone: those of `cloister --version`.

    starts.py [--errors ENOMEM,EMFILE] [--call NAME] [--role ROLE] [--verbose]
"""

import argparse
import errno
import glob
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from calls import CALLS  # noqa: E402
from faults import CANNOT_FAIL, LIKELY, NEWER, Tracer, alive, sandbox_seen, wait_for  # noqa: E402
from service import BUILD, need_root  # noqa: E402

SEEN = "for f in status mountinfo limits; do while read -r line; do echo \"$line\"; done </proc/self/$f; done; echo end well"
COMMAND = [BUILD / "bin" / "cloister", "sandbox", "run", "--limit", "wall=10s", "--", "/bin/sh", "-c", SEEN]
# The program, once executed: below init, which is below inner or below the command itself.
LEAVE = ["rx/*x/*x/*x", "rx/*/*x/*x"]


def likely(name):
    return next((error for error, names in LIKELY.items() if name in names), "ENOMEM")


def ours():
    """Cgroups of one-shot runs: {path: pid in its name}."""
    found = {}
    for path in glob.glob("/sys/fs/cgroup/*/cloister-run-*") + glob.glob("/sys/fs/cgroup/cloister-run-*"):
        found[path] = path.split("cloister-run-")[1].split("-")[0]
    return found


class Starts:
    def __init__(self, options):
        self.options = options
        self.counts = {"good": 0, "125": 0, "not reached": 0}
        self.failures = []

    def run(self, *order, command=COMMAND):
        """Return: status, what was written, the calls, hit, and the command's pid."""
        with tempfile.TemporaryFile() as log:
            tracer = Tracer(*command, leave=LEAVE, stderr=log)
            tracer.order(*order)
            pid = int(Path(f"/proc/{tracer.process.pid}/task/{tracer.process.pid}/children").read_text().split()[0])
            deadline = time.monotonic() + 40
            while tracer.status is None and time.monotonic() < deadline:
                tracer.line()
            calls, hit = tracer.stop()
            tracer.close()
            log.seek(0)
            return tracer.status, log.read().decode(errors="replace"), calls, hit, pid

    def good(self, status, text):
        return status == 0 and text.rstrip().endswith("end well")

    def clean(self, pid):
        """Nothing is left of the command @pid."""
        def gone():
            return not alive(pid) and not [path for path, number in ours().items() if number == str(pid)]
        try:
            wait_for(gone, 8)
        except AssertionError:
            left = [path for path, number in ours().items() if number == str(pid)]
            members = [Path(path, "cgroup.procs").read_text().split() for path in left if os.path.exists(path)]
            raise AssertionError(f"left behind: process {alive(pid)} {left} with {members}") from None

    def one(self, role, nr, nth, error):
        status, text, _, hit, pid = self.run("fail", role, nr, nth, getattr(errno, error))
        self.clean(pid)
        if self.good(status, text):
            seen = sandbox_seen(text.split("end well")[0])
            if seen != self.like:
                one, other = self.like.splitlines(), seen.splitlines()
                raise AssertionError(f"another sandbox: missing {[x for x in one if x not in other][:4]} "
                                     f"new {[x for x in other if x not in one][:4]}")
            self.counts["good" if hit else "not reached"] += 1
        elif status == 125 and re.search(r"cloister: .{10}", text):
            self.counts["125"] += 1
        else:
            raise AssertionError(f"status {status}, {text[-300:]!r}")
        return f"{status} {text.strip().splitlines()[-1][-160:] if text.strip() else ''}"

    def all(self):
        status, text, calls, _, pid = self.run("record")
        assert self.good(status, text), (status, text)
        self.clean(pid)
        self.like = sandbox_seen(text.split("end well")[0])
        linker = {nr: count for role, nr, count in self.run("record", command=[COMMAND[0], "--version"])[2] if role == "rx"}
        tried = 0
        for role, nr, count in calls:
            name = CALLS.get(nr, str(nr))
            first = 1 + linker.get(nr, 0) if role.endswith("x") and role.count("x") < 3 else 1
            if role == "r" or name in CANNOT_FAIL or (self.options.call and name != self.options.call) or \
                    (self.options.role and role != self.options.role):
                continue
            for nth in range(first, count + 1):
                for error in self.options.errors.split(",") if self.options.errors else [likely(name)]:
                    tried += 1
                    self.guarded(role, nr, name, nth, error)
        print(f"sandbox run: {sum(c for _, _, c in calls)} calls, {tried} made to fail: {self.counts}, "
              f"{len(self.failures)} wrong", flush=True)
        return 1 if self.failures else 0

    def guarded(self, role, nr, name, nth, error):
        what = f"sandbox run: {role} {name} {nth} {error}"
        try:
            said = self.one(role, nr, nth, error)
            if self.options.verbose:
                print(f"{what}: {said}", flush=True)
        except (AssertionError, OSError) as e:
            self.failures.append(what)
            print(f"WRONG {what}: {str(e)[:700]}", flush=True)


def main():
    need_root()
    parser = argparse.ArgumentParser()
    parser.add_argument("--errors")
    parser.add_argument("--call")
    parser.add_argument("--role")
    parser.add_argument("--verbose", action="store_true")
    return Starts(parser.parse_args()).all()


if __name__ == "__main__":
    sys.exit(main())
