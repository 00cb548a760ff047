#include "netlink/rtnl.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>

#include "base/own.h"

enum { ATTEMPTS = 3, REQUEST_BYTES = 512 };

/* Reading */

struct reader {
    struct rtnl_table *table;
    uint8_t family; /* of routes; AF_UNSPEC: what comes */
};

static void take(void *arg, const struct nlmsghdr *m) {
    const struct reader *r = arg;
    /* A kernel without IPv6, asked for its routes, gives those of IPv4 again. */
    if (r->family != AF_UNSPEC && (m->nlmsg_len < NLMSG_HDRLEN + sizeof(struct rtmsg) ||
                                   *((const uint8_t *)m + NLMSG_HDRLEN) != r->family))
        return;
    rtnl_take(r->table, m);
}

/* What a dump asks for: each message has a fixed part that begins with the family. */
static const struct question {
    const char *what;
    uint16_t type;
    uint8_t family, body;
} questions[] = {
    { "links", RTM_GETLINK, AF_UNSPEC, sizeof(struct ifinfomsg) },
    { "addresses", RTM_GETADDR, AF_UNSPEC, sizeof(struct ifaddrmsg) },
    { "routes", RTM_GETROUTE, AF_INET, sizeof(struct rtmsg) },
    { "IPv6 routes", RTM_GETROUTE, AF_INET6, sizeof(struct rtmsg) },
};

static int ask(int fd, const struct question *q, struct rtnl_table *out) {
    _Alignas(struct nlmsghdr) uint8_t buf[REQUEST_BYTES];
    uint8_t body[sizeof(struct ifinfomsg)] = { q->family };
    struct nl_out o = NL_OUT(buf);
    struct reader r = { .table = out, .family = q->family };
    nl_begin(&o, q->type, NLM_F_DUMP, body, q->body);
    nl_end(&o);
    return nl_dump(fd, &o, take, &r);
}

static int ask_all(int fd, struct rtnl_table *out, struct err *e) {
    memset(out, 0, sizeof *out);
    for (size_t i = 0; i < sizeof questions / sizeof questions[0]; i++) {
        int rc = ask(fd, &questions[i], out);
        if (questions[i].family == AF_INET6 && (rc == -EAFNOSUPPORT || rc == -EOPNOTSUPP))
            rc = 0; /* no IPv6 at all */
        if (rc < 0)
            return err_sys(e, -rc, "asking the kernel for its %s", questions[i].what);
    }
    return 0;
}

int rtnl_snapshot(struct rtnl_table *out, struct err *e) {
    int rc = -EAGAIN;
    struct err why = { 0 };
    for (int i = 0; i < ATTEMPTS && rc == -EAGAIN; i++) {
        AUTO_FD int fd = nl_open(NETLINK_ROUTE);
        if (fd < 0)
            return err_sys(e, -fd, "a netlink socket");
        rc = ask_all(fd, out, &why);
    }
    if (rc < 0 && e)
        *e = why;
    return rc;
}

struct resolved {
    bool found;
    struct rtnl_route route;
};

static void take_resolved(void *arg, const struct nlmsghdr *m) {
    struct resolved *r = arg;
    uint32_t table;
    if (!r->found)
        r->found = rtnl_read_route(m, &r->route, &table);
}

int rtnl_resolve(const struct ip *to, int link, struct rtnl_route *out) {
    _Alignas(struct nlmsghdr) uint8_t buf[REQUEST_BYTES];
    struct nl_out o = NL_OUT(buf);
    struct rtmsg body = { .rtm_family = to->family, .rtm_dst_len = ip_bits(to) };
    struct resolved r = { 0 };
    if (ip_bits(to) == 0)
        return -EAFNOSUPPORT;
    nl_begin(&o, RTM_GETROUTE, NLM_F_ACK, &body, sizeof body);
    nl_put(&o, RTA_DST, to->b, ip_bits(to) / 8);
    if (link)
        nl_put_u32(&o, RTA_OIF, (uint32_t)link);
    nl_end(&o);
    AUTO_FD int fd = nl_open(NETLINK_ROUTE);
    if (fd < 0)
        return fd;
    int rc = nl_dump(fd, &o, take_resolved, &r);
    if (rc < 0)
        return rc;
    *out = r.route;
    return r.found ? 0 : -EBADMSG;
}

/* Changing */

static int change(const struct nl_out *o) {
    AUTO_FD int fd = nl_open(NETLINK_ROUTE);
    return fd < 0 ? fd : nl_transact(fd, o, NULL);
}

