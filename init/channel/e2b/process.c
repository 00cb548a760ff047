/* process.c — process.Process, all but its server streams. */
#include "channel/e2b/process.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/own.h"
#include "channel/e2b/service.h"

/* --- which one -------------------------------------------------------------------------------- */

bool e2b_selector(struct proto *p, yyjson_val *message, struct e2b_selector *out) {
    yyjson_val *v = proto_message(p, message, "process");
    *out = (struct e2b_selector){ 0 };
    out->by_pid = proto_int(p, v, "pid", 0, UINT32_MAX, &out->pid);
    out->tag = proto_text(p, v, "tag");
    if (!p->err.code && out->by_pid && out->tag)
        (void)err_set(&p->err, EINVAL, "process: a pid or a tag is needed, and not both");
    return !p->err.code && (out->by_pid || out->tag);
}

const char *e2b_selector_fault(const struct e2b_selector *s, char out[128]) {
    struct text t = { .buf = out, .cap = 128 };
    if (s->by_pid)
        text_add(&t, "process with pid %lld not found", (long long)s->pid);
    else
        text_add(&t, "process with tag %.64s not found", s->tag);
    return out;
}

struct job *e2b_select(const struct http_exchange *x, const struct e2b_selector *s) {
    struct jobs *js = &channel_of(x)->jobs;
    if (s->by_pid)
        return s->pid > 0 && s->pid <= INT32_MAX ? job_by_pid(js, (pid_t)s->pid) : NULL;
    return *s->tag ? job_by_tag(js, s->tag) : NULL; /* "" is no tag: those without one have it */
}

/* One that runs, for what can be done to such only. NULL, and it has been answered. */
static struct job *running(struct http_exchange *x, struct proto *p, yyjson_val *body,
                           enum e2b_code without) {
    struct e2b_selector s;
    char why[128];
    bool named = e2b_selector(p, body, &s);
    if (!e2b_proto_ok(x, p))
        return NULL;
    struct job *j = named ? e2b_select(x, &s) : NULL;
    if (!named)
        e2b_fail(x, without, "process: a pid or a tag is needed");
    else if (!j || j->state == JOB_ENDED)
        e2b_fail(x, E2B_NOT_FOUND, "%s", e2b_selector_fault(&s, why));
    return j && j->state != JOB_ENDED ? j : NULL;
}

/* --- events ----------------------------------------------------------------------------------- */

void e2b_put_start(struct text *t, const struct job *j) {
    char id[JOB_ID_TEXT];
    text_add(t, "{\"event\":{\"start\":{\"pid\":%d,\"id\":\"%s\"}}}", (int)j->leader,
             job_id_text(j, id));
}

/* "signal: killed (core dumped)": the words of Go's syscall package, which clients know. */
static void put_signal(struct text *t, int sig, bool core) {
    static const char *const names[] = {
        [SIGHUP] = "hangup",
        [SIGINT] = "interrupt",
        [SIGQUIT] = "quit",
        [SIGILL] = "illegal instruction",
        [SIGTRAP] = "trace/breakpoint trap",
        [SIGABRT] = "aborted",
        [SIGBUS] = "bus error",
        [SIGFPE] = "floating point exception",
        [SIGKILL] = "killed",
        [SIGUSR1] = "user defined signal 1",
        [SIGSEGV] = "segmentation fault",
        [SIGUSR2] = "user defined signal 2",
        [SIGPIPE] = "broken pipe",
        [SIGALRM] = "alarm clock",
        [SIGTERM] = "terminated",
    };
    bool named = sig > 0 && sig < (int)(sizeof names / sizeof names[0]) && names[sig];
    if (named)
        text_add(t, "signal: %s", names[sig]);
    else
        text_add(t, "signal: signal %d", sig);
    if (core)
        text_add(t, " (core dumped)");
}

static void put_flag(struct text *t, const char *name, bool value) {
    if (value)
        text_add(t, ",\"%s\":true", name);
}

/* exitCode 0 is the default, so it is not there; what follows "error" is ours. */
void e2b_put_end(struct text *t, const struct job *j) {
    char buf[96];
    struct text status = TEXT(buf);
    const struct job_end *end = &j->end;
    bool exited = end->known && !end->how.signaled;
    if (!end->known)
        text_add(&status, "unknown: it ended while nobody could see how");
    else if (exited)
        text_add(&status, "exit status %d", end->how.code);
    else
        put_signal(&status, end->how.code, end->how.core);
    text_add(t, "{\"event\":{\"end\":{");
    if (!exited || end->how.code != 0)
        text_add(t, "\"exitCode\":%d,", exited ? end->how.code : -1);
    text_add(t, "%s\"status\":\"%s\"", exited ? "\"exited\":true," : "", status.buf);
    if (!exited || end->how.code != 0)
        text_add(t, ",\"error\":\"%s\"", status.buf);
    if (end->known && end->how.signaled)
        text_add(t, ",\"signal\":%d", end->how.code);
    put_flag(t, "coreDumped", end->known && end->how.core);
    put_flag(t, "oomKilled", end->oom);
    put_flag(t, "timedOut", end->timed_out);
    text_add(t, "}}}");
}

