/* stop.h — end the engine's containers before the engine itself.
 *
 * Told to end, dockerd gives every container its own stop timeout (10 s unless set), which
 * is as long as a whole `docker stop` of the box: one container that ignores SIGTERM, and
 * the engine is killed in the middle. So its containers are stopped first, with less time.
 */
#ifndef ENGINE_STOP_H
#define ENGINE_STOP_H

#include "base/err.h"
#include "base/time.h"

/* Ask the engine at `socket` to stop all running containers at once, each with SIGKILL after
 * `patience` (whole seconds), and wait for that until `deadline`. Runs in a fork: it reads
 * the engine's answers. The number of containers, or -errno. */
int engine_stop_containers(const char *socket, span patience, instant deadline, struct err *e);

#endif
