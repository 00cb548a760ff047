#include "sys/rights.h"

#include <string.h>
#include <sys/socket.h>

union room {
    struct cmsghdr head;
    char bytes[CMSG_SPACE(MAX_RIGHTS * sizeof(int))];
};

ssize_t rights_send(int sock, const void *bytes, size_t n, const int *fds, size_t nfds, int flags) {
    struct iovec part = { .iov_base = (void *)bytes, .iov_len = n };
    struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1 };
    union room room = { .bytes = { 0 } };
    size_t count = 0;
    for (size_t i = 0; i < nfds && count < MAX_RIGHTS; i++)
        if (fds[i] >= 0)
            memcpy(CMSG_DATA(&room.head) + count++ * sizeof(int), &fds[i], sizeof(int));
    if (count > 0) {
        room.head.cmsg_level = SOL_SOCKET;
        room.head.cmsg_type = SCM_RIGHTS;
        room.head.cmsg_len = (socklen_t)CMSG_LEN(count * sizeof(int));
        m.msg_control = &room;
        m.msg_controllen = (socklen_t)CMSG_SPACE(count * sizeof(int));
    }
    return sendmsg(sock, &m, flags);
}

/* The room is CMSG_LEN, not CMSG_SPACE: the padding would be taken for room for one more. */
ssize_t rights_recv(int sock, void *bytes, size_t n, int *fds, size_t nfds, int flags) {
    struct iovec part = { .iov_base = bytes, .iov_len = n };
    union room room = { .bytes = { 0 } };
    size_t most = nfds < MAX_RIGHTS ? nfds : MAX_RIGHTS;
    struct msghdr m = { .msg_iov = &part,
                        .msg_iovlen = 1,
                        .msg_control = &room,
                        .msg_controllen = (socklen_t)CMSG_LEN(most * sizeof(int)) };
    ssize_t got = recvmsg(sock, &m, flags | MSG_CMSG_CLOEXEC);
    const struct cmsghdr *c = got >= 0 ? CMSG_FIRSTHDR(&m) : NULL;
    for (size_t i = 0; i < nfds; i++)
        fds[i] = -1;
    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
        memcpy(fds, CMSG_DATA(c), c->cmsg_len - CMSG_LEN(0));
    return got;
}
