#!/usr/bin/python3
"""Runs the verdict table (table.py) through `cloister sandbox run --json` and compares each result.

Prints `ok NAME` or `FAILED NAME why` per row, and at the end whether anything of the runs is left. Needs root.
usage: run.py --build BUILD_DIR [--only TEXT] [--jobs N] [--brief] [--launcher native|bwrap]
"""

import argparse
import base64
import concurrent.futures
import glob
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

import table

LIMIT_OF = {"MEMORY_LIMIT": "memory", "CPU_TIME_LIMIT": "cpu", "WALL_TIME_LIMIT": "wall", "IDLE_LIMIT": "idle",
            "OUTPUT_LIMIT": "output", "FILE_SIZE_LIMIT": "file-size", "PROCESS_LIMIT": "processes"}
# What a launcher can't give; each of its runs must say so.
LACKING = {"native": [], "bwrap": ["tmpfs-limits", "slot-uid"]}
# Rows about a limit that it therefore does not have: bubblewrap's tmpfs takes a size, but no number of inodes.
NOT_WITH = {"native": (), "bwrap": ("inodes.",)}
PATIENCE = 60 # seconds for one row; none needs more than a few, but the virtual machine is slow


def command_of(row, cloister, launcher, helper):
    words = [cloister, "sandbox", "run", "--launcher", launcher, "--bind", helper + ":/opt/limit_program:ro"]
    for name, value in row.limits.items():
        words += ["--limit", "%s=%s" % (name, value)]
    if row.policy:
        words += ["--policy", row.policy]
    return words + ([] if row.cancel else ["--json"]) + ["--", *row.command]


def signal_number(name):
    return getattr(signal, name)


def exit_status(row):
    """What the contract says of the exit status of `cloister`."""
    if row.verdict in LIMIT_OF:
        return 124
    if row.verdict == "POLICY_VIOLATION":
        return 126
    if row.signal is None:
        return row.exit_code
    base, _, more = row.signal.partition("+")
    return 128 + signal_number(base) + int(more or 0)


class Spoken:
    """Collects what a program says, line by line, so that the driver can wait for it."""

    def __init__(self, stream):
        self.stream = stream
        self.data = b""
        self.ended = False
        self.changed = threading.Condition()
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        while True:
            data = os.read(self.stream.fileno(), 65536)
            with self.changed:
                self.data += data
                self.ended = not data
                self.changed.notify_all()
            if not data:
                return

    def wait_lines(self, n):
        with self.changed:
            self.changed.wait_for(lambda: self.ended or self.data.count(b"\n") >= n, PATIENCE)
            return self.data.count(b"\n") >= n


