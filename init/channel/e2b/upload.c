/* upload.c — POST /files: one file as it is, or many in multipart/form-data; either may be packed.
 *
 *     as it is          client -> worker's pipe
 *     packed            client -> pipe -> filter -> worker's pipe
 *     multipart         client -> body() -> pipe of one worker after the other
 *     packed multipart  client -> pipe -> filter -> pipe -> unpacked_ready() -> the same
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/grow.h"
#include "base/own.h"
#include "channel/e2b/content.h"
#include "channel/e2b/fields.h"
#include "channel/e2b/multipart.h"
#include "channel/filter.h"
#include "channel/gzip.h"

enum { IF_MATCH_TEXT = 512, UNPACKED = 64 << 10 };

/* How far the file is whose content comes. */
enum file_state {
    NO_FILE, /* between two, or within a part that nobody wants */
    OPENING, /* its worker is not there yet */
    TAKES,
    FULL, /* its pipe is */
    SETTLING,
};

struct upload {
    struct http_exchange *x;
    struct content_ask ask;
    struct metadata metadata;
    char if_match[IF_MATCH_TEXT];
    uint32_t mode;
    bool has_mode, has_if_match, only_new;
    bool packed, answered;
    bool complete; /* all of the content has come */

    struct file_task task; /* one file after the other */
    enum file_state state;
    struct source room;          /* of its pipe */
    struct multipart *multipart; /* NULL: it is one file */
    bool ended;                  /* there are no more parts */
    uint64_t *targets;           /* hashes of the files' paths */
    size_t ntargets, targets_cap;
    char *results; /* JSON of the files that are in place */
    size_t results_len, results_cap;

    struct filter filter;
    int to_filter;          /* -1 */
    struct source unpacked; /* what comes out of it, where it is multipart; .fd may be -1 */
    char *have;             /* of that, what was not taken yet */
    size_t have_at, have_len;
};

static void resume(struct upload *u);

/* --- the end ---------------------------------------------------------------------------------- */

static void upload_over(struct http_exchange *x, bool cut) {
    (void)cut;
    struct upload *u = x->ctx;
    filter_stop(&u->filter);
    loop_unwatch(&u->room);
    file_cancel(&u->task);
    loop_unwatch(&u->unpacked);
    fd_close(&u->unpacked.fd);
    fd_close(&u->to_filter);
    free(u->have);
    free(u->multipart);
    free(u->targets);
    free(u->results);
    free(u);
}

/* The first thing that goes wrong is told; over() gives all back. */
__attribute__((format(printf, 3, 4))) static void fail(struct upload *u, int status,
                                                       const char *fmt, ...) {
    char words[1024];
    va_list ap;
    if (u->answered)
        return;
    u->answered = true;
    va_start(ap, fmt);
    (void)vsnprintf(words, sizeof words, fmt, ap);
    va_end(ap);
    e2b_http_fail(u->x, status, "%s", words);
}

/* "[...,...": what comes behind it is the answer's last byte. */
static bool keep_result(struct upload *u, const struct file_task *t) {
    size_t need = u->results_len + t->text_len + 2;
    if (need > MAX_UPLOAD_ANSWER || !mem_grow(&u->results, &u->results_cap, need, 1))
        return false;
    u->results[u->results_len] = u->results_len > 0 ? ',' : '[';
    u->results_len++;
    memcpy(u->results + u->results_len, t->text, t->text_len);
    u->results_len += t->text_len;
    return true;
}

static void answer(struct upload *u) {
    if (u->answered || !u->complete || u->state != NO_FILE)
        return;
    u->answered = true;
    if (u->results_len > 0)
        u->results[u->results_len++] = ']';
    http_answer(u->x, 200, "application/json", u->results_len ? u->results : "[]",
                u->results_len ? u->results_len : 2);
}

/* --- one file --------------------------------------------------------------------------------- */

/* Of the path without ".." in it, whatever links there may be. */
static uint64_t hash_of(const char *path) {
    char plain[PATH_MAX];
    size_t n = 0;
    for (size_t k; *path; path += k) { /* "/name" each */
        k = 1 + strcspn(path + 1, "/");
        bool up = k == 3 && memcmp(path, "/..", 3) == 0;
        memcpy(plain + n, path, up ? 0 : k);
        n += up ? 0 : k;
        while (up && n > 0 && plain[--n] != '/')
            ;
    }
    uint64_t hash = 0xcbf29ce484222325; /* FNV-1a */
    for (size_t i = 0; i < n; i++)
        hash = (hash ^ (unsigned char)plain[i]) * 0x100000001b3;
    return hash;
}

