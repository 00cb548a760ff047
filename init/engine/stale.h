/* stale.h — what a killed engine left behind, and the next one stumbles over.
 *
 * dockerd refuses to start when any process has the pid in its pid file, which after a
 * restart of the box is likely (pids are small and come back), and containerd likewise.
 */
#ifndef ENGINE_STALE_H
#define ENGINE_STALE_H

#include <stdbool.h>

struct stale_report {
    int removed;   /* files unlinked; each was logged */
    int live_pid;  /* an engine that runs, by its pid file; 0 if none */
    bool answered; /* somebody accepts connections on the socket */
};

/* Remove docker*.pid beside `pidfile`, containerd's below `exec_root`, and the socket
 * (may be ""), each only when no process with the pid in it is a dockerd or containerd
 * in our pid namespace; the socket only when it refuses connections besides. */
void stale_remove(const char *pidfile, const char *exec_root, const char *socket,
                  struct stale_report *r);

#endif
