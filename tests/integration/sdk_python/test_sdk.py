"""The package api/python, built by its own setup.py, against the real service."""

import contextlib
import hashlib
import io
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import unittest
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "support"))
from service import SLOW, SOURCE, Service, need_root, wait_for  # noqa: E402
from cut import Cut  # noqa: E402
from tls import Certs  # noqa: E402

PACKAGE = SOURCE / "api" / "python"
BUILT = tempfile.TemporaryDirectory(prefix="cloister-sdk-python-")
subprocess.run([sys.executable, "-B", "setup.py", "-q", "build_py", "--build-lib", BUILT.name], cwd=PACKAGE, check=True)
sys.path.insert(0, BUILT.name)
import cloister  # noqa: E402


class SdkTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.service = Service({"execsvc": {"running_max": 1, "queue_per_tenant": 1, "blob_cache": "8M", "blob_size": "4M"}}).__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.service.__exit__(None, None, None)

    def setUp(self):
        self.client = cloister.Client(str(self.service.socket))
        self.addCleanup(self.client.close)

    def run_it(self, *arguments, **options):
        return self.client.run(*arguments, timeout=30 * SLOW, **options)

    def refusal(self, kind, *arguments, **options):
        with self.assertRaises(kind) as caught:
            self.run_it(*arguments, **options)
        return caught.exception

    def test_hello(self):
        result = self.run_it("import sys; print('hello'); print('oops', file=sys.stderr); sys.exit(3)")
        self.assertEqual((result.verdict, result.exit_code, result.signal), ("EXITED", 3, None))
        self.assertEqual((result.stdout, result.stderr, result.text), (b"hello\n", b"oops\n", "hello\n"))
        self.assertEqual((result.limits_hit, result.refusals, result.outputs, result.ok), ([], [], {}, False))
        self.assertRegex(result.runtime_version, r"Python 3\.")
        self.assertTrue(result.run_id)
        self.assertGreater(result.usage.memory_peak_bytes, 0)
        self.assertGreaterEqual(result.timing_us.total, result.timing_us.run)
        self.assertIn("user-namespace", [layer.name for layer in result.layers if layer.active])

    def test_everything_that_goes_in_arrives(self):
        code = "import os, sys; print(sys.argv[1:], os.environ['WHO'], open('d/x').read(), sys.stdin.read())"
        result = self.run_it(code, files={"d/x": b"file"}, args=["a", "b c"], env={"WHO": "ada"}, stdin="in\u00e4")
        self.assertEqual((result.text, result.stderr), ("['a', 'b c'] ada file in\u00e4\n", b""))

    def test_files_of_this_machine_an_entry_and_a_command(self):
        with tempfile.TemporaryDirectory() as directory:
            Path(directory, "tool").write_text("#!/bin/sh\necho tool $1\n")
            result = self.run_it(argv=["./tool", "x"], files={"tool": Path(directory, "tool")}, executable=["tool"])
        self.assertEqual((result.text, result.runtime), ("tool x\n", ""))
        result = self.run_it(files={"a.py": "print('a')", "b.py": "print('b')"}, entry="b.py")
        self.assertEqual(result.text, "b\n")
        self.assertEqual(self.run_it("echo $0", runtime="bash").text, "main.sh\n")

    def test_a_stream_is_in_order_and_as_it_happens(self):
        code = "import sys, time\nfor i in range(3): print(i, flush=True); time.sleep(0.2)\nopen('f', 'w').write('x' * 100000)"
        seen = list(self.client.stream(code, timeout=30 * SLOW))
        kinds = [type(event) for event in seen if not isinstance(event, cloister.Queued)]
        self.assertEqual(kinds[0], cloister.Started)
        self.assertEqual(kinds[-2:], [cloister.File, cloister.Result])
        output = [event for event in seen if isinstance(event, cloister.Output)]
        # Where it is cut is the service's affair (print may write its newline apart); that nothing is missing is not.
        self.assertEqual((b"".join(o.data for o in output), {o.stream for o in output}), (b"0\n1\n2\n", {"stdout"}))
        self.assertEqual([o.offset for o in output], [sum(len(o.data) for o in output[:i]) for i in range(len(output))])
        self.assertGreaterEqual(len(output), 3)
        self.assertEqual((seen[-2].path, seen[-2].data), ("f", b"x" * 100000))
        self.assertEqual((seen[0].run_id, seen[-1].exit_code), (seen[-1].run_id, 0))

    def test_limits_are_applied_and_explained(self):
        result = self.run_it("x = bytearray(200 << 20)", limits={"memory": "64M"})
        self.assertEqual((result.verdict, result.limits_hit), ("MEMORY_LIMIT", ["memory"]))
        self.assertEqual((result.explanation.limit, result.explanation.configured), ("memory", 64 << 20))
        self.assertIn("64M", result.explanation.message)
        result = self.run_it("while True: pass", limits={"cpu": "300ms"})
        self.assertEqual((result.verdict, result.explanation.configured), ("CPU_TIME_LIMIT", 300))

    def test_a_policy_is_applied(self):
        result = self.run_it("import os; os.fork()", policy="no-subprocess")
        self.assertEqual((result.verdict, [r.operation for r in result.refusals]), ("POLICY_VIOLATION", ["subprocess"]))

    def test_a_compiler_s_words(self):
        result = self.run_it("int main(void) { return x; }", runtime="c", limits={"memory": "256M"})
        self.assertEqual((result.verdict, result.ok), ("COMPILE_FAILED", False))
        self.assertIn(b"main.c", result.stderr)

    def test_outputs(self):
        code = "import os; os.mkdir('d'); open('d/a.txt', 'wb').write(b'\\0a'); open('b', 'w'); open(b'\\xff', 'w')"
        self.assertEqual(self.run_it(code).outputs, {"d/a.txt": b"\0a", "b": b"", "\udcff": b""})
        self.assertEqual(self.run_it(code, collect=["b"]).outputs, {"b": b""})
        self.assertEqual(self.run_it(code, collect=False).outputs, {})

    LARGE = ("import hashlib; print([hashlib.sha256(open(p, 'rb').read()).hexdigest()[:8] for p in ('one', 'two', 'three')]);"
             "open('two', 'ab').write(b'!')")

    def large(self, directory):
        """Files, and what LARGE prints of them."""
        contents = [os.urandom(3 << 20), os.urandom(1 << 20), b"small"]
        path = Path(directory, "one")
        path.write_bytes(contents[0])
        said = str([hashlib.sha256(content).hexdigest()[:8] for content in contents]) + "\n"
        return {"one": path, "two": contents[1], "three": contents[2]}, contents, said

    def test_large_files_travel_ahead_and_once(self):
        with tempfile.TemporaryDirectory() as directory:
            files, contents, said = self.large(directory)
            before = self.service.metrics()["execsvc_blob_puts_total"]
            for _ in range(2):
                result = self.run_it(self.LARGE, files=files)
                self.assertEqual((result.text, result.outputs), (said, {"two": contents[1] + b"!"}))
            self.assertEqual(self.service.metrics()["execsvc_blob_puts_total"] - before, 2)
            error = self.refusal(cloister.Refused, "1", files={"large": os.urandom((4 << 20) + 1)})
            self.assertEqual((error.code, error.field), ("INVALID_ARGUMENT", "size"))

    def test_what_had_to_make_room_is_put_again(self):
        ensure, calls = self.client._blobs.ensure, []

        def ensure_and_push_out(blobs, timeout):
            ensure(blobs, timeout)
            calls.append(len(blobs))
            if len(calls) == 1:
                others = [os.urandom((4 << 20) - 4096) for _ in range(2)]
                ensure({hashlib.sha256(other).digest(): other for other in others}, timeout)
        self.client._blobs.ensure = ensure_and_push_out
        with tempfile.TemporaryDirectory() as directory:
            files, _, said = self.large(directory)
            self.assertEqual(self.run_it(self.LARGE, files=files).text, said)
        self.assertEqual(calls, [2, 2])

    def interact(self, *arguments, **options):
        talk = self.client.interact(*arguments, timeout=30 * SLOW, **options)
        self.addCleanup(talk.close)
        return talk

    @staticmethod
    def until(talk, text):
        """What is written until it ends with `text`."""
        seen = b""
        while not seen.endswith(text):
            event = next(talk)
            seen += event.data if isinstance(event, cloister.Output) else b""
        return seen

    def test_input_is_sent_while_the_program_runs(self):
        talk = self.interact("import sys\nfor line in sys.stdin: print(line.upper(), end='', flush=True)\nprint('end', file=sys.stderr)",
                             stdin="first\n")
        self.assertEqual(self.until(talk, b"\n"), b"FIRST\n")
        talk.send(b"second\n")
        self.assertEqual(self.until(talk, b"\n"), b"SECOND\n")
        talk.close_stdin()
        result = talk.wait()
        self.assertEqual((result.verdict, result.stdout, result.stderr), ("EXITED", b"", b"end\n"))
        self.assertEqual(talk.result.run_id, result.run_id)
        talk.send("too late")

    def test_much_input_arrives_whole(self):
        data = os.urandom(3 << 20)
        talk = self.interact(argv=["sh", "-c", "sleep 0.3; sha256sum"])
        talk.send(data)
        talk.close_stdin()
        self.assertEqual(talk.wait().text.split()[0], hashlib.sha256(data).hexdigest())

    def test_signals_and_the_end_that_the_caller_wants(self):
        code = ("import signal, sys, time\nsignal.signal(signal.SIGINT, lambda *_: sys.exit(7))\nprint('up', flush=True)\n"
                "while True: time.sleep(0.1)")
        for value in ("SIGINT", signal.SIGINT):
            talk = self.interact(code)
            self.until(talk, b"up\n")
            talk.signal(value)
            self.assertEqual(talk.wait().exit_code, 7)
        talk = self.interact(code)
        self.until(talk, b"up\n")
        talk.cancel()
        self.assertEqual(talk.wait().verdict, "CANCELLED")
        for wrong in ("SIGSEGV", "INT", 99, 0):
            with self.assertRaisesRegex(ValueError, "SIGWINCH"):
                talk.signal(wrong)

    def test_a_terminal(self):
        # A signal that comes between input()'s words and its read() is only looked at after the read().
        code = ("import os, signal, sys, time\nsizes = []\nprint(sys.stdin.isatty(), os.get_terminal_size())\n"
                "signal.signal(signal.SIGWINCH, lambda *_: sizes.append(os.get_terminal_size()))\nprint('size? ', end='', flush=True)\n"
                "while not sizes: time.sleep(0.02)\nprint(sizes[0])\nprint('hello', input('name? '))")
        talk = self.interact(code, terminal=(30, 100))
        self.assertIn(b"True os.terminal_size(columns=100, lines=30)", self.until(talk, b"size? "))
        talk.resize(10, 20)
        self.assertIn(b"lines=10)\r\n", self.until(talk, b"name? "))
        talk.send("ada\n")
        self.assertIn(b"hello ada\r\n", talk.wait().stdout)
        for wrong in ((0, 80), (24,), "24x80", (24, 1001), 5):
            with self.assertRaisesRegex(ValueError, "terminal"):
                self.client.interact("1", terminal=wrong)
        talk = self.interact("input()")
        talk.resize(10, 20)
        with self.assertRaises(cloister.Refused) as caught:
            talk.wait()
        self.assertEqual(caught.exception.code, "FAILED_PRECONDITION")

    def test_an_interaction_that_is_left_ends_or_waits_for_us(self):
        with self.client.interact("print('up', flush=True); input()") as talk:
            self.until(talk, b"up\n")
        self.assertTrue(self.run_it("print(1)").ok)  # in its place: there is one
        wait_for(lambda: not any("consume" in t.name for t in threading.enumerate()), what="the end of gRPC's thread")
        with self.client.interact("print('up', flush=True); print('got', input())", detach_grace=30) as talk:
            run_id = next(talk).run_id
            self.until(talk, b"up\n")
        with self.client.attach_interact(run_id, stdout_offset=3, timeout=30 * SLOW) as talk:
            talk.send("it\n")
            self.assertEqual(talk.wait().text, "got it\n")

    def test_an_interaction_that_is_refused(self):
        talk = self.interact("1", limits={"memory": "64G"})
        with self.assertRaises(cloister.Refused) as caught:
            next(talk)
        self.assertEqual(caught.exception.field, "start.limits.memory_bytes")
        self.assertIsNone(talk.result)
        talk = self.interact(argv=["wc", "-c", "in"], files={"in": os.urandom(2 << 20)})
        self.assertEqual(talk.wait().text, f"{2 << 20} in\n")

    def test_a_run_is_left_and_its_result_fetched_by_another(self):
        run_id = self.client.start("print('early', flush=True); import time; time.sleep(1); open('f', 'w').write('x'); print('late')")
        other = cloister.Client(str(self.service.socket))
        self.addCleanup(other.close)
        for _ in range(2):
            result = other.attach(run_id, timeout=30 * SLOW)
            self.assertEqual((result.run_id, result.verdict, result.text), (run_id, "EXITED", "early\nlate\n"))
            self.assertEqual(result.outputs, {"f": b"x"})
        result = other.attach(run_id, stdout_offset=6, files_done=1)
        self.assertEqual((result.text, result.outputs), ("late\n", {}))
        with self.assertRaises(cloister.Refused) as caught:
            other.attach("0" * 32)
        self.assertEqual((caught.exception.code, caught.exception.reason), ("NOT_FOUND", "NO_SUCH_RUN"))

    def test_a_stream_that_is_left_goes_on_for_its_grace(self):
        code = "import time\nfor i in range(20): print(i, flush=True); time.sleep(0.1)"
        stream = self.client.stream(code, detach_grace=30, timeout=30 * SLOW)
        seen = []
        for event in stream:
            if isinstance(event, cloister.Queued):
                run_id = event.run_id
            if isinstance(event, cloister.Output):
                seen.append(event)
                if b"3" in event.data:
                    break
        stream.close()
        have = seen[-1].offset + len(seen[-1].data)
        rest = list(self.client.attach_stream(run_id, stdout_offset=have, timeout=30 * SLOW))
        self.assertIsInstance(rest[0], cloister.Started)
        text = b"".join(e.data for e in [*seen, *rest] if isinstance(e, cloister.Output))
        self.assertEqual(text, b"".join(b"%d\n" % i for i in range(20)))
        gone = self.client.start("import time; time.sleep(60)", detach_grace="300ms")
        wait_for(lambda: [e for e in self.service.events("run.expired") if e["run_id"] == gone], what="the end of its grace")

    def test_a_lost_connection_is_made_again(self):
        with tempfile.TemporaryDirectory(prefix="cloister-cut-") as directory:
            cut = Cut(Path(directory), self.service.socket)
            client = cloister.Client(str(cut.path))
            self.addCleanup(client.close)
            self.addCleanup(cut.close)
            code = ("import time\nfor i in range(20): print('%05d' % i * 1000, flush=True); time.sleep(0.1)\n"
                    "open('f', 'w').write('x' * 100000)")
            text, cuts = b"", 0
            for event in client.stream(code, detach_grace="1m", timeout=60 * SLOW):
                if isinstance(event, cloister.Output):
                    self.assertEqual(event.offset, len(text))
                    text += event.data
                if cuts < 2 and len(text) > (cuts + 1) * 20000:
                    cut.cut()
                    cuts += 1
            self.assertIsInstance(event, cloister.Result)
            self.assertEqual((cuts, text), (2, b"".join(b"%05d" % i * 1000 + b"\n" for i in range(20))))
            cut.cut()
            with self.assertRaises(cloister.Unavailable):  # without a grace
                for event in client.stream("print(1, flush=True); import time; time.sleep(60)", timeout=30 * SLOW):
                    if isinstance(event, cloister.Output):
                        cut.cut()

    def test_a_bad_request_names_its_field(self):
        error = self.refusal(cloister.Refused, files={"../x.py": "1"})
        self.assertEqual((error.code, error.field), ("INVALID_ARGUMENT", "files[0].path"))
        error = self.refusal(cloister.Refused, "1", limits={"memory": "64G"})
        self.assertEqual((error.code, error.field), ("INVALID_ARGUMENT", "limits.memory_bytes"))
        self.assertEqual(self.refusal(cloister.Refused, "1", runtime="cobol").code, "NOT_FOUND")

    def test_what_is_wrong_before_it_is_sent(self):
        for wrong in ({"limits": {"memory": "64X"}}, {"limits": {"ram": "1M"}}, {"limits": {"cpu": "0s"}},
                      {"policy": "none"}, {"args": "abc"}, {"entry": "x.py"}, {"files": {"main.py": ""}}):
            self.refusal(ValueError, "1", **wrong)

    def test_a_grace_that_is_none(self):
        for grace in ("soon", "10", -1, True, "1h30m"):
            with self.assertRaisesRegex(ValueError, "detach_grace"):
                self.client.run("", detach_grace=grace)
        self.assertEqual(self.refusal(cloister.Refused, "", detach_grace="11m").field, "detach_grace_ms")

    def test_a_full_queue_says_when_to_come_back(self):
        first = self.client.stream("import time; time.sleep(60)")
        self.assertIsInstance(next(e for e in first if not isinstance(e, cloister.Queued)), cloister.Started)
        second = self.client.stream("print(2)")
        queued = next(second)
        self.assertEqual((type(queued), queued.position), (cloister.Queued, 1))
        error = self.refusal(cloister.QueueFull, "print(3)")
        self.assertGreater(error.retry_after_ms, 0)
        first.close()  # ends that run: the next one's turn
        self.assertEqual(list(second)[-1].verdict, "EXITED")

    def test_a_timeout_ends_the_run(self):
        with self.assertRaises(cloister.TimedOut):
            self.client.run("import time; time.sleep(60)", timeout=1)
        wait_for(lambda: self.run_it("print(1)").ok, what="a free place")

    def test_no_service(self):
        with cloister.Client("/nonexistent/execsvc.sock") as client, self.assertRaises(cloister.Unavailable) as caught:
            client.run("print(1)")
        self.assertEqual(caught.exception.code, "UNAVAILABLE")

    def test_a_subject_needs_act_for(self):
        with cloister.Client(str(self.service.socket), subject="somebody") as client:
            with self.assertRaises(cloister.Refused) as caught:
                client.run(argv=["true"])
        self.assertEqual(caught.exception.code, "PERMISSION_DENIED")

    def test_the_node(self):
        runtimes = {r.name: r for r in self.client.runtimes()}
        self.assertEqual((runtimes["python3"].available, runtimes["python3"].extensions[0]), (True, ".py"))
        self.assertTrue(runtimes["c"].compiled)
        info = self.client.info()
        self.assertEqual((info.running_max, info.limits["memory"].ceiling), (1, 1 << 30))

    def test_the_readme_s_lines(self):
        env = dict(os.environ, CLOISTER_SOCKET=str(self.service.socket), PYTHONPATH=BUILT.name)
        for page in (PACKAGE / "README.md", SOURCE / "docs" / "API.md"):
            lines = re.search(r"((?: {4})?import cloister\n.*\n.*\.text, end=\"\"\)\n)", page.read_text()).group(1)
            lines = re.sub(r"(?m)^ {4}", "", lines) if lines.startswith(" ") else lines
            done = subprocess.run([sys.executable, "-B", "-c", lines], env=env, capture_output=True, text=True,
                                  timeout=30 * SLOW)
            self.assertEqual((done.stdout, done.returncode), ("42\n", 0), done.stderr)
        with cloister.Client(str(self.service.socket)) as client:
            scope = {"client": client}
            exec(re.findall(r"```python\n(.*?)```", (PACKAGE / "README.md").read_text(), re.S)[1], scope)
            said = io.StringIO()
            with contextlib.redirect_stdout(said):
                exec(re.findall(r"```python\n(.*?)```", (PACKAGE / "README.md").read_text(), re.S)[2], {**scope, "cloister": cloister})
        self.assertEqual((scope["result"].ok, scope["result"].outputs), (True, {"out.txt": b"HELLO"}))
        self.assertIn("hello ada", said.getvalue())


