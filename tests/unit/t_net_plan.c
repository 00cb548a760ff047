/* From facts about the network to what is done about it: tables, and properties. */
#include "net/plan.h"

#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "net/prepare.h"
#include "tests/unit/tap.h"

/* One world at a time: large, so not on the stack. */
static struct net_facts facts;
static struct net_conf conf;
static struct net_box box;
static struct net_plan plan;
static struct findings told;

enum { LO = 1, ETH0 = 2, ETH1 = 3, DOCKER0 = 4, DAGGER0 = 5 };

static struct ip ip(const char *text) {
    struct ip out;
    if (!ip_parse(text, &out))
        OK(false, "%s is an address", text);
    return out;
}

static struct prefix net(const char *text) {
    struct prefix out;
    if (!prefix_parse(text, &out))
        OK(false, "%s is a prefix", text);
    return out;
}

static void link_add(int index, const char *name, const char *kind) {
    struct rtnl_link *l = &facts.table.links[facts.table.nlinks++];
    *l = (struct rtnl_link){ .index = index, .mtu = 1500, .up = true, .loopback = index == LO };
    (void)snprintf(l->name, sizeof l->name, "%s", name);
    (void)snprintf(l->kind, sizeof l->kind, "%s", kind);
}

static void route_add(const char *to, const char *gateway, int link) {
    struct rtnl_route *r = &facts.table.routes[facts.table.nroutes++];
    struct prefix p = net(to);
    *r = (struct rtnl_route){ .to = prefix_of(&p.ip, p.len),
                              .link = link,
                              .type = RTN_UNICAST,
                              .protocol = gateway ? RTPROT_BOOT : RTPROT_KERNEL };
    if (gateway)
        r->gateway = ip(gateway);
}

/* An address, and the connected route that comes with it. */
static void addr_add(int link, const char *prefix) {
    facts.table.addrs[facts.table.naddrs++] = (struct rtnl_addr){ link, net(prefix) };
    if (link != LO)
        route_add(prefix, NULL, link);
}

static void server_add(const char *text) { facts.resolv.servers[facts.resolv.n++] = ip(text); }

/* A box on 10.87.0.0/16, as a container of an outer Dagger engine is. */
static void world(const char *address, const char *gateway, const char *server) {
    memset(&facts, 0, sizeof facts);
    memset(&conf, 0, sizeof conf);
    told.n = 0;
    facts.admin = facts.resolv_writable = facts.sysctl_writable = true;
    facts.nft = NFT_USABLE;
    conf.repair = conf.engine = true;
    link_add(LO, "lo", "");
    link_add(ETH0, "eth0", "veth");
    addr_add(LO, "127.0.0.1/8");
    addr_add(ETH0, address);
    if (gateway)
        route_add("0.0.0.0/0", gateway, ETH0);
    if (server)
        server_add(server);
}

static void bridge_add(int index, const char *name, const char *address) {
    link_add(index, name, "bridge");
    addr_add(index, address);
}

static void choose(void) {
    net_choose(&box, &facts, &conf, &told);
    box.port = box.nft ? NET_FORWARDER_PORT : 53;
    box.port6 = ip_is_none(&box.vip6) ? 0 : NET_FORWARDER_PORT;
}

static void decide(void) {
    choose();
    net_plan(&plan, &facts, &conf, &box);
}

static bool is(const struct ip *a, const char *text) {
    struct ip b = ip(text);
    return ip_equal(a, &b);
}

static bool pinned(const char *text) {
    struct ip host = ip(text);
    struct prefix want = prefix_host(&host);
    for (size_t i = 0; i < plan.npins; i++)
        if (prefix_equal(&plan.pins[i].to, &want))
            return plan.pins[i].link == plan.uplink;
    return false;
}

static bool says(const struct findings *f, enum log_level level, const char *text) {
    for (size_t i = 0; i < f->n; i++)
        if (f->v[i].level == level && strstr(f->v[i].text, text))
            return true;
    return false;
}

