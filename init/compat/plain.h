/* plain.h — one program, its signals, and every orphan: a plain init.
 *
 *     struct plain_opts o;
 *     plain_defaults(&o);
 *     o.argv = argv + 1;
 *     return plain_run(&o);
 *
 * It sleeps in rt_sigtimedwait(2), which takes all 64 signals, needs no descriptor and
 * is one system call a signal; idle, it is never woken. It returns as soon as the
 * program has ended, leaving whatever else runs to the kernel.
 */
#ifndef COMPAT_PLAIN_H
#define COMPAT_PLAIN_H

#include <stdbool.h>
#include <stdint.h>

#include "sys/signals.h"

enum plain_session {
    PLAIN_SAME,    /* the program stays in our process group */
    PLAIN_GROUP,   /* it leads a group of its own */
    PLAIN_SESSION, /* it leads a session of its own and takes over our terminal */
};

/* Which terminal is handed to the program's group; with PLAIN_GROUP only. */
enum plain_tty { PLAIN_TTY_STDIN, PLAIN_TTY_ANY };

/* What there is to tell, with the meaning of its two numbers. */
enum plain_event {
    PLAIN_SPAWNED,      /* pid */
    PLAIN_CAUGHT,       /* signal */
    PLAIN_FORWARDED,    /* signal as sent; 0 or -errno */
    PLAIN_DROPPED,      /* signal */
    PLAIN_HANDOFF,      /* signal that came of letting go the terminal */
    PLAIN_STOPPING,     /* we are about to stop ourselves */
    PLAIN_REAPED,       /* pid; wait status: an orphan */
    PLAIN_ENDED,        /* pid; wait status: the program */
    PLAIN_LEAVING,      /* exit status: the last word */
    PLAIN_EXEC_FAILED,  /* errno; told by the child */
    PLAIN_SETUP_FAILED, /* errno: fork or prctl */
};

/* Exit status of the child that could not execute. */
struct plain_exec_codes {
    int not_found; /* ENOENT */
    int denied;    /* EACCES */
    int other;
};

struct plain_opts {
    /* The program; argv[0] is looked up on PATH. NULL: only
     * reap, until a signal of `ends` comes (then the status is 0). */
    char **argv;
    uint64_t fatal;                  /* left to the kernel: never blocked, never forwarded */
    uint64_t ends;                   /* with argv NULL */
    uint64_t stops;                  /* stop ourselves too after passing one of these on */
    uint8_t rewrite[SIGNAL_MAX + 1]; /* signal to send for each caught; 0: none */
    uint64_t forgiven[4];            /* exit statuses that become 0: bit n%64 of word n/64 */
    enum plain_session session;
    enum plain_tty tty;
    struct plain_exec_codes exec_codes;
    int pdeathsig;   /* PR_SET_PDEATHSIG for us; 0: none */
    bool to_group;   /* signals go to the program's group */
    bool term_group; /* so does a SIGTERM when the program has ended */
    bool subreaper;
    bool open_mask;   /* start the program with no signal blocked, not as we were */
    bool leave_cwd;   /* wait in /, so that no mount is pinned */
    bool close_fds;   /* do not hold descriptors above 2 */
    bool listen_pid;  /* LISTEN_PID, if it names us, shall name the program */
    bool tell_reaped; /* for tell: warn of each zombie that is not the program */
    int verbosity;    /* for tell */
    void (*tell)(const struct plain_opts *o, enum plain_event what, int a, int b); /* or NULL */
};

/* Forward everything but SIGCHLD to the program alone, and say nothing. */
void plain_defaults(struct plain_opts *o);

/* Returns the exit status for our caller: the program's, 128 + signal, or 1 when it
 * could not even be forked. */
int plain_run(const struct plain_opts *o);

/* The status as it is reported, before anything is forgiven. */
int plain_status(int wait_status);

/* --- launch.c: the child's side --- */

struct plain_launch {
    uint64_t mask;        /* blocked signals for the program */
    bool sigchld_ignored; /* we were started so; the program shall be too */
    int cwd;              /* directory to go back to; -1: stay */
};

/* Forks and executes o->argv. Returns the pid or -errno; never waits. */
pid_t plain_launch(const struct plain_opts *o, const struct plain_launch *how);

#endif
