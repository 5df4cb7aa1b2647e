"""TCP: only TLS 1.3, only certificates of the operator's CA, only names on his list; what they may then do."""

import os
import socket
import ssl
import subprocess
import time
import unittest

import grpc

from common import BUILD, SLOW, Service, ServiceTest, main, wait_for
from tls import Certs

ALLOWED = ("dns:client.test", "dns:gateway.test", "uri:spiffe://test/gateway")
ACTS = '[identity "dns:gateway.test"]\nact_for = school/\n[identity "uri:spiffe://test/gateway"]\nact_for = *\n'


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])


def refused(certs, service, context):
    """The connection brings nothing: no byte of HTTP/2 is answered. With TLS 1.3 a client learns it from its first read."""
    try:
        with certs.connect(service, context) as connection:
            connection.sendall(PREFACE)
            return connection.recv(1) == b""
    except (ssl.SSLError, ConnectionError):
        return True


class Tls(ServiceTest):
    text = ACTS

    @classmethod
    def setUpClass(cls):
        cls.certs = Certs(ALLOWED)
        cls.certs.issue("client", "gateway", "DNS:gateway.test")
        cls.certs.issue("client", "spiffe", "URI:spiffe://test/gateway")
        cls.settings = {"execsvc": cls.certs.settings()}
        super().setUpClass()

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        cls.certs.close()

    def refusals(self, words):
        return [e for e in self.service.events("tls.refused") if words in e["message"]]

    def assertRefused(self, context, words):
        def said():
            self.assertTrue(refused(self.certs, self.service, context))
            time.sleep(0.2)
            return self.refusals(words)
        wait_for(said, what=f"a log line with '{words}'")  # at most five refusals a second are logged
        run = self.client.run(argv=["/bin/echo", "well"])
        self.assertEqual(run.stdout, b"well\n", run)

    def tenant(self, client):
        return client.unary("Node/Info", self.contract("NodeInfoRequest")(), self.contract("NodeInfo")).tenant

    @staticmethod
    def contract(name):
        from common import contract
        return contract.message("cloister.exec.v1." + name)

    def test_the_name_of_the_certificate_is_the_identity(self):
        for name, identity in (("client", "dns:client.test"), ("spiffe", "uri:spiffe://test/gateway")):
            client = self.certs.client(self.service, name)
            self.assertEqual(self.tenant(client), identity)
            run = client.run(runtime="python3", files={"a.py": "print('over', 'tcp')"})
            self.assertEqual((run.verdict, run.stdout), ("EXITED", b"over tcp\n"), run)
            client.close()

    def test_the_first_name_that_is_on_the_list_counts(self):
        self.certs.issue("client", "many", "DNS:*.test", "DNS:nobody.test", "DNS:CLIENT.test", "DNS:gateway.test")
        client = self.certs.client(self.service, "many")
        self.assertEqual(self.tenant(client), "dns:client.test")
        client.close()

    def test_a_subject_needs_act_for_as_on_the_socket(self):
        for name, subject, code in (("client", "school/ann", "PERMISSION_DENIED"), ("gateway", "school/ann", "OK"),
                                    ("gateway", "other/ann", "PERMISSION_DENIED"), ("spiffe", "anybody", "OK")):
            client = self.certs.client(self.service, name, subject=subject)
            run = client.run(argv=["/bin/true"])
            self.assertEqual(run.code, code, (name, subject, run))
            client.close()

    def test_much_data_goes_through_whole(self):
        client = self.certs.client(self.service)
        call = client.interact(runtime="bash", files={"a.sh": "cat"}, limits={"output_bytes": 32 << 20})
        block = os.urandom(48 << 10)
        for _ in range(64):
            call.type(block)
        call.say(close_stdin=True)
        run = call.end(60)
        self.assertEqual((run.verdict, len(run.stdout)), ("EXITED", 64 * len(block)), run.error)
        self.assertEqual(run.stdout, block * 64)
        client.close()

    def cli(self, *words, name="client"):
        env = {"CLOISTER_CA": self.certs.path("ca.pem"), "CLOISTER_CERT": self.certs.path(name + ".pem"),
               "CLOISTER_KEY": self.certs.path(name + ".key")}
        return subprocess.run([BUILD / "bin" / "cloister", *words], env={**os.environ, **env}, capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=60 * SLOW)

    def test_the_command_line(self):
        where = ("--connect", f"127.0.0.1:{self.certs.port(self.service)}")  # a name would leak 10 bytes of c-ares
        done = self.cli("run", *where, "--command", "--", "/bin/echo", "there")
        self.assertEqual((done.returncode, done.stdout), (0, "there\n"), done)
        done = self.cli("node", *where)
        self.assertEqual(done.returncode, 0, done)
        self.assertIn("you are dns:client.test", done.stdout)
        self.certs.issue("client", "unlisted", "DNS:unlisted.test")
        done = self.cli("node", *where, name="unlisted")
        self.assertEqual(done.returncode, 125, done)
        self.assertIn("tls_allowed", done.stderr)
        done = self.cli("node", *where, "--ca", "/nowhere")
        self.assertEqual(done.returncode, 125, done)
        self.assertIn("/nowhere", done.stderr)

    def test_no_certificate(self):
        self.assertRefused(self.certs.context(None), "peer did not return a certificate")

    def test_a_certificate_of_another_ca(self):
        other = Certs()
        try:
            context = self.certs.context(None)
            context.load_cert_chain(other.path("client.pem"), other.path("client.key"))
            self.assertRefused(context, "certificate verify failed")
        finally:
            other.close()

    def test_an_expired_certificate(self):
        self.certs.expired("old", "DNS:client.test")
        self.assertRefused(self.certs.context("old"), "certificate verify failed")

    def test_a_certificate_for_servers(self):
        self.certs.issue("server", "wrong", "DNS:client.test")
        self.assertRefused(self.certs.context("wrong"), "certificate verify failed")

    def test_a_name_that_is_not_on_the_list(self):
        self.certs.issue("client", "stranger", "DNS:client.test.evil", "DNS:*.test", "URI:dns:client.test")
        self.assertRefused(self.certs.context("stranger"), "tls_allowed")
        stranger = self.certs.client(self.service, "stranger")
        self.assertEqual(stranger.run(argv=["/bin/true"]).code, "UNAVAILABLE")
        stranger.close()

    def test_the_common_name_counts_for_nothing(self):
        self.certs.issue("client", "dns:client.test", "DNS:nobody.test")  # its first word becomes the CN
        self.assertRefused(self.certs.context("dns:client.test"), "tls_allowed")

    def test_tls_1_2(self):
        context = self.certs.context()
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        self.assertRefused(context, "unsupported protocol")

    def test_no_alpn_and_another(self):
        self.assertRefused(self.certs.context(alpn=()), "no ALPN")
        self.assertRefused(self.certs.context(alpn=("http/1.1",)), "no application protocol")

    def test_plain_text(self):
        with socket.create_connection(("127.0.0.1", self.certs.port(self.service)), 20) as plain:
            plain.sendall(b"GET / HTTP/1.1\r\n\r\n")
            try:
                answer = plain.recv(100)
            except ConnectionError:
                answer = b""
            self.assertNotIn(b"HTTP", answer)
        insecure = grpc.insecure_channel(f"127.0.0.1:{self.certs.port(self.service)}")
        with self.assertRaises(grpc.FutureTimeoutError):
            grpc.channel_ready_future(insecure).result(1)
        insecure.close()


