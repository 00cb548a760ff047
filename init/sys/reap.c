#include "sys/reap.h"

#include "base/limits.h"

bool sweep_due(const struct sweep *s, instant now) {
    return s->owed && !instant_before(now, s->next);
}

instant sweep_when(const struct sweep *s) { return s->owed ? s->next : INSTANT_NEVER; }

/* The mean of the calls stands for the last one: a call that finds a zombie stops early
 * in the list but pays for the burial, one that finds none walks the whole list. The cap
 * is for the case that we were not running for most of the measured time. */
void sweep_spent(struct sweep *s, instant from, instant to, unsigned calls, bool dry) {
    s->next = to;
    if (!dry)
        return;
    s->owed = false;
    int64_t rest = instant_since(to, from).ns / (calls ? calls : 1) * SWEEP_SHARE;
    span cap = span_ms(SWEEP_MAX_REST_MS);
    s->next = instant_add(to, (span){ rest < cap.ns ? rest : cap.ns });
}
