/* events.c — process.Process's server streams: Start and Connect, a reader of a job on one side, a
 * client on the other.
 * A client that was too slow (patience.h) is told how much it has missed.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/own.h"
#include "channel/e2b/process.h"
#include "channel/e2b/service.h"
#include "channel/gate.h"
#include "channel/patience.h"
#include "channel/shell.h"

enum {
    NOTE_BYTES = 16 << 10, /* of a process's config, to be shown by List; longer ones are cut */
    MAX_ENVS = 4096,       /* variables of a request, and as many of POST /init */
    EVENT_BYTES = 1024,    /* of any event but data */
};

struct events {
    struct e2b_stream s;
    struct job_reader reader;
    struct service_log *service; /* Connect to a service: its log instead of a job's output */
    struct patience patience;
    bool told_start;
    char user[E2B_USER_TEXT]; /* Start's, for words about a failure */
};

static struct events *events_of(struct e2b_stream *s) { return CONTAINER_OF(s, struct events, s); }

/* --- out -------------------------------------------------------------------------------------- */

static void put_keepalive(struct text *t) { text_add(t, "{\"event\":{\"keepalive\":{}}}"); }

static void send_start(struct events *v) {
    char buf[EVENT_BYTES];
    struct text t = TEXT(buf);
    v->told_start = true;
    e2b_put_start(&t, v->reader.job);
    e2b_stream_text(&v->s, &t);
}

static void pass_on(struct events *v, const struct job_chunk *c) {
    size_t n = c->n < E2B_CHUNK ? c->n : E2B_CHUNK;
    const char *stream = v->reader.job->pty         ? "pty"
                         : c->stream == RING_STDOUT ? "stdout"
                                                    : "stderr";
    e2b_send_data(&v->s, stream, c->bytes, n);
    job_took(&v->reader, n);
}

/* In a message that says nothing else: the protocol has none for this, and readers pass over
 * members that they do not know. */
static void tell_missed(struct events *v, uint64_t missed) {
    char buf[EVENT_BYTES];
    struct text t = TEXT(buf);
    text_add(&t, "{\"event\":{\"keepalive\":{}},\"missedBytes\":\"%llu\"}",
             (unsigned long long)missed);
    e2b_stream_text(&v->s, &t);
    v->reader.lossless = true;
}

static void send_end(struct events *v) {
    char buf[EVENT_BYTES];
    struct text t = TEXT(buf);
    e2b_put_end(&t, v->reader.job);
    e2b_stream_text(&v->s, &t);
    e2b_stream_end(&v->s);
}

/* --- what never executed ---------------------------------------------------------------------- */

/* As a shell says it, for clients know no other way: 127 or 126, and why on stderr. */
static void send_as_shell(struct events *v, const struct job *j, int status) {
    char buf[EVENT_BYTES];
    struct text t = TEXT(buf);
    text_add(&t, "%s\n", j->why);
    send_start(v);
    e2b_send_data(&v->s, j->pty ? "pty" : "stderr", t.buf, t.len);
    t.len = 0;
    text_add(&t,
             "{\"event\":{\"end\":{\"exitCode\":%d,\"exited\":true,\"status\":\"exit status %d\","
             "\"error\":\"exit status %d\",\"reason\":\"%s\"}}}",
             status, status, status, job_reason_text(j->reason));
    e2b_stream_text(&v->s, &t);
    e2b_stream_end(&v->s);
}

static void send_failure(struct events *v) {
    const struct job *j = v->reader.job;
    switch (j->reason) {
    case JOB_NOT_FOUND:
        send_as_shell(v, j, 127);
        break;
    case JOB_PERMISSION:
    case JOB_BAD_FORMAT:
        send_as_shell(v, j, 126);
        break;
    case JOB_BAD_CWD:
    case JOB_TOO_LONG:
        e2b_stream_fail(&v->s, E2B_INVALID, "%s", j->why);
        break;
    case JOB_UNKNOWN_USER:
        e2b_stream_fail(&v->s, E2B_UNAUTHENTICATED, "invalid username: '%s'", v->user);
        break;
    case JOB_NO_MEMORY:
    case JOB_LIMIT:
        e2b_stream_fail(&v->s, E2B_EXHAUSTED, "%s", j->why);
        break;
    default:
        e2b_stream_fail(&v->s, E2B_INTERNAL, "%s", j->why);
    }
}

