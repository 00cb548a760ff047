/* PURE: http URLs in, http answers out. RFC 3986 and RFC 9112. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "probes/parse.h"

/* What would end a request line early or change it; a URL has these percent-encoded. */
static bool url_bytes_ok(const char *url) {
    for (const char *c = url; *c; c++)
        if (!isgraph((unsigned char)*c))
            return false;
    return true;
}

/* The rest of the URL as a request target: RFC 9112 3.2.1; the fragment stays here. */
static void target_set(struct http_url *out, const char *rest) {
    (void)snprintf(out->target, sizeof out->target, "%s%.*s", *rest == '/' ? "" : "/",
                   (int)strcspn(rest, "#"), rest);
}

static int unix_url_parse(struct http_url *out, const char *rest, struct err *e) {
    const char *colon = strstr(rest, ":/");
    size_t n = colon ? (size_t)(colon - rest) : strlen(rest);
    if (rest[0] != '/')
        return err_set(e, EINVAL, "http url '%s' is not http+unix:///SOCKET[:/PATH]", rest);
    if (n >= sizeof out->socket)
        return err_set(e, EINVAL, "http socket path is longer than %d bytes", UNIX_PATH_CAP - 1);
    memcpy(out->socket, rest, n);
    out->socket[n] = '\0';
    (void)snprintf(out->host, sizeof out->host, "localhost");
    target_set(out, colon ? colon + 1 : "/");
    return 0;
}

static int tcp_url_parse(struct http_url *out, const char *rest, struct err *e) {
    size_t n = strcspn(rest, "/?#");
    if (n == 0)
        return err_set(e, EINVAL, "http url has no host: write http://HOST[:PORT]/PATH");
    if (memchr(rest, '@', n))
        return err_set(e, EINVAL, "http url has a user in it, which a probe does not send");
    if (n >= sizeof out->host)
        return err_set(e, EINVAL, "http host is longer than %zu bytes", sizeof out->host - 1);
    memcpy(out->host, rest, n);
    out->host[n] = '\0';
    target_set(out, rest + n);
    return endpoint_parse(&out->to, out->host, "http", HTTP_PORT, HOST_OR_NAME, e);
}

int http_url_parse(struct http_url *out, const char *url, struct err *e) {
    memset(out, 0, sizeof *out);
    if (!url_bytes_ok(url))
        return err_set(e, EINVAL, "http url '%s' has bytes in it that must be %%-encoded", url);
    if (strncasecmp(url, "http://", 7) == 0)
        return tcp_url_parse(out, url + 7, e);
    if (strncasecmp(url, "http+unix://", 12) == 0)
        return unix_url_parse(out, url + 12, e);
    if (strncasecmp(url, "https:", 6) == 0)
        return err_set(e, EINVAL,
                       "http url '%s': https is not spoken by probes; ask the plain port, or use "
                       "exec with a client that verifies the certificate",
                       url);
    return err_set(e, EINVAL,
                   "http url '%s' is not http://HOST[:PORT]/PATH or "
                   "http+unix:///SOCKET:/PATH",
                   url);
}

void http_answer_init(struct http_answer *a, const char *find) {
    memset(a, 0, sizeof *a);
    a->find = find;
    a->left = UINT64_MAX;
}

static int not_http(struct http_answer *a, const char *why, struct err *e) {
    a->state = HTTP_DONE;
    return err_set(e, EPROTO, "%s: '%.60s'", why, a->line);
}

/* status-line = "HTTP/1." DIGIT SP 3DIGIT [ SP reason ]: RFC 9112 4, except that the
 * blank before an empty reason may be missing, as many servers leave it out. */
static int on_status(struct http_answer *a, struct err *e) {
    const unsigned char *s = (const unsigned char *)a->line;
    bool ok = strncmp(a->line, "HTTP/1.", 7) == 0 && isdigit(s[7]) && s[8] == ' ' &&
              isdigit(s[9]) && isdigit(s[10]) && isdigit(s[11]) && (s[12] == ' ' || !s[12]);
    int status = ok ? (s[9] - '0') * 100 + (s[10] - '0') * 10 + (s[11] - '0') : 0;
    if (status < 100 || status > 599)
        return not_http(a, "the answer does not begin with an HTTP/1 status line", e);
    a->state = HTTP_HEADER;
    if (status < 200 && status != 101)
        return 0; /* interim, the final one follows: RFC 9110 15.2 */
    a->status = status;
    (void)snprintf(a->phrase, sizeof a->phrase, "%s", s[12] ? a->line + 13 : "");
    if (!a->find || status == 101 || status == 204 || status == 304)
        a->state = HTTP_DONE;
    return 0;
}

/* RFC 9112 6.3: a transfer coding counts before a length. */
static void body_begin(struct http_answer *a) {
    if (a->status == 0)
        a->state = HTTP_STATUS;
    else if (a->chunked)
        a->state = HTTP_CHUNK_SIZE;
    else
        a->state = a->left > 0 ? HTTP_BODY : HTTP_DONE;
}

