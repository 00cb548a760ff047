/* write.c — POST /api/write. The body is up to 128 MiB of JSON, most of it the file's content as a
 * text: it is taken apart as it comes, and the content goes into the worker's pipe, so that nothing
 * of it waits here.
 *
 * Whether the content is base 64 may be said behind it: the worker is told at the end, and decodes
 * what it has got. Where the path, too, is said behind it, or is relative to a session's directory
 * that is, the content is kept until then: MAX_JSON_BODY of it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/grow.h"
#include "base/own.h"
#include "channel/cloudflare/files.h"
#include "channel/cloudflare/session.h"
#include "http/json_scan.h"

enum { MAX_ENCODING = 16 };

struct member { /* a short text of the body */
    char *bytes;
    size_t n, max;
    bool there, too_long, is_text;
};

enum writing_state {
    COLLECTING, /* the content is kept: it is not known yet for which file it is */
    OPENING,    /* the worker is not there yet */
    TAKES,
    SETTLING, /* all was given to it */
    FAILED,   /* it has ended before; the rest of the body is read, and then that is told */
};

struct writing {
    struct http_exchange *x;
    struct json_scan scan;
    struct file_task task;
    enum writing_state state;
    struct source room; /* of the worker's pipe */
    struct slice left;  /* of a piece: what the pipe did not take */
    struct member path, session, encoding;
    uint64_t total; /* bytes of the body so far */
    bool has_content, content_ended, bad_content;
    bool ended; /* the whole body is there */
    bool broken;
    char *kept; /* owned; of the content, while COLLECTING */
    size_t nkept, cap, at;
    char path_bytes[CF_MAX_PATH + 1], session_bytes[CF_SESSION_TEXT];
    char encoding_bytes[MAX_ENCODING];
};

static void give_on(struct writing *w);

/* --- the end ---------------------------------------------------------------------------------- */

static void over(struct http_exchange *x, bool cut) {
    (void)cut;
    struct writing *w = x->ctx;
    loop_unwatch(&w->room);
    file_cancel(&w->task);
    free(w->kept);
    free(w);
}

static void answer(struct writing *w) {
    AUTO_FREE char *buf = malloc(CF_TEXT);
    struct text t = { .buf = buf, .cap = CF_TEXT };
    if (!buf) {
        cf_no_memory(w->x, "an answer; the file is written");
        return;
    }
    cf_put(&t, "path", w->path.bytes);
    cf_ok(w->x, &t);
}

static void answer_fault(struct writing *w) {
    cf_file_fail(w->x, &(struct cf_failure){ .operation = "file.write",
                                             .path = w->path.bytes,
                                             .task = &w->task,
                                             .plain = true });
}

static void finished(struct file_task *t) {
    struct writing *w = CONTAINER_OF(t, struct writing, task);
    bool early = w->state != SETTLING;
    loop_unwatch(&w->room);
    w->state = FAILED;
    if (t->fault == FILE_OK && !early) {
        answer(w);
    } else if (w->ended) {
        answer_fault(w);
    } else {
        w->left = (struct slice){ 0 };
        http_resume(w->x); /* a client that sends does not listen */
    }
}

/* --- the worker ------------------------------------------------------------------------------- */

static void opened(struct file_task *t) {
    struct writing *w = CONTAINER_OF(t, struct writing, task);
    w->state = TAKES;
    file_go(t, 0, 0);
    give_on(w);
}

static void start(struct writing *w, const char *absolute) {
    const struct file_req q = {
        .op = FILE_WRITE, .path = absolute, .user = cf_user(w->x), .parents = true, .unsynced = true
    };
    w->state = OPENING;
    if (file_begin(&channel_of(w->x)->files, &w->task, &q, NULL) < 0) {
        w->state = FAILED;
        if (w->ended)
            answer_fault(w);
    }
}

static bool is_base64(const struct writing *w) {
    return w->encoding.is_text && !w->encoding.too_long && strcmp(w->encoding.bytes, "base64") == 0;
}

