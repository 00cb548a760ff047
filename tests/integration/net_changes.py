#!/usr/bin/env python3
"""The network of a box, kept true while the world around it changes; and given back at the end.

    net_changes.py [-k TEXT] [-j AT_ONCE]
"""
import argparse
import concurrent.futures
import contextlib
import os
import signal
import socket
import threading
import time
from functools import partial

from box import Box, read
from netlab import (EMBEDDED, INTERNET, NXDOMAIN, REFUSED, SERVFAIL, VIP, Server, World, ask,
                    first_answer, greeted, make_query, missing_tools, nameservers, network,
                    read_reply,
                    resolv_conf, report, run_cells)
from tap import Tap, wait_for

FORWARD, DNAT = "[dns]\nmode = forward\n", "[dns]\nmode = dnat\n"
MODES = (("forward", FORWARD), ("dnat", DNAT))
PROMPT = 0.5      # seconds within which what was broken works again; the goal is 100 ms
OTHER = "10.87.0.54"  # a second resolver of the outer world


def good(reply):
    return reply is not None and reply.addresses == [INTERNET]


def resolves(net, server=VIP, **kw):
    """Over UDP and over TCP."""
    return good(ask(net, server, **kw)) and good(ask(net, server, tcp=True, **kw))


def ms(seconds):
    return "never" if seconds is None else f"{1000 * seconds:.0f} ms"


def prompt(cell, seconds, name, look):
    cell.diag(f"{name}: {ms(seconds)}")
    return cell.ok(seconds is not None and seconds < PROMPT, f"{name}, within {ms(PROMPT)}",
                   f"{ms(seconds)}\n{look()}" if seconds is None or seconds >= PROMPT else "")


def until(predicate, seconds=5.0):
    """Seconds until it is true, or None."""
    began = time.monotonic()
    return time.monotonic() - began if wait_for(predicate, seconds) else None


def table_there(w):
    return "table ip pinnace" in w.dind.run("nft", "list", "tables")


def second_resolver(w):
    w.outer.ip(f"addr add {OTHER}/16 dev obr0")
    return Server(w.outer, [OTHER], records=w.records)


def rewrite(path, text, rename=False):
    """What DHCP clients, engines and people do to resolv.conf."""
    with open(path + ".new" if rename else path, "w") as f:
        f.write(text)
    if rename:
        os.rename(path + ".new", path)


# --- what happens to it

def bridge_comes_and_goes(topology, cell):
    w = World(topology)
    w.container_dns = VIP
    w.start(cell, FORWARD)
    w.docker()
    w.nest(address=False)
    table, before = w.dind.route_table("eth0"), (w.dind.routes("dev", "eth0"),
                                                 w.dind.addresses("eth0"))
    cell.ok(resolves(w.dind) and greeted(w.inner, w.service), "all is well before", w.look())
    w.dind.ip(f"addr add {w.nested_cidr} dev dagger0")
    seconds = first_answer(w.dind, VIP)
    prompt(cell, seconds, "a process in the box resolves again", w.look)
    began = time.monotonic()
    seconds = first_answer(w.nexec, w.nested_resolver)
    prompt(cell, seconds, "a container of the nested engine resolves", w.look)
    cell.ok(greeted(w.nexec, INTERNET), "and reaches the internet", w.look())
    cell.ok(first_answer(w.inner, VIP) is not None and greeted(w.inner, INTERNET),
            "so does a container of the box", w.look())
    cell.diag(f"all of it {ms(time.monotonic() - began)} after the first answer")
    during = w.dind.route_table("eth0")
    cell.ok(table and during and during != table, "the uplink's routes are others meanwhile", during)
    w.dind.ip("link del dagger0")
    seconds = until(lambda: w.dind.route_table("eth0") == table)
    prompt(cell, seconds, "the uplink has its network back when the bridge has gone",
           lambda: f"{before}\n{w.look()}")
    cell.ok((w.dind.routes("dev", "eth0"), w.dind.addresses("eth0")) == before,
            "routes and addresses are as before", w.look())
    cell.ok(resolves(w.dind) and greeted(w.inner, w.service), "all is well again", w.look())
    for turn in range(5):  # an engine that restarts
        w.dind.ip("link add dagger0 type bridge", "link set dagger0 up",
                  f"addr add {w.nested_cidr} dev dagger0", "link del dagger0")
    seconds = until(lambda: w.dind.route_table("eth0") == table)
    prompt(cell, seconds, "five more that come and go leave nothing behind",
           lambda: f"{before}\n{w.look()}")
    cell.ok(not wait_for(lambda: w.dind.route_table("eth0") != table, 0.3) and resolves(w.dind),
            "for good, and names resolve", w.look())


