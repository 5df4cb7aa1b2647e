"""What the security tests share: the probes' table, the host's side of them, and the judgement.

A way of running (ways.py) turns a command into a result as docs/API.md describes it for `--json`; everything here is
the same for all of them.
"""

import base64
import collections
import os
import shutil
import subprocess
import tempfile

Probe = collections.namedtuple("Probe", "name layer pair expect limits control collect")

HOLD_MS = 8000


def load_probes(binary):
    out = subprocess.run([binary, "list"], stdout=subprocess.PIPE, text=True, check=True).stdout
    probes = []
    for line in out.splitlines():
        name, layer, kind, expect, limits, flags = line.split("\t")
        probes.append(Probe(
            name, None if layer == "-" else layer, kind == "pair",
            [] if expect == "-" else expect.split("|"),
            {} if limits == "-" else dict(word.split("=") for word in limits.split()),
            "control" in flags.split(","), "collect" in flags.split(",")))
    return probes


class HostSide:
    """What probes look for: a file, listeners, a shared memory segment, made by `probe host` in a process of its own."""

    def __init__(self, binary):
        # Not below /tmp: a sandbox has one of its own, and would hide it with or without its other walls.
        self.folder = tempfile.mkdtemp(prefix="cloister-security.", dir="/var/tmp")
        os.chmod(self.folder, 0o755)
        self.probe = os.path.join(self.folder, "probe") # where any uid can reach it
        shutil.copy(binary, self.probe)
        self.process = subprocess.Popen([binary, "host", self.folder], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.words = self.process.stdout.readline().split()
        if len(self.words) < 7:
            raise SystemExit("probe host failed")

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.process.stdin.close()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def text_of(result):
    return base64.b64decode(result.get("stdout_base64") or "").decode(errors="replace") or result.get("stdout", "")


def last_line(result):
    lines = text_of(result).strip().splitlines()
    return lines[-1] if lines else ""


def describe(result):
    words = [result["verdict"], "exit %s" % result.get("exit_code"), "signal %s" % result.get("signal"), last_line(result)]
    explanation = (result.get("explanation") or {}).get("message")
    return "; ".join(str(word) for word in words + [explanation, result.get("stderr", "").strip()[-200:]] if word)


def has_escaped(result):
    return any(line.startswith("ESCAPED") for line in text_of(result).splitlines())


def judge(probe, result):
    """None when the probe was contained, else what went wrong."""
    if has_escaped(result):
        return describe(result)
    if probe.expect:
        return None if result["verdict"] in probe.expect else \
            "expected %s: %s" % ("|".join(probe.expect), describe(result))
    if result["verdict"] != "EXITED" or result["exit_code"] != 0 or not last_line(result).startswith("contained"):
        return describe(result)
    return judge_outputs(result) if probe.collect else None


def path_of(output):
    return base64.b64decode(output["path_base64"]) if "path_base64" in output else output["path"].encode()


def judge_outputs(result):
    """The collected files against the probe's own list of what must and what may come."""
    must, may = {}, set()
    for line in text_of(result).splitlines():
        words = line.split()
        if words and words[0] == "must":
            must[bytes.fromhex(words[1])] = int(words[2])
        elif words and words[0] == "may":
            may.add(bytes.fromhex(words[1]))
    outputs = {path_of(output): output for output in result["outputs"]}
    for path, size in must.items():
        if path not in outputs:
            return "%r was not collected" % path
        if outputs[path]["size"] != size:
            return "%r has %s bytes instead of %d" % (path, outputs[path]["size"], size)
    for path, output in outputs.items():
        if path not in must and path not in may:
            return "%r was collected" % path
        if b"root:" in base64.b64decode(output.get("content_base64") or ""):
            return "%r holds a file of the host" % path
    return None


class Report:
    """Prints one line per name, remembers what failed."""

    def __init__(self):
        self.passed, self.failed = [], []

    def add(self, name, problem, found=""):
        (self.failed if problem else self.passed).append(name)
        print("%s  %-34s %s" % ("FAILED" if problem else "ok    ", name, problem or found), flush=True)

    def finish(self, least):
        print("%d ok, %d failed" % (len(self.passed), len(self.failed)))
        for name in self.failed:
            print("  failed:", name)
        if len(self.passed) < least:
            print("fewer than %d passed: probes are missing" % least)
            return 1
        return 1 if self.failed else 0
