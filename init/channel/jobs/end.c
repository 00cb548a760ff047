#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/own.h"
#include "channel/jobs/private.h"

/* --- did the kernel kill it for memory? ----------------------------------------------------- */

/* The counter of our own cgroup, which jobs are in too, or of the nearest one above that has one:
 * what happens below is counted in all above (cgroup-v2.rst, memory.events). */
static int open_counter(char *path, const char *mount, const char *file) {
    for (char *end;; *end = '\0') {
        char name[600];
        int n = snprintf(name, sizeof name, "%s%s/%s", mount, path, file);
        int fd = n < (int)sizeof name ? open(name, O_RDONLY | O_CLOEXEC) : -1;
        if (fd >= 0 || !(end = strrchr(path, '/')))
            return fd;
    }
}

/* Lines are "0::/path" for v2, "4:memory:/path" for v1 (cgroups(7)). */
void jobs_find_counter(struct jobs *js) {
    char text[4096], *line, *rest = text;
    AUTO_FD int fd = open("/proc/self/cgroup", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    text[n > 0 ? n : 0] = '\0';
    while (js->oom < 0 && (line = strsep(&rest, "\n"))) {
        char *v1 = strstr(line, ":memory:");
        if (strncmp(line, "0::", 3) == 0)
            js->oom = open_counter(line + 3, "/sys/fs/cgroup", "memory.events");
        else if (v1)
            js->oom = open_counter(v1 + 8, "/sys/fs/cgroup/memory", "memory.oom_control");
    }
}

uint64_t jobs_ooms(const struct jobs *js) {
    char text[512];
    ssize_t n = js->oom < 0 ? -1 : pread(js->oom, text, sizeof text - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    const char *count = strstr(text, "oom_kill ");
    return count ? strtoull(count + 9, NULL, 10) : 0;
}

/* --- the end -------------------------------------------------------------------------------- */

static void link_by_end(struct job *j) {
    struct link *before = &j->jobs->by_end;
    while (before->prev != &j->jobs->by_end &&
           instant_before(j->ended, CONTAINER_OF(before->prev, struct job, by_end)->ended))
        before = before->prev;
    list_insert_before(before, &j->by_end);
}

static void end(struct job *j) {
    struct jobs *js = j->jobs;
    timer_stop(&j->linger);
    j->term_at = INSTANT_NEVER;
    job_arm(j);
    j->state = JOB_ENDED;
    j->until = j->output.to;
    j->stdin_open = false;
    job_close_fd(j, JOB_STDIN);
    job_owe(j, WIRE_JOB_SHUT);
    js->nrunning--;
    js->nended++;
    link_by_end(j);
    ring_trim(&j->output, j->output.max); /* what it has not used is given back */
    job_count(j);
    record_write(j);
    job_touch(j, NEWS_CHANGED | NEWS_READERS | NEWS_ROOM);
}

void job_may_end(struct job *j) {
    if (j->reaped && j->state == JOB_RUNNING && j->fds[JOB_STDOUT] < 0 && j->fds[JOB_STDERR] < 0)
        end(j);
}

void job_reaped(struct job *j, const struct exit_info *how) {
    j->reaped = true;
    j->pid = 0;
    if (instant_is_never(j->ended))
        j->ended = j->jobs->a.loop->now;
    if (j->state == JOB_STARTING)
        job_exec_settle(j);
    if (job_over(j))
        return;
    if (how) {
        bool killed = how->signaled && how->code == SIGKILL && !j->kill_sent;
        j->end.known = true;
        j->end.how = *how;
        j->end.oom = killed && jobs_ooms(j->jobs) > j->ooms;
    }
    record_write(j); /* now: PID 1 hears of it after whoever waits for it, and we may be killed */
    timer_arm(j->jobs->a.loop, &j->linger, span_ms(JOB_LINGER_MS));
    job_may_end(j);
}

void job_exited(struct child *c, struct exit_info how) {
    struct job *j = CONTAINER_OF(c, struct job, child);
    if (j->state == JOB_STARTING)
        job_exec_settle(j);
    if (job_again(j))
        return;
    job_reaped(j, &how);
    job_owe(j, WIRE_JOB_ENDED);
}

/* A process it left behind holds its output; or its end has not been told at all. What stands in
 * the pipes by now is of before the end: it is read first, however long a reader makes it wait. */
static void linger_over(struct timer *t) {
    struct job *j = CONTAINER_OF(t, struct job, linger);
    if (!j->reaped) {
        struct exit_info how = j->end.how;
        job_reaped(j, j->end.known ? &how : NULL);
        return;
    }
    if (j->fds[JOB_STDOUT] >= 0 && !j->stalled)
        (void)job_drain(j, JOB_STDOUT);
    if (j->fds[JOB_STDERR] >= 0 && !j->stalled)
        (void)job_drain(j, JOB_STDERR);
    if (job_over(j))
        return;
    if (j->stalled)
        timer_arm(j->jobs->a.loop, t, span_ms(JOB_LINGER_MS));
    else
        end(j);
}

/* --- its time ------------------------------------------------------------------------------- */

/* TERM and then KILL, which reaches what is left of it though it has ended meanwhile. */
static void time_over(struct timer *t) {
    struct job *j = CONTAINER_OF(t, struct job, timeout);
    instant now = j->jobs->a.loop->now;
    if (!instant_before(now, j->kill_at)) {
        j->kill_at = INSTANT_NEVER;
        job_send_tree(j, SIGKILL);
    } else if (!instant_before(now, j->term_at)) {
        j->term_at = INSTANT_NEVER;
        j->kill_at = instant_add(now, j->kill_after);
        j->end.timed_out = true;
        j->jobs->timed_out_total++;
        job_send_tree(j, SIGTERM);
    }
    record_write(j);
    job_arm(j);
}

void job_arm(struct job *j) {
    struct loop *l = j->jobs->a.loop;
    instant at = instant_min(j->term_at, j->kill_at);
    timer_stop(&j->timeout);
    if (!instant_is_never(at))
        timer_arm(l, &j->timeout, instant_since(at, l->now));
}

void job_timers_init(struct job *j) {
    j->timeout.fire = time_over;
    j->linger.fire = linger_over;
    j->term_at = j->kill_at = j->ended = INSTANT_NEVER;
}
