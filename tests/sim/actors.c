/* What our own forks do: attempts of probes, the roles, prepare, and the fork that signals a
 * subreaper's descendants. They are told apart by their titles. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/own.h"
#include "base/str.h"
#include "sys/signals.h"
#include "world.h"

/* As prepare_step.c lays it out, behind a struct net_box; a scenario boots an engine, so a
 * difference is noticed. */
struct prepare_answer {
    int32_t code;
    char why[MAX_PROBE_REASON];
    struct engine_result result;
};

static int keep_copy(struct world *w, int fd) {
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (copy < 0)
        world_fail(w, "a fork is given descriptor %d: %s", fd, strerror(errno));
    return copy;
}

static void end_in(struct world *w, struct proc *p, span in, struct exit_info how) {
    p->at[DO_END] = instant_add(w->now, in);
    p->end = how;
}

/* --- probes ---------------------------------------------------------------------------- */

static enum manner choose_manner(struct world *w, const struct probe_spec *spec) {
    const struct faults *f = &w->faults;
    if (dice_hits(&w->dice, f->probe_hangs))
        return MANNER_HANGS;
    if (dice_hits(&w->dice, f->probe_crashes))
        return MANNER_CRASHES;
    if (dice_hits(&w->dice, f->probe_lies))
        return MANNER_LIES;
    return probe_waits(spec->kind) ? MANNER_WAITS : MANNER_QUICK;
}

static void probe_start(struct world *w, struct proc *p) {
    const struct svc *s = &w->box->svcs[p->unit];
    const struct probe_spec *spec = s->state == SVC_STARTING ? s->conf->ready : s->conf->alive;
    if (!spec)
        world_fail(w, "unit %d, %s, is probed, and there is nothing to ask", p->unit,
                   svc_state_name(s->state));
    bool is_long = s->state == SVC_STARTING && probe_waits(spec->kind);
    p->group = p->pid;
    p->deadline = instant_add(w->now, is_long ? span_s(60) : s->conf->probe_timeout);
    p->manner = choose_manner(w, spec);
    if (p->manner == MANNER_HANGS)
        return;
    end_in(w, p, dice_span(&w->dice, span_ms(3)),
           (struct exit_info){ .signaled = p->manner == MANNER_CRASHES, .code = SIGSEGV });
}

/* When a probe that waits should look again: soon after its unit becomes well. */
static instant look_again(struct world *w, const struct proc *p) {
    const struct proc *leader = world_leader(w, p->unit);
    instant at = p->deadline;
    if (leader && leader->executed) {
        instant well = instant_add(leader->executed_at, leader->life.ready);
        if (instant_before(w->now, well))
            at = instant_min(at, instant_add(well, span_us(200)));
    }
    return at;
}

static void probe_deed(struct world *w, struct proc *p) {
    struct proc *leader = world_leader(w, p->unit);
    bool yes = unit_is_well(w, p->unit) && p->manner != MANNER_LIES;
    if (leader && leader->life.flickers && leader->answers++ % 2)
        yes = false;
    if (p->manner == MANNER_CRASHES) {
        proc_end(w, p, p->end);
        return;
    }
    if (p->manner == MANNER_WAITS && !yes && instant_before(w->now, p->deadline)) {
        p->at[DO_END] = look_again(w, p);
        return;
    }
    if (!yes && dice_hits(&w->dice, 900))
        (void)!write(p->report, "not yet", 7);
    proc_end(w, p, (struct exit_info){ .code = !yes });
}

/* --- roles ----------------------------------------------------------------------------- */

