/* plan.h — who waits for whom. Pure: names to indices, checked for cycles.
 *
 *     struct svc_plan plan;
 *     if (svc_plan(&plan, confs, n, &e) < 0)   // "a -> b -> a wait for each other ..."
 */
#ifndef SVC_PLAN_H
#define SVC_PLAN_H

#include "conf/conf.h"

/* Services and, besides, the engine and main. */
enum { MAX_UNITS = MAX_SERVICES + 2 };

struct unit_set {
    uint64_t bits[(MAX_UNITS + 63) / 64];
};
static inline void unit_add(struct unit_set *s, size_t i) {
    s->bits[i / 64] |= UINT64_C(1) << i % 64;
}
static inline void unit_remove(struct unit_set *s, size_t i) {
    s->bits[i / 64] &= ~(UINT64_C(1) << i % 64);
}
static inline bool unit_in(const struct unit_set *s, size_t i) {
    return s->bits[i / 64] >> i % 64 & 1;
}

struct svc_plan {
    struct unit_set after[MAX_UNITS];    /* must be ready or done first; holds requires too */
    struct unit_set requires[MAX_UNITS]; /* and must not have failed */
    size_t order[MAX_UNITS];             /* a start order; stops go backwards */
    size_t n;
};

/* 0 or -EINVAL: an unknown name (with the nearest one), or a cycle, which is named. */
int svc_plan(struct svc_plan *plan, struct svc_conf *const *confs, size_t n, struct err *e);

#endif
