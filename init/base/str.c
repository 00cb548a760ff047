#include "base/str.h"

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/limits.h"

void text_put(struct text *t, const char *bytes, size_t n) {
    if (n > t->cap - 1 - t->len) {
        n = t->cap - 1 - t->len;
        t->cut = true;
    }
    if (n > 0)
        memcpy(t->buf + t->len, bytes, n);
    t->len += n;
    t->buf[t->len] = '\0';
}

void text_add(struct text *t, const char *fmt, ...) {
    size_t room = t->cap - t->len;
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(t->buf + t->len, room, fmt, ap);
    va_end(ap);
    if (n < 0)
        return;
    if ((size_t)n >= room) {
        t->cut = true;
        n = (int)room - 1;
    }
    t->len += (size_t)n;
}

/* Length of the well-formed UTF-8 sequence at s (RFC 3629), 0 if there is none. */
static size_t utf8_len(const unsigned char *s, size_t n) {
    size_t need = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
    if (need == 0 || s[0] > 0xf4 || need > n)
        return 0;
    for (size_t i = 1; i < need; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    bool overlong = (s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xf0 && s[1] < 0x90);
    bool surrogate = s[0] == 0xed && s[1] > 0x9f;
    bool too_high = s[0] == 0xf4 && s[1] > 0x8f;
    return overlong || surrogate || too_high ? 0 : need;
}

bool utf8_is_valid(const char *s, size_t n) {
    for (size_t i = 0, k; i < n; i += k) {
        k = utf8_len((const unsigned char *)s + i, n - i);
        if (k == 0)
            return false;
    }
    return true;
}

size_t utf8_whole(const char *s, size_t n) {
    for (size_t back = 1; back <= 3 && back <= n; back++) {
        unsigned char c = (unsigned char)s[n - back];
        if ((c & 0xc0) == 0x80)
            continue;
        size_t need = c < 0xc2 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 1;
        return need > back ? n - back : n;
    }
    return n;
}

static void json_ascii(struct text *t, unsigned char c) {
    static const char shorts[] = "\"\"\\\\\nn\rr\tt\bb\ff";
    for (const char *p = shorts; *p; p += 2)
        if ((unsigned char)*p == c) {
            text_put(t, (const char[]){ '\\', p[1] }, 2);
            return;
        }
    if (c < 0x20 || c == 0x7f)
        text_add(t, "\\u%04x", c);
    else
        text_put(t, (const char *)&c, 1);
}

/* Bytes at s that stand for themselves in a JSON string. */
static size_t json_plain(const char *s, size_t n) {
    size_t i = 0;
    while (i < n && s[i] >= 0x20 && s[i] < 0x7f && s[i] != '"' && s[i] != '\\')
        i++;
    return i;
}

void text_json_part(struct text *t, const char *s, size_t n) {
    for (size_t i = 0; i < n;) {
        size_t plain = json_plain(s + i, n - i);
        size_t k = plain ? plain : utf8_len((const unsigned char *)s + i, n - i);
        if (k == 0)
            text_put(t, "\xef\xbf\xbd", 3); /* U+FFFD */
        else if (k == 1 && !plain)
            json_ascii(t, (unsigned char)s[i]);
        else
            text_put(t, s + i, k);
        i += k ? k : 1;
    }
}

void text_json(struct text *t, const char *s, size_t n) {
    text_put(t, "\"", 1);
    text_json_part(t, s, n);
    text_put(t, "\"", 1);
}

static int parse_number(const char **s, int64_t *out) {
    const char *p = *s;
    int64_t v = 0;
    if (*p < '0' || *p > '9')
        return -EINVAL;
    for (; *p >= '0' && *p <= '9'; p++)
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, *p - '0', &v))
            return -ERANGE;
    *s = p;
    *out = v;
    return 0;
}

/* One "12ms" at *s, added to *sum (ns). */
static int parse_span_piece(const char **s, int64_t *sum) {
    static const struct {
        const char *unit;
        int64_t ns;
    } units[] = { { "ms", 1000000 },    { "us", 1000 },         { "s", 1000000000 },
                  { "m", 60000000000 }, { "h", 3600000000000 }, { "d", 86400000000000 } };
    int64_t v;
    int rc = parse_number(s, &v);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        size_t n = strlen(units[i].unit);
        if (strncmp(*s, units[i].unit, n) != 0)
            continue;
        *s += n;
        if (__builtin_mul_overflow(v, units[i].ns, &v) || __builtin_add_overflow(*sum, v, sum))
            return -ERANGE;
        return *sum > MAX_SPAN_DAYS * INT64_C(86400000000000) ? -ERANGE : 0;
    }
    return -EINVAL;
}