/* --- from the job ----------------------------------------------------------------------------- */

/* One step: false when there is nothing more to be done now. */
static bool step(struct events *v) {
    struct job_chunk c;
    switch (job_read(&v->reader, &c)) {
    case JOB_READ_DATA:
        pass_on(v, &c);
        return true;
    case JOB_READ_MISSED:
        tell_missed(v, c.missed);
        return true;
    case JOB_READ_END:
        send_end(v);
        return false;
    default:
        return false;
    }
}

static void pump(struct events *v) {
    enum job_state state = v->reader.job ? v->reader.job->state : JOB_FAILED;
    bool moved = false;
    if (v->s.ended || !v->reader.job || state == JOB_STARTING)
        return;
    if (state == JOB_FAILED) {
        send_failure(v);
        return;
    }
    if (!v->told_start)
        send_start(v);
    while (e2b_stream_room(&v->s) >= E2B_DATA && step(v))
        moved = true;
    patience_watch(&v->patience, moved, !v->s.ended && e2b_stream_room(&v->s) < E2B_DATA);
}

static void ready(struct job_reader *r) { pump(CONTAINER_OF(r, struct events, reader)); }

static void room(struct e2b_stream *s) {
    struct events *v = events_of(s);
    if (v->service)
        service_log_room(v->service);
    else
        pump(v);
}

static void over(struct e2b_stream *s, bool cut) {
    (void)cut; /* a client that goes away ends nothing: the process's time does */
    struct events *v = events_of(s);
    patience_stop(&v->patience);
    job_detach(&v->reader);
    service_log_free(v->service);
    free(v);
}

static void events_new(struct http_exchange *x,
                       void (*asked)(struct e2b_stream *s, yyjson_val *message)) {
    struct events *v = calloc(1, sizeof *v);
    if (!v) {
        e2b_fail(x, E2B_EXHAUSTED, "out of memory");
        return;
    }
    v->s.asked = asked;
    v->s.room = room;
    v->s.over = over;
    v->s.put_keepalive = put_keepalive;
    v->reader.ready = ready;
    patience_init(&v->patience, &v->reader);
    if (!e2b_stream_begin(x, &v->s))
        free(v);
}

/* --- Start: what is asked --------------------------------------------------------------------- */

struct start {
    struct job_spec spec;
    const char **argv; /* owned */
    const char **env;  /* owned */
    char *env_text;    /* owned */
    char *note;        /* owned */
};

static void start_release(struct start *a) {
    free(a->argv);
    free(a->env);
    free(a->env_text);
    free(a->note);
}

static int no_memory(struct proto *p) { return err_sys(&p->err, ENOMEM, "start a process"); }

/* Where /bin/bash is not: another one, or sh, which understands what the SDKs say: -l, -i, -c. */
static const char *shell_for(struct channel *ch, const char *cmd) {
    const char *bash = strcmp(cmd, "/bin/bash") == 0 ? shell_bash() : cmd;
    if (bash)
        return bash;
    if (!ch->e2b.told_no_bash)
        log_warn("channel", "there is no bash in this image, which E2B's SDKs ask for: /bin/sh is "
                            "executed instead; install bash for commands that need it");
    ch->e2b.told_no_bash = true;
    return "/bin/sh";
}

static int take_command(struct start *a, struct proto *p, struct channel *ch, yyjson_val *process) {
    const char *cmd = proto_text(p, process, "cmd");
    yyjson_val *args = proto_list(p, process, "args"), *word;
    size_t i, n;
    if (p->err.code)
        return -EINVAL;
    if (!cmd || !*cmd)
        return err_set(&p->err, EINVAL, "process.cmd: a program is needed");
    a->argv = calloc(yyjson_arr_size(args) + 2, sizeof *a->argv);
    if (!a->argv)
        return no_memory(p);
    a->argv[0] = shell_for(ch, cmd);
    yyjson_arr_foreach(args, i, n, word) {
        a->argv[i + 1] = yyjson_get_str(word);
        if (!a->argv[i + 1] || strlen(a->argv[i + 1]) != yyjson_get_len(word))
            return err_set(&p->err, EINVAL, "process.args: texts without NUL are needed");
    }
    a->spec.argv = a->argv;
    return 0;
}

