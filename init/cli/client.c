#include "cli/client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "base/str.h"
#include "cli/json.h"
#include "sys/file.h"

enum {
    MAX_TOKEN = 1024,            /* bytes; an error */
    MAX_REFUSAL = 65536,         /* bytes of an error's body; without its words then */
    MAX_DOCUMENT = MAX_JSON_BODY /* bytes of a JSON answer; an error */
};

instant client_soon(void) { return instant_add(instant_now(), span_s(ANSWER_S)); }

/* --- the connection --------------------------------------------------------------------------- */

static struct client *client_open_host(const char *given, struct err *e) {
    struct client *c = malloc(sizeof *c); /* not cleared: the buffers are large */
    if (!c) {
        (void)err_set(e, ENOMEM, "out of memory");
        return NULL;
    }
    c->fd = -1;
    c->fields = NULL;
    c->reason[0] = '\0';
    if (host_find(&c->host, given, e) < 0)
        client_close(&c);
    return c;
}

struct client *client_open(const char *given, instant deadline, struct err *e) {
    struct client *c = client_open_host(given, e);
    if (!c)
        return NULL;
    c->fd = host_dial(&c->host, deadline, e);
    if (c->fd < 0)
        client_close(&c);
    else
        http_client_init(&c->http, c->fd, deadline, SPAN_NEVER);
    return c;
}

void client_close(struct client **c) {
    if (!*c)
        return;
    fd_close(&(*c)->fd);
    free((*c)->fields);
    free(*c);
    *c = NULL;
}

/* --- asking ----------------------------------------------------------------------------------- */

/* What may stand in a field's value: no control byte would end it early. */
static int check_token(const char *token, const char *from, struct err *e) {
    for (const char *s = token; *s; s++)
        if ((unsigned char)*s < 0x21 || *s == 0x7f)
            return err_set(e, EINVAL, "the token in %s has blanks or control bytes in it", from);
    if (!*token || strlen(token) > MAX_TOKEN)
        return err_set(e, EINVAL, "the token in %s has %s", from,
                       *token ? "more than 1024 bytes" : "no bytes");
    return 0;
}

/* malloc'd, or NULL for none. */
static int find_token(char **out, struct err *e) {
    const char *token = getenv("PINNACE_TOKEN"), *path = getenv("PINNACE_TOKEN_FILE");
    size_t len;
    if (token && *token) {
        *out = strdup(token);
        return *out ? check_token(*out, "PINNACE_TOKEN", e) : err_set(e, ENOMEM, "out of memory");
    }
    if (!path || !*path)
        return 0;
    if (file_read(path, 4 * MAX_TOKEN, out, &len, e) < 0)
        return err_wrap(e, "PINNACE_TOKEN_FILE");
    while (len > 0 && strchr(" \t\r\n", (*out)[len - 1]))
        (*out)[--len] = '\0';
    return check_token(*out, path, e);
}

int client_ask(struct client *c, const struct http_request *r, struct err *e) {
    AUTO_FREE char *token = NULL;
    struct http_request mine = *r;
    if (strlen(r->target) + 1 >= TARGET_TEXT) /* it may have been cut */
        return err_set(e, ENAMETOOLONG, "the path is too long to be asked for");
    int rc = find_token(&token, e);
    if (rc < 0)
        return rc;
    if (asprintf(&c->fields, "%s%s%s%s", token ? "Authorization: Bearer " : "", token ? token : "",
                 token ? "\r\n" : "", r->fields ? r->fields : "") < 0) {
        c->fields = NULL;
        return err_set(e, ENOMEM, "out of memory");
    }
    mine.fields = c->fields;
    rc = http_client_ask(&c->http, &mine, e);
    return rc < 0 ? err_wrap(e, "pinnace at %s", c->host.text) : 0;
}

