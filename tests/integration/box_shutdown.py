#!/usr/bin/env python3
"""The end of a box: everybody is asked, everybody is waited for, and nobody for too long."""
import os
import re
import signal
import time

from box import BOTH, Box, alive, program, words
from tap import Tap, children, wait_for

t = Tap()

# person NAME FILE [deaf] [for SECONDS] [group] [daemon]: notes in FILE, with the time, what
# happens to it. daemon: in a session of its own, its parent gone. group: with a member.
PERSON = program(t, """
import os, signal, sys, time
name, path, *how = sys.argv[1:]
pause = float(how[how.index("for") + 1]) if "for" in how else 0
def note(what):
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(fd, f"{time.clock_gettime(time.CLOCK_MONOTONIC):.4f} {name} {what}\\n".encode())
    os.close(fd)
def asked(sig, frame):
    note(f"got {sig}")
    if "deaf" not in how:
        time.sleep(pause)
        note("ends")
        os._exit(int(how[how.index("status") + 1]) if "status" in how else 0)
for sig in (1, 2, 3, 10, 12, 15):
    signal.signal(sig, asked)
if "daemon" in how:
    if os.fork():
        os._exit(0)
    os.setsid()
    if os.fork():
        os._exit(0)
if "group" in how and os.fork() == 0:
    name += "-member"
note("runs")
print(name, "runs", flush=True)
while True:
    time.sleep(60)
""")


class Notes:
    made = 0

    def __init__(self):
        Notes.made += 1
        self.path = os.path.join(t.dir, f"notes{Notes.made}")

    def person(self, name, *how):
        return words(*PERSON, name, self.path, *how)

    def all(self):
        try:
            with open(self.path) as f:
                return [(float(when), name, " ".join(what)) for when, name, *what in
                        (line.split() for line in f)]
        except FileNotFoundError:
            return []

    def when(self, name, what):
        return next((at for at, who, did in self.all() if (who, did) == (name, what)), None)

    def wait(self, *names):
        return wait_for(lambda: all(self.when(n, "runs") for n in names))


def spawn_all(*people):
    """CMD that starts these and then waits, or ends when it gets TERM."""
    return ["sh", "-c", "; ".join(f"{p} &" for p in people).replace("&;", "&")
            + " trap 'exit 5' TERM; echo started; while :; do sleep 0.02; done"]


