#include "scenario.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "trial.h"

/* --- looking back ------------------------------------------------------------------------ */

/* The `nth` event (from 1) that is like this one, or NULL. */
static const struct event *event_find(const struct world *w, enum event_kind kind, int unit,
                                      int what, int nth) {
    for (int i = 0; i < w->nevents; i++) {
        const struct event *e = &w->events[i];
        bool same = e->kind == kind && e->unit == unit;
        if (same && (what < 0 || e->what == what) && --nth == 0)
            return e;
    }
    return NULL;
}

static const struct event *event_get(const struct world *w, enum event_kind kind, int unit,
                                     int what, int nth) {
    const struct event *e = event_find(w, kind, unit, what, nth);
    if (!e)
        world_fail(w, "no event %d of unit %d, %d, number %d", kind, unit, what, nth);
    return e;
}

static instant at(const struct world *w, enum event_kind kind, int unit, int what) {
    return event_get(w, kind, unit, what, 1)->at;
}

static void none(const struct world *w, enum event_kind kind, int unit, int what, int nth) {
    if (event_find(w, kind, unit, what, nth))
        world_fail(w, "event %d of unit %d, %d, happened %d times", kind, unit, what, nth);
}

/* From `a` to `b`: `ms`, or up to `more` longer; epoll_wait(2) rounds up by less than 1 ms. */
static void apart(const struct world *w, instant a, instant b, int64_t ms, int64_t more) {
    int64_t ns = instant_since(b, a).ns;
    if (ns < span_ms(ms).ns || ns > span_ms(ms + more + 1).ns)
        world_fail(w, "%.6f s apart, expected %.3f s", (double)ns / 1e9, (double)ms / 1e3);
}

static void after_start(const struct world *w, instant t, int64_t ms) {
    apart(w, w->started, t, ms, 0);
}

/* --- stimuli --------------------------------------------------------------------------------- */

static void term(struct world *w, int64_t ms) {
    world_stimulate(w, span_ms(ms), STIM_SIGNAL, SIGTERM);
}
static void term_at_once(struct world *w) { term(w, 0); }
static void term_at_1s(struct world *w) { term(w, 1000); }
static void term_at_20s(struct world *w) { term(w, 20000); }
static void term_at_60s(struct world *w) { term(w, 60000); }
static void term_after_an_hour(struct world *w) { term(w, 3600000); }
static void term_thrice(struct world *w) {
    term(w, 1000);
    term(w, 3000);
    term(w, 3900);
}
static void kill_log_then_term(struct world *w) {
    w->faults.reap_cost = span_us(1);
    world_stimulate(w, span_us(1499900), STIM_KILL_ROLE, 0);
    term(w, 20000);
}
static void slow_reaping(struct world *w) {
    w->faults.reap_cost = span_ms(15);
    term(w, 20000);
}
static void fork_fails(struct world *w) {
    w->faults.fork_fails = 1000;
    term(w, 1000);
}
static void fork_fails_for_20s(struct world *w) {
    fork_fails(w);
    w->stimuli[0].at = instant_add(w->now, span_s(20));
}

static void ask(struct world *w, int64_t ms, int unit, enum unit_act act) {
    world_stimulate(w, span_ms(ms), STIM_UNIT_DO, unit * 4 + (int)act);
}
static void stop_at_1s(struct world *w) {
    ask(w, 1000, 0, UNIT_STOP);
    term(w, 20000);
}
static void stop_and_start(struct world *w) {
    ask(w, 1000, 0, UNIT_STOP);
    ask(w, 1050, 0, UNIT_START);
    term(w, 20000);
}
static void restart_at_1s(struct world *w) {
    ask(w, 1000, 0, UNIT_RESTART);
    term(w, 20000);
}
static void start_at_5s(struct world *w) {
    ask(w, 5000, 0, UNIT_START);
    term(w, 20000);
}
static void start_the_second_at_5s(struct world *w) {
    ask(w, 1000, 0, UNIT_STOP);
    ask(w, 5000, 1, UNIT_START);
    term(w, 20000);
}
enum { JOB_STAYS = 4, JOB_STUBBORN = 8 };
static void begin_a_job(struct world *w, int what) {
    world_stimulate(w, span_ms(500), STIM_JOB, what);
    term(w, 1000);
}
static void with_a_job(struct world *w) { begin_a_job(w, JOB_STAYS); }
static void with_a_stubborn_job(struct world *w) { begin_a_job(w, JOB_STUBBORN); }
static void with_an_orphaned_job(struct world *w) {
    world_stimulate(w, span_ms(700), STIM_KILL_ROLE, 1);
    begin_a_job(w, JOB_STUBBORN);
}

