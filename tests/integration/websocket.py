"""websocket.py: the client's side of RFC 6455, on a raw socket, for tests.

    w = WebSocket(("127.0.0.1", 3000), "/ws")
    w.text('{"type":...}'); w.read()        # (TEXT, b"...", frames that it came in)
    w.close(1000)                           # the code that is answered

What comes is checked as strictly as a server checks: masks, lengths, the order of pieces, UTF-8."""
import base64
import hashlib
import os
import socket
import struct

from channel import Broken, Wire

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def mask(key, data):
    n = len(data)
    pad = (key * (n // 4 + 1))[:n]
    return (int.from_bytes(data, "big") ^ int.from_bytes(pad, "big")).to_bytes(n, "big")


def frame(op, payload=b"", fin=True, key=b"\x11\x22\x33\x44"):
    """A client's frame; key None: not masked."""
    n = len(payload)
    head = bytes([op | (0x80 if fin else 0)])
    bit = 0x80 if key else 0
    if n < 126:
        head += bytes([bit | n])
    elif n < 65536:
        head += bytes([bit | 126]) + struct.pack(">H", n)
    else:
        head += bytes([bit | 127]) + struct.pack(">Q", n)
    return head + (key + mask(key, payload) if key else payload)


class Refused(Exception):
    """The answer was no 101; .status, .fields and .body say what it was."""
    def __init__(self, status, fields, body):
        super().__init__(f"{status} {body[:300]!r}")
        self.status, self.fields, self.body = status, fields, body


class WebSocket:
    def __init__(self, address, target, timeout=20, fields=(), rcvbuf=0):
        self.sock = socket.socket(socket.AF_INET if isinstance(address, tuple) else socket.AF_UNIX)
        if rcvbuf:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        self.sock.settimeout(timeout)
        self.sock.connect(address)
        if isinstance(address, tuple):
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.wire = Wire(self.sock)
        key = base64.b64encode(os.urandom(16))
        extra = "".join(f"{k}: {v}\r\n" for k, v in fields)
        self.sock.sendall(
            f"GET {target} HTTP/1.1\r\nHost: box\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key.decode()}\r\n{extra}\r\n".encode())
        status, got = self.wire.head()
        if status != 101:
            body = b"".join(self.wire.body(status, got, "GET"))
            self.sock.close()
            raise Refused(status, got, body)
        want = base64.b64encode(hashlib.sha1(key + MAGIC).digest()).decode()
        if got.get("sec-websocket-accept") != want or got.get("upgrade") != "websocket":
            raise Broken(f"a handshake: {got}")
        if "sec-websocket-extensions" in got or "sec-websocket-protocol" in got:
            raise Broken(f"nobody has asked for that: {got}")
        self.closed = None  # the code and reason of the server's Close frame

    # --- out

    def raw(self, data):
        self.sock.sendall(data)

    def text(self, text):
        self.raw(frame(TEXT, text.encode() if isinstance(text, str) else text))

    def binary(self, data):
        self.raw(frame(BINARY, data))

    # --- in

    def frame(self):
        """(opcode, fin, payload) of the next frame."""
        a, b = self.wire.take(2)
        op, n = a & 15, b & 127
        if a & 0x70 or b & 0x80 or op not in (CONT, TEXT, BINARY, CLOSE, PING, PONG):
            raise Broken(f"a frame that begins {a:02x} {b:02x}")
        if n == 126:
            n = struct.unpack(">H", self.wire.take(2))[0]
            if n < 126:
                raise Broken("a length that has a shorter form")
        elif n == 127:
            n = struct.unpack(">Q", self.wire.take(8))[0]
            if n < 65536:
                raise Broken("a length that has a shorter form")
        if op >= CLOSE and (n > 125 or not a & 0x80):
            raise Broken("a control frame that is long, or in pieces")
        return op, bool(a & 0x80), self.wire.take(n)

    def read(self):
        """The next message: (opcode, payload, frames it came in). Pings are answered. CLOSE: the
        code and the reason are in .closed; None: the connection has ended."""
        kind, parts = None, []
        while True:
            try:
                op, fin, data = self.frame()
            except (Broken, ConnectionResetError) as e:
                if isinstance(e, ConnectionResetError) or (str(e).startswith("cut: 0 ") and not kind):
                    return None
                raise
            if op == PING:
                self.raw(frame(PONG, data))
                continue
            if op == PONG:
                return op, data, 1
            if op == CLOSE:
                self.closed = (struct.unpack(">H", data[:2])[0], data[2:].decode()) if data else (1005, "")
                return op, data, 1
            if (op == CONT) == (kind is None):
                raise Broken("pieces in another order")
            kind = kind or op
            parts.append(data)
            if fin:
                whole = b"".join(parts)
                if kind == TEXT:
                    whole.decode()
                return kind, whole, len(parts)

    def close(self, code=1000):
        """Begin the close handshake; the answer's code, once the server has ended its side."""
        self.raw(frame(CLOSE, struct.pack(">H", code)))
        while (m := self.read()) and m[0] != CLOSE:
            pass
        ended = self.read() is None if m else True
        self.sock.close()
        return self.closed[0] if self.closed and ended else None

    def drop(self):
        self.sock.close()