static uint8_t scope_of(const struct ip *ip) {
    if (ip_is_loopback(ip))
        return RT_SCOPE_HOST;
    return ip_is_link_local(ip) ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
}

static int change_addr(uint16_t type, uint16_t flags, int link, const struct prefix *p) {
    _Alignas(struct nlmsghdr) uint8_t buf[REQUEST_BYTES];
    struct nl_out o = NL_OUT(buf);
    if (ip_bits(&p->ip) == 0)
        return -EAFNOSUPPORT;
    struct ifaddrmsg body = { .ifa_family = p->ip.family,
                              .ifa_prefixlen = p->len,
                              .ifa_flags = p->ip.family == AF_INET6 ? IFA_F_NODAD : 0,
                              .ifa_scope = scope_of(&p->ip),
                              .ifa_index = (unsigned)link };
    nl_begin(&o, type, (uint16_t)(flags | NLM_F_ACK), &body, sizeof body);
    nl_put(&o, IFA_LOCAL, p->ip.b, ip_bits(&p->ip) / 8);
    nl_put(&o, IFA_ADDRESS, p->ip.b, ip_bits(&p->ip) / 8);
    nl_end(&o);
    return change(&o);
}

int rtnl_addr_add(int link, const struct prefix *p) {
    return change_addr(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, link, p);
}

int rtnl_addr_del(int link, const struct prefix *p) { return change_addr(RTM_DELADDR, 0, link, p); }

static void put_gateway(struct nl_out *o, const struct rtnl_route *r) {
    size_t n = ip_bits(&r->gateway) / 8;
    struct {
        uint16_t family;
        uint8_t address[16];
    } via = { .family = r->gateway.family };
    if (r->gateway.family == r->to.ip.family) {
        nl_put(o, RTA_GATEWAY, r->gateway.b, n);
    } else if (n) {
        memcpy(via.address, r->gateway.b, n);
        nl_put(o, RTA_VIA, &via, sizeof via.family + n);
    }
}

static int change_route(uint16_t type, uint16_t flags, const struct rtnl_route *r,
                        const struct rtmsg *kind) {
    _Alignas(struct nlmsghdr) uint8_t buf[REQUEST_BYTES];
    struct nl_out o = NL_OUT(buf);
    if (ip_bits(&r->to.ip) == 0)
        return -EAFNOSUPPORT;
    /* The kernel refuses bits behind the length. */
    struct prefix to = prefix_of(&r->to.ip, r->to.len);
    struct rtmsg body = *kind;
    body.rtm_family = to.ip.family;
    body.rtm_dst_len = to.len;
    body.rtm_table = RT_TABLE_MAIN;
    body.rtm_scope = r->scope;
    body.rtm_flags = r->onlink ? RTNH_F_ONLINK : 0;
    nl_begin(&o, type, (uint16_t)(flags | NLM_F_ACK), &body, sizeof body);
    if (to.len)
        nl_put(&o, RTA_DST, to.ip.b, ip_bits(&to.ip) / 8);
    if (r->metric)
        nl_put_u32(&o, RTA_PRIORITY, r->metric);
    if (r->link)
        nl_put_u32(&o, RTA_OIF, (uint32_t)r->link);
    if (r->source.family == to.ip.family)
        nl_put(&o, RTA_PREFSRC, r->source.b, ip_bits(&r->source) / 8);
    put_gateway(&o, r);
    nl_end(&o);
    return change(&o);
}

int rtnl_route_add(const struct rtnl_route *r) {
    struct rtmsg kind = { .rtm_type = r->type ? r->type : RTN_UNICAST,
                          .rtm_protocol = r->protocol ? r->protocol : RTPROT_BOOT };
    return change_route(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, r, &kind);
}

/* What is 0 here matches any type, and any protocol. */
int rtnl_route_del(const struct rtnl_route *r) {
    struct rtmsg kind = { .rtm_type = r->type, .rtm_protocol = r->protocol };
    return change_route(RTM_DELROUTE, 0, r, &kind);
}

int rtnl_link_up(int link) {
    _Alignas(struct nlmsghdr) uint8_t buf[REQUEST_BYTES];
    struct nl_out o = NL_OUT(buf);
    struct ifinfomsg body = { .ifi_index = link, .ifi_flags = IFF_UP, .ifi_change = IFF_UP };
    nl_begin(&o, RTM_NEWLINK, NLM_F_ACK, &body, sizeof body);
    nl_end(&o);
    return change(&o);
}

int rtnl_listen(void) {
    static const int groups[] = { RTNLGRP_LINK,        RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV4_ROUTE,
                                  RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV6_ROUTE,  0 };
    return nl_listen(NETLINK_ROUTE, groups);
}
