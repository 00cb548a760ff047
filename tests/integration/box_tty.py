#!/usr/bin/env python3
"""A box on a terminal: who is in front, what the keys do, who has it afterwards."""
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time

from box import Box, alive, command_line, program
from tap import Tap, children, start, state, stop, wait_for

t = Tap()


class Terminal:
    """argv on a new terminal: as its session's leader, or with no session yet."""

    def __init__(self, argv, leads=True, env=None):
        self.fd, slave = pty.openpty()
        self.said = ""

        def lead():
            os.setsid()
            if leads:
                fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        self.p = start(argv, stdin=slave, stdout=slave, stderr=slave, preexec_fn=lead,
                       env={**os.environ, **(env or {})})
        os.close(slave)

    def type(self, text):
        os.write(self.fd, text.encode())

    def until(self, text, seconds=5):
        """Whether this comes; what was said up to it is forgotten then."""
        end = time.monotonic() + seconds
        while text not in self.said and time.monotonic() < end:
            if select.select([self.fd], [], [], 0.02)[0]:
                try:
                    self.said += os.read(self.fd, 4096).decode(errors="replace")
                except OSError:
                    break
        before, found, self.said = self.said.partition(text)
        if not found:
            self.said = before
        return bool(found)

    def front(self):
        return os.tcgetpgrp(self.fd)

    def wait(self, seconds=5):
        try:
            code = self.p.wait(seconds)
            return code if code >= 0 else 128 - code
        except subprocess.TimeoutExpired:
            stop(self.p)
            return None

    def close(self):
        stop(self.p)
        os.close(self.fd)


def group(pid):
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None


config = Box(t, cmd=["true"])  # for its files
t.ok(config.wait() == 0, "without a terminal it works as well", config)
ENV = {"PINNACE_CONFIG": config.config, "PS1": "$ ", "HISTFILE": ""}
UNSHARE = ["unshare", "-p", "-f", "--mount-proc", "--kill-child", "--"]
# As in a container: PID 1 leads the session that the terminal belongs to.
AS_PID1 = [*UNSHARE, "setsid", "-c", t.pinnace, "--"]


def pinnace_below(pid):
    """The pid of the box's main process below this one."""
    def find():
        for kid in children(pid):
            if command_line(kid).startswith(t.pinnace):
                return kid
        return None
    return wait_for(find)


def cmd_of(init):
    return wait_for(lambda: next((k for k in children(init)
                                  if not command_line(k).startswith(("pinnace", t.pinnace))), None))


# --- keys
SHELL = "trap 'echo size $(stty size)' WINCH; echo go; while :; do sleep 0.02; done"
for argv, pid1, how in ((AS_PID1, True, "as PID 1"), ([t.pinnace, "run", "--"], False, "as run")):
    term = Terminal([*argv, "sh", "-c", SHELL], leads=not pid1, env=ENV)
    t.ok(term.until("go"), f"{how}: CMD has the terminal", term.said)
    init = pinnace_below(term.p.pid) if pid1 else term.p.pid
    cmd = cmd_of(init)
    t.ok(term.front() in (group(cmd), 0) and group(cmd) != group(init) and
         (pid1 or term.front() == group(cmd)), f"{how}: CMD's own group is in front",
         (term.front(), group(cmd), group(init)))
    fcntl.ioctl(term.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 77, 0, 0))
    t.ok(term.until("size 33 77"), f"{how}: a change of the window's size reaches CMD", term.said)
    term.type("\x03")
    t.ok(term.wait() == 130, f"{how}: Ctrl-C ends CMD, and us with 130", term.said)
    term.close()

    term = Terminal([*argv, "sh", "-c", "trap 'echo caught; exit 7' INT; echo go; read x; "
                     "echo got $x; read y"], leads=not pid1, env=ENV)
    term.until("go")
    term.type("hello\n")
    t.ok(term.until("got hello"), f"{how}: CMD reads what is typed", term.said)
    term.type("\x03")
    t.ok(term.until("caught") and term.wait() == 7, f"{how}: CMD may do as it likes with Ctrl-C",
         term.said)
    term.close()

    term = Terminal([*argv, "sh", "-c", "trap 'echo quit; exit 8' QUIT; echo go; "
                     "while :; do sleep 0.02; done"], leads=not pid1, env=ENV)
    term.until("go")
    term.type("\x1c")
    t.ok(term.until("quit") and term.wait() == 8, f"{how}: Ctrl-\\", term.said)
    term.close()

    # the line is hung up
    term = Terminal([*argv, "sh", "-c", "echo go; sleep 60"], leads=not pid1, env=ENV)
    term.until("go")
    os.close(term.fd)
    status = term.wait()
    term.fd = os.open("/dev/null", os.O_RDONLY)
    t.ok(status == 129, f"{how}: hung up, CMD ends and so do we, with 129", status)
    term.close()

# --- under a shell with job control
# Not sh: between vfork(2) and exec(2) of a child it cannot be stopped, by whomever it was started.
TICKS = " ".join(program(t, """
import os, time
print("go", flush=True)
if os.fork() == 0:
    while True:
        time.sleep(0.05)
        print("tock", flush=True)
i = 0
while True:
    time.sleep(0.05)
    i += 1
    print("tick", i, flush=True)
"""))
ORPHANS = " ".join(program(t, """
import os
print("go", flush=True)
while True:
    if os.fork() == 0:
        if os.fork() == 0:
            os._exit(0)
        os._exit(0)
    os.wait()
"""))


