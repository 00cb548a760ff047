#!/usr/bin/env python3
"""Jobs, every row of docs/CHANNEL.md: over the unix socket of a PID 1 and over the TCP port of a
`pinnace run`."""
import base64
import contextlib
import hashlib
import json
import os
import random
import re
import signal
import socket
import struct
import time

from box import PYTHON, Box, alive
from channel import (DETACH, JSON, MEDIA, SIGNAL, STDIN, STDOUT, WINDOW, Answer, Wire, fds, frame,
                     free_port, of_job, outer, rows, settled, tcp, tcp_section, unix)
from tap import Tap, state, wait_for

t = Tap()
os.chmod(t.dir, 0o711)
NOISE = random.Random(7).randbytes(1 << 20)

# --- people that the box knows: tester is in three groups
HOME = f"{t.dir}/home"
os.mkdir(HOME)
os.chmod(HOME, 0o755)
with open("/etc/passwd") as given, open(f"{t.dir}/passwd", "w") as f:
    f.write(given.read() +
            f"tester:x:4711:4712::{HOME}:/bin/sh\nlost:x:4720:4720::/nowhere:/bin/sh\n")
with open("/etc/group") as given, open(f"{t.dir}/group", "w") as f:
    f.write(given.read() + "tester:x:4712:\nextra:x:4713:tester\nmore:x:4714:nobody,tester\n")
PEOPLE = [
    "sh", "-c", f"mount --bind {t.dir}/passwd /etc/passwd && "
    f"mount --bind {t.dir}/group /etc/group && exec \"$@\"", "sh"
]


def ended(o, **want):
    """Is this the outcome of a job whose end has exactly these members, but for its rusage?"""
    end = {
        k: v
        for k, v in (getattr(o, "end", None) or {}).items()
        if k not in ("user_ms", "system_ms", "max_rss")
    }
    return end == want


def ok(cond, name, diag=""):
    return t.ok(cond, f"{how}: {name}", diag)


# --- what is executed, and in what


def words(b, c):
    """argv and shell"""
    o = c.run(["printf", "%s|", "a b", "", "c\nü"])
    ok(o.out == "a b||c\nü|".encode() and ended(o, exit=0) and o.err == b"",
       "argv is words, not a line", o)
    ok(
        o.started["argv"] == ["printf", "%s|", "a b", "", "c\nü"] and
        o.started["state"] == "running" and o.started["end"] is None and
        o.ended["id"] == o.started["id"] and o.ended["state"] == "ended" and o.ended["output"] == {
            "from": 0,
            "to": len(o.out)
        }, "`started` and `ended` are the job as JSON", o)
    ok(
        set(o.started) == {
            "id", "argv", "tag", "pid", "state", "pty", "stdin", "started_unix_ms", "ran_ms",
            "output", "end"
        } and re.fullmatch("[0-9a-f]{12}", o.started["id"]), "with the members that the page names",
        o.started)
    ok(abs(o.started["started_unix_ms"] - time.time() * 1000) < 10000, "started_unix_ms is now", o)
    o = c.run("echo $((6*7)); exit 5")
    ok(o.out == b"42\n" and ended(o, exit=5), "shell is a text for sh -c", o)
    if os.path.exists("/bin/bash"):
        o = c.run("shopt -q login_shell && echo login", login=True, env={"HOME": t.dir})
        ok(o.out.endswith(b"login\n"), "login: a login shell", o)
    many = ["sh", "-c", "echo $# ${65532}", "sh", *map(str, range(1, 65533))]
    o = c.run(many)
    ok(
        o.out == b"65532 65532\n" and ended(o, exit=0) and len(json.dumps(o.started)) < 10000,
        "65 536 words", o)
    long = "x" * 100000
    o = c.run(["printf", "%s", long])
    ok(o.out == long.encode() and len(json.dumps(o.started)) < 10000,
       "a word of 100 kB arrives whole, and is cut in the job's description", o)


def surroundings(b, c):
    """env, cwd, fds, signals, session"""
    o = c.run("env", env={"A": "ü x\ny", "GONE": None, "EMPTY": "", "PATH": os.environ["PATH"]})
    ok(
        b"A=\xc3\xbc x\ny\n" in o.out and b"GONE" not in o.out and b"GIVEN=given\n" in o.out and
        b"EMPTY=\n" in o.out, "env adds, null removes, the rest is the box's", o)
    ok(f"PINNACE_JOB={o.started['id']}\n".encode() in o.out, "and has the job's id", o)
    o = c.run(["no-such-by-default"], env={"PATH": f"{t.dir}/path"})
    ok(getattr(o, "out", None) == b"found\n", "argv[0] is looked up on the job's own PATH", o)
    ok(c.run(["pwd"]).out == f"{os.getcwd()}\n".encode(), "cwd: by default the box's")
    ok(c.run(["pwd"], cwd="/usr").out == b"/usr\n", "cwd: where it says")
    o = c.run([
        "sh", "-c", "ls -l /proc/self/fd; grep -E 'Sig(Blk|Ign)' /proc/self/status; "
        "ps -o pid=,pgid=,sid= -p $$ 2>/dev/null || cut -d' ' -f1,5,6 /proc/$$/stat"
    ])
    links = re.findall(r" (\d+) -> (\S+)", o.out.decode())
    ok([n for n, _ in links if n not in ("0", "1", "2")] in ([], ["3"]) and
       ("0", "/dev/null") in links, "a job has three fds and no more (3 is the directory)", o)
    ok(
        re.findall(r"Sig(?:Blk|Ign):\s+0+\n", o.out.decode()) and
        len(re.findall(r"Sig(?:Blk|Ign):\s+0{16}\n", o.out.decode())) == 2,
        "no signal is blocked or ignored", o)
    last = o.out.decode().splitlines()[-1].split()
    ok(
        len(set(last)) == 1 and int(last[0]) == o.started["pid"],
        "it leads a session and group, and `pid` is the leader", (last, o.started))


def users(b, c):
    """user"""
    want = {"uid": "4711", "gid": "4712", "groups": {"4712", "4713", "4714"}}
    shows = "id -u; id -g; id -G; pwd; echo $HOME; echo $USER"
    for user in ("tester", "4711"):
        o = c.run(shows, user=user)
        got = o.out.decode().splitlines() if not isinstance(o, Answer) else []
        ok(got[:2] == [want["uid"], want["gid"]] and set(got[2].split()) == want["groups"],
           f"user {user}: uid, gid and supplementary groups", o)
        ok(got[3:4] == [HOME], f"user {user}: begins in the home directory", o)
        ok(got[4:6] == [HOME, "tester"], f"user {user}: HOME and USER are that user's", o)
    for user, gid in (("tester:extra", "4713"), ("4711:4714", "4714"), ("9999:9998", "9998")):
        o = c.run("id -u; id -g", user=user)
        ok(getattr(o, "out", b"").split()[1:] == [gid.encode()], f"user {user}: that group", o)
    o = c.run("id -u; pwd", user="tester", cwd="/usr")
    ok(o.out == b"4711\n/usr\n", "user and cwd", o)
    o = c.run("cat /proc/self/status; echo x > /proc/1/oom_score_adj", user="tester")
    ok(b"CapEff:\t0000000000000000" in o.out and not ended(o, exit=0), "a user has no capabilities",
       o)
    for user in ({}, {"user": "tester"}):
        o = c.run("echo $PINNACE_JOB", env={"PINNACE_JOB": "000000000000"}, **user)
        ok(o.out.decode() == f"{o.started['id']}\n", f"its mark is its own, whatever env says {user}", o)
    o = c.run("pwd", user="lost")
    ok(
        isinstance(o, Answer) and o.status == 422 and o.error == "bad_cwd" or
        getattr(o, "out", None) == b"/\n", "a home that is not there is said, or is /", o)


