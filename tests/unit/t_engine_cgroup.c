/* Dividing a cgroup v2 root, for real: in a cgroup of our own that a cgroup namespace
 * makes a root, with real processes in it. Needs root and a cgroup2 file system; the
 * machine's own groups are left as they were.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/str.h"
#include "engine/cgroup.h"
#include "engine/procfs.h"
#include "sys/file.h"
#include "tests/unit/tap.h"

enum { NPROCS = 5, STAGE_SECONDS = 20 };

/* What a stage saw; in memory shared with the test. */
struct seen {
    bool ready;     /* the stage was set up: everything below means something */
    bool root_view; /* the mount shows the namespace's root as "/" */
    int rc, again_rc, remount_rc, sub_rc;
    struct err err;
    struct cgroup_report report, again;
    char init_group[64], self_group[64];
    int in_leaf; /* of the NPROCS other processes */
    char root_procs[64], root_control[128], leaf_control[128];
};

static char outer[64]; /* where the test sees the cgroup tree */
static char inner[64]; /* where a stage sees its own */
static char controller[32];
static bool with_controllers;
static struct seen *seen;
static pid_t procs[NPROCS + 1];

static void path_of(char *out, size_t cap, const char *dir, const char *name) {
    (void)snprintf(out, cap, "%s/%s", dir, name);
}

static void peek(char *buf, size_t cap, const char *dir, const char *name) {
    char path[256];
    path_of(path, sizeof path, dir, name);
    file_peek(path, buf, cap);
    buf[strcspn(buf, "\n")] = '\0';
}

static void group_of(pid_t pid, char *out, size_t cap) {
    char dir[32], text[1024];
    (void)snprintf(dir, sizeof dir, "/proc/%d/cgroup", (int)pid);
    file_peek(dir, text, sizeof text);
    if (!cgroup_path(text, out, cap))
        (void)snprintf(out, cap, "?");
}

static void start_procs(void) {
    for (int i = 0; i <= NPROCS; i++) {
        procs[i] = fork();
        if (procs[i] == 0)
            for (;;)
                (void)pause();
    }
}

static void end_procs(void) {
    for (int i = 0; i <= NPROCS; i++) {
        (void)kill(procs[i], SIGKILL);
        (void)waitpid(procs[i], NULL, 0);
    }
}

static void look(void) {
    char group[64];
    group_of(procs[0], seen->init_group, sizeof seen->init_group);
    group_of(getpid(), seen->self_group, sizeof seen->self_group);
    seen->in_leaf = 0;
    for (int i = 1; i <= NPROCS; i++) {
        group_of(procs[i], group, sizeof group);
        seen->in_leaf += strcmp(group, "/init") == 0;
    }
    peek(seen->root_procs, sizeof seen->root_procs, inner, "cgroup.procs");
    peek(seen->root_control, sizeof seen->root_control, inner, "cgroup.subtree_control");
    peek(seen->leaf_control, sizeof seen->leaf_control, inner, "pinnace/cgroup.subtree_control");
}

/* Become a process whose own cgroup is the root of what it sees on `inner`. */
static bool enter(const char *group) {
    char text[4096], file[256];
    struct mount_line m;
    (void)snprintf(file, sizeof file, "%s/cgroup.procs", group);
    if (file_poke(outer, file, "0") < 0 || unshare(CLONE_NEWNS | CLONE_NEWCGROUP) < 0 ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("cgroup2", inner, "cgroup2", 0, NULL) < 0)
        return false;
    char *mounts = NULL;
    size_t len;
    if (file_read("/proc/self/mountinfo", 1 << 20, &mounts, &len, NULL) == 0)
        seen->root_view = mountinfo_find(mounts, inner, &m) && strcmp(m.root, "/") == 0;
    free(mounts);
    group_of(getpid(), text, sizeof text);
    return strcmp(text, "/") == 0;
}

static void stage_main(const char *group, void (*act)(void)) {
    (void)alarm(STAGE_SECONDS);
    if (!enter(group))
        _exit(1);
    seen->ready = true;
    act();
    _exit(0);
}

/* Groups vanish a moment after their last process; then the directory may go. */
static bool remove_group(const char *group, const char *sub) {
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%s%s", outer, group, sub);
    for (int i = 0; i < 500; i++) {
        if (rmdir(path) == 0 || errno == ENOENT)
            return true;
        (void)usleep(2000);
    }
    return false;
}

