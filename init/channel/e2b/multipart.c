#include "channel/e2b/multipart.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

enum state {
    PREAMBLE, /* before the first delimiter */
    DELIMITER,
    LAST_DASH, /* behind "-", which is the first half of the end */
    LINE_FEED, /* which ends the delimiter's line */
    HEAD,
    CONTENT,
    EPILOGUE,
    BAD,
};

static enum multipart_event bad(struct multipart *m, const char *why) {
    m->why = why;
    m->state = BAD;
    return MULTIPART_BAD;
}

static bool is_blank(char c) { return c == ' ' || c == '\t'; }

static struct slice take(struct slice *in, size_t n) {
    struct slice piece = { in->s, n };
    in->s += n;
    in->n -= n;
    return piece;
}

/* --- values with parameters ------------------------------------------------------------------- */

/* Text that may be changed: what is decoded is never longer, and ends in a NUL. */
struct line {
    char *at, *end; /* *end may be written to */
};

static void skip(struct line *l, const char *set) {
    while (l->at < l->end && *l->at && strchr(set, *l->at))
        l->at++;
}

/* Up to one of these, without blanks at its end. */
static struct slice word(struct line *l, const char *until) {
    const char *from = l->at;
    while (l->at < l->end && !strchr(until, *l->at))
        l->at++;
    size_t n = (size_t)(l->at - from);
    while (n > 0 && is_blank(from[n - 1]))
        n--;
    return (struct slice){ from, n };
}

/* Behind its first quote. A backslash only quotes a quote or another one: some clients send names
 * of other systems with them. NULL: it does not end. */
static char *quoted(struct line *l) {
    char *value = l->at, *to = l->at;
    while (l->at < l->end && *l->at != '"') {
        if (*l->at == '\\' && l->end - l->at > 1 && (l->at[1] == '"' || l->at[1] == '\\'))
            l->at++;
        *to++ = *l->at++;
    }
    if (l->at == l->end)
        return NULL;
    l->at++;
    *to = '\0';
    return value;
}

static char *unquoted(struct line *l) {
    char *value = l->at;
    struct slice w = word(l, ";");
    l->at += l->at < l->end;
    value[w.n] = '\0';
    return value;
}

/* The next `; name=value`. 1; 0: there are no more; -1: it is none. */
static int next_param(struct line *l, struct slice *name, char **value) {
    skip(l, " \t;");
    if (l->at == l->end)
        return 0;
    *name = word(l, "=;");
    if (name->n == 0 || l->at == l->end || *l->at != '=')
        return -1;
    l->at++;
    bool quotes = l->at < l->end && *l->at == '"';
    l->at += quotes;
    *value = quotes ? quoted(l) : unquoted(l);
    skip(l, " \t");
    return *value && (!quotes || l->at == l->end || *l->at == ';') ? 1 : -1;
}

/* UTF-8''a%20name (RFC 8187): what older clients send where a name is not ASCII. NULL: it is not in
 * UTF-8. */
static char *extended(char *value) {
    static const char charset[] = "utf-8'";
    char *name = strncasecmp(value, charset, sizeof charset - 1) == 0
                     ? strchr(value + sizeof charset - 1, '\'')
                     : NULL;
    size_t n = name ? strlen(++name) : 0;
    return name && http_decode((struct slice){ name, n }, name, n + 1) >= 0 ? name : NULL;
}

bool media_type_is(struct slice content_type, const char *type) {
    size_t n = 0;
    while (n < content_type.n && content_type.s[n] != ';')
        n++;
    while (n > 0 && is_blank(content_type.s[n - 1]))
        n--;
    return content_type.s && http_is_nocase((struct slice){ content_type.s, n }, type);
}

/* --- the boundary ----------------------------------------------------------------------------- */

static int set_boundary(struct multipart *m, const char *text) {
    size_t n = strlen(text);
    if (n == 0 || n > MAX_BOUNDARY || is_blank(text[n - 1]))
        return -EINVAL;
    memcpy(m->delimiter, "\r\n--", 4);
    memcpy(m->delimiter + 4, text, n + 1);
    m->delimiter_len = 4 + n;
    m->matched = 2; /* the first one may be at the very beginning */
    return 0;
}

