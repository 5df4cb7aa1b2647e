"""The real service for a test: cloister-spawner with a configuration of its own, and clients of its socket.

    with Service(settings={"execsvc": {"running_max": 2}}) as service:
        run = service.client().run(runtime="python3", files={"a.py": "print(1)"})
        assert run.stdout == b"1\\n"

Leaving it stops the service and fails when anything of it is left: a process, a cgroup, a mount, a socket.
"""

import hashlib
import itertools
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

SOURCE = Path(os.environ.get("CLOISTER_SOURCE", Path(__file__).resolve().parents[2]))
BUILD = Path(os.environ.get("CLOISTER_BUILD", SOURCE / "build" / "dev"))
SLOW = 4 if os.environ.get("CLOISTER_SLOW") else 1  # sanitizers
PACKAGE = "cloister.exec.v1."
_count = 0


def need_root():
    """The supervisor needs root. Without it the tests are skipped, or fail where they must run."""
    if os.geteuid() == 0:
        return
    print("needs root", file=sys.stderr)
    sys.exit(1 if os.environ.get("TESTS_MUST_RUN") == "1" else 77)


def wait_for(condition, seconds=10, what="it"):
    deadline = time.monotonic() + seconds * SLOW
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"{what} did not happen within {seconds * SLOW} s")


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def waits_for_orders(pid):
    """The init of a ready sandbox reads its control socket; one that has a program polls."""
    recvmsg, control = {"x86_64": "47", "aarch64": "212"}[os.uname().machine], "0x3"
    try:
        return Path(f"/proc/{pid}/syscall").read_text().split()[:2] == [recvmsg, control]
    except OSError:
        return False


class Service:
    def __init__(self, settings=None, text="", env=None):
        global _count
        _count += 1
        self.instance = f"it-{os.getpid()}-{_count}"
        self.directory = Path(tempfile.mkdtemp(prefix=f"cloister-{self.instance}-"))
        self.directory.chmod(0o755)
        self.socket = self.directory / "sock" / "execsvc.sock"
        self.log_path = self.directory / "log"
        self.config = self.directory / "cloister.conf"
        self.env = env or {}
        sections = {"spawner": {"instance": self.instance, "run_dir": self.directory / "run", "cache_dir": self.directory / "cache", "slots_max": 24},
                    "execsvc": {"socket": self.socket, "running_max": 4, "queue_per_tenant": 100,
                                # One tenant holds everything in many tests; the defaults are tried in test_queue.py.
                                "running_per_tenant": 10000, "slots_per_tenant": 10000, "drain": "5s",
                                "metrics": "127.0.0.1:0"}}
        if os.environ.get("CLOISTER_EXECSVC"):  # of another build: under a sanitizer that the spawner can't have
            sections["spawner"]["execsvc"] = os.environ["CLOISTER_EXECSVC"]
        for section, values in (settings or {}).items():
            sections.setdefault(section, {}).update(values)
        lines = []
        for section, values in sections.items():
            lines += [f"[{section}]", *(f"{key} = {value}" for key, value in values.items())]
        self.config.write_text("\n".join(lines) + "\n" + text)
        self.process = None
        self.before_exec = None  # called in the child that becomes the spawner

    def start(self):
        env = {k: v for k, v in os.environ.items() if not k.startswith("CLOISTER_")}
        env.update(self.env)
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen([BUILD / "bin" / "cloister-spawner", "--config", self.config], stdout=log,
                                            stderr=log, stdin=subprocess.DEVNULL, env=env, start_new_session=True,
                                            preexec_fn=self.before_exec)
        self.wait_ready()
        return self

    def wait_ready(self, times=1):
        """Until the service has said `times` times in all that it serves."""
        def ready():
            if self.process.poll() is not None:
                raise AssertionError(f"the spawner ended with {self.process.returncode}:\n{self.text()}")
            return len(self.events("service.ready")) >= times
        wait_for(ready, 20, "readiness")

    def text(self):
        return self.log_path.read_text(errors="replace")

    def events(self, name=None):
        found = []
        for line in self.text().splitlines():
            try:
                event = json.loads(line)
            except ValueError:
                continue
            if name is None or event.get("event") == name:
                found.append(event)
        return found

    def pids(self):
        """Of the inner spawner and of execsvc, as last started."""
        started = self.events("supervisor.started")[-1]
        return started["spawner_pid"], started["service_pid"]

    def metrics(self):
        """What GET /metrics says now: {'name{label="value"}': number}."""
        port = self.events("metrics.listening")[-1]["metrics_port"]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10 * SLOW) as answer:
            self.metrics_text = answer.read().decode()
        return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1])
                for line in self.metrics_text.splitlines() if not line.startswith("#")}

    def client(self, **options):
        return Client(self.socket, **options)

    def cli(self, *words, env=None, **options):
        """The command line; @env comes on top of ours."""
        env = {**os.environ, "CLOISTER_SOCKET": str(self.socket), **(env or {})}
        options.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.run([BUILD / "bin" / "cloister", *words], env=env, capture_output=True, timeout=60 * SLOW,
                              **options)

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30 * SLOW)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise AssertionError(f"the spawner did not end after SIGTERM:\n{self.text()[-4000:]}")

    def processes(self):
        """Every process that lives in the instance's cgroups."""
        found = []
        for entry in os.listdir("/proc"):
            try:
                if entry.isdigit() and f"cloister-{self.instance}" in Path(f"/proc/{entry}/cgroup").read_text():
                    found.append(int(entry))
            except OSError:
                pass
        return found

    def sandbox_processes(self):
        """Those that are neither the inner spawner nor the service, nor wait for a run in a ready sandbox."""
        return [pid for pid in self.processes() if pid not in self.pids() and not waits_for_orders(pid)]

    def cgroups(self):
        name = f"cloister-{self.instance}"
        # os.walk() passes over what vanishes meanwhile: other tests' groups come and go.
        return sorted(os.path.join(here, name) for here, names, _ in os.walk("/sys/fs/cgroup") if name in names)

    def leftovers(self):
        left = [f"process {pid}" for pid in self.processes()]
        left += [f"cgroup {path}" for path in self.cgroups()]
        for event in self.events("supervisor.started"):
            left += [f"process {event[key]}" for key in ("spawner_pid", "service_pid") if alive(event[key])]
        left += [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if self.instance in line]
        if self.socket.exists():
            left.append(f"socket {self.socket}")
        return left

    def discard(self):
        """Of one that was never started."""
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(self, kind, value, trace):
        try:
            self.stop()
            text = self.text()
            for sign in ("ERROR: AddressSanitizer", "ERROR: LeakSanitizer", "WARNING: ThreadSanitizer", "runtime error:", "Assertion"):
                if sign in text:
                    raise AssertionError(text[max(0, text.index(sign) - 1000):][:8000])
            left = self.leftovers()
            if left:
                raise AssertionError("left behind: " + "; ".join(left))
            if self.process.returncode != 0 and kind is None:
                raise AssertionError(f"the spawner ended with {self.process.returncode}:\n{self.text()[-4000:]}")
        finally:
            if kind is not None:
                sys.stderr.write(self.text()[-8000:])
            shutil.rmtree(self.directory, ignore_errors=True)


