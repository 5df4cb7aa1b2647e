"""Every system call of a run's start, life and clearing-up in the spawner and in the sandbox fails once.

A scenario (warm slot, new slot, new tenant, files, terminal, a sandbox that was ready before its run) is first recorded: which role (inner spawner, child, init,
program, file helper) makes which call how often. Then each of them fails, one a run, with each error of its list, and

  - the run ends INTERNAL with words that say why, or as if nothing had been: same output, same sandbox. The program
    prints what it sees of its sandbox, and we read its cgroups' limits: nothing that protects may be missing silently;
  - nothing is left of it: process, cgroup, mount, descriptor;
  - the next run is a good one, in the same spawner.

    faults.py [--quick] [--scenario NAME] [--call NAME] [--role ROLE] [--error NAME] [--verbose]
"""

import argparse
import errno
import glob
import os
import re
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "support"))
from calls import CALLS  # noqa: E402
from service import BUILD, SLOW, Service, alive, need_root, wait_for, waits_for_orders  # noqa: E402

ROLES = {"r": "inner", "r/1": "child", "r/1x": "init", "r/1x/1": "program or helper", "r/1x/2": "helper or program",
         "r/1x/3": "helper"}
# A program is left alone once it has been executed.
LEAVE = ["r/*x/*x"]

# Never fail in a kernel, or only for reasons that are not the machine's; so says section 2 of the manual.
CANNOT_FAIL = {"epoll_wait", "timerfd_settime", "alarm", "brk", "exit", "exit_group", "getpid", "getppid", "gettid", "rt_sigreturn", "clock_gettime", "umask", "wait4",
               "waitid", "rt_sigprocmask", "rt_sigaction", "setfsuid", "setfsgid", "restart_syscall", "geteuid"}
ALWAYS = ("ENOMEM", "EMFILE", "EAGAIN", "ENOSPC")
NEWER = {"clone3", "openat2", "pidfd_open", "pidfd_send_signal", "close_range", "fsopen", "fsconfig", "fsmount",
         "move_mount", "mount_setattr", "open_tree", "fchmodat2", "execveat", "memfd_create", "seccomp", "statx",
         "epoll_pwait2", "faccessat2"}
# Lost in another namespace nothing that follows would be right: the spawner ends (slot.c), and is started again.
GIVES_UP = {("r", "setns")}
# What a call can't say: a message whose descriptors do not fit is cut, and not refused.
IMPOSSIBLE = {"recvmsg": {"EMFILE", "ENOSPC"}, "sendmsg": {"EMFILE", "ENOSPC"}, "execve": {"ENOSPC"}}
# What it most likely is, for the quick form.
LIKELY = {"EMFILE": {"open", "openat", "openat2", "socket", "socketpair", "pipe2", "dup3", "fcntl", "signalfd4",
                     "timerfd_create", "eventfd2", "memfd_create", "epoll_create1"},
          "EAGAIN": {"clone", "vfork", "fork", "setresuid", "execve"},
          "ENOSYS": NEWER - {"clone3", "memfd_create"},
          "ENOSPC": {"mkdirat", "mkdir", "write", "epoll_ctl", "unshare", "clone3"}}

SEEN = r"""
for f in status mountinfo limits cgroup oom_score_adj; do
  echo "== $f"; while read -r line; do echo "$line"; done </proc/self/$f
done
echo "== fds" /proc/self/fd/*; echo "== dirs" "$PWD" /* /dev/*; echo "== host"; read -r line </proc/sys/kernel/hostname
echo "$line"; echo READY; read -r line; echo "end $line"
"""


def errors_of(name, quick):
    if name in CANNOT_FAIL:
        return ()
    if quick:
        return [next((error for error, names in LIKELY.items() if name in names), "ENOMEM")]
    impossible = IMPOSSIBLE.get(name, ())
    return [error for error in ALWAYS + (("ENOSYS",) if name in NEWER else ()) if error not in impossible]


