#!/usr/bin/python3
"""Runs every containment probe in one way and says which were contained.

usage: run.py --build BUILD_DIR --way native|bwrap|grpc|rootfs|control [--jobs N] [--batch PREFIX,...] [--beside] [--only PREFIX]

`control` is the test of the probes themselves: without any sandbox, those that are marked must report an escape.
"""

import argparse
import concurrent.futures
import os
import subprocess
import sys

import harness
import ways

LEAST = {"native": 200, "bwrap": 220, "grpc": 220, "rootfs": 220, "control": 100}
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


def run_gap(way, probe, words, gap):
    result = way.run([probe.name, *words], probe.limits)
    problem = None if harness.has_escaped(result) else "is contained by now, take it off the list of gaps"
    return [(probe.name, problem, "known gap: " + gap)]


def run_probe(way, probe, words, orders):
    if probe.pair:
        results = [(order, run_pair(way, probe, words, order)) for order in orders]
        return [("%s.%s" % (probe.name, order), harness.judge(probe, result), harness.last_line(result))
                for order, result in results]
    result = way.run([probe.name, *words], probe.limits, collect=probe.collect)
    return [(probe.name, harness.judge(probe, result), harness.last_line(result) or result["verdict"])]


def run_control(way, probe, words):
    if probe.pair:
        result = run_pair(way, probe, words, BESIDE)
    else:
        result = way.run([probe.name, *words], probe.limits)
    problem = None if harness.has_escaped(result) else "saw nothing: " + harness.describe(result)
    return [(probe.name, problem, harness.last_line(result))]


def run_batch(way, probes, words):
    """Many in one sandbox: quicker where making one is slow. Judged from what each says and its exit status."""
    result = way.run(["batch", *(probe.name for probe in probes), *words], {})
    found, lines = {}, {}
    for line in harness.text_of(result).splitlines():
        kind, _, rest = line.partition(" ")
        if kind == "probe":
            name = rest
        elif kind == "status":
            found[name] = rest
        else:
            lines[name] = line
    return [(probe.name, None if found.get(probe.name) == "0" and lines[probe.name].startswith("contained")
             else lines.get(probe.name) or harness.describe(result), lines.get(probe.name)) for probe in probes]


def run_one(name, way, probe, words, orders):
    """[(name, problem or None, what was found)] of one probe."""
    gap = GAPS.get(name, {}).get(probe.name)
    if gap:
        return run_gap(way, probe, words, gap)
    return run_control(way, probe, words) if name == "control" else run_probe(way, probe, words, orders)


def enter_private_namespaces(build):
    """Probes that escape leave things behind: let them leave them in namespaces that end with this process."""
    if os.environ.get("CLOISTER_CONTROL_INSIDE"):
        hidden = build.startswith("/tmp/") # a checkout below /tmp must stay in view
        if hidden:
            subprocess.run(["mount", "--bind", build, "/mnt"], check=True)
        for path in ("/tmp", "/dev/shm"):
            subprocess.run(["mount", "-t", "tmpfs", "tmpfs", path], check=True)
        if hidden:
            os.makedirs(build)
            subprocess.run(["mount", "--bind", "/mnt", build], check=True)
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
    import grpc_way
    return (grpc_way.Rootfs if name == "rootfs" else grpc_way.GrpcExecute)(build, host.probe)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    parser.add_argument("--way", required=True, choices=sorted(LEAST))
    parser.add_argument("--jobs", type=int, default=1, help="so many at a time")
    parser.add_argument("--batch", default="", metavar="PREFIX,...", help="probes that share one sandbox")
    parser.add_argument("--beside", action="store_true", help="two-party probes at the same time only")
    parser.add_argument("--only", default="", help="for work on some probes")
    options = parser.parse_args()
    options.build = os.path.abspath(options.build)
    if os.geteuid() != 0:
        print("needs root")
        return 1 if os.environ.get("TESTS_MUST_RUN") else SKIPPED

    if options.way == "control":
        enter_private_namespaces(options.build)
    binary = os.path.join(options.build, "tests", "probe")
    probes = [probe for probe in harness.load_probes(binary) if probe.name.startswith(options.only)]
    if options.way == "control":
        probes = [probe for probe in probes if probe.control]
    report = harness.Report()
    with harness.HostSide(binary) as host:
        way = make_way(options.way, options.build, host)
        try:
            batch = [probe for probe in probes if options.batch and probe.name.startswith(tuple(options.batch.split(",")))]
            for line in run_batch(way, batch, host.words) if batch else ():
                report.add(*line)
            probes = [probe for probe in probes if probe not in batch]
            orders = (BESIDE,) if options.beside else (BESIDE, AFTER)
            with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
                for found in pool.map(lambda probe: run_one(options.way, way, probe, host.words, orders), probes):
                    for line in found:
                        report.add(*line)
        finally:
            way.close()
    return report.finish(1 if options.only else LEAST[options.way])


if __name__ == "__main__":
    sys.exit(main())
