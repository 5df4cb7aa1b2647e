"""Runs that outlive their connection: callers that are killed and come back, and what that may cost."""

import base64
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path

from common import SLOW, Run, Service, ServiceTest, alive, contract, main, wait_for

HERE = Path(__file__).resolve().parent

# Two streams of bytes that can be told apart by their place, in pieces of any size. Never more than a ring holds ahead
# of what the client says on stdin that it has: the rest may be lost with a client.
TALKER = """
import hashlib, os, random, sys
seed, size = int(sys.argv[1]), int(sys.argv[2])
def stream(n):
    return b"".join(hashlib.sha256(b"%d %d %d" % (seed, n, i)).digest() for i in range(size // 32 + 1))[:size]
left, place, dice = {1: stream(1), 2: stream(2)}, {1: 0, 2: 0}, random.Random(seed)
known = 0
while any(place[n] < size for n in place):
    while sum(place.values()) - known > 100000:
        line = sys.stdin.readline()
        if not line:
            sys.exit("the input has ended")
        known = max(known, int(line))
    n = dice.choice([k for k in place if place[k] < size])
    chunk = left[n][place[n]:place[n] + dice.choice([1, 7, 100, 4096, 20000, 70000])]
    place[n] += os.write(n, chunk)
"""


def talk(seed, size):
    def stream(n):
        return b"".join(hashlib.sha256(b"%d %d %d" % (seed, n, i)).digest() for i in range(size // 32 + 1))[:size]
    return {1: stream(1), 2: stream(2)}


def records(path):
    """What a client noted before it was killed, but for a last line that is not whole."""
    try:
        lines = Path(path).read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return []
    return [json.loads(line) for line in lines]


class Attach(ServiceTest):
    settings = {"execsvc": {"running_max": 4}}
    text = '[identity "uid:0"]\nact_for = *\n'

    def setUp(self):
        super().setUp()
        self.directory = Path(tempfile.mkdtemp(prefix=f"cloister-attach-{os.getpid()}-", dir=self.service.directory))

    def child(self, *words):
        path = self.directory / str(len(list(self.directory.iterdir())))
        process = subprocess.Popen([sys.executable, "-B", HERE / "attach_client.py", self.service.socket, path,
                                    *map(str, words)])
        return process, path

    def test_a_client_that_is_killed_again_and_again_gets_every_byte_once(self):
        seed, size = 11, 1_500_000
        request = self.client.request(
            runtime="python3", files={"talk.py": TALKER}, args=[str(seed), str(size)],
            limits={"output_bytes": 4 << 20}, detach_grace_ms=60000)
        got, jumps, kills, run_id, dice = {1: bytearray(), 2: bytearray()}, [], 0, None, random.Random(5)
        process, path = self.child("start", request.SerializeToString().hex())
        deadline = time.monotonic() + 60 * SLOW
        while True:
            self.assertLess(time.monotonic(), deadline, "the run did not end")
            enough = dice.randrange(3, 30)
            wait_for(lambda: process.poll() is not None or path.exists() and path.read_bytes().count(b"\n") >= enough,
                     30, "news")
            process.kill()
            process.wait()
            for record in records(path):
                run_id = record.get("run_id") or run_id
                if record["kind"] != "output":
                    continue
                stream, data = got[record["stream"]], base64.b64decode(record["data"])
                if record["offset"] != len(stream):
                    jumps.append((record["stream"], record["offset"], len(stream)))
                stream += data
            if records(path)[-1]["kind"] == "end":
                break
            kills += 1
            process, path = self.child(run_id, len(got[1]), len(got[2]), 0)
        self.assertEqual(jumps, [])
        self.assertEqual({n: bytes(stream) for n, stream in got.items()}, talk(seed, size))
        self.assertEqual([r["kind"] for r in records(path)][-2:], ["result", "end"])
        self.assertEqual((records(path)[-2]["exit_code"], records(path)[-1]["code"]), (0, "OK"))
        self.assertGreaterEqual(kills, 5, "the client was hardly ever killed")

    # ---- what is told again ----

    def test_its_id_comes_first_and_an_ended_run_is_told_again_and_again(self):
        run_id = self.client.start(argv=["/bin/sh", "-c", "echo out; echo err >&2; exit 3"], detach_grace_ms=30000)
        for _ in range(3):
            run = self.client.back(run_id)
            self.assertVerdict(run, "EXITED", 3)
            self.assertEqual((run.stdout, run.stderr, run.code), (b"out\n", b"err\n", "OK"))
            self.assertEqual((run.started.run_id, run.result.run_id), (run_id, run_id))
            self.assertEqual(run.result.launcher, "native")
        run = self.client.back(run_id, stdout_offset=2, stderr_offset=4)
        self.assertEqual((run.stdout, run.stderr), (b"t\n", b""))
        run = self.client.back(run_id, stdout_offset=1 << 40, files_done=99)
        self.assertEqual((run.stdout, run.verdict), (b"", "EXITED"))

    def test_one_that_stays_is_told_everything_once_and_may_ask_again(self):
        run = self.python("print('hello')", detach_grace_ms=30000)
        self.assertEqual(list(dict.fromkeys(run.events)), ["queued", "started", "output", "result"])
        self.assertEqual((run.queued[0].position, run.stdout), (0, b"hello\n"))
        self.assertEqual(self.client.back(run.run_id).stdout, b"hello\n")

    def test_output_that_has_left_the_ring_is_a_jump_and_the_newest_is_there(self):
        size = 1_000_000
        run_id = self.client.start(runtime="python3", files={"talk.py": "import sys\n" + (
            f"sys.stdout.write(''.join('%7d\\n' % i for i in range({size} // 8)))\n")},
            limits={"output_bytes": 4 << 20}, detach_grace_ms=60000)
        wait_for(lambda: self.client.back(run_id, stdout_offset=size).result, 20, "the end")
        run = self.client.back(run_id)
        self.assertVerdict(run, "EXITED", 0)
        first = size - len(run.stdout)
        self.assertTrue(128 << 10 < len(run.stdout) <= 256 << 10, len(run.stdout))
        whole = "".join("%7d\n" % i for i in range(size // 8)).encode()
        self.assertEqual(run.stdout, whole[first:])
        self.assertEqual(run.result.dropped_stdout_bytes, 0)

    def test_a_client_that_listens_slowly_still_holds_the_program_back(self):
        code = "import os, sys\nfor i in range(40): os.write(1, b'x' * 65536)\nopen('/workspace/done', 'w')\n"
        run_id = self.client.start(argv=["/bin/sh", "-c", "read x; exec /usr/bin/python3 -c \"$0\"", code],
                                   limits={"output_bytes": 8 << 20, "wall_ms": 30000}, detach_grace_ms=60000)
        self.client.back(run_id)  # its input was empty: it is over, all that it could say was said to nobody
        call = self.client.interact(argv=["/bin/sh", "-c", "echo up; read x; exec /usr/bin/python3 -c \"$0\"", code],
                                    limits={"output_bytes": 8 << 20}, detach_grace_ms=60000)
        call.expect("up")
        slow = self.client.attach(call.run.run_id)
        next(slow)
        other = self.client.interact(first=contract.InteractRequest(attach=contract.AttachRequest(
            run_id=call.run.run_id)))
        other.say(stdin_data=b"go\n")
        other.wait(lambda run: run.result, 30)
        self.assertEqual(len(other.run.stdout), 3 + 40 * 65536)  # not a byte is lost while somebody listens

    def test_who_comes_back_with_all_of_it_does_not_hold_the_program_back(self):
        call = self.client.interact(argv=["/bin/sh", "-c", "head -c 200000 /dev/zero; read x; echo got $x"],
                                    detach_grace_ms=60000)
        call.wait(lambda run: len(run.stdout) == 200000)
        call.drop()
        call = self.come_back(call.run.run_id, 200000)
        call.type("it\n")
        self.assertVerdict(call.end(), "EXITED", 0)
        self.assertEqual(call.run.stdout, b"got it\n")

    FILES = ("for name, size in (('a', 10), ('b', 200000), ('c', 0), ('d', 70000)):\n"
             "    open(name, 'wb').write(bytes(i * 7 % 251 for i in range(size)))\n")

    def assertFiles(self, run, names):
        sizes = {"a": 10, "b": 200000, "c": 0, "d": 70000}
        self.assertEqual([path.decode() for path in run.files], names)
        for name in names:
            data = bytes(i * 7 % 251 for i in range(sizes[name]))
            self.assertEqual(run.files[name.encode()], {"data": data, "sha256": hashlib.sha256(data).digest()})
        self.assertEqual(sorted(o.path.decode() for o in run.result.outputs), sorted(sizes))

    def test_collected_files_wait_and_those_that_are_there_already_are_left_out(self):
        run_id = self.client.start(runtime="python3", files={"f.py": self.FILES}, collect={}, detach_grace_ms=60000)
        run = self.client.back(run_id)
        self.assertVerdict(run, "EXITED", 0)
        names = [o.path.decode() for o in run.result.outputs]
        self.assertFiles(run, names)
        for done in range(5):
            self.assertFiles(self.client.back(run_id, files_done=done), names[done:])
        call = self.client.attach(run_id)  # leaves in the middle of a file
        for event in call:
            if event.WhichOneof("event") == "file" and event.file.path == b"b" and not event.file.last:
                break
        call.cancel()
        self.assertFiles(self.client.back(run_id, files_done=names.index("b")), names[names.index("b"):])

    def test_a_client_killed_among_the_files_gets_the_rest_of_them(self):
        code = "for i in range(40): open('f%02d' % i, 'wb').write(bytes([i]) * 100000)\n"
        request = self.client.request(runtime="python3", files={"f.py": code}, collect={}, detach_grace_ms=60000)
        whole, run_id, process = {}, None, None
        process, path = self.child("start", request.SerializeToString().hex())
        for limit in (5, 9, 10000):
            wait_for(lambda: process.poll() is not None or
                     sum(r["kind"] == "file" for r in records(path)) >= limit, 30, "files")
            process.kill()
            process.wait()
            pieces = {}
            for record in records(path):
                run_id = record.get("run_id") or run_id
                if record["kind"] != "file":
                    continue
                self.assertNotIn(record["path"], whole)
                pieces.setdefault(record["path"], bytearray()).extend(base64.b64decode(record["data"]))
                if record["last"]:
                    whole[record["path"]] = bytes(pieces[record["path"]])
            if records(path)[-1]["kind"] == "end":
                break
            process, path = self.child(run_id, 0, 0, len(whole))
        self.assertEqual(records(path)[-1], {"kind": "end", "code": "OK"})
        self.assertEqual(whole, {"f%02d" % i: bytes([i]) * 100000 for i in range(40)})

    # ---- who may listen ----

    def test_the_newest_connection_wins_and_the_one_before_is_told(self):
        first = self.client.interact(argv=["/bin/cat"], detach_grace_ms=30000)
        first.wait(lambda run: run.started)
        second = self.client.interact(first=contract.InteractRequest(attach=contract.AttachRequest(
            run_id=first.run.run_id)))
        second.wait(lambda run: run.started)
        run = first.end()
        self.assertEqual((run.code, run.details["reason"]), ("ABORTED", "TAKEN_OVER"))
        second.type("hello\n")
        second.expect("hello\n")
        second.half_close()
        self.assertVerdict(second.end(), "EXITED", 0)

    def assertNotThere(self, client, run_id):
        run = client.back(run_id)
        self.assertEqual((run.code, run.details.get("reason")), ("NOT_FOUND", "NO_SUCH_RUN"), run)

    def test_nobody_else_finds_it(self):
        ada, ben = self.service.client(subject="ada"), self.service.client(subject="ben")
        run_id = ada.start(argv=["/bin/sleep", "1"], detach_grace_ms=30000)
        for client in (ben, self.client):
            self.assertNotThere(client, run_id)
            call = client.interact(first=contract.InteractRequest(attach=contract.AttachRequest(run_id=run_id)))
            self.assertEqual(call.end().code, "NOT_FOUND")
        self.assertVerdict(ada.back(run_id), "EXITED", 0)
        ada.close()
        ben.close()

    def test_one_that_did_not_ask_for_it_is_not_there_for_anybody(self):
        call = self.client.interact(argv=["/bin/cat"])
        call.wait(lambda run: run.started)
        self.assertEqual(call.run.events, ["started"])
        for run_id in (call.run.run_id, "", "x", "0" * 32, "0" * 100000):
            self.assertNotThere(self.client, run_id)
        call.half_close()
        self.assertVerdict(call.end(), "EXITED", 0)

    # ---- without a caller ----

    def test_a_deadline_that_passes_does_not_end_it(self):
        run = self.client.run(argv=["/bin/sh", "-c", "echo a; sleep 2; echo b"], detach_grace_ms=30000, timeout=1)
        self.assertEqual((run.code, run.stdout), ("DEADLINE_EXCEEDED", b"a\n"))
        run = self.client.back(run.run_id, stdout_offset=2)
        self.assertVerdict(run, "EXITED", 0)
        self.assertEqual(run.stdout, b"b\n")

    def runs(self):
        stats = self.client.unary("Node/Stats", contract.StatsRequest(runs=True), contract.NodeStats)
        return {run.run_id: run.state for run in stats.runs}

    def detached(self):
        return {run_id for run_id, state in self.runs().items() if state == 5}

    def test_when_nobody_comes_back_the_sandbox_goes_and_then_it_is_unknown(self):
        run_id = self.client.start(argv=["/bin/sh", "-c", "sleep 67 & sleep 67"], detach_grace_ms=1500)
        wait_for(lambda: run_id in self.detached(), 10, "the state")

        def sleepers():
            return [p for p in self.service.sandbox_processes() if b"sleep" in Path(f"/proc/{p}/cmdline").read_bytes()]
        wait_for(sleepers, 10, "the program")
        wait_for(lambda: run_id not in self.detached(), 10, "the end of its grace")
        wait_for(lambda: not sleepers(), 10, "the end of the sandbox")
        self.assertNotThere(self.client, run_id)
        ended = wait_for(lambda: [e for e in self.service.events("run.ended") if e["run_id"] == run_id], what="the log")
        self.assertEqual(ended[0]["verdict"], "CANCELLED")
        self.assertTrue([e for e in self.service.events("run.expired") if e["run_id"] == run_id])

    def test_a_result_is_kept_for_the_grace_and_then_forgotten(self):
        run_id = self.client.start(argv=["/bin/true"], detach_grace_ms=1500)
        begun = time.monotonic()
        self.assertVerdict(self.client.back(run_id), "EXITED", 0)
        before = time.monotonic()
        wait_for(lambda: self.client.back(run_id, stdout_offset=1).code == "OK" and time.monotonic() > begun + 2, 10,
                 "more than a grace of asking again and again")
        self.assertGreater(time.monotonic() - before, 0.3)
        last = time.monotonic()
        time.sleep(1.6)
        wait_for(lambda: self.client.back(run_id).code == "NOT_FOUND", 10, "oblivion")
        self.assertGreaterEqual(time.monotonic() - last, 1.5)

    def test_one_that_waits_in_the_queue_keeps_its_place_and_is_told_it(self):
        blockers = [self.client.interact(argv=["/bin/cat"]) for _ in range(4)]
        for call in blockers:
            call.wait(lambda run: run.started)
        run_id = self.client.start(argv=["/bin/echo", "mine"], detach_grace_ms=30000)
        lost = self.client.start(argv=["/bin/echo", "lost"], detach_grace_ms=300)
        call = self.client.attach(run_id)
        first = next(call)
        self.assertEqual((first.queued.run_id, first.queued.position), (run_id, 1))
        wait_for(lambda: lost not in self.runs(), 10, "the end of its grace")
        self.assertNotThere(self.client, lost)
        for blocker in blockers:
            blocker.half_close()
            blocker.end()
        run = self.client.finish(call, Run())
        self.assertVerdict(run, "EXITED", 0)
        self.assertEqual(run.stdout, b"mine\n")

    def test_one_that_is_being_compiled_can_be_come_back_to(self):
        run_id = self.client.start(runtime="c", files={"a.c": "#include <stdio.h>\nint main(void) { puts(\"c\"); }"},
                                   detach_grace_ms=30000)
        run = self.client.back(run_id)
        self.assertVerdict(run, "EXITED", 0)
        self.assertEqual((run.events[0], run.queued[0].position, run.stdout), ("queued", 0, b"c\n"))
        self.assertIn("started", run.events)
        run_id = self.client.start(runtime="c", files={"a.c": "int main( {"}, detach_grace_ms=30000)
        for _ in range(2):
            run = self.client.back(run_id)
            self.assertEqual(run.verdict, "COMPILE_FAILED")
            self.assertIn(b"error", run.stderr)

    # ---- with a say in it ----

    def come_back(self, run_id, offset=0):
        return self.client.interact(first=contract.InteractRequest(attach=contract.AttachRequest(
            run_id=run_id, stdout_offset=offset)))

    def test_a_terminal_is_left_and_come_back_to(self):
        call = self.client.interact(argv=["/bin/bash", "--norc"], terminal=(24, 80), env={"PS1": "> "},
                                    detach_grace_ms=30000)
        call.type("stty size; x=kept\n")
        call.expect("24 80")
        run_id = call.run.run_id
        call.drop()
        wait_for(lambda: run_id in self.detached(), 10, "the state")
        call = self.come_back(run_id, 0)
        call.expect("24 80")  # what was on the screen
        call.say(resize=(40, 120))
        call.type("stty size; echo $x-$((40 + 2))\n")
        call.expect("40 120")
        call.expect("kept-42")
        call.type("exit 5\n")
        self.assertVerdict(call.end(), "EXITED", 5)
        call = self.come_back(run_id)  # it is over: what is said to it now goes nowhere
        call.type("x")
        call.say(signal="SIGINT")
        call.say(resize=(30, 30))
        call.half_close()
        self.assertVerdict(call.end(), "EXITED", 5)

    def test_who_comes_back_may_end_it(self):
        run_id = self.client.start(argv=["/bin/sleep", "60"], detach_grace_ms=30000)
        call = self.come_back(run_id)
        call.wait(lambda run: run.started)
        call.say(cancel=True)
        self.assertEqual(call.end().verdict, "CANCELLED")
        self.assertEqual(self.client.back(run_id).verdict, "CANCELLED")

    def test_a_half_close_ends_the_input_and_a_lost_client_does_not(self):
        call = self.client.interact(argv=["/bin/cat"], detach_grace_ms=30000)
        call.wait(lambda run: run.started)
        call.drop()
        call = self.come_back(call.run.run_id)
        call.type("still open\n")
        call.expect("still open\n")
        call.half_close()
        self.assertVerdict(call.end(), "EXITED", 0)


class Limits(unittest.TestCase):
    """Little of everything, so that all of it can be had; a service for each test, since results stay."""

    settings = {"execsvc": {"running_max": 6, "detached_max": 4, "detached_per_tenant": 3, "detached_bytes": "2M",
                            "detached_bytes_per_tenant": "1M", "detach_grace_max": "20s"}}
    text = '[identity "uid:0"]\nact_for = *\n'

    def start(self, client, *argv, **rest):
        return client.start(argv=argv or ("/bin/cat",), detach_grace_ms=20000, **rest)

    def live(self, client):
        call = client.interact(argv=["/bin/cat"], detach_grace_ms=20000)
        call.wait(lambda run: run.started or run.error)
        return call

    def end(self, *calls):
        for call in calls:
            call.half_close()
            self.assertVerdict(call.end(), "EXITED", 0)

    def setUp(self):
        self.service = Service(self.settings, self.text)
        self.enterContext(self.service)
        self.client = self.service.client()
        self.subjects = [self.service.client(subject=subject) for subject in ("ada", "ben", "cyd")]

    def tearDown(self):
        for client in (self.client, *self.subjects):
            client.close()

    assertVerdict = ServiceTest.assertVerdict

    def test_a_grace_above_the_ceiling_is_refused(self):
        run = self.client.run(argv=["/bin/true"], detach_grace_ms=20001)
        self.assertEqual((run.code, run.details["field"], run.details["meta"]["ceiling"]),
                         ("INVALID_ARGUMENT", "detach_grace_ms", "20000"))
        self.assertVerdict(self.client.run(argv=["/bin/true"], detach_grace_ms=20000), "EXITED", 0)

    def test_runs_are_counted_and_results_make_room(self):
        ada, ben, cyd = self.subjects
        results = [self.start(ada, "/bin/echo", str(i)) for i in range(3)]
        for run_id in results:
            self.assertVerdict(ada.back(run_id, stdout_offset=99), "EXITED", 0)
        calls = [self.live(ada) for _ in range(3)]  # each in the place of a result
        for run_id in results:
            self.assertEqual(ada.back(run_id).code, "NOT_FOUND")
        refused = ada.run(argv=["/bin/true"], detach_grace_ms=1000)
        self.assertEqual((refused.code, refused.details["reason"]), ("RESOURCE_EXHAUSTED", "TENANT_DETACHED_FULL"))
        self.assertGreater(refused.details["retry_ms"], 0)
        self.assertVerdict(ada.run(argv=["/bin/true"]), "EXITED", 0)  # without a grace it may
        calls.append(self.live(ben))
        refused = cyd.run(argv=["/bin/true"], detach_grace_ms=1000)
        self.assertEqual((refused.code, refused.details["reason"]), ("RESOURCE_EXHAUSTED", "DETACHED_FULL"))
        self.end(*calls)
        self.assertVerdict(cyd.run(argv=["/bin/true"], detach_grace_ms=1000), "EXITED", 0)

    def test_files_for_which_there_is_no_room_are_named(self):
        ada, ben, _ = self.subjects
        code = "for n in 'abc': open(n, 'wb').write(b'x' * 400000)"
        run_id = ada.start(runtime="python3", files={"f.py": code}, collect={}, detach_grace_ms=20000)
        run = ada.back(run_id)
        self.assertVerdict(run, "EXITED", 0)
        self.assertEqual([len(f["data"]) for f in run.files.values()], [400000] * 2)
        self.assertEqual([(s.size, s.reason) for s in run.result.outputs_skipped], [(400000, "no room to keep it")])
        second = ada.start(runtime="python3", files={"f.py": code}, collect={}, detach_grace_ms=20000)
        self.assertEqual(len(ada.back(second).files), 2)  # the older result has made room
        self.assertEqual(ada.back(run_id).code, "NOT_FOUND")
        other = ben.start(runtime="python3", files={"f.py": code}, collect={}, detach_grace_ms=20000)
        self.assertEqual(len(ben.back(other).files), 2)  # another tenant's has not
        self.assertEqual(len(ada.back(second).files), 2)

    def test_what_is_kept_is_given_back(self):
        fds = f"/proc/{self.service.pids()[1]}/fd"

        def spools():
            return sum("cloister-spool" in os.readlink(f"{fds}/{fd}") for fd in os.listdir(fds)
                       if os.path.islink(f"{fds}/{fd}"))
        request = {"runtime": "python3", "files": {"f.py": "open('a', 'w').write('a')"}, "collect": {}}
        run = self.client.run(**request, detach_grace_ms=1000)
        self.assertEqual((len(run.files), spools()), (1, 1))
        wait_for(lambda: spools() == 0, 10, "the end of the spool")
        self.assertEqual(len(self.client.run(**request).files), 1)
        self.assertEqual(spools(), 0)


class Counted(unittest.TestCase):
    def test_who_left_came_back_and_did_not_is_counted(self):
        with Service() as service:
            client = service.client()
            first = client.start(argv=["/bin/sleep", "1"], detach_grace_ms=30000)
            client.start(argv=["/bin/sleep", "60"], detach_grace_ms=200)
            client.back(first)
            names = ("execsvc_runs_detached_total", "execsvc_runs_attached_total", "execsvc_runs_expired_total",
                     "execsvc_results_evicted_total", "execsvc_kept_runs")
            seen = None

            def counted():
                nonlocal seen
                figures = service.metrics()
                seen = [figures[name] for name in names]
                return seen == [2, 1, 1, 0, 1] and figures["execsvc_kept_bytes"] > 0
            try:
                wait_for(counted, 10)
            except AssertionError:
                self.fail(seen)
            client.close()

    def test_who_takes_nothing_of_a_result_is_sent_away(self):
        with Service({"execsvc": {"stall": "500ms"}}) as service:
            client = service.client()
            run_id = client.start(argv=["/bin/sh", "-c", "head -c 200000 /dev/zero; head -c 4000000 /dev/zero > f"],
                                  collect={}, detach_grace_ms=60000)
            self.assertEqual(len(client.back(run_id).files[b"f"]["data"]), 4000000)
            idle = client.attach(run_id)
            next(idle)
            wait_for(lambda: service.events("run.stalled"), 20, "the end of its patience")
            run = client.finish(idle, Run())
            self.assertEqual((run.code, run.details["reason"], run.result), ("ABORTED", "STALLED", None))
            self.assertEqual(len(client.back(run_id).files[b"f"]["data"]), 4000000)
            client.close()


class Drain(unittest.TestCase):
    def test_a_detached_run_may_end_and_be_fetched_during_a_drain(self):
        with Service({"execsvc": {"drain": "30s"}}) as service:
            client = service.client()
            run_id = client.start(argv=["/bin/sh", "-c", "sleep 2; echo done"], detach_grace_ms=60000)
            kept = client.start(argv=["/bin/echo", "kept"], detach_grace_ms=60000)
            wait_for(lambda: client.back(kept).result, what="a result that nobody will fetch")
            begun = time.monotonic()
            stopper = threading.Thread(target=service.stop)
            stopper.start()
            wait_for(lambda: service.events("service.draining"), what="the drain")
            run = client.back(run_id)
            self.assertEqual((run.verdict, run.stdout), ("EXITED", b"done\n"), run)
            self.assertEqual([n.kind for n in run.notices], [2])
            client.close()
            stopper.join()
            self.assertLess(time.monotonic() - begun, 25, "the kept result has held up the drain")

    def test_a_detached_run_that_does_not_end_is_ended_with_the_drain(self):
        with Service({"execsvc": {"drain": "1s"}}) as service:
            client = service.client()
            client.start(argv=["/bin/sleep", "60"], detach_grace_ms=600000)
            client.close()
            wait_for(service.sandbox_processes, what="the program")
            begun = time.monotonic()
            service.stop()
            self.assertLess(time.monotonic() - begun, 20 * SLOW)

    def test_nothing_is_left_when_the_service_is_killed(self):
        with Service() as service:
            client = service.client()
            client.start(argv=["/bin/sleep", "60"], detach_grace_ms=600000)
            done = client.start(runtime="python3", files={"f.py": "open('a', 'w').write('a' * 100000)"}, collect={},
                                detach_grace_ms=600000)
            wait_for(lambda: client.back(done).files, what="its file")
            pids = service.processes()
            os.kill(service.pids()[1], signal.SIGKILL)
            service.wait_ready(2)
            self.assertFalse([pid for pid in pids if alive(pid)])
            self.assertEqual(service.client().back(done).code, "NOT_FOUND")


if __name__ == "__main__":
    main()
