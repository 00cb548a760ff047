/* console.h — the console as the log role writes it: never blocks, and says what it had to
 * leave out. */
#ifndef LOGS_CONSOLE_H
#define LOGS_CONSOLE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/limits.h"
#include "loop/loop.h"

struct console {
    struct loop *loop;
    struct source out; /* watched only while the console is stuck */
    struct timer patience;
    bool stuck;     /* the last write found no room */
    bool giving_up; /* stuck for too long: drop lines until there is room */
    unsigned long dropped;
    char rest[6 * MAX_LOG_LINE + 256]; /* of a line that went out in part; 6: \u0001 in JSON */
    size_t rest_len;
    void (*resume)(struct console *c); /* there is room again, or lines may be dropped */
};

void console_init(struct console *c, struct loop *l);

/* Write one formatted line. False: no room now, offer it again in `resume`. A line that is
 * dropped counts as written. */
bool console_line(struct console *c, const char *unit, const char *text, size_t n);

#endif
