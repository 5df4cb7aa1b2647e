"""The C client, installed: its headers stand alone, pkg-config finds it, and a program built against it runs a program."""

import os
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "support"))
from service import BUILD, SLOW, SOURCE, Service, need_root  # noqa: E402

WARNINGS = ["-std=c11", "-Wall", "-Wextra", "-pedantic", "-Werror"]


class InstallTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory(prefix="cloister-install-")
        cls.prefix = Path(cls.directory.name, "usr")
        subprocess.run(["cmake", "--install", BUILD, "--component", "client", "--prefix", cls.prefix], check=True,
                       stdout=subprocess.DEVNULL)
        pc = next(cls.prefix.rglob("cloister.pc"))
        asked = subprocess.run(["pkg-config", f"--define-variable=prefix={cls.prefix}", "--cflags", "--libs", "cloister"],
                               env=dict(os.environ, PKG_CONFIG_PATH=str(pc.parent)), capture_output=True, text=True, check=True)
        cls.flags = asked.stdout.split()

    @classmethod
    def tearDownClass(cls):
        cls.directory.cleanup()

    def compile(self, *words, text=None):
        done = subprocess.run(["cc", *WARNINGS, *words, *self.flags], input=text, capture_output=True, text=True, cwd="/")
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_nothing_of_the_source_tree_is_named(self):
        self.assertFalse([flag for flag in self.flags if str(SOURCE) in flag], self.flags)
        for path in self.prefix.rglob("*"):
            if path.suffix in (".h", ".pc"):
                self.assertNotIn(str(SOURCE), path.read_text())

    def test_every_header_stands_alone(self):
        headers = sorted(path.relative_to(self.prefix / "include" / "cloister") for path in self.prefix.rglob("*.h"))
        self.assertIn(Path("api/client.h"), headers)
        for header in headers:
            self.compile("-fsyntax-only", "-x", "c", "-", text=f"#include <{header}>\nint x;\n")

    def test_the_page_s_program_does_what_the_page_says(self):
        page = (SOURCE / "docs" / "API.md").read_text().split("### In C", 1)[1]
        promised = re.search(r"\nprints\n\n((?:    .*\n)+)", page).group(1).replace("    ", "")
        program = Path(self.directory.name, "ask")
        self.assertIn("cc -o ask examples/client.c $(pkg-config --cflags --libs cloister)", page)
        self.compile("-o", program, SOURCE / "examples" / "client.c")
        with Service() as service:
            done = subprocess.run([program], env=dict(os.environ, CLOISTER_SOCKET=str(service.socket)), capture_output=True,
                                  text=True, timeout=60 * SLOW)
        self.assertEqual((done.stdout, done.stderr, done.returncode), (promised, "", 124))


if __name__ == "__main__":
    need_root()
    unittest.main(verbosity=2)
