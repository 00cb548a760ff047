#!/usr/bin/env python3
"""The box and its units through the channel: status, timeline, start and stop, logs, metrics, top; and
how it ends for jobs and those who watch them."""
import contextlib
import os
import re
import signal
import threading
import time

from box import BOTH, PYTHON, Box, alive, command_line, program, words
from channel import (Broken, Client, TOKEN, Wire, free_port, memory, of_job, rows, settled, tcp_section,
                     unix)
from tap import Tap, wait_for

t = Tap()


def ok(cond, name, diag=""):
    return t.ok(cond, f"{how}: {name}" if how else name, diag)


def sh(text):
    return words("sh", "-c", text)


def unit(c, name):
    return next((u for u in c.get("/v1/status").json()["units"] if u["name"] == name), {})


def in_state(c, name, *states, seconds=10):
    return settled(lambda: unit(c, name), lambda u: u.get("state") in states, seconds)


# --- status, timeline


def looking(b, c):
    """status, timeline"""
    s = c.get("/v1/status").json()
    names = [u["name"] for u in s["units"]]
    ok(names == ["web", "always", "needs", "once", "talker", "main"] and s["phase"] == "serve",
       "status", s)
    after, got = s["seq"], []

    def wait():
        mine = unix(b)
        a = mine.get(f"/v1/status?after={after}")
        got.append((a.json()["seq"], time.monotonic()))
        mine.close()

    waiters = [threading.Thread(target=wait) for _ in range(3)]
    for x in waiters:
        x.start()
    time.sleep(0.3)
    quiet = not got
    began = time.monotonic()
    c.post("/v1/units/web/restart")
    for x in waiters:
        x.join(5)
    ok(quiet and len(got) == 3 and all(seq > after and at - began < 1 for seq, at in got),
       "after=SEQ waits for a change, for all who ask", (quiet, after, got))
    in_state(c, "web", "ready")
    a = c.get(f"/v1/status?after={after}")
    ok(a.json()["seq"] > after, "and answers at once where there was one", a)
    a = c.get("/v1/timeline")
    marks = [(m["unit"], m["event"]) for m in a.json()["marks"]]
    ok(
        a.status == 200 and ("web", "ready") in marks and (None, "pinnace started") in marks and
        a.json()["marks"] == sorted(a.json()["marks"], key=lambda m: m["at_ms"]), "timeline", a)
    a = c.call("HEAD", "/v1/timeline")
    ok(a.status == 200 and a.body == b"" and int(a.fields["content-length"]) > 100, "HEAD", a)
    ok(
        c.get("/livez").body == b"alive\n" and c.get("/readyz").body == b"ready\n",
        "/livez, /readyz")


# --- units


