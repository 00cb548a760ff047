#include "channel/e2b/rpc.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "channel/e2b/multipart.h"

enum {
    PING_S = 90, /* s between two keepalives where the client says nothing */
    MAX_PING_S = 3600,
    FAIL_TEXT = 1024, /* bytes of an error's message */
};

/* --- codes ------------------------------------------------------------------------------------ */

#define CODE_ROW(id, text_, status_) [id] = { text_, status_ },
static const struct {
    const char *text;
    int status;
} codes[E2B_NCODES] = { E2B_CODES(CODE_ROW) };
#undef CODE_ROW

const char *e2b_code_text(enum e2b_code code) { return codes[code].text; }
int e2b_code_status(enum e2b_code code) { return codes[code].status; }

static void put_error(struct text *t, enum e2b_code code, const char *words) {
    text_add(t, "{\"code\":\"%s\",\"message\":", codes[code].text);
    text_json(t, words, strlen(words));
    text_add(t, "}");
}

void e2b_fail(struct http_exchange *x, enum e2b_code code, const char *fmt, ...) {
    char words[FAIL_TEXT], buf[6 * FAIL_TEXT + 64];
    struct text t = TEXT(buf);
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(words, sizeof words, fmt, ap);
    va_end(ap);
    put_error(&t, code, words);
    http_answer(x, codes[code].status, E2B_UNARY, t.buf, t.len);
}

/* --- what kind of request --------------------------------------------------------------------- */

static bool is_encoded(const struct http_exchange *x, const char *field) {
    struct slice coding = http_field(&x->head, field);
    return coding.s && !http_is_nocase(coding, "identity");
}

/* A stream is told of what is wrong in its last envelope, but what is no stream cannot be. */
bool e2b_speaks(struct http_exchange *x, const char *type) {
    if (media_type_is(http_field(&x->head, "Content-Type"), type))
        return true;
    http_add_field(x, "Accept-Post", "%s", type);
    http_answer(x, 415, NULL, NULL, 0);
    return false;
}

static const char *version_fault(const struct http_exchange *x) {
    struct slice version = http_field(&x->head, "Connect-Protocol-Version");
    return version.n > 0 && !http_is(version, "1") ? "connect-protocol-version must be 1" : NULL;
}

/* Milliseconds of at most ten digits, as the protocol says. False: it is not that. */
static bool timeout_of(const struct http_exchange *x, span *out) {
    struct slice field = http_field(&x->head, "Connect-Timeout-Ms");
    int64_t ms = 0;
    *out = SPAN_NEVER;
    if (field.n == 0)
        return true;
    if (field.n > 10)
        return false;
    for (size_t i = 0; i < field.n; i++) {
        if (field.s[i] < '0' || field.s[i] > '9')
            return false;
        ms = ms * 10 + (field.s[i] - '0');
    }
    *out = span_ms(ms);
    return true;
}

static span ping_of(const struct http_exchange *x) {
    struct slice field = http_field(&x->head, "Keepalive-Ping-Interval");
    int64_t s = 0;
    for (size_t i = 0; i < field.n; i++) {
        if (field.s[i] < '0' || field.s[i] > '9' || s > MAX_PING_S)
            return span_s(PING_S);
        s = s * 10 + (field.s[i] - '0');
    }
    return span_s(s > 0 ? s : PING_S);
}

/* --- unary ------------------------------------------------------------------------------------ */

bool e2b_unary(struct http_exchange *x, yyjson_val *body) {
    span limit;
    const char *wrong = version_fault(x);
    if (!e2b_speaks(x, E2B_UNARY))
        return false;
    if (is_encoded(x, "Content-Encoding")) {
        e2b_fail(x, E2B_UNIMPLEMENTED, "this compression is not known: identity is");
        return false;
    }
    if (!wrong && !timeout_of(x, &limit))
        wrong = "Connect-Timeout-Ms: at most ten digits are needed";
    if (!wrong && !body)
        wrong = "the body is empty: a JSON object is needed";
    if (!wrong && !yyjson_is_obj(body))
        wrong = "the body is no JSON object";
    if (wrong)
        e2b_fail(x, E2B_INVALID, "%s", wrong);
    return !wrong;
}

