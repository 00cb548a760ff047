#include "svc/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/own.h"
#include "base/str.h"
#include "svc/environment.h"
#include "svc/wishes.h"

enum {
    SETTLE_S = 10,       /* ready for so long: past failures are forgotten */
    LONG_ATTEMPT_S = 60, /* one try of a probe that waits, while starting */
    KILL_AGAIN_S = 1,    /* pause between looks at a group that was sent SIGKILL */
};

static struct sys *sys_of(const struct svc *s) { return s->sup->loop->sys; }

/* xorshift32 (Marsaglia 2003): for jitter only. */
static uint32_t next_random(struct supervisor *sup) {
    uint32_t x = sup->random;
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    return sup->random = x;
}

/* --- groups ------------------------------------------------------------------------- */

/* The number is not reused while the group has a member, and we look right after reaping,
 * so a stranger's group is not mistaken for ours. */
static bool group_alive(struct svc *s) {
    if (s->group && sys_of(s)->kill(sys_of(s), -s->group, 0) == -ESRCH)
        s->group = 0;
    return s->group != 0;
}

/* Until its child has made its session there is no group, and the child takes the signal. */
static void group_signal(struct svc *s, int sig) {
    if (s->group && sys_of(s)->kill(sys_of(s), -s->group, sig) == -ESRCH && s->child.pid)
        (void)sys_of(s)->kill(sys_of(s), s->child.pid, sig);
}

/* The group, and those who have left it but not the cgroup (cgroup.kill, Linux 5.14). */
static void kill_all(struct svc *s) {
    group_signal(s, SIGKILL);
    if (s->stopper.pid)
        (void)sys_of(s)->kill(sys_of(s), s->stopper.pid, SIGKILL);
    if (s->cgroup_fd < 0)
        return;
    AUTO_FD int fd = openat(s->cgroup_fd, "cgroup.kill", O_WRONLY | O_CLOEXEC);
    if (fd >= 0)
        (void)!write(fd, "1", 1);
}

/* --- start --------------------------------------------------------------------------- */

static bool is_hopeless(int code) {
    return code == ENOENT || code == EACCES || code == ENOEXEC || code == ENOTDIR ||
           code == ELOOP || code == EPERM || code == EINVAL;
}

static const char *program_of(const struct svc *s) {
    return s->argv ? s->argv[0] : s->conf->command[0];
}

static void note_exec_failure(struct svc *s) {
    struct exec_failure f = s->exec_failure;
    const char *what = f.step == STEP_EXEC || f.step == STEP_INTERPRETER ? program_of(s)
                       : f.step == STEP_USER                             ? s->conf->user
                       : f.step == STEP_CWD                              ? s->conf->cwd
                                                                         : "";
    const char *why =
        f.step == STEP_USER && f.code == ENOENT ? "no such user or group" : strerror(f.code);
    (void)snprintf(s->reason, sizeof s->reason, "cannot %s%s%.100s: %s", spawn_step_text(f.step),
                   what && what[0] ? " " : "", what ? what : "", why);
}

/* 1: exec succeeded; -1: it failed and the exit follows; 0: not known yet. */
static int exec_outcome(struct svc *s) {
    if (s->exec_fd.fd < 0)
        return 0;
    ssize_t n = read(s->exec_fd.fd, &s->exec_failure, sizeof s->exec_failure);
    if (n < 0)
        return 0;
    loop_unwatch(&s->exec_fd);
    fd_close(&s->exec_fd.fd);
    if (n == 0)
        return 1;
    note_exec_failure(s);
    return -1;
}

static void start_probe(struct svc *s) {
    const struct svc_conf *c = s->conf;
    if (c->ready) {
        span most = probe_waits(c->ready->kind) ? span_s(LONG_ATTEMPT_S) : c->probe_timeout;
        prober_start(&s->prober, c->ready, c->ready_every, most);
    } else if (!c->oneshot) {
        svc_event(s, EV_PROBE_OK);
    }
}

static void exec_fd_ready(struct source *src, uint32_t got) {
    (void)got;
    struct svc *s = CONTAINER_OF(src, struct svc, exec_fd);
    if (exec_outcome(s) <= 0)
        return;
    s->executed = true;
    if (s->state == SVC_STARTING)
        start_probe(s);
}

