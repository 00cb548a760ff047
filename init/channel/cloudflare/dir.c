#include "channel/cloudflare/dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/own.h"
#include "base/str.h"

static const char folder[] = "cloudflare";

/* Others may go through it, to those that are theirs, and see nothing. */
static int make_folder(const struct channel *ch, char path[CF_DIR_TEXT], struct err *e) {
    if (!ch->role->run_dir)
        return err_set(e, ENOENT,
                       "there is no run directory: set [pinnace] run-dir to one that "
                       "can be made");
    if (snprintf(path, CF_DIR_TEXT, "%s/%s", ch->role->run_dir, folder) >= CF_DIR_TEXT)
        return err_set(e, ENAMETOOLONG, "the path of the run directory is too long");
    if (mkdir(path, 0711) < 0 && errno != EEXIST)
        return err_sys(e, errno, "make %s", path);
    return 0;
}

bool cf_dir_folder(const struct channel *ch, char path[CF_DIR_TEXT]) {
    struct err e;
    return make_folder(ch, path, &e) == 0;
}

int cf_dir_make(struct channel *ch, uid_t uid, char path[CF_DIR_TEXT], struct err *e) {
    int rc = make_folder(ch, path, e);
    if (rc < 0)
        return rc;
    struct text t = { .buf = path, .cap = CF_DIR_TEXT, .len = strlen(path) };
    text_add(&t, "/%d.%" PRIu64, (int)getpid(), ++ch->cloudflare.serial);
    if (t.cut || mkdir(path, 0700) < 0)
        return err_sys(e, t.cut ? ENAMETOOLONG : errno, "make %s", path);
    AUTO_FD int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || (uid != geteuid() && fchown(fd, uid, (gid_t)-1) < 0))
        return err_sys(e, errno, "open %s", path);
    return fd_take(&fd);
}

static int write_file(int fd, uid_t uid, const char *bytes, size_t n) {
    if (uid != geteuid() && fchown(fd, uid, (gid_t)-1) < 0)
        return -errno;
    while (n > 0) {
        ssize_t k = write(fd, bytes, n);
        if (k < 0 && errno != EINTR)
            return -errno;
        bytes += k > 0 ? k : 0;
        n -= k > 0 ? (size_t)k : 0;
    }
    return 0;
}

int cf_dir_write(int dir, uid_t uid, const char *name, const char *bytes, size_t n, struct err *e) {
    int flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW;
    (void)unlinkat(dir, name, 0);
    AUTO_FD int fd = openat(dir, name, flags, 0600);
    int rc = fd < 0 ? -errno : write_file(fd, uid, bytes, n);
    return rc < 0 ? err_sys(e, -rc, "write %s for a shell", name) : 0;
}

static void remove_files(int dir) {
    int again = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = again < 0 ? NULL : fdopendir(again);
    if (!d) {
        fd_close(&again);
        return;
    }
    for (struct dirent *entry; (entry = readdir(d));)
        (void)unlinkat(dir, entry->d_name, 0); /* "." and ".." are not so removed */
    (void)closedir(d);
}

void cf_dir_remove(int *dir, const char *path) {
    if (*dir < 0)
        return;
    remove_files(*dir);
    fd_close(dir);
    (void)rmdir(path);
}
