/* content.c — GET /files and POST /files/compose; what they and POST /files have in common. */
#include "channel/e2b/content.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/own.h"
#include "channel/e2b/fields.h"
#include "channel/e2b/filesystem.h"
#include "channel/e2b/signature.h"
#include "channel/file_answer.h"
#include "channel/filter.h"
#include "channel/gate.h"
#include "channel/gzip.h"
#include "http/range.h"

/* --- what is asked ---------------------------------------------------------------------------- */

static struct slice raw_param(const struct http_exchange *x, const char *key) {
    struct slice rest = x->head.query, k, v;
    while (http_next_param(&rest, &k, &v))
        if (http_is(k, key))
            return v;
    return (struct slice){ 0 };
}

int content_param(struct http_exchange *x, const char *key, char *out, size_t cap) {
    char raw[MAX_HTTP_LINE];
    struct slice v = raw_param(x, key);
    out[0] = '\0';
    if (!v.s)
        return 0;
    memcpy(raw, v.s, v.n);
    for (char *plus = raw; (plus = memchr(plus, '+', (size_t)(raw + v.n - plus)));)
        *plus = ' ';
    if (http_decode((struct slice){ raw, v.n }, out, cap) >= 0)
        return 1;
    e2b_http_fail(x, 400, "%s: too long, or badly encoded", key);
    return -1;
}

/* signature_expiration: seconds of unix time. False, and it has been answered. */
static bool take_expiry(struct http_exchange *x, struct signed_file *f) {
    char text[24], *end;
    int rc = content_param(x, "signature_expiration", text, sizeof text);
    errno = 0;
    f->expires = rc > 0;
    f->expiry = strtoll(text, &end, 10);
    if (rc <= 0 || (*text && !*end && errno == 0))
        return rc >= 0;
    e2b_http_fail(x, 400, "signature_expiration: seconds of unix time are needed");
    return false;
}

/* The words are those that clients know. */
static bool may(struct http_exchange *x, struct signed_file *f) {
    char given[128];
    const char *token = e2b_token(x);
    if (!token || e2b_shows_token(x))
        return true;
    if (http_field(&x->head, "X-Access-Token").n > 0) {
        gate_deny(x, true, "access token present in header but does not match");
        return false;
    }
    int rc = content_param(x, "signature", given, sizeof given);
    if (rc < 0 || !take_expiry(x, f))
        return false;
    const char *fault = signature_fault(rc ? given : NULL, f, token, time(NULL));
    if (fault)
        e2b_http_fail(x, 401, "%s", fault);
    return !fault;
}

bool content_ask(struct http_exchange *x, struct content_ask *a, const char *operation) {
    char username[E2B_USER_TEXT];
    struct signed_file f = { .path = a->path, .operation = operation, .user = username };
    int path = content_param(x, "path", a->path, sizeof a->path);
    if (path < 0 || content_param(x, "username", username, sizeof username) < 0 || !may(x, &f))
        return false;
    a->has_path = path > 0;
    if (e2b_user(x, username, a->user))
        return true;
    e2b_http_fail(x, 401, "invalid username: it is too long, or broken");
    return false;
}

/* --- what is answered ------------------------------------------------------------------------- */

void content_fail(struct http_exchange *x, const struct file_task *t, const char *user) {
    static const int statuses[] = {
        [FILE_OK] = 500,          [FILE_NOT_FOUND] = 404, [FILE_DENIED] = 403,
        [FILE_EXISTS] = 409,      [FILE_IS_DIR] = 400,    [FILE_NOT_DIR] = 400,
        [FILE_NOT_EMPTY] = 409,   [FILE_BAD_PATH] = 400,  [FILE_BAD_USER] = 401,
        [FILE_BAD_ARCHIVE] = 400, [FILE_NO_SPACE] = 507,  [FILE_CHANGED] = 412,
        [FILE_READ_ONLY] = 403,   [FILE_BUSY] = 409,      [FILE_LOOP] = 400,
        [FILE_NETWORK_FS] = 400,  [FILE_LIMIT] = 429,     [FILE_BAD_RANGE] = 416,
        [FILE_BAD_CODE] = 400,    [FILE_CUT] = 400,       [FILE_FAILED] = 500,
    };
    if (t->fault == FILE_BAD_USER)
        e2b_http_fail(x, 401, "invalid username: '%s'", user);
    else if (t->fault == FILE_NOT_FOUND)
        e2b_http_fail(x, 404, "path '%s' does not exist", t->info.path);
    else
        e2b_http_fail(x, statuses[t->fault], "%s", t->why);
}

void content_entry(const struct file_entry *e, size_t index, struct text *out) {
    (void)index;
    const char *name = strrchr(e->path, '/');
    text_add(out, "{");
    proto_put_text(out, "name", name ? name + 1 : e->path);
    proto_put_text(out, "path", e->path);
    proto_put_text(out, "type", "file");
    e2b_put_metadata(out, e->xattrs);
    text_add(out, "}");
}

/* --- reading ---------------------------------------------------------------------------------- */

struct reading {
    struct file_answer out;
    struct filter filter;
    char user[E2B_USER_TEXT];
    int packed; /* what comes out of the filter; -1: there is none */
};

