"""A container engine of one's own, and boxes in it: the ground that `run`, `network` and `demo`
stand on.

    with Lab() as lab:                      # an outer dockerd in namespaces of its own
        with lab.box("b1") as box:          # a container whose PID 1 is pinnace
            box.ready(30)
            print(box.docker("info").out)   # the engine inside it

Nothing is pulled. The rootfs with an engine comes from debootstrap, kept as a tar in
$PINNACE_CACHE; small images are made from a static busybox. Every wait has an end, and all
that is started ends with this process, however that ends (see outer.py).

Environment: PINNACE (binary under test), PINNACE_CACHE, ENGINE_SUITE, ENGINE_MIRROR.
"""
import argparse
import contextlib
import fcntl
import hashlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
FIXTURES = os.path.join(HERE, "fixtures")
INSTALLED = "/usr/local/sbin/pinnace"
OPT = "/opt/pinnace-tests"
ENGINE_PACKAGES = {
    "bookworm": ["docker.io", "iptables", "iproute2"],
    "": ["docker.io", "docker-cli", "iptables", "iproute2"],
}
# What debootstrap leaves and no test reads.
NOT_IN_ROOTFS = ["./var/cache/apt/archives/*.deb", "./var/lib/apt/lists/*", "./usr/share/doc/*",
                 "./usr/share/man/*", "./usr/share/locale/*"]
# linux/capability.h, in its order: the index is the bit.
CAPABILITIES = """CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP
    LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER
    SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE
    SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP
    MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF
    CHECKPOINT_RESTORE""".split()


class LabError(Exception):
    """What the lab needs is not there, or did not happen in time."""


class Result:
    """How a command ended: rc (124 when it had to be stopped), out and err as text, seconds."""

    def __init__(self, argv, rc, out, err, seconds):
        self.argv, self.rc, self.seconds = argv, rc, seconds
        self.out = out.decode("utf-8", "replace")
        self.err = err.decode("utf-8", "replace")

    def __str__(self):
        tail = (self.out + self.err).strip()[-2000:]
        return f"{' '.join(self.argv)[:300]}: rc {self.rc} after {self.seconds:.1f}s: {tail}"


def run(argv, timeout=60, data=None, stdin=None, env=None, check=False, merge=False):
    """Runs `argv` with bytes `data` or the file `stdin` as input. With check, a status other
    than 0 raises LabError. With merge, out has standard error too, in the order written."""
    start = time.monotonic()
    source = subprocess.PIPE if data is not None else (stdin or subprocess.DEVNULL)
    child = subprocess.Popen(argv, stdin=source, stdout=subprocess.PIPE, env=env,
                             stderr=subprocess.STDOUT if merge else subprocess.PIPE)
    try:
        out, err = child.communicate(data, timeout)
        rc = child.returncode
    except subprocess.TimeoutExpired:
        child.kill()
        out, err = child.communicate()
        rc = 124
    except BaseException:
        child.kill()
        child.wait()
        raise
    result = Result(argv, rc, out, err or b"", time.monotonic() - start)
    if check and rc != 0:
        raise LabError(str(result))
    return result


def eventually(what, test, timeout, every=0.1):
    """Asks test() until it gives something true, and returns that. LabError after `timeout`."""
    deadline = time.monotonic() + timeout
    while True:
        answer = test()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise LabError(f"{what}: not within {timeout} s")
        time.sleep(every)


def binary():
    """The pinnace to test."""
    path = os.environ.get("PINNACE") or os.path.join(TOP, "build", "pinnace")
    if not os.access(path, os.X_OK):
        raise LabError(f"{path} is missing; run make first, or set PINNACE")
    return os.path.realpath(path)


# --- root file systems ---------------------------------------------------------------------


def suite():
    return os.environ.get("ENGINE_SUITE", "bookworm")


def mirror():
    """The archive this machine installs from, as apt would ask it."""
    if os.environ.get("ENGINE_MIRROR"):
        return os.environ["ENGINE_MIRROR"]
    uris = run(["apt-get", "update", "--print-uris"], check=True).out
    found = re.findall(r"'(\S+?)/dists/([\w.]+)/(?:In)?Release(?:\.gpg)?'", uris)
    main = [base for base, name in found if "-" not in name and "security" not in base]
    if not main:
        raise LabError("apt names no main archive; set ENGINE_MIRROR")
    return main[0]


