"""tap.py: what an integration test needs: TAP lines, and programs under a deadline.

    from tap import Tap, run, start
    t = Tap()
    r = run([t.binary("tini"), "sh", "-c", "exit 3"], pid1=True)
    t.ok(r.status == 3, "the status is passed on", r); t.done()

PINNACE names the binary under test. Every process that start() or run() made is killed
at the end, with its whole PID namespace where it has one.
"""

import atexit
import collections
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

# A shell's background job has these ignored, and so would all that is started here.
for number in (signal.SIGINT, signal.SIGQUIT):
    if signal.getsignal(number) == signal.SIG_IGN:
        signal.signal(number, signal.SIG_DFL)

Result = collections.namedtuple("Result", "status out err seconds")
started = []  # every Popen, for the last sweep


class Tap:
    def __init__(self):
        self.count = self.failed = 0
        self.pinnace = os.path.abspath(os.environ["PINNACE"])
        self.dir = tempfile.mkdtemp(prefix="pinnace-test-")
        atexit.register(self.clean)

    def clean(self):
        for p in started:
            stop(p)
        shutil.rmtree(self.dir, ignore_errors=True)

    def binary(self, name):
        """The binary under another name, as a symlink."""
        link = os.path.join(self.dir, name)
        if not os.path.lexists(link):
            os.symlink(self.pinnace, link)
        return link

    def ok(self, cond, name, diag=""):
        self.count += 1
        self.failed += not cond
        print(f"{'ok' if cond else 'not ok'} {self.count} - {name}", flush=True)
        if not cond:
            for line in str(diag)[:4000].splitlines():
                print("#", line, flush=True)
        return bool(cond)

    def skip(self, name, why):
        self.count += 1
        print(f"ok {self.count} - {name} # SKIP {why}", flush=True)

    def diag(self, text):
        print("#", text, flush=True)

    def done(self):
        print(f"1..{self.count}", flush=True)
        sys.exit(1 if self.failed else 0)


def pid1_argv(argv):
    """argv as PID 1 of a new PID namespace, which ends with unshare(1)."""
    return ["unshare", "-p", "-f", "--mount-proc", "--kill-child", "--", *argv]


def start(argv, pid1=False, **kw):
    """A Popen in text mode, pipes unless told otherwise."""
    for stream in ("stdin", "stdout", "stderr"):
        kw.setdefault(stream, subprocess.PIPE)
    p = subprocess.Popen(pid1_argv(argv) if pid1 else argv, text=True, errors="replace", **kw)
    started.append(p)
    return p


def finish(p, timeout=10, text=None):
    """The Result; status as a shell says it, None when it had to be killed."""
    began = time.monotonic()
    try:
        out, err = p.communicate(text, timeout=timeout)
        status = p.returncode if p.returncode >= 0 else 128 - p.returncode
    except subprocess.TimeoutExpired:
        stop(p)
        out = err = ""
        status = None
    return Result(status, out, err, time.monotonic() - began)


def run(argv, pid1=False, timeout=10, text="", **kw):
    return finish(start(argv, pid1, **kw), timeout, text)


def stop(p):
    if p.poll() is None:
        p.kill()
        p.wait()


def children(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as f:
            return [int(word) for word in f.read().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def threads():
    """How many the kernel has, zombies with them. Unlike a list of children, which takes longer
    the more there are and keeps the kernel from reaping meanwhile, this costs nothing."""
    with open("/proc/loadavg") as f:
        return int(f.read().split()[3].split("/")[1])


def state(pid):
    """The letter of /proc/PID/stat; None: no such process."""
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return None


def wait_for(predicate, seconds=10):
    """The first true value of predicate(), or its last one."""
    end = time.monotonic() + seconds
    while not (value := predicate()) and time.monotonic() < end:
        time.sleep(0.005)
    return value
