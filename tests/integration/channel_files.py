#!/usr/bin/env python3
"""Files, every row of docs/CHANNEL.md: over the unix socket of a PID 1 and over the TCP port of a
`pinnace run`."""
import email.utils
import io
import json
import os
import random
import signal
import stat
import tarfile
import threading
import time
from urllib.parse import quote, urlencode

from box import Box
from channel import Client, Wire, fds, free_port, rows, settled, tcp, tcp_section, unix
from tap import Tap, children, state, wait_for

t = Tap()
os.chmod(t.dir, 0o755)
NOISE = random.Random(7).randbytes(3 << 20)
how, here = "", ""


def ok(cond, name, diag=""):
    return t.ok(cond, f"{how}: {name}", diag)


def at(name):
    return f"{here}/{name}"


def put(name, content=b"", mode=0o644):
    os.makedirs(os.path.dirname(at(name)), exist_ok=True)
    with open(at(name), "wb") as f:
        f.write(content)
    os.chmod(at(name), mode)
    return at(name)


def read(name):
    try:
        with open(at(name), "rb") as f:
            return f.read()
    except OSError as e:
        return e


def q(route, path=None, **params):
    """/v1/ROUTE?path=...&..."""
    if path is not None:
        params = {"path": path, **params}
    return f"/v1/{route}?{urlencode(params, quote_via=quote)}"


def lines(answer):
    return [json.loads(x) for x in answer.body.splitlines()]


def workers(b):
    """How many processes the channel has below it."""
    return len(children(b.role("channel")))


# --- contents

def gets(b, c):
    """GET /v1/files"""
    path = put("get/a b\u00fc.txt", b"0123456789")
    os.utime(path, (1e9, 1e9 + 0.5))
    a = c.get(q("files", path))
    ok(a.status == 200 and a.body == b"0123456789" and a.fields["content-length"] == "10" and
       a.fields["content-type"] == "text/plain; charset=utf-8" and a.fields["accept-ranges"] == "bytes",
       "the content, with a type by its name", a)
    ok(email.utils.parsedate_to_datetime(a.fields["last-modified"]).timestamp() == 1e9, "Last-Modified", a)
    etag = a.fields["etag"]
    a = c.call("HEAD", q("files", path))
    ok(a.status == 200 and a.body == b"" and a.fields["content-length"] == "10" and
       a.fields["etag"] == etag, "HEAD", a)
    for field, status, body in (("bytes=2-4", 206, b"234"), ("bytes=7-", 206, b"789"), ("bytes=-2", 206, b"89"),
                                ("bytes=0-99", 206, b"0123456789"), ("bytes=1-2,4-5", 200, b"0123456789"),
                                ("lines=1-2", 200, b"0123456789"), ("bytes=10-", 416, None)):
        a = c.get(q("files", path), Range=field)
        ok(a.status == status and (body is None or a.body == body), f"Range: {field}", a)
        ok((a.fields.get("content-range") or "").endswith("/10") == (status != 200) and
           (body is not None or a.error == "range"), f"Content-Range of {field}", a)
    for fields, status in (({"If_None_Match": etag}, 304), ({"If_None_Match": f'"x", W/{etag}'}, 304),
                           ({"If_None_Match": '"x"'}, 200), ({"If_Match": '"x"'}, 412),
                           ({"If_Modified_Since": "Sun, 09 Sep 2001 01:46:40 GMT"}, 304),
                           ({"If_Modified_Since": "Sun, 09 Sep 2001 01:46:39 GMT"}, 200),
                           ({"If_Range": etag, "Range": "bytes=1-1"}, 206),
                           ({"If_Range": '"x"', "Range": "bytes=1-1"}, 200),
                           ({"If_Range": "Sun, 09 Sep 2001 01:46:40 GMT", "Range": "bytes=1-1"}, 206)):
        a = c.get(q("files", path), **fields)
        ok(a.status == status and (status != 304 or a.fields["etag"] == etag), f"{fields}", a)
    a = c.get(q("files", put("get/empty")))
    ok(a.status == 200 and a.body == b"" and a.fields["content-length"] == "0", "an empty file", a)
    a = c.get(q("files", put("get/empty")), Range="bytes=0-")
    ok(a.status == 200, "a range of an empty file", a)
    a = c.get(q("files", "/proc/self/mountinfo"))
    ok(a.status == 200 and len(a.body) == int(a.fields["content-length"]) > 10, "a file of /proc", a)
    a = c.get(q("files", put("get/noise", NOISE)))
    ok(a.status == 200 and a.body == NOISE, "3 MiB", len(a.body))
    a = c.get(q("files", at("get/noise")), Range=f"bytes=1000000-{len(NOISE) - 2}")
    ok(a.status == 206 and a.body == NOISE[1000000:-1], "most of them", len(a.body))


