"""The verdict table: every verdict and every limit by programs of several kinds; what each must be judged as.

A row's program is a string of steps for limit_program (steps.h), or python(...) or bash(...).
"""

from dataclasses import dataclass, field

SMALL = {"wall": "10s", "cpu": "5s", "memory": "48M"}


@dataclass
class Row:
    name: str
    verdict: str
    command: list
    limits: dict
    exit_code: int = None     # with `signal` None: ended by itself
    signal: str = None
    hit: frozenset = frozenset()
    maybe: frozenset = frozenset()  # limits that such a program touches or does not, by chance
    refusals: dict = field(default_factory=dict)
    policy: str = None
    cancel: list = None       # signals for `cloister sandbox run` once the program has said "ready"
    says: str = None          # a part of the explanation
    most_wall_ms: int = None  # it must be over by then
    kept: int = None          # bytes of stdout that come back


def python(code):
    return ["python3", "-c", code]


def bash(code):
    return ["bash", "-c", code]


def row(name, verdict, program, exit_code=None, signal=None, limits=None, hit=(), maybe=(), **more):
    command = ["/opt/limit_program", *program.split()] if isinstance(program, str) else program
    return Row(name, verdict, command, {**SMALL, **(limits or {})}, exit_code=exit_code, signal=signal,
               hit=frozenset(hit), maybe=frozenset(maybe), **more)


def exited(name, program, status=0, **more):
    return row(name, "EXITED", program, exit_code=status, **more)


def killed(name, verdict, program, limit=None, **more):
    """Ended by the sandbox: SIGKILL, and @limit is touched."""
    more.setdefault("signal", "SIGKILL")
    more.setdefault("hit", [limit] if limit else [])
    return row(name, verdict, program, **more)


READY = "print('ready', flush=True)\n"

EXITED = [
    exited("exited.zero", "exit:0"),
    exited("exited.status", "exit:42", 42, says="exit status 42"),
    exited("exited.status-255", python("import sys; sys.exit(-1)"), 255),
    exited("exited.status-like-a-signal", "exit:137", 137),
    exited("exited.after-a-caught-segv", "catch:SEGV,3 segv", 3),
    exited("exited.after-a-caught-term", "catch:TERM,4 raise:TERM pause", 4),
    exited("exited.term-ignored", "ignore:TERM raise:TERM exit:5", 5),
    exited("exited.xcpu-caught", "catch:XCPU,6 raise:XCPU pause", 6),
    exited("exited.by-another-thread", "thread sleep-ms:20 exit:7 end thread-exit", 7),
    exited("exited.with-threads-running", "thread:5 burn end exit:0"),
    exited("exited.child-crashed", "fork segv end wait exit:0"),
    exited("exited.child-killed", bash("sleep 9 & kill -9 $!; wait $!; exit 0")),
    exited("exited.no-such-program", ["no-such-program"], 127, says="no such program"),
    exited("exited.no-such-path", ["/usr/bin/no-such-program"], 127, says="no such program"),
    exited("exited.path-through-a-file", ["/usr/bin/env/program"], 127),
    exited("exited.not-executable", ["/etc/passwd"], 126),
    exited("exited.a-directory", ["/usr"], 126),
    exited("exited.shell-finds-no-program", bash("no-such-program"), 127),
    exited("exited.shell-may-not-execute", bash("/etc/passwd"), 126),
]

# Main has ended: so have the others, whatever they do, and at once.
OUTLIVE = [
    exited("outlive.daemon", "daemon pause end exit:0", most_wall_ms=2000),
    exited("outlive.daemon-that-burns", "daemon burn end sleep-ms:20 exit:0", most_wall_ms=2000),
    exited("outlive.ignores-all", "daemon ignore:TERM ignore:HUP ignore:INT pause end exit:9", 9, most_wall_ms=2000),
    exited("outlive.stopped", "daemon raise:STOP end sleep-ms:20 exit:0", most_wall_ms=2000),
    exited("outlive.holds-stdout", "daemon yes end sleep-ms:20 exit:0", limits={"output": "16M"}, maybe=["output"],
           most_wall_ms=2000),
    exited("outlive.fork-storm", "daemon fork-bomb end sleep-ms:400 exit:0",
           limits={"processes": "30", "memory": "256M"}, hit=["processes"], most_wall_ms=3000),
    exited("outlive.nohup", bash("nohup setsid sleep 60 >/dev/null 2>&1 & exit 3"), 3, most_wall_ms=2000),
    exited("outlive.python-daemon", python(
        "import os,time\nif os.fork() == 0:\n os.setsid()\n if os.fork() == 0: time.sleep(60)\n os._exit(0)\n"
        "os.wait()"),
           most_wall_ms=3000),
    killed("outlive.main-is-killed", "SIGNALED", "daemon pause end raise:KILL", most_wall_ms=2000),
]

