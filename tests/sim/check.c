/* What must be true of a box at every step, told from the outside: by what it asks the
 * kernel to do, and by what it holds while it waits. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>

#include "sys/signals.h"
#include "world.h"

static const span tick = { 1000000 };                      /* epoll_wait(2) counts milliseconds */
enum { HURRY_S = 1, FORCED_END_S = 4, SYSTEMD_STOP = 37 }; /* as drain.c and forward.c have them */

static instant box_now(const struct world *w) { return w->box->loop.now; }
static const struct conf *conf_of(const struct world *w) { return w->box->conf; }
static const char *name_of(const struct world *w, int unit) { return w->box->confs[unit]->name; }

static bool in_status_set(const struct status_set *set, int status) {
    return set->bits[status / 64] >> status % 64 & 1;
}

/* --- why it ends, and with which status ------------------------------------------------ */

/* -1: it does not have to end for that. */
static int main_end_code(const struct world *w, const struct unit_record *u) {
    const struct main_conf *c = &conf_of(w)->main;
    int code = u->ended ? exit_status(u->last) & 255 : EXIT_CANNOT_START;
    bool never_ran = u->refused.code || !u->ended;
    if (u->refused.code)
        code = u->refused.step == STEP_EXEC && u->refused.code != ENOENT ? 126 : 127;
    if (in_status_set(&c->remap_exit, code))
        code = 0;
    bool ends = c->on_exit == EXIT_SHUTDOWN || (never_ran && u->starts == 1) ||
                (c->on_exit == EXIT_SHUTDOWN_ON_FAILURE && code != 0);
    return ends ? code : -1;
}

static int unit_failure_code(const struct world *w, int i) {
    const struct box *b = w->box;
    if (b->svcs[i].parked)
        return -1; /* nobody waits for it */
    const struct unit_record *u = &w->units[i];
    bool booting = w->seen_phase < PHASE_SERVE;
    bool awaited = b->main < 0 || conf_of(w)->main.start == START_READY;
    bool fatal = b->confs[i]->on_failure == FAILURE_SHUTDOWN ||
                 (booting && awaited && conf_of(w)->pinnace.on_boot_timeout == BOOT_TIMEOUT_EXIT);
    int code = u->ended ? exit_status(u->last) : 0;
    if (u->refused.code)
        code = u->refused.step == STEP_EXEC && u->refused.code != ENOENT ? 126 : 127;
    if (!fatal)
        return -1;
    return code ? code : 1;
}

/* The status that unit `i` ends the box with by what happened to it since the box last waited. */
static int unit_end_code(const struct world *w, int i) {
    enum svc_state state = w->box->svcs[i].state, was = w->units[i].seen;
    bool again = w->units[i].starts != w->units[i].seen_starts;
    if ((state == was && !again) || w->drain.begun)
        return -1;
    if (i == w->box->main)
        return state == SVC_DONE || state == SVC_FAILED ? main_end_code(w, &w->units[i]) : -1;
    return state == SVC_FAILED ? unit_failure_code(w, i) : -1;
}

static bool boot_is_late(const struct world *w) {
    instant deadline = instant_add(w->started, conf_of(w)->pinnace.boot_timeout);
    return !w->ever_ready && !instant_before(box_now(w), deadline) &&
           conf_of(w)->pinnace.on_boot_timeout == BOOT_TIMEOUT_EXIT;
}

/* Is `code` a status to end with now? With code -1: is there any? Returns one, or -1. */
static int reason_to_end(const struct world *w, int code) {
    for (int i = 0; i < w->asked.n; i++)
        if (code < 0 || w->asked.code[i] == code)
            return w->asked.code[i];
    for (size_t i = 0; i < w->box->nunits; i++) {
        int status = unit_end_code(w, (int)i);
        if (status >= 0 && (code < 0 || status == code))
            return status;
    }
    bool late = boot_is_late(w) && (code < 0 || code == EXIT_BOOT_TIMEOUT);
    return late ? EXIT_BOOT_TIMEOUT : -1;
}

void check_sync(struct world *w, bool ready) {
    const struct box *b = w->box;
    if (!w->drain.on && b->phase >= PHASE_DRAIN) {
        if (reason_to_end(w, b->exit_code) < 0)
            world_fail(w, "it ends with %d, for which there is no reason", b->exit_code);
        w->drain.on = true;
        w->drain.code = b->exit_code;
        w->drain.from = box_now(w);
        span delay = conf_of(w)->pinnace.drain_delay;
        if ((ready && delay.ns > 0) != timer_armed(&b->drain_delay))
            world_fail(w, "ready: %d, and the drain delay is wrong", ready);
    }
    if (w->drain.on && !w->drain.begun && !timer_armed(&b->drain_delay)) {
        w->drain.begun = true;
        w->drain.grace_end = instant_add(box_now(w), conf_of(w)->pinnace.grace);
    }
}