void e2b_send_data(struct e2b_stream *s, const char *stream, const char *bytes, size_t n) {
    char buf[E2B_DATA];
    struct text t = TEXT(buf);
    text_add(&t, "{\"event\":{\"data\":{\"%s\":\"", stream);
    base64_encode(bytes, n, t.buf + t.len);
    size_t len = t.len + base64_len(n);
    memcpy(t.buf + len, "\"}}}", 4);
    e2b_stream_send(s, t.buf, len + 4);
}

/* --- List ------------------------------------------------------------------------------------- */

/* The first word of a JSON array of texts: the end of it. */
static const char *first_word_end(const char *array) {
    const char *p = array + 1;
    for (p++; *p && *p != '"'; p++)
        if (*p == '\\')
            p++;
    return *p ? p + 1 : p;
}

/* Its note is the config that it was started with; who was started otherwise has only a command. */
static void put_config(struct text *t, const struct job *j) {
    if (j->note) {
        text_add(t, "%s", j->note);
        return;
    }
    const char *end = first_word_end(j->command);
    text_add(t, "{\"cmd\":%.*s,\"args\":[%s}", (int)(end - j->command - 1), j->command + 1,
             *end == ',' ? end + 1 : end);
}

static void put_process(struct text *t, const struct job *j) {
    proto_comma(t);
    text_add(t, "{\"config\":");
    put_config(t, j);
    text_add(t, ",\"pid\":%d", (int)j->leader);
    proto_put_text(t, "tag", j->tag);
    text_add(t, "}");
}

static size_t list_size(const struct jobs *js) {
    size_t n = 64 + SERVICES_BYTES;
    for (struct link *l = js->all.next; l != &js->all; l = l->next) {
        const struct job *j = CONTAINER_OF(l, struct job, link);
        n += 512 + JOB_RECORD_BYTES + (j->note ? strlen(j->note) : 0);
    }
    return n;
}

void e2b_list(struct http_exchange *x, yyjson_val *body) {
    const struct jobs *js = &channel_of(x)->jobs;
    if (!e2b_unary(x, body))
        return;
    size_t cap = list_size(js);
    AUTO_FREE char *buf = malloc(cap);
    struct text t = { .buf = buf, .cap = cap };
    if (!buf) {
        e2b_fail(x, E2B_EXHAUSTED, "out of memory for a list of %zu processes", js->n);
        return;
    }
    text_add(&t, "{\"processes\":[");
    for (struct link *l = js->all.next; l != &js->all; l = l->next) {
        const struct job *j = CONTAINER_OF(l, struct job, link);
        if (j->state == JOB_RUNNING && !j->reaped)
            put_process(&t, j);
    }
    services_put(channel_of(x), &t);
    text_add(&t, "]}");
    e2b_reply(x, &t);
}

/* --- Update, SendSignal ----------------------------------------------------------------------- */

void e2b_update(struct http_exchange *x, yyjson_val *body) {
    struct proto p = { 0 };
    int64_t rows = 0, cols = 0;
    if (!e2b_unary(x, body))
        return;
    yyjson_val *pty = proto_message(&p, body, "pty");
    yyjson_val *size = proto_message(&p, pty, "size");
    (void)proto_int(&p, size, "rows", 0, UINT16_MAX, &rows);
    (void)proto_int(&p, size, "cols", 0, UINT16_MAX, &cols);
    struct job *j = running(x, &p, body, E2B_INVALID);
    if (!j)
        return;
    if (size && job_resize(j, (uint16_t)rows, (uint16_t)cols) < 0)
        e2b_fail(x, E2B_INTERNAL, "error resizing tty: the process has none");
    else
        e2b_reply_empty(x);
}

/* "SIGNAL_SIGTERM", 15 or "15"; 0: there is none of this number. Any signal may be sent, though the
 * protocol names two. */
static int signal_of(struct proto *p, yyjson_val *body) {
    static const char prefix[] = "SIGNAL_";
    yyjson_val *v = proto_get(body, "signal");
    const char *name = yyjson_get_str(v);
    int64_t number = 0;
    if (name && has_prefix(name, prefix) && strcmp(name, "SIGNAL_UNSPECIFIED") != 0) {
        int sig = signal_number(name + sizeof prefix - 1);
        if (sig < 1)
            (void)err_set(&p->err, EINVAL, "signal: '%.40s' is not known", name);
        return sig;
    }
    if (name && has_prefix(name, prefix))
        return 0;
    (void)proto_int(p, body, "signal", INT32_MIN, INT32_MAX, &number);
    return number >= 1 && number <= 64 ? (int)number : 0;
}

