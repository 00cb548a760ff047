/* ustar.h — the header block of an archive, byte by byte. For tar_read.c and tar_write.c alone.
 * Source: POSIX.1-2017, pax, "ustar Interchange Format"; "Basic Tar Format" of GNU tar's manual. */
#ifndef CHANNEL_FILES_USTAR_H
#define CHANNEL_FILES_USTAR_H

#include "channel/files/tar.h"

struct ustar {
    char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], sum[8], type, link[100];
    char magic[8]; /* "ustar\0" "00"; GNU: "ustar  "; V7 has neither it nor what follows */
    char owner[32], group[32], major[8], minor[8], prefix[155], rest[12];
};
_Static_assert(sizeof(struct ustar) == TAR_BLOCK, "a header is one block");

/* The sum of a header's bytes, those of the sum itself taken as blanks. `high` is taken off for
 * each byte above 127: 0 for the sum that POSIX means, 256 for that of a signed char. */
int ustar_sum(const struct ustar *h, int high);

/* What can be said of an entry: the key of it in a pax header, its place in a header block, and
 * in struct tar_entry, where its size tells what it is: 4, 8, a time, or else text. */
struct ustar_field {
    char key[16];
    uint16_t from, width, to, size;
};

enum {
    USTAR_PATH,
    USTAR_TARGET,
    USTAR_OWNER,
    USTAR_GROUP,
    USTAR_SIZE,
    USTAR_UID,
    USTAR_GID,
    USTAR_MTIME,
    USTAR_MAJOR,
    USTAR_MINOR,
    USTAR_MODE, /* the last: pax has no key for it */
    USTAR_FIELDS
};
enum { /* what V7 headers have not, as bits */
       USTAR_NOT_V7 = 1 << USTAR_OWNER | 1 << USTAR_GROUP | 1 << USTAR_MAJOR | 1 << USTAR_MINOR,
};
extern const struct ustar_field ustar_fields[USTAR_FIELDS];

static inline bool ustar_is_text(const struct ustar_field *f) { return f->size >= 64; }

/* The fields, as bits, that mean nothing for a type: POSIX says not to look at them. */
unsigned ustar_unused(char type);

#endif