int multipart_begin(struct multipart *m, struct slice content_type) {
    struct slice name;
    char *value;
    *m = (struct multipart){ .why = "multipart/form-data needs a boundary of 1 to 70 characters" };
    if (content_type.n > MAX_PART_HEAD)
        return -EINVAL;
    memcpy(m->head, content_type.s, content_type.n);
    struct line l = { m->head, m->head + content_type.n };
    (void)word(&l, ";");
    while (next_param(&l, &name, &value) > 0)
        if (http_is_nocase(name, "boundary"))
            return set_boundary(m, value);
    return -EINVAL;
}

/* --- heads ------------------------------------------------------------------------------------ */

static bool take_disposition(struct multipart *m, struct line l) {
    struct slice name, kind = word(&l, ";");
    char *value, *utf8 = NULL;
    int rc;
    while ((rc = next_param(&l, &name, &value)) > 0) {
        if (http_is_nocase(name, "name"))
            m->part.name = value;
        else if (http_is_nocase(name, "filename"))
            m->part.filename = value;
        else if (http_is_nocase(name, "filename*"))
            utf8 = extended(value);
    }
    if (utf8)
        m->part.filename = utf8;
    if (!http_is_nocase(kind, "form-data"))
        m->part.name = NULL;
    return rc == 0;
}

/* Those that say that there is no encoding. */
static bool is_plain(const char *encoding) {
    return strcasecmp(encoding, "binary") == 0 || strcasecmp(encoding, "8bit") == 0 ||
           strcasecmp(encoding, "7bit") == 0;
}

/* One field; NULL, or what is wrong with it. */
static const char *take_field(struct multipart *m, struct line l) {
    struct slice name = word(&l, ":");
    bool has_colon = l.at < l.end && *l.at == ':';
    if (!has_colon || name.n == 0 || name.s + name.n != l.at || is_blank(*name.s))
        return "a line of a part's head is not \"name: value\"";
    l.at++;
    skip(&l, " \t");
    while (l.end > l.at && is_blank(l.end[-1]))
        l.end--;
    *l.end = '\0';
    if (strlen(l.at) != (size_t)(l.end - l.at) || strchr(l.at, '\r'))
        return "a part's head has NUL or CR in it";
    if (http_is_nocase(name, "Content-Type"))
        m->part.type = l.at;
    else if (http_is_nocase(name, "Content-Transfer-Encoding") && !is_plain(l.at))
        return "a part has a Content-Transfer-Encoding; only binary is understood";
    else if (http_is_nocase(name, "Content-Disposition") && !take_disposition(m, l))
        return "a part has a Content-Disposition that is broken";
    return NULL;
}

static enum multipart_event take_head(struct multipart *m) {
    char *at = m->head, *end = m->head + m->head_len - 2; /* of the empty line */
    m->part = (struct multipart_part){ 0 };
    while (at < end) {
        char *eol = memmem(at, (size_t)(end - at), "\r\n", 2);
        const char *why = take_field(m, (struct line){ at, eol });
        if (why)
            return bad(m, why);
        at = eol + 2;
    }
    if (++m->parts > MAX_PARTS)
        return bad(m, "there are too many parts in one request");
    m->state = CONTENT;
    return MULTIPART_BEGIN;
}

static bool head_ends(const struct multipart *m) {
    const char *end = m->head + m->head_len;
    return m->head_len == 2 || (m->head_len >= 4 && memcmp(end - 4, "\r\n\r\n", 4) == 0);
}

static enum multipart_event step_head(struct multipart *m, char c) {
    if (c == '\n' && (m->head_len == 0 || m->head[m->head_len - 1] != '\r'))
        return bad(m, "a line of a part's head does not end in CR LF");
    m->head[m->head_len++] = c;
    if (c == '\n' && head_ends(m))
        return take_head(m);
    return m->head_len < MAX_PART_HEAD ? MULTIPART_MORE : bad(m, "the head of a part is too long");
}