static void check_asked(struct world *w, int sig) {
    const struct box *b = w->box;
    bool forwarded = b->main >= 0 && b->svcs[b->main].child.pid;
    if (!w->drain.on && !forwarded)
        w->asked.code[w->asked.n++ & 7] = b->phase == PHASE_SERVE ? 0 : 128 + sig;
    if (!w->drain.on)
        return;
    w->drain.hurried = true;
    instant hurry = instant_add(box_now(w), span_s(HURRY_S));
    if (w->drain.begun)
        w->drain.grace_end = instant_min(w->drain.grace_end, hurry);
}

void check_signal(struct world *w, int sig) {
    check_sync(w, w->seen_ready);
    if (sig == SIGTERM || sig == SIGINT || sig == SIGQUIT || sig == SYSTEMD_STOP)
        check_asked(w, sig);
    world_trace(w, "signal %d is delivered", sig);
}

/* svc_is_up() would be the box's own word for it. */
static bool is_up(const struct world *w, size_t k) {
    enum svc_state state = w->box->svcs[k].state;
    return state == SVC_READY || state == SVC_DONE;
}

/* --- what it starts -------------------------------------------------------------------- */

static bool may_start_without(const struct world *w, int unit, size_t k) {
    const struct svc *other = &w->box->svcs[k];
    bool stays = conf_of(w)->pinnace.on_boot_timeout == BOOT_TIMEOUT_STAY;
    instant deadline = instant_add(w->started, conf_of(w)->pinnace.boot_timeout);
    if (is_up(w, k) || other->parked)
        return true;
    if (unit == w->box->main && stays)
        return other->state == SVC_FAILED || !instant_before(box_now(w), deadline);
    return w->units[unit].starts > 0 && other->state == SVC_FAILED;
}

static void check_request(const struct world *w, int unit, const struct spawn_req *r) {
    bool is_main = unit == w->box->main;
    if (r->own_session == is_main || r->own_group != is_main || r->only_stdio == is_main)
        world_fail(w, "%s is started with the wrong session or descriptors", name_of(w, unit));
    for (int i = 0; i < 3; i++)
        if (is_main ? r->stdio[i] != -1 : fcntl(r->stdio[i], F_GETFD) < 0)
            world_fail(w, "%s is started with %d as its descriptor %d", name_of(w, unit),
                       r->stdio[i], i);
}

void check_spawn(struct world *w, int unit, const struct spawn_req *r) {
    const struct unit_record *u = &w->units[unit];
    for (int i = 0; i < w->top; i++)
        if (w->procs[i].used && w->procs[i].kind == PROC_UNIT && w->procs[i].unit == unit)
            world_fail(w, "%s is started a second time", name_of(w, unit));
    check_sync(w, w->seen_ready);
    if (w->drain.begun || (w->drain.on && u->starts == 0))
        world_fail(w, "%s is started while the box ends", name_of(w, unit));
    for (size_t k = 0; k < w->plan.n; k++) {
        if (unit_in(&w->plan.after[unit], k) && !may_start_without(w, unit, k))
            world_fail(w, "%s is started before %s is up", name_of(w, unit), name_of(w, (int)k));
        if (unit_in(&w->plan.requires[unit], k) && w->box->svcs[k].state == SVC_FAILED)
            world_fail(w, "%s is started, and %s has failed", name_of(w, unit), name_of(w, (int)k));
    }
    int64_t pause = w->box->confs[unit]->backoff.from.ns / 10 * 9;
    if (u->starts > 0 && instant_since(box_now(w), u->ended_at).ns < pause && !w->clients.tickets)
        world_fail(w, "%s is started again too soon", name_of(w, unit));
    check_request(w, unit, r);
}

/* --- what it signals ------------------------------------------------------------------- */

static bool grace_is_over(const struct world *w) {
    return w->drain.begun && !instant_before(box_now(w), w->drain.grace_end);
}

static instant kill_time(const struct world *w, int unit) {
    instant at = instant_add(w->units[unit].stopped_at, w->box->confs[unit]->stop_timeout);
    return w->drain.begun ? instant_min(at, w->drain.grace_end) : at;
}

