/* Any bytes as what the kernel sends: walked within their bounds, and what is taken of them
 * is well-formed: names end, prefixes fit their family, counts fit the table. */
#include <linux/rtnetlink.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "netlink/nft.h"
#include "netlink/rtnl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok) {
    if (!ok)
        abort();
}

static bool is_ip(const struct ip *ip) {
    char buf[IP_TEXT];
    return (ip_bits(ip) > 0 || ip->family == 0) && ip_text(ip, buf)[0];
}

static bool is_prefix(const struct prefix *p) {
    char buf[PREFIX_TEXT];
    return ip_bits(&p->ip) > 0 && p->len <= ip_bits(&p->ip) && prefix_text(p, buf)[0] &&
           prefix_has(p, &p->ip) && prefix_overlap(p, p);
}

static void check_table(const struct rtnl_table *t) {
    must(t->nlinks <= RTNL_LINKS && t->naddrs <= RTNL_ADDRS && t->nroutes <= RTNL_ROUTES);
    for (size_t i = 0; i < t->nlinks; i++) {
        const struct rtnl_link *l = &t->links[i];
        must(l->index > 0 && l->master >= 0);
        must(strnlen(l->name, sizeof l->name) < sizeof l->name);
        must(strnlen(l->kind, sizeof l->kind) < sizeof l->kind);
        must(rtnl_find_link(t, l->index) == l);
    }
    for (size_t i = 0; i < t->naddrs; i++)
        must(t->addrs[i].link > 0 && is_prefix(&t->addrs[i].p));
    for (size_t i = 0; i < t->nroutes; i++) {
        const struct rtnl_route *r = &t->routes[i];
        must(r->link >= 0 && is_prefix(&r->to) && is_ip(&r->gateway) && is_ip(&r->source));
        must(r->source.family == 0 || r->source.family == r->to.ip.family);
    }
}

/* Whatever the message is: its attributes lie within it. */
static void walk_all(const struct nlmsghdr *m) {
    const uint8_t *end, *at = nl_attrs(m, 4, &end);
    must(at <= end && end == (const uint8_t *)m + m->nlmsg_len);
    for (const struct nlattr *a; (a = nl_attr_next(&at, end));)
        must((const uint8_t *)nl_attr_data(a) + nl_attr_len(a) <= end);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct rtnl_table t;
    uint8_t *copy = malloc(size + !size); /* of the exact size, for the sanitizer's sake */
    if (!copy)
        return 0;
    if (size)
        memcpy(copy, data, size);
    t.nlinks = t.naddrs = t.nroutes = 0;
    t.cut = false;
    const uint8_t *at = copy, *end = copy + size;
    for (const struct nlmsghdr *m; (m = nl_next(&at, end));) {
        struct nft_seen seen;
        struct rtnl_route route;
        uint32_t table;
        must(at > (const uint8_t *)m && at <= end);
        walk_all(m);
        rtnl_take(&t, m);
        size_t known = t.nlinks + t.naddrs + t.nroutes;
        rtnl_take(&t, m); /* the same news again */
        must(t.nlinks + t.naddrs + t.nroutes == known);
        (void)nft_read_rule(m, &seen);
        if (rtnl_read_route(m, &route, &table))
            must(m->nlmsg_type == RTM_NEWROUTE);
    }
    check_table(&t);
    free(copy);
    return 0;
}
