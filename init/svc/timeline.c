#include "svc/timeline.h"

void timeline_add(struct timeline *t, instant at, int unit, enum mark_kind kind) {
    if (t->n == MAX_MARKS)
        t->lost++;
    else
        t->marks[t->n++] = (struct mark){ at, unit, (int)kind };
}

const char *mark_text(int kind) {
#define MARK_TEXT(id, text) [id] = text,
    static const char *const texts[MARK_NKINDS] = { MARK_KINDS(MARK_TEXT) };
#undef MARK_TEXT
    return kind >= 0 && kind < MARK_NKINDS ? texts[kind] : "unknown";
}
