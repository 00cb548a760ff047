/* terminal.c — /ws/pty: the terminal of a session, for any number of viewers. It is a job that
 * outlives them, and also the channel: by its tag it is found again.
 */
#include "channel/cloudflare/terminal.h"

#include <errno.h>
#include <sha1.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "channel/cloudflare/session.h"
#include "http/websocket.h"

enum {
    REPLAY = 256 << 10, /* bytes of what a terminal has printed that are kept for new viewers */
    COLUMNS = 80,
    ROWS = 24,
    MAX_SIDE = UINT16_MAX, /* of either: what the kernel can hold (ioctl_tty(2)) */
    MAX_WORD = 4096,       /* bytes of a text message; longer ones end the connection */
    FRAME = 1024,          /* bytes of a text message of ours */
    ENOUGH = 2 * FRAME,    /* bytes of room: for one more message, and that it is ready */
    READABLE_ID = 40,      /* bytes of a session's id that are put into a tag as they are */
};

struct viewer {
    struct websocket ws;
    struct http_exchange *x;
    struct job_reader reader;
    struct job_input input;
    char session[CF_SESSION_TEXT];
    char *shell; /* owned; NULL: bash, else sh */
    uint16_t rows, cols;
    bool tried_sh, over;
    bool ready;      /* it has been told so */
    bool replaying;  /* a message with what was printed before has begun */
    uint64_t replay; /* where in the output that ends */
};

static void pump(struct viewer *v);

/* --- words to the viewer ---------------------------------------------------------------------- */

/* A viewer that does not read is not told. */
static void say(struct viewer *v, const struct text *t) {
    if (!v->replaying && websocket_room(&v->ws) >= FRAME)
        websocket_send(&v->ws, WS_TEXT, t->buf, t->len);
}

static void say_error(struct viewer *v, const char *message) {
    char buf[FRAME];
    struct text t = TEXT(buf);
    text_add(&t, "{\"type\":\"error\"");
    cf_put(&t, "message", message);
    text_add(&t, "}");
    if (!t.cut)
        say(v, &t);
}

static void fail(struct viewer *v, const char *message) {
    v->over = true;
    say_error(v, message);
    websocket_close(&v->ws, WS_FAILURE, "the terminal could not be started");
}

/* --- the job ---------------------------------------------------------------------------------- */

/* A tag has 63 bytes, a session's id up to 255. */
static void tag_of(const char *session, char out[JOB_TEXT]) {
    unsigned char sum[SHA1_DIGEST_LENGTH];
    SHA1_CTX c;
    if (strlen(session) < READABLE_ID) {
        (void)snprintf(out, JOB_TEXT, "cf-terminal:%s", session);
        return;
    }
    SHA1Init(&c);
    SHA1Update(&c, (const unsigned char *)session, strlen(session));
    SHA1Final(sum, &c);
    int n = snprintf(out, JOB_TEXT, "cf-terminal:");
    for (size_t i = 0; i < sizeof sum; i++)
        n += snprintf(out + n, JOB_TEXT - (size_t)n, "%02x", sum[i]);
}

/* One that has ended is of no use any more. */
static struct job *find(struct channel *ch, const char *session) {
    char tag[JOB_TEXT];
    tag_of(session, tag);
    struct job *j = job_by_tag(&ch->jobs, tag);
    if (!j || j->state != JOB_ENDED)
        return j;
    (void)job_forget(j);
    return NULL;
}

/* The session's variables and those of a terminal, NULL-terminated; to be freed. */
static const char **make_env(const struct cf_session *s) {
    static const char *const more[] = { "TERM=xterm-256color", "COLORTERM=truecolor",
                                        "PROMPT_COMMAND=clear; unset PROMPT_COMMAND" };
    enum { MORE = sizeof more / sizeof more[0] };
    size_t n = 0;
    while (s->env && s->env[n])
        n++;
    const char **env = calloc(n + MORE + 1, sizeof *env);
    if (!env)
        return NULL;
    memcpy(env, more, sizeof more);
    if (n > 0)
        memcpy(env + MORE, s->env, n * sizeof *env);
    return env;
}

static struct job *start_with(struct viewer *v, const struct cf_session *s, const char **env,
                              struct err *e) {
    const char *argv[] = { v->shell ? v->shell : v->tried_sh ? "sh" : "bash", NULL };
    char tag[JOB_TEXT], cwd[PATH_MAX];
    enum job_reason why;
    const struct job_spec spec = { .argv = argv,
                                   .env = env,
                                   .cwd = cf_session_cwd(s, cwd) ? cwd : NULL,
                                   .user = s->user,
                                   .tag = tag,
                                   .key = "",
                                   .pty = true,
                                   .rows = v->rows,
                                   .cols = v->cols,
                                   .timeout = SPAN_NEVER,
                                   .kill_after = span_s(5),
                                   .keep = REPLAY };
    tag_of(v->session, tag);
    return job_start(&channel_of(v->x)->jobs, &spec, &why, e);
}

