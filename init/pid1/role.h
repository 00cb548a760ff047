/* role.h — a long-lived fork of PID 1 with a wire to it, started again when it dies. */
#ifndef PID1_ROLE_H
#define PID1_ROLE_H

#include "loop/children.h"
#include "svc/wire.h"

struct role {
    const char *name;
    /* What the fork runs. Called in PID 1 just before each fork: fill `run`, `arg` and the
     * fds to keep besides its end of the wire, which is stored in *sock. */
    void (*describe)(struct role *r, struct fork_req *req, int child_sock);
    /* A message came; may be NULL. fds[]: with `takes_fds` what came along with a WIRE_JOB, to be
     * taken out by fd_take(): what is left is closed. Of a role without it they are never taken in.
     */
    void (*said)(struct role *r, const union wire_any *m, int fds[JOB_NFDS]);
    bool takes_fds;
    void (*pump)(struct role *r);  /* send what the role should know; see role_send */
    void (*ended)(struct role *r); /* it has, and all it said has been heard; may be NULL */

    struct loop *loop;
    struct children *children;
    struct child child;
    struct source sock;          /* our end; fd -1 while there is none */
    struct timer restart, again; /* start it; pump */
    instant started;
    unsigned failures; /* in a row */
    uint64_t restarts;
    bool quitting; /* do not start it again */
};

void role_init(struct role *r, struct loop *l, struct children *cs);
void role_start(struct role *r);

/* Send one message. False: the role is behind or gone; pump() is called again when there is
 * room, or when the next one runs. */
bool role_send(struct role *r, const struct wire_head *m);
bool role_send_fds(struct role *r, const struct wire_job *m, const int fds[JOB_NFDS]);

/* Hear now what it has said so far, at most MAX_HEARD messages of it. */
void role_hear(struct role *r);

/* Ask it to finish and end; it is not started again. */
void role_quit(struct role *r);
void role_kill(struct role *r);
bool role_runs(const struct role *r); /* or is about to be started again */

#endif
