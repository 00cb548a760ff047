#include "net/prepare.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "net/repair.h"
#include "net/survey.h"

#define UNIT "net"

static void tell(const struct findings *f) {
    for (size_t i = 0; i < f->n; i++)
        log_line(f->v[i].level, UNIT, "%s", f->v[i].text);
}

static void tell_box(const struct net_box *box, const struct net_plan *plan) {
    char vip[IP_TEXT], to[IP_TEXT];
    struct text list = { 0 };
    char names[MAX_UPSTREAMS * IP_TEXT];
    list = TEXT(names);
    for (size_t i = 0; i < plan->nupstreams; i++)
        text_add(&list, "%s%s", i ? ", " : "", ip_text(&plan->upstreams[i].ip, to));
    log_info(UNIT, "DNS: %s %s %s", ip_text(&box->vip, vip),
             plan->dnat ? "is redirected by the kernel to" : "answers by asking", names);
}

static void close_all(int sockets[NET_NSOCKETS]) {
    for (int i = 0; i < NET_NSOCKETS; i++)
        fd_close(&sockets[i]);
}

/* A box before us that was killed has left its routes, and the sysctl that goes with them. */
static bool is_left_over(const struct net_facts *f) {
    for (size_t i = 0; i < f->table.nroutes; i++)
        if (f->table.routes[i].protocol == NET_ROUTE_PROTOCOL)
            return true;
    return false;
}

static void remember_sysctls(struct net_box *box, const struct net_facts *f, const char *uplink) {
    (void)snprintf(box->tuned, sizeof box->tuned, "%s", uplink);
    box->accept_local_was = uplink[0] ? net_sysctl("ipv4", uplink, "accept_local") : -1;
    box->rp_filter_was = uplink[0] ? net_sysctl("ipv4", uplink, "rp_filter") : -1;
    box->ipv6_off_was = f->ipv6_off;
    if (is_left_over(f))
        box->accept_local_was = 0;
}

/* Decide, listen and repair once. What could not be done is in r->failed. */
static void attempt(struct repair *r, const struct net_facts *f, const struct net_conf *conf,
                    struct net_box *box, int sockets[NET_NSOCKETS], struct net_plan *plan) {
    struct findings told = { .n = 0 };
    struct err e = { 0 };
    net_choose(box, f, conf, &told);
    remember_sysctls(box, f, plan->uplink_name);
    int rc = box->active ? net_listen(box, sockets, &e) : 0;
    if (rc < 0) {
        log_warn(UNIT, "%s; names are left to resolv.conf as it is", e.text);
        box->active = false;
    }
    net_plan(plan, f, conf, box);
    tell(&told);
    tell(&plan->findings);
    if (!box->active)
        return;
    *r = (struct repair){ .has_resolv = false };
    (void)repair_apply(r, plan, f, box);
    box->rules = r->rules;
    if (r->failed[ACT_ADDRESS6])
        box->vip6 = (struct ip){ 0 };
    if (!r->failed[ACT_ADDRESS] && !r->failed[ACT_RULES])
        tell_box(box, plan);
}

/* Facts that only show when it is tried: root of a user namespace that does not own the network;
 * a kernel with nf_tables, but not all of it that we need. */
static bool learn(struct net_facts *f, const struct repair *r) {
    if (r->failed[ACT_ADDRESS])
        f->admin = false;
    else if (r->failed[ACT_RULES])
        f->nft = NFT_ABSENT;
    return r->failed[ACT_ADDRESS] || r->failed[ACT_RULES];
}

static void settle(struct net_facts *f, const struct net_conf *conf, struct net_box *box,
                   int sockets[NET_NSOCKETS], struct net_plan *plan) {
    const struct rtnl_link *uplink = net_uplink(&f->table);
    (void)snprintf(plan->uplink_name, sizeof plan->uplink_name, "%s", uplink ? uplink->name : "");
    for (int left = 3; left > 0; left--) { /* as often as there is something to be learned */
        struct repair r = { .has_resolv = false };
        close_all(sockets);
        attempt(&r, f, conf, box, sockets, plan);
        if (!learn(f, &r))
            return;
    }
    box->active = false;
}

/* The address that resolv.conf names as ours, where it is on lo; none. */
static struct ip left_vip(const struct net_facts *f) {
    const struct rtnl_link *owner = f->resolv.ours ? net_owner(&f->table, &f->resolv.by) : NULL;
    return owner && owner->loopback ? f->resolv.by : (struct ip){ 0 };
}

/* Nothing is wanted, and a box before us was killed: what it left is taken back. */
static void clear_leftovers(const struct net_facts *f) {
    const struct net_box left = { .on_lo = true,
                                  .nft = f->nft == NFT_USABLE,
                                  .resolv = f->resolv.ours,
                                  .vip = left_vip(f),
                                  .accept_local_was = -1,
                                  .rp_filter_was = -1,
                                  .ipv6_off_was = -1 };
    if (!f->admin || (!f->resolv.ours && !is_left_over(f)))
        return;
    log_info(UNIT, "taking back what a box before this one has left");
    repair_undo(f, &left);
}

/* Another pinnace lives in this network namespace and answers: it is left to that one. */
static bool defer_to_other(const struct net_facts *f, struct ip *other) {
    char text[IP_TEXT];
    struct ip vip = left_vip(f);
    if (ip_is_none(&vip) || !net_is_answered(&vip))
        return false;
    log_info(UNIT, "another pinnace answers on %s already", ip_text(&vip, text));
    *other = vip;
    return true;
}

int net_prepare(const struct net_conf *conf, struct net_box *box, int sockets[NET_NSOCKETS],
                struct net_advice *advice, struct err *e) {
    for (int i = 0; i < NET_NSOCKETS; i++)
        sockets[i] = -1;
    memset(box, 0, sizeof *box);
    memset(advice, 0, sizeof *advice);
    AUTO_FREE struct net_facts *f = malloc(sizeof *f);
    AUTO_FREE struct net_plan *plan = calloc(1, sizeof *plan);
    if (!f || !plan)
        return err_set(e, ENOMEM, "out of memory for the network's tables");
    int rc = net_survey(f, e);
    if (rc < 0)
        return rc;
    struct ip other;
    bool deferred = defer_to_other(f, &other);
    if (!deferred)
        settle(f, conf, box, sockets, plan);
    if (!deferred && !box->active)
        clear_leftovers(f);
    net_advise(advice, f, conf, box);
    if (deferred)
        advice->dns[0] = other;
    return 0;
}