def resolv_is_rewritten(mode, mounted, rename, cell):
    w = World("T0", mounted=mounted)
    other = second_resolver(w)
    w.start(cell, f"[dns]\nmode = {mode}\n")
    cell.ok(w.resolvers() == [VIP] and resolves(w.dind), "our resolver is in it", w.look())
    for turn, (server, new) in enumerate(((other, OTHER), (w.dns, w.resolver), (other, OTHER))):
        text = resolv_conf(new, search=f"turn{turn}.test")
        rewrite("/etc/resolv.conf", text, rename)
        seconds = until(lambda: w.resolvers() == [VIP])
        prompt(cell, seconds, f"turn {turn}: our resolver is back in it", w.look)
        seen = read(w.resolv_path())
        cell.ok(f"search turn{turn}.test" in seen and "options timeout:2" in seen,
                f"turn {turn}: search and options are those of the new one", seen)
        seconds = until(lambda s=server, n=turn: ask(w.dind, VIP, f"q{n}.test", wait=0.2, tries=1)
                        and s.names(f"q{n}.test"))
        prompt(cell, seconds, f"turn {turn}: the new resolver is asked", w.look)
    before = len(w.dns.log)
    cell.ok(resolves(w.dind) and len(w.dns.log) == before, "and the old one is not",
            w.dns.log[before:])
    cell.ok(w.box.end()[0] == 143 and read("/etc/resolv.conf") == text,
            "in the end resolv.conf is what somebody has written last", read("/etc/resolv.conf"))


def circle(cell):
    """The outer engine attaches a network: its embedded resolver goes in front of what was in
    resolv.conf, which is us."""
    w = World("T0")
    w.start(cell, FORWARD)
    cell.ok(resolves(w.dind), "names resolve", w.look())
    w.outer.ip("link add obr1 type bridge", "addr add 10.99.0.1/16 dev obr1", "link set obr1 up",
               "link add vdind1 type veth peer name eth1 netns dind",
               "link set vdind1 master obr1 up")
    w.dind.ip("addr add 10.99.0.5/16 dev eth1", "link set eth1 up")
    embedded = w.embed(upstream=VIP)
    rewrite("/etc/resolv.conf", resolv_conf(EMBEDDED))
    prompt(cell, until(lambda: w.resolvers() == [VIP]), "our resolver is back in it", w.look)
    names = [f"n{i}.test" for i in range(20)]
    w.dns.records.update({name: [INTERNET] for name in names})
    for tcp in (False, True):
        at, before = len(embedded.log), len(w.dns.log)
        slow = 0.0
        for name in names:
            began = time.monotonic()
            if not good(ask(w.dind, VIP, name, tcp=tcp, wait=4, tries=1)):
                cell.ok(False, f"a name resolves in the circle, tcp={tcp}", w.look())
                break
            slow = max(slow, time.monotonic() - began)
        else:
            cell.ok(True, f"names resolve in the circle, tcp={tcp}")
        cell.diag(f"the slowest took {ms(slow)}")
        cell.ok(slow < 1, f"none takes a second, tcp={tcp}", ms(slow))
        passed = len(embedded.log) - at, len(w.dns.log) - before
        cell.diag(f"{len(names)} queries were {passed[0]} at 127.0.0.11, {passed[1]} upstream")
        cell.ok(passed[0] <= 3 * len(names) and passed[1] <= 3 * len(names),
                f"and are not multiplied, tcp={tcp}", passed)
    quiet = len(embedded.log) + len(w.dns.log)
    cell.ok(not wait_for(lambda: len(embedded.log) + len(w.dns.log) > quiet, 0.5),
            "then it is quiet", len(embedded.log) + len(w.dns.log) - quiet)
    cell.ok(all(ask(w.dind, VIP, f"no{i}.test", wait=4, tries=1).rcode == NXDOMAIN
                for i in range(3)), "a name that is not there is not there", w.look())