def cache_dir():
    path = os.environ.get("PINNACE_CACHE", "/var/cache/pinnace-tests")
    os.makedirs(path, exist_ok=True)
    return path


def engine_packages(name):
    return ENGINE_PACKAGES.get(name, ENGINE_PACKAGES[""])


def rootfs_path(name, packages=None):
    """Of the Debian `name` with `packages`, an engine's if None."""
    key = " ".join([name, *(engine_packages(name) if packages is None else packages), *NOT_IN_ROOTFS])
    return os.path.join(cache_dir(), f"{name}-{hashlib.sha256(key.encode()).hexdigest()[:12]}.tar")


def rootfs(name=None, packages=None):
    """The tar of a Debian with an engine, or with `packages`; made when the cache has none."""
    name = name or suite()
    path = rootfs_path(name, packages)
    with open(path + ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(path):
            debootstrap(name, engine_packages(name) if packages is None else packages, path)
    return path


def debootstrap(name, packages, path):
    # On the disk of the cache, so that the last rename is one step.
    work = tempfile.mkdtemp(prefix="rootfs.", dir=cache_dir())
    try:
        root = os.path.join(work, "root")
        include = ["--include=" + ",".join(packages)] if packages else []
        run(["debootstrap", "--variant=minbase", *include, name, root, mirror()], timeout=900,
            check=True)
        tar = ["tar", "-C", root, "--numeric-owner", "-cf", work + "/tar"]
        run(tar + ["--exclude=" + p for p in NOT_IN_ROOTFS] + ["."], timeout=300, check=True)
        os.rename(work + "/tar", path)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def busybox_tar():
    """A root file system of one static busybox, its links, and what a shell expects."""
    path = shutil.which("busybox")
    if not path:
        raise LabError("no busybox (package busybox-static)")
    names = run([path, "--list"], check=True).out.split()
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name in ("bin", "etc", "proc", "sys", "dev", "tmp", "run", "usr", "usr/local",
                     "usr/local/sbin"):
            add_entry(tar, name, tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755)
        tar.add(path, "bin/busybox")
        for name in names:
            if name != "busybox":
                add_entry(tar, "bin/" + name, tarfile.SYMTYPE, 0o777, "busybox")
    return out.getvalue()


def add_entry(tar, name, kind, mode, link=""):
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode, entry.linkname = kind, mode, link
    tar.addfile(entry)


# --- the outer engine ----------------------------------------------------------------------


class Lab:
    """An outer dockerd in its own network, mount and pid namespaces, with its images.
    cgroup: "host", what this machine has; "v2", that version alone. remap: containers are in user
    namespaces, whose root is nobody outside."""

    def __init__(self, cgroup="host", remap=False):
        self.pinnace = binary()
        self.ground = ["v2"] * (cgroup == "v2") + ["remap"] * remap
        self.stack = contextlib.ExitStack()
        self.engine = None
        self.boxes = 0
        self.entry = INSTALLED

    def __enter__(self):
        with self.stack as stack:
            self.make_dirs(stack)
            self.start(stack)
            self.privileges = self.probe_privileges()
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *exc):
        return self.stack.__exit__(*exc)

    # A socket's path has 107 characters at most, so what holds sockets lives under /tmp.
    def make_dirs(self, stack):
        base = os.path.join(TOP, "build", "engine")
        os.makedirs(base, exist_ok=True)
        sweep(base)
        self.lock, self.dir = fresh_dir(base, "lab.")
        os.chmod(self.dir, 0o711)  # the root of a user namespace is a stranger
        stack.callback(shutil.rmtree, self.dir, ignore_errors=True)
        self.run_dir = tempfile.mkdtemp(prefix="pn.", dir="/tmp")
        stack.callback(shutil.rmtree, self.run_dir, ignore_errors=True)
        self.lock.write(self.run_dir)
        self.lock.flush()
        self.cgroup = os.path.basename(self.run_dir)
        stack.callback(remove_cgroups, self.cgroup, os.path.isdir("/sys/fs/cgroup/docker") or
                       os.path.isdir("/sys/fs/cgroup/memory/docker"))
        self.socket = self.run_dir + "/docker.sock"
        self.init = self.run_dir + "/docker-init"
        shutil.copy(self.pinnace, self.run_dir + "/pinnace")
        os.symlink("pinnace", self.init)
        self.env = dict(os.environ, DOCKER_HOST="unix://" + self.socket,
                        DOCKER_CONFIG=self.dir + "/config")
        self.env.pop("DOCKER_CONTEXT", None)

    def start(self, stack):
        for tool in ("dockerd", "docker", "unshare", "ip"):
            if not shutil.which(tool):
                raise LabError(f"no {tool} here")
        if os.geteuid() != 0:
            raise LabError("an engine in namespaces of its own needs root")
        self.log = self.dir + "/dockerd.log"
        argv = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
                sys.executable, os.path.join(HERE, "outer.py"), *self.ground, "dockerd",
                "--host=unix://" + self.socket, "--data-root=" + self.dir + "/data",
                "--exec-root=" + self.run_dir + "/exec", "--pidfile=" + self.run_dir + "/pid",
                "--cgroup-parent=/" + self.cgroup, "--init-path=" + self.init,
                "--config-file=" + self.dir + "/daemon.json",
                *["--userns-remap=daemon"] * ("remap" in self.ground)]
        with open(self.dir + "/daemon.json", "w") as config:
            config.write("{}\n")
        with open(self.log, "w") as log:
            self.engine = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=log, stderr=log,
                                           start_new_session=True)
        stack.callback(self.stop)
        eventually("the outer engine", self.answers, 60)

    def answers(self):
        if self.engine.poll() is not None:
            raise LabError("the outer dockerd ended: " + self.daemon_log()[-2000:])
        return self.docker("version", timeout=10).rc == 0

    def stop(self):
        self.engine.stdin.close()
        try:
            self.engine.wait(40)
        except subprocess.TimeoutExpired:
            # --kill-child: the namespace's first process goes with it, and so does all of it.
            self.engine.kill()
            self.engine.wait()

    def daemon_log(self):
        with open(self.log, errors="replace") as log:
            return log.read()

    def docker(self, *args, timeout=60, data=None, stdin=None, check=False, merge=False):
        return run(["docker", *args], timeout, data, stdin, self.env, check, merge)

    def probe_privileges(self):
        """The arguments that let a container run an engine: --privileged, or where that is
        refused (a bounding set that lacks something) everything it stands for, by name."""
        self.image_plain()
        probe = self.docker("run", "--rm", "--privileged", "--network=none", "plain", "true")
        if probe.rc == 0:
            return ["--privileged"]
        args = ["--security-opt=seccomp=unconfined", "--security-opt=apparmor=unconfined",
                "--security-opt=systempaths=unconfined"]
        args += self.known_capabilities()
        if self.cgroup_version() == "1":
            return args + ["-v", "/sys/fs/cgroup:/sys/fs/cgroup:rw"]
        self.entry = OPT + "/rw-cgroup"
        return args + ["--cgroupns=private"]

    def cgroup_version(self):
        return self.docker("info", "-f", "{{.CgroupVersion}}", check=True).out.strip()

    def known_capabilities(self):
        """--cap-add for all that this process may give away and the engine has a name for."""
        with open("/proc/self/status") as status:
            bounding = int(re.search(r"CapBnd:\s*(\w+)", status.read()).group(1), 16)
        names = [c for bit, c in enumerate(CAPABILITIES) if bounding >> bit & 1]
        while True:
            args = [f"--cap-add={name}" for name in names]
            made = self.docker("create", *args, "plain", "true")
            if made.rc == 0:
                self.docker("rm", made.out.strip(), check=True)
                return args
            unknown = re.search(r"unknown capability: \"CAP_(\w+)\"", made.err)
            if not unknown:
                raise LabError(str(made))
            names.remove(unknown.group(1))

    # --- images ---

    def import_image(self, tag, tar_path=None, data=None, changes=()):
        args = ["import"] + [part for c in changes for part in ("-c", c)] + ["-", tag]
        if tar_path is None:
            return self.docker(*args, timeout=300, data=data, check=True)
        with open(tar_path, "rb") as stdin:
            return self.docker(*args, timeout=300, stdin=stdin, check=True)

    def image_plain(self):
        """plain: busybox alone.  tiny: the same with pinnace as PID 1."""
        self.busybox = busybox_tar()
        path = ["ENV PATH=/usr/local/sbin:/bin"]
        self.import_image("plain", data=self.busybox, changes=path)
        self.derive("plain", "tiny", path + [f'ENTRYPOINT ["{INSTALLED}"]'])

    def image_box(self):
        """box: a Debian with an engine, and pinnace as PID 1."""
        self.import_image("base", rootfs())
        self.derive("base", "box", [
            "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "VOLUME /var/lib/docker", f'ENTRYPOINT ["{self.entry}"]',
            f'HEALTHCHECK --interval=1s --retries=60 CMD ["{INSTALLED}", "ready"]'],
            extra=(FIXTURES, OPT))

    def derive(self, base, tag, changes, extra=None):
        made = self.docker("create", base, "true", check=True).out.strip()
        self.docker("cp", self.pinnace, f"{made}:{INSTALLED}", check=True)
        if extra:
            self.docker("cp", extra[0], f"{made}:{extra[1]}", check=True)
            self.docker("cp", shutil.which("busybox"), f"{made}:{extra[1]}/busybox", check=True)
        args = [part for change in changes for part in ("-c", change)]
        self.docker("commit", *args, made, tag, timeout=120, check=True)
        self.docker("rm", made, check=True)

    # --- containers ---

    def box(self, cmd=(), image="box", env=None, args=(), name=None):
        """A container to be used in a `with`; it is started by start() or on entry."""
        self.boxes += 1
        privileges = self.privileges if image == "box" else []
        return Box(self, name or f"b{self.boxes}", image, [*privileges, *args], env or {}, cmd)


