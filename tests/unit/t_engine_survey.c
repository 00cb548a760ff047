/* The survey's parsers on samples of real boxes, dockerd's flags, whole files, stale
 * files, and the questions asked of the kernel this runs on. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/time.h"
#include "engine/flags.h"
#include "engine/kernel.h"
#include "engine/prepare.h"
#include "engine/procfs.h"
#include "engine/stale.h"
#include "engine/survey.h"
#include "engine/version.h"
#include "netlink/nft.h"
#include "sys/file.h"
#include "tests/unit/tap.h"

static const char docker_v2[] =
    "1573 1386 0:94 / / rw,relatime master:526 - overlay overlay rw,lowerdir=/a:/b,xino=off\n"
    "1574 1573 0:97 / /proc rw,nosuid,nodev,noexec,relatime - proc proc rw\n"
    "garbage\n"
    "\n"
    "1577 1576 0:27 / /sys/fs/cgroup ro,nosuid,nodev,noexec,relatime - cgroup2 cgroup "
    "rw,nsdelegate\n"
    "1580 1573 8:1 /run/docker.sock /run/docker.sock rw shared:1 master:2 propagate_from:3 - ext4 "
    "/dev/sda1 rw\n"
    "1581 1573 8:1 /a /mnt/with\\040space\\134x rw - ext4 /dev/sda1 rw";
static const char host_tree[] = "35 26 0:27 /../../.. /sys/fs/cgroup rw - tmpfs tmpfs rw\n"
                                "36 35 0:28 /../.. /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n";

static void parses_mounts(void) {
    struct mount_line m;
    int n = 0;
    for (const char *at = docker_v2; mountinfo_next(&at, &m);)
        n++;
    OK(n == 5, "five mounts; lines that are none are skipped (%d)", n);
    OK(mountinfo_find(docker_v2, "/sys/fs/cgroup", &m), "finds the cgroup mount");
    OK(strcmp(m.type, "cgroup2") == 0 && strcmp(m.root, "/") == 0, "its type and root");
    OK(has_option(m.options, "ro") && has_option(m.options, "relatime"), "its options");
    OK(!has_option(m.options, "rw") && !has_option(m.options, "r") && !has_option("", "ro"),
       "no other options");
    OK(mountinfo_find(docker_v2, "/run/docker.sock", &m) && strcmp(m.source, "/dev/sda1") == 0,
       "any number of optional fields");
    OK(mountinfo_find(docker_v2, "/mnt/with space\\x", &m), "octal escapes");
    OK(!mountinfo_find(docker_v2, "/mnt", &m), "no prefix match");
    OK(mountinfo_find(host_tree, "/sys/fs/cgroup", &m) && strcmp(m.root, "/../..") == 0,
       "of two on one place, the upper one");
    OK(!mountinfo_find("1 2 0:1 / /x rw shared:1", "/x", &m), "a line without a dash is none");
}

static void parses_cuts(void) {
    struct mount_line m;
    size_t len = sizeof docker_v2;
    char *part = malloc(len);
    int ok = 0;
    for (size_t n = 0; n < len; n++) {
        memcpy(part, docker_v2, n);
        part[n] = '\0';
        for (const char *at = part; mountinfo_next(&at, &m);)
            ok++;
    }
    OK(ok > 0, "every cut of the text is survived (%d lines)", ok);
    free(part);
    char line[2048];
    memset(line, 'a', sizeof line);
    memcpy(line, "1 2 3 /r /", 10);
    memcpy(line + sizeof line - 20, " o - type source\n\0\0", 19);
    line[sizeof line - 1] = '\0';
    OK(mountinfo_find(line, "/a", &m) == false, "a very long mount point is cut, not matched");
    const char *at = line;
    OK(mountinfo_next(&at, &m) && strlen(m.point) == sizeof m.point - 1 &&
           strcmp(m.type, "type") == 0,
       "and the fields behind it are right");
}

static void parses_identity(void) {
    static const char status[] = "Name:\tx\nUid:\t0\t0\t0\t0\nCapInh:\t0000000000000000\n"
                                 "CapPrm:\t000001ffffffffff\nCapEff:\t00000000a80425fb\n";
    uint64_t caps = 0;
    char path[32];
    OK(status_hex(status, "CapEff", &caps) && caps == 0xa80425fb, "docker's default caps");
    OK(!status_hex(status, "CapBnd", &caps) && !status_hex(status, "ffffff", &caps) &&
           !status_hex("", "CapEff", &caps),
       "a missing field");
    OK(!status_hex("CapEff:\tx\n", "CapEff", &caps), "not a number");
    OK(uid_map_is_full("         0          0 4294967295\n"), "initial user namespace");
    OK(!uid_map_is_full("         0     100000      65536\n") && !uid_map_is_full("") &&
           !uid_map_is_full("0 100000 4294967295"),
       "mapped ones");
    OK(cgroup_path("12:cpu:/x\n0::/docker/1\n", path, sizeof path) &&
           strcmp(path, "/docker/1") == 0,
       "path in the unified tree");
    OK(cgroup_path("0::/", path, sizeof path) && strcmp(path, "/") == 0, "own root");
    OK(!cgroup_path("12:cpu:/x\n", path, sizeof path) && !cgroup_path("10::/\n", path, 32),
       "version 1 has none");
    OK(!cgroup_path("0::/12345678\n", path, 5), "a path that does not fit is no path");
    OK(version_is_gvisor("Linux version 4.4.0 #1 SMP Sun Jan 10 15:06:54 PST 2016"), "gVisor");
    OK(!version_is_gvisor("Linux version 6.1.0-18-amd64 (builder@example.org)"), "a real kernel");
}

static void parses_flags(void) {
    static const char *const words[] = {
        "dockerd", "--host=tcp://:1",  "-H",  "unix:///a", "-Hunix:///b",  "-DH=fd://", "--label",
        "a=b",     "--tlsverify",      "-sl", "-l=warn",   "--iptables=0", "--dns-opt", "x",
        "--",      "--storage-driver", "zfs",
    };
    static const char *const keys[] = { "hosts",     "hosts",    "hosts",     "debug",
                                        "hosts",     "labels",   "tlsverify", "storage-driver",
                                        "log-level", "iptables", "dns-opts" };
    static const char *const values[] = { "tcp://:1", "unix:///a", "unix:///b", NULL,
                                          "fd://",    "a=b",       NULL,        "l",
                                          "warn",     "0",         "x" };
    struct flag_list l = { .n = 0 };
    flags_parse(&l, words, sizeof words / sizeof *words);
    OK(l.n == sizeof keys / sizeof *keys, "eleven flags before -- (%zu)", l.n);
    for (size_t i = 0; i < l.n && i < sizeof keys / sizeof *keys; i++) {
        bool same =
            values[i] ? l.v[i].value && strcmp(l.v[i].value, values[i]) == 0 : !l.v[i].value;
        OK(strcmp(l.v[i].key, keys[i]) == 0 && same, "flag %zu: %s", i, keys[i]);
    }
    OK(strcmp(flags_find(&l, "hosts")->value, "fd://") == 0, "the last one counts");
    OK(!flags_find(&l, "host"), "known by the name in daemon.json");
    OK(!flag_is_true(flags_find(&l, "iptables")) && flag_is_true(flags_find(&l, "debug")),
       "switches");
    struct flag_list none = { .n = 0 };
    static const char *const odd[] = { "-", "", "-?", "-H", "--host" };
    flags_parse(&none, odd, 3);
    OK(none.n == 0, "words that are no flags of dockerd's");
    flags_parse(&none, odd + 3, 1);
    flags_parse(&none, odd + 4, 1);
    OK(none.n == 2 && !none.v[0].value && !none.v[1].value, "a value that is missing");
}

static char dir[64];

static const char *in_dir(const char *name) {
    static char path[4][128];
    static int at;
    at = (at + 1) % 4;
    (void)snprintf(path[at], sizeof path[at], "%s/%s", dir, name);
    return path[at];
}

static void put(const char *name, const char *text) {
    FILE *f = fopen(in_dir(name), "w");
    (void)fputs(text, f);
    (void)fclose(f);
}

static bool holds(const char *name, const char *text) {
    char buf[64];
    file_peek(in_dir(name), buf, sizeof buf);
    return strcmp(buf, text) == 0;
}

static void reads_files(void) {
    char *text = NULL;
    size_t len;
    struct err e;
    put("f", "0123456789");
    OK(file_read(in_dir("f"), 10, &text, &len, &e) == 0 && len == 10 && text[10] == '\0',
       "a file of just the limit");
    free(text);
    text = NULL;
    OK(file_read(in_dir("f"), 9, &text, &len, &e) == -EFBIG && !text, "one over it: %s", e.text);
    OK(file_read(in_dir("none"), 9, &text, &len, &e) == -ENOENT, "a missing one: %s", e.text);
    OK(mkfifo(in_dir("fifo"), 0600) == 0 &&
           file_read(in_dir("fifo"), 9, &text, &len, &e) == -EINVAL,
       "a FIFO without a writer does not hang: %s", e.text);
    OK(file_read(dir, 9, &text, &len, &e) == -EINVAL, "a directory: %s", e.text);
    OK(file_read("/proc/self/mountinfo", MAX_PROC_TEXT, &text, &len, &e) == 0 && len > 0,
       "a file that tells no size");
    free(text);
}

static void replaces_files(void) {
    struct err e;
    struct stat st;
    OK(file_replace(in_dir("new/deep/f"), "a", 1, &e) == 0 && holds("new/deep/f", "a"),
       "a new file, with its directories");
    OK(stat(in_dir("new/deep/f"), &st) == 0 && (st.st_mode & 07777) == 0644, "its mode");
    put("mode", "old");
    (void)chmod(in_dir("mode"), 0640);
    if (geteuid() == 0)
        OK(chown(in_dir("mode"), 12, 34) == 0, "a file of somebody else's");
    OK(file_replace(in_dir("mode"), "new", 3, &e) == 0 && holds("mode", "new"), "an old file");
    OK(stat(in_dir("mode"), &st) == 0 && (st.st_mode & 07777) == 0640, "keeps its mode");
    if (geteuid() == 0)
        OK(st.st_uid == 12 && st.st_gid == 34, "and its owner");
    OK(symlink("mode", in_dir("link")) == 0 && file_replace(in_dir("link"), "x", 1, &e) == 0 &&
           holds("mode", "x") && lstat(in_dir("link"), &st) == 0 && S_ISLNK(st.st_mode),
       "a link stays a link");
    OK(file_replace("/proc/none/f", "x", 1, &e) < 0, "where nothing can be made: %s", e.text);
    OK(file_is_replaceable(in_dir("mode")) && file_is_replaceable(in_dir("a/b/c")) &&
           !file_is_replaceable(in_dir("mode/f")),
       "it is known beforehand");
}

static pid_t pretend_engine(void) {
    pid_t pid = fork();
    if (pid == 0) {
        (void)prctl(PR_SET_NAME, "dockerd");
        (void)kill(getpid(), SIGSTOP);
        _exit(0);
    }
    int status;
    (void)waitpid(pid, &status, WUNTRACED);
    return pid;
}

static int listen_on(const char *path) {
    struct sockaddr_un sun = { .sun_family = AF_UNIX };
    memcpy(sun.sun_path, path, strnlen(path, sizeof sun.sun_path - 1));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(fd, (const struct sockaddr *)&sun, sizeof sun) < 0 || listen(fd, 1) < 0)
        return -1;
    return fd;
}

static void removes_stale_files(void) {
    struct stale_report r;
    char pid[16], pidfile[128], root[128], sock[128];
    (void)mkdir(in_dir("run"), 0755);
    (void)mkdir(in_dir("run/docker"), 0755);
    (void)mkdir(in_dir("run/docker/containerd"), 0755);
    (void)snprintf(pidfile, sizeof pidfile, "%s/run/docker.pid", dir);
    (void)snprintf(root, sizeof root, "%s/run/docker", dir);
    (void)snprintf(sock, sizeof sock, "%s/run/docker.sock", dir);
    (void)snprintf(pid, sizeof pid, "%d\n", (int)getpid());
    put("run/docker.pid", pid);
    put("run/docker-b.pid", "junk");
    put("run/other.pid", pid);
    put("run/docker/containerd/containerd.pid", "999999999");
    int fd = listen_on(sock);
    stale_remove(pidfile, root, sock, &r);
    OK(r.removed == 3 && !r.live_pid && r.answered, "three pid files, a live socket stays (%d)",
       r.removed);
    OK(access(in_dir("run/other.pid"), F_OK) == 0 && access(sock, F_OK) == 0, "others stay");
    (void)close(fd);
    pid_t engine = pretend_engine();
    (void)snprintf(pid, sizeof pid, "%d", (int)engine);
    put("run/docker.pid", pid);
    stale_remove(pidfile, root, sock, &r);
    OK(r.removed == 0 && r.live_pid == engine, "nothing is taken from an engine that runs");
    (void)kill(engine, SIGKILL);
    (void)waitpid(engine, NULL, 0);
    stale_remove(pidfile, root, sock, &r);
    OK(r.removed == 2 && access(sock, F_OK) < 0, "it is gone: pid file and dead socket go too");
    stale_remove(pidfile, root, sock, &r);
    OK(r.removed == 0, "nothing left");
    put("run/docker.sock", "a file");
    stale_remove(pidfile, root, sock, &r);
    OK(r.removed == 0 && holds("run/docker.sock", "a file"), "a plain file is no socket");
}

static int entries(const char *path) {
    int n = 0;
    DIR *d = opendir(path);
    while (d && readdir(d))
        n++;
    if (d)
        (void)closedir(d);
    return n - 2;
}

/* What a user may do: mount it (Linux 5.11), or be refused (EPERM; EINVAL on another overlay), but
 * never EACCES, which is what a user namespace without its group map gets. */
