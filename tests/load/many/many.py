"""Many runs of mixed programs: what the service holds afterwards is what it held after the first tenth.

Eight clients run programs that end well, fail, are killed for each kind of limit, start others, write, collect, use a
terminal, are cancelled or are no programs at all. After a tenth of the runs and at the end, when nothing runs: memory of
the service's processes and of its cgroups (kernel memory, which is slab, by itself), descriptors, cgroups, mounts,
processes. More than 2 % more fails. So does a median latency of the tiny program in the last tenth of more than 1.1 times
that in the second, each in relation to a bare start of it measured in between: the machine may have other work.

    many.py [--runs 50000] [--clients 8] [--latency 1.1]
"""

import argparse
import collections
import glob
import json
import os
import random
import statistics
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "support"))
from service import Service, need_root  # noqa: E402

TINY = {"argv": ["/bin/true"]}
MIB = 1 << 20


def sh(script, **rest):
    return {"argv": ["/bin/sh", "-c", script], **rest}


# (weight, what it is, request, verdict, exit code)
PROGRAMS = [
    (500, "tiny", TINY, "EXITED", 0),
    (120, "shell", sh("i=0; while [ $i -lt 200 ]; do i=$((i+1)); done; echo $i"), "EXITED", 0),
    (60, "fails", sh("echo no >&2; exit 3"), "EXITED", 3),
    (60, "pipes", sh("seq 1 200 | sort -rn | head -3"), "EXITED", 0),
    (40, "orphans", sh("sleep 30 & sleep 30 & echo left"), "EXITED", 0),
    (40, "signal", sh("kill -SEGV $$"), "SIGNALED", None),
    (40, "writes", sh("head -c 300000 /dev/zero >a; head -c 300000 /dev/zero >/tmp/b; head -c 9 /dev/zero >/dev/shm/c"), "EXITED", 0),
    (30, "collects", sh("cat given >made; mkdir d; echo x >d/y", files={"given": "g" * 5000}, collect={}), "EXITED", 0),
    (30, "terminal", sh("tty; stty size", terminal=(24, 80)), "EXITED", 0),
    (20, "file-size", sh("head -c 9000000 /dev/zero >big", limits={"file_size_bytes": MIB}), "FILE_SIZE_LIMIT", None),
    (10, "processes", sh("for i in 1 2 3 4 5 6 7 8 9; do sleep 5 & done; wait", limits={"processes": 4}), None, None),
    (10, "memory", sh("x=$(head -c 60000000 /dev/zero | tr '\\0' x); echo ${#x}", limits={"memory_bytes": 8 * MIB}), "MEMORY_LIMIT", None),
    (10, "wall", sh("sleep 9", limits={"wall_ms": 60}), "WALL_TIME_LIMIT", None),
    (10, "refused call", sh("unshare -n true; exit 1"), "POLICY_VIOLATION", 1),
    (10, "no program", {"argv": ["/no/such/program"]}, "EXITED", 127),
    (10, "python", {"runtime": "python3", "files": {"a.py": "import json; print(json.dumps([1]))"}}, "EXITED", 0),
]