static void reading_over(struct http_exchange *x, bool cut) {
    (void)cut;
    struct reading *r = CONTAINER_OF(x->ctx, struct reading, out);
    filter_stop(&r->filter);
    file_cancel(&r->out.task);
    fd_close(&r->packed);
    free(r);
}

static const struct http_handler reading_handler = { .over = reading_over };

/* The filter has its say, too. */
static void whole(struct file_answer *out) {
    struct reading *r = CONTAINER_OF(out, struct reading, out);
    if (filter_runs(&r->filter))
        return;
    if (r->filter.status == GZIP_DONE)
        file_answer_close(out);
    else
        http_cut(out->x);
}

static void packed_all(struct filter *f) {
    file_answer_conclude(&CONTAINER_OF(f, struct reading, filter)->out);
}

static void send_plain(struct reading *r, int status, struct http_range part) {
    struct file_answer *out = &r->out;
    out->begun = true;
    out->length = (int64_t)part.len;
    http_begin(out->x, status, out->task.info.type, out->length);
    if (out->length == 0)
        http_end(out->x);
    else
        file_answer_send(out, out->task.data, part.from, part.len);
}

/* A worker's pipe, the filter, another pipe. */
static bool start_packing(struct reading *r) {
    int p[2];
    if (pipe2(p, O_CLOEXEC) < 0)
        return false;
    AUTO_FD int out = p[1];
    r->packed = p[0];
    r->filter.ended = packed_all;
    if (fcntl(r->packed, F_SETFL, O_NONBLOCK) < 0 ||
        filter_begin(channel_of(r->out.x), &r->filter, "gzip", gzip_encode_fds, r->out.task.data,
                     out) < 0)
        return false;
    fd_close(&r->out.task.data); /* so that the worker hears of the filter's end */
    return true;
}

/* Another coding is another version (RFC 9110 section 8.8.3.3), of which only the file's is told.
 */
static void send_packed(struct reading *r) {
    struct http_exchange *x = r->out.x;
    if (!start_packing(r)) {
        e2b_http_fail(x, 500, "%s cannot be compressed: out of processes or descriptors",
                      r->out.task.info.path);
        return;
    }
    r->out.length = -1;
    http_add_field(x, "ETag", "W/%s", r->out.task.info.etag);
    http_add_field(x, "Content-Encoding", "gzip");
    http_begin(x, 200, r->out.task.info.type, -1);
    file_answer_send(&r->out, r->packed, 0, (uint64_t)r->out.task.info.st.st_size);
}

/* A Range that is none is refused, as E2B's agent does it. Of several ranges all of it is sent. */
static bool is_bad_range(struct slice range) {
    return range.n > 0 && !http_is(range, "bytes=") && !memchr(range.s, ',', range.n);
}

/* All, or the part that is asked for. */
static void send_part(struct reading *r) {
    struct http_exchange *x = r->out.x;
    const struct file_info *info = &r->out.task.info;
    uint64_t size = (uint64_t)info->st.st_size;
    struct http_range part = { 0, size };
    struct slice range = http_field(&x->head, "Range");
    bool fresh = http_if_range(&x->head, info->etag, info->st.st_mtim.tv_sec);
    enum http_part kind = fresh ? http_range(range, size, &part) : HTTP_WHOLE;
    if (kind == HTTP_WHOLE && fresh && size > 0 && is_bad_range(range))
        kind = HTTP_OUT_OF_RANGE;
    http_add_field(x, "ETag", "%s", info->etag);
    http_add_field(x, "Accept-Ranges", "bytes");
    if (kind == HTTP_OUT_OF_RANGE) {
        http_add_field(x, "Content-Range", "bytes */%llu", (unsigned long long)size);
        e2b_http_fail(x, 416, "%s has %llu bytes", info->path, (unsigned long long)size);
        return;
    }
    if (kind == HTTP_PART)
        http_add_field(x, "Content-Range", "bytes %llu-%llu/%llu", (unsigned long long)part.from,
                       (unsigned long long)(part.from + part.len - 1), (unsigned long long)size);
    send_plain(r, kind == HTTP_PART ? 206 : 200, part);
}

static void add_fields(struct http_exchange *x, const struct file_info *info) {
    char date[HTTP_DATE_TEXT], shown[4 * NAME_MAX];
    struct text t = TEXT(shown);
    put_disposition(&t, strrchr(info->path, '/') + 1);
    http_add_field(x, "Content-Disposition", "%s", shown);
    http_add_field(x, "Vary", "Accept-Encoding");
    if (*http_date(date, info->st.st_mtim.tv_sec))
        http_add_field(x, "Last-Modified", "%s", date);
}

