"""Every refusal that can be had from outside carries google.rpc.Status details, and they say what exec.proto promises: the
field (BadRequest), when to come back (RetryInfo), a constant reason and what belongs to it (ErrorInfo). The client knows the
messages from reflection only."""

import hashlib
import queue
import sys
import unittest
from pathlib import Path

import grpc

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "support"))
sys.path.insert(0, str(Path(__file__).resolve().parent))
from reflected import Reflected  # noqa: E402
from service import SLOW, Service, need_root, wait_for  # noqa: E402

X = "cloister.exec.v1."
EXECUTE, INTERACT, ATTACH = X + "Execution/Execute", X + "Execution/Interact", X + "Execution/Attach"
MISSING, PUT, WATCH = X + "Blobs/Missing", X + "Blobs/Put", X + "Node/Watch"
GONE = hashlib.sha256(b"never put").digest()
TRUE, CAT = {"argv": [b"true"]}, {"argv": [b"cat"]}


def program(**more):
    return {"runtime": "python3", "files": [{"path": b"a.py"}], **more}


# method, request, code, field ("" none), reason
BAD = "INVALID_ARGUMENT"
TABLE = [
    (EXECUTE, {}, BAD, "runtime", None),
    (EXECUTE, program(argv=[b"true"]), BAD, "argv", None),
    (EXECUTE, program(runtime="a b"), BAD, "runtime", None),
    (EXECUTE, program(runtime="cobol"), "NOT_FOUND", "runtime", "NO_SUCH_RUNTIME"),
    (EXECUTE, program(runtime="broken"), "UNAVAILABLE", None, "RUNTIME_UNAVAILABLE"),
    (EXECUTE, {"argv": [b""]}, BAD, "argv[0]", None),
    (EXECUTE, {"argv": [b"a\0b"]}, BAD, "argv[0]", None),
    (EXECUTE, {"argv": [b"true"] * 1025}, BAD, "argv", None),
    (EXECUTE, {"argv": [b"x" * (129 << 10)]}, BAD, "argv[0]", None),
    (EXECUTE, program(files=[{"path": b"../a"}]), BAD, "files[0].path", None),
    (EXECUTE, program(files=[{"path": b"a"}, {"path": b"/b"}]), BAD, "files[1].path", None),
    (EXECUTE, program(files=[{"path": b"a\nb"}]), BAD, "files[0].path", None),
    (EXECUTE, program(files=[{"path": b"a\0b"}]), BAD, "files[0].path", None),
    (EXECUTE, program(files=[{"path": b"/".join([b"d"] * 33)}]), BAD, "files[0].path", None),
    (EXECUTE, program(files=[{"path": b"x" * 256}]), BAD, "files[0].path", None),
    (EXECUTE, program(files=[{"path": b"a"}, {"path": b"a"}]), BAD, "files[1].path", None),
    (EXECUTE, program(files=[{"path": b"a", "content": b"x", "sha256": GONE}]), BAD, "files[0].sha256", None),
    (EXECUTE, program(files=[{"path": b"a", "sha256": b"short"}]), BAD, "files[0].sha256", None),
    (EXECUTE, program(files=[{"path": b"a", "sha256": GONE}]), "FAILED_PRECONDITION", "files[0].sha256", "BLOB_MISSING"),
    (EXECUTE, program(files=[{"path": b"a", "content": b"x" * (1 << 20) + b"y"}]), BAD, "files[0].content", None),
    (EXECUTE, program(entry=b"other.py"), BAD, "entry", None),
    (EXECUTE, {**TRUE, "entry": b"a"}, BAD, "entry", None),
    (EXECUTE, {**TRUE, "args": [b"a"]}, BAD, "args", None),
    (EXECUTE, {**TRUE, "env": [{"name": b"1X"}]}, BAD, "env[0].name", None),
    (EXECUTE, {**TRUE, "env": [{"name": b"X", "value": b"a\0b"}]}, BAD, "env[0].value", None),
    (EXECUTE, {**TRUE, "env": [{"name": b"X"}, {"name": b"X"}]}, BAD, "env", None),
    (EXECUTE, {**TRUE, "stdin_data": b"x" * (1 << 20) + b"y"}, BAD, "stdin_data", None),
    (EXECUTE, {**TRUE, "policy": {"subprocess": 9}}, BAD, "policy.subprocess", None),
    (EXECUTE, {**TRUE, "class": 9}, BAD, "class", None),
    (EXECUTE, {**TRUE, "collect": {"patterns": [b"x"] * 65}}, BAD, "collect.patterns", None),
    (EXECUTE, {**TRUE, "collect": {"max_files": 5000}}, BAD, "collect.max_files", None),
    (EXECUTE, {**TRUE, "collect": {"max_bytes": 1 << 40}}, BAD, "collect.max_bytes", None),
    (EXECUTE, {**TRUE, "terminal": {"rows": 1001}}, BAD, "terminal.rows", None),
    (EXECUTE, {**TRUE, "terminal": {"cols": 1001}}, BAD, "terminal.cols", None),
    (EXECUTE, {**TRUE, "detach_grace_ms": 600001}, BAD, "detach_grace_ms", None),
    (EXECUTE, {**TRUE, "labels": [{"key": "Bad", "value": "1"}]}, BAD, "labels[0].key", None),
    (EXECUTE, {**TRUE, "labels": [{"key": "a", "value": "a\nb"}]}, BAD, "labels[0].value", None),
    (EXECUTE, {**TRUE, "labels": [{"key": "a"}] * 17}, BAD, "labels", None),
    (ATTACH, {"run_id": "x"}, "NOT_FOUND", "run_id", "NO_SUCH_RUN"),
    (ATTACH, {"run_id": "0" * 32}, "NOT_FOUND", "run_id", "NO_SUCH_RUN"),
    (INTERACT, [{"stdin_data": b"x"}], BAD, "action", None),
    (INTERACT, [{"attach": {"run_id": "0" * 32}}], "NOT_FOUND", "run_id", "NO_SUCH_RUN"),
    (INTERACT, [{"start": CAT}, {"start": CAT}], BAD, "action", None),
    (INTERACT, [{"start": CAT}, {"signal": {"name": "SIGNONE"}}], BAD, "signal.name", None),
    (INTERACT, [{"start": CAT}, {"stdin_data": b"x" * 65537}], BAD, "stdin_data", None),
    (INTERACT, [{"start": CAT}, {"resize": {"rows": 9, "cols": 9}}], "FAILED_PRECONDITION", None, "NO_TERMINAL"),
    (INTERACT, [{"start": {**CAT, "terminal": {}}}, {"resize": {"rows": 1001, "cols": 9}}], BAD, "resize.rows", None),
    (MISSING, {}, BAD, "sha256", None),
    (MISSING, {"sha256": [b"short"]}, BAD, "sha256[0]", None),
    (MISSING, {"sha256": [GONE] * 4097}, BAD, "sha256", None),
    (PUT, [{"sha256": b"short", "size": 1, "data": b"x"}], BAD, "sha256", None),
    (PUT, [{"sha256": GONE, "size": 1 << 40}], BAD, "size", None),
    (PUT, [{"sha256": GONE, "size": 1, "data": b"xy"}], BAD, "data", "BLOB_MISMATCH"),
    (PUT, [{"sha256": GONE, "size": 2, "data": b"xy"}], BAD, "data", "BLOB_MISMATCH"),
    (WATCH, {"interval_ms": 199}, BAD, "interval_ms", None),
    (WATCH, {"interval_ms": 60001}, BAD, "interval_ms", None),
    ("grpc.health.v1.Health/Check", {"service": "no.Such"}, "NOT_FOUND", None, None),
]
TABLE += [(EXECUTE, {**TRUE, "limits": {field: 1 << 50}}, BAD, "limits." + field, "OUT_OF_LIMITS|BAD_REQUEST")
          for field in ("memory_bytes", "cpu_ms", "wall_ms", "idle_ms", "file_size_bytes", "processes", "output_bytes",
                        "workspace_bytes", "inodes", "open_files")]