static void settle(struct writing *w) {
    w->state = SETTLING;
    if (is_base64(w))
        file_content_complete_base64(&w->task);
    else
        file_content_complete(&w->task);
}

/* Write to the pipe. How many bytes it took; the reader's end is told by finished(). */
static size_t put(struct writing *w, const char *bytes, size_t n) {
    ssize_t k = n > 0 ? write(w->task.data, bytes, n) : 0;
    if (k < 0 && errno != EAGAIN && errno != EINTR)
        return n;
    return k > 0 ? (size_t)k : 0;
}

static void await_room(struct writing *w) {
    if (loop_watch(w->x->server->loop, &w->room) < 0)
        http_cut(w->x);
}

/* What was kept, then what was left over, then the rest of the body. */
static void give_on(struct writing *w) {
    loop_unwatch(&w->room);
    w->room.fd = w->task.data;
    w->at += put(w, w->kept + w->at, w->nkept - w->at);
    if (w->at == w->nkept) {
        mem_release(&w->kept);
        w->at = w->nkept = w->cap = 0;
        size_t k = put(w, w->left.s, w->left.n);
        w->left = (struct slice){ w->left.s + k, w->left.n - k };
    }
    if (w->nkept > 0 || w->left.n > 0)
        await_room(w);
    else if (w->ended)
        settle(w);
    else
        http_resume(w->x);
}

static void room_ready(struct source *s, uint32_t got) {
    (void)got;
    give_on(CONTAINER_OF(s, struct writing, room));
}

/* --- the body --------------------------------------------------------------------------------- */

static bool keep(struct writing *w, struct slice piece) {
    if (piece.n > MAX_JSON_BODY - w->nkept || !mem_grow(&w->kept, &w->cap, w->nkept + piece.n, 1))
        return false;
    memcpy(w->kept + w->nkept, piece.s, piece.n);
    w->nkept += piece.n;
    return true;
}

static struct slice path_of(const struct writing *w) {
    if (!w->path.is_text)
        return (struct slice){ 0 };
    return (struct slice){ w->path.bytes, w->path.too_long ? CF_MAX_PATH + 1 : w->path.n };
}

/* Is it known for which file the content is? */
static bool is_placed(const struct writing *w) {
    struct slice path = path_of(w);
    return path.s && !cf_path_fault(path) && *path.s == '/' && path.n < PATH_MAX;
}

/* False: it has been answered. */
static bool take_content(struct writing *w, struct slice piece) {
    w->has_content = true;
    if (w->state == COLLECTING && is_placed(w))
        start(w, w->path.bytes);
    if (w->state == COLLECTING && !keep(w, piece)) {
        cf_refuse(w->x, 413, "");
        return false;
    }
    if (w->state == OPENING || w->state == TAKES)
        w->left = piece;
    if (w->state != TAKES)
        return true;
    size_t k = put(w, piece.s, piece.n);
    w->left = (struct slice){ piece.s + k, piece.n - k };
    if (w->left.n > 0)
        await_room(w);
    return true;
}

static struct member *find(struct writing *w, const char *name) {
    return strcmp(name, "path") == 0        ? &w->path
           : strcmp(name, "sessionId") == 0 ? &w->session
           : strcmp(name, "encoding") == 0  ? &w->encoding
                                            : NULL;
}

/* Of several of one name, the last counts: as with JSON.parse(). A path that has been used stays.
 */
static void take_member(struct writing *w, struct member *m, struct slice piece) {
    if (m == &w->path && w->state != COLLECTING)
        return;
    if (!m->there)
        m->n = 0, m->too_long = false;
    m->there = m->is_text = true;
    size_t room = m->max - m->n, n = piece.n < room ? piece.n : room;
    m->too_long |= n < piece.n;
    memcpy(m->bytes + m->n, piece.s, n);
    m->n += n;
    m->bytes[m->n] = '\0';
}

