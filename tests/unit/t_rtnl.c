/* Links, addresses and routes: whatever a message holds; and those of a network namespace of
 * our own, made by us and read by ip(8), and the other way round. */
#include <errno.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/own.h"
#include "netlink/rtnl.h"
#include "tests/unit/netns.h"
#include "tests/unit/tap.h"

static struct prefix net(const char *text) {
    struct prefix p = { 0 };
    if (text && !prefix_parse(text, &p))
        OK(false, "%s is no prefix", text);
    return p;
}

static struct ip ip(const char *text) { return net(text).ip; }

static bool reads(const struct ip *ip, const char *text) {
    char buf[IP_TEXT];
    return strcmp(ip_text(ip, buf), text) == 0;
}

/* Messages */

enum { ROOM = 512 };

struct message {
    _Alignas(4) uint8_t buf[ROOM];
    struct nl_out o;
};

static void route_begin(struct message *m, uint8_t family, uint8_t len, uint8_t table) {
    struct rtmsg body = {
        .rtm_family = family, .rtm_dst_len = len, .rtm_table = table, .rtm_type = RTN_UNICAST
    };
    m->o = (struct nl_out){ .buf = m->buf, .cap = ROOM, .seq = 1 };
    nl_begin(&m->o, RTM_NEWROUTE, 0, &body, sizeof body);
}

static const struct nlmsghdr *done(struct message *m) {
    nl_end(&m->o);
    return (const void *)m->buf;
}

static const struct nlmsghdr *numbered_route(struct message *m, uint32_t n) {
    struct ip a = ip_from_bytes(&n, sizeof n);
    route_begin(m, AF_INET, 32, RT_TABLE_MAIN);
    nl_put(&m->o, RTA_DST, a.b, 4);
    return done(m);
}

static const struct nlmsghdr *numbered_link(struct message *m, int n) {
    struct ifinfomsg body = { .ifi_index = n };
    m->o = (struct nl_out){ .buf = m->buf, .cap = ROOM, .seq = 1 };
    nl_begin(&m->o, RTM_NEWLINK, 0, &body, sizeof body);
    nl_put(&m->o, IFLA_IFNAME, "sixteen-bytes-xx", 16); /* without a NUL */
    return done(m);
}

static const struct nlmsghdr *numbered_addr(struct message *m, uint32_t n) {
    struct ifaddrmsg body = { .ifa_family = AF_INET, .ifa_prefixlen = 24, .ifa_index = 1 };
    m->o = (struct nl_out){ .buf = m->buf, .cap = ROOM, .seq = 1 };
    nl_begin(&m->o, RTM_NEWADDR, 0, &body, sizeof body);
    nl_put(&m->o, IFA_ADDRESS, &n, sizeof n);
    return done(m);
}

static void counts_what_is_too_many(void) {
    struct rtnl_table *t = calloc(1, sizeof *t);
    struct message m;
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < RTNL_LINKS; i++)
            rtnl_take(t, numbered_link(&m, i + 1));
        for (uint32_t i = 0; i < RTNL_ADDRS; i++)
            rtnl_take(t, numbered_addr(&m, i));
        for (uint32_t i = 0; i < RTNL_ROUTES; i++)
            rtnl_take(t, numbered_route(&m, i));
        OK(t->nlinks == RTNL_LINKS && t->naddrs == RTNL_ADDRS && t->nroutes == RTNL_ROUTES &&
               !t->cut,
           "as many as there is room for, told %d times", round + 1);
    }
    OK(strcmp(t->links[7].name, "sixteen-bytes-x") == 0, "a name is cut: %s", t->links[7].name);
    struct rtnl_table before = *t;
    rtnl_take(t, numbered_link(&m, RTNL_LINKS + 1));
    OK(t->cut && t->nlinks == RTNL_LINKS, "a link too many");
    *t = before;
    rtnl_take(t, numbered_addr(&m, RTNL_ADDRS));
    OK(t->cut && t->naddrs == RTNL_ADDRS, "an address too many");
    *t = before;
    rtnl_take(t, numbered_route(&m, RTNL_ROUTES));
    OK(t->cut && t->nroutes == RTNL_ROUTES, "a route too many");
    OK(rtnl_find_link(t, 3) == &t->links[2] && !rtnl_find_link(t, RTNL_LINKS + 1),
       "links by index");
    free(t);
}