/* The descriptors' limit is that of who started the box, not ours; the configuration's wins. */
struct limit_list {
    struct spawn_limit item[MAX_RLIMITS + 1];
    size_t n;
};

static void add_limits(const struct svc *s, struct limit_list *l) {
    l->n = 0;
    if (s->sup->nofile.rlim_max > 0)
        l->item[l->n++] = (struct spawn_limit){ RLIMIT_NOFILE, s->sup->nofile };
    for (size_t i = 0; i < s->conf->limits.n; i++)
        l->item[l->n++] = s->conf->limits.item[i];
}

static void fill_request(const struct svc *s, const struct limit_list *l, struct spawn_req *r) {
    const struct svc_conf *c = s->conf;
    bool is_main = s->kind == SVC_KIND_MAIN;
    *r = (struct spawn_req){
        .argv = s->argv ? s->argv : (const char *const *)c->command,
        .cwd = c->cwd,
        .user = c->user,
        .stdio = { s->stdio[0], s->stdio[1], s->stdio[2] },
        .own_session = !is_main,
        .own_group = is_main,
        .foreground = is_main,
        .only_stdio = !is_main,
        .login_env = true,
        .cgroup_fd = s->cgroup_fd,
        .oom_score_adj = c->oom_score_adj,
        .limits = l->item,
        .nlimits = l->n,
        .sigmask = s->sup->sigmask,
        .sigchld_ignored = s->sup->sigchld_ignored,
    };
}

static int spawn(struct svc *s, struct err *e) {
    AUTO_FREE const char **env = NULL;
    struct env_request wanted = { .base = s->sup->env,
                                  .add = (const char *const *)s->conf->env,
                                  .notify_path = s->notify_path,
                                  .kind = s->kind,
                                  .listen_taken = s->sup->listen_taken };
    int rc = environment_make(&wanted, &env, e);
    if (rc < 0)
        return rc;
    struct limit_list limits;
    struct spawn_req r;
    add_limits(s, &limits);
    fill_request(s, &limits, &r);
    r.envp = env;
    pid_t pid = sys_of(s)->spawn(sys_of(s), &r, &s->exec_fd.fd, e);
    if (pid < 0)
        return pid;
    children_add(s->sup->children, &s->child, pid);
    s->group = pid; /* own session or own group: it leads one */
    return loop_watch(s->sup->loop, &s->exec_fd);
}

static void finish(struct svc *s, bool clean);

static void start(struct svc *s) {
    struct err e = { 0 };
    s->starts++;
    s->exec_failure = (struct exec_failure){ 0 };
    s->ended = false;
    s->found_dead = s->let_go = false;
    s->group = 0; /* its number may be another's by now */
    timer_arm(s->sup->loop, &s->timer, s->conf->start_timeout);
    if (spawn(s, &e) < 0 && !s->child.pid) { /* as if it had run and died */
        (void)snprintf(s->reason, sizeof s->reason, "%.190s", e.text);
        finish(s, false);
    }
}

/* --- end ----------------------------------------------------------------------------- */

static void note_end(struct svc *s) {
    char name[24];
    if (s->exec_failure.code || s->found_dead)
        return; /* the reason is known better */
    if (s->last.signaled)
        (void)snprintf(s->reason, sizeof s->reason, "killed by %s%s",
                       signal_name(name, sizeof name, s->last.code),
                       s->last.core ? ", core dumped" : "");
    else
        (void)snprintf(s->reason, sizeof s->reason, "exit status %d", s->last.code);
}

/* The process, and what it left behind, is gone: what does that mean? */
static void finish(struct svc *s, bool clean) {
    bool well = clean && !s->found_dead;
    bool wanted = s->want_up && !s->let_go;
    struct svc_exit_facts f = { .wanted = wanted,
                                .clean = well,
                                .hopeless = !s->executed && is_hopeless(s->exec_failure.code),
                                .failures = s->failures + 1 };
    if (wanted && !well)
        s->failures++;
    if (wanted)
        s->ends++;
    svc_event(s, svc_classify_exit(s->conf, &f));
    if (s->sup->up && !s->want_up && s->state == SVC_DONE && !s->conf->oneshot)
        svc_event(s, EV_WANT_DOWN); /* before it was told to: it comes back all the same */
}

static bool ended_clean(const struct svc *s) {
    return s->ended && !s->last.signaled && s->last.code == 0;
}

