#include "scenario.h"

#include <signal.h>
#include <string.h>

#include "trial.h"

void scenario_run(const struct scenario *s, bool verbose) {
    static struct world w;
    world_init(&w, 1);
    w.verbose = verbose;
    w.live = s->live;
    w.turned = s->turned;
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

const struct scenario scenarios_all[] = { { .name = "" } };
const size_t nscenarios = 0;
