/* Which subnets are free: tables, and properties over random networks. */
#include "net/subnets.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "tests/unit/tap.h"

static struct prefix net(const char *text) {
    struct prefix p;
    if (!prefix_parse(text, &p))
        OK(false, "%s is a prefix", text);
    return p;
}

static void claim(struct claims *c, const char *text) {
    struct prefix p = net(text);
    claims_add(c, &p, "%s", text);
}

static void defaults(void) {
    static const struct {
        const char *taken;
        bool clash;
    } cases[] = {
        { "10.0.0.0/8", false },      { "172.17.0.0/16", true },   { "172.16.0.0/16", false },
        { "172.16.0.0/12", true },    { "172.31.255.0/24", true }, { "172.32.0.0/16", false },
        { "192.168.178.0/24", true }, { "10.87.0.1/32", false },   { "172.20.0.53/32", true },
        { "fd00::/8", false },        { "0.0.0.0/1", false },      { "128.0.0.0/1", true },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct claims c = { .n = 0 };
        claim(&c, cases[i].taken);
        OK((subnets_clash_with_defaults(&c) != NULL) == cases[i].clash, "%s %s dockerd's defaults",
           cases[i].taken, cases[i].clash ? "touches" : "leaves");
    }
}

static void known(void) {
    static const struct {
        const char *p, *who;
    } cases[] = {
        { "10.87.0.1/32", "Dagger" },
        { "10.87.5.0/24", "Dagger" },
        { "10.0.0.0/8", "Dagger" },
        { "10.88.1.0/24", "podman" },
        { "10.1.0.0/16", NULL },
        { "8.8.8.8/32", NULL },
        { "10.2.0.0/16", NULL },
        { "10.244.0.0/24", "kind pods" },
        { "10.100.0.10/32", "kubernetes services" },
        { "fd00::1/128", NULL },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct prefix p = net(cases[i].p);
        const struct known_subnet *k = known_find(&p);
        OK(k ? cases[i].who && strcmp(k->who, cases[i].who) == 0 : !cases[i].who,
           "%s belongs to %s (%s)", cases[i].p, cases[i].who ? cases[i].who : "nobody",
           k ? k->who : "nobody");
    }
    struct prefix parsed;
    bool good = true;
    for (const struct known_subnet *k = known_subnets; k->cidr; k++)
        good &= prefix_parse(k->cidr, &parsed);
    OK(good, "every known subnet is one");
}

static void chosen(void) {
    struct claims c = { .n = 0 };
    struct subnets s;
    char bip[PREFIX_TEXT], pool[PREFIX_TEXT];
    claim(&c, "10.0.0.0/24");
    subnets_choose(&s, &c);
    OK(strcmp(prefix_text(&s.bip, bip), "172.17.0.1/16") == 0 && s.npools == 2 &&
           strcmp(prefix_text(&s.pools[0].base, pool), "172.18.0.0/16") == 0 &&
           s.pools[0].size == 24,
       "what users know where it is free: %s, %s", bip, pool);
    claim(&c, "172.17.0.0/16");
    subnets_choose(&s, &c);
    OK(strcmp(prefix_text(&s.bip, bip), "172.18.0.1/16") == 0, "the next one: %s", bip);
    claim(&c, "172.16.0.0/12");
    subnets_choose(&s, &c);
    OK(strcmp(prefix_text(&s.bip, bip), "10.128.0.1/16") == 0, "another range: %s", bip);
    claim(&c, "10.0.0.0/8");
    subnets_choose(&s, &c);
    OK(strncmp(prefix_text(&s.bip, bip), "192.168.", 8) == 0 && s.bip.len == 16 + 4,
       "a smaller one, besides libvirt's and Desktop's: %s", bip);
    claim(&c, "192.168.0.0/16");
    subnets_choose(&s, &c);
    OK(!s.bip.ip.family && s.npools == 0, "nothing is free");
}

static uint32_t random32(void) { return (uint32_t)rand() << 16 ^ (uint32_t)rand(); }

static void random_claims(struct claims *c) {
    static const char *const ranges[] = { "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16" };
    size_t n = (size_t)(rand() % 40);
    c->n = 0;
    for (size_t i = 0; i < n; i++) {
        struct prefix range = net(ranges[rand() % 3]);
        struct ip ip = prefix_nth(&range, random32() & (UINT32_MAX >> range.len));
        int least = rand() % 4 ? 16 : 9;
        struct prefix p = prefix_of(&ip, (uint8_t)(least + rand() % (33 - least)));
        claims_add(c, &p, "random");
    }
}

/* Is every address of the candidate ranges taken? Looked at in steps of the smallest network. */
static bool all_taken(const struct claims *c) {
    static const char *const ranges[] = { "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16" };
    for (size_t r = 0; r < 3; r++) {
        struct prefix range = net(ranges[r]);
        for (uint32_t i = 0; i < 1U << (24 - range.len); i++) {
            struct ip ip = prefix_nth(&range, i << 8);
            struct prefix p = prefix_of(&ip, 24);
            if (!claims_find(c, &p) && !known_find(&p))
                return false;
        }
    }
    return true;
}

static bool overlaps_nothing(const struct subnets *s, const struct claims *c) {
    bool good = true;
    for (size_t i = 0; i < s->npools; i++) {
        const struct prefix *p = &s->pools[i].base;
        good &= !claims_find(c, p) && !known_find(p) && !prefix_overlap(p, &s->bip) &&
                s->pools[i].size >= p->len;
        for (size_t k = 0; k < i; k++)
            good &= !prefix_overlap(p, &s->pools[k].base);
    }
    return good && !claims_find(c, &s->bip) && !known_find(&s->bip);
}

static void never_overlaps(void) {
    enum { ROUNDS = 3000 };
    static struct claims c;
    int bad = 0, none = 0, bad_none = 0;
    for (unsigned seed = 1; seed <= ROUNDS; seed++) {
        struct subnets s;
        srand(seed);
        random_claims(&c);
        subnets_choose(&s, &c);
        if (!s.bip.ip.family) {
            none++;
            bad_none += !all_taken(&c);
        } else if (!overlaps_nothing(&s, &c) || s.npools == 0) {
            bad++;
            OK(false, "seed %u overlaps something, or has no pools", seed);
        }
    }
    OK(bad == 0, "%d random networks: what is chosen overlaps nothing", ROUNDS);
    OK(bad_none == 0, "and %d times nothing is chosen, because nothing is free", none);
}

int main(void) {
    defaults();
    known();
    chosen();
    never_overlaps();
    return tap_end();
}
