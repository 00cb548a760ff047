#!/usr/bin/env python3
"""Where a box listens: every kind of address, what cannot be opened, and what the box keeps to
itself: secrets, sockets that were passed to it, and its own limit of descriptors."""
import contextlib
import fcntl
import os
import resource
import socket
import stat

from box import BOTH, Box, words
from tap import Tap, wait_for

t = Tap()


def free_port(family=socket.AF_INET, address="127.0.0.1"):
    with socket.socket(family) as s:
        s.bind((address, 0))
        return s.getsockname()[1]


def has_ipv6():
    with contextlib.suppress(OSError):
        free_port(socket.AF_INET6, "::1")
        return True
    return False


def livez(family, address):
    """The status of /livez there; 0 when nobody answers."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        with socket.socket(family) as s:
            s.settimeout(5)
            s.connect(address)
            s.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            return int(s.recv(4096).split(b" ", 2)[1])
    return 0


def channel(name, listen, more="auth = none"):
    return f"[channel {name}]\nlisten = {listen}\n{more}\n"


# --- every kind of address

V6 = has_ipv6()
for pid1, how in BOTH:
    ports = [free_port() for _ in range(4)]
    path = os.path.join(t.dir, f"other{pid1}.sock")
    ini = (channel("a", f"tcp:127.0.0.1:{ports[0]}") + channel("b", f"tcp:localhost:{ports[1]}") +
           channel("any", f"tcp:*:{ports[2]}") + channel("u", f"unix:{path}", "mode = 0666"))
    if V6:
        ini += channel("six", f"tcp:[::1]:{ports[3]}")
    b = Box(t, ini, ["sleep", "60"], pid1=pid1)
    b.wait_ready()
    wait_for(lambda: b.status())
    answers = [livez(socket.AF_INET, ("127.0.0.1", p)) for p in ports[:3]]
    t.ok(answers == [200] * 3, f"{how}: tcp, by number, as localhost, on every address",
         (answers, b))
    t.ok(not V6 or [livez(socket.AF_INET6, ("::1", p)) for p in ports[2:]] == [200] * 2,
         f"{how}: tcp over IPv6 {'' if V6 else '# SKIP none here'}", b)
    t.ok(livez(socket.AF_UNIX, path) == 200 and stat.S_IMODE(os.stat(path).st_mode) == 0o666,
         f"{how}: another unix socket, with its mode", b)
    mode = stat.S_IMODE(os.stat(f"{b.run_dir}/pinnace.sock").st_mode)
    t.ok(b.status().get("ready") and mode == 0o600, f"{how}: and its own is there as ever", b)
    warned = [line for line in b.err().splitlines() if "auth is none" in line]
    t.ok(len(warned) == 1 and "[channel any]" in warned[0],
         f"{how}: who can be reached from elsewhere without showing anything is warned of, once",
         b.err())
    os.kill(b.role("channel"), 9)
    t.ok(wait_for(lambda: livez(socket.AF_INET, ("127.0.0.1", ports[0])) == 200 and
                  livez(socket.AF_UNIX, path) == 200),
         f"{how}: the next channel has them all", b)
    b.kill()
    # a socket of a box that is gone is in nobody's way
    b = Box(t, channel("u", f"unix:{path}"), ["sleep", "60"], pid1=pid1)
    t.ok(wait_for(lambda: livez(socket.AF_UNIX, path) == 200), f"{how}: in place of a stale one", b)
    b.kill()

# --- what cannot be opened


def refused(ini, message, name, **kw):
    b = Box(t, ini, ["echo", "started"], **kw)
    t.ok(b.wait() == 125 and message in b.err() and b.out() == "", name, b)


refused(channel("far", "tcp:192.0.2.77:8080"),
        "cannot start: [channel far] listen = tcp:192.0.2.77:8080: bind: ",
        "an address that is not ours")
with socket.socket() as taken:
    taken.bind(("127.0.0.1", 0))
    taken.listen()
    port = taken.getsockname()[1]
    refused(channel("x", f"tcp:127.0.0.1:{port}"), f"[channel x] listen = tcp:127.0.0.1:{port}: ",
            "a port that another has")
file = os.path.join(t.dir, "file")
with open(file, "w") as f:
    f.write("precious")
refused(channel("x", f"unix:{file}"), f"[channel x] listen = unix:{file}: {file} is there, and is "
        "no socket", "a file stands there")
with open(file) as f:
    t.ok(f.read() == "precious", "and is left alone")
refused(channel("x", "unix:/none/such/sock"), "[channel x] listen = unix:/none/such/sock: ",
        "no such directory")
refused(channel("x", "fd:web"), "[channel x] listen = fd:web: whoever started pinnace has not "
        "passed any", "no sockets were passed")
refused(channel("x", "tcp:127.0.0.1:99999"), "channel x.listen: port: '99999' is not a whole number",
        "no such port")

b = Box(t, "", ["sh", "-c", "sleep 0.2; exit 7"], wrap=["sh", "-c",
        'mkdir -p "$1/pinnace.sock"; shift; exec "$@"', "sh", f"{t.dir}/b{Box.made + 1}/run"])
t.ok(b.wait() == 7 and "no status socket: [channel local] listen = auto: " in b.err() and
     "is there, and is no socket" in b.err(), "the box goes without a socket of its own", b)
b = Box(t, channel("local", "none", ""), ["sh", "-c", "sleep 0.3; exit 7"])
t.ok(b.wait() == 7 and not os.path.exists(f"{b.run_dir}/pinnace.sock") and "warn" not in b.err(),
     "local can be switched off", b)
run = f"{t.dir}/b{Box.made + 1}/run"
refused(channel("x", f"unix:{run}/pinnace.sock"), "[channel x] listen = unix:" + run +
        f"/pinnace.sock: [channel local] listens on {run}/pinnace.sock already",
        "the box's own socket under its path")

# --- sockets that were passed

SHOW = ["sh", "-c", 'env | grep ^LISTEN_; ls -l /proc/self/fd | grep -c socket; exec sleep 60']


def passing(*sockets):
    """What Popen needs for them to be descriptors 3, 4, ..."""
    high = [fcntl.fcntl(s.fileno(), fcntl.F_DUPFD, 50) for s in sockets]

    def place():
        for i, fd in enumerate(high):
            os.dup2(fd, 3 + i)
    return {"pass_fds": tuple(range(3, 3 + len(high))), "preexec_fn": place}


def told(n, names):
    return ["sh", "-c", f'export LISTEN_PID=$$ LISTEN_FDS={n} LISTEN_FDNAMES={names}; exec "$@"',
            "sh"]


with socket.socket() as web, socket.socket() as other, socket.socket() as idle:
    for s in (web, other):
        s.bind(("127.0.0.1", 0))
        s.listen()
    b = Box(t, channel("x", "fd:web"), SHOW, wrap=told(2, "other:web"), **passing(other, web))
    t.ok(wait_for(lambda: livez(socket.AF_INET, web.getsockname()) == 200), "a socket by its name",
         b)
    t.ok(wait_for(lambda: b.out()) and b.out() == "1\n",
         "CMD is told of none, and has the other one only", b)
    b.kill()
    b = Box(t, channel("x", "fd:0"), SHOW, wrap=told(1, "a"), **passing(other))
    t.ok(wait_for(lambda: livez(socket.AF_INET, other.getsockname()) == 200), "by its number", b)
    b.kill()
    b = Box(t, "", SHOW, wrap=told(2, "a:b"), **passing(other, web))
    t.ok(wait_for(lambda: b.out().endswith("2\n")) and "LISTEN_FDS=2\n" in b.out() and
         "LISTEN_PID=" in b.out(), "without such a channel they are CMD's", b)
    b.kill()
    for listen, names, message in (
            ("fd:web", "a:b", "it is none of the 2 that were passed"),
            ("fd:2", "a:b", "it is none of the 2 that were passed"),
            ("fd:a", "a:b", "descriptor 3 is no listening stream socket")):
        b = Box(t, channel("x", listen), SHOW, wrap=told(2, names), **passing(idle, web))
        t.ok(b.wait() == 125 and f"[channel x] listen = {listen}: {message}" in b.err(), message, b)
    b = Box(t, channel("x", "fd:a") + channel("y", "fd:0"), SHOW, wrap=told(1, "a"),
            **passing(web))
    t.ok(b.wait() == 125 and "[channel y] listen = fd:0: [channel x] listens on it already" in
         b.err(), "one socket for two channels", b)
    b = Box(t, channel("x", "fd:a", "auth = peer"), SHOW, wrap=told(1, "a"), **passing(web))
    t.ok(b.wait() == 125 and "is no unix socket, and auth is peer" in b.err(),
         "peer on a socket that is none of unix", b)

# --- what is kept from others

b = Box(t, f"[channel x]\nlisten = tcp:127.0.0.1:{free_port()}\n"
        "[service s]\noneshot = yes\ncommand = sh -c 'env | grep -c hush; true'\n"
        "[service p]\nready = exec:" + words("sh", "-c", "! env | grep hush") +
        "\ncommand = sleep 60\n", ["sh", "-c", "env | grep -c hush; exit 0"], env={"PINNACE_CHANNEL_X_TOKEN": "hush"})
t.ok(b.wait() == 0 and b.out() == "0\n" and "s | 0\n" in b.err(),
     "a token in the environment is seen by nobody", b)


def few():
    resource.setrlimit(resource.RLIMIT_NOFILE, (300, 4000))


LIMITS = "ulimit -S -n; ulimit -H -n"
for pid1, how in BOTH:
    b = Box(t, f"[service s]\nready = exec:{words('sh', '-c', 'ulimit -n >&2; false')}\n"
            f"ready-every = 50ms\ncommand = sh -c '{LIMITS}; exec sleep 60'\n"
            f"[service own]\nlimits = nofile=77:88\ncommand = sh -c '{LIMITS}; exec sleep 60'\n"
            "[main]\nstart = now\n", ["sh", "-c", LIMITS + "; exec sleep 60"], pid1=pid1,
            preexec_fn=few)
    got = wait_for(lambda: b.unit("s").get("reason"))
    with open(f"/proc/{b.init}/limits") as f:
        ours = [line.split()[3:5] for line in f if line.startswith("Max open files")]
    t.ok(ours == [["4000", "4000"]], f"{how}: its own limit of descriptors is the hard one", ours)
    t.ok(b.prints("4000\n") and b.out() == "300\n4000\n", f"{how}: that of CMD is as it was", b)
    t.ok(b.says("s | 4000") and "s | 300\n" in b.err() and b.says("own | 88") and
         "own | 77\n" in b.err(), f"{how}: of services, too, unless it is configured", b)
    t.ok(got and got.endswith("300"), f"{how}: and of what a probe executes", got)
    b.kill()

t.done()
