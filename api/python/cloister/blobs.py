"""Files that do not fit into a request: put once as blobs, then named by their hash."""

from __future__ import annotations

import hashlib
import os
from typing import Dict, Iterator, List, Optional, Tuple, Union

import grpc

from ._pb import exec_pb as pb
from .errors import from_rpc

INLINE_BYTES = 1 << 20  # of all inline files together, as the contract has it
_CHUNK = 1 << 20
_NAMES = 4096

Source = Union[bytes, "os.PathLike[str]"]
Blobs = Dict[bytes, Source]  # by SHA-256


def _pieces(source: Source) -> Iterator[bytes]:
    if isinstance(source, bytes):
        yield from (source[at:at + _CHUNK] for at in range(0, len(source), _CHUNK))
        return
    with open(source, "rb") as file:
        while piece := file.read(_CHUNK):
            yield piece


def _measure(source: Source) -> Tuple[bytes, int]:
    digest, size = hashlib.sha256(), 0
    for piece in _pieces(source):
        digest.update(piece)
        size += len(piece)
    return digest.digest(), size


def place(source: Source, room: int) -> Tuple[Optional[bytes], Optional[bytes]]:
    """(content, None) when it fits into `room` bytes of a request, else (None, its SHA-256)."""
    if isinstance(source, bytes):
        return (source, None) if len(source) <= room else (None, _measure(source)[0])
    if os.stat(source).st_size > room:
        return None, _measure(source)[0]
    with open(source, "rb") as file:
        content = file.read()
    return place(content, room)


class Store:
    """The blobs of one channel's caller."""

    def __init__(self, channel: grpc.Channel, prefix: str, metadata: List[Tuple[str, str]]):
        self._metadata = metadata
        self._missing = channel.unary_unary(
            prefix + "Blobs/Missing", pb.MissingRequest.SerializeToString, pb.MissingResponse.FromString)
        self._put = channel.stream_unary(
            prefix + "Blobs/Put", pb.PutRequest.SerializeToString, pb.PutResponse.FromString)

    def ensure(self, blobs: Blobs, timeout: Optional[float]) -> None:
        """Puts what the node has not got. timeout: of each call."""
        names = list(blobs)
        try:
            for at in range(0, len(names), _NAMES):
                asked = pb.MissingRequest(sha256=names[at:at + _NAMES])
                for name in self._missing(asked, timeout=timeout, metadata=self._metadata).sha256:
                    self._put(self._messages(name, blobs[name]), timeout=timeout, metadata=self._metadata)
        except grpc.RpcError as error:
            raise from_rpc(error) from error

    @staticmethod
    def _messages(name: bytes, source: Source) -> Iterator[pb.PutRequest]:
        size = len(source) if isinstance(source, bytes) else os.stat(source).st_size
        yield pb.PutRequest(sha256=name, size=size)
        for piece in _pieces(source):
            yield pb.PutRequest(data=piece)
