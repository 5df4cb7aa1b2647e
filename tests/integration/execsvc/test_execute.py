"""Execution.Execute: what a program prints, takes and leaves behind."""

import hashlib
import time

import grpc

from common import ServiceTest, contract, main

CSV = "a,b\n1,2\n3,4\n"
PANDAS = """
import pandas, matplotlib.pyplot as plt
d = pandas.read_csv("data.csv")
print(d.sum().to_dict())
d.plot(x="a", y="b")
plt.savefig("plot.png")
"""


class Output(ServiceTest):
    def test_hello_prints_at_once_and_not_at_the_end(self):
        run = self.python("import time\nprint('hello')\ntime.sleep(1)\nprint('later')\n")
        self.assertVerdict(run, "EXITED", 0)
        self.assertEqual(run.stdout, b"hello\nlater\n")
        self.assertEqual(run.events[0], "started")
        self.assertEqual(run.events[-1], "result")
        first, last = run.events.index("output"), len(run.events) - 1
        self.assertGreater(run.times[last] - run.times[first], 0.9)
        self.assertEqual(run.code, "OK")
        self.assertEqual(run.result.runtime.name, "python3")
        self.assertTrue(run.result.runtime.version.startswith("Python 3"))
        self.assertEqual(len(run.run_id), 32)
        self.assertEqual(run.result.run_id, run.run_id)

    def test_both_streams_arrive_byte_for_byte(self):
        run = self.python("import sys\n"
                          "sys.stdout.buffer.write(bytes(range(256)) * 1000)\n"
                          "sys.stderr.buffer.write(b'\\xff\\xfe\\0' * 500)\n")
        self.assertEqual(run.stdout, bytes(range(256)) * 1000)
        self.assertEqual(run.stderr, b"\xff\xfe\0" * 500)
        self.assertEqual(run.result.dropped_stdout_bytes, 0)

    def test_exit_status_and_signal_are_told(self):
        self.assertVerdict(self.python("raise SystemExit(41)"), "EXITED", 41)
        run = self.python("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)")
        self.assertVerdict(run, "SIGNALED")
        self.assertEqual(run.result.signal, "SIGSEGV")

    def test_above_the_limit_head_and_tail_are_kept_and_the_rest_is_counted(self):
        text = "".join(f"{i}\n" for i in range(20000)).encode()
        run = self.client.run(argv=["/usr/bin/seq", "0", "19999"], limits={"output_bytes": 10000})
        self.assertVerdict(run, "EXITED", 0)
        self.assertEqual(list(run.result.limits_hit), ["output"])
        self.assertEqual(len(run.stdout) + run.result.dropped_stdout_bytes, len(text))
        self.assertEqual(len(run.stdout), 10000)
        self.assertTrue(text.startswith(run.stdout[:7500]))
        self.assertTrue(text.endswith(run.stdout[7500:]))
        self.assertEqual([n.kind for n in run.notices], [3])

    def test_two_hundred_megabytes_end_as_output_limit_unless_the_limit_allows_them(self):
        code = "import os\nfor _ in range(3200): os.write(1, b'x' * 65536)\n"
        run = self.python(code)
        self.assertVerdict(run, "OUTPUT_LIMIT")
        self.assertEqual(run.result.explanation.limit, "output")
        self.assertEqual(len(run.stdout), 1 << 20)
        run = self.python(code, limits={"output_bytes": 4 << 20})
        self.assertVerdict(run, "EXITED", 0)
        self.assertEqual(run.result.dropped_stdout_bytes, 3200 * 65536 - (4 << 20))

    def test_endless_output_ends(self):
        begun = time.monotonic()
        for argv in (["/usr/bin/yes"], ["/bin/sh", "-c", "while :; do echo no >&2; done"]):
            run = self.client.run(argv=argv, limits={"output_bytes": 100000})
            self.assertVerdict(run, "OUTPUT_LIMIT")
        self.assertLess(time.monotonic() - begun, 60)  # its wall limit each: it was the output that ended them

    def test_a_slow_reader_slows_the_program_and_loses_nothing(self):
        size = 8 << 20
        request = self.client.request(argv=["/usr/bin/head", "-c", str(size), "/dev/zero"],
                                      limits={"output_bytes": 16 << 20})
        received, pauses = 0, 0
        for event in self.client.execute(request):
            if event.WhichOneof("event") == "output":
                received += len(event.output.data)
                if pauses < 5:
                    pauses += 1
                    time.sleep(0.1)
        self.assertEqual(received, size)


