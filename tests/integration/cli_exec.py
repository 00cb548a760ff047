#!/usr/bin/env python3
"""exec, attach, kill: a job of the box in the place of a process here."""
import os
import signal
import subprocess
import time

from box import Box
from cli import Cli
from tap import Tap, stop, wait_for

t = Tap()
b = Box(t, "[service web]\ncommand = sleep 1000", ["sleep", "1000"])
c = Cli(b)
if not t.ok(b.wait_ready(), "the box is ready", b):
    t.done()


def script(text):
    return ("sh", "-c", text)


def job(**want):
    """The newest job whose fields are so, once there is one."""
    def find():
        tag = want.pop("tag", None)
        j = c.job(tag)
        want["tag"] = tag
        return j if all(j.get(k) == v for k, v in want.items()) else {}
    return wait_for(find)


# --- statuses
for args, status, what in (
        (script("exit 0"), 0, "0"), (script("exit 2"), 2, "2, which is no usage error"),
        (script("exit 255"), 255, "255"), (script("kill -9 $$"), 137, "128 + a signal"),
        (("/nonexistent",), 127, "127 for what is not there"),
        (("surely-not-on-the-path",), 127, "127 for a name that is not on the PATH"),
        (("/etc/passwd",), 126, "126 for what cannot be executed"), (("/etc",), 126, "a directory"),
        (("-w", "/nonexistent", "true"), 126, "126 for no such directory"),
        (("-u", "nobody-such", "true"), 126, "126 for no such user"),
        (("--timeout", "200ms", "sleep", "60"), 124, "124 when it ran too long"),
        (("--timeout", "60s", "sh", "-c", "exit 4"), 4, "a timeout that does not come"),
        (("--timeout", "5", "true"), 125, "125 for an option that makes no sense"),
        (("--no-such", "true"), 125, "125 for wrong usage"), ((), 125, "125 for no command")):
    r = c("exec", *args)
    said = bool(r.err) == (status in (124, 125, 126, 127))
    t.ok(r.status == status and said and not r.out, f"status {what}", r)

# --- what it is given
r = c("exec", "printf", "<%s>", "a b", "", "'\"$x\\", "é\n")
t.ok(r.out == "<a b><><'\"$x\\><é\n>", "words as they are", r)
r = c("exec", b"\xff\xfe")
t.ok(r.status == 125 and "UTF-8" in r.err, "one that cannot be sent is not sent as another", r)
many = [*script("echo $#"), "sh", *["w"] * 65532]
r, more = c("exec", *many), c("exec", *many, "w")
t.ok(r.status == 0 and r.out == "65532\n", "65 536 of them", r[:1])
t.ok(more.status == 125 and "65536" in more.err, "but not one more", more)
with open(b.path("env"), "w") as f:
    f.write("# a comment\n\nFROM_FILE=x y\nBOTH=file\n  INDENTED=1\r\nPASSED\n")
r = c("exec", "--env-file", b.path("env"), "-e", "BOTH=line", "-e", "EMPTY=", "-e", "GONE", "-e",
      "NAME=a=b", *script('echo "$FROM_FILE|$BOTH|$INDENTED|$PASSED|${EMPTY-none}|${GONE-none}|$NAME"'),
      env={"PASSED": "on"})
t.ok(r.out == "x y|line|1|on||none|a=b\n", "the environment, from files and words", r)
r = c("exec", "-e", "=x", "true")
t.ok(r.status == 125 and "no name" in r.err, "a variable without a name", r)
r = c("exec", "-w", "/usr/bin", "pwd")
t.ok(r.out == "/usr/bin\n", "the directory", r)
r = c("exec", "-u", "1234:2345", *script("echo $(id -u):$(id -g)"))
t.ok(r.out == "1234:2345\n", "the user", r)

# --- input and output
r = c("exec", *script("echo out; echo err >&2"))
t.ok((r.out, r.err) == ("out\n", "err\n"), "stdout and stderr stay apart", r)
r = c("exec", "cat", text="not for you")
t.ok(r.status == 0 and r.out == "", "without -i nothing is read", r)
r = c("exec", "-i", "cat", text="in\n")
t.ok(r.out == "in\n", "with -i it is, to its end", r)
big = os.urandom(20 << 20)
t.ok(c.bytes("exec", "-i", "cat", data=big) == (0, big), "20 MiB there and back, all the same")
r = c("exec", "-i", "wc", "-c", stdin=open("/dev/null"))
t.ok(r.out.strip() == "0", "an end at once", r)
began = time.monotonic()
status, out = c.bytes("exec", "-i", "head", "-c", "3", data=big)
t.ok((status, out) == (0, big[:3]), "a command that does not read it all", (status, out))
r = c("exec", "-i", *script("exec <&-; echo closed; sleep 0.5; exit 3"), text="y\n" * (1 << 20))
t.ok((r.status, r.out, r.err) == (3, "closed\n", ""), "what nobody reads is dropped without a word",
     (r.status, r.out, r.err[:200]))
