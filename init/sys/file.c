#include "sys/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/own.h"

/* /proc files tell no size, so the buffer grows until the end or `max`. */
static int read_all(int fd, size_t max, char **out, size_t *len) {
    AUTO_FREE char *buf = NULL;
    size_t cap = 0, used = 0;
    for (;;) {
        if (used + 1 >= cap) {
            cap = cap ? 2 * cap : 4096;
            char *grown = realloc(buf, cap);
            if (!grown)
                return -ENOMEM;
            buf = grown;
        }
        ssize_t n = read(fd, buf + used, cap - used - 1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        used += (size_t)n;
        if (used > max)
            return -EFBIG;
    }
    buf[used] = '\0';
    *out = buf;
    *len = used;
    buf = NULL;
    return 0;
}

int file_read(const char *path, size_t max, char **out, size_t *len, struct err *e) {
    /* O_NONBLOCK: opening a FIFO must not wait for its writer. */
    AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return err_sys(e, errno, "open %s", path);
    struct stat st;
    if (fstat(fd, &st) < 0)
        return err_sys(e, errno, "stat %s", path);
    if (!S_ISREG(st.st_mode))
        return err_set(e, EINVAL, "%s is not a regular file", path);
    int rc = read_all(fd, max, out, len);
    if (rc == -EFBIG)
        return err_set(e, EFBIG, "%s is larger than %zu bytes", path, max);
    return rc < 0 ? err_sys(e, -rc, "read %s", path) : 0;
}

void file_peek(const char *path, char *buf, size_t cap) {
    buf[0] = '\0';
    AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    ssize_t n = fd < 0 ? -1 : read(fd, buf, cap - 1);
    buf[n > 0 ? n : 0] = '\0';
}

static int write_all(int fd, const char *text, size_t len) {
    while (len > 0) {
        ssize_t n = write(fd, text, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        text += n;
        len -= (size_t)n;
    }
    return 0;
}

/* Into an existing file. Longer text first, cut after: less to lose when it fails. */
static int overwrite(int fd, const char *text, size_t len) {
    if (lseek(fd, 0, SEEK_SET) < 0)
        return -errno;
    int rc = write_all(fd, text, len);
    if (rc == 0 && ftruncate(fd, (off_t)len) < 0)
        rc = -errno;
    if (rc == 0 && fsync(fd) < 0)
        rc = -errno;
    return rc;
}

static int replace_in_place(const char *path, const char *text, size_t len) {
    AUTO_FD int fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return -errno;
    AUTO_FREE char *old = NULL;
    size_t old_len = 0;
    int rc = read_all(fd, INT_MAX, &old, &old_len);
    if (rc < 0)
        return rc;
    rc = overwrite(fd, text, len);
    if (rc < 0)
        (void)overwrite(fd, old, old_len);
    return rc;
}

static void sync_directory(const char *path) {
    char dir[PATH_MAX];
    (void)snprintf(dir, sizeof dir, "%s", path);
    char *slash = strrchr(dir, '/');
    if (!slash)
        return;
    slash[1] = '\0';
    AUTO_FD int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0)
        (void)fsync(fd);
}

struct content {
    const char *text;
    size_t len;
};

/* Fill the temporary file and put it in the place of the old one. */
static int fill_and_rename(const char *temp, int fd, const char *path, struct content c) {
    struct stat st;
    bool exists = stat(path, &st) == 0;
    if (exists && fchown(fd, st.st_uid, st.st_gid) < 0)
        return -errno;
    if (fchmod(fd, exists ? st.st_mode & 07777 : 0644) < 0)
        return -errno;
    int rc = write_all(fd, c.text, c.len);
    if (rc == 0 && fsync(fd) < 0)
        rc = -errno;
    if (rc == 0 && rename(temp, path) < 0)
        rc = -errno;
    if (rc == 0)
        sync_directory(path);
    return rc;
}

int file_make_parents(const char *path) {
    char dir[PATH_MAX];
    if (snprintf(dir, sizeof dir, "%s", path) >= (int)sizeof dir)
        return -ENAMETOOLONG;
    for (char *p = strchr(dir + 1, '/'); p; p = strchr(p + 1, '/')) {
        *p = '\0';
        /* What exists may refuse mkdir with EROFS or EACCES first: ask only if missing. */
        if (access(dir, F_OK) < 0 && mkdir(dir, 0755) < 0 && errno != EEXIST)
            return -errno;
        *p = '/';
    }
    return 0;
}

/* Errors after which writing into the file itself may still work. */
static bool in_place_may_work(int code) {
    return code == -EBUSY || code == -EXDEV || code == -EROFS || code == -EACCES || code == -EPERM;
}

int file_replace(const char *path, const char *text, size_t len, struct err *e) {
    char target[PATH_MAX], temp[PATH_MAX];
    int rc = file_make_parents(path);
    if (rc < 0)
        return err_sys(e, -rc, "make the directory of %s", path);
    if (!realpath(path, target))
        (void)snprintf(target, sizeof target, "%s", path);
    if (snprintf(temp, sizeof temp, "%s.pinnace-XXXXXX", target) >= (int)sizeof temp)
        return err_set(e, ENAMETOOLONG, "the path of %s is too long", path);
    AUTO_FD int fd = mkostemp(temp, O_CLOEXEC);
    struct content c = { text, len };
    rc = fd < 0 ? -errno : fill_and_rename(temp, fd, target, c);
    if (fd >= 0 && rc < 0)
        (void)unlink(temp);
    if (in_place_may_work(rc) && access(target, F_OK) == 0)
        rc = replace_in_place(target, text, len);
    return rc < 0 ? err_sys(e, -rc, "write %s", path) : 0;
}

bool file_is_replaceable(const char *path) {
    char dir[PATH_MAX];
    if (access(path, F_OK) == 0)
        return access(path, W_OK) == 0;
    if (snprintf(dir, sizeof dir, "%s", path) >= (int)sizeof dir)
        return false;
    for (char *slash = strrchr(dir, '/'); slash; slash = strrchr(dir, '/')) {
        *(slash == dir ? slash + 1 : slash) = '\0';
        if (access(dir, F_OK) == 0)
            return access(dir, W_OK | X_OK) == 0;
        if (slash == dir)
            return false;
    }
    return false;
}

int file_poke(const char *dir, const char *name, const char *text) {
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s/%s", dir, name) >= (int)sizeof path)
        return -ENAMETOOLONG;
    AUTO_FD int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    ssize_t n = write(fd, text, strlen(text));
    return n < 0 ? -errno : 0;
}
