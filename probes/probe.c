/* The table of kinds, and what they have in common. */
#include "probes/probe.h"

#include <errno.h>
#include <regex.h>
#include <stdio.h>
#include <string.h>

#include "base/bug.h"
#include "base/str.h"
#include "probes/kinds.h"

/* A line of a service's output can only be seen by who reads that output. */
static int check_log(struct probe_spec *spec, const char *given, struct err *e) {
    regex_t compiled;
    char why[128];
    (void)snprintf(spec->arg, sizeof spec->arg, "%s", given);
    if (given[0] == '\0')
        return err_set(e, EINVAL, "log has no pattern: write log:REGEX");
    int rc = regcomp(&compiled, given, REG_EXTENDED | REG_NOSUB);
    if (rc == 0) {
        regfree(&compiled);
        return 0;
    }
    (void)regerror(rc, &compiled, why, sizeof why);
    return err_set(e, EINVAL, "log pattern '%s' is not an extended regular expression: %s", given,
                   why);
}

static int check_notify(struct probe_spec *spec, const char *given, struct err *e) {
    spec->arg[0] = '\0';
    if (spec->text[strlen("notify")] != '\0')
        return err_set(e, EINVAL, "notify takes no argument, and was given ':%s'", given);
    return 0;
}

#define PROBE_NAME(id, name, arg, help) [id] = (name),
static const char *const names[PROBE_NKINDS] = { PROBE_KINDS(PROBE_NAME) };
#undef PROBE_NAME

struct kind {
    probe_check_fn *check;
    probe_fn *run; /* NULL: only PID 1 can tell */
    bool waits;
};

// clang-format off
static const struct kind kinds[PROBE_NKINDS] = {
    [PROBE_EXEC]   = { check_exec,   probe_exec,   false },
    [PROBE_TCP]    = { check_tcp,    probe_tcp,    true },
    [PROBE_UNIX]   = { check_unix,   probe_unix,   true },
    [PROBE_HTTP]   = { check_http,   probe_http,   false },
    [PROBE_DOCKER] = { check_docker, probe_docker, true },
    [PROBE_DNS]    = { check_dns,    probe_dns,    false },
    [PROBE_FILE]   = { check_file,   probe_file,   true },
    [PROBE_LOG]    = { check_log,    NULL,         false },
    [PROBE_NOTIFY] = { check_notify, NULL,         false },
};
// clang-format on

const char *probe_kind_name(enum probe_kind kind) {
    return (unsigned)kind < PROBE_NKINDS ? names[kind] : "?";
}

bool probe_waits(enum probe_kind kind) {
    return (unsigned)kind < PROBE_NKINDS && kinds[kind].waits;
}

static int unknown_kind(const char *text, const char *word, struct err *e) {
    char list[128];
    struct text t = TEXT(list);
    for (size_t i = 0; i < PROBE_NKINDS; i++)
        text_add(&t, "%s%s", i ? ", " : "", names[i]);
    const char *near = nearest(word, names, PROBE_NKINDS);
    return err_set(e, EINVAL, "'%.60s': '%.20s' is not one of %s%s%s%s", text, word, list,
                   near ? " (did you mean " : "", near ? near : "", near ? "?)" : "");
}

/* The kind is the word before the colon; "http+unix" is http's second scheme, and
 * "https" goes there to be refused with a reason. */
static int kind_find(const char *word) {
    if (strcmp(word, "http+unix") == 0 || strcmp(word, "https") == 0)
        return PROBE_HTTP;
    for (int i = 0; i < PROBE_NKINDS; i++)
        if (strcmp(word, names[i]) == 0)
            return i;
    return -1;
}

int probe_parse(struct probe_spec *spec, const char *text, struct err *e) {
    struct err unused;
    if (!e)
        e = &unused;
    memset(spec, 0, sizeof *spec);
    if (strlen(text) >= sizeof spec->text)
        return err_set(e, EINVAL, "a probe longer than %d bytes: '%.40s...'", MAX_PROBE_SPEC - 1,
                       text);
    memcpy(spec->text, text, strlen(text));
    char word[MAX_PROBE_SPEC];
    size_t n = strcspn(text, ":");
    memcpy(word, text, n);
    word[n] = '\0';
    int kind = kind_find(word);
    if (kind < 0)
        return unknown_kind(text, word, e);
    spec->kind = (enum probe_kind)kind;
    return kinds[kind].check(spec, text[n] ? text + n + 1 : "", e);
}

/* Bytes of one printable UTF-8 character (RFC 3629); 0 for control bytes, C1 controls
 * in their two-byte form, and what is not UTF-8. */
static size_t printable(const unsigned char *s) {
    if (s[0] < 0x80)
        return s[0] >= ' ' && s[0] != 0x7f;
    size_t n = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
    if (s[0] < 0xc2 || s[0] > 0xf4 || (s[0] == 0xc2 && s[1] < 0xa0))
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f))
        return 0;
    if ((s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
        return 0;
    return n;
}

/* A reason may hold bytes from outside, and ends up on terminals. One printable line of
 * less than MAX_PROBE_REASON bytes; no character and no escape is cut in two. */
static void reason_clean(struct err *e) {
    char out[MAX_PROBE_REASON];
    size_t len = 0;
    const unsigned char *s = (const unsigned char *)e->text;
    while (*s) {
        char escape[8];
        size_t n = printable(s), took = n ? n : 1;
        const char *piece = (const char *)s;
        if (n == 0) {
            n = (size_t)snprintf(escape, sizeof escape, "\\x%02x", *s);
            piece = escape;
        }
        if (len + n >= sizeof out)
            break;
        memcpy(out + len, piece, n);
        len += n;
        s += took;
    }
    memcpy(e->text, out, len);
    e->text[len] = '\0';
}

int probe_run(const struct probe_spec *spec, instant deadline, struct err *e) {
    struct err unused;
    if (!e)
        e = &unused;
    if (BUG_ON((unsigned)spec->kind >= PROBE_NKINDS))
        return err_set(e, EINVAL, "no such kind of probe: %d", (int)spec->kind);
    memset(e, 0, sizeof *e);
    probe_fn *run = kinds[spec->kind].run;
    int rc = run ? run(spec, deadline, e)
                 : err_set(e, EOPNOTSUPP, "%s: only the init that runs the service can tell",
                           names[spec->kind]);
    if (rc < 0)
        reason_clean(e);
    else
        memset(e, 0, sizeof *e); /* a try before the one that succeeded has left a word */
    return rc;
}
