#!/usr/bin/env python3
"""The forks that do the risky work: killed again and again, they come back, the box stays."""
import json
import os
import signal
import threading
import time

from box import BOTH, Box, alive, command_line
from tap import Tap, children, wait_for

t = Tap()
SERVICES = ("[service a]\nready = log:up\ncommand = sh -c 'echo up; exec sleep 60'\n"
            "[service b]\nafter = a\nalive = exec:true\nalive-every = 100ms\ncommand = sleep 60\n"
            "[service once]\noneshot = yes\ncommand = true\n")


def timeline(b):
    code, body = b.get("/v1/timeline")
    return json.loads(body)["marks"] if code == 200 else []


def killer(b, name, kills, out):
    """Kill the role so many times, each time it is there."""
    last = None
    for _ in range(kills):
        pid = wait_for(lambda: (p := b.role(name)) and p != last and p, 5)
        if not pid:
            return
        os.kill(pid, signal.SIGKILL)
        out.append(last := pid)


for pid1, how in BOTH:
    kills = 50 if pid1 else 20
    b = Box(t, SERVICES, ["sleep", "60"], pid1=pid1)
    b.wait_ready()
    wait_for(lambda: b.status().get("ready"))
    before, marks = b.status(), timeline(b)
    pids = {u["name"]: u["pid"] for u in before["units"]}
    killed = {"log": [], "channel": []}
    threads = [threading.Thread(target=killer, args=(b, n, kills, killed[n])) for n in killed]
    for x in threads:
        x.start()
    always = True
    while any(x.is_alive() for x in threads):
        always = always and os.path.exists(f"{b.run_dir}/ready")
        time.sleep(0.01)
    for x in threads:
        x.join()
    t.ok(len(killed["log"]) == kills and len(killed["channel"]) == kills,
         f"{how}: both roles killed {kills} times came back each time",
         {n: len(p) for n, p in killed.items()})
    t.ok(always and "no longer ready" not in b.err(), f"{how}: the box was ready all the time", b)
    wait_for(lambda: b.role("log") and b.role("channel"), 5)
    after = wait_for(lambda: (s := b.status()).get("role_restarts") == 2 * kills and s, 5)
    t.ok(after and after["ready"] and after["bugs"] == 0 and
         after["ready_after_ms"] == before["ready_after_ms"],
         f"{how}: status answers and counts the restarts", after or b.status())
    t.ok(after and [(u["name"], u["kind"], u["state"], u["pid"], u["starts"])
                    for u in after["units"]] ==
         [(u["name"], u["kind"], u["state"], u["pid"], u["starts"]) for u in before["units"]],
         f"{how}: with all units as they were, none of them restarted", (before, after))
    t.ok(marks and timeline(b)[:len(marks)] == marks, f"{how}: and the whole timeline",
         (marks, timeline(b)))
    ready = b.client("ready")
    t.ok(ready.status == 0, f"{how}: `pinnace ready` says yes", ready)

    # asked while the channel is dead: the question waits in the backlog
    b.signal(signal.SIGSTOP)
    os.kill(b.role("channel"), signal.SIGKILL)
    s = b.connect()
    s.sendall(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n")
    b.signal(signal.SIGCONT)
    t.ok(s.recv(4096).startswith(b"HTTP/1.1 200"),
         f"{how}: who asks while the channel is away is answered by the next")
    s.close()

    # one that lies dead on its feet: stopped, not ended, it holds up nobody but its clients
    os.kill(b.role("log"), signal.SIGSTOP)
    os.kill(b.role("channel"), signal.SIGSTOP)
    began = time.monotonic()
    status, took = b.end(seconds=8)
    t.ok(status in (0, 143) and took < 4, f"{how}: roles that hang do not keep the box", (status, b))

# --- probe attempts
HANGING = ("[service s]\nready = exec:sleep 60\nready-every = 10ms\nprobe-timeout = 60s\n"
           "command = sleep 60\n[main]\nstart = now\n")
for pid1, how in BOTH:
    b = Box(t, HANGING, ["sleep", "60"], pid1=pid1)

    def attempt():
        return next((p for p in children(b.init) if command_line(p).startswith("pinnace: probe s")),
                    None)
    seen = set()
    for _ in range(20):
        pid = wait_for(lambda: (p := attempt()) and p not in seen and p, 3)
        if not pid:
            break
        seen.add(pid)
        os.kill(pid, signal.SIGKILL)
    t.ok(len(seen) == 20 and wait_for(attempt), f"{how}: a probe attempt that is killed is a no, "
         "and is asked again", (len(seen), b))
    u = b.unit("s")
    t.ok(u.get("state") == "starting" and "exec:sleep 60" in u.get("reason", ""),
         f"{how}: and the reason is told", u)
    pid = wait_for(attempt)
    below = wait_for(lambda: children(pid))
    status, took = b.end()
    t.ok(below and took < 2 and not alive(pid) and not any(map(alive, below)),
         f"{how}: it ends with the box, and so does what it ran", (took, b))

    b = Box(t, HANGING.replace("probe-timeout = 60s", "probe-timeout = 100ms"), ["sleep", "60"],
            pid1=pid1)
    first = wait_for(attempt)
    below = wait_for(lambda: children(first))
    t.ok(first and wait_for(lambda: not alive(first), 3) and
         not any(map(alive, below or [])), f"{how}: one that takes too long is ended with all it "
         "ran", (first, below, b))
    t.ok(wait_for(lambda: (p := attempt()) and p != first), f"{how}: and asked again", b)
    b.kill()

# --- pinnace itself dies: its roles go, nobody is left to serve for it
b = Box(t, SERVICES + "[service p]\nready = exec:sleep 60\nprobe-timeout = 60s\n"
        "command = sleep 60\n[main]\nstart = now\n", ["sleep", "60"], pid1=False)
wait_for(lambda: b.role("log") and b.role("channel") and b.unit("p").get("state") == "starting")
own = wait_for(lambda: (p := [x for x in children(b.init)
                              if command_line(x).startswith("pinnace: ")]) and len(p) >= 3 and p)
os.kill(b.init, signal.SIGKILL)
gone = wait_for(lambda: not any(map(alive, own)), 3)
t.ok(own and gone, "as run: killed, it takes its roles and attempts along", own)
t.ok(b.wait() == 137, "as run: and its parent learns of it", b)

b = Box(t, "[pinnace]\nparent-death-signal = TERM\n[service a]\ncommand = sleep 60\n",
        pid1=False, wrap=["sh", "-c", """sh -c '"$@" & sleep 60' sh "$@"; sleep 5""", "sh"])
ready = b.wait_ready()
parent = b.p.pid
for _ in range(3):  # the namespace's shell, the one that stays, the parent
    parent = children(parent)[0]
os.kill(parent, signal.SIGKILL)
t.ok(ready and b.says("SIGTERM received", 3), "parent-death-signal: it ends with its parent", b)
b.kill()
t.done()
