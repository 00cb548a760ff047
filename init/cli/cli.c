#include "cli/cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "base/version.h"
#include "machine/machine.h"
#include "probes/probe.h"

enum { HELP_TEXT = 8192 };

/* clang-format off */
#define END { NULL, 0, NULL, NULL }
#define JSON { "json", 0, NULL, "as JSON" }
#define USER { "user", 'u', "USER", "act as NAME, UID, NAME:GROUP or UID:GID" }
static const struct option run_options[] = {
    { "config", 'c', "FILE", "read this configuration" },
    END
}, exec_options[] = {
    { "interactive", 'i', NULL, "pass standard input on" },
    { "tty", 't', NULL, "give the command a terminal" },
    { "detach", 'd', NULL, "print its id, and leave it running" },
    USER,
    { "workdir", 'w', "DIR", "start in this directory" },
    { "env", 'e', "NAME[=VALUE]", "set a variable, or pass it on" },
    { "env-file", 0, "FILE", "the same, from a file of lines" },
    { "timeout", 0, "TIME", "then TERM, and KILL 2s later; status 124" },
    { "tag", 0, "TEXT", "a name for the job" },
    { "key", 0, "TEXT", "the same key again is the same job" },
    { "detach-keys", 0, "KEYS", "leave the job running (ctrl-p,ctrl-q)" },
    END
}, attach_options[] = {
    { "from", 0, "N", "begin at this byte of the output (0: all that is kept)" },
    { "no-stdin", 0, NULL, "do not pass standard input on" },
    { "detach-keys", 0, "KEYS", "leave the job running (ctrl-p,ctrl-q)" },
    END
}, ps_options[] = {
    { "all", 'a', NULL, "those that have ended, too" },
    { "quiet", 'q', NULL, "names and ids only" },
    JSON, END
}, top_options[] = {
    { "count", 'n', "N", "end after N tables" },
    { "every", 'd', "TIME", "the time between them (2s)" },
    JSON, END
}, logs_options[] = {
    { "follow", 'f', NULL, "go on with what comes" },
    { "since", 0, "TIME", "not older than 10m, or 2026-01-02T15:04:05Z" },
    { "tail", 'n', "N", "the last N lines, or all" },
    { "timestamps", 't', NULL, "with the time of each line" },
    END
}, kill_options[] = {
    { "signal", 's', "SIG", "a name or number (KILL)" },
    { "scope", 0, "SCOPE", "tree, group or leader (tree)" },
    END
}, unit_options[] = {
    { "no-wait", 0, NULL, "do not wait until it is so" },
    { "timeout", 't', "TIME", "wait so long at most" },
    END
}, cp_options[] = {
    { "archive", 'a', NULL, "keep owners" },
    { "follow-link", 'L', NULL, "copy what SRC points to" },
    { "quiet", 'q', NULL, "show no progress" },
    USER, END
}, ls_options[] = {
    { "long", 'l', NULL, "with mode, owner, size and time" },
    { "all", 'a', NULL, "names that begin with a dot, too" },
    JSON, USER, END
}, cat_options[] = {
    USER, END
}, json_option[] = {
    JSON, END
}, ready_options[] = {
    { "wait", 0, "[TIME]", "until it is, it cannot be, or TIME has passed" },
    END
}, wait_options[] = {
    { "timeout", 0, "TIME", "wait so long at most" },
    { "quiet", 'q', NULL, "show no progress" },
    END
}, timeline_options[] = {
    JSON,
    { "svg", 0, NULL, "as a picture" },
    END
}, doctor_options[] = {
    { "config", 'c', "FILE", "read this configuration" },
    { "explain", 0, "dns", "how NAME is resolved, step by step" },
    JSON, END
}, config_options[] = {
    { "dump", 0, NULL, "the configuration in force" },
    { "help", 0, NULL, "every option there is" },
    { "mdoc", 0, NULL, "the same for the manual" },
    END
};

static int verb_help(const struct args *a);
static int verb_probe(const struct args *a) { return probe_main(a->nwords, a->words); }
static int verb_run(const struct args *a) {
    return start_box(args_value(a, "config"), (const char *const *)a->words, false, a->started);
}
static int verb_version(const struct args *a) {
    (void)a;
    return puts("pinnace " PINNACE_VERSION) < 0;
}