static void refuses_what_is_not_whole(void) {
    struct rtnl_table *t = calloc(1, sizeof *t);
    struct message m;
    const struct nlmsghdr *(*const makers[])(struct message * m, uint32_t n) = { numbered_route,
                                                                                 numbered_addr };
    for (size_t i = 0; i < 2; i++) {
        uint32_t whole = makers[i](&m, 7)->nlmsg_len;
        for (uint32_t len = NLMSG_HDRLEN; len < whole; len++) {
            struct nlmsghdr *copy = malloc(len);
            memcpy(copy, m.buf, len);
            copy->nlmsg_len = len;
            rtnl_take(t, copy);
            free(copy);
        }
    }
    OK(t->naddrs == 0 && t->nroutes == 0, "what is cut off is not taken");
    for (size_t n = 0; n <= 20; n++) {
        uint8_t bytes[20] = { 10 };
        route_begin(&m, AF_INET, 8, RT_TABLE_MAIN);
        nl_put(&m.o, RTA_DST, bytes, n);
        rtnl_take(t, done(&m));
    }
    OK(t->nroutes == 1, "of addresses of 0 to 20 bytes one is an IPv4 destination");
    route_begin(&m, AF_INET, 33, RT_TABLE_MAIN);
    nl_put(&m.o, RTA_DST, "\1\2\3\4", 4);
    rtnl_take(t, done(&m));
    route_begin(&m, AF_UNIX, 0, RT_TABLE_MAIN);
    rtnl_take(t, done(&m));
    route_begin(&m, AF_INET, 0, RT_TABLE_LOCAL);
    rtnl_take(t, done(&m));
    route_begin(&m, AF_INET, 0, RT_TABLE_MAIN);
    nl_put_u32(&m.o, RTA_TABLE, 1000);
    rtnl_take(t, done(&m));
    rtnl_take(t, numbered_link(&m, 0));
    rtnl_take(t, numbered_link(&m, -1));
    OK(t->nroutes == 1 && t->nlinks == 0, "nor what cannot be");
    free(t);
}

static void reads_next_hops(void) {
    struct message m;
    struct rtnl_route r;
    uint32_t table;
    for (uint16_t len = 0; len < 40; len++) {
        struct {
            struct rtnexthop hop;
            struct nlattr gateway;
            uint8_t address[4];
        } one = { { .rtnh_len = len, .rtnh_ifindex = 3, .rtnh_flags = RTNH_F_ONLINK },
                  { .nla_len = 8, .nla_type = RTA_GATEWAY },
                  { 10, 0, 0, 1 } };
        route_begin(&m, AF_INET, 0, RT_TABLE_MAIN);
        nl_put(&m.o, RTA_MULTIPATH, &one, sizeof one);
        bool ok = rtnl_read_route(done(&m), &r, &table);
        bool whole = len >= 8 && len <= sizeof one;
        OK(ok && r.link == (whole ? 3 : 0) && r.onlink == whole &&
               r.gateway.family == (len == sizeof one ? AF_INET : 0),
           "a next hop that says it has %d bytes", len);
    }
    for (size_t len = 0; len < 20; len++) {
        uint8_t via[20] = { AF_INET6 };
        route_begin(&m, AF_INET, 0, RT_TABLE_MAIN);
        nl_put(&m.o, RTA_VIA, via, len);
        OK(rtnl_read_route(done(&m), &r, &table) && r.gateway.family == (len == 18 ? AF_INET6 : 0),
           "a gateway of another family, %zu bytes", len);
    }
}

/* The kernel */

static const struct rtnl_route *find_route(const struct rtnl_table *t, const char *to) {
    struct prefix p = net(to);
    for (size_t i = 0; i < t->nroutes; i++)
        if (prefix_equal(&t->routes[i].to, &p))
            return &t->routes[i];
    static const struct rtnl_route none;
    return &none;
}

