/* PURE: what rtnetlink tells of links, addresses and routes, into a table. */
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>

#include "netlink/rtnl.h"

/* The fixed part of a message; false if it is not there. */
static bool fixed_part(const struct nlmsghdr *m, void *out, size_t len) {
    if (m->nlmsg_len < NLMSG_HDRLEN + len)
        return false;
    memcpy(out, (const uint8_t *)m + NLMSG_HDRLEN, len);
    return true;
}

/* Text of an attribute, which may lack its NUL; cut to fit. */
static void read_text(const struct nlattr *a, char *out, size_t cap) {
    size_t n = strnlen(nl_attr_data(a), nl_attr_len(a));
    n = n < cap ? n : cap - 1;
    memset(out, 0, cap);
    memcpy(out, nl_attr_data(a), n);
}

static bool read_index(const struct nlattr *a, int *out) {
    uint32_t v;
    if (!nl_attr_u32(a, &v) || v > INT32_MAX)
        return false;
    *out = (int)v;
    return true;
}

/* An address of this family; none when the length is another one's. */
static struct ip read_ip(const struct nlattr *a, uint8_t family) {
    struct ip ip = ip_from_bytes(nl_attr_data(a), nl_attr_len(a));
    return ip.family == family ? ip : (struct ip){ 0 };
}

/* struct rtvia: a family and an address of it (an IPv6 gateway of an IPv4 route). */
static struct ip read_via(const struct nlattr *a) {
    uint16_t family;
    if (nl_attr_len(a) < sizeof family)
        return (struct ip){ 0 };
    memcpy(&family, nl_attr_data(a), sizeof family);
    struct ip ip = ip_from_bytes((const uint8_t *)nl_attr_data(a) + sizeof family,
                                 nl_attr_len(a) - sizeof family);
    return ip.family == family ? ip : (struct ip){ 0 };
}

static void set_zone(struct ip *ip, int link) {
    if (ip->family == AF_INET6 && ip_is_link_local(ip))
        ip->zone = (uint32_t)link;
}

/* Links */

static void read_kind(const struct nlattr *info, struct rtnl_link *l) {
    const uint8_t *at = nl_attr_data(info), *end = at + nl_attr_len(info);
    for (const struct nlattr *a; (a = nl_attr_next(&at, end));)
        if (nl_attr_type(a) == IFLA_INFO_KIND)
            read_text(a, l->kind, sizeof l->kind);
}

static bool read_link(const struct nlmsghdr *m, struct rtnl_link *l) {
    struct ifinfomsg info;
    const uint8_t *end, *at;
    *l = (struct rtnl_link){ 0 };
    /* Bridges and IPv6 tell of their side of a link in messages of their own family. */
    if (!fixed_part(m, &info, sizeof info) || info.ifi_family != AF_UNSPEC || info.ifi_index <= 0)
        return false;
    l->index = info.ifi_index;
    l->up = (info.ifi_flags & IFF_UP) != 0;
    l->loopback = (info.ifi_flags & IFF_LOOPBACK) != 0;
    at = nl_attrs(m, sizeof info, &end);
    for (const struct nlattr *a; (a = nl_attr_next(&at, end));)
        switch (nl_attr_type(a)) {
        case IFLA_IFNAME:
            read_text(a, l->name, sizeof l->name);
            break;
        case IFLA_MTU:
            (void)nl_attr_u32(a, &l->mtu);
            break;
        case IFLA_MASTER:
            (void)read_index(a, &l->master);
            break;
        case IFLA_LINKINFO:
            read_kind(a, l);
            break;
        default:
            break;
        }
    return true;
}

static void take_link(struct rtnl_table *t, const struct nlmsghdr *m) {
    struct rtnl_link l;
    if (!read_link(m, &l))
        return;
    size_t i = 0;
    while (i < t->nlinks && t->links[i].index != l.index)
        i++;
    if (i == RTNL_LINKS) {
        t->cut = true;
        return;
    }
    t->links[i] = l;
    t->nlinks += i == t->nlinks;
}

/* Addresses */

static bool read_addr(const struct nlmsghdr *m, struct rtnl_addr *out) {
    struct ifaddrmsg info;
    struct ip address = { 0 }, local = { 0 };
    const uint8_t *end, *at;
    if (!fixed_part(m, &info, sizeof info) || info.ifa_index == 0 || info.ifa_index > INT32_MAX)
        return false;
    at = nl_attrs(m, sizeof info, &end);
    for (const struct nlattr *a; (a = nl_attr_next(&at, end));)
        if (nl_attr_type(a) == IFA_LOCAL)
            local = read_ip(a, info.ifa_family);
        else if (nl_attr_type(a) == IFA_ADDRESS)
            address = read_ip(a, info.ifa_family);
    /* On a point-to-point link IFA_ADDRESS is the peer's. */
    *out = (struct rtnl_addr){ .link = (int)info.ifa_index,
                               .p = { .ip = local.family ? local : address,
                                      .len = info.ifa_prefixlen } };
    set_zone(&out->p.ip, out->link);
    return out->p.ip.family != 0 && out->p.len <= ip_bits(&out->p.ip);
}

