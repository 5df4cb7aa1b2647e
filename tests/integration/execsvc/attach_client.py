"""A client to be killed: writes each event that it got to a file, as a record, before it takes the next, and then tells
the program (a line on its stdin) how many bytes of output it has in all.

    attach_client.py SOCKET FILE start REQUEST        begins a run (REQUEST: packed ExecuteRequest in hexadecimal)
    attach_client.py SOCKET FILE RUN_ID OUT ERR FILES comes back to one

The file holds JSON lines; a last line that is not whole was lost with the client.
"""

import base64
import json
import os
import queue
import sys
import time
from pathlib import Path

import grpc

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "support"))
from service import Client, contract  # noqa: E402


def main():
    socket, path, what, *rest = sys.argv[1:]
    client = Client(socket)
    if what == "start":
        have = {1: 0, 2: 0}
        first = contract.InteractRequest(start=contract.ExecuteRequest.FromString(bytes.fromhex(rest[0])))
    else:
        have = {1: int(rest[0]), 2: int(rest[1])}
        first = contract.InteractRequest(attach=contract.AttachRequest(
            run_id=what, stdout_offset=have[1], stderr_offset=have[2], files_done=int(rest[2])))
    words = queue.Queue()
    words.put(first)
    events = client.channel.stream_stream("/cloister.exec.v1.Execution/Interact",
                                          request_serializer=lambda m: m.SerializeToString(),
                                          response_deserializer=contract.ExecuteEvent.FromString)(
        iter(words.get, None), timeout=client.timeout)

    def tell():
        words.put(contract.InteractRequest(stdin_data=b"%d\n" % (have[1] + have[2])))
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def note(**record):
        os.write(file, json.dumps(record).encode() + b"\n")
    tell()
    try:
        for event in events:
            kind = event.WhichOneof("event")
            value = getattr(event, kind)
            if kind == "output":
                note(kind=kind, stream=value.stream, offset=value.offset, data=base64.b64encode(value.data).decode())
                have[value.stream] = value.offset + len(value.data)
                tell()
                time.sleep(0.01)  # so that there is a middle to be killed in
            elif kind == "file":
                note(kind=kind, path=value.path.decode(), offset=value.offset, size=value.size, last=value.last,
                     sha256=value.sha256.hex(), data=base64.b64encode(value.data).decode())
            elif kind == "result":
                note(kind=kind, verdict=value.verdict, exit_code=value.exit_code)
            else:
                note(kind=kind, run_id=getattr(value, "run_id", ""))
        note(kind="end", code="OK")
    except grpc.RpcError as error:
        note(kind="end", code=error.code().name)
    words.put(None)


main()