def rules_are_flushed(mode, ini, cell):
    w = World("T0")
    w.start(cell, ini)
    w.docker()
    cell.ok(resolves(w.dind) and resolves(w.inner) and table_there(w), "names resolve", w.look())
    for argv in (("flush", "ruleset"), ("delete", "table", "ip", "pinnace"), ("flush", "ruleset")):
        w.dind.run("nft", *argv)
        seconds = first_answer(w.dind, VIP)
        prompt(cell, seconds, f"{mode}: after nft {' '.join(argv)} names resolve again", w.look)
        cell.ok(table_there(w) and resolves(w.dind), f"{mode}: and the table is there", w.look())
    cell.ok(resolves(w.inner), f"{mode}: for containers, too", w.look())


def iptables_are_flushed(firewall, cell):
    w = World("T0", firewall)
    w.start(cell, FORWARD)
    w.docker()
    tool = f"iptables-{firewall}"
    for argv in (("-F",), ("-t", "nat", "-F"), ("-X",), ("-t", "nat", "-X")):
        w.dind.run(tool, "-w", *argv, check=False)
        cell.ok(resolves(w.dind) and resolves(w.inner),
                f"{tool} {' '.join(argv)} is no harm to names", w.look())
    saved = w.dind.run(f"{tool}-save")
    w.dind.run(f"{tool}-restore", text=saved)
    cell.ok(resolves(w.dind) and resolves(w.inner), "nor is save and restore", w.look())


class Stream:
    """Queries without end, each sent again once after 0.9 s, as a libc does it."""

    def __init__(self, net, tcp, server=VIP):
        self.net, self.tcp, self.server = net, tcp, server
        self.took, self.refused, self.lost, self.stop = [], [], 0, False
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(4)]
        for x in self.threads:
            x.start()

    def run(self):
        while not self.stop:
            began, why = time.monotonic(), []
            reply = self.once(why)
            self.took.append(time.monotonic() - began)
            self.lost += not good(reply)
            self.refused += [x for x in why if "refused" in x]
            time.sleep(0.005)

    def once(self, why):
        if self.tcp:
            return ask(self.net, self.server, tcp=True, wait=2, tries=3, why=why)
        query = make_query("probe.test")
        with self.net.socket() as s:
            s.connect((self.server, 53))
            for wait in (0.9, 1.1, 2):
                s.settimeout(wait)
                try:
                    s.send(query)
                    return read_reply(s.recv(65535), self.server)
                except OSError as e:
                    why.append(f"{type(e).__name__}: {e}")
        return None

    def end(self):
        self.stop = True
        for x in self.threads:
            x.join(10)


