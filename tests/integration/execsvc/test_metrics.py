"""What execsvc tells Prometheus: well formed, true, bounded, and on this machine alone."""

import re
import socket
import subprocess
import sys
import unittest

from common import BUILD, SLOW, SOURCE, Service, ServiceTest, contract, main, wait_for
import prom  # after common, which knows where it is


DENY = 2  # Policy.Subprocess


def http(port, request, size=1 << 20):
    with socket.create_connection(("127.0.0.1", port), 10 * SLOW) as s:
        s.sendall(request)
        data = b""
        while len(data) < size:
            try:
                piece = s.recv(65536)
            except ConnectionResetError:  # it had not read all that was said
                piece = b""
            if not piece:
                break
            data += piece
        return data


class Metrics(ServiceTest):
    settings = {"execsvc": {"running_max": 1, "queue_per_tenant": 2, "queue_max": 50}}

    maxDiff = None

    def setUp(self):
        """What an earlier test dropped is over: its end would count in this one."""
        super().setUp()

        def quiet():
            metrics = self.service.metrics()
            return metrics["execsvc_calls_active"] == 0 and \
                sum(n for name, n in metrics.items() if name.startswith("execsvc_runs_active{")) == 0
        wait_for(quiet, 20, "quiet")

    def port(self):
        return self.service.events("metrics.listening")[-1]["metrics_port"]

    def difference(self, before, wanted):
        """Until all of `wanted` (name -> increase) is seen; a call's end is counted a moment after its client sees it."""
        def seen():
            after = self.service.metrics()
            self.found = {name: after.get(name, 0) - before.get(name, 0) for name in wanted}
            return self.found == wanted
        try:
            wait_for(seen, 5)
        except AssertionError:
            self.assertEqual(self.found, wanted)

    def test_the_text_is_well_formed_and_the_manual_has_all_of_it(self):
        self.python("print(1)")
        self.client.run(runtime="no-such")
        self.service.metrics()
        families = set(prom.parse(self.service.metrics_text))
        manual = (SOURCE / "docs" / "OPERATIONS.md").read_text()
        self.assertEqual(set(re.findall(r"`((?:execsvc|process)_[a-z_]+)`", manual)), families)

    def test_runs_are_counted_by_verdict_runtime_and_start(self):
        before = self.service.metrics()
        for _ in range(3):
            self.assertVerdict(self.python("print(1)"), "EXITED", 0)
        self.assertVerdict(self.python("while 1: pass", limits={"cpu_ms": 1000}), "CPU_TIME_LIMIT")
        self.assertVerdict(self.client.run(argv=["/bin/true"]), "EXITED", 0)
        self.assertEqual(self.client.run(runtime="c", files={"a.c": "int main( {"}).verdict, "COMPILE_FAILED")
        self.difference(before, {
            'execsvc_runs_total{verdict="EXITED",runtime="python3",start="cold"}': 3,
            'execsvc_runs_total{verdict="CPU_TIME_LIMIT",runtime="python3",start="cold"}': 1,
            'execsvc_runs_total{verdict="EXITED",runtime="",start="cold"}': 1,
            'execsvc_runs_total{verdict="COMPILE_FAILED",runtime="c",start="cold"}': 1,
            'execsvc_runs_total{verdict="INTERNAL",runtime="python3",start="cold"}': 0,
            'execsvc_runs_accepted_total': 6,
            'execsvc_limit_hits_total{limit="cpu"}': 1,
            'execsvc_run_step_seconds_count{step="total",start="cold"}': 6,
            'execsvc_run_step_seconds_count{step="run",start="cold"}': 6,
            'execsvc_queue_wait_seconds_count{class="interactive"}': 6,
            'execsvc_calls_total{method="cloister.exec.v1.Execution/Execute",code="OK"}': 6,
        })

    def test_refusals_and_dropped_output_are_counted(self):
        before = self.service.metrics()
        run = self.python("import os\ntry: os.system('true')\nexcept OSError: pass\nprint('x' * 100000)", subprocess=DENY,
                          limits={"output_bytes": 65536})
        self.assertEqual(run.exit_code, 0, run)
        refused = sum(refusal.count for refusal in run.result.refusals if refusal.operation == "subprocess")
        self.assertGreaterEqual(refused, 1)
        self.difference(before, {'execsvc_refusals_total{operation="subprocess"}': refused,
                                 'execsvc_limit_hits_total{limit="output"}': 1,
                                 'execsvc_output_dropped_bytes_total': 100001 - 65536})

    def test_refused_requests_are_counted_by_reason(self):
        before = self.service.metrics()
        self.assertEqual(self.client.run(runtime="no-such").code, "NOT_FOUND")
        self.assertEqual(self.client.run(argv=["/bin/true"], env={"A=B": "c"}).code, "INVALID_ARGUMENT")
        holder = self.client.interact(argv=["/bin/sh", "-c", "echo up; read x"])
        holder.expect("up")
        waiting = [self.client.interact(argv=["/bin/true"]) for _ in range(2)]
        for call in waiting:
            call.wait(lambda run: run.queued)
        now = self.service.metrics()
        self.assertEqual((now["execsvc_queue_depth"], now["execsvc_permits_used"]), (2, 1))
        self.assertEqual((now['execsvc_runs_active{state="queued"}'], now['execsvc_runs_active{state="running"}']), (2, 1))
        self.assertGreaterEqual(now["execsvc_memory_committed_bytes"], 1 << 20)
        self.assertEqual(now["execsvc_tenants"], 1)
        self.assertEqual(self.client.run(argv=["/bin/true"]).details["reason"], "TENANT_QUEUE_FULL")
        for call in waiting + [holder]:
            call.drop()
        self.difference(before, {
            'execsvc_requests_refused_total{reason="NO_SUCH_RUNTIME"}': 1,
            'execsvc_requests_refused_total{reason="TENANT_QUEUE_FULL"}': 1,
            'execsvc_calls_total{method="cloister.exec.v1.Execution/Execute",code="NOT_FOUND"}': 1,
            'execsvc_calls_total{method="cloister.exec.v1.Execution/Interact",code="CANCELLED"}': 3,
        })

    def test_methods_that_do_not_exist_make_one_series(self):
        before = self.service.metrics()
        for i in range(5):
            call = self.client.channel.unary_unary(f"/no.such.Service/Method{i}")
            with self.assertRaises(Exception):
                call(b"", timeout=5 * SLOW)
        self.difference(before, {'execsvc_calls_total{method="none",code="UNIMPLEMENTED"}': 5})
        self.assertNotIn("no.such", self.service.metrics_text)

    def test_nothing_but_get_metrics_is_answered(self):
        self.assertTrue(http(self.port(), b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").startswith(b"HTTP/1.1 200 OK\r\n"))
        self.assertTrue(http(self.port(), b"GET / HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 404 "))
        self.assertTrue(http(self.port(), b"POST /metrics HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 405 "))
        self.assertTrue(http(self.port(), b"GET http://x/ HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 400 "))
        self.assertEqual(http(self.port(), b"x" * 5000), b"")

    def test_silent_clients_hold_up_nobody(self):
        silent = [socket.create_connection(("127.0.0.1", self.port())) for _ in range(8)]
        try:
            wait_for(self.scrape, 20, "room for an honest client")
            self.assertVerdict(self.python("print(1)"), "EXITED", 0)
        finally:
            for s in silent:
                s.close()

    def scrape(self):
        try:
            return self.service.metrics()
        except OSError:
            return None


class NodeMemory(unittest.TestCase):
    def test_a_run_that_the_nodes_cap_ended_is_counted_and_one_that_its_own_limit_ended_is_not(self):
        with Service({"spawner": {"memory": "300M"}}) as service:
            client = service.client()

            def eat(mib, limit):
                return client.run(runtime="python3", files={"a.py": f"x = bytearray({mib} << 20)\nprint(len(x))"},
                                  limits={"memory_bytes": limit << 20})

            def count():
                metrics = service.metrics()
                stats = client.unary("Node/Stats", contract.StatsRequest(), contract.NodeStats)
                self.assertEqual(stats.oom_kills, metrics["execsvc_node_out_of_memory_total"])
                return stats.oom_kills
            self.assertEqual(eat(200, 64).verdict, "MEMORY_LIMIT")
            self.assertEqual(count(), 0)
            run = eat(600, 1000)
            self.assertEqual((run.verdict, run.code), ("INTERNAL", "INTERNAL"), run)
            self.assertEqual(count(), 1)
            wait_for(lambda: service.metrics()["execsvc_oom_kills_total"] >= 2, 10, "the kernel's count")
            metrics = service.metrics()
            self.assertEqual(metrics["execsvc_node_memory_limit_bytes"], 300 << 20)
            self.assertEqual(metrics['execsvc_runs_total{verdict="INTERNAL",runtime="python3",start="cold"}'], 1)
            client.close()


class Addresses(unittest.TestCase):
    def check(self, value):
        return subprocess.run([BUILD / "bin" / "execsvc", "--set", f"metrics={value}", "--check-config"],
                              capture_output=True, text=True, timeout=20 * SLOW)

    def test_only_loopback_addresses_are_taken(self):
        for value in ("off", "127.0.0.1:9465", "127.1.2.3:0", "[::1]:9465", "::1:9465"):
            self.assertEqual(self.check(value).returncode, 0, value)
        for value, words in (("0.0.0.0:9465", "not a loopback address"), ("[::]:1", "not a loopback address"),
                             ("localhost:1", "not a numeric address"), ("127.0.0.1", "ADDRESS:PORT"),
                             ("127.0.0.1:70000", "ADDRESS:PORT"), ("", "ADDRESS:PORT")):
            done = self.check(value)
            self.assertEqual(done.returncode, 2, value)
            self.assertIn(words, done.stderr)

    def test_a_port_in_use_does_not_keep_the_service_from_serving(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            with Service({"execsvc": {"metrics": f"127.0.0.1:{taken.getsockname()[1]}"}}) as service:
                self.assertIn("in use", service.events("metrics.failed")[0]["message"])
                client = service.client()
                self.assertEqual(client.run(argv=["/bin/true"]).verdict, "EXITED")
                client.close()

    def test_off_is_off(self):
        with Service({"execsvc": {"metrics": "off"}}) as service:
            self.assertEqual(service.events("metrics.listening"), [])


if __name__ == "__main__":
    sys.exit(main())