/* --- lives ------------------------------------------------------------------------------------ */

static void crashes(struct world *w, int unit, unsigned nth, struct life *l) {
    (void)w, (void)unit, (void)nth;
    l->ends = span_ms(1);
    l->end.code = 1;
}
static void crashes_late(struct world *w, int unit, unsigned nth, struct life *l) {
    (void)w, (void)unit;
    l->ends = nth <= 3 ? span_s(11) : SPAN_NEVER;
    l->end.code = 1;
}
static void falls_ill(struct world *w, int unit, unsigned nth, struct life *l) {
    (void)w, (void)unit;
    l->ill = nth == 1 ? span_ms(3500) : SPAN_NEVER;
    l->ignores = nth == 1;
}
static void flickers(struct world *w, int unit, unsigned nth, struct life *l) {
    (void)w, (void)unit, (void)nth;
    l->flickers = true;
}
static void is_stopped(struct world *w, int unit, unsigned nth, struct life *l) {
    (void)w, (void)unit, (void)nth;
    l->stops = span_ms(200);
}
static void never_ready(struct world *w, int unit, unsigned nth, struct life *l) {
    (void)nth;
    l->ready = SPAN_NEVER;
    if (unit != w->box->main)
        return;
    l->ends = span_s(1);
    l->end.code = 5;
}
static void ignores(struct world *w, int unit, unsigned nth, struct life *l) {
    (void)w, (void)unit, (void)nth;
    l->ignores = true;
}
static void yields_in_100ms(struct world *w, int unit, unsigned nth, struct life *l) {
    (void)w, (void)unit, (void)nth;
    l->yields = span_ms(100);
}
static void leaves_a_stubborn_child(struct world *w, int unit, unsigned nth, struct life *l) {
    (void)w, (void)unit, (void)nth;
    l->kin_at = span_ms(0);
    l->nkin = 1;
    l->kin[0] = (struct kin_plan){ KIN_GROUP, SPAN_NEVER, true };
}
static void leaves_a_fostered_child(struct world *w, int unit, unsigned nth, struct life *l) {
    falls_ill(w, unit, nth, l);
    l->ignores = false;
    l->kin_at = span_ms(0);
    l->nkin = 1;
    l->kin[0] = (struct kin_plan){ KIN_FOSTER, SPAN_NEVER, true };
}
static void leaves_a_stubborn_daemon(struct world *w, int unit, unsigned nth, struct life *l) {
    leaves_a_stubborn_child(w, unit, nth, l);
    l->kin[0].kind = KIN_DAEMON;
}
static void hangs_in_the_kernel(struct world *w, int unit, unsigned nth, struct life *l) {
    (void)w, (void)unit, (void)nth;
    l->lingers = SPAN_NEVER;
    l->ignores = true;
}
static void database_fails(struct world *w, int unit, unsigned nth, struct life *l) {
    (void)w, (void)nth;
    l->yield_status = 7;
    if (unit != 0)
        return;
    l->ends = span_s(2);
    l->end = (struct exit_info){ .signaled = true, .code = SIGSEGV };
}
static void main_then_service(struct world *w, int unit, unsigned nth, struct life *l) {
    (void)nth;
    bool is_main = unit == w->box->main;
    l->ends = is_main ? span_s(1) : span_s(2);
    l->end.code = is_main ? 5 : 9;
}
static void a_second_each(struct world *w, int unit, unsigned nth, struct life *l) {
    (void)w, (void)unit, (void)nth;
    l->ends = span_s(1);
}
static void ends_with_3(struct world *w, int unit, unsigned nth, struct life *l) {
    a_second_each(w, unit, nth, l);
    l->end.code = 3;
}
static void is_killed(struct world *w, int unit, unsigned nth, struct life *l) {
    a_second_each(w, unit, nth, l);
    l->end = (struct exit_info){ .signaled = true, .code = SIGKILL };
}
static void ready_late(struct world *w, int unit, unsigned nth, struct life *l) {
    (void)w, (void)unit, (void)nth;
    l->ready = span_ms(1500);
}
static void many_zombies(struct world *w, int unit, unsigned nth, struct life *l) {
    (void)w, (void)unit, (void)nth;
    l->kin_at = span_ms(0);
    l->nkin = WORLD_KIN;
    for (int i = 0; i < l->nkin; i++)
        l->kin[i] = (struct kin_plan){ KIN_BRIEF, span_s(1), false };
}
static void is_missing(struct world *w, int unit, unsigned nth, struct life *l) {
    (void)w, (void)unit, (void)nth;
    l->refuse = (struct exec_failure){ STEP_EXEC, ENOENT };
}
static void is_denied(struct world *w, int unit, unsigned nth, struct life *l) {
    (void)w, (void)unit, (void)nth;
    l->refuse = (struct exec_failure){ STEP_EXEC, EACCES };
}
static void has_no_memory(struct world *w, int unit, unsigned nth, struct life *l) {
    (void)w, (void)unit, (void)nth;
    l->refuse = (struct exec_failure){ STEP_EXEC, nth < 3 ? ENOMEM : 0 };
}
static void is_not_forked(struct world *w, int unit, unsigned nth, struct life *l) {
    (void)w, (void)unit, (void)nth;
    l->fork_errno = EAGAIN;
}
static void slow_to_begin(struct world *w, int unit, unsigned nth, struct life *l) {
    (void)w, (void)unit, (void)nth;
    l->session = span_ms(5);
}