/* --- looking things up ------------------------------------------------------------------------ */

static void finds_the_uplink(void) {
    world("10.0.0.5/24", "10.0.0.1", "10.0.0.1");
    link_add(ETH1, "eth1", "");
    addr_add(ETH1, "10.1.0.5/24");
    OK(net_uplink(&facts.table)->index == ETH0, "the link with the default route");
    route_add("0.0.0.0/0", "10.1.0.1", ETH1);
    facts.table.routes[facts.table.nroutes - 2].metric = 0;
    facts.table.routes[2].metric = 0;
    for (size_t i = 0; i < facts.table.nroutes; i++)
        if (facts.table.routes[i].to.len == 0)
            facts.table.routes[i].metric = facts.table.routes[i].link == ETH0 ? 200 : 100;
    OK(net_uplink(&facts.table)->index == ETH1, "of two the one with the smaller metric");
    facts.table.links[2].up = false;
    OK(net_uplink(&facts.table)->index == ETH0, "a link that is down leads nowhere");
    world("10.0.0.5/24", NULL, NULL);
    OK(net_uplink(&facts.table)->index == ETH0, "without a default route the one with an address");
    world("10.0.0.5/24", NULL, NULL);
    strcpy(facts.table.links[1].kind, "bridge");
    OK(!net_uplink(&facts.table), "a bridge is no uplink");
    world("10.0.0.5/24", "10.0.0.1", "10.0.0.1");
    route_add("::/0", "fe80::1", ETH0);
    facts.table.routes[facts.table.nroutes - 1].metric = 0;
    OK(net_uplink(&facts.table)->index == ETH0, "IPv4 first");
}

static void finds_the_way_out(void) {
    world("10.0.0.5/24", "10.0.0.1", "10.0.0.1");
    link_add(ETH1, "tun0", "tun");
    addr_add(ETH1, "10.8.0.2/24");
    route_add("192.168.0.0/16", "10.8.0.1", ETH1);
    bridge_add(DOCKER0, "docker0", "192.168.7.1/24");
    struct ip vpn = ip("192.168.7.53"), public = ip("9.9.9.9"), v6 = ip("fd00::1");
    OK(net_way_out(&facts.table, &vpn) == ETH1, "a bridge does not take the way over");
    OK(net_way_out(&facts.table, &public) == ETH0, "else the default route");
    OK(net_way_out(&facts.table, &v6) == 0, "no way without a route of the family");
}

/* --- the box ---------------------------------------------------------------------------------- */

static void chooses_the_box(void) {
    world("10.87.0.5/16", "10.87.0.1", "10.87.0.1");
    choose();
    OK(box.active && box.nft && box.on_lo && box.resolv && is(&box.vip, "169.254.53.53") &&
           ip_is_none(&box.vip6),
       "the usual box");
    conf.engine = false;
    choose();
    OK(!box.active, "auto: nothing without an engine");
    conf.mode = NET_FORWARD;
    choose();
    OK(box.active, "forward: always");
    conf.engine = true;
    conf.mode = NET_OFF;
    choose();
    OK(!box.active, "off: never");

    world("10.87.0.5/16", "10.87.0.1", NULL);
    choose();
    OK(!box.active && says(&told, LOG_WARN, "names no resolver"), "no resolver: nothing, and why");
    conf.upstream[0] = ip("10.9.9.9");
    conf.nupstream = 1;
    choose();
    OK(box.active, "unless the config names one");

    world("10.87.0.5/16", "10.87.0.1", "10.87.0.1");
    conf.engine_ipv6 = true;
    choose();
    OK(!ip_is_none(&box.vip6), "an engine with IPv6 has a resolver address of IPv6, too");
    facts.ipv6_off = 1;
    choose();
    OK(!ip_is_none(&box.vip6), "also where an outer engine has turned IPv6 off");
    facts.sysctl_writable = false;
    choose();
    OK(ip_is_none(&box.vip6) && says(&told, LOG_WARN, "for good"), "unless that cannot be undone");
    facts.ipv6_off = -1;
    choose();
    OK(ip_is_none(&box.vip6) && says(&told, LOG_WARN, "kernel has none"), "or there is none");
}

