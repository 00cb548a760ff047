"""cli.py: the client verbs against a box: as a pipe, and on a terminal.

    c = Cli(box)
    c("exec", "cat", "-").out
    term = c.terminal("exec", "-it", "sh"); term.type("exit\\r"); term.wait()
"""

import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time

from tap import finish, start, stop

CLEAN = ("PINNACE_HOST", "PINNACE_TOKEN", "PINNACE_TOKEN_FILE", "PINNACE_RUN_DIR")


def restore_signals():
    """Python ignores SIGPIPE, and its children would, too."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)


class Cli:
    def __init__(self, box, **env):
        self.pinnace, self.box = box.pinnace, box
        self.env = {k: v for k, v in os.environ.items() if k not in CLEAN}
        self.env |= {"PINNACE_RUN_DIR": box.run_dir, **env}

    def start(self, *args, env=None, **kw):
        kw.setdefault("stdin", subprocess.DEVNULL)
        kw.setdefault("preexec_fn", restore_signals)
        return start([self.pinnace, *args], env={**self.env, **(env or {})}, **kw)

    def __call__(self, *args, text=None, timeout=20, **kw):
        """The Result."""
        if text is not None:
            kw["stdin"] = subprocess.PIPE
        return finish(self.start(*args, **kw), timeout, text)

    def bytes(self, *args, data=b"", timeout=30):
        """(status, stdout) in bytes, with data as stdin."""
        p = subprocess.run([self.pinnace, *args], input=data, env=self.env, stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, timeout=timeout, check=False)
        return p.returncode, p.stdout

    def job(self, name):
        """A job of `ps -a`, by id or tag; {}."""
        for j in json.loads(self("ps", "-a", "--json").out or '{"jobs":[]}')["jobs"]:
            if name in (j["id"], j["tag"]):
                return j
        return {}

    def terminal(self, *args, **kw):
        return Terminal([self.pinnace, *args], self.env, **kw)


class Terminal:
    """A program as the leader of a session on a new terminal."""

    def __init__(self, argv, env, rows=30, cols=90):
        self.fd, slave = pty.openpty()
        self.said = ""
        self.resize(rows, cols)
        self.before = termios.tcgetattr(self.fd)

        def lead():
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        self.p = start(argv, stdin=slave, stdout=slave, stderr=slave, preexec_fn=lead, env=env)
        self.slave = slave  # kept, so that its modes can be looked at after the end

    def resize(self, rows, cols):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))

    def type(self, text):
        os.write(self.fd, text.encode())

    def until(self, text, seconds=10):
        """Whether this comes; what was said up to it is forgotten then."""
        end = time.monotonic() + seconds
        while text not in self.said and time.monotonic() < end:
            if select.select([self.fd], [], [], 0.02)[0]:
                self.said += os.read(self.fd, 4096).decode(errors="replace")
        before, found, self.said = self.said.partition(text)
        if not found:
            self.said = before
        return bool(found)

    def raw(self):
        return not termios.tcgetattr(self.slave)[3] & termios.ICANON

    def restored(self):
        return termios.tcgetattr(self.slave) == self.before

    def wait(self, seconds=10):
        """The status as a shell says it; None, and a kill, when it does not end."""
        end = time.monotonic() + seconds
        while self.p.poll() is None and time.monotonic() < end:
            if select.select([self.fd], [], [], 0.01)[0]:  # TCSADRAIN waits for a reader
                self.said += os.read(self.fd, 4096).decode(errors="replace")
        if self.p.poll() is None:
            stop(self.p)
            return None
        while select.select([self.fd], [], [], 0)[0]:
            self.said += os.read(self.fd, 4096).decode(errors="replace")
        return self.p.returncode if self.p.returncode >= 0 else 128 - self.p.returncode

    def close(self):
        stop(self.p)
        os.close(self.slave)
        os.close(self.fd)