static const struct rtnl_link *find_name(const struct rtnl_table *t, const char *name) {
    for (size_t i = 0; i < t->nlinks; i++)
        if (strcmp(t->links[i].name, name) == 0)
            return &t->links[i];
    static const struct rtnl_link none;
    return &none;
}

static bool has_addr(const struct rtnl_table *t, int link, const char *text) {
    char buf[PREFIX_TEXT];
    for (size_t i = 0; i < t->naddrs; i++)
        if (t->addrs[i].link == link && strcmp(prefix_text(&t->addrs[i].p, buf), text) == 0)
            return true;
    return false;
}

static int index_of(const char *name) { return (int)if_nametoindex(name); }

/* v0 (in the bridge br0) and v1 are a pair. */
static bool make_links(void) {
    return RUN("ip link set lo up && ip link add br0 type bridge && "
               "ip link add v0 mtu 1400 type veth peer name v1 && ip link set v0 master br0 && "
               "ip addr add 10.87.0.1/16 dev br0 && ip link set br0 up && ip link set v0 up");
}

static void reads_links(const struct rtnl_table *t) {
    const struct rtnl_link *lo = find_name(t, "lo"), *br0 = find_name(t, "br0");
    const struct rtnl_link *v0 = find_name(t, "v0"), *v1 = find_name(t, "v1");
    OK(t->nlinks >= 4 && !t->cut, "%zu links", t->nlinks);
    OK(lo->index == 1 && lo->loopback && lo->up && lo->mtu == 65536 && !lo->kind[0], "lo");
    OK(br0->index == index_of("br0") && br0->up && !br0->loopback && !br0->master &&
           strcmp(br0->kind, "bridge") == 0,
       "br0 is a %s", br0->kind);
    OK(v0->master == br0->index && v0->mtu == 1400 && strcmp(v0->kind, "veth") == 0,
       "v0 is in br0");
    OK(v1->index && !v1->up && !v1->master, "v1 is down");
}

static void reads_addresses(const struct rtnl_table *t) {
    int br0 = index_of("br0");
    char text[PREFIX_TEXT];
    OK(has_addr(t, 1, "127.0.0.1/8") && has_addr(t, 1, "::1/128"), "of lo");
    OK(has_addr(t, br0, "10.87.0.1/16") && has_addr(t, br0, "fd00:87::1/64"), "of br0");
    OK(has_addr(t, br0, "10.77.0.1/32"), "our end of a point-to-point link, not the peer's");
    (void)snprintf(text, sizeof text, "fe80::87%%%d/64", br0);
    OK(has_addr(t, br0, text), "%s has its zone", text);
}

static void reads_routes(const struct rtnl_table *t) {
    int br0 = index_of("br0");
    const struct rtnl_route *r = find_route(t, "0.0.0.0/0");
    OK(r->type == RTN_UNICAST && r->to.ip.family == AF_INET && r->metric == 77 && r->link == br0 &&
           reads(&r->gateway, "10.87.0.254") && r->source.family == 0 && !r->onlink,
       "the default route");
    r = find_route(t, "10.87.0.0/16");
    OK(r->link == br0 && r->protocol == RTPROT_KERNEL && r->scope == RT_SCOPE_LINK &&
           reads(&r->source, "10.87.0.1") && r->gateway.family == 0,
       "a connected one");
    r = find_route(t, "192.168.9.0/24");
    OK(reads(&r->gateway, "10.87.0.2") && reads(&r->source, "10.87.0.1") &&
           r->protocol == RTPROT_STATIC,
       "one with a source");
    OK(find_route(t, "192.168.10.0/24")->onlink, "one onlink");
    r = find_route(t, "203.0.113.0/24");
    OK(r->type == RTN_BLACKHOLE && r->link == 0, "a black hole");
    r = find_route(t, "198.51.100.0/24");
    OK(r->link == br0 && reads(&r->gateway, "10.87.0.3"), "the first of two next hops");
    r = find_route(t, "10.99.0.0/24");
    OK(r->gateway.family == AF_INET6 && r->gateway.zone == (uint32_t)br0, "IPv4 by IPv6");
    r = find_route(t, "::/0");
    OK(r->to.ip.family == AF_INET6 && reads(&r->gateway, "fd00:87::2") && r->link == br0,
       "the default route of IPv6");
    OK(find_route(t, "10.100.0.0/24")->type == 0 && find_route(t, "10.101.0.0/24")->type == 0,
       "other tables are not read");
    OK(find_route(t, "10.87.0.1/32")->type == 0, "nor is the local one");
}

