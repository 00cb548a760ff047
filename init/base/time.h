/* time.h — points and lengths of monotonic time, which the compiler keeps apart.
 *
 * Both wrap nanoseconds in a struct, so `now + 5`, or milliseconds where seconds
 * are meant, does not compile. Units appear in names at the edges only.
 */
#ifndef BASE_TIME_H
#define BASE_TIME_H

#include <stdbool.h>
#include <stdint.h>

/* A reading of CLOCK_MONOTONIC. */
typedef struct {
    int64_t ns;
} instant;

/* The difference of two instants; INT64_MAX is "for ever". */
typedef struct {
    int64_t ns;
} span;

#define INSTANT_NEVER ((instant){ INT64_MAX })
#define SPAN_NEVER    ((span){ INT64_MAX })

static inline span span_us(int64_t us) { return (span){ us * 1000 }; }
static inline span span_ms(int64_t ms) { return (span){ ms * 1000000 }; }
static inline span span_s(int64_t s) { return (span){ s * 1000000000 }; }
static inline int64_t span_to_ms(span d) { return d.ns / 1000000; }
static inline bool span_is_never(span d) { return d.ns == INT64_MAX; }
static inline bool instant_is_never(instant t) { return t.ns == INT64_MAX; }
static inline bool instant_before(instant a, instant b) { return a.ns < b.ns; }
static inline instant instant_min(instant a, instant b) { return a.ns < b.ns ? a : b; }

/* Saturates, so "never plus a timeout" and "now plus for ever" are both never. */
static inline instant instant_add(instant t, span d) {
    int64_t ns;
    return __builtin_add_overflow(t.ns, d.ns, &ns) ? INSTANT_NEVER : (instant){ ns };
}

static inline span instant_since(instant later, instant earlier) {
    return (span){ later.ns - earlier.ns };
}

/* Milliseconds from `now` to `t` for epoll_wait(2) and poll(2), rounded up so that
 * a timer is never early; 0 when past, -1 ("no limit") when never. */
static inline int instant_timeout_ms(instant t, instant now) {
    if (instant_is_never(t))
        return -1;
    if (!instant_before(now, t))
        return 0;
    int64_t ms = (t.ns - now.ns) / 1000000 + ((t.ns - now.ns) % 1000000 != 0);
    return ms > INT32_MAX ? INT32_MAX : (int)ms;
}

/* CLOCK_MONOTONIC, for code that runs outside the loop (attempts, client verbs). */
instant instant_now(void);

#endif
