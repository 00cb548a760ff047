/* random.h — numbers that follow from a seed and from nothing else. Pure. */
#ifndef SIM_RANDOM_H
#define SIM_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/time.h"

struct dice {
    uint64_t state;
};

/* splitmix64 (Steele, Lea, Flood 2014): every seed is a good one, 0 too. */
static inline uint64_t dice_next(struct dice *d) {
    uint64_t z = d->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* 0 .. n-1; n > 0. */
static inline int dice_below(struct dice *d, int n) { return (int)(dice_next(d) % (uint64_t)n); }

/* True `permille` times in a thousand. */
static inline bool dice_hits(struct dice *d, int permille) {
    return dice_below(d, 1000) < permille;
}

/* 0 .. most, both possible. */
static inline span dice_span(struct dice *d, span most) {
    return (span){ (int64_t)(dice_next(d) % (uint64_t)(most.ns + 1)) };
}

#endif