SIGNALED = [
    row("signaled.segv", "SIGNALED", "segv", signal="SIGSEGV", says="crashed"),
    row("signaled.bus", "SIGNALED", "bus", signal="SIGBUS"),
    row("signaled.fpe", "SIGNALED", "fpe", signal="SIGFPE"),
    row("signaled.ill", "SIGNALED", "ill", signal="SIGILL"),
    row("signaled.abort", "SIGNALED", "abort", signal="SIGABRT"),
    row("signaled.thread-segv", "SIGNALED", "thread segv end pause", signal="SIGSEGV"),
    row("signaled.by-own-kill", "SIGNALED", "raise:KILL", signal="SIGKILL"),
    row("signaled.by-own-term", "SIGNALED", "raise:TERM", signal="SIGTERM"),
    row("signaled.by-own-xcpu", "SIGNALED", "raise:XCPU", signal="SIGXCPU"),
    row("signaled.real-time", "SIGNALED", "raise:40", signal="SIGRTMIN+6"),
    row("signaled.by-a-child", "SIGNALED", bash("(kill -USR1 $$); sleep 9"), signal="SIGUSR1"),
    row("signaled.python-segv", "SIGNALED", python("import os,signal; os.kill(os.getpid(), signal.SIGSEGV)"),
        signal="SIGSEGV"),
    row("signaled.pipe", "SIGNALED", bash("exec 3> >(exit 0); sleep 0.1; wait; while echo x >&3; do :; done"),
        signal="SIGPIPE"),
    row("signaled.group", "SIGNALED", bash("trap '' HUP; kill -TERM 0; sleep 9"), signal="SIGTERM"),
]

MEMORY = [
    killed("memory.anonymous", "MEMORY_LIMIT", "malloc:96M", "memory"),
    killed("memory.shared", "MEMORY_LIMIT", "shared:96M", "memory"),
    killed("memory.python", "MEMORY_LIMIT", python("x = b'x' * (96 << 20)"), "memory", says="memory"),
    killed("memory.python-slowly", "MEMORY_LIMIT", python("x = []\nwhile True: x.append('y' * 100000)"), "memory"),
    killed("memory.tmp", "MEMORY_LIMIT", "write:/tmp/bomb,96M", "memory",
           limits={"workspace": "200M", "file-size": "200M"}),
    killed("memory.workspace", "MEMORY_LIMIT", "write:bomb,96M", "memory",
           limits={"workspace": "200M", "file-size": "200M"}),
    killed("memory.dev-shm", "MEMORY_LIMIT", "write:/dev/shm/bomb,96M", "memory",
           limits={"workspace": "200M", "file-size": "200M"}),
    killed("memory.memfd", "MEMORY_LIMIT", "memfd:96M", "memory", limits={"file-size": "200M"}),
    killed("memory.sysv-shm", "MEMORY_LIMIT", "sysv-shm:96M", "memory"),
    killed("memory.threads", "MEMORY_LIMIT", "thread:4 malloc:24M pause end pause", "memory"),
    row("memory.tree-of-children", "MEMORY_LIMIT", "fork:4 malloc:24M pause end wait exit:1", exit_code=1,
        hit=["memory"]),
    row("memory.child-and-status-1", "MEMORY_LIMIT", "fork malloc:96M end wait exit:1", exit_code=1, hit=["memory"]),
    row("memory.shell-reports-137", "MEMORY_LIMIT", bash("python3 -c 'x = b\"x\" * (96 << 20)'; exit $?"),
        exit_code=137, hit=["memory"]),
    exited("memory.child-and-status-0", "fork malloc:96M end wait exit:0", hit=["memory"], says="memory"),
    exited("memory.python-child-and-status-0", python(
        "import subprocess\nsubprocess.run(['python3', '-c', 'x = b\"x\" * (96 << 20)'])"), hit=["memory"]),
    # Of all who share a node that runs out of memory, sandboxes are to go first.
    exited("memory.first-to-go", bash("read x </proc/self/oom_score_adj; exit $((x == 1000 ? 0 : 1))")),
    exited("memory.just-enough", "malloc:24M exit:0"),
]