static void chooses_the_address(void) {
    world("172.17.0.2/16", "172.17.0.1", "169.254.53.53");
    choose();
    OK(is(&box.vip, "169.254.53.54"), "a box in a box takes the next address");
    server_add("169.254.53.54");
    choose();
    OK(is(&box.vip, "169.254.53.55"), "and the one in that the next");
    conf.address = ip("169.254.53.54");
    choose();
    OK(is(&box.vip, "169.254.53.55") && says(&told, LOG_ERROR, "169.254.53.54 is a resolver"),
       "an address that is wished for, but taken, is refused with words");
    conf.address = ip("10.99.0.1");
    choose();
    OK(is(&box.vip, "10.99.0.1"), "one that is free is taken");

    world("10.87.0.5/16", "10.87.0.1", "10.87.0.1");
    facts.resolv.ours = true;
    facts.resolv.by = ip("169.254.53.60");
    addr_add(LO, "169.254.53.60/32");
    choose();
    OK(is(&box.vip, "169.254.53.60"), "what a box before us has written is kept");
    facts.resolv.by = ip("10.87.0.5");
    choose();
    OK(is(&box.vip, "169.254.53.53"), "but not an address of another link");
}

static void chooses_without_rights(void) {
    world("10.87.0.5/16", "10.87.0.1", "127.0.0.11");
    facts.admin = false;
    facts.nft = NFT_DENIED;
    choose();
    OK(box.active && !box.nft && !box.on_lo && !box.resolv && is(&box.vip, "172.17.0.1"),
       "without CAP_NET_ADMIN docker0's address is used");
    conf.subnets[0].p = net("10.200.0.1/24");
    conf.subnets[0].key = "bip";
    conf.nsubnets = 1;
    choose();
    OK(is(&box.vip, "10.200.0.1"), "as the user has set it");
    world("172.17.0.5/16", "172.17.0.1", "172.17.0.1");
    facts.admin = false;
    choose();
    OK(is(&box.vip, "172.18.0.1"), "or a free one, where the default is taken");

    world("10.87.0.5/16", "10.87.0.1", "10.87.0.1");
    facts.nft = NFT_ABSENT;
    facts.resolv_writable = false;
    decide();
    OK(box.on_lo && !box.nft && !box.resolv && ip_is_none(&plan.rules.v4.from),
       "without nf_tables: the address, and no rules");
    OK(says(&told, LOG_WARN, "port 53 of its own") && says(&told, LOG_WARN, "cannot be written"),
       "both are told");
}

/* --- plans ------------------------------------------------------------------------------------ */

static void plans_the_usual(void) {
    world("10.87.0.5/16", "10.87.0.1", "10.87.0.1");
    server_add("9.9.9.9");
    bridge_add(DOCKER0, "docker0", "172.17.0.1/16");
    decide();
    OK(plan.uplink == ETH0 && strcmp(plan.uplink_name, "eth0") == 0 && plan.mtu == 1500, "uplink");
    OK(plan.nupstreams == 2 && is(&plan.upstreams[0].ip, "10.87.0.1") &&
           plan.upstreams[0].link == ETH0 && plan.upstreams[1].link == ETH0 &&
           plan.upstreams[0].port == 53,
       "resolvers in order, tied to the uplink");
    OK(!plan.dnat && is(&plan.rules.v4.from, "169.254.53.53") &&
           is(&plan.rules.v4.to, "169.254.53.53") && plan.rules.v4.port == NET_FORWARDER_PORT &&
           !plan.rules.v4.masquerade && strcmp(plan.rules.outer[0], "eth0") == 0 &&
           !plan.rules.outer[1][0],
       "redirected to the forwarder");
    OK(!plan.narrow.ip.family && plan.npins == 0 && !plan.accept_local && !plan.loosen &&
           plan.findings.n == 0,
       "nothing collides: nothing else is done or said");
    conf.nupstream = 1;
    conf.upstream[0] = ip("10.9.9.9");
    decide();
    OK(plan.nupstreams == 1 && is(&plan.upstreams[0].ip, "10.9.9.9"), "the config's resolvers win");
}