/* NULL: `e` says why. */
static struct job *start(struct viewer *v, struct err *e) {
    const struct cf_session *s = cf_session_find(channel_of(v->x), v->session);
    const char **env = s ? make_env(s) : NULL;
    struct job *j = env ? start_with(v, s, env, e) : NULL;
    if (!env)
        (void)err_set(e, ENOMEM, s ? "out of memory" : "the session has been deleted");
    free(env);
    return j;
}

/* Attach to the session's terminal, or start one. */
static void attach(struct viewer *v) {
    struct err e = { 0 };
    struct job *j = find(channel_of(v->x), v->session);
    if (!j)
        j = start(v, &e);
    if (!j) {
        fail(v, e.text);
        return;
    }
    v->replay = j->output.to;
    job_attach(j, &v->reader, (int64_t)j->output.from, false);
    pump(v);
}

/* Where there is no bash, there is a sh, unless one of the two was asked for. */
static void start_failed(struct viewer *v) {
    char why[sizeof v->reader.job->why];
    bool again = v->reader.job->reason == JOB_NOT_FOUND && !v->shell && !v->tried_sh;
    memcpy(why, v->reader.job->why, sizeof why);
    job_detach(&v->reader);
    v->tried_sh = true;
    if (again)
        attach(v);
    else
        fail(v, why);
}

/* --- from the terminal ------------------------------------------------------------------------ */

static void send_ready(struct viewer *v) {
    static const char ready[] = "{\"type\":\"ready\"}";
    if (v->replaying)
        websocket_send_piece(&v->ws, WS_BINARY, "", 0, true);
    v->replaying = false;
    v->ready = true;
    websocket_send(&v->ws, WS_TEXT, ready, sizeof ready - 1);
    websocket_resume(&v->ws);
}

/* What was printed before is one message; what comes is sent as it comes. */
static void pass_on(struct viewer *v, const struct job_chunk *c) {
    size_t room = websocket_room(&v->ws), n = c->n < room ? c->n : room;
    if (v->ready) {
        websocket_send(&v->ws, WS_BINARY, c->bytes, n);
    } else {
        if (n > v->replay - v->reader.at)
            n = (size_t)(v->replay - v->reader.at);
        websocket_send_piece(&v->ws, WS_BINARY, c->bytes, n, false);
        v->replaying = true;
    }
    job_took(&v->reader, n);
}

static void finish(struct viewer *v) {
    const struct job_end *end = &v->reader.job->end;
    char buf[FRAME], name[32];
    struct text t = TEXT(buf);
    v->over = true;
    text_add(&t, "{\"type\":\"exit\"");
    cf_put_number(&t, "code", end->how.signaled ? 128 + end->how.code : end->how.code);
    if (end->known && end->how.signaled)
        cf_put(&t, "signal", signal_name(name, sizeof name, end->how.code));
    text_add(&t, "}");
    say(v, &t);
    websocket_close(&v->ws, WS_NORMAL, "the shell has ended");
}

/* One step: false when there is nothing more to be done now. */
static bool step(struct viewer *v) {
    struct job_chunk c;
    if (!v->ready && v->reader.at >= v->replay) {
        send_ready(v);
        return true;
    }
    switch (job_read(&v->reader, &c)) {
    case JOB_READ_DATA:
        pass_on(v, &c);
        return true;
    case JOB_READ_MISSED: /* a viewer that is too slow goes on with what is there */
        return true;
    case JOB_READ_END:
        finish(v);
        return false;
    default:
        return false;
    }
}

static void pump(struct viewer *v) {
    if (v->over || !v->reader.job || v->reader.job->state == JOB_STARTING)
        return;
    if (v->reader.job->state == JOB_FAILED) {
        start_failed(v);
        return;
    }
    while (!v->over && websocket_room(&v->ws) >= ENOUGH && step(v))
        ;
}

static void reader_ready(struct job_reader *r) { pump(CONTAINER_OF(r, struct viewer, reader)); }

/* --- from the viewer -------------------------------------------------------------------------- */