/* Is it the first one for this path? */
static bool is_new_target(struct upload *u, const char *path) {
    uint64_t hash = hash_of(path);
    for (size_t i = 0; i < u->ntargets; i++)
        if (u->targets[i] == hash)
            return false;
    if (!mem_grow(&u->targets, &u->targets_cap, u->ntargets + 1, sizeof hash))
        return false;
    u->targets[u->ntargets++] = hash;
    return true;
}

/* The worker's verdict. */
static void file_finished(struct file_task *t) {
    struct upload *u = CONTAINER_OF(t, struct upload, task);
    if (u->answered)
        return;
    if (t->fault != FILE_OK) {
        u->answered = true;
        content_fail(u->x, t, u->ask.user);
        return;
    }
    if (!keep_result(u, t)) {
        fail(u, 400, "too many files in one request: there are more than %d MiB to tell of them",
             MAX_UPLOAD_ANSWER >> 20);
        return;
    }
    file_cancel(t);
    u->state = NO_FILE;
    answer(u);
    if (u->multipart)
        resume(u);
}

static void start_content(struct upload *u);

static void file_opened(struct file_task *t) {
    struct upload *u = CONTAINER_OF(t, struct upload, task);
    if (u->answered)
        return;
    if (!is_new_target(u, t->info.path)) {
        fail(u, 400,
             "you cannot upload multiple files to the same path '%s' in one upload request, only "
             "the first specified file was uploaded",
             t->info.path);
        return;
    }
    u->state = TAKES;
    file_go(t, 0, 0);
    start_content(u);
}

static void begin_file(struct upload *u, const char *path) {
    struct file_req q;
    e2b_file_req(u->x, &q, FILE_WRITE, path, u->ask.user);
    q.entry = content_entry;
    q.set_xattrs = u->metadata.entries;
    q.has_mode = u->has_mode;
    q.mode = u->mode;
    q.if_match = u->has_if_match ? u->if_match : NULL;
    q.only_new = u->only_new;
    q.unsynced = true;
    u->state = OPENING;
    u->task.opened = file_opened;
    u->task.finished = file_finished;
    if (file_begin(&channel_of(u->x)->files, &u->task, &q, NULL) < 0)
        file_finished(&u->task);
}

/* Its content has come as a whole. */
static void settle_file(struct upload *u) {
    if (u->state == NO_FILE)
        return;
    u->state = SETTLING;
    file_content_complete(&u->task);
}

/* --- packed ----------------------------------------------------------------------------------- */

static void content_complete(struct upload *u);

/* Both have to be known: that its pipe is empty, and how the filter ended. */
static void unpacked_all(struct upload *u) {
    if (filter_runs(&u->filter) || (u->multipart && u->unpacked.fd >= 0))
        return;
    if (u->filter.status == GZIP_DONE)
        content_complete(u);
    else if (u->filter.status == GZIP_BROKEN || u->filter.status == GZIP_CUT)
        fail(u, 400, "Content-Encoding: the body is %s",
             u->filter.status == GZIP_CUT ? "gzip that is cut" : "no gzip, or broken");
    else if (u->filter.status != GZIP_UNWRITTEN) /* whose reader says why */
        fail(u, 500, "the body cannot be unpacked: no memory, or its process was killed");
}

static void filter_ended(struct filter *f) { unpacked_all(CONTAINER_OF(f, struct upload, filter)); }

/* -EPIPE: the filter has had enough, and says why in a moment. */
static void all_to_filter(struct http_exchange *x, int64_t moved) {
    struct upload *u = x->ctx;
    (void)moved;
    fd_close(&u->to_filter);
}

/* From the client through the filter to `out`. */
static void start_unpacking(struct upload *u, int out) {
    int p[2];
    if (pipe2(p, O_CLOEXEC) < 0) {
        fail(u, 500, "the body cannot be unpacked: out of descriptors");
        return;
    }
    AUTO_FD int in = p[0];
    u->to_filter = p[1];
    u->filter.ended = filter_ended;
    if (fcntl(u->to_filter, F_SETFL, O_NONBLOCK) < 0 ||
        filter_begin(channel_of(u->x), &u->filter, "gunzip", gzip_decode_fds, in, out) < 0)
        fail(u, 500, "the body cannot be unpacked: out of processes");
    else
        http_take_pipe(u->x, u->to_filter, all_to_filter);
}

/* --- as it is --------------------------------------------------------------------------------- */