class Input(ServiceTest):
    def test_stdin_is_there_and_then_closed(self):
        run = self.python("import sys\ndata = sys.stdin.buffer.read()\nprint(len(data), hash(data) != 0, data[:3])\n",
                          stdin_data=b"abc" * 300000)
        self.assertEqual(run.stdout, b"900000 True b'abc'\n")
        self.assertEqual(self.client.run(argv=["/bin/cat"]).stdout, b"")

    def test_arguments_environment_and_files_are_passed_as_they_are(self):
        run = self.python("import sys, os\nprint(sys.argv[1:], os.environ['NAME'], os.environ['HOME'], os.getcwd())\n"
                          "print(open('sub/dir/x.txt').read(), os.access('tool', os.X_OK))\n",
                          args=["a b", "$(id)", "é", "-c", ""], env={"NAME": "with = and\nnewline"},
                          files={"sub/dir/x.txt": "deep", "tool": "#!/bin/sh\n"}, executable=("tool",))
        self.assertVerdict(run, "EXITED", 0)
        self.assertEqual(run.stdout.decode(), "['a b', '$(id)', 'é', '-c', ''] with = and\nnewline /workspace /workspace\n"
                                              "deep True\n")

    def test_a_file_whose_name_looks_like_an_option_is_a_file(self):
        run = self.client.run(runtime="python3", files={"-c": "print('it ran')"})
        self.assertEqual(run.stdout, b"it ran\n")

    def test_entry_chooses_the_file_to_start(self):
        files = {"lib.py": "x = 5\n", "start.py": "import lib\nprint(lib.x)\n"}
        self.assertEqual(self.client.run(runtime="python3", files=files, entry="start.py").stdout, b"5\n")

    def test_a_request_of_a_megabyte_of_files(self):
        files = {f"d{i % 7}/f{i}": bytes([i % 256]) * 1000 for i in range(1000)}
        code = "import os\nprint(sum(len(f) for _, _, f in os.walk('.')))\n"
        self.assertEqual(self.python(code, files=files).stdout, b"1001\n")


class Runtimes(ServiceTest):
    def test_bash_and_node(self):
        self.assertEqual(self.client.run(runtime="bash", files={"a.sh": 'echo "hi $1"'}, args=["you"]).stdout, b"hi you\n")
        run = self.client.run(runtime="node", files={"a.js": "console.log(1 + 1, process.argv[2])"}, args=["x"])
        self.assertEqual(run.stdout, b"2 x\n", run)

    def test_c_compiles_and_runs(self):
        files = {"main.c": '#include <stdio.h>\n#include "lib.h"\n'
                           'int main(int c, char **v) { printf("%d %s\\n", twice(c), v[1]); return 3; }\n',
                 "lib.c": "int twice(int x) { return 2 * x; }\n", "lib.h": "int twice(int);\n", "a.out": "taken"}
        run = self.client.run(runtime="c", files=files, args=["arg"], collect={})
        self.assertVerdict(run, "EXITED", 3)
        self.assertEqual(run.stdout, b"4 arg\n")
        self.assertEqual(run.files, {})
        self.assertEqual(run.notices[0].kind, 4)

    def test_a_program_that_does_not_compile_has_the_compilers_words(self):
        run = self.client.run(runtime="c", files={"main.c": "int main(void) { return nothing; }\n"})
        self.assertVerdict(run, "COMPILE_FAILED", 1)
        self.assertIn(b"main.c:1", run.stderr)
        self.assertIn(b"nothing", run.stderr)
        self.assertNotIn("started", run.events)
        self.assertEqual(run.code, "OK")

    def test_warnings_are_notices_and_not_output(self):
        run = self.client.run(runtime="c", files={"main.c": "int main(void) { int unused; return 0; }\n"})
        self.assertVerdict(run, "EXITED", 0)
        self.assertEqual(run.stderr, b"")
        self.assertTrue(any("unused" in n.message for n in run.notices))

    def test_a_compiler_that_is_led_astray_is_ended(self):
        bomb = '#include "/dev/zero"\nint main(void) { return 0; }\n'
        run = self.client.run(runtime="c", files={"main.c": bomb})
        self.assertEqual(run.verdict, "COMPILE_FAILED", run)

    def test_pandas_reads_a_file_and_the_picture_comes_back(self):
        run = self.python(PANDAS, files={"data.csv": CSV}, collect={}, limits={"memory_bytes": 256 << 20})
        self.assertVerdict(run, "EXITED", 0)
        self.assertEqual(run.stdout, b"{'a': 4, 'b': 6}\n")
        self.assertEqual(list(run.files), [b"plot.png"])
        self.assertTrue(run.files[b"plot.png"]["data"].startswith(b"\x89PNG"))