static void role_start_life(struct world *w, struct proc *p, int sock) {
    const struct faults *f = &w->faults;
    p->sock = keep_copy(w, sock);
    p->deaf = dice_hits(&w->dice, f->role_hangs);
    if (dice_hits(&w->dice, f->role_crashes))
        end_in(w, p, dice_span(&w->dice, span_s(5)), (struct exit_info){ .code = 1 });
    if (dice_hits(&w->dice, f->role_babbles))
        p->at[DO_BABBLE] = instant_add(w->now, dice_span(&w->dice, span_s(5)));
    if (dice_hits(&w->dice, f->role_dozes))
        p->dozes_until = p->at[DO_WAKE] = instant_add(w->now, dice_span(&w->dice, span_s(5)));
    for (size_t i = 0; i < MAX_UNITS; i++)
        p->told.state[i] = -1;
    p->told.ticket = w->clients.tickets + 1;
}

static void babble(struct world *w, struct proc *p) {
    struct wire_word m = { .head = WIRE_HEAD(WIRE_SAID, struct wire_word), .unit = -1 };
    if (dice_hits(&w->dice, 500))
        m.head.version++;
    else
        m.head.size--;
    w->log_babbled |= p->kind == PROC_LOG;
    w->clients.mumbled |= p->kind == PROC_CHANNEL;
    w->clients.unsure |= p->kind == PROC_CHANNEL; /* what it has asked may not be read any more */
    p->babbled = send(p->sock, &m, sizeof m, MSG_DONTWAIT | MSG_NOSIGNAL) == sizeof m;
}

/* A request was taken, or refused for a reason that there is. */
static void answered(struct world *w, struct proc *p, const struct wire_unit_do *m) {
    const struct box *b = w->box;
    bool is_main = m->unit == b->main && m->act != UNIT_START;
    bool there = m->unit >= 0 && m->unit < (int)b->nunits && m->act <= UNIT_RESTART;
    world_trace(w, "ticket %d: unit %d, act %d: %d", (int)m->ticket, m->unit, m->act, m->code);
    if (m->ticket != p->told.ticket++)
        world_fail(w, "the answer to request %d is to another", (int)m->ticket);
    if ((m->code != 0) != (m->reason[0] != '\0') || (m->code == EINVAL) != !there ||
        (m->code == EPERM && !is_main) || (m->code == ESHUTDOWN && b->phase < PHASE_DRAIN) ||
        (m->code == ENOENT && m->unit != b->engine) || (m->code == 0 && is_main))
        world_fail(w, "request %d for unit %d is answered with %d, %s", m->act, m->unit, m->code,
                   m->reason);
    if (m->code != 0)
        return;
    if (m->act == UNIT_STOP)
        w->clients.stopped[m->unit] = true;
    struct unit_set wanted = { 0 };
    unit_add(&wanted, (size_t)m->unit);
    for (size_t n = w->plan.n; n-- > 0 && m->act != UNIT_STOP;) {
        size_t u = w->plan.order[n];
        for (size_t k = 0; k < w->plan.n && m->act == UNIT_START; k++)
            if (unit_in(&wanted, u) && unit_in(&w->plan.requires[u], k))
                unit_add(&wanted, k);
        if (unit_in(&wanted, u))
            w->clients.stopped[u] = false;
    }
}

static void heard_of_job(struct world *w, struct proc *p, const struct wire_job *m) {
    uint64_t bit = UINT64_C(1) << m->id;
    if (m->head.kind == WIRE_JOB && (p->told.whole || (p->told.jobs & bit)))
        world_fail(w, "a channel is told of job %d late, or twice", (int)m->id);
    if (m->head.kind == WIRE_JOB_ENDED && !m->ended)
        world_fail(w, "a channel is told that job %d has ended, and that it has not", (int)m->id);
    p->told.jobs |= bit;
    if (m->ended)
        p->told.ended |= bit;
}

static void heard(struct world *w, struct proc *p, const union wire_any *m) {
    switch (m->head.kind) {
    case WIRE_JOB:
    case WIRE_JOB_ENDED:
        heard_of_job(w, p, &m->job);
        break;
    case WIRE_UNIT_DID:
        answered(w, p, &m->unit_do);
        break;
    case WIRE_UNIT:
        p->told.state[m->unit.index] = m->unit.state;
        break;
    case WIRE_BOX:
        p->told.whole = true;
        p->told.phase = m->box.phase;
        p->told.ready = m->box.ready;
        break;
    case WIRE_QUIT:
        end_in(w, p, dice_span(&w->dice, span_ms(300)), (struct exit_info){ .code = 0 });
        break;
    default:
        break;
    }
}

