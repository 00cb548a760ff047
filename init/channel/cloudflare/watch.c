/* watch.c — POST /api/watch: events as they come. */
#include "channel/cloudflare/watch.h"

#include <stdlib.h>
#include <string.h>

#include "channel/cloudflare/session.h"
#include "channel/cloudflare/sse.h"

struct watch {
    struct cf_sse s;
    struct cf_watching w;
    struct http_exchange *x;
    char *path; /* as asked for; owned */
};

static void watch_free(struct watch *v) {
    cf_watching_stop(&v->w);
    free(v->path);
    free(v);
}

/* Before it is on: then the stream has an over() of its own. */
static void waiting_over(struct http_exchange *x, bool cut) {
    (void)cut;
    watch_free(x->ctx);
}
static const struct http_handler waiting = { .over = waiting_over };

static void stream_over(struct cf_sse *s, bool cut) {
    (void)cut;
    watch_free(CONTAINER_OF(s, struct watch, s));
}

static void stream_room(struct cf_sse *s) {
    lines_more(&CONTAINER_OF(s, struct watch, s)->w.lines);
}

static void begun(struct cf_watching *w) {
    struct watch *v = CONTAINER_OF(w, struct watch, w);
    char buf[CF_SSE_EVENT], id[CF_WATCH_ID];
    struct text t = TEXT(buf);
    v->s.room = stream_room;
    v->s.over = stream_over;
    cf_sse_begin(v->x, &v->s);
    cf_watch_id(channel_of(v->x), id);
    text_add(&t, "{\"type\":\"watching\"");
    cf_put(&t, "path", v->path);
    cf_put(&t, "watchId", id);
    text_add(&t, "}");
    cf_sse_send(&v->s, &t);
}

static void put_error(struct text *t, const char *why) {
    text_add(t, "{\"type\":\"error\"");
    cf_put(t, "error", why);
    text_add(t, "}");
}

static bool event(struct cf_watching *w, const char *type, bool is_dir, struct slice path) {
    struct watch *v = CONTAINER_OF(w, struct watch, w);
    char buf[CF_SSE_EVENT];
    struct text t = TEXT(buf);
    if (cf_sse_room(&v->s) < path.n + 512)
        return false;
    if (strcmp(type, CF_WATCH_OVERFLOW) == 0) {
        put_error(&t, "more happened than could be told of: events are missing");
    } else {
        text_add(&t, "{\"type\":\"event\"");
        cf_put(&t, "eventType", type);
        text_add(&t, ",\"path\":");
        text_put(&t, path.s, path.n);
        cf_put_flag(&t, "isDirectory", is_dir);
        cf_put_now(&t);
        text_add(&t, "}");
    }
    if (!t.cut)
        cf_sse_send(&v->s, &t);
    return true;
}

static void ended(struct cf_watching *w) {
    struct watch *v = CONTAINER_OF(w, struct watch, w);
    char buf[1024];
    struct text t = TEXT(buf);
    if (!w->on) {
        cf_watching_fail(v->x, w, v->path);
        return;
    }
    if (w->task.fault) {
        put_error(&t, w->task.why);
    } else {
        text_add(&t, "{\"type\":\"stopped\"");
        cf_put(&t, "reason", "the watched directory is gone");
        text_add(&t, "}");
    }
    if (!t.cut && cf_sse_room(&v->s) >= t.len)
        cf_sse_send(&v->s, &t);
    cf_sse_end(&v->s);
}

void cf_watch(struct http_exchange *x, yyjson_val *body) {
    struct cf_watch_ask a;
    struct watch *v = cf_watch_take(&a, x, body) ? calloc(1, sizeof *v) : NULL;
    if (v)
        v->path = strdup(a.path);
    if (v && v->path) {
        v->x = x;
        v->w.begun = begun;
        v->w.event = event;
        v->w.ended = ended;
        x->ctx = v;
        x->handler = &waiting;
        cf_watching_begin(&v->w, channel_of(x), &a, cf_user(x));
    } else if (v) {
        free(v);
        cf_no_memory(x, "a watch");
    }
    cf_watch_release(&a);
}
