#!/usr/bin/env python3
"""WebSockets of the Cloudflare dialect: /ws, requests over one connection, and /ws/pty, terminals; by a
client of RFC 6455 on raw sockets (websocket.py), which also sends what no library would."""
import base64
import contextlib
import http.client
import json
import os
import re
import select
import signal
import socket
import time

from box import Box
from channel import fds, free_port, memory, rows, settled
from tap import Tap, children, wait_for
from websocket import BINARY, CLOSE, CONT, PING, PONG, TEXT, Refused, WebSocket, frame

t = Tap()
port, guarded = free_port(), free_port()
TOKEN = "cf_0123456789"
HERE = ("127.0.0.1", port)
work = f"{t.dir}/work"
os.mkdir(work)
INI = f"""
[net]
repair = off
[channel cloudflare]
dialect = cloudflare
listen = tcp:127.0.0.1:{port}
auth = none
[channel guarded]
dialect = cloudflare
listen = tcp:127.0.0.1:{guarded}
token = {TOKEN}
"""
box = Box(t, INI, env={"HOME": t.dir, "PS1": "$ ", "ENV": ""})


def ok(cond, name, diag=""):
    return t.ok(cond, name, diag)


def up():
    with contextlib.suppress(OSError), socket.create_connection(HERE, 1):
        return True
    return False


def post(target, body):
    c = http.client.HTTPConnection(*HERE, timeout=20)
    c.request("POST", target, json.dumps(body))
    r = c.getresponse()
    out = r.status, json.loads(r.read() or b"null")
    c.close()
    return out


def session_names():
    c = http.client.HTTPConnection(*HERE, timeout=20)
    c.request("GET", "/api/session/list")
    names = json.loads(c.getresponse().read())["data"]
    c.close()
    return names


# --- /ws


class Mux(WebSocket):
    """Requests and their messages, by id."""
    def __init__(self, target="/ws", address=HERE, **kw):
        super().__init__(address, target, **kw)
        self.seen = {}

    def ask(self, name, method, path, body=None, **more):
        m = {"type": "request", "id": name, "method": method, "path": path, **more}
        if body is not None:
            m["body"] = body
        self.text(json.dumps(m))

    def next(self):
        m = self.read()
        if m is None or m[0] != TEXT:
            return None
        m = json.loads(m[1])
        self.seen.setdefault(m.get("id"), []).append(m)
        return m

    def answer(self, name):
        """The last message for this id: a response or an error."""
        while True:
            for m in self.seen.get(name, []):
                if m["type"] != "stream":
                    return m
            if self.next() is None:
                return None

    def events(self, name):
        return [json.loads(m["data"]) for m in self.seen.get(name, []) if m["type"] == "stream" and m["data"]]

    def call(self, name, method, path, body=None, **more):
        self.ask(name, method, path, body, **more)
        return self.answer(name)


def plain_replies():
    """plain requests"""
    w = Mux()
    m = w.call("a", "GET", "/api/ping")
    ok(set(m) == {"type", "id", "status", "body", "done"} and m["type"] == "response" and m["id"] == "a" and
       m["status"] == 200 and m["done"] is True and m["body"]["status"] == "healthy", "a reply is a response", m)
    m = w.call("b", "GET", "/")
    ok(m == {"type": "response", "id": "b", "status": 200, "done": True},
       "a body that is no JSON is dropped", m)
    m = w.call("c", "POST", "/api/session/create", {"id": "mux"})
    ok(m["status"] == 200 and m["body"]["success"] is True, "a body is passed on", m)
    m = w.call("d", "POST", "/api/session/create", {"id": "mux"})
    ok(m["status"] == 409 and m["body"]["code"] == "SESSION_ALREADY_EXISTS", "an error with its status", m)
    m = w.call("e", "GET", "/nowhere")
    ok(m["type"] == "response" and m["status"] == 404 and m["body"]["code"] == "UNKNOWN_ERROR",
       "no such route", m)
    m = w.call("f", "DELETE", "/api/process/none-such")
    ok(m["status"] == 404 and m["body"]["code"] == "PROCESS_NOT_FOUND", "DELETE", m)
    m = w.call("g", "GET", "/api/process/no such\u00e9")
    ok(m["status"] == 404 and m["body"]["code"] == "PROCESS_NOT_FOUND",
       "a path that has to be encoded", m)
    m = w.call("h", "POST", "/api/exists", {"path": "wh\u00e9re"}, headers={"X-Session-Id": "mux"})
    ok(m["body"] == {**m["body"], "path": "wh\u00e9re", "exists": False}, "fields and letters", m)
    w.binary(json.dumps({"type": "request", "id": "i", "method": "GET", "path": "/api/ping"}).encode())
    ok(w.answer("i")["status"] == 200, "a binary message is read as well")
    ok(w.call("j", "GET", "/ws")["status"] == 426, "a WebSocket within is none")
    ok(w.close() == 1000, "and it is closed")
    w = Mux("/api/ws")
    ok(w.call("a", "GET", "/api/ping")["status"] == 200, "/api/ws is the same")
    w.drop()


