/* The steps of a walk, where nobody has to be lucky for a swap to come between them. */
#include "channel/files/walk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/own.h"
#include "tests/unit/tap.h"

enum { DEEP = MAX_TREE_FDS + 4 };

static int root;

static void goes_through_no_link(void) {
    struct cursor c;
    (void)mkdirat(root, "dir", 0700);
    (void)mkdirat(root, "dir/sub", 0700);
    (void)symlinkat("dir", root, "link");
    (void)symlinkat("../..", root, "dir/out");
    cursor_begin(&c, openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    OK(cursor_down(&c, "link") == -ENOTDIR && c.depth == 0, "down, but not through a link");
    OK(cursor_down(&c, "dir") == 0 && c.depth == 1, "into a directory");
    OK(cursor_down(&c, "out") == -ENOTDIR && c.depth == 1, "not through one that leads out");
    OK(cursor_down(&c, "sub") == 0 && cursor_up(&c) == 0 && cursor_up(&c) == 0 && c.depth == 0 &&
           faccessat(c.fd, "dir/sub", F_OK, 0) == 0,
       "and up again");
    cursor_end(&c);
}

/* The ones above are not kept open: the way back is "..", which somebody has moved elsewhere. */
static void comes_back_to_where_it_was(void) {
    struct cursor c;
    bool good = true;
    cursor_begin(&c, openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    for (int i = 0; i < DEEP; i++)
        good &= mkdirat(c.fd, "d", 0700) == 0 && cursor_down(&c, "d") == 0;
    OK(good && c.depth == DEEP && cursor_up(&c) == 0 && cursor_down(&c, "d") == 0, "%d deep", DEEP);
    (void)mkdirat(root, "other", 0700);
    OK(cursor_up(&c) == 0 && renameat(c.fd, "d", root, "other/d") == 0, "one is moved");
    good = cursor_down(&c, "d") == -ENOENT;
    OK(good && mkdirat(c.fd, "d", 0700) == 0 && cursor_down(&c, "d") == 0, "another is there");
    AUTO_FD int above = openat(c.fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    OK(renameat(above, "d", root, "other/e") == 0 && cursor_up(&c) == -ESTALE,
       "one that is moved while we are in it does not lead to where it is now");
    cursor_end(&c);
}

int main(void) {
    char name[] = "/tmp/pinnace-walk-XXXXXX", remove[64];
    if (!mkdtemp(name))
        return 1;
    root = open(name, O_PATH | O_DIRECTORY | O_CLOEXEC);
    goes_through_no_link();
    comes_back_to_where_it_was();
    fd_close(&root);
    (void)snprintf(remove, sizeof remove, "rm -rf %s", name);
    OK(system(remove) == 0, "the directory is removed");
    return tap_end();
}
