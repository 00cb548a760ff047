/* repair.h — make the network be as a plan says, and take that back.
 *
 * Each act compares with the facts first, so that a plan which holds does nothing and says
 * nothing. What could not be done is said once, until it succeeds or fails in another way.
 */
#ifndef NET_REPAIR_H
#define NET_REPAIR_H

#include "net/plan.h"

enum repair_act {
    ACT_ADDRESS,
    ACT_ADDRESS6,
    ACT_RULES,
    ACT_ROUTES,
    ACT_SYSCTL,
    ACT_RESOLV,
    REPAIR_NACTS
};

/* What a process that repairs remembers from one time to the next. */
struct repair {
    struct nft_rules rules;   /* the last that were applied; none at first, or the box's */
    int failed[REPAIR_NACTS]; /* the errno it has told; 0 */
    bool has_resolv;          /* resolv.conf has been ours */
    uint64_t writes;          /* how often rules or resolv.conf had to be written */
};

/* Bring about `plan`. The first failure as -errno, when all has been tried; `failed` says of what.
 * resolv.conf is left alone as long as the address or the rules cannot be had: nobody would
 * answer there. */
int repair_apply(struct repair *r, const struct net_plan *plan, const struct net_facts *f,
                 const struct net_box *box);

/* The end: our table, addresses and routes go, resolv.conf and sysctls are as they were. */
void repair_undo(const struct net_facts *f, const struct net_box *box);

#endif