class Contract:
    """The messages of cloister.exec.v1, from the descriptor set that the build makes."""

    def __init__(self, build=BUILD):
        files = descriptor_pb2.FileDescriptorSet.FromString((build / "proto" / "gen" / "contract.fds").read_bytes())
        self.pool = descriptor_pool.DescriptorPool()
        for file in files.file:
            self.pool.Add(file)
        self.factory = message_factory.MessageFactory(self.pool)

    def __getattr__(self, name):
        return self.message(PACKAGE + name)

    def message(self, full_name):
        return self.factory.GetPrototype(self.pool.FindMessageTypeByName(full_name))

    def enum(self, name, number):
        return self.pool.FindEnumTypeByName(PACKAGE + name).values_by_number[number].name


contract = Contract()


def _parse_details(error):
    """google.rpc.Status of an error, without its .proto: {field, reason, retry_ms, meta}."""
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            return _details(value)
    return {}


def _fields(data):
    at = 0

    def varint():
        nonlocal at
        value, shift = 0, 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value
    while at < len(data):
        key = varint()
        if key & 7 == 0:
            yield key >> 3, varint()
        else:
            size = varint()
            yield key >> 3, data[at:at + size]
            at += size


def _details(data):
    found = {"meta": {}}
    for number, any_bytes in _fields(data):
        if number != 3:
            continue
        any_message = dict(_fields(any_bytes))
        kind, value = any_message[1].decode().rsplit(".", 1)[1], any_message[2]
        if kind == "BadRequest":
            violation = dict(_fields(dict(_fields(value))[1]))
            found["field"], found["words"] = violation[1].decode(), violation[2].decode()
        elif kind == "RetryInfo":
            delay = dict(_fields(dict(_fields(value))[1]))
            found["retry_ms"] = delay.get(1, 0) * 1000 + delay.get(2, 0) // 1000000
        elif kind == "ErrorInfo":
            for n, item in _fields(value):
                if n == 1:
                    found["reason"] = item.decode()
                elif n == 3:
                    pair = dict(_fields(item))
                    found["meta"][pair[1].decode()] = pair[2].decode()
    return found


