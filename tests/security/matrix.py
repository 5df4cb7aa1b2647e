#!/usr/bin/python3
"""Every layer has a probe that notices when the layer is taken away.

For each layer of enum layer: its probe is contained with all layers, and escapes with --disable-layer.

usage: matrix.py --build BUILD_DIR [--only LAYER]
"""

import argparse
import os
import sys

import harness
import ways


def run_single_or_pair(way, probe, words):
    if not probe.pair:
        return way.run([probe.name, *words], probe.limits)
    sender = way.begin(["put", probe.name, "hold_ms=%d" % harness.HOLD_MS, *words])
    try:
        sender.wait_ready()
        return way.run([probe.name, *words], probe.limits)
    finally:
        sender.end()


def layer_names(way):
    result = way.run(["list"], {})
    return [layer["name"] for layer in result.get("layers", [])], [
        layer["name"] for layer in result.get("layers", []) if not layer["active"]]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    build = os.path.abspath(options.build)
    binary = os.path.join(build, "tests", "probe")

    report = harness.Report()
    probe_of = {probe.layer: probe for probe in harness.load_probes(binary) if probe.layer}
    with harness.HostSide(binary) as host:
        complete = ways.SandboxRun(build, "native", host.probe)
        names, inactive = layer_names(complete)
        for name in inactive:
            report.add(name, "is not active on this host")
        for name in sorted(set(probe_of) - set(names)):
            report.add(name, "is named by a probe and no layer")
        for name in names:
            if not name.startswith(options.only):
                continue
            if name not in probe_of:
                report.add(name, "has no probe")
                continue
            probe = probe_of[name]
            problem = harness.judge(probe, run_single_or_pair(complete, probe, host.words))
            report.add(name + " with", problem, probe.name)
            result = run_single_or_pair(ways.SandboxRun(build, "native", host.probe, name), probe, host.words)
            noticed = harness.has_escaped(result)
            report.add(name + " without", None if noticed else "%s noticed nothing: %s" %
                       (probe.name, harness.describe(result)), harness.last_line(result))
    return report.finish(2 if options.only else 40)


if __name__ == "__main__":
    sys.exit(main())
