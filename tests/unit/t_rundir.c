#include "conf/rundir.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "tests/unit/tap.h"

static struct err err;
static char out[RUNDIR_MAX];

static bool got(const char *wanted, int make, const char *want) {
    err = (struct err){ 0 };
    return rundir_find(wanted, make, out, &err) == 0 && strcmp(out, want) == 0;
}

static bool refused(const char *wanted, int make, int code, const char *says) {
    err = (struct err){ 0 };
    return rundir_find(wanted, make, out, &err) == -code && strcmp(err.text, says) == 0;
}

static void takes_a_named_one(void) {
    struct stat st;
    (void)umask(022);
    OK(refused("/tmp/r", 0, ENOENT, "find the run directory /tmp/r: No such file or directory"),
       "none: %s", err.text);
    OK(got("/tmp/r", 1, "/tmp/r") && stat("/tmp/r", &st) == 0 && (st.st_mode & 07777) == 0755,
       "it is made");
    OK(got("/tmp/r", 1, "/tmp/r") && got("/tmp/r", 0, "/tmp/r"), "taken again, and found");
    OK(refused("/tmp/none/r", 1, ENOENT,
               "make the run directory /tmp/none/r: No such file or directory"),
       "no parent: %s", err.text);
    OK(symlink("/tmp/r", "/tmp/l") == 0 &&
           refused("/tmp/l", 1, ENOTDIR, "the run directory /tmp/l is not a directory") &&
           refused("/tmp/l", 0, ENOTDIR, "the run directory /tmp/l is not a directory"),
       "a symlink: %s", err.text);
    OK(mkdir("/tmp/other", 0755) == 0 && chown("/tmp/other", 12345, 0) == 0 &&
           refused("/tmp/other", 1, EPERM, "the run directory /tmp/other belongs to another user"),
       "somebody else's: %s", err.text);
    OK(got("/tmp/other", 0, "/tmp/other"), "a client may talk to another user's pinnace");
}

static void bounds_names(void) {
    char path[RUNDIR_MAX + 2], says[256];
    memset(path, 'a', sizeof path);
    memcpy(path, "/tmp/", 5);
    path[RUNDIR_MAX - 1] = '\0';
    OK(got(path, 1, path), "%d bytes", RUNDIR_MAX - 1);
    path[RUNDIR_MAX - 1] = 'a';
    path[RUNDIR_MAX] = '\0';
    (void)snprintf(says, sizeof says, "run-dir %s has more than %d bytes", path, RUNDIR_MAX - 1);
    OK(refused(path, 1, ENAMETOOLONG, says), "one more: %s", err.text);
}

static void falls_back_in_order(void) {
    (void)setenv("XDG_RUNTIME_DIR", "/tmp/xdg", 1);
    (void)mkdir("/tmp/xdg", 0700);
    OK(got("auto", 1, "/run/pinnace") && got(NULL, 0, "/run/pinnace"), "/run/pinnace at first");
    OK(rmdir("/run/pinnace") == 0 && chown("/run", 1, 1) == 0 && chmod("/run", 0755) == 0, "/run");
}

/* As uid 1000: /run is not ours to write in. */
static void falls_back_without_rights(void) {
    OK(got("auto", 1, "/tmp/xdg/pinnace") && got("auto", 0, "/tmp/xdg/pinnace"), "$XDG: %s", out);
    (void)setenv("XDG_RUNTIME_DIR", "tmp/xdg", 1);
    OK(got("auto", 1, "/tmp/pinnace-1000") && got("auto", 0, "/tmp/pinnace-1000"),
       "a relative one does not count: %s", out);
    (void)setenv("XDG_RUNTIME_DIR", "/tmp/none", 1);
    OK(got("auto", 1, "/tmp/pinnace-1000"), "nor one that is not there: %s", out);
    char longer[RUNDIR_MAX + 1];
    memset(longer, 'a', sizeof longer);
    longer[0] = '/';
    longer[RUNDIR_MAX] = '\0';
    (void)setenv("XDG_RUNTIME_DIR", longer, 1);
    OK(got("auto", 1, "/tmp/pinnace-1000"), "nor one too long: %s", out);
    (void)unsetenv("XDG_RUNTIME_DIR");
    OK(got("auto", 0, "/tmp/pinnace-1000"), "nor none: %s", out);
    OK(rmdir("/tmp/pinnace-1000") == 0 && mkdir("/tmp/pinnace-1000", 0555) == 0 &&
           refused("auto", 1, EACCES,
                   "write in the run directory /tmp/pinnace-1000: Permission denied"),
       "not writable: %s", err.text);
}

/* Somebody was faster in /tmp. */
static void refuses_a_trap(void) {
    OK(mkdir("/tmp/pinnace-0", 0755) == 0 && chown("/tmp/pinnace-0", 4242, 4242) == 0 &&
           mount("none", "/run", "tmpfs", MS_RDONLY, NULL) == 0,
       "a trap is set");
    OK(refused("auto", 1, EPERM, "the run directory /tmp/pinnace-0 belongs to another user"),
       "pinnace does not go there: %s", err.text);
    OK(refused("auto", 0, EPERM, "the run directory /tmp/pinnace-0 belongs to another user"),
       "nor does a client: %s", err.text);
}

int main(void) {
    if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0 ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("none", "/tmp", "tmpfs", 0, NULL) < 0 ||
        mount("none", "/run", "tmpfs", 0, NULL) < 0) {
        printf("1..0 # SKIP it mounts, so it needs root\n");
        return 0;
    }
    takes_a_named_one();
    bounds_names();
    falls_back_in_order();
    OK(chown("/tmp/xdg", 1000, 1000) == 0 && setresuid(1000, 1000, 0) == 0, "become 1000");
    falls_back_without_rights();
    OK(setresuid(0, 0, 0) == 0, "become root again");
    refuses_a_trap();
    return tap_end();
}
