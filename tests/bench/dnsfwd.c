/* dnsfwd — the forwarder alone: dnsfwd ADDRESS PORT UPSTREAM UPSTREAM-PORT. UDP and TCP. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "net/forwarder.h"

static instant real_now(struct sys *s) {
    (void)s;
    return instant_now();
}

static int real_wait(struct sys *s, int epfd, struct epoll_event *evs, int max, int timeout_ms) {
    (void)s;
    int n = epoll_wait(epfd, evs, max, timeout_ms);
    return n < 0 ? -errno : n;
}

static int bound(int type, const struct ip *ip, uint16_t port) {
    struct sockaddr_storage sa;
    int on = 1;
    socklen_t len = ip_to_sockaddr(ip, port, &sa);
    int fd = socket(ip->family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (type == SOCK_STREAM)
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&sa, len) < 0 || (type == SOCK_STREAM && listen(fd, 64) < 0)) {
        perror("dnsfwd: bind");
        exit(1);
    }
    return fd;
}

int main(int argc, char **argv) {
    struct sys sys = { .now = real_now, .wait = real_wait };
    struct rlimit files;
    struct loop loop;
    struct ip ip;
    struct upstream u = { 0 };
    if (argc != 5 || !ip_parse(argv[1], &ip) || !ip_parse(argv[3], &u.ip))
        return 2;
    (void)getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &files);
    uint16_t port = (uint16_t)strtoul(argv[2], NULL, 10);
    u.port = (uint16_t)strtoul(argv[4], NULL, 10);
    struct forwarder *f = loop_init(&loop, &sys) < 0 ? NULL : forwarder_new(&loop);
    if (!f || forwarder_listen(f, bound(SOCK_DGRAM, &ip, port), bound(SOCK_STREAM, &ip, port), 0))
        return 1;
    forwarder_aim(f, &u, 1);
    while (loop_turn(&loop) == 0)
        ;
    return 1;
}
