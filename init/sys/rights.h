/* rights.h — descriptors that travel beside the bytes of a message (unix(7), SCM_RIGHTS). */
#ifndef SYS_RIGHTS_H
#define SYS_RIGHTS_H

#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

enum { MAX_RIGHTS = 16 }; /* of one message */

struct rights_message { /* points into itself: it stays where it is */
    struct msghdr head;
    struct iovec part;
    _Alignas(struct cmsghdr) char room[CMSG_SPACE(MAX_RIGHTS * sizeof(int))];
};

/* A message for sendmsg(2), of bytes that stay the caller's, and those of fds[] that are not -1, at
 * most MAX_RIGHTS. */
void rights_pack(struct rights_message *m, const void *bytes, size_t n, const int *fds,
                 size_t nfds);

/* The same, sent at once. */
ssize_t rights_send(int sock, const void *bytes, size_t n, const int *fds, size_t nfds, int flags);

/* recvmsg(2): fds[] is filled from its start with what came, close-on-exec and the caller's; the
 * rest becomes -1. Of more than `nfds`, or than there is room for in this process, the kernel
 * closes the later ones. */
ssize_t rights_recv(int sock, void *bytes, size_t n, int *fds, size_t nfds, int flags);

#endif
