#!/usr/bin/env python3
"""The configuration: checked, printed, overridden, and its mistakes explained."""
import os

from box import Box
from tap import Tap, run

t = Tap()
count = 0
clean = {k: v for k, v in os.environ.items() if not k.startswith("PINNACE_")}


def pinnace(*args, **env):
    return run([t.pinnace, *args], env={**clean, **env})


def write(text):
    global count
    count += 1
    path = os.path.join(t.dir, f"c{count}.ini")
    with open(path, "w", errors="surrogateescape") as f:
        f.write(text)
    return path


def value(dump, section, key):
    """The value of key in the section of a dump, or None."""
    inside = False
    for line in dump.splitlines():
        if line.startswith("["):
            inside = line == f"[{section}]"
        elif inside and line.partition(" = ")[0].strip(" =") == key:
            return line.partition("=")[2].strip()
    return None


FULL = """
# a comment
; another
[pinnace]
log = json
grace = 3500ms
[main]
command = sh -c 'echo "a b" ; # exit'
map-signal = TERM:QUIT HUP:0
remap-exit = 1 143
[engine]
enabled = no
env = A=1 "B=two words"
[service db]
command = postgres -D "/data dir"
ready = http:http://127.0.0.1:8080/health status=200-299 body~ok
limits = nofile=1024:4096 core=0
backoff = 250ms..8s
oom-score-adj = -500
[service web.front-1]
command = nginx
requires = db
alive = exec:sh -c 'test -e /run/x'
max-restarts = 7
"""
path = write(FULL)
r = pinnace("check", path)
t.ok(r.status == 0 and r.out == f"ok: 2 services, from {path}, environment\n" and r.err == "",
     "check says what it has read", r)
r = pinnace("check", PINNACE_CONFIG=path)
t.ok(r.status == 0 and path in r.out, "PINNACE_CONFIG is where it looks", r)
dump = pinnace("config", "--dump", path)
t.ok(dump.status == 0 and dump.err == "", "config --dump", dump)
again = pinnace("config", "--dump", write(dump.out))
t.ok(again.status == 0 and again.out == dump.out, "a dump is a configuration, and dumps the same",
     again)
want = {("pinnace", "log"): "json", ("pinnace", "grace"): "3500ms",
        ("pinnace", "boot-timeout"): "2m", ("main", "command"): """sh -c 'echo "a b" ; # exit'""",
        ("service db", "command"): 'postgres -D "/data dir"',
        ("service db", "backoff"): "250ms..8s", ("service db", "restart"): "on-failure",
        ("service web.front-1", "requires"): "db", ("engine", "env"): 'A=1 "B=two words"'}
got = {k: value(dump.out, *k) for k in want}
t.ok(got == want, "with what was written, and the defaults", got)
default = pinnace("config", "--dump", write(""))
again = pinnace("config", "--dump", write(default.out))
t.ok(default.status == 0 and default.out == again.out and "[service" not in default.out,
     "an empty one dumps the defaults", default)
helped, mdoc = pinnace("config", "--help"), pinnace("config", "--mdoc")
keys = {line.partition(" =")[0] for line in default.out.splitlines() if " =" in line}
t.ok(keys and all(f"  {k} = " in helped.out and f".It Cm {k} " in mdoc.out for k in keys),
     "every key is in the help and in the manual", keys)

# --- the environment
env = {"PINNACE_GRACE": "7s", "PINNACE_PINNACE_LOG": "text", "PINNACE_MAIN_START": "now",
       "PINNACE_SERVICE_DB_USER": "postgres", "PINNACE_SERVICE_WEB_FRONT_1_MAX_RESTARTS": "9",
       "PINNACE_SERVICE_CACHE_COMMAND": "redis-server", "PINNACE_SERVICE_CACHE_AFTER": "db",
       "PINNACE_SERVICE_MY_JOB_COMMAND": "true", "PINNACE_SERVICE_MY_JOB_ONESHOT": "yes",
       "PINNACE_ENGINE_STOP_TIMEOUT": "33s", "PINNACE_RUN_DIR": "/run/elsewhere"}
r = pinnace("config", "--dump", path, **env)
want = {("pinnace", "grace"): "7s", ("pinnace", "log"): "text", ("main", "start"): "now",
        ("pinnace", "run-dir"): "/run/elsewhere", ("engine", "stop-timeout"): "33s",
        ("service db", "user"): "postgres", ("service web.front-1", "max-restarts"): "9",
        ("service cache", "command"): "redis-server", ("service cache", "after"): "db",
        ("service my-job", "command"): "true", ("service my-job", "oneshot"): "yes",
        ("service db", "command"): 'postgres -D "/data dir"'}
