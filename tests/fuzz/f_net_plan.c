/* Any bytes as facts about a network: no crash, and what is promised of choice and plan holds.
 *
 * Bytes choose links, addresses, routes, resolvers, rights and wishes out of a small world, so
 * that they collide. Promises: the resolver address is no resolver and no other link's address;
 * nobody is asked twice, nor the box itself; host routes lead by the uplink to its own network;
 * without the right to it the uplink is left alone; what was carried out is planned again; when
 * the bridges are gone nothing is left of it.
 */
#include <linux/rtnetlink.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "net/plan.h"
#include "net/prepare.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct net_facts facts;
static struct net_conf conf;
static struct net_box box;
static struct net_plan plan;
static struct findings told;

struct input {
    const uint8_t *at, *end;
};

static void must(bool ok, const char *what) {
    if (ok)
        return;
    (void)fprintf(stderr, "broken promise: %s\n", what);
    abort();
}

static uint8_t byte(struct input *in) { return in->at < in->end ? *in->at++ : 0; }

/* One of few, so that they meet. */
static struct ip some_ip(struct input *in) {
    uint8_t kind = byte(in), b = byte(in);
    uint8_t v4[4] = { 10, kind >> 4 & 3, b >> 4 & 3, b & 7 };
    uint8_t v6[16] = { [0] = kind & 0x80 ? 0xfe : 0xfd, [1] = kind & 0x80 ? 0x80 : 0, [15] = b };
    struct ip ip = ip_from_bytes(v4, sizeof v4);
    switch (kind & 7) {
    case 0:
        memcpy(ip.b, (uint8_t[4]){ 127, 0, 0, b }, 4);
        break;
    case 1:
        memcpy(ip.b, (uint8_t[4]){ 169, 254, 53, b }, 4);
        break;
    case 2:
        memcpy(ip.b, (uint8_t[4]){ 172, 17, kind >> 4, b }, 4);
        break;
    case 3:
        ip = ip_from_bytes(v6, sizeof v6);
        break;
    default:
        break;
    }
    return ip;
}

static struct prefix some_prefix(struct input *in) {
    struct ip ip = some_ip(in);
    return (struct prefix){ ip, byte(in) % (ip_bits(&ip) + 1) };
}

/* Not everything at once: looking for what is free takes longest where nothing is. */
static struct prefix some_network(struct input *in) {
    struct prefix p = some_prefix(in);
    p.len = p.len < 12 ? 12 : p.len;
    return p;
}

static void some_links(struct input *in) {
    static const char *const kinds[] = { "", "bridge", "veth", "tun" };
    for (int n = byte(in) % 6, i = 0; i < n; i++) {
        struct rtnl_link *l = &facts.table.links[facts.table.nlinks++];
        uint8_t b = byte(in);
        *l = (struct rtnl_link){ .index = i + 2, .mtu = 1280U + b, .up = b % 8 > 0 };
        l->master = b & 0x40 ? 2 : 0;
        (void)snprintf(l->name, sizeof l->name, "l%d", i);
        (void)snprintf(l->kind, sizeof l->kind, "%s", kinds[b >> 4 & 3]);
    }
}

static void some_addresses(struct input *in) {
    for (int n = byte(in) % 8; n > 0; n--) {
        struct rtnl_table *t = &facts.table;
        struct rtnl_addr a = { 1 + byte(in) % (int)t->nlinks, some_network(in) };
        t->addrs[t->naddrs++] = a;
        t->routes[t->nroutes++] = (struct rtnl_route){ .to = prefix_of(&a.p.ip, a.p.len),
                                                       .link = a.link,
                                                       .type = RTN_UNICAST,
                                                       .protocol = RTPROT_KERNEL };
    }
}

static void some_routes(struct input *in) {
    for (int n = byte(in) % 8; n > 0; n--) {
        struct rtnl_route *r = &facts.table.routes[facts.table.nroutes++];
        uint8_t b = byte(in);
        struct prefix to = some_prefix(in);
        *r = (struct rtnl_route){ .to = prefix_of(&to.ip, b & 1 ? 0 : to.len),
                                  .link = 1 + b % (int)facts.table.nlinks,
                                  .metric = b >> 4,
                                  .type = RTN_UNICAST,
                                  .protocol = RTPROT_BOOT };
        if (b & 2)
            r->gateway = some_ip(in);
    }
}

