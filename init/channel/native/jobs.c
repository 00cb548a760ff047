/* jobs.c — jobs over HTTP, all but their streams. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "channel/native/ask.h"
#include "channel/native/native.h"

/* --- answers ---------------------------------------------------------------------------------- */

static void answer_job(struct http_exchange *x, int status, const struct job *j) {
    char buf[JOB_JSON_MAX];
    struct text t = TEXT(buf);
    job_json(j, channel_of(x)->loop.now, &t);
    text_add(&t, "\n");
    http_answer(x, status, "application/json", t.buf, t.len);
}

struct job *native_job(struct http_exchange *x) {
    char name[JOB_TEXT];
    struct jobs *js = &channel_of(x)->jobs;
    int n = http_decode(x->params[0], name, sizeof name);
    struct job *j = n > 0 ? job_by_id(js, name) : NULL;
    if (!j && n > 0)
        j = job_by_tag(js, name);
    if (!j || j->state == JOB_FAILED) {
        native_fail(x, 404, "not_found", "there is no job '%.60s'; GET /v1/jobs lists them",
                    n > 0 ? name : "");
        return NULL;
    }
    return j;
}

/* --- start ------------------------------------------------------------------------------------ */

/* Jobs that never execute are told so, and that shows a moment after the fork. */
struct starting {
    struct job_reader reader;
    struct http_exchange *x;
};

static void start_over(struct http_exchange *x, bool cut) {
    (void)cut;
    struct starting *s = x->ctx;
    job_detach(&s->reader);
    free(s);
}

static const struct http_handler start_handler = { .over = start_over };

/* Detached before it is answered: the answer may be the end of `s`. */
static void start_told(struct job_reader *r) {
    struct http_exchange *x = CONTAINER_OF(r, struct starting, reader)->x;
    const struct job *j = r->job;
    char why[sizeof j->why];
    enum job_reason reason = j->reason;
    if (j->state == JOB_STARTING)
        return;
    bool failed = j->state == JOB_FAILED;
    memcpy(why, j->why, sizeof why);
    job_detach(r);
    if (failed)
        native_fail_start(x, reason, why);
    else
        answer_job(x, 201, j);
}

static void wait_for_start(struct http_exchange *x, struct job *j) {
    struct starting *s = calloc(1, sizeof *s);
    if (!s) {
        native_fail(x, 500, "internal", "out of memory; the job has started all the same");
        return;
    }
    *s = (struct starting){ .x = x, .reader.ready = start_told };
    x->ctx = s;
    x->handler = &start_handler;
    job_attach(j, &s->reader, -1, false);
}

void native_fail_start(struct http_exchange *x, enum job_reason why, const char *words) {
    char buf[512];
    struct text t = TEXT(buf);
    text_add(&t, "{\"error\":{\"code\":\"unprocessable\",\"reason\":\"%s\",\"message\":",
             job_reason_text(why));
    text_json(&t, words, strlen(words));
    text_add(&t, "}}\n");
    http_answer(x, 422, "application/json", t.buf, t.len);
}

struct job *native_start(struct http_exchange *x, struct job_ask *a, bool *known) {
    struct jobs *js = &channel_of(x)->jobs;
    struct job *j = a->spec.key[0] ? job_by_key(js, a->spec.key) : NULL;
    enum job_reason why = JOB_OTHER;
    struct err e = { 0 };
    *known = j != NULL;
    if (j && j->key_hash != a->spec.key_hash) {
        native_fail(x, 409, "exists", "key '%s' has been used with another request", a->spec.key);
        return NULL;
    }
    if (!j)
        j = job_start(js, &a->spec, &why, &e);
    if (!j && why == JOB_LIMIT) /* of ours, and it may be different in a while */
        native_fail(x, 429, "limit", "%s", e.text);
    else if (!j)
        native_fail_start(x, why, e.text);
    return j;
}

void native_jobs_start(struct http_exchange *x, yyjson_val *body) {
    struct job_ask a;
    struct err e = { 0 };
    bool known;
    if (!native_params(x, (const char *const[]){ NULL }))
        return;
    if (job_ask_parse(&a, body, true, &e) < 0) {
        native_fail(x, 400, "invalid", "%s", e.text);
        job_ask_release(&a);
        return;
    }
    struct job *j = native_start(x, &a, &known);
    job_ask_release(&a);
    if (j && known && j->state != JOB_STARTING)
        answer_job(x, 200, j);
    else if (j)
        wait_for_start(x, j);
}

/* --- looking ---------------------------------------------------------------------------------- */

