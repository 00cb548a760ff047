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
#include "sys/rights.h"

enum { WIRE_VERSION = 1 };

enum wire_kind {
    WIRE_BOX,   /* to channel: the box as a whole */
    WIRE_UNIT,  /* to channel: one unit */
    WIRE_MARK,  /* to channel: one entry of the timeline */
    WIRE_FLUSH, /* to log: print what stands in this unit's pipe without a newline too */
    WIRE_QUIT,  /* to a role: finish what you hold and end */
    WIRE_SAID,  /* from log: a unit has said what a probe waits for */

    /* Jobs. PID 1 holds what would be lost with the channel, and reads none of it. */
    WIRE_JOB,      /* a job, with its fds: its child says so before it executes; a new channel is
                    * told of all that are held, before its first WIRE_BOX */
    WIRE_JOB_SHUT, /* from channel: drop your copies of these fds, so that an end of file is real */
    WIRE_JOB_ENDED, /* from channel: I have reaped it, so; to channel: I have */
    WIRE_JOB_DONE,  /* from channel: forget it, and close its fds */

    /* Units, on a client's behalf. */
    WIRE_UNIT_DO,  /* from channel: start, stop or restart one */
    WIRE_UNIT_DID, /* to channel: whether that was taken */
};

/* The fds of a job, in the order in which they travel; those that it has are in wire_job.fds. */
enum job_fd {
    JOB_STDIN,  /* write end; none for /dev/null and terminals */
    JOB_STDOUT, /* read end, or the terminal's master */
    JOB_STDERR, /* read end; none for terminals */
    JOB_EXEC,   /* reads EOF once it has executed, else one struct exec_failure */
    JOB_NFDS
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

struct wire_job { /* JOB, JOB_SHUT, JOB_ENDED, JOB_DONE */
    struct wire_head head;
    uint64_t id;
    uint32_t slot; /* its record in the table that channels share */
    int32_t pid;   /* JOB */
    uint32_t fds;  /* JOB, JOB_SHUT, JOB_ENDED from channel: bit n for enum job_fd n */
    bool ended;    /* JOB to channel, JOB_ENDED: the next three count */
    bool signaled, core;
    int32_t code; /* exit status or signal; -1: nobody has seen it */
};

enum unit_act { UNIT_START, UNIT_STOP, UNIT_RESTART };

struct wire_unit_do { /* UNIT_DO, UNIT_DID */
    struct wire_head head;
    uint64_t ticket; /* the channel's, given back in UNIT_DID */
    int32_t unit, act;
    int32_t code; /* DID: 0, or a positive errno with the reason below */
    char reason[MAX_PROBE_REASON];
};

union wire_any {
    struct wire_head head;
    struct wire_box box;
    struct wire_unit unit;
    struct wire_mark mark;
    struct wire_word word;
    struct wire_job job;
    struct wire_unit_do unit_do;
};

#define WIRE_HEAD(kind_, type) \
    { .version = WIRE_VERSION, .kind = (kind_), .size = sizeof(type) }

/* Both never block. send: 0, -EAGAIN when the peer is behind, -errno. */
int wire_send(int fd, const struct wire_head *message);
/* recv: 1 and *out; 0 when there is nothing now; -ENOTCONN at the end; -EPROTO for a
 * message that is not one. */
int wire_recv(int fd, union wire_any *out);

/* The same with descriptors, at most JOB_NFDS. In fds[] those not sent are -1, and wire_job.fds is
 * made to say so; received ones are close-on-exec and the caller's. A message of another kind with
 * descriptors, or a WIRE_JOB with others than it names (as when the receiver has no room for them):
 * they are closed, and wire_job.fds becomes 0. send: -ETOOMANYREFS when more of this user's are on
 * their way than its RLIMIT_NOFILE (unix(7)); that passes, but nothing tells when. */
int wire_send_fds(int fd, const struct wire_job *message, const int fds[JOB_NFDS]);
int wire_recv_fds(int fd, union wire_any *out, int fds[JOB_NFDS]);

/* The first in two steps: a packet, which stays where it is, and whose `job` may be changed. */
struct wire_packet {
    struct wire_job job;
    struct rights_message message;
};
void wire_pack_fds(struct wire_packet *p, const struct wire_job *m, const int fds[JOB_NFDS]);
int wire_send_packet(int fd, const struct wire_packet *p);

#endif
