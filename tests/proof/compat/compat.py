"""CPython's own regression tests, numpy's, and the examples in pandas' documentation: in a sandbox and outside.

Every test case that ends differently is a difference; it is tried again, alone, on both sides, and counts when it stays.
expected.txt has the known ones with their reasons. Fails on a difference that is not there, on one there that is none
any more, and on more than --most of them.

    compat.py [--build DIR] [--only MODULE]... [--keep DIR]

Outside means: the same uid, resource limits, environment and user table, a tmpfs as directory, on the host.
"""

import argparse
import concurrent.futures
import os
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as xml
from pathlib import Path

HERE = Path(__file__).resolve().parent
REGRTEST = """os posix subprocess threading signal socket asyncio multiprocessing_fork multiprocessing_spawn mmap fcntl pty
resource tempfile venv pathlib shutil zipfile tarfile json pickle re struct array decimal math random statistics
datetime time calendar io file bz2 lzma zlib gzip csv configparser argparse logging unittest doctest ast compile dis
inspect importlib codecs unicodedata locale select selectors queue sched thread threading_local weakref gc sys platform
getpass pwd""".split()
NUMPY = ["core/tests/test_multiarray.py", "core/tests/test_umath.py", "core/tests/test_numeric.py",
         "core/tests/test_dtype.py", "linalg/tests/test_linalg.py", "random/tests/test_generator_mt19937.py",
         "fft/tests", "lib/tests/test_io.py", "lib/tests/test_function_base.py", "ma/tests/test_core.py"]
PANDAS = ["core.frame", "core.series", "core.generic", "core.groupby.groupby", "core.groupby.generic", "core.indexes.base",
          "core.indexes.datetimes", "core.reshape.merge", "core.reshape.pivot", "core.strings.accessor", "core.window.rolling",
          "core.algorithms", "core.tools.datetimes", "io.json._json", "io.parsers.readers", "io.pickle"]
LIMITS = {"memory": "1G", "cpu": "300s", "wall": "900s", "processes": "500", "open-files": "1024", "file-size": "1G",
          "workspace": "1G", "inodes": "65536"}
