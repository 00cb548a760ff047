#include "tests/unit/t_job.h"

#include <ctype.h>
#include <dirent.h>
#include <linux/capability.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "sys/title.h"

/* --- who is there ----------------------------------------------------------------------------- */

/* Processes that carry the name of this test and are alive: jobs are given it as a word. */
static int alive(const char *word) {
    int n = 0;
    DIR *proc = opendir("/proc");
    for (struct dirent *d; (d = readdir(proc));) {
        char path[300], text[4096];
        (void)snprintf(path, sizeof path, "/proc/%s/cmdline", d->d_name);
        AUTO_FD int fd =
            isdigit((unsigned char)d->d_name[0]) ? open(path, O_RDONLY | O_CLOEXEC) : -1;
        ssize_t len = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
        for (ssize_t i = 0; i < len; i += (ssize_t)strlen(text + i) + 1) {
            text[len] = '\0';
            if (strcmp(text + i, word) == 0) {
                n++;
                break;
            }
        }
    }
    (void)closedir(proc);
    return n;
}

static char word[32]; /* of this test and this run */

static void new_word(const char *name) {
    (void)snprintf(word, sizeof word, "%s-%d", name, (int)getpid());
}

/* A script of which `word` is the last argument, and so of all that it starts with "$w". */
static struct job *start_tree(struct client *c, const char *script, const char *user) {
    struct job_spec s = spec(ARGV("bash", "-c", script, word, word));
    s.user = user;
    struct job *j = start(s);
    attach(c, j, 0, false);
    UNTIL(strstr(c->out, "up") || c->ended);
    return j;
}

/* What bash does as `word`: it stays, and shows its name. */
#define STAY "exec -a \"$1\" sleep 60"

static void end_tree(struct client *c, struct job *j, int sig, int before) {
    int there = 0;
    UNTIL((there = alive(word)) >= before); /* while it executes, a process has no name */
    OK(there >= before, "%s: %d processes", word, there);
    OK(job_signal(j, sig, JOB_TREE) == 0, "signalled");
    UNTIL(c->ended && alive(word) == 0);
    OK(alive(word) == 0 && j->state == JOB_ENDED, "all are gone");
    if (alive(word))
        (void)job_signal(j, SIGKILL, JOB_TREE);
    forget(c);
}

/* In the effective set alone, so that it can be had again. The other two are as good for reading
 * (since Linux 6.16), and no more given to a container than it is. */
static bool hold_ptrace(bool hold) {
    struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct data[2];
    if (syscall(SYS_capget, &head, data) < 0)
        return false;
    static const unsigned caps[] = { CAP_SYS_PTRACE, CAP_SYS_ADMIN, CAP_PERFMON };
    for (size_t i = 0; i < sizeof caps / sizeof caps[0]; i++) {
        uint32_t bit = 1U << caps[i] % 32, *set = &data[caps[i] / 32].effective;
        *set = hold ? *set | (data[caps[i] / 32].permitted & bit) : *set & ~bit;
    }
    return syscall(SYS_capset, &head, data) == 0;
}

static void reaches_everybody(void) {
    struct client c;
    new_word("group");
    end_tree(&c, start_tree(&c, "(" STAY ") & (" STAY ") & echo up; wait", NULL), SIGTERM, 3);
    new_word("sessions");
    end_tree(&c,
             start_tree(&c,
                        "for i in 1 2 3; do setsid bash -c '" STAY "' x $1 & done; sleep 0.2; "
                        "echo up; wait",
                        NULL),
             SIGTERM, 4);
    new_word("daemon"); /* in a session of its own, and a child of nobody here */
    end_tree(&c,
             start_tree(&c,
                        "(setsid bash -c '(" STAY ") & (" STAY ") &' x $1 &) ; sleep 0.3; "
                        "echo up; " STAY,
                        NULL),
             SIGKILL, 3);
    new_word("deaf");
    end_tree(&c,
             start_tree(&c,
                        "trap '' TERM HUP; setsid bash -c '" STAY "' x $1 & sleep 0.2; echo up; "
                        "wait",
                        NULL),
             SIGKILL, 2);
    new_word("user");
    OK(hold_ptrace(false), "without CAP_SYS_PTRACE, as in most containers");
    end_tree(&c,
             start_tree(&c, "(setsid bash -c '(" STAY ") &' x $1 &) ; sleep 0.3; echo up; " STAY,
                        "4242:4242"),
             SIGTERM, 2);
    OK(hold_ptrace(true), "with it again");
    new_word("stopped");
    end_tree(&c,
             start_tree(&c,
                        "setsid bash -c '" STAY "' x $1 & sleep 0.2; kill -STOP $!; echo up; "
                        "kill -STOP $$",
                        NULL),
             SIGTERM, 2);
}