void native_jobs_list(struct http_exchange *x, yyjson_val *body) {
    (void)body;
    struct channel *ch = channel_of(x);
    char tag[JOB_TEXT];
    int tagged = http_param(x, "tag", tag, sizeof tag);
    if (!native_params(x, (const char *const[]){ "tag", NULL }))
        return;
    if (tagged < 0) {
        native_fail(x, 400, "invalid", "tag: no more than %d bytes, percent-encoded, without NUL",
                    JOB_TEXT - 1);
        return;
    }
    size_t cap = ch->jobs.n * (JOB_RECORD_BYTES + 512) + 64;
    AUTO_FREE char *buf = malloc(cap);
    if (!buf) {
        native_fail(x, 500, "internal", "out of memory for a list of %zu jobs", ch->jobs.n);
        return;
    }
    struct text t = { .buf = buf, .cap = cap };
    const char *comma = "";
    text_add(&t, "{\"jobs\":[");
    for (struct link *l = ch->jobs.all.next; l != &ch->jobs.all; l = l->next) {
        const struct job *j = CONTAINER_OF(l, struct job, link);
        if (j->state == JOB_STARTING || j->state == JOB_FAILED ||
            (tagged && strcmp(j->tag, tag) != 0))
            continue;
        text_add(&t, "%s\n", comma);
        job_json(j, ch->loop.now, &t);
        comma = ",";
    }
    text_add(&t, "]}\n");
    http_answer(x, 200, "application/json", t.buf, t.len);
}

/* --- waiting for the end ---------------------------------------------------------------------- */

struct waiting {
    struct job_reader reader;
    struct timer limit;
    struct http_exchange *x;
};

static void wait_over(struct http_exchange *x, bool cut) {
    (void)cut;
    struct waiting *w = x->ctx;
    job_detach(&w->reader);
    timer_stop(&w->limit);
    free(w);
}

static const struct http_handler wait_handler = { .over = wait_over };

/* One that could not be executed was none. */
static void wait_answer(struct waiting *w) {
    const struct job *j = w->reader.job;
    job_detach(&w->reader);
    timer_stop(&w->limit);
    if (j->state == JOB_FAILED)
        native_fail(w->x, 404, "not_found", "the job has never begun: %s", j->why);
    else
        answer_job(w->x, 200, j);
}

static void wait_told(struct job_reader *r) {
    if (r->job->state == JOB_ENDED || r->job->state == JOB_FAILED)
        wait_answer(CONTAINER_OF(r, struct waiting, reader));
}

static void wait_expired(struct timer *t) { wait_answer(CONTAINER_OF(t, struct waiting, limit)); }

void native_job_show(struct http_exchange *x, yyjson_val *body) {
    (void)body;
    bool wait = false;
    int64_t limit = -1;
    if (!native_params(x, (const char *const[]){ "wait", "timeout_ms", NULL }) ||
        !native_flag(x, "wait", &wait) ||
        !native_number(x, "timeout_ms", 1, (int64_t)MAX_SPAN_DAYS * 86400000, &limit))
        return;
    struct job *j = native_job(x);
    struct waiting *w = j && wait && j->state != JOB_ENDED ? calloc(1, sizeof *w) : NULL;
    if (!j)
        return;
    if (!w) {
        answer_job(x, 200, j);
        return;
    }
    *w = (struct waiting){ .x = x, .reader.ready = wait_told, .limit.fire = wait_expired };
    x->ctx = w;
    x->handler = &wait_handler;
    job_attach(j, &w->reader, -1, false);
    timer_arm(&channel_of(x)->loop, &w->limit, limit < 0 ? SPAN_NEVER : span_ms(limit));
}

void native_job_forget(struct http_exchange *x, yyjson_val *body) {
    (void)body;
    struct job *j = native_params(x, (const char *const[]){ NULL }) ? native_job(x) : NULL;
    if (!j)
        return;
    if (job_forget(j) < 0)
        native_fail(x, 409, "state", "the job runs, or is being read: signal it first");
    else
        http_answer(x, 204, NULL, NULL, 0);
}

/* --- acts ------------------------------------------------------------------------------------- */

static bool only_members(struct http_exchange *x, yyjson_val *body, const char *a, const char *b) {
    size_t i, n;
    yyjson_val *key, *value;
    if (!yyjson_is_obj(body)) {
        native_fail(x, 400, "invalid", "a JSON object with %s is needed", a);
        return false;
    }
    yyjson_obj_foreach(body, i, n, key, value) {
        if (!yyjson_equals_str(key, a) && !yyjson_equals_str(key, b)) {
            native_fail(x, 400, "invalid", "'%.60s' is no member here; there are %s and %s",
                        yyjson_get_str(key), a, b);
            return false;
        }
    }
    return true;
}

static bool parse_scope(const char *text, enum job_scope *out) {
    static const char *const names[] = { "tree", "group", "leader" };
    for (int i = 0; text && i < 3; i++)
        if (strcmp(names[i], text) == 0) {
            *out = (enum job_scope)i;
            return true;
        }
    return false;
}

