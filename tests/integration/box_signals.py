#!/usr/bin/env python3
"""Signals to a box: all reach CMD, as they were sent; without CMD they end it."""
import ctypes
import os
import platform
import signal
import struct
import time

from box import BOTH, PYTHON, Box, alive, program
from tap import Tap, wait_for

ALL = set(range(1, 65)) - {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD}
t = Tap()
libc = ctypes.CDLL(None, use_errno=True)
arm = platform.machine() == "aarch64"
NR_MASK, NR_WAIT, NR_QUEUE = (135, 137, 138) if arm else (14, 128, 129)

# Prints each signal it gets and, if queued, its value. Past libc, which hides 32 and 33.
COUNTER = program(t, f"""
import ctypes, os, struct, sys
libc = ctypes.CDLL(None)
mask, info = ctypes.c_uint64(2**64 - 1), ctypes.create_string_buffer(128)
libc.syscall({NR_MASK}, 2, ctypes.byref(mask), None, 8)
who = "leader"
if "pair" in sys.argv and os.fork() == 0:
    who = "member"
print(who, "counts", flush=True)
while True:
    n = libc.syscall({NR_WAIT}, ctypes.byref(mask), info, None, 8)
    if n < 0:  # EINTR: stopped and resumed
        continue
    code, value = struct.unpack_from("i", info, 8)[0], struct.unpack_from("i", info, 24)[0]
    print(who, n, *([value] if code == -1 else []), flush=True)
    if n == 12 and "until-usr2" in sys.argv:
        break
""")


def counter(ini="", pid1=True, mode="", **kw):
    b = Box(t, ini, [*COUNTER, mode], pid1=pid1, **kw)
    b.prints("leader counts")
    if mode == "pair":
        b.prints("member counts")
    return b


def counted(b, who="leader"):
    """What `who` has got, in order."""
    return [line.split(" ", 1)[1] for line in b.out().splitlines()
            if line.startswith(who) and "counts" not in line]


def queue(pid, sig, value):
    info = ctypes.create_string_buffer(128)
    struct.pack_into("iii", info, 0, sig, 0, -1)  # SI_QUEUE
    struct.pack_into("iii", info, 16, os.getpid(), 0, value)
    if libc.syscall(NR_QUEUE, pid, sig, info) != 0:
        raise OSError(ctypes.get_errno(), "rt_sigqueueinfo")


