#include "sys/user.h"

#include <errno.h>
#include <grp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"

int find_identity(const char *user, struct identity *id) {
    char name[256];
    if (strlen(user) >= sizeof name)
        return -ENOENT; /* LOGIN_NAME_MAX is 256, that of a group's no more */
    (void)strcpy(name, user);
    char *group = strchr(name, ':');
    if (group)
        *group++ = '\0';
    unsigned number;
    bool numeric = parse_uint(name, 0, UINT32_MAX - 1, &number, NULL) == 0;
    id->pw = numeric ? getpwuid(number) : getpwnam(name);
    if (!id->pw && !numeric)
        return -ENOENT;
    id->uid = id->pw ? id->pw->pw_uid : number;
    id->gid = id->pw ? id->pw->pw_gid : number;
    if (!group)
        return 0;
    id->own_gid = true;
    struct group *gr = getgrnam(group);
    if (!gr && parse_uint(group, 0, UINT32_MAX - 1, &number, NULL) < 0)
        return -ENOENT;
    id->gid = gr ? gr->gr_gid : number;
    return 0;
}

int identity_groups(const struct identity *id) {
    bool same = id->uid == geteuid() && id->gid == getegid();
    int rc = id->pw ? initgroups(id->pw->pw_name, id->gid) : setgroups(1, &id->gid);
    if (rc < 0 && !(same && errno == EPERM))
        return -errno;
    return setresgid(id->gid, id->gid, id->gid) < 0 ? -errno : 0;
}

int identity_uid(const struct identity *id) {
    return setresuid(id->uid, id->uid, id->uid) < 0 ? -errno : 0;
}
