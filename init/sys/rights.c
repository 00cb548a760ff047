#include "sys/rights.h"

#include <string.h>

void rights_pack(struct rights_message *m, const void *bytes, size_t n, const int *fds,
                 size_t nfds) {
    memset(m, 0, sizeof *m);
    m->part = (struct iovec){ .iov_base = (void *)bytes, .iov_len = n };
    m->head.msg_iov = &m->part;
    m->head.msg_iovlen = 1;
    struct cmsghdr *c = (void *)m->room;
    size_t count = 0;
    for (size_t i = 0; i < nfds && count < MAX_RIGHTS; i++)
        if (fds[i] >= 0)
            memcpy(CMSG_DATA(c) + count++ * sizeof(int), &fds[i], sizeof(int));
    if (count == 0)
        return;
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = (socklen_t)CMSG_LEN(count * sizeof(int));
    m->head.msg_control = m->room;
    m->head.msg_controllen = (socklen_t)CMSG_SPACE(count * sizeof(int));
}

ssize_t rights_send(int sock, const void *bytes, size_t n, const int *fds, size_t nfds, int flags) {
    struct rights_message m;
    rights_pack(&m, bytes, n, fds, nfds);
    return sendmsg(sock, &m.head, flags);
}

/* The room is CMSG_LEN, not CMSG_SPACE: the padding would be taken for room for one more. */
ssize_t rights_recv(int sock, void *bytes, size_t n, int *fds, size_t nfds, int flags) {
    struct iovec part = { .iov_base = bytes, .iov_len = n };
    _Alignas(struct cmsghdr) char room[CMSG_SPACE(MAX_RIGHTS * sizeof(int))] = { 0 };
    size_t most = nfds < MAX_RIGHTS ? nfds : MAX_RIGHTS;
    struct msghdr m = { .msg_iov = &part,
                        .msg_iovlen = 1,
                        .msg_control = room,
                        .msg_controllen = (socklen_t)CMSG_LEN(most * sizeof(int)) };
    ssize_t got = recvmsg(sock, &m, flags | MSG_CMSG_CLOEXEC);
    const struct cmsghdr *c = got >= 0 ? CMSG_FIRSTHDR(&m) : NULL;
    for (size_t i = 0; i < nfds; i++)
        fds[i] = -1;
    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
        memcpy(fds, CMSG_DATA(c), c->cmsg_len - CMSG_LEN(0));
    return got;
}
