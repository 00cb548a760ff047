#include "engine/kernel.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/own.h"
#include "engine/child.h"
#include "sys/file.h"

/* The overlay trial. Paths are relative to a directory of our own, so that no colon or
 * comma of the data root's can end up in the mount options. */

enum { TRIAL_NOT_TRIED = 255, TRIAL_MS = 3000 };

/* Root of a fresh user namespace is who we are outside. Both ids have to be mapped: without its
 * group overlayfs refuses to mount (EACCES). user_namespaces(7): a group map needs the "deny". */
static int map_ids(unsigned uid, unsigned gid) {
    char map[48];
    (void)snprintf(map, sizeof map, "0 %u 1", uid);
    int rc = file_poke("/proc/self", "uid_map", map);
    if (rc == 0)
        rc = file_poke("/proc/self", "setgroups", "deny");
    (void)snprintf(map, sizeof map, "0 %u 1", gid);
    return rc < 0 ? rc : file_poke("/proc/self", "gid_map", map);
}

static int make_private(bool rootless) {
    unsigned uid = getuid(), gid = getgid();
    if (unshare(CLONE_NEWNS | (rootless ? CLONE_NEWUSER : 0)) < 0)
        return -errno;
    int rc = rootless ? map_ids(uid, gid) : 0;
    if (rc < 0)
        return rc;
    return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ? -errno : 0;
}

/* The engine needs file types from readdir(3) (xfs made with ftype=0 has none). */
static bool directory_tells_types(void) {
    bool told = false;
    DIR *d = opendir(".");
    for (struct dirent *ent; d && (ent = readdir(d));)
        if (strcmp(ent->d_name, "lower") == 0)
            told = ent->d_type == DT_DIR;
    if (d)
        (void)closedir(d);
    return told;
}

static int write_through(void) {
    AUTO_FD int fd = open("merged/probe", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    return fd < 0 || write(fd, "x", 1) != 1 ? errno : 0;
}

/* In the fork. The exit status is an errno, 0, or TRIAL_NOT_TRIED. */
static int trial(const char *dir, bool rootless) {
    if (chdir(dir) < 0 || mkdir("lower", 0755) < 0 || mkdir("upper", 0755) < 0 ||
        mkdir("work", 0755) < 0 || mkdir("merged", 0755) < 0)
        return TRIAL_NOT_TRIED;
    if (!directory_tells_types())
        return EOPNOTSUPP;
    if (make_private(rootless) < 0)
        return TRIAL_NOT_TRIED;
    if (mount("overlay", "merged", "overlay", 0, "lowerdir=lower,upperdir=upper,workdir=work") < 0)
        return errno;
    int code = write_through();
    (void)umount2("merged", MNT_DETACH);
    return code;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw) {
    (void)st, (void)type, (void)ftw;
    (void)remove(path);
    return 0;
}

/* The longest existing directory of `path`, with a template for mkdtemp(3) in it. */
static bool trial_directory(const char *path, char *out, size_t cap) {
    static const char name[] = "/.pinnace-XXXXXX";
    struct stat st;
    if (path[0] != '/' || strlen(path) + sizeof name > cap)
        return false;
    (void)snprintf(out, cap, "%s", path);
    while (out[0] && (stat(out, &st) < 0 || !S_ISDIR(st.st_mode)))
        *strrchr(out, '/') = '\0';
    (void)snprintf(out + strlen(out), sizeof name, "%s", name);
    return mkdtemp(out) != NULL;
}

enum engine_overlay kernel_overlay(const char *data_root, bool rootless, int *code) {
    char dir[MAX_ENGINE_PATH + 32];
    *code = 0;
    if (!trial_directory(data_root, dir, sizeof dir))
        return OVERLAY_UNKNOWN;
    pid_t pid = fork();
    if (pid == 0)
        _exit(trial(dir, rootless));
    int status = pid < 0 ? -1 : child_wait(pid, TRIAL_MS);
    (void)nftw(dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
    if (status < 0 || status == TRIAL_NOT_TRIED)
        return OVERLAY_UNKNOWN;
    *code = status;
    return status == 0 ? OVERLAY_WORKS : OVERLAY_FAILS;
}
