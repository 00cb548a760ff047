/* The sockets that the forwarder answers on: which port, before the address is there, both
 * transports on one. In a network namespace of its own. */
#include <netinet/in.h>
#include <sys/socket.h>

#include "base/own.h"
#include "net/prepare.h"
#include "tests/unit/netns.h"
#include "tests/unit/tap.h"

static struct net_box box;
static int sockets[NET_NSOCKETS];

static struct ip ip(const char *text) {
    struct ip out;
    OK(ip_parse(text, &out), "%s is an address", text);
    return out;
}

static void begin(bool nft, const char *vip, const char *vip6) {
    memset(&box, 0, sizeof box);
    box.nft = nft;
    box.vip = ip(vip);
    if (*vip6)
        box.vip6 = ip(vip6);
}

static void end(void) {
    for (int i = 0; i < NET_NSOCKETS; i++)
        fd_close(&sockets[i]);
}

/* Somebody else's. */
static int take_port(const char *address, uint16_t port, int type) {
    struct sockaddr_storage sa;
    struct ip at = ip(address);
    socklen_t len = ip_to_sockaddr(&at, port, &sa);
    AUTO_FD int fd = socket(at.family, type | SOCK_CLOEXEC, 0);
    if (bind(fd, (struct sockaddr *)&sa, len) < 0 || (type == SOCK_STREAM && listen(fd, 1) < 0))
        return -1;
    return fd_take(&fd);
}

static bool is_at(int fd, int type, const char *address, uint16_t port) {
    struct sockaddr_storage sa;
    struct ip want = ip(address), got;
    socklen_t len = sizeof sa, size = sizeof(int);
    uint16_t bound;
    int kind = 0;
    if (fd < 0 || getsockname(fd, (struct sockaddr *)&sa, &len) < 0 ||
        getsockopt(fd, SOL_SOCKET, SO_TYPE, &kind, &size) < 0)
        return false;
    got = ip_from_sockaddr(&sa, &bound);
    return ip_equal(&got, &want) && bound == port && kind == type &&
           (fcntl(fd, F_GETFL) & O_NONBLOCK) && (fcntl(fd, F_GETFD) & FD_CLOEXEC);
}

static void behind_a_redirect(void) {
    struct err e = { 0 };
    begin(true, "169.254.53.53", "");
    OK(net_listen(&box, sockets, &e) == 0, "an address that is not there yet");
    OK(box.port == NET_FORWARDER_PORT && is_at(sockets[0], SOCK_DGRAM, "169.254.53.53", box.port) &&
           is_at(sockets[1], SOCK_STREAM, "169.254.53.53", box.port),
       "both transports on the first port, non-blocking");
    OK(sockets[2] < 0 && sockets[3] < 0 && box.port6 == 0, "no IPv6 that is not wanted");
    end();

    begin(true, "169.254.53.53", "fd70:696e:6e61::53");
    OK(net_listen(&box, sockets, &e) == 0 && box.port6 == NET_FORWARDER_PORT &&
           is_at(sockets[2], SOCK_DGRAM, "fd70:696e:6e61::53", box.port6) &&
           is_at(sockets[3], SOCK_STREAM, "fd70:696e:6e61::53", box.port6),
       "IPv6, too, where it is");
    end();
}

/* A port that one transport cannot have is not the other's either. */
static void next_port(int type, const char *what) {
    struct err e = { 0 };
    begin(true, "169.254.53.53", "");
    AUTO_FD int taken = take_port("0.0.0.0", NET_FORWARDER_PORT, type);
    AUTO_FD int second = take_port("0.0.0.0", NET_FORWARDER_PORT + 1, SOCK_STREAM);
    OK(taken >= 0 && second >= 0 && net_listen(&box, sockets, &e) == 0 &&
           box.port == NET_FORWARDER_PORT + 2,
       "%s port taken: the next one that is free", what);
    OK(is_at(sockets[0], SOCK_DGRAM, "169.254.53.53", box.port) &&
           is_at(sockets[1], SOCK_STREAM, "169.254.53.53", box.port),
       "for both");
    end();
}

static void all_taken(void) {
    enum { MANY = 40 };
    struct err e = { 0 };
    int others[MANY];
    begin(true, "169.254.53.53", "");
    for (int i = 0; i < MANY; i++)
        others[i] = take_port("0.0.0.0", (uint16_t)(NET_FORWARDER_PORT + i), SOCK_DGRAM);
    OK(net_listen(&box, sockets, &e) == -EADDRINUSE && e.text[0] && box.port == 0,
       "no port is free: it is said");
    for (int i = 0; i < NET_NSOCKETS; i++)
        OK(sockets[i] == -1, "and no socket is left");
    for (int i = 0; i < MANY; i++)
        fd_close(&others[i]);
}

static void on_port_53(void) {
    struct err e = { 0 };
    begin(false, "169.254.53.53", "");
    OK(net_listen(&box, sockets, &e) == 0 && box.port == 53, "without a redirect port 53 itself");
    end();
    AUTO_FD int wildcard = take_port("0.0.0.0", 53, SOCK_DGRAM);
    OK(wildcard >= 0 && net_listen(&box, sockets, &e) == -EADDRINUSE &&
           strstr(e.text, "169.254.53.53, port 53"),
       "and no other one");
    AUTO_FD int other = take_port("127.0.0.1", 53, SOCK_STREAM);
    fd_close(&wildcard);
    OK(other >= 0 && net_listen(&box, sockets, &e) == 0,
       "a server on another address is not in the way");
    end();
}

/* Only that of IPv6 is taken: the box has none, and IPv4 all the same. */
static void without_ipv6(void) {
    struct err e = { 0 };
    static const int on = 1;
    struct sockaddr_storage sa;
    struct ip any = ip("::1");
    memset(any.b, 0, sizeof any.b);
    socklen_t len = ip_to_sockaddr(&any, 53, &sa);
    begin(false, "169.254.53.53", "fd70:696e:6e61::53");
    AUTO_FD int other = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    OK(setsockopt(other, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) == 0 &&
           bind(other, (struct sockaddr *)&sa, len) == 0,
       "port 53 of IPv6 is taken");
    OK(net_listen(&box, sockets, &e) == 0 && box.port == 53 && sockets[0] >= 0 && sockets[2] < 0 &&
           ip_is_none(&box.vip6) && box.port6 == 0,
       "then there is no resolver address of IPv6");
    end();
}

int main(void) {
    AUTO_FD int net = geteuid() == 0 ? netns_new() : -EPERM;
    for (int i = 0; i < NET_NSOCKETS; i++)
        sockets[i] = -1;
    if (net < 0 || !RUN("ip link set lo up")) {
        OK(true, "in a network namespace # SKIP none can be had");
    } else {
        behind_a_redirect();
        next_port(SOCK_DGRAM, "the UDP");
        next_port(SOCK_STREAM, "the TCP");
        all_taken();
        on_port_53();
        without_ipv6();
    }
    fd_close(&net);
    return tap_end();
}
