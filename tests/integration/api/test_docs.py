"""The examples of docs/API.md and examples/client.c do what the page says."""

import os
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "support"))
from service import BUILD, SLOW, SOURCE, Service, need_root  # noqa: E402


class DocsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.service = Service().__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.service.__exit__(None, None, None)

    def run_it(self, command, **options):
        env = dict(os.environ, CLOISTER_SOCKET=str(self.service.socket))
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60 * SLOW, **options)

    def test_the_python_examples_print_what_the_page_says(self):
        page = (SOURCE / "docs" / "API.md").read_text()
        examples = re.findall(r"```python\n(.*?)```", page, re.S)
        promised = re.search(r"\nprints\n\n((?:    .*\n)+)", page).group(1).replace("    ", "")
        with tempfile.TemporaryDirectory() as directory:
            subprocess.run(["protoc", "-I", SOURCE / "proto", f"--python_out={directory}",
                            SOURCE / "proto/cloister/exec/v1/exec.proto"], check=True)
            done = self.run_it(["/usr/bin/python3", "-B", "-c", "\nprint('----')\n".join(examples)], cwd=directory)
        self.assertEqual(done.returncode, 0, done.stderr)
        said, asked, left, large = done.stdout.split("----\n")
        self.assertEqual(said, promised)
        self.assertIn("hello ada", asked)
        self.assertEqual(left.split(), [*map(str, range(10)), "VERDICT_EXITED"])
        self.assertEqual(large, "3145728\nfile b'out'\n")

    def test_the_c_example_is_judged(self):
        done = self.run_it([BUILD / "tests" / "example_client"])
        self.assertEqual(done.returncode, 124, done)
        self.assertRegex(done.stdout, "hello from inside\nMEMORY_LIMIT: your program .*64M")


if __name__ == "__main__":
    need_root()
    unittest.main(verbosity=2)
