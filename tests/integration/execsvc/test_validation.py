"""Every rule of the .proto about a request, broken one by one against the real service: the answer names the field."""

import unittest

import grpc
from common import ServiceTest, contract, main
from service import Run

MIB = 1 << 20
MANY = {f"d{i % 64}/f{i}": b"x" for i in range(4096)}


def change(request, **fields):
    """A request of the test's own making, where Client.request() would not let it be wrong."""
    for name, value in fields.items():
        if name == "labels":
            for key, text in value:
                request.labels.add(key=key, value=text)
        elif name == "file":
            request.files.add(**value)
        elif name == "env":
            for key, text in value:
                request.env.add(name=key, value=text)
    return request


class Rules(ServiceTest):
    ok = {"runtime": "python3", "files": {"a.py": "print(1)"}}

    def refused(self, field, words, code="INVALID_ARGUMENT", made=None, **request):
        """Through Execute, and as `start` of Interact, where the field's name has the way to it."""
        message = change(self.client.request(**{**self.ok, **request}), **(made or {}))
        with self.subTest(field=field, words=words):
            with self.assertRaises(grpc.RpcError) as caught:
                list(self.client.execute(message))
            run = Run()
            run.end(caught.exception)
            self.assertEqual((run.code, run.details.get("field")), (code, field), caught.exception.details())
            self.assertIn(words, caught.exception.details())
            self.assertTrue(run.details["reason"])
            again = self.client.interact(first=contract.InteractRequest(start=message)).end()
            self.assertEqual((again.code, again.details.get("field")), (code, "start." + field), again.error)

    def taken(self, **request):
        run = self.client.run(**{**self.ok, **request})
        self.assertEqual(run.code, "OK", run.error)
        return run

    def test_what_to_run(self):
        self.refused("runtime", "name a runtime", runtime="", files={})
        self.refused("argv", "not both", argv=["/bin/true"])
        self.refused("runtime", "[a-z0-9._+-]", runtime="Python3")
        self.refused("runtime", "[a-z0-9._+-]", runtime="p" * 65)
        self.refused("runtime", "there is no runtime", code="NOT_FOUND", runtime="p" * 64)
        self.refused("argv[0]", "empty", runtime="", files={}, argv=[""])
        self.refused("argv[1]", "NUL", runtime="", files={}, argv=["a", "b\0c"])
        self.refused("entry", "goes with a runtime", runtime="", argv=["/bin/true"], entry="a.py")
        self.refused("args", "go with a runtime", runtime="", argv=["/bin/true"], args=["x"])
        self.refused("files", "a file to start", files={})
        self.refused("entry", "not among", entry="b.py")
        self.refused("entry", "NUL", entry="a.py\0")

    def test_paths(self):
        for path, words in [("", "empty"), ("/a", "leading"), ("a/", "empty part"), ("a//b", "empty part"), ("..", "'..'"),
                            ("a/../b", "'..'"), ("./a", "'.'"), ("a/.", "'.'"), ("a\nb", "control"), ("a\x7f", "control"),
                            ("a\x1bb", "control"), ("n" * 256, "255 bytes"), ("/".join("d" * 33), "deeper than 32"),
                            ("/".join(["d" * 200] * 21), "4096")]:
            self.refused("files[1].path", words, files={"a.py": "", path: "x"})
        self.refused("files[1].path", "NUL", files={"a.py": "", "b\0c": ""})
        self.refused("files[1].path", "there already", made={"file": {"path": b"a.py"}})
        self.refused("files[1].path", "below another", made={"file": {"path": b"a.py/b"}})
        self.taken(files={"a.py": "", "n" * 255: "", "/".join("d" * 32): "", b"\xff\xfe": "", " ": "", "...": "", "a\\b": ""})

    def test_files(self):
        self.refused("files", "4096", files={**MANY, "one-more": b""})
        self.assertEqual(self.client.run(runtime="python3", files={**MANY, "d0/f0": "import os\nprint(len(os.listdir('d1')))"},
                                         limits={"inodes": 8192}).stdout, b"64\n")
        self.refused("files[0].content", "1 MiB", files={"a.py": b"x" * (MIB + 1)})
        self.refused("files[2].content", "1 MiB", files={"a.py": b"", "b": b"x" * MIB, "c": b"x"})
        self.taken(files={"a.py": b"#" * MIB})
        self.refused("files[1].sha256", "32 bytes", made={"file": {"path": b"b", "sha256": b"x" * 31}})
        self.refused("files[1].sha256", "not both", made={"file": {"path": b"b", "sha256": b"x" * 32, "content": b"y"}})
        self.refused("files[1].sha256", "on this node", code="FAILED_PRECONDITION",
                     made={"file": {"path": b"b", "sha256": b"x" * 32}})

    def test_strings(self):
        self.refused("args[0]", "NUL", args=["a\0"])
        self.refused("args", "1024", args=["x"] * 1025)
        self.refused("args[1]", "128 KiB", args=["x" * 100000, "y" * 32000])
        self.refused("env[1]", "1024", args=["x"] * 1023, env={"A": "", "B": ""})
        self.refused("env", "1024", env={f"V{i}": "" for i in range(1025)})
        self.taken(args=["x"] * 900)
        for name in ("", "1A", "A=B", "A B", "A-B", "Ä", "A" * 256):
            self.refused("env[0].name", "[A-Za-z_]", env={name: "x"})
        self.refused("env[0].name", "NUL", env={"A\0": "x"})
        self.refused("env[0].value", "NUL", env={"A": "x\0y"})
        self.refused("env", "twice", made={"env": [(b"A", b"1"), (b"B", b"2"), (b"A", b"3")]})
        self.taken(env={"_a1": "\x01\n\xff", "A" * 255: ""})

    def test_numbers(self):
        self.refused("stdin_data", "1 MiB", stdin_data=b"x" * (MIB + 1))
        self.taken(stdin_data=b"x" * MIB)
        for name, ceiling in [("memory_bytes", 1 << 30), ("cpu_ms", 300000), ("wall_ms", 3600000), ("idle_ms", 3600000),
                              ("file_size_bytes", 1 << 30), ("processes", 500), ("output_bytes", 64 * MIB),
                              ("workspace_bytes", 1 << 30), ("inodes", 65536), ("open_files", 4096)]:
            self.refused(f"limits.{name}", "ceiling", limits={name: ceiling + 1})
            self.refused(f"limits.{name}", "ceiling", limits={name: (1 << 64) - 1})
        self.refused("limits.memory_bytes", "least", limits={"memory_bytes": 1})
        self.refused("policy.subprocess", "known", subprocess=9)
        self.refused("class", "known", class_=9)
        self.refused("terminal.rows", "1000", terminal=(1001, 80))
        self.refused("terminal.cols", "1000", terminal=(24, 1001))
        self.refused("detach_grace_ms", "600000", detach_grace_ms=600001)

    def test_what_to_collect(self):
        self.refused("collect.patterns", "64", collect={"patterns": ["x"] * 65})
        self.refused("collect.patterns[1]", "255", collect={"patterns": ["x", "y" * 256]})
        self.refused("collect.patterns[0]", "'..'", collect={"patterns": ["../*"]})
        self.refused("collect.patterns[0]", "leading", collect={"patterns": ["/etc/*"]})
        self.refused("collect.patterns[0]", "NUL", collect={"patterns": ["a\0b"]})
        self.refused("collect.max_files", "4096", collect={"max_files": 4097})
        self.refused("collect.max_bytes", "ceiling", collect={"max_bytes": 256 * MIB + 1})
        self.taken(collect={"patterns": ["*"] * 64, "max_files": 4096, "max_bytes": 256 * MIB})

    def test_labels(self):
        self.refused("labels", "16", made={"labels": [(f"k{i}", "v") for i in range(17)]})
        for key in ("", "K", "a b", "k" * 64):
            self.refused("labels[0].key", "[a-z0-9._/-]", made={"labels": [(key, "v")]})
        self.refused("labels[1].value", "255", made={"labels": [("a", ""), ("b", "v" * 256)]})
        for text in ("a\nb", "a\0b", "\x7f"):
            self.refused("labels[0].value", "UTF-8", made={"labels": [("a", text)]})
        self.refused("labels", "twice", made={"labels": [("a", "1"), ("a", "2")]})
        call = self.client.execute(change(self.client.request(**self.ok), labels=[("a", "ä" * 127), ("b/c", "")]))
        self.assertEqual([event.WhichOneof("event") for event in call][-1], "result")

    def raw(self, method, message):
        call = self.client.channel.unary_stream(f"/cloister.exec.v1.{method}", request_serializer=bytes,
                                                response_deserializer=contract.ExecuteEvent.FromString)
        run = Run()
        with self.assertRaises(grpc.RpcError) as caught:
            list(call(message, timeout=20))
        run.end(caught.exception)
        return run.code, run.details.get("field")

    def test_strings_that_no_library_would_send(self):
        """Not UTF-8, or with a NUL at which a C program would stop reading."""
        self.assertEqual(self.raw("Execution/Execute", b"\x0a\x09python3\0x"), ("INVALID_ARGUMENT", "runtime"))
        self.assertEqual(self.raw("Execution/Execute", b"\x0a\x02\xff\xfe"), ("INVALID_ARGUMENT", "runtime"))
        self.assertEqual(self.raw("Execution/Execute", b"\x12\x01x\x72\x06\x0a\x01k\x12\x01\xff"),
                         ("INVALID_ARGUMENT", "labels[0].value"))
        self.assertEqual(self.raw("Execution/Attach", b"\x0a\x04a\0bc"), ("INVALID_ARGUMENT", "run_id"))
        self.assertEqual(self.raw("Execution/Interact", b"\x0a\x0b\x0a\x09python3\0x"),
                         ("INVALID_ARGUMENT", "start.runtime"))
        self.assertEqual(self.raw("Execution/Interact", b"\x12\x04\x0a\x02\xc0\x80"), ("INVALID_ARGUMENT", "attach.run_id"))

    def test_many_empty_parts_are_no_way_to_much_memory(self):
        before = self.service.metrics()["process_resident_memory_bytes"]
        for tag in (b"\x1a\x00", b"\x2a\x00", b"\x32\x00", b"\x72\x00", b"\x12\x00"):
            code, _ = self.raw("Execution/Execute", b"\x0a\x07python3" + tag * (MIB // 2))
            self.assertEqual(code, "INVALID_ARGUMENT")
        self.assertLess(self.service.metrics()["process_resident_memory_bytes"], before + 64 * MIB)
        self.assertEqual(self.taken().stdout, b"1\n")


if __name__ == "__main__":
    main()
