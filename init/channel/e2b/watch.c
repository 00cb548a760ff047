/* watch.c — watches of filesystem.Filesystem: WatchDir streams its events, CreateWatcher keeps them
 * until GetWatcherEvents fetches them.
 *
 * The worker that watches writes a line for each event into a pipe; a consumer that has no room
 * leaves them there, so that it is the kernel's queue that overflows, which is told.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/grow.h"
#include "base/own.h"
#include "channel/e2b/filesystem.h"
#include "channel/lines.h"

enum {
    WATCHER_QUEUE = 1 << 20, /* bytes of events that wait to be fetched; then the kernel's fills */
    WATCHER_IDLE_S = 3600,   /* without being asked; then the watcher is removed */
    WATCHER_ID = 18,
};

struct watch {
    struct file_task task;
    struct lines lines;
    bool emptied; /* the pipe is at its end */
    bool finished, over;
    char user[E2B_USER_TEXT];
    /* Take an event, a line without its end; false: no room now. "" says that the watch is on. */
    bool (*event)(struct watch *w, const char *line, size_t n);
    /* It is over, in words. */
    void (*failed)(struct watch *w, enum e2b_code code, const char *why);
};

/* --- in the worker ---------------------------------------------------------------------------- */

static const char overflowed[] = "overflow", before[] = "{\"filesystem\":", after[] = "}";

static void put_event(struct text *out, const struct file_event *e, const char *type, bool entry) {
    text_add(out, "%s{", before);
    proto_put_text(out, "name", *e->name ? e->name : ".");
    text_add(out, ",\"type\":\"EVENT_TYPE_%s\"", type);
    if (entry && e->entry) {
        text_add(out, ",\"entry\":");
        e2b_put_entry(out, e->entry);
    }
    text_add(out, "}%s\n", after);
}

/* A file that is put into place as a whole, as uploads are, is not written to afterwards, but those
 * who wait for its content wait for WRITE. */
static void put_created(struct text *out, const struct file_event *e, bool entry) {
    put_event(out, e, "CREATE", entry);
    if (e->entry && S_ISREG(e->entry->st.st_mode) && e->entry->st.st_size > 0)
        put_event(out, e, "WRITE", entry);
}

static void put_any(struct text *out, const struct file_event *e, bool entry) {
    static const char *const types[] = { [FILE_WRITTEN] = "WRITE",
                                         [FILE_REMOVED] = "REMOVE",
                                         [FILE_RENAMED] = "RENAME",
                                         [FILE_CHMODED] = "CHMOD" };
    if (e->kind == FILE_WATCHING)
        text_add(out, "\n");
    else if (e->kind == FILE_OVERFLOW)
        text_add(out, "%s\n", overflowed);
    else if (e->kind == FILE_CREATED)
        put_created(out, e, entry);
    else
        put_event(out, e, types[e->kind], entry);
}

static void render(const struct file_event *e, size_t index, struct text *out) {
    (void)index;
    put_any(out, e, false);
}

static void render_with_entries(const struct file_event *e, size_t index, struct text *out) {
    (void)index;
    put_any(out, e, true);
}

/* Once. */
static void end_watch(struct watch *w, enum e2b_code code, const char *why) {
    bool over = w->over;
    w->over = true;
    lines_stop(&w->lines);
    if (!over)
        w->failed(w, code, why);
}

/* --- lines ------------------------------------------------------------------------------------ */

static bool take_line(struct lines *l, const char *line, size_t n) {
    struct watch *w = CONTAINER_OF(l, struct watch, lines);
    if (n == sizeof overflowed - 1 && memcmp(line, overflowed, n) == 0) {
        end_watch(w, E2B_INTERNAL, "more happened than could be told of: events are missing");
        return true;
    }
    return w->event(w, line, n);
}

/* All it wrote is read, and its verdict is there. */
static void settle(struct watch *w) {
    if (!w->emptied || !w->finished)
        return;
    if (w->task.fault == FILE_BAD_USER) {
        char why[128];
        (void)snprintf(why, sizeof why, "invalid username: '%s'", w->user);
        end_watch(w, E2B_UNAUTHENTICATED, why);
    } else {
        end_watch(w, w->task.fault ? e2b_fault_code(&w->task) : E2B_INTERNAL,
                  w->task.fault ? w->task.why : "the watch has ended: its directory is gone");
    }
}

static void lines_ended(struct lines *l, int code) {
    struct watch *w = CONTAINER_OF(l, struct watch, lines);
    w->emptied = true;
    if (code == -EMSGSIZE)
        end_watch(w, E2B_INTERNAL, "an event is too long to be told");
    else if (code == -ENOMEM)
        end_watch(w, E2B_EXHAUSTED, "out of memory for the watch");
    else
        settle(w);
}

static void opened(struct file_task *t) {
    struct watch *w = CONTAINER_OF(t, struct watch, task);
    file_go(t, 0, 0);
    w->lines.line = take_line;
    w->lines.ended = lines_ended;
    w->emptied = false;
    if (lines_begin(&w->lines, t->files->loop, t->data) < 0)
        end_watch(w, E2B_EXHAUSTED, "out of memory for the watch");
}