static void take_addr(struct rtnl_table *t, const struct nlmsghdr *m) {
    struct rtnl_addr a;
    if (!read_addr(m, &a))
        return;
    size_t i = 0;
    while (i < t->naddrs && !(t->addrs[i].link == a.link && t->addrs[i].p.len == a.p.len &&
                              ip_equal(&t->addrs[i].p.ip, &a.p.ip)))
        i++;
    if (i == RTNL_ADDRS) {
        t->cut = true;
        return;
    }
    t->addrs[i] = a;
    t->naddrs += i == t->naddrs;
}

/* Routes */

static void read_nexthop(const struct nlattr *a, uint8_t family, struct rtnl_route *r) {
    switch (nl_attr_type(a)) {
    case RTA_OIF:
        (void)read_index(a, &r->link);
        break;
    case RTA_GATEWAY:
        r->gateway = read_ip(a, family);
        break;
    case RTA_VIA:
        r->gateway = read_via(a);
        break;
    default:
        break;
    }
}

/* The first of several next hops. */
static void read_multipath(const struct nlattr *a, uint8_t family, struct rtnl_route *r) {
    struct rtnexthop hop;
    const uint8_t *at = nl_attr_data(a);
    if (nl_attr_len(a) < sizeof hop)
        return;
    memcpy(&hop, at, sizeof hop);
    if (hop.rtnh_len < sizeof hop || hop.rtnh_len > nl_attr_len(a) || hop.rtnh_ifindex < 0)
        return;
    const uint8_t *end = at + hop.rtnh_len;
    at += sizeof hop;
    for (const struct nlattr *n; (n = nl_attr_next(&at, end));)
        read_nexthop(n, family, r);
    r->link = hop.rtnh_ifindex;
    r->onlink = (hop.rtnh_flags & RTNH_F_ONLINK) != 0;
}

static void read_route_attr(const struct nlattr *a, const struct rtmsg *info, struct rtnl_route *r,
                            uint32_t *table) {
    switch (nl_attr_type(a)) {
    case RTA_TABLE:
        (void)nl_attr_u32(a, table);
        break;
    case RTA_DST:
        r->to.ip = read_ip(a, info->rtm_family);
        break;
    case RTA_PREFSRC:
        r->source = read_ip(a, info->rtm_family);
        break;
    case RTA_PRIORITY:
        (void)nl_attr_u32(a, &r->metric);
        break;
    case RTA_MULTIPATH:
        read_multipath(a, info->rtm_family, r);
        break;
    default:
        read_nexthop(a, info->rtm_family, r);
    }
}

bool rtnl_read_route(const struct nlmsghdr *m, struct rtnl_route *r, uint32_t *table) {
    struct rtmsg info;
    const uint8_t *end, *at;
    *r = (struct rtnl_route){ 0 };
    if (m->nlmsg_type != RTM_NEWROUTE || !fixed_part(m, &info, sizeof info))
        return false;
    if (info.rtm_family != AF_INET && info.rtm_family != AF_INET6)
        return false;
    *table = info.rtm_table;
    r->type = info.rtm_type;
    r->protocol = info.rtm_protocol;
    r->scope = info.rtm_scope;
    r->onlink = (info.rtm_flags & RTNH_F_ONLINK) != 0;
    at = nl_attrs(m, sizeof info, &end);
    for (const struct nlattr *a; (a = nl_attr_next(&at, end));)
        read_route_attr(a, &info, r, table);
    if (r->to.ip.family == 0 && info.rtm_dst_len == 0)
        r->to.ip.family = info.rtm_family;
    r->to.len = info.rtm_dst_len;
    set_zone(&r->to.ip, r->link);
    set_zone(&r->gateway, r->link);
    set_zone(&r->source, r->link);
    return r->to.ip.family != 0 && r->to.len <= ip_bits(&r->to.ip);
}

static bool same_route(const struct rtnl_route *a, const struct rtnl_route *b) {
    return a->link == b->link && a->metric == b->metric && a->type == b->type &&
           prefix_equal(&a->to, &b->to) && ip_equal(&a->gateway, &b->gateway);
}

static void take_route(struct rtnl_table *t, const struct nlmsghdr *m) {
    struct rtnl_route r;
    uint32_t table;
    if (!rtnl_read_route(m, &r, &table) || table != RT_TABLE_MAIN)
        return;
    /* What was learned for one destination (redirects, path MTU) is no route. */
    struct rtmsg info;
    if (!fixed_part(m, &info, sizeof info) || (info.rtm_flags & RTM_F_CLONED))
        return;
    size_t i = 0;
    while (i < t->nroutes && !same_route(&t->routes[i], &r))
        i++;
    if (i == RTNL_ROUTES) {
        t->cut = true;
        return;
    }
    t->routes[i] = r;
    t->nroutes += i == t->nroutes;
}

void rtnl_take(struct rtnl_table *t, const struct nlmsghdr *m) {
    switch (m->nlmsg_type) {
    case RTM_NEWLINK:
        take_link(t, m);
        break;
    case RTM_NEWADDR:
        take_addr(t, m);
        break;
    case RTM_NEWROUTE:
        take_route(t, m);
        break;
    default:
        break;
    }
}

const struct rtnl_link *rtnl_find_link(const struct rtnl_table *t, int index) {
    for (size_t i = 0; i < t->nlinks; i++)
        if (t->links[i].index == index)
            return &t->links[i];
    return NULL;
}