/* Whose leader has ended: only its mark tells. */
static void reaches_what_stays_behind(void) {
    struct client c;
    new_word("behind");
    struct job *j = start_tree(&c,
                               "(setsid bash -c '(" STAY ") >&- 2>&- &' x $1 &) ; (" STAY
                               ") >&- 2>&- & sleep 0.3; echo up; exit 6",
                               NULL);
    UNTIL(c.ended && alive(word) == 2);
    OK(j->state == JOB_ENDED && j->end.how.code == 6 && alive(word) == 2, "%d are left",
       alive(word));
    OK(job_signal(j, SIGHUP, JOB_TREE) == -ESRCH && job_signal(j, SIGTERM, JOB_GROUP) == -ESRCH,
       "its group is nobody's to signal now");
    end_tree(&c, j, SIGTERM, 2);
    new_word("unmarked"); /* one member of the session has the mark, another has cleared it */
    j = start_tree(&c,
                   "(" STAY ") >&- 2>&- & env -i bash -c '(" STAY ") >&- 2>&- &' x $1; "
                   "sleep 0.2; echo up",
                   NULL);
    UNTIL(c.ended);
    end_tree(&c, j, SIGKILL, 2);
}

static void reaches_whom_nobody_knows(void) {
    struct client c;
    new_word("unknown"); /* in no session of the job's, and without its output */
    struct job *j = start_tree(
        &c, "(setsid bash -c '(" STAY ") >&- 2>&- &' x $1 >&- 2>&- &) ; sleep 0.2; echo up", NULL);
    UNTIL(c.ended && alive(word) == 1);
    OK(alive(word) == 1 && j->fds[JOB_STDOUT] < 0, "one is left");
    OK(job_signal(j, SIGTERM, JOB_TREE) == -ESRCH, "unknown");
    UNTIL(alive(word) == 0);
    OK(alive(word) == 0, "but signalled");
    forget(&c);
    j = run(&c, spec(ARGV("true")));
    OK(job_signal(j, SIGTERM, JOB_TREE) == -ESRCH, "nobody is");
    forget(&c);
}

/* What a shell starts for one command, and what it has left running before that. */
static void reaches_only_the_later(void) {
    struct client c;
    new_word("later");
    struct job_spec s = spec(ARGV("bash", "-c",
                                  "(" STAY ") & echo up; read x; (" STAY ") & "
                                  "bash -c '(" STAY ") & (" STAY ") & wait' x $1 & echo up2; wait",
                                  word, word));
    s.stdin_pipe = true;
    struct job *j = start(s);
    attach(&c, j, 0, false);
    UNTIL(strstr(c.out, "up") && alive(word) == 2);
    struct job_since since = job_now();
    OK(job_write(j, "\n", 1) == 1, "there is more to do");
    UNTIL(strstr(c.out, "up2") && alive(word) == 6);
    OK(alive(word) == 6, "%d processes", alive(word));
    OK(job_signal_since(j, SIGTERM, since) == 0, "signalled");
    UNTIL(alive(word) == 2);
    OK(alive(word) == 2 && j->state == JOB_RUNNING,
       "the leader and what was there before are left");
    OK(job_signal_since(j, SIGKILL, job_now()) == 0, "signalled, and there is nobody");
    turn_for(200);
    OK(alive(word) == 2, "nobody else is");
    end_tree(&c, j, SIGKILL, 2);
}

static void spares_strangers(void) {
    struct client a, b;
    new_word("stranger");
    struct job *j = start_tree(&a, "echo up; " STAY, NULL);
    char mine[32];
    (void)snprintf(mine, sizeof mine, "%s", word);
    new_word("victim");
    struct job *k = start_tree(&b, "echo up; " STAY, NULL);
    end_tree(&b, k, SIGKILL, 1);
    OK(alive(mine) == 1 && j->state == JOB_RUNNING, "another job lives");
    (void)snprintf(word, sizeof word, "%s", mine);
    end_tree(&a, j, SIGKILL, 1);
}

/* A leader that has ended, and whose number is another's: simulated by a job that says so. */
static void spares_who_has_the_number_now(void) {
    struct client c, d;
    new_word("number");
    struct job *j = run(&c, spec(ARGV("true")));
    struct job *other = start_tree(&d, "echo up; " STAY, NULL);
    pid_t leader = j->leader;
    j->leader = other->pid;
    OK(job_signal(j, SIGKILL, JOB_TREE) == 0, "a job whose number was given away");
    turn_for(300);
    OK(alive(word) == 1 && other->state == JOB_RUNNING, "no mark, no signal");
    j->leader = leader;
    forget(&c);
    end_tree(&d, other, SIGKILL, 1);
}

static int sent_once(const char *out) {
    int n = 0;
    for (const char *p = out; (p = strstr(p, "got")); p++)
        n++;
    return n;
}

static void wakes_only_the_stopped(void) {
    struct client c;
    new_word("awake");
    struct job *j =
        start_tree(&c, "trap 'echo cont' CONT; trap 'echo term; exit' TERM; echo up; " WAIT, NULL);
    OK(job_signal(j, SIGTERM, JOB_TREE) == 0, "TERM");
    UNTIL(c.ended);
    OK(strstr(c.out, "term") && !strstr(c.out, "cont"), "and no CONT beside it: %s", c.out);
    forget(&c);
}

