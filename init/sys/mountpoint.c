#include "sys/mountpoint.h"

#include <fcntl.h>
#include <sys/stat.h>

#ifndef STATX_ATTR_MOUNT_ROOT
#define STATX_ATTR_MOUNT_ROOT 0x2000 /* linux/stat.h, since 5.8 */
#endif

bool is_mounted(const char *dir, const char *path) {
    struct statx in, at;
    if (statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &at) < 0 ||
        statx(AT_FDCWD, dir, 0, STATX_BASIC_STATS, &in) < 0)
        return false;
    if (at.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT)
        return at.stx_attributes & STATX_ATTR_MOUNT_ROOT;
    return at.stx_dev_major != in.stx_dev_major || at.stx_dev_minor != in.stx_dev_minor;
}
