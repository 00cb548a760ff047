#include "net/repair.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "net/survey.h"
#include "sys/file.h"

#define UNIT "net"

/* Say a failure once. Returns the code. */
static int report(struct repair *r, enum repair_act act, int code, const char *what) {
    if (code < 0 && r->failed[act] != -code)
        log_warn(UNIT, "%s: %s", what, strerror(-code));
    r->failed[act] = code < 0 ? -code : 0;
    return code;
}

static int first_of(int a, int b) { return a < 0 ? a : b; }

/* --- addresses ---------------------------------------------------------------------------- */

static const struct rtnl_link *loopback(const struct rtnl_table *t) {
    for (size_t i = 0; i < t->nlinks; i++)
        if (t->links[i].loopback)
            return &t->links[i];
    return NULL;
}

static int keep_address(const struct net_facts *f, const struct ip *ip) {
    char text[IP_TEXT];
    const struct rtnl_link *lo = loopback(&f->table);
    struct prefix host = prefix_host(ip);
    if (ip_is_none(ip) || net_owner(&f->table, ip))
        return 0;
    if (!lo)
        return -ENODEV;
    int rc = lo->up ? 0 : rtnl_link_up(lo->index);
    rc = rc < 0 ? rc : rtnl_addr_add(lo->index, &host);
    if (rc < 0 && rc != -EEXIST)
        return rc;
    log_info(UNIT, "added the resolver address %s to %s", ip_text(ip, text), lo->name);
    return 0;
}

static int keep_addresses(struct repair *r, const struct net_facts *f, const struct net_box *box) {
    if (!box->on_lo)
        return 0;
    if (!ip_is_none(&box->vip6) && f->ipv6_off == 1)
        (void)net_sysctl_set("ipv6", "lo", "disable_ipv6", 0);
    (void)report(r, ACT_ADDRESS6, keep_address(f, &box->vip6),
                 "the IPv6 resolver address cannot be added to lo");
    return report(r, ACT_ADDRESS, keep_address(f, &box->vip),
                  "the resolver address cannot be added to lo");
}

/* --- rules -------------------------------------------------------------------------------- */

static bool same_dnat(const struct nft_dnat *a, const struct nft_dnat *b) {
    return ip_equal(&a->from, &b->from) && ip_equal(&a->to, &b->to) && a->port == b->port &&
           a->masquerade == b->masquerade;
}

static bool same_outer(const struct nft_rules *a, const struct nft_rules *b) {
    for (size_t i = 0; i < MAX_OUTER_LINKS; i++)
        if (strcmp(a->outer[i], b->outer[i]) != 0)
            return false;
    return true;
}

static bool same_rules(const struct nft_rules *a, const struct nft_rules *b) {
    return same_dnat(&a->v4, &b->v4) && same_dnat(&a->v6, &b->v6) && same_outer(a, b);
}

static void tell_rules(const struct nft_dnat *d, bool again) {
    char from[IP_TEXT], to[IP_TEXT];
    if (!ip_is_none(&d->from))
        log_info(UNIT, "nf_tables: %s port 53 is redirected to %s port %u%s",
                 ip_text(&d->from, from), ip_text(&d->to, to), d->port,
                 again ? " again, as the rules had been removed" : "");
}

/* That the kernel has as many rules as it should says nothing about where they lead: that is
 * remembered. Connections are only forgotten when it is elsewhere: those that wait in the
 * forwarder's sockets would lose the way back. */
static int keep_rules(struct repair *r, const struct nft_rules *want, bool nft) {
    struct err e = { 0 };
    bool same = same_rules(&r->rules, want);
    bool there = nft && nft_check(want, NULL) == 1;
    if (!nft || (same && there))
        return 0;
    bool moved = !same && (there || !ip_is_none(&r->rules.v4.from));
    int rc = nft_apply(want, &e);
    if (rc < 0)
        return report(r, ACT_RULES, rc, "the nf_tables rules cannot be made");
    (void)report(r, ACT_RULES, 0, "");
    tell_rules(&want->v4, same);
    tell_rules(&want->v6, same);
    if (moved)
        (void)conntrack_flush(); /* those who keep their port follow, too */
    r->rules = *want;
    r->writes++;
    return 0;
}

/* --- routes ------------------------------------------------------------------------------- */

static const struct rtnl_route *find_route(const struct rtnl_table *t, int link,
                                           const struct prefix *to) {
    for (size_t i = 0; i < t->nroutes; i++)
        if (t->routes[i].link == link && prefix_equal(&t->routes[i].to, to) &&
            !t->routes[i].gateway.family)
            return &t->routes[i];
    return NULL;
}

static bool is_pinned(const struct net_plan *plan, const struct prefix *to) {
    for (size_t i = 0; i < plan->npins; i++)
        if (prefix_equal(&plan->pins[i].to, to))
            return true;
    return false;
}

