/* read.c — POST /api/read, one document; POST /api/read/stream, events. In both the worker that
 * reads the file writes it down as JSON, and its pipe goes to the client as it is.
 */
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/own.h"
#include "channel/cloudflare/files.h"
#include "channel/cloudflare/session.h"
#include "channel/file_answer.h"

enum encoding { BY_CONTENT, AS_TEXT, AS_BASE64 };

struct reading {
    struct file_answer out;
    char *path; /* as asked for; owned */
    enum encoding encoding;
    bool stream;
};

/* --- what it is: the same in the worker and here ---------------------------------------------- */

static const char *type_of(const struct file_info *info, char buf[sizeof info->type]) {
    const char *known = cf_media_type(info->path);
    if (known)
        return known;
    if (info->st.st_size == 0)
        return "inode/x-empty";
    (void)stpncpy(buf, info->type, sizeof info->type - 1);
    buf[strcspn(buf, ";")] = '\0';
    bool told = *buf && cf_media_is_text(buf) == info->is_text;
    return told ? buf : info->is_text ? "text/plain" : "application/octet-stream";
}

static bool is_text(const struct file_info *info) {
    const char *known = cf_media_type(info->path);
    return known ? cf_media_is_text(known) : info->is_text;
}

/* --- in the worker ---------------------------------------------------------------------------- */

static size_t put_text(const char *bytes, size_t n, bool last, struct text *out) {
    size_t used = last ? n : utf8_whole(bytes, n);
    text_json_part(out, bytes, used);
    return used;
}

static size_t put_base64(const char *bytes, size_t n, bool last, struct text *out) {
    size_t used = last ? n : n / 3 * 3;
    if (out->cap - out->len <= base64_len(used)) {
        out->cut = true;
        return used;
    }
    base64_encode(bytes, used, out->buf + out->len);
    out->len += base64_len(used);
    out->buf[out->len] = '\0';
    return used;
}

typedef size_t put_bytes(const char *bytes, size_t n, bool last, struct text *out);

static put_bytes *put_fitting(const struct file_info *info) {
    return is_text(info) ? put_text : put_base64;
}

static size_t put_event(put_bytes *put, const char *bytes, size_t n, bool last, struct text *out) {
    static const char begin[] = "data: {\"type\":\"chunk\",\"data\":\"", end[] = "\"}\n\n";
    text_put(out, begin, sizeof begin - 1);
    size_t used = put(bytes, n, last, out);
    text_put(out, end, sizeof end - 1);
    return used;
}

static size_t put_plain(const struct file_info *info, const char *bytes, size_t n, bool last,
                        struct text *out) {
    return put_fitting(info)(bytes, n, last, out);
}
static size_t put_plain_text(const struct file_info *info, const char *bytes, size_t n, bool last,
                             struct text *out) {
    (void)info;
    return put_text(bytes, n, last, out);
}
static size_t put_plain_base64(const struct file_info *info, const char *bytes, size_t n, bool last,
                               struct text *out) {
    (void)info;
    return put_base64(bytes, n, last, out);
}
static size_t put_chunk(const struct file_info *info, const char *bytes, size_t n, bool last,
                        struct text *out) {
    return put_event(put_fitting(info), bytes, n, last, out);
}
static size_t put_chunk_text(const struct file_info *info, const char *bytes, size_t n, bool last,
                             struct text *out) {
    (void)info;
    return put_event(put_text, bytes, n, last, out);
}
static size_t put_chunk_base64(const struct file_info *info, const char *bytes, size_t n, bool last,
                               struct text *out) {
    (void)info;
    return put_event(put_base64, bytes, n, last, out);
}

static file_render_content *const renders[2][3] = {
    { put_plain, put_plain_text, put_plain_base64 },
    { put_chunk, put_chunk_text, put_chunk_base64 },
};

/* --- answers ---------------------------------------------------------------------------------- */

static void put_kind(struct text *t, const struct reading *r) {
    const struct file_info *info = &r->out.task.info;
    char type[sizeof info->type] = "";
    bool text = r->encoding == BY_CONTENT ? is_text(info) : r->encoding == AS_TEXT;
    cf_put(t, "encoding", text ? "utf-8" : "base64");
    cf_put_flag(t, "isBinary", !text);
    cf_put(t, "mimeType", type_of(info, type));
    cf_put_number(t, "size", info->st.st_size);
}

static void send_event(struct reading *r, const struct text *t) {
    char buf[1024];
    struct text e = TEXT(buf);
    text_add(&e, "data: %s\n\n", t->buf);
    http_send(r->out.x, e.buf, e.len);
}

static void begin_stream(struct reading *r) {
    http_add_field(r->out.x, "Cache-Control", "no-cache");
    http_begin(r->out.x, 200, "text/event-stream", -1);
    r->out.begun = true;
}

/* What has gone wrong is an event, too, also before there is another one. The one before may not be
 * whole, where the worker was killed: it ends here in any case. */
static void fail_stream(struct reading *r) {
    char buf[960];
    struct text t = TEXT(buf);
    if (r->out.begun)
        http_send(r->out.x, "\n\n", 2);
    else
        begin_stream(r);
    text_add(&t, "{\"type\":\"error\"");
    cf_put(&t, "error", r->out.task.fault == FILE_NOT_FOUND ? "File not found" : r->out.task.why);
    text_add(&t, "}");
    send_event(r, &t);
    http_end(r->out.x);
}

