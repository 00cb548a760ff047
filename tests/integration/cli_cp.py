#!/usr/bin/env python3
"""cp, ls, cat: files into the box and out of it, by docker's rules; archives that mean harm."""
import io
import json
import os
import signal
import stat
import subprocess
import tarfile
import time

from box import Box
from cli import Cli
from tap import Tap, wait_for

t = Tap()
b = Box(t, "", ["sleep", "1000"])
c = Cli(b)
if not t.ok(b.wait_ready(), "the box is ready", b):
    t.done()
made = 0


def fresh():
    """Two empty directories: here, and there as the box sees it (the same file system)."""
    global made
    made += 1
    pair = [os.path.join(t.dir, f"{side}{made}") for side in ("here", "there")]
    for d in pair:
        os.mkdir(d)
    return pair


def write(path, content="x", mode=0o644):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(content if isinstance(content, bytes) else content.encode())
    os.chmod(path, mode)


def tree(path):
    """{relative name: what it is} of all below path; a file or link itself is ''."""
    def one(p):
        st = os.lstat(p)
        if stat.S_ISLNK(st.st_mode):
            return "-> " + os.readlink(p)
        if stat.S_ISDIR(st.st_mode):
            return "dir"
        if stat.S_ISREG(st.st_mode):
            with open(p, "rb") as f:
                return f.read()
        return "other"
    if not os.path.isdir(path) or os.path.islink(path):
        return {"": one(path)} if os.path.lexists(path) else {}
    return {os.path.relpath(os.path.join(top, n), path): one(os.path.join(top, n))
            for top, dirs, files in os.walk(path) for n in dirs + files}


def example(root):
    write(f"{root}/f", b"file\n", 0o755)
    write(f"{root}/d/g", b"deep", 0o640)
    write(f"{root}/d/e/h", b"")
    os.makedirs(f"{root}/d/empty")
    os.symlink("g", f"{root}/d/rel")
    os.symlink("/nowhere", f"{root}/d/abs")
    os.symlink("d", f"{root}/ld")
    os.symlink("f", f"{root}/lf")
    return {"g": b"deep", "e": "dir", "e/h": b"", "empty": "dir", "rel": "-> g",
            "abs": "-> /nowhere"}


# --- where it goes: SRC, what is there before, DST, status, what is there after (D: the tree of d)
D = "D"
RULES = (
    ("f", {}, "new", 0, {"new": b"file\n"}),
    ("f", {"old": b"old"}, "old", 0, {"old": b"file\n"}),
    ("f", {"dir/": ""}, "dir", 0, {"dir": "dir", "dir/f": b"file\n"}),
    ("f", {"dir/": ""}, "dir/", 0, {"dir": "dir", "dir/f": b"file\n"}),
    ("f", {"dir/": ""}, "dir/new", 0, {"dir": "dir", "dir/new": b"file\n"}),
    ("f", {}, "no/", 1, {}), ("f", {}, "no/new", 1, {}),
    ("f/", {}, "new", 1, {}),
    ("f", {"to/": "", "link": "-> to"}, "link", 0, {"to": "dir", "link": "-> to", "to/f": b"file\n"}),
    ("f", {"to": b"1", "link": "-> to"}, "link", 0, {"to": b"file\n", "link": "-> to"}),
    ("d", {}, "new", 0, {"new": D}),
    ("d/", {}, "new", 0, {"new": D}),
    ("d", {"dir/": ""}, "dir", 0, {"dir": "dir", "dir/d": D}),
    ("d/", {"dir/": ""}, "dir", 0, {"dir": "dir", "dir/d": D}),
    ("d/.", {"dir/": ""}, "dir", 0, {"dir": D}),
    ("d/.", {}, "new", 0, {"new": D}),
    ("d", {"dir/": "", "dir/d/": "", "dir/d/keep": b"k"}, "dir", 0,
     {"dir": "dir", "dir/d": D, "dir/d/keep": b"k"}),
    ("d", {"old": b"old"}, "old", 1, {"old": b"old"}),
    ("d", {}, "no/new", 1, {}),
    ("d", {"dir/": "", "dir/d": b"file"}, "dir", 1, {"dir": "dir", "dir/d": b"file"}),
    ("lf", {}, "new", 0, {"new": "-> f"}),
    ("lf", {"dir/": ""}, "dir", 0, {"dir": "dir", "dir/lf": "-> f"}),
    ("-L lf", {}, "new", 0, {"new": b"file\n"}),
    ("-L lf", {"dir/": ""}, "dir", 0, {"dir": "dir", "dir/lf": b"file\n"}),
    ("ld", {}, "new", 0, {"new": "-> d"}),
    ("-L ld", {}, "new", 0, {"new": D}),
    ("-L ld", {"dir/": ""}, "dir", 0, {"dir": "dir", "dir/ld": D}),
    ("ld/.", {}, "new", 0, {"new": D}),
    ("nothing", {}, "new", 1, {}),
)
for into_box in (True, False):
    for src, before, dst, status, after in RULES:
        here, there = fresh()
        source, target = (here, there) if into_box else (there, here)
        d = example(source)
        for name, what in before.items():
            if name.endswith("/"):
                os.mkdir(f"{target}/{name}")
            elif isinstance(what, str):
                os.symlink(what[3:], f"{target}/{name}")
            else:
                write(f"{target}/{name}", what)
        want = {}
        for name, what in after.items():
            want[name] = "dir" if what is D else what
            want |= {f"{name}/{n}": v for n, v in d.items()} if what is D else {}
        *flags, word = src.split()
        box = (":", "") if into_box else ("", ":")
        r = c("cp", *flags, f"{box[1]}{source}/{word}", f"{box[0]}{target}/{dst}")
        got = tree(target)
        t.ok(r.status == status and got == want and bool(r.err) == bool(status),
             f"{'into' if into_box else 'out of'} the box: {src} to {dst}, there is {[*before]}",
             (r, got))