def many_at_once():
    """many at once"""
    w = Mux()
    for i in range(100):
        w.ask(f"n{i}", "POST", "/api/exists", {"path": f"/{i}"})
    got = [w.answer(f"n{i}") for i in range(100)]
    ok(all(m["status"] == 200 and m["body"]["path"] == f"/{i}" for i, m in enumerate(got)),
       "100 requests, each with its own reply")
    w.ask("slow", "POST", "/api/execute", {"command": "sleep 0.5", "sessionId": "s1"})
    w.ask("fast", "GET", "/api/ping")
    first = w.next()
    ok(first["id"] == "fast" and w.answer("slow")["status"] == 200, "one that is slow holds up nobody", first)
    for i in range(129):
        w.ask(f"s{i}", "POST", "/api/port-watch", {"port": 1, "mode": "tcp", "interval": 10000})
    m = w.answer("s128")
    ok(m["type"] == "error" and m["status"] == 429 and m["code"] == "INTERNAL_ERROR",
       "128 are served at once; one more is told so", m)
    w.text('{"type":"cancel","id":"s0"}')
    ok(w.answer("s0")["status"] == 200, "one is given up")
    ok(w.call("again", "GET", "/api/ping")["status"] == 200, "and there is room for another")
    w.drop()
    ch = box.role("channel")
    ok(settled(lambda: fds(ch), lambda n: n < 40) < 40, "with their client all are gone", fds(ch))


def streams():
    """streams"""
    w = Mux()
    m = w.call("a", "POST", "/api/execute/stream",
               {"command": "echo 'q\"uo\\te'; echo two >&2; (exit 4)", "sessionId": "s1"})
    e = w.events("a")
    ok(m == {"type": "response", "id": "a", "status": 200, "done": True}, "a stream ends with a response", m)
    ok([x["type"] for x in e][0] == "start" and e[-1]["type"] == "complete" and e[-1]["exitCode"] == 4 and
       "".join(x["data"] for x in e if x["type"] == "stdout") == 'q"uo\\te\n', "each event is a message", e)
    m = w.call("b", "POST", "/api/execute/stream", {"command": "", "sessionId": "s1"})
    ok(m["status"] == 400 and m["body"]["code"] == "INVALID_COMMAND", "an error before it is a plain reply", m)
    w.ask("c", "POST", "/api/execute/stream",
          {"command": "echo up; sleep 70; echo never", "sessionId": "s1"})
    while len(w.events("c")) < 2:
        w.next()
    pid = wait_for(lambda: [p for p in running("70")])
    w.text('{"type":"cancel","id":"c"}')
    m = w.answer("c")
    ok(m == {"type": "response", "id": "c", "status": 200, "done": True}, "a cancelled stream ends like that, too", m)
    ok(bool(pid) and running("70") == pid, "and its command goes on", pid)
    for p in pid or ():
        os.kill(p, signal.SIGKILL)
    w.text('{"type":"cancel","id":"nobody"}')
    w.ask("d", "POST", "/api/execute", {"command": "sleep 0.3; echo done", "sessionId": "s1"})
    w.text('{"type":"cancel","id":"d"}')
    ok(w.answer("d")["body"]["stdout"] in ("done", "done\n"), "a plain request is not given up")
    with open(f"{work}/large.bin", "wb") as f:
        f.write(os.urandom(3 << 20))
    m = w.call("e", "POST", "/api/read/stream", {"path": f"{work}/large.bin"})
    e = w.events("e")
    data = b"".join(base64.b64decode(x["data"]) for x in e if x["type"] == "chunk")
    with open(f"{work}/large.bin", "rb") as f:
        ok(data == f.read() and e[-1] == {"type": "complete", "bytesRead": 3 << 20} and m["status"] == 200,
           "3 MiB of events")
    w.drop()


