#!/usr/bin/env python3
"""Many jobs, many clients, many bytes: bounded memory, no leak, and nobody is held up by others.

PINNACE_SLOW=1: 10 000 execs instead of 1 000, and 4 GiB each way instead of an eighth.
"""
import contextlib
import json
import os
import resource
import socket
import struct
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from box import Box
from channel import (ENDED, STARTED, STDOUT, Client, fds, free_port, memory, rows, settled,
                     tcp_section, unix)
from tap import Tap, children, start, wait_for

t = Tap()
SLOW = bool(os.environ.get("PINNACE_SLOW"))
GIB = 1 << 30
only = os.environ.get("ROWS", "").split()
LEAK = 24  # KiB: of 800 execs, about 30 bytes each
BENCH = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "bench")
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 16384), hard))


def ok(cond, name, diag=""):
    return t.ok(cond, name, diag)


def both(b):
    """(pid 1, channel)"""
    return b.init, b.role("channel")


def latency(c, n=20):
    """The longest of some answers, in seconds."""
    took = []
    for _ in range(n):
        began = time.monotonic()
        code = c.get("/v1/status").status
        took.append(time.monotonic() - began if code == 200 else 99)
    return max(took)


def compiled(name, source, *flags):
    """A program of C, linked statically: then it is the channel that takes the time."""
    path = os.path.join(t.dir, name)
    subprocess.run(["gcc", "-O1", "-static", "-D_GNU_SOURCE", *flags, source, "-o", path],
                   check=True, timeout=60)
    return path


def anonymous(pid):
    """KiB of memory that are a process's own, to the page."""
    with open(f"/proc/{pid}/smaps_rollup") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("Anonymous:"))


def at_once(c, requests, clients=8):
    """Their answers, asked for by several clients."""
    def ask(part):
        mine = Client(c.address, timeout=c.timeout)
        answers = mine.many(part)
        mine.close()
        return answers

    with ThreadPoolExecutor(clients) as pool:
        parts = list(pool.map(ask, [requests[i::clients] for i in range(clients)]))
    return [a for part in parts for a in part]