static int on_header(struct http_answer *a, struct err *e) {
    if (a->line[0] == '\0') {
        body_begin(a);
        return 0;
    }
    const char *colon = strchr(a->line, ':');
    if (!colon || colon == a->line)
        return not_http(a, "a header line of the answer has no name", e);
    size_t n = (size_t)(colon - a->line);
    const char *value = colon + 1 + strspn(colon + 1, " \t");
    if (n == 17 && strncasecmp(a->line, "transfer-encoding", n) == 0 && a->status)
        a->chunked = strcasestr(value, "chunked") != NULL; /* the last coding, so the framing */
    if (n != 14 || strncasecmp(a->line, "content-length", n) != 0 || !a->status)
        return 0;
    size_t digits = strspn(value, "0123456789");
    if (digits == 0 || digits > 18 || value[digits + strspn(value + digits, " \t")] != '\0')
        return not_http(a, "the answer's length is not a number", e);
    a->left = strtoull(value, NULL, 10);
    return 0;
}

static int on_chunk_size(struct http_answer *a, struct err *e) {
    size_t digits = strspn(a->line, "0123456789abcdefABCDEF");
    if (digits == 0 || digits > 15 || !strchr("; \t", a->line[digits]))
        return not_http(a, "a chunk's size is not a number", e);
    a->left = strtoull(a->line, NULL, 16);
    a->state = a->left > 0 ? HTTP_CHUNK : HTTP_DONE; /* trailers are of no interest */
    return 0;
}

static int on_chunk_end(struct http_answer *a, struct err *e) {
    if (a->line[0] != '\0')
        return not_http(a, "a chunk is longer than its size", e);
    a->state = HTTP_CHUNK_SIZE;
    return 0;
}

/* The line in a->line is complete. */
static int on_line(struct http_answer *a, struct err *e) {
    if (a->line_len > 0 && a->line[a->line_len - 1] == '\r')
        a->line_len--;
    a->line[a->line_len] = '\0';
    a->line_len = 0;
    switch (a->state) {
    case HTTP_STATUS:
        return on_status(a, e);
    case HTTP_HEADER:
        return on_header(a, e);
    case HTTP_CHUNK_SIZE:
        return on_chunk_size(a, e);
    case HTTP_CHUNK_END:
        return on_chunk_end(a, e);
    case HTTP_BODY:
    case HTTP_CHUNK:
    case HTTP_DONE:
        break;
    }
    return 0;
}

/* Take bytes up to the end of the line; those past the room for it are dropped. */
static int take_line(struct http_answer *a, const char *bytes, size_t *n, struct err *e) {
    const char *end = memchr(bytes, '\n', *n);
    if (end)
        *n = (size_t)(end - bytes) + 1;
    size_t text = end ? *n - 1 : *n;
    size_t room = sizeof a->line - 1 - a->line_len;
    size_t keep = text < room ? text : room;
    memcpy(a->line + a->line_len, bytes, keep);
    a->line_len += keep;
    a->line[a->line_len] = '\0';
    a->head += *n;
    /* Other protocols greet and then wait for us, often without a newline. */
    size_t seen = a->line_len < 7 ? a->line_len : 7;
    if (a->state == HTTP_STATUS && memcmp(a->line, "HTTP/1.", seen) != 0)
        return not_http(a, "the answer does not begin with an HTTP/1 status line", e);
    if ((a->state == HTTP_STATUS || a->state == HTTP_HEADER) && a->head > MAX_PROBE_HEAD)
        return err_set(e, EPROTO, "the answer's head is longer than %d bytes", MAX_PROBE_HEAD);
    return end ? on_line(a, e) : 0;
}

static void take_body(struct http_answer *a, const char *bytes, size_t *n) {
    if (*n > a->left)
        *n = (size_t)a->left;
    size_t room = sizeof a->body - a->body_len;
    size_t keep = *n < room ? *n : room;
    memcpy(a->body + a->body_len, bytes, keep);
    a->body_len += keep;
    if (a->left != UINT64_MAX)
        a->left -= *n;
    if (a->left == 0)
        a->state = a->state == HTTP_CHUNK ? HTTP_CHUNK_END : HTTP_DONE;
}

int http_answer_feed(struct http_answer *a, const char *bytes, size_t n, struct err *e) {
    while (n > 0 && a->state != HTTP_DONE) {
        size_t took = n;
        int rc = 0;
        if (a->state == HTTP_BODY || a->state == HTTP_CHUNK)
            take_body(a, bytes, &took);
        else
            rc = take_line(a, bytes, &took, e);
        if (rc < 0)
            return rc;
        bytes += took;
        n -= took;
    }
    if (a->find && memmem(a->body, a->body_len, a->find, strlen(a->find)))
        a->found = true;
    if (a->found || a->body_len == sizeof a->body)
        a->state = HTTP_DONE;
    return a->state == HTTP_DONE;
}