for pid1, how in BOTH:
    b = counter(pid1=pid1)
    missing = []
    for sig in sorted(ALL):
        b.signal(sig)
        if not wait_for(lambda: str(sig) in counted(b), 3):
            missing.append(sig)
    t.ok(not missing, f"{how}: all signals but KILL, STOP, CHLD reach CMD", (missing, b))
    t.ok(sorted(map(int, counted(b))) == sorted(ALL), f"{how}: each once", counted(b))
    b.kill()

    b = counter(pid1=pid1)
    want = [f"{34 + i % 3} {1000 + i}" for i in range(60)]
    for i in range(60):
        queue(b.init, 34 + i % 3, 1000 + i)
    queue(b.init, 10, -7)
    wait_for(lambda: len(counted(b)) == 61)
    got = counted(b)
    t.ok("10 -7" in got and sorted(got) == sorted([*want, "10 -7"]),
         f"{how}: queued signals all arrive with their values", got)
    by_signal = [[w for w in got if w.startswith(f"{n} ")] for n in (34, 35, 36)]
    t.ok(all(words == sorted(words) for words in by_signal), f"{how}: in order", got)
    b.kill()

    b = counter("[main]\nmap-signal = TERM:QUIT hup:0 SIGUSR1:USR2 40:41 RTMIN+10:15", pid1=pid1)
    for sig in (15, 1, 10, 40, 45, 2):
        b.signal(sig)
        time.sleep(0.01)  # the order of arrival is the order of sending
    wait_for(lambda: "2" in counted(b))
    got = sorted(map(int, counted(b)))
    t.ok(got in ([2, 3, 12, 15, 41], [2, 3, 12, 41, 45]), f"{how}: map-signal changes them", b)
    b.kill()

    for ini, both in (("", False), ("[main]\nsignal-group = yes", True)):
        b = counter(ini, pid1, "pair")
        b.signal(10)
        b.signal(12)
        wait_for(lambda: len(counted(b)) == 2 and (not both or len(counted(b, "member")) == 2))
        t.ok(sorted(counted(b)) == ["10", "12"] and
             sorted(counted(b, "member")) == (["10", "12"] if both else []),
             f"{how}: {'the group' if both else 'only CMD itself'} is signalled", b)
        b.kill()

    # --- without CMD
    service = "[service a]\ncommand = sleep 60\n"
    for sig in (signal.SIGTERM, signal.SIGINT):
        b = Box(t, service, pid1=pid1)
        b.wait_ready()
        b.signal(signal.SIGUSR1)  # for nobody
        b.signal(signal.SIGHUP)
        status, took = b.end(sig)
        t.ok(status == 0 and took < 2, f"{how}: signal {sig} without CMD ends it with 0", b)
    b = Box(t, pid1=pid1)
    ready = b.wait_ready()
    t.ok(ready and b.end()[0] == 0, f"{how}: even a box with nothing in it", b)
    b = Box(t, service + "ready = file:/nonexistent/by/design", ["sleep", "60"], pid1=pid1)
    b.wait_unit("a", "starting")
    t.ok(b.end()[0] == 143, f"{how}: asked to end before it is ready it ends with 143", b)

    # --- asked again
    deaf = program(t, "import signal, time\nfor s in (2, 15): signal.signal(s, signal.SIG_IGN)\n"
                      "print('deaf', flush=True)\ntime.sleep(60)\n")
    slow = ("[pinnace]\ngrace = 30s\n[service deaf]\nready = log:deaf\nstop-timeout = 30s\n"
            f"command = {' '.join(deaf)}\n")
    b = Box(t, slow, pid1=pid1)
    b.wait_ready()
    b.signal(signal.SIGTERM)
    told = b.says("shutting down")
    b.wait_unit("deaf", "stopping")
    began = time.monotonic()
    b.signal(signal.SIGTERM)
    status, took = b.wait(5), time.monotonic() - began
    t.ok(told and status == 0 and 0.9 < took < 2 and "asked again to end" in b.err(),
         f"{how}: a second TERM leaves a second of the grace", (took, b))
    b = Box(t, slow, pid1=pid1)
    b.wait_ready()
    began = None
    for _ in range(40):  # an impatient one must not make it longer
        if b.p.poll() is not None or not alive(b.init):
            break
        b.signal(signal.SIGTERM)
        began = began or (time.monotonic() if "asked again" in b.err() else None)
        time.sleep(0.1)
    status = b.wait(5)
    took = time.monotonic() - (began or 0)
    t.ok(status == 0 and began and took < 2, f"{how}: many TERMs do not prolong it", b)

    # --- what we were started with
    WITH = PYTHON + ["import os, signal, sys\n"
                     "for s in (1, 10, 13, 15, 17, 40): signal.signal(s, signal.SIG_IGN)\n"
                     "signal.signal(25, signal.SIG_DFL)  # Python ignores it\n"
                     "signal.pthread_sigmask(signal.SIG_SETMASK, {2, 12, 17, 41})\n"
                     "os.execvp(sys.argv[1], sys.argv[1:])"]
    for wrap, what in ((WITH, "ignored and blocked signals"), ([], "no such")):
        b = Box(t, cmd=["cat", "/proc/self/status"], pid1=pid1, wrap=wrap)
        status = b.wait()
        bits = {key: int(value, 16) for key, _, value in
                (line.partition(":") for line in b.out().splitlines()) if key.startswith("Sig")
                and key != "SigQ"}
        mask = sum(1 << s - 1 for s in (2, 12, 17, 41)) if wrap else 0
        ignored = sum(1 << s - 1 for s in (1, 10, 13, 15, 17, 40)) if wrap else 0
        t.ok(status == 0 and bits["SigBlk"] == mask and bits["SigIgn"] == ignored,
             f"{how}: CMD has {what}, as pinnace had", (hex(mask), hex(ignored), bits))

    # --- writing to a console that is gone raises SIGPIPE in pinnace
    r, w = os.pipe()
    b = counter("[service bad]\nrestart = always\nbackoff = 20ms..20ms\ncommand = false\n"
                "[main]\nstart = now", pid1, stderr=w)
    os.close(r)
    os.close(w)
    starts = b.unit("bad").get("starts", 0)
    wait_for(lambda: b.unit("bad").get("starts", 0) > starts + 5)
    b.signal(signal.SIGUSR1)
    wait_for(lambda: "10" in counted(b))
    t.ok(counted(b) == ["10"], f"{how}: a SIGPIPE of pinnace's own is not for CMD", counted(b))
    b.signal(signal.SIGPIPE)
    t.ok(wait_for(lambda: counted(b) == ["10", "13"]), f"{how}: one from outside is", counted(b))
    b.kill()
t.done()
