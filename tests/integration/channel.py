"""channel.py: a client of the channel of docs/CHANNEL.md: HTTP/1.1 on unix and TCP sockets, frames.

    c = Client(f"{box.run_dir}/pinnace.sock")           # or ("127.0.0.1", 8080), token="..."
    c.post("/v1/jobs", {"argv": ["true"]}).json()["id"]  # one kept connection, made anew when lost
    c.run(["cat"], stdin="pipe", feed=b"hi").out         # POST /v1/exec, upgraded, to its end

Written by the book and apart from the program under test: what it cannot read is a failure, so every
answer is checked for its framing on the way.
"""

import contextlib
import json
import os
import select
import socket
import struct
import time
import traceback

from box import alive
from tap import children, wait_for

STDIN, STDOUT, STDERR, RESIZE, SIGNAL, STARTED, MISSED, ENDED, ERROR, DETACH, WINDOW = range(11)
MEDIA = "application/vnd.pinnace.stream"
JSON = {"Accept": "application/json"}


class Broken(Exception):
    """The other side does not speak the protocol."""


class Answer:
    def __init__(self, status, fields, body=b""):
        self.status, self.fields, self.body = status, fields, body

    def json(self):
        return json.loads(self.body)

    @property
    def error(self):
        """The code of an error answer; its reason where it has one; None."""
        try:
            e = self.json()["error"]
            return e.get("reason", e["code"]) if e["message"] else "no message"
        except (ValueError, KeyError, TypeError):
            return None

    def __repr__(self):
        return f"{self.status} {self.fields} {self.body[:600]!r}"


class Wire:
    """Bytes of a socket, read by line, by number or to the end."""
    def __init__(self, sock):
        self.sock, self.have = sock, bytearray()

    def more(self, n=1 << 18):
        chunk = self.sock.recv(n)
        self.have += chunk
        return bool(chunk)

    def line(self):
        while (at := self.have.find(b"\r\n")) < 0:
            if len(self.have) > 70000 or not self.more():
                raise Broken(f"no end of line: {bytes(self.have[:100])!r}")
        text = bytes(self.have[:at])
        del self.have[:at + 2]
        return text

    def take(self, n):
        while len(self.have) < n:
            if not self.more():
                raise Broken(f"cut: {len(self.have)} of {n} bytes")
        piece = bytes(self.have[:n])
        del self.have[:n]
        return piece

    def head(self):
        """(status, fields with small names) of an answer."""
        first = self.line().split(b" ", 2)
        if len(first) != 3 or first[0] != b"HTTP/1.1" or len(first[1]) != 3:
            raise Broken(f"no status line: {first}")
        fields = {}
        while text := self.line():
            name, colon, value = text.decode("latin-1").partition(":")
            if not colon or name != name.strip() or name.lower() in fields:
                raise Broken(f"a field: {text}")
            fields[name.lower()] = value.strip()
        return int(first[1]), fields

    def chunks(self):
        """The pieces of a chunked body."""
        while n := int(self.line(), 16):
            yield self.take(n)
            if self.line():
                raise Broken("a chunk is longer than it said")
        if self.line():
            raise Broken("trailers")

    def body(self, status, fields, method):
        """Pieces of the body, as its framing says."""
        if status in (101, 204, 304):
            if "transfer-encoding" in fields or (status == 204 and "content-length" in fields):
                raise Broken(f"a body for {method} {status}: {fields}")
        elif method == "HEAD":
            return  # the fields are those of GET
        elif "transfer-encoding" in fields:
            if fields["transfer-encoding"] != "chunked" or "content-length" in fields:
                raise Broken(f"framing: {fields}")
            yield from self.chunks()
        elif "content-length" in fields:
            left = int(fields["content-length"])
            while left:
                piece = self.take(min(left, 1 << 16))
                left -= len(piece)
                yield piece
        else:
            raise Broken(f"no framing: {fields}")


def frame(kind, payload=b""):
    return struct.pack(">B3xI", kind, len(payload)) + payload


