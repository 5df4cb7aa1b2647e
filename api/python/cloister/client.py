"""The client: one channel to one node."""

from __future__ import annotations

import hashlib
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Callable, Dict, Iterable, Iterator, List, Mapping, Optional, Tuple, Union

import grpc

from . import blobs, events, node
from . import request as requests
from ._pb import exec_pb as pb
from .errors import Refused, ServiceFailed, Unavailable, from_rpc
from .events import Event, File, Output, Result
from .interaction import Interaction, Outbox, Terminal, terminal_size
from .request import Collect, Content, Grace, Text

DEFAULT_TARGET = "unix:///run/cloister/execsvc.sock"
_PREFIX = "/cloister.exec.v1."
_UNARY_TIMEOUT_S = 10.0
_AGAIN_S = 0.3


def _address(target: Optional[str]) -> str:
    target = target or os.environ.get("CLOISTER_CONNECT") or os.environ.get("CLOISTER_SOCKET") or DEFAULT_TARGET
    return "unix://" + target if target.startswith("/") else target


def _channel(target: str, ca: Optional[str], cert: Optional[str], key: Optional[str]) -> grpc.Channel:
    # Without probing, a receive window stays small: what was sent and not read is less than the service keeps.
    options = [("grpc.max_receive_message_length", 64 << 20), ("grpc.http2.bdp_probe", 0)]
    if target.startswith("unix:"):
        if ca or cert or key:
            raise ValueError("ca, cert, key: a unix socket takes none of them")
        return grpc.insecure_channel(target, options=options)
    names = (ca or os.environ.get("CLOISTER_CA"), cert or os.environ.get("CLOISTER_CERT"), key or os.environ.get("CLOISTER_KEY"))
    if not all(names):
        raise ValueError(f"{target}: TCP takes ca, cert and key: there is none without mutual TLS")
    roots, chain, private = (Path(name).read_bytes() for name in names)
    return grpc.secure_channel(target, grpc.ssl_channel_credentials(roots, private, chain), options=options)


