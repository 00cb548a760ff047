/* exec.c — commands that are answered when they are over, or when they have begun. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "channel/cloudflare/command.h"
#include "channel/cloudflare/launch.h"
#include "channel/cloudflare/long.h"
#include "channel/cloudflare/process.h"
#include "channel/cloudflare/run.h"

enum { SHOWN = 4096 }; /* bytes of a command or of its stderr in an error; more are cut */

struct exec {
    struct http_exchange *x;
    struct cf_output command; /* as it came, for the answer */
    char session[CF_SESSION_TEXT];
    bool named;              /* the request has a session's id: so has the answer */
    struct cf_run *run;      /* in a session; NULL: none, or it is done */
    struct cf_launch launch; /* else, or to start a process */
    struct job_reader reader;
    struct cf_output out, err; /* of such */
    int64_t timeout_ms;        /* 0: none */
};

static void exec_free(struct exec *e) {
    if (e->run)
        cf_run_leave(e->run);
    struct job *j = e->reader.job;
    job_detach(&e->reader);
    if (j && e->launch.alone && j->state == JOB_ENDED)
        (void)job_forget(j);
    cf_launch_release(&e->launch);
    cf_output_free(&e->command);
    cf_output_free(&e->out);
    cf_output_free(&e->err);
    free(e);
}

static void over(struct http_exchange *x, bool cut) {
    (void)cut;
    exec_free(x->ctx);
}

static const struct http_handler exec_handler = { .over = over };

/* --- answers ---------------------------------------------------------------------------------- */

static bool add_output(struct cf_long *l, const char *name, struct cf_output *o) {
    bool named = cf_long_text(l, name);
    if (named)
        cf_long_output(l, o);
    return named;
}

/* The exchange is the answer's then. `whole`: all of it has found memory; l may be NULL else. */
static void give_answer(struct exec *e, struct cf_long *l, bool whole) {
    struct http_exchange *x = e->x;
    if (!whole) {
        cf_long_free(l);
        cf_no_memory(x, "an answer");
        return;
    }
    exec_free(e);
    x->ctx = NULL;
    x->handler = NULL;
    cf_long_answer(x, l);
}

static void answer_output(struct exec *e, int status, struct cf_output *out,
                          struct cf_output *err) {
    struct http_exchange *x = e->x;
    char head[128], tail[6 * CF_SESSION_TEXT + 256];
    struct text h = TEXT(head), t = TEXT(tail);
    if (out->failed || err->failed) {
        cf_fail(x, CF_COMMAND_EXECUTION_ERROR, NULL, "the output could not be kept: %s",
                strerror(out->failed ? out->failed : err->failed));
        return;
    }
    text_add(&h, "{\"success\":%s,\"exitCode\":%d,\"stdout\":", status == 0 ? "true" : "false",
             status);
    text_add(&t, ",\"duration\":0"); /* clients measure it themselves */
    cf_put_now(&t);
    if (e->named)
        cf_put(&t, "sessionId", e->session);
    text_add(&t, "}");
    struct cf_long *l = cf_long_new();
    give_answer(e, l,
                l && add_output(l, head, out) && add_output(l, ",\"stderr\":", err) &&
                    add_output(l, ",\"command\":", &e->command) && cf_long_text(l, tail));
}

static void put_start_of(struct text *t, const char *name, const struct cf_output *o) {
    char bytes[SHOWN];
    size_t n = cf_output_read(o, 0, bytes, sizeof bytes);
    cf_put_bytes(t, name, bytes, utf8_whole(bytes, n));
}

static void answer_timeout(struct exec *e, const struct cf_run *r) {
    enum { BYTES = 2 * 6 * SHOWN + 256 };
    AUTO_FREE char *buf = malloc(BYTES);
    struct text t = { .buf = buf, .cap = BYTES };
    if (!buf) {
        cf_no_memory(e->x, "an answer");
        return;
    }
    *buf = '\0';
    put_start_of(&t, "command", &e->command);
    put_start_of(&t, "stderr", &r->err);
    cf_fail(e->x, CF_COMMAND_EXECUTION_ERROR, &t, "Command timeout after %lldms",
            (long long)span_to_ms(r->timeout));
}