CPU = [
    killed("cpu.loop", "CPU_TIME_LIMIT", "burn", "cpu", limits={"cpu": "200ms"}),
    killed("cpu.python", "CPU_TIME_LIMIT", python("while True: pass"), "cpu", limits={"cpu": "300ms"}, says="loop"),
    killed("cpu.bash", "CPU_TIME_LIMIT", bash("while :; do :; done"), "cpu", limits={"cpu": "200ms"}),
    killed("cpu.system-time", "CPU_TIME_LIMIT", "burn-system", "cpu", limits={"cpu": "200ms"}),
    killed("cpu.signals-ignored", "CPU_TIME_LIMIT", "ignore:XCPU ignore:TERM ignore:INT burn", "cpu",
           limits={"cpu": "200ms"}),
    killed("cpu.threads", "CPU_TIME_LIMIT", "thread:4 burn end pause", "cpu", limits={"cpu": "300ms"}),
    killed("cpu.children", "CPU_TIME_LIMIT", "fork:3 burn end wait", "cpu", limits={"cpu": "300ms"}),
    killed("cpu.many-children-of-little", "CPU_TIME_LIMIT", "fork:10 burn-ms:100 end wait-all pause", "cpu",
           limits={"cpu": "400ms"}),
    killed("cpu.daemon", "CPU_TIME_LIMIT", "daemon burn end pause", "cpu", limits={"cpu": "200ms"}),
    killed("cpu.short-children", "CPU_TIME_LIMIT", "short-children", "cpu",
           limits={"cpu": "200ms", "memory": "256M"}), # what a dead process weighed is let go of later
    killed("cpu.fork-bomb", "CPU_TIME_LIMIT", "fork-bomb", limits={"cpu": "400ms", "processes": "50", "memory": "256M"},
           hit=["cpu", "processes"]),
    killed("cpu.python-fork-bomb", "CPU_TIME_LIMIT", python(
        "import os\nwhile True:\n try: os.fork()\n except OSError: pass"),
           limits={"cpu": "500ms", "processes": "20", "memory": "256M"}, hit=["cpu"], maybe=["processes"]),
    exited("cpu.just-enough", "burn-ms:100 exit:0", limits={"cpu": "1s"}),
]

WALL = [
    killed("wall.sleep", "WALL_TIME_LIMIT", "pause", "wall", limits={"wall": "200ms"}),
    killed("wall.python-sleep", "WALL_TIME_LIMIT", python("import time; time.sleep(60)"), "wall",
           limits={"wall": "500ms"}),
    killed("wall.blocked-read", "WALL_TIME_LIMIT", "read", "wall", limits={"wall": "200ms"}),
    killed("wall.python-input", "WALL_TIME_LIMIT", python("input()"), "wall", limits={"wall": "500ms"}),
    killed("wall.deadlock", "WALL_TIME_LIMIT", "deadlock", "wall", limits={"wall": "200ms"}),
    killed("wall.stopped", "WALL_TIME_LIMIT", "raise:STOP", "wall", limits={"wall": "200ms"}),
    killed("wall.waits-for-a-child", "WALL_TIME_LIMIT", "fork pause end wait", "wall", limits={"wall": "200ms"}),
    killed("wall.bash", "WALL_TIME_LIMIT", bash("trap '' TERM; while sleep 1; do :; done"), "wall",
           limits={"wall": "300ms"}),
    # bash waits between its attempts to fork: that costs no processor time.
    killed("wall.bash-fork-bomb", "WALL_TIME_LIMIT", bash(":() { : | : & wait; }; : 2>/dev/null"),
           limits={"wall": "700ms", "processes": "20", "memory": "256M"}, hit=["wall", "processes"]),
    killed("wall.burns-less-than-cpu", "WALL_TIME_LIMIT", "burn", "wall", limits={"wall": "200ms"}),
    exited("wall.just-enough", "sleep-ms:100 exit:0", limits={"wall": "5s"}),
]

