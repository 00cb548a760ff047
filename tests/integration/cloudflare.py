"""cloudflare.py: a client of the Cloudflare dialect for tests: JSON over HTTP, and server-sent events.

    c = Api(port)                        # one kept connection, made anew when lost
    c.post("/api/session/create", {"id": "s"}).json()
    c.exec("echo hi", "s").out           # POST /api/execute
    c.stream("/api/execute/stream", {"command": "ls"}).events
"""
import contextlib
import http.client
import json
import os
import re
import time

from tap import wait_for

STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
NO_SESSION = "__DISABLE_SESSION__"


class Answer:
    def __init__(self, r):
        self.status, self.fields, self.body = r.status, {}, r.read()
        for name, value in r.getheaders():
            self.fields[name.lower()] = value

    def json(self):
        return json.loads(self.body)

    def good(self, **members):
        """200, success, a timestamp, and these members."""
        with contextlib.suppress(ValueError, KeyError, TypeError):
            j = self.json()
            return (self.status == 200 and j["success"] is True and STAMP.fullmatch(j["timestamp"]) and
                    self.fields["content-type"] == "application/json" and all(j.get(k) == v for k, v in members.items()))
        return False

    def fails(self, status, code, words="", **context):
        """An error in the shape that all have."""
        with contextlib.suppress(ValueError, KeyError, TypeError):
            e = self.json()
            return (self.status == status == e["httpStatus"] and e["code"] == code and words in e["message"] and
                    STAMP.fullmatch(e["timestamp"]) and all(e["context"].get(k) == v for k, v in context.items()))
        return False

    # of an execute
    def __getattr__(self, name):
        member = {"out": "stdout", "err": "stderr", "code": "exitCode"}.get(name)
        if not member:
            raise AttributeError(name)
        with contextlib.suppress(ValueError, TypeError):
            return self.json().get(member)
        return None

    def __repr__(self):
        return f"{self.status} {self.fields} {self.body[:600]!r}"


class Stream:
    """The events of an answer, as they come, each with when it came."""
    def __init__(self, api, target, body, method, seconds):
        self.c = http.client.HTTPConnection("127.0.0.1", api.port, timeout=seconds)
        fields = {"Content-Type": "application/json"} if body is not None else {}
        self.began = time.monotonic()
        self.c.request(method, target, None if body is None else json.dumps(body), fields)
        self.r = self.c.getresponse()
        self.status, self.fields = self.r.status, {k.lower(): v for k, v in self.r.getheaders()}
        self.events, self.times, self.comments, self.ended, self.body = [], [], 0, False, b""
        if self.status != 200:
            self.body = self.r.read()

    def next(self):
        """The next event, or None at the end."""
        lines = []
        while line := self._line():
            if line.startswith(b":"):
                self.comments += 1
            elif line == b"\n" and lines:
                break
            elif line != b"\n":
                lines.append(line)
        if not lines:
            self.ended = True
            return None
        if len(lines) != 1 or not lines[0].startswith(b"data: "):
            raise ValueError(f"no event: {lines}")
        self.events.append(json.loads(lines[0][6:]))
        self.times.append(time.monotonic() - self.began)
        return self.events[-1]

    def _line(self):
        line = b""
        while not line.endswith(b"\n") and (c := self.have(1)):
            line += c
        return line

    _kept = b""

    def have(self, n):
        """From what was read ahead."""
        while not self._kept:
            self._kept = self.r.read1(1 << 16)
            if not self._kept:
                return b""
        end = self._kept.find(b"\n") + 1 or len(self._kept)
        piece, self._kept = self._kept[:end], self._kept[end:]
        return piece

    def all(self):
        while self.next():
            pass
        return self

    def until(self, kind):
        while (e := self.next()) and e["type"] != kind:
            pass
        return e

    def kinds(self):
        return [e["type"] for e in self.events]

    def data(self, kind):
        return "".join(e["data"] for e in self.events if e["type"] == kind)

    @property
    def last(self):
        return self.events[-1] if self.events else {}

    def close(self):
        self.r.close()
        self.c.close()

    def __repr__(self):
        return f"{self.status} {self.events[:20]} {self.body[:300]!r}"


class Api:
    def __init__(self, port, seconds=30):
        self.port, self.seconds, self.c = port, seconds, None

    def call(self, method, target, body=None, **fields):
        fields = {k.replace("_", "-"): v for k, v in fields.items()}
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body)
            fields.setdefault("Content-Type", "application/json")
        for last in (False, True):
            if not self.c:
                self.c, last = http.client.HTTPConnection("127.0.0.1", self.port, timeout=self.seconds), True
            try:
                self.c.request(method, target, body, fields)
                return Answer(self.c.getresponse())
            except (http.client.HTTPException, OSError):
                self.close()
                if last:
                    raise

    def close(self):
        if self.c:
            self.c.close()
        self.c = None

    def up(self):
        """Is it there, if need be in a while?"""
        def ask():
            with contextlib.suppress(http.client.HTTPException, OSError):
                return self.get("/api/ping").status

        return wait_for(ask)

    def get(self, target, **fields):
        return self.call("GET", target, **fields)

    def post(self, target, body=None, **fields):
        return self.call("POST", target, body, **fields)

    def delete(self, target, **fields):
        return self.call("DELETE", target, **fields)

    def exec(self, command, session="s", **members):
        return self.post("/api/execute", {"command": command, "sessionId": session, **members})

    def stream(self, target, body=None, seconds=30):
        return Stream(self, target, body, "GET" if body is None else "POST", seconds)

    def exec_stream(self, command, session="s", **members):
        """All events of it."""
        return self.stream("/api/execute/stream", {"command": command, "sessionId": session, **members}).all()

    def start(self, command, session="s", **members):
        return self.post("/api/process/start", {"command": command, "sessionId": session, **members})

    def process(self, id):
        return self.get(f"/api/process/{id}").json()["process"]

    def logs(self, id):
        j = self.get(f"/api/process/{id}/logs").json()
        return j["stdout"], j["stderr"]

    def ended(self, id, seconds=10):
        """The process once it has ended."""
        return wait_for(lambda: "exitCode" in (p := self.process(id)) and p, seconds) or self.process(id)


def gone(pid, box):
    """Is there no such process in the box any more?"""
    def there():
        for p in os.listdir("/proc"):
            with contextlib.suppress(OSError, StopIteration):
                with open(f"/proc/{p}/status") as f:
                    text = f.read()
                if re.search(rf"^NSpid:.*\s{pid}$", text, re.M) and "State:\tZ" not in text and \
                        os.stat(f"/proc/{p}/ns/pid").st_ino == os.stat(f"/proc/{box.init}/ns/pid").st_ino:
                    return True
        return False

    return wait_for(lambda: not there(), 10)
