#include "channel/request.h"

#include <string.h>
#include <strings.h>

#include "base/limits.h"

static bool is_token(const char *s, size_t n) {
    static const char extra[] = "!#$%&'*+-.^_`|~";
    for (size_t i = 0; i < n; i++) {
        bool alnum = (s[i] >= '0' && s[i] <= '9') || ((s[i] | 0x20) >= 'a' && (s[i] | 0x20) <= 'z');
        if (s[i] == '\0' || (!alnum && !strchr(extra, s[i])))
            return false;
    }
    return n > 0;
}

/* "after=17"; anything else in the query is refused. */
static int parse_query(const char *q, size_t n, struct request *out) {
    static const char key[] = "after=";
    if (n <= sizeof key - 1 || n > sizeof key - 1 + 18 || memcmp(q, key, sizeof key - 1) != 0)
        return -400;
    for (size_t i = sizeof key - 1; i < n; i++) {
        if (q[i] < '0' || q[i] > '9')
            return -400;
        out->after = out->after * 10 + (uint64_t)(q[i] - '0');
    }
    return 0;
}

static int parse_target(const char *s, size_t n, struct request *out) {
    const char *query = memchr(s, '?', n);
    size_t path = query ? (size_t)(query - s) : n;
    if (n == 0 || s[0] != '/')
        return -400;
    for (size_t i = 0; i < n; i++)
        if (s[i] <= ' ' || s[i] == 0x7f)
            return -400;
    if (path >= sizeof out->path)
        return -404; /* longer than any route */
    memcpy(out->path, s, path);
    out->path[path] = '\0';
    return query ? parse_query(query + 1, n - path - 1, out) : 0;
}

static int parse_request_line(const char *s, size_t n, struct request *out) {
    const char *sp1 = memchr(s, ' ', n);
    const char *sp2 = sp1 ? memchr(sp1 + 1, ' ', n - (size_t)(sp1 + 1 - s)) : NULL;
    if (!sp2 || !is_token(s, (size_t)(sp1 - s)))
        return -400;
    size_t method = (size_t)(sp1 - s), version = n - (size_t)(sp2 + 1 - s);
    if (version != 8 || memcmp(sp2 + 1, "HTTP/1.", 7) != 0)
        return -505;
    if (sp2[8] != '1' && sp2[8] != '0')
        return -505;
    out->head = method == 4 && memcmp(s, "HEAD", 4) == 0;
    if (!out->head && !(method == 3 && memcmp(s, "GET", 3) == 0))
        return -405;
    return parse_target(sp1 + 1, (size_t)(sp2 - sp1 - 1), out);
}

static bool name_is(const char *line, size_t name, const char *want) {
    return strlen(want) == name && strncasecmp(line, want, name) == 0;
}

struct seen {
    unsigned hosts, fields;
};

static int parse_field(const char *line, size_t n, struct seen *seen, struct request *out) {
    enum { MAX_FIELDS = 100 };
    const char *colon = memchr(line, ':', n);
    if (!colon || !is_token(line, (size_t)(colon - line)))
        return -400; /* also obs-fold, which begins with a blank */
    for (const char *p = colon; p < line + n; p++)
        if (((unsigned char)*p < ' ' && *p != '\t') || *p == 0x7f)
            return -400;
    size_t name = (size_t)(colon - line);
    if (++seen->fields > MAX_FIELDS)
        return -431;
    seen->hosts += name_is(line, name, "Host");
    out->has_origin |= name_is(line, name, "Origin");
    bool body = name_is(line, name, "Transfer-Encoding") ||
                (name_is(line, name, "Content-Length") &&
                 !(n == name + 3 && colon[1] == ' ' && colon[2] == '0'));
    return body ? -413 : 0;
}

int request_parse(const char *bytes, size_t n, struct request *out) {
    const char *end = memmem(bytes, n, "\r\n\r\n", 4);
    if (!end || end + 4 > bytes + MAX_REQUEST)
        return n >= MAX_REQUEST ? -431 : 0;
    *out = (struct request){ 0 };
    struct seen seen = { 0 };
    int rc = 0;
    for (const char *line = bytes; line < end + 2 && rc == 0;) {
        const char *eol = memmem(line, (size_t)(end + 2 - line), "\r\n", 2);
        size_t len = (size_t)(eol - line);
        if (memchr(line, '\n', len) || memchr(line, '\0', len))
            return -400;
        rc =
            line == bytes ? parse_request_line(line, len, out) : parse_field(line, len, &seen, out);
        line = eol + 2;
    }
    if (rc == 0 && seen.hosts != 1)
        return -400;
    return rc < 0 ? rc : (int)(end + 4 - bytes);
}
