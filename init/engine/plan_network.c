/* PURE: iptables, and the sockets of the API with their TLS. */
#include "engine/planner.h"

#include <linux/capability.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"

/* The user's choice for a switch: 1, 0, or -1 if none was made. */
static int user_switch(const struct planner *p, const char *key) {
    const struct flag *f = flags_find(&p->given, key);
    return f ? flag_is_true(f) : daemon_json_bool(&p->json, key);
}

/* Why dockerd cannot make NAT rules here; NULL if it can, as far as one can tell. */
static const char *nat_obstacle(const struct planner *p) {
    const struct engine_facts *f = p->facts;
    const struct flag *flag = flags_find(&p->given, "firewall-backend");
    const char *backend = flag ? flag->value : daemon_json_string(&p->json, "firewall-backend");
    bool uses_nft = backend && strcmp(backend, "nftables") == 0;
    if (f->nf_tables == NFT_DENIED)
        return "no right to change netfilter (CAP_NET_ADMIN over this network namespace)";
    if (f->nf_tables == NFT_ABSENT && !f->legacy_tables)
        return "the kernel has neither nf_tables nor legacy iptables";
    if (f->nf_tables != NFT_USABLE && !planner_has_cap(p, CAP_NET_ADMIN))
        return "no CAP_NET_ADMIN";
    if (uses_nft)
        return f->nft ? NULL : "no nft program on the PATH, which firewall-backend needs";
    return f->iptables ? NULL : "no iptables program on the PATH";
}

void plan_iptables(struct planner *p) {
    enum engine_iptables mode = p->conf->iptables;
    /* rootlesskit gives dockerd a network namespace of its own, where all is allowed. */
    const char *obstacle = p->out->rootless ? NULL : nat_obstacle(p);
    int users = user_switch(p, "iptables");
    if (obstacle && (users == 1 || mode == ENGINE_IPTABLES_ON))
        planner_note(p, LOG_WARN, "iptables is asked for, but NAT is not possible here: %s",
                     obstacle);
    else if (obstacle && mode == ENGINE_IPTABLES_AUTO)
        planner_note(p, LOG_WARN,
                     "NAT is not possible here: %s; iptables is off, and containers reach the "
                     "network with --network=host only",
                     obstacle);
    if (!obstacle && users == 0 && mode != ENGINE_IPTABLES_OFF)
        planner_note(p, LOG_INFO, "iptables is set to false, though NAT is possible here");
    bool off = mode == ENGINE_IPTABLES_OFF || (mode == ENGINE_IPTABLES_AUTO && obstacle);
    if (!off || users == 1)
        return;
    planner_want(p, "iptables", "false", false);
    planner_want(p, "ip6tables", "false", false);
}

/* dockerd makes docker0, or ends when it cannot; "none" goes without. */
void plan_bridge(struct planner *p) {
    bool may = p->facts->nf_tables != NFT_DENIED && planner_has_cap(p, CAP_NET_ADMIN);
    if (may || p->out->rootless || planner_user_set(p, "bridge") || planner_user_set(p, "bip"))
        return;
    planner_note(p, LOG_WARN,
                 "no CAP_NET_ADMIN over this network namespace: there is no docker0, and dockerd "
                 "may be unable to run containers at all; images can be pulled and handled");
    p->no_bridge = true;
    planner_want(p, "bridge", "none", true);
}

/* dockerd sets net.ipv4.ip_forward, or ends when it cannot. */
void plan_forwarding(struct planner *p) {
    if (!p->facts->forwarding_stuck || p->out->rootless || user_switch(p, "ip-forward") >= 0)
        return;
    planner_note(p, LOG_WARN,
                 "IPv4 forwarding is off, and /proc/sys/net/ipv4/ip_forward cannot be written: "
                 "containers reach the network with --network=host only");
    planner_want(p, "ip-forward", "false", false);
}

/* What the hosts of one place amount to. */
struct hosts {
    bool any, plain_tcp, activated; /* the last: fd://, a socket that is handed over */
    bool unix_default;
    const char *unix_path;
};

