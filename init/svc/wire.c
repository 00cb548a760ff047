#include "svc/wire.h"

#include <errno.h>
#include <sys/socket.h>

#include "base/own.h"
#include "sys/rights.h"

static int send_error(int code) { return code == EWOULDBLOCK || code == ENOBUFS ? -EAGAIN : -code; }

int wire_send(int fd, const struct wire_head *message) {
    if (send(fd, message, message->size, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
        return 0;
    return send_error(errno);
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
    case WIRE_JOB:
    case WIRE_JOB_SHUT:
    case WIRE_JOB_ENDED:
    case WIRE_JOB_DONE:
        return sizeof(struct wire_job);
    case WIRE_UNIT_DO:
    case WIRE_UNIT_DID:
        return sizeof(struct wire_unit_do);
    default:
        return 0;
    }
}

/* What became of a packet of `n` bytes, of which the kernel has put into *out what fits. */
static int judge(const union wire_any *out, ssize_t n) {
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    if (n == 0)
        return -ENOTCONN;
    bool whole = (size_t)n >= sizeof out->head && out->head.version == WIRE_VERSION &&
                 out->head.size == (size_t)n && size_of(out->head.kind) == (size_t)n;
    return whole ? 1 : -EPROTO;
}

/* A peer that ended before it had read all leaves an error that is told once, and before what it
 * has sent itself: its last words stand behind that. */
static bool was_reset(ssize_t n) { return n < 0 && errno == ECONNRESET; }

/* Without room for them the kernel closes descriptors that come along (unix(7)). */
int wire_recv(int fd, union wire_any *out) {
    const int flags = MSG_DONTWAIT | MSG_TRUNC; /* the packet's length */
    ssize_t n = recv(fd, out, sizeof *out, flags);
    if (was_reset(n))
        n = recv(fd, out, sizeof *out, flags);
    return judge(out, n);
}

/* --- with descriptors ---------------------------------------------------------------------- */

void wire_pack_fds(struct wire_packet *p, const struct wire_job *m, const int fds[JOB_NFDS]) {
    p->job = *m;
    p->job.fds = 0;
    for (int i = 0; i < JOB_NFDS; i++)
        p->job.fds |= fds[i] >= 0 ? 1U << i : 0;
    rights_pack(&p->message, &p->job, sizeof p->job, fds, JOB_NFDS);
}

int wire_send_packet(int fd, const struct wire_packet *p) {
    if (sendmsg(fd, &p->message.head, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
        return 0;
    return send_error(errno);
}

int wire_send_fds(int fd, const struct wire_job *m, const int fds[JOB_NFDS]) {
    struct wire_packet p;
    wire_pack_fds(&p, m, fds);
    return wire_send_packet(fd, &p);
}

/* Each to its place, if they are just those that the message names; else none. */
static void place(union wire_any *out, int came[JOB_NFDS + 1], int fds[JOB_NFDS]) {
    unsigned named = 0, n = 0;
    while (n <= JOB_NFDS && came[n] >= 0)
        n++;
    for (int i = 0; i < JOB_NFDS; i++)
        named += out->job.fds >> i & 1;
    for (int i = 0, next = 0; i < JOB_NFDS && named == n; i++)
        if (out->job.fds >> i & 1)
            fds[i] = fd_take(&came[next++]);
    if (named != n)
        out->job.fds = 0;
}

int wire_recv_fds(int fd, union wire_any *out, int fds[JOB_NFDS]) {
    int came[JOB_NFDS + 1]; /* one more than are taken, so that too many are seen as such */
    const int flags = MSG_DONTWAIT | MSG_TRUNC;
    ssize_t n = rights_recv(fd, out, sizeof *out, came, JOB_NFDS + 1, flags);
    if (was_reset(n))
        n = rights_recv(fd, out, sizeof *out, came, JOB_NFDS + 1, flags);
    int rc = judge(out, n);
    for (int i = 0; i < JOB_NFDS; i++)
        fds[i] = -1;
    if (rc > 0 && out->head.kind == WIRE_JOB)
        place(out, came, fds);
    for (int i = 0; i <= JOB_NFDS; i++)
        fd_close(&came[i]);
    return rc;
}
