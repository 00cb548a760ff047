/* multiplex_request.c — a request of the multiplex as an HTTP message. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/own.h"
#include "channel/cloudflare/multiplex.h"
#include "channel/gate.h"

/* Of fields that are those of one connection, and are made here. */
static bool is_ours(const char *name, bool token) {
    static const char *const names[] = { "connection", "content-length", "expect",
                                         "host",       "keep-alive",     "te",
                                         "trailer",    "upgrade",        "transfer-encoding" };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcasecmp(name, names[i]) == 0)
            return true;
    return token && strcasecmp(name, "authorization") == 0;
}

static bool is_token(const char *s, size_t n) {
    static const char tchar[] = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
                                "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    return n > 0 && strspn(s, tchar) == n;
}

/* As in a URL: what may not stand there is percent-encoded. */
static void put_target(struct text *t, const char *path) {
    for (; *path; path++) {
        unsigned char c = (unsigned char)*path;
        if (c <= ' ' || c >= 0x7f || c == '#')
            text_add(t, "%%%02X", c);
        else
            text_put(t, path, 1);
    }
}

static bool put_line(struct text *t, yyjson_val *ask) {
    const char *method = cf_text(ask, "method"), *path = cf_text(ask, "path");
    if (!method || !path || !is_token(method, cf_bytes(ask, "method").n) ||
        strlen(method) > MAX_HTTP_METHOD || *path != '/' || strlen(path) != cf_bytes(ask, "path").n)
        return false;
    text_add(t, "%s ", method);
    put_target(t, path);
    text_add(t, " HTTP/1.1\r\nHost: pinnace\r\nConnection: close\r\n");
    return !t->cut && t->len < MAX_HTTP_LINE;
}

static bool put_field(struct text *t, yyjson_val *key, yyjson_val *value, bool token) {
    const char *name = yyjson_get_str(key), *text = yyjson_get_str(value);
    if (!text || !is_token(name, yyjson_get_len(key)) || strlen(text) != yyjson_get_len(value) ||
        strpbrk(text, "\r\n"))
        return false;
    if (!is_ours(name, token))
        text_add(t, "%s: %s\r\n", name, text);
    return true;
}

/* `headers` may be NULL, or no object: then there are none. */
static bool put_fields(struct text *t, yyjson_val *headers, const char *token) {
    yyjson_obj_iter all = yyjson_obj_iter_with(headers);
    for (yyjson_val *key; (key = yyjson_obj_iter_next(&all));)
        if (!put_field(t, key, yyjson_obj_iter_get_val(key), token != NULL))
            return false;
    if (token) /* who opened the WebSocket has shown it */
        text_add(t, "Authorization: Bearer %s\r\n", token);
    return !t->cut;
}

const char *mux_request(const struct http_exchange *x, yyjson_val *ask, char **out, size_t *n) {
    yyjson_val *body = yyjson_obj_get(ask, "body");
    bool has_body = body && !yyjson_is_null(body);
    size_t nbody = 0;
    AUTO_FREE char *json = has_body ? yyjson_val_write(body, YYJSON_WRITE_NOFLAG, &nbody) : NULL;
    AUTO_FREE char *buf = malloc(MAX_HTTP_HEAD + nbody);
    struct text t = { .buf = buf, .cap = MAX_HTTP_HEAD };
    if (!buf || (has_body && !json))
        return "out of memory for the request";
    if (!put_line(&t, ask))
        return "method and path are needed, and a path of at most 8 KiB that begins with a slash";
    bool good = put_fields(&t, yyjson_obj_get(ask, "headers"), gate_token(x));
    if (json)
        text_add(&t, "Content-Length: %zu\r\n", nbody);
    text_add(&t, "\r\n");
    if (!good || t.cut)
        return "headers: names and texts without line ends are needed, of 32 KiB at most";
    if (json)
        memcpy(buf + t.len, json, nbody);
    *n = t.len + nbody;
    *out = buf;
    buf = NULL;
    return NULL;
}