/* Variables of the sandbox, then POST /init's, then the request's: the last one counts. */
static int take_env(struct start *a, struct proto *p, const struct e2b_settings *s,
                    yyjson_val *process) {
    static const char sandbox[] = "E2B_SANDBOX=true";
    yyjson_val *envs = proto_message(p, process, "envs"), *key, *value;
    size_t i, n, bytes = 1, count = 2 + yyjson_obj_size(envs), at = 0;
    if (p->err.code)
        return -EINVAL;
    if (yyjson_obj_size(envs) > MAX_ENVS)
        return err_set(&p->err, EINVAL, "process.envs: more than %d variables", MAX_ENVS);
    yyjson_obj_foreach(envs, i, n, key, value) {
        const char *name = yyjson_get_str(key), *text = yyjson_get_str(value);
        if (!text || !*name || strchr(name, '=') || strlen(name) != yyjson_get_len(key) ||
            strlen(text) != yyjson_get_len(value))
            return err_set(&p->err, EINVAL, "process.envs: '%.60s' is no name, or has no text",
                           name);
        bytes += strlen(name) + strlen(text) + 2;
    }
    for (const char *e = s->env; e < s->env + s->env_len; e += strlen(e) + 1)
        count++;
    a->env = calloc(count, sizeof *a->env);
    a->env_text = malloc(bytes);
    if (!a->env || !a->env_text)
        return no_memory(p);
    a->env[at++] = sandbox;
    for (const char *e = s->env; e < s->env + s->env_len; e += strlen(e) + 1)
        a->env[at++] = e;
    char *text = a->env_text;
    yyjson_obj_foreach(envs, i, n, key, value) {
        a->env[at++] = text;
        text = stpcpy(stpcpy(stpcpy(text, yyjson_get_str(key)), "="), yyjson_get_str(value)) + 1;
    }
    a->spec.env = a->env;
    return 0;
}

/* job_spec's relative directories begin at the home, as does what follows "~/". */
static int take_cwd(struct start *a, struct proto *p, const struct e2b_settings *s,
                    yyjson_val *process) {
    const char *cwd = proto_text(p, process, "cwd");
    if (p->err.code)
        return -EINVAL;
    if (!cwd || !*cwd)
        cwd = *s->workdir ? s->workdir : NULL;
    if (cwd && *cwd == '~') {
        if (cwd[1] != '\0' && cwd[1] != '/')
            return err_set(&p->err, EINVAL, "cwd '%.200s': only ~ and ~/ are understood", cwd);
        for (cwd++; *cwd == '/'; cwd++)
            ;
        cwd = *cwd ? cwd : NULL;
    }
    a->spec.cwd = cwd;
    return 0;
}

static int take_pty(struct start *a, struct proto *p, yyjson_val *message) {
    yyjson_val *pty = proto_message(p, message, "pty");
    yyjson_val *size = proto_message(p, pty, "size");
    int64_t rows = 0, cols = 0;
    (void)proto_int(p, size, "rows", 0, UINT16_MAX, &rows);
    (void)proto_int(p, size, "cols", 0, UINT16_MAX, &cols);
    a->spec.pty = pty != NULL;
    a->spec.rows = (uint16_t)rows;
    a->spec.cols = (uint16_t)cols;
    /* Clients older than the member expect a pipe. */
    a->spec.stdin_pipe = !pty && (!proto_get(message, "stdin") || proto_bool(p, message, "stdin"));
    return -p->err.code;
}

static int take_tag(struct start *a, struct proto *p, yyjson_val *message) {
    a->spec.tag = proto_text(p, message, "tag");
    if (a->spec.tag && strlen(a->spec.tag) >= JOB_TEXT)
        return err_set(&p->err, EINVAL, "tag: longer than %d bytes", JOB_TEXT - 1);
    return -p->err.code;
}

