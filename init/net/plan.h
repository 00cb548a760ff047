/* plan.h — PURE: facts about the network give what is to be done about it.
 *
 *     net_facts (survey.h) + net_conf  -> net_choose -> net_box     once, before the engine
 *     net_facts + net_conf + net_box   -> net_plan   -> net_plan    then, and after a change
 *
 * The box is what may not change while it lives: the resolver address that containers have
 * been told, and where the forwarder listens. The plan says how the rest should be now; acts
 * (repair.h) compare it with the facts, so that a plan that holds already does nothing.
 *
 * The collisions, by the names of docs/NETWORK.md: a bridge here takes the resolver's own
 * address (A), the uplink's subnet (A2, D), or a part of it with the resolver in it (A3); an
 * engine in a container takes them, which cannot be seen from here (B); a resolver on loopback,
 * which containers cannot reach (C).
 */
#ifndef NET_PLAN_H
#define NET_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/ip.h"
#include "base/limits.h"
#include "base/log.h"
#include "net/dns/forwarder.h"
#include "net/findings.h"
#include "net/resolv.h"
#include "net/subnets.h"
#include "netlink/nft.h"
#include "netlink/rtnl.h"

enum net_mode { NET_AUTO, NET_DNAT, NET_FORWARD, NET_OFF };

/* The wishes: [dns] and [net], and what the engine was told by its user. */
struct net_conf {
    enum net_mode mode;
    struct ip upstream[MAX_UPSTREAMS]; /* none: those of resolv.conf */
    size_t nupstream;
    struct ip address; /* none: chosen */
    struct prefix reserve[MAX_SUBNETS];
    size_t nreserve;
    bool repair; /* may narrow the uplink */
    bool engine; /* one will run in this network namespace */
    struct {
        struct prefix p;
        const char *key;
    } subnets[MAX_SUBNETS]; /* that the user has given the engine; borrowed */
    size_t nsubnets;
    bool engine_ipv6; /* its containers have IPv6 */
};

struct net_facts {
    struct rtnl_table table;
    struct resolv resolv;
    int resolv_error;     /* errno of reading it; 0 */
    bool resolv_writable; /* can be rewritten */
    bool admin;           /* CAP_NET_ADMIN */
    enum nft_state nft;   /* of this network namespace */
    bool sysctl_writable; /* /proc/sys/net/ipv4/conf */
    int accept_local;     /* of the uplink; -1: not known */
    int ipv6_off;         /* net.ipv6.conf.lo.disable_ipv6; -1: this kernel has no IPv6 */
    int rp_filter;        /* in force on it: the larger of its own and that of all; -1 */
};

enum { NET_MAX_FIRST = 4 };

/* Decided once. Fixed size, no pointers: it crosses a socket to PID 1, and is handed to each
 * role net. */
struct net_box {
    bool active;          /* answer DNS, keep the network true */
    bool nft;             /* VIP:53 is redirected; else the forwarder has port 53 itself */
    bool on_lo;           /* the VIP is ours, on lo; else it is docker0's address */
    bool resolv;          /* resolv.conf names the VIP */
    struct ip vip, vip6;  /* vip6: none without an engine that has IPv6 */
    uint16_t port, port6; /* where the forwarder listens: 0 until it does */
    struct prefix bridge; /* docker0's, where its user has set it; none */
    /* The resolvers of the start that are not on loopback. An outer engine that puts its own
     * resolver on loopback later (a network is attached) has that one ask us: these are behind. */
    struct ip first[NET_MAX_FIRST];
    size_t nfirst;
    char tuned[16];       /* the uplink of the start, of which these two were; "" */
    int accept_local_was; /* to be put back; -1: not known */
    int rp_filter_was;
    int ipv6_off_was;       /* as ipv6_off */
    struct nft_rules rules; /* that prepare has made */
};

enum { NET_FORWARDER_PORT = 5399, NET_MAX_PINS = 16 };
/* rtm_protocol of our routes (linux/rtnetlink.h: the kernel does not interpret it). */
enum { NET_ROUTE_PROTOCOL = 153 };

struct net_plan {
    int uplink; /* index of the link with the default route; 0: none */
    char uplink_name[16];
    uint32_t mtu;               /* of the uplink; 0 */
    int outer[MAX_OUTER_LINKS]; /* links by which strangers may come: they are not answered */
    size_t nouter;

    struct upstream upstreams[MAX_UPSTREAMS];
    size_t nupstreams;
    bool dnat;              /* the kernel alone redirects, else the forwarder answers */
    struct nft_rules rules; /* none where box.nft is false */

    /* The uplink's address whose connected network is to be taken off it; none. Then pins: host
     * routes that keep its gateways and resolvers reachable. */
    struct prefix narrow;
    struct rtnl_route pins[NET_MAX_PINS];
    size_t npins;
    bool accept_local; /* on the uplink: take what comes from an address that is ours, too */
    bool loosen;       /* rp_filter 2 there: it may come where we would not send to */

    struct findings findings; /* collisions, and what is done about them */
};

/* Decide the box, all but the ports and what was. What it has to say goes into `told`. */
void net_choose(struct net_box *box, const struct net_facts *f, const struct net_conf *c,
                struct findings *told);

/* Plan for these facts. */
void net_plan(struct net_plan *out, const struct net_facts *f, const struct net_conf *c,
              const struct net_box *box);

/* What `pinnace doctor` says about the network besides collisions: what is there, which
 * well-known engines would take what, and what that means here. */
void net_explain(struct findings *out, const struct net_facts *f, const struct net_conf *c,
                 const struct net_box *box, const struct net_plan *plan);

/* All subnets that are taken, and by whom: the uplink's and its routes', the resolvers, the
 * box's own address, what is reserved. */
void net_claims(struct claims *out, const struct net_facts *f, const struct net_conf *c,
                const struct net_box *box);

/* docker0's address where pinnace has to know it beforehand; as the user has set it, or
 * dockerd's default, or a free one. none: nothing is free. */
struct prefix net_bridge(const struct claims *claims, const struct net_conf *c);

/* Can an engine's subnet that covers the uplink's be made good here? */
bool net_can_narrow(const struct net_facts *f, const struct net_conf *c);

/* --- facts.c: looking things up in them --- */

/* The link with the default route of the least metric, IPv4 before IPv6; without a default
 * route the first link that leads outside and has an address; else NULL. */
const struct rtnl_link *net_uplink(const struct rtnl_table *t);

/* Does this link lead outside? It is up, not lo, no bridge, and no port of one. */
bool net_is_outer(const struct rtnl_link *l);

/* May strangers come by this link? It leads outside, and to more than one neighbour: behind it
 * is a gateway, or a network larger than a pair. A veth to a container with a /30 or less is not
 * such a link. */
bool net_is_open(const struct rtnl_table *t, const struct rtnl_link *l);

/* The link that owns this address; NULL: it is not ours. */
const struct rtnl_link *net_owner(const struct rtnl_table *t, const struct ip *ip);

/* The link by which an outer host is reached, whatever bridges here have taken: by the longest
 * prefix among the routes of outer links. 0: none. */
int net_way_out(const struct rtnl_table *t, const struct ip *to);

/* The uplink's first IPv4 address with its network; none. */
struct prefix net_uplink_address(const struct rtnl_table *t, int uplink);

#endif