def role_is_killed(cell):
    w = World("T0")
    b = w.start(cell, FORWARD)
    w.docker()
    cell.ok(resolves(w.dind) and b.role("net"), "role net answers", w.look())
    streams = [("UDP", Stream(w.dind, False)), ("TCP", Stream(w.dind, True)),
               ("UDP from a container", Stream(w.inner, False))]
    for turn in range(5):
        pid = wait_for(lambda: b.role("net"), 5)
        counts = [len(s.took) for _, s in streams]
        cell.ok(bool(pid), f"kill {turn}: there is one", b)
        if not pid:
            break
        os.kill(pid, signal.SIGKILL)
        cell.ok(wait_for(lambda p=pid: b.role("net") not in (None, p), 5), "another one comes", b)
        cell.ok(wait_for(lambda c=counts: all(len(s.took) > n + 20
                                              for (_, s), n in zip(streams, c)), 10),
                "and answers", w.look())
        time.sleep(1)  # so that a query is lost to one of the ends, and not, sent again, to the next
    for name, s in streams:
        s.end()
        cell.diag(f"{name}: {len(s.took)} queries, the slowest {ms(max(s.took))}")
        cell.ok(not s.refused, f"{name}: none was refused", s.refused[:5])
        cell.ok(not s.lost and max(s.took) < 2, f"{name}: all answered, each within 2 s",
                (s.lost, max(s.took)))
    cell.ok(b.status().get("bugs") == 0, "no bug was met", b.status())


def first_queries(cell):
    """From the moment it is ready no query is lost."""
    w = World("T0")
    for turn in range(5):
        b = w.start(cell, FORWARD)
        streams = [("UDP", Stream(w.dind, False)), ("TCP", Stream(w.dind, True))]
        wait_for(lambda s=streams: all(len(x.took) >= 40 for _, x in s), 5)
        for name, s in streams:
            s.end()
            cell.ok(len(s.took) >= 40 and not s.lost and max(s.took) < 0.8,
                    f"start {turn}: {name} is answered at once",
                    f"{len(s.took)} queries, {s.lost} lost, the slowest {ms(max(s.took))}")
        cell.ok(b.end()[0] == 143, f"start {turn}: it ends", b)


def upstreams_fail(cell):
    dead = "10.87.0.66"
    w = World("T0", given=[OTHER, "10.87.0.1"])
    other = second_resolver(w)
    w.start(cell, FORWARD)

    def asked(what, limit):
        began = time.monotonic()
        first = ask(w.dind, VIP, wait=5, tries=1)
        cell.diag(f"{what}: the first answer took {ms(time.monotonic() - began)}")
        cell.ok(good(first) and time.monotonic() - began < limit,
                f"{what}: the next one is asked, within {limit} s", (first, w.look()))
        began = time.monotonic()
        cell.ok(all(good(ask(w.dind, VIP, wait=5, tries=1)) for _ in range(5)) and
                time.monotonic() - began < 2, f"{what}: and then at once",
                f"five took {ms(time.monotonic() - began)}")
        cell.ok(good(ask(w.dind, VIP, tcp=True, wait=6, tries=1)), f"{what}: over TCP, too",
                w.look())
    asked("all well", 0.5)
    for rcode, name in ((SERVFAIL, "SERVFAIL"), (REFUSED, "REFUSED")):
        other.rcode = rcode
        asked(f"the first says {name}", 0.5)
    other.rcode, other.drop = 0, True
    asked("the first is silent", 2.5)
    other.close()
    asked("the first has no listener", 2.5)
    w.outer.ip(f"addr del {OTHER}/16 dev obr0")
    rewrite("/etc/resolv.conf", resolv_conf(dead, w.resolver))
    wait_for(lambda: w.resolvers() == [VIP], 5)
    asked("the first is not there", 2.5)
    w.dns.drop = True
    began = time.monotonic()
    reply = ask(w.dind, VIP, wait=12, tries=1)
    cell.diag(f"all silent: {ms(time.monotonic() - began)}")
    cell.ok(reply and reply.rcode == SERVFAIL, "all silent: the answer is SERVFAIL", reply)
    w.dns.drop = False
    cell.ok(first_answer(w.dind, VIP) is not None, "one is back: it is asked", w.look())


