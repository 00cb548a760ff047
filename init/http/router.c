#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/str.h"
#include "http/conn.h"

enum { ALLOW_TEXT = 128, NPARAMS = 4 };

/* --- paths ------------------------------------------------------------------------------------ */

static bool match(struct slice path, const char *pattern, struct slice params[NPARAMS]) {
    size_t n = 0;
    for (; *pattern; pattern++) {
        if (*pattern != '{') {
            if (path.n == 0 || *path.s != *pattern)
                return false;
            path.s++, path.n--;
            continue;
        }
        const char *end = memchr(path.s, '/', path.n);
        struct slice part = { path.s, end ? (size_t)(end - path.s) : path.n };
        if (part.n == 0)
            return false;
        if (n < NPARAMS)
            params[n++] = part;
        path = (struct slice){ part.s + part.n, path.n - part.n };
        pattern = strchr(pattern, '}');
        if (!pattern)
            return false;
    }
    return path.n == 0;
}

static bool answers(const struct http_route *r, struct slice method) {
    return http_is(method, r->method) || (http_is(method, "HEAD") && strcmp(r->method, "GET") == 0);
}

static void add_method(struct text *t, const char *method) {
    char with_comma[32];
    struct text w = TEXT(with_comma);
    text_add(&w, "%s,", method);
    char *seen = strstr(t->buf, with_comma); /* "PUT," is in no other method's text */
    if (!seen)
        text_add(t, "%s%s,", t->len ? " " : "", method);
}

/* "GET, HEAD, PUT," of the routes that have this path; "" when none has. */
static void allowed(const struct http_exchange *x, struct text *t) {
    const struct http_site *site = x->site;
    struct slice params[NPARAMS];
    for (size_t i = 0; i < site->nroutes; i++) {
        if (!match(x->head.path, site->routes[i].path, params))
            continue;
        add_method(t, site->routes[i].method);
        if (strcmp(site->routes[i].method, "GET") == 0)
            add_method(t, "HEAD");
    }
    if (t->len && site->preflight)
        add_method(t, "OPTIONS");
}

/* --- routes ----------------------------------------------------------------------------------- */

static const struct http_route *find(struct http_exchange *x) {
    for (size_t i = 0; i < x->site->nroutes; i++) {
        const struct http_route *r = &x->site->routes[i];
        if (answers(r, x->head.method) && match(x->head.path, r->path, x->params))
            return r;
    }
    return NULL;
}

static void no_route(struct http_exchange *x) {
    char buf[ALLOW_TEXT] = "";
    struct text allow = TEXT(buf);
    allowed(x, &allow);
    if (allow.len == 0) {
        x->site->refuse(x, 404, "there is no such route");
        return;
    }
    allow.buf[--allow.len] = '\0';
    if (x->site->preflight && http_is(x->head.method, "OPTIONS")) {
        x->site->preflight(x);
        return;
    }
    http_add_field(x, "Allow", "%s", allow.buf);
    char text[ALLOW_TEXT + 32];
    struct text t = TEXT(text);
    text_add(&t, "here only: %s", allow.buf);
    x->site->refuse(x, 405, text);
}

void route(struct http_exchange *x) {
    const struct http_route *r = x->route = find(x);
    if (!r) {
        no_route(x);
        return;
    }
    bool large = r->body == HTTP_BODY_JSON && x->head.framing == HTTP_LENGTH &&
                 x->head.length > MAX_JSON_BODY;
    if (large || (r->body == HTTP_BODY_NONE && !x->got_all)) {
        exchange_refuse_body(x, 413);
        return;
    }
    if (r->body == HTTP_BODY_NONE)
        x->told_end = true;
    if (r->body != HTTP_BODY_JSON)
        r->open(x, NULL);
    if (r->body != HTTP_BODY_NONE)
        exchange_want_body(x);
}

/* --- what a request says ---------------------------------------------------------------------- */

static bool is_key(struct slice raw, const char *key) {
    char text[64];
    return http_decode(raw, text, sizeof text) >= 0 && strcmp(text, key) == 0;
}

int http_param(const struct http_exchange *x, const char *key, char *out, size_t cap) {
    struct slice rest = x->head.query, k, v;
    while (http_next_param(&rest, &k, &v))
        if (is_key(k, key))
            return http_decode(v, out, cap) < 0 ? -EINVAL : 1;
    return 0;
}

bool http_unknown_param(const struct http_exchange *x, const char *const *known, char *out,
                        size_t cap) {
    struct slice rest = x->head.query, k, v;
    while (http_next_param(&rest, &k, &v)) {
        size_t i = 0;
        while (known[i] && !is_key(k, known[i]))
            i++;
        if (known[i])
            continue;
        struct text t = { .buf = out, .cap = cap };
        text_put(&t, k.s, k.n);
        return true;
    }
    return false;
}

bool http_peer(const struct http_exchange *x, struct ucred *out) {
    int fd = x->conn->source.fd, domain = 0;
    socklen_t len = sizeof domain, n = sizeof *out;
    return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 && domain == AF_UNIX &&
           getsockopt(fd, SOL_SOCKET, SO_PEERCRED, out, &n) == 0;
}
