/* role.h — role net: answers DNS, and keeps the network true.
 *
 * It hears of every change of links, addresses, routes, nf_tables and resolv.conf; each makes it
 * survey, plan and repair again. Nothing is polled. Killed, it is started again with the same
 * box and the same sockets, and finds from the facts what has been done already.
 */
#ifndef NET_ROLE_H
#define NET_ROLE_H

#include "net/prepare.h"

struct net_role {
    int sock; /* to PID 1 */
    const struct net_conf *conf;
    const struct net_box *box;
    int sockets[NET_NSOCKETS];
};

/* Runs until PID 1 says quit; then takes the repairs back. The exit status. */
int net_role_run(void *role);

#endif