/* Whoever has a version or wants a part is given bytes that fit together. */
static bool is_particular(const struct http_head *h) {
    static const char *const names[] = {
        "Range", "If-Range", "If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since"
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (http_field(h, names[i]).s)
            return true;
    return false;
}

static void send_file(struct reading *r) {
    struct http_exchange *x = r->out.x;
    const struct file_info *info = &r->out.task.info;
    struct sending sending = { .type = info->type,
                               .size = (uint64_t)info->st.st_size,
                               .particular = is_particular(&x->head),
                               .round_trip = http_round_trip(x) };
    enum sent_as as = coding_choose(codings_accepted(&x->head), &sending);
    int status = http_conditions(&x->head, info->etag, info->st.st_mtim.tv_sec);
    if (as == SENT_NOT) {
        e2b_http_fail(x, 406,
                      sending.particular ? "a part or a version is only sent without an encoding"
                                         : "only gzip and identity can be sent");
        return;
    }
    add_fields(x, info);
    if (status == 304) {
        http_add_field(x, "ETag", "%s", info->etag);
        http_answer(x, 304, NULL, NULL, 0);
    } else if (status == 412) {
        e2b_http_fail(x, 412, "%s is of version %s", info->path, info->etag);
    } else if (as == SENT_GZIP) {
        send_packed(r);
    } else {
        send_part(r);
    }
}

static void read_opened(struct file_task *t) {
    send_file(CONTAINER_OF(t, struct reading, out.task));
}

static void read_finished(struct file_task *t) {
    struct reading *r = CONTAINER_OF(t, struct reading, out.task);
    if (!file_answer_finished(&r->out) && t->fault != FILE_OK)
        content_fail(r->out.x, t, r->user);
}

static void begin(struct http_exchange *x, const struct file_req *q, const char *user,
                  void (*finished)(struct file_task *t)) {
    struct reading *r = calloc(1, sizeof *r);
    if (!r) {
        e2b_http_fail(x, 500, "out of memory");
        return;
    }
    r->packed = -1;
    r->out = (struct file_answer){
        .x = x, .whole = whole, .task.opened = read_opened, .task.finished = finished
    };
    memcpy(r->user, user, strnlen(user, sizeof r->user - 1));
    x->ctx = &r->out;
    x->handler = &reading_handler;
    if (file_begin(&channel_of(x)->files, &r->out.task, q, NULL) < 0)
        content_fail(x, &r->out.task, user);
}

void e2b_files_get(struct http_exchange *x, yyjson_val *body) {
    (void)body;
    struct content_ask a;
    struct file_req q;
    if (http_is(x->head.method, "HEAD")) { /* as E2B's agent */
        http_add_field(x, "Allow", "GET, POST, OPTIONS");
        e2b_refuse(x, 405, "");
        return;
    }
    if (!content_ask(x, &a, "read"))
        return;
    e2b_file_req(x, &q, FILE_READ, a.path, a.user);
    q.sniff = true;
    begin(x, &q, a.user, read_finished);
}

/* --- putting together ------------------------------------------------------------------------- */

static void compose_finished(struct file_task *t) {
    struct reading *r = CONTAINER_OF(t, struct reading, out.task);
    if (t->fault == FILE_OK)
        http_answer(r->out.x, 200, "application/json", t->text, t->text_len);
    else if (t->fault == FILE_NOT_FOUND) /* a source, which is not the task's path */
        e2b_http_fail(r->out.x, 404, "%s", t->why);
    else
        content_fail(r->out.x, t, r->user);
}

/* The texts of a list, NULL-terminated, to be freed. NULL, with `p` for what is wrong. */
static const char **take_sources(struct proto *p, yyjson_val *body) {
    yyjson_val *list = proto_list(p, body, "sourcePaths"), *v;
    size_t i, n, size = yyjson_arr_size(list);
    if (p->err.code)
        return NULL;
    const char **out = size > 0 && size <= MAX_COMPOSED ? calloc(size + 1, sizeof *out) : NULL;
    if (!out) {
        (void)err_set(&p->err, EINVAL, "source_paths: 1 to %d paths are needed", MAX_COMPOSED);
        return NULL;
    }
    yyjson_arr_foreach(list, i, n, v) {
        out[i] = yyjson_get_str(v);
        if (out[i] && strlen(out[i]) == yyjson_get_len(v))
            continue;
        (void)err_set(&p->err, EINVAL, "source_paths: texts without NUL are needed");
        break;
    }
    return out;
}

static void compose(struct http_exchange *x, struct proto *p, yyjson_val *body,
                    const char *const *sources) {
    struct file_req q;
    char user[E2B_USER_TEXT];
    const char *to = p->err.code ? NULL : proto_text(p, body, "destination");
    const char *asked = p->err.code ? NULL : proto_text(p, body, "username");
    if (p->err.code || !to || !*to) {
        e2b_http_fail(x, 400, "%s",
                      p->err.code ? p->err.text : "destination: the path of a file is needed");
        return;
    }
    if (!e2b_user(x, asked, user)) {
        e2b_http_fail(x, 401, "invalid username: it is too long, or broken");
        return;
    }
    e2b_file_req(x, &q, FILE_COMPOSE, to, user);
    q.sources = sources;
    q.entry = content_entry;
    begin(x, &q, user, compose_finished);
}

void e2b_files_compose(struct http_exchange *x, yyjson_val *body) {
    struct proto p = { 0 };
    const char **sources = take_sources(&p, body);
    compose(x, &p, body, sources);
    free(sources);
}
