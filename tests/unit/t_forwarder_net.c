/* What needs links: the uplink is refused, replies leave from where they were expected,
 * queries stay on their link. One process with sockets in two network namespaces, joined by
 * two pairs of veth: "outer" is the uplink, "inner" leads to those that we serve. */
#include <net/if.h>
#include <sched.h>

#include "tests/unit/t_forwarder.h"

static int home = -1, ours = -1, theirs = -1;

static bool enter(int ns) { return setns(ns, CLONE_NEWNET) == 0; }

static bool sh(const char *command) { return system(command) == 0; }

static int new_namespace(void) {
    return unshare(CLONE_NEWNET) == 0 && sh("ip link set lo up")
               ? open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC)
               : -1;
}

/* Empty, or why not. */
static const char *make_links(void) {
    if (geteuid() != 0)
        return "needs root";
    if (!sh("ip -V >/dev/null 2>&1"))
        return "no ip(8)";
    home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    theirs = new_namespace();
    ours = theirs < 0 ? -1 : new_namespace();
    if (ours < 0)
        return "no network namespaces";
    char make[600];
    (void)snprintf(
        make, sizeof make,
        "set -e; exec 2>/dev/null; for l in outer inner; do "
        "ip link add $l type veth peer name $l-peer; "
        "ip link set $l-peer netns /proc/%d/fd/%d; ip link set $l up; done; "
        "ip addr add 10.98.1.1/24 dev outer; ip addr add 10.98.2.1/24 dev inner; "
        "ip addr add 10.98.2.9/24 dev inner; "
        "ip addr add fd98:1::1/64 dev outer nodad; ip addr add fd98:2::1/64 dev inner nodad",
        getpid(), theirs);
    if (!sh(make))
        return "no veth";
    (void)enter(theirs);
    bool ready = sh("set -e; for i in 1 2; do l=outer-peer; [ $i = 1 ] || l=inner-peer; "
                    "ip link set $l up; ip addr add 10.98.$i.2/24 dev $l; "
                    "ip addr add fd98:$i::2/64 dev $l nodad; done");
    (void)enter(ours);
    return ready ? "" : "no addresses";
}

