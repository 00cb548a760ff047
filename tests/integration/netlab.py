"""netlab.py: a network around a box, in which a nested engine takes addresses that are in use.

    def story(cell):
        w = World("TA", firewall="nft")       # an outer engine, the internet behind it, a box
        box = w.start(cell, "[dns]\nmode = forward")
        w.docker("172.17.0.1/16")             # what the box's own engine makes: a bridge, rules
        w.nest()                              # an engine in the box, with a bridge that collides
        return w.measure()
    for name, result in run_cells([("a story", story)]): ...

Each story runs in mount, network and PID namespaces of its own, and all ends with it. Servers and
clients are threads here: a socket stays in the network namespace in which it was made.
"""

import collections
import concurrent.futures
import contextlib
import ctypes
import json
import os
import random
import re
import select
import selectors
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time
import traceback

from box import Box

VIP = "169.254.53.53"
INTERNET = "203.0.113.7"

os.environ["PATH"] = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWNET = 0x20000, 0x20000000, 0x40000000
MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 32, 4096, 16384, 1 << 18
PR_SET_PDEATHSIG = 1
SO_BINDTODEVICE, IP_PKTINFO, IP_PKTOPTIONS, IPV6_V6ONLY = 25, 8, 9, 26
libc = ctypes.CDLL(None, use_errno=True)


def call(name, *args):
    """A libc function that returns -1 on failure."""
    args = [a.encode() if isinstance(a, str) else a for a in args]
    if getattr(libc, name)(*args) < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}{args}: {os.strerror(code)}")


def mount(source, target, kind=None, flags=0, options=None):
    call("mount", source, target, kind, ctypes.c_ulong(flags), options)


# --- cells

Said = collections.namedtuple("Said", "ok name diag")  # ok None: only a remark


class Cell:
    """What a story is told, and tells: as much of a Tap as a Box needs."""

    def __init__(self, pinnace, folder):
        self.pinnace, self.dir, self.said = pinnace, folder, []

    def ok(self, cond, name, diag=""):
        self.said.append(Said(bool(cond), name, "" if cond else str(diag)))
        return bool(cond)

    def diag(self, text):
        self.said.append(Said(None, text, ""))


def enter_cell():
    """PID 1 of fresh namespaces, with its own /run and a small /etc."""
    call("prctl", PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL), 0, 0, 0)
    mount(None, "/", None, MS_REC | MS_PRIVATE)
    mount("proc", "/proc", "proc")
    mount("run", "/run", "tmpfs")
    os.mkdir("/run/netns")
    staged = "/run/etc"
    os.mkdir(staged)
    for name in ("passwd", "group", "ld.so.cache", "protocols", "services", "ethertypes"):
        if os.path.isfile(f"/etc/{name}"):
            shutil.copy(f"/etc/{name}", staged)
    for name in ("alternatives", "iproute2"):
        if os.path.isdir(f"/etc/{name}"):
            shutil.copytree(f"/etc/{name}", f"{staged}/{name}", symlinks=True)
    mount(staged, "/etc", None, MS_BIND)


def cell_process(story, pinnace, folder, out):
    """In a fork: the story in its cell; its result is written to `out`."""
    call("unshare", CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWPID)
    pid = os.fork()
    if pid:
        os.close(out)
        os.waitpid(pid, 0)
        os._exit(0)
    cell = Cell(pinnace, folder)
    try:
        enter_cell()
        value = story(cell)
    except BaseException:  # whatever it is, it is the result
        value = None
        cell.ok(False, "the story is told to its end", traceback.format_exc())
    with os.fdopen(out, "w") as f:
        json.dump([value, cell.said], f)
    os._exit(0)


def start_cell(story, pinnace, folder):
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            call("prctl", PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL), 0, 0, 0)
            os.close(ours)
            cell_process(story, pinnace, folder, theirs)
        finally:
            os._exit(1)
    os.close(theirs)
    return pid, ours