static void answer_ended(struct exec *e, const struct cf_run *r) {
    char buf[6 * CF_SESSION_TEXT + 64];
    struct text t = TEXT(buf);
    cf_put(&t, "sessionId", e->session);
    cf_put_number(&t, "exitCode", r->status);
    cf_fail(e->x, CF_SESSION_TERMINATED, &t,
            "The shell of session '%s' has ended with exit code %d; the next command gets a new "
            "one",
            e->session, r->status);
}

/* --- in a session ----------------------------------------------------------------------------- */

static void run_done(struct cf_run *r) {
    struct exec *e = r->arg;
    char buf[6 * CF_SESSION_TEXT + 64];
    struct text t = TEXT(buf);
    e->run = NULL;
    switch (r->how) {
    case CF_RUN_DONE:
        cf_output_trim(&r->out);
        cf_output_trim(&r->err);
        answer_output(e, r->status, &r->out, &r->err);
        return;
    case CF_RUN_TIMED_OUT:
        answer_timeout(e, r);
        return;
    case CF_RUN_ENDED:
        answer_ended(e, r);
        return;
    case CF_RUN_DELETED:
        cf_put(&t, "sessionId", e->session);
        cf_fail(e->x, CF_SESSION_DESTROYED, &t, "Session '%s' was deleted", e->session);
        return;
    case CF_RUN_FAILED:
        cf_fail(e->x, CF_COMMAND_EXECUTION_ERROR, NULL, "Failed to run the command: %s", r->why);
    }
}

static void run_in_session(struct exec *e, struct cf_session *s, yyjson_val *body) {
    struct cf_run *r = cf_run_new(s);
    if (!r) {
        cf_no_memory(e->x, "a command");
        return;
    }
    if (!cf_take_around(e->x, body, &r->env, &r->cwd)) {
        cf_run_leave(r);
        return;
    }
    r->command = &e->command;
    if (e->timeout_ms > 0)
        r->timeout = span_ms(e->timeout_ms);
    r->done = run_done;
    r->arg = e;
    e->run = r;
    cf_run_submit(r);
}

/* --- without one ------------------------------------------------------------------------------ */

static void tell_timeout(struct exec *e) {
    char words[96];
    struct text t = TEXT(words);
    text_add(&t, "Command timed out after %lldms", (long long)e->timeout_ms);
    cf_output_put(&e->err, t.buf, t.len);
}

static void alone_news(struct job_reader *r) {
    struct exec *e = CONTAINER_OF(r, struct exec, reader);
    struct job_chunk c;
    enum job_read got;
    while ((got = job_read(r, &c)) == JOB_READ_DATA) {
        cf_output_put(c.stream == RING_STDERR ? &e->err : &e->out, c.bytes, c.n);
        job_took(r, c.n);
    }
    if (got != JOB_READ_END)
        return;
    const struct job *j = r->job;
    if (j->state == JOB_FAILED) {
        cf_fail(e->x, CF_COMMAND_EXECUTION_ERROR, NULL, "Failed to run the command: %s", j->why);
        return;
    }
    if (j->end.timed_out)
        tell_timeout(e);
    answer_output(e, j->end.timed_out ? 124 : cf_exit_status(j), &e->out, &e->err);
}

static void alone_started(struct cf_launch *l, struct job *j, const char *why) {
    struct exec *e = CONTAINER_OF(l, struct exec, launch);
    if (j)
        job_attach(j, &e->reader, 0, true);
    else
        cf_fail(e->x, CF_COMMAND_EXECUTION_ERROR, NULL, "Failed to run the command: %s", why);
}

/* --- to be left running ----------------------------------------------------------------------- */