def sizes(mode, ini, cell):
    w = World("T0")
    many = [f"198.51.100.{i}" for i in range(1, 121)]
    w.dns.records["big.test"] = many
    w.start(cell, ini)
    w.docker()
    for who, net in (("box", w.dind), ("container", w.inner)):
        small = ask(net, VIP, "big.test")
        cell.ok(small and small.cut and not small.addresses and small.length <= 512,
                f"{mode}, {who}: a large answer is cut for a client that takes 512 bytes", small)
        large = ask(net, VIP, "big.test", edns=4096)
        cell.ok(large and not large.cut and large.addresses == many,
                f"{mode}, {who}: and whole for one that takes more", large)
        whole = ask(net, VIP, "big.test", tcp=True)
        cell.ok(whole and whole.addresses == many, f"{mode}, {who}: and over TCP", whole)


def equal_at_once(topology, cell):
    """Many ask the same at the same time: no circle, even where the resolver is on loopback."""
    w = World(topology)
    w.start(cell, FORWARD)
    w.docker()
    (w.embedded if topology == "TC" else w.dns).delay = 0.1
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        for who, net in (("box", w.dind), ("container", w.inner)):
            for tcp in (False, True):
                asking = [pool.submit(ask, net, VIP, tcp=tcp, tries=1, wait=4) for _ in range(16)]
                replies = [x.result() for x in asking]
                cell.ok(all(good(r) for r in replies), f"{who}, tcp={tcp}: each is answered",
                        replies)


# --- its end

def narrowed(w):
    """Is the uplink's network off it?"""
    return not any(x.startswith(network(w.outer_cidr)) for x in w.dind.routes("dev", "eth0"))


def state_of(w):
    tables = w.dind.run("nft", "list", "tables").splitlines()
    return {"resolv.conf": read("/etc/resolv.conf"), "routes": w.dind.routes(),
            "uplink": w.dind.addresses("eth0"), "lo": w.dind.addresses("lo"),
            "tables": [x for x in tables if "pinnace" in x],
            **{key: w.dind.run("cat", f"/proc/sys/net/ipv4/conf/eth0/{key}").strip()
               for key in ("accept_local", "rp_filter")}}


def gives_back(topology, mounted, killed, cell):
    w = World(topology, mounted=mounted)
    w.container_dns = VIP
    before = state_of(w)
    b = w.start(cell, FORWARD)
    during = state_of(w)
    cell.ok(resolves(w.dind) and f"{VIP}/32" in during["lo"] and during["tables"] and
            during["resolv.conf"] != before["resolv.conf"], "it has put in its own", during)
    if w.nested_cidr:
        w.nest()
        cell.ok(first_answer(w.dind, VIP) is not None and
                wait_for(lambda: narrowed(w), 5), "and has narrowed the uplink", w.look())
    if killed:
        b.signal(signal.SIGKILL)
        b.wait()
        left = state_of(w)
        cell.ok(left["resolv.conf"] != before["resolv.conf"], "killed, it leaves things behind",
                left)
        b = w.start(cell, FORWARD)
        cell.ok(resolves(w.dind), "a new one knows what was there before", w.look())
    if w.nested_cidr:
        w.dind.ip("link del dagger0")
        w.dind.nft("delete table inet cni_plugins_masquerade")
    cell.ok(b.end()[0] == 143, "it ends", b)
    after = state_of(w)
    for key in before:
        cell.ok(after[key] == before[key], f"in the end {key} is as before",
                f"{before[key]}\n{after[key]}")
    cell.ok(good(ask(w.dind, w.given[0])), "and the old resolver answers", after)


def ends_collided(cell):
    """The nested bridge is still there when pinnace ends."""
    w = World("TA")
    w.container_dns = VIP
    before = state_of(w)
    b = w.start(cell, FORWARD)
    w.nest()
    cell.ok(wait_for(lambda: narrowed(w), 5), "the uplink was narrowed", w.look())
    cell.ok(b.end()[0] == 143, "it ends", b)
    after = state_of(w)
    for key in ("resolv.conf", "uplink", "lo", "accept_local"):
        cell.ok(after[key] == before[key], f"{key} is as before", f"{before[key]}\n{after[key]}")
    cell.ok(not after["tables"], "its table has gone", after["tables"])
    cell.ok({x for x in before["routes"] if "eth0" in x} == {x for x in after["routes"]
            if "eth0" in x}, "routes of the uplink are as before", after["routes"])


