/* cloudflare.h — the dialect of the server inside Cloudflare's sandbox containers, which the
 * published npm package @cloudflare/sandbox speaks (0.4.1 to 0.12.10): JSON over HTTP, streams of
 * server-sent events. It only translates between HTTP and the channel's objects;
 * docs/CLOUDFLARE.md says how far it goes, and where it is meant to be better.
 */
#ifndef CHANNEL_CLOUDFLARE_CLOUDFLARE_H
#define CHANNEL_CLOUDFLARE_CLOUDFLARE_H

#include "base/str.h"
#include "channel/channel.h"
#include "http/server.h"

extern const struct http_route cf_routes[]; /* all of them */
extern const size_t cf_nroutes;

/* http_site's. Any web page may ask for a terminal's WebSocket, since those come through from
 * browsers, unless [channel] origins says which; for all else it has to be named there. */
bool cf_admit(struct http_exchange *x);
void cf_refuse(struct http_exchange *x, int status, const char *message);
void cf_preflight(struct http_exchange *x);

/* --- errors: answer.c ------------------------------------------------------------------------- */

/* Codes by which clients choose their exceptions, and the status of an answer with each. 503 is not
 * among them: clients take it for a container that is still starting, and ask again. */
#define CF_CODES(X)                                                     \
    X(CF_BACKUP_CREATE_FAILED, "BACKUP_CREATE_FAILED", 500)             \
    X(CF_BACKUP_EXPIRED, "BACKUP_EXPIRED", 400)                         \
    X(CF_BACKUP_NOT_FOUND, "BACKUP_NOT_FOUND", 404)                     \
    X(CF_BACKUP_RESTORE_FAILED, "BACKUP_RESTORE_FAILED", 500)           \
    X(CF_COMMAND_EXECUTION_ERROR, "COMMAND_EXECUTION_ERROR", 500)       \
    X(CF_COMMAND_NOT_FOUND, "COMMAND_NOT_FOUND", 404)                   \
    X(CF_COMMAND_PERMISSION_DENIED, "COMMAND_PERMISSION_DENIED", 403)   \
    X(CF_CONTEXT_NOT_FOUND, "CONTEXT_NOT_FOUND", 404)                   \
    X(CF_FILESYSTEM_ERROR, "FILESYSTEM_ERROR", 500)                     \
    X(CF_FILE_EXISTS, "FILE_EXISTS", 409)                               \
    X(CF_FILE_NOT_FOUND, "FILE_NOT_FOUND", 404)                         \
    X(CF_FILE_TOO_LARGE, "FILE_TOO_LARGE", 413)                         \
    X(CF_GIT_AUTH_FAILED, "GIT_AUTH_FAILED", 401)                       \
    X(CF_GIT_BRANCH_NOT_FOUND, "GIT_BRANCH_NOT_FOUND", 404)             \
    X(CF_GIT_CLONE_FAILED, "GIT_CLONE_FAILED", 500)                     \
    X(CF_GIT_NETWORK_ERROR, "GIT_NETWORK_ERROR", 502)                   \
    X(CF_GIT_OPERATION_FAILED, "GIT_OPERATION_FAILED", 500)             \
    X(CF_GIT_REPOSITORY_NOT_FOUND, "GIT_REPOSITORY_NOT_FOUND", 404)     \
    X(CF_INTERNAL_ERROR, "INTERNAL_ERROR", 500)                         \
    X(CF_INVALID_BACKUP_CONFIG, "INVALID_BACKUP_CONFIG", 400)           \
    X(CF_INVALID_COMMAND, "INVALID_COMMAND", 400)                       \
    X(CF_INVALID_GIT_URL, "INVALID_GIT_URL", 400)                       \
    X(CF_INVALID_PORT, "INVALID_PORT", 400)                             \
    X(CF_IS_DIRECTORY, "IS_DIRECTORY", 400)                             \
    X(CF_JAVASCRIPT_NOT_AVAILABLE, "JAVASCRIPT_NOT_AVAILABLE", 501)     \
    X(CF_NAME_TOO_LONG, "NAME_TOO_LONG", 400)                           \
    X(CF_NOT_DIRECTORY, "NOT_DIRECTORY", 400)                           \
    X(CF_PERMISSION_DENIED, "PERMISSION_DENIED", 403)                   \
    X(CF_PORT_ALREADY_EXPOSED, "PORT_ALREADY_EXPOSED", 409)             \
    X(CF_PORT_NOT_EXPOSED, "PORT_NOT_EXPOSED", 404)                     \
    X(CF_PROCESS_ERROR, "PROCESS_ERROR", 500)                           \
    X(CF_PROCESS_NOT_FOUND, "PROCESS_NOT_FOUND", 404)                   \
    X(CF_PROCESS_PERMISSION_DENIED, "PROCESS_PERMISSION_DENIED", 403)   \
    X(CF_PYTHON_NOT_AVAILABLE, "PYTHON_NOT_AVAILABLE", 501)             \
    X(CF_READ_ONLY, "READ_ONLY", 403)                                   \
    X(CF_RESOURCE_BUSY, "RESOURCE_BUSY", 409)                           \
    X(CF_SECURITY_VALIDATION_FAILED, "SECURITY_VALIDATION_FAILED", 500) \
    X(CF_SERVICE_NOT_RESPONDING, "SERVICE_NOT_RESPONDING", 502)         \
    X(CF_SESSION_ALREADY_EXISTS, "SESSION_ALREADY_EXISTS", 409)         \
    X(CF_SESSION_DESTROYED, "SESSION_DESTROYED", 410)                   \
    X(CF_SESSION_TERMINATED, "SESSION_TERMINATED", 410)                 \
    X(CF_STREAM_START_ERROR, "STREAM_START_ERROR", 500)                 \
    X(CF_UNKNOWN_ERROR, "UNKNOWN_ERROR", 500)                           \
    X(CF_VALIDATION_FAILED, "VALIDATION_FAILED", 400)                   \
    X(CF_WATCH_NOT_FOUND, "WATCH_NOT_FOUND", 404)
