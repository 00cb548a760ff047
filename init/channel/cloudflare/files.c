/* files.c — directories made and listed; files renamed, moved, deleted, looked for. */
#include "channel/cloudflare/files.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/own.h"
#include "channel/cloudflare/session.h"
#include "channel/file_answer.h"

struct call {
    struct file_answer out;
    enum file_op op;
    const char *operation; /* in errors */
    bool into;             /* of a move: mv's */
    bool recursive;
    char *path, *to; /* as asked for; owned */
    char *from;      /* of a move: what it begins with, absolute; owned; NULL: not known */
};

static void call_over(struct http_exchange *x, bool cut) {
    (void)cut;
    struct call *c = CONTAINER_OF(x->ctx, struct call, out);
    file_cancel(&c->out.task);
    free(c->path);
    free(c->to);
    free(c->from);
    free(c);
}

static const struct http_handler call_handler = { .over = call_over };

/* --- answers ---------------------------------------------------------------------------------- */

static void answer_ok(struct call *c) {
    AUTO_FREE char *buf = malloc(CF_TEXT);
    struct text t = { .buf = buf, .cap = CF_TEXT };
    if (!buf) {
        cf_no_memory(c->out.x, "an answer");
        return;
    }
    cf_put(&t, "path", c->path);
    if (c->op == FILE_MKDIR)
        cf_put_flag(&t, "recursive", c->recursive);
    if (c->op == FILE_MOVE)
        cf_put(&t, "newPath", c->to);
    cf_ok(c->out.x, &t);
}

static void answer_exists(struct call *c, bool exists) {
    AUTO_FREE char *buf = malloc(CF_TEXT);
    struct text t = { .buf = buf, .cap = CF_TEXT };
    if (!buf) {
        cf_no_memory(c->out.x, "an answer");
        return;
    }
    cf_put(&t, "path", c->path);
    cf_put_flag(&t, "exists", exists);
    cf_ok(c->out.x, &t);
}

/* As the mkdir(1) that the package's server runs. */
static void fail_mkdir(struct call *c) {
    char buf[CF_ERROR];
    struct text t = TEXT(buf);
    cf_put(&t, "path", c->path);
    text_add(&t, ",\"options\":{\"recursive\":%s}", c->recursive ? "true" : "false");
    cf_put_number(&t, "exitCode", 1);
    cf_put(&t, "stderr", c->out.task.why);
    cf_fail(c->out.x, CF_FILESYSTEM_ERROR, &t, "Failed to create directory: %s", c->out.task.why);
}

static bool is_away(enum file_fault fault) {
    return fault == FILE_NOT_FOUND || fault == FILE_NOT_DIR || fault == FILE_LOOP ||
           fault == FILE_DENIED;
}

/* Of a move: is it its beginning that is not there, and not the place where it was to go? */
static bool is_gone(const struct call *c) {
    struct stat st;
    enum file_fault fault = c->out.task.fault;
    return (fault == FILE_NOT_FOUND || fault == FILE_NOT_DIR) &&
           !(c->from && lstat(c->from, &st) == 0);
}

static void answer_fault(struct call *c) {
    enum file_fault fault = c->out.task.fault;
    struct file_task absent = { .fault = FILE_NOT_FOUND };
    struct cf_failure f = { .operation = c->operation, .path = c->path, .task = &c->out.task };
    if (c->op == FILE_STAT && is_away(fault)) {
        answer_exists(c, false);
        return;
    }
    if (c->op == FILE_MKDIR) {
        fail_mkdir(c);
        return;
    }
    f.plain = c->op == FILE_MOVE && !is_gone(c);
    if (c->op == FILE_LIST)
        f.subject = "Directory";
    else if (fault == FILE_NOT_DIR && !f.plain)
        f.task = &absent;
    cf_file_fail(c->out.x, &f);
}

/* --- lists ------------------------------------------------------------------------------------ */

