#!/usr/bin/env python3
"""ps, top, logs, start, stop, restart; boxes elsewhere and tokens; help and completions."""
import contextlib
import datetime
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time

from box import Box
from cli import Cli
from tap import Tap, run, wait_for

t = Tap()


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


token = "s3cret-token"
with open(os.path.join(t.dir, "token"), "w") as f:
    f.write(token + "\n")
port = free_port()
b = Box(t, f"""
[channel local]
listen = unix:{t.dir}/run.sock
[channel remote]
listen = tcp:127.0.0.1:{port}
token-file = {t.dir}/token
[service web]
command = sh -c 'echo first; echo second; echo err >&2; exec sleep 1000'
[service once]
oneshot = yes
command = sh -c 'echo once'
[service slow]
command = sleep 1000
ready = file:{t.dir}/slow-ready
[service broken]
command = sh -c 'test -e {t.dir}/whole && exec sleep 1000'
restart = never
ready = file:{t.dir}/whole
[main]
start = now
""", ["sleep", "1000"])
sock = f"unix://{t.dir}/run.sock"
c = Cli(b, PINNACE_HOST=sock)
if not t.ok(wait_for(lambda: c("ps").status == 0), "the box answers", b):
    t.done()
b.says("web")


def unit(name):
    for u in json.loads(c("status", "--json").out or '{"units":[]}')["units"]:
        if u["name"] == name:
            return u
    return {}


# --- ps
job = c("exec", "-d", "--tag", "mine", "sleep", "1000").out.strip()
c("exec", "sh", "-c", "exit 3")
r = c("ps")
t.ok(r.out.splitlines()[0].split() == ["NAME", "KIND", "STATE", "PID", "FOR", "TAG", "COMMAND"] and
     re.search(r"^web +service +ready +\d+ ", r.out, re.M) and
     re.search(f"^{job} +job +running +\\d+ +\\S+ +mine +sleep 1000$", r.out, re.M) and
     "exit 3" not in r.out, "ps: units and running jobs", r)
r = c("ps", "-a")
t.ok(re.search(r"^\w{12} +job +exit 3 ", r.out, re.M), "-a: ended ones, too", r)
r = c("ps", "-q")
t.ok(r.out.split() == ["web", "once", "slow", "broken", "main", job], "-q: names", r)
j = json.loads(c("ps", "--json").out)
t.ok([u["name"] for u in j["units"]][:2] == ["web", "once"] and [x["id"] for x in j["jobs"]] == [job],
     "--json", j)
c("exec", "-d", "sh", "-c", "sleep 99; :", "99\033[2J")
r = c("ps")
t.ok("99?[2J" in r.out and "\033" not in r.out, "control bytes of others are not printed", r)

# --- top
r = c("top")
rows = [line.split() for line in r.out.splitlines()]
t.ok(rows[0][:3] == ["OWNER", "PID", "S"] and any(w[0] == "web" for w in rows) and
     any(w[0] == job and w[-2:] == ["sleep", "1000"] for w in rows), "top: by unit and job", r)
r = c("top", "-n", "2", "-d", "100ms")
t.ok(r.out.count("OWNER") == 2 and re.search(r" \d+\.\d ", r.out.split("OWNER")[2]),
     "twice, with what was used between", r)
r = c("top", "--json")
t.ok(any(p["job"] == job for p in json.loads(r.out)["processes"]), "--json", r)
term = c.terminal("top", "-d", "100ms", rows=12, cols=60)
term.until("OWNER")
t.ok(term.until("OWNER") and all(len(line) <= 61 for line in term.said.split("\n")[1:4]),
     "on a terminal again and again, within its columns", term.said)
term.type("\x03")
t.ok(term.wait() == 130, "until Ctrl-C", term.said)
term.close()

# --- logs
STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z "
r = c("logs", "web")
t.ok(sorted(r.out.split()) == ["err", "first", "second"], "logs of a unit", r)
r = c("logs", "-t", "web")
t.ok(all(re.match(STAMP, line) for line in r.out.splitlines()) and len(r.out.splitlines()) == 3,
     "-t: with times", r)
