#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "base/own.h"
#include "base/str.h"
#include "compat/plain.h"
#include "sys/exec.h"

extern char **environ;

/* Give the terminal to our new group, if it was our parent's to give: a job in the
 * background must not take it from the shell's foreground. TTOU is blocked here, so the
 * kernel neither stops us nor refuses (tcsetpgrp(3)). */
static void take_foreground(enum plain_tty which, pid_t old_group) {
    AUTO_FD int tty = -1;
    pid_t front = tcgetpgrp(0);
    if (front < 0 && which == PLAIN_TTY_ANY) {
        tty = open("/dev/tty", O_RDWR | O_CLOEXEC);
        front = tty < 0 ? -1 : tcgetpgrp(tty);
    }
    if (front >= 0 && front == old_group)
        (void)tcsetpgrp(tty < 0 ? 0 : tty, getpid());
}

static void join_session(const struct plain_opts *o) {
    pid_t old_group = getpgrp();
    if (o->session == PLAIN_SESSION) {
        (void)setsid();
        (void)ioctl(0, TIOCSCTTY, 0);
    } else if (o->session == PLAIN_GROUP && setpgid(0, 0) == 0) {
        take_foreground(o->tty, old_group);
    }
}

/* sd_listen_fds(3) of the program compares LISTEN_PID with its own pid. Edited in place:
 * `entry` lives until exec. */
static void take_listen_pid(char *entry, size_t cap, pid_t parent) {
    static const char key[] = "LISTEN_PID=";
    for (char **e = environ; e && *e; e++)
        if (has_prefix(*e, key) && strtol(*e + sizeof key - 1, NULL, 10) == parent) {
            (void)snprintf(entry, cap, "%s%d", key, (int)getpid());
            *e = entry;
        }
}

static int exec_code(const struct plain_exec_codes *codes, int why) {
    return why == ENOENT ? codes->not_found : why == EACCES ? codes->denied : codes->other;
}

static _Noreturn void become_program(const struct plain_opts *o, const struct plain_launch *how,
                                     pid_t parent) {
    char listen_pid[32];
    join_session(o);
    if (how->cwd >= 0)
        (void)fchdir(how->cwd);
    if (o->listen_pid)
        take_listen_pid(listen_pid, sizeof listen_pid, parent);
    if (how->sigchld_ignored)
        (void)signal(SIGCHLD, SIG_IGN);
    (void)signals_block(how->mask);
    int why = exec_program((const char *const *)o->argv);
    if (o->tell)
        o->tell(o, PLAIN_EXEC_FAILED, why, 0);
    _exit(exec_code(&o->exec_codes, why));
}

pid_t plain_launch(const struct plain_opts *o, const struct plain_launch *how) {
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0)
        become_program(o, how, parent);
    return pid < 0 ? -errno : pid;
}
