#include "cli/cli.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "base/version.h"
#include "probes/probe.h"

static int verb_probe(int argc, char **argv) { return probe_main(argc - 1, argv + 1); }

static int verb_version(int argc, char **argv) {
    (void)argc;
    (void)argv;
    (void)puts("pinnace " PINNACE_VERSION);
    return CLI_OK;
}

static int verb_help(int argc, char **argv);

/* clang-format off */
static const struct verb verbs[] = {
    { "ready", "[--wait TIME]", "exit 0 when the box is ready, 1 when not, saying why", verb_ready },
    { "wait", "[--timeout TIME]", "wait until the box is ready, showing progress", verb_wait },
    { "status", "[--json]", "the box and its services", verb_status },
    { "timeline", "[--json | --svg]", "what took how long at boot", verb_timeline },
    { "probe", "SPEC [--timeout TIME] [-q]", "make one probe attempt", verb_probe },
    { "doctor", "[-c FILE] [--json | --explain dns [NAME]]", "what collides here, and what is done about it", verb_doctor },
    { "check", "[FILE]", "check the configuration", verb_check },
    { "config", "--dump [FILE] | --help | --mdoc", "print the configuration, or every option", verb_config },
    { "version", "", "print the version", verb_version },
    { "help", "", "print this", verb_help },
};
/* clang-format on */
enum { NVERBS = sizeof verbs / sizeof verbs[0] };

static int verb_help(int argc, char **argv) {
    (void)argc;
    (void)argv;
    (void)printf("pinnace " PINNACE_VERSION ": PID 1 for sandbox images\n\n"
                 "As PID 1:  pinnace [--] [CMD...]      start the box; all arguments are CMD\n"
                 "Otherwise: pinnace VERB ...\n\n"
                 "  %-10s%-44s%s\n",
                 "run", "[-c FILE] [--] [CMD...]", "start a box without being PID 1");
    for (size_t i = 0; i < NVERBS; i++)
        (void)printf("  %-10s%-44s%s\n", verbs[i].name, verbs[i].args, verbs[i].help);
    (void)printf("\nThe configuration is /etc/pinnace.ini: see pinnace.ini(5), pinnace(8).\n");
    return CLI_OK;
}

int cli_usage(const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    (void)fputs("pinnace: ", stderr);
    (void)vfprintf(stderr, fmt, ap);
    (void)fputs("\n", stderr);
    va_end(ap);
    return CLI_USAGE;
}

/* run [-c FILE] [--] [CMD...] */
static int run(int argc, char **argv, instant started) {
    const char *config = NULL;
    int i = 1;
    if (i + 1 < argc && (strcmp(argv[i], "-c") == 0 || strcmp(argv[i], "--config") == 0)) {
        config = argv[i + 1];
        i += 2;
    }
    if (i < argc && strcmp(argv[i], "--") == 0)
        i++;
    else if (i < argc && argv[i][0] == '-')
        return cli_usage("run: unknown option %s; usage: run [-c FILE] [--] [CMD...]", argv[i]);
    return start_box(config, (const char *const *)argv + i, started);
}

int cli_pid1(int argc, char **argv, instant started) {
    int i = argc > 1 && strcmp(argv[1], "--") == 0 ? 2 : 1;
    return start_box(NULL, (const char *const *)argv + (i < argc ? i : argc), started);
}

static int unknown_verb(const char *name) {
    const char *names[NVERBS + 1] = { "run" };
    for (size_t i = 0; i < NVERBS; i++)
        names[i + 1] = verbs[i].name;
    const char *near = nearest(name, names, NVERBS + 1);
    return cli_usage("'%s' is not a verb%s%s%s; `pinnace help` lists them", name,
                     near ? " (did you mean " : "", near ? near : "", near ? "?)" : "");
}

int cli_main(int argc, char **argv, instant started) {
    if (argc < 2) {
        (void)verb_help(argc, argv);
        return CLI_USAGE;
    }
    const char *name = argv[1];
    if (strcmp(name, "run") == 0)
        return run(argc - 1, argv + 1, started);
    if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0)
        name = "version";
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        name = "help";
    for (size_t i = 0; i < NVERBS; i++)
        if (strcmp(verbs[i].name, name) == 0)
            return verbs[i].run(argc - 1, argv + 1);
    return unknown_verb(name);
}