static void crashes_until_asked(struct world *w, int unit, unsigned nth, struct life *l) {
    crashes(w, unit, nth, l);
    if (nth > 3)
        l->ends = SPAN_NEVER;
}

/* --- what must have happened ------------------------------------------------------------------ */

static void backoff_doubles(struct world *w) {
    static const int64_t pause[] = { 100, 200, 400, 800, 1000, 1000 };
    for (int i = 0; i < 6; i++)
        apart(w, event_get(w, EVENT_END, 0, 1, i + 1)->at,
              event_get(w, EVENT_START, 0, -1, i + 2)->at, pause[i] * 9 / 10, pause[i] / 10);
    none(w, EVENT_START, 0, -1, 8);
    (void)at(w, EVENT_STATE, 0, SVC_FAILED);
}
static void backoff_is_forgotten(struct world *w) {
    for (int i = 1; i <= 3; i++)
        apart(w, event_get(w, EVENT_END, 0, 1, i)->at, event_get(w, EVENT_START, 0, -1, i + 1)->at,
              90, 10);
    none(w, EVENT_STATE, 0, SVC_FAILED, 1);
}
static void restarted_when_ill(struct world *w) {
    apart(w, w->started, at(w, EVENT_SIGNAL, 0, SIGTERM), 5000, 20);
    apart(w, at(w, EVENT_SIGNAL, 0, SIGTERM), at(w, EVENT_SIGNAL, 0, SIGKILL), 500, 0);
    apart(w, at(w, EVENT_END, 0, 137), event_get(w, EVENT_START, 0, -1, 2)->at, 90, 10);
    none(w, EVENT_SIGNAL, 0, SIGKILL, 2);
}
static void never_restarted(struct world *w) { none(w, EVENT_START, 0, -1, 2); }
static void continued(struct world *w) {
    apart(w, at(w, EVENT_SIGNAL, 0, SIGTERM), at(w, EVENT_END, 0, 143), 0, 0);
}
static void ended_at_2s(struct world *w) {
    after_start(w, at(w, EVENT_PHASE, -1, PHASE_DRAIN), 2000);
    none(w, EVENT_START, 1, -1, 1);
}
static void started_at_2s(struct world *w) {
    after_start(w, at(w, EVENT_START, 1, -1), 2000);
    after_start(w, at(w, EVENT_SIGNAL, 0, SIGTERM), 3000);
}
static void killed_at_4s(struct world *w) {
    after_start(w, at(w, EVENT_SIGNAL, 0, SIGTERM), 1000);
    after_start(w, at(w, EVENT_SIGNAL, 0, SIGKILL), 4000);
}
static void stopped_in_order(struct world *w) {
    after_start(w, at(w, EVENT_SIGNAL, 2, SIGTERM), 1000);
    after_start(w, at(w, EVENT_SIGNAL, 1, SIGTERM), 1100);
    after_start(w, at(w, EVENT_SIGNAL, 0, SIGTERM), 1200);
    none(w, EVENT_SIGNAL, -1, SIGKILL, 1);
}
static void killed_after_700ms(struct world *w) {
    after_start(w, at(w, EVENT_SIGNAL, 0, SIGTERM), 1000);
    after_start(w, at(w, EVENT_SIGNAL, 0, SIGKILL), 1700);
    none(w, EVENT_SIGNAL, 0, SIGKILL, 2);
}
static void fell_with_it(struct world *w) {
    apart(w, event_get(w, EVENT_STATE, 0, SVC_FAILED, 1)->at, at(w, EVENT_SIGNAL, 1, SIGTERM), 0,
          0);
    (void)at(w, EVENT_STATE, 1, SVC_FAILED);
    none(w, EVENT_START, 1, -1, 2);
}
static void one_after_the_other(struct world *w) {
    after_start(w, at(w, EVENT_START, 1, -1), 1000);
    after_start(w, at(w, EVENT_START, 2, -1), 2000);
    after_start(w, at(w, EVENT_PHASE, -1, PHASE_END), 3000);
}
static void main_never_started(struct world *w) { none(w, EVENT_START, 1, -1, 1); }
static void ready_at_1500ms(struct world *w) {
    after_start(w, at(w, EVENT_STATE, 0, SVC_READY), 1500);
}
static void ready_with_the_next_role(struct world *w) {
    apart(w, w->started, at(w, EVENT_STATE, 0, SVC_READY), 1504, 2);
}
static void ready_by_the_next_try(struct world *w) {
    apart(w, w->started, at(w, EVENT_STATE, 0, SVC_READY), 1500, 53);
}
static void all_buried(struct world *w) {
    unsigned long n = w->box->children.orphans;
    if (n != 8 * WORLD_KIN)
        world_fail(w, "%lu orphans reaped, there were %d", n, 8 * WORLD_KIN);
}
static void slept_well(struct world *w) {
    uint64_t from = event_get(w, EVENT_PHASE, -1, PHASE_SERVE, 1)->turn;
    uint64_t to = event_get(w, EVENT_PHASE, -1, PHASE_DRAIN, 1)->turn;
    if (to - from > 2)
        world_fail(w, "%d wakeups in an idle hour", (int)(to - from));
}
static void served_on(struct world *w) {
    after_start(w, at(w, EVENT_PHASE, -1, PHASE_DRAIN), 1000);
    after_start(w, at(w, EVENT_SIGNAL, 0, SIGTERM), 4000);
}
static void engine_came_and_went(struct world *w) {
    (void)at(w, EVENT_STATE, 0, SVC_READY);
    (void)at(w, EVENT_STATE, 0, SVC_DOWN);
    (void)at(w, EVENT_STATE, 0, SVC_STOPPING);
}
static void gave_up(struct world *w) {
    apart(w, at(w, EVENT_PHASE, -1, PHASE_DRAIN), at(w, EVENT_PHASE, -1, PHASE_END), 4000, 0);
}
static void daemon_was_killed(struct world *w) {
    apart(w, at(w, EVENT_PHASE, -1, PHASE_DRAIN), at(w, EVENT_PHASE, -1, PHASE_END), 2000, 21);
}
static void came_back_at_once(struct world *w) {
    apart(w, at(w, EVENT_END, 0, 143), event_get(w, EVENT_START, 0, -1, 2)->at, 500, 1100);
}
static void third_time_lucky(struct world *w) {
    (void)at(w, EVENT_STATE, 0, SVC_READY);
    none(w, EVENT_START, 0, -1, 4);
}
static void told_in_time(struct world *w) {
    apart(w, at(w, EVENT_SIGNAL, 0, SIGTERM), at(w, EVENT_END, 0, 143), 5, 0);
    none(w, EVENT_SIGNAL, 0, SIGKILL, 1);
}

