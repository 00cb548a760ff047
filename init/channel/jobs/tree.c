#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/own.h"
#include "channel/jobs/private.h"
#include "sys/signals.h"

/* --- directly ------------------------------------------------------------------------------- */

/* Until it is reaped its pid is nobody else's. That of an adopted one is PID 1's to reap, so it may
 * just be gone, and in theory already be another's. */
static bool is_there(const struct job *j) {
    return !j->reaped && (!j->adopted || getsid(j->pid) == j->pid);
}

static int send_leader(const struct job *j, int sig) { return kill(j->pid, sig) < 0 ? -errno : 0; }

/* Before it has made its session there is no such group, but then there is only itself. */
static int send_group(const struct job *j, int sig) {
    if (kill(-j->pid, sig) == 0)
        return 0;
    return errno == ESRCH ? send_leader(j, sig) : -errno;
}

/* --- before it has executed ------------------------------------------------------------------- */

/* On its quick way it shares our memory, which an old kernel's dump of core would take with it; and
 * another process may take its place. So it gets what was sent to it once it has executed. */
static bool comes_early(struct job *j, int sig) {
    if (!j->attempt)
        return false;
    j->early_sigs |= SIGNAL_BIT(sig);
    if (sig == SIGKILL) {
        j->kill_sent = true;
        (void)kill(j->pid, SIGKILL);
    }
    return true;
}

void job_send_early(struct job *j) {
    uint64_t sigs = j->early_sigs;
    j->early_sigs = 0;
    for (int sig = 1; sigs && sig <= SIGNAL_MAX; sig++)
        if (sigs & SIGNAL_BIT(sig))
            job_send_tree(j, sig);
}

/* --- the tree ------------------------------------------------------------------------------- */

/* The group at once, for it may not fork its way out of that; the rest by a walk. What is sent
 * twice before a walk has begun is sent once, as the kernel does with pending signals. */
void job_send_tree(struct job *j, int sig) {
    uint64_t bit = SIGNAL_BIT(sig);
    if (comes_early(j, sig))
        return;
    bool had = is_there(j) && send_group(j, sig) == 0;
    if (sig == SIGKILL)
        j->kill_sent = true;
    j->sigs |= bit;
    j->group_had = had ? j->group_had | bit : j->group_had & ~bit;
    if (!j->walked.next)
        list_insert_before(&j->jobs->walked, &j->walked);
    jobs_turn_soon(j->jobs);
}

/* What is to be done for one job: at most two. */
static size_t targets_of(const struct job *j, struct walk_target t[2]) {
    size_t n = 0;
    if (j->sigs)
        t[n++] = (struct walk_target){ .id = j->id,
                                       .leader = j->leader,
                                       .leads = is_there(j),
                                       .sigs = j->sigs,
                                       .group_had = j->group_had };
    if (j->later_sigs) /* its session is still its, if anybody is left in it (setsid(2)) */
        t[n++] = (struct walk_target){ .leader = j->leader,
                                       .leads = true,
                                       .sigs = j->later_sigs,
                                       .below = true,
                                       .since = j->since };
    return n;
}

/* One walk for all jobs that wait for one, so many that end at once cost one look at /proc. */
static size_t collect(struct jobs *js, struct walk_target *t) {
    size_t n = 0;
    for (struct link *l = js->walked.next; l != &js->walked; l = l->next) {
        struct walk_target two[2];
        size_t k = targets_of(CONTAINER_OF(l, struct job, walked), two);
        if (t)
            memcpy(t + n, two, k * sizeof *two);
        n += k;
    }
    return n;
}