class Many:
    def __init__(self, options):
        self.options = options
        self.random = random.Random(7)
        self.service = Service({"spawner": {"slots_max": options.clients}, "execsvc": {"running_max": options.clients, "queue_max": 200,
                                                                        "queue_per_tenant": 200}})
        self.lock = threading.Lock()
        self.left = 0
        self.wrong, self.count = [], collections.Counter()
        self.latency, self.cached = [], []

    def one(self, client):
        weight, name, request, verdict, code = self.random.choices(PROGRAMS, [p[0] for p in PROGRAMS])[0]
        begun = time.monotonic()
        run = client.run(**request)
        took = time.monotonic() - begun
        with self.lock:
            self.count[name] += 1
            if name == "tiny":
                self.latency.append(took)
            if verdict and (run.verdict != verdict or code is not None and run.exit_code != code):
                self.wrong.append(f"{name}: {run!r}")

    def work(self):
        client = self.service.client()
        while True:
            with self.lock:
                if self.left == 0 or len(self.wrong) > 5:
                    break
                self.left -= 1
            self.one(client)
        client.close()

    def batch(self, runs):
        """Return: the median latency of the tiny program, alone and in relation to a bare start, runs a second."""
        self.left, self.latency = runs, []
        begun = time.monotonic()
        threads = [threading.Thread(target=self.work) for _ in range(self.options.clients)]
        for thread in threads:
            thread.start()
        bare = []
        while any(thread.is_alive() for thread in threads):
            start = time.monotonic()
            os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)
            bare.append(time.monotonic() - start)
            time.sleep(0.02)
        median = statistics.median(self.latency)
        return median, median / statistics.median(bare), runs / (time.monotonic() - begun)

    def forget_caches(self):
        """The kernel gives back what it only keeps in case it is wanted: dentries and inodes of what is gone."""
        name = f"cloister-{self.service.instance}"
        for path, words in ((f"/sys/fs/cgroup/memory/{name}/memory.force_empty", "0"),
                            (f"/sys/fs/cgroup/{name}/memory.reclaim", "1G")):
            try:
                Path(path).write_text(words)
            except OSError:
                pass  # the other version's; or there was less than that

    def held(self):
        """What there is when nothing runs: the least of a few looks, for what is still on its way out."""
        cached = self.look()["kernel memory KiB"]
        time.sleep(3)  # each second in which nothing runs the service gives back what its heap only keeps
        self.forget_caches()
        looks = []
        for _ in range(5):
            time.sleep(0.3)
            looks.append(self.look())
        found = {key: min(look[key] for look in looks) for key in looks[0]}
        self.cached.append(cached - found["kernel memory KiB"])
        return found

    def look(self):
        pids = [self.service.process.pid, *self.service.pids()]
        tree = f"/sys/fs/cgroup/*/cloister-{self.service.instance}"
        found = collections.Counter()
        for name, pid in zip(("supervisor", "spawner", "execsvc"), pids):
            rollup = dict(line.split(":") for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
            # Clean pages are of programs and libraries: they are private while nobody else on the machine has them mapped.
            found[f"{name} private KiB"] = int(rollup["Private_Dirty"].split()[0])
            found[f"{name} descriptors"] = len(os.listdir(f"/proc/{pid}/fd"))
            found[f"{name} threads"] = len(os.listdir(f"/proc/{pid}/task"))
            found[f"{name} mounts"] = Path(f"/proc/{pid}/mountinfo").read_text().count("\n")
        # Not the groups' usage: each processor has up to 256 KiB of that in stock.
        for path in glob.glob(f"{tree}/memory.stat") + glob.glob(f"/sys/fs/cgroup/cloister-{self.service.instance}/memory.stat"):
            stat = {key: int(value) // 1024 for key, value in (line.split() for line in Path(path).read_text().splitlines())}
            found["pages of programs KiB"] += stat.get("total_rss", stat.get("anon", 0)) + stat.get("total_cache", stat.get("file", 0))
            found["kernel memory KiB"] += stat.get("kernel", stat.get("slab", 0))
        for path in glob.glob(f"{tree}/memory.kmem.usage_in_bytes"):
            found["kernel memory KiB"] += int(Path(path).read_text()) // 1024
        found["cgroups"] = len(glob.glob(f"{tree}/*/")) + len(glob.glob(f"/sys/fs/cgroup/cloister-{self.service.instance}/*/"))
        found["processes"] = len(self.service.processes())
        return dict(found)

    def make_slots(self):
        """As many as there will be: all at once."""
        client = self.service.client()
        calls = [client.interact(argv=["/bin/sh", "-c", "echo up; read line"]) for _ in range(self.options.clients)]
        for call in calls:
            call.expect("up", 20)
        for call in calls:
            call.type("on\n")
            call.end()
        client.close()

    def all(self):
        os.sync()  # pages of programs that have just been built would count as the service's until they are written
        runs = self.options.runs
        tenth = max(runs // 10, 1)
        with self.service:
            self.make_slots()
            self.batch(tenth)
            before = self.held()
            first = self.batch(tenth)
            between = self.batch(runs - 3 * tenth)
            last = self.batch(tenth)
            after = self.held()
        return self.judge(before, after, first, between, last)

    def room(self, key):
        if "KiB" in key:
            return self.options.slack
        # gRPC makes threads as it finds work for them, up to a number that depends on the processors.
        return 2 * os.cpu_count() if key == "execsvc threads" else 0

    def judge(self, before, after, first, between, last):
        failed = bool(self.wrong)
        for words in self.wrong:
            print("WRONG", words)
        for key in sorted(before):
            more = after[key] - before[key]
            bad = more > before[key] * self.options.more + self.room(key)
            failed |= bad
            print(f"{key:28} {before[key]:9} {after[key]:9} {100 * more / max(before[key], 1):+7.2f} % {'TOO MUCH' if bad else ''}")
        print(f"kernel memory that was only cached, KiB: {self.cached[0]} and {self.cached[1]}")
        ratio, relative = last[0] / first[0], last[1] / first[1]
        slower = min(ratio, relative) > self.options.latency
        failed |= slower
        print(f"tiny program, median ms: second tenth {1000 * first[0]:.2f}, last tenth {1000 * last[0]:.2f}: {ratio:.2f} times; "
              f"in relation to a bare start {first[1]:.2f} and {last[1]:.2f}: {relative:.2f} times {'TOO SLOW' if slower else ''}")
        print(json.dumps({"runs": sum(self.count.values()), "per_second": round(between[2]), "programs": dict(self.count),
                          "before": before, "after": after, "latency_ratio": round(ratio, 3), "relative": round(relative, 3)}))
        return 1 if failed else 0


def main():
    need_root()
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=50000)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--latency", type=float, default=1.1)
    parser.add_argument("--more", type=float, default=0.02, help="as a part of what was there")
    parser.add_argument("--slack", type=int, default=0, help="KiB that any memory may grow besides")
    return Many(parser.parse_args()).all()


if __name__ == "__main__":
    sys.exit(main())
