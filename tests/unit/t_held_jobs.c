/* The jobs that PID 1 holds, with real processes: a channel that is told what to do, its children,
 * and us as the subreaper that they fall to. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/own.h"
#include "pid1/held.h"
#include "sys/title.h"
#include "tests/unit/tap.h"

static struct sys sys;
static struct loop loop;
static struct children children;
static struct role channel;
static struct held_jobs jobs;
static struct err err;

/* --- the channel ------------------------------------------------------------------------------ */

struct order { /* over `orders`, each answered by the pid of what was started, or 0 */
    char what; /* j: start a job; r: reap it; e: and say so; s: shut its stdin; d: done */
    uint64_t id;
    pid_t pid;
};
struct seen { /* what it has been told: over `reports` */
    struct wire_job job;
    bool whole; /* its descriptors are those of its job */
};
static int orders[2] = { -1, -1 }, reports[2] = { -1, -1 };
static int channel_sock, keep[3];
static bool sleepy; /* a new channel hears nothing until it has had an order */

static void leave(int sig) {
    (void)sig;
    _exit(7);
}

/* What a job's stdout has in it is its id, so that who gets the descriptor can tell. */
static _Noreturn void be_job(uint64_t id, int in, int out, const int fds[JOB_NFDS]) {
    struct wire_job m = { .head = WIRE_HEAD(WIRE_JOB, struct wire_job), .id = id, .pid = getpid() };
    m.slot = (uint32_t)id + 1;
    (void)signal(SIGUSR1, leave);
    (void)!write(out, &id, sizeof id);
    if (wire_send_fds(channel_sock, &m, fds) < 0)
        _exit(1);
    (void)close(channel_sock);
    (void)close(in);
    for (;;)
        (void)pause();
}

static pid_t start_job(uint64_t id) {
    int in[2], out[2];
    if (pipe(in) < 0 || pipe(out) < 0)
        return -1;
    pid_t pid = fork();
    if (pid == 0)
        be_job(id, in[0], out[1], (const int[JOB_NFDS]){ in[1], out[0], -1, -1 });
    close(in[0]), close(in[1]), close(out[0]), close(out[1]);
    return pid;
}

static void say(int kind, uint64_t id, uint32_t fds, int status) {
    struct wire_job m = { .head = WIRE_HEAD(WIRE_JOB, struct wire_job), .id = id, .fds = fds };
    m.head.kind = (uint16_t)kind;
    m.signaled = WIFSIGNALED(status);
    m.code = m.signaled ? WTERMSIG(status) : WEXITSTATUS(status);
    (void)wire_send(channel_sock, &m.head);
}

static void carry_out(const struct order *o) {
    pid_t pid = 0;
    int status = 0;
    if (o->what == 'j')
        pid = start_job(o->id);
    if (o->what == 'r' || o->what == 'e')
        (void)waitpid(o->pid, &status, 0);
    if (o->what == 'e')
        say(WIRE_JOB_ENDED, o->id, 0, status);
    if (o->what == 's')
        say(WIRE_JOB_SHUT, o->id, 1U << JOB_STDIN, 0);
    if (o->what == 'd')
        say(WIRE_JOB_DONE, o->id, 0, 0);
    (void)!write(reports[1], &pid, sizeof pid);
}

static void hear(void) {
    union wire_any m;
    int fds[JOB_NFDS];
    while (wire_recv_fds(channel_sock, &m, fds) == 1) {
        struct seen seen = { .job = m.job };
        uint64_t id = 0;
        seen.whole = fds[JOB_STDOUT] >= 0 && read(fds[JOB_STDOUT], &id, sizeof id) == sizeof id &&
                     id == m.job.id;
        for (int i = 0; i < JOB_NFDS; i++)
            fd_close(&fds[i]);
        (void)!write(reports[1], &seen, sizeof seen);
    }
}

static int channel_run(void *arg) {
    (void)arg;
    struct pollfd first = { .fd = orders[0], .events = POLLIN };
    if (sleepy)
        (void)poll(&first, 1, -1);
    for (;;) {
        struct pollfd p[2] = { { .fd = orders[0], .events = POLLIN },
                               { .fd = channel_sock, .events = POLLIN } };
        struct order o;
        (void)poll(p, 2, -1);
        if (p[0].revents && read(orders[0], &o, sizeof o) != sizeof o)
            return 0;
        if (p[0].revents)
            carry_out(&o);
        if (p[1].revents)
            hear();
    }
}

