/* child.h — wait for a short-lived fork, but not for ever. */
#ifndef ENGINE_CHILD_H
#define ENGINE_CHILD_H

#include <sys/types.h>

/* Exit status of `pid`, or -1 when it had to be killed or died. */
int child_wait(pid_t pid, int limit_ms);

#endif