static void run_stage(const char *what, void (*act)(void)) {
    char group[64], path[256];
    static int n;
    (void)snprintf(group, sizeof group, "t_engine_cgroup-%d-%d", (int)getpid(), n++);
    path_of(path, sizeof path, outer, group);
    memset(seen, 0, sizeof *seen);
    OK(mkdir(path, 0755) == 0, "%s: a group of our own", what);
    pid_t pid = fork();
    if (pid == 0)
        stage_main(group, act);
    int status = -1;
    (void)waitpid(pid, &status, 0);
    OK(status == 0 && seen->ready && seen->root_view, "%s: it is the root of a namespace", what);
    bool gone = remove_group(group, "/pinnace") && remove_group(group, "/init") &&
                remove_group(group, "/sub") && remove_group(group, "");
    OK(gone, "%s: the group is gone again", what);
}

static void divide_twice(void) {
    start_procs();
    seen->rc = cgroup_divide(inner, procs[0], &seen->report, &seen->err);
    look();
    seen->again_rc = cgroup_divide(inner, procs[0], &seen->again, &seen->err);
    end_procs();
}

static void check_divided(void) {
    run_stage("divide", divide_twice);
    OK(seen->rc == 0 && seen->report.leaf, "divided (%d: %s)", seen->rc, seen->err.text);
    OK(strcmp(seen->init_group, "/init") == 0, "init is in %s", seen->init_group);
    OK(strcmp(seen->self_group, "/init") == 0, "we are in %s", seen->self_group);
    OK(seen->in_leaf == NPROCS, "and %d others", seen->in_leaf);
    OK(seen->report.moved == NPROCS + 2, "all of them moved (%d)", seen->report.moved);
    OK(seen->root_procs[0] == '\0', "the root has no process left");
    OK(seen->report.rounds == 1 && seen->report.left == 0, "in one round");
    OK(seen->again_rc == 0 && seen->again.leaf && seen->again.moved == 1,
       "a second time only init is told, and nothing breaks");
    if (!with_controllers) {
        OK(true, "controllers # SKIP none can be had here");
        return;
    }
    OK(strcmp(seen->root_control, controller) == 0, "children get %s", seen->root_control);
    OK(strcmp(seen->leaf_control, controller) == 0, "so do those of the leaf for services");
    OK(strcmp(seen->report.enabled, controller) == 0 && !seen->report.refused[0], "as reported");
}

/* Like `docker exec`: again and again somebody puts a process into the root. */
static void divide_in_a_race(void) {
    int joined[2];
    char c;
    start_procs();
    if (pipe(joined) < 0)
        return;
    pid_t racer = fork();
    if (racer == 0) {
        for (int i = 0; i < 20000; i++) {
            int rc = file_poke(inner, "cgroup.procs", "0");
            if (i == 3)
                (void)!write(joined[1], "x", 1);
            if (rc == -EBUSY)
                _exit(0); /* the controllers are on, and the kernel keeps the root empty */
            (void)usleep(500);
        }
        _exit(1);
    }
    (void)!read(joined[0], &c, 1);
    seen->rc = cgroup_divide(inner, procs[0], &seen->report, &seen->err);
    look();
    int status = -1;
    (void)waitpid(racer, &status, 0);
    seen->sub_rc = status;
    end_procs();
}

static void check_race(void) {
    if (!with_controllers) {
        OK(true, "a race # SKIP no controllers to be had here");
        return;
    }
    run_stage("race", divide_in_a_race);
    OK(seen->rc == 0 && seen->report.leaf, "divided against a racer, in %d rounds (%s)",
       seen->report.rounds, seen->err.text);
    OK(seen->report.rounds <= 10 && seen->root_procs[0] == '\0', "the root is empty");
    OK(seen->sub_rc == 0, "the racer is kept out from then on");
}

/* In a pid namespace: the stage outside of it is a process that cannot be moved. */
static void divide_with_a_stranger(void) {
    if (unshare(CLONE_NEWPID) < 0)
        return;
    pid_t pid = fork();
    if (pid == 0) {
        start_procs();
        seen->rc = cgroup_divide(inner, procs[0], &seen->report, &seen->err);
        end_procs();
        _exit(0);
    }
    (void)waitpid(pid, NULL, 0);
    peek(seen->root_control, sizeof seen->root_control, inner, "cgroup.subtree_control");
}

static void check_stranger(void) {
    if (!with_controllers) {
        OK(true, "a stranger # SKIP no controllers to be had here");
        return;
    }
    run_stage("stranger", divide_with_a_stranger);
    OK(seen->rc == -EBUSY && !seen->report.leaf, "not divided: %s", seen->err.text);
    OK(seen->report.rounds == 10 && seen->report.left == 1, "it gave up after %d rounds",
       seen->report.rounds);
    OK(strcmp(seen->report.left_pids, "0") == 0, "one process is out of sight");
    OK(seen->root_control[0] == '\0', "controllers stay off");
}