def acting(b, c):
    """start, stop, restart"""
    before = in_state(c, "web", "ready")
    a = c.post("/v1/units/web/stop")
    u = in_state(c, "web", "down")
    ok(a.status == 202 and u["state"] == "down" and u["pid"] in (0, -1),
       "stop: 202, and it goes down", (a, u))
    again = c.post("/v1/units/web/stop")
    ok(again.status == 202, "stop what is stopped", again)
    time.sleep(0.3)
    ok(unit(c, "web")["state"] == "down", "it stays down", unit(c, "web"))
    a = c.post("/v1/units/web/start")
    u = in_state(c, "web", "ready")
    ok(
        a.status == 202 and u["state"] == "ready" and u["pid"] != before["pid"] and
        u["starts"] == before["starts"] + 1, "start: it is ready again, a new process",
        (a, before, u))
    a = c.post("/v1/units/web/start")
    ok(a.status == 202 and unit(c, "web")["pid"] == u["pid"], "start what runs: nothing happens",
       (a, unit(c, "web")))
    a = c.post("/v1/units/web/restart")
    v = settled(lambda: unit(c, "web"), lambda v: v["state"] == "ready" and v["pid"] != u["pid"])
    ok(a.status == 202 and v["state"] == "ready" and v["pid"] != u["pid"],
       "restart: another process", (a, u, v))
    seq = a.json()["seq"]
    ok(
        isinstance(seq, int) and c.get(f"/v1/status?after={seq}").json()["seq"] > seq,
        "the answer says from where to wait for it", a)
    # one that is always started again stays down when it is told to
    c.post("/v1/units/always/stop")
    in_state(c, "always", "down")
    time.sleep(0.4)
    ok(
        unit(c, "always")["state"] == "down", "restart = always does not undo a stop",
        unit(c, "always"))
    ok(b.get("/readyz")[0] in (200, 503), "the box goes on")
    c.post("/v1/units/always/start")
    ok(in_state(c, "always", "ready")["state"] == "ready", "and it is started again")
    # who requires it goes down with it, and comes back with it
    needs = in_state(c, "needs", "ready")
    c.post("/v1/units/always/restart")
    back = settled(lambda: unit(c, "needs"),
                   lambda u: u["state"] == "ready" and u["pid"] != needs["pid"])
    ok(back["state"] == "ready" and back["pid"] != needs["pid"],
       "who requires it is restarted with it", (needs, back))
    once = unit(c, "once")
    a = c.post("/v1/units/once/start")
    u = settled(lambda: unit(c, "once"),
                lambda u: u["state"] == "done" and u["starts"] > once["starts"])
    ok(a.status == 202 and once["state"] == "done" and u["starts"] == once["starts"] + 1,
       "a task that is done can be started again", (a, once, u))
    a = c.post("/v1/units/nothing/start")
    ok(a.status == 404 and a.error == "not_found", "no such unit: 404", a)
    for verb in ("stop", "restart"):
        a = c.post(f"/v1/units/main/{verb}")
        ok(a.status == 403 and a.error == "permission" and "main" in a.json()["error"]["message"],
           f"{verb} of main: refused with a reason", a)
    a = c.get("/v1/units/web/stop")
    ok(a.status == 405 and "POST" in a.fields.get("allow", ""), "GET stop: 405", a)
    a = c.post("/v1/units/web/kill")
    ok(a.status == 404, "another verb: 404", a)
    got = []

    def act(verb):
        mine = unix(b)
        got.extend(mine.post(f"/v1/units/web/{verb}").status for _ in range(25))
        mine.close()

    crowd = [
        threading.Thread(target=act, args=(v, )) for v in ("start", "stop", "restart", "restart")
    ]
    for x in crowd:
        x.start()
    for x in crowd:
        x.join()
    c.post("/v1/units/web/start")
    ok(
        len(got) == 100 and set(got) <= {202} and in_state(c, "web", "ready")["state"] == "ready",
        "a hundred requests at once: all are taken, and it is ready in the end",
        (set(got), unit(c, "web")))


def crowded(b, c):
    """more requests for units than PID 1 answers"""
    os.kill(b.init, signal.SIGSTOP)
    wires = []
    try:
        for _ in range(100):
            wires.append(Wire(Client(c.address).connect()))
            wires[-1].sock.sendall(b"POST /v1/units/web/start HTTP/1.1\r\nHost: x\r\n\r\n")
        time.sleep(0.5)
    finally:
        os.kill(b.init, signal.SIGCONT)
    got = []
    with contextlib.suppress(TimeoutError):
        got = [w.head()[0] for w in wires]
    ok(
        got.count(202) >= 64 and got.count(202) + got.count(429) == 100,
        "a hundred at once, of which PID 1 hears late: each is answered",
        (len(got), got.count(202), got.count(429)))
    for w in wires:
        w.sock.close()
    ok(c.post("/v1/units/web/start").status == 202, "and so are others, afterwards")


# --- logs


