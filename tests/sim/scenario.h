/* scenario.h — cases that have a name and exact times. */
#ifndef SIM_SCENARIO_H
#define SIM_SCENARIO_H

#include "world.h"

struct scenario {
    const char *name;
    const char *config;
    void (*prepare)(struct world *w); /* stimuli and faults, times from the start; may be NULL */
    life_fn *live;                    /* NULL: everything starts at once and stays */
    bool has_main, is_subreaper;
    int status;
    void (*after)(struct world *w); /* the events tell; may be NULL */
};

extern const struct scenario scenarios_all[];
extern const size_t nscenarios;

/* world_fail() unless it goes as it should. */
void scenario_run(const struct scenario *s, bool verbose);

#endif
