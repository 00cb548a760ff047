/* filesystem.c — filesystem.Filesystem, all but its watches. */
#include "channel/e2b/filesystem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "channel/file_answer.h"

/* --- entries ---------------------------------------------------------------------------------- */

/* Of a symbolic link what it points to counts; of what dangles, or is no file, nothing is said. */
static const char *type_of(const struct file_entry *e) {
    mode_t mode =
        S_ISLNK(e->st.st_mode) ? (e->has_pointed ? e->pointed.st_mode : 0) : e->st.st_mode;
    return S_ISREG(mode) ? "FILE_TYPE_FILE" : S_ISDIR(mode) ? "FILE_TYPE_DIRECTORY" : NULL;
}

static const char *last_part(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash && slash[1] ? slash + 1 : path;
}

void e2b_put_metadata(struct text *t, const char *xattrs) {
    if (!xattrs || !*xattrs)
        return;
    text_add(t, ",\"metadata\":{");
    for (const char *key = xattrs; *key;) { /* a map's, so an empty value is one, too */
        const char *value = key + strlen(key) + 1;
        proto_comma(t);
        text_json(t, key, strlen(key));
        text_add(t, ":");
        text_json(t, value, strlen(value));
        key = value + strlen(value) + 1;
    }
    text_add(t, "}");
}

void e2b_put_entry(struct text *t, const struct file_entry *e) {
    bool link = S_ISLNK(e->st.st_mode);
    mode_t mode = (link && e->has_pointed ? e->pointed.st_mode : e->st.st_mode) & 0777;
    char permissions[16];
    go_mode(e->st.st_mode, permissions);
    text_add(t, "{");
    proto_put_text(t, "name", last_part(e->path));
    proto_put_text(t, "type", type_of(e));
    proto_put_text(t, "path", e->path);
    if (e->st.st_size > 0)
        text_add(t, ",\"size\":\"%lld\"", (long long)e->st.st_size);
    if (mode)
        text_add(t, ",\"mode\":%u", mode);
    proto_put_text(t, "permissions", permissions);
    proto_put_text(t, "owner", e->owner);
    proto_put_text(t, "group", e->group);
    proto_put_time(t, "modifiedTime", e->st.st_mtim.tv_sec, (int32_t)e->st.st_mtim.tv_nsec);
    if (link)
        proto_put_text(t, "symlinkTarget", *e->resolved ? e->resolved : e->path);
    e2b_put_metadata(t, e->xattrs);
    text_add(t, "}");
}

void e2b_entry_json(const struct file_entry *e, size_t index, struct text *out) {
    (void)index;
    e2b_put_entry(out, e);
}

static void put_listed(const struct file_entry *e, size_t index, struct text *out) {
    text_add(out, "%s", index ? "," : "");
    e2b_put_entry(out, e);
}

/* --- requests --------------------------------------------------------------------------------- */

enum e2b_code e2b_fault_code(const struct file_task *t) {
    static const enum e2b_code codes[] = {
        [FILE_OK] = E2B_INTERNAL,
        [FILE_NOT_FOUND] = E2B_NOT_FOUND,
        [FILE_DENIED] = E2B_DENIED,
        [FILE_EXISTS] = E2B_EXISTS,
        [FILE_IS_DIR] = E2B_INVALID,
        [FILE_NOT_DIR] = E2B_INVALID,
        [FILE_NOT_EMPTY] = E2B_INTERNAL,
        [FILE_BAD_PATH] = E2B_INVALID,
        [FILE_BAD_USER] = E2B_UNAUTHENTICATED,
        [FILE_BAD_ARCHIVE] = E2B_INVALID,
        [FILE_NO_SPACE] = E2B_EXHAUSTED,
        [FILE_CHANGED] = E2B_PRECONDITION,
        [FILE_READ_ONLY] = E2B_INTERNAL,
        [FILE_BUSY] = E2B_INTERNAL,
        [FILE_LOOP] = E2B_PRECONDITION,
        [FILE_NETWORK_FS] = E2B_INVALID,
        [FILE_LIMIT] = E2B_EXHAUSTED,
        [FILE_BAD_RANGE] = E2B_INVALID,
        [FILE_CUT] = E2B_INVALID,
        [FILE_BAD_CODE] = E2B_INVALID,
        [FILE_FAILED] = E2B_INTERNAL,
    };
    return codes[t->fault];
}

/* As with E2B's agent, "" is the default workdir, but all other relative paths begin at the home.
 */
static const char *path_or_workdir(const struct http_exchange *x, const char *path) {
    return path && *path ? path : e2b_settings_in(channel_of(x)->e2b.memory)->workdir;
}

void e2b_file_req(const struct http_exchange *x, struct file_req *q, enum file_op op,
                  const char *path, const char *user) {
    *q = (struct file_req){ .op = op,
                            .path = path_or_workdir(x, path),
                            .user = user && *user ? user : NULL,
                            .as_root = true,
                            .lexical = true,
                            .parents = true,
                            .xattrs = true,
                            .xattr_prefix = E2B_XATTR_PREFIX };
}

struct call {
    struct file_answer out;
    enum file_op op;
    char user[E2B_USER_TEXT];
};

static void call_over(struct http_exchange *x, bool cut) {
    (void)cut;
    struct call *c = CONTAINER_OF(x->ctx, struct call, out);
    file_cancel(&c->out.task);
    free(c);
}

static const struct http_handler call_handler = { .over = call_over };

/* --- answers ---------------------------------------------------------------------------------- */

