#!/usr/bin/env python3
"""Who may ask the channel, and what it does not let itself be told: peers, tokens, origins, what two
readers could understand differently, and too much of anything."""
import concurrent.futures
import contextlib
import json
import os
import re
import socket
import threading
import time

from box import PYTHON, Box
from channel import TOKEN, Client, Wire, free_port, rows, tcp, tcp_section, unix
from tap import Tap, wait_for

t = Tap()
os.chmod(t.dir, 0o711)
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PUBLIC = {"/livez", "/readyz"}


def ok(cond, name, diag=""):
    return t.ok(cond, name, diag)


def routes():
    """(method, path) of docs/openapi.yaml, paths filled in."""
    found, path = [], None
    with open(f"{ROOT}/docs/openapi.yaml") as f:
        for line in f:
            if m := re.fullmatch(r"  (/\S*):\n", line):
                path = m[1].replace("{id}", "000000000000").replace("{name}", "main")
            elif (m := re.fullmatch(r"    (get|put|post|delete):\n", line)) and path:
                found.append((m[1].upper(), path))
    return found


ALL = routes()


def answer(address, request, timeout=10):
    """(status, whole answer, was it closed) of these bytes; 0: closed without an answer."""
    s = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
    got, closed = b"", True
    with s:
        s.settimeout(None)  # blocking: the backlog may be full
        s.connect(address)
        s.settimeout(timeout)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            s.sendall(request)
        try:
            while chunk := s.recv(65536):
                got += chunk
        except TimeoutError:
            closed = False
        except ConnectionResetError:
            pass
    first = got.split(b" ", 2)
    return (int(first[1]) if len(first) > 2 else 0), got, closed


# --- by the peer

def ask_as(uid, path, asked, gid=9, groups=()):
    """[status, answer] of each (method, target, fields), asked by another user: in a fork."""
    r, w = os.pipe()
    if (child := os.fork()) == 0:
        out = []
        try:
            os.setgroups(list(groups))
            os.setresgid(gid, gid, gid)
            os.setresuid(uid, uid, uid)
            for method, target, fields in asked:
                try:
                    code, got, _ = answer(path, f"{method} {target} HTTP/1.1\r\nHost: x\r\n{fields}"
                                          "Connection: close\r\n\r\n".encode(), 5)
                    out.append([code, got.decode(errors="replace")])
                except OSError as why:
                    out.append([0, repr(why)])
        finally:
            with os.fdopen(w, "w") as f:
                json.dump(out, f)
            os._exit(0)
    os.close(w)
    with os.fdopen(r) as f:
        out = json.load(f)
    os.waitpid(child, 0)
    return out


def peers():
    """peer credentials"""
    b = Box(t, "[channel local]\nmode = 0666\nusers = 4711 nobody\n[pinnace]\nlog-level = info\n",
            ["sleep", "600"])
    wait_for(lambda: b.status().get("ready"))
    path = f"{b.run_dir}/pinnace.sock"
    ok(unix(b).get("/v1/status").status == 200, "root may ask")
    for uid in (4711, 65534):
        got = ask_as(uid, path, [("GET", "/v1/status", ""), ("GET", "/v1/jobs", "")])
        ok([c for c, _ in got] == [200, 200], f"uid {uid}, one of users: may ask", got)
    got = ask_as(4999, path, [(m, p, "") for m, p in ALL])
    bad = [(r, g) for r, g in zip(ALL, got) if g[0] != (200 if r[1] in PUBLIC else 403)]
    ok(len(ALL) > 30 and not bad, f"uid 4999: 403 for {len(ALL) - 2} routes, 200 for /livez and /readyz",
       bad[:4])
    ok('"code":"permission"' in got[3][1], "and says why", got[3])
    got = ask_as(4999, path, [("GET", "/v1/status", f"Authorization: Bearer {TOKEN}\r\n"),
                              ("GET", "/v1/nothing", ""), ("OPTIONS", "/v1/exec", ""),
                              ("GET", "/livez/../v1/status", ""), ("GET", "//v1/status", ""),
                              ("HEAD", "/v1/status", ""), ("HEAD", "/livez", "")])
    ok([c for c, _ in got][:2] == [403, 403] and got[3][0] in (403, 404) and got[4][0] in (403, 404) and
       [c for c, _ in got][5:] == [403, 200], "a token does not help there, nor another spelling", got)
    got = ask_as(4999, path, [("GET", "/v1/status", "")], gid=0, groups=[0, 4711])
    ok(got[0][0] == 403, "nor root's group", got)
    b.kill()
    b = Box(t, "", ["sleep", "600"])
    wait_for(lambda: b.status().get("ready"))
    mode = os.stat(f"{b.run_dir}/pinnace.sock").st_mode & 0o7777
    got = ask_as(4999, f"{b.run_dir}/pinnace.sock", [("GET", "/livez", "")])
    ok(mode == 0o600 and got[0][0] == 0, "by default others cannot even connect", (oct(mode), got))
    b.kill()