ENVIRONMENT = {"USER": "sandbox", "HOME": "/workspace", "PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8",
               "PWD": "/workspace", "OPENBLAS_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
SECONDS = 600

DOCTEST = r"""
import doctest, importlib, sys
import numpy, pandas
name = sys.argv[1]
module = importlib.import_module("pandas." + name)
cases = sys.argv[2:]
flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
with open("junit.xml", "w") as out:
    out.write("<testsuite>")
    for test in doctest.DocTestFinder(exclude_empty=True).find(module, name, globs={"np": numpy, "pd": pandas}):
        if not test.examples or cases and test.name not in cases:
            continue
        runner = doctest.DocTestRunner(optionflags=flags, verbose=False)
        failed, tried = runner.run(test, out=sys.stdout.write)
        out.write('<testcase name="%s">%s</testcase>' % (test.name, "<failure/>" if failed else ""))
    out.write("</testsuite>")
"""


def command(module, cases):
    """What runs there, and leaves junit.xml behind."""
    kind, _, name = module.partition(":")
    if kind == "cpython":
        words = ["python3", "-m", "test", "-v", "--timeout", str(SECONDS - 60), "--junit-xml", "junit.xml"]
        for case in cases:
            words += ["-m", case]
        return words + ["test_" + name]
    if kind == "numpy":
        words = ["python3", "-m", "pytest", "-q", "-m", "not slow", "-p", "no:cacheprovider", "--junit-xml", "junit.xml"]
        return words + (["-k", " or ".join(case.rsplit(".", 1)[1].split("[")[0] for case in cases)] if cases else []) + [
            "/usr/lib/python3/dist-packages/numpy/" + name]
    if kind == "own":
        return ["python3", "-c", (HERE / f"{name}.py").read_text(), *cases]
    return ["python3", "-c", DOCTEST, name, *cases]


def cases_of(path):
    """{case: pass, fail or skip}; {} when the program did not come so far as to write it."""
    try:
        tree = xml.parse(path)
    except (OSError, xml.ParseError):
        return {}
    found = {}
    for case in tree.iter("testcase"):
        name = case.get("name")
        if not name:
            continue  # of a case whose parts failed; it is absent by its name then
        if case.get("classname") and not name.startswith(case.get("classname")):
            name = case.get("classname") + "." + name
        children = {child.tag for child in case}
        found[name] = "fail" if children & {"failure", "error"} else "skip" if "skipped" in children else "pass"
    return found


class Inside:
    name = "inside"

    def __init__(self, build):
        self.cloister = build / "bin" / "cloister"

    def run(self, words, directory):
        options = [word for limit in LIMITS.items() for word in ("--limit", "=".join(limit))]
        for name in ("OPENBLAS_NUM_THREADS", "PYTHONDONTWRITEBYTECODE"):
            options += ["--env", f"{name}={ENVIRONMENT[name]}"]
        # The program leaves nothing but its report, so that it alone comes back.
        script = '"$@" >/tmp/log 2>&1; status=$?; mkdir /tmp/left; mv junit.xml /tmp/left/; cp /tmp/log /tmp/left/log; ' \
                 'chmod -R u+rwx . ; find . -mindepth 1 -delete; mv /tmp/left/* .; exit $status'
        return subprocess.run([self.cloister, "sandbox", "run", *options, "--output", directory, "--", "/bin/sh", "-c", script,
                               "sh", *words], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, timeout=SECONDS + 300, check=False)


class Outside:
    name = "outside"

    def run(self, words, directory):
        directory.mkdir(exist_ok=True)
        (directory / "passwd").write_text("root:x:0:0:root:/:/usr/sbin/nologin\nsandbox:x:1000:1000:sandbox:/workspace:/bin/sh\n"
                                          "nobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n")
        (directory / "group").write_text("root:x:0:\nsandbox:x:1000:\nnogroup:x:65534:\n")
        # A mount namespace for the directory and the table of users; nothing else is taken away.
        script = f"""set -e
            mount -t tmpfs -o size=1G,mode=1777 none /mnt; mkdir /mnt/w; chown 1000:1000 /mnt/w
            mount --bind {directory}/passwd /etc/passwd; mount --bind {directory}/group /etc/group
            mount -t tmpfs -o size=1G,mode=1777 none /dev/shm
            cd /mnt/w; ulimit -n 1024; ulimit -c 0; ulimit -l 0; ulimit -f 1048576; ulimit -t 301
            ulimit -S -s 8192; ulimit -H -s 65536
            status=0
            env -i TMPDIR=/mnt HOME=/mnt/w PWD=/mnt/w {" ".join(f"{k}={v}" for k, v in ENVIRONMENT.items()
                                                                 if k not in ("HOME", "PWD"))} \
                timeout {SECONDS} setsid -w setpriv --reuid 1000 --regid 1000 --clear-groups "$@" >/mnt/log 2>&1 </dev/null || status=$?
            cp /mnt/log {directory}/log; cp /mnt/w/junit.xml {directory}/ || true
            exit $status"""
        return subprocess.run(["unshare", "--mount", "--propagation", "private", "bash", "-c", script, "sh", *words],
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                              timeout=SECONDS + 60, check=False)


def run(side, module, directory, cases=()):
    where = directory / f"{side.name}-{module.replace('/', '_').replace(':', '-')}{'-again' if cases else ''}"
    where.mkdir(parents=True, exist_ok=True)
    try:
        done = side.run(command(module, cases), where)
    except subprocess.TimeoutExpired:
        return {"(whole module)": "timeout"}
    found = cases_of(where / "junit.xml")
    if not found:
        words = (where / "log").read_text(errors="replace")[-600:] if (where / "log").exists() else ""
        print(f"{module} {side.name}: no report, status {done.returncode}: {done.stderr.decode()[-300:]} {words}", flush=True)
        return {"(whole module)": f"no report, status {done.returncode}"}
    return found


def differences(inside, outside):
    return {case: (inside.get(case, "absent"), outside.get(case, "absent"))
            for case in sorted({*inside, *outside}) if inside.get(case) != outside.get(case)}


def compare(module, sides, directory):
    inside, outside = (run(side, module, directory) for side in sides)
    found = differences(inside, outside)
    if found and "(whole module)" not in found and len(found) < 60:
        again = [run(side, module, directory, list(found)) for side in sides]
        still = differences(*again)
        found = {case: ends for case, ends in found.items() if case in still or case not in {*again[0], *again[1]}}
    counts = [sum(end == kind for end in inside.values()) for kind in ("pass", "skip", "fail")]
    print(f"{module}: {counts[0]} passed, {counts[1]} skipped, {counts[2]} failed inside; {len(outside)} cases outside; "
          f"{len(found)} differ", flush=True)
    return {f"{module} {case}": ends for case, ends in found.items()}, len(inside)


def expected():
    """{case: reason}; a line: MODULE CASE INSIDE OUTSIDE REASON"""
    found = {}
    for line in (HERE / "expected.txt").read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            module, case, inside, outside, reason = line.split(None, 4)
            found[f"{module} {case}"] = (inside, outside), reason
    return found


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", type=Path, default=HERE.parents[2] / "build" / "release")
    parser.add_argument("--only", action="append")
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--most", type=int, default=10)
    options = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("needs root")
    directory = options.keep or Path(tempfile.mkdtemp(prefix="cloister-compat-"))
    directory.mkdir(parents=True, exist_ok=True)
    directory.chmod(0o755)
    # Debian's package of the regression tests leaves sqlite3's out.
    modules = [f"cpython:{name}" for name in REGRTEST] + ["own:sqlite_cases"] + [f"numpy:{name}" for name in NUMPY] + [f"pandas:{n}" for n in PANDAS]
    if options.only:
        modules = [module for module in modules if any(only in (module, module.partition(":")[2]) for only in options.only)]
    sides = Inside(options.build), Outside()
    found, total = {}, 0
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for differing, count in pool.map(lambda module: compare(module, sides, directory), modules):
            found.update(differing)
            total += count
    known, wrong = expected(), 0
    for case, ends in found.items():
        reason = known[case][1] if case in known and known[case][0] == ends else "NOT EXPECTED"
        wrong += reason == "NOT EXPECTED"
        print(f"{case}: {ends[0]} inside, {ends[1]} outside: {reason}")
    for case in known:
        if case not in found and case.split()[0] in modules:
            print(f"{case}: EXPECTED TO DIFFER, and does not")
            wrong += 1
    print(f"{total} cases, {len(found)} differ, {wrong} of them not as expected")
    if not options.keep:
        shutil.rmtree(directory, ignore_errors=True)
    return 1 if wrong or len(found) > options.most else 0


if __name__ == "__main__":
    sys.exit(main())