def execs(b, n, clients=4):
    """So many, of some clients at once: what went wrong, and in how many seconds."""
    began = time.monotonic()
    argv = [LOAD, "exec", str(n // clients), f"{b.run_dir}/pinnace.sock", TRUE]
    running = [start(argv) for _ in range(clients)]
    wrong = [said[1] for said in (p.communicate(timeout=120) for p in running) if said[1]]
    wrong += [p.returncode for p in running if p.returncode]
    return wrong, time.monotonic() - began


def short_execs(b, c):
    """thousands of short execs"""
    c.close()
    pids, held = both(b), [fds(p) for p in both(b)]
    # first so many that with those of `concurrent` there are more than are kept
    first, total = (1200, 10000) if SLOW or only else (200, 1000)
    wrong, seconds = execs(b, first)
    early = [anonymous(p) for p in pids]
    late = execs(b, total - first)
    after = [anonymous(p) for p in pids]
    wrong, seconds = wrong + late[0], seconds + late[1]
    t.diag(f"{total} execs in {seconds:.1f} s, {total / seconds:.0f} a second; own memory of PID 1 "
           f"and channel, KiB: {early} after {first}, {after} at the end")
    ok(not wrong, f"{total} execs", wrong)
    ok(all(a - e <= LEAK for a, e in zip(after, early)), "memory does not grow", (early, after))
    now = settled(lambda: [fds(p) for p in pids], lambda x: x <= held)
    ok(now[0] <= held[0] and now[1] <= held[1], "no descriptor is left behind", (held, now))
    ok(not b.zombies() and not children(pids[1]), "no zombie", (b.zombies(), children(pids[1])))
    kept = c.jobs()
    ok(len(kept) == 1024, "1024 ended ones are kept", len(kept))
    gone = at_once(c, [("DELETE", f"/v1/jobs/{j['id']}", None) for j in kept])
    ok(all(a.status == 204 for a in gone) and c.jobs() == [], "until they are forgotten", gone[-1])
    ok(both(b) == pids, "the channel is the same")


def signals(ids, **body):
    return [("POST", f"/v1/jobs/{i}/signal", body) for i in ids]


def none_runs(c, tag, seconds):
    """How many of these jobs still run, once none does or the time is over."""
    return settled(lambda: sum(j["state"] == "running" for j in c.jobs(f"?tag={tag}")),
                   lambda n: n == 0, seconds)


def concurrent(b, c):
    """1 000 jobs at once"""
    n = 1000
    c.delete(f"/v1/jobs/{c.run(['true']).started['id']}")  # some are opened with the first job
    held = settled(lambda: [fds(p) for p in both(b)], lambda x: False, 0.3)
    began = time.monotonic()
    made = at_once(c, [("POST", "/v1/jobs", {"argv": [TRUE, "later"], "tag": "many"})] * n)
    took = time.monotonic() - began
    ok(all(a.status == 201 for a in made), "1 000 jobs begin", made[-1])
    got = c.jobs("?tag=many")
    ok(len(got) == n and all(j["state"] == "running" for j in got), "all of them run", len(got))
    t.diag(
        f"1000 jobs in {took:.2f} s; descriptors of PID 1 and channel {[fds(p) for p in both(b)]}; "
        f"(RSS, PSS) KiB {[memory(p) for p in both(b)]}")
    ok(latency(c) < 1, "and others are answered meanwhile")
    ok(c.run(["echo", "x"]).out == b"x\n", "a job beside them")
    began = time.monotonic()
    at_once(c, signals([j["id"] for j in got], signal="TERM", scope="leader"))
    left = none_runs(c, "many", 15)
    took = time.monotonic() - began
    ok(left == 0 and all(j["end"].get("signal") == 15 for j in c.jobs("?tag=many")),
       "all of them end", (left, took))
    now = settled(lambda: [fds(p) for p in both(b)], lambda x: x == held)
    ok(now == held and not b.zombies(), "and leave nothing open", (held, now, b.zombies()))


def burst(b, c):
    """signals to the whole tree of many at once"""
    made = c.many([("POST", "/v1/jobs", {"shell": "sleep 600 & sleep 600", "tag": "trees"})] * 50)
    began = time.monotonic()
    c.many(signals([a.json()["id"] for a in made], signal="KILL"))
    left = none_runs(c, "trees", 20)
    kids = settled(lambda: len(children(b.role("channel"))), lambda k: k == 0, 5)
    ok(left == 0 and kids == 0, "50 trees are killed at once", (left, kids))
    t.diag(f"50 trees in {time.monotonic() - began:.2f} s")


def stopped_readers(b, c):
    """a reader that stops blocks nobody"""
    j = c.start("yes 0123456789 | head -c 60000000; exit 5", keep_output=1 << 20)
    stopped = [c.attach(j["id"], "?from=0") for _ in range(4)]
    mine = c.exec("yes | head -c 30000000")  # lossless, and not read: it holds up its own job only
    mine.next()
    began = time.monotonic()
    slowest = latency(c)
    with c.attach(j["id"], "?from=0") as s:
        o = s.finish()
    took = time.monotonic() - began
    ok(o.end and o.end.get("exit") == 5 and o.missed + len(o.out) == 60000000,
       "a job with four readers that have stopped, and one that reads",
       (took, o.missed, len(o.out), o.end))
    ok(slowest < 1, "others are answered at once", slowest)
    ok(c.run(["echo", "x"]).out == b"x\n", "other jobs run")
    k = c.job(mine.seen.started["id"])
    ok(k["state"] == "running" and k["output"]["to"] < 8 << 20, "exec that is not read waits", k)
    o = mine.finish()
    ok(
        len(o.out) == 30000000 and o.missed == 0 and o.end.get("exit") == 0, "and loses nothing",
        (len(o.out), o.missed, o.end))
    for s in (*stopped, mine):
        s.close()


def drain_frames(sock, have):
    """Read frames, count stdout, keep nothing: (bytes of stdout, the last JSON)."""
    buf = bytearray(4 << 20)
    view = memoryview(buf)
    n = len(have)
    view[:n] = have
    at = out = 0
    last = None
    while True:
        while n - at >= 8:
            kind, size = buf[at], int.from_bytes(view[at + 4:at + 8], "big")
            if n - at < 8 + size:
                break
            if kind == STDOUT:
                out += size
            elif kind in (STARTED, ENDED):
                last = json.loads(bytes(view[at + 8:at + 8 + size]))
                if kind == ENDED:
                    return out, last
            else:
                return out, (kind, bytes(view[at:at + 100]))
            at += 8 + size
        view[:n - at] = bytes(view[at:n])
        n, at = n - at, 0
        k = sock.recv_into(view[n:])
        if k == 0:
            return out, "cut"
        n += k


class Watch(threading.Thread):
    """The most memory (PSS, KiB) that a process takes while this runs."""
    def __init__(self, pid):
        super().__init__()
        self.pid, self.on, self.first = pid, True, memory(pid)[1]
        self.most = self.first
        self.start()

    def run(self):
        while self.on:
            self.most = max(self.most, memory(self.pid)[1])
            time.sleep(0.02)

    def grown(self):
        self.on = False
        self.join()
        return self.most - self.first


def throughput(b, c):
    """many bytes through a job"""
    size = 4 * GIB if SLOW else GIB // 8
    for name, command in (("zeros", "head -c %d /dev/zero"), ("yes", "yes | head -c %d")):
        watch = Watch(b.role("channel"))
        began = time.monotonic()
        s = c.exec(command % size)
        out, last = drain_frames(s.wire.sock, bytes(s.wire.have))
        took = time.monotonic() - began
        grown = watch.grown()
        s.close()
        ok(out == size and isinstance(last, dict) and last["end"].get("exit") == 0,
           f"{size >> 20} MiB of {name} through stdout of exec", (out, last))
        ok(grown < 4096, "in constant memory", grown)
        t.diag(f"{name}: {size / GIB / took:.2f} GiB/s, PSS grew by {grown} KiB")
    watch = Watch(b.role("channel"))
    began = time.monotonic()
    s = c.exec("wc -c", stdin="pipe")
    piece = struct.pack(">B3xI", 0, 1 << 20) + bytes(1 << 20)
    for _ in range(size >> 20):
        s.wire.sock.sendall(piece)
    s.eof()
    o = s.finish()
    took, grown = time.monotonic() - began, watch.grown()
    s.close()
    ok(o.out.strip() == str(size).encode(), f"{size >> 20} MiB through stdin", o)
    ok(grown < 4096, "in constant memory", grown)
    t.diag(f"stdin: {size / GIB / took:.2f} GiB/s, PSS grew by {grown} KiB")


def connect_many(address, n, text=b""):
    """Sockets that have said `text`."""
    made = []
    for _ in range(n):
        s = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
        s.connect(address)  # blocking: the backlog may be full
        s.settimeout(10)
        if text:
            s.sendall(text)
        made.append(s)
    return made


def gone(socks):
    """How many of them the other side has closed. What it said before is read and dropped."""
    n = 0
    for s in socks:
        s.setblocking(False)
        try:
            while s.recv(65536):
                pass
            n += 1
        except BlockingIOError:
            pass
        except ConnectionResetError:
            n += 1
    return n


def close_all(socks):
    for s in socks:
        s.close()


class Slowly(threading.Thread):
    """Clients that never come to the end of a head, some of which drip: until they are closed."""
    def __init__(self, socks):
        super().__init__()
        self.socks, self.began, self.seconds = socks, time.monotonic(), None
        self.start()

    def run(self):
        while gone(self.socks) < len(self.socks) and time.monotonic() < self.began + 12:
            for s in self.socks[:50]:
                with contextlib.suppress(OSError):
                    s.send(b"y")
            time.sleep(0.25)
        self.seconds = time.monotonic() - self.began


def idlers(b, c):
    """1 000 idle connections, 1 000 slow ones"""
    c.close()
    base = memory(b.role("channel"))[1]
    idle = connect_many(c.address, 1000)
    ok(latency(c) < 1, "1 000 connections that say nothing: others are answered at once")
    cost = memory(b.role("channel"))[1] - base
    ok(cost < 4096, "and cost less than 4 MiB", cost)
    t.diag(f"1000 connections that say nothing: {cost} KiB")
    close_all(idle)
    # such as have had an answer and stay
    settled(lambda: fds(b.role("channel")), lambda n: n < 100)
    used = connect_many(c.address, 1000, b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
    answered = sum(s.recv(4096).startswith(b"HTTP/1.1 200") for s in used)
    cost = memory(b.role("channel"))[1] - base
    ok(answered == 1000 and cost < 4096, "1 000 that were answered and stay", (answered, cost))
    t.diag(f"1000 idle connections: {cost} KiB")
    slow = connect_many(c.address, 1000, b"GET /livez HTTP/1.1\r\nHost: x\r\nX-Slow: ")
    slowly = Slowly(slow)
    c.close()
    slowest = latency(c)
    cost = memory(b.role("channel"))[1] - base
    ok(slowest < 1, "1 000 slow ones beside them: others are answered at once", slowest)
    ok(cost < 4096, "and cost less than 4 MiB", cost)
    t.diag(f"1000 slow requests: {cost} KiB, the slowest answer {slowest * 1000:.0f} ms")
    ok(gone(used) >= 900, "idle ones have made room", gone(used))
    kept = gone(slow)
    ok(kept == 0, "and no request that had begun was cut for that", kept)
    c.close()
    throughput(b, c)
    stopped_readers(b, c)
    slowly.join()
    ok(
        gone(slow) == 1000 and slowly.seconds > 8,
        "slow ones are closed after 10 s, those that drip, too", (gone(slow), slowly.seconds))
    close_all(used + slow)
    wait_for(lambda: fds(b.role("channel")) < 100)


def too_many(b, c):
    """more than 1 024 clients that are all in the middle of something"""
    c.close()
    long = connect_many(c.address, 1024,
                        b"GET /v1/status?after=99999999 HTTP/1.1\r\nHost: x\r\n\r\n")
    time.sleep(0.2)
    with contextlib.ExitStack() as stack:
        more = connect_many(c.address, 10, b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        stack.callback(close_all, more + long)
        answers = [s.recv(4096)[:12] for s in more]
        ok(answers == [b"HTTP/1.1 503"] * 10, "the 1 025th client gets 503", answers)
        ok(gone(long) == 0, "and none of the others is cut", gone(long))
        close_all(long[:5])
        time.sleep(0.1)
        ok(c.get("/livez").status == 200, "when some have gone, others are served")
    ok(settled(lambda: fds(b.role("channel")), lambda n: n < 100) < 100, "all go")


# With a word it sleeps.
with open(f"{t.dir}/true.c", "w") as f:
    f.write("#include <unistd.h>\nint main(int n, char **v) { return n > 1 && v[1] && sleep(600); }\n")
TRUE = compiled("true", f"{t.dir}/true.c")
LOAD = compiled("channelload", os.path.join(BENCH, "channelload.c"))
port = free_port()
b = Box(t, tcp_section(port), ["sleep", "600"])
c = unix(b, timeout=30)
t.ok(wait_for(lambda: b.status().get("ready")), "the box is there", b)
ROWS = (concurrent, burst, short_execs, idlers, too_many)
if only:  # two of them are parts of idlers
    ROWS = [r for r in (*ROWS, throughput, stopped_readers) if r.__name__ in only]
rows(t, "many", ROWS, b, c)
s = b.status()
t.ok(
    s.get("role_restarts") == 0 and s.get("bugs") == 0 and not b.zombies(),
    "the channel has survived all this", (s, b))
t.done()