def run_cells(stories, pinnace, at_once=4, seconds=60):
    """Yields (name, value, said) in the order of `stories`, which are (name, function) pairs.
    Each gets so many seconds; value is None when it failed."""
    root = tempfile.mkdtemp(prefix="pinnace-net-")
    waiting, done, at = list(enumerate(stories)), {}, 0
    poll, running = selectors.DefaultSelector(), {}
    try:
        while at < len(stories):
            while waiting and len(running) < at_once:
                number, (name, story) = waiting.pop(0)
                os.mkdir(folder := os.path.join(root, str(number)))
                pid, fd = start_cell(story, pinnace, folder)
                running[fd] = [number, pid, b"", time.monotonic() + seconds]
                poll.register(fd, selectors.EVENT_READ)
            for key, _ in poll.select(0.1):
                chunk = os.read(key.fd, 65536)
                running[key.fd][2] += chunk
                if not chunk:
                    running[key.fd][3] = 0
            for fd, (number, pid, text, end) in list(running.items()):
                if time.monotonic() < end:
                    continue
                del running[fd]
                poll.unregister(fd)
                os.close(fd)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                shutil.rmtree(os.path.join(root, str(number)), ignore_errors=True)
                try:
                    value, said = json.loads(text)
                    done[number] = value, [Said(*s) for s in said]
                except ValueError:
                    why = f"no result within {seconds} s" if end else "it died"
                    done[number] = None, [Said(False, "the story is told to its end", why)]
            while at in done:
                yield (stories[at][0], *done[at])
                at += 1
    finally:
        for fd, (number, pid, text, end) in running.items():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(root, ignore_errors=True)


def report(t, told):
    """What cells have said, as points of the whole test."""
    for name, _, said in told:
        for ok, what, diag in said:
            if ok is None:
                t.diag(f"{name}: {what}")
            else:
                t.ok(ok, f"{name}: {what}", diag)


def missing_tools(pinnace):
    """Skips the test where it cannot run at all; else True when iptables-legacy does not work
    here, which only a network namespace of our own is asked: looking makes its tables."""
    if os.geteuid() != 0:
        print("1..0 # SKIP needs root", flush=True)
        raise SystemExit
    for tool in ("ip", "nft", "iptables-nft", "setpriv"):
        if not shutil.which(tool):
            print(f"1..0 # SKIP needs {tool}", flush=True)
            raise SystemExit

    def legacy(_):
        return Net("x").run("iptables-legacy", "-t", "nat", "-S")
    return not next(run_cells([("legacy", legacy)], pinnace))[1]


# --- network namespaces

class Net:
    """A network namespace that `ip -n NAME` knows, too."""

    def __init__(self, name):
        self.name, path = name, f"/run/netns/{name}"
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        call("unshare", CLONE_NEWNET)
        open(path, "w").close()
        mount("/proc/thread-self/ns/net", path, None, MS_BIND)
        self.fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        call("setns", home, CLONE_NEWNET)
        os.close(home)
        self.ip("link set lo up")
        for kind in ("all", "default"):
            self.sysctl(f"ipv4.conf.{kind}.rp_filter", 0)
            self.sysctl(f"ipv4.conf.{kind}.accept_local", 0)
            with contextlib.suppress(OSError):
                self.sysctl(f"ipv6.conf.{kind}.accept_dad", 0)
        self.sysctl("ipv4.ip_forward", 1)

    @contextlib.contextmanager
    def inside(self):
        """This thread is in it: what it opens or starts, it opens or starts there."""
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        call("setns", self.fd, CLONE_NEWNET)
        try:
            yield
        finally:
            call("setns", home, CLONE_NEWNET)
            os.close(home)

    def run(self, *argv, text="", check=True):
        """What it prints."""
        with self.inside():
            p = subprocess.run(argv, input=text, capture_output=True, text=True, timeout=20)
        if check and p.returncode:
            raise RuntimeError(f"{self.name}: {' '.join(argv)}: {p.stderr}\n{text}")
        return p.stdout

    def ip(self, *lines):
        self.run("ip", "-batch", "-", text="\n".join(lines) + "\n")

    def nft(self, text):
        return self.run("nft", "-f", "-", text=text)

    def sysctl(self, name, value):
        with self.inside(), open("/proc/sys/net/" + name.replace(".", "/"), "w") as f:
            f.write(str(value))

    def socket(self, family=socket.AF_INET, kind=socket.SOCK_DGRAM):
        with self.inside():
            return socket.socket(family, kind)

    def index(self, link):
        with self.inside():
            return socket.if_nametoindex(link)

    def routes(self, *more):
        """The lines of `ip route`, sorted; those of the main table unless told otherwise."""
        lines = self.run("ip", "route", "show", *more).splitlines()
        return sorted(" ".join(line.split()) for line in lines)

    def route_table(self, link):
        """The kernel's own text of the routes by this link, which is quick to read."""
        with self.inside(), open("/proc/thread-self/net/route") as f:
            return sorted(line for line in f if line.startswith(link + "\t"))

    def addresses(self, link):
        """IPv4 addresses with their lengths."""
        lines = self.run("ip", "-4", "-o", "addr", "show", "dev", link).splitlines()
        return [line.split()[3] for line in lines]

    def links(self):
        """Their whole names: a veth of dockerd's may well contain another's."""
        lines = self.run("ip", "-o", "link").splitlines()
        return [re.split("[:@]", line.split()[1])[0] for line in lines]


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


