#!/usr/bin/env python3
"""Contents of files in the E2B dialect: GET and POST /files, POST /files/compose, over TCP, by a client
that takes the wire as the published SDKs do, and by sockets for what no client library would send."""
import base64
import contextlib
import email.utils
import gzip
import hashlib
import http.client
import itertools
import json
import os
import random
import socket
import stat
import struct
import threading
import time
import zlib
from urllib.parse import quote, urlencode

from box import Box
from channel import fds, free_port, rows, settled
from tap import Tap, children, wait_for

t = Tap()
os.chmod(t.dir, 0o755)
NOISE = random.Random(11).randbytes(3 << 20)
TEXT = b"".join(b"line %d of many that are alike\r\n" % i for i in range(40000))
TOKEN = "ea_0123456789"
here = f"{t.dir}/files"
small = f"{t.dir}/small"  # 2 MiB
os.mkdir(here)
os.mkdir(small)
open_port, signed_port = free_port(), free_port()


def ok(cond, name, diag=""):
    return t.ok(cond, name, diag)


def at(name):
    return f"{here}/{name}"


def put(name, content=b"", mode=0o644):
    os.makedirs(os.path.dirname(at(name)), exist_ok=True)
    with open(at(name), "wb") as f:
        f.write(content)
    os.chmod(at(name), mode)
    return at(name)


def read(path):
    try:
        with open(path, "rb") as f:
            return f.read()
    except OSError as e:
        return e


def names(path):
    return sorted(os.listdir(path))


def q(path=None, route="files", **params):
    if path is not None:
        params = {"path": path, **params}
    return f"/{route}?{urlencode(params, quote_via=quote)}" if params else f"/{route}"


class Answer:
    def __init__(self, r):
        self.status, self.body = r.status, r.read()
        self.fields = {}
        for name, value in r.getheaders():
            key = name.lower()
            self.fields[key] = f"{self.fields[key]}, {value}" if key in self.fields else value

    def json(self):
        return json.loads(self.body)

    def fails(self, status, words=""):
        """An error as plain HTTP routes have it: {"code":404,"message":"..."}."""
        try:
            e = self.json()
            return (self.status == status == e["code"] and words in e["message"] and e["message"] and
                    self.fields["content-type"].startswith("application/json"))
        except (ValueError, KeyError, TypeError):
            return False

    def __repr__(self):
        return f"{self.status} {self.fields} {self.body[:600]!r}"


def call(method, target, body=None, port=None, **fields):
    """The answer to one request on a connection of its own. An iterator is sent in chunks."""
    c = http.client.HTTPConnection("127.0.0.1", port or open_port, timeout=60)
    fields = {k.replace("_", "-"): v for k, v in fields.items()}
    fields.setdefault("Accept-Encoding", "identity")
    chunked = body is not None and not isinstance(body, (bytes, bytearray))
    try:
        if chunked:
            fields["Transfer-Encoding"] = "chunked"
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it may answer before it has all
            c.request(method, target, body, fields, encode_chunked=chunked)
        return Answer(c.getresponse())
    finally:
        c.close()


def get(path, **fields):
    return call("GET", q(path), **fields)


RAW = "application/octet-stream"


def write(target, body, **fields):
    return call("POST", target, body, Content_Type=RAW, **fields)


def form(*parts, boundary="----formdata-undici-012345678901"):
    """Parts (filename, content) or (filename, content, name) as undici sends them."""
    out = b""
    for filename, content, *name in parts:
        out += (f"--{boundary}\r\nContent-Disposition: form-data; name=\"{name[0] if name else 'file'}\"" +
                (f"; filename=\"{filename}\"" if filename is not None else "") +
                "\r\nContent-Type: application/octet-stream\r\n\r\n").encode() + content + b"\r\n"
    return out + f"--{boundary}--\r\n".encode()


FORM = "multipart/form-data; boundary=----formdata-undici-012345678901"


def write_form(target, body, **fields):
    fields.setdefault("Content_Type", FORM)
    return call("POST", target, body, **fields)


def pieces(content, *sizes):
    sizes, at_ = itertools.cycle(sizes), 0
    while at_ < len(content):
        n = next(sizes)
        yield content[at_:at_ + n]
        at_ += n


def told(path, metadata=None):
    """What is told of a file that was written."""
    entry = {"name": os.path.basename(path), "path": path, "type": "file"}
    return {**entry, "metadata": metadata} if metadata else entry


def workers(b):
    return len(children(b.role("channel")))


def idle(b):
    return settled(lambda: workers(b), lambda n: n == 0) == 0


def clean(path):
    """Nothing half made is left there."""
    return not [x for x in os.listdir(path) if ".pinnace-" in x]


# --- reading

