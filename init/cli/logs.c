/* logs.c — `pinnace logs`: what a unit has printed, from its log file; what a job has, as long as
 * it is kept. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/own.h"
#include "channel/native/frames.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/json.h"
#include "cli/session.h"

enum {
    STAMP = 25,          /* bytes of "2026-11-22T01:46:04.123Z " */
    MAX_TAIL = 1000000,  /* lines of --tail; an error */
    MAX_TOLD = 64 << 10, /* bytes of a frame that is not output */
};

/* --- times ------------------------------------------------------------------------------------ */

static bool in(int n, int min, int max) { return n >= min && n <= max; }

/* A number of at most `most` digits. */
static bool take(const char **s, int most, int *out) {
    int n = 0;
    *out = 0;
    for (; n < most && **s >= '0' && **s <= '9'; n++)
        *out = *out * 10 + (*(*s)++ - '0');
    return n > 0;
}

static bool take_char(const char **s, const char *any) {
    bool there = **s && strchr(any, **s);
    *s += there;
    return there;
}

static bool take_time(const char **s, struct tm *tm, double *seconds) {
    char *end;
    if (!take(s, 2, &tm->tm_hour) || !take_char(s, ":") || !take(s, 2, &tm->tm_min))
        return false;
    if (!take_char(s, ":"))
        return true;
    bool good = in(**s, '0', '9');
    *seconds = strtod(*s, &end);
    *s = end;
    return good;
}

/* Z, or minutes east of it; none is UTC, too. */
static bool take_zone(const char **s, int *minutes) {
    int sign = **s == '-' ? -1 : 1, hours = 0, rest = 0;
    if (take_char(s, "Zz") || !take_char(s, "+-"))
        return true;
    const char *from = *s;
    bool good = take(s, 2, &hours) && take_char(s, ":") && take(s, 2, &rest) && *s - from == 5;
    *minutes = sign * (hours * 60 + rest);
    return good;
}

/* RFC 3339, the time and its parts from the right being optional: 2026-01-02T15:04:05.5+01:00. */
static bool parse_date(const char *s, int64_t *unix_ms) {
    struct tm tm = { .tm_mday = 0 };
    double seconds = 0;
    int east = 0;
    bool good = take(&s, 4, &tm.tm_year) && take_char(&s, "-") && take(&s, 2, &tm.tm_mon) &&
                take_char(&s, "-") && take(&s, 2, &tm.tm_mday) &&
                (!take_char(&s, "Tt ") || take_time(&s, &tm, &seconds)) && take_zone(&s, &east);
    if (!good || *s || !(seconds >= 0 && seconds < 61) || !in(tm.tm_mon, 1, 12) ||
        !in(tm.tm_mday, 1, 31) || !in(tm.tm_hour, 0, 23) || !in(tm.tm_min, 0, 59))
        return false;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    *unix_ms = ((int64_t)timegm(&tm) - east * 60) * 1000 + (int64_t)(seconds * 1000);
    return true;
}

/* "10m" ago, a date, or seconds since 1970. */
static int parse_since(const char *s, int64_t *unix_ms, struct err *e) {
    struct timespec now;
    span ago;
    size_t digits = strspn(s, "0123456789");
    if (digits > 0 && digits < 12 && s[digits] == '\0') {
        *unix_ms = strtoll(s, NULL, 10) * 1000;
        return 0;
    }
    if (parse_date(s, unix_ms))
        return *unix_ms >= 0 ? 0 : err_set(e, EINVAL, "--since: %.60s is before 1970", s);
    if (parse_span(s, false, &ago, NULL) < 0)
        return err_set(e, EINVAL,
                       "--since: '%.60s' is not a time such as 10m or "
                       "2026-01-02T15:04:05Z",
                       s);
    (void)clock_gettime(CLOCK_REALTIME, &now);
    int64_t at = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000 - span_to_ms(ago);
    *unix_ms = at > 0 ? at : 0;
    return 0;
}

