#include <string.h>

#include "channel/cloudflare/backup.h"
#include "channel/cloudflare/cloudflare.h"
#include "channel/cloudflare/files.h"
#include "channel/cloudflare/git.h"
#include "channel/cloudflare/multiplex.h"
#include "channel/cloudflare/terminal.h"
#include "channel/cloudflare/watch.h"
#include "channel/gate.h"

/* A body is of no account, but it may be there: some clients send one with everything. */
#define UNREAD HTTP_BODY_STREAM

/* clang-format off */
const struct http_route cf_routes[] = {
    { "GET",    "/",                        UNREAD, cf_root },
    { "GET",    "/api/ping",                UNREAD, cf_ping },
    { "GET",    "/api/version",             UNREAD, cf_version },
    { "GET",    "/api/commands",            UNREAD, cf_commands },
    { "POST",   "/api/session/create",      HTTP_BODY_JSON, cf_session_create },
    { "GET",    "/api/session/list",        UNREAD, cf_session_list },
    { "POST",   "/api/session/delete",      HTTP_BODY_JSON, cf_session_delete },
    { "POST",   "/api/execute",             HTTP_BODY_STREAM, cf_execute },
    { "POST",   "/api/execute/stream",      HTTP_BODY_STREAM, cf_execute_stream },
    { "POST",   "/api/process/start",       HTTP_BODY_STREAM, cf_process_start },
    { "GET",    "/api/process/list",        UNREAD, cf_process_list },
    { "DELETE", "/api/process/kill-all",    UNREAD, cf_process_kill_all },
    { "GET",    "/api/process/{id}",        UNREAD, cf_process_get },
    { "DELETE", "/api/process/{id}",        UNREAD, cf_process_kill },
    { "GET",    "/api/process/{id}/logs",   UNREAD, cf_process_logs },
    { "GET",    "/api/process/{id}/stream", UNREAD, cf_process_stream },
    { "POST",   "/api/port-watch",          HTTP_BODY_JSON, cf_port_watch },
    { "POST",   "/api/expose-port",         HTTP_BODY_JSON, cf_expose_port },
    { "GET",    "/api/exposed-ports",       UNREAD, cf_exposed_ports },
    { "DELETE", "/api/exposed-ports/{port}", UNREAD, cf_unexpose_port },
    { "GET",    "/api/interpreter/health",  UNREAD, cf_interpreter_health },
    { "POST",   "/api/contexts",            HTTP_BODY_JSON, cf_contexts_create },
    { "GET",    "/api/contexts",            UNREAD, cf_contexts_list },
    { "DELETE", "/api/contexts/{id}",       UNREAD, cf_contexts_delete },
    { "POST",   "/api/execute/code",        HTTP_BODY_JSON, cf_execute_code },
    { "POST",   "/api/backup/upload-parts", HTTP_BODY_JSON, cf_upload_parts },
    { "GET",    "/rpc",                     HTTP_BODY_NONE, cf_rpc },
    { "GET",    "/api/desktop/{what}",      UNREAD, cf_desktop },
    { "POST",   "/api/desktop/{what}",      HTTP_BODY_JSON, cf_desktop },
    { "GET",    "/api/desktop/{on}/{what}", UNREAD, cf_desktop },
    { "POST",   "/api/desktop/{on}/{what}", HTTP_BODY_JSON, cf_desktop },
    { "POST",   "/api/read",                HTTP_BODY_JSON, cf_read },
    { "POST",   "/api/read/stream",         HTTP_BODY_JSON, cf_read_stream },
    { "POST",   "/api/write",               HTTP_BODY_STREAM, cf_write },
    { "POST",   "/api/mkdir",               HTTP_BODY_JSON, cf_mkdir },
    { "POST",   "/api/rename",              HTTP_BODY_JSON, cf_rename },
    { "POST",   "/api/move",                HTTP_BODY_JSON, cf_move },
    { "POST",   "/api/delete",              HTTP_BODY_JSON, cf_delete },
    { "POST",   "/api/exists",              HTTP_BODY_JSON, cf_exists },
    { "POST",   "/api/list-files",          HTTP_BODY_JSON, cf_list_files },
    { "POST",   "/api/git/checkout",        HTTP_BODY_JSON, cf_git_checkout },
    { "POST",   "/api/backup/create",       HTTP_BODY_JSON, cf_backup_create },
    { "POST",   "/api/backup/restore",      HTTP_BODY_JSON, cf_backup_restore },
    { "POST",   "/api/watch",               HTTP_BODY_JSON, cf_watch },
    { "POST",   "/api/watch/check",         HTTP_BODY_JSON, cf_watch_check },
    { "GET",    "/ws",                      HTTP_BODY_NONE, cf_multiplex },
    { "GET",    "/ws/pty",                  HTTP_BODY_NONE, cf_terminal },
    { "GET",    "/api/ws",                  HTTP_BODY_NONE, cf_multiplex },
};
/* clang-format on */
const size_t cf_nroutes = sizeof cf_routes / sizeof cf_routes[0];

