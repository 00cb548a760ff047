#include "loop/children.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/limits.h"
#include "tests/unit/tap.h"

/* The real kernel, whose reaping is written down. */
static struct sys sys, real;
static struct loop loop;
static struct children children;
static int asked[64], nasked;

static int noted_reap(struct sys *s, pid_t pid, struct exit_info *out) {
    (void)s;
    if (nasked < 64)
        asked[nasked++] = pid;
    return real.reap(&real, pid, out);
}

struct job {
    struct child child;
    struct exit_info how;
    int ends, respawns;
    struct job *other; /* forgotten in the callback */
};

/* A process that ends at once, as a zombie that is there when this returns. */
static pid_t zombie(int code) {
    pid_t pid = fork();
    if (pid == 0) {
        if (code >= 128)
            (void)raise(code - 128);
        _exit(code);
    }
    siginfo_t si;
    (void)waitid(P_PID, (id_t)pid, &si, WEXITED | WNOWAIT);
    return pid;
}

static void exited(struct child *c, struct exit_info how) {
    struct job *j = CONTAINER_OF(c, struct job, child);
    j->ends++;
    j->how = how;
    if (j->other)
        children_forget(&j->other->child);
    if (j->respawns-- > 0)
        children_add(&children, c, zombie(7));
}

static void add(struct job *j, pid_t pid) {
    *j = (struct job){ .child.exited = exited };
    children_add(&children, &j->child, pid);
}

/* Reap, and go on until no sweep is owed: it may have to rest in between. */
static void reap(pid_t hint) {
    children_reap(&children, hint);
    for (int i = 0; i < 1000 && children.sweep.owed; i++)
        (void)loop_turn(&loop);
}

static void tells_how_it_ended(void) {
    struct job a, b;
    add(&a, zombie(3));
    add(&b, zombie(128 + SIGKILL));
    pid_t pid = a.child.pid;
    reap(0);
    OK(a.ends == 1 && a.how.pid == pid && !a.how.signaled && a.how.code == 3, "exit status 3");
    OK(b.ends == 1 && b.how.signaled && b.how.code == SIGKILL && exit_status(b.how) == 137,
       "killed by SIGKILL");
    OK(a.child.pid == 0 && list_empty(&children.live) && children.orphans == 0, "both forgotten");
    OK(children.none, "and no child is left");
}

static void takes_the_known_first(void) {
    struct job a, b, c;
    pid_t orphan = zombie(0);
    add(&a, zombie(1));
    add(&b, zombie(2));
    add(&c, zombie(3));
    pid_t second = b.child.pid, first = a.child.pid, third = c.child.pid;
    nasked = 0;
    reap(second);
    OK(asked[0] == second && asked[1] == first, "the named one, then the known ones");
    OK(a.ends == 1 && b.ends == 1 && c.ends == 1, "one call buries all that coalesced");
    bool late = nasked >= 5 && asked[2] == third;
    for (int i = 0; i < nasked; i++)
        late = late && asked[i] != orphan && (asked[i] == -1) == (i >= 3);
    OK(late && children.orphans == 1, "strangers come last, and are counted");
    children.orphans = 0;
}

static void one_sigchld_for_many(void) {
    static struct job jobs[100];
    for (int i = 0; i < 100; i++)
        add(&jobs[i], zombie(i));
    for (int i = 0; i < 50; i++)
        (void)zombie(0);
    reap(jobs[50].child.pid);
    bool all = true;
    for (int i = 0; i < 100; i++)
        all = all && jobs[i].ends == 1 && jobs[i].how.code == i;
    OK(all && children.orphans == 50, "one SIGCHLD for 150 deaths: none is lost");
    OK(!timer_armed(&children.later) && children.none, "nothing is owed in the end");
    children.orphans = 0;
}