/* --- of a unit -------------------------------------------------------------------------------- */

/* Lines without their times. */
struct stripper {
    char stamp[STAMP];
    size_t have; /* of stamp; STAMP: in the rest of a line */
};

static bool is_stamp(const char *s) {
    return s[4] == '-' && s[10] == 'T' && s[23] == 'Z' && s[24] == ' ';
}

static int strip(struct stripper *st, const char *s, size_t n) {
    int rc = 0;
    while (n > 0 && rc == 0) {
        const char *nl = memchr(s, '\n', n);
        size_t k = nl ? (size_t)(nl - s) + 1 : n;
        if (st->have < STAMP) {
            k = k < STAMP - st->have ? k : STAMP - st->have;
            memcpy(st->stamp + st->have, s, k);
            st->have += k;
            bool whole = st->have == STAMP, ended = st->stamp[st->have - 1] == '\n';
            if ((whole && !is_stamp(st->stamp)) || (ended && !whole)) /* not a line of ours */
                rc = session_print(1, st->stamp, st->have);
            st->have = ended ? 0 : st->have;
        } else {
            rc = session_print(1, s, k);
            st->have = nl ? 0 : STAMP;
        }
        s += k;
        n -= k;
    }
    return rc;
}

static int print_lines(struct client *c, bool stamps, struct err *e) {
    struct stripper st = { .have = 0 };
    const char *piece;
    ssize_t n;
    int rc = 0;
    while ((n = http_client_read(&c->http, &piece, e)) > 0 && rc == 0)
        rc = stamps ? session_print(1, piece, (size_t)n) : strip(&st, piece, (size_t)n);
    if (n == 0 && st.have > 0 && st.have < STAMP)
        rc = session_print(1, st.stamp, st.have);
    return rc < 0 ? err_sys(e, -rc, "write") : (int)n;
}

/* "all", as docker has it, is what there is without it. */
static bool has_tail(const struct args *a) {
    return args_has(a, "tail") && strcmp(args_value(a, "tail"), "all") != 0;
}

static int unit_log(const struct args *a, struct err *e) {
    char target[TARGET_TEXT], number[24];
    struct text t = TEXT(target);
    int64_t since = 0;
    if (args_has(a, "since") && parse_since(args_value(a, "since"), &since, e) < 0)
        return -e->code;
    (void)snprintf(number, sizeof number, "%lld", (long long)since);
    text_add(&t, "/v1/units");
    target_add(&t, NULL, a->words[0]);
    text_add(&t, "/log");
    if (args_has(a, "follow"))
        target_add(&t, "follow", "1");
    if (has_tail(a))
        target_add(&t, "tail", args_value(a, "tail"));
    if (since)
        target_add(&t, "since_ms", number);
    AUTO_CLIENT struct client *c = client_open(a->host, client_soon(), e);
    struct http_request r = { .method = "GET", .target = target };
    if (!c || client_ask(c, &r, e) < 0 || client_check(c, e) < 0)
        return -e->code;
    c->http.deadline = INSTANT_NEVER;
    return print_lines(c, args_has(a, "timestamps"), e);
}

/* --- of a job --------------------------------------------------------------------------------- */

/* The offset at which the last `lines` of what there is now begin: offsets of line starts, the
 * last `lines` + 1 of them in a ring. */
static int64_t find_tail(struct client *c, uint64_t from, unsigned lines, struct err *e) {
    AUTO_FREE uint64_t *starts = calloc((size_t)lines + 1, sizeof *starts);
    uint64_t at = from, count = 0;
    bool fresh = true; /* the next byte begins a line */
    const char *piece;
    ssize_t n;
    if (!starts)
        return err_set(e, ENOMEM, "out of memory");
    while ((n = http_client_read(&c->http, &piece, e)) > 0)
        for (ssize_t i = 0; i < n; i++, at++) {
            if (fresh)
                starts[count++ % (lines + 1)] = at;
            fresh = piece[i] == '\n';
        }
    if (n < 0)
        return n;
    if (lines == 0)
        return (int64_t)at;
    return (int64_t)(count <= lines ? from : starts[(count - lines) % (lines + 1)]);
}