static enum e2b_code code_of(const struct call *c) {
    const struct file_task *t = &c->out.task;
    bool in_the_way = t->fault == FILE_NOT_DIR && t->info.st.st_mode == 0;
    if (c->op == FILE_MKDIR && in_the_way)
        return E2B_INTERNAL;
    bool plain = t->fault == FILE_NOT_FOUND || t->fault == FILE_BAD_USER;
    if ((c->op == FILE_MOVE || c->op == FILE_REMOVE) && !plain)
        return E2B_INTERNAL;
    return e2b_fault_code(t);
}

static void answer_fault(struct call *c, enum e2b_code code) {
    if (c->out.task.fault == FILE_BAD_USER)
        e2b_fail(c->out.x, E2B_UNAUTHENTICATED, "invalid username: '%s'", c->user);
    else
        e2b_fail(c->out.x, code, "%s", c->out.task.why);
}

/* {"entry":{...}}; or {} where there is none. */
static void answer_entry(struct call *c) {
    size_t cap = c->out.task.text_len + 16;
    AUTO_FREE char *buf = malloc(cap);
    struct text t = { .buf = buf, .cap = cap };
    if (!buf) {
        e2b_fail(c->out.x, E2B_EXHAUSTED, "out of memory for the entry; the operation is done");
        return;
    }
    text_add(&t, "{");
    if (c->out.task.text_len > 0) {
        text_add(&t, "\"entry\":");
        text_put(&t, c->out.task.text, c->out.task.text_len);
    }
    text_add(&t, "}");
    e2b_reply(c->out.x, &t);
}

static void finished(struct file_task *t) {
    struct call *c = CONTAINER_OF(t, struct call, out.task);
    if (file_answer_finished(&c->out))
        return;
    if (t->fault != FILE_OK)
        answer_fault(c, code_of(c));
    else if (c->op == FILE_MKDIR && !t->info.created)
        e2b_fail(c->out.x, E2B_EXISTS, "directory already exists: %s", t->info.path);
    else
        answer_entry(c);
}

static void opened(struct file_task *t) {
    struct file_answer *out = CONTAINER_OF(t, struct file_answer, task);
    http_begin(out->x, 200, e2b_unary_type(out->x), -1);
    file_answer_send(out, t->data, 0, 0);
}

static void call(struct http_exchange *x, const struct file_req *q, const char *user) {
    struct call *c = calloc(1, sizeof *c);
    if (!c) {
        e2b_fail(x, E2B_EXHAUSTED, "out of memory");
        return;
    }
    c->op = q->op;
    c->out = (struct file_answer){
        .x = x, .length = -1, .task.opened = opened, .task.finished = finished
    };
    (void)snprintf(c->user, sizeof c->user, "%s", user);
    x->ctx = &c->out;
    x->handler = &call_handler;
    if (file_begin(&channel_of(x)->files, &c->out.task, q, NULL) <
        0) /* it makes no sense, whatever files there are */
        answer_fault(c, e2b_fault_code(&c->out.task));
}

/* --- methods ---------------------------------------------------------------------------------- */

struct asked {
    struct proto p;
    struct file_req q;
    char user[E2B_USER_TEXT];
};

/* False, and it has been answered. */
static bool ask(struct http_exchange *x, yyjson_val *body, struct asked *a, enum file_op op,
                const char *member) {
    *a = (struct asked){ 0 };
    if (!e2b_unary(x, body))
        return false;
    const char *path = proto_text(&a->p, body, member);
    if (!e2b_proto_ok(x, &a->p))
        return false;
    if (!e2b_user(x, NULL, a->user)) {
        e2b_fail(x, E2B_UNAUTHENTICATED, "Authorization: this is no user's name");
        return false;
    }
    e2b_file_req(x, &a->q, op, path, a->user);
    a->q.entry = e2b_entry_json;
    return true;
}

void e2b_stat(struct http_exchange *x, yyjson_val *body) {
    struct asked a;
    if (ask(x, body, &a, FILE_STAT, "path"))
        call(x, &a.q, a.user);
}

void e2b_make_dir(struct http_exchange *x, yyjson_val *body) {
    struct asked a;
    if (!ask(x, body, &a, FILE_MKDIR, "path"))
        return;
    a.q.mode = 0755;
    a.q.has_mode = true;
    call(x, &a.q, a.user);
}

void e2b_move(struct http_exchange *x, yyjson_val *body) {
    struct asked a;
    if (!ask(x, body, &a, FILE_MOVE, "source"))
        return;
    a.q.to = path_or_workdir(x, proto_text(&a.p, body, "destination"));
    a.q.replace = a.q.keep_dirs = true;
    if (e2b_proto_ok(x, &a.p))
        call(x, &a.q, a.user);
}

void e2b_list_dir(struct http_exchange *x, yyjson_val *body) {
    struct asked a;
    int64_t depth = 0;
    if (!ask(x, body, &a, FILE_LIST, "path"))
        return;
    (void)proto_int(&a.p, body, "depth", 0, UINT32_MAX, &depth);
    if (!e2b_proto_ok(x, &a.p))
        return;
    a.q.depth = (unsigned)(depth < 1 ? 1 : depth > MAX_TREE_DEPTH ? MAX_TREE_DEPTH : depth);
    a.q.entry = put_listed;
    a.q.head = "{\"entries\":[";
    a.q.tail = "]}";
    call(x, &a.q, a.user);
}

void e2b_remove(struct http_exchange *x, yyjson_val *body) {
    struct asked a;
    if (!ask(x, body, &a, FILE_REMOVE, "path"))
        return;
    a.q.entry = NULL;
    a.q.recursive = a.q.missing_ok = true;
    call(x, &a.q, a.user);
}