static void reads_what_ip_made(struct rtnl_table *t) {
    struct err e = { 0 };
    OK(RUN("ip addr add fd00:87::1/64 dev br0 nodad && ip addr add fe80::87/64 dev br0 nodad && "
           "ip addr add 10.77.0.1 peer 10.77.0.2/32 dev br0 && "
           "ip route add default via 10.87.0.254 metric 77 && "
           "ip route add 192.168.9.0/24 via 10.87.0.2 src 10.87.0.1 proto static && "
           "ip route add 192.168.10.0/24 via 10.200.0.2 dev br0 onlink && "
           "ip route add blackhole 203.0.113.0/24 && "
           "ip route add 198.51.100.0/24 nexthop via 10.87.0.3 nexthop via 10.87.0.4 && "
           "ip route add 10.99.0.0/24 via inet6 fe80::9 dev br0 && "
           "ip route add 10.100.0.0/24 via 10.87.0.2 table 100 && "
           "ip route add 10.101.0.0/24 via 10.87.0.2 table 1000 && "
           "ip -6 route add default via fd00:87::2"),
       "made by ip(8)");
    OK(rtnl_snapshot(t, &e) == 0 && e.code == 0, "read");
    reads_links(t);
    reads_addresses(t);
    reads_routes(t);
}

static bool ip_says(const char *command, const char *text) {
    char out[8192];
    int rc = run_into(out, sizeof out, "ip -j %s", command);
    bool says = rc == 0 && strstr(out, text);
    return says;
}

static void makes_addresses(void) {
    int v1 = index_of("v1");
    struct prefix p = net("10.88.0.1/24"), local = net("169.254.53.53/32"), six = net("fd53::1/64");
    OK(rtnl_link_up(v1) == 0 && ip_says("link show dev v1", "\"UP\""), "a link goes up");
    OK(rtnl_addr_add(v1, &p) == 0 && rtnl_addr_add(v1, &six) == 0, "addresses");
    OK(rtnl_addr_add(1, &local) == 0, "one on lo");
    OK(ip_says("addr show dev v1", "\"local\":\"10.88.0.1\",\"prefixlen\":24,\"scope\":\"global\""),
       "as ip(8) sees it");
    OK(ip_says("addr show dev lo",
               "\"local\":\"169.254.53.53\",\"prefixlen\":32,\"scope\":\"link\""),
       "link-local");
    char out[4096];
    (void)run_into(out, sizeof out, "ip addr show dev v1");
    OK(strstr(out, "fd53::1/64 scope global nodad") && !strstr(out, "fd53::1/64 scope global tent"),
       "IPv6 can be used at once");
    OK(rtnl_addr_add(v1, &p) == -EEXIST && rtnl_addr_add(v1, &six) == -EEXIST, "not twice");
    OK(rtnl_addr_del(v1, &p) == 0 && rtnl_addr_del(v1, &six) == 0, "they go");
    OK(rtnl_addr_del(v1, &p) == -EADDRNOTAVAIL && rtnl_addr_del(v1, &six) == -EADDRNOTAVAIL,
       "once");
    OK(!ip_says("addr show dev v1", "10.88.0.1"), "as ip(8) sees it");
    OK(rtnl_addr_del(1, &local) == 0, "also from lo");
    OK(rtnl_addr_add(99999, &p) == -ENODEV && rtnl_link_up(99999) == -ENODEV, "no such link");
    struct prefix none = { 0 };
    OK(rtnl_addr_add(v1, &none) == -EAFNOSUPPORT, "no address");
}

