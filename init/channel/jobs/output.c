#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/bug.h"
#include "base/limits.h"
#include "channel/jobs/private.h"

/* --- watching ------------------------------------------------------------------------------- */

static void watch(struct job *j, struct source *s, enum job_fd which, uint32_t want) {
    if (j->fds[which] < 0 || want == 0) {
        loop_unwatch(s);
        return;
    }
    if (s->loop && s->want == want)
        return;
    s->fd = j->fds[which];
    s->want = want;
    if (loop_watch(j->jobs->a.loop, s) < 0)
        jobs_retry_later(j->jobs);
}

/* A stalled one is not watched at all: a hangup would be told again and again. */
void job_watch(struct job *j) {
    uint32_t room = list_empty(&j->inputs) ? 0 : EPOLLOUT;
    uint32_t data = j->stalled ? 0 : EPOLLIN;
    watch(j, &j->exec, JOB_EXEC, EPOLLIN);
    watch(j, &j->out, JOB_STDOUT, data && j->pty ? data | room : data);
    watch(j, &j->err, JOB_STDERR, data);
    watch(j, &j->in, JOB_STDIN, room);
}

static void exec_ready(struct source *s, uint32_t got) {
    (void)got;
    job_exec_settle(CONTAINER_OF(s, struct job, exec));
}

static void closed(struct job *j, enum job_fd which) {
    job_close_fd(j, which);
    if (j->reaped)
        job_owe(j, WIRE_JOB_SHUT);
    job_may_end(j);
}

/* A pipe that has hung up, and has nothing in it, is not worth memory for the ring. */
static void read_or_close(struct job *j, enum job_fd which, uint32_t got) {
    if (got == EPOLLHUP && !j->pty)
        closed(j, which);
    else
        (void)job_drain(j, which);
}

static void out_ready(struct source *s, uint32_t got) {
    struct job *j = CONTAINER_OF(s, struct job, out);
    if (!list_empty(&j->inputs) && (got & ~(uint32_t)EPOLLIN))
        job_touch(j, NEWS_ROOM);
    if (got & ~(uint32_t)EPOLLOUT)
        read_or_close(j, JOB_STDOUT, got);
}

static void err_ready(struct source *s, uint32_t got) {
    read_or_close(CONTAINER_OF(s, struct job, err), JOB_STDERR, got);
}

static void in_ready(struct source *s, uint32_t got) {
    (void)got;
    job_touch(CONTAINER_OF(s, struct job, in), NEWS_ROOM);
}

void job_sources_init(struct job *j) {
    j->exec.ready = exec_ready;
    j->out.ready = out_ready;
    j->err.ready = err_ready;
    j->in.ready = in_ready;
}

/* --- into the ring -------------------------------------------------------------------------- */

/* Up to where its readers allow to overwrite. */
static uint64_t hold(const struct job *j) {
    uint64_t least = UINT64_MAX;
    for (struct link *l = j->readers.next; l != &j->readers; l = l->next) {
        const struct job_reader *r = CONTAINER_OF(l, struct job_reader, link);
        if (r->lossless && r->at < least)
            least = r->at;
    }
    return least;
}

bool job_held(const struct job *j) { return hold(j) < j->output.to; }

static void stall(struct job *j) {
    j->stalled = true;
    job_watch(j);
    if (!job_held(j)) /* there was no memory */
        jobs_retry_later(j->jobs);
}

/* Not for every byte: a quarter of the ring, or all of it. */
void job_resume(struct job *j) {
    uint64_t unread = job_held(j) ? j->output.to - hold(j) : 0;
    if (unread > 0 && unread > j->output.max - j->output.max / 4)
        return;
    j->stalled = false;
    job_watch(j);
}

static void took_in(struct job *j, enum job_fd which, size_t n) {
    j->jobs->output_total += n;
    record_output(j);
    job_count(j);
    job_touch(j, NEWS_READERS);
    /* Only of one that needs it: what all pipes of a user may have is bounded (pipe(7)), and new
     * ones are made small then. */
    if (n >= 65536 && !j->grown && !j->pty) {
        j->grown = true;
        (void)fcntl(j->fds[which], F_SETPIPE_SZ, JOB_PIPE);
    }
}

/* A read that is not filled was all there is: no second one to learn that. But a terminal gives
 * no more than a page or a line at a time. */
size_t job_drain(struct job *j, enum job_fd which) {
    enum ring_stream stream = which == JOB_STDERR ? RING_STDERR : RING_STDOUT;
    size_t total = 0, room;
    ssize_t n = 0;
    do {
        char *at;
        room = ring_room(&j->output, hold(j), &at);
        if (room == 0) {
            stall(j);
            break;
        }
        room = room < JOB_READ_TURN - total ? room : JOB_READ_TURN - total;
        n = read(j->fds[which], at, room);
        if (n <= 0)
            break;
        ring_filled(&j->output, stream, (size_t)n);
        total += (size_t)n;
    } while (total < JOB_READ_TURN && ((size_t)n == room || j->pty || n >= JOB_BULK));
    bool ended = room > 0 && (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR));
    if (total > 0)
        took_in(j, which, total);
    if (ended) /* of a terminal that is EIO: nobody has it open */
        closed(j, which);
    return total;
}

/* --- readers -------------------------------------------------------------------------------- */

void job_attach(struct job *j, struct job_reader *r, int64_t from, bool lossless) {
    job_detach(r);
    r->job = j;
    r->at = from < 0 ? j->output.to : (uint64_t)from;
    r->until = job_over(j) ? j->output.to : 0;
    r->lossless = lossless;
    j->refs++;
    list_insert_before(&j->readers, &r->link);
}

void job_detach(struct job_reader *r) {
    struct job *j = r->job;
    if (!j)
        return;
    list_remove(&r->link);
    r->job = NULL;
    j->refs--;
    if (j->stalled)
        job_resume(j);
    if (job_over(j))
        jobs_turn_soon(j->jobs);
}

enum job_read job_read(struct job_reader *r, struct job_chunk *out) {
    *out = (struct job_chunk){ .n = 0 };
    const struct job *j = r->job;
    if (BUG_ON(!j))
        return JOB_READ_END;
    if (r->at < j->output.from) {
        out->missed = j->output.from - r->at;
        r->at = j->output.from;
        return JOB_READ_MISSED;
    }
    if (job_over(j) && r->at >= r->until && r->at >= j->until)
        return JOB_READ_END;
    out->n = ring_peek(&j->output, r->at, &out->stream, &out->bytes);
    return out->n > 0 ? JOB_READ_DATA : JOB_READ_WAIT;
}

void job_took(struct job_reader *r, size_t n) {
    r->at += n;
    if (r->job && r->job->stalled)
        job_resume(r->job);
}
