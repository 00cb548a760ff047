#!/usr/bin/env python3
"""The Cloudflare dialect over raw HTTP: sessions, commands, streams, processes, ports. Each with a bash,
and in boxes that have none: with dash and with busybox for a sh."""
import contextlib
import http.server
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

from box import Box
from channel import fds, free_port, memory, outer, rows, settled
from cloudflare import NO_SESSION, STAMP, Api, gone
from tap import Tap, wait_for

t = Tap()
os.chmod(t.dir, 0o755)
port = free_port()
home, here = f"{t.dir}/home", f"{t.dir}/here"
os.mkdir(home)
os.mkdir(here)
c = Api(port)
shell = None  # bash, dash, ash

def default():
    """Where a session begins of which nothing else was said."""
    return "/workspace" if os.path.isdir("/workspace") else home


def ok(cond, name, diag=""):
    return t.ok(cond, f"{shell}: {name}", diag)


def bash_only(row):
    row.bash_only = True
    return row


def fresh(id, **members):
    """A session that is new."""
    c.post("/api/session/delete", {"sessionId": id})
    return c.post("/api/session/create", {"id": id, "cwd": here, **members})


# --- HTTP


def misc(b):
    """what stands around sessions"""
    a = c.get("/")
    ok(a.status == 200 and a.fields["content-type"] == "text/plain" and a.body, "GET /", a)
    ok(c.get("/api/ping").good(status="healthy"), "ping")
    ok(c.get("/api/version").good(version="1.2.3"), "version is SANDBOX_VERSION")
    for method, path in (("GET", "/"), ("GET", "/api/ping"), ("GET", "/api/session/list"), ("DELETE", "/api/process/kill-all")):
        ok(c.call(method, path, {"x": "y" * 100_000}).status == 200 and c.get("/api/ping").good(), f"{method} {path} with a body")
    ok(c.get("/api/commands").fails(500, "UNKNOWN_ERROR", "Invalid endpoint"), "commands")
    for method, path in (("GET", "/nope"), ("GET", "/api/execute"), ("POST", "/api/ping"), ("PATCH", "/api/ping"),
                         ("GET", "/api/health"), ("POST", "/api/shutdown")):
        ok(c.call(method, path).fails(404, "UNKNOWN_ERROR", "The requested endpoint was not found"), f"{method} {path}")
    a = c.get("/api/ping")
    ok(a.fields["access-control-allow-origin"] == "*", "CORS fields", a)
    ok(c.call("OPTIONS", "/api/execute", Origin="https://x.example").status == 403,
       "pages that nobody has named are refused")
    ok(c.call("OPTIONS", "/api/execute").fails(404, "UNKNOWN_ERROR", "The requested endpoint was not found"),
       "OPTIONS that asks for no page")
    for route in ("execute", "execute/stream", "process/start", "port-watch"):
        for body in ("{", "", "[]", "\"x\""):
            ok(c.post(f"/api/{route}", body).fails(500, "INTERNAL_ERROR", "Failed to parse request body"),
               f"{route} of {body!r}")
    for route in ("execute", "execute/stream", "process/start"):
        ok(c.post(f"/api/{route}", b'{"command":"true","x":"' + b"x" * (16 << 20) + b'"}').status == 413,
           f"{route}: more than 16 MiB beside the command")
        a = c.post(f"/api/{route}", b"", Content_Length=str((128 << 20) + 1))
        ok(a.status == 413 and a.body == b"" and a.fields["connection"] == "close", f"{route}: more than 128 MiB", a)


# --- sessions


def sessions(b):
    """made, listed, deleted"""
    a = c.post("/api/session/create", {"id": "one", "cwd": here, "env": {"A": "1", "N": None}, "unknown": 1})
    ok(a.good() and a.json()["data"]["id"] == "one" and a.json()["containerPlacementId"] == "place", "made", a)
    ok(c.post("/api/session/create", {"id": "one"}).fails(409, "SESSION_ALREADY_EXISTS", sessionId="one",
                                                          containerPlacementId="place"), "made twice")
    for body in (None, "{", {}):
        a = c.post("/api/session/create", body)
        ok(a.good() and a.json()["data"]["id"].startswith("session_"), f"made of {body!r}", a)
    ids = c.get("/api/session/list").json()["data"]
    ok("one" in ids and len(ids) >= 4 and len(set(ids)) == len(ids), "listed", ids)
    ok(c.exec("echo $A ${N-none} $SANDBOX_STARTED $LANG $LC_ALL; pwd", "one").out ==
       f"1 none true C.UTF-8 C.UTF-8\n{here}", "its variables and directory")
    c.exec("sleep 1234 & echo $! >pid", "one")
    started = c.start("sleep 1234", "one").json()["pid"]
    with open(f"{here}/pid") as f:
        left = int(f.read())
    ok(c.post("/api/session/delete", {"sessionId": "one"}).good(sessionId="one"), "deleted")
    ok(gone(left, b) and gone(started, b), "and all that it had started")
    ok(c.post("/api/session/delete", {"sessionId": "one"}).fails(500, "INTERNAL_ERROR"), "deleted twice")
    for body in ({}, "", "{", {"sessionId": ""}):
        ok(c.post("/api/session/delete", body).fails(400, "VALIDATION_FAILED"), f"deleted: {body!r}")
    ok(c.exec("echo ${A-none}; pwd", "one").out == f"none\n{default()}", "named again it is a new one, in the default place")
    c.post("/api/session/create", {"id": "lost", "cwd": "/nowhere"})
    ok(c.exec("pwd", "lost").out == home, "a directory that is not there: at home")
    ok(c.exec("pwd", "  ").status == 500, "a blank id")
    ok(c.exec("pwd", "x" * 300).status == 500, "a long one")
    for id in ids:
        c.post("/api/session/delete", {"sessionId": id})


def whose(b):
    """which session a request is of"""
    def who(**kw):
        body, query = kw.pop("body", {}), kw.pop("query", "")
        return c.post(f"/api/execute{query}", {"command": "echo $WHO", **body}, **kw).out

    for id in ("a", "b", "c", "d", "e", "default"):
        fresh(id, env={"WHO": id})
    ok(who(body={"sessionId": "a"}, Authorization="Bearer b", X_Session_Id="c", query="?session=d") == "a", "the body's")
    ok(who(Authorization="Bearer b", X_Session_Id="c", query="?session=d") == "b", "else Authorization's")
    ok(who(X_Session_Id="c", query="?session=d") == "c", "else X-Session-Id's")
    ok(who(query="?session=d&sessionId=e") == "d" and who(query="?sessionId=e") == "e", "else the query's")
    a = c.post("/api/execute", {"command": "echo $WHO"})
    ok(a.out == "default" and "sessionId" not in a.json(), "else the default, and then the answer has none", a)
    for id in ("a", "b", "c", "d", "e", "default"):
        c.post("/api/session/delete", {"sessionId": id})


# --- execute