def reads(b):
    """GET /files"""
    path = put("get/a b\u00fc+.txt", b"0123456789")
    os.utime(path, (1e9, 1e9 + 0.5))
    a = get(path)
    ok(a.status == 200 and a.body == b"0123456789" and a.fields["content-length"] == "10" and
       a.fields["content-type"] == "text/plain; charset=utf-8" and a.fields["accept-ranges"] == "bytes",
       "the content, with a type by its name", a)
    ok(email.utils.parsedate_to_datetime(a.fields["last-modified"]).timestamp() == 1e9 and a.fields["etag"] and
       "Accept-Encoding" in a.fields["vary"], "Last-Modified, ETag, Vary", a)
    ok(a.fields["content-disposition"] == "inline; filename*=UTF-8''a%20b%C3%BC%2B.txt", "its name", a)
    ok(call("GET", q(path).replace("%20", "+")).body == b"0123456789", "a plus is a blank")
    a = get(put("get/say \"hi\".json", b"{}"))
    ok(a.fields["content-disposition"] == 'inline; filename="say \\"hi\\".json"' and
       a.fields["content-type"] == "application/json", "a name with quotes", a)
    for name, content, kind in (("script", b"#!/bin/sh\necho\n", "text/plain; charset=utf-8"),
                                ("picture", b"\x89PNG\r\n\x1a\nxyz", "image/png"),
                                ("binary", b"\0\1\2", RAW), ("odd.xyz", b"text", "text/plain; charset=utf-8")):
        a = get(put(f"get/{name}", content))
        ok(a.fields["content-type"] == kind and a.body == content, f"{name} is {kind}", a)
    a = get(put("get/empty"))
    ok(a.status == 200 and a.body == b"" and a.fields["content-length"] == "0", "an empty file", a)
    a = get(put("get/empty"), Accept_Encoding="gzip, deflate")
    ok(a.status == 200 and a.fields["content-length"] == "0" and "content-encoding" not in a.fields,
       "an empty file, for one who takes gzip", a)
    a = get("/proc/self/mountinfo")
    ok(a.status == 200 and len(a.body) == int(a.fields["content-length"]) > 10, "a file of /proc", a)
    a = get(put("get/noise", NOISE))
    ok(a.status == 200 and a.body == NOISE, "3 MiB", len(a.body))
    a = call("HEAD", q(path))
    ok(a.status == 405 and a.body == b"" and "GET" in a.fields["allow"], "HEAD is 405", a)
    a = call("GET", q(path), Origin="http://example.org")
    ok(a.fields["access-control-allow-origin"] == "*" and "Origin" in a.fields["vary"] and
       "Accept-Encoding" in a.fields["vary"], "for a web page", a)


def read_parts(b):
    """GET /files: parts and versions"""
    path = put("parts/f", b"0123456789")
    os.utime(path, (1e9, 1e9))
    etag = get(path).fields["etag"]
    for field, status, body in (("bytes=2-4", 206, b"234"), ("bytes=7-", 206, b"789"), ("bytes=-2", 206, b"89"),
                                ("bytes=0-99", 206, b"0123456789"), ("bytes=1-2,4-5", 200, b"0123456789"),
                                ("bytes=10-", 416, None), ("lines=1-2", 416, None), ("bytes=5-2", 416, None),
                                ("bytes=x", 416, None)):
        for accepts in ("identity", "gzip"):
            a = get(path, Range=field, Accept_Encoding=accepts)
            ok(a.status == status and (body is None or a.body == body), f"Range: {field}, {accepts}", a)
            ok((a.fields.get("content-range") or "").endswith("/10") == (status != 200) and
               (body is not None or a.fails(416)), f"Content-Range of {field}", a)
    for fields, status in (({"If_None_Match": etag}, 304), ({"If_None_Match": f'"x", W/{etag}'}, 304),
                           ({"If_None_Match": '"x"'}, 200), ({"If_Match": '"x"'}, 412), ({"If_Match": etag}, 200),
                           ({"If_Modified_Since": "Sun, 09 Sep 2001 01:46:40 GMT"}, 304),
                           ({"If_Modified_Since": "Sun, 09 Sep 2001 01:46:39 GMT"}, 200),
                           ({"If_Unmodified_Since": "Sun, 09 Sep 2001 01:46:39 GMT"}, 412),
                           ({"If_Range": etag, "Range": "bytes=1-1"}, 206),
                           ({"If_Range": '"x"', "Range": "bytes=1-1"}, 200)):
        a = get(path, Accept_Encoding="gzip", **fields)
        ok(a.status == status and (status not in (200, 304) or a.fields["etag"] == etag), f"{fields}", a)
        ok("content-encoding" not in a.fields and (status != 412 or a.fails(412)), "never as gzip", a)


def read_fails(b):
    """GET /files: what it refuses"""
    put("rf/f", b"x", 0o600)
    os.mkfifo(at("rf/fifo"))
    os.symlink("loop", at("rf/loop"))
    a = get(at("rf/none"))
    ok(a.fails(404, f"path '{at('rf/none')}' does not exist"), "what is not there", a)
    for bad, status in ((at("rf"), 400), (at("rf/f/x"), 400), (at("rf/fifo"), 400), (at("rf/loop"), 400),
                        ("~other/x", 400), (at("rf/" + "n" * 300), 400), ("n" * 4100, 400), ("", 400)):
        a = get(bad)
        ok(a.fails(status), f"{bad[-20:]!r}: {status}", a)
    a = call("GET", "/files")
    ok(a.fails(400), "no path: the home, which is a directory", a)
    ok(get(at("rf/f"), Authorization="Basic " + base64.b64encode(b"nobody:").decode()).body == b"x",
       "rights are not those of the user, as with E2B's agent")
    a = call("GET", q(at("rf/f"), username="no-such"))
    ok(a.fails(401, "invalid username: 'no-such'"), "for nobody that is known", a)
    for target in ("/files?path=%00", "/files?path=%zz", q(at("rf/f"), username="u" * 100)):
        a = call("GET", target)
        ok(a.fails(400), target[:60], a)
    ok(call("PUT", q(at("rf/f")), b"x").status == 405 and call("DELETE", q(at("rf/f"))).status == 405,
       "other methods")
    a = get("no-such-file", Authorization="Basic " + base64.b64encode(b"root:").decode())
    ok(a.fails(404, "/root/no-such-file"), "a relative path begins at the home", a)


