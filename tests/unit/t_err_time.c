#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/err.h"
#include "base/time.h"
#include "tests/unit/tap.h"

static void errors_say_what_failed(void) {
    struct err e = { 0 };
    OK(err_sys(&e, ENOENT, "open %s", "/x") == -ENOENT, "minus the code comes back");
    OK(e.code == ENOENT && strcmp(e.text, "open /x: No such file or directory") == 0, "%s", e.text);
    OK(err_wrap(&e, "a.ini:%d", 7) == -ENOENT, "context keeps the code");
    OK(strcmp(e.text, "a.ini:7: open /x: No such file or directory") == 0, "%s", e.text);
    OK(err_set(&e, EINVAL, "bad %s", "y") == -EINVAL && e.code == EINVAL, "set anew");
    OK(strcmp(e.text, "bad y") == 0, "no system text: %s", e.text);
    OK(err_sys(NULL, EIO, "x") == -EIO && err_set(NULL, EIO, "x") == -EIO, "nowhere to say it");
    OK(err_wrap(NULL, "x") < 0, "nothing to wrap is still an error");
}

static void errors_are_cut(void) {
    struct err e = { 0 };
    char longer[1000];
    memset(longer, 'm', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    (void)err_set(&e, EINVAL, "%s", longer);
    OK(strlen(e.text) == sizeof e.text - 1, "a long text is cut to %zu", strlen(e.text));
    (void)err_wrap(&e, "ctx");
    OK(strncmp(e.text, "ctx: mmm", 8) == 0 && strlen(e.text) == sizeof e.text - 1, "wrapped, cut");
    (void)err_wrap(&e, "%s", longer);
    OK(strlen(e.text) == sizeof e.text - 1 && e.text[0] == 'm', "context alone fills it");
    (void)err_sys(&e, EIO, "%s", longer);
    OK(strlen(e.text) == sizeof e.text - 1 && e.code == EIO, "no room for the system's text");
}

static void time_saturates(void) {
    instant t = { 1000 };
    OK(instant_add(t, span_us(1)).ns == 2000, "1 us later");
    OK(instant_is_never(instant_add(t, SPAN_NEVER)), "now plus for ever is never");
    OK(instant_is_never(instant_add(INSTANT_NEVER, span_ms(1))), "never plus a time is never");
    OK(instant_is_never(instant_add(INSTANT_NEVER, SPAN_NEVER)), "never plus for ever is never");
    OK(instant_add((instant){ INT64_MAX - 5 }, (span){ 4 }).ns == INT64_MAX - 1, "just below");
    OK(instant_is_never(instant_add((instant){ INT64_MAX - 5 }, (span){ 6 })), "just above");
    OK(instant_before(t, INSTANT_NEVER) && !instant_before(t, t), "before is strict");
    OK(instant_min(t, INSTANT_NEVER).ns == 1000 && instant_min(INSTANT_NEVER, t).ns == 1000, "min");
    OK(instant_since(t, (instant){ 400 }).ns == 600, "a difference");
    OK(span_to_ms(span_us(1999)) == 1 && span_to_ms(span_s(2)) == 2000, "milliseconds");
}

static void timeouts_are_never_early(void) {
    static const struct {
        int64_t at, now;
        int ms;
    } rows[] = { { 5000000, 5000000, 0 },
                 { 4999999, 5000000, 0 },
                 { 5000001, 5000000, 1 },
                 { 5999999, 5000000, 1 },
                 { 6000000, 5000000, 1 },
                 { 6000001, 5000000, 2 },
                 { INT64_MAX, 5000000, -1 },
                 { INT64_MAX - 1, 0, INT32_MAX },
                 { (int64_t)INT32_MAX * 1000000, 0, INT32_MAX },
                 { (int64_t)INT32_MAX * 1000000 + 1, 0, INT32_MAX },
                 { (int64_t)INT32_MAX * 1000000 - 1000000, 0, INT32_MAX - 1 } };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        OK(instant_timeout_ms((instant){ rows[i].at }, (instant){ rows[i].now }) == rows[i].ms,
           "timeout row %zu is %d ms", i, rows[i].ms);
}

static void clock_is_monotonic(void) {
    struct timespec ts;
    instant a = instant_now();
    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    instant b = instant_now();
    int64_t ns = (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
    OK(a.ns <= ns && ns <= b.ns, "instant_now() is CLOCK_MONOTONIC in nanoseconds");
}

int main(void) {
    errors_say_what_failed();
    errors_are_cut();
    time_saturates();
    timeouts_are_never_early();
    clock_is_monotonic();
    return tap_end();
}
