"""What the command line says when something is wrong: one line, what it is, and what to do. And every exit status of ours."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "support"))
from service import BUILD, SLOW, Service, need_root, wait_for  # noqa: E402

NOBODY = 65534
LONG = "/tmp/" + "a" * 120
OURS, REFUSED, LIMIT = 125, 126, 124

# The words after `cloister`, the exit status, and what the line holds. {dir} is where the files are.
TABLE = [
    # the command
    (["rn", "a.py"], REFUSED, "there is no command 'rn'. Did you mean 'run'?"),
    (["dcotor"], REFUSED, "Did you mean 'doctor'?"),
    (["a.py"], REFUSED, "To run that file: cloister run a.py"),
    (["frobnicate"], REFUSED, "`cloister --help` lists the commands"),
    # what to run
    (["run"], REFUSED, "which file? cloister run hello.py"),
    (["run", "gone.py"], REFUSED, "gone.py: No such file or directory"),
    (["run", "ls"], REFUSED, "cloister run --command -- ls"),
    (["run", "notes.txt"], REFUSED, "what runs notes.txt? Its name does not say: use --runtime NAME; there are python3, bash"),
    (["run", "sub"], REFUSED, "sub is a directory: name the file to run; --file sub brings the rest along"),
    (["run", "empty"], REFUSED, "empty holds no file"),
    (["run", "pipe.py"], REFUSED, "pipe.py is neither a file nor a directory"),
    (["run", "dangling.py"], REFUSED, "dangling.py is a symbolic link to something that is not there"),
    (["run", "--runtime", "python", "a.py"], REFUSED, "there is no runtime 'python' here; there are python3, bash"),
    (["run", "--runtime", "a b", "a.py"], REFUSED, "runtime: is not a name of up to 64 characters"),
    (["run", "--command"], REFUSED, "which command? cloister run --command -- ls -l"),
    (["run", "--command", "--runtime", "c", "x"], REFUSED, "--runtime and --command exclude each other"),
    (["run", "--command", "no-such-program"], 127, "no-such-program: no such program in the sandbox"),
    (["run", "--command", "--", "/etc/passwd"], 126, "/etc/passwd"),
    # limits
    (["run", "--limit", "memory", "a.py"], REFUSED, "'memory' is not NAME=VALUE, as in memory=64M"),
    (["run", "--limit", "ram=1M", "a.py"], REFUSED, "there is no limit 'ram'; there are memory, cpu, wall"),
    (["run", "--limit", "memory=1X", "a.py"], REFUSED, "'1X' is not a size such as 64K, 128M or 1G above 0"),
    (["run", "--limit", "memory=64G", "a.py"], REFUSED, "limit memory: 64G is above the ceiling of 1G"),
    (["run", "--limit", "memory=1K", "a.py"], REFUSED, "limit memory: 1K is below the least of"),
    (["run", "--limit", "cpu=0", "a.py"], REFUSED, "limit cpu: '0' is not a time such as 500ms, 30s, 10m or 1h"),
    (["run", "--limit", "processes=many", "a.py"], REFUSED, "limit processes: 'many' is not"),
    # files, environment, labels
    (["run", "--file", "gone.csv", "a.py"], REFUSED, "gone.csv: No such file or directory"),
    (["run", "--file", "notes.txt=../x", "a.py"], REFUSED, "../x as a path of the workspace: must not contain '.' or '..'"),
    (["run", "--file", "notes.txt=a.py", "a.py"], REFUSED, "'a.py' is there already"),
    (["run", "--file", "notes.txt=a.py/x", "a.py"], REFUSED, "'a.py/x' lies below another file"),
    (["run", "--env", "FOO", "a.py"], REFUSED, "--env: 'FOO' is not NAME=VALUE"),
    (["run", "--env", "1X=2", "a.py"], REFUSED, "'1X' is not a name ([A-Za-z_][A-Za-z0-9_]*"),
    (["run", "--env", "X=1", "--env", "X=2", "a.py"], REFUSED, "env: 'X' is given twice"),
    (["run", "--label", "Bad=1", "a.py"], REFUSED, "'Bad' is not [a-z0-9._/-]{1,63}"),
    (["run", "--output", "notes.txt", "a.py"], REFUSED, "notes.txt: Not a directory"),
    (["run", "--output", "/proc/x", "a.py"], REFUSED, "make directory /proc/x: No such file or directory"),
    # other options
    (["run", "--grace", "soon", "a.py"], REFUSED, "--grace: 'soon' is not a time such as 500ms"),
    (["run", "--grace", "2h", "a.py"], REFUSED, "--grace: more than 0 and at most 600s"),
    (["run", "--attach", "x", "a.py"], REFUSED, "--attach comes back to a run that is there"),
    (["run", "--attach", "0123456789"], REFUSED, "there is no such run of yours"),
    (["run", "--from", "1", "a.py"], REFUSED, "--from goes with --attach"),
    (["run", "--detach", "--output", "o", "a.py"], REFUSED, "--detach excludes --output: give it with --attach"),
    (["run", "--attach", "nonsense"], REFUSED, "there is no such run of yours"),
    (["run", "--attach", "0" * 32], REFUSED, "there is no such run of yours: it is over, or"),
    (["run", "--from", "1", "a.py"], REFUSED, "--from goes with --attach"),
    (["run", "--grace", "2h", "a.py"], REFUSED, "--grace: more than 0 and at most 600s"),
    (["run", "--class", "fast", "a.py"], REFUSED, "'fast' is neither interactive nor batch"),
    (["run", "--policy", "none", "a.py"], REFUSED, "'none' is neither no-subprocess nor subprocess"),
    (["run", "-t", "a.py"], REFUSED, "--terminal needs a terminal on stdin"),
    (["run", "--frob", "a.py"], REFUSED, "--frob: unknown option, or its value is missing; `cloister run --help`"),
    (["run", "--subject", "ann", "a.py"], REFUSED, "may not act for this subject: the operator allows it with act_for"),
    (["node", "--frob"], REFUSED, "--frob: unknown option, or its value is missing; `cloister node --help`"),
    (["node", "frob"], REFUSED, "takes one of info, runtimes and stats"),
    # the service
    (["run", "--socket", "/nowhere/x", "a.py"], OURS, "no service at /nowhere/x (No such file or directory). Start it with"),
    (["run", "--socket", "/nowhere/x", "a.lua"], OURS, "no service at /nowhere/x"),
    (["run", "--socket", "notes.txt", "a.py"], OURS, "notes.txt is not a socket; the service's is usually /run/cloister"),
    (["run", "--socket", "{dir}", "a.py"], OURS, "is not a socket"),
    (["run", "--socket", "stale.sock", "a.py"], OURS, "no service at stale.sock (Connection refused)"),
    (["run", "--socket", LONG, "a.py"], OURS, "a socket's path has at most 107 bytes: /tmp/aaa"),
    (["node", "--socket", LONG], OURS, "a socket's path has at most 107 bytes: /tmp/aaa"),
    (["node", "--socket", "/nowhere/x"], OURS, "or name its socket with --socket or CLOISTER_SOCKET"),
    (["sandbox", "run"], REFUSED, "no command to run; try `cloister sandbox run --help`"),
    (["sandbox", "run", "--limit", "ram=1", "--", "id"], REFUSED, "there is no limit 'ram'; there are memory"),
]


class Errors(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        settings = {"execsvc": {"running_max": 1, "queue_per_tenant": 1}}
        text = '[runtime "lua-like"]\ncommand = /bin/sh {entry} {args}\nextensions = .lual\n'
        cls.service = Service(settings, text=text).__enter__()
        cls.directory = tempfile.TemporaryDirectory(prefix="cloister-cli-errors-")
        here = cls.here = Path(cls.directory.name)
        here.chmod(0o755)
        for name, text in (("a.py", "print('hi')"), ("a.lua", "x"), ("a.lual", "echo $1"), ("notes.txt", "x"),
                           ("wait.py", "import time; print('on', flush=True); time.sleep(60)")):
            (here / name).write_text(text)
        (here / "sub").mkdir()
        (here / "sub" / "b.py").touch()
        (here / "empty").mkdir()
        os.mkfifo(here / "pipe.py")
        (here / "dangling.py").symlink_to("gone")
        with socket.socket(socket.AF_UNIX) as stale:
            stale.bind(str(here / "stale.sock"))

    @classmethod
    def tearDownClass(cls):
        cls.directory.cleanup()
        cls.service.__exit__(None, None, None)

    def cli(self, *words, **options):
        return self.service.cli(*words, cwd=self.here, **options)

    def test_each_message_says_what_is_wrong_and_what_to_do(self):
        for words, status, said in TABLE:
            words = [word.format(dir=self.here) for word in words]
            with self.subTest(" ".join(words)[:60]):
                done = self.cli(*words)
                text = done.stderr.decode()
                self.assertEqual((done.returncode, done.stdout), (status, b""), text)
                self.assertIn(said, text)
                self.assertTrue(text.startswith("cloister: "), text)
                lines = text.count("\n")
                self.assertTrue(lines == 1 or lines == 2 and "`cloister --help` lists the commands" in text, text)

    def test_json_says_the_same_in_its_object(self):
        for words, status, said in TABLE:
            if words[0] != "run" or status == 127 or "/etc/passwd" in words:
                continue
            words = [word.format(dir=self.here) for word in words[1:] if word != "-t"]
            if words == ["a.py"]:
                continue  # it was the terminal that was missing
            with self.subTest(" ".join(words)[:60]):
                done = self.cli("run", "--json", *words)
                found = json.loads(done.stdout)
                self.assertEqual((done.returncode, done.stderr), (status, b""))
                self.assertIn(said, found["explanation"]["message"])
                self.assertIs(found["verdict"] is None, status == REFUSED, found["verdict"])

    def test_an_extension_that_only_the_node_knows(self):
        done = self.cli("run", "a.lual", "well")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, b"well\n", b""))
        done = self.cli("run", "a.lua")
        self.assertIn(b"there are python3, bash, c, node, lua-like", done.stderr)

    def test_every_exit_status(self):
        table = [
            (0, "pass"), (3, "import sys; sys.exit(3)"), (1, "raise SystemExit('no')"),
            (128 + signal.SIGSEGV, "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"),
            (LIMIT, "while True: pass"), (REFUSED, "import os; os.fork()"),
        ]
        for status, text in table:
            for json_option in ([], ["--json"]):
                (self.here / "s.py").write_text(text)
                done = self.cli("run", *json_option, "--limit", "cpu=200ms", "--policy", "no-subprocess", "s.py")
                self.assertEqual(done.returncode, status, (text, done))

    def start(self, *words):
        env = dict(os.environ, CLOISTER_SOCKET=str(self.service.socket))
        process = subprocess.Popen([BUILD / "bin" / "cloister", "run", *words], env=env, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=self.here)
        for what in (process.stdout.close, process.stderr.close, process.wait, process.kill):
            self.addCleanup(what)
        return process

    def test_a_full_queue_and_a_caller_that_is_killed(self):
        first = self.start("wait.py")
        self.assertEqual(first.stdout.readline(), b"on\n")
        second = self.start("a.py")
        self.assertIn(b"cloister: waiting: position 1 in the queue", second.stderr.readline())
        done = self.cli("run", "a.py")
        self.assertEqual(done.returncode, REFUSED)
        self.assertRegex(done.stderr.decode(), r"^cloister: .*\(try again in \d+ ms\)\n$")
        self.assertEqual(json.loads(self.cli("run", "--json", "a.py").stdout)["verdict"], None)
        first.kill()
        self.assertEqual(second.wait(20 * SLOW), 0)

    def test_a_socket_of_somebody_else_s(self):
        directory = self.service.directory / "bin"
        directory.mkdir()
        for name in ("cloister", "cloister-remote"):
            shutil.copy(BUILD / "bin" / name, directory)
        env = dict(os.environ, CLOISTER_SOCKET=str(self.service.socket))
        who = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
        done = subprocess.run([directory / "cloister", "run", "a.py"], env=env, cwd=self.here, capture_output=True,
                              text=True, stdin=subprocess.DEVNULL, timeout=60 * SLOW, **who)
        self.assertEqual(done.returncode, OURS)
        self.assertRegex(done.stderr, r"^cloister: you may not use .*Permission denied.*ask for membership .*\n$")
        (self.here / "closed.py").touch(0o600)
        done = subprocess.run([directory / "cloister", "run", "closed.py"], env=env, cwd=self.here, capture_output=True,
                              text=True, stdin=subprocess.DEVNULL, timeout=60 * SLOW, **who)
        self.assertEqual((done.returncode, done.stderr),
                         (REFUSED, "cloister: closed.py: you may not read it (Permission denied)\n"))


class Ending(unittest.TestCase):
    def test_a_service_that_drains_and_one_that_is_killed(self):
        with tempfile.TemporaryDirectory() as directory, Service({"execsvc": {"drain": "30s"}}) as service:
            Path(directory, "wait.py").write_text("import time; print('on', flush=True); time.sleep(60)")
            env = dict(os.environ, CLOISTER_SOCKET=str(service.socket))

            def start():
                process = subprocess.Popen([BUILD / "bin" / "cloister", "run", "wait.py"], env=env, cwd=directory,
                                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                           text=True)
                self.assertEqual(process.stdout.readline(), "on\n")
                return process
            killed = start()
            os.kill(service.pids()[1], signal.SIGKILL)
            _, said = killed.communicate(timeout=20 * SLOW)
            self.assertEqual(killed.returncode, OURS, said)
            self.assertTrue(said.startswith("cloister: ") and said.count("\n") == 1, said)
            service.wait_ready(times=2)

            drained = start()
            os.kill(service.process.pid, signal.SIGTERM)
            wait_for(lambda: service.cli("run", "wait.py", cwd=directory).returncode == OURS, 20, "the drain")
            refused = service.cli("run", "wait.py", cwd=directory)
            self.assertRegex(refused.stderr.decode(), "^cloister: .*(shut down|no service at).*\n$")
            drained.send_signal(signal.SIGTERM)
            _, said = drained.communicate(timeout=60 * SLOW)
            self.assertIn("shut down", said)
            service.process.wait(30 * SLOW)


if __name__ == "__main__":
    need_root()
    unittest.main(verbosity=2)
