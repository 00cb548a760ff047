/* listen.c — the sockets that the channel listens on, opened and held by PID 1, so that clients of
 * one that dies wait for the next; and the memory that channels share. */
#include <errno.h>
#include <fcntl.h>
#include <linux/vm_sockets.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "base/own.h"
#include "base/str.h"
#include "pid1/box.h"
#include "svc/environment.h"
#include "sys/heard.h"

enum {
    FIRST_LISTEN_FD = 3, /* sd_listen_fds(3) */
    MAX_LISTEN_FDS = 1024,
    PATH_BYTES = RUNDIR_MAX + 32, /* of any socket's, and a run directory's with its name */
};

/* --- unix ------------------------------------------------------------------------------------ */

int bind_unix(const char *path, int type, mode_t mode, struct err *e) {
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    struct stat st;
    if (strlen(path) >= sizeof to.sun_path)
        return err_set(e, ENAMETOOLONG, "%s is too long for a socket", path);
    memcpy(to.sun_path, path, strlen(path) + 1);
    if (lstat(path, &st) == 0) {
        if (!S_ISSOCK(st.st_mode))
            return err_set(e, EEXIST, "%s is there, and is no socket", path);
        if (type == SOCK_STREAM && socket_is_heard(path))
            return err_set(e, EADDRINUSE, "another process listens on %s", path);
        (void)unlink(path); /* of a box before this one */
    }
    AUTO_FD int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&to, sizeof to) < 0 || chmod(path, mode) < 0)
        return err_sys(e, errno, "make the socket %s", path);
    return fd_take(&fd);
}

/* Where it is: PATH of unix:PATH, or the run directory's. False: there is none. */
static bool unix_path(const struct box *b, const struct listen_spec *l, char out[PATH_BYTES]) {
    if (l->kind == LISTEN_UNIX)
        (void)snprintf(out, PATH_BYTES, "%s", l->text);
    else if (l->kind == LISTEN_AUTO && b->has_run_dir)
        (void)snprintf(out, PATH_BYTES, "%s/pinnace.sock", b->run_dir);
    else
        return false;
    return true;
}

static int open_unix(struct box *b, size_t i, struct err *e) {
    char path[PATH_BYTES], other[PATH_BYTES];
    if (!unix_path(b, &b->conf->channels[i]->listen, path))
        return err_set(e, ENOENT, "there is no run directory");
    for (size_t k = 0; k < i; k++)
        if (b->listen[k] >= 0 && unix_path(b, &b->conf->channels[k]->listen, other) &&
            strcmp(path, other) == 0)
            return err_set(e, EADDRINUSE, "[channel %s] listens on %s already",
                           b->conf->channels[k]->name, path);
    return bind_unix(path, SOCK_STREAM, b->conf->channels[i]->mode, e);
}

/* --- tcp, vsock ------------------------------------------------------------------------------- */

static int bind_inet(const struct ip *ip, unsigned port, bool dual) {
    struct sockaddr_storage to;
    int yes = 1, only = !dual;
    socklen_t n = ip_to_sockaddr(ip, (uint16_t)port, &to);
    AUTO_FD int fd = socket(ip->family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) < 0)
        return -errno;
    if (ip->family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only) < 0)
        return -errno;
    if (ip_is_loopback(ip)) /* in a machine that has just begun, lo is down: it will be there */
        (void)setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &yes, sizeof yes);
    return bind(fd, (struct sockaddr *)&to, n) < 0 ? -errno : fd_take(&fd);
}

static int open_tcp(const struct listen_spec *l, struct err *e) {
    static const struct ip any4 = { .family = AF_INET };
    bool dual = has_prefix(l->text, "tcp:*:");
    int fd = bind_inet(&l->ip, l->port, dual);
    if (dual && (fd == -EAFNOSUPPORT || fd == -EADDRNOTAVAIL)) /* a kernel without IPv6 */
        fd = bind_inet(&any4, l->port, false);
    return fd < 0 ? err_sys(e, -fd, "bind") : fd;
}

static int open_vsock(const struct listen_spec *l, struct err *e) {
    struct sockaddr_vm to = { .svm_family = AF_VSOCK,
                              .svm_cid = VMADDR_CID_ANY,
                              .svm_port = l->port };
    AUTO_FD int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 && errno == EAFNOSUPPORT)
        return err_set(e, EAFNOSUPPORT, "this kernel has no vsock; is its module loaded?");
    if (fd < 0 || bind(fd, (struct sockaddr *)&to, sizeof to) < 0)
        return err_sys(e, errno, "bind");
    return fd_take(&fd);
}

/* --- fd: -------------------------------------------------------------------------------------- */

static unsigned number_in(const char *name, unsigned most) {
    const char *text = getenv(name);
    unsigned n = 0;
    return text && parse_uint(text, 0, most, &n, NULL) == 0 ? n : 0;
}

/* The position of NAME in LISTEN_FDNAMES, or the number that it is; -1. */
static int listen_index(const char *name, unsigned count) {
    unsigned n;
    if (parse_uint(name, 0, MAX_LISTEN_FDS, &n, NULL) == 0)
        return n < count ? (int)n : -1;
    const char *list = getenv("LISTEN_FDNAMES");
    for (unsigned i = 0; list && i < count; i++) {
        size_t len = strcspn(list, ":");
        if (len == strlen(name) && memcmp(list, name, len) == 0)
            return (int)i;
        list = list[len] ? list + len + 1 : NULL;
    }
    return -1;
}

