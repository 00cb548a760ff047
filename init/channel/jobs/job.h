/* job.h — commands run on a client's behalf. Knows nothing of HTTP or of a dialect.
 *
 *     starting -> running -> ended          (end is told when reaped and drained, see job_end)
 *         \-> failed                        (it never executed: told once, then forgotten)
 *
 * The channel is the parent of its jobs and reaps them. Each job's child announces itself to
 * PID 1, with copies of its pipes, before it executes; PID 1 keeps them (pid1/held.c), so that a
 * job outlives this process: the next channel adopts it.
 *
 * Callbacks are called from the loop, never from within a call of this module.
 */
#ifndef CHANNEL_JOBS_JOB_H
#define CHANNEL_JOBS_JOB_H

#include "channel/jobs/ring.h"
#include "loop/children.h"
#include "svc/wire.h"

enum { JOB_TEXT = 64, JOB_ID_TEXT = 13 };

struct job_spec { /* borrowed during job_start() */
    const char *const *argv;
    const char *const *env; /* NAME=value, put last, over the box's and the user's; a bare NAME
                             * removes it */
    const char *cwd;        /* NULL: the box's, or with a user that user's home; relative: to it */
    const char *user;       /* NULL: as pinnace runs; else the grammar of spawn_req.user */
    const char *tag, *key;  /* "" for none; cut never: too long is refused before */
    uint64_t key_hash;      /* of the request that came with `key` */
    bool stdin_pipe;
    bool pty;
    uint16_t rows, cols;
    span timeout;     /* SPAN_NEVER */
    span kill_after;  /* after the timeout's TERM */
    const char *note; /* words of whoever starts it, kept with it; NULL */
    size_t keep;      /* bytes of output kept; 0: MAX_JOB_OUTPUT's default */
};

enum job_state { JOB_STARTING, JOB_RUNNING, JOB_ENDED, JOB_FAILED };

/* Why a job never executed. */
#define JOB_REASONS(X)                  \
    X(JOB_NOT_FOUND, "not_found")       \
    X(JOB_PERMISSION, "permission")     \
    X(JOB_BAD_CWD, "bad_cwd")           \
    X(JOB_UNKNOWN_USER, "unknown_user") \
    X(JOB_BAD_FORMAT, "bad_format")     \
    X(JOB_TOO_LONG, "too_long")         \
    X(JOB_NO_MEMORY, "no_memory")       \
    X(JOB_LIMIT, "limit")               \
    X(JOB_OTHER, "other")
#define JOB_REASON_ENUM(id, text) id,
enum job_reason { JOB_REASONS(JOB_REASON_ENUM) JOB_NREASONS };
#undef JOB_REASON_ENUM
const char *job_reason_text(enum job_reason r);

struct job_end {
    bool known; /* false: it ended while nobody could see how */
    struct exit_info how;
    bool timed_out, killed, oom; /* killed: a client has sent KILL or TERM before */
};

/* Where a job's leader, such as a shell, has been since when: what it starts from then on can be
 * told from what it has started before. */
struct job_since {
    uint64_t ticks; /* of the clock that /proc has, since boot */
    pid_t last;     /* the newest process of all by then */
};

