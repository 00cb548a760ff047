#include "svc/wire.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/own.h"
#include "tests/unit/tap.h"

static int pair[2];

static const struct {
    uint16_t kind;
    size_t size;
} kinds[] = { { WIRE_BOX, sizeof(struct wire_box) },   { WIRE_UNIT, sizeof(struct wire_unit) },
              { WIRE_MARK, sizeof(struct wire_mark) }, { WIRE_FLUSH, sizeof(struct wire_word) },
              { WIRE_QUIT, sizeof(struct wire_word) }, { WIRE_SAID, sizeof(struct wire_word) } };

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
    struct wire_head h = { WIRE_VERSION, WIRE_SAID + 1, sizeof(struct wire_word) };
    OK(received(h, h.size) == -EPROTO, "an unknown kind");
    h = (struct wire_head){ WIRE_VERSION, 999, sizeof h };
    OK(received(h, sizeof h) == -EPROTO, "an unknown kind that is a head alone");
    h = (struct wire_head){ WIRE_VERSION, 999, 0 };
    OK(received(h, 1) == -EPROTO, "less than a head");
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

int main(void) {
    if (!OK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0, "a socket pair"))
        return tap_end();
    takes_every_kind();
    refuses_what_is_none();
    never_blocks();
    knows_the_end();
    return tap_end();
}