/* --- PID 1's side ----------------------------------------------------------------------------- */

static void describe(struct role *r, struct fork_req *req, int sock) {
    (void)r;
    channel_sock = keep[0] = sock;
    keep[1] = orders[0];
    keep[2] = reports[1];
    req->run = channel_run;
    req->keep = keep;
    req->nkeep = 3;
    held_forgotten(&jobs);
}

static void said(struct role *r, const union wire_any *m, int fds[JOB_NFDS]) {
    (void)r;
    held_said(&jobs, &m->job, fds);
}

static void pump(struct role *r) {
    (void)r;
    (void)held_pump(&jobs);
}

static void ended(struct role *r) {
    (void)r;
    held_adopt(&jobs);
}

static void orphan(struct children *cs, struct exit_info how) {
    (void)cs;
    held_orphan(&jobs, how);
}

static void tick(struct timer *t) { timer_arm(&loop, t, span_ms(5)); }
static struct timer ticking = { .fire = tick };

/* Turn until `cond`, but not for ever. */
#define UNTIL(cond)                                       \
    for (int turn_ = 0; turn_ < 2000 && !(cond); turn_++) \
    turn()
static void turn(void) {
    (void)loop_turn(&loop);
    children_reap(&children, 0);
    (void)held_pump(&jobs);
}

static pid_t order(char what, uint64_t id, pid_t pid) {
    struct order o = { .what = what, .id = id, .pid = pid };
    (void)!write(orders[1], &o, sizeof o);
    pid_t got = -1;
    (void)!read(reports[0], &got, sizeof got); /* blocks */
    return got;
}

/* What the channel has been told next; kind 0: nothing. */
static struct seen report(void) {
    struct seen seen = { .whole = false };
    struct pollfd p = { .fd = reports[0], .events = POLLIN };
    UNTIL(poll(&p, 1, 0) == 1);
    if (poll(&p, 1, 0) == 1)
        (void)!read(reports[0], &seen, sizeof seen);
    return seen;
}

static struct held_job *job(uint64_t id) {
    for (size_t i = 0; i < jobs.n; i++)
        if (jobs.list[i].id == id)
            return &jobs.list[i];
    return NULL;
}

static pid_t start(uint64_t id) {
    pid_t pid = order('j', id, 0);
    UNTIL(job(id));
    return pid;
}

/* It has ended, and nobody has reaped it; true when it is our child. */
static bool is_zombie(pid_t pid) {
    siginfo_t si = { 0 };
    return waitid(P_PID, (id_t)pid, &si, WEXITED | WNOWAIT) == 0 && si.si_pid == pid;
}

static void begin(void) {
    OK(pipe2(orders, O_CLOEXEC) == 0 && pipe2(reports, O_CLOEXEC) == 0 &&
           held_init(&jobs, &children, &channel, &err) == 0,
       "a table of jobs");
    channel = (struct role){ .name = "channel",
                             .describe = describe,
                             .said = said,
                             .takes_fds = true,
                             .pump = pump,
                             .ended = ended };
    role_init(&channel, &loop, &children);
    role_start(&channel);
}

static void finish(void) {
    channel.quitting = true;
    timer_stop(&channel.restart);
    role_kill(&channel);
    UNTIL(!channel.child.pid);
    held_fini(&jobs);
    for (int i = 0; i < 2; i++) {
        fd_close(&orders[i]);
        fd_close(&reports[i]);
    }
    OK(jobs.untold == 0 || jobs.n == 0, "nothing is left of it");
}

static void next_channel(void) {
    pid_t old = channel.child.pid;
    role_kill(&channel);
    UNTIL(channel.child.pid && channel.child.pid != old);
}

/* --- tests ------------------------------------------------------------------------------------ */

