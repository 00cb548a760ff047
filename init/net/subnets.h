/* subnets.h — PURE: which subnets are taken, by whom, and which are free for the engine.
 *
 * Docker takes docker0 and its networks from 172.17.0.0/12 and 192.168.0.0/16. It keeps off
 * routes without a gateway and off resolvers, not off what lies behind a gateway, and not off
 * what an engine nested in it will take. So where one of those is touched, we choose.
 */
#ifndef NET_SUBNETS_H
#define NET_SUBNETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ip.h"
#include "base/limits.h"

/* A subnet that somebody needs. `who` fits "...overlaps WHO". */
struct claim {
    struct prefix p;
    char who[64];
};

struct claims {
    struct claim v[MAX_SUBNETS];
    size_t n;
    bool cut; /* there were more */
};

/* Add one; `who` is a format. An equal prefix is kept once. */
__attribute__((format(printf, 3, 4))) void claims_add(struct claims *c, const struct prefix *p,
                                                      const char *who, ...);

/* The first claim that overlaps `p`, or NULL. */
const struct claim *claims_find(const struct claims *c, const struct prefix *p);

/* What well-known nested engines take by default. Ends with a NULL cidr. */
struct known_subnet {
    const char *cidr, *who;
    const char *elsewhere; /* how to give it another one; NULL */
};
extern const struct known_subnet known_subnets[];

/* The known subnet that overlaps `p`; NULL. */
const struct known_subnet *known_find(const struct prefix *p);

/* Of dockerd's own defaults, one that a claim overlaps: why they cannot stay. NULL: they can. */
const struct claim *subnets_clash_with_defaults(const struct claims *c);

struct subnets {
    struct prefix bip; /* docker0's address in its network; none: nothing is free */
    struct {
        struct prefix base;
        uint8_t size;
    } pools[MAX_POOLS];
    size_t npools; /* 0: nothing is free */
};

/* A bridge subnet and pools that overlap neither a claim, nor a known subnet, nor each other;
 * IPv4. The same claims give the same answer. */
void subnets_choose(struct subnets *out, const struct claims *c);

#endif
