#!/usr/bin/env python3
"""Signals through the plain inits: all 64, to one or to the group, rewritten, ignored."""
import ctypes
import os
import platform
import resource
import shutil
import signal
import struct
import sys

import tap
from tap import Tap, children, finish, start, state, stop, wait_for

NAMES = ("tini", "dumb-init", "catatonit")
FAULTS = {4, 5, 6, 7, 8, 11, 31}  # ILL TRAP ABRT BUS FPE SEGV SYS
ALL = set(range(1, 65)) - {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD}
FORWARDED = {
    "tini": ALL - FAULTS - {signal.SIGTTIN, signal.SIGTTOU},
    "dumb-init": ALL - {signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU},
    "catatonit": ALL - FAULTS - {signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU},
}
t = Tap()
os.environ.update(TINI_SUBREAPER="1", POSIXLY_CORRECT="1")
libc = ctypes.CDLL(None, use_errno=True)
arm = platform.machine() == "aarch64"
NR_MASK, NR_WAIT = (135, 137) if arm else (14, 128)  # rt_sigprocmask, rt_sigtimedwait

# Prints each signal it gets and, if queued, its value. Past libc, which hides 32 and 33.
COUNTER = os.path.join(t.dir, "counter")
with open(COUNTER, "w") as f:
    f.write(f"""
import ctypes, struct
libc = ctypes.CDLL(None)
mask, info = ctypes.c_uint64(2**64 - 1), ctypes.create_string_buffer(128)
libc.syscall({NR_MASK}, 2, ctypes.byref(mask), None, 8)
print("ready", flush=True)
while True:
    n = libc.syscall({NR_WAIT}, ctypes.byref(mask), info, None, 8)
    if n < 0:  # EINTR: stopped and resumed
        continue
    code, value = struct.unpack_from("i", info, 8)[0], struct.unpack_from("i", info, 24)[0]
    print(n, value if code == -1 else "", flush=True)
""")
COUNT = [sys.executable, "-I", "-S", COUNTER]


def versions(name):
    yield "pinnace", t.binary(name)
    if shutil.which(name):
        yield "original", shutil.which(name)


class Running:
    """A counter below an init; `init` is the pid to signal, `leader` the counter's."""

    def __init__(self, argv, pid1=False, **kw):
        self.p = start([*argv, *COUNT], pid1, **kw)
        self.p.stdout.readline()
        self.init = children(self.p.pid)[0] if pid1 else self.p.pid
        self.leader = children(self.init)[0]

    def line(self):
        return self.p.stdout.readline().split()

    def send(self, sig):
        os.kill(self.init, sig)

    def end(self):
        if state(self.leader) not in (None, "Z"):
            os.kill(self.leader, signal.SIGKILL)
        return finish(self.p)


def raw_mask(bits):
    value = ctypes.c_uint64(bits)
    libc.syscall(NR_MASK, 2, ctypes.byref(value), None, 8)


def seen_until(run, last):
    """The set of signals the counter saw, up to and including the last one."""
    seen = []
    while last not in seen:
        seen.append(int(run.line()[0]))
    return set(seen)


for name in NAMES:
    for who, path in versions(name):
        run = Running([path], pid1=True)
        # One at a time; 64 comes last of what is pending, so it fences off the silent ones.
        lost = []
        for n in sorted(FORWARDED[name] - {64} - ({32, 33} if who == "original" else set())):
            run.send(n)
            got = run.line()
            if got[:1] != [str(n)]:
                lost.append((n, got))
        t.ok(not lost, f"{name} ({who}): each signal arrives, as PID 1", lost)
        for n in ALL - FORWARDED[name] - {signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU}:
            run.send(n)
        run.send(64)
        extra = seen_until(run, 64) - {64}
        t.ok(not extra, f"{name} ({who}): the others do not", extra)
        run.end()