class TlsTest(unittest.TestCase):
    def test_a_service_elsewhere(self):
        certs = Certs()
        self.addCleanup(certs.close)
        certs.issue("client", "stranger", "DNS:stranger.test")
        ca, cert, key = (str(certs.path(name)) for name in ("ca.pem", "client.pem", "client.key"))
        with Service({"execsvc": certs.settings()}) as service:
            target = f"localhost:{certs.port(service)}"
            with cloister.Client(target, ca=ca, cert=cert, key=key) as client:
                self.assertEqual(client.info().tenant, "dns:client.test")
                self.assertEqual(client.run("print('over tcp')", timeout=30 * SLOW).text, "over tcp\n")
            stranger = [str(certs.path("stranger" + end)) for end in (".pem", ".key")]
            with cloister.Client(target, ca=ca, cert=stranger[0], key=stranger[1]) as client:
                with self.assertRaises(cloister.Unavailable):
                    client.info()
            names = {"CLOISTER_CONNECT": target, "CLOISTER_CA": ca, "CLOISTER_CERT": cert, "CLOISTER_KEY": key}
            with mock.patch.dict(os.environ, names), cloister.Client() as client:
                self.assertEqual(client.info().tenant, "dns:client.test")
        with self.assertRaisesRegex(ValueError, "mutual TLS"):
            cloister.Client("localhost:1", ca=ca)
        with self.assertRaisesRegex(ValueError, "unix socket"):
            cloister.Client("/run/x.sock", ca=ca)


class ThreadsTest(unittest.TestCase):
    def test_threads_share_a_client(self):
        answers = []
        with Service() as service, cloister.Client(str(service.socket)) as client:
            threads = [threading.Thread(target=lambda i=i: answers.append((i, client.run(f"print({i})").text)))
                       for i in range(6)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(60 * SLOW)
        self.assertEqual(sorted(answers), [(i, f"{i}\n") for i in range(6)])


if __name__ == "__main__":
    need_root()
    unittest.main(verbosity=2)
