#include "svc/fsm.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "tests/unit/tap.h"

#define GOLDEN "tests/unit/golden/svc_fsm.txt"

static void has_no_empty_cell(void) {
    for (int s = 0; s < SVC_NSTATES; s++)
        for (int e = 0; e < SVC_NEVENTS; e++) {
            struct svc_step step = svc_next((enum svc_state)s, (enum svc_event)e);
            OK(step.set && (unsigned)step.to < SVC_NSTATES && step.act < ACT_TELL << 1,
               "%s on %s is decided", svc_state_name((enum svc_state)s),
               svc_event_name((enum svc_event)e));
        }
}

static bool at_rest(enum svc_state s) { return s == SVC_DOWN || s == SVC_FAILED || s == SVC_DONE; }

/* want-down, then what must come: the stop deadline, then its exit as unwanted. */
static void want_down_ends(void) {
    for (int s = 0; s < SVC_NSTATES; s++) {
        enum svc_state now = svc_next((enum svc_state)s, EV_WANT_DOWN).to;
        OK(at_rest(now) || now == SVC_STOPPING, "want-down in %s", svc_state_name(now));
        struct svc_step late = svc_next(now, EV_TIMER);
        if (now == SVC_STOPPING)
            OK(late.act == ACT_KILL && late.to == SVC_STOPPING, "too slow: killed");
        now = svc_next(late.to, EV_EXIT_DONE).to;
        OK(at_rest(now), "from %s it ends as %s", svc_state_name((enum svc_state)s),
           svc_state_name(now));
    }
}

/* What every cell must keep to, whatever it decides. */
static void keeps_invariants(void) {
    for (int s = 0; s < SVC_NSTATES; s++)
        for (int e = 0; e < SVC_NEVENTS; e++) {
            enum svc_state from = (enum svc_state)s;
            struct svc_step t = svc_next(from, (enum svc_event)e);
            bool exit = e == EV_EXIT_DONE || e == EV_EXIT_RETRY || e == EV_EXIT_FINAL;
            bool moved = t.to != from, ran = svc_state_runs(from), runs = svc_state_runs(t.to);
            bool good = (!moved || (t.act & ACT_TELL)) &&
                        (!(t.act & ACT_SPAWN) || (!ran && t.to == SVC_STARTING)) &&
                        (!(!ran && runs) || (t.act & ACT_SPAWN)) && (!(ran && !runs) || exit) &&
                        (!(ran && exit) || !runs) &&
                        (!(t.act & ACT_TERM) || t.to == SVC_STOPPING) &&
                        (!(t.act & ACT_DELAY) == (t.to != SVC_BACKOFF || !moved)) &&
                        (!(t.act & ACT_WATCH) == !(moved && t.to == SVC_READY));
            bool probed = from == SVC_STARTING || from == SVC_READY;
            good = good && (!(probed && moved) || (t.act & ACT_STOP_PROBE));
            OK(good, "%s on %s keeps to the rules", svc_state_name(from),
               svc_event_name((enum svc_event)e));
        }
}

static void matches_the_golden_table(void) {
    static const char *const acts[] = { "stop-probe", "term",  "kill",   "delay",
                                        "spawn",      "watch", "settle", "tell" };
    static char now[8192], golden[8192];
    struct text t = TEXT(now);
    for (int s = 0; s < SVC_NSTATES; s++)
        for (int e = 0; e < SVC_NEVENTS; e++) {
            struct svc_step step = svc_next((enum svc_state)s, (enum svc_event)e);
            text_add(&t, "%-8s %-10s -> %s", svc_state_name((enum svc_state)s),
                     svc_event_name((enum svc_event)e), svc_state_name(step.to));
            for (unsigned i = 0; i < sizeof acts / sizeof acts[0]; i++)
                if (step.act >> i & 1)
                    text_add(&t, " %s", acts[i]);
            text_add(&t, "\n");
        }
    FILE *f = fopen(GOLDEN, "re");
    if (OK(f, "%s is there (run from the top of the tree)", GOLDEN)) {
        golden[fread(golden, 1, sizeof golden - 1, f)] = '\0';
        (void)fclose(f);
    }
    bool same = strcmp(now, golden) == 0;
    OK(same, "the table is that of %s", GOLDEN);
    const char *a = now, *b = golden;
    for (size_t n; !same && *a; a += n + 1, b += n + 1) {
        n = strcspn(a, "\n");
        if (strncmp(a, b, n + 1) != 0) {
            printf("# first difference, now:\n# %.*s\n", (int)n, a);
            break;
        }
    }
}

