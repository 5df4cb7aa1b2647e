"""The small machine: the service confined to one processor and 4 GB, ten people who each run something every ten
seconds. Says how long they wait; nothing may grow, nothing may die."""

import argparse
import asyncio
import contextlib
import ctypes
import os
import random
import sys
import time
from pathlib import Path

from load import ACT_FOR_ANYBODY, Client, Service, Tenant, Usage, need_root, percentile, wait_for

CLONE_NEWNS, MS_BIND, MS_REC, MS_PRIVATE = 0x20000, 4096, 16384, 1 << 18
USERS, EVERY, MEMORY = 10, 10.0, 4 << 30
# What people run: something small, something that reads, something that computes for a moment, something that fails.
PROGRAMS = [
    ({"main.py": "print('hello')"}, b"", 0),
    ({"main.py": "import sys\nfor line in sys.stdin: print(line.strip().upper())"}, b"one\ntwo\n" * 50, 0),
    ({"main.py": "import collections, json, random\nn = sum(i * i for i in range(300000))\n"
                 "print(json.dumps(collections.Counter(str(n))))"}, b"", 0),
    ({"main.py": "from helper import twice\nopen('out.txt', 'w').write(str(twice(21)))",
      "helper.py": "def twice(x): return 2 * x"}, b"", 0),
    ({"main.py": "def f(x): return x / 0\nf(1)"}, b"", 1),
]


class Confinement:
    """Groups of our own in the hierarchies cpuset and memory; where there are none (cgroup v2), a processor mask and the
    service's own cap."""

    def __init__(self):
        self.name, self.groups, self.memory = f"cloister-small-{os.getpid()}", [], False
        self.cpu = min(os.sched_getaffinity(0))

    def group(self, controller, **settings):
        parent = Path("/sys/fs/cgroup") / controller
        if not (parent / "tasks").exists():
            return False
        path = parent / self.name
        path.mkdir()
        self.groups.append(path)
        for name, value in settings.items():
            (path / f"{controller}.{name}").write_text(str(value))
        return True

    def __enter__(self):
        self.memory = self.group("memory", limit_in_bytes=MEMORY)
        cpuset = self.group("cpuset", mems=Path("/sys/fs/cgroup/cpuset/cpuset.mems").read_text().strip(),
                            cpus=self.cpu) if Path("/sys/fs/cgroup/cpuset/cpuset.cpus").exists() else False
        print(f"confined to processor {self.cpu} by {'cpuset' if cpuset else 'its mask'}, to 4 GB by "
              f"{'a memory group' if self.memory else '[spawner] memory'}")
        return self

    def enter(self):
        """In the child that becomes the service."""
        for path in self.groups:
            (path / "tasks").write_text("0")
        os.sched_setaffinity(0, {self.cpu})
        if not self.memory:
            return
        # As in a container: what it sees as the root of the memory hierarchy is our group, so that its own are below.
        libc = ctypes.CDLL(None, use_errno=True)
        top = b"/sys/fs/cgroup/memory"
        for failed in (libc.unshare(CLONE_NEWNS), libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None),
                       libc.mount(top + b"/" + self.name.encode(), top, None, MS_BIND, None)):
            if failed:
                raise OSError(ctypes.get_errno(), "a view of the memory hierarchy")

    def holds(self, pid):
        """Is this process where it should be?"""
        memory = [line for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines() if ":memory:" in line]
        return os.sched_getaffinity(pid) == {self.cpu} and (not self.memory or f"/{self.name}" in memory[0])

    def __exit__(self, *_):
        for path in self.groups:
            with contextlib.suppress(OSError):
                wait_for(lambda path=path: not (path / "tasks").read_text(), 10, "an empty group")
            path.rmdir()


async def person(service, number, until, runs):
    chance = random.Random(number)
    tenant = Tenant(service, f"person-{number}")
    await asyncio.sleep(number * EVERY / USERS * chance.random())
    while time.monotonic() < until:
        begun = time.monotonic()
        files, stdin, status = chance.choice(PROGRAMS)
        request = Client.request(runtime="python3", files=files, stdin_data=stdin, collect={"patterns": ["*.txt"]})
        run = await tenant.run(request)
        runs.append((time.monotonic() - begun, run))
        if (run.code, run.verdict, run.exit_code) != ("OK", "EXITED", status):
            raise AssertionError(run)
        pause = max(0.0, EVERY * chance.uniform(0.9, 1.1) - (time.monotonic() - begun))
        await asyncio.sleep(min(pause, max(0.0, until - time.monotonic())))
    await tenant.close()


async def everybody(service, seconds):
    runs, until = [], time.monotonic() + seconds
    await asyncio.gather(*(person(service, number, until, runs) for number in range(USERS)))
    return [took for took, _ in runs]


def say(name, waits):
    print(f"{name}: {len(waits)} runs, median {percentile(waits, 0.5) * 1000:.0f} ms, p95 "
          f"{percentile(waits, 0.95) * 1000:.0f} ms, longest {max(waits) * 1000:.0f} ms", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=180)
    parser.add_argument("--p95-ms", type=float, default=800)
    options = parser.parse_args()
    need_root()
    with Confinement() as confinement:
        service = Service({"spawner": {"memory": "3G"}, "execsvc": {"running_max": 0}}, ACT_FOR_ANYBODY)
        service.before_exec = confinement.enter
        with service:
            pids = service.pids()
            for pid in pids:
                assert confinement.holds(pid), f"{pid} is not confined"
            first = asyncio.run(everybody(service, options.seconds / 3))
            say("first third", first)
            before = Usage(service)
            rest = asyncio.run(everybody(service, options.seconds * 2 / 3))
            say("the rest", rest)
            grown = before.growth(Usage(service))
            print("before:", before.counts, before.memory, "\nafter: ", Usage(service).memory)
            assert not grown, grown
            assert service.pids() == pids and len(service.events("supervisor.started")) == 1, "something died"
            assert not [e for e in service.events() if e["level"] in ("warn", "error")], "not in silence"
    p95 = percentile(first + rest, 0.95) * 1000
    print(f"p95 {p95:.0f} ms, allowed {options.p95_ms:.0f} ms")
    assert p95 < options.p95_ms, f"p95 of {p95:.0f} ms"


if __name__ == "__main__":
    sys.exit(main())