# --- modes, owners, contents
here, there = fresh()
example(here)
c("cp", f"{here}/f", f":{there}/f")
c("cp", f":{there}/f", f"{here}/back")
modes = [oct(os.stat(p).st_mode & 0o7777) for p in (f"{there}/f", f"{here}/back")]
t.ok(modes == ["0o755"] * 2, "the mode of a new file is that of the old", modes)
os.chmod(f"{there}/f", 0o4755)
c("cp", f":{there}/f", f"{here}/suid")
t.ok(os.stat(f"{here}/suid").st_mode & 0o7777 == 0o755, "but nobody gets a setuid program by it")
if os.getuid() == 0:
    os.chown(f"{here}/d/g", 1234, 2345)
    c("cp", f"{here}/d", f":{there}/plain")
    c("cp", "-a", f"{here}/d", f":{there}/kept")
    c("cp", "-a", f"{here}/d/g", f":{there}/one")
    c("cp", f":{there}/kept", f"{here}/plain")
    c("cp", "-a", f":{there}/kept", f"{here}/kept")
    owners = [os.stat(p).st_uid for p in (f"{there}/plain/g", f"{there}/kept/g", f"{there}/one",
                                          f"{here}/plain/g", f"{here}/kept/g")]
    t.ok(owners == [0, 1234, 1234, 0, 1234], "-a keeps owners, and nothing else does", owners)
    os.chmod(t.dir, 0o755)
    os.chmod(there, 0o777)
    c("cp", "-u", "1234:2345", f"{here}/f", f":{there}/users")
    st = os.stat(f"{there}/users")
    t.ok((st.st_uid, st.st_gid) == (1234, 2345), "-u: it is that user's", st)
    os.chmod(f"{here}/f", 0o755)
    write(f"{there}/secret", mode=0o600)
    r = c("cp", "-u", "1234", f":{there}/secret", f"{here}/secret")
    t.ok(r.status == 1 and not os.path.exists(f"{here}/secret"), "and what that user may not read is not read", r)
big = os.urandom(30 << 20)
write(f"{here}/big", big)
r = c("cp", f"{here}/big", f":{there}/big")
r2 = c("cp", f":{there}/big", f"{here}/big2")
with open(f"{here}/big2", "rb") as f:
    t.ok(f.read() == big and (r.err, r2.err) == ("", ""), "30 MiB in and out; nothing is shown", (r, r2))
r = c("cp", "/proc/self/status", f":{there}/proc")
t.ok(r.status == 0 and "Name:" in open(f"{there}/proc").read(), "a file that tells no size", r)
os.mkfifo(f"{here}/fifo")
p = c.start("cp", f"{here}/fifo", f":{there}/piped")
with open(f"{here}/fifo", "w") as f:
    f.write("through\n")