def shell():
    term = Terminal(["bash", "--norc", "--noprofile", "-i"], env=ENV)
    term.type("stty -echo; PS1=; set +o history; echo shell-$((1+1))\n")
    term.until("shell-2")
    return term


term = shell()
bash = term.p.pid
term.type(f"{t.pinnace} run -- {TICKS}\n")
t.ok(term.until("go") and term.until("tick 3"), "below a shell: CMD runs", term.said)
init = pinnace_below(bash)
cmd = cmd_of(init)
for turn in (1, 2, 3):
    term.type("\x1a")
    stopped = wait_for(lambda: state(init) == "T" and state(cmd) == "T", 5)
    t.ok(stopped and wait_for(lambda: term.front() == group(bash), 5),
         f"Ctrl-Z stops CMD and pinnace, the shell has the terminal ({turn})",
         (state(init), state(cmd), term.front(), group(bash), term.said))
    term.said = ""
    term.type("echo between $((40+turn))\n".replace("turn", str(turn)))
    t.ok(term.until(f"between {40 + turn}"), f"and works ({turn})", term.said)
    term.type("fg\n")
    t.ok(wait_for(lambda: alive(cmd) and "T" not in map(state, (cmd, init, *children(cmd))), 5) and
         term.until("tick ") and wait_for(lambda: term.front() == group(cmd), 5),
         f"fg continues both, CMD in front ({turn})",
         (state(init), state(cmd), term.front(), group(cmd), term.said))
term.type("\x1a")
wait_for(lambda: state(init) == "T")
term.type("bg\n")
went_on = wait_for(lambda: state(cmd) != "T" and state(init) != "T", 5)
term.said = ""
t.ok(went_on and term.until("tick ") and term.until("tock") and
     term.front() == group(bash),
     "bg continues both, and leaves the terminal with the shell",
     (state(init), state(cmd), term.front(), group(bash), term.said))
term.type("fg\n")  # the shell does not tell us: the job already runs
t.ok(wait_for(lambda: term.front() in (group(cmd), group(init)), 5), "fg brings it in front",
     (term.front(), group(cmd), group(init), group(bash)))
term.type("\x03")
wait_for(lambda: not alive(init))
term.type("echo status $?\n")
t.ok(term.until("status 130"), "after all that Ctrl-C still ends it with 130", term.said)
t.ok(wait_for(lambda: term.front() == group(bash), 3), "the shell has its terminal back",
     (term.front(), group(bash)))
term.type("read line\n")
time.sleep(0.05)
term.type("words\n")
term.type("echo line: $line\n")
t.ok(term.until("line: words"), "and reads from it", term.said)

# the terminal is for CMD when it wants it, in the foreground only
READS = "echo go; while ! [ -e %s ]; do sleep 0.02; done; read x; echo got $x"
for before in (True, False):  # it wants to read before fg, or after
    wants = os.path.join(t.dir, f"wants{before}")
    term.type(f"{t.pinnace} run -- sh -c '{READS % wants}' &\n")
    term.until("go")
    init = pinnace_below(bash)
    cmd = cmd_of(init)
    if before:
        open(wants, "w").close()
        t.ok(wait_for(lambda: state(init) == "T" and state(cmd) == "T", 5) and
             term.front() == group(bash), "in the background, CMD wants to read: both are stopped",
             (state(init), state(cmd), term.front(), group(bash)))
    term.type("fg\n")
    wait_for(lambda: term.front() in (group(cmd), group(init)), 5)
    if not before:
        open(wants, "w").close()
    wait_for(lambda: term.front() == group(cmd), 5)
    term.type("some words\n")
    t.ok(term.until("got some words"), "fg: it reads" + (" and goes on" if before else ""),
         (state(init), state(cmd), term.front(), group(cmd), term.said))
    wait_for(lambda: not alive(init), 5)

# orphans end all the time: the SIGCHLD that tells of the stop may not come alone
term.type(f"{t.pinnace} run -- {ORPHANS}\n")
term.until("go")
init = pinnace_below(bash)
cmd = cmd_of(init)
fine = 0
for _ in range(10):
    term.type("\x1a")
    if not wait_for(lambda: state(init) == "T" and state(cmd) == "T", 3):
        break
    wait_for(lambda: term.front() == group(bash), 3)
    term.type("fg\n")
    if not wait_for(lambda: state(init) != "T" and state(cmd) != "T" and
                    term.front() == group(cmd), 3):
        break
    fine += 1
t.ok(fine == 10, "Ctrl-Z and fg among ending orphans", (fine, state(init), state(cmd), term.said))
for pid in (cmd, init):
    os.kill(pid, signal.SIGCONT)
term.type("\x03")
if not wait_for(lambda: not alive(init), 5):
    os.kill(init, signal.SIGKILL)
term.said = ""

# in the background from the start
term.type(f"{t.pinnace} run -- sleep 60 &\n")
init = pinnace_below(bash)
cmd = cmd_of(init)
wait_for(lambda: command_line(cmd).startswith("sleep"))
t.ok(term.front() == group(bash), "started in the background it leaves the terminal alone",
     (term.front(), group(bash), group(cmd)))
term.type("kill %1; wait %1; echo status $?\n")
t.ok(term.until("status 143"), "and its end as well", term.said)
t.ok(term.front() == group(bash), "so the shell still has it", (term.front(), group(bash)))
term.close()
t.done()
