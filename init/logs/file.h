/* file.h — a log file of bounded size: NAME.log, and NAME.log.1 before it. */
#ifndef LOGS_FILE_H
#define LOGS_FILE_H

#include <stddef.h>

#include "base/err.h"

struct log_file {
    const char *dir, *name; /* borrowed */
    int fd;                 /* -1: none (yet, or it cannot be written) */
    size_t size;
};

/* Open for appending. A file that cannot be had leaves fd at -1: 0 or -errno. */
int log_file_open(struct log_file *f, const char *dir, const char *name, struct err *e);

/* "2026-11-22T01:46:04.123Z text\n". Rotates first when the file would pass LOG_FILE_BYTES.
 * Errors are ignored: a full disk must not stop the console. */
void log_file_line(struct log_file *f, const char *text, size_t n);

void log_file_close(struct log_file *f);

#endif
