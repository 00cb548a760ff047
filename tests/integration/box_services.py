#!/usr/bin/env python3
"""Services of a box: what starts when, as whom, with what; and what happens when it fails."""
import os
import signal
import time

from box import BOTH, Box, program, read, words
from tap import Tap, wait_for

t = Tap()
QUICK = "backoff = 10ms..20ms\n"
files = 0


def fresh(name="file"):
    """The path of a file that is not there yet."""
    global files
    files += 1
    return os.path.join(t.dir, f"{name}{files}")


def sh(text, *args):
    return words("sh", "-c", text, "sh", *args)


def lines(path):
    return read(path).splitlines()


# --- order
for pid1, how in BOTH:
    ready, order = fresh(), fresh()
    b = Box(t, "[service b]\nafter = a\ncommand = " +
            sh(f"[ -e {ready} ] && echo b after a >> {order}; exec sleep 60") +
            f"\n[service a]\nready = file:{ready}\ncommand = " +
            sh(f"echo a >> {order}; sleep 0.3; touch {ready}; exec sleep 60") +
            f"\n[service c]\noneshot = yes\nafter = b\ncommand = "
            f"{sh(f'sleep 0.2; echo c done >> {order}')}\n[service d]\nrequires = c\nready = "
            f"log:up\ncommand = {sh(f'echo d >> {order}; echo up; exec sleep 60')}\n",
            ["sh", "-c", f"echo CMD >> {order}; exec sleep 60"], pid1=pid1)
    wait_for(lambda: len(lines(order)) == 5)
    t.ok(lines(order) == ["a", "b after a", "c done", "d", "CMD"],
         f"{how}: each starts when what it waits for is ready, or done", (lines(order), b))
    b.wait_ready()
    states = {u["name"]: u["state"] for u in b.status().get("units", [])}
    t.ok(states == {"a": "ready", "b": "ready", "c": "done", "d": "ready", "main": "ready"},
         f"{how}: and status says so", states)
    b.kill()

flag = fresh()
b = Box(t, "[pinnace]\non-boot-timeout = stay\n"
        f"[service a]\nready = log:up\nrestart = never\ncommand = "
        f"{sh(f'echo up; while ! [ -e {flag} ]; do sleep 0.02; done; exit 3')}\n"
        "[service b]\nrequires = a\ncommand = sleep 60\n"
        "[service c]\nafter = a\ncommand = sleep 60\n", ["sleep", "60"])
b.wait_ready()
open(flag, "w").close()
u = b.wait_unit("b", "failed")
t.ok(u.get("reason") == "requires a, which has failed" and b.unit("a").get("exit_status") == 3,
     "what requires a service stops and fails with it", (u, b))
t.ok(b.unit("c").get("state") == "ready", "what is only after it does not", b.unit("c"))
t.ok(wait_for(lambda: not os.path.exists(f"{b.run_dir}/ready")) and b.get("/readyz")[0] == 503,
     "and the box is no longer ready", b)
b.kill()

b = Box(t, f"[service setup]\noneshot = yes\nrestart = never\ncommand = {sh('sleep 0.1; exit 4')}\n"
        "[service app]\nafter = setup\ncommand = sleep 60\n", ["sh", "-c", "echo started"])
status = b.wait()
t.ok(status == 4 and b.out() == "" and "app" not in b.err(),
     "a one-shot that fails lets nothing start after it", b)

# --- again and again
stamps = fresh()
STAMP = program(t, "import sys, time\n"
                   "with open(sys.argv[1], 'a') as f: print(time.monotonic(), file=f)\n"
                   "sys.exit(int(sys.argv[2]))\n")
b = Box(t, "[service flaps]\nbackoff = 100ms..400ms\nmax-restarts = 5\n"
        f"command = {words(*STAMP, stamps, '1')}\n[main]\nstart = now", ["sleep", "60"])
u = b.wait_unit("flaps", "failed")
at = [float(x) for x in lines(stamps)]
gaps = [y - x for x, y in zip(at, at[1:])]
want = [0.1, 0.2, 0.4, 0.4, 0.4]
t.ok(len(at) == 6 and u.get("starts") == 6 and u.get("exit_status") == 1,
     "max-restarts = 5: six starts, then it is failed", (u, b))