static int signal_member(yyjson_val *v) {
    if (yyjson_is_uint(v))
        return yyjson_get_uint(v) <= 64 ? (int)yyjson_get_uint(v) : -1;
    return yyjson_is_str(v) ? signal_number(yyjson_get_str(v)) : -1;
}

void native_job_signal(struct http_exchange *x, yyjson_val *body) {
    enum job_scope scope = JOB_TREE;
    struct job *j = native_params(x, (const char *const[]){ NULL }) ? native_job(x) : NULL;
    if (!j || !only_members(x, body, "signal", "scope"))
        return;
    yyjson_val *v = yyjson_obj_get(body, "scope");
    int sig = signal_member(yyjson_obj_get(body, "signal"));
    if (sig < 1)
        native_fail(x, 400, "invalid", "signal: a name such as \"TERM\", or a number from 1 to 64");
    else if (v && !parse_scope(yyjson_get_str(v), &scope))
        native_fail(x, 400, "invalid", "scope: \"tree\", \"group\" or \"leader\" is needed");
    else if (job_signal(j, sig, scope) < 0)
        native_fail(x, 409, "state", "the job has ended");
    else
        http_answer(x, 204, NULL, NULL, 0);
}

void native_job_resize(struct http_exchange *x, yyjson_val *body) {
    struct job *j = native_params(x, (const char *const[]){ NULL }) ? native_job(x) : NULL;
    if (!j || !only_members(x, body, "rows", "cols"))
        return;
    yyjson_val *rows = yyjson_obj_get(body, "rows"), *cols = yyjson_obj_get(body, "cols");
    if (!yyjson_is_uint(rows) || !yyjson_is_uint(cols) || yyjson_get_uint(rows) > UINT16_MAX ||
        yyjson_get_uint(cols) > UINT16_MAX)
        native_fail(x, 400, "invalid", "rows and cols: integers from 0 to %d", UINT16_MAX);
    else if (job_resize(j, (uint16_t)yyjson_get_uint(rows), (uint16_t)yyjson_get_uint(cols)) < 0)
        native_fail(x, 409, "state", "the job has no terminal, or has ended");
    else
        http_answer(x, 204, NULL, NULL, 0);
}

/* --- stdin ------------------------------------------------------------------------------------ */

struct feeding {
    struct job_input input;
    struct job_reader reader; /* only so that the job stays while it is fed */
    struct http_exchange *x;
    bool eof; /* close it after the last byte */
    int64_t written;
};

static void feed_over(struct http_exchange *x, bool cut) {
    (void)cut;
    struct feeding *f = x->ctx;
    job_forgo_room(&f->input);
    job_detach(&f->reader);
    free(f);
}

static size_t feed_body(struct http_exchange *x, const char *bytes, size_t n) {
    struct feeding *f = x->ctx;
    ssize_t k = job_write(f->reader.job, bytes, n);
    if (k < 0) {
        native_fail(x, 409, "state", "stdin is closed; %lld bytes of this request were written",
                    (long long)f->written);
        return n;
    }
    if ((size_t)k < n)
        job_await_room(f->reader.job, &f->input);
    f->written += k;
    return (size_t)k;
}

static void feed_end(struct http_exchange *x) {
    struct feeding *f = x->ctx;
    char buf[64];
    struct text t = TEXT(buf);
    if (f->eof)
        (void)job_close_stdin(f->reader.job);
    text_add(&t, "{\"written\":%lld}\n", (long long)f->written);
    http_answer(x, 200, "application/json", t.buf, t.len);
}

static const struct http_handler feed_handler = { .body = feed_body,
                                                  .body_end = feed_end,
                                                  .over = feed_over };

static void feed_more(struct job_input *in) {
    http_resume(CONTAINER_OF(in, struct feeding, input)->x);
}

static void ignore(struct job_reader *r) { (void)r; }

void native_job_stdin(struct http_exchange *x, yyjson_val *body) {
    (void)body;
    bool eof = false;
    struct job *j =
        native_params(x, (const char *const[]){ "eof", NULL }) && native_flag(x, "eof", &eof)
            ? native_job(x)
            : NULL;
    if (!j)
        return;
    if (!j->stdin_open) {
        native_fail(x, 409, "state", "the job's stdin is closed, or was never a pipe");
        return;
    }
    if (eof && j->pty) {
        native_fail(x, 409, "state", "a terminal has no end of file to be closed: write ^D to it");
        return;
    }
    struct feeding *f = calloc(1, sizeof *f);
    if (!f) {
        native_fail(x, 500, "internal", "out of memory");
        return;
    }
    *f = (struct feeding){
        .x = x, .eof = eof, .input.room = feed_more, .reader.ready = ignore, .reader.holds = true
    };
    x->ctx = f;
    x->handler = &feed_handler;
    job_attach(j, &f->reader, -1, false);
}
