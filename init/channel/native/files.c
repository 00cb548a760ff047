/* files.c — files over HTTP: every row of the Files table in docs/CHANNEL.md. */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "channel/file_answer.h"
#include "channel/native/native.h"
#include "http/range.h"

/* --- answers ---------------------------------------------------------------------------------- */

static const struct {
    int status;
    const char *code;
} faults[] = {
    [FILE_OK] = { 500, "internal" },          [FILE_NOT_FOUND] = { 404, "not_found" },
    [FILE_DENIED] = { 403, "permission" },    [FILE_EXISTS] = { 409, "exists" },
    [FILE_IS_DIR] = { 409, "state" },         [FILE_NOT_DIR] = { 409, "state" },
    [FILE_NOT_EMPTY] = { 409, "state" },      [FILE_BAD_PATH] = { 400, "invalid" },
    [FILE_BAD_USER] = { 400, "invalid" },     [FILE_BAD_ARCHIVE] = { 400, "invalid" },
    [FILE_NO_SPACE] = { 507, "no_space" },    [FILE_CHANGED] = { 412, "precondition" },
    [FILE_READ_ONLY] = { 403, "permission" }, [FILE_BUSY] = { 409, "state" },
    [FILE_LOOP] = { 400, "invalid" },         [FILE_NETWORK_FS] = { 400, "invalid" },
    [FILE_LIMIT] = { 429, "limit" },          [FILE_BAD_RANGE] = { 416, "range" },
    [FILE_BAD_CODE] = { 400, "invalid" },     [FILE_CUT] = { 400, "invalid" },
    [FILE_FAILED] = { 500, "internal" },
};

static void answer_fault(struct http_exchange *x, const struct file_task *t) {
    native_fail(x, faults[t->fault].status, faults[t->fault].code, "%s", t->why);
}

static const char *type_of(mode_t mode) {
    return S_ISREG(mode)    ? "file"
           : S_ISDIR(mode)  ? "dir"
           : S_ISLNK(mode)  ? "symlink"
           : S_ISFIFO(mode) ? "fifo"
           : S_ISSOCK(mode) ? "socket"
           : S_ISCHR(mode)  ? "char"
                            : "block";
}

static void put_text(struct text *out, const char *before, const char *s) {
    text_add(out, "%s", before);
    text_json(out, s, strlen(s));
}

static void render_entry(const struct file_entry *e, size_t index, struct text *out) {
    (void)index;
    put_text(out, "{\"path\":", e->path);
    put_text(out, ",\"name\":", e->name);
    text_add(out, ",\"type\":\"%s\",\"size\":%lld,\"mode\":%u,\"uid\":%u,\"gid\":%u",
             type_of(e->st.st_mode), (long long)e->st.st_size, e->st.st_mode & 07777, e->st.st_uid,
             e->st.st_gid);
    put_text(out, ",\"owner\":", e->owner);
    put_text(out, ",\"group\":", e->group);
    text_add(out, ",\"mtime_ms\":%lld",
             (long long)e->st.st_mtim.tv_sec * 1000 + e->st.st_mtim.tv_nsec / 1000000);
    if (S_ISLNK(e->st.st_mode))
        put_text(out, ",\"target\":", e->target);
    text_add(out, "}\n");
}

static void render_event(const struct file_event *e, size_t index, struct text *out) {
    static const char *const names[] = { "watching", "create", "write",   "remove",
                                         "rename",   "chmod",  "overflow" };
    const char *type = e->entry ? type_of(e->entry->st.st_mode) : e->is_dir ? "dir" : NULL;
    (void)index;
    text_add(out, "{\"event\":\"%s\"", names[e->kind]);
    if (e->kind != FILE_WATCHING && e->kind != FILE_OVERFLOW) {
        put_text(out, ",\"path\":", e->path);
        if (type)
            text_add(out, ",\"type\":\"%s\"", type);
    }
    text_add(out, "}\n");
}

/* --- requests --------------------------------------------------------------------------------- */

enum { USER_TEXT = 256, IF_MATCH_TEXT = 512 };

