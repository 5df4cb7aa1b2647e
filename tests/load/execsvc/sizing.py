"""What one run of a few typical programs costs, and how the wait grows with the number of people: for buying machines.

Costs are CPU time and memory, which hardly depend on what else the machine does: of sandbox and spawner (the cgroup tree),
and of execsvc. Then N people run the mix, each once in ten seconds at a moment of their own.

    sizing.py [--runs 30] [--people 10,60] [--seconds 40]
"""

import argparse
import asyncio
import json
import os
import random
import sys
import time
from pathlib import Path

from load import ACT_FOR_ANYBODY, Client, Service, Tenant, need_root, percentile

SOURCE = Path(__file__).resolve().parents[3]
HELLO = (SOURCE / "examples" / "hello.py").read_text()
FRAME = """import pandas as pd
frame = pd.DataFrame({"name": ["a", "b", "c"] * 1000, "points": range(3000)})
print(frame.groupby("name").points.agg(["mean", "max"]))
"""
PLOT = """import matplotlib
matplotlib.use("Agg")
import matplotlib.pyplot as plt
plt.plot(range(10))
plt.savefig("plot.png")
"""
# A new text each time: what was compiled before is not compiled again.
C = '// %d\n#include <stdio.h>\nint main(void)\n{\n    puts("hello");\n    return 0;\n}\n'
# (what, weight in the mix, request)
KINDS = [
    ("tiny static program", 0, {"argv": ["/bin/true"]}),
    ("shell one-liner", 10, {"runtime": "bash", "files": {"a.sh": "echo hello"}}),
    ("hello.py", 60, {"runtime": "python3", "files": {"hello.py": HELLO}}),
    ("pandas, a small frame", 10, {"runtime": "python3", "files": {"a.py": FRAME}, "limits": {"memory_bytes": 512 << 20}}),
    ("matplotlib, one plot, collected", 5, {"runtime": "python3", "files": {"a.py": PLOT}, "collect": {},
                                          "limits": {"memory_bytes": 512 << 20}}),
    ("C, compile and run", 10, {"runtime": "c", "files": {"hello.c": C % 0}}),
    ("node", 5, {"runtime": "node", "files": {"a.js": "console.log(1)"}, "limits": {"memory_bytes": 512 << 20}}),
]


def ticks(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def tree_cpu(service):
    """CPU seconds so far of all sandboxes and the spawner: compilers and helpers included."""
    name = f"cloister-{service.instance}"
    v1, v2 = Path(f"/sys/fs/cgroup/cpuacct/{name}/cpuacct.usage"), Path(f"/sys/fs/cgroup/{name}/cpu.stat")
    return int(v1.read_text()) / 1e9 if v1.exists() else int(v2.read_text().split()[1]) / 1e6


def cost(service, client, what, request, runs):
    results, waits = [], []
    client.run(**request)
    before = tree_cpu(service), ticks(service.pids()[1])
    for i in range(runs):
        if request.get("runtime") == "c":
            request = dict(request, files={"hello.c": C % (i + 1)})
        begun = time.monotonic()
        run = client.run(**request)
        waits.append(1000 * (time.monotonic() - begun))
        assert run.verdict == "EXITED" and run.exit_code == 0, run
        results.append(run.result)
    cpu = 1000 * (tree_cpu(service) - before[0]) / runs
    peak = sorted(r.usage.memory_peak_bytes for r in results)[runs // 2] / (1 << 20)
    around = 1000 * (ticks(service.pids()[1]) - before[1]) / runs
    print(f"{what:34} {cpu:9.1f} {around:9.1f} {peak:9.1f} {sorted(waits)[runs // 2]:9.1f}", flush=True)
    return {"what": what, "cpu_ms": round(cpu, 1), "execsvc_ms": round(around, 1), "memory_mib": round(peak, 1)}


async def person(tenant, requests, until, waits, bad):
    await asyncio.sleep(random.random() * 10)
    while time.monotonic() < until:
        due = time.monotonic() + 10
        run = await tenant.run(random.choices(requests, [kind[1] for kind in KINDS])[0])
        waits.append(1000 * (time.monotonic() - run.sent))
        if not run.result or run.result.verdict != 12:
            bad.append(run)
        await asyncio.sleep(max(0, due - time.monotonic()))


async def crowd(service, people, seconds):
    requests = [Client.request(**kind[2]) for kind in KINDS]
    tenants = [Tenant(service, f"person-{i}") for i in range(people)]
    waits, bad = [], []
    begun, before = time.monotonic(), tree_cpu(service) + ticks(service.pids()[1])
    await asyncio.gather(*(person(t, requests, begun + seconds, waits, bad) for t in tenants))
    took = time.monotonic() - begun
    for tenant in tenants:
        await tenant.close()
    busy = (tree_cpu(service) + ticks(service.pids()[1]) - before) / took
    print(f"{people:5} people: {len(waits):5} runs, {len(waits) / took:6.1f} a second, wait p50 {percentile(waits, .5):7.0f} ms, "
          f"p95 {percentile(waits, .95):7.0f} ms, {busy:5.2f} processors busy, {len(bad)} failed", flush=True)
    return {"people": people, "runs": len(waits), "p50_ms": round(percentile(waits, .5)), "p95_ms": round(percentile(waits, .95)),
            "processors": round(busy, 2), "failed": len(bad)}


def main():
    need_root()
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--people", default="10,60")
    parser.add_argument("--seconds", type=int, default=40)
    options = parser.parse_args()
    report = {"load_average": os.getloadavg()[0], "kinds": [], "crowds": []}
    with Service({"spawner": {"slots_max": 64}, "execsvc": {"running_max": 4, "queue_max": 2000, "queue_per_tenant": 4}},
                 ACT_FOR_ANYBODY) as service:
        client = service.client(timeout=120)
        print(f"{'':34} {'CPU ms':>9} {'execsvc':>9} {'peak MiB':>9} {'wait ms':>9}")
        report["kinds"] = [cost(service, client, what, request, options.runs) for what, _, request in KINDS]
        client.close()
        for people in [int(n) for n in options.people.split(",") if n]:
            report["crowds"].append(asyncio.run(crowd(service, people, options.seconds)))
    print(json.dumps(report))
    return 1 if any(c["failed"] for c in report["crowds"]) else 0


if __name__ == "__main__":
    sys.exit(main())