def prepare_is_killed(cell):
    """In its engine part: names are asked of us by then, so that it has to be known."""
    w = World("T0")
    before = state_of(w)
    dockerd, asked = os.path.join(cell.dir, "dockerd"), os.path.join(cell.dir, "asked")
    with open(dockerd, "w") as f:
        f.write(f"#!/bin/sh\n: >{asked}\nexec sleep 60\n")
    os.chmod(dockerd, 0o755)
    w.dind.ip("link set eth0 mtu 1400")  # for which the version is asked
    with w.dind.inside():
        b = Box(cell, f"command = {dockerd}\n", ["sleep", "600"], pid1=False,
                env={"PINNACE_ENGINE_ENABLED": "yes"})
    cell.ok(wait_for(lambda: os.path.exists(asked), 10), "the engine is being prepared", b)
    cell.ok(nameservers() == [VIP], "and the network is", b)
    pid = b.role("prepare")
    os.kill(pid, signal.SIGKILL)
    b.wait()
    after = state_of(w)
    for key in before:
        cell.ok(after[key] == before[key], f"in the end {key} is as before",
                f"{before[key]}\n{after[key]}\n{b}")


def left_alone(ini, cell):
    """mode = auto without an engine, or off: nothing is touched."""
    w = World("TA")
    w.container_dns = w.resolver
    before = state_of(w)
    b = w.start(cell, ini)
    cell.ok(state_of(w) == before, "nothing is touched", state_of(w))
    w.dind.ip("link add dagger0 type bridge", "link set dagger0 up",
              f"addr add {w.nested_cidr} dev dagger0")
    collided = state_of(w)
    changed = wait_for(lambda: state_of(w) != collided, 0.5)
    cell.ok(not changed and not b.role("net"), "nor when a bridge collides", state_of(w))
    w.dind.ip("link del dagger0")
    cell.ok(b.end()[0] == 143 and state_of(w) == before, "nor in the end", state_of(w))


# --- its neighbours

def no_open_relay(ini, net_admin, cell):
    w = World("T0")
    w.docker()
    own = "172.17.0.1"
    where = VIP if net_admin else own
    b = w.start(cell, ini, net_admin=net_admin)
    cell.ok(resolves(w.inner, where), "a container is answered", w.look())
    w.svc.ip(f"route add {VIP}/32 via {w.address}", f"route add {own}/32 via {w.address}")
    ports = {53}
    for name in ("udp", "tcp"):  # where anybody listens in the box
        for line in w.dind.run("cat", f"/proc/net/{name}").splitlines()[1:]:
            fields = line.split()
            if fields[3] in ("07", "0A") and fields[2].endswith(":0000"):
                ports.add(int(fields[1].rpartition(":")[2], 16))
    cell.diag(f"ports: {sorted(ports)}")
    before = len(w.dns.log)
    for target in (w.address, VIP, own):
        for port in sorted(ports):
            for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                cell.ok(not answered(w.svc, target, port, kind),
                        f"a stranger is not: {target} port {port} {kind.name}", w.look())
    cell.ok(len(w.dns.log) == before, "and nobody was asked for him", w.dns.log[before:])
    cell.ok(resolves(w.inner, where) and b.init, "the container still is", w.look())


def answered(net, target, port, kind, wait=0.4):
    query = make_query("probe.test")
    with net.socket(kind=kind) as s:
        s.settimeout(wait)
        with contextlib.suppress(OSError):
            s.connect((target, port))
            s.sendall(query if kind == socket.SOCK_DGRAM else len(query).to_bytes(2, "big") + query)
            return len(s.recv(65535)) > 0
    return False


