/* walk.h — going through a tree by descriptors, never by paths: what is swapped for a symbolic
 * link, or moved elsewhere, on the way is not followed. */
#ifndef CHANNEL_FILES_WALK_H
#define CHANNEL_FILES_WALK_H

#include "channel/files/worker.h"

/* Where one is in a tree. Of the directories above, the first MAX_TREE_FDS stay open; a deeper one
 * is found again through "..", and has to be the same. */
struct cursor {
    int fd;         /* of the directory one is in */
    unsigned depth; /* 0: the root */
    struct {
        int fd; /* -1: not kept */
        dev_t dev;
        ino_t ino;
    } up[MAX_TREE_DEPTH];
};

/* Takes `fd` over. */
void cursor_begin(struct cursor *c, int fd);
/* Into a directory, which is no link. 0; -errno, nothing said: -E2BIG at MAX_TREE_DEPTH. */
int cursor_down(struct cursor *c, const char *name);
/* Out of it. -ESTALE when what is above is no longer what it was. Nothing said. */
int cursor_up(struct cursor *c);
void cursor_end(struct cursor *c);

enum { WALK_ON, WALK_INTO };

struct walk {
    struct worker *w;
    void *ctx;
    bool any_order;   /* not sorted, and directories of any size: in batches, as they are emptied */
    struct cursor at; /* .fd is the directory that holds: */
    const char *name;
    struct stat st;      /* lstat(2) of it */
    unsigned depth;      /* of it; 1: right below the root */
    char path[PATH_MAX]; /* of it, from what the walk began with; cut when it is too long */
    bool path_cut;

    /* What to do with one: WALK_ON; WALK_INTO, for directories only; or -errno, the end. */
    int (*visit)(struct walk *k);
    /* A directory has been gone into; it is the current one's parent that holds `name`. May be
     * NULL. */
    int (*entered)(struct walk *k);
    /* A directory that was gone into has been left; it is the current one again. May be NULL. */
    int (*leave)(struct walk *k);
    /* One could not be looked at or gone into: go on (0), or -errno. NULL: say so, and end. That
     * one is not there any more is no error and is not told. */
    int (*barred)(struct walk *k, int code);
};

/* Visit all that is below the directory `fd`, which is taken over, and whose path is `path`: each
 * directory before what is in it, sorted by bytes. */
int walk_tree(struct walk *k, int fd, const char *path);

#endif
