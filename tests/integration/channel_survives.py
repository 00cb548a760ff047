#!/usr/bin/env python3
"""Jobs outlive the channel's process: killed in the middle of a hundred of them, and again and again,
all go on and end as they would have, and nothing is left behind."""
import json
import os
import random
import re
import signal
import time

from box import BOTH, PYTHON, Box, alive
from channel import Answer, Broken, fds, of_job, outer, rows, settled, unix
from tap import Tap, state, wait_for

t = Tap()
rng = random.Random(42)


def ok(cond, name, diag=""):
    return t.ok(cond, f"{how}: {name}", diag)


def kill_channel(b):
    """Kill it; the pid of the one that came after."""
    old = wait_for(lambda: b.role("channel"))
    os.kill(old, signal.SIGKILL)
    return wait_for(lambda: (p := b.role("channel")) and p != old and p)


def end_of(job):
    return {
        k: v
        for k, v in (job.get("end") or {}).items() if k not in ("user_ms", "system_ms", "max_rss")
    }


def all_ended(c, ids, seconds=15):
    """Jobs by id, once all of these have ended or the time is over."""
    def find():
        by_id = {j["id"]: j for j in c.jobs()}
        return by_id if all(by_id.get(i, {}).get("state") == "ended" for i in ids) else None

    return wait_for(find, seconds) or {j["id"]: j for j in c.jobs()}


# Each does half of its work, and the rest when the gate is there.
WAIT = "    while i == %d and not os.path.exists(sys.argv[1]): time.sleep(0.01)\n"
COUNTER = [
    *PYTHON, "import os, sys, time\nfor i in range(100):\n" + WAIT % 50 +
    "    print('line %06d' % i, flush=True)\n    time.sleep(0.005)\nsys.exit(7)"
]
FLOOD = [
    *PYTHON, "import os, sys, time\nfor i in range(300):\n" + WAIT % 150 +
    "    os.write(1, b'0123456789' * 2000)\nos.write(2, b'the end')\nsys.exit(8)"
]


