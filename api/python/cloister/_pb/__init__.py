"""The messages of the contract, made by protoc while the package is built (setup.py). Not for users of the package."""

from . import exec_pb2 as exec_pb  # noqa: F401
from . import status_pb2 as status_pb  # noqa: F401
