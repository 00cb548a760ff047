/* rights.h — descriptors that travel beside the bytes of a message (unix(7), SCM_RIGHTS). */
#ifndef SYS_RIGHTS_H
#define SYS_RIGHTS_H

#include <stddef.h>
#include <sys/types.h>

enum { MAX_RIGHTS = 16 }; /* of one message */

/* sendmsg(2) with those of fds[] that are not -1, at most MAX_RIGHTS. */
ssize_t rights_send(int sock, const void *bytes, size_t n, const int *fds, size_t nfds, int flags);

/* recvmsg(2): fds[] is filled from its start with what came, close-on-exec and the caller's; the
 * rest becomes -1. Of more than `nfds`, or than there is room for in this process, the kernel
 * closes the later ones. */
ssize_t rights_recv(int sock, void *bytes, size_t n, int *fds, size_t nfds, int flags);

#endif