t.ok(len(gaps) == 5 and all(w * 0.89 < g < w + 0.25 for g, w in zip(gaps, want)),
     "the pauses double up to the limit, less up to a tenth", gaps)
b.kill()
stamps = fresh()
b = Box(t, "[service comes-back]\nrestart = always\nbackoff = 100ms..10s\n"
        f"command = {words(*STAMP, stamps, '0')}\n[main]\nstart = now", ["sleep", "60"])
wait_for(lambda: len(lines(stamps)) > 4)
at = [float(x) for x in lines(stamps)]
gaps = [y - x for x, y in zip(at, at[1:])]
t.ok(len(gaps) >= 4 and all(w * 0.89 < g < w + 0.25 for g, w in zip(gaps, (0.1, 0.2, 0.4, 0.8))),
     "so they do after ends that are no failures", gaps)
t.ok(b.unit("comes-back")["failures"] == 0, "which are not counted as such", b)
b.kill()

for policy, status, again in (("always", 0, True), ("always", 1, True), ("on-failure", 0, False),
                              ("on-failure", 1, True), ("never", 0, False), ("never", 1, False)):
    stamps = fresh()
    b = Box(t, f"[service s]\n{QUICK}restart = {policy}\n"
            f"command = {words(*STAMP, stamps, str(status))}\n[main]\nstart = now", ["sleep", "60"])
    if again:
        good = wait_for(lambda: len(lines(stamps)) > 3)
    else:
        final = "failed" if status else "done"
        good = b.wait_unit("s", final) and len(lines(stamps)) == 1
    t.ok(good, f"restart = {policy} after {status}: {'again' if again else 'not again'}", b)
    b.kill()

b = Box(t, "[service late]\nready = file:/nonexistent/by/design\nstart-timeout = 200ms\n"
        f"max-restarts = 1\n{QUICK}command = sleep 60\n[main]\nstart = now", ["sleep", "60"])
u = b.wait_unit("late", "failed")
t.ok(u.get("starts") == 2 and "not ready within 200ms" in u.get("reason", ""),
     "start-timeout: stopped, started again, failed", (u, b))
b.kill()

# --- alive
alive = fresh()
open(alive, "w").close()
b = Box(t, f"[service s]\n{QUICK}alive = file:{alive}\nalive-every = 50ms\nalive-threshold = 2\n"
        "probe-timeout = 50ms\ncommand = sleep 60\n")
b.wait_ready()
first = b.unit("s")
os.remove(alive)
restarted = b.says("not alive: file:")
open(alive, "w").close()
u = wait_for(lambda: b.unit("s").get("starts", 0) > 1 and b.wait_unit("s", "ready"))
t.ok(first.get("starts") == 1 and restarted and u and u["pid"] != first["pid"],
     "alive: after alive-threshold times no it is restarted", (first, u, b))
t.ok(b.wait_ready(), "and the box is ready again", b)
b.kill()

# --- as whom
passwd, group = fresh(), fresh()
with open(passwd, "w") as f:
    f.write(read("/etc/passwd") + "boxer:x:4242:4243::/home/of/boxer:/bin/of/boxer\n")
with open(group, "w") as f:
    f.write(read("/etc/group") + "boxers:x:4243:\nextra1:x:5001:boxer\nextra2:x:5002:x,boxer\n"
            "other:x:5003:x\n")
ACCOUNTS = ["sh", "-c", f"mount --bind {passwd} /etc/passwd && mount --bind {group} /etc/group && "
            'exec "$@"', "sh"]
WHO = ["sh", "-c", "set -- $(sed -n 's/^Uid:\\|^Gid:\\|^Groups://p' /proc/self/status); "
       'echo who "$@" - "$HOME" "$USER" "$LOGNAME" "$SHELL"']
