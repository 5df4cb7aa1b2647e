"""What becomes of a run, as plain data: the events of a stream, the last of which is the Result."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Dict, List, Optional, Union

from ._pb import exec_pb as pb


@dataclass(frozen=True)
class Queued:
    """All permits are taken: the run waits. `position` 1 is the next; `expected_wait_ms` 0: no estimate yet.

    Of a run with a detach_grace it is the first event in any case; `position` 0: it does not wait."""
    run_id: str
    position: int
    expected_wait_ms: int


@dataclass(frozen=True)
class Started:
    """The program is running. `start` is "cold" or "warm"; the runtime is "" for a plain command."""
    run_id: str
    node: str
    runtime: str
    runtime_version: str
    start: str


@dataclass(frozen=True)
class Output:
    """Bytes that the program wrote. `stream` is "stdout" or "stderr"; `offset` counts all that it wrote there, so a
    jump means that the middle was dropped by the output limit, or was written while nobody listened and too long ago."""
    stream: str
    offset: int
    data: bytes

    @property
    def text(self) -> str:
        """The data as UTF-8, bad bytes replaced. A character may be split between two events."""
        return self.data.decode(errors="replace")


@dataclass(frozen=True)
class File:
    """A collected file, whole."""
    path: str
    data: bytes
    sha256: bytes


@dataclass(frozen=True)
class Notice:
    """For people. `kind` is "idle_warning", "drain_warning", "output_dropped" or "compiling"."""
    kind: str
    message: str
    remaining_ms: int


@dataclass(frozen=True)
class Refusal:
    """A call that policy forbids, and how often the program made it."""
    operation: str
    count: int
    message: str


@dataclass(frozen=True)
class Explanation:
    """Why it ended so; `message` is one sentence for a beginner. `limit` is "" when no limit ended it."""
    limit: str
    configured: int
    observed: int
    detected_by: str
    message: str


@dataclass(frozen=True)
class Usage:
    """What the run used, of all its processes together."""
    cpu_user_us: int
    cpu_system_us: int
    wall_us: int
    memory_peak_bytes: int
    processes_peak: int


@dataclass(frozen=True)
class Timing:
    """Microseconds of each step; 0: did not take place (a compile step: there is none, or it was saved)."""
    queued: int
    slot: int
    files_in: int
    spawn: int
    run: int
    collect: int
    total: int
    compile: int


@dataclass(frozen=True)
class Layer:
    """A layer of the sandbox: whether it was active, and if not, why."""
    name: str
    active: bool
    missing: bool
    detail: str


@dataclass(frozen=True)
class SkippedFile:
    """A file that was there and did not come back."""
    path: str
    size: int
    reason: str


@dataclass(frozen=True)
class Result:
    """How a run ended.

    `verdict` is the contract's name without its prefix: "EXITED", "SIGNALED", "MEMORY_LIMIT", "COMPILE_FAILED" ...
    Of `exit_code` and `signal` ("SIGKILL") at most one is not None; neither: the program did not run.
    As the last event of `Client.stream` its stdout, stderr and outputs are empty: they came as events before.
    """
    run_id: str
    verdict: str
    exit_code: Optional[int]
    signal: Optional[str]
    limits_hit: List[str]
    refusals: List[Refusal]
    explanation: Explanation
    usage: Usage
    timing_us: Timing
    layers: List[Layer]
    start: str
    runtime: str
    runtime_version: str
    node: str
    launcher: str
    dropped_stdout_bytes: int
    dropped_stderr_bytes: int
    outputs_skipped: List[SkippedFile]
    stdout: bytes = b""
    stderr: bytes = b""
    outputs: Dict[str, bytes] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """It ended by itself with exit status 0."""
        return self.verdict == "EXITED" and self.exit_code == 0

    @property
    def text(self) -> str:
        """stdout as UTF-8, bad bytes replaced."""
        return self.stdout.decode(errors="replace")


Event = Union[Queued, Started, Output, File, Notice, Result]


def path_text(path: bytes) -> str:
    """A path of the contract; bytes that are not UTF-8 become surrogates, as os.fsdecode makes them."""
    return path.decode("utf-8", "surrogateescape")


def copied(kind, message, suffix=""):
    """A dataclass of `kind` from the fields of the same names (with the suffix) of a message."""
    return kind(**{f.name: getattr(message, f.name + suffix) for f in dataclasses.fields(kind)})


def _word(enum, number: int, prefix: str) -> str:
    """A value's name without its prefix; one that this package does not know is its number."""
    known = enum.values_by_number.get(number)
    return known.name[len(prefix):] if known else str(number)


def _start(number: int) -> str:
    return _word(pb.Start.DESCRIPTOR, number, "START_").lower()


def queued(message) -> Queued:
    return copied(Queued, message)


def started(message) -> Started:
    return Started(message.run_id, message.node, message.runtime.name, message.runtime.version, _start(message.start))


def output(message) -> Output:
    return Output("stderr" if message.stream == pb.STREAM_STDERR else "stdout", message.offset, message.data)


def notice(message) -> Notice:
    kind = _word(pb.Notice.Kind.DESCRIPTOR, message.kind, "KIND_").lower()
    return Notice(kind, message.message, message.remaining_ms)


def result(message) -> Result:
    ended = message.WhichOneof("exit")
    return Result(
        run_id=message.run_id,
        verdict=_word(pb.Verdict.DESCRIPTOR, message.verdict, "VERDICT_"),
        exit_code=message.exit_code if ended == "exit_code" else None,
        signal=message.signal if ended == "signal" else None,
        limits_hit=list(message.limits_hit),
        refusals=[copied(Refusal, r) for r in message.refusals],
        explanation=copied(Explanation, message.explanation),
        usage=copied(Usage, message.usage),
        timing_us=copied(Timing, message.timing, suffix="_us"),
        layers=[copied(Layer, layer) for layer in message.layers],
        start=_start(message.start),
        runtime=message.runtime.name,
        runtime_version=message.runtime.version,
        node=message.node,
        launcher=message.launcher,
        dropped_stdout_bytes=message.dropped_stdout_bytes,
        dropped_stderr_bytes=message.dropped_stderr_bytes,
        outputs_skipped=[SkippedFile(path_text(s.path), s.size, s.reason) for s in message.outputs_skipped])
