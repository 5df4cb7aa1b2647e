"""Large bodies both ways, over TLS and plain: whole, in parts, slowly, cut off, many at once."""

import hashlib
import io
import os
import threading
import time
import unittest
import zipfile

from clients import FREE, Client, World
from gateway import SLOW, Gateway

MB = 1 << 20
BODY = os.urandom(MB) * 9


class Transfer:
    tls = False

    @classmethod
    def setUpClass(cls):
        cls.gw = Gateway(tls=cls.tls, settings={**FREE, "timeouts.body-grace": "1s", "timeouts.body-rate": "64K"}).start()
        cls.world = World(cls.gw)
        cls.ann, cls.space = cls.world.people["ann"], cls.world.workspaces["ann"]
        made = cls.ann.create(cls.space, "large.bin", BODY)
        assert made.status == 201, made
        cls.file = made.json["id"]

    @classmethod
    def tearDownClass(cls):
        cls.world.close()
        cls.gw.__exit__(None, None, None)

    def person(self):
        client = Client(self.gw)
        client.cookie = self.ann.cookie
        return client

    def head(self, method, path, *more, cookie=None):
        lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{self.gw.port}", f"Origin: {self.gw.origin}",
                 "X-Cloister: 1", f"Cookie: {cookie or self.ann.cookie}", *more, "", ""]
        return "\r\n".join(lines).encode()

    def test_what_was_sent_comes_back(self):
        answer = self.ann("GET", f"/files/{self.file}/content")
        self.assertEqual(hashlib.sha256(answer.body).digest(), hashlib.sha256(BODY).digest())

    def test_ranges_are_exact(self):
        for first, last in ((0, 0), (0, 16383), (16383, 16384), (MB - 1, 3 * MB + 17), (len(BODY) - 1, len(BODY) - 1)):
            answer = self.ann("GET", f"/files/{self.file}/content", headers={"Range": f"bytes={first}-{last}"})
            self.assertEqual(answer.status, 206)
            self.assertEqual(answer.headers["content-range"], f"bytes {first}-{last}/{len(BODY)}")
            self.assertTrue(answer.body == BODY[first:last + 1])

    def test_many_go_up_and_down_at_once(self):
        faults = []

        def one(i):
            try:
                client = self.person()
                data = BODY[i:i + 2 * MB + 13 * i]
                made = client.create(self.space, f"many-{i}.bin", data)
                assert made.status == 201, made
                back = client("GET", f"/files/{made.json['id']}/content").body
                assert back == data, f"{i}: {len(back)} of {len(data)} bytes"
                client.close()
            except Exception as fault:
                faults.append(repr(fault))

        threads = [threading.Thread(target=one, args=(i,)) for i in range(12)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(faults, [])

    def test_a_slow_reader_gets_everything_and_holds_nobody_up(self):
        with self.gw.socket(timeout=60) as s:
            s.sendall(self.head("GET", f"/api/v1/files/{self.file}/content", "Connection: close"))
            time.sleep(1.5)  # far more than the socket's buffers are waiting
            quick = time.monotonic()
            self.assertEqual(self.gw.get("/health/live")[0], 200)
            self.assertLess(time.monotonic() - quick, 1 * SLOW)
            data = b""
            while piece := s.recv(200000):
                data += piece
                time.sleep(0.002)
            self.assertTrue(data.endswith(BODY))

    def test_readers_and_writers_that_vanish_leave_nothing(self):
        before = self.gw.metrics()["process_open_fds"]
        for i in range(10):
            s = self.gw.socket()
            s.sendall(self.head("GET", f"/api/v1/files/{self.file}/content"))
            s.recv(1000)
            s.close()
            s = self.gw.socket()
            s.sendall(self.head("POST", f"/api/v1/workspaces/{self.space}/files?path=half-{i}", "Content-Length: 5000000")
                      + b"x" * 100000)
            s.close()
        deadline = time.monotonic() + 10 * SLOW
        while self.gw.metrics()["process_open_fds"] > before + 3 and time.monotonic() < deadline:
            time.sleep(0.1)
        self.assertLessEqual(self.gw.metrics()["process_open_fds"], before + 3)
        names = [n["name"] for n in self.ann("GET", f"/workspaces/{self.space}/tree").json["items"]]
        self.assertFalse([n for n in names if n.startswith("half")])

    def test_a_body_that_dribbles_is_ended(self):
        with self.gw.socket(timeout=30) as s:
            s.sendall(self.head("POST", f"/api/v1/workspaces/{self.space}/files?path=slow", "Content-Length: 1000000"))
            started = time.monotonic()
            s.settimeout(0.05)
            answer = b""
            while time.monotonic() - started < 20 * SLOW and not answer:
                try:
                    s.sendall(b"x")
                    answer = s.recv(4096)
                except TimeoutError:
                    pass
            self.assertTrue(answer.startswith(b"HTTP/1.1 408"), answer[:100])
            self.assertLess(time.monotonic() - started, 8 * SLOW)

    def test_a_refused_upload_is_told_although_it_is_still_coming(self):
        for _ in range(5):
            with self.gw.socket(timeout=20) as s:
                s.sendall(self.head("POST", f"/api/v1/workspaces/{self.space}/archive", "Content-Length: 3000000",
                                    cookie="x=y"))
                try:
                    for _ in range(30):
                        s.sendall(b"x" * 100000)
                except OSError:
                    pass
                self.assertTrue(s.recv(4096).startswith(b"HTTP/1.1 401"), "the answer was lost")

    def test_a_workspace_goes_up_and_comes_down_as_an_archive(self):
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as z:
            for i in range(30):
                z.writestr(f"dir/{i}.bin", BODY[i * 1000:i * 1000 + 700000])
        ben, space = self.world.people["ben"], self.world.workspaces["ben"]
        answer = ben("POST", f"/workspaces/{space}/archive", packed.getvalue())
        self.assertEqual((answer.status, answer.json["files"]), (200, 30))
        back = ben("GET", f"/workspaces/{space}/archive")
        with zipfile.ZipFile(io.BytesIO(back.body)) as z:
            self.assertEqual(z.read("dir/7.bin"), BODY[7000:707000])
            self.assertEqual(len([n for n in z.namelist() if n.endswith(".bin")]), 30)

    def test_requests_sent_ahead_wait_for_their_turn(self):
        """Pipelining with a body in the middle; more is sent than the server reads ahead."""
        save = b"y" * 300000
        seq = self.ann.create(self.space, "pipelined.txt", b"x").json
        stream = b""
        for i in range(3):
            stream += self.head("GET", f"/api/v1/files/{self.file}/content", "Range: bytes=0-99999")
        stream += self.head("PUT", f"/api/v1/files/{seq['id']}/content", 'If-Match: "1"',
                            f"Content-Length: {len(save)}") + save
        stream += self.head("GET", f"/api/v1/files/{seq['id']}", "Connection: close")
        with self.gw.socket(timeout=30) as s:
            sender = threading.Thread(target=s.sendall, args=(stream,))
            sender.start()
            data = b""
            while piece := s.recv(65536):
                data += piece
            sender.join()
        self.assertEqual(data.count(b"HTTP/1.1 206 "), 3)
        self.assertEqual(data.count(b"HTTP/1.1 200 "), 2, data[-500:])
        self.assertIn(b'"size":300000', data)


class OverTls(Transfer, unittest.TestCase):
    tls = True


class Plain(Transfer, unittest.TestCase):
    pass


if __name__ == "__main__":
    unittest.main()
