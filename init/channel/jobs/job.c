#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/bug.h"
#include "base/own.h"
#include "channel/jobs/private.h"

const char *job_reason_text(enum job_reason r) {
#define JOB_REASON_TEXT(id, text) [id] = text,
    static const char *const texts[JOB_NREASONS] = { JOB_REASONS(JOB_REASON_TEXT) };
#undef JOB_REASON_TEXT
    return r < JOB_NREASONS ? texts[r] : "other";
}

const char *job_id_text(const struct job *j, char out[JOB_ID_TEXT]) {
    (void)snprintf(out, JOB_ID_TEXT, "%012" PRIx64, j->id);
    return out;
}

/* --- finding -------------------------------------------------------------------------------- */

#define FOR_EACH_JOB(j, js)                                                                      \
    for (struct job *j = CONTAINER_OF((js)->all.next, struct job, link); &j->link != &(js)->all; \
         j = CONTAINER_OF(j->link.next, struct job, link))

struct job *job_by_number(struct jobs *js, uint64_t id) {
    struct job *j = js->memory ? &js->memory[id % MAX_JOBS] : NULL;
    return j && id != 0 && j->id == id && !j->gone ? j : NULL;
}

/* Only as job_id_text() writes it: twelve lower-case digits. */
struct job *job_by_id(struct jobs *js, const char *hex) {
    if (strlen(hex) != JOB_ID_TEXT - 1 || strspn(hex, "0123456789abcdef") != JOB_ID_TEXT - 1)
        return NULL;
    return job_by_number(js, strtoull(hex, NULL, 16));
}

/* One that failed does not count: the same request may be made again. */
struct job *job_by_key(struct jobs *js, const char *key) {
    struct job *found = NULL;
    FOR_EACH_JOB(j, js)
    if (j->key[0] && j->state != JOB_FAILED && strcmp(j->key, key) == 0)
        found = j;
    return found;
}

static bool is_better(const struct job *found, const struct job *j) {
    return !found || !job_over(j) || job_over(found); /* they come oldest first */
}

struct job *job_by_pid(struct jobs *js, pid_t pid) {
    struct job *found = NULL;
    FOR_EACH_JOB(j, js)
    if (j->leader == pid && j->state != JOB_FAILED && is_better(found, j))
        found = j;
    return found;
}

struct job *job_by_tag(struct jobs *js, const char *tag) {
    struct job *found = NULL;
    FOR_EACH_JOB(j, js)
    if (j->state != JOB_FAILED && strcmp(j->tag, tag) == 0 && is_better(found, j))
        found = j;
    return found;
}

/* --- coming and going ----------------------------------------------------------------------- */

uint32_t jobs_free_slot(const struct jobs *js) {
    for (uint32_t i = 0; i < MAX_JOBS / 64; i++)
        if (~js->slots[i])
            return i * 64 + (uint32_t)__builtin_ctzll(~js->slots[i]);
    return MAX_JOBS;
}

struct job *job_new(struct jobs *js, uint64_t id, uint32_t slot) {
    struct job *j = js->memory ? &js->memory[slot] : NULL;
    if (!j)
        return NULL;
    *j = (struct job){ .jobs = js, .id = id, .slot = slot };
    js->slots[slot / 64] |= UINT64_C(1) << slot % 64;
    for (int i = 0; i < JOB_NFDS; i++)
        j->fds[i] = -1;
    list_init(&j->readers);
    list_init(&j->inputs);
    job_sources_init(j);
    job_timers_init(j);
    j->child.exited = job_exited;
    list_insert_before(&js->all, &j->link);
    js->n++;
    js->nrunning++;
    return j;
}

void job_close_fd(struct job *j, enum job_fd which) {
    struct source *const sources[JOB_NFDS] = { &j->in, &j->out, &j->err, &j->exec };
    loop_unwatch(sources[which]);
    if (j->fds[which] >= 0)
        j->shut |= 1U << which;
    fd_close(&j->fds[which]);
}

/* What a job holds but its memory. */
static void let_go(struct job *j) {
    for (int i = 0; i < JOB_NFDS; i++)
        job_close_fd(j, (enum job_fd)i);
    timer_stop(&j->timeout);
    timer_stop(&j->linger);
    children_forget(&j->child);
    if (!j->pid) /* else its process may still be in there */
        job_attempt_free(j);
    ring_free(&j->output);
    job_count(j);
    list_remove(&j->touched);
    list_remove(&j->by_end);
}

