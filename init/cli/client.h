/* client.h — asking a running pinnace: one connection, one request.
 *
 *     AUTO_CLIENT struct client *c = client_open(a->host, deadline, &e);
 *     if (!c || client_ask(c, &(struct http_request){ .method = "GET", .target = "/x" }, &e) < 0 ||
 *         client_check(c, &e) < 0)
 *         return cli_fail(&e);
 */
#ifndef CLI_CLIENT_H
#define CLI_CLIENT_H

#include <yyjson.h>

#include "base/str.h"
#include "cli/host.h"
#include "http/client.h"

enum { ANSWER_S = 30, TARGET_TEXT = MAX_HTTP_LINE };

struct client {
    struct host host;
    int fd;          /* owned */
    char *fields;    /* of the request: Authorization, and what was asked for; owned */
    char reason[24]; /* client_check(): why a job cannot be started; "" */
    struct http_client http;
};

/* `given`: --host or NULL. NULL with `e`; see host_dial(). The deadline is for connecting and for
 * all that follows; .http.deadline may be moved. */
struct client *client_open(const char *given, instant deadline, struct err *e);
void client_close(struct client **c);
#define AUTO_CLIENT __attribute__((cleanup(client_close)))

/* Send, with a token where there is one ($PINNACE_TOKEN, $PINNACE_TOKEN_FILE), and take the head.
 * 0 whatever the status is. */
int client_ask(struct client *c, const struct http_request *r, struct err *e);

/* The same for a POST of JSON; `json` may be NULL. */
int client_post(struct client *c, const char *target, const char *json, struct err *e);

/* 0 for an answer of status 2xx or 101. Else the error that the body tells, with an errno that
 * stands for the status: EACCES 401 and 403, ESRCH 404, ... */
int client_check(struct client *c, struct err *e);

/* A whole exchange in JSON, client_soon(): GET, or with `json` (may be "") a POST. The answer's
 * document; for one without a body an empty object. NULL with `e`. */
yyjson_doc *client_call(const char *host, const char *target, const char *json, struct err *e);

/* GET. As text into *out (malloc'd, NUL-terminated); the status, which is 2xx or 503; or -errno. */
int client_text(const char *host, const char *target, instant deadline, char **out, struct err *e);

/* "&key=value" ("?" for the first), percent-encoded; or "/value" where key is NULL. */
void target_add(struct text *t, const char *key, const char *value);

/* ROUTE?path=PATH&user=USER; user may be NULL. */
void target_path(struct text *t, const char *route, const char *path, const char *user);

/* ANSWER_S from now. */
instant client_soon(void);

#endif