static void check_stop_order(const struct world *w, int unit) {
    const struct svc *s = &w->box->svcs[unit];
    if (s->want_up || s->found_dead || grace_is_over(w))
        return;
    for (size_t k = 0; k < w->plan.n; k++)
        if (unit_in(&w->plan.after[k], (size_t)unit) && !w->box->svcs[k].want_up &&
            (world_leader((struct world *)w, (int)k) || w->box->svcs[k].state == SVC_STOPPING))
            world_fail(w, "%s is stopped while %s runs", s->conf->name, name_of(w, (int)k));
}

void check_stop(struct world *w, int unit) {
    struct unit_record *u = &w->units[unit];
    if (u->stopped)
        return;
    u->stopped = true;
    u->stopped_at = box_now(w);
    check_stop_order(w, unit);
}

static void check_unit_kill(struct world *w, int unit) {
    struct unit_record *u = &w->units[unit];
    enum svc_state state = w->box->svcs[unit].state;
    bool stopping = state == SVC_STOPPING;
    u->killed = true;
    if (stopping && w->box->confs[unit]->stop_signal == SIGKILL)
        return;
    if (stopping && (!u->stopped || instant_before(box_now(w), kill_time(w, unit))))
        world_fail(w, "%s is killed too early", name_of(w, unit));
    if (!stopping && u->reaped_turn != w->turn && !grace_is_over(w))
        world_fail(w, "%s is killed while %s", name_of(w, unit), svc_state_name(state));
}

static void check_unit_signal(struct world *w, int unit, int sig) {
    struct unit_record *u = &w->units[unit];
    const struct svc *s = &w->box->svcs[unit];
    if (u->reaped_turn && u->reaped_turn != w->turn && !group_has(w, u->group))
        world_fail(w, "signal %d for group %d of %s, which has been gone for a while", sig,
                   u->group, name_of(w, unit));
    if (s->state == SVC_STOPPING && sig == s->conf->stop_signal) {
        u->termed = true;
        check_stop(w, unit);
    }
    if (sig == SIGKILL)
        check_unit_kill(w, unit);
}

/* The unit whose group it is; of several the one whose leader is there, or was there last. */
static int unit_of_group(const struct world *w, pid_t group) {
    int found = -1;
    uint64_t latest = 0;
    for (size_t i = 0; i < w->box->nunits; i++) {
        const struct unit_record *u = &w->units[i];
        uint64_t when = u->reaped_turn ? u->reaped_turn : UINT64_MAX;
        if (u->group != group || when < latest)
            continue;
        found = (int)i;
        latest = when;
    }
    return found;
}

static void check_everybody(struct world *w, int sig) {
    if (!w->box->is_pid1)
        world_fail(w, "kill(-1) by one who is not PID 1");
    if (!w->drain.begun)
        world_fail(w, "kill(-1) before the end");
    if (sig == SIGKILL && !grace_is_over(w))
        world_fail(w, "everything is killed before the grace is over");
}

void check_kill(struct world *w, pid_t pid, int sig) {
    if (pid == 0 || pid == BOX_PID)
        world_fail(w, "kill(%d)", pid);
    if (sig == 0)
        return;
    check_sync(w, w->seen_ready);
    int unit = pid == -1 ? -1 : unit_of_group(w, pid < 0 ? -pid : pid);
    if (pid == -1 || unit >= 0)
        world_note(w, EVENT_SIGNAL, unit, sig);
    if (pid == -1) {
        check_everybody(w, sig);
        return;
    }
    const struct proc *p = proc_find(w, pid < 0 ? -pid : pid);
    bool is_child = p && p->parent == BOX_PID && p->kind != PROC_KIN;
    if (pid < 0 && unit >= 0 && !(is_child && p->kind != PROC_UNIT))
        check_unit_signal(w, unit, sig);
    else if (!is_child && !(pid > 0 && p && p->job && w->drain.begun))
        world_fail(w, "signal %d for %d, which is nobody's", sig, pid);
    else if (pid < 0 && p->kind != PROC_PROBE && p->kind != PROC_PREPARE)
        world_fail(w, "signal %d for group %d, which is nobody's", sig, pid);
}

void check_forward(const struct world *w, pid_t pid) {
    const struct box *b = w->box;
    if (b->main < 0 || (pid < 0 ? -pid : pid) != w->units[b->main].pid ||
        w->units[b->main].reaped_turn)
        world_fail(w, "a signal for CMD goes to %d", pid);
}

/* --- what it holds while it waits ------------------------------------------------------ */

