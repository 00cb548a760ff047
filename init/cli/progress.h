/* progress.h — how far a transfer is, on one line of a terminal that is drawn again. */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/time.h"

struct progress {
    bool shown; /* false: nothing is printed */
    const char *name;
    int64_t total; /* bytes; -1: not known */
    uint64_t done;
    instant begun, drawn;
};

/* On stderr, if that is a terminal and `quiet` is not. `name` is borrowed. */
void progress_begin(struct progress *p, const char *name, int64_t total, bool quiet);
void progress_add(struct progress *p, uint64_t n);
/* The last line: what was done and how fast, or, where it failed, nothing. */
void progress_end(struct progress *p, bool well);

#endif
