#include "svc/wire.h"

#include <errno.h>
#include <sys/socket.h>

int wire_send(int fd, const struct wire_head *message) {
    if (send(fd, message, message->size, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
        return 0;
    return errno == EWOULDBLOCK || errno == ENOBUFS ? -EAGAIN : -errno;
}

static size_t size_of(int kind) {
    switch (kind) {
    case WIRE_BOX:
        return sizeof(struct wire_box);
    case WIRE_UNIT:
        return sizeof(struct wire_unit);
    case WIRE_MARK:
        return sizeof(struct wire_mark);
    case WIRE_FLUSH:
    case WIRE_QUIT:
    case WIRE_SAID:
        return sizeof(struct wire_word);
    default:
        return 0;
    }
}

int wire_recv(int fd, union wire_any *out) {
    ssize_t n = recv(fd, out, sizeof *out, MSG_DONTWAIT | MSG_TRUNC); /* the packet's length */
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    if (n == 0)
        return -ENOTCONN;
    bool whole = (size_t)n >= sizeof out->head && out->head.version == WIRE_VERSION &&
                 out->head.size == (size_t)n && size_of(out->head.kind) == (size_t)n;
    return whole ? 1 : -EPROTO;
}