got = {k: value(r.out, *k) for k in want}
t.ok(r.status == 0 and got == want and r.err == "", "the environment wins over files, "
     "and makes services", (got, r.err))
for bad, what in (({"PINNACE_GRACE": "5"}, "PINNACE_GRACE"),
                  ({"PINNACE_SERVICE_CACHE_AFTER": "db"}, "[service cache] needs a command"),
                  ({"PINNACE_MAIN_ON_EXIT": "never"}, "main.on-exit: 'never' is not one of")):
    r = pinnace("check", path, **bad)
    t.ok(r.status == 1 and what in r.err and "environment" in r.err,
         f"a mistake in {next(iter(bad))} is told", r)
for name in ("PINNACE_GRACEE", "PINNACE_SERVICE_DB_COLOUR", "PINNACE_MAIN_NOTHING"):
    r = pinnace("check", path, **{name: "1"})
    t.ok(r.status == 0 and f"environment variable {name} names no option" in r.err,
         f"{name}: warned of, and ignored", r)
r = pinnace("check", path, PINNACE_HOST="unix:///x", PINNACE_TOKEN="secret")
t.ok(r.status == 0 and r.err == "", "those for clients are not warned of", r)

# --- mistakes; the place and the way out
LONG = "x" * 5000
for text, line, *what in (
        ("[pinnace]\nlgo = json", 2, "pinnace.lgo: no such key", "did you mean log?"),
        ("[service a]\ncommand = x\nmax-restart = 5", 3, "did you mean max-restarts?"),
        ("[service a]\ncommand = x\nqqqqqq = 5", 3, "`pinnace config --help` lists them"),
        ("[services a]\ncommand = x", 1, "[services a] is not a section; there are [pinnace]"),
        ("[engin]", 1, "did you mean [engine]?"),
        ("[main]\nstart = redy", 2, "'redy' is not one of ready | now", "did you mean ready?"),
        ("[pinnace]\ngrace = 10", 2, "pinnace.grace"),
        ("[pinnace]\ngrace = never", 2, "pinnace.grace"),
        ("[pinnace]\ngrace = 10s\n\ngrace = 20s", 4, "pinnace.grace: given twice"),
        ("[service a]\ncommand = x\n[main]\n[service a]\ncommand = y", 5, "a.command: given twice"),
        ("\n\n[service a]\ncommand = " + LONG, 4, "line of 5010 bytes"),
        ("# " + LONG + "\n[pinnace]", 1, "line of 5002 bytes"),
        ("command = x", 1, "stands before any [section]"),
        ("[main]\nwhat is this", 2, "neither [section] nor key = value"),
        ("[main]\ncommand = sh -c 'oops", 2, "main.command"),
        ("[main]\nenv = JUSTANAME", 2, "'JUSTANAME' is not NAME=value"),
        ("[main]\nmap-signal = TERM", 2, "is not FROM:TO"),
        ("[main]\nmap-signal = FOO:TERM", 2, "is not FROM:TO"),
        ("[main]\nremap-exit = 256", 2, "main.remap-exit"),
        ("[service a]\ncommand = x\nready = tpc:80", 3, "a.ready"),
        ("[service a]\ncommand = x\nready = log:(", 3, "a.ready"),
        ("[service a]\ncommand = x\nstop-signal = SIGFOO", 3, "'SIGFOO' is not a signal"),
        ("[service a]\ncommand = x\nlimits = nofiles=3", 3, "did you mean nofile?"),
        ("[service a]\ncommand = x\nbackoff = 5s..1s", 3, "a.backoff"),
        ("[service a]\ncommand = x\noom-score-adj = 2000", 3, "a.oom-score-adj"),
        ("[service a]\ncommand = x\nrestart = on-failure ; yes", 3, "lines of their own"),
        ("[service main]\ncommand = x", 1, "taken"),
        ("[service ]\ncommand = x", 1, "service name"),
        ("[service a/b]\ncommand = x", 1, "letters, digits"),
        ("[service " + "n" * 32 + "]\ncommand = x", 1, "1 to 31 bytes"),
        ("[pinnace]\nrun-dir = relative", 2, "is not an absolute path"),
        ("".join(f"[service s{i}]\ncommand = x\n" for i in range(129)), 257,
         "[service s128] is one too many")):
    r = pinnace("check", path := write(text))
    t.ok(r.status == 1 and r.err.startswith(f"{path}:{line}: ") and all(w in r.err for w in what)
         and r.err.count("\n") == 1, f"{text[:40]!r}: told, with its line", r)

