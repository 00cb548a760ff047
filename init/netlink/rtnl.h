/* rtnl.h — links, addresses and routes of our network namespace, over rtnetlink(7). */
#ifndef NETLINK_RTNL_H
#define NETLINK_RTNL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/ip.h"
#include "netlink/netlink.h"

enum { RTNL_LINKS = 256, RTNL_ADDRS = 512, RTNL_ROUTES = 1024 };

struct rtnl_link {
    int index, master; /* master: index of the bridge or bond it belongs to; 0 */
    char name[16];
    char kind[16]; /* IFLA_INFO_KIND: "bridge", "veth", "dummy"; "" for hardware and lo */
    uint32_t mtu;
    bool up, loopback;
};

struct rtnl_addr {
    int link;
    struct prefix p; /* the address, with the length of its network */
};

/* A route of the main table; addresses of our own are in the local table and not here. */
struct rtnl_route {
    struct prefix to;  /* len 0: the default route, with the family in ip */
    struct ip gateway; /* none: on-link */
    struct ip source;  /* preferred source; none */
    int link;          /* 0: none (blackhole and the like), or several (multipath: the first) */
    uint32_t metric;
    uint8_t type, protocol, scope; /* RTN_*, RTPROT_*, RT_SCOPE_* */
    bool onlink; /* the gateway is on the link though no other route says so (RTNH_F_ONLINK) */
};

/* Everything, at one moment. About 100 KiB: allocate it once. */
struct rtnl_table {
    struct rtnl_link links[RTNL_LINKS];
    struct rtnl_addr addrs[RTNL_ADDRS];
    struct rtnl_route routes[RTNL_ROUTES];
    size_t nlinks, naddrs, nroutes;
    bool cut; /* there were more */
};

/* Read all of it. A dump that was interrupted is asked again, 3 times. 0 or -errno. */
int rtnl_snapshot(struct rtnl_table *out, struct err *e);

/* PURE: one message of a dump or a notification into the table (NEWLINK, NEWADDR, NEWROUTE;
 * others are passed over). What is there already is replaced. */
void rtnl_take(struct rtnl_table *t, const struct nlmsghdr *m);

/* PURE: an RTM_NEWROUTE of any table. False when it is none, or not whole. */
bool rtnl_read_route(const struct nlmsghdr *m, struct rtnl_route *out, uint32_t *table);

/* The link with this index, or NULL. */
const struct rtnl_link *rtnl_find_link(const struct rtnl_table *t, int index);

/* Changes. 0 or -errno; -EEXIST, and -EADDRNOTAVAIL (addresses) or -ESRCH (routes), mean that
 * it was so already. An address comes with the scope of what it is (loopback: host, link-local:
 * link), and IPv6 without duplicate address detection: it can be bound at once (the kernel adds
 * its local route a moment later). */
int rtnl_addr_add(int link, const struct prefix *p);
int rtnl_addr_del(int link, const struct prefix *p);
/* Exactly these fields, in the main table; type 0 is RTN_UNICAST, protocol 0 RTPROT_BOOT. A
 * route without gateway wants RT_SCOPE_LINK. Replaces one to the same with that metric. */
int rtnl_route_add(const struct rtnl_route *r);
int rtnl_route_del(const struct rtnl_route *r);
int rtnl_link_up(int link);

/* Route an address as the kernel would now (RTM_GETROUTE), seen from a socket that is bound
 * to `link` (0: to none). out->type is RTN_LOCAL when it is one of our own addresses. 0 or -errno.
 */
int rtnl_resolve(const struct ip *to, int link, struct rtnl_route *out);

/* A socket that becomes readable when links, addresses or routes change; nl_drain() it. */
int rtnl_listen(void);

#endif