class Refusals(unittest.TestCase):
    settings = {"execsvc": {"running_max": 1, "queue_per_tenant": 1, "queue_max": 2}}
    text = ('[runtime "broken"]\ncommand = /usr/bin/no-such {entry}\nversion = /usr/bin/no-such --version\n'
            '[identity "uid:0"]\nact_for = ok-\n')

    @classmethod
    def setUpClass(cls):
        cls.service = Service(cls.settings, cls.text).__enter__()
        cls.client = Reflected(f"unix:{cls.service.socket}")

    @classmethod
    def tearDownClass(cls):
        cls.client.close()
        cls.service.__exit__(None, None, None)

    def refusal(self, *arguments, **options):
        """(code, details) of a call that must fail; what is true of all of them is checked."""
        with self.assertRaises(grpc.RpcError) as caught:
            self.client.call(*arguments, **options)
        return self.checked(caught.exception)

    def checked(self, error):
        details = self.client.details(error)
        code, words = error.code().name, error.details()
        self.assertTrue(words, "a message for people")
        self.assertIn("ErrorInfo", details, (code, words))
        info = details["ErrorInfo"]
        self.assertEqual(info.domain, "cloister")
        self.assertRegex(info.reason, "^[A-Z][A-Z_]+$")
        for violation in details["BadRequest"].field_violations if "BadRequest" in details else ():
            self.assertRegex(violation.field, r"^[a-z0-9_-]+(\[\d+\])?(\.[a-z0-9_]+)*$")
            self.assertTrue(violation.description)
        return code, details

    @staticmethod
    def field(details):
        return details["BadRequest"].field_violations[0].field if "BadRequest" in details else None

    def test_each_refusal_of_a_request(self):
        for method, request, code, field, reason in TABLE:
            with self.subTest(f"{method.rpartition('.')[2]} {str(request)[:70]}"):
                found, details = self.refusal(method, request)
                self.assertEqual((found, self.field(details)), (code, field))
                if reason:
                    self.assertRegex(details["ErrorInfo"].reason, f"^({reason})$")

    def test_a_limit_above_its_ceiling_is_told_in_numbers(self):
        _, details = self.refusal(EXECUTE, {**TRUE, "limits": {"cpu_ms": 300001}})
        self.assertEqual(dict(details["ErrorInfo"].metadata), {"limit": "cpu", "value": "300001", "ceiling": "300000"})

    def test_a_message_that_is_none(self):
        for method in (EXECUTE, INTERACT, ATTACH, MISSING, PUT, WATCH, X + "Node/Stats", "grpc.health.v1.Health/Check"):
            with self.subTest(method):
                self.assertEqual(self.refusal(method, raw=b"\xff\xff\xff")[0], "INVALID_ARGUMENT")

    def test_a_method_that_is_none(self):
        for path in ("/cloister.exec.v1.Node/Nothing", "/no.Such/Thing", "/"):
            call = self.client.channel.unary_unary(path)
            with self.assertRaises(grpc.RpcError) as caught:
                call(b"", timeout=20 * SLOW)
            self.assertEqual(self.checked(caught.exception)[0], "UNIMPLEMENTED")

    def test_who_may_not(self):
        for subject, code in (("ann", "PERMISSION_DENIED"), ("ok-" + "x" * 300, "INVALID_ARGUMENT")):
            for method, request in ((EXECUTE, TRUE), (X + "Node/Info", {}), (MISSING, {"sha256": [GONE]})):
                found, _ = self.refusal(method, request, metadata=[("cloister-subject", subject)])
                self.assertEqual(found, code)

    def hold(self, request, **metadata):
        """An Interact call that stays until it is cancelled."""
        say = queue.Queue()
        kind = self.client.message(X + "InteractRequest")
        say.put(kind(start=request))
        answers = self.client.message(X + "ExecuteEvent")
        call = self.client.channel.stream_stream("/" + INTERACT, request_serializer=lambda m: m.SerializeToString(),
                                                 response_deserializer=answers.FromString)
        call = call(iter(say.get, None), timeout=120 * SLOW, **metadata)
        self.addCleanup(say.put, None)
        self.addCleanup(call.cancel)
        return call

    def begun(self, call):
        return next(event for event in call if event.HasField("started")).started.run_id

    def test_a_full_queue_says_when_to_come_back_and_where_one_stands(self):
        def of(subject):
            return {"metadata": [("cloister-subject", "ok-" + subject)]}
        first = self.hold(CAT)
        self.begun(first)
        second = self.hold(CAT)
        self.assertEqual(next(second).queued.position, 1)
        code, details = self.refusal(EXECUTE, TRUE)  # a second one of this tenant
        self.assertEqual((code, details["ErrorInfo"].reason), ("RESOURCE_EXHAUSTED", "TENANT_QUEUE_FULL"))
        self.retry(details)
        held = [self.hold(CAT, **of(name)) for name in "ab"]  # a tenant's first run is always taken in
        self.assertTrue(all(next(call).queued.position > 0 for call in held))
        code, details = self.refusal(EXECUTE, TRUE, **of("a"))
        self.assertEqual(code, "RESOURCE_EXHAUSTED")
        self.retry(details)
        self.assertGreater(int(details["ErrorInfo"].metadata["queue_position"]), 1)
        for call in (first, second, *held):
            call.cancel()
        wait_for(lambda: self.client.call(X + "Node/Stats")[0].queued == 0, 20, "an empty queue")

    def retry(self, details):
        delay = details["RetryInfo"].retry_delay
        self.assertGreater(delay.seconds * 1000 + delay.nanos / 1e6, 0)
        self.assertTrue(0 <= delay.nanos < 10 ** 9)

    def test_one_connection_listens_at_a_time(self):
        first = self.hold({**CAT, "detach_grace_ms": 60000})
        run_id = self.begun(first)
        second = self.client.channel.unary_stream("/" + ATTACH, request_serializer=lambda m: m.SerializeToString(),
                                                  response_deserializer=lambda b: b)
        second = second(self.client.message(X + "AttachRequest")(run_id=run_id), timeout=60 * SLOW)
        next(second)
        with self.assertRaises(grpc.RpcError) as caught:
            list(first)
        self.assertEqual(self.checked(caught.exception)[0], "ABORTED")
        last = self.client.call(INTERACT, [{"attach": {"run_id": run_id}}, {"cancel": {}}])
        self.assertEqual(last[-1].WhichOneof("event"), "result")
        with self.assertRaises(grpc.RpcError) as caught:
            list(second)
        self.assertEqual(self.checked(caught.exception)[0], "ABORTED")

    def test_a_message_that_is_too_large_or_compressed(self):
        with self.assertRaises(grpc.RpcError) as caught:
            self.client.call(EXECUTE, raw=b"\x0a" + b"x" * (4 << 20))
        self.assertEqual((caught.exception.code().name, self.client.details(caught.exception)), ("RESOURCE_EXHAUSTED", {}))
        with self.assertRaises(grpc.RpcError) as caught:
            self.client.call(X + "Node/Info", raw=b"\x7a\x7f" + b"x" * 127, compression=grpc.Compression.Gzip)
        self.assertEqual((caught.exception.code().name, self.client.details(caught.exception)), ("UNIMPLEMENTED", {}))


class Draining(unittest.TestCase):
    def test_a_node_that_is_shut_down_says_so_and_when_to_ask_again(self):
        with Service({"execsvc": {"drain": "60s"}}) as service:
            client = Reflected(f"unix:{service.socket}")
            plain = service.client()
            call = plain.interact(argv=["cat"])
            call.wait(lambda run: run.started)
            service.process.terminate()
            wait_for(lambda: not plain.serving(), 20, "the drain")
            for method, request in ((EXECUTE, TRUE), (INTERACT, [{"start": CAT}]), (WATCH, {})):
                with self.subTest(method), self.assertRaises(grpc.RpcError) as caught:
                    client.call(method, request)
                details = client.details(caught.exception)
                self.assertEqual(caught.exception.code().name, "UNAVAILABLE")
                self.assertEqual((details["ErrorInfo"].reason, details["ErrorInfo"].domain), ("DRAINING", "cloister"))
            call.say(close_stdin=True)
            call.end()
            client.channel.close()
            service.process.wait(30 * SLOW)


if __name__ == "__main__":
    need_root()
    unittest.main(verbosity=2)