static const char *last_part(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* As find(1) prints it: local time, ten digits of a second, no zone. */
static void put_modified(struct text *t, const struct timespec *when) {
    struct tm tm;
    char buf[40] = "";
    if (localtime_r(&when->tv_sec, &tm))
        (void)strftime(buf, sizeof buf, "%Y-%m-%dT%H:%M:%S", &tm);
    text_add(t, ",\"modifiedAt\":\"%s.%09ld0\"", buf, when->tv_nsec);
}

static void put_mode(struct text *t, mode_t mode) {
    char letters[] = "rwxrwxrwx";
    for (int i = 0; i < 9; i++)
        if (!(mode & (0400U >> i)))
            letters[i] = '-';
    cf_put(t, "mode", letters);
    text_add(t, ",\"permissions\":{\"readable\":%s,\"writable\":%s,\"executable\":%s}",
             mode & 0400 ? "true" : "false", mode & 0200 ? "true" : "false",
             mode & 0100 ? "true" : "false");
}

static void put_listed(const struct file_entry *e, size_t index, struct text *out) {
    mode_t mode = e->st.st_mode;
    text_add(out, "%s{", index ? "," : "");
    cf_put(out, "name", last_part(e->path));
    cf_put(out, "absolutePath", e->path);
    cf_put(out, "relativePath", e->name);
    cf_put(out, "type",
           S_ISREG(mode)   ? "file"
           : S_ISDIR(mode) ? "directory"
           : S_ISLNK(mode) ? "symlink"
                           : "other");
    cf_put_number(out, "size", e->st.st_size);
    put_modified(out, &e->st.st_mtim);
    put_mode(out, mode);
    text_add(out, "}");
}

static void whole(struct file_answer *out) {
    char buf[UTC_TEXT + 128];
    struct text t = TEXT(buf);
    text_add(&t, "]");
    cf_put_number(&t, "count", (int64_t)out->task.info.entries);
    cf_put_now(&t);
    text_add(&t, "}");
    if (out->task.fault == FILE_OK)
        http_send(out->x, t.buf, t.len);
    file_answer_close(out);
}

static void opened(struct file_task *t) {
    struct call *c = CONTAINER_OF(t, struct call, out.task);
    AUTO_FREE char *buf = malloc(CF_TEXT);
    struct text head = { .buf = buf, .cap = CF_TEXT };
    if (!buf) {
        cf_no_memory(c->out.x, "a list");
        return;
    }
    text_add(&head, "{\"success\":true");
    cf_put(&head, "path", c->path);
    text_add(&head, ",\"files\":[");
    http_add_field(c->out.x, "Cache-Control", "no-store");
    http_begin(c->out.x, 200, "application/json", -1);
    http_send(c->out.x, head.buf, head.len);
    file_answer_send(&c->out, t->data, 0, 0);
}

/* --- calls ------------------------------------------------------------------------------------ */

static void put_exists(const struct file_entry *e, size_t index, struct text *out) {
    (void)index;
    text_add(out, "%d", !S_ISLNK(e->st.st_mode) || e->has_pointed);
}

static void finished(struct file_task *t) {
    struct call *c = CONTAINER_OF(t, struct call, out.task);
    if (file_answer_finished(&c->out))
        return;
    if (t->fault != FILE_OK)
        answer_fault(c);
    else if (c->op == FILE_STAT)
        answer_exists(c, t->text && *t->text == '1');
    else
        answer_ok(c);
}

/* NULL, and it has been answered. `to` may be NULL. */
static struct call *call_new(struct http_exchange *x, enum file_op op, const char *operation,
                             const char *path, const char *to) {
    struct call *c = calloc(1, sizeof *c);
    if (c) {
        c->path = strdup(path);
        c->to = to ? strdup(to) : NULL;
    }
    if (!c || !c->path || (to && !c->to)) {
        if (c)
            free(c->path);
        free(c);
        cf_no_memory(x, "a request");
        return NULL;
    }
    c->op = op;
    c->operation = operation;
    c->out = (struct file_answer){
        .x = x, .length = -1, .whole = whole, .task.opened = opened, .task.finished = finished
    };
    x->ctx = &c->out;
    x->handler = &call_handler;
    return c;
}

static void begin(struct call *c, const struct file_req *asked) {
    struct file_req q = *asked;
    q.user = cf_user(c->out.x);
    if (file_begin(&channel_of(c->out.x)->files, &c->out.task, &q, NULL) < 0)
        answer_fault(c);
}

/* --- routes ----------------------------------------------------------------------------------- */

struct asked {
    const char *path; /* as it came */
    char absolute[PATH_MAX];
};

static bool ask(struct http_exchange *x, yyjson_val **body, struct asked *a) {
    *body = cf_body(x, *body);
    a->path = *body ? cf_path_member(x, *body, "path") : NULL;
    return a->path && cf_resolve(x, *body, a->path, a->absolute);
}

void cf_mkdir(struct http_exchange *x, yyjson_val *body) {
    struct asked a;
    struct call *c = ask(x, &body, &a) ? call_new(x, FILE_MKDIR, NULL, a.path, NULL) : NULL;
    if (!c)
        return;
    c->recursive = cf_flag(body, "recursive", false);
    begin(c, &(struct file_req){ .op = FILE_MKDIR, .path = a.absolute, .parents = c->recursive });
}

void cf_delete(struct http_exchange *x, yyjson_val *body) {
    struct asked a;
    struct call *c =
        ask(x, &body, &a) ? call_new(x, FILE_REMOVE, "file.delete", a.path, NULL) : NULL;
    if (c)
        begin(c, &(struct file_req){ .op = FILE_REMOVE, .path = a.absolute, .plain = true });
}

void cf_exists(struct http_exchange *x, yyjson_val *body) {
    struct asked a;
    struct call *c = ask(x, &body, &a) ? call_new(x, FILE_STAT, "file.stat", a.path, NULL) : NULL;
    if (c)
        begin(c, &(struct file_req){ .op = FILE_STAT, .path = a.absolute, .entry = put_exists });
}

void cf_list_files(struct http_exchange *x, yyjson_val *body) {
    struct asked a;
    struct call *c =
        ask(x, &body, &a) ? call_new(x, FILE_LIST, "directory.list", a.path, NULL) : NULL;
    if (!c)
        return;
    yyjson_val *options = yyjson_obj_get(body, "options");
    begin(c, &(struct file_req){
                 .op = FILE_LIST,
                 .path = a.absolute,
                 .shown = a.path,
                 .entry = put_listed,
                 .depth = cf_flag(options, "recursive", false) ? MAX_TREE_DEPTH : 1,
                 .visible = !cf_flag(options, "includeHidden", false),
             });
}

/* The package's server checks these two in another place. */
static const char *move_member(struct http_exchange *x, yyjson_val *body, const char *member) {
    struct slice path = cf_bytes(body, member);
    const char *fault = cf_path_fault(path);
    if (!fault)
        return path.s;
    cf_fail(x, CF_SECURITY_VALIDATION_FAILED, NULL, "Security validation failed: %s: %s", member,
            fault);
    return NULL;
}

static void move(struct http_exchange *x, yyjson_val *body, const char *names[2], bool into) {
    char from[PATH_MAX], to[PATH_MAX];
    body = cf_body(x, body);
    const char *asked_from = body ? move_member(x, body, names[0]) : NULL;
    const char *asked_to = asked_from ? move_member(x, body, names[1]) : NULL;
    if (!asked_to || !cf_resolve(x, body, asked_from, from) || !cf_resolve(x, body, asked_to, to))
        return;
    struct call *c =
        call_new(x, FILE_MOVE, into ? "file.move" : "file.rename", asked_from, asked_to);
    if (!c)
        return;
    c->from = strdup(from);
    begin(c, &(struct file_req){
                 .op = FILE_MOVE, .path = from, .to = to, .replace = true, .into = into });
}

void cf_rename(struct http_exchange *x, yyjson_val *body) {
    move(x, body, (const char *[]){ "oldPath", "newPath" }, false);
}

void cf_move(struct http_exchange *x, yyjson_val *body) {
    move(x, body, (const char *[]){ "sourcePath", "destinationPath" }, true);
}