static void some_world(struct input *in) {
    memset(&facts, 0, sizeof facts);
    memset(&conf, 0, sizeof conf);
    told.n = 0;
    uint8_t b = byte(in), c = byte(in);
    facts.admin = b & 3;
    facts.resolv_writable = b & 4;
    facts.nft = (enum nft_state)(b >> 3 & 3);
    facts.rp_filter = b >> 5 & 3;
    conf.engine = c & 3;
    conf.repair = c & 12;
    conf.engine_ipv6 = c & 16;
    conf.mode = (enum net_mode)(c >> 5 & 3);
    facts.table.links[facts.table.nlinks++] =
        (struct rtnl_link){ .index = 1, .name = "lo", .up = true, .loopback = true };
    some_links(in);
    some_addresses(in);
    some_routes(in);
    for (int n = byte(in) % 5; n > 0; n--)
        facts.resolv.servers[facts.resolv.n++] = some_ip(in);
    for (int n = byte(in) % 3; n > 0; n--)
        conf.upstream[conf.nupstream++] = some_ip(in);
    for (int n = byte(in) % 3; n > 0; n--)
        conf.reserve[conf.nreserve++] = some_network(in);
    if (byte(in) & 1) {
        conf.subnets[0].p = some_prefix(in);
        conf.subnets[conf.nsubnets++].key = "bip";
    }
}

static void check_box(void) {
    const struct rtnl_link *owner = net_owner(&facts.table, &box.vip);
    if (!box.active)
        return;
    must(!ip_is_none(&box.vip), "an active box has an address");
    must(facts.admin || (!box.on_lo && !box.nft && !box.resolv), "nothing without the right to it");
    must(!box.on_lo || !owner || owner->loopback, "the address is no other link's");
    for (size_t i = 0; box.on_lo && i < facts.resolv.n; i++)
        must(!ip_equal(&facts.resolv.servers[i], &box.vip), "the address is no resolver");
}

static void check_upstreams(void) {
    for (size_t i = 0; i < plan.nupstreams; i++) {
        must(!ip_equal(&plan.upstreams[i].ip, &box.vip), "the box is not asked by itself");
        for (size_t j = 0; j < i; j++)
            must(!ip_equal(&plan.upstreams[i].ip, &plan.upstreams[j].ip), "nobody is asked twice");
    }
}

static void check_pins(void) {
    struct prefix uplink = net_uplink_address(&facts.table, plan.uplink);
    must(plan.npins <= NET_MAX_PINS, "no more host routes than fit");
    must(plan.npins == 0 || (facts.admin && conf.repair), "none without the right to it");
    for (size_t i = 0; i < plan.npins; i++) {
        must(plan.pins[i].link == plan.uplink, "a host route leads by the uplink");
        must(prefix_has(&uplink, &plan.pins[i].to.ip), "to a host of its own network");
    }
    must(!plan.narrow.ip.family || prefix_equal(&plan.narrow, &uplink),
         "what is narrowed is the uplink's network");
}

/* What repair.c makes of it, in the tables. */
static void carry_out(void) {
    struct rtnl_table *t = &facts.table;
    struct prefix gone = prefix_of(&plan.narrow.ip, plan.narrow.len);
    size_t n = 0;
    for (size_t i = 0; i < t->nroutes; i++)
        if (!plan.narrow.ip.family || t->routes[i].link != plan.uplink ||
            t->routes[i].gateway.family || !prefix_equal(&t->routes[i].to, &gone))
            t->routes[n++] = t->routes[i];
    t->nroutes = n;
    for (size_t i = 0; i < plan.npins; i++)
        t->routes[t->nroutes++] = plan.pins[i];
}

static void check_stable(void) {
    static struct net_plan first;
    first = plan;
    carry_out();
    net_plan(&plan, &facts, &conf, &box);
    if (plan.uplink != first.uplink) /* a default route that is narrowed away: none any more */
        return;
    must(plan.npins == first.npins && prefix_equal(&plan.narrow, &first.narrow) &&
             plan.accept_local == first.accept_local && plan.loosen == first.loosen,
         "a plan that was carried out holds");
}

static void check_the_end(void) {
    struct rtnl_table *t = &facts.table;
    size_t n = 0;
    memset(&box.bridge, 0, sizeof box.bridge);
    for (size_t i = 0; i < t->naddrs; i++) {
        const struct rtnl_link *l = rtnl_find_link(t, t->addrs[i].link);
        if (l && (l->loopback || net_is_outer(l)))
            t->addrs[n++] = t->addrs[i];
    }
    t->naddrs = n;
    net_plan(&plan, &facts, &conf, &box);
    must(plan.npins == 0 && !plan.narrow.ip.family && !plan.accept_local && !plan.loosen,
         "nothing is left when the bridges are gone");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct net_advice advice;
    struct input in = { data, data + size };
    some_world(&in);
    net_choose(&box, &facts, &conf, &told);
    check_box();
    box.port = box.nft ? NET_FORWARDER_PORT : 53;
    net_plan(&plan, &facts, &conf, &box);
    check_upstreams();
    check_pins();
    net_explain(&told, &facts, &conf, &box, &plan);
    net_advise(&advice, &facts, &conf, &box);
    must(told.n <= sizeof told.v / sizeof told.v[0], "no more findings than fit");
    check_stable();
    check_the_end();
    return 0;
}
