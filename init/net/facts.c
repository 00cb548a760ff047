/* PURE: looking things up in the kernel's tables. */
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

#include "net/plan.h"

bool net_is_outer(const struct rtnl_link *l) {
    return l->up && !l->loopback && l->master == 0 && strcmp(l->kind, "bridge") != 0;
}

bool net_is_open(const struct rtnl_table *t, const struct rtnl_link *l) {
    if (!net_is_outer(l))
        return false;
    for (size_t i = 0; i < t->nroutes; i++)
        if (t->routes[i].link == l->index && t->routes[i].gateway.family)
            return true;
    for (size_t i = 0; i < t->naddrs; i++) {
        const struct prefix *p = &t->addrs[i].p;
        if (t->addrs[i].link == l->index && !ip_is_link_local(&p->ip) &&
            p->len + 2 < ip_bits(&p->ip))
            return true;
    }
    return false;
}

static bool is_outer(const struct rtnl_table *t, int index) {
    const struct rtnl_link *l = rtnl_find_link(t, index);
    return l && net_is_outer(l);
}

/* Is `a` the better default route? */
static bool better_default(const struct rtnl_route *a, const struct rtnl_route *b) {
    if (!b || a->to.ip.family != b->to.ip.family)
        return !b || a->to.ip.family == AF_INET;
    return a->metric < b->metric;
}

const struct rtnl_link *net_uplink(const struct rtnl_table *t) {
    const struct rtnl_route *best = NULL;
    for (size_t i = 0; i < t->nroutes; i++) {
        const struct rtnl_route *r = &t->routes[i];
        if (r->to.len == 0 && r->type == RTN_UNICAST && is_outer(t, r->link) &&
            better_default(r, best))
            best = r;
    }
    if (best)
        return rtnl_find_link(t, best->link);
    for (size_t i = 0; i < t->naddrs; i++)
        if (is_outer(t, t->addrs[i].link) && !ip_is_link_local(&t->addrs[i].p.ip))
            return rtnl_find_link(t, t->addrs[i].link);
    return NULL;
}

const struct rtnl_link *net_owner(const struct rtnl_table *t, const struct ip *ip) {
    for (size_t i = 0; i < t->naddrs; i++)
        if (ip_equal(&t->addrs[i].p.ip, ip))
            return rtnl_find_link(t, t->addrs[i].link);
    return NULL;
}

int net_way_out(const struct rtnl_table *t, const struct ip *to) {
    const struct rtnl_route *best = NULL;
    for (size_t i = 0; i < t->nroutes; i++) {
        const struct rtnl_route *r = &t->routes[i];
        bool fits = r->to.ip.family == to->family && (r->to.len == 0 || prefix_has(&r->to, to));
        if (!fits || r->type != RTN_UNICAST || !is_outer(t, r->link))
            continue;
        if (!best || r->to.len > best->to.len ||
            (r->to.len == best->to.len && r->metric < best->metric))
            best = r;
    }
    return best ? best->link : 0;
}

struct prefix net_uplink_address(const struct rtnl_table *t, int uplink) {
    for (size_t i = 0; i < t->naddrs; i++)
        if (t->addrs[i].link == uplink && t->addrs[i].p.ip.family == AF_INET)
            return t->addrs[i].p;
    return (struct prefix){ .len = 0 };
}
