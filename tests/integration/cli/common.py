"""What the tests of the command line share: one service per file, and `cloister run` as a person starts it."""

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import tempfile
import termios
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "support"))
from service import BUILD, SLOW, Service, contract, need_root, wait_for  # noqa: E402,F401


class CliTest(unittest.TestCase):
    settings = {"execsvc": {"running_max": 1}}

    @classmethod
    def setUpClass(cls):
        cls.service = Service(cls.settings).__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.service.__exit__(None, None, None)

    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory(prefix="cloister-cli-")
        self.directory = Path(self.temporary.name)
        self.addCleanup(self.temporary.cleanup)

    def file(self, name, text):
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return str(path)

    def run_cli(self, *words, **options):
        return self.service.cli("run", *words, **options)

    def start(self, *words, **options):
        env = dict(os.environ, CLOISTER_SOCKET=str(self.service.socket))
        process = subprocess.Popen([BUILD / "bin" / "cloister", "run", *words], env=env, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, **{"stdin": subprocess.DEVNULL, **options})
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def terminal(self, *words):
        """`cloister run -t` on a terminal of 30 x 100; returns the process and the keyboard's end."""
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
        before = termios.tcgetattr(slave)

        def own_terminal():
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        env = dict(os.environ, CLOISTER_SOCKET=str(self.service.socket))
        process = subprocess.Popen([BUILD / "bin" / "cloister", "run", "-t", *words], env=env, stdin=slave, stdout=slave,
                                   stderr=slave, preexec_fn=own_terminal)
        self.addCleanup(os.close, master)
        self.addCleanup(os.close, slave)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process, master, slave, before

    def expect(self, master, text, seen=b""):
        deadline = time.monotonic() + 15 * SLOW
        while text not in seen:
            self.assertLess(time.monotonic(), deadline, seen)
            if select.select([master], [], [], 0.2)[0]:
                seen += os.read(master, 4096)
        return seen