static void makes_routes(void) {
    struct rtnl_route r = { .to = net("10.90.1.2/24"),
                            .gateway = ip("10.87.0.9"),
                            .source = ip("10.87.0.1"),
                            .link = index_of("br0"),
                            .metric = 5,
                            .protocol = RTPROT_STATIC };
    OK(rtnl_route_add(&r) == 0 &&
           ip_says("route show", "\"dst\":\"10.90.1.0/24\",\"gateway\":\"10.87."
                                 "0.9\",\"dev\":\"br0\",\"protocol\":"
                                 "\"static\",\"prefsrc\":\"10.87.0.1\","
                                 "\"metric\":5"),
       "a route with all that it can have");
    r.gateway = ip("10.87.0.10");
    OK(rtnl_route_add(&r) == 0 && ip_says("route show 10.90.1.0/24", "10.87.0.10") &&
           !ip_says("route show 10.90.1.0/24", "10.87.0.9\""),
       "replaced");
    r.gateway = ip("10.87.0.9");
    OK(rtnl_route_del(&r) == -ESRCH, "another one is not deleted");
    r.gateway = ip("10.87.0.10");
    OK(rtnl_route_del(&r) == 0 && rtnl_route_del(&r) == -ESRCH, "deleted, once");
    r = (struct rtnl_route){ .to = net("10.91.0.0/24"),
                             .gateway = ip("10.201.0.1"),
                             .link = index_of("br0") };
    OK(rtnl_route_add(&r) == -ENETUNREACH, "a gateway that is nowhere");
    r.onlink = true;
    OK(rtnl_route_add(&r) == 0 && ip_says("route show 10.91.0.0/24", "\"onlink\""), "but onlink");
    OK(ip_says("route show 10.91.0.0/24", "\"10.201.0.1\""), "by it");
    OK(rtnl_route_del(&r) == 0, "deleted");
    r = (struct rtnl_route){ .to = net("fd99::/64"), .gateway = ip("fd00:87::9"), .metric = 9 };
    OK(rtnl_route_add(&r) == 0 && ip_says("-6 route show fd99::/64", "\"gateway\":\"fd00:87::9\""),
       "an IPv6 route");
    OK(rtnl_route_del(&r) == 0 && rtnl_route_del(&r) == -ESRCH, "deleted, once");
    r = (struct rtnl_route){ .to = net("10.92.0.0/24"),
                             .gateway = ip("fe80::9"),
                             .link = index_of("br0") };
    OK(rtnl_route_add(&r) == 0 &&
           ip_says("route show 10.92.0.0/24", "\"via\":{\"family\":\"inet6\""),
       "an IPv4 route by IPv6");
    OK(rtnl_route_del(&r) == 0, "deleted");
    r = (struct rtnl_route){ .to = net("10.93.0.0/24"), .type = RTN_UNREACHABLE };
    OK(rtnl_route_add(&r) == 0 && ip_says("route show", "\"type\":\"unreachable\""), "a dead end");
    OK(rtnl_route_del(&r) == 0, "deleted");
}