static void stayed_down(struct world *w) {
    after_start(w, at(w, EVENT_SIGNAL, 0, SIGTERM), 1000);
    after_start(w, at(w, EVENT_STATE, 0, SVC_DOWN), 1000);
    none(w, EVENT_START, 0, -1, 2);
    none(w, EVENT_READY, -1, 0, 2); /* but at the end */
    after_start(w, at(w, EVENT_READY, -1, 0), 20000);
}
static void came_back_when_gone(struct world *w) {
    after_start(w, at(w, EVENT_SIGNAL, 0, SIGTERM), 1000);
    after_start(w, event_get(w, EVENT_START, 0, -1, 2)->at, 1100);
    none(w, EVENT_START, 0, -1, 3);
    none(w, EVENT_STATE, 0, SVC_BACKOFF, 1);
}
static void others_followed(struct world *w) {
    came_back_when_gone(w);
    none(w, EVENT_SIGNAL, 2, SIGTERM, 2); /* who comes after it, and does not need it */
    after_start(w, event_get(w, EVENT_SIGNAL, 2, SIGTERM, 1)->at, 20000);
}
static void web_around_db(struct world *w) {
    after_start(w, at(w, EVENT_SIGNAL, 1, SIGTERM), 1000);
    after_start(w, at(w, EVENT_SIGNAL, 0, SIGTERM), 1100);
    after_start(w, event_get(w, EVENT_START, 0, -1, 2)->at, 1200);
    after_start(w, event_get(w, EVENT_START, 1, -1, 2)->at, 1200);
    after_start(w, event_get(w, EVENT_SIGNAL, 2, SIGTERM, 1)->at, 20000);
    none(w, EVENT_START, 2, -1, 2);
}
static void both_at_5s(struct world *w) {
    after_start(w, at(w, EVENT_SIGNAL, 1, SIGTERM), 1000);
    after_start(w, event_get(w, EVENT_START, 0, -1, 2)->at, 5000);
    after_start(w, event_get(w, EVENT_START, 1, -1, 2)->at, 5000);
    none(w, EVENT_READY, -1, 0, 3); /* 5 s, the end */
}
static void started_at_5s(struct world *w) {
    (void)at(w, EVENT_STATE, 0, SVC_FAILED);
    after_start(w, event_get(w, EVENT_START, 0, -1, 4)->at, 5000);
    none(w, EVENT_START, 0, -1, 5);
}
static void gave_up_backoff(struct world *w) {
    none(w, EVENT_STATE, 0, SVC_FAILED, 1);
    const struct event *last = event_get(w, EVENT_STATE, 0, SVC_DOWN, 1);
    after_start(w, last->at, 1000);
    for (int nth = 1; event_find(w, EVENT_START, 0, -1, nth); nth++)
        if (instant_before(last->at, event_find(w, EVENT_START, 0, -1, nth)->at))
            world_fail(w, "it was started again");
}
static void job_was_asked(struct world *w) {
    after_start(w, at(w, EVENT_SIGNAL, -1, SIGTERM), 1000);
    after_start(w, at(w, EVENT_PHASE, -1, PHASE_END), 1000);
    none(w, EVENT_SIGNAL, -1, SIGKILL, 1);
}

