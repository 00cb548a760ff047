/* tar.h — archives as streams: ustar with pax headers (POSIX.1-2017 pax, "ustar Interchange
 * Format"), and what GNU tar writes by default (long names 'L' and 'K', base-256 numbers).
 * PURE: bytes in, entries out, and back; no files, no allocation but what a caller gives.
 */
#ifndef CHANNEL_FILES_TAR_H
#define CHANNEL_FILES_TAR_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "base/err.h"

enum { TAR_BLOCK = 512 };

struct tar_entry {
    char path[PATH_MAX];   /* as in the archive: may be absolute, hold "..", or end in '/' */
    char target[PATH_MAX]; /* of a symbolic or hard link */
    char type; /* '0' file, '1' hard link, '2' symlink, '3' char, '4' block, '5' dir, '6' fifo */
    uint32_t mode; /* permission bits, 07777 */
    uint32_t uid, gid;
    char owner[64], group[64]; /* "" where unknown */
    uint64_t size;             /* of the content that follows */
    struct timespec mtime;
    uint32_t major, minor;
};

/* --- reading ---------------------------------------------------------------------------------- */

enum tar_event {
    TAR_MORE,  /* give more bytes */
    TAR_ENTRY, /* r->entry is the next one; its content follows as TAR_DATA */
    TAR_DATA,  /* some content of it */
    TAR_END,   /* two blocks of zeros, or the input's end where a header could stand: all is well */
    TAR_BAD,   /* not an archive, or one that is cut: see `e` */
};

struct tar_reader {         /* about 21 KiB: not one for the stack */
    struct tar_entry entry; /* valid from TAR_ENTRY until bytes after its content are taken */
    /* the rest is private */
    struct tar_entry global;    /* what global pax headers said */
    unsigned said, global_said; /* which fields pax headers and long names said, as bits */
    int state;                  /* of tar_read.c */
    enum tar_event event;       /* to be returned */
    const char *what;           /* is wrong: the key of a field, or "" */
    uint64_t at;                /* bytes taken in all */
    uint64_t left;              /* of the piece that is being taken; never 0 */
    uint32_t padding;           /* that follows it */
    uint32_t digits, length;    /* of a pax record whose length is being read */
    uint32_t record;            /* bytes of it that are to come; 0: its length is */
    bool zero;                  /* the last block was one of zeros */
    char kind;                  /* x, X, g: a pax header; L, K: a long name */
    size_t have;                /* of buf; of a pax record also what did not fit */
    char buf[PATH_MAX + 32];    /* a header, a long name, or one record of a pax header */
};

void tar_reader_init(struct tar_reader *r);

/* Take from in[n]; *used says how much. TAR_DATA: data[len] are bytes of `in`. Call until all of
 * `in` is used and the answer is TAR_MORE. `end`: there is no more input after these bytes; call
 * on, with n == 0, until the answer is TAR_END or TAR_BAD. What follows TAR_END is taken and
 * ignored. Other keys of pax headers (times, comments, extended attributes) are ignored, and so are
 * volume labels. What cannot be unpacked truly is TAR_BAD with a message naming the entry: sparse
 * files and second volumes of GNU tar, unknown kinds. So are an archive that is cut, a name of
 * PATH_MAX bytes or more or with a NUL, a number that does not fit, a pax header above
 * MAX_PAX_HEADER. */
enum tar_event tar_read(struct tar_reader *r, const char *in, size_t n, bool end, size_t *used,
                        const char **data, size_t *len, struct err *e);

/* --- writing ---------------------------------------------------------------------------------- */

enum { TAR_HEAD_MAX = 24 * TAR_BLOCK };

/* The header blocks of an entry: one, or a pax header and one where ustar cannot say it (a path of
 * more than 256 bytes or that cannot be split, a size of 8 GiB or more, ids above 2097151, parts of
 * a second, names that are not ASCII). The length, a multiple of TAR_BLOCK. -ENAMETOOLONG: a text
 * without its NUL; -EINVAL: no path, another type, nanoseconds that are none. The size of what is
 * no file, and the target of what is no link, are not written. The same entry gives the same bytes.
 */
int tar_head(const struct tar_entry *t, char out[TAR_HEAD_MAX]);

/* Zero bytes to be written after a content of `size` bytes. */
static inline size_t tar_padding(uint64_t size) { return (size_t)(-size & (TAR_BLOCK - 1)); }

/* After the last entry come 2 * TAR_BLOCK zero bytes. */

/* --- names ------------------------------------------------------------------------------------ */

/* A path of an archive made safe to open below a directory: no leading '/', no "." and empty parts,
 * no trailing '/'. "" is the directory itself. -EINVAL for one with a ".." part, -ENAMETOOLONG for
 * one that does not fit. */
int tar_clean_path(const char *path, char out[PATH_MAX]);

#endif