r = c("logs", "-n", "1", "web")
t.ok(len(r.out.splitlines()) == 1, "-n", r)
all_of_it = c("logs", "web").out.splitlines()
r = c("logs", "--tail", "all", "web")
t.ok(r.out.splitlines()[:len(all_of_it)] == all_of_it, "--tail all", r)
for bad in (["--tail", "x"], ["--tail", "-1"], ["--since", "yesterday"]):
    r = c("logs", *bad, "web")
    t.ok(r.status == 2 and bad[0] in r.err and bad[1] in r.err, f"{bad}: wrong usage", r)
now = datetime.datetime.now(datetime.timezone.utc)
for since, n in (("10m", 3), ("0s", 0), ((now + datetime.timedelta(hours=1)).isoformat(), 0),
                 ((now - datetime.timedelta(hours=1)).isoformat(), 3), ("2020-01-01", 3),
                 ("2020-01-01T00:00:00.5+01:30", 3), ("2020-01-01 15:04", 3), ("2020-01-01T15:04:05Z", 3),
                 ("0", 3), (str(int(time.time()) + 999), 0)):
    r = c("logs", "--since", since, "web")
    t.ok(r.status == 0 and len(r.out.splitlines()) == n, f"--since {since}", r)
for since in ("yesterday", "10", "2020-13-45", "2020-01-01T00:00:00+1", "-5m", "2020-01-01T", "2020-01-01T1",
              "2020-01-01T00:00:61", "2020-01-01T00:00:nan", "2020-01-01T00:00:00Zx", "2020-01-01T00:00-01:3x"):
    r = c("logs", "--since", since, "web")
    t.ok((r.status != 0) == (since != "10"), f"--since {since} is refused", r)
c("exec", "-d", "-i", "--tag", "talk", "sh", "-c", "seq 1 2000; echo err >&2; read x; echo end")
wait_for(lambda: "2000" in c("logs", "talk").out)
r = c("logs", "-n", "3", "talk")
t.ok((r.out + r.err).split()[:2] in (["1999", "2000"], ["2000", "err"]), "logs of a job: the tail", r)
p = c.start("logs", "-f", "-n", "0", "talk")
time.sleep(0.3)
c("attach", "talk", text="\n")
t.ok(p.wait(10) == 0 and p.stdout.read() == "end\n", "-f: to its end", p.returncode)
r = c("logs", "talk")
t.ok(r.out == "".join(f"{i}\n" for i in range(1, 2001)) + "end\n" and r.err == "err\n",
     "all of it, apart", r)
r = c("logs", "-t", "talk")
t.ok(r.status == 1 and "times" in r.err, "times of a job are not kept", r)
r = c("logs", "nothing")
t.ok(r.status == 1 and "no unit or job 'nothing'" in r.err, "no such thing", r)
p = c.start("logs", "-f", "-n", "0", "web")
time.sleep(0.3)
c("restart", "web")
got = {p.stdout.readline() for _ in range(3)}
t.ok(got == {"first\n", "second\n", "err\n"}, "-f of a unit goes on", got)
p.send_signal(signal.SIGINT)
t.ok(p.wait(5) == -signal.SIGINT, "until Ctrl-C")

# --- units
pid = unit("web")["pid"]
r = c("restart", "web")
t.ok(r.status == 0 and r.out == "web\n" and unit("web")["state"] == "ready" and
     unit("web")["pid"] != pid, "restart: another process, and it is ready", r)
r = c("stop", "web")
t.ok(r.status == 0 and unit("web")["state"] == "down", "stop: it is down", (r, unit("web")))
r = c("stop", "web")
t.ok(r.status == 0, "twice", r)
r = c("start", "web")
t.ok(r.status == 0 and unit("web")["state"] == "ready", "start: it is ready", r)
starts = unit("once")["starts"]
r = c("restart", "once")
t.ok(r.status == 0 and unit("once")["state"] == "done" and unit("once")["starts"] == starts + 1,
     "restart: what ends has ended again", (r, unit("once")))