def running(*seconds, name="sleep"):
    """Processes of the box with these words."""
    out, ours = [], os.readlink(f"/proc/{box.init}/ns/pid")
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline") as f:
            if os.readlink(f"/proc/{pid}/ns/pid") == ours and f.read().split("\0")[:-1] == [name, *seconds]:
                out.append(int(pid))
    return out


def large_ones():
    """large messages"""
    w = Mux()
    text = "a\u00e9\"\\\n" * 1_000_000  # 6 MB, 10 MB as JSON
    m = w.call("w", "POST", "/api/write", {"path": f"{work}/large.txt", "content": text})
    ok(m["status"] == 200, "10 MB in", m)
    m = w.call("r", "POST", "/api/read", {"path": f"{work}/large.txt"})
    ok(m["body"]["content"] == text and m["done"], "and out")
    # The longest message: what is around it, and a content that fills it.
    around = len(json.dumps({"type": "request", "id": "l", "method": "POST", "path": "/api/exists",
                             "body": {"path": ""}}))
    most = (16 << 20) + (64 << 10)
    for n, want in ((most - around, "400"), (most - around + 1, "1009")):
        w = Mux()
        w.ask("l", "POST", "/api/exists", {"path": "x" * n})
        m = w.answer("l")
        got = str(m["status"]) if m else str(w.closed[0])
        want = "413" if want == "400" else want  # the HTTP body of it is a little too large
        ok(got == want, f"a message of {n + around} bytes: {got}", m or w.closed)
        w.drop()
    ch = box.role("channel")
    rss = settled(lambda: memory(ch)[0], lambda kib: kib < 8192)
    ok(rss < 8192, "and the memory for it is given back", f"{rss} KiB")


def slow_reader():
    """a client that does not read"""
    ch = box.role("channel")
    with open(f"{work}/slow.bin", "wb") as f:
        f.truncate(200 << 20)
    w = Mux(rcvbuf=65536)
    before = memory(ch)[0]
    for i in range(8):
        w.ask(f"r{i}", "POST", "/api/read/stream", {"path": f"{work}/slow.bin", "encoding": "base64"})
    time.sleep(1)
    grown = memory(ch)[0] - before
    ok(grown < 8192, "eight streams of 200 MB to nobody cost little", f"{grown} KiB")
    other = Mux()
    ok(other.call("p", "GET", "/api/ping")["status"] == 200, "and hold up nobody else")
    other.drop()
    for _ in range(400):
        w.text('{"type":"nonsense","id":"x"}')
    time.sleep(0.3)
    grown = memory(ch)[0] - before
    ok(grown < 8192, "nor do mistakes that it is not told of", f"{grown} KiB")
    w.seen, n = {}, 0
    while n < 2000 and not set(w.seen) >= {f"r{i}" for i in range(8)}:
        n += w.next() is not None
    most = max(len(w.seen.get(f"r{i}", [])) for i in range(8))
    ok(n < 2000 and most < 20, "once it reads, all of them go on, in turns",
       {k: len(v) for k, v in w.seen.items()})
    w.drop()
    os.unlink(f"{work}/slow.bin")


