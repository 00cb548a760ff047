/* stream.c — exec, attach and output: a reader of a job on one side, a client on the other. */
#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/grow.h"
#include "base/own.h"
#include "base/utf8.h"
#include "channel/native/ask.h"
#include "channel/native/frames.h"
#include "channel/native/native.h"

enum { MAX_COLLECTED = 1 << 20 }; /* bytes of stdout, and of stderr, in an answer of JSON */

enum shape {
    SHAPE_FRAMES, /* both ways after an upgrade, else the server's only */
    SHAPE_RAW,    /* the bytes as they are */
    SHAPE_JSON,   /* all at the end */
};

struct collected {
    char *bytes; /* owned; grows by doubling */
    size_t n, cap;
    bool truncated;
};

struct stream {
    struct http_exchange *x;
    struct job_reader reader;
    struct job_input input;
    enum shape shape;
    int only;    /* SHAPE_RAW: an enum ring_stream, or -1 for both */
    bool follow; /* until the end, not only what is there */
    bool owner;  /* the job ends when this client goes */
    bool begun, over;
    bool refused; /* what comes of a frame of stdin; the client has been told */
    struct frame_reader frames;
    char small[32]; /* a short frame, as it comes */
    struct collected out[2];
};

static void pump(struct stream *s);

static void stream_over(struct http_exchange *x, bool cut) {
    struct stream *s = x->ctx;
    if (cut && s->owner && s->reader.job)
        job_abandon(s->reader.job);
    job_forgo_room(&s->input);
    job_detach(&s->reader);
    mem_release(&s->out[0].bytes);
    mem_release(&s->out[1].bytes);
    free(s);
}

/* --- frames to the client --------------------------------------------------------------------- */

static void send_frame(struct http_exchange *x, enum frame_type type, const void *bytes, size_t n) {
    unsigned char head[FRAME_HEAD];
    frame_head(head, type, n);
    http_send2(x, head, sizeof head, bytes, n);
}

static void send_job(struct stream *s, enum frame_type type) {
    char buf[JOB_JSON_MAX];
    struct text t = TEXT(buf);
    job_json(s->reader.job, channel_of(s->x)->loop.now, &t);
    send_frame(s->x, type, t.buf, t.len);
}

static void send_error(struct stream *s, const char *code, const char *words) {
    char buf[512];
    struct text t = TEXT(buf);
    text_add(&t, "{\"error\":{\"code\":\"%s\",\"message\":", code);
    text_json(&t, words, strlen(words));
    text_add(&t, "}}");
    if (http_room(s->x) >= t.len + FRAME_HEAD) /* a client that does not read is not told */
        send_frame(s->x, FRAME_ERROR, t.buf, t.len);
}

/* --- frames from the client ------------------------------------------------------------------- */

/* Stdin that the job does not take now is left with the connection: that is the back-pressure. */
static size_t take_stdin(struct stream *s, const struct frame_piece *p) {
    struct job *j = s->reader.job;
    if (p->total == 0) {
        if (job_close_stdin(j) < 0)
            send_error(s, "state", "a terminal has no end of file to be closed: send ^D");
        return 0;
    }
    s->refused &= p->at > 0;
    ssize_t k = job_write(j, p->bytes, p->n);
    if (k < 0 && !s->refused)
        send_error(s, "state", "stdin is closed");
    s->refused |= k < 0;
    if (k >= 0 && (size_t)k < p->n)
        job_await_room(j, &s->input);
    return k < 0 ? p->n : (size_t)k;
}

static void take_signal(struct stream *s, const char *name) {
    char words[80];
    int sig = signal_number(name);
    (void)snprintf(words, sizeof words, "there is no signal '%s'", name);
    if (sig < 1)
        send_error(s, "invalid", words);
    else if (job_signal(s->reader.job, sig, JOB_TREE) < 0)
        send_error(s, "state", "the job has ended");
}

/* A short frame, once it is whole. False: it is none. */
static bool take_short(struct stream *s, enum frame_type type, char *bytes, size_t n) {
    if (type == FRAME_SIGNAL) {
        bytes[n] = '\0';
        take_signal(s, bytes);
    } else if (type == FRAME_DETACH && n == 0) {
        s->owner = false;
        s->over = true;
        http_end(s->x);
    } else if (type == FRAME_RESIZE && n == 4) {
        const unsigned char *b = (const unsigned char *)bytes;
        if (job_resize(s->reader.job, (uint16_t)(b[0] << 8 | b[1]), (uint16_t)(b[2] << 8 | b[3])) <
            0)
            send_error(s, "state", "the job has no terminal, or has ended");
    } else {
        return false;
    }
    return true;
}