static int code_of(int status) {
    static const struct {
        int status, code;
    } codes[] = { { 400, EINVAL },    { 401, EACCES }, { 403, EACCES }, { 404, ESRCH },
                  { 405, ENOSYS },    { 409, EEXIST }, { 412, ESTALE }, { 416, ERANGE },
                  { 422, ECANCELED }, { 429, EAGAIN }, { 507, ENOSPC } };
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (codes[i].status == status)
            return codes[i].code;
    return EPROTO;
}

int client_check(struct client *c, struct err *e) {
    int status = c->http.head.status;
    AUTO_FREE char *body = NULL;
    if (status == 101 || (status >= 200 && status < 300))
        return 0;
    ssize_t n = http_client_whole(&c->http, MAX_REFUSAL, &body, NULL);
    yyjson_doc *doc = n > 0 ? yyjson_read(body, (size_t)n, 0) : NULL;
    yyjson_val *error = json_get(yyjson_doc_get_root(doc), "error");
    const char *text = json_str(error, "message");
    bool had_token = c->fields && has_prefix(c->fields, "Authorization");
    (void)snprintf(c->reason, sizeof c->reason, "%s", json_str(error, "reason"));
    if (status == 401)
        (void)err_set(e, EACCES, "pinnace at %s %s", c->host.text,
                      had_token ? "does not know this token"
                                : "wants a token: set PINNACE_TOKEN or PINNACE_TOKEN_FILE");
    else if (status == 403)
        (void)err_set(e, EACCES, "pinnace at %s refuses: %s", c->host.text,
                      *text ? text : "you may not ask it");
    else if (*text)
        (void)err_set(e, code_of(status), "%s", text);
    else
        (void)err_set(e, code_of(status), "pinnace at %s answers with status %d", c->host.text,
                      status);
    yyjson_doc_free(doc);
    return -code_of(status);
}

int client_text(const char *host, const char *target, instant deadline, char **out, struct err *e) {
    AUTO_CLIENT struct client *c = client_open(host, deadline, e);
    if (!c)
        return -e->code;
    struct http_request r = { .method = "GET", .target = target };
    int rc = client_ask(c, &r, e);
    if (rc == 0 && c->http.head.status != 503)
        rc = client_check(c, e);
    ssize_t n = rc < 0 ? rc : http_client_whole(&c->http, MAX_DOCUMENT, out, e);
    return n < 0 ? (int)n : c->http.head.status;
}

int client_post(struct client *c, const char *target, const char *json, struct err *e) {
    struct http_request r = {
        .method = "POST",
        .target = target,
        .body = json,
        .length = json ? strlen(json) : 0,
        .fields = "Content-Type: application/json\r\nAccept: application/json\r\n",
    };
    return client_ask(c, &r, e);
}

yyjson_doc *client_call(const char *host, const char *target, const char *json, struct err *e) {
    AUTO_FREE char *body = NULL;
    AUTO_CLIENT struct client *c = client_open(host, client_soon(), e);
    struct http_request get = { .method = "GET", .target = target };
    if (!c || (json ? client_post(c, target, json, e) : client_ask(c, &get, e)) < 0 ||
        client_check(c, e) < 0)
        return NULL;
    ssize_t n = http_client_whole(&c->http, MAX_DOCUMENT, &body, e);
    if (n < 0)
        return NULL;
    yyjson_doc *doc = yyjson_read(n ? body : "{}", n ? (size_t)n : 2, 0);
    if (!doc)
        (void)err_set(e, EPROTO, "pinnace at %s answers with something that is not JSON",
                      c->host.text);
    return doc;
}

/* --- small things ----------------------------------------------------------------------------- */

void target_add(struct text *t, const char *key, const char *value) {
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    if (key)
        text_add(t, "%c%s=", strchr(t->buf, '?') ? '&' : '?', key);
    else
        text_add(t, "/");
    for (const char *s = value; *s; s++)
        if (strchr(plain, *s) || (key && *s == '/'))
            text_put(t, s, 1);
        else
            text_add(t, "%%%02X", (unsigned char)*s);
}

void target_path(struct text *t, const char *route, const char *path, const char *user) {
    text_add(t, "%s", route);
    target_add(t, "path", path);
    if (user)
        target_add(t, "user", user);
}
