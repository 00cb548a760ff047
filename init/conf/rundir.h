/* rundir.h — the directory of the socket, the ready file and the logs. */
#ifndef CONF_RUNDIR_H
#define CONF_RUNDIR_H

#include <stddef.h>

#include "base/err.h"

enum { RUNDIR_MAX = 80 }; /* bytes; "/notify/NAME" must still fit in sun_path (108) */

/* Write the path into out: `wanted` unless it is "auto"; else /run/pinnace if we may have
 * it, $XDG_RUNTIME_DIR/pinnace, /tmp/pinnace-UID. With `make` it is created (mode 0755) and
 * must be ours. The same search without `make` is how clients find a running pinnace.
 * With `make`, one that another pinnace has is not taken. 0 or -errno; *e also says why it is not
 * the first one (EADDRINUSE), and has to be empty before. */
int rundir_find(const char *wanted, int make, char out[RUNDIR_MAX], struct err *e);

#endif
