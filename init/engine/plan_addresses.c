/* PURE: DNS, subnets and MTU of the engine's networks, from what is around the box.
 *
 * Of the user's own subnets, bip and fixed-cidr are taken by dockerd as they stand: where one
 * covers a network that the box itself needs, the engine's start cuts the box off. Pools are
 * only what networks are chosen from, and dockerd leaves out what is on-link or a resolver by
 * then, so a clash of theirs is a warning.
 */
#include "engine/planner.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "engine/subnets.h"

enum {
    MAX_SPLIT = 6,       /* the least part of a network that containers get has so many bits less */
    SMALLEST_PART = 29,  /* and at most so many: addresses for six of them */
    ETHERNET_MTU = 1500, /* what dockerd takes for granted */
    /* default-network-opts came with 24.0. Before, the flag is fatal, and the key is either that
     * or without effect. */
    NETWORK_OPTS_MAJOR = 24
};

/* Where the user's setting is: "in /etc/docker/daemon.json", "as a flag". */
struct place {
    char text[MAX_ENGINE_PATH];
};

static struct place place_of(const struct planner *p, bool flag) {
    struct place at;
    if (flag)
        (void)snprintf(at.text, sizeof at.text, "as a flag");
    else
        (void)snprintf(at.text, sizeof at.text, "in %.120s", p->facts->json_path);
    return at;
}

/* Returns whether the address is loopback, which it then tells. */
static bool judge_dns(struct planner *p, const char *value, bool flag) {
    struct ip ip;
    if (!value || !ip_parse(value, &ip) || !ip_is_loopback(&ip))
        return false;
    planner_note(p, LOG_WARN, "dns %s %s is loopback: containers cannot reach it", value,
                 place_of(p, flag).text);
    return true;
}

static void judge_users_dns(struct planner *p) {
    char ours[IP_TEXT];
    bool flag = flags_find(&p->given, "dns"), loopback = false;
    for (size_t i = 0; i < p->given.n; i++)
        if (strcmp(p->given.v[i].key, "dns") == 0)
            loopback |= judge_dns(p, p->given.v[i].value, true);
    const char *item;
    for (size_t i = 0; (item = daemon_json_item(&p->json, "dns", i)); i++)
        loopback |= judge_dns(p, item, false);
    if (!loopback && p->net->dns[0].family)
        planner_note(p, LOG_INFO, "dns is set %s: containers ask there, and not at %s",
                     place_of(p, flag).text, ip_text(&p->net->dns[0], ours));
}

static void plan_dns(struct planner *p) {
    struct draft d;
    char ip[IP_TEXT];
    if (p->out->rootless)
        return; /* its containers ask rootlesskit's resolver, and that one the box's own */
    if (planner_user_set(p, "dns")) {
        judge_users_dns(p);
        return;
    }
    draft_begin(&d, "dns");
    for (size_t i = 0; i < sizeof p->net->dns / sizeof *p->net->dns; i++) {
        const struct ip *dns = &p->net->dns[i];
        if (!dns->family)
            continue;
        (void)ip_text(dns, ip);
        if (dns->zone) {
            /* dockerd takes no zone, and containers have other interfaces. */
            planner_note(p, LOG_WARN, "dns %s has a zone: containers cannot use it", ip);
            continue;
        }
        text_add(&d.json, "%s\"%s\"", d.s.nflags ? "," : "[", ip);
        draft_flag(&d, "--dns=%s", ip);
    }
    text_add(&d.json, "]");
    if (d.s.nflags)
        planner_want_draft(p, &d);
}

static void plan_bip(struct planner *p) {
    char bip[PREFIX_TEXT];
    /* With a bridge of the user's, bip is refused; and fixed-cidr has to lie in bip's network. */
    if (!p->net->bip.ip.family || p->no_bridge || planner_user_set(p, "bridge") ||
        planner_user_set(p, "fixed-cidr"))
        return;
    planner_want(p, "bip", prefix_text(&p->net->bip, bip), true);
}

static bool holds_needed(const struct planner *p, const struct prefix *net) {
    for (size_t i = 0; i < p->net->nneeded; i++)
        if (prefix_has(net, &p->net->needed[i]))
            return true;
    return false;
}

/* The largest part of an IPv4 network without a needed address, the last of its size; none. */
static struct prefix part_to_spare(const struct planner *p, const struct prefix *net) {
    int most = net->len + MAX_SPLIT < SMALLEST_PART ? net->len + MAX_SPLIT : SMALLEST_PART;
    for (int len = net->len + 1; len <= most; len++)
        for (uint32_t n = 1U << (len - net->len); n-- > 0;) {
            struct ip first = prefix_nth(net, n << (32 - len));
            struct prefix part = prefix_of(&first, (uint8_t)len);
            if (!holds_needed(p, &part))
                return part;
        }
    return (struct prefix){ .len = 0 };
}

/* Where a bip of the user's covers the box's own network, dockerd would give containers addresses
 * from its start on: so did the outer engine, and one of them is this box. */
static void plan_fixed_cidr(struct planner *p, const struct engine_subnets *users) {
    char text[PREFIX_TEXT];
    if (!p->net->clash_is_repaired || planner_user_set(p, "fixed-cidr"))
        return;
    for (size_t i = 0; i < users->n; i++) {
        const struct prefix *bip = &users->v[i].p;
        if (strcmp(users->v[i].key, "bip") != 0 || !holds_needed(p, bip))
            continue;
        struct prefix part = part_to_spare(p, bip);
        if (part.ip.family)
            planner_want(p, "fixed-cidr", prefix_text(&part, text), true);
        return;
    }
}