/* Its config as it came, for List. */
static void take_note(struct start *a, yyjson_val *process) {
    a->note = yyjson_val_write(process, YYJSON_WRITE_NOFLAG, NULL);
    if (a->note && strlen(a->note) > NOTE_BYTES)
        mem_release(&a->note);
    a->spec.note = a->note;
}

static int take_all(struct start *a, struct proto *p, struct http_exchange *x, yyjson_val *message,
                    char user[E2B_USER_TEXT]) {
    struct channel *ch = channel_of(x);
    const struct e2b_settings *s = e2b_settings_in(ch->e2b.memory);
    yyjson_val *process = proto_message(p, message, "process");
    int rc = p->err.code ? -EINVAL : 0;
    if (rc == 0 && !process)
        rc = err_set(&p->err, EINVAL, "process: a program is needed");
    if (rc == 0 && (rc = take_command(a, p, ch, process)) == 0 &&
        (rc = take_env(a, p, s, process)) == 0 && (rc = take_cwd(a, p, s, process)) == 0 &&
        (rc = take_pty(a, p, message)) == 0)
        rc = take_tag(a, p, message);
    if (rc == 0 && !e2b_user(x, NULL, user))
        rc = err_set(&p->err, EINVAL, "Authorization: this is no user's name");
    if (rc < 0)
        return rc;
    take_note(a, process);
    a->spec.user = *user ? user : NULL;
    return 0;
}

static void start_asked(struct e2b_stream *s, yyjson_val *message) {
    struct events *v = events_of(s);
    struct channel *ch = channel_of(s->x);
    struct start a = { .spec = { .timeout = s->limit } };
    struct proto p = { 0 };
    enum job_reason why = JOB_OTHER;
    struct err e = { 0 };
    if (take_all(&a, &p, s->x, message, v->user) < 0) {
        e2b_stream_fail(s, E2B_INVALID, "%s", p.err.text);
        start_release(&a);
        return;
    }
    struct job *j = job_start(&ch->jobs, &a.spec, &why, &e);
    start_release(&a);
    if (!j) {
        e2b_stream_fail(s, why == JOB_LIMIT || why == JOB_NO_MEMORY ? E2B_EXHAUSTED : E2B_INTERNAL,
                        "%s", e.text);
        return;
    }
    job_attach(j, &v->reader, 0, true);
    pump(v);
}

void e2b_start(struct http_exchange *x, yyjson_val *body) {
    (void)body;
    events_new(x, start_asked);
}

/* --- Connect ---------------------------------------------------------------------------------- */

/* Ours: "offset", a count of bytes since its start, or "replay", all that is kept. */
static int64_t where_from(struct proto *p, const struct http_exchange *x, yyjson_val *message) {
    const struct gate *g = CONTAINER_OF(x->site, struct gate, site);
    int64_t from = -1;
    bool replay = proto_get(message, "replay") ? proto_bool(p, message, "replay") : g->conf->replay;
    if (proto_int(p, message, "offset", 0, INT64_MAX, &from))
        return from;
    return replay ? 0 : -1;
}

static void connect_asked(struct e2b_stream *s, yyjson_val *message) {
    struct events *v = events_of(s);
    struct proto p = { 0 };
    struct e2b_selector which;
    char why[128];
    bool named = e2b_selector(&p, message, &which);
    int64_t from = where_from(&p, s->x, message);
    if (p.err.code || !named) {
        e2b_stream_fail(s, E2B_INVALID, "%s",
                        named || p.err.code ? p.err.text : "process: a pid or a tag is needed");
        return;
    }
    struct job *j = e2b_select(s->x, &which);
    if (j) {
        job_attach(j, &v->reader, from, true);
        pump(v);
    } else if (!(v->service = service_log_begin(s, &which, from >= 0))) {
        e2b_stream_fail(s, E2B_NOT_FOUND, "%s", e2b_selector_fault(&which, why));
    }
}

void e2b_connect(struct http_exchange *x, yyjson_val *body) {
    (void)body;
    events_new(x, connect_asked);
}
