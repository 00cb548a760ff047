#!/usr/bin/env python3
"""What services say: on the console, in files; all of it, whatever happens to the role."""
import json
import os
import signal
import socket
import time

from box import BOTH, Box, program, read, words
from tap import Tap, wait_for

t = Tap()
MIB = 1 << 20


def sh(text):
    return words("sh", "-c", text)


def said(b, name="s"):
    """What the service has said, as the console shows it."""
    return [x[len(name) + 3:] for x in b.err().splitlines() if x.startswith(name + " | ") and
            x != name + " | Terminated"]  # a shell about its child


# --- how it looks
for pid1, how in BOTH:
    b = Box(t, "[service s]\nrestart = never\ncommand = " +
            sh("echo one; echo two >&2; printf '\\n  three  \\n'; printf partial") + "\n",
            pid1=pid1)
    wait_for(lambda: "partial" in b.err())
    t.ok(said(b) == ["one", "two", "", "  three  ", "partial"],
         f"{how}: NAME | line, for stdout and stderr, and an unfinished one at the end", b)
    t.ok(b.end()[0] == 0 and said(b)[-1] == "partial" and b.err().endswith("\n"),
         f"{how}: it is told once, with a newline", b)

b = Box(t, f"[service s]\ncommand = {sh('printf name:; sleep 60')}\n")
t.ok(b.says("s | name:\n", 3), "an unfinished line of one who goes on is shown soon", b)
b.kill()

go = f"{t.dir}/go"
b = Box(t, "[service s]\nlog = file\ncommand = " +
        sh(f"until test -e {go}; do sleep 0.02; done; seq 30000; sleep 60") + "\n")
role = wait_for(lambda: b.role("log"))
os.kill(role, signal.SIGSTOP)
open(go, "w").close()
time.sleep(0.3)
os.kill(role, signal.SIGCONT)
kept = f"{b.run_dir}/log/s.log"
wait_for(lambda: read(kept).endswith(" 30000\n"))
t.ok([x.split(" ")[1] for x in read(kept).splitlines()] == [str(i + 1) for i in range(30000)],
     "no line is broken where the pipe was full", read(kept)[-200:])
b.kill()

RAW = program(t, r"""
import os, sys
os.write(1, b"bell\x07 esc\x1b[1m tab\t del\x7f cr\r\n")
os.write(1, b"nul\x00end\n")
os.write(1, "gr\u00fc\u00df \u2603\n".encode() + b"not utf8: \xff\xc3\n" + b'quote " back \\\n')
os.write(1, b"last\n")
""")
b = Box(t, f"[service s]\nrestart = never\ncommand = {words(*RAW)}\n")
b.says("s | last")
t.ok("s | bell\\x07 esc\x1b[1m tab\t del\\x7f cr\n" in b.err() and "s | nul\\x00end\n" in b.err()
     and "s | grüß ☃\n" in b.err(), "control bytes are escaped, but colours, tabs, UTF-8 pass", b)
b.kill()

b = Box(t, "[pinnace]\nlog = json\n[service s]\nready = log:last\nrestart = never\ncommand = " +
        words(*RAW) + "\n[service bad]\ncommand = /nonexistent/daemon\n[main]\nstart = now\n",
        ["sleep", "60"])
b.says('"last"')
b.wait_unit("bad", "failed")
b.end()
docs = []
for line in b.err().splitlines():
    try:
        docs.append(json.loads(line))
    except ValueError:
        docs.append({"bad": line})
mine = [d["msg"] for d in docs if d.get("unit") == "s" and d.get("level") == "output"]
t.ok(docs and not any("bad" in d for d in docs) and
     all(set(d) == {"ts", "level", "unit", "msg"} for d in docs), "log = json: every line is", docs)
t.ok(mine[:3] == ["bell\x07 esc\x1b[1m tab\t del\x7f cr\r", "nul\0end", "grüß ☃"] and
     mine[4:] == ['quote " back \\', "last"] and mine[3].startswith("not utf8: "),
     "and says what was said", mine)
t.ok(any(d["level"] == "error" and d["unit"] == "bad" for d in docs), "our own lines as well", docs)

# --- long lines: cut in pieces of 16 KiB, nothing of them lost
LONG = program(t, r"""
import os, sys
kind = sys.argv[1].encode().decode("unicode_escape").encode("latin1")
data = bytes(kind[i % len(kind)] for i in range(int(sys.argv[2])))
def put(data):
    while data:
        data = data[os.write(1, data):]
put(data + b"\n")
put(b"next\n")
""")
for kind, n, shown in (("abcdefghij", 16383, None), ("abcdefghij", 16384, None),
                       ("abcdefghij", 100000, None), ("\\x01", 40000, "\\x01")):
    b = Box(t, f"[service s]\nrestart = never\ncommand = {words(*LONG, kind, str(n))}\n")
    b.says("s | next")
    lines = said(b)
    body = "".join(lines[:-1])
    want = (shown or "") * n or ("abcdefghij" * n)[:n]
    t.ok(lines and lines[-1] == "next" and body == want,
         f"a line of {n} bytes of {kind} is shown whole", (len(lines), len(body), len(want)))
    longest = max(map(len, lines), default=0)
    t.ok(longest <= 16384 * len(shown or "x"), "in pieces of at most 16 KiB", longest)
    b.kill()

