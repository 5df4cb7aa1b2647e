"""Prometheus' text form, read strictly: what promtool check metrics would refuse is an AssertionError here."""

import math
import re

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"'
SAMPLE = re.compile(rf"({NAME})(?:\{{((?:{LABEL})(?:,{LABEL})*)\}})? (\S+)")


class Family:
    def __init__(self, kind):
        self.kind = kind
        self.samples = {}  # (name, ((label, value), ...)) -> number


def parse(text):
    """{name: Family}; each announced once, its samples at once after it, no sample twice."""
    families, current, helped = {}, None, None
    assert text.endswith("\n"), "the last line is cut"
    for line in text.splitlines():
        if line.startswith("# HELP "):
            helped = line.split(" ", 3)[2]
            assert len(line.split(" ", 3)) == 4, line
        elif line.startswith("# TYPE "):
            _, _, current, kind = line.split(" ")
            assert helped == current, f"no HELP just before {line!r}"
            assert current not in families, f"{current} is announced twice"
            assert kind in ("counter", "gauge", "histogram"), line
            assert (kind == "counter") == current.endswith("_total"), line
            families[current] = Family(kind)
        else:
            match = SAMPLE.fullmatch(line)
            assert match, f"not a sample: {line!r}"
            name, labels = match.group(1), tuple(re.findall(LABEL, match.group(2) or ""))
            family = families[current]
            allowed = {current + s for s in ("_bucket", "_sum", "_count")} if family.kind == "histogram" else {current}
            assert name in allowed, f"{line!r} among the samples of {current}"
            assert len({label for label, _ in labels}) == len(labels), f"a label twice: {line!r}"
            assert (name, labels) not in family.samples, f"twice: {line!r}"
            family.samples[name, labels] = float(match.group(match.lastindex))
            assert family.kind == "gauge" or family.samples[name, labels] >= 0, line
    for name, family in families.items():
        if family.kind == "histogram":
            check_histogram(name, family.samples)
    return families


def check_histogram(name, samples):
    series = {}
    for (sample, labels), value in samples.items():
        if sample == name + "_bucket":
            bound = dict(labels)["le"]
            rest = tuple(pair for pair in labels if pair[0] != "le")
            series.setdefault(rest, []).append((math.inf if bound == "+Inf" else float(bound), value))
    assert len(samples) == sum(len(buckets) + 2 for buckets in series.values()), f"{name}: samples without buckets"
    for rest, buckets in series.items():
        assert buckets == sorted(buckets) and buckets[-1][0] == math.inf, f"{name}{rest}: order of the buckets"
        counts = [count for _, count in buckets]
        assert counts == sorted(counts), f"{name}{rest}: not cumulative"
        assert counts[-1] == samples[name + "_count", rest], f"{name}{rest}: +Inf is not the count"


def labels_of(family):
    return {label for _, labels in family.samples for label, _ in labels}