/* A client over there, of a service at this address of ours. */
static int client_there(int type, const char *address, uint16_t port) {
    struct sockaddr_storage sa;
    struct ip ip = ip_of(address);
    (void)enter(theirs);
    int fd = socket(ip.family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    (void)enter(ours);
    socklen_t len = ip_to_sockaddr(&ip, port, &sa);
    (void)!connect(fd, (struct sockaddr *)&sa, len);
    return fd;
}

static bool answers_udp(const char *address) {
    AUTO_FD int c = client_there(SOCK_DGRAM, address, fwd_port);
    ask_fd(c, 6, "link.example", 0);
    return wait_reply(c) > 0 && id_of(reply) == 6;
}

static bool answers_tcp(const char *address) {
    AUTO_FD int c = client_there(SOCK_STREAM, address, fwd_port);
    uint8_t m[600];
    size_t n = query(m + 2, 6, "link.example", 1, 0);
    m[0] = 0, m[1] = (uint8_t)n;
    ssize_t k = -1;
    UNTIL(send(c, m, n + 2, MSG_NOSIGNAL) > 0 || (errno != EAGAIN && errno != ENOTCONN));
    UNTIL((k = recv(c, reply, sizeof reply, MSG_DONTWAIT)) >= 0 || errno != EAGAIN);
    return k > 2;
}

/* Nothing within a while in which the inner link answers thousands of times. */
static bool silent_udp(const char *address) {
    AUTO_FD int c = client_there(SOCK_DGRAM, address, fwd_port);
    uint64_t before = counts().queries;
    ask_fd(c, 6, "link.example", 0);
    settle();
    settle();
    return received(c) == 0 && counts().queries == before;
}

static void family(const char *any, const char *up, const char *in) {
    setup(any, "127.0.0.2", "", "");
    forwarder_free(fwd);
    fwd = forwarder_new(&loop);
    const int outer = (int)if_nametoindex("outer");
    forwarder_refuse(fwd, &outer, 1);
    OK(forwarder_listen(fwd, fwd_udp, fwd_tcp) == 0, "on %s, with an uplink", any);
    aim_at(1);
    OK(answers_udp(in), "UDP by the inner link, to %s", in);
    OK(answers_tcp(in), "TCP by the inner link");
    OK(silent_udp(up), "UDP by the uplink is dropped");
    OK(!answers_tcp(up), "TCP by the uplink is closed");
    OK(silent_udp(up) && servers[0].nseen == 2, "nobody was asked for those");
    const int both[] = { outer, (int)if_nametoindex("inner") };
    forwarder_refuse(fwd, both, 2);
    OK(silent_udp(in) && !answers_tcp(in), "of several links each is refused");
    forwarder_refuse(fwd, both + 1, 1);
    OK(answers_udp(up) && silent_udp(in), "and which they are may change");
    teardown();
}

/* To an address of the inner link, but by the uplink. */
static void by_the_wrong_link(void) {
    setup("0.0.0.0", "127.0.0.2", "", "");
    forwarder_free(fwd);
    fwd = forwarder_new(&loop);
    const int outer = (int)if_nametoindex("outer");
    forwarder_refuse(fwd, &outer, 1);
    (void)forwarder_listen(fwd, fwd_udp, fwd_tcp);
    aim_at(1);
    (void)enter(theirs);
    bool routed = sh("ip route replace 10.98.2.9/32 via 10.98.1.1 dev outer-peer");
    (void)enter(ours);
    OK(routed && silent_udp("10.98.2.9") && !answers_tcp("10.98.2.9"),
       "the link counts, not the address");
    (void)enter(theirs);
    (void)sh("ip route del 10.98.2.9/32");
    (void)enter(ours);
    /* A connected socket hears only whom it has asked. */
    OK(answers_udp("10.98.2.9") && answers_udp("10.98.2.1"),
       "a reply leaves from the address that was asked, the second one, too");
    OK(answers_tcp("10.98.2.9"), "TCP, too");
    teardown();
}

/* Somebody here takes the address of our resolver: the reason for tying sockets to a link. */
static void tied_to_a_link(void) {
    setup("127.0.0.1", "127.0.0.2", "", "");
    struct ip resolver = ip_of("10.98.1.2");
    struct server *v = &servers[1];
    (void)enter(theirs);
    (void)server_start(1, "10.98.1.2");
    (void)enter(ours);
    struct upstream u = { .ip = resolver, .port = v->port };
    forwarder_aim(fwd, &u, 1);
    AUTO_FD int c = client(SOCK_DGRAM, "127.0.0.5");
    ask_fd(c, 1, "tied.example", 0);
    OK(wait_reply(c) > 0 && rcode_of(reply) == 0 && v->nseen == 1, "a resolver by the uplink");
    OK(sh("ip addr add 10.98.1.2/32 dev lo && "
          "echo 1 >/proc/sys/net/ipv4/conf/outer/accept_local"),
       "its address appears here");
    ask_fd(c, 2, "tied.example", 0);
    settle();
    OK(received(c) == 0 && v->nseen == 1, "untied, it is not reached any more");
    u.link = (int)if_nametoindex("outer");
    forwarder_aim(fwd, &u, 1);
    OK(wait_reply(c) > 0 && rcode_of(reply) == 0 && v->nseen == 2, "tied to the uplink, it is");
    u.link = 9999;
    forwarder_aim(fwd, &u, 1);
    ask_fd(c, 3, "tied.example", 0);
    settle();
    OK(received(c) == 0 && v->nseen == 2, "to a link that is gone: untied");
    teardown();
}

int main(void) {
    log_init(-1, LOG_TEXT, LOG_ERROR);
    const char *why_not = make_links();
    if (*why_not)
        OK(true, "with links # SKIP %s", why_not);
    else {
        family("0.0.0.0", "10.98.1.1", "10.98.2.1");
        family("::", "fd98:1::1", "fd98:2::1");
        by_the_wrong_link();
        tied_to_a_link();
    }
    if (home >= 0)
        (void)enter(home);
    fd_close(&home);
    fd_close(&ours);
    fd_close(&theirs);
    return tap_end();
}