static void refuses_strangers(void) {
    world("10.87.0.5/16", "10.87.0.1", "10.87.0.1");
    link_add(ETH1, "eth1", "veth");
    addr_add(ETH1, "10.99.0.5/16");
    bridge_add(DOCKER0, "docker0", "172.17.0.1/16");
    decide();
    OK(plan.nouter == 2 && plan.outer[0] == ETH0 && plan.outer[1] == ETH1 &&
           strcmp(plan.rules.outer[0], "eth0") == 0 && strcmp(plan.rules.outer[1], "eth1") == 0,
       "neighbours on the uplink and on another network are not answered, containers are");
    facts.table.addrs[2].p = net("10.99.0.5/30");
    decide();
    OK(plan.nouter == 1, "a container at the other end of a pair is");
    route_add("10.200.0.0/16", "10.99.0.6", ETH1);
    decide();
    OK(plan.nouter == 2, "unless it is a gateway");
    world("10.87.0.5/16", "10.87.0.1", "10.87.0.1");
    for (int i = 0; i < MAX_OUTER_LINKS; i++) {
        link_add(ETH1 + i, "more", "");
        addr_add(ETH1 + i, "10.99.0.5/16");
    }
    decide();
    OK(plan.nouter == MAX_OUTER_LINKS && says(&plan.findings, LOG_WARN, "is answered, too"),
       "too many of them are told");
}

static void plans_dnat(void) {
    world("10.87.0.5/16", "10.87.0.1", "10.87.0.1");
    conf.mode = NET_DNAT;
    decide();
    OK(plan.dnat && is(&plan.rules.v4.to, "10.87.0.1") && plan.rules.v4.port == 53 &&
           plan.rules.v4.masquerade,
       "dnat: to the resolver itself");
    bridge_add(DAGGER0, "dagger0", "10.87.0.1/16");
    decide();
    OK(!plan.dnat && is(&plan.rules.v4.to, "169.254.53.53") &&
           says(&plan.findings, LOG_WARN, "no DNAT"),
       "not where a bridge has that address");
    static const char *const hopeless[] = { "127.0.0.11", "127.0.0.53", "fd00::53" };
    for (size_t i = 0; i < 3; i++) {
        world("10.87.0.5/16", "10.87.0.1", hopeless[i]);
        conf.mode = NET_DNAT;
        decide();
        OK(!plan.dnat && plan.rules.v4.port == NET_FORWARDER_PORT, "nor to %s", hopeless[i]);
    }
    world("10.87.0.5/16", "10.87.0.1", "10.87.0.1");
    conf.mode = NET_DNAT;
    facts.nft = NFT_ABSENT;
    decide();
    OK(!plan.dnat && ip_is_none(&plan.rules.v4.from), "nor without nf_tables");
}

static void plans_upstreams(void) {
    world("10.87.0.5/16", "10.87.0.1", "127.0.0.11");
    decide();
    OK(plan.upstreams[0].link == 0, "C: a resolver on loopback is not tied to a link");
    world("10.87.0.5/16", "10.87.0.1", "10.87.0.5");
    decide();
    OK(plan.upstreams[0].link == 0, "nor one on our own address");
    world("10.87.0.5/16", "10.87.0.1", "169.254.169.253");
    decide();
    OK(plan.upstreams[0].link == ETH0, "a cloud's link-local one goes by the uplink");
    world("10.87.0.5/16", "10.87.0.1", "fd00::53");
    facts.resolv.more = 2;
    facts.resolv.wrong = 1;
    decide();
    OK(plan.nupstreams == 1 && plan.upstreams[0].link == ETH0 &&
           says(&plan.findings, LOG_WARN, "only the first") &&
           says(&plan.findings, LOG_WARN, "no address"),
       "IPv6; too many and wrong ones are told");
}