t.ok(p.wait(10) == 0 and open(f"{there}/piped").read() == "through\n", "what comes through a pipe")
for name in ("a b", "ä%&?#+", "-x", "new\nline", ":colon", "\udcff"):
    write(f"{here}/n/{name}", name.encode(errors="surrogateescape"))
r = c("cp", f"{here}/n", f":{there}/n")
r2 = c("cp", f":{there}/n", f"{here}/n2")
t.ok(tree(f"{here}/n") == tree(f"{here}/n2") == tree(f"{there}/n"), "names of all kinds", (r, r2))
r = [c("cp", f"{here}/n/{n}", f":{there}/one{i}").status for i, n in enumerate(("ä%&?#+", "a b", "\udcff"))]
t.ok(r == [0, 0, 0], "and as words", r)
r = c("cp", "n", ":n", env={"HOME": "/"})
t.ok(r.status == 1, "relative to where we are here", r)
p = c.start("cp", "f", f":{there}/rel", cwd=here)
t.ok(p.wait(10) == 0 and os.path.exists(f"{there}/rel"), "and it is found")
p = c.start("cp", f":{there}/rel", ".", cwd=f"{here}/n2")
t.ok(p.wait(10) == 0 and os.path.exists(f"{here}/n2/rel"), "and put here")

# --- whole or not at all
write(f"{here}/target", b"precious")
p = c.start("cp", f":{there}/big", f"{here}/target")
p.send_signal(signal.SIGSTOP)
os.kill(b.role("channel"), signal.SIGKILL)
p.send_signal(signal.SIGCONT)
status = p.wait(20)
with open(f"{here}/target", "rb") as f:
    content = f.read()
left = wait_for(lambda: not [n for n in os.listdir(here) if "pinnace" in n])
t.ok(left and ((status and content == b"precious") or (status == 0 and content == big)),
     "a copy that was cut changes nothing", (status, len(content), os.listdir(here)))
wait_for(lambda: c("ready").status == 0)
write(f"{there}/target", b"precious")
p = c.start("cp", "-L", "/dev/stdin", f":{there}/target", stdin=subprocess.PIPE)
p.stdin.write("x" * 100000)
p.stdin.flush()
time.sleep(0.3)
p.kill()
p.wait()
t.ok(wait_for(lambda: tree(there)["target"] == b"precious" and
              not [n for n in os.listdir(there) if "pinnace" in n]),
     "nor does one into the box", os.listdir(there))

# --- archives
status, out = c.bytes("cp", f":{there}/n", "-")
names = tarfile.open(fileobj=io.BytesIO(out)).getnames()
t.ok(status == 0 and "n/a b" in names, "out of the box as an archive", names)
os.mkdir(f"{there}/un")
r = c.bytes("cp", "-", f":{there}/un", data=out)
t.ok(r[0] == 0 and tree(f"{there}/un/n") == tree(f"{there}/n"), "and into it", r)
r = c.bytes("cp", "-", f":{there}/nowhere", data=out)
t.ok(r[0] == 1, "only into a directory", r)
r = c.bytes("cp", "-", f":{there}/un", data=out[:-2000])
t.ok(r[0] == 1, "one that is cut is an error", r)
r = c.bytes("cp", "-", f":{there}/un", data=b"nonsense" * 1000)
t.ok(r[0] == 1, "and so is what is none", r)


class Liar:
    """A pinnace that answers to GET /v1/tar with this archive, and says that there is a directory."""

    def __init__(self, archive):
        import socket
        import threading
        self.path = os.path.join(t.dir, f"liar{time.monotonic()}")
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.bind(self.path)
        self.sock.listen(5)
        self.archive = archive
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            s, _ = self.sock.accept()
            head = s.recv(65536).decode()
            body = self.archive if "/v1/tar" in head else json.dumps(
                {"path": "/d", "name": "d", "type": "dir", "size": 0, "mode": 0o755, "uid": 0,
                 "gid": 0, "owner": "", "group": "", "mtime_ms": 0}).encode()
            s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(body))
            s.sendall(body)
            s.close()


def archive(*entries):
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for name, kind, what in entries:
            info = tarfile.TarInfo(name)
            info.type = kind
            if kind == tarfile.REGTYPE:
                info.size = len(what)
                tar.addfile(info, io.BytesIO(what))
            else:
                info.linkname = what
                tar.addfile(info)
    return raw.getvalue()


