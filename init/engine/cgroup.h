/* cgroup.h — divide a cgroup v2 root so that nested limits work.
 *
 * The kernel gives controllers to children only while the parent has no processes of
 * its own ("no internal processes", Documentation/admin-guide/cgroup-v2.rst). So the
 * root's processes go to a leaf `init`, PID 1 before all others: `docker exec` joins
 * the cgroup of the container's PID 1 when the root refuses it.
 */
#ifndef ENGINE_CGROUP_H
#define ENGINE_CGROUP_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"

struct cgroup_report {
    int rounds;         /* passes over the root's processes */
    int moved;          /* processes put into the leaf */
    int left;           /* processes that stayed behind in the last round */
    char left_pids[64]; /* the first of them; 0 is one outside of our pid namespace */
    char enabled[128];  /* controllers that children get: "cpu memory pids" */
    char refused[128];  /* controllers the kernel did not enable */
    bool leaf;          /* ROOT/pinnace is there, and may itself have children with limits */
};

/* `root` is the mounted cgroup2 directory that is the root of our cgroup namespace.
 * Makes ROOT/init and moves `init_pid`, then everything, there; enables all controllers
 * for children; makes ROOT/pinnace for services. At most MAX_CGROUP_ROUNDS passes, half
 * a second in all. -EOPNOTSUPP in a threaded tree, -EBUSY when processes stay, -EROFS,
 * -EACCES, ...; what was done stays done, and a second call goes on from there. */
int cgroup_divide(const char *root, pid_t init_pid, struct cgroup_report *r, struct err *e);

/* Make a read-only cgroup mount at `root` writable; other mount flags stay. 0 or -errno. */
int cgroup_remount(const char *root);

#endif
