"""Clients that vanish, a service and a spawner that are killed, a drain: nothing is left, and it answers again."""

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

from common import SLOW, Service, alive, contract, main, wait_for

SLEEPERS = "import subprocess, time\nps = [subprocess.Popen(['sleep', '60']) for _ in range(3)]\nprint('up', flush=True)\ntime.sleep(60)\n"


class Life(unittest.TestCase):
    def start(self, client, n):
        calls = [client.interact(runtime="python3", files={"a.py": SLEEPERS}) for _ in range(n)]
        for call in calls:
            call.expect("up", 20)
        return calls

    def test_a_client_that_is_killed_takes_its_sandbox_along(self):
        with Service() as service:
            client = subprocess.Popen([sys.executable, "-c", (
                f"import sys; sys.path.insert(0, {str(os.path.dirname(os.path.abspath(__file__)))!r})\n"
                "from common import Client\n"
                f"call = Client({str(service.socket)!r}).interact(runtime='python3', files={{'a.py': {SLEEPERS!r}}})\n"
                "call.expect('up', 20)\nprint('running', flush=True)\ncall.end(60)\n")], stdout=subprocess.PIPE)
            self.assertEqual(client.stdout.readline(), b"running\n")
            self.assertGreaterEqual(len(service.sandbox_processes()), 5)
            client.kill()
            client.wait()
            wait_for(lambda: not service.sandbox_processes(), 5, "the end of the sandbox")
            client.stdout.close()
            ended = wait_for(lambda: service.events("run.ended"), what="the log's word of it")
            self.assertEqual(ended[-1]["verdict"], "CANCELLED")

    def restarted(self, service, times, pids):
        service.wait_ready(times)
        self.assertFalse([pid for pid in pids if alive(pid)])
        new = service.client()
        run = new.run(runtime="python3", files={"a.py": "print('again')"})
        new.close()
        self.assertEqual((run.verdict, run.stdout), ("EXITED", b"again\n"), run)

    def kill_in_the_middle(self, which):
        with Service({"execsvc": {"running_max": 20}}) as service:
            client = service.client()
            calls = self.start(client, 20)
            pids = service.processes()
            self.assertGreaterEqual(len(pids), 100)
            begun = time.monotonic()
            os.kill(service.pids()[which], signal.SIGKILL)
            for call in calls:
                run = call.end()
                self.assertIsNone(run.result)
                self.assertIn(run.code, ("UNAVAILABLE", "CANCELLED", "INTERNAL"))
            client.close()
            self.restarted(service, 2, pids)
            self.assertLess(time.monotonic() - begun, 10 * SLOW)
            os.kill(service.pids()[which], signal.SIGKILL)  # and once more, while nothing runs
            self.restarted(service, 3, [])

    def test_execsvc_is_killed_in_the_middle_of_twenty_runs(self):
        self.kill_in_the_middle(1)

    def test_the_inner_spawner_is_killed_in_the_middle_of_twenty_runs(self):
        self.kill_in_the_middle(0)

    def test_who_supervises_the_supervisor_is_told_when_it_is_ready_and_when_it_ends(self):
        for watchdog in ("15s", "0"):
            with self.subTest(watchdog=watchdog), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
                ear.bind("")  # an abstract name of the kernel's choice
                ear.settimeout(20 * SLOW)
                name = "@" + ear.getsockname()[1:].decode()
                with Service({"spawner": {"watchdog": watchdog}}, env={"NOTIFY_SOCKET": name}) as service:
                    self.assertEqual(ear.recv(100), b"READY=1")
                    environment = [Path(f"/proc/{pid}/environ").read_bytes() for pid in service.pids()]
                    self.assertFalse([e for e in environment if b"NOTIFY_SOCKET" in e])
                    os.kill(service.pids()[1], signal.SIGKILL)
                    service.wait_ready(2)
                    self.assertEqual(ear.recv(100), b"READY=1")
                self.assertEqual(ear.recv(100), b"STOPPING=1")

    def test_sigterm_lets_what_runs_end_and_takes_nothing_new(self):
        with Service({"execsvc": {"running_max": 1, "drain": "10s"}}) as service:
            client = service.client()
            running = client.interact(argv=["/bin/sh", "-c", "echo begun; read x; echo ended"])
            running.expect("begun")
            waiting = client.interact(argv=["/bin/true"])
            waiting.wait(lambda run: run.queued)
            stopper = threading.Thread(target=service.stop)
            stopper.start()
            run = waiting.end()
            self.assertEqual((run.code, run.details.get("reason")), ("UNAVAILABLE", "DRAINING"))
            running.wait(lambda run: run.notices)
            self.assertEqual(running.run.notices[0].kind, 2)
            self.assertEqual(client.run(argv=["/bin/true"]).code, "UNAVAILABLE")
            running.type("\n")
            run = running.end()
            self.assertEqual((run.verdict, run.stdout), ("EXITED", b"begun\nended\n"))
            begun = time.monotonic()
            stopper.join()
            self.assertLess(time.monotonic() - begun, 5 * SLOW)
            client.close()

    def test_a_drain_is_seen_before_it_is_over(self):
        with Service({"execsvc": {"drain": "60s"}}) as service:
            client, watcher = service.client(), service.client()
            health = watcher.channel.unary_stream(
                "/grpc.health.v1.Health/Watch", request_serializer=lambda m: m.SerializeToString(),
                response_deserializer=contract.message("grpc.health.v1.HealthCheckResponse").FromString)
            watch = health(contract.message("grpc.health.v1.HealthCheckRequest")(service="cloister.exec.v1.Execution"),
                           timeout=60 * SLOW)
            self.assertEqual(next(watch).status, 1)
            call = self.start(client, 1)[0]
            service.process.send_signal(signal.SIGTERM)
            self.assertEqual(next(watch).status, 2)  # NOT_SERVING, while the run goes on
            call.wait(lambda run: run.notices)
            self.assertGreater(call.run.notices[0].remaining_ms, 30000)
            self.assertFalse(client.serving())
            metrics = service.metrics()
            self.assertEqual((metrics["execsvc_draining"], metrics["execsvc_ready"]), (1, 0))
            stats = client.unary("Node/Stats", contract.StatsRequest(), contract.NodeStats)
            self.assertEqual((stats.draining, stats.running), (True, 1))
            self.assertEqual(client.run(argv=["/bin/true"]).details["reason"], "DRAINING")
            begun = time.monotonic()
            os.kill(service.pids()[1], signal.SIGTERM)  # asked twice: now
            self.assertEqual(call.end().code, "UNAVAILABLE")
            service.process.wait(20 * SLOW)
            self.assertLess(time.monotonic() - begun, 20 * SLOW)
            watch.cancel()
            watcher.close()
            client.close()

    def test_a_drain_ends_what_does_not_end_by_itself(self):
        with Service({"execsvc": {"drain": "1s"}}) as service:
            client = service.client()
            calls = self.start(client, 2)
            begun = time.monotonic()
            service.stop()
            self.assertLess(time.monotonic() - begun, 8 * SLOW)
            for call in calls:
                self.assertEqual(call.end().code, "UNAVAILABLE")
            client.close()

    def test_a_client_that_takes_no_files_keeps_neither_permit_nor_sandbox(self):
        with Service({"execsvc": {"running_max": 1, "stall": "1s"}}) as service:
            client, other = service.client(), service.client()
            request = client.request(runtime="python3", collect={"max_bytes": 100 << 20},
                                     limits={"workspace_bytes": 100 << 20, "file_size_bytes": 100 << 20,
                                             "memory_bytes": 256 << 20},
                                     files={"a.py": "open('big', 'wb').write(bytes(60 << 20))"})
            call = client.execute(request)
            self.assertEqual(next(call).WhichOneof("event"), "started")
            run = other.run(argv=["/bin/echo", "mine"])  # waits until the first has no permit any more
            self.assertEqual(run.stdout, b"mine\n", run)
            wait_for(lambda: service.events("run.stalled"), what="the stall")
            wait_for(lambda: not service.sandbox_processes(), what="the end of the sandbox")
            call.cancel()
            client.close()
            other.close()

    def test_clients_that_come_and_go_leave_no_descriptor_behind(self):
        with Service({"execsvc": {"running_max": 4}}) as service:
            pid = service.pids()[1]

            def descriptors():
                return len(os.listdir(f"/proc/{pid}/fd"))

            def visit(i):
                client = service.client()
                call = client.interact(argv=["/bin/cat"], stdin_data=b"x" * 1000)
                call.expect("x")
                if i % 2:
                    call.drop()
                else:
                    call.say(close_stdin=True)
                    call.end()
                client.close()
            visit(0)
            visit(1)
            wait_for(lambda: not service.sandbox_processes(), what="quiet")
            before = descriptors()
            for i in range(40):
                visit(i)
            wait_for(lambda: not service.sandbox_processes(), what="quiet")
            wait_for(lambda: descriptors() <= before + 2, 10, "descriptors going back")

    def test_a_run_that_finds_no_room_for_its_descriptors_is_all_that_is_lost(self):
        with Service({"spawner": {"ready_max": 0}}) as service:  # a sandbox made meanwhile takes descriptors, too
            client, spawner = service.client(), service.pids()[0]
            other = client.interact(argv=["cat"])
            other.say(stdin_data=b"on\n")
            other.expect("on\n")
            client.run(argv=["true"])
            client.run(argv=["true"])  # now there is a slot to spare, with all that it keeps open
            before = resource.prlimit(spawner, resource.RLIMIT_NOFILE)

            def used():
                return {int(fd) for fd in os.listdir(f"/proc/{spawner}/fd")}
            time.sleep(0.5)
            quiet = len(used())
            for room in range(4):  # for none, one, two of the three, and for these alone
                wait_for(lambda: len(used()) <= quiet, 10, "what the last run kept open being closed")
                free = sorted(set(range(1024)) - used())
                resource.prlimit(spawner, resource.RLIMIT_NOFILE, (free[room], before[1]))
                run = client.run(argv=["true"])
                self.assertEqual(run.code, "INTERNAL", run)
                self.assertIn("no descriptors left" if room < 3 else "Too many open files", run.error.details())
                resource.prlimit(spawner, resource.RLIMIT_NOFILE, before)
                self.assertEqual(client.run(argv=["true"]).verdict, "EXITED")
            other.say(stdin_data=b"still\n")
            other.expect("still\n")
            other.say(close_stdin=True)
            self.assertEqual(other.end().exit_code, 0)
            self.assertEqual(service.pids()[0], spawner)
            client.close()


if __name__ == "__main__":
    main()