/* --- refusals --------------------------------------------------------------------------------- */

static bool is_below(const struct http_exchange *x, const char *path) {
    size_t n = strlen(path);
    return x->head.path.n >= n && memcmp(x->head.path.s, path, n) == 0;
}

/* Of a route that has one: what is no JSON object. */
static void refuse_body(struct http_exchange *x, const char *message) {
    if (x->route->open == cf_session_create)
        cf_session_create(x, NULL); /* the defaults for all of it */
    else if (x->route->open == cf_session_delete || is_below(x, "/api/watch"))
        cf_fail(x, CF_VALIDATION_FAILED, NULL, "Request validation failed: %s", message);
    else
        cf_fail(x, CF_INTERNAL_ERROR, NULL, "Failed to parse request body: %s", message);
}

/* 503 would make clients wait and ask again for minutes. */
void cf_refuse(struct http_exchange *x, int status, const char *message) {
    if (status == 404 || status == 405)
        cf_error(x, &(struct cf_error){ .code = CF_UNKNOWN_ERROR, .status = 404 },
                 "The requested endpoint was not found");
    else if (status == 413)
        http_answer(x, 413, NULL, NULL, 0);
    else if (status == 400 && x->route && x->route->body == HTTP_BODY_JSON)
        refuse_body(x, message);
    else if (status == 401 || status == 403)
        cf_error(x, &(struct cf_error){ .code = CF_PERMISSION_DENIED, .status = status }, "%s",
                 message);
    else if (status == 503)
        cf_fail(x, CF_INTERNAL_ERROR, NULL, "%s", message);
    else
        cf_error(x, &(struct cf_error){ .code = CF_UNKNOWN_ERROR, .status = status }, "%s",
                 message);
}

/* --- who asks --------------------------------------------------------------------------------- */

/* Who is told that any page may read the answer can only be one whose origin was admitted. */
static void add_cors(struct http_exchange *x) {
    http_add_field(x, "Access-Control-Allow-Origin", "*");
    http_add_field(x, "Access-Control-Allow-Methods", "GET, POST, PUT, DELETE, OPTIONS");
    http_add_field(x, "Access-Control-Allow-Headers",
                   "Content-Type, Authorization, X-Session-Id, X-Sandbox-Id, X-Trace-Id");
}

/* The Worker asks without one; a WebSocket for a terminal it passes on as the browser made it. */
static bool admit_origin(struct http_exchange *x) {
    bool terminal = x->head.upgrade && http_is(x->head.path, "/ws/pty");
    if (!http_field(&x->head, "Origin").s || gate_origin(x, terminal))
        return true;
    cf_refuse(x, 403, "requests from browsers are refused: [channel] origins says whose not");
    return false;
}

bool cf_admit(struct http_exchange *x) {
    add_cors(x);
    if (!admit_origin(x))
        return false;
    const char *closed = gate_closed(x);
    if (closed)
        cf_refuse(x, 403, closed);
    if (closed || http_is(x->head.method, "OPTIONS") || gate_shows_token(x))
        return !closed;
    gate_deny(x, http_field(&x->head, "Authorization").s != NULL,
              "a token is needed: Authorization: Bearer TOKEN, and this is not it");
    return false;
}

/* Without an origin it is no preflight, and no route of the package's server. */
void cf_preflight(struct http_exchange *x) {
    if (!http_field(&x->head, "Origin").s) {
        cf_refuse(x, 404, "");
        return;
    }
    http_add_field(x, "Access-Control-Max-Age", "7200");
    http_answer(x, 204, NULL, NULL, 0);
}