/* What was read can be taken away, replaced by less, and given back. */
static void gives_back_what_was(struct rtnl_table *t) {
    static const char *const all[] = { "0.0.0.0/0",      "10.87.0.0/16",
                                       "192.168.9.0/24", "192.168.10.0/24",
                                       "203.0.113.0/24", "10.99.0.0/24",
                                       "::/0",           "fd00:87::/64" };
    char before[8192], between[8192], after[8192];
    (void)run_into(before, sizeof before, "ip route show; ip -6 route show");
    (void)rtnl_snapshot(t, NULL);
    int bad = 0;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        bad += rtnl_route_del(find_route(t, all[i])) != 0;
    OK(bad == 0, "taken away");
    struct rtnl_route host = *find_route(t, "10.87.0.0/16");
    host.to = net("10.87.0.254");
    OK(rtnl_route_add(&host) == 0, "the way to the router alone");
    (void)run_into(between, sizeof between, "ip route show");
    OK(strstr(between, "10.87.0.254 dev br0 proto kernel scope link src 10.87.0.1") &&
           !strstr(between, "10.87.0.0/16"),
       "is seen");
    OK(rtnl_route_del(&host) == 0, "it goes");
    for (size_t i = sizeof all / sizeof all[0]; i-- > 0;) /* connected ones before gateways */
        if (find_route(t, all[i])->gateway.family == 0)
            bad += rtnl_route_add(find_route(t, all[i])) != 0;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (find_route(t, all[i])->gateway.family != 0)
            bad += rtnl_route_add(find_route(t, all[i])) != 0;
    (void)run_into(after, sizeof after, "ip route show; ip -6 route show");
    if (!OK(bad == 0 && strcmp(before, after) == 0, "given back as they were"))
        printf("# before: %s\n# after: %s\n", before, after);
}

static bool resolves(const char *to, int link, int type, int by) {
    struct rtnl_route r = { 0 };
    struct ip a = ip(to);
    int rc = rtnl_resolve(&a, link, &r);
    bool ok = rc == 0 && r.type == type && (by == 0 || r.link == by);
    if (!ok)
        printf("# %s by %d: %d, type %d, link %d\n", to, link, rc, r.type, r.link);
    return ok;
}

/* IPv6 adds the local route of an address after it has acknowledged the address. */
static bool resolves_soon(const char *to, int type) {
    AUTO_FD int ears = rtnl_listen();
    struct rtnl_route r = { 0 };
    struct ip a = ip(to);
    do
        (void)nl_drain(ears);
    while ((rtnl_resolve(&a, 0, &r) != 0 || r.type != type) && is_readable(ears, 2000));
    return r.type == type;
}

static void resolves_addresses(void) {
    int br0 = index_of("br0"), v1 = index_of("v1");
    struct prefix p = net("10.87.5.5/32"), six = net("fd00:87::5/128");
    struct rtnl_route r = { 0 };
    struct ip far = ip("8.8.8.8"), dead = ip("203.0.113.1"), none = { 0 };
    OK(rtnl_resolve(&far, 0, &r) == 0 && r.type == RTN_UNICAST && r.link == br0 &&
           reads(&r.gateway, "10.87.0.254") && reads(&r.source, "10.87.0.1"),
       "what is far away goes to the router");
    OK(resolves("10.87.5.5", 0, RTN_UNICAST, br0), "a neighbour");
    OK(resolves("10.87.5.5", br0, RTN_UNICAST, br0), "seen from br0");
    OK(resolves("fd00:87::5", 0, RTN_UNICAST, br0), "an IPv6 neighbour");
    OK(rtnl_addr_add(v1, &p) == 0 && rtnl_addr_add(br0, &six) == 0, "we take their addresses");
    OK(resolves("10.87.5.5", 0, RTN_LOCAL, 1), "now that is us");
    OK(resolves("10.87.5.5", v1, RTN_LOCAL, 1), "also seen from the link that has it");
    OK(resolves("10.87.5.5", br0, RTN_UNICAST, br0), "but not from another: its owner is reached");
    OK(resolves_soon("fd00:87::5", RTN_LOCAL), "and in IPv6");
    OK(rtnl_addr_del(v1, &p) == 0 && rtnl_addr_del(br0, &six) == 0, "given back");
    OK(resolves("10.87.5.5", 0, RTN_UNICAST, br0), "a neighbour again");
    OK(resolves("10.87.255.255", 0, RTN_BROADCAST, 0) || resolves("10.87.255.255", 0, 1, br0),
       "what may be a broadcast");
    OK(rtnl_resolve(&dead, 0, &r) < 0, "a black hole is an error: %s",
       strerror(-rtnl_resolve(&dead, 0, &r)));
    OK(rtnl_resolve(&none, 0, &r) == -EAFNOSUPPORT, "none");
    OK(RUN("ip route del default"), "without a default route");
    OK(rtnl_resolve(&far, 0, &r) == -ENETUNREACH, "far away is not reached");
}