for name in NAMES:
    run = Running([t.binary(name)])
    for n in range(32, 65):
        for _ in range(5):
            run.send(n)
    got = [run.line()[0] for _ in range(5 * 33)]
    t.ok(got == [str(n) for n in range(32, 65) for _ in range(5)],
         f"{name}: real-time signals queue, none is lost, 32..34 do not kill it", got)
    libc.sigqueue(run.init, 40, ctypes.c_void_p(1234))
    got = run.line()
    want = ["40"] if name == "dumb-init" else ["40", "1234"]
    t.ok(got == want, f"{name}: a queued signal keeps its value, unless sent to a group", got)
    r = run.end()
    t.ok(r.status == 137, f"{name}: and its status comes back", r)

# Who gets it: the leader alone, or its group. `sleep` is in the background of a leader.
FAMILY = ["sh", "-c", "sleep 60 & echo $!; exec sleep 60"]
for name, flags, env, group in (("tini", [], {}, False), ("tini", ["-g"], {}, True),
                                ("tini", [], {"TINI_KILL_PROCESS_GROUP": ""}, True),
                                ("dumb-init", [], {}, True), ("dumb-init", ["-c"], {}, False),
                                ("dumb-init", [], {"DUMB_INIT_SETSID": "0"}, False),
                                ("catatonit", [], {}, False), ("catatonit", ["-g"], {}, True)):
    for who, path in versions(name):
        p = start([path, *flags, *FAMILY], env=dict(os.environ, **env), stderr=None)
        other = int(p.stdout.readline())
        leader = children(p.pid)[0]
        wait_for(lambda: open(f"/proc/{leader}/comm").read() == "sleep\n")
        p.send_signal(signal.SIGTERM)
        p.wait(10)
        status = p.returncode
        died = wait_for(lambda: state(other) in (None, "Z"), 5 if group else 0.05)
        if not died:
            os.kill(other, signal.SIGKILL)
        p.communicate()
        t.ok(status == 143 and bool(died) == group,
             f"{name} ({who}) {' '.join([*flags, *env])}: TERM ends the "
             f"{'group' if group else 'leader alone'}", (status, died))
for flags, killed in (([], True), (["-c"], False), (["-r", "15:0"], False)):
    for who, path in versions("dumb-init"):
        p = start([path, *flags, "sh", "-c", "sleep 60 & echo $!; exit 3"])
        other = int(p.stdout.readline())
        p.wait(10)
        status = p.returncode
        died = wait_for(lambda: state(other) in (None, "Z"), 5 if killed else 0.05)
        if not died:
            os.kill(other, signal.SIGKILL)
        p.communicate()
        t.ok((status, bool(died)) == (3, killed),
             f"dumb-init ({who}) {' '.join(flags)}: the rest is {'' if killed else 'not '}"
             "terminated when the program exits", (status, died))

# A group signal that comes before the program has made its group is not lost.
slow = 0
for _ in range(100):
    p = start([t.binary("tini"), "-g", "sleep", "60"])
    while not children(p.pid):
        pass
    p.send_signal(signal.SIGTERM)
    slow += finish(p, 5).status != 143
t.ok(slow == 0, "tini: -g from the first instant", slow)

for rule, sent, got, theirs in (("15:2", 15, "2", True), ("TERM:INT", 15, "2", False),
                                ("SIGUSR1:sigusr2", 10, "12", False), ("1:31", 1, "31", True)):
    for who, path in versions("dumb-init"):
        if who == "original" and not theirs:
            continue
        run = Running([path, "-r", rule])
        run.send(sent)
        line = run.line()
        t.ok(line == [got], f"dumb-init ({who}): -r {rule}", line)
        run.end()
for who, path in versions("dumb-init"):
    run = Running([path, "-r", "15:0", "-r", "20:12"])
    run.send(15)
    run.send(10)
    line = run.line()
    t.ok(line == ["10"], f"dumb-init ({who}): -r 15:0 drops it", line)
    run.send(signal.SIGTSTP)
    line = run.line()
    t.ok(line == ["12"] and wait_for(lambda: state(run.init) == "T"),
         f"dumb-init ({who}): a rewritten TSTP is sent as told, and it still stops", line)
    run.send(signal.SIGCONT)
    run.end()