/* What it does not read waits in the socket, of which a small one is soon full. */
static void keep_little(struct world *w, const struct proc *p) {
    struct role *r = p->kind == PROC_LOG   ? &w->box->log
                     : p->kind == PROC_NET ? &w->box->net
                                           : &w->box->channel;
    int least = 1;
    if (r->child.pid == p->pid && r->sock.fd >= 0)
        (void)setsockopt(r->sock.fd, SOL_SOCKET, SO_SNDBUF, &least, sizeof least);
}

/* A channel reaps its jobs, and says so. */
static void role_reap(struct world *w, struct proc *p) {
    for (int i = 0; i < w->top; i++) {
        struct proc *q = &w->procs[i];
        if (!q->used || !q->zombie || !q->job || q->parent != p->pid)
            continue;
        struct wire_job m = { .head = WIRE_HEAD(WIRE_JOB_ENDED, struct wire_job),
                              .id = (uint64_t)q->job,
                              .ended = true,
                              .signaled = q->end.signaled,
                              .core = q->end.core,
                              .code = q->end.code };
        w->clients.ends[q->job] = q->end;
        q->used = false;
        p->told.ended |= UINT64_C(1) << q->job;
        if (wire_send(p->sock, &m.head) < 0)
            w->clients.mumbled = true;
        m.head.kind = WIRE_JOB_DONE;
        if (dice_hits(&w->dice, 500))
            (void)wire_send(p->sock, &m.head);
        if (!dice_hits(&w->dice, w->faults.role_dies_speaking))
            continue;
        proc_end(w, p, (struct exit_info){ .signaled = true, .code = SIGSEGV });
        return;
    }
}

static void role_listen(struct world *w, struct proc *p) {
    union wire_any m;
    int rc = 0;
    if (p->deaf || p->sock < 0)
        return;
    if (instant_before(w->now, p->dozes_until)) {
        keep_little(w, p);
        return;
    }
    while ((rc = wire_recv(p->sock, &m)) > 0)
        heard(w, p, &m);
    if (rc == -EPROTO)
        world_fail(w, "PID 1 has sent a malformed message to role %d", p->kind);
    if (rc < 0)
        proc_end(w, p, (struct exit_info){ .code = 0 }); /* PID 1 has hung up */
    else if (p->kind == PROC_CHANNEL)
        role_reap(w, p);
}

/* The channel, if it is there and pays attention. */
static struct proc *listener(struct world *w) {
    struct proc *p = proc_role(w, PROC_CHANNEL);
    bool asleep = p && (p->deaf || p->killed || instant_before(w->now, p->dozes_until));
    return p && p->sock >= 0 && p->told.whole && !asleep ? p : NULL;
}

void actor_ask(struct world *w, int unit, int act) {
    struct proc *p = listener(w);
    struct wire_unit_do m = { .head = WIRE_HEAD(WIRE_UNIT_DO, struct wire_unit_do),
                              .ticket = w->clients.tickets + 1,
                              .unit = unit,
                              .act = act };
    if (p && wire_send(p->sock, &m.head) == 0)
        w->clients.tickets++;
}

