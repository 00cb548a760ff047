/* doctor.h — what the files of `pinnace doctor` share.
 *
 *     doctor.c  survey and plan as prepare would, nothing changed; the findings
 *     trace.c   --explain dns: one name, from resolv.conf to the upstream's answer
 */
#ifndef CLI_DOCTOR_H
#define CLI_DOCTOR_H

#include "conf/conf.h"
#include "net/plan.h"

/* Everything known about the network of this box. */
struct examination {
    struct net_facts facts;
    struct net_conf conf;
    struct net_box box;
    struct net_plan plan;
    struct findings findings;
};

/* Print how `name` is resolved here, step by step. The exit status: CLI_OK when it resolves,
 * CLI_NO when not. */
int trace_dns(const struct examination *x, const char *name);

/* The forwarder's own count of things, as one line; false when it does not answer. */
bool trace_forwarder(const struct ip *address, char *out, size_t cap);

#endif
