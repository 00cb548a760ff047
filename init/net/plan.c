/* PURE: what is to be done about the network, as it is now. */
#include "net/plan.h"

#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* What the steps of one plan look at. */
struct planning {
    struct net_plan *out;
    const struct net_facts *f;
    const struct net_conf *c;
    const struct net_box *box;
    struct prefix uplink; /* the uplink's IPv4 address with its network; none */
};

/* A subnet that an engine in this namespace has, or will have. */
struct nest {
    struct prefix p; /* the bridge's address, with its network */
    const char *who; /* name of the bridge */
};

/* --- whom to ask -------------------------------------------------------------------------- */

/* Sockets are tied to the way out, which a bridge here cannot take over. Not those to an
 * address of our own: a resolver in this box. */
static int way_to(const struct planning *p, const struct ip *server) {
    const struct rtnl_link *owner = net_owner(&p->f->table, server);
    if (ip_is_loopback(server) || (owner && (owner->loopback || net_is_outer(owner))))
        return 0;
    if (server->zone)
        return (int)server->zone;
    int link = net_way_out(&p->f->table, server);
    return link ? link : p->out->uplink;
}

static void add_upstream(struct planning *p, const struct ip *server) {
    struct net_plan *o = p->out;
    bool known = ip_equal(server, &p->box->vip) || ip_equal(server, &p->box->vip6);
    for (size_t i = 0; i < o->nupstreams; i++)
        known |= ip_equal(&o->upstreams[i].ip, server);
    if (!known && o->nupstreams < MAX_UPSTREAMS)
        o->upstreams[o->nupstreams++] =
            (struct upstream){ .ip = *server, .port = 53, .link = way_to(p, server) };
}

static void plan_upstreams(struct planning *p) {
    const struct net_conf *c = p->c;
    const struct ip *servers = c->nupstream ? c->upstream : p->f->resolv.servers;
    size_t n = c->nupstream ? c->nupstream : p->f->resolv.n;
    bool loops = false;
    for (size_t i = 0; i < n; i++) {
        add_upstream(p, &servers[i]);
        loops |= ip_is_loopback(&servers[i]);
    }
    for (size_t i = 0; loops && i < p->box->nfirst; i++)
        add_upstream(p, &p->box->first[i]);
    if (!c->nupstream && p->f->resolv.more)
        findings_add(&p->out->findings, LOG_WARN,
                     "resolv.conf: only the first %d resolvers are "
                     "asked",
                     MAX_UPSTREAMS);
    if (!c->nupstream && p->f->resolv.wrong)
        findings_add(&p->out->findings, LOG_WARN, "resolv.conf: %zu nameserver line%s no address",
                     p->f->resolv.wrong, p->f->resolv.wrong == 1 ? " has" : "s have");
}

/* --- collisions in this namespace ------------------------------------------------------ */

/* A host on the uplink's own network has to stay reachable. */
static void pin(struct planning *p, const struct ip *host) {
    struct net_plan *o = p->out;
    struct prefix to = prefix_host(host);
    if (!prefix_has(&p->uplink, host) || o->npins == NET_MAX_PINS)
        return;
    for (size_t i = 0; i < o->npins; i++)
        if (prefix_equal(&o->pins[i].to, &to))
            return;
    o->pins[o->npins++] = (struct rtnl_route){ .to = to,
                                               .source = p->uplink.ip,
                                               .link = o->uplink,
                                               .type = RTN_UNICAST,
                                               .protocol = NET_ROUTE_PROTOCOL,
                                               .scope = RT_SCOPE_LINK };
}

/* Hosts of the uplink that we need: gateways and resolvers. Calls `use` for each. */
static void each_needed(struct planning *p, const struct nest *n,
                        void (*use)(struct planning *p, const struct nest *n, const struct ip *ip,
                                    const char *what)) {
    const struct rtnl_table *t = &p->f->table;
    for (size_t i = 0; i < t->nroutes; i++)
        if (t->routes[i].link == p->out->uplink && t->routes[i].gateway.family == AF_INET)
            use(p, n, &t->routes[i].gateway, "gateway");
    for (size_t i = 0; i < p->out->nupstreams; i++)
        if (p->out->upstreams[i].link == p->out->uplink)
            use(p, n, &p->out->upstreams[i].ip, "resolver");
}