/* 0: the job is behind; -EPROTO; else the bytes that were used. Frames other than stdin are short,
 * and are collected. */
static int64_t take_frame(struct stream *s, const char *bytes, size_t n) {
    struct frame_piece p;
    int64_t used = frame_next(&s->frames, bytes, n, FRAME_MAX_CLIENT, &p);
    if (used < 0 || !p.bytes)
        return used;
    if (p.type == FRAME_STDIN) {
        size_t left = p.n - take_stdin(s, &p);
        if (left > 0) { /* the rest of it comes again */
            s->frames.have = FRAME_HEAD;
            s->frames.left += (uint32_t)left;
        }
        return used - (int64_t)left;
    }
    bool is_short = p.type == FRAME_RESIZE || p.type == FRAME_SIGNAL || p.type == FRAME_DETACH;
    if (!is_short || p.total >= sizeof s->small)
        return -EPROTO;
    memcpy(s->small + p.at, p.bytes, p.n);
    bool whole = p.at + p.n == p.total;
    return whole && !take_short(s, p.type, s->small, p.total) ? -EPROTO : used;
}

static size_t stream_body(struct http_exchange *x, const char *bytes, size_t n) {
    struct stream *s = x->ctx;
    size_t used = 0;
    while (used < n && !s->over) {
        int64_t k = take_frame(s, bytes + used, n - used);
        if (k < 0) { /* no telling where the next frame begins */
            s->over = true;
            http_cut(x);
        }
        if (k <= 0)
            break;
        used += (size_t)k;
    }
    return s->over ? n : used;
}

/* The client has ended its side without saying end of file: for a job that is its own, it has. */
static void stream_body_end(struct http_exchange *x) {
    struct stream *s = x->ctx;
    if (s->owner && s->reader.job && s->reader.job->stdin_open && !s->reader.job->pty)
        (void)job_close_stdin(s->reader.job);
    /* Over TCP it may as well be gone: then this, which means nothing, is answered with a reset. */
    if (s->begun && !s->over && s->shape == SHAPE_FRAMES && http_room(x) > FRAME_HEAD)
        send_frame(x, FRAME_STDOUT, "", 0);
}

static void stream_room(struct http_exchange *x) { pump(x->ctx); }

static const struct http_handler stream_handler = {
    .body = stream_body, .body_end = stream_body_end, .room = stream_room, .over = stream_over
};

/* --- from the job ----------------------------------------------------------------------------- */

static bool has_room(const struct stream *s) {
    size_t room = s->shape == SHAPE_JSON ? SIZE_MAX : http_room(s->x);
    return room > JOB_JSON_MAX + FRAME_HEAD; /* whatever comes next has room then */
}

static void collect(struct stream *s, const struct job_chunk *c) {
    struct collected *to = &s->out[c->stream];
    size_t n = MAX_COLLECTED - to->n < c->n ? MAX_COLLECTED - to->n : c->n;
    to->truncated |= n < c->n;
    if (!mem_grow(&to->bytes, &to->cap, to->n + n, 1)) {
        to->truncated = true;
        return;
    }
    if (n > 0)
        memcpy(to->bytes + to->n, c->bytes, n);
    to->n += n;
}

static void pass_on(struct stream *s, const struct job_chunk *c) {
    size_t room = s->shape == SHAPE_JSON ? SIZE_MAX : http_room(s->x) - FRAME_HEAD;
    size_t n = c->n < FRAME_MAX_SERVER ? c->n : FRAME_MAX_SERVER;
    if (n > room)
        n = room;
    if (s->shape == SHAPE_JSON)
        collect(s, c);
    else if (s->shape == SHAPE_FRAMES)
        send_frame(s->x, c->stream == RING_STDOUT ? FRAME_STDOUT : FRAME_STDERR, c->bytes, n);
    else if (s->only < 0 || s->only == (int)c->stream)
        http_send(s->x, c->bytes, n);
    job_took(&s->reader, s->shape == SHAPE_JSON ? c->n : n);
}

static void tell_missed(struct stream *s, uint64_t missed) {
    uint64_t be = htobe64(missed);
    if (s->shape == SHAPE_FRAMES)
        send_frame(s->x, FRAME_MISSED, &be, sizeof be);
    else if (s->shape == SHAPE_JSON)
        s->out[0].truncated = true;
    else {
        s->over = true;
        http_cut(s->x); /* bytes as they are cannot say that some are not there */
    }
}