/* Its child says that it is there, with descriptors that only PID 1 keeps. */
void actor_job(struct world *w, int what) {
    struct proc *p = listener(w);
    int null = w->box->null_fd;
    if (!p || w->clients.njobs == WORLD_JOBS || w->top > WORLD_PROCS - 16)
        return;
    struct proc *q = proc_new(w, PROC_KIN, -1);
    q->job = ++w->clients.njobs;
    q->executed = true;
    q->executed_at = w->now;
    q->parent = p->pid;
    q->group = q->pid;
    q->life.ignores = what % 8 == 0;
    q->life.lingers = span_us(200);
    end_in(w, q, what % 4 ? span_ms(what * 37) : SPAN_NEVER,
           (struct exit_info){ .code = what % 5 });
    struct wire_job m = { .head = WIRE_HEAD(WIRE_JOB, struct wire_job),
                          .id = (uint64_t)q->job,
                          .slot = (uint32_t)q->job,
                          .pid = q->pid };
    p->told.jobs |= UINT64_C(1) << q->job;
    if (wire_send_fds(p->sock, &m, (int[JOB_NFDS]){ null, null, -1, what % 2 ? null : -1 }) < 0)
        world_fail(w, "a job cannot tell PID 1 of itself");
    world_trace(w, "job %d is %d", q->job, q->pid);
}

void actor_gone(struct world *w, const struct proc *p) {
    w->clients.unsure |= p->told.ticket <= w->clients.tickets;
}

static void say(struct world *w, struct proc *log, struct proc *p) {
    const struct probe_spec *ready = w->box->confs[p->unit]->ready;
    struct wire_word m = { .head = WIRE_HEAD(WIRE_SAID, struct wire_word),
                           .unit = p->unit,
                           .what = ready ? (int)ready->kind : 0 };
    if (wire_send(log->sock, &m.head) < 0)
        return;
    p->said = true;
    p->wants_to_say = false;
    if (dice_hits(&w->dice, w->faults.role_dies_speaking))
        proc_end(w, log, (struct exit_info){ .signaled = true, .code = SIGSEGV });
}

void actors_listen(struct world *w) {
    struct proc *log = proc_role(w, PROC_LOG);
    struct proc *channel = proc_role(w, PROC_CHANNEL);
    struct proc *net = proc_role(w, PROC_NET);
    if (channel)
        role_listen(w, channel);
    if (net)
        role_listen(w, net);
    if (log)
        role_listen(w, log);
    for (int i = 0; log && !log->zombie && !log->deaf && log->sock >= 0 &&
                    !instant_before(w->now, log->dozes_until) && i < w->top;
         i++)
        if (w->procs[i].used && !w->procs[i].zombie && w->procs[i].wants_to_say)
            say(w, log, &w->procs[i]);
}

/* --- drain and prepare ----------------------------------------------------------------- */

static void drain_deed(struct world *w, struct proc *p) {
    for (int i = 0; i < w->top; i++) {
        struct proc *q = &w->procs[i];
        if (!q->used || q == p || proc_is_role(q))
            continue;
        proc_signal(w, q, p->sig);
        if (p->sig != SIGKILL)
            proc_signal(w, q, SIGCONT);
    }
    proc_end(w, p, (struct exit_info){ .code = 0 });
}

static void prepare_start(struct world *w, struct proc *p) {
    p->group = p->pid;
    p->manner = MANNER_QUICK;
    if (dice_hits(&w->dice, w->faults.prepare_fails))
        p->manner = (enum manner)dice_below(&w->dice, 5);
    if (p->manner != MANNER_HANGS)
        end_in(w, p, dice_span(&w->dice, span_ms(200)),
               (struct exit_info){ .signaled = p->manner == MANNER_CRASHES, .code = SIGSEGV });
}

static void prepare_deed(struct world *w, struct proc *p) {
    static struct prepare_answer a;
    a = (struct prepare_answer){
        .result = { .nwords = 2, .words = "/unit/engine\0-H", .socket = "/run/docker.sock" }
    };
    size_t n = sizeof a;
    if (p->manner == MANNER_WAITS)
        a.code = ENOENT; /* it says itself that nothing can be done */
    if (p->manner == MANNER_LIES)
        n = 7;
    struct net_box net = { .active = dice_hits(&w->dice, 500) };
    bool half = p->manner == MANNER_CRASHES && dice_hits(&w->dice, 500);
    if (p->manner != MANNER_CRASHES || half) /* it may die between the two */
        (void)!write(p->report, &net, sizeof net);
    if (p->manner != MANNER_CRASHES)
        (void)!write(p->report, &a, n);
    proc_end(w, p, p->end.signaled ? p->end : (struct exit_info){ .code = 0 });
}

