/* place.h — making files: under a temporary name, with content and attributes, and then into place.
 */
#ifndef CHANNEL_FILES_PLACE_H
#define CHANNEL_FILES_PLACE_H

#include "channel/files/worker.h"

/* A file that is not yet what it shall be. */
struct temp {
    int dir; /* borrowed */
    int fd;
    char name[NAME_MAX + 1]; /* "" while it has none: then it goes by itself, whatever happens */
};

/* ".LIKE.pinnace-RANDOM", cut to fit. */
void temp_name(char out[NAME_MAX + 1], const char *like);
/* Make one in `dir`, for reading and writing, mode 0600: nameless where the file system can
 * (O_TMPFILE). 0 or -errno; nothing said. */
int temp_open(struct temp *t, int dir, const char *like);
/* Give it this name in its directory: -EEXIST if there is something. 0 or -errno; nothing said. */
int temp_put_new(struct temp *t, const char *name);
/* The same, over what is there. */
int temp_put_over(struct temp *t, const char *name);
/* Close; remove what has a temporary name still. */
void temp_drop(struct temp *t);

/* rename(2) that replaces nothing: -EEXIST. Where the file system cannot do that at once (before
 * Linux 3.15, some FUSE), there is a moment between the look and the move of a directory. */
int rename_new(int from_dir, const char *from, int to_dir, const char *to);

/* Keep others of us from doing the same to the file `fd`, which is open for writing, until it is
 * closed. -EAGAIN: somebody else does. */
int lock_file(int fd);

/* Copy the content of the regular file `in` to `out` at `at`, holes as holes. How many bytes, or
 * -errno having said so. */
int64_t content_copy(struct worker *w, int in, int out, off_t at);

enum { XATTR_BYTES = 65536, XATTR_NAME = 255 }; /* the kernel's limits (xattr(7)) */
/* Copy extended attributes that begin with `prefix`; what the other file system does not take is
 * left out. */
void xattrs_copy(int in, int out, const char *prefix);

/* Copy what is `from` in its directory, and all below it, to the new name `to`: modes, times,
 * attributes and links as they are, owners where that is permitted. On failure nothing is left. */
int copy_tree(struct worker *w, int from_dir, const char *from, int to_dir, const char *to);
/* Remove it and all below it; `path` is for messages. Not being there is no error. */
int remove_tree(struct worker *w, int dir, const char *name, const char *path);
/* Make what is in `with`, a directory right below `dir`, the content of `dir`. On failure `dir` has
 * what it had. What remains of `with` is the caller's to remove. */
int replace_content(struct worker *w, int dir, const char *with);
/* Undo what is half made, also for one who is no longer wanted. */
void tidy_tree(struct worker *w, int dir, const char *name);

#endif
