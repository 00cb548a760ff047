#!/usr/bin/env python3
"""Files of the Cloudflare dialect, watches, git and backups: over TCP, by a client that takes the wire as
the published SDK does, and by sockets for what no client library would send."""
import base64
import contextlib
import gzip
import http.client
import json
import os
import pwd
import random
import re
import shutil
import signal
import socket
import stat
import subprocess
import tarfile
import time

from box import Box
from channel import fds, free_port, memory, rows, settled
from tap import Tap, children, wait_for

t = Tap()
os.chmod(t.dir, 0o755)
here = f"{t.dir}/files"
work = f"{t.dir}/work"  # /workspace of the box
backups = f"{t.dir}/backups"  # its /var/backups
for d in (here, work, backups):
    os.mkdir(d)
port, nobodys = free_port(), free_port()
HERE = ("127.0.0.1", port)
INI = f"""
[net]
repair = off
[channel cloudflare]
dialect = cloudflare
listen = tcp:127.0.0.1:{port}
auth = none
"""
OTHER = f"""
[channel other]
dialect = cloudflare
listen = tcp:127.0.0.1:{nobodys}
auth = none
user = nobody
"""
# The box sees two folders of ours where the dialect wants them; others see an empty /workspace for a
# while, at most.
made = [d for d in ("/workspace", "/var/backups") if not os.path.isdir(d)]
ENTER = ["sh", "-ec", f"mkdir -p /workspace /var/backups; mount --bind {work} /workspace; "
         f"mount --bind {backups} /var/backups; exec \"$@\"", "sh"]
box = Box(t, INI + OTHER, env={"HOME": t.dir, "TZ": "UTC"}, flags=["-m"], wrap=ENTER)
NOISE = random.Random(5).randbytes(2 << 20)


def ok(cond, name, diag=""):
    return t.ok(cond, name, diag)


def at(name):
    return f"{here}/{name}"


def put(name, content=b"", mode=0o644):
    os.makedirs(os.path.dirname(at(name)), exist_ok=True)
    with open(at(name), "wb") as f:
        f.write(content if isinstance(content, bytes) else content.encode())
    os.chmod(at(name), mode)
    return at(name)


def read(path):
    try:
        with open(path, "rb") as f:
            return f.read()
    except OSError as e:
        return e


class Answer:
    def __init__(self, r):
        self.status, self.type = r.status, r.getheader("Content-Type")
        self.body = r.read()
        self.close = r.getheader("Connection") == "close"

    @property
    def json(self):
        return json.loads(self.body)

    def events(self):
        """Those of a stream; each is one line `data: {...}` and an empty one."""
        out = []
        for block in self.body.decode().split("\n\n"):
            if block and not block.startswith(":"):
                assert block.startswith("data: ") and "\n" not in block, block[:100]
                out.append(json.loads(block[6:]))
        return out

    def fails(self, status, code, **context):
        """An error of the dialect, and what its context holds."""
        try:
            e = self.json
            return (self.status == status == e["httpStatus"] and e["code"] == code and e["message"] and
                    re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", e["timestamp"]) and
                    all(e["context"].get(k) == v for k, v in context.items()))
        except (ValueError, KeyError, TypeError):
            return False

    def invalid(self, field, code):
        try:
            e = self.json["context"]["validationErrors"]
            return (self.fails(400, "VALIDATION_FAILED") and len(e) == 1 and e[0]["field"] == field and
                    e[0]["code"] == code and e[0]["message"])
        except (ValueError, KeyError, TypeError):
            return False

    def ok(self, **members):
        try:
            j = self.json
            return (self.status == 200 and j.pop("success") is True and self.type == "application/json" and
                    bool(j.pop("timestamp")) and j == members)
        except (ValueError, KeyError, TypeError):
            return False

    def __repr__(self):
        return f"{self.status} {self.type} {self.body[:600]!r}"


def call(method, target, body=None, address=HERE, **fields):
    c = http.client.HTTPConnection(*address, timeout=60)
    chunked = body is not None and not isinstance(body, (bytes, str, dict, list))
    if isinstance(body, (dict, list)):
        body = json.dumps(body)
    fields = {"Content-Type": "application/json", **fields}
    if chunked:
        fields["Transfer-Encoding"] = "chunked"
    try:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            c.request(method, target, body, fields, encode_chunked=chunked)
        return Answer(c.getresponse())
    finally:
        c.close()


def post(target, body=None, **fields):
    return call("POST", target, body, **fields)


# --- write


def writes():
    """writing"""
    path = at("w/deep/er/a.txt")
    r = post("/api/write", {"path": path, "content": "h\u00e9llo \U0001f600\n"})
    ok(r.ok(path=path) and read(path) == "h\u00e9llo \U0001f600\n".encode(), "text, into directories that are made", r)
    ok(stat.S_IMODE(os.stat(path).st_mode) == 0o644, "0644 where it is new")
    os.chmod(path, 0o4751)
    r = post("/api/write", {"path": path, "content": "x", "sessionId": "any"})
    ok(r.ok(path=path) and read(path) == b"x" and stat.S_IMODE(os.stat(path).st_mode) == 0o4751,
       "what is there keeps its mode", oct(os.stat(path).st_mode))
    os.symlink("a.txt", at("w/deep/er/link"))
    post("/api/write", {"path": at("w/deep/er/link"), "content": "through"})
    ok(os.path.islink(at("w/deep/er/link")) and read(path) == b"through", "a link is followed")
    r = post("/api/write", {"path": path, "content": ""})
    ok(r.ok(path=path) and read(path) == b"", "nothing")
    r = post("/api/write", {"path": path, "content": base64.b64encode(NOISE).decode(), "encoding": "base64"})
    ok(r.ok(path=path) and read(path) == NOISE, "base64")
    for n in range(6):
        data = bytes(range(250, 250 + n))
        post("/api/write", {"path": path, "content": base64.b64encode(data).decode(), "encoding": "base64"})
        ok(read(path) == data, f"{n} bytes of it")
    for enc in ("utf-8", "utf8", "latin1", "hex", ""):
        post("/api/write", {"path": path, "content": "YQ==", "encoding": enc})
        ok(read(path) == b"YQ==", f"encoding {enc!r} is text")
    r = post("/api/write", json.dumps({"encoding": "base64", "sessionId": "x", "path": path, "content": "YWJj"}))
    ok(r.ok(path=path) and read(path) == b"abc", "members in another order")
    r = post("/api/write", json.dumps({"content": "first", "path": path, "more": [1, {"a": None}]}))
    ok(r.ok(path=path) and read(path) == b"first", "a content that comes before its path; members nobody knows")
    r = post("/api/write", f'{{"path":"{path}","content":"\\ud800-\\u0000-\\ud83d\\ude00"}}')
    ok(read(path) == "\ufffd-\0-\U0001f600".encode(), "escapes, and half a pair", read(path))
    r = post("/api/write", iter([b'{"pa', b'th":"', path.encode(), b'","content":"in ', b"pieces", b'"}']))
    ok(r.ok(path=path) and read(path) == b"in pieces", "a body in chunks", r)
    os.mkfifo(at("w/fifo"))
    r = post("/api/write", {"path": at("w/fifo"), "content": "to nobody"})
    ok(r.fails(500, "FILESYSTEM_ERROR"), "a FIFO that nobody reads is not waited for", r)
    reader = os.open(at("w/fifo"), os.O_RDONLY | os.O_NONBLOCK)
    r = post("/api/write", {"path": at("w/fifo"), "content": "to a fifo"})
    ok(r.ok(path=at("w/fifo")) and os.read(reader, 100) == b"to a fifo", "one that somebody reads is written to", r)
    r = post("/api/write", {"path": at("w/fifo"), "content": "YQ==", "encoding": "base64"})
    ok(r.fails(500, "FILESYSTEM_ERROR"), "but not with base64", r)
    os.close(reader)


