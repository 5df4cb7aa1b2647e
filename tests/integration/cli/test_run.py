"""`cloister run` and `cloister node`, as a person uses them."""

import base64
import fcntl
import hashlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import termios
import time
import unittest

from common import SLOW, CliTest, need_root

MEMBERS = ("run_id verdict exit_code signal stdout stderr stdout_base64 stderr_base64 dropped limits_hit refusals "
           "explanation usage timing_us start layers runtime node outputs").split()


class RunTest(CliTest):
    settings = {"execsvc": {"running_max": 1, "blob_size": "8M"}}

    def result(self, *words, **options):
        done = self.run_cli("--json", *words, **options)
        self.assertEqual(done.stdout.count(b"\n"), 1, done)
        found = json.loads(done.stdout)
        self.assertEqual(list(found), MEMBERS)
        return done.returncode, found

    # ---- what comes out ------------------------------------------------------------------------

    def test_streams_and_status_are_the_programs(self):
        path = self.file("a.py", "import sys; print(sys.argv[1:]); print('e', file=sys.stderr); sys.exit(3)")
        done = self.run_cli(path, "--json", "-x")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (3, b"['--json', '-x']\n", b"e\n"))

    def test_output_comes_while_the_program_runs(self):
        process = self.start(self.file("a.py", "import time; print('now', flush=True); time.sleep(30)"))
        self.assertEqual(process.stdout.readline(), b"now\n")
        self.assertIsNone(process.poll())
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(10 * SLOW), 128 + signal.SIGKILL)

    def test_each_language_is_known_by_its_extension(self):
        for name, text in (("a.py", "print('hi')"), ("a.sh", "echo hi"), ("a.js", "console.log('hi')"),
                           ("a.c", '#include <stdio.h>\nint main(void) { puts("hi"); }')):
            with self.subTest(name):
                done = self.run_cli(self.file(name, text))
                self.assertEqual((done.returncode, done.stdout, done.stderr), (0, b"hi\n", b""))

    def test_a_compile_error_is_the_compilers(self):
        status, result = self.result(self.file("a.c", "int main(void) { return x; }"))
        self.assertEqual((status, result["verdict"]), (1, "COMPILE_FAILED"))
        self.assertIn("undeclared", result["stderr"])

    def test_json_is_one_object_with_all_members(self):
        path = self.file("a.py", "import os, sys; open('o.bin', 'wb').write(bytes([0, 255])); os.mkdir('d')\n"
                                 "open('d/e', 'w').close(); sys.stdout.buffer.write(b'a\\xffb'); sys.exit(9)")
        status, result = self.result(path)
        self.assertEqual((status, result["verdict"], result["exit_code"], result["signal"]), (9, "EXITED", 9, None))
        self.assertEqual((result["stdout"], base64.b64decode(result["stdout_base64"])), ("a\ufffdb", b"a\xffb"))
        outputs = {o["path"]: o for o in result["outputs"]}
        self.assertEqual(sorted(outputs), ["d/e", "o.bin"])
        self.assertEqual(base64.b64decode(outputs["o.bin"]["content_base64"]), bytes([0, 255]))
        self.assertEqual(outputs["o.bin"]["sha256"], hashlib.sha256(bytes([0, 255])).hexdigest())
        self.assertEqual(result["runtime"]["name"], "python3")
        self.assertTrue(all(layer["active"] for layer in result["layers"]), result["layers"])

    def test_outputs_are_written_to_a_directory(self):
        path = self.file("a.py", "import os; os.makedirs('x/y'); open('x/y/z', 'w').write('1' * 200000)")
        where = self.directory / "out"
        status, result = self.result("--output", str(where), path)
        self.assertEqual((where / "x/y/z").read_text(), "1" * 200000)
        self.assertEqual(len(result["outputs"]), 1)
        self.assertNotIn("content_base64", result["outputs"][0])

    def test_a_limit_is_124_and_explained(self):
        done = self.run_cli("--limit", "cpu=200ms", self.file("a.py", "while True: pass"))
        self.assertEqual(done.returncode, 124)
        self.assertRegex(done.stderr.decode(), "^cloister: CPU_TIME_LIMIT: your program .*200ms")

    def test_a_signal_is_128_and_its_number(self):
        status, result = self.result(self.file("a.sh", "kill -SEGV $$"))
        self.assertEqual((status, result["verdict"], result["exit_code"], result["signal"]),
                         (128 + 11, "SIGNALED", None, "SIGSEGV"))

    def test_refused_calls_are_told(self):
        done = self.run_cli("--policy", "no-subprocess", self.file("a.py", "import os\ntry: os.fork()\nexcept OSError: 0"))
        self.assertEqual((done.returncode, done.stdout), (0, b""))
        self.assertIn("tried to start another program: not allowed here (1 time)", done.stderr.decode())

    def test_a_reader_that_leaves_ends_the_run(self):
        process = self.start(self.file("a.sh", "while echo y; do :; done"))
        process.stdout.readline()
        process.stdout.close()
        self.assertEqual(process.wait(10 * SLOW), 128 + signal.SIGPIPE)

    # ---- what goes in --------------------------------------------------------------------------

    def test_stdin_is_streamed_from_a_pipe(self):
        process = self.start(self.file("a.py", "while True:\n l = input()\n print(l.upper(), flush=True)"),
                             stdin=subprocess.PIPE)
        for word in (b"one", b"two"):
            process.stdin.write(word + b"\n")
            process.stdin.flush()
            self.assertEqual(process.stdout.readline(), word.upper() + b"\n")
        process.stdin.close()
        self.assertEqual(process.wait(10 * SLOW), 1)  # EOFError

    def test_stdin_is_read_from_a_file_whole(self):
        data = os.urandom(3 << 20)
        with open(self.file("data", data), "rb") as stdin:
            done = self.run_cli("--command", "--", "sha256sum", stdin=stdin)
        self.assertEqual(done.stdout.split()[0].decode(), hashlib.sha256(data).hexdigest())

    def test_more_than_fits_is_read_from_a_pipe_whole(self):
        data = os.urandom(3 << 20)
        for command in ("sleep 0.5; sha256sum", "sha256sum"):  # the writer has hung up before all is sent, or not yet
            done = self.run_cli("--command", "--", "sh", "-c", command, input=data, stdin=None)
            self.assertEqual(done.stdout.split()[0].decode(), hashlib.sha256(data).hexdigest())

    def test_input_that_nobody_reads_does_no_harm(self):
        for _ in range(5):
            done = self.run_cli("--command", "--", "sh", "-c", "exit 3", input=b"x" * (5 << 20), stdin=None)
            self.assertEqual((done.returncode, done.stdout, done.stderr), (3, b"", b""))

    def test_no_stdin_is_an_empty_one(self):
        done = self.run_cli("--no-stdin", self.file("a.py", "import sys; print(repr(sys.stdin.read()))"), stdin=None,
                            input=b"never")
        self.assertEqual(done.stdout, b"''\n")

    def test_files_directories_and_environment_arrive(self):
        self.file("data/one.csv", "1")
        self.file("data/sub/two.csv", "2")
        path = self.file("a.py", "import os; print(open('data/one.csv').read(), open('data/sub/two.csv').read(), "
                                 "open('renamed').read(), os.environ['WHO'])")
        done = self.run_cli("--file", str(self.directory / "data"), "--file", self.file("x", "3") + "=renamed",
                            "--env", "WHO=me=you", path)
        self.assertEqual((done.stdout, done.stderr), (b"1 2 3 me=you\n", b""))

    # ---- Ctrl-C --------------------------------------------------------------------------------

    def test_the_first_interrupt_is_the_programs(self):
        # Short sleeps: a signal just before a long one would be noticed after it.
        process = self.start(self.file("a.py", "import time\ntry:\n print('up', flush=True)\n"
                                               " while True: time.sleep(0.05)\n"
                                               "except KeyboardInterrupt: print('caught')"))
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(10 * SLOW), 0)
        self.assertEqual(process.stdout.read(), b"caught\n")

    def test_the_second_interrupt_ends_it(self):
        process = self.start(self.file("a.py", "import signal, time\nsignal.signal(2, lambda *a: print('no', flush=True))\n"
                                               "print('up', flush=True)\nwhile True: time.sleep(0.05)"))
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.stdout.readline(), b"no\n")
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(10 * SLOW), 128 + signal.SIGKILL)

    def test_waiting_in_the_queue_is_said_and_can_be_left(self):
        first = self.start(self.file("a.py", "print('up', flush=True); input()"), stdin=subprocess.PIPE)
        first.stdout.readline()
        second = self.start(self.file("b.py", "print('never')"))
        self.assertIn(b"position 1 in the queue", second.stderr.readline())
        second.send_signal(signal.SIGINT)
        self.assertEqual(second.wait(10 * SLOW), 128 + signal.SIGINT)
        first.stdin.close()
        first.wait(10 * SLOW)
        self.assertEqual(second.stdout.read(), b"")

    # ---- a terminal ----------------------------------------------------------------------------

    def test_a_terminal_asks_resizes_and_is_given_back(self):
        path = self.file("a.py", "import os, signal, sys, time\n"
                                 "signal.signal(signal.SIGWINCH, lambda *a: print('now', os.get_terminal_size()))\n"
                                 "print(sys.stdin.isatty(), os.get_terminal_size())\n"
                                 "try:\n print('hello', input('name? '))\n"
                                 " while True: time.sleep(0.05)\nexcept KeyboardInterrupt: print('ctrl-c')")
        process, master, slave, before = self.terminal(path)
        seen = self.expect(master, b"name? ")
        self.assertIn(b"True os.terminal_size(columns=100, lines=30)", seen)
        self.assertNotEqual(termios.tcgetattr(slave)[3], before[3])
        os.write(master, b"ada\r")
        self.expect(master, b"hello ada")
        fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 132, 0, 0))
        self.expect(master, b"now os.terminal_size(columns=132, lines=50)")
        os.write(master, b"\x03")
        self.expect(master, b"ctrl-c")
        self.assertEqual(process.wait(10 * SLOW), 0)
        self.assertEqual(termios.tcgetattr(slave), before)

    def test_the_escape_ends_a_program_that_listens_to_nothing(self):
        path = self.file("a.py", "import signal\nfor s in (2, 3, 15, 1): signal.signal(s, signal.SIG_IGN)\n"
                                 "print('up')\nwhile True: signal.pause()")
        process, master, slave, before = self.terminal(path)
        self.expect(master, b"up")
        os.write(master, b"\x03\r~.")
        self.assertEqual(process.wait(10 * SLOW), 128 + signal.SIGKILL)
        self.assertEqual(termios.tcgetattr(slave), before)

    # ---- refusals ------------------------------------------------------------------------------

    def refused(self, status, words, *arguments, verdict=None, **options):
        done = self.run_cli(*arguments, **options)
        self.assertEqual((done.returncode, done.stdout), (status, b""), done)
        self.assertRegex(done.stderr.decode(), words)
        again, result = self.result(*arguments, **options)
        self.assertEqual((again, result["verdict"], result["exit_code"]), (status, verdict, None))
        self.assertRegex(result["explanation"]["message"], words)

    def test_what_is_refused_says_why(self):
        path = self.file("a.py", "")
        self.refused(126, "cpu: 6m is above the ceiling of 5m", "--limit", "cpu=6m", path)
        self.refused(126, "no runtime 'cobol'", "--runtime", "cobol", path)
        self.refused(126, "No such file", str(self.directory / "none.py"))
        self.refused(126, "use --runtime", self.file("a.xyz", ""))
        self.refused(126, "size: 9437184 is more than a blob may have here, 8388608", self.file("big.py", bytes(9 << 20)))
        self.refused(126, "128 KiB", path, *["x" * 70000] * 2)
        self.refused(126, "unknown option", "--frobnicate", path)

    def test_what_is_too_large_for_a_request_goes_ahead_of_it_once(self):
        for name, size in (("data/in/x", 3 << 20), ("data/y", 700000), ("data/z", 700000)):
            self.file(name, os.urandom(size))
        (self.directory / "data/in/x").chmod(0o755)
        path = self.file("a.py", "import os\n"
                                 "print(sorted((p, os.path.getsize(os.path.join(d, p))) for d, _, f in os.walk('set') for p in f))\n"
                                 "print(os.access('set/in/x', os.X_OK), os.access('set/y', os.X_OK))\n"
                                 "open('set/in/x', 'ab').write(b'!'); open('new', 'w').close()\n")
        words = [f"--file={self.directory}/data=set", f"--output={self.directory}/out", path]
        first, second = self.run_cli(*words), self.run_cli(*words)
        for done in (first, second):
            self.assertEqual((done.returncode, done.stdout.decode()),
                             (0, f"[('x', {3 << 20}), ('y', 700000), ('z', 700000)]\nTrue False\n"), done)
        self.assertRegex(first.stderr.decode(), r"^cloister: sending [12] large files?, \d+ KiB\n$")
        self.assertEqual(second.stderr, b"")
        self.assertEqual((self.directory / "out/set/in/x").read_bytes(), (self.directory / "data/in/x").read_bytes() + b"!")
        self.assertEqual(sorted(p.name for p in (self.directory / "out").rglob("*") if p.is_file()), ["new", "x"])
        status, result = self.result(*words[:1], path)
        self.assertEqual((status, [o["path"] for o in result["outputs"]]), (0, ["new", "set/in/x"]))

    def test_without_a_service_it_says_what_to_do(self):
        path = self.file("a.py", "")
        self.refused(125, "no service at /nowhere/sock .*systemctl start cloister", "--socket", "/nowhere/sock", path,
                     verdict="INTERNAL")
        dead = str(self.directory / "dead.sock")
        with socket.socket(socket.AF_UNIX) as s:
            s.bind(dead)
        self.refused(125, "Connection refused", "--socket", dead, path, verdict="INTERNAL")

    # ---- node ----------------------------------------------------------------------------------

    def test_node_tells_limits_runtimes_and_state(self):
        done = self.service.cli("node")
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        for words in ("you are uid:0", "memory", "128M", "python3      Python 3", "now: ready"):
            self.assertIn(words, done.stdout.decode())
        done = self.service.cli("node", "--socket", "/nowhere")
        self.assertEqual((done.returncode, done.stdout), (125, b""))
        self.assertIn("no service at /nowhere", done.stderr.decode())


if __name__ == "__main__":
    need_root()
    unittest.main(verbosity=2)