# --- stdin, pipes, terminals


def inputs(b, c):
    """stdin"""
    o = c.run(["cat"])
    ok(o.out == b"" and ended(o, exit=0) and o.started["stdin"] == "none",
       "stdin none is at its end", o)
    o = c.run(["cat"], feed=NOISE)
    ok(o.out == NOISE and ended(o, exit=0), "1 MiB through cat, and a real end of file", len(o.out))
    o = c.run("sleep 0.3; exec sha256sum", feed=NOISE * 8)
    ok(
        hashlib.sha256(NOISE * 8).hexdigest().encode() in o.out and ended(o, exit=0),
        "8 MiB to a job that reads late", o)
    with c.exec(["cat"], stdin="pipe") as s:
        for piece in (b"a", b"bc", b"def"):
            s.feed(piece)
            ok(s.until(lambda o: o.out.endswith(piece)), f"{piece} comes back at once", s.seen)
        text = struct.pack(">B3xI", STDIN, 2) + b"gh" + struct.pack(">B3xI", STDIN, 0)
        for byte in text:
            s.wire.sock.sendall(bytes([byte]))
        o = s.finish()
    ok(o.out == b"abcdefgh" and ended(o, exit=0), "frames that come in single bytes", o)
    j = c.start(["cat"], stdin="pipe")
    a = c.post(f"/v1/jobs/{j['id']}/stdin", b"one ")
    e = c.post(f"/v1/jobs/{j['id']}/stdin?eof=1", b"two")
    c.wait(j["id"])
    got = c.output(j["id"])
    ok(a.status in (200, 204) and e.status in (200, 204) and got.body == b"one two",
       "POST stdin, eof=1", (a, e, got))
    j = c.start(["cat"], stdin="pipe")
    e = c.post(f"/v1/jobs/{j['id']}/stdin?eof=1")
    ok(e.status in (200, 204) and c.wait(j["id"])["end"]["exit"] == 0, "eof=1 without a body", e)
    with c.exec(["cat"], stdin="pipe") as s:
        s.feed(b"x")
        s.until(lambda o: o.out == b"x")
        s.wire.sock.shutdown(socket.SHUT_WR)
        o = s.finish()
    ok(ended(o, exit=0), "a client that shuts its side ends stdin", o)


def closed_inputs(b, c):
    """stdin that is not there"""
    j = c.start(["sleep", "60"])
    a = c.post(f"/v1/jobs/{j['id']}/stdin", b"x")
    ok(a.status == 409 and a.error == "state", "stdin to a job without one: 409", a)
    c.post(f"/v1/jobs/{j['id']}/signal", {"signal": "KILL"})
    c.wait(j["id"])
    a = c.post(f"/v1/jobs/{j['id']}/stdin", b"x")
    ok(a.status == 409 and a.error == "state", "stdin to a job that has ended: 409", a)
    a = c.post(f"/v1/jobs/{j['id']}/signal", {"signal": "USR1"})
    ok(a.status == 409 and a.error == "state", "and a signal: 409", a)
    with c.exec("exec <&-; echo closed; read x </dev/tty; exec sleep 60", stdin="pipe") as s:
        s.until(lambda o: b"closed" in o.out)
        s.feed(b"y" * 100)
        s.feed(b"z" * 200000)
        ok(
            s.until(lambda o: o.errors) and s.seen.errors[0]["code"] == "state",
            "stdin that the job has closed: an error frame", s.seen)
        s.signal("TERM")
        ok(ended(s.finish(), signal=15, core=False, killed=True), "and the stream goes on", s.seen)
    with c.exec("head -c 70000 >/dev/null; exec <&-; echo closed; exec sleep 60",
                stdin="pipe") as s:
        s.feed(b"y" * (1 << 20))
        s.until(lambda o: b"closed" in o.out)
        s.signal("TERM")
        o = s.finish()
        ok(
            len(o.errors) == 1 and o.errors[0]["code"] == "state" and
            ended(o, signal=15, core=False, killed=True),
            "a frame of which only a part could be written: one error frame", o)
    with c.exec(["sleep", "60"], stdin="pipe") as s:
        s.eof()
        s.feed(b"more")
        ok(s.until(lambda o: o.errors), "stdin after its end: an error frame", s.seen)
    c.timeout = 10
    o = c.run(["true"], feed=NOISE * 4)
    ok(ended(o, exit=0), "4 MiB to a job that does not read: its end is told all the same", o)


def pipes(b, c):
    """pipes"""
    o = c.run("echo a; sleep 0.1; echo b >&2; sleep 0.1; echo c; [ -t 1 ] && echo terminal")
    ok([(k, v) for k, v in o.order] == [("out", b"a\n"), ("err", b"b\n"), ("out", b"c\n")],
       "stdout and stderr are apart, in their order", o.order)
    began = time.monotonic()
    with c.exec("echo soon; sleep 1", upgrade=False) as s:
        s.until(lambda o: o.out == b"soon\n")
        took = time.monotonic() - began
        o = s.finish()
    ok(took < 0.8 and ended(o, exit=0) and not s.upgraded,
       "without an upgrade: a chunked body of frames", (took, o))


def terminals(b, c):
    """pty"""
    o = c.run("stty size; tty; echo x >/dev/tty; echo y >&2; [ -t 0 ] && [ -t 1 ] && [ -t 2 ]",
              pty={
                  "rows": 33,
                  "cols": 101
              })
    text = o.out.replace(b"\r\n", b"\n").split(b"\n")
    ok(
        text[0] == b"33 101" and b"/dev/pts/" in text[1] and text[2:4] == [b"x", b"y"] and
        ended(o, exit=0) and o.err == b"", "a terminal of that size, the job's own", o)
    o = c.run("stty size", pty={})
    ok(o.out == b"24 80\r\n", "24 rows of 80 where nothing is said", o)
    with c.exec("trap 'stty size' WINCH; echo up; while :; do sleep 0.05; done",
                pty={
                    "rows": 10,
                    "cols": 20
                }) as s:
        s.until(lambda o: b"up" in o.out)
        s.resize(50, 132)
        ok(s.until(lambda o: b"50 132" in o.out), "resize: WINCH, and the size", s.seen)
        a = c.post(f"/v1/jobs/{s.seen.started['id']}/resize", {"rows": 7, "cols": 9})
        ok(a.status == 204 and s.until(lambda o: b"7 9" in o.out), "POST resize", (a, s.seen))
        s.feed(b"\x03")
        ok(ended(s.finish(), signal=2, core=False), "^C interrupts it", s.seen)
    with c.exec(["cat"], pty={"rows": 1, "cols": 1}) as s:
        s.feed(b"hello\n")
        s.until(lambda o: o.out.count(b"hello\r\n") == 2)
        s.eof()
        ok(s.until(lambda o: o.errors), "a terminal has no end of file: an error frame", s.seen)
        s.feed(b"\x04")
        ok(ended(s.finish(), exit=0) and s.seen.out.count(b"hello\r\n") == 2, "^D is one", s.seen)
    with c.exec(["sleep", "60"]) as s:
        s.next()
        a = c.post(f"/v1/jobs/{s.seen.started['id']}/resize", {"rows": 7, "cols": 9})
        s.resize(1, 1)
        ok(a.status == 409 and a.error == "state" and s.until(lambda o: o.errors),
           "resize without a terminal: 409, or an error frame", (a, s.seen))
    o = c.run("yes | head -c 300000 | tr -d '\\n'", pty={"rows": 24, "cols": 80})
    ok(o.out == b"y" * 150000, "150 kB through a terminal", len(o.out))


