#include "channel/patience.h"

enum {
    PATIENCE_MS = 5000,      /* without a byte taken, while the process has to wait */
    PATIENCE_MANY_MS = 1000, /* the same, while others read it too */
};

static void out_of_patience(struct timer *t) {
    struct patience *p = CONTAINER_OF(t, struct patience, timer);
    p->reader->lossless = false;
    job_took(p->reader, 0); /* so that a job that waits for us goes on */
}

/* Do others read it, who have to wait as well? */
static bool has_company(const struct job_reader *r) {
    const struct link *all = &r->job->readers;
    for (const struct link *l = all->next; l != all; l = l->next) {
        const struct job_reader *other = CONTAINER_OF(l, struct job_reader, link);
        if (other != r && !other->holds)
            return true;
    }
    return false;
}

void patience_init(struct patience *p, struct job_reader *r) {
    p->reader = r;
    p->timer.fire = out_of_patience;
}

void patience_watch(struct patience *p, bool moved, bool full) {
    const struct job *j = p->reader->job;
    if (moved || !full || !p->reader->lossless)
        timer_stop(&p->timer);
    if (j && full && p->reader->lossless && !timer_armed(&p->timer))
        timer_arm(j->jobs->a.loop, &p->timer,
                  span_ms(has_company(p->reader) ? PATIENCE_MANY_MS : PATIENCE_MS));
}

void patience_stop(struct patience *p) { timer_stop(&p->timer); }