def bad_writes():
    """writing what cannot be"""
    path = put("bw/a", "before")
    for text, what in (("a", "one letter"), ("YWJj!", "a letter that is none"), ("YW=j", "padding within"),
                       ("Y" * 65535 + "=" + "A" * 10000, "padding within, far behind")):
        r = post("/api/write", {"path": path, "content": text, "encoding": "base64"})
        ok(r.invalid("content", "INVALID_BASE64") and read(path) == b"before", f"base64: {what}; nothing is changed", r)
    for bad, what in (("", "empty"), ("a\0b", "with a NUL"), ("/" + "x" * 4096, "of 4097 bytes")):
        r = post("/api/write", {"path": bad, "content": "x"})
        ok(r.invalid("path", "INVALID_PATH"), f"a path that is {what}", r)
    ok(post("/api/write", {"content": "x"}).invalid("path", "INVALID_PATH"), "no path")
    ok(post("/api/write", {"path": 5, "content": "x"}).invalid("path", "INVALID_PATH"), "a number")
    for body in ({"path": path}, {"path": path, "content": None}, {"path": path, "content": 5}):
        ok(post("/api/write", body).fails(400, "VALIDATION_FAILED") and read(path) == b"before",
           f"no content: {list(body)}")
    r = post("/api/write", f'{{"path":"{path}","content":"a","content":"b"}}')
    ok(r.fails(400, "VALIDATION_FAILED") and read(path) == b"before", "two contents", r)
    for body, what in (("", "nothing"), ("{", "half an object"), ("[]", "a list"), ('"x"', "a text"),
                       (f'{{"path":"{path}","content":"x"}} x', "more behind it"),
                       (f'{{"path":"{path}","content":"x"', "no end"),
                       (f'{{"path":"{path}","content":"x\n"}}', "a line end within"),
                       (f'{{"path":"{path}","content":"'.encode() + b'\xff"}', "what is no UTF-8"),
                       (f'{{"path":"{path}","content":"x","a":{"[" * 100}{"]" * 100}}}', "100 lists within each other")):
        r = post("/api/write", body)
        ok(r.fails(500, "INTERNAL_ERROR") and read(path) == b"before", f"{what}; nothing is changed", r)
    r = post("/api/write", {"path": here, "content": "x"})
    ok(r.fails(500, "FILESYSTEM_ERROR", path=here, operation="file.write") and r.json["context"]["stderr"] and
       r.json["operation"] == "file.write", "a directory", r)
    r = post("/api/write", {"path": path + "/below", "content": "x" * 100000})
    ok(r.fails(500, "FILESYSTEM_ERROR", path=path + "/below"), "below a file; said once all has been sent", r)
    r = post("/api/write", {"path": "/proc/nothing/here", "content": "x"})
    ok(r.fails(500, "FILESYSTEM_ERROR"), "where nothing can be made", r)
    s = socket.create_connection(HERE)
    s.sendall(f'POST /api/write HTTP/1.1\r\nHost: h\r\nContent-Length: 10000000\r\n\r\n{{"path":"{path}",'
              f'"content":"{"x" * 100000}'.encode())
    time.sleep(0.2)
    s.close()
    ok(settled(lambda: os.listdir(at("bw")), lambda n: n == ["a"]) == ["a"] and read(path) == b"before",
       "a client that goes leaves nothing", os.listdir(at("bw")))


