/* kill.c — processes that are told to end: TERM to the whole tree, KILL 5 s later to what is left
 * of it. The answer comes when all of them have ended.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#include "channel/cloudflare/process.h"

enum { PATIENCE_MS = 5000 };

struct killing {
    struct http_exchange *x; /* NULL: the client has gone, or has been answered */
    struct channel *channel;
    void (*answer)(struct http_exchange *x, size_t count);
    size_t count, awaited; /* processes; those that have not ended */
    size_t targets;        /* that still point here */
};

struct target {
    struct killing *all;
    struct job_reader reader; /* so that the job stays */
    struct timer patience;
    bool ended;
};

static void killing_let_go(struct killing *k) {
    if (k->targets == 0 && !k->x)
        free(k);
}

static void target_free(struct target *t) {
    struct killing *k = t->all;
    timer_stop(&t->patience);
    job_detach(&t->reader);
    free(t);
    k->targets--;
    killing_let_go(k);
}

/* What has outlived its leader is given the same time. */
static void kill_now(struct timer *timer) {
    struct target *t = CONTAINER_OF(timer, struct target, patience);
    (void)job_signal(t->reader.job, SIGKILL, JOB_TREE);
    if (t->ended)
        target_free(t);
}

static void tell(struct killing *k) {
    if (k->awaited == 0 && k->x)
        k->answer(k->x, k->count);
}

/* Of output only the end is of interest. */
static void news(struct job_reader *r) {
    struct target *t = CONTAINER_OF(r, struct target, reader);
    struct job_chunk c;
    enum job_read got;
    while ((got = job_read(r, &c)) == JOB_READ_DATA || got == JOB_READ_MISSED)
        job_took(r, c.n);
    if (got != JOB_READ_END || t->ended)
        return;
    struct killing *k = t->all;
    t->ended = true;
    k->awaited--;
    tell(k);
}

static bool add(struct killing *k, struct job *j) {
    struct target *t = calloc(1, sizeof *t);
    if (!t)
        return false;
    t->all = k;
    t->reader.ready = news;
    t->patience.fire = kill_now;
    job_attach(j, &t->reader, -1, false);
    k->count++;
    k->awaited++;
    k->targets++;
    (void)job_signal(j, SIGTERM, JOB_TREE);
    timer_arm(&k->channel->loop, &t->patience, span_ms(PATIENCE_MS));
    return true;
}

static void over(struct http_exchange *x, bool cut) {
    (void)cut;
    struct killing *k = x->ctx;
    k->x = NULL;
    killing_let_go(k);
}

static const struct http_handler kill_handler = { .over = over };

static struct killing *killing_new(struct http_exchange *x,
                                   void (*answer)(struct http_exchange *x, size_t count)) {
    struct killing *k = calloc(1, sizeof *k);
    if (!k) {
        cf_no_memory(x, "the end of processes");
        return NULL;
    }
    *k = (struct killing){ .x = x, .channel = channel_of(x), .answer = answer };
    x->ctx = k;
    x->handler = &kill_handler;
    return k;
}

/* --- routes ----------------------------------------------------------------------------------- */

static void answer_one(struct http_exchange *x, size_t count) {
    (void)count;
    char buf[6 * 3 * JOB_TEXT];
    struct text t = TEXT(buf);
    cf_put_bytes(&t, "processId", x->params[0].s, x->params[0].n);
    cf_ok(x, &t);
}

void cf_process_kill(struct http_exchange *x, yyjson_val *body) {
    (void)body;
    char buf[6 * JOB_TEXT + 32];
    struct text t = TEXT(buf);
    struct job *j = cf_process_of(x);
    if (!j)
        return;
    if (j->state == JOB_ENDED) {
        cf_put(&t, "processId", j->tag);
        cf_fail(x, CF_COMMAND_NOT_FOUND, &t, "Process %s has already ended", j->tag);
        return;
    }
    struct killing *k = killing_new(x, answer_one);
    if (k && !add(k, j))
        cf_no_memory(x, "the end of a process");
}

static void answer_all(struct http_exchange *x, size_t count) {
    char buf[64];
    struct text t = TEXT(buf);
    cf_put_number(&t, "cleanedCount", (int64_t)count);
    cf_ok(x, &t);
}

void cf_process_kill_all(struct http_exchange *x, yyjson_val *body) {
    (void)body;
    struct channel *ch = channel_of(x);
    struct killing *k = killing_new(x, answer_all);
    for (struct link *l = ch->jobs.all.next; k && l != &ch->jobs.all; l = l->next) {
        struct job *j = CONTAINER_OF(l, struct job, link);
        if (cf_is_process(j) && j->state != JOB_ENDED)
            (void)add(k, j); /* without memory it runs on, and is not counted */
    }
    if (k)
        tell(k);
}