/* -EPIPE: the worker has had enough, and says why in a moment. */
static void taken(struct http_exchange *x, int64_t moved) {
    if (moved >= 0)
        content_complete(x->ctx);
}

static void start_content(struct upload *u) {
    if (u->multipart)
        resume(u);
    else if (u->packed)
        start_unpacking(u, u->task.data);
    else
        http_take_pipe(u->x, u->task.data, taken);
}

/* --- multipart -------------------------------------------------------------------------------- */

/* May the parser go on? */
static bool may_go_on(const struct upload *u) {
    return !u->answered && (u->state == NO_FILE || u->state == TAKES);
}

static void begin_part(struct upload *u) {
    const struct multipart_part *part = &u->multipart->part;
    if (!part->name || strcmp(part->name, "file") != 0)
        return;
    const char *path = u->ask.has_path ? u->ask.path : part->filename;
    if (path && *path)
        begin_file(u, path);
    else
        fail(u, 400, "part %zu has no filename, and there is no parameter path",
             u->multipart->parts);
}

static void pipe_has_room(struct source *s, uint32_t got) {
    (void)got;
    struct upload *u = CONTAINER_OF(s, struct upload, room);
    loop_unwatch(s);
    u->state = TAKES;
    resume(u);
}

/* How many were taken. What its pipe does not hold has to wait; where the worker has gone, too, for
 * what it says. */
static size_t put_content(struct upload *u, struct slice data) {
    if (u->state == NO_FILE)
        return data.n;
    ssize_t n = write(u->task.data, data.s, data.n);
    size_t put = n > 0 ? (size_t)n : 0;
    if (put == data.n)
        return put;
    u->state = FULL;
    u->room = (struct source){ .fd = u->task.data, .want = EPOLLOUT, .ready = pipe_has_room };
    if ((n >= 0 || errno == EAGAIN || errno == EINTR) &&
        loop_watch(&channel_of(u->x)->loop, &u->room) < 0)
        fail(u, 500, "out of memory");
    return put;
}

/* How many of the bytes were taken. */
static size_t parse(struct upload *u, const char *bytes, size_t n) {
    struct slice in = { bytes, n }, data = { 0 };
    enum multipart_event e = MULTIPART_BEGIN;
    while (e != MULTIPART_MORE && may_go_on(u)) {
        e = multipart_next(u->multipart, &in, &data);
        if (e == MULTIPART_BEGIN)
            begin_part(u);
        else if (e == MULTIPART_DATA)
            multipart_put_back(u->multipart, &in, data.n, put_content(u, data));
        else if (e == MULTIPART_FINISH)
            settle_file(u);
        else if (e == MULTIPART_BAD)
            fail(u, 400, "part %zu: %s", u->multipart->parts, u->multipart->why);
        u->ended |= e == MULTIPART_END;
    }
    return u->answered ? n : n - in.n;
}

/* What has come out of the filter. False: the parts do not take it now. */
static bool parse_unpacked(struct upload *u) {
    size_t n = parse(u, u->have + u->have_at, u->have_len);
    u->have_at += n;
    u->have_len -= n;
    return u->have_len == 0;
}

static void unpacked_ready(struct source *s, uint32_t got) {
    (void)got;
    struct upload *u = CONTAINER_OF(s, struct upload, unpacked);
    ssize_t n = read(s->fd, u->have, UNPACKED);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        loop_unwatch(s);
        fd_close(&s->fd);
        unpacked_all(u);
        return;
    }
    u->have_at = 0;
    u->have_len = (size_t)n;
    if (!parse_unpacked(u))
        loop_unwatch(s);
}

/* The parts take more. */
static void resume(struct upload *u) {
    if (!u->packed)
        http_resume(u->x);
    else if (u->unpacked.fd >= 0 && !u->unpacked.loop && parse_unpacked(u) &&
             loop_watch(&channel_of(u->x)->loop, &u->unpacked) < 0)
        fail(u, 500, "out of memory");
}

static void start_unpacking_parts(struct upload *u) {
    int p[2];
    u->have = malloc(UNPACKED);
    if (!u->have || pipe2(p, O_CLOEXEC) < 0) {
        fail(u, 500, "out of memory or descriptors");
        return;
    }
    AUTO_FD int out = p[1];
    u->unpacked = (struct source){ .fd = p[0], .want = EPOLLIN, .ready = unpacked_ready };
    if (fcntl(p[0], F_SETFL, O_NONBLOCK) < 0)
        fail(u, 500, "the body cannot be unpacked: %s", strerror(errno));
    else
        start_unpacking(u, out);
    resume(u);
}

