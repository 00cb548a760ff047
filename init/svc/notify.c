#include "svc/notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/own.h"
#include "probes/attempt.h"

static int send_datagram(const char *address, const char *text) {
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    size_t n = strlen(address);
    if (n < 2 || n >= sizeof to.sun_path || (*address != '/' && *address != '@'))
        return -EINVAL;
    memcpy(to.sun_path, address, n);
    if (to.sun_path[0] == '@')
        to.sun_path[0] = '\0';
    AUTO_FD int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
    if (fd < 0 || sendto(fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL,
                         (struct sockaddr *)&to, len) < 0)
        return -errno;
    return 0;
}

static bool read_vsock(const char *address, unsigned *cid, unsigned *port) {
    char end;
    return sscanf(address, "vsock:%u:%u%c", cid, port, &end) == 2 ||
           sscanf(address, "vsock-stream:%u:%u%c", cid, port, &end) == 2;
}

bool notify_waits(const char *address) {
    unsigned cid, port;
    return read_vsock(address, &cid, &port);
}

int notify_send(const char *address, const char *text, instant deadline) {
    unsigned cid, port;
    if (!read_vsock(address, &cid, &port))
        return send_datagram(address, text);
    AUTO_FD int fd = dial_vsock(cid, port, deadline);
    if (fd < 0)
        return fd;
    ssize_t n = send(fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL);
    return n < 0 ? -errno : 0;
}
