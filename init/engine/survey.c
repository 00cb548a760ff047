#include "engine/survey.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/own.h"
#include "base/str.h"
#include "engine/kernel.h"
#include "engine/procfs.h"
#include "netlink/nft.h"
#include "sys/file.h"

extern char **environ;

/* The whole text of a /proc file, "" if there is none. Freed by the caller. */
static char *proc_text(const char *path) {
    char *text = NULL;
    size_t len;
    if (file_read(path, MAX_PROC_TEXT, &text, &len, NULL) < 0)
        return calloc(1, 1);
    return text;
}

static void copy_env(char *out, size_t cap, const char *name) {
    const char *value = getenv(name);
    (void)snprintf(out, cap, "%s", value && strlen(value) < cap ? value : "");
}

bool survey_has_program(const char *path, const char *program) {
    char candidate[MAX_ENGINE_PATH];
    for (const char *p = path; p && *p;) {
        size_t n = strcspn(p, ":");
        int len = snprintf(candidate, sizeof candidate, "%.*s/%s", (int)n, p, program);
        if (n > 0 && len < (int)sizeof candidate && access(candidate, X_OK) == 0)
            return true;
        p += n + (p[n] == ':');
    }
    return false;
}

static void survey_programs(struct engine_facts *f) {
    const char *path = getenv("PATH");
    f->script = survey_has_program(path, "dockerd-entrypoint.sh");
    f->dockerd = survey_has_program(path, "dockerd");
    f->rootless_script = survey_has_program(path, "dockerd-rootless.sh");
    f->rootlesskit = survey_has_program(path, "rootlesskit");
    f->newuidmap = survey_has_program(path, "newuidmap");
    f->rootless_net = survey_has_program(path, "slirp4netns") ||
                      survey_has_program(path, "pasta") || survey_has_program(path, "vpnkit");
    f->iptables = survey_has_program(path, "iptables");
    f->nft = survey_has_program(path, "nft");
    f->fuse_overlayfs = survey_has_program(path, "fuse-overlayfs");
}

static void survey_environment(struct engine_facts *f) {
    copy_env(f->home, sizeof f->home, "HOME");
    copy_env(f->runtime_dir, sizeof f->runtime_dir, "XDG_RUNTIME_DIR");
    copy_env(f->config_home, sizeof f->config_home, "XDG_CONFIG_HOME");
    const char *certs = getenv("DOCKER_TLS_CERTDIR");
    f->tls_certdir = certs && *certs;
    f->kubernetes = getenv("KUBERNETES_SERVICE_HOST");
    for (char **p = environ; p && *p; p++)
        if (has_prefix(*p, "DAGGER_") || has_prefix(*p, "_DAGGER_"))
            f->dagger = true;
}

void survey_self(struct engine_facts *f) {
    *f = (struct engine_facts){ .uid = geteuid() };
    AUTO_FREE char *status = proc_text("/proc/self/status");
    AUTO_FREE char *map = proc_text("/proc/self/uid_map");
    if (!status || !map || !status_hex(status, "CapEff", &f->caps))
        /* Without /proc: root is taken at its word, and refusals are findings. */
        f->caps = f->uid == 0 ? UINT64_MAX : 0;
    f->userns_initial = map && uid_map_is_full(map);
    survey_programs(f);
    survey_environment(f);
}

static void survey_cgroup(struct engine_facts *f, const char *mounts) {
    char path[MAX_ENGINE_PATH] = "", text[128];
    struct mount_line m;
    if (!mountinfo_find(mounts, "/sys/fs/cgroup", &m))
        return;
    if (strcmp(m.type, "cgroup2") != 0) {
        /* An empty tmpfs is no cgroup tree. */
        f->cgroup = strstr(mounts, " - cgroup ") ? CGROUP_LEGACY : CGROUP_NONE;
        return;
    }
    f->cgroup = CGROUP_UNIFIED;
    f->cgroup_writable = access("/sys/fs/cgroup/cgroup.procs", W_OK) == 0;
    f->cgroup_read_only = !f->cgroup_writable && errno == EROFS;
    /* With the host's namespace the mount shows the whole host: then we are somewhere
     * below its root. "/init" is where an earlier prepare, or docker's script, put us. */
    AUTO_FREE char *self = proc_text("/proc/self/cgroup");
    if (self && !cgroup_path(self, path, sizeof path))
        path[0] = '\0';
    f->cgroup_own_root =
        strcmp(m.root, "/") == 0 && (strcmp(path, "/") == 0 || strcmp(path, "/init") == 0);
    file_peek("/sys/fs/cgroup/cgroup.controllers", text, sizeof text);
    (void)snprintf(f->controllers, sizeof f->controllers, "%.*s", (int)strcspn(text, "\n"), text);
}

