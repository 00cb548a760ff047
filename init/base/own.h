/* own.h — scope-bound ownership of file descriptors and heap memory.
 *
 *     AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
 *     if (fd < 0)
 *         return -errno;        // nothing to close by hand
 *     return fd_take(&fd);      // ownership goes to the caller
 *
 * An owning fd variable is always initialised and holds -1 while empty.
 */
#ifndef BASE_OWN_H
#define BASE_OWN_H

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

/* Close and empty; keeps errno. Never retried on EINTR: Linux has released the
 * number by then (close(2), NOTES). */
static inline void fd_close(int *fd) {
    if (*fd < 0)
        return;
    int saved = errno;
    (void)close(*fd);
    errno = saved;
    *fd = -1;
}

static inline int fd_take(int *fd) {
    int taken = *fd;
    *fd = -1;
    return taken;
}

static inline void mem_release(void *owner) {
    void **p = owner;
    free(*p);
    *p = NULL;
}

#define AUTO_FD   __attribute__((cleanup(fd_close)))
#define AUTO_FREE __attribute__((cleanup(mem_release)))

#endif