static void remembers_the_first(void) {
    world("172.17.0.5/16", "172.17.0.1", "192.168.1.1");
    choose();
    facts.resolv.n = 0;
    server_add("127.0.0.11"); /* a network was attached */
    net_plan(&plan, &facts, &conf, &box);
    OK(plan.nupstreams == 2 && is(&plan.upstreams[0].ip, "127.0.0.11") &&
           is(&plan.upstreams[1].ip, "192.168.1.1") && plan.upstreams[1].link == ETH0,
       "behind a resolver on loopback that came later are those of the start");
    server_add("192.168.1.1");
    net_plan(&plan, &facts, &conf, &box);
    OK(plan.nupstreams == 2, "each once");
    facts.resolv.n = 0;
    server_add("10.9.9.9");
    net_plan(&plan, &facts, &conf, &box);
    OK(plan.nupstreams == 1, "but not behind any other");
}

static const struct collision {
    const char *name, *server, *bridge;
    bool narrow, accept, gateway, resolver;
} collisions[] = {
    { "A: a bridge has the resolver's and gateway's address", "10.87.0.1", "10.87.0.1/16", true,
      true, true, true },
    { "A2: a bridge has the uplink's subnet", "10.87.0.53", "10.87.0.1/16", true, true, true,
      true },
    { "A2 with no address in common", "10.87.0.53", "10.87.0.7/16", true, false, true, true },
    { "A3: a bridge has a part of it with the resolver", "10.87.1.53", "10.87.1.1/24", false, false,
      false, true },
    { "A3 with the gateway", "9.9.9.9", "10.87.0.7/24", false, false, true, false },
    { "a part with neither", "10.87.0.53", "10.87.9.1/24", false, false, false, false },
    { "a larger subnet", "10.87.0.53", "10.0.0.1/8", true, false, true, true },
    { "another subnet", "10.87.0.53", "10.88.0.1/16", false, false, false, false },
};

static void plans_collisions(void) {
    for (size_t i = 0; i < sizeof collisions / sizeof *collisions; i++) {
        const struct collision *c = &collisions[i];
        world("10.87.0.5/16", "10.87.0.1", c->server);
        facts.rp_filter = 1;
        bridge_add(DAGGER0, "dagger0", c->bridge);
        decide();
        OK((plan.narrow.ip.family != 0) == c->narrow, "%s: narrowed or not", c->name);
        OK(plan.accept_local == c->accept, "%s: answers from our own address", c->name);
        OK(plan.loosen == (c->narrow || c->accept), "%s: reverse path", c->name);
        OK(pinned("10.87.0.1") == c->gateway && pinned(c->server) == c->resolver,
           "%s: host routes (%zu)", c->name, plan.npins);
        OK(plan.upstreams[0].link == ETH0, "%s: the resolver is still asked by the uplink",
           c->name);
        bool none =
            !c->narrow && !c->gateway && !c->resolver && strcmp(c->name, "a part with neither");
        OK(none == (plan.findings.n == 0), "%s: told (%zu)", c->name, plan.findings.n);
    }
}