r = c("start", "-t", "300ms", "slow")
t.ok(r.status == 1 and "still starting" in r.err, "start: what does not get ready in time", r)
r = c("start", "--no-wait", "slow")
t.ok(r.status == 0 and r.seconds < 3, "--no-wait", r)
p = c.start("start", "slow")
time.sleep(0.3)
waiting = p.poll() is None
open(os.path.join(t.dir, "slow-ready"), "w").close()
t.ok(waiting and p.wait(10) == 0, "start waits until it is ready", p.returncode)
r = c("start", "broken")
t.ok(r.status == 1 and "broken has failed" in r.err, "start: what fails", r)
open(os.path.join(t.dir, "whole"), "w").close()
r = c("start", "broken")
t.ok(r.status == 0 and unit("broken")["state"] == "ready", "and then does not", (r, unit("broken")))
r = c("restart", "nothing", "web")
t.ok(r.status == 1 and "nothing" in r.err and r.out == "web\n", "no such unit; the other is", r)
chan = b.role("channel")
p = c.start("restart", "slow")
os.kill(chan, signal.SIGKILL)
t.ok(p.wait(10) in (0, 1), "the channel may die meanwhile", p.returncode)

# --- boxes elsewhere
tcp = f"tcp://127.0.0.1:{port}"
far = Cli(b, PINNACE_HOST=tcp, PINNACE_TOKEN=token)
r = far("exec", "echo", "hi")
t.ok(r.out == "hi\n", "PINNACE_HOST over TCP, with a token", r)
r = far("status", env={"PINNACE_TOKEN": "", "PINNACE_TOKEN_FILE": f"{t.dir}/token"})
t.ok(r.status == 0, "a token from a file", r)
r = far("status", env={"PINNACE_TOKEN": ""})
t.ok(r.status == 1 and "wants a token" in r.err, "none", r)
r = far("status", env={"PINNACE_TOKEN": "wrong"})
t.ok(r.status == 1 and "does not know this token" in r.err, "a wrong one", r)
for argv in (["ready"], ["ready", "--wait", "2s"], ["wait", "-q", "--timeout", "2s"]):
    r = Cli(b, PINNACE_HOST=tcp)(*argv)
    t.ok(r.status == 0 and r.err == "", f"{' '.join(argv)}: anybody may ask", r)
r = far("status", env={"PINNACE_TOKEN": "a b\r\nX: y"})
t.ok(r.status == 1 and "control bytes" in r.err, "one that is none", r)
r = far("status", env={"PINNACE_TOKEN": "", "PINNACE_TOKEN_FILE": "/nonexistent"})
t.ok(r.status == 1 and "PINNACE_TOKEN_FILE" in r.err, "a file that is not there", r)
r = far("exec", "true", env={"PINNACE_TOKEN": "wrong"})
t.ok(r.status == 125, "exec says so with 125", r)
r = Cli(b, PINNACE_TOKEN=token)("-H", f"tcp://localhost:{port}", "ps", "-q")
t.ok(r.status == 0 and "web" in r.out, "-H before the verb, a name", r)
r = Cli(b, PINNACE_HOST="tcp://127.0.0.1:1", PINNACE_TOKEN=token)("ps", "-q", f"--host={tcp}")
t.ok(r.status == 0 and "web" in r.out, "and after it; it counts for more than PINNACE_HOST", r)
for host, why in ((f"tcp://127.0.0.1:{free_port()}", "refused"), ("unix:///nonexistent", "no pinnace"),
                  ("ftp://x", "not one of"), ("vsock://9999:1", "vsock://9999:1")):
    r = c("-H", host, "status")
    t.ok(r.status == 1 and why in r.err and r.seconds < 15, f"{host} is said to be wrong", r)


def vmm(listener, answer):
    """What Firecracker does: CONNECT PORT, and from then on the bytes of that port."""
    while True:
        try:
            peer, _ = listener.accept()
        except OSError:
            return
        asked = b""
        while not asked.endswith(b"\n"):
            asked += peer.recv(1)
        peer.sendall(answer)
        if asked == b"CONNECT 1024\n" and answer.startswith(b"OK "):
            box = socket.socket(socket.AF_UNIX)
            box.connect(sock.removeprefix("unix://"))
            threading.Thread(target=pump, args=(peer, box), daemon=True).start()
            pump(box, peer)
        peer.close()


