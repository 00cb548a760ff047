/* e2b.h — the dialect of E2B's in-sandbox agent, which its published client SDKs speak: Connect RPC
 * with JSON, and files over plain HTTP. It only translates between HTTP and the channel's objects;
 * docs/E2B.md says how far it goes, and where it is meant to be better.
 */
#ifndef CHANNEL_E2B_E2B_H
#define CHANNEL_E2B_E2B_H

#include "base/str.h"
#include "channel/channel.h"
#include "channel/e2b/settings.h"
#include "http/server.h"

extern const struct http_route e2b_routes[]; /* all of them */
extern const size_t e2b_nroutes;

/* http_site's: any web page may ask unless [channel] origins says which, for the SDK also runs in
 * browsers; who shows no access token may ask where none is set, as with E2B's agent. */
bool e2b_admit(struct http_exchange *x);
void e2b_refuse(struct http_exchange *x, int status, const char *message);
void e2b_preflight(struct http_exchange *x);

/* --- errors ----------------------------------------------------------------------------------- */

/* Codes of the Connect protocol and the status of a unary answer with each. */
#define E2B_CODES(X)                                \
    X(E2B_CANCELED, "canceled", 499)                \
    X(E2B_UNKNOWN, "unknown", 500)                  \
    X(E2B_INVALID, "invalid_argument", 400)         \
    X(E2B_DEADLINE, "deadline_exceeded", 504)       \
    X(E2B_NOT_FOUND, "not_found", 404)              \
    X(E2B_EXISTS, "already_exists", 409)            \
    X(E2B_DENIED, "permission_denied", 403)         \
    X(E2B_EXHAUSTED, "resource_exhausted", 429)     \
    X(E2B_PRECONDITION, "failed_precondition", 400) \
    X(E2B_UNIMPLEMENTED, "unimplemented", 501)      \
    X(E2B_INTERNAL, "internal", 500)                \
    X(E2B_UNAVAILABLE, "unavailable", 503)          \
    X(E2B_UNAUTHENTICATED, "unauthenticated", 401)
#define E2B_CODE_ENUM(id, text, status) id,
enum e2b_code { E2B_CODES(E2B_CODE_ENUM) E2B_NCODES };
#undef E2B_CODE_ENUM
const char *e2b_code_text(enum e2b_code code);
int e2b_code_status(enum e2b_code code);

/* Of a unary RPC: {"code":"not_found","message":...}. */
__attribute__((format(printf, 3, 4))) void e2b_fail(struct http_exchange *x, enum e2b_code code,
                                                    const char *fmt, ...);
/* Of a plain HTTP route: {"code":404,"message":...}. */
__attribute__((format(printf, 3, 4))) void e2b_http_fail(struct http_exchange *x, int status,
                                                         const char *fmt, ...);

/* --- whose request it is ---------------------------------------------------------------------- */

enum { E2B_USER_TEXT = MAX_CHANNEL_USER };

/* The access token in force: POST /init's, else [channel] token; NULL: none is needed. */
const char *e2b_token(const struct http_exchange *x);
/* Does the request show it in X-Access-Token? */
bool e2b_shows_token(const struct http_exchange *x);

/* Whom the request is made for: `asked` (may be NULL or ""), else Authorization: Basic, else the
 * default user, else whom pinnace runs as; into out. Whether there is one of this name is for those
 * to say who become them (FILE_BAD_USER, JOB_UNKNOWN_USER). False: no user's name, or too long. */
bool e2b_user(const struct http_exchange *x, const char *asked, char out[E2B_USER_TEXT]);

/* --- among the files of e2b/ ------------------------------------------------------------------ */

/* EntryInfo as JSON (filesystem.c); a file_render_entry. The entry is to be asked for with
 * file_req.xattr_prefix = E2B_XATTR_PREFIX and xattrs. */
void e2b_entry_json(const struct file_entry *e, size_t index, struct text *out);
#define E2B_XATTR_PREFIX "user.e2b."
/* A file operation for this user: as E2B's agent does it, with pinnace's own rights, and what it
 * makes is given to the user. Relative paths begin at the home; "" is the default workdir, if there
 * is one. */
void e2b_file_req(const struct http_exchange *x, struct file_req *q, enum file_op op,
                  const char *path, const char *user);

/* content.c: GET and POST /files, POST /files/compose */
void e2b_files_get(struct http_exchange *x, yyjson_val *body);
void e2b_files_post(struct http_exchange *x, yyjson_val *body);
void e2b_files_compose(struct http_exchange *x, yyjson_val *body);

/* box.c: GET /health, /metrics and /envs, POST /init */
void e2b_health(struct http_exchange *x, yyjson_val *body);
void e2b_metrics(struct http_exchange *x, yyjson_val *body);
void e2b_envs(struct http_exchange *x, yyjson_val *body);
void e2b_init(struct http_exchange *x, yyjson_val *body);

/* process.c: process.Process but for its streams */
void e2b_list(struct http_exchange *x, yyjson_val *body);
void e2b_update(struct http_exchange *x, yyjson_val *body);
void e2b_send_input(struct http_exchange *x, yyjson_val *body);
void e2b_stream_input(struct http_exchange *x, yyjson_val *body);
void e2b_close_stdin(struct http_exchange *x, yyjson_val *body);
void e2b_send_signal(struct http_exchange *x, yyjson_val *body);

/* events.c: its server streams */
void e2b_start(struct http_exchange *x, yyjson_val *body);
void e2b_connect(struct http_exchange *x, yyjson_val *body);

/* filesystem.c: filesystem.Filesystem but for watches */
void e2b_stat(struct http_exchange *x, yyjson_val *body);
void e2b_make_dir(struct http_exchange *x, yyjson_val *body);
void e2b_move(struct http_exchange *x, yyjson_val *body);
void e2b_list_dir(struct http_exchange *x, yyjson_val *body);
void e2b_remove(struct http_exchange *x, yyjson_val *body);

/* watch.c */
void e2b_watch_dir(struct http_exchange *x, yyjson_val *body);
void e2b_create_watcher(struct http_exchange *x, yyjson_val *body);
void e2b_watcher_events(struct http_exchange *x, yyjson_val *body);
void e2b_remove_watcher(struct http_exchange *x, yyjson_val *body);

#endif
