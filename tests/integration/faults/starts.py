"""Every system call of `cloister sandbox run` fails once: set-up, run and end in one short life.

It ends with the program's output and status 0, or with 125 and words; nothing of it is left. The calls that the dynamic
linker makes before main() are left alone: those of `cloister sandbox run --bad`.

    starts.py [--way direct|spawner] [--errors ENOMEM,EMFILE] [--call NAME] [--role ROLE] [--verbose]

There are two ways, and both are taken: by the command itself, and by a spawner of its own as the service has one, which a
layer that might be missing (and is not) asks for.
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
WAYS = {"direct": [], "spawner": ["--allow-missing", "uts-namespace"]}
CLOISTER = BUILD / "bin" / "cloister"
# The program, once executed: below init, which is below inner or below the command itself.
LEAVE = ["rxx/*x/*x/*x", "rx/*/*x/*x"]


def likely(name):
    return next((error for error, names in LIKELY.items() if name in names), "ENOMEM")


def ours():
    """Cgroups of one-shot runs: {path: pid in its name}."""
    found = {}
    for path in glob.glob("/sys/fs/cgroup/*/cloister-run-*") + glob.glob("/sys/fs/cgroup/cloister-run-*"):
        found[path] = path.split("cloister-run-")[1].split("-")[0]
    return found


class Starts:
    def __init__(self, way, options):
        self.way, self.options = way, options
        self.command = [CLOISTER, "sandbox", "run", *WAYS[way], "--limit", "wall=10s", "--", "/bin/sh", "-c", SEEN]
        self.counts = {"good": 0, "125": 0, "not reached": 0}
        self.failures = []

    def run(self, *order, command=None):
        """Return: status, what was written, the calls, hit, and the command's pid."""
        with tempfile.TemporaryFile() as log:
            tracer = Tracer(*(command or self.command), leave=LEAVE, stderr=log)
            tracer.order(*order)
            deadline = time.monotonic() + 40
            while tracer.status is None and time.monotonic() < deadline:
                tracer.line()
            calls, hit = tracer.stop()
            tracer.close()
            log.seek(0)
            return tracer.status, log.read().decode(errors="replace"), calls, hit, tracer.pid

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
            # A link of the host that could not be looked at is shown as a directory too: the same read-only files.
            seen = "\n".join(line for line in seen.splitlines() if line in self.like or not re.match(
                r"mount / /(usr/)?s?(bin|lib\w*) ro,nosuid,nodev,noatime ", line))
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

    def before_main(self, calls):
        """{role: {number: count}} of what each program does before main(); init has no libc, and nothing of the kind."""
        plain = {}
        for role, nr, count in self.run("record", command=[CLOISTER, "sandbox", "run", "--bad"])[2]:
            plain.setdefault(role, {})[nr] = count
        last = max(plain, key=len)
        return {role: plain.get(role, plain[last]) for role, nr, _ in calls if CALLS.get(nr) == "arch_prctl"}

    def all(self):
        status, text, calls, _, pid = self.run("record")
        assert self.good(status, text), (status, text)
        self.clean(pid)
        self.like = sandbox_seen(text.split("end well")[0])
        linker = self.before_main(calls)
        tried = 0
        for role, nr, count in calls:
            name = CALLS.get(nr, str(nr))
            first = 1 + linker.get(role, {}).get(nr, 0)
            if role == "r" or name in CANNOT_FAIL or (self.options.call and name != self.options.call) or \
                    (self.options.role and role != self.options.role):
                continue
            for nth in range(first, count + 1):
                for error in self.options.errors.split(",") if self.options.errors else [likely(name)]:
                    tried += 1
                    self.guarded(role, nr, name, nth, error)
        print(f"sandbox run, {self.way}: {sum(c for _, _, c in calls)} calls, {tried} made to fail: {self.counts}, "
              f"{len(self.failures)} wrong", flush=True)
        return 1 if self.failures else 0

    def guarded(self, role, nr, name, nth, error):
        what = f"sandbox run, {self.way}: {role} {name} {nth} {error}"
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
    parser.add_argument("--way", choices=WAYS)
    parser.add_argument("--errors")
    parser.add_argument("--call")
    parser.add_argument("--role")
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    return max(Starts(way, options).all() for way in ([options.way] if options.way else WAYS))


if __name__ == "__main__":
    sys.exit(main())