class Outcome:
    """What a stream has said until its end."""
    def __init__(self):
        self.started = self.ended = None
        self.pieces = {STDOUT: [], STDERR: []}
        self.order = []  # of the first hundred
        self.missed, self.errors = 0, []

    def printed(self, stream):
        """All of it, as one; joined when it is asked for, as there may be much."""
        whole = b"".join(self.pieces[stream])
        self.pieces[stream] = [whole]
        return whole

    @property
    def out(self):
        return self.printed(STDOUT)

    @property
    def err(self):
        return self.printed(STDERR)

    @property
    def end(self):
        return (self.ended or {}).get("end")

    def __repr__(self):
        return (f"out {self.out[:300]!r} err {self.err[:300]!r} missed {self.missed} "
                f"errors {self.errors} started {self.started} ended {self.ended}")


class Stream:
    """Frames, of an upgraded connection or of a chunked body."""
    def __init__(self, wire, answer, upgraded):
        self.wire, self.answer, self.upgraded = wire, answer, upgraded
        self.pieces = None if upgraded else wire.chunks()
        self.text = bytearray()
        self.seen = Outcome()

    def fill(self, n):
        if self.upgraded:
            while len(self.wire.have) < n:
                if not self.wire.more():
                    if self.wire.have:
                        raise Broken("cut within a frame")
                    return None
            return self.wire.have
        while len(self.text) < n:
            piece = next(self.pieces, None)
            if piece is None:
                if self.text:
                    raise Broken("the body ends within a frame")
                return None
            self.text += piece
        return self.text

    def next(self):
        """(kind, payload) of the next frame, or None at the end of the stream."""
        have = self.fill(8)
        if have is None:
            return None
        kind, zero, n = have[0], have[1:4], int.from_bytes(have[4:8], "big")
        if kind not in (STDOUT, STDERR, STARTED, MISSED, ENDED, ERROR) or any(zero) or n > 65536:
            raise Broken(f"a frame: {bytes(have[:8])!r}")
        have = self.fill(8 + n)
        if have is None:
            raise Broken("cut within a frame")
        payload = bytes(have[8:8 + n])
        del have[:8 + n]
        self.note(kind, payload)
        return kind, payload

    def note(self, kind, payload):
        s = self.seen
        if (s.started is None) != (kind == STARTED) or s.ended:
            raise Broken(f"frame {kind} out of order: {s}")
        if kind == STARTED:
            s.started = json.loads(payload)
        elif kind == ENDED:
            s.ended = json.loads(payload)
        elif kind == MISSED:
            s.missed += int.from_bytes(payload, "big")
        elif kind == ERROR:
            s.errors.append(json.loads(payload)["error"])
        else:
            s.pieces[kind].append(payload)
            if len(s.order) < 100:
                s.order.append(("out" if kind == STDOUT else "err", payload))

    def until(self, predicate):
        """Read on until predicate(what was seen); false: the stream ended before."""
        while not predicate(self.seen):
            if self.next() is None:
                return False
        return True

    def finish(self):
        """Read to the end of the stream; after `ended` it may be a reset, if we had more to say."""
        try:
            while self.next():
                pass
        except ConnectionResetError:
            if not self.seen.ended:
                raise
        return self.seen

    # --- what the client says

    def send(self, kind, payload=b""):
        self.wire.sock.sendall(frame(kind, payload))

    def feed(self, payload):
        for at in range(0, len(payload), 1 << 20):
            self.send(STDIN, payload[at:at + (1 << 20)])

    def eof(self):
        self.send(STDIN)

    def signal(self, name):
        self.send(SIGNAL, str(name).encode())

    def resize(self, rows, cols):
        self.send(RESIZE, struct.pack(">HH", rows, cols))

    def close(self):
        self.wire.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *what):
        self.close()