# --- signals, time

CATCHER = [
    *PYTHON, """
import os, signal
catch = [n for n in range(1, 65) if n not in (9, 19, 32, 33)]
signal.pthread_sigmask(signal.SIG_BLOCK, catch)
print("up", flush=True)
while (n := int(signal.sigwait(catch))) != 64:
    print(n, flush=True)
"""
]


def signals(b, c):
    """signals"""
    with c.exec(CATCHER) as s:
        s.until(lambda o: b"up\n" in o.out)
        id, lost = s.seen.started["id"], []
        for n in [n for n in range(1, 64) if n not in (9, 18, 19, 32, 33)]:
            before = s.seen.out
            if n % 2:
                s.signal(n)
            else:
                c.post(f"/v1/jobs/{id}/signal", {"signal": n})
            arrived = lambda o: [x for x in o.out[len(before):].split() if x != b"18"]
            s.until(arrived)  # CONT follows some, for those who are stopped
            if arrived(s.seen) != [b"%d" % n]:
                lost.append((n, s.seen.out[len(before):]))
        ok(not lost, "every signal that can be caught, the real-time ones too", lost)
        for name, n in (("USR1", 10), ("SIGUSR2", 12), ("winch", 28), ("RTMIN", 34), ("RTMIN+5",
                                                                                      39)):
            before = s.seen.out
            a = c.post(f"/v1/jobs/{id}/signal", {"signal": name})
            s.until(lambda o: o.out != before)
            ok(a.status == 204 and s.seen.out == before + b"%d\n" % n, f"{name} is {n}",
               (a, s.seen.out[len(before):]))
        s.signal("NONSENSE")
        ok(s.until(lambda o: o.errors) and "'NONSENSE'" in s.seen.errors[0]["message"],
           "a name that is none: an error frame", s.seen)
        for bad in ("NONSENSE", "", 0, 65, -1, 1.5, None, "15 "):
            a = c.post(f"/v1/jobs/{id}/signal", {"signal": bad})
            ok(a.status == 400 and a.error == "invalid", f"signal {bad!r}: 400", a)
        s.signal("RTMAX")
        ok(ended(s.finish(), exit=0, killed=True), "RTMAX is 64", s.seen)
    for n in (9, 6, 34, 64):
        with c.exec(["sleep", "60"]) as s:
            s.next()
            s.signal(n)
            o = s.finish()
            end = dict(o.end or {}, killed=True)
            ok(end.get("signal") == n and "exit" not in end, f"death by {n} is told as a signal", o)
    with c.exec(["sleep", "60"]) as s:
        s.next()
        s.signal("STOP")
        pid = outer(b, s.seen.started["pid"])
        stopped = wait_for(lambda: state(pid) == "T")
        s.signal("CONT")
        ok(stopped and wait_for(lambda: state(pid) == "S"), "STOP and CONT", state(pid))


FAMILY = [
    *PYTHON, """
import os, signal
signal.pthread_sigmask(signal.SIG_BLOCK, [10])
name = "leader"
if os.fork() == 0:
    name = "group"
elif os.fork() == 0:
    os.setsid()
    name = "session"
os.write(1, b"up ")
while signal.sigwait([10]):
    os.write(1, name.encode() + b" ")
"""
]


def scopes(b, c):
    """scope"""
    j = c.start(FAMILY)
    url = f"/v1/jobs/{j['id']}"
    wait_for(lambda: c.output(j["id"]).body.count(b"up") == 3)
    got = []
    for scope, want in (("leader", 1), ("group", 2), ("tree", 3)):
        before = len(c.output(j["id"]).body)
        c.post(f"{url}/signal", {"signal": "USR1", "scope": scope})
        settled(lambda: c.output(j["id"]).body[before:].split(), lambda words: len(words) >= want,
                3)
        time.sleep(0.1)
        got.append(sorted(c.output(j["id"]).body[before:].split()))
    ok(got == [[b"leader"], [b"group", b"leader"], [b"group", b"leader", b"session"]],
       "a signal to the leader, the group, the tree", got)
    a = c.post(f"{url}/signal", {"signal": "USR1", "scope": "world"})
    ok(a.status == 400, "another scope: 400", a)
    c.post(f"{url}/signal", {"signal": "KILL"})
    ok(wait_for(lambda: not of_job(b, j["id"])), "KILL to the tree leaves nobody",
       of_job(b, j["id"]))
    ok(ended_as(c.wait(j["id"]), signal=9, core=False, killed=True), "killed by a request",
       c.job(j["id"]))


def ended_as(job, **want):
    return {
        k: v
        for k, v in (job.get("end") or {}).items() if k not in ("user_ms", "system_ms", "max_rss")
    } == want


def timeouts(b, c):
    """timeout_ms"""
    o = c.run("trap 'echo bye; exit 7' TERM; while :; do sleep 0.02; done", timeout_ms=200)
    ok(
        ended(o, exit=7, timed_out=True) and o.out == b"bye\n" and 200 <= o.ended["ran_ms"] < 1500,
        "timeout: TERM first", o)
    daemons = ("setsid sh -c 'trap \"\" TERM HUP; echo a; sleep 61' & "
               "(setsid sh -c '(trap \"\" TERM HUP; setsid sleep 62; sleep 63) & echo b') & "
               "(setsid setsid nohup sh -c 'trap \"\" TERM; echo c; sleep 64' >/dev/null 2>&1 &) ; "
               "trap '' TERM; sleep 65; sleep 66")
    began = time.monotonic()
    with c.exec(daemons, timeout_ms=400, kill_after_ms=300, detach=True) as s:
        s.until(lambda o: b"a\n" in o.out and b"b\n" in o.out)
        many = settled(lambda: len(of_job(b, s.seen.started["id"])), lambda n: n >= 7, 0.3)
        o = s.finish()
    took = time.monotonic() - began
    ok(many >= 7 and ended(o, signal=9, core=False, timed_out=True) and 0.65 < took < 4,
       "timeout: KILL kill_after_ms later", (many, took, o))
    left = settled(lambda: of_job(b, o.started["id"]), lambda x: not x, 3)
    ok(not left, "and nothing is left of the tree, daemons in sessions of their own included",
       [open(f"/proc/{p}/cmdline").read() for p in left if alive(p)])
    o = c.run(["sleep", "0.1"], timeout_ms=60000)
    ok(ended(o, exit=0), "a timeout that does not come", o)
    o = c.run(["sleep", "60"], timeout_ms=1)
    ok(ended(o, signal=15, core=False, timed_out=True), "a timeout of 1 ms", o)
    j = c.start("sleep 60 & sleep 0.05", timeout_ms=500)
    c.wait(j["id"])
    left = settled(lambda: of_job(b, j["id"]), lambda x: not x, 0.2)
    ok(
        len(left) == 1 and ended_as(c.job(j["id"]), exit=0),
        "a leader that ends in time has not timed out", (left, c.job(j["id"])))
    for p in of_job(b, j["id"]):
        os.kill(p, signal.SIGKILL)