os.chmod(t.dir, 0o755)
for pid1, how in BOTH:
    for user, want in (
            ("boxer", "4242 4242 4242 4242 4243 4243 4243 4243 4243 5001 5002 - "
                      "/home/of/boxer boxer boxer /bin/of/boxer"),
            ("4242", "4242 4242 4242 4242 4243 4243 4243 4243 4243 5001 5002 - "
                     "/home/of/boxer boxer boxer /bin/of/boxer"),
            ("boxer:other", "4242 4242 4242 4242 5003 5003 5003 5003 5001 5002 5003 - "
                            "/home/of/boxer boxer boxer /bin/of/boxer"),
            ("54321:5002", "54321 54321 54321 54321 5002 5002 5002 5002 5002 - / ")):
        b = Box(t, f"[service s]\noneshot = yes\nuser = {user}\ncommand = {words(*WHO)}\n"
                f"[main]\nuser = {user}\n", WHO, pid1=pid1, wrap=ACCOUNTS)
        status = b.wait()
        t.ok(status == 0 and f"s | who {want}" in b.err(), f"{how}: a service as {user}", b)
        t.ok(f"who {want}" in b.out(), f"{how}: CMD as {user}", b)

# --- with what
SHOW = program(t, r"""
import os, resource, sys
def line(*words):
    print(*words, flush=True)
line("cwd", os.getcwd())
line("env", os.environ.get("COLOUR"), os.environ.get("SIZE"), os.environ.get("NOTIFY_SOCKET"),
     os.environ.get("LISTEN_FDS"))
line("nofile", *resource.getrlimit(resource.RLIMIT_NOFILE))
line("core", *resource.getrlimit(resource.RLIMIT_CORE))
line("oom", open("/proc/self/oom_score_adj").read().strip())
fds = []
for fd in range(64):
    try:
        os.fstat(fd)
        fds.append(fd)
    except OSError:
        pass
line("fds", *fds)
line("stdin", os.readlink("/proc/self/fd/0"))
line("session", os.getsid(0) == os.getpid(), os.getpgrp() == os.getpid())
""")
r, w = os.pipe()
os.dup2(w, 17)
env = {"COLOUR": "red", "SIZE": "small", "NOTIFY_SOCKET": "/nonexistent", "LISTEN_FDS": "1"}
os.mkdir(where := fresh("dir"))
for pid1, how in BOTH:
    b = Box(t, f"[service s]\noneshot = yes\ncommand = {words(*SHOW)}\ncwd = {where}\n"
            "env = COLOUR='deep blue' EXTRA=1\nlimits = nofile=100:200 core=0\n"
            f"oom-score-adj = 321\n[service plain]\noneshot = yes\ncommand = {words(*SHOW)}\n",
            SHOW, pid1=pid1, env=env, pass_fds=[17])
    status = b.wait()
    got = {k: dict(x[len(k) + 3:].partition(" ")[::2] for x in b.err().splitlines()
                   if x.startswith(k + " | ")) for k in ("s", "plain")}
    cmd = dict(x.partition(" ")[::2] for x in b.out().splitlines())
    t.ok(status == 0 and got["s"].get("cwd") == where and got["plain"].get("cwd") == "/" and
         cmd.get("cwd") == os.getcwd(), f"{how}: cwd", (got, cmd))
    t.ok(got["s"].get("env") == "deep blue small None None" and
         got["plain"].get("env") == "red small None None",
         f"{how}: env is added to what we have, but not what is for us", got)
    t.ok(cmd.get("env") == "red small None 1", f"{how}: CMD's is as ours", cmd)
    t.ok(got["s"].get("nofile") == "100 200" and got["s"].get("core") == "0 0", f"{how}: limits",
         got)
    t.ok(got["s"].get("oom") == "321" and got["plain"].get("oom") ==
         read("/proc/self/oom_score_adj").strip(), f"{how}: oom-score-adj", got)
    t.ok(got["s"].get("fds") == "0 1 2", f"{how}: no descriptor but 0, 1, 2 reaches a service", got)
    t.ok(cmd.get("fds") == "0 1 2 17", f"{how}: CMD has those we were given, and none of ours", cmd)
    t.ok(got["s"].get("stdin") == "/dev/null", f"{how}: its stdin is /dev/null", got)
    t.ok(got["s"].get("session") == "True True", f"{how}: its session is its own", got)
    t.ok(cmd.get("session") == "False True", f"{how}: CMD leads only a group", cmd)
os.close(17)
os.close(r)
os.close(w)

