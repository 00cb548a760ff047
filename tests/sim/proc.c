/* Processes of the simulated world: how they begin, take signals and end. */
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/own.h"
#include "svc/wire.h"
#include "sys/signals.h"
#include "world.h"

struct life life_quiet(void) {
    return (struct life){ .ready = { 0 },
                          .ill = SPAN_NEVER,
                          .ends = SPAN_NEVER,
                          .yield_status = -1,
                          .kin_at = SPAN_NEVER,
                          .stops = SPAN_NEVER };
}

struct proc *proc_find(struct world *w, pid_t pid) {
    for (int i = 0; i < w->top; i++)
        if (w->procs[i].used && w->procs[i].pid == pid)
            return &w->procs[i];
    return NULL;
}

bool proc_is_role(const struct proc *p) {
    return p->kind == PROC_LOG || p->kind == PROC_CHANNEL || p->kind == PROC_NET;
}

struct proc *proc_role(struct world *w, enum proc_kind kind) {
    for (int i = 0; i < w->top; i++) {
        struct proc *p = &w->procs[i];
        if (p->used && !p->zombie && p->kind == kind)
            return p;
    }
    return NULL;
}

bool group_has(const struct world *w, pid_t group) {
    for (int i = 0; i < w->top; i++)
        if (w->procs[i].used && w->procs[i].group == group)
            return true;
    return false;
}

static pid_t pid_new(struct world *w) {
    do
        w->last_pid = w->last_pid >= WORLD_PIDS ? BOX_PID + 1 : w->last_pid + 1;
    while (proc_find(w, w->last_pid) || group_has(w, w->last_pid));
    return w->last_pid;
}

struct proc *proc_new(struct world *w, enum proc_kind kind, int unit) {
    int slot = 0;
    while (slot < w->top && w->procs[slot].used)
        slot++;
    if (slot == WORLD_PROCS)
        world_fail(w, "more than %d processes at once", WORLD_PROCS);
    pid_t pid = pid_new(w);
    struct proc *p = &w->procs[slot];
    *p = (struct proc){ .used = true,
                        .kind = kind,
                        .pid = pid,
                        .parent = BOX_PID,
                        .group = BOX_PID,
                        .unit = unit,
                        .life = life_quiet(),
                        .deadline = INSTANT_NEVER,
                        .report = -1,
                        .sock = -1 };
    for (int d = 0; d < NDEEDS; d++)
        p->at[d] = INSTANT_NEVER;
    w->top = slot == w->top ? slot + 1 : w->top;
    return p;
}

struct proc *world_leader(struct world *w, int unit) {
    for (int i = 0; i < w->top; i++) {
        struct proc *p = &w->procs[i];
        if (p->used && !p->zombie && p->kind == PROC_UNIT && p->unit == unit)
            return p;
    }
    return NULL;
}

bool unit_is_well(struct world *w, int unit) {
    const struct proc *p = world_leader(w, unit);
    if (!p || !p->executed || p->stopped)
        return false;
    span age = instant_since(w->now, p->executed_at);
    return age.ns >= p->life.ready.ns && age.ns < p->life.ill.ns;
}

/* --- the end of one -------------------------------------------------------------------- */

/* The parent is told; a SIGCHLD that waits already is all the box gets (signal(7)). */
static void tell_parent(struct world *w, struct proc *p) {
    struct signalfd_siginfo *si = &w->pending[SIGCHLD];
    const struct proc *parent = p->parent == BOX_PID ? NULL : proc_find(w, p->parent);
    if (p->parent != BOX_PID) {
        if (parent && !parent->neglects_children && !p->job) /* jobs: see role_reap() */
            p->used = false;
        return;
    }
    if (si->ssi_signo == 0)
        *si = (struct signalfd_siginfo){ .ssi_signo = SIGCHLD,
                                         .ssi_pid = (uint32_t)p->pid,
                                         .ssi_code = p->end.signaled ? CLD_KILLED : CLD_EXITED,
                                         .ssi_status = p->end.code };
}