def large_writes():
    """large bodies"""
    ch = box.role("channel")
    path = at("lw")
    text = "0123456789\u00e9\"\\\n" * 6_000_000
    body = json.dumps({"path": path, "content": text}, ensure_ascii=False).encode()
    before = memory(ch)[0]
    began = time.monotonic()
    s = socket.create_connection(HERE)
    s.sendall(b"POST /api/write HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % len(body))
    most = 0
    for i in range(0, len(body), 4 << 20):
        s.sendall(body[i:i + (4 << 20)])
        most = max(most, memory(ch)[0])
    answer = s.recv(65536)
    took = time.monotonic() - began
    ok(answer.startswith(b"HTTP/1.1 200") and os.path.getsize(path) == len(text.encode()) and
       read(path) == text.encode(), f"{len(body) >> 20} MiB of a body, in {took:.1f} s", answer)
    ok(most - before < 4096, f"cost {most - before} KiB of memory")
    s.close()
    del text
    pad = (128 << 20) - len(json.dumps({"path": path, "content": ""}))
    for extra, want in ((0, b"HTTP/1.1 200"), (1, b"HTTP/1.1 413")):
        s = socket.create_connection(HERE)
        n = (128 << 20) + extra
        s.sendall(b"POST /api/write HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % n)
        with contextlib.suppress(OSError):
            s.sendall(b'{"path": "%s", "content": "' % path.encode())
            for _ in range((pad + extra) >> 20):
                s.sendall(b"y" * (1 << 20))
            s.sendall(b"y" * ((pad + extra) & 0xfffff) + b'"}')
        answer = b""
        with contextlib.suppress(OSError):
            answer = s.recv(65536)
        ok(answer.startswith(want), f"128 MiB and {extra} bytes: {want.decode()[9:]}", answer[:300])
        if extra:
            ok(b"\r\nConnection: close\r\n" in answer and b"Content-Length: 0\r\n" in answer,
               "without a body, and the connection ends", answer[:400])
        s.close()
    os.unlink(path)
    most = 16 << 20
    for n, want in ((most, 200), (most + 1, 413)):
        r = post("/api/write", json.dumps({"content": "z" * n, "path": path}))
        ok(r.status == want, f"{n} bytes before the path: {want}", r)


# --- read

TYPES = [("a.txt", "text/plain"), ("a.js", "text/javascript"), ("a.tsx", "text/javascript"),
         ("a.mjs", "text/javascript"), ("a.c", "text/x-c"), ("a.h", "text/x-c"),
         ("a.rs", "application/rls-services+xml"), ("a.md", "text/markdown"), ("a.ini", "text/plain"),
         ("a.log", "text/plain"), ("a.sh", "application/x-sh"), ("a.svg", "image/svg+xml"),
         ("a.xhtml", "application/xhtml+xml"), ("a.map", "application/json"), ("a.json", "application/json"),
         ("a.toml", "application/toml"), ("a.yaml", "text/yaml"), ("a.html", "text/html")]


def reads():
    """reading"""
    path = put("r/a.txt", "h\u00e9llo\n\x01\"\\")
    r = post("/api/read", {"path": path})
    ok(r.ok(path=path, content="h\u00e9llo\n\x01\"\\", encoding="utf-8", isBinary=False, mimeType="text/plain",
            size=10), "text, with its last newline and all", r)
    r = post("/api/read", {"path": path, "encoding": "base64", "sessionId": "x"})
    ok(r.ok(path=path, content=base64.b64encode(read(path)).decode(), encoding="base64", isBinary=True,
            mimeType="text/plain", size=10), "the same in base64", r)
    path = put("r/noise", NOISE)
    r = post("/api/read", {"path": path})
    ok(base64.b64decode(r.json["content"]) == NOISE and r.json["isBinary"] and r.json["encoding"] == "base64" and
       r.json["mimeType"] == "application/octet-stream" and r.json["size"] == len(NOISE), "what is no text")
    for enc in ("utf-8", "utf8"):
        r = post("/api/read", {"path": path, "encoding": enc})
        ok(r.status == 200 and not r.json["isBinary"] and "\ufffd" in r.json["content"],
           f"the same as {enc}, where that is asked for")
    for name, kind in TYPES:
        r = post("/api/read", {"path": put("r/" + name, "x")})
        ok(r.json["mimeType"] == kind and r.json["encoding"] == "utf-8", f"{name} is {kind}, text", r)
    for name in ("a.py", "a.go", "Makefile", ".env", "a.pl", "a.sql", "a.pem", "X.TXT", "a.ipynb", "a.unknown"):
        r = post("/api/read", {"path": put("r/" + name, "x = 1\n")})
        ok(r.json["encoding"] == "utf-8" and r.json["content"] == "x = 1\n" and
           r.json["mimeType"].startswith("text/") and ";" not in r.json["mimeType"], f"{name}: its content says text", r)
    for content, what in ((b"a\0b", "a NUL"), (b"\xff", "no UTF-8"), (b"a" * 70000 + b"\xc3", "half a letter at the end")):
        r = post("/api/read", {"path": put("r/odd", content)})
        ok(r.json["encoding"] == "base64" and base64.b64decode(r.json["content"]) == content, f"{what} is binary", r)
    r = post("/api/read", {"path": put("r/a.png", b"\x89PNG\r\n\x1a\nxx")})
    ok(r.json["mimeType"] == "image/png" and r.json["isBinary"], "a picture")
    r = post("/api/read", {"path": put("r/picture", b"\x89PNG\r\n\x1a\nxx")})
    ok(r.json["mimeType"] == "image/png" and r.json["isBinary"], "one without an ending")
    r = post("/api/read", {"path": put("r/none", b"")})
    ok(r.ok(path=at("r/none"), content="", encoding="utf-8", isBinary=False, mimeType="inode/x-empty", size=0),
       "an empty one", r)
    r = post("/api/read", {"path": "/proc/version"})
    ok(r.json["content"] == read("/proc/version").decode() and r.json["size"] > 0, "a file of /proc", r)
    text = "".join(chr(random.Random(1).choice([0x61, 0xe9, 0x20ac, 0x1f600])) for _ in range(8)) * 30000
    r = post("/api/read", {"path": put("r/letters", text)})
    ok(r.json["content"] == text, "no letter is cut, wherever a piece ends")
    os.symlink("a.txt", at("r/link"))
    ok(post("/api/read", {"path": at("r/link")}).status == 200, "a link")


def bad_reads():
    """reading what cannot be"""
    for path, what in ((at("none"), "nothing"), (here, "a directory"), (put("br/a") + "/b", "below a file")):
        r = post("/api/read", {"path": path})
        ok(r.fails(404, "FILE_NOT_FOUND", path=path, operation="file.read") and r.json["operation"] == "file.read",
           f"{what}: not found", r)
        r = post("/api/read/stream", {"path": path})
        ok(r.status == 200 and r.type == "text/event-stream" and [e["type"] for e in r.events()] == ["error"] and
           r.events()[0]["error"], f"{what}: as an event", r)
    os.mkfifo(at("br/fifo"))
    r = post("/api/read", {"path": at("br/fifo")})
    ok(r.fails(500, "FILESYSTEM_ERROR", path=at("br/fifo")), "a FIFO is not waited for", r)
    for route in ("read", "read/stream", "delete", "exists", "mkdir", "list-files"):
        for bad in ({"path": ""}, {"path": "a\0b"}, {"path": "x" * 4097}, {}, {"path": None}, {"path": ["a"]}):
            ok(post(f"/api/{route}", bad).invalid("path", "INVALID_PATH"), f"{route}: {str(bad)[:30]}")
        r = post(f"/api/{route}", "{")
        ok(r.fails(500, "INTERNAL_ERROR"), f"{route}: no JSON", r)
        ok(call("GET", f"/api/{route}").fails(404, "UNKNOWN_ERROR"), f"{route}: not with GET")
    size = 32 << 20
    path = put("br/large.bin")
    for n, want in ((size, 200), (size + 1, 413)):
        os.truncate(path, n)
        r = post("/api/read", {"path": path})
        ok(r.status == want, f"{n} bytes: {want}")
    ok(r.fails(413, "FILE_TOO_LARGE", path=path, operation="file.read", actualSize=size + 1, maxSize=size),
       "with its sizes", r)


def streams():
    """reading as a stream"""
    path = put("s/a.txt", "h\u00e9llo\n")
    r = post("/api/read/stream", {"path": path})
    ok(r.events() == [{"type": "metadata", "encoding": "utf-8", "isBinary": False, "mimeType": "text/plain", "size": 7},
                      {"type": "chunk", "data": "h\u00e9llo\n"}, {"type": "complete", "bytesRead": 7}], "events", r)
    r = post("/api/read/stream", {"path": put("s/none", b"")})
    ok([e["type"] for e in r.events()] == ["metadata", "complete"], "nothing", r)
    r = post("/api/read/stream", {"path": put("s/noise", NOISE)})
    e = r.events()
    ok(base64.b64decode("".join(x["data"] for x in e[1:-1])) == NOISE and e[0]["isBinary"],
       "pieces of base64 can be joined")
    ok(all(len(base64.b64decode(x["data"])) == 65535 for x in e[1:-2]), "each of 65535 bytes")
    text = "a\u20ac\U0001f600" * 50000
    e = post("/api/read/stream", {"path": put("s/letters", text)}).events()
    ok("".join(x["data"] for x in e[1:-1]) == text and e[-1]["bytesRead"] == len(text.encode()), "no letter is cut")
    ch = box.role("channel")
    path = put("s/huge.bin")
    os.truncate(path, 1 << 30)
    before = memory(ch)[0]
    s = socket.create_connection(HERE)
    body = json.dumps({"path": path}).encode()
    began = time.monotonic()
    s.sendall(b"POST /api/read/stream HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" %
              len(body) + body)
    n, most, tail, buf, turn = 0, 0, b"", bytearray(1 << 20), 0
    while k := s.recv_into(buf):
        n += k
        tail = (tail + bytes(buf[max(0, k - 200):k]))[-200:]
        turn += 1
        if turn % 1000 == 0:
            most = max(most, memory(ch)[0])
    took = time.monotonic() - began
    ok(b'"bytesRead":1073741824}' in tail and n > (1 << 30) * 4 // 3, f"1 GiB in {took:.1f} s", tail)
    ok(most - before < 4096, f"cost {most - before} KiB of memory")
    os.unlink(path)
    path = put("s/shrinks.bin")
    os.truncate(path, 500 << 20)
    s = socket.create_connection(HERE)
    body = json.dumps({"path": path}).encode()
    s.sendall(b"POST /api/read/stream HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" %
              len(body) + body)
    got = s.recv(1000)
    os.truncate(path, 1000)
    while k := s.recv(1 << 20):
        got = (got + k)[-2000:]
    ok(b'"type":"error"' in got and b'"type":"complete"' not in got, "a file that becomes shorter: an error, no end", got[-300:])
    os.truncate(path, 500 << 20)
    s = socket.create_connection(HERE)
    s.sendall(b"POST /api/read/stream HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" %
              len(body) + body)
    got = s.recv(1000)
    for p in children(ch):
        with open(f"/proc/{p}/cmdline") as f:
            if "file worker" in f.read():
                os.kill(p, signal.SIGKILL)
    while k := s.recv(1 << 20):
        got = (got + k)[-3000:]
    ok(re.search(rb'\ndata: {"type":"error","error":"[^"]+"}\n\n', got) and b'"type":"complete"' not in got,
       "its worker is killed: the same, after whatever there was", got[-400:])
    os.unlink(path)


# --- the rest of files


def directories():
    """mkdir, list-files"""
    d = at("d/one")
    r = post("/api/mkdir", {"path": d})
    ok(r.fails(500, "FILESYSTEM_ERROR", path=d, options={"recursive": False}, exitCode=1) and
       r.json["context"]["stderr"], "where the one above is missing", r)
    ok(post("/api/mkdir", {"path": d, "recursive": True}).ok(path=d, recursive=True), "with all above")
    ok(post("/api/mkdir", {"path": d, "recursive": True}).status == 200, "again")
    ok(post("/api/mkdir", {"path": d}).fails(500, "FILESYSTEM_ERROR", path=d), "again, but not like that")
    ok(post("/api/mkdir", {"path": d + "/two"}).ok(path=d + "/two", recursive=False), "one")
    put("d/one/f.sh", "12345", 0o4755)
    put("d/one/.hidden", "1")
    put("d/one/two/deep", "1", 0o600)
    put("d/one/.git/config", "1")
    os.symlink("f.sh", at("d/one/link"))
    os.mkfifo(at("d/one/pipe"))
    os.utime(at("d/one/f.sh"), ns=(0, 1700000000_123456789))
    r = post("/api/list-files", {"path": d})
    j = r.json
    ok(j["success"] and j["path"] == d and j["count"] == 4 == len(j["files"]) and
       sorted(f["name"] for f in j["files"]) == ["f.sh", "link", "pipe", "two"], "a list, without hidden names", r)
    f = {x["name"]: x for x in j["files"]}
    ok(f["f.sh"] == {"name": "f.sh", "absolutePath": d + "/f.sh", "relativePath": "f.sh", "type": "file", "size": 5,
                     "modifiedAt": "2023-11-14T22:13:20.1234567890", "mode": "rwxr-xr-x",
                     "permissions": {"readable": True, "writable": True, "executable": True}}, "a file", f["f.sh"])
    ok([f[n]["type"] for n in ("two", "link", "pipe")] == ["directory", "symlink", "other"], "the kinds", f)
    ok(f["link"]["mode"] == "rwxrwxrwx" and f["link"]["size"] == 4, "a link is told of itself")
    r = post("/api/list-files", {"path": d, "options": {"includeHidden": True}})
    ok(sorted(x["name"] for x in r.json["files"]) == [".git", ".hidden", "f.sh", "link", "pipe", "two"], "hidden ones, too")
    r = post("/api/list-files", {"path": d, "options": {"recursive": True}})
    got = {x["relativePath"]: x for x in r.json["files"]}
    ok(sorted(got) == ["f.sh", "link", "pipe", "two", "two/deep"] and r.json["count"] == 5 and
       got["two/deep"]["name"] == "deep" and got["two/deep"]["absolutePath"] == d + "/two/deep" and
       got["two/deep"]["permissions"] == {"readable": True, "writable": True, "executable": False}, "all below", got)
    r = post("/api/list-files", {"path": d, "options": {"recursive": True, "includeHidden": True}})
    ok(".git/config" in {x["relativePath"] for x in r.json["files"]}, "and hidden below")
    r = post("/api/list-files", {"path": d + "/two/", "options": None})
    ok(r.json["count"] == 1, "options that are null")
    ok(post("/api/list-files", {"path": at("none")}).fails(404, "FILE_NOT_FOUND", path=at("none")), "nothing")
    r = post("/api/list-files", {"path": at("none")})
    ok(r.json["message"].startswith("Directory not found") and r.json["operation"] == "directory.list", "in words", r)
    r = post("/api/list-files", {"path": d + "/f.sh"})
    ok(r.fails(400, "NOT_DIRECTORY", path=d + "/f.sh"), "a file", r)
    os.mkdir(at("d/empty"))
    r = post("/api/list-files", {"path": at("d/empty")})
    ok(r.ok(path=at("d/empty"), files=[], count=0), "an empty one", r)
    odd = "line\nend \"quote\" \u00e9 \\"
    put(f"d/odd/{odd}", "")
    with open(at("d/odd").encode() + b"/\xff", "w"):
        pass
    r = post("/api/list-files", {"path": at("d/odd")})
    ok({x["name"] for x in r.json["files"]} == {odd, "\ufffd"}, "odd names", r)
    for i in range(3000):
        put(f"d/many/file-{i:05}", "")
    r = post("/api/list-files", {"path": at("d/many")})
    ok(r.json["count"] == 3000 == len(r.json["files"]), "3000 of them")


def moves():
    """rename, move, delete, exists"""
    a, b, d = put("m/a", "1"), at("m/b"), at("m/dir")
    os.mkdir(d)
    ok(post("/api/rename", {"oldPath": a, "newPath": b}).ok(path=a, newPath=b) and read(b) == b"1", "rename")
    r = post("/api/rename", {"oldPath": a, "newPath": b})
    ok(r.fails(404, "FILE_NOT_FOUND", path=a) and r.json["operation"] == "file.rename", "what is not there", r)
    put("m/c", "2")
    ok(post("/api/rename", {"oldPath": at("m/c"), "newPath": b}).status == 200 and read(b) == b"2", "over another")
    r = post("/api/move", {"sourcePath": b, "destinationPath": d})
    ok(r.ok(path=b, newPath=d) and read(d + "/b") == b"2", "move, into a directory", r)
    r = post("/api/move", {"sourcePath": d + "/b", "destinationPath": at("m/new")})
    ok(r.status == 200 and read(at("m/new")) == b"2", "to a name", r)
    r = post("/api/move", {"sourcePath": at("m/new"), "destinationPath": at("m/no/such")})
    ok(r.fails(500, "FILESYSTEM_ERROR", path=at("m/new")) and read(at("m/new")) == b"2", "to where nothing is", r)
    r = post("/api/rename", {"oldPath": at("m/new"), "newPath": at("m/no/such")})
    ok(r.fails(500, "FILESYSTEM_ERROR", path=at("m/new")) and r.json["operation"] == "file.rename", "renamed to there", r)
    r = post("/api/rename", {"oldPath": d, "newPath": at("m/new")})
    ok(r.fails(500, "FILESYSTEM_ERROR", path=d) and os.path.isdir(d) and read(at("m/new")) == b"2",
       "a directory over a file", r)
    r = post("/api/rename", {"oldPath": at("m/new/x"), "newPath": at("m/y")})
    ok(r.fails(404, "FILE_NOT_FOUND", path=at("m/new/x")), "what is below a file", r)
    r = post("/api/move", {"sourcePath": b, "destinationPath": d})
    ok(r.fails(404, "FILE_NOT_FOUND", path=b) and r.json["operation"] == "file.move", "what is not there", r)
    os.mkdir(at("m/tree"))
    put("m/tree/x", "3")
    ok(post("/api/move", {"sourcePath": at("m/tree"), "destinationPath": d}).status == 200 and
       read(d + "/tree/x") == b"3", "a directory into another")
    r = post("/api/move", {"sourcePath": d, "destinationPath": d + "/tree"})
    ok(r.fails(500, "FILESYSTEM_ERROR"), "a directory into itself", r)
    with contextlib.ExitStack() as stack:
        other = stack.enter_context(contextlib.closing(_Shm()))
        r = post("/api/move", {"sourcePath": at("m/new"), "destinationPath": other.path})
        ok(r.status == 200 and read(other.path) == b"2" and not os.path.exists(at("m/new")), "to another file system", r)
    for route, names in (("rename", ("oldPath", "newPath")), ("move", ("sourcePath", "destinationPath"))):
        for bad in ("", "a\0", "x" * 4097, None):
            for i in (0, 1):
                body = {names[i]: bad, names[1 - i]: at("m/x")}
                ok(post(f"/api/{route}", body).fails(500, "SECURITY_VALIDATION_FAILED"), f"{route}: {str(body)[:40]}")
    path = put("m/gone")
    ok(post("/api/exists", {"path": path}).ok(path=path, exists=True), "it exists")
    ok(post("/api/delete", {"path": path}).ok(path=path) and not os.path.exists(path), "delete")
    ok(post("/api/exists", {"path": path}).ok(path=path, exists=False), "then not")
    r = post("/api/delete", {"path": path})
    ok(r.fails(404, "FILE_NOT_FOUND", path=path) and r.json["operation"] == "file.delete", "not again", r)
    os.mkdir(at("m/empty"))
    for p in (d, at("m/empty")):
        r = post("/api/delete", {"path": p})
        ok(r.fails(400, "IS_DIRECTORY", path=p) and os.path.isdir(p), "not a directory", r)
    os.symlink("nowhere", at("m/dangling"))
    os.symlink("dir", at("m/todir"))
    ok(post("/api/exists", {"path": at("m/dangling")}).ok(path=at("m/dangling"), exists=False), "a link to nowhere")
    ok(post("/api/exists", {"path": at("m/todir")}).json["exists"], "one to a directory")
    ok(post("/api/exists", {"path": put("m/f") + "/x"}).json["exists"] is False, "below a file")
    ok(post("/api/delete", {"path": at("m/todir")}).status == 200 and os.path.isdir(d), "a link itself is deleted")


class _Shm:
    def __init__(self):
        self.path = f"/dev/shm/pinnace-test-{os.getpid()}"

    def close(self):
        with contextlib.suppress(OSError):
            os.unlink(self.path)


def relative():
    """relative paths"""
    os.mkdir(at("rel"))
    post("/api/session/create", {"id": "rel", "cwd": at("rel")})
    r = post("/api/write", {"path": "sub/a.txt", "content": "x", "sessionId": "rel"})
    ok(r.ok(path="sub/a.txt") and read(at("rel/sub/a.txt")) == b"x", "begin where the session does", r)
    post("/api/execute", {"command": f"cd {at('rel/sub')}", "sessionId": "rel"})
    r = post("/api/read", {"path": "a.txt", "sessionId": "rel"})
    ok(r.status == 200 and r.json["path"] == "a.txt", "and where it has gone", r)
    r = post("/api/read", {"path": "a.txt"}, **{"X-Session-Id": "rel"})
    ok(r.status == 200, "the session in a field", r)
    r = post("/api/list-files", {"path": ".", "sessionId": "rel"})
    ok(r.json["files"][0]["absolutePath"] == "./a.txt" and r.json["files"][0]["relativePath"] == "a.txt",
       "lists are relative, too", r)
    r = post("/api/rename", {"oldPath": "a.txt", "newPath": "../b.txt", "sessionId": "rel"})
    ok(r.status == 200 and read(at("rel/b.txt")) == b"x", "..", r)
    r = post("/api/write", {"path": "~/x", "content": "x", "sessionId": "rel"})
    ok(read(at("rel/sub/~/x")) == b"x", "~ is a name like others", r)
    r = post("/api/write", {"path": "c.txt", "content": "y", "sessionId": "another"})
    ok(r.status == 200 and read(f"{work}/c.txt") == b"y", "a session that there is not begins in /workspace", r)


def as_nobody():
    """as another user"""
    def ask(route, **body):
        return post(f"/api/{route}", body, address=("127.0.0.1", nobodys))

    nobody = pwd.getpwnam("nobody")
    os.mkdir(at("n"), 0o777)
    os.chmod(at("n"), 0o777)
    r = ask("write", path=at("n/deep/a"), content="x")
    st = [os.stat(at(p)).st_uid for p in ("n/deep", "n/deep/a")] if r.status == 200 else r
    ok(st == [nobody.pw_uid] * 2, "what it makes is its own", st)
    secret = put("n/secret", "x", 0o600)
    os.mkdir(at("n/closed"), 0o700)
    ok(ask("read", path=secret).fails(403, "PERMISSION_DENIED", path=secret), "what it may not read")
    ok(ask("read/stream", path=secret).events()[0]["type"] == "error", "nor as a stream")
    r = ask("write", path=secret, content="y")
    ok(r.fails(500, "FILESYSTEM_ERROR", path=secret) and read(secret) == b"x", "nor write", r)
    ok(ask("list-files", path=at("n/closed")).fails(403, "PERMISSION_DENIED"), "nor list")
    ok(ask("exists", path=at("n/closed/x")).json["exists"] is False, "nor see")
    ok(ask("watch", path=at("n/closed")).fails(403, "PERMISSION_DENIED"), "nor watch")
    ok(ask("mkdir", path=at("n/closed/x")).fails(500, "FILESYSTEM_ERROR"), "nor fill")
    os.chmod(at("n"), 0o755)
    ok(ask("delete", path=at("n/secret")).fails(403, "PERMISSION_DENIED") and os.path.exists(secret), "nor delete")
    r = ask("backup/create", dir=at("n"), archivePath="/var/backups/nobody")
    ok(r.fails(500, "BACKUP_CREATE_FAILED") and not os.path.exists(f"{backups}/nobody"), "nor back up", r)
    os.unlink(secret)
    os.rmdir(at("n/closed"))
    r = ask("backup/create", dir=at("n"), archivePath="/var/backups/nobody")
    ok(r.status == 200, "but what it may", r)
    r = ask("backup/restore", dir=at("n"), archivePath="/var/backups/nobody")
    ok(r.fails(500, "BACKUP_RESTORE_FAILED") and read(at("n/deep/a")) == b"x", "nor restore where it may not write", r)


# --- watch


class Watch:
    def __init__(self, **body):
        self.s = socket.create_connection(HERE)
        self.s.settimeout(10)
        data = json.dumps(body).encode()
        self.s.sendall(b"POST /api/watch HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % len(data) + data)
        self.buf = b""
        self.seen = []
        self.first = self.next()

    def next(self, seconds=10):
        self.s.settimeout(seconds)
        while True:
            if m := re.search(rb"data: (.*?)\n\n", self.buf):
                self.buf = self.buf[m.end():]
                return json.loads(m[1])
            try:
                k = self.s.recv(65536)
            except TimeoutError:
                return None
            if not k:
                return None
            self.buf += k

    def until(self, kind, path):
        """Events up to this one, as "kind path"."""
        got = []
        while e := self.next():
            got.append(f"{e.get('eventType', e['type'])} {os.path.relpath(e['path'], here) if 'path' in e else ''}")
            self.seen.append(e)
            if got[-1] == f"{kind} {path}":
                return got
        return got + ["(no more)"]


def watches():
    """watches"""
    d = at("watch")
    for sub in ("sub", "node_modules/x", ".git"):
        os.makedirs(f"{d}/{sub}")
    w = Watch(path=d)
    ok(w.first["type"] == "watching" and w.first["path"] == d and w.first["watchId"], "it is on", w.first)
    put("watch/a", "1")
    got = w.until("modify", "watch/a")
    ok(got[0] == "create watch/a" and "modify watch/a" in got, "a file is made", got)
    e = w.seen[0]
    ok(set(e) == {"type", "eventType", "path", "isDirectory", "timestamp"} and e["type"] == "event" and
       e["path"] == d + "/a" and e["isDirectory"] is False, "an event", e)
    os.chmod(d + "/a", 0o600)
    ok("attrib watch/a" in w.until("attrib", "watch/a"), "its mode changes")
    put("watch/node_modules/x/y", "1")
    put("watch/.git/HEAD", "1")
    put("watch/.DS_Store", "1")
    os.rename(d + "/a", d + "/sub/b")
    got = w.until("move_to", "watch/sub/b")
    ok("move_from watch/a" in got and not any(".git" in g or "node_modules" in g or ".DS" in g for g in got),
       "it is moved; what is hardly ever wanted is not told", got)
    os.makedirs(d + "/new")
    got = w.until("create", "watch/new")
    ok(w.seen[-1]["isDirectory"] is True, "a directory", got)
    put("watch/new/c", "1")
    ok("create watch/new/c" in w.until("modify", "watch/new/c"), "what is in it is seen")
    post("/api/write", {"path": d + "/sub/b", "content": "2"})
    got = [g for g in w.until("modify", "watch/sub/b") if g.endswith("sub/b")]
    ok(got == ["modify watch/sub/b"], "a file that is written over is modified", got)
    post("/api/write", {"path": d + "/w", "content": "2"})
    got = w.until("modify", "watch/w")
    ok(got == ["create watch/w", "modify watch/w"], "one that is new is created and modified", got)
    os.unlink(d + "/w")
    ok("delete watch/w" in w.until("delete", "watch/w"), "it is deleted")
    only = Watch(path=d, recursive=False, events=["create"], exclude=["*.log"])
    some = Watch(path=d, include=["*.ts", "src/**"])
    for name in ("watch/x.log", "watch/sub/deep.ts", "watch/y.ts", "watch/src/any/thing"):
        put(name, "1")
    got = only.until("create", "watch/src")
    ok(got == ["create watch/y.ts", "create watch/src"], "only some events, only here, not all names", got)
    got = some.until("create", "watch/src/any/thing")
    ok({g for g in got if g.startswith("create")} ==
       {"create watch/sub/deep.ts", "create watch/y.ts", "create watch/src/any", "create watch/src/any/thing"} or
       {g for g in got if g.startswith("create")} ==
       {"create watch/sub/deep.ts", "create watch/y.ts", "create watch/src", "create watch/src/any",
        "create watch/src/any/thing"}, "only names that are wanted", got)
    shutil.rmtree(d)
    while e := w.next():
        w.seen.append(e)
        if e["type"] == "stopped":
            break
    ok(e and e["type"] == "stopped" and e["reason"], "when it is gone, the watch stops", w.seen[-3:])
    for x in (w, only, some):
        x.s.close()


def bad_watches():
    """watches that cannot be"""
    d = at("bw2")
    os.mkdir(d)
    for body, what in (({"path": d, "include": ["a"], "exclude": ["b"]}, "include and exclude"),
                       ({"path": d, "exclude": ["[ab]"]}, "a pattern of another kind"),
                       ({"path": d, "include": ["{a,b}"]}, "another one"),
                       ({"path": d, "include": ["x" * 256]}, "a long one"),
                       ({"path": d, "include": [5]}, "one that is no text"),
                       ({"path": d, "include": [""]}, "an empty one"),
                       ({"path": d, "exclude": "a"}, "no list"),
                       ({"path": d, "exclude": ["a"] * 257}, "too many"),
                       ({"path": d, "events": ["open"]}, "an event that there is not"),
                       ({"path": ""}, "no path")):
        for route in ("/api/watch", "/api/watch/check"):
            ok(post(route, body).fails(400, "VALIDATION_FAILED"), f"{route}: {what}")
    for route in ("/api/watch", "/api/watch/check"):
        ok(post(route, {"path": at("none")}).fails(404, "FILE_NOT_FOUND", path=at("none")), f"{route}: nothing there")
        ok(post(route, {"path": put("bw2f")}).fails(400, "NOT_DIRECTORY"), f"{route}: a file")
        ok(post(route, "{").fails(400, "VALIDATION_FAILED"), f"{route}: no JSON")


def checks():
    """watches that count"""
    d = at("check")
    os.mkdir(d)

    def ask(**more):
        return post("/api/watch/check", {"path": d, **more}).json

    a = ask()
    ok(a["success"] and a["status"] == "unchanged" and re.fullmatch(r"watch-\w+-\d+:0", a["version"]) and
       "reason" not in a, "the first time", a)
    ok(ask(since=a["version"])["status"] == "unchanged", "nothing happens")
    put("check/x", "1")
    b = settled(lambda: ask(since=a["version"]), lambda r: r["status"] == "changed")
    ok(b["status"] == "changed" and b["version"] != a["version"], "something happens", b)
    ok(ask(since=b["version"])["status"] in ("unchanged", "changed"), "and is known then")
    c = settled(lambda: ask(), lambda r: ask(since=r["version"])["status"] == "unchanged")
    ok(ask(since=c["version"])["status"] == "unchanged" and ask(since=a["version"])["status"] == "changed",
       "an older version is still older")
    other = ask(recursive=False)
    ok(other["version"].split(":")[0] != c["version"].split(":")[0], "other wishes are another watch")
    boot, number = re.fullmatch(r"watch-(\w+)-(\d+):\d+", c["version"]).groups()
    r = ask(since=f"watch-{boot}-99999:0")
    ok(r["status"] == "resync" and r["reason"] == "expired", "a watch that is no more", r)
    r = ask(since="watch-00000000-1:0")
    ok(r["status"] == "resync" and r["reason"] == "restarted", "one of another channel", r)
    for bad in ("x", ":1", "watch-1:", "a:b", "w" * 200 + ":1"):
        ok(post("/api/watch/check", {"path": d, "since": bad}).fails(400, "VALIDATION_FAILED"), f"since {bad[:20]}")
    shutil.rmtree(d)
    os.mkdir(d)
    r = settled(lambda: ask(since=c["version"]), lambda r: r.get("status") == "resync")
    ok(r["status"] == "resync" and r["reason"] == "expired", "a directory that was replaced", r)
    many = [ask(include=[f"x{i}"]) for i in range(70)]
    ok("code" in many[-1] and many[-1]["httpStatus"] == 500, "there can be so many at once; then that is said", many[-1])
    ok(ask(since=r["version"])["status"] == "unchanged", "and those that are there go on")


# --- git


def git():
    """git"""
    src = at("src.git")
    subprocess.run(["sh", "-ec", f"git init -q -b trunk {src}; cd {src}; git config user.name a; "
                    "git config user.email a@b; git config uploadpack.allowFilter true; echo 1 >f; git add f; "
                    "git commit -qm 1; echo 2 >f; git commit -qam 2; git branch side; git tag v1"],
                   check=True, env={**os.environ, "HOME": t.dir, "GIT_CONFIG_NOSYSTEM": "1"})
    url = f"file://{src}"
    r = post("/api/git/checkout", {"repoUrl": url, "targetDir": at("clone")})
    ok(r.ok(repoUrl=url, branch="trunk", targetDir=at("clone")) and read(at("clone/f")) == b"2\n", "a clone", r)
    r = post("/api/git/checkout", {"repoUrl": url, "branch": "side", "depth": 1, "targetDir": at("clone2"),
                                   "timeoutMs": 20000, "sessionId": "git"})
    depth = subprocess.run(["git", "-C", at("clone2"), "rev-list", "--count", "HEAD"], capture_output=True, text=True,
                           env={**os.environ, "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory",
                                "GIT_CONFIG_VALUE_0": "*"}).stdout.strip()
    ok(r.ok(repoUrl=url, branch="side", targetDir=at("clone2")) and depth == "1", "a branch, of depth 1", (r, depth))
    r = post("/api/git/checkout", {"repoUrl": url})
    ok(r.ok(repoUrl=url, branch="trunk", targetDir="/workspace/src") and read(f"{work}/src/f") == b"2\n",
       "into /workspace where nothing is said", r)
    r = post("/api/git/checkout", {"repoUrl": url, "branch": "v1", "targetDir": at("clone3")})
    ok(r.status == 200 and r.json["branch"] == "v1", "a tag", r)
    post("/api/execute", {"command": f"export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=url.{url}.insteadOf GIT_CONFIG_VALUE_0=short:; "
                          f"cd {t.dir}", "sessionId": "git"})
    r = post("/api/git/checkout", {"repoUrl": "short:", "targetDir": "it's a clone", "sessionId": "git"})
    ok(r.ok(repoUrl="short:", branch="trunk", targetDir="it's a clone") and read(f"{t.dir}/it's a clone/f") == b"2\n",
       "with what the session has exported, in its directory", r)
    r = post("/api/git/checkout", {"repoUrl": url, "targetDir": at("clone8"), "sessionId": "__DISABLE_SESSION__"})
    ok(r.ok(repoUrl=url, branch="trunk", targetDir=at("clone8")) and "__DISABLE_SESSION__" not in call("GET", "/api/session/list").json["data"], "without a session", r)
    r = post("/api/git/checkout", {"repoUrl": url, "targetDir": at("clone8"), "branch": "x" * 4097})
    ok(r.fails(400, "VALIDATION_FAILED"), "a branch of 4097 characters", r)
    ok(post("/api/git/checkout", {"repoUrl": ""}).fails(400, "INVALID_GIT_URL"), "no URL")
    ok(post("/api/git/checkout", {}).fails(400, "INVALID_GIT_URL"), "none at all")
    r = post("/api/git/checkout", {"repoUrl": url, "targetDir": at("clone")})
    ok(r.fails(500, "GIT_OPERATION_FAILED", repository=url, targetDir=at("clone"), exitCode=128) and
       "already exists" in r.json["context"]["stderr"], "into what is not empty", r)
    r = post("/api/git/checkout", {"repoUrl": url, "branch": "none", "targetDir": at("clone4")})
    ok(r.fails(500, "GIT_OPERATION_FAILED", exitCode=128) and "none" in r.json["message"], "a branch that there is not", r)
    r = post("/api/git/checkout", {"repoUrl": f"file://{at('no')}", "targetDir": at("clone5")})
    ok(r.fails(500, "GIT_OPERATION_FAILED"), "a repository that there is not", r)
    r = post("/api/git/checkout", {"repoUrl": "--upload-pack=touch /tmp/x", "targetDir": at("clone6")})
    ok(r.fails(500, "GIT_OPERATION_FAILED") and "fatal" in r.json["context"]["stderr"], "what looks like an option is none", r)
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(1)
        slow = f"http://127.0.0.1:{deaf.getsockname()[1]}/x.git"
        began = time.monotonic()
        r = post("/api/git/checkout", {"repoUrl": slow, "targetDir": at("clone7"), "timeoutMs": 700})
        took = time.monotonic() - began
    ok(r.fails(500, "GIT_OPERATION_FAILED", exitCode=124) and "700 ms" in r.json["message"] and took < 8 and
       not os.path.exists(at("clone7")), f"one that takes too long, {took:.1f} s", r)
    ch = box.role("channel")
    ok(wait_for(lambda: not any("git" in c for c in _commands(ch))), "and nothing of it runs on")


def _commands(pid):
    out = []
    for p in children(pid):
        with contextlib.suppress(OSError), open(f"/proc/{p}/comm") as f:
            out.append(f.read().strip())
    return out


def no_git():
    """no git in the image"""
    bare = Box(t, INI.replace(str(port), str(free_port())).replace("[channel cloudflare]", "[channel bare]"),
               wrap=["/usr/bin/env", "PATH=/nowhere"])
    address = re.search(r"tcp:127.0.0.1:(\d+)", read(bare.config).decode())[1]

    def up_there():
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", int(address)), 1):
            return True
        return False

    wait_for(up_there)
    c = http.client.HTTPConnection("127.0.0.1", int(address), timeout=20)
    c.request("POST", "/api/git/checkout", json.dumps({"repoUrl": "file:///x", "targetDir": at("clone9")}))
    r = Answer(c.getresponse())
    c.close()
    ok(r.fails(500, "GIT_OPERATION_FAILED", exitCode=127) and "git is not in this image" in r.json["message"],
       "is said", r)
    bare.end()


# --- backups


def tree(path):
    """What is there; some of it may be taken away meanwhile."""
    out = {}
    for top, names, files in os.walk(path):
        for n in names + files:
            p = os.path.join(top, n)
            with contextlib.suppress(FileNotFoundError):
                st = os.lstat(p)
                out[os.path.relpath(p, path)] = (oct(st.st_mode), st.st_uid,
                                                 os.readlink(p) if stat.S_ISLNK(st.st_mode) else
                                                 read(p) if stat.S_ISREG(st.st_mode) else None)
    return out


def backups_and_back():
    """backups"""
    d = at("b")
    for name, content in (("a", "1"), ("sub/b", "2"), ("sub/x.log", "3"), ("node_modules/m/n", "4"), ("big", NOISE)):
        put(f"b/{name}", content)
    os.symlink("a", d + "/link")
    os.chmod(d + "/a", 0o4751)
    os.chown(d + "/sub/b", 12345, 12346)
    os.chmod(d + "/sub", 0o700)
    before = tree(d)
    ask = {"dir": d, "archivePath": "/var/backups/x/one.sqsh", "sessionId": "s"}
    for compression in (None, {}, {"threads": 8}, {"format": "gzip"}, {"format": "lz4", "threads": 8}):
        r = post("/api/backup/create", {**ask, "gitignore": False, "excludes": [], "compression": compression})
        size = os.path.getsize(f"{backups}/x/one.sqsh")
        ok(r.status == 200 and r.json == {"success": True, "sizeBytes": size, "archivePath": ask["archivePath"]},
           f"create, {compression}", r)
    with tarfile.open(f"{backups}/x/one.sqsh") as tar:
        ok(sorted(m.name for m in tar) == sorted(before), "tar in gzip", tar.getnames())
    put("b/later", "5")
    os.unlink(d + "/a")
    inode = os.stat(d).st_ino
    r = post("/api/backup/restore", {"dir": d, "archivePath": ask["archivePath"]})
    ok(r.status == 200 and r.json == {"success": True, "dir": d} and tree(d) == before,
       "restore: all is as it was, and nothing else", (r, set(tree(d)) ^ set(before)))
    ok(os.stat(d).st_ino == inode, "in the same directory")
    r = post("/api/backup/restore", {"dir": at("b-new/deep"), "archivePath": ask["archivePath"]})
    ok(r.status == 200 and tree(at("b-new/deep")) == before, "into one that is made", r)
    r = post("/api/backup/create", {"dir": d, "archivePath": "/var/backups/two", "excludes": ["node_modules", "*.log", "sub/b"]})
    with tarfile.open(f"{backups}/two") as tar:
        ok(sorted(m.name for m in tar) == ["a", "big", "link", "sub"], "what is excluded is not in it", tar.getnames())
    r = post("/api/backup/create", {"dir": d, "archivePath": "/var/backups/two", "gitignore": True})
    if shutil.which("git"):
        with tarfile.open(f"{backups}/two") as tar:
            ok(r.status == 200 and len(tar.getnames()) == len(before), "gitignore where there is no repository", r)
    os.mkdir(at("b-empty"))
    r = post("/api/backup/create", {"dir": at("b-empty"), "archivePath": "/var/backups/three"})
    post("/api/backup/restore", {"dir": at("b-new"), "archivePath": "/var/backups/three"})
    ok(r.status == 200 and tree(at("b-new")) == {}, "an empty one", r)


def ignored():
    """backups without what git ignores"""
    d = at("b-git")
    for name in ("a.c", "a.o", "sub/b.o", "sub/c", "build/x/y", "odd*name", "oddxname", "kept/odd*name"):
        put(f"b-git/{name}", "1")
    put("b-git/.gitignore", "*.o\n/build/\nodd\\*name\n!/kept/odd\\*name\n")
    subprocess.run(["git", "init", "-q", d], check=True, env={**os.environ, "HOME": t.dir})
    ask = {"dir": d, "archivePath": "/var/backups/git"}
    r = post("/api/backup/create", {**ask, "gitignore": True, "excludes": [".git", "sub/c"]})
    with tarfile.open(f"{backups}/git") as tar:
        ok(r.status == 200 and sorted(tar.getnames()) ==
           [".gitignore", "a.c", "kept", "kept/odd*name", "oddxname", "sub"], "and what is excluded", (r, tar.getnames()))
    for i in range(4097):
        put(f"b-git/many-{i}.o", "")
    r = post("/api/backup/create", {**ask, "gitignore": True})
    ok(r.fails(500, "BACKUP_CREATE_FAILED") and "more paths" in r.json["message"], "more than can be", r)
    for i in range(10):
        os.unlink(at(f"b-git/many-{i}.o"))
    began = time.monotonic()
    r = post("/api/backup/create", {**ask, "gitignore": True})
    with tarfile.open(f"{backups}/git") as tar:
        ok(r.status == 200 and not any(n.endswith(".o") for n in tar.getnames()),
           f"as many as can be, in {time.monotonic() - began:.1f} s", r)


def bad_backups():
    """backups that cannot be"""
    d = at("b")
    before = tree(d)
    with open(f"{backups}/x/one.sqsh", "rb") as f:
        good = f.read()
    evil = f"{backups}/evil"
    with tarfile.open(evil, "w:gz") as tar:
        m = tarfile.TarInfo("../../escaped")
        tar.addfile(m)
    for name, content in (("text", b"no archive" * 100), ("cut", good[:len(good) // 2]), ("empty", b""),
                          ("notar", gzip.compress(b"x" * 10000)), ("flipped", good[:500] + b"\0" * 50 + good[550:])):
        with open(f"{backups}/{name}", "wb") as f:
            f.write(content)
    for name in ("text", "cut", "empty", "notar", "flipped", "evil"):
        r = post("/api/backup/restore", {"dir": d, "archivePath": f"/var/backups/{name}"})
        ok(r.fails(500, "BACKUP_RESTORE_FAILED", dir=d) and r.json["operation"] == "backup.restore" and
           settled(lambda: tree(d), lambda now: now == before) == before,
           f"{name}: nothing is changed", (r, set(tree(d)) ^ set(before)))
    r = post("/api/backup/restore", {"dir": d, "archivePath": "/var/backups/none"})
    ok(r.fails(404, "BACKUP_NOT_FOUND", archivePath="/var/backups/none"), "none", r)
    good_dir, good_file = {"dir": d}, {"archivePath": "/var/backups/q"}
    for body, what in (({"dir": "/etc", **good_file}, "another directory"), ({"dir": "/tmp/../etc", **good_file}, "..",),
                       ({"dir": "/tmpx", **good_file}, "one with a longer name"), ({"dir": "tmp", **good_file}, "a relative one"),
                       (good_file, "none"), ({**good_dir, "archivePath": "/tmp/q"}, "a file elsewhere"),
                       ({**good_dir, "archivePath": "/var/backups/../q"}, "..",), ({**good_dir, "archivePath": "/var/backups/"}, "no name"),
                       (good_dir, "no file")):
        for route in ("create", "restore"):
            ok(post(f"/api/backup/{route}", body).fails(400, "INVALID_BACKUP_CONFIG"), f"{route}: {what}")
    for more, what in (({"compression": {"format": "zstd"}}, "zstd"),
                       ({"compression": {"format": "xz"}}, "a compression that there is not"),
                       ({"excludes": ["[a]"]}, "a pattern of another kind"), ({"excludes": ["a"] * 257}, "too many"),
                       ({"excludes": [1]}, "one that is none")):
        ok(post("/api/backup/create", {**good_dir, **good_file, **more}).fails(400, "INVALID_BACKUP_CONFIG"), what)
    r = post("/api/backup/create", {"dir": at("none"), **good_file})
    ok(r.fails(500, "BACKUP_CREATE_FAILED", dir=at("none")) and r.json["operation"] == "backup.create" and
       not os.path.exists(f"{backups}/q"), "a directory that there is not: no archive", r)
    ok(not os.path.exists(f"{here}/escaped") and not os.path.exists(f"{t.dir}/escaped"), "nothing has escaped")


def up():
    with contextlib.suppress(OSError), socket.create_connection(HERE, 1):
        return True
    return False


wait_for(up)
rows(t, "files", (writes, bad_writes, large_writes, reads, bad_reads, streams, directories, moves, relative, as_nobody))
rows(t, "watches", (watches, bad_watches, checks))
if shutil.which("git"):
    rows(t, "git", (git, ignored))
else:
    t.skip("git", "no git here")
rows(t, "git", (no_git, ))
rows(t, "backups", (backups_and_back, bad_backups))
channel = box.role("channel")
most = 64 * 2 + 40  # the watches that count are there still
ok(settled(lambda: fds(channel), lambda n: n < most) < most, "nothing is left open", fds(channel))
status, seconds = box.end()
for d in made:
    with contextlib.suppress(OSError):
        os.rmdir(d)
ok(status == 0 and seconds < 5, "the box ends", f"{status} after {seconds} s\n{box}")
t.done()