static void job_free(struct job *j) {
    list_remove(&j->owing);
    list_remove(&j->walked);
    list_remove(&j->link);
    free(j->command);
    free(j->asked);
    free(j->note);
    *j = (struct job){ 0 };
}

static void uncount(struct job *j) {
    struct jobs *js = j->jobs;
    js->n--;
    if (j->state == JOB_ENDED)
        js->nended--;
    else if (j->state == JOB_FAILED)
        js->nfailed--;
    else
        js->nrunning--;
}

static void free_slot(struct job *j) {
    struct jobs *js = j->jobs;
    record_clear(js, j->slot);
    js->slots[j->slot / 64] &= ~(UINT64_C(1) << j->slot % 64);
    job_free(j);
}

void job_discard(struct job *j) {
    uncount(j);
    let_go(j);
    free_slot(j);
}

/* It stays in `gone` until PID 1 knows, for its slot must not be another's before, and until what
 * was to be signalled is. A KILL that was still to come, comes now. */
static void dispose(struct job *j) {
    struct jobs *js = j->jobs;
    uncount(j);
    if (!instant_is_never(j->kill_at))
        job_send_tree(j, SIGKILL);
    let_go(j);
    if (js->telling == j)
        js->telling = NULL;
    list_remove(&j->link);
    list_insert_before(&js->gone, &j->link);
    j->gone = true;
    job_tell(j, WIRE_JOB_DONE);
}

void job_gone_free(struct job *j) {
    if (j->gone && !j->owed && !j->sigs && !j->later_sigs)
        free_slot(j);
}

static bool is_used(const struct job *j) { return j->refs > 0 || !list_empty(&j->inputs); }

int job_forget(struct job *j) {
    if (!job_over(j) || is_used(j))
        return -EBUSY;
    dispose(j);
    return 0;
}

/* --- retention ------------------------------------------------------------------------------ */

void job_count(struct job *j) {
    size_t now = j->state == JOB_ENDED ? ring_len(&j->output) : 0;
    j->jobs->kept += now - j->counted;
    j->counted = now;
    if (j->jobs->kept > j->jobs->max_kept)
        jobs_turn_soon(j->jobs);
}

static bool is_open(const struct job *j) {
    return j->fds[JOB_STDOUT] >= 0 || j->fds[JOB_STDERR] >= 0;
}

/* The one that ended first and that nobody uses. One whose pipes are still open, for they are some
 * daemon's, which would die of it, only if there are no others, used or not; or if it `must` be. */
static struct job *expendable(const struct jobs *js, bool must) {
    struct job *open = NULL;
    bool open_may_go = true;
    for (struct link *l = js->by_end.next; l != &js->by_end; l = l->next) {
        struct job *j = CONTAINER_OF(l, struct job, by_end);
        if (!is_open(j) && !is_used(j))
            return j;
        if (!is_open(j))
            open_may_go = must;
        else if (!is_used(j) && !open)
            open = j;
    }
    return open_may_go ? open : NULL;
}

bool jobs_make_room(struct jobs *js) {
    struct job *j = js->n < js->max_jobs ? NULL : expendable(js, true);
    if (j) {
        dispose(j);
        job_gone_free(j); /* its slot is wanted now */
    }
    return js->n < js->max_jobs;
}

static void keep_limits(struct jobs *js) {
    for (struct job *j; js->nended > js->max_ended && (j = expendable(js, false));)
        dispose(j);
    struct link *l = js->by_end.next;
    for (; js->kept > js->max_kept && l != &js->by_end; l = l->next) {
        struct job *j = CONTAINER_OF(l, struct job, by_end);
        if (j->counted == 0 || job_held(j))
            continue;
        ring_trim(&j->output, 0);
        job_count(j);
        job_touch(j, NEWS_READERS);
    }
}

static void forget_failed(struct jobs *js) {
    for (struct link *l = js->all.next, *next; js->nfailed > 0 && l != &js->all; l = next) {
        struct job *j = CONTAINER_OF(l, struct job, link);
        next = l->next;
        if (j->state == JOB_FAILED && !is_used(j) && !j->news)
            dispose(j);
    }
}

/* --- a turn --------------------------------------------------------------------------------- */

void jobs_turn_soon(struct jobs *js) {
    if (!timer_armed(&js->turn))
        timer_arm(js->a.loop, &js->turn, span_ms(0));
}