/* --- the table -------------------------------------------------------------------------------- */

#define SERVICE(name) "[service " name "]\ncommand = /unit/" name "\n"
#define NO_ENGINE     "[engine]\nenabled = no\n"
#define PINNACE(text) NO_ENGINE "[pinnace]\n" text
#define CRASH_LOOP    SERVICE("s") "restart = always\nbackoff = 100ms..1s\n"
#define LIVENESS \
    SERVICE("s") "alive = exec:/x\nalive-every = 1s\nalive-threshold = 2\nstop-timeout = 500ms\n"
#define SAID(probe) NO_ENGINE SERVICE("s") "ready = " probe "\n"

/* clang-format off */
const struct scenario scenarios_all[] = {
    { "a crash loop: the pause doubles up to its bound, with jitter; then it is left failed",
      NO_ENGINE CRASH_LOOP "max-restarts = 6\n",
      term_at_20s, crashes, .status = 0, .after = backoff_doubles },
    { "ten seconds of ready: past failures are forgotten",
      NO_ENGINE CRASH_LOOP "max-restarts = 1\n",
      term_at_60s, crashes_late, .status = 0, .after = backoff_is_forgotten },
    { "liveness: stopped by the second no, killed 500 ms later, started again",
      NO_ENGINE LIVENESS, term_at_20s, falls_ill, .status = 0, .after = restarted_when_ill },
    { "liveness: every other answer is no, and two in a row are needed",
      NO_ENGINE LIVENESS, term_at_20s, flickers, .status = 0, .after = never_restarted },
    { "liveness: a question that could not be asked is not a no",
      NO_ENGINE LIVENESS, fork_fails_for_20s, NULL, .status = 0, .after = never_restarted },
    { "what was stopped by SIGSTOP is continued to take its stop signal",
      NO_ENGINE SERVICE("s"), term_at_1s, is_stopped, .status = 0, .after = continued },
    { "liveness: a member of the group that another waits for does not keep it down",
      NO_ENGINE LIVENESS, term_at_20s, leaves_a_fostered_child, .status = 0,
      .after = came_back_at_once },
    { "boot deadline: 124 after 2 s, CMD has not been started",
      PINNACE("boot-timeout = 2s\n") SERVICE("s") "ready = file:/x\n",
      NULL, never_ready, .has_main = true, .status = 124, .after = ended_at_2s },
    { "boot deadline, stay: CMD starts after 2 s, and is still stopped first",
      PINNACE("boot-timeout = 2s\non-boot-timeout = stay\n") SERVICE("s") "ready = file:/x\n",
      NULL, never_ready, .has_main = true, .status = 5, .after = started_at_2s },
    { "a second TERM leaves a second, a third one does not add to it",
      PINNACE("grace = 10s\n") SERVICE("s") "stop-timeout = 1m\n",
      term_thrice, ignores, .status = 0, .after = killed_at_4s },
    { "services are stopped in reverse order, each when the one before is gone",
      NO_ENGINE SERVICE("a") SERVICE("b") "after = a\n" SERVICE("c") "after = b\n",
      term_at_1s, yields_in_100ms, .status = 0, .after = stopped_in_order },
    { "SIGKILL comes at the stop-timeout and not before",
      NO_ENGINE SERVICE("s") "stop-timeout = 700ms\n",
      term_at_1s, ignores, .status = 0, .after = killed_after_700ms },
    { "SIGKILL comes at the stop-timeout for what is left of the group",
      NO_ENGINE SERVICE("s") "stop-timeout = 700ms\n",
      term_at_1s, leaves_a_stubborn_child, .status = 0, .after = killed_after_700ms },
    { "a stop signal reaches a process that has no session yet",
      NO_ENGINE SERVICE("s"), term_at_once, slow_to_begin, .status = 143, .after = told_in_time },
    { "who requires one that has failed is stopped and fails with it",
      NO_ENGINE SERVICE("db") "restart = never\n" SERVICE("web") "requires = db\non-failure = shutdown\n",
      NULL, database_fails, .status = 7, .after = fell_with_it },
    { "oneshots run one after the other, then CMD",
      NO_ENGINE SERVICE("a") "oneshot = yes\n" SERVICE("b") "oneshot = yes\nafter = a\n",
      NULL, a_second_each, .has_main = true, .status = 0, .after = one_after_the_other },
    { "a oneshot that fails ends the boot with its status",
      NO_ENGINE SERVICE("a") "oneshot = yes\nrestart = never\n",
      NULL, ends_with_3, .has_main = true, .status = 3, .after = main_never_started },
    { "log probe: ready when the line is there",
      SAID("log:up"), term_at_20s, ready_late, .status = 0, .after = ready_at_1500ms },
    { "notify probe: ready when READY=1 is there",
      SAID("notify"), term_at_20s, ready_late, .status = 0, .after = ready_at_1500ms },
    { "log probe: the role dies just then, the next one tells",
      SAID("log:up"), kill_log_then_term, ready_late, .status = 0,
      .after = ready_with_the_next_role },
    { "a probe that waits answers at once",
      SAID("tcp:80"), term_at_20s, ready_late, .status = 0, .after = ready_at_1500ms },
    { "a probe that cannot wait is asked every 50 ms",
      SAID("exec:/bin/true"), term_at_20s, ready_late, .status = 0,
      .after = ready_by_the_next_try },
    { "32 zombies at one instant and one SIGCHLD: all are reaped",
      NO_ENGINE SERVICE("a") SERVICE("b") SERVICE("c") SERVICE("d")
                SERVICE("e") SERVICE("f") SERVICE("g") SERVICE("h"),
      slow_reaping, many_zombies, .status = 0, .after = all_buried },
    { "an idle hour has no wakeup",
      NO_ENGINE SERVICE("a") SERVICE("b") "ready = tcp:80\n",
      term_after_an_hour, NULL, .status = 0, .after = slept_well },
    { "drain-delay: it serves for three seconds more",
      PINNACE("drain-delay = 3s\n") SERVICE("s"),
      term_at_1s, NULL, .status = 0, .after = served_on },
    { "the engine is prepared, becomes ready, and ends",
      "[engine]\nenabled = yes\n", term_at_60s, NULL, .status = 0, .after = engine_came_and_went },
    { "what hangs in the kernel is left behind, two seconds after SIGKILL",
      PINNACE("grace = 2s\n") SERVICE("s"),
      term_at_1s, hangs_in_the_kernel, .status = 0, .after = gave_up },
    { "PID 1: a daemon that nobody knows is killed at the end of the grace",
      PINNACE("grace = 2s\n") SERVICE("s"),
      term_at_1s, leaves_a_stubborn_daemon, .status = 0, .after = daemon_was_killed },
    { "subreaper: a daemon that nobody knows is killed at the end of the grace",
      PINNACE("grace = 2s\n") SERVICE("s"), term_at_1s, leaves_a_stubborn_daemon,
      .is_subreaper = true, .status = 0, .after = daemon_was_killed },
    { "subreaper: units are killed even when nothing can be forked any more",
      PINNACE("grace = 2s\n") SERVICE("s") "stop-timeout = 1m\n", fork_fails, ignores,
      .is_subreaper = true, .status = 0 },
    { "a unit that is stopped stays down, and the box is ready without it",
      NO_ENGINE SERVICE("s") "restart = always\n", stop_at_1s, NULL, .status = 0,
      .after = stayed_down },
    { "stopped and started again while it still ends: started when it is gone",
      NO_ENGINE SERVICE("s"), stop_and_start, yields_in_100ms, .status = 0,
      .after = came_back_when_gone },
    { "restart: started when it is gone, at once; who only comes after it stays",
      NO_ENGINE SERVICE("s") SERVICE("o") SERVICE("a") "after = s\n",
      restart_at_1s, yields_in_100ms, .status = 0, .after = others_followed },
    { "restart: who requires it ends before it and comes back after it",
      NO_ENGINE SERVICE("db") SERVICE("web") "requires = db\n" SERVICE("o"),
      restart_at_1s, yields_in_100ms, .status = 0, .after = web_around_db },
    { "start of one that requires a stopped one: both",
      NO_ENGINE SERVICE("db") SERVICE("web") "requires = db\n",
      start_the_second_at_5s, NULL, .status = 0, .after = both_at_5s },
    { "start of one that has failed: its failures are forgotten",
      NO_ENGINE CRASH_LOOP "max-restarts = 2\n",
      start_at_5s, crashes_until_asked, .status = 0, .after = started_at_5s },
    { "stop of one in backoff", NO_ENGINE CRASH_LOOP, stop_at_1s, crashes, .status = 0,
      .after = gave_up_backoff },
    { "PID 1: a job is asked to end when no unit is left",
      PINNACE("grace = 10s\n") SERVICE("s"), with_a_job, NULL, .status = 0,
      .after = job_was_asked },
    { "PID 1: a job that does not listen is killed at the end of the grace",
      PINNACE("grace = 2s\n") SERVICE("s"), with_a_stubborn_job, NULL, .status = 0,
      .after = daemon_was_killed },
    { "subreaper: a job that does not listen is killed at the end of the grace",
      PINNACE("grace = 2s\n") SERVICE("s"), with_a_stubborn_job, NULL,
      .is_subreaper = true, .status = 0, .after = daemon_was_killed },
    { "subreaper: so is one whose channel has died",
      PINNACE("grace = 2s\n") SERVICE("s"), with_an_orphaned_job, NULL,
      .is_subreaper = true, .status = 0, .after = daemon_was_killed },
    { "no memory to execute: tried again",
      NO_ENGINE SERVICE("s"), term_at_20s, has_no_memory, .status = 0,
      .after = third_time_lucky },
    { "CMD's status is the box's", NO_ENGINE, NULL, ends_with_3, .has_main = true, .status = 3 },
    { "CMD's status is the box's, whatever fails while it ends",
      PINNACE("drain-delay = 5s\n") SERVICE("s") "restart = never\non-failure = shutdown\n",
      NULL, main_then_service, .has_main = true, .status = 5 },
    { "CMD's status, remapped",
      NO_ENGINE "[main]\nremap-exit = 3\n", NULL, ends_with_3, .has_main = true, .status = 0 },
    { "CMD's end by a signal: 128 + its number",
      NO_ENGINE, NULL, is_killed, .has_main = true, .status = 137 },
    { "CMD is not there: 127", NO_ENGINE, NULL, is_missing, .has_main = true, .status = 127 },
    { "CMD is not a program: 126", NO_ENGINE, NULL, is_denied, .has_main = true, .status = 126 },
    { "CMD cannot be forked: 125",
      NO_ENGINE "[main]\non-exit = stay\n", NULL, is_not_forked, .has_main = true, .status = 125 },
    { "asked to end while it boots: 143",
      NO_ENGINE SERVICE("s") "ready = tcp:80\n", term_at_1s, never_ready, .status = 143 },
};
/* clang-format on */
const size_t nscenarios = sizeof scenarios_all / sizeof scenarios_all[0];

void scenario_run(const struct scenario *s, bool verbose) {
    static struct world w;
    world_init(&w, 1);
    w.verbose = verbose;
    w.live = s->live;
    if (s->prepare)
        s->prepare(&w);
    struct trial t = { .config = s->config,
                       .has_main = s->has_main,
                       .is_pid1 = !s->is_subreaper,
                       .has_run_dir = true };
    int status = trial_run(&w, &t);
    if (status != s->status)
        world_fail(&w, "exit status %d, expected %d", status, s->status);
    if (s->after)
        s->after(&w);
}
