/* PURE: no I/O. */
#include "engine/flags.h"

#include <stdio.h>
#include <string.h>

/* Flags whose key in daemon.json has another name (moby, opts.NewNamedListOptsRef). */
static const struct {
    const char *flag, *key;
} renamed[] = {
    { "add-runtime", "runtimes" },
    { "authorization-plugin", "authorization-plugins" },
    { "cdi-spec-dir", "cdi-spec-dirs" },
    { "default-address-pool", "default-address-pools" },
    { "default-network-opt", "default-network-opts" },
    { "default-ulimit", "default-ulimits" },
    { "dns-opt", "dns-opts" },
    { "exec-opt", "exec-opts" },
    { "feature", "features" },
    { "graph", "data-root" },
    { "host", "hosts" },
    { "insecure-registry", "insecure-registries" },
    { "label", "labels" },
    { "log-opt", "log-opts" },
    { "node-generic-resource", "node-generic-resources" },
    { "registry-mirror", "registry-mirrors" },
    { "storage-opt", "storage-opts" },
};

static const struct {
    char letter;
    bool takes_value;
    const char *key;
} letters[] = {
    { 'b', true, "bridge" },    { 'D', false, "debug" },         { 'G', true, "group" },
    { 'g', true, "data-root" }, { 'H', true, "hosts" },          { 'l', true, "log-level" },
    { 'p', true, "pidfile" },   { 's', true, "storage-driver" }, { 'v', false, "version" },
};

static void add(struct flag_list *l, const char *name, size_t len, const char *value) {
    if (l->n == sizeof l->v / sizeof *l->v)
        return;
    struct flag *f = &l->v[l->n++];
    f->value = value;
    (void)snprintf(f->key, sizeof f->key, "%.*s", (int)(len < sizeof f->key ? len : 0), name);
    for (size_t i = 0; i < sizeof renamed / sizeof *renamed; i++)
        if (strcmp(renamed[i].flag, f->key) == 0)
            (void)snprintf(f->key, sizeof f->key, "%s", renamed[i].key);
}

/* Returns how many words were used. A following word is the value unless it looks like
 * a flag itself: switches are never followed by anything else. */
static size_t take_long(struct flag_list *l, const char *word, const char *next) {
    const char *name = word + 2;
    const char *equals = strchr(name, '=');
    if (equals) {
        add(l, name, (size_t)(equals - name), equals + 1);
        return 1;
    }
    bool value = next && next[0] != '-';
    add(l, name, strlen(name), value ? next : NULL);
    return value ? 2 : 1;
}

static size_t take_letters(struct flag_list *l, const char *word, const char *next) {
    for (const char *c = word + 1; *c; c++) {
        size_t i = 0;
        while (i < sizeof letters / sizeof *letters && letters[i].letter != *c)
            i++;
        if (i == sizeof letters / sizeof *letters)
            return 1; /* dockerd will refuse it in its own words */
        const char *key = letters[i].key;
        if (letters[i].takes_value) {
            const char *rest = c[1] == '=' ? c + 2 : c + 1;
            add(l, key, strlen(key), c[1] ? rest : next);
            return c[1] || !next ? 1 : 2;
        }
        add(l, key, strlen(key), c[1] == '=' ? c + 2 : NULL);
        if (c[1] == '=')
            return 1;
    }
    return 1;
}

void flags_parse(struct flag_list *out, const char *const *words, size_t n) {
    for (size_t i = 0; i < n;) {
        const char *next = i + 1 < n ? words[i + 1] : NULL;
        if (strcmp(words[i], "--") == 0)
            return;
        if (words[i][0] != '-' || !words[i][1])
            i++;
        else if (words[i][1] == '-')
            i += take_long(out, words[i], next);
        else
            i += take_letters(out, words[i], next);
    }
}

const struct flag *flags_find(const struct flag_list *l, const char *key) {
    for (size_t i = l->n; i > 0; i--)
        if (strcmp(l->v[i - 1].key, key) == 0)
            return &l->v[i - 1];
    return NULL;
}

bool flag_is_true(const struct flag *f) {
    static const char *const no[] = { "0", "f", "F", "false", "FALSE", "False" };
    for (size_t i = 0; f->value && i < sizeof no / sizeof *no; i++)
        if (strcmp(f->value, no[i]) == 0)
            return false;
    return true;
}
