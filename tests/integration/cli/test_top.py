"""`cloister top`, in a terminal and without one."""

import fcntl
import json
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import termios
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "support"))
from service import BUILD, SLOW, Service, contract, need_root, wait_for  # noqa: E402

CODE = "import time\nx = bytearray(20 << 20)\nwhile True: sum(range(100000)); time.sleep(0.05)\n"
BUSY = {"runtime": "python3", "files": {"a.py": CODE}, "limits": {"wall_ms": 600000, "cpu_ms": 300000}}
NOBODY = 65534


class Terminal:
    """A command with a terminal of its own, and what it shows."""

    def __init__(self, words, env, rows=24, cols=100):
        self.master, self.slave = pty.openpty()
        self.resize(rows, cols)
        self.before = termios.tcgetattr(self.slave)
        self.process = subprocess.Popen(words, env=env, stdin=self.slave, stdout=self.slave, stderr=self.slave,
                                        start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        self.text = ""

    def resize(self, rows, cols):
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))

    def read(self, seconds=0.05):
        while select.select([self.master], [], [], seconds)[0]:
            self.text += os.read(self.master, 65536).decode()

    def wait(self, pattern):
        """Until the pattern is shown; forgets what was shown up to its end."""
        def found():
            self.read()
            return re.search(pattern, self.text, re.S)
        match = wait_for(found, 20, f"{pattern!r} on the screen")
        self.text = self.text[match.end():]
        return match

    def page(self):
        """The lines of a whole page that is still to come."""
        self.text = ""
        text = self.wait(r"\x1b\[H((?:(?!\x1b\[H).)*)\x1b\[K\x1b\[J")[1]
        return re.sub(r"\x1b\[\d*m", "", text).split("\x1b[K\r\n")

    def wait_page(self, condition):
        return wait_for(lambda: (lambda lines: lines if condition(lines) else None)(self.page()), 20, "the page")

    def type(self, keys):
        os.write(self.master, keys.encode())

    def end(self):
        status = self.process.wait(20 * SLOW)
        self.read()
        return status

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.master)
        os.close(self.slave)