OUTPUT = [
    killed("output.endless", "OUTPUT_LIMIT", "yes", "output", limits={"output": "16K"}, kept=16384),
    killed("output.endless-stderr", "OUTPUT_LIMIT", "yes:2", "output", limits={"output": "16K"}),
    killed("output.endless-yes", "OUTPUT_LIMIT", ["yes"], "output", limits={"output": "16K"}),
    killed("output.endless-python", "OUTPUT_LIMIT", python("while True: print('hello')"), "output",
           limits={"output": "4K"}),
    killed("output.endless-by-a-daemon", "OUTPUT_LIMIT", "daemon yes end pause", "output", limits={"output": "16K"}),
    killed("output.200-MB-above-64-times", "OUTPUT_LIMIT", "print:200M", "output", limits={"output": "1M"}),
    exited("output.200-MB-below-64-times", "print:200M exit:0", limits={"output": "4M"}, hit=["output"],
           kept=4 << 20),
    exited("output.python-a-little-above", python("print('x' * 5000)"), limits={"output": "4K"}, hit=["output"],
           kept=4096),
    exited("output.stderr-above-and-status-3", "print-err:5000 exit:3", 3, limits={"output": "4K"}, hit=["output"]),
    exited("output.exactly", "print:4K exit:0", limits={"output": "4K"}, kept=4096),
]

FILE_SIZE = [
    row("file-size.signal", "FILE_SIZE_LIMIT", "until-efbig:file", signal="SIGXFSZ", limits={"file-size": "1M"},
        hit=["file-size"], says="1M"),
    row("file-size.signal-by-truncate", "FILE_SIZE_LIMIT", "truncate-efbig:file,2M", signal="SIGXFSZ",
        limits={"file-size": "1M"}, hit=["file-size"]),
    row("file-size.ignored", "FILE_SIZE_LIMIT", "ignore:XFSZ until-efbig:file exit:1", exit_code=1,
        limits={"file-size": "1M"}, hit=["file-size"]),
    row("file-size.ignored-in-tmp", "FILE_SIZE_LIMIT", "ignore:XFSZ until-efbig:/tmp/file exit:1", exit_code=1,
        limits={"file-size": "1M"}, hit=["file-size"]),
    row("file-size.ignored-deep-inside", "FILE_SIZE_LIMIT", "ignore:XFSZ mkdir:a mkdir:a/b until-efbig:a/b/f exit:1",
        exit_code=1, limits={"file-size": "1M"}, hit=["file-size"]),
    row("file-size.caught", "FILE_SIZE_LIMIT", "catch:XFSZ,7 until-efbig:file", exit_code=7,
        limits={"file-size": "1M"}, hit=["file-size"]),
    row("file-size.python", "FILE_SIZE_LIMIT", python("open('f', 'wb').write(b'x' * (2 << 20))"), exit_code=1,
        limits={"file-size": "1M"}, hit=["file-size"]),
    row("file-size.dd", "FILE_SIZE_LIMIT", ["dd", "if=/dev/zero", "of=file", "bs=64K"], signal="SIGXFSZ",
        limits={"file-size": "1M"}, hit=["file-size"]),
    row("file-size.shell-reports-153", "FILE_SIZE_LIMIT", bash("head -c 2M /dev/zero >f; exit $?"), exit_code=153,
        limits={"file-size": "1M"}, hit=["file-size"]),
    row("file-size.exactly-and-status-1", "FILE_SIZE_LIMIT", "write:file,1M exit:1", exit_code=1,
        limits={"file-size": "1M"}, hit=["file-size"]),
    exited("file-size.exactly-and-status-0", "write:file,1M exit:0", limits={"file-size": "1M"}, hit=["file-size"]),
    exited("file-size.python-caught-the-error", python(
        "try: open('f', 'wb', 0).write(b'x' * (1 << 20)); open('f', 'ab', 0).write(b'x')\nexcept OSError: pass"),
           limits={"file-size": "1M"}, hit=["file-size"]),
    exited("file-size.ignored-and-status-0", "ignore:XFSZ until-efbig:file exit:0", limits={"file-size": "1M"},
           hit=["file-size"]),
    exited("file-size.child-by-signal-and-status-0", "fork until-efbig:file end wait exit:0",
           limits={"file-size": "1M"}, hit=["file-size"]),
    # Mostly a hole: it takes no room, but it is a file that the program has made.
    exited("file-size.sparse-and-status-0", "sparse:file,1M exit:0", limits={"file-size": "1M"}, hit=["file-size"]),
    exited("file-size.sparse-in-tmp", "sparse:/tmp/file,1M exit:0", limits={"file-size": "1M"}, hit=["file-size"]),
    exited("file-size.sparse-of-another-size", "sparse:file,512K exit:0", limits={"file-size": "1M"}),
    # Nobody can tell that it was there.
    exited("file-size.removed-and-status-0", "write:file,1M unlink:file exit:0", limits={"file-size": "1M"}),
    row("file-size.sparse-and-status-1", "FILE_SIZE_LIMIT", "sparse:file,1M exit:1", exit_code=1,
        limits={"file-size": "1M"}, hit=["file-size"]),
    exited("file-size.one-byte-less", "write:file,1048575 exit:1", 1, limits={"file-size": "1M"}),
    exited("file-size.other-size-and-status-1", "write:file,64K exit:1", 1, limits={"file-size": "1M"}),
]

