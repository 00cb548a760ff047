/* private.h — what the parts of the module know of each other.
 *
 *     job.c     all jobs: found, kept, forgotten; when whom to tell
 *     start.c   pipes or a terminal, the spawn, what came of it
 *     output.c  from the pipes into the ring, and readers
 *     input.c   stdin, and the terminal's size
 *     end.c     reaped, drained, ended; timeouts; whether the kernel killed it for memory
 *     tree.c    signals, and when to walk
 *     walk.c    the walk itself: a fork's, for it reads what others wrote
 *     record.c  what outlives this process, and what PID 1 says and is told
 *     ring.c    output in memory
 *
 * Nothing calls back out of a public call: whom something concerns is noted with job_touch() and
 * told by the timer jobs.turn, which fires when the sources of the same turn are done.
 */
#ifndef JOBS_PRIVATE_H
#define JOBS_PRIVATE_H

#include "channel/jobs/job.h"

enum {
    JOB_LINGER_MS = 100,        /* from the end of the leader to that of the job, at most */
    JOB_ABANDON_MS = 2000,      /* from HUP to KILL */
    JOB_LOST_MS = 1000,         /* for PID 1 to say how a vanished process ended */
    JOB_RETRY_MS = 10,          /* until something that was at a limit is tried again */
    JOB_ANNOUNCE_MS = 10000,    /* for PID 1 to take what a starting job says of itself */
    JOB_BULK = 4096,            /* bytes of a read after which another one is worth it */
    JOB_READ_TURN = 256 * 1024, /* bytes read of one pipe before others have their turn */
    JOB_PIPE = 256 * 1024,      /* of a pipe that was seen full (fcntl(2), F_SETPIPE_SZ) */
    JOB_WALK_LIMIT_MS = 5000,   /* a walk that hangs in /proc is killed */
};

enum { NEWS_CHANGED = 1, NEWS_READERS = 2, NEWS_ROOM = 4 };

/* --- job.c */

struct job *job_by_number(struct jobs *js, uint64_t id); /* its id */
void job_touch(struct job *j, int news);
void jobs_turn_soon(struct jobs *js);
void jobs_retry_later(struct jobs *js);
/* A job with a slot, an id and nothing else; NULL with why. In `all`, so count it or discard it. */
struct job *job_new(struct jobs *js, uint64_t id, uint32_t slot);
void job_count(struct job *j);   /* its kept output, after a change */
void job_discard(struct job *j); /* before PID 1 has heard of it */
void job_gone_free(struct job *j);
uint32_t jobs_free_slot(const struct jobs *js); /* MAX_JOBS: none */
bool jobs_make_room(struct jobs *js);
void job_close_fd(struct job *j, enum job_fd which);

static inline bool job_over(const struct job *j) {
    return j->state == JOB_ENDED || j->state == JOB_FAILED;
}

/* --- start.c */

int jobs_null(struct jobs *js, struct err *e); /* open /dev/null */
void job_exec_settle(struct job *j);           /* read what came of the exec, if that is known */
bool job_again(struct job *j); /* its process is reaped: was it only the first attempt? */
void job_attempt_free(struct job *j);

/* --- output.c */

void job_sources_init(struct job *j);
void job_watch(struct job *j); /* what is to be watched follows from the job's state */
size_t job_drain(struct job *j, enum job_fd which); /* bytes read now, at most JOB_READ_TURN */
void job_resume(
    struct job *j); /* a stalled one, if it may be: a reader has moved, memory is back */
bool job_held(const struct job *j); /* a lossless reader has not read all of it */

/* --- input.c */

void job_room(struct job *j); /* tell the inputs; from the loop only */

/* --- end.c */

void job_reaped(struct job *j, const struct exit_info *how); /* NULL: nobody knows how */
void job_exited(struct child *c, struct exit_info how);
void job_may_end(struct job *j); /* if it is reaped, and its pipes are closed */
void job_timers_init(struct job *j);
void job_arm(struct job *j);
void jobs_find_counter(struct jobs *js); /* of the kernel's kills for memory */
uint64_t jobs_ooms(const struct jobs *js);

/* --- tree.c */

void job_send_tree(struct job *j, int sig);
void job_send_early(struct job *j); /* what was sent before it could be */
void jobs_walk(struct jobs *js);    /* start a walk if one is due and none runs */
void jobs_walk_init(struct jobs *js);

/* --- walk.c */

struct walk_target {
    uint64_t id;
    pid_t leader;
    bool leads; /* the leader has not been reaped: what is in its session is the job's */
    uint64_t sigs, group_had;
    bool below; /* only what was started since, and not the leader; `id` is 0 */
    struct job_since since;
};

struct walk {
    struct walk_target *targets;
    size_t n;
};

/* Signal the trees of all targets. For a fork; never the ancestors of the caller. 0, or 1. */
int walk_run(void *walk);

/* --- record.c */

void record_create(const struct job *j);
void record_write(const struct job *j);  /* what may have changed */
void record_output(const struct job *j); /* how far its output is */
void record_clear(struct jobs *js, uint32_t slot);
char *record_command(const char *const *argv); /* see job.command; NULL: no memory */

/* To be told to PID 1: a kind of message of wire.h. */
void job_owe(struct job *j, enum wire_kind kind);
/* At once, if that can be: a client may be answered in this turn, and we be killed in it. */
void job_tell(struct job *j, enum wire_kind kind);
bool job_pay(struct job *j); /* false: PID 1 is behind, try again */

#endif