def execute(b):
    """commands and their answers"""
    fresh("s", env={"FOO": "bar"})
    a = c.exec("echo hi; echo err >&2; (exit 3)")
    ok(a.status == 200 and a.json()["success"] is False and a.code == 3 and (a.out, a.err) == ("hi", "err") and
       a.json()["command"] == "echo hi; echo err >&2; (exit 3)" and a.json()["duration"] == 0 and
       a.json()["sessionId"] == "s" and STAMP.fullmatch(a.json()["timestamp"]), "all members", a)
    ok(c.exec("true").json()["success"] is True, "success")
    for printed, out in (("a\\n\\n\\n", "a\n\n"), ("a", "a"), ("\\n", ""), ("a\\r\\n", "a\r"), ("a\\000b\\n", "ab"),
                         ("\\377\\n", "\ufffd"), ("x\\303\\251\\342\\202\\254\\360\\237\\232\\200", "xé€🚀"),
                         ("\\342\\202", "\ufffd\ufffd"), ("\"\\\\\\\\\\t\\033", "\"\\\\\t\x1b")):
        a = c.exec(f"printf '{printed}'")
        ok(a.out == out, f"printf '{printed}'", a)
    ok(c.exec("cat").out == "" and c.exec("read x; echo $?").out == "1", "stdin is empty")
    ok(c.exec("").code == 0 and c.exec(" \n\t").code == 0, "an empty command")
    ok(c.post("/api/execute", {"sessionId": "s"}).status == 500, "no command")
    ok(c.exec("cd /usr; A=1; export B=2; f() { echo fun; }; alias zz='echo al'; set -f").code == 0 and
       c.exec("pwd; echo $A $B $FOO *; f; set +f").out == "/usr\n1 2 bar *\nfun", "its state stays")
    ok(c.exec("echo $B", "other").out == "", "and is its own")
    ok(c.exec("nosuchprogram").code == 127 and c.exec("/dev/null").code == 126, "127 and 126")
    ok(c.exec("sh -c 'kill -9 $$'").code == 137 and c.exec("sh -c 'kill -15 $$'").code == 143, "killed by a signal")
    a = c.exec("nosuchprogram")
    ok("nosuchprogram" in a.err and "cloudflare" not in a.err, "no path of ours in its words", a)
    ok(c.exec("cat <<X\nhey $FOO\nX").out == "hey bar" and c.exec("cat <<'X'\n$FOO").out == "$FOO",
       "here-documents, ended or not")
    ok(c.exec("return 5; echo no").code == 5 and c.exec("f2() { return 6; }; f2").code == 6, "return")
    ok(c.exec("break; continue; echo on").out.endswith("on"), "break")
    ok(c.exec("set -- a b; shift").code == 0 and c.exec("echo $1 $#").out == "b 1", "positional parameters stay")
    ok(c.exec("exec 3>&1; exec >/dev/null 2>&1; echo lost").code == 0 and c.exec("echo on; echo to >&2").err == "to",
       "a redirected shell is not lost")
    ok(c.exec("exec 0<&- 1>&- 2>&-").code == 0 and c.exec("echo on").out == "on", "nor one that closes all")
    ok(c.exec("IFS=0123456789; echo x").out == "x" and c.exec("(exit 12)").code == 12 and c.exec("unset IFS").code == 0,
       "IFS of digits")
    ok(c.exec("set -ufx").code == 0 and c.exec("echo on").out == "on" and c.exec("set +ufx").code == 0, "set -ufx")
    ok(c.exec("alias echo=false command=false printf=false; PATH=; x=1").code == 0 and c.exec("pwd").code == 0 and
       c.exec("unalias echo command printf; PATH=/usr/bin:/bin").code == 0, "aliases, no PATH")
    ok(c.exec("echo() { :; }; printf() { :; }; cd() { :; }").code == 0 and c.exec("(exit 3)").code == 3 and
       c.exec("pwd", cwd="/usr").out == "/usr" and c.exec("unset -f echo printf cd").code == 0, "functions of builtins' names")
    for name in os.listdir(f"{b.run_dir}/cloudflare"):
        for script in ("bash", "sh"):
            with contextlib.suppress(FileNotFoundError):
                os.remove(f"{b.run_dir}/cloudflare/{name}/{script}")
                os.mkfifo(f"{b.run_dir}/cloudflare/{name}/{script}")
    ok(c.exec("echo on").out == "on" and c.get("/api/ping").good(), "a FIFO in the place of a shell's file holds nobody up")
    big = "y" * 3_000_000
    a = c.exec(f"x='{big}'; echo ${{#x}}; # ")
    ok(a.out == "3000000" and a.json()["command"].startswith(f"x='{big}'"), "a command of 3 MB", a)
    ok(c.exec("x=").code == 0, "cleared")
    huge = "z" * (40 << 20)
    a = c.exec(f": '{huge}'; echo on")
    ok(a.out == "on" and len(a.json()["command"]) == len(huge) + 13, "one of 40 MiB", a.body[:200])
    ok(memory(b.role("channel"))[0] < 24 * 1024, "is not kept in memory", memory(b.role("channel")))
    for body, out in (('{"command":"echo a","command":"echo b"%s}', "b"), ('{"env":{"command":"x"},"command":"echo $command"%s}', "x"),
                      ('{"x":["command","\\"",{"command":"no"}],"comm\\u0061nd":"echo \\u0041\\"q\\""%s}', "Aq"),
                      (' { "command" : "ec\\u0000ho \\ud83d\\ude00" %s } ', "\U0001f600"), ('{"y":"\\"command\\":\\"no\\"","command":""%s}', "")):
        a = c.post("/api/execute", body % ', "sessionId":"s"')
        ok(a.status == 200 and a.out == out, f"a body as {body!r}", a)
    for body in ('{"command":5,"sessionId":"s"}', '{"command":null}'):
        ok(c.post("/api/execute", body).fails(500, "COMMAND_EXECUTION_ERROR"), f"{body}")
    for body in ('{"command":"true"', '{"command":"true"}x', '{"command":"a\nb"}', b'{"command":"\xff"}'):
        ok(c.post("/api/execute", body).fails(500, "INTERNAL_ERROR", "Failed to parse request body"), f"{body!r}")
    c.post("/api/session/delete", {"sessionId": "s"})
    c.post("/api/session/delete", {"sessionId": "other"})


def mishaps(b):
    """what is wrong with a command ends that only"""
    fresh("s")
    c.exec("KEEP=7; cd /usr")
    for bad in ("echo 'x", "echo \"x", "echo $(ls", "echo `ls", "if; fi", "f( {", "for", ")", "&&", "case x in", "${", "$((",
                "echo ${KEEP!!!}", "{", "while true"):
        a = c.exec(bad)
        ok(a.status == 200 and a.code not in (0, None) and a.err, f"{bad!r}", a)
        a = c.exec("echo $KEEP; pwd")
        ok(a.out == "7\n/usr", f"{bad!r}: the session lives on", a)
    c.post("/api/session/delete", {"sessionId": "s"})


def endings(b):
    """what ends the shell"""
    for command, code in (("exit", 0), ("exit 7", 7), ("set -e; false", 1), ("kill -9 $$", 137), ("kill $$", 143),
                          ("exec true", 0), ("exec sh -c 'exit 9'", 9), ("echo x; set -e; (exit 4)", 4)):
        fresh("s")
        c.exec("KEEP=7; cd /")
        a = c.exec(command)
        ok(a.fails(410, "SESSION_TERMINATED", sessionId="s", exitCode=code), f"{command}", a)
        ok(c.exec("echo ${KEEP-none}; pwd").out == f"none\n{here}", f"{command}: a fresh shell after it")
    fresh("s")
    began = time.monotonic()
    a = c.exec("set -n")
    ok((a.fails(410, "SESSION_TERMINATED") or a.code == 0) and time.monotonic() - began < 6 and
       c.exec("echo on").out == "on", "set -n", a)
    a = c.exec("exec >/dev/null 2>&1; KEEP=8; sleep 4; (exit 5)")
    ok(a.code == 5 and c.exec("echo $KEEP").out == "8", "a command without output that goes on", a)
    late = threading.Thread(target=lambda: c2.exec("sleep 5; echo late"))
    c2 = Api(port)
    late.start()
    time.sleep(0.3)
    with contextlib.suppress(Exception):
        c.post("/api/session/delete", {"sessionId": "s"})
    late.join(3)
    ok(not late.is_alive(), "who waits for a command of a deleted session is told")