PROCESSES = [
    row("processes.forks", "PROCESS_LIMIT", "forks:100 exit:1", exit_code=1, limits={"processes": "10"},
        hit=["processes"], says="10 processes"),
    row("processes.threads", "PROCESS_LIMIT", "threads:100 exit:1", exit_code=1, limits={"processes": "10"},
        hit=["processes"]),
    row("processes.python-fork", "PROCESS_LIMIT", python("import os,time\nfor i in range(50):\n"
        " if os.fork() == 0: time.sleep(60)"), exit_code=1, limits={"processes": "10"}, hit=["processes"]),
    row("processes.python-threads", "PROCESS_LIMIT", python("import threading,time,os\ntry:\n for i in range(50): "
        "threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\nexcept RuntimeError: os._exit(1)"),
        exit_code=1, limits={"processes": "10"}, hit=["processes"]),
    row("processes.abort-after-it", "PROCESS_LIMIT", "threads:100 abort", signal="SIGABRT",
        limits={"processes": "10"}, hit=["processes"]),
    exited("processes.forks-and-status-0", "forks:100 exit:0", limits={"processes": "10"}, hit=["processes"]),
    exited("processes.threads-and-status-0", "threads:100 exit:0", limits={"processes": "10"}, hit=["processes"]),
    exited("processes.as-many-as-allowed", "fork:9 pause end exit:0", limits={"processes": "10"}),
    exited("processes.one-is-enough", "exit:0", limits={"processes": "1"}),
]

