/* mountpoint.h — is it mounted? */
#ifndef SYS_MOUNTPOINT_H
#define SYS_MOUNTPOINT_H

#include <stdbool.h>

/* Is `path`, which lies in the directory `dir`, the root of a mount (STATX_ATTR_MOUNT_ROOT, Linux
 * 5.8)? On older kernels a mount of the same file system as its directory goes unseen. */
bool is_mounted(const char *dir, const char *path);

#endif
