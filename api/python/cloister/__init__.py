"""Run programs that nobody should trust, each in a sandbox of its own.

    import cloister
    with cloister.Client() as client:
        print(client.run("print(6 * 7)").text, end="")
"""

from .client import DEFAULT_TARGET, Client
from .errors import CloisterError, QueueFull, Refused, ServiceFailed, TimedOut, Unavailable
from .events import (Event, Explanation, File, Layer, Notice, Output, Queued, Refusal, Result, SkippedFile, Started,
                     Timing, Usage)
from .interaction import Interaction
from .node import Limit, NodeInfo, Runtime

__version__ = "0.1.0"
__all__ = [
    "Client", "CloisterError", "DEFAULT_TARGET", "Event", "Explanation", "File", "Interaction", "Layer", "Limit", "NodeInfo", "Notice",
    "Output", "QueueFull", "Queued", "Refusal", "Refused", "Result", "Runtime", "ServiceFailed", "SkippedFile",
    "Started", "TimedOut", "Timing", "Unavailable", "Usage",
]
