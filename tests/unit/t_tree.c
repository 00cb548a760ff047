#include "sys/tree.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

#include "tests/unit/tap.h"

/* A line of `depth` processes, each in a session of its own if `apart`; the last ones wait.
 * Every one writes its pid. */
static _Noreturn void grow(int depth, bool apart, int out) {
    do {
        if (apart)
            (void)setsid();
        (void)alarm(30); /* nobody outlives a test that failed */
        pid_t me = getpid();
        (void)!write(out, &me, sizeof me);
    } while (--depth > 0 && fork() == 0);
    for (;;)
        (void)pause();
}

static pid_t pids[64];

static pid_t tree(int depth, bool apart, const char *name) {
    int p[2];
    (void)!pipe2(p, O_CLOEXEC);
    pid_t pid = fork();
    if (pid == 0) {
        (void)prctl(PR_SET_NAME, name);
        grow(depth, apart, p[1]);
    }
    close(p[1]);
    for (int i = 0; i < depth; i++)
        (void)!read(p[0], &pids[i], sizeof pids[i]);
    close(p[0]);
    return pid;
}

static int reap_all(int sig) {
    int status, n = 0;
    for (pid_t pid; (pid = waitpid(-1, &status, 0)) > 0;)
        n += WIFSIGNALED(status) && WTERMSIG(status) == sig;
    return n;
}

/* In a fork that is a subreaper: what it leaves behind cannot reach the test itself. */
static void in_child(const char *what, int (*run)(void)) {
    pid_t pid = fork();
    if (pid == 0) {
        (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
        (void)alarm(30);
        _exit(run());
    }
    int status = 0;
    (void)waitpid(pid, &status, 0);
    OK(status == 0, "%s (%x)", what, (unsigned)status);
}

static int reaches_sessions(void) {
    (void)tree(5, true, "a) R 1 (b");
    (void)tree(3, false, "plain");
    int sent = tree_signal(getpid(), NULL, 0, 0, SIGTERM);
    return sent == 8 && reap_all(SIGTERM) == 8 ? 0 : 1;
}

static int spares_a_branch(void) {
    pid_t a = tree(4, true, "a");
    pid_t spared[2] = { pids[1], a };
    int sent = tree_signal(getpid(), spared, 1, 0, SIGKILL); /* a, but not its child */
    bool good =
        sent == 1 && kill(pids[1], 0) == 0 && kill(pids[2], 0) == 0 && kill(pids[3], 0) == 0;
    siginfo_t si;
    (void)waitid(P_PID, (id_t)a, &si, WEXITED);
    int rest = tree_signal(getpid(), NULL, 0, 0, SIGKILL);
    return good && rest == 3 && reap_all(SIGKILL) == 3 ? 0 : 1;
}

static int goes_through_one(void) {
    pid_t a = tree(4, true, "a");
    pid_t spared[2] = { pids[1], a };
    int sent = tree_signal(getpid(), spared, 2, a, SIGKILL); /* neither, but a's other kin */
    bool good = sent == 0 && kill(a, 0) == 0 && kill(pids[1], 0) == 0;
    sent = tree_signal(getpid(), spared + 1, 1, a, SIGKILL); /* all below a */
    good = good && sent == 3 && kill(a, 0) == 0;
    int rest = tree_signal(getpid(), NULL, 0, 0, SIGKILL);
    (void)reap_all(SIGKILL);
    return good && rest >= 1 ? 0 : 1;
}

static int takes_a_root_below(void) {
    pid_t a = tree(3, false, "a"), first = pids[1];
    pid_t b = tree(2, false, "b");
    int sent = tree_signal(a, NULL, 0, 0, SIGKILL); /* not a itself, not b */
    bool good = sent == 2 && kill(b, 0) == 0 && kill(a, 0) == 0 && first > 0;
    int rest = tree_signal(getpid(), NULL, 0, 0, SIGKILL);
    (void)reap_all(SIGKILL);
    return good && rest >= 3 ? 0 : 1;
}

static int wakes_the_stopped(void) {
    pid_t a = tree(1, false, "a");
    (void)kill(a, SIGSTOP);
    siginfo_t si;
    (void)waitid(P_PID, (id_t)a, &si, WSTOPPED);
    return tree_signal(getpid(), NULL, 0, 0, SIGTERM) == 1 && reap_all(SIGTERM) == 1 ? 0 : 1;
}

/* Parents that make children all the time: a walk meets strangers at every look. */
static int meets_what_forks_meanwhile(void) {
    int p[2];
    char c;
    (void)!pipe2(p, O_CLOEXEC);
    for (int i = 0; i < 8; i++) {
        if (fork() == 0) {
            (void)alarm(30);
            for (;;)
                if (fork() == 0) {
                    (void)alarm(30);
                    (void)!write(p[1], "x", 1);
                    (void)pause();
                    _exit(0);
                } else {
                    struct timespec ts = { .tv_nsec = 300000 };
                    (void)nanosleep(&ts, NULL);
                }
        }
    }
    for (int i = 0; i < 64; i++)
        (void)!read(p[0], &c, 1);
    (void)tree_signal(getpid(), NULL, 0, 0, SIGKILL);
    int left = 0, status;
    close(p[1]);
    while (waitpid(-1, &status, 0) > 0) /* for ever, if one were left: the alarm ends it */
        left += !WIFSIGNALED(status);
    return left;
}

static int finds_nobody(void) {
    return tree_signal(getpid(), NULL, 0, 0, SIGTERM) == 0 &&
                   tree_signal(999999999, NULL, 0, 0, SIGTERM) == 0
               ? 0
               : 1;
}

int main(void) {
    in_child("children in sessions of their own are reached; names cannot lie", reaches_sessions);
    in_child("a spared process keeps its children", spares_a_branch);
    in_child("one is spared, and its children are not", goes_through_one);
    in_child("another root than ourselves, which is not signalled", takes_a_root_below);
    in_child("who is stopped is continued", wakes_the_stopped);
    in_child("what is forked during the walk is reached", meets_what_forks_meanwhile);
    in_child("nobody there is no error", finds_nobody);
    return tap_end();
}
