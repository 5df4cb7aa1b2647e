"""Probes through the service: gRPC Execute on its unix socket, by a client that nobody here wrote (grpcio)."""

import base64
import os
import threading

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "ms": 1, "s": 1000, "m": 60000, "h": 3600000}
# Names of the limits as the command line has them, and as the contract does.
FIELDS = {"memory": "memory_bytes", "cpu": "cpu_ms", "wall": "wall_ms", "file-size": "file_size_bytes",
          "processes": "processes", "output": "output_bytes", "workspace": "workspace_bytes", "inodes": "inodes",
          "open-files": "open_files"}


def number(text):
    digits = text.rstrip("KMGmsh")
    return int(digits) * UNITS.get(text[len(digits):], 1)


class Contract:
    """The messages of cloister.exec.v1, from the descriptor set that the build makes."""

    def __init__(self, build):
        with open(os.path.join(build, "proto", "gen", "contract.fds"), "rb") as f:
            files = descriptor_pb2.FileDescriptorSet.FromString(f.read())
        self.pool = descriptor_pool.DescriptorPool()
        for file in files.file:
            self.pool.Add(file)
        self.factory = message_factory.MessageFactory(self.pool)

    def message(self, name):
        return self.factory.GetPrototype(self.pool.FindMessageTypeByName("cloister.exec.v1." + name))

    def execute(self, channel):
        return channel.unary_stream("/cloister.exec.v1.Execution/Execute",
                                    request_serializer=lambda message: message.SerializeToString(),
                                    response_deserializer=self.message("ExecuteEvent").FromString)


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


class GrpcExecute:
    def __init__(self, build, target):
        self.contract = Contract(build)
        self.channel = grpc.insecure_channel(target)
        self.execute = self.contract.execute(self.channel)
        self.verdicts = self.contract.pool.FindEnumTypeByName("cloister.exec.v1.Verdict")
        with open(os.path.join(build, "tests", "probe"), "rb") as f:
            self.probe = f.read()

    def request(self, words, limits, collect=False):
        request = self.contract.message("ExecuteRequest")()
        request.argv.extend(word.encode() for word in ["./probe", *words])
        request.files.add(path=b"probe", content=self.probe, executable=True)
        for name, value in limits.items():
            setattr(request.limits, FIELDS[name], number(value))
        if collect:
            request.collect.max_files = 4096
        return request

    def run(self, words, limits, collect=False):
        streams, files, result = {1: b"", 2: b""}, {}, None
        try:
            for event in self.execute(self.request(words, limits, collect), timeout=60):
                kind = event.WhichOneof("event")
                if kind == "output":
                    streams[event.output.stream] += event.output.data
                elif kind == "file":
                    files[event.file.path] = files.get(event.file.path, b"") + event.file.data
                elif kind == "result":
                    result = event.result
        except grpc.RpcError as error:
            return {"verdict": "INTERNAL", "stdout": "", "stderr": str(error), "outputs": []}
        return self.as_json(result, streams, files)

    def as_json(self, result, streams, files):
        """The parts of docs/API.md's JSON that the judgement looks at."""
        ended = result.WhichOneof("exit")
        return {
            "verdict": self.verdicts.values_by_number[result.verdict].name[len("VERDICT_"):],
            "exit_code": result.exit_code if ended == "exit_code" else None,
            "signal": result.signal if ended == "signal" else None,
            "stdout": streams[1].decode(errors="replace"),
            "stdout_base64": base64.b64encode(streams[1]).decode(),
            "stderr": streams[2].decode(errors="replace"),
            "explanation": {"message": result.explanation.message},
            "layers": [{"name": layer.name, "active": layer.active} for layer in result.layers],
            "outputs": [{"path_base64": base64.b64encode(output.path).decode(), "size": output.size,
                         "content_base64": base64.b64encode(files.get(output.path, b"")).decode()}
                        for output in result.outputs],
        }

    def begin(self, words):
        return Running(self.execute(self.request(words, {})))