class Settings(unittest.TestCase):
    """What is refused before anything listens."""

    @classmethod
    def setUpClass(cls):
        cls.certs = Certs()

    @classmethod
    def tearDownClass(cls):
        cls.certs.close()

    def check(self, words, **settings):
        service = Service({"execsvc": self.certs.settings(**settings)})
        try:
            done = subprocess.run([BUILD / "bin" / "execsvc", "--check-config", "--config", service.config], capture_output=True,
                                  text=True, timeout=20 * SLOW)
            self.assertEqual(done.returncode, 2 if words else 0, done)
            self.assertIn(words, done.stderr)
        finally:
            service.discard()

    def test_half_of_it_is_refused(self):
        self.check("")
        self.check("no TCP without TLS", tls_certificate="")
        self.check("no TCP without TLS", tls_key="")
        self.check("no TCP without TLS", tls_client_ca="")
        self.check("nobody who may connect", tls_allowed="")
        self.check("dns:NAME or uri:URI", tls_allowed="client.test")
        self.check("dns:NAME or uri:URI", tls_allowed="dns:*.test")
        self.check("numeric address", tls_listen="localhost:7443")
        self.check("ADDRESS:PORT", tls_listen="127.0.0.1")

    def test_a_key_that_others_may_read_is_refused(self):
        self.certs.path("server.key").chmod(0o640)
        service = Service({"execsvc": self.certs.settings()})
        try:
            service.wait_ready = lambda: wait_for(lambda: "only its owner may read" in service.text(), 20, "the refusal")
            service.start()
            self.assertFalse(service.events("tls.listening"))
        finally:
            self.certs.path("server.key").chmod(0o600)
            service.stop()
            service.discard()

    def test_certificates_are_read_again_without_a_restart(self):
        with Service({"execsvc": self.certs.settings()}) as service:
            def serial():
                with self.certs.connect(service) as connection:
                    return connection.getpeercert()["serialNumber"]

            def again(what, event, n):
                time.sleep(1.1)  # files are looked at once a second
                self.assertIsNotNone(serial())
                return wait_for(lambda: len(service.events(event)) == n, what=what)
            client = self.certs.client(service)
            call = client.interact(argv=["/bin/cat"])
            call.say(stdin_data=b"before ")
            call.expect("before")
            first = serial()
            self.certs.issue("server", "server", "DNS:localhost", "IP:127.0.0.1")
            again("a reload", "tls.reloaded", 1)
            second = serial()
            self.assertNotEqual(first, second)
            self.certs.path("server.key").write_text("broken")
            again("a refused reload", "tls.reload_failed", 1)
            again("and no second line of it", "tls.reload_failed", 1)
            self.assertEqual(serial(), second)
            call.say(stdin_data=b"after")  # what was connected goes on
            call.say(close_stdin=True)
            self.assertEqual(call.end().stdout, b"before after")
            client.close()
            pid = service.pids()[1]
            self.certs.issue("server", "server", "DNS:localhost", "IP:127.0.0.1")
            os.kill(pid, 1)  # SIGHUP: at once
            wait_for(lambda: len(service.events("tls.reloaded")) == 2, what="a reload by signal")
            self.assertNotEqual(serial(), second)


