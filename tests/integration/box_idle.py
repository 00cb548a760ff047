#!/usr/bin/env python3
"""A box that has nothing to do does nothing: no process of it wakes up, for half a minute."""
import time

from box import BOTH, Box, read
from tap import Tap, children, wait_for

SECONDS = 30
t = Tap()
SERVICES = ("[service a]\nready = log:up\ncommand = sh -c 'echo up; exec sleep 600'\n"
            "[service b]\nafter = a\nready = exec:true\ncommand = sleep 600\n")


def switches(pid):
    """(voluntary, nonvoluntary) context switches so far."""
    fields = dict(line.split(":", 1) for line in read(f"/proc/{pid}/status").splitlines())
    return int(fields["voluntary_ctxt_switches"]), int(fields["nonvoluntary_ctxt_switches"])


boxes = []
for pid1, how in BOTH:
    b = Box(t, SERVICES, ["sleep", "600"], pid1=pid1, flags=["-n"])
    t.ok(b.wait_ready(), f"{how}: ready", b)
    t.ok(wait_for(lambda: b.get("/readyz")[0] == 200, 3), f"{how}: and it answers", b)
    boxes.append((b, how))
time.sleep(1)  # until what was in flight has landed
watched = {(how, name): pid for b, how in boxes
           for name, pid in (("pinnace", b.init), ("log", b.role("log")),
                             ("channel", b.role("channel")))}
before = {who: switches(pid) for who, pid in watched.items()}
time.sleep(SECONDS)
for who, pid in watched.items():
    after = switches(pid)
    woken = sum(after) - sum(before[who])
    t.ok(woken == 0, f"{who[0]}: {who[1]} has not woken up once in {SECONDS} s",
         (woken, before[who], after))
for b, how in boxes:
    t.ok(len(children(b.init)) == 5, f"{how}: two roles, two services and CMD are all there are",
         children(b.init))
    t.ok(b.get("/readyz")[0] == 200 and b.end()[0] == 143, f"{how}: it was only asleep", b)
t.done()