class Run:
    """What became of a call: all its events, and what they add up to."""

    def __init__(self):
        self.events, self.times = [], []
        self.streams = {1: bytearray(), 2: bytearray()}
        self.files, self.offsets = {}, {1: 0, 2: 0}
        self.queued, self.notices = [], []
        self.started = self.result = self.error = self.run_id = None

    def take(self, event):
        kind = event.WhichOneof("event")
        self.events.append(kind)
        self.times.append(time.monotonic())
        value = getattr(event, kind)
        if kind == "output":
            assert value.offset >= self.offsets[value.stream], "output out of order"
            assert 1 <= len(value.data) <= 65536, "size of an output chunk"
            self.offsets[value.stream] = value.offset + len(value.data)
            self.streams[value.stream] += value.data
        elif kind == "file":
            file = self.files.setdefault(value.path, {"data": b"", "sha256": None})
            assert value.offset == len(file["data"]) and len(value.data) <= 65536, "pieces of a file"
            file["data"] += value.data
            file["sha256"] = value.sha256 if value.last else None
        elif kind == "queued":
            self.queued.append(value)
            self.run_id = value.run_id
        elif kind == "notice":
            self.notices.append(value)
        elif kind == "started":
            self.started = value
            self.run_id = value.run_id
        else:
            self.result = value
        return kind

    def end(self, error):
        self.error = error
        self.code = error.code().name if error else "OK"
        self.details = _parse_details(error) if error else {}

    @property
    def stdout(self):
        return bytes(self.streams[1])

    @property
    def stderr(self):
        return bytes(self.streams[2])

    @property
    def verdict(self):
        return contract.enum("Verdict", self.result.verdict)[len("VERDICT_"):] if self.result else None

    @property
    def exit_code(self):
        return self.result.exit_code if self.result and self.result.WhichOneof("exit") == "exit_code" else None

    def __repr__(self):
        return (f"<{self.verdict} {self.exit_code} {self.error!r} stdout {self.stdout[-200:]!r} "
                f"stderr {self.stderr[-200:]!r} {self.result and self.result.explanation.message!r}>")


class Client:
    def __init__(self, socket, subject=None, timeout=30):
        # Without probing, the window stays small: no more is under way than a replay ring holds (docs/API.md).
        self.channel = grpc.insecure_channel(f"unix:{socket}", options=[("grpc.use_local_subchannel_pool", 1),
                                                                        ("grpc.http2.bdp_probe", 0)])
        self.metadata = [("cloister-subject", subject)] if subject else []
        self.timeout = timeout * SLOW

    def close(self):
        self.channel.close()

    def unary(self, method, request, reply):
        call = self.channel.unary_unary(f"/{PACKAGE}{method}", request_serializer=lambda m: m.SerializeToString(),
                                        response_deserializer=reply.FromString)
        return call(request, timeout=self.timeout, metadata=self.metadata)

    def serving(self, name=""):
        check = self.channel.unary_unary(
            "/grpc.health.v1.Health/Check", request_serializer=lambda m: m.SerializeToString(),
            response_deserializer=contract.message("grpc.health.v1.HealthCheckResponse").FromString)
        return check(contract.message("grpc.health.v1.HealthCheckRequest")(service=name), timeout=5).status == 1

    @staticmethod
    def request(runtime="", files=None, argv=(), args=(), env=None, limits=None, collect=None, executable=(), blobs=None,
                **rest):
        def raw(text):
            return text.encode() if isinstance(text, str) else text
        request = contract.ExecuteRequest(runtime=runtime, argv=[raw(a) for a in argv], args=[raw(a) for a in args])
        for path, content in (files or {}).items():
            request.files.add(path=raw(path), content=raw(content), executable=path in executable)
        for path, sha256 in (blobs or {}).items():
            request.files.add(path=raw(path), sha256=sha256, executable=path in executable)
        for name, value in (env or {}).items():
            request.env.add(name=raw(name), value=raw(value))
        for name, value in (limits or {}).items():
            setattr(request.limits, name, value)
        if collect is not None:
            request.collect.SetInParent()
            for name, value in collect.items():
                if name == "patterns":
                    request.collect.patterns.extend(raw(p) for p in value)
                else:
                    setattr(request.collect, name, value)
        for name, value in rest.items():
            if name == "terminal":
                request.terminal.rows, request.terminal.cols = value
            elif name == "subprocess":
                request.policy.subprocess = value
            elif name == "class_":
                setattr(request, "class", value)
            else:
                setattr(request, name, raw(value))
        return request

    def execute(self, request, timeout=None):
        call = self.channel.unary_stream(f"/{PACKAGE}Execution/Execute",
                                         request_serializer=lambda m: m.SerializeToString(),
                                         response_deserializer=contract.ExecuteEvent.FromString)
        return call(request, timeout=timeout or self.timeout, metadata=self.metadata)

    def run(self, timeout=None, **request):
        """Execute to its end."""
        return self.finish(self.execute(self.request(**request), timeout), Run())

    def missing(self, names):
        return list(self.unary("Blobs/Missing", contract.MissingRequest(sha256=names), contract.MissingResponse).sha256)

    def put_messages(self, messages, timeout=None):
        """Blobs.Put of these messages, as they are."""
        call = self.channel.stream_unary(f"/{PACKAGE}Blobs/Put", request_serializer=lambda m: m.SerializeToString(),
                                         response_deserializer=contract.PutResponse.FromString)
        return call(iter(messages), timeout=timeout or self.timeout, metadata=self.metadata)

    def put(self, content, sha256=None, size=None, chunk=1 << 20):
        """Returns the name."""
        sha256 = sha256 or hashlib.sha256(content).digest()
        first = contract.PutRequest(sha256=sha256, size=len(content) if size is None else size, data=content[:chunk])
        rest = (contract.PutRequest(data=content[at:at + chunk]) for at in range(chunk, len(content), chunk))
        self.put_messages(itertools.chain([first], rest))
        return sha256

    def refused_put(self, messages):
        """(code, details) of a Put that does not succeed."""
        try:
            self.put_messages(messages)
        except grpc.RpcError as error:
            return error.code().name, _parse_details(error)
        raise AssertionError("the blob was taken")

    def start(self, **request):
        """Begin a run with detach_grace_ms and leave at once. Returns its id."""
        call = self.execute(self.request(**request))
        event = next(call)
        call.cancel()
        assert event.WhichOneof("event") == "queued", event
        return event.queued.run_id

    def attach(self, run_id, stdout_offset=0, stderr_offset=0, files_done=0, timeout=None):
        call = self.channel.unary_stream(f"/{PACKAGE}Execution/Attach",
                                         request_serializer=lambda m: m.SerializeToString(),
                                         response_deserializer=contract.ExecuteEvent.FromString)
        request = contract.AttachRequest(run_id=run_id, stdout_offset=stdout_offset, stderr_offset=stderr_offset,
                                         files_done=files_done)
        return call(request, timeout=timeout or self.timeout, metadata=self.metadata)

    def back(self, run_id, stdout_offset=0, stderr_offset=0, files_done=0):
        """Attach to the end."""
        run = Run()
        run.offsets = {1: stdout_offset, 2: stderr_offset}
        return self.finish(self.attach(run_id, stdout_offset, stderr_offset, files_done), run)

    @staticmethod
    def finish(call, run):
        try:
            for event in call:
                run.take(event)
            run.end(None)
        except grpc.RpcError as error:
            run.end(error)
        return run

    def interact(self, timeout=None, first=None, **request):
        return Interaction(self, first or contract.InteractRequest(start=self.request(**request)), timeout)


