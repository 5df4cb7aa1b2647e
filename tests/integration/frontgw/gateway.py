"""Starts the real frontgw (and a real Redis) for a test, in a directory of its own, on free ports."""

import atexit
import http.client
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SOURCE = Path(os.environ.get("CLOISTER_SOURCE", Path(__file__).resolve().parents[3]))
BUILD = Path(os.environ.get("CLOISTER_BUILD", SOURCE / "build" / "dev"))
FRONTGW = BUILD / "bin" / "frontgw"
# The leak checker looks into the process from another one at its end, which is what the filter forbids.
SANITIZED = bool(os.environ.get("CLOISTER_SANITIZE"))
SLOW = 4 if SANITIZED else 1


def make_certificate(directory, name="localhost"):
    key, cert = Path(directory) / f"{name}.key", Path(directory) / f"{name}.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-keyout", str(key), "-out", str(cert), "-subj", f"/CN={name}", "-addext",
         f"subjectAltName=DNS:{name},IP:127.0.0.1"], check=True, capture_output=True)
    return cert, key


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def new_database(url):
    """An empty one on the server that tests/support/with_postgres.sh started; it goes with the server."""
    name = f"gateway_{os.getpid()}_{time.monotonic_ns()}"
    subprocess.run(["psql", "-q", url, "-c", f"CREATE DATABASE {name}"], check=True, capture_output=True)
    return url.replace("/cloister?", f"/{name}?")