static bool others_wait_for(const struct box *b, int unit) {
    for (size_t k = 0; k < b->nunits; k++)
        if (unit_in(&b->plan.after[k], (size_t)unit) && svc_state_runs(b->svcs[k].state) &&
            !b->svcs[k].want_up)
            return true;
    return false;
}

static bool all_before_are_up(const struct world *w, int unit) {
    for (size_t k = 0; k < w->plan.n; k++)
        if (unit_in(&w->plan.after[unit], k) && !may_start_without(w, unit, k))
            return false;
    return true;
}

static const struct svc *failed_requirement(const struct world *w, int unit) {
    for (size_t k = 0; k < w->plan.n; k++)
        if (unit_in(&w->plan.requires[unit], k) && w->box->svcs[k].state == SVC_FAILED)
            return &w->box->svcs[k];
    return NULL;
}

static void check_state(struct world *w, int unit) {
    const struct svc *s = &w->box->svcs[unit];
    const struct unit_record *u = &w->units[unit];
    const char *state = svc_state_name(s->state);
    bool runs = svc_state_runs(s->state);
    const struct proc *p = s->child.pid ? proc_find(w, s->child.pid) : NULL;
    if (s->child.pid && (!p || p->kind != PROC_UNIT || p->unit != unit))
        world_fail(w, "%s has the pid %d of another", s->conf->name, s->child.pid);
    if (runs && !p &&
        !(s->state == SVC_STOPPING && (group_has(w, u->group) || timer_armed(&s->timer))))
        world_fail(w, "%s is %s, and nothing of it runs", s->conf->name, state);
    if (!runs && p)
        world_fail(w, "%s is %s, and runs", s->conf->name, state);
    if (s->state == SVC_BACKOFF && !timer_armed(&s->timer))
        world_fail(w, "%s is in backoff for ever", s->conf->name);
    if (!runs && s->state != SVC_BACKOFF && timer_armed(&s->timer))
        world_fail(w, "%s is %s, and has a timer", s->conf->name, state);
    if (s->state == SVC_STOPPING && !timer_armed(&s->timer) && !u->killed)
        world_fail(w, "%s is stopping, and nobody is going to kill it", s->conf->name);
    if (s->state == SVC_STOPPING && !u->termed && !u->killed && !s->stopper.pid)
        world_fail(w, "%s is stopping, and has not been told", s->conf->name);
    if (s->state == SVC_READY && !s->executed)
        world_fail(w, "%s is ready, and has not been executed", s->conf->name);
}

/* Who is wanted, and whose absence does not matter: from what was asked for and the plan. */
static void check_asked_for(const struct world *w, int unit) {
    const struct svc *s = &w->box->svcs[unit];
    bool wanted = !w->drain.begun && !s->stopped, parked = s->stopped && !s->again;
    for (size_t k = 0; k < w->plan.n; k++)
        if (unit_in(&w->plan.requires[unit], k)) {
            wanted &= w->box->svcs[k].want_up;
            parked |= w->box->svcs[k].parked;
        }
    if (s->want_up != wanted)
        world_fail(w, "%s is%s wanted", s->conf->name, s->want_up ? "" : " not");
    if (s->parked != parked)
        world_fail(w, "%s is%s needed", s->conf->name, s->parked ? " not" : "");
    if (s->again && !svc_state_runs(s->state))
        world_fail(w, "%s was to be started again, and is not", s->conf->name);
    bool rests = s->state == SVC_DONE || (s->state == SVC_FAILED && unit != w->box->engine);
    if (s->stopped && !s->again && rests)
        world_fail(w, "%s is stopped, and %s", s->conf->name, svc_state_name(s->state));
    if (parked && s->state == SVC_DOWN && !w->drain.begun && !s->reason[0])
        world_fail(w, "%s is down, and does not say why", s->conf->name);
}

static void check_wish(const struct world *w, int unit) {
    const struct svc *s = &w->box->svcs[unit];
    const struct svc *bad = s->want_up ? failed_requirement(w, unit) : NULL;
    bool goes = s->state == SVC_STARTING || s->state == SVC_READY;
    if (bad && (goes || s->state == SVC_BACKOFF || s->state == SVC_DOWN))
        world_fail(w, "%s is %s although %s has failed", s->conf->name, svc_state_name(s->state),
                   bad->conf->name);
    check_asked_for(w, unit);
    if (s->want_up && !bad && s->state == SVC_DOWN && w->box->phase >= PHASE_BOOT &&
        all_before_are_up(w, unit))
        world_fail(w, "%s could be started, and is not", s->conf->name);
    if (w->seen_begun && s->state == SVC_FAILED && w->units[unit].seen != SVC_FAILED)
        world_fail(w, "%s has failed because it was stopped", s->conf->name);
    if (!s->want_up && s->state == SVC_BACKOFF && !others_wait_for(w->box, unit))
        world_fail(w, "%s is in backoff while the box ends", s->conf->name);
    if (!s->want_up && goes && !others_wait_for(w->box, unit))
        world_fail(w, "%s could be stopped, and is not", s->conf->name);
}

