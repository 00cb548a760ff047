/* policy.c — what it means for the box when a unit has changed, CMD has ended, or the boot has
 * taken too long. */
#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"
#include "pid1/box.h"

static void unit_failed(struct box *b, struct svc *s) {
    if (s->parked)
        return; /* somebody has stopped it: nobody waits for it, and it is down in a moment */
    int code = svc_exit_status(s) ? svc_exit_status(s) : 1;
    char why[MAX_PROBE_REASON];
    (void)snprintf(why, sizeof why, "%s has failed: %.140s", s->conf->name, s->reason);
    bool awaited = b->phase < PHASE_SERVE && b->main >= 0 && b->conf->main.start == START_READY;
    bool fatal = s->conf->on_failure == FAILURE_SHUTDOWN ||
                 (b->phase < PHASE_SERVE && (awaited || b->main < 0) &&
                  b->conf->pinnace.on_boot_timeout == BOOT_TIMEOUT_EXIT);
    if (fatal)
        drain_begin(b, code, why);
    else if (awaited)
        unit_remove(&b->plan.after[b->main], (size_t)(s - b->svcs)); /* CMD starts without it */
}

static bool in_set(const struct status_set *set, int status) {
    return set->bits[status / 64 & 3] >> status % 64 & 1;
}

/* CMD has ended for good: what that means is [main] on-exit's to say. */
static void main_ended(struct box *b, struct svc *s) {
    bool never_ran = s->exec_failure.code || !s->ended;
    int code = s->ended ? svc_exit_status(s) & 255 : EXIT_CANNOT_START;
    if (in_set(&b->conf->main.remap_exit, code))
        code = 0;
    if (never_ran)
        log_error(NULL, "%s", s->reason);
    if (tcgetpgrp(0) == s->last.pid)
        (void)tcsetpgrp(0, getpgrp()); /* take the terminal back, as it was given */
    int policy = b->conf->main.on_exit;
    bool futile = never_ran && s->starts == 1; /* a box that has never had its CMD */
    if (policy == EXIT_SHUTDOWN || (policy == EXIT_SHUTDOWN_ON_FAILURE && code != 0) || futile)
        drain_begin(b, code, "CMD has ended");
    else
        log_info(NULL, "CMD has ended with status %d; staying up", code);
}

static void unit_changed(struct supervisor *sup, struct svc *s, enum svc_state was) {
    struct box *b = CONTAINER_OF(sup, struct box, sup);
    publish_unit(b, s, was);
    if (s->kind == SVC_KIND_MAIN && (s->state == SVC_DONE || s->state == SVC_FAILED))
        main_ended(b, s);
    else if (s->state == SVC_FAILED)
        unit_failed(b, s);
}

static void boot_deadline_over(struct timer *t) {
    struct box *b = CONTAINER_OF(t, struct box, boot_deadline);
    char why[MAX_PROBE_REASON], d[24];
    struct text text = TEXT(why);
    text_add(&text,
             "not ready within %s:", format_span(d, sizeof d, b->conf->pinnace.boot_timeout));
    const char *separator = "";
    for (size_t i = 0; i < b->nunits; i++) {
        const struct svc *s = &b->svcs[i];
        if (svc_is_up(s) || s->parked || (int)i == b->main)
            continue;
        text_add(&text, "%s %s is %s%s%.100s", separator, s->conf->name, svc_state_name(s->state),
                 s->reason[0] ? ", " : "", s->reason);
        separator = ";";
    }
    log_error(NULL, "%s", why);
    if (b->conf->pinnace.on_boot_timeout == BOOT_TIMEOUT_EXIT) {
        drain_begin(b, EXIT_BOOT_TIMEOUT, "the boot deadline has passed");
    } else if (b->main >= 0) {
        b->svcs[b->main].impatient = true; /* degraded: CMD starts all the same */
        b->sup.dirty = true;
    }
}

void policy_init(struct box *b) {
    b->sup.changed = unit_changed;
    b->boot_deadline.fire = boot_deadline_over;
}