FILE, LINK, HARD = tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE
here, _ = fresh()
os.mkdir(f"{here}/out")
write(f"{here}/outside", b"safe")
for what, entries in (
        ("a name with ..", [("../outside", FILE, b"bad")]),
        ("a deep name with ..", [("a/../../outside", FILE, b"bad")]),
        ("an absolute name", [(f"{here}/outside", FILE, b"bad")]),
        ("a link, and then through it", [("l", LINK, ".."), ("l/outside", FILE, b"bad")]),
        ("an absolute link, and through it", [("l", LINK, here), ("l/outside", FILE, b"bad")]),
        ("a link that is written to", [("l", LINK, "../outside"), ("l", FILE, b"bad")]),
        ("a hard link to outside", [("h", HARD, "../outside"), ("h", FILE, b"bad")]),
        ("a hard link by an absolute name", [("h", HARD, f"{here}/outside"), ("h", FILE, b"bad")])):
    liar = Liar(archive(*entries))
    r = c("-H", f"unix://{liar.path}", "cp", ":/d/.", f"{here}/out")
    with open(f"{here}/outside", "rb") as f:
        kept = f.read() == b"safe"
    t.ok(kept and sorted(os.listdir(here)) == ["out", "outside"],
         f"an archive of a box that lies: {what}", r)
    subprocess.run(["find", f"{here}/out", "-mindepth", "1", "-delete"], check=False)

# --- ls, cat
here, there = fresh()
example(there)
write(f"{there}/.hidden")
write(f"{there}/esc\033[2J")
r = c("ls", there)
t.ok(r.out.split("\n") == ["d", "esc?[2J", "f", "ld", "lf", ""], "ls: sorted, safe, without dots", r)
r = c("ls", "-a", there)
t.ok(".hidden" in r.out, "-a", r)
r = c("ls", "-l", there)
t.ok("drwxr-xr-x" in r.out and "ld -> d" in r.out and
     any(w[0] == "-rwxr-xr-x" and w[3] == "5" and w[-1] == "f" for w in map(str.split, r.out.splitlines())),
     "-l", r)
r = c("ls", "--json", there)
t.ok({e["name"] for e in json.loads(r.out)} == {"d", "esc\033[2J", "f", "ld", "lf"}, "--json", r)
for name in ("f", ".hidden", "lf"):
    r = c("ls", f"{there}/{name}")
    t.ok(r.status == 0 and r.out.strip().endswith(name), f"ls of {name}, which is no directory", r)
r = c("ls", f"{there}/nothing")
t.ok(r.status == 1 and "nothing" in r.err and not r.out, "ls of nothing", r)
os.mkdir(f"{there}/many")
for i in range(3000):
    write(f"{there}/many/{i:05}")
r = c("ls", f"{there}/many")
t.ok(r.out.split() == [f"{i:05}" for i in range(3000)], "ls of 3000 files", len(r.out))
r = c("ls", "--json", f"{there}/d/empty")
t.ok(r.out == "[]\n", "ls of nothing, as JSON", r)
t.ok(c.bytes("cat", f"{there}/f", f"{there}/d/rel") == (0, b"file\ndeep"), "cat")
r = c("cat", f"{there}/nothing", f"{there}/f")
t.ok(r.status == 1 and r.out == "file\n" and "nothing" in r.err, "cat: one that is missing, one that is not", r)

# --- on a terminal
write(f"{there}/big", big)
term = c.terminal("cp", f":{there}/big", f"{here}/big")
t.ok(term.wait() == 0 and "30.0M in " in term.said and "/s" in term.said, "how far it is, on a terminal",
     term.said)
term.close()
term = c.terminal("cp", "-q", f":{there}/big", f"{here}/big")
t.ok(term.wait() == 0 and term.said == "", "-q", term.said)
term.close()
term = c.terminal("cp", f":{there}/d", "-")
t.ok(term.wait() == 1 and "terminal" in term.said, "no archive for a terminal", term.said)
term.close()
for args in (("a", "b"), (":a", ":b"), ("-", "b")):
    r = c("cp", *args)
    t.ok(r.status == 2 and "must be in the box" in r.err, f"cp {' '.join(args)}", r)
b.kill()
t.done()
