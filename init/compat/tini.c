/* The flags, messages and exit codes of tini (docker-init). */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/str.h"
#include "compat/persona.h"
#include "compat/plain.h"

/* `docker info` reads the words before the number. */
#define VERSION_TEXT "tini version 0.19.0_pinnace\n"

static const char usage_text[] = VERSION_TEXT
    "usage: tini [-s] [-p SIGNAL] [-v] [-w] [-g] [-e STATUS] [-l] [--] PROGRAM [ARG ...]\n"
    "       tini -h | --version\n"
    "\n"
    "Runs PROGRAM under the supervision of a valid init process: signals are passed on to\n"
    "it, orphans are reaped, and its exit status is returned.\n"
    "\n"
    "  -s            adopt orphans though not PID 1 (or set TINI_SUBREAPER)\n"
    "  -p SIGNAL     have this signal sent to tini when its parent dies\n"
    "  -v            more verbose; up to three times (or set TINI_VERBOSITY, default 1)\n"
    "  -w            warn of each zombie that is reaped\n"
    "  -g            signal the program's process group (or set TINI_KILL_PROCESS_GROUP)\n"
    "  -e STATUS     return 0 where the program's status is STATUS, 0 to 255; repeatable\n"
    "  -l            where the licence is\n"
    "  -h            this help\n"
    "  --version     the version\n"
    "\n"
    "Exit status: the program's, 128 plus the number of the signal that ended it, 126 if it\n"
    "may not be executed, 127 if it was not found.\n";

static const char no_reaper_text[] =
    "[WARN  tini] neither PID 1 nor a child subreaper: orphans will not come to this process,\n"
    "so zombie reaping won't work. Run it as PID 1, or use -s, or set TINI_SUBREAPER.\n";

enum { TINI_WARN = 1, TINI_INFO, TINI_DEBUG, TINI_TRACE };

static void tell_reaped(const struct plain_opts *o, pid_t pid, bool orphan) {
    if (o->verbosity >= TINI_DEBUG)
        say(1, "[DEBUG tini (%d)] Reaped child with pid: '%d'\n", getpid(), pid);
    if (orphan && o->tell_reaped && o->verbosity >= TINI_WARN)
        say(2, "[WARN  tini (%d)] Reaped zombie process with pid=%d\n", getpid(), pid);
}

static void tell_ended(const struct plain_opts *o, pid_t pid, int wait_status) {
    tell_reaped(o, pid, false);
    if (o->verbosity < TINI_INFO)
        return;
    if (WIFSIGNALED(wait_status))
        say(1, "[INFO  tini (%d)] Main child exited with signal (with signal '%s')\n", getpid(),
            strsignal(WTERMSIG(wait_status)));
    else
        say(1, "[INFO  tini (%d)] Main child exited normally (with status '%d')\n", getpid(),
            WEXITSTATUS(wait_status));
}

static void tell_signal(int sig) {
    char name[32];
    if (sig == SIGCHLD)
        say(1, "[DEBUG tini (%d)] Received SIGCHLD\n", getpid());
    else
        say(1, "[DEBUG tini (%d)] Passing signal: '%s'\n", getpid(),
            signal_name(name, sizeof name, sig));
}

/* The first message that matters to a person, FATAL, is for any verbosity. */
static void tini_tell(const struct plain_opts *o, enum plain_event what, int a, int b) {
    if (what == PLAIN_EXEC_FAILED)
        say(2, "[FATAL tini (%d)] exec %s failed: %s\n", getpid(), o->argv[0], strerror(a));
    else if (what == PLAIN_SETUP_FAILED)
        say(2, "[FATAL tini (%d)] cannot start: %s\n", getpid(), strerror(a));
    else if (what == PLAIN_SPAWNED && o->verbosity >= TINI_INFO)
        say(1, "[INFO  tini (%d)] Spawned child process '%s' with pid '%d'\n", getpid(), o->argv[0],
            a);
    else if (what == PLAIN_CAUGHT && o->verbosity >= TINI_DEBUG)
        tell_signal(a);
    else if (what == PLAIN_REAPED)
        tell_reaped(o, a, true);
    else if (what == PLAIN_ENDED)
        tell_ended(o, a, b);
}

