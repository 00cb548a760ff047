#!/usr/bin/env python3
"""How a box tells that it is ready: to its clients, to its file, upwards; and how fast."""
import json
import os
import pty
import select
import signal
import socket
import threading
import time

from box import BOTH, Box, program, words
from tap import Tap, finish, start, wait_for

t = Tap()
GET = b"GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s\r\n"
count = 0


def fresh(name):
    global count
    count += 1
    return os.path.join(t.dir, f"{name}{count}")


def waiting(go, **kw):
    """A box that is ready once the file `go` is there."""
    return Box(t, f"[service web]\nready = file:{go}\ncommand = sleep 60\n", ["sleep", "60"], **kw)


# --- slow clients hold what they hold for 10 s and no longer: looked at again at the end
slow_box = Box(t, "[service web]\ncommand = sleep 60\n")
slow_box.wait_ready()
slow = [slow_box.connect(1) for _ in range(40)]
slow_began = time.monotonic()
for s in slow:
    s.sendall(b"GET /readyz HTTP/1.1\r\nHo")
took = []
for _ in range(10):
    began = time.monotonic()
    t_code, _ = slow_box.get("/readyz")
    took.append(time.monotonic() - began if t_code == 200 else 99)
t.ok(max(took) < 1, "40 clients that never finish their request do not hold up others", took)


def dripping():
    """One that sends a byte now and then is not spared."""
    s = slow_box.connect(1)
    began = time.monotonic()
    try:
        for c in b"GET /readyz HTTP/1.1\r\nX: " + b"y" * 1000:
            s.send(bytes([c]))
            if s in select.select([s], [], [], 0.2)[0]:
                break
        rest = s.recv(10)
    except OSError as why:
        rest = why
    s.close()
    drip.append((time.monotonic() - began, rest))


drip = []
dripper = threading.Thread(target=dripping)
dripper.start()

