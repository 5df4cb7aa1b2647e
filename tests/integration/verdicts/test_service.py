"""Verdicts that need the service: the node's own cap on memory (INTERNAL, never the program's MEMORY_LIMIT), and a
terminal where nothing happens (IDLE_LIMIT)."""

import sys
import threading
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "support"))
from service import Service, need_root  # noqa: E402

MIB = 1 << 20
HOG = "x = b'x' * (300 << 20)\nprint('came through')"
TMPFS_HOG = "with open('/tmp/hog', 'wb') as f:\n  for i in range(300): f.write(bytes(1 << 20))\nprint('came through')"
CHILD_HOG = """import subprocess, sys
child = subprocess.run([sys.executable, '-c', "x = b'x' * (300 << 20)"])
print(child.returncode)
"""
# Fits into its own limit; four of them at a time do not fit into the node's cap.
ONE_OF_FOUR = "import time\nx = b'x' * (90 << 20)\ntime.sleep(1.5)"


class ServiceVerdictsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.service = Service({"spawner": {"memory": "224M"}, "execsvc": {"running_max": 4}}).__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.service.__exit__(None, None, None)

    def run_python(self, code, **limits):
        client = self.service.client()
        try:
            return client.run(runtime="python3", files={"main.py": code}, limits=limits)
        finally:
            client.close()

    def assertOurFault(self, run):
        self.assertEqual(run.verdict, "INTERNAL", run)
        self.assertIn("the node ran out of memory", run.result.explanation.message)
        self.assertNotIn(b"came through", run.stdout)

    def test_memory_beyond_the_node_is_our_fault(self):
        self.assertOurFault(self.run_python(HOG, memory_bytes=900 * MIB))
        self.assertEqual(self.run_python("print(1)").verdict, "EXITED") # and the service goes on

    def test_tmpfs_beyond_the_node_is_our_fault(self):
        self.assertOurFault(self.run_python(TMPFS_HOG, memory_bytes=900 * MIB, workspace_bytes=900 * MIB,
                                            file_size_bytes=900 * MIB))

    def test_the_runs_own_limit_is_the_programs_fault_still(self):
        run = self.run_python(HOG, memory_bytes=48 * MIB)
        self.assertEqual(run.verdict, "MEMORY_LIMIT", run)

    def test_a_main_process_that_ends_well_has_ended_well(self):
        run = self.run_python(CHILD_HOG, memory_bytes=900 * MIB)
        self.assertEqual((run.verdict, run.exit_code, run.stdout), ("EXITED", 0, b"-9\n"), run)
        self.assertEqual(list(run.result.limits_hit), [])

    def test_runs_that_fit_alone_do_not_blame_one_another(self):
        runs = []
        threads = [threading.Thread(target=lambda: runs.append(self.run_python(ONE_OF_FOUR, memory_bytes=128 * MIB)))
                   for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        verdicts = sorted(run.verdict for run in runs)
        self.assertEqual(len(runs), 4)
        self.assertIn("INTERNAL", verdicts)
        self.assertLessEqual(set(verdicts), {"INTERNAL", "EXITED"})

    def test_a_silent_program_at_a_terminal_is_idle(self):
        client = self.service.client()
        self.addCleanup(client.close)
        for code in ("import time\ntime.sleep(60)", "input('name? ')"):
            call = client.interact(runtime="python3", files={"main.py": code}, limits={"idle_ms": 1000},
                                   terminal=(24, 80))
            run = call.end()
            self.assertEqual(run.verdict, "IDLE_LIMIT", run)


if __name__ == "__main__":
    need_root()
    unittest.main(verbosity=2)
