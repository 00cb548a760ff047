#!/usr/bin/env python3
"""Orphans: all reaped, whatever their number; nothing lost; no work while idle."""
import os
import shutil
import signal
import sys
import time

from tap import Tap, children, finish, run, start, state, threads, wait_for

NAMES = ("tini", "dumb-init", "catatonit")
ZOMBIES = 20000 if os.environ.get("PINNACE_SLOW") else 5000
t = Tap()
os.environ["POSIXLY_CORRECT"] = "1"
PYTHON = [sys.executable, "-I", "-S", "-c"]


def versions(name):
    yield "pinnace", t.binary(name)
    if shutil.which(name):
        yield "original", shutil.which(name)


def init_of(p):
    """The PID 1 below an unshare, or the init itself, once it runs something."""
    def find():
        kids = children(p.pid)
        return kids and children(kids[0]) and kids[0]
    return wait_for(find)


# Makes orphans that all end when its stdin closes, waits to be told, exits 42.
FEW = """
import os, sys
r, w = os.pipe()
if os.fork() == 0:
    for _ in range(200):
        if os.fork() == 0:
            os.close(w)
            os.read(r, 1)
            os._exit(0)
    os._exit(0)
os.wait()
print("made", flush=True)
sys.stdin.readline()
os.close(w)
print("released", flush=True)
sys.stdin.readline()
sys.exit(42)
"""
for name in NAMES:
    for who, path in versions(name):
        flags = ["-s"] if name == "tini" else []
        for pid1 in (True, False):
            if name == "dumb-init" and not pid1:
                continue  # it never adopts anybody
            p = start([path, *flags, *PYTHON, FEW], pid1)
            p.stdout.readline()
            init = children(p.pid)[0] if pid1 else p.pid
            adopted = len(children(init))
            p.stdin.write("\n")
            p.stdin.flush()
            p.stdout.readline()
            clean = wait_for(lambda: len(children(init)) == 1)
            r = finish(p, text="\n")
            t.ok(adopted == 201 and clean and r.status == 42,
                 f"{name} ({who}) {'as PID 1' if pid1 else 'as subreaper'}: 200 orphans are "
                 "adopted and reaped", (adopted, clean, r))

# While the init is stopped, ZOMBIES orphans end: their SIGCHLDs become one.
MANY = """
import gc, os, sys
gc.disable()
for _ in range(int(sys.argv[1]) // 100):
    if os.fork() == 0:
        try:
            for _ in range(100):
                if os.fork() == 0:
                    os._exit(0)
        except BlockingIOError:  # no pid left on a busy machine
            pass
        os._exit(0)
    os.wait()
print("made", flush=True)
sys.stdin.readline()
sys.exit(42)
"""
took = {}
for name in NAMES:
    for who, path in versions(name):
        if name != "tini" and who == "original":
            continue  # one to compare with is enough
        zombies = ZOMBIES if name == "tini" else ZOMBIES // 10
        p = start([path, *PYTHON, "import sys; sys.stdin.readline()" + MANY, str(zombies)],
                  pid1=True)
        init = init_of(p)
        os.kill(init, signal.SIGSTOP)
        wait_for(lambda: state(init) == "T")
        p.stdin.write("\n")
        p.stdin.flush()
        p.stdout.readline()
        waiting, many = len(children(init)) - 1, threads()
        began = time.monotonic()
        os.kill(init, signal.SIGCONT)
        wait_for(lambda: threads() < many - waiting * 0.99, 60)
        took[name, who] = time.monotonic() - began
        clean = wait_for(lambda: len(children(init)) == 1, 20)
        r = finish(p, text="\n")
        t.ok(waiting > zombies // 2 and clean and r.status == 42,
             f"{name} ({who}): {waiting} zombies are reaped and the status is right",
             (waiting, clean, r))
        t.diag(f"in {took[name, who]:.3f} s")
if ("tini", "original") in took:
    t.ok(took["tini", "pinnace"] < 2 * took["tini", "original"] + 0.1,
         "about as fast as the original", took)

