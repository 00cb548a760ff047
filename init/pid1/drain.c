/* drain.c — the end: services in reverse order, then whatever else still runs, then us.
 *
 *     TERM in order  ->  nothing of ours runs  ->  TERM to all others  ->  all are gone
 *     and at the end of the grace, wherever that finds us: KILL to everything
 *
 * It is driven by what happens, never by looking again after a while: as soon as the last
 * process is gone it is over.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"
#include "pid1/box.h"
#include "sys/tree.h"

enum {
    PATIENCE_S = 1,  /* others have had TERM for so long: say who they are */
    HURRY_S = 1,     /* what a second TERM leaves of the grace, at most */
    LAST_CALL_S = 2, /* for the roles to write out what they hold, and for KILL to work */
};

static void begin_stops(struct box *b) {
    span grace = b->conf->pinnace.grace;
    timer_arm(&b->loop, &b->grace_over, grace);
    supervisor_down(&b->sup, instant_add(b->loop.now, grace));
}

void drain_begin(struct box *b, int code, const char *why) {
    if (b->phase >= PHASE_DRAIN)
        return;
    span delay = b->conf->pinnace.drain_delay;
    b->phase = PHASE_DRAIN;
    b->exit_code = code;
    (void)snprintf(b->reason, sizeof b->reason, "shutting down: %.160s", why);
    if (b->nunits > 1 || b->main < 0)
        log_info(NULL, "shutting down: %s", why);
    timer_stop(&b->boot_deadline);
    publish_mark(b, -1, MARK_DRAIN);
    if (delay.ns > 0 && b->ready)
        timer_arm(&b->loop, &b->drain_delay, delay);
    else
        begin_stops(b);
}

static void drain_delay_over(struct timer *t) {
    begin_stops(CONTAINER_OF(t, struct box, drain_delay));
}

void drain_hurry(struct box *b) {
    if (timer_armed(&b->drain_delay)) {
        timer_stop(&b->drain_delay);
        begin_stops(b);
    } else if (timer_armed(&b->grace_over) &&
               instant_before(instant_add(b->loop.now, span_s(HURRY_S)), b->grace_over.at)) {
        log_info(NULL, "asked again to end: %d s left", HURRY_S);
        timer_arm(&b->loop, &b->grace_over, span_s(HURRY_S));
        b->sup.kill_at = b->grace_over.at;
    }
}

/* --- everything else that runs ------------------------------------------------------------ */

static int kill_tree(void *arg) {
    const struct box *b = arg;
    pid_t spare[MAX_ROLES];
    size_t n = roles_pids(b, spare);
    return tree_signal(getppid(), spare, n, b->channel.child.pid, b->killer_signal) < 0;
}

static void signal_everybody(struct box *b, int sig) {
    (void)b->sys->kill(b->sys, -1, sig);
    if (sig != SIGKILL)
        (void)b->sys->kill(b->sys, -1, SIGCONT);
}

/* PID 1 reaches everything with one call. A subreaper's descendants have to be looked for in
 * /proc, which a fork does; and so it is where SIGKILL has to leave the channel alone, which is to
 * tell its clients of their jobs' end. */
static void signal_all(struct box *b, int sig) {
    bool tells = sig == SIGKILL && held_run(&b->jobs) && b->channel.child.pid;
    if (b->is_pid1 && !tells) {
        signal_everybody(b, sig);
        return;
    }
    b->killer_signal = sig;
    if (b->killer.pid)
        return; /* its exit starts the next one */
    struct fork_req r = { .title = "drain", .run = kill_tree, .arg = b };
    struct err e = { 0 };
    pid_t pid = b->sys->fork(b->sys, &r, &e);
    if (pid < 0 && b->is_pid1)
        signal_everybody(b, sig);
    else if (pid < 0)
        log_error(NULL, "%s", e.text);
    else
        children_add(&b->children, &b->killer, pid);
    if (pid > 0)
        b->killer_signal = 0;
}

static void killer_exited(struct child *c, struct exit_info how) {
    struct box *b = CONTAINER_OF(c, struct box, killer);
    if (b->killer_signal)
        signal_all(b, b->killer_signal);
    else if (b->is_pid1 && (how.signaled || how.code))
        signal_everybody(b, SIGKILL); /* without /proc */
}

/* In a fork: it reads /proc. */
static int tell_who(void *arg) {
    const struct box *b = arg;
    pid_t spare[MAX_ROLES + 1];
    size_t n = roles_pids(b, spare);
    spare[n++] = b->killer.pid;
    char names[300];
    if (tree_names(getppid(), spare, n, b->channel.child.pid, names, sizeof names) > 0)
        log_warn(NULL, "the shutdown waits for processes that belong to no service: %s", names);
    return 0;
}