int parse_span(const char *s, bool allow_never, span *out, struct err *e) {
    const char *hint = allow_never ? ", or never" : "";
    if (allow_never && strcmp(s, "never") == 0) {
        *out = SPAN_NEVER;
        return 0;
    }
    const char *p = s;
    int64_t ns = 0;
    do {
        int rc = parse_span_piece(&p, &ns);
        if (rc == -ERANGE)
            return err_set(e, EINVAL, "'%.60s' is more than %d days%s", s, MAX_SPAN_DAYS, hint);
        if (rc < 0)
            return err_set(e, EINVAL, "'%.60s' is not a time such as 500ms, 5s, 1m30s%s", s, hint);
    } while (*p);
    *out = (span){ ns };
    return 0;
}

const char *format_span(char *buf, size_t cap, span d) {
    int64_t ms = span_to_ms(d);
    if (span_is_never(d))
        (void)snprintf(buf, cap, "never");
    else if (ms < 1000)
        (void)snprintf(buf, cap, "%lldms", (long long)ms);
    else if (ms < 60000)
        (void)snprintf(buf, cap, "%lld.%llds", (long long)(ms / 1000),
                       (long long)(ms % 1000 / 100));
    else if (ms < 3600000)
        (void)snprintf(buf, cap, "%lldm%02llds", (long long)(ms / 60000),
                       (long long)(ms / 1000 % 60));
    else if (ms < 86400000)
        (void)snprintf(buf, cap, "%lldh%02lldm", (long long)(ms / 3600000),
                       (long long)(ms / 60000 % 60));
    else
        (void)snprintf(buf, cap, "%lldd%02lldh", (long long)(ms / 86400000),
                       (long long)(ms / 3600000 % 24));
    return buf;
}

char *format_utc(char buf[UTC_TEXT], int64_t unix_ms) {
    time_t s = (time_t)(unix_ms / 1000);
    struct tm tm;
    (void)gmtime_r(&s, &tm);
    (void)snprintf(buf, UTC_TEXT, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", tm.tm_year + 1900,
                   tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
                   (int)(unix_ms % 1000));
    return buf;
}

int parse_size(const char *s, size_t *out, struct err *e) {
    static const char suffixes[] = "kmgt";
    const char *p = s;
    int64_t v;
    if (parse_number(&p, &v) == 0) {
        const char *suffix = *p ? strchr(suffixes, *p | 0x20) : NULL;
        unsigned shift = suffix ? 10 * (unsigned)(suffix - suffixes + 1) : 0;
        p += suffix != NULL;
        if (*p == '\0' && v <= (INT64_MAX >> shift)) {
            *out = (size_t)v << shift;
            return 0;
        }
    }
    return err_set(e, EINVAL, "'%.60s' is not a size such as 4096, 64k, 1m", s);
}

int parse_uint(const char *s, unsigned min, unsigned max, unsigned *out, struct err *e) {
    const char *p = s;
    int64_t v;
    if (parse_number(&p, &v) < 0 || *p || v < min || v > max)
        return err_set(e, EINVAL, "'%.60s' is not a whole number from %u to %u", s, min, max);
    *out = (unsigned)v;
    return 0;
}

/* --- words ------------------------------------------------------------------------- */

static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n'; }

/* Copy one word from *s to *to, taking quotes away. -EINVAL: a quote is left open. */
static int take_word(const char **s, char **to) {
    char quote = '\0';
    const char *p = *s;
    for (; *p && (quote || !is_blank(*p)); p++) {
        if (quote && *p == quote)
            quote = '\0';
        else if (!quote && (*p == '\'' || *p == '"'))
            quote = *p;
        else if (*p == '\\' && quote != '\'' && p[1] && (!quote || strchr("\"\\$`", p[1]) != NULL))
            *(*to)++ = *++p;
        else
            *(*to)++ = *p;
    }
    *(*to)++ = '\0';
    *s = p;
    return quote ? -EINVAL : 0;
}