class Files(ServiceTest):
    def test_new_and_changed_files_come_back_and_others_do_not(self):
        code = ("import os\nopen('new', 'wb').write(b'n' * 200000)\nopen('changed', 'a').write('!')\nopen('empty', 'w')\n"
                "os.makedirs('a/b')\nopen('a/b/c', 'w').write('deep')\nopen('/tmp/elsewhere', 'w').write('x')\n"
                "os.remove('gone')\n")
        run = self.python(code, files={"same": "s", "changed": "c", "gone": "g"}, collect={})
        self.assertVerdict(run, "EXITED", 0)
        self.assertEqual({p: len(f["data"]) for p, f in run.files.items()},
                         {b"new": 200000, b"changed": 2, b"empty": 0, b"a/b/c": 4})
        for path, file in run.files.items():
            self.assertEqual(file["sha256"], hashlib.sha256(file["data"]).digest(), path)
        self.assertEqual({o.path: o.sha256 for o in run.result.outputs},
                         {p: f["sha256"] for p, f in run.files.items()})
        self.assertEqual(len(run.result.outputs_skipped), 0)

    def test_without_collect_nothing_comes_back(self):
        self.assertEqual(self.python("open('x', 'w')").files, {})

    def test_patterns_and_caps(self):
        code = "import os\nos.mkdir('d')\nfor n in ('a.png', 'b.txt', 'd/c.png', 'e.png'): open(n, 'w').write('x' * 10)\n"
        run = self.python(code, collect={"patterns": ["*.png"]})
        self.assertEqual(set(run.files), {b"a.png", b"e.png"})
        run = self.python(code, collect={"patterns": ["*.png", "d/*"], "max_files": 2})
        self.assertEqual(len(run.files), 2)
        self.assertEqual([s.reason for s in run.result.outputs_skipped], ["too many files"])
        run = self.python(code, collect={"max_bytes": 25})
        self.assertEqual(len(run.files), 2)
        self.assertEqual({s.reason for s in run.result.outputs_skipped}, {"too many bytes"})

    def test_traps_are_neither_followed_nor_waited_for(self):
        code = ("import os, socket\nos.symlink('/etc/passwd', 'link')\nos.mkfifo('fifo')\n"
                "socket.socket(socket.AF_UNIX).bind('sock')\nos.symlink('/', 'root')\nos.mkdir('dir')\n"
                "open(b'odd\\xff name', 'w').write('odd')\nopen('line\\nfeed', 'w')\nopen('secret', 'w').write('s')\nos.chmod('secret', 0)\n")
        run = self.python(code, collect={})
        self.assertVerdict(run, "EXITED", 0)
        self.assertIn(b"odd\xff name", run.files)
        self.assertLessEqual(set(run.files), {b"odd\xff name", b"secret"})

    def test_many_files(self):
        run = self.python("for i in range(600): open(f'f{i}', 'w').write(str(i))", collect={"max_files": 500})
        self.assertEqual(len(run.files), 500)
        self.assertEqual(sum(1 for s in run.result.outputs_skipped if s.path), 100)

    def test_as_many_files_as_may_be_asked_for(self):
        code = "for i in range(3000): open(f'f{i}', 'w').close()\nopen('z', 'w').write('z')\n"
        code += "for i in range(3): open(f'a{i}', 'w').truncate(70 << 20)"
        limits = {"file_size_bytes": 128 << 20}
        run = self.python(code, collect={"max_files": 4096, "patterns": ["f*", "z"]}, limits=limits)
        self.assertEqual((len(run.files), len(run.result.outputs_skipped)), (3001, 0))
        # What nobody wants takes no room from what is wanted.
        run = self.python(code, collect={"patterns": ["z"]}, limits=limits)
        self.assertEqual((run.files[b"z"]["data"], len(run.files)), (b"z", 1))

    def test_files_of_a_failed_program_come_back_too(self):
        run = self.python("open('log', 'w').write('why')\nraise SystemExit(2)", collect={})
        self.assertVerdict(run, "EXITED", 2)
        self.assertEqual(run.files[b"log"]["data"], b"why")