/* -1: run; else the exit status. */
static int refuse(char flag, const char *value) {
    say(2, "[FATAL tini (%d)] Not a valid option for -%c: %s\n", getpid(), flag, value);
    return 1;
}

static int forgive(struct plain_opts *o, const char *text) {
    unsigned status;
    if (parse_uint(text, 0, 255, &status, NULL) < 0)
        return refuse('e', text);
    o->forgiven[status / 64] |= UINT64_C(1) << (status % 64);
    return -1;
}

static int set_pdeathsig(struct plain_opts *o, const char *text) {
    o->pdeathsig = signal_number(text);
    return o->pdeathsig > 0 ? -1 : refuse('p', text);
}

static int take_flag(struct plain_opts *o, int flag) {
    switch (flag) {
    case 's':
        o->subreaper = true;
        return -1;
    case 'v':
        o->verbosity++;
        return -1;
    case 'w':
        o->tell_reaped = true;
        return -1;
    case 'g':
        o->to_group = true;
        return -1;
    case 'e':
        return forgive(o, optarg);
    case 'p':
        return set_pdeathsig(o, optarg);
    case 'h':
        say_text(1, usage_text);
        return 0;
    case 'l':
        say_text(1, "pinnace and its parts: see LICENSE of the distribution.\n");
        return 0;
    case 'V':
        say_text(1, VERSION_TEXT);
        return 0;
    default:
        say_text(2, usage_text);
        return 1;
    }
}

static int take_flags(struct plain_opts *o, int argc, char **argv) {
    static const struct option longs[] = { { "version", no_argument, NULL, 'V' }, { 0 } };
    int flag, done = -1;
    while (done < 0 && (flag = getopt_long(argc, argv, "+hlsvwge:p:", longs, NULL)) != -1)
        done = take_flag(o, flag);
    if (done < 0 && optind >= argc) {
        say_text(2, usage_text);
        return 1;
    }
    o->argv = argv + optind;
    return done;
}

/* The environment counts after the flags: docker-init gets none of those. */
static void take_environment(struct plain_opts *o) {
    o->subreaper |= getenv("TINI_SUBREAPER") != NULL;
    o->to_group |= getenv("TINI_KILL_PROCESS_GROUP") != NULL;
    const char *verbosity = getenv("TINI_VERBOSITY");
    if (verbosity)
        o->verbosity = atoi(verbosity);
}

static bool adopts_orphans(const struct plain_opts *o) {
    int subreaper = 0;
    return o->subreaper || getpid() == 1 ||
           (prctl(PR_GET_CHILD_SUBREAPER, &subreaper) == 0 && subreaper);
}

int tini_main(int argc, char **argv) {
    struct plain_opts o;
    plain_defaults(&o);
    o.verbosity = TINI_WARN;
    o.tell = tini_tell;
    o.session = PLAIN_GROUP;
    o.fatal = SIGNAL_BIT(SIGFPE) | SIGNAL_BIT(SIGILL) | SIGNAL_BIT(SIGSEGV) | SIGNAL_BIT(SIGBUS) |
              SIGNAL_BIT(SIGABRT) | SIGNAL_BIT(SIGTRAP) | SIGNAL_BIT(SIGSYS);
    o.rewrite[SIGTTIN] = o.rewrite[SIGTTOU] = 0;
    int done = take_flags(&o, argc, argv);
    if (done >= 0)
        return done;
    take_environment(&o);
    if (o.verbosity >= TINI_WARN && !adopts_orphans(&o))
        say_text(2, no_reaper_text);
    return plain_run(&o);
}