void e2b_send_signal(struct http_exchange *x, yyjson_val *body) {
    struct proto p = { 0 };
    if (!e2b_unary(x, body))
        return;
    int sig = signal_of(&p, body);
    struct job *j = running(x, &p, body, E2B_UNIMPLEMENTED);
    if (!j)
        return;
    if (sig < 1)
        e2b_fail(x, E2B_UNIMPLEMENTED, "a signal is needed, such as SIGNAL_SIGTERM");
    else if (job_signal(j, sig, JOB_TREE) < 0)
        e2b_fail(x, E2B_NOT_FOUND, "process with pid %d not found", (int)j->leader);
    else
        e2b_reply_empty(x);
}

/* --- input ------------------------------------------------------------------------------------ */

/* Bytes on their way into a process, for as long as it takes. */
struct feeding {
    struct job_input input;
    struct job_reader reader; /* only so that the job stays while it is fed */
    char *bytes;              /* owned */
    size_t n, at;
};

/* Said with the code of a process that is gone, for a client's write may meet its end a moment
 * before or after: the CLI takes that for the end of its input, any other for its own failure,
 * and what the command printed would be lost. */
static const char reader_gone[] = "error writing to stdin: its reader has gone";

/* 1: all of it is written; 0: it awaits room, or the end of those before it; -EPIPE. */
static int feed(struct feeding *f) {
    struct job *j = f->reader.job;
    bool goes_on = job_is_next(j, &f->input);
    while (goes_on && f->at < f->n) {
        ssize_t k = job_write(j, f->bytes + f->at, f->n - f->at);
        if (k < 0)
            return -EPIPE;
        f->at += (size_t)k;
        goes_on = k > 0;
    }
    if (!goes_on)
        job_await_room(j, &f->input);
    return goes_on;
}

static void ignore(struct job_reader *r) { (void)r; }

static void feed_stop(struct feeding *f) {
    job_forgo_room(&f->input);
    job_detach(&f->reader);
    mem_release(&f->bytes);
}

/* What a message brings: {"input":{"stdin":...}} or {"pty":...}. The bytes are copied, for the
 * document goes. False: *why and *code say what is wrong. */
static bool take_input(struct feeding *f, struct job *j, struct proto *p, yyjson_val *message,
                       enum e2b_code *code, const char **why) {
    yyjson_val *input = proto_message(p, message, "input");
    size_t n = 0, npty = 0;
    const char *bytes = proto_bytes(p, input, "stdin", &n);
    const char *pty = proto_bytes(p, input, "pty", &npty);
    *code = E2B_INTERNAL;
    *why = p->err.code       ? p->err.text
           : !bytes == !pty  ? "input: stdin or pty is needed, and not both"
           : bytes && j->pty ? "tty assigned to process, input should be written to the pty, "
                               "not the stdin"
           : pty && !j->pty  ? "tty not assigned to process"
           : !j->stdin_open  ? "stdin not enabled or closed"
                             : NULL;
    if (p->err.code || !bytes == !pty)
        *code = E2B_INVALID;
    if (*why)
        return false;
    f->n = bytes ? n : npty;
    f->at = 0;
    f->bytes = malloc(f->n + 1);
    *why = "out of memory for the input";
    *code = E2B_EXHAUSTED;
    if (f->bytes)
        memcpy(f->bytes, bytes ? bytes : pty, f->n);
    return f->bytes;
}

/* --- SendInput, CloseStdin -------------------------------------------------------------------- */

struct sending {
    struct feeding f;
    struct http_exchange *x;
    bool closes; /* behind it, and behind what others are still writing */
};

static void sent(struct sending *s) {
    int rc = feed(&s->f);
    if (rc > 0 && s->closes)
        (void)job_close_stdin(s->f.reader.job);
    if (rc < 0)
        e2b_fail(s->x, E2B_NOT_FOUND, "%s", reader_gone);
    else if (rc > 0)
        e2b_reply_empty(s->x);
}

static void send_more(struct job_input *in) { sent(CONTAINER_OF(in, struct sending, f.input)); }

static void send_over(struct http_exchange *x, bool cut) {
    (void)cut;
    struct sending *s = x->ctx;
    feed_stop(&s->f);
    free(s);
}

static const struct http_handler send_handler = { .over = send_over };

/* To the process that is asked for. NULL, and it has been answered. */
static struct sending *sending_new(struct http_exchange *x, struct proto *p, yyjson_val *body) {
    struct job *j = e2b_unary(x, body) ? running(x, p, body, E2B_INVALID) : NULL;
    struct sending *s = j ? calloc(1, sizeof *s) : NULL;
    if (j && !s)
        e2b_fail(x, E2B_EXHAUSTED, "out of memory");
    if (!s)
        return NULL;
    s->x = x;
    s->f.input.room = send_more;
    s->f.reader.ready = ignore;
    s->f.reader.holds = true;
    x->ctx = s;
    x->handler = &send_handler;
    job_attach(j, &s->f.reader, -1, false);
    return s;
}

