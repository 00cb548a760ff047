#!/usr/bin/env python3
"""What works in a box whose network a nested engine collides with: all topologies, firewalls and
ways to run, each beside the same without pinnace, which has to fail where it is known to.

    net_matrix.py [-k TEXT] [--table FILE.md] [-j AT_ONCE]
"""
import argparse
import functools
import time
from collections import namedtuple

from netlab import TOPOLOGIES, VIP, World, missing_tools, run_cells, split
from tap import Tap, wait_for

FALLBACK = "8.8.8.8"  # what dockerd gives to containers when all it has is a loopback resolver
Spec = namedtuple("Spec", "topology firewall mode order net_admin pid1 read_only rp_filter",
                  defaults=("nft", "forward", "after", True, False, False, 0))

DNS_OF = {who: {f"{who} udp", f"{who} tcp"} for who in "LCN"}
INET_OF = {who: {f"{who} inet", f"{who} inet2"} for who in "CN"}
OUTER_SERVICE = {"C osvc", "N osvc"}  # hidden by the nested prefix: only another CIDR helps
ALL_OF = {who: DNS_OF[who] | INET_OF[who] | {f"{who} osvc"} for who in "CN"}

# What fails without pinnace. Everything else works.
FAILS_ALONE = {
    "T0": set(),
    "TB": DNS_OF["C"] | DNS_OF["N"] | OUTER_SERVICE,
    "TA": DNS_OF["L"] | DNS_OF["C"] | ALL_OF["N"] | {"C inet2"},
    "TA2": ALL_OF["N"],
    "TA3": DNS_OF["L"] | DNS_OF["C"] | DNS_OF["N"] | OUTER_SERVICE,
    "TC": DNS_OF["C"],
    "TD1": DNS_OF["L"] | ALL_OF["C"],
    "TD2": ALL_OF["C"],
}
# What cannot be repaired.
FAILS_STILL = {
    "T0": set(), "TC": set(),
    "TB": OUTER_SERVICE, "TA": OUTER_SERVICE, "TA2": OUTER_SERVICE, "TA3": OUTER_SERVICE,
    "TD1": {"C osvc"}, "TD2": {"C osvc"},
}
# What fails without CAP_NET_ADMIN: containers are helped, by a resolver on docker0's address;
# what happens in the box's own namespace is not repaired. There no engine has made a bridge
# either (TA), since that takes the same right.
FAILS_WITHOUT_RIGHTS = {**FAILS_STILL, "TD1": FAILS_ALONE["TD1"], "TD2": FAILS_ALONE["TD2"]}
COLUMNS = ("L udp", "L tcp", "C udp", "C tcp", "C inet", "C inet2", "C osvc",
           "N udp", "N tcp", "N inet", "N inet2", "N osvc")


def failures(spec):
    """The measurements that fail in this cell."""
    known = FAILS_STILL if spec.mode and spec.net_admin else \
        FAILS_WITHOUT_RIGHTS if spec.mode else FAILS_ALONE
    bad = set(known[spec.topology])
    if spec.firewall == "off":  # nobody translates the addresses of containers
        bad |= INET_OF["C"] | {"C osvc"}
        if spec.topology == "TB":
            bad |= INET_OF["N"]
        if not spec.mode:
            bad |= DNS_OF["C"]
    return bad


def specs():
    for topology in TOPOLOGIES:
        yield Spec(topology, mode="")
        for firewall in ("nft", "legacy", "docker29", "off"):
            yield Spec(topology, firewall)
            if not topology.startswith("TA"):
                yield Spec(topology, firewall, net_admin=False)
    for topology in ("TB", "TA", "TD1"):
        yield Spec(topology, pid1=True)
    for topology in ("TB", "TA", "TA2", "TA3", "TC", "TD1", "TD2"):
        yield Spec(topology, order="before")
    for firewall in ("legacy", "docker29"):
        yield Spec("TB", firewall, order="before")
        yield Spec("TA", firewall, order="before")
    for topology, firewall in (("T0", "nft"), ("TB", "nft"), ("TB", "legacy"), ("TB", "docker29"),
                               ("TB", "off")):
        yield Spec(topology, firewall, mode="dnat")
    for topology in ("TA", "TC"):  # where the kernel alone cannot do it, the forwarder does
        yield Spec(topology, mode="dnat")
    yield Spec("TB", read_only=True)
    yield Spec("TA", rp_filter=2)
    for topology in ("TB", "TA", "TA2", "TA3", "TD1"):
        yield Spec(topology, rp_filter=1)


