"""HTTP/1.1 as frontgw speaks it: over TLS and plain, with hostile and slow clients."""

import json
import os
import re
import socket
import ssl
import subprocess
import time
import unittest

from gateway import FRONTGW, SLOW, Gateway, drain, problem, status_of

HOST = b"Host: 127.0.0.1\r\n"


class Tls(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.gw = Gateway(tls=True, settings={"timeouts.head": "1s", "timeouts.idle": "2s"}).start()

    @classmethod
    def tearDownClass(cls):
        cls.gw.__exit__(None, None, None)

    def test_answers_over_tls_1_2_and_1_3_and_nothing_older(self):
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = self.gw.context()
            context.minimum_version = context.maximum_version = version
            with socket.create_connection(("127.0.0.1", self.gw.port), 10) as s, context.wrap_socket(s) as t:
                t.sendall(b"GET /health/live HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n")
                self.assertEqual(status_of(drain(t)), 200)
        context = self.gw.context()
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
        with socket.create_connection(("127.0.0.1", self.gw.port), 10) as s, self.assertRaises(ssl.SSLError):
            context.wrap_socket(s)

    def test_a_session_is_resumed_on_whichever_loop_it_lands(self):
        context = self.gw.context()
        ask = b"GET /health/live HTTP/1.1\r\n" + HOST + b"\r\n"
        with socket.create_connection(("127.0.0.1", self.gw.port), 10) as s, context.wrap_socket(s) as t:
            t.sendall(ask)
            self.assertEqual(status_of(t.recv(65536)), 200)
            session = t.session
        for _ in range(8):
            with socket.create_connection(("127.0.0.1", self.gw.port), 10) as s, \
                    context.wrap_socket(s, session=session) as t:
                t.sendall(ask)
                self.assertEqual(status_of(t.recv(65536)), 200)
                self.assertTrue(t.session_reused)

    def test_alpn_offers_http_1_1_only(self):
        context = self.gw.context()
        context.set_alpn_protocols(["h2", "http/1.1"])
        with socket.create_connection(("127.0.0.1", self.gw.port), 10) as s, context.wrap_socket(s) as t:
            self.assertEqual(t.selected_alpn_protocol(), "http/1.1")

    def test_plain_http_on_the_tls_port_gets_nothing(self):
        answer = self.gw.raw(b"GET /health/live HTTP/1.1\r\n" + HOST + b"\r\n", plain=True)
        self.assertNotIn(b"200", answer)

    def test_hsts_is_sent_over_tls(self):
        _, headers, _ = self.gw.get("/health/live")
        self.assertIn("max-age=", headers["strict-transport-security"])

    def test_a_handshake_that_never_comes_is_ended(self):
        with socket.create_connection(("127.0.0.1", self.gw.port), 10 * SLOW) as s:
            started = time.monotonic()
            s.sendall(b"\x16\x03\x01")
            self.assertEqual(drain(s), b"")
            self.assertLess(time.monotonic() - started, 8 * SLOW)

    def test_hundreds_of_requests_on_one_connection(self):
        c = self.gw.connection()
        for _ in range(300):
            status, _, _ = self.gw.get("/health/live", connection=c)
            self.assertEqual(status, 200)
        c.close()

    def test_requests_in_one_packet_are_answered_in_order(self):
        requests = b"".join(b"GET /health/live HTTP/1.1\r\n" + HOST + b"\r\n" for _ in range(40))
        last = b"GET /nothing HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n"
        answer = self.gw.raw(requests + last)
        self.assertEqual(answer.count(b"HTTP/1.1 200 OK"), 40)
        self.assertEqual(answer.count(b"HTTP/1.1 404"), 1)
        self.assertLess(answer.rindex(b"HTTP/1.1 200"), answer.index(b"HTTP/1.1 404"))


class Plain(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        # The limits of rates are tested elsewhere.
        cls.gw = Gateway(settings={"rates.address": 10000, "timeouts.head": "1s"}).start()

    @classmethod
    def tearDownClass(cls):
        cls.gw.__exit__(None, None, None)

    def refused(self, data, status, code=None):
        answer = self.gw.raw(data)
        self.assertEqual(status_of(answer), status, answer[:200])
        self.assertEqual(len(re.findall(rb"HTTP/1\.1 \d{3} ", answer)), 1, "a second answer: the bytes were taken for two requests")
        head, _, body = answer.partition(b"\r\n\r\n")
        self.assertIn(b"application/problem+json", head)
        self.assertIn(b"connection: close", head)
        if code:
            self.assertEqual(problem(body), code)

    def test_smuggling_shapes_are_refused_and_the_connection_ends(self):
        inner = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"
        post = b"POST /nothing HTTP/1.1\r\n" + HOST
        shapes = {
            "CL.TE": (post + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + inner, 400),
            "TE.CL": (post + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" + inner, 400),
            "two lengths": (post + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello" + inner, 400),
            "the same length twice": (post + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello" + inner, 400),
            "a list of lengths": (post + b"Content-Length: 5, 5\r\n\r\nhello" + inner, 400),
            "negative": (post + b"Content-Length: -5\r\n\r\nhello" + inner, 400),
            "plus": (post + b"Content-Length: +5\r\n\r\nhello" + inner, 400),
            "hexadecimal": (post + b"Content-Length: 0x5\r\n\r\nhello" + inner, 400),
            "blank before colon": (post + b"Content-Length : 5\r\n\r\nhello" + inner, 400),
            "TE blank before colon": (post + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + inner, 400),
            "TE tab": (post + b"Transfer-Encoding:\tchunked\r\n\r\n0\r\n\r\n" + inner, 411),
            "TE obfuscated": (post + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + inner, 411),
            "TE twice": (post + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n", 411),
            "TE folded": (post + b"X: y\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + inner, 400),
            "TE vertical tab": (post + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n" + inner, 400),
            "bare LF": (b"GET / HTTP/1.1\nHost: x\n\n" + inner, 400),
            "bare LF in a header": (post + b"X: y\nContent-Length: 5\r\n\r\nhello" + inner, 400),
            "bare CR": (post + b"X: y\rContent-Length: 5\r\n\r\n" + inner, 400),
            "NUL": (post + b"X: \x00\r\n\r\n" + inner, 400),
            "two hosts": (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n" + inner, 400),
            "no host": (b"GET / HTTP/1.1\r\n\r\n" + inner, 400),
            "absolute target": (b"GET http://x/health HTTP/1.1\r\n" + HOST + b"\r\n" + inner, 400),
            "version 1.0": (b"GET / HTTP/1.0\r\n" + HOST + b"\r\n" + inner, 505),
            "version 2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
            "unknown method": (b"BREW / HTTP/1.1\r\n" + HOST + b"\r\n" + inner, 501),
            "a body where none is taken": (
                b"GET /health HTTP/1.1\r\n" + HOST + b"Content-Length: 40\r\n\r\n" + inner, 400),
        }
        for name, (data, status) in shapes.items():
            with self.subTest(name):
                self.refused(data, status)

    def test_chunked_bodies_are_refused(self):
        self.refused(b"POST /nothing HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
                     411, "length_required")

    def test_upgrades_are_refused(self):
        settings = b"HTTP2-Settings: AAMAAABkAAQAAP__\r\n"
        for token in (b"h2c", b"foo", b"websocket", b"TLS/1.0"):
            with self.subTest(token):
                self.refused(b"GET /health/live HTTP/1.1\r\n" + HOST + b"Connection: Upgrade, HTTP2-Settings\r\n" +
                             b"Upgrade: " + token + b"\r\n" + settings + b"Sec-WebSocket-Version: 13\r\n"
                             b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", 501, "not_implemented")

    def test_traversal_in_every_spelling(self):
        for path in ("/..", "/../etc/passwd", "/%2e%2e/etc/passwd", "/.%2e/", "/a/%2E%2E%2fb", "/a/..%2f..%2f",
                     "/a/%5c..%5c", "/a%00b", "/a/./b", "/a//b", "//a", "/%c0%ae%c0%ae/", "/%u002e", "/a%", "/%ff"):
            with self.subTest(path):
                answer = self.gw.raw(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
                self.assertEqual(status_of(answer), 400, answer[:100])

    def test_unknown_query_parameters_are_told(self):
        status, _, body = self.gw.get("/health?verbose=1")
        self.assertEqual((status, problem(body)), (400, "unknown_parameter"))

    def test_a_head_that_is_too_large(self):
        self.refused(b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"a" * 20000 + b"\r\n\r\n", 431)
        self.refused(b"GET /" + b"a" * 20000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414)
        self.refused(b"GET /" + b"a" * 6000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414)
        self.refused(b"GET / HTTP/1.1\r\n" + HOST + b"A: b\r\n" * 70 + b"\r\n", 431)

    def test_endless_heads_are_answered_and_ended(self):
        with self.gw.socket() as s:
            started = time.monotonic()
            try:
                for _ in range(20000):
                    s.sendall(b"X: " + b"y" * 1020 + b"\r\n")
            except OSError:
                pass
            else:
                self.fail("20 MB of head were taken")
            self.assertLess(time.monotonic() - started, 8 * SLOW)

    def test_slow_loris_is_told_and_ended(self):
        with self.gw.socket(20) as s:
            started = time.monotonic()
            s.sendall(b"GET / HTTP/1.1\r\n")
            try:
                for _ in range(100):
                    s.sendall(b"X-a: b\r\n")
                    time.sleep(0.1)
            except OSError:
                pass
            took = time.monotonic() - started
            self.assertLess(took, 6 * SLOW, "dribbled headers kept the connection open")
        with self.gw.socket(20) as s:
            s.sendall(b"GET / HT")
            answer = drain(s)
            self.assertEqual(status_of(answer), 408)

    def test_a_silent_connection_is_ended(self):
        with self.gw.socket(20) as s:
            self.assertEqual(drain(s), b"")

    def test_problem_documents(self):
        status, headers, body = self.gw.get("/nothing")
        document = json.loads(body)
        self.assertEqual(status, 404)
        self.assertEqual(headers["content-type"], "application/problem+json")
        self.assertEqual(document["status"], 404)
        self.assertEqual(document["code"], "not_found")
        self.assertTrue(document["type"].endswith(":not_found"))
        status, headers, body = self.gw.request("DELETE", "/health", headers={"X-Cloister": "1"})
        self.assertEqual((status, problem(body)), (405, "method_not_allowed"))
        self.assertEqual(headers["allow"], "GET, HEAD")

    def test_head_is_get_without_the_body(self):
        _, get_headers, body = self.gw.get("/health/live")
        status, headers, nothing = self.gw.request("HEAD", "/health/live")
        self.assertEqual((status, nothing), (200, b""))
        self.assertEqual(headers["content-length"], str(len(body)))
        self.assertEqual(headers["content-type"], get_headers["content-type"])

    def test_every_answer_carries_the_security_headers(self):
        for path in ("/health", "/nothing", "/../x"):
            _, headers, _ = self.gw.get(path)
            with self.subTest(path):
                self.assertIn("frame-ancestors 'self'", headers["content-security-policy"])
                self.assertNotIn("unsafe-inline", headers["content-security-policy"])
                self.assertEqual(headers["x-content-type-options"], "nosniff")
                self.assertEqual(headers["cross-origin-opener-policy"], "same-origin")
                self.assertEqual(headers["cross-origin-embedder-policy"], "require-corp")
                self.assertEqual(headers["cache-control"], "no-store")
                self.assertRegex(headers["x-request-id"], "^[0-9a-f]{22}$")

    def test_changes_need_our_origin_and_something_no_form_can_send(self):
        def post(**headers):
            status, _, body = self.gw.request("POST", "/nothing", b"", {
                k.replace("_", "-"): v for k, v in headers.items() if v})
            return status, problem(body)

        own = self.gw.origin
        self.assertEqual(post(Origin=own, X_Cloister="1"), (404, "not_found"))
        self.assertEqual(post(Origin=own, Content_Type="application/json"), (404, "not_found"))
        self.assertEqual(post(Origin=own), (403, "forgery"))
        self.assertEqual(post(Origin=own, Content_Type="text/plain"), (403, "forgery"))
        self.assertEqual(post(Origin=own, Content_Type="application/x-www-form-urlencoded"), (403, "forgery"))
        for origin in ("http://evil.example", "null", own.replace("http:", "https:"), own + ".evil.example",
                       own.replace("127.0.0.1", "127.0.0.2")):
            self.assertEqual(post(Origin=origin, X_Cloister="1"), (403, "cross_origin"), origin)
        self.assertEqual(post(Origin=own, X_Cloister="1", Sec_Fetch_Site="cross-site"), (403, "cross_origin"))
        status, _, body = self.gw.request("POST", "/nothing", b"", {"Origin": "", "X-Cloister": "1"})
        self.assertEqual((status, problem(body)), (403, "cross_origin"))

    def test_trace_ids_are_taken_over_and_logged(self):
        trace = os.urandom(16).hex()
        _, headers, _ = self.gw.get("/nothing", headers={"traceparent": f"00-{trace}-00f067aa0ba902b7-01"})
        deadline = time.monotonic() + 5 * SLOW
        while time.monotonic() < deadline:
            lines = [e for e in self.gw.log() if e.get("req_id") == headers["x-request-id"]]
            if lines:
                break
            time.sleep(0.05)
        self.assertEqual(lines[0]["trace_id"], trace)
        self.assertEqual(lines[0]["status"], 404)


class Limits(unittest.TestCase):
    def test_connections_per_address_are_capped(self):
        with Gateway(settings={"listen.connections-per-address": 5, "timeouts.head": "30s"}) as gw:
            held = [gw.socket() for _ in range(5)]
            time.sleep(0.2)
            with self.assertRaises(OSError), gw.socket() as s:
                s.sendall(b"GET /health/live HTTP/1.1\r\n" + HOST + b"\r\n")
                if s.recv(100) == b"":
                    raise ConnectionResetError
            held.pop().close()
            time.sleep(0.3)
            status, _, _ = gw.get("/health/live")
            self.assertEqual(status, 200)
            self.assertGreaterEqual(gw.metrics()['frontgw_connections_refused_total{why="address"}'], 1)
            for s in held:
                s.close()

    def test_plain_http_beyond_loopback_is_refused(self):
        gw = Gateway(settings={"listen.address": "0.0.0.0"})
        done = subprocess.run([FRONTGW, *gw.arguments()], capture_output=True, text=True, timeout=30 * SLOW)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("plain HTTP is only for loopback", done.stderr)

    def test_a_port_that_is_taken_is_told(self):
        with Gateway() as first:
            second = Gateway(settings={"listen.port": first.port})
            done = subprocess.run([FRONTGW, *second.arguments()], capture_output=True, text=True, timeout=30 * SLOW)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn("Address already in use", done.stderr)

    def test_behind_a_trusted_proxy_the_client_is_named(self):
        settings = {"listen.trusted-proxies": "127.0.0.1/32 10.0.0.0/8", "rates.address": 2}
        with Gateway(settings=settings) as gw:
            for address in ("192.0.2.1", "192.0.2.2", "192.0.2.1, 10.1.2.3"):
                status, _, _ = gw.get("/nothing", headers={"X-Forwarded-For": address})
                self.assertEqual(status, 404, address)
            status, _, _ = gw.get("/nothing", headers={"X-Forwarded-For": "6.6.6.6, 192.0.2.1"})
            self.assertEqual(status, 429, "what the client wrote itself must not count")
            status, headers, _ = gw.get("/health/live", headers={"X-Forwarded-Proto": "https"})
            self.assertIn("strict-transport-security", headers)
        with Gateway(settings={"rates.address": 2}) as gw:
            answers = [gw.get("/nothing", headers={"X-Forwarded-For": f"192.0.2.{i}"})[0] for i in range(3)]
            self.assertEqual(answers, [404, 404, 429], "an untrusted peer cannot choose its address")


if __name__ == "__main__":
    unittest.main(verbosity=1)