const char *e2b_unary_type(const struct http_exchange *x) {
    struct slice asked = http_field(&x->head, "Content-Type");
    return memchr(asked.s, ';', asked.n) ? E2B_UNARY "; charset=utf-8" : E2B_UNARY;
}

void e2b_reply(struct http_exchange *x, const struct text *t) {
    if (t->cut)
        e2b_fail(x, E2B_EXHAUSTED, "the answer is too long");
    else
        http_answer(x, 200, e2b_unary_type(x), t->buf, t->len);
}

void e2b_reply_empty(struct http_exchange *x) { http_answer(x, 200, e2b_unary_type(x), "{}", 2); }

bool e2b_proto_ok(struct http_exchange *x, const struct proto *p) {
    if (p->err.code)
        e2b_fail(x, E2B_INVALID, "%s", p->err.text);
    return !p->err.code;
}

/* --- server streams: out ---------------------------------------------------------------------- */

static void send_envelope(struct e2b_stream *s, unsigned flags, const char *bytes, size_t n) {
    unsigned char head[ENVELOPE_HEAD];
    envelope_head(head, flags, n);
    if (!s->begun)
        http_begin(s->x, 200, E2B_STREAM, -1);
    s->begun = true;
    s->sent = s->x->server->loop->now;
    http_send2(s->x, head, sizeof head, bytes, n);
}

size_t e2b_stream_room(struct e2b_stream *s) {
    size_t room = s->ended ? 0 : s->begun ? http_room(s->x) : MAX_HTTP_OUT;
    return room > ENVELOPE_HEAD ? room - ENVELOPE_HEAD : 0;
}

void e2b_stream_send(struct e2b_stream *s, const char *bytes, size_t n) {
    if (!s->ended)
        send_envelope(s, 0, bytes, n);
}

void e2b_stream_text(struct e2b_stream *s, const struct text *t) {
    e2b_stream_send(s, t->buf, t->len);
}

static void finish(struct e2b_stream *s, const char *last, size_t n) {
    if (s->ended)
        return;
    s->ended = true;
    timer_stop(&s->deadline);
    timer_stop(&s->ping);
    send_envelope(s, ENVELOPE_END, last, n);
    http_end(s->x);
}

void e2b_stream_end(struct e2b_stream *s) { finish(s, "{}", 2); }

void e2b_stream_fail(struct e2b_stream *s, enum e2b_code code, const char *fmt, ...) {
    char words[FAIL_TEXT], buf[6 * FAIL_TEXT + 64];
    struct text t = TEXT(buf);
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(words, sizeof words, fmt, ap);
    va_end(ap);
    text_add(&t, "{\"error\":");
    put_error(&t, code, words);
    text_add(&t, "}");
    finish(s, t.buf, t.len);
}

/* --- server streams: in ----------------------------------------------------------------------- */

static void ping(struct timer *timer) {
    struct e2b_stream *s = CONTAINER_OF(timer, struct e2b_stream, ping);
    struct loop *l = s->x->server->loop;
    span quiet = instant_since(l->now, s->sent);
    char buf[128];
    struct text t = TEXT(buf);
    bool due = quiet.ns >= s->ping_every.ns;
    if (s->begun && due && s->put_keepalive && e2b_stream_room(s) >= sizeof buf) {
        s->put_keepalive(&t);
        e2b_stream_text(s, &t);
    }
    timer_arm(l, &s->ping, due ? s->ping_every : (span){ s->ping_every.ns - quiet.ns });
}

static void too_late(struct timer *timer) {
    struct e2b_stream *s = CONTAINER_OF(timer, struct e2b_stream, deadline);
    e2b_stream_fail(s, E2B_DEADLINE, "the time that Connect-Timeout-Ms allowed is over");
}