def read_gzip(b):
    """GET /files as gzip"""
    path = put("gz/text", TEXT)
    plain = get(path)
    a = get(path, Accept_Encoding="gzip")
    ok(a.status == 200 and a.fields["content-encoding"] == "gzip" and gzip.decompress(a.body) == TEXT and
       len(a.body) < len(TEXT) // 4, "text", (len(a.body), a))
    ok(a.fields["etag"] == "W/" + plain.fields["etag"] and "Accept-Encoding" in a.fields["vary"] and
       a.fields["content-type"] == plain.fields["content-type"] and "accept-ranges" not in a.fields and
       a.fields.get("transfer-encoding") == "chunked", "another version of the same", a)
    ok("content-encoding" not in plain.fields and plain.body == TEXT, "not for who does not take it", plain)
    a = get(put("gz/noise", NOISE), Accept_Encoding="gzip")
    ok(a.fields["content-encoding"] == "gzip" and gzip.decompress(a.body) == NOISE, "noise", len(a.body))
    for name, content, accepts in (("short", b"x" * 1023, "gzip, deflate"), ("text", TEXT, "gzip;q=0"), ("text", TEXT, "gzip;q=0.5, identity"),
                                   ("text", TEXT, "br"), ("text", TEXT, "*"),
                                   ("text", TEXT, "gzip, deflate, br")):
        a = get(put(f"gz/{name}", content), Accept_Encoding=accepts)
        ok(a.status == 200 and "content-encoding" not in a.fields and a.body == content,
           f"{name} for {accepts}: as it is", a)
    for accepts in ("gzip", "gzip, identity;q=0"):
        a = get(at("gz/short"), Accept_Encoding=accepts)
        ok(a.fields["content-encoding"] == "gzip" and gzip.decompress(a.body) == b"x" * 1023,
           f"short for {accepts}: as is said", a)
    for fields in ({"Accept_Encoding": "br, *;q=0"}, {"Accept_Encoding": "identity;q=0"},
                   {"Accept_Encoding": "gzip, identity;q=0", "Range": "bytes=0-1"}):
        a = get(path, **fields)
        ok(a.fails(406), f"{fields}: 406", a)
    big = put("gz/big")
    os.truncate(big, 256 << 20)
    began, z, n, c = time.monotonic(), zlib.decompressobj(31), 0, http.client.HTTPConnection("127.0.0.1", open_port)
    c.request("GET", q(big), headers={"Accept-Encoding": "gzip"})
    r = c.getresponse()
    while piece := r.read(1 << 16):
        n += len(z.decompress(piece))
    c.close()
    ok(n == 256 << 20 and z.eof, "256 MiB of nothing", n)
    t.diag(f"GET as gzip {256 / (time.monotonic() - began):.0f} MiB/s")
    ok(idle(b), "no process is left")


def leavers(b):
    """readers that go"""
    path = put("leave/f", NOISE * 20)
    base = settled(lambda: fds(b.role("channel")), lambda n: True)
    for accepts in ("identity", "gzip"):
        s = socket.create_connection(("127.0.0.1", open_port))
        s.sendall(f"GET {q(path)} HTTP/1.1\r\nHost: x\r\nAccept-Encoding: {accepts}\r\n\r\n".encode())
        ok(s.recv(1000).startswith(b"HTTP/1.1 200 ") and wait_for(lambda: workers(b) > 0), f"{accepts}: begun")
        s.close()
        ok(idle(b), f"{accepts}: none of its processes is left")
    s = socket.create_connection(("127.0.0.1", open_port))  # one that does not read stops them
    s.sendall(f"GET {q(path)} HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n".encode())
    ok(wait_for(lambda: workers(b) == 2), "a worker and a filter", workers(b))
    filters = [p for p in children(b.role("channel")) if "gzip" in read(f"/proc/{p}/cmdline").decode()]
    os.kill(filters[0], 9)
    got = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := s.recv(1 << 16):
            got += piece
    s.close()
    ok(got.startswith(b"HTTP/1.1 200 ") and not got.endswith(b"0\r\n\r\n"),
       "an answer whose filter was killed is cut", got[-20:])
    ok(idle(b) and settled(lambda: fds(b.role("channel")), lambda n: n <= base) <= base, "nothing is left of it")


# --- writing

def writes(b):
    """POST /files, application/octet-stream"""
    a = write(q(at("raw/new/dir/f.txt")), b"hello")
    st = os.stat(at("raw/new/dir/f.txt"))
    ok(a.status == 200 and a.json() == [told(at("raw/new/dir/f.txt"))] and read(at("raw/new/dir/f.txt")) == b"hello",
       "a new file, with its directories", a)
    ok(stat.S_IMODE(st.st_mode) == 0o644 and stat.S_IMODE(os.stat(at("raw/new")).st_mode) == 0o755, "modes", oct(st.st_mode))
    a = write(q(at("raw/of/nobody/f"), username="nobody"), b"theirs")
    ok(a.status == 200 and [os.stat(at(f"raw/{x}")).st_uid for x in ("of", "of/nobody", "of/nobody/f")] == 3 * [65534],
       "for a user: with its directories it is theirs", a)
    put("raw/old", b"old", 0o4755)
    a = write(q(at("raw/old"), username="nobody"), b"new")
    st = os.stat(at("raw/old"))
    ok(a.status == 200 and read(at("raw/old")) == b"new" and st.st_uid == 65534 and stat.S_IMODE(st.st_mode) == 0o755,
       "one that is replaced, too; it keeps its mode, but lends no rights", (a, oct(st.st_mode)))
    a = write(q(at("raw/old")), NOISE, Authorization="Basic " + base64.b64encode(b"nobody:x").decode())
    ok(a.status == 200 and read(at("raw/old")) == NOISE, "3 MiB", a)
    a = write(q(at("raw/old")), pieces(NOISE, 1, 70001, 12))
    ok(a.status == 200 and read(at("raw/old")) == NOISE, "in chunks", a)
    a = write(q(at("raw/old")), b"")
    ok(a.status == 200 and read(at("raw/old")) == b"", "an empty one", a)
    a = write(q(at("raw/mode"), mode="0600"), b"x")
    ok(a.status == 200 and stat.S_IMODE(os.stat(at("raw/mode")).st_mode) == 0o600, "mode=", a)
    os.symlink("mode", at("raw/link"))
    a = write(q(at("raw/link")), b"through")
    ok(a.status == 200 and os.path.islink(at("raw/link")) and read(at("raw/mode")) == b"through" and
       a.json() == [told(at("raw/link"))], "through a link", a)
    a = call("POST", q(at("raw/t")), b"x", Content_Type="Application/Octet-Stream; charset=binary")
    ok(a.status == 200, "a type with a parameter", a)
    s = socket.create_connection(("127.0.0.1", open_port))
    s.sendall(f"POST {q(at('raw/expect'))} HTTP/1.1\r\nHost: x\r\nContent-Type: {RAW}\r\nContent-Length: 2\r\n"
              "Expect: 100-continue\r\n\r\n".encode())
    ok(s.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n", "Expect: 100-continue")
    s.sendall(b"ok")
    ok(s.recv(1000).startswith(b"HTTP/1.1 200 ") and read(at("raw/expect")) == b"ok", "goes on")
    s.close()
    ok(clean(at("raw")), "nothing is left over", names(at("raw")))


def write_fails(b):
    """POST /files: what it refuses"""
    put("wf/f", b"old")
    put("wf/dir/x")
    for target, kind, status in ((q(), RAW, 400), (q(at("wf/f")), "text/plain", 400), (q(at("wf/f")), None, 400),
                                 (q(at("wf/f")), "multipart/form-data", 400),
                                 (q(at("wf/f")), f"multipart/form-data; boundary={'b' * 71}", 400),
                                 (q(at("wf/dir")), RAW, 400), (q(at("wf/f/x")), RAW, 400), (q(at("wf/new/")), RAW, 400),
                                 (q(at("wf/f"), username="no-such"), RAW, 401), (q(at("wf/f"), mode="9"), RAW, 400),
                                 (q("/proc/no-such"), RAW, 404), (q(""), RAW, 400), ("/files?path=%zz", RAW, 400)):
        for body in (b"x", b"x" * (1 << 20)):
            a = call("POST", target, body, **({"Content_Type": kind} if kind else {}))
            ok(a.fails(status), f"{target[-30:]} {kind}, {len(body)} bytes: {status}", a)
    for fields in ({"Content_Encoding": "br"}, {"Content_Encoding": "gzip, gzip"}, {"If_None_Match": '"x"'},
                   {"X_Metadata_": "x"}, {"X_Metadata_K" * 30: "x"}, {"X_Metadata_K": "\u00fc"},
                   {"X_Metadata_K": "v" * 4090}):
        a = write(q(at("wf/f")), b"x", **fields)
        ok(a.fails(400), f"{str(fields)[:60]}: 400", a)
    ok(read(at("wf/f")) == b"old" and names(at("wf")) == ["dir", "f"] and names(at("wf/dir")) == ["x"],
       "nothing was changed", names(at("wf")))


def conditions(b):
    """POST /files only for a version"""
    path = put("if/f", TEXT)
    a = write(q(path), b"x", If_None_Match="*")
    ok(a.fails(412) and read(path) == TEXT, "only a new one", a)
    for accepts in ("identity", "gzip"):
        etag = get(path, Accept_Encoding=accepts).fields["etag"]
        a = write(q(path), TEXT, If_Match=etag)
        ok(a.status == 200, f"the version {etag}", a)
        a = write(q(path), b"x", If_Match=etag)
        ok(a.fails(412) and read(path) == TEXT, "which it then is no more", a)
    a = write(q(at("if/new")), b"x", If_None_Match="*")
    ok(a.status == 200 and read(at("if/new")) == b"x", "a new one", a)


def metadata(b):
    """X-Metadata-*"""
    path = at("meta/f")
    a = write(q(path), b"x", X_Metadata_Author="Me", X_METADATA_purpose="to see, it work")
    want = {"author": "Me", "purpose": "to see, it work"}
    ok(a.status == 200 and a.json() == [told(path, want)], "is told", a)
    ok({k: os.getxattr(path, k) for k in os.listxattr(path)} ==
       {f"user.e2b.{k}": v.encode() for k, v in want.items()}, "and kept", os.listxattr(path))
    os.setxattr(path, "user.other", b"stays")
    a = write(q(path), b"y", X_Metadata_Only="this")
    ok(a.json() == [told(path, {"only": "this"})] and sorted(os.listxattr(path)) == ["user.e2b.only", "user.other"],
       "another set takes its place; what is not of it stays", (a, os.listxattr(path)))
    a = write(q(path), b"z")
    ok(a.json() == [told(path)] and os.listxattr(path) == ["user.other"], "none clears it", a)
    a = write_form(q(), form((at("meta/a"), b"1"), (at("meta/b"), b"2")), X_Metadata_K="v")
    ok(a.json() == [told(at("meta/a"), {"k": "v"}), told(at("meta/b"), {"k": "v"})], "for all parts", a)


# --- multipart

def forms(b):
    """POST /files, multipart/form-data"""
    a = write_form(q(at("form/given")), form(("ignored", b"content")))
    ok(a.status == 200 and a.json() == [told(at("form/given"))] and read(at("form/given")) == b"content",
       "a path in the query", a)
    odd = "a b\u00fc;'%22=.txt"
    body = form((at(f"form/{odd}"), NOISE), (None, b"x", "other"), (at("form/deep/er/f"), b""), (at("form/no"), b"n", "x"),
                (at("form/crlf"), b"\r\n--\r\n------formdata-undici-01234567890\r\n\r"))
    a = write_form(q(username="nobody"), body)
    ok(a.status == 200 and a.json() == [told(at(f"form/{odd}")), told(at("form/deep/er/f")), told(at("form/crlf"))],
       "many files by their names, others are passed over", a)
    ok(read(at(f"form/{odd}")) == NOISE and read(at("form/deep/er/f")) == b"" and
       read(at("form/crlf")) == b"\r\n--\r\n------formdata-undici-01234567890\r\n\r" and
       not os.path.exists(at("form/no")), "their contents")
    ok([os.stat(at(f"form/{x}")).st_uid for x in (odd, "deep", "deep/er", "deep/er/f")] == 4 * [65534], "their owner")
    a = write_form(q(), body, Content_Type='Multipart/Form-Data; charset=x; boundary="----formdata-undici-012345678901"')
    ok(a.status == 200 and len(a.json()) == 3, "a boundary in quotes", a)
    a = write_form(q(), b"--b--", Content_Type="multipart/form-data; boundary=b")
    ok(a.status == 200 and a.json() == [], "no files at all", a)
    a = write_form(q(), form(("relative.txt", b"x")), Authorization="Basic " + base64.b64encode(b"root:").decode())
    ok(a.status == 200 and a.json()[0]["path"] == "/root/relative.txt", "a relative name is below the home", a)
    with contextlib.suppress(OSError):
        os.unlink("/root/relative.txt")
    ok(clean(at("form")), "nothing is left over", names(at("form")))


def form_splits(b):
    """multipart in odd pieces"""
    parts = [(at(f"split/{i}"), bytes(x for x in b"\r\n--" * i + b"\r\n------formdata-undici-01234567890" * i)) for i in range(6)]
    body = form(*parts)
    for sizes in ((1,), (2, 3), (7,), (len(body) - 1,), (61, 1, 1)):
        for name, _ in parts:
            with contextlib.suppress(OSError):
                os.unlink(name)
        a = write_form(q(), pieces(body, *sizes))
        ok(a.status == 200 and [x["path"] for x in a.json()] == [x[0] for x in parts] and
           all(read(name) == content for name, content in parts), f"chunks of {sizes}", a)
    s = socket.create_connection(("127.0.0.1", open_port))
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    s.sendall(f"POST /files HTTP/1.1\r\nHost: x\r\nContent-Type: {FORM}\r\nContent-Length: {len(body)}\r\n\r\n".encode())
    for piece in pieces(body, 5, 90):
        s.sendall(piece)
        time.sleep(0.001)
    ok(s.recv(1000).startswith(b"HTTP/1.1 200 "), "packets that follow each other slowly")
    s.sendall(f"POST /files HTTP/1.1\r\nHost: x\r\nContent-Type: {FORM}\r\nContent-Length: {len(body)}\r\n\r\n".encode() +
              body + b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
    got = b""
    while b"204" not in got and (piece := s.recv(1000)):
        got += piece
    ok(got.startswith(b"HTTP/1.1 200 ") and b"HTTP/1.1 204 " in got, "the next request is behind its end", got)
    s.close()


def form_fails(b):
    """multipart: what is refused"""
    put("ff/old", b"old")
    good = (at("ff/good"), b"x")
    for what, body in (("cut before its end", form((at("ff/old"), b"x"))[:-6]), ("no body", b""),
                       ("no boundary in it", b"x" * 100), ("cut in a head", form(good)[:60]),
                       ("rubbish behind a boundary", form(good).replace(b"901\r\n", b"901x\r\n", 1)),
                       ("a head that is none", form(good).replace(b"Content-Type:", b"Content-Type", 1)),
                       ("a head that does not end", b"------formdata-undici-012345678901\r\n" + b"x" * 10000),
                       ("an encoding", form(good).replace(b"Content-Type: a", b"Content-Transfer-Encoding: base64\r\nX: a", 1)),
                       ("no name", form((None, b"x"))), ("an empty name", form(("", b"x"))),
                       ("a directory", form((at("ff"), b"x"))), ("a name that is too long", form((at("n" * 256), b"x")))):
        a = write_form(q(), body)
        ok(a.fails(400), f"{what}: 400", a)
    ok(read(at("ff/old")) == b"old" and clean(at("ff")) and names(at("ff")) == ["old"], "none of them was written", names(at("ff")))
    a = write_form(q(), form((at("ff/a"), b"first"), (at("ff/b"), b"x"), (at("ff/../ff/./a"), b"second"), (at("ff/a"), b"third")))
    ok(a.fails(400, "multiple files to the same path") and read(at("ff/a")) == b"first", "one target twice", a)
    a = write_form(q(at("ff/one")), form(("x", b"1"), ("y", b"2")))
    ok(a.fails(400, "multiple files to the same path"), "and so are two parts for one path", a)
    a = write_form(q(), form((at("ff/g"), b"good"), (at("ff/g/x"), b"bad"), (at("ff/h"), NOISE)))
    ok(a.status == 400 and read(at("ff/g")) == b"good" and not os.path.exists(at("ff/h")), "what was in place before stays", a)
    ok(clean(at("ff")) and idle(b), "nothing is left over", names(at("ff")))


def form_many(b):
    """a form of very many files"""
    parts = [(at(f"many/{i % 7}/{i}"), b"%d" % i) for i in range(600)]
    began = time.monotonic()
    a = write_form(q(), form(*parts))
    took = time.monotonic() - began
    ok(a.status == 200 and [x["path"] for x in a.json()] == [x[0] for x in parts] and
       all(read(name) == content for name, content in parts), "600 files, told in their order", a)
    t.diag(f"600 small files in one form: {took * 1000 / 600:.2f} ms each")


# --- packed

def packed(b):
    """POST /files, Content-Encoding: gzip"""
    path = at("pack/f")
    for what, content in (("text", TEXT), ("noise", NOISE), ("nothing", b"")):
        a = write(q(path), gzip.compress(content, 1), Content_Encoding="gzip")
        ok(a.status == 200 and a.json() == [told(path)] and read(path) == content, what, a)
        a = write(q(path), pieces(gzip.compress(content, 1), 1000, 1, 70000), Content_Encoding="x-gzip")
        ok(a.status == 200 and read(path) == content, f"{what}, in chunks", a)
    members = gzip.compress(b"one ") + gzip.compress(b"") + gzip.compress(b"two")
    a = write(q(path), members, Content_Encoding="gzip")
    ok(a.status == 200 and read(path) == b"one two", "members one after the other", a)
    body = form((at("pack/a"), TEXT), (at("pack/b"), NOISE), (at("pack/c"), b""))
    a = write_form(q(), gzip.compress(body, 1), Content_Encoding="gzip")
    ok(a.status == 200 and a.json() == [told(at(f"pack/{x}")) for x in "abc"] and read(at("pack/a")) == TEXT and
       read(at("pack/b")) == NOISE, "a form", a)
    a = write_form(q(), pieces(gzip.compress(body, 1), 50000, 3), Content_Encoding="gzip")
    ok(a.status == 200 and len(a.json()) == 3, "a form, in chunks", a)
    a = write(q(path), gzip.compress(bytes(256 << 20), 1), Content_Encoding="gzip")
    ok(a.status == 200 and os.stat(path).st_size == 256 << 20, "much out of little", a)
    put("pack/f", b"old")
    whole = gzip.compress(NOISE, 1)
    for what, bad in (("cut", whole[:-1]), ("cut in the middle", whole[:len(whole) // 2]), ("nothing", b""),
                      ("no gzip", TEXT), ("a wrong sum", whole[:-8] + b"\1\2\3\4" + whole[-4:]),
                      ("a wrong length", whole[:-4] + b"\1\2\3\4"), ("rubbish behind it", whole + b"rubbish"),
                      ("broken within", whole[:1 << 20] + b"\xff" * 64 + whole[(1 << 20) + 64:])):
        a = write(q(path), bad, Content_Encoding="gzip")
        ok(a.fails(400, "gzip") and read(path) == b"old", f"{what}: 400, and nothing is changed", a)
        a = write_form(q(), bad, Content_Encoding="gzip")
        ok(a.status == 400, f"{what} as a form", a)
    a = write_form(q(), gzip.compress(form((at("pack/x"), TEXT))[:-6]), Content_Encoding="gzip")
    ok(a.fails(400, "boundar") and not os.path.exists(at("pack/x")), "a form that is cut before it was packed", a)
    ok(clean(at("pack")) and idle(b), "nothing is left over", names(at("pack")))


# --- putting together

def compose(b):
    """POST /files/compose"""
    def ask(**members):
        return call("POST", "/files/compose", json.dumps(members).encode(), Content_Type="application/json")

    for i in range(3):
        put(f"comp/{i}", b"%d" % i * 1000)
    os.symlink("2", at("comp/link"))
    a = ask(source_paths=[at("comp/0"), at("comp/1"), at("comp/link")], destination=at("comp/new/all"), username="nobody")
    ok(a.status == 200 and a.json() == told(at("comp/new/all")) and
       read(at("comp/new/all")) == b"0" * 1000 + b"1" * 1000 + b"2" * 1000, "three files are one", a)
    ok(os.stat(at("comp/new/all")).st_uid == 65534 and names(at("comp")) == ["2", "new"], "theirs; the sources are gone",
       names(at("comp")))
    put("comp/a", b"a")
    a = ask(sourcePaths=[at("comp/2"), at("comp/a")], destination=at("comp/a"))
    ok(a.status == 200 and read(at("comp/a")) == b"2" * 1000 + b"a", "into one of them", a)
    put("comp/b", b"b")
    for members, status in (({}, 400), ({"source_paths": [], "destination": at("comp/z")}, 400),
                            ({"source_paths": [at("comp/b")]}, 400), ({"source_paths": "x", "destination": "y"}, 400),
                            ({"source_paths": [1], "destination": at("comp/z")}, 400),
                            ({"source_paths": ["a\0b"], "destination": at("comp/z")}, 400),
                            ({"source_paths": [at("comp/b"), at("comp/none")], "destination": at("comp/z")}, 404),
                            ({"source_paths": [at("comp/b")], "destination": here}, 400),
                            ({"source_paths": [at("comp/b")], "destination": at("comp/z"), "username": "no-such"}, 401)):
        a = ask(**members)
        ok(a.fails(status), f"{str(members)[:80]}: {status}", a)
    a = call("POST", "/files/compose", b"", Content_Type="application/json")
    ok(a.fails(400), "no body", a)
    ok(read(at("comp/b")) == b"b" and not os.path.exists(at("comp/z")) and clean(at("comp")), "nothing was changed")


# --- who may

def signature(path, operation, user="", token=TOKEN, expires=None):
    text = f"{path}:{operation}:{user}:{token}" + (f":{expires}" if expires is not None else "")
    return "v1_" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")


def signatures(b):
    """the access token and signed addresses"""
    path, token = put("sign/f", b"secret"), {"X_Access_Token": TOKEN}

    def reads_(**params):
        return call("GET", q(path, **params), port=signed_port)

    a = call("GET", q(path), port=signed_port, **token)
    ok(a.status == 200 and a.body == b"secret", "with the token", a)
    a = call("POST", q(path), b"secret", port=signed_port, Content_Type=RAW, **token)
    ok(a.status == 200, "for writing", a)
    a = reads_()
    ok(a.fails(401, "missing signature query parameter"), "with nothing", a)
    began = time.monotonic()
    a = call("GET", q(path, signature=signature(path, "read")), port=signed_port, X_Access_Token="wrong")
    ok(a.fails(401, "access token") and time.monotonic() - began > 0.4, "with a wrong token, whatever the signature; late", a)
    now = int(time.time())
    for what, params, fault in (
            ("right", {"signature": signature(path, "read")}, None),
            ("right, for a user", {"signature": signature(path, "read", "root"), "username": "root"}, None),
            ("right, for a while", {"signature": signature(path, "read", expires=now + 60), "signature_expiration": now + 60}, None),
            ("for writing", {"signature": signature(path, "write")}, "invalid signature"),
            ("of another path", {"signature": signature(path + "x", "read")}, "invalid signature"),
            ("of another user", {"signature": signature(path, "read", "root")}, "invalid signature"),
            ("by another token", {"signature": signature(path, "read", token="x")}, "invalid signature"),
            ("without its expiry", {"signature": signature(path, "read", expires=now + 60)}, "invalid signature"),
            ("with a later expiry", {"signature": signature(path, "read", expires=now + 60), "signature_expiration": now + 61},
             "invalid signature"),
            ("expired", {"signature": signature(path, "read", expires=now - 1), "signature_expiration": now - 1},
             "signature is already expired"),
            ("empty", {"signature": ""}, "invalid signature")):
        a = reads_(**params)
        ok(a.status == 200 and a.body == b"secret" if fault is None else a.fails(401, fault), f"a signature: {what}", a)
    a = reads_(signature=signature(path, "read", expires="x"), signature_expiration="x")
    ok(a.fails(400, "signature_expiration"), "an expiry that is none", a)
    for target, body, kind, status in (
            (q(path, signature=signature(path, "write")), b"written", RAW, 200),
            (q(path, signature=signature(path, "read")), b"x", RAW, 401), (q(path), b"x", RAW, 401),
            (q(signature=signature("", "write")), form((path, b"as a form")), FORM, 200),
            (q(signature=signature(path, "write")), form((path, b"x")), FORM, 401),
            (q(path, username="nobody", signature=signature(path, "write", "nobody", expires=now + 60),
               signature_expiration=now + 60), b"written", RAW, 200)):
        a = call("POST", target, body, port=signed_port, Content_Type=kind)
        ok(a.status == status and (status == 200 or a.fails(401)), f"writing: {status}", a)
    ok(read(path) == b"written" and os.stat(path).st_uid == 65534, "what was allowed was done", read(path))
    a = call("POST", "/files/compose?" + urlencode({"signature": signature("", "write")}),
             json.dumps({"source_paths": [path], "destination": path + "2"}).encode(), port=signed_port)
    ok(a.fails(401) and os.path.exists(path), "putting together needs the token itself", a)
    ok(call("GET", q(path, signature="v1_x")).status == 200, "without a token nobody looks")


# --- when it gets narrow

def no_space(b):
    """a file system that is full"""
    inside = f"/proc/{b.init}/root{small}"
    with open(f"{inside}/old", "wb") as f:
        f.write(b"old")
    for what, a in (("as it is", write(q(f"{small}/old"), NOISE)),
                    ("of unknown size", write(q(f"{small}/old"), pieces(NOISE, 100000))),
                    ("out of gzip", write(q(f"{small}/old"), gzip.compress(bytes(64 << 20)), Content_Encoding="gzip")),
                    ("as a form", write_form(q(), form((f"{small}/old", NOISE)))),
                    ("second of a form", write_form(q(), form((f"{small}/new", b"x"), (f"{small}/old", NOISE), (f"{small}/z", b"z")))),
                    ("a form out of gzip", write_form(q(), gzip.compress(form((f"{small}/old", NOISE)), 1), Content_Encoding="gzip"))):
        ok(a.fails(507), f"{what}: 507", a)
    ok(read(f"{inside}/old") == b"old" and names(inside) == ["new", "old"] and idle(b), "what was there stays, nothing is left",
       names(inside))
    a = write(q(f"{small}/old"), b"fits")
    ok(a.status == 200 and read(f"{inside}/old") == b"fits", "and what fits is written")


def cuts(b):
    """uploads that are cut"""
    put("cut/f", b"old")
    body = form((at("cut/f"), NOISE), (at("cut/g"), NOISE))
    zipped = gzip.compress(NOISE, 1)
    for what, target, kind, sent, extra in (
            ("as it is", q(at("cut/f")), RAW, NOISE, ""), ("in a form", q(), FORM, body[:len(body) // 3], ""),
            ("packed", q(at("cut/f")), RAW, zipped[:1 << 20], "Content-Encoding: gzip\r\n"),
            ("before its content", q(at("cut/f")), RAW, b"", ""), ("before its first part", q(), FORM, b"", ""),
            ("a packed form", q(), FORM, gzip.compress(body, 1)[:1 << 20], "Content-Encoding: gzip\r\n")):
        for framing in (f"Content-Length: {len(sent) + 1000000}", "Transfer-Encoding: chunked"):
            s = socket.create_connection(("127.0.0.1", open_port))
            s.sendall(f"POST {target} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\n{extra}{framing}\r\n\r\n".encode())
            s.sendall(f"{len(sent):x}\r\n".encode() + sent if framing.endswith("chunked") and sent else sent)
            if sent:
                wait_for(lambda: workers(b) > 0)
            s.close()
            ok(idle(b) and read(at("cut/f")) == b"old" and names(at("cut")) == ["f"],
               f"{what}, {framing[:20]}: nothing is changed, nothing is left", names(at("cut")))


def large(b):
    """256 MiB in, in bounded memory"""
    channel = b.role("channel")
    block = random.Random(5).randbytes(1 << 20)
    head = form(("x", b"")).split(b"\r\n\r\n")[0] + b"\r\n\r\n"
    tail = b"\r\n------formdata-undici-012345678901--\r\n"
    chunks = [gzip.compress(block, 1)] * 256
    for what, kind, body, fields in (
            ("as it is", RAW, [block] * 256, {}), ("in a form", FORM, [head, *[block] * 256, tail], {}),
            ("text in a form", FORM, [head, *[TEXT[:1 << 20]] * 256, tail], {}),
            ("packed", RAW, chunks, {"Content_Encoding": "gzip"}),
            ("a packed form", FORM, [gzip.compress(head), *chunks, gzip.compress(tail)], {"Content_Encoding": "gzip"})):
        with open(f"/proc/{channel}/clear_refs", "w") as f:
            f.write("5")  # the peak begins again
        before = peak(channel)
        began = time.monotonic()
        a = call("POST", q(at("large")), iter(body), Content_Type=kind, **fields)
        took, grown = time.monotonic() - began, peak(channel) - before
        size = os.stat(at("large")).st_size if a.status == 200 else a
        ok(size == 256 << 20, f"{what}: all of it", size)
        ok(grown < 4096, f"{what}: the channel needs {grown} KiB more for it", grown)
        t.diag(f"{what}: {256 / took:.0f} MiB/s with this client")
    with open(at("large"), "rb") as f:
        ok(all(f.read(1 << 20) == block for _ in range(256)), "byte for byte")
    os.unlink(at("large"))


def peak(pid):
    with open(f"/proc/{pid}/status") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmHWM:"))


def together(b):
    """many at once"""
    wrong = []

    def client(i):
        mine = random.Random(i).randbytes(300000 + i)
        try:
            for turn in range(3):
                one, two, three = (at(f"tog/{i}/{turn}/{x}") for x in "abc")
                a = write_form(q(), pieces(form((one, mine), (two, mine[::-1])), 9999))
                z = write(q(three), gzip.compress(mine, 1), Content_Encoding="gzip")
                if a.status != 200 or z.status != 200 or read(one) != mine or read(two) != mine[::-1] or read(three) != mine:
                    wrong.append((i, a, z))
                if get(one).body != mine or gzip.decompress(get(three, Accept_Encoding="gzip").body) != mine:
                    wrong.append((i, "read"))
        except Exception as e:  # whatever the program under test has made of it
            wrong.append((i, e))

    threads = [threading.Thread(target=client, args=(i,)) for i in range(12)]
    for x in threads:
        x.start()
    for x in threads:
        x.join()
    ok(not wrong, "12 clients write and read", wrong)
    same = [threading.Thread(target=write, args=(q(at("tog/same")), bytes([65 + i]) * 200000)) for i in range(8)]
    for x in same:
        x.start()
    for x in same:
        x.join()
    got = read(at("tog/same"))
    ok(len(got) == 200000 and len(set(got)) == 1 and clean(at("tog")), "of eight for one path one wins, whole", set(got))
    stalled = [socket.create_connection(("127.0.0.1", open_port)) for _ in range(20)]
    for i, s in enumerate(stalled):
        s.sendall(f"POST /files HTTP/1.1\r\nHost: x\r\nContent-Type: {FORM}\r\nContent-Length: 1000000\r\n\r\n".encode() +
                  form((at(f"tog/stalled{i}"), b"x"))[:200])
    began = time.monotonic()
    ok(write(q(at("tog/f")), NOISE).status == 200 and get(at("tog/f")).body == NOISE, "those that stall hold nobody up",
       time.monotonic() - began)
    for s in stalled:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        s.close()
    ok(idle(b) and clean(at("tog")) and not [x for x in names(at("tog")) if x.startswith("stalled")], "and leave nothing",
       names(at("tog")))


ROWS = (reads, read_parts, read_fails, read_gzip, leavers, writes, write_fails, conditions, metadata, forms, form_splits,
        form_fails, form_many, packed, compose, signatures, no_space, cuts, large, together)
only = os.environ.get("ROWS", "").split()  # for a look at some of them
box = Box(t, f"[channel open]\ndialect = e2b\nlisten = tcp:127.0.0.1:{open_port}\n"
          f"[channel signed]\ndialect = e2b\nlisten = tcp:127.0.0.1:{signed_port}\ntoken = {TOKEN}\n", ["sleep", "900"],
          wrap=["sh", "-c", f"mount -t tmpfs -o size=2m none {small} && exec \"$@\"", "sh"])
if not t.ok(wait_for(lambda: box.status().get("ready")), "the box is there", box):
    t.done()
call("GET", "/health")
time.sleep(0.5)  # until that connection is closed
base = fds(box.init), fds(box.role("channel"))
rows(t, "e2b", [r for r in ROWS if not only or r.__name__ in only], box)
after = settled(lambda: (fds(box.init), fds(box.role("channel"))),
                lambda n: n[0] <= base[0] and n[1] <= base[1])
t.ok(after[0] <= base[0] and after[1] <= base[1], "no fd is left behind, in PID 1 or the channel", (base, after))
t.ok(not box.zombies() and box.status().get("role_restarts") == 0 and box.status().get("bugs") == 0,
     "no zombie, no bug, and the channel has survived all of it", (box.zombies(), box.status(), box))
stalled = [socket.create_connection(("127.0.0.1", open_port)) for _ in range(2)]
stalled[0].sendall(f"GET {q(put('end/f', NOISE * 20))} HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n".encode())
stalled[1].sendall(f"POST {q(at('end/g'))} HTTP/1.1\r\nHost: x\r\nContent-Type: {RAW}\r\nContent-Encoding: gzip\r\n"
                   "Content-Length: 1000\r\n\r\n".encode())
t.ok(wait_for(lambda: workers(box) == 4), "one reads and one writes, both through a filter", workers(box))
status, took = box.end()
t.ok(status == 143 and took < 3 and names(at("end")) == ["f"], "and do not hold up the end of the box", (status, took, box))
t.done()