class Tracer:
    def __init__(self, *words, leave=LEAVE, stderr=subprocess.DEVNULL):
        options = [word for role in leave for word in ("-l", role)]
        self.process = subprocess.Popen([BUILD / "tests" / "fault_tracer", *options, *map(str, words)], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr)
        self.status = self.pid = None

    def order(self, *words):
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        line = ""
        while not line.startswith("ready"):
            line = self.line()
        self.pid = int(line.split()[1])

    def line(self):
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(f"the tracer is gone: {self.process.wait()}")
        word, _, rest = line.strip().partition(" ")
        if word == "ended":
            self.status = int(rest)
        return line.strip()

    def stop(self):
        """[(role, number, count)], hit"""
        self.process.stdin.write("stop\n")
        self.process.stdin.flush()
        calls = []
        while True:
            word, *rest = self.line().split()
            if word == "call":
                calls.append((rest[0], int(rest[1]), int(rest[2])))
            elif word == "hit":
                return calls, rest[0] == "1"

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(20)


def sandbox_seen(text):
    """What a program said about its sandbox, without what differs from run to run."""
    text = re.sub(r"^(VmPeak|VmSize|VmHWM|VmRSS|Rss\w+|VmData|VmStk|VmExe|VmLib|VmPTE|\w*ctxt_switches|Cpus_allowed\w*|"
                  r"Mems_allowed\w*|Pid|Tgid|NS\w+|voluntary\w*|SigQ):.*$", "", text, flags=re.M)
    lines = []
    for line in text.splitlines():
        mount = re.match(r"\d+ \d+ \d+:\d+ (.*)$", line)
        if mount:
            line = "mount " + re.sub(r"(lowerdir|workdir|upperdir)=[^,]*|master:\d+|shared:\d+", "", mount[1])
        lines.append(re.sub(r"(?<=[\t=])(190000)?10\d\d\b", "UID", re.sub(r"/slot-\d+", "/slot-N", line)))
    return "\n".join(line for line in lines if line)


def first_difference(one, other):
    one, other = one.splitlines(), other.splitlines()
    return f"missing {[x for x in one if x not in other][:4]} new {[x for x in other if x not in one][:4]}"


class Node:
    """A service, its spawner under the tracer, and what belongs to it at rest."""

    def __init__(self, ready):
        self.ready = ready  # sandboxes that are made ahead, and then made within the same order
        settings = {"spawner": {"slots_max": 64, "ready_max": ready}, "execsvc": {"running_max": 64, "queue_per_tenant": 100}}
        self.service = Service(settings, '[identity "uid:0"]\nact_for = *\n').__enter__()
        self.inner, self.execsvc = self.service.pids()
        self.client = self.service.client()
        self.tracer = Tracer(self.inner)
        self.held, self.held_groups = [], set()

    def close(self):
        for call in self.held:
            call.drop()
        self.held = []
        self.client.close()
        self.tracer.close()
        self.service.__exit__(None, None, None)

    def abandon(self):
        """After a failure, when what is left is known already."""
        try:
            self.close()
        except (AssertionError, subprocess.TimeoutExpired):
            pass

    def ok(self):
        return alive(self.inner) and alive(self.execsvc)

    def groups(self):
        """Of slots that have processes in them: what limits they have."""
        found = []
        for procs in sorted(glob.glob(f"/sys/fs/cgroup/*/cloister-{self.service.instance}/slot-*/cgroup.procs")):
            members = [pid for pid in Path(procs).read_text().split() if not waits_for_orders(pid)]
            if not members or procs in self.held_groups:
                continue
            here = Path(procs).parent
            limits = {name: (here / name).read_text().strip() for name in
                      ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "pids.max", "cpu.shares",
                       "memory.max", "memory.swap.max", "cpu.weight") if (here / name).exists()}
            found.append((here.parent.parent.name, re.sub(r"\d+", "N", here.name), len(members), limits))
        return found

    def children(self):
        try:
            return Path(f"/proc/{self.inner}/task/{self.inner}/children").read_text().split()
        except OSError:
            return []

    def at_rest(self):
        """Nothing runs but the held; and what is ready for the next run, or could not be made, stays as it is."""
        now = self.children()
        if not self.ready:
            return len(now) == len(self.held)
        time.sleep(0.05)
        return len(now) <= self.ready and self.children() == now

    def rest(self):
        """What is there when nothing runs but the held: equal before and after."""
        wait_for(self.at_rest, 10, "the end of what ran")
        time.sleep(0.005)  # and the clearing-up that comes after it
        kinds = {}
        for number in os.listdir(f"/proc/{self.inner}/fd"):
            try:
                kind = re.sub(r"\d+", "N", os.readlink(f"/proc/{self.inner}/fd/{number}"))
            except FileNotFoundError:
                continue
            kinds[kind] = kinds.get(kind, 0) + 1
        return {"mounts": Path(f"/proc/{self.inner}/mountinfo").read_text().count("\n"),
                "descriptors": kinds,
                "execsvc": len(os.listdir(f"/proc/{self.execsvc}/fd")),
                "cgroups": sorted(glob.glob(f"/sys/fs/cgroup/*/cloister-{self.service.instance}/*/"))}