for who, path in versions("dumb-init"):
    for sig in (signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU):
        run = Running([path])
        run.send(sig)
        t.ok(wait_for(lambda: (state(run.init), state(run.leader)) == ("T", "T")),
             f"dumb-init ({who}): {sig.name} stops the program and itself",
             (state(run.init), state(run.leader)))
        run.send(signal.SIGCONT)
        line = run.line()
        t.ok(line == ["18"] and wait_for(lambda: state(run.init) == "S"),
             f"dumb-init ({who}): CONT resumes both", line)
        run.end()
    run = Running([path, "-c"])
    run.send(signal.SIGTSTP)
    line = run.line()
    t.ok(line == ["20"] and wait_for(lambda: state(run.init) == "T"),
         f"dumb-init ({who}): -c passes TSTP as it is", line)
    run.send(signal.SIGCONT)
    run.end()


def status_word(text, key):
    return int(next(line.split()[1] for line in text.splitlines() if line.startswith(key)), 16)


def ignore_some():
    for n in (signal.SIGHUP, signal.SIGINT, signal.SIGTTIN, signal.SIGTTOU, signal.SIGCHLD):
        signal.signal(n, signal.SIG_IGN)


def block_some():
    raw_mask(1 << 9 | 1 << 33 | 1 << 16)  # USR1, 34, CHLD


for name in NAMES:
    r = tap.run([t.binary(name), "cat", "/proc/self/status"], preexec_fn=ignore_some)
    want = sum(1 << n - 1 for n in (1, 2, 21, 22, 17))
    t.ok(r.status == 0 and status_word(r.out, "SigIgn:") == want,
         f"{name}: what was ignored stays ignored for the program, SIGCHLD too", r)
    r = tap.run([t.binary(name), "sh", "-c", "exit 9"], preexec_fn=ignore_some)
    t.ok(r.status == 9, f"{name}: the status is not lost to an ignored SIGCHLD", r)
    r = tap.run([t.binary(name), "cat", "/proc/self/status"], preexec_fn=block_some)
    want = 0 if name == "dumb-init" else 1 << 9 | 1 << 33 | 1 << 16
    t.ok(status_word(r.out, "SigBlk:") == want, f"{name}: the mask is as it was found", r)
    r = tap.run([t.binary(name), "cat", "/proc/self/status"])
    t.ok(status_word(r.out, "SigIgn:") == status_word(r.out, "SigBlk:") == 0,
         f"{name}: and neither is invented", r)


def forbid_sigtimedwait():
    """A seccomp filter: rt_sigtimedwait fails with EIO, for good."""
    code = [(0x20, 0, 0, 0), (0x15, 0, 1, NR_WAIT), (6, 0, 0, 0x50000 | 5), (6, 0, 0, 0x7FFF0000)]
    rules = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *c) for c in code))
    program = struct.pack("HxxxxxxP", len(code), ctypes.addressof(rules))
    libc.prctl(38, 1, 0, 0, 0)
    if libc.prctl(22, 2, program, 0, 0) < 0:
        os._exit(98)


for name in NAMES:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    r = tap.run([t.binary(name), "sh", "-c", "(sleep 0.1 &); sleep 0.7; exit 9"],
                preexec_fn=forbid_sigtimedwait)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    t.ok(r.status == 9 and cpu < 0.3, f"{name}: without signals it neither spins nor loses the "
         "status", (r, cpu))

# Pause mode: reaps, ends with INT or TERM, and with nothing else.
for who, path in versions("catatonit"):
    for sig in (signal.SIGINT, signal.SIGTERM):
        p = start([path, "-P"])
        wait_for(lambda: state(p.pid) == "S")
        p.send_signal(signal.SIGHUP)
        p.send_signal(signal.SIGUSR1)
        alive = p.poll() is None
        p.send_signal(sig)
        r = finish(p)
        t.ok(alive and r.status == 0, f"catatonit ({who}): -P ends with {sig.name}", r)
        stop(p)
t.done()