BAD = [
    ("not JSON", "{", "PARSE_ERROR"),
    ("nothing", "", "PARSE_ERROR"),
    ("two documents", "{} {}", "PARSE_ERROR"),
    ("a list", "[]", "INVALID_REQUEST"),
    ("no type", '{"id":"x","method":"GET","path":"/"}', "INVALID_REQUEST"),
    ("another type", '{"type":"hello","id":"x"}', "INVALID_REQUEST"),
    ("no id", '{"type":"request","method":"GET","path":"/"}', "INVALID_REQUEST"),
    ("an id that is a number", '{"type":"request","id":1,"method":"GET","path":"/"}', "INVALID_REQUEST"),
    ("an id with a NUL", '{"type":"request","id":"a\\u0000b","method":"GET","path":"/"}', "INVALID_REQUEST"),
    ("an id of 257 bytes", '{"type":"request","id":"%s","method":"GET","path":"/"}' % ("x" * 257),
     "INVALID_REQUEST"),
    ("no method", '{"type":"request","id":"x","path":"/"}', "INVALID_REQUEST"),
    ("no path", '{"type":"request","id":"x","method":"GET"}', "INVALID_REQUEST"),
    ("a path without a slash", '{"type":"request","id":"x","method":"GET","path":"api"}', "INVALID_REQUEST"),
    ("a URL", '{"type":"request","id":"x","method":"GET","path":"http://h/"}', "INVALID_REQUEST"),
    ("a path with a NUL", '{"type":"request","id":"x","method":"GET","path":"/\\u0000"}', "INVALID_REQUEST"),
    ("a path of 9 KiB", '{"type":"request","id":"x","method":"GET","path":"/%s"}' % ("x" * 9216),
     "INVALID_REQUEST"),
    ("a method with a blank", '{"type":"request","id":"x","method":"GET /","path":"/"}', "INVALID_REQUEST"),
    ("a method that is long", '{"type":"request","id":"x","method":"GGGGGGGGGGGGGGGGGG","path":"/"}',
     "INVALID_REQUEST"),
    ("a field with a line end",
     '{"type":"request","id":"x","method":"GET","path":"/","headers":{"A":"b\\r\\nC: d"}}', "INVALID_REQUEST"),
    ("a field without a name",
     '{"type":"request","id":"x","method":"GET","path":"/","headers":{"":"b"}}', "INVALID_REQUEST"),
    ("a field whose name has a colon",
     '{"type":"request","id":"x","method":"GET","path":"/","headers":{"A: b":"c"}}', "INVALID_REQUEST"),
    ("a field of 40 KiB", '{"type":"request","id":"x","method":"GET","path":"/","headers":{"A":"%s"}}' %
     ("x" * 40960), "INVALID_REQUEST"),
]


def bad_requests():
    """what is no request"""
    w = Mux()
    for what, text, code in BAD:
        w.seen = {}
        w.text(text)
        m = w.next()
        named = '"id":"x"' in text
        ok(m and m["type"] == "error" and m["code"] == code and m["status"] == 400 and m["message"] and
           ("id" in m) == named, f"{what}: {code}", m)
    ok(w.call("after", "GET", "/api/ping")["status"] == 200, "and the connection goes on")
    w.ask("twice", "POST", "/api/execute", {"command": "sleep 0.3", "sessionId": "s1"})
    w.ask("twice", "GET", "/api/ping")
    m = w.next()
    ok(m["type"] == "error" and m["code"] == "INVALID_REQUEST", "an id that is in use", m)
    w.seen = {}
    ok(w.answer("twice")["status"] == 200, "whose request is answered all the same")
    m = w.call("smuggle", "POST", "/api/exists", {"path": "/x"},
               headers={"Content-Length": "1", "Transfer-Encoding": "chunked", "Connection": "upgrade",
                        "Upgrade": "websocket", "Host": "evil", "Expect": "100-continue"})
    ok(m["status"] == 200 and m["body"]["path"] == "/x", "fields of the connection are not the client's", m)
    w.drop()