/* The bytes of it that are text. Of what was cut a part of the last letter may be left, which is
 * no reason to call all of it bytes. 0: none are, or there are none. */
static size_t text_in(const struct collected *c) {
    struct utf8 u = { 0 };
    size_t n = c->n;
    if (!utf8_take(&u, c->bytes, n) || (!utf8_is_whole(&u) && !c->truncated))
        return 0;
    while (!utf8_is_whole(&u) && n > 0 && ((unsigned char)c->bytes[n - 1] & 0xc0) == 0x80)
        n--;
    return utf8_is_whole(&u) ? n : n - 1;
}

static void collected_json(const struct collected *c, const char *name, struct text *t) {
    size_t n = c->n > 0 ? text_in(c) : 0;
    if (n > 0 || c->n == 0) {
        text_add(t, ",\"%s\":", name);
        text_json(t, n > 0 ? c->bytes : "", n);
        return;
    }
    text_add(t, ",\"%s_base64\":\"", name);
    if (t->cap - t->len > base64_len(c->n)) {
        base64_encode(c->bytes, c->n, t->buf + t->len);
        t->len += base64_len(c->n);
        t->buf[t->len] = '\0';
    }
    text_add(t, "\"");
}

/* The job with two more members: what it printed. */
static void answer_collected(struct stream *s) {
    size_t cap = JOB_JSON_MAX + 6 * (s->out[0].n + s->out[1].n) + 256; /* \u001b is the longest */
    AUTO_FREE char *buf = malloc(cap);
    if (!buf) {
        native_fail(s->x, 500, "internal", "out of memory for the output; it is kept: see /output");
        return;
    }
    struct text t = { .buf = buf, .cap = cap };
    job_json(s->reader.job, channel_of(s->x)->loop.now, &t);
    t.len--; /* the closing brace */
    collected_json(&s->out[RING_STDOUT], "stdout", &t);
    collected_json(&s->out[RING_STDERR], "stderr", &t);
    text_add(&t, "%s}\n", s->out[0].truncated || s->out[1].truncated ? ",\"truncated\":true" : "");
    http_answer(s->x, 200, "application/json", t.buf, t.len);
}

static void finish(struct stream *s) {
    s->over = true;
    s->owner = false;
    if (s->shape == SHAPE_JSON) {
        answer_collected(s);
        return;
    }
    if (s->shape == SHAPE_FRAMES && s->reader.job->state == JOB_ENDED)
        send_job(s, FRAME_ENDED);
    http_end(s->x);
}

/* One step: false when there is nothing more to be done now. */
static bool step(struct stream *s) {
    struct job_chunk c;
    switch (job_read(&s->reader, &c)) {
    case JOB_READ_DATA:
        pass_on(s, &c);
        return true;
    case JOB_READ_MISSED:
        tell_missed(s, c.missed);
        return true;
    case JOB_READ_END:
        finish(s);
        return false;
    default:
        if (!s->follow)
            finish(s);
        return false;
    }
}

static void begin(struct stream *s) {
    s->begun = true;
    if (s->shape == SHAPE_JSON)
        return;
    bool frames = s->shape == SHAPE_FRAMES;
    if (frames && s->x->head.upgrade && http_lists(&s->x->head, "Upgrade", FRAME_PROTOCOL))
        http_upgrade(s->x, FRAME_PROTOCOL);
    else
        http_begin(s->x, 200, frames ? FRAME_MEDIA_TYPE : "application/octet-stream", -1);
    if (frames)
        send_job(s, FRAME_STARTED);
}

static void fail_start(struct stream *s) {
    const struct job *j = s->reader.job;
    char why[sizeof j->why];
    enum job_reason reason = j->reason;
    memcpy(why, j->why, sizeof why);
    s->over = true;
    s->owner = false;
    native_fail_start(s->x, reason, why);
}

static void pump(struct stream *s) {
    enum job_state state = s->reader.job ? s->reader.job->state : JOB_FAILED;
    if (s->over || !s->reader.job || state == JOB_STARTING)
        return;
    if (state == JOB_FAILED) {
        fail_start(s);
        return;
    }
    if (!s->begun)
        begin(s);
    while (has_room(s) && step(s))
        ;
}

static void stream_ready(struct job_reader *r) { pump(CONTAINER_OF(r, struct stream, reader)); }

