"""Who is measured: pinnace, its peers, and the floors that no init can beat.

A subject is a program copied into a directory of its own below the stage (so that no two
subjects share pages of one file, which would flatter both), and the words to start it.
Peers come twice: as packaged by the distribution, and built from its source package with the
same musl, compiler and flags as pinnace, which is the fair comparison.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
TOP = HERE.parent.parent
BUILD = TOP / os.environ.get("BUILD", "build")
OUT = BUILD / "bench"
ROOT = OUT / "root"
ARCH = os.uname().machine
SYSROOT = Path(os.environ.get("SYSROOT", BUILD / ARCH / "sysroot"))
MUSL_CC = SYSROOT / "bin/musl-gcc"
# As the Makefile's SMALL and LINK.
CFLAGS = ("-D_GNU_SOURCE -Os -fno-pie -ffunction-sections -fdata-sections "
          "-fno-asynchronous-unwind-tables -fstack-protector-strong -ftrivial-auto-var-init=zero "
          "-static -no-pie "
          "-Wl,--gc-sections,-z,relro,-z,now,-z,noexecstack,--build-id=none").split()

FLOOR, PEER, OURS = "floor", "peer", "pinnace"


@dataclass
class Subject:
    name: str
    kind: str
    argv0: str = ""  # how the program is called inside its directory; "" runs the payload alone
    options: list = field(default_factory=list)
    program: Path = None
    why_missing: str = ""
    libc: str = ""
    dynamic: bool = False  # its size on disk is not all that it needs

    @property
    def directory(self):
        return re.sub(r"[^a-z0-9-]+", "-", self.name.lower()).strip("-")

    def words(self):
        """The words before the payload's, as seen from the stage."""
        return [f"/s/{self.directory}/{self.argv0}", *self.options] if self.argv0 else []


def run(*words, **options):
    return subprocess.run([str(w) for w in words], check=True, timeout=120, **options)


def compile_c(output, sources, flags=()):
    output.parent.mkdir(parents=True, exist_ok=True)
    run(MUSL_CC, *CFLAGS, *flags, *sources, "-o", output)
    return output


def c_array(name, path):
    """What `xxd -i` would print."""
    data = path.read_bytes()
    numbers = ",".join(str(byte) for byte in data)
    return f"unsigned char {name}[] = {{{numbers}}};\nunsigned int {name}_len = {len(data)};\n"


def build_tini(source, output):
    generated = source / "generated"
    generated.mkdir(exist_ok=True)
    (generated / "tiniConfig.h").write_text(
        '#define TINI_VERSION "0.19.0"\n#define TINI_GIT ""\n')
    (generated / "tiniLicense.h").write_text(c_array("LICENSE", source / "LICENSE"))
    return compile_c(output, [source / "src/tini.c"], ["-w", f"-I{generated}"])


def build_catatonit(source, output):
    """Its configure script would fill in config.h.in; the values only show in --help."""
    template = (source / "config.h.in").read_text()
    (source / "config.h").write_text(re.sub(r"@\w+@", "catatonit", template))
    return compile_c(output, [source / "catatonit.c"], ["-w", f"-I{source}"])


def build_dumb_init(source, output):
    return compile_c(output, [source / "dumb-init.c"], ["-w"])


SOURCE_BUILDS = {"tini": build_tini, "catatonit": build_catatonit, "dumb-init": build_dumb_init}


def locked_archives():
    """(sha256, path in the cache) of each line of peers.lock."""
    lines = (HERE / "peers.lock").read_text().splitlines()
    words = [line.split() for line in lines if line and not line.startswith("#")]
    return [(sha, BUILD / "dl" / Path(pool).name) for sha, pool in words]


def is_cached(sha, archive):
    return archive.exists() and hashlib.sha256(archive.read_bytes()).hexdigest() == sha


def fetch_sources():
    """Empty, or why the peers' sources are not to be had."""
    if all(is_cached(*entry) for entry in locked_archives()):
        return ""
    environment = dict(os.environ, BUILD=str(BUILD), DEPS_LOCK=str(HERE / "peers.lock"))
    try:
        run("sh", TOP / "tools/deps.sh", "fetch", env=environment, stderr=subprocess.PIPE)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        print((error.stderr or b"").decode(), end="", file=sys.stderr)
        return "source not fetched"
    return ""


def build_from_source(name):
    """(program, "") or (None, reason)."""
    archive, = [path for _, path in locked_archives() if path.name.startswith(f"{name}_")]
    source = OUT / "src" / name
    shutil.rmtree(source, ignore_errors=True)
    source.mkdir(parents=True)
    try:
        run("tar", "-xf", archive, "-C", source, "--strip-components=1", "--no-same-owner")
        return SOURCE_BUILDS[name](source, OUT / "peers" / name), ""
    except (subprocess.CalledProcessError, OSError) as error:
        print(f"bench: {name}: {error}", file=sys.stderr)
        return None, "does not build"


def peers():
    found = []
    unfetched = fetch_sources()
    for name in ("catatonit", "tini", "dumb-init"):
        program, why = (None, unfetched) if unfetched else build_from_source(name)
        found.append(Subject(f"{name} (musl)", PEER, name, ["--"], program, why, "musl"))
    for name in ("catatonit", "tini", "tini-static", "dumb-init"):
        program = Path("/usr/bin") / name
        why = "" if program.exists() else "not installed"
        dynamic = bool(libraries(program))
        title = f"{name} (distro{', dynamic' if dynamic else ''})"
        found.append(Subject(title, PEER, name, ["--"], program, why, "glibc", dynamic))
    return found


def ours():
    """pinnace under its peers' names, and as itself."""
    given = os.environ.get("PINNACE")
    program = Path(given) if given else BUILD / "pinnace"
    why = "" if program.exists() else "not built"
    return [
        Subject("pinnace as catatonit", OURS, "catatonit", ["--"], program, why, "musl"),
        Subject("pinnace as tini", OURS, "tini", ["--"], program, why, "musl"),
        Subject("pinnace", OURS, "pinnace", [], program, why, "musl"),
    ]


def floors():
    return [
        Subject("no init", FLOOR),
        Subject("waitpid loop", FLOOR, "reaper", ["reaper"], ROOT / "bin/payload", "", "musl"),
    ]


def libraries(program):
    """Absolute paths of what a dynamic program loads."""
    listing = subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout
    return [Path(p) for p in re.findall(r"(/\S+) \(0x", listing)]


def install(subject):
    """Put a stripped copy below the stage."""
    target = ROOT / "s" / subject.directory / subject.argv0
    target.parent.mkdir(parents=True)
    run("strip", "-o", target, subject.program)
    for library in libraries(subject.program):
        copy = ROOT / str(library).lstrip("/")
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, copy)
    return target


def make_stage():
    """The root directory of all boxes, with the payload but no subject yet."""
    shutil.rmtree(ROOT, ignore_errors=True)
    for name in ("bin", "dev", "etc", "proc", "run", "tmp", "s"):
        (ROOT / name).mkdir(parents=True)
    for name in ("null", "zero", "urandom"):
        (ROOT / "dev" / name).touch()
    (ROOT / "etc/passwd").write_text("root:x:0:0:root:/:/bin/sh\n")
    (ROOT / "etc/group").write_text("root:x:0:\n")
    (ROOT / "etc/hosts").write_text("127.0.0.1 localhost\n")
    compile_c(ROOT / "bin/payload", [HERE / "payload.c"], ["-s"])
    return compile_c(OUT / "measure", [HERE / "measure.c", HERE / "box.c"], ["-s"])