#define R VERB_REMOTE
static const struct verb verbs[] = {
    { "run", "[--] [CMD...]", 0, ANY_NUMBER, VERB_REST, WORD_COMMAND, run_options, verb_run,
      "start a box without being PID 1" },
    { "exec", "CMD [ARG...]", 1, ANY_NUMBER, R | VERB_REST | VERB_COMMAND, WORD_COMMAND, exec_options, verb_exec,
      "run a command in the box, and end as it does" },
    { "attach", "JOB", 1, 1, R | VERB_COMMAND, WORD_JOB, attach_options, verb_attach,
      "connect to a job, by id or tag, and end as it does" },
    { "ps", "", 0, 0, R, WORD_NONE, ps_options, verb_ps, "units and jobs" },
    { "top", "", 0, 0, R, WORD_NONE, top_options, verb_top, "processes by unit and job, live" },
    { "logs", "UNIT|JOB", 1, 1, R, WORD_NAME, logs_options, verb_logs, "what a unit or job has printed" },
    { "kill", "JOB...", 1, ANY_NUMBER, R, WORD_JOB, kill_options, verb_kill, "send a signal to jobs" },
    { "start", "UNIT...", 1, ANY_NUMBER, R, WORD_UNIT, unit_options, verb_unit, "start units, and wait until they are ready" },
    { "stop", "UNIT...", 1, ANY_NUMBER, R, WORD_UNIT, unit_options, verb_unit, "stop units, and wait until they are down" },
    { "restart", "UNIT...", 1, ANY_NUMBER, R, WORD_UNIT, unit_options, verb_unit, "stop and start units, and wait until they are ready" },
    { "cp", "SRC DST", 2, 2, R, WORD_FILE, cp_options, verb_cp, "copy files; :PATH is in the box, - is a tar stream" },
    { "ls", "PATH", 1, 1, R, WORD_NONE, ls_options, verb_ls, "list a directory of the box" },
    { "cat", "PATH...", 1, ANY_NUMBER, R, WORD_NONE, cat_options, verb_cat, "print files of the box" },
    { "status", "", 0, 0, R, WORD_NONE, json_option, verb_status, "the box and its services" },
    { "ready", "[TIME]", 0, 1, R, WORD_NONE, ready_options, verb_ready, "exit 0 when the box is ready, 1 when not, saying why" },
    { "wait", "", 0, 0, R, WORD_NONE, wait_options, verb_wait, "wait until the box is ready, showing progress" },
    { "timeline", "", 0, 0, R, WORD_NONE, timeline_options, verb_timeline, "what took how long at boot" },
    { "probe", "SPEC [--timeout TIME] [-q]", 0, ANY_NUMBER, VERB_RAW, WORD_NONE, NULL, verb_probe, "make one probe attempt" },
    { "doctor", "[NAME]", 0, 1, 0, WORD_NONE, doctor_options, verb_doctor, "what collides here, and what is done about it" },
    { "check", "[FILE]", 0, 1, 0, WORD_FILE, NULL, verb_check, "check the configuration" },
    { "config", "[FILE]", 0, 1, 0, WORD_FILE, config_options, verb_config, "print the configuration, or every option" },
    { "completion", "bash|zsh|fish", 1, 1, 0, WORD_SHELL, NULL, verb_completion, "print completions for a shell" },
    { "version", "", 0, 0, 0, WORD_NONE, NULL, verb_version, "print the version" },
    { "help", "[VERB]", 0, 1, 0, WORD_VERB, NULL, verb_help, "print this, or the options of a verb" },
};
/* clang-format on */
enum { NVERBS = sizeof verbs / sizeof verbs[0] };

const struct verb *cli_verb(size_t i) { return i < NVERBS ? &verbs[i] : NULL; }

/* --- saying things ---------------------------------------------------------------------------- */

static void print_usage(const struct verb *v, bool full, FILE *to) {
    char buf[HELP_TEXT];
    struct text t = TEXT(buf);
    args_usage(v, full, &t);
    (void)fputs(buf, to);
}