def get_fails(b, c):
    """GET /v1/files: what it refuses"""
    path = put("gf/f", b"x", 0o600)
    os.mkfifo(at("gf/fifo"))
    os.symlink("loop", at("gf/loop"))
    for bad, status, code in ((at("gf/none"), 404, "not_found"), (at("gf"), 409, "state"),
                              (at("gf/f/x"), 409, "state"), (at("gf/fifo"), 400, "invalid"),
                              (at("gf/loop"), 400, "invalid"), ("~other/x", 400, "invalid"),
                              (at("gf/" + "n" * 300), 400, "invalid"), ("n" * 4100, 400, "invalid")):
        a = c.get(q("files", bad))
        ok((a.status, a.error) == (status, code) and a.fields["content-type"] == "application/json",
           f"{bad[-20:]}: {status}", a)
    a = c.get(q("files", at("gf/none")))
    ok(at("gf/none") in a.json()["error"]["message"], "the message names the path", a)
    a = c.get(q("files", at("gf/f"), user="nobody"))
    ok((a.status, a.error) == (403, "permission"), "as somebody who may not read it", a)
    a = c.get(q("files", at("gf/f"), user="no-such"))
    ok((a.status, a.error) == (400, "invalid"), "as nobody that is known", a)
    for target in ("/v1/files", q("files", path, x=1), "/v1/files?path=%00", "/v1/files?path=%zz",
                   q("list", "/", depth=0), q("list", "/", depth=257), q("list", "/", depth="x"),
                   q("tar", "/", contents=2)):
        a = c.get(target)
        ok((a.status, a.error) == (400, "invalid"), target[:60], a)
    ok(c.post("/v1/files").status == 405, "another method")
    a = c.get(q("files", "f", user="root"))
    ok(a.status == 404 and "/root/f" in a.body.decode(), "a relative path is below the home", a)


