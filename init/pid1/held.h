/* held.h — jobs that would be lost with their channel: PID 1 holds their pipes and remembers how
 * they ended, and reads nothing of it.
 *
 * A job is a child of the channel. When that dies it becomes ours (or our subreaper's), we reap it,
 * and the next channel is told. All of a job is state with marks for what the channel has not been
 * told: nothing is queued, and there is no more of it than MAX_JOBS.
 */
#ifndef PID1_HELD_H
#define PID1_HELD_H

#include "pid1/role.h"

struct held_job {
    uint64_t id;
    uint32_t slot;
    pid_t pid;
    int fds[JOB_NFDS]; /* -1: none, or shut */
    bool adopted;      /* its channel has died: it is our child, or gone */
    bool ended, signaled, core;
    int code;                      /* exit status or signal; -1: nobody has seen it */
    bool untold_whole, untold_end; /* the channel does not know of it; of its end */
};

struct held_jobs {
    struct held_job *list; /* MAX_JOBS; touched as far as used */
    size_t n, running;     /* those held; those of them that have not ended */
    size_t untold;         /* marks that are set */
    struct children *children;
    struct role *channel;
    pid_t dead;    /* reaped, and not yet recorded; 0 */
    int most_fd;   /* higher ones are not held: PID 1 needs some itself */
    bool told_few; /* that there were too few has been logged */
};

int held_init(struct held_jobs *js, struct children *cs, struct role *channel, struct err *e);
void held_fini(struct held_jobs *js);

/* The channel has spoken of a job. Takes of fds[] what it keeps. */
void held_said(struct held_jobs *js, const struct wire_job *m, int fds[JOB_NFDS]);

/* Somebody was reaped whom nobody has registered: a job of a channel that has died? */
void held_orphan(struct held_jobs *js, struct exit_info how);

/* The channel has ended, and all that it said was heard. */
void held_adopt(struct held_jobs *js);

/* A new channel knows of none. */
void held_forgotten(struct held_jobs *js);

/* Tell the channel what it does not know. False: it is behind. */
bool held_pump(struct held_jobs *js);

/* Tell those that have a terminal that it hangs up, which is what ends an interactive shell: it
 * ignores TERM. */
void held_hang_up(const struct held_jobs *js, struct sys *sys);

/* Does any of them still run, as far as we have heard? */
static inline bool held_run(const struct held_jobs *js) { return js->running > 0; }

#endif