# --- ready, as they say it
NOTIFIER = program(t, """
import os, socket, sys, time
os.setresuid(*3 * [int(sys.argv[3])])
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
def say(text):
    s.sendto(text, os.environ["NOTIFY_SOCKET"])
say(b"STATUS=READY=1")
say(b"READY=0")
open(sys.argv[1], "w").close()
while not os.path.exists(sys.argv[2]):
    time.sleep(0.01)
say(b"STATUS=here\\nREADY=1\\nMAINPID=1")
time.sleep(60)
""")
for uid in ("0", "4242"):
    os.mkdir(place := fresh("open"))
    os.chmod(place, 0o777)
    begun, go = os.path.join(place, "begun"), fresh()
    b = Box(t, f"[service s]\nready = notify\ncommand = {words(*NOTIFIER, begun, go, uid)}\n")
    wait_for(lambda: os.path.exists(begun))
    time.sleep(0.05)  # what it said before must have had its chance
    early = b.unit("s")
    open(go, "w").close()
    t.ok(early.get("state") == "starting" and b.wait_unit("s", "ready") and b.wait_ready(),
         f"ready = notify, said by uid {uid}", (early, b))
    b.kill()

go = fresh()
b = Box(t, f"[service s]\n{QUICK}ready = log:^listening on [0-9]+$\ncommand = " +
        sh(f"echo not listening on 80; echo listening on port; while ! [ -e {go} ]; do sleep 0.01; "
           f"done; rm {go}; printf 'liste'; sleep 0.1; echo 'ning on 80'; exec sleep 60") + "\n")
seen = b.says("listening on port")
early = b.wait_unit("s", "starting", "ready")
open(go, "w").close()
t.ok(seen and early.get("state") == "starting" and b.wait_unit("s", "ready"),
     "ready = log: the line that matches, and no other", (early, b))
os.kill(b.host_pid("s"), signal.SIGKILL)
again = wait_for(lambda: b.unit("s").get("starts") == 2 and b.unit("s"))
t.ok(again and again["state"] == "starting", "a match counts for one start", (again, b))
open(go, "w").close()
t.ok(b.wait_unit("s", "ready"), "and is looked for at the next", b)
b.kill()

asked = fresh()
b = Box(t, f"[service s]\nready = exec:{sh(f'echo x >> {asked}; [ $(wc -l < {asked}) -ge 4 ]')}\n"
        "ready-every = 20ms\ncommand = sleep 60\n")
t.ok(b.wait_unit("s", "ready") and len(lines(asked)) == 4, "ready = exec: asked until it says yes",
     (lines(asked), b))
b.kill()

# --- what cannot start says why, once
plain = fresh()
with open(plain, "w") as f:
    f.write("text\n")
os.mkdir(locked := fresh("locked"))
os.chmod(locked, 0)
for ini, step, what in (
        ("command = /nonexistent/daemon", "execute /nonexistent/daemon", "No such file"),
        ("command = surely-not-on-the-path", "execute surely-not-on-the-path", "No such file"),
        (f"command = {plain}", f"execute {plain}", "Permission denied"),
        (f"command = {t.dir}", f"execute {t.dir}", "Permission denied"),
        (f"command = {plain}/x", f"execute {plain}/x", "Not a directory"),
        ("command = true\nuser = nobody-such", "find its user nobody-such", "no such user"),
        ("command = true\nuser = root:no-group", "find its user root:no-group",
         "no such user or group"),
        ("command = true\ncwd = /nonexistent", "enter its working directory /nonexistent",
         "No such file"),
        (f"command = true\nuser = 4242\ncwd = {locked}", f"enter its working directory {locked}",
         "Permission denied"),
        ("command = true\nlimits = nofile=4000000000", "set its resource limits",
         "Operation not permitted")):
    b = Box(t, f"[service s]\n{QUICK}{ini}\n[main]\nstart = now", ["sleep", "60"])
    u = b.wait_unit("s", "failed")
    reason = u.get("reason", "")
    t.ok(u.get("starts") == 1 and f"cannot {step}" in reason and what in reason and
         reason in b.err(), f"cannot {step.split(' /')[0]}: {what}", (u, b))
    b.kill()
t.done()
