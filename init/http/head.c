/* PURE: heads of HTTP/1.1 messages (RFC 9112, RFC 9110). */
#include "http/head.h"

#include <string.h>
#include <strings.h>

#include "http/private.h"

_Static_assert(MAX_HTTP_HEAD <= UINT16_MAX, "offsets into a head have 16 bits");
_Static_assert(MAX_HTTP_LINE < MAX_HTTP_HEAD, "a first line that is too long is seen first");

/* --- where it ends ------------------------------------------------------------------------- */

/* s->at is a line feed. 0: a line is over, > 0: so is the head; < 0: refused. */
static int end_line(struct http_scan *s, const char *bytes) {
    bool first = s->line == 0;
    if (first && s->at >= MAX_HTTP_LINE)
        return -414;
    if (s->at == 0 || bytes[s->at - 1] != '\r')
        return -400; /* bare LF (RFC 9112 2.2) */
    if (s->at == s->line + 1)
        return first ? -400 : (int)s->at + 1;
    if (!first && ++s->fields > MAX_HTTP_FIELDS)
        return -431;
    s->line = ++s->at;
    return 0;
}

int http_scan(struct http_scan *s, const char *bytes, size_t n) {
    size_t most = n < MAX_HTTP_HEAD ? n : MAX_HTTP_HEAD;
    while (s->at < most) {
        const char *lf = memchr(bytes + s->at, '\n', most - s->at);
        s->at = lf ? (size_t)(lf - bytes) : most;
        int rc = lf ? end_line(s, bytes) : 0;
        if (rc != 0)
            return rc;
    }
    if (s->line == 0 && most >= MAX_HTTP_LINE)
        return -414;
    return most == MAX_HTTP_HEAD ? -431 : 0;
}

/* --- bytes and pieces ---------------------------------------------------------------------- */

