"""A tenant that floods does not move another's median wait by more than a quarter.

Twelve tenants keep a busy node: each asks for its next run when the last one is over. Now and then a thirteenth comes
that keeps forty runs in the queue. What the twelve waited in the node's queue, as it tells itself, is compared."""

import argparse
import asyncio
import sys
import time

from load import ACT_FOR_ANYBODY, Client, Service, Tenant, need_root, percentile

TENANTS, FLOOD, NAP = 12, 40, "0.04"
INTERACTIVE, BATCH = 1, 2


async def ask_on(tenant, request, until, waits):
    while time.monotonic() < until:
        run = await tenant.run(request)
        if run.code != "OK" or run.verdict != "EXITED":
            raise AssertionError(run)
        waits.append(run.result.timing.queued_us / 1e6)


async def phase(tenants, flooder, class_, seconds):
    """What the tenants waited, and how many runs the flood got through."""
    modest = Client.request(argv=["/bin/sleep", NAP])
    more = Client.request(argv=["/bin/sleep", NAP], class_=class_ or INTERACTIVE)
    until, waits, flood = time.monotonic() + seconds, [], []
    jobs = [ask_on(tenant, modest, until, waits) for tenant in tenants]
    jobs += [ask_on(flooder, more, until, flood) for _ in range(FLOOD if class_ else 0)]
    await asyncio.gather(*jobs)
    return waits, len(flood)


async def compare(service, seconds, turns):
    tenants = [Tenant(service, f"modest-{i}") for i in range(TENANTS)]
    flooder = Tenant(service, "flooder")
    await phase(tenants, flooder, None, 1)  # how long a run takes has to be learned
    found = {None: [], INTERACTIVE: [], BATCH: []}
    for _ in range(turns):
        for class_ in found:
            waits, through = await phase(tenants, flooder, class_, seconds)
            found[class_] += waits
            assert class_ is None or through > 0, "the flood itself got nothing"
    for tenant in [*tenants, flooder]:
        await tenant.close()
    return {class_: percentile(waits, 0.5) for class_, waits in found.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=2, help="of each of the phases")
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--percent", type=float, default=25)
    options = parser.parse_args()
    need_root()
    with Service({"execsvc": {"running_max": 2, "queue_per_tenant": 2 * FLOOD, "running_per_tenant": 0}}, ACT_FOR_ANYBODY) as service:
        medians = asyncio.run(compare(service, options.seconds, options.turns))
    for class_, name in ((INTERACTIVE, "interactive"), (BATCH, "batch")):
        moved = (medians[class_] / medians[None] - 1) * 100
        print(f"median wait {medians[None] * 1000:.0f} ms, beside a flood of {name} runs {medians[class_] * 1000:.0f} ms:"
              f" {moved:+.0f} %, allowed {options.percent:+.0f} %")
        assert moved <= options.percent, f"a flood of {name} runs moved it by {moved:.0f} %"


if __name__ == "__main__":
    sys.exit(main())