def ipv6_resolver(cell):
    w = World("T0", given=["fd00:87::1"])
    w.outer.ip("addr add fd00:87::1/64 dev obr0 nodad")
    w.dind.ip("addr add fd00:87::5/64 dev eth0 nodad")
    server = Server(w.outer, ["fd00:87::1"], records=w.records)
    w.start(cell, FORWARD)
    w.docker()
    cell.ok(w.resolvers() == [VIP], "the box asks IPv4", w.resolvers())
    cell.ok(resolves(w.dind) and resolves(w.inner), "an IPv6 resolver answers it", w.look())
    cell.ok(server.log and not w.dns.log, "nobody else was asked", w.dns.log)


def asleep(topology, cell):
    w = World(topology)
    w.container_dns = VIP
    b = w.start(cell, FORWARD)
    w.docker()
    if w.nested_cidr:
        w.nest()
    cell.ok(first_answer(w.dind, VIP) is not None and b.role("net"), "it has worked", w.look())

    def switches():
        pids = {"pinnace": b.init, "net": b.role("net")}
        found = {}
        for name, pid in pids.items():
            lines = read(f"/proc/{pid}/status").splitlines()
            found[name] = pid, sum(int(x.split()[1]) for x in lines if "ctxt_switches" in x)
        return found
    # Until what was in flight has landed: no change for a second and a half.
    settled = [switches(), time.monotonic()]

    def quiet():
        now = switches()
        if now != settled[0]:
            settled[:] = now, time.monotonic()
        return time.monotonic() - settled[1] > 1.5
    cell.ok(wait_for(quiet, 15), "it comes to rest", w.look())
    before = switches()
    changed = wait_for(lambda: switches() != before, 5)
    cell.ok(not changed, "and does not wake up in 5 s", (before, switches()))
    cell.ok(resolves(w.dind), "it was only asleep", w.look())


def source_port_is_kept(cell):
    w = World("T0")
    other = second_resolver(w)
    w.start(cell, DNAT)
    w.docker()
    for who, net in (("box", w.dind), ("container", w.inner)):
        cell.ok(good(ask(net, VIP, port=5555)) and w.dns.names("probe.test"),
                f"{who}: resolves from port 5555", w.look())
    rewrite("/etc/resolv.conf", resolv_conf(OTHER))
    cell.ok(wait_for(lambda: w.resolvers() == [VIP] and OTHER in
                     w.dind.run("nft", "list", "table", "ip", "pinnace"), 5),
            "another resolver is followed", w.look())
    for i, (who, net) in enumerate((("box", w.dind), ("container", w.inner))):
        cell.ok(ask(net, VIP, f"k{i}.test", port=5555) and other.names(f"k{i}.test") and
                not w.dns.names(f"k{i}.test"), f"{who}: from the same port, too", w.look())


def wildcard_listener(first, mode, cell):
    """Somebody else's server on port 53 of all addresses."""
    w = World("T0")
    theirs = None

    def listen():
        return Server(w.dind, records={"theirs.test": ["198.51.100.1"]})
    theirs = listen() if first else None
    w.start(cell, f"[dns]\nmode = {mode}\n")
    w.docker()
    try:
        theirs = theirs or listen()
    except OSError as e:
        cell.ok(False, "it can start after us", e)
        return
    for who, net, server in (("the box", w.dind, "127.0.0.1"),
                             ("a container", w.inner, "172.17.0.1"),
                             ("a stranger", w.svc, w.address)):
        for tcp in (False, True):
            r = ask(net, server, "theirs.test", tcp=tcp)
            cell.ok(r and r.addresses == ["198.51.100.1"], f"{who} is answered by it, tcp={tcp}", r)
    before = len(theirs.log)
    cell.ok(resolves(w.dind) and resolves(w.inner), "and our address by us", w.look())
    cell.ok(len(theirs.log) == before, "without asking it", theirs.log[before:])