class Refusals(ServiceTest):
    def assertRefused(self, field, code="INVALID_ARGUMENT", **request):
        run = self.client.run(**request)
        self.assertEqual((run.code, run.details.get("field")), (code, field), run.error)
        self.assertTrue(run.details["reason"])
        self.assertIsNone(run.result)

    def test_each_bad_request_names_its_field(self):
        ok = {"runtime": "python3", "files": {"a.py": ""}}
        for field, change in [
                ("runtime", {"runtime": "", "files": {}}), ("argv", {"argv": ["/bin/true"]}),
                ("files[0].path", {"files": {"../a.py": ""}}), ("files[0].path", {"files": {"/a.py": ""}}),
                ("files[0].path", {"files": {"a//b": ""}}), ("files[0].path", {"files": {"a\nb": ""}}),
                ("files[0].content", {"files": {"big": b"x" * ((1 << 20) + 1)}}), ("files", {"files": {}}),
                ("entry", {"entry": "b.py"}), ("args[0]", {"args": ["a\0b"]}), ("env[0].name", {"env": {"1A": "x"}}),
                ("env[0].value", {"env": {"A": "x\0"}}), ("stdin_data", {"stdin_data": b"x" * ((1 << 20) + 1)}),
                ("limits.memory_bytes", {"limits": {"memory_bytes": 2 << 30}}),
                ("limits.wall_ms", {"limits": {"wall_ms": 4000000}}),
                ("limits.open_files", {"limits": {"open_files": 1}}),
                ("collect.max_files", {"collect": {"max_files": 5000}}),
                ("terminal.rows", {"terminal": (2000, 80)}), ("detach_grace_ms", {"detach_grace_ms": 700000})]:
            with self.subTest(field=field):
                self.assertRefused(field, **{**ok, **change})

    def test_a_limit_above_its_ceiling_names_value_and_ceiling(self):
        run = self.python("", limits={"memory_bytes": 3 << 30})
        self.assertIn("3G", run.error.details())
        self.assertIn("1G", run.error.details())

    def test_an_unknown_runtime_and_an_absent_blob(self):
        self.assertRefused("runtime", "NOT_FOUND", runtime="cobol", files={"a": ""})
        request = self.client.request(runtime="python3", files={"a.py": ""})
        request.files.add(path=b"big", sha256=b"\0" * 32)
        with self.assertRaises(grpc.RpcError) as caught:
            list(self.client.execute(request))
        self.assertEqual(caught.exception.code().name, "FAILED_PRECONDITION")

    def test_a_program_that_is_not_there_says_so(self):
        run = self.client.run(argv=["/usr/bin/no-such-program"])
        self.assertNotEqual(run.verdict, "INTERNAL", run)
        self.assertTrue(run.code != "OK" or run.exit_code == 127, run)

    def test_garbage_is_refused_and_the_service_lives(self):
        call = self.client.channel.unary_stream("/cloister.exec.v1.Execution/Execute", request_serializer=bytes,
                                                response_deserializer=contract.ExecuteEvent.FromString)
        for garbage in (b"\xff" * 100, b"\x0a\xff\xff\xff\xff\x0f", b"\x1a\x00" * 100000, b""):
            with self.assertRaises(grpc.RpcError) as caught:
                list(call(garbage, timeout=10))
            self.assertIn(caught.exception.code().name, ("INVALID_ARGUMENT", "RESOURCE_EXHAUSTED"))
        self.assertVerdict(self.python("print(1)"), "EXITED", 0)


if __name__ == "__main__":
    main()