int cli_usage(const struct args *a, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    (void)fprintf(stderr, "pinnace: %s: ", a->verb->name);
    (void)vfprintf(stderr, fmt, ap);
    (void)fputs("\n", stderr);
    va_end(ap);
    print_usage(a->verb, false, stderr);
    return a->verb->flags & VERB_COMMAND ? CLI_CHANNEL : CLI_USAGE;
}

int cli_fail(const struct err *e) {
    (void)fprintf(stderr, "pinnace: %s\n", e->text);
    return CLI_NO;
}

static int unknown_verb(const char *name) {
    const char *names[NVERBS];
    for (size_t i = 0; i < NVERBS; i++)
        names[i] = verbs[i].name;
    const char *near = nearest(name, names, NVERBS);
    (void)fprintf(stderr, "pinnace: '%s' is not a verb%s%s%s; `pinnace help` lists them\n", name,
                  near ? " (did you mean " : "", near ? near : "", near ? "?)" : "");
    return CLI_USAGE;
}

static const struct verb *find_verb(const char *name) {
    for (size_t i = 0; i < NVERBS; i++)
        if (strcmp(verbs[i].name, name) == 0)
            return &verbs[i];
    return NULL;
}

static int verb_help(const struct args *a) {
    if (a->nwords) {
        const struct verb *v = find_verb(a->words[0]);
        if (!v)
            return unknown_verb(a->words[0]);
        print_usage(v, true, stdout);
        return CLI_OK;
    }
    (void)fputs("pinnace " PINNACE_VERSION ": PID 1 for sandbox images\n\n"
                "As PID 1:  pinnace [--] [CMD...]      start the box; all arguments are CMD\n"
                "Otherwise: pinnace [-H HOST] VERB ...\n\n",
                stdout);
    for (size_t i = 0; i < NVERBS; i++)
        (void)printf("  %-12s%s\n", verbs[i].name, verbs[i].help);
    (void)fputs(
        "\nHOST is unix:///PATH, tcp://HOST:PORT, vsock://CID:PORT or vsock:///PATH:PORT, also in\n"
        "$PINNACE_HOST; a token in $PINNACE_TOKEN or $PINNACE_TOKEN_FILE. `pinnace help VERB` has "
        "the "
        "options.\nThe configuration is /etc/pinnace.ini: see pinnace.ini(5), pinnace(8).\n",
        stdout);
    return CLI_OK;
}

/* --- lives ------------------------------------------------------------------------------------ */

int cli_pid1(int argc, char **argv, bool machine, instant started) {
    int i = machine ? machine_cmd(argc) : argc > 1 && strcmp(argv[1], "--") == 0 ? 2 : 1;
    return start_box(NULL, (const char *const *)argv + (i < argc ? i : argc), machine, started);
}

static int run_verb(struct args *a, int argc, char **argv) {
    struct err e = { 0 };
    int status = CLI_OK;
    int rc = args_parse(a, argc, argv, &e);
    if (rc == -ENOMEM)
        status = cli_fail(&e);
    else if (rc < 0)
        status = cli_usage(a, "%s", e.text);
    else if (a->help)
        print_usage(a->verb, true, stdout);
    else
        status = a->verb->run(a);
    args_free(a);
    /* What is still in a buffer may not fit where it goes. */
    if ((fflush(stdout) != 0 || ferror(stdout)) && status == CLI_OK) {
        perror("pinnace: write");
        status = CLI_NO;
    }
    return status;
}

int cli_main(int argc, char **argv, instant started) {
    struct args a = { .started = started };
    struct err e = { 0 };
    const char *name = NULL;
    int at = args_before_verb(&a, argc, argv, &name, &e);
    if (at < 0) {
        (void)cli_fail(&e);
        return CLI_USAGE;
    }
    if (!name && at >= argc) {
        a.verb = find_verb("help");
        (void)verb_help(&a);
        return CLI_USAGE;
    }
    bool by_option = name != NULL;
    if (!name)
        name = argv[at++];
    a.verb = find_verb(name);
    return a.verb ? run_verb(&a, by_option ? 0 : argc - at, argv + at) : unknown_verb(name);
}
