"""What the load tests share: many callers in one thread, and what a service uses before and after."""

import os
import sys
import time
from pathlib import Path

import grpc

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "support"))
from service import BUILD, SLOW, Client, Run, Service, contract, need_root, wait_for  # noqa: E402,F401

ACT_FOR_ANYBODY = '[identity "uid:0"]\nact_for = *\n'


class Tenant:
    """A connection of its own that speaks for one subject."""

    def __init__(self, service, subject):
        self.subject = subject
        self.channel = grpc.aio.insecure_channel(f"unix:{service.socket}",
                                                 options=[("grpc.use_local_subchannel_pool", 1)])
        self.execute = self.channel.unary_stream("/cloister.exec.v1.Execution/Execute",
                                                 request_serializer=lambda m: m.SerializeToString(),
                                                 response_deserializer=contract.ExecuteEvent.FromString)

    async def run(self, request, timeout=120, on_event=None):
        """To its end; the Run also has `sent` (when it was asked for) and `tenant`."""
        run = Run()
        run.tenant, run.sent = self.subject, time.monotonic()
        try:
            async for event in self.execute(request, timeout=timeout * SLOW,
                                            metadata=(("cloister-subject", self.subject),)):
                run.take(event)
                if on_event:
                    on_event(run)
            run.end(None)
        except grpc.RpcError as error:
            run.end(error)
        return run

    async def close(self):
        await self.channel.close()


def percentile(values, part):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else 0.0


def resident(pid):
    """Bytes of memory that are this process's own."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    return 0


def descriptors(pid):
    """The fewest of a few looks: the connection that asked for the metrics may still be there."""
    found = []
    for _ in range(5):
        found.append(len(os.listdir(f"/proc/{pid}/fd")))
        time.sleep(0.05)
    return min(found)


class Usage:
    """What the service holds when nothing runs: its two processes, its sandboxes, its groups and mounts."""

    def __init__(self, service):
        wait_for(lambda: service.metrics()["execsvc_slots_busy"] == 0 and
                 service.metrics()['execsvc_runs_active{state="running"}'] == 0, 20, "an idle service")
        wait_for(lambda: not service.sandbox_processes(), 20, "the end of all sandboxes")
        spawner, execsvc = service.pids()
        metrics = service.metrics()
        self.counts = {
            "connections": metrics["execsvc_connections"],
            "calls": metrics["execsvc_calls_active"],
            "runs": sum(value for name, value in metrics.items() if name.startswith("execsvc_runs_active{")),
            "tenants": metrics["execsvc_tenants"],
            "execsvc's descriptors": descriptors(execsvc) - metrics["execsvc_connections"],
            "spawner's descriptors": descriptors(spawner),
            "execsvc's threads": metrics["process_threads"],
            "mounts of the spawner": len(Path(f"/proc/{spawner}/mountinfo").read_text().splitlines()),
            "cgroups": sum(len(names) for path in service.cgroups() for _, names, _ in os.walk(path)),
        }
        self.slots = metrics["execsvc_slots_made"]
        self.memory = {"execsvc": resident(execsvc), "spawner": resident(spawner)}

    def growth(self, later, memory_part=0.2, memory_bytes=4 << 20):
        """What `later` holds more; of memory only what is beyond that part and that many bytes."""
        # gRPC makes threads as it finds work for them, up to a number that depends on the processors.
        room = {"execsvc's threads": 2 * os.cpu_count()}
        # Slots are made as they are needed, each with groups and descriptors of its own, and kept.
        more_slots = later.slots - self.slots
        for name in ("spawner's descriptors", "cgroups"):
            room[name] = more_slots * self.counts[name] // self.slots
        grown = [f"{name}: {n} became {later.counts[name]}" for name, n in self.counts.items()
                 if later.counts[name] > n + room.get(name, 0)]
        for name, before in self.memory.items():
            if later.memory[name] > before * (1 + memory_part) + memory_bytes:
                grown.append(f"memory of {name}: {before} became {later.memory[name]}")
        return grown