class Scenario:
    """One run of a kind. What it prepares is not traced."""

    name, roles = "warm", None
    request = {"argv": ["sh", "-c", SEEN], "limits": {"memory_bytes": 96 << 20, "processes": 11}}
    slots_grow, ready = False, 0

    def prepare(self, node):
        pass

    def subject(self):
        return "one"

    def run(self, node):
        """Return: the run, what the program saw, its cgroups."""
        node.client.metadata = [("cloister-subject", self.subject())]
        call = node.client.interact(**self.request)
        groups = []
        try:
            call.wait(lambda run: b"READY\n" in run.stdout.replace(b"\r", b"") or run.result or run.error, 10)
            if not call.run.result and not call.run.error:
                groups = node.groups()
                call.type("well\n")
        except AssertionError:
            call.drop()
            raise
        run = call.end()
        call.half_close()
        wait_for(lambda: not node.ok() or node.at_rest(), 10, "the end of the run's init")
        time.sleep(0.002)  # and the clearing-up that comes after it
        return run, sandbox_seen(run.stdout.replace(b"\r", b"").decode(errors="replace")), groups

    def good(self, run):
        return run.verdict == "EXITED" and run.exit_code == 0 and run.stdout.rstrip().endswith(b"end well")

    def said(self, run, error):
        """Words for what is neither a good run nor INTERNAL, and right all the same; or None."""
        return None


class Tenant(Scenario):
    name, count = "tenant", 0

    def prepare(self, node):
        Tenant.count += 1

    def subject(self):
        return f"tenant-{self.count}"


class NewSlot(Scenario):
    """Each one needs a slot that is not there yet: all others are held by programs that wait."""

    name, slots_grow = "new-slot", True

    def prepare(self, node):
        made = len(glob.glob(f"/sys/fs/cgroup/*/cloister-{node.service.instance}/slot-*")) // max(
            1, len(glob.glob(f"/sys/fs/cgroup/*/cloister-{node.service.instance}")))
        if len(node.held) == made:
            return
        node.tracer.close()  # what it holds is none of the tracer's
        while len(node.held) < made:
            call = node.client.interact(argv=["sh", "-c", "echo READY; read line"])
            call.expect("READY")
            node.held.append(call)
        node.held_groups = {path for path in glob.glob(f"/sys/fs/cgroup/*/cloister-{node.service.instance}/slot-*/cgroup.procs")
                            if Path(path).read_text()}
        node.tracer = Tracer(node.inner)