# --- DNS, as little of it as a test needs (RFC 1035, RFC 6891)

A, TXT, AAAA, OPT = 1, 16, 28, 41
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, REFUSED = 0, 1, 2, 3, 5
QR, AA, TC, RD, RA = 0x8000, 0x0400, 0x0200, 0x0100, 0x0080
Reply = collections.namedtuple("Reply", "id rcode cut addresses length source")
Asked = collections.namedtuple("Asked", "transport source port name size")


def encode_name(name):
    return b"".join(bytes([len(x)]) + x for x in name.encode().split(b".") if x) + b"\0"


def skip_name(msg, at):
    """The offset behind the name at `at`."""
    while msg[at]:
        if msg[at] >= 0xC0:
            return at + 2
        at += 1 + msg[at]
    return at + 1


def decode_name(msg, at):
    labels = []
    while msg[at] and msg[at] < 0xC0:
        labels.append(msg[at + 1:at + 1 + msg[at]].decode("latin-1"))
        at += 1 + msg[at]
    return ".".join(labels).lower()


def make_query(name, kind=A, edns=0):
    head = struct.pack("!6H", random.randrange(65536), RD, 1, 0, 0, 1 if edns else 0)
    opt = b"\0" + struct.pack("!HHIH", OPT, edns, 0, 0) if edns else b""
    return head + encode_name(name) + struct.pack("!2H", kind, 1) + opt


def question_of(query):
    """(name, type, end of the question, what the client takes over UDP)"""
    end = skip_name(query, DNS_HEADER) + 4
    kind = struct.unpack("!H", query[end - 4:end - 2])[0]
    size = 512
    if struct.unpack("!H", query[10:12])[0] and len(query) >= end + 11 and query[end] == 0:
        size = max(512, struct.unpack("!H", query[end + 3:end + 5])[0])
    return decode_name(query, DNS_HEADER), kind, end, size


DNS_HEADER = 12


def make_answer(query, addresses, rcode=NOERROR, cut=False):
    end = question_of(query)[2]
    records = b""
    for address in [] if cut else addresses:
        data = socket.inet_pton(family_of(address), address)
        kind = AAAA if len(data) == 16 else A
        records += struct.pack("!HHHIH", 0xC00C, kind, 1, 0, len(data)) + data
    flags = QR | AA | RD | RA | (TC if cut else 0) | rcode
    head = query[:2] + struct.pack("!5H", flags, 1, 0 if cut else len(addresses), 0, 0)
    return head + query[DNS_HEADER:end] + records


def read_reply(msg, source):
    number, flags, nq, na = struct.unpack("!4H", msg[:8])
    at, addresses = DNS_HEADER, []
    for _ in range(nq):
        at = skip_name(msg, at) + 4
    for _ in range(na):
        at = skip_name(msg, at)
        kind, _, _, length = struct.unpack("!HHIH", msg[at:at + 10])
        data = msg[at + 10:at + 10 + length]
        if kind in (A, AAAA):
            family = socket.AF_INET if kind == A else socket.AF_INET6
            addresses.append(socket.inet_ntop(family, data))
        at += 10 + length
    return Reply(number, flags & 15, bool(flags & TC), addresses, len(msg), source)


def receive_exactly(s, n):
    data = b""
    while len(data) < n:
        chunk = s.recv(n - len(data))
        if not chunk:
            raise EOFError("closed")
        data += chunk
    return data


def exchange_tcp(s, query):
    s.sendall(struct.pack("!H", len(query)) + query)
    return receive_exactly(s, struct.unpack("!H", receive_exactly(s, 2))[0])


def ask(net, server, name="probe.test", tcp=False, kind=A, edns=0, wait=1.0, tries=3, port=0,
        why=None):
    """The Reply, or None; each try waits so long. `port`: ours. What went wrong is added to the
    list `why`."""
    query = make_query(name, kind, edns)
    transport = socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM
    for _ in range(tries):
        began = time.monotonic()
        try:
            with net.socket(family_of(server), transport) as s:
                s.settimeout(wait)
                if port:
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    s.bind(("", port))
                s.connect((server, 53))
                if tcp:
                    return read_reply(exchange_tcp(s, query), server)
                s.send(query)
                while True:
                    msg = s.recv(65535)
                    if len(msg) >= DNS_HEADER and msg[:2] == query[:2] and msg[2] & 0x80:
                        return read_reply(msg, server)
        except (OSError, EOFError) as e:
            if why is not None:
                why.append(f"{type(e).__name__}: {e}")
            time.sleep(max(0, min(0.05, wait - (time.monotonic() - began))))
    return None