void jobs_walk(struct jobs *js) {
    struct sys *sys = js->a.loop->sys;
    size_t n = js->walker.pid ? 0 : collect(js, NULL);
    if (n == 0)
        return;
    AUTO_FREE struct walk_target *targets = calloc(n, sizeof *targets);
    struct walk walk = { .targets = targets, .n = targets ? collect(js, targets) : 0 };
    struct fork_req r = { .title = "signal", .run = walk_run, .arg = &walk };
    pid_t pid = targets ? sys->fork(sys, &r, NULL) : -ENOMEM;
    if (pid < 0) { /* perhaps just because of those who are to be killed */
        jobs_retry_later(js);
        return;
    }
    children_add(js->a.children, &js->walker, pid);
    timer_arm(js->a.loop, &js->walk_limit, span_ms(JOB_WALK_LIMIT_MS));
    while (!list_empty(&js->walked)) {
        struct job *j = CONTAINER_OF(js->walked.next, struct job, walked);
        list_remove(&j->walked);
        j->sigs = j->group_had = j->later_sigs = 0;
        job_gone_free(j);
    }
}

static void walker_exited(struct child *c, struct exit_info how) {
    (void)how;
    struct jobs *js = CONTAINER_OF(c, struct jobs, walker);
    timer_stop(&js->walk_limit);
    if (!list_empty(&js->walked))
        jobs_turn_soon(js);
}

static void walk_hangs(struct timer *t) {
    struct jobs *js = CONTAINER_OF(t, struct jobs, walk_limit);
    if (js->walker.pid)
        (void)kill(js->walker.pid, SIGKILL);
}

void jobs_walk_init(struct jobs *js) {
    js->walker.exited = walker_exited;
    js->walk_limit.fire = walk_hangs;
}

/* --- asked for ------------------------------------------------------------------------------ */

/* Does its leader's group or its output show that it has left somebody behind? Of those who have
 * left both, only a walk can tell. */
static bool has_left(const struct job *j) {
    return j->fds[JOB_STDOUT] >= 0 || j->fds[JOB_STDERR] >= 0 || kill(-j->leader, 0) == 0;
}

int job_signal(struct job *j, int sig, enum job_scope scope) {
    bool ends = sig == SIGKILL || sig == SIGTERM;
    if (sig < 1 || sig > SIGNAL_MAX)
        return -EINVAL;
    if (j->state == JOB_FAILED || (j->reaped && !(ends && scope == JOB_TREE)))
        return -ESRCH;
    if (ends && !j->reaped) {
        j->end.killed = true;
        record_write(j);
    }
    if (scope == JOB_TREE) {
        bool gone = j->reaped && !has_left(j);
        job_send_tree(j, sig);
        return gone ? -ESRCH : 0;
    }
    if (comes_early(j, sig))
        return 0;
    if (sig == SIGKILL)
        j->kill_sent = true;
    if (!is_there(j))
        return -ESRCH;
    return scope == JOB_GROUP ? send_group(j, sig) : send_leader(j, sig);
}

/* loadavg's last number is that process (proc_loadavg(5)); its birth is in ticks of 10 ms. */
struct job_since job_now(void) {
    struct job_since now = { 0 };
    struct timespec up;
    char text[128];
    AUTO_FD int fd = open("/proc/loadavg", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    text[n > 0 ? n : 0] = '\0';
    const char *last = strrchr(text, ' ');
    (void)clock_gettime(CLOCK_BOOTTIME, &up);
    uint64_t hz = (uint64_t)sysconf(_SC_CLK_TCK);
    now.ticks = (uint64_t)up.tv_sec * hz + (uint64_t)up.tv_nsec * hz / 1000000000;
    now.last = last ? (pid_t)strtol(last, NULL, 10) : 0;
    return now;
}

int job_signal_since(struct job *j, int sig, struct job_since since) {
    if (j->state == JOB_FAILED || (kill(-j->leader, 0) < 0 && errno == ESRCH))
        return -ESRCH;
    j->later_sigs |= SIGNAL_BIT(sig);
    j->since = since;
    if (!j->walked.next)
        list_insert_before(&j->jobs->walked, &j->walked);
    jobs_turn_soon(j->jobs);
    return 0;
}

void job_abandon(struct job *j) {
    if (job_over(j))
        return;
    j->kill_at =
        instant_min(j->kill_at, instant_add(j->jobs->a.loop->now, span_ms(JOB_ABANDON_MS)));
    job_send_tree(j, SIGHUP);
    record_write(j);
    job_arm(j);
}
