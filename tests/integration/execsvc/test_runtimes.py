"""Runtimes as configuration: what docs/RUNTIMES.md says is done, with its own lines; trees of their own; what is wrong."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from common import BUILD, Service, ServiceTest, contract, main
from service import SOURCE

DOC = (SOURCE / "docs" / "RUNTIMES.md").read_text()


def blocks(kind):
    return re.findall(rf"^```{kind}\n(.*?)^```$", DOC, re.S | re.M)


class Documented(ServiceTest):
    """The page's snippets, in a directory of the test instead of /srv."""

    @classmethod
    def setUpClass(cls):
        cls.place = Path(tempfile.mkdtemp(prefix="cloister-runtimes-"))
        cls.place.chmod(0o755)
        cls.addClassCleanup(shutil.rmtree, cls.place)
        for script in blocks("sh"):
            subprocess.run(["/bin/sh", "-ec", script.replace("/srv/rootfs", str(cls.place))], check=True)
        cls.text = "".join(blocks("ini")).replace("/srv/rootfs", str(cls.place))
        cls.text += (f'[runtime "gone"]\nrootfs = {cls.place}/gone\ncommand = /bin/sh {{entry}}\nversion = /bin/true\n'
                     f'[runtime "file"]\nmount.one = /etc/passwd:/opt/passwd\ncommand = /bin/sh {{entry}}\nversion = /bin/true\n'
                     f'[runtime "off"]\nrootfs = {cls.place}/off\ncommand = /bin/sh {{entry}}\nenabled = no\n')
        (cls.place / "linked").symlink_to(cls.place / "busybox")
        cls.text += (f'[runtime "linked"]\nrootfs = {cls.place}/linked\ncommand = /bin/sh {{entry}} {{args}}\n'
                     f'version = /bin/busybox\n[runtime "mounted"]\nmount.a = {cls.place}/busybox/bin:/opt/box\n'
                     f'command = /opt/box/sh {{entry}}\nversion = /opt/box/busybox\n')
        super().setUpClass()

    def runtimes(self):
        reply = self.client.unary("Node/Runtimes", contract.RuntimesRequest(), contract.RuntimesResponse)
        return {runtime.name: runtime for runtime in reply.runtimes}

    def box(self, script, name="busybox", **request):
        return self.client.run(runtime=name, files={"a.ash": script}, **request)

    def test_lua_takes_ten_lines(self):
        lua = blocks("ini")[0]
        self.assertIn('[runtime "lua"]', lua)
        self.assertLessEqual(len(lua.splitlines()), 10)
        self.assertRegex(self.runtimes()["lua"].version, r"^Lua 5\.4")
        run = self.client.run(runtime="lua", files={"a.lua": 'local m = require("m"); print(m.x + #arg, arg[1])',
                                                    "m.lua": "return {x = 41}"}, args=["word"])
        self.assertEqual((run.stdout, run.stderr), (b"42\tword\n", b""), run)
        self.assertEqual(run.result.runtime.name, "lua")
        self.assertRegex(run.result.runtime.version, r"^Lua 5\.4")
        run = self.client.run(runtime="lua", files={"a.lua": 'print(("x"):rep(100 << 20):len())'})
        self.assertNotEqual(run.exit_code, 0)  # its own default of memory

    def test_the_command_line_picks_it_by_the_files_name(self):
        path = self.place / "hello.lua"
        path.write_text('print("hello from " .. _VERSION)')
        run = self.service.cli("run", str(path))
        self.assertEqual((run.returncode, run.stdout), (0, b"hello from Lua 5.4\n"), run.stderr)

    def test_the_command_line_and_the_node_know_the_same_extensions(self):
        known = re.findall(r'\{"(\.\w+)", "(\w+)"\}', (SOURCE / "cli" / "run_runtime.c").read_text())
        self.assertIn((".bash", "bash"), known)
        found = self.runtimes()
        for name in {runtime for _, runtime in known}:
            self.assertEqual([extension for extension, runtime in known if runtime == name],
                             list(found[name].extensions))

    def test_a_compiled_language(self):
        files = {"main.cpp": '#include <cstdio>\nint twice(int);\nint main() { std::printf("%d\\n", twice(21)); }',
                 "twice.cc": "int twice(int n) { return 2 * n; }", "notes.txt": "not a source"}
        run = self.client.run(runtime="cpp", files=files)
        self.assertEqual(run.stdout, b"42\n", run)
        run = self.client.run(runtime="cpp", files={"main.cpp": "int main() { return x; }"})
        self.assertVerdict(run, "COMPILE_FAILED", 1)
        self.assertIn(b"was not declared", run.stderr)

    def test_a_rootfs_is_the_root_and_nothing_of_the_host_is_there(self):
        run = self.box("ls -1 /; cat /etc/passwd | head -1; ls /etc; id -un; tty; echo hi >f; cat f; echo $0 $1", args=["one"])
        lines = run.stdout.decode().split()
        self.assertEqual(lines[:8], ["bin", "dev", "etc", "opt", "proc", "run", "tmp", "workspace"], run)
        self.assertEqual(lines[8:], ["root:x:0:0:root:/:/usr/sbin/nologin", "group", "hostname", "hosts", "nsswitch.conf",
                                     "passwd", "sandbox", "not", "a", "tty", "hi", "a.ash", "one"], run)
        run = self.box("/usr/bin/python3 -c 1; touch /x /bin/x /opt/texts/x /opt/x; exit 3")
        self.assertVerdict(run, "EXITED", 3)
        self.assertEqual(run.stderr.count(b"Read-only file system"), 4, run)
        self.assertIn(b"not found", run.stderr)
        self.assertTrue(all(layer.active for layer in run.result.layers), run)

    def test_a_rootfs_has_terminals_and_files_out(self):
        run = self.box("tty; stty size; echo made >out", terminal=(30, 100), collect={})
        self.assertEqual(run.stdout.split(), [b"/dev/pts/0", b"30", b"100"], run)
        self.assertEqual(run.files[b"out"]["data"], b"made\n")

    def test_large_inputs_are_there_too(self):
        content = os.urandom(3 << 20)
        with tempfile.TemporaryDirectory() as place:
            (Path(place) / "a.ash").write_text("sha256sum data; wc -c <data; ls /bin/busybox")
            (Path(place) / "data").write_bytes(content)
            run = self.service.cli("run", "--file", "data", "a.ash", cwd=place)
        self.assertEqual(run.stdout.decode().split(), [hashlib.sha256(content).hexdigest(), "data", str(3 << 20),
                                                       "/bin/busybox"], run)

    def test_a_mount_is_seen_by_its_runtime_only_and_cannot_be_written(self):
        run = self.box("head -c 9 /opt/texts/GPL-3 | wc -c; grep ' /opt/texts ' /proc/self/mountinfo")
        count, mount = run.stdout.decode().split("\n")[:2]
        self.assertEqual(count, "9")
        for option in ("ro,", "nosuid", "nodev", "noatime"):
            self.assertIn(option, mount)
        self.assertEqual(self.client.run(argv=["/bin/ls", "/opt/texts"]).exit_code, 2)
        self.assertEqual(self.client.run(argv=["/bin/ls", "/opt/box"]).exit_code, 2)
        run = self.client.run(runtime="mounted", files={"a": "/opt/box/ls /opt; ls /usr/bin/python3; touch /opt/box/x"})
        self.assertEqual(run.stdout, b"box\n/usr/bin/python3\n", run)
        self.assertIn(b"Read-only", run.stderr)

    def test_locks_on_a_shared_file_are_the_slots_own(self):
        lock = "/usr/bin/flock -xn /opt/box/busybox /opt/box/sh -c 'echo got; {}'"
        holder = self.client.interact(runtime="mounted", files={"a": lock.format("cat")})
        holder.wait(lambda run: b"got" in run.stdout)
        other = self.box(lock.format("true"), name="mounted")
        holder.say(close_stdin=True)
        self.assertEqual(other.stdout, b"got\n", other)
        self.assertEqual(holder.end().exit_code, 0)

    def test_what_is_missing_is_told_and_harms_no_other(self):
        found = self.runtimes()
        self.assertFalse(found["gone"].available)
        self.assertIn(f"{self.place}/gone: No such file or directory", found["gone"].detail)
        self.assertFalse(found["file"].available)
        self.assertIn("directories only", found["file"].detail)
        self.assertNotIn("off", found)
        for name in ("python3", "lua", "cpp", "busybox", "linked", "mounted"):
            self.assertTrue(found[name].available, found[name])
        run = self.box("echo no", name="gone")
        self.assertEqual((run.code, run.details["reason"]), ("UNAVAILABLE", "RUNTIME_UNAVAILABLE"))
        self.assertEqual(self.box("echo $((6 * 7))", name="linked").stdout, b"42\n")

    def test_numpy_needs_one_thread_and_a_request_may_ask_for_more(self):
        code = "import numpy, threading\na = numpy.ones((300, 300))\nprint(int((a @ a)[0][0]), len(__import__('os').listdir('/proc/self/task')))"
        run = self.client.run(runtime="python3", files={"a.py": code}, limits={"processes": 1, "memory_bytes": 512 << 20})
        self.assertEqual(run.stdout, b"300 1\n", run)
        run = self.client.run(runtime="python3", files={"a.py": code}, env={"OPENBLAS_NUM_THREADS": "4"},
                              limits={"processes": 1, "memory_bytes": 512 << 20})
        self.assertNotEqual((run.stdout, run.stderr), (b"300 1\n", b""))  # so the cap is what made it work

    def test_print_config_shows_the_trees(self):
        run = subprocess.run([BUILD / "bin" / "execsvc", "--print-config", "--config", self.service.config],
                             capture_output=True, text=True)
        self.assertIn(f"rootfs = {self.place}/busybox\nmount.texts = /usr/share/common-licenses:/opt/texts\n", run.stdout)