class Files(Scenario):
    name = "files"
    request = dict(Scenario.request, argv=["sh", "-c", "echo new >made.txt; mkdir d; cat in/a.txt >d/copy\n" + SEEN],
                   files={"in/a.txt": "alpha", "b.bin": b"\0" * 100000}, collect={})

    def good(self, run):
        made = {path: file["data"] for path, file in run.files.items()}
        for given in (b"b.bin", b"in/a.txt"):  # whether they are as they were could not be told: then they are sent
            made.pop(given, None)
        return super().good(run) and made == {b"made.txt": b"new\n", b"d/copy": b"alpha"}

    def said(self, run, error):
        if super().good(run) and run.result.outputs_skipped:
            return "files left behind: " + run.result.outputs_skipped[0].reason
        if error == "ENOSPC" and "workspace" in run.result.limits_hit:
            return "limit: " + run.result.explanation.message  # a tmpfs says ENOSPC at its limit only
        return None


class Terminal(Scenario):
    name = "terminal"
    request = dict(Scenario.request, terminal=(24, 80))


class Ready(Scenario):
    """The run's sandbox is there before it; the next one is made after it, and its calls fail too."""

    name, ready = "ready", 1

    def prepare(self, node):
        wait_for(lambda: node.at_rest() and len(node.children()) == 1, 10, "a ready sandbox")


SCENARIOS = {scenario.name: scenario for scenario in (Scenario, Tenant, NewSlot, Files, Terminal, Ready)}