/* --- the body --------------------------------------------------------------------------------- */

/* All of the request has come, and has been unpacked. */
static void content_complete(struct upload *u) {
    if (u->multipart && !u->ended) {
        fail(u, 400, "the body ends before the last of its boundaries");
        return;
    }
    u->complete = true;
    if (!u->multipart)
        settle_file(u);
    answer(u);
}

/* Of one file it stays where it is until a worker is there to take it. */
static size_t upload_body(struct http_exchange *x, const char *bytes, size_t n) {
    struct upload *u = x->ctx;
    return u->multipart && !u->packed ? parse(u, bytes, n) : 0;
}

static void upload_body_end(struct http_exchange *x) {
    struct upload *u = x->ctx;
    if (u->multipart && !u->packed)
        content_complete(u);
}

static const struct http_handler upload_handler = { .body = upload_body,
                                                    .body_end = upload_body_end,
                                                    .over = upload_over };

/* --- the request ------------------------------------------------------------------------------ */

/* mode=0644, which E2B's agent does not know. False, and it has been answered. */
static bool take_mode(struct http_exchange *x, struct upload *u) {
    char text[8];
    int rc = content_param(x, "mode", text, sizeof text);
    size_t n = strspn(text, "01234567");
    u->has_mode = rc > 0;
    u->mode = (uint32_t)strtoul(text, NULL, 8);
    if (rc <= 0 || ((n == 3 || n == 4) && !text[n]))
        return rc >= 0;
    e2b_http_fail(x, 400, "mode: three or four octal digits are needed");
    return false;
}

static bool take_conditions(struct http_exchange *x, struct upload *u) {
    struct slice match = http_field(&x->head, "If-Match");
    struct slice none = http_field(&x->head, "If-None-Match");
    struct text t = TEXT(u->if_match);
    bool fits = put_versions(&t, match);
    u->has_if_match = match.s != NULL;
    u->only_new = none.s != NULL;
    if (fits && (!none.s || http_is(none, "*")))
        return true;
    e2b_http_fail(x, 400,
                  fits ? "If-None-Match: only * is understood for writing" : "If-Match: too long");
    return false;
}

static bool take_coding(struct http_exchange *x, struct upload *u) {
    enum body_coding coding = body_coding(&x->head);
    u->packed = coding == BODY_GZIP;
    if (coding == BODY_UNKNOWN)
        e2b_http_fail(x, 400, "Content-Encoding: only gzip and identity are understood");
    return coding != BODY_UNKNOWN;
}

static bool take_type(struct http_exchange *x, struct upload *u) {
    struct slice type = http_field(&x->head, "Content-Type");
    bool many = media_type_is(type, "multipart/form-data");
    u->multipart = many ? malloc(sizeof *u->multipart) : NULL;
    if (many && !u->multipart)
        e2b_http_fail(x, 500, "out of memory");
    else if (many && multipart_begin(u->multipart, type) < 0)
        e2b_http_fail(x, 400, "Content-Type: %s", u->multipart->why);
    else if (!many && !media_type_is(type, "application/octet-stream"))
        e2b_http_fail(x, 400,
                      "Content-Type: multipart/form-data or application/octet-stream is needed");
    else if (!many && !u->ask.has_path)
        e2b_http_fail(x, 400, "path: this parameter is needed with application/octet-stream");
    else
        return true;
    return false;
}

/* False, and it has been answered. */
static bool take_request(struct http_exchange *x, struct upload *u) {
    struct err e = { 0 };
    if (!content_ask(x, &u->ask, "write") || !take_mode(x, u) || !take_conditions(x, u) ||
        !take_coding(x, u) || !take_type(x, u))
        return false;
    if (metadata_take(&u->metadata, &x->head, &e) == 0)
        return true;
    e2b_http_fail(x, 400, "%s", e.text);
    return false;
}

void e2b_files_post(struct http_exchange *x, yyjson_val *body) {
    (void)body;
    struct upload *u = calloc(1, sizeof *u);
    if (!u || !take_request(x, u)) {
        if (!u)
            e2b_http_fail(x, 500, "out of memory");
        else
            free(u->multipart);
        free(u);
        return;
    }
    u->x = x;
    u->to_filter = u->unpacked.fd = -1;
    x->ctx = u;
    x->handler = &upload_handler;
    if (!u->multipart)
        begin_file(u, u->ask.path);
    else if (u->packed)
        start_unpacking_parts(u);
}
