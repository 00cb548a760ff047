/* t_job.h — a channel with nothing but jobs, and a PID 1 that holds what it is told, in one loop.
 * Jobs are real processes; the wire is a real one. For t_job*.c.
 */
#ifndef TESTS_T_JOB_H
#define TESTS_T_JOB_H

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "base/limits.h"
#include "base/own.h"
#include "channel/jobs/job.h"
#include "sys/signals.h"
#include "tests/unit/tap.h"

#define ARGV(...) ((const char *const[]){ __VA_ARGS__, NULL })
#define SH(text)  ARGV("sh", "-c", text)
/* A script that waits for what comes, but not for ever: a test may be killed, and this stays. */
#define WAIT "i=0; while [ $((i += 1)) -lt 1000 ]; do sleep 0.02; done"

static struct sys sys;
static struct loop loop;
static struct children children;
static struct jobs js;
static void *table;

/* What jobs get; not const, for the child's putenv(3) writes into it. */
static const char *box_env[] = { "PATH=/usr/local/bin:/usr/bin:/bin", "HOME=/box", "BASE=1", NULL };

/* --- PID 1 ------------------------------------------------------------------------------------ */

enum { HELD = 2048 };
static struct held {
    struct wire_job m; /* as it was announced; kind 0: free */
    int fds[JOB_NFDS];
    bool ended;
    struct wire_job end;
} held[HELD];
static struct source pid1;
static int wire_jobs, wire_ended, wire_done, wire_strange;

static struct held *held_by_id(uint64_t id) {
    for (int i = 0; i < HELD; i++)
        if (held[i].m.head.kind && held[i].m.id == id)
            return &held[i];
    return NULL;
}

static void pid1_drop(struct held *h, uint32_t bits) {
    for (int i = 0; i < JOB_NFDS; i++)
        if (bits & 1U << i)
            fd_close(&h->fds[i]);
}

static void pid1_take(const struct wire_job *m, int fds[JOB_NFDS]) {
    struct held *h = held_by_id(m->id);
    if (m->head.kind == WIRE_JOB) {
        wire_jobs++;
        if (h) /* a second attempt */
            pid1_drop(h, ~0U), h->m.head.kind = 0;
        h = held;
        while (h->m.head.kind)
            h++;
        *h = (struct held){ .m = *m };
        for (int i = 0; i < JOB_NFDS; i++)
            h->fds[i] = fd_take(&fds[i]);
    } else if (m->head.kind == WIRE_JOB_SHUT && h) {
        pid1_drop(h, m->fds);
    } else if (m->head.kind == WIRE_JOB_ENDED && h) {
        wire_ended++;
        pid1_drop(h, m->fds);
        h->ended = true;
        h->end = *m;
    } else if (m->head.kind == WIRE_JOB_DONE) {
        wire_done++;
        if (h)
            pid1_drop(h, ~0U), h->m.head.kind = 0;
    } else {
        for (int i = 0; i < HELD; i++) /* one killed before it was announced is none */
            if (held[i].m.id == m->id || m->head.kind == WIRE_JOB) {
                wire_strange++;
                printf("# job %llx: message %d\n", (unsigned long long)m->id, m->head.kind);
            }
    }
}

static void pid1_ready(struct source *s, uint32_t got) {
    (void)got;
    union wire_any m;
    int fds[JOB_NFDS];
    while (wire_recv_fds(s->fd, &m, fds) > 0)
        pid1_take(&m.job, fds);
}

static inline int pid1_fds(const struct job *j) {
    struct held *h = held_by_id(j->id);
    int bits = 0;
    for (int i = 0; h && i < JOB_NFDS; i++)
        bits |= h->fds[i] >= 0 ? 1 << i : 0;
    return bits;
}

/* --- the channel ------------------------------------------------------------------------------ */

static struct source sigchld;
static int sock, changes;

static void sigchld_ready(struct source *s, uint32_t got) {
    (void)got;
    struct signalfd_siginfo si;
    while (signals_read(s->fd, &si) > 0)
        children_reap(&children, (pid_t)si.ssi_pid);
}

static void changed(struct jobs *all, struct job *j) {
    (void)all, (void)j;
    changes++;
}

static void jobs_open(void) {
    struct jobs_args a = { .loop = &loop,
                           .children = &children,
                           .pid1 = sock,
                           .table = table,
                           .env = box_env,
                           .nofile = { 1024, 4096 } };
    jobs_init(&js, &a);
    js.changed = changed;
}

/* The loop of a channel, without PID 1's part in it. */
static void loop_open(void) {
    (void)loop_init(&loop, &sys);
    children_init(&children, &loop);
    sigchld = (struct source){ .fd = signals_open(SIGNAL_BIT(SIGCHLD)),
                               .want = EPOLLIN,
                               .ready = sigchld_ready };
    (void)loop_watch(&loop, &sigchld);
}