struct ask {
    struct file_req q;
    char path[PATH_MAX], user[USER_TEXT], upload[MAX_UPLOAD_ID + 2], if_match[IF_MATCH_TEXT];
};

/* "0644": three or four octal digits. */
static bool parse_mode(const char *s, struct file_req *q) {
    size_t n = s ? strspn(s, "01234567") : 0;
    q->mode = s ? (uint32_t)strtoul(s, NULL, 8) : 0;
    return q->has_mode = (n == 3 || n == 4) && s[n] == '\0';
}

/* A parameter that is a text. False, and it has been answered. */
static bool take_text(struct http_exchange *x, const char *key, char *out, size_t cap,
                      bool needed) {
    int rc = http_param(x, key, out, cap);
    if (rc > 0 || (rc == 0 && !needed))
        return true;
    native_fail(x, 400, "invalid", "%s: %s", key,
                rc == 0 ? "this parameter is needed" : "too long, or badly encoded");
    return false;
}

static bool take_path(struct http_exchange *x, struct ask *a, enum file_op op) {
    memset(a, 0, sizeof *a);
    a->q = (struct file_req){ .op = op, .path = a->path };
    if (!take_text(x, "path", a->path, sizeof a->path, true) ||
        !take_text(x, "user", a->user, sizeof a->user, false))
        return false;
    a->q.user = *a->user ? a->user : NULL;
    return true;
}

enum member_kind { MEMBER_TEXT, MEMBER_FLAG, MEMBER_MODE };

static const struct member {
    const char *name;
    enum member_kind kind;
    size_t at; /* in struct file_req */
} members[] = {
    { "path", MEMBER_TEXT, offsetof(struct file_req, path) },
    { "from", MEMBER_TEXT, offsetof(struct file_req, path) },
    { "to", MEMBER_TEXT, offsetof(struct file_req, to) },
    { "user", MEMBER_TEXT, offsetof(struct file_req, user) },
    { "owner", MEMBER_TEXT, offsetof(struct file_req, owner) },
    { "group", MEMBER_TEXT, offsetof(struct file_req, group) },
    { "mode", MEMBER_MODE, 0 },
    { "parents", MEMBER_FLAG, offsetof(struct file_req, parents) },
    { "replace", MEMBER_FLAG, offsetof(struct file_req, replace) },
    { "recursive", MEMBER_FLAG, offsetof(struct file_req, recursive) },
};

static const struct member *find_member(const char *name, const char *const *known) {
    for (; *known; known++)
        for (size_t i = 0; i < sizeof members / sizeof members[0]; i++)
            if (strcmp(*known, name) == 0 && strcmp(members[i].name, name) == 0)
                return &members[i];
    return NULL;
}

static const char *take_member(const struct member *m, yyjson_val *v, struct file_req *q) {
    void *at = (char *)q + m->at;
    const char *s = yyjson_get_str(v);
    if (s && strlen(s) != yyjson_get_len(v))
        return "a text without NUL is needed";
    if (m->kind == MEMBER_TEXT) {
        *(const char **)at = s;
        return s ? NULL : "a text is needed";
    }
    if (m->kind == MEMBER_MODE)
        return parse_mode(s, q) ? NULL : "three or four octal digits are needed, as text";
    *(bool *)at = yyjson_get_bool(v);
    return yyjson_is_bool(v) ? NULL : "true or false is needed";
}

/* A body with these members, the first `needed` of which must be there. False, and it has been
 * answered. */
static bool take_body(struct http_exchange *x, yyjson_val *body, const char *const *known,
                      size_t needed, struct file_req *q) {
    size_t i, n;
    yyjson_val *key, *value;
    if (!native_params(x, (const char *const[]){ NULL }))
        return false;
    for (i = 0; i < needed; i++)
        if (!yyjson_obj_get(body, known[i])) {
            native_fail(x, 400, "invalid", "%s: a JSON object with this member is needed",
                        known[i]);
            return false;
        }
    yyjson_obj_foreach(body, i, n, key, value) {
        const struct member *m = find_member(yyjson_get_str(key), known);
        const char *wrong = m ? take_member(m, value, q) : "no such member here";
        if (!wrong)
            continue;
        native_fail(x, 400, "invalid", "%.60s: %s", yyjson_get_str(key), wrong);
        return false;
    }
    return true;
}