static void overlay_of_a_user(void) {
    if (geteuid() != 0) {
        OK(true, "overlay of a user # SKIP needs root, to be somebody else");
        return;
    }
    (void)mkdir(in_dir("users"), 0755);
    (void)chown(in_dir("users"), 65534, 65534);
    (void)chmod(dir, 0755);
    pid_t pid = fork();
    if (pid == 0) {
        int code = 0;
        if (setresgid(65534, 65534, 65534) < 0 || setresuid(65534, 65534, 65534) < 0)
            _exit(255);
        (void)prctl(PR_SET_DUMPABLE, 1, 0, 0, 0); /* else /proc/self belongs to root */
        (void)kernel_overlay(in_dir("users"), true, &code);
        _exit(code);
    }
    int status = -1;
    (void)waitpid(pid, &status, 0);
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : 255;
    OK(code != EACCES && code != 255, "overlay of a user: %s", strerror(code));
}

static void asks_the_kernel(void) {
    int code;
    char root[160];
    OK(nft_probe() != NFT_UNKNOWN, "nf_tables: the kernel says %d", (int)nft_probe());
    int before = entries(dir);
    enum engine_overlay o = kernel_overlay(dir, geteuid() != 0, &code);
    OK((o == OVERLAY_FAILS) == (code != 0), "overlay: %d (%s)", (int)o, strerror(code));
    (void)snprintf(root, sizeof root, "%s/not/there:yet", dir);
    OK(kernel_overlay(root, geteuid() != 0, &code) == o, "the same for a data root to be made");
    OK(entries(dir) == before && access(in_dir("not"), F_OK) < 0, "no trace of it");
    OK(kernel_overlay("relative", false, &code) == OVERLAY_UNKNOWN, "a relative path is not tried");
    pid_t pid = fork();
    if (pid == 0) {
        if (geteuid() == 0 && setresuid(65534, 65534, 65534) < 0)
            _exit(2);
        _exit(nft_probe() == NFT_USABLE);
    }
    int status = -1;
    (void)waitpid(pid, &status, 0);
    OK(status == 0, "nobody may not use nf_tables");
}

