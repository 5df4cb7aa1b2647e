"""A run with a say in it: input, signals, a terminal's size."""

from __future__ import annotations

import queue
import signal
from typing import Callable, Iterator, Optional, Tuple, Union

import grpc

from ._pb import exec_pb as pb
from .events import Event, Result
from .request import Text, raw

_PIECE = 64 << 10  # at most so much stdin_data in a message, as the contract has it
_SIGNALS = frozenset(("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGKILL", "SIGSTOP", "SIGCONT", "SIGWINCH"))

Terminal = Union[None, bool, Tuple[int, int]]


def terminal_size(value: Terminal) -> Optional[pb.Terminal]:
    """True for 24 by 80, (rows, cols), or None and False for none."""
    if value is None or value is False:
        return None
    if value is True:
        return pb.Terminal(rows=24, cols=80)
    numbers = value if isinstance(value, (tuple, list)) and len(value) == 2 else ()
    if not numbers or not all(isinstance(n, int) and not isinstance(n, bool) and 1 <= n <= 1000 for n in numbers):
        raise ValueError(f"terminal: {value!r} is neither True nor (rows, cols), from 1 to 1000 each")
    return pb.Terminal(rows=numbers[0], cols=numbers[1])


def signal_name(value: Union[str, int]) -> str:
    """"SIGINT" or signal.SIGINT, if the contract passes it on."""
    try:
        name = value if isinstance(value, str) else signal.Signals(value).name
    except ValueError:
        name = str(value)
    if name not in _SIGNALS:
        raise ValueError(f"signal: {value!r} is none of {', '.join(sorted(_SIGNALS))}")
    return name


class Outbox:
    """What is to be said in a call: gRPC takes it in a thread of its own, until the call is over."""

    def __init__(self, first: pb.InteractRequest):
        self._queue: "queue.SimpleQueue[Optional[pb.InteractRequest]]" = queue.SimpleQueue()
        self._queue.put(first)

    def put(self, message: pb.InteractRequest) -> None:
        self._queue.put(message)

    def end(self) -> None:
        """Lets that thread go: nothing is taken after this."""
        self._queue.put(None)

    def __iter__(self) -> Iterator[pb.InteractRequest]:
        return iter(self._queue.get, None)


class Interaction:
    """A run under way: iterate over it for its events, the last of which is the Result.

        with client.interact("print('hello', input('name? '))", terminal=True) as talk:
            for event in talk:
                if isinstance(event, cloister.Output) and event.data.endswith(b"name? "):
                    talk.send("ada\\n")

    Its events belong to one thread; everything else may be called from any, also while that one waits. Nothing here
    waits for the program: what it has not read yet is kept. What is said after its end is ignored.
    Leaving the `with` ends the run, unless it has a detach_grace.
    """

    def __init__(self, call: grpc.Call, outbox: Outbox, events: Iterator[Event], collect: Callable[[Iterator[Event]], Result]):
        self._call = call
        self._outbox = outbox
        self._events = events
        self._collect = collect
        self.result: Optional[Result] = None  #: once it has come

    def __iter__(self) -> "Interaction":
        return self

    def __next__(self) -> Event:
        event = next(self._events)
        if isinstance(event, Result):
            self.result = event
        return event

    def __enter__(self) -> "Interaction":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def send(self, data: Text) -> None:
        """Bytes for stdin, or the keyboard of the terminal."""
        data = raw(data)
        for at in range(0, len(data), _PIECE):
            self._outbox.put(pb.InteractRequest(stdin_data=data[at:at + _PIECE]))

    def close_stdin(self) -> None:
        """The end of input; a terminal gets its end-of-file character."""
        self._outbox.put(pb.InteractRequest(close_stdin=pb.CloseStdin()))

    def signal(self, value: Union[str, int]) -> None:
        """A signal to the program, "SIGINT" or signal.SIGINT; with a terminal to its foreground process group."""
        self._outbox.put(pb.InteractRequest(signal=pb.Signal(name=signal_name(value))))

    def resize(self, rows: int, cols: int) -> None:
        """The terminal's new size. Of a run that has none the call ends with Refused."""
        self._outbox.put(pb.InteractRequest(resize=terminal_size((rows, cols))))

    def cancel(self) -> None:
        """Ends the run; its Result (CANCELLED) still comes."""
        self._outbox.put(pb.InteractRequest(cancel=pb.Cancel()))

    def wait(self) -> Result:
        """What became of the run, with what it writes and leaves from here on, as Client.run returns it."""
        return self._collect(self)

    def close(self) -> None:
        """Ends the call, and with it a run that is still under way and has no detach_grace."""
        self._call.cancel()
