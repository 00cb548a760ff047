/* PURE: no I/O. */
#include "engine/subnets.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static const char *const keys[] = { "bip", "bip6", "fixed-cidr", "fixed-cidr-v6" };
enum { NKEYS = sizeof keys / sizeof *keys };

static void add(struct engine_subnets *out, const char *key, const char *text, bool flag) {
    struct prefix p;
    if (!text || !strchr(text, '/') || !prefix_parse(text, &p))
        return;
    if (out->n == MAX_SUBNETS) {
        out->more = true;
        return;
    }
    out->v[out->n].p = p;
    out->v[out->n].flag = flag;
    (void)snprintf(out->v[out->n].key, sizeof out->v[out->n].key, "%s", key);
    out->n++;
}

/* "base=172.20.0.0/16,size=24", in any order; names in any case. */
static void add_pool_flag(struct engine_subnets *out, const char *value) {
    static const char name[] = "base=";
    char base[PREFIX_TEXT];
    for (const char *at = value; at; at = strchr(at, ',')) {
        at += *at == ',';
        if (strncasecmp(at, name, sizeof name - 1) != 0)
            continue;
        const char *text = at + sizeof name - 1;
        size_t len = strcspn(text, ",");
        (void)snprintf(base, sizeof base, "%.*s", (int)(len < sizeof base ? len : 0), text);
        add(out, POOLS_KEY, base, true);
    }
}

static void find_flags(const struct flag_list *given, struct engine_subnets *out) {
    for (size_t i = 0; i < NKEYS; i++) {
        const struct flag *f = flags_find(given, keys[i]);
        if (f)
            add(out, keys[i], f->value, true);
    }
    for (size_t i = 0; i < given->n; i++)
        if (strcmp(given->v[i].key, POOLS_KEY) == 0)
            add_pool_flag(out, given->v[i].value);
}

static void find_members(const struct daemon_json *json, struct engine_subnets *out) {
    for (size_t i = 0; i < NKEYS; i++)
        add(out, keys[i], daemon_json_string(json, keys[i]), false);
    size_t n = daemon_json_count(json, POOLS_KEY);
    out->more |= n > MAX_SUBNETS;
    for (size_t i = 0; i < n && i < MAX_SUBNETS; i++)
        add(out, POOLS_KEY, daemon_json_field(json, POOLS_KEY, i, "base"), false);
}

void subnets_find(const struct flag_list *given, const struct daemon_json *json,
                  struct engine_subnets *out) {
    memset(out, 0, sizeof *out);
    find_flags(given, out);
    find_members(json, out);
    const struct flag *ipv6 = flags_find(given, "ipv6");
    out->ipv6 = ipv6 ? flag_is_true(ipv6) : daemon_json_bool(json, "ipv6") == 1;
    out->ipv6 |= flags_find(given, "fixed-cidr-v6") || daemon_json_has(json, "fixed-cidr-v6");
}