SPACE = [
    exited("workspace.full", "until-enospc:file exit:0", limits={"workspace": "4M"}, hit=["workspace"]),
    exited("workspace.full-and-status-1", "until-enospc:file exit:1", 1, limits={"workspace": "4M"},
           hit=["workspace"]),
    exited("workspace.full-tmp", "until-enospc:/tmp/file exit:0", limits={"workspace": "4M"}, hit=["workspace"]),
    exited("workspace.full-shm", "until-enospc:/dev/shm/file exit:0", limits={"workspace": "4M"}, hit=["workspace"]),
    exited("workspace.python", python("open('f', 'wb').write(b'x' * (5 << 20))"), 1, limits={"workspace": "4M"},
           hit=["workspace"], says="workspace"),
    # No counter of the kernel remembers ENOSPC: what is seen is how full it is in the end.
    exited("workspace.full-and-emptied", "until-enospc:file unlink:file exit:1", 1, limits={"workspace": "4M"}),
    exited("workspace.below", "write:file,3M exit:0", limits={"workspace": "4M"}),
    exited("inodes.used-up", "until-no-inodes:. exit:0", limits={"inodes": "64"}, hit=["inodes"]),
    exited("inodes.used-up-in-tmp", "until-no-inodes:/tmp exit:0", limits={"inodes": "64"}, hit=["inodes"]),
    exited("inodes.python", python("for i in range(100): open(str(i), 'w').close()"), 1, limits={"inodes": "64"},
           hit=["inodes"]),
    # The kernel tells nobody about EMFILE: `open-files` is never among limits_hit.
    exited("open-files.dup", "until-emfile:100 exit:1", 1, limits={"open-files": "32"}),
    exited("open-files.status-0", "until-emfile:100 exit:0", limits={"open-files": "32"}),
    exited("open-files.python", python("x = [open('/dev/null') for i in range(100)]"), 1, limits={"open-files": "32"}),
]

POLICY = [
    row("policy.fork", "POLICY_VIOLATION", "refused:fork exit:1", exit_code=1, policy="no-subprocess",
        refusals={"subprocess": 1}, says="another program"),
    row("policy.fork-three-times", "POLICY_VIOLATION", "refused:fork,3 exit:1", exit_code=1, policy="no-subprocess",
        refusals={"subprocess": 3}, says="3 times"),
    row("policy.spawn", "POLICY_VIOLATION", "refused:spawn exit:2", exit_code=2, policy="no-subprocess",
        refusals={"subprocess": 1}),
    row("policy.python-subprocess", "POLICY_VIOLATION", python("import subprocess; subprocess.run(['true'])"),
        exit_code=1, policy="no-subprocess", refusals={"subprocess": 2}), # vfork, and then fork
    row("policy.segv-after-a-refusal", "POLICY_VIOLATION", "refused:unshare segv", signal="SIGSEGV",
        refusals={"namespace": 1}),
    *[row("policy." + call, "POLICY_VIOLATION", "refused:%s exit:1" % call, exit_code=1, refusals={operation: 1})
      for call, operation in {"socket": "socket", "unshare": "namespace", "setns": "namespace",
                              "clone-namespace": "namespace", "ptrace": "ptrace", "process-vm": "ptrace",
                              "mount": "mount", "chroot": "mount", "keyctl": "keyring", "bpf": "kernel",
                              "io-uring": "kernel", "settime": "time", "mknod": "device",
                              "tiocsti": "terminal"}.items()],
    row("policy.int80", "POLICY_VIOLATION", "int80", signal="SIGSYS", says="system call"),
    row("policy.x32", "POLICY_VIOLATION", "x32", signal="SIGSYS"),
    exited("policy.refused-and-status-0", "refused:ptrace exit:0", refusals={"ptrace": 1}),
    exited("policy.fork-refused-and-status-0", "refused:raw-clone,2 exit:0", policy="no-subprocess",
           refusals={"subprocess": 2}),
    exited("policy.os-system-and-status-0", python("import os; os.system('true')"), policy="no-subprocess",
           refusals={"subprocess": 1}),
    exited("policy.child-by-sigsys-and-status-0", "fork int80 end wait exit:0"),
    exited("policy.threads-are-no-subprocess", "thread:3 sleep-ms:5 end exit:0", policy="no-subprocess"),
    exited("policy.subprocesses-by-default", "fork exit:0 end wait vfork-exec exit:0"),
]