static void call(struct e2b_stream *s) {
    yyjson_read_err why;
    s->called = true;
    s->x->patient = true; /* input comes as it is typed, and some do not end what has one message */
    yyjson_doc *doc = http_read_json(s->in.payload, s->in.len, &why);
    yyjson_val *message = yyjson_doc_get_root(doc);
    const char *version = version_fault(s->x);
    if (version)
        e2b_stream_fail(s, E2B_INVALID, "%s", version);
    else if (s->in.flags & ENVELOPE_GZIP)
        e2b_stream_fail(s, E2B_INTERNAL,
                        "the message is compressed, and no compression was agreed");
    else if (!doc)
        e2b_stream_fail(s, E2B_INVALID, "the message is not JSON: %s at byte %zu", why.msg,
                        why.pos);
    else if (!yyjson_is_obj(message))
        e2b_stream_fail(s, E2B_INVALID, "the message is no JSON object");
    else if (!timeout_of(s->x, &s->limit))
        e2b_stream_fail(s, E2B_INVALID, "Connect-Timeout-Ms: at most ten digits are needed");
    else
        s->asked(s, message);
    yyjson_doc_free(doc);
    envelope_next(&s->in);
}

/* How many bytes were used. */
static size_t take_message(struct e2b_stream *s, const char *bytes, size_t n) {
    int64_t used = envelope_take(&s->in, bytes, n, MAX_JSON_BODY);
    if (used == -ENOMEM)
        e2b_stream_fail(s, E2B_EXHAUSTED, "out of memory for the message");
    else if (used < 0)
        e2b_stream_fail(s, E2B_EXHAUSTED, "the message is longer than %d bytes", MAX_JSON_BODY);
    else if (s->in.whole)
        call(s);
    return used < 0 ? n : (size_t)used;
}

static size_t stream_body(struct http_exchange *x, const char *bytes, size_t n) {
    struct e2b_stream *s = x->ctx;
    size_t used = 0;
    while (used < n && !s->ended) {
        if (s->called && !s->complete)
            return n; /* there is one message; whatever follows it is passed over */
        if (s->may_take && !s->may_take(s))
            return used;
        used += take_message(s, bytes + used, n - used);
    }
    return n;
}

static void stream_body_end(struct http_exchange *x) {
    struct e2b_stream *s = x->ctx;
    s->all_in = true;
    if (s->in.have > 0 || (!s->called && !s->complete))
        e2b_stream_fail(s, E2B_INVALID, "the request ended before its message was complete");
    else if (s->complete && s->may_take(s))
        s->complete(s);
}

void e2b_stream_resume(struct e2b_stream *s) {
    if (s->ended)
        return;
    if (s->all_in)
        s->complete(s);
    else
        http_resume(s->x);
}

static void stream_room(struct http_exchange *x) {
    struct e2b_stream *s = x->ctx;
    if (s->room && !s->ended)
        s->room(s);
}

static void stream_over(struct http_exchange *x, bool cut) {
    struct e2b_stream *s = x->ctx;
    timer_stop(&s->deadline);
    timer_stop(&s->ping);
    envelope_next(&s->in);
    s->over(s, cut);
}

static const struct http_handler stream_handler = {
    .body = stream_body, .body_end = stream_body_end, .room = stream_room, .over = stream_over
};

bool e2b_stream_begin(struct http_exchange *x, struct e2b_stream *s) {
    if (!e2b_speaks(x, E2B_STREAM))
        return false;
    s->x = x;
    s->limit = SPAN_NEVER;
    s->ping_every = ping_of(x);
    s->sent = x->server->loop->now;
    s->ping.fire = ping;
    s->deadline.fire = too_late;
    x->ctx = s;
    x->handler = &stream_handler;
    timer_arm(x->server->loop, &s->ping, s->ping_every);
    if (timeout_of(x, &s->limit))
        timer_arm(x->server->loop, &s->deadline, s->limit);
    return true;
}