/* False: it has been answered. */
static bool take_event(struct writing *w, enum json_scan_event event, struct slice piece) {
    struct member *m = find(w, w->scan.name);
    bool content = strcmp(w->scan.name, "content") == 0;
    if (content && event != JSON_SCAN_NONE)
        w->bad_content |= w->content_ended || event == JSON_SCAN_OTHER;
    if (content && event == JSON_SCAN_END) {
        w->content_ended = true;
        return take_content(w, (struct slice){ "", 0 });
    }
    if (content && event == JSON_SCAN_TEXT)
        return take_content(w, piece);
    if (m && event == JSON_SCAN_OTHER)
        m->is_text = false;
    if (m && event == JSON_SCAN_TEXT)
        take_member(w, m, piece);
    if (m && event == JSON_SCAN_END && !m->there)
        take_member(w, m, (struct slice){ "", 0 });
    if (m && event == JSON_SCAN_END)
        m->there = false; /* the next of this name begins anew */
    return true;
}

static size_t body(struct http_exchange *x, const char *bytes, size_t n) {
    struct writing *w = x->ctx;
    size_t at = 0;
    if (w->total > MAX_CF_BODY - n) {
        cf_refuse(x, 413, "");
        return n;
    }
    while (at < n && w->left.n == 0 && !w->broken) {
        size_t used = 0;
        struct slice piece;
        enum json_scan_event event = json_scan_next(&w->scan, bytes + at, n - at, &used, &piece);
        at += used;
        w->broken = event == JSON_SCAN_BAD;
        if (!w->broken && !take_event(w, event, piece))
            return n;
    }
    at = w->broken ? n : at;
    w->total += at;
    return at;
}

/* All is there but the file's place, or it never came to be known. False: it has been answered. */
static bool place(struct writing *w, char absolute[PATH_MAX]) {
    struct http_exchange *x = w->x;
    char session[CF_SESSION_TEXT];
    const char *fault = cf_path_fault(path_of(w));
    struct slice id = { w->session.bytes, w->session.too_long ? CF_SESSION_TEXT : w->session.n };
    if (fault) {
        cf_refuse_member(x, "path", "INVALID_PATH", fault);
        return false;
    }
    bool named = w->session.is_text && id.n > 0;
    if (named ? !cf_session_name(x, id, session) : !cf_session_id(x, NULL, session))
        return false;
    if (cf_session_path(channel_of(x), session, w->path.bytes, absolute))
        return true;
    cf_refuse_member(x, "path", "INVALID_PATH", "Path must not be longer than 4096 characters");
    return false;
}

static void body_end(struct http_exchange *x) {
    struct writing *w = x->ctx;
    char absolute[PATH_MAX];
    w->ended = true;
    if (w->broken || !w->scan.done)
        cf_fail(x, CF_INTERNAL_ERROR, NULL,
                "Failed to parse request body: it is not one JSON object in UTF-8");
    else if (w->bad_content || !w->has_content)
        cf_refuse_member(x, "content", "INVALID_TYPE", "Content must be a string");
    else if (w->state == FAILED)
        answer_fault(w);
    else if (w->state == TAKES && w->left.n == 0)
        settle(w);
    else if (w->state == COLLECTING && place(w, absolute))
        start(w, absolute);
}

static const struct http_handler handler = { .body = body, .body_end = body_end, .over = over };

static struct member member(char *bytes, size_t size) {
    return (struct member){ .bytes = bytes, .max = size - 1 };
}

void cf_write(struct http_exchange *x, yyjson_val *nothing) {
    (void)nothing;
    if (x->head.framing == HTTP_LENGTH && x->head.length > MAX_CF_BODY) {
        cf_refuse(x, 413, "");
        return;
    }
    struct writing *w = calloc(1, sizeof *w);
    if (!w) {
        cf_no_memory(x, "a request");
        return;
    }
    w->x = x;
    w->task.opened = opened;
    w->task.finished = finished;
    w->room = (struct source){ .fd = -1, .want = EPOLLOUT, .ready = room_ready };
    w->path = member(w->path_bytes, sizeof w->path_bytes);
    w->session = member(w->session_bytes, sizeof w->session_bytes);
    w->encoding = member(w->encoding_bytes, sizeof w->encoding_bytes);
    x->ctx = w;
    x->handler = &handler;
}