class Top(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        text = '[identity "uid:0"]\nact_for = student-\n'
        cls.service = Service({"execsvc": {"running_max": 1}}, text=text).__enter__()
        cls.client = cls.service.client(subject="student-1", timeout=120)
        cls.calls = []
        for i in range(12):
            request = cls.client.request(**BUSY)
            request.labels.add(key="course", value=f"cs{i}")
            cls.calls.append(cls.client.interact(first=contract.InteractRequest(start=request)))
            cls.calls[i].wait(lambda run: run.started or run.queued)

    @classmethod
    def tearDownClass(cls):
        for call in cls.calls:
            call.drop()
        cls.service.__exit__(None, None, None)

    def top(self, *options, **size):
        env = dict(os.environ, CLOISTER_SOCKET=str(self.service.socket), TERM="xterm")
        terminal = Terminal([BUILD / "bin" / "cloister", "top", *options], env, **size)
        self.addCleanup(terminal.close)
        return terminal

    def given_back(self, terminal):
        self.assertTrue(terminal.text.rstrip().endswith("\x1b[?25h\x1b[?1049l"), repr(terminal.text[-80:]))
        self.assertEqual(termios.tcgetattr(terminal.slave), terminal.before)

    def test_a_page_shows_what_runs_and_the_queue_in_order(self):
        terminal = self.top("--interval", "200ms", cols=120)
        terminal.wait(r"\x1b\[\?1049h")
        lines = terminal.wait_page(lambda lines: re.search(r" [1-9]\d*% .* (2|3)\d\.\dM ", lines[8]))
        self.assertRegex(lines[0], r"^cloister top: node \S+, up \d+s, ready \(q ends\)$")
        self.assertEqual(lines[1], "runs       1 of 1 at once")
        self.assertIn("queue      11 waiting of at most 2000", lines[2])
        self.assertRegex(lines[8], "^running .* python3 +uid:0/student-1 +" + self.calls[0].run.run_id)
        self.assertEqual([line.split()[:2] for line in lines[9:20]], [["queued", str(i)] for i in range(1, 12)])
        self.assertEqual([self.calls[1].run.run_id in lines[9], self.calls[11].run.run_id in lines[19]], [True, True])
        terminal.type("q")
        self.assertEqual(terminal.end(), 0)
        self.given_back(terminal)

    def test_a_small_window_and_one_that_grows(self):
        terminal = self.top("--interval", "200ms", rows=12, cols=50)
        lines = terminal.wait_page(lambda lines: len(lines) == 12)
        self.assertEqual((max(map(len, lines)), lines[-1]), (50, "... and 9 more"))
        terminal.resize(14, 60)
        lines = terminal.wait_page(lambda lines: len(lines) == 14)
        self.assertEqual((max(map(len, lines)), lines[-1]), (60, "... and 7 more"))
        terminal.type("\x03")
        self.assertEqual(terminal.end(), 0)
        self.given_back(terminal)

    def test_a_signal_gives_the_terminal_back_too(self):
        terminal = self.top()
        terminal.wait(r"\x1b\[J")
        terminal.process.send_signal(signal.SIGTERM)
        self.assertEqual(terminal.end(), 128 + signal.SIGTERM)
        self.given_back(terminal)

    def test_without_a_terminal_it_prints_once(self):
        done = self.service.cli("top")
        lines = done.stdout.decode().splitlines()
        self.assertEqual((done.returncode, done.stderr, len(lines)), (0, b"", 20))
        self.assertNotIn("\x1b", done.stdout.decode())
        self.assertTrue(lines[8].endswith("course=cs0"), lines[8])

    def test_json_is_a_line_for_each_update(self):
        done = self.service.cli("top", "--json", "--once")
        self.assertEqual((done.returncode, done.stdout.count(b"\n")), (0, 1))
        found = json.loads(done.stdout)
        self.assertEqual((found["running"], found["running_max"], found["queued"], len(found["runs"])), (1, 1, 11, 12))
        run = found["runs"][0]
        self.assertEqual((run["run_id"], run["state"], run["tenant"], run["labels"]),
                         (self.calls[0].run.run_id, "running", "uid:0/student-1", {"course": "cs0"}))
        self.assertGreater(run["memory_bytes"], 20 << 20)
        self.assertEqual([run["queue_position"] for run in found["runs"]], list(range(12)))
        env = dict(os.environ, CLOISTER_SOCKET=str(self.service.socket))
        with subprocess.Popen([BUILD / "bin" / "cloister", "top", "--json", "--interval", "200ms"], env=env,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
            seen = [json.loads(process.stdout.readline()) for _ in range(3)]
            process.stdout.close()  # as `| head -3` does
            self.assertEqual(process.wait(20 * SLOW), 128 + signal.SIGPIPE)
        self.assertLess(seen[0]["uptime_ms"], seen[2]["uptime_ms"])
        self.assertIsNotNone(seen[2]["runs"][0]["cpu_percent"])

    def test_others_runs_are_a_number_and_nothing_else(self):
        paths = [self.service.socket.parent, self.service.socket]
        modes = [path.stat().st_mode for path in paths]
        self.addCleanup(lambda: [os.chmod(path, mode & 0o7777) for path, mode in zip(paths, modes)])
        for path in paths:
            os.chmod(path, 0o777)
        programs = self.service.directory / "bin"  # the build's folder may be closed to others
        programs.mkdir()
        for name in ("cloister", "cloister-remote"):
            shutil.copy(BUILD / "bin" / name, programs)
        env = dict(os.environ, CLOISTER_SOCKET=str(self.service.socket))
        done = subprocess.run([programs / "cloister", "top"], env=env, capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, user=NOBODY, group=NOBODY, extra_groups=[], cwd="/",
                              timeout=60 * SLOW)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("12 runs of others: theirs to see, and the operator's", done.stdout)
        for secret in ("student-1", "course=", self.calls[0].run.run_id):
            self.assertNotIn(secret, done.stdout)

    def test_a_service_that_ends_is_told_on_the_first_screen(self):
        with Service() as service:
            env = dict(os.environ, CLOISTER_SOCKET=str(service.socket), TERM="xterm")
            terminal = Terminal([BUILD / "bin" / "cloister", "top", "--interval", "200ms"], env)
            self.addCleanup(terminal.close)
            lines = terminal.page()
            self.assertEqual(lines[-1], "nothing runs")
            service.stop()
            self.assertEqual(terminal.end(), 125)
        left = terminal.text.split("\x1b[?1049l")
        self.assertEqual(len(left), 2)
        self.assertIn("cloister: ", left[1])
        self.assertEqual(termios.tcgetattr(terminal.slave), terminal.before)

    def test_a_wrong_command_line(self):
        for words, said in ((["--interval", "1ms"], "200ms"), (["--interval"], "--interval"), (["x"], "options only"),
                            (["--socket", "/nonexistent/x"], "no service at /nonexistent/x")):
            done = self.service.cli("top", *words)
            self.assertEqual(done.returncode, 125 if words[0] == "--socket" else 126, words)
            self.assertRegex(done.stderr.decode(), f"^cloister: .*{said}.*\n$")


if __name__ == "__main__":
    need_root()
    unittest.main(verbosity=2)
