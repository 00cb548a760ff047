"""suites.py: published clients from npm, unmodified, against real boxes. TAP.

Each t_SUITE.mjs of a folder drives a box of its own: pinnace as PID 1 of a PID namespace, with what
t_SUITE.ini says. The clients are installed once, by package-lock.json, into build/clients/NAME. Root;
without npm or its registry all of it is skipped. ROWS=TEXT: only checks with TEXT in their names.
"""
import contextlib
import glob
import hashlib
import os
import re
import shutil
import subprocess
import sys
import threading
import traceback
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

CLIENTS = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(CLIENTS))
sys.path.insert(0, os.path.join(TOP, "tests", "integration"))
from box import Box  # noqa: E402
from channel import free_port  # noqa: E402
from tap import Tap, start, wait_for  # noqa: E402

INSTALL_S, SUITE_S = 300, 150
NO_REGISTRY = re.compile(
    r"\b(ENOTFOUND|EAI_\w+|ECONN\w+|E?TIMEDOUT|E(NET|HOST)UNREACH|ENOTCACHED|E[45]\d\d)\b")
LANES = 2  # suites at a time: they wait a lot
BOOT = threading.Lock()  # boxes are numbered, and ports have to stay free until they are taken


def skip(why):
    print(f"1..0 # SKIP {why}")
    sys.exit(0)


def output(*argv):
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()


