#include "world.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/own.h"
#include "sys/signals.h"

/* --- telling --------------------------------------------------------------------------- */

static char *report_text; /* WORLD_FAILURE bytes, shared with the parent; or NULL */

void world_report_to(char *text) { report_text = text; }

static double seconds(instant t) { return (double)t.ns / 1e9; }

void world_fail(const struct world *w, const char *fmt, ...) {
    char what[WORLD_FAILURE - 80], line[WORLD_FAILURE];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    (void)snprintf(line, sizeof line, "seed %llu, turn %llu, %.6f s: %s",
                   (unsigned long long)w->seed, (unsigned long long)w->turn, seconds(w->now), what);
    if (report_text)
        memcpy(report_text, line, sizeof line);
    else
        (void)printf("# %s\n", line);
    (void)fflush(stdout);
    _exit(1); /* the box is as it is: nothing in it can be taken down in order */
}

void world_trace(const struct world *w, const char *fmt, ...) {
    if (!w->verbose)
        return;
    va_list ap;
    va_start(ap, fmt);
    (void)printf("# %5llu %12.6f ", (unsigned long long)w->turn, seconds(w->now));
    (void)vprintf(fmt, ap);
    (void)printf("\n");
    va_end(ap);
}

int world_unit(const struct world *w, const char *name) {
    for (size_t i = 0; i < w->box->nunits; i++)
        if (strcmp(w->box->confs[i]->name, name) == 0)
            return (int)i;
    return -1;
}

void world_note(struct world *w, enum event_kind kind, int unit, int what) {
    if (w->nevents < WORLD_EVENTS)
        w->events[w->nevents++] = (struct event){ w->now, w->turn, kind, unit, what };
}

/* --- stimuli: what people and other programs do ---------------------------------------- */

void world_stimulate(struct world *w, span after, enum stimulus_kind kind, int what) {
    if (w->nstimuli == WORLD_STIMULI)
        world_fail(w, "more than %d stimuli", WORLD_STIMULI);
    w->stimuli[w->nstimuli++] = (struct stimulus){ instant_add(w->now, after), kind, what };
}

static void raise_signal(struct world *w, int sig) {
    struct signalfd_siginfo *si = &w->pending[sig];
    if (si->ssi_signo == 0)
        *si = (struct signalfd_siginfo){ .ssi_signo = (uint32_t)sig, .ssi_code = SI_USER };
}

static void stimulus_run(struct world *w, const struct stimulus *s) {
    struct proc *p = NULL;
    world_trace(w, "stimulus: kind %d, %d", s->kind, s->what);
    switch (s->kind) {
    case STIM_SIGNAL:
        raise_signal(w, s->what);
        break;
    case STIM_KILL_MAIN:
        p = w->box->main >= 0 ? world_leader(w, w->box->main) : NULL;
        break;
    case STIM_KILL_UNIT:
        p = world_leader(w, s->what);
        break;
    case STIM_KILL_ROLE:
        p = proc_role(w, (enum proc_kind)(PROC_LOG + s->what % 3)); /* log, channel, net */
        break;
    case STIM_UNIT_DO:
        actor_ask(w, s->what / 4, s->what % 4);
        break;
    default:
        actor_job(w, s->what);
    }
    if (p)
        proc_signal(w, p, SIGKILL);
}

static void stimuli_run(struct world *w) {
    for (int i = 0; i < w->nstimuli; i++)
        if (!instant_before(w->now, w->stimuli[i].at)) {
            w->stimuli[i].at = INSTANT_NEVER;
            stimulus_run(w, &w->stimuli[i]);
        }
}

/* --- signals to the box ---------------------------------------------------------------- */

static void notify(struct world *w) {
    for (int sig = 1; sig <= SIGNAL_MAX && !w->notified; sig++)
        w->notified = w->pending[sig].ssi_signo != 0;
    if (w->notified)
        (void)!write(w->box->signals.fd, &(uint64_t){ 1 }, sizeof(uint64_t));
}

static void signals_ready(struct source *src, uint32_t got) {
    (void)got;
    struct box *b = CONTAINER_OF(src, struct box, signals);
    struct world *w = (struct world *)(void *)b->sys;
    uint64_t count;
    (void)!read(src->fd, &count, sizeof count);
    w->notified = false;
    for (int sig = 1; sig <= SIGNAL_MAX; sig++) {
        struct signalfd_siginfo si = w->pending[sig];
        w->pending[sig].ssi_signo = 0;
        if (si.ssi_signo == 0)
            continue;
        check_signal(w, sig);
        box_signal(b, &si);
        check_sync(w, b->ready);
    }
}

/* --- struct sys ------------------------------------------------------------------------ */