/* A network made from such a pool would be in the way of what the user has set. */
static bool hits_users(const struct prefix *pool, const struct engine_subnets *users) {
    for (size_t i = 0; i < users->n; i++)
        if (prefix_overlap(pool, &users->v[i].p))
            return true;
    return false;
}

static void plan_pools(struct planner *p, const struct engine_subnets *users) {
    struct draft d;
    char base[PREFIX_TEXT];
    draft_begin(&d, POOLS_KEY);
    for (size_t i = 0; i < p->net->npools; i++) {
        const struct prefix *pool = &p->net->pools[i].base;
        unsigned size = p->net->pools[i].size;
        if (hits_users(pool, users))
            continue;
        (void)prefix_text(pool, base);
        text_add(&d.json, "%s{\"base\":\"%s\",\"size\":%u}", d.s.nflags ? "," : "[", base, size);
        draft_flag(&d, "--default-address-pool=base=%s,size=%u", base, size);
    }
    text_add(&d.json, "]");
    if (d.s.nflags)
        planner_want_draft(p, &d);
}

bool engine_plan_asks_version(const struct engine_network *net) {
    return net && net->mtu > 0 && net->mtu < ETHERNET_MTU;
}

/* docker0 and its containers, and the networks that users create. A larger MTU than usual is
 * an offer, not a need. */
static void plan_mtu(struct planner *p) {
    static const char key[] = "default-network-opts", option[] = "com.docker.network.driver.mtu";
    uint32_t major = p->facts->dockerd_major, mtu = p->net->mtu;
    char value[16];
    if (!engine_plan_asks_version(p->net))
        return;
    (void)snprintf(value, sizeof value, "%u", mtu);
    planner_want(p, "mtu", value, false);
    if (planner_user_set(p, key))
        return;
    if (major == 0)
        planner_note(p, LOG_WARN,
                     "dockerd does not say its version, so %s is left out: networks that are "
                     "created need --opt %s=%u",
                     key, option, mtu);
    else if (major < NETWORK_OPTS_MAJOR)
        planner_note(p, LOG_WARN,
                     "dockerd %u has no %s: networks that are created need --opt %s=%u", major, key,
                     option, mtu);
    if (major < NETWORK_OPTS_MAJOR)
        return;
    struct draft d;
    draft_begin(&d, key);
    text_add(&d.json, "{\"bridge\":{\"%s\":\"%u\"}}", option, mtu);
    draft_flag(&d, "--default-network-opt=bridge=%s=%u", option, mtu);
    planner_want_draft(p, &d);
}

struct clash {
    const char *key;
    bool flag;
    char text[320]; /* "bip 172.17.0.1/16 in d.json covers eth0's network 172.17.0.0/16" */
};

static int judge_clash(struct planner *p, const struct clash *c, struct err *e) {
    int rc = 0;
    if (strcmp(c->key, POOLS_KEY) == 0)
        planner_note(p, LOG_WARN,
                     "%s: dockerd takes no network from it that is on-link or holds a resolver; "
                     "others it may take",
                     c->text);
    else if (p->out->rootless)
        planner_note(p, LOG_WARN, "%s, which containers then do not reach; the box itself does",
                     c->text);
    else if (p->net->clash_is_repaired)
        planner_note(p, LOG_WARN,
                     "%s, which pinnace makes good: the uplink is narrowed to host routes",
                     c->text);
    else if (c->flag)
        rc = err_set(e, EADDRINUSE,
                     "%s: the box would lose it; choose another subnet for --%s, or leave it out",
                     c->text, c->key);
    else
        rc = err_set(e, EADDRINUSE,
                     "%s: the box would lose it; choose another subnet for \"%s\", or remove it",
                     c->text, c->key);
    return rc;
}

/* All of them are told; the first that is fatal is the error. */
static int find_overlaps(struct planner *p, const struct engine_subnets *users, struct err *e) {
    char mine[PREFIX_TEXT];
    int rc = 0;
    for (size_t i = 0; i < users->n * p->net->ntaken; i++) {
        size_t u = i / p->net->ntaken;
        const struct engine_taken *t = &p->net->taken[i % p->net->ntaken];
        const struct prefix *s = &users->v[u].p;
        struct clash c = { .key = users->v[u].key, .flag = users->v[u].flag };
        if (!prefix_overlap(s, &t->p))
            continue;
        struct text what = TEXT(c.text);
        text_add(&what, "%s %s %s %s %s", c.key, prefix_text(s, mine), place_of(p, c.flag).text,
                 s->len <= t->p.len ? "covers" : "lies in", t->what);
        int failed = judge_clash(p, &c, rc < 0 ? NULL : e);
        rc = rc < 0 ? rc : failed;
    }
    return rc;
}

void engine_read_subnets(struct engine_subnets *out, const struct engine_conf *conf,
                         struct json_text json) {
    struct flag_list given;
    struct daemon_json members = { 0 };
    command_flags(&given, conf);
    if (conf->daemon_json != ENGINE_JSON_OWN)
        (void)daemon_json_parse(&members, "", json, NULL);
    subnets_find(&given, &members, out);
    daemon_json_free(&members);
}

int plan_addresses(struct planner *p, struct err *e) {
    struct engine_subnets users;
    if (!p->net)
        return 0;
    subnets_find(&p->given, &p->json, &users);
    if (users.more)
        planner_note(p, LOG_WARN, "more than %d subnets are set: later ones are not looked at",
                     MAX_SUBNETS);
    plan_dns(p);
    plan_bip(p);
    plan_fixed_cidr(p, &users);
    plan_pools(p, &users);
    plan_mtu(p);
    return find_overlaps(p, &users, e);
}