/* --- contents --------------------------------------------------------------------------------- */

/* Where the delimiter begins, or what may become one; in.n: nowhere. */
static size_t find_delimiter(const struct multipart *m, struct slice in) {
    const char *p = in.s, *end = in.s + in.n;
    for (; (p = memchr(p, '\r', (size_t)(end - p))) != NULL; p++) {
        size_t left = (size_t)(end - p);
        if (memcmp(p, m->delimiter, left < m->delimiter_len ? left : m->delimiter_len) == 0)
            return (size_t)(p - in.s);
    }
    return in.n;
}

/* Its only CR is its first byte: what has begun like it and is not cannot hide another one. */
static void match(struct multipart *m, struct slice *in) {
    while (in->n > 0 && m->matched < m->delimiter_len && *in->s == m->delimiter[m->matched]) {
        (void)take(in, 1);
        m->matched++;
    }
    m->mismatched = in->n > 0 && m->matched < m->delimiter_len;
    m->given = 0;
}

/* The rest of what was taken for a delimiter. */
static bool give_mismatch(struct multipart *m, struct slice *data) {
    if (m->mismatched && m->given < m->matched) {
        *data = (struct slice){ m->delimiter + m->given, m->matched - m->given };
        m->given = m->matched;
        return true;
    }
    if (m->mismatched)
        m->matched = 0;
    m->mismatched = false;
    return false;
}

static enum multipart_event step_content(struct multipart *m, struct slice *in,
                                         struct slice *data) {
    if (give_mismatch(m, data))
        return MULTIPART_DATA;
    size_t n = m->matched > 0 ? 0 : find_delimiter(m, *in);
    if (n > 0) {
        *data = take(in, n);
        return MULTIPART_DATA;
    }
    match(m, in);
    if (m->matched < m->delimiter_len)
        return MULTIPART_MORE;
    m->matched = 0;
    m->state = DELIMITER;
    return MULTIPART_FINISH;
}

void multipart_put_back(struct multipart *m, struct slice *in, size_t n, size_t taken) {
    if (m->mismatched)
        m->given -= n - taken;
    else
        *in = (struct slice){ in->s - (n - taken), in->n + (n - taken) };
}

/* --- all of it -------------------------------------------------------------------------------- */

static enum multipart_event step_delimiter(struct multipart *m, char c) {
    if (m->state == LAST_DASH) {
        if (c != '-')
            return bad(m, "there is text behind a boundary");
        m->state = EPILOGUE;
        return MULTIPART_END;
    }
    bool ended = m->state == LINE_FEED;
    if (ended ? c != '\n' : !is_blank(c) && c != '\r' && c != '-')
        return bad(m, "there is text behind a boundary");
    m->head_len = 0;
    m->state = ended ? HEAD : c == '-' ? LAST_DASH : c == '\r' ? LINE_FEED : DELIMITER;
    return MULTIPART_MORE;
}

static enum multipart_event step(struct multipart *m, struct slice *in, struct slice *data) {
    enum multipart_event e;
    switch ((enum state)m->state) {
    case PREAMBLE:
        e = step_content(m, in, data);
        return e == MULTIPART_DATA || e == MULTIPART_FINISH ? MULTIPART_MORE : e;
    case CONTENT:
        return step_content(m, in, data);
    case DELIMITER:
    case LAST_DASH:
    case LINE_FEED:
        return in->n > 0 ? step_delimiter(m, *take(in, 1).s) : MULTIPART_MORE;
    case HEAD:
        return in->n > 0 ? step_head(m, *take(in, 1).s) : MULTIPART_MORE;
    case EPILOGUE:
        (void)take(in, in->n);
        return MULTIPART_MORE;
    case BAD:
        break;
    }
    return MULTIPART_BAD;
}

enum multipart_event multipart_next(struct multipart *m, struct slice *in, struct slice *data) {
    enum multipart_event e;
    do
        e = step(m, in, data);
    while (e == MULTIPART_MORE && in->n > 0);
    return e;
}