static int add_pins(const struct net_plan *plan, const struct net_facts *f) {
    char text[IP_TEXT];
    int rc = 0;
    for (size_t i = 0; i < plan->npins; i++) {
        const struct rtnl_route *pin = &plan->pins[i];
        if (find_route(&f->table, pin->link, &pin->to))
            continue;
        int added = rtnl_route_add(pin);
        rc = first_of(rc, added);
        if (added == 0)
            log_info(UNIT, "added a host route to %s by %s", ip_text(&pin->to.ip, text),
                     plan->uplink_name);
    }
    return rc;
}

/* Take the connected route off the uplink; its address stays. */
static int narrow(const struct net_plan *plan, const struct net_facts *f) {
    char text[PREFIX_TEXT];
    struct prefix net = prefix_of(&plan->narrow.ip, plan->narrow.len);
    const struct rtnl_route *connected =
        plan->narrow.ip.family ? find_route(&f->table, plan->uplink, &net) : NULL;
    if (!connected || net.len == 32)
        return 0;
    int rc = rtnl_route_del(connected);
    if (rc < 0 && rc != -ESRCH)
        return rc;
    log_warn(UNIT, "took the route to %s off %s, whose hosts but the gateway are now reached by it",
             prefix_text(&net, text), plan->uplink_name);
    return 0;
}

/* Our host routes tell that the connected one was taken away. */
static bool is_narrowed(const struct net_facts *f, int uplink, const struct prefix *net) {
    bool pinned = false;
    for (size_t i = 0; i < f->table.nroutes; i++)
        pinned |=
            f->table.routes[i].protocol == NET_ROUTE_PROTOCOL && f->table.routes[i].link == uplink;
    return pinned && !find_route(&f->table, uplink, net);
}

static int widen(const struct net_facts *f, int uplink) {
    char text[PREFIX_TEXT];
    struct prefix address = net_uplink_address(&f->table, uplink);
    struct prefix net = prefix_of(&address.ip, address.len);
    if (!address.ip.family || !is_narrowed(f, uplink, &net))
        return 0;
    const struct rtnl_route route = { .to = net,
                                      .source = address.ip,
                                      .link = uplink,
                                      .type = RTN_UNICAST,
                                      .protocol = RTPROT_KERNEL,
                                      .scope = RT_SCOPE_LINK };
    int rc = rtnl_route_add(&route);
    if (rc == 0)
        log_info(UNIT, "put the route to %s back", prefix_text(&net, text));
    return rc;
}

/* All of ours that `plan` (NULL: none) does not want. */
static int remove_pins(const struct net_plan *plan, const struct net_facts *f) {
    int rc = 0;
    for (size_t i = 0; i < f->table.nroutes; i++) {
        const struct rtnl_route *route = &f->table.routes[i];
        if (route->protocol == NET_ROUTE_PROTOCOL && !(plan && is_pinned(plan, &route->to)))
            rc = first_of(rc, rtnl_route_del(route));
    }
    return rc;
}

/* In an order that leaves no moment without a way to the gateway. */
static int keep_routes(struct repair *r, const struct net_plan *plan, const struct net_facts *f) {
    int rc = add_pins(plan, f);
    rc = first_of(rc, plan->narrow.ip.family ? narrow(plan, f) : widen(f, plan->uplink));
    rc = first_of(rc, remove_pins(plan, f));
    return report(r, ACT_ROUTES, rc, "the uplink's routes cannot be changed");
}

/* --- sysctls ------------------------------------------------------------------------------- */

static int keep_sysctl(const struct net_plan *plan, const char *key, bool wanted, int now,
                       int want) {
    if (!wanted || now == want)
        return 0;
    int rc = net_sysctl_set("ipv4", plan->uplink_name, key, want);
    if (rc == 0)
        log_info(UNIT, "set net.ipv4.conf.%s.%s to %d", plan->uplink_name, key, want);
    return rc;
}

/* The bridge is gone: what it was before. */
static int release_sysctl(const struct net_box *box, const char *key, int ours, int was) {
    if (was < 0 || was == ours || net_sysctl("ipv4", box->tuned, key) != ours)
        return 0;
    int rc = net_sysctl_set("ipv4", box->tuned, key, was);
    if (rc == 0)
        log_info(UNIT, "set net.ipv4.conf.%s.%s back to %d", box->tuned, key, was);
    return rc;
}