def puts(b, c):
    """PUT /v1/files"""
    os.makedirs(at("put"))
    a = c.call("PUT", q("files", at("put/f")), b"hello")
    ok(a.status == 201 and read("put/f") == b"hello" and a.json()["size"] == 5 and
       a.json()["mode"] == 0o644 and a.json()["path"] == at("put/f"), "a new file: 201", a)
    etag = a.fields["etag"]
    ok(c.get(q("files", at("put/f"))).fields["etag"] == etag, "its ETag is told", a)
    os.chmod(at("put/f"), 0o4711)
    os.chown(at("put/f"), 12, 13)
    os.chmod(at("put/f"), 0o4711)
    a = c.call("PUT", q("files", at("put/f")), b"")
    st = os.stat(at("put/f"))
    ok(a.status == 200 and read("put/f") == b"" and (st.st_uid, st.st_gid) == (12, 13) and
       stat.S_IMODE(st.st_mode) == 0o4711, "replaced: 200, mode and owner stay", a)
    a = c.call("PUT", q("files", at("put/f")), b"x", If_None_Match="*")
    ok((a.status, a.error) == (412, "precondition") and read("put/f") == b"", "only a new one", a)
    a = c.call("PUT", q("files", at("put/f")), b"x", If_Match=etag)
    ok((a.status, a.error) == (412, "precondition") and read("put/f") == b"", "only that version", a)
    etag = c.get(q("files", at("put/f"))).fields["etag"]
    a = c.call("PUT", q("files", at("put/f")), b"match", If_Match=etag)
    ok(a.status == 200 and read("put/f") == b"match", "which it is", a)
    a = c.call("PUT", q("files", at("put/new/dir/f"), parents=1, mode="0600"), b"deep")
    ok(a.status == 201 and read("put/new/dir/f") == b"deep" and a.json()["mode"] == 0o600, "parents, mode", a)
    os.symlink("f", at("put/link"))
    a = c.call("PUT", q("files", at("put/link")), b"through")
    ok(a.status == 200 and read("put/f") == b"through" and os.path.islink(at("put/link")) and
       a.json()["type"] == "symlink" and a.json()["target"] == "f", "through a link", a)
    a = c.call("PUT", q("files", at("put/noise")), NOISE)
    ok(a.status == 201 and read("put/noise") == NOISE, "3 MiB", a)
    wire = Wire(c.connect())
    wire.sock.sendall(c.head("PUT", q("files", at("put/chunked")), {"Transfer-Encoding": "chunked"}, None))
    for at_ in range(0, len(NOISE), 70001):
        piece = NOISE[at_:at_ + 70001]
        wire.sock.sendall(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
    wire.sock.sendall(b"0\r\n\r\n")
    ok(wire.head()[0] == 201 and read("put/chunked") == NOISE, "chunks")
    wire.sock.close()
    wire = Wire(c.connect())
    wire.sock.sendall(c.head("PUT", q("files", at("put/expect")), {"Expect": "100-continue",
                                                                    "Content-Length": 2}, None))
    ok(wire.head()[0] == 100, "Expect: 100-continue")
    wire.sock.sendall(b"ok")
    ok(wire.head()[0] == 201 and read("put/expect") == b"ok", "goes on")
    wire.sock.close()
    os.makedirs(at("put/theirs"))
    os.chown(at("put/theirs"), 65534, 65534)
    a = c.call("PUT", q("files", at("put/theirs/f"), user="nobody"), b"x")
    ok(a.status == 201 and a.json()["owner"] == "nobody" and os.stat(at("put/theirs/f")).st_uid == 65534,
       "as a user: the file is theirs", a)
    a = c.call("PUT", q("files", at("put/f"), user="nobody"), NOISE)
    ok((a.status, a.error) == (403, "permission") and read("put/f") == b"through", "or 403", a)
    for target, fields, status, code in (
            (q("files", at("put")), {}, 409, "state"), (q("files", at("put/no/such")), {}, 404, "not_found"),
            (q("files", at("put/f"), mode="99"), {}, 400, "invalid"),
            (q("files", at("put/f"), mode="10644"), {}, 400, "invalid"),
            (q("files", at("put/f")), {"If_None_Match": '"x"'}, 400, "invalid"),
            (q("files", at("put/f"), upload="u"), {}, 400, "invalid"),
            (q("files", at("put/f")), {"Content_Range": "bytes 0-0/2"}, 400, "invalid"),
            ("/v1/files?path=/proc/x", {}, 404, "not_found"), ("/v1/files", {}, 400, "invalid")):
        a = c.call("PUT", target, b"x", **fields)
        ok((a.status, a.error) == (status, code), f"{target[-30:]} {fields}: {status}", a)
    ok(sorted(x for x in os.listdir(at("put")) if x.startswith(".")) == [], "nothing is left over")


def cuts(b, c):
    """PUT /v1/files, cut"""
    put("cut/f", b"old")
    for sent, fields in ((NOISE[:1 << 20], {"Content-Length": len(NOISE)}),
                         (b"5\r\nhello\r\n", {"Transfer-Encoding": "chunked"}),
                         (b"", {"Content-Length": 5})):
        s = c.connect()
        s.sendall(c.head("PUT", q("files", at("cut/f")), fields, None) + sent)
        wait_for(lambda: workers(b) > 0)
        s.close()
        left = settled(lambda: workers(b), lambda n: n == 0)
        ok(read("cut/f") == b"old" and os.listdir(at("cut")) == ["f"] and left == 0,
           f"a client that goes after {len(sent)} bytes changes nothing, leaves nothing",
           (os.listdir(at("cut")), left))


def parts(b, c):
    """PUT with Content-Range"""
    os.makedirs(at("up"))
    size, step = len(NOISE), 1 << 20

    def part(first, content, total=size, upload="u-1", name="f"):
        return c.call("PUT", q("files", at(f"up/{name}"), upload=upload), content,
                      Content_Range=f"bytes {first}-{first + len(content) - 1}/{total}")

    a = part(0, NOISE[:step])
    ok(a.status == 202 and a.json() == {"done": step, "total": size}, "a first part: 202", a)
    a = part(2 * step, NOISE[2 * step:])
    ok((a.status, a.error) == (416, "range"), "a gap: 416", a)
    a = part(step, NOISE[step:2 * step], total=size + 1)
    ok((a.status, a.error) == (416, "range"), "another total: 416", a)
    a = c.call("PUT", q("files", at("up/f"), upload="u-1"), b"", Content_Range=f"bytes */{size}")
    ok(a.status == 202 and a.json() == {"done": step, "total": size}, "how far is it?", a)
    a = part(step, NOISE[step:2 * step])
    ok(a.status == 202 and not os.path.exists(at("up/f")), "a second part", a)
    a = part(2 * step, NOISE[2 * step:])
    ok(a.status == 201 and read("up/f") == NOISE and os.listdir(at("up")) == ["f"],
       "the last: 201, in place, nothing left", a)
    part(0, b"ab", total=4, name="g")
    a = c.delete(q("files", at("up/g"), upload="u-1"))
    ok(a.status == 204 and os.listdir(at("up")) == ["f"], "given up", a)
    a = c.call("PUT", q("files", at("up/g"), upload="u/1"), b"ab", Content_Range="bytes 0-1/4")
    ok((a.status, a.error) == (400, "invalid"), "a bad name", a)
    a = c.call("PUT", q("files", at("up/g"), upload="u"), b"abc", Content_Range="bytes 0-1/4")
    ok((a.status, a.error) == (400, "invalid"), "a body of another length", a)


# --- trees

def deletes(b, c):
    """DELETE /v1/files"""
    put("del/d/e/f")
    put("del/f")
    ok(c.delete(q("files", at("del/f"))).status == 204 and not os.path.exists(at("del/f")), "a file")
    a = c.delete(q("files", at("del/f")))
    ok((a.status, a.error) == (404, "not_found"), "once", a)
    ok(c.delete(q("files", at("del/f"), missing=1)).status == 204, "missing=1")
    a = c.delete(q("files", at("del/d")))
    ok((a.status, a.error) == (409, "state"), "not a directory that is not empty", a)
    os.symlink("/etc", at("del/d/etc"))
    a = c.delete(q("files", at("del/d"), recursive=1))
    ok(a.status == 204 and not os.path.exists(at("del/d")) and os.path.exists("/etc/passwd"), "a tree", a)
    a = c.delete(q("files", "/", recursive=1))
    ok((a.status, a.error) == (400, "invalid"), "not everything", a)


def looks(b, c):
    """GET /v1/stat and /v1/list"""
    put("look/f", b"abc", 0o4640)
    os.utime(at("look/f"), (1e9, 1e9 + 0.25))
    os.symlink("no\nwhere\"", at("look/link"))
    os.makedirs(at("look/d/e"))
    os.mkfifo(at("look/fifo"))
    a = c.get(q("stat", at("look/f")))
    ok(a.status == 200 and a.json() == {
        "path": at("look/f"), "name": "f", "type": "file", "size": 3, "mode": 0o4640, "uid": 0, "gid": 0,
        "owner": "root", "group": "root", "mtime_ms": 1000000000250}, "an entry", a)
    a = c.get(q("stat", at("look/link")))
    ok(a.json()["type"] == "symlink" and a.json()["target"] == "no\nwhere\"", "a link is not followed", a)
    ok(c.get(q("stat", "/dev/null")).json()["type"] == "char", "a device")
    ok(c.get(q("stat", at("look/none"))).error == "not_found", "nothing there")
    a = c.get(q("list", at("look")))
    ok(a.status == 200 and a.fields["content-type"] == "application/x-ndjson" and
       [(x["name"], x["type"]) for x in lines(a)] ==
       [("d", "dir"), ("f", "file"), ("fifo", "fifo"), ("link", "symlink")], "a list", a)
    a = c.get(q("list", at("look"), depth=2))
    ok([x["name"] for x in lines(a)] == ["d", "d/e", "f", "fifo", "link"] and
       lines(a)[1]["path"] == at("look/d/e"), "two deep", a)
    a = c.get(q("list", at("look/f")))
    ok((a.status, a.error) == (409, "state"), "a file has no list", a)
    for i in range(5000):
        os.mkdir(f"{at('look/d/e')}/{i:05d}-{'x' * 100}")
    a = c.get(q("list", at("look/d/e")))
    ok([x["name"] for x in lines(a)] == [f"{i:05d}-{'x' * 100}" for i in range(5000)], "5000, in order",
       len(a.body))


def acts(b, c):
    """POST /v1/mkdir, move, copy, chmod"""
    os.makedirs(at("act"))
    a = c.post("/v1/mkdir", {"path": at("act/a/b")})
    ok((a.status, a.error) == (404, "not_found"), "mkdir without its parents", a)
    a = c.post("/v1/mkdir", {"path": at("act/a/b"), "parents": True, "mode": "0700"})
    ok(a.status == 201 and a.json()["type"] == "dir" and a.json()["mode"] == 0o700, "with them: 201", a)
    a = c.post("/v1/mkdir", {"path": at("act/a/b"), "parents": True})
    ok(a.status == 200, "again: 200", a)
    a = c.post("/v1/mkdir", {"path": at("act/a/b")})
    ok((a.status, a.error) == (409, "exists"), "or 409", a)
    put("act/f", b"f")
    put("act/g", b"g")
    a = c.post("/v1/move", {"from": at("act/f"), "to": at("act/g")})
    ok((a.status, a.error) == (409, "exists") and read("act/g") == b"g", "move onto another", a)
    a = c.post("/v1/move", {"from": at("act/f"), "to": at("act/g"), "replace": True})
    ok(a.status == 200 and read("act/g") == b"f" and a.json()["path"] == at("act/g"), "replace", a)
    a = c.post("/v1/copy", {"from": at("act/a"), "to": at("act/c")})
    ok(a.status == 200 and os.path.isdir(at("act/c/b")) and a.json()["name"] == "c", "copy a tree", a)
    a = c.post("/v1/copy", {"from": at("act/a"), "to": at("act/a/b/c")})
    ok((a.status, a.error) == (400, "invalid"), "into itself", a)
    put("act/c/b/f")
    a = c.post("/v1/chmod", {"path": at("act/c"), "mode": "0755", "owner": "nobody", "recursive": True})
    ok(a.status == 200 and a.json()["owner"] == "nobody" and os.stat(at("act/c/b/f")).st_uid == 65534 and
       os.stat(at("act/c/b/f")).st_mode & 0o777 == 0o755, "chmod of a tree", a)
    a = c.post("/v1/move", {"from": at("act/g"), "to": at("act/c/g"), "user": "nobody"})
    ok((a.status, a.error) == (403, "permission"), "as a user", a)
    for route, body in (("mkdir", {}), ("mkdir", None), ("mkdir", {"path": 5}), ("mkdir", {"path": "a\0b"}),
                        ("mkdir", {"path": "/x", "mode": 0o755}), ("mkdir", {"path": "/x", "mode": "8"}),
                        ("mkdir", {"path": "/x", "parents": 1}), ("mkdir", {"path": "/x", "what": 1}),
                        ("mkdir", {"path": "/x", "to": "/y"}), ("move", {"from": "/x"}), ("mkdir", []),
                        ("copy", {"to": "/x"}), ("chmod", {"mode": "0755"})):
        a = c.post(f"/v1/{route}", body)
        ok((a.status, a.error) == (400, "invalid"), f"{route} {body}", a)


# --- archives

def tars(b, c):
    """GET and PUT /v1/tar"""
    put("tar/d/noise", NOISE, 0o640)
    put("tar/d/sub/" + "n" * 120, b"long name")
    os.symlink("/nowhere", at("tar/d/link"))
    os.utime(at("tar/d/noise"), (1e9, 1e9 + 0.5))
    a = c.get(q("tar", at("tar/d")))
    with tarfile.open(fileobj=io.BytesIO(a.body)) as f:
        names = f.getnames()
        noise = f.getmember("d/noise")
        ok(a.status == 200 and a.fields["content-type"] == "application/x-tar" and
           names == ["d", "d/link", "d/noise", "d/sub", "d/sub/" + "n" * 120], "a tree", names)
        ok(f.extractfile(noise).read() == NOISE and noise.mode == 0o640 and noise.mtime == 1e9 + 0.5 and
           noise.uname == "root", "whole", noise.get_info())
    archive = a.body
    a = c.get(q("tar", at("tar/d"), contents=1))
    with tarfile.open(fileobj=io.BytesIO(a.body)) as f:
        ok(f.getnames() == ["link", "noise", "sub", "sub/" + "n" * 120], "its contents", f.getnames())
    a = c.call("PUT", q("tar", at("tar/new/place"), parents=1), archive)
    ok(a.status == 204 and read("tar/new/place/d/noise") == NOISE and
       os.readlink(at("tar/new/place/d/link")) == "/nowhere" and
       os.stat(at("tar/new/place/d/noise")).st_mtime == 1e9 + 0.5, "and in again", a)

    def made(*members):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as f:
            for name, kind, target, content in members:
                info = tarfile.TarInfo(name)
                info.type, info.linkname, info.size, info.uid = kind, target, len(content), 12
                f.addfile(info, io.BytesIO(content))
        return out.getvalue()

    put("tar/outside", b"keep")
    os.makedirs(at("tar/p"))
    for name, members in (("..", [("../outside", b"0", "", b"evil")]),
                          ("a link", [("l", b"2", "..", b""), ("l/outside", b"0", "", b"evil")]),
                          ("a hard link", [("h", b"1", "../outside", b"")])):
        a = c.call("PUT", q("tar", at("tar/p")), made(*members))
        ok(a.status in (400, 409) and read("tar/outside") == b"keep" and
           os.stat(at("tar/outside")).st_nlink == 1, f"not out of its place by {name}", a)
    a = c.call("PUT", q("tar", at("tar/p"), owners=1), made(("owned", b"0", "", b"x")))
    ok(a.status == 204 and os.stat(at("tar/p/owned")).st_uid == 12, "owners=1", a)
    a = c.call("PUT", q("tar", at("tar/p")), made(("mine", b"0", "", b"x")))
    ok(a.status == 204 and os.stat(at("tar/p/mine")).st_uid == 0, "or the user's", a)
    a = c.call("PUT", q("tar", at("tar/p")), b"no archive" * 100)
    ok((a.status, a.error) == (400, "invalid"), "no archive", a)
    a = c.call("PUT", q("tar", at("tar/p")), archive[:100000])
    ok((a.status, a.error) == (400, "invalid") and not os.path.exists(at("tar/p/d/noise")),
       "half an archive leaves no half file", a)
    a = c.get(q("tar", at("tar/none")))
    ok((a.status, a.error) == (404, "not_found"), "nothing there", a)
    put("tar/closed/a")
    put("tar/closed/b", NOISE, 0o600)
    try:
        a = c.get(q("tar", at("tar/closed"), user="nobody"))
        ok(False, "what may not be read cuts the archive", a)
    except (OSError, Exception):  # Broken
        ok(True, "what may not be read cuts the archive")


# --- watches

class Watch:
    def __init__(self, c, target):
        self.c = Client(c.address, timeout=c.timeout)
        self.c.fields = c.fields
        self.wire, self.answer = self.c.ask("GET", target)
        self.pieces = self.wire.chunks()
        self.text, self.events = b"", []

    def until(self, **want):
        """Read on until there is such an event."""
        try:
            while not (found := [e for e in self.events if all(e.get(k) == v for k, v in want.items())]):
                self.text += next(self.pieces)
                *whole, self.text = self.text.split(b"\n")
                self.events += [json.loads(x) for x in whole]
            return found[0]
        except (OSError, StopIteration):
            return None

    def close(self):
        self.c.close()


def watches(b, c):
    """GET /v1/watch"""
    os.makedirs(at("watch/d"))
    w = Watch(c, q("watch", at("watch"), recursive=1))
    ok(w.answer.status == 200 and w.until(event="watching") == {"event": "watching"} and
       len(w.events) == 1, "the first event", (w.answer, w.events))
    put("watch/d/f", b"x")
    ok(w.until(event="create", path=at("watch/d/f"), type="file") and
       w.until(event="write", path=at("watch/d/f")), "create, write", w.events)
    os.chmod(at("watch/d/f"), 0o600)
    ok(w.until(event="chmod", path=at("watch/d/f")), "chmod", w.events)
    os.rename(at("watch/d"), at("watch/e"))
    ok(w.until(event="rename", path=at("watch/d"), type="dir") and
       w.until(event="create", path=at("watch/e/f")), "rename", w.events)
    os.unlink(at("watch/e/f"))
    ok(w.until(event="remove", path=at("watch/e/f")), "remove", w.events)
    c.call("PUT", q("files", at("watch/put")), b"x")
    ok(w.until(event="create", path=at("watch/put")) and not any(".pinnace-" in str(e) for e in w.events),
       "a PUT, without its temporary file", w.events)
    w.close()
    ok(settled(lambda: workers(b), lambda n: n == 0) == 0, "its process goes with the client")
    a = c.get(q("watch", at("watch/put")))
    ok((a.status, a.error) == (409, "state"), "a file", a)
    w = [Watch(c, q("watch", at("watch"))) for _ in range(64)]
    a = c.get(q("watch", at("watch")))
    ok((a.status, a.error) == (429, "limit"), "64 at once are enough", a)
    ok(c.get(q("stat", at("watch"))).status == 200, "and do not hold up others")
    for x in w:
        x.close()
    ok(settled(lambda: workers(b), lambda n: n == 0) == 0, "they go, too")


# --- many, and those that go

def leavers(b, c):
    """clients that go"""
    put("leave/f", b"")
    os.truncate(at("leave/f"), 1 << 30)
    put("leave/g", b"g" * 5000000)
    for route in ("files", "tar"):
        socks = []
        for _ in range(20):
            s = c.connect()
            s.sendall(c.head("GET", q(route, at("leave/f")), {}, None))
            socks.append(s)
        for s in socks:
            s.recv(1000)
        for s in socks:
            s.close()
        ok(settled(lambda: workers(b), lambda n: n == 0) == 0, f"20 in the middle of a {route}")
    s = c.connect()
    s.sendall(c.head("POST", "/v1/copy", {"Content-Type": "application/json"},
                     (body := json.dumps({"from": at("leave/g"), "to": at("leave/copy")}).encode())) + body)
    s.close()
    ok(settled(lambda: workers(b), lambda n: n == 0) == 0 and
       sorted(os.listdir(at("leave"))) in (["f", "g"], ["copy", "f", "g"]), "before a copy is done",
       os.listdir(at("leave")))
    os.unlink(at("leave/f"))


def orphans(b, c):
    """workers whose channel has gone"""
    os.makedirs(at("orphan"))
    s = c.connect()
    s.sendall(c.head("PUT", q("files", at("orphan/f")), {"Content-Length": len(NOISE)}, None) + NOISE[:1 << 20])
    w = Watch(c, q("watch", at("orphan")))
    role = b.role("channel")
    wait_for(lambda: workers(b) == 2)
    below = children(role)
    os.kill(role, signal.SIGKILL)
    gone = settled(lambda: [p for p in below if state(p) not in (None, "Z", "X")], lambda x: not x)
    ok(len(below) == 2 and not gone and os.listdir(at("orphan")) == [],
       "end, and leave nothing", (below, gone, os.listdir(at("orphan"))))
    s.close()
    w.close()
    c.close()
    ok(wait_for(lambda: b.role("channel") not in (None, role)) and
       c.get(q("stat", at("orphan"))).status == 200, "the next channel goes on")


def many(b, c):
    """many at once"""
    for i in range(100):
        put(f"many/{i}", str(i).encode())
    wrong = []

    def one(k):
        own = Client(c.address, timeout=30)
        own.fields = c.fields
        for i in range(k, 100, 10):
            a = own.get(q("files", at(f"many/{i}")))
            p = own.call("PUT", q("files", at(f"many/{i}")), b"new")
            s = own.get(q("stat", at(f"many/{i}")))
            if (a.body, p.status, s.json()["size"]) != (str(i).encode(), 200, 3):
                wrong.append((a, p, s))
        own.close()

    threads = [threading.Thread(target=one, args=(k,)) for k in range(10)]
    for x in threads:
        x.start()
    for x in threads:
        x.join()
    ok(not wrong, "300 requests by 10 clients", wrong[:2])
    s = c.connect()
    text = b"".join(c.head("GET", q("stat", at(f"many/{i}")), {}, None) for i in range(50))
    s.sendall(text)
    wire, names = Wire(s), []
    for _ in range(50):
        got = wire.head()
        names.append(json.loads(b"".join(wire.body(*got, "GET")))["name"])
    s.close()
    ok(names == [str(i) for i in range(50)], "50 in a pipeline, in order", names)


def speed(b, c):
    """throughput"""
    size = 256 << 20
    path = put("speed/f", b"")
    os.truncate(path, size)
    with open(path, "rb") as f:  # into the page cache
        while f.read(1 << 20):
            pass
    s = c.connect()
    began = time.monotonic()
    s.sendall(c.head("GET", q("files", path), {}, None))
    wire = Wire(s)
    wire.head()
    buf, left = bytearray(1 << 20), size - len(wire.have)
    wire.have.clear()
    while left > 0 and (n := s.recv_into(buf)):
        left -= n
    took = time.monotonic() - began
    ok(left == 0, "256 MiB out", left)
    t.diag(f"{how}: GET {size / took / 2 ** 20:.0f} MiB/s")
    began = time.monotonic()
    s.sendall(c.head("PUT", q("files", at("speed/g")), {"Content-Length": size}, None))
    zeros = memoryview(bytes(1 << 20))
    for _ in range(size >> 20):
        s.sendall(zeros)
    ok(wire.head()[0] == 201 and os.stat(at("speed/g")).st_size == size, "and in")
    t.diag(f"{how}: PUT {size / (time.monotonic() - began) / 2 ** 20:.0f} MiB/s, with fsync")
    s.close()
    c.delete(q("files", at("speed"), recursive=1))


ROWS = (gets, get_fails, puts, cuts, parts, deletes, looks, acts, tars, watches, leavers, many, speed,
        orphans)
only = os.environ.get("ROWS", "").split()  # for a look at some of them
for pid1, how in ((True, "unix, PID 1"), (False, "tcp, run")):
    port = free_port()
    here = f"{t.dir}/{'unix' if pid1 else 'tcp'}"
    os.mkdir(here)
    restarts = int(not only or "orphans" in only)
    b = Box(t, tcp_section(port), ["sleep", "600"], pid1=pid1)
    c = unix(b) if pid1 else tcp(port)
    if not t.ok(wait_for(lambda: b.status().get("ready")), f"{how}: the box is there", b):
        t.done()
    c.get("/livez")
    base = fds(b.init), fds(b.role("channel"))
    rows(t, how, [r for r in ROWS if not only or r.__name__ in only], b, c)
    c.close()
    c.get("/livez")
    after = settled(lambda: (fds(b.init), fds(b.role("channel"))), lambda n: n == base)
    t.ok(after == base, f"{how}: no fd is left behind, in PID 1 or the channel", (base, after))
    t.ok(not b.zombies() and b.status().get("role_restarts") == restarts and b.status().get("bugs") == 0,
         f"{how}: no zombie, no bug, and the channel has survived all but being killed",
         (b.zombies(), b.status(), b))
    b.kill()
t.done()