static void pin_needed(struct planning *p, const struct nest *n, const struct ip *ip,
                       const char *what) {
    (void)what;
    /* A network of the uplink's is taken off it as a whole, so that all need a pin. */
    if (p->out->narrow.ip.family || prefix_has(&n->p, ip))
        pin(p, ip);
}

static void tell_taken(struct planning *p, const struct nest *n, const struct ip *ip,
                       const char *what) {
    char text[IP_TEXT];
    bool able = net_can_narrow(p->f, p->c);
    if (!ip_equal(&n->p.ip, ip))
        return;
    p->out->accept_local = p->out->loosen = able;
    findings_add(&p->out->findings, able ? LOG_WARN : LOG_ERROR,
                 "%s has the address of the %s, %s: %s", n->who, what, ip_text(ip, text),
                 !able ? "this box is about to be cut off"
                       : "answers that come from it by the uplink are let in all the same");
}

static void tell_subnet(struct planning *p, const struct nest *n) {
    char text[PREFIX_TEXT], outer[PREFIX_TEXT];
    struct prefix theirs = prefix_of(&n->p.ip, n->p.len);
    struct prefix ours = prefix_of(&p->uplink.ip, p->uplink.len);
    const char *repair = !p->c->repair  ? "and [net] repair is off"
                         : !p->f->admin ? "and without CAP_NET_ADMIN that cannot be repaired"
                                        : NULL;
    findings_add(&p->out->findings, repair ? LOG_ERROR : LOG_WARN,
                 "%s takes %s, which is in %s's network %s, %s", n->who, prefix_text(&theirs, text),
                 p->out->uplink_name, prefix_text(&ours, outer),
                 repair                  ? repair
                 : theirs.len > ours.len ? "so gateway and resolvers in it get host routes"
                                         : "so that one is narrowed to host routes; its other "
                                           "hosts are reached by the gateway, or not at all");
}

/* Sockets that are tied to the uplink send by it all the same; what comes back has to be let in
 * though the way there is now the bridge's. */
static void loosen_covered(struct planning *p, const struct nest *n, const struct ip *ip,
                           const char *what) {
    (void)what;
    if (prefix_has(&n->p, ip) && net_can_narrow(p->f, p->c))
        p->out->loosen = true;
}

static void collide(struct planning *p, const struct nest *n) {
    if (p->uplink.ip.family && prefix_overlap(&n->p, &p->uplink)) {
        tell_subnet(p, n);
        if (net_can_narrow(p->f, p->c)) {
            if (n->p.len <= p->uplink.len)
                p->out->narrow = p->uplink;
            each_needed(p, n, pin_needed);
        }
    } else {
        each_needed(p, n, loosen_covered); /* a resolver behind the gateway */
    }
    each_needed(p, n, tell_taken);
    if (p->out->narrow.ip.family)
        p->out->loosen = true;
}

/* Bridges that are there, and docker0 as its user wants it to be. */
static void plan_collisions(struct planning *p) {
    const struct rtnl_table *t = &p->f->table;
    for (size_t i = 0; i < t->naddrs; i++) {
        const struct rtnl_link *l = rtnl_find_link(t, t->addrs[i].link);
        struct nest n = { t->addrs[i].p, l ? l->name : "" };
        if (l && !l->loopback && l->index != p->out->uplink && !net_is_outer(l))
            collide(p, &n);
    }
    struct nest docker0 = { p->box->bridge, "docker0, as it is configured," };
    if (docker0.p.ip.family && !net_owner(t, &docker0.p.ip))
        collide(p, &docker0);
    /* Host routes also tell that a route was taken away (repair.c): there has to be one. To the
     * uplink's own address it leads nowhere, as the local table comes first. */
    if (p->out->narrow.ip.family && p->out->npins == 0)
        pin(p, &p->uplink.ip);
}

