/* Saying something upwards: what addresses there are, and that it arrives. */
#include "svc/notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/own.h"
#include "tests/unit/tap.h"

static instant soon(void) { return instant_add(instant_now(), span_ms(500)); }

/* A datagram socket bound to `path`, whose @ stands for NUL. */
static int bind_to(const char *path) {
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    size_t n = strlen(path);
    memcpy(at.sun_path, path, n);
    if (*path == '@')
        at.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
    return fd >= 0 && bind(fd, (struct sockaddr *)&at, len) == 0 ? fd : -1;
}

static void arrives(const char *path) {
    char got[64] = "";
    AUTO_FD int fd = bind_to(path);
    int rc = notify_send(path, "READY=1", soon());
    ssize_t n = recv(fd, got, sizeof got - 1, 0);
    OK(rc == 0 && n == 7 && strcmp(got, "READY=1") == 0, "%s: %d, '%s'", path, rc, got);
}

static void addresses(void) {
    static const char *const bad[] = { "",        "/",         "relative",    "vsock:",
                                       "vsock:2", "vsock:2:x", "vsock:2:1:1", "vsock-dgram:2:1",
                                       "tcp:1:2" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        OK(notify_send(bad[i], "x", soon()) == -EINVAL && !notify_waits(bad[i]), "'%s' is none",
           bad[i]);
    char longest[200];
    memset(longest, 'a', sizeof longest);
    longest[0] = '/';
    longest[sizeof longest - 1] = '\0';
    OK(notify_send(longest, "x", soon()) == -EINVAL, "a path that no socket has");
    OK(notify_waits("vsock:2:1234") && notify_waits("vsock-stream:2:1234"),
       "vsock is connected to");
    OK(!notify_waits("/run/x") && !notify_waits("@x"), "the others are not");
    int rc = notify_send("vsock:1:65000", "x", soon());
    OK(rc < 0 && rc != -EINVAL, "nobody is there: %s", strerror(-rc));
}

int main(void) {
    char path[64];
    (void)snprintf(path, sizeof path, "/tmp/t_notify.%d", (int)getpid());
    arrives(path);
    (void)unlink(path);
    OK(notify_send(path, "x", soon()) == -ENOENT, "and is missed when it has gone");
    (void)snprintf(path, sizeof path, "@t_notify.%d", (int)getpid());
    arrives(path);
    addresses();
    return tap_end();
}