static void holds_and_lets_go(void) {
    begin();
    pid_t pid = start(1);
    const struct held_job *j = job(1);
    OK(j && j->pid == pid && j->slot == 2 && !j->ended && jobs.running == 1 && held_run(&jobs),
       "one that has announced itself is held");
    OK(j && j->fds[JOB_STDIN] >= 0 && j->fds[JOB_STDOUT] >= 0 && j->fds[JOB_STDERR] == -1 &&
           j->fds[JOB_EXEC] == -1 && fcntl(j->fds[JOB_STDIN], F_GETFD) == FD_CLOEXEC,
       "with its descriptors");
    (void)order('s', 1, 0);
    UNTIL(job(1)->fds[JOB_STDIN] < 0);
    OK(job(1)->fds[JOB_STDIN] == -1 && job(1)->fds[JOB_STDOUT] >= 0, "one is dropped when told to");
    (void)kill(pid, SIGUSR1);
    (void)order('e', 1, pid);
    UNTIL(job(1)->ended);
    j = job(1);
    OK(j->ended && !j->signaled && j->code == 7 && !held_run(&jobs) && j->fds[JOB_STDOUT] >= 0,
       "that it has ended is believed, and its output kept");
    held_orphan(&jobs, (struct exit_info){ .pid = pid, .signaled = true, .code = 9 });
    OK(job(1)->code == 7 && !job(1)->signaled, "its number may be another's then");
    OK(jobs.untold == 0, "the channel that said so knows it");
    (void)order('d', 1, 0);
    UNTIL(jobs.n == 0);
    OK(jobs.n == 0 && jobs.running == 0, "done: it is forgotten");
    finish();
}

static void tells_the_next_channel(void) {
    begin();
    pid_t a = start(11), b = start(12);
    (void)kill(a, SIGUSR1);
    (void)order('e', 11, a);
    UNTIL(job(11)->ended);
    next_channel();
    struct seen one = report(), two = report();
    OK(one.job.head.kind == WIRE_JOB && one.job.id == 11 && one.job.slot == 12 &&
           one.job.pid == a && one.job.ended && one.job.code == 7 && one.whole,
       "of one that has ended, with its output");
    OK(two.job.head.kind == WIRE_JOB && two.job.id == 12 && two.job.pid == b && !two.job.ended &&
           two.whole && two.job.fds == (1U << JOB_STDIN | 1U << JOB_STDOUT),
       "of one that runs");
    OK(job(12)->adopted && !job(12)->ended && jobs.untold == 0, "which is our child now");
    (void)kill(b, SIGTERM);
    struct seen end = report();
    OK(end.job.head.kind == WIRE_JOB_ENDED && end.job.id == 12 && end.job.ended &&
           end.job.signaled && end.job.code == SIGTERM,
       "and how it ended, as we have seen");
    pid_t c = start(13);
    OK(!job(13)->adopted, "a new one is the new channel's");
    held_orphan(&jobs, (struct exit_info){ .pid = c, .code = 3 });
    OK(!job(13)->ended && channel.child.pid, "as long as that lives, nobody else's end is its");
    next_channel();
    for (int i = 0; i < 3; i++)
        OK(report().job.id == 11U + (unsigned)i, "a third hears of all, in order");
    (void)kill(c, SIGKILL);
    OK(report().job.id == 13, "the last one has ended");
    finish();
}

static void survives_both(void) {
    begin();
    pid_t pid = start(21), old = channel.child.pid;
    (void)kill(old, SIGKILL);
    (void)kill(pid, SIGUSR1);
    OK(is_zombie(old) && is_zombie(pid), "channel and job end before we look");
    children_reap(&children, pid); /* the job is looked at first */
    OK(job(21)->ended && job(21)->code == 7 && !held_run(&jobs),
       "its status is true all the same: %d", job(21)->code);
    UNTIL(channel.child.pid);
    struct seen s = report();
    OK(s.job.id == 21 && s.job.ended && s.job.code == 7 && s.whole, "the next channel is told");
    pid = order('j', 22, 0);
    old = channel.child.pid;
    struct pollfd p = { .fd = channel.sock.fd, .events = POLLIN };
    OK(poll(&p, 1, 5000) == 1 && !job(22), "one whose announcement we have not read");
    (void)kill(old, SIGKILL);
    (void)kill(pid, SIGUSR1);
    OK(is_zombie(old) && is_zombie(pid), "and which ends with its channel");
    children_reap(&children, pid);
    OK(job(22) && job(22)->ended && job(22)->code == 7, "is held, with its status");
    finish();
}

static void knows_what_is_lost(void) {
    begin();
    pid_t a = start(31), b = start(32);
    (void)kill(a, SIGUSR1);
    (void)order('r', 31, a); /* reaped, and nobody told */
    role_kill(&channel);
    UNTIL(channel.child.pid && job(31)->ended);
    OK(job(31)->ended && !job(31)->signaled && job(31)->code == -1, "one whose end nobody saw");
    OK(!job(32)->ended && jobs.running == 1, "not one that runs");
    OK(report().job.code == -1, "which is said");
    (void)report();
    (void)kill(b, SIGKILL);
    (void)report();
    finish();
}

/* --- bounds: messages without processes ------------------------------------------------------- */

