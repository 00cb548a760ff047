/* PURE: what `pinnace doctor` says about the network besides collisions. */
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <sys/socket.h>

#include "net/plan.h"

/* What the explanations look at. */
struct explaining {
    struct findings *out;
    const struct net_facts *f;
    const struct net_conf *c;
    const struct net_box *box;
    const struct net_plan *plan;
};

static void explain_uplink(const struct explaining *x) {
    char address[PREFIX_TEXT], gateway[IP_TEXT] = "none";
    const struct rtnl_table *t = &x->f->table;
    struct prefix p = net_uplink_address(t, x->plan->uplink);
    if (!x->plan->uplink) {
        findings_add(x->out, LOG_INFO, "no link leads outside");
        return;
    }
    for (size_t i = 0; i < t->nroutes; i++)
        if (t->routes[i].link == x->plan->uplink && t->routes[i].to.len == 0)
            (void)ip_text(&t->routes[i].gateway, gateway);
    findings_add(x->out, LOG_INFO, "uplink %s: %s, gateway %s, MTU %u", x->plan->uplink_name,
                 prefix_text(&p, address), gateway, x->plan->mtu);
    if (x->plan->mtu && x->plan->mtu < 1500 && x->c->engine)
        findings_add(x->out, LOG_INFO,
                     "the engine's networks are given the uplink's MTU, %u, or large packets of "
                     "containers would be lost",
                     x->plan->mtu);
}

/* Hosts of the uplink's network that a nested engine hides from itself cannot be helped here. */
static void explain_network(const struct explaining *x) {
    char text[PREFIX_TEXT];
    struct prefix p = net_uplink_address(&x->f->table, x->plan->uplink);
    const struct known_subnet *k = p.ip.family ? known_find(&p) : NULL;
    struct prefix net = prefix_of(&p.ip, p.len);
    if (k)
        findings_add(x->out, LOG_WARN,
                     "%s's network %s overlaps %s, which %s takes when it is nested: names resolve "
                     "in it, but other hosts of that network stay out of its reach; start it with "
                     "another subnet%s%s%s",
                     x->plan->uplink_name, prefix_text(&net, text), k->cidr, k->who,
                     k->elsewhere ? " (" : "", k->elsewhere ? k->elsewhere : "",
                     k->elsewhere ? ")" : "");
}

static void explain_resolver(const struct explaining *x, const struct ip *ip) {
    char text[IP_TEXT];
    struct prefix host = prefix_host(ip);
    const struct known_subnet *k = known_find(&host);
    const char *instead = x->box->active ? "containers ask the resolver address of this box instead"
                                         : "nothing is done about it, as DNS is off";
    enum log_level level = x->box->active ? LOG_INFO : LOG_WARN;
    (void)ip_text(ip, text);
    if (ip_is_loopback(ip))
        findings_add(x->out, level,
                     "resolver %s is on loopback, out of the reach of containers: %s", text,
                     instead);
    else if (k)
        findings_add(x->out, level, "resolver %s is in %s, which %s takes when it is nested: %s",
                     text, k->cidr, k->who, instead);
    else if (ip->family == AF_INET6 && !x->c->engine_ipv6)
        findings_add(x->out, level, "resolver %s has IPv6, and containers have IPv4 only: %s", text,
                     instead);
    else
        findings_add(x->out, LOG_INFO, "resolver %s", text);
}

/* Containers get these from dockerd, which copies them. */
static void explain_words(const struct explaining *x) {
    const struct resolv *r = &x->f->resolv;
    if (r->search[0] || r->options[0])
        findings_add(x->out, LOG_INFO, "resolv.conf: %s%s%s%s%s, which stays as it is",
                     r->search[0] ? "search " : "", r->search,
                     r->search[0] && r->options[0] ? "; " : "", r->options[0] ? "options " : "",
                     r->options);
}

static void explain_answer(const struct explaining *x) {
    char vip[IP_TEXT], vip6[IP_TEXT];
    const struct net_box *b = x->box;
    if (!b->active) {
        findings_add(x->out, LOG_INFO, "DNS is left alone%s",
                     x->c->mode == NET_OFF ? ": [dns] mode = off"
                     : x->c->mode == NET_AUTO && !x->c->engine
                         ? ": no engine runs in this network namespace, and [dns] mode is auto"
                         : "");
        return;
    }
    findings_add(x->out, LOG_INFO, "DNS for containers%s: %s%s%s, %s",
                 b->resolv ? " and this box" : "", ip_text(&b->vip, vip),
                 ip_is_none(&b->vip6) ? "" : " and ",
                 ip_is_none(&b->vip6) ? "" : ip_text(&b->vip6, vip6),
                 x->plan->dnat ? "redirected to the resolver by the kernel"
                 : b->nft      ? "redirected to the forwarder by nf_tables"
                               : "where the forwarder has port 53 itself");
    if (x->c->engine && !x->c->engine_ipv6)
        findings_add(x->out, LOG_INFO,
                     "containers have IPv4 only (no \"ipv6\" in daemon.json), so their resolver "
                     "address does, too");
}

static void explain_engine(const struct explaining *x) {
    struct claims claims;
    net_claims(&claims, x->f, x->c, x->box);
    const struct claim *clash = subnets_clash_with_defaults(&claims);
    struct subnets s;
    char bip[PREFIX_TEXT];
    if (!x->c->engine || !clash)
        return;
    subnets_choose(&s, &claims);
    if (s.bip.ip.family)
        findings_add(x->out, LOG_INFO,
                     "dockerd's default subnets touch %s: docker0 is %s and the address pools keep "
                     "off, unless daemon.json says otherwise",
                     clash->who, prefix_text(&s.bip, bip));
    else
        findings_add(x->out, LOG_ERROR,
                     "no subnet is free for docker0: dockerd's defaults touch %s, and everything "
                     "else is taken or reserved",
                     clash->who);
    if (claims.cut)
        findings_add(x->out, LOG_WARN, "only the first %d subnets in use are looked at",
                     MAX_SUBNETS);
}

void net_explain(struct findings *out, const struct net_facts *f, const struct net_conf *c,
                 const struct net_box *box, const struct net_plan *plan) {
    struct explaining x = { out, f, c, box, plan };
    explain_uplink(&x);
    explain_network(&x);
    for (size_t i = 0; i < f->resolv.n; i++)
        explain_resolver(&x, &f->resolv.servers[i]);
    explain_words(&x);
    explain_answer(&x);
    explain_engine(&x);
}