class Box:
    """A container of the outer engine. Leaving the `with` removes it and its volumes."""

    def __init__(self, lab, name, image, args, env, cmd):
        self.lab, self.name = lab, name
        settings = [part for key, value in env.items() for part in ("-e", f"{key}={value}")]
        self.create = ["create", "--name", name, *args, *settings, image, *cmd]

    def __enter__(self):
        self.lab.docker(*self.create, check=True)
        return self

    def __exit__(self, *exc):
        self.lab.docker("rm", "-f", "-v", self.name, timeout=60)

    def start(self):
        self.started = time.monotonic()
        self.lab.docker("start", self.name, check=True)
        return self

    def seconds(self):
        return time.monotonic() - self.started

    def exec(self, *argv, timeout=60, data=None, check=False, options=()):
        options = [*options, "-i"] if data is not None else options
        return self.lab.docker("exec", *options, self.name, *argv, timeout=timeout, data=data,
                               check=check)

    def sh(self, script, timeout=60, check=False):
        return self.exec("sh", "-c", script, timeout=timeout, check=check)

    def docker(self, *argv, timeout=60, data=None, check=False):
        """The docker client inside, talking to the engine inside."""
        return self.exec("docker", *argv, timeout=timeout, data=data, check=check)

    def ready(self, timeout=60):
        """Waits with the box's own client. Returns its Result."""
        return self.exec("pinnace", "ready", "--wait", f"{timeout}s", timeout=timeout + 15)

    def status(self):
        """What `pinnace status --json` says, or None where it says nothing."""
        answer = self.exec("pinnace", "status", "--json", timeout=15)
        try:
            return json.loads(answer.out) if answer.rc == 0 else None
        except ValueError:
            return None

    def unit(self, name):
        units = (self.status() or {}).get("units", [])
        return next((u for u in units if u.get("name") == name), None)

    def wait(self, timeout=60):
        """The exit status, once the container has ended."""
        return int(self.lab.docker("wait", self.name, timeout=timeout, check=True).out)

    def running(self):
        state = self.lab.docker("inspect", "-f", "{{.State.Running}}", self.name)
        return state.out.strip() == "true"

    def logs(self, *options):
        return self.lab.docker("logs", *options, self.name, merge=True).out

    def load_tiny(self):
        """Gives the engine inside an image to run."""
        self.docker("import", "-c", "ENV PATH=/bin", "-", "tiny", data=self.lab.busybox,
                    check=True)