static void surveys(void) {
    struct engine_facts f;
    (void)setenv("DOCKER_TLS_CERTDIR", "", 1);
    (void)setenv("_DAGGER_X", "1", 1);
    survey_self(&f);
    OK(f.uid == geteuid() && !f.tls_certdir && f.dagger, "who we are");
    OK(geteuid() != 0 || f.caps != 0, "capabilities %llx", (unsigned long long)f.caps);
    (void)snprintf(f.data_root, sizeof f.data_root, "%s", in_dir("data"));
    (void)snprintf(f.json_path, sizeof f.json_path, "%s", in_dir("daemon.json"));
    (void)mkdir(in_dir("data"), 0755);
    (void)mkdir(in_dir("data/overlay2"), 0755);
    (void)mkdir(in_dir("data/zfs"), 0755);
    (void)mkdir(in_dir("data/zfs/x"), 0755);
    survey_box(&f);
    OK(strcmp(f.stored_driver, "zfs") == 0, "stored driver: the one with something in it");
    OK(f.json_writable, "daemon.json could be written");
    put("dockerd", "");
    OK(!engine_present(dir), "a file that cannot be executed is no engine");
    (void)chmod(in_dir("dockerd"), 0755);
    char path[160];
    (void)snprintf(path, sizeof path, "/nowhere::%s", dir);
    OK(engine_present(path) && !engine_present("") && !engine_present(NULL), "dockerd on the PATH");
}