static size_t keys(struct websocket *ws, const char *bytes, size_t n) {
    struct viewer *v = CONTAINER_OF(ws, struct viewer, ws);
    if (!v->ready)
        return 0;
    ssize_t took = job_write(v->reader.job, bytes, n);
    if (took >= 0 && (size_t)took < n)
        job_await_room(v->reader.job, &v->input);
    return took < 0 ? n : (size_t)took; /* its end is told by the reader */
}

static void input_room(struct job_input *in) {
    websocket_resume(&CONTAINER_OF(in, struct viewer, input)->ws);
}

static void resize(struct viewer *v, yyjson_val *ask) {
    yyjson_val *cols = yyjson_obj_get(ask, "cols"), *rows = yyjson_obj_get(ask, "rows");
    if (!yyjson_is_num(cols) || !yyjson_is_num(rows) || yyjson_get_num(cols) < 1 ||
        yyjson_get_num(rows) < 1 || yyjson_get_num(cols) > MAX_SIDE ||
        yyjson_get_num(rows) > MAX_SIDE) {
        say_error(v, "resize: cols and rows from 1 to 65535 are needed");
        return;
    }
    v->cols = (uint16_t)yyjson_get_num(cols);
    v->rows = (uint16_t)yyjson_get_num(rows);
    if (v->reader.job)
        (void)job_resize(v->reader.job, v->rows, v->cols); /* one that has ended needs no size */
}

static void message(struct websocket *ws, enum websocket_opcode type, char *bytes, size_t n) {
    struct viewer *v = CONTAINER_OF(ws, struct viewer, ws);
    yyjson_read_err e;
    (void)type;
    yyjson_doc *doc = http_read_json(bytes, n, &e);
    yyjson_val *ask = yyjson_doc_get_root(doc);
    const char *what = cf_text(ask, "type");
    if (!doc)
        say_error(v, "a message of text has to be JSON; keys are binary");
    else if (what && strcmp(what, "resize") == 0)
        resize(v, ask);
    yyjson_doc_free(doc);
}

/* --- the connection --------------------------------------------------------------------------- */

static void room(struct websocket *ws) { pump(CONTAINER_OF(ws, struct viewer, ws)); }

static void over(struct websocket *ws) {
    struct viewer *v = CONTAINER_OF(ws, struct viewer, ws);
    struct job *j = v->reader.job;
    job_forgo_room(&v->input);
    job_detach(&v->reader);
    if (j && j->state == JOB_ENDED)
        (void)job_forget(j); /* unless another one still reads it */
    free(v->shell);
    free(v);
}

static uint16_t side(const struct http_exchange *x, const char *key, uint16_t otherwise) {
    char text[16];
    unsigned n = 0;
    int rc = http_param(x, key, text, sizeof text);
    return rc > 0 && parse_uint(text, 1, MAX_SIDE, &n, NULL) == 0 ? (uint16_t)n : otherwise;
}

/* False, and it has been answered. */
static bool take_params(struct viewer *v) {
    struct http_exchange *x = v->x;
    char shell[PATH_MAX];
    struct cf_session *s = cf_session_of(x, NULL);
    int rc = s ? http_param(x, "shell", shell, sizeof shell) : -1;
    if (!s)
        return false;
    (void)snprintf(v->session, sizeof v->session, "%s", s->id);
    v->cols = side(x, "cols", COLUMNS);
    v->rows = side(x, "rows", ROWS);
    v->shell = rc > 0 && *shell ? strdup(shell) : NULL;
    if (rc >= 0 && (rc == 0 || !*shell || v->shell))
        return true;
    cf_fail(x, CF_INVALID_COMMAND, NULL, "shell: too long, or badly encoded");
    return false;
}

void cf_terminal(struct http_exchange *x, yyjson_val *body) {
    static const char needed[] = "sessionId query parameter required";
    char id[CF_SESSION_TEXT];
    (void)body;
    if (http_param(x, "sessionId", id, sizeof id) == 0 || !*id) {
        http_answer(x, 400, "text/plain", needed, sizeof needed - 1);
        return;
    }
    struct viewer *v = calloc(1, sizeof *v);
    if (!v) {
        cf_no_memory(x, "a terminal");
        return;
    }
    v->x = x;
    v->reader.ready = reader_ready;
    v->input.room = input_room;
    v->ws = (struct websocket){
        .max_message = MAX_WORD, .message = message, .binary = keys, .room = room, .over = over
    };
    if (!take_params(v) || !websocket_accept(&v->ws, x)) {
        free(v->shell);
        free(v);
        return;
    }
    attach(v);
}

void cf_terminal_hang_up(struct channel *ch, const char *session_id) {
    struct job *j = find(ch, session_id);
    if (j)
        job_abandon(j);
}