# --- files
for where in ("", "log"):
    ini = f"[pinnace]\nlog-dir = {t.dir}/{where}\n" if where else ""
    os.makedirs(f"{t.dir}/log", exist_ok=True)
    b = Box(t, ini + "".join(
        f"[service {n}]\nrestart = never\nlog = {n}\ncommand = {sh(f'echo word of {n}')}\n"
        for n in ("both", "console", "file")), ["sleep", "60"])
    place = f"{t.dir}/{where}" if where else f"{b.run_dir}/log"
    b.says("both | word of both")
    b.says("console | word")
    wait_for(lambda: "word" in read(f"{place}/file.log"))
    stamped = read(f"{place}/both.log")
    t.ok(stamped[:4].isdigit() and stamped.endswith("Z word of both\n"),
         f"log-dir = {where or 'auto'}: NAME.log has it with a time", stamped)
    t.ok("file | word" not in b.err() and not read(f"{place}/console.log"),
         "log = console and log = file keep to theirs", b)
    b.kill()
b = Box(t, "[pinnace]\nlog-dir = none\n[service s]\nrestart = never\ncommand = echo word\n")
b.says("s | word")
t.ok(not os.path.exists(f"{b.run_dir}/log"), "log-dir = none", b)
b.kill()

MUCH = program(t, """
import os, sys, time
first, n, pad = int(sys.argv[1]), int(sys.argv[2]), "x" * int(sys.argv[3])
out = open(1, "w", buffering=8192, closefd=False)
for i in range(first, first + n):
    out.write(f"line {i} {pad}\\n")
out.flush()
print("end", flush=True)
time.sleep(60)
""")
b = Box(t, f"[service s]\nready = log:^end\nlog = file\ncommand = "
        f"{words(*MUCH, '0', '40000', '60')}\n")
b.wait_ready()
names = sorted(os.listdir(f"{b.run_dir}/log"))
sizes = [os.path.getsize(f"{b.run_dir}/log/{n}") for n in names]
kept = [int(x.split()[2]) for n in reversed(names)
        for x in read(f"{b.run_dir}/log/{n}").splitlines() if " line " in x]
t.ok(names == ["s.log", "s.log.1"] and sizes[0] <= MIB + 200 and MIB - 400 < sizes[1] <= MIB + 200,
     "a file is rotated at 1 MiB, one older is kept", (names, sizes))
t.ok(kept == list(range(40000 - len(kept), 40000)) and len(kept) > MIB // 110,
     "together they have the last lines, none missing", (len(kept), kept[:2], kept[-2:]))
b.kill()

# --- the role dies
N = 200000
for pid1, how in BOTH:
    b = Box(t, "[service s]\nready = log:^end\nlog = console\n"
            f"command = {words(*MUCH, '0', str(N), '10')}\n", pid1=pid1)
    kills = 0
    wait_for(lambda: len(b.err()) > 1000)
    while not b.says("s | end", 0.02) and kills < 8:
        pid = wait_for(lambda: b.role("log"), 5)
        if pid:
            os.kill(pid, signal.SIGKILL)
            kills += 1
    b.says("s | end", 30)
    seen, odd = [], []
    for x in said(b):
        w = x.split()
        if w[0] == "line" and len(w) == 3 and w[1].isdigit() and w[2] == "x" * 10:
            seen.append(int(w[1]))
        elif x != "end":
            odd.append(x)
    lost = N - len(set(seen))
    twice = len(seen) - len(set(seen))
    t.ok(kills >= 2 and lost == 0, f"{how}: killing the log role loses none of {N} lines",
         (kills, lost, sorted(set(range(N)) - set(seen))[:10], odd[:5]))
    t.ok(twice <= 400 * kills, f"{how}: and repeats few", (twice, kills))
    t.diag(f"{kills} kills, {twice} lines twice, {len(odd)} cut")
    t.ok(len(odd) <= kills, f"{how}: and cuts at most the one being written", odd[:10])
    t.ok(b.wait_ready(), f"{how}: and what a log probe waits for is still found", b)
    b.kill()