for pid1, how in BOTH:
    # --- strangers: daemonised, or left by CMD, they are asked and waited for
    n = Notes()
    cmd = spawn_all(n.person("polite", "daemon", "for", "0.3"), n.person("left", "for", "0.1"))
    b = Box(t, "", cmd, pid1=pid1)
    n.wait("polite", "left")
    b.prints("started")  # CMD's trap is set
    status, took = b.end()
    t.ok(status == 5 and n.when("polite", "ends") and n.when("left", "ends"),
         f"{how}: a daemon and CMD's background job get TERM and may finish", (n.all(), b))
    t.ok(0.28 < took < 1, f"{how}: and that is waited for, no longer", took)

    n = Notes()
    cmd = ["sh", "-c", n.person("job", "for", "0.2") + " & while ! [ -s " + n.path +
           " ]; do sleep 0.01; done; exit 6"]
    b = Box(t, "", cmd, pid1=pid1)
    t.ok(b.wait() == 6 and n.when("job", "got 15") and n.when("job", "ends"),
         f"{how}: what CMD leaves behind in its own group is asked, not killed", (n.all(), b))

    # --- the deadline
    n = Notes()
    ini = "[pinnace]\ngrace = 600ms\n"
    b = Box(t, ini, spawn_all(n.person("rogue", "daemon", "deaf")), pid1=pid1)
    n.wait("rogue")
    b.prints("started")
    status, took = b.end()
    t.ok(status == 5 and n.when("rogue", "got 15"), f"{how}: one that ignores TERM was asked", b)
    since = 0.6
    t.ok(since - 0.1 < took < since + 0.3, f"{how}: and is killed at the end of the grace", took)
    t.ok("the grace is over" in b.err(), f"{how}: the log says so", b)

    n = Notes()
    b = Box(t, "[pinnace]\ngrace = 2s\n", spawn_all(n.person("rogue", "daemon", "deaf")), pid1=pid1)
    n.wait("rogue")
    b.prints("started")
    b.end()
    t.ok(re.search(r"waits for processes that belong to no service: \d+ \(\w+", b.err()),
         f"{how}: after a second the log says whom it waits for", b)
    n = Notes()
    ini += f"[service stubborn]\nready = log:runs\ncommand = {n.person('stubborn', 'deaf')}\n"
    b = Box(t, ini, pid1=pid1)
    b.wait_ready()
    status, took = b.end()
    killed = [line for line in b.err().splitlines() if "grace is over" in line]
    t.ok(status == 0 and 0.5 < took < 0.9 and killed and "stubborn" in killed[0],
         f"{how}: a service that ignores TERM is killed then, and named", (took, b))

    # --- order
    n = Notes()
    b = Box(t, "".join(
        f"[service {name}]\nready = log:runs\ncommand = {n.person(name, 'for', pause)}\n{more}\n"
        for name, pause, more in (("db", "0.5", ""), ("cache", "0.5", ""),
                                  ("app", "0.1", "after = db cache"),
                                  ("web", "0.1", "requires = app"))),
        ["sh", "-c", "trap 'sleep 0.1; exit 0' TERM; echo started; while :; do sleep 0.02; done"],
        pid1=pid1)
    ready = b.wait_ready() and b.prints("started")  # ready is executed: its trap comes later
    status, took = b.end()
    ends = {name: n.when(name, "ends") or 0 for name in ("db", "cache", "app", "web")}
    asked = {name: n.when(name, "got 15") or 0 for name in ends}
    t.ok(ready and status == 0 and all(ends.values()) and
         asked["app"] >= ends["web"] and asked["db"] >= ends["app"] <= asked["cache"],
         f"{how}: stopped in reverse order, each after the one that needs it ended",
         (asked, ends, b))
    t.ok(asked["db"] < ends["cache"] and asked["cache"] < ends["db"],
         f"{how}: those without order at once", (asked, ends))

    # --- its own way
    n = Notes()
    b = Box(t, f"[service q]\nready = log:runs\nstop-signal = QUIT\ncommand = {n.person('q')}\n"
            f"[service s]\nready = log:runs\nstop-timeout = 200ms\n"
            f"command = {n.person('s', 'deaf')}\n", pid1=pid1)
    b.wait_ready()
    status, took = b.end()
    t.ok(status == 0 and n.when("q", "got 3") and not n.when("q", "got 15"),
         f"{how}: stop-signal", (n.all(), b))
    t.ok(n.when("s", "got 15") and 0.19 < took < 0.6, f"{how}: stop-timeout, inside the grace",
         (took, b))

    # --- a group
    n = Notes()
    member = ("[service g]\nready = log:member runs\nstop-timeout = %s\nrestart = never\n"
              f"command = {n.person('g', 'group', '%s')}\n")
    b = Box(t, member % ("10s", "for 0.1"), pid1=pid1)
    b.wait_ready()
    status, took = b.end()
    t.ok(status == 0 and n.when("g-member", "got 15") and took < 1,
         f"{how}: the whole group of a service is asked", (n.all(), took))
    leaves = program(t, "import os, signal, sys, time\n"
                        "if os.fork() == 0:\n"
                        "    signal.signal(15, signal.SIG_IGN)\n"
                        "    print('member', flush=True)\n"
                        "    time.sleep(60)\n"
                        "signal.signal(15, lambda *_: os._exit(0))\n"
                        "time.sleep(float(sys.argv[1]))\n")
    b = Box(t, f"[service g]\nready = log:member\nstop-timeout = 300ms\n"
            f"command = {words(*leaves, '60')}\n", pid1=pid1)
    b.wait_ready()
    status, took = b.end()
    t.ok(status == 0 and 0.29 < took < 0.8,
         f"{how}: a member that ignores TERM is killed at the stop-timeout, the leader gone",
         (took, b))
    b = Box(t, "[service g]\nready = log:member\nrestart = never\n"
            f"command = {words(*leaves, '0.2')}\n", ["sleep", "60"], pid1=pid1)
    b.wait_ready()
    u = b.wait_unit("g", "done")
    clean = wait_for(lambda: len([p for p in children(b.init) if alive(p)]) == 3)
    t.ok(u and clean, f"{how}: a service that ends by itself leaves nobody of its group",
         (u, children(b.init), b))
    b.kill()

    # --- stopped processes must be continued to end
    n = Notes()
    b = Box(t, f"[service z]\nready = log:runs\ncommand = {n.person('z')}\n", pid1=pid1)
    b.wait_ready()
    os.kill(b.host_pid("z"), signal.SIGSTOP)
    status, took = b.end()
    t.ok(status == 0 and took < 1 and n.when("z", "ends"), f"{how}: a stopped service ends too",
         (took, b))

    # --- while load balancers look away
    b = Box(t, "[pinnace]\ndrain-delay = 500ms\n[service d]\ncommand = sleep 60\n", pid1=pid1)
    b.wait_ready()
    began = time.monotonic()
    b.signal(signal.SIGTERM)
    left = wait_for(lambda: b.get("/readyz")[0] == 503, 2)
    state_then, phase = b.unit("d").get("state"), b.status().get("phase")
    file_gone = not os.path.exists(f"{b.run_dir}/ready")
    status = b.wait()
    took = time.monotonic() - began
    t.ok(left and state_then == "ready" and phase == "drain" and file_gone,
         f"{how}: drain-delay keeps it serving, and not ready", (left, state_then, phase, b))
    t.ok(status == 0 and 0.5 <= took < 1.2, f"{how}: for as long as said", took)
    b = Box(t, "[pinnace]\ndrain-delay = 20s\n[service d]\ncommand = sleep 60\n", pid1=pid1)
    b.wait_ready()
    b.signal(signal.SIGTERM)
    wait_for(lambda: b.get("/readyz")[0] == 503, 2)
    status, took = b.end()
    t.ok(status == 0 and took < 1, f"{how}: a second TERM ends the delay", (took, b))

    # --- CMD's end takes the services along
    n = Notes()
    b = Box(t, f"[service d]\nready = log:runs\ncommand = {n.person('d', 'for', '0.2')}\n",
            ["sh", "-c", "exit 8"], pid1=pid1)
    status = b.wait()
    t.ok(status == 8 and n.when("d", "ends"), f"{how}: CMD ends: services are asked, waited for",
         (n.all(), b))
    # a fork bomb of sorts: always one more child, born after the KILL of the others
    b = Box(t, "[pinnace]\ngrace = 300ms\n", [*program(t, """
import os, signal, time
signal.signal(15, signal.SIG_IGN)
print("started", flush=True)
for _ in range(10):
    if os.fork() == 0:
        os.setsid()
        end = time.monotonic() + 20
        while time.monotonic() < end:
            if os.fork():
                time.sleep(0.01)
                os._exit(0)
            time.sleep(0.005)
        os._exit(0)
time.sleep(0.1)
os._exit(9)
""")], pid1=pid1)
    status = b.wait()
    t.ok(status == 9 and b.seconds < 3, f"{how}: processes that keep forking are ended too",
         (b.seconds, b))
t.done()
