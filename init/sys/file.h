/* file.h — whole files: read bounded, replaced without a moment of half a file. */
#ifndef SYS_FILE_H
#define SYS_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

/* Read a regular file (or one of /proc) of at most `max` bytes. *out is malloc'd and
 * NUL-terminated. Never waits, whatever the path is: other kinds give -EINVAL.
 * -EFBIG above `max`; -ENOENT without words in `e` being needed. */
int file_read(const char *path, size_t max, char **out, size_t *len, struct err *e);

/* The same as text into the caller's buffer, cut at its end; "" when it cannot be read. */
void file_peek(const char *path, char *buf, size_t cap);

/* Write a file so that readers see the old or the new one: temporary file beside it,
 * fsync(2), rename(2). Mode, owner and a symbolic link in the path are kept; a new file
 * gets 0644, missing directories 0755. Where the file is a mount of its own (EBUSY,
 * EXDEV) or only the file is writable, it is rewritten in place, and put back as it was
 * if that fails half-way. */
int file_replace(const char *path, const char *text, size_t len, struct err *e);

/* Could file_replace work? Looks with access(2) only. */
bool file_is_replaceable(const char *path);

/* mkdir -p for everything in front of the last slash. 0 or -errno. */
int file_make_parents(const char *path);

/* Write one short text to an existing file of the kernel's (cgroupfs), in one write(2).
 * 0 or -errno. `dir` and `name` make the path. */
int file_poke(const char *dir, const char *name, const char *text);

#endif
