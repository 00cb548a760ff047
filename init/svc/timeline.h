/* timeline.h — what happened when, from the first instruction on. Bounded: marks past
 * MAX_MARKS are counted, not kept. */
#ifndef SVC_TIMELINE_H
#define SVC_TIMELINE_H

#include "base/limits.h"
#include "base/time.h"

/* Enumerator, name in `pinnace timeline`. A unit's marks name it, the others do not. */
#define MARK_KINDS(X)                    \
    X(MARK_START, "pinnace started")     \
    X(MARK_PREPARE, "prepare started")   \
    X(MARK_PREPARED, "prepared")         \
    X(MARK_SPAWN, "started")             \
    X(MARK_READY, "ready")               \
    X(MARK_STOPPING, "stopping")         \
    X(MARK_ENDED, "ended")               \
    X(MARK_FAILED, "failed")             \
    X(MARK_BOX_READY, "box ready")       \
    X(MARK_BOX_UNREADY, "box not ready") \
    X(MARK_DRAIN, "shutdown")

#define MARK_ENUMERATOR(id, text) id,
enum mark_kind { MARK_KINDS(MARK_ENUMERATOR) MARK_NKINDS };
#undef MARK_ENUMERATOR

struct mark {
    instant at;
    int32_t unit; /* index, or -1 for the box */
    int32_t kind; /* enum mark_kind */
};

struct timeline {
    struct mark marks[MAX_MARKS];
    uint32_t n, lost;
};

void timeline_add(struct timeline *t, instant at, int unit, enum mark_kind kind);
const char *mark_text(int kind);

#endif