p = c.start("exec", "-i", "--tag", "slow", "sh", "-c", "sleep 2; wc -c", stdin=subprocess.PIPE)
wrote = 0
os.set_blocking(p.stdin.fileno(), False)
end = time.monotonic() + 1
while time.monotonic() < end:
    try:
        wrote += os.write(p.stdin.fileno(), big[:65536])
    except BlockingIOError:
        time.sleep(0.02)
t.ok(wrote < 8 << 20, "input waits for a command that does not read", wrote)
os.set_blocking(p.stdin.fileno(), True)
p.stdin.close()
t.ok(p.wait(20) == 0 and p.stdout.read().strip() == str(wrote), "and all of it arrives")
p = c.start("exec", "--tag", "yes", "yes")
line = p.stdout.readline()
p.stdout.close()
code = p.wait(10)
t.ok(line == "y\n" and code == 141 and p.stderr.read() == "", "a reader that goes ends it quietly",
     code)
t.ok(job(tag="yes", state="ended"), "and the job", c.job("yes"))
p = c.start("exec", "--tag", "full", *script("yes | head -c 30000000; echo done >&2"))
time.sleep(0.5)
t.ok(c.job("full")["state"] == "running", "output waits for a reader that does not read")
out = p.stdout.read()
t.ok(len(out) == 30000000 and p.wait(10) == 0 and p.stderr.read() == "done\n", "none is lost",
     len(out))
with open("/dev/full", "w") as full:
    r = c("exec", "echo", "x", stdout=full)
t.ok(r.status == 125 and "No space" in r.err, "output that cannot be written is an error", r)

# --- signals
TRAPS = "; ".join(f"trap 'echo {s}' {s}" for s in ("INT", "TERM", "HUP", "QUIT", "USR1", "USR2"))
LOOP = f"{TRAPS}; echo ready; while :; do sleep 0.05; done"
for how in ((), ("-i",)):
    stdin = subprocess.PIPE if how else subprocess.DEVNULL
    p = c.start("exec", *how, *script(LOOP), stdin=stdin)
    heard = [p.stdout.readline().strip()]
    if how:
        p.stdin.write("x" * 100)
        p.stdin.flush()
    for sig in ("USR1", "INT", "USR2", "HUP", "QUIT", "TERM"):
        p.send_signal(getattr(signal, "SIG" + sig))
        heard.append(p.stdout.readline().strip())
    t.ok(heard == ["ready", "USR1", "INT", "USR2", "HUP", "QUIT", "TERM"] and p.poll() is None,
         f"signals are passed on {' '.join(how)}", heard)
    stop(p)
p = c.start("exec", "-i", "--tag", "stuck", "sleep", "100", stdin=open("/dev/zero"))
t.ok(job(tag="stuck", state="running"), "a command that never reads")
time.sleep(0.5)
p.send_signal(signal.SIGINT)
t.ok(p.wait(10) == 128 + signal.SIGINT, "hears a signal all the same, past its input", p.returncode)
p = c.start("exec", "--tag", "deaf", *script("trap '' INT TERM; while :; do sleep 0.1; done"))
t.ok(job(tag="deaf", state="running"), "a command that ignores signals")
time.sleep(0.2)
for _ in range(3):
    p.send_signal(signal.SIGINT)
    time.sleep(0.1)
t.ok(p.wait(10) == 130, "is left at the third INT within a second", p.returncode)
t.ok(job(tag="deaf", state="ended"), "and is killed", c.job("deaf"))
p = c.start("exec", "--tag", "orphan", *script("sleep 100 & sleep 100"))
t.ok(job(tag="orphan", state="running"), "a command")
p.kill()
ended = job(tag="orphan", state="ended")
t.ok(ended and ended["end"].get("signal") == signal.SIGHUP, "gets HUP when this process goes", ended)

# --- detached, attach, kill
r = c("exec", "-d", "--tag", "d", *script("echo one; read x; echo got $x; sleep 100"))
short = r.out.strip()
t.ok(r.status == 0 and len(short) == 12 and c.job("d")["id"] == short, "-d prints the id", r)
r = c("exec", "-d", "/nonexistent")
t.ok(r.status == 127 and r.out == "", "-d says what cannot be started", r)
r = c("exec", "-d", "-i", "--key", "k1", "--tag", "k", *script("echo one; read x; echo got $x; exit 9"))
again = c("exec", "-d", "-i", "--key", "k1", "--tag", "k",
          *script("echo one; read x; echo got $x; exit 9"))