def apart(b):
    """variables and directory of one command"""
    fresh("s", env={"OLD": "old"})
    c.exec("PLAIN=p; cd /usr")
    a = c.exec("echo $OLD $NEW $PLAIN; pwd", env={"OLD": "it's \"new\" $x", "NEW": "n", "PLAIN": "q", "NO": None}, cwd="/")
    ok(a.out == "it's \"new\" $x n q\n/", "during it", a)
    a = c.exec("echo $OLD ${NEW-none} $PLAIN; pwd; sh -c 'echo $OLD ${NEW-none} ${PLAIN-none}'")
    ok(a.out == "old none p\n/usr\nold none none", "and after it", a)
    ok(c.exec("sh -c 'echo $PLAIN'", env={"PLAIN": "q"}).out == "q", "they are exported")
    ok(c.exec("cd /tmp; Z=1", cwd="/").code == 0 and c.exec("pwd; echo $Z").out == "/usr\n1",
       "a cd in it does not last, a variable does")
    ok(c.exec("cd /tmp", env={"Q": "1"}).code == 0 and c.exec("pwd").out == "/tmp", "a cd lasts where no cwd was given")
    a = c.exec("pwd", cwd="/no'where")
    ok(a.status == 200 and (a.code, a.err, a.out) == (1, "Failed to change directory to '/no'where'", ""),
       "a directory that is not there", a)
    ok(c.exec("pwd").out == "/tmp", "nothing has changed")
    ok(c.exec("pwd", cwd="..").out == "/", "a relative one")
    ok(c.exec("false", env={"Q": "1"}).code == 1 and c.exec("(exit 5)", cwd="/").code == 5, "the status is the command's")
    for bad in ({"a b": "1"}, {"1a": "1"}, {"": "1"}, {"a": 1}):
        ok(c.exec("true", env=bad).status == 500, f"env {bad}")
    c.exec("set -eu")
    ok(c.exec("echo $Q", env={"Q": "1"}, cwd="/").out == "1" and c.exec("echo on").out == "on", "with set -eu")
    c.post("/api/session/delete", {"sessionId": "s"})


def children_behind(b):
    """background children"""
    fresh("s")
    began = time.monotonic()
    a = c.exec("(sleep 0.4; echo later; echo $? >rc; sleep 30) & echo now")
    ok(a.out == "now" and time.monotonic() - began < 5, "do not delay the answer", a)
    outs = [c.exec("sleep 0.1; echo x").out for _ in range(6)]
    ok(outs == ["x"] * 6, "nor mix into what comes after", outs)
    with open(f"{here}/rc") as f:
        ok(f.read() == "0\n", "nor get a SIGPIPE")
    a = c.exec("yes >&2 & for i in 1 2 3; do yes & done; echo now")
    ok(a.status == 200 and c.exec("echo on").out == "on", "those that flood harm nobody", a)
    c.post("/api/session/delete", {"sessionId": "s"})


def timeouts(b):
    """a command has its time"""
    fresh("s")
    for command, name in (("sleep 77", "a program"), ("while :; do :; done", "the shell"), ("while :; do sleep 0.1; done", "a loop"),
                          ("sh -c 'sleep 77 & sleep 77'", "a tree"), ("(while :; do sleep 0.05; done)", "a subshell"),
                          ("sleep 77 | cat", "a pipeline"), ("x=$(sleep 77)", "a substitution"), ("wait_for() { sleep 77; }; wait_for", "a function")):
        c.exec(f"cd /usr; KEEP=7; rm -f {here}/after")
        a = c.exec(f"cd /; NEW=1; echo e >&2; {command}; echo >{here}/after", timeoutMs=300)
        ok(a.fails(500, "COMMAND_EXECUTION_ERROR", "Command timeout after 300ms") and
           a.json()["context"]["stderr"].startswith("e\n") and "NEW=1" in a.json()["context"]["command"], f"{name}", a)
        began = time.monotonic()
        a = c.exec("echo $KEEP $NEW; pwd")
        ok(a.out == "7 1\n/" and time.monotonic() - began < 4, f"{name}: the session goes on, as it was", a)
        ok(not os.path.exists(f"{here}/after"), f"{name}: what comes after in it is not done")
    ok(wait_for(lambda: c.exec("pgrep -f '^sleep 77'").out == "", 5), "and all of it is gone", c.exec("pgrep -af sleep"))
    c.exec("x=$(trap '' TERM; while :; do sleep 78; done)", timeoutMs=200)
    ok(wait_for(lambda: c.exec("pgrep -f '^sleep 78'").out == "", 9), "what ignores TERM in a shell that does not is killed")
    c.exec("trap 'echo trapped' USR1")
    c.exec("sleep 77", timeoutMs=200)
    ok(c.exec("kill -USR1 $$; sleep 0.1").out == "trapped", "its traps are there")
    pid = c.exec("sleep 1234 & echo $!").out
    c.exec("sleep 77", timeoutMs=200)
    ok(c.exec(f"kill -0 {pid}").code == 0, "but not what an earlier one has left running")
    began = time.monotonic()
    a = c.exec("trap '' TERM; sleep 77", timeoutMs=200)
    ok(a.fails(500, "COMMAND_EXECUTION_ERROR") and time.monotonic() - began < 3, "TERM is ignored", a)
    ok(c.exec("echo on").out == "on" and time.monotonic() - began < 10, "it is killed 5 s later", time.monotonic() - began)
    fresh("s", commandTimeoutMs=300)
    ok(c.exec("sleep 5").fails(500, "COMMAND_EXECUTION_ERROR", "after 300ms"), "the session's")
    ok(c.exec("sleep 0.5; echo x", timeoutMs=5000).out == "x", "the request's goes before it")
    ok(c.exec("exit 3").fails(410, "SESSION_TERMINATED", exitCode=3), "a shell that ends is still told of")
    c.post("/api/session/delete", {"sessionId": "s"})