class Client:
    def __init__(self, address, token=None, timeout=10, fields=None):
        self.address, self.timeout = address, timeout
        self.fields = {"Host": "box", **(fields or {})}
        if token is not None:
            self.fields["Authorization"] = f"Bearer {token}"
        self.wire = None

    def connect(self):
        s = socket.socket(socket.AF_UNIX if isinstance(self.address, str) else socket.AF_INET)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", int(self.timeout), 0))
        s.connect(self.address)  # blocking: the backlog may be full
        s.settimeout(self.timeout)
        if s.family == socket.AF_INET:
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return s

    def close(self):
        if self.wire:
            self.wire.sock.close()
        self.wire = None

    def have_wire(self):
        """The kept connection, or a new one: idle ones are closed by the other side."""
        if self.wire and select.select([self.wire.sock], [], [], 0)[0]:
            self.close()  # there is nothing else that it may say
        self.wire = self.wire or Wire(self.connect())

    def head(self, method, target, fields, body):
        lines = {**self.fields, **fields}
        if body is not None:
            lines["Content-Length"] = len(body)
        text = "".join(f"{k}: {v}\r\n" for k, v in lines.items() if v is not None)
        return f"{method} {target} HTTP/1.1\r\n{text}\r\n".encode("latin-1")

    def ask(self, method, target, fields=None, body=None):
        """(wire, Answer without body) of a request on the kept connection."""
        if isinstance(body, (dict, list)):
            body = json.dumps(body).encode()
        elif isinstance(body, str):
            body = body.encode()
        text = self.head(method, target, fields or {}, body) + (body or b"")
        self.have_wire()
        try:
            with contextlib.suppress(
                    BrokenPipeError):  # it may have answered before it was told all
                self.wire.sock.sendall(text)
            got = self.wire.head()
            while got[0] == 100:
                got = self.wire.head()
        except (OSError, Broken):
            self.close()
            raise
        return self.wire, Answer(*got)

    def call(self, method, target, body=None, **fields):
        """The whole answer. Fields: If_None_Match="*"."""
        fields = {k.replace("_", "-"): v for k, v in fields.items()}
        wire, answer = self.ask(method, target, fields, body)
        try:
            answer.body = b"".join(wire.body(answer.status, answer.fields, method))
        except (OSError, Broken):
            self.close()
            raise
        if answer.fields.get("connection", "").lower() == "close":
            self.close()
        return answer

    def many(self, requests, ahead=32):
        """The answers to requests, (method, target, body) each; so many are sent ahead of them."""
        answers = []
        while batch := requests[len(answers):len(answers) + ahead]:
            self.have_wire()
            texts = [b"" if body is None else json.dumps(body).encode() for _, _, body in batch]
            self.wire.sock.sendall(b"".join(
                self.head(method, target, {}, None if body is None else text) + text
                for (method, target, body), text in zip(batch, texts)))
            for method, _, _ in batch:
                got = Answer(*self.wire.head())
                got.body = b"".join(self.wire.body(got.status, got.fields, method))
                answers.append(got)
        return answers

    def get(self, target, **fields):
        return self.call("GET", target, **fields)

    def post(self, target, body=None, **fields):
        return self.call("POST", target, body, **fields)

    def delete(self, target, **fields):
        return self.call("DELETE", target, **fields)

    def stream(self, method, target, body=None, upgrade=True):
        """A Stream on a connection of its own; an Answer where there is none."""
        other = Client(self.address, timeout=self.timeout)
        other.fields = self.fields
        fields = {"Connection": "Upgrade", "Upgrade": "pinnace-stream"} if upgrade else \
            {"Accept": MEDIA}
        wire, answer = other.ask(method, target, fields, body)
        if answer.status == 101 and upgrade:
            if answer.fields.get("upgrade") != "pinnace-stream":
                raise Broken(f"upgraded to what: {answer}")
            return Stream(wire, answer, True)
        if answer.status == 200 and answer.fields.get("content-type") == MEDIA:
            return Stream(wire, answer, False)
        answer.body = b"".join(wire.body(answer.status, answer.fields, method))
        other.close()
        return answer

    # --- jobs

    def exec(self, argv, upgrade=True, **members):
        return self.stream("POST", "/v1/exec", start_of(argv, members), upgrade)

    def run(self, argv, feed=None, **members):
        """A job from its start to its end; `feed` is its stdin. An Answer when it has not started."""
        if feed is not None:
            members["stdin"] = "pipe"
        s = self.exec(argv, **members)
        if isinstance(s, Answer):
            return s
        with s:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it may end before
                if feed is not None:
                    s.feed(feed)
                    s.eof()
            return s.finish()

    def start(self, argv, **members):
        """The job, as JSON, that POST /v1/jobs has made."""
        a = self.post("/v1/jobs", start_of(argv, members))
        if a.status not in (200, 201):
            raise Broken(f"not started: {a}")
        return a.json()

    def job(self, id):
        return self.get(f"/v1/jobs/{id}").json()

    def wait(self, id, seconds=10):
        """The job once it has ended, or as it is."""
        def find():
            j = self.job(id)
            return j if j.get("state") == "ended" else None

        return wait_for(find, seconds) or self.job(id)

    def attach(self, id, query="", upgrade=True):
        return self.stream("GET", f"/v1/jobs/{id}/attach{query}", upgrade=upgrade)

    def output(self, id, query=""):
        return self.get(f"/v1/jobs/{id}/output{query}")

    def jobs(self, query=""):
        return self.get(f"/v1/jobs{query}").json()["jobs"]


