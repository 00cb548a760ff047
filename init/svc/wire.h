/* wire.h — what PID 1 and its roles say to each other: fixed-size structs over a
 * SOCK_SEQPACKET pair, one message a packet. Both ends are the same binary, and still a
 * message of another size or version closes that role: it cannot do more than that.
 */
#ifndef SVC_WIRE_H
#define SVC_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/limits.h"
#include "base/time.h"

enum { WIRE_VERSION = 1 };

enum wire_kind {
    WIRE_BOX,   /* to channel: the box as a whole */
    WIRE_UNIT,  /* to channel: one unit */
    WIRE_MARK,  /* to channel: one entry of the timeline */
    WIRE_FLUSH, /* to log: print what stands in this unit's pipe without a newline too */
    WIRE_QUIT,  /* to a role: finish what you hold and end */
    WIRE_SAID,  /* from log: a unit has said what a probe waits for */
};

struct wire_head {
    uint16_t version, kind;
    uint32_t size; /* of the whole message */
};

enum box_phase { PHASE_PREPARE, PHASE_BOOT, PHASE_SERVE, PHASE_DRAIN, PHASE_END };

struct wire_box {
    struct wire_head head;
    uint64_t seq; /* grows with every change that is sent */
    int32_t phase, pid, nunits;
    bool ready;
    instant started, ready_at; /* ready_at: INSTANT_NEVER until the first time */
    uint64_t orphans, role_restarts, marks_lost;
    uint32_t bugs;
    char reason[MAX_PROBE_REASON]; /* what it waits for, or why it ends */
};

struct wire_unit {
    struct wire_head head;
    int32_t index, kind, state, pid, exit_status;
    bool ended;
    uint32_t starts, failures;
    instant since;
    char name[MAX_NAME];
    char reason[MAX_PROBE_REASON];
};

struct wire_mark {
    struct wire_head head;
    instant at;
    int32_t unit, kind;
};

struct wire_word { /* FLUSH: unit; QUIT: none; SAID: unit and enum probe_kind */
    struct wire_head head;
    int32_t unit, what;
};

union wire_any {
    struct wire_head head;
    struct wire_box box;
    struct wire_unit unit;
    struct wire_mark mark;
    struct wire_word word;
};

#define WIRE_HEAD(kind_, type) \
    { .version = WIRE_VERSION, .kind = (kind_), .size = sizeof(type) }

/* Both never block. send: 0, -EAGAIN when the peer is behind, -errno. */
int wire_send(int fd, const struct wire_head *message);
/* recv: 1 and *out; 0 when there is nothing now; -ENOTCONN at the end; -EPROTO for a
 * message that is not one. */
int wire_recv(int fd, union wire_any *out);

#endif