static void channel_open(void) {
    int pair[2];
    (void)!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair);
    sys_linux_init(&sys);
    (void)signals_block(SIGNALS_ALL & ~(SIGNAL_BIT(SIGALRM) | SIGNAL_BIT(SIGINT)));
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1); /* what jobs leave behind is not to outlive the test */
    (void)alarm(120);
    loop_open();
    table = mmap(NULL, (size_t)MAX_JOBS * JOB_RECORD_BYTES, PROT_READ | PROT_WRITE,
                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    sock = pair[0];
    pid1 = (struct source){ .fd = pair[1], .want = EPOLLIN, .ready = pid1_ready };
    (void)loop_watch(&loop, &pid1);
    for (int i = 0; i < HELD; i++)
        for (int k = 0; k < JOB_NFDS; k++)
            held[i].fds[k] = -1;
    jobs_open();
}

static void channel_close(void) {
    jobs_fini(&js);
    for (int i = 0; i < HELD; i++)
        pid1_drop(&held[i], ~0U);
    children_fini(&children);
    loop_unwatch(&pid1);
    loop_unwatch(&sigchld);
    fd_close(&pid1.fd);
    fd_close(&sigchld.fd);
    fd_close(&sock);
    loop_fini(&loop);
}

static void nothing(struct timer *t) { (void)t; }

static inline int64_t now_ms(void) { return sys.now(&sys).ns / 1000000; }

/* Turn the loop until `cond`, or 10 s are over. */
#define UNTIL(cond)                               \
    do {                                          \
        struct timer tick = { .fire = nothing };  \
        int64_t give_up = now_ms() + 10000;       \
        while (!(cond) && now_ms() < give_up) {   \
            timer_arm(&loop, &tick, span_ms(50)); \
            (void)loop_turn(&loop);               \
        }                                         \
        timer_stop(&tick);                        \
    } while (0)

static inline void turn_for(int ms) {
    int64_t end = now_ms() + ms;
    UNTIL(now_ms() >= end);
}

/* --- a client --------------------------------------------------------------------------------- */

struct client {
    struct job_reader r;
    char out[1 << 16], err[1 << 16]; /* the first of it */
    size_t nout, nerr;
    uint64_t missed;
    int ready, nmissed;
    bool ended, lazy; /* lazy: does not read by itself */
    size_t most;      /* bytes taken at once; 0: all */
};

static inline void client_read(struct client *c) {
    struct job_chunk k;
    while (c->r.job && !c->ended) {
        switch (job_read(&c->r, &k)) {
        case JOB_READ_DATA: {
            bool err = k.stream == RING_STDERR;
            size_t *n = err ? &c->nerr : &c->nout;
            size_t took = c->most && c->most < k.n ? c->most : k.n;
            for (size_t i = 0; i < took; i++, (*n)++)
                if (*n < sizeof c->out - 1)
                    (err ? c->err : c->out)[*n] = k.bytes[i];
            job_took(&c->r, took);
            break;
        }
        case JOB_READ_MISSED:
            c->missed += k.missed;
            c->nmissed++;
            break;
        case JOB_READ_END:
            c->ended = true;
            break;
        case JOB_READ_WAIT:
            return;
        }
    }
}

static void client_ready(struct job_reader *r) {
    struct client *c = CONTAINER_OF(r, struct client, r);
    c->ready++;
    if (!c->lazy)
        client_read(c);
}

static inline void attach(struct client *c, struct job *j, int64_t from, bool lossless) {
    memset(c, 0, sizeof *c);
    c->r.ready = client_ready;
    job_attach(j, &c->r, from, lossless);
}

static inline struct job_spec spec(const char *const *argv) {
    return (struct job_spec){
        .argv = argv, .timeout = SPAN_NEVER, .kill_after = span_ms(2000), .tag = "", .key = ""
    };
}

static enum job_reason refused;
static struct err refusal;

static inline struct job *start(struct job_spec s) {
    return job_start(&js, &s, &refused, &refusal);
}

/* Start, and be there to its end; the client stays attached. */
static inline struct job *run(struct client *c, struct job_spec s) {
    struct job *j = start(s);
    if (!j) {
        printf("# refused: %s\n", refusal.text);
        return NULL;
    }
    attach(c, j, 0, false);
    UNTIL(c->ended);
    return j;
}

static inline void forget(struct client *c) {
    struct job *j = c->r.job;
    job_detach(&c->r);
    if (j && j->state == JOB_ENDED)
        (void)job_forget(j);
}

#endif
