/* Who is wanted. A unit is wanted while the box is up, nobody has stopped it, and all that it
 * requires is wanted; so those that require a stopped one end before it, and come back after it.
 * Here that is weighed, and every turn what may start is started and what may stop is stopped. */
#include "svc/wishes.h"

#include <errno.h>
#include <stdio.h>

static struct svc *unwanted_requirement(const struct supervisor *sup, size_t i) {
    for (size_t k = 0; k < sup->plan->n; k++)
        if (unit_in(&sup->plan->requires[i], k) && !sup->svcs[k].want_up)
            return &sup->svcs[k];
    return NULL;
}

void wishes_note(struct svc *s) {
    struct supervisor *sup = s->sup;
    if (s->state != SVC_DOWN || s->want_up || !sup->up)
        return;
    const struct svc *other = unwanted_requirement(sup, (size_t)(s - sup->svcs));
    if (s->again)
        (void)snprintf(s->reason, sizeof s->reason, "restarted by request");
    else if (s->stopped || !other)
        (void)snprintf(s->reason, sizeof s->reason, "stopped by request");
    else
        (void)snprintf(s->reason, sizeof s->reason, "requires %s, which is stopped",
                       other->conf->name);
}

/* In the plan's order, in which requirements come first. */
static void weigh(struct supervisor *sup) {
    for (size_t n = 0; n < sup->plan->n; n++) {
        size_t i = sup->plan->order[n];
        struct svc *s = &sup->svcs[i];
        bool was_parked = s->parked;
        s->want_up = sup->up && !s->stopped && !unwanted_requirement(sup, i);
        s->parked = s->stopped && !s->again;
        for (size_t k = 0; k < sup->plan->n; k++)
            s->parked |= unit_in(&sup->plan->requires[i], k) && sup->svcs[k].parked;
        if (s->parked == was_parked)
            continue;
        if (s->state == SVC_DOWN)
            s->reason[0] = '\0';
        wishes_note(s);
        sup->noted(sup, s);
    }
    sup->dirty = true;
}

void supervisor_up(struct supervisor *sup) {
    sup->up = true;
    weigh(sup);
}

void supervisor_down(struct supervisor *sup, instant kill_at) {
    sup->kill_at = kill_at;
    sup->up = false;
    weigh(sup);
}

/* --- requests --------------------------------------------------------------------------- */

/* An engine that could not be prepared has no command. */
static bool is_startable(const struct svc *s) {
    return s->argv || (s->conf->command && s->conf->command[0]);
}

static void forget_past(struct svc *s) {
    bool rests = s->state == SVC_FAILED || s->state == SVC_DONE || s->state == SVC_BACKOFF;
    if (svc_state_runs(s->state) || !is_startable(s))
        return;
    s->failures = s->ends = 0;
    s->reason[0] = '\0';
    wishes_note(s);
    if (rests)
        svc_event(s, EV_WANT_DOWN); /* from there it starts when it may */
}

int supervisor_start(struct supervisor *sup, size_t i) {
    struct unit_set wanted = { 0 };
    if (!is_startable(&sup->svcs[i]) && !sup->svcs[i].hold)
        return -ENOENT;
    unit_add(&wanted, i);
    for (size_t n = sup->plan->n; n-- > 0;) { /* from the last: what is added comes before it */
        size_t u = sup->plan->order[n];
        struct svc *s = &sup->svcs[u];
        if (!unit_in(&wanted, u))
            continue;
        for (size_t k = 0; k < sup->plan->n; k++)
            if (unit_in(&sup->plan->requires[u], k))
                unit_add(&wanted, k);
        s->stopped = s->again = false;
    }
    weigh(sup);
    for (size_t u = 0; u < sup->plan->n; u++)
        if (u == i || (unit_in(&wanted, u) && sup->svcs[u].state == SVC_FAILED))
            forget_past(&sup->svcs[u]);
    return 0;
}

void supervisor_stop(struct supervisor *sup, size_t i) {
    sup->svcs[i].stopped = true;
    sup->svcs[i].again = false;
    weigh(sup);
}

int supervisor_restart(struct supervisor *sup, size_t i) {
    if (!is_startable(&sup->svcs[i]) && !sup->svcs[i].hold)
        return -ENOENT;
    sup->svcs[i].stopped = sup->svcs[i].again = true;
    weigh(sup);
    return 0;
}

/* --- every turn -------------------------------------------------------------------------- */

/* Whom somebody has stopped is not waited for. One that has run before does not wait for one that
 * has failed for good either: it was there once. */
bool wishes_may_start(const struct supervisor *sup, size_t i) {
    const struct svc *s = &sup->svcs[i];
    for (size_t k = 0; k < sup->plan->n && !s->impatient; k++) {
        const struct svc *other = &sup->svcs[k];
        if (unit_in(&sup->plan->after[i], k) && !svc_is_up(other) && !other->parked &&
            !(s->starts > 0 && other->state == SVC_FAILED))
            return false;
    }
    return !s->hold;
}

/* It waits for those after it that end as well. */
static bool may_stop(const struct supervisor *sup, size_t i) {
    for (size_t k = 0; k < sup->plan->n; k++)
        if (unit_in(&sup->plan->after[k], i) && svc_state_runs(sup->svcs[k].state) &&
            !sup->svcs[k].want_up)
            return false;
    return true;
}

/* The first unit it requires that has failed, or NULL. */
static const struct svc *failed_requirement(const struct supervisor *sup, size_t i) {
    for (size_t k = 0; k < sup->plan->n; k++)
        if (unit_in(&sup->plan->requires[i], k) && sup->svcs[k].state == SVC_FAILED)
            return &sup->svcs[k];
    return NULL;
}

/* Stopped by request: what has ended by itself, or could not start, is down too; and one that is
 * to be restarted is wanted again once nothing of it runs. */
static void settle_stopped(struct supervisor *sup, struct svc *s) {
    if (svc_state_runs(s->state))
        return;
    if (s->again) {
        s->stopped = s->again = false;
        weigh(sup);
        forget_past(s);
    } else if (s->state == SVC_DONE || (s->state == SVC_FAILED && is_startable(s))) {
        svc_event(s, EV_WANT_DOWN);
    }
}

static void settle_one(struct supervisor *sup, size_t i) {
    struct svc *s = &sup->svcs[i];
    if (s->stopped)
        settle_stopped(sup, s);
    const struct svc *bad = s->want_up ? failed_requirement(sup, i) : NULL;
    bool idle = s->state == SVC_DOWN;
    bool active = s->state == SVC_STARTING || s->state == SVC_READY || s->state == SVC_BACKOFF;
    if (bad && s->state != SVC_FAILED)
        (void)snprintf(s->reason, sizeof s->reason, "requires %s, which has failed",
                       bad->conf->name);
    if (bad && idle) {
        svc_event(s, EV_EXIT_FINAL);
    } else if (active && (bad || (!s->want_up && may_stop(sup, i)))) {
        s->let_go = !bad;
        svc_event(s, EV_WANT_DOWN);
    } else if (s->want_up && idle && wishes_may_start(sup, i)) {
        svc_event(s, EV_WANT_UP);
    }
}

/* Ends: each pass that changes something moves a unit forward in its life, and a unit that
 * fails to start goes to backoff, which only a timer leaves. */
void supervisor_settle(struct supervisor *sup) {
    while (sup->dirty) {
        sup->dirty = false;
        for (size_t i = 0; i < sup->plan->n; i++)
            settle_one(sup, sup->plan->order[i]);
    }
}
