#include "channel/e2b/settings.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

struct e2b_settings *e2b_settings_draft(struct e2b_memory *m) {
    struct e2b_settings *draft = &m->slots[~m->current & 1];
    *draft = *e2b_settings_in(m);
    return draft;
}

void e2b_settings_apply(struct e2b_memory *m) {
    atomic_signal_fence(memory_order_seq_cst); /* we may be killed between the two, not reordered */
    m->current = ~m->current & 1;
}

const char *e2b_settings_env(const struct e2b_settings *s, const char *name) {
    size_t n = strlen(name);
    for (const char *p = s->env; p < s->env + s->env_len; p += strlen(p) + 1)
        if (strncmp(p, name, n) == 0 && p[n] == '=')
            return p + n + 1;
    return NULL;
}

static void remove_env(struct e2b_settings *s, const char *name) {
    const char *value = e2b_settings_env(s, name);
    if (!value)
        return;
    char *from = s->env + (value - s->env) - strlen(name) - 1;
    size_t len = strlen(from) + 1;
    memmove(from, from + len, s->env_len - (size_t)(from - s->env) - len);
    s->env_len -= (uint32_t)len;
}

bool e2b_settings_put_env(struct e2b_settings *s, const char *name, const char *value) {
    size_t n = strlen(name) + strlen(value) + 2;
    if (!*name || strchr(name, '='))
        return false;
    remove_env(s, name);
    if (n > sizeof s->env - s->env_len)
        return false;
    (void)snprintf(s->env + s->env_len, n, "%s=%s", name, value);
    s->env_len += (uint32_t)n;
    return true;
}
