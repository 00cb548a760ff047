#include "svc/wire.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/own.h"
#include "sys/rights.h"
#include "tests/unit/tap.h"

static int pair[2];

static const struct {
    uint16_t kind;
    size_t size;
} kinds[] = {
    { WIRE_BOX, sizeof(struct wire_box) },         { WIRE_UNIT, sizeof(struct wire_unit) },
    { WIRE_MARK, sizeof(struct wire_mark) },       { WIRE_FLUSH, sizeof(struct wire_word) },
    { WIRE_QUIT, sizeof(struct wire_word) },       { WIRE_SAID, sizeof(struct wire_word) },
    { WIRE_JOB, sizeof(struct wire_job) },         { WIRE_JOB_SHUT, sizeof(struct wire_job) },
    { WIRE_JOB_ENDED, sizeof(struct wire_job) },   { WIRE_JOB_DONE, sizeof(struct wire_job) },
    { WIRE_UNIT_DO, sizeof(struct wire_unit_do) }, { WIRE_UNIT_DID, sizeof(struct wire_unit_do) }
};

/* A packet of `n` bytes whose head claims other things. */
static int received(struct wire_head head, size_t n) {
    char bytes[2 * sizeof(union wire_any)] = { 0 };
    union wire_any out;
    memcpy(bytes, &head, sizeof head);
    if (send(pair[0], bytes, n, 0) != (ssize_t)n)
        return -1;
    return wire_recv(pair[1], &out);
}

static void takes_every_kind(void) {
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        union wire_any m, out = { 0 };
        memset(&m, 0x5a, sizeof m);
        m.head = (struct wire_head){ WIRE_VERSION, kinds[i].kind, (uint32_t)kinds[i].size };
        OK(wire_send(pair[0], &m.head) == 0 && wire_recv(pair[1], &out) == 1 &&
               memcmp(&m, &out, kinds[i].size) == 0,
           "kind %u there and back", kinds[i].kind);
    }
    union wire_any out;
    OK(wire_recv(pair[1], &out) == 0, "nothing now is 0");
}

static void refuses_what_is_none(void) {
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        size_t n = kinds[i].size;
        struct wire_head h = { WIRE_VERSION, kinds[i].kind, (uint32_t)n };
        OK(received(h, n - 1) == -EPROTO && received(h, n + 1) == -EPROTO &&
               received(h, n + 8) == -EPROTO,
           "kind %u: a packet of another size than it says", h.kind);
        h.size--;
        OK(received(h, n - 1) == -EPROTO, "kind %u: of another size than the kind has", h.kind);
        h.size += 2;
        OK(received(h, n + 1) == -EPROTO, "kind %u: too large", h.kind);
        h = (struct wire_head){ WIRE_VERSION + 1, kinds[i].kind, (uint32_t)n };
        OK(received(h, n) == -EPROTO, "kind %u: another version", h.kind);
    }
    struct wire_head h = { WIRE_VERSION, WIRE_UNIT_DID + 1, sizeof(struct wire_unit_do) };
    OK(received(h, h.size) == -EPROTO, "an unknown kind");
    h = (struct wire_head){ WIRE_VERSION, 999, sizeof h };
    OK(received(h, sizeof h) == -EPROTO, "an unknown kind that is a head alone");
    h = (struct wire_head){ WIRE_VERSION, 999, 0 };
    OK(received(h, 1) == -EPROTO, "less than a head");
}

/* --- descriptors ------------------------------------------------------------------------------ */

