/* PURE: what may not change while the box lives. */
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "net/plan.h"

/* The resolver address of a box: link-local, so no network has it, and no engine takes it.
 * The next ones are for boxes in boxes, whose resolver is the outer box's. */
#define VIP_NETWORK "169.254.53.0/24"
enum { VIP_FIRST = 53, VIP_LAST = 72 };

/* For IPv6, of a unique local prefix (RFC 4193). */
#define VIP6 "fd70:696e:6e61::53"

static bool is_server(const struct net_facts *f, const struct ip *ip) {
    for (size_t i = 0; i < f->resolv.n; i++)
        if (ip_equal(&f->resolv.servers[i], ip))
            return true;
    return false;
}

/* Free, or left on lo by a box before us in this network namespace. */
static bool may_be_vip(const struct net_facts *f, const struct net_conf *c, const struct ip *ip) {
    const struct rtnl_link *owner = net_owner(&f->table, ip);
    for (size_t i = 0; i < c->nupstream; i++)
        if (ip_equal(&c->upstream[i], ip))
            return false;
    return !is_server(f, ip) && (!owner || owner->loopback);
}

static struct ip choose_vip(const struct net_facts *f, const struct net_conf *c,
                            struct findings *told) {
    char text[IP_TEXT];
    struct prefix net;
    if (!ip_is_none(&c->address)) {
        if (may_be_vip(f, c, &c->address))
            return c->address;
        findings_add(told, LOG_ERROR,
                     "[dns] address %s is a resolver or another link's address already: choosing "
                     "another one",
                     ip_text(&c->address, text));
    }
    if (f->resolv.ours && !ip_is_none(&f->resolv.by) && may_be_vip(f, c, &f->resolv.by))
        return f->resolv.by;
    for (uint32_t i = VIP_FIRST; i <= VIP_LAST && prefix_parse(VIP_NETWORK, &net); i++) {
        struct ip ip = prefix_nth(&net, i);
        if (may_be_vip(f, c, &ip))
            return ip;
    }
    return (struct ip){ 0 };
}

/* An outer engine without IPv6 turns it off in its containers, on lo as well. That can be turned
 * on where sysctls can be written. */
static void choose_vip6(struct net_box *box, const struct net_facts *f, struct findings *told) {
    if (f->ipv6_off == 0 || (f->ipv6_off == 1 && f->sysctl_writable))
        (void)ip_parse(VIP6, &box->vip6);
    else
        findings_add(
            told, LOG_WARN,
            "the engine gives containers IPv6, but %s: their resolver address has IPv4 only",
            f->ipv6_off < 0 ? "this kernel has none" : "here it is turned off for good");
}

static struct prefix users(const struct net_conf *c, const char *key) {
    for (size_t i = 0; i < c->nsubnets; i++)
        if (strcmp(c->subnets[i].key, key) == 0)
            return c->subnets[i].p;
    return (struct prefix){ .len = 0 };
}

struct prefix net_bridge(const struct claims *claims, const struct net_conf *c) {
    struct prefix p = users(c, "bip");
    struct subnets s;
    if (p.ip.family)
        return p;
    if (prefix_parse("172.17.0.1/16", &p) && !claims_find(claims, &p))
        return p;
    subnets_choose(&s, claims);
    return s.bip;
}

/* Without CAP_NET_ADMIN no address can be added. docker0's will do: it can be listened on before
 * it exists (IP_FREEBIND), and containers reach it. */
static void choose_foreign(struct net_box *box, const struct net_facts *f, const struct net_conf *c,
                           struct findings *told) {
    struct claims claims;
    net_claims(&claims, f, c, box);
    box->vip = net_bridge(&claims, c).ip;
    findings_add(told, LOG_WARN,
                 "no CAP_NET_ADMIN: containers are given a resolver on docker0's address; "
                 "resolv.conf stays as it is, and collisions in this namespace are not repaired");
}

static bool is_wanted(const struct net_facts *f, const struct net_conf *c, struct findings *told) {
    if (c->mode == NET_OFF || (c->mode == NET_AUTO && !c->engine))
        return false;
    if (f->resolv.n > 0 || c->nupstream > 0)
        return true;
    if (net_uplink(&f->table))
        findings_add(told, LOG_WARN,
                     "resolv.conf names no resolver%s: nothing can be answered; name some by "
                     "[dns] upstream",
                     f->resolv_error ? " that can be read" : "");
    return false;
}

