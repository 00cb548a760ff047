/* trial.h — one box from its first process to its last, in a world of its own. */
#ifndef SIM_TRIAL_H
#define SIM_TRIAL_H

#include "world.h"

struct trial {
    const char *config; /* INI text, but for run-dir */
    bool has_main, is_pid1, has_run_dir;
};

/* Where run directories may be; removed by trial_clean_up(). */
void trial_set_up(void);
void trial_clean_up(void);

/* Boot, serve, end; every check on the way. The exit status. `w` has been initialized and
 * given its faults and stimuli. */
int trial_run(struct world *w, const struct trial *t);

/* A box, a world and their troubles, all made from the seed. */
void trial_random(uint64_t seed, bool verbose);

#endif
