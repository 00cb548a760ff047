/* PURE: what the steps of a plan share. */
#include "engine/planner.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void planner_note(struct planner *p, enum log_level level, const char *fmt, ...) {
    if (p->out->nfindings == MAX_FINDINGS)
        return;
    struct finding *f = &p->out->findings[p->out->nfindings++];
    f->level = level;
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(f->text, sizeof f->text, fmt, ap);
    va_end(ap);
    if (n >= (int)sizeof f->text)
        memcpy(f->text + sizeof f->text - 4, "...", 4);
}

void planner_add_word(struct planner *p, const char *word) {
    struct engine_plan *o = p->out;
    size_t len = strlen(word) + 1;
    if (o->nwords == MAX_ENGINE_WORDS || len > sizeof o->words - o->words_len) {
        p->too_long = true;
        return;
    }
    memcpy(o->words + o->words_len, word, len);
    o->words_len += len;
    o->nwords++;
}

bool planner_user_set(const struct planner *p, const char *key) {
    return flags_find(&p->given, key) || daemon_json_has(&p->json, key);
}

void draft_begin(struct draft *d, const char *key) {
    memset(&d->s, 0, sizeof d->s);
    (void)snprintf(d->s.key, sizeof d->s.key, "%s", key);
    d->json = TEXT(d->s.json);
    d->cut = false;
}

void draft_flag(struct draft *d, const char *fmt, ...) {
    if (d->s.nflags == MAX_SETTING_FLAGS) {
        d->cut = true;
        return;
    }
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(d->s.flags[d->s.nflags++], MAX_SETTING_FLAG, fmt, ap);
    va_end(ap);
    d->cut |= n < 0 || n >= MAX_SETTING_FLAG;
}

void planner_want_draft(struct planner *p, const struct draft *d) {
    struct engine_plan *o = p->out;
    if (planner_user_set(p, d->s.key))
        return;
    if (d->cut || d->json.cut)
        planner_note(p, LOG_ERROR, "%s: '%.40s...' is too long: left out", d->s.key, d->s.json);
    else if (o->nsettings == MAX_ENGINE_SETTINGS)
        planner_note(p, LOG_ERROR, "%s: more than %d settings: left out", d->s.key,
                     MAX_ENGINE_SETTINGS);
    else
        o->settings[o->nsettings++] = d->s;
}

void planner_want(struct planner *p, const char *key, const char *value, bool quoted) {
    struct draft d;
    draft_begin(&d, key);
    if (quoted)
        text_json(&d.json, value, strlen(value));
    else
        text_add(&d.json, "%s", value);
    draft_flag(&d, "--%s=%s", key, value);
    planner_want_draft(p, &d);
}

bool planner_has_cap(const struct planner *p, int cap) { return p->facts->caps >> cap & 1; }