struct job {
    struct jobs *jobs;
    struct link link; /* in jobs->all: oldest first */
    uint64_t id;      /* 48 bits, never 0: random, then the slot */
    uint32_t slot;    /* of its record */
    enum job_state state;
    pid_t pid;    /* leader of its session; 0 once reaped */
    pid_t leader; /* the same, kept after the end */
    char tag[JOB_TEXT], key[JOB_TEXT];
    uint64_t key_hash;
    char *command; /* argv as a JSON array; cut to fit a record: then the last word ends in "..." */
    char *note;    /* job_spec.note, owned; NULL, also after it was adopted */
    bool pty, stdin_pipe, stdin_open, adopted;
    int64_t started_unix_ms;
    instant started, ended;
    struct ring output;
    struct job_end end;
    enum job_reason reason; /* JOB_FAILED */
    char why[200];          /* JOB_FAILED: in words, with the name concerned */
    unsigned refs;          /* readers; while there is one, or an input, it is not forgotten */
    /* the rest is this module's */
    struct link readers, inputs;
    struct link touched, owing, walked, by_end; /* in lists of `jobs` */
    int fds[JOB_NFDS];
    struct source out, err, exec, in; /* a terminal's room for input is told by `out` */
    struct timer timeout, linger;
    struct child child;
    bool reaped, kill_sent, grown, stalled, gone;
    uint8_t news;             /* whom to tell, before the loop goes on */
    uint32_t owed, shut;      /* to PID 1: kinds of messages; fds that are closed */
    uint64_t sigs, group_had; /* for the tree; those that its group has had already */
    uint64_t later_sigs;      /* for what it has started since: */
    struct job_since since;
    uint64_t ooms;  /* the kernel's count when it was started */
    uint64_t until; /* how far its output was when it ended */
    instant term_at, kill_at;
    span kill_after;
    size_t counted;          /* of its output in jobs.kept */
    char *asked;             /* JOB_STARTING: program, cwd and user, for words about a failure */
    struct attempt *attempt; /* JOB_STARTING: start.c; or NULL */
    uint64_t early_sigs;     /* sent while there is one */
};

struct jobs_args {
    struct loop *loop;
    struct children *children; /* the channel's; SIGCHLD is the caller's to pass on to them, and
                                * SIGPIPE to block or ignore */
    int pid1;                  /* the socket */
    void *table;               /* of records: channel_shared.jobs */
    const char *const *env;
    uint64_t sigmask;
    bool sigchld_ignored;
    struct rlimit nofile;
};

struct jobs {
    struct jobs_args a;
    struct link all;
    size_t n, nrunning, nended;
    size_t kept; /* bytes of output of ended jobs */
    uint64_t started_total, failed_total, timed_out_total, output_total; /* for metrics */
    /* A job has started, ended, failed; may be NULL. */
    void (*changed)(struct jobs *js, struct job *j);

    /* the rest is this module's */
    size_t nfailed;
    size_t max_jobs, max_ended, max_kept; /* from limits.h; smaller ones are for tests */
    struct link gone;                     /* forgotten, but PID 1 does not know it yet */
    struct link by_end;                   /* ended: the earliest first */
    struct link touched, owing, walked;
    struct timer turn;  /* what is to be done before the loop goes on */
    struct timer retry; /* PID 1, the kernel's memory or its processes were at their limit */
    struct job *telling;
    int null, oom; /* /dev/null; the file that counts OOM kills */
    uint64_t slots[MAX_JOBS / 64];
    struct job *memory; /* of MAX_JOBS, by slot, with which an id ends; NULL: there was none */
    struct child walker;
    struct timer walk_limit;
};

void jobs_init(struct jobs *js, const struct jobs_args *a);
/* Let go of everything; the jobs run on, and PID 1 is not told. */
void jobs_fini(struct jobs *js);

/* What PID 1 says of jobs: WIRE_JOB (with fds, which become ours) and WIRE_JOB_ENDED. False: it
 * makes no sense. */
bool jobs_take(struct jobs *js, const struct wire_job *m, int fds[JOB_NFDS]);

/* Start. NULL: *why and `e` say what is wrong, for what shows before the fork (no fds, MAX_JOBS, no
 * terminal). Else the job is JOB_STARTING; what comes of it, its readers are told: attach one
 * before the loop goes on, for a job that failed is gone when nobody reads it. */
struct job *job_start(struct jobs *js, const struct job_spec *spec, enum job_reason *why,
                      struct err *e);

