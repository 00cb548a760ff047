/* units.c — what clients ask of units, through the channel. An answer that the channel has no room
 * for waits; with the channel go those who have asked it. */
#include <errno.h>
#include <stdio.h>

#include "base/log.h"
#include "pid1/box.h"

static int carry_out(struct box *b, int unit, int act) {
    if (unit < 0 || unit >= (int)b->nunits || act < UNIT_START || act > UNIT_RESTART)
        return EINVAL;
    if (b->phase >= PHASE_DRAIN)
        return ESHUTDOWN;
    if (unit == b->main && act != UNIT_START)
        return EPERM;
    static const char *const verbs[] = { "start", "stop", "restart" };
    log_info(b->confs[unit]->name, "%s requested", verbs[act]);
    if (act == UNIT_STOP) {
        supervisor_stop(&b->sup, (size_t)unit);
        return 0;
    }
    return act == UNIT_START ? -supervisor_start(&b->sup, (size_t)unit)
                             : -supervisor_restart(&b->sup, (size_t)unit);
}

static const char *reason_of(int code) {
    switch (code) {
    case 0:
        return "";
    case ESHUTDOWN:
        return "the box is shutting down";
    case EPERM:
        return "main is CMD; send it a signal or stop the box";
    case ENOENT:
        return "there is nothing to start: it could not be prepared; see its log";
    default:
        return "there is no such unit, or nothing like that to be done with it";
    }
}

void units_said(struct box *b, const struct wire_unit_do *m) {
    if (b->nasked == MAX_ASKED)
        return;
    b->asked[b->nasked++] = (struct unit_asked){
        .ticket = m->ticket, .unit = m->unit, .act = m->act, .code = carry_out(b, m->unit, m->act)
    };
}

bool units_pump(struct box *b) {
    size_t n = 0;
    while (n < b->nasked) {
        const struct unit_asked *a = &b->asked[n];
        struct wire_unit_do m = { .head = WIRE_HEAD(WIRE_UNIT_DID, struct wire_unit_do),
                                  .ticket = a->ticket,
                                  .unit = a->unit,
                                  .act = a->act,
                                  .code = a->code };
        (void)snprintf(m.reason, sizeof m.reason, "%s", reason_of(a->code));
        if (!role_send(&b->channel, &m.head))
            break;
        n++;
    }
    b->nasked -= n;
    for (size_t i = 0; n > 0 && i < b->nasked; i++)
        b->asked[i] = b->asked[i + n];
    return b->nasked == 0;
}