static void finished(struct file_task *t) {
    struct watch *w = CONTAINER_OF(t, struct watch, task);
    w->finished = true;
    settle(w);
}

static void watch_stop(struct watch *w) {
    lines_stop(&w->lines);
    file_cancel(&w->task);
}

/* Begin, as the message says. 0; else *code and `why`. */
static bool watch_begin(struct watch *w, const struct http_exchange *x, yyjson_val *message,
                        enum e2b_code *code, struct err *why) {
    struct proto p = { 0 };
    struct file_req q;
    const char *path = proto_text(&p, message, "path");
    bool recursive = proto_bool(&p, message, "recursive");
    bool entries = proto_bool(&p, message, "includeEntry");
    bool network = proto_bool(&p, message, "allowNetworkMounts");
    *code = E2B_INVALID;
    if (!p.err.code && !e2b_user(x, NULL, w->user))
        (void)err_set(&p.err, EINVAL, "Authorization: this is no user's name");
    if (p.err.code) {
        *why = p.err;
        return false;
    }
    e2b_file_req(x, &q, FILE_WATCH, path, w->user);
    q.recursive = recursive;
    q.entries = true; /* also to know what a new file is */
    q.network_ok = network;
    q.event = entries ? render_with_entries : render;
    w->task.opened = opened;
    w->task.finished = finished;
    w->emptied = true; /* nothing comes before it is open */
    if (file_begin(&channel_of(x)->files, &w->task, &q, why) == 0)
        return true;
    *code = e2b_fault_code(&w->task);
    return false;
}

/* --- WatchDir --------------------------------------------------------------------------------- */

struct watch_stream {
    struct e2b_stream s;
    struct watch w;
};

static void put_keepalive(struct text *t) { text_add(t, "{\"keepalive\":{}}"); }

static bool stream_event(struct watch *w, const char *line, size_t n) {
    struct watch_stream *v = CONTAINER_OF(w, struct watch_stream, w);
    static const char begun[] = "{\"start\":{}}";
    if (e2b_stream_room(&v->s) < n + sizeof begun)
        return false;
    e2b_stream_send(&v->s, n ? line : begun, n ? n : sizeof begun - 1);
    return true;
}

static void stream_failed(struct watch *w, enum e2b_code code, const char *why) {
    e2b_stream_fail(&CONTAINER_OF(w, struct watch_stream, w)->s, code, "%s", why);
}

static void stream_asked(struct e2b_stream *s, yyjson_val *message) {
    struct watch_stream *v = CONTAINER_OF(s, struct watch_stream, s);
    enum e2b_code code;
    struct err why = { 0 };
    if (!watch_begin(&v->w, s->x, message, &code, &why))
        e2b_stream_fail(s, code, "%s", why.text);
}

static void stream_room(struct e2b_stream *s) {
    struct watch_stream *v = CONTAINER_OF(s, struct watch_stream, s);
    lines_more(&v->w.lines);
}

static void stream_over(struct e2b_stream *s, bool cut) {
    (void)cut;
    struct watch_stream *v = CONTAINER_OF(s, struct watch_stream, s);
    watch_stop(&v->w);
    free(v);
}

void e2b_watch_dir(struct http_exchange *x, yyjson_val *body) {
    (void)body;
    struct watch_stream *v = calloc(1, sizeof *v);
    if (!v) {
        e2b_fail(x, E2B_EXHAUSTED, "out of memory");
        return;
    }
    v->s.asked = stream_asked;
    v->s.room = stream_room;
    v->s.over = stream_over;
    v->s.put_keepalive = put_keepalive;
    v->w.event = stream_event;
    v->w.failed = stream_failed;
    v->w.task.data = v->w.task.control.fd = -1;
    if (!e2b_stream_begin(x, &v->s))
        free(v);
}

/* --- CreateWatcher and its like --------------------------------------------------------------- */

struct watcher {
    struct link link; /* in channel.e2b.watchers */
    struct channel *channel;
    struct watch w;
    struct http_exchange *x; /* that waits for it to be on; then NULL */
    struct timer idle;
    char id[WATCHER_ID];
    char *queue; /* owned: events with commas between */
    size_t len, cap;
    enum e2b_code code; /* of its end */
    char why[320];      /* "": it is on */
};

static void watcher_free(struct watcher *v) {
    v->channel->e2b.nwatchers--;
    list_remove(&v->link);
    timer_stop(&v->idle);
    watch_stop(&v->w);
    free(v->queue);
    free(v);
}

static bool queue_put(struct watcher *v, const char *line, size_t n) {
    if (!mem_grow(&v->queue, &v->cap, v->len + n + 1, 1))
        return false;
    if (v->len > 0)
        v->queue[v->len++] = ',';
    memcpy(v->queue + v->len, line, n);
    v->len += n;
    return true;
}