static bool is_polled(const struct probe_spec *spec) {
    return spec && spec->kind != PROBE_LOG && spec->kind != PROBE_NOTIFY;
}

static void check_prober(struct world *w, int unit) {
    const struct svc *s = &w->box->svcs[unit];
    const struct prober *p = &s->prober;
    bool starting = s->state == SVC_STARTING && s->exec_fd.fd < 0 && !s->exec_failure.code;
    bool asks = (starting && is_polled(s->conf->ready)) ||
                (s->state == SVC_READY && is_polled(s->conf->alive));
    if (asks && !p->attempt.pid && !timer_armed(&p->timer))
        world_fail(w, "%s is %s, and not asked any more", s->conf->name, svc_state_name(s->state));
    if (!asks && (p->attempt.pid || timer_armed(&p->timer)))
        world_fail(w, "%s is %s, and still asked", s->conf->name, svc_state_name(s->state));
    const struct proc *attempt = p->attempt.pid ? proc_find(w, p->attempt.pid) : NULL;
    if (p->attempt.pid && (!attempt || attempt->kind != PROC_PROBE || attempt->unit != unit))
        world_fail(w, "the attempt %d of %s is another's", p->attempt.pid, s->conf->name);
    if (attempt && !timer_armed(&p->timer) && !attempt->killed && !attempt->zombie)
        world_fail(w, "the attempt of %s may take for ever", s->conf->name);
}

static void check_ready(const struct world *w) {
    const struct box *b = w->box;
    bool up = b->phase == PHASE_BOOT || b->phase == PHASE_SERVE;
    for (size_t i = 0; i < b->nunits; i++)
        up &= (int)i == b->main ? b->svcs[i].executed : is_up(w, i) || b->svcs[i].parked;
    if (b->ready != up)
        world_fail(w, "ready is %d and should be %d", b->ready, up);
    bool served = w->ever_ready || up;
    if (b->phase < PHASE_DRAIN && (b->phase == PHASE_SERVE) != served)
        world_fail(w, "phase %d, and it has%s been ready", b->phase, served ? "" : " not");
}

/* Every process of the box's own that has not been reaped is known to it, and none else. */
static void check_children(struct world *w) {
    const struct box *b = w->box;
    for (const struct link *l = b->children.live.next; l != &b->children.live; l = l->next) {
        const struct child *c = CONTAINER_OF(l, const struct child, link);
        const struct proc *p = proc_find(w, c->pid);
        if (!p || p->parent != BOX_PID || p->kind == PROC_KIN)
            world_fail(w, "%d is a registered child, and is none of ours", c->pid);
    }
    for (int i = 0; i < w->top; i++) {
        const struct proc *p = &w->procs[i];
        bool forgotten = p->kind == PROC_PROBE && (p->killed || p->zombie);
        bool known = !p->used || p->kind == PROC_KIN || forgotten;
        for (const struct link *l = b->children.live.next; l != &b->children.live && !known;
             l = l->next)
            known = CONTAINER_OF(l, const struct child, link)->pid == p->pid;
        if (!known)
            world_fail(w, "%d (kind %d, unit %d) is not known to the box", p->pid, p->kind,
                       p->unit);
    }
}