struct job *job_by_id(struct jobs *js, const char *hex);
struct job *job_by_key(struct jobs *js, const char *key);
struct job *job_by_pid(struct jobs *js, pid_t pid);
struct job *job_by_tag(struct jobs *js, const char *tag); /* the newest; running before ended */
const char *job_id_text(const struct job *j, char out[JOB_ID_TEXT]);

/* Forget an ended job and its output. -EBUSY while it runs or somebody reads it. */
int job_forget(struct job *j);

/* --- output ----------------------------------------------------------------------------------- */

struct job_reader {
    struct link link;
    struct job *job; /* NULL: not attached */
    uint64_t at;
    uint64_t until; /* the module's: once the job has ended, how far it is read */
    bool lossless;
    bool holds; /* it reads nothing: only while it is there the job is not forgotten */
    void (*ready)(struct job_reader *r); /* state, output or end have changed: job_read() again */
};

enum job_read { JOB_READ_WAIT, JOB_READ_DATA, JOB_READ_MISSED, JOB_READ_END };

struct job_chunk {
    enum ring_stream stream;
    const char *bytes; /* good until the loop turns */
    size_t n;
    uint64_t missed;
};

/* Attach at offset `from` (-1: at the end of what is there). Offsets past the end wait for it. */
void job_attach(struct job *j, struct job_reader *r, int64_t from, bool lossless);
void job_detach(struct job_reader *r); /* idempotent */

/* What is next for this reader. DATA: then job_took() what was used of it. MISSED: said once, `at`
 * has moved on. END: state is ended or failed, and all output has been read. WAIT: ready() comes.
 */
enum job_read job_read(struct job_reader *r, struct job_chunk *out);
void job_took(struct job_reader *r, size_t n);

/* --- input ------------------------------------------------------------------------------------ */

struct job_input {
    struct link link;
    void (*room)(struct job_input *in); /* called once when job_write() may take more, or -EPIPE */
};

/* Bytes taken, 0 when the pipe is full: then job_await_room(). -EPIPE: nobody reads it, or it is
 * closed; -EBADF: it never was a pipe or terminal. */
ssize_t job_write(struct job *j, const char *bytes, size_t n);
void job_await_room(struct job *j, struct job_input *in);
void job_forgo_room(struct job_input *in); /* idempotent */
/* Does nobody wait for room before it? Who writes messages that may not be mixed with those of
 * others has to ask before each job_write(), and to await room if it is not its turn. */
bool job_is_next(const struct job *j, const struct job_input *in);

/* Bytes of its input that it has not read yet; 0 where there is no pipe. */
size_t job_unread(const struct job *j);

/* End of file. Of a pipe: closes it, here and in PID 1. Of a terminal: -ENOTTY, send ^D. */
int job_close_stdin(struct job *j);
int job_resize(struct job *j, uint16_t rows, uint16_t cols); /* 0; -ENOTTY */

/* --- signals ---------------------------------------------------------------------------------- */

enum job_scope { JOB_TREE, JOB_GROUP, JOB_LEADER };

/* Send `sig` (1..64). TREE: the session, the group, every descendant, and whoever has
 * PINNACE_JOB=id in its environment, found by a fork that walks /proc until a walk finds nobody
 * new. 0; -errno of kill(2); -ESRCH when it has ended. TERM and KILL to the tree of one that has
 * ended still go to whoever it has left behind: -ESRCH then says that nobody of them is known yet.
 */
int job_signal(struct job *j, int sig, enum job_scope scope);

struct job_since job_now(void); /* as of this moment */
/* Send `sig` to what the leader has started since then, and to what came of that; neither to the
 * leader itself nor to anybody who was there before. Also after its end, within seconds of it. 0;
 * -ESRCH: nobody is left of its group. */
int job_signal_since(struct job *j, int sig, struct job_since since);

/* The client that started it has gone and it was not to be detached: HUP to the tree, and KILL 2 s
 * later. Nothing when it has ended. */
void job_abandon(struct job *j);

#endif
