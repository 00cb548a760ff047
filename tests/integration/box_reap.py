#!/usr/bin/env python3
"""Orphans of a box: adopted, reaped, counted; however many end at once."""
import os
import signal
import time

from box import BOTH, Box, program
from tap import Tap, children, state, threads, wait_for

ZOMBIES = 20000 if os.environ.get("PINNACE_SLOW") else 5000
t = Tap()

# `argv[1]` orphans, which end when told to; then CMD ends with 42. argv[2] says when.
FEW = program(t, """
import os, sys
r, w = os.pipe()
if os.fork() == 0:
    for _ in range(int(sys.argv[1])):
        if os.fork() == 0:
            os.close(w)
            os.read(r, 1)
            os._exit(0)
    os._exit(0)
os.wait()
print("made", flush=True)
sys.stdin.readline()
os.close(w)
sys.stdin.readline()
sys.exit(42)
""")
MANY = program(t, """
import gc, os, sys
gc.disable()
sys.stdin.readline()
made = 0
for _ in range(int(sys.argv[1]) // 100):
    try:
        pid = os.fork()
    except BlockingIOError:  # no pid left on a busy machine
        break
    if pid == 0:
        n = 0
        try:
            for n in range(100):
                if os.fork() == 0:
                    os._exit(0)
            n = 100
        except BlockingIOError:
            pass
        os._exit(n)
    made += os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
print("made", made, flush=True)
sys.stdin.readline()
sys.exit(43)
""")
SERVICE = "[service a]\ncommand = sleep 3600\n"  # longer than a slow machine takes


def tell(b):
    b.p.stdin.write("\n")
    b.p.stdin.flush()


for pid1, how in BOTH:
    b = Box(t, SERVICE, [*FEW, "200"], pid1=pid1, stdin=-1)
    b.prints("made")
    b.wait_ready()
    before = b.status().get("orphans_reaped", -1)
    adopted = len(children(b.init))
    tell(b)
    clean = wait_for(lambda: len(children(b.init)) == 4)  # two roles, the service, CMD
    said = wait_for(lambda: b.status().get("orphans_reaped", -1) == before + 200, 3)
    t.ok(adopted == 204 and clean and not b.zombies(), f"{how}: 200 orphans are adopted and reaped",
         (adopted, children(b.init), b))
    t.ok(said, f"{how}: status counts them", (before, b.status()))
    shown = b.client("status")
    t.ok(shown.status == 0 and f"orphans reaped {before + 200}" in shown.out,
         f"{how}: `pinnace status` shows it", shown)
    tell(b)
    t.ok(b.wait() == 42, f"{how}: CMD's status is not confused by them", b)

    b = Box(t, SERVICE, [*MANY, str(ZOMBIES if pid1 else ZOMBIES // 4)], pid1=pid1, stdin=-1)
    b.wait_ready()
    before = b.status().get("orphans_reaped", -1)
    b.signal(signal.SIGSTOP)
    wait_for(lambda: state(b.init) == "T")
    began = time.monotonic()
    tell(b)
    b.prints("made", 240)
    making = time.monotonic() - began
    made = int(b.out().split()[1])
    kids, many = len(children(b.init)), threads()
    began = time.monotonic()
    b.signal(signal.SIGCONT)
    wait_for(lambda: threads() < many - made * 0.99, 60)
    took = time.monotonic() - began
    clean = wait_for(lambda: len(children(b.init)) == 4, 20)
    counted = wait_for(lambda: b.status().get("orphans_reaped") == before + made, 3)
    t.ok(made > ZOMBIES // 8 and kids == made + 4 and clean and not b.zombies(),
         f"{how}: {made} zombies at once are all reaped", (made, kids, clean, b))
    t.diag(f"made in {making:.3f} s, reaped in {took:.3f} s")
    t.ok(took < making, f"{how}: in less time than they were made in", (took, making))
    t.ok(counted, f"{how}: and counted", (before, made, b.status().get("orphans_reaped")))
    tell(b)
    t.ok(b.wait() == 43, f"{how}: CMD's status is right after that", b)

    # CMD ends in the middle of such a crowd, while pinnace cannot look.
    b = Box(t, "", ["sh", "-c", "echo go; i=0; while [ $i -lt 300 ]; do (sleep 0.2 &); "
                    "i=$((i+1)); done; sleep 0.2; exit 44"], pid1=pid1)
    b.prints("go")
    t.ok(b.wait() == 44, f"{how}: CMD ending among its orphans", b)

    # --- a daemon: forks twice, its own session
    daemon = program(t, """
import os, sys, time
if os.fork():
    os.wait()
    print("started", flush=True)
    time.sleep(60)
os.setsid()
pid = os.fork()
if pid:
    os._exit(0)
with open(sys.argv[1] + ".new", "w") as f:
    f.write(os.readlink("/proc/self") + " " + open("/proc/self/stat").read().split()[3])
os.rename(sys.argv[1] + ".new", sys.argv[1])
time.sleep(float(sys.argv[2]))
""")
    note = os.path.join(t.dir, f"daemon{int(pid1)}")
    b = Box(t, "", [*daemon, note, "0.3"], pid1=pid1)
    b.prints("started")
    wait_for(lambda: os.path.exists(note))
    adopted = wait_for(lambda: len(children(b.init)) == 3)  # the channel, CMD, the daemon
    gone = wait_for(lambda: len(children(b.init)) == 2 and not b.zombies(), 5)
    t.ok(adopted and gone and b.status().get("orphans_reaped", 0) >= 1,
         f"{how}: a daemonised process is adopted, and reaped when it ends",
         (adopted, gone, b.status(), b))
    b.kill()

# What pinnace was itself given as a child before it ran is not its unit, and is reaped too.
given = ["sh", "-c", 'sleep 0.2 & exec "$@"', "sh"]
b = Box(t, SERVICE, wrap=given)
b.wait_ready()
t.ok(wait_for(lambda: len(children(b.init)) == 3) and b.status().get("orphans_reaped") == 1,
     "a child from before it was started is reaped", (children(b.init), b.status()))
b.kill()
t.done()
