/* The flags, messages and exit codes of dumb-init. */
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/str.h"
#include "compat/persona.h"
#include "compat/plain.h"

#define VERSION_TEXT "dumb-init v1.2.5\n"
enum { DUMB_INIT_SIGNALS = 31 }; /* the last one that -r takes */

static const char usage_text[] = VERSION_TEXT
    "usage: dumb-init [-c] [-r FROM:TO] ... [-v] [--] PROGRAM [ARG ...]\n"
    "       dumb-init -h | -V\n"
    "\n"
    "Runs PROGRAM in a session of its own, passes signals on to its process group, reaps\n"
    "orphans and returns its exit status.\n"
    "\n"
    "  -c, --single-child   signal the program alone, and make no session for it\n"
    "                       (or set DUMB_INIT_SETSID=0)\n"
    "  -r, --rewrite F:T    send signal T where F was received; by number, 1 to 31, or name;\n"
    "                       T may be 0, to send none; repeatable\n"
    "  -v, --verbose        tell what happens (or set DUMB_INIT_DEBUG=1)\n"
    "  -h, --help           this help\n"
    "  -V, --version        the version\n";

static const char rewrite_text[] =
    "dumb-init: -r takes FROM:TO, where FROM is a signal from 1 to 31 and TO is one from 0\n"
    "to 31, by number or name. It may be given several times. See --help.\n";

static const char short_text[] = "usage: dumb-init [-c] [-r FROM:TO] [-v] [--] PROGRAM [ARG ...]\n"
                                 "See dumb-init --help.\n";

static void tell_reaped(pid_t pid, int wait_status) {
    if (WIFSIGNALED(wait_status))
        say(2, "[dumb-init] A child with PID %d was terminated by signal %d.\n", pid,
            WTERMSIG(wait_status));
    else
        say(2, "[dumb-init] A child with PID %d exited with exit status %d.\n", pid,
            WEXITSTATUS(wait_status));
}

static void tell_verbosely(const struct plain_opts *o, enum plain_event what, int a, int b) {
    switch (what) {
    case PLAIN_SPAWNED:
        if (o->session == PLAIN_SESSION)
            say_text(2, "[dumb-init] setsid complete.\n");
        say(2, "[dumb-init] Child spawned with PID %d.\n", a);
        break;
    case PLAIN_CAUGHT:
        say(2, "[dumb-init] Received signal %d.\n", a);
        break;
    case PLAIN_FORWARDED:
        say(2, "[dumb-init] Forwarded signal %d to children.\n", a);
        break;
    case PLAIN_DROPPED:
        say(2, "[dumb-init] Not forwarding signal %d to children.\n", a);
        break;
    case PLAIN_HANDOFF:
        say(2, "[dumb-init] Ignoring tty hand-off signal %d.\n", a);
        break;
    case PLAIN_STOPPING:
        say_text(2, "[dumb-init] Suspending self due to TTY signal.\n");
        break;
    case PLAIN_REAPED:
    case PLAIN_ENDED:
        tell_reaped(a, b);
        break;
    case PLAIN_LEAVING:
        say(2, "[dumb-init] Child exited with status %d. Goodbye.\n", a);
        break;
    case PLAIN_EXEC_FAILED:
    case PLAIN_SETUP_FAILED:
        break;
    }
}

static void dumb_init_tell(const struct plain_opts *o, enum plain_event what, int a, int b) {
    if (what == PLAIN_EXEC_FAILED)
        say(2, "[dumb-init] %s: %s\n", o->argv[0], strerror(a));
    else if (what == PLAIN_SETUP_FAILED)
        say(2, "[dumb-init] Unable to start: %s\n", strerror(a));
    else if (o->verbosity > 0)
        tell_verbosely(o, what, a, b);
}

/* One side of FROM:TO; -1 if it is none. */
static int parse_side(const char *text, size_t len) {
    char word[16];
    if (len >= sizeof word)
        return -1;
    memcpy(word, text, len);
    word[len] = '\0';
    if (strcmp(word, "0") == 0)
        return 0;
    int sig = signal_number(word);
    return sig <= DUMB_INIT_SIGNALS ? sig : -1;
}

static int add_rewrite(struct plain_opts *o, uint64_t *given, const char *text) {
    const char *colon = strchr(text, ':');
    int from = colon ? parse_side(text, (size_t)(colon - text)) : -1;
    int to = colon ? parse_side(colon + 1, strlen(colon + 1)) : -1;
    if (from < 1 || to < 0) {
        say_text(2, rewrite_text);
        return 1;
    }
    o->rewrite[from] = (uint8_t)to;
    *given |= SIGNAL_BIT(from);
    return -1;
}

/* -1: run; else the exit status. */
static int take_flag(struct plain_opts *o, int flag, uint64_t *given) {
    switch (flag) {
    case 'c':
        o->session = PLAIN_SAME;
        return -1;
    case 'r':
        return add_rewrite(o, given, optarg);
    case 'v':
        o->verbosity = 1;
        return -1;
    case 'h':
        say_text(2, usage_text);
        return 0;
    case 'V':
        say_text(2, VERSION_TEXT);
        return 0;
    default:
        return 1; /* getopt has said why */
    }
}

static int take_flags(struct plain_opts *o, int argc, char **argv, uint64_t *given) {
    static const struct option longs[] = {
        { "single-child", no_argument, NULL, 'c' }, { "rewrite", required_argument, NULL, 'r' },
        { "verbose", no_argument, NULL, 'v' },      { "help", no_argument, NULL, 'h' },
        { "version", no_argument, NULL, 'V' },      { 0 },
    };
    int flag, done = -1;
    while (done < 0 && (flag = getopt_long(argc, argv, "+cr:vhV", longs, NULL)) != -1)
        done = take_flag(o, flag, given);
    if (done < 0 && optind >= argc) {
        say_text(2, short_text);
        return 1;
    }
    o->argv = argv + optind;
    return done;
}

static void take_environment(struct plain_opts *o) {
    const char *debug = getenv("DUMB_INIT_DEBUG");
    if (debug && strcmp(debug, "1") == 0)
        o->verbosity = 1;
    const char *session = getenv("DUMB_INIT_SETSID");
    if (session && strcmp(session, "0") == 0)
        o->session = PLAIN_SAME;
}

/* In a session without a shell, the terminal's own stop signals do nothing (POSIX: an
 * orphaned process group); SIGSTOP does. */
static void set_job_control(struct plain_opts *o, uint64_t given) {
    static const int stops[] = { SIGTSTP, SIGTTIN, SIGTTOU };
    for (size_t i = 0; i < sizeof stops / sizeof stops[0]; i++) {
        o->stops |= SIGNAL_BIT(stops[i]);
        if (o->session == PLAIN_SESSION && !(given & SIGNAL_BIT(stops[i])))
            o->rewrite[stops[i]] = SIGSTOP;
    }
}

int dumb_init_main(int argc, char **argv) {
    struct plain_opts o;
    uint64_t given = 0;
    plain_defaults(&o);
    o.tell = dumb_init_tell;
    o.session = PLAIN_SESSION;
    o.exec_codes = (struct plain_exec_codes){ 2, 2, 2 };
    o.leave_cwd = o.open_mask = true;
    take_environment(&o);
    int done = take_flags(&o, argc, argv, &given);
    if (done >= 0)
        return done;
    o.to_group = o.session == PLAIN_SESSION;
    o.term_group = o.to_group;
    set_job_control(&o, given);
    return plain_run(&o);
}
