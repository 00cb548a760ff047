/* absent.c — what a box of pinnace does not have, said so that nobody takes it for a fault. */
#include <string.h>

#include "channel/cloudflare/cloudflare.h"

#define NO_INTERPRETER                                                            \
    "there is no code interpreter in this container: run the code as a command, " \
    "as `python3 -c` or `node -e`"

static enum cf_code code_for(const char *language) {
    bool python = !language || strcmp(language, "python") == 0;
    return python ? CF_PYTHON_NOT_AVAILABLE : CF_JAVASCRIPT_NOT_AVAILABLE;
}

void cf_interpreter_health(struct http_exchange *x, yyjson_val *body) {
    (void)body;
    cf_fail(x, CF_PYTHON_NOT_AVAILABLE, NULL, NO_INTERPRETER);
}

void cf_contexts_create(struct http_exchange *x, yyjson_val *body) {
    if (cf_body(x, body))
        cf_fail(x, code_for(cf_text(body, "language")), NULL, NO_INTERPRETER);
}

void cf_contexts_list(struct http_exchange *x, yyjson_val *body) {
    (void)body;
    char buf[32];
    struct text t = TEXT(buf);
    text_add(&t, "\"contexts\":[]");
    cf_ok(x, &t);
}

void cf_contexts_delete(struct http_exchange *x, yyjson_val *body) {
    (void)body;
    char buf[2048];
    struct text t = TEXT(buf);
    int n = x->params[0].n < 256 ? (int)x->params[0].n : 256;
    cf_put_bytes(&t, "contextId", x->params[0].s, (size_t)n);
    cf_fail(x, CF_CONTEXT_NOT_FOUND, &t, "Context not found: %.*s", n, x->params[0].s);
}

/* Its errors have a shape of their own. */
void cf_execute_code(struct http_exchange *x, yyjson_val *body) {
    char buf[512];
    struct text t = TEXT(buf);
    const char *context = cf_text(body, "context_id");
    enum cf_code code = context ? CF_CONTEXT_NOT_FOUND : code_for(cf_text(body, "language"));
    if (!cf_body(x, body))
        return;
    text_add(&t, "{");
    cf_put(&t, "error", context ? "Context not found" : NO_INTERPRETER);
    cf_put(&t, "code", cf_code_text(code));
    text_add(&t, ",\"details\":{}}");
    http_answer(x, cf_code_status(code), "application/json", t.buf, t.len);
}

/* Clients ask again after 500, 502, 503 and 504. */
void cf_rpc(struct http_exchange *x, yyjson_val *body) {
    (void)body;
    cf_error(x, &(struct cf_error){ .code = CF_UNKNOWN_ERROR, .status = 501 },
             "transport \"rpc\" is not spoken here: set SANDBOX_TRANSPORT, or getSandbox's "
             "transport, to http or websocket");
}

void cf_desktop(struct http_exchange *x, yyjson_val *body) {
    (void)body;
    cf_error(x, &(struct cf_error){ .code = CF_UNKNOWN_ERROR, .status = 501 },
             "there is no desktop in this container");
}

void cf_upload_parts(struct http_exchange *x, yyjson_val *body) {
    (void)body;
    cf_error(x,
             &(struct cf_error){
                 .code = CF_BACKUP_CREATE_FAILED, .status = 501, .operation = "backup.create" },
             "uploads in parts to presigned addresses need TLS, which is not there: let the Worker "
             "read the archive");
}