# The program ends among others while the init cannot look: the one SIGCHLD names another.
CROWD = """
import os, sys
for _ in range(20):
    if os.fork() == 0:
        if os.fork() == 0:
            os._exit(1)
        os._exit(0)
    os.wait()
os._exit(7)
"""
for name in NAMES:
    wrong = []
    for _ in range(10):
        p = start([t.binary(name), *PYTHON, "import sys; sys.stdin.readline()" + CROWD], pid1=True)
        init = init_of(p)
        leader = children(init)[0]
        os.kill(init, signal.SIGSTOP)
        wait_for(lambda: state(init) == "T")
        p.stdin.write("\n")
        p.stdin.flush()
        wait_for(lambda: state(leader) == "Z")
        os.kill(init, signal.SIGCONT)
        r = finish(p, 5)
        if r.status != 7:
            wrong.append(r)
    t.ok(not wrong, f"{name}: the program's end is seen though its SIGCHLD coalesced", wrong)

# Nor may a flood of a lower signal hide it.
FLOOD = """
import os, signal, sys
me = os.getppid()
if os.fork() == 0:
    os.setsid()
    while True:
        try:
            os.kill(me, signal.SIGHUP)
        except ProcessLookupError:
            os._exit(0)
signal.signal(signal.SIGHUP, signal.SIG_IGN)
os._exit(8)
"""
for name in NAMES:
    r = run([t.binary(name), *PYTHON, "import signal; signal.signal(1, signal.SIG_IGN)" + FLOOD],
            pid1=True)
    t.ok(r.status == 8 and r.seconds < 5, f"{name}: the end is seen under a flood of SIGHUP", r)

# Who adopts.
ORPHAN = "(sleep 30 & echo $!); echo $$; read x; exit 5"


def parent(pid):
    with open(f"/proc/{pid}/stat") as f:
        return int(f.read().rpartition(")")[2].split()[1])


for name, flags, env, adopts in (("tini", ["-s"], {}, True), ("tini", [], {}, False),
                                 ("tini", [], {"TINI_SUBREAPER": "1"}, True),
                                 ("dumb-init", [], {}, False), ("catatonit", [], {}, True)):
    for who, path in versions(name):
        p = start([path, *flags, "sh", "-c", ORPHAN], env=dict(os.environ, **env))
        orphan = int(p.stdout.readline())
        leader = int(p.stdout.readline())
        wait_for(lambda: parent(orphan) not in children(leader))
        is_ours = parent(orphan) == p.pid
        os.kill(orphan, signal.SIGKILL)
        gone = wait_for(lambda: state(orphan) is None) if adopts else True
        r = finish(p, text="\n")
        t.ok(is_ours == adopts and gone and r.status == 5,
             f"{name} ({who}) {' '.join([*flags, *env])}: "
             f"{'adopts' if adopts else 'does not adopt'}", (is_ours, gone, r))

for who, path in versions("tini"):
    script = f"{path} -s -p SIGTERM sleep 60 & echo $!; read x"
    p = start(["sh", "-c", script])
    init = int(p.stdout.readline())
    leader = wait_for(lambda: children(init))[0]
    p.stdin.close()
    p.wait(10)
    gone = wait_for(lambda: state(init) in (None, "Z") and state(leader) in (None, "Z"))
    t.ok(gone, f"tini ({who}): -p TERM when the parent dies ends the program", state(init))
    p.stdin = None
    finish(p)

# Idle: not one switch in three seconds, also after orphans were reaped.
def switches(pid):
    with open(f"/proc/{pid}/status") as f:
        return [line.split()[1] for line in f if "ctxt_switches" in line]


idle = {}
for name in NAMES:
    flags = ["-s"] if name == "tini" else []
    p = start([t.binary(name), *flags, "sh", "-c",
               "for i in 1 2 3 4 5 6 7 8 9; do (sleep 0.01 &); done; sleep 0.2; echo; exec cat"],
              pid1=True)
    p.stdout.readline()
    idle[name] = (p, init_of(p))
for _, init in idle.values():
    wait_for(lambda: len(children(init)) == 1)
wait_for(lambda: False, 1.2)  # let the last sweep's rest pass
before = {name: switches(init) for name, (_, init) in idle.items()}
time.sleep(3)
for name, (p, init) in idle.items():
    after = switches(init)
    t.ok(after == before[name], f"{name}: sleeps soundly", (before[name], after))
    t.ok(finish(p).status == 0, f"{name}: and wakes for the end of its program")
t.done()
