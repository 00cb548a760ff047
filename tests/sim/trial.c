#include "trial.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"

enum { FDS = 256 };       /* a leak takes a low number */
enum { PATIENCE = 3000 }; /* turns; a box that is busier than that is asked to end */

static char run_root[32] = "/tmp/pinnace-sim.XXXXXX";

void trial_set_up(void) {
    if (!mkdtemp(run_root)) {
        perror("make a directory in /tmp");
        exit(2);
    }
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at) {
    (void)st;
    (void)kind;
    (void)at;
    return remove(path);
}

void trial_clean_up(void) { (void)nftw(run_root, remove_one, 16, FTW_DEPTH | FTW_PHYS); }

static int count_fds(void) {
    int n = 0;
    for (int fd = 0; fd < FDS; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static void load(struct world *w, struct conf *c, const struct trial *t) {
    char head[160];
    struct err e = { 0 };
    (void)snprintf(head, sizeof head, "[pinnace]\nrun-dir = %s/%d\nlog-dir = none\n",
                   t->has_run_dir ? run_root : "/proc/none", (int)getpid());
    if (conf_begin(c, &e) < 0 || conf_add_text(c, "head", head, &e) < 0 ||
        conf_add_text(c, "trial", t->config, &e) < 0 || conf_finish(c, &e) < 0)
        world_fail(w, "%s in:\n%s", e.text, t->config);
}

/* Whoever waits for the end asks again and again, and then kills CMD. */
static void insist(struct world *w, span from) {
    static const int seconds[] = { 0, 60, 61, 62, 120, 121, 300, 301 };
    for (size_t i = 0; i < sizeof seconds / sizeof seconds[0]; i++) {
        span at = { from.ns + span_s(seconds[i]).ns };
        bool kills = i == 2 || i == 5;
        world_stimulate(w, at, kills ? STIM_KILL_MAIN : STIM_SIGNAL, kills ? 0 : 15);
    }
}

int trial_run(struct world *w, const struct trial *t) {
    static struct conf conf;
    static struct box box;
    static const char *const cmd[] = { "/unit/main", NULL };
    static const char *const env[] = { "PATH=/bin", NULL };
    int fds = count_fds();
    struct err e = { 0 };
    load(w, &conf, t);
    struct box_args args = { .conf = &conf,
                             .cmd = t->has_main ? cmd : NULL,
                             .env = env,
                             .is_pid1 = t->is_pid1,
                             .started = w->now };
    if (box_init(&box, &w->sys, &args, &e) < 0)
        world_fail(w, "box_init: %s in:\n%s", e.text, t->config);
    if (world_attach(w, &box) < 0)
        world_fail(w, "no descriptor for signals");
    for (box_start(&box); !box.done; box_turn(&box))
        if (w->turn % PATIENCE == PATIENCE - 1) {
            w->nstimuli = 0;
            insist(w, span_ms(0));
            (void)procs_let_go(w);
            w->turn++;
        }
    bool whole = check_end(w);
    int code = box.exit_code;
    box_fini(&box);
    world_fini(w);
    conf_free(&conf);
    if (whole && count_fds() != fds)
        world_fail(w, "%d descriptors before, %d after", fds, count_fds());
    return code;
}

/* --- a random configuration ------------------------------------------------------------ */

struct maker {
    struct world *w;
    struct dice *d;
    char text[8192];
    struct text t;
    int n;        /* services */
    int rank[16]; /* who may come after whom */
    bool run_dir;
    int trouble; /* 0 (none) .. 3 */
};

static const char *pick(struct maker *m, const char *const *from) {
    int n = 0;
    while (from[n])
        n++;
    return from[dice_below(m->d, n)];
}
#define PICK(m, ...)       pick((m), (const char *const[]){ __VA_ARGS__, NULL })
#define SET(m, key, ...)   text_add(&(m)->t, key " = %s\n", PICK((m), __VA_ARGS__))
#define MAYBE(m, permille) if (dice_hits((m)->d, (permille)))

static void make_order(struct maker *m, int i, const char *key, int permille) {
    bool any = false;
    for (int k = 0; k < m->n; k++)
        if (m->rank[k] < m->rank[i] && dice_hits(m->d, permille)) {
            text_add(&m->t, "%s%ss%d", any ? "" : key, any ? " " : " = ", k);
            any = true;
        }
    if (any)
        text_add(&m->t, "\n");
}

static void make_probes(struct maker *m) {
    MAYBE(m, 500) {
        if (m->run_dir)
            SET(m, "ready", "tcp:80", "exec:/bin/true", "unix:/run/x", "file:/run/x", "log:up",
                "notify", "http://127.0.0.1/", "dns:example.org");
        else
            SET(m, "ready", "tcp:80", "exec:/bin/true", "unix:/run/x", "file:/run/x", "log:up");
    }
    MAYBE(m, 300) {
        SET(m, "alive", "tcp:80", "exec:/bin/true", "http://127.0.0.1/");
        SET(m, "alive-every", "100ms", "1s", "10s");
        SET(m, "alive-threshold", "1", "2", "3");
    }
    MAYBE(m, 500)
    SET(m, "probe-timeout", "50ms", "200ms", "1s");
    MAYBE(m, 500)
    SET(m, "ready-every", "10ms", "500ms", "3s");
}

static void make_service(struct maker *m, int i) {
    text_add(&m->t, "[service s%d]\ncommand = /unit/s%d -x\n", i, i);
    make_order(m, i, "after", 250);
    make_order(m, i, "requires", 100);
    MAYBE(m, 200)
    text_add(&m->t, "oneshot = yes\n");
    else make_probes(m);
    MAYBE(m, 300)
    SET(m, "start-timeout", "50ms", "2s", "10s");
    MAYBE(m, 600)
    SET(m, "restart", "always", "on-failure", "never");
    MAYBE(m, 400)
    SET(m, "max-restarts", "1", "2", "5");
    MAYBE(m, 500)
    SET(m, "backoff", "1ms..10ms", "100ms..1s", "1s..1s", "1ms..30s");
    MAYBE(m, 300)
    SET(m, "on-failure", "shutdown");
    MAYBE(m, 600)
    SET(m, "stop-timeout", "0s", "1ms", "100ms", "1s", "1m");
    MAYBE(m, 200)
    SET(m, "stop-signal", "INT", "QUIT", "USR1", "KILL", "RTMIN+3");
}

static void make_box(struct maker *m) {
    text_add(&m->t, "[pinnace]\n");
    MAYBE(m, 600)
    SET(m, "boot-timeout", "never", "300ms", "5s", "30s");
    MAYBE(m, 400)
    SET(m, "on-boot-timeout", "stay");
    MAYBE(m, 700)
    SET(m, "grace", "0s", "1ms", "500ms", "2s", "30s");
    MAYBE(m, 250)
    SET(m, "drain-delay", "100ms", "1s", "20s");
    text_add(&m->t, "[main]\n");
    MAYBE(m, 300)
    SET(m, "start", "now");
    MAYBE(m, 400)
    SET(m, "on-exit", "stay", "shutdown-on-failure");
    MAYBE(m, 200)
    SET(m, "remap-exit", "143", "0 1 2", "255");
    MAYBE(m, 200)
    SET(m, "signal-group", "yes");
    MAYBE(m, 100)
    SET(m, "map-signal", "TERM:QUIT", "TERM:KILL", "HUP:0");
    MAYBE(m, 150)
    text_add(&m->t, "[engine]\nenabled = yes\n");
    else text_add(&m->t, "[engine]\nenabled = no\n");
}

static void make_config(struct maker *m) {
    m->n = dice_below(m->d, 4) ? dice_below(m->d, 5) : dice_below(m->d, 13);
    for (int i = 0; i < m->n; i++)
        m->rank[i] = dice_below(m->d, 1000);
    make_box(m);
    for (int i = 0; i < m->n; i++)
        make_service(m, i);
}

/* --- random lives ---------------------------------------------------------------------- */

static span short_span(struct dice *d) {
    static const int64_t most_us[] = { 0, 100, 2000, 50000, 400000 };
    return dice_span(d, span_us(most_us[dice_below(d, 5)]));
}

static span long_span(struct dice *d) {
    static const int64_t most_ms[] = { 5, 300, 3000, 20000, 200000 };
    return dice_span(d, span_ms(most_ms[dice_below(d, 5)]));
}

static struct exit_info some_end(struct dice *d) {
    static const int signals[] = { 1, 2, 6, 9, 11, 15, 34, 64 };
    if (dice_hits(d, 300))
        return (struct exit_info){ .signaled = true,
                                   .core = dice_hits(d, 300),
                                   .code = signals[dice_below(d, 8)] };
    return (struct exit_info){ .code = dice_hits(d, 400) ? 0 : dice_below(d, 256) };
}

static void some_kin(struct dice *d, struct life *l) {
    l->kin_at = short_span(d);
    l->nkin = 1 + dice_below(d, WORLD_KIN);
    for (int i = 0; i < l->nkin; i++)
        l->kin[i] = (struct kin_plan){ .kind = (enum kin_kind)dice_below(d, 4),
                                       .lives = dice_hits(d, 300) ? SPAN_NEVER : long_span(d),
                                       .ignores = dice_hits(d, 300) };
    for (int i = 0; i < l->nkin; i++)
        if (l->kin[i].kind == KIN_BRIEF)
            l->kin[i].lives = short_span(d);
}

static void some_refusal(struct dice *d, struct life *l) {
    static const struct exec_failure all[] = {
        { STEP_EXEC, 2 },   { STEP_EXEC, 13 }, { STEP_EXEC, 12 }, { STEP_CWD, 2 },
        { STEP_CGROUP, 5 }, { STEP_USER, 2 },  { STEP_EXEC, 8 },  { STEP_STDIO, 9 },
    };
    l->refuse = all[dice_below(d, 8)];
}

/* How much goes wrong depends on the boot: `script` is its struct maker. */
static void random_life(struct world *w, int unit, unsigned nth, struct life *l) {
    const struct maker *m = w->script;
    struct dice *d = &w->dice;
    const struct svc_conf *c = w->box->confs[unit];
    int bad = m->trouble * 70;
    (void)nth;
    l->session = short_span(d);
    l->exec = short_span(d);
    l->ready = short_span(d);
    l->yields = dice_hits(d, 200) ? long_span(d) : short_span(d);
    l->yield_status = dice_hits(d, 500) ? dice_below(d, 2) : -1;
    l->ignores = dice_hits(d, bad);
    l->fork_errno = dice_hits(d, bad / 3) ? 11 : 0;
    if (c->oneshot || dice_hits(d, bad + 30))
        l->ends = long_span(d);
    l->end = c->oneshot && !dice_hits(d, bad) ? (struct exit_info){ 0 } : some_end(d);
    if (dice_hits(d, bad / 4))
        some_refusal(d, l);
    if (dice_hits(d, bad))
        l->ready = long_span(d);
    if (dice_hits(d, bad))
        l->ill = long_span(d);
    if (dice_hits(d, bad + 100))
        some_kin(d, l);
    l->neglects = dice_hits(d, 300);
    l->flickers = dice_hits(d, bad / 3);
    l->forgetful = dice_hits(d, bad / 3);
    if (dice_hits(d, bad / 5))
        l->stops = long_span(d);
    l->lingers = dice_hits(d, bad / 10) ? SPAN_NEVER : dice_span(d, span_us(300));
}

/* --- random trouble -------------------------------------------------------------------- */

static void random_faults(struct world *w, int trouble) {
    struct dice *d = &w->dice;
    struct faults *f = &w->faults;
    static const int64_t costs_us[] = { 0, 0, 2, 300, 30000 };
    f->strangers_unknown = dice_hits(d, 150);
    f->reap_cost = span_us(costs_us[dice_below(d, 5)]);
    f->interrupts = dice_hits(d, 200) ? 50 : 0;
    f->late = dice_hits(d, 300) ? span_ms(3) : span_ms(0);
    if (trouble == 0)
        return;
    f->fork_fails = dice_hits(d, 200 * trouble) ? 50 * trouble : 0;
    f->probe_hangs = dice_below(d, 50 * trouble);
    f->probe_crashes = dice_below(d, 50 * trouble);
    f->probe_lies = dice_below(d, 70 * trouble);
    f->role_crashes = dice_below(d, 300 * trouble);
    f->role_hangs = dice_hits(d, 100) ? 300 : 0;
    f->role_dies_speaking = dice_hits(d, 300) ? 500 : 0;
    f->role_dozes = dice_hits(d, 300) ? 500 : 0;
    f->role_babbles = dice_hits(d, 200) ? 200 : 0;
    f->prepare_fails = dice_hits(d, 300) ? 900 : 0;
    f->jumps = dice_hits(d, 100) ? 20 : 0;
}

static void random_stimuli(struct world *w, const struct maker *m) {
    static const int64_t horizon_ms[] = { 1, 100, 1000, 10000, 100000, 100000 };
    static const int signals[] = { 1, 2, 3, 10, 12, 15, 18, 28, 34, 64 };
    struct dice *d = &w->dice;
    span horizon = dice_span(d, span_ms(horizon_ms[dice_below(d, 6)]));
    insist(w, horizon);
    for (int i = dice_below(d, 3 * m->trouble + 1); i > 0; i--) {
        enum stimulus_kind kind = (enum stimulus_kind)dice_below(d, STIM_UNIT_DO);
        int what = kind == STIM_SIGNAL      ? signals[dice_below(d, 10)]
                   : kind == STIM_KILL_UNIT ? dice_below(d, m->n + 1)
                                            : dice_below(d, 3);
        world_stimulate(w, dice_span(d, (span){ horizon.ns * 5 / 4 + 1000000 }), kind, what);
    }
    for (int i = dice_hits(d, 400) ? dice_below(d, 7) : 0; i > 0; i--) {
        bool job = dice_hits(d, 500);
        world_stimulate(w, dice_span(d, (span){ horizon.ns + 1000000 }),
                        job ? STIM_JOB : STIM_UNIT_DO, dice_below(d, job ? 1000 : 4 * (m->n + 3)));
    }
}

void trial_random(uint64_t seed, bool verbose) {
    static struct world w;
    static struct maker m;
    world_init(&w, seed);
    w.verbose = verbose;
    m = (struct maker){ .w = &w, .d = &w.dice };
    m.t = TEXT(m.text);
    m.run_dir = !dice_hits(m.d, 200);
    m.trouble = dice_below(m.d, 4);
    make_config(&m);
    random_faults(&w, m.trouble);
    random_stimuli(&w, &m);
    w.live = random_life;
    w.script = &m;
    struct trial t = { .config = m.text,
                       .has_main = !dice_hits(m.d, 250),
                       .is_pid1 = !dice_hits(m.d, 250),
                       .has_run_dir = m.run_dir };
    if (verbose)
        (void)printf("# trouble %d, PID 1 %d, main %d\n%s", m.trouble, t.is_pid1, t.has_main,
                     m.text);
    int code = trial_run(&w, &t);
    world_trace(&w, "exit status %d", code);
}
