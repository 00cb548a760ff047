/* prepare.h — the network before anything starts: survey, choose, listen, repair.
 *
 * Runs in a fork (the `prepare` attempt). What it decides goes to PID 1 as a fixed-size
 * struct, with the forwarder's sockets; these are PID 1's for as long as the box lives, so
 * that queries wait in them while a role net is started again.
 */
#ifndef NET_PREPARE_H
#define NET_PREPARE_H

#include "base/err.h"
#include "net/plan.h"

/* The forwarder's sockets: -1 for none. */
enum net_socket { NET_UDP4, NET_TCP4, NET_UDP6, NET_TCP6, NET_NSOCKETS };

/* What the engine should know of the network. */
struct net_advice {
    struct ip dns[2];  /* whom containers are to ask; none: as without us */
    bool move;         /* docker0 and the pools have to be elsewhere than dockerd would put them */
    struct subnets to; /* where, if move; of !box.on_lo bip counts alone */
    char why[160];     /* what is in the way; "" */
    uint32_t mtu;      /* of the uplink; 0 */
    struct claims taken;
    bool can_narrow;              /* a subnet of the user's that covers the uplink's is made good */
    struct ip needed[MAX_NEEDED]; /* then no container may have these: ours, gateways, resolvers */
    size_t nneeded;
};

/* 0 and *box, which may be inactive; or -errno when the network cannot even be looked at. Says
 * what it found and did with unit "net". The sockets are the caller's. */
int net_prepare(const struct net_conf *conf, struct net_box *box, int sockets[NET_NSOCKETS],
                struct net_advice *advice, struct err *e);

/* advise.c, PURE: the advice that follows from facts. */
void net_advise(struct net_advice *out, const struct net_facts *f, const struct net_conf *c,
                const struct net_box *box);

/* listen.c: bind the forwarder's sockets and fill in box->port and port6; a family that cannot
 * be had is none. 0 or -errno, when IPv4 cannot be had. */
int net_listen(struct net_box *box, int sockets[NET_NSOCKETS], struct err *e);

/* Is there a forwarder that answers at this address of ours already? Waits 2 s at most. */
bool net_is_answered(const struct ip *vip);

#endif
