"""Certificates and TCP for tests of the service.

    certs = Certs(allowed=["dns:client.test"])
    with Service(settings={"execsvc": certs.settings()}) as service:
        client = certs.client(service)              # a service.Client over TCP
        certs.issue("client", "other", "DNS:other.test")
"""

import shutil
import socket
import ssl
import subprocess
import tempfile
from pathlib import Path

import grpc

from service import SLOW, SOURCE, Client, wait_for


class Certs:
    def __init__(self, allowed=("dns:client.test",), owner=1900065536):  # execsvc without an account of its own
        self.directory = Path(tempfile.mkdtemp(prefix="cloister-tls-"))
        self.directory.chmod(0o755)
        self.allowed, self.owner = allowed, owner
        self._script()

    def _script(self, *words):
        subprocess.run([SOURCE / "deploy" / "certs.sh", self.directory, *words], check=True, timeout=60)
        for key in self.directory.glob("*.key"):
            shutil.chown(key, self.owner)

    def path(self, name):
        return self.directory / name

    def issue(self, use, name, *sans):
        self._script(use, name, *sans)

    def expired(self, name, san):
        """A certificate that ended yesterday."""
        openssl = ["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=x",
                   "-keyout", self.path(name + ".key"), "-out", self.path("csr"), "-addext", f"subjectAltName={san}"]
        subprocess.run(openssl, check=True, capture_output=True, timeout=60)
        subprocess.run(["openssl", "x509", "-req", "-in", self.path("csr"), "-CA", self.path("ca.pem"), "-CAkey",
                        self.path("ca.key"), "-copy_extensions", "copy", "-days", "-1", "-out", self.path(name + ".pem")],
                       check=True, capture_output=True, timeout=60)

    def settings(self, **more):
        return {"tls_listen": "127.0.0.1:0", "tls_certificate": self.path("server.pem"), "tls_key": self.path("server.key"),
                "tls_client_ca": self.path("ca.pem"), "tls_allowed": " ".join(self.allowed), **more}

    @staticmethod
    def port(service):
        return wait_for(lambda: service.events("tls.listening"), what="TCP")[-1]["port"]

    def credentials(self, name="client", ca="ca"):
        return grpc.ssl_channel_credentials(self.path(ca + ".pem").read_bytes(), self.path(name + ".key").read_bytes(),
                                            self.path(name + ".pem").read_bytes())

    def client(self, service, name="client", **options):
        client = Client(service.socket, **options)
        client.channel.close()
        client.channel = grpc.secure_channel(f"localhost:{self.port(service)}", self.credentials(name),
                                             options=[("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0)])
        return client

    def context(self, name="client", alpn=("h2",)):
        context = ssl.create_default_context(cafile=self.path("ca.pem"))
        if name:
            context.load_cert_chain(self.path(name + ".pem"), self.path(name + ".key"))
        if alpn:
            context.set_alpn_protocols(list(alpn))
        return context

    def connect(self, service, context=None, timeout=20):
        """A bare TLS connection."""
        raw = socket.create_connection(("127.0.0.1", self.port(service)), timeout * SLOW)
        try:
            return (context or self.context()).wrap_socket(raw, server_hostname="localhost")
        except BaseException:
            raw.close()
            raise

    def close(self):
        shutil.rmtree(self.directory, ignore_errors=True)