void proc_end(struct world *w, struct proc *p, struct exit_info how) {
    p->zombie = true;
    p->end = how;
    p->end.pid = p->pid;
    p->ended_at = w->now;
    fd_close(&p->report);
    fd_close(&p->sock);
    if (p->kind == PROC_CHANNEL)
        actor_gone(w, p);
    for (int d = 0; d < NDEEDS; d++)
        p->at[d] = INSTANT_NEVER;
    world_trace(w, "pid %d (kind %d, unit %d) ends: %s %d", p->pid, p->kind, p->unit,
                how.signaled ? "signal" : "status", how.code);
    for (int i = 0; i < w->top; i++) {
        struct proc *q = &w->procs[i];
        if (!q->used || q == p || q->parent != p->pid)
            continue;
        q->parent = BOX_PID;
        if (q->zombie) {
            q->ended_at = w->now;
            tell_parent(w, q);
        }
    }
    tell_parent(w, p);
}

/* --- signals --------------------------------------------------------------------------- */

static void end_at(struct world *w, struct proc *p, span in, struct exit_info how) {
    instant at = instant_add(w->now, in);
    if (!instant_before(at, p->at[DO_END]))
        return;
    p->at[DO_END] = at;
    p->end = how;
}

static void take_kill(struct world *w, struct proc *p) {
    if (p->killed)
        return;
    p->killed = true;
    p->stopped = false;
    for (int d = 0; d < NDEEDS; d++)
        p->at[d] = INSTANT_NEVER;
    end_at(w, p, p->life.lingers, (struct exit_info){ .signaled = true, .code = SIGKILL });
}

static void take(struct world *w, struct proc *p, int sig) {
    bool harmless = sig == SIGCHLD || sig == SIGURG || sig == SIGWINCH || sig == SIGCONT;
    if (p->life.ignores || harmless)
        return;
    struct exit_info how = { .signaled = p->life.yield_status < 0,
                             .core = p->life.yield_status < 0 && sig == SIGQUIT,
                             .code = p->life.yield_status < 0 ? sig : p->life.yield_status };
    end_at(w, p, p->life.yields, how);
}

static void take_pending(struct world *w, struct proc *p) {
    for (int sig = 1; sig <= SIGNAL_MAX; sig++)
        if (p->pending & SIGNAL_BIT(sig))
            take(w, p, sig);
    p->pending = 0;
}

void proc_signal(struct world *w, struct proc *p, int sig) {
    if (p->zombie || p->killed || sig == 0)
        return;
    p->asked |= sig == SIGTERM;
    if (sig == SIGKILL) {
        take_kill(w, p);
        return;
    }
    if (p->kind != PROC_UNIT && p->kind != PROC_KIN)
        return; /* our own forks keep every signal blocked */
    if (sig == SIGCONT)
        p->stopped = false;
    if (sig == SIGSTOP)
        p->stopped = true;
    else
        p->pending |= SIGNAL_BIT(sig);
    if (!p->stopped && p->executed)
        take_pending(w, p);
}

/* --- deeds ----------------------------------------------------------------------------- */

static struct proc *kin_new(struct world *w, const struct proc *p, pid_t parent, pid_t group) {
    struct proc *q = proc_new(w, PROC_KIN, p->unit);
    q->executed = true;
    q->executed_at = w->now;
    q->parent = parent;
    q->group = group ? group : q->pid;
    return q;
}

static void kin_start(struct world *w, struct proc *p, const struct kin_plan *k) {
    struct proc *q;
    if (w->top > WORLD_PROCS - 16)
        return;
    if (k->kind == KIN_GROUP)
        q = kin_new(w, p, p->pid, p->group);
    else if (k->kind == KIN_DAEMON)
        q = kin_new(w, p, BOX_PID, 0);
    else if (k->kind == KIN_FOSTER)
        q = kin_new(w, p, kin_new(w, p, BOX_PID, 0)->pid, p->group);
    else
        q = kin_new(w, p, BOX_PID, p->group);
    q->life.ignores = k->ignores;
    q->life.lingers = p->life.lingers;
    q->at[DO_END] = instant_add(w->now, k->lives);
    q->end = (struct exit_info){ .code = 0 };
}