# --- clients, the file, the routes
for pid1, how in BOTH:
    go = fresh("go")
    up = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    address = fresh("notify") if pid1 else f"\0pinnace-test-{os.getpid()}"
    up.bind(address)
    up.settimeout(10)
    os.mkfifo(fifo := fresh("fifo"))
    r = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    b = waiting(go, pid1=pid1, wrap=["sh", "-c", 'exec 9> "$0"; exec "$@"', fifo],
                env={"NOTIFY_SOCKET": address.replace("\0", "@"), "PINNACE_READY_FD": "9"})
    b.wait_unit("web", "starting")
    no = b.client("ready")
    t.ok(no.status == 1 and "web: starting" in no.err and no.out == "",
         f"{how}: `pinnace ready` says no, and why", no)
    no = b.client("ready", "--wait", "200ms")
    t.ok(no.status == 1 and 0.19 <= no.seconds < 2 and
         no.err.startswith("pinnace: not ready in time\nweb: starting"),
         f"{how}: `ready --wait TIME` gives up then, and says what for", no)
    no = b.client("wait", "--timeout", "200ms")
    t.ok(no.status == 1 and ". web" in no.out and ". main" in no.out and
         no.err == "pinnace: not ready in time\n",
         f"{how}: `wait --timeout` shows what it waits for, and gives up", no)
    code, body = b.get("/readyz")
    t.ok(code == 503 and "web: starting" in body, f"{how}: /readyz is 503", (code, body))
    code, body = b.get("/livez")
    t.ok(code == 200, f"{how}: /livez is 200", (code, body))
    t.ok(not os.path.exists(f"{b.run_dir}/ready"), f"{how}: no file `ready` yet")
    wait_for(lambda: b.status())
    early = select.select([r, up], [], [], 0)[0]
    waits = [start([b.pinnace, *a], env={**os.environ, "PINNACE_RUN_DIR": b.run_dir})
             for a in (["ready", "--wait"], ["wait"], ["wait", "-q"])]
    master, slave = pty.openpty()
    drawn = start([b.pinnace, "wait"], env={**os.environ, "PINNACE_RUN_DIR": b.run_dir},
                  stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    text = b""
    while text.count(b"\x1b[2A") < 2 and select.select([master], [], [], 5)[0]:
        text += os.read(master, 4096)
    t.ok(text.count(b"\x1b[2A\x1b[J") >= 2, f"{how}: `wait` on a terminal redraws as time passes",
         text)

    seq = b.status()["seq"]
    with b.connect() as poll:
        poll.sendall(GET % (f"/v1/status?after={seq}".encode(), b""))
        quiet = not select.select([poll], [], [], 0.2)[0]
        open(go, "w").close()
        answer = b""
        while chunk := poll.recv(65536):
            answer += chunk
    doc = json.loads(answer.partition(b"\r\n\r\n")[2])
    t.ok(quiet and doc["seq"] > seq, f"{how}: ?after=SEQ waits for a change", (quiet, seq, doc))
    t.ok(b.wait_ready(), f"{how}: the file `ready` comes", b)
    while True:
        try:
            chunk = os.read(master, 4096)
        except OSError:
            break
        text += chunk
    results = [finish(p, 5) for p in [*waits, drawn]]
    os.close(master)
    t.ok(all(x.status == 0 for x in results), f"{how}: all who waited are told", results)
    t.ok("+ web" in results[1].out and results[2].out == "" and b"+ web" in text,
         f"{how}: and see it", (results, text))
    datagram = up.recv(4096)
    t.ok(not early and b"READY=1" in datagram.split(b"\n"), f"{how}: NOTIFY_SOCKET gets READY=1",
         (early, datagram))
    got = os.read(r, 10) if select.select([r], [], [], 5)[0] else b"nothing"
    end = os.read(r, 10) if select.select([r], [], [], 5)[0] else b"no end"
    t.ok(got == b"\n" and end == b"", f"{how}: ready-fd gets a newline, then its end", (got, end))
    yes = b.client("ready")
    t.ok(yes.status == 0 and yes.out == "ready\n", f"{how}: `pinnace ready` says yes", yes)
    other = b.client("run", "-c", b.config, "--", "sh", "-c", "exit 5")
    yes = b.client("ready")
    t.ok("another pinnace has the run directory" in other.err and yes.out == "ready\n" and
         os.path.exists(f"{b.run_dir}/ready"),
         f"{how}: a second pinnace leaves the run directory to it", (other, yes))
    t.ok(b.get("/readyz") == (200, "ready\n"), f"{how}: /readyz is 200", b.get("/readyz"))
    t.ok(b.client("wait").status == 0, f"{how}: `wait` returns at once when it is ready")
    doc = b.status()
    names = [(u["name"], u["kind"], u["state"]) for u in doc["units"]]
    t.ok(doc["ready"] is True and doc["phase"] == "serve" and doc["bugs"] == 0 and
         isinstance(doc["ready_after_ms"], int) and
         names == [("web", "service", "ready"), ("main", "main", "ready")],
         f"{how}: /v1/status", doc)
    shown = b.client("status")
    t.ok(shown.status == 0 and shown.out.startswith("ready, phase serve, up ") and
         "web" in shown.out, f"{how}: `pinnace status`", shown)
    t.ok(json.loads(b.client("status", "--json").out)["phase"] == "serve", f"{how}: --json")
    code, body = b.get("/v1/timeline")
    events = [(m["unit"], m["event"]) for m in json.loads(body)["marks"]]
    t.ok(code == 200 and ("web", "ready") in events and (None, "pinnace started") in events,
         f"{how}: /v1/timeline", body)
    shown = b.client("timeline")
    t.ok(shown.status == 0 and "web" in shown.out, f"{how}: `pinnace timeline`", shown)
    up.close()
    os.close(r)

    # --- HTTP, well and badly said
    full, head = b.raw(GET % (b"/readyz", b"")), b.raw((GET % (b"/readyz", b"")).replace(b"GET", b"HEAD"))
    t.ok(head.endswith(b"\r\n\r\n") and head == full.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" and
         b"Content-Length: 6" in head, f"{how}: HEAD is GET without the body", (full, head))

    def code_of(request):
        try:
            answer = b.raw(request, 5)
            return int(answer.split(b" ", 2)[1]) if answer else 0
        except (OSError, ValueError, IndexError) as why:
            return repr(why)
    for want, request in (
            (200, GET % (b"/readyz", b"X-A: b\r\nAccept: */*\r\n")),
            (200, b"GET /readyz HTTP/1.0\r\nHost: x\r\n\r\n"),
            (404, GET % (b"/v1/nothing", b"")), (404, GET % (b"/readyz/", b"")),
            (405, b"POST /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
            (403, GET % (b"/v1/status", b"Origin: http://evil.example\r\n")),
            (400, GET % (b"/v1/status?x=1", b"")), (400, GET % (b"/v1/status?after=", b"")),
            (400, GET % (b"/v1/status?after=-1", b"")),
            (400, GET % (b"/v1/status?after=9999999999999999999999", b""))):
        got = code_of(request)
        t.ok(got == want, f"{how}: {want} for {request[:60]!r}", got)
    with b.connect() as s:
        for c in GET % (b"/readyz", b""):
            s.send(bytes([c]))
        t.ok(s.recv(100).startswith(b"HTTP/1.1 200"), f"{how}: a request in single bytes")

    t.ok(b.status().get("role_restarts") == 0, f"{how}: and the channel has survived all this", b)

    # --- the end of it
    last = start([b.pinnace, "wait"], env={**os.environ, "PINNACE_RUN_DIR": b.run_dir})
    finish(last, 5)
    b.end()
    t.ok(not os.path.exists(f"{b.run_dir}/ready"), f"{how}: at the end the file `ready` is gone")
    gone = b.client("ready")
    t.ok(gone.status != 0 and gone.err.startswith("pinnace: "), f"{how}: nobody there is not ready",
         gone)
b = Box(t, "[pinnace]\ngrace = 5s\n[service s]\nready = file:/nonexistent/by/design\ncommand = "
        "sh -c 'trap \"sleep 1; exit 0\" TERM; echo trapped; while :; do sleep 0.02; done'\n", pid1=True)
b.says("trapped")
p = start([b.pinnace, "wait"], env={**os.environ, "PINNACE_RUN_DIR": b.run_dir})
wait_for(lambda: b.status())
time.sleep(0.1)
b.signal(signal.SIGTERM)
r = finish(p, 5)
t.ok(r.status == 1 and "shutting down" in r.err, "`wait` gives up when the box ends instead", r)
b.kill()

# --- how soon
SERVER = program(t, """
import os, socket, sys, time
kind, path, stamp = sys.argv[1:]
def now():
    with open(stamp + ".new", "w") as f:
        f.write(repr(time.clock_gettime(time.CLOCK_MONOTONIC)))
    os.rename(stamp + ".new", stamp)
s = socket.socket(socket.AF_UNIX)
if kind == "docker":
    s.bind(path)
    s.listen(8)
    c = s.accept()[0]
    c.recv(4096)
    time.sleep(0.15)
    now()
    c.sendall(b"HTTP/1.1 200 OK\\r\\nApi-Version: 1.47\\r\\nContent-Length: 2\\r\\n\\r\\nOK")
    c.close()
elif kind == "unix":
    time.sleep(0.12)
    now()
    s.bind(path)
    s.listen(8)
elif kind == "file":
    time.sleep(0.12)
    now()
    open(path, "w").close()
elif kind == "log":
    time.sleep(0.12)
    now()
    print("listening on", path, flush=True)
elif kind == "notify":
    time.sleep(0.12)
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    now()
    s.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
time.sleep(60)
""")
for kind in ("unix", "file", "docker", "log", "notify"):
    lag = []
    for turn in range(15):
        if turn >= 5 and lag and min(lag) < 0.005:
            break  # on a busy machine it may take more
        up = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        address, place, stamp = fresh("notify"), fresh("s"), fresh("stamp")
        up.bind(address)
        up.settimeout(5)
        spec = {"log": "log:^listening", "notify": "notify"}.get(kind, f"{kind}:{place}")
        b = Box(t, f"[service s]\nready = {spec}\ncommand = {words(*SERVER, kind, place, stamp)}\n",
                env={"NOTIFY_SOCKET": address})
        try:
            up.recv(4096)
            now = time.clock_gettime(time.CLOCK_MONOTONIC)
            with open(stamp) as f:
                lag.append(now - float(f.read()))
        except (OSError, ValueError):
            t.diag(b)
        b.kill()
        up.close()
    t.ok(lag and min(lag) < 0.005, f"ready = {kind} is announced within 5 ms of being so", lag)
    if lag:
        t.diag(f"{min(lag) * 1000:.2f} ms at best, {max(lag) * 1000:.2f} ms at worst")

# --- what became of the slow ones
for s in slow:
    s.settimeout(max(0.1, slow_began + 12 - time.monotonic()))
rest = []
for s in slow:
    try:
        rest.append(s.recv(10))
    except OSError as why:
        rest.append(why)
took = time.monotonic() - slow_began
t.ok(rest == [b"HTTP/1.1 4"] * 40 and took >= 9.5, "clients that never finish get 408 after 10 s",
     (took, rest))
dripper.join()
t.ok(drip and 9 < drip[0][0] < 13, "and those that send a byte now and then, too", drip)
slow_box.kill()
t.done()