static void begun_news(struct job_reader *r) {
    struct exec *e = CONTAINER_OF(r, struct exec, reader);
    struct http_exchange *x = e->x;
    const struct job *j = r->job;
    char head[6 * JOB_TEXT + 128], tail[96];
    struct text h = TEXT(head), t = TEXT(tail);
    if (j->state == JOB_STARTING)
        return;
    if (j->state == JOB_FAILED) {
        cf_fail(x, CF_PROCESS_ERROR, NULL, "Failed to start the process: %s", j->why);
        return;
    }
    text_add(&t, ",");
    text_add(&h, "{\"success\":true");
    cf_put(&h, "processId", j->tag);
    cf_put_number(&h, "pid", j->leader);
    text_add(&h, ",\"command\":");
    cf_put_now(&t);
    text_add(&t, "}");
    struct cf_long *l = cf_long_new();
    give_answer(e, l, l && add_output(l, head, &e->command) && cf_long_text(l, tail));
}

static void begun_started(struct cf_launch *l, struct job *j, const char *why) {
    struct exec *e = CONTAINER_OF(l, struct exec, launch);
    if (j)
        job_attach(j, &e->reader, -1, false);
    else
        cf_fail(e->x, l->deleted ? CF_SESSION_DESTROYED : CF_PROCESS_ERROR, NULL,
                "Failed to start the process: %s", why);
}

/* --- routes ----------------------------------------------------------------------------------- */

static struct exec *exec_new(struct http_exchange *x, yyjson_val *body, struct cf_output *command) {
    struct exec *e = calloc(1, sizeof *e);
    if (!e) {
        cf_no_memory(x, "a command");
        return NULL;
    }
    e->x = x;
    e->command = *command;
    *command = e->out = e->err = CF_OUTPUT_EMPTY;
    e->named = cf_bytes(body, "sessionId").n > 0;
    x->ctx = e;
    x->handler = &exec_handler;
    return e;
}

static void launch(struct exec *e, struct cf_session *s, yyjson_val *body) {
    e->launch.command = &e->command;
    if (!cf_launch_take(&e->launch, e->x, body))
        return;
    cf_launch(&e->launch, s);
}

static void start(struct http_exchange *x, yyjson_val *body, struct cf_output *command,
                  struct cf_session *s) {
    struct exec *e = exec_new(x, body, command);
    if (!e)
        return;
    e->reader.ready = begun_news;
    e->launch.started = begun_started;
    launch(e, s, body);
}

static void execute(struct http_exchange *x, yyjson_val *body, struct cf_output *command,
                    struct cf_session *s) {
    struct exec *e = exec_new(x, body, command);
    if (!e)
        return;
    e->timeout_ms = cf_number(body, "timeoutMs", 0, CF_MAX_TIMEOUT_MS, 0);
    if (s) {
        (void)snprintf(e->session, sizeof e->session, "%s", s->id);
        run_in_session(e, s, body);
        return;
    }
    span otherwise = cf_default_timeout(channel_of(x));
    if (e->timeout_ms == 0 && !span_is_never(otherwise))
        e->timeout_ms = span_to_ms(otherwise);
    (void)snprintf(e->session, sizeof e->session, "%s", CF_NO_SESSION);
    e->reader.ready = alone_news;
    e->launch.started = alone_started;
    e->launch.alone = true;
    e->launch.limit_ms = e->timeout_ms;
    launch(e, NULL, body);
}

static void execute_or_start(struct http_exchange *x, yyjson_val *body, struct cf_output *command) {
    struct cf_session *s = NULL;
    if (!cf_session_for(x, body, &s))
        return;
    if (cf_flag(body, "background", false))
        start(x, body, command, s);
    else
        execute(x, body, command, s);
}

void cf_execute(struct http_exchange *x, yyjson_val *nothing) {
    (void)nothing;
    cf_read_command(x, execute_or_start);
}

bool cf_has_command(struct http_exchange *x, const struct cf_output *command) {
    if (command->size > 0)
        return true;
    cf_fail(x, CF_INVALID_COMMAND, NULL, "Invalid command: it is empty");
    return false;
}

static void start_process(struct http_exchange *x, yyjson_val *body, struct cf_output *command) {
    struct cf_session *s = NULL;
    if (cf_has_command(x, command) && cf_session_for(x, body, &s))
        start(x, body, command, s);
}

void cf_process_start(struct http_exchange *x, yyjson_val *nothing) {
    (void)nothing;
    cf_read_command(x, start_process);
}
