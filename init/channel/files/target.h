/* target.h — the file that a content is for: what it is now, and how it becomes the new one. */
#ifndef CHANNEL_FILES_TARGET_H
#define CHANNEL_FILES_TARGET_H

#include "channel/files/place.h"

struct target {
    int dir; /* -1, or to be closed */
    char name[NAME_MAX + 1];
    char path[PATH_MAX]; /* behind all links that the path ends in */
    bool exists;
    struct stat st;
};

/* Find what req.path is, behind links, and see whether it may be written: kind, version, rights. */
int target_find(struct worker *w, struct target *t);
/* A file to become its content: beside it; or, where its directory is not ours to write to but it
 * is, where anybody may. */
int target_temp(struct worker *w, const struct target *t, struct temp *temp);
/* `temp` is whole: make it the target. The name of one that had to be poured into it stays. */
int target_settle(struct worker *w, struct target *t, struct temp *temp);
/* Tell the channel of it. The version is that of the content, also where the path is a link. */
int target_tell(struct worker *w, const struct target *t);
/* Write the part of an upload of it that req names (work_upload.c); or give that upload up. */
int work_upload(struct worker *w, struct target *t);
int upload_remove(struct worker *w, int dir, const char *target);
/* Set what req.set_xattrs says. */
int set_xattrs(struct worker *w, int fd);

#endif
