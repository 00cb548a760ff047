#include "machine/network.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/own.h"
#include "base/str.h"
#include "base/time.h"
#include "machine/cmdline.h"
#include "netlink/rtnl.h"
#include "sys/file.h"

#define UNIT "machine"
enum { LINK_WAIT_MS = 5000, LINK_LOOK_MS = 10, MAX_RESOLV = 64 << 10 };

/* --- links ------------------------------------------------------------------------------------ */

static const struct rtnl_link *find_link(const struct rtnl_table *t, const char *name) {
    for (size_t i = 0; i < t->nlinks; i++) {
        const struct rtnl_link *l = &t->links[i];
        if (*name ? strcmp(l->name, name) == 0 : !l->loopback && !l->kind[0])
            return l;
    }
    return NULL;
}

/* Drivers find their devices in their own time. NULL: none, or the kernel does not say. */
static const struct rtnl_link *await_link(struct rtnl_table *t, const char *name) {
    instant end = instant_add(instant_now(), span_ms(LINK_WAIT_MS));
    for (;;) {
        struct err e;
        if (rtnl_snapshot(t, &e) < 0) {
            log_error(UNIT, "no network: %s", e.text);
            return NULL;
        }
        const struct rtnl_link *l = find_link(t, name);
        if (l || !instant_before(instant_now(), end))
            return l;
        (void)poll(NULL, 0, LINK_LOOK_MS);
    }
}

static void say(int rc, const char *what, const char *link) {
    if (rc < 0 && rc != -EEXIST)
        log_error(UNIT, "%s: %s: %s", link, what, strerror(-rc));
}

static void loopback_up(struct rtnl_table *t) {
    const struct rtnl_link *lo = await_link(t, "lo");
    if (lo)
        say(rtnl_link_up(lo->index), "bring it up", "lo");
}

/* --- one ip= ---------------------------------------------------------------------------------- */

static bool has_address(const struct rtnl_table *t, int link) {
    for (size_t i = 0; i < t->naddrs; i++)
        if (t->addrs[i].link == link && !ip_is_link_local(&t->addrs[i].p.ip))
            return true;
    return false;
}

static void add_default_route(const struct rtnl_link *l, const struct cmdline_ip *ip) {
    struct prefix here = prefix_of(&ip->client.ip, ip->client.len);
    struct rtnl_route r = { .to = { .ip = { .family = ip->gateway.family } },
                            .gateway = ip->gateway,
                            .link = l->index,
                            .onlink = !prefix_has(&here, &ip->gateway) };
    say(rtnl_route_add(&r), "set the default route", l->name);
}

static void set_link(const struct rtnl_table *t, const struct rtnl_link *l,
                     const struct cmdline_ip *ip) {
    char text[PREFIX_TEXT];
    say(rtnl_link_up(l->index), "bring it up", l->name);
    if (!ip->client.ip.family) {
        if (!has_address(t, l->index))
            log_warn(UNIT,
                     "%s has no address: ip= gives none, and the kernel asks DHCP only with "
                     "CONFIG_IP_PNP_DHCP and the driver built in",
                     l->name);
        return;
    }
    say(rtnl_addr_add(l->index, &ip->client), "set its address", l->name);
    if (ip->gateway.family)
        add_default_route(l, ip);
    log_info(UNIT, "%s has the address %s", l->name, prefix_text(&ip->client, text));
}

static void set_host(const char *name) {
    if (*name && sethostname(name, strlen(name)) < 0)
        log_warn(UNIT, "set the host name %s: %s", name, strerror(errno));
}

/* --- resolvers -------------------------------------------------------------------------------- */

static bool names_resolver(const char *text) {
    return strncmp(text, "nameserver", 10) == 0 || strstr(text, "\nnameserver");
}

/* What an image brings along is right, or is empty because a runtime was to fill it. */
static bool has_resolver(void) {
    AUTO_FREE char *text = NULL;
    size_t len;
    return file_read("/etc/resolv.conf", MAX_RESOLV, &text, &len, NULL) == 0 &&
           names_resolver(text);
}

static void write_resolvers(const char *text) {
    struct err e;
    if (file_replace("/etc/resolv.conf", text, strlen(text), &e) < 0)
        log_error(UNIT, "no resolvers: %s", e.text);
}

static void add_resolvers(struct text *t, const struct cmdline_ip *ip) {
    char text[IP_TEXT];
    for (size_t i = 0; i < CMDLINE_DNS; i++)
        if (ip->dns[i].family)
            text_add(t, "nameserver %s\n", ip_text(&ip->dns[i], text));
}

/* Of the command line; else those that the kernel has learnt by DHCP (its nfsroot.rst). */
static void set_resolvers(const struct text *named) {
    AUTO_FREE char *learnt = NULL;
    size_t len;
    if (has_resolver())
        return;
    if (named->len)
        write_resolvers(named->buf);
    else if (file_read("/proc/net/pnp", MAX_RESOLV, &learnt, &len, NULL) == 0 &&
             names_resolver(learnt))
        write_resolvers(learnt);
}

/* --- all of them ------------------------------------------------------------------------------ */

static void set_ip(struct rtnl_table *t, const struct cmdline_ip *ip) {
    const struct rtnl_link *l = ip->off ? NULL : await_link(t, ip->device);
    if (l)
        set_link(t, l, ip);
    else if (!ip->off)
        log_error(UNIT, "ip=: there is no link %s: is its driver loaded ([machine] modules)?",
                  *ip->device ? ip->device : "but lo");
    set_host(ip->host);
}

void network_up(const char *line) {
    AUTO_FREE struct rtnl_table *t = calloc(1, sizeof *t);
    char buf[MAX_CMDLINE_IPS * CMDLINE_DNS * (IP_TEXT + 12)];
    struct text resolvers = TEXT(buf);
    struct cmdline_ip ip;
    struct err e;
    if (!t) {
        log_error(UNIT, "no network: out of memory");
        return;
    }
    loopback_up(t);
    int rc = 1;
    for (unsigned i = 0; rc != 0 && i < MAX_CMDLINE_IPS; i++) {
        rc = cmdline_ip(line, i, &ip, &e);
        if (rc < 0)
            log_error(UNIT, "%s", e.text);
        if (rc <= 0)
            continue;
        set_ip(t, &ip);
        add_resolvers(&resolvers, &ip);
    }
    set_resolvers(&resolvers);
}
