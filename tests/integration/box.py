"""box.py: a box under test: its configuration, its processes, its socket.

    box = Box(t, "[service web]\ncommand = sleep 60", ["sh", "-c", "exit 3"])
    t.ok(box.wait() == 3, "the status of CMD", box)

As PID 1 of a PID namespace, or, with pid1=False, as `pinnace run` in one, where a shell is
PID 1 and takes what pinnace leaves behind. stdout and stderr are files, so that nobody has to
read them for the box to go on.
"""

import contextlib
import json
import os
import socket
import struct
import subprocess
import sys
import time

from tap import children, finish, start, state, stop, wait_for

PYTHON = [sys.executable, "-I", "-S", "-c"]
BOTH = ((True, "as PID 1"), (False, "as run"))

# Runs the words after it, and ends as they do; an "exec" of its own would leave it childless.
SHELL = ["sh", "-c", '"$@"; exit $?', "sh"]


def words(*argv):
    """argv as a value in the configuration."""
    return " ".join("'" + w.replace("'", "'\\''") + "'" if w else "''" for w in argv)


def program(t, text):
    """The argv of a Python program with this text."""
    program.made += 1
    path = os.path.join(t.dir, f"program{program.made}.py")
    with open(path, "w") as f:
        f.write(text)
    return [sys.executable, "-I", "-S", path]


program.made = 0


def read(path):
    try:
        with open(path, errors="replace") as f:
            return f.read()
    except FileNotFoundError:
        return ""


def command_line(pid):
    try:
        with open(f"/proc/{pid}/cmdline") as f:
            return f.read().replace("\0", " ").strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def alive(pid):
    return state(pid) not in (None, "Z", "X")


class Box:
    made = 0

    def __init__(self, t, ini="", cmd=(), pid1=True, env=None, flags=(), wrap=(), **kw):
        Box.made += 1
        self.dir = os.path.join(t.dir, f"b{Box.made}")
        self.run_dir, self.config = f"{self.dir}/run", f"{self.dir}/box.ini"
        self.pid1, self.pinnace = pid1, t.pinnace
        os.mkdir(self.dir)
        with open(self.config, "w") as f:
            f.write(f"[pinnace]\nrun-dir = {self.run_dir}\n[engine]\nenabled = no\n{ini}\n")
        argv = [*wrap, t.pinnace, *([] if pid1 else ["run"]), "--", *cmd]
        argv = ["unshare", "-p", "-f", "--mount-proc", "--kill-child", *flags, "--",
                *([] if pid1 else SHELL), *argv]
        self.env = {**os.environ, "PINNACE_CONFIG": self.config, **(env or {})}
        self.out_path, self.err_path = f"{self.dir}/out", f"{self.dir}/err"
        with open(self.out_path, "a") as out, open(self.err_path, "a") as err:
            kw.setdefault("stdout", out)
            kw.setdefault("stderr", err)
            kw.setdefault("stdin", subprocess.DEVNULL)
            self.began = time.monotonic()
            self.p = start(argv, env=self.env, **kw)
        self._init = None

    # --- its processes

    @property
    def init(self):
        """The process of pinnace itself, as we see it."""
        def find():
            kids = children(self.p.pid)
            if kids and not self.pid1:
                kids = children(kids[0])
            return kids[0] if kids and command_line(kids[0]).startswith(self.pinnace) else None
        if not self._init:
            self._init = wait_for(find)
        return self._init

    def role(self, name):
        """The pid of a role, or None."""
        for pid in children(self.init):
            if command_line(pid).split()[:2] == ["pinnace:", name]:
                return pid
        return None

    def zombies(self):
        return [pid for pid in children(self.init) if state(pid) == "Z"]

    def signal(self, sig):
        os.kill(self.init, sig)

    # --- what it says

    def out(self):
        return read(self.out_path)

    def err(self):
        return read(self.err_path)

    def says(self, text, seconds=10):
        return wait_for(lambda: text in self.err(), seconds)

    def prints(self, text, seconds=10):
        return wait_for(lambda: text in self.out(), seconds)

    def path(self, name):
        return os.path.join(self.dir, name)

    # --- its socket

    def connect(self, timeout=10):
        s = socket.socket(socket.AF_UNIX)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", 10, 0))
        s.connect(f"{self.run_dir}/pinnace.sock")  # blocking: the backlog may be full
        s.settimeout(timeout)
        return s

    def raw(self, request, timeout=10):
        """The whole answer to these bytes."""
        with self.connect(timeout) as s:
            s.sendall(request)
            answer = b""
            with contextlib.suppress(ConnectionResetError):  # it did not read all of ours
                while chunk := s.recv(65536):
                    answer += chunk
            return answer

    def get(self, path, timeout=10, method="GET"):
        """(status, body); (0, why) when nobody answers."""
        try:
            head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
            answer = self.raw(head.encode(), timeout).decode(errors="replace")
            return int(answer.split(" ", 2)[1]), answer.partition("\r\n\r\n")[2]
        except (OSError, IndexError, ValueError) as why:
            return 0, repr(why)

    def status(self):
        """The status document; {} when nobody answers."""
        code, body = self.get("/v1/status")
        return json.loads(body) if code == 200 else {}

    def unit(self, name):
        for u in self.status().get("units", []):
            if u["name"] == name:
                return u
        return {}

    def wait_unit(self, name, *states, seconds=10):
        """The unit once it is in one of these states, or {}."""
        def find():
            u = self.unit(name)
            return u if u.get("state") in states else {}
        return wait_for(find, seconds)

    def wait_ready(self, seconds=10):
        return wait_for(lambda: os.path.exists(f"{self.run_dir}/ready"), seconds)

    def host_pid(self, name, seconds=5):
        """The pid of a unit's process as we see it; the box may see another."""
        inner = self.wait_unit(name, "starting", "ready", "stopping", seconds=seconds).get("pid")

        def find():
            for pid in children(self.init):
                with open(f"/proc/{pid}/status") as f:
                    for line in f:
                        if line.startswith("NSpid:") and line.split()[-1] == str(inner):
                            return pid
            return None
        return wait_for(find, seconds) if inner else None

    def client(self, *args, timeout=10):
        """The Result of a client verb."""
        env = {**os.environ, "PINNACE_RUN_DIR": self.run_dir}
        return finish(start([self.pinnace, *args], env=env), timeout)

    # --- its end

    def wait(self, seconds=10):
        """The status as a shell says it; None, and a kill, when it does not end."""
        end = time.monotonic() + seconds
        while self.p.poll() is None and time.monotonic() < end:
            time.sleep(0.002)
        self.seconds = time.monotonic() - self.began
        if self.p.poll() is None:
            stop(self.p)
            return None
        return self.p.returncode if self.p.returncode >= 0 else 128 - self.p.returncode

    def end(self, sig=15, seconds=15):
        """Ask it to end; (status, seconds that took)."""
        began = time.monotonic()
        self.signal(sig)
        status = self.wait(seconds)
        return status, time.monotonic() - began

    def kill(self):
        stop(self.p)

    def __str__(self):
        return (f"status {self.p.poll()} after {time.monotonic() - self.began:.3f} s\n"
                f"out: {self.out()[-1500:]}\nerr: {self.err()[-2000:]}")

    __repr__ = __str__  # in the tuples that tests show
