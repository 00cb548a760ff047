#include "channel/cloudflare/sse.h"

#include "base/bug.h"

enum {
    QUIET_S = 30,  /* of silence, before it is said that there still is somebody */
    FRAME = 8 + 64 /* bytes around an event: ours, and a chunk's */
};

size_t cf_sse_room(struct cf_sse *s) {
    size_t room = s->ended ? 0 : http_room(s->x);
    return room > FRAME ? room - FRAME : 0;
}

static void send_event(struct cf_sse *s, const char *bytes, size_t n) {
    s->sent = s->x->server->loop->now;
    http_send(s->x, bytes, n);
}

static void send_large(struct cf_sse *s, const struct text *json) {
    http_send2(s->x, "data: ", 6, json->buf, json->len);
    send_event(s, "\n\n", 2);
}

/* One chunk for the three parts: parsers of clients take them apart again, but need not. */
void cf_sse_send(struct cf_sse *s, const struct text *json) {
    char buf[CF_SSE_EVENT + FRAME];
    struct text t = TEXT(buf);
    if (s->ended || BUG_ON(json->cut))
        return;
    if (json->len > CF_SSE_EVENT) {
        send_large(s, json);
        return;
    }
    text_put(&t, "data: ", 6);
    text_put(&t, json->buf, json->len);
    text_put(&t, "\n\n", 2);
    if (!BUG_ON(t.cut))
        send_event(s, t.buf, t.len);
}

static void been_quiet(struct timer *timer) {
    struct cf_sse *s = CONTAINER_OF(timer, struct cf_sse, quiet);
    struct loop *l = s->x->server->loop;
    span rest = { span_s(QUIET_S).ns - instant_since(l->now, s->sent).ns };
    if (rest.ns <= 0 && cf_sse_room(s) > 0)
        send_event(s, ": ka\n\n", 6);
    timer_arm(l, &s->quiet, rest.ns > 0 ? rest : span_s(QUIET_S));
}

static void stream_room(struct http_exchange *x) {
    struct cf_sse *s = x->ctx;
    if (!s->ended)
        s->room(s);
}

static void stream_over(struct http_exchange *x, bool cut) {
    struct cf_sse *s = x->ctx;
    timer_stop(&s->quiet);
    s->over(s, cut);
}

static const struct http_handler stream_handler = { .room = stream_room, .over = stream_over };

void cf_sse_begin(struct http_exchange *x, struct cf_sse *s) {
    s->x = x;
    s->sent = x->server->loop->now;
    s->quiet.fire = been_quiet;
    x->ctx = s;
    x->handler = &stream_handler;
    timer_arm(x->server->loop, &s->quiet, span_s(QUIET_S));
    http_add_field(x, "Cache-Control", "no-cache");
    http_begin(x, 200, "text/event-stream", -1);
}

void cf_sse_end(struct cf_sse *s) {
    if (s->ended)
        return;
    s->ended = true;
    timer_stop(&s->quiet);
    http_end(s->x);
}