void jobs_retry_later(struct jobs *js) {
    if (!timer_armed(&js->retry))
        timer_arm(js->a.loop, &js->retry, span_ms(JOB_RETRY_MS));
}

void job_touch(struct job *j, int news) {
    j->news = (uint8_t)(j->news | news);
    if (!j->touched.next)
        list_insert_before(&j->jobs->touched, &j->touched);
    jobs_turn_soon(j->jobs);
}

/* Each reader goes to the end of the list before it is called, for it may remove itself and others.
 * Some may be called twice then, which harms nobody. `telling` is NULL once the job is gone. */
static void tell(struct job *j) {
    struct jobs *js = j->jobs;
    int news = j->news;
    j->news = 0;
    js->telling = j;
    if ((news & NEWS_CHANGED) && js->changed)
        js->changed(js, j);
    if (js->telling && (news & NEWS_ROOM))
        job_room(j);
    for (unsigned n = js->telling && (news & NEWS_READERS) ? j->refs : 0; n > 0; n--) {
        if (!js->telling || list_empty(&j->readers))
            break;
        struct job_reader *r = CONTAINER_OF(j->readers.next, struct job_reader, link);
        list_remove(&r->link);
        list_insert_before(&j->readers, &r->link);
        r->ready(r);
    }
    js->telling = NULL;
}

static void pay_debts(struct jobs *js) {
    while (!list_empty(&js->owing)) {
        struct job *j = CONTAINER_OF(js->owing.next, struct job, owing);
        if (!job_pay(j)) {
            jobs_retry_later(js);
            return;
        }
        list_remove(&j->owing);
        job_gone_free(j);
    }
}

/* What is touched meanwhile waits for the next turn, or two jobs could keep the loop here. */
static void turn(struct timer *t) {
    struct jobs *js = CONTAINER_OF(t, struct jobs, turn);
    struct link now;
    list_init(&now);
    while (!list_empty(&js->touched)) {
        struct link *l = js->touched.next;
        list_remove(l);
        list_insert_before(&now, l);
    }
    while (!list_empty(&now)) {
        struct job *j = CONTAINER_OF(now.next, struct job, touched);
        list_remove(&j->touched);
        tell(j);
    }
    forget_failed(js);
    keep_limits(js);
    jobs_walk(js);
    pay_debts(js);
}

static void retry(struct timer *t) {
    struct jobs *js = CONTAINER_OF(t, struct jobs, retry);
    FOR_EACH_JOB(j, js)
    job_resume(j);
    jobs_turn_soon(js);
}

/* --- all ------------------------------------------------------------------------------------ */

/* A place for each slot. No child has it, for what a fork copies is paid for by each start, and
 * jobs that are kept would be most of it. */
static struct job *jobs_map(void) {
    void *at = mmap(NULL, MAX_JOBS * sizeof(struct job), PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED)
        return NULL;
    (void)madvise(at, MAX_JOBS * sizeof(struct job), MADV_DONTFORK);
    return at;
}

void jobs_init(struct jobs *js, const struct jobs_args *a) {
    *js = (struct jobs){ .a = *a,
                         .max_jobs = MAX_JOBS,
                         .max_ended = MAX_JOBS_ENDED,
                         .max_kept = MAX_OUTPUT_KEPT,
                         .turn.fire = turn,
                         .retry.fire = retry,
                         .memory = jobs_map(),
                         .null = -1,
                         .oom = -1 };
    list_init(&js->all);
    list_init(&js->gone);
    list_init(&js->by_end);
    list_init(&js->touched);
    list_init(&js->owing);
    list_init(&js->walked);
    jobs_walk_init(js);
    a->children->no_orphans = true; /* a channel inherits no children */
    (void)jobs_null(js, NULL);
    jobs_find_counter(js);
}

void jobs_fini(struct jobs *js) {
    struct link *const lists[] = { &js->all, &js->gone };
    for (size_t i = 0; i < 2; i++)
        while (!list_empty(lists[i])) {
            struct job *j = CONTAINER_OF(lists[i]->next, struct job, link);
            BUG_ON(j->refs > 0);
            let_go(j);
            job_free(j);
        }
    timer_stop(&js->turn);
    timer_stop(&js->retry);
    timer_stop(&js->walk_limit);
    children_forget(&js->walker);
    fd_close(&js->null);
    fd_close(&js->oom);
    if (js->memory)
        (void)munmap(js->memory, MAX_JOBS * sizeof(struct job));
    js->memory = NULL;
}