def hundred(b, c, n):
    """killed in the middle of many jobs"""
    kinds = {"exit": 4, "signal": 1, "counter": 1, "flood": 1, "cat": 1, "pty": 1, "timeout": 1}
    plan = [k for k, share in kinds.items() for _ in range(share * n // 10)]
    rng.shuffle(plan)
    jobs, want, gate = {}, {}, f"{b.dir}/gate"
    for i, kind in enumerate(plan):
        late = f"{1 + rng.random() * 2:.2f}"
        argv, extra, end = {
            "exit": (f"sleep {late}; exit {i % 256}", {}, {
                "exit": i % 256
            }),
            "signal": (f"sleep {late}; kill -{[9, 15, 1, 34][i % 4]} $$", {}, {
                "signal": [9, 15, 1, 34][i % 4],
                "core": False
            }),
            "counter": ([*COUNTER, gate], {}, {
                "exit": 7
            }),
            "flood": ([*FLOOD, gate], {
                "keep_output": 8 << 20
            }, {
                "exit": 8
            }),
            "cat": (["cat"], {
                "stdin": "pipe"
            }, {
                "exit": 0
            }),
            "pty": ("stty size; read x; stty size; exit 9", {
                "pty": {
                    "rows": 11,
                    "cols": 22
                }
            }, {
                "exit": 9
            }),
            "timeout": ("setsid sleep 70 & exec sleep 71", {
                "timeout_ms": 2500,
                "kill_after_ms": 200
            }, {
                "signal": 15,
                "core": False,
                "timed_out": True
            }),
        }[kind]
        j = c.start(argv, tag=f"{kind}-{i}", **extra)
        jobs[j["id"]], want[j["id"]] = (kind, j), end
    of = lambda kind: [i for i, (k, _) in jobs.items() if k == kind]
    half = {"counter": 600, "flood": 3000000, "pty": 6}
    wait_for(lambda: all(j["output"]["to"] >= half.get(jobs[j["id"]][0], 0) for j in c.jobs()))
    attached = c.attach(of("counter")[0], "?from=0")
    attached.until(lambda o: o.out.count(b"\n") >= 3)
    owned = c.exec("sleep 2; exit 3")
    owned.next()
    at_kill = {j["id"]: j for j in c.jobs()}
    ok(kill_channel(b), "the next channel comes", b)
    open(gate, "w").close()
    for name, s in (("attached", attached), ("exec", owned)):
        try:
            while s.next():
                pass
        except (Broken, OSError):
            pass
        ok(s.seen.ended is None, f"{name}: a stream that was cut has no `ended`", s.seen)
    listed = wait_for(lambda: {j["id"]: j for j in c.jobs()}, 5)
    ok(
        set(listed) == set(at_kill), "all jobs are listed again",
        (len(listed), len(at_kill), set(at_kill) - set(listed)))
    same = ("id", "argv", "tag", "pid", "pty", "started_unix_ms")
    differ = [(at_kill[i][m], listed[i][m]) for i in at_kill for m in same
              if i in listed and at_kill[i][m] != listed[i][m]]
    ok(not differ, "as they were", differ[:5])
    ok(
        all(
            abs(j["ran_ms"] - (time.time() * 1000 - j["started_unix_ms"])) < 2000
            for j in listed.values() if j["state"] == "running"), "ran_ms goes on",
        list(listed.values())[:3])

    # their stdin, terminals, signals
    for i in of("cat"):
        a = c.post(f"/v1/jobs/{i}/stdin?eof=1", f"to {i}".encode())
        if a.status != 200:
            ok(False, "stdin goes on", a)
    for k, i in enumerate(of("pty")):
        a = c.post(f"/v1/jobs/{i}/resize", {"rows": 44, "cols": 55})
        e = c.post(f"/v1/jobs/{i}/stdin", b"x\n")
        if (a.status, e.status) != (204, 200):
            ok(False, "the terminal goes on", (a, e))
    got = all_ended(c, want)
    bad = [(jobs[i][0], end, got.get(i)) for i, end in want.items()
           if end_of(got.get(i, {})) != end]
    ok(not bad, f"{len(want)} jobs end as they would have", (len(bad), bad[:4]))
    ok(
        end_of(c.wait(owned.seen.started["id"])) == {"exit": 3},
        "the one whose client was cut, too", c.job(owned.seen.started["id"]))
    bad = [(i, c.output(i)) for i in of("cat") if c.output(i).body != f"to {i}".encode()]
    ok(not bad, "what went in came out", bad[:3])
    bad = [(i, c.output(i)) for i in of("pty") if b"44 55" not in c.output(i).body]
    ok(not bad, "a terminal keeps its size and its lines", bad[:3])
    timeouts = [got[i]["ran_ms"] for i in of("timeout") if i in got]
    ok(all(2400 < ms < 4500 for ms in timeouts), "timeouts come when they would have", timeouts)
    left = settled(lambda: [p for i in of("timeout") for p in of_job(b, i)], lambda x: not x, 3)
    ok(not left, "and take the whole tree", left)
    for kind, whole, err in (("counter", b"".join(b"line %06d\n" % k for k in range(100)), b""),
                             ("flood", b"0123456789" * 600000, b"the end")):
        bad, missed = [], 0
        for i in of(kind):
            with c.attach(i, "?from=0") as s:
                o = s.finish()
            missed += o.missed
            if not o.out or not whole.endswith(o.out) or o.err != err or \
                    o.missed + len(o.out) + len(o.err) > len(whole) + len(err):
                bad.append((o.missed, len(o.out), len(whole), o))
        ok(not bad, f"{kind}: what came after the death is whole, to its last byte", bad[:2])
        ok(missed == half[kind] * len(of(kind)), f"{kind}: what was read before is told as missing",
           missed)
    ok(not b.zombies(), "no zombie", b.zombies())


def repeatedly(b, c, n):
    """killed again and again while jobs are started: each key is one job, run once"""
    where = f"{b.dir}/once"
    os.mkdir(where)
    seen, deaths = {}, 0
    begun = time.monotonic()
    ids = {}
    for i in range(n):
        ask = {"shell": f"echo x >> {where}/{i}; sleep 0.3; exit {i}", "key": f"once-{i}"}
        if i % 7 == 3 and deaths < 15:
            deaths += 1
            os.kill(wait_for(lambda: b.role("channel")), signal.SIGKILL)
        for turn in range(20):
            try:
                if i % 7 == 5 and turn == 0 and deaths < 30:  # die in the middle of the request
                    deaths += 1
                    c.close()
                    s = c.connect()
                    body = json.dumps(ask)
                    s.sendall(
                        (f"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
                         f"{body}").encode())
                    time.sleep(rng.random() * 0.004)
                    os.kill(wait_for(lambda: b.role("channel")), signal.SIGKILL)
                    s.close()
                a = c.post("/v1/jobs", ask)
                if a.status in (200, 201):
                    ids[i] = a.json()["id"]
                    break
                seen[a.status] = a
            except (OSError, Broken):
                time.sleep(0.01)
    ok(
        len(ids) == n and not seen, f"{n} jobs are started through {deaths} deaths",
        (len(ids), seen))
    got = all_ended(c, ids.values(), 10)
    bad = [(i, got.get(x)) for i, x in ids.items() if end_of(got.get(x, {})) != {"exit": i}]
    ok(not bad, "each has its own end", (len(bad), bad[:3]))
    ran = {
        i: len(open(f"{where}/{i}").read().split()) if os.path.exists(f"{where}/{i}") else 0
        for i in range(n)
    }
    ok(
        set(ran.values()) == {1}, "each ran once and only once",
        {i: k
         for i, k in ran.items() if k != 1})
    t.diag(f"{n} jobs, {deaths} deaths, {time.monotonic() - begun:.1f} s")


def ends_meanwhile(b, c, n):
    """jobs that end while there is no channel"""
    ids = {
        c.start(f"trap 'exit {k + 10}' USR1; echo up; while :; do sleep 0.01; done")["id"]: k
        for k in range(10)
    }
    wait_for(lambda: all(c.output(i).body == b"up\n" for i in ids))
    pids = [outer(b, c.job(i)["pid"]) for i in ids]
    quick = c.start("sleep 0.2; sleep 0.2")
    c.close()
    channel = b.role("channel")
    os.kill(channel, signal.SIGSTOP)  # it can reap nothing any more
    for p in pids:
        os.kill(p, signal.SIGUSR1)
    time.sleep(0.1)
    os.kill(channel, signal.SIGKILL)
    wait_for(lambda: (p := b.role("channel")) and p != channel)
    got = all_ended(c, [*ids, quick["id"]])
    bad = [(k, got.get(i)) for i, k in ids.items() if end_of(got.get(i, {})) != {"exit": k + 10}]
    ok(not bad, "those that ended meanwhile have their true status", bad[:3])
    ok(
        end_of(got.get(quick["id"], {})) == {"exit": 0}, "and those that did a little later",
        got.get(quick["id"]))
    j = c.start("trap '' TERM; echo up; while :; do sleep 0.05; done",
                timeout_ms=300,
                kill_after_ms=600)
    wait_for(lambda: c.output(j["id"]).body)
    time.sleep(0.35)  # TERM has been sent, KILL has not
    kill_channel(b)
    got = c.wait(j["id"], 5)
    ok(
        end_of(got) == {
            "signal": 9,
            "core": False,
            "timed_out": True
        }, "died between TERM and KILL: KILL comes", got)


def input_end(b, c, n):
    """an end of file is one, across the death"""
    j = c.start(["cat"], stdin="pipe")
    c.post(f"/v1/jobs/{j['id']}/stdin", b"before ")
    wait_for(lambda: c.job(j["id"])["output"]["to"] == 7)
    kill_channel(b)
    a = c.post(f"/v1/jobs/{j['id']}/stdin?eof=1", b"after")
    got = c.wait(j["id"])
    ok(a.status == 200 and end_of(got) == {"exit": 0}, "stdin closed by the next channel is closed",
       (a, got))
    j = c.start("cat >/dev/null; sleep 0.5; exit 6", stdin="pipe")
    c.post(f"/v1/jobs/{j['id']}/stdin?eof=1")
    kill_channel(b)
    ok(end_of(c.wait(j["id"])) == {"exit": 6}, "stdin closed before stays closed", c.job(j["id"]))
    a = c.post(f"/v1/jobs/{j['id']}/stdin", b"x")
    ok(isinstance(a, Answer) and a.status == 409, "and is known to be", a)


def cleared(b, c, base):
    """nothing is left"""
    for j in c.jobs():
        if j["state"] == "running":
            c.post(f"/v1/jobs/{j['id']}/signal", {"signal": "KILL"})
    all_ended(c, [j["id"] for j in c.jobs()], 5)
    bad = [a for j in c.jobs() if (a := c.delete(f"/v1/jobs/{j['id']}")).status != 204]
    ok(not bad and c.jobs() == [], "all can be forgotten", bad[:2])
    kill_channel(b)
    ok(c.jobs() == [], "and stay so after a restart", c.jobs()[:2])
    c.close()
    now = settled(lambda: fds(b.init), lambda n: n == base)
    links = [os.readlink(f"/proc/{b.init}/fd/{n}") for n in os.listdir(f"/proc/{b.init}/fd")]
    ok(now == base, "PID 1 holds no more descriptors than before", (base, now, sorted(links)))
    ok(not b.zombies(), "no zombie", b.zombies())
    s = b.status()
    ok(
        s.get("bugs") == 0 and s.get("ready") and b.p.poll() is None and
        s["units"][0]["starts"] == 1,
        "no bug, the box has been ready all the time, CMD is the same", s)
    ok(not re.search(r"bug|malformed|protocol", b.err()), "and the log has no complaint", b.err())


for pid1, how in BOTH:
    b = Box(t, "", ["sleep", "600"], pid1=pid1)
    c = unix(b, timeout=15)
    t.ok(wait_for(lambda: b.status().get("ready")), f"{how}: the box is there", b)
    base = fds(b.init)
    rows(t, how, (hundred, repeatedly, ends_meanwhile, input_end), b, c, 100 if pid1 else 30)
    rows(t, how, (cleared, ), b, c, base)
    t.ok(
        all(alive(p) for p in (b.init, b.role("channel"))) and state(b.init) != "Z",
        f"{how}: the box stands", b)
    b.kill()
t.done()