def logs(b, c):
    """unit logs"""
    url = "/v1/units/talker/log"
    wait_for(lambda: c.get(url).body.count(b"\n") >= 20)
    a = c.get(url)
    lines = a.body.decode().splitlines()
    ok(
        a.status == 200 and a.fields["content-type"].startswith("text/plain") and
        all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z line \d+", x) for x in lines),
        "a log is stamped lines", a)
    tail = c.get(f"{url}?tail=3").body.decode().splitlines()
    ok(len(tail) == 3 and tail == sorted(tail) and tail[-1] >= lines[-1], "tail=3", tail)
    ok(
        c.get(f"{url}?tail=0").body == b"" and
        len(c.get(f"{url}?tail=1000000").body) >= len(a.body), "tail=0, tail=1000000")
    now = int(time.time() * 1000)
    time.sleep(0.3)
    since = c.get(f"{url}?since_ms={now}").body.decode().splitlines()
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now / 1000)) + f".{now % 1000:03d}Z"
    ok(since and all(x[:24] >= stamp for x in since) and len(since) < len(lines) + 20, "since_ms",
       (stamp, since[:3]))
    ok(c.get(f"{url}?since_ms={now + 10 ** 9}").body == b"", "since_ms in the future")
    for bad in ("tail=-1", "tail=x", "since_ms=-1", "follow=2", "lines=3"):
        a = c.get(f"{url}?{bad}")
        ok(a.status == 400 and a.error == "invalid", f"{bad}: 400", a)
    ok(c.get("/v1/units/nothing/log").status == 404, "no such unit: 404")
    a = c.get("/v1/units/main/log")
    ok(a.status == 409 and a.error == "state", "CMD has none: 409", a)
    for target in (url, f"{url}?follow=1", "/v1/top"):
        mine = Client(c.address, timeout=3)
        a, rest = mine.call("HEAD", target), None
        with contextlib.suppress(TimeoutError):
            rest = mine.get("/livez")
        ok(a.status == 200 and not a.body and rest and rest.status == 200,
           f"HEAD {target}: its head, and the connection goes on", (a, rest))
        mine.close()
    wire, a = Client(c.address, timeout=15).ask("GET", f"{url}?follow=1&tail=2")
    got = b""
    began = time.monotonic()
    for piece in wire.chunks():
        got += piece
        if got.count(b"\n") >= 20:
            break
    took = time.monotonic() - began
    numbers = [int(n) for n in re.findall(rb"line (\d+)\n", got)]
    ok(
        len(numbers) >= 20 and numbers == list(range(numbers[0], numbers[0] + len(numbers))) and
        took < 5, "follow: the last lines, then each as it comes", (took, numbers))
    wire.sock.close()


def rotation(b, c):
    """a log across its rotation"""
    n = 30000  # of 80 bytes: twice as much as a file holds
    wire, _ = Client(c.address, timeout=15).ask("GET", "/v1/units/flood/log?follow=1")
    c.post("/v1/units/flood/start")
    got = bytearray()
    with contextlib.suppress(OSError):
        for piece in wire.chunks():
            got += piece
            if b"the end" in piece:
                break
    numbers = [int(x) for x in re.findall(rb"Z (\d{6}) x", got)]
    ok(numbers == list(range(n)), "follow: every line, across rotations",
       (len(numbers), [x for x in range(1, len(numbers)) if numbers[x] != numbers[x - 1] + 1][:5]))
    wire.sock.close()
    whole = c.get("/v1/units/flood/log").body
    kept = [int(x) for x in re.findall(rb"Z (\d{6}) x", whole)]
    ok(kept and kept == list(range(kept[0], n)) and len(whole) > 1 << 20,
       "without: what both files hold, in order", (kept[:1], len(kept), len(whole)))
    tail = c.get("/v1/units/flood/log?tail=15000").body
    ok(
        whole.endswith(tail) and tail.count(b"\n") == 15000, "tail across both files",
        tail.count(b"\n"))


# --- metrics, top

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABELS = r'\{(?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*",?)*\}'
SAMPLE = re.compile(rf"({NAME})({LABELS})? (-?[0-9.]+(?:e[+-]?[0-9]+)?|[+-]Inf|NaN)")


def check_metrics(text):
    """What is wrong with this, by the text format's grammar (version 0.0.4)."""
    wrong, types, closed, family, seen = [], {}, set(), None, set()
    if not text.endswith("\n"):
        wrong.append("no newline at its end")
    for line in text.splitlines():
        if m := re.fullmatch(rf"# (HELP|TYPE) ({NAME}) (.*)", line):
            if m[1] == "TYPE":
                if m[2] in types or m[3] not in ("counter", "gauge", "histogram", "summary",
                                                 "untyped"):
                    wrong.append(line)
                types[m[2]] = m[3]
            if m[2] != family:
                if m[2] in closed:
                    wrong.append(f"{m[2]} is in two places")
                closed.add(family)
                family = m[2]
            continue
        m = SAMPLE.fullmatch(line)
        if not m or m[1] != family or family not in types or (m[1], m[2]) in seen:
            wrong.append(line)
            continue
        seen.add((m[1], m[2]))
        if types[family] == "counter" and (not family.endswith("_total") or float(m[3]) < 0):
            wrong.append(f"a counter: {line}")
    return wrong


def value(c, name):
    m = re.search(rf"^{re.escape(name)} (\S+)$", c.get("/metrics").body.decode(), re.M)
    return float(m[1]) if m else None