/* --- who is not answered ---------------------------------------------------------------- */

/* The uplink first. */
static void plan_outer(struct planning *p) {
    struct net_plan *o = p->out;
    const struct rtnl_table *t = &p->f->table;
    if (o->uplink)
        o->outer[o->nouter++] = o->uplink;
    for (size_t i = 0; i < t->nlinks; i++) {
        if (t->links[i].index == o->uplink || !net_is_open(t, &t->links[i]))
            continue;
        if (o->nouter < MAX_OUTER_LINKS)
            o->outer[o->nouter++] = t->links[i].index;
        else
            findings_add(&o->findings, LOG_WARN,
                         "more than %d links lead outside: who comes by %s is answered, too",
                         MAX_OUTER_LINKS, t->links[i].name);
    }
}

/* --- who answers ---------------------------------------------------------------------------- */

/* Why the kernel cannot redirect to the first upstream by itself; NULL: it can. */
static const char *dnat_obstacle(const struct planning *p) {
    const struct upstream *u = p->out->upstreams;
    if (!p->box->nft)
        return "nf_tables cannot be used";
    if (p->out->nupstreams == 0)
        return "there is no resolver to redirect to";
    if (ip_is_loopback(&u->ip))
        return "the resolver is on loopback";
    if (u->ip.family != p->box->vip.family)
        return "the resolver has IPv6 only, and containers ask by IPv4";
    return net_owner(&p->f->table, &u->ip) ? "a bridge here has the resolver's address" : NULL;
}

static const struct ip *first_of_family(const struct net_plan *o, uint8_t family) {
    for (size_t i = 0; i < o->nupstreams; i++)
        if (o->upstreams[i].ip.family == family && !ip_is_loopback(&o->upstreams[i].ip))
            return &o->upstreams[i].ip;
    return NULL;
}

static struct nft_dnat redirect(const struct ip *vip, uint16_t port, const struct ip *upstream) {
    if (ip_is_none(vip))
        return (struct nft_dnat){ .port = 0 };
    return (struct nft_dnat){ .from = *vip,
                              .to = upstream ? *upstream : *vip,
                              .port = upstream ? 53 : port,
                              .masquerade = upstream != NULL };
}

static void plan_answer(struct planning *p) {
    struct net_plan *o = p->out;
    const char *obstacle = dnat_obstacle(p);
    bool wanted = p->c->mode == NET_DNAT;
    if (wanted && obstacle)
        findings_add(&o->findings, LOG_WARN, "no DNAT, the forwarder answers: %s", obstacle);
    o->dnat = wanted && !obstacle;
    if (!p->box->nft)
        return;
    const struct ip *v6 = o->dnat ? first_of_family(o, AF_INET6) : NULL;
    o->rules.v4 = redirect(&p->box->vip, p->box->port, o->dnat ? &o->upstreams[0].ip : NULL);
    o->rules.v6 = redirect(&p->box->vip6, p->box->port6, v6);
    for (size_t i = 0; i < o->nouter; i++)
        (void)snprintf(o->rules.outer[i], sizeof o->rules.outer[i], "%s",
                       rtnl_find_link(&p->f->table, o->outer[i])->name);
}

void net_plan(struct net_plan *out, const struct net_facts *f, const struct net_conf *c,
              const struct net_box *box) {
    struct planning p = { .out = out, .f = f, .c = c, .box = box };
    const struct rtnl_link *uplink = net_uplink(&f->table);
    memset(out, 0, sizeof *out);
    if (uplink) {
        out->uplink = uplink->index;
        out->mtu = uplink->mtu;
        (void)snprintf(out->uplink_name, sizeof out->uplink_name, "%s", uplink->name);
        p.uplink = net_uplink_address(&f->table, uplink->index);
    }
    if (!box->active)
        return;
    plan_upstreams(&p);
    plan_collisions(&p);
    plan_outer(&p);
    plan_answer(&p);
}