def published_port(firewall, cell):
    """docker run -p 53:53"""
    w = World("T0", firewall)
    w.start(cell, FORWARD)
    w.docker()
    theirs = Server(w.inner, records={"theirs.test": ["198.51.100.1"]})
    tool = f"iptables-{firewall}"
    for protocol in ("udp", "tcp"):
        w.dind.run(tool, "-w", "-t", "nat", "-A", "DOCKER", "!", "-i", "docker0", "-p", protocol,
                   "--dport", "53", "-j", "DNAT", "--to-destination", "172.17.0.2:53")
        w.dind.run(tool, "-w", "-I", "FORWARD", "-o", "docker0", "-p", protocol, "-d", "172.17.0.2",
                   "--dport", "53", "-j", "ACCEPT")
    for tcp in (False, True):
        r = ask(w.svc, w.address, "theirs.test", tcp=tcp)
        cell.ok(r and r.addresses == ["198.51.100.1"],
                f"a stranger reaches the container, tcp={tcp}", r)
    before = len(theirs.log)
    cell.ok(resolves(w.dind) and resolves(w.inner), "our address is answered by us", w.look())
    cell.ok(len(theirs.log) == before, "without asking it", theirs.log[before:])


def stories():
    for topology in ("TA", "TA2", "TA3"):
        yield f"a bridge comes and goes, {topology}", partial(bridge_comes_and_goes, topology)
    for mode, mounted, rename in (("forward", True, False), ("forward", False, False),
                                  ("forward", False, True), ("dnat", True, False)):
        how = "a mount" if mounted else "renamed over" if rename else "in place"
        yield (f"resolv.conf is rewritten, {mode}, {how}",
               partial(resolv_is_rewritten, mode, mounted, rename))
    yield "a circle with the embedded resolver", circle
    for mode, ini in MODES:
        yield f"rules are flushed, {mode}", partial(rules_are_flushed, mode, ini)
        yield f"sizes, {mode}", partial(sizes, mode, ini)
    for firewall in ("nft", "legacy"):
        yield f"iptables are flushed, {firewall}", partial(iptables_are_flushed, firewall)
        yield f"port 53 is published, {firewall}", partial(published_port, firewall)
    yield "role net is killed", role_is_killed
    yield "the first queries", first_queries
    for topology in ("T0", "TC"):
        yield f"equal queries at once, {topology}", partial(equal_at_once, topology)
    yield "upstreams fail", upstreams_fail
    for topology, mounted, killed in (("T0", True, False), ("T0", False, False),
                                      ("TA", True, False), ("T0", True, True), ("T0", False, True),
                                      ("TA", True, True), ("TC", True, True)):
        words = [topology, "a mount" if mounted else "a file"] + ["killed once"] * killed
        yield f"it gives back, {', '.join(words)}", partial(gives_back, topology, mounted, killed)
    yield "it ends while collided", ends_collided
    yield "prepare is killed", prepare_is_killed
    yield "left alone, auto without an engine", partial(left_alone, "")
    yield "left alone, off", partial(left_alone, "[dns]\nmode = off\n")
    for mode, ini, net_admin in (("forward", FORWARD, True), ("dnat", DNAT, True),
                                 ("forward without NET_ADMIN", FORWARD, False)):
        yield f"no open relay, {mode}", partial(no_open_relay, ini, net_admin)
    yield "a resolver with IPv6 only", ipv6_resolver
    for topology in ("T0", "TA"):
        yield f"asleep, {topology}", partial(asleep, topology)
    yield "a source port is kept", source_port_is_kept
    for first in (True, False):
        for mode, _ in MODES:
            yield (f"a wildcard listener, {'before' if first else 'after'} us, {mode}",
                   partial(wildcard_listener, first, mode))


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    p.add_argument("-k", metavar="TEXT", default="", help="only stories with this in their name")
    p.add_argument("-j", type=int, default=4, metavar="N", help="stories at a time")
    args = p.parse_args()
    t = Tap()
    missing = missing_tools(t.pinnace)
    chosen = [s for s in stories() if args.k in s[0] and not (missing and "legacy" in s[0])]
    report(t, run_cells(chosen, t.pinnace, args.j))
    t.done()


if __name__ == "__main__":
    main()
