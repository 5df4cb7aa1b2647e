"""What the tests of the service share: one service per file."""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "support"))
from service import BUILD, SLOW, SOURCE, Client, Run, Service, alive, contract, need_root, wait_for  # noqa: E402,F401


class ServiceTest(unittest.TestCase):
    """One service for all tests of a class; nothing may be left of it afterwards."""

    settings = {}
    text = ""

    @classmethod
    def setUpClass(cls):
        cls.service = Service(cls.settings, cls.text).__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.service.__exit__(None, None, None)

    def setUp(self):
        self.client = self.service.client()

    def tearDown(self):
        self.client.close()

    def python(self, code, **request):
        files = {"main.py": code, **request.pop("files", {})}
        return self.client.run(runtime="python3", files=files, **request)

    def assertVerdict(self, run, verdict, exit_code=None):
        self.assertEqual((run.verdict, run.exit_code), (verdict, exit_code), run)


def main():
    need_root()
    unittest.main(verbosity=2)
