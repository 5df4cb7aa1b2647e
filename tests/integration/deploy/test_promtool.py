"""The rules before Prometheus itself: they are good, they fire on what they are for, and not on a healthy service."""

import json
import os
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1] / "support"), str(HERE)]
import yaml  # noqa: E402

SOURCE = Path(os.environ.get("CLOISTER_SOURCE", HERE.parents[2]))
DEPLOY = SOURCE / "deploy"
RULES = DEPLOY / "prometheus" / "cloister.rules.yml"
COLUMNS = 24
# What Grafana puts into an expression before it asks.
VARIABLES = {"$__rate_interval": "1m", "$instance": ".*"}


def find_promtool():
    done = subprocess.run([SOURCE / "tests" / "support" / "promtool"], stdout=subprocess.PIPE, text=True)
    if done.returncode == 0:
        return done.stdout.strip()
    print("no promtool, and Debian's package can't be had", file=sys.stderr)
    sys.exit(1 if os.environ.get("TESTS_MUST_RUN") == "1" else 77)


class WithPromtool(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory(prefix="cloister-promtool-")
        cls.rules = yaml.safe_load(RULES.read_text())
        cls.alerts = [rule["alert"] for group in cls.rules["groups"] for rule in group["rules"]]

    @classmethod
    def tearDownClass(cls):
        cls.directory.cleanup()

    def promtool(self, *words):
        return subprocess.run([PROMTOOL, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=100)

    def write(self, name, content):
        path = Path(self.directory.name) / name
        path.write_text(yaml.safe_dump(content))
        return path

    def check_expressions(self, expressions):
        rules = [{"record": f"checked:{number}", "expr": expression} for number, expression in enumerate(expressions)]
        return self.promtool("check", "rules", self.write("expressions.yml", {"groups": [{"name": "n", "rules": rules}]}))


class Rules(WithPromtool):
    def test_rules(self):
        done = self.promtool("check", "rules", RULES)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertIn(f"SUCCESS: {len(self.alerts)} rules found", done.stdout)

    def test_configuration(self):
        done = self.promtool("check", "config", DEPLOY / "prometheus" / "prometheus.yml")
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertIn("1 rule files found", done.stdout)

    def rule_tests(self):
        """alerts.test.yml, filled in, and the rules it is about."""
        for group in self.rules["groups"]:
            for rule in group["rules"]:
                rule.pop("annotations", None)
        tests = yaml.safe_load((HERE / "alerts.test.yml").read_text())
        tests["rule_files"] = [str(self.write("rules.yml", self.rules))]
        for test in tests["tests"]:
            if test["alert_rule_test"] == "SILENT":
                test["alert_rule_test"] = [{"alertname": alert, "eval_time": f"{minutes}m"}
                                           for alert in self.alerts for minutes in (1, 5, 20, 40, 60)]
        return tests

    def test_alerts_fire_on_what_they_are_for_and_are_silent_otherwise(self):
        done = self.promtool("test", "rules", self.write("tests.yml", self.rule_tests()))
        self.assertEqual(done.returncode, 0, done.stdout)

    def test_the_healthy_service_has_every_metric_that_an_alert_asks_for(self):
        healthy = json.dumps(self.rule_tests()["tests"][0]["input_series"])
        for group in self.rules["groups"]:
            for rule in group["rules"]:
                for metric in re.findall(r"\b(?:execsvc|frontgw|process)_[a-z_]+", rule["expr"]):
                    self.assertIn(metric + "{", healthy, rule["alert"])

    def test_a_test_that_expects_too_much_fails(self):
        tests = self.rule_tests()
        tests["tests"][0]["alert_rule_test"] = [{"alertname": "ExecsvcDown", "eval_time": "5m", "exp_alerts": [
            {"exp_labels": {"severity": "page", "job": "execsvc", "instance": "a:9465"}}]}]
        self.assertNotEqual(self.promtool("test", "rules", self.write("wrong.yml", tests)).returncode, 0)


class Dashboard(WithPromtool):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.dashboard = json.loads((DEPLOY / "grafana" / "cloister.json").read_text())
        cls.panels = cls.dashboard["panels"]

    def test_it_is_of_the_schema_that_it_names(self):
        """What Grafana would convert on import if the number were true of an older one."""
        self.assertEqual(self.dashboard["schemaVersion"], 38)
        self.assertTrue({"title", "uid", "time", "templating", "panels", "version"} <= set(self.dashboard))
        self.assertNotIn("rows", self.dashboard)  # 16: panels have places of their own
        for panel in self.panels:
            with self.subTest(panel=panel["title"]):
                self.assertIn(panel["type"], ("row", "stat", "timeseries"))  # 28: no singlestat; graph is gone
                self.assertFalse({"span", "yaxes", "thresholds", "nullPointMode", "legend"} & set(panel))
                if panel["type"] != "row":
                    self.assertTrue({"defaults", "overrides"} <= set(panel["fieldConfig"]))

    def test_panels_have_ids_and_places_of_their_own(self):
        ids = [panel["id"] for panel in self.panels]
        self.assertEqual(len(ids), len(set(ids)))
        taken = {}
        for panel in self.panels:
            place = panel["gridPos"]
            self.assertTrue(0 <= place["x"] and place["x"] + place["w"] <= COLUMNS and place["h"] > 0, panel["title"])
            for x in range(place["x"], place["x"] + place["w"]):
                for y in range(place["y"], place["y"] + place["h"]):
                    self.assertIsNone(taken.get((x, y)), f"{panel['title']} lies over {taken.get((x, y))}")
                    taken[x, y] = panel["title"]

    def test_every_question_goes_to_the_source_that_was_chosen(self):
        source = {"type": "prometheus", "uid": "${datasource}"}  # 33: by type and uid, not by name
        variables = {variable["name"]: variable for variable in self.dashboard["templating"]["list"]}
        self.assertEqual((variables["datasource"]["type"], variables["datasource"]["query"]), ("datasource", "prometheus"))
        self.assertEqual([v["datasource"] for v in variables.values() if v["type"] == "query"], [source])
        for panel in self.panels:
            if panel["type"] == "row":
                continue
            with self.subTest(panel=panel["title"]):
                targets = panel["targets"]
                self.assertTrue(targets)
                self.assertEqual([panel["datasource"], *(t["datasource"] for t in targets)], [source] * (len(targets) + 1))
                self.assertEqual(len({target["refId"] for target in targets}), len(targets))

    def expressions(self):
        for panel in self.panels:
            for target in panel.get("targets", []):
                expression = target["expr"]
                for name, value in VARIABLES.items():
                    expression = expression.replace(name, value)
                self.assertNotIn("$", expression, panel["title"])
                yield expression

    def test_every_question_is_promql(self):
        expressions = list(self.expressions())
        self.assertGreater(len(expressions), 20)
        done = self.check_expressions(expressions)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertNotEqual(self.check_expressions([*expressions, "sum by (rate(x[1m]))"]).returncode, 0)


if __name__ == "__main__":
    PROMTOOL = find_promtool()
    unittest.main(verbosity=2)