static void sends_once(void) {
    struct client c;
    new_word("once");
    struct job *j = start_tree(&c,
                               "s='trap \"echo got\" USR1; echo up; " WAIT "'; "
                               "setsid bash -c \"$s\" x $1 & eval \"$s\"",
                               NULL);
    UNTIL(strstr(c.out, "up\nup"));
    OK(job_signal(j, SIGUSR1, JOB_TREE) == 0, "a signal to all");
    turn_for(600);
    OK(sent_once(c.out) == 2, "each has had it once: %s", c.out);
    end_tree(&c, j, SIGKILL, 2);
}

/* One that is in execve(2) has no command line for a moment, and is not seen in it. */
static bool all_gone(void) {
    for (int looks = 0; looks < 5; looks++) {
        if (alive(word))
            return false;
        turn_for(5);
    }
    return true;
}

static void outruns_forks(void) {
    struct client c;
    new_word("forks"); /* each makes the next in a session of its own, and ends */
    struct job *j =
        start_tree(&c,
                   "f='[ $((n -= 1)) -gt 0 ] || exit; setsid bash -c \"sleep 0.01; eval "
                   "\\\"$f\\\"\" x $1 & exit'; "
                   "export f n=1000; echo up; " /* so that it ends, whatever becomes of us */
                   "for i in 1 2 3 4; do (eval \"$f\"); done; " STAY,
                   NULL);
    turn_for(300);
    int rounds = 0;
    for (; rounds < 100 && !all_gone(); rounds++) {
        (void)job_signal(j, SIGKILL, JOB_TREE);
        UNTIL(!js.walker.pid);
        turn_for(50);
    }
    UNTIL(c.ended);
    OK(all_gone(), "who forks all the time is caught, in %d walks", rounds);
    forget(&c);
}

static void ends_the_tree_in_time(void) {
    struct client c;
    new_word("time");
    struct job_spec s =
        spec(ARGV("bash", "-c",
                  "(setsid bash -c 'trap \"\" TERM; (" STAY ") &' x $1 &); sleep 0.2; "
                  "echo up; " STAY,
                  word, word));
    s.timeout = span_ms(1000);
    s.kill_after = span_ms(200);
    struct job *j = start(s);
    attach(&c, j, 0, false);
    UNTIL(strstr(c.out, "up") && alive(word) == 2);
    OK(alive(word) == 2, "two: %d", alive(word));
    UNTIL(c.ended && alive(word) == 0);
    OK(alive(word) == 0 && j->end.timed_out, "timed out; the deaf one goes after the leader");
    forget(&c);
    new_word("forgotten");
    s.argv = ARGV("bash", "-c",
                  "(setsid bash -c 'trap \"\" TERM; (" STAY ") &' x $1 &); sleep 0.2; "
                  "echo up; " STAY,
                  word, word);
    s.kill_after = span_s(100);
    j = start(s);
    attach(&c, j, 0, false);
    UNTIL(c.ended);
    OK(j->end.timed_out && alive(word) == 1, "one has ignored TERM");
    forget(&c);
    UNTIL(alive(word) == 0 && list_empty(&js.gone));
    OK(alive(word) == 0 && list_empty(&js.gone), "KILL comes before it is forgotten");
}

static void coalesces(void) {
    struct client c[3];
    struct job *j[3];
    new_word("many");
    for (int i = 0; i < 3; i++)
        j[i] = start_tree(&c[i],
                          "trap '' HUP TERM; setsid bash -c '" STAY "' x $1 & sleep 0.2; "
                          "echo up; wait",
                          NULL);
    for (int round = 0; round < 50; round++)
        for (int i = 0; i < 3; i++)
            (void)job_signal(j[i], round % 2 ? SIGHUP : SIGTERM, JOB_TREE);
    (void)loop_turn(&loop);
    pid_t walker = js.walker.pid;
    OK(walker > 0 && list_empty(&js.walked), "one walk for all of them");
    for (int i = 0; i < 3; i++)
        (void)job_signal(j[i], SIGKILL, JOB_TREE);
    OK(js.walker.pid == walker, "one at a time");
    UNTIL(js.nrunning == 0 && alive(word) == 0);
    OK(alive(word) == 0, "all are gone");
    for (int i = 0; i < 3; i++)
        forget(&c[i]);
}

int main(int argc, char **argv) {
    if (geteuid() != 0) {
        printf("1..0 # SKIP it starts jobs of other users, so it needs root\n");
        return 0;
    }
    title_init(argc, argv);
    channel_open();
    reaches_everybody();
    reaches_what_stays_behind();
    reaches_whom_nobody_knows();
    reaches_only_the_later();
    spares_strangers();
    spares_who_has_the_number_now();
    wakes_only_the_stopped();
    sends_once();
    outruns_forks();
    ends_the_tree_in_time();
    coalesces();
    UNTIL(list_empty(&js.gone) && !js.walker.pid);
    OK(js.n == 0 && wire_strange == 0, "nothing is left");
    channel_close();
    return tap_end();
}