HELLO = '#include <stdio.h>\nint main(void) { int unused; printf("%d\\n", ANSWER); return 0; }\n'


class CompileCache(ServiceTest):
    """A second run of the same program is not compiled, if it is the same in everything and of the same tenant."""

    settings = {"execsvc": {"compile_cache": "1M", "compile_cache_entries": 4}}
    text = ('[identity "uid:0"]\nact_for = *\n'
            '[runtime "c-fresh"]\ncompile = /usr/bin/cc -o {output} {sources}\ncommand = /workspace/{output}\n'
            'extensions = .c\ncompile-cache = no\nversion = /usr/bin/cc --version\n'
            '[runtime "c-fast"]\ncompile = /usr/bin/cc -O2 -DANSWER=3 -o {output} {sources}\n'
            'command = /workspace/{output}\nextensions = .c\nversion = /usr/bin/cc --version\n')

    def program(self, answer, client=None, runtime="c", **request):
        files = {"main.c": HELLO.replace("ANSWER", str(answer)), **request.pop("files", {})}
        run = (client or self.client).run(runtime=runtime, files=files, **request)
        self.assertEqual((run.stdout, run.exit_code), (b"%d\n" % answer, 0), run)
        return run

    def kinds(self, run):
        return [notice.kind for notice in run.notices]

    def assertCompiled(self, run, compiled=True):
        timing = run.result.timing
        self.assertEqual((not timing.compile_cached, timing.compile_us > 0, 4 in self.kinds(run)), (compiled,) * 3, run)
        self.assertEqual(run.result.verdict, 12)

    def test_the_second_run_is_not_compiled_and_says_so(self):
        first = self.program(1001)
        second = self.program(1001)
        self.assertCompiled(first)
        self.assertCompiled(second, False)
        # What the step took is in the total of the first run alone: no clock is compared with another run's.
        self.assertGreater(first.result.timing.total_us, first.result.timing.compile_us)
        warned = [[n.message for n in run.notices if n.kind == 5] for run in (first, second)]
        self.assertIn("unused", warned[0][0])
        self.assertEqual(warned[0], warned[1])
        print(f"compiled {first.result.timing.total_us} us, cached {second.result.timing.total_us} us")

    def test_what_differs_is_compiled(self):
        self.program(1002)
        self.assertCompiled(self.program(1002), False)
        self.assertCompiled(self.program(1003))
        self.assertCompiled(self.program(1002, env={"A": "b"}))
        self.assertCompiled(self.program(1002, files={"other.h": ""}))
        self.assertCompiled(self.program(1002, runtime="c-fast"))
        self.assertCompiled(self.program(1002, runtime="c-fresh"))
        self.assertCompiled(self.program(1002, runtime="c-fresh"))

    def test_arguments_and_input_do_not_count(self):
        self.program(1004)
        self.assertCompiled(self.program(1004, args=["x"], stdin_data=b"y", collect={}), False)
        run = self.client.run(runtime="c", files={"main.c": HELLO.replace("ANSWER", "1004")}, terminal=(24, 80))
        self.assertTrue(run.result.timing.compile_cached, run)

    def test_another_tenant_does_not_find_it(self):
        anna, ben = self.service.client(subject="anna"), self.service.client(subject="ben")
        try:
            self.assertCompiled(self.program(1005, anna))
            self.assertCompiled(self.program(1005, ben))
            self.assertCompiled(self.program(1005))
            self.assertCompiled(self.program(1005, anna), False)
            self.assertCompiled(self.program(1005, ben), False)
        finally:
            anna.close()
            ben.close()

    def test_what_is_too_much_goes(self):
        for answer in range(2000, 2005):
            self.assertCompiled(self.program(answer))
        self.assertCompiled(self.program(2004), False)
        self.assertCompiled(self.program(2000))

    def test_a_run_cannot_put_anything_there(self):
        """It overwrites its own program, and what it leaves under the output's name is collected: neither is kept."""
        poison = ('#include <stdio.h>\n#include <unistd.h>\nint main(void) { puts("honest"); unlink("/workspace/a.out");'
                  'FILE *f = fopen("/workspace/a.out", "w"); fputs("#!/bin/echo poisoned\\n", f); return fclose(f); }')
        for compiled in (True, False, False):
            run = self.client.run(runtime="c", files={"main.c": poison}, collect={"patterns": ["*"]})
            self.assertEqual(run.stdout, b"honest\n", run)
            self.assertCompiled(run, compiled)

    def test_what_does_not_compile_is_not_kept(self):
        for _ in range(2):
            run = self.client.run(runtime="c", files={"main.c": "int main(void) { return nothing; }"})
            self.assertEqual(run.verdict, "COMPILE_FAILED")
            self.assertGreater(run.result.timing.compile_us, 0)
            self.assertIn(b"nothing", run.stderr)

    def test_the_command_line_tells_it(self):
        with tempfile.TemporaryDirectory() as place:
            path = Path(place) / "main.c"
            path.write_text(HELLO.replace("ANSWER", "1006"))
            timings = [json.loads(self.service.cli("run", "--json", str(path)).stdout)["timing_us"] for _ in range(2)]
        self.assertTrue(timings[0]["compile"] > 0 and timings[1]["compile"] == 0)

    def test_metrics_count_it(self):
        def counts():
            metrics = self.service.metrics()
            return [metrics["execsvc_compile_cache_" + name] for name in
                    ('lookups_total{outcome="hit"}', 'lookups_total{outcome="miss"}', "entries", "bytes")]
        before = counts()
        self.program(1007)
        self.program(1007)
        after = counts()
        self.assertEqual([after[0] - before[0], after[1] - before[1]], [1, 1])
        self.assertLessEqual(after[2], 4)
        self.assertTrue(0 < after[3] <= 1 << 20)


