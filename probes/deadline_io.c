/* Waiting on a descriptor, receiving and sending, each until a deadline. */
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include "probes/attempt.h"

int await_fd(int fd, short events, instant deadline) {
    for (;;) {
        struct pollfd p = { .fd = fd, .events = events };
        int n = poll(&p, 1, instant_timeout_ms(deadline, instant_now()));
        if (n > 0)
            return 0;
        if (n == 0)
            return -ETIMEDOUT;
        if (errno != EINTR)
            return -errno;
    }
}

int recv_some(int fd, void *buf, size_t cap, instant deadline) {
    for (;;) {
        int rc = await_fd(fd, POLLIN, deadline);
        if (rc < 0)
            return rc;
        ssize_t n = recv(fd, buf, cap, MSG_DONTWAIT);
        if (n >= 0)
            return (int)n;
        if (errno != EAGAIN && errno != EINTR)
            return -errno;
    }
}

int send_all(int fd, const void *bytes, size_t n, instant deadline) {
    const char *at = bytes;
    while (n > 0) {
        int rc = await_fd(fd, POLLOUT, deadline);
        if (rc < 0)
            return rc;
        ssize_t sent = send(fd, at, n, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN && errno != EINTR)
            return -errno;
        if (sent > 0) {
            at += sent;
            n -= (size_t)sent;
        }
    }
    return 0;
}
