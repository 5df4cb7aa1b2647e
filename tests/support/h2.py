"""HTTP/2 by hand, for what no client of gRPC would say."""

import socket
import struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, END_HEADERS, ACK = 1, 4, 1
SETTINGS_FRAME = bytes([0, 0, 0, SETTINGS, 0, 0, 0, 0, 0])


def frame(kind, flags, stream, payload=b""):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def literal(name, value):
    """A header field that is not indexed (RFC 7541, 6.2.2); lengths below 127 only."""
    name, value = name.encode(), value if isinstance(value, bytes) else value.encode()
    return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value


def call_headers(path, *more):
    fields = [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "x"), ("te", "trailers"),
              ("content-type", "application/grpc"), *more]
    return b"".join(literal(name, value) for name, value in fields)


def message(data):
    return b"\0" + struct.pack(">I", len(data)) + data


class Gone(Exception):
    """The service has ended the connection."""


class Connection:
    """Bytes to and fro, on a unix socket or on a connection that was made elsewhere (TLS)."""

    def __init__(self, where, timeout=60, preface=True):
        if hasattr(where, "recv"):
            self.socket = where
        else:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(timeout)
            self.socket.connect(str(where))
        self.socket.settimeout(timeout)
        self.pending = b""
        if preface:
            self.send(PREFACE + SETTINGS_FRAME)

    def send(self, data):
        try:
            self.socket.sendall(data)
        except OSError as error:
            if isinstance(error, TimeoutError):
                raise
            raise Gone(error) from error

    def read_frame(self):
        """(kind, flags, stream, payload)"""
        head = self._read(9)
        return head[3], head[4], struct.unpack(">I", head[5:])[0] & 0x7fffffff, self._read(int.from_bytes(head[:3], "big"))

    def _read(self, n):
        while len(self.pending) < n:
            try:
                data = self.socket.recv(65536)
            except OSError as error:
                if isinstance(error, TimeoutError):
                    raise
                raise Gone(error) from error
            if not data:
                raise Gone("end of file")
            self.pending += data
        data, self.pending = self.pending[:n], self.pending[n:]
        return data

    def wait_gone(self):
        """Read and forget until the service has ended the connection."""
        try:
            while True:
                self.read_frame()
        except Gone:
            return True

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def number(value, bits, first=0):
    """An integer of HPACK (RFC 7541, 5.1)."""
    full = (1 << bits) - 1
    if value < full:
        return bytes([first | value])
    out, value = bytearray([first | full]), value - full
    while value >= 128:
        out.append(value % 128 + 128)
        value //= 128
    return bytes(out + bytes([value]))


def indexed_literal(name, value):
    """A field that the peer must remember (6.2.1); the newest is number 62."""
    return b"\x40" + number(len(name), 7) + name + number(len(value), 7) + value


def send_what_may_be_sent(connection, stream, data, total):
    """`data` again and again, as flow control allows; until `total`, or nothing more is allowed for two seconds.
    Return: how many bytes were sent."""
    windows, initial, sent, at = {0: 65535, stream: 65535}, 65535, 0, 0
    connection.socket.settimeout(2)
    while sent < total:
        n = min(windows.values(), default=0)
        if n > 0:
            part = (data * 2)[at:at + min(n, 16384)]
            connection.send(frame(DATA, 0, stream, part))
            sent, at = sent + len(part), (at + len(part)) % len(data)
            windows = {k: v - len(part) for k, v in windows.items()}
            continue
        try:
            kind, flags, where, payload = connection.read_frame()
        except (TimeoutError, Gone):
            break
        if kind == WINDOW_UPDATE and where in windows:
            windows[where] += struct.unpack(">I", payload)[0]
        elif kind == SETTINGS and not flags & ACK:
            for i in range(0, len(payload), 6):
                key, value = struct.unpack(">HI", payload[i:i + 6])
                if key == 4:
                    windows[stream], initial = windows[stream] + value - initial, value
            connection.send(frame(SETTINGS, ACK, 0))
        elif kind in (HEADERS, RST_STREAM) and where == stream and flags & END_STREAM:
            break
    return sent
