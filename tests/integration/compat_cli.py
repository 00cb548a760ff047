#!/usr/bin/env python3
"""Flags, exit codes, messages and surroundings of the plain inits, beside the originals.

Each row is checked against pinnace and, where the original is installed, against that
too, so the table cannot drift from what it imitates.
"""
import os
import shutil
import signal

import tap
from tap import Tap

NAMES = ("tini", "dumb-init", "catatonit")
t = Tap()
os.environ["TINI_SUBREAPER"] = "1"  # or tini warns each time
os.environ.pop("POSIXLY_CORRECT", None)
ours = {name: t.binary(name) for name in NAMES}
peers = {name: path for name in NAMES if (path := shutil.which(name))}
for name in NAMES:
    if name not in peers:
        t.diag(f"{name} is not installed: its rows are not compared")


def run(argv, env=os.environ, **kw):
    """The originals need to be told to leave the program's own flags alone."""
    if argv[0] in peers.values():
        env = dict(env, POSIXLY_CORRECT="1")
    return tap.run(argv, env=env, **kw)


def both(name, differs=False):
    yield "pinnace", ours[name]
    if name in peers and not differs:
        yield "original", peers[name]


def write(name, text, mode):
    path = os.path.join(t.dir, name)
    with open(path, "w") as f:
        f.write(text)
    os.chmod(path, mode)
    return path


for name in NAMES:
    for who, path in both(name):
        bad = [n for n in range(256) if run([path, "sh", "-c", f"exit {n}"]).status != n]
        t.ok(not bad, f"{name} ({who}): every exit status is passed on", bad)
        quiet = {signal.SIGCHLD, signal.SIGCONT, signal.SIGURG, signal.SIGWINCH,
                 signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU}
        script = "ulimit -c 0; kill -{} $$; exit 99"
        bad = [n for n in range(1, 65) if n not in quiet and
               run([path, "sh", "-c", script.format(n)]).status != 128 + n]
        t.ok(not bad, f"{name} ({who}): a signal's death is 128 + n", bad)

write("denied", "echo no\n", 0o644)
write("bare", "echo $1 from $0\n", 0o755)
FAILURES = [  # program, status of each
    ("/nonexistent", (127, 2, 1)),
    ("nonexistent-on-path", (127, 2, 1)),
    ("/etc/passwd", (126, 2, 1)),
    ("denied", (126, 2, 1)),
    ("/", (126, 2, 1)),
    ("/etc/passwd/x", (1, 2, 1)),
    ("", (127, 2, 1)),
]
search = dict(os.environ, PATH=t.dir + ":" + os.environ["PATH"])
for program, want in FAILURES:
    for name, status in zip(NAMES, want):
        for who, path in both(name):
            r = run([path, program], env=search)
            t.ok(r.status == status and r.err, f"{name} ({who}): '{program}' is {status}", r)
for name in NAMES:
    for who, path in both(name):
        r = run([path, "bare", "hello"], env=search)
        t.ok((r.status, r.out) == (0, f"hello from {t.dir}/bare\n"),
             f"{name} ({who}): a script without #! found on PATH is run by sh", r)
        r = run([path, f"{t.dir}/bare", "hello"])
        t.ok((r.status, r.out) == (0, f"hello from {t.dir}/bare\n"),
             f"{name} ({who}): and by its path", r)