static void exited(struct child *c, struct exit_info how) {
    struct svc *s = CONTAINER_OF(c, struct svc, child);
    if (exec_outcome(s) > 0)
        s->executed = true; /* it ran and ended within one turn of the loop */
    loop_unwatch(&s->exec_fd);
    fd_close(&s->exec_fd.fd);
    s->last = how;
    s->ended = true;
    note_end(s);
    if (s->state == SVC_STOPPING && group_alive(s))
        return; /* its children have until the kill delay; supervisor_reaped() looks again */
    finish(s, ended_clean(s));
}

void supervisor_reaped(struct supervisor *sup) {
    for (size_t i = 0; i < sup->plan->n; i++) {
        struct svc *s = &sup->svcs[i];
        if (s->state == SVC_STOPPING && s->ended && !group_alive(s))
            finish(s, ended_clean(s));
    }
}

int svc_exit_status(const struct svc *s) {
    if (s->exec_failure.code)
        return s->exec_failure.step == STEP_EXEC && s->exec_failure.code != ENOENT ? 126 : 127;
    return s->ended ? exit_status(s->last) : 0;
}

/* --- acts ---------------------------------------------------------------------------- */

static void send_stop(struct svc *s) {
    group_signal(s, s->conf->stop_signal);
    group_signal(s, SIGCONT); /* what is stopped cannot end */
}

static void stopper_exited(struct child *c, struct exit_info how) {
    (void)how;
    struct svc *s = CONTAINER_OF(c, struct svc, stopper);
    if (s->state == SVC_STOPPING && (s->child.pid || group_alive(s)))
        send_stop(s);
}

static int stopper_start(struct svc *s) {
    int keep = log_fd();
    struct fork_req r = {
        .title = "stop containers", .run = s->before_stop, .arg = s, .keep = &keep, .nkeep = 1
    };
    pid_t pid = sys_of(s)->fork(sys_of(s), &r, NULL);
    if (pid > 0)
        children_add(s->sup->children, &s->stopper, pid);
    return pid;
}

static void stop_politely(struct svc *s, enum svc_state was) {
    instant now = s->sup->loop->now;
    instant at = instant_min(instant_add(now, s->conf->stop_timeout), s->sup->kill_at);
    timer_arm(s->sup->loop, &s->timer, instant_since(at, now));
    bool asks = s->before_stop && was == SVC_READY && instant_before(now, at) && !s->stopper.pid;
    if (!asks || stopper_start(s) < 0)
        send_stop(s);
}

static void watch(struct svc *s) {
    const struct svc_conf *c = s->conf;
    s->reason[0] = '\0';
    if (s->ends > 0)
        timer_arm(s->sup->loop, &s->timer, span_s(SETTLE_S));
    if (c->alive)
        prober_start(&s->prober, c->alive, c->alive_every, c->probe_timeout);
}

static void act(struct svc *s, unsigned acts, enum svc_state was) {
    if (acts & ACT_STOP_PROBE)
        prober_stop(&s->prober);
    if (acts & ACT_TERM)
        stop_politely(s, was);
    /* What a CMD that has ended leaves behind is asked to end with all others, in the drain. */
    if ((acts & ACT_KILL) && (s->kind != SVC_KIND_MAIN || s->state == SVC_STOPPING))
        kill_all(s);
    if (acts & ACT_DELAY)
        timer_arm(s->sup->loop, &s->timer, svc_backoff(s->conf, s->ends, next_random(s->sup)));
    if (acts & ACT_SPAWN)
        start(s);
    if (acts & ACT_WATCH)
        watch(s);
    if (acts & ACT_SETTLE)
        s->failures = s->ends = 0;
}

/* The new state is stored first, for an act may bring the next event at once. */
void svc_event(struct svc *s, enum svc_event event) {
    struct svc_step step = svc_next(s->state, event);
    enum svc_state was = s->state;
    if (step.to != was) {
        timer_stop(&s->timer);
        s->since = s->sup->loop->now;
    }
    s->state = step.to;
    s->sup->dirty = true;
    if (step.to != was)
        wishes_note(s);
    if (step.act & ACT_TELL)
        s->sup->changed(s->sup, s, was);
    act(s, step.act, was);
}

