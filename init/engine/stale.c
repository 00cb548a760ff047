#include "engine/stale.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "base/own.h"
#include "base/str.h"
#include "sys/file.h"

/* By the name of the running program: a pid alone may belong to anybody by now. */
static bool is_engine(long pid) {
    char path[48], comm[32];
    (void)snprintf(path, sizeof path, "/proc/%ld/comm", pid);
    file_peek(path, comm, sizeof comm);
    comm[strcspn(comm, "\n")] = '\0';
    /* comm holds 15 bytes: "docker-containerd" is cut. */
    return strcmp(comm, "dockerd") == 0 || strcmp(comm, "containerd") == 0 ||
           has_prefix(comm, "docker-containe");
}

static void remove_pidfile(const char *path, struct stale_report *r) {
    char text[32];
    struct stat st;
    if (lstat(path, &st) < 0 || !S_ISREG(st.st_mode))
        return;
    file_peek(path, text, sizeof text);
    long pid = strtol(text, NULL, 10);
    if (pid > 0 && is_engine(pid)) {
        r->live_pid = (int)pid;
        return;
    }
    if (unlink(path) < 0) {
        log_warn("engine", "%s is stale, but stays: %s", path, strerror(errno));
        return;
    }
    log_info("engine", "removed stale %s (pid %ld is no engine)", path, pid);
    r->removed++;
}

static bool is_pidfile(const char *name, const char *prefix, const char *suffix) {
    size_t n = strlen(name), s = strlen(suffix);
    return has_prefix(name, prefix) && n >= s && strcmp(name + n - s, suffix) == 0;
}

static void scan(const char *dir, const char *prefix, const char *suffix, struct stale_report *r) {
    char path[PATH_MAX];
    DIR *d = opendir(dir);
    for (struct dirent *ent; d && (ent = readdir(d));)
        if (is_pidfile(ent->d_name, prefix, suffix) &&
            snprintf(path, sizeof path, "%s/%s", dir, ent->d_name) < (int)sizeof path)
            remove_pidfile(path, r);
    if (d)
        (void)closedir(d);
}

/* Does a connection get as far as a backlog? Never waits: a full one says EAGAIN. */
static bool refuses(const char *path) {
    struct sockaddr_un sun = { .sun_family = AF_UNIX };
    if (strlen(path) >= sizeof sun.sun_path)
        return false;
    memcpy(sun.sun_path, path, strlen(path));
    AUTO_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    return fd >= 0 && connect(fd, (const struct sockaddr *)&sun, sizeof sun) < 0 &&
           errno == ECONNREFUSED;
}

static void remove_socket(const char *path, struct stale_report *r) {
    struct stat st;
    if (!*path || lstat(path, &st) < 0 || !S_ISSOCK(st.st_mode))
        return;
    if (!refuses(path)) {
        r->answered = true;
        return;
    }
    if (r->live_pid)
        return; /* it is about to listen, or about to end */
    if (unlink(path) < 0) {
        log_warn("engine", "%s is stale, but stays: %s", path, strerror(errno));
        return;
    }
    log_info("engine", "removed stale %s (nobody listens)", path);
    r->removed++;
}

void stale_remove(const char *pidfile, const char *exec_root, const char *socket,
                  struct stale_report *r) {
    char dir[PATH_MAX];
    *r = (struct stale_report){ 0 };
    remove_pidfile(pidfile, r);
    (void)snprintf(dir, sizeof dir, "%s", pidfile);
    char *slash = strrchr(dir, '/');
    if (slash && slash != dir) {
        *slash = '\0';
        scan(dir, "docker", ".pid", r);
    }
    (void)snprintf(dir, sizeof dir, "%s/containerd", exec_root);
    scan(dir, "", "containerd.pid", r);
    remove_socket(socket, r);
}
