"""Probes through the service: gRPC Execute on its unix socket, by a client that nobody here wrote (grpcio)."""

import base64
import os
import shutil
import sys
import tempfile
import threading

import grpc

UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "ms": 1, "s": 1000, "m": 60000, "h": 3600000}
# Names of the limits as the command line has them, and as the contract does.
FIELDS = {"memory": "memory_bytes", "cpu": "cpu_ms", "wall": "wall_ms", "file-size": "file_size_bytes",
          "processes": "processes", "output": "output_bytes", "workspace": "workspace_bytes", "inodes": "inodes",
          "open-files": "open_files"}


def number(text):
    digits = text.rstrip("KMGmsh")
    return int(digits) * UNITS.get(text[len(digits):], 1)


class Running:
    """A sending party: a call that is cancelled when it has done its part."""

    def __init__(self, call):
        self.call = call
        self.said = b""
        self.changed = threading.Event()
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        try:
            for event in self.call:
                if event.WhichOneof("event") == "output":
                    self.said += event.output.data
                    self.changed.set()
        except grpc.RpcError:
            pass
        self.changed.set()

    def wait_ready(self):
        if not self.changed.wait(20):
            raise TimeoutError("the sending party said only %r" % self.said)
        return self.said.decode(errors="replace")

    def end(self):
        self.call.cancel()
        self.reader.join(10)


def as_json(run):
    """The parts of the `--json` object that the judgement looks at."""
    result = run.result
    if result is None:
        return {"verdict": "INTERNAL", "exit_code": None, "stdout": "", "stderr": run.error.details(), "outputs": []}
    return {
        "verdict": run.verdict,
        "exit_code": run.exit_code,
        "signal": result.signal or None,
        "stdout": run.stdout.decode(errors="replace"),
        "stdout_base64": base64.b64encode(run.stdout).decode(),
        "stderr": run.stderr.decode(errors="replace"),
        "explanation": {"message": result.explanation.message},
        "outputs": [{"path_base64": base64.b64encode(output.path).decode(), "size": output.size,
                     "content_base64": base64.b64encode(run.files[output.path]["data"]).decode()}
                    for output in result.outputs],
    }


class GrpcExecute:
    """A service of our own, started for the test; close() fails when anything of it is left."""

    text = ""

    def __init__(self, build, probe):
        os.environ["CLOISTER_BUILD"] = build
        sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
        import service
        self.service = service.Service(text=self.text, env={"CLOISTER_PROBE_SECRET": "the service's own"}).__enter__()
        self.client = self.service.client(timeout=60)
        with open(probe, "rb") as f:
            self.probe = f.read()

    def close(self):
        self.client.close()
        self.service.__exit__(None, None, None)

    def request(self, words, limits, collect):
        return {"argv": ["./probe", *words], "files": {"probe": self.probe}, "executable": ("probe",),
                "limits": {FIELDS[name]: number(value) for name, value in limits.items()},
                "collect": {"max_files": 4096} if collect else None}

    def run(self, words, limits, collect=False):
        return as_json(self.client.run(**self.request(words, limits, collect)))

    def begin(self, words):
        return Running(self.client.execute(self.client.request(**self.request(words, {}, False))))


class Rootfs(GrpcExecute):
    """The same in the tree of a runtime that has a root and a mount of its own; some files of the host's are in both."""

    def __init__(self, build, probe):
        self.place = tempfile.mkdtemp(prefix="cloister-rootfs-%d-" % os.getpid())
        for name in ("root/bin", "root/etc", "root/usr/bin", "more"):
            os.makedirs(os.path.join(self.place, name))
        for name in ("root/bin/busybox", "root/usr/bin/env", "more/busybox"):
            shutil.copy("/bin/busybox", os.path.join(self.place, name))
        os.symlink("busybox", os.path.join(self.place, "root/bin/sh"))
        os.chmod(self.place, 0o755)
        self.text = ('[runtime "probe"]\nrootfs = %s/root\nmount.more = %s/more:/opt/more\n'
                     'command = /workspace/probe {args}\n' % (self.place, self.place))
        super().__init__(build, probe)

    def close(self):
        super().close()
        shutil.rmtree(self.place)

    def request(self, words, limits, collect):
        request = super().request(words, limits, collect)
        return {**request, "runtime": "probe", "argv": [], "args": words}
