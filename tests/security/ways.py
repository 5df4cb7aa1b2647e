"""The ways in which a probe is run: each has run() -> result and begin() -> a run that goes on until end()."""

import json
import os
import select
import subprocess
import time

INSIDE = "/opt/probe"


def read_ready(stream, seconds):
    """Waits for the line "ready" (the sender has sent) or the end; returns all that was said."""
    said, until = b"", time.monotonic() + seconds
    while b"\n" not in said or not said.endswith(b"\n"):
        left = until - time.monotonic()
        if left <= 0 or not select.select([stream], [], [], left)[0]:
            raise TimeoutError("the sending party said only %r" % said)
        data = os.read(stream.fileno(), 4096)
        if not data:
            break
        said += data
    return said.decode(errors="replace")


class Running:
    """A sending party in a process of ours."""

    def __init__(self, process):
        self.process = process

    def wait_ready(self):
        return read_ready(self.process.stdout, 20)

    def end(self):
        self.process.terminate()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()


class SandboxRun:
    """`cloister sandbox run`, no service: what the launcher's environment holds must not come along.

    @visible_copy is the probe's program at a host path that any uid can reach.
    """

    def __init__(self, build, launcher, visible_copy, disable=None):
        self.cloister = os.path.join(build, "bin", "cloister")
        self.probe = INSIDE
        self.options = ["--launcher", launcher]
        if disable == "mount-namespace": # then there is nothing to bind into, and the host's own path leads to it
            self.probe = visible_copy
        else:
            self.options += ["--bind", "%s:%s:ro" % (visible_copy, INSIDE)]
        if disable:
            self.options += ["--disable-layer", disable]
        self.env = dict(os.environ, CLOISTER_PROBE_SECRET="the launcher's own")
        self.leak = os.open("/", os.O_RDONLY | os.O_DIRECTORY)

    def command(self, words, limits, extra=()):
        limit_words = []
        for name, value in limits.items():
            limit_words += ["--limit", "%s=%s" % (name, value)]
        return [self.cloister, "sandbox", "run", *self.options, *limit_words, *extra, "--", self.probe, *words]

    def run(self, words, limits, collect=False):
        done = subprocess.run(self.command(words, limits, ["--json"]), stdin=subprocess.DEVNULL, capture_output=True,
                              env=self.env, pass_fds=[self.leak], timeout=60)
        try:
            return json.loads(done.stdout)
        except ValueError:
            return {"verdict": "INTERNAL", "stdout": done.stdout.decode(errors="replace"),
                    "stderr": "status %d: %s" % (done.returncode, done.stderr.decode(errors="replace")), "outputs": []}

    def close(self):
        os.close(self.leak)

    def begin(self, words):
        return Running(subprocess.Popen(self.command(words, {}), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, env=self.env, pass_fds=[self.leak]))


class Plain:
    """No sandbox at all: for the test that the probes see an escape."""

    def __init__(self, build):
        self.probe = os.path.join(build, "tests", "probe")
        self.env = dict(os.environ, CLOISTER_PROBE_SECRET="the launcher's own")

    def run(self, words, limits, collect=False):
        done = subprocess.run([self.probe, *words], stdin=subprocess.DEVNULL, capture_output=True, env=self.env,
                              timeout=60)
        return {"verdict": "EXITED" if done.returncode >= 0 else "SIGNALED", "exit_code": done.returncode,
                "stdout": done.stdout.decode(errors="replace"), "stderr": done.stderr.decode(errors="replace")}

    def close(self):
        pass

    def begin(self, words):
        return Running(subprocess.Popen([self.probe, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        env=self.env))