static void hold(uint64_t id, pid_t pid, int in, int out) {
    struct wire_job m = { .head = WIRE_HEAD(WIRE_JOB, struct wire_job), .id = id, .pid = pid };
    int fds[JOB_NFDS] = { in, out, -1, -1 };
    held_said(&jobs, &m, fds);
    for (int i = 0; i < JOB_NFDS; i++)
        fd_close(&fds[i]); /* as role.c does with what is left */
}

static void has_bounds(void) {
    begin();
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    hold(1, 1000001, fcntl(null, F_DUPFD_CLOEXEC, 3), -1);
    int fd = jobs.list[0].fds[0];
    hold(1, 1000002, fcntl(null, F_DUPFD_CLOEXEC, 100), -1);
    OK(jobs.n == 1 && job(1)->pid == 1000002 && jobs.running == 1 && fcntl(fd, F_GETFD) < 0 &&
           fcntl(job(1)->fds[0], F_GETFD) >= 0,
       "an id twice: the second attempt, and nothing of the first");
    hold(2, 1, -1, -1);
    hold(3, 0, -1, -1);
    hold(4, -1, -1, -1);
    OK(jobs.n == 1, "pids that are none");
    int most = jobs.most_fd;
    jobs.most_fd = 5;
    hold(5, 1000005, fcntl(null, F_DUPFD_CLOEXEC, 3), fcntl(null, F_DUPFD_CLOEXEC, 100));
    OK(jobs.n == 2 && job(5)->fds[JOB_STDIN] == -1 && job(5)->fds[JOB_STDOUT] == -1,
       "too few descriptors are left: held without any");
    jobs.most_fd = most;
    for (uint64_t id = 100; jobs.n < MAX_JOBS; id++)
        hold(id, (pid_t)(1000000 + id), -1, -1);
    hold(99, 1000099, fcntl(null, F_DUPFD_CLOEXEC, 3), -1);
    OK(jobs.n == MAX_JOBS && !job(99), "%d jobs, and not one more", MAX_JOBS);
    struct wire_job m = { .head = WIRE_HEAD(WIRE_JOB_DONE, struct wire_job), .id = 424242 };
    held_said(&jobs, &m, NULL);
    OK(jobs.n == MAX_JOBS, "an unknown one is done: nothing");
    m.id = 100;
    held_said(&jobs, &m, NULL);
    hold(99, 1000099, -1, -1);
    OK(jobs.n == MAX_JOBS && job(99) && !job(100) && jobs.running == MAX_JOBS, "one for another");
    m.head.kind = WIRE_JOB_SHUT;
    m.id = 1;
    m.fds = UINT32_MAX;
    held_said(&jobs, &m, NULL);
    OK(job(1)->fds[0] == -1, "shut, all that there are and are not");
    finish();
    fd_close(&null);
}

/* More than fit into a socket: the rest follows when there is room. */
static void tells_many(void) {
    enum { MANY = 600 };
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
    begin();
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (uint64_t id = 0; id < MANY; id++)
        hold(id, (pid_t)(1000000 + id), -1, fcntl(null, F_DUPFD_CLOEXEC, 3));
    bool held = job(MANY - 1)->fds[JOB_STDOUT] >= 0;
    sleepy = true;
    next_channel();
    OK(jobs.untold > 0, "they do not fit at once: %zu are left", jobs.untold);
    (void)order('-', 0, 0);
    sleepy = false;
    bool in_order = true;
    for (uint64_t id = 0; id < MANY; id++) {
        struct seen s = report();
        in_order = in_order && s.job.id == id && s.job.fds == (held ? 1U << JOB_STDOUT : 0);
    }
    OK(in_order, "all %d come, in order", MANY);
    UNTIL(jobs.untold == 0);
    OK(jobs.untold == 0 && channel.restarts == 1, "and nothing more");
    finish();
    fd_close(&null);
}

int main(int argc, char **argv) {
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    (void)signal(SIGPIPE, SIG_IGN);
    title_init(argc, argv);
    sys_linux_init(&sys);
    if (!OK(loop_init(&loop, &sys) == 0, "a loop"))
        return tap_end();
    children_init(&children, &loop);
    children.orphan = orphan;
    tick(&ticking);
    holds_and_lets_go();
    tells_the_next_channel();
    survives_both();
    knows_what_is_lost();
    has_bounds();
    tells_many();
    timer_stop(&ticking);
    loop_fini(&loop);
    return tap_end();
}
