"""`cloister sandbox run` as scripts use it: what it refuses, what it prints, what it takes from its caller."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "support"))
from service import BUILD, SLOW, need_root  # noqa: E402

LIMIT, OURS, REFUSED = 124, 125, 126
LAUNCHERS = ("native", "bwrap")


class SandboxTest(unittest.TestCase):
    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory(prefix="cloister-sandbox-cli-")
        self.addCleanup(self.temporary.cleanup)
        self.directory = Path(self.temporary.name)
        self.directory.chmod(0o755)

    def cli(self, *words, **options):
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        if "input" in options:
            del options["stdin"]
        done = subprocess.run([BUILD / "bin" / "cloister", "sandbox", "run", *words], timeout=60 * SLOW, **options)
        # LeakSanitizer's, now and then, of a thread that has ended meanwhile.
        done.stderr = re.sub(rb"==\d+==Unable to get registers from thread \d+\.\n", b"", done.stderr)
        return done

    def result(self, *words, **options):
        done = self.cli("--json", *words, **options)
        self.assertEqual(done.stdout.count(b"\n"), 1, done)
        return done, json.loads(done.stdout)

    # ---- refused ---------------------------------------------------------------------------------

    def test_a_program_reaches_itself_over_its_own_loopback(self):
        program = ("import socket, threading\n"
                   "server = socket.create_server(('127.0.0.1', 0))\n"
                   "def answer():\n"
                   "    peer = server.accept()[0]\n"
                   "    peer.sendall(peer.recv(9).upper())\n"
                   "threading.Thread(target=answer).start()\n"
                   "client = socket.create_connection(server.getsockname())\n"
                   "client.sendall(b'hello'); print(client.recv(9).decode())\n")
        for words in ([], ["--allow-missing", "uts-namespace"], ["--launcher", "bwrap"]):  # by itself, by a spawner, by bubblewrap
            done = self.cli(*words, "--", "python3", "-c", program)
            self.assertEqual((done.returncode, done.stdout), (0, b"HELLO\n"), done)

    def test_a_refused_request_has_no_verdict(self):
        for words, said in ((["--limit", "memory=2G"], "limit memory: 2G is above the ceiling of 1G"),
                            (["--limit", "cpu=x"], "limit cpu: 'x' is not a time"), (["--frob"], "--help"),
                            (["--output", "/proc/x"], "make directory /proc/x"), (["--output", str(BUILD / "bin" / "cloister")], "Not a directory"),
                            (["--disable-layer", "moat"], "--disable-layer moat: no such layer"),
                            (["--launcher", "bwrap", "--disable-layer", "pid-namespace"], "layer pid-namespace: bubblewrap can't do without it")):
            for more in ([], ["--dry-run"]):
                if more and said.startswith(("make", "Not", "layer pid")):
                    continue  # what only a run finds out
                with self.subTest(" ".join(words + more)):
                    done, result = self.result(*words, *more, "--", "true")
                    self.assertEqual((done.returncode, result["verdict"], result["exit_code"]), (REFUSED, None, None))
                    self.assertIn(said, result["explanation"]["message"])

    def test_too_many_arguments_are_the_callers(self):
        done, result = self.result("--", "true", *["x"] * 2000)
        self.assertEqual((done.returncode, result["verdict"]), (REFUSED, None))
        self.assertIn("more than 1024", result["explanation"]["message"])

    def test_a_working_directory_that_is_not_there_is_the_callers(self):
        for launcher in LAUNCHERS:
            done, result = self.result("--launcher", launcher, "--cwd", "/no/such", "--", "true")
            self.assertEqual((done.returncode, result["verdict"], result["exit_code"]), (127, "EXITED", 127))
            self.assertEqual(result["explanation"]["message"], "the working directory /no/such: No such file or directory")

    def test_a_directory_as_input_is_refused(self):
        directory = os.open("/root", os.O_RDONLY | os.O_DIRECTORY)
        self.addCleanup(os.close, directory)
        done = self.cli("--", "ls", "/proc/self/fd/0/", stdin=directory)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (REFUSED, b"", b"cloister: stdin is a directory\n"))

    # ---- what is printed ---------------------------------------------------------------------------

    def test_a_dry_run_shows_all_that_was_asked_for(self):
        words = ["--dry-run", "--policy", "no-subprocess", "--bind", "/etc:/opt/etc:ro", "--bind", "/tmp:/opt/tmp", "--limit",
                 "cpu=1500ms", "--", "prog", "arg"]
        text = self.cli(*words).stdout.decode()
        for line in ("tree: bind /etc on /opt/etc read-only", "tree: bind /tmp on /opt/tmp", "init: run prog arg",
                     "policy: no-subprocess"):
            self.assertIn(line + "\n", text)
        self.assertIn("cpu=1500ms", text)
        done, result = self.result(*words)
        self.assertEqual((done.returncode, result), (0, {"plan": text.splitlines()}))
        self.assertIn("bwrap", self.cli("--launcher", "bwrap", "--dry-run", "--", "true").stdout.decode())

    def test_the_node_has_a_name(self):
        self.assertEqual(self.result("--", "true")[1]["node"], os.uname().nodename)

    def test_files_that_do_not_come_back_are_named(self):
        code = ("import os; open('a\\nb', 'w'); open('locked', 'w'); os.chmod('locked', 0)\n"
                "for i in range(%d): f = open('f%%d' %% i, 'w'); f.truncate(257 << 20); f.close()")
        done, result = self.result("--limit", "file-size=1G", "--", "python3", "-c", code % 15)
        said = done.stderr.decode()
        self.assertEqual((done.returncode, result["outputs"], len(said.splitlines())), (0, [], 11))
        self.assertIn("was not brought back: too many files or bytes", said)
        self.assertRegex(said, r"cloister: nor were 7 more\n$")
        said = self.result("--", "python3", "-c", code % 0)[0].stderr.decode()
        self.assertIn("cloister: a?b was not brought back: control characters in its name\n", said)
        self.assertIn("cloister: locked was not brought back: unreadable\n", said)

    def test_many_files_come_back(self):
        done, result = self.result("--", "sh", "-c", "seq 4000 | split -l 1 -a 4 -d")
        self.assertEqual((done.returncode, done.stderr, len(result["outputs"])), (0, b"", 4000))

    def test_files_go_to_a_directory(self):
        where = self.directory / "out"
        for launcher in LAUNCHERS:
            done, result = self.result("--launcher", launcher, "--output", str(where), "--", "sh", "-c", "mkdir d; echo x > d/f")
            self.assertEqual((done.returncode, done.stderr, (where / "d/f").read_text()), (0, b"", "x\n"))
            self.assertNotIn("content_base64", result["outputs"][0])

    def test_files_that_can_not_be_written_are_our_failure(self):
        (self.directory / "f").mkdir()
        for status, expected in ((0, OURS), (3, 3)):
            done = self.cli("--output", str(self.directory), "--", "sh", "-c", f"echo x > f; exit {status}")
            self.assertEqual((done.returncode, done.stderr), (expected, b"cloister: write f: Is a directory\n"))

    # ---- what the caller hands over --------------------------------------------------------------

    def test_standard_streams_are_files_too(self):
        for launcher in LAUNCHERS:
            done = self.cli("--launcher", launcher, "--", "sh", "-c", "echo o > /dev/stdout; echo e > /dev/stderr; cat /dev/stdin",
                            input=b"in\n")
            self.assertEqual((done.returncode, done.stdout, done.stderr), (0, b"o\nin\n", b"e\n"))
            done = self.cli("--launcher", launcher, "--", "sh", "-c", "cat < /dev/stdout || echo x > /dev/stdin", input=b"")
            self.assertEqual((done.returncode, done.stderr.count(b"Permission denied")), (2, 2))

    def test_a_terminal_is_for_input_alone(self):
        master, slave = pty.openpty()
        self.addCleanup(os.close, master)
        self.addCleanup(os.close, slave)
        for launcher in LAUNCHERS:
            os.write(master, b"typed\n")
            done = self.cli("--launcher", launcher, "--", "sh", "-c", "read x; echo got $x; echo past >&0; echo past > /dev/stdin", stdin=slave)
            self.assertEqual(done.stdout, b"got typed\n", done)
            self.assertEqual(os.read(master, 1000), b"typed\r\n")

    def test_what_the_caller_has_closed_is_not_one_of_ours(self):
        def closed(*fds):
            return lambda: [os.close(fd) for fd in fds]
        for launcher in LAUNCHERS:
            with self.subTest(launcher):
                words = ["--launcher", launcher, "--", "sh", "-c"]
                done = self.cli(*words, "cat; echo ok", preexec_fn=closed(0))
                self.assertEqual((done.returncode, done.stdout, done.stderr), (0, b"ok\n", b""))
                done = self.cli(*words, "echo lost; exit 7", preexec_fn=closed(0, 2))
                self.assertEqual((done.returncode, done.stdout), (7, b"lost\n"))
                done = self.cli(*words, "exit 7", preexec_fn=closed(0, 1, 2))
                self.assertEqual(done.returncode, 7)
                done = self.cli(*words, "echo lost", preexec_fn=closed(1))
                self.assertEqual(done.returncode, OURS, done)
                done = self.cli("--json", *words, "true", preexec_fn=closed(1))
                self.assertEqual(done.returncode, OURS, done)

    def test_signals_that_the_caller_ignores_are_the_programs_again(self):
        def ignore():
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
        # The ordinary user's way waits for newuidmap; without its helpers it has one uid, and waits for nobody.
        user = {"user": 65534, "group": 65534, "extra_groups": []}
        missing = [word for name in ("cgroup-memory", "cgroup-pids", "cgroup-cpu", "slot-uid") for word in ("--allow-missing", name)]
        for words, who in ((["--launcher", "native"], {}), (["--launcher", "bwrap"], {}), (missing, user)):
            with self.subTest(words):
                done = self.cli(*words, "--", "grep", "-E", "SigBlk|SigIgn", "/proc/self/status", preexec_fn=ignore, cwd="/", **who)
                self.assertEqual([line.split()[1] for line in done.stdout.decode().splitlines()], ["0" * 16] * 2, done)

    def test_a_bind_can_only_cover_what_is_there(self):
        here = str(self.directory)
        (self.directory / "sub").mkdir()
        (self.directory / "file").write_text("x")
        for launcher in LAUNCHERS:
            for words, said in (([f"{here}:/usr/share/no-such:ro"], "/usr/share/no-such is not there"),
                                ([f"{here}:/bin/no-such:ro"], "/bin/no-such is not there"),
                                ([f"{here}:/mnt/x:ro", "/etc:/mnt/x/no-such:ro"], "/mnt/x/no-such is not there"),
                                ([f"{here}:/mnt/x:ro", "/etc:/mnt/x/file:ro"], "a directory and a file")):
                binds = [word for bind in words for word in ("--bind", bind)]
                done, result = self.result("--launcher", launcher, *binds, "--", "true")
                self.assertEqual((done.returncode, result["verdict"]), (REFUSED, None), (words, done))
                self.assertIn(said, result["explanation"]["message"])
            done = self.cli("--launcher", launcher, "--bind", f"{here}:/a/b/c:ro", "--bind", f"{here}/file:/a/b/c/file:ro", "--bind",
                            f"{here}:/usr/share/doc:ro", "--", "ls", "/a/b/c", "/usr/share/doc")
            self.assertEqual((done.returncode, done.stdout.split().count(b"file"), done.stderr), (0, 2, b""))

    def test_etc_is_complete_when_the_program_starts(self):
        given = self.directory / "given"
        given.write_text("10.0.0.1 elsewhere\n")
        hosts = "127.0.0.1 localhost\n::1 localhost\n127.0.1.1 cloister\n"
        expected = sorted([*"passwd group hosts nsswitch.conf hostname fonts".split(),
                           *(name for name in ("ld.so.cache", "services", "os-release") if Path("/etc", name).exists())])
        script = "cat /etc/hosts && cd /etc && ls -d " + " ".join(expected) + " && wc -c </etc/ld.so.cache && echo x 2>/dev/null >/etc/hosts || exit 0"
        size = f"{Path('/etc/ld.so.cache').stat().st_size}\n"
        for _ in range(20):  # it is filled beside the sandbox's way to the program
            done = self.cli("--", "/bin/sh", "-c", script)
            self.assertEqual((done.returncode, done.stdout.decode()), (0, hosts + "\n".join(expected) + "\n" + size), done)
        done = self.cli("--bind", f"{given}:/etc/hosts", "--", "/bin/sh", "-c", script)  # and before it where something is laid over it
        self.assertEqual((done.returncode, done.stdout.decode()), (0, "10.0.0.1 elsewhere\n" + "\n".join(expected) + "\n" + size), done)

    def test_the_program_may_use_its_callers_processors(self):
        words = ["--", "python3", "-c", "import os; print(sorted(os.sched_getaffinity(0)))"]
        mine = os.sched_getaffinity(0)
        for cpus in [mine] + [{cpu} for cpu in sorted(mine)[:2]]:
            for _ in range(3):
                done = self.cli(*words, preexec_fn=lambda: os.sched_setaffinity(0, cpus))
                self.assertEqual((done.returncode, done.stdout.decode()), (0, f"{sorted(cpus)}\n"), done)

    def test_limits_come_from_the_environment_too(self):
        env = dict(os.environ, MEMORY_LIMIT_MB="64", EXECUTION_TIMEOUT="3")
        text = self.cli("--dry-run", "--limit", "cpu=4s", "--", "true", env=env).stdout.decode()
        self.assertIn("limits: memory=64M cpu=4s ", text)
        for value, said in (("2000", "limit memory: 2000M is above the ceiling of 1G"), ("much", "MEMORY_LIMIT_MB: 'much' is not")):
            done, result = self.result("--", "true", env=dict(os.environ, MEMORY_LIMIT_MB=value))
            self.assertEqual((done.returncode, result["verdict"]), (REFUSED, None))
            self.assertIn(said, result["explanation"]["message"])

    def test_a_writable_bind_is_writable(self):
        self.directory.chmod(0o777)
        for launcher in LAUNCHERS:
            words = ["--launcher", launcher, "--bind", f"{self.directory}:/data"]
            done = self.cli(*words, "--", "sh", "-c", f"echo {launcher} > /data/{launcher}")
            self.assertEqual((done.returncode, done.stderr), (0, b""))
            self.assertEqual((self.directory / launcher).read_text(), launcher + "\n")
            done = self.cli(*words[:2], "--bind", f"{self.directory}:/data:ro", "--", "sh", "-c", "echo > /data/x; echo > /usr/x; echo > /x")
            self.assertEqual(done.stderr.count(b"Read-only file system"), 3, done)


if __name__ == "__main__":
    need_root()
    unittest.main(verbosity=2)