class Server:
    """A DNS server in a thread. It answers from `records`, or asks `upstream()` as the dnsmasq
    of an engine does: UDP for UDP, TCP for TCP. How it is to behave may change at any time."""

    IN_FLIGHT = 150  # as dnsmasq's dns-forward-max

    def __init__(self, net, addresses=("0.0.0.0",), port=53, records=None, upstream=None,
                 interface=None, device=None):
        self.net, self.records, self.upstream = net, dict(records or {}), upstream
        self.interface = interface  # serve only what comes in by this link
        self.device = device        # ask upstream by this link
        self.log = []
        self.drop = False           # answer nobody
        self.rcode = NOERROR        # an error for everybody
        self.delay = 0.0
        self.cut = False            # UDP answers are empty and truncated
        self.refuse_tcp = False
        self.closing, self.timers, self.flights, self.tcp_busy = False, [], {}, 0
        self.poll = selectors.DefaultSelector()
        self.wake, self.waker = socket.socketpair()
        self.poll.register(self.wake, selectors.EVENT_READ, None)
        self.listeners = []
        for address in addresses:
            for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                s = net.socket(family_of(address), kind)
                s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, kind == socket.SOCK_STREAM)
                if family_of(address) == socket.AF_INET:
                    s.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
                s.bind((address, port))
                if kind == socket.SOCK_STREAM:
                    s.listen(64)
                s.setblocking(False)
                self.listeners.append(s)
                accept = self.accept if kind == socket.SOCK_STREAM else self.datagram
                self.poll.register(s, selectors.EVENT_READ, accept)
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def names(self, name=None):
        """The queries so far, those for this name."""
        return [q for q in list(self.log) if name in (None, q.name)]

    def close(self):
        self.closing = True
        self.waker.send(b"x")
        self.thread.join()
        for s in [*self.listeners, self.wake, self.waker, *self.flights]:
            s.close()

    def run(self):
        call("setns", self.net.fd, CLONE_NEWNET)
        while not self.closing:
            soonest = min([t for t, _ in self.timers], default=time.monotonic() + 1)
            for key, _ in self.poll.select(max(0, soonest - time.monotonic())):
                if key.data and not self.closing:
                    with contextlib.suppress(OSError):
                        key.data(key.fileobj)
            due = [x for x in self.timers if x[0] <= time.monotonic()]
            self.timers = [x for x in self.timers if x not in due]
            for _, act in due:
                with contextlib.suppress(OSError):
                    act()

    def wanted(self, ancillary):
        """Did it come in by the link that is served?"""
        if not self.interface:
            return True
        for level, kind, data in ancillary:
            if level == socket.IPPROTO_IP and kind == IP_PKTINFO:
                return struct.unpack("i", data[:4])[0] == socket.if_nametoindex(self.interface)
        return False

    def answer(self, query, transport, source):
        """Bytes, or None where there is to be no answer, or where upstream is to be asked."""
        name, kind, _, size = question_of(query)
        self.log.append(Asked(transport, source[0], source[1], name, size))
        if self.drop:
            return None
        if self.rcode:
            return make_answer(query, [], self.rcode)
        found = self.records.get(name)
        if found is None:
            return None if self.upstream and not name.endswith(".local") \
                else make_answer(query, [], NXDOMAIN)
        found = [x for x in found if (kind == AAAA) == (":" in x)]
        whole = make_answer(query, found)
        cut = transport == "udp" and (self.cut or len(whole) > size)
        return make_answer(query, [], cut=True) if cut else whole

    # --- UDP

    def datagram(self, s):
        query, ancillary, _, source = s.recvmsg(65535, 256)
        if len(query) < DNS_HEADER + 5 or not self.wanted(ancillary):
            return
        answer = self.answer(query, "udp", source)
        if answer:
            self.later(lambda: s.sendto(answer, source))
        elif self.upstream and not self.drop and not self.rcode:
            self.forward(s, query, source)

    def later(self, act):
        if self.delay:
            self.timers.append((time.monotonic() + self.delay, act))
        else:
            act()

    def forward(self, listener, query, source):
        upstream = self.upstream()
        if len(self.flights) >= self.IN_FLIGHT or not upstream:
            return
        out = socket.socket(family_of(upstream), socket.SOCK_DGRAM)
        self.flights[out] = listener, source
        self.poll.register(out, selectors.EVENT_READ, self.returned)
        self.timers.append((time.monotonic() + 3, lambda: self.land(out)))
        if self.device:
            out.setsockopt(socket.SOL_SOCKET, SO_BINDTODEVICE, self.device.encode())
        out.connect((upstream, 53))
        out.send(query)

    def returned(self, out):
        listener, source = self.flights[out]
        try:
            answer = out.recv(65535)
        finally:
            self.land(out)
        self.later(lambda: listener.sendto(answer, source))

    def land(self, out):
        if self.flights.pop(out, None):
            self.poll.unregister(out)
            out.close()

    # --- TCP: a thread for each connection

    def accept(self, s):
        c, source = s.accept()
        if self.interface:
            data = c.getsockopt(socket.IPPROTO_IP, IP_PKTOPTIONS, 256)
            ancillary = [(socket.IPPROTO_IP, IP_PKTINFO, data[16:])] if len(data) >= 20 else []
            if not self.wanted(ancillary):
                return c.close()
        if self.refuse_tcp or self.tcp_busy >= self.IN_FLIGHT:
            return c.close()
        self.tcp_busy += 1
        return threading.Thread(target=self.converse, args=(c, source), daemon=True).start()

    def converse(self, c, source):
        try:
            c.settimeout(5)
            while True:
                query = receive_exactly(c, struct.unpack("!H", receive_exactly(c, 2))[0])
                answer = self.answer(query, "tcp", source)
                if not answer and self.upstream and not self.drop:
                    answer = self.forward_tcp(query)
                if answer:
                    time.sleep(self.delay)
                    c.sendall(struct.pack("!H", len(answer)) + answer)
        except (OSError, EOFError, struct.error, IndexError):
            pass
        finally:
            self.tcp_busy -= 1
            c.close()

    def forward_tcp(self, query):
        upstream = self.upstream()
        with self.net.socket(family_of(upstream), socket.SOCK_STREAM) as out:
            if self.device:
                out.setsockopt(socket.SOL_SOCKET, SO_BINDTODEVICE, self.device.encode())
            out.settimeout(3)
            out.connect((upstream, 53))
            return exchange_tcp(out, query)