static void note_host(struct hosts *h, const char *host) {
    h->any = true;
    if (!host)
        return;
    if (has_prefix(host, "unix://")) {
        h->unix_default |= !host[7];
        if (!h->unix_path && host[7])
            h->unix_path = host + 7;
    } else if (has_prefix(host, "fd://"))
        h->activated = true;
    else if (!has_prefix(host, "npipe://"))
        h->plain_tcp = true; /* a host without a scheme is TCP */
}

static struct hosts flag_hosts(const struct planner *p) {
    struct hosts h = { 0 };
    for (size_t i = 0; i < p->given.n; i++)
        if (strcmp(p->given.v[i].key, "hosts") == 0)
            note_host(&h, p->given.v[i].value);
    return h;
}

static struct hosts file_hosts(const struct planner *p) {
    struct hosts h = { 0 };
    const char *host;
    for (size_t i = 0; (host = daemon_json_item(&p->json, "hosts", i)); i++)
        note_host(&h, host);
    return h;
}

static bool any_tls(const struct planner *p) {
    static const char *const keys[] = { "tls", "tlsverify", "tlscacert", "tlscert", "tlskey" };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (planner_user_set(p, keys[i]))
            return true;
    return false;
}

static void plan_socket_path(struct planner *p, const struct hosts *h, const char *fallback) {
    const char *path = h->unix_path ? h->unix_path : fallback;
    if (h->any && !h->unix_path && !h->unix_default && !h->activated)
        path = "";
    int n = snprintf(p->out->socket, sizeof p->out->socket, "%s", path);
    if (n < (int)sizeof p->out->socket)
        return;
    planner_note(p, LOG_ERROR, "the socket %.150s is too long for a unix socket address", path);
    p->out->socket[0] = '\0';
}

static void plan_tls(struct planner *p, bool plain_tcp) {
    /* The script adds a plain TCP host itself when it makes no certificates. */
    bool scripts_own = p->script_builds && !p->facts->tls_certdir;
    if (!p->takes_flags || any_tls(p) || !(plain_tcp || scripts_own))
        return;
    if (p->script_builds && p->facts->tls_certdir)
        return; /* it adds --tlsverify */
    /* Always a flag: it belongs to this start and these hosts, not into a file that
     * outlives them, and clashes with no key, as none of them is set. */
    planner_add_word(p, "--tls=false");
    planner_note(p, LOG_WARN,
                 "the API is on plain TCP: whoever reaches the port is root in this box");
}

void plan_hosts(struct planner *p) {
    char run[MAX_ENGINE_PATH], fallback[MAX_ENGINE_PATH + 16], word[MAX_ENGINE_PATH + 32];
    struct hosts flags = flag_hosts(p), file = file_hosts(p);
    bool taken = p->facts->host_socket[0] && !p->out->rootless;
    (void)snprintf(fallback, sizeof fallback, "%s/docker.sock",
                   p->out->rootless ? locate_runtime_dir(run, sizeof run, p->facts)
                   : taken          ? "/run/pinnace"
                                    : "/var/run");
    if (file.any && (flags.any || p->script_builds))
        planner_note(p, LOG_ERROR, "hosts is both in %.120s and %s: dockerd will refuse to start",
                     p->facts->json_path, flags.any ? "a flag" : "added by dockerd-entrypoint.sh");
    bool lacks_unix =
        (flags.any || taken) && !flags.unix_path && !flags.unix_default && !flags.activated;
    if (lacks_unix && p->takes_flags && !p->script_builds && !file.any) {
        (void)snprintf(word, sizeof word, "--host=unix://%s", fallback);
        planner_add_word(p, word);
        flags.any = flags.unix_default = true;
    }
    if (p->script_builds)
        flags.any = flags.unix_default = true;
    bool lost = file.any && !flags.any && !file.unix_path && !file.unix_default && !file.activated;
    if (lost)
        planner_note(p, LOG_WARN,
                     "hosts in %.120s has no unix:// socket: neither docker's command line nor the "
                     "readiness probe will find the engine; add \"unix://%s\"",
                     p->facts->json_path, fallback);
    plan_socket_path(p, flags.any ? &flags : &file, fallback);
    plan_tls(p, flags.plain_tcp || file.plain_tcp);
}
