/* sys.h — the calls that make time pass or processes exist.
 *
 * Everything else uses the kernel directly: pipes, sockets and files behave the
 * same in a test. These do not, so they go through this table, and tests/sim has
 * a second implementation whose clock moves when it is told to.
 */
#ifndef SYS_SYS_H
#define SYS_SYS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/time.h"

struct epoll_event;
struct signalfd_siginfo;

/* How a process ended. */
struct exit_info {
    pid_t pid;
    bool signaled;
    bool core;
    int code; /* exit status, or the signal's number when `signaled` */

    bool has_usage; /* getrusage(2) of it and of the children that it has waited for: */
    span user, system;
    int64_t max_rss; /* bytes, of the largest of them */
};

/* What a shell would say: the status, or 128 + signal. */
static inline int exit_status(struct exit_info how) {
    return how.signaled ? 128 + how.code : how.code;
}

struct spawn_limit {
    int resource; /* RLIMIT_* */
    struct rlimit value;
};

/* A program to run. All pointers are borrowed for the duration of the call. */
struct spawn_req {
    const char *const *argv; /* argv[0] is looked up on the PATH of `envp` */
    const char *const *envp;
    const char *cwd; /* NULL: inherit */
    bool home_cwd; /* cwd is relative to the user's home, as is what follows "~/"; where it is NULL
                    * and there is a user it is that home, or else / */
    const char *user; /* NULL: inherit; else NAME|UID[:GROUP|GID], looked up in the child */
    int stdio[3];     /* to become fd 0, 1, 2; -1: inherit */
    bool own_session; /* setsid; else own_group: setpgid */
    bool own_group;
    bool foreground; /* hand the terminal on fd 0 to the new group */
    bool ctty;       /* with own_session: the terminal on fd 0 becomes the controlling one */
    bool only_stdio; /* close every other fd; else keep those without close-on-exec */
    bool login_env;  /* with `user`: set HOME, USER, LOGNAME, SHELL for that user */
    const char *const *env_over; /* put over all of it: NAME=value; NAME removes. NULL: none */
    int cgroup_fd;               /* cgroup v2 directory to join; -1: inherit */
    int oom_score_adj;           /* OOM_INHERIT: leave */
    const struct spawn_limit *limits;
    size_t nlimits;
    uint64_t sigmask;     /* blocked signals at exec, bit n-1 for signal n */
    bool sigchld_ignored; /* at exec; all other dispositions are as pinnace was started with */

    /* Called first of all in the child, with every descriptor of the parent still there; nonzero
     * ends the start: a positive errno, told as STEP_ANNOUNCE. *exec_fd is set by then. NULL: none.
     */
    int (*announce)(void *arg);
    void *announce_arg;
};
enum { OOM_INHERIT = -32768 };

/* Which step between fork and exec failed; written by the child, atomically. */
#define SPAWN_STEPS(X)                             \
    X(STEP_ANNOUNCE, "tell PID 1 of itself")       \
    X(STEP_STDIO, "set up stdin, stdout, stderr")  \
    X(STEP_CGROUP, "join its cgroup")              \
    X(STEP_SESSION, "make its session")            \
    X(STEP_LIMITS, "set its resource limits")      \
    X(STEP_USER, "find its user")                  \
    X(STEP_GROUPS, "set its groups")               \
    X(STEP_UID, "become its user")                 \
    X(STEP_CWD, "enter its working directory")     \
    X(STEP_INTERPRETER, "find the interpreter of") \
    X(STEP_EXEC, "execute")
#define STEP_ENUMERATOR(id, text) id,
enum spawn_step { SPAWN_STEPS(STEP_ENUMERATOR) SPAWN_NSTEPS };
#undef STEP_ENUMERATOR

struct exec_failure {
    int32_t step; /* enum spawn_step */
    int32_t code; /* errno */
};

const char *spawn_step_text(int step);

/* A fork of ourselves that runs one function: a role or an attempt. */
struct fork_req {
    const char *title;     /* shown by ps as "pinnace: TITLE" */
    int (*run)(void *arg); /* its result is the exit status */
    void *arg;
    const int *keep; /* fds that stay open besides 0, 1, 2 */
    size_t nkeep;

    bool own_group; /* so that it and what it starts can be killed together */
};

struct sys {
    instant (*now)(struct sys *s);

    /* epoll_wait(2): number of events, or -errno. timeout_ms < 0: no limit. */
    int (*wait)(struct sys *s, int epfd, struct epoll_event *evs, int max, int timeout_ms);

    /* Fork and exec. Returns the pid or -errno. *exec_fd becomes a pipe that reads EOF
     * once exec has succeeded, else one `struct exec_failure`; the caller owns it.
     * Never waits for the child, which may hang on a dead file system. */
    pid_t (*spawn)(struct sys *s, const struct spawn_req *r, int *exec_fd, struct err *e);

    /* Fork without exec. The child dies with its parent. Returns the pid or -errno. */
    pid_t (*fork)(struct sys *s, const struct fork_req *r, struct err *e);

    /* Reap `pid`, or any child if pid is -1, without waiting. 1 and *out; 0 when none
     * has ended; -ECHILD when there is no such child. */
    int (*reap)(struct sys *s, pid_t pid, struct exit_info *out);

    /* Have we a child besides the `n` known ones (a zombie counts)? 1 or 0; -errno when the
     * kernel does not tell (no /proc, or one without CONFIG_PROC_CHILDREN). */
    int (*strangers)(struct sys *s, const pid_t *known, size_t n);

    /* kill(2): pid > 0 a process, < -1 a group, -1 all but us. 0 or -errno. */
    int (*kill)(struct sys *s, pid_t pid, int sig);

    /* Pass a received signal on: signals_forward() of sys/signals.h. */
    int (*forward)(struct sys *s, pid_t pid, const struct signalfd_siginfo *si, int as_signal);
};

/* The kernel's. */
void sys_linux_init(struct sys *s);

/* Used by linux.c and by whoever has to run a program from a plain fork: carry out `r`
 * and exec, or write a struct exec_failure to `report` (may be -1) and exit 126 or 127. */
_Noreturn void spawn_exec(const struct spawn_req *r, int report);

#endif
