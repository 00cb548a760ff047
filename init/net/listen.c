/* listen.c — the sockets that the forwarder answers on. */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "base/own.h"
#include "net/dns/message.h"
#include "net/prepare.h"

enum {
    BACKLOG = 64,
    ANSWER_MS = 1000, /* how long a forwarder may take to say that it is there */
    PORTS_TRIED = 32, /* from NET_FORWARDER_PORT on: any of them will do behind a redirect */
};

/* One socket; the address need not be there yet. The fd or -errno. */
static int bind_one(const struct ip *ip, uint16_t port, int type) {
    static const int on = 1;
    struct sockaddr_storage sa;
    socklen_t len = ip_to_sockaddr(ip, port, &sa);
    AUTO_FD int fd = socket(ip->family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    bool v6 = ip->family == AF_INET6;
    if (v6)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    int level = v6 ? IPPROTO_IPV6 : IPPROTO_IP;
    (void)setsockopt(fd, level, v6 ? IPV6_FREEBIND : IP_FREEBIND, &on, sizeof on);
    /* Noted when something arrives, not when it is read: what waits for the forwarder to start
     * would come from nowhere, and be dropped. */
    (void)setsockopt(fd, level, v6 ? IPV6_RECVPKTINFO : IP_PKTINFO, &on, sizeof on);
    if (type == SOCK_STREAM)
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&sa, len) < 0 ||
        (type == SOCK_STREAM && listen(fd, BACKLOG) < 0))
        return -errno;
    return fd_take(&fd);
}

/* Both transports on one port. */
static int bind_pair(const struct ip *ip, uint16_t port, int pair[2]) {
    AUTO_FD int udp = bind_one(ip, port, SOCK_DGRAM);
    if (udp < 0)
        return udp;
    AUTO_FD int tcp = bind_one(ip, port, SOCK_STREAM);
    if (tcp < 0)
        return tcp;
    pair[0] = fd_take(&udp);
    pair[1] = fd_take(&tcp);
    return 0;
}

static int bind_family(const struct ip *ip, bool redirected, int pair[2], uint16_t *port) {
    uint16_t first = redirected ? NET_FORWARDER_PORT : 53;
    int rc = -EADDRNOTAVAIL;
    for (int i = 0; i < (redirected ? PORTS_TRIED : 1); i++) {
        *port = (uint16_t)(first + i);
        rc = bind_pair(ip, *port, pair);
        if (rc != -EADDRINUSE)
            break;
    }
    if (rc < 0)
        *port = 0;
    return rc;
}

int net_listen(struct net_box *box, int sockets[NET_NSOCKETS], struct err *e) {
    char text[IP_TEXT];
    for (int i = 0; i < NET_NSOCKETS; i++)
        sockets[i] = -1;
    int rc = bind_family(&box->vip, box->nft, sockets + NET_UDP4, &box->port);
    if (rc < 0)
        return err_sys(e, -rc, "listen for DNS on %s%s", ip_text(&box->vip, text),
                       box->nft ? "" : ", port 53");
    if (!ip_is_none(&box->vip6) &&
        bind_family(&box->vip6, box->nft, sockets + NET_UDP6, &box->port6) < 0)
        box->vip6 = (struct ip){ 0 };
    return 0;
}

/* Ask whoever has the port for its counts. A process that is just being killed may hold the port
 * for some milliseconds more, but answers no more. */
static bool answers(const struct ip *vip, uint16_t port) {
    uint8_t query[DNS_STATS_QUERY], reply[512];
    struct sockaddr_storage sa;
    socklen_t len = ip_to_sockaddr(vip, port, &sa);
    size_t n = dns_stats_query(query, (uint16_t)getpid());
    AUTO_FD int fd = socket(vip->family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct pollfd p = { .fd = fd, .events = POLLIN };
    return fd >= 0 && connect(fd, (struct sockaddr *)&sa, len) == 0 &&
           send(fd, query, n, MSG_NOSIGNAL) == (ssize_t)n && poll(&p, 1, ANSWER_MS) > 0 &&
           recv(fd, reply, sizeof reply, MSG_DONTWAIT) > DNS_HEADER && memcmp(reply, query, 2) == 0;
}

bool net_is_answered(const struct ip *vip) {
    return answers(vip, NET_FORWARDER_PORT) || answers(vip, 53);
}