static bool is_firecracker(void) {
    /* OEM id of the ACPI tables it makes (ACPI 6.5, 5.2.6: offset 10, 6 bytes); without
     * ACPI, the boot arguments it documents. */
    char table[24], cmdline[2048];
    memset(table, 0, sizeof table);
    AUTO_FD int fd = open("/sys/firmware/acpi/tables/FACP", O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && read(fd, table, sizeof table) == (ssize_t)sizeof table &&
        memcmp(table + 10, "FIRECK", 6) == 0)
        return true;
    file_peek("/proc/cmdline", cmdline, sizeof cmdline);
    return strstr(cmdline, "reboot=k") && strstr(cmdline, "pci=off");
}

static void survey_surroundings(struct engine_facts *f, const char *mounts) {
    static const char *const sockets[] = { "/var/run/docker.sock", "/run/docker.sock" };
    char version[512];
    struct mount_line m;
    file_peek("/proc/version", version, sizeof version);
    f->gvisor = version_is_gvisor(version);
    f->firecracker = is_firecracker();
    for (const char *at = mounts; mountinfo_next(&at, &m);)
        if (strcmp(m.source, "sysboxfs") == 0 || strstr(m.type, "sysboxfs"))
            f->sysbox = true;
    for (size_t i = 0; i < 2; i++)
        if (mountinfo_find(mounts, sockets[i], &m))
            (void)snprintf(f->host_socket, sizeof f->host_socket, "%s", sockets[i]);
}

static bool directory_has_entries(const char *dir, const char *name) {
    char path[MAX_ENGINE_PATH + 32];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    DIR *d = opendir(path);
    bool any = false;
    for (struct dirent *ent; d && !any && (ent = readdir(d));)
        any = strcmp(ent->d_name, ".") != 0 && strcmp(ent->d_name, "..") != 0;
    if (d)
        (void)closedir(d);
    return any;
}

/* vfs comes last, as for dockerd: it is what was fallen back to. */
static void survey_stored_driver(struct engine_facts *f) {
    static const char *const drivers[] = { "overlay2", "fuse-overlayfs", "btrfs",   "zfs",
                                           "aufs",     "devicemapper",   "overlay", "vfs" };
    for (size_t i = 0; i < sizeof drivers / sizeof *drivers; i++)
        if (directory_has_entries(f->data_root, drivers[i])) {
            (void)snprintf(f->stored_driver, sizeof f->stored_driver, "%s", drivers[i]);
            return;
        }
}

/* Opening is the only test that sees a device cgroup's refusal; it makes nothing. */
static bool device_opens(const char *path) {
    AUTO_FD int fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
    return fd >= 0;
}

/* Its mode lets root write it; but the kernel wants CAP_NET_ADMIN over the network namespace. */
static bool is_forwarding_stuck(const struct engine_facts *f) {
    static const char path[] = "/proc/sys/net/ipv4/ip_forward";
    char now[8];
    file_peek(path, now, sizeof now);
    bool may = f->caps >> CAP_NET_ADMIN & 1 && f->nf_tables != NFT_DENIED;
    return now[0] == '0' && !(may && access(path, W_OK) == 0);
}

void survey_box(struct engine_facts *f) {
    AUTO_FREE char *mounts = proc_text("/proc/self/mountinfo");
    if (mounts) {
        survey_cgroup(f, mounts);
        survey_surroundings(f, mounts);
    }
    f->nf_tables = nft_probe();
    f->legacy_tables = access("/proc/net/ip_tables_names", F_OK) == 0;
    f->forwarding_stuck = is_forwarding_stuck(f);
    f->fuse_overlayfs = f->fuse_overlayfs && device_opens("/dev/fuse");
    f->tun = device_opens("/dev/net/tun");
    f->overlay = kernel_overlay(f->data_root, f->uid != 0, &f->overlay_code);
    survey_stored_driver(f);
    f->json_writable = file_is_replaceable(f->json_path);
    f->run_writable = file_is_replaceable("/run/pinnace/daemon.json");
    f->pidfile_exists = access(f->pidfile, F_OK) == 0;
}
