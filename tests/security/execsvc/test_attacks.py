"""What a hostile peer may do to the service with HTTP/2, TLS and descriptors (docs/SECURITY.md, "The service's peers").

Each attack is made through the unix socket and, by somebody with a good certificate, over TCP. While it goes on, a run
waits on a connection of its own, and short runs are made one after the other. Afterwards: the service answers, that
run ends as it should, no run was judged wrongly, and the memory is back within 20 % of what it was.
ATTACKS_TIMES in the environment multiplies the attacks' sizes (tests/proof).
"""

import contextlib
import gzip
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
import unittest
from pathlib import Path

import grpc

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "support"))
import h2  # noqa: E402
from service import SLOW, Client, Service, contract, need_root, wait_for  # noqa: E402
from tls import Certs  # noqa: E402

TIMES = int(os.environ.get("ATTACKS_TIMES", "1"))
CHECK = "/grpc.health.v1.Health/Check"
EXECUTE = "/cloister.exec.v1.Execution/Execute"
INTERACT = "/cloister.exec.v1.Execution/Interact"


class Bystanders:
    """Somebody else's runs: one that waits, and short ones in turn."""

    def __init__(self, service):
        self.client = service.client()
        self.waiting = self.client.interact(argv=["/bin/sh", "-c", "echo begun; read line; echo $line"])
        self.waiting.expect("begun")
        self.stop, self.wrong, self.done = threading.Event(), [], 0
        self.thread = threading.Thread(target=self._runs, daemon=True)
        self.thread.start()

    def _runs(self):
        while not self.stop.is_set():
            run = self.client.run(argv=["/bin/echo", str(self.done)])
            good = (run.verdict, run.exit_code, run.stdout) == ("EXITED", 0, f"{self.done}\n".encode())
            if not good and (run.result or run.code not in ("UNAVAILABLE", "RESOURCE_EXHAUSTED")):
                self.wrong.append(repr(run))
            self.done += 1
            self.stop.wait(0.05)

    def end(self):
        self.stop.set()
        self.thread.join(60 * SLOW)
        self.waiting.type("still here\n")
        run = self.waiting.end()
        if (run.verdict, run.exit_code, run.stdout) != ("EXITED", 0, b"begun\nstill here\n"):
            self.wrong.append(repr(run))
        self.client.close()
        return self.wrong


def resident(pid):
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()