static void patience_over(struct timer *t) {
    struct box *b = CONTAINER_OF(t, struct box, patience);
    int keep = log_fd();
    struct fork_req r = { .title = "who", .run = tell_who, .arg = b, .keep = &keep, .nkeep = 1 };
    pid_t pid = b->sys->fork(b->sys, &r, NULL); /* without it, it stays untold */
    if (pid > 0)
        children_add(&b->children, &b->teller, pid);
}

static void told(struct child *c, struct exit_info how) {
    (void)c; /* the end of the last process is what counts, not this one's */
    (void)how;
}

/* Does anything but our own roles still run? Jobs are the channel's children, so it has to stay to
 * tell of their end. Where the kernel does not say who our children are, the roles are ended first;
 * then having none at all is the answer. */
static bool others_run(struct box *b) {
    if (held_run(&b->jobs))
        return true;
    pid_t own[MAX_ROLES + 1];
    size_t n = roles_pids(b, own);
    own[n++] = b->killer.pid;
    int rc = b->sys->strangers(b->sys, own, n);
    if (rc >= 0)
        return rc > 0;
    roles_quit(b);
    return !b->children.none;
}

static void grace_over(struct timer *t) {
    struct box *b = CONTAINER_OF(t, struct box, grace_over);
    timer_stop(&b->patience);
    char names[160] = "";
    struct text who = TEXT(names);
    for (size_t i = 0; i < b->nunits; i++)
        if (svc_state_runs(b->svcs[i].state))
            text_add(&who, " %s", b->svcs[i].conf->name);
    log_warn(NULL, "the grace is over; killing what still runs:%s",
             who.len ? names : " processes that belong to no service");
    b->killed = true;
    /* It may take the roles along: that is no news. */
    b->log.quitting = b->channel.quitting = b->net.quitting = true;
    supervisor_kill(&b->sup); /* needs no fork, and finds those who left their group */
    signal_all(b, SIGKILL);
    timer_arm(&b->loop, &b->last_call, span_s(LAST_CALL_S));
}

void drain_late(struct box *b, pid_t pid) {
    int sig = b->killed || b->phase == PHASE_END ? SIGKILL : b->termed ? SIGTERM : 0;
    if (sig && pid > 1 && !children_know(&b->children, pid))
        (void)b->sys->kill(b->sys, pid, sig);
}

/* --- the very end ------------------------------------------------------------------------- */

static void end_begin(struct box *b) {
    b->phase = PHASE_END;
    timer_stop(&b->patience);
    timer_stop(&b->grace_over);
    timer_stop(&b->drain_delay);
    timer_arm(&b->loop, &b->last_call, span_s(LAST_CALL_S));
    publish_turn(b);
    if (b->killed && b->nunits > (b->main >= 0 ? 1U : 0U) && !b->log.child.pid)
        role_start(&b->log); /* KILL took it: somebody has to print what is left */
    if (b->net_box.active && !b->net.child.pid)
        role_start(&b->net); /* it has just died, or KILL took it: the repairs are taken back */
    roles_quit(b);
}

static void last_call_over(struct timer *t) {
    struct box *b = CONTAINER_OF(t, struct box, last_call);
    if (b->phase < PHASE_END) {
        log_error(NULL, "some processes cannot be killed; ending without them");
        end_begin(b);
        return;
    }
    roles_kill(b);
    b->done = true;
}

void drain_init(struct box *b) {
    b->drain_delay.fire = drain_delay_over;
    b->grace_over.fire = grace_over;
    b->last_call.fire = last_call_over;
    b->killer.exited = killer_exited;
    b->teller.exited = told;
    b->patience.fire = patience_over;
}

void drain_advance(struct box *b) {
    if (b->phase == PHASE_DRAIN && !timer_armed(&b->drain_delay) && !supervisor_runs(&b->sup) &&
        !b->prepare.pid) {
        if (!b->termed && !b->killed && others_run(b)) {
            signal_all(b, SIGTERM);
            held_hang_up(&b->jobs, b->sys);
            timer_arm(&b->loop, &b->patience, span_s(PATIENCE_S));
        }
        b->termed = true;
        if (!others_run(b))
            end_begin(b);
    }
    if (b->phase == PHASE_END && !roles_run(b)) {
        timer_stop(&b->last_call);
        b->done = true;
    }
}