def first_answer(net, server, seconds=5, name="probe.test", want=(INTERNET,), every=0.005):
    """Seconds until the first right answer over UDP, asking anew so often; None."""
    began, asked = time.monotonic(), collections.deque()
    with contextlib.ExitStack() as stack:
        while time.monotonic() < began + seconds:
            s = stack.enter_context(net.socket(family_of(server)))
            asked.append(s)
            with contextlib.suppress(OSError):
                s.connect((server, 53))
                s.send(make_query(name))
            until = time.monotonic() + every
            while (left := until - time.monotonic()) > 0:
                for ready in select.select(list(asked), [], [], left)[0]:
                    try:
                        if read_reply(ready.recv(65535), server).addresses == list(want):
                            return time.monotonic() - began
                    except OSError:
                        pass
                    asked.remove(ready)
            if len(asked) > 200:
                asked.popleft().close()
    return None


class Greeter:
    """Says hello to everybody on TCP port 80."""

    def __init__(self, net, address):
        self.socket = net.socket(family_of(address), socket.SOCK_STREAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind((address, 80))
        self.socket.listen(64)
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                c, _ = self.socket.accept()
            except OSError:  # closed
                return
            with contextlib.suppress(OSError), c:
                c.sendall(b"hello\n")

    def close(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


def greeted(net, address, wait=3.5):
    """Does somebody at this address say hello to us?"""
    with net.socket(kind=socket.SOCK_STREAM) as s:
        s.settimeout(wait)
        try:
            s.connect((address, 80))
            return s.recv(100) == b"hello\n"
        except OSError:
            return False


# --- the world

def nameservers(path="/etc/resolv.conf"):
    try:
        with open(path, errors="replace") as f:
            return [line.split()[1] for line in f if line.split()[:1] == ["nameserver"]
                    and len(line.split()) > 1]
    except OSError:
        return []


def resolv_conf(*servers, search="lab.test"):
    lines = [f"nameserver {server}\n" for server in servers]
    return f"# made by somebody\nsearch {search}\n{''.join(lines)}options timeout:2\n"


DOCKER29 = """
table ip docker-bridges {
    map in { type ifname : verdict; elements = { "BRIDGE" : jump from-outside }; }
    map out { type ifname : verdict; elements = { "BRIDGE" : jump from-bridge }; }
    chain from-outside {
        ct state established,related counter accept
        iifname "BRIDGE" counter accept
        counter drop
    }
    chain from-bridge { counter accept; }
    chain forward {
        type filter hook forward priority filter; policy accept;
        oifname vmap @in
        iifname vmap @out
    }
    chain published { }
    chain prerouting {
        type nat hook prerouting priority dstnat; policy accept;
        fib daddr type local counter jump published
    }
    chain output {
        type nat hook output priority -100; policy accept;
        ip daddr != 127.0.0.0/8 fib daddr type local counter jump published
    }
    chain postrouting {
        type nat hook postrouting priority srcnat; policy accept;
        oifname != "BRIDGE" ip saddr SUBNET counter masquerade
    }
}
"""

# The first is the address and network of the outer bridge, which is gateway and resolver; then
# the box, the bridge of the box's engine, and that of the nested engine and where it lives.
TOPOLOGIES = {
    "T0": ("10.87.0.1/16", "10.87.0.5", "172.17.0.1/16", None, None),
    "TB": ("10.87.0.1/16", "10.87.0.5", "172.17.0.1/16", "10.87.0.1/16", "inner"),
    "TA": ("10.87.0.1/16", "10.87.0.5", "172.17.0.1/16", "10.87.0.1/16", "dind"),
    "TA2": ("10.87.0.53/16", "10.87.0.5", "172.17.0.1/16", "10.87.0.1/16", "dind"),
    "TA3": ("10.87.0.53/16", "10.87.0.5", "172.17.0.1/16", "10.87.0.1/24", "dind"),
    "TC": ("10.87.0.1/16", "10.87.0.5", "172.17.0.1/16", None, None),
    "TD1": ("172.17.0.1/16", "172.17.0.5", "172.17.0.1/16", None, None),
    "TD2": ("172.17.0.53/16", "172.17.0.5", "172.17.0.1/16", None, None),
}
FIREWALLS = {"nft": "iptables-nft", "legacy": "iptables-legacy", "docker29": None, "off": None}
EMBEDDED = "127.0.0.11"


def split(cidr):
    """("10.87.0.1", "16", "10.87.0")"""
    address, _, length = cidr.partition("/")
    return address, length, address.rpartition(".")[0]


def network(cidr):
    """The network of this address, of 16 or 24 bits."""
    address, length, _ = split(cidr)
    kept = address.split(".")[:int(length) // 8]
    return ".".join(kept + ["0"] * (4 - len(kept))) + "/" + length


class World:
    def __init__(self, topology="T0", firewall="nft", rp_filter=0, mounted=True, read_only=False,
                 given=None):
        self.topology, self.firewall, self.rp_filter = topology, firewall, rp_filter
        self.outer_cidr, self.address, self.docker_cidr, self.nested_cidr, self.nested_in = \
            TOPOLOGIES[topology]
        self.resolver, self.length, self.prefix = split(self.outer_cidr)
        self.service = self.prefix + ".9"
        self.records = {"probe.test": [INTERNET], "svc.test": [self.service]}
        self.box, self.nested_resolver, self.container_dns = None, None, None
        self.outer, self.wan = Net("outer"), Net("wan")
        self.svc, self.dind = Net("svc"), Net("dind")
        self.inner = self.nexec = None
        for kind in ("all", "default"):
            self.dind.sysctl(f"ipv4.conf.{kind}.rp_filter", rp_filter)
        self.build()
        self.dns = Server(self.outer, [self.resolver], records=self.records)
        self.greeters = [Greeter(self.wan, INTERNET), Greeter(self.svc, self.service)]
        self.given = given or [EMBEDDED if topology == "TC" else self.resolver]
        if topology == "TC":
            self.embedded = self.embed()
        self.write_resolv(resolv_conf(*self.given), mounted, read_only)

    def build(self):
        self.outer.ip(
            "link add obr0 type bridge", f"addr add {self.outer_cidr} dev obr0", "link set obr0 up",
            "link add vdind type veth peer name eth0 netns dind",
            "link add vsvc type veth peer name eth0 netns svc",
            "link add vwan type veth peer name eth0 netns wan",
            *(f"link set {v} master obr0 up" for v in ("vdind", "vsvc")),
            "link set vwan up", "addr add 203.0.113.1/24 dev vwan")
        self.wan.ip(f"addr add {INTERNET}/24 dev eth0", "link set eth0 up")
        for net, address in ((self.dind, self.address), (self.svc, self.service)):
            net.ip(f"addr add {address}/{self.length} dev eth0", "link set eth0 up",
                   f"route add default via {self.resolver}")
        self.outer.nft(f"""table ip o {{ chain p {{ type nat hook postrouting priority srcnat;
            ip saddr {network(self.outer_cidr)} oifname "vwan" masquerade; }}; }}""")

    def write_resolv(self, text, mounted, read_only):
        self.original = text.encode()
        with open("/etc/resolv.conf", "w") as f:
            f.write(text)
        if mounted or read_only:  # as a container runtime does it
            with open("/run/resolv.conf", "w") as f:
                f.write(text)
            mount("/run/resolv.conf", "/etc/resolv.conf", None, MS_BIND)
        if read_only:
            mount(None, "/etc/resolv.conf", None, MS_BIND | MS_REMOUNT | MS_RDONLY)

    def embed(self, upstream=None):
        """Docker's embedded resolver: on some port of 127.0.0.11, reached by its DNAT rules."""
        server = Server(self.dind, [EMBEDDED], port=40053,
                        upstream=lambda: upstream or self.resolver)
        tool = FIREWALLS[self.firewall] or "iptables-nft"
        for chain, parent in (("DOCKER_OUTPUT", "OUTPUT"), ("DOCKER_POSTROUTING", "POSTROUTING")):
            self.dind.run(tool, "-w", "-t", "nat", "-N", chain)
            self.dind.run(tool, "-w", "-t", "nat", "-I", parent, "-d", EMBEDDED, "-j", chain)
        for protocol in ("udp", "tcp"):
            self.dind.run(tool, "-w", "-t", "nat", "-A", "DOCKER_OUTPUT", "-d", EMBEDDED, "-p",
                          protocol, "--dport", "53", "-j", "DNAT", "--to-destination",
                          f"{EMBEDDED}:40053")
            self.dind.run(tool, "-w", "-t", "nat", "-A", "DOCKER_POSTROUTING", "-s", EMBEDDED, "-p",
                          protocol, "--sport", "40053", "-j", "SNAT", "--to-source", ":53")
        return server

    # --- the box

    def start(self, cell, ini="", cmd=("sleep", "600"), net_admin=True, **kw):
        """pinnace in the box, ready. kw: for the Box."""
        kw.setdefault("pid1", False)
        wrap = [] if net_admin else ["setpriv", "--bounding-set", "-net_admin",
                                     "--inh-caps", "-net_admin"]
        with self.dind.inside():
            self.box = Box(cell, ini, list(cmd), wrap=wrap, **kw)
        if not self.box.wait_ready(15):
            raise RuntimeError(f"the box is not ready: {self.box}")
        return self.box

    def resolvers(self):
        """What a process in the box is told to ask."""
        return nameservers(self.resolv_path())

    def resolv_path(self):
        """/etc/resolv.conf as the box sees it while it is there, which has mounts of its own."""
        seen = f"/proc/{self.box.init}/root/etc/resolv.conf" if self.box and self.box.init else ""
        return seen if os.path.exists(seen) else "/etc/resolv.conf"

    # --- engines

    def docker(self, cidr=None, link="docker0", name="inner"):
        """A bridge with Docker's rules, and one container on it."""
        cidr = cidr or self.docker_cidr
        gateway, length, prefix = split(cidr)
        net = Net(name)
        self.dind.ip(f"link add {link} type bridge", f"addr add {cidr} dev {link}",
                     f"link set {link} up",
                     f"link add v{name} type veth peer name eth0 netns {name}",
                     f"link set v{name} master {link} up")
        self.docker_rules(link, network(cidr))
        net.ip(f"addr add {prefix}.2/{length} dev eth0", "link set eth0 up",
               f"route add default via {gateway}")
        if name == "inner":
            self.inner = net
        return net

    def docker_rules(self, link, subnet):
        if self.firewall == "docker29":
            self.dind.nft(DOCKER29.replace("BRIDGE", link).replace("SUBNET", subnet))
        tool = FIREWALLS[self.firewall]
        local = ["-m", "addrtype", "--dst-type", "LOCAL", "-j", "DOCKER"]
        for rule in (["-N", "DOCKER-USER"], ["-A", "DOCKER-USER", "-j", "RETURN"],
                     ["-P", "FORWARD", "DROP"], ["-A", "FORWARD", "-j", "DOCKER-USER"],
                     ["-A", "FORWARD", "-o", link, "-m", "conntrack", "--ctstate",
                      "RELATED,ESTABLISHED", "-j", "ACCEPT"],
                     ["-A", "FORWARD", "-i", link, "-j", "ACCEPT"],
                     ["-t", "nat", "-N", "DOCKER"], ["-t", "nat", "-A", "PREROUTING", *local],
                     ["-t", "nat", "-A", "OUTPUT", "!", "-d", "127.0.0.0/8", *local],
                     ["-t", "nat", "-A", "POSTROUTING", "-s", subnet, "!", "-o", link, "-j",
                      "MASQUERADE"]) if tool else ():
            self.dind.run(tool, "-w", *rule)

    def nest(self, address=True):
        """The nested engine: its bridge, its dnsmasq, its masquerading, one exec container.
        Without the bridge's address nothing collides yet."""
        net = self.inner if self.nested_in == "inner" else self.dind
        gateway, length, prefix = split(self.nested_cidr)
        self.nexec = Net("nexec")
        net.ip("link add dagger0 type bridge", "link set dagger0 up",
               "link add vnexec type veth peer name eth0 netns nexec",
               "link set vnexec master dagger0 up",
               *([f"addr add {self.nested_cidr} dev dagger0"] if address else []))
        self.nexec.ip(f"addr add {prefix}.2/{length} dev eth0", "link set eth0 up",
                      f"route add default via {gateway}")
        net.nft(f"""table inet cni_plugins_masquerade {{ chain masq {{
            type nat hook postrouting priority srcnat;
            ip saddr {prefix}.2 ip daddr != {network(self.nested_cidr)} masquerade; }}; }}""")
        tool = FIREWALLS[self.firewall]
        for side in ("-s", "-d") if tool and net is self.dind else ():  # the CNI plugin "firewall"
            net.run(tool, "-w", "-I", "FORWARD", side, f"{prefix}.2", "-j", "ACCEPT")
        # It is given the resolv.conf of where it lives, and reads it again when it changes.
        given = (lambda: self.container_dns) if net is self.inner else \
            (lambda: (self.resolvers() or [None])[0])
        self.nested = Server(net, upstream=given, interface="dagger0",
                             records={"engine.dagger.local": [gateway]})
        self.nested_resolver = gateway

    def narrowed(self):
        """Has the box's uplink no network any more, but routes to hosts?"""
        return not self.dind.run("ip", "-4", "route", "show", "dev", "eth0", "proto", "kernel")

    # --- what works

    def measure(self):
        """{"L udp": True, ...}: from a process in the box, a container (C), and a container of
        the nested engine (N); inet2 is the internet once the gateway has forgotten our MAC."""
        def resolves(net, servers, tcp):
            for server in servers:
                reply = ask(net, server, tcp=tcp)
                if reply and reply.addresses == [INTERNET]:
                    return True
            return False

        def together(jobs):
            with concurrent.futures.ThreadPoolExecutor(8) as pool:
                running = {key: pool.submit(*job) for key, job in jobs.items()}
                found.update({key: future.result() for key, future in running.items()})

        def container(who, net, server):
            return {f"{who} udp": (resolves, net, [server], False),
                    f"{who} tcp": (resolves, net, [server], True),
                    f"{who} inet": (greeted, net, INTERNET),
                    f"{who} osvc": (greeted, net, self.service, 2.2)}
        found, own = {}, self.resolvers()
        groups = [{"L udp": (resolves, self.dind, own, False),
                   "L tcp": (resolves, self.dind, own, True)}]
        groups[0].update(container("C", self.inner, self.container_dns) if self.inner else {})
        # Not at the same time: the ARP requests for containers of the nested engine, which leave
        # by the wrong link, tell the gateway our MAC.
        groups += [container("N", self.nexec, self.nested_resolver)] if self.nexec else []
        for jobs in groups:
            together(jobs)
            self.outer.run("ip", "neigh", "flush", "dev", "obr0")
            together({f"{key}2": job for key, job in jobs.items() if key.endswith("inet")})
        return found

    def look(self):
        """For the reader of a failure."""
        show = [self.box and self.box.err()[-3000:], str(self.resolvers())]
        for net in (self.dind, self.inner, self.nexec):
            for argv in (("ip", "-br", "addr"), ("ip", "route"), ("ip", "neigh")) if net else ():
                show += [f"{net.name}: {' '.join(argv)}", net.run(*argv, check=False)]
        show.append(self.dind.run("nft", "list", "ruleset", check=False))
        return "\n".join(str(x) for x in show)
