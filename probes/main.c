/* pinnace probe SPEC: one attempt, by hand, from a HEALTHCHECK or a kubelet. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "base/str.h"
#include "probes/probe.h"

enum { YES = 0, NO = 1, USAGE = 2, DEFAULT_TIMEOUT_S = 5 };

struct request {
    const char *spec;
    span timeout;
    bool quiet;
    bool help;
};

static void usage(FILE *to) {
    (void)fputs("usage: pinnace probe SPEC [--timeout 5s] [-q]\n"
                "\n"
                "Ask once, wait until the timeout at most. Exit status: 0 yes, 1 no, 2 usage.\n"
                "  -t, --timeout TIME  500ms, 2s, 1m30s, never (default: 5s)\n"
                "  -q, --quiet         print nothing\n"
                "\n"
                "SPEC is one of these, and is ready when:\n",
                to);
#define PROBE_USAGE(id, name, arg, help) \
    (void)fprintf(to, "  %-40s %s\n",    \
                  (arg)[0] && !has_prefix(arg, "[:") ? name ":" arg : name arg, help);
    PROBE_KINDS(PROBE_USAGE)
#undef PROBE_USAGE
    (void)fputs(
        "\nURL is http://HOST[:PORT]/PATH or http+unix:///SOCKET:/PATH, and needs no \"http:\" "
        "before it.\n",
        to);
}

static int bad_usage(const char *why) {
    (void)fprintf(stderr, "pinnace probe: %s\n\n", why);
    usage(stderr);
    return USAGE;
}

/* The value of --timeout, in one word or in two. NULL if `*i` is another option. */
static const char *timeout_value(int argc, char **argv, int *i) {
    if (has_prefix(argv[*i], "--timeout="))
        return argv[*i] + strlen("--timeout=");
    if (strcmp(argv[*i], "--timeout") != 0 && strcmp(argv[*i], "-t") != 0)
        return NULL;
    return *i + 1 < argc ? argv[++*i] : "";
}

static bool is_option(const char *word, const char *brief, const char *full) {
    return strcmp(word, brief) == 0 || strcmp(word, full) == 0;
}

static int option_parse(struct request *r, const char *word, struct err *e) {
    if (is_option(word, "-q", "--quiet"))
        r->quiet = true;
    else if (is_option(word, "-h", "--help"))
        r->help = true;
    else
        return err_set(e, EINVAL, "'%s' is not one of --timeout, --quiet, --help", word);
    return 0;
}

static int spec_take(struct request *r, const char *word, struct err *e) {
    if (r->spec)
        return err_set(e, EINVAL, "'%s' is one word too many: quote the SPEC", word);
    r->spec = word;
    return 0;
}

static int request_parse(struct request *r, int argc, char **argv, struct err *e) {
    bool options = true;
    int rc = 0;
    for (int i = 0; i < argc && rc >= 0; i++) {
        const char *word = argv[i], *value = options ? timeout_value(argc, argv, &i) : NULL;
        if (value)
            rc = parse_span(value, true, &r->timeout, e) < 0 ? err_wrap(e, "--timeout") : 0;
        else if (options && strcmp(word, "--") == 0)
            options = false;
        else if (options && word[0] == '-')
            rc = option_parse(r, word, e);
        else
            rc = spec_take(r, word, e);
    }
    if (rc == 0 && !r->spec && !r->help)
        return err_set(e, EINVAL, "SPEC is missing");
    return rc;
}

int probe_main(int argc, char **argv) {
    struct err e = { 0 };
    struct probe_spec spec;
    struct request r = { .timeout = span_s(DEFAULT_TIMEOUT_S) };
    if (request_parse(&r, argc, argv, &e) < 0)
        return bad_usage(e.text);
    if (r.help) {
        usage(stdout);
        return YES;
    }
    if (probe_parse(&spec, r.spec, &e) < 0)
        return bad_usage(e.text);
    int rc = probe_run(&spec, instant_add(instant_now(), r.timeout), &e);
    if (rc == -EOPNOTSUPP)
        return bad_usage(e.text);
    if (!r.quiet)
        (void)printf("%s: %s%s\n", spec.text, rc == 0 ? "ready" : "not ready: ", e.text);
    (void)fflush(stdout);
    while (wait(NULL) > 0) /* for PID 1 may be one that does not reap */
        ;
    return rc == 0 ? YES : NO;
}
