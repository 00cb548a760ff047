/* sections.c — PURE: from the config to what net/ and engine/ take, and from net/ to engine/: these
 * three do not see each other. */
#include <stdio.h>
#include <string.h>

#include "pid1/box.h"

struct engine_conf engine_conf(const struct conf *conf) {
    const struct engine_section *c = &conf->engine;
    return (struct engine_conf){
        .command = c->command,
        .flags = c->flags,
        .iptables = (enum engine_iptables)c->iptables,
        .storage_driver = c->storage_driver,
        .daemon_json = (enum engine_json)c->daemon_json,
        .cgroup = (enum engine_cgroup)c->cgroup,
        .tmpfs_tmp = c->tmpfs_tmp,
    };
}

struct machine_conf machine_conf(const struct conf *conf) {
    const struct machine_section *c = &conf->machine;
    static const enum machine_off offs[] = { [MACHINE_OFF_AUTO] = OFF_AUTO,
                                             [MACHINE_OFF_POWER] = OFF_POWER,
                                             [MACHINE_OFF_REBOOT] = OFF_REBOOT,
                                             [MACHINE_OFF_HALT] = OFF_HALT };
    bool none = !c->modules || strcmp(c->modules, "none") == 0;
    return (struct machine_conf){ .modules = none ? NULL : c->modules,
                                  .network = c->network == 0,
                                  .off = offs[c->off],
                                  .exit_port = c->exit_port };
}

void network_conf(struct net_conf *out, const struct conf *conf, bool engine) {
    const struct dns_section *dns = &conf->dns;
    const struct net_section *net = &conf->net;
    static const enum net_mode modes[] = { [DNS_AUTO] = NET_AUTO,
                                           [DNS_DNAT] = NET_DNAT,
                                           [DNS_FORWARD] = NET_FORWARD,
                                           [DNS_OFF] = NET_OFF };
    *out = (struct net_conf){ .mode = modes[dns->mode],
                              .nupstream = dns->upstream.n,
                              .address = dns->address,
                              .nreserve = net->reserve.n,
                              .repair = net->repair == REPAIR_AUTO,
                              .engine = engine };
    memcpy(out->upstream, dns->upstream.v, sizeof out->upstream);
    memcpy(out->reserve, net->reserve.v, sizeof out->reserve);
}

bool network_wanted(const struct net_conf *c) {
    return c->engine || c->mode == NET_DNAT || c->mode == NET_FORWARD;
}

void network_know(struct net_conf *out, const struct engine_subnets *subnets) {
    out->engine &= !subnets->rootless; /* which is in a network namespace of its own */
    out->engine_ipv6 = subnets->ipv6;
    out->nsubnets = subnets->n;
    for (size_t i = 0; i < subnets->n; i++) {
        out->subnets[i].p = subnets->v[i].p;
        out->subnets[i].key = subnets->v[i].key;
    }
}

void network_advise(struct engine_network *out, const struct net_advice *advice) {
    *out = (struct engine_network){ .dns = { advice->dns[0], advice->dns[1] },
                                    .mtu = advice->mtu,
                                    .clash_is_repaired = advice->can_narrow };
    if (advice->move) {
        out->bip = advice->to.bip;
        out->npools = advice->to.npools;
        for (size_t i = 0; i < advice->to.npools; i++) {
            out->pools[i].base = advice->to.pools[i].base;
            out->pools[i].size = advice->to.pools[i].size;
        }
    }
    for (size_t i = 0; i < advice->taken.n; i++) {
        out->taken[i].p = advice->taken.v[i].p;
        (void)snprintf(out->taken[i].what, sizeof out->taken[i].what, "%s", advice->taken.v[i].who);
    }
    out->ntaken = advice->taken.n;
    memcpy(out->needed, advice->needed, sizeof out->needed);
    out->nneeded = advice->nneeded;
}