static instant world_now(struct sys *s) { return ((struct world *)(void *)s)->now; }

static instant next_thing(const struct world *w) {
    instant next = procs_next(w);
    for (int i = 0; i < w->nstimuli; i++)
        next = instant_min(next, w->stimuli[i].at);
    return next;
}

static void sleep_until(struct world *w, instant until, bool by_timer) {
    if (!instant_before(w->now, until))
        return;
    check_sleep(w, until);
    w->now = until;
    if (by_timer)
        w->now = instant_add(w->now, dice_span(&w->dice, w->faults.late));
    if (dice_hits(&w->dice, w->faults.jumps)) {
        span leap = dice_span(&w->dice, span_s(600));
        w->now = instant_add(w->now, leap);
        w->leapt.ns += leap.ns;
        world_trace(w, "the clock leaps by %.1f s", (double)leap.ns / 1e9);
    }
}

/* In any order, and not always all: the kernel promises neither. */
static int shuffle(struct world *w, struct epoll_event *evs, int n) {
    for (int i = n - 1; i > 0; i--) {
        int k = dice_below(&w->dice, i + 1);
        struct epoll_event swap = evs[i];
        evs[i] = evs[k];
        evs[k] = swap;
    }
    return dice_hits(&w->dice, 250) ? 1 + dice_below(&w->dice, n) : n;
}

/* Asleep for ever. It may be waiting for what hangs in the kernel, or for people. */
static void nothing_left(struct world *w) {
    if (procs_let_go(w))
        return;
    if (w->drain.on || w->reminders++ == 3)
        world_fail(w, "asleep for ever in phase %d", w->box->phase);
    struct proc *cmd = w->box->main >= 0 ? world_leader(w, w->box->main) : NULL;
    if (cmd && w->reminders > 1)
        proc_signal(w, cmd, SIGKILL); /* it does not listen */
    raise_signal(w, SIGTERM);
}

static int world_wait(struct sys *s, int epfd, struct epoll_event *evs, int max, int timeout_ms) {
    struct world *w = (struct world *)(void *)s;
    instant limit = timeout_ms < 0 ? INSTANT_NEVER : instant_add(w->now, span_ms(timeout_ms));
    check_settled(w);
    w->turn++;
    if (dice_hits(&w->dice, w->faults.interrupts))
        return -EINTR;
    for (;;) {
        stimuli_run(w);
        procs_run(w);
        actors_listen(w);
        notify(w);
        int n = epoll_wait(epfd, evs, max, 0);
        if (n != 0)
            return n < 0 ? -errno : shuffle(w, evs, n);
        if (!instant_before(w->now, limit))
            return 0;
        instant next = next_thing(w);
        if (instant_is_never(next) && instant_is_never(limit)) {
            nothing_left(w);
            continue;
        }
        sleep_until(w, instant_min(limit, next), !instant_before(next, limit));
    }
}

/* The generated commands are /unit/NAME. */
static int unit_of(const struct world *w, const char *program) {
    int unit = world_unit(w, program + strlen("/unit/"));
    if (unit < 0)
        world_fail(w, "%s is started, which is no unit's", program);
    return unit;
}

static void schedule(struct world *w, struct proc *p) {
    const struct life *l = &p->life;
    bool early = l->refuse.code && l->refuse.step < STEP_SESSION;
    if (!early)
        p->at[DO_SESSION] = instant_add(w->now, l->session);
    p->at[DO_EXEC] = instant_add(instant_add(w->now, l->session), l->exec);
}

static pid_t world_spawn(struct sys *s, const struct spawn_req *r, int *exec_fd, struct err *e) {
    struct world *w = (struct world *)(void *)s;
    int unit = unit_of(w, r->argv[0]);
    struct unit_record *u = &w->units[unit];
    check_spawn(w, unit, r);
    *u = (struct unit_record){ .pid = u->pid,
                               .group = u->group,
                               .reaped_turn = u->reaped_turn,
                               .starts = u->starts + 1,
                               .started_at = w->box->loop.now,
                               .ended_at = u->ended_at,
                               .seen = u->seen,
                               .seen_starts = u->seen_starts };
    struct life life = life_quiet();
    if (w->live)
        w->live(w, unit, u->starts, &life);
    if (life.fork_errno) {
        world_trace(w, "fork for unit %d fails", unit);
        u->ended_at = w->box->loop.now;
        return err_sys(e, life.fork_errno, "fork for %s", r->argv[0]);
    }
    int p[2];
    if (pipe2(p, O_CLOEXEC | O_NONBLOCK) < 0)
        world_fail(w, "pipe: %s", strerror(errno));
    struct proc *child = proc_new(w, PROC_UNIT, unit);
    child->life = life;
    child->report = p[1];
    *exec_fd = p[0];
    schedule(w, child);
    u->pid = u->group = child->pid;
    world_note(w, EVENT_START, unit, child->pid);
    u->reaped_turn = 0;
    world_trace(w, "unit %d starts as %d", unit, child->pid);
    return child->pid;
}

