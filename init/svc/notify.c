#include "svc/notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/own.h"
#include "base/str.h"
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

/* vsock:CID:PORT or vsock-stream:CID:PORT. */
static bool read_vsock(const char *address, unsigned *cid, unsigned *port) {
    const char *first = has_prefix(address, "vsock:")          ? address + 6
                        : has_prefix(address, "vsock-stream:") ? address + 13
                                                               : "";
    const char *colon = strchr(first, ':');
    char number[12];
    if (!colon || colon - first >= (ptrdiff_t)sizeof number)
        return false;
    (void)snprintf(number, sizeof number, "%.*s", (int)(colon - first), first);
    return parse_uint(number, 0, UINT32_MAX, cid, NULL) == 0 &&
           parse_uint(colon + 1, 0, UINT32_MAX, port, NULL) == 0;
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