static void divide_threaded(void) {
    char sub[128];
    path_of(sub, sizeof sub, inner, "sub");
    (void)mkdir(sub, 0755);
    seen->sub_rc = file_poke(sub, "cgroup.type", "threaded");
    seen->rc = cgroup_divide(sub, getpid(), &seen->report, &seen->err);
    struct err whole;
    seen->again_rc = cgroup_divide(inner, getpid(), &seen->again, &whole);
}

static void check_threaded(void) {
    run_stage("threaded", divide_threaded);
    OK(seen->sub_rc == 0 && seen->rc == -EOPNOTSUPP, "a threaded group: %s", seen->err.text);
    OK(seen->again_rc == -EOPNOTSUPP, "and the one above it");
}

static void divide_read_only(void) {
    start_procs();
    (void)mount(NULL, inner, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID, NULL);
    seen->rc = cgroup_divide(inner, procs[0], &seen->report, &seen->err);
    seen->remount_rc = cgroup_remount(inner);
    seen->again_rc = cgroup_divide(inner, procs[0], &seen->again, &seen->err);
    look();
    end_procs();
}

static void check_read_only(void) {
    run_stage("read-only", divide_read_only);
    OK(seen->rc == -EROFS && seen->report.moved == 0, "read-only is told as that");
    OK(seen->remount_rc == 0 && seen->again_rc == 0, "made writable, it is divided");
    OK(strcmp(seen->init_group, "/init") == 0, "with init in %s", seen->init_group);
}

/* The root of the whole hierarchy has no cgroup.type: nobody has to leave it. */
static void check_real_root(void) {
    char dir[] = "/tmp/t_engine_cgroup-XXXXXX", path[128];
    struct cgroup_report r;
    struct err e;
    OK(mkdtemp(dir) != NULL && cgroup_divide(dir, getpid(), &r, &e) == 0 && r.leaf && !r.moved,
       "in the real root nothing is moved");
    path_of(path, sizeof path, dir, "init");
    OK(access(path, F_OK) < 0, "and no leaf for it is made");
    path_of(path, sizeof path, dir, "pinnace");
    OK(rmdir(path) == 0 && rmdir(dir) == 0, "but one for services");
    OK(cgroup_divide("/nowhere", getpid(), &r, &e) < 0 && !r.leaf, "no tree: %s", e.text);
}

/* Let children of the tree's root have one controller, as long as the test runs. Returns
 * true when it has to be taken back. */
static bool lend_controller(void) {
    char names[256], change[40];
    peek(names, sizeof names, outer, "cgroup.subtree_control");
    if (names[0]) {
        (void)snprintf(controller, sizeof controller, "%.31s", names);
        with_controllers = strlen(names) < sizeof controller;
        return false;
    }
    peek(names, sizeof names, outer, "cgroup.controllers");
    names[strcspn(names, " ")] = '\0';
    (void)snprintf(controller, sizeof controller, "%.31s", names);
    (void)snprintf(change, sizeof change, "+%s", controller);
    with_controllers = names[0] && file_poke(outer, "cgroup.subtree_control", change) == 0;
    return with_controllers;
}

static bool set_up(void) {
    if (geteuid() != 0 || !mkdtemp(outer) || !mkdtemp(inner))
        return false;
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("cgroup2", outer, "cgroup2", 0, NULL) < 0)
        return false;
    seen = mmap(NULL, sizeof *seen, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return seen != MAP_FAILED && access(outer, W_OK) == 0;
}

int main(void) {
    (void)snprintf(outer, sizeof outer, "/tmp/t_engine_outer-XXXXXX");
    (void)snprintf(inner, sizeof inner, "/tmp/t_engine_inner-XXXXXX");
    check_real_root();
    if (!set_up()) {
        OK(true, "dividing a cgroup # SKIP needs root");
    } else {
        bool lent = lend_controller();
        check_divided();
        check_race();
        check_stranger();
        check_threaded();
        check_read_only();
        char change[40];
        (void)snprintf(change, sizeof change, "-%s", controller);
        int rc = lent ? file_poke(outer, "cgroup.subtree_control", change) : 0;
        /* Busy: somebody else on this machine has come to need it meanwhile. */
        OK(rc == 0 || rc == -EBUSY, "the machine's root is as it was");
        (void)umount2(outer, MNT_DETACH);
    }
    (void)rmdir(outer);
    (void)rmdir(inner);
    return tap_end();
}
