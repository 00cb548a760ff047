#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/base64.h"
#include "base/own.h"
#include "channel/e2b/rpc.h"
#include "channel/gate.h"

/* clang-format off */
const struct http_route e2b_routes[] = {
    { "GET",  "/health",                                 HTTP_BODY_NONE,   e2b_health },
    { "GET",  "/metrics",                                HTTP_BODY_NONE,   e2b_metrics },
    { "GET",  "/envs",                                   HTTP_BODY_NONE,   e2b_envs },
    { "POST", "/init",                                   HTTP_BODY_JSON,   e2b_init },
    { "GET",  "/files",                                  HTTP_BODY_NONE,   e2b_files_get },
    { "POST", "/files",                                  HTTP_BODY_STREAM, e2b_files_post },
    { "POST", "/files/compose",                          HTTP_BODY_JSON,   e2b_files_compose },
    { "POST", "/process.Process/List",                   HTTP_BODY_JSON,   e2b_list },
    { "POST", "/process.Process/Start",                  HTTP_BODY_STREAM, e2b_start },
    { "POST", "/process.Process/Connect",                HTTP_BODY_STREAM, e2b_connect },
    { "POST", "/process.Process/Update",                 HTTP_BODY_JSON,   e2b_update },
    { "POST", "/process.Process/SendInput",              HTTP_BODY_JSON,   e2b_send_input },
    { "POST", "/process.Process/StreamInput",            HTTP_BODY_STREAM, e2b_stream_input },
    { "POST", "/process.Process/CloseStdin",             HTTP_BODY_JSON,   e2b_close_stdin },
    { "POST", "/process.Process/SendSignal",             HTTP_BODY_JSON,   e2b_send_signal },
    { "POST", "/filesystem.Filesystem/Stat",             HTTP_BODY_JSON,   e2b_stat },
    { "POST", "/filesystem.Filesystem/MakeDir",          HTTP_BODY_JSON,   e2b_make_dir },
    { "POST", "/filesystem.Filesystem/Move",             HTTP_BODY_JSON,   e2b_move },
    { "POST", "/filesystem.Filesystem/ListDir",          HTTP_BODY_JSON,   e2b_list_dir },
    { "POST", "/filesystem.Filesystem/Remove",           HTTP_BODY_JSON,   e2b_remove },
    { "POST", "/filesystem.Filesystem/WatchDir",         HTTP_BODY_STREAM, e2b_watch_dir },
    { "POST", "/filesystem.Filesystem/CreateWatcher",    HTTP_BODY_JSON,   e2b_create_watcher },
    { "POST", "/filesystem.Filesystem/GetWatcherEvents", HTTP_BODY_JSON,   e2b_watcher_events },
    { "POST", "/filesystem.Filesystem/RemoveWatcher",    HTTP_BODY_JSON,   e2b_remove_watcher },
};
/* clang-format on */
const size_t e2b_nroutes = sizeof e2b_routes / sizeof e2b_routes[0];

/* --- errors ----------------------------------------------------------------------------------- */

void e2b_http_fail(struct http_exchange *x, int status, const char *fmt, ...) {
    char words[1024], buf[6 * sizeof words + 64];
    struct text t = TEXT(buf);
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(words, sizeof words, fmt, ap);
    va_end(ap);
    text_add(&t, "{\"code\":%d,\"message\":", status);
    text_json(&t, words, strlen(words));
    text_add(&t, "}\n");
    http_answer(x, status, "application/json; charset=utf-8", t.buf, t.len);
}

static bool starts_with(struct slice s, const char *prefix) {
    size_t n = strlen(prefix);
    return s.n >= n && memcmp(s.s, prefix, n) == 0;
}

/* Of a method, and not of what stands before all methods: who asks. */
static bool is_rpc(const struct http_exchange *x) {
    return starts_with(x->head.path, "/process.Process/") ||
           starts_with(x->head.path, "/filesystem.Filesystem/");
}

/* A body that is no JSON may not have been meant as such. */
static void refuse_rpc(struct http_exchange *x, int status, const char *message) {
    bool unary = x->route && x->route->body == HTTP_BODY_JSON;
    if (status == 413)
        e2b_fail(x, E2B_EXHAUSTED, "%s", message);
    else if (status == 503)
        e2b_fail(x, E2B_UNAVAILABLE, "%s", message);
    else if (!unary || e2b_speaks(x, E2B_UNARY))
        e2b_fail(x, E2B_INVALID, "%s", message);
}