def title(spec):
    words = [spec.topology, spec.firewall, spec.mode or "alone"]
    words += ["engines first"] * (spec.order == "before") + ["PID 1"] * spec.pid1
    words += ["no NET_ADMIN"] * (not spec.net_admin) + ["resolv.conf read-only"] * spec.read_only
    words += [f"rp_filter {spec.rp_filter}"] * (spec.rp_filter > 0)
    return ", ".join(words)


def story(spec, cell):
    began = time.monotonic()
    w = World(spec.topology, spec.firewall, spec.rp_filter, read_only=spec.read_only)
    own = split(w.docker_cidr)[0]  # of an address that the box has anyway
    if not spec.mode:
        w.container_dns = FALLBACK if spec.topology == "TC" else w.resolver
    else:
        w.container_dns = VIP if spec.net_admin else own

    def box():
        if spec.mode:
            w.start(cell, f"[dns]\nmode = {spec.mode}\n", net_admin=spec.net_admin, pid1=spec.pid1)

    def engines():
        w.docker()
        if w.nested_cidr:
            w.nest()
    for step in (engines, box) if spec.order == "before" else (box, engines):
        step()
    if spec.mode and spec.topology.startswith("TA"):
        wait_for(w.narrowed)  # net_changes.py measures how long that takes
    found = w.measure()
    wrong = {key for key in found if found[key] == (key in failures(spec))}
    return {"found": found, "look": w.look() if wrong else "", "took": time.monotonic() - began}


def table(rows):
    """The results in Markdown."""
    def mark(found, key):
        return "" if key not in found else "yes" if found[key] else "**no**"
    lines = ["| cell | " + " | ".join(COLUMNS) + " |", "|---" * (len(COLUMNS) + 1) + "|"]
    lines += ["| " + " | ".join([name] + [mark(found, key) for key in COLUMNS]) + " |"
              for name, found in rows]
    return "\n".join(lines) + "\n"


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    p.add_argument("-k", metavar="TEXT", default="", help="only cells with this in their name")
    p.add_argument("-j", type=int, default=4, metavar="N", help="cells at a time")
    p.add_argument("--table", metavar="FILE", help="write the results as a Markdown table")
    args = p.parse_args()
    t = Tap()
    missing = missing_tools(t.pinnace)
    chosen = [s for s in dict.fromkeys(specs())
              if args.k in title(s) and not (missing and s.firewall == "legacy")]
    stories = [(s, functools.partial(story, s)) for s in chosen]
    rows, longest = [], 0
    for spec, value, said in run_cells(stories, t.pinnace, args.j):
        for ok, name, diag in said:
            t.ok(ok, f"{title(spec)}: {name}", diag)
        if not value:
            continue
        found, bad, look = value["found"], failures(spec), value["look"]
        longest = max(longest, value["took"])
        rows.append((title(spec), found))
        for key in (k for k in COLUMNS if k in found):
            what = "fails" if key in bad else "works"
            t.ok(found[key] != (key in bad), f"{title(spec)}: {key} {what}", look)
            look = "" if found[key] == (key in bad) else look  # shown once a cell
    t.ok(len(rows) == len(chosen), "every cell was measured", f"{len(rows)} of {len(chosen)}")
    t.diag(f"the longest cell took {longest:.1f} s")
    if args.table:
        with open(args.table, "w") as f:
            f.write(table(rows))
    t.done()


if __name__ == "__main__":
    main()
