"""Runs that outlive their connection: callers that are killed and come back, and what that may cost."""

import base64
import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import grpc

from common import SLOW, Service, ServiceTest, contract, main, wait_for

HERE = Path(__file__).resolve().parent

# Two streams of bytes that can be told apart by their place, in pieces of any size. Never more than a ring holds ahead
# of what the client says on stdin that it has: the rest may be lost with a client.
TALKER = """
import hashlib, os, random, sys
seed, size = int(sys.argv[1]), int(sys.argv[2])
def stream(n):
    return b"".join(hashlib.sha256(b"%d %d %d" % (seed, n, i)).digest() for i in range(size // 32 + 1))[:size]
left, place, dice = {1: stream(1), 2: stream(2)}, {1: 0, 2: 0}, random.Random(seed)
known = 0
while any(place[n] < size for n in place):
    while sum(place.values()) - known > 100000:
        line = sys.stdin.readline()
        if not line:
            sys.exit("the input has ended")
        known = max(known, int(line))
    n = dice.choice([k for k in place if place[k] < size])
    chunk = left[n][place[n]:place[n] + dice.choice([1, 7, 100, 4096, 20000, 70000])]
    place[n] += os.write(n, chunk)
"""


def talk(seed, size):
    def stream(n):
        return b"".join(hashlib.sha256(b"%d %d %d" % (seed, n, i)).digest() for i in range(size // 32 + 1))[:size]
    return {1: stream(1), 2: stream(2)}


def records(path):
    """What a client noted before it was killed, but for a last line that is not whole."""
    try:
        lines = Path(path).read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return []
    return [json.loads(line) for line in lines]


class Attach(ServiceTest):
    settings = {"execsvc": {"running_max": 4, "detached_max": 40}}

    def setUp(self):
        super().setUp()
        self.directory = Path(tempfile.mkdtemp(prefix=f"cloister-attach-{os.getpid()}-", dir=self.service.directory))

    def child(self, *words):
        path = self.directory / str(len(list(self.directory.iterdir())))
        process = subprocess.Popen([sys.executable, "-B", HERE / "attach_client.py", self.service.socket, path,
                                    *map(str, words)])
        return process, path

    def test_a_client_that_is_killed_again_and_again_gets_every_byte_once(self):
        seed, size = 11, 1_500_000
        request = self.client.request(
            runtime="python3", files={"talk.py": TALKER}, args=[str(seed), str(size)],
            limits={"output_bytes": 4 << 20}, detach_grace_ms=60000)
        got, jumps, kills, run_id, dice = {1: bytearray(), 2: bytearray()}, [], 0, None, random.Random(5)
        process, path = self.child("start", request.SerializeToString().hex())
        deadline = time.monotonic() + 60 * SLOW
        while True:
            self.assertLess(time.monotonic(), deadline, "the run did not end")
            enough = dice.randrange(3, 30)
            wait_for(lambda: process.poll() is not None or path.exists() and path.read_bytes().count(b"\n") >= enough,
                     30, "news")
            process.kill()
            process.wait()
            for record in records(path):
                run_id = record.get("run_id") or run_id
                if record["kind"] != "output":
                    continue
                stream, data = got[record["stream"]], base64.b64decode(record["data"])
                if record["offset"] != len(stream):
                    jumps.append((record["stream"], record["offset"], len(stream)))
                stream += data
            if records(path)[-1]["kind"] == "end":
                break
            kills += 1
            process, path = self.child(run_id, len(got[1]), len(got[2]), 0)
        self.assertEqual(jumps, [])
        self.assertEqual({n: bytes(stream) for n, stream in got.items()}, talk(seed, size))
        self.assertEqual([r["kind"] for r in records(path)][-2:], ["result", "end"])
        self.assertEqual((records(path)[-2]["exit_code"], records(path)[-1]["code"]), (0, "OK"))
        self.assertGreaterEqual(kills, 5, "the client was hardly ever killed")


if __name__ == "__main__":
    main()