void check_settled(struct world *w) {
    struct box *b = w->box;
    check_sync(w, w->seen_ready);
    int code = w->drain.on ? -1 : reason_to_end(w, -1);
    if (code >= 0)
        world_fail(w, "it should end with %d, and does not", code);
    if (w->drain.on && b->exit_code != w->drain.code)
        world_fail(w, "its exit status was %d and is %d", w->drain.code, b->exit_code);
    for (size_t i = 0; i < b->nunits; i++) {
        check_state(w, (int)i);
        check_wish(w, (int)i);
        check_prober(w, (int)i);
        if (w->units[i].seen != b->svcs[i].state) {
            world_note(w, EVENT_STATE, (int)i, (int)b->svcs[i].state);
            world_trace(w, "%s: %s -> %s (%s)", name_of(w, (int)i),
                        svc_state_name(w->units[i].seen), svc_state_name(b->svcs[i].state),
                        b->svcs[i].reason);
        }
        w->units[i].seen = b->svcs[i].state;
        w->units[i].seen_starts = w->units[i].starts;
    }
    check_ready(w);
    check_children(w);
    if (w->seen_phase != b->phase)
        world_note(w, EVENT_PHASE, -1, (int)b->phase);
    if (w->seen_ready != b->ready)
        world_note(w, EVENT_READY, -1, b->ready);
    if (w->seen_phase != b->phase || w->seen_ready != b->ready)
        world_trace(w, "phase %d, ready %d", b->phase, b->ready);
    w->asked.n = 0;
    w->seen_phase = b->phase;
    w->seen_begun = w->drain.begun;
    w->seen_ready = b->ready;
    w->ever_ready |= b->ready;
}

/* --- before it sleeps: all that can be done has been done ------------------------------ */

static void check_awake(const struct world *w, instant until, instant due, const char *what) {
    if (!instant_is_never(due) && instant_before(instant_add(due, tick), until))
        world_fail(w, "it sleeps until %.6f s; %s at %.6f s", (double)until.ns / 1e9, what,
                   (double)due.ns / 1e9);
}

/* Has its group a member whom nobody has sent SIGKILL? The number alone does not say: it may
 * be a probe's by now, or that of a daemon. */
static bool group_lives(const struct world *w, int unit) {
    for (int i = 0; i < w->top; i++) {
        const struct proc *p = &w->procs[i];
        bool member = p->unit == unit && p->group == w->units[unit].group &&
                      (p->kind == PROC_UNIT || (p->kind == PROC_KIN && p->pid != p->group));
        if (p->used && !p->zombie && !p->killed && member)
            return true;
    }
    return false;
}

static void check_unit_sleep(struct world *w, int unit, instant until) {
    const struct svc *s = &w->box->svcs[unit];
    const struct unit_record *u = &w->units[unit];
    const struct proc *p = world_leader(w, unit);
    const struct probe_spec *ready = s->conf->ready;
    if (s->state == SVC_STOPPING && group_lives(w, unit))
        check_awake(w, until, kill_time(w, unit), s->conf->name);
    if (s->kind != SVC_KIND_MAIN && !svc_state_runs(s->state) && group_lives(w, unit))
        world_fail(w, "%s is %s, and its group lives", s->conf->name, svc_state_name(s->state));
    if (s->state == SVC_STARTING)
        check_awake(w, until, instant_add(u->started_at, s->conf->start_timeout), "a start");
    if (s->state != SVC_STARTING || !p || !p->executed)
        return;
    if (s->exec_fd.fd >= 0)
        world_fail(w, "%s has been executed, and the box has not looked", s->conf->name);
    if (!ready && !s->conf->oneshot)
        world_fail(w, "%s has been executed, and is not ready", s->conf->name);
    if (p->said && !w->log_babbled)
        world_fail(w, "%s has said that it is ready, and is not", s->conf->name);
}

static void check_zombie(struct world *w, const struct proc *p, instant until) {
    if (!p->used || !p->zombie || p->parent != BOX_PID)
        return;
    for (const struct link *l = w->box->children.live.next; l != &w->box->children.live;
         l = l->next)
        if (CONTAINER_OF(l, const struct child, link)->pid == p->pid)
            world_fail(w, "%d has ended, and the box does not know", p->pid);
    check_awake(w, until, instant_add(p->ended_at, span_ms(SWEEP_MAX_REST_MS)), "a zombie");
}

static void check_grace(struct world *w, instant until) {
    if (!w->drain.begun || w->box->phase >= PHASE_END)
        return;
    bool by_fork = w->killer_failed || (w->box->killer.pid && grace_is_over(w));
    for (int i = 0; i < w->top; i++) {
        const struct proc *p = &w->procs[i];
        bool role = proc_is_role(p) || p->kind == PROC_DRAIN ||
                    p->kind == PROC_PROBE;            /* these end with what they work for */
        bool other = by_fork && p->kind != PROC_UNIT; /* is being found in /proc */
        if (p->used && !p->zombie && !p->killed && !role && !other)
            check_awake(w, until, w->drain.grace_end, "the grace of a process ends");
    }
}