USAGE = [  # program, arguments, status, stream, words in it, the original differs
    ("tini", ["--version"], 0, "out", "tini version 0.19.0", False),
    ("tini", ["-h"], 0, "out", "supervision of a valid init process", False),
    ("tini", [], 1, "err", "supervision of a valid init process", False),
    ("tini", [], 1, "err", "more verbose", True),
    ("tini", ["--"], 1, "err", "-e ", False),
    ("tini", ["-Q", "true"], 1, "err", "Q", False),
    ("tini", ["--bogus", "true"], 1, "err", "bogus", True),
    ("tini", ["-e"], 1, "err", "e", False),
    ("tini", ["-e", "256", "true"], 1, "err", "Not a valid option for -e: 256", False),
    ("tini", ["-e", "-1", "true"], 1, "err", "Not a valid option for -e: -1", False),
    ("tini", ["-e", "x", "true"], 1, "err", "Not a valid option for -e: x", False),
    ("tini", ["-p", "FOO", "true"], 1, "err", "Not a valid option for -p: FOO", False),
    ("tini", ["-p", "TERM", "true"], 0, "err", "", True),
    ("tini", ["-l"], 0, "out", "LICENSE", True),
    ("tini", ["--", "--version"], 127, "err", "exec --version failed", False),
    ("tini", ["echo", "-s", "-v", "--version", "--", "-Q"], 0, "out", "-s -v --version -- -Q\n",
     True),
    ("tini", ["-sg", "--", "echo", "-g"], 0, "out", "-g\n", False),
    ("dumb-init", ["--version"], 0, "err", "dumb-init v1.2.5\n", False),
    ("dumb-init", ["-V"], 0, "err", "dumb-init v1.2.5\n", False),
    ("dumb-init", ["-h"], 0, "err", "--single-child", False),
    ("dumb-init", ["--help"], 0, "err", "--rewrite", False),
    ("dumb-init", [], 1, "err", "--help", False),
    ("dumb-init", ["--bogus"], 1, "err", "bogus", False),
    ("dumb-init", ["-r"], 1, "err", "r", False),
    ("dumb-init", ["-r", "0:1", "true"], 1, "err", "31", False),
    ("dumb-init", ["-r", "1:32", "true"], 1, "err", "31", False),
    ("dumb-init", ["-r", "32:1", "true"], 1, "err", "31", False),
    ("dumb-init", ["-r", "1", "true"], 1, "err", "31", False),
    ("dumb-init", ["-r", "FOO:1", "true"], 1, "err", "31", False),
    ("dumb-init", ["-r", "1:2x", "true"], 1, "err", "31", True),
    ("dumb-init", ["-r", "31:0", "true"], 0, "err", "", False),
    ("dumb-init", ["--rewrite=TERM:INT", "true"], 0, "err", "", True),
    ("dumb-init", ["--rewrite", "15:2", "true"], 0, "err", "", False),
    ("dumb-init", ["echo", "-v", "-c"], 0, "out", "-v -c\n", False),
    ("catatonit", ["--version"], 0, "out", "tini version 0.", False),
    ("catatonit", ["-V"], 0, "out", "_catatonit\n", False),
    ("catatonit", ["-h"], 0, "err", "-P ", False),
    ("catatonit", ["-L"], 0, "out", "", False),
    ("catatonit", [], 1, "err", "missing program name", False),
    ("catatonit", ["-s", "true"], 1, "err", "usage: catatonit", False),
    ("catatonit", ["-g", "--", "echo", "-g"], 0, "out", "-g\n", False),
    ("catatonit", ["echo", "-P"], 0, "out", "-P\n", False),
]
for name, args, status, stream, words, differs in USAGE:
    for who, path in both(name, differs):
        r = run([path, *args])
        t.ok(r.status == status and words in getattr(r, stream),
             f"{name} ({who}): {' '.join(args) or 'no arguments'} is {status}", r)

for who, path in both("tini"):
    bad = [n for n in range(256)
           if run([path, "-e", str(n), "--", "sh", "-c", f"exit {n}"]).status != 0]
    t.ok(not bad, f"tini ({who}): -e N turns status N into 0", bad)
    two = [path, "-e", "3", "-e", "143", "--", "sh", "-c"]
    got = [run([*two, end]).status for end in ("exit 3", "kill -15 $$", "exit 4")]
    t.ok(got == [0, 0, 4], f"tini ({who}): -e may be repeated and covers signals", got)

