"""From the arguments of Client.run to an ExecuteRequest. What can be seen here to be wrong is a ValueError."""

from __future__ import annotations

import os
import re
from typing import Iterable, Mapping, Optional, Tuple, Union

from . import blobs
from ._pb import exec_pb as pb

Text = Union[str, bytes]
Content = Union[str, bytes, "os.PathLike[str]"]
Collect = Union[bool, Iterable[Text]]
Grace = Union[None, str, int, float]

_SIZES = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
_TIMES = {"ms": 1, "": 1000, "s": 1000, "m": 60_000, "h": 3_600_000}
_COUNTS = {"": 1}
_POLICIES = {
    None: pb.Policy.SUBPROCESS_UNSPECIFIED,
    "subprocess": pb.Policy.SUBPROCESS_ALLOW,
    "no-subprocess": pb.Policy.SUBPROCESS_DENY,
}


def _limit_fields() -> dict:
    """{"file-size": ("file_size_bytes", scales)}, read from the contract: a new limit needs nothing here."""
    found = {}
    for name in pb.Limits.DESCRIPTOR.fields_by_name:
        for suffix, scales in (("_bytes", _SIZES), ("_ms", _TIMES), ("", _COUNTS)):
            if name.endswith(suffix):
                found[name[:len(name) - len(suffix)].replace("_", "-")] = (name, scales)
                break
    return found


_LIMITS = _limit_fields()


def raw(value: Text) -> bytes:
    """Text as UTF-8, surrogates as the bytes they stand for; bytes as they are."""
    return value.encode("utf-8", "surrogateescape") if isinstance(value, str) else bytes(value)


def limit_value(name: str, value: Union[str, int]) -> int:
    """"64M", "2s", "1500ms", "50" in the contract's unit; a plain int is in that unit already (bytes, ms, count)."""
    scales = _LIMITS[name][1]
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    match = re.fullmatch(r"([0-9]+)([A-Za-z]*)", value) if isinstance(value, str) else None
    if not match or match.group(2) not in scales or int(match.group(1)) == 0:
        forms = " ".join(suffix for suffix in scales if suffix) or "nothing"
        raise ValueError(f"limit {name}: {value!r} is not a whole number above 0, followed by {forms}")
    return int(match.group(1)) * scales[match.group(2)]


def grace_ms(value: Grace) -> int:
    """"10m", "90s" or a number of seconds, in ms; None: 0."""
    match = re.fullmatch(r"([0-9]+)([a-z]+)", value) if isinstance(value, str) else None
    if match and match.group(2) in _TIMES:
        return int(match.group(1)) * _TIMES[match.group(2)]
    if value is None or isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 1 << 20:
        return int((value or 0) * 1000)
    raise ValueError(f"detach_grace: {value!r} is neither a number of seconds nor a time such as '10m'")


def _add_files(request: pb.ExecuteRequest, files: Mapping[Text, Content], executable: Iterable[Text]) -> blobs.Blobs:
    """Inline as far as a request has room, in their order; the rest by hash. Returns what those stand for."""
    runnable = {raw(path) for path in executable}
    room, found = blobs.INLINE_BYTES, {}
    for path, value in files.items():
        source = value if isinstance(value, os.PathLike) else raw(value)
        content, sha256 = blobs.place(source, room)
        if sha256 is None:
            room -= len(content)
        else:
            found[sha256] = source
        request.files.add(path=raw(path), content=content, sha256=sha256, executable=raw(path) in runnable)
    return found


def build(*, runtime: str, argv: Optional[Iterable[Text]], files: Mapping[Text, Content], entry: Text,
          args: Iterable[Text], env: Mapping[str, Text], stdin: Text, limits: Mapping[str, Union[str, int]],
          policy: Optional[str], collect: Collect, executable: Iterable[Text],
          detach_grace: Grace) -> Tuple[pb.ExecuteRequest, blobs.Blobs]:
    """The request that the arguments describe (see Client.run), and the files that have to be put before."""
    if policy not in _POLICIES:
        raise ValueError(f"policy: {policy!r} is not None, 'subprocess' or 'no-subprocess'")
    for name, value in (("argv", argv), ("args", args), ("collect", collect), ("executable", executable)):
        if isinstance(value, (str, bytes)):
            raise ValueError(f"{name}: give a list, not one text")
    request = pb.ExecuteRequest(
        runtime="" if argv is not None else runtime, argv=[raw(a) for a in argv or ()], entry=raw(entry),
        args=[raw(a) for a in args], stdin_data=raw(stdin))
    request.detach_grace_ms = grace_ms(detach_grace)
    large = _add_files(request, files, executable)
    for name, value in env.items():
        request.env.add(name=raw(name), value=raw(value))
    for name, value in limits.items():
        if name not in _LIMITS:
            raise ValueError(f"there is no limit {name!r}; there are {', '.join(sorted(_LIMITS))}")
        setattr(request.limits, _LIMITS[name][0], limit_value(name, value))
    request.policy.subprocess = _POLICIES[policy]
    if collect is not False:
        request.collect.SetInParent()
        if collect is not True:
            request.collect.patterns.extend(raw(pattern) for pattern in collect)
    return request, large
