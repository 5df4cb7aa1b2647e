"""The log: JSON lines, the caller's trace in each line about its run, and never what a user wrote."""

import json
import re

from common import ServiceTest, main, wait_for

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
CANARY = "canary-7f3a"


class Logs(ServiceTest):
    settings = {"execsvc": {"log_level": "debug"}}

    def traced(self, parent, **request):
        """A run with this traceparent; its lines of the log."""
        self.client.metadata = [("traceparent", parent)] if parent is not None else []
        run = self.client.run(**request)
        self.client.metadata = []
        return run, wait_for(lambda: self.lines(run.run_id), what="the run's end in the log") if run.run_id else []

    def lines(self, run_id):
        lines = [e for e in self.service.events() if e.get("run_id") == run_id]
        return lines if any(e["event"] == "run.ended" for e in lines) else None

    def test_every_line_of_a_run_has_its_callers_trace(self):
        run, lines = self.traced(f"00-{TRACE}-{SPAN}-01", argv=["/bin/true"])
        self.assertVerdict(run, "EXITED", 0)
        self.assertEqual({e["event"] for e in lines}, {"run.queued", "run.ended"})
        self.assertEqual({e["trace_id"] for e in lines}, {TRACE})

    def test_one_that_is_malformed_or_missing_begins_a_new_trace(self):
        seen = set()
        for parent in (None, "", "nonsense", f"00-{'0' * 32}-{SPAN}-01", f"00-{TRACE.upper()}-{SPAN}-01", f"ff-{TRACE}-{SPAN}-01",
                       f"00-{TRACE}-{SPAN}-01-{CANARY}"):
            run, lines = self.traced(parent, argv=["/bin/true"])
            self.assertVerdict(run, "EXITED", 0)
            ids = {e["trace_id"] for e in lines}
            self.assertEqual(len(ids), 1)
            self.assertRegex(min(ids), "^[0-9a-f]{32}$")
            seen |= ids
        self.assertEqual(len(seen), 7)
        self.assertNotIn(TRACE, seen)

    def test_the_command_line_passes_a_trace_on(self):
        for parent, passed in ((f"00-{TRACE}-{SPAN}-01", True), ("nonsense\n", False)):
            before = len(self.service.events("run.ended"))
            done = self.service.cli("run", "--command", "--", "true", env={"TRACEPARENT": parent})
            self.assertEqual(done.returncode, 0, done.stderr)
            ended = wait_for(lambda: self.service.events("run.ended")[before:], what="the run's end in the log")
            self.assertEqual(ended[-1]["trace_id"] == TRACE, passed)

    def test_a_refused_request_has_a_line_with_its_trace_and_reason(self):
        run, _ = self.traced(f"00-{TRACE}-{SPAN}-01", argv=["/bin/true"], env={"A=B": "c"})
        self.assertEqual(run.code, "INVALID_ARGUMENT")
        line = self.service.events("request.refused")[-1]
        self.assertEqual((line["trace_id"], line["code"], line["field"]), (TRACE, "INVALID_ARGUMENT", "env[0].name"))

    def test_nothing_that_a_user_wrote_is_in_it(self):
        c = CANARY
        self.python(f"# {c}\nimport sys\nprint('{c}', sys.argv, sys.stdin.read())\nopen('{c}.txt', 'w').write('{c}')\nraise SystemExit('{c}')",
                    args=[c], env={c.replace("-", "_"): c}, stdin_data=c, collect={"patterns": [f"{c}*"]})
        self.client.run(argv=[f"/no/such/{c}"])
        self.client.run(argv=["/bin/sh", "-c", f"kill -9 $$ # {c}"])
        self.client.run(runtime=c)
        self.client.run(runtime="c", files={f"{c}.c": f"int main({c}"})
        self.client.run(argv=["/bin/true"], env={f"{c}=": c})
        self.client.run(argv=["/bin/true"], files={f"../{c}": c})
        self.client.run(argv=["/bin/true"], files={f"{c}": c, f"{c}/{c}": c})
        self.client.run(argv=["/bin/true"], collect={"patterns": [f"/{c}"]})
        self.client.run(argv=["/bin/true"], args=[c * 100000])
        call = self.client.interact(argv=["/bin/cat"])
        call.type(f"{c}\n")
        call.expect(c)
        call.drop()
        last = self.client.run(argv=["/bin/true"])
        wait_for(lambda: self.lines(last.run_id), what="the last line")
        text = self.service.text()
        self.assertGreater(len(self.service.events("run.ended")), 3)
        self.assertNotIn(c, text)
        self.assertNotIn(c.replace("-", "_"), text)

    def test_every_line_is_one_json_object(self):
        self.client.run(argv=["/bin/true"])
        for line in self.service.text().splitlines():
            event = json.loads(line)
            self.assertTrue(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", event["time"]), line)
            self.assertIn(event["level"], ("debug", "info", "warn", "error"))
            self.assertTrue(event["event"] and event["message"] and event["program"], line)


if __name__ == "__main__":
    main()
