/* The flags, messages and exit codes of catatonit (podman-init). */
#include <getopt.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "compat/persona.h"
#include "compat/plain.h"

/* `docker info` and `podman info` read the first two words. */
#define VERSION_TEXT "tini version 0.2.1_catatonit\n"

static const char usage_text[] =
    "usage: catatonit [-g] [--] PROGRAM [ARG ...]\n"
    "       catatonit -P | -h | -L | -V\n"
    "\n"
    "Runs PROGRAM, passes signals on to it, reaps orphans and returns its exit status.\n"
    "\n"
    "  -g              signal the program's process group\n"
    "  -P              run no program: only reap, until SIGINT or SIGTERM\n"
    "  -h              this help\n"
    "  -L              where the licence is\n"
    "  -V, --version   the version\n";

static void catatonit_tell(const struct plain_opts *o, enum plain_event what, int a, int b) {
    (void)b;
    if (what == PLAIN_EXEC_FAILED)
        say(2, "ERROR (catatonit:%d): failed to exec %s: %s\n", getpid(), o->argv[0], strerror(a));
    else if (what == PLAIN_SETUP_FAILED)
        say(2, "ERROR (catatonit:%d): cannot start: %s\n", getpid(), strerror(a));
}

/* -1: go on; else the exit status. */
static int take_flag(struct plain_opts *o, int flag, bool *pause) {
    switch (flag) {
    case 'g':
        o->to_group = true;
        return -1;
    case 'P':
        *pause = true;
        return -1;
    case 'h':
        say_text(2, usage_text);
        return 0;
    case 'L':
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
    bool pause = false;
    int flag, done = -1;
    while (done < 0 && (flag = getopt_long(argc, argv, "+ghLPV", longs, NULL)) != -1)
        done = take_flag(o, flag, &pause);
    if (done >= 0 || pause)
        return done;
    if (optind >= argc) {
        say(2, "ERROR (catatonit:%d): missing program name\n", getpid());
        say_text(2, usage_text);
        return 1;
    }
    o->argv = argv + optind;
    return -1;
}

int catatonit_main(int argc, char **argv) {
    struct plain_opts o;
    plain_defaults(&o);
    o.tell = catatonit_tell;
    o.session = PLAIN_GROUP;
    o.tty = PLAIN_TTY_ANY;
    o.exec_codes = (struct plain_exec_codes){ 1, 1, 1 };
    o.fatal = SIGNAL_BIT(SIGFPE) | SIGNAL_BIT(SIGILL) | SIGNAL_BIT(SIGSEGV) | SIGNAL_BIT(SIGBUS) |
              SIGNAL_BIT(SIGABRT) | SIGNAL_BIT(SIGTRAP) | SIGNAL_BIT(SIGSYS);
    o.rewrite[SIGTSTP] = o.rewrite[SIGTTIN] = o.rewrite[SIGTTOU] = 0;
    o.ends = SIGNAL_BIT(SIGINT) | SIGNAL_BIT(SIGTERM);
    o.leave_cwd = o.close_fds = o.listen_pid = true;
    o.subreaper = getpid() != 1;
    int done = take_flags(&o, argc, argv);
    return done >= 0 ? done : plain_run(&o);
}