static int count_fds(void) {
    int n = 0;
    for (int fd = 0; fd < TAP_FDS; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static struct wire_job a_job(void) {
    return (struct wire_job){
        .head = WIRE_HEAD(WIRE_JOB, struct wire_job), .id = 7, .slot = 3, .pid = 42, .fds = 15
    };
}

static bool same_file(int a, int b) {
    struct stat x, y;
    return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_ino == y.st_ino && x.st_dev == y.st_dev;
}

/* Send `fds` beside a job, and take it: the fds are then in `got`. */
static int passed(const int fds[JOB_NFDS], union wire_any *out, int got[JOB_NFDS]) {
    struct wire_job m = a_job();
    if (wire_send_fds(pair[0], &m, fds) < 0)
        return -1;
    return wire_recv_fds(pair[1], out, got);
}

static void close_all(int fds[JOB_NFDS]) {
    for (int i = 0; i < JOB_NFDS; i++)
        fd_close(&fds[i]);
}

static void carries_descriptors(void) {
    int p[2], got[JOB_NFDS], before;
    union wire_any out;
    OK(pipe2(p, O_CLOEXEC) == 0, "a pipe");
    before = count_fds();
    for (unsigned mask = 0; mask < 16; mask++) {
        int fds[JOB_NFDS];
        bool good = true;
        for (int i = 0; i < JOB_NFDS; i++)
            fds[i] = mask >> i & 1 ? p[i % 2] : -1;
        good = passed(fds, &out, got) == 1 && out.job.fds == mask && out.job.id == 7 &&
               out.job.slot == 3 && out.job.pid == 42;
        for (int i = 0; i < JOB_NFDS; i++)
            good = good && (fds[i] < 0 ? got[i] == -1
                                       : same_file(fds[i], got[i]) && got[i] != fds[i] &&
                                             (fcntl(got[i], F_GETFL) & O_ACCMODE) ==
                                                 (fcntl(fds[i], F_GETFL) & O_ACCMODE) &&
                                             fcntl(got[i], F_GETFD) == FD_CLOEXEC);
        OK(good, "descriptors %x arrive in their places, close-on-exec", mask);
        close_all(got);
    }
    OK(count_fds() == before, "and none besides");
    fd_close(&p[0]);
    fd_close(&p[1]);
}

/* Bytes of a message with `n` descriptors that it does not speak of. */
static void smuggle(const void *bytes, size_t size, int n) {
    int fds[MAX_RIGHTS];
    for (int i = 0; i < n; i++)
        fds[i] = pair[0];
    OK(rights_send(pair[0], bytes, size, fds, (size_t)n, 0) == (ssize_t)size, "%d descriptors", n);
}

static bool holds_none(const int fds[JOB_NFDS], int before) {
    return fds[0] == -1 && fds[1] == -1 && fds[2] == -1 && fds[3] == -1 && count_fds() == before;
}

static void refuses_other_descriptors(void) {
    int got[JOB_NFDS], before = count_fds();
    union wire_any out;
    struct wire_word word = { .head = WIRE_HEAD(WIRE_SAID, struct wire_word) };
    smuggle(&word, sizeof word, 3);
    OK(wire_recv_fds(pair[1], &out, got) == 1 && holds_none(got, before), "of another kind");
    smuggle(&word, sizeof word, 3);
    OK(wire_recv(pair[1], &out) == 1 && count_fds() == before, "where none are taken at all");
    static const int counts[] = { 3, 5, 16 };
    for (int i = 0; i < 3; i++) {
        struct wire_job job = a_job();
        smuggle(&job, sizeof job, counts[i]);
        OK(wire_recv_fds(pair[1], &out, got) == 1 && holds_none(got, before) && out.job.fds == 0,
           "%d where 4 are named: none is taken, and the message says so", counts[i]);
    }
    struct wire_job none = a_job();
    smuggle(&none, sizeof none, 0);
    OK(wire_recv_fds(pair[1], &out, got) == 1 && holds_none(got, before) && out.job.fds == 0,
       "none where 4 are named");
    struct wire_job more = a_job();
    more.fds = 1U << JOB_NFDS;
    smuggle(&more, sizeof more, 1);
    OK(wire_recv_fds(pair[1], &out, got) == 1 && holds_none(got, before) && out.job.fds == 0,
       "one that there is not");
    smuggle(&word, 5, 4);
    OK(wire_recv_fds(pair[1], &out, got) == -EPROTO && holds_none(got, before),
       "beside what is no message");
    OK(wire_recv_fds(pair[1], &out, got) == 0 && holds_none(got, before), "nothing now is 0");
    OK(wire_recv_fds(-1, &out, got) == -EBADF && holds_none(got, before), "other errors");
}

/* There is room for two of four: the kernel gives these two, and the message is cut. */
static void runs_out_of_descriptors(void) {
    int fds[JOB_NFDS] = { pair[0], pair[0], pair[0], pair[0] }, got[JOB_NFDS];
    int before = count_fds(), highest = 0;
    union wire_any out;
    struct rlimit old, few;
    struct wire_job m = a_job();
    OK(wire_send_fds(pair[0], &m, fds) == 0 && getrlimit(RLIMIT_NOFILE, &old) == 0, "sent");
    for (int n = 0; n < 2; highest++)
        n += fcntl(highest, F_GETFD) < 0;
    few = old;
    few.rlim_cur = (rlim_t)highest;
    OK(setrlimit(RLIMIT_NOFILE, &few) == 0, "room for two more");
    int rc = wire_recv_fds(pair[1], &out, got);
    OK(setrlimit(RLIMIT_NOFILE, &old) == 0 && rc == 1 && out.job.id == 7 && out.job.fds == 0 &&
           holds_none(got, before),
       "the message counts, and half of its descriptors are none");
}

static void never_blocks(void) {
    struct wire_word w = { .head = WIRE_HEAD(WIRE_QUIT, struct wire_word) };
    int rc = 0, sent = 0;
    for (; rc == 0 && sent < 1000000; sent++)
        rc = wire_send(pair[0], &w.head);
    OK(rc == -EAGAIN && sent > 10, "a peer that is behind: -EAGAIN");
    union wire_any out;
    int got = 0;
    while (wire_recv(pair[1], &out) == 1)
        got++;
    OK(got == sent - 1, "all of %d messages came through", got);
}

static void knows_the_end(void) {
    struct wire_word w = { .head = WIRE_HEAD(WIRE_QUIT, struct wire_word) };
    union wire_any out;
    OK(wire_send(pair[0], &w.head) == 0, "a last word");
    fd_close(&pair[0]);
    OK(wire_recv(pair[1], &out) == 1 && wire_recv(pair[1], &out) == -ENOTCONN,
       "the last word, then the end");
    OK(wire_send(pair[1], &w.head) == -EPIPE, "no SIGPIPE");
    fd_close(&pair[1]);
    OK(wire_recv(-1, &out) == -EBADF && wire_send(-1, &w.head) == -EBADF, "other errors");
}

/* Killed with something unread: the kernel tells the reset first. With descriptors, and without. */
static void hears_last_words(bool fds) {
    struct wire_job m = { .head = WIRE_HEAD(WIRE_JOB, struct wire_job), .id = 5 };
    struct wire_word unread = { .head = WIRE_HEAD(WIRE_QUIT, struct wire_word) };
    union wire_any out = { 0 };
    int came[JOB_NFDS] = { -1, -1, -1, -1 }, last[2];
    if (!OK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, last) == 0, "a socket pair"))
        return;
    int rc = wire_send(last[1], &unread.head);
    rc = rc ? rc : wire_send(last[0], &m.head);
    fd_close(&last[0]);
    OK(rc == 0 && (fds ? wire_recv_fds(last[1], &out, came) : wire_recv(last[1], &out)) == 1 &&
           out.job.id == 5,
       "what a peer has said before it was killed is heard, whatever it had not read");
    OK((fds ? wire_recv_fds(last[1], &out, came) : wire_recv(last[1], &out)) == -ENOTCONN,
       "then it has ended");
    fd_close(&last[1]);
}

int main(void) {
    if (!OK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0, "a socket pair"))
        return tap_end();
    takes_every_kind();
    refuses_what_is_none();
    carries_descriptors();
    refuses_other_descriptors();
    runs_out_of_descriptors();
    never_blocks();
    knows_the_end();
    hears_last_words(false);
    hears_last_words(true);
    return tap_end();
}
