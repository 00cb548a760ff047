/* payload.c — the program that every init under measurement is asked to run.
 *
 * Orders come in on stdin (one byte each), answers go out on stdout (one int64_t of
 * nanoseconds each): every init hands these two on, while some close the rest. Times
 * are CLOCK_MONOTONIC, which all PID namespaces share.
 *
 *     payload stamp               the time of main(), then exit 0
 *     payload listen              the time; then the time of each SIGUSR1
 *     payload idle                nothing, for ever
 *     payload storm N live|held   N orphans die at once; time until the last is reaped
 *     payload crowd L K           K orphans die one by one beside L living children
 *     payload reaper CMD...       the least that may call itself an init: the floor
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"

enum {
    PER_PARENT = 100,     /* orphans that one short-lived parent leaves behind */
    POLL_NS = 100 * 1000, /* pause between two looks at a storm */
    FORK_TRIES = 1000,
    FORK_PAUSE_NS = 10 * 1000000,
    REAP_LIMIT_NS = 2000000000 /* a death not reaped by then ends the measurement */
};

static void report(int64_t value) {
    if (write(STDOUT_FILENO, &value, sizeof value) != (ssize_t)sizeof value)
        _exit(3);
}

/* EOF on stdin means that whoever measures is gone. */
static void await_order(void) {
    char order;
    if (read(STDIN_FILENO, &order, 1) != 1)
        _exit(4);
}

static void pause_ns(long ns) {
    const struct timespec t = { .tv_nsec = ns };
    nanosleep(&t, NULL);
}

/* The machine's process numbers may be used up for a moment by somebody else's work. */
static pid_t must_fork(void) {
    for (int tries = 0; tries < FORK_TRIES; tries++) {
        pid_t pid = fork();
        if (pid >= 0)
            return pid;
        pause_ns(FORK_PAUSE_NS);
    }
    _exit(5);
}

static void must_pipe(int ends[2]) {
    if (pipe2(ends, O_CLOEXEC) < 0)
        _exit(6);
}

static bool is_gone(pid_t pid) { return kill(pid, 0) < 0 && errno == ESRCH; }

/* For a fork: wait until nobody else has the gate's write end. */
static void wait_until_closed(const int gate[2]) {
    char c;
    close(gate[1]);
    (void)!read(gate[0], &c, 1);
}

/* Fork `n` children from a parent that ends at once, so that init inherits them. They
 * live until the last copy of gate[1] is closed. Their pids go to `out`, shared memory. */
static void make_orphans(int n, const int gate[2], volatile pid_t *out) {
    pid_t parent = must_fork();
    if (parent == 0) {
        for (int i = 0; i < n; i++) {
            pid_t pid = must_fork();
            if (pid == 0) {
                wait_until_closed(gate);
                _exit(0);
            }
            out[i] = pid;
        }
        _exit(0);
    }
    int status;
    if (waitpid(parent, &status, 0) != parent || status != 0)
        _exit(7);
}

/* Zeroed memory that our forks see too. */
static void *must_share(size_t bytes) {
    void *shared = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        _exit(8);
    return shared;
}

static volatile pid_t *make_many_orphans(int n, const int gate[2]) {
    volatile pid_t *pids = must_share((size_t)(n > 0 ? n : 1) * sizeof *pids);
    for (int i = 0; i < n; i += PER_PARENT)
        make_orphans(n - i < PER_PARENT ? n - i : PER_PARENT, gate, pids + i);
    return pids;
}

/* A pidfd is readable as soon as its process is a zombie, reaped or not. */
static void await_zombies(volatile const pid_t *pids, int n) {
    for (int i = 0; i < n; i++) {
        int fd = (int)syscall(SYS_pidfd_open, pids[i], 0);
        struct pollfd p = { .fd = fd, .events = POLLIN };
        if (fd < 0 || poll(&p, 1, -1) != 1)
            _exit(10);
        close(fd);
    }
}

/* kill(2) of one pid is a hash lookup. kill(-1, 0) would be shorter to write, but walks
 * every process under the lock that reaping needs, and so measures itself. */
static void await_reaped(volatile const pid_t *pids, int n) {
    for (int i = 0; i < n; i++)
        while (!is_gone(pids[i]))
            pause_ns(POLL_NS);
}

/* live: the deaths and the reaping overlap, as when a big job is killed.
 * held: init is stopped meanwhile (by whoever measures) and finds n zombies waiting. */
static int storm(int n, bool held) {
    int gate[2];
    must_pipe(gate);
    volatile const pid_t *pids = make_many_orphans(n, gate);
    report(now_ns());
    await_order();
    report(now_ns());
    close(gate[1]);
    if (held) {
        await_zombies(pids, n);
        report(now_ns());
        await_order();
    }
    await_reaped(pids, n);
    report(now_ns());
    return 0;
}

/* What the one that dies shares with the one that watches. */
struct victim {
    pid_t pid;
    int64_t exits_at;
};

static void make_victim(const int gate[2], volatile struct victim *v) {
    pid_t parent = must_fork();
    if (parent == 0) {
        pid_t pid = must_fork();
        if (pid > 0) {
            v->pid = pid;
            _exit(0);
        }
        wait_until_closed(gate);
        v->exits_at = now_ns();
        _exit(0);
    }
    if (waitpid(parent, NULL, 0) != parent)
        _exit(7);
}

/* From the victim's last instruction until its pid is free again, so the kernel's part of
 * exiting is in it, for the floor as for all. Waiting for the event would be wrong: there
 * is none for "reaped" (a pidfd reports the zombie), and a sleeper's own wake-up would be
 * measured too. So this spins on the second core. */
static int64_t one_death(volatile struct victim *v) {
    int gate[2];
    must_pipe(gate);
    make_victim(gate, v);
    close(gate[1]);
    int64_t start = now_ns(), now = start;
    while (!is_gone(v->pid)) {
        now = now_ns();
        if (now - start > REAP_LIMIT_NS)
            _exit(11);
    }
    now = now_ns();
    close(gate[0]);
    return now - v->exits_at;
}

/* We are one of the `living` ourselves. */
static int crowd(int living, int deaths) {
    int gate[2];
    must_pipe(gate);
    make_many_orphans(living - 1, gate);
    volatile struct victim *victim = must_share(sizeof *victim);
    report(now_ns());
    await_order();
    for (int i = 0; i < deaths; i++)
        report(one_death(victim));
    await_order();
    return 0;
}

static _Noreturn void listen_for_signals(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    report(now_ns());
    for (;;)
        if (sigwaitinfo(&set, NULL) == SIGUSR1)
            report(now_ns());
}

static int reaper(char **argv) {
    pid_t child = must_fork();
    if (child == 0) {
        execv(argv[0], argv);
        _exit(127);
    }
    for (;;) {
        int status;
        if (waitpid(-1, &status, 0) == child)
            return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
}

int main(int argc, char **argv) {
    const char *mode = argc > 1 ? argv[1] : "";
    if (strcmp(mode, "stamp") == 0)
        return report(now_ns()), 0;
    if (strcmp(mode, "listen") == 0)
        listen_for_signals();
    if (strcmp(mode, "storm") == 0 && argc == 4)
        return storm(atoi(argv[2]), strcmp(argv[3], "held") == 0);
    if (strcmp(mode, "crowd") == 0 && argc == 4)
        return crowd(atoi(argv[2]), atoi(argv[3]));
    if (strcmp(mode, "reaper") == 0 && argc > 2)
        return reaper(argv + 2);
    while (strcmp(mode, "idle") == 0)
        pause();
    return 2;
}
