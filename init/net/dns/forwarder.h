/* forwarder.h — answer DNS by asking others: UDP and TCP, several upstreams, nothing cached.
 *
 *     struct forwarder *f = forwarder_new(&loop);
 *     forwarder_listen(f, udp_fd, tcp_fd);                // once a family
 *     forwarder_refuse(f, outer_links, n);                // again whenever they change
 *     forwarder_aim(f, upstreams, n);                     // again whenever they change
 *
 * A query is sent from a socket of its own (a random port), with a random id, to the best
 * upstream; connected, and tied to the upstream's link where it names one, so that a route
 * which a nested engine adds later cannot steal it. Only an answer with that id and that
 * question, from that address, counts. No answer within a second, or SERVFAIL or REFUSED:
 * the next upstream; after DEADLINE a SERVFAIL of our own. Truncated answers are passed on:
 * the client comes back over TCP. An answer that is larger than what the client can take is
 * cut to an empty one with TC.
 *
 * Queries that came in from outside are dropped: this is no open relay.
 */
#ifndef DNS_FORWARDER_H
#define DNS_FORWARDER_H

#include <stddef.h>
#include <stdint.h>

#include "base/ip.h"
#include "base/limits.h"
#include "loop/loop.h"

struct upstream {
    struct ip ip;
    uint16_t port; /* 53 */
    int link;      /* tie sockets to this interface index (SO_BINDTODEVICE); 0: do not */
};

struct forwarder_counts {
    uint64_t queries, answers, failed, dropped; /* failed: our SERVFAIL; dropped: over a bound */
    uint64_t tcp, looped;
};

struct forwarder;

/* NULL without memory. The loop is borrowed. Up to two descriptors for each query in flight
 * and two for each TCP client: raise RLIMIT_NOFILE; without, queries wait for one. */
struct forwarder *forwarder_new(struct loop *l);
void forwarder_free(struct forwarder *f); /* closes what it opened, not the listeners */

/* Answer on these (-1: none), which stay the caller's: a bound UDP socket, a listening TCP one.
 * Both non-blocking. 0 or -errno. */
int forwarder_listen(struct forwarder *f, int udp, int tcp);

/* Drop what arrives by these links (interface indices) from now on; at most MAX_OUTER_LINKS. */
void forwarder_refuse(struct forwarder *f, const int *links, size_t n);

/* Ask these from now on, in this order; queries in flight are asked again there. `n` at most
 * MAX_UPSTREAMS. The same list again is no change, but links that have been renamed are found
 * again. A loopback upstream (127.0.0.11) may itself be one that asks us, when an
 * outer engine has put it in front: a query of ours that comes back is sent to the upstreams
 * behind it instead, which breaks the circle. What comes back is known by the case of its
 * letters, which is random where an upstream is on loopback; the client does not see that. */
void forwarder_aim(struct forwarder *f, const struct upstream *u, size_t n);

struct forwarder_counts forwarder_counts(const struct forwarder *f);

#endif