CANCELLED = [
    killed("cancelled.term-while-asleep", "CANCELLED", python(READY + "import time; time.sleep(60)"),
           cancel=["TERM"], says="cancelled"),
    killed("cancelled.term-while-burning", "CANCELLED", python(READY + "while True: pass"), cancel=["TERM"]),
    killed("cancelled.hup", "CANCELLED", bash("trap '' HUP TERM; echo ready; while :; do sleep 1; done"),
           cancel=["HUP"]),
    killed("cancelled.second-interrupt", "CANCELLED", python(
        "import os,signal,time\nsignal.signal(signal.SIGINT, lambda *a: os.write(1, b'again\\n'))\n" + READY +
        "while True: time.sleep(0.05)"), cancel=["INT", "INT"]),
    killed("cancelled.children-too", "CANCELLED", bash("setsid sleep 60 & sleep 60 & echo ready; wait"),
           cancel=["TERM"]),
    killed("cancelled.after-touching-memory", "CANCELLED", bash(
        "python3 -c 'x = b\"x\" * (96 << 20)'; echo ready; sleep 60"), cancel=["TERM"], hit=["memory"]),
    row("cancelled.not-by-a-caught-interrupt", "EXITED", python(
        "import signal,sys,time\nsignal.signal(signal.SIGINT, lambda *a: sys.exit(7))\n" + READY +
        # One long sleep could begin just after the signal came, and CPython looks only afterwards.
        "while True: time.sleep(0.05)"),
        exit_code=7, cancel=["INT"]),
    row("cancelled.not-by-one-interrupt", "SIGNALED", python(
        "import signal,time\nsignal.signal(signal.SIGINT, signal.SIG_DFL)\n" + READY + "time.sleep(60)"),
        signal="SIGINT", cancel=["INT"]),
]

# The first that applies, and limits_hit names them all.
FEW = {"processes": "10", "file-size": "1M"}
PRECEDENCE = [
    exited("precedence.status-0-is-always-exited",
           "fork malloc:96M end wait ignore:XFSZ until-efbig:f print:5000 forks:20 exit:0",
           limits={"processes": "10", "file-size": "1M", "output": "4K"},
           hit=["memory", "file-size", "processes", "output"]),
    killed("precedence.memory-before-cpu", "MEMORY_LIMIT", "fork malloc:96M end wait burn",
           limits={**FEW, "cpu": "1500ms"}, hit=["memory", "cpu"]),
    killed("precedence.memory-before-wall", "MEMORY_LIMIT", "fork malloc:96M end wait pause",
           limits={**FEW, "wall": "1500ms"}, hit=["memory", "wall"]),
    row("precedence.memory-before-file-size", "MEMORY_LIMIT", "fork malloc:96M end wait until-efbig:f",
        signal="SIGXFSZ", limits=FEW, hit=["memory", "file-size"]),
    killed("precedence.cpu-before-file-size", "CPU_TIME_LIMIT", "ignore:XFSZ until-efbig:f burn",
           limits={**FEW, "cpu": "200ms"}, hit=["cpu", "file-size"]),
    killed("precedence.wall-before-processes", "WALL_TIME_LIMIT", "forks:20 pause", limits={**FEW, "wall": "400ms"},
           hit=["wall", "processes"]),
    killed("precedence.wall-before-policy", "WALL_TIME_LIMIT", "refused:mount pause",
           limits={**FEW, "wall": "300ms"}, hit=["wall"], refusals={"mount": 1}),
    killed("precedence.output-before-processes", "OUTPUT_LIMIT", "forks:20 yes",
           limits={"processes": "10", "output": "4K"}, hit=["output", "processes"]),
    row("precedence.file-size-before-processes", "FILE_SIZE_LIMIT", "ignore:XFSZ until-efbig:f forks:20 exit:1",
        exit_code=1, limits=FEW, hit=["file-size", "processes"]),
    row("precedence.processes-before-policy", "PROCESS_LIMIT", "refused:mount forks:20 exit:1", exit_code=1,
        limits=FEW, hit=["processes"], refusals={"mount": 1}),
    row("precedence.policy-before-signal", "POLICY_VIOLATION", "refused:keyctl raise:TERM", signal="SIGTERM",
        refusals={"keyring": 1}),
    exited("precedence.output-touched-is-no-verdict", "print:5000 exit:2", 2, limits={"output": "4K"},
           hit=["output"]),
]

ROWS = (EXITED + OUTLIVE + SIGNALED + MEMORY + CPU + WALL + OUTPUT + FILE_SIZE + PROCESSES + SPACE + POLICY +
        CANCELLED + PRECEDENCE)