# --- names, lists, looking again


def keys(b, c):
    """key"""
    ask = {"argv": ["sh", "-c", f"echo >> {t.dir}/count{how[0]}"], "key": f"k{how}"}
    first, again = c.post("/v1/jobs", ask), c.post("/v1/jobs", ask)
    c.wait(first.json()["id"])
    third = c.post("/v1/jobs", ask)
    with open(f"{t.dir}/count{how[0]}") as f:
        n = len(f.readlines())
    ok(
        first.status == 201 and again.status == 200 == third.status and
        first.json()["id"] == again.json()["id"] == third.json()["id"] and n == 1,
        "a key: the same request again is the same job", (first, again, third, n))
    other = c.post("/v1/jobs", {**ask, "argv": ["true"]})
    ok(other.status == 409 and other.error == "exists", "and with another request: 409", other)
    one = c.run(["echo", "once"], key=f"e{how}")
    two = c.run(["echo", "once"], key=f"e{how}")
    ok(one.out == two.out == b"once\n" and one.started["id"] == two.started["id"],
       "exec again with a key: the output of then", (one, two))
    with c.exec(["sleep", "60"], key=f"own{how}") as s:
        s.next()
        with c.exec(["sleep", "60"], key=f"own{how}") as again:
            again.next()
        time.sleep(0.2)
        ok(
            c.job(s.seen.started["id"])["state"] == "running",
            "who came second by a key does not take the job along when going")


def lists(b, c):
    """tag, list"""
    tag = f"tag-{how}-ü"
    made = [c.start(["sleep", "60"], tag=tag)["id"] for _ in range(3)]
    done = c.run(["true"], tag=tag).started["id"]
    got = c.jobs("?tag=" + "".join(f"%{x:02x}" for x in tag.encode()))
    ok([j["id"] for j in got] == [*made, done] and all(j["tag"] == tag for j in got) and
       [j["state"] for j in got] == ["running"] * 3 + ["ended"], "jobs by their tag, oldest first",
       got)
    ok(set(made) < {j["id"] for j in c.jobs()}, "and all jobs")
    ok(c.jobs("?tag=none") == [], "no job has this tag")
    for bad, name in (("x" * 64, "tag"), ("x" * 64, "key")):
        a = c.post("/v1/jobs", {"argv": ["true"], name: bad})
        ok(a.status == 400 and name in a.json()["error"]["message"], f"{name} of 64 bytes: 400", a)
    ok(c.post("/v1/jobs", {"argv": ["true"], "tag": "x" * 63}).status == 201, "tag of 63 bytes")
    for id in made:
        c.post(f"/v1/jobs/{id}/signal", {"signal": "KILL"})


def attachments(b, c):
    """attach"""
    gate = f"{t.dir}/gate{how[:4]}"
    j = c.start(
        f"printf abcdefghij; while [ ! -e {gate} ]; do sleep 0.02; done; printf klm; exit 3")
    id = j["id"]
    wait_for(lambda: c.job(id)["output"]["to"] == 10)
    with c.attach(id, "?from=3") as three, c.attach(id) as end, c.attach(id, "?from=0") as all, \
            c.attach(id, "?from=12", upgrade=False) as later:
        three.until(lambda o: len(o.out) == 7)
        all.until(lambda o: len(o.out) == 10)
        open(gate, "w").close()
        got = [s.finish() for s in (three, end, all, later)]
    ok([o.out for o in got] == [b"defghijklm", b"klm", b"abcdefghijklm", b"m"] and
       all_ended(got, exit=3), "attached from 3, the end, 0, and an offset that comes later", got)
    with c.attach(id, "?from=0") as s:
        o = s.finish()
    ok(o.out == b"abcdefghijklm" and ended(o, exit=3) and o.started["state"] == "ended",
       "attached after the end", o)
    a, e = c.output(id, "?from=10"), c.output(id, "?from=-1")
    ok(a.body == b"klm" and e.body == b"", "output from=10, from=-1", (a, e))
    ok(
        c.get(f"/v1/jobs/{id}/output", Accept=MEDIA).fields["content-type"] == MEDIA,
        "output in frames")
    for bad in ("x", "-2", "1.5", "", "99999999999999999999"):
        a = c.output(id, f"?from={bad}")
        ok(a.status == 400 and a.error == "invalid", f"from={bad}: 400", a)
    j = c.start("echo out; echo err >&2; echo more; sleep 0.3; echo late")
    a = c.output(j["id"], "?follow=1")
    ok(sorted(a.body.split()) == [b"err", b"late", b"more", b"out"], "output follow=1", a)
    ok(
        c.output(j["id"], "?stream=stdout").body == b"out\nmore\nlate\n" and
        c.output(j["id"], "?stream=stderr").body == b"err\n", "output of one stream")
    began = time.monotonic()
    j = c.start(["sleep", "0.3"])
    got = c.get(f"/v1/jobs/{j['id']}?wait=1").json()
    ok(
        ended_as(got, exit=0) and 0.2 < time.monotonic() - began < 3, "wait=1 waits for the end",
        got)
    j = c.start(["sleep", "60"])
    got = c.get(f"/v1/jobs/{j['id']}?wait=1&timeout_ms=100").json()
    ok(got["state"] == "running", "and no longer than timeout_ms", got)
    c.post(f"/v1/jobs/{j['id']}/signal", {"signal": "KILL"})


def all_ended(outcomes, **want):
    return all(ended(o, **want) for o in outcomes)


# --- readers


def readers(b, c):
    """many readers with their own pace"""
    n = 3000
    j = c.start(
        f"i=0; while [ $i -lt {n} ]; do echo line $i; i=$((i+1)); done; sleep 0.2; echo end")
    want = b"".join(b"line %d\n" % i for i in range(n)) + b"end\n"
    streams = [c.attach(j["id"], "?from=0", upgrade=k % 2 == 0) for k in range(8)]
    for k, s in enumerate(streams):
        for _ in range(k * 2):  # each has read another part
            s.next()
    got = [s.finish() for s in reversed(streams)]
    ok(all(o.out == want and o.missed == 0 for o in got), "8 readers, each from its own place",
       [len(o.out) for o in got])
    for s in streams:
        s.close()