class Limits(unittest.TestCase):
    def test_connections_per_identity_and_in_all(self):
        certs = Certs(("dns:client.test", "dns:b.test", "dns:c.test"))
        for name in "bc":
            certs.issue("client", name, f"DNS:{name}.test")
        settings = certs.settings(tls_connections_max=3, tls_connections_per_identity_max=2, tls_handshake="1s")
        with Service({"execsvc": settings}) as service:
            def taken(name):
                connection = certs.connect(service, certs.context(name))
                try:
                    connection.sendall(PREFACE)
                    if connection.recv(1):
                        return connection
                except (ssl.SSLError, ConnectionError):
                    pass
                connection.close()
                return None
            kept = [taken("client"), taken("client")]
            self.assertTrue(all(kept))
            self.assertIsNone(taken("client"))
            kept.append(taken("b"))
            self.assertIsNotNone(kept[-1])
            self.assertIsNone(taken("c"))
            local = service.client()  # the socket has a count of its own
            self.assertEqual(local.run(argv=["/bin/true"]).verdict, "EXITED")
            local.close()
            for connection in kept:
                connection.close()
            wait_for(lambda: taken("c"), what="room again").close()
            silent = [socket.create_connection(("127.0.0.1", certs.port(service)), 20 * SLOW) for _ in range(3)]
            for connection in silent:
                self.assertEqual(connection.recv(1), b"")  # ended before the handshake
                connection.close()
            with certs.connect(service) as connection:
                while connection.recv(4096):  # and after it: gRPC's own preface, then the end
                    pass
        certs.close()


if __name__ == "__main__":
    main()