class Mistakes(unittest.TestCase):
    """Each is an error of --check-config, with the line and the reason."""

    def refused(self, program, lines, words):
        service = Service({}, '[runtime "lua"]\ncommand = /usr/bin/lua5.4 {entry}\n' + lines)
        try:
            run = subprocess.run([BUILD / "bin" / program, "--check-config", "--config", service.config],
                                 capture_output=True, text=True)
            self.assertNotEqual(run.returncode, 0, lines)
            self.assertIn(words, run.stderr + run.stdout)
        finally:
            service.discard()

    def test_unknown_keys_are_errors(self):
        for line in ("comand = /x", "bind = /x", "mount = /x:/y", "env = X", "limit.speed = 3", "rootfs.x = /"):
            self.refused("execsvc", line + "\n", line.split(".")[0].split(" ")[0] if "speed" not in line else "speed")

    def test_values_are_checked(self):
        self.refused("execsvc", "rootfs = srv/x\n", "absolute path")
        self.refused("execsvc", "mount.a = srv/x:/y\n", "absolute")
        self.refused("execsvc", "command = lua {entry}\n", "set twice")
        self.refused("execsvc", "compile = /usr/bin/cc {sources}\n", "{output}")
        self.refused("execsvc", "version = lua -v\n", "absolute path")
        self.refused("execsvc", "extensions = lua\n", "dot")

    def test_the_spawner_checks_what_it_mounts(self):
        self.refused("cloister-spawner", "rootfs = srv/x\n", "absolute path")
        self.refused("cloister-spawner", "mount.a = /srv/x:/workspace/x\n", "sandbox's own")
        self.refused("cloister-spawner", "mount.a = /srv/x:/proc\n", "sandbox's own")
        self.refused("cloister-spawner", "mount.a = /srv/x:/opt/../etc\n", "without ..")
        self.refused("cloister-spawner", "mount.a = /srv/x:\n", "absolute path")
        self.refused("cloister-spawner", "mount.a = /\n", "absolute path")
        self.refused("cloister-spawner", "rootfs = /" + "x" * 300 + "\n", "at most 255 bytes")
        self.refused("cloister-spawner", "".join(f"mount.m{i} = /usr:/opt/{i}\n" for i in range(65)), "more than 64 mounts")
        self.refused("cloister-spawner", "".join(f'[runtime "r{i}"]\nrootfs = /srv\n' for i in range(32)), "more than 31")


if __name__ == "__main__":
    main()