static void stopper_start(struct world *w, struct proc *p) {
    p->unit = w->box->engine;
    check_stop(w, p->unit);
    if (!dice_hits(&w->dice, w->faults.probe_hangs))
        end_in(w, p, dice_span(&w->dice, span_s(dice_below(&w->dice, 12))),
               (struct exit_info){ .code = dice_below(&w->dice, 2) });
}

/* --- all ------------------------------------------------------------------------------- */

void actor_deed(struct world *w, struct proc *p, enum deed d) {
    if (d == DO_WAKE)
        return; /* it listens again */
    if (d == DO_BABBLE)
        babble(w, p);
    else if (p->killed)
        proc_end(w, p, p->end);
    else if (p->kind == PROC_PROBE)
        probe_deed(w, p);
    else if (p->kind == PROC_DRAIN)
        drain_deed(w, p);
    else if (p->kind == PROC_PREPARE)
        prepare_deed(w, p);
    else
        proc_end(w, p, p->end);
}

static enum proc_kind kind_of(const struct world *w, const char *title) {
    static const struct {
        const char *title;
        enum proc_kind kind;
    } known[] = { { "log", PROC_LOG },
                  { "channel", PROC_CHANNEL },
                  { "net", PROC_NET },
                  { "drain", PROC_DRAIN },
                  { "prepare", PROC_PREPARE },
                  { "who", PROC_WHO },
                  { "stop containers", PROC_STOPPER } };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strcmp(title, known[i].title) == 0)
            return known[i].kind;
    if (!has_prefix(title, "probe "))
        world_fail(w, "a fork with the title %s", title);
    return PROC_PROBE;
}

pid_t actor_fork(struct world *w, const struct fork_req *r, struct err *e) {
    enum proc_kind kind = kind_of(w, r->title);
    if (dice_hits(&w->dice, w->faults.fork_fails)) {
        w->killer_failed |= kind == PROC_DRAIN;
        world_trace(w, "fork for %s fails", r->title);
        return err_sys(e, dice_hits(&w->dice, 500) ? EAGAIN : ENOMEM, "fork for %s", r->title);
    }
    if ((kind == PROC_LOG || kind == PROC_CHANNEL || kind == PROC_NET) && proc_role(w, kind))
        world_fail(w, "a second role %s is started", r->title);
    int unit = kind == PROC_PROBE ? world_unit(w, r->title + strlen("probe ")) : -1;
    struct proc *p = proc_new(w, kind, unit);
    if (kind == PROC_PROBE || kind == PROC_PREPARE)
        p->report = keep_copy(w, r->keep[0]);
    if (kind == PROC_PROBE)
        probe_start(w, p);
    else if (kind == PROC_LOG)
        role_start_life(w, p, ((const struct log_role *)r->arg)->sock);
    else if (kind == PROC_CHANNEL)
        role_start_life(w, p, ((const struct channel_role *)r->arg)->sock);
    else if (kind == PROC_NET)
        role_start_life(w, p, ((const struct net_role *)r->arg)->sock);
    else if (kind == PROC_PREPARE)
        prepare_start(w, p);
    else if (kind == PROC_STOPPER)
        stopper_start(w, p);
    else if (kind == PROC_WHO)
        end_in(w, p, dice_span(&w->dice, span_ms(20)), (struct exit_info){ .code = 0 });
    if (kind == PROC_DRAIN) { /* a fork has a copy of its parent's memory, so of what to send */
        p->sig = ((const struct box *)r->arg)->killer_signal;
        end_in(w, p, dice_span(&w->dice, span_ms(20)), (struct exit_info){ .code = 0 });
    }
    world_trace(w, "%s starts as %d", r->title, p->pid);
    return p->pid;
}
