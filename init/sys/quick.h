/* quick.h — a start that copies no memory.
 *
 * What fork(2) costs is the copy of our page tables, the pages that both then write to, and the
 * end of that copy at execve(2). vfork(2) has none of it, but stops the caller until the program
 * executes, and that may hang on a dead file system. This is in between: the child shares our
 * memory (clone(2), CLONE_VM), and both run. So it does nothing but system calls, past libc, for
 * errno is shared too, on what stands ready for it in a block that stays until it is out of it.
 *
 * It is for what most starts are: no user, no terminal, no cgroup. Where it cannot say what is
 * wrong as well as a fork can, it fails, and the same request is to be given to sys->spawn().
 */
#ifndef SYS_QUICK_H
#define SYS_QUICK_H

#include <sys/socket.h>

#include "sys/sys.h"

struct quick;

/* What the child says of itself before it executes: *pid, which is in the message, is set first.
 * All of it is the caller's, and stays as long as the block. */
struct quick_news {
    int sock;
    const struct msghdr *message;
    int32_t *pid;
};

/* A copy of all that `r` points to. NULL: this request is not for it, or there is no memory. */
struct quick *quick_new(const struct spawn_req *r);

/* Start it. `report`: the write end of a pipe; end of file there says that it has executed, a
 * struct exec_failure that it has not, as with sys->spawn(). The pid, or -errno. */
pid_t quick_start(struct quick *q, int report, const struct quick_news *news);

/* The request, with pointers into the block. */
const struct spawn_req *quick_request(const struct quick *q);

/* Once it has executed, or is reaped; not before. NULL is well. */
void quick_free(struct quick *q);

#endif
