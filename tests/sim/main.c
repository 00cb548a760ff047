/* The whole box, simulated: seeded boots with faults, and named cases with exact times.
 *
 *     sim [BOOTS]              that many boots (default 10000), and every case
 *     sim --seed N [BOOTS]     from this seed on
 *     sim --seed N -v          one boot, with a trace of everything that happens
 *     sim --case TEXT          one named case, likewise; TEXT is a part of its name
 *
 * Every boot runs in a worker process; a failed check ends the worker, and the line that it
 * leaves behind names the seed.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "scenario.h"
#include "tests/unit/tap.h"
#include "trial.h"

enum { WORKERS = 2, FIRST_SEED = 20000 };

struct report { /* shared with a worker */
    uint64_t seed;
    char text[WORLD_FAILURE];
};

static struct report *reports; /* WORKERS of them */

static struct report *make_reports(void) {
    void *p = mmap(NULL, WORKERS * sizeof(struct report), PROT_READ | PROT_WRITE,
                   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

/* True when the worker ended well; else *why says what it left behind. */
static bool worker_ended(pid_t pid, const struct report *r, char why[WORLD_FAILURE]) {
    int status = -1;
    (void)waitpid(pid, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return true;
    if (r->text[0])
        memcpy(why, r->text, WORLD_FAILURE);
    else
        (void)snprintf(why, WORLD_FAILURE, "seed %llu: the worker ended with wait status 0x%x",
                       (unsigned long long)r->seed, (unsigned)status);
    return false;
}

static pid_t worker_begin(struct report *r) {
    *r = (struct report){ 0 };
    (void)fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        world_report_to(r->text);
    }
    return pid;
}

static void boots(uint64_t seed, int n) {
    pid_t pids[WORKERS];
    char why[WORLD_FAILURE] = "";
    bool good = true;
    for (int k = 0; k < WORKERS; k++) {
        pids[k] = worker_begin(&reports[k]);
        for (int i = k; pids[k] == 0 && i < n; i += WORKERS) {
            reports[k].seed = seed + (uint64_t)i;
            trial_random(seed + (uint64_t)i, false);
        }
        if (pids[k] == 0)
            exit(0); /* and not _exit: leaks are looked for at the end */
    }
    for (int k = 0; k < WORKERS; k++)
        good &= pids[k] > 0 && worker_ended(pids[k], &reports[k], why);
    OK(good, "%d boots, seeds %llu..%llu", n, (unsigned long long)seed,
       (unsigned long long)seed + (unsigned long long)n - 1);
    if (!good)
        (void)printf("# %s\n", why);
}

static void scenarios(void) {
    for (size_t i = 0; i < nscenarios; i++) {
        char why[WORLD_FAILURE] = "";
        pid_t pid = worker_begin(&reports[0]);
        if (pid == 0) {
            scenario_run(&scenarios_all[i], false);
            exit(0);
        }
        OK(pid > 0 && worker_ended(pid, &reports[0], why), "%s", scenarios_all[i].name);
        if (why[0])
            (void)printf("# %s\n", why);
    }
}

/* One boot or one case with its trace, in a worker too: this process tidies up after it. */
static int show(uint64_t seed, const char *scenario) {
    const struct scenario *s = scenarios_all;
    while (scenario && s < scenarios_all + nscenarios && !strstr(s->name, scenario))
        s++;
    if (scenario && s == scenarios_all + nscenarios)
        return 2;
    char why[WORLD_FAILURE] = "";
    pid_t pid = worker_begin(&reports[0]);
    if (pid == 0) {
        if (scenario)
            scenario_run(s, true);
        else
            trial_random(seed, true);
        exit(0);
    }
    bool good = pid > 0 && worker_ended(pid, &reports[0], why);
    (void)printf("# %s\n", good ? "nothing is wrong" : why);
    return !good;
}

/* A box must not touch the terminal that the tests run on, nor hear of our own supervisor. */
static void isolate(void) {
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0 || dup2(null, 0) < 0)
        exit(2);
    log_init(null, LOG_TEXT, LOG_INFO); /* stays open: lines are made, and go nowhere */
    (void)signal(SIGPIPE, SIG_IGN);
    (void)unsetenv("NOTIFY_SOCKET");
}

static int run(uint64_t seed, int n, bool verbose, const char *scenario) {
    if (scenario || verbose)
        return show(seed, scenario);
    boots(seed, n);
    scenarios();
    return tap.failed != 0;
}

int main(int argc, char **argv) {
    uint64_t seed = FIRST_SEED;
    int n = 10000;
    bool verbose = false;
    const char *scenario = NULL;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "-v") == 0)
            verbose = true;
        else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc)
            seed = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--case") == 0 && i + 1 < argc)
            scenario = argv[++i];
        else
            n = atoi(argv[i]);
    }
    isolate();
    reports = make_reports();
    if (!reports)
        return 2;
    trial_set_up();
    int rc = run(seed, n, verbose, scenario);
    trial_clean_up();
    if (!verbose && !scenario)
        (void)printf("1..%d\n", tap.done);
    return rc;
}