class Faults:
    seen = {}  # (role, number): how often, in the scenarios before

    def __init__(self, scenario, options):
        self.scenario, self.options = scenario, options
        self.node = None
        self.failures, self.tries, self.internal, self.survived, self.said, self.unhit = [], 0, 0, 0, 0, 0

    def fresh(self):
        if self.node:
            self.node.abandon()
        self.node = Node(self.scenario.ready)
        for _ in range(3):
            self.check_good(*self.clean(), None)
        return self.node

    def clean(self):
        self.scenario.prepare(self.node)
        return self.scenario.run(self.node)

    def check_good(self, run, seen, groups, like):
        if not self.scenario.good(run):
            raise AssertionError(f"not a good run: {run!r}")
        if like and (seen, groups) != like:
            raise AssertionError("another sandbox: " + first_difference(like[0], seen) +
                                 (f" cgroups {groups} instead of {like[1]}" if groups != like[1] else ""))

    def record(self):
        self.fresh()
        self.scenario.prepare(self.node)
        self.node.tracer.order("record")
        run, seen, groups = self.scenario.run(self.node)
        calls, _ = self.node.tracer.stop()
        self.check_good(run, seen, groups, None)
        self.like = seen, groups
        return calls

    def one(self, role, nr, nth, error):
        node, like = self.node, self.like
        self.scenario.prepare(node)
        before = node.rest()
        node.tracer.order("fail", role, nr, nth, getattr(errno, error))
        run, seen, groups = self.scenario.run(node)
        _, hit = node.tracer.stop()
        self.tries += 1
        self.unhit += not hit
        if self.scenario.good(run):
            self.check_good(run, *without_best_effort(seen, groups, like), like)
            outcome = "survived"
            self.survived += 1
        elif run.verdict == "INTERNAL" and len(run.result.explanation.message) > 10:
            outcome = "INTERNAL: " + run.result.explanation.message
            self.internal += 1
        elif run.result and self.scenario.said(run, error):
            outcome = self.scenario.said(run, error)
            self.said += 1
        elif (role, CALLS[nr]) in GIVES_UP:
            return self.restarted(run)
        else:
            raise AssertionError(f"neither good nor INTERNAL with words: {run!r}")
        if not node.ok():
            raise AssertionError("the spawner or the service died")
        self.check_good(*self.clean_after(), like if not self.scenario.slots_grow else None)
        self.check_rest(before)
        return hit, outcome

    def restarted(self, run):
        if run.code not in ("UNAVAILABLE", "INTERNAL"):
            raise AssertionError(f"the spawner gave up, and the caller was told {run!r}")
        self.node.tracer.close()
        self.node.service.wait_ready(2)
        self.node.held, self.node.held_groups = [], set()
        self.node.inner, self.node.execsvc = self.node.service.pids()
        self.node.tracer = Tracer(self.node.inner)
        self.check_good(*self.scenario.run(self.node), None)
        self.fresh()
        return True, "the spawner gave up, and was started again"

    def clean_after(self):
        return self.scenario.run(self.node) if self.scenario.slots_grow else self.clean()

    def check_rest(self, before):
        def same():
            now = self.node.rest()
            if self.scenario.slots_grow:
                now["cgroups"] = before["cgroups"]
                now["descriptors"] = {k: v for k, v in now["descriptors"].items() if before["descriptors"].get(k) == v}
                before["descriptors"] = {k: v for k, v in before["descriptors"].items() if k in now["descriptors"]}
            return now == before
        try:
            wait_for(same, 2)
        except AssertionError:
            now = self.node.rest()
            left = {key: (before[key], now[key]) for key in now if now[key] != before[key]}
            if "descriptors" in left:
                a, b = left["descriptors"]
                left["descriptors"] = {k: (a.get(k), b.get(k)) for k in {*a, *b} if a.get(k) != b.get(k)}
            raise AssertionError(f"left behind: {left}") from None

    def all(self):
        options, calls = self.options, self.record()
        counts = {(role, nr): count for role, nr, count in calls}
        for role, nr, count in calls:
            name = CALLS.get(nr, str(nr))
            if (options.call and name != options.call) or (options.role and role != options.role):
                continue
            for nth in self.which(role, nr, count):
                for error in errors_of(name, options.quick):
                    if options.error not in (None, error):
                        continue
                    self.guarded(role, nr, name, nth, error)
        self.node.abandon() if self.failures else self.node.close()
        print(f"{self.scenario.name}: {sum(c for _, _, c in calls)} calls, {self.tries} made to fail: {self.internal} ended "
              f"INTERNAL, {self.survived} went on as if nothing had been ({self.unhit} of them not reached), {self.said} said "
              f"what is missing, {len(self.failures)} wrong", flush=True)
        Faults.seen.update(counts)
        return self.failures

    def which(self, role, nr, count):
        """All; in the quick form of later scenarios a few of those calls that there are more of than before."""
        if not self.options.quick or self.scenario.name == "warm":
            return range(1, count + 1)
        few = range(1, count + 1, max(1, count // 4))
        return few if self.scenario.ready or Faults.seen.get((role, nr), 0) < count else ()

    def guarded(self, role, nr, name, nth, error):
        what = f"{self.scenario.name}: {ROLES.get(role, role)} {name} {nth} {error}"
        try:
            if self.scenario.slots_grow and len(self.node.held) > 40:
                self.fresh()
            hit, outcome = self.one(role, nr, nth, error)
            if self.options.verbose:
                print(f"{what}: {'' if hit else '(not reached) '}{outcome}", flush=True)
        except (AssertionError, OSError) as e:
            self.failures.append(what)
            print(f"WRONG {what}: {str(e)[:1500]}", flush=True)
            self.fresh()


def without_best_effort(seen, groups, like):
    """oom_score_adj is no layer (child.c): without it a run goes on."""
    lines, wanted = seen.splitlines(), like[0].splitlines()
    if len(lines) == len(wanted):
        for i, line in enumerate(lines):
            if i and lines[i - 1] == "== oom_score_adj" and wanted[i] == "1000":
                lines[i] = "1000"
    return "\n".join(lines), groups


def main():
    need_root()
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("--scenario", choices=SCENARIOS)
    for name in ("call", "role", "error"):
        parser.add_argument(f"--{name}")
    options = parser.parse_args()
    failures = []
    for name in [options.scenario] if options.scenario else SCENARIOS:
        failures += Faults(SCENARIOS[name](), options).all()
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