/* Nothing of ours runs any more, so the strangers have been asked to end. */
static void check_strangers(const struct world *w) {
    const struct box *b = w->box;
    if (b->phase != PHASE_DRAIN || !w->drain.begun || w->killer_failed || b->killer.pid ||
        b->prepare.pid)
        return;
    for (size_t i = 0; i < b->nunits; i++)
        if (svc_state_runs(b->svcs[i].state))
            return;
    for (int i = 0; i < w->top; i++) {
        const struct proc *p = &w->procs[i];
        if (p->used && !p->zombie && p->kind == PROC_KIN && !p->asked && !p->killed)
            world_fail(w, "nobody has asked %d to end", p->pid);
    }
}

/* A role that is there and listens knows how things are. */
static void check_picture(struct world *w) {
    const struct proc *p = proc_role(w, PROC_CHANNEL);
    const struct box *b = w->box;
    if (!p || p->deaf || p->babbled || p->killed || b->channel.quitting ||
        instant_before(w->now, p->dozes_until))
        return;
    if (!p->told.whole)
        world_fail(w, "the channel knows nothing");
    if (p->told.phase != (int)b->phase || p->told.ready != b->ready)
        world_fail(w, "the channel believes in phase %d, ready %d; it is %d, %d", p->told.phase,
                   p->told.ready, b->phase, b->ready);
    for (size_t i = 0; i < b->nunits; i++)
        if (p->told.state[i] != (int)b->svcs[i].state)
            world_fail(w, "the channel takes %s for %s", name_of(w, (int)i),
                       svc_state_name((enum svc_state)p->told.state[i]));
}

static bool same_end(const struct held_job *j, struct exit_info end) {
    return j->signaled == end.signaled && j->core == end.core && j->code == end.code;
}

/* What PID 1 holds of jobs is so, and the channel knows of those that it has not started. */
static void check_jobs(struct world *w) {
    const struct held_jobs *js = &w->box->jobs;
    const struct proc *p = proc_role(w, PROC_CHANNEL);
    bool knows = p && !p->deaf && !p->babbled && !p->killed && !w->box->channel.quitting &&
                 !instant_before(w->now, p->dozes_until);
    size_t running = 0;
    for (size_t i = 0; i < js->n; i++) {
        const struct held_job *j = &js->list[i];
        const struct proc *q = proc_find(w, j->pid);
        struct exit_info end = w->clients.ends[j->id];
        running += !j->ended;
        if (!j->ended && (!q || q->job != (int)j->id) && !w->clients.mumbled)
            world_fail(w, "job %d is held as running, and there is no such process", (int)j->id);
        if (j->ended && (!end.pid || !same_end(j, end)) && !w->clients.mumbled)
            world_fail(w, "job %d is held as ended with %d, which is not so", (int)j->id, j->code);
        if (j->fds[JOB_STDIN] < 0 || fcntl(j->fds[JOB_STDIN], F_GETFD) != FD_CLOEXEC)
            world_fail(w, "job %d is held without its descriptors", (int)j->id);
        if (knows && (!(p->told.jobs >> j->id & 1) || j->ended != (p->told.ended >> j->id & 1)))
            world_fail(w, "the channel does not know how job %d is", (int)j->id);
    }
    if (running != js->running)
        world_fail(w, "%zu jobs run, and %zu are counted", running, js->running);
}

/* What was answered is what holds. */
static void check_requests(const struct world *w) {
    for (size_t i = 0; i < w->box->nunits && !w->clients.unsure; i++) {
        const struct svc *s = &w->box->svcs[i];
        if (w->clients.stopped[i] != (s->stopped && !s->again) && !w->box->nasked)
            world_fail(w, "%s is%s stopped by request", s->conf->name, s->stopped ? "" : " not");
    }
}

static void check_role(const struct world *w, const struct role *r, bool wanted) {
    const struct proc *p = r->child.pid ? proc_find((struct world *)w, r->child.pid) : NULL;
    if (wanted && !r->quitting && !role_runs(r))
        world_fail(w, "role %s is gone for good", r->name);
    if (!wanted && r->child.pid)
        world_fail(w, "role %s runs for nobody", r->name);
    if (p && p->babbled && !p->killed)
        world_fail(w, "role %s talks nonsense, and lives", r->name);
}

static bool unit_timer_has_reason(const struct svc *s, const struct timer *t) {
    const struct prober *p = &s->prober;
    if (t == &s->timer)
        return s->state == SVC_STARTING || s->state == SVC_BACKOFF || s->state == SVC_STOPPING ||
               (s->state == SVC_READY && s->ends > 0);
    return t == &p->timer && p->spec;
}

