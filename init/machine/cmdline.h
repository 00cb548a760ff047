/* cmdline.h — PURE: the kernel's command line, as far as it is meant for whoever makes the network
 * and the root file system fit. */
#ifndef MACHINE_CMDLINE_H
#define MACHINE_CMDLINE_H

#include <stdbool.h>

#include "base/err.h"
#include "base/ip.h"

/* The kernel's own limit is 2048 to 8192 bytes (COMMAND_LINE_SIZE). */
enum { MAX_CMDLINE = 16384, MAX_CMDLINE_IPS = 8, HOST_NAME = 65, LINK_NAME = 16, CMDLINE_DNS = 2 };

/* ip=CLIENT:SERVER:GATEWAY:NETMASK:HOST:DEVICE:AUTOCONF:DNS0:DNS1:NTP (the kernel's
 * Documentation/admin-guide/nfs/nfsroot.rst). IPv6 addresses stand in brackets, as with dracut;
 * NETMASK is then, and may be with IPv4, a prefix length. */
struct cmdline_ip {
    struct prefix client;   /* none: by autoconf, which is the kernel's to do, or not at all */
    struct ip gateway;      /* none */
    char host[HOST_NAME];   /* "" */
    char device[LINK_NAME]; /* "": the first one */
    bool off;               /* ip=off, ip=none */
    struct ip dns[CMDLINE_DNS];
};

/* The `nth` ip= (0..). 1 and *out; 0: there are not so many; -EINVAL with the field in words. */
int cmdline_ip(const char *line, unsigned nth, struct cmdline_ip *out, struct err *e);

/* Is this word there, before a "--"? "ro"; or the whole of "reboot=k". */
bool cmdline_has(const char *line, const char *word);

/* How many words are behind the "--": CMD. The kernel also hands init, in front of these, each word
 * that it does not know. */
int cmdline_init_words(const char *line);

#endif