for text, line, *what in (
        ("[service a]\nuser = x", 1, "[service a] needs a command"),
        ("[service a]\ncommand = x\nafter = b", 3, "a", "b"),
        ("[service alpha]\ncommand = x\nafter = alhpa", 3, "did you mean alpha?"),
        ("[service a]\ncommand = x\nafter = a", 3, "a"),
        ("\n[channel x]\nlisten = tcp:127.0.0.1:1", 2, "write token-file = PATH"),
        ("[service a]\ncommand = x\nafter = c\n[service b]\ncommand = x\nrequires = a\n"
         "[service c]\ncommand = x\nafter = b\n[service d]\ncommand = x\nafter = c", 6,
         "wait for each other"),
        ("[service a]\ncommand = x\noneshot = yes\nready = tcp:1.2.3.4:5", 4, "oneshot")):
    r = pinnace("check", path := write(text))
    t.ok(r.status == 1 and all(w in r.err for w in what) and r.err.count("\n") == 1
         and r.err.startswith(f"{path}:{line}: "), f"{what[-1]!r} is told, with its line", r)
    if what == ["wait for each other"]:
        t.ok(": a -> c -> b -> a " in r.err, "a cycle is named from one end to the other", r)

# what `check` says is what a start says
AFTER = "[service a]\ncommand = sleep 60\nafter = main\n"
r = pinnace("check", "/dev/null")
t.ok(r.status == 0, "/dev/null is an empty configuration", r)
b = Box(t, AFTER, ["sleep", "60"])
t.ok(b.wait() == 125 and "CMD itself waits for a" in b.err(), "after = main, but CMD waits", b)
r = pinnace("check", b.config)
t.ok(r.status == 1 and "CMD itself waits for a" in r.err, "check says so, too", r)
b = Box(t, AFTER + "[main]\nstart = now\n", ["sleep", "60"])
t.ok(b.wait_ready(), "after = main, with start = now", b)
b.kill()
r = pinnace("check", b.config)
t.ok(r.status == 0, "check says so, too", r)

# --- files that are none
for make, what in ((lambda p: os.mkfifo(p), "not a regular file"), (os.mkdir, "not a regular file"),
                   (lambda p: open(p, "wb").write(b"[main]\0\n"), "NUL"),
                   (lambda p: open(p, "wb").write(b"# x\n" * 300000), "are allowed"),
                   (lambda p: None, "No such file")):
    make(path := os.path.join(t.dir, f"odd{what[:3]}{count}"))
    count += 1
    r = pinnace("check", path)
    t.ok(r.status == 1 and path in r.err and what in r.err, f"a file that is {what}", r)

# --- verbs
for args, status, what in ((("chekc",), 2, "did you mean check"), (("check", "a", "b"), 2, "usage"),
                           (("config",), 2, "usage"), (("version",), 0, "pinnace "),
                           (("help",), 0, "PID 1"), ((), 2, "PID 1"),
                           (("run", "--nonsense"), 2, "unknown option")):
    r = pinnace(*args)
    t.ok(r.status == status and what in r.out + r.err, f"pinnace {' '.join(args)}", r)

# --- the default places, of a box of its own
etc = os.path.join(t.dir, "etc")
os.makedirs(f"{etc}/pinnace.d")
for name, text in (("pinnace.ini", "[engine]\nenabled = no\n[main]\nremap-exit = 1\n"
                    f"[pinnace]\nrun-dir = {t.dir}/run\n"),
                   ("pinnace.d/20-b.ini", "[main]\nremap-exit = 3\n"),
                   ("pinnace.d/10-a.ini", "[main]\nremap-exit = 2\n"),
                   ("pinnace.d/30-c.ini.bak", "[main]\nremap-exit = 4\n"),
                   ("pinnace.d/.40-d.ini", "[main]\nremap-exit = 5\n")):
    with open(f"{etc}/{name}", "w") as f:
        f.write(text)
MOUNT = ["sh", "-c", f"mount --bind {etc} /etc && exec env -u PINNACE_CONFIG \"$@\"", "sh"]
got = [Box(t, cmd=["sh", "-c", f"exit {n}"], wrap=MOUNT).wait() for n in range(1, 6)]
t.ok(got == [1, 2, 0, 4, 5], "/etc/pinnace.ini, then /etc/pinnace.d/*.ini in order", got)
t.done()
