/* unit_log.h — a unit's log files (logs/file.h), from some line on, and what is added to them. In a
 * fork: it blocks. */
#ifndef CHANNEL_UNIT_LOG_H
#define CHANNEL_UNIT_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/limits.h"

struct unit_log {
    const char *dir;
    char name[MAX_NAME];
    int64_t tail;          /* lines; -1: all */
    int64_t since_unix_ms; /* lines stamped before are left out; 0: none are */
    bool follow;           /* until the reader has gone */
};

/* outflow_run; `log` is a struct unit_log. */
int unit_log_write(int fd, void *log);

#endif