static struct client *ask_output(const struct args *a, int64_t from, const char *fields,
                                 struct err *e) {
    char target[TARGET_TEXT], number[24];
    struct text t = TEXT(target);
    (void)snprintf(number, sizeof number, "%lld", (long long)from);
    text_add(&t, "/v1/jobs");
    target_add(&t, NULL, a->words[0]);
    text_add(&t, "/output");
    target_add(&t, "from", number);
    if (fields && args_has(a, "follow"))
        target_add(&t, "follow", "1");
    struct client *c = client_open(a->host, client_soon(), e);
    struct http_request r = { .method = "GET", .target = target, .fields = fields };
    if (c && (client_ask(c, &r, e) < 0 || client_check(c, e) < 0))
        client_close(&c);
    return c;
}

static int tell(enum frame_type type, const struct frame_piece *p) {
    if (type == FRAME_MISSED && p->at == 0)
        (void)fprintf(stderr, "pinnace: some of the output is not kept any more\n");
    return 0;
}

static int print_frames(struct client *c, struct err *e) {
    struct frame_reader frames = { .have = 0 };
    const char *in;
    ssize_t n;
    while ((n = http_client_read(&c->http, &in, e)) > 0) {
        for (ssize_t at = 0; at < n;) {
            struct frame_piece p;
            int64_t k = frame_next(&frames, in + at, (size_t)(n - at), FRAME_MAX_SERVER, &p);
            if (k < 0)
                return err_set(e, EPROTO, "pinnace does not speak the protocol");
            at += k;
            bool output = p.bytes && (p.type == FRAME_STDOUT || p.type == FRAME_STDERR);
            int rc = output    ? session_print(p.type == FRAME_STDOUT ? 1 : 2, p.bytes, p.n)
                     : p.bytes ? tell(p.type, &p)
                               : 0;
            if (rc < 0)
                return err_sys(e, -rc, "write");
        }
    }
    return (int)n;
}

static int job_output(const struct args *a, struct err *e) {
    unsigned lines = 0;
    int64_t from = 0;
    if (args_has(a, "since") || args_has(a, "timestamps"))
        return err_set(e, EINVAL, "times are kept for units, not for jobs such as %s", a->words[0]);
    if (has_tail(a)) {
        if (args_uint(a, "tail", MAX_TAIL, &lines, e) < 0)
            return -e->code;
        AUTO_CLIENT struct client *all = ask_output(a, 0, NULL, e);
        if (!all)
            return -e->code;
        struct slice first = http_field(&all->http.head, "Pinnace-Output-From");
        from = find_tail(all, first.s ? strtoull(first.s, NULL, 10) : 0, lines, e);
        if (from < 0)
            return (int)from;
    }
    AUTO_CLIENT struct client *c = ask_output(a, from, SESSION_FIELDS, e);
    if (!c)
        return -e->code;
    c->http.deadline = INSTANT_NEVER;
    return print_frames(c, e);
}

int verb_logs(const struct args *a) {
    struct err e = { 0 }, why = { 0 };
    unsigned lines;
    int64_t since;
    if (has_tail(a) && args_uint(a, "tail", MAX_TAIL, &lines, &e) < 0)
        return cli_usage(a, "%s", e.text);
    if (args_has(a, "since") && parse_since(args_value(a, "since"), &since, &e) < 0)
        return cli_usage(a, "%s", e.text);
    int rc = unit_log(a, &e);
    if (rc == -ESRCH) {
        rc = job_output(a, &why);
        e = why;
        if (rc == -ESRCH)
            (void)err_set(&e, ESRCH, "there is no unit or job '%.60s'; `pinnace ps -a` lists them",
                          a->words[0]);
    }
    return rc < 0 ? cli_fail(&e) : CLI_OK;
}
