#include <stdlib.h>

#include "base/limits.h"
#include "sys/reap.h"
#include "tests/unit/tap.h"

static instant at_us(int64_t us) { return (instant){ us * 1000 }; }

static void owes_nothing_at_first(void) {
    struct sweep s = { 0 };
    OK(!sweep_due(&s, at_us(5)) && instant_is_never(sweep_when(&s)), "idle: no sweep, no timer");
    sweep_owe(&s);
    OK(sweep_due(&s, at_us(5)), "the first SIGCHLD is answered at once");
    sweep_spent(&s, at_us(5), at_us(5), 0, true);
    OK(instant_is_never(sweep_when(&s)), "no calls made: no division by zero, nothing owed");
}

static void rests_in_proportion(void) {
    struct sweep s = { 0 };
    sweep_owe(&s);
    sweep_spent(&s, at_us(1000), at_us(1700), 1, true);
    OK(instant_is_never(sweep_when(&s)), "a dry sweep pays the debt: no timer");
    sweep_owe(&s);
    OK(!sweep_due(&s, at_us(1700 + 700 * SWEEP_SHARE - 1)), "after 700 us it rests 50 times that");
    OK(sweep_when(&s).ns == at_us(1700 + 700 * SWEEP_SHARE).ns, "the timer is set for the end");
    OK(sweep_due(&s, sweep_when(&s)), "then the sweep is made");
}

static void goes_on_after_a_full_batch(void) {
    struct sweep s = { 0 };
    sweep_owe(&s);
    sweep_spent(&s, at_us(0), at_us(400), SWEEP_BATCH, false);
    OK(sweep_due(&s, at_us(400)) && sweep_when(&s).ns == at_us(400).ns,
       "a full batch goes on without rest");
    sweep_spent(&s, at_us(400), at_us(440), 4, true);
    sweep_owe(&s);
    OK(sweep_when(&s).ns == at_us(440 + 10 * SWEEP_SHARE).ns, "the cost is that of one call");
}

static void never_rests_too_long(void) {
    struct sweep s = { 0 };
    sweep_owe(&s);
    sweep_spent(&s, at_us(0), at_us(60 * 1000000), 1, true); /* suspended for a minute */
    sweep_owe(&s);
    OK(sweep_when(&s).ns == at_us(60 * 1000000 + SWEEP_MAX_REST_MS * 1000).ns,
       "a machine that slept does not make it rest for an hour");
    struct sweep back = { 0 };
    sweep_owe(&back);
    sweep_spent(&back, at_us(9), at_us(5), 1, true);
    sweep_owe(&back);
    OK(sweep_due(&back, at_us(9)), "a clock that stepped back does no harm");
}

/* A kernel with `alive` children, where waitpid(-1) costs 50 ns for each of them. The one
 * pending SIGCHLD names the first of the deaths that it stands for. */
struct box {
    int64_t now_ns, searching_ns;
    unsigned alive;
    unsigned zombies; /* that no SIGCHLD names */
    bool pending;
    int64_t oldest_ns, worst_ns; /* death of the oldest of them; longest time one has lain */
};

static void die(struct box *b) {
    b->alive--;
    if (!b->pending) {
        b->pending = true;
        return;
    }
    if (b->zombies++ == 0)
        b->oldest_ns = b->now_ns;
}

static void box_sweep(struct box *b, struct sweep *s) {
    if (!sweep_due(s, (instant){ b->now_ns }))
        return;
    int64_t from = b->now_ns;
    bool had = b->zombies > 0, more = true;
    unsigned calls = 0;
    for (; more && calls < SWEEP_BATCH; calls++) {
        more = b->zombies > 0;
        b->zombies -= more;
        b->now_ns += 50 * b->alive + (more ? 5000 : 200);
    }
    sweep_spent(s, (instant){ from }, (instant){ b->now_ns }, calls, !more);
    b->searching_ns += more ? 0 : 50 * b->alive;
    if (had && !more && b->now_ns - b->oldest_ns > b->worst_ns)
        b->worst_ns = b->now_ns - b->oldest_ns;
}

static void turn(struct box *b, struct sweep *s) {
    if (b->pending) {
        b->pending = false;
        b->now_ns += 5000;
        sweep_owe(s);
    }
    if (s->owed)
        box_sweep(b, s);
}

/* Deaths in clusters, so that many coalesce, for `deaths` of them; then silence. */
static void loses_none(unsigned seed, unsigned alive) {
    struct box b = { .alive = alive + 20000 };
    struct sweep s = { 0 };
    srand(seed);
    for (unsigned left = 20000; left > 0;) {
        for (int n = rand() % 8; n >= 0 && left > 0; n--, left--)
            die(&b);
        turn(&b, &s);
        b.now_ns += rand() % 20000000;
    }
    unsigned timers = 0;
    while (!instant_is_never(sweep_when(&s)) && timers++ < 1000) {
        if (b.now_ns < sweep_when(&s).ns)
            b.now_ns = sweep_when(&s).ns;
        turn(&b, &s);
    }
    OK(b.zombies == 0 && b.alive == alive, "seed %u, %u alive: none of 20000 is lost", seed, alive);
    OK(b.searching_ns * SWEEP_SHARE <= b.now_ns + b.now_ns / 10,
       "seed %u, %u alive: at most 1/50 of the time goes to fruitless search", seed, alive);
    OK(b.worst_ns <= INT64_C(500000000), "seed %u, %u alive: no zombie lies for more than 500 ms",
       seed, alive);
}

int main(void) {
    owes_nothing_at_first();
    rests_in_proportion();
    goes_on_after_a_full_batch();
    never_rests_too_long();
    for (unsigned seed = 1; seed <= 5; seed++)
        for (unsigned alive = 0; alive <= 15000; alive += 5000)
            loses_none(seed, alive);
    return tap_end();
}