static int int_option(int fd, int option) {
    int value = -1;
    socklen_t n = sizeof value;
    return getsockopt(fd, SOL_SOCKET, option, &value, &n) < 0 ? -1 : value;
}

/* It stays somebody's who started us as well: what is set on the description is for all of them. */
static int take_given(const struct channel_conf *c, struct err *e) {
    unsigned count = 0;
    if (number_in("LISTEN_PID", INT32_MAX) == (unsigned)getpid())
        count = number_in("LISTEN_FDS", MAX_LISTEN_FDS);
    if (count == 0)
        return err_set(e, ENOENT,
                       "whoever started pinnace has not passed any (LISTEN_FDS, and "
                       "LISTEN_PID with pinnace's own pid)");
    int i = listen_index(c->listen.text, count);
    if (i < 0)
        return err_set(e, ENOENT, "it is none of the %u that were passed (LISTEN_FDNAMES)", count);
    int fd = FIRST_LISTEN_FD + i;
    if (int_option(fd, SO_TYPE) != SOCK_STREAM || int_option(fd, SO_ACCEPTCONN) != 1)
        return err_set(e, EINVAL, "descriptor %d is no listening stream socket", fd);
    if (c->auth == AUTH_PEER && int_option(fd, SO_DOMAIN) != AF_UNIX)
        return err_set(e, EINVAL, "descriptor %d is no unix socket, and auth is peer", fd);
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 || fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
        return err_sys(e, errno, "prepare descriptor %d", fd);
    return fd;
}

static int open_given(struct box *b, size_t i, struct err *e) {
    int fd = take_given(b->conf->channels[i], e);
    for (size_t k = 0; k < i && fd >= 0; k++)
        if (b->listen[k] == fd)
            return err_set(e, EADDRINUSE, "[channel %s] listens on it already",
                           b->conf->channels[k]->name);
    return fd;
}

/* --- all -------------------------------------------------------------------------------------- */

static int open_one(struct box *b, size_t i, struct err *e) {
    const struct listen_spec *l = &b->conf->channels[i]->listen;
    switch (l->kind) {
    case LISTEN_TCP:
        return open_tcp(l, e);
    case LISTEN_VSOCK:
        return open_vsock(l, e);
    case LISTEN_FD:
        return open_given(b, i, e);
    default:
        return open_unix(b, i, e);
    }
}

/* Can others than those of this machine connect? */
static bool is_exposed(int fd) {
    struct sockaddr_storage at = { 0 };
    socklen_t n = sizeof at;
    if (getsockname(fd, (struct sockaddr *)&at, &n) < 0 || at.ss_family == AF_UNIX)
        return false;
    struct ip ip = ip_from_sockaddr(&at, NULL);
    return !ip_is_loopback(&ip);
}

static int listen_one(struct box *b, size_t i, struct err *e) {
    const struct channel_conf *c = b->conf->channels[i];
    const char *kind = c->listen.kind == LISTEN_UNIX ? "unix:"
                       : c->listen.kind == LISTEN_FD ? "fd:"
                                                     : "";
    int fd = open_one(b, i, e);
    if (fd >= 0 && c->listen.kind != LISTEN_FD && listen(fd, SOMAXCONN) < 0) {
        (void)err_sys(e, errno, "listen");
        fd_close(&fd);
    }
    if (fd < 0)
        return err_wrap(e, "[channel %s] listen = %s%s", c->name, kind, c->listen.text);
    b->listen[i] = fd;
    b->listens = true;
    if (c->auth == AUTH_NONE && is_exposed(fd))
        log_warn(NULL,
                 "[channel %s] listen = %s%s: auth is none: whoever can connect can do "
                 "anything in this box",
                 c->name, kind, c->listen.text);
    return 0;
}

/* A box goes without its own socket where it cannot have one; what was asked for has to be there.
 */
static int listen_all(struct box *b, struct err *e) {
    for (size_t i = 0; i < b->conf->nchannels; i++) {
        const struct channel_conf *c = b->conf->channels[i];
        bool local = strcmp(c->name, "local") == 0;
        if (c->listen.kind == LISTEN_NONE || (c->listen.kind == LISTEN_AUTO && !b->has_run_dir))
            continue;
        b->sup.listen_taken |= c->listen.kind == LISTEN_FD;
        if (listen_one(b, i, e) == 0)
            continue;
        if (!local)
            return -e->code;
        log_warn(NULL, "no status socket: %s", e->text);
    }
    return 0;
}

int listen_init(struct box *b, const char *const *env, struct err *e) {
    struct env_request wanted = { .base = env, .kind = SVC_KIND_SERVICE };
    int rc = listen_all(b, e);
    if (rc < 0 || !b->listens)
        return rc;
    void *shared = mmap(NULL, sizeof *b->channel_shared, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (shared == MAP_FAILED)
        return err_sys(e, errno, "map the memory that channels share");
    b->channel_shared = shared;
    return environment_make(&wanted, &b->job_env, e);
}

void listen_fini(struct box *b) {
    for (size_t i = 0; i < MAX_CHANNELS; i++)
        fd_close(&b->listen[i]);
    if (b->channel_shared)
        (void)munmap(b->channel_shared, sizeof *b->channel_shared);
    b->channel_shared = NULL;
    mem_release(&b->job_env);
}