static void names_everything(void) {
    static const char *const states[] = { "down",     "starting", "ready", "backoff",
                                          "stopping", "failed",   "done" };
    for (int s = 0; s < SVC_NSTATES; s++)
        OK(strcmp(svc_state_name((enum svc_state)s), states[s]) == 0, "state %s", states[s]);
    OK(strcmp(svc_state_name((enum svc_state)SVC_NSTATES), "unknown") == 0 &&
           strcmp(svc_state_name((enum svc_state) - 1), "unknown") == 0 &&
           strcmp(svc_event_name((enum svc_event)SVC_NEVENTS), "unknown") == 0,
       "what is not one is unknown");
}

#define F(w, c, h, n) \
    { .wanted = (w), .clean = (c), .hopeless = (h), .failures = (n) }

static void classifies_exits(void) {
    static const struct {
        int policy;
        bool oneshot;
        unsigned max;
        struct svc_exit_facts f;
        enum svc_event event;
    } rows[] = {
        { RESTART_ALWAYS, false, 1, F(false, false, true, 9), EV_EXIT_DONE },
        { RESTART_ALWAYS, false, 0, F(true, true, false, 1), EV_EXIT_RETRY },
        { RESTART_ALWAYS, true, 0, F(true, true, false, 1), EV_EXIT_DONE },
        { RESTART_ALWAYS, false, 0, F(true, false, false, 4000000000U), EV_EXIT_RETRY },
        { RESTART_ALWAYS, false, 3, F(true, true, false, 3), EV_EXIT_RETRY },
        { RESTART_ALWAYS, false, 3, F(true, true, false, 4), EV_EXIT_FINAL },
        { RESTART_ALWAYS, false, 0, F(true, false, true, 1), EV_EXIT_FINAL },
        { RESTART_ON_FAILURE, false, 0, F(true, true, false, 1), EV_EXIT_DONE },
        { RESTART_ON_FAILURE, false, 3, F(true, true, false, 4), EV_EXIT_DONE },
        { RESTART_ON_FAILURE, false, 3, F(true, false, false, 3), EV_EXIT_RETRY },
        { RESTART_ON_FAILURE, false, 3, F(true, false, false, 4), EV_EXIT_FINAL },
        { RESTART_ON_FAILURE, true, 3, F(true, false, false, 1), EV_EXIT_RETRY },
        { RESTART_ON_FAILURE, false, 0, F(true, false, true, 1), EV_EXIT_FINAL },
        { RESTART_NEVER, false, 0, F(true, true, false, 1), EV_EXIT_DONE },
        { RESTART_NEVER, false, 0, F(true, false, false, 1), EV_EXIT_FINAL },
        { RESTART_NEVER, true, 9, F(true, false, false, 1), EV_EXIT_FINAL },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct svc_conf c = { .restart = rows[i].policy,
                              .oneshot = rows[i].oneshot,
                              .max_restarts = rows[i].max };
        enum svc_event e = svc_classify_exit(&c, &rows[i].f);
        OK(e == rows[i].event, "exit row %zu: %s", i, svc_event_name(e));
    }
}

static int64_t backoff(span from, span to, unsigned failures, uint32_t random) {
    struct svc_conf c = { .backoff = { from, to } };
    return svc_backoff(&c, failures, random).ns;
}

static void backs_off(void) {
    span from = span_ms(100), to = span_s(30);
    static const int64_t ms[] = { 100, 100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000 };
    for (unsigned n = 0; n < sizeof ms / sizeof ms[0]; n++)
        OK(backoff(from, to, n, 0) == ms[n] * 1000000, "after %u failures %lld ms", n,
           (long long)ms[n]);
    OK(backoff(from, to, UINT32_MAX, 0) == to.ns, "the cap holds for ever");
    OK(backoff(to, to, 7, 0) == to.ns, "a range of one time");
    for (unsigned n = 1; n < 12; n++) {
        int64_t most = backoff(from, to, n, 0), least = most;
        for (uint32_t r = 0; r < 5000; r += 7) {
            int64_t d = backoff(from, to, n, r);
            if (d > most)
                most = INT64_MAX;
            least = d < least ? d : least;
        }
        OK(most <= to.ns && least >= most - most / 10 && least < most - most / 11,
           "jitter takes up to a tenth of pause %u, adds nothing", n);
    }
    span longest = span_s(INT64_C(36500) * 86400);
    OK(backoff(span_s(1), longest, 90, 0) == longest.ns, "doubling does not overflow");
    OK(backoff(span_s(1), (span){ INT64_MAX - 1 }, 90, 0) == INT64_MAX - 1, "at any cap");
    OK(backoff((span){ 1 }, (span){ 1 }, 5, UINT32_MAX) == 1, "the shortest pause stays one");
}

int main(void) {
    has_no_empty_cell();
    want_down_ends();
    keeps_invariants();
    matches_the_golden_table();
    names_everything();
    classifies_exits();
    backs_off();
    return tap_end();
}
