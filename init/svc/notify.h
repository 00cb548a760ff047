/* notify.h — saying something to whoever has started this box: sd_notify(3). */
#ifndef SVC_NOTIFY_H
#define SVC_NOTIFY_H

#include <stdbool.h>

#include "base/time.h"

/* Must it be connected to, which may take a while ("vsock:CID:PORT", "vsock-stream:CID:PORT")? */
bool notify_waits(const char *address);

/* Send `text` ("READY=1", ...) to `address`, the value of NOTIFY_SOCKET: a path, an abstract name
 * that begins with @, or a vsock, as systemd's VMs have it. 0 or -errno; -EINVAL: none of these. */
int notify_send(const char *address, const char *text, instant deadline);

#endif
