#!/usr/bin/env python3
"""How a box ends: CMD's status, its signal, and every way of not getting that far."""
import os

from box import BOTH, Box, words
from tap import Tap

t = Tap()
NEVER = "[service slow]\ncommand = sleep 60\nready = file:/nonexistent/by/design\n"

for pid1, how in BOTH:
    codes = (0, 1, 2, 7, 42, 77, 111, 124, 125, 126, 127, 128, 129, 143, 200, 254, 255)
    got = [Box(t, cmd=["sh", "-c", f"exit {n}"], pid1=pid1).wait() for n in codes]
    t.ok(got == list(codes), f"{how}: CMD's status is ours", got)

    signals = (1, 2, 3, 4, 6, 8, 9, 10, 11, 13, 14, 15, 31, 34, 50, 64)
    got = [Box(t, cmd=["sh", "-c", f"ulimit -c 0; kill -{n} $$"], pid1=pid1).wait()
           for n in signals]
    t.ok(got == [128 + n for n in signals], f"{how}: 128+n for a signal", got)

    b = Box(t, cmd=["/nonexistent/program", "x"], pid1=pid1)
    t.ok(b.wait() == 127 and "/nonexistent/program: No such file" in b.err(),
         f"{how}: 127 and a message when there is no such program", b)
    b = Box(t, cmd=["surely-not-on-the-path"], pid1=pid1)
    t.ok(b.wait() == 127 and "surely-not-on-the-path" in b.err(), f"{how}: the same by PATH", b)
    plain = os.path.join(t.dir, "plain")
    with open(plain, "w") as f:
        f.write("exit 9\n")
    b = Box(t, cmd=[plain], pid1=pid1)
    t.ok(b.wait() == 126 and f"{plain}: Permission denied" in b.err(),
         f"{how}: 126 and a message when it may not be executed", b)
    b = Box(t, cmd=[t.dir], pid1=pid1)
    t.ok(b.wait() == 126 and t.dir in b.err(), f"{how}: 126 for a directory", b)
    os.chmod(plain, 0o755)
    b = Box(t, cmd=[plain], pid1=pid1)
    t.ok(b.wait() == 9, f"{how}: a script without #! is run by sh", b)
    os.remove(plain)

    # --- not starting at all: the file is [pinnace] 1, run-dir 2, [engine] 3, enabled 4, then ini
    for ini, line, what in (("[main]\nstrat = now", 6, "did you mean start"),
                            ("[mian]\n", 5, "did you mean [main]"),
                            ("\n\n[main]\nstart = later", 8, "main.start"),
                            ("[service a]\ncommand = x\nready-every = 5", 7, "a.ready-every"),
                            ("nonsense", 5, "neither [section] nor key = value")):
        b = Box(t, ini, ["sh", "-c", "echo started"], pid1=pid1)
        t.ok(b.wait() == 125 and f"{b.config}:{line}:" in b.err() and what in b.err() and
             b.out() == "", f"{how}: 125 and the place of a mistake ({what})", b)
    b = Box(t, cmd=["true"], pid1=pid1, env={"PINNACE_CONFIG": "/nonexistent.ini"})
    t.ok(b.wait() == 125 and "/nonexistent.ini" in b.err(), f"{how}: 125 without the file", b)

    # --- the boot deadline
    late = "[pinnace]\nboot-timeout = 300ms\n"
    b = Box(t, late + NEVER, ["sh", "-c", "echo started"], pid1=pid1)
    status = b.wait()
    t.ok(status == 124 and "slow is starting" in b.err() and b.out() == "",
         f"{how}: 124 at the boot deadline, the unit named, CMD not started", b)
    t.ok(0.3 <= b.seconds < 3, f"{how}: at the deadline", b.seconds)
    b = Box(t, late + "on-boot-timeout = stay\n" + NEVER, ["sh", "-c", "echo started; exit 5"],
            pid1=pid1)
    t.ok(b.wait() == 5 and b.out() == "started\n" and "slow is starting" in b.err(),
         f"{how}: on-boot-timeout = stay starts CMD degraded", b)

    # --- what the end of CMD means
    for status, want in ((7, 0), (143, 0), (8, 8), (0, 0)):
        b = Box(t, "[main]\nremap-exit = 7 143", ["sh", "-c", f"exit {status}"], pid1=pid1)
        t.ok(b.wait() == want, f"{how}: remap-exit makes {want} of {status}", b)
    b = Box(t, "[main]\nremap-exit = 143", ["sh", "-c", "kill $$"], pid1=pid1)
    t.ok(b.wait() == 0, f"{how}: remap-exit makes 0 of a signal's status too", b)

    for on_exit, status in (("stay", 3), ("stay", 0), ("shutdown-on-failure", 0)):
        b = Box(t, f"[main]\non-exit = {on_exit}", ["sh", "-c", f"exit {status}"], pid1=pid1)
        said = b.says(f"CMD has ended with status {status}; staying up")
        code, _ = b.get("/readyz")
        unit = b.unit("main")
        t.ok(said and code == 200 and b.end()[0] == 0 and unit.get("exit_status") == status,
             f"{how}: on-exit = {on_exit} stays up after {status}, and ends with 0 when asked",
             (code, unit, b))
    b = Box(t, "[main]\non-exit = shutdown-on-failure", ["sh", "-c", "exit 5"], pid1=pid1)
    t.ok(b.wait() == 5, f"{how}: on-exit = shutdown-on-failure ends after a failure", b)
    b = Box(t, "[main]\non-exit = stay", ["/nonexistent/program"], pid1=pid1)
    t.ok(b.wait() == 127, f"{how}: on-exit = stay does not keep what never started", b)

    # --- a service's own status
    fails = ("[service bad]\nrestart = never\non-failure = shutdown\ncommand = sh -c "
             "'sleep 0.2; %s'\n")
    b = Box(t, fails % "exit 23", ["sleep", "60"], pid1=pid1)
    t.ok(b.wait() == 23 and "bad has failed: exit status 23" in b.err(),
         f"{how}: on-failure = shutdown ends with the service's own status", b)
    b = Box(t, fails % "kill -9 $$", ["sleep", "60"], pid1=pid1)
    t.ok(b.wait() == 137, f"{how}: or with 128+n", b)
    b = Box(t, fails % "exit 23", pid1=pid1)
    t.ok(b.wait() == 23, f"{how}: without CMD too", b)

    boot = ("[service bad]\nrestart = %s\nmax-restarts = 2\nbackoff = 10ms..20ms\n"
            "ready = file:/nonexistent/by/design\ncommand = %s\n")
    cmd = ["sh", "-c", "echo started"]
    b = Box(t, boot % ("never", "sh -c 'exit 24'"), cmd, pid1=pid1)
    t.ok(b.wait() == 24 and b.out() == "", f"{how}: a failure while booting is the box's", b)
    tries = os.path.join(t.dir, "tries")
    b = Box(t, boot % ("on-failure", words("sh", "-c", f"echo try >> {tries}; exit 25")), cmd,
            pid1=pid1)
    status = b.wait()
    with open(tries) as f:
        count = f.read().count("try")
    os.remove(tries)
    t.ok(status == 25 and count == 3 and b.out() == "",
         f"{how}: after max-restarts = 2, so three starts", (count, b))
    b = Box(t, boot % ("on-failure", "/nonexistent/daemon"), cmd, pid1=pid1)
    t.ok(b.wait() == 127 and "cannot execute /nonexistent/daemon" in b.err() and b.out() == "",
         f"{how}: a service that is not there is not tried again", b)
    b = Box(t, "[pinnace]\non-boot-timeout = stay\n" + boot % ("never", "false"),
            ["sh", "-c", "echo started; exit 6"], pid1=pid1)
    t.ok(b.wait() == 6 and b.out() == "started\n",
         f"{how}: on-boot-timeout = stay starts CMD in spite of it", b)

    # --- CMD of the configuration
    b = Box(t, "[main]\ncommand = sh -c 'exit 12'", pid1=pid1)
    t.ok(b.wait() == 12, f"{how}: [main] command is CMD where none is given", b)
    b = Box(t, "[main]\ncommand = sh -c 'exit 12'", ["sh", "-c", "exit 13"], pid1=pid1)
    t.ok(b.wait() == 13, f"{how}: the command line wins", b)
    b = Box(t, "[main]\nstart = now\n" + NEVER, ["sh", "-c", "exit 14"], pid1=pid1)
    t.ok(b.wait() == 14, f"{how}: [main] start = now does not wait", b)
    took = []
    for _ in range(20):  # its end meets services that have only just been forked
        b = Box(t, "[main]\nstart = now\n" + "".join(
            f"[service s{i}]\ncommand = sleep 60\n" for i in range(5)), ["true"], pid1=pid1)
        took.append(b.seconds if b.wait(5) == 0 else 99)
    t.ok(max(took) < 2, f"{how}: TERM reaches services that have only just been forked", took)

b = Box(t, cmd=["sh", "-c", "exit 3"], pid1=True)
b.wait()
t.ok(b.err() == "", "a box with nothing but CMD says nothing", b)
t.done()