def order(b):
    """one at a time in a session, many sessions at once"""
    fresh("s")
    got = []

    def one(i):
        a = Api(port).exec(f"echo {i}; sleep 0.05")
        got.append(int(a.out))

    threads = []
    for i in range(12):
        threads.append(threading.Thread(target=one, args=(i,)))
        threads[-1].start()
        time.sleep(0.01)
    for x in threads:
        x.join()
    ok(got == list(range(12)), "in the order of arrival", got)
    began = time.monotonic()
    threads = [threading.Thread(target=lambda i=i: Api(port).exec("sleep 0.5", f"par{i}")) for i in range(8)]
    for x in threads:
        x.start()
    for x in threads:
        x.join()
    ok(time.monotonic() - began < 3.5, "eight sessions at once", time.monotonic() - began)
    leaver = socket.create_connection(("127.0.0.1", port))
    body = json.dumps({"command": "sleep 0.3; echo done >left", "sessionId": "s"}).encode()
    leaver.sendall(b"POST /api/execute HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    time.sleep(0.1)
    leaver.close()
    ok(c.exec("cat left").out == "done", "a client that goes ends nothing")
    for i in range(8):
        c.post("/api/session/delete", {"sessionId": f"par{i}"})


def parallel(b):
    """8 clients, 8 sessions, 800 commands; and again"""
    bad = []

    def client(i, turn):
        k = Api(port)
        for n in range(100):
            a = k.exec(f"echo {turn}-{i}-{n}", f"load{i}")
            if a.out != f"{turn}-{i}-{n}":
                bad.append((i, n, a))

    for turn in range(3):
        threads = [threading.Thread(target=client, args=(i, turn)) for i in range(8)]
        for x in threads:
            x.start()
        for x in threads:
            x.join()
    ok(not bad, "none fails", bad[:3])
    for i in range(8):
        c.post("/api/session/delete", {"sessionId": f"load{i}"})
    times = []
    fresh("s")
    for _ in range(300):
        began = time.monotonic()
        c.exec("true")
        times.append(time.monotonic() - began)
    times.sort()
    t.diag(f"{shell}: exec true: p50 {times[150] * 1000:.2f} ms, p99 {times[297] * 1000:.2f} ms")
    ok(times[150] < 0.01, "a command takes no 10 ms", times[150])


def much(b):
    """much output, little memory"""
    fresh("s")
    role = b.role("channel")
    # 256 KiB, 2 MiB, 40 MiB
    for lines in (10_000, 70_000, 1_300_000):
        began = time.monotonic()
        a = c.exec(f"seq {lines} | sed 's/^/a line of output, number /'")
        text = a.out
        ok(text.count("\n") == lines - 1 and text.endswith(f" {lines}") and text.startswith("a line"),
           f"{lines} lines", (a.status, len(text)))
        took = time.monotonic() - began
    ok(took < 10, "40 MiB in time", took)
    rss = memory(role)[0]
    ok(rss < 16 * 1024, "the channel stays small", rss)
    a = c.exec("head -c 3000000 /dev/zero | tr '\\0' x; head -c 3000000 /dev/zero | tr '\\0' y >&2")
    ok(a.out == "x" * 3_000_000 and a.err == "y" * 3_000_000, "both streams", a.status)
    slow = socket.create_connection(("127.0.0.1", port))
    body = json.dumps({"command": "seq 3000000", "sessionId": "slow"}).encode()
    slow.sendall(b"POST /api/execute HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    time.sleep(1)
    ok(c.exec("echo on", "slow").out == "on" and memory(role)[0] < 16 * 1024, "a client that reads nothing holds nobody up")
    slow.close()


def alone(b):
    """commands without a session"""
    a = c.exec("echo a; echo b >&2; pwd; exit 3", NO_SESSION)
    ok(a.status == 200 and a.code == 3 and a.out == f"a\n{default()}\n" and a.err == "b\n" and
       a.json()["sessionId"] == NO_SESSION, "the last newline stays", a)
    ok(c.exec("X=1; cd /", NO_SESSION).code == 0 and c.exec("echo ${X-none}", NO_SESSION).out == "none\n", "nothing stays")
    ok(c.exec("echo $K; pwd", NO_SESSION, env={"K": "v"}, cwd="/usr").out == "v\n/usr\n", "variables and directory")
    a = c.exec("pwd", NO_SESSION, cwd="/nowhere")
    ok(a.code == 1 and "Failed to change directory to '/nowhere'" in a.err, "a directory that is not there", a)
    began = time.monotonic()
    a = c.exec("echo x; sleep 77", NO_SESSION, timeoutMs=200)
    ok(a.status == 200 and a.code == 124 and a.out == "x\n" and a.err == "Command timed out after 200ms" and
       time.monotonic() - began < 2, "its time", a)
    ok(NO_SESSION not in c.get("/api/session/list").json()["data"], "and there is no such session")
    ok(all("echo x" not in p["command"] for p in c.get("/api/process/list").json()["processes"]), "nor a process")
    ok(c.exec("echo 'x", NO_SESSION).code not in (0, None), "unpaired quotes")
    began = time.monotonic()
    threads = [threading.Thread(target=lambda: Api(port).exec("sleep 0.5", NO_SESSION)) for _ in range(8)]
    for x in threads:
        x.start()
    for x in threads:
        x.join()
    ok(time.monotonic() - began < 3.5, "many at once")
    e = c.exec_stream("echo a; pwd", NO_SESSION)
    ok(e.data("stdout") == f"a\n{default()}\n" and e.last["exitCode"] == 0, "a stream", e)
    p = c.start("echo a; sleep 77", NO_SESSION).json()["processId"]
    ok(wait_for(lambda: c.logs(p)[0] == "a\n") and c.delete(f"/api/process/{p}").good(), "a process")


# --- streams


def streams(b):
    """execute/stream"""
    fresh("s", env={"FOO": "bar"})
    e = c.exec_stream("echo 1; echo e >&2; (exit 5)")
    ok(e.fields["content-type"] == "text/event-stream" and e.fields["cache-control"] == "no-cache", "its head", e.fields)
    ok(e.kinds()[0] == "start" and e.events[0]["command"] == "echo 1; echo e >&2; (exit 5)" and
       e.events[0]["sessionId"] == "s" and e.events[0]["pid"] > 1 and e.data("stdout") == "1\n" and
       e.data("stderr") == "e\n" and e.last["type"] == "complete" and e.last["exitCode"] == 5 and
       all(STAMP.fullmatch(x["timestamp"]) for x in e.events), "its events", e)
    long = f": '{'y' * 50_000}'; echo on"
    e = c.exec_stream(long)
    ok(e.events[0]["command"] == long and e.data("stdout") == "on\n", "a long command is told whole", e.events[0]["command"][-99:])
    e = c.exec_stream(f": '{'y' * 3_000_000}'; echo on")
    ok(len(e.events[0]["command"]) > 60_000 and e.data("stdout") == "on\n", "a longer one as far as there is room", e.kinds())
    e = c.exec_stream(": '" + "\x01" * 60_000 + "'; echo on")
    ok(len(e.events[0]["command"]) == 8192 and e.data("stdout") == "on\n", "nor is room for more than there is", e.kinds())
    e = c.exec_stream("printf a; sleep 0.4; printf b")
    ok([x["data"] for x in e.events if x["type"] == "stdout"] == ["a", "b"] and e.times[2] - e.times[1] > 0.2, "partial lines go at once",
       (e, e.times))
    e = c.exec_stream("printf '\\303'; sleep 0.2; printf '\\251 \\377 \\000z'; sleep 0.1; printf '\\342\\202'")
    ok(e.data("stdout") == "é \ufffd z\ufffd\ufffd", "characters are never cut", e)
    for command, code in (("exit 3", 3), ("set -e; false; echo no", 1), ("kill -9 $$", 137), ("exec sh -c 'exit 8'", 8), ("true", 0),
                          ("nosuchprogram", 127)):
        e = c.exec_stream(command)
        ok(e.last.get("type") == "complete" and e.last["exitCode"] == code, f"{command}: complete, {code}", e)
    for bad in ("echo 'x", "if; fi", "$("):
        e = c.exec_stream(bad)
        ok(e.last.get("type") == "complete" and e.last["exitCode"] > 0 and e.data("stderr"), f"{bad!r}: complete", e)
    e = c.exec_stream("pwd", cwd="/nowhere")
    ok(e.data("stderr") == "Failed to change directory to '/nowhere'\n" and e.last["exitCode"] == 1, "a missing cwd", e)
    ok([c.exec("echo on").out for _ in range(3)] == ["on"] * 3 and c.get("/api/ping").good(), "after which all goes on")
    e = c.exec_stream("echo $K $FOO; pwd", env={"K": "it's"}, cwd="/usr")
    ok(e.data("stdout") == "it's bar\n/usr\n", "env and cwd", e)
    ok(c.post("/api/execute/stream", {"command": "", "sessionId": "s"}).fails(400, "INVALID_COMMAND"), "an empty command")
    ok(c.post("/api/execute/stream", {"sessionId": "s"}).fails(400, "INVALID_COMMAND"), "none")
    e = c.exec_stream("cat; echo $?")
    ok(e.data("stdout") == "0\n", "stdin is empty", e)
    times = []
    for _ in range(20):
        e = c.exec_stream("true")
        times.append(e.times[-1])
    times.sort()
    t.diag(f"{shell}: a stream of true: p50 {times[10] * 1000:.1f} ms")
    ok(times[10] < 0.1, "a short one takes no 100 ms", times[10])
    e = c.stream("/api/execute/stream", {"command": "echo a; sleep 0.4; echo gone >left2", "sessionId": "s"})
    e.until("stdout")
    e.close()
    ok(wait_for(lambda: os.path.exists(f"{here}/left2"), 3), "a client that goes ends nothing")
    ok(any("left2" in p["command"] for p in c.get("/api/process/list").json()["processes"]), "each is a process, too")


def state(b):
    """a stream begins as the session is"""
    fresh("s", env={"FOO": "bar"})
    c.exec("cd /usr; A='a  b'; export B=\"it's\nit\"; unset FOO; umask 027; readonly R=ro")
    look = "pwd; echo \"$A|$B|${FOO-none}|$R\"; umask; sh -c 'echo ${A-none}'"
    want = "/usr\na  b|it's\nit|none|ro\n0027\nnone\n"
    e = c.exec_stream(look)
    ok(e.data("stdout") == want and e.last["exitCode"] == 0, "directory, variables, umask", e)
    p = c.start(look).json()["processId"]
    c.ended(p)
    ok(c.logs(p)[0] == want, "a process, too", c.logs(p))
    c.exec_stream("cd /; A=other; export B=other; exit 3")
    ok(c.exec(look).out == want[:-1], "and changes nothing in it", c.exec(look))
    c.exec("set -eu")
    e = c.exec_stream("echo $NOPE; echo no")
    ok(e.data("stdout") == "" and e.last["exitCode"] > 0, "options", e)
    c.exec("set +eu; A=new")
    ok(c.exec_stream("echo $A").data("stdout") == "new\n", "as it is now")
    slow = threading.Thread(target=lambda: Api(port).exec("sleep 0.3; A=later"))
    slow.start()
    time.sleep(0.1)
    ok(c.exec_stream("echo $A").data("stdout") == "later\n", "after the commands before it")
    slow.join()
    c.exec(f"mkdir {here}/gone; cd {here}/gone; rmdir {here}/gone")
    e = c.exec_stream("echo on")
    ok(e.data("stdout") == "on\n" and e.last["exitCode"] == 0, "in a directory that is not there any more", e)
    c.exec("cd /usr")
    e = c.exec_stream("echo $A", env={"A": "own"})
    ok(e.data("stdout") == "own\n", "a variable of its own goes before the session's", e)


@bash_only
def state_bash(b):
    """what only a bash can tell"""
    fresh("s")
    c.exec("f() { echo \"f:$1\"; }; g() { local x=1; f $((x + 1)); }; arr=(1 'two 2' 3); declare -A map=([k]=v); declare -i n=5\n"
           "shopt -s extglob expand_aliases; alias al='echo alias'; set -o pipefail; export -f f")
    e = c.exec_stream("g; echo \"${arr[1]} ${map[k]} $((n + 1))\"; al; [[ aab == +(a)b ]] && echo ext; false | true; echo $?; "
                      "bash -c 'f x'")
    ok(e.data("stdout") == "f:2\ntwo 2 v 6\nalias\next\n1\nf:x\n" and not e.data("stderr"), "functions, arrays, aliases, options", e)
    e = c.exec_stream("echo $PINNACE_JOB")
    ok(e.data("stdout").strip() != c.exec("echo $PINNACE_JOB").out, "its mark is its own", e)


def much_stream(b):
    """much output in a stream"""
    fresh("s")
    role = b.role("channel")
    began = time.monotonic()
    e = c.exec_stream("seq 300000 | sed 's/^/a line of output, number /'")
    ok(e.data("stdout") == "".join(f"a line of output, number {i}\n" for i in range(1, 300001)), "all of it, in order",
       len(e.data("stdout")))
    ok(time.monotonic() - began < 20 and memory(role)[0] < 24 * 1024, "in time, in little memory", memory(role))
    e = c.stream("/api/execute/stream", {"command": "seq 3000000; echo end >&2", "sessionId": "s"})
    time.sleep(0.5)
    ok(c.exec("echo on").out == "on" and memory(role)[0] < 24 * 1024, "a slow client holds nobody up", memory(role))
    e.close()


# --- processes


def processes(b):
    """started, shown, ended"""
    fresh("s", env={"FOO": "bar"})
    a = c.start("echo started $FOO; echo e >&2; sleep 77", processId="p1")
    ok(a.good(processId="p1", command="echo started $FOO; echo e >&2; sleep 77") and a.json()["pid"] > 1, "started", a)
    pid = a.json()["pid"]
    ok(wait_for(lambda: c.logs("p1") == ("started bar\n", "e\n")), "its output", c.logs("p1"))
    p = c.process("p1")
    ok(p["id"] == "p1" and p["pid"] == pid and p["status"] == "running" and p["command"].startswith("echo started") and
       STAMP.fullmatch(p["startTime"]) and "endTime" not in p and "exitCode" not in p, "shown", p)
    a = c.start("exit 4")
    other = a.json()["processId"]
    ok(other.startswith("proc_") and c.ended(other)["status"] == "failed" and c.process(other)["exitCode"] == 4 and
       STAMP.fullmatch(c.process(other)["endTime"]), "one that has failed", c.process(other))
    done = c.start("true").json()["processId"]
    ok(c.ended(done)["status"] == "completed", "one that has not")
    listed = c.get("/api/process/list").json()["processes"]
    ids = [x["id"] for x in listed]
    ok(ids.index("p1") < ids.index(other) and ids.index("p1") < ids.index(done) and all("endTime" not in x for x in listed),
       "listed, running ones first", ids)
    ok([x["id"] for x in c.get("/api/process/list?status=running").json()["processes"]] == ["p1"], "those that run")
    s = c.stream("/api/process/p1/stream")
    s.until("stdout")
    began = time.monotonic()
    a = c.delete("/api/process/p1")
    ok(a.good(processId="p1") and time.monotonic() - began < 1 and gone(pid, b), "told to end", a)
    s.all()
    ok(s.events[0]["type"] == "process_info" and s.events[0]["status"] == "running" and s.data("stdout") == "started bar\n" and
       s.data("stderr") == "e\n" and s.last["type"] == "exit" and s.last["exitCode"] == 143 and
       s.last["data"] == "Process killed with exit code 143" and all(x["processId"] == "p1" for x in s.events), "its stream", s)
    s = c.stream("/api/process/p1/stream").all()
    ok(s.data("stdout") == "started bar\n" and s.last["exitCode"] == 143, "a stream after its end", s)
    ok(c.process("p1")["status"] == "killed", "it was killed", c.process("p1"))
    ok(c.delete("/api/process/p1").fails(404, "COMMAND_NOT_FOUND", processId="p1"), "ended already")
    for a in (c.get("/api/process/nope"), c.get("/api/process/nope/logs"), c.get("/api/process/nope/stream"),
              c.delete("/api/process/nope")):
        ok(a.fails(404, "PROCESS_NOT_FOUND", processId="nope"), "an unknown one", a)
    ok(c.start("").fails(400, "INVALID_COMMAND"), "an empty command")
    ok(c.start("true", processId="x" * 70).fails(400, "VALIDATION_FAILED"), "a long id")
    a = c.start("echo again; sleep 77", processId="p1")
    ok(a.good() and wait_for(lambda: c.logs("p1")[0] == "again\n") and c.process("p1")["status"] == "running",
       "an id that is used again", a)
    a = c.exec("sleep 77", background=True)
    ok(a.good() and a.json()["processId"].startswith("proc_") and a.json()["pid"] > 1, "background: true", a)
    a = c.start("echo 'x")
    ok(c.ended(a.json()["processId"])["status"] == "failed", "unpaired quotes", a)
    a = c.start("true", cwd="/nowhere")
    ok(c.ended(a.json()["processId"])["exitCode"] == 1, "a missing cwd", a)
    odd = c.start("echo odd", processId="a b:é%").json()["processId"]
    ok(c.get("/api/process/a%20b:%C3%A9%25").good(), "an id that has to be encoded", odd)
    big = "# " + "y" * 300_000
    a = c.start(f"echo big\n{big}")
    ok(a.json()["command"].endswith(big) and c.ended(a.json()["processId"])["exitCode"] == 0 and
       c.logs(a.json()["processId"])[0] == "big\n", "a command of 300 kB", a.status)
    ok(c.delete("/api/process/kill-all").good(cleanedCount=2), "all are told to end")


def kills(b):
    """the whole tree, in time"""
    fresh("s")
    script = "trap '' TERM; sh -c 'trap \"\" TERM; sleep 77; sleep 77' & echo up; sleep 77; sleep 77; wait"
    pids = []
    for i in range(3):
        pids.append(c.start(script, processId=f"k{i}").json()["pid"])
    for i in range(3):
        wait_for(lambda i=i: c.logs(f"k{i}")[0] == "up\n")
    began = time.monotonic()
    a = c.delete("/api/process/kill-all")
    took = time.monotonic() - began
    ok(a.good(cleanedCount=3) and 4.5 < took < 9, "three that ignore TERM, in 5 s", (a, took))
    ok(all(gone(p, b) for p in pids) and c.process("k0")["exitCode"] == 137 and c.process("k0")["status"] == "killed",
       "by KILL", c.process("k0"))
    ok(wait_for(lambda: c.exec("pgrep -f '^sleep 77'").out == "", 3), "and their children")
    ok(c.delete("/api/process/kill-all").good(cleanedCount=0), "none is left")
    p = c.start("trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.05; done").json()["processId"]
    wait_for(lambda: c.logs(p)[0] == "up\n")
    ok(c.delete(f"/api/process/{p}").good() and c.process(p)["exitCode"] == 3 and c.logs(p)[0] == "up\nbye\n",
       "one that ends well", c.process(p))


def survive(b):
    """the channel dies"""
    fresh("s", env={"FOO": "bar"})
    c.exec("cd /usr; A=7")
    c.start("echo before; sleep 0.8; echo after; exit 4", processId="live")
    c.start("true", processId="dead")
    c.ended("dead")
    wait_for(lambda: c.logs("live")[0] == "before\n")

    def talk():
        with contextlib.suppress(Exception):
            Api(port).exec(f"echo >{here}/talking; i=0; while [ $((i += 1)) -le 3000 ]; do echo a line; done; "
                           "sleep 0.5; DONE=$i", "talks")

    def hang():
        with contextlib.suppress(Exception):
            Api(port).exec(f"KEEP=7; echo >{here}/hanging; while :; do :; done", "hangs", timeoutMs=2000)

    hanger = threading.Thread(target=hang)
    hanger.start()
    wait_for(lambda: os.path.exists(f"{here}/hanging"))
    os.unlink(f"{here}/hanging")
    talker = threading.Thread(target=talk)
    c.exec("true", "talks")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(f"{here}/talking")
    talker.start()
    wait_for(lambda: os.path.exists(f"{here}/talking"))
    old = b.role("channel")
    os.kill(old, signal.SIGKILL)
    wait_for(lambda: (p := b.role("channel")) and p != old)
    c.close()
    c.up()
    talker.join()
    hanger.join()
    began = time.monotonic()
    a = c.exec("echo $KEEP", "hangs")
    ok(a.out == "7" and time.monotonic() - began < 5, "a command's time goes on", (a, time.monotonic() - began))
    a = c.exec("echo ${DONE-none}", "talks")
    ok(a.out == "3001", "a command that prints goes on", a)
    ok(c.get("/api/session/list").json()["data"].count("s") == 1, "sessions are there")
    a = c.exec("pwd; echo $A $FOO")
    ok(a.out == "/usr\n7 bar", "with their shells", a)
    ok(c.process("dead")["status"] == "completed" and c.process("dead")["command"] == "true", "and ended processes")
    s = c.stream("/api/process/live/stream").all()
    ok("after\n" in s.data("stdout") and s.last["exitCode"] == 4, "and those that run", s)
    ok(c.exec_stream("echo $A").data("stdout") == "7\n", "and what they know")


@bash_only
def storm(b):
    """all of it at once, by many, for a while"""
    end, strange = time.monotonic() + 10, []

    def one(k, rng):
        s, p = f"storm{rng.randrange(5)}", f"storm{rng.randrange(12)}"
        command = rng.choice(["echo x; echo y >&2", "echo 'x", "exit 3", "kill -9 $$", "seq 100000", "(sleep 0.2; seq 9) & :", "set -e; false"])
        act = rng.randrange(12)
        if act < 4:
            a = k.exec(command, s)
            good = a.status == 410 or (a.status == 200 and (not command.startswith("echo x") or a.out == "x"))
        elif act == 4:
            a = k.exec(rng.choice(["sleep 9", "while :; do :; done", "x=$(sleep 9)", "sleep 9 | cat"]), s, timeoutMs=rng.randrange(1, 150))
            good = a.status in (410, 500)
        elif act < 7:
            a = k.stream("/api/execute/stream", {"command": command, "sessionId": s})
            if a.status == 200 and rng.random() < 0.5:
                a.all()
            good = a.status in (200, 410) and (not a.ended or a.last["type"] == "complete")
            a.close()
        elif act == 7:
            a = k.start("sleep 5", s, processId=p)
            good = a.status in (200, 410)
        elif act == 8:
            a = k.delete(f"/api/process/{p}") if rng.random() < 0.8 else k.delete("/api/process/kill-all")
            good = a.status in (200, 404)
        elif act == 9:
            a = k.post(rng.choice(["/api/session/create", "/api/session/delete"]), {"id": s, "sessionId": s})
            good = a.status in (200, 409) or a.fails(500, "INTERNAL_ERROR", "not found")
        elif act == 10:
            a = k.exec("echo $Q; pwd", s, env={"Q": "1"}, cwd="/usr")
            good = a.status == 410 or a.out == "1\n/usr"
        else:
            a = k.get(rng.choice(["/api/process/list", f"/api/process/{p}/logs", "/api/session/list"]))
            good = a.status in (200, 404)
        if not good:
            strange.append((act, command, a))

    def client(seed):
        k, rng = Api(port), random.Random(seed)
        while time.monotonic() < end:
            try:
                one(k, rng)
            except Exception as e:
                strange.append((seed, repr(e)))
                return

    threads = [threading.Thread(target=client, args=(i,)) for i in range(10)]
    for x in threads:
        x.start()
    for x in threads:
        x.join()
    ok(not strange, "each is answered as it should be", strange[:5])
    ok([c.exec("echo on", f"storm{i}").out for i in range(5)] == ["on"] * 5, "and all goes on after it")
    ok(c.delete("/api/process/kill-all").good(), "all can be ended")
    for i in range(5):
        c.post("/api/session/delete", {"sessionId": f"storm{i}"})


# --- ports


class Site(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.hosts.append(self.headers["Host"])
        self.server.paths.append(self.path)
        status = {"/": 302, "/there": 204, "/bad": 500}.get(self.path, 404)
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "/there")
        self.end_headers()

    def log_message(self, *_):
        pass


def ports(b):
    """watched and listed"""
    site = http.server.HTTPServer(("127.0.0.1", 0), Site)
    site.hosts, site.paths = [], []
    number = site.server_address[1]
    threading.Thread(target=site.serve_forever, daemon=True).start()
    fresh("s")
    e = c.stream("/api/port-watch", {"port": number, "mode": "http", "statusMax": 299}).all()
    ok(e.events == [{"type": "watching", "port": number}, {"type": "ready", "port": number, "statusCode": 204}],
       "http, through a redirect", e)
    ok(set(site.hosts) == {f"localhost:{number}"}, "by the name localhost", site.hosts)
    e = c.stream("/api/port-watch", {"port": number, "mode": "tcp"}).all()
    ok(e.last == {"type": "ready", "port": number}, "tcp", e)
    e = c.stream("/api/port-watch", {"port": number, "mode": "http", "path": "/bad", "statusMin": 500, "statusMax": 500}).all()
    ok(e.last.get("statusCode") == 500, "a status that is wanted", e)
    e = c.stream("/api/port-watch", {"port": number, "mode": "http", "path": "bad \u00e9?a=b#c", "statusMax": 599}).all()
    ok(site.paths[-1] == "/bad%20%C3%A9?a=b" and e.last["type"] == "ready", "a path that has to be encoded", (site.paths, e))
    ok(c.post("/api/port-watch", {"port": number, "path": "/" + " " * 700}).fails(400, "VALIDATION_FAILED"), "one that is too long")
    site.shutdown()
    site.server_close()
    closed = free_port()
    c.start("sleep 0.3; exit 6", processId="server")
    e = c.stream("/api/port-watch", {"port": closed, "mode": "tcp", "processId": "server", "interval": 100}).all()
    ok(e.last == {"type": "process_exited", "port": closed, "exitCode": 6}, "its process ends", e)
    e = c.stream("/api/port-watch", {"port": closed, "mode": "tcp", "interval": 100})
    e.next()
    with socket.socket() as late:
        late.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        time.sleep(0.4)
        late.bind(("127.0.0.1", closed))
        late.listen()
        ok(e.all().last == {"type": "ready", "port": closed}, "one that opens later", e)
    for bad in (0, 65536, "x", None):
        ok(c.post("/api/port-watch", {"port": bad}).status == 400, f"port {bad!r}")
    leaver = c.stream("/api/port-watch", {"port": free_port(), "mode": "tcp"})
    leaver.next()
    leaver.close()
    ok(c.post("/api/expose-port", {"port": 8080, "sessionId": "s", "name": "web"}).good(port=8080, url="http://localhost:8080"),
       "exposed")
    ok(c.post("/api/expose-port", {"port": 8080}).fails(409, "PORT_ALREADY_EXPOSED"), "twice")
    for bad in (0, 3000, 70000):
        ok(c.post("/api/expose-port", {"port": bad}).fails(400, "INVALID_PORT"), f"port {bad}")
    ok(c.get("/api/exposed-ports?session=s").good(ports=[{"port": 8080, "url": "http://localhost:8080", "status": "active"}]),
       "listed")
    ok(c.delete("/api/exposed-ports/8080?session=s").good(port=8080), "no more")
    ok(c.delete("/api/exposed-ports/8080").fails(404, "PORT_NOT_EXPOSED"), "twice no more")


def absent(b):
    """what is not there"""
    ok(c.get("/api/interpreter/health").fails(501, "PYTHON_NOT_AVAILABLE"), "interpreter")
    ok(c.post("/api/contexts", {"language": "javascript"}).fails(501, "JAVASCRIPT_NOT_AVAILABLE"), "its contexts")
    ok(c.post("/api/contexts", {}).fails(501, "PYTHON_NOT_AVAILABLE"), "of python")
    ok(c.get("/api/contexts").good(contexts=[]) and c.delete("/api/contexts/x").fails(404, "CONTEXT_NOT_FOUND", contextId="x"),
       "none is there")
    a = c.post("/api/execute/code", {"code": "1"})
    ok(a.status == 501 and a.json()["code"] == "PYTHON_NOT_AVAILABLE" and a.json()["error"], "code", a)
    ok(c.post("/api/execute/code", {"code": "1", "context_id": "x"}).status == 404, "code in a context")
    a = c.get("/rpc", Upgrade="websocket", Connection="Upgrade")
    ok(a.status == 501 and "rpc" in a.json()["message"], "rpc", a)
    ok(c.post("/api/desktop/start", {}).status == 501 and c.get("/api/desktop/status").status == 501, "desktop")
    ok(c.post("/api/backup/upload-parts", {}).fails(501, "BACKUP_CREATE_FAILED"), "upload-parts")


# --- who may ask, and when


def held():
    """a box that is not ready yet"""
    ports = {hold: free_port() for hold in ("sessions", "all", "nothing")}
    box = Box(t, "".join(f"[channel {h}]\ndialect = cloudflare\nlisten = tcp:127.0.0.1:{p}\nauth = none\nhold = {h}\n"
                         for h, p in ports.items()) + f"[service slow]\ncommand = sh -c 'until [ -e {t.dir}/go ]; do sleep 0.05; done'\n"
              "oneshot = yes\n[net]\nrepair = off\n", ["sleep", "900"], env={"HOME": home})
    apis = {h: Api(p) for h, p in ports.items()}
    ok(apis["nothing"].up(), "pings are answered")
    ok(apis["nothing"].post("/api/session/create", {"id": "n"}).good() and apis["nothing"].get("/").status == 200,
       "hold = nothing: sessions and GET / as well")
    ok(apis["sessions"].get("/").status == 200 and apis["all"].get("/api/ping").good() and
       apis["sessions"].exec("echo on", "n").out == "on", "hold = sessions: all else")
    done = {}

    def ask(name, hold, method, path, body=None):
        done[name] = Api(ports[hold]).call(method, path, body), time.monotonic()

    threads = [threading.Thread(target=ask, args=a) for a in (
        ("create", "sessions", "POST", "/api/session/create", {"id": "m"}), ("root", "all", "GET", "/"),
        ("twice", "sessions", "POST", "/api/session/create", {"id": "n"}), ("create all", "all", "POST", "/api/session/create", {"id": "o"}),
        ("alone", "sessions", "POST", "/api/execute", {"command": f"ls {t.dir}/go", "sessionId": NO_SESSION}))]
    for x in threads:
        x.start()
    gone_away = socket.create_connection(("127.0.0.1", ports["all"]))
    gone_away.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    time.sleep(0.5)
    gone_away.close()
    ok(set(done) == {"twice"} and done["twice"][0].status == 409, "what is held waits; a name that is taken is told at once", done)
    with open(f"{t.dir}/go", "w"):
        ready = time.monotonic()
    for x in threads:
        x.join(5)
    ok(set(done) == {"twice", "create", "root", "create all", "alone"} and
       all(done[n][0].status == 200 for n in ("create", "root", "create all")) and done["alone"][0].code == 0 and
       all(done[n][1] - ready < 1 for n in done), "and is answered when the box is ready", (done, ready))
    ok(apis["sessions"].exec("echo on", "m").out == "on" and box.end()[0] == 143, "it can be used")


def guarded():
    """a token, and another user"""
    ports = free_port(), free_port()
    box = Box(t, f"[channel token]\ndialect = cloudflare\nlisten = tcp:127.0.0.1:{ports[0]}\ntoken = secret\n"
              f"[channel user]\ndialect = cloudflare\nlisten = tcp:127.0.0.1:{ports[1]}\nauth = none\nuser = nobody\n"
              f"origins = https://good.example\n[net]\nrepair = off\n", ["sleep", "900"], env={"HOME": home})
    token, user = Api(ports[0]), Api(ports[1])
    ok(user.up(), "the box is there", box)
    ok(token.get("/api/ping").status == 401 and token.get("/api/ping", Authorization="Bearer wrong").status == 401, "without the token")
    a = token.post("/api/execute", {"command": "echo on"}, Authorization="Bearer secret", X_Session_Id="x")
    ok(a.out == "on" and token.get("/api/session/list", Authorization="Bearer secret").json()["data"] == ["x"],
       "with it, which is no session's id", a)
    ok(user.get("/api/ping", Origin="https://good.example").good() and
       user.get("/api/ping", Origin="https://bad.example").status == 403, "a page that is named, and one that is not")
    ok(user.call("OPTIONS", "/api/execute", Origin="https://good.example").status == 204, "which asks before it asks")
    a = user.exec("id -un; touch x; echo $HOME; echo e >&2", "s", cwd="/tmp")
    ok(a.status == 200 and a.out.startswith("nobody"), "a session of a user", a)
    big = "# " + "y" * 300_000
    a = user.exec(f"id -un\n{big}", "s", env={"K": "v"})
    ok(a.out == "nobody", "a long command of its", (a.status, a.err))
    e = user.exec_stream("id -un; echo $K", "s", env={"K": "v"})
    ok(e.data("stdout") == "nobody\nv\n", "a stream of it", e)
    user.exec("V=1", "s")
    ok(user.exec_stream(f"id -un; echo $V\n{big}", "s").data("stdout") == "nobody\n1\n", "a long one")
    ok(user.exec("id -un", NO_SESSION).out == "nobody\n", "one without a session")
    ok(user.exec("sleep 9", "s", timeoutMs=200).status == 500 and user.exec("echo $V", "s").out == "1", "its time")
    old = box.role("channel")
    os.kill(old, signal.SIGKILL)
    wait_for(lambda: (p := box.role("channel")) and p != old)
    user.close()
    user.up()
    ok(user.exec("id -un; echo $V", "s").out == "nobody\n1", "after the channel's end")
    ok(box.end()[0] == 143, "and the box ends", box)


# --- boxes

ROWS = (misc, sessions, whose, execute, mishaps, endings, apart, children_behind, timeouts, order, parallel, much, alone, streams, state,
        state_bash, much_stream, processes, kills, storm, survive, ports, absent)
only = os.environ.get("ROWS", "").split()  # for a look at some of them
BASH = [p for p in ("/bin/bash", "/usr/bin/bash", "/usr/local/bin/bash") if os.path.exists(p)]
HIDE = "".join(f"mount --bind {t.dir}/none {p}\n" for p in sorted({os.path.realpath(p) for p in BASH}))
with open(f"{t.dir}/none", "w") as f:
    os.chmod(f.name, 0o644)


def real_sh(name):
    return os.path.basename(os.path.realpath("/bin/sh")) == name


def shells():
    """(name, commands that make it the one of the box)"""
    if BASH:
        yield "bash", ""
    if real_sh("dash"):
        yield "dash", HIDE
    busybox = shutil.which("busybox")
    if busybox:
        yield "ash", HIDE + f"mount --bind {busybox} {os.path.realpath('/bin/sh')}\n"


def silence():
    """A stream that says nothing for longer than half a minute, in a box of its own."""
    quiet = free_port()
    box = Box(t, f"[channel cf]\ndialect = cloudflare\nlisten = tcp:127.0.0.1:{quiet}\nauth = none\n[net]\nrepair = off\n",
              ["sleep", "900"], env={"HOME": home})
    api = Api(quiet)
    api.up()
    stream = api.stream("/api/execute/stream", {"command": "sleep 31; echo x"}, seconds=60)
    stream.box = box
    return stream


silent = None if only else silence()
for shell, hide in shells():
    picked = [r for r in ROWS if (not only or r.__name__ in only) and (shell == "bash" or not hasattr(r, "bash_only"))]
    box = Box(t, f"[channel cf]\ndialect = cloudflare\nlisten = tcp:127.0.0.1:{port}\nauth = none\n[net]\nrepair = off\n",
              ["sleep", "900"], flags=["-m"], env={"HOME": home, "SANDBOX_VERSION": "1.2.3", "CLOUDFLARE_PLACEMENT_ID": "place"},
              wrap=["sh", "-c", hide + 'exec "$@"', "sh"])
    c.close()
    if not ok(wait_for(lambda: box.status().get("ready")), "the box is there", box):
        continue
    ok(c.exec("echo $0", "x").out.endswith("bash" if shell == "bash" else "sh"), "its shell", c.exec("echo $0", "x"))
    c.post("/api/session/delete", {"sessionId": "x"})
    base = fds(box.role("channel"))
    rows(t, shell, picked, box)
    for id in c.get("/api/session/list").json()["data"]:
        c.post("/api/session/delete", {"sessionId": id})
    c.delete("/api/process/kill-all")
    after = settled(lambda: fds(box.role("channel")), lambda n: n <= base + 1)
    ok(after <= base + 1, "no fd is left behind in the channel", (base, after))
    restarts = 1 if survive in picked else 0
    status = box.status()
    ok(not box.zombies() and status.get("role_restarts") == restarts and status.get("bugs") == 0,
       "no zombie, no bug, no other channel than was killed", (box.zombies(), status, box))
    left = [x for x in os.listdir(f"{box.run_dir}/cloudflare") if os.path.exists(f"{box.run_dir}/cloudflare/{x}/session")]
    ok(not left, "no directory of a session is left", left)
    status, took = box.end()
    ok(status == 143 and took < 3, "and the box ends", (status, took, box))
shell = "box"
if silent:
    silent.all()
    ok(silent.comments >= 1 and silent.data("stdout") == "x\n", "silence is broken by a comment", silent)
    ok(silent.box.end()[0] == 143, "and that box ends")
rows(t, shell, [r for r in (held, guarded) if not only or r.__name__ in only])
t.done()
