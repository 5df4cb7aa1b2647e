"""What is raised when there was no run. A run that ended badly is no error: look at its Result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Dict, Optional

import grpc
from google.protobuf.message import DecodeError

from ._pb import status_pb

if TYPE_CHECKING:
    from .events import Result


class CloisterError(Exception):
    """Any failure of a call.

    `str(error)` is for people. `code` is gRPC's name of the status ("INVALID_ARGUMENT"), `reason` a constant of the
    service ("BLOB_MISSING") or "", `meta` what belongs to the reason ("ceiling", "queue_position" ...), all text.
    `retry_after_ms` is when to come back; None when the service did not say.
    """

    def __init__(self, message: str, *, code: str = "UNKNOWN", reason: str = "", field: str = "",
                 retry_after_ms: Optional[int] = None, meta: Optional[Dict[str, str]] = None):
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.field = field
        self.retry_after_ms = retry_after_ms
        self.meta = meta or {}


class Unavailable(CloisterError):
    """The service is starting, draining or gone: try again."""


class Refused(CloisterError):
    """The request is not acceptable as it is. `field` names what is wrong, as the .proto calls it; "" when no field is."""


class QueueFull(CloisterError):
    """The queue or a quota is full: the same request may be accepted after `retry_after_ms`."""


class TimedOut(CloisterError):
    """The `timeout` of the call passed; a run that had begun has been ended."""


class ServiceFailed(CloisterError):
    """The service failed, not the program. `result` is what is known of the run, or None."""

    result: Optional["Result"] = None


_CLASSES = {
    grpc.StatusCode.UNAVAILABLE: Unavailable,
    grpc.StatusCode.DEADLINE_EXCEEDED: TimedOut,
    grpc.StatusCode.INTERNAL: ServiceFailed,
    grpc.StatusCode.UNKNOWN: ServiceFailed,
    grpc.StatusCode.DATA_LOSS: ServiceFailed,
    grpc.StatusCode.INVALID_ARGUMENT: Refused,
    grpc.StatusCode.NOT_FOUND: Refused,
    grpc.StatusCode.UNAUTHENTICATED: Refused,
    grpc.StatusCode.PERMISSION_DENIED: Refused,
    grpc.StatusCode.FAILED_PRECONDITION: Refused,
    grpc.StatusCode.UNIMPLEMENTED: Refused,
}


def from_rpc(error: grpc.RpcError) -> CloisterError:
    """The error of this package that a gRPC error stands for."""
    code = error.code()
    details = _details(error)
    if code == grpc.StatusCode.RESOURCE_EXHAUSTED:
        # Without details gRPC itself says so: the message is too large, and coming back does not help.
        kind = QueueFull if details else Refused
    else:
        kind = _CLASSES.get(code, CloisterError)
    return kind(error.details() or code.name, code=code.name, **details)


def _details(error: grpc.RpcError) -> dict:
    """What grpc-status-details-bin says, as arguments of CloisterError; unknown and broken details are ignored."""
    found: dict = {}
    for key, value in error.trailing_metadata() or ():
        if key != "grpc-status-details-bin":
            continue
        try:
            for detail in status_pb.Status.FromString(value).details:
                found.update(_detail(detail.type_url.rpartition(".")[2], detail.value))
        except DecodeError:
            pass
    return found


def _detail(kind: str, value: bytes) -> dict:
    if kind == "BadRequest":
        violations = status_pb.BadRequest.FromString(value).field_violations
        return {"field": violations[0].field} if violations else {}
    if kind == "RetryInfo":
        delay = status_pb.RetryInfo.FromString(value).retry_delay
        return {"retry_after_ms": delay.seconds * 1000 + delay.nanos // 1_000_000}
    if kind == "ErrorInfo":
        info = status_pb.ErrorInfo.FromString(value)
        return {"reason": info.reason, "meta": {entry.key: entry.value for entry in info.metadata}}
    return {}
