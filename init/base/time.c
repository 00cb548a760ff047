#include "base/time.h"

#include <time.h>

instant instant_now(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (instant){ (int64_t)t.tv_sec * 1000000000 + t.tv_nsec };
}
