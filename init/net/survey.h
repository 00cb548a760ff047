/* survey.h — the network as it is now: the kernel's tables, resolv.conf, our rights. Changes
 * nothing. Runs in forks: it reads what others wrote, and waits for the kernel. */
#ifndef NET_SURVEY_H
#define NET_SURVEY_H

#include "base/err.h"
#include "net/plan.h"

#define RESOLV_CONF "/etc/resolv.conf"

/* Everything. 0 or -errno, when the kernel does not tell its links, addresses and routes. */
int net_survey(struct net_facts *out, struct err *e);

/* The text of resolv.conf, malloc'd; "" with *code (may be NULL) set to an errno. */
char *net_read_resolv(size_t *len, int *code);

/* net.FAMILY.conf.LINK.KEY, FAMILY being ipv4 or ipv6 (kernel: ip-sysctl.rst): its value, -1 if
 * it cannot be read. Setting: 0 or -errno. */
int net_sysctl(const char *family, const char *link, const char *key);
int net_sysctl_set(const char *family, const char *link, const char *key, int value);

#endif