def pump(source, sink):
    with contextlib.suppress(OSError):
        while piece := source.recv(65536):
            sink.sendall(piece)
        sink.shutdown(socket.SHUT_WR)


for answer, port, want in ((b"OK 1073741824\n", 1024, (0, "web")), (b"OK 1\n", 7, (1, "")),
                           (b"NO\n", 1024, (1, "rotocol")), (b"", 1024, (1, "no pinnace")),
                           (b"O" * 100, 1024, (1, "rotocol"))):
    path = f"{t.dir}/vmm{port}{len(answer)}"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        threading.Thread(target=vmm, args=(listener, answer), daemon=True).start()
        r = c("-H", f"vsock://{path}:{port}", "ps", "-q")
        listener.shutdown(socket.SHUT_RDWR)
    t.ok(r.status == want[0] and want[1] in r.out + r.err, f"a VMM's socket that says {answer[:9]}, port {port}", r)
if os.getuid() == 0 and shutil.which("setpriv"):
    os.chmod(t.dir, 0o755)
    r = run(["setpriv", "--reuid=65534", "--clear-groups", t.pinnace, "-H", sock, "status"])
    t.ok(r.status == 1 and ("refuses" in r.err or "may not" in r.err), "no right to ask", r)

# --- help and completions
r = c("help")
verbs = re.findall(r"^  ([a-z]+) ", r.out, re.M)
t.ok({"exec", "cp", "doctor", "help"} <= set(verbs), "help lists the verbs", verbs)
bad = [v for v in verbs if not c("help", v).out.startswith(f"usage: pinnace {v}")]
t.ok(not bad and c("exec", "--help").out == c("help", "exec").out, "help VERB, VERB --help", bad)
r = c("help", "exce")
t.ok(r.status == 2 and "did you mean exec" in r.err, "a verb that is none", r)
for shell in ("bash", "zsh", "fish"):
    script = c("completion", shell).out
    missing = [v for v in verbs if v not in script]
    t.ok(script and not missing, f"completion {shell}: every verb", missing)
    if shutil.which(shell):
        with open(os.path.join(t.dir, shell), "w") as f:
            f.write(script)
        r = run([shell, "-n", f.name])
        t.ok(r.status == 0 and not r.err, f"{shell} reads it", r)
r = c("completion", "csh")
t.ok(r.status == 2, "completion: another shell", r)


job = c("exec", "-d", "sleep", "1000").out.strip()


def complete(*words):
    """What bash offers for the last one."""
    text = f"""
. {t.dir}/bash
pinnace() {{ {t.pinnace} "$@"; }}
COMP_WORDS=({" ".join(f"'{w}'" for w in words)})
COMP_CWORD={len(words) - 1}
_pinnace
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    return set(subprocess.run(["bash", "-c", text], env=c.env, stdout=subprocess.PIPE, text=True,
                              check=False, timeout=20).stdout.split())


if shutil.which("bash"):
    for words, want, wrong in ((("pinnace", "ex"), {"exec"}, {"ps"}),
                               (("pinnace", "-H", "x", "sta"), {"start", "status"}, {"ps"}),
                               (("pinnace", "exec", "--de"), {"--detach", "--detach-keys"}, {"--env"}),
                               (("pinnace", "restart", "w"), {"web"}, {"slow"}),
                               (("pinnace", "kill", job[:3]), {job}, {"web"}),
                               (("pinnace", "completion", ""), {"bash", "zsh", "fish"}, set()),
                               (("pinnace", "help", "l"), {"logs", "ls"}, {"ps"}),
                               (("pinnace", "doctor", "-c", f"{t.dir}/tok"), {f"{t.dir}/token"}, set()),
                               (("pinnace", "exec", "-u", ""), set(), {"web", "exec"})):
        got = complete(*words)
        t.ok(want <= got and not wrong & got, f"bash: {' '.join(words)}", got)
b.kill()
t.done()
