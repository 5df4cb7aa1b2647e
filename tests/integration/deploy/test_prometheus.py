"""What deploy/ asks Prometheus for is what the services really export: names, labels, and values of labels."""

import json
import re
import sys
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1] / "support"), str(HERE.parent / "frontgw"), str(HERE)]
import yaml  # noqa: E402

import prom  # noqa: E402
import promql  # noqa: E402
from gateway import Gateway, Redis  # noqa: E402
from service import SOURCE, Service, contract, need_root, wait_for  # noqa: E402

DEPLOY = SOURCE / "deploy"
OF_PROMETHEUS = {"up": ("gauge", set())}
OF_SCRAPE = {"job", "instance"}  # labels that Prometheus itself gives


def execsvc():
    """Its metrics after something of each kind has happened."""
    with Service() as service:
        client = service.client()
        client.run(runtime="python3", files={"a.py": "print(1)"})
        client.run(runtime="no-such")
        client.close()
        wait_for(lambda: any(name.startswith("execsvc_requests_refused_total{") for name in service.metrics()))
        return prom.parse(service.metrics_text)


def frontgw():
    with Redis() as redis, Gateway(settings={"rates.redis": f"127.0.0.1:{redis.port}"}) as gateway:
        gateway.get("/health/live")
        gateway.get("/no-such-thing")
        wait_for(lambda: any(name.startswith("frontgw_http_requests_total{") for name in gateway.metrics()))
        return prom.parse(gateway.metrics_text)


def alert_rules():
    rules = yaml.safe_load((DEPLOY / "prometheus" / "cloister.rules.yml").read_text())
    return [rule for group in rules["groups"] for rule in group["rules"]]


def dashboard_expressions():
    """(where, expression, legend); $__rate_interval and the like are Grafana's."""
    dashboard = json.loads((DEPLOY / "grafana" / "cloister.json").read_text())
    found = []
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            found.append((panel["title"], target["expr"], target["legendFormat"]))
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            metric, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["query"]).groups()
            found.append((variable["name"], f"sum by ({label}) ({metric})", ""))
    return found


class Deploy(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.exported = {**execsvc(), **{n: f for n, f in frontgw().items() if not n.startswith("process_")}}
        cls.verdicts = {name[len("VERDICT_"):] for name in
                        contract.pool.FindEnumTypeByName("cloister.exec.v1.Verdict").values_by_name}
        cls.codes = {"OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND",
                     "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED",
                     "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED"}

    def family_of(self, metric):
        if metric in self.exported:
            self.assertNotEqual(self.exported[metric].kind, "histogram", f"{metric} has only _bucket, _sum and _count")
            return self.exported[metric]
        base = re.sub(r"_(bucket|sum|count)$", "", metric)
        self.assertTrue(base in self.exported, f"nobody exports {metric}")
        self.assertEqual(self.exported[base].kind, "histogram", metric)
        return self.exported[base]

    def check_value(self, metric, family, label, value):
        if label in OF_SCRAPE or value.startswith("$"):
            return
        seen = {v for _, labels in family.samples for n, v in labels if n == label}
        if label == "verdict":
            seen |= self.verdicts
        elif label == "code" and metric.startswith("execsvc_"):
            seen |= self.codes
        elif label == "code":
            return
        for one in value.split("|"):
            self.assertIn(one, seen, f"{metric} has no {label}={one!r}")

    def check(self, expression):
        metrics, grouped = promql.selectors(expression)
        self.assertTrue(metrics, expression)
        labels = set(OF_SCRAPE)
        for metric, matchers in metrics:
            if metric in OF_PROMETHEUS:
                continue
            family = self.family_of(metric)
            self.assertTrue(family.samples, f"{metric} has no sample, so that its labels can't be checked")
            own = prom.labels_of(family) | OF_SCRAPE
            labels |= own
            for label, _, value in matchers:
                self.assertIn(label, own, f"{metric} in {expression}")
                self.check_value(metric, family, label, value)
            if "rate(" in expression or "increase(" in expression:
                self.assertIn(family.kind, ("counter", "histogram", "gauge"))
            for function in re.findall(rf"(rate|increase)\({metric}\b", expression):
                self.assertNotEqual(family.kind, "gauge", f"{function} of the gauge {metric}")
        self.assertLessEqual(grouped, labels, expression)
        return labels

    def test_every_alert_asks_for_what_is_exported(self):
        for rule in alert_rules():
            with self.subTest(alert=rule["alert"]):
                labels = self.check(rule["expr"])
                for label in re.findall(r"\$labels\.(\w+)", json.dumps(rule["annotations"])):
                    self.assertIn(label, labels)

    def test_every_panel_asks_for_what_is_exported(self):
        expressions = dashboard_expressions()
        self.assertGreater(len(expressions), 20)
        for where, expression, legend in expressions:
            with self.subTest(panel=where):
                labels = self.check(expression)
                for label in re.findall(r"\{\{(\w+)\}\}", legend):
                    self.assertIn(label, labels)

    def test_alerts_say_what_they_mean_and_the_manual_has_each(self):
        manual = (SOURCE / "docs" / "OPERATIONS.md").read_text()
        names = [rule["alert"] for rule in alert_rules()]
        self.assertEqual(len(names), len(set(names)))
        for rule in alert_rules():
            self.assertIn(rule["labels"]["severity"], ("page", "ticket"))
            self.assertTrue(rule["annotations"]["summary"])
            self.assertTrue(f"`{rule['alert']}`" in manual, f"the manual does not explain {rule['alert']}")

    def test_the_manual_lists_every_event_of_the_log(self):
        manual = (SOURCE / "docs" / "OPERATIONS.md").read_text()
        sources = [*(SOURCE / "execsvc").glob("*.c"), SOURCE / "sandbox" / "spawner_main.c"]
        events = {e for path in sources for e in re.findall(r'log_(?:debug|info|warn|error)\(\s*"([a-z._]+)"', path.read_text())}
        self.assertGreater(len(events), 15)
        self.assertEqual({event for event in events if f"`{event}`" not in manual}, set())

    def test_the_check_itself_finds_mistakes(self):
        for expression in ("execsvc_redy == 0", "rate(execsvc_runs_total{verdct=\"INTERNAL\"}[5m])",
                           "execsvc_runs_total{verdict=\"INTERNALL\"}", "rate(execsvc_queue_depth[5m])",
                           "sum by (verdct) (execsvc_runs_total)", "execsvc_run_step_seconds",
                           "execsvc_queue_depth_bucket"):
            with self.assertRaises(AssertionError, msg=expression):
                self.check(expression)


if __name__ == "__main__":
    need_root()
    unittest.main(verbosity=2)