def metrics(b, c):
    """metrics"""
    a = c.get("/metrics")
    text = a.body.decode()
    ok(a.status == 200 and a.fields["content-type"].startswith("text/plain; version=0.0.4"),
       "/metrics", a)
    wrong = check_metrics(text)
    ok(not wrong and len(text.splitlines()) > 40, "by the grammar", wrong[:10])
    ok(
        check_metrics("# TYPE x counter\nx 1\n") and check_metrics("x{a=\"b} 1\n") and
        check_metrics("# TYPE a gauge\na 1\na 1\n"), "which does refuse something")
    ok(
        value(c, 'pinnace_unit_state{unit="web",state="ready"}') == 1 and
        value(c, 'pinnace_unit_state{unit="web",state="down"}') == 0 and
        value(c, "pinnace_ready") == 1, "units and their states", text)
    before = {
        n: value(c, n)
        for n in ("pinnace_jobs_started_total", "pinnace_jobs_failed_total",
                  "pinnace_jobs_timed_out_total", "pinnace_job_output_bytes_total")
    }
    c.run(["printf", "0123456789"])
    c.post("/v1/jobs", {"argv": ["no-such-command"]})
    c.run(["sleep", "60"], timeout_ms=50)
    j = c.start(["sleep", "60"])
    after = {n: value(c, n) for n in before}
    grown = [after[n] - before[n] for n in before]
    ok(grown[1:] == [1, 1, 10] and grown[0] in (3, 4) and value(c, "pinnace_jobs_running") >= 1,
       "jobs are counted", (before, after))
    c.post(f"/v1/jobs/{j['id']}/signal", {"signal": "KILL"})
    c.wait(j["id"])
    ok(
        value(c, "pinnace_jobs_running") == 0, "and those that run",
        value(c, "pinnace_jobs_running"))
    n = value(c, 'pinnace_http_answers_total{class="4xx"}')
    c.get("/v1/nothing")
    ok(value(c, 'pinnace_http_answers_total{class="4xx"}') == n + 1, "answers are counted by class")


def top(b, c):
    """top"""
    s = c.exec([
        *PYTHON,
        "import os\nif os.fork() == 0:\n    print('up', flush=True)\n    x = b'x' * (50 << 20)\n"
        "while True: pass"
    ])
    s.until(lambda o: b"up" in o.out)

    def mine(a):
        return [x for x in a.json()["processes"] if x["job"] == s.seen.started["id"]]

    a = settled(
        lambda: c.get("/v1/top"), lambda a: len(mine(a)) == 2 and max(x["rss"] for x in mine(a)) >
        50 << 20 and sum(x["cpu_ms"] for x in mine(a)) >= 300)
    p, mine = a.json()["processes"], mine(a)
    ok(
        a.status == 200 and all(
            set(x) == {"pid", "ppid", "state", "unit", "job", "cpu_ms", "rss", "command"}
            for x in p), "what is told of each process", a)
    ok(
        len(mine) == 2 and sum(x["cpu_ms"] for x in mine) >= 300 and
        max(x["rss"] for x in mine) > 50 << 20 and mine[0]["pid"] == s.seen.started["pid"],
        "a job's processes, CPU time, memory", mine)
    web = [x for x in p if x["unit"] == "web"]
    ok(
        len(web) == 2 and unit(c, "web")["pid"] in [x["pid"] for x in web],
        "a unit's processes, children too", web)
    main = [x for x in p if x["unit"] == "main"]
    ok(len(main) == 1 and "sleep 600" in main[0]["command"], "CMD", main)
    init = [x for x in p if x["pid"] == c.get("/v1/status").json()["pid"]]
    ok(
        len(init) == 1 and init[0]["unit"] is None and init[0]["job"] is None,
        "pinnace belongs to nobody", init)
    s.close()
    wait_for(lambda: not of_job(b, s.seen.started["id"]))


def reused(b, c):
    """top, where a number is another process's now"""
    c.post("/v1/units/talker/stop")  # it forks all the time
    in_state(c, "talker", "down")
    old = c.run(["true"]).started
    last = "/proc/sys/kernel/ns_last_pid"
    c.run(f"echo {old['pid'] - 1} > {last}")
    new = c.start(["sleep", "60"])
    if new["pid"] != old["pid"]:
        t.skip(f"{how}: top, where a number is given again", f"{last} has no effect: {old} {new}")
    else:
        owners = {x["pid"]: x["job"] for x in c.get("/v1/top").json()["processes"]}
        ok(owners[new["pid"]] == new["id"], "a job with the number of one that has ended is itself",
           (owners, old, new))
    c.post(f"/v1/jobs/{new['id']}/signal", {"signal": "KILL"})
    c.wait(new["id"])
    c.run(f"echo {old['pid'] - 1} > {last}")
    c.post("/v1/units/web/restart")
    u = settled(lambda: unit(c, "web"), lambda u: u["state"] == "ready" and u["pid"] == old["pid"], 3)
    if u.get("pid") != old["pid"]:
        t.skip(f"{how}: a unit's process, where a number is given again", f"another came first: {u}")
    else:
        owners = {x["pid"]: (x["job"], x["unit"]) for x in c.get("/v1/top").json()["processes"]}
        ok(owners[old["pid"]] == (None, "web"), "nor is a unit's process an old job's", (owners, old))