static bool timer_has_reason(const struct world *w, const struct timer *t) {
    const struct box *b = w->box;
    bool draining = b->phase == PHASE_DRAIN;
    for (size_t i = 0; i < b->nunits; i++)
        if (unit_timer_has_reason(&b->svcs[i], t))
            return true;
    return (t == &b->boot_deadline && !w->ever_ready && !w->drain.on) ||
           (t == &b->drain_delay && draining && !w->drain.begun) ||
           (t == &b->grace_over && draining && w->drain.begun) ||
           (t == &b->patience && draining && b->termed && !b->killed) ||
           (t == &b->last_call && (b->phase == PHASE_END || (draining && b->killed))) ||
           (t == &b->prepare_deadline && b->prepare.pid) ||
           (t == &b->log.restart && !b->log.child.pid) ||
           (t == &b->channel.restart && !b->channel.child.pid) ||
           (t == &b->net.restart && !b->net.child.pid) || t == &b->channel.again ||
           (t == &b->children.later && b->children.sweep.owed);
}

static void check_timers(const struct world *w) {
    const struct loop *l = &w->box->loop;
    for (const struct link *k = l->timers.next; k != &l->timers; k = k->next) {
        const struct timer *t = CONTAINER_OF(k, const struct timer, link);
        if (!timer_has_reason(w, t))
            world_fail(w, "a timer is armed without a reason (%td bytes into the box)",
                       (const char *)t - (const char *)w->box);
    }
}

void check_sleep(struct world *w, instant until) {
    const struct box *b = w->box;
    for (size_t i = 0; i < b->nunits; i++)
        check_unit_sleep(w, (int)i, until);
    for (int i = 0; i < w->top; i++)
        check_zombie(w, &w->procs[i], until);
    check_grace(w, until);
    if (conf_of(w)->pinnace.on_boot_timeout == BOOT_TIMEOUT_EXIT && !w->ever_ready && !w->drain.on)
        check_awake(w, until, instant_add(w->started, conf_of(w)->pinnace.boot_timeout),
                    "the boot has to be over");
    check_strangers(w);
    check_picture(w);
    check_jobs(w);
    check_requests(w);
    check_role(w, &b->log, b->nunits > (b->main >= 0 ? 1U : 0U));
    check_role(w, &b->channel, b->listens);
    check_role(w, &b->net, b->net_box.active);
    check_timers(w);
}

/* --- the end --------------------------------------------------------------------------- */

bool check_end(struct world *w) {
    struct box *b = w->box;
    /* The channel may outlive the KILL; one that hangs does not tell of its jobs' end. */
    const struct proc *channel = proc_role(w, PROC_CHANNEL);
    bool excused = w->killer_failed || (channel && channel->deaf);
    check_sync(w, w->seen_ready);
    if (!w->drain.on || b->exit_code != w->drain.code)
        world_fail(w, "it ends with %d instead of %d", b->exit_code, w->drain.code);
    for (int i = 0; i < w->top; i++)
        excused |= w->procs[i].used && !w->procs[i].zombie && w->procs[i].killed &&
                   w->procs[i].life.lingers.ns > 0;
    for (int i = 0; i < w->top && !excused; i++) {
        const struct proc *p = &w->procs[i];
        /* Killed at the very end, which a leap of the clock may bring at once. */
        bool late = proc_is_role(p) || w->leapt.ns > 0 || (p->job && p->killed);
        if (p->used && !(late && (p->killed || p->zombie)) && p->kind != PROC_DRAIN)
            world_fail(w, "%d (kind %d, unit %d) is left behind", p->pid, p->kind, p->unit);
    }
    for (size_t i = 0; i < b->nunits && !excused; i++)
        if (svc_state_runs(b->svcs[i].state))
            world_fail(w, "%s is %s at the end", name_of(w, (int)i),
                       svc_state_name(b->svcs[i].state));
    span took = instant_since(w->now, w->drain.from);
    span most = instant_since(w->drain.grace_end, w->drain.from);
    most.ns += span_s(FORCED_END_S).ns + span_ms(100).ns + w->leapt.ns + w->spent.ns;
    if (took.ns > most.ns)
        world_fail(w, "the end took %.3f s, which is %.3f s too long", (double)took.ns / 1e9,
                   (double)(took.ns - most.ns) / 1e9);
    timer_stop(&b->children.later); /* a sweep may be owed: nobody is left who could be found */
    if (!list_empty(&b->loop.timers) && !excused)
        world_fail(w, "a timer is armed after the end (%td bytes into the box)",
                   (const char *)b->loop.timers.next - (const char *)b);
    return !excused;
}