class Interaction:
    """An Interact call: say things, wait for others."""

    def __init__(self, client, first, timeout):
        self.run = Run()
        self.out = queue.Queue()
        self.news = threading.Condition()
        self.over = False
        if first is not None:
            self.out.put(first)
        call = client.channel.stream_stream(f"/{PACKAGE}Execution/Interact",
                                            request_serializer=lambda m: m.SerializeToString(),
                                            response_deserializer=contract.ExecuteEvent.FromString)
        self.call = call(iter(self.out.get, None), timeout=timeout or client.timeout, metadata=client.metadata)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        error = None
        try:
            for event in self.call:
                with self.news:
                    self.run.take(event)
                    self.news.notify_all()
        except grpc.RpcError as e:
            error = e
        with self.news:
            self.run.end(error)
            self.over = True
            self.news.notify_all()

    def say(self, **action):
        message = contract.InteractRequest()
        for name, value in action.items():
            if name == "resize":
                message.resize.rows, message.resize.cols = value
            elif name == "signal":
                message.signal.name = value
            elif name in ("close_stdin", "cancel"):
                getattr(message, name).SetInParent()
            else:
                setattr(message, name, value)
        self.out.put(message)

    def type(self, text):
        self.say(stdin_data=text.encode() if isinstance(text, str) else text)

    def half_close(self):
        self.out.put(None)

    def wait(self, condition, seconds=10):
        """Until condition(run) holds; the run's text is in the error."""
        with self.news:
            if not self.news.wait_for(lambda: condition(self.run) or self.over, seconds * SLOW) or \
                    not condition(self.run):
                raise AssertionError(f"not seen: {self.run!r} {self.run.events}")
        return self.run

    def expect(self, text, seconds=10):
        data = text.encode() if isinstance(text, str) else text
        return self.wait(lambda run: data in run.stdout, seconds)

    def end(self, seconds=20):
        self.reader.join(seconds * SLOW)
        assert self.over, f"the call did not end: {self.run!r} {self.run.events}"
        self.out.put(None)
        return self.run

    def drop(self):
        self.call.cancel()
        self.out.put(None)
        self.reader.join(10 * SLOW)
