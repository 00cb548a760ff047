#!/usr/bin/env python3
"""PID 1 of the outer engine's namespaces: starts dockerd, reaps, and ends with its parent.

    unshare --net --mount --pid --fork --kill-child --mount-proc outer.py [v2] [remap] COMMAND...

v2: the engine sees cgroups as a machine with nothing but v2 has them. remap: it finds the user ids
that root of a container is mapped to (dockerd --userns-remap=daemon).

Standard input is a pipe from the program that runs the tests. Its end of file is the order
to stop, so even a parent that was killed leaves nothing: dockerd gets TERM and some seconds,
and the kernel kills whatever is left when this process, the namespace's first, returns.
"""
import os
import select
import signal
import subprocess
import sys
import tempfile
import time

STOP_SECONDS = 20


def reap(child):
    """Reaps everything that has ended. Returns True when `child` was among it."""
    found = False
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return True
        if pid == 0:
            return found
        found = found or pid == child


def serve(child):
    """Until the pipe is closed or `child` ends. Returns True when `child` has ended."""
    wake, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        ready, _, _ = select.select([0, wake], [], [])
        if wake in ready:
            os.read(wake, 4096)
            if reap(child):
                return True
        if 0 in ready and not os.read(0, 4096):
            return False


def only_cgroup2():
    subprocess.run(["umount", "--recursive", "--lazy", "/sys/fs/cgroup"], check=True)
    subprocess.run(["mount", "-t", "cgroup2", "cgroup2", "/sys/fs/cgroup"], check=True)


def subordinate_ids():
    for path in ("/etc/subuid", "/etc/subgid"):
        with tempfile.NamedTemporaryFile("w", dir="/tmp") as file:
            file.write("daemon:200000:65536\n")
            file.flush()
            subprocess.run(["mount", "--bind", file.name, path], check=True)


def main():
    argv = sys.argv[1:]
    for word, act in (("v2", only_cgroup2), ("remap", subordinate_ids)):
        if argv[0] == word:
            argv = argv[1:]
            act()
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    child = subprocess.Popen(argv, stdin=subprocess.DEVNULL).pid
    if serve(child):
        return 1
    os.kill(child, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    while not reap(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    return 0


if __name__ == "__main__":
    sys.exit(main())
