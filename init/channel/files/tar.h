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

/* --- reading --------------------------------------------------------------------------------- */

enum tar_event {
    TAR_MORE,  /* give more bytes */
    TAR_ENTRY, /* r->entry is the next one; its content follows as TAR_DATA */
    TAR_DATA,  /* some content of it */
    TAR_END,   /* two blocks of zeros, or the input's end where a header could stand: all is well */
    TAR_BAD,   /* not an archive, or one that is cut: see `e` */
};

struct tar_reader; /* about 14 KiB; tar_reader_new() or a static one */

struct tar_reader {
    struct tar_entry entry;
    /* the rest is private */
    unsigned char block[TAR_BLOCK];
    size_t have;      /* of block */
    uint64_t left;    /* of content */
    uint32_t padding; /* after it */
    int state;
    size_t ext_len; /* of a pax header or long name being collected */
    char ext[16384];
    bool has_path, has_target, has_size, has_mtime; /* said by a pax header for the next entry */
    struct tar_entry next;                          /* what it said */
    unsigned zeros;
};

void tar_reader_init(struct tar_reader *r);

/* Take from in[n]; *used says how much. TAR_DATA: data[len] are bytes of `in`. Call until all of
 * `in` is used and the answer is TAR_MORE. `end`: there is no more input after these bytes. Sparse
 * files, multi-volume archives, global pax headers' unknown keys: keys that do not matter are
 * ignored, kinds that cannot be unpacked truly are TAR_BAD with a message naming the entry. */
enum tar_event tar_read(struct tar_reader *r, const char *in, size_t n, bool end, size_t *used,
                        const char **data, size_t *len, struct err *e);

/* --- writing --------------------------------------------------------------------------------- */

enum { TAR_HEAD_MAX = 24 * TAR_BLOCK };

/* The header blocks of an entry: one, or a pax header and one where ustar cannot say it (a path of
 * more than 255 bytes or that cannot be split, a size of 8 GiB or more, ids above 2097151, parts of
 * a second, names that are not ASCII). The length, a multiple of TAR_BLOCK; or -ENAMETOOLONG. */
int tar_head(const struct tar_entry *t, char out[TAR_HEAD_MAX]);

/* Zero bytes to be written after a content of `size` bytes. */
static inline size_t tar_padding(uint64_t size) { return (size_t)(-size & (TAR_BLOCK - 1)); }

/* After the last entry come 2 * TAR_BLOCK zero bytes. */

/* --- names ----------------------------------------------------------------------------------- */

/* A path of an archive made safe to open below a directory: no leading '/', no "." and empty parts,
 * no trailing '/'. "" is the directory itself. -EINVAL for one with a ".." part. */
int tar_clean_path(const char *path, char out[PATH_MAX]);

#endif
