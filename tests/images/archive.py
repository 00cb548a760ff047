"""archive.py: the package archive, for containers that see nothing else of the outside.

    with Archive(lab) as archive:       # a forward proxy on the outer engine's docker0
        lab.docker("build", *archive.build_args(), ...)

apt asks it as any HTTP proxy. A request for another server than lib.mirror()'s is refused: a build
that needs more of the network than its README says fails here.
"""
import contextlib
import http.client
import http.server
import threading
import urllib.parse

import lib
import netlab

GATEWAY, PORT = "172.17.0.1", 3142  # the outer engine's docker0, and the port that such proxies have
SECONDS = 60                        # for the archive to answer
CHUNK = 1 << 16


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        asked = urllib.parse.urlsplit(self.path)
        if asked.netloc != self.server.allowed:
            self.server.refused.append(self.path)
            self.send_error(403, "not the package archive")
            return
        kept = {k: v for k, v in self.headers.items()
                if k.lower() not in ("proxy-connection", "connection", "host")}
        with contextlib.closing(http.client.HTTPConnection(asked.netloc, timeout=SECONDS)) as ask:
            ask.request("GET", asked.path, headers=kept)
            self.pass_on(ask.getresponse())

    def pass_on(self, answer):
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("connection", "transfer-encoding", "server", "date"):
                self.send_header(name, value)
        if answer.getheader("Content-Length") is None:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        while chunk := answer.read(CHUNK):
            self.wfile.write(chunk)

    do_HEAD = do_GET

    def log_message(self, *_):
        pass


class Archive:
    def __init__(self, lab):
        self.lab = lab

    def __enter__(self):
        # A socket stays in the network namespace in which it was made.
        made = []
        thread = threading.Thread(target=self.listen, args=(made,))
        thread.start()
        thread.join()
        if not made:
            raise lib.LabError(f"cannot listen on {GATEWAY}:{PORT} beside the outer engine")
        self.server = made[0]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def listen(self, made):
        with open(f"/proc/{self.lab.engine.pid}/ns/net") as space:
            netlab.call("setns", space.fileno(), netlab.CLONE_NEWNET)
            server = http.server.ThreadingHTTPServer((GATEWAY, PORT), Handler)
        server.daemon_threads = True
        server.allowed = urllib.parse.urlsplit(lib.mirror()).netloc
        server.refused = []
        made.append(server)

    def __exit__(self, *exc):
        self.server.shutdown()
        self.server.server_close()

    def build_args(self):
        return ["--build-arg", f"http_proxy=http://{GATEWAY}:{PORT}"]