void e2b_refuse(struct http_exchange *x, int status, const char *message) {
    static const char not_found[] = "404 page not found\n";
    if (status == 404)
        http_answer(x, 404, "text/plain; charset=utf-8", not_found, sizeof not_found - 1);
    else if (status == 405)
        http_answer(x, 405, NULL, NULL, 0);
    else if (is_rpc(x) && (status == 400 || status == 413 || status == 503))
        refuse_rpc(x, status, message);
    else
        e2b_http_fail(x, status, "%s", message);
}

/* --- who asks --------------------------------------------------------------------------------- */

static const struct e2b_settings *settings_of(const struct http_exchange *x) {
    return e2b_settings_in(channel_of(x)->e2b.memory);
}

const char *e2b_token(const struct http_exchange *x) {
    const struct e2b_settings *s = settings_of(x);
    return *s->token ? s->token : gate_token(x);
}

bool e2b_shows_token(const struct http_exchange *x) {
    const char *token = e2b_token(x);
    struct slice shown = http_field(&x->head, "X-Access-Token");
    return token && shown.s && gate_same(token, shown.s, shown.n);
}

/* Those that have their own rules, or none. */
static bool is_open(const struct http_exchange *x) {
    return http_is(x->head.path, "/health") || http_is(x->head.path, "/files") ||
           http_is(x->head.path, "/init") || http_is(x->head.method, "OPTIONS");
}

static bool admit_origin(struct http_exchange *x) {
    struct slice origin = http_field(&x->head, "Origin");
    http_add_field(x, "Vary", "Origin");
    if (!origin.s)
        return true;
    if (!gate_origin(x, true)) {
        e2b_refuse(x, 403, "this origin is not among those of [channel] origins");
        return false;
    }
    http_add_field(x, "Access-Control-Allow-Origin", "*");
    http_add_field(x, "Access-Control-Expose-Headers",
                   "Grpc-Status, Grpc-Message, Grpc-Status-Details-Bin, Location, Cache-Control, "
                   "X-Content-Type-Options");
    return true;
}

bool e2b_admit(struct http_exchange *x) {
    if (!admit_origin(x))
        return false;
    const char *closed = gate_closed(x);
    if (closed) {
        e2b_http_fail(x, 403, "%s", closed);
        return false;
    }
    if (is_open(x) || !e2b_token(x) || e2b_shows_token(x))
        return true;
    gate_deny(x, http_field(&x->head, "X-Access-Token").s != NULL,
              "the sandbox's access token is needed in X-Access-Token, and this is not it");
    return false;
}

/* Fetch standard, "CORS-preflight request". */
void e2b_preflight(struct http_exchange *x) {
    struct slice method = http_field(&x->head, "Access-Control-Request-Method");
    struct slice fields = http_field(&x->head, "Access-Control-Request-Headers");
    if (method.s && http_field(&x->head, "Origin").s) {
        http_add_field(x, "Access-Control-Allow-Methods", "%.*s", (int)method.n, method.s);
        if (fields.s)
            http_add_field(x, "Access-Control-Allow-Headers", "%.*s", (int)fields.n, fields.s);
        http_add_field(x, "Access-Control-Max-Age", "7200");
    }
    http_answer(x, 204, NULL, NULL, 0);
}

/* --- for whom --------------------------------------------------------------------------------- */

/* Authorization: Basic base64("USER:"), whose password nobody looks at (RFC 7617). */
static bool basic_user(const struct http_exchange *x, char out[E2B_USER_TEXT]) {
    struct slice v = http_field(&x->head, "Authorization");
    char text[4 * E2B_USER_TEXT];
    *out = '\0';
    if (!v.s || v.n < 6 || !http_is_nocase((struct slice){ v.s, 6 }, "Basic "))
        return true;
    ssize_t n = v.n - 6 < sizeof text ? base64_decode(v.s + 6, v.n - 6, text) : -1;
    const char *colon = n > 0 ? memchr(text, ':', (size_t)n) : NULL;
    size_t len = colon ? (size_t)(colon - text) : 0;
    if (!colon || len >= E2B_USER_TEXT || memchr(text, '\0', len))
        return false;
    memcpy(out, text, len);
    out[len] = '\0';
    return true;
}

static const char *default_user(const struct http_exchange *x) {
    const char *user = CONTAINER_OF(x->site, struct gate, site)->conf->user;
    return *settings_of(x)->user ? settings_of(x)->user
           : user && *user       ? user
                                 : channel_of(x)->e2b.own_user;
}

bool e2b_user(const struct http_exchange *x, const char *asked, char out[E2B_USER_TEXT]) {
    if (asked && strlen(asked) >= E2B_USER_TEXT)
        return false;
    if (asked && *asked) {
        (void)strcpy(out, asked);
        return true;
    }
    if (!basic_user(x, out))
        return false;
    if (!*out)
        (void)strcpy(out, default_user(x));
    return true;
}