def start_of(argv, members):
    return {"shell" if isinstance(argv, str) else "argv": argv, **members}


def unix(box, **kw):
    return Client(f"{box.run_dir}/pinnace.sock", **kw)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


TOKEN = "a-token-of-the-tests-0123456789"


def tcp_section(port, rest=f"token = {TOKEN}"):
    return f"[channel remote]\nlisten = tcp:127.0.0.1:{port}\n{rest}\n"


def tcp(port, token=TOKEN, **kw):
    return Client(("127.0.0.1", port), token=token, **kw)


# --- what the kernel says of the box's processes


def tree(pid):
    """All descendants of a process, as we see them."""
    found, new = [], [pid]
    while new:
        new = [k for p in new for k in children(p)]
        found += new
    return found


def inner(pid):
    """The pid that its own namespace has for a process, or None."""
    with contextlib.suppress(OSError, StopIteration):
        with open(f"/proc/{pid}/status") as f:
            return int(next(x for x in f if x.startswith("NSpid:")).split()[-1])
    return None


def outer(box, pid):
    """Our pid of the process that the box calls `pid`, or None."""
    return next((p for p in tree(box.init) if inner(p) == pid), None)


def variable(pid, text):
    """Has this process `text`, NAME=value, in its environment?"""
    with contextlib.suppress(OSError):
        with open(f"/proc/{pid}/environ", "rb") as f:
            return text.encode() in f.read().split(b"\0")
    return False


def of_job(box, id):
    """Living processes that belong to a job, in the box, by what they carry; as we see them."""
    return [p for p in tree(box.init) if alive(p) and variable(p, f"PINNACE_JOB={id}")]


def fds(pid):
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return None


def memory(pid):
    """(rss, pss) in KiB."""
    got = {}
    with contextlib.suppress(OSError):
        with open(f"/proc/{pid}/smaps_rollup") as f:
            for line in f:
                name, _, rest = line.partition(":")
                got[name] = rest.split()[0] if rest.split() else ""
    return int(got.get("Rss", 0)), int(got.get("Pss", 0))


def settled(value, want, seconds=5):
    """The value of value() once want() is true of it, or its last one."""
    end = time.monotonic() + seconds
    while not want(got := value()) and time.monotonic() < end:
        time.sleep(0.01)
    return got


def rows(t, how, table, *args):
    """Call each function of the table; an exception is a failed check of its own."""
    for row in table:
        began = time.monotonic()
        try:
            row(*args)
        except Exception:  # whatever the program under test has made of it
            t.ok(False, f"{how}: {row.__doc__ or row.__name__}", traceback.format_exc())
        if (took := time.monotonic() - began) > 3:
            t.diag(f"{row.__name__}: {took:.1f} s")
