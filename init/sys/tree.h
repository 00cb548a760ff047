/* tree.h — every descendant of a process, found in /proc. For a fork: it reads what the
 * kernel and others wrote. */
#ifndef SYS_TREE_H
#define SYS_TREE_H

#include <stddef.h>
#include <sys/types.h>

/* Send `sig` (and SIGCONT after anything but SIGKILL) to every descendant of `root` but
 * `spare`, their children, and ourselves. The children of `through`, which is one of `spare` or 0,
 * are not spared. Looks again until a pass finds nobody new, so that what is forked meanwhile is
 * reached. The number signalled, or -errno. */
int tree_signal(pid_t root, const pid_t *spare, size_t nspare, pid_t through, int sig);

/* Write those whom tree_signal() would reach into `out` as "12 (sleep), 34 (sh)", cut at `cap`.
 * Names are the kernel's (proc_pid_comm(5)). Their number, or -errno. */
int tree_names(pid_t root, const pid_t *spare, size_t nspare, pid_t through, char *out, size_t cap);

#endif
