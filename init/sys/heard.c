#include "sys/heard.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/own.h"

enum { TRIES = 5, PAUSE_MS = 20 }; /* whoever was just killed may hold it so long */

/* Who listens is known by its credentials as of listen(2) (SO_PEERCRED in unix(7)): a role of a
 * pinnace that was killed may hold its socket for a moment longer. 0: one of another PID namespace.
 */
static bool lives(int fd) {
    struct ucred peer;
    socklen_t n = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) < 0 || peer.pid == 0)
        return true;
    return peer.pid != getpid() && (kill(peer.pid, 0) == 0 || errno == EPERM);
}

static bool is_heard(const char *path) {
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    if (strlen(path) >= sizeof to.sun_path)
        return false;
    memcpy(to.sun_path, path, strlen(path) + 1);
    AUTO_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return false;
    if (connect(fd, (struct sockaddr *)&to, sizeof to) < 0)
        return errno == EAGAIN; /* so many wait that there is no room */
    return lives(fd);
}

bool socket_is_heard(const char *path) {
    for (int i = 0; i < TRIES; i++) {
        if (i > 0)
            (void)poll(NULL, 0, PAUSE_MS);
        if (!is_heard(path))
            return false;
    }
    return true;
}