bare_env = {k: v for k, v in os.environ.items() if k != "TINI_SUBREAPER"}
for who, path in both("tini"):
    r = run([path, "true"], env=bare_env)
    t.ok("zombie reaping won't work" in r.err, f"tini ({who}): warns when it adopts nobody", r)
    for extra in ({"TINI_SUBREAPER": ""}, {"TINI_VERBOSITY": "0"}):
        r = run([path, "true"], env=dict(bare_env, **extra))
        t.ok((r.status, r.err) == (0, ""), f"tini ({who}): {extra} ends the warning", r)
    r = run([path, "true"], env=bare_env, pid1=True)
    t.ok((r.status, r.err) == (0, ""), f"tini ({who}): no warning as PID 1", r)
    r = run([path, "-v", "-v", "-v", "--", "sh", "-c", "exit 7"])
    t.ok(r.status == 7 and "Received SIGCHLD" in r.out and "Spawned child process 'sh'" in r.out
         and "(with status '7')" in r.out, f"tini ({who}): -vvv tells what happens, on stdout", r)
    orphan = "(sleep 0.05 & echo $!); sleep 1"
    r = run([path, "-w", "--", "sh", "-c", orphan])
    t.ok(f"Reaped zombie process with pid={r.out.strip()}\n" in r.err
         and r.err.count("Reaped") == 1, f"tini ({who}): -w warns of the orphan alone", r)
for who, path in both("dumb-init"):
    r = run([path, "-v", "sh", "-c", "exit 7"])
    said = ["setsid complete.", "Child spawned with PID ", "Received signal 17.",
            "exited with exit status 7.", "Forwarded signal 15 to children.",
            "Child exited with status 7. Goodbye."]
    t.ok(r.status == 7 and all(f"[dumb-init] {s}" in r.err or s in r.err for s in said),
         f"dumb-init ({who}): -v tells what happens", r)
    e = run([path, "true"], env=dict(os.environ, DUMB_INIT_DEBUG="1"))
    t.ok("Goodbye" in e.err, f"dumb-init ({who}): so does DUMB_INIT_DEBUG=1", e)

for alias, flag, says in (("docker-init", "--version", "tini version"),
                          ("tini-static", "--version", "tini version"),
                          ("tini-static-amd64", "--version", "tini version"),
                          ("podman-init", "-V", "_catatonit"),
                          ("dumb-init_1.2.5_x86_64", "-V", "dumb-init v")):
    r = run([t.binary(alias), flag])
    t.ok(r.status == 0 and says in r.out + r.err, f"{alias} is known", r)

# What the program and the init see of each other.
show = 'readlink /proc/$PPID/cwd; pwd; ls /proc/$PPID/fd | tr "\\n" " "; echo; ls -l /proc/self/fd/9'
for name, init_cwd in (("tini", t.dir), ("dumb-init", "/"), ("catatonit", "/")):
    with open("/dev/null") as f:
        os.dup2(f.fileno(), 9)
    for who, path in both(name, differs=name == "catatonit"):
        r = run([path, "sh", "-c", show], cwd=t.dir, pass_fds=[9])
        lines = r.out.splitlines()
        if who == "pinnace" or name == "tini":  # the original changes its own too late to tell
            t.ok(lines[:1] == [init_cwd], f"{name} ({who}): waits in {init_cwd}", r)
        t.ok(lines[1:2] == [t.dir], f"{name} ({who}): the program stays where it was started", r)
        t.ok(lines and "/dev/null" in lines[-1], f"{name} ({who}): the program keeps descriptors", r)
        if name == "catatonit":
            t.ok(lines[2].split() == ["0", "1", "2"], "catatonit: holds no descriptors", r)
    os.close(9)

outer = "LISTEN_PID={}; export LISTEN_PID; exec {} -- sh -c 'echo $LISTEN_PID $$ $PPID'"
for who, path in both("catatonit"):
    got = run(["sh", "-c", outer.format("$$", path)]).out.split()
    t.ok(got[0] == got[1] != got[2], f"catatonit ({who}): LISTEN_PID follows the program", got)
    got = run(["sh", "-c", outer.format("4", path)]).out.split()
    t.ok(got[0] == "4", f"catatonit ({who}): another's LISTEN_PID is left alone", got)
t.done()