static void remember_first(struct net_box *box, const struct net_facts *f,
                           const struct net_conf *c) {
    const struct ip *servers = c->nupstream ? c->upstream : f->resolv.servers;
    size_t n = c->nupstream ? c->nupstream : f->resolv.n;
    for (size_t i = 0; i < n && box->nfirst < NET_MAX_FIRST; i++)
        if (!ip_is_loopback(&servers[i]))
            box->first[box->nfirst++] = servers[i];
}

static void tell_limits(const struct net_box *box, const struct net_facts *f,
                        struct findings *told) {
    if (box->on_lo && !box->nft)
        findings_add(told, LOG_WARN,
                     "nf_tables %s: the forwarder takes port 53 of its own address itself",
                     f->nft == NFT_DENIED ? "may not be used here" : "is not in this kernel");
    if (box->on_lo && !box->resolv)
        findings_add(told, LOG_WARN,
                     "resolv.conf cannot be written: processes of this box go on asking its "
                     "resolvers directly");
}

void net_choose(struct net_box *box, const struct net_facts *f, const struct net_conf *c,
                struct findings *told) {
    *box = (struct net_box){ .accept_local_was = -1, .rp_filter_was = -1, .ipv6_off_was = -1 };
    box->bridge = users(c, "bip");
    if (!box->bridge.ip.family)
        box->bridge = users(c, "fixed-cidr");
    if (!is_wanted(f, c, told))
        return;
    box->on_lo = f->admin;
    box->nft = f->admin && f->nft == NFT_USABLE;
    box->resolv = f->admin && f->resolv_writable;
    if (box->on_lo)
        box->vip = choose_vip(f, c, told);
    else
        choose_foreign(box, f, c, told);
    if (box->nft && c->engine_ipv6)
        choose_vip6(box, f, told);
    box->active = !ip_is_none(&box->vip);
    if (!box->active)
        findings_add(told, LOG_ERROR,
                     "no address is free for a resolver: name one by [dns] "
                     "address");
    remember_first(box, f, c);
    tell_limits(box, f, told);
}

/* Shorter prefixes lead to the internet as the default route does: VPNs take its halves, 0.0.0.0/1
 * and 128.0.0.0/1, and they would claim everything. */
enum { WIDE = 8 };

void net_claims(struct claims *out, const struct net_facts *f, const struct net_conf *c,
                const struct net_box *box) {
    const struct rtnl_table *t = &f->table;
    char text[PREFIX_TEXT];
    out->n = 0;
    out->cut = t->cut;
    for (size_t i = 0; i < c->nreserve; i++)
        claims_add(out, &c->reserve[i], "%s, which [net] reserve keeps free",
                   prefix_text(&c->reserve[i], text));
    for (size_t i = 0; i < t->naddrs; i++) {
        const struct rtnl_link *l = rtnl_find_link(t, t->addrs[i].link);
        struct prefix net = prefix_of(&t->addrs[i].p.ip, t->addrs[i].p.len);
        if (l && net_is_outer(l))
            claims_add(out, &net, "%s's network %s", l->name, prefix_text(&net, text));
    }
    for (size_t i = 0; i < t->nroutes; i++) {
        const struct rtnl_route *r = &t->routes[i];
        const struct rtnl_link *l = rtnl_find_link(t, r->link);
        if (r->to.len >= WIDE && r->protocol != NET_ROUTE_PROTOCOL && l && net_is_outer(l))
            claims_add(out, &r->to, "the route to %s by %s", prefix_text(&r->to, text), l->name);
    }
    for (size_t i = 0; i < f->resolv.n; i++) {
        struct prefix host = prefix_host(&f->resolv.servers[i]);
        if (!ip_is_loopback(&host.ip))
            claims_add(out, &host, "the resolver %s", ip_text(&host.ip, text));
    }
    if (!ip_is_none(&box->vip) && box->on_lo) {
        struct prefix host = prefix_host(&box->vip);
        claims_add(out, &host, "the resolver address of this box");
    }
}

bool net_can_narrow(const struct net_facts *f, const struct net_conf *c) {
    return c->repair && f->admin;
}
