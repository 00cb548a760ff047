/* path.c — paths of requests, and what is told when something is wrong with one. */
#include <string.h>

#include "channel/cloudflare/files.h"
#include "channel/cloudflare/session.h"

const char *cf_path_fault(struct slice path) {
    return !path.s                        ? "Path must be a string"
           : path.n == 0                  ? "Path must not be empty"
           : path.n > CF_MAX_PATH         ? "Path must not be longer than 4096 characters"
           : memchr(path.s, '\0', path.n) ? "Path must not contain a NUL"
                                          : NULL;
}

void cf_refuse_member(struct http_exchange *x, const char *member, const char *code,
                      const char *message) {
    char buf[1024];
    struct text t = TEXT(buf);
    text_add(&t, "\"validationErrors\":[{");
    cf_put(&t, "field", member);
    cf_put(&t, "message", message);
    cf_put(&t, "code", code);
    text_add(&t, "}]");
    cf_fail(x, CF_VALIDATION_FAILED, &t, "Request validation failed: %s: %s", member, message);
}

const char *cf_path_member(struct http_exchange *x, yyjson_val *body, const char *member) {
    struct slice path = cf_bytes(body, member);
    const char *fault = cf_path_fault(path);
    if (!fault)
        return path.s;
    cf_refuse_member(x, member, "INVALID_PATH", fault);
    return NULL;
}

bool cf_resolve(struct http_exchange *x, yyjson_val *body, const char *path, char out[PATH_MAX]) {
    char session[CF_SESSION_TEXT];
    if (!cf_session_id(x, body, session))
        return false;
    if (cf_session_path(channel_of(x), session, path, out))
        return true;
    cf_refuse_member(x, "path", "INVALID_PATH", "Path must not be longer than 4096 characters");
    return false;
}

static enum cf_code code_of(const struct cf_failure *f) {
    static const enum cf_code codes[] = {
        [FILE_OK] = CF_FILESYSTEM_ERROR,        [FILE_NOT_FOUND] = CF_FILE_NOT_FOUND,
        [FILE_DENIED] = CF_PERMISSION_DENIED,   [FILE_EXISTS] = CF_FILESYSTEM_ERROR,
        [FILE_IS_DIR] = CF_IS_DIRECTORY,        [FILE_NOT_DIR] = CF_NOT_DIRECTORY,
        [FILE_NOT_EMPTY] = CF_FILESYSTEM_ERROR, [FILE_BAD_PATH] = CF_FILESYSTEM_ERROR,
        [FILE_BAD_USER] = CF_FILESYSTEM_ERROR,  [FILE_BAD_ARCHIVE] = CF_FILESYSTEM_ERROR,
        [FILE_NO_SPACE] = CF_FILESYSTEM_ERROR,  [FILE_CHANGED] = CF_FILESYSTEM_ERROR,
        [FILE_READ_ONLY] = CF_FILESYSTEM_ERROR, [FILE_BUSY] = CF_FILESYSTEM_ERROR,
        [FILE_LOOP] = CF_FILESYSTEM_ERROR,      [FILE_NETWORK_FS] = CF_FILESYSTEM_ERROR,
        [FILE_LIMIT] = CF_FILESYSTEM_ERROR,     [FILE_BAD_RANGE] = CF_FILESYSTEM_ERROR,
        [FILE_CUT] = CF_FILESYSTEM_ERROR,       [FILE_BAD_CODE] = CF_VALIDATION_FAILED,
        [FILE_FAILED] = CF_FILESYSTEM_ERROR,
    };
    enum file_fault fault = f->task->fault;
    return f->plain ? CF_FILESYSTEM_ERROR : codes[fault];
}

void cf_file_fail(struct http_exchange *x, const struct cf_failure *f) {
    char buf[CF_ERROR];
    struct text t = TEXT(buf);
    const struct file_task *task = f->task;
    if (task->fault == FILE_BAD_CODE) {
        cf_refuse_member(x, "content", "INVALID_BASE64", "Content is no base64");
        return;
    }
    cf_put(&t, "path", f->path);
    cf_put(&t, "operation", f->operation);
    if (f->plain) {
        cf_put_number(&t, "exitCode", 1);
        cf_put(&t, "stderr", task->why);
    }
    struct cf_error e = { .code = code_of(f),
                          .operation = f->operation,
                          .context = t.cut ? NULL : t.buf };
    if (e.code == CF_FILE_NOT_FOUND)
        cf_error(x, &e, "%s not found: %.4200s", f->subject ? f->subject : "File", f->path);
    else
        cf_error(x, &e, "%s", task->why);
}