static void watcher_on(struct watcher *v) {
    struct http_exchange *x = v->x;
    char buf[64];
    struct text t = TEXT(buf);
    text_add(&t, "{\"watcherId\":\"%s\"}", v->id);
    v->x = NULL;
    x->ctx = NULL;
    e2b_reply(x, &t);
}

static bool watcher_event(struct watch *w, const char *line, size_t n) {
    struct watcher *v = CONTAINER_OF(w, struct watcher, w);
    size_t bare = n - (sizeof before - 1) - (sizeof after - 1);
    if (n > 0)
        return v->len + n < WATCHER_QUEUE && queue_put(v, line + sizeof before - 1, bare);
    if (v->x)
        watcher_on(v);
    return true;
}

/* Freed by its exchange, or once it has been asked for. */
static void watcher_failed(struct watch *w, enum e2b_code code, const char *why) {
    struct watcher *v = CONTAINER_OF(w, struct watcher, w);
    v->code = code;
    (void)snprintf(v->why, sizeof v->why, "%s", why);
    if (v->x)
        e2b_fail(v->x, code, "%s", v->why);
}

/* One that is not on yet is its exchange's to free. */
static void watcher_idle(struct timer *t) {
    struct watcher *v = CONTAINER_OF(t, struct watcher, idle);
    if (v->x)
        timer_arm(&v->channel->loop, t, span_s(WATCHER_IDLE_S));
    else
        watcher_free(v);
}

static void create_over(struct http_exchange *x, bool cut) {
    (void)cut;
    if (x->ctx) /* it has not come to be */
        watcher_free(x->ctx);
}

static const struct http_handler create_handler = { .over = create_over };

static struct watcher *watcher_new(struct http_exchange *x) {
    struct channel *ch = channel_of(x);
    struct watcher *v = calloc(1, sizeof *v);
    uint64_t id = 0;
    if (!v || getrandom(&id, sizeof id, 0) < 0) {
        free(v);
        return NULL;
    }
    v->channel = ch;
    v->x = x;
    v->w.event = watcher_event;
    v->w.failed = watcher_failed;
    v->w.task.data = v->w.task.control.fd = -1;
    v->idle.fire = watcher_idle;
    (void)snprintf(v->id, sizeof v->id, "w%016" PRIx64, id);
    list_insert_before(&ch->e2b.watchers, &v->link);
    ch->e2b.nwatchers++;
    timer_arm(&ch->loop, &v->idle, span_s(WATCHER_IDLE_S));
    x->ctx = v;
    x->handler = &create_handler;
    return v;
}

void e2b_create_watcher(struct http_exchange *x, yyjson_val *body) {
    enum e2b_code code;
    struct err why = { 0 };
    if (!e2b_unary(x, body))
        return;
    struct watcher *v = watcher_new(x);
    if (!v)
        e2b_fail(x, E2B_EXHAUSTED, "out of memory for a watcher");
    else if (!watch_begin(&v->w, x, body, &code, &why))
        e2b_fail(x, code, "%s", why.text);
}

/* NULL, and it has been answered. */
static struct watcher *watcher_of(struct http_exchange *x, yyjson_val *body) {
    struct proto p = { 0 };
    struct link *all = &channel_of(x)->e2b.watchers;
    if (!e2b_unary(x, body))
        return NULL;
    const char *id = proto_text(&p, body, "watcherId");
    if (!e2b_proto_ok(x, &p))
        return NULL;
    for (struct link *l = all->next; id && l != all; l = l->next) {
        struct watcher *v = CONTAINER_OF(l, struct watcher, link);
        if (!v->x && strcmp(v->id, id) == 0)
            return v;
    }
    e2b_fail(x, E2B_NOT_FOUND, "watcher with id %.40s not found", id ? id : "");
    return NULL;
}

/* What came before the end is fetched before it is told. */
void e2b_watcher_events(struct http_exchange *x, yyjson_val *body) {
    struct watcher *v = watcher_of(x, body);
    if (!v)
        return;
    timer_arm(&v->channel->loop, &v->idle, span_s(WATCHER_IDLE_S));
    lines_more(&v->w.lines); /* what has come in this turn */
    if (*v->why && v->len == 0) {
        e2b_fail(x, v->code, "%s", v->why);
        return;
    }
    size_t cap = v->len + 32;
    AUTO_FREE char *buf = malloc(cap);
    struct text t = { .buf = buf, .cap = cap };
    if (!buf) {
        e2b_fail(x, E2B_EXHAUSTED, "out of memory for the events; ask again");
        return;
    }
    text_add(&t, v->len ? "{\"events\":[" : "{");
    text_put(&t, v->queue, v->len);
    text_add(&t, v->len ? "]}" : "}");
    e2b_reply(x, &t);
    mem_release(&v->queue);
    v->len = v->cap = 0;
    lines_more(&v->w.lines);
}

void e2b_remove_watcher(struct http_exchange *x, yyjson_val *body) {
    struct watcher *v = watcher_of(x, body);
    if (!v)
        return;
    watcher_free(v);
    e2b_reply_empty(x);
}