static void parses_versions(void) {
    static const struct {
        const char *text;
        uint32_t major;
    } texts[] = {
        { "Docker version 20.10.24+dfsg1, build 5d6db84\n", 20 },
        { "Docker version 28.0.1, build bbd0a17", 28 },
        { "warning: x\nDocker version 24.0.0\n", 24 },
        { "Docker version 1.13.1, build 092cba3", 1 },
        { "Docker version dev, build x", 0 },
        { "Docker version 0.0.0-20240101, build x", 0 },
        { "Docker version 28", 0 },
        { "Docker version 99999999.1", 0 },
        { "Docker version ", 0 },
        { "the Docker version 28.0.1", 0 },
        { "podman version 5.0.0\n", 0 },
        { "\n\n", 0 },
        { "", 0 },
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        OK(version_parse(texts[i].text) == texts[i].major, "version %u: '%.20s'", texts[i].major,
           texts[i].text);
}

static void asks_versions(void) {
    static const struct {
        const char *what, *script;
        uint32_t major;
    } engines[] = {
        { "an engine", "[ \"$1\" = --version ] && echo Docker version 27.1.0, build x", 27 },
        { "one that fails", "echo Docker; exit 1", 0 },
        { "one on stderr", "echo Docker version 27.1.0 >&2", 0 },
        { "one that talks without end", "while echo Docker version 27.1.0; do :; done", 27 },
        { "one that leaves a child", "sleep 60 >/dev/null & echo Docker version 26.0.0", 26 },
        { "one that hangs", "echo $$ >\"$0.pid\"; exec sleep 60", 0 },
    };
    char base[] = "/tmp/t_engine_version-XXXXXX", path[64], text[64];
    if (!OK(mkdtemp(base), "a directory"))
        return;
    (void)snprintf(path, sizeof path, "%s/dockerd", base);
    for (size_t i = 0; i < sizeof engines / sizeof *engines; i++) {
        FILE *f = fopen(path, "w");
        if (f) {
            (void)fprintf(f, "#!/bin/sh\n%s\n", engines[i].script);
            (void)fclose(f);
        }
        (void)chmod(path, 0755);
        instant start = instant_now();
        uint32_t major = engine_version(path);
        OK(major == engines[i].major, "%s: version %u", engines[i].what, major);
        OK(instant_before(instant_now(), instant_add(start, span_ms(20000))), "  and in time");
    }
    (void)unlink(path);
    OK(engine_version(path) == 0, "no program: not known");
    (void)strcat(path, ".pid");
    file_peek(path, text, sizeof text);
    OK(atoi(text) > 1 && kill(atoi(text), 0) < 0, "the one that hung is gone");
    (void)unlink(path);
    (void)rmdir(base);
}

int main(void) {
    (void)snprintf(dir, sizeof dir, "/tmp/t_engine_survey-XXXXXX");
    if (!mkdtemp(dir))
        return 1;
    parses_mounts();
    parses_cuts();
    parses_identity();
    parses_flags();
    reads_files();
    replaces_files();
    removes_stale_files();
    overlay_of_a_user();
    asks_the_kernel();
    surveys();
    char cleanup[128];
    (void)snprintf(cleanup, sizeof cleanup, "rm -rf %s", dir);
    OK(system(cleanup) == 0, "cleaned up");
    parses_versions();
    asks_versions();
    return tap_end();
}