static pid_t world_fork(struct sys *s, const struct fork_req *r, struct err *e) {
    return actor_fork((struct world *)(void *)s, r, e);
}

/* Any zombie child, from a random place on; or, with `pid`, that one. */
static int bury(struct world *w, pid_t pid, struct exit_info *out) {
    int from = w->top ? dice_below(&w->dice, w->top) : 0;
    bool have = false;
    for (int i = 0; i < w->top; i++) {
        struct proc *p = &w->procs[(from + i) % w->top];
        if (!p->used || p->parent != BOX_PID || (pid > 0 && p->pid != pid))
            continue;
        have = true;
        if (!p->zombie)
            continue;
        *out = p->end;
        p->used = false;
        if (p->job)
            w->clients.ends[p->job] = p->end;
        if (p->kind == PROC_UNIT) {
            struct unit_record *u = &w->units[p->unit];
            world_note(w, EVENT_END, p->unit, exit_status(p->end));
            u->ended = true;
            u->last = p->end;
            u->ended_at = w->box->loop.now;
            u->reaped_turn = w->turn;
            u->refused = p->executed || p->killed ? (struct exec_failure){ 0 } : p->life.refuse;
        }
        return 1;
    }
    return have ? 0 : -ECHILD;
}

static int world_reap(struct sys *s, pid_t pid, struct exit_info *out) {
    struct world *w = (struct world *)(void *)s;
    if (pid == -1) {
        w->now = instant_add(w->now, w->faults.reap_cost);
        w->spent.ns += w->faults.reap_cost.ns;
    }
    int rc = bury(w, pid, out);
    if (rc > 0)
        world_trace(w, "%d is reaped", out->pid);
    return rc;
}

static int world_strangers(struct sys *s, const pid_t *known, size_t n) {
    const struct world *w = (const struct world *)(void *)s;
    if (w->faults.strangers_unknown)
        return -ENOENT;
    for (int i = 0; i < w->top; i++) {
        const struct proc *p = &w->procs[i];
        bool stranger = p->used && p->parent == BOX_PID;
        for (size_t k = 0; k < n && stranger; k++)
            stranger = p->pid != known[k];
        if (stranger)
            return 1;
    }
    return 0;
}

static int deliver(struct world *w, pid_t pid, int sig) {
    bool hit = false;
    if (sig != 0)
        world_trace(w, "kill(%d, %d)", pid, sig);
    for (int i = 0; i < w->top; i++) {
        struct proc *p = &w->procs[i];
        if (!p->used || (pid > 0 && p->pid != pid) || (pid < -1 && p->group != -pid))
            continue;
        hit = true;
        proc_signal(w, p, sig);
    }
    return hit ? 0 : -ESRCH;
}

static int world_kill(struct sys *s, pid_t pid, int sig) {
    struct world *w = (struct world *)(void *)s;
    check_kill(w, pid, sig);
    return deliver(w, pid, sig);
}

static int world_forward(struct sys *s, pid_t pid, const struct signalfd_siginfo *si,
                         int as_signal) {
    (void)si;
    struct world *w = (struct world *)(void *)s;
    check_forward(w, pid);
    return deliver(w, pid, as_signal);
}

/* --- the whole ------------------------------------------------------------------------- */

void world_init(struct world *w, uint64_t seed) {
    *w = (struct world){ .sys = { .now = world_now,
                                  .wait = world_wait,
                                  .spawn = world_spawn,
                                  .fork = world_fork,
                                  .reap = world_reap,
                                  .strangers = world_strangers,
                                  .kill = world_kill,
                                  .forward = world_forward },
                         .seed = seed,
                         .dice = { seed },
                         .last_pid = BOX_PID };
    w->now.ns = 1 + (int64_t)(dice_next(&w->dice) % 1000000000000);
}

int world_attach(struct world *w, struct box *b) {
    w->box = b;
    w->plan = b->plan;
    w->started = b->loop.now;
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    b->signals = (struct source){ .fd = fd, .want = EPOLLIN, .ready = signals_ready };
    return fd < 0 ? -errno : loop_watch(&b->loop, &b->signals);
}

void world_fini(struct world *w) {
    for (int i = 0; i < w->top; i++) {
        struct proc *p = &w->procs[i];
        if (!p->used)
            continue;
        fd_close(&p->report);
        fd_close(&p->sock);
    }
}
