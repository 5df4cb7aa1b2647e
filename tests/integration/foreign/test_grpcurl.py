"""test_grpcurl.py BIN: grpcurl and ghz, through reflection, over the unix socket."""

import base64
import json
import subprocess
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "support"))
from service import SLOW, SOURCE, Service, contract, need_root  # noqa: E402

BIN = None
EXECUTE = "cloister.exec.v1.Execution/Execute"


def objects(text):
    """JSON objects, one after the other."""
    decoder, found, at = json.JSONDecoder(), [], 0
    while text[at:].strip():
        at += len(text[at:]) - len(text[at:].lstrip())
        value, at = decoder.raw_decode(text, at)
        found.append(value)
    return found


def b64(text):
    return base64.b64encode(text.encode()).decode()


class Grpcurl(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.service = Service({"execsvc": {"running_max": 2}}).__enter__()
        cls.address = f"unix://{cls.service.socket}"

    @classmethod
    def tearDownClass(cls):
        cls.service.__exit__(None, None, None)

    def grpcurl(self, *words, options=(), status=0):
        done = subprocess.run([BIN / "grpcurl", "-plaintext", *options, self.address, *words], capture_output=True, text=True,
                              timeout=60 * SLOW)
        self.assertEqual(done.returncode, status, done)
        return done.stdout + done.stderr

    def test_it_lists_and_describes(self):
        listed = self.grpcurl("list").split()
        self.assertIn("cloister.exec.v1.Execution", listed)
        self.assertIn("grpc.health.v1.Health", listed)
        self.assertIn("cloister.exec.v1.Execution.Execute", self.grpcurl("list", "cloister.exec.v1.Execution").split())
        self.assertIn("rpc Execute ( .cloister.exec.v1.ExecuteRequest ) returns ( stream .cloister.exec.v1.ExecuteEvent );",
                      self.grpcurl("describe", "cloister.exec.v1.Execution"))
        self.assertIn("uint64 memory_bytes = 1;", self.grpcurl("describe", "cloister.exec.v1.Limits"))
        self.assertIn("VERDICT_MEMORY_LIMIT = 3;", self.grpcurl("describe", "cloister.exec.v1.Verdict"))

    def test_it_runs_a_program(self):
        request = {"runtime": "python3", "collect": {}, "limits": {"memory_bytes": 64 << 20},
                   "files": [{"path": b64("a.py"), "content": b64("print(6 * 7); open('f', 'w').write('x')")}]}
        events = objects(self.grpcurl(EXECUTE, options=["-d", json.dumps(request)]))
        self.assertEqual(b"".join(base64.b64decode(e["output"]["data"]) for e in events if "output" in e), b"42\n")
        self.assertEqual(next(e["file"]["path"] for e in events if "file" in e), b64("f"))
        self.assertEqual(events[-1]["result"]["verdict"], "VERDICT_EXITED")

    def test_it_talks_to_one(self):
        said = [{"start": {"argv": [b64("cat")]}}, {"stdinData": b64("line\n")}, {"closeStdin": {}}]
        events = objects(self.grpcurl("cloister.exec.v1.Execution/Interact",
                                      options=["-d", "\n".join(json.dumps(message) for message in said)]))
        self.assertEqual(b"".join(base64.b64decode(e["output"]["data"]) for e in events if "output" in e), b"line\n")

    def test_it_shows_what_is_wrong(self):
        text = self.grpcurl(EXECUTE, options=["-d", '{"argv": ["dHJ1ZQ=="], "limits": {"memory_bytes": 68719476736}}'],
                            status=64 + 3)
        self.assertIn("Code: InvalidArgument", text)
        details = objects("{" + text.split("Details:", 1)[1].replace("1)", "", 1).split("{", 1)[1].replace("2)", "", 1))
        self.assertEqual(details[0]["@type"], "type.googleapis.com/google.rpc.BadRequest")
        self.assertEqual(details[0]["fieldViolations"][0]["field"], "limits.memory_bytes")
        self.assertEqual((details[1]["domain"], details[1]["metadata"]["limit"]), ("cloister", "memory"))

    def test_the_page_s_lines(self):
        page = (SOURCE / "docs" / "API.md").read_text()
        lines = page.split("### grpcurl", 1)[1].split("\n### ", 1)[0]
        command = "\n".join(line[4:] for line in lines.splitlines() if line.startswith("    "))
        command = command.replace("unix:///run/cloister/execsvc.sock", self.address)
        done = subprocess.run(["bash", "-ec", command], capture_output=True, text=True, timeout=60 * SLOW,
                              env={"PATH": f"{BIN}:/usr/bin:/bin"})
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn('"verdict": "VERDICT_EXITED"', done.stdout)
        self.assertIn("cloister.exec.v1.Node", done.stdout)

    def test_ghz_sees_no_error(self):
        request = {"argv": [b64("/bin/echo"), b64("x")]}
        done = subprocess.run([BIN / "ghz", "--insecure", "--call", EXECUTE, "-d", json.dumps(request), "-n", "200", "-c", "8",
                               "-O", "json", self.address], capture_output=True, text=True, timeout=120 * SLOW)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        report = json.loads(done.stdout)
        self.assertEqual((report["count"], report["statusCodeDistribution"], report.get("errorDistribution") or {}),
                         (200, {"OK": 200}, {}))
        stats = self.service.client().unary("Node/Stats", contract.StatsRequest(), contract.NodeStats)
        self.assertGreaterEqual(stats.runs_total, 200)


if __name__ == "__main__":
    need_root()
    BIN = Path(sys.argv.pop(1))
    unittest.main(verbosity=2)