class Gateway:
    """with Gateway(tls=True, settings={"timeouts.head": "1s"}) as gw: gw.get("/health")"""

    def __init__(self, tls=False, settings=None, directory=None, env=None, web=None):
        self.own = directory is None
        self.directory = Path(directory or tempfile.mkdtemp(prefix=f"frontgw-test-{os.getpid()}-"))
        if self.own:  # also where nobody leaves it
            atexit.register(shutil.rmtree, self.directory, ignore_errors=True)
        self.tls = tls
        self.env = dict(env or {})
        if os.environ.get("TEST_POSTGRES_URL") and "DATABASE_URL" not in self.env:
            self.env["DATABASE_URL"] = new_database(os.environ["TEST_POSTGRES_URL"])
        self.settings = {"data.directory": self.directory / "data", "listen.port": 0, "metrics.port": 0}
        if SANITIZED:
            self.settings["process.seccomp"] = "no"
        if web:
            self.settings["data.web-root"] = web
        if tls:
            self.cert, self.key = make_certificate(self.directory)
            self.settings.update({"listen.certificate": self.cert, "listen.key": self.key})
        self.settings.update(settings or {})
        self.process = None
        self.log_path = self.directory / "frontgw.log"

    def arguments(self):
        words = []
        for key, value in self.settings.items():
            words += ["--set", f"{key}={value}"]
        return words

    def start(self):
        env = {k: v for k, v in os.environ.items() if not k.startswith(("FRONTGW_", "DATABASE_"))}
        env.update({k: str(v) for k, v in self.env.items()})
        self.log_file = open(self.log_path, "ab")
        offset = self.log_path.stat().st_size
        self.process = subprocess.Popen([FRONTGW, *self.arguments()], stdout=self.log_file, stderr=self.log_file,
                                        env=env)
        deadline = time.monotonic() + 20 * SLOW
        while time.monotonic() < deadline:
            for line in self.log(offset):
                if line.get("event") == "frontgw.serving":
                    self.port, self.metrics_port = line["port"], line["metrics_port"]
                    return self
            if self.process.poll() is not None:
                break
            time.sleep(0.02)
        text = self.log_path.read_text(errors="replace")
        self.stop(signal.SIGKILL)
        raise AssertionError(f"frontgw did not start:\n{text}")

    def stop(self, how=signal.SIGTERM, timeout=30):
        """Returns the exit status."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(how)
            try:
                self.process.wait(timeout)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise
        if self.process:
            self.log_file.close()
        return self.process.returncode if self.process else None

    def __enter__(self):
        return self.start()

    def __exit__(self, *exc):
        try:
            status = self.stop()
            if exc[0] is None:
                assert status == 0, f"frontgw ended with {status}:\n{self.log_path.read_text(errors='replace')[-4000:]}"
        finally:
            if exc[0] is not None:
                sys.stderr.write(self.log_path.read_text(errors="replace")[-4000:])
            if self.own:
                shutil.rmtree(self.directory, ignore_errors=True)

    def log(self, offset=0):
        with open(self.log_path, "rb") as f:
            f.seek(offset)
            for line in f.read().splitlines():
                try:
                    yield json.loads(line)
                except ValueError:
                    pass

    # ---- clients ----

    def context(self):
        context = ssl.create_default_context()
        context.check_hostname = False
        context.load_verify_locations(self.cert)
        return context

    @property
    def origin(self):
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def connection(self, timeout=10, source=None):
        where = (source, 0) if source else None
        if self.tls:
            return http.client.HTTPSConnection("127.0.0.1", self.port, context=self.context(),
                                               timeout=timeout * SLOW, source_address=where)
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout * SLOW, source_address=where)

    def request(self, method, path, body=None, headers=None, connection=None, source=None):
        """-> (status, headers, bytes); a JSON body is sent when body is a dict."""
        headers = dict(headers or {})
        if isinstance(body, (dict, list)):
            body = json.dumps(body).encode()
            headers.setdefault("Content-Type", "application/json")
        if method not in ("GET", "HEAD") and "Authorization" not in headers:
            headers.setdefault("Origin", self.origin)
        own = connection is None
        connection = connection or self.connection(source=source)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            if own:
                connection.close()

    def get(self, path, **kw):
        return self.request("GET", path, **kw)

    def socket(self, timeout=10, plain=False):
        s = socket.create_connection(("127.0.0.1", self.port), timeout * SLOW)
        return self.context().wrap_socket(s) if self.tls and not plain else s

    def raw(self, data, timeout=10, plain=False):
        """Send bytes, return everything until the server ends the connection."""
        s = self.socket(timeout, plain)
        with s:
            s.sendall(data)
            return drain(s)

    def metrics(self):
        c = http.client.HTTPConnection("127.0.0.1", self.metrics_port, timeout=10 * SLOW)
        c.request("GET", "/metrics")
        self.metrics_text = c.getresponse().read().decode()
        c.close()
        values = {}
        for line in self.metrics_text.splitlines():
            if line and not line.startswith("#"):
                name, value = line.rsplit(" ", 1)
                values[name] = float(value)
        return values


def drain(s):
    data = b""
    try:
        while True:
            piece = s.recv(65536)
            if not piece:
                return data
            data += piece
    except (ConnectionResetError, ssl.SSLError):
        return data


def status_of(answer):
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.1 ") else None


def problem(answer_body):
    return json.loads(answer_body)["code"]


class Redis:
    """A real redis-server on a free port, without persistence."""

    def __init__(self, port=None, password=None):
        self.port, self.password = port or free_port(), password
        self.directory = tempfile.mkdtemp(prefix=f"redis-test-{os.getpid()}-")
        self.process = None

    def start(self):
        self.process = subprocess.Popen(
            ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
             "--dir", self.directory, *(["--requirepass", self.password] if self.password else [])], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 10 * SLOW
        while time.monotonic() < deadline:
            try:
                with socket.create_connection(("127.0.0.1", self.port), 1) as s:
                    s.sendall(b"PING\r\n")
                    if s.recv(64).startswith((b"+PONG", b"-NOAUTH")):
                        return self
            except OSError:
                time.sleep(0.02)
        raise AssertionError("redis-server did not start")

    def signal(self, how):
        self.process.send_signal(how)

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def __enter__(self):
        return self.start()

    def __exit__(self, *exc):
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)
