/* user.h — users by passwd(5) and group(5), and becoming one. For a fork: it reads what others
 * wrote, and may block (a libc may ask a name service). */
#ifndef SYS_USER_H
#define SYS_USER_H

#include <pwd.h>
#include <stdbool.h>
#include <sys/types.h>

struct identity {
    struct passwd
        *pw; /* NULL for a number that nobody is listed under; libc's, until its next one */
    uid_t uid;
    gid_t gid;
    bool own_gid; /* given as :GROUP */
};

/* "NAME", "UID", "NAME:GROUP", "UID:GID": docker run --user's grammar. 0, or -ENOENT. */
int find_identity(const char *user, struct identity *id);

/* Take on its groups (those that group(5) names as well), then its ids; in this order. 0 or -errno.
 * Who already is this user need not be allowed to set groups. */
int identity_groups(const struct identity *id);
int identity_uid(const struct identity *id);

#endif