def overflows(b, c):
    """what is missed"""
    total, keep = 3000000, 65536
    text = b"0123456789" * (total // 10)
    make = [
        *PYTHON, f"import os\nfor i in range({total // 10000}): os.write(1, b'0123456789' * 1000)"
    ]
    with c.exec(make, keep_output=keep, detach=True) as s:
        id = s.next() and s.seen.started["id"]  # and is gone: the job is detached
    j = c.wait(id)
    ok(
        j["output"]["to"] == total and j["output"]["from"] >= total - 2 * keep and
        ended_as(j, exit=0), "a job whose client has gone is held up by nobody", j)
    with c.attach(id, "?from=0") as s:
        o = s.finish()
    ok(
        o.missed == j["output"]["from"] and o.missed + len(o.out) == total and
        text.endswith(o.out) and keep <= len(o.out), "who comes later is told how much is missing",
        (o.missed, len(o.out), total))
    a, z = c.output(id), c.output(id, "?from=-1")
    ok(
        a.fields["pinnace-output-from"] == str(j["output"]["from"]) and text.endswith(a.body) and
        len(a.body) == len(o.out) and z.fields["pinnace-output-from"] == str(total),
        "output from=0 begins with the oldest that is kept, and says where that is", (a, z))
    a = c.output(id, "?from=5")
    ok(
        a.status == 416 and a.error == "range" and
        str(j["output"]["from"]) in a.json()["error"]["message"],
        "and from=5 is 416, for it would have to miss some", a)
    with c.attach(id, f"?from={total - 5}") as s:
        o = s.finish()
    ok(o.missed == 0 and o.out == text[-5:], "but not who asks for what is there", o)
    # one that attached early and does not read
    gate = f"{t.dir}/lag{how[:4]}"
    j = c.start([
        *PYTHON, f"import os, time\nwhile not os.path.exists({gate!r}): time.sleep(0.01)\n"
        f"for i in range(2000): os.write(1, b'0123456789' * 1000)"
    ],
                keep_output=keep)
    with c.attach(j["id"], "?from=0") as lazy:
        lazy.next()
        open(gate, "w").close()
        done = c.wait(j["id"])
        o = lazy.finish()
    ok(
        ended_as(done, exit=0) and o.missed > 0 and o.missed + len(o.out) == 20000000,
        "a reader that lags stalls nobody, and is told what it missed",
        (done, o.missed, len(o.out)))


def lossless(b, c):
    """lossless"""
    total = 20000000  # much more than sockets hold
    text = b"0123456789" * (total // 10)
    j = c.start([
        *PYTHON, "import os, sys\nsys.stdin.read()\n"
        f"for i in range({total // 10000}): os.write(1, b'0123456789' * 1000)"
    ],
                stdin="pipe",
                keep_output=65536)
    with c.attach(j["id"], "?from=0&lossless=1") as s:
        s.next()
        c.post(f"/v1/jobs/{j['id']}/stdin?eof=1")
        at = settled(lambda: (c.job(j["id"])["output"]["to"], time.sleep(0.3))[0],
                     lambda n: n and c.job(j["id"])["output"]["to"] == n, 5)
        ok(0 < at < total and c.job(j["id"])["state"] == "running",
           "a lossless reader holds the job up", at)
        with c.attach(j["id"], "?from=0") as other:
            ok(other.until(lambda o: len(o.out) + o.missed >= min(at, 60000)),
               "and no other reader", (len(other.seen.out), at))
        o = s.finish()
    ok(o.missed == 0 and o.out == text and ended(o, exit=0), "and gets every byte",
       (o.missed, len(o.out)))
    j = c.start([*PYTHON, "import os\nfor i in range(2000): os.write(1, b'0123456789' * 1000)"],
                keep_output=65536)
    with c.attach(j["id"], "?from=0&lossless=1") as s:
        s.next()
        time.sleep(0.1)
    ok(ended_as(c.wait(j["id"]), exit=0), "when it goes the job goes on", c.job(j["id"]))
    with c.exec([*PYTHON, "import os\nfor i in range(2000): os.write(1, b'0123456789' * 1000)"],
                keep_output=65536) as s:
        time.sleep(0.3)
        o = s.finish()
    ok(o.missed == 0 and o.out == text, "exec is lossless", (o.missed, len(o.out)))


# --- the end


def ends(b, c):
    """exit, signal, core, rusage"""
    for n in (0, 1, 127, 255):
        ok(ended(c.run(f"exit {n}"), exit=n), f"exit {n}")
    core = f"{t.dir}/core{how[:2]}"
    os.mkdir(core)
    crash = f"ulimit -c unlimited; cd {core}; kill -SEGV $$"
    if (child := os.fork()) == 0:
        os.execlp("sh", "sh", "-c", crash)
    expected = os.WCOREDUMP(os.waitpid(child, 0)[1])
    o = c.run(crash)
    ok(ended(o, signal=11, core=expected), f"signal 11, core {expected} as without pinnace", o)
    o = c.run("ulimit -c 0; kill -SEGV $$")
    ok(ended(o, signal=11, core=False), "signal 11 without a core", o)
    o = c.run([
        *PYTHON, "import time\nx = b'x' * (64 << 20)\ne = time.process_time() + 0.3\n"
        "while time.process_time() < e: pass"
    ])
    end = o.end or {}
    ok(
        end.get("user_ms", 0) + end.get("system_ms", 0) >= 280 and
        (64 << 20) <= end.get("max_rss", 0) < (512 << 20), "rusage", end)
    began = time.monotonic()
    o = c.run("(sleep 1; echo late) & echo now")
    took = time.monotonic() - began
    ok(o.out == b"now\n" and ended(o, exit=0) and took < 0.9,
       "a grandchild that keeps stdout does not hold up the end", (took, o))
    late = settled(lambda: c.output(o.started["id"]).body, lambda text: b"late" in text, 4)
    ok(late == b"now\nlate\n", "and what it prints later is kept", late)
    o = c.run("echo x; exec >&- 2>&-; sleep 0.5; exit 4")
    ok(o.out == b"x\n" and ended(o, exit=4) and o.ended["ran_ms"] >= 500,
       "closing stdout is not the end", o)
    o = c.run("yes 0123456789 | head -c 1000000; exit 9")
    ok(len(o.out) == 1000000 and ended(o, exit=9), "the end comes after all output", len(o.out))


def failures(b, c):
    """spawn failures"""
    with open(f"{t.dir}/noexec", "w") as f:
        f.write("x")
    bad = f"{t.dir}/badformat"
    with open(bad, "wb") as f:
        f.write(b"\x7fELF\0\0nothing")
    os.chmod(bad, 0o755)
    inner = f"{t.dir}/nointerp"
    with open(inner, "w") as f:
        f.write("#!/no/such/interpreter\n")
    os.chmod(inner, 0o755)
    table = (({
        "argv": ["no-such-command-here"]
    }, "not_found"), ({
        "argv": ["/no/such/file"]
    }, "not_found"), ({
        "argv": [inner]
    }, "not_found"), ({
        "argv": [f"{t.dir}/noexec"]
    }, "permission"), ({
        "argv": ["/"]
    }, "permission"), ({
        "argv": ["true"],
        "cwd": "/no/such/directory"
    }, "bad_cwd"), ({
        "argv": ["true"],
        "cwd": "/etc/passwd"
    }, "bad_cwd"), ({
        "argv": ["true"],
        "cwd": "/root",
        "user": "tester"
    }, "bad_cwd"), ({
        "argv": ["true"],
        "user": "no-such-user"
    }, "unknown_user"), ({
        "argv": ["true"],
        "user": "root:no-such-group"
    }, "unknown_user"), ({
        "argv": [bad]
    }, "bad_format"), ({
        "argv": ["true", "x" * 200000]
    }, "too_long"), ({
        "argv": ["true", *["x" * 1000] * 9000]
    }, "too_long"))
    before = {j["id"] for j in c.jobs()}
    for ask, reason in table:
        name = str(ask)[:70]
        a = c.post("/v1/jobs", ask)
        ok(a.status == 422 and a.error == reason and a.json()["error"]["code"] == "unprocessable",
           f"{name}: {reason}", a)
        e = c.post("/v1/exec", ask, **JSON)
        u = c.stream("POST", "/v1/exec", ask)
        ok(e.status == 422 == u.status and e.error == reason == u.error, f"{name}: exec, too",
           (e, u))
    a = c.post("/v1/jobs", {"argv": ["no-such-command-here"]})
    ok("no-such-command-here" in a.json()["error"]["message"],
       "the message names what was not found", a)
    a = c.post("/v1/jobs", {"argv": ["/bin/echo", "x" * 200000]})
    ok("'/bin/echo': words and variables are too long" in a.json()["error"]["message"],
       "or what was too long", a)
    ok({j["id"] for j in c.jobs()} == before, "and none of them was a job")
    a = c.post("/v1/jobs", {"argv": ["no-such"], "key": f"fails{how}"})
    ok(
        a.status == 422 and c.post("/v1/jobs", {
            "argv": ["true"],
            "key": f"fails{how}"
        }).status == 201, "a key of one that never ran is free", a)


def forgetting(b, c):
    """forget"""
    j = c.start(["sleep", "60"])
    a = c.delete(f"/v1/jobs/{j['id']}")
    ok(a.status == 409 and a.error == "state", "DELETE while it runs: 409", a)
    c.post(f"/v1/jobs/{j['id']}/signal", {"signal": 9})
    c.wait(j["id"])
    a, again = c.delete(f"/v1/jobs/{j['id']}"), c.delete(f"/v1/jobs/{j['id']}")
    ok(
        a.status == 204 and again.status == 404 and again.error == "not_found" and
        j["id"] not in [x["id"] for x in c.jobs()], "then: 204, and it is gone", (a, again))
    pipe = c.start("sleep 60 & echo x")
    c.wait(pipe["id"])
    before = fds(b.init)
    a = c.delete(f"/v1/jobs/{pipe['id']}")
    after = settled(lambda: fds(b.init), lambda n: n < before)
    ok(a.status == 204 and after < before, "forgetting gives back what PID 1 held", (before, after))
    for p in of_job(b, pipe["id"]):
        os.kill(p, signal.SIGKILL)


def collected(b, c):
    """exec with Accept: application/json"""
    a = c.post("/v1/exec", {"shell": "echo out; echo err >&2; exit 3"}, **JSON)
    j = a.json()
    ok(
        a.status == 200 and j["stdout"] == "out\n" and j["stderr"] == "err\n" and
        ended_as(j, exit=3) and "truncated" not in j and
        a.fields["content-type"] == "application/json", "the job, stdout and stderr", a)
    j = c.post("/v1/exec", {"argv": ["printf", "\\377\\000x"]}, **JSON).json()
    ok(
        base64.b64decode(j.get("stdout_base64", "")) == b"\xff\0x" and "stdout" not in j and
        j["stderr"] == "", "base64 where it is not UTF-8", j)
    j = c.post("/v1/exec", {"argv": ["printf", "\\000\\033\"\\\\\\t"]}, **JSON).json()
    ok(j.get("stdout") == "\0\x1b\"\\\t", "control characters are escaped", j)
    j = c.post("/v1/exec", {"shell": "yes | head -c 3000000"}, **JSON).json()
    ok(
        len(j["stdout"]) == 1 << 20 and j["truncated"] is True and ended_as(j, exit=0),
        "at most 1 MiB, and said so",
        (len(j.get("stdout", "")), {k: v
                                    for k, v in j.items() if k != "stdout"}))
    j = c.post("/v1/exec", {"shell": "yes '\u20ac' | tr -d '\\n' | head -c 3000000"}, **JSON).json()
    ok(
        j.get("stdout") == "\u20ac" * ((1 << 20) // 3) and j["truncated"] is True,
        "and cut between two letters", list(j))
    j = c.post("/v1/exec", {
        "shell": "printf 'x%.0s' $(seq 70000); printf '\\303'; sleep 0.1; "
        "printf '\\251'"
    }, **JSON).json()
    ok(
        j.get("stdout", "")[-2:] == "xé", "a character that came in two pieces is one",
        str(j)[-300:])


# --- clients that go, or misbehave

gone = {}


def leaver_goes(b, c):
    """a client that goes"""
    mark = f"{t.dir}/hup{how[:4]}"
    s = c.exec(f"trap 'echo hup > {mark}' HUP; trap '' TERM; setsid sleep 67 & echo up; "
               "while :; do sleep 0.05; done")
    s.until(lambda o: b"up" in o.out)
    s.close()
    gone.update(id=s.seen.started["id"], mark=mark, at=time.monotonic())


def leaver_has_gone(b, c):
    """a client that has gone"""
    id = gone["id"]
    wait_for(lambda: os.path.exists(gone["mark"]), 1)
    ok(os.path.exists(gone["mark"]), "a client that goes: HUP to its job",
       time.monotonic() - gone["at"])
    left = settled(lambda: of_job(b, id), lambda x: not x, 4)
    ok(not left and ended_as(c.wait(id), signal=9, core=False), "then KILL, to all of it",
       (left, c.job(id)))


def leavers(b, c):
    """clients that leave, in other ways"""
    s = c.exec(["sleep", "60"], detach=True)
    s.next()
    s.close()
    with c.exec(["sleep", "60"]) as d:
        d.next()
        d.send(DETACH)
        ok(d.next() is None, "detach: the stream is closed", d.seen)
    time.sleep(0.3)
    two = [s.seen.started["id"], d.seen.started["id"]]
    ok([c.job(id)["state"] for id in two] == ["running"] * 2, "detached jobs go on", c.jobs()[-2:])
    with c.attach(two[0]) as s:
        s.next()
    time.sleep(0.2)
    ok(c.job(two[0])["state"] == "running", "who was only attached takes nothing along")
    for id in two:
        c.post(f"/v1/jobs/{id}/signal", {"signal": 9})
    for name, text in (("a reserved frame", struct.pack(">B3xI", WINDOW, 4) + b"\0\0\0\1"),
                       ("a server's frame", struct.pack(">B3xI", STDOUT, 1) + b"x"),
                       ("an unknown frame", struct.pack(">B3xI", 77, 0)), ("bytes that must be 0",
                                                                           b"\0\1\0\0\0\0\0\1x"),
                       ("more than 1 MiB", struct.pack(">B3xI", STDIN, (1 << 20) + 1)),
                       ("a resize of 3 bytes", struct.pack(">B3xI", 3, 3) + b"\0\1\0"),
                       ("a signal's name of 1 MiB",
                        struct.pack(">B3xI", SIGNAL, 1 << 20) + b"T" * 100)):
        s = c.exec(["sleep", "60"], stdin="pipe")
        s.next()
        s.wire.sock.sendall(text)
        try:
            s.finish()
            gone = s.seen.ended is None
        except OSError:
            gone = True
        s.close()
        ok(gone and c.wait(s.seen.started["id"], 4).get("state") == "ended",
           f"{name}: the client is disconnected, its job with it", s.seen)


    mark = f"{t.dir}/usr1{how[:4]}"
    with c.exec(f"trap 'echo > {mark}' USR1; trap 'gone=1' HUP; echo up; "
                "while [ -z \"$gone\" ]; do sleep 0.02; done") as s:
        s.until(lambda o: b"up" in o.out)
        s.wire.sock.sendall(struct.pack(">B3xI", 3, 3) + b"\0\1\0" + frame(SIGNAL, b"USR1"))
        c.wait(s.seen.started["id"], 4)
    ok(not os.path.exists(mark), "what comes behind such a frame is not looked at")


# --- requests


def requests(b, c):
    """HEAD, 404, 405, bodies"""
    j = c.start(["true"])
    c.wait(j["id"])
    full, head = c.get(f"/v1/jobs/{j['id']}"), c.call("HEAD", f"/v1/jobs/{j['id']}")
    ok(
        head.status == 200 and head.body == b"" and
        head.fields["content-length"] == full.fields["content-length"],
        "HEAD is GET without the body", (full, head))
    long = c.start(["sleep", "60"])
    for what in ("output?follow=1", "attach"):
        target = f"/v1/jobs/{long['id']}/{what}"
        head, rest = c.call("HEAD", target), None
        with contextlib.suppress(TimeoutError):
            rest = c.get("/livez")
        ok(head.status == 200 and not head.body and rest and rest.status == 200,
           f"HEAD of {what}: its head, and the connection goes on", (head, rest))
    c.post(f"/v1/jobs/{long['id']}/signal", {"signal": "KILL"})
    for method, target, allow in (("POST", "/v1/status", {"GET", "HEAD"}),
                                  ("PUT", "/v1/exec", {"POST"}), ("GET", "/v1/exec", {"POST"}),
                                  ("DELETE", "/v1/jobs", {"GET", "HEAD",
                                                          "POST"}), ("PUT", f"/v1/jobs/{j['id']}",
                                                                     {"GET", "HEAD", "DELETE"}),
                                  ("BREW", "/livez", {"GET",
                                                      "HEAD"}), ("get", "/livez", {"GET", "HEAD"})):
        a = c.call(method, target)
        got = set(re.split(", *", a.fields.get("allow", ""))) - {"OPTIONS"}
        ok(a.status == 405 and a.error == "method" and got | {"HEAD"} == allow | {"HEAD"},
           f"{method} {target}: 405, Allow", a)
    for target in ("/", "/v1", "/v1/", "/v1/nothing", "/v1/jobs/", "/v1/jobs/000000000000",
                   "/v1/jobs/nonsense", f"/v1/jobs/{j['id']}/", f"/v1/jobs/{j['id']}/nothing",
                   "/v1//jobs", "/V1/jobs", "/v1/jobs/%00", "/v1/jobs/..", "/v1/jobs/../status"):
        a = c.get(target)
        ok(a.status == 404 and a.error == "not_found" or ("%00" in target and a.status == 400),
           f"GET {target}: 404", a)
    for target in ("/v1/jobs?x=1", "/v1/status?before=1", f"/v1/jobs/{j['id']}?tag=x",
                   f"/v1/jobs/{j['id']}/output?follow=yes", f"/v1/jobs/{j['id']}/output?follow=",
                   f"/v1/jobs/{j['id']}/output?stream=both", "/v1/jobs?tag=%zz", "/v1/jobs?tag=%0",
                   "/v1/jobs?tag=" + "x" * 64, "/v1/status?after=", "/v1/status?after=-1",
                   "/v1/status?after=x"):
        a = c.get(target)
        ok(a.status == 400 and a.error == "invalid", f"GET {target}: 400", a)


BODIES = (
    (b"", "nothing"),
    (b"{", "half"),
    (b"[]", "a list"),
    (b"null", "null"),
    (b"\"x\"", "a text"),
    (b"{}", "no command"),
    (b"{\"argv\":[\"true\"]}x", "more after it"),
    (b"{\"argv\":[\"true\"],}", "a comma too many"),
    (b"\xff\xfe", "no UTF-8"),
    (b"{\"argv\":[\"\xff\"]}", "bad UTF-8 within"),
    (b"{\"argv\":[\"\\ud800\"]}", "half a surrogate"),
    ({
        "argv": []
    }, "no word"),
    ({
        "argv": [""]
    }, "an empty command"),
    ({
        "argv": "true"
    }, "argv a text"),
    ({
        "argv": [1]
    }, "argv a number"),
    ({
        "argv": ["a\0b"]
    }, "NUL in argv"),
    ({
        "argv": ["x"] * 65537
    }, "65 537 words"),
    ({
        "argv": ["true"],
        "env": {
            f"V{i}": "" for i in range(4097)
        }
    }, "4 097 variables"),
    ({
        "argv": ["true"],
        "shell": "true"
    }, "argv and shell"),
    ({
        "shell": 1
    }, "shell a number"),
    ({
        "argv": ["true"],
        "login": True
    }, "login with argv"),
    ({
        "shell": "true",
        "login": "yes"
    }, "login a text"),
    ({
        "argv": ["true"],
        "unknown": 1
    }, "unknown"),
    ({
        "argv": ["true"],
        "Argv": ["true"]
    }, "Argv"),
    ({
        "argv": ["true"],
        "timeout": 5
    }, "timeout"),
    ({
        "argv": ["true"],
        "env": []
    }, "env a list"),
    ({
        "argv": ["true"],
        "env": {
            "A": 1
        }
    }, "env a number"),
    ({
        "argv": ["true"],
        "env": {
            "A=B": "c"
        }
    }, "'=' in a name"),
    ({
        "argv": ["true"],
        "env": {
            "": "c"
        }
    }, "no name"),
    ({
        "argv": ["true"],
        "env": {
            "A": "b\0c"
        }
    }, "NUL in a value"),
    ({
        "argv": ["true"],
        "cwd": 1
    }, "cwd a number"),
    ({
        "argv": ["true"],
        "cwd": "/a\0b"
    }, "NUL in cwd"),
    ({
        "argv": ["true"],
        "user": 1
    }, "user a number"),
    ({
        "argv": ["true"],
        "stdin": "file"
    }, "stdin"),
    ({
        "argv": ["true"],
        "stdin": True
    }, "stdin true"),
    ({
        "argv": ["true"],
        "pty": True
    }, "pty true"),
    ({
        "argv": ["true"],
        "pty": {
            "rows": -1
        }
    }, "rows -1"),
    ({
        "argv": ["true"],
        "pty": {
            "rows": 70000,
            "cols": 1
        }
    }, "rows 70000"),
    ({
        "argv": ["true"],
        "pty": {
            "width": 1
        }
    }, "pty.width"),
    ({
        "argv": ["true"],
        "timeout_ms": 0
    }, "timeout 0"),
    ({
        "argv": ["true"],
        "timeout_ms": -1
    }, "timeout -1"),
    ({
        "argv": ["true"],
        "timeout_ms": 1.5
    }, "timeout 1.5"),
    ({
        "argv": ["true"],
        "timeout_ms": "1"
    }, "timeout text"),
    ({
        "argv": ["true"],
        "timeout_ms": 1 << 63
    }, "timeout 2^63"),
    ({
        "argv": ["true"],
        "kill_after_ms": -1
    }, "kill_after -1"),
    ({
        "argv": ["true"],
        "tag": 1
    }, "tag a number"),
    ({
        "argv": ["true"],
        "tag": "a\0"
    }, "NUL in tag"),
    ({
        "argv": ["true"],
        "keep_output": (64 << 20) + 1
    }, "keep 64 MiB + 1"),
    ({
        "argv": ["true"],
        "keep_output": -1
    }, "keep -1"),
    ({
        "argv": ["true"],
        "detach": 1
    }, "detach 1"),
    (b"{\"argv\":[\"true\"],\"argv\":[\"false\"]}", "argv twice"),
    (b"[" * 100000, "100000 lists"),
    (b"{\"argv\":" * 20000, "20000 objects"),
)


def bodies(b, c):
    """invalid bodies"""
    before = len(c.jobs())
    for body, name in BODIES:
        a = c.post("/v1/jobs", body)
        ok(a.status == 400 and a.error == "invalid" and len(a.body) < 1000, f"{name}: 400", a)
        if a.status == 201:
            c.delete(f"/v1/jobs/{a.json()['id']}")
    a = c.post("/v1/jobs", {"argv": ["true"], "timeuot_ms": 1})
    ok("timeuot_ms" in a.json()["error"]["message"], "the message names the member", a)
    ok(len(c.jobs()) == before, "no job came of any of them", c.jobs()[before:])
    a = c.stream("POST", "/v1/exec", {"argv": []})
    ok(isinstance(a, Answer) and a.status == 400, "an upgrade with an invalid body: 400", a)
    big = {"shell": "cat >/dev/null", "env": {}, "tag": "big"}
    a = c.post("/v1/exec", json.dumps(big) + " " * (8 << 20), **JSON)
    ok(a.status == 200, "a body of 8 MiB", a)


# --- a job that has not begun: whoever looks its user up has no answer yet

NAMES = f"{t.dir}/names"  # where nscd(8) would be
SLOW_NAMES = [
    "sh", "-c", f"mount -t tmpfs none /run && mkdir /run/nscd && mount --bind {NAMES} /run/nscd && "
    "exec \"$@\"", "sh"
]


def said(c, method, target, body=b""):
    """A connection that has said this, and waits for what comes of it."""
    wire = Wire(c.connect())
    wire.sock.sendall(c.head(method, target, {}, body) + body)
    return wire


def heard(wire, method="GET"):
    with contextlib.suppress(TimeoutError):
        got = Answer(*wire.head())
        got.body = b"".join(wire.body(got.status, got.fields, method))
        return got
    return None


def beginning(b, c):
    """a job that has not begun"""
    with socket.socket(socket.AF_UNIX) as names:
        names.bind(f"{NAMES}/socket")
        names.listen()
        names.settimeout(5)
        body = {"argv": ["cat"], "user": "not-known-yet", "tag": "slow", "stdin": "pipe"}
        first = said(c, "POST", "/v1/jobs", json.dumps(body).encode())
        asks = names.accept()[0]
    listed = c.jobs("?tag=slow")
    waits, reads = said(c, "GET", "/v1/jobs/slow?wait=1"), said(c, "GET", "/v1/jobs/slow/output")
    feeds = said(c, "POST", "/v1/jobs/slow/stdin", b"x" * 150000)
    time.sleep(0.3)
    asks.close()
    a = heard(first, "POST")
    ok(listed == [] and a and a.status == 422 and a.error == "unknown_user",
       "is none, and then is refused", (listed, a))
    a = heard(waits)
    ok(a and a.status == 404 and "not-known-yet" in a.json()["error"]["message"],
       "who waits for its end is told that it never began", a)
    a = heard(reads)
    ok(a and a.status == 422, "and who reads its output", a)
    a = heard(feeds, "POST")
    ok(a and a.status == 409, "and who feeds it", a)
    for wire in (first, waits, reads, feeds):
        wire.sock.close()
    ok(c.get("/v1/jobs/slow").status == 404, "then it is forgotten")


how = ""
ROWS = (leaver_goes, words, surroundings, users, inputs, closed_inputs, pipes, terminals, signals,
        scopes, timeouts, keys, lists, attachments, readers, overflows, lossless, ends, failures,
        forgetting, collected, leavers, requests, bodies, leaver_has_gone)

os.mkdir(f"{t.dir}/path")
with open(f"{t.dir}/path/no-such-by-default", "w") as f:
    f.write("#!/bin/sh\necho found\n")
os.chmod(f"{t.dir}/path/no-such-by-default", 0o755)
only = os.environ.get("ROWS", "").split()  # for a look at some of them
for pid1, how in ((True, "unix, PID 1"), (False, "tcp, run")):
    port = free_port()
    b = Box(t,
            tcp_section(port), ["sleep", "600"],
            pid1=pid1,
            wrap=PEOPLE,
            env={
                "GIVEN": "given",
                "GONE": "gone"
            })
    c = unix(b) if pid1 else tcp(port)
    if not t.ok(wait_for(lambda: b.status().get("ready")), f"{how}: the box is there", b):
        t.done()
    c.delete(f"/v1/jobs/{c.run(['true']).started['id']}")
    c.close()
    time.sleep(0.3)
    base = fds(b.init), fds(b.role("channel"))
    rows(t, how, [r for r in ROWS if not only or r.__name__ in only], b, c)
    for j in c.jobs():
        if j["state"] == "running":
            c.post(f"/v1/jobs/{j['id']}/signal", {"signal": "KILL"})
    for j in c.jobs():
        if c.wait(j["id"])["state"] == "ended":
            c.delete(f"/v1/jobs/{j['id']}")
    c.close()
    after = settled(lambda: (fds(b.init), fds(b.role("channel"))), lambda n: n == base)
    t.ok(after == base, f"{how}: no fd is left behind, in PID 1 or the channel", (base, after))
    t.ok(not b.zombies() and b.status().get("role_restarts") == 0 and b.status().get("bugs") == 0,
         f"{how}: no zombie, no bug, and the channel has survived all this",
         (b.zombies(), b.status(), b))
    b.kill()
how = "a slow name service"
if (not only or "beginning" in only) and os.path.realpath("/var/run") == "/run":
    os.mkdir(NAMES)
    b = Box(t, "", ["sleep", "600"], wrap=SLOW_NAMES)
    t.ok(wait_for(lambda: b.status().get("ready")), f"{how}: the box is there", b)
    rows(t, how, [beginning], b, unix(b, timeout=4))
    b.kill()
t.done()