def frames():
    """what is no frame, and no handshake"""
    for data, code, what in ((frame(TEXT, b"hi", key=None), 1002, "a frame that is not masked"),
                             (b"\xc1\x80\0\0\0\0", 1002, "a reserved bit"),
                             (frame(3, b""), 1002, "an opcode that there is not"),
                             (frame(PING, b"x", fin=False), 1002, "a ping in pieces"),
                             (b"\x89\xfe\x00\x7e\0\0\0\0", 1002, "a ping of 126 bytes"),
                             (frame(CONT, b"x"), 1002, "a piece of nothing"),
                             (frame(TEXT, b"{", fin=False) + frame(TEXT, b"}"), 1002, "two messages at once"),
                             (frame(TEXT, b"\xff"), 1007, "text that is no UTF-8"),
                             (frame(CLOSE, b"\x03"), 1002, "a close of one byte"),
                             (frame(CLOSE, b"\x03\xed"), 1002, "a code that is never sent"),
                             (b"\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0", 1009, "one of 2^63 bytes")):
        w = Mux()
        w.raw(data)
        while (m := w.read()) and m[0] != CLOSE:
            pass
        ok(w.closed and w.closed[0] == code and w.read() is None, f"{what}: {code}", w.closed)
        w.drop()
    w = Mux()
    text = json.dumps({"type": "request", "id": "p", "method": "GET", "path": "/api/ping"}).encode()
    for i, b in enumerate(text):
        w.raw(frame(TEXT if i == 0 else CONT, bytes([b]), fin=i == len(text) - 1))
        if i % 7 == 0:
            w.raw(frame(PING, b"%d" % i))
    pongs = 0
    while (m := w.read())[0] == PONG:
        pongs += 1
    ok(m[0] == TEXT and json.loads(m[1])["status"] == 200 and pongs > 0, "a message in frames of one byte, pings between")
    w.drop()
    for fields, status, what in (({"Upgrade": None}, 426, "no upgrade"),
                                 ({"Sec-WebSocket-Version": "8"}, 426, "version 8"),
                                 ({"Sec-WebSocket-Key": "short"}, 400, "a key that is none"),
                                 ({"Origin": "https://a.example"}, 403, "a web page")):
        c = http.client.HTTPConnection(*HERE, timeout=10)
        have = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
                "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", **fields}
        c.request("GET", "/ws", headers={k: v for k, v in have.items() if v})
        r = c.getresponse()
        e = json.loads(r.read())
        ok(r.status == status == e["httpStatus"], f"{what}: {status}", e)
        c.close()


def guards():
    """who may"""
    there = ("127.0.0.1", guarded)
    w = WebSocket(HERE, "/ws/pty?sessionId=paged", fields=[("Origin", "https://a.example")])
    ok(w.read()[0] in (TEXT, BINARY), "a web page's terminal, as a Worker passes it on")
    w.drop()
    for target in ("/ws", "/ws/pty?sessionId=x"):
        try:
            WebSocket(there, target)
            ok(False, f"{target}: without a token")
        except Refused as e:
            ok(e.status == 401, f"{target}: without a token: 401", e)
    w = Mux(address=there, fields=[("Authorization", f"Bearer {TOKEN}")])
    ok(w.call("a", "GET", "/api/ping")["status"] == 200, "who has shown it once need not in each request")
    ok(w.call("b", "GET", "/api/ping", headers={"Authorization": "Bearer wrong"})["status"] == 200,
       "nor can it be lost")
    w.drop()


# --- /ws/pty


