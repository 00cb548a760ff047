"""bases.py: what stands in for the images of a registry, and how ours are built on it.

    debian       a Debian without anything          in place of debian:*-slim
    docker-dind  the same with an engine, a script, certificates     of docker:dind
    docker-dind-rootless      and an account with rootlesskit        of docker:dind-rootless

They are made by debootstrap, kept as tars in $PINNACE_CACHE, and imported.
"""
import os
import stat

import lib

HERE = os.path.dirname(os.path.abspath(__file__))
BASES = os.path.join(HERE, "bases")
DIND_PACKAGES = ["openssl", "rootlesskit", "slirp4netns", "uidmap", "fuse-overlayfs"]
BUILD_SECONDS = 400
# As udev makes them; the nodes of a small machine's devtmpfs are root's alone.
DEVICES = {"fuse": (10, 229), "net/tun": (10, 200)}


def equip(lab):
    """The bases, in this outer engine."""
    packages = lib.engine_packages(lib.suite()) + DIND_PACKAGES
    lab.import_image("debian", lib.rootfs(None, []))
    lab.import_image("rootfs", lib.rootfs(None, packages))
    for name, argument in (("dind", "ROOTFS=rootfs"), ("dind-rootless", "DIND=docker-dind")):
        build(lab, f"docker-{name}", f"{BASES}/{name}.Dockerfile", argument, context=BASES)


def build(lab, tag, dockerfile, *arguments, context=lib.TOP, options=(), timeout=BUILD_SECONDS):
    """docker build, as a user would call it. Returns its Result."""
    given = [part for argument in arguments for part in ("--build-arg", argument)]
    return lab.docker("build", "-t", tag, "-f", os.path.join(lib.TOP, dockerfile), *given, *options,
                      context, timeout=timeout, check=True)


def devices(lab):
    """--device for /dev/fuse and /dev/net/tun, open to every user."""
    args = []
    for name, (major, minor) in DEVICES.items():
        node = os.path.join(lab.dir, name.replace("/", "-"))
        if not os.path.exists(node):
            os.mknod(node, stat.S_IFCHR | 0o666, os.makedev(major, minor))
            os.chmod(node, 0o666)
        args.append(f"--device={node}:/dev/{name}")
    return args