class Driver:
    def __init__(self, build, work, launcher="native"):
        self.launcher = launcher
        self.cloister = os.path.join(build, "bin", "cloister")
        self.helper = os.path.join(work, "limit_program")
        shutil.copyfile(os.path.join(build, "tests", "limit_program"), self.helper)
        os.chmod(self.helper, 0o755)
        self.pids = []

    def start(self, row, **streams):
        process = subprocess.Popen(command_of(row, self.cloister, self.launcher, self.helper), stdin=subprocess.PIPE, **streams)
        self.pids.append(process.pid)
        return process

    def run_json(self, row):
        """Its stdin stays open and silent: a program that reads it waits."""
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as said:
            process = self.start(row, stdout=out, stderr=said)
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                return ["no end within %d s" % PATIENCE]
            finally:
                process.stdin.close()
            out.seek(0)
            said.seek(0)
            text, words = out.read(), said.read().decode(errors="replace").strip()
        try:
            result = json.loads(text)
        except ValueError:
            return ["no JSON: %r, %s" % (text[:200], words)]
        return judge(row, result, process.returncode, self.launcher)

    def run_cancelled(self, row):
        """Without --json, which would say nothing before the end."""
        process = self.start(row, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        spoken = Spoken(process.stdout)
        for n, name in enumerate(row.cancel):
            if not spoken.wait_lines(n + 1):
                process.kill()
                process.wait()
                return ["the program never said it was ready"]
            process.send_signal(signal_number("SIG" + name))
        try:
            words = process.communicate(timeout=PATIENCE)[1].decode(errors="replace")
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return ["no end within %d s of the signal" % PATIENCE]
        faults = []
        if row.verdict == "CANCELLED" and "cloister: CANCELLED: " not in words:
            faults.append("said %r" % words)
        if process.returncode != exit_status(row):
            faults.append("exit status %d instead of %d" % (process.returncode, exit_status(row)))
        if row.says and row.says not in words:
            faults.append("said %r, without '%s'" % (words, row.says))
        return faults


def judge(row, result, status, launcher):
    """What is not as the row says."""
    faults = []

    def expect(what, got, wanted):
        if got != wanted:
            faults.append("%s %s instead of %s" % (what, got, wanted))

    explanation = result["explanation"]
    expect("verdict", result["verdict"], row.verdict)
    expect("exit code", result["exit_code"], row.exit_code)
    expect("signal", result["signal"], row.signal)
    expect("limits_hit", sorted(set(result["limits_hit"]) - row.maybe), sorted(row.hit - row.maybe))
    expect("refusals", {r["operation"]: r["count"] for r in result["refusals"]}, row.refusals)
    expect("exit status", status, exit_status(row))
    expect("explanation.limit", explanation["limit"], LIMIT_OF.get(row.verdict))
    if row.verdict in LIMIT_OF:
        faults += judge_numbers(explanation)
    expect("layers missing", [layer["name"] for layer in result["layers"] if not layer["active"]], LACKING[launcher])
    plain = row.verdict == "EXITED" and row.exit_code == 0 and not row.hit | row.maybe
    if bool(explanation["message"]) == plain and not row.maybe:
        faults.append("the explanation says %r" % explanation["message"])
    if row.says and row.says not in explanation["message"]:
        faults.append("the explanation says %r, without '%s'" % (explanation["message"], row.says))
    if row.most_wall_ms and result["usage"]["wall_ms"] > row.most_wall_ms:
        faults.append("it took %d ms" % result["usage"]["wall_ms"])
    kept = len(base64.b64decode(result["stdout_base64"]))
    if row.kept is not None and kept != row.kept:
        faults.append("%d bytes of stdout were kept instead of %d" % (kept, row.kept))
    if faults and result["stderr"]:
        faults.append("stderr: %r" % result["stderr"][-300:])
    if faults and explanation["message"]:
        faults.append("message: %r" % explanation["message"])
    return faults


def judge_numbers(explanation):
    faults = []
    if not explanation["configured"]:
        faults.append("explanation.configured is %s" % explanation["configured"])
    if not explanation["observed"]:
        faults.append("explanation.observed is %s" % explanation["observed"])
    if not explanation["detected_by"]:
        faults.append("explanation.detected_by is empty")
    return faults


def what_is_left(pids, mounts_before):
    """Groups, processes and mounts of the runs that these processes were."""
    names = {"cloister-run-%d" % pid for pid in pids}
    left = []
    for path in glob.glob("/sys/fs/cgroup/**/cloister-run-*", recursive=True):
        if os.path.basename(path) in names:
            left.append("cgroup " + path)
    for path in glob.glob("/proc/[0-9]*/cgroup"):
        try:
            with open(path) as f:
                parts = f.read().replace("\n", "/").split("/")
        except OSError:
            continue
        if names & set(parts):
            left.append("process " + path.split("/")[2])
    left += ["mount " + line for line in mounts() - mounts_before if "cloister" in line]
    return left


def mounts():
    with open("/proc/self/mountinfo") as f:
        return set(f.read().splitlines())


def report(name, faults, seconds):
    if faults:
        print("FAILED", name, "; ".join(faults).replace("\n", " "), flush=True)
    else:
        print("ok %s %.2f s" % (name, seconds), flush=True)
    return not faults


def is_brief(row):
    return row.cancel or os.path.basename(row.command[0]) not in ("python3", "bash")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    parser.add_argument("--only", default="", help="rows whose name holds this text")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--brief", action="store_true",
                        help="without what only an interpreter tells apart: for the virtual machine, which is slow")
    parser.add_argument("--launcher", choices=sorted(LACKING), default="native")
    parser.add_argument("--list", action="store_true", help="print the names of the rows and run nothing")
    options = parser.parse_args()
    rows = [row for row in table.ROWS if options.only in row.name and (not options.brief or is_brief(row)) and
            not row.name.startswith(NOT_WITH[options.launcher])]
    if options.list:
        print("\n".join(row.name for row in rows))
        return 0
    if os.geteuid() != 0:
        print("skipped: needs root")
        return 1 if os.environ.get("TESTS_MUST_RUN") == "1" else 77

    began, mounts_before = time.monotonic(), mounts()
    with tempfile.TemporaryDirectory(prefix="verdicts.") as work:
        os.chmod(work, 0o755)
        driver = Driver(options.build, work, options.launcher)

        def run(row):
            start = time.monotonic()
            faults = driver.run_cancelled(row) if row.cancel else driver.run_json(row)
            return report(row.name, faults, time.monotonic() - start)

        with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
            passed = sum(pool.map(run, rows))
        clean = report("nothing-is-left", what_is_left(driver.pids, mounts_before), 0)
    print("%d of %d rows ok in %.1f s" % (passed, len(rows), time.monotonic() - began))
    return 0 if clean and rows and passed == len(rows) else 1


if __name__ == "__main__":
    sys.exit(main())