void e2b_close_stdin(struct http_exchange *x, yyjson_val *body) {
    struct proto p = { 0 };
    struct sending *s = sending_new(x, &p, body);
    if (!s)
        return;
    s->closes = true;
    if (s->f.reader.job->pty)
        e2b_fail(x, E2B_UNKNOWN, "a terminal has no end of file to be closed: send Ctrl+D");
    else
        sent(s);
}

void e2b_send_input(struct http_exchange *x, yyjson_val *body) {
    struct proto p = { 0 };
    enum e2b_code code;
    const char *why;
    struct sending *s = sending_new(x, &p, body);
    if (!s)
        return;
    struct job *j = s->f.reader.job;
    if (take_input(&s->f, j, &p, body, &code, &why))
        sent(s);
    else
        e2b_fail(x, code, "%s", why);
}

/* --- StreamInput ------------------------------------------------------------------------------ */

/* A client stream: {"start":{"process":...}}, then any number of {"data":{"input":...}} and
 * {"keepalive":{}}. Its answer has the shape of a stream, of one message. */
struct input_stream {
    struct e2b_stream s; /* its way of answering */
    struct feeding f;
};

static void input_fail(struct input_stream *in, enum e2b_code code, const char *why) {
    e2b_stream_fail(&in->s, code, "%s", why);
}

static void input_start(struct input_stream *in, struct proto *p, yyjson_val *start) {
    struct e2b_selector s;
    char why[128];
    if (!e2b_selector(p, start, &s)) {
        input_fail(in, E2B_INVALID,
                   p->err.code ? p->err.text : "process: a pid or a tag is needed");
        return;
    }
    struct job *j = e2b_select(in->s.x, &s);
    if (j && j->state != JOB_ENDED)
        job_attach(j, &in->f.reader, -1, false);
    else
        input_fail(in, E2B_NOT_FOUND, e2b_selector_fault(&s, why));
}

static void input_feed(struct input_stream *in) {
    int rc = feed(&in->f);
    if (rc < 0)
        input_fail(in, E2B_NOT_FOUND, reader_gone);
    if (rc > 0)
        mem_release(&in->f.bytes);
}

static void input_data(struct input_stream *in, struct proto *p, yyjson_val *data) {
    enum e2b_code code;
    const char *why;
    struct job *j = in->f.reader.job;
    if (!j)
        input_fail(in, E2B_INVALID, "the first message must be a start");
    else if (take_input(&in->f, j, p, data, &code, &why))
        input_feed(in);
    else
        input_fail(in, code, why);
}

static void input_message(struct e2b_stream *s, yyjson_val *message) {
    struct input_stream *in = CONTAINER_OF(s, struct input_stream, s);
    struct proto p = { 0 };
    yyjson_val *start = proto_message(&p, message, "start");
    yyjson_val *data = proto_message(&p, message, "data");
    if (p.err.code)
        input_fail(in, E2B_INVALID, p.err.text);
    else if (start && !in->f.reader.job)
        input_start(in, &p, start);
    else if (data)
        input_data(in, &p, data);
}

/* A message that is still being written holds up those behind it: that is the back-pressure. */
static bool input_may_take(const struct e2b_stream *s) {
    return !CONTAINER_OF(s, const struct input_stream, s)->f.bytes;
}

static void input_complete(struct e2b_stream *s) {
    e2b_stream_send(s, "{}", 2);
    e2b_stream_end(s);
}

static void input_room(struct job_input *i) {
    struct input_stream *in = CONTAINER_OF(i, struct input_stream, f.input);
    input_feed(in);
    if (!in->f.bytes)
        e2b_stream_resume(&in->s);
}

static void input_over(struct e2b_stream *s, bool cut) {
    (void)cut;
    struct input_stream *in = CONTAINER_OF(s, struct input_stream, s);
    feed_stop(&in->f);
    free(in);
}

void e2b_stream_input(struct http_exchange *x, yyjson_val *body) {
    (void)body;
    struct input_stream *in = calloc(1, sizeof *in);
    if (!in) {
        e2b_fail(x, E2B_EXHAUSTED, "out of memory");
        return;
    }
    in->s.asked = input_message;
    in->s.over = input_over;
    in->s.may_take = input_may_take;
    in->s.complete = input_complete;
    in->f.input.room = input_room;
    in->f.reader.ready = ignore;
    in->f.reader.holds = true;
    if (!e2b_stream_begin(x, &in->s))
        free(in);
}
