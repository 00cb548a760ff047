"""podman.py: Kubernetes manifests without Kubernetes.

    with Podman(lab) as podman:          # its service, in namespaces of its own
        podman("kube", "play", path)     # as a user would call it; returns a lib.Result

All it keeps is in the lab's directory, and all it started ends with it.
"""
import contextlib
import os
import shutil
import subprocess
import sys

import lib

# netavark needs no plugins of CNI's. File: podman's own keys, containers.conf(5).
CONFIG = """
[network]
network_backend = "netavark"
network_config_dir = "{dir}/networks"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
"""
CGROUP = "libpod_parent"  # what podman calls the parent of all its cgroups


class Podman:
    def __init__(self, lab):
        self.lab = lab

    @staticmethod
    def missing():
        """What is not installed, or None. runc, because crun refuses hybrid cgroups."""
        return next((tool for tool in ("podman", "runc") if not shutil.which(tool)), None)

    def __enter__(self):
        self.dir = os.path.join(self.lab.dir, "podman")
        os.mkdir(self.dir)
        config = os.path.join(self.dir, "containers.conf")
        with open(config, "w") as file:
            file.write(CONFIG.format(dir=self.dir))
        self.url = f"unix://{self.lab.run_dir}/podman.sock"
        self.env = dict(os.environ, CONTAINERS_CONF=config)
        argv = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
                sys.executable, os.path.join(lib.HERE, "outer.py"), "podman",
                "--root", self.dir + "/root", "--runroot", self.lab.run_dir + "/podman",
                "--tmpdir", self.lab.run_dir + "/podman-tmp", "--runtime=runc",
                "system", "service", "--time=0", self.url]
        with open(self.dir + "/log", "w") as log:
            self.service = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=log, stderr=log,
                                            env=self.env, start_new_session=True)
        try:
            lib.eventually("podman's service", lambda: self("version", timeout=10).rc == 0, 30)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc):
        self.service.stdin.close()
        try:
            self.service.wait(40)
        except subprocess.TimeoutExpired:
            self.service.kill()
            self.service.wait()
        with contextlib.suppress(OSError):
            lib.remove_cgroups(CGROUP, True)

    def __call__(self, *words, timeout=60, data=None, check=False):
        return lib.run(["podman", "--remote", "--url", self.url, *words], timeout, data,
                       env=self.env, check=check)