/* --- work ------------------------------------------------------------------------------------- */

struct work {
    struct file_answer out;
    enum file_op op;
    const char *type; /* of a content out, where it is no file's */
    uint64_t total;   /* of an upload in parts */
};

static void work_over(struct http_exchange *x, bool cut) {
    (void)cut;
    struct work *w = CONTAINER_OF(x->ctx, struct work, out);
    file_cancel(&w->out.task);
    free(w);
}

/* The body stays where it is until a worker is there to take it. */
static size_t body_waits(struct http_exchange *x, const char *bytes, size_t n) {
    (void)x, (void)bytes, (void)n;
    return 0;
}

static const struct http_handler handler = { .body = body_waits, .over = work_over };

/* --- contents out ----------------------------------------------------------------------------- */

static void send_content(struct work *w, int status, const char *type, struct http_range part) {
    struct file_answer *out = &w->out;
    out->begun = true;
    out->length = w->op == FILE_READ ? (int64_t)part.len : -1;
    http_begin(out->x, status, type, out->length);
    if (http_is(out->x->head.method, "HEAD") || out->length == 0)
        http_end(out->x);
    else
        file_answer_send(out, out->task.data, part.from, part.len);
}

static void add_version(struct http_exchange *x, const struct file_info *info) {
    char date[HTTP_DATE_TEXT];
    http_add_field(x, "ETag", "%s", info->etag);
    if (*http_date(date, info->st.st_mtim.tv_sec))
        http_add_field(x, "Last-Modified", "%s", date);
}

static void send_file(struct work *w) {
    struct http_exchange *x = w->out.x;
    const struct file_info *info = &w->out.task.info;
    uint64_t size = (uint64_t)info->st.st_size;
    int64_t mtime = info->st.st_mtim.tv_sec;
    int status = http_conditions(&x->head, info->etag, mtime);
    add_version(x, info);
    if (status == 304) {
        http_answer(x, 304, NULL, NULL, 0);
        return;
    }
    if (status == 412) {
        native_fail(x, 412, "precondition", "%s is of version %s", info->path, info->etag);
        return;
    }
    struct http_range part = { 0, size };
    enum http_part kind = http_if_range(&x->head, info->etag, mtime)
                              ? http_range(http_field(&x->head, "Range"), size, &part)
                              : HTTP_WHOLE;
    http_add_field(x, "Accept-Ranges", "bytes");
    if (kind == HTTP_PART)
        http_add_field(x, "Content-Range", "bytes %llu-%llu/%llu", (unsigned long long)part.from,
                       (unsigned long long)(part.from + part.len - 1), (unsigned long long)size);
    if (kind == HTTP_OUT_OF_RANGE) {
        http_add_field(x, "Content-Range", "bytes */%llu", (unsigned long long)size);
        native_fail(x, 416, "range", "%s has %llu bytes", info->path, (unsigned long long)size);
        return;
    }
    send_content(w, kind == HTTP_PART ? 206 : 200, info->type, part);
}

/* --- contents in ------------------------------------------------------------------------------ */

/* -EPIPE: the worker has had enough, and says why in a moment. */
static void taken(struct http_exchange *x, int64_t moved) {
    struct file_answer *out = x->ctx;
    if (moved >= 0)
        file_content_complete(&out->task);
}

static void answer_part(struct work *w) {
    char buf[96];
    struct text t = TEXT(buf);
    text_add(&t, "{\"done\":%llu,\"total\":%llu}\n", (unsigned long long)w->out.task.info.done,
             (unsigned long long)w->total);
    http_answer(w->out.x, 202, "application/json", t.buf, t.len);
}

/* --- all of them ------------------------------------------------------------------------------ */

static bool is_taken_in(enum file_op op) { return op == FILE_WRITE || op == FILE_UNTAR; }

static void opened(struct file_task *t) {
    struct work *w = CONTAINER_OF(t, struct work, out.task);
    if (is_taken_in(w->op)) {
        file_go(t, 0, 0);
        http_take_pipe(w->out.x, t->data, taken);
    } else if (w->op == FILE_READ) {
        send_file(w);
    } else {
        send_content(w, 200, w->type, (struct http_range){ 0 });
    }
}