# --- by the token

def tokens():
    """tokens"""
    port = free_port()
    b = Box(t, tcp_section(port), ["sleep", "600"])
    wait_for(lambda: b.status().get("ready"))
    a = ("127.0.0.1", port)
    closing = {"Connection": "close"}
    bad = []
    for method, path in ALL:
        c = Client(a, fields=closing)
        got = c.call(method, path)
        want = (200,) if path in PUBLIC else (401,)
        if got.status not in want or (got.status == 401 and (got.error != "unauthorized" or
                                                             got.fields.get("www-authenticate") != "Bearer")):
            bad.append((method, path, got))
    ok(not bad, f"without a token: 401 for {len(ALL) - 2} routes, with WWW-Authenticate", bad[:4])
    for target in ("/v1/nothing", "/", "/v1/status?x=1"):
        ok(Client(a).get(target).status == 401, f"GET {target} without a token: 401, too")

    def auth(value, more=""):
        began = time.monotonic()
        code, text, closed = answer(a, f"GET /v1/status HTTP/1.1\r\nHost: x\r\n{more}Authorization: {value}\r\n"
                                    "Connection: close\r\n\r\n".encode("latin-1"), 5)
        return code, time.monotonic() - began, closed, text[:300]
    for value in (f"Bearer {TOKEN}", f"bearer {TOKEN}", f"BEARER {TOKEN}", f"  Bearer {TOKEN}  "):
        got = auth(value)
        ok(got[0] == 200 and got[1] < 0.4, f"{value!r}: 200", got)
    wrong = ("Bearer wrong", "Bearer ", "Bearer", "", f"Bearer {TOKEN[:-1]}", f"Bearer {TOKEN}x",
                  f"Bearer {TOKEN.upper()}", f"Bearer x{TOKEN}", f"Bearer {TOKEN} x", f"Basic {TOKEN}", TOKEN,
                  "Bearer " + "x" * 4096, "Bearer " + "x" * 30000, f"Bearer {TOKEN}" + "x" * 5000,
                  f"Bearer\t{TOKEN}", f"Bearer \xff{TOKEN}")
    with concurrent.futures.ThreadPoolExecutor(len(wrong)) as pool:
        answers = list(pool.map(auth, wrong))
    for value, got in zip(wrong, answers):
        ok(got[0] == 401 and 0.45 < got[1] < 3 and got[2], f"{value[:60]!r}: 401, after half a second, closed",
           got)
    got = auth("Bearer wrong", f"Authorization: Bearer {TOKEN}\r\n")
    ok(got[0] in (400, 401), "Authorization twice: no", got)
    got = auth(f"Bearer {TOKEN}", "Authorization: Bearer wrong\r\n")
    ok(got[0] in (400, 401), "in either order", got)
    ok(Client(a).get(f"/v1/status?token={TOKEN}").status == 401, "a token in the query is none")
    # one that waits for its 401 is not asked anything else
    code, text, closed = answer(a, b"GET /v1/status HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer wrong\r\n\r\n" +
                                f"GET /livez HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode())
    ok(code == 401 and text.count(b"HTTP/1.1 ") == 1 and closed, "nothing after a wrong token is read", text)
    c = tcp(port)
    first = c.get("/v1/status")
    wire = c.wire
    again = c.get("/v1/jobs")
    ok((first.status, again.status) == (200, 200) and c.wire is wire, "each request shows it, on one connection")
    c.fields.pop("Authorization")
    ok(c.get("/v1/jobs").status == 401, "and one that does not is refused on the same")

    # many wrong ones
    stop, codes = time.monotonic() + 2.5, []

    def guess():
        while time.monotonic() < stop:
            with contextlib.suppress(OSError):
                codes.append(answer(a, b"GET /v1/status HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer no\r\n\r\n")[0])
    guessers = [threading.Thread(target=guess) for _ in range(48)]
    for x in guessers:
        x.start()
    c, took = tcp(port), []
    while time.monotonic() < stop - 0.3:
        began = time.monotonic()
        c.close()
        code = c.get("/v1/status").status
        took.append(time.monotonic() - began if code == 200 else 99)
    for x in guessers:
        x.join()
    ok(took and sorted(took)[len(took) // 2] < 0.1 and max(took) < 0.5,
       "48 that guess do not delay the one who knows", (max(took, default=None), len(took)))
    ok(set(codes) <= {401, 0} and 401 in codes and len(codes) < 48 * 8, "and get two guesses a second each",
       (len(codes), set(codes)))
    ok(b.status().get("role_restarts") == 0, "the channel stands", b)
    ok(TOKEN not in b.err() and TOKEN not in b.out() and TOKEN not in
       "".join(open(f"/proc/{p}/cmdline").read() for p in (b.init, b.role("channel"))), "the token is printed nowhere")
    env = unix(b).run(["env"]).out
    ok(TOKEN.encode() not in env, "nor in the environment of jobs", env)
    b.kill()


def token_files():
    """token-file, PINNACE_CHANNEL_REMOTE_TOKEN"""
    file, port = f"{t.dir}/token", free_port()
    for text, works in ((f"{TOKEN}\n", True), (f"{TOKEN}\r\n", True), (TOKEN, True), ("", False), ("\n\n", False),
                        ("x" * 100000, False)):
        with open(file, "w") as f:
            f.write(text)
        b = Box(t, tcp_section(port, f"token-file = {file}"), ["sleep", "600"])
        up = wait_for(lambda: b.status().get("ready") or b.p.poll() is not None)
        if works:
            ok(up and tcp(port).get("/v1/status").status == 200 and tcp(port, "no").get("/v1/status").status == 401,
               f"token-file with {text[-4:]!r} at its end", b)
        else:
            codes = [tcp(port, x).get("/v1/status").status if b.p.poll() is None else "down"
                     for x in ("", TOKEN, text[:100].strip())]
            ok(not {200} & set(codes) and re.search(r"token-file.*", b.err()),
               f"token-file with {text[:4]!r}: nobody is let in, and the log says so", (codes, b))
        b.kill()
    b = Box(t, tcp_section(port, f"token-file = {t.dir}/none"), ["sleep", "600"])
    wait_for(lambda: b.status().get("ready") or b.p.poll() is not None)
    down = b.p.poll() is not None
    ok((down or tcp(port).get("/v1/status").status in (401, 403)) and f"{t.dir}/none" in b.err(),
       "token-file that is not there: nobody is let in, the log names it", b)
    b.kill()
    b = Box(t, tcp_section(port, ""), ["sh", "-c", "env; exec sleep 600"],
            env={"PINNACE_CHANNEL_REMOTE_TOKEN": TOKEN})
    wait_for(lambda: b.status().get("ready"))
    ok(b.p.poll() is None and tcp(port).get("/v1/status").status == 200, "a token from the environment", b)
    env = unix(b).run(["env"]).out
    ok(TOKEN.encode() not in env and b.prints("PATH") and TOKEN not in b.out(),
       "which neither CMD nor jobs get to see", (env, b.out()))
    b.kill()


# --- by the origin

def origins():
    """browsers"""
    good, port = "https://good.example", free_port()
    b = Box(t, f"[channel local]\norigins = {good} http://localhost:3000\n" + tcp_section(port), ["sleep", "600"])
    wait_for(lambda: b.status().get("ready"))
    u, r = unix(b), tcp(port)
    for c, name in ((u, "unix"), (r, "tcp")):
        for origin in ("http://evil.example", "null", "", f"{good}.evil.example", f"{good}:443", "https://good.exampl",
                       "HTTPS://GOOD.EXAMPLE", f"{good} http://localhost:3000"):
            a = [c.get("/v1/status", Origin=origin), c.post("/v1/exec", {"argv": ["true"]}, Origin=origin),
                 c.get("/livez", Origin=origin), c.call("OPTIONS", "/v1/exec", Origin=origin)]
            ok([x.status for x in a] == [403] * 4 and
               not any("access-control-allow-origin" in x.fields for x in a), f"{name}: Origin {origin!r}: 403", a)
        ok(not c.jobs(), f"{name}: and no job was started", c.jobs())
    a = u.get("/v1/status", Origin=good)
    ok(a.status == 200 and a.fields.get("access-control-allow-origin") == good and
       "origin" in a.fields.get("vary", "").lower() and "access-control-allow-credentials" not in a.fields,
       "an allowed origin is answered, and named", a)
    a = u.call("OPTIONS", "/v1/exec", Origin=good, Access_Control_Request_Method="POST",
               Access_Control_Request_Headers="authorization, content-type")
    allows = a.fields.get("access-control-allow-methods", "")
    ok(a.status in (200, 204) and a.fields.get("access-control-allow-origin") == good and "POST" in allows and
       "authorization" in a.fields.get("access-control-allow-headers", "").lower(), "preflight", a)
    a = r.get("/v1/status", Origin=good)
    ok(a.status == 403, "origins are each channel's own", a)
    b.kill()
    b = Box(t, tcp_section(port, f"token = {TOKEN}\norigins = {good}"), ["sleep", "600"])
    wait_for(lambda: b.status().get("ready"))
    a = Client(("127.0.0.1", port)).call("OPTIONS", "/v1/exec", Origin=good, Access_Control_Request_Method="POST")
    ok(a.status in (200, 204), "a preflight, which has no token, is answered", a)
    a = Client(("127.0.0.1", port)).get("/v1/status", Origin=good)
    ok(a.status == 401 and a.fields.get("access-control-allow-origin") == good,
       "an allowed origin still needs the token, and may read that", a)
    ok(tcp(port).get("/v1/status", Origin=good).status == 200, "with it, it is answered")
    b.kill()


# --- configuration

def configuration():
    """config errors"""
    for text, words in (
            ("[channel r]\nlisten = tcp:127.0.0.1:9\n", "token"),
            ("[channel r]\nlisten = tcp:0.0.0.0:9\nauth = token\n", "token"),
            ("[channel r]\nlisten = vsock:9\n", "token"),
            ("[channel r]\nlisten = tcp:127.0.0.1:9\nauth = peer\n", "auth = peer"),
            ("[channel r]\nlisten = tcp:127.0.0.1:9\ntoken = a\ntoken-file = /b\n", "token"),
            ("[channel r]\nlisten = tcp:127.0.0.1\ntoken = a\n", "listen"),
            ("[channel r]\nlisten = tcp:host.example:80\ntoken = a\n", "listen"),
            ("[channel r]\nlisten = tcp:127.0.0.1:70000\ntoken = a\n", "listen"),
            ("[channel r]\nlisten = udp:127.0.0.1:70\ntoken = a\n", "listen"),
            ("[channel r]\nlisten = unix:relative\n", "listen"),
            ("[channel r]\nlisten = unix:/" + "x" * 200 + "\n", "listen"),
            ("[channel r]\ntoken = a\n", "listen"),
            ("[channel r]\nlisten = tcp:127.0.0.1:9\nauth = maybe\n", "auth"),
            ("[channel r]\nlisten = tcp:127.0.0.1:9\ntoken = a\nmode = 999\n", "mode"),
            ("[channel r]\nlisten = tcp:127.0.0.1:9\ntoken = a\n[channel s]\nlisten = tcp:127.0.0.1:9\ntoken = a\n",
             "listens there already"),
            ("[channel r]\nlisten = tcp:127.0.0.1:9\ntokn = a\n", "tokn")):
        b = Box(t, text, ["sleep", "600"])
        status = b.wait(10)
        ok(status == 125 and words in b.err() and "box.ini" in b.err(),
           f"{text.replace(chr(10), ' | ')[:90]}: refused, with words", (status, b))
    for address, warns in (("127.0.0.1", False), ("0.0.0.0", True)):
        port = free_port()
        b = Box(t, f"[channel open]\nlisten = tcp:{address}:{port}\nauth = none\n", ["sleep", "600"])
        wait_for(lambda: b.status().get("ready"))
        a = Client(("127.0.0.1", port))
        ok(a.get("/v1/status").status == 200 and a.run(["echo", "x"]).out == b"x\n",
           f"auth = none on {address}: anybody may ask", b)
        ok(bool(re.search(r"(?i)warn.*channel open", b.err())) == warns,
           f"and that is {'' if warns else 'not '}warned about", b)
        ok(a.get("/v1/status", Origin="http://evil.example").status == 403, "but not browsers")
        b.kill()
    b = Box(t, "[channel local]\nlisten = none\n", ["sleep", "0.3"])
    time.sleep(0.15)
    there = os.path.exists(f"{b.run_dir}/pinnace.sock")
    ok(b.wait() == 0 and not there, "listen = none: nowhere", (there, b))
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    taken.listen(1)
    b = Box(t, tcp_section(taken.getsockname()[1]), ["sleep", "600"])
    said = b.says(str(taken.getsockname()[1]))
    ok(said and re.search("(?i)in use", b.err()), "a port that is taken is said", b)
    b.kill()


# --- bytes

GET = b"GET /livez HTTP/1.1\r\nHost: x\r\n"
POST = b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\n"
BODY = b'{"argv":["true"]}'
CL = b"Content-Length: %d\r\n" % len(BODY)
TE = b"Transfer-Encoding: chunked\r\n"
CHUNKED = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)

# What follows each of them on the wire is a request that must not be answered.
SMUGGLING = (
    ("bare LF ends lines", b"GET /livez HTTP/1.1\nHost: x\n\n"),
    ("a bare LF in a field", GET + b"X: a\nY: b\r\n\r\n"),
    ("a bare CR in a field", GET + b"X: a\rY: b\r\n\r\n"),
    ("bare LF after the head", GET + b"\n"),
    ("obs-fold", GET + b"X: a\r\n b\r\n\r\n"),
    ("obs-fold with a tab", GET + b"X: a\r\n\tb\r\n\r\n"),
    ("a fold as first line", b"GET /livez HTTP/1.1\r\n Host: x\r\nHost: x\r\n\r\n"),
    ("a blank before the colon", GET + b"X : a\r\n\r\n"),
    ("a tab before the colon", GET + b"X\t: a\r\n\r\n"),
    ("a blank before the length's colon", POST + b"Content-Length : 17\r\n\r\n" + BODY),
    ("no colon", GET + b"X\r\n\r\n"), ("no name", GET + b": a\r\n\r\n"),
    ("a blank in a name", GET + b"X Y: a\r\n\r\n"), ("a bracket in a name", GET + b"X(Y): a\r\n\r\n"),
    ("ä in a name", GET + b"X\xc3\xa4: a\r\n\r\n"), ("NUL in a name", GET + b"X\0: a\r\n\r\n"),
    ("NUL in a value", GET + b"X: a\0b\r\n\r\n"), ("a control character in a value", GET + b"X: a\x01b\r\n\r\n"),
    ("DEL in a value", GET + b"X: a\x7fb\r\n\r\n"),
    ("no Host", b"GET /livez HTTP/1.1\r\n\r\n"), ("Host twice", GET + b"Host: x\r\n\r\n"),
    ("Host twice, another", GET + b"host: y\r\n\r\n"),
    ("two blanks", b"GET  /livez HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("a tab between", b"GET\t/livez HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("a blank at the end", b"GET /livez HTTP/1.1 \r\nHost: x\r\n\r\n"),
    ("a blank in the target", b"GET /livez /x HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("a blank first", b" GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("HTTP/0.9", b"GET /livez\r\n\r\n"), ("HTTP/1.2", b"GET /livez HTTP/1.2\r\nHost: x\r\n\r\n"),
    ("HTTP/2.0", b"GET /livez HTTP/2.0\r\nHost: x\r\n\r\n"), ("http/1.1", b"GET /livez http/1.1\r\nHost: x\r\n\r\n"),
    ("HTTP/1.1x", b"GET /livez HTTP/1.1x\r\nHost: x\r\n\r\n"), ("HTTP/11", b"GET /livez HTTP/11\r\nHost: x\r\n\r\n"),
    ("HTTP/2's preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"),
    ("a target without slash", b"GET livez HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("CONNECT", b"CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("a control character in the target", b"GET /li\x01vez HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("ä in the target", b"GET /liv\xc3\xa4z HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("a bad method", b"G(ET /livez HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("length and chunked", POST + CL + TE + b"\r\n" + CHUNKED),
    ("chunked and length", POST + TE + CL + b"\r\n" + CHUNKED),
    ("length twice", POST + CL + CL + b"\r\n" + BODY),
    ("two lengths", POST + CL + b"Content-Length: 5\r\n\r\n" + BODY),
    ("lengths in a list", POST + b"Content-Length: 17, 17\r\n\r\n" + BODY),
    ("a length with a sign", POST + b"Content-Length: +17\r\n\r\n" + BODY),
    ("a negative length", POST + b"Content-Length: -1\r\n\r\n" + BODY),
    ("a hexadecimal length", POST + b"Content-Length: 0x11\r\n\r\n" + BODY),
    ("a length with a blank", POST + b"Content-Length: 1 7\r\n\r\n" + BODY),
    ("a length with a point", POST + b"Content-Length: 17.0\r\n\r\n" + BODY),
    ("no length at all", POST + b"Content-Length: \r\n\r\n" + BODY),
    ("a length of 2^64", POST + b"Content-Length: 18446744073709551616\r\n\r\n" + BODY),
    ("a length of 2^64 + 17", POST + b"Content-Length: 18446744073709551633\r\n\r\n" + BODY),
    ("gzip", POST + b"Transfer-Encoding: gzip\r\n\r\n" + CHUNKED),
    ("gzip, chunked", POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + CHUNKED),
    ("chunked, chunked", POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n" + CHUNKED),
    ("chunked, identity", POST + b"Transfer-Encoding: chunked, identity\r\n\r\n" + CHUNKED),
    ("identity", POST + b"Transfer-Encoding: identity\r\n" + CL + b"\r\n" + BODY),
    ("chunked twice", POST + TE + TE + b"\r\n" + CHUNKED),
    ("xchunked", POST + b"Transfer-Encoding: xchunked\r\n\r\n" + CHUNKED),
    ("chunked with a tab in it", POST + b"Transfer-Encoding: chun\tked\r\n\r\n" + CHUNKED),
    ("chunked with VT", POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n" + CHUNKED),
    ("chunked in quotes", POST + b"Transfer-Encoding: \"chunked\"\r\n\r\n" + CHUNKED),
    ("chunked;", POST + b"Transfer-Encoding: chunked;\r\n\r\n" + CHUNKED),
    ("no coding", POST + b"Transfer-Encoding:\r\n\r\n" + CHUNKED),
    ("chunked in HTTP/1.0", b"POST /v1/jobs HTTP/1.0\r\nHost: x\r\n" + TE + b"\r\n" + CHUNKED),
    ("a chunk size 0x11", POST + TE + b"\r\n0x11\r\n" + BODY + b"\r\n0\r\n\r\n"),
    ("a chunk size -1", POST + TE + b"\r\n-1\r\n" + BODY + b"\r\n0\r\n\r\n"),
    ("a chunk size +11", POST + TE + b"\r\n+11\r\n" + BODY + b"\r\n0\r\n\r\n"),
    ("a blank before a chunk size", POST + TE + b"\r\n 11\r\n" + BODY + b"\r\n0\r\n\r\n"),
    ("no chunk size", POST + TE + b"\r\n\r\n" + BODY + b"\r\n0\r\n\r\n"),
    ("a chunk size of 17 digits", POST + TE + b"\r\n00000000000000011\r\n" + BODY + b"\r\n0\r\n\r\n"),
    ("a chunk size of 2^64", POST + TE + b"\r\n10000000000000011\r\n" + BODY + b"\r\n0\r\n\r\n"),
    ("a chunk that is longer", POST + TE + b"\r\n10\r\n" + BODY + b"\r\n0\r\n\r\n"),
    ("LF after a chunk size", POST + TE + b"\r\n11\n" + BODY + b"\r\n0\r\n\r\n"),
    ("CR after a chunk size", POST + TE + b"\r\n11\r" + BODY + b"\r\n0\r\n\r\n"),
    ("LF after a chunk", POST + TE + b"\r\n11\r\n" + BODY + b"\n0\r\n\r\n"),
    ("LF in a chunk extension", POST + TE + b"\r\n11;a\nb\r\n" + BODY + b"\r\n0\r\n\r\n"),
    ("NUL in a chunk extension", POST + TE + b"\r\n11;a\0b\r\n" + BODY + b"\r\n0\r\n\r\n"),
    ("LF after the last chunk", POST + TE + b"\r\n11\r\n" + BODY + b"\r\n0\n\n"),
    ("LF in a trailer", POST + TE + b"\r\n11\r\n" + BODY + b"\r\n0\r\nX: a\nY: b\r\n\r\n"),
)


def smuggling():
    """what two readers could understand differently"""
    port = free_port()
    b = Box(t, tcp_section(port, "auth = none"), ["sleep", "600"])
    wait_for(lambda: b.status().get("ready"))
    c, a = unix(b), ("127.0.0.1", port)
    inner = b"GET /readyz HTTP/1.1\r\nHost: smuggled\r\n\r\n"
    for name, text in SMUGGLING:
        for address, how in ((c.address, "unix"), (a, "tcp")):
            code, got, closed = answer(address, text + inner, 4)
            ok((400 <= code < 500 or code in (501, 505)) and closed and
               len(re.findall(rb"HTTP/1\.1 \d{3} ", got)) == 1,
               f"{how}: {name}: refused, and the connection closed", (code, closed, got[:800]))
    ok(not c.jobs(), "and no job came of any of them", c.jobs())
    for name, text, code in (
            ("a request", GET + b"\r\n", 200), ("an empty line before", b"\r\n" + GET + b"\r\n", 200),
            ("blanks around a value", GET + b"X: \t a \t\r\n\r\n", 200), ("no value", GET + b"X:\r\n\r\n", 200),
            ("ä in a value", GET + b"X: \xc3\xa4\r\n\r\n", 200),
            ("HTTP/1.0", b"GET /livez HTTP/1.0\r\n\r\n", 200),
            ("a length of 0 for GET", GET + b"Content-Length: 0\r\n\r\n", 200),
            ("a length with zeros before", POST + b"Content-Length: 0017\r\n\r\n" + BODY, 201),
            ("CHUNKED", POST + b"Transfer-Encoding: CHUNKED\r\n\r\n" + CHUNKED, 201),
            ("extensions and trailers", POST + TE + b"\r\n11;a=\"b\"\r\n" + BODY + b"\r\n0;c\r\nX: y\r\n\r\n", 201),
            ("chunks of a byte", POST + TE + b"\r\n" + b"".join(b"1\r\n%c\r\n" % x for x in BODY) + b"0\r\n\r\n", 201)):
        last = b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        got_code, got, closed = answer(c.address, text + last, 4)
        ok(got_code == code and closed and got.count(b"HTTP/1.1 200") >= 1, f"{name}: {code}", got[:400])
    for name, text in (("a body", CL + b"\r\n" + BODY), ("a chunked body", TE + b"\r\n" + CHUNKED)):
        code, got, closed = answer(c.address, GET + text + GET + b"Connection: close\r\n\r\n", 4)
        codes = re.findall(rb"HTTP/1\.1 (\d{3}) ", got)
        ok(codes in ([b"413"], [b"413", b"200"]) and closed,
           f"{name} for GET: 413, and it is not taken for a request", got)
    return_code, got, _ = answer(c.address, GET + b"\r\n" + b"GET /v1/jobs HTTP/1.1\r\nHost: x\r\n\r\n" +
                                 GET + b"Connection: close\r\n\r\n")
    ok(return_code == 200 and got.count(b"HTTP/1.1 200") == 3 and got.count(b"alive") == 2,
       "three requests at once are answered in order", got)
    with c.connect() as s:
        for byte in POST + CL + b"Connection: close\r\n\r\n" + BODY:
            s.sendall(bytes([byte]))
        got = s.recv(4096)
        ok(got.startswith(b"HTTP/1.1 201"), "a request in single bytes", got)
    with c.connect() as s:
        s.sendall(POST + CL + b"Expect: 100-continue\r\n\r\n")
        first = s.recv(4096)
        s.sendall(BODY)
        second = s.recv(4096)
        ok(first == b"HTTP/1.1 100 Continue\r\n\r\n" and second.startswith(b"HTTP/1.1 201"),
           "Expect: 100-continue", (first, second))
    ok(b.status().get("role_restarts") == 0 and b.status().get("bugs") == 0, "the channel stands", b)
    b.kill()


def oversized():
    """too much of anything"""
    port = free_port()
    b = Box(t, tcp_section(port, "auth = none"), ["sleep", "600"])
    wait_for(lambda: b.status().get("ready"))
    c, a = unix(b), ("127.0.0.1", port)
    mib16 = 16 << 20
    spaces = b'{"argv":["true"]' + b" " * 100000 + b"}"
    for name, text, want in (
            ("a line of 8 KiB + 1", b"GET /" + b"a" * (8193 - 14) + b" HTTP/1.1\r\nHost: x\r\n\r\n", (414,)),
            ("a line without end", b"GET /" + b"a" * 100000, (414,)),
            ("a method of 100 kB", b"G" * 100000, (400, 414)),
            ("a field of 40 KiB", GET + b"X: " + b"a" * 40960 + b"\r\n\r\n", (431,)),
            ("a name of 40 KiB", GET + b"X" * 40960 + b": a\r\n\r\n", (431,)),
            ("a head without end", GET + b"X: " + b"a" * 1000000, (431,)),
            ("100 fields and Host", GET + b"".join(b"X-%d: a\r\n" % i for i in range(100)) + b"\r\n", (431,)),
            ("100 000 fields", GET + b"X: a\r\n" * 100000, (431,)),
            ("a JSON body of 16 MiB + 1", POST + b"Content-Length: %d\r\n\r\n" % (mib16 + 1), (413,)),
            ("a JSON body of 2^63", POST + b"Content-Length: 9223372036854775807\r\n\r\n", (400, 413)),
            ("a JSON body of 17 MiB in chunks", POST + TE + b"\r\n" + b"100000\r\n" + b" " * (1 << 20) + b"\r\n" +
             16 * (b"100000\r\n" + b" " * (1 << 20) + b"\r\n") + b"0\r\n\r\n", (413,)),
            ("a chunk extension of 5 kB", POST + TE + b"\r\n11;" + b"a" * 5000 + b"\r\n" + BODY + b"\r\n0\r\n\r\n", (400,)),
            ("5 kB of chunk extensions", POST + TE + b"\r\n" + b"".join(b"1;%s\r\n%c\r\n" % (b"a" * 400, x) for x in BODY) +
             b"0\r\n\r\n", (400,)),
            ("trailers of 5 kB", POST + TE + b"\r\n11\r\n" + BODY + b"\r\n0\r\nX: " + b"a" * 5000 + b"\r\n\r\n", (400,)),
            ("trailers without end", POST + TE + b"\r\n11\r\n" + BODY + b"\r\n0\r\n" + b"X: a\r\n" * 100000, (400,))):
        for address, how in ((c.address, "unix"), (a, "tcp")):
            code, got, closed = answer(address, text, 5)
            ok(code in want and closed, f"{how}: {name}: {want[0]}, closed", (code, closed, got[:300]))
    for name, text, want in (
            ("a line of 8 KiB", b"GET /" + b"a" * (8192 - 16) + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 404),
            ("98 fields, Host and Connection", GET + b"".join(b"X-%d: a\r\n" % i for i in range(98)) +
             b"Connection: close\r\n\r\n", 200),
            ("a field of 39 KiB", GET + b"X: " + b"a" * 39900 + b"\r\nConnection: close\r\n\r\n", 200),
            ("a body of 100 kB of blanks", POST + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(spaces) + spaces, 201)):
        code, got, closed = answer(c.address, text, 5)
        ok(code == want and closed, f"{name}: {want}", (code, got[:300]))
    deep = b'{"argv":' + b"[" * 1000000
    code, got, _ = answer(c.address, POST + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(deep) + deep)
    ok(code == 400, "a million lists in each other: 400", got[:300])
    ok(b.status().get("role_restarts") == 0 and b.status().get("bugs") == 0, "the channel stands", b)
    b.kill()


# --- other listeners

DUP = [*PYTHON, "import os, sys\nn = int(sys.argv[1])\nfor i in range(n):\n"
       "    os.dup2(int(sys.argv[2 + i]), 50 + i)\nfor i in range(n): os.dup2(50 + i, 3 + i, True); os.close(50 + i)\n"
       "os.environ['LISTEN_PID'] = str(os.getpid())\nos.execvp(sys.argv[2 + n], sys.argv[2 + n:])"]


def passed():
    """LISTEN_FDS"""
    u, i = socket.socket(socket.AF_UNIX), socket.socket()
    u.bind(f"{t.dir}/passed.sock")
    i.bind(("127.0.0.1", 0))
    for s in (u, i):
        s.listen(16)
    b = Box(t, f"[channel a]\nlisten = fd:api\nauth = peer\n[channel b]\nlisten = fd:web\ntoken = {TOKEN}\n",
            ["sh", "-c", "env; ls -l /proc/self/fd; exec sleep 600"],
            wrap=[*DUP, "2", str(u.fileno()), str(i.fileno())], pass_fds=(u.fileno(), i.fileno()),
            env={"LISTEN_FDS": "2", "LISTEN_FDNAMES": "api:web"})
    wait_for(lambda: b.status().get("ready"))
    a = Client(f"{t.dir}/passed.sock")
    ok(a.get("/v1/status").status == 200, "a unix socket that was passed, by name", b)
    r = Client(i.getsockname(), token=TOKEN)
    ok(r.get("/v1/status").status == 200 and Client(i.getsockname()).get("/v1/status").status == 401,
       "a TCP socket that was passed, by name", b)
    got = a.run("env; ls -l /proc/self/fd")
    ok(b"LISTEN_" not in got.out and b"socket:" not in got.out, "jobs get neither the sockets nor their names", got)
    b.prints("sleep", 0.1)
    ok("LISTEN_" not in b.out() and "socket:" not in b.out(), "nor does CMD", b.out())
    old = b.role("channel")
    os.kill(old, 9)
    wait_for(lambda: b.role("channel") not in (old, None))
    ok(a.get("/v1/status").status == 200 and r.get("/v1/status").status == 200, "the next channel has them, too")
    b.end()
    b = Box(t, "[channel a]\nlisten = fd:other\nauth = peer\n", ["sleep", "600"],
            wrap=[*DUP, "1", str(u.fileno())], pass_fds=(u.fileno(),),
            env={"LISTEN_FDS": "1", "LISTEN_FDNAMES": "api"})
    ok(b.says("other", 5), "a name that was not passed is said", b)
    b.kill()


def vsock():
    """vsock"""
    name = "vsock"
    try:
        probe = socket.socket(socket.AF_VSOCK)
        probe.bind((socket.VMADDR_CID_ANY, 40404))
        probe.listen(1)
        s = socket.socket(socket.AF_VSOCK)
        s.settimeout(2)
        s.connect((1, 40404))
        s.close()
        probe.close()
    except OSError as why:
        t.skip(name, f"no loopback of vsock here: {why}")
        return
    b = Box(t, f"[channel v]\nlisten = vsock:40405\ntoken = {TOKEN}\n", ["sleep", "600"])
    wait_for(lambda: b.status().get("ready"))
    s = socket.socket(socket.AF_VSOCK)
    s.settimeout(5)
    s.connect((1, 40405))
    s.sendall(f"GET /v1/status HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode())
    code, _ = Wire(s).head()
    ok(code == 200, "vsock: with the token", b)
    s.close()
    b.kill()


only = os.environ.get("ROWS", "").split()
ROWS = (peers, tokens, token_files, origins, configuration, smuggling, oversized, passed, vsock)
rows(t, "auth", [r for r in ROWS if not only or r.__name__ in only])
t.done()