class Client:
    """A connection to a node of Cloister.

    target: the path of a socket, or HOST:PORT of a service elsewhere; default: CLOISTER_CONNECT or CLOISTER_SOCKET of the
        environment, or DEFAULT_TARGET.
    ca, cert, key: for HOST:PORT, PEM files: who vouches for the service, and who we are (mutual TLS). Default:
        CLOISTER_CA, CLOISTER_CERT and CLOISTER_KEY of the environment.
    subject: for whom the runs are, if that is not the caller; needs act_for in the service's configuration.

    Nothing is connected before the first call. Threads may share a client: every call is independent, and several
    may be under way at once. One stream belongs to one thread. After os.fork() make a new one (gRPC's rule).
    """

    def __init__(self, target: Optional[str] = None, subject: Optional[str] = None, *, ca: Optional[str] = None,
                 cert: Optional[str] = None, key: Optional[str] = None):
        self.target = _address(target)
        self._metadata = [("cloister-subject", subject)] if subject else []
        self._channel = _channel(self.target, ca, cert, key)
        self._execute = self._channel.unary_stream(
            _PREFIX + "Execution/Execute", pb.ExecuteRequest.SerializeToString, pb.ExecuteEvent.FromString)
        self._attach = self._channel.unary_stream(
            _PREFIX + "Execution/Attach", pb.AttachRequest.SerializeToString, pb.ExecuteEvent.FromString)
        self._interact = self._channel.stream_stream(
            _PREFIX + "Execution/Interact", pb.InteractRequest.SerializeToString, pb.ExecuteEvent.FromString)
        self._info = self._channel.unary_unary(
            _PREFIX + "Node/Info", pb.NodeInfoRequest.SerializeToString, pb.NodeInfo.FromString)
        self._runtimes = self._channel.unary_unary(
            _PREFIX + "Node/Runtimes", pb.RuntimesRequest.SerializeToString, pb.RuntimesResponse.FromString)
        self._blobs = blobs.Store(self._channel, _PREFIX, self._metadata)
        self._extensions: Dict[str, str] = {}

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connection, and with it every run that is still under way and has no `detach_grace`."""
        self._channel.close()

    def run(self, source: Optional[Text] = None, *, runtime: str = "python3", argv: Optional[Iterable[Text]] = None,
            files: Optional[Mapping[Text, Content]] = None, entry: Text = "", args: Iterable[Text] = (),
            env: Optional[Mapping[str, Text]] = None, stdin: Text = b"",
            limits: Optional[Mapping[str, Union[str, int]]] = None, policy: Optional[str] = None,
            collect: Collect = True, executable: Iterable[Text] = (), detach_grace: Grace = None,
            timeout: Optional[float] = None) -> Result:
        """Runs a program to its end and returns what became of it, whatever that is.

        source: the program; it becomes the file "main" with the runtime's extension, and the entry.
        runtime: a name of `runtimes()`. argv: a command instead; then there is no source, entry and args.
        files: {path in the workspace: str, bytes, or an os.PathLike whose file is read}. Without source the first is
            the entry, or the one that `entry` names. What is beyond 1 MiB in all goes to the node ahead of the run,
            if it is not there from an earlier one, and counts neither as memory nor as workspace. executable: which of them get mode 0755.
        args, env: of the program. stdin: its whole input.
        limits: {"memory": "64M", "cpu": "2s", "processes": 20 ...}; a plain number is bytes, ms or a count.
        policy: "no-subprocess", "subprocess" or None, the runtime's own.
        collect: bring back new and changed files: True all, False none, or a list of shell patterns.
        detach_grace: how long the run goes on without us, in seconds or as "10m"; its result is kept for as long again.
            A lost connection is then made again, and `attach` comes back to the run after anything else.
        timeout: seconds for all of it, waiting in the queue too; None: the limits alone end it.

        Raises ValueError for what can be seen here to be wrong, and CloisterError when there was no run.
        """
        request, large = self._request(source, timeout, runtime=runtime, argv=argv, files=files or {}, entry=entry,
                                       args=args, env=env or {}, stdin=stdin, limits=limits or {}, policy=policy,
                                       collect=collect, executable=executable, detach_grace=detach_grace)
        return _result(self._events(request, large, timeout))

    def stream(self, source: Optional[Text] = None, *, runtime: str = "python3", argv: Optional[Iterable[Text]] = None,
               files: Optional[Mapping[Text, Content]] = None, entry: Text = "", args: Iterable[Text] = (),
               env: Optional[Mapping[str, Text]] = None, stdin: Text = b"",
               limits: Optional[Mapping[str, Union[str, int]]] = None, policy: Optional[str] = None,
               collect: Collect = True, executable: Iterable[Text] = (), detach_grace: Grace = None,
               timeout: Optional[float] = None) -> Iterator[Event]:
        """The same as it happens: Queued, Started, Output, Notice and File events, and a Result as the last.

        The run begins with the first event that is asked for. Leaving the loop early (closing the iterator) ends it,
        unless it has a detach_grace.
        """
        request, large = self._request(source, timeout, runtime=runtime, argv=argv, files=files or {}, entry=entry,
                                       args=args, env=env or {}, stdin=stdin, limits=limits or {}, policy=policy,
                                       collect=collect, executable=executable, detach_grace=detach_grace)
        return self._events(request, large, timeout)

    def interact(self, source: Optional[Text] = None, *, runtime: str = "python3", argv: Optional[Iterable[Text]] = None,
                 files: Optional[Mapping[Text, Content]] = None, entry: Text = "", args: Iterable[Text] = (),
                 env: Optional[Mapping[str, Text]] = None, stdin: Text = b"",
                 limits: Optional[Mapping[str, Union[str, int]]] = None, policy: Optional[str] = None,
                 collect: Collect = True, executable: Iterable[Text] = (), detach_grace: Grace = None,
                 terminal: Terminal = None, timeout: Optional[float] = None) -> Interaction:
        """The same with a say in it: its input stays open, and it takes signals.

        stdin: what comes first; more with `send`, the end with `close_stdin`.
        terminal: stdin, stdout and stderr are one pseudo-terminal, and all output is "stdout": True for 24 by 80, or
            (rows, cols). The wall limit stands still while the program waits for input, and the idle limit applies.

        The run begins at once. A lost connection is not made again by itself: see `attach_interact`.
        """
        size = terminal_size(terminal)
        request, large = self._request(source, timeout, runtime=runtime, argv=argv, files=files or {}, entry=entry,
                                       args=args, env=env or {}, stdin=stdin, limits=limits or {}, policy=policy,
                                       collect=collect, executable=executable, detach_grace=detach_grace)
        if size:
            request.terminal.CopyFrom(size)
        end = None if timeout is None else time.monotonic() + timeout
        if large:
            self._blobs.ensure(large, timeout)
        return self._talk(pb.InteractRequest(start=request), pb.AttachRequest(), _left(end))

    def attach_interact(self, run_id: str, *, stdout_offset: int = 0, stderr_offset: int = 0, files_done: int = 0,
                       timeout: Optional[float] = None) -> Interaction:
        """Comes back to a run with a detach_grace as `attach` does, with a say in it. Its input is as it was left."""
        place = pb.AttachRequest(run_id=run_id, stdout_offset=stdout_offset, stderr_offset=stderr_offset,
                                 files_done=files_done)
        return self._talk(pb.InteractRequest(attach=place), place, timeout)

    def start(self, source: Optional[Text] = None, *, detach_grace: Grace = "10m", **arguments) -> str:
        """Begins a run with the arguments of `run` and leaves it to itself. Returns its id, for `attach`."""
        stream = self.stream(source, detach_grace=detach_grace, **arguments)
        try:
            first = next(stream)
        finally:
            stream.close()
        assert isinstance(first, events.Queued)  # the contract: with a grace it is the first event in any case
        return first.run_id

    def attach(self, run_id: str, *, stdout_offset: int = 0, stderr_offset: int = 0, files_done: int = 0,
               timeout: Optional[float] = None) -> Result:
        """Comes back to a run that was begun with a detach_grace, and returns what became of it, as `run` does.

        stdout_offset, stderr_offset: so many bytes are here already. files_done: so many files. What is left out is
        not in the Result either. Of output that nobody was there to hear, the last 256 KiB are kept.
        Whoever listened to the run before is sent away. Refused (code "NOT_FOUND"): no such run of yours.
        """
        return _result(self.attach_stream(run_id, stdout_offset=stdout_offset, stderr_offset=stderr_offset,
                                          files_done=files_done, timeout=timeout))

    def attach_stream(self, run_id: str, *, stdout_offset: int = 0, stderr_offset: int = 0, files_done: int = 0,
                      timeout: Optional[float] = None) -> Iterator[Event]:
        """The same as it happens."""
        place = pb.AttachRequest(run_id=run_id, stdout_offset=stdout_offset, stderr_offset=stderr_offset,
                                 files_done=files_done)
        return self._follow(lambda left: self._attach(place, timeout=left, metadata=self._metadata), place, 0.0, timeout)

    def runtimes(self, timeout: Optional[float] = _UNARY_TIMEOUT_S) -> List[node.Runtime]:
        """What the node can run."""
        return [node.runtime(r) for r in self._call(self._runtimes, pb.RuntimesRequest(), timeout).runtimes]

    def info(self, timeout: Optional[float] = _UNARY_TIMEOUT_S) -> node.NodeInfo:
        """What the node is and enforces."""
        return node.info(self._call(self._info, pb.NodeInfoRequest(), timeout))

    def _call(self, method, message, timeout: Optional[float]):
        try:
            return method(message, timeout=timeout, metadata=self._metadata)
        except grpc.RpcError as error:
            raise from_rpc(error) from error

    def _request(self, source: Optional[Text], timeout: Optional[float], *, files: Mapping[Text, Content],
                 **rest) -> Tuple[pb.ExecuteRequest, blobs.Blobs]:
        if source is not None:
            if rest["argv"] is not None or rest["entry"]:
                raise ValueError("source: not together with argv or entry")
            name = "main" + self._extension(rest["runtime"], timeout)
            if name in files or name.encode() in files:
                raise ValueError(f"files: {name} is the name that the source gets")
            files = {name: source, **files}
        return requests.build(files=files, **rest)

    def _extension(self, runtime: str, timeout: Optional[float]) -> str:
        """".py", as the node knows it; asked once. Of a runtime that is not there "": the service says so itself."""
        if not self._extensions:
            known = self.runtimes(_UNARY_TIMEOUT_S if timeout is None else timeout)
            self._extensions = {r.name: r.extensions[0] for r in known if r.extensions}
        return self._extensions.get(runtime, "")

    def _events(self, request: pb.ExecuteRequest, large: blobs.Blobs, timeout: Optional[float]) -> Iterator[Event]:
        end = None if timeout is None else time.monotonic() + timeout
        for last in (False, True):
            if large:
                self._blobs.ensure(large, _left(end))
            try:
                yield from self._follow(
                    lambda left: self._execute(request, timeout=left, metadata=self._metadata), pb.AttachRequest(),
                    request.detach_grace_ms / 1000, _left(end))
                return
            except Refused as error:
                if last or error.reason != "BLOB_MISSING":  # one that had to make room since; nothing has run
                    raise

    def _talk(self, first: pb.InteractRequest, place: pb.AttachRequest, timeout: Optional[float]) -> Interaction:
        outbox = Outbox(first)
        call = self._interact(iter(outbox), timeout=timeout, metadata=self._metadata)
        if not call.add_callback(outbox.end):  # it is over already
            outbox.end()
        return Interaction(call, outbox, _heard(call, place), _result)

    def _follow(self, begin: Callable[[Optional[float]], grpc.Call], place: pb.AttachRequest, grace: float,
                timeout: Optional[float]) -> Iterator[Event]:
        """The events of a call, and of those that take its place when the connection is lost. `place`: where we are."""
        end = None if timeout is None else time.monotonic() + timeout
        call, give_up = begin(timeout), None
        while True:
            try:
                for event in _read(call, place):
                    give_up = None
                    yield event
                return
            except grpc.RpcError as error:
                failed = from_rpc(error)
                lost = isinstance(failed, Unavailable) and not failed.reason  # not the service's own word
                give_up = give_up or time.monotonic() + grace
                if not lost or not place.run_id or time.monotonic() >= give_up:
                    raise failed from error
            finally:
                call.cancel()
            time.sleep(_AGAIN_S)
            call = self._attach(place, timeout=_left(end), metadata=self._metadata)


def _read(call, place: pb.AttachRequest) -> Iterator[Event]:
    pieces = bytearray()
    for message in call:
        kind = message.WhichOneof("event")
        if kind == "file":
            pieces += message.file.data
            if message.file.last:
                place.files_done += 1
                yield _file(message.file, bytes(pieces))
                pieces.clear()
        elif kind in _EVENTS:
            value = getattr(message, kind)
            if kind in ("queued", "started"):
                place.run_id = value.run_id
            elif kind == "output" and value.stream == pb.STREAM_STDOUT:
                place.stdout_offset = value.offset + len(value.data)
            elif kind == "output":
                place.stderr_offset = value.offset + len(value.data)
            yield _EVENTS[kind](value)


def _heard(call: grpc.Call, place: pb.AttachRequest) -> Iterator[Event]:
    """The events of an interactive call."""
    try:
        yield from _read(call, place)
    except grpc.RpcError as error:
        raise from_rpc(error) from error
    finally:
        call.cancel()


def _result(stream: Iterator[Event]) -> Result:
    """A whole stream as its Result, with what was written and collected in it."""
    written = {"stdout": bytearray(), "stderr": bytearray()}
    outputs: Dict[str, bytes] = {}
    result: Optional[Result] = None
    try:
        for event in stream:
            if isinstance(event, Output):
                written[event.stream] += event.data
            elif isinstance(event, File):
                outputs[event.path] = event.data
            elif isinstance(event, Result):
                result = replace(event, stdout=bytes(written["stdout"]), stderr=bytes(written["stderr"]),
                                 outputs=outputs)
    except ServiceFailed as error:
        error.result = result
        raise
    if result is None:
        raise ServiceFailed("the call ended without a Result")
    return result


def _left(end: Optional[float]) -> Optional[float]:
    return None if end is None else max(0.0, end - time.monotonic())


_EVENTS = {
    "queued": events.queued,
    "started": events.started,
    "output": events.output,
    "notice": events.notice,
    "result": events.result,
}


def _file(chunk, data: bytes) -> File:
    path = events.path_text(chunk.path)
    if len(data) != chunk.size or hashlib.sha256(data).digest() != chunk.sha256:
        raise ServiceFailed(f"{path} did not arrive as it was sent")
    return File(path, data, chunk.sha256)