class Terminal(WebSocket):
    def __init__(self, session, more="", **kw):
        super().__init__(HERE, f"/ws/pty?sessionId={session}{more}", **kw)
        self.out = b""
        self.words = []

    def until(self, want, seconds=10):
        """Read until this is in the output, or in a message of text; False at the end."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if isinstance(want, bytes) and want in self.out:
                return True
            if isinstance(want, str) and any(w["type"] == want for w in self.words):
                return True
            if not self.wire.have and not select.select([self.sock], [], [], max(0, end - time.monotonic()))[0]:
                return False
            m = self.read()
            if m is None or m[0] == CLOSE:
                return False
            if m[0] == TEXT:
                self.words.append(json.loads(m[1]))
            elif m[0] == BINARY:
                self.out += m[1]
        return False

    def type(self, text):
        self.out, self.words = b"", []
        self.binary(text.encode())

    def send(self, **m):
        self.text(json.dumps(m))


def terminal_basics():
    """a terminal"""
    try:
        WebSocket(HERE, "/ws/pty")
    except Refused as e:
        ok(e.status == 400 and e.body == b"sessionId query parameter required", "sessionId is needed", e)
    w = Terminal("t1", "&cols=91&rows=27")
    kind, data, _ = w.read()
    ok(kind == TEXT and json.loads(data) == {"type": "ready"}, "a new one is ready at once", data)
    w.type("stty size; tty; echo $TERM-\n")
    ok(w.until(b"xterm-256color-") and b"27 91" in w.out and b"/dev/pts/" in w.out, "its size, its kind", w.out)
    w.send(type="resize", cols=120, rows=40)
    w.type("stty size\n")
    ok(w.until(b"40 120"), "it changes its size", w.out)
    w.type("sleep 1000\n")
    ok(w.until(b"sleep 1000"), "a command runs")
    wait_for(lambda: running("1000"))
    w.type("\x03echo $?-\n")
    ok(w.until(b"130-"), "^C interrupts it", w.out)
    w.type("sleep 1000 & jobs; kill %1; wait; echo over-$?\n")
    ok(w.until(b"Running") and w.until(b"over-"), "there is job control", w.out)
    w.type("ps -o pid=,sid=,tpgid= -p $$; echo END-$((1+1))\n")
    w.until(b"END-2")
    m = re.search(rb"(\d+)\s+(\d+)\s+(\d+)", w.out[w.out.find(b"\n"):])
    ok(m and m[1] == m[2], "the shell leads its session", w.out)
    w.type("cat; echo eof-$((1+1))\n")
    wait_for(lambda: running(name="cat"))
    w.binary(b"x\n")
    w.until(b"x\r\nx\r\n")
    w.type("\x04")
    ok(w.until(b"eof-2"), "^D is the end of a file", w.out)
    w.type("exit\n")
    ok(not w.until(b"no such text"), "its shell ends", w.out)
    ok(w.words == [{"type": "exit", "code": 0}] and w.closed == (1000, w.closed[1]), "exit, then close 1000",
       (w.words, w.closed))
    w.drop()


def terminal_words():
    """what is said to a terminal"""
    w = Terminal("t2")
    w.until("ready")
    for text, what in (("nonsense", "no JSON"), ('{"type":"resize","cols":0,"rows":5}', "no columns"),
                       ('{"type":"resize","cols":80,"rows":-1}', "fewer than no rows"),
                       ('{"type":"resize","cols":65536,"rows":5}', "more than the kernel has"),
                       ('{"type":"resize","cols":"80","rows":5}', "a size in letters"),
                       ('{"type":"resize"}', "no size")):
        w.words = []
        w.text(text)
        ok(w.until("error") and w.words[0]["message"], f"{what}: an error, and it goes on", w.words)
    w.text('{"type":"ping"}')
    w.text('[1]')
    w.type("echo still-$((40+2))\n")
    ok(w.until(b"still-42") and not w.words, "other messages mean nothing", w.words)
    w.text("x" * 4097)
    ok(not w.until(b"no such text") and w.closed[0] == 1009, "one that is long is none: 1009", w.closed)
    w.drop()
    w = Terminal("t2")
    ok(w.until(b"still-42") and w.until("ready"), "the terminal is still there")
    w.drop()


def viewers():
    """several viewers"""
    a = Terminal("t3")
    a.until("ready")
    a.type("echo one-$((1+1))\n")
    a.until(b"one-2")
    b = Terminal("t3", "&cols=10&rows=10")
    kind, data, _ = b.read()
    ok(kind == BINARY and b"one-2" in data, "what was printed comes first, as one message", data)
    kind, data, _ = b.read()
    ok(kind == TEXT and json.loads(data) == {"type": "ready"}, "then it is ready", data)
    b.type("echo two-$((1+2)); stty size\n")
    ok(a.until(b"two-3") and b.until(b"two-3") and b.until(b"24 80"), "both see all; one shell", b.out)
    a.drop()
    b.type("echo three-$((1+3))\n")
    ok(b.until(b"three-4"), "one leaves, the other stays")
    b.drop()
    c = Terminal("t3")
    ok(c.until(b"three-4") and c.until("ready"), "all leave, and the terminal stays")
    c.type("X=kept; cd /; seq 1 100000 | tail -c 400000; echo done-$((2+2))\n")
    ok(c.until(b"done-4", 20), "it prints 400 KB")
    d = Terminal("t3")
    kind, data, pieces = d.read()
    ok(kind == BINARY and len(data) == 256 << 10 and c.out[-1000:] in data,
       f"the last 256 KiB are replayed, in {pieces} frames of one message", len(data))
    ok(d.until("ready"), "and then it is ready")
    d.type("echo $X-$PWD-\n")
    ok(d.until(b"kept-/-"), "the same shell")
    d.type("exit 7\n")
    for w in (c, d):
        w.words = []
        ok(not w.until(b"no such text") and w.words == [{"type": "exit", "code": 7}] and w.closed[0] == 1000,
           "each is told of its end", (w.words, w.closed))
        w.drop()
    e = Terminal("t3")
    kind, data, _ = e.read()
    ok(kind == TEXT and json.loads(data) == {"type": "ready"}, "the next connection has a fresh one", data)
    e.type("echo [$X]\n")
    ok(e.until(b"[]"), "which knows nothing")
    e.type("kill -KILL $$\n")
    e.until(b"no such text")
    ok(e.words == [{"type": "exit", "code": 137, "signal": "SIGKILL"}], "a signal is 128 and its number", e.words)
    e.drop()


def slow_viewer():
    """a viewer that does not read"""
    a = Terminal("t4")
    a.until("ready")
    slow = WebSocket(HERE, "/ws/pty?sessionId=t4", rcvbuf=4096)
    a.type("seq 1 2000000; echo end-$((3+3))\n")
    began = time.monotonic()
    ok(a.until(b"end-6", 30), "15 MB are printed, for whoever reads", f"{time.monotonic() - began:.1f} s")
    a.type("echo next-$((4+4))\n")
    ok(a.until(b"next-8"), "and it goes on")
    tail = b""
    end = time.monotonic() + 10
    while b"next-8" not in tail and time.monotonic() < end and (m := slow.read()):
        tail = (tail + (m[1] if m[0] == BINARY else b""))[-100000:]
    ok(b"next-8" in tail, "the slow one goes on with what there is then")
    slow.drop()
    a.type("stty raw -echo; head -c 3000000 | cksum; stty sane; echo fin-$((5+5))\n")
    time.sleep(0.5)
    data = bytes(range(256)) * 11719
    a.out = b""
    a.binary(data[:3000000])
    ok(a.until(b"fin-10", 20) and cksum(data[:3000000]) in a.out, "3 MB are typed, in one message, at its pace", a.out[-300:])
    a.drop()


def cksum(data):
    import subprocess  # pylint: disable=import-outside-toplevel
    return subprocess.run(["cksum"], input=data, capture_output=True, check=True).stdout.split()[0]


def sessions_of_terminals():
    """a terminal and its session"""
    post("/api/session/create", {"id": "t5", "env": {"MARK": "from-session"}, "cwd": work})
    w = Terminal("t5")
    w.until("ready")
    w.type("echo $MARK; pwd\n")
    ok(w.until(b"from-session") and w.until(work.encode()), "it has the session's variables and directory", w.out)
    post("/api/execute", {"command": "export OTHER=1", "sessionId": "t5"})
    w.type("echo [$OTHER]\n")
    ok(w.until(b"[]"), "but is a shell of its own")
    w.type("sleep 1001\n")
    wait_for(lambda: running("1001"))
    post("/api/session/delete", {"sessionId": "t5"})
    ok(not w.until(b"no such text") and w.words and w.words[-1]["type"] == "exit" and w.closed[0] == 1000,
       "it ends with its session", (w.words, w.closed))
    ok(wait_for(lambda: not running("1001")), "and all that runs in it")
    w.drop()
    w = Terminal("x" * 250)
    w.until("ready")
    w.type("echo long-$((1+1))\n")
    ok(w.until(b"long-2"), "a long name")
    v = Terminal("x" * 249)
    kind, _, _ = v.read()
    ok(kind == TEXT, "is not that of another")
    for c in (w, v):
        c.binary(b"exit\n")
        c.until(b"no such text")
        c.drop()


def shells():
    """which shell"""
    w = Terminal("t6", "&shell=/bin/sh")
    w.until("ready")
    w.type("echo [$0]\n")
    ok(w.until(b"[/bin/sh]"), "the one that is asked for", w.out)
    w.type("exit\n")
    w.until(b"no such text")
    w.drop()
    w = Terminal("t7", "&shell=/no/such/shell")
    ok(not w.until(b"no such text") and [m["type"] for m in w.words] == ["error"] and w.closed[0] == 1011,
       "one that there is not: an error, and close 1011", (w.words, w.closed))
    w.drop()
    w = Terminal("t7")
    ok(w.until("ready"), "and the next one may be another")
    w.binary(b"exit\n")
    w.until(b"no such text")
    w.drop()


def channel_restarts():
    """the channel is restarted"""
    w = Terminal("t8")
    w.until("ready")
    w.type("KEPT=yes; echo before-$((6+6))\n")
    w.until(b"before-12")
    old = box.role("channel")
    os.kill(old, signal.SIGKILL)
    ok(wait_for(lambda: box.role("channel") not in (None, old)), "there is another channel")
    wait_for(up)
    w.drop()
    w = Terminal("t8")
    ok(w.until("ready"), "the terminal is found again")
    w.type("echo [$KEPT]\n")
    ok(w.until(b"[yes]"), "with its shell", w.out)
    w.type("exit\n")
    w.until(b"no such text")
    w.drop()


wait_for(up)
quiet = Mux(timeout=60)
quiet.ask("q", "POST", "/api/execute/stream", {"command": "sleep 32; echo x", "sessionId": "quiet"})
rows(t, "/ws", (plain_replies, many_at_once, streams, large_ones, slow_reader, bad_requests, frames, guards))
rows(t, "/ws/pty", (terminal_basics, terminal_words, viewers, slow_viewer, sessions_of_terminals, shells))
done = quiet.answer("q")
life = [m for m in quiet.seen["q"] if m["type"] == "stream" and not m["data"]]
ok(done["status"] == 200 and len(life) == 1 and life[0] == {"type": "stream", "id": "q", "data": ""} and
   [e["type"] for e in quiet.events("q")] == ["start", "stdout", "complete"],
   "a stream that says nothing for 30 s shows that it lives", quiet.seen)
quiet.drop()
for name in session_names():
    post("/api/session/delete", {"sessionId": name})
channel = box.role("channel")
ok(settled(lambda: fds(channel), lambda n: n < 40) < 40, "nothing is left open", fds(channel))
ok(wait_for(lambda: len(children(channel)) < 16), "nor running", children(channel))
rows(t, "/ws/pty", (channel_restarts, ))
status, seconds = box.end()
ok(status == 0 and seconds < 5, "the box ends", f"{status} after {seconds} s\n{box}")
t.done()
