/* load.c — which files make up the configuration, and reading them. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/own.h"
#include "base/str.h"
#include "conf/conf.h"

#define DEFAULT_FILE "/etc/pinnace.ini"
#define DEFAULT_DIR  "/etc/pinnace.d"

/* The whole file as text. Anything but a regular file of at most MAX_CONF_FILE bytes
 * without NUL is refused: a FIFO would block the boot. /dev/null is an empty one. */
static int read_text(const char *path, char **out, struct err *e) {
    AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0)
        return err_sys(e, errno, "open %s", path);
    bool none = S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3);
    if (!S_ISREG(st.st_mode) && !none)
        return err_set(e, EINVAL, "%s is not a regular file", path);
    if (st.st_size > MAX_CONF_FILE)
        return err_set(e, EFBIG, "%s has %lld bytes, %d are allowed", path, (long long)st.st_size,
                       MAX_CONF_FILE);
    AUTO_FREE char *text = malloc((size_t)st.st_size + 1);
    if (!text)
        return err_set(e, ENOMEM, "out of memory for %s", path);
    ssize_t n = read(fd, text, (size_t)st.st_size);
    if (n < 0)
        return err_sys(e, errno, "read %s", path);
    text[n] = '\0';
    if (memchr(text, '\0', (size_t)n))
        return err_set(e, EINVAL, "%s holds a NUL byte: not a text file", path);
    *out = text;
    text = NULL;
    return 0;
}

static int add_file(struct conf *c, const char *path, bool must_exist, struct err *e) {
    AUTO_FREE char *text = NULL;
    int rc = read_text(path, &text, e);
    if (rc == -ENOENT && !must_exist)
        return 0;
    return rc < 0 ? rc : conf_add_text(c, path, text, e);
}

static int is_ini(const struct dirent *d) {
    size_t n = strlen(d->d_name);
    return d->d_name[0] != '.' && n > 4 && strcmp(d->d_name + n - 4, ".ini") == 0;
}

static int add_dir(struct conf *c, const char *dir, struct err *e) {
    struct dirent **entries;
    int n = scandir(dir, &entries, is_ini, alphasort);
    if (n < 0)
        return errno == ENOENT || errno == ENOTDIR ? 0 : err_sys(e, errno, "list %s", dir);
    int rc = 0;
    for (int i = 0; i < n; i++) {
        char path[512];
        (void)snprintf(path, sizeof path, "%s/%s", dir, entries[i]->d_name);
        rc = rc < 0 ? rc : add_file(c, path, true, e);
        free(entries[i]);
    }
    free(entries);
    return rc;
}

static const char *env_value(char *const *env, const char *name) {
    size_t n = strlen(name);
    for (; *env; env++)
        if (strncmp(*env, name, n) == 0 && (*env)[n] == '=')
            return *env + n + 1;
    return NULL;
}

int conf_load(struct conf *c, const char *path, char *const *env, struct err *e) {
    if (!path)
        path = env_value(env, "PINNACE_CONFIG");
    if (path && !path[0])
        path = NULL; /* set, but to nothing */
    int rc = conf_begin(c, e);
    if (rc == 0)
        rc = add_file(c, path ? path : DEFAULT_FILE, path != NULL, e);
    if (rc == 0 && !path)
        rc = add_dir(c, DEFAULT_DIR, e);
    if (rc == 0)
        rc = conf_add_env(c, env, e);
    if (rc == 0)
        rc = conf_finish(c, e);
    if (rc < 0)
        conf_free(c);
    return rc;
}