#define CF_CODE_ENUM(id, text, status) id,
enum cf_code { CF_CODES(CF_CODE_ENUM) CF_NCODES };
#undef CF_CODE_ENUM
const char *cf_code_text(enum cf_code code);
int cf_code_status(enum cf_code code);

enum {
    CF_TEXT = 64 << 10,  /* bytes of an answer that echoes a few paths, escaped */
    CF_ERROR = 32 << 10, /* bytes of an error's context that echoes one */
};

struct cf_error {
    enum cf_code code;
    int status;            /* 0: the code's */
    const char *operation; /* such as file.read; NULL: none */
    const char *context;   /* members of a JSON object, as cf_put() makes them; NULL: none */
};
/* {"code","message","context","operation","httpStatus","timestamp"} */
__attribute__((format(printf, 3, 4))) void cf_error(struct http_exchange *x,
                                                    const struct cf_error *e, const char *fmt, ...);
/* The same with a code and its context only. */
__attribute__((format(printf, 4, 5))) void cf_fail(struct http_exchange *x, enum cf_code code,
                                                   const struct text *context, const char *fmt,
                                                   ...);
/* "out of memory for WHAT" */
void cf_no_memory(struct http_exchange *x, const char *what);

/* --- answers: answer.c ------------------------------------------------------------------------ */

/* Members of a JSON object, one after the other: "NAME":VALUE, with a comma where that
 * is needed. */
void cf_put(struct text *t, const char *name, const char *value); /* NULL: null */
void cf_put_bytes(struct text *t, const char *name, const char *bytes, size_t n);
void cf_put_number(struct text *t, const char *name, int64_t value);
void cf_put_flag(struct text *t, const char *name, bool value);
void cf_put_time(struct text *t, const char *name, int64_t unix_ms);
/* ...,"timestamp":"2026-01-02T03:04:05.678Z": now. */
void cf_put_now(struct text *t);
/* A comma, if what stands before needs one. */
void cf_comma(struct text *t);

/* 200 with {"success":true,MEMBERS,"timestamp":...}; NULL: no members. 500 when they were cut. */
void cf_ok(struct http_exchange *x, const struct text *members);
/* 200 with this document. */
void cf_document(struct http_exchange *x, const struct text *document);

int64_t cf_unix_ms(void);

