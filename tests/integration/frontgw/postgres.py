"""A real PostgreSQL for a test: in a directory of its own, on a unix socket, killed and started at will."""

import glob
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path


class Postgres:
    def __init__(self, fsync=True):
        self.bin = Path(sorted(glob.glob("/usr/lib/postgresql/*/bin"))[-1])
        self.directory = Path(tempfile.mkdtemp(prefix=f"cloister-pg-{os.getpid()}-"))
        self.data = self.directory / "data"
        self.fsync = fsync
        self.url = f"postgresql://cloister@/cloister?host={self.directory}"
        self.process = None

    def _as_user(self):
        if os.getuid() != 0:
            return {}
        user = pwd.getpwnam("postgres")  # PostgreSQL refuses to run as root
        return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}

    def _run(self, *words):
        subprocess.run([self.bin / words[0], *words[1:]], check=True, capture_output=True, cwd=self.directory,
                       **self._as_user())

    def _start_once(self, deadline):
        self.log = open(self.directory / "server.log", "ab")
        self.process = subprocess.Popen(
            [self.bin / "postgres", "-D", self.data, "-c", "listen_addresses=", "-c",
             f"unix_socket_directories={self.directory}", "-c", f"fsync={'on' if self.fsync else 'off'}",
             "-c", "shared_buffers=32MB", "-c", "max_connections=60"],
            stdout=self.log, stderr=self.log, cwd=self.directory, **self._as_user())
        while time.monotonic() < deadline:
            if subprocess.run([self.bin / "pg_isready", "-q", "-h", self.directory]).returncode == 0:
                return True
            if self.process.poll() is not None:
                self.log.close()
                return False
            time.sleep(0.05)
        return False

    def start(self):
        if not self.data.exists():
            if os.getuid() == 0:
                shutil.chown(self.directory, "postgres", "postgres")
            self._run("initdb", "-D", self.data, "-U", "cloister", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
        deadline = time.monotonic() + 60
        while not self._start_once(deadline):
            # The children of one that was killed take a moment to notice; as long as they are there it refuses.
            if time.monotonic() > deadline:
                raise AssertionError((self.directory / "server.log").read_text()[-3000:])
            time.sleep(0.1)
        if not (self.directory / "made").exists():
            self._run("createdb", "-h", self.directory, "-U", "cloister", "cloister")
            (self.directory / "made").touch()
        return self

    def kill(self):
        """kill -9 of the postmaster: its children notice and go; what was not on disk is lost."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.log.close()

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait(30)
            self.log.close()

    def __enter__(self):
        return self.start()

    def __exit__(self, *exc):
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)
