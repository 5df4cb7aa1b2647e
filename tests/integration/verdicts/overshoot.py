#!/usr/bin/python3
"""How far beyond a limit of 1 s a program comes before it is dead, for `cpu` and `wall`; prints the figures.

The target is 20 ms on an idle machine. What fails is far looser: machines that run tests are not idle.
usage: overshoot.py --build BUILD_DIR [--runs N]
"""

import argparse
import concurrent.futures
import json
import os
import statistics
import subprocess
import sys
import tempfile

from run import Driver

LIMIT_MS = 1000
TARGET_MS = 20
LOOSE_MS = 200

# name, what is measured, steps, at a time: as many as two processors can take.
CASES = [
    ("cpu: one thread computes", "cpu", "burn", 2),
    ("cpu: two processes compute", "cpu", "fork burn end burn", 1),
    ("cpu: children of a few ms each", "cpu", "short-children", 2),
    ("wall: sleep", "wall", "pause", 5),
    ("wall: blocked read", "wall", "read", 5),
]


def measure(driver, limit, steps):
    """Milliseconds of @limit that were used up when the run was over."""
    other = {"cpu": "wall", "wall": "cpu"}[limit]
    words = [driver.cloister, "sandbox", "run", "--json", "--bind", driver.helper + ":/opt/limit_program:ro",
             "--limit", "%s=%dms" % (limit, LIMIT_MS), "--limit", other + "=30s", "--", "/opt/limit_program",
             *steps.split()]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    result = json.loads(process.stdout.read())
    process.stdin.close()
    process.stdout.close()
    process.wait()
    if result["explanation"]["limit"] != limit:
        sys.exit("%s was judged as %s: %s" % (steps, result["verdict"], result["explanation"]["message"]))
    return result["explanation"]["observed"]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    parser.add_argument("--runs", type=int, default=10)
    options = parser.parse_args()
    if os.geteuid() != 0:
        print("skipped: needs root")
        return 1 if os.environ.get("TESTS_MUST_RUN") == "1" else 77

    worst = 0
    print("milliseconds beyond a limit of %d ms; load %.1f" % (LIMIT_MS, os.getloadavg()[0]))
    with tempfile.TemporaryDirectory(prefix="overshoot.") as work:
        os.chmod(work, 0o755)
        driver = Driver(options.build, work)
        for name, limit, steps, at_a_time in CASES:
            with concurrent.futures.ThreadPoolExecutor(at_a_time) as pool:
                used = pool.map(lambda _, a=limit, b=steps: measure(driver, a, b), range(options.runs))
                over = [ms - LIMIT_MS for ms in used]
            print("%-32s median %5.1f  worst %4d   %s" % (name, statistics.median(over), max(over), over), flush=True)
            worst = max(worst, *over)
            if min(over) < 0:
                print("FAILED: a run was ended before its limit")
                return 1
    print("worst %d ms: target %d ms %s; fails at %d ms" %
          (worst, TARGET_MS, "met" if worst < TARGET_MS else "missed", LOOSE_MS))
    return 0 if worst < LOOSE_MS else 1


if __name__ == "__main__":
    sys.exit(main())