/* A directory is not found: the package's server looks for files. */
static void fail(struct reading *r) {
    struct file_task as = { .fault = FILE_NOT_FOUND };
    bool none = r->out.task.fault == FILE_IS_DIR || r->out.task.fault == FILE_NOT_DIR;
    struct cf_failure f = { .operation = "file.read",
                            .path = r->path,
                            .task = none ? &as : &r->out.task };
    if (r->stream)
        fail_stream(r);
    else
        cf_file_fail(r->out.x, &f);
}

static void fail_size(struct reading *r) {
    char buf[CF_ERROR];
    struct text t = TEXT(buf);
    long long size = (long long)r->out.task.info.st.st_size;
    cf_put(&t, "path", r->path);
    cf_put(&t, "operation", "file.read");
    cf_put_number(&t, "actualSize", size);
    cf_put_number(&t, "maxSize", MAX_CF_READ);
    struct cf_error e = { .code = CF_FILE_TOO_LARGE, .operation = "file.read", .context = t.buf };
    cf_error(r->out.x, &e,
             "File too large: %.4200s has %lld bytes, and at most %d can be read at once; use "
             "readFileStream()",
             r->path, size, MAX_CF_READ);
}

/* --- the content ------------------------------------------------------------------------------ */

static void end_document(struct reading *r) {
    char buf[512];
    struct text t = TEXT(buf);
    text_add(&t, "\"");
    put_kind(&t, r);
    cf_put_now(&t);
    text_add(&t, "}");
    http_send(r->out.x, t.buf, t.len);
}

static void end_events(struct reading *r) {
    char buf[128];
    struct text t = TEXT(buf);
    text_add(&t, "{\"type\":\"complete\"");
    cf_put_number(&t, "bytesRead", r->out.task.info.st.st_size);
    text_add(&t, "}");
    send_event(r, &t);
}

static void whole(struct file_answer *out) {
    struct reading *r = CONTAINER_OF(out, struct reading, out);
    bool good = out->task.fault == FILE_OK;
    if (r->stream && !good) {
        fail_stream(r);
        return;
    }
    if (r->stream)
        end_events(r);
    else if (good)
        end_document(r);
    file_answer_close(out);
}

static void begin_events(struct reading *r) {
    char buf[512];
    struct text t = TEXT(buf);
    begin_stream(r);
    text_add(&t, "{\"type\":\"metadata\"");
    put_kind(&t, r);
    text_add(&t, "}");
    send_event(r, &t);
}

static bool begin_document(struct reading *r) {
    AUTO_FREE char *buf = malloc(CF_TEXT);
    struct text t = { .buf = buf, .cap = CF_TEXT };
    if (!buf) {
        cf_no_memory(r->out.x, "an answer");
        return false;
    }
    text_add(&t, "{\"success\":true");
    cf_put(&t, "path", r->path);
    text_add(&t, ",\"content\":\"");
    http_add_field(r->out.x, "Cache-Control", "no-store");
    http_begin(r->out.x, 200, "application/json", -1);
    http_send(r->out.x, t.buf, t.len);
    return true;
}

static void opened(struct file_task *t) {
    struct reading *r = CONTAINER_OF(t, struct reading, out.task);
    if (!r->stream && t->info.st.st_size > MAX_CF_READ) {
        fail_size(r);
        return;
    }
    if (r->stream)
        begin_events(r);
    else if (!begin_document(r))
        return;
    file_answer_send(&r->out, t->data, 0, (uint64_t)t->info.st.st_size);
}

static void finished(struct file_task *t) {
    struct reading *r = CONTAINER_OF(t, struct reading, out.task);
    if (!file_answer_finished(&r->out) && t->fault != FILE_OK)
        fail(r);
}

static void over(struct http_exchange *x, bool cut) {
    (void)cut;
    struct reading *r = CONTAINER_OF(x->ctx, struct reading, out);
    file_cancel(&r->out.task);
    free(r->path);
    free(r);
}

static const struct http_handler handler = { .over = over };

/* --- routes ----------------------------------------------------------------------------------- */

static enum encoding encoding_of(yyjson_val *body) {
    const char *e = cf_text(body, "encoding");
    return !e                                                  ? BY_CONTENT
           : strcmp(e, "base64") == 0                          ? AS_BASE64
           : strcmp(e, "utf-8") == 0 || strcmp(e, "utf8") == 0 ? AS_TEXT
                                                               : BY_CONTENT;
}

static void begin(struct http_exchange *x, yyjson_val *body, bool stream) {
    char absolute[PATH_MAX];
    body = cf_body(x, body);
    const char *path = body ? cf_path_member(x, body, "path") : NULL;
    if (!path || !cf_resolve(x, body, path, absolute))
        return;
    struct reading *r = calloc(1, sizeof *r);
    char *kept = r ? strdup(path) : NULL;
    if (!kept) {
        free(r);
        cf_no_memory(x, "a request");
        return;
    }
    *r = (struct reading){ .path = kept,
                           .encoding = encoding_of(body),
                           .stream = stream,
                           .out = { .x = x,
                                    .length = -1,
                                    .whole = whole,
                                    .task.opened = opened,
                                    .task.finished = finished } };
    x->ctx = &r->out;
    x->handler = &handler;
    struct file_req q = { .op = FILE_READ,
                          .path = absolute,
                          .user = cf_user(x),
                          .content = renders[stream][r->encoding],
                          .sniff = true,
                          .check_text = !cf_media_type(absolute) };
    if (file_begin(&channel_of(x)->files, &r->out.task, &q, NULL) < 0)
        fail(r);
}

void cf_read(struct http_exchange *x, yyjson_val *body) { begin(x, body, false); }

void cf_read_stream(struct http_exchange *x, yyjson_val *body) { begin(x, body, true); }
