/* http://HOST[:PORT]/PATH and http+unix:///SOCKET:/PATH — ready when the answer's status
 * is wanted and, with body~TEXT, TEXT is in the first MAX_PROBE_OUTPUT bytes of its body.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "base/str.h"
#include "probes/attempt.h"
#include "probes/kinds.h"

enum { STATUS_MIN = 100, STATUS_MAX = 599, WANT_MIN = 200, WANT_MAX = 399 };

/* "204" or "200-399". */
static int status_parse(struct probe_spec *spec, const char *text, struct err *e) {
    size_t n = strspn(text, "0123456789");
    bool range = text[n] == '-';
    const char *second = range ? text + n + 1 : text;
    size_t m = strspn(second, "0123456789");
    if (n == 3 && m == 3 && second[m] == '\0') {
        spec->status_min = (int)strtol(text, NULL, 10);
        spec->status_max = (int)strtol(second, NULL, 10);
        if (spec->status_min >= STATUS_MIN && spec->status_max <= STATUS_MAX &&
            spec->status_min <= spec->status_max)
            return 0;
    }
    return err_set(e, EINVAL, "http status '%s' is not one of %d-%d, or a range like 200-399", text,
                   STATUS_MIN, STATUS_MAX);
}

/* Options come after the URL; body~ takes the rest, blanks and all. */
static int options_parse(struct probe_spec *spec, const char *s, struct err *e) {
    for (;;) {
        s += strspn(s, " \t");
        if (*s == '\0')
            return 0;
        if (has_prefix(s, "body~")) {
            (void)snprintf(spec->body, sizeof spec->body, "%s", s + 5);
            return spec->body[0] ? 0 : err_set(e, EINVAL, "http body~ has no text to look for");
        }
        char word[64];
        size_t n = strcspn(s, " \t");
        (void)snprintf(word, sizeof word, "%.*s", (int)n, s);
        if (!has_prefix(word, "status="))
            return err_set(e, EINVAL, "http option '%s' is not one of status=200-399, body~TEXT",
                           word);
        int rc = status_parse(spec, word + 7, e);
        if (rc < 0)
            return rc;
        s += n;
    }
}

/* The whole spec may be the URL ("http://..."), or stand after the kind ("http:http://"). */
int check_http(struct probe_spec *spec, const char *given, struct err *e) {
    static const char *const schemes[] = { "http://", "http+unix://", "https://" };
    const char *url = spec->text;
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
        if (has_prefix(given, schemes[i]))
            url = given;
    size_t n = strcspn(url, " \t");
    (void)snprintf(spec->arg, sizeof spec->arg, "%.*s", (int)n, url);
    spec->status_min = WANT_MIN;
    spec->status_max = WANT_MAX;
    struct http_url parsed;
    int rc = http_url_parse(&parsed, spec->arg, e);
    return rc < 0 ? rc : options_parse(spec, url + n, e);
}

static int answer_take(int fd, struct http_answer *a, instant deadline, struct err *e) {
    char bytes[4096];
    for (;;) {
        int n = recv_some(fd, bytes, sizeof bytes, deadline);
        if (n == -ETIMEDOUT)
            return err_set(e, ETIMEDOUT,
                           a->head ? "only a part of the answer came in time"
                                   : "no answer in time");
        if (n < 0)
            return err_sys(e, -n, "receive");
        if (n == 0 && a->status != 0)
            return 0; /* the end of the stream ends the body: RFC 9112 6.3 */
        if (n == 0)
            return err_set(e, ECONNRESET, "the connection was closed before a status line came");
        int rc = http_answer_feed(a, bytes, (size_t)n, e);
        if (rc != 0)
            return rc < 0 ? rc : 0;
    }
}

int http_exchange(int fd, const char *host, const char *target, struct http_answer *a,
                  instant deadline, struct err *e) {
    char request[MAX_PROBE_SPEC + MAX_PROBE_HOST + 256];
    int n = snprintf(request, sizeof request,
                     "GET %s HTTP/1.1\r\n"
                     "Host: %s\r\n"
                     "User-Agent: pinnace\r\n"
                     "Accept: */*\r\n"
                     "Connection: close\r\n\r\n",
                     target, host);
    int rc = send_all(fd, request, (size_t)n, deadline);
    if (rc == -ETIMEDOUT)
        return err_set(e, ETIMEDOUT, "the request was not taken in time");
    if (rc < 0)
        return err_sys(e, -rc, "send");
    return answer_take(fd, a, deadline, e);
}

static int url_dial(const struct http_url *url, instant deadline, struct err *e) {
    if (url->socket[0]) {
        int fd = dial_unix(url->socket);
        return fd < 0 ? err_sys(e, -fd, "connect %s", url->socket) : fd;
    }
    struct address all[MAX_PROBE_ADDRS];
    int n = address_find(all, &url->to, deadline, e);
    return n < 0 ? n : dial_any(all, (size_t)n, false, deadline, e);
}

static int judge(const struct probe_spec *spec, const struct http_answer *a, struct err *e) {
    if (a->status < spec->status_min || a->status > spec->status_max) {
        char wanted[32];
        (void)snprintf(wanted, sizeof wanted, "%d-%d", spec->status_min, spec->status_max);
        if (spec->status_min == spec->status_max)
            wanted[3] = '\0';
        return err_set(e, EPROTO, "status %d%s%s, wanted %s", a->status, a->phrase[0] ? " " : "",
                       a->phrase, wanted);
    }
    if (spec->body[0] && !a->found)
        return err_set(e, EPROTO, "'%s' is not in the first %zu bytes of the body", spec->body,
                       a->body_len);
    return 0;
}

int probe_http(const struct probe_spec *spec, instant deadline, struct err *e) {
    struct http_url url;
    int rc = http_url_parse(&url, spec->arg, e);
    if (rc < 0)
        return rc;
    AUTO_FD int fd = url_dial(&url, deadline, e);
    if (fd < 0)
        return fd;
    struct http_answer a;
    http_answer_init(&a, spec->body[0] ? spec->body : NULL);
    rc = http_exchange(fd, url.host, url.target, &a, deadline, e);
    if (rc == 0)
        rc = judge(spec, &a, e);
    if (rc < 0)
        (void)err_wrap(e, "GET %.100s", spec->arg);
    return rc;
}