def fresh_dir(base, prefix):
    """A new directory that is marked as in use for as long as the returned file is open."""
    path = tempfile.mkdtemp(prefix=prefix, dir=base)
    lock = open(os.path.join(path, "lock"), "w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    return lock, path


def sweep(base):
    """Removes what runs that were killed have left behind."""
    for name in os.listdir(base):
        path = os.path.join(base, name)
        try:
            with open(os.path.join(path, "lock")) as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                run_dir = lock.read()
        except OSError:
            continue
        shutil.rmtree(path, ignore_errors=True)
        if re.fullmatch(r"/tmp/pn\.\w+", run_dir):
            shutil.rmtree(run_dir, ignore_errors=True)
            remove_cgroups(os.path.basename(run_dir), True)


def remove_cgroups(parent, docker_was_there):
    """Removes the engine's empty cgroups in each hierarchy: those of the outer engine, and the
    `docker` that inner ones make where the host's tree is mounted in the box."""
    root = "/sys/fs/cgroup"
    tops = [root] + [os.path.join(root, name) for name in os.listdir(root)]
    names = [parent] + ([] if docker_was_there else ["docker"])
    for path in (os.path.join(top, name) for top in tops for name in names):
        if os.path.islink(os.path.dirname(path)):
            continue
        for where, _, _ in os.walk(path, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(where)


def end_on_signals():
    """Turns the usual ending signals into an exception, so that every `with` is left."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def leave(number, _frame):
        for other in numbers:
            signal.signal(other, signal.SIG_IGN)  # one is enough; cleaning up takes a moment
        raise SystemExit(128 + number)
    for number in numbers:
        signal.signal(number, leave)


# --- TAP -----------------------------------------------------------------------------------


class Tap:
    """Test Anything Protocol, version 12: numbered points, the plan last."""

    def __init__(self):
        self.count = self.failed = 0
        self.prefix = ""

    def ok(self, good, text, detail=""):
        self.count += 1
        self.failed += not good
        print(f"{'ok' if good else 'not ok'} {self.count} - {self.prefix}{text}")
        if not good and detail:
            self.note(str(detail))
        sys.stdout.flush()
        return bool(good)

    def equal(self, got, want, text, detail=""):
        return self.ok(got == want, text, f"got {got!r}, want {want!r}\n{detail}")

    def match(self, pattern, text, name):
        return self.ok(re.search(pattern, text), name, f"no /{pattern}/ in:\n{text[-3000:]}")

    def note(self, text):
        for line in text.rstrip().splitlines():
            print("#   " + line)
        sys.stdout.flush()

    def end(self):
        print(f"1..{self.count}")
        return 1 if self.failed or not self.count else 0


# --- tests ---------------------------------------------------------------------------------


TESTS = []


def test(function):
    """Marks a function(tap, lab) as a test of this program."""
    TESTS.append(function)
    return function


def start_ready(t, box, what="is ready"):
    box.start()
    ready = box.ready()
    t.ok(ready.rc == 0, f"{what} ({box.seconds():.1f} s)", f"{ready}\n{box.logs()[-4000:]}")
    return ready.rc == 0


def foreground(lab, cmd, timeout=90, **how):
    """Runs a box to its end. Returns (status, stdout, everything the container said)."""
    with lab.box(cmd, **how) as box:
        box.start()
        status = box.wait(timeout)
        return status, lab.docker("logs", box.name).out, box.logs()


def main(doc, equip=Lab.image_box):
    """Runs the tests that the command line names, in a lab with the images of equip(lab). Returns
    the exit status."""
    parser = argparse.ArgumentParser(description=doc.split("\n")[0])
    parser.add_argument("-k", metavar="TEXT", default="", help="only tests with TEXT in their name")
    parser.add_argument("--list", action="store_true", help="print the tests' names")
    options = parser.parse_args()
    chosen = [f for f in TESTS if options.k in f.__name__]
    if options.list:
        print("\n".join(f.__name__ for f in chosen))
        return 0
    end_on_signals()
    tap = Tap()
    try:
        with Lab() as lab:
            equip(lab)
            for function in chosen:
                run_one(tap, lab, function)
    except LabError as error:
        print(f"Bail out! {error}".replace("\n", " "))
        return 1
    return tap.end()


def run_one(tap, lab, function):
    tap.prefix = function.__name__.replace("_", " ") + ": "
    start = time.monotonic()
    try:
        function(tap, lab)
    except Exception:  # a broken test is a failed one; the others still run
        tap.ok(False, "ran to its end", traceback.format_exc())
    tap.note(f"{function.__name__}: {time.monotonic() - start:.1f} s")