/* rp_filter: strict (1) would drop what is to be let in; off (0) and loose (2) do not. */
static int keep_sysctls(struct repair *r, const struct net_plan *plan, const struct net_facts *f,
                        const struct net_box *box) {
    bool strict = f->rp_filter == 1, same = strcmp(box->tuned, plan->uplink_name) == 0;
    int rc = keep_sysctl(plan, "accept_local", plan->accept_local, f->accept_local, 1);
    rc = first_of(rc, keep_sysctl(plan, "rp_filter", plan->loosen && strict, f->rp_filter, 2));
    if (same && !plan->accept_local)
        rc = first_of(rc, release_sysctl(box, "accept_local", 1, box->accept_local_was));
    if (same && !plan->loosen)
        rc = first_of(rc, release_sysctl(box, "rp_filter", 2, box->rp_filter_was));
    return report(r, ACT_SYSCTL, rc, "the uplink's sysctls cannot be set");
}

/* --- resolv.conf -------------------------------------------------------------------------- */

/* Write what `make` makes of it. 1 when that was something new, 0, or -errno. What would be too
 * large to be read again is not written: it could not be given back. */
static int rewrite_resolv(bool (*make)(struct text *, const char *, size_t, const struct ip *),
                          const struct ip *by, bool wait_for_text) {
    enum { CAP = MAX_RESOLV_CONF + 1 };
    struct err e = { 0 };
    size_t len;
    int code;
    AUTO_FREE char *old = net_read_resolv(&len, &code);
    AUTO_FREE char *buf = malloc(CAP);
    if (!old || !buf)
        return -ENOMEM;
    struct text new = { .buf = buf, .cap = CAP };
    if (code)
        return -code;
    if (len == 0 && wait_for_text)
        return 0;
    if (!make(&new, old, len, by))
        return -EFBIG;
    if (new.len == len && memcmp(new.buf, old, len) == 0)
        return 0;
    int rc = file_replace(RESOLV_CONF, new.buf, new.len, &e);
    return rc < 0 ? rc : 1;
}

/* A file that was ours and is empty now is being written by somebody, who would write on into
 * the one that we replace: its closing is heard. */
static int keep_resolv(struct repair *r, const struct net_box *box) {
    char text[IP_TEXT];
    if (!box->resolv)
        return 0;
    int rc = rewrite_resolv(resolv_take, &box->vip, r->has_resolv);
    r->has_resolv |= rc >= 0;
    r->writes += rc > 0;
    if (rc > 0)
        log_info(UNIT, RESOLV_CONF " names %s; its own resolvers stand there, marked",
                 ip_text(&box->vip, text));
    return report(r, ACT_RESOLV, rc < 0 ? rc : 0, RESOLV_CONF " cannot be rewritten");
}

static bool give_back(struct text *out, const char *text, size_t len, const struct ip *by) {
    (void)by;
    return resolv_give_back(out, text, len);
}

/* --- the whole ----------------------------------------------------------------------------- */

/* resolv.conf last: nobody is to ask an address that is not answered yet. */
int repair_apply(struct repair *r, const struct net_plan *plan, const struct net_facts *f,
                 const struct net_box *box) {
    int rc = keep_addresses(r, f, box);
    rc = first_of(rc, keep_rules(r, &plan->rules, box->nft));
    bool answered = rc == 0;
    if (f->admin && plan->uplink) {
        rc = first_of(rc, keep_routes(r, plan, f));
        rc = first_of(rc, keep_sysctls(r, plan, f, box));
    }
    return answered ? first_of(rc, keep_resolv(r, box)) : rc;
}

static void undo_sysctl(const char *family, const char *link, const char *key, int was) {
    if (was >= 0 && net_sysctl(family, link, key) != was)
        (void)net_sysctl_set(family, link, key, was);
}

static void undo_address(const struct net_facts *f, const struct ip *ip) {
    const struct rtnl_link *owner = ip_is_none(ip) ? NULL : net_owner(&f->table, ip);
    struct prefix host = prefix_host(ip);
    if (owner && owner->loopback)
        (void)rtnl_addr_del(owner->index, &host);
}

/* resolv.conf first, for the same reason. */
void repair_undo(const struct net_facts *f, const struct net_box *box) {
    const struct rtnl_link *uplink = net_uplink(&f->table);
    int rc = box->resolv ? rewrite_resolv(give_back, NULL, false) : 0;
    if (rc < 0)
        log_warn(UNIT, RESOLV_CONF " cannot be put back: %s", strerror(-rc));
    if (box->nft)
        (void)nft_remove(NULL);
    if (uplink && f->admin) {
        (void)widen(f, uplink->index);
        (void)remove_pins(NULL, f);
    }
    if (f->admin && box->tuned[0]) {
        undo_sysctl("ipv4", box->tuned, "accept_local", box->accept_local_was);
        undo_sysctl("ipv4", box->tuned, "rp_filter", box->rp_filter_was);
    }
    if (box->on_lo) {
        undo_address(f, &box->vip);
        undo_address(f, &box->vip6);
        undo_sysctl("ipv6", "lo", "disable_ipv6", box->ipv6_off_was);
    }
}
