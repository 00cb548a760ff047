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
#define PROBE_USAGE(id, name, arg, help)                                                        \
    (void)fprintf(to, "  %-38s %s\n",                                                           \
                  (id) == PROBE_HTTP ? (arg)                                                    \
                                     : ((arg)[0] && (arg)[0] != '[' ? name ":" arg : name arg), \
                  help);
    PROBE_KINDS(PROBE_USAGE)
#undef PROBE_USAGE
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

static int request_parse(struct request *r, int argc, char **argv, struct err *e) {
    bool options = true;
    for (int i = 0; i < argc; i++) {
        const char *value = options ? timeout_value(argc, argv, &i) : NULL;
        if (value) {
            int rc = parse_span(value, true, &r->timeout, e);
            if (rc < 0)
                return err_wrap(e, "--timeout");
        } else if (options && strcmp(argv[i], "--") == 0) {
            options = false;
        } else if (options && (!strcmp(argv[i], "-q") || !strcmp(argv[i], "--quiet"))) {
            r->quiet = true;
        } else if (options && (!strcmp(argv[i], "-h") || !strcmp(argv[i], "--help"))) {
            r->help = true;
        } else if (options && argv[i][0] == '-') {
            return err_set(e, EINVAL, "'%s' is not one of --timeout, --quiet, --help", argv[i]);
        } else if (r->spec) {
            return err_set(e, EINVAL, "'%s' is one word too many: quote the SPEC", argv[i]);
        } else {
            r->spec = argv[i];
        }
    }
    return r->spec || r->help ? 0 : err_set(e, EINVAL, "SPEC is missing");
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