static void plans_for_resolvers_far_away(void) {
    world("10.9.0.5/24", "10.9.0.1", "172.20.0.10");
    bridge_add(DOCKER0, "br0", "172.20.0.1/16");
    decide();
    OK(plan.upstreams[0].link == ETH0 && plan.loosen && !plan.accept_local && plan.npins == 0 &&
           !plan.narrow.ip.family,
       "a bridge covers a resolver behind the gateway: its answers are let in");
    world("10.9.0.5/24", "10.9.0.1", "172.20.0.1");
    bridge_add(DOCKER0, "br0", "172.20.0.1/16");
    decide();
    OK(plan.accept_local && plan.loosen && says(&plan.findings, LOG_WARN, "br0 has the address"),
       "it takes the resolver's address: so, too");
    world("10.9.0.5/32", NULL, "172.20.0.10");
    route_add("169.254.1.1/32", NULL, ETH0);
    route_add("0.0.0.0/0", "169.254.1.1", ETH0);
    bridge_add(DOCKER0, "br0", "172.20.0.1/16");
    decide();
    OK(plan.loosen && plan.upstreams[0].link == ETH0 && plan.npins == 0,
       "an uplink without a network of its own: the same");
    conf.repair = false;
    decide();
    OK(!plan.loosen && !plan.accept_local, "without the right to it nothing is changed");
    world("10.9.0.5/24", "10.9.0.1", "172.20.0.10");
    bridge_add(DOCKER0, "br0", "172.21.0.1/16");
    decide();
    OK(!plan.loosen && !plan.accept_local, "nor for a bridge that covers nobody");
}

static void plans_what_docker_will_do(void) {
    world("172.17.0.5/16", "172.17.0.1", "172.17.0.1");
    conf.subnets[0].p = net("172.17.0.1/16");
    conf.subnets[0].key = "bip";
    conf.nsubnets = 1;
    decide();
    OK(plan.narrow.ip.family && plan.accept_local && pinned("172.17.0.1"),
       "D: a bip that covers the uplink is made good before docker0 is there");
    bridge_add(DOCKER0, "docker0", "172.17.0.1/16");
    size_t before = plan.findings.n;
    decide();
    OK(plan.narrow.ip.family && plan.findings.n == before, "and the same when it is");
    conf.subnets[0].key = "default-address-pools";
    facts.table.nlinks--;
    facts.table.naddrs--;
    facts.table.nroutes--;
    decide();
    OK(!plan.narrow.ip.family, "pools do not count: dockerd keeps them off by itself");
}

static void plans_within_its_rights(void) {
    world("10.87.0.5/16", "10.87.0.1", "10.87.0.1");
    bridge_add(DAGGER0, "dagger0", "10.87.0.1/16");
    conf.repair = false;
    decide();
    OK(!plan.narrow.ip.family && plan.npins == 0 && !plan.accept_local &&
           says(&plan.findings, LOG_ERROR, "repair is off"),
       "repair = off: only told");
    conf.repair = true;
    facts.admin = false;
    decide();
    OK(!plan.narrow.ip.family && !plan.accept_local &&
           says(&plan.findings, LOG_ERROR, "CAP_NET_ADMIN"),
       "without CAP_NET_ADMIN: only told");
}

/* --- properties ------------------------------------------------------------------------------- */

static void random_world(unsigned seed) {
    char a[40], g[40], s[40], b[40];
    srand(seed);
    int len = 8 + rand() % 17;
    (void)snprintf(a, sizeof a, "10.%d.%d.5/%d", rand() % 3, rand() % 3, len);
    (void)snprintf(g, sizeof g, "10.%d.%d.1", rand() % 3, rand() % 3);
    (void)snprintf(s, sizeof s, "10.%d.%d.%d", rand() % 3, rand() % 3, 1 + rand() % 3);
    world(a, g, s);
    facts.rp_filter = rand() % 3;
    for (int i = rand() % 3; i >= 0; i--) {
        (void)snprintf(b, sizeof b, "10.%d.%d.%d/%d", rand() % 3, rand() % 3, 1 + rand() % 3,
                       8 + rand() % 17);
        bridge_add(DOCKER0 + i, i ? "br0" : "br1", b);
    }
}