static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static bool is_alnum(char c) {
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
static bool is_blank(char c) { return c == ' ' || c == '\t'; }
static bool is_one_of(char c, const char *set) { return c != '\0' && strchr(set, c) != NULL; }

bool http_is_tchar(char c) { return is_alnum(c) || is_one_of(c, "!#$%&'*+-.^_`|~"); }
bool http_is_text(char c) { return c == '\t' || ((unsigned char)c >= ' ' && c != 0x7f); }

int http_hex(char c) {
    if (is_digit(c))
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool http_take_until(struct slice *rest, char c, struct slice *piece) {
    const char *at = memchr(rest->s, c, rest->n);
    *piece = (struct slice){ rest->s, at ? (size_t)(at - rest->s) : rest->n };
    size_t used = piece->n + (at != NULL);
    *rest = (struct slice){ rest->s + used, rest->n - used };
    return at != NULL;
}

static bool all(struct slice s, bool (*good)(char)) {
    for (size_t i = 0; i < s.n; i++)
        if (!good(s.s[i]))
            return false;
    return true;
}
static bool is_token(struct slice s) { return s.n > 0 && all(s, http_is_tchar); }

static struct slice trim(struct slice s) {
    for (; s.n && is_blank(s.s[0]); s.n--)
        s.s++;
    while (s.n && is_blank(s.s[s.n - 1]))
        s.n--;
    return s;
}

bool http_is(struct slice s, const char *text) {
    return s.s && s.n == strlen(text) && memcmp(s.s, text, s.n) == 0;
}

bool http_is_nocase(struct slice s, const char *text) {
    return s.s && s.n == strlen(text) && strncasecmp(s.s, text, s.n) == 0;
}

/* --- fields -------------------------------------------------------------------------------- */

static struct slice value_of(const struct http_head *h, size_t i) {
    return (struct slice){ h->bytes + h->fields[i].value, h->fields[i].value_len };
}

/* The index of the next field of this name, from `i` on; nfields when there is none. */
static size_t find(const struct http_head *h, const char *name, size_t i) {
    for (; i < h->nfields; i++) {
        const struct http_field *f = &h->fields[i];
        if (http_is_nocase((struct slice){ h->bytes + f->name, f->name_len }, name))
            break;
    }
    return i;
}

struct slice http_field(const struct http_head *h, const char *name) {
    size_t i = find(h, name, 0);
    return i < h->nfields ? value_of(h, i) : (struct slice){ 0 };
}

size_t http_count(const struct http_head *h, const char *name) {
    size_t n = 0;
    for (size_t i = find(h, name, 0); i < h->nfields; i = find(h, name, i + 1))
        n++;
    return n;
}

bool http_lists(const struct http_head *h, const char *name, const char *token) {
    for (size_t i = find(h, name, 0); i < h->nfields; i = find(h, name, i + 1)) {
        struct slice rest = value_of(h, i), item, word;
        bool more;
        do {
            more = http_take_until(&rest, ',', &item);
            (void)http_take_until(&item, ';', &word);
            if (http_is_nocase(trim(word), token))
                return true;
        } while (more);
    }
    return false;
}

/* A name that is no token is also what a blank before the colon and obs-fold look like. */
static int take_field(struct http_head *h, struct slice line) {
    struct slice name, value = line;
    if (!http_take_until(&value, ':', &name) || !is_token(name))
        return -400;
    value = trim(value);
    if (!all(value, http_is_text))
        return -400;
    h->fields[h->nfields++] = (struct http_field){
        .name = (uint16_t)(name.s - h->bytes),
        .name_len = (uint16_t)name.n,
        .value = (uint16_t)(value.s - h->bytes),
        .value_len = (uint16_t)value.n,
    };
    return 0;
}

/* --- first lines --------------------------------------------------------------------------- */

static int take_version(struct http_head *h, struct slice v) {
    if (v.n != 8 || memcmp(v.s, "HTTP/", 5) != 0 || !is_digit(v.s[5]) || v.s[6] != '.' ||
        !is_digit(v.s[7]))
        return -400;
    if (v.s[5] != '1' || v.s[7] > '1')
        return -505;
    h->minor = v.s[7] - '0';
    return 0;
}

static bool in_name(char c) { return is_alnum(c) || is_one_of(c, "-._~%!$&'()*+;="); }
static bool in_literal(char c) { return http_hex(c) >= 0 || c == ':' || c == '.'; }

/* Host, [":" port] or nothing (RFC 9110 7.2, RFC 3986 3.2.2). No user, which RFC 9110 4.2.4
 * calls an error, and no comma, which two Hosts that somebody has joined would have. */
static bool is_host(struct slice s) {
    bool literal = s.n > 0 && s.s[0] == '[';
    size_t i = literal;
    while (i < s.n && (literal ? in_literal : in_name)(s.s[i]))
        i++;
    if (literal && (i == 1 || i == s.n || s.s[i++] != ']'))
        return false;
    return i == s.n || (s.s[i] == ':' && all((struct slice){ s.s + i + 1, s.n - i - 1 }, is_digit));
}

/* The "host:port" of "http://host:port/path"; .s NULL in a target of another form. */
static struct slice authority_of(struct slice target) {
    static const char scheme[] = "http://";
    size_t begin = sizeof scheme - 1, end = begin;
    if (target.n < begin || strncasecmp(target.s, scheme, begin) != 0)
        return (struct slice){ 0 };
    while (end < target.n && target.s[end] != '/' && target.s[end] != '?')
        end++;
    return (struct slice){ target.s + begin, end - begin };
}

/* No fragment either: it is not for servers, and some readers end the path at it. */
static bool in_target(char c) { return c > ' ' && c < 0x7f && c != '#'; }

static int take_target(struct http_head *h) {
    struct slice rest = h->target, authority = authority_of(rest);
    bool good = rest.n > 0 && rest.s[0] == '/';
    if (http_is(rest, "*"))
        good = http_is(h->method, "OPTIONS");
    if (authority.s) {
        good = authority.n > 0 && is_host(authority);
        rest.n -= (size_t)(authority.s + authority.n - rest.s);
        rest.s = authority.s + authority.n;
    }
    if (!good || !all(h->target, in_target))
        return -400;
    (void)http_take_until(&rest, '?', &h->path);
    h->query = rest;
    if (h->path.n == 0)
        h->path = (struct slice){ "/", 1 }; /* RFC 9110 4.2.3 */
    return 0;
}

static int take_request_line(struct http_head *h, struct slice line) {
    if (!http_take_until(&line, ' ', &h->method) || !http_take_until(&line, ' ', &h->target) ||
        !is_token(h->method))
        return -400;
    int rc = take_version(h, line);
    if (rc < 0)
        return rc;
    if (h->method.n > MAX_HTTP_METHOD || http_is(h->method, "CONNECT"))
        return -501;
    return take_target(h);
}

/* The blank after the status may be missing where there is no reason: some servers do so, and
 * nobody reads it in another way. */
static int take_status_line(struct http_head *h, struct slice line) {
    struct slice version, status;
    if (!http_take_until(&line, ' ', &version))
        return -400;
    (void)http_take_until(&line, ' ', &status);
    int rc = take_version(h, version);
    if (rc < 0)
        return rc;
    if (status.n != 3 || !all(status, is_digit) || !all(line, http_is_text))
        return -400;
    for (size_t i = 0; i < status.n; i++)
        h->status = h->status * 10 + status.s[i] - '0';
    return h->status >= 100 && h->status <= 599 ? 0 : -400;
}

/* --- heads --------------------------------------------------------------------------------- */

static struct slice next_line(struct slice *rest) {
    struct slice line;
    (void)http_take_until(rest, '\n', &line);
    line.n--; /* the CR, which http_scan() has seen before each LF */
    return line;
}

static int take_lines(struct http_head *h, const char *bytes, size_t len,
                      int (*take_first)(struct http_head *, struct slice)) {
    struct http_scan scan = { 0 };
    int rc = http_scan(&scan, bytes, len);
    *h = (struct http_head){ .bytes = bytes, .len = len };
    if (rc <= 0 || (size_t)rc != len)
        return rc < 0 ? rc : -400;
    struct slice rest = { bytes, len - 2 };
    rc = take_first(h, next_line(&rest));
    while (rc == 0 && rest.n > 0)
        rc = take_field(h, next_line(&rest));
    return rc;
}

/* A tab beside a value is a blank like any other (RFC 9110 5.6.3), but some readers take it for a
 * part of it. Nobody sends one where the length is told, but to make use of that. */
static bool has_tab(const struct http_head *h, const char *name) {
    size_t i = find(h, name, 0);
    if (i == h->nfields)
        return false;
    size_t begin = (size_t)h->fields[i].name + h->fields[i].name_len;
    struct slice rest = { h->bytes + begin, h->len - begin }, value;
    (void)http_take_until(&rest, '\r', &value);
    return memchr(value.s, '\t', value.n) != NULL;
}

/* RFC 9112 6.1 lets a server prefer one of two lengths; who disagrees on which is how requests
 * are smuggled, so only one is taken, even when both say the same. */
static int take_framing(struct http_head *h) {
    struct slice length = http_field(h, "Content-Length");
    struct slice coding = http_field(h, "Transfer-Encoding");
    if (http_count(h, "Content-Length") + http_count(h, "Transfer-Encoding") > 1 ||
        has_tab(h, "Content-Length") || has_tab(h, "Transfer-Encoding"))
        return -400;
    if (coding.s) {
        if (h->minor == 0)
            return -400;
        h->framing = HTTP_CHUNKED;
        return http_is_nocase(coding, "chunked") ? 0 : -501;
    }
    if (length.s) {
        if (length.n == 0 || length.n > MAX_HTTP_LENGTH || !all(length, is_digit))
            return -400;
        for (size_t i = 0; i < length.n; i++)
            h->length = h->length * 10 + (uint64_t)(length.s[i] - '0');
        h->framing = HTTP_LENGTH;
    }
    return 0;
}

/* What 1.0 cannot have is not seen there (RFC 9110 7.8, 10.1.1). */
static void take_connection(struct http_head *h) {
    bool modern = h->minor == 1;
    h->keep_alive = !http_lists(h, "Connection", "close") &&
                    (modern || http_lists(h, "Connection", "keep-alive")) &&
                    h->framing != HTTP_UNTIL_CLOSE;
    h->upgrade =
        modern && http_lists(h, "Connection", "upgrade") && http_field(h, "Upgrade").s != NULL;
    h->expects = modern && http_lists(h, "Expect", "100-continue");
}

/* An absolute target and a Host that says otherwise would be two answers to one question. */
static bool is_host_good(const struct http_head *h) {
    struct slice host = http_field(h, "Host"), authority = authority_of(h->target);
    if (!host.s)
        return h->minor == 0;
    if (http_count(h, "Host") != 1 || !is_host(host))
        return false;
    return !authority.s || (authority.n == host.n && strncasecmp(authority.s, host.s, host.n) == 0);
}

int http_parse_request(struct http_head *out, const char *bytes, size_t len) {
    int rc = take_lines(out, bytes, len, take_request_line);
    if (rc == 0 && !is_host_good(out))
        rc = -400;
    if (rc == 0)
        rc = take_framing(out);
    if (rc == 0)
        take_connection(out);
    return rc;
}

/* RFC 9112 6.3. 304, as an answer to HEAD, may have the length that 200 would have; 1xx and 204
 * must not announce a body (RFC 9110 8.6, RFC 9112 6.1), and some readers would wait for it. */
int http_parse_answer(struct http_head *out, const char *bytes, size_t len, bool to_head) {
    int rc = take_lines(out, bytes, len, take_status_line);
    if (rc < 0)
        return rc;
    out->framing = HTTP_UNTIL_CLOSE;
    rc = take_framing(out);
    if (rc < 0)
        return rc;
    bool never = out->status < 200 || out->status == 204;
    if (never && (out->framing == HTTP_CHUNKED || out->length > 0))
        return -400;
    if (never || to_head || out->status == 304)
        out->framing = HTTP_NO_BODY;
    take_connection(out);
    return 0;
}