other = c("exec", "-d", "--key", "k1", "true")
t.ok(r.out and r.out == again.out and other.status == 125 and "k1" in other.err,
     "a key: the same request is the same job, another an error", (r, again, other))
a = c("attach", "--from", "0", "k", text="me\n")
t.ok(a.status == 9 and a.out == "one\ngot me\n", "attach: output so far, input, the status", a)
a = c("attach", "--from", "0", r.out.strip())
t.ok(a.status == 9 and a.out == "one\ngot me\n", "and after the end", a)
a = c("attach", "no-such-job")
t.ok(a.status == 125 and "no-such-job" in a.err, "attach: no such job", a)
p = c.start("attach", "d")
time.sleep(0.3)
p.kill()
p.wait()
t.ok(c.job("d")["state"] == "running", "a job that was attached to runs on", c.job("d"))
r = c("kill", "-s", "usr1", "d")
t.ok(r.status == 0 and r.out == "d\n" and job(tag="d", state="ended")["end"]["signal"] == 10,
     "kill: a signal by name", (r, c.job("d")))
for args, status in ((("kill", "-s", "FOO", "d"), 2), (("kill", "--scope", "x", "d"), 2),
                     (("kill", "nobody"), 1), (("kill", "-s", "USR1", "d"), 1)):
    r = c(*args)
    t.ok(r.status == status and r.err, f"kill: {' '.join(args)} is refused", r)
r = c("exec", "-d", "--tag", "tree", *script("sleep 100 & exec sleep 100"))
r = c("kill", "tree")
t.ok(job(tag="tree", state="ended")["end"]["signal"] == 9, "kill: KILL where nothing is said", r)

# --- on a terminal
term = c.terminal("exec", "-it", *script("stty size; tty -s && echo tty; echo $TERM; read x; echo \"<$x>\""))
t.ok(term.until("30 90") and term.until("tty"), "-t: a terminal of our size", term.said)
t.ok(wait_for(term.raw), "and ours is raw")
term.type("word\r")
t.ok(term.until("<word>") and term.wait() == 0 and term.restored(), "until it ends", term.said)
term.close()
term = c.terminal("exec", "-it", *script("trap 'stty size' WINCH; echo go; while :; do sleep 0.05; done"))
term.until("go")
term.resize(40, 100)
t.ok(term.until("40 100"), "its size follows ours", term.said)
term.type("\x03")
t.ok(term.wait() == 130 and term.restored(), "Ctrl-C is the command's", term.said)
term.close()
for sig in (signal.SIGTERM, signal.SIGHUP):
    term = c.terminal("exec", "-it", *script("echo go; sleep 100"))
    term.until("go")
    wait_for(term.raw)
    term.p.send_signal(sig)
    t.ok(term.wait() == 128 + sig and term.restored(), f"{sig.name} leaves the terminal as it was",
         term.said)
    term.close()
term = c.terminal("exec", "-it", "--tag", "leave", *script("echo go; sleep 100"))
term.until("go")
wait_for(term.raw)
term.type("\x10")
time.sleep(0.1)
term.type("\x11")
t.ok(term.wait() == 0 and term.restored() and c.job("leave")["state"] == "running",
     "the detach keys leave the job running", term.said)
term.close()
term = c.terminal("attach", "leave", rows=22, cols=66)
wait_for(term.raw)
term.type("\x03")
t.ok(term.wait() == 130 and term.restored(), "attach: to its terminal again", term.said)
term.close()
term = c.terminal("exec", "-it", "--detach-keys", "a,b", *script("echo go; sleep 100"))
term.until("go")
wait_for(term.raw)
term.type("ab")
t.ok(term.wait() == 0, "--detach-keys", term.said)
term.close()
term = c.terminal("exec", "-it", *script("echo go; sleep 100"))
term.until("go")
wait_for(term.raw)
os.kill(b.role("channel"), signal.SIGKILL)
t.ok(term.wait() == 125 and term.restored() and "was lost" in term.said,
     "a connection that is lost leaves the terminal as it was", term.said)
term.close()
r = c("exec", "-it", "true")
t.ok(r.status == 125 and "terminal" in r.err, "-it wants a terminal", r)
r = c("exec", "-t", *script("tty -s; echo $?; stty size"))
t.ok(r.out.split() == ["0", "24", "80"], "-t alone does not", r)
r = c("exec", "-i", *script("[ -t 0 ] || cat"), text="\x10\x11")
t.ok(r.out == "\x10\x11", "no keys without a terminal", r)

# --- nobody there
b.end()
r = c("exec", "true")
t.ok(r.status == 125 and "no pinnace answers" in r.err, "nobody there", r)
t.done()