static void too_slow(struct svc *s) {
    char d[24];
    (void)snprintf(s->reason, sizeof s->reason, "not ready within %s; %.140s",
                   format_span(d, sizeof d, s->conf->start_timeout), s->prober.reason);
    s->found_dead = true;
    svc_event(s, EV_TIMER);
}

/* Whom it comes after may have ended meanwhile: then it waits for them as at first. */
static void backoff_over(struct svc *s) {
    bool may = s->want_up && wishes_may_start(s->sup, (size_t)(s - s->sup->svcs));
    svc_event(s, may ? EV_TIMER : EV_WANT_DOWN);
}

/* Not every end is told to us: a member of the group may be the child of another. So after
 * SIGKILL the group is looked at again until it is gone. */
static void kill_delay_over(struct svc *s) {
    if (s->ended && !group_alive(s)) {
        finish(s, ended_clean(s));
        return;
    }
    svc_event(s, EV_TIMER);
    timer_arm(s->sup->loop, &s->timer, span_s(KILL_AGAIN_S));
}

static void timer_fired(struct timer *t) {
    struct svc *s = CONTAINER_OF(t, struct svc, timer);
    if (s->state == SVC_STARTING)
        too_slow(s);
    else if (s->state == SVC_BACKOFF)
        backoff_over(s);
    else if (s->state == SVC_STOPPING)
        kill_delay_over(s);
    else
        svc_event(s, EV_TIMER);
}

/* While starting a no is only a reason; while ready enough of them are a failure. */
static void probe_answered(struct prober *p, bool yes) {
    struct svc *s = CONTAINER_OF(p, struct svc, prober);
    if (yes && s->state == SVC_STARTING) {
        svc_event(s, EV_PROBE_OK);
    } else if (!yes && s->state == SVC_STARTING) {
        if (strncmp(s->reason, p->reason, sizeof s->reason - 1) == 0)
            return;
        (void)snprintf(s->reason, sizeof s->reason, "%.199s", p->reason);
        s->sup->noted(s->sup, s);
    } else if (!yes && s->state == SVC_READY && p->failures >= s->conf->alive_threshold) {
        (void)snprintf(s->reason, sizeof s->reason, "not alive: %.180s", p->reason);
        s->found_dead = true;
        svc_event(s, EV_PROBE_FAIL);
    }
}

void supervisor_fail(struct svc *s, const char *reason) {
    (void)snprintf(s->reason, sizeof s->reason, "%.190s", reason);
    svc_event(s, EV_EXIT_FINAL);
}

void svc_said(struct svc *s, enum probe_kind what) {
    if (s->state == SVC_STARTING && s->exec_fd.fd >= 0)
        exec_fd_ready(&s->exec_fd, EPOLLIN); /* it speaks, so it has been executed */
    prober_said(&s->prober, what);
}

/* --- the whole ------------------------------------------------------------------------- */

void supervisor_init(struct supervisor *sup, struct loop *l, struct children *cs,
                     const struct svc_plan *plan, struct svc *svcs) {
    sup->loop = l;
    sup->children = cs;
    sup->plan = plan;
    sup->svcs = svcs;
    sup->kill_at = INSTANT_NEVER;
    sup->random |= 1; /* xorshift must not start at 0 */
    for (size_t i = 0; i < plan->n; i++) {
        struct svc *s = &svcs[i];
        s->sup = sup;
        s->child.exited = exited;
        s->stopper.exited = stopper_exited;
        s->exec_fd = (struct source){ .fd = -1, .want = EPOLLIN, .ready = exec_fd_ready };
        s->timer.fire = timer_fired;
        s->since = l->now;
        prober_init(&s->prober, l, cs, s->conf->name);
        s->prober.answer = probe_answered;
        s->prober.nofile = sup->nofile;
    }
}

void supervisor_kill(struct supervisor *sup) {
    for (size_t i = 0; i < sup->plan->n; i++) {
        struct svc *s = &sup->svcs[i];
        if (svc_state_runs(s->state) && (s->child.pid || group_alive(s)))
            kill_all(s);
    }
}

bool svc_is_up(const struct svc *s) { return s->state == SVC_READY || s->state == SVC_DONE; }

bool supervisor_runs(const struct supervisor *sup) {
    for (size_t i = 0; i < sup->plan->n; i++)
        if (svc_state_runs(sup->svcs[i].state))
            return true;
    return false;
}