static void answer_done(struct work *w) {
    struct http_exchange *x = w->out.x;
    const struct file_task *t = &w->out.task;
    bool made = t->info.created && (w->op == FILE_WRITE || w->op == FILE_MKDIR);
    if (w->op == FILE_WRITE)
        add_version(x, &t->info);
    if (w->op == FILE_REMOVE || w->op == FILE_UNTAR)
        http_answer(x, 204, NULL, NULL, 0);
    else
        http_answer(x, made ? 201 : 200, "application/json", t->text, t->text_len);
}

static void finished(struct file_task *t) {
    struct work *w = CONTAINER_OF(t, struct work, out.task);
    if (file_answer_finished(&w->out))
        return;
    if (t->fault != FILE_OK)
        answer_fault(w->out.x, t);
    else if (w->total > 0 && !t->info.complete)
        answer_part(w);
    else
        answer_done(w);
}

static void begin(struct http_exchange *x, const struct file_req *q, const char *type) {
    struct work *w = calloc(1, sizeof *w);
    if (!w) {
        native_fail(x, 500, "internal", "out of memory");
        return;
    }
    w->op = q->op;
    w->type = type;
    w->total = q->upload ? q->total : 0;
    w->out.x = x;
    w->out.task.opened = opened;
    w->out.task.finished = finished;
    x->ctx = &w->out;
    x->handler = &handler;
    if (file_begin(&channel_of(x)->files, &w->out.task, q, NULL) < 0)
        answer_fault(x, &w->out.task);
}

/* --- routes ----------------------------------------------------------------------------------- */

void native_file_get(struct http_exchange *x, yyjson_val *body) {
    struct ask a;
    (void)body;
    if (native_params(x, (const char *const[]){ "path", "user", NULL }) &&
        take_path(x, &a, FILE_READ))
        begin(x, &a.q, NULL);
}

/* Content-Range and `upload` come together. False, and it has been answered. */
static bool take_part(struct http_exchange *x, struct ask *a) {
    struct slice field = http_field(&x->head, "Content-Range");
    struct http_range part = { UPLOAD_ASK, 0 };
    if (!take_text(x, "upload", a->upload, sizeof a->upload, field.s != NULL))
        return false;
    if (!*a->upload && !field.s)
        return true;
    int rc = http_content_range(field, &part, &a->q.total);
    bool fits = x->head.framing != HTTP_LENGTH || x->head.length == part.len;
    if (rc < 0 || !fits || (rc == 0 && x->head.framing == HTTP_CHUNKED)) {
        native_fail(x, 400, "invalid",
                    rc < 0 ? "Content-Range: with upload, \"bytes 0-99/1000\" is needed, or"
                             " \"bytes */1000\" to ask"
                           : "Content-Range: the body has another length");
        return false;
    }
    a->q.upload = a->upload;
    a->q.from = part.from;
    return true;
}

static bool take_conditions(struct http_exchange *x, struct ask *a) {
    struct slice match = http_field(&x->head, "If-Match");
    struct slice none = http_field(&x->head, "If-None-Match");
    struct text t = TEXT(a->if_match);
    text_put(&t, match.s, match.n);
    a->q.if_match = match.s ? a->if_match : NULL;
    a->q.only_new = none.s != NULL;
    if (!t.cut && (!none.s || http_is(none, "*")))
        return true;
    native_fail(x, 400, "invalid",
                t.cut ? "If-Match: too long" : "If-None-Match: only * is understood for writing");
    return false;
}

void native_file_put(struct http_exchange *x, yyjson_val *body) {
    static const char *const known[] = { "path", "user", "mode", "parents", "upload", NULL };
    struct ask a;
    char mode[8] = "";
    (void)body;
    if (!native_params(x, known) || !take_path(x, &a, FILE_WRITE) ||
        !take_text(x, "mode", mode, sizeof mode, false) ||
        !native_flag(x, "parents", &a.q.parents) || !take_part(x, &a) || !take_conditions(x, &a))
        return;
    a.q.entry = render_entry;
    if (*mode && !parse_mode(mode, &a.q))
        native_fail(x, 400, "invalid", "mode: three or four octal digits are needed");
    else
        begin(x, &a.q, NULL);
}

