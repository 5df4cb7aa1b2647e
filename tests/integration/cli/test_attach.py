"""Runs that are left and come back to: --detach, --grace, --attach."""

import base64
import json
import os
import re
import signal
import subprocess
import termios
import time
import unittest

from common import SLOW, CliTest, contract, need_root, wait_for
from cut import Cut

COUNT = "for i in 1 2 3; do echo out $i; echo err $i >&2; done; sleep %s; echo end; echo made > made; exit 7"


class AttachTest(CliTest):
    settings = {"execsvc": {"running_max": 3}}

    def detach(self, *words, **options):
        done = self.run_cli("--detach", *words, **options)
        self.assertEqual((done.returncode, done.stderr), (0, b""), done)
        self.assertRegex(done.stdout, rb"\A[0-9a-f]{32}\n\Z")
        return done.stdout.decode().strip()

    def test_a_run_is_left_at_once_and_its_result_fetched_later(self):
        begun = time.monotonic()
        run_id = self.detach("--grace", "1m", self.file("a.sh", COUNT % 3))
        self.assertLess(time.monotonic() - begun, 3 * SLOW)
        done = self.run_cli("--attach", run_id)
        self.assertEqual((done.returncode, done.stdout, done.stderr),
                         (7, b"out 1\nout 2\nout 3\nend\n", b"err 1\nerr 2\nerr 3\n"), done)
        done = self.run_cli("--attach", run_id, "--from", "12,6")
        self.assertEqual((done.stdout, done.stderr), (b"out 3\nend\n", b"err 2\nerr 3\n"), done)

    def test_json_of_a_run_that_was_left_is_the_object_of_every_run(self):
        done = self.run_cli("--detach", "--json", self.file("a.sh", COUNT % 0))
        left = json.loads(done.stdout)
        self.assertEqual((done.returncode, left["verdict"], left["stdout"]), (0, None, ""))
        self.assertIn("--attach", left["explanation"]["message"])
        whole = json.loads(self.run_cli("--json", "--attach", left["run_id"]).stdout)
        plain = json.loads(self.run_cli("--json", self.file("a.sh", COUNT % 0)).stdout)
        self.assertEqual(set(whole), set(plain))
        for member in ("verdict", "exit_code", "stdout", "stderr", "dropped", "runtime", "outputs"):
            self.assertEqual(whole[member], plain[member], member)
        self.assertEqual(whole["run_id"], left["run_id"])
        self.assertEqual(base64.b64decode(whole["outputs"][0]["content_base64"]), b"made\n")
        rest = json.loads(self.run_cli("--json", "--attach", left["run_id"], "--from", "12,0,1").stdout)
        self.assertEqual((rest["stdout"], rest["stderr"]), ("out 3\nend\n", whole["stderr"]))
        self.assertNotIn("content_base64", rest["outputs"][0])

    def test_files_are_fetched_with_the_result(self):
        run_id = self.detach(self.file("a.sh", COUNT % 0))
        out = self.directory / "out"
        self.run_cli("--attach", run_id, "--output", str(out))
        self.assertEqual((out / "made").read_text(), "made\n")

    def test_its_input_is_what_was_there_when_it_was_left(self):
        path = self.file("a.py", "import sys; print(len(sys.stdin.read()))")
        run_id = self.detach("--stdin", path, input=b"x" * 100000, stdin=None)
        self.assertEqual(self.run_cli("--attach", run_id).stdout, b"100000\n")
        run_id = self.detach(path, input=b"x" * 100000, stdin=None)
        self.assertEqual(self.run_cli("--attach", run_id).stdout, b"0\n")
        done = self.run_cli("--detach", "--stdin", path, input=b"x" * (1 << 21), stdin=None)
        self.assertEqual(done.returncode, 126)
        self.assertIn(b"1 MiB", done.stderr)

    def test_one_that_is_unknown_says_so(self):
        done = self.run_cli("--attach", "0" * 32)
        self.assertEqual((done.returncode, done.stdout), (126, b""), done)
        self.assertIn(b"no such run", done.stderr)
        done = self.run_cli("--attach", "no/id")
        self.assertEqual(done.returncode, 126)
        done = json.loads(self.run_cli("--json", "--attach", "0" * 32).stdout)
        self.assertIsNone(done["verdict"])

    def test_the_newer_one_takes_it_over(self):
        first = self.start("--grace", "1m", self.file("a.sh", "echo up; read x; echo got $x"), stdin=subprocess.PIPE)
        self.assertEqual(first.stdout.readline(), b"up\n")
        run_id = self.running()
        second = self.start("--attach", run_id, "--stdin", stdin=subprocess.PIPE)
        self.assertEqual(second.stdout.readline(), b"up\n")
        self.assertIn(b"another connection has come", first.stderr.read())
        self.assertEqual(first.wait(10 * SLOW), 125)
        first.stdin.close()
        out, err = second.communicate(b"it\n", 20 * SLOW)
        self.assertEqual((second.returncode, out, err), (0, b"got it\n", b""))

    def running(self):
        """The id of the only run of which somebody has not heard the end."""
        client = self.service.client()
        stats = client.unary("Node/Stats", contract.StatsRequest(runs=True), contract.NodeStats)
        client.close()
        self.assertEqual(len(stats.runs), 1)
        return stats.runs[0].run_id

    def test_sigterm_leaves_a_run_that_has_a_grace(self):
        process = self.start("--grace", "1m", self.file("a.sh", "echo up; sleep 2; echo end"))
        self.assertEqual(process.stdout.readline(), b"up\n")
        process.terminate()
        self.assertEqual(process.wait(10 * SLOW), 128 + signal.SIGTERM)
        words = process.stderr.read().decode()
        run_id = re.search(r"cloister run --attach ([0-9a-f]{32})", words).group(1)
        done = self.run_cli("--attach", run_id, "--from", "3")
        self.assertEqual((done.returncode, done.stdout), (0, b"end\n"), done)

    def test_ctrl_c_still_is_the_programs_and_then_the_end(self):
        run_id = self.detach(self.file("a.sh", "trap 'echo caught' INT; echo up; while :; do sleep 0.1; done"))
        process = self.start("--attach", run_id)
        self.assertEqual(process.stdout.readline(), b"up\n")
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.stdout.readline(), b"caught\n")
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(10 * SLOW), 128 + signal.SIGKILL)

    def test_a_lost_connection_is_made_again_and_not_a_byte_is_missing(self):
        cut = Cut(self.directory, self.service.socket)
        self.addCleanup(cut.close)
        process = self.start("--socket", str(cut.path), "--grace", "1m", "--json", self.file("a.py", (
            "import sys\nprint('a' * 30000, flush=True)\n"
            "for line in sys.stdin: print(line.strip() * 10000, flush=True)\n"
            "open('made', 'w').write('m' * 100000)\n")), stdin=subprocess.PIPE)
        for i in range(3):
            wait_for(lambda: cut.pairs, what="a connection")
            process.stdin.write(b"%d\n" % i)
            process.stdin.flush()
            time.sleep(0.5)
            cut.cut()
            self.assertEqual(process.stderr.readline(), b"cloister: the connection is lost; trying to come back\n")
            wait_for(lambda: len(self.service.events("run.attached")) > i, what="the way back")
        out, _ = process.communicate(timeout=30 * SLOW)
        result = json.loads(out)
        self.assertEqual((process.returncode, result["verdict"]), (0, "EXITED"), result)
        self.assertEqual(result["stdout"], "a" * 30000 + "\n" + "".join(str(i) * 10000 + "\n" for i in range(3)))
        self.assertEqual(base64.b64decode(result["outputs"][0]["content_base64"]), b"m" * 100000)

    def test_a_service_that_stays_away_is_given_up(self):
        cut = Cut(self.directory, self.service.socket)
        process = self.start("--socket", str(cut.path), "--grace", "2s", self.file("a.sh", "echo up; sleep 30"))
        self.assertEqual(process.stdout.readline(), b"up\n")
        cut.close()
        os.unlink(cut.path)
        self.assertEqual(process.wait(20 * SLOW), 125)
        self.assertIn(b"no service at", process.stderr.read())

    # ---- a terminal ----

    def test_a_terminal_is_left_and_come_back_to(self):
        process, master, slave, before = self.terminal("--grace", "1m", "--command", "--", "/bin/sh")
        self.expect(master, b"$ ")
        os.write(master, b"x=kept; stty size\r")
        self.expect(master, b"30 100")
        os.write(master, b"\r~.")
        seen = self.expect(master, b"--attach ")
        seen = self.expect(master, b"\n", seen[seen.index(b"--attach "):])
        self.assertEqual(process.wait(10 * SLOW), 0)
        self.assertEqual(termios.tcgetattr(slave), before)
        run_id = re.search(rb"--attach ([0-9a-f]{32})", seen).group(1).decode()
        process, master, slave, before = self.terminal("--attach", run_id)
        self.expect(master, b"30 100")
        os.write(master, b"echo $x-$((40 + 2)); exit 4\r")
        self.expect(master, b"kept-42")
        self.assertEqual(process.wait(10 * SLOW), 4)

    def test_a_terminal_can_be_begun_and_left_without_one(self):
        run_id = self.detach("-t", "--command", "--", "/bin/sh")
        process, master, *_ = self.terminal("--attach", run_id)
        self.expect(master, b"$ ")
        os.write(master, b"stty size; exit 5\r")
        self.expect(master, b"30 100")
        self.assertEqual(process.wait(10 * SLOW), 5)


if __name__ == "__main__":
    need_root()
    unittest.main(verbosity=2)