/* What repair.c makes of a plan, in the tables. */
static void carry_out(void) {
    struct rtnl_table *t = &facts.table;
    size_t n = 0;
    struct prefix gone = prefix_of(&plan.narrow.ip, plan.narrow.len);
    for (size_t i = 0; i < t->nroutes; i++)
        if (!(plan.narrow.ip.family && t->routes[i].link == plan.uplink &&
              !t->routes[i].gateway.family && prefix_equal(&t->routes[i].to, &gone)))
            t->routes[n++] = t->routes[i];
    t->nroutes = n;
    for (size_t i = 0; i < plan.npins; i++)
        t->routes[t->nroutes++] = plan.pins[i];
}

static bool same_repair(const struct net_plan *a, const struct net_plan *b) {
    bool same = a->npins == b->npins && prefix_equal(&a->narrow, &b->narrow) &&
                a->accept_local == b->accept_local && a->uplink == b->uplink;
    for (size_t i = 0; same && i < a->npins; i++)
        same = prefix_equal(&a->pins[i].to, &b->pins[i].to);
    return same;
}

/* Every gateway and resolver on the uplink's network is reached by it, not by a bridge: there is
 * a host route, or no bridge's route that is as good as the uplink's own. */
static bool reaches(const struct ip *host) {
    struct prefix uplink = net_uplink_address(&facts.table, plan.uplink);
    const struct rtnl_route *best = NULL;
    if (!prefix_has(&uplink, host))
        return true;
    for (size_t i = 0; i < facts.table.nroutes; i++) {
        const struct rtnl_route *r = &facts.table.routes[i];
        if (prefix_has(&r->to, host) && (!best || r->to.len > best->to.len))
            best = r;
    }
    return best && best->link == plan.uplink;
}

static void holds_for_any_network(void) {
    enum { ROUNDS = 20000 };
    static struct net_plan first;
    int unstable = 0, lost = 0, wrong = 0, left = 0, narrowed = 0;
    for (unsigned seed = 1; seed <= ROUNDS; seed++) {
        random_world(seed);
        decide();
        first = plan;
        struct prefix uplink = net_uplink_address(&facts.table, plan.uplink);
        narrowed += plan.narrow.ip.family != 0;
        for (size_t i = 0; i < plan.npins; i++)
            wrong += !prefix_has(&uplink, &plan.pins[i].to.ip) || plan.pins[i].link != plan.uplink;
        wrong += plan.nupstreams && plan.upstreams[0].link != plan.uplink;
        carry_out();
        struct ip gateway = facts.table.routes[0].gateway;
        for (size_t i = 0; i < facts.table.nroutes; i++)
            if (facts.table.routes[i].to.len == 0)
                gateway = facts.table.routes[i].gateway;
        lost += !reaches(&gateway) || !reaches(&facts.resolv.servers[0]);
        net_plan(&plan, &facts, &conf, &box);
        unstable += !same_repair(&first, &plan);
        facts.table.naddrs = 2; /* the bridges go */
        net_plan(&plan, &facts, &conf, &box);
        left += plan.npins || plan.narrow.ip.family || plan.accept_local;
    }
    OK(wrong == 0, "%d random networks: host routes lead by the uplink to its own network", ROUNDS);
    OK(lost == 0, "gateway and resolver stay reachable by the uplink (%d times not)", lost);
    OK(unstable == 0, "a plan that was carried out holds (%d times not)", unstable);
    OK(left == 0, "and nothing is left of it when the bridges go (%d times)", left);
    OK(narrowed > ROUNDS / 10 && narrowed < ROUNDS, "%d of them narrow the uplink", narrowed);
}

/* --- claims, advice, explanations ---------------------------------------------------------- */

static void halves_are_no_claim(void) {
    static struct net_advice advice;
    world("10.9.0.5/24", "10.9.0.1", "10.9.0.1");
    link_add(ETH1, "tun0", "tun");
    addr_add(ETH1, "10.8.0.2/24");
    route_add("0.0.0.0/1", "10.8.0.1", ETH1);
    route_add("128.0.0.0/1", "10.8.0.1", ETH1);
    decide();
    net_advise(&advice, &facts, &conf, &box);
    OK(!advice.move, "a VPN that takes both halves of the internet takes no subnet of dockerd's");
    route_add("172.16.0.0/12", "10.8.0.1", ETH1);
    net_advise(&advice, &facts, &conf, &box);
    OK(advice.move && advice.to.bip.ip.b[0] == 10, "one that takes a company's network does");
}

