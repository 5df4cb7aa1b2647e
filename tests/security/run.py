#!/usr/bin/python3
"""Runs every containment probe in one way and says which were contained.

usage: run.py --build BUILD_DIR --way native|bwrap|grpc|control [--only PREFIX]

`control` is the test of the probes themselves: without any sandbox, those that are marked must report an escape.
"""

import argparse
import os
import subprocess
import sys

import harness
import ways

LEAST = {"native": 150, "bwrap": 140, "grpc": 140, "control": 60}
# Two-party probes are contained in both orders.
# What bubblewrap can't do (docs/SECURITY.md): here the escape is what is expected. A gap that has closed fails, too.
GAPS = {"bwrap": {
    "process.signal-init": "pid 1 has the program's uid",
    "process.pidfd-init": "pid 1 has the program's uid",
    "process.limits-of-init": "pid 1 has the program's uid",
    "privilege.init-uid": "pid 1 has the program's uid",
    "res.inodes": "its tmpfs has no limit of inodes",
    "res.workspace-bytes": "its three tmpfs have the limit each",
}}
SKIPPED = 77  # ctest's word for it; CI sets TESTS_MUST_RUN
BESIDE, AFTER = "beside", "after"


def run_pair(way, probe, words, order):
    """The receiver's result, with the sender beside it or before it."""
    if order == AFTER:
        way.run(["put", probe.name, *words], probe.limits)
        return way.run([probe.name, *words], probe.limits)
    sender = way.begin(["put", probe.name, "hold_ms=%d" % harness.HOLD_MS, *words])
    try:
        said = sender.wait_ready()
        if said.startswith("broken"):
            return {"verdict": "EXITED", "exit_code": 2, "stdout": "the sender: " + said}
        return way.run([probe.name, *words], probe.limits)
    finally:
        sender.end()


def run_gap(way, probe, words, report, gap):
    result = way.run([probe.name, *words], probe.limits)
    problem = None if harness.has_escaped(result) else "is contained by now, take it off the list of gaps"
    report.add(probe.name, problem, "known gap: " + gap)


def run_probe(way, probe, words, report):
    if probe.pair:
        for order in (BESIDE, AFTER):
            result = run_pair(way, probe, words, order)
            report.add("%s.%s" % (probe.name, order), harness.judge(probe, result), harness.last_line(result))
        return
    result = way.run([probe.name, *words], probe.limits, collect=probe.collect)
    report.add(probe.name, harness.judge(probe, result), harness.last_line(result) or result["verdict"])


def run_control(way, probe, words, report):
    if probe.pair:
        result = run_pair(way, probe, words, BESIDE)
    else:
        result = way.run([probe.name, *words], probe.limits)
    problem = None if harness.has_escaped(result) else "saw nothing: " + harness.describe(result)
    report.add(probe.name, problem, harness.last_line(result))


def enter_private_namespaces():
    """Probes that escape leave things behind: let them leave them in namespaces that end with this process."""
    if os.environ.get("CLOISTER_CONTROL_INSIDE"):
        for path in ("/tmp", "/dev/shm"):
            subprocess.run(["mount", "-t", "tmpfs", "tmpfs", path], check=True)
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        return
    os.environ["CLOISTER_CONTROL_INSIDE"] = "1"
    os.execvp("unshare", ["unshare", "--mount", "--ipc", "--uts", "--net", "--pid", "--fork", "--kill-child",
                          "--propagation", "private", "--", *sys.orig_argv])


def make_way(name, build, host):
    if name in ("native", "bwrap"):
        return ways.SandboxRun(build, name, host.probe)
    if name == "control":
        return ways.Plain(build)
    import service
    return service.GrpcExecute(build)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    parser.add_argument("--way", required=True, choices=sorted(LEAST))
    parser.add_argument("--only", default="", help="for work on some probes")
    options = parser.parse_args()
    options.build = os.path.abspath(options.build)
    if os.geteuid() != 0:
        print("needs root")
        return 1 if os.environ.get("TESTS_MUST_RUN") else SKIPPED

    if options.way == "control":
        enter_private_namespaces()
    binary = os.path.join(options.build, "tests", "probe")
    probes = [probe for probe in harness.load_probes(binary) if probe.name.startswith(options.only)]
    report = harness.Report()
    with harness.HostSide(binary) as host:
        way = make_way(options.way, options.build, host)
        for probe in probes:
            gap = GAPS.get(options.way, {}).get(probe.name)
            if gap:
                run_gap(way, probe, host.words, report, gap)
            elif options.way != "control":
                run_probe(way, probe, host.words, report)
            elif probe.control:
                run_control(way, probe, host.words, report)
    return report.finish(1 if options.only else LEAST[options.way])


if __name__ == "__main__":
    sys.exit(main())
