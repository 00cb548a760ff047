/* PURE: what the steps of a plan share. */
#include "engine/planner.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"

/* So that key, quotes and value fit the fields of struct engine_setting. */
enum { MAX_SETTING_VALUE = 48 };

void planner_note(struct planner *p, enum log_level level, const char *fmt, ...) {
    if (p->out->nfindings == MAX_FINDINGS)
        return;
    struct finding *f = &p->out->findings[p->out->nfindings++];
    f->level = level;
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(f->text, sizeof f->text, fmt, ap);
    va_end(ap);
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

void planner_want(struct planner *p, const char *key, const char *value, bool quoted) {
    if (planner_user_set(p, key) || p->out->nsettings == MAX_ENGINE_SETTINGS)
        return;
    struct engine_setting *s = &p->out->settings[p->out->nsettings++];
    struct text json = TEXT(s->json);
    (void)snprintf(s->key, sizeof s->key, "%s", key);
    (void)snprintf(s->flag, sizeof s->flag, "--%s=%s", key, value);
    if (quoted)
        text_json(&json, value, strlen(value));
    else
        text_add(&json, "%s", value);
    if (!json.cut && strlen(value) <= MAX_SETTING_VALUE)
        return;
    planner_note(p, LOG_ERROR, "%s: '%.40s...' is too long: left out", key, value);
    p->out->nsettings--;
}

bool planner_has_cap(const struct planner *p, int cap) { return p->facts->caps >> cap & 1; }
