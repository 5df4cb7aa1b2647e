#!/usr/bin/env python3
"""Shows that the lint fails where it should and only there: each case is a small tree and the findings it must have."""

import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

LINT = Path(__file__).with_name("lint.py")
FUNCTION = "int {name}(void)\n{{\n{body}}}\n"


def lint(rule, files):
    """(exit status, {"path:line"}) of the lint over a tree of @files."""
    with tempfile.TemporaryDirectory() as root:
        for name, text in files.items():
            path = Path(root, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        run = subprocess.run([sys.executable, str(LINT), rule, "--root", root], capture_output=True, text=True,
                             env={**os.environ, "TESTS_MUST_RUN": "1"})
    findings = [line for line in run.stdout.splitlines()[:-1]]
    return run.returncode, {":".join(line.split(":")[:2]) for line in findings}


class Lint(unittest.TestCase):
    def expect(self, rule, files, *findings):
        status, found = lint(rule, files)
        self.assertEqual(found, set(findings))
        self.assertEqual(status, 1 if findings else 0)

    def test_layers_refuses_a_room_that_is_not_below(self):
        self.expect("layers", {"base/a.c": '#include "base/b.h"\n#include "sandbox/spec.h"\n'}, "base/a.c:2")
        self.expect("layers", {"cgroups/a.c": '#include "base/b.h"\n#include "api/x.h"\n'}, "cgroups/a.c:2")
        self.expect("layers", {"frontgw/http/a.h": '#include "execsvc/run.h"\n'}, "frontgw/http/a.h:1")

    def test_layers_gives_execsvc_one_door_to_the_sandbox(self):
        self.expect("layers", {"execsvc/a.c": '#include "sandbox/spawn_client.h"\n#include "sandbox/spec.h"\n'
                                              '#include "sandbox/plan.h"\n'}, "execsvc/a.c:3")

    def test_layers_wants_paths_from_the_top(self):
        self.expect("layers", {"base/a.c": '#include "../sandbox/spec.h"\n'}, "base/a.c:1")
        self.expect("layers", {"base/a.c": '#include "nowhere.h"\n'}, "base/a.c:1")

    def test_layers_keeps_generated_code_and_libraries_in_their_rooms(self):
        self.expect("layers", {"api/a.c": "#include <cloister/exec/v1/exec.pb-c.h>\n#include <grpc/grpc.h>\n"})
        self.expect("layers", {"sandbox/a.c": "#include <cloister/exec/v1/exec.pb-c.h>\n#include <stdio.h>\n"
                                              "#include <grpc/grpc.h>\n"}, "sandbox/a.c:1", "sandbox/a.c:3")
        self.expect("layers", {"api/a.c": "#include <seccomp.h>\n"}, "api/a.c:1")

    def test_layers_leaves_tests_free(self):
        self.expect("layers", {"tests/unit/base/a.c": '#include "sandbox/plan.h"\n#include <seccomp.h>\n'})

    def test_calls_finds_each_banned_call(self):
        for name in ("strcpy", "strcat", "sprintf", "gets", "strtok", "atoi", "rand", "system", "popen", "usleep",
                     "alloca"):
            self.expect("calls", {"base/a.c": f"int a;\nvoid f(void) {{ {name} (0); }}\n"}, "base/a.c:2")

    def test_calls_knows_a_longer_name_a_member_a_comment_and_a_string(self):
        self.expect("calls", {"base/a.c": 'fgets(b); strtok_r(c); x->system(d); y.rand(e); /* gets(f) */\n'
                                          's = "popen(g) \\" atoi(h)"; // usleep(i)\n'})

    def test_calls_keeps_privileged_calls_in_the_sandbox(self):
        for name in ("fork", "vfork", "clone", "mount", "setns", "unshare", "pivot_root"):
            text = f"void f(void)\n{{\n    {name}(0);\n}}\n"
            self.expect("calls", {"execsvc/a.c": text}, "execsvc/a.c:3")
            self.expect("calls", {"sandbox/a.c": text, "tests/integration/a.c": text})
        self.expect("calls", {"cgroups/a.c": "syscall(SYS_clone3, 0);\n"}, "cgroups/a.c:1")

    def test_calls_wants_exit_beside_main(self):
        self.expect("calls", {"cli/a.c": "exit(1);\n", "cli/b.c": "int main(void)\n{\n    exit(1);\n}\n",
                              "cli/c.c": "_exit(1);\n"}, "cli/a.c:1")

    def test_calls_wants_silent_libraries(self):
        self.expect("calls", {"api/a.c": '\n#include "base/log.h"\n', "execsvc/a.c": '#include "base/log.h"\n'},
                    "api/a.c:2")

    def test_sizes_counts_files(self):
        self.expect("sizes", {"base/a.c": "\n" * 600, "base/b.c": "\n" * 601}, "base/b.c:1")

    def test_sizes_counts_functions(self):
        fits = FUNCTION.format(name="fits", body="    call();\n" * 98)
        long = FUNCTION.format(name="too_long", body="    call();\n" * 99)
        self.expect("sizes", {"base/a.c": fits + long}, "base/a.c:103")

    def test_an_exception_needs_a_reason_and_a_need(self):
        long = FUNCTION.format(name="table", body="    call();\n" * 99)
        self.expect("sizes", {"base/a.c": long, "tests/lint/allow.txt": "sizes base/a.c:table it is one table\n"})
        self.expect("sizes", {"base/a.c": "", "tests/lint/allow.txt": "# why\nsizes base/a.c:table it is one table\n"},
                    "tests/lint/allow.txt:2")
        status, _ = lint("sizes", {"base/a.c": long, "tests/lint/allow.txt": "sizes base/a.c:table\n"})
        self.assertNotEqual(status, 0)

    def test_headers_have_pragma_once_and_stand_alone(self):
        self.expect("headers", {"base/good.h": "/* words */\n#pragma once\n#include <stddef.h>\nsize_t f(void);\n",
                                "base/bare.h": "int f(void);\n"}, "base/bare.h:1")
        self.expect("headers", {"base/needy.h": "#pragma once\nsize_t f(void);\n"}, "base/needy.h:1")

    def test_text_finds_paths_hosts_and_loose_ends(self):
        self.expect("text", {"docs/a.md": "see /work/notes\n/workspace is fine, as is a/work\nhttps://registry.x.org/\n",
                             "base/a.c": "/* TODO: later */\n"}, "docs/a.md:1", "docs/a.md:3", "base/a.c:1")

    def test_format_finds_another_layout(self):
        style = LINT.parents[2].joinpath(".clang-format").read_text(encoding="utf-8")
        self.expect("format", {".clang-format": style, "base/a.c": "int a;\n", "base/b.c": "int a ;\nint  b ;\n"},
                    "base/b.c:1")


if __name__ == "__main__":
    unittest.main()