/* --- requests: request.c ---------------------------------------------------------------------- */

/* The body, which has to be an object. NULL, and it has been answered, as a body that is no JSON.
 */
yyjson_val *cf_body(struct http_exchange *x, yyjson_val *body);

/* Members of the body (NULL: there is none). A text; NULL: absent, or no text. It ends at its first
 * NUL; cf_bytes() has all of it. */
const char *cf_text(yyjson_val *body, const char *name);
struct slice cf_bytes(yyjson_val *body, const char *name);
bool cf_flag(yyjson_val *body, const char *name, bool otherwise);
/* Whole part of a number within min and max, else the nearest of them; `otherwise`: no number. */
int64_t cf_number(yyjson_val *body, const char *name, int64_t min, int64_t max, int64_t otherwise);

/* A map of variables as NAME=value, NULL-terminated, in one block of memory, to be freed; those
 * that are null are left out. NULL, and it has been answered: no map, no variable's name, no text;
 * and `least` is put before them all. */
const char **cf_env(struct http_exchange *x, yyjson_val *map, const char *const *least);
/* Of the box's own; NULL. */
const char *cf_env_value(const struct channel *ch, const char *name);

enum { CF_SESSION_TEXT = 256 }; /* bytes of a session's id, NUL included; 400 */
#define CF_DEFAULT_SESSION "default"
#define CF_NO_SESSION      "__DISABLE_SESSION__" /* a shell of its own for the one command */

/* The id of the request's session: body.sessionId, Authorization: Bearer (where that is not the
 * channel's token), X-Session-Id, ?session=, ?sessionId=, else "default". False, and it has been
 * answered: it is too long, or blank. */
bool cf_session_id(struct http_exchange *x, yyjson_val *body, char out[CF_SESSION_TEXT]);
/* May it be one? False, and it has been answered. */
bool cf_session_name(struct http_exchange *x, struct slice id, char out[CF_SESSION_TEXT]);

/* --- routes ----------------------------------------------------------------------------------- */

/* misc.c */
void cf_root(struct http_exchange *x, yyjson_val *body);
void cf_ping(struct http_exchange *x, yyjson_val *body);
void cf_version(struct http_exchange *x, yyjson_val *body);
void cf_commands(struct http_exchange *x, yyjson_val *body);

/* exec.c, stream.c */
void cf_execute(struct http_exchange *x, yyjson_val *body);
void cf_execute_stream(struct http_exchange *x, yyjson_val *body);
void cf_process_start(struct http_exchange *x, yyjson_val *body);
void cf_process_stream(struct http_exchange *x, yyjson_val *body);

/* process.c, kill.c */
void cf_process_list(struct http_exchange *x, yyjson_val *body);
void cf_process_get(struct http_exchange *x, yyjson_val *body);
void cf_process_logs(struct http_exchange *x, yyjson_val *body);
void cf_process_kill(struct http_exchange *x, yyjson_val *body);
void cf_process_kill_all(struct http_exchange *x, yyjson_val *body);

/* ports.c */
void cf_port_watch(struct http_exchange *x, yyjson_val *body);
void cf_expose_port(struct http_exchange *x, yyjson_val *body);
void cf_exposed_ports(struct http_exchange *x, yyjson_val *body);
void cf_unexpose_port(struct http_exchange *x, yyjson_val *body);

/* absent.c */
void cf_interpreter_health(struct http_exchange *x, yyjson_val *body);
void cf_contexts_create(struct http_exchange *x, yyjson_val *body);
void cf_contexts_list(struct http_exchange *x, yyjson_val *body);
void cf_contexts_delete(struct http_exchange *x, yyjson_val *body);
void cf_execute_code(struct http_exchange *x, yyjson_val *body);
void cf_rpc(struct http_exchange *x, yyjson_val *body);
void cf_desktop(struct http_exchange *x, yyjson_val *body);
void cf_upload_parts(struct http_exchange *x, yyjson_val *body);

/* session.c */
void cf_session_create(struct http_exchange *x, yyjson_val *body);
void cf_session_list(struct http_exchange *x, yyjson_val *body);
void cf_session_delete(struct http_exchange *x, yyjson_val *body);

#endif
