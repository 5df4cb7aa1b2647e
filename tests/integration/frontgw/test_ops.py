"""What operators see: health, metrics, configuration, signals, confinement."""

import http.client
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
import unittest
from pathlib import Path

from gateway import FRONTGW, SANITIZED, SLOW, SOURCE, Gateway, make_certificate, problem


def run(*words, env=None):
    clean = {k: v for k, v in os.environ.items() if not k.startswith("FRONTGW_")}
    return subprocess.run([FRONTGW, *words], capture_output=True, text=True, timeout=30 * SLOW,
                          env={**clean, **(env or {})})


class Running(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.gw = Gateway().start()

    @classmethod
    def tearDownClass(cls):
        cls.gw.__exit__(None, None, None)

    def test_health_says_how_things_are(self):
        status, _, body = self.gw.get("/health")
        health = json.loads(body)
        self.assertEqual((status, health["status"]), (200, "ok"))
        self.assertGreaterEqual(health["uptime_s"], 0)
        self.assertGreater(health["system"]["memory_total_bytes"], 0)
        self.assertGreater(health["system"]["disk_free_bytes"], 0)
        self.assertGreaterEqual(health["system"]["connections"], 1)
        self.assertEqual(json.loads(self.gw.get("/health/live")[2]), {"status": "live"})
        self.assertEqual(json.loads(self.gw.get("/health/ready")[2]), {"status": "ready"})

    def test_health_is_never_limited(self):
        c = self.gw.connection()
        for _ in range(400):
            self.assertEqual(self.gw.get("/health/live", connection=c)[0], 200)
        c.close()

    def test_system_stats_are_not_for_everybody(self):
        status, _, body = self.gw.get("/system-stats")
        self.assertEqual((status, problem(body)), (401, "unauthenticated"))

    def test_metrics_are_well_formed_and_count(self):
        before = self.gw.metrics()
        for _ in range(5):
            self.gw.get("/health/live")
        name = 'frontgw_http_requests_total{route="healthLive",code="200"}'
        # An answer is counted once it has left, which its reader may be quicker to see than we to count.
        for _ in range(100):
            after = self.gw.metrics()
            if after.get(name, 0) - before.get(name, 0) >= 5:
                break
            time.sleep(0.05)
        self.assertEqual(after[name] - before.get(name, 0), 5)
        count = 'frontgw_http_request_duration_seconds_count{route="healthLive"}'
        self.assertEqual(after[count], after[name])
        self.assertEqual(after['frontgw_http_request_duration_seconds_bucket{route="healthLive",le="+Inf"}'],
                         after[count])
        self.assertEqual(after["frontgw_http_undeclared_status_total"], 0)
        c = http.client.HTTPConnection("127.0.0.1", self.gw.metrics_port, timeout=10)
        c.request("GET", "/metrics")
        answer = c.getresponse()
        self.assertEqual(answer.getheader("content-type"), "text/plain; version=0.0.4; charset=utf-8")
        self.check_exposition(answer.read().decode())
        c.close()

    def check_exposition(self, text):
        """Every sample belongs to a family that has been introduced, once."""
        families = {}
        for line in text.splitlines():
            if line.startswith("# TYPE "):
                _, _, name, kind = line.split(" ")
                self.assertNotIn(name, families)
                families[name] = kind
            elif not line.startswith("#"):
                match = re.fullmatch(r'([a-z_]+)(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})? [-+0-9.e]+', line)
                self.assertTrue(match, line)
                base = re.sub(r"_(bucket|sum|count)$", "", match.group(1))
                self.assertTrue(match.group(1) in families or families.get(base) == "histogram", line)
                if families.get(match.group(1)) == "counter":
                    self.assertTrue(match.group(1).endswith("_total"), line)

    def test_metrics_are_on_their_own_listener_only(self):
        self.assertEqual(self.gw.get("/metrics")[0], 404)
        for request in (b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n", b"POST /metrics HTTP/1.1\r\nHost: x\r\n\r\n"):
            with socket.create_connection(("127.0.0.1", self.gw.metrics_port), 10) as s:
                s.sendall(request)
                self.assertTrue(s.recv(100).startswith(b"HTTP/1.1 404 "))

    if not SANITIZED:  # the filter and the leak checker exclude each other

        def test_the_process_is_confined(self):
            status = Path(f"/proc/{self.gw.process.pid}/status").read_text()
            self.assertIn("Seccomp:\t2", status)
            self.assertIn("NoNewPrivs:\t1", status)
            for task in Path(f"/proc/{self.gw.process.pid}/task").iterdir():
                self.assertIn("Seccomp:\t2", (task / "status").read_text(), "a thread without the filter")


class Settings(unittest.TestCase):
    def test_later_sources_win_and_printing_gives_them_back(self):
        gw = Gateway()
        gw.directory.mkdir(exist_ok=True)
        file = gw.directory / "frontgw.conf"
        file.write_text("[rates]\nuser = 7\nfiles = 8\nclass = 9\n[timeouts]\nhead = 1500ms\n")
        done = run("--config", file, "--set", "rates.class=11", "--print-config", env={"FRONTGW_RATES_FILES": "10"})
        self.assertEqual(done.returncode, 0, done.stderr)
        for line in ("user = 7", "files = 10", "class = 11", "head = 1500ms", "connections = 10000"):
            self.assertIn(f"\n{line}\n", done.stdout)
        file.write_text(done.stdout)
        again = run("--config", file, "--print-config")
        self.assertEqual(again.stdout, done.stdout)
        shutil.rmtree(gw.directory)

    def test_the_shipped_file_says_the_truth_about_the_defaults(self):
        shipped = (SOURCE / "deploy" / "frontgw.conf").read_text()
        plain = run("--print-config").stdout
        done = run("--config", SOURCE / "deploy" / "frontgw.conf", "--print-config")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout, plain.replace("web-root = \n", "web-root = /usr/share/cloister/web\n"))
        examples = ("certificate", "key", "origins", "trusted-proxies", "redis", "redis-password-file", "token-file")
        section = ""
        for line in shipped.splitlines():
            if line.startswith("["):
                section = plain.split(line)[1].split("\n[")[0]
            match = re.fullmatch(r"# ([a-z-]+) = (.*)", line)
            if match and match.group(1) not in examples:
                self.assertIn(f"\n{match.group(1)} = {match.group(2)}\n", section)
            elif match:
                self.assertIn(f"\n{match.group(1)} = \n", section)

    def test_mistakes_are_named(self):
        for words, expected in (
                (["--set", "rates.usr=1"], "there is no setting usr in [rates]. Did you mean 'user'?"),
                (["--set", "rates.user=0"], "rates.user"),
                (["--set", "rates.user=x"], "rates.user"),
                (["--set", "listen.port=70000"], "listen.port"),
                (["--set", "nonsense"], "section.key=value"),
                (["--set", "listen.certificate=/x"], "belong together"),
                (["--set", "data.directory=relative"], "absolute"),
                (["--config", "/nonexistent/frontgw.conf"], "No such file"),
                (["no-such-command"], "no command no-such-command")):
            done = run(*words, "--check-config") if "no-such" not in words[0] else run(*words)
            self.assertNotEqual(done.returncode, 0, words)
            self.assertIn(expected, done.stderr)
        self.assertEqual(run("--check-config").returncode, 0)

    def test_metrics_beyond_loopback_need_a_token(self):
        gw = Gateway(settings={"metrics.address": "0.0.0.0"})
        done = run(*gw.arguments())
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("metrics.token-file", done.stderr)
        token = gw.directory / "token"
        token.write_text("sesame\n")
        gw.settings["metrics.token-file"] = token
        with gw:
            for value, expected in ((None, 401), ("Bearer wrong", 401), ("Bearer sesame", 200)):
                c = http.client.HTTPConnection("127.0.0.1", gw.metrics_port, timeout=10)
                c.request("GET", "/metrics", headers={"Authorization": value} if value else {})
                self.assertEqual(c.getresponse().status, expected)
                c.close()


class Signals(unittest.TestCase):
    def test_sighup_takes_a_new_certificate_and_keeps_the_old_when_it_is_bad(self):
        with Gateway(tls=True) as gw:
            def served():
                with socket.create_connection(("127.0.0.1", gw.port), 10) as s:
                    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
                    with context.wrap_socket(s) as t:
                        return t.getpeercert(binary_form=True)

            def event(name):
                deadline = time.monotonic() + 10 * SLOW
                while time.monotonic() < deadline:
                    if any(e["event"] == name for e in gw.log()):
                        return True
                    time.sleep(0.05)
                return False

            first = served()
            gw.cert.write_text("this is not a certificate")
            gw.process.send_signal(signal.SIGHUP)
            self.assertTrue(event("tls.reload_failed"))
            self.assertEqual(served(), first)
            cert, key = make_certificate(gw.directory, "second.example")
            shutil.copy(cert, gw.cert)
            shutil.copy(key, gw.key)
            gw.process.send_signal(signal.SIGHUP)
            self.assertTrue(event("tls.reloaded"))
            deadline = time.monotonic() + 10 * SLOW
            while any(served() == first for _ in range(4)) and time.monotonic() < deadline:
                time.sleep(0.1)
            self.assertNotEqual(served(), first)
            self.assertTrue(all(served() != first for _ in range(8)), "a loop still has the old certificate")

    def test_sigterm_answers_what_is_asked_and_ends(self):
        with Gateway() as gw:
            stop, failures, answered = threading.Event(), [], [0]

            def client():
                c = gw.connection()
                while not stop.is_set():
                    try:
                        c.request("GET", "/health/live")
                        answer = c.getresponse()
                        answer.read()
                        answered[0] += answer.status == 200
                        if answer.getheader("connection") == "close":
                            return
                    except (ConnectionRefusedError, http.client.RemoteDisconnected, ConnectionResetError):
                        return  # between two requests: nothing was lost
                    except Exception as e:  # half an answer
                        failures.append(repr(e))
                        return

            clients = [threading.Thread(target=client) for _ in range(8)]
            for c in clients:
                c.start()
            time.sleep(0.5)
            started = time.monotonic()
            status = gw.stop(signal.SIGTERM)
            took = time.monotonic() - started
            stop.set()
            for c in clients:
                c.join()
            self.assertEqual(status, 0)
            self.assertEqual(failures, [])
            self.assertGreater(answered[0], 50)
            self.assertLess(took, 10 * SLOW)
            events = [e["event"] for e in gw.log()]
            self.assertIn("frontgw.drained", events)


if __name__ == "__main__":
    unittest.main()