int split_words(const char *s, char ***out, size_t *n, struct err *e) {
    size_t len = strlen(s), most = len / 2 + 2;
    char **words = malloc(most * sizeof *words + len + 2);
    if (!words)
        return err_set(e, ENOMEM, "out of memory");
    char *to = (char *)(words + most);
    size_t count = 0;
    for (const char *p = s;;) {
        while (is_blank(*p))
            p++;
        if (*p == '\0')
            break;
        words[count++] = to;
        if (take_word(&p, &to) < 0) {
            free(words);
            return err_set(e, EINVAL, "a quote is left open in: %.80s", s);
        }
    }
    words[count] = NULL;
    *out = words;
    *n = count;
    return 0;
}

/* --- names ------------------------------------------------------------------------- */

static unsigned least_of(unsigned a, unsigned b) { return a < b ? a : b; }

/* Edit distance, two letters that have changed places being one edit (Damerau); words longer than
 * the rows count as far away. */
static unsigned distance(const char *a, const char *b) {
    enum { MOST = 63 };
    unsigned rows[3][MOST + 1]; /* of a[i], a[i-1] and a[i-2] */
    size_t na = strlen(a), nb = strlen(b);
    if (na > MOST || nb > MOST)
        return UINT_MAX;
    for (unsigned j = 0; j <= nb; j++)
        rows[0][j] = j;
    for (unsigned i = 1; i <= na; i++) {
        unsigned *row = rows[i % 3];
        const unsigned *above = rows[(i + 2) % 3], *two_above = rows[(i + 1) % 3];
        row[0] = i;
        for (unsigned j = 1; j <= nb; j++) {
            row[j] =
                least_of(above[j - 1] + (a[i - 1] != b[j - 1]), least_of(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = least_of(row[j], two_above[j - 2] + 1);
        }
    }
    return rows[na % 3][nb];
}

const char *nearest(const char *word, const char *const *candidates, size_t n) {
    const char *best = NULL;
    unsigned least = (unsigned)strlen(word) / 3 + 2; /* further off is no typo */
    for (size_t i = 0; i < n; i++) {
        unsigned d = distance(word, candidates[i]);
        if (d < least) {
            least = d;
            best = candidates[i];
        }
    }
    return best;
}

bool has_prefix(const char *s, const char *prefix) {
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

bool has_suffix(const char *s, const char *suffix) {
    size_t n = strlen(s), k = strlen(suffix);
    return n >= k && memcmp(s + n - k, suffix, k) == 0;
}

/* Linux, asm-generic numbering (x86, arm, riscv): signal(7). */
static const char *const signal_names[] = {
    NULL,   "HUP",  "INT",  "QUIT", "ILL",    "TRAP",   "ABRT",  "BUS",  "FPE",  "KILL", "USR1",
    "SEGV", "USR2", "PIPE", "ALRM", "TERM",   "STKFLT", "CHLD",  "CONT", "STOP", "TSTP", "TTIN",
    "TTOU", "URG",  "XCPU", "XFSZ", "VTALRM", "PROF",   "WINCH", "IO",   "PWR",  "SYS"
};
enum { NSIGNAL_NAMES = sizeof signal_names / sizeof signal_names[0], RTMIN = 34, RTMAX = 64 };

static int realtime_number(const char *name) {
    bool from_min = strncasecmp(name, "RTMIN", 5) == 0;
    if (!from_min && strncasecmp(name, "RTMAX", 5) != 0)
        return -1;
    unsigned off = 0;
    if (name[5] && (name[5] != (from_min ? '+' : '-') ||
                    parse_uint(name + 6, 0, RTMAX - RTMIN, &off, NULL) < 0))
        return -1;
    return from_min ? RTMIN + (int)off : RTMAX - (int)off;
}

int signal_number(const char *name) {
    unsigned number = 0;
    if (parse_uint(name, 1, RTMAX, &number, NULL) == 0)
        return (int)number;
    if (strncasecmp(name, "SIG", 3) == 0)
        name += 3;
    for (int i = 1; i < NSIGNAL_NAMES; i++)
        if (strcasecmp(name, signal_names[i]) == 0)
            return i;
    return realtime_number(name);
}

const char *signal_name(char *buf, size_t cap, int sig) {
    if (sig > 0 && sig < NSIGNAL_NAMES)
        (void)snprintf(buf, cap, "SIG%s", signal_names[sig]);
    else if (sig < RTMIN || sig > RTMAX)
        (void)snprintf(buf, cap, "signal %d", sig); /* 32 and 33 are libc's own */
    else if (sig == RTMIN)
        (void)snprintf(buf, cap, "SIGRTMIN");
    else
        (void)snprintf(buf, cap, "SIGRTMIN+%d", sig - RTMIN);
    return buf;
}