void native_file_delete(struct http_exchange *x, yyjson_val *body) {
    static const char *const known[] = { "path", "user", "recursive", "missing", "upload", NULL };
    struct ask a;
    (void)body;
    if (!native_params(x, known) || !take_path(x, &a, FILE_REMOVE) ||
        !take_text(x, "upload", a.upload, sizeof a.upload, false) ||
        !native_flag(x, "recursive", &a.q.recursive) || !native_flag(x, "missing", &a.q.missing_ok))
        return;
    a.q.upload = *a.upload ? a.upload : NULL;
    begin(x, &a.q, NULL);
}

void native_stat(struct http_exchange *x, yyjson_val *body) {
    struct ask a;
    (void)body;
    if (native_params(x, (const char *const[]){ "path", "user", NULL }) &&
        take_path(x, &a, FILE_STAT)) {
        a.q.entry = render_entry;
        begin(x, &a.q, NULL);
    }
}

void native_list(struct http_exchange *x, yyjson_val *body) {
    struct ask a;
    int64_t depth = 1;
    (void)body;
    if (!native_params(x, (const char *const[]){ "path", "user", "depth", NULL }) ||
        !take_path(x, &a, FILE_LIST) || !native_number(x, "depth", 1, MAX_TREE_DEPTH, &depth))
        return;
    a.q.depth = (unsigned)depth;
    a.q.entry = render_entry;
    begin(x, &a.q, "application/x-ndjson");
}

void native_mkdir(struct http_exchange *x, yyjson_val *body) {
    struct file_req q = { .op = FILE_MKDIR, .entry = render_entry };
    if (take_body(x, body, (const char *const[]){ "path", "mode", "parents", "user", NULL }, 1, &q))
        begin(x, &q, NULL);
}

static void transfer(struct http_exchange *x, yyjson_val *body, enum file_op op) {
    struct file_req q = { .op = op, .entry = render_entry };
    if (take_body(x, body, (const char *const[]){ "from", "to", "replace", "user", NULL }, 2, &q))
        begin(x, &q, NULL);
}

void native_move(struct http_exchange *x, yyjson_val *body) { transfer(x, body, FILE_MOVE); }

void native_copy(struct http_exchange *x, yyjson_val *body) { transfer(x, body, FILE_COPY); }

void native_chmod(struct http_exchange *x, yyjson_val *body) {
    static const char *const known[] = {
        "path", "mode", "owner", "group", "recursive", "user", NULL
    };
    struct file_req q = { .op = FILE_CHMOD, .entry = render_entry };
    if (take_body(x, body, known, 1, &q))
        begin(x, &q, NULL);
}

void native_tar_get(struct http_exchange *x, yyjson_val *body) {
    struct ask a;
    (void)body;
    if (native_params(x, (const char *const[]){ "path", "user", "contents", NULL }) &&
        take_path(x, &a, FILE_TAR) && native_flag(x, "contents", &a.q.contents))
        begin(x, &a.q, "application/x-tar");
}

void native_tar_put(struct http_exchange *x, yyjson_val *body) {
    static const char *const known[] = { "path", "user", "parents", "owners", NULL };
    struct ask a;
    (void)body;
    if (native_params(x, known) && take_path(x, &a, FILE_UNTAR) &&
        native_flag(x, "parents", &a.q.parents) && native_flag(x, "owners", &a.q.keep_owner))
        begin(x, &a.q, NULL);
}

void native_watch(struct http_exchange *x, yyjson_val *body) {
    struct ask a;
    (void)body;
    if (!native_params(x, (const char *const[]){ "path", "user", "recursive", NULL }) ||
        !take_path(x, &a, FILE_WATCH) || !native_flag(x, "recursive", &a.q.recursive))
        return;
    a.q.event = render_event;
    a.q.entries = a.q.network_ok = true;
    begin(x, &a.q, "application/x-ndjson");
}
