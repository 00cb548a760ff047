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

enum { WRITE_PIECE = 64 << 10 };

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

static int write_all(int fd, const char *bytes, size_t n) {
    while (n > 0) {
        ssize_t k = write(fd, bytes, n);
        if (k < 0 && errno != EINTR)
            return -errno;
        bytes += k > 0 ? k : 0;
        n -= k > 0 ? (size_t)k : 0;
    }
    return 0;
}

/* A new file, whatever a shell has put in its place. */
static int make_file(int dir, uid_t uid, const char *name) {
    (void)unlinkat(dir, name, 0);
    AUTO_FD int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    bool given = fd >= 0 && (uid == geteuid() || fchown(fd, uid, (gid_t)-1) == 0);
    return given ? fd_take(&fd) : -errno;
}

static int write_output(int fd, const struct cf_output *o) {
    char buf[WRITE_PIECE];
    int rc = 0;
    for (uint64_t at = 0; rc == 0 && at < o->size;) {
        size_t n = cf_output_read(o, at, buf, sizeof buf);
        rc = n > 0 ? write_all(fd, buf, n) : -EIO;
        at += n;
    }
    return rc;
}

int cf_dir_write_command(int dir, uid_t uid, const char *name, struct slice before,
                         const struct cf_output *command, struct err *e) {
    AUTO_FD int fd = make_file(dir, uid, name);
    int rc = fd < 0 ? fd : write_all(fd, before.s, before.n);
    if (rc == 0)
        rc = write_output(fd, command);
    return rc < 0 ? err_sys(e, -rc, "write %s for a shell", name) : 0;
}

int cf_dir_write(int dir, uid_t uid, const char *name, const char *bytes, size_t n, struct err *e) {
    static const struct cf_output nothing = { .file = -1 };
    return cf_dir_write_command(dir, uid, name, (struct slice){ bytes, n }, &nothing, e);
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