# --- the end


def follow(s):
    """Read a stream to its end, whatever that is."""
    with contextlib.suppress(Broken, OSError):
        while s.next():
            pass
    return s.seen


def end_of(o):
    return {k: v for k, v in (o.end or {}).items() if k in ("exit", "signal")}


def ends():
    """the box is told to stop"""
    for pid1 in (True, False):
        kind = "PID 1" if pid1 else "run"
        b = Box(t,
                "[pinnace]\ngrace = 3s\n[service s]\ncommand = sleep 600\n", ["sleep", "600"],
                pid1=pid1)
        wait_for(lambda: b.status().get("ready"))
        c = unix(b)
        job = c.start(
            "setsid sleep 601 & trap 'echo asked; exit 4' TERM; echo up; while :; do sleep 0.02; done"
        )
        wait_for(lambda: c.output(job["id"]).body)
        streams = [
            c.exec(["sleep", "600"]),
            c.exec(["sleep", "600"], upgrade=False),
            c.attach(job["id"], "?from=0")
        ]
        for s in streams:
            s.next()
        got = []
        waiting = Client(c.address)
        waiter = threading.Thread(
            target=lambda: got.append(waiting.get(f"/v1/jobs/{job['id']}?wait=1").json()))
        waiter.start()
        time.sleep(0.1)
        result = []
        ender = threading.Thread(target=lambda: result.append(b.end()))
        ender.start()
        o = [follow(s) for s in streams]
        waiter.join(5)
        ender.join()
        ok([end_of(x) for x in o] == [{
            "signal": 15
        }, {
            "signal": 15
        }, {
            "exit": 4
        }] and b"asked" in o[2].out, f"{kind}: clients get their jobs' end when the box stops", o)
        ok(got and got[0]["end"] and got[0]["end"]["exit"] == 4,
           f"{kind}: those who wait for one, too", got)
        ok(result and result[0][0] == 143 and result[0][1] < 2,
           f"{kind}: jobs get TERM, and nothing takes longer for it", (result, b))
        b.kill()

        # one that is deaf: KILL at the end of the grace
        b = Box(t, "[pinnace]\ngrace = 1s\n", ["sleep", "600"], pid1=pid1)
        wait_for(lambda: b.status().get("ready"))
        c = unix(b)
        s = c.exec(
            "trap '' TERM HUP; (trap '' TERM; setsid sleep 602) & echo up; while :; do sleep 0.02; done"
        )
        s.until(lambda o: b"up" in o.out)
        result = []
        ender = threading.Thread(target=lambda: result.append(b.end()))
        ender.start()
        o = follow(s)
        ender.join()
        ok(result and result[0][0] == 143 and 0.9 < result[0][1] < 2.5,
           f"{kind}: a deaf job is killed at the grace's end", (result, b))
        ok(end_of(o) == {"signal": 9}, f"{kind}: and its client gets to know", o)
        left = [p for p in os.listdir("/proc") if p.isdigit() and command_line(p) == "sleep 602"]
        ok(not left, f"{kind}: nothing is left", left)
        b.kill()

        # CMD ends: a job keeps nobody
        b = Box(t,
                "",
                ["sh", "-c", f"while [ ! -e {t.dir}/go{kind[0]} ]; do sleep 0.02; done; exit 9"],
                pid1=pid1)
        wait_for(lambda: b.status().get("ready"))
        c = unix(b)
        s = c.exec(["sleep", "600"])
        s.next()
        c.start(["sleep", "600"])
        began = time.monotonic()
        open(f"{t.dir}/go{kind[0]}", "w").close()
        o = follow(s)
        status = b.wait(8)
        took = time.monotonic() - began
        ok(status == 9 and took < 2 and end_of(o) == {"signal": 15},
           f"{kind}: CMD ends, and a job keeps nobody from it", (status, took, o))
        b.kill()

    # while it stops
    b = Box(
        t, "[pinnace]\ngrace = 10s\n[service slow]\nready = log:^up\ncommand = " +
        sh("trap 'sleep 1; exit 0' TERM; echo up; while :; do sleep 0.02; done") + "\n",
        ["sleep", "600"])
    wait_for(lambda: b.status().get("ready"))
    c = unix(b)
    early = c.exec("trap 'echo late; exit 0' TERM; echo up; while :; do sleep 0.02; done")
    early.until(lambda o: b"up" in o.out)
    b.signal(signal.SIGTERM)
    wait_for(lambda: c.get("/v1/status").json()["phase"] == "drain")
    a = c.get("/readyz")
    ok(a.status == 503, "while it stops it is not ready", a)
    a = c.post("/v1/units/slow/start")
    ok(a.status == 409 and a.error == "state" and "shutting down" in a.json()["error"]["message"],
       "and starts no unit: 409", a)
    o = c.run(["echo", "x"])
    ok(
        getattr(o, "out", None) == b"x\n" or o.status in (409, 503),
        "a job is run, or refused with a reason", o)
    o = follow(early)
    ok(end_of(o) == {"exit": 0} and b"late" in o.out, "one that ends of itself tells so", o)
    ok(b.wait() == 143, "and the box ends", b)
    b.kill()