static void stream_input_room(struct job_input *in) {
    http_resume(CONTAINER_OF(in, struct stream, input)->x);
}

/* --- routes ----------------------------------------------------------------------------------- */

static struct stream *stream_new(struct http_exchange *x, enum shape shape) {
    struct stream *s = calloc(1, sizeof *s);
    if (!s) {
        native_fail(x, 500, "internal", "out of memory");
        return NULL;
    }
    *s = (struct stream){ .x = x,
                          .shape = shape,
                          .only = -1,
                          .follow = !http_is(x->head.method, "HEAD"),
                          .reader.ready = stream_ready,
                          .input.room = stream_input_room };
    x->ctx = s;
    x->handler = &stream_handler;
    return s;
}

static void stream_start(struct stream *s, struct job *j, int64_t from, bool lossless) {
    job_attach(j, &s->reader, from, lossless);
    pump(s);
}

static enum shape exec_shape(const struct http_exchange *x) {
    bool json = http_lists(&x->head, "Accept", "application/json");
    return json && !x->head.upgrade ? SHAPE_JSON : SHAPE_FRAMES;
}

void native_exec(struct http_exchange *x, yyjson_val *body) {
    struct job_ask a;
    struct err e = { 0 };
    bool known = false;
    if (!native_params(x, (const char *const[]){ NULL }))
        return;
    if (job_ask_parse(&a, body, false, &e) < 0) {
        native_fail(x, 400, "invalid", "%s", e.text);
        job_ask_release(&a);
        return;
    }
    struct stream *s = stream_new(x, exec_shape(x)); /* first: no job without it */
    struct job *j = s ? native_start(x, &a, &known) : NULL;
    if (j) {
        s->owner = !known && !a.detach;
        stream_start(s, j, 0, true);
    }
    job_ask_release(&a);
}

static bool stream_params(struct http_exchange *x, int64_t *from, bool *lossless) {
    return native_number(x, "from", -1, INT64_MAX, from) && native_flag(x, "lossless", lossless);
}

void native_job_attach(struct http_exchange *x, yyjson_val *body) {
    (void)body;
    int64_t from = -1;
    bool lossless = false;
    if (!native_params(x, (const char *const[]){ "from", "lossless", NULL }) ||
        !stream_params(x, &from, &lossless))
        return;
    struct job *j = native_job(x);
    struct stream *s = j ? stream_new(x, SHAPE_FRAMES) : NULL;
    if (s)
        stream_start(s, j, from, lossless);
}

/* "stdout", "stderr" or nothing. */
static bool only_param(struct http_exchange *x, int *only) {
    char name[8] = "";
    int rc = http_param(x, "stream", name, sizeof name);
    *only = rc == 0 ? -1 : strcmp(name, "stdout") == 0 ? RING_STDOUT : RING_STDERR;
    if (rc < 0 || (*only == RING_STDERR && strcmp(name, "stderr") != 0)) {
        native_fail(x, 400, "invalid", "stream: stdout or stderr is needed");
        return false;
    }
    return true;
}

/* Bytes as they are cannot say that some are missing: 0 is the oldest there is, and -1 the end. */
static bool raw_from(struct http_exchange *x, const struct ring *r, int64_t *from) {
    if (*from <= 0)
        *from = (int64_t)(*from < 0 ? r->to : r->from);
    if ((uint64_t)*from >= r->from)
        return true;
    native_fail(x, 416, "range", "from: the oldest byte that is kept is %llu",
                (unsigned long long)r->from);
    return false;
}

void native_job_output(struct http_exchange *x, yyjson_val *body) {
    (void)body;
    int64_t from = 0;
    int only = -1;
    bool lossless = false, follow = false;
    if (!native_params(x, (const char *const[]){ "from", "lossless", "follow", "stream", NULL }) ||
        !stream_params(x, &from, &lossless) || !native_flag(x, "follow", &follow) ||
        !only_param(x, &only))
        return;
    struct job *j = native_job(x);
    bool frames = http_lists(&x->head, "Accept", FRAME_MEDIA_TYPE);
    if (!j || (!frames && !raw_from(x, &j->output, &from)))
        return;
    struct stream *s = stream_new(x, frames ? SHAPE_FRAMES : SHAPE_RAW);
    if (!s)
        return;
    s->follow &= follow;
    s->only = only;
    http_add_field(x, "Pinnace-Output-From", "%lld", (long long)from);
    stream_start(s, j, from, lossless);
}