class Clients:
    """What a folder's suites have in common; its run says the rest."""
    node = (20, 18, 1)  # what the clients ask for
    needs = ("node", "npm", "unshare", "bash")
    ini = ""  # of the box; {port}
    path, status = "/", 200  # by which it is known to be there
    words = ()  # of node, before the suite

    def __init__(self, here):
        self.here, self.name = here, os.path.basename(here)
        self.build = os.path.join(TOP, "build", "clients", self.name)

    def wrap(self, home):
        """What the box is run by, and its environment."""
        return (), {}

    def env(self, url):
        """Of a suite."""
        return dict(os.environ)

    def install(self):
        """Into build, unless this lock file's packages are there."""
        for need in self.needs:
            if not shutil.which(need):
                skip(f"no {need}")
        version = output("node", "--version")
        if tuple(int(n) for n in version[1:].split(".")[:3]) < self.node:
            skip(f"node {version} is older than the SDK allows, {'.'.join(map(str, self.node))}")
        with open(f"{self.here}/package-lock.json", "rb") as f:
            stamp = f"{hashlib.sha256(f.read()).hexdigest()} {version}\n"
        try:
            with open(f"{self.build}/.installed") as f:
                if f.read() == stamp:
                    return
        except FileNotFoundError:
            pass
        os.makedirs(self.build, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(f"{self.here}/{name}", self.build)
        npm = ["npm", "ci", "--ignore-scripts", "--legacy-peer-deps", "--no-audit", "--no-fund",
               "--prefer-offline", "--fetch-retries=1"]
        try:
            subprocess.run(npm, cwd=self.build, capture_output=True, text=True, check=True,
                           timeout=INSTALL_S)
        except subprocess.TimeoutExpired:
            skip(f"npm ci was not done after {INSTALL_S} s")
        except subprocess.CalledProcessError as e:
            if NO_REGISTRY.search(e.stderr):
                skip("npm's registry cannot be reached, or does not have the clients")
            sys.exit(f"npm ci: {e.stderr[-3000:]}")
        with open(f"{self.build}/.installed", "w") as f:
            f.write(stamp)

    def answers(self, url):
        try:
            with urllib.request.urlopen(f"{url}{self.path}", timeout=1) as a:
                return a.status == self.status
        except (urllib.error.URLError, OSError):
            return False

    def main(self, wanted):
        if os.geteuid() != 0:
            skip("namespaces and accounts need root")
        self.install()
        t = Tap()
        os.chmod(t.dir, 0o711)
        for path in glob.glob(f"{CLIENTS}/*.mjs") + glob.glob(f"{self.here}/*"):
            shutil.copy(path, self.build)  # where the packages are found
        suites = [Suite(self, t, path) for path in sorted(glob.glob(f"{self.here}/t_*.mjs"))]
        if wanted:
            suites = [s for s in suites if s.name[2:-4] in wanted]
        with ThreadPoolExecutor(LANES) as pool:
            for suite, ran in [(s, pool.submit(s.run)) for s in suites]:
                ran.result()
                suite.report()
        t.done()


class Suite:
    """A suite and its box. What it has to say is kept, for two run at a time."""
    def __init__(self, clients, t, path):
        self.clients, self.t, self.name = clients, t, os.path.basename(path)
        self.checks = []  # [good, name, why it was skipped, lines about it]
        self.home = os.path.join(t.dir, self.name)
        self.files = os.path.join(self.home, "files")

    def check(self, good, name, diag=""):
        self.checks.append([bool(good), name, "", [] if good else str(diag)[:4000].splitlines()])
        return good

    def run(self):
        """Boot, pass the suite's lines on, and see to it that it came to its end."""
        try:
            os.makedirs(self.files)
            os.chmod(self.home, 0o711)
            with BOOT:
                port = free_port()
                wrap, env = self.clients.wrap(self.home)
                box = Box(self.t, self.ini(port), wrap=wrap, env=env)
                url = f"http://127.0.0.1:{port}"
                wait_for(lambda: self.clients.answers(url) or box.p.poll() is not None, 10)
            up = box.p.poll() is None and self.clients.answers(url)
            if self.check(up, f"{self.name}: the box answers", box):
                self.drive(box, url)
            if not all(check[0] for check in self.checks):
                self.checks[-1][3] += f"the box said:\n{box.err()[-3000:]}".splitlines()
        except Exception:  # pylint: disable=broad-except
            self.check(False, f"{self.name}: ran", traceback.format_exc())

    def ini(self, port):
        path = f"{self.clients.here}/{self.name[:-4]}.ini"
        with contextlib.suppress(FileNotFoundError), open(path) as f:
            return self.clients.ini.format(port=port) + f.read().replace("{files}", self.files)
        return self.clients.ini.format(port=port)

    def drive(self, box, url):
        channel, before = box.role("channel"), len(self.checks)
        env = self.clients.env(url) | {"BOX_FILES": self.files, "PINNACE": self.t.pinnace}
        build = self.clients.build
        p = start(["node", *self.clients.words, os.path.join(build, self.name)], env=env, cwd=build,
                  stdin=subprocess.DEVNULL, stderr=subprocess.STDOUT)
        limit = threading.Timer(SUITE_S, p.kill)
        limit.start()
        plan = None
        for line in p.stdout:
            plan = self.line(line.rstrip("\n")) or plan
        status = p.wait()
        limit.cancel()
        made = len(self.checks) - before
        self.check(status == 0 and plan == made, f"{self.name}: came to its end",
                   f"status {status}, {made} checks of {plan}; it has {SUITE_S} s")
        same = box.role("channel") == channel
        self.check(same, f"{self.name}: the channel is the one it was", box)
        ended, seconds = box.end()
        self.check(ended == 0 and seconds < 5, f"{self.name}: the box ends",
                   f"{ended} after {seconds:.1f} s\n{box}")

    def line(self, text):
        """The plan, if this is one."""
        if m := re.fullmatch(r"(not )?ok - (.*?)(?: # SKIP (.*))?", text):
            self.checks.append([not m[1], f"{self.name[2:-4]}: {m[2]}", m[3] or "", []])
        elif text.startswith("1.."):
            return int(text[3:])
        elif self.checks:
            self.checks[-1][3].append(text.removeprefix("# "))
        return None

    def report(self):
        for good, name, skipped, lines in self.checks:
            if skipped:
                self.t.skip(name, skipped)
            else:
                self.t.ok(good, name)
            for line in lines:
                self.t.diag(line)