/* In a namespace of its own, whose lo is down at first: then nothing else goes on there, such
 * as IPv6 that learns of a link. */
static void hears_changes(int home) {
    AUTO_FD int quiet = netns_new();
    AUTO_FD int ears = rtnl_listen();
    struct prefix p = net("10.94.0.1/24"), six = net("fd94::1/64");
    struct rtnl_route r = { .to = net("10.95.0.0/24"), .link = 1, .scope = RT_SCOPE_LINK };
    OK(quiet >= 0 && ears >= 0 && nl_drain(ears) == 0, "nothing yet");
    OK(rtnl_addr_add(1, &p) == 0 && is_readable(ears, 2000) && nl_drain(ears) == 1, "an address");
    OK(nl_drain(ears) == 0 && !is_readable(ears, 0), "once");
    OK(netns_enter(home) && rtnl_addr_add(1, &p) == 0 && rtnl_addr_del(1, &p) == 0, "elsewhere");
    OK(!is_readable(ears, 0) && netns_enter(quiet), "that is not heard");
    OK(rtnl_link_up(1) == 0 && is_readable(ears, 2000) && nl_drain(ears) == 1, "a link goes up");
    OK(rtnl_route_add(&r) == 0 && is_readable(ears, 2000) && nl_drain(ears) == 1, "a route");
    OK(rtnl_addr_add(1, &six) == 0 && is_readable(ears, 2000) && nl_drain(ears) == 1,
       "an IPv6 address");
    OK(netns_enter(home), "back");
}

/* More than one datagram of them, and then more than we keep. */
static void reads_many(struct rtnl_table *t) {
    struct rtnl_route r = { .type = RTN_BLACKHOLE };
    char buf[32];
    int bad = 0;
    (void)rtnl_snapshot(t, NULL);
    size_t before = t->nroutes;
    for (size_t i = 0; i < RTNL_ROUTES - before; i++) {
        (void)snprintf(buf, sizeof buf, "100.64.%zu.%zu/32", i / 256, i % 256);
        r.to = net(buf);
        bad += rtnl_route_add(&r) != 0;
    }
    OK(bad == 0 && rtnl_snapshot(t, NULL) == 0 && t->nroutes == RTNL_ROUTES && !t->cut,
       "%zu routes", t->nroutes);
    r.to = net("100.65.0.0/32");
    OK(rtnl_route_add(&r) == 0 && rtnl_snapshot(t, NULL) == 0 && t->cut, "one more is cut");
}

static void needs_rights(void) {
    struct prefix p = net("10.96.0.1/24");
    pid_t pid = fork();
    if (pid == 0) {
        struct rtnl_table *t = malloc(sizeof *t);
        if (setresuid(65534, 65534, 65534) < 0)
            _exit(1);
        if (rtnl_addr_add(1, &p) != -EPERM)
            _exit(2);
        _exit(t && rtnl_snapshot(t, NULL) == 0 && t->nlinks > 0 ? 0 : 3);
    }
    int status = -1;
    (void)waitpid(pid, &status, 0);
    OK(status == 0, "nobody may look, and not touch");
}

static void in_a_namespace(void) {
    AUTO_FD int ns = netns_new();
    if (ns < 0 || system("PATH=$PATH:/usr/sbin:/sbin; command -v ip >/dev/null") != 0) {
        OK(true, "links of our own # SKIP needs root, and ip(8)");
        return;
    }
    struct rtnl_table *t = malloc(sizeof *t);
    if (OK(t && make_links(), "links")) {
        reads_what_ip_made(t);
        makes_addresses();
        makes_routes();
        gives_back_what_was(t);
        resolves_addresses();
        hears_changes(ns);
        reads_many(t);
        needs_rights();
    }
    free(t);
}

int main(void) {
    counts_what_is_too_many();
    refuses_what_is_not_whole();
    reads_next_hops();
    in_a_namespace();
    return tap_end();
}