def keepalive():
    """clients that stay do not hold up the end"""
    port = free_port()
    b = Box(t, tcp_section(port), ["sleep", "600"])
    wait_for(lambda: b.status().get("ready"))
    many = [unix(b)
            for _ in range(20)] + [Client(("127.0.0.1", port), token=TOKEN) for _ in range(20)]
    for c in many:
        c.get("/livez")
    wire, _ = Client(many[0].address).ask("GET", "/v1/jobs")
    slow = many[0].connect()
    slow.sendall(b"GET /livez HTTP/1.1\r\nHo")
    poll = many[0].connect()
    poll.sendall(b"GET /v1/status?after=99999999 HTTP/1.1\r\nHost: x\r\n\r\n")
    time.sleep(0.1)
    status, took = b.end()
    ok(status == 143 and took < 1.5, "40 idle clients, a slow one and one that waits",
       (status, took, b))
    for s in (slow, poll, wire.sock):
        s.close()
    b.kill()


SERVICES = ("[service web]\nready = log:^up\ncommand = " + sh("sleep 605 & echo up; wait") + "\n"
            "[service always]\nrestart = always\nready = log:^up\ncommand = " +
            sh("echo up; exec sleep 606") + "\n"
            "[service needs]\nrequires = always\ncommand = sleep 607\n"
            "[service once]\noneshot = yes\ncommand = true\n"
            "[service talker]\nlog = file\ncommand = " +
            sh("i=0; while :; do echo line $i; i=$((i+1)); sleep 0.03; done") + "\n")
FLOOD = ("[service flood]\nlog = file\noneshot = yes\ncommand = " + words(*program(
    t, """
import os, sys, time
if os.path.exists(sys.argv[1]):
    for i in range(30000):
        print("%06d" % i, "x" * 47)
        if i % 3000 == 0:
            time.sleep(0.05)
    print("the end")
""")))

only = os.environ.get("ROWS", "").split()


def chosen(*table):
    return [r for r in table if not only or r.__name__ in only]


how = ""
for pid1, how in BOTH:
    if not (table := chosen(looking, acting, crowded, logs, metrics, top, reused)):
        break
    b = Box(t, f"[pinnace]\nlog-dir = {t.dir}/log{pid1}\n{SERVICES}", ["sleep", "600"], pid1=pid1)
    c = unix(b)
    ok(wait_for(lambda: b.status().get("ready")), "the box is there", b)
    rows(t, how, table, b, c)
    s = b.status()
    ok(
        s.get("role_restarts") == 0 and s.get("bugs") == 0 and not b.zombies(),
        "the channel stands", (s, b))
    ok(alive(b.init) and memory(b.init)[0] < 8192, "PID 1 is small", memory(b.init))
    b.kill()
how = ""
if chosen(rotation):
    gate = f"{t.dir}/flood"
    b = Box(t, f"[pinnace]\nlog-dir = {t.dir}/log\n{FLOOD} {gate}\n", ["sleep", "600"])
    wait_for(lambda: b.status().get("ready"))
    open(gate, "w").close()
    rows(t, "logs", (rotation, ), b, unix(b))
    b.kill()
rows(t, "end", chosen(ends, keepalive))
t.done()