static void refuse(struct world *w, struct proc *p) {
    struct exec_failure f = p->life.refuse;
    if (write(p->report, &f, sizeof f) != (ssize_t)sizeof f)
        world_fail(w, "the pipe that tells of a failed exec takes nothing");
    bool found = f.step == STEP_EXEC && f.code != ENOENT;
    proc_end(w, p, (struct exit_info){ .code = found ? 126 : 127 });
}

static bool says_ready(const struct world *w, const struct proc *p) {
    const struct probe_spec *ready = w->box->confs[p->unit]->ready;
    return !p->life.forgetful && ready && (ready->kind == PROBE_LOG || ready->kind == PROBE_NOTIFY);
}

static void execute(struct world *w, struct proc *p) {
    const struct life *l = &p->life;
    p->executed = true;
    p->executed_at = w->now;
    fd_close(&p->report);
    if (says_ready(w, p))
        p->at[DO_SAY] = instant_add(w->now, l->ready);
    if (l->nkin)
        p->at[DO_KIN] = instant_add(w->now, l->kin_at);
    p->at[DO_STOP] = instant_add(w->now, l->stops);
    p->at[DO_END] = instant_add(w->now, l->ends);
    p->end = l->end;
    p->neglects_children = l->neglects;
    if (!p->stopped)
        take_pending(w, p);
}

static void unit_deed(struct world *w, struct proc *p, enum deed d) {
    switch (d) {
    case DO_SESSION:
        p->group = p->pid;
        break;
    case DO_EXEC:
        if (p->life.refuse.code)
            refuse(w, p);
        else
            execute(w, p);
        break;
    case DO_KIN:
        for (int i = 0; i < p->life.nkin; i++)
            kin_start(w, p, &p->life.kin[i]);
        break;
    case DO_SAY:
        p->wants_to_say = true;
        break;
    case DO_STOP:
        proc_signal(w, p, SIGSTOP);
        break;
    default:
        proc_end(w, p, p->end);
    }
}

/* A stopped process does nothing but die of SIGKILL; what it had in mind waits. */
static bool is_due(const struct proc *p, int d, instant now) {
    return p->used && !p->zombie && (!p->stopped || p->killed) && !instant_before(now, p->at[d]);
}

static bool run_one(struct world *w) {
    struct proc *first = NULL;
    int deed = 0;
    for (int i = 0; i < w->top; i++)
        for (int d = 0; d < NDEEDS; d++) {
            struct proc *p = &w->procs[i];
            if (is_due(p, d, w->now) && (!first || instant_before(p->at[d], first->at[deed]))) {
                first = p;
                deed = d;
            }
        }
    if (!first)
        return false;
    first->at[deed] = INSTANT_NEVER;
    if (first->kind == PROC_UNIT || first->kind == PROC_KIN)
        unit_deed(w, first, (enum deed)deed);
    else
        actor_deed(w, first, (enum deed)deed);
    return true;
}

void procs_run(struct world *w) {
    while (run_one(w))
        continue;
}

bool procs_let_go(struct world *w) {
    bool any = false;
    for (int i = 0; i < w->top; i++) {
        struct proc *p = &w->procs[i];
        if (!p->used || p->zombie || !p->killed || !instant_is_never(p->at[DO_END]))
            continue;
        any = true;
        p->at[DO_END] = w->now;
    }
    return any;
}

instant procs_next(const struct world *w) {
    instant next = INSTANT_NEVER;
    for (int i = 0; i < w->top; i++) {
        const struct proc *p = &w->procs[i];
        if (!p->used || p->zombie || (p->stopped && !p->killed))
            continue;
        for (int d = 0; d < NDEEDS; d++)
            next = instant_min(next, p->at[d]);
    }
    return next;
}