static void advises_the_engine(void) {
    static struct net_advice advice;
    world("10.1.0.5/16", "10.1.0.1", "10.1.0.1");
    facts.table.links[1].mtu = 1400;
    choose();
    net_advise(&advice, &facts, &conf, &box);
    OK(is(&advice.dns[0], "169.254.53.53") && ip_is_none(&advice.dns[1]) && !advice.move &&
           advice.mtu == 1400 && advice.can_narrow,
       "dns and MTU, and dockerd's own subnets where they are free");
    OK(advice.nneeded == 3 && is(&advice.needed[0], "10.1.0.5") &&
           is(&advice.needed[1], "10.1.0.1") && is(&advice.needed[2], "10.1.0.1"),
       "own address, gateway and resolver are not for containers");
    route_add("172.20.0.0/16", "10.1.0.1", ETH0);
    net_advise(&advice, &facts, &conf, &box);
    struct prefix vpn = net("172.20.0.0/16");
    OK(advice.move && !prefix_overlap(&advice.to.bip, &vpn) && advice.to.npools == 2 &&
           strstr(advice.why, "172.20.0.0/16 by eth0"),
       "others where a route behind a gateway is touched: %s", advice.why);
    conf.mode = NET_OFF;
    choose();
    net_advise(&advice, &facts, &conf, &box);
    OK(ip_is_none(&advice.dns[0]) && advice.move, "off: no dns, and still no collision");
    OK(!advice.can_narrow, "nor is anything of the user's made good, as no role net is there");
    world("172.17.0.5/16", "172.17.0.1", "172.17.0.1");
    facts.admin = false;
    choose();
    net_advise(&advice, &facts, &conf, &box);
    OK(advice.move && is(&advice.to.bip.ip, "172.18.0.1") && is(&advice.dns[0], "172.18.0.1") &&
           !advice.can_narrow,
       "without rights docker0 has to be where the forwarder listens");
}

static void explains(void) {
    static struct findings out;
    world("10.87.0.5/16", "10.87.0.1", "10.87.0.1");
    server_add("127.0.0.11");
    decide();
    out.n = 0;
    net_explain(&out, &facts, &conf, &box, &plan);
    OK(says(&out, LOG_INFO, "uplink eth0: 10.87.0.5/16, gateway 10.87.0.1, MTU 1500"),
       "the uplink");
    OK(says(&out, LOG_WARN, "Dagger") && says(&out, LOG_WARN, "--network-cidr"),
       "what cannot be repaired, and the flag that helps");
    OK(says(&out, LOG_INFO, "resolver 10.87.0.1 is in 10.87.0.0/16"), "the resolver's collision");
    OK(says(&out, LOG_INFO, "127.0.0.11 is on loopback"), "a resolver on loopback");
    conf.mode = NET_OFF;
    decide();
    out.n = 0;
    net_explain(&out, &facts, &conf, &box, &plan);
    OK(says(&out, LOG_WARN, "DNS is off") && says(&out, LOG_INFO, "DNS is left alone"),
       "off: a warning, not a repair");
}

int main(void) {
    finds_the_uplink();
    finds_the_way_out();
    chooses_the_box();
    chooses_the_address();
    chooses_without_rights();
    plans_the_usual();
    refuses_strangers();
    plans_dnat();
    plans_upstreams();
    remembers_the_first();
    plans_collisions();
    plans_for_resolvers_far_away();
    plans_what_docker_will_do();
    plans_within_its_rights();
    holds_for_any_network();
    halves_are_no_claim();
    advises_the_engine();
    explains();
    return tap_end();
}