static void callbacks_may_do_anything(void) {
    struct job a, b, c;
    add(&a, zombie(1));
    add(&b, zombie(2));
    add(&c, zombie(3));
    a.respawns = 3;
    a.other = &b;
    reap(a.child.pid);
    for (int i = 0; i < 100 && a.child.pid; i++)
        reap(0);
    OK(a.ends == 4 && a.how.code == 7, "a callback that respawns is called for each: %d", a.ends);
    OK(b.ends == 0 && b.child.pid == 0 && children.orphans == 1, "a forgotten one is an orphan");
    OK(c.ends == 1, "the one after it is not skipped");
    children_forget(&b.child);
    OK(list_empty(&children.live), "forgotten twice");
    children.orphans = 0;
}

static int after;
static void reaped(struct children *cs) { after += cs == &children; }

static void the_living_stay(void) {
    struct job a;
    pid_t pid = fork();
    if (pid == 0) {
        (void)pause();
        _exit(0);
    }
    add(&a, pid);
    children.reaped = reaped;
    reap(pid);
    OK(a.ends == 0 && a.child.pid == pid && !children.none && after >= 1, "a living child stays");
    children_reap(&children, 999999999);
    OK(a.ends == 0 && after >= 2, "a pid that is not ours");
    (void)kill(pid, SIGKILL);
    siginfo_t si;
    (void)waitid(P_PID, (id_t)pid, &si, WEXITED | WNOWAIT);
    children_reap(&children, 0);
    OK(a.ends == 1 && a.how.signaled, "until it ends");
}

static struct exit_info strangers[4];
static int nstrangers;

static void orphan(struct children *cs, struct exit_info how) {
    if (nstrangers < 4)
        strangers[nstrangers] = how;
    nstrangers++;
    if (nstrangers == 1) /* as who looks whether another has ended as well */
        (void)children_reap_one(cs, CONTAINER_OF(cs->live.next, struct child, link)->pid);
}

static void tells_of_orphans(void) {
    struct job a;
    pid_t one = zombie(5), two = zombie(128 + SIGKILL);
    add(&a, zombie(7));
    children.orphan = orphan;
    reap(one);
    OK(nstrangers == 2 && strangers[0].pid == one && strangers[0].code == 5 &&
           strangers[1].pid == two && strangers[1].signaled && children.orphans == 2,
       "of each, and how it ended");
    OK(a.ends == 1 && a.how.code == 7, "not of who is registered: reaped in between, told once");
    pid_t pid = zombie(3);
    add(&a, pid);
    OK(children_know(&children, pid) && !children_know(&children, two), "who is registered");
    OK(children_reap_one(&children, pid) == 1 && a.ends == 1 && a.how.code == 3 &&
           !children_know(&children, pid),
       "one is reaped by name");
    OK(children_reap_one(&children, pid) == -ECHILD && nstrangers == 2, "and then is no child");
    children.orphan = NULL;
    children.orphans = 0;
}

static void one_look_for_all(void) {
    static struct job jobs[3];
    for (int i = 0; i < 3; i++)
        add(&jobs[i], zombie(i));
    (void)zombie(0);
    children.no_orphans = true;
    children.reaped = reaped;
    nasked = after = 0;
    children_reap(&children, jobs[1].child.pid);
    OK(jobs[0].ends + jobs[1].ends + jobs[2].ends == 3 && children.orphans == 1 && after == 1,
       "without orphans, one look, and an orphan all the same: %lu, %d", children.orphans, after);
    OK(nasked == 5 && asked[0] > 0 && asked[1] == -1 && asked[4] == -1 && children.none &&
           !timer_armed(&children.later),
       "nobody is asked for one by one: %d", nasked);
    children.orphans = 0;
}

int main(void) {
    sys_linux_init(&real);
    sys = real;
    sys.reap = noted_reap;
    OK(loop_init(&loop, &sys) == 0, "a loop");
    children_init(&children, &loop);
    tells_how_it_ended();
    takes_the_known_first();
    one_sigchld_for_many();
    callbacks_may_do_anything();
    the_living_stay();
    tells_of_orphans();
    one_look_for_all();
    children_fini(&children);
    loop_fini(&loop);
    return tap_end();
}
