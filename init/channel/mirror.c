#include "channel/mirror.h"

#include <string.h>

#include "base/version.h"
#include "svc/fsm.h"

static bool take_mark(struct mirror *m, const struct wire_mark *mark) {
    if (m->nmarks == MAX_MARKS)
        return false;
    m->marks[m->nmarks++] = *mark;
    return true;
}

static bool take_unit(struct mirror *m, const struct wire_unit *u) {
    if (u->index < 0 || u->index >= MAX_UNITS)
        return false;
    m->units[u->index] = *u;
    if ((size_t)u->index >= m->nunits)
        m->nunits = (size_t)u->index + 1;
    return true;
}

bool mirror_take(struct mirror *m, const union wire_any *msg) {
    switch (msg->head.kind) {
    case WIRE_BOX:
        m->box = msg->box;
        m->known = true;
        return true;
    case WIRE_UNIT:
        return take_unit(m, &msg->unit);
    case WIRE_MARK:
        return take_mark(m, &msg->mark);
    default:
        return false;
    }
}

static const char *phase_name(int phase) {
    static const char *const names[] = { "prepare", "boot", "serve", "drain", "end" };
    return phase >= 0 && phase <= PHASE_END ? names[phase] : "unknown";
}

static void add_string(struct text *t, const char *key, const char *value) {
    text_add(t, "\"%s\":", key);
    text_json(t, value, strlen(value));
}

static void add_unit(struct text *t, const struct wire_unit *u, instant now) {
    static const char *const kinds[] = { "service", "engine", "main" };
    text_add(t, "{");
    add_string(t, "name", u->name);
    text_add(t, ",\"kind\":\"%s\",\"state\":\"%s\",\"pid\":%d,\"since_ms\":%lld,",
             u->kind >= 0 && u->kind < 3 ? kinds[u->kind] : "unknown",
             svc_state_name((enum svc_state)u->state), u->pid,
             (long long)span_to_ms(instant_since(now, u->since)));
    text_add(t, "\"starts\":%u,\"failures\":%u,\"exit_status\":", u->starts, u->failures);
    text_add(t, u->ended ? "%d," : "null,", u->exit_status);
    add_string(t, "reason", u->reason);
    text_add(t, "}");
}

void mirror_status(const struct mirror *m, instant now, struct text *t) {
    const struct wire_box *b = &m->box;
    text_add(t, "{\"version\":\"" PINNACE_VERSION "\",\"phase\":\"%s\",\"ready\":%s,\"seq\":%llu,",
             phase_name(b->phase), b->ready ? "true" : "false", (unsigned long long)b->seq);
    text_add(t, "\"pid\":%d,\"up_ms\":%lld,\"ready_after_ms\":", b->pid,
             (long long)span_to_ms(instant_since(now, b->started)));
    if (instant_is_never(b->ready_at))
        text_add(t, "null,");
    else
        text_add(t, "%lld,", (long long)span_to_ms(instant_since(b->ready_at, b->started)));
    add_string(t, "reason", b->reason);
    text_add(t, ",\"orphans_reaped\":%llu,\"role_restarts\":%llu,\"bugs\":%u,\"units\":[",
             (unsigned long long)b->orphans, (unsigned long long)b->role_restarts, b->bugs);
    for (size_t i = 0; i < m->nunits; i++) {
        text_add(t, i ? "," : "");
        add_unit(t, &m->units[i], now);
    }
    text_add(t, "]}\n");
}

void mirror_timeline(const struct mirror *m, struct text *t) {
    text_add(t, "{\"marks_lost\":%llu,\"marks\":[", (unsigned long long)m->box.marks_lost);
    for (size_t i = 0; i < m->nmarks; i++) {
        const struct wire_mark *k = &m->marks[i];
        bool early = instant_before(k->at, m->box.started); /* no box came yet */
        int64_t us = early ? 0 : instant_since(k->at, m->box.started).ns / 1000;
        text_add(t, "%s{\"at_ms\":%lld.%03lld,\"unit\":", i ? "," : "", (long long)(us / 1000),
                 (long long)(us % 1000));
        if (k->unit >= 0 && (size_t)k->unit < m->nunits)
            text_json(t, m->units[k->unit].name, strlen(m->units[k->unit].name));
        else
            text_add(t, "null");
        text_add(t, ",");
        add_string(t, "event", mark_text(k->kind));
        text_add(t, "}");
    }
    text_add(t, "]}\n");
}

void mirror_ready(const struct mirror *m, struct text *t) {
    if (m->known && m->box.ready) {
        text_add(t, "ready\n");
        return;
    }
    if (m->box.reason[0])
        text_add(t, "%s\n", m->box.reason);
    for (size_t i = 0; i < m->nunits; i++) {
        const struct wire_unit *u = &m->units[i];
        if (u->state != SVC_READY && u->state != SVC_DONE)
            text_add(t, "%s: %s%s%s\n", u->name, svc_state_name((enum svc_state)u->state),
                     u->reason[0] ? ": " : "", u->reason);
    }
    if (t->len == 0)
        text_add(t, "starting\n");
}