# What the role said just before it died is heard: PID 1 is made to see its end first.
go = os.path.join(t.dir, "go-")
b = Box(t, f"[service s]\nready = log:listening\ncommand = "
        f"{sh(f'while ! [ -e {go} ]; do sleep 0.01; done; echo listening; exec sleep 60')}\n"
        "[main]\nstart = now\n", ["sleep", "60"], pid1=False)
b.wait_unit("s", "starting")
role = b.role("log")
b.signal(signal.SIGSTOP)
b.signal(signal.SIGURG)
open(go, "w").close()
b.says("s | listening")
time.sleep(0.05)
os.kill(role, signal.SIGKILL)
time.sleep(0.05)
b.signal(signal.SIGCONT)
t.ok(b.wait_unit("s", "ready", seconds=3), "the last words of a role that was killed are heard", b)
b.kill()

# --- nobody reads the console
done = [os.path.join(t.dir, f"done{i}") for i in range(2)]
r, w = os.pipe()
ours, theirs = socket.socketpair()
stuck = [Box(t, f"[service s]\nlog = console\ncommand = " +
             sh(f"i=0; while [ $i -lt 20000 ]; do echo line $i of a service that says much; "
                f"i=$((i+1)); done; touch {done[i]}; exec sleep 60") + "\n", stderr=err)
         for i, err in enumerate((w, theirs))]
os.close(w)
theirs.close()
began = time.monotonic()
for b, done_file, read_end, what in zip(stuck, done, (r, ours.fileno()), ("pipe", "socket")):
    b.wait_ready()
    asked = time.monotonic()
    code, _ = b.get("/readyz")
    t.ok(code == 200 and time.monotonic() - asked < 1, f"a stuck console ({what}): PID 1 goes on",
         code)
    through = wait_for(lambda: os.path.exists(done_file), 15)
    t.ok(through, f"a stuck console ({what}): the service goes on in the end",
         time.monotonic() - began)
for b, read_end, what in zip(stuck, (r, ours.fileno()), ("pipe", "socket")):
    os.set_blocking(read_end, False)
    text = b""
    end = time.monotonic() + 5
    while b"dropped while the console was stuck" not in text and time.monotonic() < end:
        try:
            text += os.read(read_end, 65536)
        except BlockingIOError:
            time.sleep(0.01)
    t.ok(b"lines of services were dropped" in text, f"a stuck console ({what}): and it is told",
         text[-300:])
    began = time.monotonic()
    t.ok(b.end()[0] == 0 and time.monotonic() - began < 4, f"a stuck console ({what}): and it ends")
os.close(r)
ours.close()
r, w = os.pipe()
b = Box(t, f"[service s]\nlog = console\ncommand = {sh('while echo much; do :; done')}\n", stderr=w)
os.close(w)
b.wait_ready()
time.sleep(0.2)  # until it is stuck
status, took = b.end()
t.ok(status == 0 and took < 4, "a console that is stuck for good does not keep the box", took)
os.close(r)

# --- the end of a process and the end of its output are two things
for pid1, how in BOTH:
    b = Box(t, "[service s]\nrestart = never\ncommand = " +
            sh(f"echo before; (setsid sh -c 'echo > {go}{int(pid1)}; sleep 0.6; echo after; "
               f"sleep 60' &); while ! [ -e {go}{int(pid1)} ]; do sleep 0.01; done; exit 0") + "\n",
            ["sleep", "60"], pid1=pid1)
    u = b.wait_unit("s", "done", seconds=2)
    t.ok(u and time.monotonic() - b.began < 0.6 + 1, f"{how}: an orphan that holds stdout does not "
         "hide the end of its service", (u, b))
    t.ok(b.says("s | after", 3) and said(b) == ["before", "after"], f"{how}: and is still heard", b)
    b.kill()

    b = Box(t, "[service s]\nready = log:up\ncommand = " +
            sh("trap 'i=0; while [ $i -lt 5000 ]; do echo bye $i; i=$((i+1)); done; exit 0' TERM; "
               "echo up; while :; do sleep 0.01; done") + "\n", pid1=pid1)
    b.wait_ready()
    status, _ = b.end()
    t.ok(status == 0 and said(b) == ["up"] + [f"bye {i}" for i in range(5000)],
         f"{how}: the last words at shutdown are all shown", (len(said(b)), said(b)[-3:]))
    b = Box(t, "[pinnace]\ngrace = 300ms\n[service s]\nready = log:up\ncommand = " +
            sh("trap 'echo never' TERM; echo up; while :; do sleep 0.01; done") + "\n", pid1=pid1)
    b.wait_ready()
    status, _ = b.end()
    t.ok(status == 0 and said(b)[:2] == ["up", "never"], f"{how}: also of one that is killed", b)
    t.ok("role" not in b.err(), f"{how}: and that roles are killed at last is no news", b)
t.done()