class Attacks(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.certs = Certs(("dns:client.test", "dns:other.test"))
        cls.certs.issue("client", "other", "DNS:other.test")
        cls.service = Service({"execsvc": cls.certs.settings(tls_handshake="3s", running_max=8)}).__enter__()
        for _ in range(2):  # what is made once is made now
            with cls.attacked(cls(), memory=False):
                cls.certs.client(cls.service).run(argv=["/bin/true"])

    @classmethod
    def tearDownClass(cls):
        cls.service.__exit__(None, None, None)
        cls.certs.close()

    def connection(self, door, **options):
        if door == "tls":
            return h2.Connection(self.certs.connect(self.service), **options)
        return h2.Connection(self.service.socket, **options)

    def both(self, attack):
        for door in ("unix", "tls"):
            with self.subTest(door=door), self.attacked():
                with self.connection(door) as connection:
                    attack(connection)

    @contextlib.contextmanager
    def attacked(self, memory=True):
        """Around an attack: what must be so during it and after it."""
        pid = self.service.pids()[1]
        others = Bystanders(self.service)
        before = resident(pid)
        begun = time.monotonic()
        yield
        took = time.monotonic() - begun
        peak = resident(pid)
        self.assertEqual(others.end(), [])
        self.assertEqual(self.service.pids()[1], pid, "the service has been started anew")
        if memory:
            wait_for(lambda: resident(pid) <= before * 1.2, 20, f"memory within 20 % of {before >> 20} MiB")
        print(f"  {took:.1f} s, {others.done} runs of others; MiB: {before / 2**20:.1f} before, {peak / 2**20:.1f} after, "
              f"{resident(pid) / 2**20:.1f} then", file=sys.stderr)

    def flood(self, connection, n, block):
        """block(i) for i in range(n), until the service has had enough, which it must."""
        gone = []
        reader = threading.Thread(target=lambda: gone.append(connection.wait_gone()), daemon=True)
        reader.start()
        with contextlib.suppress(h2.Gone):
            for sent in range(0, n * TIMES, 100):
                connection.send(b"".join(block(i) for i in range(sent, sent + 100)))
        reader.join(20 * SLOW)
        self.assertTrue(gone, "the service has kept the connection")

    def cut_short(self, words, n, block):
        """A flood that the guard ends, and says so."""
        def attack(connection):
            seen = len(self.said(words))
            self.flood(connection, n, block)
            wait_for(lambda: len(self.said(words)) > seen, what=f"a log line with '{words}'")
        self.both(attack)

    def said(self, words):
        return [e for e in self.service.events("connection.abuse") if words in e["message"]]

    # ---- HTTP/2 ----

    def test_rapid_reset(self):
        head = h2.call_headers(CHECK)
        self.cut_short("reset", 60000, lambda i: h2.frame(h2.HEADERS, h2.END_HEADERS, 2 * i + 1, head) +
                       h2.frame(h2.RST_STREAM, 0, 2 * i + 1, b"\0\0\0\x08"))

    def test_streams_that_the_service_must_reset(self):
        head = h2.call_headers(EXECUTE)  # a window update of nothing is an error of the stream
        self.both(lambda connection: self.flood(
            connection, 60000, lambda i: h2.frame(h2.HEADERS, h2.END_HEADERS, 2 * i + 1, head) +
            h2.frame(h2.WINDOW_UPDATE, 0, 2 * i + 1, bytes(4))))

    def test_floods_of_control_frames(self):
        for n, frame in ((200000, h2.frame(h2.PING, 0, 0, bytes(8))), (20000, h2.frame(h2.DATA, 0, 1)),
                         (200000, h2.frame(h2.SETTINGS, 0, 0, b"\0\4\0\0\xff\xff"))):
            # The guard ends it, or gRPC, for pings or acknowledgements that are not read: whoever is first.
            self.both(lambda connection, n=n, frame=frame: self.flood(connection, n, lambda i: frame))

    def test_a_header_block_without_end(self):
        for part, words in ((b"", "frames"), (b"\0\1a" + h2.number(16000, 7) + b"a" * 16000, "bytes")):
            def attack(connection):
                seen = len(self.said(words))
                connection.send(h2.frame(h2.HEADERS, 0, 1, h2.call_headers(CHECK)))
                self.flood(connection, 1000, lambda i: h2.frame(h2.CONTINUATION, 0, 1, part))
                wait_for(lambda: len(self.said(words)) > seen, what=f"a log line with '{words}'")
            self.both(attack)

    def test_headers_that_grow_when_they_are_unpacked(self):
        bomb = h2.call_headers(CHECK) + h2.indexed_literal(b"x", b"y" * 4000) + b"\xbe" * 12000  # 16 KiB that mean 48 MB
        again = h2.call_headers(CHECK) + b"\xbe" * 15000

        def attack(connection):
            self.flood(connection, 100, lambda i: h2.frame(h2.HEADERS, h2.END_HEADERS, 2 * i + 1, again if i else bomb))
        self.both(attack)

    def test_more_streams_than_allowed(self):
        head = h2.call_headers(EXECUTE)

        def attack(connection):
            # No acknowledgement of the service's settings: until then gRPC lets a peer have as many as he likes.
            connection.send(b"".join(h2.frame(h2.HEADERS, h2.END_HEADERS, 2 * i + 1, head) for i in range(1000)))
            refused = 0
            while refused < 900:
                refused += connection.read_frame()[0] == h2.HEADERS  # with the status, and nothing else
        self.both(attack)

    def test_one_peer_with_more_calls_than_its_share(self):
        calls = b"".join(h2.frame(h2.HEADERS, h2.END_HEADERS, 2 * i + 1, h2.call_headers(EXECUTE)) for i in range(100))
        with self.attacked(), contextlib.ExitStack() as kept:
            refused = 0
            for _ in range(21):  # 2,048 of 4,096 are one peer's
                connection = kept.enter_context(self.connection("tls"))
                connection.send(calls + h2.frame(h2.PING, 0, 0, bytes(8)))
                kind = None
                while kind != h2.PING:
                    kind = connection.read_frame()[0]
            while refused < 52:
                refused += connection.read_frame()[0] == h2.HEADERS
            other = self.certs.client(self.service, "other")
            self.assertEqual(other.run(argv=["/bin/true"]).verdict, "EXITED")
            other.close()

    def test_pings_without_need(self):
        def attack(connection):
            connection.send(h2.frame(h2.PING, 0, 0, bytes(8)) * 12)
            try:
                while True:
                    kind, _, _, payload = connection.read_frame()
                    if kind == h2.GOAWAY:
                        self.assertIn(b"too_many_pings", payload)
                        return
            except h2.Gone:
                self.fail("no GOAWAY")
        self.both(attack)

    def test_garbage(self):
        for garbage in (os.urandom(65536), b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 1000, h2.PREFACE + os.urandom(65536)):
            for door in ("unix", "tls"):
                with self.attacked(), self.connection(door, preface=False) as connection:
                    with contextlib.suppress(h2.Gone):
                        connection.send(garbage)
                    if garbage[:3] != h2.PREFACE[:3]:
                        connection.wait_gone()

    # ---- messages ----

    def test_many_large_messages_at_once(self):
        request = Client.request(argv=["/bin/true"], stdin_data=os.urandom(3900 << 10))
        for door in ("unix", "tls"):
            with self.subTest(door=door), self.attacked():
                client = self.certs.client(self.service) if door == "tls" else self.service.client()
                calls = [client.execute(request, timeout=60 * SLOW) for _ in range(40 * TIMES)]
                codes = set()
                for call in calls:
                    try:
                        kinds = [event.WhichOneof("event") for event in call]
                        self.assertEqual(kinds[-1], "result")
                    except grpc.RpcError as error:
                        codes.add(error.code().name)
                self.assertLessEqual(codes, {"RESOURCE_EXHAUSTED", "UNAVAILABLE", "INVALID_ARGUMENT"})
                client.close()

    def test_small_messages_faster_than_they_are_wanted(self):
        start = contract.InteractRequest(start=Client.request(argv=["/bin/sleep", "30"])).SerializeToString()
        small = h2.message(contract.InteractRequest(stdin_data=b"x").SerializeToString())

        def attack(connection):
            connection.send(h2.frame(h2.HEADERS, h2.END_HEADERS, 1, h2.call_headers(INTERACT)) +
                            h2.frame(h2.DATA, 0, 1, h2.message(start)))
            sent = h2.send_what_may_be_sent(connection, 1, small * 1500, 40 * TIMES << 20)
            self.assertLess(sent, 20 << 20)  # the program reads nothing, so in the end nobody takes more of it
        self.both(attack)

    def test_a_message_that_grows_when_it_is_unpacked(self):
        bomb = gzip.compress(bytes(100 << 20))

        def attack(connection):
            connection.send(h2.frame(h2.HEADERS, h2.END_HEADERS, 1,
                                     h2.call_headers(EXECUTE, ("grpc-encoding", "gzip"))))
            body = b"\1" + len(bomb).to_bytes(4, "big") + bomb
            with contextlib.suppress(h2.Gone):
                for at in range(0, min(len(body), 60000), 16000):
                    connection.send(h2.frame(h2.DATA, 0, 1, body[at:at + 16000]))
            while connection.read_frame()[:3:2] != (h2.HEADERS, 1):
                pass  # the status comes without the rest
        self.both(attack)
        client = self.service.client()
        call = client.channel.unary_unary(EXECUTE, request_serializer=None, response_deserializer=None)
        with self.attacked(), self.assertRaises(grpc.RpcError) as caught:
            call(bytes(100 << 20), timeout=30 * SLOW, compression=grpc.Compression.Gzip)
        self.assertEqual(caught.exception.code().name, "UNIMPLEMENTED")
        client.close()

    def test_what_is_too_large(self):
        client = self.service.client()
        with self.attacked():
            self.assertEqual(client.run(stdin_data=b"x" * (5 << 20), argv=["/bin/true"]).code, "RESOURCE_EXHAUSTED")
            client.metadata = [("x-large", "y" * (20 << 10))]
            self.assertEqual(client.run(argv=["/bin/true"]).code, "RESOURCE_EXHAUSTED")
            client.metadata = [("x-large", "y" * (200 << 10))]  # the guard ends the connection
            self.assertIn(client.run(argv=["/bin/true"]).code, ("UNAVAILABLE", "RESOURCE_EXHAUSTED"))
            client.metadata = []
            # Its library may not have seen yet that the connection is gone.
            wait_for(lambda: client.run(argv=["/bin/true"]).verdict == "EXITED", 5, "a run over a new connection")
        client.close()

    # ---- connections ----

    def test_those_who_say_nothing(self):
        hello = bytes.fromhex("1603010200010001fc0303")  # the beginning of a ClientHello
        address = ("127.0.0.1", self.certs.port(self.service))
        with self.attacked(), contextlib.ExitStack() as kept:
            for i in range(200):  # more than may shake hands at once
                stranger = kept.enter_context(socket.create_connection(address, 20 * SLOW))
                if i % 2:
                    stranger.sendall(hello)
            client = self.certs.client(self.service)
            self.assertEqual(client.run(argv=["/bin/true"]).verdict, "EXITED")
            client.close()
            kept.pop_all().close()
        with self.attacked(), contextlib.ExitStack() as kept:
            for _ in range(70):  # more than one identity may have
                with contextlib.suppress(OSError):
                    kept.enter_context(self.certs.connect(self.service))
            other = self.certs.client(self.service, "other")
            self.assertEqual(other.run(argv=["/bin/true"]).verdict, "EXITED")
            other.close()

    def test_a_user_who_connects_too_often(self):
        script = ("import os, socket, sys\nos.setgid(60001); os.setuid(60001)\nkept = []\nrefused = 0\n"
                  "for _ in range(100):\n    s = socket.socket(socket.AF_UNIX); s.settimeout(20); s.connect(sys.argv[1])\n"
                  "    try:\n        s.sendall(b'PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n' + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]))\n"
                  "        refused += not s.recv(1)\n    except OSError:\n        refused += 1\n    kept.append(s)\n"
                  "print(refused, flush=True); sys.stdin.read()\n")
        self.service.socket.parent.chmod(0o755)
        self.service.socket.chmod(0o666)
        try:
            with self.attacked():
                user = subprocess.Popen([sys.executable, "-c", script, self.service.socket], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
                self.assertEqual(user.stdout.readline(), "36\n")  # of 64
                client = self.service.client()
                self.assertEqual(client.run(argv=["/bin/true"]).verdict, "EXITED")
                client.close()
                user.communicate()
        finally:
            self.service.socket.parent.chmod(0o750)
            self.service.socket.chmod(0o660)


class FewDescriptors(unittest.TestCase):
    def test_none_is_left(self):
        certs = Certs()
        service = Service({"execsvc": certs.settings(), "spawner": {"slots_max": 4}})
        service.before_exec = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
        with service, contextlib.ExitStack() as kept:
            pid = service.pids()[1]
            client, secure = service.client(), certs.client(service)
            waiting = client.interact(argv=["/bin/sh", "-c", "echo begun; read line; echo $line"])
            waiting.expect("begun")
            for _ in range(300):
                for where in (str(service.socket), ("127.0.0.1", certs.port(service))):
                    silent = kept.enter_context(socket.socket(socket.AF_UNIX if isinstance(where, str) else socket.AF_INET))
                    silent.setblocking(False)
                    silent.connect_ex(where)
            wait_for(lambda: len(os.listdir(f"/proc/{pid}/fd")) > 250, 10, "the last descriptor")
            time.sleep(1)
            kept.pop_all().close()
            for one in (client, secure, service.client(), certs.client(service)):
                wait_for(lambda: one.run(argv=["/bin/true"]).verdict == "EXITED", 20, "an answer")
                if one is not client:
                    one.close()
            waiting.type("well\n")
            run = waiting.end()
            self.assertEqual((run.verdict, run.stdout), ("EXITED", b"begun\nwell\n"), run)
            client.close()
            self.assertEqual(service.pids()[1], pid)
        certs.close()


class Restart(unittest.TestCase):
    """What cannot be fended off ends the process, and its supervisor starts it again."""

    def test_too_much_memory(self):
        with Service({"execsvc": {"memory_max": "40M", "running_max": 1, "queue_per_tenant": 40, "drain": "20s"}}) as service:
            pid = service.pids()[1]
            client, waiting = service.client(), service.client()
            running = waiting.interact(argv=["/bin/sh", "-c", "echo begun; read line; echo $line"])
            running.expect("begun")
            request = Client.request(argv=["/bin/true"], files={"data": os.urandom(1000 << 10)})
            calls = [client.execute(request, timeout=60 * SLOW) for _ in range(40)]  # they wait, and hold their requests
            wait_for(lambda: service.events("memory.too_much"), 20, "the watch on memory")
            running.type("well\n")  # what runs may end
            run = running.end()
            self.assertEqual((run.verdict, run.stdout), ("EXITED", b"begun\nwell\n"), run)
            for call in calls:
                with self.assertRaises(grpc.RpcError) as caught:
                    for event in call:
                        self.assertNotEqual(event.WhichOneof("event"), "result")
                self.assertEqual(caught.exception.code().name, "UNAVAILABLE")
            service.wait_ready(2)
            self.assertNotEqual(service.pids()[1], pid)
            client.close()
            waiting.close()

    def back(self, service, break_it):
        times = len(service.events("service.ready"))
        break_it()
        service.wait_ready(times + 1)
        self.assertEqual(len(service.events("supervisor.silent")), times)
        client = service.client()
        self.assertEqual(client.run(argv=["/bin/echo", "again"]).stdout, b"again\n")
        client.close()

    def test_a_service_that_does_not_answer(self):
        with Service({"spawner": {"watchdog": "2s"}}) as service:
            time.sleep(3)  # longer than the watchdog's patience: it answers, and nothing happens
            self.assertFalse(service.events("supervisor.silent"))
            self.back(service, lambda: os.kill(service.pids()[1], signal.SIGSTOP))
            self.back(service, service.socket.unlink)  # alive, and nobody finds it


if __name__ == "__main__":
    need_root()
    unittest.main(verbosity=2)
