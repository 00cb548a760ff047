#!/usr/bin/env python3
"""The plain inits on a terminal: who is in the foreground, Ctrl-C, hang-up, hand-back."""
import os
import pty
import shutil
import signal
import sys
import time

from tap import Tap, children, pid1_argv, state, wait_for

NAMES = ("tini", "dumb-init", "catatonit")
t = Tap()
os.environ.update(TINI_SUBREAPER="1", POSIXLY_CORRECT="1")


def versions(name):
    yield "pinnace", t.binary(name)
    if shutil.which(name):
        yield "original", shutil.which(name)


def stat_field(pid, n):
    """Field n of proc(5)'s stat, counted as there."""
    with open(f"/proc/{pid}/stat") as f:
        return int(f.read().rpartition(")")[2].split()[n - 3])


class Terminal:
    """argv as the session leader of a new terminal."""

    def __init__(self, argv):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execvp(argv[0], argv)

    def type(self, text):
        os.write(self.fd, text.encode())

    def read_until(self, words, seconds=10):
        text, end = "", time.monotonic() + seconds
        os.set_blocking(self.fd, False)
        while words not in text and time.monotonic() < end:
            try:
                text += os.read(self.fd, 4096).decode(errors="replace")
            except BlockingIOError:
                time.sleep(0.005)
            except OSError:
                break
        return text

    def wait(self, seconds=10):
        """The status as a shell says it; None, and a kill, if it does not end."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                code = os.waitstatus_to_exitcode(status)
                os.close(self.fd)
                return code if code >= 0 else 128 - code
            time.sleep(0.005)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.fd)
        return None


def foreground(terminal):
    return os.tcgetpgrp(terminal.fd)


for name in NAMES:
    for who, path in versions(name):
        for pid1 in (False, True):
            argv = [path, "sh", "-c", "echo ready; exec sleep 60"]
            term = Terminal(pid1_argv(argv) if pid1 else argv)
            said = term.read_until("ready")
            init = children(term.pid)[0] if pid1 else term.pid
            leader = children(init)[0]
            label = f"{name} ({who}){' as PID 1' if pid1 else ''}"
            # dumb-init below another session leader cannot have the terminal
            front = stat_field(leader, 5) if name != "dumb-init" or not pid1 else None
            if front:
                t.ok(foreground(term) == front and front != stat_field(init, 5),
                     f"{label}: the program's own group is in the foreground",
                     (foreground(term), front, said))
            term.type("\x03")
            status = term.wait()
            t.ok(status == 130, f"{label}: Ctrl-C ends it with 130", status)

    for who, path in versions(name):
        term = Terminal([path, "sh", "-c", "trap 'echo size changed; exit 6' WINCH; echo ready; "
                         "while :; do sleep 0.05; done"])
        term.read_until("ready")
        os.kill(term.pid, signal.SIGWINCH)
        said = term.read_until("size changed")
        t.ok("size changed" in said and term.wait() == 6, f"{name} ({who}): WINCH arrives", said)

    for who, path in versions(name):
        term = Terminal([path, "sh", "-c", "trap 'echo hung up; exit 6' HUP; echo ready; "
                         "while :; do sleep 0.05; done"])
        said = term.read_until("ready")
        os.kill(term.pid, signal.SIGHUP)
        said += term.read_until("hung up")
        t.ok("hung up" in said and term.wait() == 6, f"{name} ({who}): the first HUP arrives, and "
             "none before", said)

# The rest is better than the originals.
HELPER = f"""
import os, signal, sys
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
mode, argv = sys.argv[1], sys.argv[2:]
mine = os.getpgrp()
pid = os.fork()
if pid == 0:
    signal.signal(signal.SIGTTOU, signal.SIG_DFL)
    if mode == "background":
        os.setpgid(0, 0)
    os.execvp(argv[0], argv)
_, status = os.waitpid(pid, 0)
print("status", os.waitstatus_to_exitcode(status), "kept", os.tcgetpgrp(0) == mine, flush=True)
"""
SEEN = "import os; print('front', os.tcgetpgrp(0) == os.getpgrp(), flush=True)"
for name in ("tini", "catatonit"):
    for mode in ("background", "foreground"):
        term = Terminal([sys.executable, "-I", "-S", "-c", HELPER, mode, t.binary(name),
                         sys.executable, "-I", "-S", "-c", SEEN])
        said = term.read_until("kept") + term.read_until("\n", 1)
        term.wait()
        t.ok("status 0 kept True" in said and f"front {mode == 'foreground'}" in said,
             f"{name}: started in the {mode}, it "
             + ("leaves the terminal alone" if mode == "background" else "gives it back"), said)

# A hang-up of the line itself: everything that held the terminal goes.
for name in NAMES:
    term = Terminal([t.binary(name), "sh", "-c", "echo ready; exec sleep 60"])
    term.read_until("ready")
    leader = children(term.pid)[0]
    os.close(term.fd)
    gone = wait_for(lambda: state(leader) in (None, "Z"))
    term.fd = os.open("/dev/null", os.O_RDONLY)
    status = term.wait()
    t.ok(gone and status == 129, f"{name}: closing the terminal ends the program", status)
t.done()
