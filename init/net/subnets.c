/* PURE: no I/O. */
#include "net/subnets.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Defaults of the projects named; where they are written down stands in docs/NETWORK.md. */
const struct known_subnet known_subnets[] = {
    { "10.87.0.0/16", "Dagger", "its engine's flag --network-cidr" },
    { "10.88.0.0/16", "podman", "default_subnet in containers.conf" },
    { "10.89.0.0/16", "podman's networks", NULL },
    { "10.42.0.0/16", "k3s pods", "--cluster-cidr" },
    { "10.43.0.0/16", "k3s services", "--service-cidr" },
    { "10.244.0.0/16", "kind pods", "networking.podSubnet" },
    { "10.96.0.0/12", "kubernetes services", "networking.serviceSubnet" },
    { "172.30.0.0/16", "earthly", NULL },
    { "10.0.2.0/24", "slirp4netns", NULL },
    { "10.0.5.0/30", "gitpod", NULL },
    { "10.114.101.0/24", "balena", NULL },
    { "192.168.65.0/24", "Docker Desktop", NULL },
    { "192.168.122.0/24", "libvirt", NULL },
    { "100.64.0.0/10", "carrier-grade NAT and tailscale", NULL },
    { NULL, NULL, NULL },
};

/* What dockerd takes from when nothing is set (moby, ipamutils). */
static const char *const docker_defaults[] = { "172.17.0.0/16", "172.18.0.0/15", "172.20.0.0/14",
                                               "172.24.0.0/13", "192.168.0.0/16" };

void claims_add(struct claims *c, const struct prefix *p, const char *who, ...) {
    for (size_t i = 0; i < c->n; i++)
        if (prefix_equal(&c->v[i].p, p))
            return;
    if (c->n == MAX_SUBNETS) {
        c->cut = true;
        return;
    }
    struct claim *claim = &c->v[c->n++];
    claim->p = prefix_of(&p->ip, p->len);
    va_list ap;
    va_start(ap, who);
    (void)vsnprintf(claim->who, sizeof claim->who, who, ap);
    va_end(ap);
}

const struct claim *claims_find(const struct claims *c, const struct prefix *p) {
    for (size_t i = 0; i < c->n; i++)
        if (prefix_overlap(&c->v[i].p, p))
            return &c->v[i];
    return NULL;
}

const struct known_subnet *known_find(const struct prefix *p) {
    struct prefix known;
    for (const struct known_subnet *k = known_subnets; k->cidr; k++)
        if (prefix_parse(k->cidr, &known) && prefix_overlap(&known, p))
            return k;
    return NULL;
}

const struct claim *subnets_clash_with_defaults(const struct claims *c) {
    struct prefix p;
    for (size_t i = 0; i < sizeof docker_defaults / sizeof *docker_defaults; i++) {
        const struct claim *found =
            prefix_parse(docker_defaults[i], &p) ? claims_find(c, &p) : NULL;
        if (found)
            return found;
    }
    return NULL;
}

/* --- looking for free ones ------------------------------------------------------------- */

/* Where to look, nearest to what users know first; 172.16 is often a company's own. The
 * lengths are tried one after the other over all ranges: large networks before small ones. */
static const char *const ranges[] = { "172.17.0.0/16", "172.18.0.0/15", "172.20.0.0/14",
                                      "172.24.0.0/13", "10.128.0.0/9",  "10.0.0.0/9",
                                      "172.16.0.0/16", "192.168.0.0/16" };
static const uint8_t lengths[] = { 16, 20, 24 };

/* What has been chosen already, besides the claims. */
struct search {
    const struct claims *claims;
    const struct subnets *chosen;
};

static bool is_free(const struct search *s, const struct prefix *p) {
    if (claims_find(s->claims, p) || known_find(p) || prefix_overlap(&s->chosen->bip, p))
        return false;
    for (size_t i = 0; i < s->chosen->npools; i++)
        if (prefix_overlap(&s->chosen->pools[i].base, p))
            return false;
    return true;
}

/* The first free network of this length in `range`. */
static bool find_in(const struct search *s, const struct prefix *range, uint8_t len,
                    struct prefix *out) {
    if (len < range->len)
        return false;
    uint32_t count = 1U << (len - range->len), step = 1U << (32 - len);
    for (uint32_t i = 0; i < count; i++) {
        struct ip first = prefix_nth(range, i * step);
        *out = prefix_of(&first, len);
        if (is_free(s, out))
            return true;
    }
    return false;
}

static bool find_free(const struct search *s, struct prefix *out) {
    struct prefix range;
    for (size_t l = 0; l < sizeof lengths; l++)
        for (size_t r = 0; r < sizeof ranges / sizeof *ranges; r++)
            if (prefix_parse(ranges[r], &range) && find_in(s, &range, lengths[l], out))
                return true;
    return false;
}

enum {
    POOLS_WANTED = 2, /* two /16 give 512 networks of 254 addresses */
    POOL_NETWORK = 24,
};

void subnets_choose(struct subnets *out, const struct claims *c) {
    struct prefix found;
    *out = (struct subnets){ .npools = 0 };
    struct search s = { c, out };
    if (!find_free(&s, &found))
        return;
    out->bip = (struct prefix){ prefix_nth(&found, 1), found.len };
    while (out->npools < POOLS_WANTED && find_free(&s, &found)) {
        out->pools[out->npools].base = found;
        out->pools[out->npools++].size = found.len < POOL_NETWORK ? POOL_NETWORK : found.len;
    }
}
