#!/usr/bin/env python3
"""pinnace doctor: what it finds in worlds that collide, before, with and after a repair.

    net_doctor.py [-k TEXT]
"""
import argparse
import json
import os
import signal
from functools import partial

from netlab import VIP, World, report, run_cells
from tap import Tap, wait_for

FORWARD = "[dns]\nmode = forward\n"
WELL, WARNING, PROBLEM = 0, 1, 2


def doctor(w, cell, ini, *args):
    """(status, what it printed), from within the box's mounts and network."""
    path = os.path.join(cell.dir, "doctor.ini")
    with open(path, "w") as f:
        f.write(f"[engine]\nenabled = no\n{ini}\n")
    argv = ["sh", "-c", '"$@" 2>&1; echo "status $?"', "sh", cell.pinnace, "doctor", "-c", path,
            *args]
    text, _, status = w.dind.run(*argv).rpartition("status ")
    return int(status), text


def findings(w, cell, ini):
    """(status, [(level, text)]) by way of JSON, which has to agree with the table."""
    status, text = doctor(w, cell, ini)
    code, doc = doctor(w, cell, ini, "--json")
    doc = json.loads(doc)
    found = [(f["level"], f["text"]) for f in doc["findings"]]
    cell.ok(code == status == doc["status"] and all(t.partition("queries=")[0] in text for _, t in found) and
            all(set(f) == {"level", "subject", "text"} for f in doc["findings"]),
            "table and JSON say the same", (status, text, doc))
    return status, found


def has(found, level, *words):
    return any(got == level and all(w in text for w in words) for got, text in found)


def before_and_with(topology, cell):
    w = World(topology)
    status, found = findings(w, cell, FORWARD)
    cell.ok(status == WARNING and has(found, "ok", "does not answer here yet"),
            "without a box: what it would do", found)
    cell.ok(has(found, "ok", "uplink eth0: 10.87.0.5/16", "MTU 1500"), "the uplink", found)
    cell.ok(has(found, "warning", "10.87.0.0/16", "Dagger", "--network-cidr"),
            "what cannot be repaired, and what helps", found)
    cell.ok(has(found, "ok", "resolver", w.given[0], "loopback" if topology == "TC" else "Dagger"),
            "the resolver, and what is wrong with it", found)
    changed = w.dind.run("ip", "-br", "addr", "show", "lo") + w.dind.run("nft", "list", "tables")
    cell.ok(VIP not in changed and "pinnace" not in changed, "it has changed nothing", changed)
    w.start(cell, FORWARD)
    status, found = findings(w, cell, FORWARD)
    cell.ok(status == WARNING and has(found, "ok", f"the forwarder answers on {VIP}", "queries="),
            "with the box: in force", found)
    w.docker()
    if w.nested_cidr:
        w.nest()
    status, found = findings(w, cell, FORWARD)
    if topology == "TA":
        cell.ok(status == WARNING and has(found, "warning", "dagger0 takes 10.87.0.0/16", "narrowed")
                and has(found, "warning", "has the address of the resolver"),
                "the collision and its repair", found)
    else:
        cell.ok(not any("dagger0" in text for _, text in found), "what is in a container is unseen",
                found)
    status, text = doctor(w, cell, FORWARD, "--explain", "dns", "probe.test")
    cell.ok(status == 0 and f"names {VIP}" in text and f"in place of {w.given[0]}" in text and
            "in force" in text and text.count("NOERROR, 1 address,") == 2, "it explains a name", text)
    status, text = doctor(w, cell, FORWARD, "--explain", "dns", "nowhere.test")
    cell.ok(status == 1 and "NXDOMAIN" in text, "and one that is not there", text)


def broken(cell):
    w = World("TB")
    w.start(cell, FORWARD)
    net = w.box.role("net")
    os.kill(net, signal.SIGSTOP)
    w.dind.nft("delete table ip pinnace")
    status, found = findings(w, cell, FORWARD)
    cell.ok(status == PROBLEM and has(found, "problem", "table `pinnace` is missing") and
            has(found, "problem", "does not answer"), "rules that are gone, a role that hangs", found)
    os.kill(net, signal.SIGCONT)
    # It may be repaired between the two of findings().
    cell.ok(wait_for(lambda: doctor(w, cell, FORWARD)[0] == WARNING, 5), "repaired again")
    w.dns.close()
    status, text = doctor(w, cell, FORWARD, "--explain", "dns", "probe.test")
    cell.ok(status == 1 and "10.87.0.1: " in text and "SERVFAIL" in text,
            "a resolver that is gone shows in the explanation", text)


def without_rights(cell):
    w = World("TA")
    w.docker()
    w.nest()
    status, found = findings(w, cell, FORWARD + "[net]\nrepair = off\n")
    cell.ok(status == PROBLEM and has(found, "problem", "dagger0 takes", "repair is off"),
            "what may not be repaired is a problem", found)
    status, found = findings(w, cell, "[dns]\nmode = off\n")
    cell.ok(has(found, "ok", "DNS is left alone"), "off is said", found)
    status, text = doctor(w, cell, "[dns]\nmode = maybe\n")
    cell.ok(status == PROBLEM and "doctor.ini:4: dns.mode: 'maybe'" in text, "a bad config", text)
    status, text = doctor(w, cell, FORWARD, "--jsn")
    cell.ok(status == PROBLEM and "usage: pinnace doctor" in text, "a bad option", text)


def well(cell):
    w = World("TD2")  # 172.17.0.0/16, with nothing else on it
    status, found = findings(w, cell, FORWARD)
    cell.ok(status == WELL and has(found, "ok", "uplink eth0: 172.17.0.5/16"), "all is well", found)


STORIES = (
    [(f"before and with, {topology}", partial(before_and_with, topology))
     for topology in ("TB", "TA", "TC")] +
    [("broken", broken), ("without rights", without_rights), ("well", well)])


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    p.add_argument("-k", metavar="TEXT", default="", help="only stories with this in their name")
    args = p.parse_args()
    t = Tap()
    report(t, run_cells([s for s in STORIES if args.k in s[0]], t.pinnace, 3))
    t.done()


if __name__ == "__main__":
    main()
