/* PURE: what the engine should know of the network. */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "net/prepare.h"

static void need(struct net_advice *out, const struct ip *ip) {
    if (ip->family == AF_INET && !ip_is_loopback(ip) && out->nneeded < MAX_NEEDED)
        out->needed[out->nneeded++] = *ip;
}

static void find_needed(struct net_advice *out, const struct net_facts *f,
                        const struct net_conf *c) {
    const struct rtnl_table *t = &f->table;
    for (size_t i = 0; i < t->naddrs; i++) {
        const struct rtnl_link *l = rtnl_find_link(t, t->addrs[i].link);
        if (l && net_is_outer(l))
            need(out, &t->addrs[i].p.ip);
    }
    for (size_t i = 0; i < t->nroutes; i++)
        need(out, &t->routes[i].gateway);
    for (size_t i = 0; i < c->nupstream; i++)
        need(out, &c->upstream[i]);
    for (size_t i = 0; i < f->resolv.n; i++)
        need(out, &f->resolv.servers[i]);
}

void net_advise(struct net_advice *out, const struct net_facts *f, const struct net_conf *c,
                const struct net_box *box) {
    memset(out, 0, sizeof *out);
    net_claims(&out->taken, f, c, box);
    out->can_narrow = box->active && net_can_narrow(f, c); /* by role net */
    find_needed(out, f, c);
    const struct rtnl_link *uplink = net_uplink(&f->table);
    out->mtu = uplink ? uplink->mtu : 0;
    if (box->active) {
        out->dns[0] = box->vip;
        out->dns[1] = box->vip6;
    }
    const struct claim *clash = subnets_clash_with_defaults(&out->taken);
    if (clash) {
        out->move = true;
        (void)snprintf(out->why, sizeof out->why, "%s", clash->who);
        subnets_choose(&out->to, &out->taken);
    }
    if (box->active && !box->on_lo) {
        out->move = true;
        out->to.bip = net_bridge(&out->taken, c); /* whose address the box has taken */
    }
}
